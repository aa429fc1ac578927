//! `plan` and `apply` against the simulated endpoint, through the SDK and HTTP.

use std::io::{BufRead, BufReader};
use std::process::Child;

use serde_json::{Value, json};

use super::{POLICIES, Plimsoll};

/// A simulated endpoint in a process of its own; ended when dropped.
pub(crate) struct Sim(Child);

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A family that shares its host's processes, or does not. Every value that may be a secret says so.
fn definition(family: &str, pid: Option<&str>) -> Value {
    let mut input = json!({
        "family": family, "networkMode": "bridge", "requiresCompatibilities": ["EC2"], "memory": "512",
        "containerDefinitions": [{
            "name": "app", "image": "app:1.0", "user": "1000", "essential": true, "memory": 128,
            "command": ["--password", "CANARY"], "environment": [{ "name": "TOKEN", "value": "CANARY" }],
            "dockerLabels": { "token": "CANARY" }
        }]
    });
    if let Some(pid) = pid {
        input["pidMode"] = json!(pid);
    }
    input
}

/// These revisions, and services of a cluster `prod` by name and revision; `policies` in a folder of that name.
pub(crate) fn with_definitions(definitions: &[Value], services: &[(&str, &str)], policies: &str) -> (Plimsoll, Sim) {
    let mut steps = vec![json!({ "operation": "CreateCluster", "input": { "clusterName": "prod" } })];
    steps.extend(definitions.iter().map(|input| json!({ "operation": "RegisterTaskDefinition", "input": input })));
    steps.extend(services.iter().map(|(name, revision)| {
        json!({ "operation": "CreateService", "input": {
            "cluster": "prod", "serviceName": name, "taskDefinition": revision, "desiredCount": 1, "launchType": "EC2"
        } })
    }));
    let mut plimsoll = Plimsoll::with_store();
    plimsoll.write("fleet.json", &json!({ "start": "2026-11-23T09:00:00Z", "steps": steps }).to_string());
    plimsoll.write("policies/all.yaml", policies);
    // Otherwise a rollout would take the minutes that it takes on ECS.
    let arguments = ["sim", "--listen", "127.0.0.1:0", "--fleet", "fleet.json", "--speed", "60"];
    let mut child = plimsoll.command(&arguments).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let sim = Sim(child);
    assert!(address.starts_with("http://127.0.0.1:"), "{address:?}");
    plimsoll.set("AWS_ENDPOINT_URL", address.trim());
    plimsoll.set("AWS_REGION", "eu-west-1");
    plimsoll.set("AWS_ACCESS_KEY_ID", "a");
    plimsoll.set("AWS_SECRET_ACCESS_KEY", "b");
    (plimsoll, sim)
}

/// Two services, one that shares its host's processes and one that does not, and a family that none uses.
pub(crate) fn with(policies: &str) -> (Plimsoll, Sim) {
    let definitions = [definition("web", Some("host")), definition("api", None), definition("spare", Some("host"))];
    with_definitions(&definitions, &[("web", "web"), ("api", "api")], policies)
}

fn with_fleet() -> (Plimsoll, Sim) {
    with(POLICIES)
}

#[test]
fn a_plan_says_what_would_change_and_why_the_rest_would_not() {
    let (plimsoll, _sim) = with_fleet();
    plimsoll.run(&["apply", "-f", "policies"]).exits(0).prints("2 services: 1 to change, 1 compliant");
    let run = plimsoll.run(&["plan", "-o", "json", "--out", "plan.json", "--patches", "patches"]).exits(1);
    let plan = run.json();
    assert_eq!(
        plan["summary"],
        json!({ "services": 2, "change": 1, "compliant": 1, "blocked": 0, "deferred": 0, "waived": 0, "audit": 0, "unknown": 0 })
    );
    let web = plan["services"].as_array().unwrap().iter().find(|one| one["outcome"] == "change").unwrap();
    assert_eq!(web["service"], "arn:aws:ecs:eu-west-1:123456789012:service/prod/web");
    assert_eq!(
        (&web["enforcement"], &web["wave"], &web["policies"][0]),
        (&"enforce".into(), &1.into(), &"no-host-pid".into())
    );
    let diff = &web["diff"][0];
    assert_eq!(
        (&diff["document"], &diff["op"], &diff["path"], &diff["from"]),
        (&"taskDefinition".into(), &"remove".into(), &"/pidMode".into(), &"host".into())
    );
    assert_eq!(plan["waves"][0]["services"][0], web["service"]);
    assert_eq!((&plan["cost"]["registerTaskDefinition"], &plan["cost"]["updateService"]), (&1.into(), &1.into()));
    let file: Value = serde_json::from_str(&plimsoll.read("plan.json")).unwrap();
    assert_eq!(file, plan);
    let patch: Value = serde_json::from_str(&plimsoll.read("patches/web.patch.json")).unwrap();
    assert_eq!(
        patch,
        json!([{ "op": "test", "path": "/pidMode", "value": "host" }, { "op": "remove", "path": "/pidMode" }])
    );
    let input: Value = serde_json::from_str(&plimsoll.read("patches/web.json")).unwrap();
    assert_eq!((&input["pidMode"], &input["containerDefinitions"][0]["command"][1]), (&Value::Null, &"CANARY".into()));
}

