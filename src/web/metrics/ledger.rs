//! What this process has done and seen, in numbers, and the page that says so.
//!
//! Hand-written rather than a metrics library's registry: a page is one function of one value under one lock, series of
//! policies and targets that are gone are gone with it, and the catalogue is documentation and test at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::catalogue::{self as metric};
use super::fleet::{Found, Recorded, label};
use super::text::{Histogram, Page, exact};
use crate::controller::run::{PassEnd, Watcher};
use crate::controller::{ControllerError, PassReport};
use crate::model::operation::Bucket;
use crate::model::{TargetId, Timestamp};
use crate::ports::Operation;

/// How full one of the budget's buckets is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BucketLevel {
    /// Which.
    pub bucket: Bucket,
    /// Calls that could be made at once.
    pub tokens: f64,
    /// Calls a second that it regains at present.
    pub rate: f64,
    /// Calls a second that it regains when nobody is throttled.
    pub share: f64,
}

/// Says how full the buckets of a target are, whenever it is asked.
pub type Levels = Box<dyn Fn() -> Vec<BucketLevel> + Send + Sync>;

/// The numbers. Every method may be called from anywhere at any time.
#[derive(Default)]
pub struct Metrics {
    kept: Mutex<Kept>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Kept {
    targets: BTreeMap<TargetId, OfTarget>,
    /// Those that are wanted and of which no controller runs here.
    unwatched: BTreeSet<TargetId>,
    store: BTreeMap<(&'static str, &'static str), u64>,
}

#[derive(Default)]
struct OfTarget {
    holds_lease: bool,
    passes: BTreeMap<&'static str, u64>,
    durations: BTreeMap<&'static str, Histogram>,
    last_pass: Option<Timestamp>,
    evaluations: u64,
    commands: u64,
    events: u64,
    found: Option<Found>,
    recorded: Option<Recorded>,
    calls: BTreeMap<(Operation, &'static str), u64>,
    call_durations: BTreeMap<Operation, Histogram>,
    alarm_calls: BTreeMap<(&'static str, &'static str), u64>,
    levels: Option<Levels>,
}

impl Metrics {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names a target, so that it is on the page from the start, and says where its budget's levels are to be had.
    pub fn watch(&self, target: &TargetId, levels: Option<Levels>) {
        self.lock().unwatched.remove(target);
        self.of(target, |kept| kept.levels = levels);
    }

    /// A target is wanted, and no controller of this process runs there: it could not be reached, say. Or it is of no
    /// concern any more.
    pub fn set_unwatched(&self, target: &TargetId, unwatched: bool) {
        let mut kept = self.lock();
        if unwatched {
            kept.unwatched.insert(target.clone());
        } else {
            kept.unwatched.remove(target);
        }
    }

    /// A target is of no concern any more: what it said last would stand for ever.
    pub fn forget(&self, target: &TargetId) {
        self.lock().targets.remove(target);
    }

    /// A call to ECS was answered, or was not.
    pub(super) fn called(&self, target: &TargetId, operation: Operation, result: &'static str, took: Duration) {
        self.of(target, |kept| {
            *kept.calls.entry((operation, result)).or_default() += 1;
            kept.call_durations.entry(operation).or_default().observe(took.as_secs_f64());
        });
    }

    /// CloudWatch was asked about alarms.
    pub(super) fn asked_of_alarms(&self, target: &TargetId, operation: &'static str, result: &'static str) {
        self.of(target, |kept| *kept.alarm_calls.entry((operation, result)).or_default() += 1);
    }

    /// The store was asked for something.
    pub(super) fn stored(&self, operation: &'static str, result: &'static str) {
        *self.lock().store.entry((operation, result)).or_default() += 1;
    }

    /// An event was written.
    pub(super) fn event_written(&self, target: &TargetId) {
        self.of(target, |kept| kept.events += 1);
    }

    /// A pass ended.
    pub fn passed(&self, target: &TargetId, pass: &PassEnd<'_>) {
        self.of(target, |kept| kept.passed(pass));
    }

