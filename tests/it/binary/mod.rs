//! The real binary against whole fleets, as a person at a terminal uses it: every call over HTTP, every controller a
//! process of its own that can be signalled, killed and stopped.

mod canaries;
mod circumstances;
mod cost;
mod demo;
mod faults;
pub(crate) mod fleet;
mod journey;
mod lines;
mod ministack;
mod pair;
mod person;
mod plans;
pub(crate) mod process;
mod served;
mod targets;
pub(crate) mod wire;

use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::cli::{Plimsoll, repository};
use crate::fake::{Fake, Reply, Request};
use crate::peers::Peer;
use process::{Process, address_of};
use wire::Ecs;

/// What these tests bind: two controls, enforced quickly; an agent waived.
const ENFORCED: &str = r#"apiVersion: plimsoll/v1
kind: RolloutStrategy
metadata: { name: quick }
spec:
  waves: [{ name: canary, size: 1, bake: 1s }, { name: rest, size: rest }]
  maxInFlight: 2
  maxAffected: "100%"
  health: { progressTimeout: 60s, steadyFor: 1s }
---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: enforce-host }
spec: { policies: [security-hub-ecs-3, security-hub-ecs-4], enforcement: enforce, strategy: quick }
---
apiVersion: plimsoll/v1
kind: Waiver
metadata: { name: agent-reads-processes }
spec:
  policies: [security-hub-ecs-3]
  scope: { include: { services: [agent] } }
  owner: platform@example.com
  reason: the agent reads host processes
  ticket: SEC-123
  expiresAt: 2099-03-31T00:00:00Z
  longerThanAYear: these tests are run for years
"#;

const UNTIL_SETTLED: [&str; 6] = ["controller", "--until-settled", "--poll", "1s", "--lease", "5s"];
const CONTROLLER: [&str; 5] = ["controller", "--poll", "1s", "--lease", "5s"];

/// So many of these tests at once: each is several processes, and a starved controller loses its lease, which is right
/// but slow.
static PLACES: Semaphore = Semaphore::const_new(6);

type Script = dyn Fn(&Request) -> Option<Reply> + Send + Sync;

/// A simulated fleet behind an endpoint that sees, and may spoil, every call; a store; and a person with the binary.
struct Stage {
    plimsoll: Plimsoll,
    ecs: Ecs,
    proxy: Fake,
    script: Arc<Mutex<Box<Script>>>,
    _sim: Process,
    _records: Option<Peer>,
    _place: SemaphorePermit<'static>,
}

/// Where a stage keeps its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Records {
    File,
    /// In a table, on a server that nobody here wrote.
    DynamoDb,
}

impl Stage {
    /// The fleet of [`fleet::scenario`]; the store is an empty file.
    async fn new() -> Self {
        Self::with(Records::File, &fleet::scenario()).await
    }

    /// The same, with the records elsewhere.
    async fn on(records: Records) -> Self {
        Self::with(records, &fleet::scenario()).await
    }

    /// Another fleet.
    async fn with_fleet(scenario: &serde_json::Value) -> Self {
        Self::with(Records::File, scenario).await
    }

    async fn with(records: Records, scenario: &serde_json::Value) -> Self {
        Self::of_accounts(records, scenario, &[]).await
    }