#[test]
fn a_plan_says_which_fix_the_first_wave_does_not_try() {
    let shares_memory = |family: &str| {
        let mut input = definition(family, None);
        input["ipcMode"] = json!("host");
        input
    };
    let definitions = [definition("web", Some("host")), shares_memory("api"), shares_memory("job")];
    let waves = "waves: [{ name: web, where: { services: [web] } }, { name: all, size: rest }]";
    let ipc = POLICIES.split("---").next().unwrap().replace("pid", "ipc").replace("Pid", "Ipc");
    let bound = POLICIES.replace("waves: [{ size: 1, bake: 1m }, { size: rest }]", waves);
    let bound = bound.replace("policies: [no-host-pid]", "policies: [no-host-pid, no-host-ipc]");
    let services = [("web", "web"), ("api", "api"), ("job", "job")];
    let (plimsoll, _sim) = with_definitions(&definitions, &services, &format!("{ipc}---\n{bound}"));
    let plan = plimsoll.run(&["plan", "-f", "policies", "-o", "json"]).exits(1).json();
    let first = &plan["waves"][0];
    assert_eq!((&first["name"], &first["services"].as_array().unwrap().len()), (&json!("web"), &1));
    assert_eq!(
        (&first["uncovered"][0]["policies"], &first["uncovered"][0]["wave"]),
        (&json!(["no-host-ipc"]), &json!("all"))
    );
    assert_eq!(plan["waves"][1].get("uncovered"), None);
    plimsoll.run(&["plan", "-f", "policies"]).exits(1).prints(
        "does not try the fix of no-host-ipc: its `where` matches nothing that needs it; wave all brings it first",
    );
}

#[test]
fn a_plan_can_be_kept_and_asked_for_but_not_edited() {
    let (plimsoll, _sim) = with_fleet();
    plimsoll.run(&["apply", "-f", "policies"]).exits(0);
    plimsoll.run(&["plan", "--out", "plan.json"]).exits(1);
    let again = plimsoll.run(&["plan", "-o", "json"]).exits(1).json();
    let kept: Value = serde_json::from_str(&plimsoll.read("plan.json")).unwrap();
    assert_eq!((&again["id"], &again["digest"]), (&kept["id"], &kept["digest"]), "the same world, the same plan");
    plimsoll
        .run(&["apply-plan", "plan.json"])
        .exits(0)
        .prints(kept["id"].as_str().unwrap())
        .says("no controller has ever worked on 123456789012/eu-west-1; the command waits for one");
    plimsoll.run(&["apply-plan", "plan.json", "--wait"]).exits(2).says("no controller has ever worked");
    plimsoll
        .run(&["apply-plan", "plan.json", "--target", "111111111111/eu-west-1"])
        .exits(2)
        .says("is of 123456789012/eu-west-1");
    plimsoll.write("edited.json", &plimsoll.read("plan.json").replace("\"wave\": 0", "\"wave\": 1"));
    plimsoll
        .run(&["apply-plan", "edited.json"])
        .exits(2)
        .says("it was edited, or cut short: its digest does not match");
    plimsoll.write("other.json", "{}");
    plimsoll.run(&["apply-plan", "other.json"]).exits(2).says("it is not a plan");
    plimsoll.run(&["apply-plan", "none.json"]).exits(2).says("plimsoll plan --out FILE");
    plimsoll.write("policies/all.yaml", &POLICIES.replace("enforcement: enforce", "enforcement: audit"));
    plimsoll.run(&["plan", "-f", "policies", "--out", "audit.json"]).exits(0);
    plimsoll.run(&["apply-plan", "audit.json"]).exits(0).says("there is nothing to ask for");
}

