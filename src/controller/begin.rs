//! From a plan to rollouts: what begins, what is dropped, what is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::books::Books;
use super::error::ControllerError;
use crate::model::change::Documents as DocumentHashes;
use crate::model::mask::mask_diff;
use crate::model::spec::Approval;
use crate::model::{Reason, ReasonCode, Resource, TargetId, Timestamp};
use crate::plan::images::{tagged, untagged};
use crate::plan::report::WantedDocuments;
use crate::plan::{Plan, PlanOutcome, PlannedCampaign, PlannedChange};
use crate::ports::Store;
use crate::records::Versioned;
use crate::records::campaign::Campaign;
use crate::records::command::Command;
use crate::records::documents::Documents;
use crate::rollout::make::{self, Making};
use crate::rollout::{Change, ChangeSpec, Rollout, RolloutState, State};

/// Why nothing begins before the fleet was judged by what is stored now: it may have been waived or edited since.
pub(super) fn not_judged(error: Option<&ControllerError>) -> Reason {
    let message = error.map_or_else(
        || "what is stored has changed: the fleet is judged by it first".to_owned(),
        |error| format!("the fleet cannot be judged: {error}"),
    );
    Reason::of(ReasonCode::NotEvaluated, message)
}

/// Drops what open rollouts have not begun and the policies no longer ask for; what is under way finishes.
///
/// What was redeployed with the identical violation is rebased: an approval is of the edit, not of what it is made on.
///
/// Says of which resources it could not be told: they are kept, and whether they are still wanted is not known.
pub(super) async fn reconsider(
    books: &mut Books,
    store: &dyn Store,
    target: &TargetId,
    plan: &Plan,
    now: Timestamp,
) -> Result<BTreeSet<Resource>, ControllerError> {
    let mut unclear = BTreeSet::new();
    for index in 0..books.campaigns.len() {
        let Some(mut campaign) = books.campaigns.get(index).cloned() else { continue };
        let proposed = matches!(campaign.rollout.value.state, RolloutState::Proposed { .. });
        for change in &mut campaign.changes {
            if !may_be_dropped(&change.value) {
                continue;
            }
            // What was not seen may be there: the change itself finds out whether its service is gone.
            let resource = &change.value.spec.resource;
            let Some(wish) = plan.wish(resource) else {
                if !plan.gaps.is_empty() {
                    unclear.insert(resource.clone());
                }
                continue;
            };
            let not_told = matches!(wish.outcome, PlanOutcome::Deferred | PlanOutcome::Unknown);
            if not_told {
                unclear.insert(resource.clone());
            }
            // The next plan replaces it. A person may approve it before there is one.
            if proposed {
                continue;
            }
            let spec = &change.value.spec;
            let wanted = || wish.moves.iter().any(|(kind, fixes)| *kind == spec.kind && *fixes == spec.fixes);
            // What stopped is in no move. What a rollout has of it is still its own, as long as all of it is needed.
            let needed = |fix: &String| wish.stopped.contains(fix) || wish.moves.iter().any(|(_, of)| of.contains(fix));
            let stopped = || spec.fixes.iter().any(|fix| wish.stopped.contains(fix)) && spec.fixes.iter().all(needed);
            let still = not_told || wanted() || stopped();
            let same = |planned: &&PlannedChange| {
                planned.kind == change.value.spec.kind
                    && planned.fixes == change.value.spec.fixes
                    && planned.created_at == change.value.spec.created_at
            };
            // It was enforced when it was planned. Approval is of the edit, so what a person has approved goes on.
            let unapproved = wish.proposed && campaign.rollout.value.approved_waves == 0;
            let planned = wish.changes.iter().find(same);
            let other = planned.filter(|planned| !may_be_put_onto(&campaign.rollout.value, spec, planned)).is_some();
            // Where it is held, it begins nowhere: it would keep its place, and its wave, for as long.
            let held = books.held(&change.value, now);
            let still = still && !unapproved && !other && held.is_none();
            if let (State::Pending, Some(wanted), true) = (&change.value.state, planned, still) {
                let documents = keep_documents(store, target, std::slice::from_ref(wanted)).await?;
                put_onto(books, change, wanted, documents.into_iter().next().flatten(), now).await?;
            }
            if still {
                continue;
            }
            let name = change.value.spec.resource.short();
            let message = match wish.outcome {
                _ if held.is_some() => held.map(|held| held.message).unwrap_or_default(),
                _ if unapproved => format!("what `{name}` needs is only proposed by now: it waits for approval"),
                _ if other => {
                    format!("what would be edited in `{name}` is not what was approved any more: it is planned anew")
                }
                PlanOutcome::Change => format!("what `{name}` needs has changed since the plan: it is planned anew"),
                PlanOutcome::Blocked => {
                    let why = wish.reason.as_ref().map_or("no reason given", |reason| reason.message.as_str());
                    format!("`{name}` cannot be changed any more: {why}")
                }
                outcome => format!("the policies no longer ask for it: `{name}` is {}", outcome.as_str()),
            };
            let reason = Reason::of(ReasonCode::Superseded, message);
            let was = change.value.state.clone();
            change.value.enter(State::Deferred { reason: reason.clone(), at: now }, Some(reason), now);
            books.write_change(change, &was, now, "plimsoll").await?;
        }
        if let Some(slot) = books.campaigns.get_mut(index) {
            *slot = campaign;
        }
    }
    Ok(unclear)
}

