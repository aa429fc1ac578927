//! Moving open campaigns on: each change by what was just read of it, each rollout by its changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::books::Books;
use super::error::ControllerError;
use super::execute::{Executor, direction, previous};
use super::gate::Direction;
use super::late::came_late;
use super::recorded::say_what_it_goes_back_to;
use super::stop::unless_stopped;
use crate::model::change::{ChangeKind, Documents};
use crate::model::spec::HealthSpec;
use crate::model::{Observed, Reason, ReasonCode, Resource, Timestamp, wire};
use crate::policy::{ScopeKey, ScopeKeys, ScopeTags};
use crate::records::campaign::Campaign;
use crate::rollout::bake::{self, Watch};
use crate::rollout::change::{self, Action, READ_LAG, Step};
use crate::rollout::landing::Facts;
use crate::rollout::{Change, Rollout, RolloutState, State, campaign, command, images, late};

/// How many steps one change may take in one pass: register, move, look.
const STEPS: usize = 4;

/// Whose hand an event is in where nobody asked.
pub(super) const BY: &str = "plimsoll";

/// Resources that open rollouts have, with why each stands where it stands; and those moved so lately that reads may
/// still show them as they were.
#[must_use]
pub fn taken(open: &[Campaign], ended: &[Arc<Campaign>], now: Timestamp) -> BTreeMap<Resource, Reason> {
    let mut taken = BTreeMap::new();
    for campaign in open {
        let rollout = &campaign.rollout.value;
        // A proposal has nothing yet: every plan proposes anew, and a proposal that says something else is replaced.
        let proposed = matches!(rollout.state, RolloutState::Proposed { .. });
        for change in campaign.changes.iter().filter(|_| !proposed) {
            let change = &change.value;
            if change.state.phase().is_final() {
                if let Some(reason) = reads_may_lag(change, now) {
                    taken.entry(change.spec.resource.clone()).or_insert(reason);
                }
                continue;
            }
            // What has not begun says why it did not when it was last tried, which may be long ago.
            let waiting = match change.state {
                State::Pending => rollout.waiting.as_ref().or(change.waiting.as_ref()),
                _ => change.waiting.as_ref().or(rollout.waiting.as_ref()),
            };
            let reason = match waiting {
                Some(waiting) => Reason {
                    code: waiting.code,
                    message: format!(
                        "rollout `{}`, {}: {}",
                        rollout.name,
                        change.state.phase().as_str(),
                        waiting.message
                    ),
                    until: waiting.until,
                },
                None => Reason::of(
                    ReasonCode::OtherRollout,
                    format!("rollout `{}`: {}", rollout.name, change.state.phase().as_str()),
                ),
            };
            taken.insert(change.spec.resource.clone(), reason);
        }
    }
    for change in ended.iter().flat_map(|campaign| &campaign.changes).map(|change| &change.value) {
        if let Some(reason) = reads_may_lag(change, now) {
            taken.entry(change.spec.resource.clone()).or_insert(reason);
        }
    }
    taken
}

/// Why nobody takes up what a change has just moved, and until when.
fn reads_may_lag(change: &Change, now: Timestamp) -> Option<Reason> {
    let until = moved_until(change, now)?;
    let message = format!("rollout `{}` moved it a moment ago; reads may lag", change.spec.rollout);
    Some(Reason::of(ReasonCode::OtherRollout, message).until(until))
}

/// Until when reads may show what a change that has ended moved as it was before; none where they have caught up.
pub(super) fn moved_until(change: &Change, now: Timestamp) -> Option<Timestamp> {
    let moved = matches!(
        change.state,
        State::Succeeded { .. } | State::Unverified { .. } | State::RolledBack { .. } | State::Overtaken { .. }
    );
    change.entered().map(|at| at + READ_LAG).filter(|until| moved && *until > now)
}

