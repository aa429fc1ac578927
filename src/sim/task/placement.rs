//! Where tasks go that do not run on Fargate. Counts tasks and host ports, not CPU and memory.

use std::collections::BTreeSet;

use serde_json::Value;

use super::state::Template;

/// One container instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::sim) struct Instance {
    pub(in crate::sim) tasks: u32,
    pub(in crate::sim) ports: BTreeSet<u64>,
}

/// Why a task found no place; in the words of the service event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum NoPlace {
    NoInstances,
    PortTaken,
}

impl NoPlace {
    pub(in crate::sim) const fn as_str(self) -> &'static str {
        match self {
            Self::NoInstances => "Reason: No Container Instances were found in your cluster.",
            Self::PortTaken => "The closest matching container-instance is already using a port required by your task.",
        }
    }
}

/// The host ports a task of `template` takes on its instance. Two tasks that need the same one cannot share an instance:
/// host networking, and pinned host ports of bridge networking (`ContainerDefinition.portMappings`).
pub(in crate::sim) fn host_ports(template: &Template) -> Vec<u64> {
    let member = match template.network_mode() {
        "host" => "containerPort",
        "bridge" => "hostPort",
        _ => return Vec::new(),
    };
    template
        .containers()
        .filter_map(|container| container.get("portMappings").and_then(Value::as_array))
        .flatten()
        .filter_map(|port| port.get(member).and_then(Value::as_u64))
        .filter(|port| *port != 0)
        .collect()
}

/// The instance with the fewest tasks where `ports` are free, and that is not among `avoid`.
///
/// # Errors
/// When there is none.
pub(in crate::sim) fn place(instances: &[Instance], ports: &[u64], avoid: &BTreeSet<u32>) -> Result<u32, NoPlace> {
    if instances.is_empty() {
        return Err(NoPlace::NoInstances);
    }
    instances
        .iter()
        .zip(0_u32..)
        .filter(|(instance, number)| !avoid.contains(number) && !ports.iter().any(|port| instance.ports.contains(port)))
        .min_by_key(|(instance, _)| instance.tasks)
        .map(|(_, number)| number)
        .ok_or(NoPlace::PortTaken)
}
