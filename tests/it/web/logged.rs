//! What the log is told of a rollout that needs a person: a line that the stacks of `deploy/` count.

use std::io;
use std::sync::{Arc, Mutex};

use plimsoll::telemetry::{LogFormat, subscriber};
use serde_json::Value;

use super::site::Fleet;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// On one thread: lines are those of the thread that they are written on.
#[tokio::test]
async fn a_rollout_that_stops_by_itself_is_an_error_line_with_its_reason_in_words() {
    let lines = Lines::default();
    let writer = lines.clone();
    let guard = tracing::subscriber::set_default(subscriber("info", LogFormat::Json, move || writer.clone()).unwrap());
    Fleet::in_mid_rollout().await;
    drop(guard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
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
