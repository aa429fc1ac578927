//! Services that a call of ours may still reach though nobody waits for it any more: looked at in every pass, for as long
//! as that may be, and brought back where it happened.

use super::books::Books;
use super::error::ControllerError;
use super::execute::{Executor, previous};
use super::stop::unless_stopped;
use crate::model::{Reason, ReasonCode, Timestamp};
use crate::rollout::landing::Facts;
use crate::rollout::{Change, State, late};

/// Why nothing is begun with what a change is about: a call for another change has just been seen to come late, and what it
/// did is looked after first.
pub(super) fn came_late(
    change: &Change,
    others: &[&Change],
    facts: &Facts,
    books: &Books,
    now: Timestamp,
) -> Option<Reason> {
    let late = |other: &&&Change| {
        let rest: Vec<&Change> = others.iter().copied().filter(|one| one.name != other.name).chain([change]).collect();
        late::arrived(other, &rest, facts, previous(books, other), now).is_some()
    };
    let other = others.iter().find(late)?;
    let message = format!("a call for `{}` came late, and what it did is looked after first", other.name);
    Some(Reason::of(ReasonCode::LateCall, message))
}

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
            books
                .enter(&change.name, now, |change| {
                    late::gives_up(change, &arrived.state, &facts);
                    late::enter(change, arrived, now);
                })
                .await?;
        }
        books.sort_out();
        Ok(())
    }
}
