//! The JSON Schemas of all that people write and all that is printed, as files: `deploy/schemas/`.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::apply::ApplyReport;
use super::audit::AuditReport;
use super::command_view::CommandView;
use super::delete::DeleteReport;
use super::describe_service::ServiceDescription;
use super::doctor::DoctorReport;
use super::error::Error;
use super::explain::{FunctionView, MetricView, ReasonView, VariableView};
use super::freeze::FreezeReport;
use super::planned::PlanReport;
use super::printed::{List, Printed, bare_schema, beside, schema};
use super::probe::ProbeReport;
use super::reports::{CheckReport, FixReport};
use super::store::StoreReport;
use super::target_status::TargetStatus;
use super::tested::TestReport;
use super::version::VersionReport;
use super::views::{
    ChangeView, ClusterReportView, EventView, FindingView, HoldView, LeaseView, RolloutView, ServiceReportView,
};
use crate::manifest;
use crate::model::spec::{API_VERSION, Kind};
use crate::records::summed::{SummedBinding, SummedPolicy, SummedWaiver};

type Named = (&'static str, Value);

/// Each by the name of its file without the ending: what people write, all of that together as `plimsoll`, test files,
/// what the controller writes, and the reports.
pub(super) fn all() -> Vec<Named> {
    let written: Vec<Named> = Kind::ALL.iter().map(|kind| (kind.as_str(), written(*kind))).collect();
    let listed: Vec<Named> = written.iter().cloned().chain(records()).chain(vocabulary()).collect();
    let any = "Any object that is applied; a file may hold several.";
    let together = [
        ("plimsoll", of_kinds("plimsoll", any, &written)),
        ("PolicyTest", manifest::case_schema()),
        (List::KIND, list(&listed)),
    ];
    written.into_iter().chain(together).chain(records()).chain(vocabulary()).chain(reports()).collect()
}

/// What people write, with the status that `get` adds; it is ignored when applied.
fn written(kind: Kind) -> Value {
    let schema = manifest::schema(kind);
    match kind {
        Kind::Policy => with_status::<SummedPolicy>(schema),
        Kind::Binding => with_status::<SummedBinding>(schema),
        Kind::Waiver => with_status::<SummedWaiver>(schema),
        Kind::Target => with_status::<TargetStatus>(schema),
        Kind::RolloutStrategy | Kind::Freeze => schema,
    }
}

fn with_status<T: JsonSchema>(mut schema: Value) -> Value {
    let mut status = bare_schema::<T>();
    if let Some(members) = status.as_object_mut() {
        members.shift_remove("$schema");
        members.shift_remove("title");
    }
    below(&mut status, "Status");
    if let Some(Value::Object(member)) = schema.pointer_mut("/properties/status") {
        member.insert("$ref".to_owned(), "#/$defs/Status".into());
    }
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        definitions.insert("Status".to_owned(), status);
    }
    schema
}

fn one<T: Printed>() -> Named {
    (T::KIND, schema::<T>())
}

/// What the controller writes, and what it is asked.
pub(super) fn records() -> Vec<Named> {
    vec![
        one::<RolloutView>(),
        one::<ChangeView>(),
        one::<HoldView>(),
        one::<ServiceReportView>(),
        one::<FindingView>(),
        one::<ClusterReportView>(),
        one::<EventView>(),
        one::<LeaseView>(),
        one::<CommandView>(),
    ]
}

/// What `explain` lists.
fn vocabulary() -> Vec<Named> {
    vec![one::<FunctionView>(), one::<VariableView>(), one::<ReasonView>(), one::<MetricView>()]
}

fn reports() -> Vec<Named> {
    vec![
        one::<CheckReport>(),
        one::<FixReport>(),
        one::<TestReport>(),
        one::<PlanReport>(),
        one::<ApplyReport>(),
        one::<DeleteReport>(),
        one::<FreezeReport>(),
        one::<AuditReport>(),
        one::<StoreReport>(),
        one::<DoctorReport>(),
        one::<ServiceDescription>(),
        one::<ProbeReport>(),
        one::<VersionReport>(),
        one::<Error>(),
    ]
}

/// Its items are told apart by their kinds, whose schemas are in files beside it.
fn list(kinds: &[Named]) -> Value {
    let mut whole = schema::<List>();
    if let Some(items) = whole.pointer_mut("/properties/items/items") {
        *items = told_apart(kinds, &|name| beside(name));
    }
    whole
}

/// An object of one of these kinds, all in one file: an editor is given no folder.
fn of_kinds(title: &str, description: &str, kinds: &[Named]) -> Value {
    let mut whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, "description": description,
    });
    let definitions = kinds.iter().map(|(name, schema)| {
        let mut schema = schema.clone();
        if let Some(members) = schema.as_object_mut() {
            members.shift_remove("$schema");
        }
        below(&mut schema, name);
        ((*name).to_owned(), schema)
    });
    let definitions: Map<String, Value> = definitions.collect();
    let chosen = told_apart(kinds, &|name| format!("#/$defs/{name}"));
    if let (Value::Object(whole), Value::Object(chosen)) = (&mut whole, chosen) {
        whole.extend(chosen);
        whole.insert("$defs".to_owned(), definitions.into());
    }
    whole
}

/// `kind` decides which schema holds, so that an editor tells what is wrong with that kind and not with all of them.
fn told_apart(kinds: &[Named], reference: &dyn Fn(&str) -> String) -> Value {
    let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
    let choice = |name: &&str| {
        json!({
            "if": { "properties": { "kind": { "const": name } }, "required": ["kind"] },
            "then": { "$ref": reference(name) },
        })
    };
    json!({
        "type": "object",
        "properties": {
            "apiVersion": { "description": "The version of this format.", "type": "string", "const": API_VERSION },
            "kind": { "description": "Of which kind the object is.", "type": "string", "enum": names },
        },
        "required": ["apiVersion", "kind"],
        "allOf": names.iter().map(choice).collect::<Vec<_>>(),
    })
}

/// Rewrites the references of a schema that becomes a definition itself.
fn below(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(members) => {
            for (member, value) in members {
                match value {
                    Value::String(target) if member == "$ref" => {
                        *target = target.replacen("#/", &format!("#/$defs/{name}/"), 1);
                    }
                    value => below(value, name),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| below(item, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_has_a_name_of_its_own() {
        let all = all();
        let names: std::collections::BTreeSet<String> = all.iter().map(|(name, _)| name.to_lowercase()).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn every_member_of_every_schema_is_described_but_for_those_all_have() {
        fn visit(schema: &Value, path: &str, bare: &mut Vec<String>) {
            let Value::Object(members) = schema else { return };
            if let Some(Value::Object(properties)) = members.get("properties") {
                for (name, member) in properties {
                    let path = format!("{path}.{name}");
                    let known = ["apiVersion", "kind", "metadata"].contains(&name.as_str());
                    let described = member.get("description").is_some() || member.get("const").is_some();
                    if !known && !described && member.get("$ref").is_none() {
                        bare.push(path.clone());
                    }
                    visit(member, &path, bare);
                }
            }
            for key in ["items", "additionalProperties"] {
                visit(members.get(key).unwrap_or(&Value::Null), path, bare);
            }
        }
        let mut bare = Vec::new();
        for (name, schema) in all() {
            visit(&schema, name, &mut bare);
        }
        bare.retain(|path| !path.ends_with("status.counts"));
        assert_eq!(bare, [""; 0]);
    }
}
