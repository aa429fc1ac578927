//! Images named by a mutable tag. A new deployment resolves the tag again, so a security fix would ship whatever was
//! pushed since (aws/containers-roadmap#2393, #2402).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::model::spec::ImagePolicy;
use crate::model::{Reason, ReasonCode};
use crate::policy::{FixId, PlannedEdit, PlannedFix};

/// What stands in a diff where other entries name the policy that asks for them.
const PINNED_BY: &str = "images: pin";

/// Pins each image that a tag names to the digest that runs in its container, where that is known. `None`: nothing is
/// to be pinned, or can be.
///
/// Edits as those of fixes, so that they are held to the same law. What a fix names is the fix's own: what runs is
/// another image, perhaps.
#[must_use]
pub fn pins(document: &Map<String, Value>, running: Option<&Value>, fixes: &[&PlannedFix]) -> Option<PlannedFix> {
    let pin = |(at, container): (usize, &Value)| {
        let image = container.get("image")?.as_str().filter(|image| !image.is_empty() && !is_pinned(image))?;
        let digest = running?.get(container.get("name")?.as_str()?)?.as_str().filter(|digest| is_digest(digest))?;
        let path = format!("/containerDefinitions/{at}/image");
        let named = fixes.iter().flat_map(|fix| &fix.edits).any(|edit| is_at_or_above(edit.path(), &path));
        (!named).then(|| PlannedEdit::Set { path, value: json!(format!("{}@{digest}", without_tag(image))) })
    };
    let edits: Vec<PlannedEdit> = containers(document).iter().enumerate().filter_map(pin).collect();
    (!edits.is_empty()).then(|| PlannedFix {
        policy: PINNED_BY.to_owned(),
        check: String::new(),
        id: FixId(PINNED_BY.to_owned()),
        edits,
        guarded: Vec::new(),
    })
}

/// The document with these digests, by container, in the place of tags.
#[must_use]
pub fn with_digests(document: &Map<String, Value>, digests: &BTreeMap<String, String>) -> Map<String, Value> {
    let mut pinned = Value::Object(document.clone());
    let pins = pins(document, Some(&json!(digests)), &[]);
    for edit in pins.into_iter().flat_map(|pins| pins.edits) {
        if let PlannedEdit::Set { path, value } = edit
            && let Some(image) = pinned.pointer_mut(&path)
        {
            *image = value;
        }
    }
    match pinned {
        Value::Object(pinned) => pinned,
        _ => document.clone(),
    }
}

/// Containers whose image both documents name by the same tag, or by none.
#[must_use]
pub fn tagged(previous: &Map<String, Value>, wanted: &Map<String, Value>) -> BTreeSet<String> {
    let (before, after) = (images(previous), images(wanted));
    let same = |(name, image): &(&str, &str)| !is_pinned(image) && after.get(name) == Some(image);
    before.into_iter().filter(same).map(|(name, _)| name.to_owned()).collect()
}

/// Containers whose image the previous document names by a tag, or by none, and the wanted one otherwise: pinned, say.
#[must_use]
pub fn untagged(previous: &Map<String, Value>, wanted: &Map<String, Value>) -> BTreeSet<String> {
    let (before, after) = (images(previous), images(wanted));
    let other = |(name, image): &(&str, &str)| !is_pinned(image) && after.get(name).is_some_and(|after| after != image);
    before.into_iter().filter(other).map(|(name, _)| name.to_owned()).collect()
}

/// Why a new task definition may not be deployed under this policy.
///
/// # Errors
/// The first container whose image the policy refuses.
pub fn check(document: &Map<String, Value>, policy: ImagePolicy) -> Result<(), Reason> {
    let not_pinned = "the digest that runs is not known, or is that of another image; pin it in the task definition";
    refused(document, policy, not_pinned)
}