    /// The same, where other accounts have such a fleet, reached by taking on these roles.
    async fn of_accounts(records: Records, scenario: &serde_json::Value, roles: &[&str]) -> Self {
        let place = PLACES.acquire().await.unwrap();
        let mut plimsoll = Plimsoll::with_store();
        plimsoll.write("fleet.json", &scenario.to_string());
        plimsoll.write("mine.yaml", ENFORCED);
        // Four times as fast as it says: a controller with this machine's clock still knows what is new.
        let sim = ["sim", "--listen", "127.0.0.1:0", "--fleet", "fleet.json", "--speed", "4"];
        let roles: Vec<&str> = roles.iter().flat_map(|role| ["--role", role]).collect();
        let mut sim = Process::start(plimsoll.command(&[&sim[..], &roles].concat()));
        let server = address_of(&sim.first_line());
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(|_| None)));
        let asked = Arc::clone(&script);
        let proxy =
            Fake::start(move |_, request| asked.lock().unwrap()(request).unwrap_or(Reply::Forward(server))).await;
        plimsoll.set("AWS_ENDPOINT_URL", &proxy.endpoint());
        plimsoll.set("AWS_REGION", "eu-west-1");
        plimsoll.set("AWS_ACCESS_KEY_ID", "a");
        plimsoll.set("AWS_SECRET_ACCESS_KEY", "b");
        let records = match records {
            Records::File => None,
            Records::DynamoDb => {
                let peer = Peer::ministack().await;
                plimsoll.set("AWS_ENDPOINT_URL_DYNAMODB", &peer.endpoint());
                plimsoll.set("PLIMSOLL_STORE", "dynamodb://records");
                plimsoll.run(&["store", "init"]).exits(0);
                Some(peer)
            }
        };
        Self { plimsoll, ecs: Ecs(server, "a"), proxy, script, _sim: sim, _records: records, _place: place }
    }

    /// With this repository's policies applied, and two of them enforced.
    async fn enforced() -> Self {
        Self::enforced_on(Records::File).await
    }

    async fn enforced_on(records: Records) -> Self {
        let stage = Self::on(records).await;
        stage.apply();
        stage
    }

    fn apply(&self) -> crate::cli::Run {
        let policies = repository().join("policies");
        self.plimsoll.run(&["apply", "-f", policies.to_str().unwrap(), "-f", "mine.yaml"]).exits(0)
    }

    fn start(&self, arguments: &[&str]) -> Process {
        Process::start(self.plimsoll.command(arguments))
    }

    /// What happens to calls from now on; `None` lets one pass.
    fn script(&self, script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// The calls that write, in the order they were made: operation and body.
    fn writes(&self) -> Vec<(String, serde_json::Value)> {
        let requests = self.proxy.requests();
        let writes = requests.iter().filter(|request| is_write(request));
        writes.map(|request| (request.operation().to_owned(), serde_json::from_str(&request.body).unwrap())).collect()
    }

    /// Every violating service runs, wholly, a fixed revision that differs from its old one in the fix only; there is
    /// one such revision a family, made and moved to once; everything else is as it was.
    #[track_caller]
    fn is_fixed(&self) {
        fleet::is_fixed(&self.ecs);
        for (cluster, name, _, _) in fleet::FIXED {
            let deployments = self.ecs.service_deployments(cluster, name);
            // The one that made the service, and ours.
            assert_eq!(deployments.len(), 2, "{cluster}/{name}: {deployments:#?}");
        }
    }
}

fn is_write(request: &Request) -> bool {
    let operation = request.operation();
    !operation.is_empty() && !["List", "Describe", "Get"].iter().any(|read| operation.starts_with(read))
}

/// Looks again and again until it is so. Alone it takes a rollout over the fleet some ten seconds; hundreds of tests beside it
/// have processes of their own, and what is slow is not wrong.
#[track_caller]
fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(Duration::from_secs(180), what, look)
}

#[track_caller]
fn within<T>(most: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = tokio::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < most, "not within {most:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One of several cases that [`side_by_side`] waits for, in a runtime of its own: it blocks its thread, and the
/// endpoint before its fleet must not wait for that.
fn case(name: &str, case: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let run = || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(2).enable_all().build().unwrap().block_on(case);
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).unwrap()
}

/// Most of the time of these tests is waiting: leases, bakes, reads that may lag. The first one that fails tells why.
fn side_by_side<const N: usize>(cases: [JoinHandle<()>; N]) {
    let ends = cases.map(JoinHandle::join);
    for end in ends {
        end.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
}

/// Set once, from a script that runs elsewhere.
type Once<T> = Arc<OnceLock<T>>;
