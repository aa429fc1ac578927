//! What is asked of a controller is stored, and said to wait where there is none.

use super::Plimsoll;

const SERVICE: &str = "arn:aws:ecs:eu-west-1:123456789012:service/prod/web";

#[test]
fn with_no_controller_alive_a_command_waits_and_says_so() {
    let plimsoll = Plimsoll::with_store();
    let arguments = ["hold", "add", SERVICE, "--for", "2h", "--reason", "an audit"];
    plimsoll
        .run(&arguments)
        .exits(0)
        .prints(SERVICE)
        .says("no controller has ever worked")
        .says("the command waits for one");
    let waited = plimsoll.run(&[&arguments[..], &["--wait"]].concat()).exits(2);
    assert!(waited.stderr.contains("the command is stored"), "{waited:?}");
}

#[test]
fn a_service_by_its_short_name_needs_a_report() {
    let plimsoll = Plimsoll::with_store();
    plimsoll.run(&["hold", "release", "prod/web"]).exits(2).says("write the service's full ARN");
}

#[test]
fn a_rollout_that_is_not_there_is_told() {
    let plimsoll = Plimsoll::with_store();
    for verb in ["status", "history", "approve", "pause", "resume", "abort", "retry", "undo"] {
        plimsoll.run(&["rollout", verb, "careful-1"]).exits(2).says("there is no rollout `careful-1`");
    }
    plimsoll.run(&["rollout", "list"]).exits(0).says("no rollouts found");
    assert_eq!(plimsoll.run(&["rollout", "list", "-o", "json"]).exits(0).json()["items"], serde_json::json!([]));
}

#[test]
fn an_empty_log_is_whole() {
    let plimsoll = Plimsoll::with_store();
    plimsoll.run(&["audit", "verify"]).exits(0).prints("0 broken");
    assert_eq!(plimsoll.run(&["events", "-o", "json"]).exits(0).json()["items"], serde_json::json!([]));
}
