//! Taking a change back: only while the service's primary deployment is ours, never during another rollback.
//!
//! Knows nothing of freezes and windows but what its caller says: going back is exempt from all but a Freeze that
//! includes it.

use std::time::Duration;

use super::adoption::{
    is_begun_again, is_of, overwritten, record_of, replaced_ours_again, replaced_the_same, shown, sources,
};
use super::change::{Action, Input, READ_LAG, Step, clobbering};
use super::landing::{CLOCK_SLACK, Expected, Facts, KnownDeployment, Landing, ServiceDeployments};
use super::landing::{begun_since, is_rolled_back, judge, native_wait_back, record_lags, started_by_us};
use super::record::Change;
use super::setting;
use super::state::{Back, Progress, State};
use crate::model::ChangeKind;
use crate::model::observed::{Deployment, Service, ServiceDeployment};
use crate::model::{Observed, Reason, ReasonCode, ServiceDeploymentArn, TaskDefinitionArn, Timestamp, counted};

/// A change that is being taken back.
#[derive(Debug, Clone, Copy)]
pub struct Taking<'a> {
    /// Why.
    pub cause: &'a Reason,
    /// Our deployment, where it is known and there is one.
    pub deployment: Option<&'a str>,
    /// When it was intended.
    pub intent: Timestamp,
    /// How far.
    pub back: &'a Back,
}

/// What to do next.
#[must_use]
pub fn step(change: &Change, taking: &Taking<'_>, input: &Input<'_>) -> Step {
    let going = Going { change, taking, input };
    if change.spec.kind == ChangeKind::ClusterSetting {
        return going.unset_quietly();
    }
    let service = match &input.facts.service {
        Observed::Known { value, .. } if value.created_at == change.spec.created_at && value.status == "ACTIVE" => {
            value
        }
        Observed::Known { .. } | Observed::Absent { .. } => return Step::to(State::Gone { at: input.now }, None),
        Observed::Unknown { why, .. } => {
            return going.wait(Reason::of(ReasonCode::NotObserved, format!("the service could not be read: {why}")));
        }
    };
    if change.spec.kind == ChangeKind::QuietSetting {
        return going.unset_quietly();
    }
    let Some(primary) = service.primary() else {
        return going.wait(Reason::of(ReasonCode::NotObserved, "the service shows no primary deployment"));
    };
    if let (None, Some(ours)) = (taking.deployment, going.found(service)) {
        // Somebody may have begun the same since, which its record tells.
        return going.untold().map_or_else(|| Step::to(going.known(&ours.id), None), |reason| going.wait(reason));
    }
    match taking.back {
        Back::Deciding | Back::Replacing => going.decide(primary),
        Back::Stopping { arn, intent } => going.stopping(primary, arn, *intent),
        back @ Back::Updating { intent, .. } if back.starts_none() => going.unsetting_rest(primary, *intent),
        Back::Updating { to, before, intent } => going.updating(primary, to.as_ref(), before, *intent),
        Back::Watching { to, progress, steady_since } => {
            going.watching(primary, &Watched { to: to.as_ref(), progress: *progress, steady_since: *steady_since })
        }
    }
}

/// A move back that ECS has begun.
struct Watched<'a> {
    to: Option<&'a TaskDefinitionArn>,
    progress: Progress,
    steady_since: Option<Timestamp>,
}

impl Watched<'_> {
    fn back(&self, progress: Progress, steady_since: Option<Timestamp>) -> Back {
        Back::Watching { to: self.to.cloned(), progress, steady_since }
    }
}

/// All that a step back is decided from.
struct Going<'a> {
    change: &'a Change,
    taking: &'a Taking<'a>,
    input: &'a Input<'a>,
}

