//! Help, pipes, colours, completion.

use std::io::Read;
use std::process::Stdio;

use super::{Plimsoll, repository};

#[track_caller]
pub(crate) fn snapshot(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("cli-{name}"), text);
    });
}

#[test]
fn help_reads_as_it_did() {
    let plimsoll = Plimsoll::new();
    snapshot("help", &plimsoll.run(&["-h"]).exits(0).stdout);
    for verb in ["apply", "plan", "check", "fix", "test", "explain", "controller", "demo", "freeze", "sim"] {
        snapshot(&format!("help-{verb}"), &plimsoll.run(&[verb, "-h"]).exits(0).stdout);
    }
    snapshot("help-rollout", &plimsoll.run(&["rollout", "-h"]).exits(0).stdout);
}

#[test]
fn every_reason_can_be_explained() {
    let plimsoll = Plimsoll::new();
    snapshot("explain-reasons", &plimsoll.run(&["explain", "reasons"]).exits(0).stdout);
    plimsoll
        .run(&["explain", "FamilyAhead"])
        .exits(0)
        .prints("FamilyAhead: The family has a newer ACTIVE revision than the one that runs.")
        .prints("do: deploy the family's newest revision, or deregister it");
    let one = plimsoll.run(&["explain", "Held", "-o", "json"]).exits(0).json();
    assert_eq!(one["items"][0]["code"], "Held");
}

#[test]
fn every_verb_of_the_contract_has_help() {
    let plimsoll = Plimsoll::new();
    let verbs = "demo controller apply apply-plan delete get describe explain plan rollout hold freeze unfreeze events audit check fix test sim store doctor probe completion version";
    for verb in verbs.split(' ') {
        plimsoll.run(&[verb, "--help"]).exits(0).prints("Usage: plimsoll");
    }
    plimsoll.run(&[]).exits(2);
    plimsoll.run(&["--version"]).exits(0).prints("plimsoll 0.");
    let version = plimsoll.run(&["version", "-o", "json"]).exits(0).json();
    let platform = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    assert_eq!((&version["kind"], &version["platform"]), (&"Version".into(), &platform.as_str().into()));
    // Known where it was built with it, and never a guess.
    assert_eq!(version["revision"].as_str(), option_env!("PLIMSOLL_REVISION"));
    plimsoll.run(&["version"]).exits(0).prints(&platform).prints(version["build"].as_str().unwrap());
    plimsoll.run(&["completion", "bash"]).exits(0).prints("_plimsoll()");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let plimsoll = Plimsoll::new();
    // More than any pipe holds.
    let mut child = plimsoll.command(&["completion", "zsh"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(child.wait().unwrap().success(), "{stderr}");
    assert_eq!(stderr, "");
}

#[test]
fn nothing_is_coloured_where_nobody_watches() {
    let mut plimsoll = Plimsoll::with_store();
    plimsoll.write("bad.yaml", "apiVersion: plimsoll/v1\nkind: Polcy\n");
    let folder = repository().join("policies").display().to_string();
    for no_color in ["", "1"] {
        plimsoll.set("NO_COLOR", no_color);
        let runs = [
            plimsoll.run(&["apply", "-f", "bad.yaml"]),
            plimsoll.run(&["get", "policies"]),
            plimsoll.run(&["test", &folder]),
            plimsoll.run(&["-h"]),
        ];
        for run in runs {
            assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "{run:#?}");
        }
    }
}

#[test]
fn kinds_and_fields_are_explained() {
    let plimsoll = Plimsoll::new();
    plimsoll.run(&["explain", "Policy.spec.checks.require"]).exits(0).prints("Policy.spec.checks.require <string>");
    plimsoll.run(&["explain", "functions"]).exits(0).prints("isFargate(service)");
    plimsoll.run(&["explain", "variables"]).exits(0).prints("TaskDefinition    service");
    plimsoll.run(&["explain", "tests"]).exits(0).prints(".test.yaml").prints("policy <string>, required");
    plimsoll.run(&["explain"]).exits(2);
    assert_eq!(plimsoll.run(&["explain", "Binding", "-o", "json"]).exits(0).json()["title"], "Binding");
}

#[test]
fn what_is_recorded_is_explained_like_what_is_written() {
    let plimsoll = Plimsoll::new();
    for (what, said) in [
        ("rollout", "Rollout <object>"),
        ("holds", "A fix that stays off a resource."),
        ("Hold.spec.until", "When it ends by itself."),
        ("event.by", "Who asked"),
    ] {
        plimsoll.run(&["explain", what]).exits(0).prints(said);
    }
    plimsoll.run(&["explain", "hold.nothing"]).exits(2).says("there is no field `hold.nothing`");
    plimsoll
        .run(&["explain", "boat"])
        .exits(2)
        .says("there is nothing called `boat` to explain")
        .says("Rollout, Change, Hold");
    assert_eq!(plimsoll.run(&["explain", "hold", "-o", "json"]).exits(0).json()["title"], "Hold");
    let metrics = plimsoll.run(&["explain", "metrics", "-o", "json"]).exits(0).json();
    let metrics = metrics["items"].as_array().unwrap().clone();
    let of = |name: &str| metrics.iter().find(|metric| metric["name"] == name).unwrap().clone();
    assert!(of("plimsoll_findings")["labels"]["severity"].as_array().unwrap().contains(&"critical".into()));
    assert_eq!(of("plimsoll_build_info")["type"], "gauge");
}

/// Every verb that takes `-o name` or `json` by its help has it.
#[test]
fn formats_that_are_offered_are_there() {
    let plimsoll = Plimsoll::with_store();
    plimsoll.run(&["freeze", "stop", "--reason", "an incident"]).exits(0);
    assert_eq!(plimsoll.run(&["describe", "freezes", "stop", "-o", "name"]).exits(0).stdout, "freeze/stop\n");
    let probe = plimsoll.run(&["probe", "http://127.0.0.1:1/healthz", "-o", "json"]).exits(1).json();
    assert_eq!((&probe["kind"], &probe["healthy"]), (&"ProbeReport".into(), &false.into()));
    assert!(probe["why"].as_str().unwrap().contains("refused"), "{probe}");
}

#[test]
fn a_mistake_is_told_with_what_is_missing_and_nothing_else() {
    let plimsoll = Plimsoll::new();
    let missing = plimsoll.run(&["get"]).exits(2).says("<KIND>").says("Usage: plimsoll get <KIND> [NAME]");
    // The store is named by the environment here, which is no part of what has to be typed.
    assert!(!missing.stderr.contains("--store"), "{missing:#?}");
    plimsoll.run(&["get", "policies"]).exits(2).says("there is no store at `file:plimsoll.db`");
    plimsoll.run(&["check", "."]).exits(2).says("name the files in it").says("folders are for -f");
}
