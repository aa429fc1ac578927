//! What a file holds that policies can be asked about, and where in the file each part of it was written.

use std::collections::BTreeMap;

use serde_json::Value;

use super::dialect::{Converted, Dialect};
use super::members::Type;
use super::source::Source;
use crate::model::spec::ResourceKind;

/// A file, and the resources in it.
pub(in crate::cli) struct InputFile {
    pub(in crate::cli) name: String,
    pub(in crate::cli) source: Source,
    pub(in crate::cli) resources: Vec<Resource>,
    /// What in it was not judged, for whoever gave it.
    pub(in crate::cli) notes: Vec<String>,
    /// Whether ECS's answer says that some of what it was asked for could not be told.
    pub(in crate::cli) has_failures: bool,
}

/// A resource in a file.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Resource {
    /// `FILE#FAMILY`, `FILE#LOGICAL_ID` or `FILE#ADDRESS`.
    pub(in crate::cli) name: String,
    pub(in crate::cli) kind: ResourceKind,
    pub(in crate::cli) origin: Origin,
    /// With ECS's names, and its tags among its members, wherever the file has them: there fixes edit them.
    pub(in crate::cli) document: Value,
    /// `None`: the file does not say, or they cannot be known.
    pub(in crate::cli) tags: Option<BTreeMap<String, String>>,
    /// Whether a deployment may add tags that are not in the file, as CloudFormation does with those of the stack.
    pub(in crate::cli) tags_may_come: bool,
    /// What ECS calls it, where the file says so.
    pub(in crate::cli) arn: Option<String>,
    /// The others of the file that it is surely tied to, by their place in `InputFile::resources`.
    pub(in crate::cli) tied: Tied,
}

/// What a file surely says of how its resources belong together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli) struct Tied {
    /// The only service of a task definition.
    pub(in crate::cli) service: Option<usize>,
    /// The cluster around it.
    pub(in crate::cli) cluster: Option<usize>,
    /// What a service runs.
    pub(in crate::cli) task_definition: Option<usize>,
}

/// What Terraform's provider takes as JSON text.
pub(super) const IN_TEXT: &str = "/containerDefinitions";

/// How the document was written.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) enum Origin {
    /// As it is, at this pointer.
    Bare {
        prefix: String,
        /// Where its tags stand: among its members, or beside it, as DescribeTaskDefinition answers.
        tags: String,
    },
    /// In the words of another tool.
    Converted {
        dialect: Dialect,
        /// The shape of the document.
        shape: &'static str,
        /// The resource.
        at: String,
        /// Where its members stand that are not there.
        around: String,
        /// From pointers into the document to pointers into the file.
        places: BTreeMap<String, String>,
    },
}

impl Origin {
    pub(super) fn converted(dialect: Dialect, shape: &'static str, at: &str, around: &str, from: &Converted) -> Self {
        Self::Converted { dialect, shape, at: at.to_owned(), around: around.to_owned(), places: from.places.clone() }
    }

    /// The pointer into the file of what `path` names, or of the nearest thing around it that was written.
    pub(in crate::cli) fn nearest(&self, path: &str) -> String {
        match self {
            Self::Bare { .. } => self.own(path),
            Self::Converted { at, places, .. } => {
                let (known, _) = known_part(places, path);
                if known.is_empty() { at.clone() } else { places.get(known).cloned().unwrap_or_else(|| at.clone()) }
            }
        }
    }

    /// The pointer of what `path` names, in the words of the file, also where nothing was written yet. Of Terraform's
    /// resources from their address on: a plan is not what people edit.
    pub(in crate::cli) fn own(&self, path: &str) -> String {
        match self {
            Self::Bare { prefix, tags } => match path.strip_prefix("/tags") {
                Some(inside) if inside.is_empty() || inside.starts_with('/') => format!("{tags}{inside}"),
                _ => format!("{prefix}{path}"),
            },
            Self::Converted { dialect, shape, around, places, .. } => {
                let (known, rest) = known_part(places, path);
                let kind = super::dialect::type_at(Type::Shape(shape), known);
                let base = if known.is_empty() { around } else { places.get(known).unwrap_or(around) };
                // What stands in a text is in ECS's words already.
                // What stands in Terraform's JSON text has ECS's names, and all of it the place of the text.
                if let (Dialect::Terraform, Some(inside)) = (dialect, path.strip_prefix(IN_TEXT)) {
                    return format!("/container_definitions{inside}");
                }
                let own = format!("{base}{}", dialect.steps(kind, rest));
                match dialect {
                    Dialect::CloudFormation => own,
                    Dialect::Terraform => own.strip_prefix(around.as_str()).unwrap_or(&own).to_owned(),
                }
            }
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(around, _)| around)
}

/// The longest beginning of the path that was written, and what is left of it.
fn known_part<'a>(places: &BTreeMap<String, String>, path: &'a str) -> (&'a str, &'a str) {
    let mut known = path;
    while !known.is_empty() && !places.contains_key(known) {
        known = parent(known);
    }
    (known, path.get(known.len()..).unwrap_or(""))
}

impl Resource {
    /// The text of a member of the document.
    pub(in crate::cli) fn text(&self, member: &str) -> Option<&str> {
        self.document.get(member).and_then(Value::as_str)
    }
}

/// The tags of a list as ECS has them. `None` where one of them cannot be told.
pub(super) fn tags_of(tags: &Value) -> Option<BTreeMap<String, String>> {
    let pair = |tag: &Value| {
        let key = tag.get("key")?.as_str()?.to_owned();
        let value = match tag.get("value") {
            None | Some(Value::Null) => "",
            Some(value) => value.as_str()?,
        };
        Some((key, value.to_owned()))
    };
    tags.as_array()?.iter().map(pair).collect()
}
