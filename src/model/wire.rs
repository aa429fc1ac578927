//! Reading ECS's wire JSON (awsJson 1.1) into what decisions need. What is not read stays in the `document`.
//!
//! Shapes: botocore ecs/2014-11-13 service-2.json. An absent optional member takes ECS's own default; a member of the
//! wrong type is an error, never a default.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Timestamp;
use super::arn::TaskArn;
use super::observed::{
    CapacityProvider, Cluster, Deployment, DeploymentConfiguration, DeploymentController, SchedulingStrategy, Service,
    ServiceDeployment, ServiceRevision, Task, TaskDefinition, TaskSet,
};
use super::spec::LaunchType;

/// An answer of ECS that is not what its API promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unexpected answer: `{member}` of {shape} {problem}")]
pub struct WireError {
    shape: &'static str,
    member: String,
    problem: String,
}

/// One object of an answer, read member by member.
struct Shape<'a> {
    name: &'static str,
    members: &'a Map<String, Value>,
}

impl<'a> Shape<'a> {
    fn of(name: &'static str, value: &'a Value) -> Result<Self, WireError> {
        match value {
            Value::Object(members) => Ok(Self { name, members }),
            _ => Err(WireError { shape: name, member: String::new(), problem: "is not an object".to_owned() }),
        }
    }

    fn error(&self, member: &str, problem: impl Into<String>) -> WireError {
        WireError { shape: self.name, member: member.to_owned(), problem: problem.into() }
    }

    /// A member that is there and not null.
    fn get(&self, member: &str) -> Option<&'a Value> {
        self.members.get(member).filter(|value| !value.is_null())
    }

    fn text(&self, member: &str) -> Result<Option<&'a str>, WireError> {
        match self.get(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(member, "is not a string")),
        }
    }

    fn required_text(&self, member: &str) -> Result<&'a str, WireError> {
        self.text(member)?.ok_or_else(|| self.error(member, "is missing"))
    }

    fn parsed<T: FromStr<Err: std::fmt::Display>>(&self, member: &str) -> Result<Option<T>, WireError> {
        match self.text(member)? {
            None | Some("") => Ok(None),
            Some(text) => {
                text.parse().map(Some).map_err(|error: T::Err| self.error(member, format!("is wrong: {error}")))
            }
        }
    }

    fn required<T: FromStr<Err: std::fmt::Display>>(&self, member: &str) -> Result<T, WireError> {
        self.parsed(member)?.ok_or_else(|| self.error(member, "is missing"))
    }

    fn count(&self, member: &str) -> Result<Option<u32>, WireError> {
        match self.get(member) {
            None => Ok(None),
            Some(value) => value
                .as_u64()
                .and_then(|count| u32::try_from(count).ok())
                .map(Some)
                .ok_or_else(|| self.error(member, "is not a count")),
        }
    }

    fn flag(&self, member: &str) -> Result<bool, WireError> {
        match self.get(member) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.error(member, "is not a boolean")),
        }
    }

    /// awsJson 1.1 writes timestamps as epoch seconds; some servers write RFC 3339.
    fn time(&self, member: &str) -> Result<Option<Timestamp>, WireError> {
        match self.get(member) {
            None => Ok(None),
            Some(Value::Number(seconds)) => Ok(seconds.as_f64().map(Timestamp::from_epoch_seconds)),
            Some(Value::String(text)) => {
                text.parse().map(Some).map_err(|_| self.error(member, "is not a point in time"))
            }
            Some(_) => Err(self.error(member, "is not a point in time")),
        }
    }

    fn list(&self, member: &str) -> Result<&'a [Value], WireError> {
        match self.get(member) {
            None => Ok(&[]),
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(self.error(member, "is not a list")),
        }
    }

    fn each<T>(&self, member: &str, read: impl Fn(&'a Value) -> Result<T, WireError>) -> Result<Vec<T>, WireError> {
        self.list(member)?.iter().map(read).collect()
    }

    fn object(&self, member: &str, name: &'static str) -> Result<Option<Shape<'a>>, WireError> {
        self.get(member).map(|value| Shape::of(name, value)).transpose()
    }

    /// `tags: [{key, value}]`; a tag without a value has an empty one.
    fn tags(&self) -> Result<BTreeMap<String, String>, WireError> {
        self.each("tags", |value| {
            let tag = Shape::of("Tag", value)?;
            Ok((tag.required_text("key")?.to_owned(), tag.text("value")?.unwrap_or("").to_owned()))
        })
        .map(|tags| tags.into_iter().collect())
    }

    /// Container name → digest, of `containers` or `containerImages`, where ECS has resolved one.
    fn digests(&self, member: &str, name: &str) -> Result<BTreeMap<String, String>, WireError> {
        let pairs = self.each(member, |value| {
            let container = Shape::of("Container", value)?;
            Ok((container.text(name)?, container.text("imageDigest")?))
        })?;
        Ok(pairs.into_iter().filter_map(|(name, digest)| Some((name?.to_owned(), digest?.to_owned()))).collect())
    }
}

/// The items of `member` in an answer, such as `services` of DescribeServices.
///
/// # Errors
/// Where it is not a list.
pub fn items<'a>(answer: &'a Value, member: &str) -> Result<&'a [Value], WireError> {
    Shape::of("the answer", answer)?.list(member)
}

