//! What may be shown of a document. Everything that is printed, logged, put on a page or into a plan file goes through
//! here, because task definitions hold secrets in more places than `environment`: commands, log options, labels, health
//! checks, driver options. So a string is hidden unless its place is known to hold none.
//!
//! Knows no policy and does not guess from what a text looks like: a secret may look like anything.

use serde_json::Value;

use super::DiffEntry;
use super::document::UNRESOLVED;
use super::wire::OF_DEPLOYMENTS;

/// What stands for a text that is not shown. Its length tells nothing.
pub const MASKED: &str = "***";

/// Places of the bare documents of a task definition, service or cluster whose text may be shown; `*` is any place in a list.
/// Names, images, modes, users, ARNs, states. A place that is not listed is hidden, also one that ECS adds tomorrow.
const SHOWN: &[&str] = &[
    // Task definition.
    "compatibilities/*",
    "containerDefinitions/*/dependsOn/*/condition",
    "containerDefinitions/*/dependsOn/*/containerName",
    "containerDefinitions/*/dnsSearchDomains/*",
    "containerDefinitions/*/dnsServers/*",
    "containerDefinitions/*/dockerSecurityOptions/*",
    "containerDefinitions/*/environment/*/name",
    "containerDefinitions/*/environmentFiles/*/type",
    "containerDefinitions/*/environmentFiles/*/value",
    "containerDefinitions/*/extraHosts/*/hostname",
    "containerDefinitions/*/extraHosts/*/ipAddress",
    "containerDefinitions/*/firelensConfiguration/type",
    "containerDefinitions/*/hostname",
    "containerDefinitions/*/image",
    "containerDefinitions/*/links/*",
    "containerDefinitions/*/linuxParameters/capabilities/add/*",
    "containerDefinitions/*/linuxParameters/capabilities/drop/*",
    "containerDefinitions/*/linuxParameters/devices/*/containerPath",
    "containerDefinitions/*/linuxParameters/devices/*/hostPath",
    "containerDefinitions/*/linuxParameters/devices/*/permissions/*",
    "containerDefinitions/*/linuxParameters/tmpfs/*/containerPath",
    "containerDefinitions/*/linuxParameters/tmpfs/*/mountOptions/*",
    "containerDefinitions/*/logConfiguration/logDriver",
    "containerDefinitions/*/logConfiguration/secretOptions/*/name",
    "containerDefinitions/*/logConfiguration/secretOptions/*/valueFrom",
    "containerDefinitions/*/mountPoints/*/containerPath",
    "containerDefinitions/*/mountPoints/*/sourceVolume",
    "containerDefinitions/*/name",
    "containerDefinitions/*/portMappings/*/appProtocol",
    "containerDefinitions/*/portMappings/*/containerPortRange",
    "containerDefinitions/*/portMappings/*/name",
    "containerDefinitions/*/portMappings/*/protocol",
    "containerDefinitions/*/repositoryCredentials/credentialsParameter",
    "containerDefinitions/*/resourceRequirements/*/type",
    "containerDefinitions/*/resourceRequirements/*/value",
    "containerDefinitions/*/secrets/*/name",
    "containerDefinitions/*/secrets/*/valueFrom",
    "containerDefinitions/*/systemControls/*/namespace",
    "containerDefinitions/*/systemControls/*/value",
    "containerDefinitions/*/ulimits/*/name",
    "containerDefinitions/*/user",
    "containerDefinitions/*/versionConsistency",
    "containerDefinitions/*/volumesFrom/*/sourceContainer",
    "containerDefinitions/*/workingDirectory",
    "cpu",
    "executionRoleArn",
    "family",
    "inferenceAccelerators/*/deviceName",
    "inferenceAccelerators/*/deviceType",
    "ipcMode",
    "memory",
    "networkMode",
    "pidMode",
    "placementConstraints/*/expression",
    "placementConstraints/*/type",
    "proxyConfiguration/containerName",
    "proxyConfiguration/properties/*/name",
    "proxyConfiguration/type",
    "registeredBy",
    "requiresAttributes/*/name",
    "requiresCompatibilities/*",
    "runtimePlatform/cpuArchitecture",
    "runtimePlatform/operatingSystemFamily",
    "status",
    "tags/*/key",
    "taskDefinitionArn",
    "taskRoleArn",
    "volumes/*/dockerVolumeConfiguration/driver",
    "volumes/*/dockerVolumeConfiguration/scope",
    "volumes/*/efsVolumeConfiguration/authorizationConfig/accessPointId",
    "volumes/*/efsVolumeConfiguration/authorizationConfig/iam",
    "volumes/*/efsVolumeConfiguration/fileSystemId",
    "volumes/*/efsVolumeConfiguration/rootDirectory",
    "volumes/*/efsVolumeConfiguration/transitEncryption",
    "volumes/*/fsxWindowsFileServerVolumeConfiguration/authorizationConfig/credentialsParameter",
    "volumes/*/fsxWindowsFileServerVolumeConfiguration/authorizationConfig/domain",
    "volumes/*/fsxWindowsFileServerVolumeConfiguration/fileSystemId",
    "volumes/*/fsxWindowsFileServerVolumeConfiguration/rootDirectory",
    "volumes/*/host/sourcePath",
    "volumes/*/name",
    // Service.
    "availabilityZoneRebalancing",
    "capacityProviderStrategy/*/capacityProvider",
    "clusterArn",
    "createdBy",
    "currentServiceDeployment",
    "currentServiceRevisions/*/arn",
    "deploymentConfiguration/alarms/alarmNames/*",
    "deploymentConfiguration/lifecycleHooks/*/hookTargetArn",
    "deploymentConfiguration/lifecycleHooks/*/lifecycleStages/*",
    "deploymentConfiguration/lifecycleHooks/*/roleArn",
    "deploymentConfiguration/strategy",
    "deploymentController/type",
    "deployments/*/id",
    "deployments/*/rolloutState",
    "deployments/*/status",
    "deployments/*/taskDefinition",
    "launchType",
    "loadBalancers/*/containerName",
    "loadBalancers/*/loadBalancerName",
    "loadBalancers/*/targetGroupArn",
    "networkConfiguration/awsvpcConfiguration/assignPublicIp",
    "networkConfiguration/awsvpcConfiguration/securityGroups/*",
    "networkConfiguration/awsvpcConfiguration/subnets/*",
    "placementStrategy/*/field",
    "placementStrategy/*/type",
    "platformFamily",
    "platformVersion",
    "propagateTags",
    "resourceManagementType",
    "roleArn",
    "schedulingStrategy",
    "serviceArn",
    "serviceConnectConfiguration/logConfiguration/logDriver",
    "serviceConnectConfiguration/namespace",
    "serviceConnectConfiguration/services/*/clientAliases/*/dnsName",
    "serviceConnectConfiguration/services/*/discoveryName",
    "serviceConnectConfiguration/services/*/portName",
    "serviceName",
    "serviceRegistries/*/containerName",
    "serviceRegistries/*/registryArn",
    "taskDefinition",
    "volumeConfigurations/*/managedEBSVolume/filesystemType",
    "volumeConfigurations/*/managedEBSVolume/kmsKeyId",
    "volumeConfigurations/*/managedEBSVolume/roleArn",
    "volumeConfigurations/*/managedEBSVolume/snapshotId",
    "volumeConfigurations/*/managedEBSVolume/tagSpecifications/*/propagateTags",
    "volumeConfigurations/*/managedEBSVolume/tagSpecifications/*/resourceType",
    "volumeConfigurations/*/managedEBSVolume/tagSpecifications/*/tags/*/key",
    "volumeConfigurations/*/managedEBSVolume/volumeType",
    "volumeConfigurations/*/name",
    "vpcLatticeConfigurations/*/portName",
    "vpcLatticeConfigurations/*/roleArn",
    "vpcLatticeConfigurations/*/targetGroupArn",
    // Cluster.
    "capacityProviders/*",
    "clusterName",
    "configuration/executeCommandConfiguration/kmsKeyId",
    "configuration/executeCommandConfiguration/logConfiguration/cloudWatchLogGroupName",
    "configuration/executeCommandConfiguration/logConfiguration/s3BucketName",
    "configuration/executeCommandConfiguration/logConfiguration/s3KeyPrefix",
    "configuration/executeCommandConfiguration/logging",
    "configuration/managedStorageConfiguration/fargateEphemeralStorageKmsKeyId",
    "configuration/managedStorageConfiguration/kmsKeyId",
    "defaultCapacityProviderStrategy/*/capacityProvider",
    "serviceConnectDefaults/namespace",
    "settings/*/name",
    "settings/*/value",
];

