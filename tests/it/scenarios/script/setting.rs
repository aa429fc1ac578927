//! The settings that laws and pairs are tried on: one of a service that deploys, one that does not, and one of a cluster.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::act::People;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    /// No public addresses.
    Deploys,
    /// The circuit breaker on.
    Quiet,
    /// Container Insights on.
    Cluster,
}

/// The lines of a script that make these services and their clusters, with every setting as it is not to be.
pub(super) fn fleet(places: &[&str]) -> String {
    let clusters: BTreeSet<&str> = places.iter().filter_map(|place| place.split('/').next()).collect();
    let mut lines = String::new();
    for cluster in clusters {
        let settings = json!([{ "name": "containerInsights", "value": "disabled" }]);
        lines.push_str(&format!("call CreateCluster {}\n", json!({ "clusterName": cluster, "settings": settings })));
    }
    for place in places {
        let name = place.rsplit('/').next().unwrap();
        let members = json!({ "networkConfiguration": network("subnet-a", "ENABLED"), "deploymentConfiguration": breaker(200, false) });
        lines.push_str(&format!("register {name} {OWN_ADDRESS}\nservice {place} {members}\n"));
    }
    lines
}

/// What makes a revision fit such a service.
pub(super) const OWN_ADDRESS: &str = r#"{"networkMode": "awsvpc", "pidMode": null}"#;

fn network(subnet: &str, public: &str) -> Value {
    json!({ "awsvpcConfiguration": { "subnets": [subnet], "securityGroups": ["sg-a"], "assignPublicIp": public } })
}

fn breaker(maximum: u32, on: bool) -> Value {
    let breaker = json!({ "enable": on, "rollback": false });
    json!({ "deploymentCircuitBreaker": breaker, "maximumPercent": maximum, "minimumHealthyPercent": 100 })
}

impl Setting {
    /// The policy that wants it, and its Binding, with what that says besides.
    pub(super) fn yaml(self, bound: &str) -> String {
        let policy = self.policy(Edition::First);
        format!(
            "{policy}---\napiVersion: plimsoll/v1\nkind: Binding\nmetadata: {{ name: enforce-setting }}\nspec: {{ policies: [setting], {bound} }}\n"
        )
    }

    /// The policy. Its second edition asks for something beside the setting, or for another value: another fix. Of a service that
    /// deploys, for a member that starts no deployment: those that start one are guarded, but for the platform version.
    pub(super) fn policy(self, edition: Edition) -> String {
        let (resource, require, edits) = match (self, edition) {
            (Self::Deploys, Edition::First) => (
                "Service",
                "service.?networkConfiguration.?awsvpcConfiguration.?assignPublicIp.orValue('') != 'ENABLED'",
                "{ set: /networkConfiguration/awsvpcConfiguration/assignPublicIp, value: DISABLED }",
            ),
            (Self::Deploys, Edition::Second) => (
                "Service",
                "service.?networkConfiguration.?awsvpcConfiguration.?assignPublicIp.orValue('') != 'ENABLED' && service.?deploymentConfiguration.deploymentCircuitBreaker.enable.orValue(false)",
                "{ set: /networkConfiguration/awsvpcConfiguration/assignPublicIp, value: DISABLED }, { set: /deploymentConfiguration/deploymentCircuitBreaker/enable, value: true }",
            ),
            (Self::Quiet, Edition::First) => (
                "Service",
                "service.?deploymentConfiguration.deploymentCircuitBreaker.enable.orValue(false)",
                "{ set: /deploymentConfiguration/deploymentCircuitBreaker/enable, value: true }",
            ),
            (Self::Quiet, Edition::Second) => (
                "Service",
                "service.?deploymentConfiguration.deploymentCircuitBreaker.enable.orValue(false) && service.?deploymentConfiguration.deploymentCircuitBreaker.rollback.orValue(false)",
                "{ set: /deploymentConfiguration/deploymentCircuitBreaker/enable, value: true }, { set: /deploymentConfiguration/deploymentCircuitBreaker/rollback, value: true }",
            ),
            (Self::Cluster, Edition::First) => (
                "Cluster",
                "cluster.settings.exists(s, s.name == 'containerInsights' && s.value != 'disabled')",
                "{ set: /settings/0/value, value: enabled }",
            ),
            (Self::Cluster, Edition::Second) => (
                "Cluster",
                "cluster.settings.exists(s, s.name == 'containerInsights' && s.value == 'enhanced')",
                "{ set: /settings/0/value, value: enhanced }",
            ),
        };
        format!(
            "apiVersion: plimsoll/v1\nkind: Policy\nmetadata: {{ name: setting }}\nspec:\n  title: A setting\n  severity: high\n  resource: {resource}\n  checks:\n    - name: setting\n      require: \"{require}\"\n      message: not as it should be\n      fix: [{{ edits: [{edits}] }}]\n"
        )
    }

