//! Making the calls that a step decided on: the state was recorded before, what came of it is recorded after.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::books::Books;
use super::error::ControllerError;
use super::gate::{Direction, Gate, intended_too_long_ago};
use super::observe::{self, Cache};
use super::register::{Registered, code_of};
use super::stop;
use crate::model::change::ChangeKind;
use crate::model::observed::Service;
use crate::model::spec::WindowSpec;
use crate::model::{
    Observed, Reason, ReasonCode, Resource, Secrets, TargetId, TaskDefinitionArn, Timestamp, chain, wire,
};
use crate::policy::ScopeKeys;
use crate::ports::ecs::{Outcome, Retry};
use crate::ports::{Alarms, Clock, Ecs, EcsError, Operation, Store};
use crate::rollout::adoption::{begun_again, clobbered};
use crate::rollout::change::{self, Action};
use crate::rollout::landing::Facts;
use crate::rollout::new_tasks;
use crate::rollout::protection::{Protection, to_ask};
use crate::rollout::setting::{self, Standing, TAGS};
use crate::rollout::window;
use crate::rollout::{Back, Change, RegistrationState, State};

/// What a pass writes with.
pub struct Executor<'a> {
    /// ECS.
    pub ecs: &'a dyn Ecs,
    /// Alarms.
    pub alarms: &'a dyn Alarms,
    /// The record.
    pub store: &'a dyn Store,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Where.
    pub target: &'a TargetId,
    /// Who we are to AWS.
    pub caller: &'a str,
    /// The last look before every write.
    pub gate: &'a mut Gate,
    /// Task definitions seen before.
    pub cache: &'a mut Cache,
    /// Why nothing may begin that has not: the fleet has not been judged by what is stored.
    pub unjudged: Option<Reason>,
    /// What could not be judged by it, when the rest was.
    pub doubtful: BTreeSet<Resource>,
    /// When the change that is being moved may go forward.
    pub windows: Vec<WindowSpec>,
    /// Whether the pass is to end.
    pub stop: CancellationToken,
}

/// What came of a call, as it is to be recorded.
pub struct Effect {
    /// The state it leaves the change in.
    pub state: State,
    /// Why, where there is something to say.
    pub reason: Option<Reason>,
    /// Whether there may be more to do at once.
    pub go_on: bool,
    /// Whether it is known what became of the call.
    pub heard: bool,
    /// Whether it was made at all.
    pub made: bool,
    /// Whether ECS refused it because the revision was deregistered.
    inactive: bool,
}

impl Effect {
    const fn wait(state: State, reason: Reason) -> Self {
        Self { state, reason: Some(reason), go_on: false, heard: true, made: true, inactive: false }
    }

    /// The call is known not to have been made.
    fn not_made(change: &Change, now: Timestamp, reason: Reason) -> Self {
        Self { made: false, ..Self::wait(before_call(change, now), reason) }
    }

    const fn stay(state: State) -> Self {
        Self { state, reason: None, go_on: false, heard: true, made: true, inactive: false }
    }

    const fn on(state: State) -> Self {
        Self { state, reason: None, go_on: true, heard: true, made: true, inactive: false }
    }
}