/// What Freezes see of a change's resource. Tags and launch types are those that the last observation showed.
fn scope_keys(executor: &Executor<'_>, change: &Change, facts: &Facts) -> ScopeKeys {
    let service = facts.service.known();
    let of_service = change.spec.kind != ChangeKind::ClusterSetting;
    ScopeKeys {
        account: ScopeKey::Known(executor.target.account.clone()),
        region: ScopeKey::Known(executor.target.region.clone()),
        cluster: ScopeKey::Known(change.spec.cluster.name().to_owned()),
        service: change.spec.resource.service().map_or(ScopeKey::Absent, |arn| ScopeKey::Known(arn.name().to_owned())),
        family: change.spec.from.as_ref().map_or(ScopeKey::Absent, |arn| ScopeKey::Known(arn.family().to_owned())),
        launch_type: match service.and_then(|service| service.launch_type) {
            Some(launch_type) => ScopeKey::Known(launch_type),
            None if of_service => ScopeKey::Unknown,
            None => ScopeKey::Absent,
        },
        tags: match (service, facts.cluster.known()) {
            (Some(service), _) => ScopeTags::Known(service.tags.clone()),
            (None, Some(cluster)) if !of_service => {
                wire::cluster(cluster).map_or_else(|_| ScopeTags::default(), |cluster| ScopeTags::Known(cluster.tags))
            }
            (None, _) => ScopeTags::default(),
        },
    }
}

