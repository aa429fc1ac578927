//! Calls that arrive when what they were for is over.
//!
//! ECS cannot be fenced: UpdateService has neither a condition nor a client token, so what a controller sent before it
//! lost the reply, its lease or its life may have its effect minutes later, when the change has been undone or somebody
//! else has deployed. Such calls are counted on their change; while one may still arrive, its service is looked at, and
//! what it does is taken back like anything else of ours.
//!
//! StopServiceDeployment needs none of this: it names one deployment, which is to be taken back anyway.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adoption::{is_begun_again, is_of, one_before, overwritten, record_of, replaced_the_same};
use super::change::READ_LAG;
use super::landing::{CLOCK_SLACK, Facts, KnownDeployment, ServiceDeployments, is_rolled_back, record_lags};
use super::record::Change;
use super::setting::{self, Standing};
use super::state::{Back, Phase, State};
use crate::model::observed::{Deployment, Service};
use crate::model::{ChangeKind, Observed, Reason, ReasonCode, TaskDefinitionArn, Timestamp};

/// How long a call that nobody heard of is waited for: AWS refuses a signature that is more than five minutes old, and
/// machines' clocks are some minutes apart.
pub const LATE_CALLS: Duration = Duration::from_secs(15 * 60);

/// Calls of one kind, for one change, of which nobody heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unheard {
    /// The revision they move the service to; none for a setting.
    pub to: Option<TaskDefinitionArn>,
    /// Whether they take the change back.
    pub back: bool,
    /// How many there are.
    pub calls: u32,
    /// When the last of them was intended.
    pub intent: Timestamp,
    /// Until when one may arrive.
    pub until: Timestamp,
}

/// The call that the change's state is the intent of, if it is one.
fn intended(change: &Change) -> Option<(Option<TaskDefinitionArn>, bool, Timestamp)> {
    let revision = change.spec.kind == ChangeKind::Revision;
    match &change.state {
        State::Updating { to, intent, .. } => Some((to.clone().filter(|_| revision), false, *intent)),
        // It starts no deployment to be found by. Where the change is tried again before it arrives, what it sets back is taken
        // for somebody's (README, Limits).
        State::RollingBack { back, .. } if back.starts_none() && change.spec.kind == ChangeKind::DeployingSetting => {
            None
        }
        State::RollingBack { back: Back::Updating { to, intent, .. }, .. } => {
            Some((to.clone().filter(|_| revision), true, *intent))
        }
        _ => None,
    }
}

/// Nobody heard of the call that the change's state is the intent of: its reply was lost, or the intent is all that
/// another controller, or an earlier attempt at this pass, has left.
///
/// Saying so twice of one call counts it once.
pub fn not_heard_of(change: &mut Change, now: Timestamp) {
    let Some((to, back, intent)) = intended(change) else { return };
    let until = now + LATE_CALLS;
    match change.unheard.iter_mut().find(|known| known.back == back && known.to == to) {
        Some(known) => {
            known.calls += u32::from(known.intent < intent);
            (known.intent, known.until) = (intent, until);
        }
        None => change.unheard.push(Unheard { to, back, calls: 1, intent, until }),
    }
}

/// The change is about to go to `next` by what was seen of its resource. Where that is the effect of a call that nobody
/// had heard of, there is one less of them on its way.
pub fn heard_of(change: &mut Change, next: &State) {
    // A repeat was answered, and what it began is being taken back: this is an earlier call's.
    if let (State::RollingBack { deployment: Some(was), .. }, State::RollingBack { deployment: Some(found), .. }) =
        (&change.state, next)
        && was != found
    {
        let call = change.unheard.iter().position(|known| !known.back);
        return one_less(change, call);
    }
    // A repeat was answered, and somebody deployed over what it began: an earlier call has gone over theirs.
    if let (
        State::Stabilizing { deployment: was, .. }
        | State::Verifying { deployment: was, .. }
        | State::RollingBack { deployment: Some(was), back: Back::Deciding | Back::Watching { .. }, .. },
        State::Clobbering { deployment: found, .. },
    ) = (&change.state, next)
        && was != found
    {
        let call = change.unheard.iter().position(|known| !known.back);
        return one_less(change, call);
    }
    let Some((back, intent)) = (match (&change.state, next) {
        (
            State::Updating { intent, .. },
            State::Stabilizing { .. } | State::Clobbering { .. } | State::Succeeded { .. },
        )
        | (State::RollingBack { deployment: None, intent, .. }, State::RollingBack { deployment: Some(_), .. }) => {
            Some((false, *intent))
        }
        (
            State::RollingBack { back: Back::Updating { intent, .. }, .. },
            State::RollingBack { back: Back::Watching { .. }, .. }
            | State::RolledBack { .. }
            | State::Clobbering { .. },
        ) => Some((true, *intent)),
        _ => None,
    }) else {
        return;
    };
    // A later call was answered: what is seen is that one's.
    let call = change.unheard.iter().position(|known| known.back == back && known.intent == intent);
    one_less(change, call);
}