impl Executor<'_> {
    /// The time, by the wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Why what has not begun with a resource may not: it has not been judged by what is stored.
    #[must_use]
    pub fn not_judged(&self, resource: &Resource) -> Option<Reason> {
        let message =
            || format!("what is stored has changed, and `{}` could not be judged by it yet", resource.short());
        // Waited for no longer than anything else that cannot be read.
        let doubtful = || self.doubtful.contains(resource).then(|| Reason::of(ReasonCode::NotObserved, message()));
        self.unjudged.clone().or_else(doubtful)
    }

    /// Why a write may not be made now. Asked right before every write, after whatever wait the budget asks for.
    ///
    /// # Errors
    /// The store's, and a lost lease.
    pub async fn closed(
        &mut self,
        operation: Operation,
        keys: &ScopeKeys,
        direction: Direction,
    ) -> Result<Option<Reason>, ControllerError> {
        if let Some(reason) = self.ready(operation).await {
            return Ok(Some(reason));
        }
        let closed = self.gate.closed(self.store, self.target, self.clock, keys, direction).await?;
        // A window may have closed while the budget or the store was waited for.
        let shut = || match direction {
            Direction::Forward => window::closed(&self.windows, self.clock.now()),
            Direction::Back => None,
        };
        Ok(closed.or_else(shut))
    }

    /// The same for a call that a change's state, as recorded, is the intent of. What was intended long ago is intended anew:
    /// whether a call has had its effect is asked by when it was intended, and it was decided by what was seen before that.
    async fn closed_to(
        &mut self,
        change: &Change,
        operation: Operation,
        keys: &ScopeKeys,
    ) -> Result<Option<Reason>, ControllerError> {
        let closed = self.closed(operation, keys, direction(change)).await?;
        Ok(closed.or_else(|| intended_too_long_ago(change.state.intended()?, self.now())))
    }

    /// Makes the call that `action` names for a change whose state, as recorded, is the intent of it.
    ///
    /// # Errors
    /// The store's, and a lost lease. What ECS answers is an effect, not an error.
    pub async fn perform(
        &mut self,
        books: &mut Books,
        change: &Change,
        action: &Action,
        facts: &Facts,
        keys: &ScopeKeys,
    ) -> Result<Effect, ControllerError> {
        let now = self.now();
        match action {
            Action::Register => self.perform_register(books, change, keys, now).await,
            Action::MoveTo(arn) => {
                let back = direction(change) == Direction::Back;
                if back && let Some(effect) = self.not_active(books, change, arn, now).await? {
                    return Ok(effect);
                }
                let members = Map::from_iter([("taskDefinition".to_owned(), json!(arn))]);
                let effect = self.update_service(change, members, keys, facts).await?;
                // It was ACTIVE a moment ago, and is not any more: its document is registered again.
                if back && matches!(effect.state, State::Failed { .. }) && effect.inactive {
                    books.forget_restoration(change, arn).await?;
                    return Ok(Effect { state: before_call(change, now), ..effect });
                }
                Ok(effect)
            }
            Action::Set => {
                let members = change.spec.setting.as_ref().map(|setting| setting.forward.clone()).unwrap_or_default();
                self.set(change, members, keys, facts).await
            }
            Action::Unset => {
                let members = change.spec.setting.as_ref().map(|setting| setting.back.clone()).unwrap_or_default();
                self.set(change, members, keys, facts).await
            }
            Action::UnsetRest(members) => self.update_service(change, members.clone(), keys, facts).await,
            Action::Stop(arn) => {
                if let Some(reason) = self.closed(Operation::StopServiceDeployment, keys, direction(change)).await? {
                    return Ok(Effect::not_made(change, now, reason));
                }
                let input = json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" });
                match self.ecs.call(Operation::StopServiceDeployment, input).await {
                    Ok(_) => Ok(Effect::on(change.state.clone())),
                    // It may have ended by itself in between: the next step looks.
                    Err(error) => Ok(self.failed(change, &error, facts, now).await),
                }
            }
            Action::RestorePrevious => self.restore_previous(books, change, keys, now).await,
        }
    }

    async fn perform_register(
        &mut self,
        books: &mut Books,
        change: &Change,
        keys: &ScopeKeys,
        now: Timestamp,
    ) -> Result<Effect, ControllerError> {
        Ok(match self.register(books, change, keys, now).await? {
            Registered::Settled => Effect::on(change.state.clone()),
            Registered::Waiting(reason) => Effect::wait(change.state.clone(), reason),
            Registered::Blocked(reason) => Effect::wait(State::Blocked { reason: reason.clone(), at: now }, reason),
        })
    }

    /// A setting, of a service or a cluster, there or back.
    async fn set(
        &mut self,
        change: &Change,
        members: Map<String, Value>,
        keys: &ScopeKeys,
        facts: &Facts,
    ) -> Result<Effect, ControllerError> {
        if let Some(Value::Object(tags)) = members.get(TAGS) {
            return self.set_tags(change, tags, keys, facts).await;
        }
        match change.spec.kind {
            ChangeKind::Revision | ChangeKind::DeployingSetting => {
                self.update_service(change, members, keys, facts).await
            }
            ChangeKind::QuietSetting => {
                self.set_quietly(change, (Operation::UpdateService, "service"), members, keys, facts).await
            }
            ChangeKind::ClusterSetting => {
                let operation = if members.contains_key("configuration") {
                    Operation::UpdateCluster
                } else {
                    Operation::UpdateClusterSettings
                };
                self.set_quietly(change, (operation, "cluster"), members, keys, facts).await
            }
        }
    }

    /// Tags, by key; null for one to take away. The answers say nothing: the next step reads them back.
    ///
    /// SAFETY of repeat: both calls name what is to be there afterwards, and nothing else.
    async fn set_tags(
        &mut self,
        change: &Change,
        tags: &Map<String, Value>,
        keys: &ScopeKeys,
        facts: &Facts,
    ) -> Result<Effect, ControllerError> {
        let now = self.now();
        let set: Vec<Value> = tags
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| json!({ "key": key, "value": value }))
            .collect();
        let gone: Vec<&String> = tags.iter().filter(|(_, value)| value.is_null()).map(|(key, _)| key).collect();
        let arn = &change.spec.resource;
        let calls = [
            (!set.is_empty()).then(|| (Operation::TagResource, json!({ "resourceArn": arn, "tags": set }))),
            (!gone.is_empty()).then(|| (Operation::UntagResource, json!({ "resourceArn": arn, "tagKeys": gone }))),
        ];
        for (number, (operation, input)) in calls.into_iter().flatten().enumerate() {
            // After the first call half of it is made: that is ours to finish, or to take back, and nothing to forget.
            let half = number > 0;
            if let Some(reason) = self.closed(operation, keys, direction(change)).await? {
                return Ok(if half {
                    Effect::wait(change.state.clone(), reason)
                } else {
                    Effect::not_made(change, now, reason)
                });
            }
            if let Err(error) = self.ecs.call(operation, input).await {
                let effect = self.failed(change, &error, facts, now).await;
                return Ok(if half { half_made(change, effect) } else { effect });
            }
        }
        Ok(Effect::on(change.state.clone()))
    }

    /// A setting that starts no deployment: sent, then read back.
    async fn set_quietly(
        &mut self,
        change: &Change,
        (operation, of): (Operation, &str),
        members: Map<String, Value>,
        keys: &ScopeKeys,
        facts: &Facts,
    ) -> Result<Effect, ControllerError> {
        let now = self.now();
        if let Some(reason) = self.closed_to(change, operation, keys).await? {
            return Ok(Effect::not_made(change, now, reason));
        }
        let mut input = Map::from_iter([("cluster".to_owned(), json!(change.spec.cluster))]);
        if of == "service" {
            input.insert("service".to_owned(), json!(change.spec.resource));
        }
        // Null members were absent before: ECS has no way to remove a setting, and a change that would need one fails
        // before it gets here.
        input.extend(members.into_iter().filter(|(_, value)| !value.is_null()));
        let answer = match self.ecs.call(operation, Value::Object(input.clone())).await {
            Ok(answer) => answer,
            Err(error) => return Ok(self.failed(change, &error, facts, now).await),
        };
        let shown = answer.get(of).unwrap_or(&Value::Null);
        let differs = input.iter().find(|(name, wanted)| {
            !matches!(name.as_str(), "cluster" | "service") && !contains(shown.get(*name), wanted)
        });
        if let Some((name, _)) = differs {
            return Ok(accepted_and_not_shown(change, name, shown, now));
        }
        let state = match &change.state {
            State::RollingBack { cause, .. } => State::RolledBack { cause: cause.clone(), at: now, deployment: None },
            _ => new_tasks::made(change, &facts.tasks, now),
        };
        Ok(Effect { reason: state.why().filter(|_| matches!(state, State::Unverified { .. })), ..Effect::stay(state) })
    }

    /// Sends cluster, service and `members`, nothing else: never a desired count.
    async fn update_service(
        &mut self,
        change: &Change,
        members: Map<String, Value>,
        keys: &ScopeKeys,
        facts: &Facts,
    ) -> Result<Effect, ControllerError> {
        let now = self.now();
        if let Some(reason) = self.closed_to(change, Operation::UpdateService, keys).await? {
            return Ok(Effect::not_made(change, now, reason));
        }
        let mut input = Map::from_iter([
            ("cluster".to_owned(), json!(change.spec.cluster)),
            ("service".to_owned(), json!(change.spec.resource)),
        ]);
        input.extend(members.into_iter().filter(|(_, value)| !value.is_null()));
        let answer = match self.ecs.call(Operation::UpdateService, Value::Object(input)).await {
            Ok(answer) => answer,
            Err(error) => return Ok(self.failed(change, &error, facts, now).await),
        };
        let after = answer.get("service").map(wire::service).and_then(Result::ok);
        Ok(self.updated(change, after.as_ref(), facts, now))
    }

    /// UpdateService has answered: is the deployment that began ours, and did it replace what we had seen?
    fn updated(&self, change: &Change, after: Option<&Service>, facts: &Facts, now: Timestamp) -> Effect {
        let State::Updating { to, before, intent } = &change.state else {
            return self.sent_back(change, after, facts, now);
        };
        let Some(primary) = after.and_then(Service::primary) else {
            let reason = Reason::of(ReasonCode::OutcomeUnknown, "ECS's answer does not show the deployment");
            return Effect::wait(change.state.clone(), reason);
        };
        let revision = change.spec.kind == ChangeKind::Revision;
        if revision && Some(&primary.task_definition) != to.as_ref() {
            let reason = Reason::of(ReasonCode::OutcomeUnknown, "ECS's answer shows another deployment than ours");
            return Effect::wait(change.state.clone(), reason);
        }
        // A setting keeps the revision: by another one somebody has deployed since, and ours begins theirs again.
        let deploys = change.spec.kind == ChangeKind::DeployingSetting;
        let theirs = || (deploys && Some(&primary.task_definition) != to.as_ref()).then(|| begun_again(primary));
        if let Some(reason) = clobbered(after, &primary.id, before.as_deref(), facts).or_else(theirs) {
            tracing::error!(target_id = %self.target, change = %change.name, reason = %reason, "we deployed over somebody");
            let to = to.as_ref().filter(|_| revision);
            return Effect::wait(change::clobbering(to, &primary.id, *intent, &reason, now), reason);
        }
        let to = if revision { to.clone() } else { None };
        Effect::stay(change::stabilizing(to, &primary.id, *intent, now))
    }

    /// UpdateService has answered on the way back: the next step looks at the service, unless the answer shows that
    /// somebody deployed in between. Theirs is lost, and nobody may take it for what was there before.
    fn sent_back(&self, change: &Change, after: Option<&Service>, facts: &Facts, now: Timestamp) -> Effect {
        let primary = after.and_then(Service::primary);
        if let (State::RollingBack { back: back @ Back::Updating { to, before, intent }, .. }, Some(ours)) =
            (&change.state, primary)
            && !back.starts_none()
            && let Some(reason) = clobbered(after, &ours.id, Some(before), facts)
        {
            tracing::error!(target_id = %self.target, change = %change.name, reason = %reason, "we deployed over somebody");
            return Effect::wait(change::clobbering(to.as_ref(), &ours.id, *intent, &reason, now), reason);
        }
        Effect::stay(change.state.clone())
    }

    /// A call that failed: what it leaves the change in.
    async fn failed(&self, change: &Change, error: &EcsError, facts: &Facts, now: Timestamp) -> Effect {
        let told = error.told(&self.secrets(change, facts).await);
        tracing::warn!(target_id = %self.target, change = %change.name, operation = error.operation().as_str(), error = %chain(&told), "the call failed");
        Effect {
            inactive: is_inactive(error),
            ..self.after(change, error, Reason::of(code_of(error), told.to_string()), now)
        }
    }

    /// What a call that failed leaves a change in, for that reason.
    fn after(&self, change: &Change, error: &EcsError, reason: Reason, now: Timestamp) -> Effect {
        match (error.outcome(), error.retry()) {
            // Nobody can tell: the intent stays, and the next step looks.
            (Outcome::Unknown, _) => Effect { heard: false, ..Effect::wait(change.state.clone(), reason) },
            (Outcome::NotApplied, Retry::Soon | Retry::Wait) => Effect::not_made(change, now, reason),
            (Outcome::NotApplied, Retry::Stop) if is_gone(error) => Effect::wait(State::Gone { at: now }, reason),
            (Outcome::NotApplied, Retry::Stop) => match &change.state {
                State::RollingBack { cause, deployment, intent, back: Back::Stopping { .. } } => {
                    // Refused: it has ended, or this server cannot. Go back by the previous revision instead.
                    let (cause, deployment, intent) = (cause.clone(), deployment.clone(), *intent);
                    Effect::wait(State::RollingBack { cause, deployment, intent, back: Back::Replacing }, reason)
                }
                State::RollingBack { cause, .. } => {
                    Effect::wait(State::Failed { cause: cause.clone(), reason: reason.clone(), at: now }, reason)
                }
                _ => Effect::wait(State::Blocked { reason: reason.clone(), at: now }, reason),
            },
        }
    }

    /// What to do instead of going back to a revision that is not ACTIVE right now. None where it is.
    async fn not_active(
        &mut self,
        books: &mut Books,
        change: &Change,
        arn: &TaskDefinitionArn,
        now: Timestamp,
    ) -> Result<Option<Effect>, ControllerError> {
        let Ok(found) = self.reading(observe::definition(self.ecs, arn.as_str(), now)).await else {
            // Nothing was called yet: whoever takes over begins there.
            return Ok(Some(Effect::not_made(change, now, stop::told_to_stop())));
        };
        match found {
            Observed::Known { value, .. } if value.status == "ACTIVE" => Ok(None),
            Observed::Known { .. } | Observed::Absent { .. } => {
                books.forget_restoration(change, arn).await?;
                Ok(Some(Effect { made: false, ..Effect::on(before_call(change, now)) }))
            }
            Observed::Unknown { why, .. } => {
                Ok(Some(Effect::not_made(change, now, Reason::of(ReasonCode::NotObserved, why))))
            }
        }
    }

    /// Makes sure there is an ACTIVE revision to go back to: the one it came from, else its recorded document again.
    async fn restore_previous(
        &mut self,
        books: &mut Books,
        change: &Change,
        keys: &ScopeKeys,
        now: Timestamp,
    ) -> Result<Effect, ControllerError> {
        // What will not become possible by waiting needs a person.
        let reason = match self.restore(books, change, keys, now).await? {
            Registered::Waiting(reason) => return Ok(Effect::wait(change.state.clone(), reason)),
            Registered::Blocked(reason) => reason,
            Registered::Settled => match books.restoration(change).map(|known| &known.state) {
                Some(RegistrationState::Quarantined { reason, .. } | RegistrationState::Refused { reason }) => {
                    reason.clone()
                }
                _ => return Ok(Effect::on(change.state.clone())),
            },
        };
        Ok(not_taken_back(change, reason, now))
    }

    /// What a change is decided from, read now.
    pub async fn facts(&mut self, change: &Change) -> Facts {
        let now = self.now();
        let cluster = &change.spec.cluster;
        match change.spec.resource.service() {
            Some(service) => {
                let facts = observe::facts(self.ecs, cluster, service, self.cache, now).await;
                let protection = observe::protection(self.ecs, cluster, &to_ask(change, &facts, now)).await;
                let secrets = self.secrets_in_trouble(change, &facts).await;
                Facts { protection, secrets, ..facts }
            }
            None => Facts {
                service: Observed::Absent { at: now },
                tasks: Observed::Absent { at: now },
                deployments: crate::rollout::landing::ServiceDeployments::Known(Vec::new()),
                cluster: observe::cluster(self.ecs, cluster, now).await,
                protection: Protection::default(),
                secrets: Secrets::default(),
            },
        }
    }
}

