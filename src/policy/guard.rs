//! Members that a fix may not touch unless the controller's own start-up configuration says so.
//!
//! A fix is power: whoever may write policies could otherwise run code as any role. What a fix touches is told from
//! the documents before and after, not from how its edits are written, so that no wording gets around it.

use serde_json::Value;

use super::draft::Draft;
use super::evaluate::document_kind;
use super::pointer::{PointerError, child, tokens};
use super::result::PlannedFix;
use crate::model::spec::ResourceKind;

/// What makes a change of a member guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Any change.
    Any,
    /// Anything new; taking away only lowers privilege.
    More,
    /// Anything less; adding only lowers privilege.
    Less,
    /// The image, unless it is the same repository and now has a digest.
    Image,
    /// It becomes this.
    Becomes(&'static str),
    /// It becomes true.
    BecomesTrue,
    /// It was true and is no more.
    NoLongerTrue,
    /// A user that becomes root.
    BecomesRoot,
    /// Any change but that EFS traffic is encrypted, which takes nothing and gives nothing.
    Volumes,
}

use Guard::{Any, Becomes, BecomesRoot, BecomesTrue, Image, Less, More, NoLongerTrue, Volumes};

/// DESIGN "Guarded members", with what amounts to the same: health checks run commands too, mount points give access
/// to volumes, and a registry's credentials decide what an image is.
const TASK_DEFINITION: &[(&str, Guard)] = &[
    ("/containerDefinitions/*/image", Image),
    ("/containerDefinitions/*/command", Any),
    ("/containerDefinitions/*/entryPoint", Any),
    ("/containerDefinitions/*/healthCheck/command", Any),
    ("/containerDefinitions/*/environment", Any),
    ("/containerDefinitions/*/environmentFiles", Any),
    ("/containerDefinitions/*/secrets", Any),
    ("/containerDefinitions/*/repositoryCredentials", Any),
    ("/containerDefinitions/*/credentialSpecs", Any),
    ("/containerDefinitions/*/mountPoints", Any),
    ("/containerDefinitions/*/volumesFrom", Any),
    ("/containerDefinitions/*/privileged", BecomesTrue),
    ("/containerDefinitions/*/readonlyRootFilesystem", NoLongerTrue),
    ("/containerDefinitions/*/user", BecomesRoot),
    ("/containerDefinitions/*/dockerSecurityOptions", Less),
    ("/containerDefinitions/*/linuxParameters/devices", Any),
    ("/containerDefinitions/*/linuxParameters/capabilities/add", More),
    ("/containerDefinitions/*/linuxParameters/capabilities/drop", Less),
    ("/containerDefinitions/*/logConfiguration/secretOptions", Any),
    ("/containerDefinitions/*/firelensConfiguration", Any),
    ("/containerDefinitions/*/systemControls", Any),
    ("/volumes", Volumes),
    ("/taskRoleArn", Any),
    ("/executionRoleArn", Any),
    ("/proxyConfiguration", Any),
    ("/pidMode", Becomes("host")),
    ("/ipcMode", Becomes("host")),
    ("/networkMode", Becomes("host")),
];

const SERVICE: &[(&str, Guard)] = &[
    ("/taskDefinition", Any),
    ("/roleArn", Any),
    ("/desiredCount", Any),
    ("/enableExecuteCommand", BecomesTrue),
    ("/networkConfiguration/awsvpcConfiguration/assignPublicIp", Becomes("ENABLED")),
    ("/networkConfiguration/awsvpcConfiguration/subnets", Any),
    ("/networkConfiguration/awsvpcConfiguration/securityGroups", Any),
    ("/loadBalancers", Any),
    ("/serviceRegistries", Any),
    ("/serviceConnectConfiguration", Any),
    ("/volumeConfigurations", Any),
    ("/vpcLatticeConfigurations", Any),
    ("/deploymentConfiguration/lifecycleHooks", Any),
];

/// The guarded members that a fix touches on this document.
pub(super) fn touched(kind: ResourceKind, resource: &Value, fix: &PlannedFix) -> Vec<String> {
    // No edit reaches beyond the top-level member that its pointer begins with, so the others need no copy.
    let reached: Vec<Vec<String>> = fix.edits.iter().filter_map(|edit| tokens(edit.path()).ok()).collect();
    let reached: Vec<&str> = reached.iter().filter_map(|path| path.first().map(String::as_str)).collect();
    let members = resource.as_object().into_iter().flatten();
    let members = members.filter(|(name, _)| reached.contains(&name.as_str()));
    let before = Value::Object(members.map(|(name, member)| (name.clone(), member.clone())).collect());
    let mut draft = Draft::of(before.clone(), document_kind(kind));
    for edit in &fix.edits {
        // What cannot be edited is reported when the fix is applied.
        let _ = draft.apply(edit, &fix.policy);
    }
    guarded(kind, &before, &draft.finish().0)
}

