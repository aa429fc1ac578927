//! Settings and tags of services and clusters: which call changes them, and whether it starts a deployment.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

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

/// Whether ECS starts a deployment where this member of UpdateService differs.
#[must_use]
pub fn starts_deployment(member: &str) -> bool {
    DEPLOYING.contains(&member)
}

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
    let of_tags = |entry: &DiffEntry| entry.path == "/tags" || entry.path.starts_with("/tags/");
    if diff.iter().any(of_tags) {
        return match diff.iter().find(|entry| !of_tags(entry)) {
            None => tags(old, new).map(|setting| (kind, setting)),
            Some(other) => {
                let message = format!("one fix edits the tags and `{}`: different calls change them", other.path);
                Err(Reason::of(ReasonCode::NotFixable, message))
            }
        };
    }
    let mut setting = Setting { forward: Map::new(), back: Map::new() };
    let mut deploys = false;
    for entry in diff {
        let member = entry.path.trim_start_matches('/').split('/').next().unwrap_or("");
        let known = match kind {
            ChangeKind::ClusterSetting => CLUSTER.contains(&member),
            ChangeKind::Revision | ChangeKind::DeployingSetting | ChangeKind::QuietSetting => {
                deploys |= starts_deployment(member);
                starts_deployment(member) || QUIET.contains(&member)
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

/// The tags that differ, by key, null for one that is not there: TagResource merges (botocore ecs/2014-11-13), so what
/// others tag meanwhile is nothing to it.
fn tags(old: &Value, new: &Value) -> Result<Setting, Reason> {
    let not_fixable = |message: String| Reason::of(ReasonCode::NotFixable, message);
    let read = |document: &Value| -> Result<BTreeMap<String, Value>, Reason> {
        let Some(tags) = document.get("tags").filter(|tags| !tags.is_null()) else { return Ok(BTreeMap::new()) };
        let pair = |tag: &Value| {
            Some((tag.get("key")?.as_str()?.to_owned(), json!(tag.get("value").map_or(Some(""), Value::as_str)?)))
        };
        let pairs: Option<_> = tags.as_array().and_then(|tags| tags.iter().map(pair).collect());
        pairs.ok_or_else(|| not_fixable("`/tags` is no list of keys and values".to_owned()))
    };
    let (old, new) = (read(old)?, read(new)?);
    let (mut forward, mut back) = (Map::new(), Map::new());
    for key in old.keys().chain(new.keys()).filter(|key| old.get(*key) != new.get(*key)) {
        if key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:")) {
            return Err(not_fixable(format!("tag `{key}` is AWS's own: nobody else can change it")));
        }
        forward.insert(key.clone(), new.get(key).cloned().unwrap_or(Value::Null));
        back.insert(key.clone(), old.get(key).cloned().unwrap_or(Value::Null));
    }
    if forward.is_empty() {
        return Err(not_fixable("the fix only reorders tags".to_owned()));
    }
    let member = |tags| Map::from_iter([("tags".to_owned(), Value::Object(tags))]);
    Ok(Setting { forward: member(forward), back: member(back) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::DocumentKind;
    use crate::plan::compare;

    fn of(kind: ChangeKind, old: &Value, new: &Value) -> Result<(ChangeKind, Setting), ReasonCode> {
        let diff = compare::diff(DocumentKind::Service, old, new);
        setting(kind, old, new, &diff).map_err(|reason| reason.code)
    }

    #[track_caller]
    fn check(old: Value, new: Value, kind: ChangeKind, forward: Value, back: Value) {
        let asked = if kind == ChangeKind::ClusterSetting { kind } else { ChangeKind::QuietSetting };
        let (found, setting) = of(asked, &old, &new).unwrap();
        assert_eq!((found, json!(setting.forward), json!(setting.back)), (kind, forward, back));
    }

    #[test]
    fn the_enclosing_member_is_sent_whole_there_and_back() {
        let network = |assign: &str| json!({ "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["s-1"], "assignPublicIp": assign } }, "desiredCount": 3 });
        let member = |assign: &str| json!({ "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["s-1"], "assignPublicIp": assign } } });
        check(
            network("ENABLED"),
            network("DISABLED"),
            ChangeKind::DeployingSetting,
            member("DISABLED"),
            member("ENABLED"),
        );
    }

    #[test]
    fn a_setting_deploys_if_any_of_its_members_does() {
        check(
            json!({ "platformVersion": "1.3.0", "enableExecuteCommand": true }),
            json!({ "platformVersion": "LATEST", "enableExecuteCommand": false }),
            ChangeKind::DeployingSetting,
            json!({ "platformVersion": "LATEST", "enableExecuteCommand": false }),
            json!({ "platformVersion": "1.3.0", "enableExecuteCommand": true }),
        );
        check(
            json!({ "enableExecuteCommand": true }),
            json!({ "enableExecuteCommand": false }),
            ChangeKind::QuietSetting,
            json!({ "enableExecuteCommand": false }),
            json!({ "enableExecuteCommand": true }),
        );
    }

    #[test]
    fn a_member_that_was_absent_is_remembered_as_absent() {
        check(
            json!({}),
            json!({ "settings": [{ "name": "containerInsights", "value": "enabled" }] }),
            ChangeKind::ClusterSetting,
            json!({ "settings": [{ "name": "containerInsights", "value": "enabled" }] }),
            json!({ "settings": null }),
        );
    }

    #[test]
    fn only_the_tags_that_differ_are_sent_there_and_back() {
        for kind in [ChangeKind::QuietSetting, ChangeKind::ClusterSetting] {
            check(
                json!({ "tags": [{ "key": "team", "value": "a" }, { "key": "old" }, { "key": "aws:x", "value": "y" }] }),
                json!({ "tags": [{ "key": "aws:x", "value": "y" }, { "key": "team", "value": "b" }, { "key": "env", "value": "" }] }),
                kind,
                json!({ "tags": { "old": null, "team": "b", "env": "" } }),
                json!({ "tags": { "old": "", "team": "a", "env": null } }),
            );
        }
    }

    #[test]
    fn what_no_call_changes_is_not_fixable() {
        for (old, new) in [
            (json!({ "desiredCount": 3 }), json!({ "desiredCount": 0 })),
            (json!({ "launchType": "EC2" }), json!({ "launchType": "FARGATE" })),
            (json!({ "networkConfiguration": {} }), json!({})),
        ] {
            assert_eq!(of(ChangeKind::QuietSetting, &old, &new), Err(ReasonCode::NotFixable), "{new}");
        }
        let cluster = of(ChangeKind::ClusterSetting, &json!({ "tags": [] }), &json!({ "tags": [1] }));
        assert_eq!(cluster, Err(ReasonCode::NotFixable));
        let reserved =
            of(ChangeKind::QuietSetting, &json!({ "tags": [{ "key": "AWS:a", "value": "" }] }), &json!({ "tags": [] }));
        assert_eq!(reserved, Err(ReasonCode::NotFixable));
        let both = of(
            ChangeKind::QuietSetting,
            &json!({ "enableExecuteCommand": true }),
            &json!({ "enableExecuteCommand": false, "tags": [{ "key": "a", "value": "" }] }),
        );
        assert_eq!(both, Err(ReasonCode::NotFixable), "two calls");
    }
}
