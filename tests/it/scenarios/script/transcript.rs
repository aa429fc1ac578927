//! What a person on call would want to have seen, in order: calls that changed ECS, changes of state, reasons.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use plimsoll::controller::{ControllerError, PassReport};
use plimsoll::model::{Reason, TaskDefinitionArn, Timestamp};
use plimsoll::plan::PlanOutcome;
use plimsoll::ports::{Clock, Operation};
use plimsoll::records::events::{self, Event, Events};
use serde_json::{Value, json};

use super::act::People;
use super::witness::{Seen, Witness};

/// The transcript so far, and what it has told already.
pub(super) struct Transcript {
    text: String,
    start: Timestamp,
    /// How much of what was seen is told.
    seen: usize,
    answers: usize,
    /// The code of what each thing waits for, as last told.
    told: BTreeMap<String, String>,
}

impl Transcript {
    pub(super) const fn new(start: Timestamp) -> Self {
        Self { text: String::new(), start, seen: 0, answers: 0, told: BTreeMap::new() }
    }

    /// A line of the script.
    pub(super) fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}", format!("> {text}").trim_end());
    }

    /// Time since the start.
    fn at(&self, time: Timestamp) -> String {
        let seconds = time.since(self.start).as_secs();
        let (days, hours, minutes, seconds) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let days = if days > 0 { format!("{days}d ") } else { String::new() };
        format!("{days}{hours:02}:{minutes:02}:{seconds:02}")
    }

    /// What a command prints.
    pub(super) fn text(&mut self, text: &str) {
        for line in text.lines() {
            let _ = writeln!(self.text, "{}", format!("    {}", stable(line)).trim_end());
        }
    }

    fn say(&mut self, at: Timestamp, what: &str) {
        let _ = writeln!(self.text, "  {}  {}", self.at(at), stable(what));
    }

    fn because(&self, reason: &Reason) -> String {
        let until = reason.until.map_or_else(String::new, |until| format!(" (until {})", self.at(until)));
        format!("{}: {}{until}", reason.code.as_str(), reason.message)
    }

    /// What has become new by a pass.
    pub(super) async fn passed(&mut self, witness: &Witness, result: Result<&PassReport, &ControllerError>) {
        let people = &witness.people;
        let now = people.clock.now();
        for seen in witness.since(&mut self.seen) {
            match seen {
                Seen::Call { at, operation, input, error } => {
                    let error = error.map_or_else(String::new, |error| format!(" ! {error}"));
                    self.say(at, &format!("ECS      {}{error}", told(operation, &input)));
                }
                // The call above it says the same.
                Seen::Event(event) if event.subject.starts_with("Registration/") => {}
                Seen::Event(event) => self.tell(&event),
                Seen::Change(_) => {}
            }
        }
        let answers = people.answers().await;
        for answer in answers.iter().skip(self.answers).map_while(Option::as_ref) {
            self.say(now, &format!("answer   {}{}", if answer.0 { "" } else { "no: " }, answer.1));
            self.answers += 1;
        }
        match result {
            Err(error) => {
                let source = std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"));
                self.once(now, "pass", &error.to_string(), &format!("pass     failed: {error}{source}"));
            }
            Ok(report) => {
                self.told.remove("pass");
                self.tell_waits(now, report);
                self.tell_plan(now, report);
            }
        }
    }

    fn tell(&mut self, event: &Event) {
        let (kind, name) = event.subject.split_once('/').unwrap();
        let subject = match kind {
            "Change" => {
                let (rollout, short) = (name.split('/').next().unwrap(), event.message.split(": ").next().unwrap());
                format!("change   {short} of {rollout}")
            }
            "Rollout" => format!("rollout  {name}"),
            _ => format!("{:<8} {name}", kind.to_lowercase()),
        };
        let what = if kind == "Change" { &event.what } else { &event.message };
        let by = event.by.rsplit('/').next().filter(|by| *by != "plimsoll");
        let by = by.map_or_else(String::new, |by| format!(", by {by}"));
        let why = event.reason.as_ref().map_or_else(String::new, |reason| format!(" — {}", self.because(reason)));
        self.say(event.at, &format!("{subject}: {what}{by}{why}"));
        // What it waits for is told anew in each state.
        self.told.remove(&event.subject);
        if let Some(reason) = &event.reason {
            self.told.insert(event.subject.clone(), reason.code.as_str().to_owned());
        }
    }

    fn once(&mut self, now: Timestamp, key: &str, code: &str, text: &str) {
        if self.told.get(key).is_none_or(|told| told != code) {
            self.told.insert(key.to_owned(), code.to_owned());
            self.say(now, text);
        }
    }

    fn tell_waits(&mut self, now: Timestamp, report: &PassReport) {
        for campaign in report.all() {
            let rollout = &campaign.rollout.value;
            if let Some(reason) = rollout.waiting.as_ref().filter(|_| !rollout.state.is_final()) {
                let text = format!("rollout  {} waits — {}", rollout.name, self.because(reason));
                self.once(now, &format!("Rollout/{}", rollout.name), reason.code.as_str(), &text);
            }
            for change in campaign.changes.iter().map(|change| &change.value) {
                let Some(reason) = change.waiting.as_ref().filter(|_| !change.state.phase().is_final()) else {
                    continue;
                };
                let short = change.spec.resource.short();
                let text = format!("change   {short} of {} waits — {}", rollout.name, self.because(reason));
                self.once(now, &format!("Change/{}", change.name), reason.code.as_str(), &text);
            }
        }
    }

    fn tell_plan(&mut self, now: Timestamp, report: &PassReport) {
        let Some(plan) = &report.plan else { return };
        for planned in plan.services.iter().chain(&plan.clusters) {
            let open = report.campaigns.iter().flat_map(|campaign| &campaign.changes).any(|change| {
                *change.value.spec.resource.as_str() == *planned.resource && !change.value.state.phase().is_final()
            });
            let code = planned.reason.as_ref().map_or("", |reason| reason.code.as_str());
            let key = format!("{} {code}", planned.outcome.as_str());
            // A rollout that has it says itself what it waits for.
            if open || (planned.outcome == PlanOutcome::Change && planned.reason.is_none()) {
                continue;
            }
            let short = planned
                .resource
                .splitn(6, ':')
                .nth(5)
                .and_then(|rest| rest.split_once('/'))
                .map_or("", |(_, name)| name);
            let why = planned.reason.as_ref().map_or_else(String::new, |reason| format!(" — {}", self.because(reason)));
            let text = format!("plan     {short}: {}{why}", planned.outcome.as_str());
            self.once(now, &format!("plan {short}"), &key, &text);
        }
    }

    /// The end: the event log is whole, and this is what every service runs.
    pub(super) async fn end(mut self, people: &People) -> String {
        let all = Events::of(people.store.as_ref(), &people.target).list("").await.unwrap();
        assert_eq!(events::verify(&all), []);
        self.line("");
        self.services(people);
        self.text
    }

    /// What every service runs.
    pub(super) fn services(&mut self, people: &People) {
        let now = people.clock.now();
        let call = |operation: &str, input: Value| people.ecs.world().call(now, operation, &input).unwrap();
        let mut places = Vec::new();
        for cluster in call("ListClusters", json!({}))["clusterArns"].as_array().unwrap() {
            let listed = call("ListServices", json!({ "cluster": cluster, "maxResults": 100 }));
            let arns = listed["serviceArns"].as_array().unwrap().iter().filter_map(Value::as_str);
            places.extend(arns.filter_map(|arn| arn.split_once(":service/")).map(|(_, place)| place.to_owned()));
        }
        places.sort();
        for place in places {
            let running = Self::running(people, &place);
            self.say(now, &format!("runs     {place}: {running}"));
        }
    }

    /// What ECS says of the service's latest deployment, and what it runs.
    pub(super) fn deployment(&mut self, people: &People, place: &str) {
        let now = people.clock.now();
        let (cluster, name) = place.split_once('/').unwrap();
        let listed = json!({ "cluster": cluster, "service": name });
        let listed = people.ecs.world().call(now, "ListServiceDeployments", &listed).unwrap();
        let status = listed["serviceDeployments"][0]["status"].as_str().unwrap();
        let running = Self::running(people, place);
        self.say(now, &format!("is       {place}: {status}, {running}"));
    }

    /// What one service runs, as `2 × web:1`, with the image where the script says what is pulled.
    pub(super) fn running(people: &People, place: &str) -> String {
        let now = people.clock.now();
        let (cluster, name) = place.split_once('/').unwrap();
        let call = |operation: &str, input: Value| people.ecs.world().call(now, operation, &input);
        let Ok(tasks) = call("ListTasks", json!({ "cluster": cluster, "serviceName": name, "maxResults": 100 })) else {
            return "nothing".to_owned();
        };
        let mut running: BTreeMap<String, usize> = BTreeMap::new();
        if tasks["taskArns"].as_array().is_some_and(|arns| !arns.is_empty()) {
            let found = call("DescribeTasks", json!({ "cluster": cluster, "tasks": tasks["taskArns"] })).unwrap();
            for task in found["tasks"].as_array().unwrap().iter().filter(|task| task["lastStatus"] == "RUNNING") {
                let arn: TaskDefinitionArn = task["taskDefinitionArn"].as_str().unwrap().parse().unwrap();
                let pulled = task["containers"][0]["imageDigest"].as_str().and_then(letter);
                let pulled = pulled.map_or_else(String::new, |letter| format!(" ({letter}…)"));
                *running.entry(format!("{}{pulled}", arn.short())).or_default() += 1;
            }
        }
        let running: Vec<String> = running.iter().map(|(revision, count)| format!("{count} × {revision}")).collect();
        if running.is_empty() { "nothing".to_owned() } else { running.join(", ") }
    }
}

