//! The JSON Schemas that are shipped: what the types say, by another program's judgement.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{FILE, against_schema, hostile, judged, shipped};
use crate::cli::fleet::with;
use crate::cli::{POLICIES, Plimsoll, repository};

fn yaml(schema: &Path, files: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut arguments = vec!["yaml".to_owned(), schema.display().to_string()];
    arguments.extend_from_slice(files);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    serde_json::from_value(judged(&arguments, "")).unwrap()
}

fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn what_is_shipped_is_what_the_types_say() {
    let plimsoll = Plimsoll::new();
    plimsoll.run(&["explain", "--schemas", "made"]).exits(0);
    let read = |folder: &Path| -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let schemas = entries.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
        let pair = |path: std::path::PathBuf| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap())
        };
        schemas.map(pair).collect()
    };
    let (made, shipped) = (read(&plimsoll.path("made")), read(&repository().join("deploy/schemas")));
    assert_eq!(made.keys().collect::<Vec<_>>(), shipped.keys().collect::<Vec<_>>(), "run `make schemas`");
    for (name, text) in &made {
        assert!(*text == shipped[name], "deploy/schemas/{name} is not what the types say: run `make schemas`");
    }
}

#[test]
fn every_file_of_the_catalogue_and_every_kind_holds_to_the_schema_for_editors() {
    let mut all = Vec::new();
    files(&repository().join("policies"), &mut all);
    all.push(repository().join("tests/fixtures/manifests/every-kind.yaml").display().to_string());
    assert!(all.len() > 40, "{all:?}");
    let found = yaml(&shipped("plimsoll"), &all);
    assert_eq!(found.len(), all.len());
    for (file, faults) in found {
        assert_eq!(faults, [""; 0], "{file}");
    }
}

#[test]
fn wrong_files_do_not() {
    let plimsoll = Plimsoll::new();
    let good =
        "apiVersion: plimsoll/v1\nkind: Binding\nmetadata: { name: a }\nspec: { policies: [a], enforcement: audit }\n";
    let wrong = [
        ("a.yaml", good.replace("Binding", "Bindng"), "'Bindng' is not one of"),
        ("b.yaml", good.replace("audit }", "audits }"), "'audits' is not"),
        ("c.yaml", good.replace("policies:", "policy:"), "'policy' was unexpected"),
        ("d.yaml", good.replace("[a]", "a"), "'a' is not of type 'array'"),
        ("e.yaml", good.replace("metadata: { name: a }\n", ""), "'metadata' is a required property"),
        ("f.yaml", good.replace("v1", "v2"), "'plimsoll/v1' was expected"),
        // The second document of a file counts too.
        ("g.yaml", format!("{good}---\n{}", good.replace("spec:", "specs:")), "'spec' is a required property"),
    ];
    let names: Vec<String> = wrong
        .iter()
        .map(|(name, text, _)| {
            plimsoll.write(name, text);
            plimsoll.path(name).display().to_string()
        })
        .collect();
    let found = yaml(&shipped("plimsoll"), &names);
    for (name, (_, _, told)) in names.iter().zip(&wrong) {
        assert!(found[name].iter().any(|fault| fault.contains(told)), "{name}: {:?}", found[name]);
    }
    // The command and the schema agree.
    for (name, ..) in &wrong {
        plimsoll.run(&["apply", "-f", name]).exits(2);
    }
}

#[test]
fn test_files_hold_to_theirs_and_wrong_ones_do_not() {
    let plimsoll = Plimsoll::new();
    let good = "policy: p\nname: n\ngiven: {}\nexpect: pass\n";
    plimsoll.write("one.yaml", good);
    plimsoll.write("list.yaml", &format!("- {}\n", good.trim_end().replace('\n', "\n  ")));
    plimsoll.write("wrong.yaml", &good.replace("expect: pass", "expects: pass"));
    let names: Vec<String> =
        ["list.yaml", "one.yaml", "wrong.yaml"].iter().map(|name| plimsoll.path(name).display().to_string()).collect();
    let found: Vec<bool> = yaml(&shipped("PolicyTest"), &names).values().map(Vec::is_empty).collect();
    assert_eq!(found, [true, true, false]);
}

/// Each output against the schema of its kind. A validator that would find nothing wrong with anything shows itself.
#[track_caller]
fn hold(outputs: Vec<Value>) {
    let mut by_kind: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for output in outputs {
        by_kind
            .entry(output["kind"].as_str().unwrap_or_else(|| panic!("{output}")).to_owned())
            .or_default()
            .push(output);
    }
    for (kind, mut outputs) in by_kind {
        let mut broken = outputs[0].clone();
        broken["apiVersion"] = json!("plimsoll/v0");
        outputs.push(broken);
        let mut found = against_schema(&shipped(&kind).display().to_string(), &outputs);
        assert!(!found.pop().unwrap().is_empty(), "the schema of {kind} admits anything");
        for (faults, output) in found.iter().zip(&outputs) {
            assert_eq!(faults, &[""; 0], "{kind}: {output:#}");
        }
    }
}

