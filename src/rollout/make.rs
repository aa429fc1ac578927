//! From a planned campaign to its records.

use std::collections::BTreeMap;

use super::alarm::AlarmWatch;
use super::record::{Change, ChangeSpec, HistoryEntry, Rollout, RolloutSpec};
use super::state::{Phase, RolloutState, State};
use crate::model::change::Documents;
use crate::model::mask::mask_diff;
use crate::model::{TargetId, Timestamp};
use crate::plan::{PlannedCampaign, PlannedChange};

/// What a rollout is made with, besides the campaign.
#[derive(Debug, Clone, Copy)]
pub struct Making<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where.
    pub target: &'a TargetId,
    /// The plan it came from.
    pub plan: &'a str,
    /// How many services the target has.
    pub services: usize,
    /// The lease epoch.
    pub epoch: u64,
    /// The Command by which a person asked for exactly this campaign.
    pub asked: Option<&'a str>,
    /// The clock.
    pub now: Timestamp,
}

/// The rollout and its changes, not begun. `documents` gives, for each change, the hashes its documents are kept by.
#[must_use]
pub fn records(
    campaign: &PlannedCampaign,
    documents: &[Option<Documents>],
    making: &Making<'_>,
) -> (Rollout, Vec<Change>) {
    let mut fixes: Vec<String> = campaign.changes.iter().flat_map(|change| change.fixes.clone()).collect();
    fixes.sort();
    fixes.dedup();
    let state = match &campaign.proposed {
        Some(reason) => RolloutState::Proposed { reason: reason.clone() },
        None => RolloutState::Scheduled,
    };
    let rollout = Rollout {
        name: making.name.to_owned(),
        spec: RolloutSpec {
            target: making.target.clone(),
            plan: making.plan.to_owned(),
            strategy_name: campaign.strategy_name.clone(),
            strategy: campaign.strategy.clone(),
            fixes,
            services: making.services,
            accepted_failures: Vec::new(),
            accepted_unseen: Vec::new(),
            waves: campaign.waves.iter().map(|wave| wave.record.clone()).collect(),
            asked: making.asked.map(ToOwned::to_owned),
        },
        state,
        epoch: making.epoch,
        approved_waves: 0,
        created_at: making.now,
        entered_at: None,
        waiting: campaign.proposed.clone(),
        carried_out: None,
        retried_at: None,
        alarms: AlarmWatch::default(),
    };
    let changes = campaign
        .changes
        .iter()
        .zip(documents.iter().cloned().chain(std::iter::repeat(None)))
        .enumerate()
        .map(|(number, (planned, documents))| change(planned, documents, number + 1, making))
        .collect();
    (rollout, changes)
}

fn change(planned: &PlannedChange, documents: Option<Documents>, number: usize, making: &Making<'_>) -> Change {
    Change {
        // Padded, so that the store's order is the plan's.
        name: format!("{}/{number:05}", making.name),
        spec: ChangeSpec {
            rollout: making.name.to_owned(),
            resource: planned.resource.clone(),
            created_at: planned.created_at,
            cluster: planned.cluster.clone(),
            kind: planned.kind,
            from: planned.from.clone(),
            to: None,
            diff: mask_diff(&planned.diff),
            edits: Some(planned.edits.clone()),
            documents,
            ran: BTreeMap::new(),
            setting: planned.setting.clone(),
            fixes: planned.fixes.clone(),
            policies: planned.policies.clone(),
            wave: planned.wave,
            registered: planned.registered.clone(),
            put_back: planned.put_back.clone(),
        },
        state: State::Pending,
        epoch: making.epoch,
        waiting: None,
        history: vec![HistoryEntry { at: making.now, phase: Phase::Pending, reason: None }],
        unheard: vec![],
        stood: None,
        told: 0,
    }
}
