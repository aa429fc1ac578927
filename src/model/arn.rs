//! Amazon Resource Names of what ECS knows, parsed once. The only code that knows their grammar.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What was given is not an ARN of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct ParseArnError {
    text: String,
    wanted: &'static str,
}

/// The parts all ARNs share: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
struct Parts<'a> {
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

fn split(text: &str) -> Option<Parts<'_>> {
    let mut parts = text.splitn(6, ':');
    let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = arn == "arn" && !partition.is_empty() && service == "ecs" && !resource.is_empty();
    whole.then_some(Parts { region, account, resource })
}

macro_rules! arn {
    ($(#[$doc:meta])* $name:ident, $wanted:literal, $resource:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        // INVARIANT: the text is an ARN of ECS whose resource part starts with this kind's prefix. Clones share it: a fleet
        // names everything many times.
        pub struct $name(Arc<str>);

        impl $name {
            /// The ARN's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The same, not another copy of it.
            #[must_use]
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }

            /// The account's number.
            #[must_use]
            pub fn account(&self) -> &str {
                split(&self.0).map_or("", |parts| parts.account)
            }

            /// The region's name.
            #[must_use]
            pub fn region(&self) -> &str {
                split(&self.0).map_or("", |parts| parts.region)
            }

            /// What follows the resource type, such as `prod/web`.
            fn path(&self) -> &str {
                split(&self.0).and_then(|parts| parts.resource.strip_prefix($resource)).unwrap_or("")
            }

            /// What follows the last `/`: the shortest name people know it by.
            #[must_use]
            pub fn name(&self) -> &str {
                self.path().rsplit('/').next().unwrap_or("")
            }
        }

        impl FromStr for $name {
            type Err = ParseArnError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                split(text)
                    .and_then(|parts| parts.resource.strip_prefix($resource))
                    .filter(|path| !path.is_empty())
                    .map(|_| Self(text.into()))
                    .ok_or_else(|| ParseArnError { text: text.to_owned(), wanted: $wanted })
            }
        }

        arn!(@text $name, $wanted);
    };
    (@text $name:ident, $wanted:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $wanted })
            }
        }
    };
}

arn!(
    /// `arn:…:cluster/NAME`
    ClusterArn, "the ARN of an ECS cluster", "cluster/"
);
arn!(
    /// `arn:…:service/CLUSTER/NAME`, or the old form `arn:…:service/NAME`.
    ServiceArn, "the ARN of an ECS service", "service/"
);
arn!(
    /// `arn:…:task/CLUSTER/ID`
    TaskArn, "the ARN of an ECS task", "task/"
);
arn!(
    /// `arn:…:service-deployment/CLUSTER/SERVICE/ID`
    ServiceDeploymentArn, "the ARN of an ECS service deployment", "service-deployment/"
);
arn!(
    /// `arn:…:service-revision/CLUSTER/SERVICE/ID`
    ServiceRevisionArn, "the ARN of an ECS service revision", "service-revision/"
);

/// The name of the cluster that an ARN is of or is in; `None` where it says none: the old form of a service's ARN, and what
/// is in no cluster.
#[must_use]
pub fn cluster_of(arn: &str) -> Option<&str> {
    let (kind, rest) = arn.splitn(6, ':').nth(5)?.split_once('/')?;
    match kind {
        "cluster" => Some(rest),
        "service" | "task-set" => rest.split_once('/').map(|(cluster, _)| cluster),
        _ => None,
    }
    .filter(|name| !name.is_empty())
}

impl ServiceArn {
    /// The cluster's name; `None` in the old ARN form, which does not say it.
    #[must_use]
    pub fn cluster_name(&self) -> Option<&str> {
        self.path().rsplit_once('/').map(|(cluster, _)| cluster)
    }

    /// `CLUSTER/NAME`, or `NAME` in the old ARN form: what people read.
    #[must_use]
    pub fn short(&self) -> &str {
        self.path()
    }
}

/// Revision of a task definition family. ECS numbers from 1 and never reuses a number, also after
/// deregistration (botocore ecs/2014-11-13, `DeregisterTaskDefinition`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskRevision(NonZeroU32);

impl TaskRevision {
    /// `None` for zero, which ECS never gives.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for TaskRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `arn:…:task-definition/FAMILY:REVISION`
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
// INVARIANT: the text ends in `task-definition/FAMILY:REVISION`, with a family and a revision of at least 1.
pub struct TaskDefinitionArn {
    text: Arc<str>,
    revision: TaskRevision,
}

impl TaskDefinitionArn {
    /// The ARN's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same, not another copy of it.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// `FAMILY:REVISION`: what people read.
    #[must_use]
    pub fn short(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or("")
    }

    /// The family's name.
    #[must_use]
    pub fn family(&self) -> &str {
        self.short().rsplit_once(':').map_or("", |(family, _)| family)
    }

    /// The revision's number.
    #[must_use]
    pub fn revision(&self) -> TaskRevision {
        self.revision
    }
}

impl FromStr for TaskDefinitionArn {
    type Err = ParseArnError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        split(text)
            .and_then(|parts| parts.resource.strip_prefix("task-definition/"))
            .and_then(|rest| rest.rsplit_once(':'))
            .filter(|(family, _)| !family.is_empty() && !family.contains(['/', ':']))
            .and_then(|(_, revision)| TaskRevision::new(revision.parse().ok()?))
            .map(|revision| Self { text: text.into(), revision })
            .ok_or_else(|| ParseArnError { text: text.to_owned(), wanted: "the ARN of a task definition revision" })
    }
}

arn!(@text TaskDefinitionArn, "the ARN of a task definition revision");

/// One account and region: ECS's throttle domain, and what a lease covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TargetId {
    /// The account's number, as GetCallerIdentity tells it.
    pub account: String,
    /// The region's name.
    pub region: String,
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_definition_arn_needs_a_revision() {
        let arn: TaskDefinitionArn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:10".parse().unwrap();
        assert_eq!((arn.family(), arn.revision().get(), arn.short()), ("web", 10, "web:10"));
        for text in
            ["arn:aws:ecs:eu-west-1:1:task-definition/web", "arn:aws:ecs:eu-west-1:1:task-definition/web:0", "web:1"]
        {
            assert!(text.parse::<TaskDefinitionArn>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_in_a_cluster_says_which() {
        for (resource, cluster) in [
            ("cluster/prod", Some("prod")),
            ("service/prod/web", Some("prod")),
            ("task-set/prod/web/ecs-svc/1", Some("prod")),
            ("service/web", None),
            ("capacity-provider/spot", None),
            ("service/", None),
        ] {
            assert_eq!(cluster_of(&format!("arn:aws:ecs:eu-west-1:123456789012:{resource}")), cluster, "{resource}");
        }
        assert_eq!(cluster_of("prod/web"), None);
    }

    #[test]
    fn a_service_arn_comes_in_two_forms() {
        let arn: ServiceArn = "arn:aws-cn:ecs:cn-north-1:123456789012:service/prod/web".parse().unwrap();
        assert_eq!(
            (arn.cluster_name(), arn.name(), arn.short(), arn.account(), arn.region()),
            (Some("prod"), "web", "prod/web", "123456789012", "cn-north-1")
        );
        let old: ServiceArn = "arn:aws:ecs:eu-west-1:123456789012:service/web".parse().unwrap();
        assert_eq!((old.cluster_name(), old.name()), (None, "web"));
        assert!("arn:aws:ecs:eu-west-1:1:cluster/web".parse::<ServiceArn>().is_err());
    }
}
