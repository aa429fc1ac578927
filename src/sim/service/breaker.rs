//! The deployment circuit breaker: when it trips (ecs-facts §3.4). Does not know what happens then.

use serde_json::Value;

use super::state::Service;

/// The breaker as a service has it configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) struct Breaker {
    pub(in crate::sim) enabled: bool,
    pub(in crate::sim) rollback: bool,
    /// So many failed tasks trip it.
    pub(in crate::sim) threshold: u32,
    /// Whether a healthy task sets the count back to 0.
    pub(in crate::sim) resets: bool,
}

impl Service {
    /// The breaker for the *latest* desired count: it is looked at continuously.
    pub(in crate::sim) fn breaker(&self, desired: u32) -> Breaker {
        let setting = |member: &str| self.setting(&format!("/deploymentCircuitBreaker/{member}"));
        let flag = |member: &str, default: bool| setting(member).and_then(Value::as_bool).unwrap_or(default);
        let kind = setting("thresholdConfiguration/type").and_then(Value::as_str).unwrap_or("BOUNDED_PERCENT");
        let value = setting("thresholdConfiguration/value").and_then(Value::as_u64).unwrap_or(50);
        Breaker {
            enabled: flag("enable", false),
            rollback: flag("rollback", false),
            threshold: threshold(kind, value, desired),
            resets: flag("resetOnHealthyTask", true),
        }
    }
}

/// `clamp(ceil(value / 100 × desired), 3, 200)` for a bounded percentage, without the clamp for an unbounded one.
fn threshold(kind: &str, value: u64, desired: u32) -> u32 {
    let percent = value.saturating_mul(u64::from(desired)).div_ceil(100);
    let count = match kind {
        "COUNT" => value,
        "UNBOUNDED_PERCENT" => percent,
        _ => percent.clamp(3, 200),
    };
    u32::try_from(count.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the ECS Developer Guide: 1 → 3, 25 → 13, 400 → 200.
    #[test]
    fn the_threshold_is_half_the_desired_count_within_3_and_200() {
        for (desired, expected) in [(0, 3), (1, 3), (6, 3), (7, 4), (25, 13), (400, 200), (4000, 200)] {
            assert_eq!(threshold("BOUNDED_PERCENT", 50, desired), expected, "desired {desired}");
        }
        assert_eq!(threshold("COUNT", 1, 400), 1);
        assert_eq!(threshold("UNBOUNDED_PERCENT", 10, 5), 1);
        assert_eq!(threshold("UNBOUNDED_PERCENT", 100, 4000), 4000);
    }
}
