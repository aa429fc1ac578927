//! A small world to tell stories in: one account, a fleet, policies, a controller, and time that passes when asked.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::controller::reconcile::Depth;
use plimsoll::controller::{Controller, Parts, PassReport, Settings};
use plimsoll::embedded::EmbeddedStore;
use plimsoll::manifest;
use plimsoll::model::spec::Kind;
use plimsoll::model::{TargetId, TaskDefinitionArn, Timestamp, wire};
use plimsoll::ports::Clock;
use plimsoll::records::campaign::{Campaign, Campaigns};
use plimsoll::records::command::{Answer, Ask, Command, Commands};
use plimsoll::records::configuration::{Application, Configurations};
use plimsoll::records::events::{self, Event, Events};
use plimsoll::rollout::command::Request;
use plimsoll::sim::{SimAlarms, SimEcs, VirtualClock, World, WorldConfig};
use serde_json::{Value, json};

/// When every story begins.
pub(crate) const START: &str = "2026-01-05T09:00:00Z";

pub(crate) struct Story {
    pub(crate) ecs: Arc<SimEcs>,
    pub(crate) alarms: Arc<SimAlarms>,
    pub(crate) store: Arc<EmbeddedStore>,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) controller: Controller,
    target: TargetId,
    asked: usize,
}

impl Story {
    pub(crate) fn begin() -> Self {
        Self::with(WorldConfig { throttle_percent: 0, ..WorldConfig::default() })
    }

    pub(crate) fn with(config: WorldConfig) -> Self {
        let start: Timestamp = START.parse().unwrap();
        let clock = Arc::new(VirtualClock::instant(start));
        let target = TargetId { account: config.account.clone(), region: config.region.clone() };
        let ecs = Arc::new(SimEcs::of(World::new(config, start), clock.clone()));
        let store = Arc::new(EmbeddedStore::in_memory().unwrap());
        let alarms = Arc::new(ecs.alarms());
        let parts = Parts { ecs: ecs.clone(), alarms: alarms.clone(), store: store.clone(), clock: clock.clone() };
        let controller = Controller::new(parts, settings(&target, "one"));
        Self { ecs, alarms, store, clock, controller, target, asked: 0 }
    }

    /// Another controller on the same world and store, as after a crash of the first.
    pub(crate) fn another_controller(&self, holder: &str) -> Controller {
        let Self { ecs, alarms, store, clock, .. } = self;
        let parts = Parts { ecs: ecs.clone(), alarms: alarms.clone(), store: store.clone(), clock: clock.clone() };
        Controller::new(parts, settings(&self.target, holder))
    }

    pub(crate) fn call(&self, operation: &str, input: Value) -> Value {
        let now = self.clock.now();
        self.ecs.world().call(now, operation, &input).unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    }

    pub(crate) fn cluster(&self, name: &str) {
        self.call(
            "CreateCluster",
            json!({ "clusterName": name, "settings": [{ "name": "containerInsights", "value": "enabled" }] }),
        );
    }

    pub(crate) fn register(&self, document: Value) -> String {
        let made = self.call("RegisterTaskDefinition", document);
        made["taskDefinition"]["taskDefinitionArn"].as_str().unwrap().to_owned()
    }

    /// A service of two tasks on EC2 whose task definition shares the host's process namespace.
    pub(crate) fn violating_service(&self, cluster: &str, name: &str) -> String {
        let revision = self.register(host_pid(name));
        self.service(cluster, name, &revision, json!({}));
        revision
    }

    pub(crate) fn service(&self, cluster: &str, name: &str, revision: &str, more: Value) {
        let mut input = json!({ "cluster": cluster, "serviceName": name, "taskDefinition": revision, "desiredCount": 2, "launchType": "EC2" });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call("CreateService", input);
    }

    pub(crate) async fn apply(&self, yaml: &str) {
        let objects = manifest::parse("story.yaml", yaml).unwrap_or_else(|found| panic!("{found:#?}"));
        let objects = objects.into_iter().map(|sourced| sourced.object).collect();
        let application = Application { objects, ..Application::default() };
        Configurations::of(self.store.as_ref()).apply(&application, self.clock.now(), false).await.unwrap();
    }

    pub(crate) async fn delete(&self, kind: Kind, name: &str) {
        let application = Application { delete: vec![(kind, name.to_owned())], ..Application::default() };
        Configurations::of(self.store.as_ref()).apply(&application, self.clock.now(), false).await.unwrap();
    }

