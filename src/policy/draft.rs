//! A document while edits are made in it: original nodes in place, order kept, nothing shifted until the end.

use serde_json::{Map, Value};

use super::pointer::{child, child_mut, index, pointer};
use super::result::PlannedEdit;
use crate::model::{DiffEntry, DiffOp, DocumentKind};

/// Why an edit cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The pointer itself is wrong.
    #[error("`{path}` names no node")]
    NoNode {
        /// The pointer.
        path: String,
    },
    /// Something on the way, or the list itself, has another type.
    #[error("`{path}` is neither a list nor an object that could take this")]
    WrongType {
        /// Where the type is wrong.
        path: String,
    },
    /// Two policies want different things of one node.
    #[error("policies `{first}` and `{second}` want different things of `{path}`")]
    Fight {
        /// The policy whose edit came first.
        first: String,
        /// The other.
        second: String,
        /// The node.
        path: String,
    },
}

/// What was written where, and by whom.
struct Write {
    tokens: Vec<String>,
    policy: String,
}

/// A document being edited.
///
/// Elements are taken out of lists only at the end, from the highest index down, so that the pointers of all edits,
/// which are into the document as it was evaluated, stay true.
pub(super) struct Draft {
    document: Value,
    kind: DocumentKind,
    removed: Vec<Vec<String>>,
    writes: Vec<Write>,
    diff: Vec<DiffEntry>,
}

impl Draft {
    pub(super) const fn of(document: Value, kind: DocumentKind) -> Self {
        Self { document, kind, removed: Vec::new(), writes: Vec::new(), diff: Vec::new() }
    }

    /// Makes one edit for a policy.
    ///
    /// # Errors
    /// Where it cannot be made, or undoes what another policy's edit did.
    pub(super) fn apply(&mut self, edit: &PlannedEdit, policy: &str) -> Result<(), EditError> {
        let path =
            super::pointer::tokens(edit.path()).map_err(|_| EditError::NoNode { path: edit.path().to_owned() })?;
        match edit {
            PlannedEdit::Set { value, .. } => self.set(path, value, policy),
            PlannedEdit::Remove { .. } => self.remove(path, policy),
            PlannedEdit::Append { key, value, .. } => self.append(path, key.as_deref(), value, policy),
        }
    }

    /// The document, and what changed in it.
    pub(super) fn finish(mut self) -> (Value, Vec<DiffEntry>) {
        // From the highest index down, and what is inside of something removed before it.
        let mut removed: Vec<(Vec<String>, String)> = Vec::new();
        for path in std::mem::take(&mut self.removed) {
            let policy = self.writer_of(&path).unwrap_or_default();
            removed.push((path, policy));
        }
        removed.sort_by(|(left, _), (right, _)| by_index(right, left));
        for (path, policy) in removed {
            let Some((last, parents)) = path.split_last() else { continue };
            let list = parents.iter().try_fold(&mut self.document, |node, token| child_mut(node, token));
            if let (Some(Value::Array(items)), Some(at)) = (list, index(last))
                && at < items.len()
            {
                let from = items.remove(at);
                self.note(DiffOp::Remove, &path, Some(from), None, &policy);
            }
        }
        (self.document, self.diff)
    }

    fn set(&mut self, path: Vec<String>, value: &Value, policy: &str) -> Result<(), EditError> {
        if super::pointer::get(&self.document, &path) == Some(value) && !self.gone(&path) {
            self.claim(path, policy);
            return Ok(());
        }
        self.check_fight(&path, policy)?;
        // The deepest node that is there; what is missing below it comes into being in one step.
        let mut seen = &self.document;
        let mut there = 0;
        for token in &path {
            match child(seen, token).filter(|next| !next.is_null()) {
                Some(next) => seen = next,
                None => break,
            }
            there += 1;
        }
        let way = path.get(..there).unwrap_or_default();
        let Some(node) = way.iter().try_fold(&mut self.document, |node, token| child_mut(node, token)) else {
            return Err(EditError::NoNode { path: pointer(&path) });
        };
        if there == path.len() {
            let from = std::mem::replace(node, value.clone());
            self.note(DiffOp::Replace, &path, Some(from), Some(value.clone()), policy);
        } else {
            let made = path.get(..=there).unwrap_or_default().to_vec();
            let missing = path.get(there + 1..).unwrap_or_default();
            let new = missing
                .iter()
                .rev()
                .fold(value.clone(), |inner, token| Value::Object(Map::from_iter([(token.clone(), inner)])));
            let Some(name) = made.last() else { return Err(EditError::NoNode { path: pointer(&path) }) };
            // What it will be is not known, so neither is what is missing in it.
            if super::pointer::is_unresolved(node) {
                return Err(EditError::WrongType { path: pointer(way) });
            }
            let from = match node {
                Value::Object(members) => members.insert(name.clone(), new.clone()),
                _ => {
                    let path = pointer(made.get(..there).unwrap_or_default());
                    return Err(EditError::WrongType { path });
                }
            };
            let op = if from.is_some() { DiffOp::Replace } else { DiffOp::Add };
            self.note(op, &made, from, Some(new), policy);
        }
        self.claim(path, policy);
        Ok(())
    }

