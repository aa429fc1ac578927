//! Targets that come and go while the controller runs, and one that belongs to somebody else.

use serde_json::Value;

use super::served::{listening, look};
use super::{Records, Stage, eventually};

fn target(name: &str, account: &str) -> String {
    format!(
        "apiVersion: plimsoll/v1\nkind: Target\nmetadata: {{ name: {name} }}\nspec: {{ account: \"{account}\", region: eu-west-1 }}\n"
    )
}

/// The word that `get targets` has for a target, once it is this one.
fn stands(stage: &Stage, name: &str, state: &str) {
    eventually(&format!("`{name}` is {state}"), || {
        let said = stage.plimsoll.run(&["describe", "target", name, "-o", "json"]);
        let said: Value = serde_json::from_str(&said.stdout).ok()?;
        (said["status"]["conditions"][0]["reason"] == state).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_somebody_elses_is_a_condition_and_others_come_and_go() {
    let stage = Stage::on(Records::File).await;
    let policies = crate::cli::repository().join("policies");
    stage.plimsoll.run(&["apply", "-f", policies.to_str().unwrap()]).exits(0);
    stage.plimsoll.write("theirs.yaml", &target("theirs", "210987654321"));
    stage.plimsoll.write("ours.yaml", &target("ours", "123456789012"));
    stage.plimsoll.write("again.yaml", &target("ours-again", "123456789012"));
    stage.plimsoll.run(&["apply", "-f", "theirs.yaml"]).exits(0);
    let (mut controller, address) = listening(&stage);
    controller.says("the target cannot be reached");
    stands(&stage, "theirs", "WrongTarget");
    let ready = look(address, "/readyz").unwrap();
    assert!(ready.0 == 503 && ready.1.contains("theirs (WrongTarget): cannot be reached"), "{ready:?}");
    let metrics = look(address, "/metrics").unwrap().1;
    assert!(metrics.contains("plimsoll_target_watched{target=\"210987654321/eu-west-1\"} 0"), "{metrics}");
    let told = stage.plimsoll.run(&["describe", "target", "theirs"]).exits(0).stdout;
    // What to do, once, and what helps a Target.
    assert!(told.contains("  do: give its Target the roleArn of a role in that account"), "{told}");
    assert!(!told.contains("choose other credentials"), "{told}");
    // It is watched within five seconds of being stored; the other one stays what it is.
    stage.plimsoll.run(&["apply", "-f", "ours.yaml"]).exits(0);
    stands(&stage, "ours", "Observed");
    let line: Value = serde_json::from_str(&controller.says(r#""message":"fleet""#)).unwrap();
    let span = &line["spans"][0];
    assert_eq!(
        (&span["name"], &span["target_id"]),
        (&"reconcile".into(), &"123456789012/eu-west-1".into()),
        "{line:#}"
    );
    // What it read: a number for each class. No Freeze and no Waiver was applied.
    let generation = span["generation"].as_str().unwrap();
    assert!(generation.starts_with("0.0.") && !generation.ends_with(".0"), "{line:#}");
    assert_eq!((line["spans"].as_array().unwrap().len(), &line["span"]), (1, &Value::Null), "{line:#}");
    eventually("the process is ready", || look(address, "/readyz").filter(|(status, _)| *status == 200));
    let metrics = look(address, "/metrics").unwrap().1;
    assert!(metrics.contains("plimsoll_target_watched{target=\"123456789012/eu-west-1\"} 1"), "{metrics}");
    stage.plimsoll.run(&["apply", "-f", "again.yaml"]).exits(0);
    stands(&stage, "ours-again", "SameTarget");
    let listed = stage.plimsoll.run(&["get", "targets"]).exits(0).stdout;
    for (name, state) in [("theirs", "WrongTarget"), ("ours", "Observed"), ("ours-again", "SameTarget")] {
        assert!(listed.lines().any(|line| line.starts_with(&format!("{name} ")) && line.contains(state)), "{listed}");
    }
    // Its lease is given up at once.
    stage.plimsoll.run(&["delete", "target", "ours-again"]).exits(0);
    stage.plimsoll.run(&["delete", "target", "ours"]).exits(0);
    controller.says("stopping: its Target was changed or deleted");
    eventually("the lease is free", || {
        let leases = stage.plimsoll.run(&["get", "leases", "-o", "json"]).exits(0).stdout;
        let leases: Value = serde_json::from_str(&leases).unwrap();
        let free = |lease: &&Value| lease["spec"]["holder"].is_null();
        leases["items"].as_array().unwrap().iter().any(|lease| free(&lease)).then_some(())
    });
    controller.signal("TERM");
    controller.end().exits(0);
}
