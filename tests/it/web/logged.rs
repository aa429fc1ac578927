//! What the log is told of a rollout that needs a person: a line that the stacks of `deploy/` count.

use std::process::Command;

use plimsoll::telemetry::{LogFormat, subscriber};
use serde_json::Value;

use super::site::Fleet;

/// Whether a line is written is kept by the place in the code, for all threads: other tests would have a say in it.
#[tokio::test]
#[ignore = "a process of its own, for the next one"]
async fn a_rollout_stops_by_itself() {
    let guard = tracing::subscriber::set_default(subscriber("info", LogFormat::Json, std::io::stderr).unwrap());
    Fleet::in_mid_rollout().await;
    drop(guard);
}

#[test]
fn a_rollout_that_stops_by_itself_is_an_error_line_with_its_reason_in_words() {
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "web::logged::a_rollout_stops_by_itself"])
        .output()
        .unwrap();
    let text = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{text}");
    let lines = text.lines().filter(|line| line.starts_with('{'));
    let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |message: &str, phase: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["message"] == message && line["phase"] == phase).collect()
    };
    let paused = of("rollout", "Paused");
    assert!(!paused.is_empty(), "{text}");
    for line in paused {
        assert_eq!((&line["level"], &line["reason"]), (&"ERROR".into(), &"ChangeFailed".into()), "{line:#}");
        assert!(line["why"].as_str().unwrap().contains("changes failed"), "{line:#}");
    }
    // What is taken back by itself is no error, and what goes as it should is none at all.
    assert!(of("change", "RollingBack").iter().all(|line| line["level"] == "WARN"), "{text}");
    assert!(of("rollout", "Progressing").iter().all(|line| line["level"] == "INFO"), "{text}");
    assert!(!of("change", "RollingBack").is_empty() && !of("rollout", "Progressing").is_empty(), "{text}");
}
