//! Revisions of ours that must not stay *latest*: taken back, quarantined, or made by a call that nobody waits for.

use std::time::Duration;

use serde_json::{Map, Value};

use super::books::Books;
use super::error::ControllerError;
use super::execute::Executor;
use super::observe;
use crate::model::document::register_input;
use crate::model::observed::Fleet;
use crate::model::{Observed, TaskDefinitionArn, Timestamp, chain};
use crate::plan::compare::same_task_definition;
use crate::records::Versioned;
use crate::records::campaign::CampaignRecord;
use crate::records::documents::Documents;
use crate::rollout::change::READ_LAG;
use crate::rollout::late::LATE_CALLS;
use crate::rollout::{Change, Registration, RegistrationState};

/// How old a revision is before it is taken for one that a late call made: who registers one to deploy it does so at once.
const UNUSED_FOR: Duration = Duration::from_secs(5 * 60);

/// Deregisters revisions of ours that did not stand, once nothing runs on them and nothing names them: they must not
/// stay *latest*.
///
/// Says how many have to wait until reads have caught up.
pub(super) async fn clear_away(
    executor: &mut Executor<'_>,
    books: &mut Books,
    fleet: &Fleet,
) -> Result<usize, ControllerError> {
    if !fleet.gaps.is_empty() || fleet.services.values().any(|service| matches!(service, Observed::Unknown { .. })) {
        return Ok(0);
    }
    let mut waiting = 0;
    for registration in books.registrations.clone() {
        executor.go_on()?;
        let registration = registration.value;
        for known in &registration.deregistered {
            // Its own revision is looked at below, and so is a stray that is ACTIVE still.
            if known.done.is_none() && registration.state.revision() != Some(&known.arn) {
                executor.find_out_whether_deregistered(books, &registration, &known.arn).await?;
                // Told once, it is told until it is done: by then nobody may look for strays any more.
                let open = books.registration_at(&registration.sort_key());
                let open = open.and_then(|open| open.deregistration(&known.arn).cloned());
                let made = books.registrations.iter().any(|other| other.value.state.revision() == Some(&known.arn));
                if open.is_some_and(|open| open.done.is_none())
                    && !made
                    && !is_used(executor, fleet, &known.arn).await?
                {
                    executor.deregister(books, &registration, &known.arn).await?;
                }
            }
        }
        clear_strays(executor, books, fleet, &registration).await?;
        let Some(registration) = books.registration_at(&registration.sort_key()) else { continue };
        if let RegistrationState::Intended { last, at } = registration.state {
            if !is_waited_for(books, &registration) {
                find_abandoned(executor, books, fleet, registration, (last, at)).await?;
            }
            continue;
        }
        let (RegistrationState::Registered { arn } | RegistrationState::Quarantined { arn, .. }) = &registration.state
        else {
            continue;
        };
        if registration.adopted {
            continue;
        }
        let made_for = |change: &&Versioned<Change>| {
            let documents = change.value.spec.documents.as_ref();
            documents.is_some_and(|documents| documents.wanted == registration.wanted)
                && change.value.spec.from.as_ref() == Some(&registration.from)
        };
        let all = || books.all().flat_map(|campaign| &campaign.changes).filter(made_for);
        // What was written after the fleet was read, or so little before that reads may lag, does not show in it.
        let unseen =
            |change: &Versioned<Change>| change.value.entered().is_some_and(|entered| entered + READ_LAG > fleet.at);
        // To what was quarantined no service was ever moved.
        let quarantined = matches!(registration.state, RegistrationState::Quarantined { .. });
        let needed =
            !quarantined && all().any(|change| change.value.stands() || !change.value.state.phase().is_final());
        if !needed && !quarantined && all().any(unseen) {
            waiting += 1;
            continue;
        }
        // What a change goes back to was registered for no change to move to.
        let moved_to =
            all().next().is_some() || is_given_up(books, &registration) || is_left_behind(books, &registration);
        if needed || !moved_to || is_used(executor, fleet, arn).await? {
            continue;
        }
        executor.deregister(books, &registration, arn).await?;
    }
    Ok(waiting)
}

/// Whether a revision was made to go back to, and who wanted it goes back to its document with the digests that ran
/// instead: a tag was found to have moved only then.
fn is_given_up(books: &Books, registration: &Registration) -> bool {
    let of_same = books.changes().filter(|change| change.spec.from.as_ref() == Some(&registration.from));
    let mut given_up = false;
    for change in of_same {
        let Some(documents) = &change.spec.documents else { continue };
        if documents.previous == registration.wanted {
            return false;
        }
        given_up |= documents.recorded && change.spec.rollout == registration.rollout;
    }
    given_up
}

/// Whether a revision was made for a change that has been put onto another one since: its rollout is known, and nobody wants
/// the revision, there or back. Of a rollout that is not known any more nothing can be told.
fn is_left_behind(books: &Books, registration: &Registration) -> bool {
    let wants = |change: &Change| {
        let (documents, from) = (change.spec.documents.as_ref(), change.spec.from.as_ref());
        // One that was made to go back to is what the change came from, once it was tried again.
        from.is_some() && from == registration.state.revision()
            || from == Some(&registration.from)
                && documents.is_some_and(|of| of.wanted == registration.wanted || of.previous == registration.wanted)
    };
    books.all().any(|campaign| campaign.rollout.value.name == registration.rollout) && !books.changes().any(wants)
}

