//! A small world and the words to play with it.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{SimError, World, WorldConfig};
use crate::model::Timestamp;

pub(super) struct Stage {
    pub(super) world: World,
    pub(super) now: Timestamp,
}

pub(super) fn start() -> Timestamp {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

impl Stage {
    /// One cluster, `prod`, and no throttling.
    pub(super) fn new() -> Self {
        Self::with(WorldConfig { throttle_percent: 0, ..WorldConfig::default() })
    }

    pub(super) fn with(config: WorldConfig) -> Self {
        let mut stage = Self { world: World::new(config, start()), now: start() };
        stage.ok("CreateCluster", json!({ "clusterName": "prod" }));
        stage
    }

    pub(super) fn call(&mut self, operation: &str, input: Value) -> Result<Value, SimError> {
        self.world.call(self.now, operation, &input)
    }

    #[track_caller]
    pub(super) fn ok(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, input).unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    #[track_caller]
    pub(super) fn refused(&mut self, operation: &str, input: Value) -> (&'static str, String) {
        let error = self.call(operation, input).expect_err(operation);
        (error.code, error.message)
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.world.advance(self.now);
    }

    /// Registers a revision of `family` for EC2 with bridge networking, changed by `change`; its ARN.
    #[track_caller]
    pub(super) fn register(&mut self, family: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut input = json!({
            "family": family,
            "containerDefinitions": [{ "name": "app", "image": "registry.example/app:1", "memory": 128 }],
        });
        change(&mut input);
        let answer = self.ok("RegisterTaskDefinition", input);
        answer["taskDefinition"]["taskDefinitionArn"].as_str().unwrap().to_owned()
    }

    /// Creates `web` with `desired` tasks of a new family `web`, changed by `change`, and waits for it; the revision's ARN.
    #[track_caller]
    pub(super) fn web(&mut self, desired: u32, change: impl FnOnce(&mut Value)) -> String {
        let arn = self.register("web", |_| {});
        let mut input =
            json!({ "cluster": "prod", "serviceName": "web", "taskDefinition": arn, "desiredCount": desired });
        change(&mut input);
        self.ok("CreateService", input);
        self.pass(600);
        arn
    }

    /// Moves `web` to `task_definition`; the new service deployment's ARN.
    #[track_caller]
    pub(super) fn deploy(&mut self, task_definition: &str) -> String {
        let answer =
            self.ok("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": task_definition }));
        answer["service"]["currentServiceDeployment"].as_str().unwrap().to_owned()
    }

    pub(super) fn service(&mut self) -> Value {
        self.ok("DescribeServices", json!({ "cluster": "prod", "services": ["web"] }))["services"][0].take()
    }

    pub(super) fn record(&mut self, arn: &str) -> Value {
        self.ok("DescribeServiceDeployments", json!({ "serviceDeploymentArns": [arn] }))["serviceDeployments"][0].take()
    }

    /// Tasks of `web` with a desired status, described.
    pub(super) fn tasks(&mut self, desired: &str) -> Vec<Value> {
        let query = json!({ "cluster": "prod", "serviceName": "web", "desiredStatus": desired });
        let arns = self.ok("ListTasks", query)["taskArns"].take();
        if arns.as_array().unwrap().is_empty() {
            return Vec::new();
        }
        self.ok("DescribeTasks", json!({ "cluster": "prod", "tasks": arns }))["tasks"].as_array().unwrap().clone()
    }

    pub(super) fn misbehave(&mut self, rule: Value) {
        self.world.misbehave(serde_json::from_value(rule).unwrap());
    }

    /// Whether an event of `web` says `text`.
    pub(super) fn heard(&mut self, text: &str) -> bool {
        let service = self.service();
        let events = service["events"].as_array().unwrap();
        events.iter().any(|event| event["message"].as_str().unwrap().contains(text))
    }
}

/// The AWS SDKs' `services_stable` waiter, word for word (botocore, waiters-2.json).
pub(super) fn services_stable(service: &Value) -> bool {
    service["deployments"].as_array().unwrap().len() == 1 && service["runningCount"] == service["desiredCount"]
}
