//! Windows: when changes may begin, or may not. A pure function of `now`, right across changes of daylight saving time.

use std::str::FromStr;

use chrono_tz::Tz;
use croner::Cron;

use crate::model::spec::WindowSpec;
use crate::model::{Reason, ReasonCode, Timestamp};

/// Why the windows forbid to begin anything now; `None` where they allow it, or there are none.
///
/// Any open `deny` window forbids. Where there are `allow` windows, one of them must be open. A window that cannot be
/// read (manifests are checked, so only one written by another version) forbids: when in doubt, nothing moves.
#[must_use]
pub fn closed(windows: &[WindowSpec], now: Timestamp) -> Option<Reason> {
    let mut allowed = windows.iter().all(|window| window.allow.is_none());
    let mut next: Option<Timestamp> = None;
    for window in windows {
        let (pattern, denies) = match (&window.allow, &window.deny) {
            (Some(pattern), _) => (pattern, false),
            (None, Some(pattern)) => (pattern, true),
            (None, None) => continue,
        };
        let Some(state) = Opening::at(pattern, window, now) else {
            return Some(Reason::of(ReasonCode::OutsideWindow, format!("the window `{pattern}` cannot be read")));
        };
        match (denies, state.open_until) {
            (true, Some(until)) => {
                let message = format!("the window `{pattern}` ({}) denies changes", window.time_zone);
                return Some(Reason::of(ReasonCode::OutsideWindow, message).until(until));
            }
            (false, Some(_)) => allowed = true,
            (false, None) => next = [next, state.opens].into_iter().flatten().min(),
            (true, None) => {}
        }
    }
    if allowed {
        return None;
    }
    let reason = Reason::of(ReasonCode::OutsideWindow, "outside the windows in which changes may begin");
    Some(Reason { until: next, ..reason })
}

/// How one window stands.
struct Opening {
    /// Until when it is open, if it is.
    open_until: Option<Timestamp>,
    /// When it opens next.
    opens: Option<Timestamp>,
}

impl Opening {
    fn at(pattern: &str, window: &WindowSpec, now: Timestamp) -> Option<Self> {
        let cron = Cron::from_str(pattern).ok()?;
        let zone: Tz = window.time_zone.parse().ok()?;
        let local = now.to_utc()?.with_timezone(&zone);
        let last = cron.find_previous_occurrence(&local, true).ok();
        let open_until =
            last.map(|last| Timestamp::from_utc(last.to_utc()) + window.length.0).filter(|until| now < *until);
        let opens = cron.find_next_occurrence(&local, false).ok().map(|next| Timestamp::from_utc(next.to_utc()));
        Some(Self { open_until, opens })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(allow: Option<&str>, deny: Option<&str>, length: &str) -> WindowSpec {
        WindowSpec {
            allow: allow.map(ToOwned::to_owned),
            deny: deny.map(ToOwned::to_owned),
            length: length.parse().unwrap(),
            time_zone: "Europe/London".to_owned(),
        }
    }

    #[track_caller]
    fn check(windows: &[WindowSpec], now: &str, until: Option<Option<&str>>) {
        let found = closed(windows, now.parse().unwrap()).map(|reason| reason.until.map(|until| until.to_string()));
        assert_eq!(found, until.map(|until| until.map(ToOwned::to_owned)));
    }

    #[test]
    fn working_hours_are_local_hours_in_summer_and_in_winter() {
        let hours = [window(Some("0 9 * * MON-FRI"), None, "8h")];
        check(&hours, "2026-01-14T09:00:00Z", None);
        check(&hours, "2026-01-14T08:59:59Z", Some(Some("2026-01-14T09:00:00Z")));
        check(&hours, "2026-07-15T08:00:00Z", None);
        check(&hours, "2026-07-15T07:59:59Z", Some(Some("2026-07-15T08:00:00Z")));
        check(&hours, "2026-07-15T16:00:00Z", Some(Some("2026-07-16T08:00:00Z")));
        check(&hours, "2026-07-17T16:00:00Z", Some(Some("2026-07-20T08:00:00Z")));
    }

    #[test]
    fn an_hour_that_the_clocks_skip_or_repeat_opens_a_window_once_for_its_whole_length() {
        // On 2026-03-29 London goes from 01:00 to 02:00, at 01:00 UTC; on 2026-10-25 back from 02:00 to 01:00.
        let night = [window(Some("30 1 * * *"), None, "1h")];
        for (open, closed) in
            [("2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z"), ("2026-10-25T00:45:00Z", "2026-10-25T03:00:00Z")]
        {
            check(&night, open, None);
            let found = super::closed(&night, closed.parse().unwrap());
            assert!(found.is_some_and(|reason| reason.until.is_some()), "{closed}");
        }
    }

    #[test]
    fn a_deny_window_wins() {
        let windows = [window(Some("0 0 * * *"), None, "24h"), window(None, Some("0 12 * * *"), "1h")];
        check(&windows, "2026-01-14T11:59:59Z", None);
        check(&windows, "2026-01-14T12:30:00Z", Some(Some("2026-01-14T13:00:00Z")));
    }

    #[test]
    fn a_window_that_cannot_be_read_is_closed() {
        check(&[window(Some("not a cron"), None, "1h")], "2026-01-14T12:30:00Z", Some(None));
        check(&[], "2026-01-14T12:30:00Z", None);
    }
}