    fn remove(&mut self, path: Vec<String>, policy: &str) -> Result<(), EditError> {
        if self.gone(&path) || super::pointer::get(&self.document, &path).is_none() {
            self.claim(path, policy);
            return Ok(());
        }
        self.check_fight(&path, policy)?;
        let Some((last, parents)) = path.split_last() else {
            return Err(EditError::NoNode { path: String::new() });
        };
        let parent = parents.iter().try_fold(&mut self.document, |node, token| child_mut(node, token));
        match parent {
            // The order of the other members stays.
            Some(Value::Object(members)) => {
                let from = members.shift_remove(last);
                self.note(DiffOp::Remove, &path, from, None, policy);
            }
            _ => self.removed.push(path.clone()),
        }
        self.claim(path, policy);
        Ok(())
    }

    fn append(&mut self, path: Vec<String>, key: Option<&str>, value: &Value, policy: &str) -> Result<(), EditError> {
        match super::pointer::get(&self.document, &path) {
            None | Some(Value::Null) => return self.set(path, &Value::Array(vec![value.clone()]), policy),
            Some(Value::Array(_)) => {}
            Some(_) => return Err(EditError::WrongType { path: pointer(&path) }),
        }
        let items = super::pointer::get(&self.document, &path).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let live = |at: usize| {
            let mut element = path.clone();
            element.push(at.to_string());
            !self.gone(&element)
        };
        let alike = |item: &Value| match key {
            Some(key) => value.get(key).is_some() && item.get(key) == value.get(key),
            None => item == value,
        };
        let found = items.iter().enumerate().find(|(at, item)| alike(item) && live(*at)).map(|(at, _)| at);
        let at = found.unwrap_or(items.len());
        let mut element = path.clone();
        element.push(at.to_string());
        if found.is_some() {
            return self.set(element, value, policy);
        }
        if self.gone(&path) {
            return Err(self.fight(&path, policy));
        }
        let list = path.iter().try_fold(&mut self.document, |node, token| child_mut(node, token));
        if let Some(Value::Array(items)) = list {
            items.push(value.clone());
        }
        self.note(DiffOp::Add, &element, None, Some(value.clone()), policy);
        self.claim(element, policy);
        Ok(())
    }

    fn note(&mut self, op: DiffOp, path: &[String], from: Option<Value>, to: Option<Value>, policy: &str) {
        let (document, path, policy) = (self.kind, pointer(path), policy.to_owned());
        self.diff.push(DiffEntry { document, op, path, from, to, policy });
    }

    fn claim(&mut self, tokens: Vec<String>, policy: &str) {
        self.writes.push(Write { tokens, policy: policy.to_owned() });
    }

    /// Whether the node, or what it is in, is to be taken out of its list.
    fn gone(&self, path: &[String]) -> bool {
        self.removed.iter().any(|removed| path.starts_with(removed))
    }

    /// A change of a node that another policy wrote, that is inside of one it wrote, or has one inside.
    fn check_fight(&self, path: &[String], policy: &str) -> Result<(), EditError> {
        let touched = |write: &&Write| {
            write.policy != policy && (path.starts_with(&write.tokens) || write.tokens.starts_with(path))
        };
        match self.writes.iter().find(touched) {
            Some(write) => {
                Err(EditError::Fight { first: write.policy.clone(), second: policy.to_owned(), path: pointer(path) })
            }
            None if self.gone(path) => Err(self.fight(path, policy)),
            None => Ok(()),
        }
    }

    fn fight(&self, path: &[String], policy: &str) -> EditError {
        let first = self.writer_of(path).unwrap_or_else(|| policy.to_owned());
        EditError::Fight { first, second: policy.to_owned(), path: pointer(path) }
    }

    fn writer_of(&self, path: &[String]) -> Option<String> {
        self.writes.iter().find(|write| path.starts_with(&write.tokens)).map(|write| write.policy.clone())
    }
}