impl Executor<'_> {
    /// Moves every open campaign as far as it goes now.
    ///
    /// # Errors
    /// The store's, and a lost lease.
    pub async fn advance(&mut self, books: &mut Books) -> Result<(), ControllerError> {
        books.turn = books.turn.wrapping_add(1);
        for index in 0..books.campaigns.len() {
            self.go_on()?;
            self.advance_campaign(books, index).await?;
        }
        books.write_record().await
    }

    async fn advance_campaign(&mut self, books: &mut Books, index: usize) -> Result<(), ControllerError> {
        // Taken out while it is worked on: its records are written through `books`.
        let Some(slot) = books.campaigns.get_mut(index) else { return Ok(()) };
        let mut campaign = slot.clone();
        let name = campaign.rollout.value.name.clone();
        let result = self.work_on(books, &mut campaign).await;
        if let Some(slot) = books.campaigns.get_mut(index) {
            *slot = campaign;
        }
        result?;
        books.tell_the_end_anew(&name, self.now()).await
    }

    async fn work_on(&mut self, books: &mut Books, campaign: &mut Campaign) -> Result<(), ControllerError> {
        if campaign.rollout.value.state.is_final() {
            self.drop_unbegun(books, campaign).await?;
        }
        // Before anything is moved: what one says holds up what has not begun.
        let alarms_differ = self.look_at_alarms(campaign).await;
        // What is under way first: its places may become free.
        for place in 0..campaign.changes.len() {
            if campaign.changes.get(place).is_some_and(|change| is_under_way(&change.value)) {
                self.move_change(books, campaign, place).await?;
            }
        }
        let unwatched = match campaign.rollout.value.state {
            RolloutState::Baking { wave, .. } => self.watch_bake(books, campaign, wave).await?,
            _ => None,
        };
        // One decision may end a wave and open the next; each is recorded before what follows from it.
        let mut differs = alarms_differ;
        for _ in 0..=campaign.rollout.value.spec.waves.len() {
            if campaign.rollout.value.state.is_final()
                || !self.decide(books, campaign, unwatched.as_ref(), differs).await?
            {
                break;
            }
            differs = false;
        }
        Ok(())
    }

    /// What a rollout that has ended has not begun, it never will: nothing may wait for it. (A controller may have ended
    /// between writing the rollout and writing its changes.)
    async fn drop_unbegun(&mut self, books: &Books, campaign: &mut Campaign) -> Result<(), ControllerError> {
        let (now, ended) = (self.now(), campaign.rollout.value.state.phase());
        for change in &mut campaign.changes {
            if !matches!(change.value.state, State::Pending | State::Registering { .. }) {
                continue;
            }
            let message = format!("rollout `{}` has ended: {ended}", campaign.rollout.value.name);
            let reason = Reason::of(ReasonCode::Superseded, message);
            let was = change.value.state.clone();
            change.value.enter(State::Deferred { reason: reason.clone(), at: now }, Some(reason), now);
            books.write_change(change, &was, now, BY).await?;
        }
        Ok(())
    }

    /// Takes one decision about the rollout and carries it out. True where another may follow at once. `differs`: the
    /// rollout is not as it was written.
    async fn decide(
        &mut self,
        books: &mut Books,
        campaign: &mut Campaign,
        unwatched: Option<&Reason>,
        differs: bool,
    ) -> Result<bool, ControllerError> {
        let now = self.now();
        let changes: Vec<Change> = campaign.changes.iter().map(|change| change.value.clone()).collect();
        // What is being registered is about to move.
        let about_to = |change: &Change| campaign::is_begun(change) && !change.state.phase().is_in_flight();
        let registering = campaign.changes.iter().filter(|change| about_to(&change.value)).count();
        let left = books.left_of_the_day(&campaign.rollout.value, &campaign.changes, now);
        let day_budget = left.saturating_sub(registering);
        let unseen = campaign::still_unseen(&campaign.rollout.value, &changes);
        let differs = differs || unseen != campaign.rollout.value.spec.accepted_unseen;
        campaign.rollout.value.spec.accepted_unseen = unseen;
        let forward = window(&campaign.rollout.value, now).or_else(|| self.unjudged.clone());
        let turn = books.turn;
        let elsewhere = books.places_elsewhere(&campaign.rollout.value);
        let input = campaign::Input { forward: forward.as_ref(), unwatched, day_budget, elsewhere, turn, now };
        let decision = campaign::decide(&campaign.rollout.value, &changes, &input);
        let before = campaign.rollout.value.state.clone();
        let rollout = &mut campaign.rollout.value;
        let differs = differs || rollout.state != decision.state || rollout.waiting != decision.reason;
        rollout.state = decision.state;
        rollout.waiting = decision.reason;
        if differs {
            let goes_back = |state: &RolloutState| matches!(state, RolloutState::RollingBack { .. });
            let state = &campaign.rollout.value.state;
            let taken_back = goes_back(&before) && state.is_final() || !goes_back(&before) && goes_back(state);
            let stopped =
                matches!(state, RolloutState::Paused { reason, .. } if reason.code == ReasonCode::ChangeFailed);
            if stopped || taken_back {
                // First: a crash in between must not let the next plan begin it under another name.
                books.stop_fixes(&campaign.rollout.value);
                books.write_record().await?;
            }
            books.write_rollout(&mut campaign.rollout, &before, now, BY).await?;
        }
        for place in &decision.join {
            if let (Some(change), Some(wave)) = (campaign.changes.get_mut(*place), campaign.rollout.value.state.wave())
            {
                let was = change.value.state.clone();
                change.value.spec.wave = wave;
                books.write_change(change, &was, now, BY).await?;
            }
        }
        for (place, reason) in &decision.drop {
            if let Some(change) = campaign.changes.get_mut(*place) {
                let was = change.value.state.clone();
                change.value.enter(State::Deferred { reason: reason.clone(), at: now }, Some(reason.clone()), now);
                books.write_change(change, &was, now, BY).await?;
            }
        }
        for (place, cause) in &decision.take_back {
            if let Some(change) = campaign.changes.get_mut(*place) {
                books.hold(&change.value, cause, now).await?;
                let was = change.value.state.clone();
                command::take_back(&mut change.value, cause, now);
                books.write_change(change, &was, now, BY).await?;
            }
            self.move_change(books, campaign, *place).await?;
        }
        for place in &decision.begin {
            let Some(first) = goes_first(books, campaign, *place) else {
                self.move_change(books, campaign, *place).await?;
                // How many failures it may have is decided anew before another begins.
                if campaign.changes.get(*place).is_some_and(|change| change.value.failed()) {
                    break;
                }
                continue;
            };
            if let Some(change) = campaign.changes.get_mut(*place).filter(|change| !is_under_way(&change.value)) {
                let state = change.value.state.clone();
                self.record(books, change, state, Some(first), self.now()).await?;
            }
        }
        let moved_on = before.phase() != campaign.rollout.value.state.phase()
            || before.wave() != campaign.rollout.value.state.wave()
            || !decision.join.is_empty();
        Ok(moved_on && !campaign.rollout.value.state.is_final())
    }

    /// Moves one change as far as it goes now.
    async fn move_change(
        &mut self,
        books: &mut Books,
        campaign: &mut Campaign,
        place: usize,
    ) -> Result<(), ControllerError> {
        let health = campaign.rollout.value.spec.strategy.health.clone();
        self.windows.clone_from(&campaign.rollout.value.spec.strategy.windows);
        for _ in 0..STEPS {
            self.go_on()?;
            let elsewhere = books.others_of_strategy(&campaign.rollout.value).flat_map(|other| &other.changes);
            let all = campaign.changes.iter().chain(elsewhere).map(|change| &change.value);
            let full = campaign::no_room(&campaign.rollout.value, all);
            let left = books.left_of_the_day(&campaign.rollout.value, &campaign.changes, self.now());
            let full = full.or_else(|| (left == 0).then(campaign::day_is_over));
            let full = full.or_else(|| goes_first(books, campaign, place));
            let Some(change) = campaign.changes.get(place) else { return Ok(()) };
            let returned = books.returned(&change.value, &campaign.changes);
            let first = books.goes_back_first(&change.value, &campaign.changes);
            let Some(change) = campaign.changes.get_mut(place) else { return Ok(()) };
            if first.is_some() {
                let state = change.value.state.clone();
                return self.record(books, change, state, first, self.now()).await;
            }
            if let Some(cause) = books.undone(&change.value, self.now()) {
                Self::take_back(books, change, &cause, self.now()).await?;
                continue;
            }
            let full = full.filter(|_| matches!(change.value.state, State::Registering { .. }));
            let stop = self.stop.clone();
            let facts = unless_stopped(&stop, self.facts(&change.value)).await?;
            let now = self.now();
            let late = campaign.changes.get(place).and_then(|change| {
                let all = campaign.changes.iter().map(|change| &change.value).chain(books.changes());
                let of_same = |other: &&Change| {
                    other.spec.resource == change.value.spec.resource && other.name != change.value.name
                };
                came_late(&change.value, &all.filter(of_same).collect::<Vec<_>>(), &facts, books, now)
            });
            let Some(change) = campaign.changes.get_mut(place) else { return Ok(()) };
            let keys = scope_keys(self, &change.value, &facts);
            // What has touched its resource finishes; what has not waits while the rollout is stopped, while its fix is
            // held off, and until it was judged by what is stored now.
            let stopped = campaign::stopped(&campaign.rollout.value).cloned();
            let held = || books.held(&change.value, now).or_else(|| books.stopped_elsewhere(&change.value));
            let stopped = stopped.or_else(held).or_else(|| self.not_judged(&change.value.spec.resource)).or(late);
            let stopped = stopped.filter(|_| !change.value.state.phase().is_in_flight());
            let forward = self
                .gate
                .frozen(&keys, self.clock, Direction::Forward)
                .or_else(|| window(&campaign.rollout.value, now))
                .or(stopped)
                .or(full);
            let backward = self.gate.frozen(&keys, self.clock, Direction::Back);
            let input = change::Input {
                facts: &facts,
                registration: books.registration(&change.value),
                forward: forward.as_ref(),
                backward: backward.as_ref(),
                health: &health,
                previous: previous(books, &change.value),
                returned: returned.as_deref(),
                now,
            };
            let mut step = change::step(&change.value, &input);
            say_what_it_goes_back_to(&change.value, &mut step);
            // Only by a deployment: where ECS goes back by itself, it brings the old digests.
            let goes_back = direction(&change.value) == Direction::Back
                && matches!(step.action, Some(Action::MoveTo(_) | Action::RestorePrevious));
            let replaces =
                matches!((&change.value.state, &step.state), (State::Registering { .. }, State::Updating { .. }));
            if let Some(reason) = images_unknown(&change.value, &facts, &health, now).filter(|_| replaces || goes_back)
            {
                let waits = Step::to(change.value.state.clone(), Some(reason));
                let waits = change::unseen(&change.value, waits, &health, now);
                return self.record(books, change, waits.state, waits.reason, now).await;
            }
            if goes_back && self.go_back_to_what_ran(books, change, &facts).await? {
                continue;
            }
            if let (State::Registering { .. }, State::Updating { before: Some(before), .. }) =
                (&change.value.state, &step.state)
            {
                change.value.spec.ran = images::of_deployment(&facts, before);
            }
            late::heard_of(&mut change.value, &step.state);
            late::gives_up(&mut change.value, &step.state, &facts);
            // Since when it waits is not forgotten by trying: only by what comes of it.
            if step.action.is_some() && step.state.phase() == change.value.state.phase() {
                step.reason = step.reason.or_else(|| change.value.waiting.clone());
            }
            let turns_round = is_forward(&change.value) && matches!(step.state, State::RollingBack { .. });
            self.record(books, change, step.state, step.reason, now).await?;
            let Some(action) = step.action else {
                // What has gone wrong is taken back now, not at the next look.
                if turns_round {
                    continue;
                }
                return Ok(());
            };
            let intended = change.value.clone();
            debug_assert!(direction(&intended) == Direction::Back || !intended.state.phase().is_final());
            let effect = self.perform(books, &intended, &action, &facts, &keys).await?;
            let go_on = effect.go_on;
            if !effect.made {
                change.value.told = change.value.told.saturating_sub(1);
            }
            if !effect.heard {
                late::not_heard_of(&mut change.value, self.now());
            }
            // What is looked at for a call may be as unreadable as what it is about.
            let now = self.now();
            let came = change::unseen(&change.value, Step::to(effect.state, effect.reason), &health, now);
            late::gives_up(&mut change.value, &came.state, &facts);
            self.record(books, change, came.state, came.reason, now).await?;
            if !go_on {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Records a change's state. What goes wrong is held off first: a crash in between must not bring it back.
    async fn record(
        &self,
        books: &mut Books,
        change: &mut crate::records::Versioned<Change>,
        state: State,
        reason: Option<Reason>,
        now: Timestamp,
    ) -> Result<(), ControllerError> {
        if change.value.state == state && change.value.waiting == reason {
            return Ok(());
        }
        let was = change.value.state.clone();
        if was.phase() != state.phase()
            && let Some(cause) = held_for(&state)
        {
            books.hold(&change.value, &cause, now).await?;
        }
        if let State::Updating { to: Some(to), .. } = &state
            && change.value.spec.kind == ChangeKind::Revision
        {
            change.value.spec.to = Some(to.clone());
        }
        // A setting keeps the revision that the service has when it begins, which a change of ours may have moved since
        // the plan.
        if let State::Updating { to: Some(kept), .. } = &state
            && change.value.spec.kind == ChangeKind::DeployingSetting
        {
            change.value.spec.from = Some(kept.clone());
        }
        let waiting = if state.phase().is_final() { None } else { reason.clone() };
        change.value.enter(state, reason, now);
        change.value.waiting = waiting;
        books.write_change(change, &was, now, BY).await
    }

    /// Starts taking a change back, what it brings held off first.
    async fn take_back(
        books: &mut Books,
        change: &mut crate::records::Versioned<Change>,
        cause: &Reason,
        now: Timestamp,
    ) -> Result<(), ControllerError> {
        books.hold(&change.value, cause, now).await?;
        let was = change.value.state.clone();
        command::take_back(&mut change.value, cause, now);
        books.write_change(change, &was, now, BY).await
    }

    /// While a wave bakes, its changes must stay healthy. Why that cannot be told, where it cannot.
    async fn watch_bake(
        &mut self,
        books: &mut Books,
        campaign: &mut Campaign,
        wave: usize,
    ) -> Result<Option<Reason>, ControllerError> {
        let mut unwatched = None;
        for place in 0..campaign.changes.len() {
            let Some(change) = campaign.changes.get(place) else { continue };
            if change.value.spec.wave != wave
                || !change.value.stands()
                || change.value.spec.resource.service().is_none()
            {
                continue;
            }
            let stop = self.stop.clone();
            // A large wave takes longer to read than a lease lasts.
            self.gate.hold_on(self.store, self.target, self.clock).await?;
            let facts = unless_stopped(&stop, self.facts(&change.value)).await?;
            let cause = match bake::watch(&change.value, &facts, self.now()) {
                Watch::Stands => continue,
                Watch::Relapsed(cause) => cause,
                Watch::Unknown(reason) => {
                    unwatched.get_or_insert(reason);
                    continue;
                }
            };
            let now = self.now();
            if let Some(change) = campaign.changes.get_mut(place) {
                Self::take_back(books, change, &cause, now).await?;
            }
            self.move_change(books, campaign, place).await?;
        }
        Ok(unwatched)
    }
}

/// Why it cannot be told which images run, where that matters: what is replaced is to be brought back as it ran, though its
/// tag may move, and where a tag has moved is to be seen before going back. Taking back does not wait for it for ever.
fn images_unknown(change: &Change, facts: &Facts, health: &HealthSpec, now: Timestamp) -> Option<Reason> {
    let Observed::Unknown { why, .. } = &facts.tasks else { return None };
    let named_by_tags = |of: &Documents| !(of.tagged.is_empty() && of.untagged.is_empty());
    let tagged = change.spec.documents.as_ref().is_some_and(|of| named_by_tags(of) && !of.recorded);
    let patient = is_forward(change) || change.entered().is_some_and(|at| at + health.progress_timeout.0 > now);
    let message = || format!("which images run could not be read: {why}");
    (tagged && patient).then(|| Reason::of(ReasonCode::NotObserved, message()))
}

fn is_forward(change: &Change) -> bool {
    direction(change) == Direction::Forward
}

fn is_under_way(change: &Change) -> bool {
    !change.state.phase().is_final() && change.state != State::Pending
}

/// Why a change does not begin yet, or has only registered and does not move: two of one resource go one after the other,
/// whether of one rollout or of two.
fn goes_first(books: &Books, campaign: &Campaign, place: usize) -> Option<Reason> {
    let change = &campaign.changes.get(place)?.value;
    let (of, pending) = (&change.spec, change.state == State::Pending);
    let short = || of.resource.short();
    // Of two that have registered, the first.
    let before = |(at, other): (usize, &crate::records::Versioned<Change>)| {
        let (same, in_flight) = (other.value.spec.resource == of.resource, other.value.state.phase().is_in_flight());
        at != place && same && is_under_way(&other.value) && (in_flight || pending || at < place)
    };
    if campaign.changes.iter().enumerate().any(before) {
        let message = format!("another change of `{}` in this rollout goes first", short());
        return Some(Reason::of(ReasonCode::Progressing, message));
    }
    let elsewhere = books.changes().find(|other| {
        other.spec.resource == of.resource && other.spec.rollout != of.rollout && other.state.phase().is_in_flight()
    });
    elsewhere.map(|other| {
        let message =
            format!("rollout `{}` has a change of `{}` in flight, which goes first", other.spec.rollout, short());
        Reason::of(ReasonCode::OtherRollout, message)
    })
}

/// Why a change's fixes are to stay off its resource, where its state says so.
pub(super) fn held_for(state: &State) -> Option<Reason> {
    match state {
        // The fix has nothing to do with it.
        State::RollingBack { cause, .. } if cause.code == ReasonCode::LateCall => None,
        State::RollingBack { cause, .. } => Some(cause.clone()),
        State::Quarantined { reason, .. } | State::Clobbering { reason, .. } | State::Clobbered { reason, .. } => {
            Some(reason.clone())
        }
        // What no plan can foresee would be tried again by every one.
        State::Blocked { reason, .. }
            if matches!(
                reason.code,
                ReasonCode::Refused | ReasonCode::RegisteredDiffers | ReasonCode::AccessDenied
            ) =>
        {
            Some(reason.clone())
        }
        State::Blocked { .. }
        | State::Pending
        | State::Registering { .. }
        | State::Updating { .. }
        | State::Stabilizing { .. }
        | State::Verifying { .. }
        | State::Succeeded { .. }
        | State::Unverified { .. }
        | State::RolledBack { .. }
        | State::Failed { .. }
        | State::Deferred { .. }
        | State::Overtaken { .. }
        | State::Gone { .. } => None,
    }
}

/// Why the strategy's windows forbid to begin anything now.
fn window(rollout: &Rollout, now: Timestamp) -> Option<Reason> {
    crate::rollout::window::closed(&rollout.spec.strategy.windows, now)
}