impl Going<'_> {
    fn at(&self, back: Back) -> State {
        let deployment = self.taking.deployment.map(ToOwned::to_owned);
        State::RollingBack { cause: self.taking.cause.clone(), deployment, intent: self.taking.intent, back }
    }

    /// The same, now that it is known which deployment is ours.
    fn known(&self, deployment: &str) -> State {
        let (cause, deployment) = (self.taking.cause.clone(), Some(deployment.to_owned()));
        State::RollingBack { cause, deployment, intent: self.taking.intent, back: Back::Deciding }
    }

    fn wait(&self, reason: Reason) -> Step {
        Step::to(self.at(self.taking.back.clone()), Some(reason))
    }

    /// Why what ECS does with our deployment, what that replaced, and what replaces it, cannot be told now. Taking back does not
    /// wait for it for ever.
    fn untold(&self) -> Option<Reason> {
        let timeout = self.input.health.progress_timeout.0;
        let patient = self.change.entered().is_some_and(|entered| entered + timeout > self.input.facts.asked_at());
        let quiet = matches!(self.change.spec.kind, ChangeKind::QuietSetting | ChangeKind::ClusterSetting);
        let facts = self.input.facts;
        let lags = || record_lags(facts, facts.service.known()?.primary()?);
        facts.records_unread().or_else(lags).or_else(|| begun_since(facts)).filter(|_| patient && !quiet)
    }

    fn done(&self) -> Step {
        if let Some(reason) = self.untold() {
            return self.wait(reason);
        }
        // What it had before is back, and what ours replaced is not.
        let over = self.overwrote(None).or_else(|| self.began_theirs_again());
        let not_back = over.or_else(|| self.set_again()).or_else(|| self.unset_rest());
        if let Some(step) = not_back.or_else(|| self.set_otherwise()) {
            return step;
        }
        let cause = self.taking.cause.clone();
        let deploys = !matches!(self.change.spec.kind, ChangeKind::QuietSetting | ChangeKind::ClusterSetting);
        let primary = self.input.facts.service.known().and_then(Service::primary).filter(|_| deploys);
        let deployment = primary.map(|primary| primary.id.clone());
        Step::to(State::RolledBack { cause: cause.clone(), at: self.input.now, deployment }, Some(cause))
    }

    /// Our deployment replaced somebody's: what the service had before that must not go over it too.
    fn overwrote(&self, ours: Option<&Deployment>) -> Option<Step> {
        let (change, facts, home) = (self.change, self.input.facts, self.input.previous);
        // What a later change of ours went back from is in the records, and nobody's loss.
        if change.spec.kind != ChangeKind::Revision || self.input.returned.is_some() {
            return None;
        }
        let active = ours.zip(facts.service.known());
        let theirs = active
            .and_then(|(ours, service)| overwritten(change, service, facts, ours, home))
            .or_else(|| sources(facts, self.record()?)?.iter().find(|found| !is_of(change, found, home)))?;
        let message = format!("ours replaced `{}`, which somebody had deployed", theirs.short());
        let reason = Reason::of(ReasonCode::Clobbered, message);
        let now = self.input.now;
        let state = match ours {
            Some(ours) => clobbering(Some(&ours.task_definition), &ours.id, self.taking.intent, &reason, now),
            None => State::Clobbered { reason: reason.clone(), at: now },
        };
        Some(Step::to(state, Some(reason)))
    }

    /// Nobody heard of the call of a setting, and ECS went back from what it began. That may have been somebody's revision again,
    /// and their deployment is gone too.
    fn began_theirs_again(&self) -> Option<Step> {
        let (change, ServiceDeployments::Known(records)) = (self.change, &self.input.facts.deployments) else {
            return None;
        };
        let told = self.taking.deployment.is_some() || self.input.returned.is_some();
        if change.spec.kind != ChangeKind::DeployingSetting || told {
            return None;
        }
        let call = change.unheard.iter().find(|call| !call.back)?;
        // Without slack, as where ours is looked for.
        let ours = |known: &&KnownDeployment| {
            let brings = known.task_definition.as_ref();
            known.deployment.created_at >= self.taking.intent
                && known.deployment.created_at < call.until
                && is_rolled_back(&known.deployment)
                && known.source_definitions.iter().any(|source| Some(source) == brings)
        };
        let brings = records.iter().filter(ours).filter_map(|known| known.task_definition.as_ref());
        let theirs = brings.into_iter().find(|found| !is_of(change, found, self.input.previous))?;
        let found = theirs.short();
        let message = format!("ours may have begun `{found}`, which somebody had deployed, again, and ECS went back");
        let reason = Reason::of(ReasonCode::Clobbered, message);
        Some(Step::to(State::Clobbered { reason: reason.clone(), at: self.input.now }, Some(reason)))
    }

    fn failed(&self, reason: Reason) -> Step {
        let cause = self.taking.cause.clone();
        Step::to(State::Failed { cause, reason: reason.clone(), at: self.input.now }, Some(reason))
    }

    /// A call of ours that nobody had heard of had its effect only now: what it began is ours to take back, like the first.
    fn came_late(&self, primary: &Deployment) -> Option<Step> {
        let spec = &self.change.spec;
        let brings = match spec.kind {
            ChangeKind::Revision => spec.to.as_ref() == Some(&primary.task_definition),
            _ => spec.setting.is_some() && setting::shows_made(self.change, self.input.facts),
        };
        let to = spec.to.as_ref().filter(|_| spec.kind == ChangeKind::Revision);
        let mut calls = self.change.unheard.iter();
        let on_its_way = calls.any(|call| !call.back && call.to.as_ref() == to && call.until > self.input.now);
        if !brings || !on_its_way || self.is_ours(primary) {
            return None;
        }
        let facts = self.input.facts;
        if spec.kind == ChangeKind::Revision {
            let ours = || is_begun_again(facts, primary) != Some(true);
            let taken = || ours().then(|| Step::to(self.known(&primary.id), None));
            return self.untold().map(|reason| self.wait(reason)).or_else(taken);
        }
        // A setting keeps the revision, and stays made when somebody deploys another: that is theirs, unless ours has begun
        // theirs again.
        if self.is_home(primary) {
            return Some(Step::to(self.known(&primary.id), None));
        }
        let service = facts.service.known()?;
        let shown = replaced_the_same(service, &facts.without_records(), primary);
        if let Some(reason) = self.untold().filter(|_| shown.is_none()) {
            return Some(self.wait(reason));
        }
        let reason = shown.or_else(|| replaced_the_same(service, facts, primary))?;
        let (intent, now) = (self.taking.intent, self.input.now);
        Some(Step::to(clobbering(None, &primary.id, intent, &reason, now), Some(reason)))
    }

    /// ECS went back to what an earlier call of ours had begun, and had landed, from what a later one did: it goes back to the
    /// last deployment that was successful, and not to one under way that a late call replaced.
    fn is_back_at_ours(&self, primary: &Deployment) -> bool {
        let spec = &self.change.spec;
        spec.kind == ChangeKind::Revision
            && spec.to.as_ref() == Some(&primary.task_definition)
            && primary.created_at < self.taking.intent
    }

    fn moved_on(&self, primary: &Deployment) -> Step {
        if self.is_back_at_ours(primary) {
            return Step::to(self.known(&primary.id), None);
        }
        if let Some(step) = self.came_late(primary) {
            return step;
        }
        let (found, id) = (primary.task_definition.short(), &primary.id);
        let message = format!("somebody deployed `{found}` (deployment `{id}`) since; it is left alone");
        let reason = Reason::of(ReasonCode::MovedOn, message);
        Step::to(State::Overtaken { reason: reason.clone(), at: self.input.now }, Some(reason))
    }

    fn watch(&self, primary: &Deployment) -> Step {
        let revision = self.change.spec.kind == ChangeKind::Revision;
        let to = if !revision {
            None
        } else if self.is_home(primary) {
            Some(primary.task_definition.clone())
        } else {
            self.target().cloned()
        };
        let progress = Progress::start(self.input.now);
        Step::to(self.at(Back::Watching { to, progress, steady_since: None }), None)
    }

    /// The call had no visible effect: look again, unless that has gone on for too long.
    fn again(&self) -> Step {
        if self.change.told_in_vain(self.input.health.progress_timeout.0) {
            let message = format!("ECS was told {} times to go back, and nothing came of it", self.change.told);
            return self.failed(Reason::of(ReasonCode::ProgressTimeout, message));
        }
        Step::to(self.at(Back::Deciding), None)
    }

    /// The revision to go back to. For a setting: the one it has.
    fn target(&self) -> Option<&TaskDefinitionArn> {
        self.input.previous.or(self.change.spec.from.as_ref())
    }

    /// Whether a deployment brings what the service had: that revision, or the one made again from its document.
    fn is_home(&self, deployment: &Deployment) -> bool {
        let arn = Some(&deployment.task_definition);
        arn == self.change.spec.from.as_ref() || arn == self.input.previous
    }

    fn is_ours(&self, deployment: &Deployment) -> bool {
        let id = Some(deployment.id.as_str());
        self.taking.deployment == id || self.input.returned == id
    }

    /// Our deployment, where its identity was never told: it brings our revision; for a setting, it was made since.
    fn found<'s>(&self, service: &'s Service) -> Option<&'s Deployment> {
        let spec = &self.change.spec;
        let intent = self.taking.intent;
        let ours = |deployment: &&Deployment| match spec.kind {
            ChangeKind::Revision => {
                spec.to.as_ref() == Some(&deployment.task_definition)
                    && is_begun_again(self.input.facts, deployment) != Some(true)
                    && (deployment.status == "PRIMARY" || deployment.created_at + CLOCK_SLACK >= intent)
            }
            // Without slack: somebody's deployment from right before must not be taken for ours. Nor one that does not show
            // what we set.
            _ => {
                Some(&deployment.task_definition) == spec.from.as_ref()
                    && deployment.created_at >= intent
                    && setting::shows_made(self.change, self.input.facts)
            }
        };
        service.deployments.iter().find(ours)
    }

    /// The service took our revision's name, and no deployment of it ever showed (moto stores the name and does
    /// nothing): left so, it would pass for fixed, and whoever deploys it next would get our revision.
    fn is_only_named(&self) -> bool {
        let named = self.input.facts.service.known().and_then(|service| service.task_definition.as_ref());
        self.change.spec.kind == ChangeKind::Revision
            && self.taking.deployment.is_none()
            && self.record().is_none()
            && named.is_some_and(|named| self.change.spec.to.as_ref() == Some(named))
    }

    /// ECS's own record of our deployment. While the service shows that one, what it shows tells: its records are read after
    /// it, and may have somebody's of the same revision already, begun nearer to when ours was seen to have landed.
    fn record(&self) -> Option<&ServiceDeployment> {
        let facts = self.input.facts;
        if let Some(ours) = self.taking.deployment.and_then(|id| shown(facts, id)) {
            return record_of(facts, ours);
        }
        let revision = self.change.spec.kind == ChangeKind::Revision;
        let to = if revision { self.change.spec.to.as_ref() } else { None };
        started_by_us(self.input.facts, to, self.taking.intent).or_else(|| self.late_record())
    }

    /// That of a call back which came late: it brings what the change came from, and is known by when ECS began it.
    fn late_record(&self) -> Option<&ServiceDeployment> {
        let ServiceDeployments::Known(list) = &self.input.facts.deployments else { return None };
        let brings_home = |known: &&KnownDeployment| {
            let arn = known.task_definition.as_ref();
            arn.is_some() && (arn == self.change.spec.from.as_ref() || arn == self.input.previous)
        };
        self.taking.deployment?;
        let begun = |known: &&KnownDeployment| known.deployment.created_at == self.taking.intent;
        list.iter().filter(brings_home).find(begun).map(|known| &known.deployment)
    }

    fn decide(&self, primary: &Deployment) -> Step {
        if !self.is_ours(primary) {
            return self.not_ours(primary);
        }
        if let Some(reason) = self.input.backward {
            return self.wait(reason.clone());
        }
        // Never a deployment during a rollback, and whether there is one is in the records.
        if let Some(reason) = self.untold() {
            return self.wait(reason);
        }
        if let Some(record) = self.record() {
            match record.status.as_str() {
                // StopServiceDeployment brings back the old service revision, its image digests included.
                "PENDING" | "IN_PROGRESS" if *self.taking.back == Back::Deciding => {
                    let back = Back::Stopping { arn: record.arn.clone(), intent: self.input.now };
                    return Step::act(self.at(back), Action::Stop(record.arn.clone()));
                }
                // Never a deployment during a rollback: it would stall.
                "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" | "STOP_REQUESTED" => return self.watch(primary),
                _ => {}
            }
        }
        self.send_back(primary)
    }

    /// By a deployment of what the service had.
    fn send_back(&self, primary: &Deployment) -> Step {
        if let Some(step) = self.overwrote(Some(primary)) {
            return step;
        }
        let (before, intent) = (primary.id.clone(), self.input.now);
        match (self.change.spec.kind, self.input.previous) {
            (ChangeKind::Revision, Some(to)) => {
                let back = Back::Updating { to: Some(to.clone()), before, intent };
                Step::act(self.at(back), Action::MoveTo(to.clone()))
            }
            // Not yet known to be ACTIVE: "you can't update an existing service to reference an INACTIVE task
            // definition" (botocore ecs/2014-11-13, DeregisterTaskDefinition).
            (ChangeKind::Revision, None) => Step::act(self.at(self.taking.back.clone()), Action::RestorePrevious),
            _ => {
                // Only its deployment proves one that deploys, not what the service shows.
                let theirs = || self.not_sent_back().filter(|step| matches!(step.state, State::Overtaken { .. }));
                self.irremovable()
                    .or_else(theirs)
                    .unwrap_or_else(|| Step::act(self.at(Back::Updating { to: None, before, intent }), Action::Unset))
            }
        }
    }

    /// The primary deployment is not ours: ECS went back, ours never began, or somebody deployed.
    fn not_ours(&self, primary: &Deployment) -> Step {
        if !self.is_home(primary) {
            return self.moved_on(primary);
        }
        if self.taking.deployment.is_none() && !self.input.facts.tell_of(self.taking.intent) {
            return self.wait(unknown_until(self.taking.intent + READ_LAG));
        }
        if self.is_only_named() {
            return self.input.backward.map_or_else(|| self.send_back(primary), |reason| self.wait(reason.clone()));
        }
        // A setting keeps the revision: only what is older than ours, or ECS's word, tells going back from deploying.
        let went_back = self.change.spec.kind == ChangeKind::Revision
            || primary.created_at + CLOCK_SLACK < self.taking.intent
            || self.taking.cause.code == ReasonCode::RolledBackByEcs
            || self.is_unset()
            || self.record().is_some_and(is_rolled_back);
        if went_back { self.watch(primary) } else { self.moved_on(primary) }
    }

    fn stopping(&self, primary: &Deployment, arn: &ServiceDeploymentArn, intent: Timestamp) -> Step {
        let status = match &self.input.facts.deployments {
            ServiceDeployments::Known(list) => {
                list.iter().find(|known| &known.deployment.arn == arn).map(|known| known.deployment.status.as_str())
            }
            ServiceDeployments::Unavailable { .. } | ServiceDeployments::Unknown { .. } => None,
        };
        let heard = matches!(
            status,
            Some("STOP_REQUESTED" | "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" | "ROLLBACK_SUCCESSFUL")
        );
        if heard || (!self.is_ours(primary) && self.is_home(primary)) {
            return self.watch(primary);
        }
        if !self.input.facts.tell_of(intent) {
            let reason = Reason::of(ReasonCode::OutcomeUnknown, "ECS was asked to stop the deployment");
            return self.wait(reason.until(intent + READ_LAG));
        }
        // It ended before it could be stopped, stopped without going back, or the call never arrived: look again.
        self.again()
    }

    fn updating(&self, primary: &Deployment, to: Option<&TaskDefinitionArn>, before: &str, intent: Timestamp) -> Step {
        let made_since = primary.id != before;
        if let Some(step) = self.went_over_somebody(primary, intent).filter(|_| made_since) {
            return step;
        }
        if made_since && (Some(&primary.task_definition) == to || self.is_home(primary)) {
            return self.watch(primary);
        }
        if made_since {
            return self.moved_on(primary);
        }
        if !self.input.facts.tell_of(intent) {
            return self.wait(unknown_until(intent + READ_LAG));
        }
        self.again()
    }

    /// Nobody heard of the call back, and what has been made since brings what it was to bring: over somebody's deployment, if
    /// ECS has it so.
    fn went_over_somebody(&self, primary: &Deployment, intent: Timestamp) -> Option<Step> {
        let (change, facts) = (self.change, self.input.facts);
        let service = facts.service.known().filter(|_| primary.created_at + CLOCK_SLACK >= intent)?;
        let home = self.is_home(primary);
        let to = match change.spec.kind {
            ChangeKind::Revision if home => Some(&primary.task_definition),
            // It keeps the revision: theirs, where they had deployed.
            ChangeKind::DeployingSetting if !home && self.is_unset() => None,
            _ => return None,
        };
        let over = |facts: &Facts| match to {
            None => replaced_the_same(service, facts, primary),
            Some(_) => {
                let theirs = overwritten(change, service, facts, primary, self.input.previous);
                let theirs = theirs.map(|theirs| format!("`{}`, which somebody had deployed", theirs.short()));
                let over = theirs.or_else(|| self.began_ours_again(service, facts, primary))?;
                Some(Reason::of(ReasonCode::Clobbered, format!("ours went back over {over}")))
            }
        };
        // What the service shows is gone when the record is there.
        let shown = over(&facts.without_records());
        if let Some(reason) = self.untold().filter(|_| shown.is_none()) {
            return Some(self.wait(reason));
        }
        let reason = shown.or_else(|| over(facts))?;
        Some(Step::to(clobbering(to, &primary.id, intent, &reason, self.input.now), Some(reason)))
    }

    /// Our revision, where somebody had begun it again when the call back came. (What a later change of ours went back from is in
    /// the records too.)
    fn began_ours_again(&self, service: &Service, facts: &Facts, primary: &Deployment) -> Option<String> {
        let to = self.change.spec.to.as_ref().filter(|_| self.input.returned.is_none())?;
        let ours = self.taking.deployment?;
        let again = replaced_ours_again(service, facts, primary, (ours, to));
        again.then(|| format!("what somebody had set on our `{}`", to.short()))
    }

    /// The move that brings the service back, as `judge` looks for it: by whatever deployment is the primary one now.
    fn watching(&self, primary: &Deployment, watched: &Watched<'_>) -> Step {
        if self.is_ours(primary) {
            return self.still_ours(watched);
        }
        if !self.is_home(primary) && Some(&primary.task_definition) != watched.to {
            return self.moved_on(primary);
        }
        // A read that lags shows the service as it was before ours, which looks like being back.
        let shows_ours = || self.record().is_some_and(is_rolled_back);
        if !self.input.facts.tell_of(self.taking.intent) && !shows_ours() {
            return self.wait(unknown_until(self.taking.intent + READ_LAG));
        }
        // Where the tasks are counts, by the service's own account. Service deployments are asked only what ECS waits
        // for: ours says "rolled back", which here is what is wanted.
        let facts = self.input.facts.without_records();
        let revision = self.change.spec.kind == ChangeKind::Revision;
        let expected = Expected {
            created_at: self.change.spec.created_at,
            to: revision.then_some(&primary.task_definition),
            from: None,
            deployment: &primary.id,
            intent: self.taking.intent,
        };
        match judge(&facts, &expected) {
            Landing::Landed { moved } => self.landed(watched, moved),
            Landing::NothingRuns(_) => self.done(),
            Landing::Underway { reason, moved, left, native } => {
                // Time in which all tasks were there was no time without progress.
                let steady = watched.steady_since.map_or(Duration::ZERO, |since| self.input.now.since(since));
                let progress = Progress { at: watched.progress.at + steady, ..watched.progress };
                let seen = progress.seen(moved, left, self.input.now);
                let stage = native_wait_back(self.input.facts, revision.then_some(&primary.task_definition));
                let waits = stage.map(|stage| Reason::of(ReasonCode::NativeWait, format!("ECS waits at {stage}")));
                // What ECS waits for by itself ends when it does, not at our deadline.
                if let Some(reason) = waits.or_else(|| native.then(|| reason.clone())) {
                    let progress = Progress { at: self.input.now, ..seen };
                    return Step::to(self.at(watched.back(progress, None)), Some(reason));
                }
                self.underway(reason, watched, seen)
            }
            Landing::Failed(reason) => self.failed(reason),
            Landing::Overtaken(_) => self.moved_on(primary),
            Landing::Gone => Step::to(State::Gone { at: self.input.now }, None),
            Landing::Unknown(reason) => self.wait(reason),
        }
    }

    /// All of its tasks are back: as on the way forward, they are to stay for `steadyFor`.
    fn landed(&self, watched: &Watched<'_>, moved: usize) -> Step {
        let (now, steady_for) = (self.input.now, self.input.health.steady_for);
        let since = watched.steady_since.unwrap_or(now);
        let until = since + steady_for.0;
        if until <= self.input.facts.asked_at() {
            return self.done();
        }
        let message = format!("{}, all as before; watched for {steady_for}", counted(moved, "task"));
        let back = watched.back(watched.progress.seen(moved, 0, now), Some(since));
        Step::to(self.at(back), Some(Reason::of(ReasonCode::Steadying, message).until(until)))
    }

    /// ECS has been asked, and our deployment is still the primary one.
    fn still_ours(&self, watched: &Watched<'_>) -> Step {
        let at_it = self.record().is_some_and(|record| {
            matches!(record.status.as_str(), "STOP_REQUESTED" | "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS")
        });
        if at_it && let Some(stage) = native_wait_back(self.input.facts, None) {
            let progress = Progress { at: self.input.now, ..watched.progress };
            let reason = Reason::of(ReasonCode::NativeWait, format!("ECS waits at {stage}"));
            return Step::to(self.at(watched.back(progress, None)), Some(reason));
        }
        if at_it {
            let reason = Reason::of(ReasonCode::RollbackInProgress, "ECS is going back");
            return self.underway(reason, watched, watched.progress);
        }
        let until = watched.progress.at + READ_LAG;
        // A read that lagged may have shown the service as it was before ours; then nobody has asked yet.
        if self.input.facts.tell_of(watched.progress.at) { self.again() } else { self.wait(unknown_until(until)) }
    }

    fn underway(&self, reason: Reason, watched: &Watched<'_>, progress: Progress) -> Step {
        let timeout = self.input.health.progress_timeout;
        let deadline = progress.at + timeout.0;
        if deadline <= self.input.facts.asked_at() {
            let message = format!("taken back, but without progress for {timeout}: {}", reason.message);
            return self.failed(Reason::of(ReasonCode::ProgressTimeout, message));
        }
        Step::to(self.at(watched.back(progress, None)), Some(reason.until(deadline)))
    }
}

fn unknown_until(until: Timestamp) -> Reason {
    Reason::of(ReasonCode::OutcomeUnknown, "whether ECS made the last call is not known yet").until(until)
}

mod unset;

#[cfg(test)]
mod tests;
