//! The documents of `deploy/iam`, in force: everybody can do what is theirs, and nothing else.

use std::sync::Arc;

use serde_json::{Value, json};

use super::gate::Gate;
use super::iam::Document;
use crate::cli::fleet::{self, Sim};
use crate::cli::{Plimsoll, Run};
use crate::peers::Peer;

const POLICY: &str = "apiVersion: plimsoll/v1\nkind: Policy\nmetadata: { name: p }\nspec: { title: t, description: d, severity: low, resource: Service, checks: [{ name: c, require: 'true', message: m }] }\n";
const WAIVER: &str = "apiVersion: plimsoll/v1\nkind: Waiver\nmetadata: { name: w }\nspec: { policies: [p], owner: me, reason: because, expiresAt: 2999-01-01T00:00:00Z, longerThanAYear: a test }\n";
const TARGET: &str = "apiVersion: plimsoll/v1\nkind: Target\nmetadata: { name: t }\nspec: { account: '123456789012', region: eu-west-1 }\n";
const SERVICE: &str = "arn:aws:ecs:eu-west-1:123456789012:service/prod/web";

const POLICIES: &str = r#"apiVersion: plimsoll/v1
kind: Policy
metadata: { name: no-host-pid }
spec:
  title: no host process namespace
  description: why
  severity: high
  resource: TaskDefinition
  checks:
    - name: pid-mode
      require: "taskDefinition.?pidMode.orValue('') != 'host'"
      message: the task shares the process namespace of its host
      fix: [{ edits: [{ remove: /pidMode }] }]
---
apiVersion: plimsoll/v1
kind: RolloutStrategy
metadata: { name: quick }
spec:
  waves: [{ size: rest }]
  maxAffected: "100%"
  health: { progressTimeout: 60s, steadyFor: 1s }
---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: enforce-all }
spec: { policies: [no-host-pid], enforcement: enforce, strategy: quick }
"#;

/// A fleet, a table, and a gate before both.
struct Stage {
    plimsoll: Arc<Plimsoll>,
    gate: Gate,
    _table: Peer,
    _sim: Sim,
}

impl Stage {
    async fn new() -> Self {
        let definition = |family: &str, pid: Value| {
            json!({
                "family": family, "networkMode": "bridge", "requiresCompatibilities": ["EC2"], "pidMode": pid,
                "taskRoleArn": "arn:aws:iam::123456789012:role/web", "tags": [{ "key": "team", "value": "web" }],
                "containerDefinitions": [{ "name": "app", "image": "app:1.0", "essential": true, "memory": 128 }]
            })
        };
        let definitions = [definition("web", "host".into()), definition("api", "task".into())];
        let (mut plimsoll, sim) = fleet::with_definitions(&definitions, &[("web", "web"), ("api", "api")], POLICIES);
        let table = Peer::dynalite().await;
        table.connection().store("plimsoll").create_table().await.unwrap();
        let address = |url: &str| url.trim_start_matches("http://").parse().unwrap();
        let gate = Gate::before(address(&table.endpoint()), address(&plimsoll.get("AWS_ENDPOINT_URL"))).await;
        plimsoll.set("AWS_ENDPOINT_URL", &gate.endpoint());
        plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
        plimsoll.write("policy.yaml", POLICY);
        plimsoll.write("waiver.yaml", WAIVER);
        plimsoll.write("target.yaml", TARGET);
        Self { plimsoll: Arc::new(plimsoll), gate, _table: table, _sim: sim }
    }

