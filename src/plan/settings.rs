//! Settings of services and clusters: which call changes them, and whether it starts a deployment.

use serde_json::{Map, Value};

use crate::model::ChangeKind;
use crate::model::change::Setting;
use crate::model::{DiffEntry, Reason, ReasonCode};

/// Members of UpdateService that start a deployment (botocore ecs/2014-11-13, `UpdateService`).
const DEPLOYING: [&str; 7] = [
    "networkConfiguration",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
];

/// Members of UpdateService that start none (the same source). `desiredCount` is not among them: it is never sent, so
/// as not to fight autoscaling.
const QUIET: [&str; 8] = [
    "deploymentConfiguration",
    "availabilityZoneRebalancing",
    "placementConstraints",
    "placementStrategy",
    "healthCheckGracePeriodSeconds",
    "enableExecuteCommand",
    "enableECSManagedTags",
    "propagateTags",
];

/// Members of UpdateClusterSettings and UpdateCluster.
const CLUSTER: [&str; 2] = ["settings", "configuration"];

/// The call that turns `old` into `new`, and the one that takes it back: each top-level member that differs, whole, as
/// ECS wants it (a subnet list goes with its `assignPublicIp`).
///
/// # Errors
/// `NotFixable`, for a member that no such call changes.
pub fn setting(
    kind: ChangeKind,
    old: &Value,
    new: &Value,
    diff: &[DiffEntry],
) -> Result<(ChangeKind, Setting), Reason> {
    let mut setting = Setting { forward: Map::new(), back: Map::new() };
    let mut deploys = false;
    for entry in diff {
        let member = entry.path.trim_start_matches('/').split('/').next().unwrap_or("");
        let known = match kind {
            ChangeKind::ClusterSetting => CLUSTER.contains(&member),
            ChangeKind::Revision | ChangeKind::DeployingSetting | ChangeKind::QuietSetting => {
                deploys |= DEPLOYING.contains(&member);
                DEPLOYING.contains(&member) || QUIET.contains(&member)
            }
        };
        let (from, to) = (old.get(member), new.get(member));
        match (known, to) {
            (true, Some(to)) => {
                setting.forward.insert(member.to_owned(), to.clone());
                setting.back.insert(member.to_owned(), from.cloned().unwrap_or(Value::Null));
            }
            _ => {
                let message = format!("plimsoll has no call that changes `{}`", entry.path);
                return Err(Reason::of(ReasonCode::NotFixable, message));
            }
        }
    }
    let kind = match kind {
        ChangeKind::ClusterSetting => ChangeKind::ClusterSetting,
        _ if deploys => ChangeKind::DeployingSetting,
        _ => ChangeKind::QuietSetting,
    };
    Ok((kind, setting))
}
