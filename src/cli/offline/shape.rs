//! Which resources a file holds: what ECS describes and takes, lists of it, templates and plans.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::resource::{InputFile, Origin, Resource, Tied, tags_of};
use super::source::{Source, is_terraform};
use super::tree::unresolved;
use super::{template, terraform};
use crate::cli::error::Error;
use crate::model::document::UNRESOLVED;
use crate::model::spec::{API_VERSION, ResourceKind};

/// What can be given.
const HELP: &str = "give task definitions as `aws ecs describe-task-definition` prints or `register-task-definition` takes them, a CloudFormation template, or what `terraform show -json` prints";

/// Members that keep several resources together, as ECS's answers do. Beside them stand `failures`: what was asked for
/// and could not be told (API reference, "Failure").
const LISTS: &[(&str, ResourceKind)] = &[
    ("taskDefinitions", ResourceKind::TaskDefinition),
    ("services", ResourceKind::Service),
    ("clusters", ResourceKind::Cluster),
    ("taskSets", ResourceKind::TaskSet),
    ("capacityProviders", ResourceKind::CapacityProvider),
];
/// Members that hold one.
const SINGLE: &[&str] = &["taskDefinition", "service", "cluster", "taskSet", "capacityProvider"];

/// Reads a file.
///
/// # Errors
/// Where it cannot be read, or is no shape that is known: with what it seems to be.
pub(in crate::cli) fn read(name: &str, bytes: Vec<u8>) -> Result<InputFile, Error> {
    let source = Source::read(name, bytes)?;
    let (mut notes, mut has_failures) = (Vec::new(), false);
    let not_judged = |what: Vec<String>| what.into_iter().map(|one| format!("not judged: {one}")).collect();
    let resources = match source.value() {
        Value::Object(root) if template::is_one(root) => {
            let (resources, left_out) = template::read(name, &source)?;
            notes = not_judged(left_out);
            resources
        }
        Value::Object(root) if terraform::is_one(root) => {
            notes = not_judged(terraform::not_judged(source.value()));
            terraform::read(name, source.value())?
        }
        _ => {
            let resources = resources(name, &source)?;
            for one in resources.iter().filter(|one| is_failure(one)) {
                has_failures = true;
                notes.push(format!("not read: {} ({})", one.name, failure_of(&one.document)));
            }
            resources
        }
    };
    Ok(InputFile { name: name.to_owned(), source, resources, notes, has_failures })
}

fn resources(file: &str, source: &Source) -> Result<Vec<Resource>, Error> {
    if let Some((line, column)) = source.short_form() {
        return Err(Error::new(format!(
            "{file}:{line}:{column}: functions like `!Ref` belong in CloudFormation templates"
        ))
        .help("give the whole template, with its `Resources`"));
    }
    let mut found = Vec::new();
    let root = source.value();
    match root {
        Value::Array(list) if list.is_empty() => return Err(unknown(file, "it is an empty list")),
        Value::Array(list) => {
            let what = if source.is_several() { "document" } else { "element" };
            for (index, element) in list.iter().enumerate() {
                if !bare(file, &format!("/{index}"), element, index, &mut found) {
                    let why = seems(element).unwrap_or("it is nothing of ECS's");
                    return Err(unknown(file, &format!("{what} {index} of the list is not known: {why}")));
                }
            }
        }
        Value::Object(_) => {
            if !bare(file, "", root, 0, &mut found) {
                return Err(unknown(file, seems(root).unwrap_or("it has no `containerDefinitions`")));
            }
        }
        Value::String(text) if is_terraform(text) => {
            let why = "it seems to be Terraform's own language; give what `terraform show -json PLANFILE` prints, which has the values";
            return Err(unknown(file, why));
        }
        _ => return Err(unknown(file, "it is neither an object nor a list")),
    }
    Ok(found)
}

