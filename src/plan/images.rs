//! Images named by a mutable tag. A new deployment resolves the tag again, so a security fix would ship whatever was
//! pushed since (aws/containers-roadmap#2393, #2402).

use serde_json::{Map, Value};

use crate::model::spec::ImagePolicy;
use crate::model::{Reason, ReasonCode};

/// Why a task definition may not be deployed again under this policy.
///
/// # Errors
/// The first container whose image the policy refuses.
pub fn check(document: &Map<String, Value>, policy: ImagePolicy) -> Result<(), Reason> {
    let containers = document.get("containerDefinitions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for container in containers {
        let image = container.get("image").and_then(Value::as_str).unwrap_or("");
        let name = container.get("name").and_then(Value::as_str).unwrap_or("");
        let refused = match policy {
            ImagePolicy::RefuseLatest => !is_pinned(image) && matches!(tag(image), None | Some("latest")),
            ImagePolicy::Refuse | ImagePolicy::Pin => !is_pinned(image),
            ImagePolicy::Allow => false,
        };
        if refused {
            let message = format!(
                "container `{name}` runs `{image}`: a new deployment would resolve the tag again and may ship other code; pin its digest, or set `images` in the strategy"
            );
            return Err(Reason::of(ReasonCode::MutableImage, message));
        }
    }
    Ok(())
}

fn is_pinned(image: &str) -> bool {
    image.contains("@sha256:")
}

/// The tag: what follows the last `:` after the last `/` (a `:` before it belongs to the registry's port).
fn tag(image: &str) -> Option<&str> {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn refuses(policy: ImagePolicy, image: &str) -> bool {
        let document = json!({ "containerDefinitions": [{ "name": "app", "image": image }] });
        check(document.as_object().unwrap(), policy).is_err()
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
}