    pub(crate) async fn pass(&mut self) -> PassReport {
        self.controller
            .pass(Depth::Full)
            .await
            .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)))
    }

    /// Passes, fifteen seconds apart, for so long.
    pub(crate) async fn passes_for(&mut self, seconds: u64) -> PassReport {
        let mut last = self.pass().await;
        for _ in 0..seconds / 15 {
            self.clock.advance(Duration::from_secs(15));
            last = self.pass().await;
        }
        last
    }

    pub(crate) fn settle(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn ask(&mut self, rollout: &str, request: Request) -> String {
        self.asked += 1;
        let id = format!("{:04}", self.asked);
        let ask = Ask::Rollout { name: rollout.to_owned(), request };
        let command =
            Command { id: id.clone(), ask, by: "arn:aws:iam::123456789012:user/alex".to_owned(), at: self.clock.now() };
        Commands::of(self.store.as_ref(), &self.target).ask(&command).await.unwrap();
        id
    }

    pub(crate) async fn answer(&self, id: &str) -> Option<Answer> {
        Commands::of(self.store.as_ref(), &self.target).answer(id).await.unwrap()
    }

    pub(crate) async fn campaign(&self, rollout: &str) -> Campaign {
        Campaigns::of(self.store.as_ref(), &self.target)
            .campaign(rollout)
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("no rollout {rollout}"))
    }

    pub(crate) async fn phases(&self, rollout: &str) -> (String, Vec<(String, String)>) {
        let campaign = self.campaign(rollout).await;
        let changes = campaign.changes.iter().map(|change| {
            (change.value.spec.resource.short().to_owned(), change.value.state.phase().as_str().to_owned())
        });
        (campaign.rollout.value.state.phase().to_owned(), changes.collect())
    }

    pub(crate) async fn events(&self) -> Vec<Event> {
        let events = Events::of(self.store.as_ref(), &self.target).list("").await.unwrap();
        assert_eq!(events::verify(&events), []);
        events
    }

    /// What a service's running tasks run, as `FAMILY:REVISION`, sorted.
    pub(crate) fn runs(&self, cluster: &str, service: &str) -> Vec<String> {
        let listed = self.call("ListTasks", json!({ "cluster": cluster, "serviceName": service }));
        if listed["taskArns"].as_array().unwrap().is_empty() {
            return vec![];
        }
        let described = self.call("DescribeTasks", json!({ "cluster": cluster, "tasks": listed["taskArns"] }));
        let running = described["tasks"].as_array().unwrap().iter().filter(|task| task["lastStatus"] == "RUNNING");
        let mut revisions: Vec<String> = running
            .map(|task| {
                task["taskDefinitionArn"].as_str().unwrap().parse::<TaskDefinitionArn>().unwrap().short().to_owned()
            })
            .collect();
        revisions.sort();
        revisions
    }

    pub(crate) fn task_definition(&self, name: &str) -> Value {
        self.call("DescribeTaskDefinition", json!({ "taskDefinition": name, "include": ["TAGS"] }))
    }

    pub(crate) fn status_of(&self, name: &str) -> String {
        wire::task_definition(&self.task_definition(name)).unwrap().status
    }

    /// Calls that changed something in ECS since `calls` were last forgotten, by name.
    pub(crate) fn writes(&self) -> Vec<String> {
        let calls = self.ecs.calls();
        calls.iter().filter(|call| call.operation.writes()).map(|call| call.operation.as_str().to_owned()).collect()
    }
}

pub(crate) fn settings(target: &TargetId, holder: &str) -> Settings {
    Settings {
        target: target.clone(),
        caller: WorldConfig::default().caller,
        holder: holder.to_owned(),
        lease: Duration::from_secs(30),
        call_timeout: Duration::from_secs(2),
        resync: Some(Duration::from_secs(60)),
        poll: Duration::from_secs(15),
        allow_edit: vec![],
    }
}

/// A task definition that shares the host's process namespace, with oddities that must survive.
pub(crate) fn host_pid(family: &str) -> Value {
    json!({
        "family": family,
        "pidMode": "host",
        "networkMode": "bridge",
        "containerDefinitions": [{
            "name": "app", "image": "registry.example.com/app:1.2.3", "memory": 128, "essential": true,
            "environment": [{ "name": "EMPTY", "value": "" }],
            "dockerLabels": { "com.example.odd": "" },
        }],
        "tags": [{ "key": "team", "value": "payments" }, { "key": "empty", "value": "" }],
    })
}

/// A policy against the host's process namespace, enforced everywhere.
pub(crate) const NO_HOST_PID: &str = r#"
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: no-host-pid }
spec:
  title: No host process namespace
  severity: high
  resource: TaskDefinition
  checks:
    - name: pid-mode
      require: "taskDefinition.?pidMode.orValue('') != 'host'"
      message: "the task shares the host's process namespace"
      fix: [{ edits: [{ remove: /pidMode }] }]
---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: enforce-no-host-pid }
spec: { policies: [no-host-pid], enforcement: enforce }
"#;
