//! May this service be touched now? One table: each row a code and a sentence.
//!
//! Only what the service itself says. Holds, freezes, windows and budgets are asked where they are known.

use crate::model::observed::{DeploymentController, SchedulingStrategy, Service};
use crate::model::{Reason, ReasonCode};

/// Why a service may not be touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ineligible {
    /// Not until somebody changes something.
    Blocked(Reason),
    /// Not now: it passes by itself.
    Deferred(Reason),
}

/// What a change would do to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Touch {
    /// A new task definition, or a setting that starts a deployment.
    Deploys,
    /// A setting that starts none.
    Quiet,
}

/// Whether the service may be touched, and if not, why.
///
/// # Errors
/// The first row that forbids it; rows that stay come before rows that pass.
pub fn eligible(service: &Service, touch: Touch) -> Result<(), Ineligible> {
    let blocked = |code, message: String| Err(Ineligible::Blocked(Reason::of(code, message)));
    let name = service.arn.short();
    if service.status != "ACTIVE" {
        return blocked(ReasonCode::ServiceNotActive, format!("service `{name}` is {}", service.status));
    }
    if service.managed_by_ecs {
        return blocked(ReasonCode::ManagedByEcs, format!("ECS itself manages service `{name}` (Express Mode)"));
    }
    if touch == Touch::Quiet {
        return Ok(());
    }
    match service.controller {
        DeploymentController::Ecs => {}
        // ECS's own words: "Unable to update task definition on services with a CODE_DEPLOY deployment controller."
        DeploymentController::CodeDeploy => {
            return blocked(
                ReasonCode::CodeDeployController,
                format!(
                    "AWS CodeDeploy deploys service `{name}`; ECS refuses an update. Deploy the patched task definition there"
                ),
            );
        }
        DeploymentController::External => {
            return blocked(
                ReasonCode::ExternalController,
                format!("service `{name}` is deployed through task sets by its own controller"),
            );
        }
    }
    if let Some(arithmetic) = no_headroom(service) {
        return blocked(ReasonCode::NoHeadroom, format!("service `{name}` cannot replace a task: {arithmetic}"));
    }
    match in_progress(service) {
        Some(reason) => Err(Ineligible::Deferred(reason)),
        None => Ok(()),
    }
}

/// The arithmetic by which ECS can neither start nor stop a task, if so: at least ⌈desired × minimum %⌉ must stay
/// healthy, at most ⌊desired × maximum %⌋ may run (botocore `DeploymentConfiguration`).
fn no_headroom(service: &Service) -> Option<String> {
    let (minimum, maximum) = (service.configuration.minimum_percent, service.configuration.maximum_percent);
    let rolling = service.configuration.strategy == "ROLLING";
    if !rolling || service.desired_count == 0 {
        return None;
    }
    let desired = u64::from(service.desired_count);
    let floor = (desired * u64::from(minimum)).div_ceil(100);
    // A daemon never runs two of its tasks on one instance: its maximum is ignored above 100.
    let ceiling = match service.scheduling {
        SchedulingStrategy::Replica => desired * u64::from(maximum) / 100,
        SchedulingStrategy::Daemon => desired * u64::from(maximum.min(100)) / 100,
    };
    (floor >= desired && ceiling <= desired).then(|| {
        format!(
            "of {desired} desired, minimumHealthyPercent {minimum} keeps {floor} running and maximumPercent {maximum} allows {ceiling}; raise the maximum or lower the minimum"
        )
    })
}

/// A deployment or rollback that is under way. A deployment started during a rollback stalls (ECS Developer Guide,
/// "deployment circuit breaker").
pub(super) fn in_progress(service: &Service) -> Option<Reason> {
    let name = service.arn.short();
    let primary = service.primary()?;
    let several = service.deployments.iter().filter(|deployment| deployment.status != "INACTIVE").count() > 1;
    // Once the last task of the failed deployment is gone, that one is no longer listed, and only ECS's words tell:
    // "ECS deployment circuit breaker: rolling back to deploymentId …".
    let in_words =
        primary.rollout_state_reason.as_deref().is_some_and(|reason| reason.to_lowercase().contains("rolling back"));
    let rolling_back = in_words
        || service
            .deployments
            .iter()
            .any(|deployment| deployment.id != primary.id && deployment.rollout_state.as_deref() == Some("FAILED"));
    match primary.rollout_state.as_deref() {
        Some("IN_PROGRESS") if rolling_back => Some(Reason::of(
            ReasonCode::RollbackInProgress,
            format!("service `{name}` is being rolled back to `{}`", primary.task_definition.short()),
        )),
        Some("IN_PROGRESS") => Some(deployment_in_progress(service, &primary.id)),
        // Behind a Classic Load Balancer there is no rolloutState: then one deployment with all its tasks is steady.
        None if several || service.running_count != service.desired_count => {
            Some(deployment_in_progress(service, &primary.id))
        }
        _ if several => Some(Reason::of(
            ReasonCode::Draining,
            format!("service `{name}` still runs tasks of an earlier deployment"),
        )),
        _ => None,
    }
}

