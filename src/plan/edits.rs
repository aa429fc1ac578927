//! What a person approves: the edits, each by what it is done to and what it makes, whatever else the document has by now.
//!
//! A place in a list is named by who stands there: where a team puts another container first, the index says another one.

use serde_json::{Map, Value, json};

use crate::model::document;
use crate::model::{DiffEntry, DiffOp};
use crate::policy::pointer::{push, tokens};

/// The hash of the edits, values included. `document` is what they are made on; `pinned`: digests of images are written
/// in, which follow from what is deployed and are nobody's edit.
#[must_use]
pub(super) fn edits_hash(diff: &[DiffEntry], document: Option<&Map<String, Value>>, pinned: bool) -> String {
    let mut document = document.map_or(Value::Null, |members| Value::Object(members.clone()));
    let mut edits = Vec::new();
    for entry in diff {
        let path = tokens(&entry.path).unwrap_or_default();
        if !(pinned && entry.path.ends_with("/image")) {
            edits.push(json!([entry.document.as_str(), entry.op, named(&path, &document), entry.to]));
        }
        // They are made one after another: each place is one in what those before have made.
        apply(&mut document, &path, entry);
    }
    document::hash(&json!({ "edits": edits }))
}

/// The place, with elements of lists by their names; those without one by what they are.
fn named(path: &[String], document: &Value) -> String {
    let (mut at, mut name) = (Some(document), String::new());
    for token in path {
        let next = at.and_then(|at| child(at, token));
        match (at, next) {
            (Some(Value::Array(_)), Some(element)) => {
                let by = element.get("name").or_else(|| element.get("key")).unwrap_or(element);
                push(&mut name, &by.as_str().map_or_else(|| by.to_string(), ToOwned::to_owned));
            }
            _ => push(&mut name, token),
        }
        at = next;
    }
    name
}

fn child<'a>(at: &'a Value, token: &str) -> Option<&'a Value> {
    match at {
        Value::Object(members) => members.get(token),
        Value::Array(elements) => elements.get(token.parse::<usize>().ok()?),
        _ => None,
    }
}

fn apply(document: &mut Value, path: &[String], entry: &DiffEntry) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut at = document;
    for token in parents {
        let next = match at {
            Value::Object(members) => members.get_mut(token),
            Value::Array(elements) => token.parse::<usize>().ok().and_then(|index| elements.get_mut(index)),
            _ => None,
        };
        let Some(next) = next else { return };
        at = next;
    }
    let to = || entry.to.clone().unwrap_or_default();
    match (at, entry.op) {
        (Value::Object(members), DiffOp::Remove) => {
            members.shift_remove(last);
        }
        (Value::Object(members), DiffOp::Add | DiffOp::Replace) => {
            members.insert(last.clone(), to());
        }
        (Value::Array(elements), op) => {
            let index = last.parse::<usize>().unwrap_or(elements.len());
            match op {
                DiffOp::Remove if index < elements.len() => {
                    elements.remove(index);
                }
                DiffOp::Add => elements.insert(index.min(elements.len()), to()),
                DiffOp::Replace => {
                    if let Some(element) = elements.get_mut(index) {
                        *element = to();
                    }
                }
                DiffOp::Remove => {}
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DocumentKind;

    fn entry(op: DiffOp, path: &str, to: Option<Value>) -> DiffEntry {
        let (document, path) = (DocumentKind::TaskDefinition, path.to_owned());
        DiffEntry { document, op, path, from: None, to, policy: "p".to_owned() }
    }

    fn hash(document: &Value, diff: &[DiffEntry]) -> String {
        edits_hash(diff, document.as_object(), false)
    }

    fn containers(names: &[&str]) -> Value {
        let container = |name: &&str| json!({ "name": name, "image": "app:1", "privileged": true });
        json!({ "containerDefinitions": names.iter().map(container).collect::<Vec<_>>() })
    }

    fn unprivileged(index: usize) -> DiffEntry {
        entry(DiffOp::Replace, &format!("/containerDefinitions/{index}/privileged"), Some(json!(false)))
    }

    #[test]
    fn an_edit_is_of_whoever_stands_there() {
        let one = hash(&containers(&["app"]), &[unprivileged(0)]);
        assert_eq!(one, hash(&containers(&["proxy", "app"]), &[unprivileged(1)]));
        assert_ne!(one, hash(&containers(&["proxy", "app"]), &[unprivileged(0)]));
        assert_ne!(one, hash(&containers(&["app", "proxy"]), &[unprivileged(0), unprivileged(1)]));
    }

    #[test]
    fn places_are_those_that_the_edits_before_have_left() {
        let with = |names: &[&str]| {
            let variable = |name: &&str| json!({ "name": name, "value": "s3cret" });
            json!({ "environment": names.iter().map(variable).collect::<Vec<_>>() })
        };
        let remove = |index: usize| entry(DiffOp::Remove, &format!("/environment/{index}"), None);
        let two = hash(&with(&["A", "B", "C"]), &[remove(0), remove(0)]);
        assert_eq!(two, hash(&with(&["Z", "A", "B"]), &[remove(1), remove(1)]));
        assert_ne!(two, hash(&with(&["A", "X", "B"]), &[remove(0), remove(0)]));
    }

    #[test]
    fn values_count_and_what_was_there_does_not() {
        let memory = |to: u32| entry(DiffOp::Replace, "/memory", Some(json!(to)));
        let one = hash(&json!({ "memory": 1 }), &[memory(256)]);
        assert_eq!(one, hash(&json!({ "memory": 2, "cpu": 3 }), &[memory(256)]));
        assert_ne!(one, hash(&json!({ "memory": 1 }), &[memory(512)]));
    }

    #[test]
    fn which_digest_is_pinned_is_no_edit() {
        let image = |to: &str| entry(DiffOp::Replace, "/containerDefinitions/0/image", Some(json!(to)));
        let document = containers(&["app"]);
        let pinned = |to: &str, pinned: bool| edits_hash(&[image(to)], document.as_object(), pinned);
        assert_eq!(pinned("app@sha256:a", true), pinned("app@sha256:b", true));
        assert_ne!(pinned("app@sha256:a", false), pinned("app@sha256:b", false));
    }
}
