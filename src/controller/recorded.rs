//! Going back to the images that ran, where a tag has moved since.

use super::advance::BY;
use super::books::Books;
use super::error::ControllerError;
use super::execute::Executor;
use crate::model::chain;
use crate::plan::images::with_digests;
use crate::records::Versioned;
use crate::records::documents::Documents;
use crate::rollout::change::{Action, Step};
use crate::rollout::landing::Facts;
use crate::rollout::{Change, State, images};

/// Where a change goes back to another revision than the one it came from, says so and why: that one is no longer ACTIVE.
pub(super) fn say_what_it_goes_back_to(change: &Change, step: &mut Step) {
    let (Some(Action::MoveTo(to)), State::RollingBack { cause, .. }, Some(from)) =
        (&step.action, &mut step.state, &change.spec.from)
    else {
        return;
    };
    let with_digests = change.spec.documents.as_ref().is_some_and(|documents| documents.recorded);
    let told = format!("what `{}` was made of", from.short());
    if to == from || with_digests || cause.message.contains(&told) {
        return;
    }
    let (was, name, made) = (&cause.message, from.short(), to.short());
    cause.message = format!("{was}; `{name}` is not ACTIVE any more, so {told} was registered again, as `{made}`");
}

impl Executor<'_> {
    /// Makes a change that is to go back by a deployment go back to its recorded document with the digests that ran, if a
    /// tag has moved since. Whether it has done so: then the next step goes there.
    ///
    /// Where it cannot be told, or the document is lost, the change goes back to the revision that it came from.
    ///
    /// # Errors
    /// The store's, and a lost lease.
    pub(super) async fn go_back_to_what_ran(
        &self,
        books: &Books,
        change: &mut Versioned<Change>,
        facts: &Facts,
    ) -> Result<bool, ControllerError> {
        let moved = images::moved(&change.value, facts);
        let Some(documents) = change.value.spec.documents.clone() else { return Ok(false) };
        if moved.is_empty() || documents.recorded {
            return Ok(false);
        }
        let kept = Documents::of(self.store, self.target);
        let previous = match kept.get(&documents.previous).await? {
            Ok(previous) => previous,
            Err(lost) => {
                tracing::warn!(target_id = %self.target, change = %change.value.name, error = %chain(&lost), "it goes back without the digests that ran");
                return Ok(false);
            }
        };
        let pinned = with_digests(&previous, &change.value.spec.ran);
        if pinned == previous {
            return Ok(false);
        }
        let previous = kept.keep(&pinned).await?;
        let known = moved.iter().any(|name| images::is_known_to_have_moved(&change.value, facts, name));
        let was = change.value.state.clone();
        change.value.spec.documents = Some(crate::model::change::Documents { previous, recorded: true, ..documents });
        if let State::RollingBack { cause, .. } = &mut change.value.state {
            let seen = if known { "has" } else { "may have" };
            let (cause_was, moved) = (&cause.message, moved.join("`, `"));
            cause.message = format!(
                "{cause_was}; the image tag of container `{moved}` {seen} moved since, so it goes back to the digests that ran"
            );
        }
        books.write_change(change, &was, self.now(), BY).await?;
        Ok(true)
    }
}
