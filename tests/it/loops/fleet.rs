//! A fleet on somebody's server: one service for each task definition, and what the server says of it before and after.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll::ports::ecs::{Ecs, Operation};
use serde_json::{Map, Value, json};

use super::documents::Document;
use super::wire;
use crate::peers::Peer;

/// Clusters that the services are spread over.
const CLUSTERS: [&str; 3] = ["prod-a", "prod-b", "dev"];

/// How many tasks each service runs, where nothing else is said.
const TASKS: usize = 2;

/// A fleet, and what the server would not take into it.
pub(crate) struct Fleet {
    endpoint: String,
    /// How many tasks each service that is deployed from now on is to run.
    pub(crate) tasks: usize,
    families: BTreeSet<String>,
    pub(crate) services: Vec<Deployed>,
    /// In sentences.
    pub(crate) refused: Vec<String>,
}

/// A service that the server took.
pub(crate) struct Deployed {
    pub(crate) cluster: &'static str,
    pub(crate) arn: String,
}

/// What a server says of one service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// DescribeServices, with tags.
    pub(crate) service: Value,
    /// DescribeTaskDefinition of the revision it names, with tags.
    pub(crate) definition: Value,
    /// The revision of each task that is to run, sorted.
    pub(crate) runs: Vec<String>,
}

impl Seen {
    /// The revision that the service names.
    pub(crate) fn revision(&self) -> &str {
        self.service["taskDefinition"].as_str().unwrap()
    }

    /// What the service says of itself, without what a deployment changes.
    pub(crate) fn settings(&self) -> Value {
        let mut service = self.service.clone();
        for member in ["taskDefinition", "deployments", "events", "runningCount", "pendingCount"] {
            service.as_object_mut().unwrap().shift_remove(member);
        }
        service
    }

    /// The document without what the server makes of it by itself: numbers and times, and its words for nothing.
    pub(crate) fn document(&self) -> Map<String, Value> {
        let mut document = self.definition["taskDefinition"].as_object().unwrap().clone();
        for member in ["taskDefinitionArn", "revision", "registeredAt"] {
            document.shift_remove(member);
        }
        let nothing = |name: &str, value: &Value| match name {
            "pidMode" | "ipcMode" | "taskRoleArn" | "executionRoleArn" => value == "",
            "networkMode" => value == "bridge",
            _ => false,
        };
        document.retain(|name, value| !value.is_null() && !nothing(name, value));
        document
    }
}

impl Fleet {
    /// Nothing but clusters.
    pub(crate) async fn empty(peer: &Peer) -> Self {
        let (families, services, refused) = Default::default();
        let fleet = Self { endpoint: peer.endpoint(), tasks: TASKS, families, services, refused };
        let insights = json!([{ "name": "containerInsights", "value": "enabled" }]);
        for name in CLUSTERS {
            fleet.call("CreateCluster", json!({ "clusterName": name, "settings": insights })).await.unwrap();
        }
        fleet
    }

    /// A service for each document. Families that two documents share, or that ECS would not take, are told apart.
    pub(crate) async fn deploy(&mut self, documents: &[Document]) {
        for (number, document) in documents.iter().enumerate() {
            let mut input = document.input.clone();
            let name = name_of(&input, &document.file, &mut self.families);
            input.insert("family".to_owned(), json!(name));
            let registered = match self.call("RegisterTaskDefinition", Value::Object(input.clone())).await {
                Ok(answer) => answer["taskDefinition"]["taskDefinitionArn"].clone(),
                Err(why) => {
                    self.refused.push(format!("{}: {why}", document.file));
                    continue;
                }
            };
            let cluster = CLUSTERS[number % CLUSTERS.len()];
            let mut service = service_of(&input, cluster, &name, &registered, number);
            service["desiredCount"] = json!(self.tasks);
            match self.call("CreateService", service).await {
                Ok(answer) => self
                    .services
                    .push(Deployed { cluster, arn: answer["service"]["serviceArn"].as_str().unwrap().to_owned() }),
                Err(why) => {
                    self.refused.push(format!("{}: {why}", document.file));
                    // ministack may fall over a document after it has made the service.
                    let service = json!({ "cluster": cluster, "service": name, "force": true });
                    let _ = self.call("DeleteService", service).await;
                }
            }
        }
    }

