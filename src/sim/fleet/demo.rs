//! The fleet of the demonstration: three clusters, mixed launch types, the usual sins, and the special cases by name.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::random::Random;
use super::super::{Condition, Effect, Misbehaviour, World, WorldConfig};
use super::documents::{Habits, datadog_agent, task_definition};
use super::filling;
use super::scenario::{Later, Scenario, Stamp, Step};
use super::special;
use crate::model::{Span, Timestamp};

/// When the demonstration starts: Monday, 23 November 2026, 09:00 UTC, within anybody's working hours.
pub const START: Timestamp = Timestamp::from_millis(1_795_424_400_000);

/// What ordinary services are called and whose they are.
const WORDS: &[(&str, &str)] = &[
    ("accounts", "identity"),
    ("auth", "identity"),
    ("audit-log", "identity"),
    ("cart", "shop"),
    ("coupons", "shop"),
    ("delivery", "logistics"),
    ("email-render", "growth"),
    ("exports", "data"),
    ("feature-flags", "platform"),
    ("fraud-score", "payments"),
    ("geocoder", "logistics"),
    ("image-resize", "shop"),
    ("inventory", "logistics"),
    ("invoices", "payments"),
    ("loyalty", "growth"),
    ("notifications", "growth"),
    ("pricing", "shop"),
    ("profile", "identity"),
    ("recommendations", "data"),
    ("refunds", "payments"),
    ("reviews", "shop"),
    ("scheduler", "platform"),
    ("shipping", "logistics"),
    ("tax", "payments"),
    ("webhooks", "platform"),
];

/// A world of at least `services` services, and of all the special ones; its time is [`START`].
#[must_use]
pub fn demo_fleet(services: usize, seed: u64) -> World {
    #[expect(clippy::expect_used, reason = "its steps depend on the number and the seed only, and a test builds many")]
    demo(services, seed).build().expect("the demonstration fleet is made of calls that ECS accepts")
}

/// The same as data.
#[must_use]
pub fn demo(services: usize, seed: u64) -> Scenario {
    of_size(services, seed, 0)
}

/// The same with ordinary task definitions of at least `document_bytes`, as a register input's JSON. Three more clusters
/// for every ten thousand services: ECS lets a cluster have 5,000 (ecs-facts §4.3).
#[must_use]
pub fn of_size(services: usize, seed: u64, document_bytes: usize) -> Scenario {
    let mut builder = Builder { seed, document_bytes, steps: Vec::new() };
    let ordinary = services.saturating_sub(special::ALL.len());
    let mut instances = BTreeMap::new();
    for block in 0..ordinary.div_ceil(BLOCK).max(1) {
        for (kind, insights, count) in KINDS {
            let cluster = cluster(kind, block);
            builder.step(
                "CreateCluster",
                json!({
                    "clusterName": cluster,
                    "settings": [{ "name": "containerInsights", "value": insights }],
                    "tags": [{ "key": "env", "value": env(kind) }],
                }),
            );
            instances.insert(cluster, count);
        }
    }
    builder.special();
    for number in 0..ordinary {
        builder.ordinary(number);
    }
    let config = WorldConfig { seed, ..WorldConfig::default() };
    let billing = "arn:aws:ecs:eu-west-1:123456789012:service/prod-a/billing".to_owned();
    let stack = [
        ("aws:cloudformation:stack-name", "billing-prod"),
        ("aws:cloudformation:stack-id", "arn:aws:cloudformation:eu-west-1:123456789012:stack/billing-prod/1b2c3d4e"),
        ("aws:cloudformation:logical-id", "Service"),
    ];
    let tags = stack.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    Scenario {
        start: START,
        config,
        steps: builder.steps,
        instances,
        stamps: vec![Stamp { arn: billing, tags }],
        planted: BTreeMap::new(),
        images: BTreeMap::new(),
        age: Span::from_secs(6 * 3600),
        later: vec![Later {
            after: Span::from_secs(0),
            operation: "UpdateService".into(),
            input: json!({ "cluster": special::PROD, "service": "search", "forceNewDeployment": true }),
        }],
        misbehaviours: ledger_rules(),
    }
}

/// The ledger reads other processes' memory, from a driver that needs a privileged container.
fn ledger_rules() -> Vec<Misbehaviour> {
    let unless = |pointer: &str, equals: Value| Misbehaviour {
        family: "ledger".into(),
        when: vec![Condition { pointer: pointer.into(), equals: Some(equals), not: true }],
        effect: Effect::CrashOnStart,
    };
    vec![unless("/pidMode", json!("host")), unless("/containerDefinitions/0/privileged", json!(true))]
}

