//! From the names and values of other tools to ECS's own, and back again for people. Knows which member is which, and
//! nothing of functions or plans.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::members::Type;
use super::tree::{Content, Tree, step, unresolved};

/// Whose names and spellings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Dialect {
    /// PascalCase (CloudFormation Template Reference, `AWS::ECS::*`).
    CloudFormation,
    /// snake_case, blocks as lists (Terraform AWS provider, `aws_ecs_*`).
    Terraform,
}

/// Names that are not ECS's own in another case: shape, theirs, ECS's.
const CLOUDFORMATION: &[(&str, &str, &str)] = &[
    ("Cluster", "ClusterSettings", "settings"),
    ("EFSAuthorizationConfig", "IAM", "iam"),
    ("EFSVolumeConfiguration", "FilesystemId", "fileSystemId"),
    ("ProxyConfiguration", "ProxyConfigurationProperties", "properties"),
    ("Service", "PlacementStrategies", "placementStrategy"),
    ("Service", "Role", "roleArn"),
    ("Volume", "EFSVolumeConfiguration", "efsVolumeConfiguration"),
    ("Volume", "FSxWindowsFileServerVolumeConfiguration", "fsxWindowsFileServerVolumeConfiguration"),
    ("Volume", "S3FilesVolumeConfiguration", "s3filesVolumeConfiguration"),
];
const TERRAFORM: &[(&str, &str, &str)] = &[
    ("Cluster", "name", "clusterName"),
    ("Cluster", "setting", "settings"),
    ("DeploymentConfiguration", "lifecycle_hook", "lifecycleHooks"),
    ("ExecuteCommandLogConfiguration", "s3_bucket_encryption_enabled", "s3EncryptionEnabled"),
    ("LogConfiguration", "secret_option", "secretOptions"),
    ("Service", "iam_role", "roleArn"),
    ("Service", "load_balancer", "loadBalancers"),
    ("Service", "name", "serviceName"),
    ("Service", "ordered_placement_strategy", "placementStrategy"),
    ("Service", "volume_configuration", "volumeConfigurations"),
    ("ServiceConnectConfiguration", "service", "services"),
    ("ServiceConnectService", "client_alias", "clientAliases"),
    ("TaskDefinition", "inference_accelerator", "inferenceAccelerators"),
    ("TaskDefinition", "volume", "volumes"),
    ("TaskSet", "load_balancer", "loadBalancers"),
    ("Volume", "configure_at_launch", "configuredAtLaunch"),
];

impl Dialect {
    const fn names(self) -> &'static [(&'static str, &'static str, &'static str)] {
        match self {
            Self::CloudFormation => CLOUDFORMATION,
            Self::Terraform => TERRAFORM,
        }
    }

    /// ECS's name of a member and its type.
    fn ecs_name(self, kind: Type<'_>, theirs: &str) -> (String, Type<'static>) {
        if let Type::Shape(shape) = kind
            && let Some((_, _, name)) = self.names().iter().find(|(of, known, _)| *of == shape && *known == theirs)
        {
            let known = kind.member(name).map_or(Type::Unknown, |(_, kind)| kind);
            return ((*name).to_owned(), known);
        }
        if let Some((name, kind)) = kind.member(theirs) {
            return (name.to_owned(), kind);
        }
        let name = match self {
            Self::CloudFormation => with_first(theirs, |first| first.to_ascii_lowercase()),
            Self::Terraform => camel(theirs),
        };
        (name, Type::Unknown)
    }

    /// What the tool calls a member.
    fn own_name(self, kind: Type<'_>, name: &str) -> String {
        if let Type::Shape(shape) = kind
            && let Some((_, theirs, _)) = self.names().iter().find(|(of, _, known)| *of == shape && *known == name)
        {
            return (*theirs).to_owned();
        }
        match self {
            Self::CloudFormation => with_first(name, |first| first.to_ascii_uppercase()),
            Self::Terraform => snake(name),
        }
    }

    /// The names of the steps of a pointer into ECS's document, below a node of the given type.
    pub(super) fn steps(self, kind: Type<'_>, pointer: &str) -> String {
        let mut kind = kind;
        let mut own = String::new();
        for token in pointer.split('/').skip(1) {
            let name = token.replace("~1", "/").replace("~0", "~");
            if let Type::List(_) = kind {
                own = step(&own, &name);
                kind = kind.element();
            } else if kind == Type::Map {
                own = step(&own, &name);
                kind = Type::Text;
            } else {
                own = step(&own, &self.own_name(kind, &name));
                kind = kind.member(&name).map_or(Type::Unknown, |(_, kind)| kind);
            }
        }
        own
    }

    /// A value with the tool's names in it.
    pub(super) fn spelled(self, kind: Type<'_>, value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(|item| self.spelled(kind.element(), item)).collect(),
            Value::Object(members) if kind != Type::Map => {
                let spelled = |(name, member): (&String, &Value)| {
                    let inner = kind.member(name).map_or(Type::Unknown, |(_, kind)| kind);
                    (self.own_name(kind, name), self.spelled(inner, member))
                };
                Value::Object(members.iter().map(spelled).collect())
            }
            other => other.clone(),
        }
    }
}