/// The letter of a digest that a script has made.
fn letter(digest: &str) -> Option<char> {
    let hash = digest.strip_prefix("sha256:")?;
    let first = hash.chars().next()?;
    hash.chars().all(|letter| letter == first).then_some(first)
}

/// A call that changes something, in short.
fn told(operation: Operation, input: &Value) -> String {
    let short = |name: &str| {
        let text = input[name].as_str().unwrap_or("");
        text.rsplit_once(":service/")
            .or_else(|| text.rsplit_once(":task-definition/"))
            .or_else(|| text.rsplit_once(":cluster/"))
            .map_or(text, |(_, name)| name)
            .to_owned()
    };
    let operation = operation.as_str();
    match operation {
        "RegisterTaskDefinition" => format!("{operation} {}", short("family")),
        "DeregisterTaskDefinition" => format!("{operation} {}", short("taskDefinition")),
        "StopServiceDeployment" => {
            let arn = input["serviceDeploymentArn"].as_str().unwrap_or("");
            let of: Vec<&str> = arn.split('/').skip(1).take(2).collect();
            format!("{operation} of {}", of.join("/"))
        }
        _ => {
            let names = ["service", "resourceArn", "cluster"];
            let of = names.into_iter().find(|name| input.get(name).is_some()).map_or_else(String::new, short);
            let mut what: Vec<String> = Vec::new();
            for (name, value) in input.as_object().unwrap() {
                match name.as_str() {
                    "cluster" | "service" | "resourceArn" => {}
                    "taskDefinition" => what.push(short("taskDefinition")),
                    _ => what.push(format!("{name} {value}")),
                }
            }
            format!("{operation} {of} → {}", what.join(", "))
        }
    }
}

/// Without what another seed would make another: ids of deployments and plans.
fn stable(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) =
        ["ecs-svc/", "sha256:"].iter().filter_map(|mark| rest.find(mark).map(|at| at + mark.len())).min()
    {
        out.push_str(&rest[..at]);
        out.push('…');
        rest = rest[at..].trim_start_matches(|character: char| character.is_ascii_alphanumeric());
    }
    out.push_str(rest);
    out
}
