//! Whether a setting is still what was planned for, is what we made it, or is somebody's.
//!
//! A setting is sent whole, member by member, and UpdateService and UpdateCluster have no condition (botocore
//! ecs/2014-11-13): whoever changed another part of the member since would lose it. So what is there is compared first.
//!
//! Knows nothing of who changed what, and of deployments.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::landing::Facts;
use super::record::Change;
use super::state::State;
use crate::model::change::Setting;
use crate::model::{ChangeKind, Observed, Reason, ReasonCode, Timestamp};
use crate::plan::settings::starts_deployment;

/// How the members of a setting stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// As they were when the change was planned.
    Before,
    /// As the change makes them.
    Made,
    /// Neither: somebody changed this member.
    Theirs(String),
}

/// The document that the change's setting is a part of, as ECS shows it.
///
/// # Errors
/// Why it cannot be told. None where the resource is not there any more.
pub fn document<'a>(change: &Change, facts: &'a Facts) -> Result<&'a Value, Option<Reason>> {
    let unknown = |what: &str, why: &str| {
        Some(Reason::of(ReasonCode::NotObserved, format!("the {what} could not be read: {why}")))
    };
    if change.spec.kind == ChangeKind::ClusterSetting {
        return match &facts.cluster {
            // A deleted cluster stays INACTIVE for a while.
            Observed::Known { value, .. } if value.get("status").is_some_and(|status| status == "INACTIVE") => {
                Err(None)
            }
            Observed::Known { value, .. } => Ok(value),
            Observed::Absent { .. } => Err(None),
            Observed::Unknown { why, .. } => Err(unknown("cluster", why)),
        };
    }
    match &facts.service {
        Observed::Known { value, .. } => Ok(&value.document),
        Observed::Absent { .. } => Err(None),
        Observed::Unknown { why, .. } => Err(unknown("service", why)),
    }
}

/// How the members of the change's setting stand in `document`.
#[must_use]
pub fn standing(change: &Change, document: &Value) -> Standing {
    let Some(setting) = &change.spec.setting else { return Standing::Before };
    let shown = |name: &str| shown(document, name, setting.forward.get(name));
    let before = |name: &str| is_before(setting, document, name);
    let made = |name: &str, wanted: &Value| is_made(setting, document, name, wanted);
    // What it was comes first: where a change takes something out, the old member has all of the new one too.
    if setting.forward.keys().all(|name| before(name)) {
        return Standing::Before;
    }
    if setting.forward.iter().all(|(name, wanted)| made(name, wanted)) {
        return Standing::Made;
    }
    if let (Some(shown), Some(forward)) = (shown(TAGS), setting.forward.get(TAGS).and_then(Value::as_object)) {
        // Setting some tags and removing others takes two calls, and the second may not have been made.
        let half = |(key, wanted): (&String, &Value)| {
            let back = setting.back.get(TAGS).and_then(|back| back.get(key));
            let found = shown.get(key).unwrap_or(&Value::Null);
            found == wanted || Some(found) == back
        };
        match change.state {
            State::Updating { .. } if forward.iter().all(half) => return Standing::Before,
            State::RollingBack { .. } if forward.iter().all(half) => return Standing::Made,
            _ => {}
        }
    }
    // One that is as it was among others that are made: a call that changes several changes them at once, so this too is
    // somebody's.
    let theirs = setting.forward.iter().find(|(name, wanted)| !made(name, wanted) && !before(name));
    let mixed = || setting.forward.iter().find(|(name, wanted)| !made(name, wanted));
    Standing::Theirs(theirs.or_else(mixed).map(|(name, _)| name.clone()).unwrap_or_default())
}

fn is_before(setting: &Setting, document: &Value, name: &str) -> bool {
    let (shown, back) = (shown(document, name, setting.forward.get(name)), setting.back.get(name));
    let (shown, back) = (shown.as_deref().unwrap_or(&Value::Null), back.unwrap_or(&Value::Null));
    shows(shown, back) && shows(back, shown)
}

