//! What a world is made with. Knows no operation.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a simulated account and Region behaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct WorldConfig {
    /// The account's number.
    pub account: String,
    /// The Region's name.
    pub region: String,
    /// Decides every length and every id. The same seed and the same calls give the same answers, byte for byte.
    pub seed: u64,
    /// Who GetCallerIdentity says the caller is; also `registeredBy` and `createdBy`.
    pub caller: String,
    /// Percent of the published throttle rates that callers get; 0: no throttling.
    pub throttle_percent: u32,
    /// How far reads lag behind writes: a read is answered from the whole world as it was so long ago.
    #[serde(with = "seconds")]
    pub read_lag: Duration,
    /// How long a deregistered revision can still be used. ECS: "up to a 10-minute window" (`DeregisterTaskDefinition`).
    #[serde(with = "seconds")]
    pub inactive_grace: Duration,
    /// Whether DescribeTaskDefinition forgets INACTIVE revisions that nothing references. ECS's own pages disagree
    /// (ecs-facts §2.5); by default they stay.
    pub forget_inactive: bool,
    /// Whether an input member that the operation does not have is an error. AWS's SDKs refuse it before sending; what
    /// the service itself does is not documented. On by default, so that a stripped-too-little document is found.
    pub strict: bool,
    /// Whether registering shuffles containers, `environment` and `secrets`: ECS may (terraform-provider-aws,
    /// task_definition_equivalency.go).
    pub reorder: bool,
    /// Whether there are records of service deployments and service revisions. Services that were last deployed before
    /// 25 October 2024 have none (ecs-facts §3.5), and some stand-ins for ECS never do.
    pub service_deployments: bool,
    /// Container instances of a cluster that was not given a number of its own.
    pub instances: u32,
    /// How long things take.
    pub pace: Pace,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self {
            account: "123456789012".into(),
            region: "eu-west-1".into(),
            seed: 1,
            caller: "arn:aws:sts::123456789012:assumed-role/plimsoll/simulated".into(),
            throttle_percent: 100,
            read_lag: Duration::ZERO,
            inactive_grace: Duration::ZERO,
            forget_inactive: false,
            strict: true,
            reorder: false,
            service_deployments: true,
            instances: 8,
            pace: Pace::default(),
        }
    }
}

/// How long things take: each a range from which every single case draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Pace {
    /// Until the service scheduler looks at what happened.
    pub scheduler: Range,
    /// PROVISIONING, for tasks with a network interface of their own.
    pub provisioning: Range,
    /// PENDING: pulling images and starting containers.
    pub starting: Range,
    /// From the moment all is as it should be until ECS calls the deployment COMPLETED.
    pub steady: Range,
    /// From RUNNING to the first passed health check, container's or load balancer's.
    pub first_health_check: Range,
    /// DEACTIVATING: deregistering from the load balancer.
    pub draining: Range,
    /// STOPPING: from SIGTERM to the end.
    pub stopping: Range,
    /// DEPROVISIONING, for tasks with a network interface of their own.
    pub deprovisioning: Range,
    /// How long a task without load balancer and health check runs before it counts as healthy: "40 seconds after it
    /// reached RUNNING" (`DeploymentConfiguration.minimumHealthyPercent`).
    #[serde(with = "seconds")]
    pub unwatched_healthy: Duration,
    /// The first wait before a task that could not start is tried again; it doubles from there to the second.
    pub restart: Range,
    /// How long stopped tasks can still be described.
    #[serde(with = "seconds")]
    pub stopped_visible: Duration,
}

/// From (inclusive) and to (inclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range(#[serde(with = "seconds")] pub Duration, #[serde(with = "seconds")] pub Duration);

impl Range {
    /// Of so many seconds.
    #[must_use]
    pub const fn seconds(from: u64, to: u64) -> Self {
        Self(Duration::from_secs(from), Duration::from_secs(to))
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            scheduler: Range::seconds(1, 3),
            provisioning: Range::seconds(2, 8),
            starting: Range::seconds(5, 20),
            steady: Range::seconds(10, 30),
            first_health_check: Range::seconds(10, 35),
            draining: Range::seconds(5, 30),
            stopping: Range::seconds(1, 10),
            deprovisioning: Range::seconds(1, 5),
            unwatched_healthy: Duration::from_secs(40),
            restart: Range::seconds(5, 900),
            stopped_visible: Duration::from_secs(3600),
        }
    }
}

/// Lengths of time as a number of seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(length.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
