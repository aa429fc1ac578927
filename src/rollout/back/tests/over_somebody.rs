//! What went back replaced, or had replaced, somebody's.

use super::*;

#[test]
fn a_call_back_that_went_over_somebodys_deployment_is_told_as_such() {
    let back = |number: u32| Scene::empty().deployment("back", "PRIMARY", number, NOW - 3, "IN_PROGRESS");
    let from = |scene: Scene, number: u32, sources: &[u32]| {
        let sources = json!(sources);
        scene.record_with("IN_PROGRESS", number, NOW - 3, |record| record["sources"] = sources)
    };
    let revision = revision_going(updating(NOW - 5));
    check(&revision, &from(back(1), 1, &[2]), "RollingBack Watching | - | -");
    check(&revision, &from(back(1), 1, &[2, 9]), "Clobbering | - | Clobbered");
    check(&revision, &back(1), "RollingBack Updating | - | NotObserved");
    let theirs = || back(1).deployment("theirs", "ACTIVE", 9, NOW - 4, "IN_PROGRESS").records_unavailable();
    check(&revision, &theirs(), "Clobbering | - | Clobbered");
    // Said as soon as it shows: it is gone when the record is listed.
    check(&revision, &theirs().no_records(), "Clobbering | - | Clobbered");
    // They had set something on our revision.
    let again = |number: u32| back(1).record("SUCCESSFUL", number, -60).record("STOPPED", 2, NOW - 4);
    check(&revision, &from(again(2), 1, &[2]), "Clobbering | - | Clobbered");
    check(&revision, &from(again(1), 1, &[2]), "RollingBack Watching | - | -");
    let shown = back(1).deployment("theirs", "ACTIVE", 2, NOW - 4, "IN_PROGRESS").records_unavailable();
    check(&revision, &shown, "Clobbering | - | Clobbered");
    // A setting keeps the revision: ours brings what they had deployed, with what was set before.
    let mut setting = setting_going(updating(NOW - 5));
    let members = |value: serde_json::Value| value.as_object().unwrap().clone();
    setting.spec.setting = Some(Setting { forward: members(json!({ "m": 1 })), back: members(json!({ "m": 0 })) });
    let shown = |scene: Scene, value: u32| scene.edit(|service| service["m"] = json!(value));
    check(&setting, &shown(from(back(9), 9, &[1, 9]), 0), "Clobbering | - | Clobbered");
    check(&setting, &shown(from(back(9), 9, &[1]), 0), "Overtaken | - | MovedOn");
    check(&setting, &shown(from(back(9), 9, &[1, 9]), 1), "Overtaken | - | MovedOn");
}

#[test]
fn a_setting_of_which_nobody_heard_may_have_begun_theirs_again_before_ecs_went_back() {
    let change = |deployment: Option<&str>| {
        let mut change = going(ChangeKind::DeployingSetting, ReasonCode::RolledBackByEcs, deployment, steady(NOW - 90));
        change.unheard.push(Unheard { to: None, back: false, calls: 1, intent: at(INTENT), until: at(INTENT + 50) });
        change
    };
    let gone = |number: u32, second: i64, sources: &[u32]| {
        let sources = json!(sources);
        Scene::before().record_with("ROLLBACK_SUCCESSFUL", number, second, |record| record["sources"] = sources)
    };
    check(&change(None), &gone(9, INTENT + 1, &[1, 9]), "Clobbered | - | Clobbered");
    // Ours on what it had before; theirs, that was not begun again; one of before, and one that is too late; where the call was
    // heard of; and ours, of which the answer told.
    check(&change(None), &gone(1, INTENT + 1, &[1]), "RolledBack | - | RolledBackByEcs");
    check(&change(None), &gone(9, INTENT + 1, &[1]), "RolledBack | - | RolledBackByEcs");
    check(&change(None), &gone(9, INTENT - 1, &[1, 9]), "RolledBack | - | RolledBackByEcs");
    check(&change(None), &gone(9, INTENT + 50, &[1, 9]), "RolledBack | - | RolledBackByEcs");
    let heard = Change { unheard: Vec::new(), ..change(None) };
    check(&heard, &gone(9, INTENT + 1, &[1, 9]), "RolledBack | - | RolledBackByEcs");
    check(&change(Some("ours")), &gone(9, INTENT + 1, &[1, 9]), "RolledBack | - | RolledBackByEcs");
}