    /// What `/metrics` serves.
    #[must_use]
    pub fn page(&self) -> String {
        let kept = self.lock();
        let mut page = Page::default();
        page.sample(&metric::BUILD, &[env!("CARGO_PKG_VERSION")], 1.0);
        let watched = kept.targets.keys().filter(|target| !kept.unwatched.contains(target));
        for target in watched {
            page.sample(&metric::TARGET_WATCHED, &[&label(target)], 1.0);
        }
        for target in &kept.unwatched {
            page.sample(&metric::TARGET_WATCHED, &[&label(target)], 0.0);
        }
        let targets: Vec<(String, &OfTarget)> =
            kept.targets.iter().map(|(target, kept)| (label(target), kept)).collect();
        // A metric at a time: the format wants the samples of one together.
        let mut each = |write: &dyn Fn(&mut Page, &str, &OfTarget)| {
            targets.iter().for_each(|(target, kept)| write(&mut page, target, kept));
        };
        each(&|page, target, kept| {
            page.sample(&metric::LEASE_HELD, &[target], if kept.holds_lease { 1.0 } else { 0.0 });
        });
        each(&|page, target, kept| {
            for (result, count) in &kept.passes {
                page.sample(&metric::PASSES, &[target, result], exact(*count));
            }
        });
        each(&|page, target, kept| {
            for (depth, histogram) in &kept.durations {
                page.histogram(&metric::PASS_DURATION, &[target, depth], histogram);
            }
        });
        each(&|page, target, kept| {
            if let Some(at) = kept.last_pass {
                page.sample(&metric::LAST_PASS, &[target], at.as_epoch_seconds());
            }
        });
        each(&|page, target, kept| page.sample(&metric::EVALUATIONS, &[target], exact(kept.evaluations)));
        let found: [fn(&Found, &mut Page, &str); 4] = [Found::gaps, Found::services, Found::policies, Found::findings];
        for write in found {
            each(&|page, target, kept| kept.found.iter().for_each(|found| write(found, page, target)));
        }
        let recorded: [fn(&Recorded, &mut Page, &str); 3] = [Recorded::rollouts, Recorded::changes, Recorded::holds];
        for write in recorded {
            each(&|page, target, kept| kept.recorded.iter().for_each(|recorded| write(recorded, page, target)));
        }
        each(&|page, target, kept| page.sample(&metric::COMMANDS, &[target], exact(kept.commands)));
        each(&|page, target, kept| page.sample(&metric::EVENTS, &[target], exact(kept.events)));
        each(&|page, target, kept| {
            for ((operation, result), count) in &kept.calls {
                page.sample(&metric::CALLS, &[target, operation.as_str(), result], exact(*count));
            }
        });
        each(&|page, target, kept| {
            for (operation, histogram) in &kept.call_durations {
                page.histogram(&metric::CALL_DURATION, &[target, operation.as_str()], histogram);
            }
        });
        each(&|page, target, kept| {
            for ((operation, result), count) in &kept.alarm_calls {
                page.sample(&metric::ALARM_CALLS, &[target, operation, result], exact(*count));
            }
        });
        type OfLevel = fn(&BucketLevel) -> f64;
        let levels: [(&metric::Metric, OfLevel); 3] = [
            (&metric::BUDGET_TOKENS, |level| level.tokens),
            (&metric::BUDGET_RATE, |level| level.rate),
            (&metric::BUDGET_SHARE, |level| level.share),
        ];
        for (metric, value) in levels {
            each(&|page, target, kept| {
                for level in kept.levels.iter().flat_map(|levels| levels()) {
                    page.sample(metric, &[target, level.bucket.as_str()], value(&level));
                }
            });
        }
        for ((operation, result), count) in &kept.store {
            page.sample(&metric::STORE_OPERATIONS, &[operation, result], exact(*count));
        }
        page.into_text()
    }