/// Whether a change has not touched its service: it has not begun, or nobody was told of the revision that is made for it.
/// What became of a registration that nobody waits for any more is found out when things are cleared away.
const fn may_be_dropped(change: &Change) -> bool {
    matches!(change.state, State::Pending | State::Registering { .. })
}

/// Makes rollouts of the plan's campaigns that have none yet, and says how many.
pub(super) async fn begin_campaigns(
    books: &mut Books,
    store: &dyn Store,
    target: &TargetId,
    plan: &mut Plan,
    now: Timestamp,
) -> Result<usize, ControllerError> {
    let mut created = 0;
    let campaigns = plan.campaigns.clone();
    for campaign in &campaigns {
        if let Some(open) = books.campaigns.iter().find(|open| goes_with(campaign, &open.rollout.value)) {
            say_who_is_first(plan, campaign, open);
            continue;
        }
        if let Some(reason) = waits_for_reads(books, plan, &campaign.strategy_name) {
            say_why(plan, &campaign.changes, &reason);
            continue;
        }
        let origin = Origin { plan: &plan.id, services: plan.services.len(), asked: None };
        begin(books, store, target, campaign, &origin, now).await?;
        created += 1;
    }
    Ok(created)
}

/// Where a rollout comes from.
pub(super) struct Origin<'a> {
    /// The plan's id.
    pub(super) plan: &'a str,
    /// How many services the target has.
    pub(super) services: usize,
    /// Who asked for exactly this, if a person did, and by which Command.
    pub(super) asked: Option<&'a Command>,
}

/// Makes a rollout of a campaign, and says its name.
pub(super) async fn begin(
    books: &mut Books,
    store: &dyn Store,
    target: &TargetId,
    campaign: &PlannedCampaign,
    origin: &Origin<'_>,
    now: Timestamp,
) -> Result<String, ControllerError> {
    books.record.rollouts += 1;
    let name = format!("{}-{}", campaign.strategy_name, books.record.rollouts);
    // The number is taken before the name is used: a crash in between loses a number, never a rollout.
    books.write_record().await?;
    let hashes = keep_documents(store, target, &campaign.changes).await?;
    let Origin { plan, services, asked } = *origin;
    let command = asked.map(|command| command.id.as_str());
    let making = Making { name: &name, target, plan, services, epoch: books.epoch, asked: command, now };
    let (rollout, changes) = make::records(campaign, &hashes, &making);
    books.create(rollout, changes, now, asked.map_or("plimsoll", |command| command.by.as_str())).await?;
    Ok(name)
}

/// Whether a campaign has to wait for this rollout: of the same strategy, both enforced, or proposed for the same reason.
fn goes_with(campaign: &PlannedCampaign, rollout: &Rollout) -> bool {
    let proposed = match &rollout.state {
        RolloutState::Proposed { reason } => Some(reason.code),
        _ => None,
    };
    rollout.spec.strategy_name == campaign.strategy_name
        && !rollout.state.is_final()
        && proposed == campaign.proposed.as_ref().map(|reason| reason.code)
}

/// Why a campaign does not begin yet: something that goes with it was moved a moment ago, and how it is now cannot be read
/// yet. Without it, it would be a rollout of whatever had been moved a little earlier. (What the plan shows is as of when it was
/// asked for.)
fn waits_for_reads(books: &Books, plan: &Plan, strategy: &str) -> Option<Reason> {
    let (resource, until) =
        plan.in_hand(strategy).find_map(|resource| Some((resource, books.reads_lag(resource, plan.at)?)))?;
    let message = format!("`{}`, which goes with it, was moved a moment ago: reads may lag", resource.short());
    Some(Reason::of(ReasonCode::OtherRollout, message).until(until))
}

