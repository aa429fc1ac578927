//! How ECS names things, and how callers refer to them. Does not know whether what is named exists.

use super::config::WorldConfig;
use super::error::SimError;

/// `arn:PARTITION:ecs:REGION:ACCOUNT:RESOURCE`
pub(super) fn arn(config: &WorldConfig, resource: &str) -> String {
    let partition = match config.region.as_str() {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    format!("arn:{partition}:ecs:{}:{}:{resource}", config.region, config.account)
}

/// The ARN of an IAM role that was given by its name: ECS answers with the ARN (aws/copilot-cli#2887).
pub(super) fn role_arn(config: &WorldConfig, role: &str) -> String {
    if role.is_empty() || role.starts_with("arn:") {
        return role.to_owned();
    }
    format!("arn:aws:iam::{}:role/{role}", config.account)
}

/// The cluster's name in its name or ARN; `default` where none is given.
pub(super) fn cluster(reference: Option<&str>) -> &str {
    reference.map_or("default", |text| text.rsplit('/').next().unwrap_or(text))
}

/// What an ARN says after its resource type: `service/prod/web` → `prod/web`. `None` for what is no ARN.
pub(super) fn path<'a>(reference: &'a str, kind: &str) -> Option<&'a str> {
    let resource = reference.strip_prefix("arn:")?.splitn(5, ':').nth(4)?;
    resource.strip_prefix(kind)?.strip_prefix('/')
}

/// The name of a service (or the id of a task) of `cluster` in a name or an ARN.
///
/// # Errors
/// When the ARN names another cluster, or is of another kind.
pub(super) fn member_of<'a>(cluster: &str, reference: &'a str, kind: &str) -> Result<&'a str, SimError> {
    if !reference.starts_with("arn:") {
        return Ok(reference);
    }
    let path = path(reference, kind)
        .ok_or_else(|| SimError::invalid(format!("Unexpected resource type in the identifier {reference}.")))?;
    match path.rsplit_once('/') {
        // The old ARN form does not name the cluster.
        None => Ok(path),
        Some((named, name)) if named == cluster => Ok(name),
        Some((named, _)) => Err(SimError::invalid(format!("Identifier is for {named}. Your cluster is {cluster}"))),
    }
}

/// Family and, if given, revision number in `family`, `family:7` or an ARN.
///
/// # Errors
/// When it is none of these.
pub(super) fn task_definition(reference: &str) -> Result<(&str, Option<u32>), SimError> {
    let invalid = || SimError::client(format!("Invalid revision number. Number: {reference}"));
    let short = match reference.strip_prefix("arn:") {
        Some(_) => path(reference, "task-definition").ok_or_else(invalid)?,
        None => reference,
    };
    match short.rsplit_once(':') {
        None => Ok((short, None)),
        Some((family, revision)) => {
            let revision = revision.parse().ok().filter(|number| *number > 0).ok_or_else(invalid)?;
            Ok((family, Some(revision)))
        }
    }
}

/// What TagResource and its kin can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    Cluster(&'a str),
    Service { cluster: &'a str, service: &'a str },
    TaskDefinition { family: &'a str, revision: u32 },
    Task { cluster: &'a str, task: &'a str },
}

impl<'a> Resource<'a> {
    /// # Errors
    /// When `arn` names nothing that can be tagged. Resources with the old ARN form cannot (aws-cdk-examples#108).
    pub(super) fn parse(arn: &'a str) -> Result<Self, SimError> {
        let two = |kind| path(arn, kind).and_then(|path| path.split_once('/'));
        if let Some(name) = path(arn, "cluster") {
            return Ok(Self::Cluster(name));
        }
        if let Some((cluster, service)) = two("service") {
            return Ok(Self::Service { cluster, service });
        }
        if let Some((cluster, task)) = two("task") {
            return Ok(Self::Task { cluster, task });
        }
        if path(arn, "task-definition").is_some()
            && let (family, Some(revision)) = task_definition(arn)?
        {
            return Ok(Self::TaskDefinition { family, revision });
        }
        Err(SimError::invalid(format!("The specified resource ARN is not valid for tagging: {arn}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_name_or_by_either_arn_form_but_only_in_its_cluster() {
        for reference in ["web", "arn:aws:ecs:eu-west-1:1:service/prod/web", "arn:aws:ecs:eu-west-1:1:service/web"] {
            assert_eq!(member_of("prod", reference, "service"), Ok("web"), "{reference}");
        }
        assert!(member_of("dev", "arn:aws:ecs:eu-west-1:1:service/prod/web", "service").is_err());
        assert!(member_of("prod", "arn:aws:ecs:eu-west-1:1:task/prod/web", "service").is_err());
    }

    #[test]
    fn a_task_definition_is_named_in_three_ways() {
        assert_eq!(task_definition("web"), Ok(("web", None)));
        assert_eq!(task_definition("web:7"), Ok(("web", Some(7))));
        assert_eq!(task_definition("arn:aws:ecs:eu-west-1:1:task-definition/web:7"), Ok(("web", Some(7))));
        assert!(task_definition("web:0").is_err());
        assert!(task_definition("web:latest").is_err());
    }
}
