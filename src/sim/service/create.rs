//! CreateService.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::super::error::SimError;
use super::super::input::Input;
use super::super::names;
use super::super::random::Random;
use super::super::state::State;
use super::super::tags::Tags;
use super::state::{Controller, Service, Status};

/// Members that are described as they were given.
const VERBATIM: &[&str] = &[
    "loadBalancers",
    "serviceRegistries",
    "capacityProviderStrategy",
    "platformVersion",
    "networkConfiguration",
    "placementConstraints",
    "placementStrategy",
    "healthCheckGracePeriodSeconds",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
];

impl State {
    pub(in crate::sim) fn create_service(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster(input.text("cluster")?)?;
        let (cluster, cluster_arn) = (cluster.name.clone(), cluster.arn.clone());
        let name = input.need_text("serviceName")?.to_owned();
        let legal = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
        if name.is_empty() || name.len() > 255 || !name.chars().all(legal) {
            return Err(SimError::invalid("Invalid service name."));
        }
        let exists = self.clusters.get(&cluster).and_then(|home| home.services.get(&name));
        if exists.is_some_and(|service| service.status != Status::Inactive) {
            return Err(SimError::invalid("Creation of service was not idempotent."));
        }
        let controller =
            match input.object("deploymentController")?.and_then(|one| one.get("type")).and_then(Value::as_str) {
                None | Some("ECS") => Controller::Ecs,
                Some("CODE_DEPLOY") => Controller::CodeDeploy,
                Some("EXTERNAL") => Controller::External,
                Some(_) => return Err(SimError::invalid("Invalid deploymentController type.")),
            };
        let daemon = match input.text("schedulingStrategy")? {
            None | Some("REPLICA") => false,
            Some("DAEMON") => true,
            Some(_) => return Err(SimError::invalid("Invalid schedulingStrategy.")),
        };
        // `CreateServiceRequest.schedulingStrategy`
        if daemon && controller != Controller::Ecs {
            return Err(SimError::invalid("The DAEMON scheduling strategy requires the ECS deployment controller."));
        }
        if daemon && input.text("launchType")? == Some("FARGATE") {
            return Err(SimError::invalid("Fargate tasks do not support the DAEMON scheduling strategy."));
        }
        if !daemon && controller != Controller::External && input.integer("desiredCount")?.is_none() {
            return Err(SimError::invalid("desiredCount must be specified with the REPLICA scheduling strategy."));
        }
        let tags = Tags::parse(input.list("tags")?.unwrap_or_default())?;
        let members = members(input, controller, daemon)?;
        let mut service = Service {
            arn: names::arn(&self.config, &format!("service/{cluster}/{name}")),
            random: Random::named(self.config.seed, &format!("{cluster}/{name}/{}", self.now.as_millis())),
            cluster_arn,
            created_at: self.now,
            created_by: self.config.caller.clone(),
            status: Status::Active,
            controller,
            daemon,
            members,
            tags,
            deployments: Vec::new(),
            fallback: None,
            records: Vec::new(),
            revisions: Vec::new(),
            tasks: BTreeMap::new(),
            events: VecDeque::new(),
            settle_at: None,
            not_before: None,
            restarts: 0,
            steady: false,
            cluster: cluster.clone(),
            name: name.clone(),
        };
        // With the EXTERNAL controller, the task definition comes with a task set.
        if controller != Controller::External {
            let template = self.template(&cluster, &service.members, input.need_text("taskDefinition")?)?;
            self.begin_deployment(&mut service, template);
        }
        let view = self.describe_service(&service, true);
        if let Some(home) = self.clusters.get_mut(&cluster) {
            home.services.insert(name, service);
        }
        Ok(json!({ "service": view }))
    }
}

fn members(input: &Input<'_>, controller: Controller, daemon: bool) -> Result<Map<String, Value>, SimError> {
    let mut members = Map::new();
    for list in ["loadBalancers", "serviceRegistries"] {
        members.insert(list.into(), json!([]));
    }
    members.insert("desiredCount".into(), json!(input.integer("desiredCount")?.unwrap_or(0)));
    let strategy = input.list("capacityProviderStrategy")?.is_some_and(|list| !list.is_empty());
    if strategy && input.get("launchType").is_some() {
        return Err(SimError::invalid(
            "Specifying both a launch type and capacity provider strategy is not supported.",
        ));
    }
    // A service with a capacity provider strategy has no launch type (ecs-facts §1.1).
    if !strategy {
        members.insert("launchType".into(), json!(input.text("launchType")?.unwrap_or("EC2")));
    }
    for name in VERBATIM {
        if let Some(value) = input.get(name) {
            members.insert((*name).to_owned(), value.clone());
        }
    }
    if input.text("launchType")? == Some("FARGATE") {
        members.entry("platformVersion").or_insert_with(|| json!("LATEST"));
    }
    for list in ["placementConstraints", "placementStrategy"] {
        members.entry(list).or_insert_with(|| json!([]));
    }
    members.insert("schedulingStrategy".into(), json!(if daemon { "DAEMON" } else { "REPLICA" }));
    let configuration = input.object("deploymentConfiguration")?.cloned().unwrap_or_default();
    members.insert("deploymentConfiguration".into(), deployment_configuration(configuration, controller, daemon));
    if let Some(controller) = input.get("deploymentController") {
        members.insert("deploymentController".into(), controller.clone());
    }
    for flag in ["enableECSManagedTags", "enableExecuteCommand"] {
        members.insert(flag.into(), json!(input.flag(flag)?.unwrap_or(false)));
    }
    members.insert("propagateTags".into(), json!(input.text("propagateTags")?.unwrap_or("NONE")));
    if controller == Controller::Ecs && !daemon {
        let balance = input.text("availabilityZoneRebalancing")?.unwrap_or("ENABLED");
        members.insert("availabilityZoneRebalancing".into(), json!(balance));
    }
    Ok(members)
}

/// Writes out the defaults of a deployment configuration (`DeploymentConfiguration`): 100/200, and 0/100 for a DAEMON.
pub(super) fn deployment_configuration(given: Map<String, Value>, controller: Controller, daemon: bool) -> Value {
    let mut whole = Map::new();
    if controller == Controller::Ecs {
        whole.insert("deploymentCircuitBreaker".into(), json!({ "enable": false, "rollback": false }));
    }
    whole.insert("maximumPercent".into(), json!(if daemon { 100 } else { 200 }));
    whole.insert("minimumHealthyPercent".into(), json!(if daemon { 0 } else { 100 }));
    if controller == Controller::Ecs {
        let rolling = given.get("strategy").is_none_or(|strategy| strategy == "ROLLING");
        whole.insert("strategy".into(), json!("ROLLING"));
        whole.insert("bakeTimeInMinutes".into(), json!(if rolling { 0 } else { 15 }));
    }
    for (name, value) in given {
        if !value.is_null() {
            whole.insert(name, value);
        }
    }
    Value::Object(whole)
}