fn one_less(change: &mut Change, place: Option<usize>) {
    if let Some(known) = place.and_then(|place| change.unheard.get_mut(place)) {
        known.calls = known.calls.saturating_sub(1);
    }
    change.unheard.retain(|known| known.calls > 0);
}

/// The change is about to go to `next` by what was seen of its resource. Where it is given up, what stands there by then is
/// not what a call does that comes later.
pub fn gives_up(change: &mut Change, next: &State, facts: &Facts) {
    if matches!(next, State::Failed { .. } | State::Clobbered { .. } | State::Overtaken { .. }) {
        change.stood = facts.service.known().and_then(Service::primary).map(|primary| primary.id.clone());
    }
}

/// A call that arrived, and what follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrived {
    /// The state that the change goes to.
    pub state: State,
    /// What was seen.
    pub reason: Reason,
    call: usize,
}

/// Carries out what follows from a call that arrived.
pub fn enter(change: &mut Change, arrived: Arrived, now: Timestamp) {
    one_less(change, Some(arrived.call));
    change.enter(arrived.state, Some(arrived.reason), now);
}

/// Whether a call may still arrive though the change is over. Then its resource is to be looked at.
#[must_use]
pub fn is_watched(change: &Change, now: Timestamp) -> bool {
    let over = matches!(
        change.state,
        State::Succeeded { .. }
            | State::Unverified { .. }
            | State::RolledBack { .. }
            | State::Failed { .. }
            | State::Blocked { .. }
            | State::Overtaken { .. }
            | State::Clobbered { .. }
    );
    // Reads may lag, and show what was before.
    let settled = change.entered().is_some_and(|entered| entered + READ_LAG <= now);
    over && settled && change.unheard.iter().any(|call| call.until > now)
}

/// Whether a call has arrived though the change is over, by what was just read of its resource.
///
/// `others` are the other changes of the same resource: what one of them has in hand is its own to find out about.
/// `home` is the revision that the change goes back to, where that is not the one it came from.
#[must_use]
pub fn arrived(
    change: &Change,
    others: &[&Change],
    facts: &Facts,
    home: Option<&TaskDefinitionArn>,
    now: Timestamp,
) -> Option<Arrived> {
    let settled = change.entered().is_some_and(|entered| facts.tell_of(entered));
    if !is_watched(change, now) || !settled || others.iter().any(|other| other.state.phase().is_in_flight()) {
        return None;
    }
    match change.spec.kind {
        ChangeKind::Revision => moved(change, others, facts, home, now),
        ChangeKind::DeployingSetting | ChangeKind::QuietSetting | ChangeKind::ClusterSetting => {
            set(change, others, facts, now)
        }
    }
}

/// The service was moved to a revision that the change is done with.
fn moved(
    change: &Change,
    others: &[&Change],
    facts: &Facts,
    home: Option<&TaskDefinitionArn>,
    now: Timestamp,
) -> Option<Arrived> {
    // Whose a deployment is, ECS's records tell: it is looked at again.
    if facts.records_unread().is_some() {
        return None;
    }
    let service = facts.service.known().filter(|service| service.created_at == change.spec.created_at)?;
    let primary = service.primary().filter(|_| service.status == "ACTIVE")?;
    if let Some(arrived) = taken_back_over_somebody(change, facts, home, now) {
        return Some(arrived);
    }
    let place = change
        .unheard
        .iter()
        .position(|known| known.until > now && known.to.as_ref() == Some(&primary.task_definition))?;
    let call = change.unheard.get(place)?;
    let begun = change.last_entered(Phase::Updating)?;
    if primary.created_at + CLOCK_SLACK < begun || !since_given_up(change, primary) {
        return None;
    }
    // What the service shows of theirs is gone when the record is there.
    let shown = overwritten(change, service, &facts.without_records(), primary, home).is_some();
    if record_lags(facts, primary).is_some() && !shown || is_known(change, others, facts, primary) {
        return None;
    }
    let theirs = overwritten(change, service, facts, primary, home);
    let what = format!(
        "a call sent at {} or before had its effect at {}, when nobody waited for it any more: `{}` was deployed",
        call.intent,
        primary.created_at,
        primary.task_definition.short()
    );
    let over = theirs.map(|theirs| format!("{what} over somebody's `{}`", theirs.short()));
    // What they had begun again on our own revision, for which the change was given up, is nobody else's revision.
    if let (true, State::Overtaken { .. }, None) = (call.back, &change.state, &over) {
        let reason = Reason::of(ReasonCode::Clobbered, format!("{what} over what somebody had begun again"));
        let replaced = one_before(facts, record_of(facts, primary)?)?.task_definition.as_ref();
        let on_ours = replaced.is_some() && replaced == change.spec.to.as_ref();
        let state = State::Clobbered { reason: reason.clone(), at: now };
        return (on_ours && change.stood.is_some()).then_some(Arrived { state, reason, call: place });
    }
    // On the way back it is where it belongs, and a change that stands wants its revision to run; but not over what
    // somebody has deployed since.
    if (call.back || change.stands()) && over.is_none() {
        return None;
    }
    let reason = Reason::of(ReasonCode::LateCall, over.unwrap_or(what));
    Some(Arrived { state: back(change, &reason, Some(primary), primary.created_at), reason, call: place })
}

