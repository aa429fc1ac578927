//! What tests of rollouts are told from: a service's wire JSON, its tasks, its service deployments; a change, a rollout.
//!
//! The service was created long ago and ran revision 1. Our move to revision 2 is intended at second 100.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::alarm::AlarmWatch;
use super::change::{Action, Input, Step, step};
use super::landing::{Facts, KnownDeployment, ServiceDeployments};
use super::protection::Protection;
use super::record::{Change, ChangeSpec, HistoryEntry, Registration, RegistrationState, Rollout, RolloutSpec};
use super::state::{RolloutState, State};
use crate::model::change::{ChangeKind, Resource, WaveRecord};
use crate::model::spec::{HealthSpec, StrategySpec};
use crate::model::{Observed, Reason, ReasonCode, Secrets, TargetId, TaskDefinitionArn, Timestamp, wire};

/// When the tests' move is intended.
pub(super) const INTENT: i64 = 100;

/// So many seconds into the test.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_millis((1_768_000_000 + second) * 1000)
}

fn epoch(second: i64) -> Value {
    json!(1_768_000_000 + second)
}

pub(super) fn revision(number: u32) -> TaskDefinitionArn {
    format!("arn:aws:ecs:eu-west-1:1:task-definition/web:{number}").parse().unwrap()
}

pub(super) fn reason(code: ReasonCode) -> Reason {
    Reason::of(code, "as the test wants it")
}

/// What is read of the service. Starts as it was before anything happened, with two tasks wanted.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    service: Option<Value>,
    tasks: Option<Vec<Value>>,
    records: Option<Vec<(Value, u32)>>,
    /// Of records that are none: they could not be read this time.
    unread: bool,
    protection: Protection,
}

impl Scene {
    /// Steady on revision 1.
    pub(super) fn before() -> Self {
        Self::empty().deployment("old", "PRIMARY", 1, -9000, "COMPLETED").tasks(2, 1, "old")
    }

    /// Ours is under way: deployment `ours` is PRIMARY, the old one drains.
    pub(super) fn during() -> Self {
        Self::empty()
            .deployment("ours", "PRIMARY", 2, INTENT + 1, "IN_PROGRESS")
            .deployment("old", "ACTIVE", 1, -9000, "COMPLETED")
            .record("IN_PROGRESS", 2, INTENT + 1)
    }

    /// Ours has landed.
    pub(super) fn landed() -> Self {
        Self::empty()
            .deployment("ours", "PRIMARY", 2, INTENT + 1, "COMPLETED")
            .record("SUCCESSFUL", 2, INTENT + 1)
            .tasks(2, 2, "ours")
    }

    /// ECS went back: the old deployment is the primary one again, and ours has failed.
    pub(super) fn taken_back() -> Self {
        Self::empty()
            .deployment("old", "PRIMARY", 1, -9000, "COMPLETED")
            .record("ROLLBACK_SUCCESSFUL", 2, INTENT + 1)
            .tasks(2, 1, "old")
    }

    /// Somebody deployed revision 9 over ours.
    pub(super) fn overtaken() -> Self {
        Self::empty()
            .deployment("theirs", "PRIMARY", 9, INTENT + 50, "COMPLETED")
            .record("STOPPED", 2, INTENT + 1)
            .record("SUCCESSFUL", 9, INTENT + 50)
            .tasks(2, 9, "theirs")
    }

    /// A service without deployments, tasks or records.
    pub(super) fn empty() -> Self {
        let service = json!({
            "serviceArn": "arn:aws:ecs:eu-west-1:1:service/prod/web", "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/prod",
            "status": "ACTIVE", "createdAt": epoch(-99_999), "desiredCount": 2, "runningCount": 2, "deployments": [],
            "launchType": "FARGATE",
        });
        let (records, protection) = (Some(vec![]), Protection::default());
        Self { service: Some(service), tasks: Some(vec![]), records, unread: false, protection }
    }

    /// The service is not there.
    pub(super) fn absent() -> Self {
        Self { service: None, ..Self::empty() }
    }

    pub(super) fn edit(mut self, edit: impl FnOnce(&mut Value)) -> Self {
        edit(self.service.as_mut().unwrap());
        self
    }

    pub(super) fn desired(self, count: u32) -> Self {
        self.edit(|service| service["desiredCount"] = json!(count))
    }

    pub(super) fn created(self, second: i64) -> Self {
        self.edit(|service| service["createdAt"] = epoch(second))
    }

    /// Adds one of `deployments[]`; the service names the PRIMARY one's revision.
    pub(super) fn deployment(self, id: &str, status: &str, number: u32, created: i64, rollout: &str) -> Self {
        self.edit(|service| {
            if status == "PRIMARY" {
                service["taskDefinition"] = json!(revision(number));
            }
            service["deployments"].as_array_mut().unwrap().push(json!({
                "id": id, "status": status, "taskDefinition": revision(number), "createdAt": epoch(created),
                "rolloutState": rollout, "rolloutStateReason": "in ECS's words",
            }));
        })
    }