    async fn run(&self, arguments: &str) -> Run {
        let plimsoll = Arc::clone(&self.plimsoll);
        let arguments: Vec<String> = arguments.split(' ').map(ToOwned::to_owned).collect();
        let run = move || plimsoll.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}

/// A command, the document that allows it besides looking, and the partition that it writes to.
fn commands() -> Vec<(String, &'static str, &'static str)> {
    let inbox = "cmd#123456789012/eu-west-1";
    vec![
        ("apply -f policy.yaml".to_owned(), "author", "cfg#policy"),
        ("apply -f target.yaml".to_owned(), "author", "cfg#policy"),
        ("delete target t".to_owned(), "author", "cfg#policy"),
        ("apply -f waiver.yaml".to_owned(), "waive", "cfg#waiver"),
        ("delete waiver w".to_owned(), "waive", "cfg#waiver"),
        ("freeze stop --reason incident".to_owned(), "freeze", "cfg#freeze"),
        ("unfreeze stop".to_owned(), "freeze", "cfg#freeze"),
        (format!("hold add {SERVICE} --for 1h --reason release"), "approve", inbox),
        (format!("hold release {SERVICE}"), "approve", inbox),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_is_for_those_whose_it_is() {
    let stage = Stage::new().await;
    for (command, document, partition) in commands() {
        for other in ["author", "waive", "freeze", "approve"].into_iter().filter(|other| *other != document) {
            stage.gate.grants(&["look", "observe", other]);
            stage.run(&command).await.exits(2).says("not authorized to perform: dynamodb:UpdateItem");
            assert_eq!(stage.gate.denied(), ["dynamodb:UpdateItem"], "{command} with {other}");
        }
        let before = stage.gate.written();
        stage.gate.grants(&["look", "observe", document]);
        stage.run(&command).await.exits(0);
        assert_eq!(stage.gate.denied(), [""; 0], "{command}");
        let written = stage.gate.written();
        assert!(written.contains(&partition.to_owned()), "{command}: {written:?}");
        assert!(written.iter().all(|key| before.contains(key) || key == partition), "{command}: {written:?}");
    }
    // Whoever only looks can look.
    stage.gate.grants(&["look", "observe"]);
    for command in
        ["get policies", "get waivers", "get services", "rollout list", "hold list", "events", "audit verify"]
    {
        stage.run(command).await.exits(0);
    }
    assert_eq!(stage.gate.denied(), [""; 0]);
    stage.gate.grants(&["freeze"]);
    stage.run("get policies").await.exits(2);
}

/// `CHECK: STATUS MESSAGE` of what `doctor` says of ECS's rights, and the statements that it says are missing.
async fn diagnosed(stage: &Stage) -> (Vec<String>, Vec<Value>) {
    let report = stage.run("doctor -o json").await.json();
    let line = |check: &Value| {
        let text = |member: &str| check[member].as_str().unwrap().to_owned();
        format!("{}: {} {}", text("check"), text("status"), text("message"))
    };
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["area"] == "permission").map(line);
    (checks.collect(), report["policy"]["Statement"].as_array().cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_narrowed_to_some_clusters_is_not_called_missing() {
    let stage = Stage::new().await;
    stage.gate.grants(&["look", "observe", "author"]);
    stage.run("apply -f policies").await.exits(0);
    let role = ["record", "observe", "alarms", "targets", "enforce"];
    let of = |checks: &[String], name: &str| {
        let prefix = format!("{name}: ");
        checks.iter().find_map(|line| line.strip_prefix(&prefix)).unwrap().to_owned()
    };
    let in_a_cluster = ["UpdateService", "StopServiceDeployment", "TagResource", "UntagResource"];

    stage.gate.grants_in("prod", &role);
    let (checks, missing) = diagnosed(&stage).await;
    for action in in_a_cluster {
        let told = of(&checks, &format!("ecs:{action}"));
        assert!(told.starts_with("ok granted on some resources: not denied in cluster `prod`"), "{action}: {told}");
    }
    // Those could be told only by changing the cluster: no statement, for it would widen a role that is right.
    for action in ["UpdateCluster", "UpdateClusterSettings"] {
        let told = of(&checks, &format!("ecs:{action}"));
        let said = "notChecked denied where nothing is; could be told only by changing a cluster";
        assert!(told.starts_with(said), "{action}: {told}");
    }
    let bad = checks.iter().any(|line| line.contains(": wrong ") || line.contains(": unknown "));
    assert!(!bad && missing.is_empty(), "{checks:#?}\n{missing:#?}");

    stage.gate.grants_in("dev-*", &role);
    let (checks, _) = diagnosed(&stage).await;
    for action in in_a_cluster {
        let told = of(&checks, &format!("ecs:{action}"));
        assert!(told.starts_with("wrong denied: in every cluster there is (`prod`): "), "{action}: {told}");
    }
    // Where nothing shows that the role is narrowed to a cluster that is there, they may be missing.
    for action in ["UpdateCluster", "UpdateClusterSettings"] {
        let told = of(&checks, &format!("ecs:{action}"));
        assert!(told.starts_with("unknown denied where nothing is: either missing, or granted"), "{action}: {told}");
    }

    stage.gate.grants(&role);
    let (checks, missing) = diagnosed(&stage).await;
    assert!(missing.is_empty() && !checks.iter().any(|line| line.contains("denied where")), "{checks:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_that_doctor_prints_is_that_of_the_document() {
    let stage = Stage::new().await;
    stage.gate.grants(&["look", "observe"]);
    let (_, missing) = diagnosed(&stage).await;
    let printed = missing.iter().find(|statement| statement["Action"][0] == "dynamodb:UpdateItem").unwrap();
    let document = Document::named("record");
    let written = document.statements().find(|statement| statement["Sid"] == "WriteWhatTheControllerKeeps").unwrap();
    assert_eq!(printed["Action"], written["Action"]);
    assert_eq!(printed["Condition"], written["Condition"]);
    assert_eq!(printed["Resource"], json!([written["Resource"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controllers_role_is_enough_to_fix_a_fleet_and_that_of_audit_changes_none() {
    let stage = Stage::new().await;
    stage.gate.grants(&["look", "observe", "author"]);
    stage.run("apply -f policies").await.exits(0);
    let until_settled = "controller --until-settled --poll 1s --lease 5s --standalone 1s --settle-timeout 20s";
    let audit = ["record", "observe", "alarms", "targets"];

    stage.gate.grants(&audit);
    stage.run(until_settled).await.exits(1);
    // What was tried was refused and says so; nothing of the record was.
    assert_eq!(stage.gate.denied(), ["ecs:RegisterTaskDefinition"]);
    assert_eq!(stage.run("plan -o json").await.json()["summary"]["compliant"], 1);
    stage.run("rollout status quick-1").await.prints("not authorized to perform: ecs:RegisterTaskDefinition");

    stage.gate.grants(&["look", "approve"]);
    stage.run("rollout retry quick-1").await.exits(0);
    let enforce = [&audit[..], &["enforce"]].concat();
    stage.gate.grants(&enforce);
    stage.run(until_settled).await.exits(0);
    assert_eq!(stage.run("plan -o json").await.json()["summary"]["compliant"], 2);
    assert_eq!(stage.gate.denied(), [""; 0]);

    // Back again: what was registered is deregistered.
    stage.gate.grants(&["look", "approve"]);
    stage.run("rollout undo quick-2").await.exits(0);
    stage.gate.grants(&enforce);
    stage.run(until_settled).await.exits(1);
    assert_eq!(stage.run("plan -o json").await.json()["summary"]["compliant"], 1);
    assert_eq!(stage.gate.denied(), [""; 0]);
    let used = stage.gate.used();
    for action in ["RegisterTaskDefinition", "UpdateService", "DeregisterTaskDefinition", "TagResource"] {
        assert!(used.contains(&format!("ecs:{action}")), "{action}: {used:?}");
    }
    assert!(used.contains(&"iam:PassRole".to_owned()), "{used:?}");
}