    /// Where it stands in what ECS shows of its resource, and in what a call sends.
    const fn pointer(self) -> &'static str {
        match self {
            Self::Deploys => "/networkConfiguration/awsvpcConfiguration/assignPublicIp",
            Self::Quiet => "/deploymentConfiguration/deploymentCircuitBreaker/enable",
            Self::Cluster => "/settings/0/value",
        }
    }

    /// What people or the second edition change beside it, as it is at first and where it stands; of a cluster, that asks for
    /// another value.
    fn beside(self) -> Vec<(Value, &'static str)> {
        match self {
            Self::Deploys => vec![
                (json!("subnet-a"), "/networkConfiguration/awsvpcConfiguration/subnets/0"),
                (json!(false), "/deploymentConfiguration/deploymentCircuitBreaker/enable"),
            ],
            Self::Quiet => vec![
                (json!(200), "/deploymentConfiguration/maximumPercent"),
                (json!(false), "/deploymentConfiguration/deploymentCircuitBreaker/rollback"),
            ],
            Self::Cluster => vec![],
        }
    }

    fn wanted(self) -> Value {
        match self {
            Self::Deploys => json!("DISABLED"),
            Self::Quiet => json!(true),
            Self::Cluster => json!("enabled"),
        }
    }

    /// Whether a call makes it as the policy wants it.
    pub(super) fn is_forward(self, input: &Value) -> bool {
        input.pointer(self.pointer()) == Some(&self.wanted())
    }

    /// What ECS shows of it now, for a service or a cluster, with what goes with it where that is not as it was at first;
    /// nothing where it is gone.
    pub(super) fn shown(self, people: &People, place: &str) -> Option<Value> {
        let (now, mut world) = (people.clock_now(), people.ecs.world());
        let (cluster, service) = place.split_once('/').unwrap_or((place, ""));
        let (found, of) = match self {
            Self::Cluster => {
                let input = json!({ "clusters": [cluster], "include": ["SETTINGS"] });
                (world.call(now, "DescribeClusters", &input), "clusters")
            }
            Self::Deploys | Self::Quiet => {
                let input = json!({ "cluster": cluster, "services": [service] });
                (world.call(now, "DescribeServices", &input), "services")
            }
        };
        let found = found.ok()?[of].get(0).filter(|found| found["status"] == "ACTIVE")?.clone();
        let shown = found.pointer(self.pointer())?.clone();
        let beside = self.beside().into_iter().filter_map(|(first, pointer)| {
            let value = found.pointer(pointer)?;
            (*value != first).then(|| value.clone())
        });
        let all: Vec<Value> = std::iter::once(shown.clone()).chain(beside).collect();
        Some(if all.len() == 1 { shown } else { json!(all) })
    }

    /// A step by which somebody makes it as the policy wants it, puts it back, or changes another part of what goes with it.
    pub(super) fn somebody(self, part: Part) -> String {
        let members = match (self, part) {
            (Self::Deploys, Part::Wanted) => json!({ "networkConfiguration": network("subnet-a", "DISABLED") }),
            (Self::Deploys, Part::Back) => json!({ "networkConfiguration": network("subnet-a", "ENABLED") }),
            (Self::Deploys, Part::Other) => json!({ "networkConfiguration": network("subnet-b", "ENABLED") }),
            (Self::Quiet, Part::Wanted) => json!({ "deploymentConfiguration": breaker(200, true) }),
            (Self::Quiet, Part::Back) => json!({ "deploymentConfiguration": breaker(200, false) }),
            (Self::Quiet, Part::Other) => json!({ "deploymentConfiguration": breaker(150, false) }),
            (Self::Cluster, part) => {
                let value = match part {
                    Part::Wanted => "enabled",
                    Part::Back => "disabled",
                    Part::Other => "enhanced",
                };
                let settings = json!([{ "name": "containerInsights", "value": value }]);
                return format!("call UpdateClusterSettings {}", json!({ "cluster": "prod", "settings": settings }));
            }
        };
        format!("update prod/a {members}")
    }
}

/// Which words of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edition {
    First,
    Second,
}

/// What somebody does to a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Wanted,
    Back,
    Other,
}