/// Takes the resources that a value holds; false where it is nothing of ECS's.
fn bare(file: &str, at: &str, value: &Value, index: usize, found: &mut Vec<Resource>) -> bool {
    let Some(members) = value.as_object() else { return false };
    if let Some(kind) = kind_of(members) {
        found.push(resource(file, at.to_owned(), kind, members, None, index));
        if kind == ResourceKind::Service {
            task_sets(file, at, members, found);
        }
        return true;
    }
    let mut any = false;
    for name in SINGLE {
        let Some(Value::Object(inner)) = members.get(*name) else { continue };
        let Some(kind) = kind_of(inner) else { return false };
        let inside = format!("{at}/{name}");
        let beside = (kind == ResourceKind::TaskDefinition).then(|| (format!("{at}/tags"), members.get("tags")));
        found.push(resource(file, inside.clone(), kind, inner, beside, index));
        if kind == ResourceKind::Service {
            task_sets(file, &inside, inner, found);
        }
        any = true;
    }
    let mut listed = false;
    for (name, kind) in LISTS {
        let Some(Value::Array(list)) = members.get(*name) else { continue };
        for (index, one) in list.iter().enumerate() {
            if !bare(file, &format!("{at}/{name}/{index}"), one, index, found) {
                return false;
            }
        }
        let failures = members.get("failures").and_then(Value::as_array).filter(|_| !listed);
        for (index, one) in failures.into_iter().flatten().enumerate() {
            found.push(failure(file, format!("{at}/failures/{index}"), *kind, one, index));
        }
        listed = true;
    }
    any || listed
}

/// The task sets of a service, as DescribeServices answers with them.
fn task_sets(file: &str, at: &str, service: &Map<String, Value>, found: &mut Vec<Resource>) {
    let Some(of) = found.len().checked_sub(1) else { return };
    let list = service.get("taskSets").and_then(Value::as_array);
    for (index, one) in list.into_iter().flatten().enumerate() {
        let Some(members) = one.as_object() else { continue };
        let at = format!("{at}/taskSets/{index}");
        let task_set = resource(file, at, ResourceKind::TaskSet, members, None, index);
        found.push(Resource { tied: Tied { service: Some(of), ..Tied::default() }, ..task_set });
    }
}

/// What an answer says that it could not tell: it is there, or is not, and nothing is known of it.
fn failure(file: &str, prefix: String, kind: ResourceKind, failure: &Value, index: usize) -> Resource {
    let text = |member: &str| failure.get(member).and_then(Value::as_str);
    let arn = text("arn").map(ToOwned::to_owned);
    let why = format!("{FAILURE}{}", text("reason").or_else(|| text("detail")).unwrap_or("no reason given"));
    Resource {
        name: format!("{file}#{}", arn.clone().unwrap_or_else(|| format!("failures/{index}"))),
        kind,
        origin: Origin::Bare { tags: format!("{prefix}/tags"), prefix },
        document: unresolved(&why),
        tags: None,
        tags_may_come: false,
        arn,
        tied: Tied::default(),
    }
}

/// How the reason of what could not be told begins.
const FAILURE: &str = "failure: ";

fn failure_of(document: &Value) -> &str {
    document.get(UNRESOLVED).and_then(Value::as_str).and_then(|why| why.strip_prefix(FAILURE)).unwrap_or_default()
}

fn is_failure(resource: &Resource) -> bool {
    resource.document.get(UNRESOLVED).is_some()
}

/// What a bare document is, by members that no other has.
fn kind_of(members: &Map<String, Value>) -> Option<ResourceKind> {
    let has = |name: &str| members.contains_key(name);
    // A list of another type, or none at all where a family is named, is the policies' matter: unknown.
    if has("containerDefinitions") || has("family") {
        Some(ResourceKind::TaskDefinition)
    } else if has("taskSetArn") {
        Some(ResourceKind::TaskSet)
    } else if has("serviceName") || has("serviceArn") {
        Some(ResourceKind::Service)
    } else if has("capacityProviderArn") || has("autoScalingGroupProvider") {
        Some(ResourceKind::CapacityProvider)
    } else if has("clusterName") {
        Some(ResourceKind::Cluster)
    } else {
        None
    }
}

