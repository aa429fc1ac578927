//! Daily figures of a policy or a cluster: what fails there, and what would have changed, day by day. A day without a pass is a gap, not a zero.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Day, Timestamp};
use crate::plan::PolicyTally;

/// How many days are kept. Longer than a quarter, so that whoever asks each quarter sees all of it.
pub const KEPT: u32 = 90;

/// One day, as its last pass found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DayFigure {
    /// Which, in UTC.
    pub day: Day,
    /// Resources that the policy applied to; of a cluster, judgements.
    pub matched: usize,
    /// Those that failed.
    pub failing: usize,
    /// Those that enforcing it would have changed, or changed.
    pub would_change: usize,
    /// Those that it could not have changed.
    pub blocked: usize,
    /// Those that could not be told.
    pub unknown: usize,
    /// Whether not all resources could be listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

impl DayFigure {
    /// The share that complies or is waived, in tenths of a percent; what could not be judged does not. None where nothing
    /// was judged.
    #[must_use]
    pub fn compliant(&self) -> Option<usize> {
        let good = self.matched.saturating_sub(self.failing + self.unknown);
        (self.matched > 0).then(|| good * 1000 / self.matched)
    }
}

/// `97.5 %`, of tenths of a percent.
#[must_use]
pub fn percent(thousandths: usize) -> String {
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

/// The last days, oldest first, each at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Days(Vec<DayFigure>);

/// For how long a policy would have changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streak {
    /// Since which day.
    pub since: Day,
    /// Days on the calendar from there to the newest, both included.
    pub days: usize,
    /// Those among them without a pass.
    pub gaps: usize,
}

impl Days {
    /// Oldest first.
    #[must_use]
    pub fn figures(&self) -> &[DayFigure] {
        &self.0
    }

    /// Puts down what a pass at `now` found, in place of what an earlier one of that day did, and forgets what is older
    /// than [`KEPT`] days. A pass by a clock that went back puts nothing down: what is written of later days stands.
    pub fn record(&mut self, tally: &PolicyTally, incomplete: bool, now: Timestamp) {
        let PolicyTally { matched, failing, would_change, blocked, unknown, .. } = *tally;
        let figure = DayFigure { day: Day::of(now), matched, failing, would_change, blocked, unknown, incomplete };
        match self.0.last_mut() {
            Some(last) if last.day > figure.day => return,
            Some(last) if last.day == figure.day => *last = figure,
            Some(_) | None => self.0.push(figure),
        }
        let oldest = figure.day.before(KEPT - 1);
        self.0.retain(|kept| kept.day >= oldest);
    }

    /// The figures of two targets together: a day counts where one of them has it.
    pub fn add(&mut self, other: &Self) {
        for figure in &other.0 {
            match self.0.binary_search_by_key(&figure.day, |known| known.day) {
                Err(place) => self.0.insert(place, *figure),
                Ok(place) => {
                    let Some(known) = self.0.get_mut(place) else { continue };
                    known.matched += figure.matched;
                    known.failing += figure.failing;
                    known.would_change += figure.would_change;
                    known.blocked += figure.blocked;
                    known.unknown += figure.unknown;
                    known.incomplete |= figure.incomplete;
                }
            }
        }
    }

    /// How long, up to the newest day, no day is known on which the policy would have changed nothing.
    #[must_use]
    pub fn would_have_changed(&self) -> Option<Streak> {
        let newest = self.0.last()?.day;
        let run = self.0.iter().rev().take_while(|figure| figure.would_change > 0);
        let (known, since) = run.fold((0, None), |(known, _), figure| (known + 1, Some(figure.day)));
        let since = since?;
        let days = newest.since(since) + 1;
        Some(Streak { since, days, gaps: days.saturating_sub(known) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn would_change(count: usize) -> PolicyTally {
        PolicyTally { matched: 60, failing: count, would_change: count, ..PolicyTally::default() }
    }

    fn days(passes: &[(&str, usize)]) -> Days {
        let mut days = Days::default();
        for (time, count) in passes {
            days.record(&would_change(*count), false, time.parse().unwrap());
        }
        days
    }

    fn told(days: &Days) -> Vec<(String, usize)> {
        days.figures().iter().map(|figure| (figure.day.to_string(), figure.would_change)).collect()
    }

    #[test]
    fn what_could_not_be_judged_does_not_comply_and_nothing_is_no_share() {
        let share = |matched, failing, unknown| {
            let mut days = Days::default();
            let tally = PolicyTally { matched, failing, unknown, ..PolicyTally::default() };
            days.record(&tally, false, Timestamp::EPOCH);
            days.figures()[0].compliant()
        };
        assert_eq!((share(40, 1, 0), share(40, 0, 40), share(0, 0, 0)), (Some(975), Some(0), None));
        assert_eq!(percent(975), "97.5 %");
    }

    #[test]
    fn a_day_is_what_its_last_pass_found() {
        let passes = [("2026-01-05T09:00:00Z", 41), ("2026-01-05T23:59:59Z", 40), ("2026-01-06T00:00:00Z", 39)];
        assert_eq!(told(&days(&passes)), [("2026-01-05".to_owned(), 40), ("2026-01-06".to_owned(), 39)]);
    }

    #[test]
    fn a_day_without_a_pass_is_a_gap_and_no_zero() {
        let gap = days(&[("2026-01-05T09:00:00Z", 41), ("2026-01-08T09:00:00Z", 41)]);
        assert_eq!(gap.figures().len(), 2);
        let streak = gap.would_have_changed().unwrap();
        assert_eq!((streak.since.to_string().as_str(), streak.days, streak.gaps), ("2026-01-05", 4, 2));
        let zero = days(&[("2026-01-05T09:00:00Z", 41), ("2026-01-06T09:00:00Z", 0), ("2026-01-07T09:00:00Z", 2)]);
        assert_eq!(zero.would_have_changed().unwrap().days, 1);
        assert_eq!(days(&[("2026-01-05T09:00:00Z", 0)]).would_have_changed(), None);
        assert_eq!(Days::default().would_have_changed(), None);
    }

    #[test]
    fn a_clock_that_goes_back_changes_no_day() {
        let passes = [("2026-01-06T09:00:00Z", 2), ("2026-01-05T09:00:00Z", 7)];
        assert_eq!(told(&days(&passes)), [("2026-01-06".to_owned(), 2)]);
    }

    #[test]
    fn two_targets_are_summed_day_by_day() {
        let mut one = days(&[("2026-01-05T09:00:00Z", 1), ("2026-01-07T09:00:00Z", 3)]);
        one.add(&days(&[("2026-01-06T09:00:00Z", 20), ("2026-01-07T09:00:00Z", 30)]));
        let expected = [("2026-01-05", 1), ("2026-01-06", 20), ("2026-01-07", 33)];
        assert_eq!(told(&one), expected.map(|(day, count)| (day.to_owned(), count)));
    }

    proptest! {
        #[test]
        fn at_most_ninety_days_are_kept_each_once_in_order_and_the_newest_is_there(hours in proptest::collection::vec(0_u64..60, 1..200)) {
            let start: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
            let (mut days, mut now) = (Days::default(), start);
            for step in hours {
                now = now + std::time::Duration::from_secs(step * 3600);
                days.record(&would_change(1), false, now);
                let kept = days.figures();
                prop_assert!(kept.windows(2).all(|pair| pair[0].day < pair[1].day));
                let (first, last) = (kept.first().unwrap().day, kept.last().unwrap().day);
                prop_assert_eq!(last, Day::of(now));
                prop_assert!(last.since(first) < KEPT as usize);
            }
        }
    }
}