/// The type of what a pointer into ECS's document names.
pub(super) fn type_at(kind: Type<'static>, pointer: &str) -> Type<'static> {
    pointer.split('/').skip(1).fold(kind, |kind, token| match kind {
        Type::List(_) => kind.element(),
        Type::Map => Type::Text,
        _ => kind.member(token).map_or(Type::Unknown, |(_, kind)| kind),
    })
}

/// A document with ECS's names, and where each of its nodes was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Converted {
    pub(super) document: Value,
    /// From pointers into the document to pointers into the file.
    pub(super) places: BTreeMap<String, String>,
}

/// Gives a tree ECS's names, and its values ECS's types.
///
/// CloudFormation makes text of every scalar before it hands it to a resource, so that `512` and `"512"` are the same to
/// it (AWS's `cloudformation-validate-template-model`, module `coercion`); here each gets the type of ECS's member:
/// `Privileged: "true"` is true, `Cpu: 256` is "256". What cannot have it keeps the type it has. Terraform's plans have
/// values in the provider's types already; what has the wrong one in `container_definitions` is refused by the provider,
/// and stays what it is here too.
pub(super) fn convert(tree: &Tree, shape: &'static str, dialect: Dialect) -> Converted {
    let mut conversion = Conversion { dialect, places: BTreeMap::new() };
    let document = conversion.value(tree, Type::Shape(shape), String::new());
    Converted { document, places: conversion.places }
}

struct Conversion {
    dialect: Dialect,
    places: BTreeMap<String, String>,
}

impl Conversion {
    fn value(&mut self, tree: &Tree, kind: Type<'static>, pointer: String) -> Value {
        let value = match &tree.content {
            Content::Unresolved(why) => unresolved(why),
            Content::Leaf(leaf) => match self.dialect {
                Dialect::CloudFormation => coerced(leaf, kind),
                Dialect::Terraform => leaf.clone(),
            },
            // A block that there can be one of at most is a list of one (Terraform's JSON output format, "Expression").
            Content::List(items) if matches!((self.dialect, kind), (Dialect::Terraform, Type::Shape(_))) => {
                match items.as_slice() {
                    [only] => return self.value(only, kind, pointer),
                    _ => items.iter().map(Tree::to_json).collect(),
                }
            }
            Content::List(items) => {
                let element = kind.element();
                let each = |(index, item)| self.value(item, element, format!("{pointer}/{index}"));
                items.iter().enumerate().map(each).collect()
            }
            Content::Map(members) => {
                let mut converted = Map::new();
                for (theirs, member) in members {
                    let (name, inner) = match kind {
                        Type::Map => (theirs.clone(), Type::Text),
                        _ => self.dialect.ecs_name(kind, theirs),
                    };
                    let value = self.value(member, inner, step(&pointer, &name));
                    converted.insert(name, value);
                }
                Value::Object(converted)
            }
        };
        self.places.insert(pointer, tree.at.clone());
        value
    }
}

fn coerced(leaf: &Value, kind: Type<'_>) -> Value {
    let converted = match (kind, leaf) {
        (Type::Text, Value::Number(number)) => Some(Value::String(number.to_string())),
        (Type::Text, Value::Bool(flag)) => Some(Value::String(flag.to_string())),
        (Type::Flag, Value::String(text)) => match text.to_ascii_lowercase().as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        (Type::Whole, Value::String(text)) => text.trim().parse::<i64>().ok().map(Value::from),
        (Type::Number, Value::String(text)) => {
            text.trim().parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number)
        }
        _ => None,
    };
    converted.unwrap_or_else(|| leaf.clone())
}

fn with_first(name: &str, change: impl FnOnce(&char) -> char) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| std::iter::once(change(&first)).chain(characters).collect())
}

fn camel(name: &str) -> String {
    let mut camel = String::new();
    let mut after_underscore = false;
    for c in name.chars() {
        if c == '_' {
            after_underscore = true;
        } else {
            camel.push(if after_underscore { c.to_ascii_uppercase() } else { c });
            after_underscore = false;
        }
    }
    camel
}

