//! A plan that a person asks for, held against what would be done now: carried out exactly as it was shown, or refused
//! with what has changed since. Knows neither who asks nor how it is stored.
//!
//! Approval is of the edit: other policies that make the same edits to the same services are no difference.

use super::record::{Change, Rollout};
use super::state::{RolloutState, State};
use crate::model::observed::Fleet;
use crate::model::{ChangeKind, Resource};
use crate::plan::saved::{SavedCampaign, SavedChange, SavedPlan, setting_hash};
use crate::plan::{self, Plan, Planned, PlannedCampaign};

/// What is to become of one campaign of the plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Fit {
    /// This rollout does all of it, or has done it.
    Carried {
        /// Its name.
        rollout: String,
    },
    /// It is to be made, with these changes and no others.
    Make {
        /// With its waves.
        campaign: Box<PlannedCampaign>,
        /// Proposals that it takes the place of.
        instead_of: Vec<String>,
    },
}

/// Why a plan is refused: one for each resource that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What people read: `CLUSTER/NAME`, or a rollout.
    pub of: String,
    /// What is different, as the rest of a sentence.
    pub what: String,
}

/// What there is to hold the plan against.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// The fleet as it was just observed.
    pub fleet: &'a Fleet,
    /// What would be done now.
    pub plan: &'a Plan,
    /// Every rollout there is, with its changes.
    pub rollouts: &'a [(&'a Rollout, Vec<&'a Change>)],
}

/// What is to become of each campaign of the plan.
///
/// # Errors
/// Everything that is different: then nothing of it is carried out.
pub fn fit(asked: &SavedPlan, live: &Live<'_>) -> Result<Vec<Fit>, Vec<Difference>> {
    let mut fits = Vec::new();
    let mut differences = Vec::new();
    for campaign in asked.campaigns.iter().filter(|campaign| !campaign.changes.is_empty()) {
        match fit_campaign(campaign, live) {
            Ok(fit) => fits.push(fit),
            Err(found) => differences.extend(found),
        }
    }
    if differences.is_empty() { Ok(fits) } else { Err(differences) }
}

fn fit_campaign(asked: &SavedCampaign, live: &Live<'_>) -> Result<Fit, Vec<Difference>> {
    let carries = |(rollout, changes): &&(&Rollout, Vec<&Change>)| {
        // Whoever approves a proposal approves all of it: it must be what was shown and nothing more.
        let exact = changes.len() == asked.changes.len() || !matches!(rollout.state, RolloutState::Proposed { .. });
        exact && asked.changes.iter().all(|wanted| changes.iter().any(|change| brings(change, wanted, live.plan)))
    };
    if let Some((rollout, _)) = live.rollouts.iter().find(carries) {
        return Ok(Fit::Carried { rollout: rollout.name.clone() });
    }
    let by = |wanted: &SavedChange| {
        let begun = live.rollouts.iter().filter(|(rollout, _)| !matches!(rollout.state, RolloutState::Proposed { .. }));
        let mut begun = begun.filter(|(_, changes)| changes.iter().any(|change| brings(change, wanted, live.plan)));
        begun.next().map(|(rollout, _)| rollout.name.clone())
    };
    let (carried, left): (Vec<_>, Vec<_>) = asked.changes.iter().partition(|wanted| by(wanted).is_some());
    let (planned, differences): (Vec<_>, Vec<_>) =
        left.into_iter().map(|wanted| find(wanted, live)).partition(Result::is_ok);
    if !differences.is_empty() {
        return Err(differences.into_iter().filter_map(Result::err).collect());
    }
    if let Some(rollout) = carried.first().and_then(|wanted| by(wanted)) {
        let what = format!("has {} of its {} changes already", carried.len(), asked.changes.len());
        return Err(vec![Difference { of: format!("rollout `{rollout}`"), what }]);
    }
    // All of one campaign, or the Bindings would roll them out otherwise by now.
    let mut campaigns: Vec<&PlannedCampaign> = planned.into_iter().filter_map(Result::ok).collect();
    campaigns.dedup_by_key(|campaign| std::ptr::from_ref(*campaign));
    let strategy = |what: String| vec![Difference { of: format!("strategy `{}`", asked.strategy), what }];
    let [campaign] = campaigns.as_slice() else {
        return Err(strategy("its changes would not be rolled out together any more".to_owned()));
    };
    let now = SavedCampaign::of(campaign);
    if now.strategy != asked.strategy {
        return Err(strategy(format!("they would be rolled out with strategy `{}` now", now.strategy)));
    }
    if now.strategy_hash != asked.strategy_hash {
        return Err(strategy("it was changed since".to_owned()));
    }
    let instead_of = make_room(campaign, live)?;
    let wanted =
        |change: &plan::PlannedChange| asked.changes.iter().any(|wanted| same(wanted, &SavedChange::of(change)));
    let campaign = plan::exactly(live.fleet, campaign, live.plan.services.len(), wanted);
    let moved: Vec<Difference> = campaign
        .changes
        .iter()
        .filter_map(|change| {
            let wanted = asked.changes.iter().find(|wanted| same(wanted, &SavedChange::of(change)))?;
            let what = format!("would go in wave {} instead of wave {}", change.wave + 1, wanted.wave + 1);
            (wanted.wave != change.wave).then(|| Difference { of: short(&change.resource), what })
        })
        .collect();
    if !moved.is_empty() {
        return Err(moved);
    }
    Ok(Fit::Make { campaign: Box::new(campaign), instead_of })
}

