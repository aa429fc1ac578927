//! A task definition as ECS's own JSON: what may be registered again, and what it is called by hash.
//!
//! Never rebuilt from typed structs: a member that this code does not know survives, or the document is refused.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::hex;
use super::observed::TaskDefinition;

/// An object with exactly this member stands for a value that cannot be known, such as an intrinsic of a template:
/// whatever reads it is unknown. Its text says why.
pub const UNRESOLVED: &str = "plimsoll:unresolved";

/// Members that DescribeTaskDefinition adds and RegisterTaskDefinition does not take
/// (computed from botocore ecs/2014-11-13; registeredAt/By broke tools in 2021: aws/aws-cli#5882).
pub const OUTPUT_ONLY: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

/// Members that both take, in identical shapes (the same source). `tags` is input only; on describe it is a sibling.
pub const SHARED: [&str; 18] = [
    "containerDefinitions",
    "cpu",
    "enableFaultInjection",
    "ephemeralStorage",
    "executionRoleArn",
    "family",
    "inferenceAccelerators",
    "ipcMode",
    "memory",
    "networkMode",
    "pidMode",
    "placementConstraints",
    "proxyConfiguration",
    "requiresCompatibilities",
    "runtimePlatform",
    "taskRoleArn",
    "trustedExecutionConfiguration",
    "volumes",
];

/// Top-level members that this version does not know: new input, or new output? Nobody can tell, so nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task definition has members that this version of plimsoll does not know: {}", members.join(", "))]
pub struct UnknownMembers {
    /// Their names.
    pub members: Vec<String>,
}

/// What RegisterTaskDefinition would have to be given to make this revision again: the nine output-only members gone,
/// `tags` (but not `aws:*`) back in, everything else as it is and in its order.
///
/// # Errors
/// [`UnknownMembers`], where a top-level member is neither output-only nor known input.
pub fn register_input(definition: &TaskDefinition) -> Result<Map<String, Value>, UnknownMembers> {
    known_members(definition)?;
    let members = but_tags(definition).filter(|(name, value)| is_input(name, value));
    let input = members.map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(with_tags(input, definition.tags().to_vec()))
}

/// The same of a document of one's own, with the tags beside it.
///
/// # Errors
/// As [`register_input`].
pub fn register_input_of(
    mut document: Map<String, Value>,
    tags: Vec<Value>,
) -> Result<Map<String, Value>, UnknownMembers> {
    no_unknown(document.keys())?;
    document.retain(|name, value| is_input(name, value));
    Ok(with_tags(document, tags))
}

/// Whether [`register_input`] would have it, for whoever does not need the copy.
///
/// # Errors
/// As [`register_input`].
pub fn known_members(definition: &TaskDefinition) -> Result<(), UnknownMembers> {
    no_unknown(but_tags(definition).map(|(name, _)| name))
}

/// The tags stand among its members. What is called so and is no list of them is none that we know.
fn but_tags(definition: &TaskDefinition) -> impl Iterator<Item = (&String, &Value)> {
    definition.members().iter().filter(|(name, value)| *name != "tags" || !value.is_array())
}

fn no_unknown<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), UnknownMembers> {
    let known = |name: &str| OUTPUT_ONLY.contains(&name) || SHARED.contains(&name);
    let members: Vec<String> = names.filter(|name| !known(name)).cloned().collect();
    if members.is_empty() { Ok(()) } else { Err(UnknownMembers { members }) }
}

fn is_input(name: &str, value: &Value) -> bool {
    !OUTPUT_ONLY.contains(&name) && !value.is_null()
}

fn with_tags(mut input: Map<String, Value>, mut tags: Vec<Value>) -> Map<String, Value> {
    tags.retain(|tag| !is_reserved(tag));
    if !tags.is_empty() {
        input.insert("tags".to_owned(), Value::Array(tags));
    }
    input
}

/// Keys that begin with `aws:` in any case are AWS's own: they can be read, never set.
fn is_reserved(tag: &Value) -> bool {
    let key = tag.get("key").and_then(Value::as_str).unwrap_or("");
    key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
}

/// The hash that a document is kept and compared by: `sha256:` and 64 hex digits, of its JSON with members sorted.
///
/// Guarantees: member order does not matter, list order does.
#[must_use]
pub fn hash(document: &Value) -> String {
    let mut text = String::new();
    canonical(document, &mut text);
    format!("sha256:{}", hex(&Sha256::digest(text.as_bytes())))
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| name.as_str());
            text.push('{');
            for (name, member) in sorted {
                text.push_str(&Value::String(name.clone()).to_string());
                text.push(':');
                canonical(member, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(list) => {
            text.push('[');
            for element in list {
                canonical(element, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described(document: Value, tags: Value) -> TaskDefinition {
        let answer = json!({ "taskDefinition": document, "tags": tags });
        crate::model::wire::task_definition(&answer).unwrap()
    }

    #[test]
    fn exactly_the_output_only_members_go_and_everything_else_stays_in_order() {
        let definition = described(
            json!({
                "taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/web:1", "revision": 1, "status": "ACTIVE",
                "family": "web", "containerDefinitions": [{ "image": "", "name": "app", "newMember": { "deep": [] } }],
                "requiresAttributes": [], "compatibilities": ["EC2"], "registeredAt": 1.0, "registeredBy": "x", "cpu": "256",
            }),
            json!([{ "key": "team", "value": "" }, { "key": "AWS:cloudformation:stack-id", "value": "s" }]),
        );
        let input = register_input(&definition).unwrap();
        assert_eq!(
            serde_json::to_string(&input).unwrap(),
            r#"{"family":"web","containerDefinitions":[{"image":"","name":"app","newMember":{"deep":[]}}],"cpu":"256","tags":[{"key":"team","value":""}]}"#
        );
    }

    #[test]
    fn an_unknown_top_level_member_is_refused_by_name() {
        let definition = described(
            json!({ "taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/web:1", "family": "web", "mood": 1 }),
            json!([]),
        );
        assert_eq!(register_input(&definition), Err(UnknownMembers { members: vec!["mood".to_owned()] }));
    }

    #[test]
    fn a_hash_ignores_member_order_and_nothing_else() {
        assert_eq!(hash(&json!({ "a": 1, "b": [1, 2] })), hash(&json!({ "b": [1, 2], "a": 1 })));
        assert_ne!(hash(&json!([1, 2])), hash(&json!([2, 1])));
        assert_ne!(hash(&json!({ "a": "" })), hash(&json!({})));
    }
}