fn deployment_in_progress(service: &Service, id: &str) -> Reason {
    Reason::of(
        ReasonCode::DeploymentInProgress,
        format!("deployment `{id}` of service `{}` is in progress", service.arn.short()),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::wire;

    fn service(change: impl FnOnce(&mut Value)) -> Service {
        let mut value = json!({
            "serviceArn": "arn:aws:ecs:eu-west-1:1:service/prod/web", "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/prod", "status": "ACTIVE",
            "desiredCount": 2, "runningCount": 2, "taskDefinition": "arn:aws:ecs:eu-west-1:1:task-definition/web:1",
            "deployments": [{ "id": "ecs-svc/1", "status": "PRIMARY", "rolloutState": "COMPLETED", "taskDefinition": "arn:aws:ecs:eu-west-1:1:task-definition/web:1" }],
        });
        change(&mut value);
        wire::service(&value).unwrap()
    }

    #[track_caller]
    fn check(expected: Option<(ReasonCode, bool)>, change: impl FnOnce(&mut Value)) {
        let found = match eligible(&service(change), Touch::Deploys) {
            Ok(()) => None,
            Err(Ineligible::Blocked(reason)) => Some((reason.code, true)),
            Err(Ineligible::Deferred(reason)) => Some((reason.code, false)),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn each_row_says_its_code() {
        use ReasonCode::{
            CodeDeployController, DeploymentInProgress, Draining, ExternalController, ManagedByEcs, NoHeadroom,
            RollbackInProgress, ServiceNotActive,
        };
        check(None, |_| {});
        check(None, |s| s["desiredCount"] = json!(0));
        check(Some((ServiceNotActive, true)), |s| s["status"] = json!("DRAINING"));
        check(Some((ManagedByEcs, true)), |s| s["resourceManagementType"] = json!("ECS"));
        check(Some((CodeDeployController, true)), |s| s["deploymentController"] = json!({ "type": "CODE_DEPLOY" }));
        check(Some((ExternalController, true)), |s| s["deploymentController"] = json!({ "type": "EXTERNAL" }));
        check(None, |s| s["deploymentConfiguration"] = json!({ "minimumHealthyPercent": 100, "maximumPercent": 150 }));
        check(None, |s| s["deploymentConfiguration"] = json!({ "minimumHealthyPercent": 50, "maximumPercent": 100 }));
        check(Some((NoHeadroom, true)), |s| {
            s["desiredCount"] = json!(1);
            s["deploymentConfiguration"] = json!({ "minimumHealthyPercent": 100, "maximumPercent": 150 });
        });
        check(Some((NoHeadroom, true)), |s| {
            s["schedulingStrategy"] = json!("DAEMON");
            s["deploymentConfiguration"] = json!({ "minimumHealthyPercent": 100, "maximumPercent": 200 });
        });
        check(Some((DeploymentInProgress, false)), |s| s["deployments"][0]["rolloutState"] = json!("IN_PROGRESS"));
        check(Some((DeploymentInProgress, false)), |s| {
            s["deployments"][0].as_object_mut().unwrap().remove("rolloutState");
            s["runningCount"] = json!(1);
        });
        let second = |state: &str| json!({ "id": "ecs-svc/0", "status": "ACTIVE", "rolloutState": state, "taskDefinition": "arn:aws:ecs:eu-west-1:1:task-definition/web:2" });
        check(Some((Draining, false)), |s| s["deployments"].as_array_mut().unwrap().push(second("COMPLETED")));
        check(Some((RollbackInProgress, false)), |s| {
            s["deployments"][0]["rolloutState"] = json!("IN_PROGRESS");
            s["deployments"].as_array_mut().unwrap().push(second("FAILED"));
        });
        check(Some((RollbackInProgress, false)), |s| {
            s["deployments"][0]["rolloutState"] = json!("IN_PROGRESS");
            let reason = "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.";
            s["deployments"][0]["rolloutStateReason"] = json!(reason);
        });
    }

    #[test]
    fn a_service_that_runs_nothing_or_shifts_traffic_itself_needs_no_headroom() {
        let tight = json!({ "minimumHealthyPercent": 100, "maximumPercent": 100 });
        check(None, |s| {
            s["desiredCount"] = json!(0);
            s["runningCount"] = json!(0);
            s["deploymentConfiguration"] = tight.clone();
        });
        for strategy in ["BLUE_GREEN", "LINEAR", "CANARY"] {
            check(None, |s| {
                s["deploymentConfiguration"] = tight.clone();
                s["deploymentConfiguration"]["strategy"] = json!(strategy);
            });
        }
    }

    #[test]
    fn what_stays_is_told_before_what_passes() {
        check(Some((ReasonCode::CodeDeployController, true)), |s| {
            s["deploymentController"] = json!({ "type": "CODE_DEPLOY" });
            s["deployments"][0]["rolloutState"] = json!("IN_PROGRESS");
        });
        check(Some((ReasonCode::ServiceNotActive, true)), |s| {
            s["status"] = json!("DRAINING");
            s["deploymentController"] = json!({ "type": "EXTERNAL" });
        });
    }

    #[test]
    fn a_quiet_setting_asks_for_no_headroom_and_no_controller() {
        let service = service(|s| s["deploymentController"] = json!({ "type": "CODE_DEPLOY" }));
        assert_eq!(eligible(&service, Touch::Quiet), Ok(()));
    }

    #[test]
    fn no_headroom_shows_its_arithmetic() {
        let service =
            service(|s| s["deploymentConfiguration"] = json!({ "minimumHealthyPercent": 100, "maximumPercent": 100 }));
        let Err(Ineligible::Blocked(reason)) = eligible(&service, Touch::Deploys) else { panic!("it is blocked") };
        insta::assert_snapshot!(reason.message, @"service `prod/web` cannot replace a task: of 2 desired, minimumHealthyPercent 100 keeps 2 running and maximumPercent 100 allows 2; raise the maximum or lower the minimum");
    }
}
