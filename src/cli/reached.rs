//! From a Target to its running controller: credentials, identity, budget, metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::connect::{self, Aws, ReachError};
use super::controller::{ControllerArguments, FAMILIES_A_LOOK, settings};
use super::listen;
use crate::aws::Connection;
use crate::controller::lease::Claims;
use crate::controller::run::Unwatched;
use crate::controller::side_by_side::{Broken, Reach};
use crate::controller::targets::Wanted;
use crate::controller::{Controller, Mode, Parts, RunEnd, Trigger};
use crate::model::{Reason, TargetId};
use crate::ports::{Ecs, Store};
use crate::web::health::{Watched, WatchedTargets};
use crate::web::metrics::{Counting, Metrics, ObservedAlarms, ObservedEcs};

/// What all targets of a process share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reaching {
    pub(super) connection: Connection,
    pub(super) arguments: ControllerArguments,
    pub(super) mode: Mode,
    pub(super) claims: Option<Claims>,
    pub(super) store: Arc<dyn Store>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) watched: WatchedTargets,
    pub(super) triggers: Triggers,
}

/// Who asks for passes, and of whom. Cheap to clone; a clone sees the same.
#[derive(Clone, Default)]
pub(super) struct Triggers(Arc<Mutex<BTreeMap<TargetId, Trigger>>>);

impl Triggers {
    pub(super) fn ask(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(Trigger::ask);
    }

    fn set(&self, target: &TargetId, trigger: Option<Trigger>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match trigger {
            Some(trigger) => drop(all.insert(target.clone(), trigger)),
            None => drop(all.remove(target)),
        }
    }
}

impl Reaching {
    async fn reach(&self, wanted: &Wanted) -> Result<Aws, Reason> {
        let observe = |ecs, target: &TargetId| -> Arc<dyn Ecs> {
            Arc::new(ObservedEcs::new(ecs, target.clone(), Arc::clone(&self.metrics)))
        };
        let reached = Aws::reach(&self.connection, wanted, Some(self.arguments.budget), &observe).await;
        reached.map_err(|ReachError { code, error }| Reason::of(code, error.without_help().one_line()))
    }

    async fn control(self, wanted: Wanted, stop: CancellationToken) -> Result<RunEnd, Broken> {
        let reached = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(RunEnd::Stopped),
            reached = self.reach(&wanted) => reached.map_err(Broken::NotReached)?,
        };
        let target = reached.target.clone();
        // No other controller has it, nor has this one before: its lease is told apart.
        let holder = connect::holder();
        self.metrics.watch(&target, Some(listen::levels(Arc::clone(&reached.budget))));
        self.watched.set(&wanted.name, Some(Watched::Runs { target: target.clone(), holder: holder.clone() }));
        let parts = Parts {
            ecs: Arc::clone(&reached.ecs),
            alarms: Arc::new(ObservedAlarms::new(
                Arc::clone(&reached.alarms),
                target.clone(),
                Arc::clone(&self.metrics),
            )),
            store: Arc::clone(&self.store),
            clock: reached.clock,
        };
        let settings = settings(&self.arguments, &target, &reached.caller, &holder);
        let mut controller = Controller::new(parts, settings);
        if !self.arguments.standalone.0.is_zero() {
            controller = controller.with_standalone(self.arguments.standalone.0, FAMILIES_A_LOOK);
        }
        if let Some(claims) = self.claims.clone() {
            controller = controller.with_claims(claims);
        }
        self.triggers.set(&target, Some(controller.trigger()));
        let mut counting = Counting { metrics: &self.metrics, target: target.clone(), next: &mut Unwatched };
        let end = controller.run(self.mode, &stop, &mut counting).await;
        self.triggers.set(&target, None);
        if self.mode == Mode::Forever {
            self.metrics.forget(&target);
        } else {
            // Whoever scrapes sees how it ended, for as long as others go on.
            self.watched.set(&wanted.name, Some(Watched::Ended { target }));
        }
        end.map_err(Broken::Ended)
    }
}

impl Reach for Reaching {
    fn run(&self, wanted: &Wanted, stop: CancellationToken) -> BoxFuture<'static, Result<RunEnd, Broken>> {
        Box::pin(self.clone().control(wanted.clone(), stop))
    }

    fn stands(&self, wanted: &Wanted, why: Option<&Reason>) {
        if let Some(id) = wanted.id() {
            self.metrics.set_unwatched(&id, why.is_some());
        }
        self.watched.set(&wanted.name, why.map(|reason| Watched::NotReached { why: reason.code }));
    }
}