fn is_made(setting: &Setting, document: &Value, name: &str, wanted: &Value) -> bool {
    let shown = shown(document, name, setting.forward.get(name));
    shown.is_some_and(|shown| wanted.is_null() || shows(&shown, wanted))
}

/// A member that is neither as it was nor as the change made it: somebody has set it. What is not shown tells nothing, for ECS
/// need not show a member that was emptied.
#[must_use]
pub fn theirs<'a>(change: &'a Change, document: &Value) -> Option<&'a str> {
    let setting = change.spec.setting.as_ref()?;
    let theirs = |(name, wanted): &(&String, &Value)| {
        shown(document, name, setting.forward.get(*name)).is_some()
            && !is_before(setting, document, name)
            && !is_made(setting, document, name, wanted)
    };
    setting.forward.iter().find(theirs).map(|(name, _)| name.as_str())
}

/// Whether a member that starts a deployment is as the change made it, and not as it was before.
#[must_use]
pub fn stays_made(change: &Change, document: &Value) -> bool {
    let stays = |setting: &Setting| {
        let mut deploying = setting.forward.iter().filter(|(name, _)| starts_deployment(name));
        deploying.any(|(name, wanted)| is_made(setting, document, name, wanted) && !is_before(setting, document, name))
    };
    change.spec.setting.as_ref().is_some_and(stays)
}

/// Of a setting that deploys, the members that start no deployment and are as the change made them, each as it was before. ECS
/// goes back from a deployment by its service revision, which has none of them. What somebody has changed since is not among them.
#[must_use]
pub fn left_set(change: &Change, document: &Value) -> Map<String, Value> {
    let setting = change.spec.setting.as_ref().filter(|_| change.spec.kind == ChangeKind::DeployingSetting);
    let Some(setting) = setting else { return Map::new() };
    let quiet = setting.forward.iter().filter(|(name, _)| !starts_deployment(name));
    let left =
        quiet.filter(|(name, wanted)| is_made(setting, document, name, wanted) && !is_before(setting, document, name));
    left.map(|(name, _)| (name.clone(), setting.back.get(name).cloned().unwrap_or(Value::Null))).collect()
}

/// Whether the resource shows what the change has made of it. A change without members shows nothing else.
#[must_use]
pub fn shows_made(change: &Change, facts: &Facts) -> bool {
    change.spec.setting.is_none()
        || document(change, facts).is_ok_and(|document| standing(change, document) == Standing::Made)
}

/// The member of a setting that is no member of UpdateService or UpdateCluster: tags by key, null for one that is not
/// there.
pub const TAGS: &str = "tags";

/// A member as the document shows it. Of the tags, those that the setting names: TagResource leaves the others alone.
fn shown<'a>(document: &'a Value, name: &str, forward: Option<&Value>) -> Option<Cow<'a, Value>> {
    if name != TAGS {
        return document.get(name).map(Cow::Borrowed);
    }
    let ours = forward?.as_object()?;
    let tags = document.get(name).and_then(Value::as_array).into_iter().flatten();
    let pair = |tag: &Value| {
        let key = tag.get("key")?.as_str().filter(|key| ours.contains_key(*key))?;
        // A tag without a value has an empty one.
        Some((key.to_owned(), tag.get("value").filter(|value| !value.is_null()).cloned().unwrap_or_else(|| "".into())))
    };
    Some(Cow::Owned(Value::Object(tags.filter_map(pair).collect::<Map<_, _>>())))
}

/// A member that the resource did not have before: no call takes it out again.
#[must_use]
pub fn irremovable(change: &Change) -> Option<&str> {
    let setting = change.spec.setting.as_ref()?;
    setting.back.iter().find(|(_, value)| value.is_null()).map(|(name, _)| name.as_str())
}