#[test]
fn apply_ends_with_what_it_would_change_and_a_dry_run_stores_nothing() {
    let (plimsoll, _sim) = with_fleet();
    let told = "2 services: 1 to change, 1 compliant\ncost: 1 RegisterTaskDefinition, 1 UpdateService, at least 2m\n";
    let dry = plimsoll
        .run(&["apply", "-f", "policies", "--dry-run"])
        .exits(0)
        .prints("binding/enforce-all created (dry run)");
    assert!(dry.stdout.ends_with(told), "{dry:#?}");
    plimsoll.run(&["get", "policies"]).exits(0).says("no policies found");
    // As if applied: the store stays empty.
    plimsoll.run(&["plan", "-f", "policies"]).exits(1).prints("prod/web  web:1  wave 1  enforce");
    plimsoll.run(&["plan"]).exits(2).says("no policy is in effect");
    let applied = plimsoll.run(&["apply", "-f", "policies"]).exits(0);
    assert!(applied.stdout.ends_with(told), "{applied:#?}");
}

#[test]
fn a_plan_looks_outside_of_services_where_it_is_asked_to() {
    let (plimsoll, _sim) = with_fleet();
    plimsoll
        .write("policies/all.yaml", &POLICIES.replace("enforcement: enforce, strategy: gentle", "enforcement: audit"));
    plimsoll.run(&["apply", "-f", "policies"]).exits(0);
    assert_eq!(plimsoll.run(&["plan", "-o", "json"]).exits(0).json()["standalone"], Value::Null);
    let looked = plimsoll.run(&["plan", "--standalone", "-o", "json"]).exits(0).json();
    let rows = looked["standalone"]["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &looked["standalone"]["gaps"]), (1, &json!([])), "{rows:#?}");
    assert_eq!(rows[0]["resource"], "arn:aws:ecs:eu-west-1:123456789012:task-definition/spare:1");
    assert_eq!((&rows[0]["outcome"], &rows[0]["reason"]["code"]), (&"audit".into(), &"UnusedFamily".into()));
    let wide = plimsoll.run(&["plan", "--standalone", "-o", "wide"]).exits(0);
    wide.prints("outside of services: 1 that do not comply").prints("  spare:1  audit");
    plimsoll.run(&["plan", "--standalone"]).exits(0).prints("1 that do not comply; -o wide lists them");
    plimsoll.run(&["controller", "--until-settled", "--poll", "1s"]).exits(0);
    let found = plimsoll.run(&["get", "findings"]).exits(0);
    found.prints("spare:1 in no service").prints("(UnusedFamily)");
}

#[test]
fn no_value_that_may_be_a_secret_is_in_a_plan() {
    let (plimsoll, _sim) = with_fleet();
    // A fix that takes the whole list away: its old value would be in the diff.
    let greedy = POLICIES.replace("remove: /pidMode", "remove: /containerDefinitions/0/environment");
    let greedy = greedy.replace(
        "taskDefinition.?pidMode.orValue('') != 'host'",
        "!has(taskDefinition.containerDefinitions[0].environment)",
    );
    plimsoll.write("policies/all.yaml", &greedy);
    for arguments in [
        &["plan", "-f", "policies"][..],
        &["plan", "-f", "policies", "-o", "wide"],
        &["plan", "-f", "policies", "-o", "json", "--out", "plan.json", "-vvv"],
    ] {
        let run = plimsoll.run(arguments);
        assert!(run.code < 2 && !run.stdout.contains("CANARY") && !run.stderr.contains("CANARY"), "{run:#?}");
    }
    assert!(!plimsoll.read("plan.json").contains("CANARY"));
}

#[test]
fn nothing_to_do_is_a_yes() {
    let (plimsoll, _sim) = with_fleet();
    plimsoll
        .write("policies/all.yaml", &POLICIES.replace("enforcement: enforce, strategy: gentle", "enforcement: audit"));
    plimsoll.run(&["apply", "-f", "policies"]).exits(0);
    plimsoll.run(&["plan"]).exits(0).prints("audit: 1 service").prints("- /pidMode \"host\"");
    plimsoll.run(&["plan", "--target", "999999999999/eu-west-1"]).exits(2).says("not to `999999999999/eu-west-1`");
}

#[test]
fn a_server_ends_cleanly_when_it_is_told_to() {
    let (_plimsoll, mut sim) = with_fleet();
    let killed = std::process::Command::new("/bin/kill").args(["-TERM", &sim.0.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(sim.0.wait().unwrap().code(), Some(0));
}