    /// Changes the PRIMARY deployment.
    pub(super) fn primary(self, edit: impl FnOnce(&mut Value)) -> Self {
        self.edit(|service| {
            let list = service["deployments"].as_array_mut().unwrap();
            edit(list.iter_mut().find(|one| one["status"] == "PRIMARY").unwrap());
        })
    }

    /// Adds tasks that run.
    pub(super) fn tasks(mut self, count: usize, number: u32, started_by: &str) -> Self {
        for _ in 0..count {
            self = self.task(number, started_by, |_| {});
        }
        self
    }

    /// Adds a task that runs but for `edit`.
    pub(super) fn task(mut self, number: u32, started_by: &str, edit: impl FnOnce(&mut Value)) -> Self {
        let tasks = self.tasks.as_mut().unwrap();
        let mut task = json!({
            "taskArn": format!("arn:aws:ecs:eu-west-1:1:task/prod/{}", tasks.len()), "taskDefinitionArn": revision(number),
            "lastStatus": "RUNNING", "desiredStatus": "RUNNING", "healthStatus": "HEALTHY", "startedBy": started_by,
        });
        edit(&mut task);
        tasks.push(task);
        self
    }

    /// Protects the task of that number, counted from 0.
    pub(super) fn protected(mut self, number: usize, until: Option<i64>) -> Self {
        let arn = format!("arn:aws:ecs:eu-west-1:1:task/prod/{number}").parse().unwrap();
        self.protection.tasks.insert(arn, until.map(at));
        self
    }

    pub(super) fn protection_unread(mut self) -> Self {
        self.protection.unread = Some("no answer".to_owned());
        self
    }

    /// Adds a service deployment.
    pub(super) fn record(self, status: &str, number: u32, created: i64) -> Self {
        self.record_with(status, number, created, |_| {})
    }

    pub(super) fn record_with(
        mut self,
        status: &str,
        number: u32,
        created: i64,
        edit: impl FnOnce(&mut Value),
    ) -> Self {
        let records = self.records.as_mut().unwrap();
        let mut record = json!({
            "serviceDeploymentArn": format!("arn:aws:ecs:eu-west-1:1:service-deployment/prod/web/d{}", records.len()),
            "status": status, "createdAt": epoch(created), "statusReason": "in ECS's words",
        });
        edit(&mut record);
        records.push((record, number));
        self
    }

    pub(super) fn no_records(self) -> Self {
        Self { records: Some(vec![]), ..self }
    }

    pub(super) fn records_unavailable(self) -> Self {
        Self { records: None, ..self }
    }

    pub(super) fn records_unread(self) -> Self {
        Self { records: None, unread: true, ..self }
    }

    pub(super) fn tasks_unknown(self) -> Self {
        Self { tasks: None, ..self }
    }

    /// As read at that second.
    pub(super) fn facts(&self, second: i64) -> Facts {
        let now = at(second);
        let why = || "no answer".to_owned();
        Facts {
            service: match &self.service {
                Some(value) => Observed::Known { value: wire::service(value).unwrap(), at: now },
                None => Observed::Absent { at: now },
            },
            tasks: match &self.tasks {
                Some(tasks) => {
                    Observed::Known { value: tasks.iter().map(|task| wire::task(task).unwrap()).collect(), at: now }
                }
                None => Observed::Unknown { since: now, why: why() },
            },
            deployments: match &self.records {
                Some(records) => ServiceDeployments::Known(
                    records
                        .iter()
                        .map(|(record, number)| KnownDeployment {
                            deployment: wire::service_deployment(record).unwrap(),
                            described: record.get("brief").is_none(),
                            task_definition: Some(revision(*number)),
                            source_definitions: deployed_from(record),
                        })
                        .collect(),
                ),
                None if self.unread => ServiceDeployments::Unknown { why: why() },
                None => ServiceDeployments::Unavailable { why: why() },
            },
            cluster: Observed::Known { value: json!({ "status": "ACTIVE" }), at: now },
            protection: self.protection.clone(),
            secrets: Secrets::of([]),
        }
    }
}

/// The revisions that a record says it came from, where a test names any.
fn deployed_from(record: &Value) -> Vec<TaskDefinitionArn> {
    let sources = record.get("sources").and_then(Value::as_array).into_iter().flatten();
    sources.filter_map(|number| Some(revision(u32::try_from(number.as_u64()?).ok()?))).collect()
}

/// Nothing can be read.
pub(super) fn unreadable(second: i64) -> Facts {
    let mut facts = Scene::empty().records_unavailable().tasks_unknown().facts(second);
    facts.service = Observed::Unknown { since: at(second), why: "no answer".to_owned() };
    facts.cluster = Observed::Unknown { since: at(second), why: "no answer".to_owned() };
    facts
}

pub(super) static HEALTH: LazyLock<HealthSpec> = LazyLock::new(HealthSpec::default);

/// A change of `prod/web` from revision 1 to 2, not begun.
pub(super) fn change(kind: ChangeKind) -> Change {
    numbered(1, kind, 0)
}

