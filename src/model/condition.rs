//! Conditions, as Kubernetes writes them: what is so of an object, since when, and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the words are Kubernetes' own")]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl ConditionStatus {
    /// Of several targets together: false where it is in one, unknown where it is in one, else true.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::True, Self::True) => Self::True,
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One condition of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is so or not: `Compliant`, `Needed`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is.
    pub status: ConditionStatus,
    /// Why, for machines.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// When `status` last became what it is.
    pub last_transition_time: Timestamp,
}

impl Condition {
    /// As it is at `now`; since when, `before` knows, where it was the same there.
    #[must_use]
    pub fn of(
        before: &[Self],
        kind: &str,
        (status, reason, message): (ConditionStatus, &str, String),
        now: Timestamp,
    ) -> Self {
        let same = before.iter().find(|known| known.kind == kind && known.status == status);
        Self {
            kind: kind.to_owned(),
            status,
            reason: reason.to_owned(),
            message,
            last_transition_time: same.map_or(now, |known| known.last_transition_time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_status_is_a_transition() {
        let at = Timestamp::from_millis;
        let fails = |count: usize| (ConditionStatus::False, "Failing", format!("{count} fail"));
        let first = Condition::of(&[], "Compliant", fails(2), at(1));
        let second = Condition::of(std::slice::from_ref(&first), "Compliant", fails(1), at(2));
        assert_eq!((second.message.as_str(), second.last_transition_time), ("1 fail", at(1)));
        let third = Condition::of(&[second], "Compliant", (ConditionStatus::True, "Passing", String::new()), at(3));
        assert_eq!(third.last_transition_time, at(3));
    }
}
