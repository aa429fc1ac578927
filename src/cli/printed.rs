//! What `-o json` prints, with its kind, and the JSON Schema that comes from the very type that is printed.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::model::spec::API_VERSION;

/// A report, or an object that the controller writes. Its members may grow, never be renamed or go.
pub(super) trait Printed: Serialize + JsonSchema {
    /// Its `kind`.
    const KIND: &'static str;

    /// As it is printed: `apiVersion` and `kind`, then its own members.
    fn to_json(&self) -> Value {
        let mut members = Map::new();
        members.insert("apiVersion".to_owned(), API_VERSION.into());
        members.insert("kind".to_owned(), Self::KIND.into());
        if let Ok(Value::Object(own)) = serde_json::to_value(self) {
            members.extend(own);
        }
        Value::Object(members)
    }
}

/// The JSON Schema (draft 2020-12) of what [`Printed::to_json`] gives. It admits members that it does not know: those of
/// later versions.
pub(super) fn schema<T: Printed>() -> Value {
    let mut schema = bare_schema::<T>();
    let Value::Object(members) = &mut schema else { return schema };
    members.insert("title".to_owned(), T::KIND.into());
    let properties = members.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(properties) = properties {
        properties.shift_insert(0, "apiVersion".to_owned(), json!({ "type": "string", "const": API_VERSION }));
        properties.shift_insert(1, "kind".to_owned(), json!({ "type": "string", "const": T::KIND }));
    }
    let required = members.entry("required").or_insert_with(|| json!([]));
    if let Value::Array(required) = required {
        required.splice(0..0, ["apiVersion".into(), "kind".into()]);
    }
    schema
}

/// Something printed in another: with its own `apiVersion` and `kind`, and the schema in the file of that name.
#[derive(Debug)]
pub(super) struct Nested<T>(pub(super) T);

impl<T: Printed> Serialize for Nested<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_json().serialize(serializer)
    }
}

impl<T: Printed> JsonSchema for Nested<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::KIND.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "$ref": beside(T::KIND) })
    }
}

/// The reference to the schema of a kind, from another in the same folder.
pub(super) fn beside(kind: &str) -> String {
    format!("{kind}.json")
}

/// Several things that have a kind each.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct List {
    /// They.
    pub(super) items: Vec<Value>,
}

impl Printed for List {
    const KIND: &'static str = "List";
}

/// The JSON Schema of what a type is printed as.
pub(super) fn bare_schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>().to_value()
}

/// The policies that something was judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicySetView {
    /// Where they come from: files and folders, a store, or `built-in`.
    pub(super) source: String,
    /// Of all that they say.
    pub(super) hash: String,
    /// How many.
    pub(super) policies: usize,
}

impl PolicySetView {
    pub(super) fn of(policies: &super::policies::Offline) -> Self {
        let set = &policies.set;
        Self { source: policies.source.clone(), hash: set.hash().to_owned(), policies: set.len() }
    }
}
