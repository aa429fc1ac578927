//! The JSON Schemas of the kinds, and what they say about a field. The schemas come from the types of `model::spec`;
//! nothing is said twice.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::model::spec::{
    API_VERSION, BindingSpec, FreezeSpec, Kind, Metadata, PolicySpec, StrategySpec, TargetSpec, WaiverSpec,
};

/// The JSON Schema (draft 2020-12) of a whole object of that kind: `apiVersion`, `kind`, `metadata`, `spec`, and any
/// `status`, which is ignored when read so that what was printed can be applied again.
#[must_use]
pub fn schema(kind: Kind) -> Value {
    let (spec, definitions) = split(spec_schema(kind));
    envelope(&[kind], kind.as_str(), spec, definitions)
}

/// The schemas of all kinds, and under `None` that of an object of which it is not known what kind it is: nothing is
/// asked of its spec. Made once: a file may hold thousands of objects.
static SCHEMAS: LazyLock<BTreeMap<Option<Kind>, Value>> = LazyLock::new(|| {
    let spec = json!({ "description": "What it says." });
    let any = (None, envelope(Kind::ALL, "an object", spec, Map::new()));
    Kind::ALL.iter().map(|kind| (Some(*kind), schema(*kind))).chain([any]).collect()
});

/// The schema to read an object with.
pub(super) fn schema_to_read(kind: Option<Kind>) -> &'static Value {
    SCHEMAS.get(&kind).unwrap_or(&Value::Null)
}

fn envelope(kinds: &[Kind], title: &str, spec: Value, mut definitions: Map<String, Value>) -> Value {
    let (metadata, more) = split(schemars::schema_for!(Metadata).to_value());
    definitions.extend(more);
    let kinds: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    let description = spec.get("description").cloned().unwrap_or_default();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
        "type": "object",
        "properties": {
            "apiVersion": { "description": "The version of this format.", "type": "string", "enum": [API_VERSION] },
            "kind": { "description": "Of which kind the object is.", "type": "string", "enum": kinds },
            "metadata": metadata,
            "spec": spec,
            "status": { "description": "What the controller answered. Ignored when applied." },
        },
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "$defs": definitions,
    })
}

fn spec_schema(kind: Kind) -> Value {
    match kind {
        Kind::Policy => schemars::schema_for!(PolicySpec),
        Kind::Binding => schemars::schema_for!(BindingSpec),
        Kind::Waiver => schemars::schema_for!(WaiverSpec),
        Kind::RolloutStrategy => schemars::schema_for!(StrategySpec),
        Kind::Target => schemars::schema_for!(TargetSpec),
        Kind::Freeze => schemars::schema_for!(FreezeSpec),
    }
    .to_value()
}

/// A schema without what only its outermost level has, and its definitions.
pub(super) fn split(mut schema: Value) -> (Value, Map<String, Value>) {
    let mut definitions = Map::new();
    if let Some(members) = schema.as_object_mut() {
        members.shift_remove("$schema");
        members.shift_remove("title");
        if let Some(Value::Object(found)) = members.shift_remove("$defs") {
            definitions = found;
        }
    }
    (schema, definitions)
}

/// A schema with its definitions, as everything that walks one needs it.
#[derive(Clone, Copy)]
pub(super) struct Schema<'a> {
    root: &'a Value,
    node: &'a Value,
}

impl<'a> Schema<'a> {
    pub(super) const fn of(root: &'a Value) -> Self {
        Self { root, node: root }
    }

    /// A member of the schema itself, such as `type`.
    pub(super) fn get(self, keyword: &str) -> Option<&'a Value> {
        self.node.get(keyword)
    }

    pub(super) fn text(self, keyword: &str) -> Option<&'a str> {
        self.get(keyword).and_then(Value::as_str)
    }

    /// The schema that `node` is, in the same whole.
    pub(super) const fn with(self, node: &'a Value) -> Self {
        Self { root: self.root, node }
    }

    /// The name of what `$ref` refers to.
    pub(super) fn reference(self) -> Option<&'a str> {
        self.text("$ref")?.strip_prefix("#/$defs/")
    }

    /// What `$ref` refers to, else itself.
    pub(super) fn resolved(self) -> Self {
        let target = self.reference().and_then(|name| self.root.get("$defs")?.get(name));
        target.map_or(self, |node| self.with(node))
    }

    /// The alternatives of `anyOf`, without `null`; empty where it has none.
    pub(super) fn alternatives(self) -> Vec<Self> {
        let all = self.get("anyOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|one| **one != json!({ "type": "null" })).map(|one| self.with(one)).collect()
    }

    /// With `$ref` and `anyOf: [X, null]` out of the way.
    pub(super) fn plain(self) -> Self {
        match self.alternatives().as_slice() {
            [one] => one.resolved(),
            _ => self.resolved(),
        }
    }

    /// Whether null will do.
    pub(super) fn takes_null(self) -> bool {
        let is_null =
            |types: &Value| types == "null" || types.as_array().is_some_and(|all| all.contains(&"null".into()));
        let among =
            self.get("anyOf").and_then(Value::as_array).is_some_and(|all| all.contains(&json!({"type": "null"})));
        among || self.get("type").is_some_and(is_null)
    }

    /// The types it admits but for null; empty for any.
    pub(super) fn types(self) -> Vec<&'a str> {
        let types = match self.get("type") {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        types.into_iter().filter(|name| *name != "null").collect()
    }

    /// The values it admits, each with its description; empty for any.
    pub(super) fn values(self) -> Vec<(&'a str, &'a str)> {
        if let Some(only) = self.text("const") {
            return vec![(only, "")];
        }
        let listed = self.get("enum").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let described = self.get("oneOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let listed = listed.iter().filter_map(|value| Some((value.as_str()?, "")));
        let described = described.iter().map(|one| self.with(one));
        listed.chain(described.filter_map(|one| Some((one.text("const")?, one.text("description")?)))).collect()
    }

    /// The members it knows, in the order of the type.
    pub(super) fn members(self) -> impl Iterator<Item = (&'a str, Self)> {
        let members = self.get("properties").and_then(Value::as_object);
        members.into_iter().flatten().map(move |(name, node)| (name.as_str(), self.with(node)))
    }

    /// The names of the members that must be there, in the order of the type.
    pub(super) fn required(self) -> Vec<&'a str> {
        let required = self.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        required.iter().filter_map(Value::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_every_kind_is_defined_and_every_field_described() {
        fn visit(schema: Schema<'_>, path: &str) {
            if let Some(name) = schema.reference() {
                assert_ne!(schema.resolved().node, schema.node, "{path}: `{name}` is not defined");
            }
            for (name, member) in schema.members() {
                assert!(member.text("description").is_some_and(|text| !text.is_empty()), "{path}.{name}");
                visit(member, &format!("{path}.{name}"));
            }
            for one in schema.alternatives() {
                visit(one, path);
            }
        }
        for kind in Kind::ALL {
            let whole = schema(*kind);
            visit(Schema::of(&whole), kind.as_str());
            for (_, node) in whole["$defs"].as_object().unwrap() {
                visit(Schema { root: &whole, node }, kind.as_str());
            }
        }
    }
}
