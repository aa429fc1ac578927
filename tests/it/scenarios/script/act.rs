//! What people do: to ECS, to the configuration, and by Commands. Done between passes, or right before a call of ours.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll::embedded::EmbeddedStore;
use plimsoll::manifest;
use plimsoll::model::spec::Kind;
use plimsoll::model::{Hold, Reason, ReasonCode, Resource, TargetId, Timestamp};
use plimsoll::plan::saved::SavedPlan;
use plimsoll::ports::{Clock, Operation};
use plimsoll::records::command::{Ask, Command, Commands};
use plimsoll::records::configuration::{Application, Configurations};
use plimsoll::rollout::command::Request;
use plimsoll::sim::{Condition, Effect, Fault, Misbehaviour, SimEcs, VirtualClock};
use serde_json::{Map, Value, json};

use super::super::world::{NO_HOST_PID, host_pid};
use super::line::{Line, length};

/// Who people are.
const PERSON: &str = "arn:aws:iam::123456789012:user/alex";

/// On which side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Before,
    After,
}

/// People, with all that they have in their hands.
pub(super) struct People {
    pub(super) ecs: Arc<SimEcs>,
    pub(super) store: Arc<EmbeddedStore>,
    pub(super) clock: Arc<VirtualClock>,
    pub(super) target: TargetId,
    asked: AtomicUsize,
    /// What somebody does right before, or right after, a call of ours arrives: each once, in order.
    around: Mutex<Vec<(Moment, Operation, Line)>>,
    /// What somebody does while the answer to a call of ours is waited for: how long that takes, and what.
    during: Mutex<Vec<(Operation, Duration, Line)>>,
    /// The plan that somebody has kept.
    pub(super) kept: Mutex<Option<SavedPlan>>,
    /// How long each answer of the store takes.
    pub(super) store_takes: Mutex<Duration>,
    /// The controller was killed: none of its calls and writes arrives until another one takes over.
    pub(super) dead: AtomicBool,
}

/// Another edition of the policy against the host's process namespace: another fix.
const EDITED: &str = "apiVersion: plimsoll/v1
kind: Policy
metadata: { name: no-host-pid }
spec:
  title: A process namespace of its own
  severity: high
  resource: TaskDefinition
  checks:
    - name: pid-mode
      require: \"taskDefinition.?pidMode.orValue('') == 'task'\"
      message: the task has no process namespace of its own
      fix: [{ edits: [{ set: /pidMode, value: task }] }]
";

impl People {
    pub(super) fn new(ecs: Arc<SimEcs>, store: Arc<EmbeddedStore>, clock: Arc<VirtualClock>, target: TargetId) -> Self {
        Self {
            ecs,
            store,
            clock,
            target,
            asked: AtomicUsize::new(0),
            around: Mutex::default(),
            during: Mutex::default(),
            kept: Mutex::default(),
            store_takes: Mutex::default(),
            dead: AtomicBool::new(false),
        }
    }