/// A call of which another one had been made before: the change stays what it is, or has failed.
fn half_made(change: &Change, effect: Effect) -> Effect {
    match (&change.state, &effect.state) {
        (State::Updating { intent, .. }, State::Blocked { reason, .. }) => {
            let step = change::fail(None, *intent, reason.clone());
            Effect { state: step.state, go_on: true, ..effect }
        }
        (_, State::Gone { .. } | State::Failed { .. }) => effect,
        (state, _) => Effect { state: state.clone(), ..effect },
    }
}

/// ECS accepted a setting, and its answer shows another. As it was before: the next looks tell whether that becomes what
/// was sent. Anything else is what ECS made of it, and is taken back.
fn accepted_and_not_shown(change: &Change, name: &str, shown: &Value, now: Timestamp) -> Effect {
    let reason = Reason::of(ReasonCode::RegisteredDiffers, format!("ECS accepted `{name}` but does not show it"));
    let made = matches!(setting::standing(change, shown), Standing::Theirs(_));
    match &change.state {
        State::Updating { intent, .. } if made => {
            let step = change::fail(None, *intent, reason);
            Effect { reason: step.reason, ..Effect::on(step.state) }
        }
        State::RollingBack { .. } if made => not_taken_back(change, reason, now),
        state => Effect::wait(state.clone(), reason),
    }
}

