//! The controllers of several targets side by side, for as long as their Target objects are stored. One that is slow,
//! denied or broken delays no other.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::error::ControllerError;
use super::run::RunEnd;
use super::targets::{self, Standing, Step, Stored, Wanted};
use crate::model::{Reason, ReasonCode, TargetId, chain};
use crate::ports::{Clock, Store};
use crate::records::configuration::{Configurations, Generation};
use crate::records::targets::Targets;

/// How often the heads of the configuration are looked at for another Target: one small read.
const LOOK_AT_HEADS: Duration = Duration::from_secs(4);

/// Why a target's controller has ended without being told to.
#[derive(Debug)]
pub enum Broken {
    /// It could not be reached: no such role, another account, no answer.
    NotReached(Reason),
    /// It was reached, and its controller ended.
    Ended(ControllerError),
}

/// Reaches targets.
pub trait Reach: Send + Sync {
    /// Finds out whose the target is and runs its controller until `stop`.
    ///
    /// Dropping the future is safe: what was intended is recorded.
    fn run(&self, wanted: &Wanted, stop: CancellationToken) -> BoxFuture<'static, Result<RunEnd, Broken>>;

    /// It was tried and is tried again later; `None`: it is no longer wanted.
    fn stands(&self, wanted: &Wanted, why: Option<&Reason>);
}

type Ended = Result<RunEnd, Broken>;

/// All targets of this process.
pub struct SideBySide {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    reach: Arc<dyn Reach>,
    only: Option<TargetId>,
    read: Option<Generation>,
    stored: Stored,
    standing: BTreeMap<String, Standing>,
    stops: BTreeMap<String, CancellationToken>,
    names: HashMap<Id, String>,
    runs: JoinSet<Ended>,
}

impl SideBySide {
    /// Runs nothing yet. `only` leaves all others out.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, reach: Arc<dyn Reach>, only: Option<TargetId>) -> Self {
        let (stored, standing, stops) = (Stored::default(), BTreeMap::new(), BTreeMap::new());
        Self {
            store,
            clock,
            reach,
            only,
            read: None,
            stored,
            standing,
            stops,
            names: HashMap::new(),
            runs: JoinSet::new(),
        }
    }

    /// Starts and stops controllers as Target objects come, change and go, until `stop`; then has all of them stop between
    /// two steps, and waits for that. What is stored and cannot be read is what was read last.
    ///
    /// Cancellation: dropping the future drops all controllers at their next await; what was intended is recorded, and
    /// their leases run out.
    pub async fn run(&mut self, stop: &CancellationToken) {
        let clock = Arc::clone(&self.clock);
        while !stop.is_cancelled() {
            self.read_targets().await;
            for step in targets::steps(&self.stored.wanted, &self.standing, clock.monotonic()) {
                self.take(step);
            }
            tokio::select! {
                // In this order, so that a run in virtual time is the same each time.
                biased;
                () = stop.cancelled() => {}
                Some(ended) = self.runs.join_next_with_id() => self.ended(ended).await,
                () = clock.sleep(LOOK_AT_HEADS) => {}
            }
        }
        self.stops.values().for_each(CancellationToken::cancel);
        while let Some(ended) = self.runs.join_next().await {
            if let Ok(Err(Broken::Ended(error))) = ended {
                tracing::warn!(error = %chain(&error), "a controller ended with an error while it was stopping");
            }
        }
    }

    async fn read_targets(&mut self) {
        match Configurations::of(self.store.as_ref()).read(self.read).await {
            Ok(None) => {}
            Ok(Some(configuration)) => {
                self.read = Some(configuration.generation);
                let stored = Stored::of(&configuration.objects, self.only.as_ref());
                if stored == self.stored {
                    return;
                }
                for (name, first) in &stored.doubles {
                    tracing::warn!(
                        target_name = name,
                        first,
                        "this Target is not watched: another one is that account and region"
                    );
                }
                self.stored = stored;
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "which targets there are could not be read; those that were read last stay")
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Start { wanted, failures } => {
                let stop = CancellationToken::new();
                let handle = self.runs.spawn(self.reach.run(&wanted, stop.clone()));
                self.names.insert(handle.id(), wanted.name.clone());
                self.stops.insert(wanted.name.clone(), stop);
                self.standing.insert(wanted.name.clone(), Standing::Runs { wanted, failures });
            }
            Step::Stop { name } => {
                if let Some(stop) = self.stops.get(&name) {
                    stop.cancel();
                }
                if let Some(stands) = self.standing.remove(&name) {
                    let wanted = stands.wanted().clone();
                    tracing::info!(target_name = name, "stopping: its Target was changed or deleted");
                    self.standing.insert(name, Standing::Stops { wanted });
                }
            }
            Step::Forget { name } => {
                if let Some(stands) = self.standing.remove(&name) {
                    self.reach.stands(stands.wanted(), None);
                }
            }
        }
    }

    async fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(name) = self.names.remove(&id) else { return };
        self.stops.remove(&name);
        let Some(stands) = self.standing.remove(&name) else { return };
        let (wanted, failures) = match stands {
            Standing::Runs { wanted, failures } | Standing::Waits { wanted, failures, .. } => (wanted, failures),
            Standing::Stops { wanted } => {
                self.reach.stands(&wanted, None);
                return;
            }
        };
        let (reason, failures) = match ended {
            // Nobody told it to. Begun anew, and not at once: nothing spins.
            Ok((_, Ok(_))) => (Reason::of(ReasonCode::NotObserved, "its controller ended by itself"), failures + 1),
            Ok((_, Err(Broken::NotReached(reason)))) => {
                tracing::warn!(target_name = name, %reason, failures = failures + 1, "the target cannot be reached");
                self.tell(&wanted, &reason).await;
                (reason, failures + 1)
            }
            // It had been reached.
            Ok((_, Err(Broken::Ended(error)))) => {
                tracing::error!(target_name = name, error = %chain(&error), "the controller of the target ended");
                let reason = error.reason();
                (reason.unwrap_or_else(|| Reason::of(ReasonCode::NotObserved, chain(&error))), 1)
            }
            Err(error) => {
                tracing::error!(target_name = name, error = %chain(&error), "plimsoll has a bug: the controller of the target panicked");
                (Reason::of(ReasonCode::NotObserved, "its controller ended by a bug; the log has more"), failures + 1)
            }
        };
        self.reach.stands(&wanted, Some(&reason));
        let until = self.clock.monotonic() + targets::pause(failures);
        self.standing.insert(name, Standing::Waits { wanted, failures, until });
    }

    /// Keeps why it cannot be reached, for whoever asks, unless another controller watches it.
    async fn tell(&self, wanted: &Wanted, reason: &Reason) {
        let Some(id) = wanted.id() else { return };
        let told = Targets::of(self.store.as_ref()).tell_unwatched(&id, reason.clone(), self.clock.now()).await;
        if let Err(error) = told {
            tracing::debug!(error = %chain(&error), "why the target cannot be reached could not be kept");
        }
    }
}