/// `beside` is for what DescribeTaskDefinition answers: where the tags next to the document are, and what they are.
fn resource(
    file: &str,
    prefix: String,
    kind: ResourceKind,
    members: &Map<String, Value>,
    beside: Option<(String, Option<&Value>)>,
    index: usize,
) -> Resource {
    let mut document = members.clone();
    let (arn, name) = match kind {
        ResourceKind::TaskDefinition => ("taskDefinitionArn", "family"),
        ResourceKind::Service => ("serviceArn", "serviceName"),
        ResourceKind::Cluster => ("clusterArn", "clusterName"),
        ResourceKind::TaskSet => ("taskSetArn", "id"),
        ResourceKind::CapacityProvider => ("capacityProviderArn", "name"),
    };
    let described = document.contains_key(arn) || beside.is_some();
    let at = match beside {
        Some((at, tags)) => {
            document.shift_remove("tags");
            document.extend(tags.map(|tags| ("tags".to_owned(), tags.clone())));
            at
        }
        None => format!("{prefix}/tags"),
    };
    let tags = match document.get("tags") {
        Some(tags) => tags_of(tags),
        None if described => None,
        // An input without tags makes a resource without tags.
        None => Some(BTreeMap::new()),
    };
    let text = |member: &str| document.get(member).and_then(Value::as_str).map(ToOwned::to_owned);
    Resource {
        name: format!("{file}#{}", text(name).unwrap_or_else(|| index.to_string())),
        kind,
        origin: Origin::Bare { prefix, tags: at },
        arn: text(arn),
        document: Value::Object(document),
        tags,
        tags_may_come: false,
        tied: Tied::default(),
    }
}

/// What a value of another kind seems to be, with what to give instead.
fn seems(value: &Value) -> Option<&'static str> {
    let members = value.as_object()?;
    let has = |name: &str| members.contains_key(name);
    Some(if has("apiVersion") && has("kind") {
        if members.get("apiVersion").and_then(Value::as_str) == Some(API_VERSION) {
            "it seems to be an object of plimsoll's; policies are given with -f"
        } else {
            "it seems to be a Kubernetes manifest"
        }
    } else if has("image") && has("name") {
        "it seems to be a container definition; it has no `containerDefinitions` around it"
    } else if members.get("services").is_some_and(Value::is_object) {
        "it seems to be a Docker Compose file"
    } else if has("terraform_version") {
        "it seems to be Terraform's state; give what `terraform show -json` prints"
    } else if has("artifacts") && has("version") {
        "it seems to be the manifest of CDK's cloud assembly; give the `*.template.json` beside it"
    } else if has("ContainerDefinitions") || has("Family") {
        "it seems to be the properties of a CloudFormation resource; give the whole template"
    } else {
        return None;
    })
}

