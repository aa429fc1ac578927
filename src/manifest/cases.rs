//! Test files: examples of policies that are written apart from them, each with the name of its policy. A document of a
//! file is one or a list of them.

use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};

use super::Diagnostic;
use super::node::{Content, Node, Places, places};
use super::read::{MAX_FAULTS, read};
use super::schema::{Schema, split};
use super::shape::faults;
use super::source::{Fault, Source};
use crate::model::spec::ExampleSpec;

/// An example and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct SourcedCase {
    /// The name of the policy it is of.
    pub policy: String,
    /// The example.
    pub example: ExampleSpec,
    source: Arc<Source>,
    places: Arc<Places>,
}

impl SourcedCase {
    /// The name of the file it was read from.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.source.file
    }

    /// The line, from 1, on which it begins.
    #[must_use]
    pub fn line(&self) -> usize {
        self.source.position(super::locate::place(&self.places, "/policy").map_or(0, |place| place.shown().start)).0
    }

    /// Says what is wrong with what the JSON Pointer names (`/params/users`), or with the nearest thing around it.
    #[must_use]
    pub fn diagnose(&self, pointer: &str, message: String, help: Option<String>) -> Diagnostic {
        let at = super::locate::place(&self.places, pointer).map_or(0..0, |place| place.shown());
        self.source.diagnose(&Fault::at(at, message).help(help))
    }
}

/// The JSON Schema (draft 2020-12) of a test file's document.
#[must_use]
pub fn case_schema() -> Value {
    let (mut one, definitions) = split(ONE.clone());
    if let Some(members) = one.as_object_mut() {
        members.shift_remove("$defs");
    }
    let mut all = Map::new();
    all.insert("PolicyTest".to_owned(), one);
    all.extend(definitions);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "PolicyTest",
        "description": "A test of a policy, or a list of them: for `plimsoll test`.",
        "anyOf": [{ "$ref": "#/$defs/PolicyTest" }, { "type": "array", "items": { "$ref": "#/$defs/PolicyTest" } }],
        "$defs": all,
    })
}

/// The schema of one: that of an example, and the policy's name before it.
pub(super) static ONE: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = schemars::schema_for!(ExampleSpec).to_value();
    let policy = json!({ "description": "The name of the policy it is of.", "type": "string" });
    if let Some(Value::Object(members)) = schema.get_mut("properties") {
        members.shift_insert(0, "policy".to_owned(), policy);
    }
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.insert(0, "policy".into());
    }
    schema
});

/// Reads test files, each given by its name and its bytes, all or nothing. Bounded as [`read_files`](super::read_files).
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn parse_cases(files: &[(String, Vec<u8>)]) -> Result<Vec<SourcedCase>, Vec<Diagnostic>> {
    let mut cases = Vec::new();
    let mut findings = Vec::new();
    for (file, bytes) in files {
        let (source, documents, mut found) = read(file, bytes);
        let source = Arc::new(source);
        for node in documents.into_iter().flat_map(each) {
            match case(&node, &source) {
                Ok(case) => cases.push(case),
                Err(faults) => found.extend(faults),
            }
        }
        found.sort_by_key(|fault| fault.at.start);
        findings.extend(found.iter().take(MAX_FAULTS).map(|fault| source.diagnose(fault)));
    }
    if findings.is_empty() { Ok(cases) } else { Err(findings) }
}

fn each(document: Node) -> Vec<Node> {
    match document.content {
        Content::List(items) => items,
        Content::Map(_) | Content::Scalar(..) => vec![document],
    }
}

fn case(node: &Node, source: &Arc<Source>) -> Result<SourcedCase, Vec<Fault>> {
    let Content::Map(_) = &node.content else {
        let fault = Fault::at(node.at.clone(), format!("expected a test, found {}", node.noun()));
        return Err(vec![fault.help("a test has `policy`, `name`, `given` and `expect`".to_owned())]);
    };
    let found = faults(node, Schema::of(&ONE));
    if !found.is_empty() {
        return Err(found);
    }
    let mut members = match node.to_json() {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    let policy = members.shift_remove("policy").and_then(|name| name.as_str().map(ToOwned::to_owned));
    // The schema comes from the same type; an error here is what it cannot say.
    let unreadable = |error| vec![Fault::at(node.first(), format!("the test cannot be read: {error}"))];
    let example = serde_json::from_value(Value::Object(members)).map_err(unreadable)?;
    Ok(SourcedCase {
        policy: policy.unwrap_or_default(),
        example,
        source: Arc::clone(source),
        places: Arc::new(places(node)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<SourcedCase>, Vec<String>> {
        parse_cases(&[("a.test.yaml".to_owned(), text.as_bytes().to_vec())])
            .map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_document_is_one_test_or_a_list_of_them() {
        let one = "policy: p\nname: a\ngiven: {pidMode: host}\nexpect: fail\nfindings: [{check: c, path: /pidMode}]\n";
        let text = format!("{one}---\n- {}\n", one.trim_end().replace('\n', "\n  "));
        let cases = read_text(&text).unwrap();
        assert_eq!(cases.iter().map(SourcedCase::line).collect::<Vec<_>>(), [1, 7]);
        assert_eq!(cases[0].example, cases[1].example);
        assert_eq!((cases[0].policy.as_str(), cases[0].file()), ("p", "a.test.yaml"));
        let wrong = cases[1].diagnose("/given/pidMode", "wrong".to_owned(), None);
        assert_eq!(wrong.to_string(), "a.test.yaml:9:20: wrong");
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
        let wrong = read_text("- polcy: p\n  name: a\n  given: {}\n  expect: maybe\n- text\n").unwrap_err();
        assert_eq!(wrong.len(), 4, "{wrong:#?}");
        for (found, told) in wrong.iter().zip([
            "a.test.yaml:1:3: unknown field `polcy`",
            "a.test.yaml:1:3: `policy` is missing",
            "a.test.yaml:4:11: `maybe` is not",
            "a.test.yaml:5:3: expected a test, found a string",
        ]) {
            assert!(found.starts_with(told), "{found} / {told}");
        }
    }
}