/// A call came late over somebody's deployment, and ECS had gone back from it when the service was looked at again: only its
/// record tells, and theirs is gone too.
fn taken_back_over_somebody(
    change: &Change,
    facts: &Facts,
    home: Option<&TaskDefinitionArn>,
    now: Timestamp,
) -> Option<Arrived> {
    let ServiceDeployments::Known(records) = &facts.deployments else { return None };
    if !matches!(change.state, State::Overtaken { .. } | State::RolledBack { .. } | State::Blocked { .. }) {
        return None;
    }
    let (begun, entered) = (change.last_entered(Phase::Updating)?, change.entered()?);
    let place = change.unheard.iter().position(|call| !call.back && call.until > now)?;
    let call = change.unheard.get(place)?;
    // What was seen when the change was given up has been told.
    let is_its = |known: &&KnownDeployment| {
        let created_at = known.deployment.created_at;
        known.task_definition.is_some()
            && known.task_definition == call.to
            && created_at + CLOCK_SLACK >= begun
            && created_at + READ_LAG >= entered
            && is_rolled_back(&known.deployment)
    };
    let replaces =
        |known: &KnownDeployment| known.source_definitions.iter().find(|found| !is_of(change, found, home)).cloned();
    let (its, theirs) = records.iter().filter(is_its).find_map(|known| Some((known, replaces(known)?)))?;
    let message = format!(
        "a call sent at {} or before had its effect at {}, over somebody's `{}`, and ECS has gone back from it",
        call.intent,
        its.deployment.created_at,
        theirs.short()
    );
    let reason = Reason::of(ReasonCode::Clobbered, message);
    Some(Arrived { state: State::Clobbered { reason: reason.clone(), at: now }, reason, call: place })
}

/// The deployment that an earlier call began over somebody's, where a later one was answered and its own deployment is not the
/// primary one any more: it brings the revision that was made for the change, and replaces another. Or why that cannot be
/// told yet.
#[must_use]
pub fn over_somebody<'a>(change: &Change, facts: &'a Facts) -> Option<Result<(&'a Deployment, Reason), Reason>> {
    let primary = facts.service.known()?.primary()?;
    let is_it = |call: &&Unheard| !call.back && call.to.as_ref() == Some(&primary.task_definition);
    let call = change.unheard.iter().find(is_it)?;
    if let Some(lags) = record_lags(facts, primary) {
        return Some(Err(lags));
    }
    if is_begun_again(facts, primary) == Some(true) {
        return None;
    }
    let message = format!(
        "a call sent at {} or before had its effect at {}, after somebody had deployed: ours replaces it",
        call.intent, primary.created_at
    );
    Some(Ok((primary, Reason::of(ReasonCode::Clobbered, message))))
}

/// Whether a deployment may have begun after the change was given up, where it was: its own may stand on the service still,
/// which is what has been told.
fn since_given_up(change: &Change, primary: &Deployment) -> bool {
    let given_up = matches!(change.state, State::Failed { .. } | State::Clobbered { .. } | State::Overtaken { .. });
    let since = || change.entered().is_some_and(|entered| primary.created_at + CLOCK_SLACK >= entered);
    !given_up || change.stood.as_ref().map_or_else(since, |stood| stood != &primary.id)
}

