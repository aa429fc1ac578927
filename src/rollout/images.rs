//! Which images ran, and whether a tag has moved since: a way back by a deployment resolves tags again.

use std::collections::{BTreeMap, BTreeSet};

use super::landing::Facts;
use super::record::Change;
use super::state::State;
use crate::model::change::Documents;
use crate::model::observed::Task;

/// Container → image digest of a deployment's tasks. Containers whose tasks differ in it, or of which none tells, are not
/// in it.
#[must_use]
pub fn of_deployment(facts: &Facts, deployment: &str) -> BTreeMap<String, String> {
    let tasks = facts.tasks.known().map_or(&[][..], Vec::as_slice);
    let ours = || tasks.iter().filter(|task| task.started_by.as_deref() == Some(deployment));
    let told: BTreeSet<(&String, &String)> = ours().flat_map(|task: &Task| &task.image_digests).collect();
    let alone = |(name, _): &(&String, &String)| told.iter().filter(|(other, _)| other == name).count() == 1;
    told.iter().filter(|pair| alone(pair)).map(|(name, digest)| ((*name).clone(), (*digest).clone())).collect()
}

/// Containers whose tag stood for another image when our deployment resolved it than it did when what it replaced did, or
/// may have; and those whose tag ours did not resolve, so that it may stand for anything by now. What ran before is known,
/// or nothing is said of a container.
#[must_use]
pub fn moved(change: &Change, facts: &Facts) -> Vec<String> {
    let Some((documents, ours)) = resolved(change, facts) else { return Vec::new() };
    let differs = |name: &&String| match (change.spec.ran.get(*name), ours.get(*name)) {
        (Some(before), Some(after)) => before != after,
        // None of ours has got an image, or they differ: what ran is known, and is what is to come back.
        (Some(_), None) => true,
        (None, _) => false,
    };
    let unasked = documents.untagged.iter().filter(|name| change.spec.ran.contains_key(*name));
    documents.tagged.iter().filter(differs).chain(unasked).cloned().collect()
}

/// Whether a container's tag is known to have moved: ours got another image by it.
#[must_use]
pub fn is_known_to_have_moved(change: &Change, facts: &Facts, name: &str) -> bool {
    resolved(change, facts).is_some_and(|(documents, ours)| {
        documents.tagged.contains(name) && ours.get(name).is_some_and(|after| change.spec.ran.get(name) != Some(after))
    })
}

/// The documents of a change that goes back, and what our deployment got.
fn resolved<'c>(change: &'c Change, facts: &Facts) -> Option<(&'c Documents, BTreeMap<String, String>)> {
    match (&change.spec.documents, &change.state) {
        (Some(documents), State::RollingBack { deployment: Some(deployment), .. }) => {
            Some((documents, of_deployment(facts, deployment)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{ChangeKind, Observed, ReasonCode, wire};
    use crate::rollout::fixture::{INTENT, Scene, at, change, reason};
    use crate::rollout::state::Back;

    /// Facts with a task for each of these: its deployment, its container, its digest.
    fn facts(tasks: &[(&str, &str, &str)]) -> Facts {
        let task = |(number, (deployment, name, digest)): (usize, &(&str, &str, &str))| {
            wire::task(&json!({
                "taskArn": format!("arn:aws:ecs:eu-west-1:1:task/prod/{number}"),
                "taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/web:1",
                "lastStatus": "RUNNING", "startedBy": deployment,
                "containers": [{ "name": name, "imageDigest": digest }, { "name": "untold" }],
            }))
            .unwrap()
        };
        let tasks = tasks.iter().enumerate().map(task).collect();
        Facts { tasks: Observed::Known { value: tasks, at: at(0) }, ..Scene::before().facts(0) }
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect()
    }

    #[test]
    fn a_digest_is_known_where_all_tasks_of_the_deployment_agree() {
        for (why, tasks, expected) in [
            ("none", &[][..], map(&[])),
            ("one", &[("old", "app", "a")], map(&[("app", "a")])),
            ("two that agree", &[("old", "app", "a"), ("old", "app", "a")], map(&[("app", "a")])),
            ("two that do not", &[("old", "app", "a"), ("old", "app", "b")], map(&[])),
            ("another deployment's", &[("old", "app", "a"), ("ours", "app", "b")], map(&[("app", "a")])),
            ("two containers", &[("old", "app", "a"), ("old", "side", "b")], map(&[("app", "a"), ("side", "b")])),
        ] {
            assert_eq!(of_deployment(&facts(tasks), "old"), expected, "{why}");
        }
        let unknown = Facts { tasks: Observed::Unknown { since: at(0), why: "no".to_owned() }, ..facts(&[]) };
        assert_eq!(of_deployment(&unknown, "old"), map(&[]));
    }

    #[test]
    fn a_tag_has_moved_unless_ours_is_known_to_have_got_what_ran() {
        for (why, ran, ours, expected) in [
            ("the same", &[("app", "a")][..], &[("ours", "app", "a")][..], &[][..]),
            ("another", &[("app", "a")], &[("ours", "app", "b")], &["app"]),
            ("not recorded", &[], &[("ours", "app", "b")], &[]),
            ("ours never said", &[("app", "a")], &[], &["app"]),
            ("ours disagree", &[("app", "a")], &[("ours", "app", "b"), ("ours", "app", "c")], &["app"]),
            ("another deployment's tasks", &[("app", "a")], &[("theirs", "app", "b")], &["app"]),
            ("not named by the same tag", &[("side", "a")], &[("ours", "side", "b")], &[]),
            ("ours does not name the tag", &[("pinned", "a")], &[("ours", "pinned", "a")], &["pinned"]),
            ("nor is it known what ran", &[], &[("ours", "pinned", "a")], &[]),
        ] {
            let mut change = change(ChangeKind::Revision);
            change.spec.ran = map(ran);
            change.spec.documents = Some(Documents {
                previous: "sha256:1".to_owned(),
                wanted: "sha256:2".to_owned(),
                pinned_from: None,
                tagged: BTreeSet::from(["app".to_owned()]),
                untagged: BTreeSet::from(["pinned".to_owned()]),
                recorded: false,
            });
            change.state = State::RollingBack {
                cause: reason(ReasonCode::TasksFail),
                deployment: Some("ours".to_owned()),
                intent: at(INTENT),
                back: Back::Deciding,
            };
            assert_eq!(moved(&change, &facts(ours)), expected, "{why}");
        }
    }
}