    /// One call of set-up.
    pub(crate) async fn call(&self, operation: &str, input: Value) -> Result<Value, String> {
        wire::call(&self.endpoint, operation, &input).await
    }

    /// What the server says of every service, by ARN. `ecs` is no client of the tests': its numbers arrive as written.
    pub(crate) async fn look(&self, ecs: &dyn Ecs) -> BTreeMap<String, Seen> {
        let mut seen = BTreeMap::new();
        for Deployed { cluster, arn, .. } in &self.services {
            let call = |operation, input| async move { ecs.call(operation, input).await.unwrap() };
            let services = json!({ "cluster": cluster, "services": [arn], "include": ["TAGS"] });
            let service = call(Operation::DescribeServices, services).await["services"][0].clone();
            let definition = json!({ "taskDefinition": service["taskDefinition"], "include": ["TAGS"] });
            let definition = call(Operation::DescribeTaskDefinition, definition).await;
            let tasks = json!({ "cluster": cluster, "serviceName": arn.rsplit('/').next().unwrap() });
            let tasks = call(Operation::ListTasks, tasks).await["taskArns"].clone();
            let mut runs = Vec::new();
            if tasks.as_array().is_some_and(|tasks| !tasks.is_empty()) {
                let tasks = call(Operation::DescribeTasks, json!({ "cluster": cluster, "tasks": tasks })).await;
                let tasks = tasks["tasks"].as_array().unwrap().iter();
                runs.extend(tasks.map(|task| task["taskDefinitionArn"].as_str().unwrap().to_owned()));
            }
            runs.sort();
            seen.insert(arn.clone(), Seen { service, definition, runs });
        }
        seen
    }
}

/// What every service runs that stands at `revision`.
pub(crate) fn all_on(revision: &str) -> Vec<String> {
    vec![revision.to_owned(); TASKS]
}

fn name_of(input: &Map<String, Value>, file: &str, taken: &mut BTreeSet<String>) -> String {
    let family = input.get("family").and_then(Value::as_str).unwrap_or(file.trim_end_matches(".json"));
    // "Up to 255 letters (uppercase and lowercase), numbers, underscores, and hyphens are allowed."
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let mut name: String = family.chars().map(|letter| if allowed(letter) { letter } else { '-' }).collect();
    while !taken.insert(name.clone()) {
        name.push_str("-again");
    }
    name
}

/// Services as different as their task definitions.
fn service_of(input: &Map<String, Value>, cluster: &str, name: &str, revision: &Value, number: usize) -> Value {
    let text = |member: &str| input.get(member).map(Value::to_string).unwrap_or_default();
    let fargate = text("requiresCompatibilities").contains("FARGATE");
    let team = ["shop", "платформа", ""][number % 3];
    let mut service = json!({
        "cluster": cluster, "serviceName": name, "taskDefinition": revision,
        "launchType": if fargate { "FARGATE" } else { "EC2" },
        "tags": [{ "key": "team", "value": team }, { "key": "number", "value": number.to_string() }],
        "propagateTags": "SERVICE", "enableECSManagedTags": true,
    });
    let members = service.as_object_mut().unwrap();
    if text("networkMode").contains("awsvpc") {
        let network =
            json!({ "subnets": ["subnet-1", "subnet-2"], "securityGroups": [], "assignPublicIp": "DISABLED" });
        members.insert("networkConfiguration".to_owned(), json!({ "awsvpcConfiguration": network }));
    }
    if number.is_multiple_of(2) {
        let breaker = json!({ "enable": true, "rollback": number.is_multiple_of(4) });
        let configuration =
            json!({ "minimumHealthyPercent": 50, "maximumPercent": 150, "deploymentCircuitBreaker": breaker });
        members.insert("deploymentConfiguration".to_owned(), configuration);
    }
    service
}
