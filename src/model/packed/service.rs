//! A service, packed, with what every pass asks of it at hand.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Digest, Packed, Packer, UnpackError, digest};
use crate::model::observed::Service;
use crate::model::wire::{self, WireError};
use crate::model::{ClusterArn, TaskDefinitionArn};

/// Members of a service that change while nobody changes the service: its tasks come and go, and it says so.
const UNSTEADY: [&str; 9] = [
    "currentServiceDeployment",
    "currentServiceRevisions",
    "deployments",
    "desiredCount",
    "events",
    "pendingCount",
    "runningCount",
    "status",
    "taskSets",
];

/// A service as text, with its hashes.
pub struct WrittenService<'a> {
    document: &'a Value,
    text: Vec<u8>,
    /// Of all of it.
    pub digest: Digest,
    /// Of what changes only when somebody changes the service.
    steady: Digest,
}

impl<'a> WrittenService<'a> {
    /// One of DescribeServices' `services`, gone through once. What is no object has no members.
    #[must_use]
    pub fn of(document: &'a Value) -> Self {
        let (mut text, mut steady) = (Vec::with_capacity(4096), Sha256::new());
        let write = |text: &mut Vec<u8>, name: &str, value: &Value| {
            text.push(if text.is_empty() { b'{' } else { b',' });
            let from = text.len();
            // A Vec takes all that is written.
            let _ = serde_json::to_writer(&mut *text, name);
            text.push(b':');
            let _ = serde_json::to_writer(&mut *text, value);
            from
        };
        for (name, value) in document.as_object().into_iter().flatten() {
            let from = write(&mut text, name, value);
            if !UNSTEADY.contains(&name.as_str()) {
                steady.update(text.get(from..).unwrap_or_default());
            }
        }
        text.extend_from_slice(if text.is_empty() { b"{}" } else { b"}" });
        let mut shown = Vec::new();
        for (name, value) in wire::members_of_deployments(document) {
            write(&mut shown, name, value);
        }
        steady.update(&shown);
        Self { document, digest: digest(&text), steady: steady.finalize().into(), text }
    }
}

/// A service, packed, with what every pass asks of it at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedService {
    /// Where it lives.
    pub cluster: ClusterArn,
    /// The revision that new tasks get.
    pub task_definition: Option<TaskDefinitionArn>,
    /// The revisions that its task sets name.
    pub of_task_sets: Box<[TaskDefinitionArn]>,
    /// Whether it has task sets.
    pub has_task_sets: bool,
    /// The revisions that its deployments bring, where they are others.
    pub deployed: Box<[TaskDefinitionArn]>,
    /// Of all that is kept of it.
    pub digest: Digest,
    /// Of what changes only when somebody changes the service.
    pub steady: Digest,
    packed: Packed,
}

impl PackedService {
    /// Packs one of DescribeServices' `services`.
    ///
    /// # Errors
    /// As [`wire::service`].
    pub fn pack(written: &WrittenService<'_>, packer: &mut Packer) -> Result<Self, WireError> {
        let service = wire::service_without_document(written.document)?;
        let packed = packer.pack(&written.text);
        let named = service.task_definition.as_ref();
        let mut deployed: Vec<TaskDefinitionArn> =
            service.deployments.iter().map(|deployment| deployment.task_definition.clone()).collect();
        deployed.sort();
        deployed.dedup();
        deployed.retain(|arn| Some(arn) != named);
        Ok(Self {
            of_task_sets: service.task_sets.iter().filter_map(|set| set.task_definition.clone()).collect(),
            has_task_sets: !service.task_sets.is_empty(),
            deployed: deployed.into(),
            digest: written.digest,
            steady: written.steady,
            packed,
            cluster: service.cluster,
            task_definition: service.task_definition,
        })
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`UnpackError`].
    pub fn read(&self) -> Result<Service, UnpackError> {
        wire::service_of(self.packed.read()?).map_err(|error| UnpackError { why: error.to_string() })
    }

    /// Every revision that it names: its own, and those of its task sets.
    pub fn task_definitions(&self) -> impl Iterator<Item = &TaskDefinitionArn> {
        self.task_definition.iter().chain(&self.of_task_sets)
    }

    /// Whether it or one of its deployments names this revision.
    #[must_use]
    pub fn names(&self, arn: &TaskDefinitionArn) -> bool {
        self.task_definitions().chain(&self.deployed).any(|named| named == arn)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::packed::text_of;

    fn service(change: impl FnOnce(&mut Value)) -> PackedService {
        let mut value = json!({
            "serviceArn": "arn:aws:ecs:eu-west-1:1:service/prod/web", "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/prod", "status": "ACTIVE",
            "desiredCount": 2, "runningCount": 2, "taskDefinition": "arn:aws:ecs:eu-west-1:1:task-definition/web:2",
            "deployments": [
                { "id": "ecs-svc/2", "status": "PRIMARY", "taskDefinition": "arn:aws:ecs:eu-west-1:1:task-definition/web:2" },
                { "id": "ecs-svc/1", "status": "ACTIVE", "taskDefinition": "arn:aws:ecs:eu-west-1:1:task-definition/web:1" },
            ],
        });
        change(&mut value);
        let written = WrittenService::of(&value);
        assert_eq!(written.text, text_of(&value));
        let packed = PackedService::pack(&written, &mut Packer::learning()).unwrap();
        assert_eq!(packed.read().unwrap(), wire::service(&value).unwrap());
        packed
    }

    #[test]
    fn tasks_that_come_and_go_leave_a_service_steady() {
        let at_first = service(|_| {});
        let scaled = service(|value| value["desiredCount"] = json!(5));
        assert_ne!(at_first.digest, scaled.digest);
        assert_eq!(at_first.steady, scaled.steady);
        let exec = service(|value| value["enableExecuteCommand"] = json!(true));
        assert_ne!(at_first.steady, exec.steady);
        let connected = |namespace: &str| {
            let connect = json!({ "enabled": true, "namespace": namespace });
            service(|value| value["deployments"][0]["serviceConnectConfiguration"] = connect)
        };
        assert_ne!(connected("a").steady, connected("b").steady, "what only the deployment shows is the service's own");
    }

    #[test]
    fn a_service_names_what_its_deployments_still_bring() {
        let service = service(|_| {});
        let arn = |number: u32| format!("arn:aws:ecs:eu-west-1:1:task-definition/web:{number}").parse().unwrap();
        assert_eq!([1, 2, 3].map(|number| service.names(&arn(number))), [true, true, false]);
        assert_eq!(service.task_definitions().cloned().collect::<Vec<_>>(), [arn(2)]);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<Option<bool>>().prop_map(|value| json!(value)),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        let name = prop_oneof![Just("deployments".to_owned()), Just("status".to_owned()), "\\PC{0,8}"];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            let members = proptest::collection::vec((name.clone(), inner.clone()), 0..4);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::from),
                members.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_service_is_written_as_any_json_is(members in proptest::collection::vec(("\\PC{0,8}", json()), 0..6)) {
            let service = Value::Object(members.into_iter().collect());
            prop_assert_eq!(WrittenService::of(&service).text, text_of(&service));
        }
    }
}
