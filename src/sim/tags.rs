//! Tags, and the three calls about them. Does not know what is tagged.

use serde_json::{Value, json};

use super::error::SimError;
use super::input::Input;
use super::names::Resource;
use super::state::State;

/// In the order in which they were first set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tags(Vec<(String, String)>);

/// Tags whose keys begin so, in any case, are AWS's own: they can neither be set nor deleted, and do not count to the
/// limit (`Tag`).
fn is_reserved(text: &str) -> bool {
    text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
}

impl Tags {
    /// Reads a `tags` member.
    ///
    /// # Errors
    /// When there are more than 50, or one is too long or AWS's own (`Tag`).
    pub(super) fn parse(list: &[Value]) -> Result<Self, SimError> {
        let mut tags = Self::default();
        for tag in list {
            let part = |name: &str| match tag.get(name) {
                None | Some(Value::Null) => Ok(""),
                Some(Value::String(text)) => Ok(text.as_str()),
                Some(_) => Err(SimError::new("SerializationException", "tags: strings expected")),
            };
            let (key, value) = (part("key")?, part("value")?);
            if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
                return Err(SimError::invalid("Tag key must have 1 to 128 characters, and tag value at most 256."));
            }
            if is_reserved(key) || is_reserved(value) {
                return Err(SimError::invalid("Tag keys and values must not start with aws:, which is reserved."));
            }
            if tags.get(key).is_some() {
                return Err(SimError::invalid(
                    "Duplicate tag keys found. Please note that Tag keys are case sensitive.",
                ));
            }
            tags.write(key, value);
        }
        tags.check_count()?;
        Ok(tags)
    }

    fn check_count(&self) -> Result<(), SimError> {
        match self.0.iter().filter(|(key, _)| !is_reserved(key)).count() {
            0..=50 => Ok(()),
            count => Err(SimError::invalid(format!("Too many tags: {count}. A resource can have at most 50."))),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn write(&mut self, key: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((key.to_owned(), value.to_owned())),
        }
    }

    fn merge(&mut self, other: Self) -> Result<(), SimError> {
        let mut merged = self.clone();
        for (key, value) in &other.0 {
            merged.write(key, value);
        }
        merged.check_count()?;
        *self = merged;
        Ok(())
    }

    /// With what `enableECSManagedTags` adds to tasks.
    pub(super) fn with_managed(mut self, cluster: &str, service: &str) -> Self {
        self.write("aws:ecs:clusterName", cluster);
        self.write("aws:ecs:serviceName", service);
        self
    }

    pub(super) fn to_value(&self) -> Value {
        self.0.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
    }
}

impl State {
    pub(super) fn tag_resource(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let arn = input.need_text("resourceArn")?;
        let tags = Tags::parse(input.list("tags")?.unwrap_or_default())?;
        self.tags_of_mut(arn)?.merge(tags)?;
        Ok(json!({}))
    }

    pub(super) fn untag_resource(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let arn = input.need_text("resourceArn")?;
        let keys = input.texts("tagKeys")?;
        if keys.iter().any(|key| is_reserved(key)) {
            return Err(SimError::invalid("Tags that start with aws: cannot be removed."));
        }
        self.tags_of_mut(arn)?.0.retain(|(key, _)| !keys.contains(&key.as_str()));
        Ok(json!({}))
    }

    pub(super) fn list_tags_for_resource(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let tags = self.tags_of(input.need_text("resourceArn")?).ok_or_else(not_found)?;
        Ok(json!({ "tags": tags.to_value() }))
    }

    /// Writes tags past all rules: what AWS itself does.
    pub(super) fn stamp_tags(&mut self, arn: &str, stamped: Vec<(String, String)>) {
        if let Ok(tags) = self.tags_of_mut(arn) {
            for (key, value) in stamped {
                tags.write(&key, &value);
            }
        }
    }

    fn tags_of(&self, arn: &str) -> Option<&Tags> {
        match Resource::parse(arn).ok()? {
            Resource::Cluster(name) => self.clusters.get(name).map(|cluster| &cluster.tags),
            Resource::Service { cluster, service } => {
                self.clusters.get(cluster)?.services.get(service).map(|service| &service.tags)
            }
            Resource::TaskDefinition { family, revision } => {
                self.families.get(family)?.revisions.get(&revision).map(|revision| &revision.tags)
            }
            Resource::Task { cluster, task } => self.clusters.get(cluster)?.task(task).map(|task| &task.tags),
        }
    }

    fn tags_of_mut(&mut self, arn: &str) -> Result<&mut Tags, SimError> {
        let found = match Resource::parse(arn)? {
            Resource::Cluster(name) => self.clusters.get_mut(name).map(|cluster| &mut cluster.tags),
            Resource::Service { cluster, service } => self
                .clusters
                .get_mut(cluster)
                .and_then(|cluster| cluster.services.get_mut(service))
                .map(|service| &mut service.tags),
            Resource::TaskDefinition { family, revision } => self
                .families
                .get_mut(family)
                .and_then(|family| family.revisions.get_mut(&revision))
                .map(|revision| &mut revision.tags),
            Resource::Task { cluster, task } => {
                self.clusters.get_mut(cluster).and_then(|cluster| cluster.task_mut(task)).map(|task| &mut task.tags)
            }
        };
        found.ok_or_else(not_found)
    }
}

fn not_found() -> SimError {
    SimError::invalid("The specified resource could not be found. Check the resource ARN and try again.")
}
