//! Every metric there is, as data: what `/metrics` serves, what `docs/metrics.md` documents, and what dashboard and alert
//! rules may name. A label has a closed set of values, or says what bounds it.

use std::fmt::Write;

use crate::model::Severity;
use crate::model::operation::{Bucket, Operation};
use crate::plan::PlanOutcome;
use crate::rollout::Phase;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
}

impl Kind {
    /// As Prometheus writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What the values of a label are.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// These and no others.
    Closed(&'static [&'static str]),
    /// As many as this says.
    Bounded(&'static str),
}

/// A label.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub values: Values,
}

impl Label {
    /// Whether a value is one of its own.
    #[must_use]
    pub fn may_be(&self, value: &str) -> bool {
        match self.values {
            Values::Closed(values) => values.contains(&value),
            Values::Bounded(_) => true,
        }
    }
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name, with its unit and for counters `_total` at the end, as Prometheus wants it.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What is counted.
    pub unit: &'static str,
    /// Its labels, in the order in which values are given.
    pub labels: &'static [&'static Label],
    /// What it says.
    pub help: &'static str,
}

/// The names of a list of words.
macro_rules! names {
    ($type:ty, $all:expr) => {{
        const COUNT: usize = $all.len();
        const NAMES: [&str; COUNT] = {
            let all: &[$type] = &$all;
            let mut names = [""; COUNT];
            let mut at = 0;
            // A `for` is not to be had in a constant.
            while at < COUNT {
                #[expect(clippy::indexing_slicing, reason = "as long as what it is made of")]
                {
                    names[at] = all[at].as_str();
                }
                at += 1;
            }
            names
        };
        Values::Closed(&NAMES)
    }};
}

const TARGET: Label = Label { name: "target", values: Values::Bounded("ACCOUNT/REGION, one for each target") };
const POLICY: Label = Label { name: "policy", values: Values::Bounded("the policies in force") };
const VERSION: Label = Label { name: "version", values: Values::Bounded("one: this binary's") };
const DEPTH: Label = Label { name: "depth", values: Values::Closed(&["full", "in_flight"]) };
const PASS_RESULT: Label =
    Label { name: "result", values: Values::Closed(&["completed", "standing_by", "conflict", "failed"]) };
const OUTCOME: Label = Label { name: "outcome", values: names!(PlanOutcome, OUTCOMES) };
const VERDICT: Label =
    Label { name: "verdict", values: Values::Closed(&["pass", "fail", "waived", "older_tasks", "unknown"]) };
const SEVERITY: Label = Label { name: "severity", values: names!(Severity, SEVERITIES) };
const WAIVED: Label = Label { name: "waived", values: Values::Closed(&["true", "false"]) };
const ROLLOUT_PHASE: Label = Label { name: "phase", values: Values::Closed(ROLLOUT_PHASES) };
const CHANGE_PHASE: Label = Label { name: "phase", values: names!(Phase, Phase::ALL) };
const OPERATION: Label = Label { name: "operation", values: names!(Operation, Operation::ALL) };
const CALL_RESULT: Label =
    Label { name: "result", values: Values::Closed(&["ok", "refused", "throttled", "no_answer", "not_sent"]) };
const ALARM_OPERATION: Label = Label { name: "operation", values: Values::Closed(&["DescribeAlarms", "GetResources"]) };
const ALARM_RESULT: Label =
    Label { name: "result", values: Values::Closed(&["ok", "denied", "throttled", "no_answer"]) };
const BUCKET: Label = Label { name: "bucket", values: names!(Bucket, Bucket::ALL) };
const STORE_OPERATION: Label =
    Label { name: "operation", values: Values::Closed(&["get", "put", "put_all", "delete", "query", "purge"]) };
const STORE_RESULT: Label = Label {
    name: "result",
    values: Values::Closed(&["ok", "conflict", "missing", "denied", "unavailable", "too_large", "corrupt"]),
};

