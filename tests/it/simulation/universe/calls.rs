//! Calls: what their senders had seen, what comes of them and when, and what is heard of it.

use std::collections::BTreeSet;
use std::time::Duration;

use plimsoll::model::Timestamp;
use plimsoll::ports::{EcsError, Operation};
use plimsoll::sim::SimError;
use serde_json::Value;

use super::super::law;
use super::{State, Universe, deployments, primary};

/// A call that had its effect when it was sent: what it was, and the revision or the deployment that it made.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    /// The intent, without its time.
    pub(crate) of: String,
    pub(crate) operation: Operation,
    pub(crate) input: Value,
    pub(crate) made: String,
    /// When it had its effect, and when that was by the clock of whoever had sent it.
    pub(crate) at: Timestamp,
    pub(crate) by_clock: Timestamp,
}

/// A call that is on its way, and what its sender had seen of the service when it was sent.
#[derive(Debug, Clone)]
pub(super) struct OnItsWay {
    at: Timestamp,
    operation: Operation,
    input: Value,
    saw: Value,
    intent: Option<String>,
}

/// A deployment of somebody's that a call of ours replaced, though its sender had not seen it.
#[derive(Debug, Clone)]
pub(crate) struct Buried {
    pub(crate) service: String,
    pub(crate) at: Timestamp,
    pub(crate) theirs: String,
    /// How often somebody had touched the service by then.
    pub(crate) touches: usize,
    /// Ours, which replaced it.
    pub(crate) ours: String,
    /// Whether anything tells of it for good: ECS's record of the deployment.
    pub(crate) traced: bool,
    /// The processes that were shown it, and have lost no write of the change's since.
    pub(crate) shown_to: BTreeSet<usize>,
}

impl State {
    /// A call of ours has its effect.
    fn arrives(
        &mut self,
        operation: Operation,
        input: &Value,
        saw: &Value,
        intent: Option<&String>,
    ) -> Result<Value, SimError> {
        let now = self.world.now();
        let was = if operation == Operation::UpdateService { primary(&self.service(input)) } else { None };
        let answer = self.world.call(now, operation.as_str(), input)?;
        match operation {
            Operation::RegisterTaskDefinition => {
                if let Some(arn) = answer.pointer("/taskDefinition/taskDefinitionArn").and_then(Value::as_str) {
                    self.ours.insert(arn.to_owned(), input.clone());
                }
                self.keeps(&answer);
            }
            Operation::UpdateService => {
                if let (Some(began), Some(intent)) =
                    (primary(&answer["service"]).filter(|is| was.as_ref() != Some(is)), intent)
                {
                    self.began.insert(began, intent.clone());
                }
                if was.as_ref().is_some_and(|was| self.theirs.contains(was)) && primary(&answer["service"]) != was {
                    let service = input["service"].as_str().unwrap_or_default().to_owned();
                    self.replaced.insert(service, now);
                }
                let seen = |id: &String| deployments(saw).any(|deployment| deployment["id"] == id.as_str());
                if let Some(theirs) = was.filter(|was| self.theirs.contains(was) && !seen(was))
                    && let Some(ours) = primary(&answer["service"]).filter(|is| *is != theirs)
                {
                    let service = input["service"].as_str().unwrap_or_default().to_owned();
                    self.say(now, &format!("        and replaces {theirs}, which nobody of us had seen"));
                    // Where ECS keeps no record of deployments, one that never ran a task leaves no trace but in a reply,
                    // and what a reply said may be lost with the write of it.
                    let traced = answer["service"].get("currentServiceDeployment").is_some();
                    let shown_to = BTreeSet::new();
                    let touches = self.touches.get(&service).copied().unwrap_or(0);
                    self.buried.push(Buried { service, at: now, theirs, touches, ours, traced, shown_to });
                }
            }
            _ => {}
        }
        Ok(answer)
    }