/// `sizeInGiB` is `size_in_gib`: an underscore where a small letter or digit is followed by a capital, but for the unit.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    let mut small = false;
    let name = name.replace("GiB", "Gib").replace("MiB", "Mib");
    for c in name.chars() {
        if c.is_ascii_uppercase() && small {
            snake.push('_');
        }
        small = !c.is_ascii_uppercase();
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(dialect: Dialect, shape: &'static str, theirs: Value, ecs: Value) {
        let found = convert(&Tree::of(&theirs, "/x"), shape, dialect);
        assert_eq!(found.document, ecs);
        for pointer in found.places.keys() {
            assert!(found.document.pointer(pointer).is_some(), "{pointer}");
        }
    }

    #[test]
    fn properties_get_ecs_s_names_and_the_author_s_keys_stay() {
        check(
            Dialect::CloudFormation,
            "TaskDefinition",
            json!({
                "Cpu": 256, "EnableFaultInjection": "false", "ContainerDefinitions": [{
                    "Name": "app", "Cpu": "10", "Privileged": "True", "DockerLabels": { "Team-A": 1, "x.y/Z": "b" },
                    "LogConfiguration": { "LogDriver": "awslogs", "Options": { "awslogs-group": "g", "Mode": "m" } },
                    "MemberOfTomorrow": { "DeepOne": [1] },
                }],
                "Volumes": [{ "Name": "v", "EFSVolumeConfiguration": {
                    "FilesystemId": "fs-1", "TransitEncryptionPort": "2049", "AuthorizationConfig": { "IAM": "ENABLED" } } }],
                "ProxyConfiguration": { "ContainerName": "p", "ProxyConfigurationProperties": [{ "Name": "n", "Value": 1 }] },
                "Tags": [{ "Key": "k", "Value": true }], "EphemeralStorage": { "SizeInGiB": 30 },
            }),
            json!({
                "cpu": "256", "enableFaultInjection": false, "containerDefinitions": [{
                    "name": "app", "cpu": 10, "privileged": true, "dockerLabels": { "Team-A": "1", "x.y/Z": "b" },
                    "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "g", "Mode": "m" } },
                    "memberOfTomorrow": { "deepOne": [1] },
                }],
                "volumes": [{ "name": "v", "efsVolumeConfiguration": {
                    "fileSystemId": "fs-1", "transitEncryptionPort": 2049, "authorizationConfig": { "iam": "ENABLED" } } }],
                "proxyConfiguration": { "containerName": "p", "properties": [{ "name": "n", "value": "1" }] },
                "tags": [{ "key": "k", "value": "true" }], "ephemeralStorage": { "sizeInGiB": 30 },
            }),
        );
    }

    #[test]
    fn what_has_the_wrong_type_keeps_it() {
        check(
            Dialect::CloudFormation,
            "ContainerDefinition",
            json!({ "Privileged": "maybe", "Cpu": "a lot", "Command": "x", "Environment": { "A": "b" } }),
            json!({ "privileged": "maybe", "cpu": "a lot", "command": "x", "environment": { "a": "b" } }),
        );
    }

    #[test]
    fn blocks_and_attributes_get_ecs_s_names() {
        check(
            Dialect::Terraform,
            "TaskDefinition",
            json!({ "pid_mode": "host", "runtime_platform": [{ "operating_system_family": "LINUX" }],
                "volume": [{ "name": "v", "efs_volume_configuration": [{ "file_system_id": "fs", "authorization_config": [{ "iam": "ENABLED" }] }] }] }),
            json!({ "pidMode": "host", "runtimePlatform": { "operatingSystemFamily": "LINUX" },
                "volumes": [{ "name": "v", "efsVolumeConfiguration": { "fileSystemId": "fs", "authorizationConfig": { "iam": "ENABLED" } } }] }),
        );
    }

    #[test]
    fn people_get_the_names_they_wrote() {
        let task = Type::Shape("TaskDefinition");
        for (dialect, ecs, own) in [
            (
                Dialect::CloudFormation,
                "/containerDefinitions/0/dockerLabels/a.b",
                "/ContainerDefinitions/0/DockerLabels/a.b",
            ),
            (
                Dialect::CloudFormation,
                "/volumes/1/efsVolumeConfiguration/fileSystemId",
                "/Volumes/1/EFSVolumeConfiguration/FilesystemId",
            ),
            (Dialect::Terraform, "/volumes/1/efsVolumeConfiguration/iam", "/volume/1/efs_volume_configuration/iam"),
            (Dialect::Terraform, "/ephemeralStorage/sizeInGiB", "/ephemeral_storage/size_in_gib"),
        ] {
            assert_eq!(dialect.steps(task, ecs), own);
        }
        let value = json!([{ "name": "a", "valueFrom": "b" }]);
        let kind = type_at(task, "/containerDefinitions/0/secrets");
        assert_eq!(Dialect::CloudFormation.spelled(kind, &value), json!([{ "Name": "a", "ValueFrom": "b" }]));
    }
}