/// What changes wait for, on every resource of theirs that has nothing else to say.
fn say_why(plan: &mut Plan, changes: &[PlannedChange], reason: &Reason) {
    let waiting: BTreeSet<&str> = changes.iter().map(|change| change.resource.as_str()).collect();
    for planned in plan.services.iter_mut().chain(&mut plan.clusters) {
        if planned.reason.is_none() && waiting.contains(planned.resource.as_ref()) {
            Arc::make_mut(planned).reason = Some(reason.clone());
        }
    }
}

/// What has to wait for an open rollout says so.
fn say_who_is_first(plan: &mut Plan, campaign: &PlannedCampaign, open: &Campaign) {
    let rollout = &open.rollout.value;
    // What is still to come there waits as the rollout itself says; what has come to its end there does not.
    let has = |resource| {
        let mut changes = open.changes.iter().map(|change| &change.value);
        changes.any(|change| &change.spec.resource == resource && !change.state.phase().is_final())
    };
    let changes = campaign.changes.iter().filter(|change| !has(&change.resource));
    let changes: Vec<PlannedChange> = changes.cloned().collect();
    let message = format!(
        "rollout `{}` of the same strategy is {}: this is planned when it has ended",
        rollout.name,
        rollout.state.phase()
    );
    say_why(plan, &changes, &Reason::of(ReasonCode::OtherRollout, message));
}

/// Both documents of every revision change are kept before anything is replaced.
async fn keep_documents(
    store: &dyn Store,
    target: &TargetId,
    changes: &[PlannedChange],
) -> Result<Vec<Option<DocumentHashes>>, ControllerError> {
    let documents = Documents::of(store, target);
    let mut hashes = Vec::with_capacity(changes.len());
    for change in changes {
        hashes.push(match &change.documents {
            Some(planned) => {
                let WantedDocuments { previous, wanted, pinned_from } = planned.read().map_err(|source| {
                    ControllerError::Unpack { resource: change.resource.short().to_owned(), source }
                })?;
                Some(DocumentHashes {
                    previous: documents.keep(&previous).await?,
                    wanted: documents.keep(&wanted).await?,
                    pinned_from,
                    tagged: tagged(&previous, &wanted),
                    untagged: untagged(&previous, &wanted),
                    recorded: false,
                })
            }
            None => None,
        });
    }
    Ok(hashes)
}

/// A proposal that says something else than the plan now does is replaced; approval is bound to what was proposed.
pub(super) async fn supersede_proposals(
    books: &mut Books,
    store: &dyn Store,
    target: &TargetId,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), ControllerError> {
    for index in 0..books.campaigns.len() {
        let Some(mut campaign) = books.campaigns.get(index).cloned() else { continue };
        if !matches!(campaign.rollout.value.state, RolloutState::Proposed { .. }) {
            continue;
        }
        let planned = plan.campaigns.iter().find(|planned| {
            goes_with(planned, &campaign.rollout.value) && planned.strategy == campaign.rollout.value.spec.strategy
        });
        // What could not be judged just now is no reason to take a proposal back.
        let unsure = |change: &Versioned<Change>| {
            let wish = plan.wish(&change.value.spec.resource);
            // What is not there where all was listed is gone, and nothing can be asked for it any more.
            wish.map_or(!plan.gaps.is_empty(), |wish| {
                matches!(wish.outcome, PlanOutcome::Deferred | PlanOutcome::Unknown)
            })
        };
        // Unless another of its changes, which could be, is not asked for any more: who approves the rest would approve it too.
        let asked_for = |change: &Versioned<Change>| {
            let spec = &change.value.spec;
            let same = |planned: &PlannedChange| {
                planned.kind == spec.kind && planned.fixes == spec.fixes && spec.edits.as_ref() == Some(&planned.edits)
            };
            plan.wish(&spec.resource).is_some_and(|wish| wish.changes.iter().any(same))
        };
        if campaign.changes.iter().any(unsure) && campaign.changes.iter().all(|one| unsure(one) || asked_for(one)) {
            continue;
        }
        let planned = planned.map(|planned| of_what_was_asked(planned, &campaign));
        if let Some(planned) = planned.filter(|planned| same_changes(planned, &campaign)) {
            rebase(books, store, target, &planned, &mut campaign, now).await?;
            if let Some(slot) = books.campaigns.get_mut(index) {
                *slot = campaign;
            }
            continue;
        }
        supersede(books, index, "the plan has changed since it was proposed", now, "plimsoll").await?;
    }
    Ok(())
}