/// The change of that number; each has a service of its own, the first of them `prod/web`.
pub(super) fn numbered(number: usize, kind: ChangeKind, wave: usize) -> Change {
    let name = if number == 1 { "web".to_owned() } else { format!("web-{number}") };
    let cluster = "arn:aws:ecs:eu-west-1:1:cluster/prod";
    Change {
        name: format!("careful-1/{number:05}"),
        spec: ChangeSpec {
            rollout: "careful-1".to_owned(),
            resource: match kind {
                ChangeKind::ClusterSetting => Resource::Cluster(cluster.parse().unwrap()),
                _ => Resource::Service(format!("arn:aws:ecs:eu-west-1:1:service/prod/{name}").parse().unwrap()),
            },
            created_at: at(-99_999),
            cluster: cluster.parse().unwrap(),
            kind,
            from: Some(revision(1)),
            to: None,
            diff: vec![],
            edits: None,
            documents: None,
            ran: BTreeMap::new(),
            setting: None,
            fixes: vec!["fix".to_owned()],
            policies: vec![],
            wave,
            registered: Default::default(),
            put_back: vec![],
        },
        state: State::Pending,
        epoch: 1,
        waiting: None,
        history: vec![HistoryEntry { at: at(0), phase: State::Pending.phase(), reason: None }],
        unheard: vec![],
        stood: None,
        told: 0,
    }
}

/// The change in that state, entered at that second.
pub(super) fn entered(mut change: Change, state: State, second: i64) -> Change {
    if let State::Updating { to: Some(to), .. } | State::Stabilizing { to: Some(to), .. } = &state {
        change.spec.to = Some(to.clone());
    }
    let why = match &state {
        State::RollingBack { cause, .. } | State::RolledBack { cause, .. } => Some(cause.clone()),
        _ => None,
    };
    change.enter(state, why, at(second));
    change
}

pub(super) fn registration(state: RegistrationState) -> Registration {
    Registration {
        family: "web".to_owned(),
        from: revision(1),
        wanted: "sha256:2".to_owned(),
        rollout: "careful-1".to_owned(),
        adopted: false,
        state,
        epoch: 1,
        heard: None,
        stray: None,
        deregistered: vec![],
    }
}

/// A rollout with waves of these sizes, under way in its first.
pub(super) fn rollout(sizes: &[usize]) -> Rollout {
    let wave = |(index, size): (usize, &usize)| WaveRecord {
        name: format!("wave-{}", index + 1),
        bake_seconds: 0,
        max_in_flight: 5,
        max_failures: 0,
        size: *size,
        selective: false,
    };
    Rollout {
        name: "careful-1".to_owned(),
        spec: RolloutSpec {
            target: TargetId { account: "1".to_owned(), region: "eu-west-1".to_owned() },
            plan: "sha256:plan".to_owned(),
            strategy_name: "careful".to_owned(),
            strategy: StrategySpec::default(),
            fixes: vec!["fix".to_owned()],
            services: 100,
            accepted_failures: vec![],
            accepted_unseen: vec![],
            asked: None,
            waves: sizes.iter().enumerate().map(wave).collect(),
        },
        state: RolloutState::Progressing { wave: 0 },
        epoch: 1,
        approved_waves: 0,
        created_at: at(0),
        entered_at: None,
        waiting: None,
        retried_at: None,
        carried_out: None,
        alarms: AlarmWatch::default(),
    }
}

/// As many changes as the waves are wide, none begun.
pub(super) fn changes(sizes: &[usize]) -> Vec<Change> {
    let waves = sizes.iter().enumerate().flat_map(|(wave, size)| std::iter::repeat_n(wave, *size));
    waves.enumerate().map(|(index, wave)| numbered(index + 1, ChangeKind::Revision, wave)).collect()
}

/// What a step is decided from, besides the change and the time.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) facts: Facts,
    pub(super) registration: Option<Registration>,
    pub(super) forward: Option<Reason>,
    pub(super) backward: Option<Reason>,
    pub(super) previous: Option<TaskDefinitionArn>,
}

impl Given {
    /// These facts, and nothing in the way.
    pub(super) fn of(facts: Facts) -> Self {
        Self { facts, registration: None, forward: None, backward: None, previous: None }
    }

    pub(super) fn step(&self, change: &Change, now: Timestamp) -> Step {
        let input = Input {
            facts: &self.facts,
            registration: self.registration.as_ref(),
            forward: self.forward.as_ref(),
            backward: self.backward.as_ref(),
            health: &HEALTH,
            previous: self.previous.as_ref(),
            returned: None,
            now,
        };
        step(change, &input)
    }
}

/// A step in a line: the phase it leads to, the call, the reason's code; `-` for none.
pub(super) fn told(step: &Step) -> String {
    let action = match &step.action {
        None => "-".to_owned(),
        Some(Action::MoveTo(arn)) => format!("MoveTo {}", arn.short()),
        Some(Action::Stop(_)) => "Stop".to_owned(),
        Some(action) => format!("{action:?}"),
    };
    let reason = step.reason.as_ref().map_or("-", |reason| reason.code.as_str());
    format!("{} | {action} | {reason}", step.state.phase().as_str())
}