/// Order of pointers in which indexes count as numbers.
fn by_index(left: &[String], right: &[String]) -> std::cmp::Ordering {
    for (left, right) in left.iter().zip(right) {
        let order = match (index(left), index(right)) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.cmp(right),
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(path: &str, value: Value) -> PlannedEdit {
        PlannedEdit::Set { path: path.to_owned(), value }
    }

    fn remove(path: &str) -> PlannedEdit {
        PlannedEdit::Remove { path: path.to_owned() }
    }

    fn append(path: &str, key: Option<&str>, value: Value) -> PlannedEdit {
        PlannedEdit::Append { path: path.to_owned(), key: key.map(str::to_owned), value }
    }

    #[track_caller]
    fn check(document: Value, edits: &[PlannedEdit], wanted: &str, diff: &[&str]) {
        let mut draft = Draft::of(document, DocumentKind::TaskDefinition);
        for edit in edits {
            draft.apply(edit, "p").unwrap();
        }
        let (fixed, found) = draft.finish();
        assert_eq!(fixed.to_string(), wanted);
        let found: Vec<String> = found.iter().map(|entry| format!("{:?} {}", entry.op, entry.path)).collect();
        assert_eq!(found, diff);
    }

    #[test]
    fn order_and_neighbours_stay() {
        check(
            json!({"b": 1, "pidMode": "host", "a": ""}),
            &[remove("/pidMode")],
            r#"{"b":1,"a":""}"#,
            &["Remove /pidMode"],
        );
        check(json!({"b": 1, "a": 2}), &[set("/b", json!(3))], r#"{"b":3,"a":2}"#, &["Replace /b"]);
        check(json!({"a": 1}), &[set("/x/y/z", json!([]))], r#"{"a":1,"x":{"y":{"z":[]}}}"#, &["Add /x"]);
        check(json!({"x": {"q": 1}}), &[set("/x/y", json!(2))], r#"{"x":{"q":1,"y":2}}"#, &["Add /x/y"]);
        check(json!({"x": null}), &[set("/x/y", json!(2))], r#"{"x":{"y":2}}"#, &["Replace /x"]);
        check(json!({"a": 1}), &[set("/a", json!(1)), remove("/b")], r#"{"a":1}"#, &[]);
    }

    #[test]
    fn elements_are_named_as_they_were_however_many_go() {
        let list = json!({"l": [{"n": "a"}, {"n": "b"}, {"n": "c"}, {"n": "d"}]});
        check(
            list.clone(),
            &[remove("/l/0"), remove("/l/2"), set("/l/3/v", json!(1)), append("/l", Some("n"), json!({"n": "e"}))],
            r#"{"l":[{"n":"b"},{"n":"d","v":1},{"n":"e"}]}"#,
            &["Add /l/3/v", "Add /l/4", "Remove /l/2", "Remove /l/0"],
        );
        check(
            list,
            &[remove("/l/1"), append("/l", Some("n"), json!({"n": "b", "new": true}))],
            r#"{"l":[{"n":"a"},{"n":"c"},{"n":"d"},{"n":"b","new":true}]}"#,
            &["Add /l/4", "Remove /l/1"],
        );
        let long: Vec<u32> = (0..12).collect();
        check(
            json!({"l": long}),
            &[remove("/l/2"), remove("/l/10")],
            r#"{"l":[0,1,3,4,5,6,7,8,9,11]}"#,
            &["Remove /l/10", "Remove /l/2"],
        );
    }

    #[test]
    fn append_replaces_the_element_with_the_same_key() {
        let list = json!({"s": [{"name": "A", "v": 1}, {"name": "B"}]});
        check(
            list.clone(),
            &[append("/s", Some("name"), json!({"name": "A"}))],
            r#"{"s":[{"name":"A"},{"name":"B"}]}"#,
            &["Replace /s/0"],
        );
        check(json!({"d": ["ALL"]}), &[append("/d", None, json!("ALL"))], r#"{"d":["ALL"]}"#, &[]);
        check(json!({}), &[append("/d", None, json!("ALL"))], r#"{"d":["ALL"]}"#, &["Add /d"]);
    }

    #[test]
    fn nothing_is_put_into_what_cannot_be_known() {
        let mut draft = Draft::of(json!({"x": {"plimsoll:unresolved": "Ref"}}), DocumentKind::TaskDefinition);
        assert!(draft.apply(&set("/x/y", json!(1)), "p").is_err());
        assert!(draft.apply(&append("/x", None, json!(1)), "p").is_err());
        assert!(draft.apply(&set("/x", json!({"y": 1})), "p").is_ok(), "but it may be replaced as a whole");
    }

    #[test]
    fn policies_that_want_different_things_are_both_named() {
        let fight = |first: PlannedEdit, second: PlannedEdit| {
            let mut draft = Draft::of(json!({"a": {"b": 1}, "l": [1, 2]}), DocumentKind::TaskDefinition);
            draft.apply(&first, "one").unwrap();
            draft.apply(&second, "two").map_err(|why| why.to_string())
        };
        let named = Err("policies `one` and `two` want different things of `/a`".to_owned());
        assert_eq!(fight(set("/a", json!(1)), set("/a", json!(2))), named);
        assert_eq!(fight(set("/a/b", json!(2)), remove("/a")), named);
        assert!(fight(remove("/a"), set("/a/c", json!(2))).is_err());
        assert!(fight(remove("/l/0"), set("/l/0", json!(3))).is_err());
        assert!(fight(set("/a", json!(1)), set("/a", json!(1))).is_ok());
        assert!(fight(remove("/a"), remove("/a")).is_ok());
        assert!(fight(remove("/l/0"), append("/l", None, json!(1))).is_ok());
    }
}
