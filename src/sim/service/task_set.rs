//! CreateTaskSet, of services whose deployments are somebody's own. One task set at a time: how several share a service
//! is not modelled.

use serde_json::{Value, json};

use super::super::error::SimError;
use super::super::input::Input;
use super::super::names;
use super::super::state::State;
use super::state::Controller;

/// What a task set says for itself, and its service does not show (`CreateTaskSetRequest`).
const OWN: &[&str] = &[
    "networkConfiguration",
    "loadBalancers",
    "serviceRegistries",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
];

impl State {
    /// # Errors
    /// Where the service is not one with the EXTERNAL controller, has a task set, or its task cannot be started.
    pub(in crate::sim) fn create_task_set(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster(Some(input.need_text("cluster")?))?;
        let service = self.service(cluster, input.need_text("service")?)?;
        if service.controller != Controller::External {
            return Err(SimError::invalid("Task sets can only be created for services with an EXTERNAL controller."));
        }
        if !service.deployments.is_empty() {
            return Err(SimError::new("UnsupportedFeatureException", "The simulator has one task set a service."));
        }
        let (cluster, name) = (names::cluster(Some(&cluster.name)).to_owned(), service.name.clone());
        let mut members = service.members.clone();
        for member in OWN {
            if let Some(value) = input.get(member) {
                members.insert((*member).to_owned(), value.clone());
            }
        }
        if members.get("capacityProviderStrategy").is_some_and(|strategy| strategy != &json!([])) {
            members.remove("launchType");
        }
        let template = self.template(&cluster, &members, input.need_text("taskDefinition")?)?;
        let view = self.with_service(&cluster, &name, |state, service| {
            // The revision takes over what the task set says; the service goes on without it.
            let own = std::mem::replace(&mut service.members, members);
            state.begin_deployment(service, template);
            service.members = own;
            let desired = service.desired(0);
            service.deployments.first().map(|one| service.task_set(one, desired))
        });
        Ok(json!({ "taskSet": view.flatten() }))
    }
}
