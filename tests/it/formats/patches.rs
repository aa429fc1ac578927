//! `plan --patches`: the patch, applied by another program to what ECS described, gives the corrected input.

use serde_json::{Value, json};

use super::judged;
use crate::cli::fleet::{with, with_definitions};

const POLICIES: &str = r#"apiVersion: plimsoll/v1
kind: Policy
metadata: { name: secrets-move }
spec:
  title: t
  severity: high
  resource: TaskDefinition
  checks:
    - name: token
      forEach: /containerDefinitions/*/environment/*
      as: [container, variable]
      require: "variable.name != 'TOKEN'"
      message: m
      fix:
        - edits:
            - { append: /secrets, on: container, key: name, value: { name: TOKEN, valueFrom: "arn:aws:ssm:eu-west-1:123456789012:parameter/t" } }
            - { remove: "", on: variable }
---
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: no-host-pid }
spec:
  title: t
  severity: high
  resource: TaskDefinition
  checks: [{ name: pid, require: "taskDefinition.?pidMode.orValue('') != 'host'", message: m, fix: [{ edits: [{ set: /pidMode, value: task }] }] }]
---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: all }
spec: { policies: ["*"], enforcement: enforce }
"#;

/// A revision with a secret in it.
fn definition(family: &str, port: u16) -> Value {
    json!({
        "family": family, "pidMode": "host", "networkMode": "bridge", "requiresCompatibilities": ["EC2"], "memory": "512",
        "containerDefinitions": [{
            "name": "app", "image": "app:1.0", "user": "1000", "essential": true, "memory": 128,
            "portMappings": [{ "containerPort": port }], "command": ["CANARY"],
            "environment": [{ "name": "MODE", "value": "CANARY" }, { "name": "TOKEN", "value": "CANARY" }, { "name": "PORT", "value": "1" }],
        }],
        "tags": [{ "key": "team", "value": "a" }]
    })
}

#[test]
fn a_patch_makes_the_corrected_input_and_fits_no_other_document() {
    let good = json!({ "family": "good", "memory": "512", "containerDefinitions": [{ "name": "app", "image": "app:1.0", "user": "1" }] });
    let definitions = [definition("web", 80), definition("job", 81), good];
    let services = [("one", "web"), ("two", "web"), ("three", "job"), ("four", "good")];
    let (plimsoll, _sim) = with_definitions(&definitions, &services, POLICIES);
    plimsoll.write("patches/web.json", "left from before, for everybody to read");
    let allow =
        ["--allow-edit", "/containerDefinitions/*/environment", "--allow-edit", "/containerDefinitions/*/secrets"];
    let run = plimsoll.run(&[&["plan", "-f", "policies", "--patches", "patches"][..], &allow].concat()).exits(1);
    assert!(!run.stdout.contains("CANARY") && !run.stderr.contains("CANARY"), "{run:#?}");
    run.says("job.patch.json: job:1 of prod/three").says("web.patch.json: web:1 of prod/").says("its mode is 0600");
    for (family, port) in [("web", 80), ("job", 81)] {
        let text = plimsoll.read(&format!("patches/{family}.patch.json"));
        assert!(!text.contains("CANARY"), "a patch tells no secret: {text}");
        let patch: Value = serde_json::from_str(&text).unwrap();
        let wanted: Value = serde_json::from_str(&plimsoll.read(&format!("patches/{family}.json"))).unwrap();
        let container = &wanted["containerDefinitions"][0];
        assert_eq!(container["portMappings"][0]["containerPort"], port);
        assert_eq!((&container["command"], &wanted["pidMode"]), (&json!(["CANARY"]), &json!("task")), "it is whole");

        // What was registered, with what the simulated ECS fills in.
        let mut before = wanted.clone();
        before["pidMode"] = json!("host");
        let container = &mut before["containerDefinitions"][0];
        container.as_object_mut().unwrap().shift_remove("secrets");
        container["environment"] = definition(family, port)["containerDefinitions"][0]["environment"].clone();
        let answer = judged(&["patch"], &json!({ "document": before, "patch": patch }).to_string());
        assert_eq!(answer["document"], wanted, "{patch:#}");

        let mut other = before.clone();
        other["containerDefinitions"][0]["environment"][1]["name"] = json!("ELSE");
        let answer = judged(&["patch"], &json!({ "document": other, "patch": patch }).to_string());
        assert!(answer["error"].as_str().unwrap().contains("TestFailed"), "{answer}");
        #[cfg(unix)]
        for name in [format!("patches/{family}.json"), format!("patches/{family}.patch.json")] {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(plimsoll.path(&name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
    assert_eq!(std::fs::read_dir(plimsoll.path("patches")).unwrap().count(), 4, "none for what complies");
}

#[test]
fn without_anything_to_change_there_is_nothing_to_patch() {
    let (plimsoll, _sim) = with(&POLICIES.replace("enforcement: enforce", "enforcement: audit"));
    plimsoll.run(&["plan", "-f", "policies", "--patches", "patches"]).exits(0).says("there is nothing to patch");
}