/// The same items, taken out of the answer.
///
/// # Errors
/// Where it is not a list.
pub fn into_items(mut answer: Value, member: &str) -> Result<Vec<Value>, WireError> {
    items(&answer, member)?;
    match answer.get_mut(member).map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

/// `nextToken`, where there is another page.
///
/// # Errors
/// Where it is not a string.
pub fn next_token(answer: &Value) -> Result<Option<&str>, WireError> {
    Ok(Shape::of("the answer", answer)?.text("nextToken")?.filter(|token| !token.is_empty()))
}

/// `failures[]` of a describe: ARN (or name) and reason, such as `MISSING`.
///
/// # Errors
/// Where it is not a list of failures.
pub fn failures(answer: &Value) -> Result<Vec<(String, String)>, WireError> {
    Shape::of("the answer", answer)?.each("failures", |value| {
        let failure = Shape::of("Failure", value)?;
        Ok((failure.text("arn")?.unwrap_or("").to_owned(), failure.text("reason")?.unwrap_or("").to_owned()))
    })
}

/// A list of ARNs, such as `serviceArns`.
///
/// # Errors
/// Where one is not an ARN of the wanted kind.
pub fn arns<T: FromStr<Err: std::fmt::Display>>(answer: &Value, member: &str) -> Result<Vec<T>, WireError> {
    let shape = Shape::of("the answer", answer)?;
    shape.each(member, |value| {
        let text = value.as_str().ok_or_else(|| shape.error(member, "is not a list of strings"))?;
        text.parse().map_err(|error: T::Err| shape.error(member, format!("is wrong: {error}")))
    })
}

/// One of DescribeClusters' `clusters`.
///
/// # Errors
/// Where it lacks its ARN or has a member of the wrong type.
pub fn cluster(value: &Value) -> Result<Cluster, WireError> {
    let shape = Shape::of("Cluster", value)?;
    Ok(Cluster { arn: shape.required("clusterArn")?, tags: shape.tags()?, document: Arc::new(value.clone()) })
}

/// One of DescribeServices' `services`, or UpdateService's `service`.
///
/// # Errors
/// Where it lacks a required member or has one of the wrong type.
pub fn service(value: &Value) -> Result<Service, WireError> {
    service_of(value.clone())
}

/// The same, keeping the document instead of a copy of it.
///
/// # Errors
/// As [`service`].
pub fn service_of(mut value: Value) -> Result<Service, WireError> {
    let read = service_without_document(&value)?;
    show_members_of_deployments(&mut value);
    Ok(Service { document: Arc::new(value), ..read })
}

/// Members of CreateService and UpdateService that ECS shows on a service's deployments only (botocore ecs/2014-11-13:
/// `Deployment` has them, `Service` does not).
pub const OF_DEPLOYMENTS: [&str; 3] =
    ["serviceConnectConfiguration", "volumeConfigurations", "vpcLatticeConfigurations"];

/// Puts what only the primary deployment shows where the calls take it, and templates have it: a policy that looks for it
/// on the service would else find none and pass, and a change of a part of it would lose the rest.
fn show_members_of_deployments(service: &mut Value) {
    let shown = members_of_deployments(service).map(|(name, value)| (name.to_owned(), value.clone()));
    let shown: Vec<(String, Value)> = shown.collect();
    if let Some(members) = service.as_object_mut() {
        members.extend(shown);
    }
}

/// What only the primary deployment shows, by name.
pub(super) fn members_of_deployments(service: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    let primary = |one: &&Value| one.get("status").is_some_and(|status| status == "PRIMARY");
    let deployments = service.get("deployments").and_then(Value::as_array);
    let primary = deployments.and_then(|list| list.iter().find(primary));
    let only = OF_DEPLOYMENTS.iter().filter(|name| service.get(**name).is_none());
    only.filter_map(move |name| Some((*name, primary?.get(*name)?)))
}

/// What [`service_of`] reads, without the document.
pub(super) fn service_without_document(value: &Value) -> Result<Service, WireError> {
    let shape = Shape::of("Service", value)?;
    let controller = match shape.object("deploymentController", "DeploymentController")? {
        // Absent means ECS (aws-actions/amazon-ecs-deploy-task-definition treats it so).
        None => DeploymentController::Ecs,
        Some(controller) => match controller.text("type")? {
            None | Some("ECS") => DeploymentController::Ecs,
            Some("CODE_DEPLOY") => DeploymentController::CodeDeploy,
            Some("EXTERNAL") => DeploymentController::External,
            Some(other) => return Err(controller.error("type", format!("is an unknown controller: `{other}`"))),
        },
    };
    let scheduling = match shape.text("schedulingStrategy")? {
        Some("DAEMON") => SchedulingStrategy::Daemon,
        None | Some("REPLICA") => SchedulingStrategy::Replica,
        Some(other) => return Err(shape.error("schedulingStrategy", format!("is unknown: `{other}`"))),
    };
    let current_deployment = shape.parsed("currentServiceDeployment").unwrap_or(None);
    Ok(Service {
        arn: shape.required("serviceArn")?,
        cluster: shape.required("clusterArn")?,
        created_at: shape.time("createdAt")?.unwrap_or(Timestamp::EPOCH),
        status: shape.text("status")?.unwrap_or("ACTIVE").to_owned(),
        task_definition: shape.parsed("taskDefinition")?,
        desired_count: shape.count("desiredCount")?.unwrap_or(0),
        running_count: shape.count("runningCount")?.unwrap_or(0),
        pending_count: shape.count("pendingCount")?.unwrap_or(0),
        launch_type: launch_type(&shape)?,
        controller,
        scheduling,
        configuration: deployment_configuration(&shape, scheduling)?,
        deployments: shape.each("deployments", deployment)?,
        task_sets: shape.each("taskSets", task_set)?,
        managed_by_ecs: shape.text("resourceManagementType")? == Some("ECS"),
        current_deployment,
        tags: shape.tags()?,
        document: Arc::default(),
    })
}

/// One of DescribeCapacityProviders' `capacityProviders`.
///
/// # Errors
/// Where it lacks its ARN or has a member of the wrong type.
pub fn capacity_provider(value: &Value) -> Result<CapacityProvider, WireError> {
    let shape = Shape::of("CapacityProvider", value)?;
    let arn = shape.required_text("capacityProviderArn")?.to_owned();
    Ok(CapacityProvider { arn, tags: shape.tags()?, document: Arc::new(value.clone()) })
}

fn task_set(value: &Value) -> Result<TaskSet, WireError> {
    let shape = Shape::of("TaskSet", value)?;
    Ok(TaskSet {
        arn: shape.required_text("taskSetArn")?.to_owned(),
        task_definition: shape.parsed("taskDefinition")?,
        // DescribeServices is not said to show the tags of task sets: no tag there is no proof of none.
        tags: Some(shape.tags()?).filter(|tags| !tags.is_empty()),
        document: Arc::new(value.clone()),
    })
}

/// From `launchType`, else from the capacity providers: a Fargate service with a capacity provider strategy has no
/// `launchType`. A provider of the account's own is an Auto Scaling group or managed instances; which one, the service
/// does not say, and both mean instances.
fn launch_type(shape: &Shape<'_>) -> Result<Option<LaunchType>, WireError> {
    if let Some(text) = shape.text("launchType")? {
        return Ok(match text {
            "FARGATE" => Some(LaunchType::Fargate),
            "EC2" => Some(LaunchType::Ec2),
            "EXTERNAL" => Some(LaunchType::External),
            "MANAGED_INSTANCES" => Some(LaunchType::ManagedInstances),
            _ => None,
        });
    }
    let providers = shape.each("capacityProviderStrategy", |value| {
        Ok(Shape::of("CapacityProviderStrategyItem", value)?.text("capacityProvider")?.unwrap_or(""))
    })?;
    let fargate = providers.iter().filter(|name| matches!(**name, "FARGATE" | "FARGATE_SPOT")).count();
    Ok(match (providers.len(), fargate) {
        (0, _) => None,
        (all, fargate) if all == fargate => Some(LaunchType::Fargate),
        (_, 0) => Some(LaunchType::Ec2),
        _ => None,
    })
}

/// Defaults: 100/200 for REPLICA, 0/100 for DAEMON (botocore `DeploymentConfiguration`).
fn deployment_configuration(
    service: &Shape<'_>,
    scheduling: SchedulingStrategy,
) -> Result<DeploymentConfiguration, WireError> {
    let (minimum, maximum) = match scheduling {
        SchedulingStrategy::Replica => (100, 200),
        SchedulingStrategy::Daemon => (0, 100),
    };
    let empty = Map::new();
    let shape = service
        .object("deploymentConfiguration", "DeploymentConfiguration")?
        .unwrap_or(Shape { name: "DeploymentConfiguration", members: &empty });
    let breaker = shape.object("deploymentCircuitBreaker", "DeploymentCircuitBreaker")?;
    let flag = |member| breaker.as_ref().map_or(Ok(false), |breaker| breaker.flag(member));
    Ok(DeploymentConfiguration {
        minimum_percent: shape.count("minimumHealthyPercent")?.unwrap_or(minimum),
        maximum_percent: shape.count("maximumPercent")?.unwrap_or(maximum),
        strategy: shape.text("strategy")?.unwrap_or("ROLLING").to_owned(),
        circuit_breaker: flag("enable")?,
        circuit_breaker_rollback: flag("rollback")?,
    })
}

fn deployment(value: &Value) -> Result<Deployment, WireError> {
    let shape = Shape::of("Deployment", value)?;
    let created_at = shape.time("createdAt")?.unwrap_or(Timestamp::EPOCH);
    Ok(Deployment {
        id: shape.required_text("id")?.to_owned(),
        status: shape.text("status")?.unwrap_or("PRIMARY").to_owned(),
        task_definition: shape.required("taskDefinition")?,
        rollout_state: shape.text("rolloutState")?.map(ToOwned::to_owned),
        rollout_state_reason: shape.text("rolloutStateReason")?.map(ToOwned::to_owned),
        desired_count: shape.count("desiredCount")?.unwrap_or(0),
        running_count: shape.count("runningCount")?.unwrap_or(0),
        pending_count: shape.count("pendingCount")?.unwrap_or(0),
        failed_tasks: shape.count("failedTasks")?.unwrap_or(0),
        created_at,
        updated_at: shape.time("updatedAt")?.unwrap_or(created_at),
    })
}

/// One of DescribeServiceDeployments' or ListServiceDeployments' `serviceDeployments`.
///
/// # Errors
/// Where it lacks a required member or has one of the wrong type.
pub fn service_deployment(value: &Value) -> Result<ServiceDeployment, WireError> {
    let shape = Shape::of("ServiceDeployment", value)?;
    let target = shape.object("targetServiceRevision", "ServiceRevisionSummary")?;
    let target_revision = match target {
        Some(target) => target.text("arn")?.map(ToOwned::to_owned),
        // ListServiceDeployments' brief form names it directly.
        None => shape.text("targetServiceRevisionArn")?.map(ToOwned::to_owned),
    };
    let hooks = shape.each("lifecycleHookDetails", |value| {
        Ok(Shape::of("LifecycleHookDetail", value)?.text("status")?.unwrap_or("").to_owned())
    })?;
    Ok(ServiceDeployment {
        arn: shape.required("serviceDeploymentArn")?,
        status: shape.required_text("status")?.to_owned(),
        status_reason: shape.text("statusReason")?.map(ToOwned::to_owned),
        created_at: shape.time("createdAt")?.unwrap_or(Timestamp::EPOCH),
        source_revisions: shape.each("sourceServiceRevisions", |value| {
            Ok(Shape::of("ServiceRevisionSummary", value)?.text("arn")?.unwrap_or("").to_owned())
        })?,
        target_revision,
        lifecycle_stage: shape.text("lifecycleStage")?.map(ToOwned::to_owned),
        hook_waiting: hooks.iter().any(|status| matches!(status.as_str(), "IN_PROGRESS" | "AWAITING_ACTION")),
    })
}

/// One of DescribeServiceRevisions' `serviceRevisions`.
///
/// # Errors
/// Where it lacks a required member or has one of the wrong type.
pub fn service_revision(value: &Value) -> Result<ServiceRevision, WireError> {
    let shape = Shape::of("ServiceRevision", value)?;
    Ok(ServiceRevision {
        arn: shape.required_text("serviceRevisionArn")?.to_owned(),
        task_definition: shape.required("taskDefinition")?,
        image_digests: shape.digests("containerImages", "containerName")?,
    })
}

/// One of DescribeTasks' `tasks`.
///
/// # Errors
/// Where it lacks a required member or has one of the wrong type.
pub fn task(value: &Value) -> Result<Task, WireError> {
    let shape = Shape::of("Task", value)?;
    Ok(Task {
        arn: shape.required("taskArn")?,
        task_definition: shape.required("taskDefinitionArn")?,
        last_status: shape.required_text("lastStatus")?.to_owned(),
        desired_status: shape.text("desiredStatus")?.unwrap_or("RUNNING").to_owned(),
        health: shape.text("healthStatus")?.unwrap_or("UNKNOWN").to_owned(),
        started_by: shape.text("startedBy")?.map(ToOwned::to_owned),
        stop_code: shape.text("stopCode")?.map(ToOwned::to_owned),
        stopped_reason: shape.text("stoppedReason")?.map(ToOwned::to_owned),
        stopped_at: shape.time("stoppedAt")?,
        created_at: shape.time("createdAt")?,
        execute_command: shape.get("enableExecuteCommand").map(|_| shape.flag("enableExecuteCommand")).transpose()?,
        image_digests: shape.digests("containers", "name")?,
    })
}

/// One of GetTaskProtection's `protectedTasks`, where it is protected: the task, and until when.
///
/// # Errors
/// Where it lacks its task or has a member of the wrong type.
pub fn task_protection(value: &Value) -> Result<Option<(TaskArn, Option<Timestamp>)>, WireError> {
    let shape = Shape::of("ProtectedTask", value)?;
    let (task, until) = (shape.required("taskArn")?, shape.time("expirationDate")?);
    Ok(shape.flag("protectionEnabled")?.then_some((task, until)))
}

/// The answer of DescribeTaskDefinition or RegisterTaskDefinition: `taskDefinition` and its sibling `tags`.
///
/// # Errors
/// Where it lacks a required member or has one of the wrong type.
pub fn task_definition(answer: &Value) -> Result<TaskDefinition, WireError> {
    task_definition_of(answer.clone())
}

/// The same, keeping the document instead of a copy of it.
///
/// # Errors
/// As [`task_definition`].
pub fn task_definition_of(mut answer: Value) -> Result<TaskDefinition, WireError> {
    let outer = Shape::of("the answer", &answer)?;
    let shape =
        outer.object("taskDefinition", "TaskDefinition")?.ok_or_else(|| outer.error("taskDefinition", "is missing"))?;
    let read = TaskDefinition {
        arn: shape.required("taskDefinitionArn")?,
        status: shape.text("status")?.unwrap_or("ACTIVE").to_owned(),
        registered_by: shape.text("registeredBy")?.map(ToOwned::to_owned),
        registered_at: shape.time("registeredAt")?,
        document: Value::Null,
    };
    outer.list("tags")?;
    let tags =
        answer.get_mut("tags").map(Value::take).filter(|tags| tags.as_array().is_some_and(|tags| !tags.is_empty()));
    match answer.get_mut("taskDefinition").map(Value::take) {
        Some(Value::Object(mut document)) => {
            document.extend(tags.map(|tags| ("tags".to_owned(), tags)));
            Ok(TaskDefinition { document: Value::Object(document), ..read })
        }
        _ => Err(Shape::of("the answer", &answer)?.error("taskDefinition", "is missing")),
    }
}
