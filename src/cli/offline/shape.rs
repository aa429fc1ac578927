//! Which task definitions a file holds: DescribeTaskDefinition's answer, RegisterTaskDefinition's input, lists of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::text::JsonText;
use crate::cli::error::Error;
use crate::model::TaskDefinitionArn;

/// A file, and the task definitions in it.
pub(in crate::cli) struct TaskDefinitionFile {
    pub(in crate::cli) name: String,
    pub(in crate::cli) json: JsonText,
    pub(in crate::cli) resources: Vec<Resource>,
}

/// A task definition in a file.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Resource {
    /// `FILE#FAMILY`
    pub(in crate::cli) name: String,
    /// Where the bare document stands in the file.
    pub(in crate::cli) prefix: String,
    /// Without its tags.
    pub(in crate::cli) document: Value,
    /// `None`: the file does not say; DescribeTaskDefinition tells them only when asked.
    pub(in crate::cli) tags: Option<BTreeMap<String, String>>,
    /// Where it was registered, if it says so.
    pub(in crate::cli) arn: Option<TaskDefinitionArn>,
}

impl Resource {
    pub(in crate::cli) fn family(&self) -> Option<&str> {
        self.document.get("family").and_then(Value::as_str)
    }
}

/// Reads a file.
///
/// # Errors
/// Where it is no JSON, or no shape that is known: with what it seems to be.
pub(in crate::cli) fn read(name: &str, bytes: Vec<u8>) -> Result<TaskDefinitionFile, Error> {
    let text =
        String::from_utf8(bytes).map_err(|_| Error::new(format!("`{name}` is not UTF-8")).help("save it as UTF-8"))?;
    let json = JsonText::parse(text).map_err(|fault| {
        Error::new(format!("{name}:{}:{}: {}", fault.line, fault.column, fault.message))
            .help("a task definition file is JSON, as `aws ecs describe-task-definition` prints it")
    })?;
    let resources = resources(name, &json.value)?;
    Ok(TaskDefinitionFile { name: name.to_owned(), json, resources })
}

fn resources(file: &str, value: &Value) -> Result<Vec<Resource>, Error> {
    match value {
        Value::Array(list) if list.is_empty() => Err(unknown(file, "it is an empty list")),
        Value::Array(list) => {
            let one = |(index, element): (usize, &Value)| {
                resource(file, &format!("/{index}"), element, index)
                    .ok_or_else(|| unknown(file, &format!("element {index} of the list is no task definition")))
            };
            list.iter().enumerate().map(one).collect()
        }
        Value::Object(members) => {
            let has = |name: &str| members.contains_key(name);
            if has("AWSTemplateFormatVersion") || (has("Resources") && !has("containerDefinitions")) {
                return Err(not_yet(file, "a CloudFormation template"));
            }
            if has("terraform_version") || has("planned_values") || has("resource_changes") {
                return Err(not_yet(file, "a Terraform plan"));
            }
            // `taskDefinitions` is how several answers are kept together.
            if let Some(Value::Array(list)) = members.get("taskDefinitions") {
                let one = |(index, element): (usize, &Value)| {
                    resource(file, &format!("/taskDefinitions/{index}"), element, index).ok_or_else(|| {
                        unknown(file, &format!("element {index} of `taskDefinitions` is no task definition"))
                    })
                };
                return list.iter().enumerate().map(one).collect();
            }
            resource(file, "", value, 0)
                .map(|one| vec![one])
                .ok_or_else(|| unknown(file, "it has no `containerDefinitions`"))
        }
        _ => Err(unknown(file, "it is neither an object nor a list")),
    }
}

fn resource(file: &str, at: &str, value: &Value, index: usize) -> Option<Resource> {
    let members = value.as_object()?;
    let (prefix, document, beside) = match members.get("taskDefinition") {
        Some(inner @ Value::Object(_)) => (format!("{at}/taskDefinition"), inner, Some(members.get("tags"))),
        _ => (at.to_owned(), value, None),
    };
    let mut document = document.as_object()?.clone();
    // A list of another type, or none at all where a family is named, is the policies' matter: unknown.
    if !document.contains_key("containerDefinitions") && !document.contains_key("family") {
        return None;
    }
    let own = document.shift_remove("tags");
    let described = document.contains_key("taskDefinitionArn");
    let tags = match (beside, own) {
        (Some(Some(tags)), _) => tags_of(tags),
        (Some(None), _) => None,
        (None, Some(tags)) => tags_of(&tags),
        (None, None) if described => None,
        // RegisterTaskDefinition's input without tags makes a revision without tags.
        (None, None) => Some(BTreeMap::new()),
    };
    let arn = document.get("taskDefinitionArn").and_then(Value::as_str).and_then(|arn| arn.parse().ok());
    let family = document.get("family").and_then(Value::as_str).map_or_else(|| index.to_string(), ToOwned::to_owned);
    Some(Resource { name: format!("{file}#{family}"), prefix, document: Value::Object(document), tags, arn })
}

fn tags_of(tags: &Value) -> Option<BTreeMap<String, String>> {
    let pair = |tag: &Value| {
        let key = tag.get("key")?.as_str()?.to_owned();
        Some((key, tag.get("value").and_then(Value::as_str).unwrap_or("").to_owned()))
    };
    tags.as_array()?.iter().map(pair).collect()
}

fn unknown(file: &str, why: &str) -> Error {
    Error::new(format!("`{file}` is no task definition file: {why}")).help(
        "use the output of `aws ecs describe-task-definition`, the input of `aws ecs register-task-definition`, or a list of either",
    )
}

fn not_yet(file: &str, what: &str) -> Error {
    Error::new(format!("`{file}` is {what}, which this version cannot read yet"))
        .help("render it to the input of `aws ecs register-task-definition` first")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_value(value: &Value) -> Result<Vec<Resource>, String> {
        read("f.json", value.to_string().into_bytes()).map(|file| file.resources).map_err(|error| error.one_line())
    }

    #[test]
    fn every_shape_gives_the_bare_document() {
        let bare = json!({ "family": "web", "containerDefinitions": [] });
        let tagged = json!({ "family": "web", "containerDefinitions": [], "tags": [{ "key": "a", "value": "b" }] });
        let described = json!({ "taskDefinition": bare, "tags": [] });
        let tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        for (value, prefix, expected) in [
            (bare.clone(), "", Some(BTreeMap::new())),
            (tagged, "", Some(tags)),
            (described, "/taskDefinition", Some(BTreeMap::new())),
            (json!({ "taskDefinition": bare }), "/taskDefinition", None),
        ] {
            let found = read_value(&value).unwrap();
            assert_eq!((found[0].prefix.as_str(), &found[0].tags, &found[0].document), (prefix, &expected, &bare));
            let listed = read_value(&json!([value, value])).unwrap();
            assert_eq!(listed[1].prefix, format!("/1{prefix}"));
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_by_name() {
        for (value, told) in [
            (json!({ "AWSTemplateFormatVersion": "2010-09-09" }), "CloudFormation"),
            (json!({ "terraform_version": "1.9.0" }), "Terraform"),
            (json!({ "name": "app", "image": "a" }), "no `containerDefinitions`"),
            (json!([{ "family": "web" }, 1]), "element 1"),
            (json!([]), "empty list"),
            (json!("web"), "neither an object nor a list"),
        ] {
            let error = read_value(&value).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
