//! A world as data: the calls that make it, what misbehaves in it, and what others are going to do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::{Misbehaviour, SimError, World, WorldConfig};
use crate::model::{Span, Timestamp};

/// A world to be built. Everything but `start` may be left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Scenario {
    /// What time it is once it has been built.
    pub start: Timestamp,
    /// How it behaves. Building it is not throttled.
    #[serde(default)]
    pub config: WorldConfig,
    /// The calls that make it, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Container instances by cluster.
    #[serde(default)]
    pub instances: BTreeMap<String, u32>,
    /// Tags that only AWS can write.
    #[serde(default)]
    pub stamps: Vec<Stamp>,
    /// Members that only AWS or other tools can write, by task definition.
    #[serde(default)]
    pub planted: BTreeMap<String, Map<String, Value>>,
    /// Which digest each image stands for, where it matters.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    /// How long it runs before `start`, so that its deployments are done.
    #[serde(default = "an_hour")]
    pub age: Span,
    /// Calls that others make at `start` and later.
    #[serde(default)]
    pub later: Vec<Later>,
    /// What does not do well: from `start` on.
    #[serde(default)]
    pub misbehaviours: Vec<Misbehaviour>,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Step {
    /// Its name in the API.
    pub operation: String,
    /// Its input.
    pub input: Value,
}

/// One call of somebody else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Later {
    /// How long after the start.
    pub after: Span,
    /// Its name in the API.
    pub operation: String,
    /// Its input.
    pub input: Value,
}

/// Tags of one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Stamp {
    /// Its ARN.
    pub arn: String,
    /// Key and value.
    pub tags: BTreeMap<String, String>,
}

/// A world could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {number}, `{operation}`, was refused")]
pub struct ScenarioError {
    /// Counts from 0.
    pub number: usize,
    /// What was asked.
    pub operation: String,
    /// Why it was not done.
    #[source]
    pub source: SimError,
}

fn an_hour() -> Span {
    Span::from_secs(3600)
}

impl Scenario {
    /// Builds the world; its time is `start` then.
    ///
    /// # Errors
    /// When one of its steps is refused.
    pub fn build(&self) -> Result<World, ScenarioError> {
        let WorldConfig { throttle_percent, read_lag, .. } = self.config;
        let quiet = WorldConfig { throttle_percent: 0, read_lag: std::time::Duration::ZERO, ..self.config.clone() };
        let before = self.start - self.age.0;
        let mut world = World::new(quiet, before);
        for (image, digest) in &self.images {
            world.move_image(image, digest);
        }
        for (number, step) in self.steps.iter().enumerate() {
            world.call(before, &step.operation, &step.input).map_err(|source| ScenarioError {
                number,
                operation: step.operation.clone(),
                source,
            })?;
            // A cluster's instances are there before its services are.
            if let ("CreateCluster", Some(name)) = (step.operation.as_str(), step.input.get("clusterName")) {
                let name = name.as_str().unwrap_or_default();
                if let Some(count) = self.instances.get(name) {
                    world.set_instances(name, *count);
                }
            }
        }
        for stamp in &self.stamps {
            let tags: Vec<(&str, &str)> =
                stamp.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            world.stamp_tags(&stamp.arn, &tags);
        }
        for (task_definition, members) in &self.planted {
            world.plant(task_definition, members.clone());
        }
        world.advance(self.start);
        for rule in &self.misbehaviours {
            world.misbehave(rule.clone());
        }
        for call in &self.later {
            world.call_later(self.start + call.after.0, &call.operation, call.input.clone());
        }
        // What others do at the very start has happened when it starts.
        world.advance(self.start);
        world.set_throttling(throttle_percent);
        world.set_read_lag(read_lag);
        Ok(world)
    }
}
