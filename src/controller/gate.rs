//! The last look before every write to ECS: do we hold the lease for long enough, and does no Freeze forbid it?

use std::time::Duration;

use super::error::ControllerError;
use super::lease::{Held, Keeper};
use crate::model::spec::{FreezeSpec, Spec};
use crate::model::{Reason, ReasonCode, TargetId, Timestamp};
use crate::plan;
use crate::policy::ScopeKeys;
use crate::ports::{Clock, Store};
use crate::records::configuration::Configurations;
#[cfg(doc)]
use crate::rollout::change::READ_LAG;

/// What a lease must have left beyond the longest a call may take: for clocks that run apart and a process that waits
/// for a processor.
const MARGIN: Duration = Duration::from_secs(1);

/// How old the answer about Freezes may be when a write begins: a Freeze is heeded within a second of being stored.
const FRESH: Duration = Duration::from_secs(1);

/// How often a look that took too long is repeated before the write is put off.
const LOOKS: usize = 3;

/// How long after its intent a call may still be made: whether it was is asked [`READ_LAG`] after the intent, when
/// reads have caught up with a call that was made by then.
const INTENT_HOLDS: Duration = Duration::from_secs(5);

/// Why a call that was intended then is not made any more: writing that down may have taken long, or waiting for the budget,
/// and the machine may have slept.
pub(super) fn intended_too_long_ago(intent: Timestamp, now: Timestamp) -> Option<Reason> {
    let message = "the call was intended too long ago to be made now";
    (intent + INTENT_HOLDS <= now).then(|| Reason::of(ReasonCode::OutcomeUnknown, message))
}

/// Which way a write goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Towards what the policies want.
    Forward,
    /// Taking back what is in flight.
    Back,
}

/// What decides whether a write may be made.
#[derive(Debug)]
pub struct Gate {
    /// The lease.
    pub keeper: Keeper,
    /// The longest that a write to ECS may take.
    call_timeout: Duration,
    freezes: Vec<(String, FreezeSpec)>,
    generation: Option<u64>,
}

impl Gate {
    /// With nothing known yet.
    #[must_use]
    pub const fn new(keeper: Keeper, call_timeout: Duration) -> Self {
        Self { keeper, call_timeout, freezes: Vec::new(), generation: None }
    }

    /// The Freezes as last read.
    #[must_use]
    pub fn freezes(&self) -> &[(String, FreezeSpec)] {
        &self.freezes
    }

    /// Reads the Freezes again if they have changed: one small read.
    ///
    /// # Errors
    /// The store's.
    pub async fn refresh(&mut self, store: &dyn Store) -> Result<(), ControllerError> {
        if let Some((generation, objects)) = Configurations::of(store).freezes(self.generation).await? {
            self.freezes = objects
                .into_iter()
                .filter_map(|object| match object.spec {
                    Spec::Freeze(freeze) => Some((object.metadata.name, freeze)),
                    _ => None,
                })
                .collect();
            self.generation = Some(generation);
        }
        Ok(())
    }

    /// Why this write may not be made now, if so. Reads the Freezes and renews the lease as needed.
    ///
    /// # Errors
    /// The store's; [`ControllerError::NotHolder`] where the lease is somebody else's: then nothing more may be done.
    pub async fn closed(
        &mut self,
        store: &dyn Store,
        target: &TargetId,
        clock: &dyn Clock,
        keys: &ScopeKeys,
        direction: Direction,
    ) -> Result<Option<Reason>, ControllerError> {
        // A store may be slow, and a machine may sleep in between: only a quick look says what holds now.
        for _ in 0..LOOKS {
            let began = clock.monotonic();
            self.hold_on(store, target, clock).await?;
            self.refresh(store).await?;
            if clock.monotonic().saturating_sub(began) > FRESH {
                continue;
            }
            // Last, with nothing to wait for between this and the call.
            if self.keeper.remaining(clock) < self.call_timeout + MARGIN {
                let message = "too little of the lease is left to make a call".to_owned();
                return Ok(Some(Reason::of(ReasonCode::LeaseEnding, message)));
            }
            return Ok(self.frozen(keys, clock, direction));
        }
        let message = "the store answers too slowly to look for Freezes right before a call".to_owned();
        Ok(Some(Reason::of(ReasonCode::NotObserved, message)))
    }

    /// Renews the lease as needed.
    ///
    /// # Errors
    /// The store's, and a lost lease.
    pub(super) async fn hold_on(
        &mut self,
        store: &dyn Store,
        target: &TargetId,
        clock: &dyn Clock,
    ) -> Result<(), ControllerError> {
        let lost = |holder: String| ControllerError::NotHolder { target: target.to_string(), holder };
        match self.keeper.ensure(store, target, clock).await? {
            Held::Still { .. } => Ok(()),
            // Lost and taken again within a pass: what was read before may be somebody else's work by now.
            Held::Taken { .. } => Err(lost("it was lost in between".to_owned())),
            Held::Elsewhere { holder } => Err(lost(holder)),
        }
    }

    /// The Freeze that matches, as last read.
    #[must_use]
    pub fn frozen(&self, keys: &ScopeKeys, clock: &dyn Clock, direction: Direction) -> Option<Reason> {
        let applies = |freeze: &FreezeSpec| direction == Direction::Forward || freeze.include_rollback;
        let freezes: Vec<(String, FreezeSpec)> =
            self.freezes.iter().filter(|(_, freeze)| applies(freeze)).cloned().collect();
        plan::frozen(&freezes, keys, clock.now())
    }
}

#[cfg(test)]
mod tests;
