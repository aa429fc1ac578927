//! UpdateService: what may change, and which changes start a deployment (ecs-facts §3.1).

use serde_json::{Map, Value, json};

use super::super::deployment::ServiceRevision;
use super::super::error::SimError;
use super::super::input::Input;
use super::super::names;
use super::super::state::State;
use super::state::{Controller, Service, Status};

/// Members that change without a deployment.
const QUIET: &[&str] = &[
    "desiredCount",
    "capacityProviderStrategy",
    "availabilityZoneRebalancing",
    "placementConstraints",
    "placementStrategy",
    "healthCheckGracePeriodSeconds",
    "enableExecuteCommand",
    "enableECSManagedTags",
    "propagateTags",
];

/// What may be sent for a service with another controller (`UpdateService`).
const CODE_DEPLOY: &[&str] = &[
    "cluster",
    "service",
    "desiredCount",
    "deploymentConfiguration",
    "healthCheckGracePeriodSeconds",
    "placementConstraints",
    "placementStrategy",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "propagateTags",
];
const EXTERNAL: &[&str] = &[
    "cluster",
    "service",
    "desiredCount",
    "placementConstraints",
    "placementStrategy",
    "healthCheckGracePeriodSeconds",
    "enableECSManagedTags",
    "propagateTags",
];

impl State {
    pub(in crate::sim) fn update_service(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster(input.text("cluster")?)?.name.clone();
        let name = names::member_of(&cluster, input.need_text("service")?, "service")?.to_owned();
        self.with_service(&cluster, &name, |state, service| {
            if service.status != Status::Active {
                return Err(SimError::new("ServiceNotActiveException", "Service was not ACTIVE."));
            }
            check_controller(service, input)?;
            state.change(service, input)?;
            let view = state.describe_service(service, false);
            Ok(json!({ "service": view }))
        })
        .ok_or_else(SimError::service_not_found)?
    }

    /// Checks everything before it changes anything.
    fn change(&mut self, service: &mut Service, input: &Input<'_>) -> Result<(), SimError> {
        let mut members = service.members.clone();
        let changed = apply(&mut members, service, input)?;
        let current = service.deployments.first().map(|first| &first.revision.template);
        let asked = input.text("taskDefinition")?;
        let reference = asked.map(str::to_owned).or_else(|| current.map(|template| template.task_definition.clone()));
        let other = match asked {
            // The reference may name the same revision in another way. An inactive one is refused even so.
            Some(asked) => Some(&self.usable_revision(asked)?.arn) != current.map(|template| &template.task_definition),
            None => false,
        };
        let forced = input.flag("forceNewDeployment")?.unwrap_or(false);
        let deploys = service.controller == Controller::Ecs && (forced || other || changed);
        if let (true, Some(reference)) = (deploys, reference) {
            // A new deployment without a new task definition may go on with one that has been deregistered since:
            // "existing services can scale on INACTIVE" (ecs-facts §2.5).
            let template = match asked {
                Some(_) => self.template(&service.cluster, &members, &reference)?,
                None => self.template_of_running(&service.cluster, &members, &reference)?,
            };
            service.members = members;
            self.begin_deployment(service, template);
        } else {
            service.members = members;
            service.steady = false;
            self.settle_soon(service);
        }
        Ok(())
    }
}

/// Writes the input's members into `members`; true if one of them changed that starts a deployment.
fn apply(members: &mut Map<String, Value>, service: &Service, input: &Input<'_>) -> Result<bool, SimError> {
    if input.integer("desiredCount")?.is_some_and(|count| count < 0) {
        return Err(SimError::invalid("The desiredCount cannot be negative."));
    }
    if service.daemon && input.get("desiredCount").is_some() {
        return Err(SimError::invalid(
            "The desiredCount cannot be set for services with the DAEMON scheduling strategy.",
        ));
    }
    for name in QUIET {
        if let Some(value) = input.get(name) {
            members.insert((*name).to_owned(), value.clone());
        }
    }
    if input.list("capacityProviderStrategy")?.is_some_and(|list| !list.is_empty()) {
        members.shift_remove("launchType");
    }
    if let Some(given) = input.object("deploymentConfiguration")? {
        let mut whole = members.get("deploymentConfiguration").and_then(Value::as_object).cloned().unwrap_or_default();
        whole.extend(
            given.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())),
        );
        members.insert("deploymentConfiguration".into(), Value::Object(whole));
    }
    let mut changed = false;
    for name in ServiceRevision::MEMBERS.iter().filter(|name| !QUIET.contains(name)) {
        if let Some(value) = input.get(name)
            && members.get(*name) != Some(value)
        {
            members.insert((*name).to_owned(), value.clone());
            changed = true;
        }
    }
    Ok(changed)
}

/// Even resending an unchanged member is refused (cloudformation-coverage-roadmap#1529). The sentences for CODE_DEPLOY
/// are ECS's (hashicorp/terraform-provider-aws#12703); for EXTERNAL none is known (ecs-facts §7).
fn check_controller(service: &Service, input: &Input<'_>) -> Result<(), SimError> {
    let (allowed, kind) = match service.controller {
        Controller::Ecs => return Ok(()),
        Controller::CodeDeploy => (CODE_DEPLOY, "a CODE_DEPLOY"),
        Controller::External => (EXTERNAL, "an EXTERNAL"),
    };
    let sent = |name: &str| input.get(name).is_some();
    let refused = input.members().keys().find(|name| sent(name) && !allowed.contains(&name.as_str()));
    let Some(first) = refused else { return Ok(()) };
    let advice = match service.controller {
        Controller::CodeDeploy => " Use AWS CodeDeploy to trigger a new deployment.",
        Controller::Ecs | Controller::External => "",
    };
    let what = match () {
        () if sent("taskDefinition") => "Unable to update task definition on".to_owned(),
        () if sent("networkConfiguration") => "Unable to update network parameters on".to_owned(),
        () if input.flag("forceNewDeployment")? == Some(true) => "Cannot force a new deployment on".to_owned(),
        () => format!("Unable to update {first} on"),
    };
    Err(SimError::invalid(format!("{what} services with {kind} deployment controller.{advice}")))
}
