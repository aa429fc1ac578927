//! `plan --patches DIR`: what the plan would change of each family, for the team's own code.
//!
//! A patch holds no value that it does not need: values that may be secret are neither tested nor told. The corrected
//! register input is the whole document, so only the file's owner may read it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::error::Error;
use super::plan::private;
use crate::model::mask::{clean_text, mask_value};
use crate::model::{DiffEntry, DiffOp, counted};
use crate::plan::report::PlannedDocuments;
use crate::plan::{Plan, PlannedChange};

/// A revision, and what is to become of it.
struct Wanted<'a> {
    change: &'a PlannedChange,
    documents: &'a PlannedDocuments,
    revision: String,
    services: Vec<String>,
}

/// Writes `FAMILY.patch.json` and `FAMILY.json` for each family that would change, and says which services each is of.
/// Several revisions of one family, or several ways to change one revision, are files of their own.
pub(super) fn write(folder: &Path, plan: &Plan) -> Result<Vec<String>, Error> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Error::new(format!("failed to write into `{}`", folder.display())).caused_by(error.to_string())
    })?;
    let mut told = Vec::new();
    for (family, all) in by_family(plan) {
        let revisions: Vec<&str> = all.iter().map(|one| one.revision.as_str()).collect();
        for (one, name) in all.iter().zip(names(&family, &revisions)) {
            let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
            let documents = one
                .documents
                .read()
                .map_err(|error| Error::new(format!("failed to write `{name}.json`")).caused_by(error.to_string()))?;
            let wanted = documents.wanted;
            private(&folder.join(format!("{name}.json")), &pretty(&Value::Object(wanted)))?;
            private(&folder.join(format!("{name}.patch.json")), &pretty(&json_patch(&one.change.diff)))?;
            let services = clean_text(&one.services.join(", "));
            told.push(format!("wrote {name}.json and {name}.patch.json: {} of {services}", one.revision));
        }
    }
    told.push(match told.len() {
        0 => "no family would change: there is nothing to patch".to_owned(),
        many => format!(
            "wrote {} and their patches to `{}`; a document is whole, secrets included: its mode is 0600",
            counted(many, "document"),
            folder.display()
        ),
    });
    Ok(told)
}

/// What the files of a family are called, for each way to change a revision of it.
fn names(family: &str, revisions: &[&str]) -> Vec<String> {
    let name = |(index, revision): (usize, &&str)| {
        let short = revision.replace(':', "-");
        match revisions.iter().filter(|other| *other == revision).count() {
            _ if revisions.len() == 1 => family.to_owned(),
            1 => short,
            _ => format!("{short}-{}", index + 1),
        }
    };
    revisions.iter().enumerate().map(name).collect()
}

/// By family; within it in the order of the plan, each way to change a revision once.
fn by_family(plan: &Plan) -> BTreeMap<String, Vec<Wanted<'_>>> {
    let mut families: BTreeMap<String, Vec<Wanted<'_>>> = BTreeMap::new();
    for change in plan.campaigns.iter().flat_map(|campaign| &campaign.changes) {
        let (Some(from), Some(documents)) = (&change.from, &change.documents) else { continue };
        let service = change.resource.short().to_owned();
        let all = families.entry(from.family().to_owned()).or_default();
        let same =
            |one: &&mut Wanted<'_>| one.revision == from.short() && one.documents.wanted_hash == documents.wanted_hash;
        match all.iter_mut().find(same) {
            Some(known) => known.services.push(service),
            None => all.push(Wanted { change, documents, revision: from.short().to_owned(), services: vec![service] }),
        }
    }
    families
}

/// RFC 6902, for the register input of the revision. Before a value is taken away it is tested, so far as it may be
/// shown: so the patch does not fit another document.
fn json_patch(diff: &[DiffEntry]) -> Value {
    let mut operations = Vec::new();
    for entry in diff {
        if let Some(from) = &entry.from {
            tests(&entry.path, from, &mut operations);
        }
        operations.push(match entry.op {
            DiffOp::Add => json!({ "op": "add", "path": entry.path, "value": entry.to }),
            DiffOp::Replace => json!({ "op": "replace", "path": entry.path, "value": entry.to }),
            DiffOp::Remove => json!({ "op": "remove", "path": entry.path }),
        });
    }
    Value::Array(operations)
}

/// The value as a whole, or those of its leaves that may be shown.
fn tests(path: &str, value: &Value, operations: &mut Vec<Value>) {
    if mask_value(path, value) == *value {
        operations.push(json!({ "op": "test", "path": path, "value": value }));
        return;
    }
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                tests(&format!("{path}/{index}"), item, operations);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let step = name.replace('~', "~0").replace('/', "~1");
                tests(&format!("{path}/{step}"), member, operations);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DocumentKind;

    #[test]
    fn no_two_patches_have_one_name() {
        assert_eq!(names("web", &["web:7"]), ["web"]);
        assert_eq!(names("web", &["web:7", "web:8"]), ["web-7", "web-8"]);
        assert_eq!(names("web", &["web:7", "web:8", "web:7"]), ["web-7-1", "web-8", "web-7-3"]);
    }

    #[test]
    fn a_patch_tests_what_may_be_shown_and_tells_no_secret() {
        let diff = [DiffEntry {
            document: DocumentKind::TaskDefinition,
            op: DiffOp::Remove,
            path: "/containerDefinitions/0/environment/1".to_owned(),
            from: Some(json!({ "name": "TOKEN", "value": "s3cret" })),
            to: None,
            policy: "p".to_owned(),
        }];
        assert_eq!(
            json_patch(&diff),
            json!([
                { "op": "test", "path": "/containerDefinitions/0/environment/1/name", "value": "TOKEN" },
                { "op": "remove", "path": "/containerDefinitions/0/environment/1" }
            ])
        );
    }
}