/// What is to become of services, in the order in which it is shown.
pub const OUTCOMES: &[PlanOutcome] = &[
    PlanOutcome::Compliant,
    PlanOutcome::Change,
    PlanOutcome::Deferred,
    PlanOutcome::Blocked,
    PlanOutcome::Audit,
    PlanOutcome::Waived,
    PlanOutcome::Unknown,
];

/// The worst first.
pub const SEVERITIES: &[Severity] = &[Severity::Critical, Severity::High, Severity::Medium, Severity::Low];

/// The names of a rollout's states.
pub const ROLLOUT_PHASES: &[&str] = &[
    "Proposed",
    "Scheduled",
    "Progressing",
    "Baking",
    "Paused",
    "RollingBack",
    "RolledBack",
    "Succeeded",
    "Unverified",
    "Failed",
    "Aborted",
    "Superseded",
];

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal in $unit:literal by [$($label:ident),*]: $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric =
                Metric { name: $name, kind: Kind::$kind, unit: $unit, labels: &[$(&$label),*], help: $help };
        )*
        /// All of them, in the order in which they are served.
        pub const ALL: &[Metric] = &[$($constant,)*];
    };
}

metrics! {
    BUILD = Gauge "plimsoll_build_info" in "always 1" by [VERSION]: "Which version runs.";
    TARGET_WATCHED = Gauge "plimsoll_target_watched" in "0 or 1" by [TARGET]: "Whether this process has reached the target and runs its controller. 0 where its role, account or region cannot be reached: it is tried again.";
    LEASE_HELD = Gauge "plimsoll_lease_held" in "0 or 1" by [TARGET]: "Whether this process held the lease of the target at the end of its last pass. What is said of the fleet is said by the holder only.";
    PASSES = Counter "plimsoll_passes_total" in "passes" by [TARGET, PASS_RESULT]: "Passes that ended, and how: `standing_by` where another controller holds the lease, `conflict` where somebody else wrote a record first.";
    PASS_DURATION = Histogram "plimsoll_pass_duration_seconds" in "seconds" by [TARGET, DEPTH]: "How long completed passes took: `full` ones look at the whole fleet.";
    LAST_PASS = Gauge "plimsoll_last_successful_pass_timestamp_seconds" in "seconds since 1970" by [TARGET]: "When a full pass last completed.";
    EVALUATIONS = Counter "plimsoll_evaluations_total" in "documents" by [TARGET]: "Documents that were evaluated. What has not changed is not evaluated again.";
    GAPS = Gauge "plimsoll_observation_gaps" in "lists" by [TARGET]: "Lists of clusters, services or families that could not be read in the last full pass. Where there are any, other figures may be too low.";
    SERVICES = Gauge "plimsoll_services" in "services" by [TARGET, OUTCOME]: "Services, by what the last full pass would do with them.";
    POLICY_RESOURCES = Gauge "plimsoll_policy_resources" in "services or clusters" by [TARGET, POLICY, VERDICT]: "Resources that a policy applies to, by verdict. `unknown` is never a pass, nor is `older_tasks`: what a service names would pass, and tasks from before still run.";
    FINDINGS = Gauge "plimsoll_findings" in "findings" by [TARGET, POLICY, SEVERITY, WAIVED]: "Failed checks, each element by itself.";
    ROLLOUTS = Gauge "plimsoll_rollouts" in "rollouts" by [TARGET, ROLLOUT_PHASE]: "Rollouts on record, by phase.";
    CHANGES = Gauge "plimsoll_changes" in "changes" by [TARGET, CHANGE_PHASE]: "Changes of all rollouts on record, by phase.";
    HOLDS = Gauge "plimsoll_holds" in "holds" by [TARGET]: "Fixes that are held off a service.";
    COMMANDS = Counter "plimsoll_commands_total" in "Commands" by [TARGET]: "Commands of people that were carried out.";
    EVENTS = Counter "plimsoll_events_written_total" in "events" by [TARGET]: "Entries written to the event log.";
    CALLS = Counter "plimsoll_ecs_calls_total" in "calls" by [TARGET, OPERATION, CALL_RESULT]: "Calls to ECS, each attempt by itself: `no_answer` may have taken effect, `not_sent` has not.";
    CALL_DURATION = Histogram "plimsoll_ecs_call_duration_seconds" in "seconds" by [TARGET, OPERATION]: "How long ECS took to answer, without the wait for the budget.";
    ALARM_CALLS = Counter "plimsoll_alarm_calls_total" in "questions" by [TARGET, ALARM_OPERATION, ALARM_RESULT]: "Questions about CloudWatch alarms that rollouts listen to, by the call that answers them.";
    BUDGET_TOKENS = Gauge "plimsoll_ecs_budget_tokens" in "calls" by [TARGET, BUCKET]: "Calls that could be made at once within the budget of one of ECS's throttling buckets.";
    BUDGET_RATE = Gauge "plimsoll_ecs_budget_calls_per_second" in "calls a second" by [TARGET, BUCKET]: "The rate that the budget allows at present.";
    BUDGET_SHARE = Gauge "plimsoll_ecs_budget_share_calls_per_second" in "calls a second" by [TARGET, BUCKET]: "The rate that the budget allows when nobody is throttled. A lower rate means that ECS has throttled.";
    STORE_OPERATIONS = Counter "plimsoll_store_operations_total" in "operations" by [STORE_OPERATION, STORE_RESULT]: "Operations on the store. A `conflict` is a write that came second, and no error.";
}