#[test]
fn what_offline_commands_print_holds_to_the_schemas() {
    let plimsoll = hostile();
    plimsoll.write("bad.yaml", "apiVersion: plimsoll/v1\nkind: Polcy\n");
    plimsoll.write(
        "tests/a.test.yaml",
        "policy: critical-fails\nname: n\ngiven: { pidMode: host }\nexpect: fail\nfixed: { pidMode: task }\n",
    );
    let printed = |arguments: &[&str], code| plimsoll.run(&[arguments, &["-o", "json"]].concat()).exits(code).json();
    hold(vec![
        printed(&["check", FILE], 1),
        printed(&["fix", FILE], 1),
        printed(&["test"], 0),
        printed(&["test", "policies", "tests"], 1),
        printed(&["version"], 0),
        printed(&["explain", "functions"], 0),
        printed(&["explain", "variables"], 0),
        printed(&["explain", "reasons"], 0),
        printed(&["explain", "metrics"], 0),
        printed(&["probe", "http://127.0.0.1:1/healthz"], 1),
        plimsoll.run(&["apply", "-f", "bad.yaml", "-o", "json"]).exits(2).error_json(),
        plimsoll.run(&["check", "missing.json", "-o", "json"]).exits(2).error_json(),
    ]);
}

#[test]
fn what_commands_on_a_fleet_print_holds_to_the_schemas() {
    let quick =
        POLICIES.replace("bake: 1m }, { size: rest }]", "bake: 1s }, { size: rest }], health: { steadyFor: 1s }");
    assert_ne!(quick, POLICIES);
    let (plimsoll, _sim) = with(&quick);
    let freeze = "apiVersion: plimsoll/v1\nkind: Freeze\nmetadata: { name: f }\nspec: { scope: { include: { clusters: [nowhere] } }, reason: r }\n";
    let waiver = "apiVersion: plimsoll/v1\nkind: Waiver\nmetadata: { name: w }\nspec: { policies: [no-root], owner: o, reason: r, expiresAt: 2999-01-01T00:00:00Z, longerThanAYear: for ever }\n";
    plimsoll.write("more.yaml", &format!("{freeze}---\n{waiver}"));
    let run = |arguments: &[&str], codes: &[i32]| {
        let run = plimsoll.run(&[arguments, &["-o", "json"]].concat());
        assert!(codes.contains(&run.code), "{run:#?}");
        run.json()
    };
    let mut outputs = vec![
        run(&["store", "init"], &[0]),
        run(&["apply", "-f", "policies", "-f", "more.yaml", "--dry-run"], &[0]),
        run(&["apply", "-f", "policies", "-f", "more.yaml"], &[0]),
        run(&["plan", "--standalone", "--out", "plan.json"], &[1]),
        run(&["apply-plan", "plan.json"], &[0]),
    ];
    plimsoll.run(&["controller", "--until-settled", "--poll", "1s", "--settle-timeout", "60s"]).exits(0);
    outputs.push(run(&["rollout", "pause", "gentle-1"], &[1]));
    let service = "arn:aws:ecs:eu-west-1:123456789012:service/prod/web";
    for arguments in [
        &["rollout", "list"][..],
        &["rollout", "status", "gentle-1"],
        &["rollout", "history", "gentle-1"],
        &["describe", "service", service],
        &["describe", "rollout", "gentle-1"],
        &["events"],
        &["audit", "verify"],
        &["plan"],
    ] {
        outputs.push(run(arguments, &[0, 1]));
    }
    for kind in [
        "policies",
        "bindings",
        "waivers",
        "freezes",
        "rolloutstrategies",
        "targets",
        "rollouts",
        "changes",
        "holds",
        "services",
        "findings",
        "clusters",
        "events",
        "leases",
    ] {
        let list = run(&["get", kind], &[0]);
        assert_eq!(list["kind"], "List");
        outputs.extend(list["items"].as_array().unwrap().iter().cloned());
        outputs.push(list);
    }
    outputs.push(run(&["delete", "freeze", "f"], &[0]));
    for kind in [
        "Rollout",
        "Change",
        "ServiceReport",
        "Event",
        "Finding",
        "ClusterReport",
        "Lease",
        "Policy",
        "Waiver",
        "Plan",
        "Command",
        "ServiceDescription",
    ] {
        assert!(outputs.iter().any(|output| output["kind"] == kind), "no {kind} was printed");
    }
    let outside = |output: &Value| output["kind"] == "Finding" && output["standalone"].is_object();
    assert!(outputs.iter().any(outside), "nothing outside of services was printed");
    hold(outputs);
}