/// Whether the deployment is one that the records tell of, or that a call of ours cannot have begun.
fn is_known(change: &Change, others: &[&Change], facts: &Facts, primary: &Deployment) -> bool {
    let own = |change: &Change| match &change.state {
        State::Succeeded { deployment, .. } | State::Unverified { deployment, .. } => {
            deployment.as_ref() == Some(&primary.id)
        }
        _ => false,
    };
    if own(change) || others.iter().any(|other| own(other)) {
        return true;
    }
    // Where it cannot be told: another change stands on that revision.
    let stands = |other: &Change| other.stands() && other.spec.to.as_ref() == Some(&primary.task_definition);
    is_begun_again(facts, primary).unwrap_or_else(|| others.iter().any(|other| stands(other)))
}

/// A setting that was taken back, or that somebody deployed before, is as the change had made it. One that starts no
/// deployment and could not be taken back is so anyway.
fn set(change: &Change, others: &[&Change], facts: &Facts, now: Timestamp) -> Option<Arrived> {
    let deploys = change.spec.kind == ChangeKind::DeployingSetting;
    match change.state {
        State::RolledBack { .. } => {}
        State::Failed { .. } | State::Overtaken { .. } | State::Clobbered { .. } if deploys => {}
        _ => return None,
    }
    // A call back is where it belongs, unless somebody had deployed before it came.
    let lost = matches!(change.state, State::Overtaken { .. } | State::Clobbered { .. });
    let standing = setting::standing(change, setting::document(change, facts).ok()?);
    let is_as_made = |call: &Unheard| standing == if call.back { Standing::Before } else { Standing::Made };
    let arrived = |call: &Unheard| call.until > now && (!call.back || lost) && is_as_made(call);
    let place = change.unheard.iter().position(arrived)?;
    let call = change.unheard.get(place)?;
    // What stands from before was set otherwise since, or there would have been nothing to set.
    let sent = |change: &Change| change.last_entered(Phase::Updating);
    let since = |other: &Change| sent(other).zip(sent(change)).is_none_or(|(theirs, ours)| theirs >= ours);
    let same = |other: &&&Change| other.stands() && other.spec.kind == change.spec.kind && since(other);
    if others.iter().any(|other| same(&other)) {
        return None;
    }
    let primary = match &facts.service {
        Observed::Known { value, .. } if value.created_at == change.spec.created_at => value.primary(),
        Observed::Known { .. } | Observed::Unknown { .. } => return None,
        Observed::Absent { .. } => None,
    };
    if matches!(change.state, State::Failed { .. }) && !primary.is_some_and(|primary| since_given_up(change, primary)) {
        return None;
    }
    if lost {
        let primary = primary.filter(|primary| since_given_up(change, primary));
        let primary = primary.filter(|primary| primary.created_at + CLOCK_SLACK >= call.intent)?;
        // Ours keeps the revision that it replaces. (Where ECS keeps no record of it, that is not known any more.)
        let service = facts.service.known()?;
        let is_theirs = record_of(facts, primary).is_some() && replaced_the_same(service, facts, primary).is_none();
        if is_theirs || record_lags(facts, primary).is_some() {
            return None;
        }
        let message = format!(
            "a call sent at {} or before had its effect after somebody had deployed: `{}` was begun again with our setting",
            call.intent,
            primary.task_definition.short()
        );
        let reason = Reason::of(ReasonCode::Clobbered, message);
        return Some(Arrived { state: State::Clobbered { reason: reason.clone(), at: now }, reason, call: place });
    }
    let message = format!(
        "a call sent at {} or before had its effect after the setting had been taken back: it is as the call made it",
        call.intent
    );
    let reason = Reason::of(ReasonCode::LateCall, message);
    let primary = primary.filter(|_| deploys);
    let intent = primary.map_or(call.intent, |primary| primary.created_at);
    Some(Arrived { state: back(change, &reason, primary, intent), reason, call: place })
}

/// To be taken back again, for the reason that it was taken back for before; else for being late, which is no failure of
/// the fix.
fn back(change: &Change, reason: &Reason, ours: Option<&Deployment>, intent: Timestamp) -> State {
    let cause = match &change.state {
        State::RolledBack { cause, .. } | State::Failed { cause, .. } | State::Clobbered { reason: cause, .. } => {
            cause.clone()
        }
        _ => reason.clone(),
    };
    State::RollingBack { cause, deployment: ours.map(|ours| ours.id.clone()), intent, back: Back::Deciding }
}

#[cfg(test)]
mod tests;