    /// What a process learns from an answer.
    fn is_shown(&mut self, process: usize, operation: Operation, answer: &Value, lag: Duration) {
        let now = self.world.now();
        let read = &mut self.read[process];
        let (several, one) = (answer["services"].as_array(), answer.get("service"));
        for service in several.into_iter().flatten() {
            let arn = service["serviceArn"].as_str().unwrap_or_default().to_owned();
            for buried in self.buried.iter_mut().filter(|buried| buried.service == arn && !operation.writes()) {
                // Looking at a change is looking at one service; a look over the fleet is no look at its changes.
                let looked = several.is_some_and(|all| all.len() == 1);
                if looked && deployments(service).any(|deployment| deployment["id"] == buried.theirs.as_str()) {
                    buried.shown_to.insert(process);
                }
            }
            read.services.insert(arn, service.clone());
        }
        let described =
            answer["serviceDeployments"].as_array().filter(|_| operation == Operation::DescribeServiceDeployments);
        for record in described.into_iter().flatten() {
            let member = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            let begun = read.begun.entry(member("serviceArn")).or_default();
            begun.retain(|known| *known != member("serviceDeploymentArn"));
            if matches!(record["status"].as_str(), Some("PENDING" | "IN_PROGRESS")) {
                begun.push(member("serviceDeploymentArn"));
            }
        }
        let clusters = answer["clusters"].as_array().into_iter().flatten().chain(answer.get("cluster"));
        let shown = several.into_iter().flatten().chain(one).map(|service| &service["serviceArn"]);
        let shown = shown.chain(clusters.map(|cluster| &cluster["clusterArn"])).filter_map(Value::as_str);
        let as_of = if operation.writes() { now } else { now - lag };
        read.looked.extend(shown.map(|arn| (arn.to_owned(), as_of)));
    }

    /// A call of ours has had its effect right when it was sent.
    fn has_its_effect(
        &mut self,
        intent: &str,
        (operation, input): (Operation, &Value),
        answer: &Value,
        (at, by_clock): (Timestamp, Timestamp),
    ) {
        let made = match operation {
            Operation::RegisterTaskDefinition => {
                answer["taskDefinition"]["taskDefinitionArn"].as_str().map(str::to_owned)
            }
            Operation::UpdateService => primary(&answer["service"]),
            _ => None,
        };
        let of = intent.rsplit_once(' ').map_or(intent, |(of, _)| of).to_owned();
        self.effects.extend(made.map(|made| Effect { of, operation, input: input.clone(), made, at, by_clock }));
    }

    /// A call reaches what it is about, and nobody hears of it.
    fn is_unheard_of(&mut self, input: &Value, at: Timestamp) {
        let about = input.get("service").or_else(|| input.get("cluster")).and_then(Value::as_str);
        self.came_late.extend(about.map(|resource| (resource.to_owned(), at)));
    }

    pub(super) fn deliver(&mut self, now: Timestamp) {
        while let Some(next) =
            self.on_their_way.iter().enumerate().filter(|(_, call)| call.at <= now).min_by_key(|(_, call)| call.at)
        {
            let place = next.0;
            let OnItsWay { at, operation, input, saw, intent } = self.on_their_way.remove(place);
            self.world.advance(at);
            self.is_unheard_of(&input, at);
            let how = self
                .arrives(operation, &input, &saw, intent.as_ref())
                .err()
                .map_or_else(|| "done".to_owned(), |e| e.message);
            self.say(now, &format!("        {} of long ago arrived: {how}", operation.as_str()));
        }
        self.world.advance(now);
    }
}

impl Universe {
    /// A process sends a call: what it had seen of the service goes with it, and the intent that it is of.
    pub(crate) fn sends(&self, process: usize, operation: Operation, input: &Value) -> (Value, Option<String>) {
        self.state().steps += 1;
        let mut intent = None;
        if operation.writes() {
            self.say(format!("process {process} sends {} {}", operation.as_str(), brief(operation, input)));
            intent = law::when_sent(self, process, operation, input);
            let now = self.time.now();
            self.state().sent_at[process] = now;
        }
        let service = input["service"].as_str().unwrap_or_default();
        (self.state().read[process].services.get(service).cloned().unwrap_or_default(), intent)
    }

    /// ECS has said that a call had no effect, or it never left: its intent is spent, and another may follow at once.
    pub(crate) fn is_refused(&self, intent: Option<&String>) {
        if let Some(intent) = intent {
            self.state().sent.remove(intent);
        }
    }