/// What has become of a setting whose deployment has landed, where it is not as that made it: somebody may have changed it
/// since without another deployment.
#[must_use]
pub fn changed_since(change: &Change, facts: &Facts, now: Timestamp) -> Option<(State, Option<Reason>)> {
    if change.spec.kind != ChangeKind::DeployingSetting {
        return None;
    }
    // ECS need not show a member that was emptied: of what it does not show nothing can be told here.
    let told = |document: &Value| {
        let mut members = change.spec.setting.iter().flat_map(|setting| setting.forward.keys());
        members.all(|name| shown(document, name, None).is_some())
    };
    let member = match document(change, facts).map(|document| (told(document), standing(change, document))) {
        Ok((false, _)) | Ok((_, Standing::Made)) => return None,
        Ok((true, Standing::Before)) => "what it sets".to_owned(),
        Ok((true, Standing::Theirs(member))) => format!("`{member}`"),
        Err(Some(reason)) => return Some((change.state.clone(), Some(reason))),
        Err(None) => return Some((State::Gone { at: now }, None)),
    };
    let message = format!("somebody changed {member} since, before it was verified");
    let reason = Reason::of(ReasonCode::Overtaken, message);
    Some((State::Overtaken { reason: reason.clone(), at: now }, Some(reason)))
}