/// Upper bounds of the buckets of histograms, in seconds: from a quick call to a pass over ten thousand services.
pub const BOUNDS: [f64; 12] = [0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];

/// `docs/metrics.md`.
#[must_use]
pub fn documentation() -> String {
    let mut text = String::from(
        "# Metrics\n\n<!-- Made by `make metrics`; a test keeps it fresh. -->\n\n\
         `plimsoll controller --listen ADDR` serves them at `/metrics`, in Prometheus's text format. Sum over \
         instances: only the holder of a target's lease reports its fleet. `deploy/observability` has a dashboard and \
         alert rules.\n\n| metric | type | unit | labels | says |\n|---|---|---|---|---|\n",
    );
    for metric in ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{}`", label.name)).collect();
        let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(" ") };
        let (name, kind) = (metric.name, metric.kind.as_str());
        // Writing into a String does not fail.
        let _ = writeln!(text, "| `{name}` | {kind} | {} | {labels} | {} |", metric.unit, metric.help);
    }
    text.push_str("\n## Labels\n\n| label | of | values |\n|---|---|---|\n");
    let mut told: Vec<String> = Vec::new();
    for label in ALL.iter().flat_map(|metric| metric.labels) {
        let values = match label.values {
            Values::Closed(values) => values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", "),
            Values::Bounded(by) => by.to_owned(),
        };
        let with = |metric: &&Metric| {
            metric.labels.iter().any(|other| other.name == label.name && same(&other.values, &label.values))
        };
        let of: Vec<String> = ALL.iter().filter(with).map(|metric| format!("`{}`", metric.name)).collect();
        let of = if of.len() > 4 { format!("{} metrics", of.len()) } else { of.join(", ") };
        let row = format!("| `{}` | {of} | {values} |\n", label.name);
        if !told.contains(&row) {
            text.push_str(&row);
            told.push(row);
        }
    }
    let bounds: Vec<String> = BOUNDS.iter().map(ToString::to_string).collect();
    let _ = writeln!(text, "\nBuckets of histograms, in seconds: {}.", bounds.join(", "));
    text
}

fn same(one: &Values, other: &Values) -> bool {
    match (one, other) {
        (Values::Closed(one), Values::Closed(other)) => one == other,
        (Values::Bounded(one), Values::Bounded(other)) => one == other,
        (Values::Closed(_), Values::Bounded(_)) | (Values::Bounded(_), Values::Closed(_)) => false,
    }
}