/// Places that are hidden whoever names them: here the value is a secret as often as not, and an edit that names it
/// (Security Hub ECS.8) does so because it is one.
const NEVER: &[&str] = &["containerDefinitions/*/environment/*/value"];

/// A document as it may be shown: every text hidden but for those whose place is known to hold no secret, and those
/// that `reveal` names.
///
/// `document` is the bare document of a task definition, service or cluster, as ECS writes it. `reveal` are JSON
/// Pointers of single texts, such as what an edit sets; naming a list or object reveals nothing in it, and values of
/// environment variables stay hidden even so. Empty texts, numbers and booleans are shown. Names of members and what is
/// shown are without control characters.
#[must_use]
pub fn mask_document(document: &Value, reveal: &[&str]) -> Value {
    mask("", document, reveal)
}

/// A diff as it may be kept and shown: values that may be secrets are masked.
#[must_use]
pub fn mask_diff(diff: &[DiffEntry]) -> Vec<DiffEntry> {
    let hide = |entry: &DiffEntry, value: &Option<Value>| value.as_ref().map(|value| mask_value(&entry.path, value));
    diff.iter()
        .map(|entry| DiffEntry { from: hide(entry, &entry.from), to: hide(entry, &entry.to), ..entry.clone() })
        .collect()
}

