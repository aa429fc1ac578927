//! What rollouts have to do with one another: the places that those of one strategy share, and what a later one has built on
//! an earlier; and what becomes of one that has ended.

use std::sync::Arc;
use std::time::Duration;

use super::books::Books;
use super::error::ControllerError;
use crate::model::{ChangeKind, Reason, ReasonCode, Timestamp};
use crate::records::Versioned;
use crate::records::campaign::Campaign;
use crate::rollout::{Back, Change, Phase, Rollout, State, campaign, told};

/// What `maxChangesPerDay` is counted over.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Books {
    /// How many places the other rollouts of a rollout's strategy take: the budget is the strategy's, over the target.
    #[must_use]
    pub fn places_elsewhere(&self, rollout: &Rollout) -> usize {
        let places = |campaign: &Campaign| {
            campaign::places(&campaign.rollout.value, campaign.changes.iter().map(|change| &change.value))
        };
        self.others_of_strategy(rollout).map(places).sum()
    }

    /// How many changes of a rollout's strategy may still move today: what moved in the last 24 hours counts, of whichever of
    /// its rollouts, and what was only registered does not. `changes` are the rollout's own.
    #[must_use]
    pub fn left_of_the_day(&self, rollout: &Rollout, changes: &[Versioned<Change>], now: Timestamp) -> usize {
        let Some(limit) = rollout.spec.strategy.max_changes_per_day else { return usize::MAX };
        let others = self.others_of_strategy(rollout).flat_map(|other| &other.changes);
        let all = changes.iter().chain(others);
        let moved: usize = all.map(|change| change.value.moves_since(now - DAY)).sum();
        (limit as usize).saturating_sub(moved)
    }

    /// The other rollouts of the same strategy, also those that have ended: what they have in flight counts.
    pub fn others_of_strategy<'a>(&'a self, rollout: &'a Rollout) -> impl Iterator<Item = &'a Campaign> {
        let of_it = |campaign: &&Campaign| {
            let other = &campaign.rollout.value;
            other.spec.strategy_name == rollout.spec.strategy_name && other.name != rollout.name
        };
        self.all().filter(of_it)
    }

    /// The change of another rollout that was made on what this one made, and stands or is under way.
    #[must_use]
    pub fn built_upon<'a>(&'a self, change: &'a Change) -> Option<&'a Change> {
        let others = self.changes().filter(|other| other.spec.rollout != change.spec.rollout);
        others
            .filter(|other| is_built_on(other, change))
            .find(|later| later.stands() || later.state.phase().is_in_flight())
    }

    /// Changes that began on what this one made of the same resource, and deploy: of the same rollout, `own`, or of another.
    fn later<'a>(&'a self, change: &'a Change, own: &'a [Versioned<Change>]) -> impl Iterator<Item = &'a Change> {
        let others = self.changes().filter(|other| other.spec.rollout != change.spec.rollout);
        others.chain(own.iter().map(|own| &own.value)).filter(|other| is_built_on(other, change))
    }

    /// The deployment by which a later change went back to what this one made.
    #[must_use]
    pub fn returned(&self, change: &Change, own: &[Versioned<Change>]) -> Option<String> {
        let by = |later: &Change| match &later.state {
            State::RolledBack { deployment, at, .. } => deployment.clone().map(|deployment| (*at, deployment)),
            _ => None,
        };
        self.later(change, own).filter_map(by).max().map(|(_, deployment)| deployment)
    }

    /// Why a change that is to be taken back waits: a later one of the same resource is taken back first.
    #[must_use]
    pub fn goes_back_first(&self, change: &Change, own: &[Versioned<Change>]) -> Option<Reason> {
        let State::RollingBack { back: Back::Deciding, .. } = change.state else { return None };
        let first = self.later(change, own).find(|later| later.state.phase().is_in_flight())?;
        let message = format!("`{}`, which was made on it, is taken back first", first.name);
        Some(Reason::of(ReasonCode::RollbackInProgress, message))
    }

    /// A rollout that has ended is told anew, where what it had not proved has been, or has failed, since.
    ///
    /// # Errors
    /// The store's.
    pub async fn tell_the_end_anew(&mut self, name: &str, now: Timestamp) -> Result<(), ControllerError> {
        let Some(mut found) = self.all().find(|campaign| campaign.rollout.value.name == name).cloned() else {
            return Ok(());
        };
        if !found.rollout.value.state.is_final() {
            return Ok(());
        }
        let changes: Vec<Change> = found.changes.iter().map(|change| change.value.clone()).collect();
        let Some(state) = campaign::ended_otherwise(&found.rollout.value, &changes, now) else { return Ok(()) };
        let before = std::mem::replace(&mut found.rollout.value.state, state);
        found.rollout.value.waiting = told::reason_of(&found.rollout.value.state).cloned();
        self.write_rollout(&mut found.rollout, &before, now, "plimsoll").await?;
        let ended = self.ended.iter_mut().filter(|campaign| campaign.rollout.value.name == name).map(Arc::make_mut);
        let mut all = self.campaigns.iter_mut().filter(|campaign| campaign.rollout.value.name == name).chain(ended);
        if let Some(slot) = all.next() {
            slot.rollout = found.rollout;
        }
        Ok(())
    }
}

/// Whether `later` began on what `change` made of the same resource, and both deploy.
fn is_built_on(later: &Change, change: &Change) -> bool {
    let deploys = |change: &Change| matches!(change.spec.kind, ChangeKind::Revision | ChangeKind::DeployingSetting);
    let made = match change.spec.kind {
        ChangeKind::Revision => change.spec.to.as_ref(),
        ChangeKind::DeployingSetting | ChangeKind::QuietSetting | ChangeKind::ClusterSetting => {
            change.spec.from.as_ref()
        }
    };
    let begun = change.last_entered(Phase::Updating);
    deploys(change)
        && deploys(later)
        && later.name != change.name
        && later.spec.resource == change.spec.resource
        && later.spec.created_at == change.spec.created_at
        && made.is_some()
        && later.spec.from.as_ref() == made
        && begun.is_some()
        && later.last_entered(Phase::Updating) > begun
}
