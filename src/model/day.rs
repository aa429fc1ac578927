//! A day of the calendar, in UTC: what daily figures are kept by.

use std::fmt;
use std::str::FromStr;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Timestamp;

/// A day in UTC. Written as `2026-11-26`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(NaiveDate);

impl Day {
    /// The day on which a point in time is; the epoch's, beyond the years that can be told.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        Self(time.to_utc().map_or(NaiveDate::default(), |time| time.date_naive()))
    }

    /// So many days before.
    #[must_use]
    pub fn before(self, days: u32) -> Self {
        Self(self.0.checked_sub_days(Days::new(u64::from(days))).unwrap_or(NaiveDate::MIN))
    }

    /// How many days from `earlier` to this; zero where it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> usize {
        usize::try_from(self.0.signed_duration_since(earlier.0).num_days()).unwrap_or(0)
    }
}

impl schemars::JsonSchema for Day {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Day".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date" })
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.format("%Y-%m-%d").fmt(f)
    }
}

/// What was given is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a day such as `2026-11-26`")]
pub struct ParseDayError(String);

impl FromStr for Day {
    type Err = ParseDayError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Self).map_err(|_| ParseDayError(text.to_owned()))
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_in_utc_and_survives_its_text() {
        let day = |time: &str| Day::of(time.parse().unwrap()).to_string();
        assert_eq!(day("2026-02-28T23:59:59.999Z"), "2026-02-28");
        assert_eq!(day("2026-03-01T00:00:00Z"), "2026-03-01");
        assert_eq!(day("2026-03-01T00:30:00+01:00"), "2026-02-28");
        let day: Day = "2026-03-01".parse().unwrap();
        assert_eq!(
            (day.before(1).to_string(), day.since(day.before(90)), day.before(1).since(day)),
            ("2026-02-28".to_owned(), 90, 0)
        );
        assert!("2026-3-1x".parse::<Day>().is_err());
    }
}
