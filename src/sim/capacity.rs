//! Capacity providers: AWS's own two, and those of Auto Scaling groups. Nothing here scales.

use serde_json::{Map, Value, json};

use super::error::SimError;
use super::input::{Input, Line, page};
use super::names;
use super::state::State;
use super::tags::Tags;

/// A capacity provider of the account's own.
#[derive(Debug, Clone)]
pub(super) struct Provider {
    group: Value,
    tags: Tags,
}

/// AWS's own, in every account.
const FARGATE: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];

impl State {
    /// # Errors
    /// Where the name is AWS's, taken, or there is no Auto Scaling group.
    pub(super) fn create_capacity_provider(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let name = input.need_text("name")?;
        let legal = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
        // `CreateCapacityProviderRequest.name`
        let reserved = ["aws", "ecs", "fargate"].iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix));
        if name.is_empty() || name.len() > 255 || !name.chars().all(legal) || reserved {
            return Err(SimError::client("The specified capacity provider name is invalid."));
        }
        if self.capacity_providers.contains_key(name) {
            return Err(SimError::new("UpdateInProgressException", "The specified capacity provider already exists."));
        }
        let given = input.object("autoScalingGroupProvider")?;
        let Some(given) = given.filter(|group| group.contains_key("autoScalingGroupArn")) else {
            return Err(SimError::client("An Auto Scaling group must be specified."));
        };
        // `AutoScalingGroupProvider`: both are off unless asked for.
        let mut group = Map::new();
        group.insert("managedScaling".into(), json!({ "status": "DISABLED" }));
        group.insert("managedTerminationProtection".into(), json!("DISABLED"));
        group.extend(given.clone());
        let tags = Tags::parse(input.list("tags")?.unwrap_or_default())?;
        self.capacity_providers.insert(name.to_owned(), Provider { group: Value::Object(group), tags });
        Ok(json!({ "capacityProvider": self.show_capacity_provider(name, true) }))
    }

    /// # Errors
    /// Those of the input.
    pub(super) fn describe_capacity_providers(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let with_tags = input.includes("TAGS")?;
        let asked = input.texts("capacityProviders")?;
        if asked.len() > 100 {
            return Err(SimError::invalid("capacityProviders can have at most 100 items."));
        }
        let known = |name: &str| FARGATE.contains(&name) || self.capacity_providers.contains_key(name);
        let named: Vec<&str> = asked.iter().map(|name| name.rsplit('/').next().unwrap_or(name)).collect();
        let all = FARGATE.into_iter().chain(self.capacity_providers.keys().map(String::as_str));
        let mut lines: Vec<Line> = all
            .filter(|name| named.is_empty() || named.contains(name))
            .map(|name| (name.to_owned(), self.show_capacity_provider(name, with_tags)))
            .collect();
        lines.sort_by(|one, other| one.0.cmp(&other.0));
        // Ten a page, and no more when asked (`DescribeCapacityProvidersRequest.maxResults`).
        let mut answer = page(input, "capacityProviders", lines, false, 10, 10)?;
        let failures: Vec<Value> = named
            .iter()
            .filter(|name| !known(name))
            .map(|name| json!({ "arn": self.provider_arn(name), "reason": "MISSING" }))
            .collect();
        if let Value::Object(members) = &mut answer {
            members.insert("failures".into(), Value::Array(failures));
        }
        Ok(answer)
    }

    fn provider_arn(&self, name: &str) -> String {
        names::arn(&self.config, &format!("capacity-provider/{name}"))
    }

    fn show_capacity_provider(&self, name: &str, with_tags: bool) -> Value {
        let own = self.capacity_providers.get(name);
        let mut view = Map::new();
        view.insert("capacityProviderArn".into(), json!(self.provider_arn(name)));
        view.insert("name".into(), json!(name));
        view.insert("status".into(), json!("ACTIVE"));
        if let Some(provider) = own {
            view.insert("autoScalingGroupProvider".into(), provider.group.clone());
        }
        let tags = own.filter(|_| with_tags).map_or_else(|| json!([]), |provider| provider.tags.to_value());
        view.insert("tags".into(), tags);
        Value::Object(view)
    }
}