/// How many ordinary services three clusters share: two fifths of them are in the largest.
const BLOCK: usize = 10_000;

/// The first clusters, whether Container Insights are on in them, and how many instances they have.
const KINDS: [(&str, &str, u32); 3] =
    [(special::PROD, "disabled", 6), (special::STAGING, "enabled", 4), (special::DEV, "enhanced", 4)];

/// The cluster of a kind in a block of services: the first is the kind's own, `prod-a`, and then come `prod-2`, `prod-3`.
fn cluster(kind: &str, block: usize) -> String {
    if block == 0 { kind.to_owned() } else { format!("{}-{}", env(kind), block + 1) }
}

fn env(cluster: &str) -> &str {
    cluster.split('-').next().unwrap_or(cluster)
}

struct Builder {
    seed: u64,
    /// The least that an ordinary task definition has.
    document_bytes: usize,
    steps: Vec<Step>,
}

/// How a service is run.
struct Run<'a> {
    team: &'a str,
    fargate: bool,
    desired: u32,
    /// Members of CreateService that differ from the usual.
    extra: Value,
}

impl Builder {
    fn step(&mut self, operation: &str, input: Value) {
        self.steps.push(Step { operation: operation.to_owned(), input });
    }

    /// Registers what `path`'s service runs, under its own name, and creates it.
    fn service(&mut self, path: &str, run: &Run<'_>, habits: Habits) {
        let (cluster, name) = path.split_once('/').unwrap_or((special::DEV, path));
        self.step("RegisterTaskDefinition", task_definition(name, run.team, env(cluster), run.fargate, habits));
        self.create(path, name, run);
    }

    fn create(&mut self, path: &str, family: &str, run: &Run<'_>) {
        let (cluster, name) = path.split_once('/').unwrap_or((special::DEV, path));
        let mut input = json!({
            "cluster": cluster,
            "serviceName": name,
            "taskDefinition": format!("{family}:1"),
            "desiredCount": run.desired,
            "deploymentConfiguration": {
                "maximumPercent": 200,
                "minimumHealthyPercent": 100,
                "deploymentCircuitBreaker": { "enable": true, "rollback": true },
            },
            "tags": [{ "key": "env", "value": env(cluster) }, { "key": "team", "value": run.team }],
            "propagateTags": "SERVICE",
            "enableECSManagedTags": true,
        });
        if let Some(members) = input.as_object_mut() {
            members.insert("launchType".into(), json!(if run.fargate { "FARGATE" } else { "EC2" }));
            if run.fargate {
                members.insert("networkConfiguration".into(), network("DISABLED"));
            }
            if let Some(extra) = run.extra.as_object() {
                members.extend(extra.clone());
            }
        }
        self.step("CreateService", input);
    }

    fn ordinary(&mut self, number: usize) {
        let kind = match number % 5 {
            0 | 1 => special::PROD,
            2 | 3 => special::STAGING,
            _ => special::DEV,
        };
        let (word, team) = WORDS.get(number % WORDS.len()).copied().unwrap_or(("service", "platform"));
        let name = if number < WORDS.len() { word.to_owned() } else { format!("{word}-{}", number / WORDS.len() + 1) };
        let mut random = Random::named(self.seed, &format!("habits of {name}"));
        let mut percent = |chance: u64| random.below(100) < chance;
        let fargate = percent(55);
        let habits = Habits {
            read_only_root: percent(60),
            non_root_user: percent(75),
            logs: percent(92),
            sidecar: percent(35),
            health_check: percent(70),
            host_pid: !fargate && percent(25),
            privileged: !fargate && percent(12),
            host_network: false,
            secret_in_environment: percent(4),
            oddities: percent(20),
        };
        let desired = u32::try_from(random.below(4)).unwrap_or(0) + 1;
        let run = Run { team, fargate, desired, extra: json!({}) };
        let mut document = task_definition(&name, team, env(kind), fargate, habits);
        filling::fill(&mut document, self.document_bytes, &mut Random::named(self.seed, &format!("filling of {name}")));
        self.step("RegisterTaskDefinition", document);
        self.create(&format!("{}/{name}", cluster(kind, number / BLOCK)), &name, &run);
    }