/// The same of a task definition that a service keeps and deploys again: nothing can be pinned in it.
///
/// # Errors
/// The first container whose image the policy refuses.
pub fn check_kept(document: &Map<String, Value>, policy: ImagePolicy) -> Result<(), Reason> {
    let not_pinned = "a setting makes no new revision, in which it could be pinned; pin it in the task definition";
    refused(document, policy, not_pinned)
}

/// `not_pinned` is why `pin` does not, and what to do.
fn refused(document: &Map<String, Value>, policy: ImagePolicy, not_pinned: &str) -> Result<(), Reason> {
    for container in containers(document) {
        let image = container.get("image").and_then(Value::as_str).unwrap_or("");
        let name = container.get("name").and_then(Value::as_str).unwrap_or("");
        let refused = match policy {
            ImagePolicy::RefuseLatest => !is_pinned(image) && matches!(tag(image), None | Some("latest")),
            ImagePolicy::Refuse | ImagePolicy::Pin => !is_pinned(image),
            ImagePolicy::Allow => false,
        };
        if refused {
            let what_to_do = if policy == ImagePolicy::Pin { not_pinned } else { "pin its digest" };
            let message = format!(
                "container `{name}` runs `{image}`: a new deployment would resolve the tag again and may ship other code; {what_to_do}, or set `images` in the strategy"
            );
            return Err(Reason::of(ReasonCode::MutableImage, message));
        }
    }
    Ok(())
}

fn containers(document: &Map<String, Value>) -> &[Value] {
    document.get("containerDefinitions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
}

/// By the containers' names.
fn images<'d>(document: &'d Map<String, Value>) -> BTreeMap<&'d str, &'d str> {
    let text = |member: Option<&'d Value>| member.and_then(Value::as_str);
    let pair = |container: &'d Value| Some((text(container.get("name"))?, text(container.get("image"))?));
    containers(document).iter().filter_map(pair).collect()
}

fn is_pinned(image: &str) -> bool {
    image.contains("@sha256:")
}

/// What ECS takes for a digest (botocore ecs/2014-11-13, `ContainerDefinition.image`).
fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

