//! What is asked of a controller is stored, and said to wait where there is none.

use serde_json::json;

use super::{POLICIES, Plimsoll};

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

#[test]
fn the_heads_of_the_log_show_what_was_cut_off_or_written_anew() {
    let plimsoll = Plimsoll::with_store();
    plimsoll.write("all.yaml", POLICIES);
    plimsoll.run(&["apply", "-f", "all.yaml"]).exits(0);
    let log = |sort: &str, number: u64, hash: &str| {
        json!({ "target": { "account": "123456789012", "region": "eu-west-1" }, "subject": sort, "number": number,
            "at": "2126-01-05T09:00:00Z", "hash": hash })
    };
    // Of a log that is not there any more: as `audit verify -o json` and as `events -o json` print it.
    let heads = json!({ "heads": [log("Change/quick-1/00001", 7, "sha256:00")] });
    let items = json!({ "items": [log("Rollout/quick-1", 1, "sha256:00"), log("Rollout/quick-1", 4, "sha256:01")] });
    for (file, export, told) in [
        ("heads.json", heads, "event 7 of `Change/quick-1/00001` was in the log once"),
        ("events.json", items, "event 4 of `Rollout/quick-1` was in the log once"),
    ] {
        plimsoll.write(file, &export.to_string());
        plimsoll.run(&["audit", "verify", "--heads", file]).exits(1).prints(told).prints("1 broken");
    }
    plimsoll.run(&["audit", "verify"]).exits(0);
    plimsoll.write("nothing.json", "{}");
    plimsoll
        .run(&["audit", "verify", "--heads", "nothing.json"])
        .exits(2)
        .says("it names no event")
        .says("events -o json");
    plimsoll.run(&["audit", "verify", "--heads", "none.json"]).exits(2).says("cannot be read");
}
