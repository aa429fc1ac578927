//! A controller as the binary would assemble it, on somebody's server and on a store, in time that passes quickly.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use plimsoll::aws::AwsEcs;
use plimsoll::controller::reconcile::PassReport;
use plimsoll::controller::run::{Mode, RunEnd, Watcher};
use plimsoll::controller::{Controller, Parts, Settings};
use plimsoll::model::spec::TaggedAlarms;
use plimsoll::model::{Alarm, TargetId, Timestamp};
use plimsoll::plan::Plan;
use plimsoll::ports::ecs::{Ecs, EcsError, Operation};
use plimsoll::ports::{Alarms, AlarmsError, Clock, Store};
use plimsoll::records::campaign::{Campaign, Campaigns};
use plimsoll::records::configuration::{Application, Configurations};
use plimsoll::records::events::{self, Events};
use plimsoll::sim::{TokioClock, WorldConfig};
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::policies;
use crate::peers::Peer;

/// Seconds of the controller in one of ours. Reads may lag 20 seconds, says the controller: that is one of ours.
const SPEED: f64 = 20.0;

/// Of the controller's time, as all that it waits for: what the servers take counts twentyfold.
const LEASE: Duration = Duration::from_secs(15 * 60);

/// Nothing that goes well takes as long in real time, on a busy machine too.
const AT_MOST: Duration = Duration::from_secs(480);

/// ECS, and what it was asked to change.
#[derive(Default)]
pub(crate) struct Counted {
    ecs: Option<AwsEcs>,
    writes: Mutex<Vec<(Operation, Value)>>,
    /// After so many more writes no answer comes any more.
    answers: Mutex<Option<usize>>,
    hangs: Notify,
}

impl Ecs for Counted {
    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        Box::pin(async move {
            let counted = operation.writes().then(|| (operation, input.clone()));
            let answer = self.ecs.as_ref().unwrap().call(operation, input).await;
            if let Some(write) = counted {
                self.writes.lock().unwrap().push(write);
                if self.was_the_last() {
                    self.hangs.notify_one();
                    std::future::pending::<()>().await;
                }
            }
            answer
        })
    }
}

impl Counted {
    /// What changed something in ECS since last asked.
    pub(crate) fn writes(&self) -> Vec<(Operation, Value)> {
        std::mem::take(&mut *self.writes.lock().unwrap())
    }

    fn was_the_last(&self) -> bool {
        let mut answers = self.answers.lock().unwrap();
        *answers = answers.map(|left| left.saturating_sub(1));
        answers.take_if(|left| *left == 0).is_some()
    }
}

/// One controller and what it works with.
pub(crate) struct Loop {
    pub(crate) ecs: Arc<Counted>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) target: TargetId,
    lease: Duration,
    clock: Arc<TokioClock>,
    controller: Controller,
}

impl Loop {
    /// On what the peer has, with the policies that `text` names.
    pub(crate) async fn on(peer: &Peer, store: Arc<dyn Store>, text: &str) -> Self {
        Self::on_lease(peer, store, text, LEASE).await
    }

    /// The same, with leases so long, in the controller's time.
    pub(crate) async fn on_lease(peer: &Peer, store: Arc<dyn Store>, text: &str, lease: Duration) -> Self {
        let identity = peer.connection().identity().await.unwrap();
        let target = TargetId { account: identity.account, region: peer.connection().region().to_owned() };
        let ecs = Arc::new(Counted { ecs: Some(peer.connection().ecs()), ..Counted::default() });
        // The servers' clock is this machine's.
        #[expect(clippy::disallowed_methods, reason = "the edge of a test")]
        let now = Timestamp::from_utc(std::time::SystemTime::now().into());
        let clock = Arc::new(TokioClock::scaled(now, SPEED));
        let application = Application { objects: policies::objects(text), ..Application::default() };
        Configurations::of(store.as_ref()).apply(&application, clock.now(), false).await.unwrap();
        let controller = controller(&ecs, &store, &clock, &target, ("one", lease));
        Self { ecs, store, target, lease, clock, controller }
    }

