//! The differences between two documents, node by node, and whether two task definitions are the same to ECS.

use serde_json::{Map, Value};

use super::normalize::normalize;
use crate::model::{DiffEntry, DiffOp, DocumentKind};

/// The differences from `old` to `new`, in the order of the documents. Empty exactly if they are equal (member order
/// aside).
#[must_use]
pub fn diff(document: DocumentKind, old: &Value, new: &Value) -> Vec<DiffEntry> {
    let mut entries = Vec::new();
    walk(document, String::new(), old, new, &mut entries);
    entries
}

/// The differences that ECS would know of: both documents are normalised first.
#[must_use]
pub fn task_definition_diff(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<DiffEntry> {
    diff(DocumentKind::TaskDefinition, &Value::Object(normalize(old)), &Value::Object(normalize(new)))
}

/// Whether two task definitions, as RegisterTaskDefinition would take them, are the same to ECS.
#[must_use]
pub fn same_task_definition(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    task_definition_diff(one, other).is_empty()
}

fn walk(document: DocumentKind, path: String, old: &Value, new: &Value, entries: &mut Vec<DiffEntry>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, member) in old {
                let path = format!("{path}/{}", escape(name));
                match new.get(name) {
                    Some(other) => walk(document, path, member, other, entries),
                    None => entries.push(entry(document, DiffOp::Remove, path, Some(member), None)),
                }
            }
            for (name, member) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                entries.push(entry(document, DiffOp::Add, format!("{path}/{}", escape(name)), None, Some(member)));
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for (index, element) in old.iter().enumerate() {
                let path = format!("{path}/{index}");
                match new.get(index) {
                    Some(other) => walk(document, path, element, other, entries),
                    None => entries.push(entry(document, DiffOp::Remove, path, Some(element), None)),
                }
            }
            for (index, element) in new.iter().enumerate().skip(old.len()) {
                entries.push(entry(document, DiffOp::Add, format!("{path}/{index}"), None, Some(element)));
            }
        }
        (old, new) if old == new => {}
        (old, new) => entries.push(entry(document, DiffOp::Replace, path, Some(old), Some(new))),
    }
}

fn entry(document: DocumentKind, op: DiffOp, path: String, from: Option<&Value>, to: Option<&Value>) -> DiffEntry {
    DiffEntry { document, op, path, from: from.cloned(), to: to.cloned(), policy: String::new() }
}

/// RFC 6901: `~` and `/` of a member's name are written `~0` and `~1`.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[track_caller]
    fn same(one: Value, other: Value) {
        assert_eq!(task_definition_diff(&object(one), &object(other)), []);
    }

    #[test]
    fn what_ecs_writes_out_is_no_difference() {
        same(
            json!({ "family": "web", "containerDefinitions": [{ "name": "app", "image": "a" }] }),
            json!({ "family": "web", "volumes": [], "placementConstraints": [], "networkMode": "bridge", "containerDefinitions":
                [{ "name": "app", "image": "a", "cpu": 0, "essential": true, "environment": [], "mountPoints": [], "volumesFrom": [], "portMappings": [] }] }),
        );
        same(
            json!({ "networkMode": "awsvpc", "containerDefinitions": [{ "portMappings": [{ "containerPort": 80 }] }] }),
            json!({ "networkMode": "awsvpc", "containerDefinitions": [{ "portMappings": [{ "containerPort": 80, "hostPort": 80, "protocol": "tcp" }] }] }),
        );
        same(
            json!({ "containerDefinitions": [{ "environment": [{ "name": "B", "value": "" }, { "name": "A", "value": "1" }] }] }),
            json!({ "containerDefinitions": [{ "environment": [{ "name": "A", "value": "1" }, { "name": "B", "value": "" }] }] }),
        );
    }

    #[test]
    fn what_people_wrote_is_a_difference() {
        for (one, other, path) in [
            (json!({ "pidMode": "host" }), json!({}), "/pidMode"),
            (json!({ "enableFaultInjection": true }), json!({}), "/enableFaultInjection"),
            (
                json!({ "containerDefinitions": [{ "command": [""] }] }),
                json!({ "containerDefinitions": [{ "command": [] }] }),
                "/containerDefinitions/0/command/0",
            ),
            (
                json!({ "containerDefinitions": [{ "essential": false }] }),
                json!({ "containerDefinitions": [{}] }),
                "/containerDefinitions/0/essential",
            ),
        ] {
            let entries = task_definition_diff(&object(one), &object(other));
            assert_eq!(entries.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), [path]);
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c~/]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c~/]{1,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_document_does_not_differ_from_itself(value in json_value()) {
            prop_assert_eq!(diff(DocumentKind::Service, &value, &value), []);
        }

        #[test]
        fn an_empty_diff_means_equal(one in json_value(), other in json_value()) {
            prop_assert_eq!(diff(DocumentKind::Service, &one, &other).is_empty(), one == other);
        }

        #[test]
        fn every_entry_points_at_what_it_says(one in json_value(), other in json_value()) {
            for entry in diff(DocumentKind::Service, &one, &other) {
                match entry.op {
                    DiffOp::Add => prop_assert_eq!(other.pointer(&entry.path), entry.to.as_ref()),
                    DiffOp::Remove => prop_assert_eq!(one.pointer(&entry.path), entry.from.as_ref()),
                    DiffOp::Replace => {
                        prop_assert_eq!(one.pointer(&entry.path), entry.from.as_ref());
                        prop_assert_eq!(other.pointer(&entry.path), entry.to.as_ref());
                    }
                }
            }
        }

        #[test]
        fn normalising_twice_is_normalising_once(value in prop::collection::btree_map("[a-c]{1,2}", json_value(), 0..4)) {
            let document: Map<String, Value> = value.into_iter().collect();
            let once = normalize(&document);
            prop_assert_eq!(normalize(&once), once);
        }
    }
}
