//! Fixes to make by hand, in the words of the file: where only a person should write.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::dialect::{Dialect, type_at};
use super::members::Type;
use super::resource::{IN_TEXT, InputFile, Origin, Resource, tags_of};
use super::source::Source;
use crate::cli::report::difference;
use crate::cli::views::masked;
use crate::model::DiffEntry;
use crate::model::mask::clean_text;

/// One edit.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct ByHand {
    /// From 1, of what is there, or of what it goes into.
    pub(in crate::cli) line: usize,
    /// With the file's pointer and names, values that may be secret masked.
    #[serde(flatten)]
    pub(in crate::cli) entry: DiffEntry,
}

/// Whether a file can be edited in place.
pub(in crate::cli) fn is_writable(file: &InputFile) -> bool {
    file.source.json().is_some() && file.resources.iter().all(|one| matches!(one.origin, Origin::Bare { .. }))
}

/// What a file is, for saying why it is not written.
pub(in crate::cli) fn noun(file: &InputFile) -> &'static str {
    let dialect = file.resources.iter().find_map(|one| match &one.origin {
        Origin::Converted { dialect, .. } => Some(*dialect),
        Origin::Bare { .. } => None,
    });
    match (dialect, &file.source) {
        (Some(Dialect::CloudFormation), _) => "a CloudFormation template",
        (Some(Dialect::Terraform), _) => "what Terraform printed of its configuration",
        (None, Source::Yaml(_)) => "YAML",
        (None, Source::Json(_)) => "JSON",
    }
}

/// The changes of a resource as edits of its file.
pub(in crate::cli) fn by_hand(file: &InputFile, resource: &Resource, diff: &[DiffEntry]) -> Vec<ByHand> {
    let edit = |entry: &DiffEntry| {
        let line = file.source.line(&resource.origin.nearest(&entry.path));
        let own = match &resource.origin {
            Origin::Bare { .. } => DiffEntry { path: resource.origin.own(&entry.path), ..entry.clone() },
            Origin::Converted { dialect, shape, .. } => in_words_of(*dialect, Type::Shape(shape), resource, entry),
        };
        ByHand { line, entry: own }
    };
    // Masked by ECS's names, which are those that masking knows.
    masked(diff).iter().map(edit).collect()
}

fn in_words_of(dialect: Dialect, kind: Type<'static>, resource: &Resource, entry: &DiffEntry) -> DiffEntry {
    let in_text = dialect == Dialect::Terraform && entry.path.starts_with(IN_TEXT);
    let spelled = |value: &Option<Value>| match value {
        Some(value) if !in_text => Some(dialect.spelled(type_at(kind, &entry.path), value)),
        value => value.clone(),
    };
    let (mut path, mut from, mut to) = (resource.origin.own(&entry.path), spelled(&entry.from), spelled(&entry.to));
    if dialect == Dialect::Terraform {
        // The provider has tags by key.
        if let Some(inside) = entry.path.strip_prefix("/tags") {
            let by_key = |value: &Option<Value>| value.as_ref().map(|value| tags_by_key(inside, value));
            return DiffEntry {
                path: "/tags".to_owned(),
                from: by_key(&entry.from),
                to: by_key(&entry.to),
                ..entry.clone()
            };
        }
        path = flat(&path);
        if path.ends_with("/assign_public_ip") {
            let flag = |value: Option<Value>| value.map(|value| json!(value.as_str() == Some("ENABLED")));
            (from, to) = (flag(from), flag(to));
        }
    }
    DiffEntry { path, from, to, ..entry.clone() }
}

/// A list of ECS's tags, or one of them, by key.
fn tags_by_key(inside: &str, value: &Value) -> Value {
    let list = if inside.is_empty() { value.clone() } else { Value::Array(vec![value.clone()]) };
    tags_of(&list).map_or_else(|| value.clone(), |tags| json!(tags))
}

/// What the provider has one level higher than ECS.
fn flat(path: &str) -> String {
    path.replace("/network_configuration/awsvpc_configuration", "/network_configuration")
        .replace("/deployment_configuration/deployment_circuit_breaker", "/deployment_circuit_breaker")
        .replace("/deployment_configuration/alarms", "/alarms")
        .replace("/deployment_configuration/maximum_percent", "/deployment_maximum_percent")
        .replace("/deployment_configuration/minimum_healthy_percent", "/deployment_minimum_healthy_percent")
}

/// The edits for people, a line each.
pub(in crate::cli) fn in_words(file: &InputFile, edits: &[ByHand]) -> String {
    let name = clean_text(&file.name);
    edits.iter().map(|edit| format!("  {name}:{}: {}\n", edit.line, difference(&edit.entry))).collect()
}
