//! What a service's or RunTask's tasks are started from: checked against the task definition, images resolved.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::error::SimError;
use super::super::state::State;
use super::super::task::{Image, Launch, Template, Watch};
use super::super::task_definition::Revision;

/// The latest Fargate platform version for Linux (ecs-facts §1.1, ECS.10).
const LATEST_PLATFORM: &str = "1.4.0";

impl State {
    /// Resolves `members` (of a service, or RunTask's input) with the task definition that `reference` names, now.
    ///
    /// # Errors
    /// When the task definition is unknown or inactive, or does not fit launch type, network or platform.
    pub(in crate::sim) fn template(
        &self,
        cluster: &str,
        members: &Map<String, Value>,
        reference: &str,
    ) -> Result<Template, SimError> {
        self.resolve(cluster, members, self.usable_revision(reference)?)
    }

    /// The same for a service that runs the task definition already, which may have been deregistered since.
    ///
    /// # Errors
    /// As [`State::template`], but not when the task definition is inactive.
    pub(super) fn template_of_running(
        &self,
        cluster: &str,
        members: &Map<String, Value>,
        reference: &str,
    ) -> Result<Template, SimError> {
        self.resolve(cluster, members, self.revision(reference)?)
    }

    fn resolve(&self, cluster: &str, members: &Map<String, Value>, revision: &Revision) -> Result<Template, SimError> {
        let document = Arc::clone(&revision.document);
        let member = |name: &str| members.get(name).filter(|value| !value.is_null());
        let strategy =
            member("capacityProviderStrategy").filter(|list| list.as_array().is_some_and(|list| !list.is_empty()));
        let default = self.clusters.get(cluster).map(|home| &home.default_strategy);
        let strategy = strategy.or_else(|| default.filter(|_| member("launchType").is_none()));
        let provider =
            strategy.and_then(|list| list.pointer("/0/capacityProvider")).and_then(Value::as_str).map(str::to_owned);
        let launch = match (&provider, member("launchType").and_then(Value::as_str)) {
            (Some(provider), _) if provider.starts_with("FARGATE") => Launch::Fargate,
            (Some(_), _) | (None, None | Some("EC2")) => Launch::Ec2,
            (None, Some("FARGATE")) => Launch::Fargate,
            (None, Some("EXTERNAL")) => Launch::External,
            (None, Some(_)) => return Err(SimError::invalid("Invalid launchType.")),
        };
        if launch == Launch::Fargate && !revision.runs_on_fargate() {
            return Err(SimError::invalid("Task definition does not support launch_type FARGATE."));
        }
        let asked = member("platformVersion").and_then(Value::as_str);
        let platform_version = match (launch, asked) {
            (Launch::Fargate, None | Some("LATEST")) => Some(LATEST_PLATFORM.to_owned()),
            (Launch::Fargate, Some(version @ ("1.0.0" | "1.1.0" | "1.2.0" | "1.3.0" | "1.4.0"))) => {
                Some(version.to_owned())
            }
            (Launch::Fargate, Some(_)) => {
                return Err(SimError::new("PlatformUnknownException", "The specified platform version doesn't exist."));
            }
            (_, Some(_)) => {
                return Err(SimError::invalid("The platform version must be null when specifying an EC2 launch type."));
            }
            (_, None) => None,
        };
        // pidMode `task` needs 1.4.0 (`RegisterTaskDefinitionRequest.pidMode`).
        if platform_version.as_deref().is_some_and(|version| version < "1.4.0") && document.contains_key("pidMode") {
            return Err(SimError::new(
                "PlatformTaskDefinitionIncompatibilityException",
                "The specified platform version does not satisfy the required capabilities of the task definition: [pidMode].",
            ));
        }
        let awsvpc = document.get("networkMode").and_then(Value::as_str) == Some("awsvpc");
        let subnets =
            member("networkConfiguration").and_then(|network| network.pointer("/awsvpcConfiguration/subnets"));
        let has_subnets = subnets.and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        match (awsvpc, has_subnets, member("networkConfiguration").is_some()) {
            (true, false, _) => {
                return Err(SimError::invalid(
                    "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
                ));
            }
            (false, _, true) => {
                return Err(SimError::invalid(
                    "Network Configuration is not valid for the given networkMode of this task definition.",
                ));
            }
            _ => {}
        }
        let balanced = member("loadBalancers").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        let containers = || document.get("containerDefinitions").and_then(Value::as_array).into_iter().flatten();
        let watch = if containers().any(|container| container.get("healthCheck").is_some_and(|check| !check.is_null()))
        {
            Watch::Container
        } else if balanced {
            Watch::LoadBalancer
        } else {
            Watch::Nobody
        };
        let text = |container: &Value, name: &str| container.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let images = containers()
            .map(|container| {
                let image = text(container, "image");
                // ECS resolves a tag once per service deployment, unless the container opts out (ecs-facts §3.8).
                let consistent = text(container, "versionConsistency") != "disabled";
                let digest = consistent.then(|| self.images.resolve(&image));
                Image { container: text(container, "name"), image, digest }
            })
            .collect();
        Ok(Template {
            task_definition: revision.arn.clone(),
            family: revision.family.clone(),
            document: Arc::clone(&document),
            launch,
            capacity_provider: provider,
            platform_version,
            images,
            watch,
        })
    }
}
