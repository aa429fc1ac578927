//! What an endpoint was asked, counted by operation: for whoever measures what a client costs. Does not know the clients.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::members;
use crate::model::Timestamp;

/// Counts since the endpoint began. Whoever measures takes differences.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<BTreeMap<String, Count>>);

#[derive(Debug, Clone, Copy)]
struct Count {
    calls: u64,
    throttled: u64,
    /// Every other answer that is an error.
    refused: u64,
    /// Of the answers' bodies.
    bytes: u64,
    first: Timestamp,
    last: Timestamp,
}

/// Operations that are not modelled are counted together: their names are whatever callers write.
const OTHERS: &str = "(not modelled)";

impl Calls {
    /// Counts a call at `now`, answered with a body of so many `bytes`, and perhaps with an `error`'s code.
    pub(super) fn count(&self, now: Timestamp, operation: &str, error: Option<&str>, bytes: usize) {
        let known = members::of(operation).is_some() || operation == CALLER_IDENTITY;
        let name = if known { operation } else { OTHERS };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Count { calls: 0, throttled: 0, refused: 0, bytes: 0, first: now, last: now };
        let count = counts.entry(name.to_owned()).or_insert(fresh);
        count.calls += 1;
        count.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        count.last = count.last.max(now);
        match error {
            None => {}
            Some("ThrottlingException") => count.throttled += 1,
            Some(_) => count.refused += 1,
        }
    }

    /// `{"operations": {"ListServices": {"calls": 3, …}}}`; `first` and `last` in seconds since the epoch.
    pub(super) fn to_value(&self) -> Value {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |(name, count): (&String, &Count)| {
            let value = json!({
                "calls": count.calls,
                "throttled": count.throttled,
                "refused": count.refused,
                "bytes": count.bytes,
                "first": count.first.as_epoch_seconds(),
                "last": count.last.as_epoch_seconds(),
            });
            (name.clone(), value)
        };
        json!({ "operations": counts.iter().map(one).collect::<serde_json::Map<_, _>>() })
    }
}

/// STS's operations: they are no calls of ECS's, and have no members here.
pub(super) const CALLER_IDENTITY: &str = "GetCallerIdentity";
pub(super) const ASSUME_ROLE: &str = "AssumeRole";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_operation_and_by_what_became_of_them() {
        let calls = Calls::default();
        let later = Timestamp::EPOCH + std::time::Duration::from_secs(7);
        calls.count(Timestamp::EPOCH, "ListServices", None, 40);
        calls.count(later, "ListServices", Some("ThrottlingException"), 2);
        calls.count(later, "ListServices", Some("ClusterNotFoundException"), 3);
        calls.count(later, "MakeCoffee", Some("UnknownOperationException"), 1);
        calls.count(later, "MakeTea", Some("UnknownOperationException"), 1);
        let counted = calls.to_value();
        let listed = json!({ "calls": 3, "throttled": 1, "refused": 1, "bytes": 45, "first": 0.0, "last": 7.0 });
        assert_eq!(counted["operations"]["ListServices"], listed);
        assert_eq!(counted["operations"][OTHERS]["calls"], 2, "{counted}");
        assert_eq!(counted["operations"].as_object().unwrap().len(), 2);
    }
}