/// Whether any service names a revision, or any task runs it.
async fn is_used(executor: &Executor<'_>, fleet: &Fleet, arn: &TaskDefinitionArn) -> Result<bool, ControllerError> {
    if fleet.known().any(|(_, service)| service.names(arn)) {
        return Ok(true);
    }
    for cluster in fleet.clusters.keys() {
        if executor.reading(observe::runs(executor.ecs, cluster, arn)).await?.unwrap_or(true) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A call was intended, and nothing waits for what it makes any more. What it made is found, so that it can be cleared
/// away like anything else of ours. Where several revisions are equal, it is one that nothing uses: reads may have lagged
/// when the intent was recorded, and somebody may have registered, and deployed, the very same.
async fn find_abandoned(
    executor: &mut Executor<'_>,
    books: &mut Books,
    fleet: &Fleet,
    registration: Registration,
    (last, intended): (u32, Timestamp),
) -> Result<(), ControllerError> {
    let now = executor.now();
    let Some(document) = document_of(executor, &registration).await? else { return Ok(()) };
    // What cannot be read now is looked for at the next pass.
    let Ok(above) = executor.reading(executor.may_be_made(&registration, last)).await? else { return Ok(()) };
    // What another registration came to is that one's: taken for this one's too, what this call makes yet is looked for no more.
    let key = registration.sort_key();
    let others = books.registrations.iter().map(|known| &known.value).filter(|other| other.sort_key() != key);
    let others: Vec<&TaskDefinitionArn> = others.filter_map(|of| of.heard.as_ref().or(of.state.revision())).collect();
    let mut found = None;
    for arn in above.into_iter().filter(|arn| !others.contains(&arn)).collect::<Vec<_>>() {
        match executor.reading(observe::definition(executor.ecs, arn.as_str(), now)).await? {
            Observed::Known { value, .. }
                if (registration.heard.as_ref() == Some(&arn) || executor.is_by_us(&value))
                    && register_input(&value).is_ok_and(|input| same_task_definition(&input, &document)) =>
            {
                let used = is_used(executor, fleet, &arn).await?;
                if !used || found.is_none() {
                    found = Some(value);
                }
                if !used {
                    break;
                }
            }
            Observed::Known { .. } | Observed::Absent { .. } => {}
            Observed::Unknown { .. } => return Ok(()),
        }
    }
    match found {
        Some(made) => {
            let state = RegistrationState::Registered { arn: made.arn.clone() };
            books.write_registration(Registration { state, heard: None, ..registration }).await
        }
        None if intended + LATE_CALLS <= now => books.remove_registration(&registration).await,
        None => Ok(()),
    }
}

/// What a registration asks for, by which its revision is known. Without it nothing can be told of that one, and the rest
/// goes on.
async fn document_of(
    executor: &Executor<'_>,
    registration: &Registration,
) -> Result<Option<Map<String, Value>>, ControllerError> {
    let found = Documents::of(executor.store, executor.target).get(&registration.wanted).await?;
    if let Err(lost) = &found {
        let family = registration.family.as_str();
        tracing::warn!(target_id = %executor.target, family, error = %chain(lost), "what calls made of a family cannot be told");
    }
    Ok(found.ok())
}

/// Deregisters what a repeated registration's earlier call has made all the same, beside what the registration came to:
/// the same document by the same principal, that nothing has used for a while.
async fn clear_strays(
    executor: &mut Executor<'_>,
    books: &mut Books,
    fleet: &Fleet,
    registration: &Registration,
) -> Result<(), ControllerError> {
    let now = executor.now();
    let Some(stray) = registration.stray.as_ref().filter(|stray| stray.until + UNUSED_FOR > now) else { return Ok(()) };
    let Some(document) = document_of(executor, registration).await? else { return Ok(()) };
    let above = observe::revisions_above(executor.ecs, &registration.family, stray.above);
    let Ok(above) = executor.reading(above).await? else {
        return Ok(());
    };
    for arn in above {
        let known = |known: &Versioned<Registration>| known.value.state.revision() == Some(&arn);
        // A listing that lags shows what is INACTIVE by now.
        let gone = registration.deregistration(&arn).is_some_and(|known| known.done.is_some());
        if gone || books.registrations.iter().any(known) {
            continue;
        }
        let found = executor.reading(observe::definition(executor.ecs, arn.as_str(), now)).await?;
        let Observed::Known { value: found, .. } = found else { continue };
        let is_ours = executor.is_by_us(&found)
            && register_input(&found).is_ok_and(|input| same_task_definition(&input, &document));
        let rests = found.registered_at.is_some_and(|at| at + UNUSED_FOR <= now);
        if is_ours && rests && !is_used(executor, fleet, &arn).await? {
            executor.deregister(books, registration, &arn).await?;
        }
    }
    Ok(())
}

/// Whether a change that goes on, there or back, needs what is being registered.
fn is_waited_for(books: &Books, registration: &Registration) -> bool {
    books.changes().filter(|change| !change.state.phase().is_final()).any(|change| {
        let documents = change.spec.documents.as_ref();
        change.spec.from.as_ref() == Some(&registration.from)
            && documents.is_some_and(|documents| {
                documents.wanted == registration.wanted || documents.previous == registration.wanted
            })
    })
}