/// The open proposals that the campaign takes the place of; an open rollout that is no proposal comes first.
fn make_room(campaign: &PlannedCampaign, live: &Live<'_>) -> Result<Vec<String>, Vec<Difference>> {
    let mut proposals = Vec::new();
    let of_it = |rollout: &&Rollout| {
        let proposed = match &rollout.state {
            RolloutState::Proposed { reason } => Some(reason.code),
            _ => None,
        };
        !rollout.state.is_final()
            && rollout.spec.strategy_name == campaign.strategy_name
            && proposed == campaign.proposed.as_ref().map(|reason| reason.code)
    };
    for rollout in live.rollouts.iter().map(|(rollout, _)| *rollout).filter(of_it) {
        if !matches!(rollout.state, RolloutState::Proposed { .. }) {
            let phase = rollout.state.phase();
            let what = format!("of the same strategy is {phase} with other changes: ask again when it has ended");
            return Err(vec![Difference { of: format!("rollout `{}`", rollout.name), what }]);
        }
        proposals.push(rollout.name.clone());
    }
    Ok(proposals)
}

/// Whether this change is the one that was asked for, and is to be made or stands.
fn brings(change: &Change, wanted: &SavedChange, plan: &Plan) -> bool {
    let spec = &change.spec;
    let edit = match spec.kind {
        ChangeKind::Revision => spec.documents.as_ref().map(|documents| documents.wanted.clone()),
        ChangeKind::DeployingSetting | ChangeKind::QuietSetting | ChangeKind::ClusterSetting => {
            spec.setting.as_ref().map(setting_hash)
        }
    };
    let is_it = spec.resource == wanted.resource
        && spec.kind == wanted.kind
        && spec.created_at == wanted.created_at
        // A setting is made on whatever revision the service has when its turn comes.
        && (spec.kind != ChangeKind::Revision || spec.from == wanted.from)
        && spec.fixes == wanted.fixes
        && edit.as_ref() == Some(&wanted.wanted);
    let still = match &change.state {
        // It landed: only where the service is still what it was made.
        State::Succeeded { .. } | State::Unverified { .. } => {
            let runs = planned(plan, &wanted.resource).and_then(|planned| planned.task_definition.as_deref());
            spec.kind != ChangeKind::Revision || runs == spec.to.as_ref().map(|to| to.as_str())
        }
        state => !state.phase().is_final() && !change.failed(),
    };
    is_it && still
}

fn planned<'a>(plan: &'a Plan, resource: &Resource) -> Option<&'a Planned> {
    let all = plan.services.iter().chain(&plan.clusters);
    all.map(AsRef::as_ref).find(|planned| planned.resource.as_ref() == resource.as_str())
}

/// The same edit of the same state, whatever its wave.
fn same(wanted: &SavedChange, change: &SavedChange) -> bool {
    SavedChange { wave: change.wave, ..wanted.clone() } == *change
}

/// The campaign in which the change would be made now, or why it would not.
fn find<'a>(wanted: &SavedChange, live: &Live<'a>) -> Result<&'a PlannedCampaign, Difference> {
    let all = || {
        let with = |campaign: &'a PlannedCampaign| campaign.changes.iter().map(move |change| (campaign, change));
        live.plan.campaigns.iter().flat_map(with)
    };
    let of_it = |(campaign, change): (&'a PlannedCampaign, &'a plan::PlannedChange)| {
        (change.resource == wanted.resource && change.kind == wanted.kind).then(|| (campaign, SavedChange::of(change)))
    };
    let found = all().find_map(of_it);
    match found {
        Some((campaign, now)) if same(wanted, &now) => Ok(campaign),
        found => Err(Difference {
            of: short(&wanted.resource),
            what: different(wanted, found.map(|(_, now)| now).as_ref(), live.plan),
        }),
    }
}

fn different(wanted: &SavedChange, now: Option<&SavedChange>, plan: &Plan) -> String {
    let Some(planned) = planned(plan, &wanted.resource) else {
        let unseen = if plan.gaps.is_empty() { "is gone" } else { "was not seen: not all could be listed" };
        return unseen.to_owned();
    };
    if now.is_some_and(|now| now.created_at != wanted.created_at) {
        return "was deleted and created again".to_owned();
    }
    let runs = planned.task_definition.as_deref();
    if wanted.from.as_ref().map(|from| from.as_str()) != runs {
        let from = wanted.from.as_ref().map_or("no revision", |from| from.short());
        let runs = runs.and_then(|runs| runs.rsplit('/').next()).unwrap_or("none");
        return format!("had `{from}` and has `{runs}` now");
    }
    match now {
        Some(now) if now.base != wanted.base => "had the setting otherwise when the plan was made".to_owned(),
        Some(_) => "would be edited otherwise by the policies in force".to_owned(),
        None => {
            let reason = planned.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("would not be changed: it is {}{reason}", planned.outcome.as_str())
        }
    }
}

fn short(resource: &Resource) -> String {
    format!("`{}`", resource.short())
}

/// Everything that is different, in one sentence that ends with what to do.
#[must_use]
pub fn told(differences: &[Difference]) -> String {
    const SHOWN: usize = 20;
    let mut parts: Vec<String> =
        differences.iter().take(SHOWN).map(|difference| format!("{} {}", difference.of, difference.what)).collect();
    if let Some(more) = differences.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        parts.push(format!("and {more} more"));
    }
    format!("the plan does not hold any more: {}; make it again with `plimsoll plan --out`", parts.join("; "))
}
