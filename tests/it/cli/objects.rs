//! What people write goes in, comes out the same, and goes away again.

use super::{POLICIES, Plimsoll};

#[test]
fn what_is_applied_can_be_listed_described_and_deleted() {
    let plimsoll = Plimsoll::with_store();
    plimsoll.write("policies/all.yaml", POLICIES);
    let first = plimsoll.run(&["apply", "-f", "policies"]).exits(0);
    assert_eq!(first.stdout.lines().filter(|line| line.ends_with(" created")).count(), 4, "{first:?}");
    let first = first.prints("policy/no-host-pid created").prints("rolloutstrategy/gentle created");
    assert!(first.stderr.contains("what this changes in the fleet cannot be told now"), "{first:?}");
    plimsoll.run(&["apply", "-f", "policies"]).exits(0).prints("binding/enforce-all unchanged");
    let list = plimsoll.run(&["get", "policies", "-o", "json"]).exits(0).json();
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&"List".into(), 2));
    assert_eq!(list["items"][0]["metadata"]["generation"], 1);
    plimsoll.run(&["get", "policy", "no-root", "-o", "name"]).exits(0).prints("policy/no-root\n");
    plimsoll.run(&["get", "policies"]).exits(0).prints("NAME");
    plimsoll.run(&["describe", "policy", "no-host-pid"]).exits(0).prints("named by 1 binding: enforce-all");
    plimsoll.run(&["delete", "policy", "no-root"]).exits(0).prints("policy/no-root deleted");
    plimsoll.run(&["get", "policy", "no-root"]).exits(2).says("there is no policy `no-root`");
    plimsoll.run(&["delete", "policy", "no-root"]).exits(2).says("nothing was deleted");
}

#[test]
fn what_get_prints_can_be_applied_again() {
    let plimsoll = Plimsoll::with_store();
    plimsoll.write("all.yaml", POLICIES);
    plimsoll.run(&["apply", "-f", "all.yaml"]).exits(0);
    let yaml = plimsoll.run(&["get", "policies", "-o", "yaml"]).exits(0).stdout;
    let again = plimsoll.run_with(&["apply", "-f", "-"], &yaml).exits(0);
    assert!(again.stdout.lines().all(|line| line.ends_with(" unchanged")), "{again:?}");
}

#[test]
fn a_dry_run_stores_nothing() {
    let plimsoll = Plimsoll::with_store();
    plimsoll.write("all.yaml", POLICIES);
    plimsoll.run(&["apply", "-f", "all.yaml", "--dry-run"]).exits(0).prints("policy/no-root created (dry run)");
    assert_eq!(plimsoll.run(&["get", "policies", "-o", "name"]).exits(0).stdout, "");
}

#[test]
fn pruning_removes_what_was_applied_under_the_name_and_is_gone_and_never_a_freeze() {
    let plimsoll = Plimsoll::with_store();
    let freeze = "---\napiVersion: plimsoll/v1\nkind: Freeze\nmetadata: { name: stop }\nspec: { reason: peak }\n";
    plimsoll.write("all.yaml", &format!("{POLICIES}{freeze}"));
    plimsoll.run(&["apply", "-f", "all.yaml", "--set", "base"]).exits(0);
    let (first, _) = POLICIES.split_once("---\n").unwrap();
    plimsoll.write("all.yaml", first);
    let pruned = plimsoll.run(&["apply", "-f", "all.yaml", "--set", "base", "--prune", "-o", "json"]).exits(0).json();
    let gone = pruned["items"].as_array().unwrap().iter().filter(|item| item["outcome"] == "pruned").count();
    assert_eq!(gone, 3, "{pruned}");
    plimsoll.run(&["get", "freeze", "stop"]).exits(0);
    plimsoll.run(&["apply", "-f", "all.yaml", "--prune"]).exits(2).says("--set");
}

#[test]
fn what_another_object_needs_cannot_be_deleted() {
    let plimsoll = Plimsoll::with_store();
    plimsoll.write("all.yaml", POLICIES);
    plimsoll.run(&["apply", "-f", "all.yaml"]).exits(0);
    plimsoll.run(&["delete", "rolloutstrategy", "gentle"]).exits(2).says("gentle").says("nothing was deleted");
    plimsoll.run(&["get", "rolloutstrategy", "gentle"]).exits(0);
}