/// Whether `shown` has everything of `wanted`. Members that ECS adds to objects are its own; elements of lists are not.
fn shows(shown: &Value, wanted: &Value) -> bool {
    match (shown, wanted) {
        (Value::Object(shown), Value::Object(wanted)) => {
            wanted.iter().all(|(name, value)| shows(shown.get(name).unwrap_or(&Value::Null), value))
        }
        (Value::Array(shown), Value::Array(wanted)) => {
            // ECS keeps no order of subnets, settings and the like.
            shown.len() == wanted.len() && wanted.iter().all(|value| shown.iter().any(|shown| shows(shown, value)))
        }
        (shown, wanted) => shown == wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollout::fixture::change;

    #[track_caller]
    fn check(forward: Value, back: Value, shown: Value, expected: Standing) {
        let mut change = change(ChangeKind::QuietSetting);
        let members = |value: Value| value.as_object().unwrap().clone();
        change.spec.setting = Some(Setting { forward: members(forward), back: members(back) });
        assert_eq!(standing(&change, &shown), expected);
    }

    #[test]
    fn a_setting_is_as_planned_made_or_somebodys() {
        let member = |subnets: Value, ip: &str| json!({ "network": { "subnets": subnets, "ip": ip } });
        let is = |shown: Value, expected| {
            check(member(json!(["a", "b"]), "OFF"), member(json!(["a", "b"]), "ON"), shown, expected);
        };
        let theirs = || Standing::Theirs("network".to_owned());
        is(member(json!(["a", "b"]), "ON"), Standing::Before);
        is(member(json!(["b", "a"]), "ON"), Standing::Before);
        is(member(json!(["b", "a"]), "OFF"), Standing::Made);
        is(member(json!(["c"]), "ON"), theirs());
        is(member(json!(["a", "b", "c"]), "ON"), theirs());
        is(member(json!(["a", "b", "c"]), "OFF"), theirs());
        is(json!({}), theirs());
        is(json!({ "network": { "subnets": ["a", "b"], "ip": "ON", "more": 1 } }), theirs());
        is(json!({ "network": { "subnets": ["a", "b"], "ip": "OFF", "more": 1 } }), Standing::Made);
    }

    #[test]
    fn what_is_to_be_taken_out_is_not_made_while_it_is_there() {
        let (with, without) = (json!({ "m": { "a": 1, "b": 2 } }), json!({ "m": { "a": 1 } }));
        check(without.clone(), with.clone(), with.clone(), Standing::Before);
        check(without.clone(), with, without, Standing::Made);
    }

    #[test]
    fn what_was_absent_is_as_planned_while_it_is_absent() {
        let (forward, back) = (json!({ "m": true }), json!({ "m": null }));
        check(forward.clone(), back.clone(), json!({}), Standing::Before);
        check(forward.clone(), back.clone(), json!({ "m": true }), Standing::Made);
        check(forward, back, json!({ "m": false }), Standing::Theirs("m".to_owned()));
    }

    #[test]
    fn tags_that_the_setting_does_not_name_are_nothing_to_it() {
        let (forward, back) =
            (json!({ "tags": { "team": "a", "old": null } }), json!({ "tags": { "team": null, "old": "" } }));
        let is = |shown: Value, expected| check(forward.clone(), back.clone(), json!({ "tags": shown }), expected);
        is(json!([{ "key": "old", "value": "" }, { "key": "theirs", "value": "x" }]), Standing::Before);
        is(json!([{ "key": "old" }]), Standing::Before);
        is(json!([{ "key": "team", "value": "a" }, { "key": "theirs", "value": "x" }]), Standing::Made);
        is(json!([{ "key": "team", "value": "b" }]), Standing::Theirs("tags".to_owned()));
        // Before it was sent, somebody else did half of it.
        is(json!([]), Standing::Theirs("tags".to_owned()));
    }

    #[test]
    fn tags_of_which_half_was_sent_are_sent_again_in_either_direction() {
        let mut change = change(ChangeKind::QuietSetting);
        let members = |value: Value| value.as_object().unwrap().clone();
        change.spec.setting = Some(Setting {
            forward: members(json!({ "tags": { "team": "a", "old": null } })),
            back: members(json!({ "tags": { "team": null, "old": "x" } })),
        });
        let half = json!({ "tags": [{ "key": "team", "value": "a" }, { "key": "old", "value": "x" }] });
        let theirs = json!({ "tags": [{ "key": "team", "value": "b" }, { "key": "old", "value": "x" }] });
        let at = crate::model::Timestamp::EPOCH;
        change.state = State::Updating { to: None, before: None, intent: at };
        assert_eq!(standing(&change, &half), Standing::Before);
        assert_eq!(standing(&change, &theirs), Standing::Theirs("tags".to_owned()));
    }

    #[test]
    fn what_started_no_deployment_is_left_set_as_long_as_it_is_ours() {
        let members = |value: Value| value.as_object().unwrap().clone();
        let mut mixed = change(ChangeKind::DeployingSetting);
        mixed.spec.setting = Some(Setting {
            forward: members(
                json!({ "platformVersion": "1.4.0", "enableExecuteCommand": false, "propagateTags": "SERVICE" }),
            ),
            back: members(json!({ "platformVersion": "1.3.0", "enableExecuteCommand": true, "propagateTags": null })),
        });
        let left = |shown: Value| Value::Object(left_set(&mixed, &shown));
        let shown = |version: &str, exec: bool, tags: &str| json!({ "platformVersion": version, "enableExecuteCommand": exec, "propagateTags": tags });
        let both = json!({ "enableExecuteCommand": true, "propagateTags": null });
        assert_eq!(left(shown("1.3.0", false, "SERVICE")), both);
        assert_eq!(left(shown("1.4.0", false, "SERVICE")), both);
        assert_eq!(left(shown("1.3.0", false, "TASK_DEFINITION")), json!({ "enableExecuteCommand": true }));
        assert_eq!(left(json!({ "platformVersion": "1.3.0", "enableExecuteCommand": true })), json!({}));
        mixed.spec.kind = ChangeKind::QuietSetting;
        assert_eq!(left_set(&mixed, &shown("1.3.0", false, "SERVICE")), Map::new());
    }

    #[test]
    fn several_members_stand_together() {
        let (forward, back) = (json!({ "a": 1, "b": 1 }), json!({ "a": 0, "b": 0 }));
        check(forward.clone(), back.clone(), json!({ "a": 0, "b": 0 }), Standing::Before);
        check(forward.clone(), back.clone(), json!({ "a": 1, "b": 1 }), Standing::Made);
        check(forward.clone(), back.clone(), json!({ "a": 1, "b": 0 }), Standing::Theirs("b".to_owned()));
        check(forward, back, json!({ "a": 0, "b": 2 }), Standing::Theirs("b".to_owned()));
    }
}