    fn of(&self, target: &TargetId, change: impl FnOnce(&mut OfTarget)) {
        change(self.lock().targets.entry(target.clone()).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Every change under the lock is one assignment: a panic elsewhere leaves it whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfTarget {
    fn passed(&mut self, pass: &PassEnd<'_>) {
        let result = match pass.outcome {
            Ok(report) => {
                self.completed(report, pass);
                "completed"
            }
            Err(ControllerError::NotHolder { .. }) => {
                // The holder says how its fleet stands: what we knew of it is of a while ago, and would be summed.
                (self.holds_lease, self.found, self.recorded) = (false, None, None);
                "standing_by"
            }
            Err(error) if error.is_conflict() => "conflict",
            // Without the store nobody knows who holds the lease; whatever else went wrong did so while we held it.
            Err(error) => {
                self.holds_lease = !matches!(error, ControllerError::Record(_));
                "failed"
            }
        };
        *self.passes.entry(result).or_default() += 1;
    }

    fn completed(&mut self, report: &PassReport, pass: &PassEnd<'_>) {
        self.holds_lease = true;
        self.evaluations += report.evaluations;
        self.commands += report.commands as u64;
        self.recorded = Some(Recorded::of(report));
        // A pass over what is in flight looks at the whole fleet where the configuration has changed.
        let depth = match &report.plan {
            Some(plan) => {
                self.found = Some(Found::of(plan));
                self.last_pass = Some(pass.now);
                "full"
            }
            None => "in_flight",
        };
        self.durations.entry(depth).or_default().observe(pass.took.as_secs_f64());
    }
}

/// Counts the passes of one target, and lets somebody else watch them too.
pub struct Counting<'a> {
    /// Where they are counted.
    pub metrics: &'a Metrics,
    /// Whose they are.
    pub target: TargetId,
    /// Who else watches.
    pub next: &'a mut dyn Watcher,
}

impl Watcher for Counting<'_> {
    fn passed(&mut self, report: &PassReport, now: Timestamp) {
        self.next.passed(report, now);
    }

    fn ended(&mut self, pass: &PassEnd<'_>) {
        self.metrics.passed(&self.target, pass);
        self.next.ended(pass);
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{PASSES, Values};
    use super::*;
    use crate::ports::store::{Key, StoreError};
    use crate::records::RecordError;

    #[test]
    fn passes_are_counted_by_how_they_ended_and_nobody_holds_a_lease_without_knowing() {
        let of_store = |source| ControllerError::Record(RecordError::Store { action: "reading".to_owned(), source });
        let key = Key { partition: "p".to_owned(), sort: "s".to_owned() };
        let holder = ControllerError::NotHolder { target: "1/r".to_owned(), holder: "another".to_owned() };
        let gone = StoreError::Unavailable { store: "s".to_owned(), message: "no answer".to_owned() };
        let target = TargetId { account: "1".to_owned(), region: "r".to_owned() };
        let report = PassReport {
            plan: None,
            campaigns: Vec::new(),
            ended: Vec::new(),
            commands: 0,
            created: 0,
            clearing: 0,
            holds: 0,
            evaluations: 0,
            again: None,
        };
        let ends: [(&str, Result<&PassReport, ControllerError>, u8); 5] = [
            ("completed", Ok(&report), 1),
            ("conflict", Err(of_store(StoreError::Conflict { key })), 1),
            ("failed", Err(ControllerError::NoPolicies), 1),
            ("failed", Err(of_store(gone)), 0),
            ("standing_by", Err(holder), 0),
        ];
        let metrics = Metrics::new();
        for (result, outcome, held) in &ends {
            let outcome = outcome.as_ref().map(|report| *report);
            metrics.passed(&target, &PassEnd { outcome, took: Duration::from_secs(1), now: Timestamp::EPOCH });
            let page = metrics.page();
            let held = format!("plimsoll_lease_held{{target=\"1/r\"}} {held}\n");
            assert!(page.contains(&held), "{result}: {page}");
        }
        let page = metrics.page();
        assert!(
            page.contains("plimsoll_pass_duration_seconds_count{target=\"1/r\",depth=\"in_flight\"} 1\n"),
            "{page}"
        );
        let Values::Closed(results) = PASSES.labels[1].values else { panic!("{:?}", PASSES.labels) };
        for result in results {
            let count = ends.iter().filter(|(ended, ..)| ended == result).count();
            let line = format!("plimsoll_passes_total{{target=\"1/r\",result=\"{result}\"}} {count}\n");
            assert!(count > 0 && page.contains(&line), "{line}: {page}");
        }
    }
}
