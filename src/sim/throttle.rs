//! ECS's token buckets, as the server keeps them. Does not know who calls.

use std::collections::BTreeMap;

use crate::model::Timestamp;
use crate::ports::Operation;
use crate::ports::ecs::Bucket;

/// Which buckets apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Published(Bucket),
    /// Buckets of operations that plimsoll never calls itself (the same page of AWS).
    Other(&'static str, u32, u32),
}

/// The buckets of one account and Region.
///
/// Tokens are counted in thousandths, so that refilling in many small steps gives what one large step gives.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Throttle {
    /// Percent of the published rates; 0 switches throttling off.
    percent: u32,
    buckets: BTreeMap<Name, Level>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Level {
    thousandths: u64,
    at: Timestamp,
}

fn bucket(operation: &str) -> Option<Name> {
    if let Some(known) = Operation::ALL.iter().find(|known| known.as_str() == operation) {
        return Some(Name::Published(known.bucket()));
    }
    Some(match operation {
        "CreateCluster" | "DeleteCluster" => Name::Published(Bucket::ClusterModify),
        "CreateCapacityProvider" => Name::Other("capacity-provider-modify", 10, 1),
        "CreateService" | "DeleteService" => Name::Published(Bucket::ServiceModify),
        // Not in AWS's table, like StopServiceDeployment.
        "ContinueServiceDeployment" => Name::Published(Bucket::ServiceDeployment),
        "ListTaskDefinitionFamilies" => Name::Published(Bucket::TaskDefinitionRead),
        "DeleteTaskDefinitions" => Name::Other("task-definition-deletion", 5, 1),
        "UpdateTaskProtection" => Name::Published(Bucket::TaskProtection),
        "RunTask" | "StopTask" => Name::Other("cluster-resource-modify", 100, 40),
        // CloudWatch User Guide, "CloudWatch service quotas". The rate of GetResources is not published.
        "DescribeAlarms" => Name::Other("describe-alarms", 9, 9),
        "GetResources" => Name::Other("get-resources", 15, 15),
        "ListTagsForResource" => Name::Other("tag-read", 50, 20),
        _ => return None,
    })
}

impl Throttle {
    pub(super) fn new(percent: u32) -> Self {
        Self { percent, buckets: BTreeMap::new() }
    }

    /// Takes a token for `operation`; false where there is none.
    pub(super) fn admit(&mut self, operation: &str, now: Timestamp) -> bool {
        let (Some(name), true) = (bucket(operation), self.percent > 0) else { return true };
        let (burst, refill) = match name {
            Name::Published(bucket) => bucket.published(),
            Name::Other(_, burst, refill) => (burst, refill),
        };
        // A rate of `refill` a second is `refill` thousandths a millisecond; `percent` adds two places more.
        const WHOLE: u64 = 100_000;
        let capacity = u64::from(burst) * WHOLE * u64::from(self.percent) / 100;
        let level = self.buckets.entry(name).or_insert(Level { thousandths: capacity.max(WHOLE), at: now });
        let elapsed = u64::try_from(now.since(level.at).as_millis()).unwrap_or(u64::MAX);
        let regained = elapsed.saturating_mul(u64::from(refill) * u64::from(self.percent));
        level.thousandths = level.thousandths.saturating_add(regained).min(capacity.max(WHOLE));
        level.at = level.at.max(now);
        let admitted = level.thousandths >= WHOLE;
        if admitted {
            level.thousandths -= WHOLE;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn admitted(throttle: &mut Throttle, operation: &str, now: Timestamp, calls: usize) -> usize {
        (0..calls).filter(|_| throttle.admit(operation, now)).count()
    }

    /// ecs-facts §4.2: task definition modify 20 burst, 1/s, shared with DeregisterTaskDefinition.
    #[test]
    fn registering_has_a_burst_of_20_and_regains_1_a_second() {
        let mut throttle = Throttle::new(100);
        let now = Timestamp::EPOCH;
        assert_eq!(admitted(&mut throttle, "RegisterTaskDefinition", now, 15), 15);
        assert_eq!(admitted(&mut throttle, "DeregisterTaskDefinition", now, 15), 5, "one bucket for both");
        assert_eq!(admitted(&mut throttle, "RegisterTaskDefinition", now + Duration::from_millis(999), 5), 0);
        assert_eq!(admitted(&mut throttle, "RegisterTaskDefinition", now + Duration::from_secs(1), 5), 1);
        assert_eq!(admitted(&mut throttle, "RegisterTaskDefinition", now + Duration::from_secs(11), 50), 10);
        assert_eq!(admitted(&mut throttle, "UpdateService", now, 60), 50, "another bucket is not touched");
    }

    #[test]
    fn a_bucket_never_holds_more_than_its_burst() {
        let mut throttle = Throttle::new(100);
        assert_eq!(admitted(&mut throttle, "UpdateService", Timestamp::EPOCH, 1), 1);
        let later = Timestamp::EPOCH + Duration::from_secs(86_400);
        assert_eq!(admitted(&mut throttle, "UpdateService", later, 100), 50);
    }

    #[test]
    fn rates_scale_and_zero_switches_them_off() {
        let mut half = Throttle::new(50);
        assert_eq!(admitted(&mut half, "RegisterTaskDefinition", Timestamp::EPOCH, 100), 10);
        assert_eq!(admitted(&mut Throttle::new(0), "RegisterTaskDefinition", Timestamp::EPOCH, 1000), 1000);
    }
}