#[test]
fn a_freeze_needs_no_controller() {
    let plimsoll = Plimsoll::with_store();
    let scope = "cluster=prod-*,tags.env=prod";
    plimsoll
        .run(&["freeze", "peak", "--scope", scope, "--reason", "peak season"])
        .exits(0)
        .prints("freeze/peak created");
    let freeze = plimsoll.run(&["get", "freeze", "peak", "-o", "json"]).exits(0).json();
    assert_eq!(freeze["spec"]["scope"]["include"]["clusters"][0], "prod-*");
    assert_eq!(freeze["spec"]["scope"]["include"]["tags"]["env"][0], "prod");
    plimsoll.run(&["unfreeze", "peak"]).exits(0);
    plimsoll.run(&["unfreeze", "peak"]).exits(2);
    plimsoll.run(&["freeze", "Peak_1", "--reason", "x"]).exits(2);
    plimsoll.run(&["freeze", "peak", "--reason", "x", "--until", "2020-01-01T00:00:00Z"]).exits(2).says("has passed");
}

/// A Freeze of before that was kept is shown without a name.
#[test]
fn who_froze_waived_applied_and_deleted_is_told_also_of_what_is_gone() {
    let plimsoll = Plimsoll::with_store();
    plimsoll.write("all.yaml", POLICIES);
    plimsoll.run(&["apply", "-f", "all.yaml"]).exits(0);
    plimsoll.run(&["freeze", "peak", "--reason", "peak season"]).exits(0);
    let freeze = plimsoll.run(&["get", "freeze", "peak", "-o", "json"]).exits(0).json();
    let by = freeze["metadata"]["updatedBy"].as_str().unwrap().to_owned();
    assert!(by.starts_with("tester"), "{by}");
    plimsoll.run(&["get", "freezes"]).exits(0).prints(&by);
    plimsoll.run(&["describe", "freeze", "peak"]).exits(0).prints(&format!("updatedBy: {by}"));
    let policy = plimsoll.run(&["get", "policy", "no-root", "-o", "json"]).exits(0).json();
    assert_eq!(policy["metadata"]["updatedBy"], by);
    plimsoll.run(&["unfreeze", "peak"]).exits(0);
    let told = plimsoll.run(&["events", "--for", "Freeze/peak", "-o", "json"]).exits(0).json();
    let told: Vec<_> = told["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (&event["what"], &event["message"], &event["by"]))
        .collect();
    let by = &serde_json::Value::from(by);
    let (created, deleted) = ("Freeze/peak created: peak season".into(), "Freeze/peak deleted".into());
    assert_eq!(told, [(&"Created".into(), &created, by), (&"Deleted".into(), &deleted, by)]);
    plimsoll.run(&["events"]).exits(0).prints("2 policies created").prints("Freeze/peak deleted");
    plimsoll.run(&["events", "--for", "policy/no-root", "-o", "name"]).exits(0).prints("Configuration/policy");
    plimsoll.run(&["audit", "verify"]).exits(0).prints("3 events in 2 chains, 0 broken");
}

#[test]
fn whoever_has_no_name_has_a_number() {
    let mut plimsoll = Plimsoll::with_store();
    plimsoll.set("USER", "");
    plimsoll.run(&["freeze", "peak", "--reason", "peak season"]).exits(0);
    let freeze = plimsoll.run(&["get", "freeze", "peak", "-o", "json"]).exits(0).json();
    let by = freeze["metadata"]["updatedBy"].as_str().unwrap();
    let number = by.strip_prefix("uid-").unwrap_or_else(|| panic!("{by}"));
    assert!(number.starts_with(|first: char| first.is_ascii_digit()), "{by}");
}

#[test]
fn making_the_store_twice_is_making_it_once() {
    let plimsoll = Plimsoll::new();
    plimsoll.run(&["store", "init"]).exits(0).prints("file:plimsoll.db created");
    plimsoll.run(&["store", "init"]).exits(0).prints("file:plimsoll.db unchanged");
}
