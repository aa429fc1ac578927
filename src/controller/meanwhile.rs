//! What goes on while the fleet is read: within ECS's rates a large one takes longer than a lease, much longer than a
//! deployment may go unwatched, and longer than a person waits for an answer.

use std::collections::BTreeSet;
use std::time::Duration;

use super::begin::not_judged;
use super::books::Books;
use super::configured::LOOK_AT_HEADS;
use super::error::ControllerError;
use super::execute::Executor;
use super::lease::Held;
use crate::model::chain;
use crate::records::configuration::{Configurations, Generation};

/// How often what is looked at.
pub(super) struct Pace {
    /// The lease is renewed each third of it.
    pub(super) lease: Duration,
    /// Changes in flight.
    pub(super) poll: Duration,
    /// What the pass has read of what is stored.
    pub(super) read: Option<Generation>,
}

/// What happened while something was read.
#[derive(Debug, Default)]
pub(super) struct Meantime {
    /// Commands that were carried out.
    pub(super) commands: usize,
    /// What is stored is other than what the pass goes by.
    pub(super) edited: bool,
}

impl Executor<'_> {
    /// Does some reading, and meanwhile renews the lease, obeys Commands and looks after what is in flight, as often as
    /// ever. From when what is stored has changed, nothing begins any more: it is judged by that first.
    ///
    /// Ends at once when it is to stop: what was read is of no use to whoever goes on.
    ///
    /// What is read may be older than what was moved meanwhile: whoever decides from it leaves alone what an open rollout
    /// had in hand when the reading began.
    ///
    /// # Errors
    /// The store's, and a lost lease.
    pub(super) async fn meanwhile<T>(
        &mut self,
        books: &mut Books,
        pace: &Pace,
        answered: &mut BTreeSet<String>,
        reading: impl Future<Output = T>,
    ) -> Result<(T, Meantime), ControllerError> {
        tokio::pin!(reading);
        let (stop, mut meantime) = (self.stop.clone(), Meantime::default());
        let poll = pace.poll.min(pace.lease / 3);
        let mut moved = self.clock.monotonic();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(ControllerError::Stopped),
                read = &mut reading => return Ok((read, meantime)),
                () = self.clock.sleep(poll.min(LOOK_AT_HEADS)) => {}
            }
            match self.gate.keeper.ensure(self.store, self.target, self.clock).await? {
                Held::Still { .. } => {}
                Held::Taken { .. } | Held::Elsewhere { .. } => {
                    let holder = "it was lost while the fleet was being read".to_owned();
                    return Err(ControllerError::NotHolder { target: self.target.to_string(), holder });
                }
            }
            if !meantime.edited && self.is_edited(pace.read).await {
                meantime.edited = true;
                self.unjudged = Some(not_judged(None));
            }
            // Those that ask for a plan wait for one: the next pass finds them.
            let asked = self.obey(books, answered).await?.carried_out;
            meantime.commands += asked;
            let due = self.clock.monotonic().saturating_sub(moved) >= poll;
            if books.campaigns.is_empty() || asked == 0 && !due {
                continue;
            }
            moved = self.clock.monotonic();
            self.gate.refresh(self.store).await?;
            let mut read = None;
            {
                // Both at once: whoever reads may stand in the way of whoever looks after changes, at a budget.
                let moving = self.advance(books);
                tokio::pin!(moving);
                loop {
                    tokio::select! {
                        biased;
                        moved = &mut moving => break moved?,
                        done = &mut reading, if read.is_none() => read = Some(done),
                    }
                }
            }
            if let Some(read) = read {
                return Ok((read, meantime));
            }
        }
    }

    /// Whether what is stored is other than what was read of it. One small read; what cannot be read has not changed.
    pub(super) async fn is_edited(&self, read: Option<Generation>) -> bool {
        match Configurations::of(self.store).generation().await {
            Ok(generation) => read.is_some_and(|read| read != generation),
            Err(error) => {
                tracing::debug!(error = %chain(&error), "whether anything was edited could not be read");
                false
            }
        }
    }
}
