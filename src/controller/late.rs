//! Services that a call of ours may still reach though nobody waits for it any more: looked at in every pass, for as long
//! as that may be, and brought back where it happened.

use super::books::Books;
use super::error::ControllerError;
use super::execute::{Executor, previous};
use super::stop::unless_stopped;
use crate::rollout::{Change, State, late};

impl Executor<'_> {
    /// Finds what came late. What follows is recorded here, and done where open campaigns are moved on.
    ///
    /// # Errors
    /// The store's.
    pub async fn look_for_late_calls(&mut self, books: &mut Books) -> Result<(), ControllerError> {
        let now = self.now();
        let watched: Vec<Change> = books.changes().filter(|change| late::is_watched(change, now)).cloned().collect();
        for change in &watched {
            let stop = self.stop.clone();
            let facts = unless_stopped(&stop, self.facts(change)).await?;
            let of_same = |other: &&Change| other.spec.resource == change.spec.resource && other.name != change.name;
            let others: Vec<&Change> = books.changes().filter(of_same).collect();
            let now = self.now();
            let Some(arrived) = late::arrived(change, &others, &facts, previous(books, change), now) else { continue };
            tracing::warn!(
                target_id = %self.target, change = %change.name, resource = change.spec.resource.as_str(),
                reason = %arrived.reason, "a call of ours came late"
            );
            if let State::Clobbered { reason, .. } = &arrived.state {
                // First: a crash in between must not bring it back.
                books.hold(change, reason, now).await?;
            }
            books.enter(&change.name, now, |change| late::enter(change, arrived, now)).await?;
        }
        books.sort_out();
        Ok(())
    }
}