fn unknown(file: &str, why: &str) -> Error {
    Error::new(format!("`{file}` is no file of ECS's: {why}")).help(HELP)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_value(value: &Value) -> Result<Vec<Resource>, String> {
        read("f.json", value.to_string().into_bytes()).map(|file| file.resources).map_err(|error| error.one_line())
    }

    fn prefix(resource: &Resource) -> &str {
        match &resource.origin {
            Origin::Bare { prefix, .. } => prefix,
            Origin::Converted { .. } => panic!("{resource:?}"),
        }
    }

    #[test]
    fn every_shape_gives_the_bare_document() {
        let bare = json!({ "family": "web", "containerDefinitions": [] });
        let tagged = json!({ "family": "web", "containerDefinitions": [], "tags": [{ "key": "a", "value": "b" }] });
        let described = json!({ "taskDefinition": bare, "tags": [] });
        let tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let with = |tags: Value| json!({ "family": "web", "containerDefinitions": [], "tags": tags });
        for (value, at, tags_at, expected, document) in [
            (bare.clone(), "", "/tags", Some(BTreeMap::new()), &bare),
            (tagged.clone(), "", "/tags", Some(tags), &tagged),
            (described, "/taskDefinition", "/tags", Some(BTreeMap::new()), &with(json!([]))),
            (json!({ "taskDefinition": bare }), "/taskDefinition", "/tags", None, &bare),
        ] {
            let found = read_value(&value).unwrap();
            assert_eq!((prefix(&found[0]), &found[0].tags, &found[0].document), (at, &expected, document));
            assert_eq!(found[0].origin.own("/tags"), tags_at);
            let listed = read_value(&json!([value, value])).unwrap();
            assert_eq!(prefix(&listed[1]), format!("/1{at}"));
        }
    }

    #[test]
    fn services_and_clusters_are_told_from_their_members() {
        let service = json!({ "serviceArn": "arn:aws:ecs:eu-west-1:1:service/prod/web", "serviceName": "web",
            "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/prod", "taskDefinition": "web:1" });
        let cluster = json!({ "clusterName": "prod", "settings": [] });
        let found = read_value(&json!({ "services": [service], "failures": [] })).unwrap();
        assert_eq!((found[0].kind, found[0].name.as_str()), (ResourceKind::Service, "f.json#web"));
        assert_eq!((prefix(&found[0]), &found[0].tags), ("/services/0", &None));
        let found = read_value(&json!({ "cluster": cluster })).unwrap();
        assert_eq!((found[0].kind, found[0].name.as_str()), (ResourceKind::Cluster, "f.json#prod"));
    }

    #[test]
    fn all_that_stands_beside_one_another_is_read() {
        let service =
            json!({ "serviceArn": "a", "serviceName": "web", "taskSets": [{ "taskSetArn": "t", "id": "ecs-svc/1" }] });
        let found = read_value(&json!({ "taskDefinition": { "family": "web" }, "service": service })).unwrap();
        let kinds: Vec<ResourceKind> = found.iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [ResourceKind::TaskDefinition, ResourceKind::Service, ResourceKind::TaskSet]);
        assert_eq!((prefix(&found[2]), found[2].tied.service), ("/service/taskSets/0", Some(1)));
        let found = read_value(&json!({ "services": [service], "failures": [] })).unwrap();
        assert_eq!((found.len(), prefix(&found[1]), found[1].tied.service), (2, "/services/0/taskSets/0", Some(0)));
    }

    #[test]
    fn what_could_not_be_told_is_a_resource_of_which_nothing_is_known() {
        let arn = "arn:aws:ecs:eu-west-1:1:service/prod/gone";
        let answer = json!({ "services": [], "failures": [{ "arn": arn, "reason": "MISSING" }] });
        let file = read("f.json", answer.to_string().into_bytes()).unwrap();
        assert_eq!((file.resources.len(), file.resources[0].kind), (1, ResourceKind::Service));
        assert_eq!((file.has_failures, file.notes), (true, vec![format!("not read: f.json#{arn} (MISSING)")]));
        assert!(is_failure(&file.resources[0]));
    }

    #[test]
    fn what_cannot_be_read_is_told_by_name() {
        for (value, told) in [
            (json!({ "AWSTemplateFormatVersion": "2010-09-09" }), "CloudFormation template without `Resources`"),
            (json!({ "resource_changes": 1 }), "Terraform plan without `resource_changes`"),
            (json!({ "version": 4, "terraform_version": "1.9.0", "serial": 1 }), "terraform show -json"),
            (json!({ "name": "app", "image": "a" }), "no `containerDefinitions`"),
            (json!({ "name": "app" }), "no `containerDefinitions`"),
            (json!([{ "family": "web" }, 1]), "element 1"),
            (json!({ "apiVersion": "v1", "kind": "Pod" }), "Kubernetes"),
            (json!({ "apiVersion": "plimsoll/v1", "kind": "Policy" }), "with -f"),
            (json!({ "services": { "web": {} } }), "Docker Compose"),
            (json!({ "version": "36", "artifacts": {} }), "template.json"),
            (json!({ "Family": "web" }), "whole template"),
            (json!([]), "empty list"),
            (json!("web"), "neither an object nor a list"),
        ] {
            let error = read_value(&value).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        let language = b"resource \"aws_ecs_service\" \"web\" {\n  name = \"web\"\n}\n".to_vec();
        let error = read("main.tf", language).map(|_| ()).unwrap_err().one_line();
        assert!(error.contains("terraform show -json"), "{error}");
        let fragment = b"containerDefinitions: []\nfamily: !Ref Family\n".to_vec();
        let error = read("task.yaml", fragment).map(|_| ()).unwrap_err().one_line();
        assert!(error.contains("task.yaml:2:9: functions like `!Ref`"), "{error}");
    }
}