fn is_at_or_above(edit: &str, path: &str) -> bool {
    path.strip_prefix(edit).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The tag: what follows the last `:` after the last `/` (a `:` before it belongs to the registry's port).
fn tag(image: &str) -> Option<&str> {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').map(|(_, tag)| tag)
}

/// Registry and repository as they are written: a reference with both a tag and a digest is not accepted everywhere.
fn without_tag(image: &str) -> &str {
    let named = tag(image).and_then(|tag| image.strip_suffix(tag)).and_then(|named| named.strip_suffix(':'));
    named.unwrap_or(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(policy: ImagePolicy, image: &str) -> bool {
        let document = json!({ "containerDefinitions": [{ "name": "app", "image": image }] });
        check(document.as_object().unwrap(), policy).is_err()
    }

    fn digest(letter: &str) -> String {
        format!("sha256:{}", letter.repeat(64))
    }

    fn fix(edits: Vec<PlannedEdit>) -> PlannedFix {
        PlannedFix { policy: "p".to_owned(), check: "c".to_owned(), id: FixId("f".to_owned()), edits, guarded: vec![] }
    }

    /// Path and value of each pin.
    #[track_caller]
    fn pinned(document: &Value, running: Option<&Value>, edits: Vec<PlannedEdit>) -> Vec<(String, String)> {
        let fix = fix(edits);
        let pins = pins(document.as_object().unwrap(), running, &[&fix]);
        let edits = pins.map(|pins| pins.edits).unwrap_or_default();
        let pin = |edit| match edit {
            PlannedEdit::Set { path, value } => (path, value.as_str().unwrap().to_owned()),
            edit => panic!("{edit:?}"),
        };
        edits.into_iter().map(pin).collect()
    }

    #[test]
    fn latest_is_a_tag_and_so_is_none() {
        for (image, latest, any) in [
            ("nginx", true, true),
            ("nginx:latest", true, true),
            ("nginx:1.27", false, true),
            ("localhost:5000/nginx", true, true),
            ("localhost:5000/nginx:1", false, true),
            ("registry.example.com/team/nginx:latest", true, true),
            ("nginx:1.27@sha256:0000000000000000000000000000000000000000000000000000000000000000", false, false),
            ("nginx:latest@sha256:0000000000000000000000000000000000000000000000000000000000000000", false, false),
            ("nginx@sha256:0000000000000000000000000000000000000000000000000000000000000000", false, false),
        ] {
            assert_eq!(refuses(ImagePolicy::RefuseLatest, image), latest, "{image}");
            assert_eq!(refuses(ImagePolicy::Refuse, image), any, "{image}");
            assert_eq!(refuses(ImagePolicy::Pin, image), any, "{image}");
            assert!(!refuses(ImagePolicy::Allow, image));
        }
    }

    #[test]
    fn one_container_that_is_refused_is_enough_and_is_named() {
        let document =
            json!({ "containerDefinitions": [{ "name": "app", "image": "a:1" }, { "name": "sidecar", "image": "b" }] });
        let reason = check(document.as_object().unwrap(), ImagePolicy::RefuseLatest).unwrap_err();
        assert_eq!(reason.code, ReasonCode::MutableImage);
        assert!(reason.message.starts_with("container `sidecar` runs `b`"), "{}", reason.message);
    }

    #[test]
    fn a_digest_takes_the_place_of_the_tag_and_registry_and_repository_stay_as_written() {
        for (image, name) in [
            ("nginx", "nginx"),
            ("nginx:latest", "nginx"),
            ("nginx:1.27", "nginx"),
            ("team/web:1", "team/web"),
            ("localhost:5000/nginx", "localhost:5000/nginx"),
            ("localhost:5000/nginx:5000", "localhost:5000/nginx"),
            ("Registry.example.com:443/team/a/b:v1", "Registry.example.com:443/team/a/b"),
            ("web:web", "web"),
        ] {
            let document = json!({ "containerDefinitions": [{ "name": "app", "image": image }] });
            let found = pinned(&document, Some(&json!({ "app": digest("a") })), vec![]);
            let wanted = ("/containerDefinitions/0/image".to_owned(), format!("{name}@{}", digest("a")));
            assert_eq!(found, [wanted], "{image}");
        }
    }

    #[test]
    fn only_what_is_known_to_run_is_pinned() {
        let app = json!({ "containerDefinitions": [{ "name": "app", "image": "web:1" }] });
        let upper = digest("A");
        for (why, running) in [
            ("nobody looked", None),
            ("another container", Some(json!({ "side": digest("a") }))),
            ("too short", Some(json!({ "app": "sha256:aa" }))),
            ("no hexadecimal that ECS takes", Some(json!({ "app": upper }))),
            ("another algorithm", Some(json!({ "app": "sha512:".to_owned() + &"a".repeat(64) }))),
            ("no text", Some(json!({ "app": 1 }))),
        ] {
            assert_eq!(pinned(&app, running.as_ref(), vec![]), [], "{why}");
        }
        let running = json!({ "app": digest("a"), "side": digest("b") });
        for (why, image) in [
            ("pinned already", json!(format!("web@{}", digest("c")))),
            ("pinned beside its tag", json!(format!("web:1@{}", digest("c")))),
            ("empty", json!("")),
            ("no text", json!(7)),
            ("none", Value::Null),
        ] {
            let document = json!({ "containerDefinitions": [{ "name": "app", "image": image }] });
            assert_eq!(pinned(&document, Some(&running), vec![]), [], "{why}");
        }
        let both = json!({ "containerDefinitions": [
            { "name": "app", "image": format!("web@{}", digest("c")) }, { "name": "side", "image": "b:1" },
        ] });
        let wanted = ("/containerDefinitions/1/image".to_owned(), format!("b@{}", digest("b")));
        assert_eq!(pinned(&both, Some(&running), vec![]), [wanted]);
    }

    #[test]
    fn what_a_fix_names_is_left_to_the_fix() {
        let document = json!({ "containerDefinitions": [{ "name": "app", "image": "web:1" }] });
        let running = json!({ "app": digest("a") });
        for (path, pins) in [
            ("/containerDefinitions/0/image", 0),
            ("/containerDefinitions/0", 0),
            ("/containerDefinitions", 0),
            ("", 0),
            ("/containerDefinitions/0/user", 1),
            ("/containerDefinitions/0/imag", 1),
            ("/containerDefinitions/00", 1),
            ("/pidMode", 1),
        ] {
            let set = PlannedEdit::Set { path: path.to_owned(), value: json!("x") };
            assert_eq!(pinned(&document, Some(&running), vec![set]).len(), pins, "{path}");
            let remove = PlannedEdit::Remove { path: path.to_owned() };
            assert_eq!(pinned(&document, Some(&running), vec![remove]).len(), pins, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_pinned_says_why() {
        let document = json!({ "containerDefinitions": [{ "name": "app", "image": "web:1" }] });
        let document = document.as_object().unwrap();
        let new = check(document, ImagePolicy::Pin).unwrap_err();
        assert_eq!(new.code, ReasonCode::MutableImage);
        assert!(new.message.contains("the digest that runs is not known"), "{}", new.message);
        let kept = check_kept(document, ImagePolicy::Pin).unwrap_err();
        assert!(kept.message.contains("a setting makes no new revision"), "{}", kept.message);
        let refused = check(document, ImagePolicy::Refuse).unwrap_err();
        assert!(refused.message.ends_with("; pin its digest, or set `images` in the strategy"), "{}", refused.message);
    }

    #[test]
    fn what_both_documents_name_by_the_same_tag_may_move_in_between() {
        let document = |images: &[(&str, &str)]| {
            let containers: Vec<Value> =
                images.iter().map(|(name, image)| json!({ "name": name, "image": image })).collect();
            json!({ "containerDefinitions": containers }).as_object().unwrap().clone()
        };
        let pinned = format!("web@{}", digest("a"));
        for (why, before, after, expected) in [
            ("the same tag", &[("app", "web:1")][..], &[("app", "web:1")][..], &["app"][..]),
            ("no tag", &[("app", "web")], &[("app", "web")], &["app"]),
            ("a digest", &[("app", &pinned)], &[("app", &pinned)], &[]),
            ("pinned", &[("app", "web:1")], &[("app", &pinned)], &[]),
            ("another tag", &[("app", "web:1")], &[("app", "web:2")], &[]),
            ("another container", &[("app", "web:1")], &[("side", "web:1")], &[]),
            ("one of two", &[("app", "a:1"), ("side", "b:1")], &[("side", "b:1"), ("app", &pinned)], &["side"]),
        ] {
            let found: Vec<String> = tagged(&document(before), &document(after)).into_iter().collect();
            assert_eq!(found, expected, "{why}");
        }
    }

    #[test]
    fn digests_take_the_place_of_tags_and_nothing_else_changes() {
        let document = json!({ "family": "web", "containerDefinitions": [
            { "name": "app", "image": "web:1", "memory": 1 }, { "name": "side", "image": "b" },
            { "name": "log", "image": format!("c@{}", digest("c")) },
        ] });
        let digests = [("app", digest("a")), ("log", digest("d"))].map(|(name, digest)| (name.to_owned(), digest));
        let found = with_digests(document.as_object().unwrap(), &digests.into_iter().collect());
        let mut expected = document.clone();
        expected["containerDefinitions"][0]["image"] = json!(format!("web@{}", digest("a")));
        assert_eq!(Value::Object(found), expected);
    }
}
