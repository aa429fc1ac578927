//! `/metrics`: what is served is what is documented, what dashboard and alerts ask for is served, and others can read it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use plimsoll::web::metrics::catalogue::{ALL, Kind, Metric, Values, documentation};
use serde_json::Value;

use super::site::{Fleet, Served};
use super::{installed, run};

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The metric that a sample's name belongs to.
fn metric_of(name: &str) -> Option<&'static Metric> {
    let of = |metric: &&Metric| {
        let rest = name.strip_prefix(metric.name);
        rest.is_some_and(|rest| match metric.kind {
            Kind::Histogram => ["_bucket", "_sum", "_count"].contains(&rest),
            Kind::Counter | Kind::Gauge => rest.is_empty(),
        })
    };
    ALL.iter().find(of)
}

async fn page() -> String {
    let fleet = Fleet::in_mid_rollout().await;
    let answer = Served::of(&fleet).await.get("/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.body
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_finds_nothing_wrong_with_what_is_served() {
    let page = page().await;
    let mut promtool = Command::new(installed("bin/promtool"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), page.as_bytes()).unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_of_a_documented_metric_and_has_its_labels() {
    let page = page().await;
    let mut served = BTreeSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once('{').unwrap_or_else(|| line.split_once(' ').unwrap());
        let metric = metric_of(name).unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        served.insert(metric.name);
        for label in metric.labels {
            let value = labels.split(&format!("{}=\"", label.name)).nth(1).and_then(|rest| rest.split('"').next());
            let value = value.unwrap_or_else(|| panic!("no {} in {line}", label.name));
            if let Values::Closed(values) = label.values {
                assert!(values.contains(&value), "{line}");
            }
        }
    }
    // Budgets are the AWS adapter's: the simulator has none. No strategy of this fleet listens to alarms.
    let missing: Vec<&str> = ALL.iter().map(|metric| metric.name).filter(|name| !served.contains(name)).collect();
    assert_eq!(
        missing,
        [
            "plimsoll_alarm_calls_total",
            "plimsoll_ecs_budget_tokens",
            "plimsoll_ecs_budget_calls_per_second",
            "plimsoll_ecs_budget_share_calls_per_second"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_those_of_the_fleet() {
    let page = page().await;
    let sum = |metric: &str, with: &str| -> f64 {
        let samples = page.lines().filter(|line| line.starts_with(&format!("{metric}{{")) && line.contains(with));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    assert!((sum("plimsoll_services", "target=") - 64.0).abs() < 0.5);
    assert!(sum("plimsoll_rollouts", "phase=\"Paused\"") > 0.5 && sum("plimsoll_holds", "") > 0.5);
    assert!(sum("plimsoll_changes", "phase=\"RolledBack\"") > 0.5 && sum("plimsoll_events_written_total", "") > 5.0);
    assert!(sum("plimsoll_findings", "waived=\"true\"") > 0.5 && sum("plimsoll_findings", "severity=\"high\"") > 0.5);
    assert!(sum("plimsoll_ecs_calls_total", "operation=\"UpdateService\",result=\"ok\"") > 0.5);
    assert!((sum("plimsoll_ecs_calls_total", "") - sum("plimsoll_ecs_call_duration_seconds_count", "")).abs() < 0.5);
    assert!((sum("plimsoll_passes_total", "") - sum("plimsoll_pass_duration_seconds_count", "")).abs() < 0.5);
}

#[test]
fn names_are_prometheuss_and_the_documentation_is_fresh() {
    for metric in ALL {
        assert!(metric.name.starts_with("plimsoll_"), "{}", metric.name);
        assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        assert!(metric.help.ends_with('.') && !metric.help.contains('|'), "{}", metric.help);
    }
    let written = std::fs::read_to_string(repository("docs/metrics.md")).unwrap();
    assert_eq!(written.trim_end(), documentation().trim_end(), "docs/metrics.md is old: make metrics");
}

/// Names in an expression that look like ours.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("plimsoll_")).map(ToOwned::to_owned).collect()
}

/// `metric{label="…"}` of an expression: the labels that each metric is selected or grouped by must be its own.
#[track_caller]
fn labels_are_known(expression: &str) {
    let all: BTreeSet<&str> =
        ALL.iter().flat_map(|metric| metric.labels).map(|label| label.name).chain(["le"]).collect();
    for part in expression.split("plimsoll_").skip(1) {
        let Some((name, rest)) = part.split_once('{') else { continue };
        let name = format!("plimsoll_{name}");
        let Some(metric) = metric_of(&name) else { continue };
        for selector in rest.split('}').next().unwrap().split(',').filter(|selector| !selector.is_empty()) {
            let label = selector.split(['=', '!']).next().unwrap().trim();
            let known = metric.labels.iter().find(|known| known.name == label);
            let known = known.unwrap_or_else(|| panic!("{name} has no label {label}: {expression}"));
            let value = selector.split('"').nth(1).unwrap();
            if let Values::Closed(values) = known.values {
                for one in value.split('|').filter(|one| !one.starts_with('$')) {
                    assert!(values.contains(&one), "{label} of {name} is never {one}: {expression}");
                }
            }
        }
    }
    for group in expression.split("by (").skip(1) {
        for label in group.split(')').next().unwrap().split(',') {
            assert!(all.contains(label.trim()), "{label} in {expression}");
        }
    }
}

#[test]
fn dashboard_and_alerts_ask_for_what_is_served() {
    let dashboard = std::fs::read_to_string(repository("deploy/observability/dashboard.json")).unwrap();
    let parsed: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = parsed["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    let mut asked = BTreeSet::new();
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            labels_are_known(expression);
            asked.extend(named(expression));
        }
    }
    let alerts = std::fs::read_to_string(repository("deploy/observability/alerts.yaml")).unwrap();
    for line in alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")) {
        labels_are_known(line);
        asked.extend(named(line));
    }
    for name in &asked {
        assert!(metric_of(name).is_some(), "{name} is not served");
    }
    let shown: BTreeSet<&str> = asked.iter().filter_map(|name| metric_of(name)).map(|metric| metric.name).collect();
    let unseen: Vec<&str> = ALL.iter().map(|metric| metric.name).filter(|name| !shown.contains(name)).collect();
    assert!(unseen.is_empty(), "nobody looks at {unseen:?}");
}

#[test]
fn each_alert_fires_where_it_should_and_not_where_it_should_not() {
    let promtool = || Command::new(installed("bin/promtool"));
    run(promtool().arg("check").arg("rules").arg(repository("deploy/observability/alerts.yaml")));
    run(promtool().arg("test").arg("rules").arg(repository("deploy/observability/alerts_test.yaml")));
    let tests = std::fs::read_to_string(repository("deploy/observability/alerts_test.yaml")).unwrap();
    let alerts = std::fs::read_to_string(repository("deploy/observability/alerts.yaml")).unwrap();
    for name in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let quiet = tests.contains(&format!("alertname: {name}, exp_alerts: []"));
        assert!(quiet && tests.contains(&format!("alertname=\"{name}\"")), "{name} is to be tried both ways");
    }
}