/// Patterns of the guarded members that differ between the two documents in a way that counts.
fn guarded(kind: ResourceKind, before: &Value, after: &Value) -> Vec<String> {
    let table = match kind {
        ResourceKind::TaskDefinition => TASK_DEFINITION,
        ResourceKind::Service => SERVICE,
        ResourceKind::Cluster | ResourceKind::TaskSet | ResourceKind::CapacityProvider => &[],
    };
    let mut touched = Vec::new();
    for (pattern, guard) in table {
        let name = pattern.split('/').nth(1).unwrap_or_default();
        if before.get(name).is_none() && after.get(name).is_none() {
            continue;
        }
        let Ok(tokens) = tokens(pattern) else { continue };
        if differs(Some(before), Some(after), &tokens, *guard) {
            touched.push((*pattern).to_owned());
        }
    }
    // A container more is code more, whatever its members.
    let containers = |document: &Value| document.get("containerDefinitions").and_then(Value::as_array).map(Vec::len);
    if kind == ResourceKind::TaskDefinition && containers(before) != containers(after) {
        touched.push("/containerDefinitions".to_owned());
    }
    touched
}

fn differs<'a>(before: Option<&'a Value>, after: Option<&'a Value>, tokens: &[String], guard: Guard) -> bool {
    // Only what the pattern names is compared: comparing the nodes above it too would go through the whole document once
    // for every pattern.
    let Some((token, rest)) = tokens.split_first() else {
        return before != after && counts(guard, before, after);
    };
    if before.is_none() && after.is_none() {
        return false;
    }
    if token == "*" {
        let items = |node: Option<&Value>| node.and_then(Value::as_array).map_or(0, Vec::len);
        return (0..items(before).max(items(after))).any(|at| {
            let at = at.to_string();
            let step = |node: Option<&'a Value>| node.and_then(|node| child(node, &at));
            differs(step(before), step(after), rest, guard)
        });
    }
    let before = before.and_then(|node| child(node, token));
    let after = after.and_then(|node| child(node, token));
    differs(before, after, rest, guard)
}

fn counts(guard: Guard, before: Option<&Value>, after: Option<&Value>) -> bool {
    let items = |node: Option<&Value>| node.and_then(Value::as_array).cloned().unwrap_or_default();
    match guard {
        Any => true,
        More => items(after).iter().any(|item| !items(before).contains(item)) || !is_list_or_absent(after),
        Less => items(before).iter().any(|item| !items(after).contains(item)) || !is_list_or_absent(after),
        Image => !is_digest_pin(before, after),
        Becomes(value) => after.and_then(Value::as_str) == Some(value),
        BecomesTrue => after != Some(&Value::Bool(false)) && after.is_some(),
        NoLongerTrue => before == Some(&Value::Bool(true)),
        Volumes => before.map(encrypted) != after.cloned(),
        BecomesRoot => after.and_then(Value::as_str).is_none_or(is_root),
    }
}

/// The same volumes with every EFS volume's traffic encrypted.
fn encrypted(volumes: &Value) -> Value {
    let mut volumes = volumes.clone();
    for volume in volumes.as_array_mut().into_iter().flatten() {
        if let Some(Value::Object(efs)) = volume.get_mut("efsVolumeConfiguration") {
            efs.insert("transitEncryption".to_owned(), "ENABLED".into());
        }
    }
    volumes
}

fn is_list_or_absent(node: Option<&Value>) -> bool {
    node.is_none_or(|node| node.is_array() || node.is_null())
}

/// `user` is `user`, `user:group`, `uid`, …; without one the image decides, which may be root (ecs-facts §1.1 traps).
fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default().trim();
    let name = name.strip_prefix(['+', '-']).unwrap_or(name);
    name.is_empty() || name == "root" || name.bytes().all(|byte| byte == b'0')
}

/// Whether the new image is the old one's repository with a digest.
fn is_digest_pin(before: Option<&Value>, after: Option<&Value>) -> bool {
    let (Some(before), Some(after)) = (before.and_then(Value::as_str), after.and_then(Value::as_str)) else {
        return false;
    };
    let Some((named, digest)) = after.split_once('@') else { return false };
    let hexadecimal = digest.strip_prefix("sha256:").is_some_and(|hash| {
        hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    });
    let without_tag = |name: &str| match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository.to_owned(),
        _ => name.to_owned(),
    };
    let old = before.split_once('@').map_or(before, |(named, _)| named);
    hexadecimal && without_tag(named) == without_tag(old)
}

/// A pointer that would allow nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowError {
    /// It is no pointer.
    #[error("{source}{hint}")]
    Pointer {
        /// Why.
        source: PointerError,
        /// What was meant, where that can be told.
        hint: String,
    },
    /// Nothing that is guarded is at or below it.
    #[error("`{pointer}` is no guarded member{hint}")]
    Unguarded {
        /// As given.
        pointer: String,
        /// What was meant, or what there is.
        hint: String,
    },
}

