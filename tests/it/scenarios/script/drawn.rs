//! What a law is tried on: a strategy, a scope and windows that a generator made up. Each says by itself, without a word
//! of the code under test, what it allows.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use plimsoll::model::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::world::NO_HOST_PID;
use super::setting::Setting;

/// The fleet.
pub(super) const SERVICES: [&str; 5] = ["dev/a", "prod/b", "prod/c", "prod/d", "stage/e"];

/// When changes may begin, by the minute of the hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    Always,
    /// The first eight of every twenty minutes.
    Allows,
    /// Not from five to a quarter past.
    Denies,
    /// Both.
    AllowsAndDenies,
}

impl Window {
    fn yaml(self) -> &'static str {
        match self {
            Self::Always => "",
            Self::Allows => "windows: [{ allow: '*/20 * * * *', for: 8m, timeZone: UTC }], ",
            Self::Denies => "windows: [{ deny: '5 * * * *', for: 10m, timeZone: UTC }], ",
            Self::AllowsAndDenies => {
                "windows: [{ allow: '*/20 * * * *', for: 8m, timeZone: Asia/Kathmandu }, { deny: '5 * * * *', for: 10m, timeZone: UTC }], "
            }
        }
    }

    pub(super) fn is_open(self, now: Timestamp) -> bool {
        let minute = now.as_millis() / 60_000 % 60;
        match self {
            Self::Always => true,
            Self::Allows => minute % 20 < 8,
            Self::Denies => !(5..15).contains(&minute),
            // Nepal is three quarters of an hour off: there it is minute 0 when it is 15 in UTC.
            Self::AllowsAndDenies => (minute + 45) % 20 < 8 && !(5..15).contains(&minute),
        }
    }
}

/// How the fix is rolled out, and where.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    /// The setting that is fixed; none: the task definition.
    pub(super) setting: Option<Setting>,
    pub(super) max_in_flight: usize,
    pub(super) per_day: Option<usize>,
    pub(super) window: Window,
    pub(super) approval: &'static str,
    pub(super) waves: &'static str,
    pub(super) max_failures: usize,
    pub(super) on_failure: &'static str,
    /// Clusters in scope; none: all.
    pub(super) clusters: Option<Vec<&'static str>>,
}

pub(super) fn drawn() -> impl Strategy<Value = Drawn> {
    let waves = select(vec![
        "{ name: one, size: 1, bake: 2m }, { name: two, size: 2 }, { name: three, size: rest }",
        "{ name: some, size: '50%', maxFailures: 1 }, { name: all, size: rest, bake: 1m }",
        "{ name: dev, where: { clusters: [dev] }, bake: 1m }, { name: prod, where: { clusters: [prod] } }",
        "{ name: all, size: rest, maxInFlight: 1 }",
    ]);
    let windows = select(vec![Window::Always, Window::Always, Window::Allows, Window::Denies, Window::AllowsAndDenies]);
    let clusters = select(vec![None, None, Some(vec!["prod"]), Some(vec!["dev", "stage"])]);
    let approval = select(vec!["none", "none", "none", "before", "eachWave"]);
    let on_failure = select(vec!["pause", "rollback", "continue"]);
    let per_day = select(vec![None, None, Some(2), Some(4)]);
    let settings = select(vec![None, None, None, Some(Setting::Deploys), Some(Setting::Quiet), Some(Setting::Cluster)]);
    (1..4usize, per_day, windows, approval, waves, 0..2usize, on_failure, clusters, settings).prop_map(
        |(max_in_flight, per_day, window, approval, waves, max_failures, on_failure, clusters, setting)| Drawn {
            setting,
            max_in_flight,
            per_day,
            window,
            approval,
            waves,
            max_failures,
            on_failure,
            clusters,
        },
    )
}

impl Drawn {
    /// One that forbids nothing.
    pub(super) fn anything() -> Self {
        Self {
            setting: None,
            max_in_flight: SERVICES.len(),
            per_day: None,
            window: Window::Always,
            approval: "none",
            waves: "{ name: all, size: rest }",
            max_failures: 0,
            on_failure: "pause",
            clusters: None,
        }
    }

    /// Whether the Binding has the service in its scope.
    pub(super) fn is_in_scope(&self, place: &str) -> bool {
        let cluster = place.split('/').next().unwrap();
        self.clusters.as_ref().is_none_or(|clusters| clusters.contains(&cluster))
    }

    /// The policy, its Binding and the strategy, without what was taken out of the scope since.
    pub(super) fn yaml(&self, out: &BTreeSet<&'static str>) -> String {
        let mut scope = String::new();
        if let Some(clusters) = &self.clusters {
            write!(scope, "include: {{ clusters: [{}] }}, ", clusters.join(", ")).unwrap();
        }
        if !out.is_empty() {
            let names: Vec<&str> = out.iter().map(|place| place.rsplit('/').next().unwrap()).collect();
            write!(scope, "exclude: {{ services: [{}] }}, ", names.join(", ")).unwrap();
        }
        let bound = format!("enforcement: enforce, strategy: s, scope: {{ {scope} }}");
        let per_day = self.per_day.map_or_else(String::new, |limit| format!("maxChangesPerDay: {limit}, "));
        let policy = match self.setting {
            Some(setting) => setting.yaml(&bound),
            None => NO_HOST_PID.replace("enforcement: enforce", &bound),
        };
        format!(
            "{policy}---\napiVersion: plimsoll/v1\nkind: RolloutStrategy\nmetadata: {{ name: s }}\nspec: {{ waves: [{}], maxInFlight: {}, maxFailures: {}, onFailure: {}, approval: {}, {per_day}{}health: {{ steadyFor: 30s, progressTimeout: 5m }} }}\n",
            self.waves,
            self.max_in_flight,
            self.max_failures,
            self.on_failure,
            self.approval,
            self.window.yaml(),
        )
    }
}

#[test]
fn a_window_says_by_itself_when_it_is_open() {
    let at = |minute: u64| super::super::world::START.parse::<Timestamp>().unwrap() + Duration::from_secs(minute * 60);
    let open = |window: Window| -> Vec<u64> { (0..60).filter(|minute| window.is_open(at(*minute))).collect() };
    assert_eq!(open(Window::Always).len(), 60);
    assert_eq!(open(Window::Allows), [(0..8).collect::<Vec<_>>(), (20..28).collect(), (40..48).collect()].concat());
    assert_eq!(open(Window::Denies), [(0..5).collect::<Vec<_>>(), (15..60).collect()].concat());
    let both = [(0..3).collect::<Vec<_>>(), (15..23).collect(), (35..43).collect(), (55..60).collect()];
    assert_eq!(open(Window::AllowsAndDenies), both.concat());
}
