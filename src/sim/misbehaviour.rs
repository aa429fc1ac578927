//! What the code behind a task definition does, as data: nobody can read it off the task definition. Knows no service.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::Span;

/// Tasks of `family` do not do well when their task definition looks like `when`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Misbehaviour {
    /// The family, or with a `*` at the end all families that start so.
    pub family: String,
    /// All of these must hold; without any it is always so.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// What such a task does.
    pub effect: Effect,
}

/// What one place of a task definition must look like. `*` stands for every element of a list; one of them suffices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Condition {
    /// A JSON Pointer.
    pub pointer: String,
    /// What must be there; absent: nothing, or `null`.
    #[serde(default)]
    pub equals: Option<Value>,
    /// Whether it must *not* be so.
    #[serde(default)]
    pub not: bool,
}

/// What a misbehaving task does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// It exits before it is RUNNING: ECS counts it as failed.
    CrashOnStart,
    /// The same, and ECS passes on what the runtime said, which may quote anything of the task definition.
    CannotStart(String),
    /// It exits so long after it was RUNNING: ECS does not count it, and `failedTasks` stays 0 (aws/copilot-cli#1879).
    CrashAfter(Span),
    /// Its health checks never pass. Where nothing checks it, nobody notices.
    NeverHealthy,
    /// Its health checks pass, and so long after that they fail. Where nothing checks it, nobody notices.
    FailHealthAfter(Span),
    /// It never leaves PROVISIONING (or PENDING, without a network interface of its own).
    StuckProvisioning,
}

impl Misbehaviour {
    /// Whether tasks of `family` with `document` behave so.
    pub(super) fn applies(&self, family: &str, document: &Map<String, Value>) -> bool {
        let named = match self.family.strip_suffix('*') {
            Some(start) => family.starts_with(start),
            None => family == self.family,
        };
        named && self.when.iter().all(|condition| condition.holds(document))
    }
}

impl Condition {
    fn holds(&self, document: &Map<String, Value>) -> bool {
        let path: Vec<String> =
            self.pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
        let found = match path.split_first() {
            None => false,
            Some((first, rest)) => self.matches_at(document.get(first), rest),
        };
        found != self.not
    }

    fn matches_at(&self, node: Option<&Value>, path: &[String]) -> bool {
        let Some((first, rest)) = path.split_first() else {
            return node.filter(|value| !value.is_null()) == self.equals.as_ref();
        };
        match node {
            Some(Value::Array(elements)) if first == "*" => {
                elements.iter().any(|element| self.matches_at(Some(element), rest))
            }
            Some(Value::Array(elements)) => {
                self.matches_at(first.parse().ok().and_then(|place: usize| elements.get(place)), rest)
            }
            Some(Value::Object(members)) => self.matches_at(members.get(first), rest),
            _ => self.equals.is_none(),
        }
    }
}

/// What becomes of a task, as its effect says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Well,
    CrashOnStart,
    CrashAfter(Duration),
    NeverHealthy,
    FailHealthAfter(Duration),
    Stuck,
}

/// The fate of a task: that of the first rule that applies. And what the runtime says of it.
pub(super) fn fate(rules: &[Misbehaviour], family: &str, document: &Map<String, Value>) -> (Fate, Option<String>) {
    let fate = match rules.iter().find(|rule| rule.applies(family, document)).map(|rule| &rule.effect) {
        None => Fate::Well,
        Some(Effect::CrashOnStart) => Fate::CrashOnStart,
        Some(Effect::CannotStart(words)) => return (Fate::CrashOnStart, Some(words.clone())),
        Some(Effect::CrashAfter(Span(length))) => Fate::CrashAfter(*length),
        Some(Effect::NeverHealthy) => Fate::NeverHealthy,
        Some(Effect::FailHealthAfter(Span(length))) => Fate::FailHealthAfter(*length),
        Some(Effect::StuckProvisioning) => Fate::Stuck,
    };
    (fate, None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(rule: Value, document: Value, expected: bool) {
        let rule: Misbehaviour = serde_json::from_value(rule).unwrap();
        assert_eq!(rule.applies("payments", document.as_object().unwrap()), expected, "{rule:?}");
    }

    #[test]
    fn a_rule_applies_where_all_its_conditions_hold() {
        let rule = |condition: Value| json!({ "family": "payments", "when": [condition], "effect": "crashOnStart" });
        let readonly = json!({ "pointer": "/containerDefinitions/*/readonlyRootFilesystem", "equals": true });
        let one = json!({ "containerDefinitions": [{}, { "readonlyRootFilesystem": true }] });
        check(rule(readonly.clone()), one, true);
        check(rule(readonly), json!({ "containerDefinitions": [{}] }), false);
        check(rule(json!({ "pointer": "/pidMode" })), json!({}), true);
        check(rule(json!({ "pointer": "/pidMode" })), json!({ "pidMode": "host" }), false);
        check(
            rule(json!({ "pointer": "/pidMode", "equals": "host", "not": true })),
            json!({ "pidMode": "task" }),
            true,
        );
        check(json!({ "family": "pay*", "effect": { "crashAfter": "10s" } }), json!({}), true);
        check(json!({ "family": "other", "effect": "neverHealthy" }), json!({}), false);
    }
}
