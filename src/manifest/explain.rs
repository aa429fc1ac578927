//! What a kind or a field is, in words: for `explain KIND[.field]`. All of it comes from the schemas, and so from the
//! documentation of the types.

use std::fmt::Write;

use serde_json::Value;

use super::cases::ONE;
use super::schema::Schema;

/// What the field at the end of `path` of a kind with this schema is: its type, description, values, default, and the fields in it.
///
/// The path begins below the object (`["spec", "checks", "require"]`); elements of lists and members of maps need no
/// step of their own. An empty path explains the kind. `None` where there is no such field.
#[must_use]
pub fn explain(kind: &str, whole: &Value, path: &[&str]) -> Option<String> {
    let mut schema = Schema::of(whole);
    let mut required = false;
    for step in path {
        let inside = element(schema);
        required = inside.iter().any(|shape| shape.required().contains(step));
        schema = inside.iter().find_map(|shape| shape.members().find(|(name, _)| name == step))?.1;
    }
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = describe(&mut text, kind, path, schema, required);
    Some(text)
}

/// What a test in a test file is, with all of its fields.
#[must_use]
pub fn explain_case() -> String {
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = describe(&mut text, "PolicyTest", &[], Schema::of(&ONE), true);
    text
}

fn describe(
    text: &mut String,
    kind: &str,
    path: &[&str],
    schema: Schema<'_>,
    required: bool,
) -> Result<(), std::fmt::Error> {
    let name = std::iter::once(kind).chain(path.iter().copied()).collect::<Vec<_>>().join(".");
    let presence = if required { ", required" } else { "" };
    writeln!(text, "{name} <{}>{presence}", type_of(schema))?;
    let plain = schema.resolved().plain();
    let own = schema.text("description");
    let of_type = plain.text("description").filter(|text| Some(*text) != own);
    for paragraph in own.into_iter().chain(of_type) {
        writeln!(text, "\n{paragraph}")?;
    }
    if let Some(default) = schema.get("default") {
        writeln!(text, "\nDefault: {default}")?;
    }
    let values = element(schema).iter().flat_map(|shape| shape.values()).collect::<Vec<_>>();
    table(text, "Values", values.into_iter().map(|(name, about)| (name.to_owned(), about.to_owned())))?;
    for shape in element(schema) {
        let needed = shape.required();
        let members = shape.members().map(|(name, member)| {
            let star = if needed.contains(&name) { ", required" } else { "" };
            let about = member.text("description").unwrap_or_default().lines().next().unwrap_or_default();
            (format!("{name} <{}>{star}", type_of(member)), about.to_owned())
        });
        let title = if path.is_empty() { "Fields" } else { shape.text("description").unwrap_or("Fields") };
        let title = if Some(title) == own || Some(title) == of_type { "Fields" } else { title };
        table(text, title.trim_end_matches('.'), members)?;
    }
    Ok(())
}

fn table(text: &mut String, title: &str, rows: impl Iterator<Item = (String, String)>) -> Result<(), std::fmt::Error> {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n{title}:")?;
    for (name, about) in rows {
        writeln!(text, "  {name}")?;
        if !about.is_empty() {
            writeln!(text, "      {about}")?;
        }
    }
    Ok(())
}

/// The shapes of what a field holds, lists and maps seen through; several where it is one of several.
fn element(schema: Schema<'_>) -> Vec<Schema<'_>> {
    let alternatives = schema.resolved().alternatives();
    if alternatives.len() > 1 {
        return alternatives.into_iter().map(Schema::resolved).collect();
    }
    let plain = schema.resolved().plain();
    let inner = plain.get("items").or_else(|| plain.get("additionalProperties").filter(|inner| inner.is_object()));
    inner.map_or_else(|| vec![plain], |inner| element(plain.with(inner)))
}

/// `string`, `list of string`, `map of object`, `Span`, ….
fn type_of(schema: Schema<'_>) -> String {
    let resolved = schema.resolved();
    if resolved.alternatives().len() > 1 {
        return "object".to_owned();
    }
    let plain = resolved.plain();
    if !plain.values().is_empty() {
        return "string".to_owned();
    }
    if let Some(items) = plain.get("items") {
        return format!("list of {}", type_of(plain.with(items)));
    }
    if let Some(inner @ Value::Object(_)) = plain.get("additionalProperties") {
        return format!("map of {}", type_of(plain.with(inner)));
    }
    match plain.types().as_slice() {
        [] => "any".to_owned(),
        types => types.join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::schema;
    use crate::model::spec::Kind;

    fn explain(kind: Kind, path: &[&str]) -> Option<String> {
        super::explain(kind.as_str(), &schema(kind), path)
    }

    #[test]
    fn a_field_is_explained_through_lists_maps_and_alternatives() {
        let text = explain(Kind::Policy, &["spec", "checks", "fix", "edits"]).unwrap();
        assert!(text.starts_with("Policy.spec.checks.fix.edits <list of object>, required\n"), "{text}");
        for part in ["set <string>, required", "remove <string>, required", "Replaces exactly that node"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let text = explain(Kind::RolloutStrategy, &["spec", "onFailure"]).unwrap();
        for part in ["Default: \"pause\"", "rollback", "All that was changed is taken back."] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(explain(Kind::Binding, &["spec", "scope", "include", "tags"]).is_some());
        assert!(explain(Kind::Policy, &["spec", "params", "default"]).is_some());
        assert_eq!(explain(Kind::Policy, &["spec", "nothing"]), None);
    }

    #[test]
    fn every_kind_is_explained() {
        for kind in Kind::ALL {
            assert!(explain(*kind, &[]).unwrap().contains("spec <object>, required"), "{kind}");
        }
    }
}