/// A part of a document as it may be shown; `pointer` says where in the bare document it stands. See [`mask_document`].
#[must_use]
pub fn mask_value(pointer: &str, value: &Value) -> Value {
    mask(pointer, value, &[])
}

fn mask(pointer: &str, value: &Value, reveal: &[&str]) -> Value {
    match value {
        Value::String(text) if text.is_empty() || is_shown(pointer, reveal) => Value::String(clean_text(text)),
        Value::String(_) => Value::String(MASKED.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, item)| mask(&format!("{pointer}/{index}"), item, reveal)).collect()
        }
        Value::Object(members) => {
            let shown = members.iter().map(|(name, member)| {
                (clean_text(name), mask(&format!("{pointer}/{}", step_of(name)), member, reveal))
            });
            Value::Object(shown.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Every text of a document that [`mask_document`] hides, as it is.
#[must_use]
pub(super) fn hidden_texts(document: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    hidden("", document, &mut found);
    found
}

fn hidden<'a>(pointer: &str, value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if text.is_empty() || is_shown(pointer, &[]) => {}
        Value::String(text) => found.push(text),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| hidden(&format!("{pointer}/{index}"), item, found));
        }
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            hidden(&format!("{pointer}/{}", step_of(name)), member, found);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A member's name as a step of a JSON Pointer.
fn step_of(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn is_shown(pointer: &str, reveal: &[&str]) -> bool {
    let among = |patterns: &[&str], any: fn(&str) -> bool| patterns.iter().any(|it| matches(it, pointer, any));
    // A member of an object that stands where ECS has a list is nothing that we know, but why it cannot be known.
    let known = |step: &str| is_in_a_list(step) || step == UNRESOLVED;
    (among(SHOWN, known) || is_shown_of_a_deployment(pointer) || reveal.contains(&pointer)) && !among(NEVER, |_| true)
}

/// What a deployment brings is what its service has by the same names.
fn is_shown_of_a_deployment(pointer: &str) -> bool {
    let brought = |pattern: &&&str| OF_DEPLOYMENTS.iter().any(|name| pattern.starts_with(name));
    pointer.starts_with("/deployments/")
        && SHOWN.iter().filter(brought).any(|it| matches(&format!("deployments/*/{it}"), pointer, is_in_a_list))
}

/// Whether a step of a JSON Pointer is a place in a list; `-` is the one after the last (RFC 6901).
fn is_in_a_list(step: &str) -> bool {
    step == "-" || !step.is_empty() && step.chars().all(|c| c.is_ascii_digit())
}

/// Whether a pointer fits a pattern, in which `*` stands for any step that `any` allows.
fn matches(pattern: &str, pointer: &str, any: fn(&str) -> bool) -> bool {
    let mut steps = pointer.split('/').skip(1);
    let one = |wanted: &str, step: &str| if wanted == "*" { any(step) } else { wanted == step };
    let fits = pattern.split('/').all(|wanted| steps.next().is_some_and(|step| one(wanted, step)));
    fits && steps.next().is_none()
}

/// Text without what steers a terminal or turns the direction of writing, such as a line break, an escape sequence's
/// first character, or a right-to-left override.
#[must_use]
pub fn clean_text(text: &str) -> String {
    text.chars().filter(|c| !is_hidden(*c)).collect()
}

/// Whether a character steers a terminal or the order of text instead of showing: control characters, and those that
/// turn the direction of writing (Unicode TR 36 §2.1: text that reads as what it is not).
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_shown_and_what_may_be_a_secret_is_not() {
        let document = json!({
            "family": "web", "pidMode": "host", "cpu": "256", "futureMember": "s3cret",
            "containerDefinitions": [{
                "name": "app", "image": "app:1", "user": "0", "memory": 512, "privileged": true,
                "command": ["--password", "s3cret"], "entryPoint": ["s3cret"],
                "environment": [{ "name": "TOKEN", "value": "s3cret" }, { "name": "EMPTY", "value": "" }],
                "secrets": [{ "name": "KEY", "valueFrom": "arn:aws:ssm:eu-west-1:123456789012:parameter/key" }],
                "logConfiguration": { "logDriver": "splunk", "options": { "splunk-token": "s3cret" } },
                "dockerLabels": { "token": "s3cret" },
                "healthCheck": { "command": ["CMD", "curl", "-u", "s3cret"], "interval": 30 },
                "firelensConfiguration": { "type": "fluentbit", "options": { "key": "s3cret" } }
            }],
            "volumes": [{ "name": "v", "dockerVolumeConfiguration": { "driver": "d", "driverOpts": { "o": "s3cret" } } }],
            "tags": [{ "key": "team", "value": "s3cret" }]
        });
        let masked = mask_document(&document, &[]);
        assert!(!masked.to_string().contains("s3cret"), "{masked}");
        let shown = json!({
            "family": "web", "pidMode": "host", "cpu": "256", "futureMember": MASKED,
            "containerDefinitions": [{
                "name": "app", "image": "app:1", "user": "0", "memory": 512, "privileged": true,
                "command": [MASKED, MASKED], "entryPoint": [MASKED],
                "environment": [{ "name": "TOKEN", "value": MASKED }, { "name": "EMPTY", "value": "" }],
                "secrets": [{ "name": "KEY", "valueFrom": "arn:aws:ssm:eu-west-1:123456789012:parameter/key" }],
                "logConfiguration": { "logDriver": "splunk", "options": { "splunk-token": MASKED } },
                "dockerLabels": { "token": MASKED },
                "healthCheck": { "command": [MASKED, MASKED, MASKED, MASKED], "interval": 30 },
                "firelensConfiguration": { "type": "fluentbit", "options": { "key": MASKED } }
            }],
            "volumes": [{ "name": "v", "dockerVolumeConfiguration": { "driver": "d", "driverOpts": { "o": MASKED } } }],
            "tags": [{ "key": "team", "value": MASKED }]
        });
        assert_eq!(masked, shown);
    }

    #[test]
    fn what_a_service_says_of_ports_and_volumes_is_shown_and_their_values_are_not() {
        let connect = |token: &str| {
            json!({ "namespace": "internal", "services": [{ "portName": "http", "clientAliases": [{ "dnsName": "web" }] }],
                "logConfiguration": { "logDriver": "splunk", "options": { "splunk-token": token } } })
        };
        let volumes = |tag: &str| {
            json!([{ "name": "data", "managedEBSVolume": { "volumeType": "gp3", "tagSpecifications": [
                { "resourceType": "volume", "tags": [{ "key": "team", "value": tag }] }] } }])
        };
        let service = |secret: &str| {
            json!({ "serviceConnectConfiguration": connect(secret), "volumeConfigurations": volumes(secret),
                "deployments": [{ "serviceConnectConfiguration": connect(secret), "volumeConfigurations": volumes(secret) }] })
        };
        assert_eq!(mask_document(&service("s3cret"), &[]), service(MASKED));
    }

    #[test]
    fn an_edit_reveals_the_text_it_names_and_never_an_environment_value() {
        let document = json!({ "containerDefinitions": [{
            "environment": [{ "name": "A", "value": "hidden" }], "dockerLabels": { "a/b": "named", "c": "hidden" },
            "command": ["hidden"]
        }]});
        let container = "/containerDefinitions/0";
        let reveal: Vec<_> = ["environment/0/value", "environment/0", "dockerLabels/a~1b", "command"]
            .map(|it| format!("{container}/{it}"))
            .into();
        let reveal: Vec<_> = reveal.iter().map(String::as_str).collect();
        let masked = mask_document(&document, &reveal).to_string();
        assert!(masked.contains("named") && !masked.contains("hidden"), "{masked}");
    }

    #[test]
    fn a_part_is_masked_as_the_whole_is() {
        let container = json!({ "image": "app:1", "command": ["s3cret"] });
        let masked = mask_value("/containerDefinitions/3", &container);
        assert_eq!(masked, json!({ "image": "app:1", "command": [MASKED] }));
        assert_eq!(mask_value("/containerDefinitions/3/command/0", &json!("s3cret")), MASKED);
        assert_eq!(mask_value("/pidMode", &json!("host\u{1b}[2J")), "host[2J");
        assert_eq!(
            mask_value("/family", &json!({ "x": "s3cret" })),
            json!({ "x": MASKED }),
            "not the shape it should be"
        );
        let links = json!([{ "name": "app", "links": { "command": "s3cret" } }, { "name": "app", "links": ["db:db"] }]);
        assert_eq!(
            mask_value("/containerDefinitions", &links),
            json!([{ "name": "app", "links": { "command": MASKED } }, { "name": "app", "links": ["db:db"] }]),
            "nor is an object a list"
        );
        let subnets = json!({ "awsvpcConfiguration": { "subnets": { UNRESOLVED: "Ref" } } });
        assert_eq!(mask_value("/networkConfiguration", &subnets), subnets, "why a list cannot be known is shown");
    }

    /// Members under which nothing may ever be shown, wherever they stand.
    const CLOSED: [&str; 10] = [
        "command",
        "entryPoint",
        "options",
        "dockerLabels",
        "healthCheck",
        "driverOpts",
        "labels",
        "credentialSpecs",
        "unknownMember",
        "events",
    ];

    /// Documents of ECS's words in any order, every text a canary.
    fn documents() -> impl Strategy<Value = Value> {
        let mut words: Vec<&str> = SHOWN.iter().chain(NEVER).flat_map(|pattern| pattern.split('/')).collect();
        words.retain(|word| *word != "*");
        words.extend(CLOSED);
        let word = prop::sample::select(words).prop_map(ToOwned::to_owned);
        Just(json!("canary")).prop_recursive(7, 60, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Value::from),
                prop::collection::hash_map(word.clone(), inner, 1..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn texts(value: &Value, pointer: String, found: &mut Vec<(String, String)>) {
        match value {
            Value::String(text) => found.push((pointer, text.clone())),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| texts(item, format!("{pointer}/{index}"), found));
            }
            Value::Object(members) => {
                members.iter().for_each(|(name, member)| texts(member, format!("{pointer}/{name}"), found));
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn no_canary_comes_out_of_a_closed_place(document in documents(), container in documents()) {
            let document = json!({ "containerDefinitions": [container], "rest": document });
            let (mut before, mut after) = (Vec::new(), Vec::new());
            texts(&document, String::new(), &mut before);
            texts(&mask_document(&document, &[]), String::new(), &mut after);
            prop_assert_eq!(before.len(), after.len(), "nothing is lost");
            for (pointer, text) in after {
                let closed = pointer.split('/').any(|step| CLOSED.contains(&step) || step == "rest");
                let value = pointer.contains("/environment/") && pointer.ends_with("/value");
                prop_assert!(text == MASKED || !(closed || value), "{} at {}", text, pointer);
            }
        }

        #[test]
        fn the_hidden_texts_are_those_that_are_masked(document in documents(), container in documents()) {
            let document = json!({ "containerDefinitions": [container], "rest": document });
            let mut masked = Vec::new();
            texts(&mask_document(&document, &[]), String::new(), &mut masked);
            let masked = masked.iter().filter(|(_, text)| text == MASKED).count();
            prop_assert_eq!(hidden_texts(&document).len(), masked);
        }
    }
}