    /// It has its effect, and this is the reply; whether that is heard is known already.
    pub(crate) fn arrives(
        &self,
        process: usize,
        (operation, input): (Operation, &Value),
        saw: &Value,
        intent: Option<&String>,
        heard: bool,
    ) -> Result<Value, EcsError> {
        let at = (self.time.now(), self.by_its_clock(process));
        let mut state = self.state();
        let answer = state.arrives(operation, input, saw, intent).map_err(|error| refused(operation, error));
        if let Ok(answer) = &answer {
            if heard {
                state.is_shown(process, operation, answer, self.timing.lag);
            } else {
                state.is_unheard_of(input, at.0);
            }
            // (Where its sender was suspended in between, it is as late as any that nobody hears of.)
            let prompt = state.sent_at[process] + self.timing.call >= at.0;
            if let Some(intent) = intent.filter(|_| prompt) {
                state.has_its_effect(intent, (operation, input), answer, at);
            }
        }
        drop(state);
        if operation.writes() {
            let how = answer.as_ref().err().map_or_else(|| "done".to_owned(), ToString::to_string);
            self.say(format!("        {} arrived: {how}", operation.as_str()));
        }
        answer
    }

    /// Whether services were shown as they were, and not as they are.
    pub(crate) fn is_stale(&self, input: &Value, shown: &Value) -> bool {
        if self.timing.lag.is_zero() {
            return false;
        }
        let facts = |answer: &Value| -> BTreeSet<String> {
            let fact = |service: &Value| {
                let of = |name: &str| service[name].to_string();
                [of("serviceArn"), of("taskDefinition"), of("desiredCount"), of("runningCount"), of("status")].join(" ")
            };
            answer["services"].as_array().into_iter().flatten().map(fact).collect()
        };
        let is = self.state().look(Operation::DescribeServices.as_str(), input);
        facts(&is) != facts(shown)
    }

    /// Its sender does not hear what became of it.
    pub(crate) fn goes_unheard(&self, operation: Operation, input: &Value) {
        if operation == Operation::RegisterTaskDefinition {
            self.state().unheard.push(input.clone());
        }
    }

    /// It has its effect later; nobody hears of it.
    pub(crate) fn arrives_later(
        &self,
        (operation, input): (Operation, &Value),
        saw: &Value,
        intent: Option<&String>,
        delay: Duration,
    ) {
        self.say(format!("        {} will arrive {} s later", operation.as_str(), delay.as_secs()));
        let (at, intent) = (self.time.now() + delay, intent.cloned());
        self.state().on_their_way.push(OnItsWay { at, operation, input: input.clone(), saw: saw.clone(), intent });
    }

    /// A process has lost what it was about to record, or died: what it was shown it may be shown no more.
    pub(crate) fn loses(&self, process: usize) {
        self.state().buried.iter_mut().for_each(|buried| {
            buried.shown_to.remove(&process);
        });
    }

    /// Whether any call is still on its way.
    pub(crate) fn awaits_calls(&self) -> bool {
        !self.state().on_their_way.is_empty()
    }
}

fn brief(operation: Operation, input: &Value) -> String {
    let member = |name: &str| input[name].as_str().map(|arn| arn.rsplit(['/', ':']).next().unwrap_or(arn).to_owned());
    match operation {
        Operation::RegisterTaskDefinition => member("family").unwrap_or_default(),
        Operation::UpdateService if input.get("taskDefinition").is_some() => {
            let revision = input["taskDefinition"].as_str().and_then(|arn| arn.rsplit('/').next()).unwrap_or("-");
            format!("{} to {revision}", member("service").unwrap_or_default())
        }
        _ => input.to_string(),
    }
}

fn refused(operation: Operation, error: SimError) -> EcsError {
    match error {
        SimError { status: 500.., code, message } => {
            EcsError::NoAnswer { operation, message: format!("{code}: {message}") }
        }
        SimError { code: "ThrottlingException", message, .. } => EcsError::Throttled { operation, message },
        SimError { code, message, .. } => EcsError::Refused { operation, code: code.to_owned(), message },
    }
}