    pub(super) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What somebody does at this moment of a call of ours.
    pub(super) fn due(&self, moment: Moment, operation: Operation) -> Vec<Line> {
        let mut around = self.around.lock().unwrap();
        let is_due = |known: &(Moment, Operation, Line)| (known.0, known.1) == (moment, operation);
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut *around).into_iter().partition(is_due);
        *around = later;
        due.into_iter().map(|(_, _, line)| line).collect()
    }

    /// What somebody does while the answer to this call is on its way, and how long it is.
    pub(super) fn meanwhile(&self, operation: Operation) -> Option<(Duration, Line)> {
        let mut during = self.during.lock().unwrap();
        let place = during.iter().position(|known| known.0 == operation)?;
        let (_, length, line) = during.remove(place);
        Some((length, line))
    }

    /// A call of somebody's. An error is the script's mistake.
    fn call(&self, operation: &str, input: &Value) -> Value {
        let now = self.clock.now();
        self.ecs.world().call(now, operation, input).unwrap_or_else(|error| panic!("{operation} {input}: {error:?}"))
    }

    fn register(&self, family: &str, patch: Option<&str>) -> String {
        let mut document = host_pid(family);
        if let Some(patch) = patch {
            merge(&mut document, &data(patch));
        }
        let made = self.call("RegisterTaskDefinition", &document);
        made["taskDefinition"]["taskDefinitionArn"].as_str().unwrap().to_owned()
    }

    /// Makes the service, and before it its cluster and a first revision of `family`, where there are none.
    fn service(&self, place: &str, family: &str, more: Option<&str>) {
        let (cluster, name) = place.split_once('/').unwrap();
        let clusters = self.call("DescribeClusters", &json!({ "clusters": [cluster] }));
        if clusters["clusters"].as_array().is_none_or(Vec::is_empty) {
            let insights = json!([{ "name": "containerInsights", "value": "enabled" }]);
            self.call("CreateCluster", &json!({ "clusterName": cluster, "settings": insights }));
        }
        let known = self.call("ListTaskDefinitions", &json!({ "familyPrefix": family, "sort": "DESC" }));
        let known = known["taskDefinitionArns"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let known = known.map(ToOwned::to_owned).find(|arn| arn.contains(&format!("/{family}:")));
        let revision = known.unwrap_or_else(|| self.register(family, None));
        let mut input = json!({
            "cluster": cluster, "serviceName": name, "taskDefinition": revision, "desiredCount": 2, "launchType": "EC2"
        });
        merge(&mut input, &more.map_or_else(|| json!({}), data));
        self.call("CreateService", &input);
    }

    fn update(&self, place: &str, members: &Value) {
        let (cluster, name) = place.split_once('/').unwrap();
        let mut input = json!({ "cluster": cluster, "service": name });
        merge(&mut input, members);
        self.call("UpdateService", &input);
    }

    /// Deletes all services of a cluster, as whoever deletes the cluster does first.
    fn delete_services(&self, cluster: &str) {
        let listed = self.call("ListServices", &json!({ "cluster": cluster, "maxResults": 100 }));
        for service in listed["serviceArns"].as_array().unwrap() {
            self.call("DeleteService", &json!({ "cluster": cluster, "service": service, "force": true }));
        }
    }

    /// Protects all tasks that a service runs from scale-in for so many minutes, or no more.
    fn protect(&self, place: &str, minutes: Option<u32>) {
        let (cluster, name) = place.split_once('/').unwrap();
        let listed = self.call("ListTasks", &json!({ "cluster": cluster, "serviceName": name }));
        let mut input =
            json!({ "cluster": cluster, "tasks": listed["taskArns"], "protectionEnabled": minutes.is_some() });
        if let Some(minutes) = minutes {
            input["expiresInMinutes"] = json!(minutes);
        }
        self.call("UpdateTaskProtection", &input);
    }

    /// AWS takes the service's youngest Spot task away.
    fn interrupt(&self, place: &str) {
        let (cluster, name) = place.split_once('/').unwrap();
        let listed = self.call("ListTasks", &json!({ "cluster": cluster, "serviceName": name }));
        let found = self.call("DescribeTasks", &json!({ "cluster": cluster, "tasks": listed["taskArns"] }));
        let created = |task: &&Value| task["createdAt"].as_f64().unwrap().to_bits();
        let youngest = found["tasks"].as_array().unwrap().iter().max_by_key(created).unwrap();
        let arn = youngest["taskArn"].as_str().unwrap();
        self.ecs.world().kill_task(arn, "SpotInterruption", "Your Spot Task was interrupted.");
    }

    pub(super) async fn apply(&self, yaml: &str) {
        let objects = manifest::parse("script.yaml", yaml).unwrap_or_else(|found| panic!("{found:#?}"));
        let objects = objects.into_iter().map(|sourced| sourced.object).collect();
        self.configure(Application { objects, ..Application::default() }).await;
    }

    async fn configure(&self, application: Application) {
        Configurations::of(self.store.as_ref()).apply(&application, self.clock.now(), false).await.unwrap();
    }

    async fn ask(&self, ask: Ask) {
        let id = format!("{:04}", self.asked.fetch_add(1, Ordering::Relaxed));
        let command = Command { id, ask, by: PERSON.to_owned(), at: self.clock.now() };
        Commands::of(self.store.as_ref(), &self.target).ask(&command).await.unwrap();
    }

    /// What Commands so far were answered, oldest first.
    pub(super) async fn answers(&self) -> Vec<Option<(bool, String)>> {
        let commands = Commands::of(self.store.as_ref(), &self.target);
        let mut answers = Vec::new();
        for number in 0..self.asked.load(Ordering::Relaxed) {
            let answer = commands.answer(&format!("{number:04}")).await.unwrap();
            answers.push(answer.map(|answer| (answer.done, answer.message)));
        }
        answers
    }

    fn resource(&self, place: &str) -> Resource {
        let TargetId { account, region } = &self.target;
        Resource::Service(format!("arn:aws:ecs:{region}:{account}:service/{place}").parse().unwrap())
    }

    /// Of a service, as `prod/web`, or of a revision, as `web:1`.
    fn arn(&self, what: &str) -> String {
        let TargetId { account, region } = &self.target;
        let kind = if what.contains('/') { "service" } else { "task-definition" };
        format!("arn:aws:ecs:{region}:{account}:{kind}/{what}")
    }

    fn fault(&self, operation: &str, fault: Fault, times: usize) {
        let (operation, mut left) = (operation.to_owned(), times);
        self.ecs.set_faults(move |call| {
            let hit = call.operation.as_str() == operation && left > 0;
            left -= usize::from(hit);
            hit.then(|| fault.clone())
        });
    }

    /// Does what a line says. False where it is not for people to do.
    pub(super) async fn act(&self, line: &Line) -> bool {
        let some = line.data.as_deref();
        match line.words().as_slice() {
            ["service", place] => self.service(place, place.rsplit('/').next().unwrap(), some),
            ["service", place, "of", family] => self.service(place, family, some),
            ["register", family] => drop(self.register(family, some)),
            ["register", family, image] => {
                let container = json!({ "name": "app", "image": image, "memory": 128, "essential": true });
                let mut patch = some.map_or_else(|| json!({}), data);
                merge(&mut patch, &json!({ "containerDefinitions": [container] }));
                drop(self.register(family, Some(&patch.to_string())));
            }
            ["deregister", revision] => {
                drop(self.call("DeregisterTaskDefinition", &json!({ "taskDefinition": revision })))
            }
            ["deploy", place] => {
                let arn = self.register(place.rsplit('/').next().unwrap(), some);
                self.update(place, &json!({ "taskDefinition": arn }));
            }
            ["point", place, revision] => self.update(place, &json!({ "taskDefinition": revision })),
            ["scale", place, count] => self.update(place, &json!({ "desiredCount": count.parse::<u32>().unwrap() })),
            ["update", place] => self.update(place, &data(some.unwrap())),
            ["delete", place] if place.contains('/') => {
                let (cluster, name) = place.split_once('/').unwrap();
                self.call("DeleteService", &json!({ "cluster": cluster, "service": name, "force": true }));
            }
            ["protect", place, minutes] => self.protect(place, Some(minutes.parse().unwrap())),
            ["unprotect", place] => self.protect(place, None),
            ["interrupt", place] => self.interrupt(place),
            ["delete", "services", cluster] => self.delete_services(cluster),
            ["delete", "cluster", name] => drop(self.call("DeleteCluster", &json!({ "cluster": name }))),
            ["call", operation] => drop(self.call(operation, &data(some.unwrap()))),
            ["stamp", what] => {
                let tags = data(some.unwrap());
                let tags: Vec<(&str, &str)> = tags
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_str().unwrap()))
                    .collect();
                self.ecs.world().stamp_tags(&self.arn(what), &tags);
            }
            ["plant", what] => {
                let members = data(some.unwrap()).as_object().unwrap().clone();
                self.ecs.world().plant(&self.arn(what), members);
            }
            ["image", image, letter] => {
                self.ecs.world().move_image(image, &format!("sha256:{}", letter.repeat(64)));
            }
            ["alarm", name, state] => self.ecs.world().ring(name, *state == "on"),
            ["continue", place] => self.continue_deployment(place),
            ["breaks", family, effect @ ..] => self.breaks(family, effect, true),
            ["spoils", family, effect @ ..] => self.breaks(family, effect, false),
            ["heals"] => self.ecs.world().behave(),
            ["lag", span] => self.ecs.world().set_read_lag(length(span)),
            ["instances", cluster, count] => self.ecs.world().set_instances(cluster, count.parse().unwrap()),
            ["fault", operation, "lost"] => self.fault(operation, Fault::LostReply, 1),
            ["fault", operation, "late", span] => self.fault(operation, Fault::Late(length(span)), 1),
            ["fault", operation, "throttled", times] => self.fault(operation, Fault::Throttle, times.parse().unwrap()),
            ["fault", operation, "error", times] => self.fault(operation, Fault::ServerError, times.parse().unwrap()),
            ["fault", operation, "denied"] => {
                let (code, message) = ("AccessDeniedException".to_owned(), "not authorized to perform it".to_owned());
                self.fault(operation, Fault::Refuse { code, message }, usize::MAX);
            }
            ["no", "faults"] => self.ecs.clear_faults(),
            ["store", "takes", span] => *self.store_takes.lock().unwrap() = length(span),
            ["before", operation, ..] => self.around(Moment::Before, operation, line.rest(2)),
            ["during", operation, span, ..] => {
                let during = (of_name(operation), length(span), line.rest(3));
                self.during.lock().unwrap().push(during);
            }
            ["after", operation, ..] => self.around(Moment::After, operation, line.rest(2)),
            ["die"] => self.dead.store(true, Ordering::Relaxed),
            ["enforce"] => self.enforce("enforce", some).await,
            ["propose"] => self.enforce("propose", some).await,
            ["apply"] => self.apply(&line.block).await,
            ["edit", "policy"] => self.apply(EDITED).await,
            ["remove", kind, name] => {
                let kind = Kind::ALL.iter().copied().find(|known| known.as_str() == *kind).unwrap();
                self.configure(Application { delete: vec![(kind, (*name).to_owned())], ..Application::default() })
                    .await;
            }
            ["freeze", name] => {
                let scope = some.map_or_else(String::new, |scope| format!("scope: {scope}, "));
                let yaml = format!(
                    "apiVersion: plimsoll/v1\nkind: Freeze\nmetadata: {{ name: {name} }}\nspec: {{ {scope}reason: an incident }}\n"
                );
                self.apply(&yaml).await;
            }
            ["unfreeze", name] => {
                self.configure(Application {
                    delete: vec![(Kind::Freeze, (*name).to_owned())],
                    ..Application::default()
                })
                .await;
            }
            ["waive", service] => self.waive("services", service).await,
            ["waive", "cluster", cluster] => self.waive("clusters", cluster).await,
            [verb @ ("approve" | "pause" | "resume" | "abort" | "retry" | "undo"), rollout, rest @ ..] => {
                let request = self.request(verb, rest);
                self.ask(Ask::Rollout { name: (*rollout).to_owned(), request }).await;
            }
            ["hold", place, rest @ ..] => {
                let until = match rest {
                    ["for", span] => Some(self.clock.now() + length(span)),
                    _ => None,
                };
                let (resource, created_at) = (self.resource(place), self.clock.now());
                let reason = Reason::of(ReasonCode::Held, "the team asked for it");
                let all = || "*".to_owned();
                let hold =
                    Hold { resource, fix: all(), policy: all(), reason, by: None, rollout: None, created_at, until };
                self.ask(Ask::Hold { hold }).await;
            }
            ["ask", "plan"] => {
                let plan = self.kept.lock().unwrap().clone().unwrap();
                self.ask(Ask::Plan { plan }).await;
            }
            ["release", place] => self.ask(Ask::Release { resource: self.resource(place) }).await,
            _ => return false,
        }
        true
    }

    fn around(&self, moment: Moment, operation: &str, line: Line) {
        self.around.lock().unwrap().push((moment, of_name(operation), line));
    }

    fn request(&self, verb: &str, rest: &[&str]) -> Request {
        let service = rest.first().map(|place| self.resource(place).service().unwrap().clone());
        match verb {
            "approve" => Request::Approve { plan: rest.first().map(ToString::to_string) },
            "pause" => Request::Pause,
            "resume" => Request::Resume,
            "abort" => Request::Abort,
            "retry" => Request::Retry,
            _ => Request::Undo { service },
        }
    }

    /// The policy against the host's process namespace, bound to a strategy of its own where one is given.
    async fn enforce(&self, enforcement: &str, strategy: Option<&str>) {
        let named = if strategy.is_some() { ", strategy: s" } else { "" };
        let mut yaml = NO_HOST_PID.replace("enforcement: enforce", &format!("enforcement: {enforcement}{named}"));
        if let Some(strategy) = strategy {
            yaml.push_str(&format!(
                "---\napiVersion: plimsoll/v1\nkind: RolloutStrategy\nmetadata: {{ name: s }}\nspec: {strategy}\n"
            ));
        }
        self.apply(&yaml).await;
    }

    /// A Waiver of everything, for services or clusters of that name.
    async fn waive(&self, of: &str, name: &str) {
        let yaml = format!(
            "apiVersion: plimsoll/v1\nkind: Waiver\nmetadata: {{ name: {name} }}\nspec: {{ policies: ['*'], scope: {{ include: {{ {of}: [{name}] }} }}, owner: team, reason: on purpose, expiresAt: 2027-01-01T00:00:00Z }}\n"
        );
        self.apply(&yaml).await;
    }

    /// Tasks of the family do not do well: without the host's process namespace, or anyway.
    fn breaks(&self, family: &str, effect: &[&str], by_the_fix: bool) {
        let effect: Effect = match effect {
            [name] => serde_json::from_value(json!(name)).unwrap(),
            [name, span] => serde_json::from_value(json!({ *name: span })).unwrap(),
            _ => panic!("an effect has a name and perhaps a length"),
        };
        let fixed = Condition { pointer: "/pidMode".to_owned(), equals: None, not: false };
        let when = if by_the_fix { vec![fixed] } else { vec![] };
        self.ecs.world().misbehave(Misbehaviour { family: family.to_owned(), when, effect });
    }

    /// Lets the service's latest deployment go on past the hook it waits at.
    fn continue_deployment(&self, place: &str) {
        let (cluster, name) = place.split_once('/').unwrap();
        let listed = self.call("ListServiceDeployments", &json!({ "cluster": cluster, "service": name }));
        let arn = &listed["serviceDeployments"][0]["serviceDeploymentArn"];
        let found = self.call("DescribeServiceDeployments", &json!({ "serviceDeploymentArns": [arn] }));
        let hooks = &found["serviceDeployments"][0]["lifecycleHookDetails"];
        let waiting = hooks.as_array().unwrap().iter().find(|hook| hook["status"] == "AWAITING_ACTION").unwrap();
        let input = json!({ "serviceDeploymentArn": arn, "hookId": waiting["hookId"], "action": "CONTINUE" });
        self.call("ContinueServiceDeployment", &input);
    }
}

fn of_name(operation: &str) -> Operation {
    *Operation::ALL.iter().find(|known| known.as_str() == operation).unwrap()
}

fn data(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

/// RFC 7396: null takes a member out.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        into.clone_from(patch);
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let members = into.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            members.shift_remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