/// Whether `pointer` may stand in the `allow` of [`guarded_members`]: a guarded member is at it or below it.
///
/// # Errors
/// Where it would allow nothing, or everything by being empty.
pub fn allows(pointer: &str) -> Result<(), AllowError> {
    let all = || TASK_DEFINITION.iter().chain(SERVICE).map(|(pattern, _)| *pattern);
    let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let meant = || all().find(|pattern| last(pattern) == last(pointer) || pointer.starts_with(&format!("{pattern}/")));
    let hint = || meant().map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
    let asked = tokens(pointer).map_err(|source| AllowError::Pointer { source, hint: hint() })?;
    let covers = |pattern: &str| {
        let pattern = tokens(pattern).unwrap_or_default();
        let along = asked.iter().zip(&pattern).all(|(asked, of)| asked == "*" || asked == of);
        along && (1..=pattern.len()).contains(&asked.len())
    };
    if all().any(covers) {
        return Ok(());
    }
    let hint = match meant() {
        Some(_) => hint(),
        None => format!("; guarded are `{}`", all().collect::<Vec<_>>().join("`, `")),
    };
    Err(AllowError::Unguarded { pointer: pointer.chars().take(80).collect(), hint })
}

/// Of the guarded members that a fix touches, those that nothing in `allow` names: the fix is `Blocked: GuardedMember`
/// unless this is empty. `allow` are JSON Pointers in which `*` stands for any one name or index; one allows what is
/// below it too.
#[must_use]
pub fn guarded_members(fix: &PlannedFix, allow: &[String]) -> Vec<String> {
    let allowed = |touched: &String| {
        allow.iter().any(|pattern| {
            let (Ok(pattern), Ok(touched)) = (tokens(pattern), tokens(touched)) else { return false };
            pattern.len() <= touched.len()
                && pattern.iter().zip(&touched).all(|(pattern, touched)| pattern == "*" || pattern == touched)
        })
    };
    fix.guarded.iter().filter(|touched| !allowed(touched)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::{FixId, PlannedFix};

    #[track_caller]
    fn check(before: Value, after: Value, wanted: &[&str]) {
        let container = |container: Value| json!({"containerDefinitions": [container]});
        let touched = guarded(ResourceKind::TaskDefinition, &container(before), &container(after));
        assert_eq!(touched, wanted);
    }

    #[test]
    fn what_runs_code_or_raises_privilege_is_guarded() {
        let digest = format!("sha256:{}", "a".repeat(64));
        check(json!({"image": "a:1"}), json!({"image": "b:1"}), &["/containerDefinitions/*/image"]);
        check(json!({"image": "r:5000/a:1"}), json!({"image": format!("r:5000/a@{digest}")}), &[]);
        check(json!({"image": "a:1"}), json!({"image": format!("b@{digest}")}), &["/containerDefinitions/*/image"]);
        check(json!({}), json!({"secrets": []}), &["/containerDefinitions/*/secrets"]);
        check(json!({"privileged": true}), json!({"privileged": false}), &[]);
        check(json!({"privileged": true}), json!({}), &[]);
        check(json!({}), json!({"privileged": true}), &["/containerDefinitions/*/privileged"]);
        check(json!({"user": "app"}), json!({"user": "0:0"}), &["/containerDefinitions/*/user"]);
        check(json!({"user": "root"}), json!({"user": "1000:1000"}), &[]);
        check(json!({"user": "1000"}), json!({}), &["/containerDefinitions/*/user"]);
        let capabilities =
            |add: Value, drop: Value| json!({"linuxParameters": {"capabilities": {"add": add, "drop": drop}}});
        check(capabilities(json!(["SYS_ADMIN"]), json!([])), capabilities(json!([]), json!(["ALL"])), &[]);
        check(
            capabilities(json!([]), json!(["ALL"])),
            capabilities(json!(["NET_RAW"]), json!([])),
            &[
                "/containerDefinitions/*/linuxParameters/capabilities/add",
                "/containerDefinitions/*/linuxParameters/capabilities/drop",
            ],
        );
        check(json!({"readonlyRootFilesystem": false}), json!({"readonlyRootFilesystem": true}), &[]);
        check(json!({"dockerLabels": {"a": "b"}}), json!({}), &[]);
    }

    #[test]
    fn allow_takes_stars_and_what_is_below() {
        let fix = PlannedFix {
            policy: String::new(),
            check: String::new(),
            id: FixId(String::new()),
            edits: Vec::new(),
            guarded: vec!["/containerDefinitions/*/secrets".to_owned(), "/taskRoleArn".to_owned()],
        };
        let left = |allow: &[&str]| guarded_members(&fix, &allow.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(left(&[]).len(), 2);
        assert_eq!(left(&["/containerDefinitions/*/secrets"]), ["/taskRoleArn"]);
        assert_eq!(left(&["/containerDefinitions", "/taskRoleArn"]), Vec::<String>::new());
        assert_eq!(left(&["/containerDefinitions/0/secrets", "/taskRole"]).len(), 2);
    }
}
