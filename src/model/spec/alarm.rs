//! Which CloudWatch alarms a strategy listens to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// One alarm by its name, or all alarms that have these tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AlarmSelector {
    /// The alarm of that name, metric or composite.
    Name(String),
    /// Every alarm that has all of these tags when it is looked at.
    Tagged(TaggedAlarms),
}

/// `{ tags: { KEY: VALUE } }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaggedAlarms {
    /// Values by key: the keys are ANDed, the values of one key ORed.
    pub tags: BTreeMap<String, TagValues>,
}

/// `VALUE`, or a list of them of which one must match; without any: the key with any value.
///
/// No globs, other than in scopes: CloudWatch's tags are asked for by AWS's own filters, which know none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TagValues {
    /// This one.
    One(String),
    /// Any of these.
    Any(Vec<String>),
}

impl TagValues {
    /// The values; empty for any.
    #[must_use]
    pub fn values(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Any(values) => values,
        }
    }
}

impl fmt::Display for TaggedAlarms {
    /// `service=payments,team=a|b,owner`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (key, values)) in self.tags.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match values.values() {
                [] => write!(f, "{comma}{key}")?,
                values => write!(f, "{comma}{key}={}", values.join("|"))?,
            }
        }
        Ok(())
    }
}

// By hand: the shape of a string *or* an object in one, so that whoever reads a manifest is told of both at once.
impl JsonSchema for AlarmSelector {
    fn schema_name() -> Cow<'static, str> {
        "AlarmSelector".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The name of an alarm, or `tags` that alarms have.",
            "type": ["string", "object"],
            "properties": {
                "tags": {
                    "description": "Every alarm with all of these tags, by key: a value, a list of which one must match, or `[]` for any.",
                    "type": "object",
                    "additionalProperties": { "type": ["string", "array"], "items": json!({ "type": "string" }) },
                },
            },
            "required": ["tags"],
            "additionalProperties": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: serde_json::Value, said: &str) {
        let read: AlarmSelector = serde_json::from_value(written.clone()).unwrap();
        let told = match &read {
            AlarmSelector::Name(name) => name.clone(),
            AlarmSelector::Tagged(tagged) => tagged.to_string(),
        };
        assert_eq!((told.as_str(), serde_json::to_value(&read).unwrap()), (said, written));
    }

    #[test]
    fn an_alarm_is_named_or_chosen_by_its_tags_and_kept_as_it_was_written() {
        check(json!("payments-5xx"), "payments-5xx");
        check(json!({ "tags": { "service": "payments" } }), "service=payments");
        check(json!({ "tags": { "team": ["a", "b"], "owner": [] } }), "owner,team=a|b");
        for wrong in [json!(1), json!({}), json!({ "tags": {}, "names": [] }), json!({ "tags": { "a": 1 } })] {
            assert!(serde_json::from_value::<AlarmSelector>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