/// Of a proposal that a person asked for, what else the plan has by now is none of its matter.
fn of_what_was_asked(planned: &PlannedCampaign, open: &Campaign) -> PlannedCampaign {
    let mut planned = planned.clone();
    if open.rollout.value.spec.asked.is_some() {
        let has = |change: &PlannedChange| {
            let is_it = |spec: &ChangeSpec| spec.resource == change.resource && spec.kind == change.kind;
            open.changes.iter().any(|open| is_it(&open.value.spec))
        };
        planned.changes.retain(has);
    }
    planned
}

/// Ends a proposal that is not what is wanted any more.
pub(super) async fn supersede(
    books: &mut Books,
    index: usize,
    why: &str,
    now: Timestamp,
    by: &str,
) -> Result<(), ControllerError> {
    let Some(mut campaign) = books.campaigns.get(index).cloned() else { return Ok(()) };
    // The rollout last: a crash in between leaves it open, and the next pass does the same again.
    for change in &mut campaign.changes {
        let was = change.value.state.clone();
        let reason = Reason::of(ReasonCode::Superseded, why);
        change.value.enter(State::Deferred { reason: reason.clone(), at: now }, Some(reason), now);
        books.write_change(change, &was, now, by).await?;
    }
    let before = campaign.rollout.value.state.clone();
    campaign.rollout.value.state = RolloutState::Superseded { at: now };
    campaign.rollout.value.waiting = Some(Reason::of(ReasonCode::Superseded, why));
    books.write_rollout(&mut campaign.rollout, &before, now, by).await?;
    if let Some(slot) = books.campaigns.get_mut(index) {
        *slot = campaign;
    }
    Ok(())
}

/// Puts what was proposed onto what its services run by now: approval is of the edit, not of the base it is made on.
async fn rebase(
    books: &mut Books,
    store: &dyn Store,
    target: &TargetId,
    planned: &PlannedCampaign,
    open: &mut Campaign,
    now: Timestamp,
) -> Result<(), ControllerError> {
    let hashes = keep_documents(store, target, &planned.changes).await?;
    for (wanted, documents) in planned.changes.iter().zip(hashes) {
        let same = |change: &&mut Versioned<Change>| {
            change.value.spec.resource == wanted.resource && change.value.spec.kind == wanted.kind
        };
        if let Some(change) = open.changes.iter_mut().find(same) {
            put_onto(books, change, wanted, documents, now).await?;
        }
    }
    Ok(())
}

/// Puts one change that has not begun onto what its resource is by now.
async fn put_onto(
    books: &Books,
    change: &mut Versioned<Change>,
    wanted: &PlannedChange,
    documents: Option<DocumentHashes>,
    now: Timestamp,
) -> Result<(), ControllerError> {
    let spec = &mut change.value.spec;
    if spec.from == wanted.from && spec.documents == documents && spec.setting == wanted.setting {
        return Ok(());
    }
    spec.from = wanted.from.clone();
    spec.created_at = wanted.created_at;
    spec.diff = mask_diff(&wanted.diff);
    spec.edits = Some(wanted.edits.clone());
    spec.documents = documents;
    spec.setting = wanted.setting.clone();
    // Whoever deployed it again is the latest to have put the violation back.
    spec.registered = wanted.registered.clone();
    spec.put_back = wanted.put_back.clone();
    let state = change.value.state.clone();
    books.write_change(change, &state, now, "plimsoll").await
}

/// Whether both make the same edits to the same resources, whatever those run by now.
fn same_changes(planned: &PlannedCampaign, open: &Campaign) -> bool {
    let one: BTreeMap<_, _> = planned
        .changes
        .iter()
        .map(|change| ((&change.resource, change.kind), (&change.fixes, Some(&change.edits))))
        .collect();
    let other: BTreeMap<_, _> = open
        .changes
        .iter()
        .map(|change| &change.value.spec)
        .map(|spec| ((&spec.resource, spec.kind), (&spec.fixes, spec.edits.as_ref())))
        .collect();
    one == other
}

/// Whether a change may be made on what its resource is by now. What a person has approved, or asked for as a plan says it,
/// are its edits: a team that deploys the same violation in one more container has made it another one.
fn may_be_put_onto(rollout: &Rollout, spec: &ChangeSpec, planned: &PlannedChange) -> bool {
    let approved = match rollout.spec.strategy.approval {
        Approval::EachWave => rollout.approved_waves > spec.wave,
        Approval::None | Approval::Before => rollout.approved_waves > 0,
    };
    let bound = approved || rollout.spec.asked.is_some();
    !bound || spec.edits.as_ref() == Some(&planned.edits)
}