    /// Another controller takes the place of this one, as after the end of its process, with `store` opened anew.
    pub(crate) fn starts_again(&mut self, holder: &str, store: Arc<dyn Store>) {
        self.store = store;
        self.controller = controller(&self.ecs, &self.store, &self.clock, &self.target, (holder, self.lease));
    }

    /// Pass after pass, until nothing is left to do: what does not comply, and why.
    pub(crate) async fn settles(&mut self) -> Vec<String> {
        match self.runs(Duration::from_secs(10 * 60)).await {
            RunEnd::Settled { problems } => problems,
            RunEnd::Stopped => panic!("it was not told to stop"),
        }
    }

    /// The same; what is deferred is waited for only so long, in the controller's time.
    pub(crate) async fn runs(&mut self, timeout: Duration) -> RunEnd {
        let (stop, mut watcher) = (CancellationToken::new(), Told::default());
        let run = self.controller.run(Mode::UntilSettled { timeout }, &stop, &mut watcher);
        match tokio::time::timeout(AT_MOST, run).await {
            Ok(end) => end.unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error))),
            Err(_) => panic!("it does not settle: {:#?}", watcher.0),
        }
    }

    /// Works until ECS has done so many writes, and dies before it hears of the last of them.
    pub(crate) async fn dies_at_write(&mut self, number: usize) {
        *self.ecs.answers.lock().unwrap() = Some(number);
        let (stop, mut nobody) = (CancellationToken::new(), Told::default());
        let run = self.controller.run(Mode::Forever, &stop, &mut nobody);
        tokio::select! {
            end = run => panic!("{end:?}"),
            () = self.ecs.hangs.notified() => {}
            () = tokio::time::sleep(AT_MOST) => panic!("it writes less: {:?}", self.ecs.writes()),
        }
    }

    /// What would change now.
    pub(crate) async fn plan(&mut self) -> Plan {
        self.controller.plan(None).await.unwrap().0
    }

    /// Every rollout, and its changes, as they are recorded.
    pub(crate) async fn campaigns(&self) -> Vec<Campaign> {
        Campaigns::of(self.store.as_ref(), &self.target).campaigns().await.unwrap()
    }

    /// Asserts that nothing is missing in the history and nothing was edited, and says how much there is.
    pub(crate) async fn audits(&self) -> usize {
        let events = Events::of(self.store.as_ref(), &self.target).list("").await.unwrap();
        assert_eq!(events::verify(&events), []);
        events.len()
    }
}

fn controller(
    ecs: &Arc<Counted>,
    store: &Arc<dyn Store>,
    clock: &Arc<TokioClock>,
    target: &TargetId,
    (holder, lease): (&str, Duration),
) -> Controller {
    let parts = Parts { ecs: ecs.clone(), alarms: Arc::new(NobodysAlarms), store: store.clone(), clock: clock.clone() };
    let settings = Settings {
        target: target.clone(),
        caller: WorldConfig::default().caller,
        holder: holder.to_owned(),
        lease,
        call_timeout: Duration::from_secs(2),
        resync: None,
        poll: Duration::from_secs(5),
        allow_edit: vec![],
    };
    Controller::new(parts, settings)
}

/// Remembers how the last pass stood: for the one who asks why it does not end.
#[derive(Default)]
struct Told(Vec<String>);

impl Watcher for Told {
    fn passed(&mut self, report: &PassReport, _: Timestamp) {
        let changes = report.campaigns.iter().flat_map(|campaign| &campaign.changes).map(|change| &change.value);
        let change = changes.map(|change| {
            let waiting = change.waiting.as_ref().map_or_else(String::new, ToString::to_string);
            format!("{} {} {waiting}", change.spec.resource.short(), change.state.phase().as_str())
        });
        self.0 = change.collect();
    }
}

/// Of a fleet whose strategies name none.
struct NobodysAlarms;

impl Alarms for NobodysAlarms {
    fn tagged<'a>(&'a self, tags: &'a TaggedAlarms) -> BoxFuture<'a, Result<BTreeSet<String>, AlarmsError>> {
        panic!("nobody has asked for alarms: {tags}")
    }

    fn states<'a>(&'a self, names: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Vec<Alarm>, AlarmsError>> {
        panic!("nobody has asked for alarms: {names:?}")
    }
}