    fn special(&mut self) {
        let good = Habits::GOOD;
        let ec2 = |team, desired, extra| Run { team, fargate: false, desired, extra };
        let fargate = |team, desired, extra| Run { team, fargate: true, desired, extra };
        let breaker = json!({ "deploymentConfiguration": {
            "maximumPercent": 200, "minimumHealthyPercent": 100,
            "deploymentCircuitBreaker": { "enable": true, "rollback": false },
        } });
        self.service(
            special::LEDGER,
            &ec2("payments", 2, breaker),
            Habits { host_pid: true, privileged: true, ..good },
        );
        let code_deploy = json!({
            "deploymentController": { "type": "CODE_DEPLOY" },
            "deploymentConfiguration": { "maximumPercent": 200, "minimumHealthyPercent": 100 },
        });
        let checkout = Habits { read_only_root: false, host_pid: true, ..good };
        self.service(special::CHECKOUT, &ec2("shop", 3, code_deploy), checkout);
        let bakes = json!({ "deploymentConfiguration": {
            "maximumPercent": 200, "minimumHealthyPercent": 100, "bakeTimeInMinutes": 5,
            "deploymentCircuitBreaker": { "enable": true, "rollback": true },
        } });
        self.service(special::SEARCH, &ec2("shop", 2, bakes), Habits { host_pid: true, ..good });
        self.datadog();
        self.service(
            special::PAYMENTS,
            &ec2("payments", 3, json!({})),
            Habits { host_pid: true, sidecar: true, ..good },
        );
        self.create(special::PAYMENTS_WORKER, "payments", &ec2("payments", 2, json!({})));
        self.service(special::REPORTS, &ec2("data", 0, json!({})), Habits { host_pid: true, ..good });
        let full = json!({ "deploymentConfiguration": { "maximumPercent": 100, "minimumHealthyPercent": 100 } });
        self.service(special::SESSIONS, &ec2("identity", 1, full), Habits { host_pid: true, ..good });
        let catalog = Habits { host_pid: true, ..good };
        self.service(special::CATALOG, &ec2("shop", 2, json!({})), catalog);
        // Registered by a pipeline that has not deployed it yet.
        self.step(
            "RegisterTaskDefinition",
            task_definition("catalog", "shop", "prod", false, Habits { sidecar: true, ..catalog }),
        );
        self.service(special::BILLING, &ec2("payments", 2, json!({})), Habits { privileged: true, ..good });
        let old = json!({ "platformVersion": "1.3.0" });
        self.service(special::LEGACY_EXPORT, &fargate("data", 1, old), Habits { read_only_root: false, ..good });
        let public = json!({ "networkConfiguration": network("ENABLED") });
        self.service(special::STOREFRONT, &fargate("shop", 3, public), good);
        let exporter = Habits { host_pid: true, host_network: true, non_root_user: false, ..good };
        self.service(special::NODE_EXPORTER, &ec2("platform", 2, json!({})), exporter);
        self.service(special::MAILER, &fargate("growth", 2, json!({})), Habits { secret_in_environment: true, ..good });
        let builder =
            Habits { privileged: true, non_root_user: false, read_only_root: false, health_check: false, ..good };
        self.service(special::IMAGE_BUILDER, &ec2("platform", 1, json!({})), builder);
        self.mesh_gateway();
        let orders = Habits { read_only_root: false, sidecar: true, oddities: true, host_pid: true, ..good };
        self.service(special::ORDERS, &ec2("shop", 2, json!({})), orders);
    }

    fn datadog(&mut self) {
        self.step("RegisterTaskDefinition", datadog_agent());
        self.step(
            "CreateService",
            json!({
                "cluster": special::PROD,
                "serviceName": "datadog-agent",
                "taskDefinition": "datadog-agent:1",
                "launchType": "EC2",
                "schedulingStrategy": "DAEMON",
                "tags": [{ "key": "env", "value": "prod" }, { "key": "team", "value": "platform" }],
            }),
        );
    }

    /// Nobody has made a task set for it yet.
    fn mesh_gateway(&mut self) {
        self.step(
            "CreateService",
            json!({
                "cluster": special::STAGING,
                "serviceName": "mesh-gateway",
                "desiredCount": 1,
                "deploymentController": { "type": "EXTERNAL" },
                "tags": [{ "key": "env", "value": "staging" }, { "key": "team", "value": "platform" }],
            }),
        );
    }
}

fn network(public: &str) -> Value {
    json!({ "awsvpcConfiguration": {
        "subnets": ["subnet-0a1b2c3d4e5f60718", "subnet-1a1b2c3d4e5f60718"],
        "securityGroups": ["sg-0f9e8d7c6b5a43210"],
        "assignPublicIp": public,
    } })
}

#[cfg(test)]
mod tests;
