//! A time-limited, owned exception, and what follows from its end. `now` is always an argument.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Scope;
use crate::model::Timestamp;

/// A day, in milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// How long before its end a Waiver is said to be expiring: time enough for its owner to renew it or to fix the cause.
pub const EXPIRING: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The longest that needs no reason. A day more than 365, so that the same date of next year is within it in leap years
/// too.
pub const A_YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A time-limited, owned exception. What it waives is still evaluated and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaiverSpec {
    /// Names or globs of policies.
    pub policies: Vec<String>,
    /// For what. Omitted: everything.
    #[serde(default)]
    pub scope: Scope,
    /// Only these checks. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// Only these containers, names or globs. Empty: all, and what is not a container's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Where it is tracked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// When it ends: at most a year away, unless `longerThanAYear` says why. In force strictly before.
    pub expires_at: Timestamp,
    /// Why it may last longer than a year. Without this reason `apply` refuses an `expiresAt` that is further away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longer_than_a_year: Option<String>,
}

/// Whole days until an end; negative once it is over.
#[must_use]
pub fn days_until(end: Timestamp, now: Timestamp) -> i64 {
    end.as_millis().saturating_sub(now.as_millis()).div_euclid(DAY)
}

impl WaiverSpec {
    /// Whether it counts: strictly before its end.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// How near its end it is.
    #[must_use]
    pub fn term(&self, now: Timestamp) -> Term {
        if !self.in_force(now) {
            Term::Expired
        } else if now >= self.expires_at - EXPIRING {
            Term::Expiring
        } else {
            Term::InForce
        }
    }

    /// Whole days until its end; negative once it has expired.
    #[must_use]
    pub fn days_left(&self, now: Timestamp) -> i64 {
        days_until(self.expires_at, now)
    }

    /// Whether it ends further away than may be applied at `now`. Time only brings the end nearer: what could be applied
    /// once can be applied again.
    #[must_use]
    pub fn is_too_long(&self, now: Timestamp) -> bool {
        self.longer_than_a_year.is_none() && self.expires_at > now + A_YEAR
    }
}

/// How near its end a Waiver is. Ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Term {
    /// It counts.
    #[default]
    InForce,
    /// It counts, and ends within 14 days.
    Expiring,
    /// It counts no more.
    Expired,
}

impl Term {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InForce => "in force",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
        }
    }
}

/// Whether a Waiver covers anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Need {
    /// It covers a finding.
    Needed,
    /// Without it, nothing would fail that does not fail with it.
    Unneeded,
    /// It could not be told.
    Unknown,
}

impl Need {
    /// Of both: needed where either needs it, unneeded only where neither does.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Needed, _) | (_, Self::Needed) => Self::Needed,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Unneeded, Self::Unneeded) => Self::Unneeded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(expires_at: &str) -> WaiverSpec {
        let spec = serde_json::json!({ "policies": ["p"], "owner": "o", "reason": "r", "expiresAt": expires_at });
        serde_json::from_value(spec).unwrap()
    }

    #[track_caller]
    fn check(now: &str, term: Term, days_left: i64) {
        let (waiver, now) = (until("2026-03-31T00:00:00Z"), now.parse().unwrap());
        assert_eq!((waiver.term(now), waiver.days_left(now)), (term, days_left));
        assert_eq!(waiver.in_force(now), term != Term::Expired);
    }

    #[test]
    fn a_waiver_is_in_force_strictly_before_its_end() {
        check("2026-03-16T23:59:59.999Z", Term::InForce, 14);
        check("2026-03-17T00:00:00Z", Term::Expiring, 14);
        check("2026-03-30T00:00:00Z", Term::Expiring, 1);
        check("2026-03-30T00:00:00.001Z", Term::Expiring, 0);
        check("2026-03-30T23:59:59.999Z", Term::Expiring, 0);
        check("2026-03-31T00:00:00Z", Term::Expired, 0);
        check("2026-03-31T00:00:00.001Z", Term::Expired, -1);
    }

    #[test]
    fn a_year_is_the_same_date_of_next_year_and_not_an_instant_more() {
        let now = "2027-03-01T12:00:00Z".parse().unwrap();
        assert!(!until("2028-03-01T12:00:00Z").is_too_long(now), "over the leap day");
        assert!(until("2028-03-01T12:00:00.001Z").is_too_long(now));
        let said =
            WaiverSpec { longer_than_a_year: Some("the vendor says 2030".to_owned()), ..until("2030-01-01T00:00:00Z") };
        assert!(!said.is_too_long(now));
    }

    #[test]
    fn what_one_needs_and_what_nobody_could_tell_is_not_unneeded() {
        assert_eq!(Need::Unneeded.or(Need::Needed), Need::Needed);
        assert_eq!(Need::Unknown.or(Need::Needed), Need::Needed);
        assert_eq!(Need::Unneeded.or(Need::Unknown), Need::Unknown);
        assert_eq!(Need::Unneeded.or(Need::Unneeded), Need::Unneeded);
    }
}