/// Which way a change is going.
#[must_use]
pub const fn direction(change: &Change) -> Direction {
    match change.state {
        State::RollingBack { .. } => Direction::Back,
        _ => Direction::Forward,
    }
}

/// What the call was about is not there any more, there or back.
fn is_gone(error: &EcsError) -> bool {
    matches!(error.code(), Some("ServiceNotFoundException" | "ServiceNotActiveException" | "ClusterNotFoundException"))
}

/// ECS's words for a revision that was deregistered: "TaskDefinition is inactive" (ecs-facts, headline 5).
fn is_inactive(error: &EcsError) -> bool {
    matches!(error, EcsError::Refused { message, .. } if message.contains("TaskDefinition is inactive"))
}

/// A change that cannot be taken back, and why.
fn not_taken_back(change: &Change, reason: Reason, now: Timestamp) -> Effect {
    match &change.state {
        State::RollingBack { cause, .. } => {
            Effect::wait(State::Failed { cause: cause.clone(), reason: reason.clone(), at: now }, reason)
        }
        other => Effect::wait(other.clone(), reason),
    }
}

/// The state to return to where the intended call is known not to have been made, nor any like it before.
fn before_call(change: &Change, now: Timestamp) -> State {
    match &change.state {
        // A repeat: an earlier attempt may still have its effect, and only its intent tells that it is ours.
        State::Updating { intent, .. } if change.entered().is_some_and(|entered| entered < *intent) => {
            change.state.clone()
        }
        State::Updating { .. } if change.spec.kind == ChangeKind::Revision => State::Registering { since: now },
        State::Updating { .. } => State::Pending,
        State::RollingBack { cause, deployment, intent, .. } => State::RollingBack {
            cause: cause.clone(),
            deployment: deployment.clone(),
            intent: *intent,
            back: Back::Deciding,
        },
        other => other.clone(),
    }
}

/// Whether what ECS shows has everything that was sent: members it adds are its own.
fn contains(shown: Option<&Value>, wanted: &Value) -> bool {
    match (shown, wanted) {
        (Some(Value::Object(shown)), Value::Object(wanted)) => {
            wanted.iter().all(|(name, value)| contains(shown.get(name), value))
        }
        (Some(Value::Array(shown)), Value::Array(wanted)) => {
            wanted.iter().all(|value| shown.iter().any(|shown| contains(Some(shown), value)))
        }
        (Some(shown), wanted) => shown == wanted,
        (None, _) => false,
    }
}

/// The revision to go back to, where one was found or made. It was ACTIVE then, and is looked at again before it is used.
#[must_use]
pub fn previous<'a>(books: &'a Books, change: &Change) -> Option<&'a TaskDefinitionArn> {
    match &books.restoration(change)?.state {
        RegistrationState::Registered { arn } => Some(arn),
        _ => None,
    }
}
