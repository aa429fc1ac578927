//! What a person asks for while a controller runs: undo, hold, release, freeze.

use std::process::Command;

use serde_json::{Value, json};

use super::process::Process;
use super::{Once, Stage, UNTIL_SETTLED, case, eventually, fleet, side_by_side};

/// What a service that was moved a moment ago waits for is the next look at the whole fleet.
const RUNNING: [&str; 5] = ["controller", "--poll", "1s", "--resync", "3s"];

/// A controller in the background, its rollout done.
fn converged(stage: &Stage) -> Process {
    let mut controller = stage.start(&RUNNING);
    controller.says(r#""rollout":"quick-1","phase":"Succeeded""#);
    stage.is_fixed();
    controller
}

#[track_caller]
fn ends(controller: Process) {
    controller.signal("TERM");
    controller.end().exits(0);
}

fn outcome(stage: &Stage, service: &str) -> (String, Value) {
    let plan = stage.plimsoll.run(&["plan", "-o", "json"]).json();
    let services = plan["services"].as_array().unwrap();
    let one = services.iter().find(|one| one["service"].as_str().unwrap().ends_with(service)).unwrap();
    (one["outcome"].as_str().unwrap().to_owned(), one["reason"]["code"].clone())
}

#[test]
fn what_a_person_asks_for_is_done() {
    side_by_side([
        case("an_undone_rollout_stays_undone", an_undone_rollout_stays_undone()),
        case("one_service_is_undone_held_and_released", one_service_is_undone_held_and_released()),
        case(
            "a_freeze_stops_a_rollout_and_lifting_it_lets_it_go_on",
            a_freeze_stops_a_rollout_and_lifting_it_lets_it_go_on(),
        ),
    ]);
}

async fn an_undone_rollout_stays_undone() {
    let stage = Stage::enforced().await;
    let controller = converged(&stage);
    let plimsoll = &stage.plimsoll;
    plimsoll.run(&["rollout", "undo", "quick-1", "--wait"]).exits(0).prints("RolledBack");
    for (cluster, name, revision, tasks) in fleet::FIXED {
        let before = revision.replace(":2", ":1");
        assert_eq!(stage.ecs.running(cluster, name), vec![before; tasks], "{cluster}/{name}");
    }
    ends(controller);
    // Whoever runs a controller next leaves it so, and says why.
    let moves = |stage: &Stage| stage.writes().iter().filter(|(operation, _)| operation == "UpdateService").count();
    let before = moves(&stage);
    let settled = stage.start(&UNTIL_SETTLED).end().exits(1);
    for service in ["prod/web", "prod/web-worker", "prod/api", "dev/jobs"] {
        let told = settled.said.iter().any(|line| line.contains(service) && line.contains("Held"));
        assert!(told, "{service} is not in {settled:#?}");
        assert_eq!(outcome(&stage, service), ("blocked".into(), json!("Held")), "{service}");
    }
    assert_eq!(moves(&stage), before);
    plimsoll.run(&["plan"]).exits(1).prints("held off");
    // Nothing failed: it was wanted back.
    let listed = plimsoll.run(&["rollout", "list"]).exits(0).stdout;
    let row = |name: &str| listed.lines().find(|line| line.starts_with(name)).unwrap();
    let failed = row("NAME").find("FAILED").unwrap();
    assert_eq!(row("quick-1")[failed..].split_whitespace().next(), Some("0"), "{listed}");
    let holds = plimsoll.run(&["hold", "list", "-o", "json"]).exits(0).json();
    assert_eq!(holds["items"].as_array().unwrap().len(), 5, "one a service and fix: {holds:#}");
    // The team deploys again, with the same violation: the fix stays off.
    let web = stage.ecs.call("DescribeTaskDefinition", json!({ "taskDefinition": "web:1" }))["taskDefinition"].clone();
    let again = json!({
        "family": "web", "networkMode": web["networkMode"], "containerDefinitions": web["containerDefinitions"],
        "pidMode": "host", "requiresCompatibilities": ["EC2"]
    });
    let made = stage.ecs.call("RegisterTaskDefinition", again)["taskDefinition"]["taskDefinitionArn"].clone();
    stage.ecs.call("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": made }));
    eventually("the team's deployment is done", || {
        (stage.ecs.running("prod", "web") == ["web:3", "web:3"]
            && fleet::find(&stage.ecs, "prod", "web")["deployments"][0]["rolloutState"] == "COMPLETED")
            .then_some(())
    });
    stage.start(&UNTIL_SETTLED).end().exits(1);
    assert_eq!(stage.ecs.running("prod", "web"), ["web:3", "web:3"]);
    assert_eq!(moves(&stage), before);
    plimsoll.run(&["audit", "verify"]).exits(0).prints("0 broken");
    plimsoll.run(&["events", "--for", "Rollout/quick-1"]).exits(0).prints("RolledBack");
}

async fn one_service_is_undone_held_and_released() {
    let stage = Stage::enforced().await;
    let controller = converged(&stage);
    let plimsoll = &stage.plimsoll;
    plimsoll.run(&["rollout", "undo", "quick-1", "--service", "prod/api", "--wait"]).exits(0);
    assert_eq!(stage.ecs.running("prod", "api"), ["api:1"]);
    assert_eq!(stage.ecs.running("prod", "web"), ["web:2", "web:2"]);
    plimsoll.run(&["hold", "list"]).exits(0).prints("prod/api").prints("security-hub-ecs-4");
    plimsoll.run(&["hold", "release", "prod/api", "--wait"]).exits(0);
    assert_eq!(plimsoll.run(&["hold", "list", "-o", "name"]).exits(0).stdout, "");
    eventually("it is fixed again", || {
        let running = stage.ecs.running("prod", "api");
        (running.len() == 1 && !stage.ecs.definition(&running[0])["containerDefinitions"][0]["privileged"].as_bool()?)
            .then_some(())
    });
    ends(controller);
    stage.start(&UNTIL_SETTLED).end().exits(0);
    plimsoll.run(&["plan"]).exits(0);
}

async fn a_freeze_stops_a_rollout_and_lifting_it_lets_it_go_on() {
    let stage = Stage::enforced().await;
    let plimsoll = &stage.plimsoll;
    // Frozen while the first service is being moved: the controller waits for ECS's answer meanwhile.
    let (frozen, command) = (Once::<()>::default(), freeze(&stage));
    let command = std::sync::Mutex::new(command);
    stage.script(move |request| {
        if request.operation() == "UpdateService" && frozen.set(()).is_ok() {
            assert!(command.lock().unwrap().output().unwrap().status.success());
        }
        None
    });
    let mut controller = stage.start(&RUNNING);
    controller.says(r#""change":"quick-1/00001","#);
    let status = || plimsoll.run(&["rollout", "list", "-o", "json"]).exits(0).json()["items"][0]["status"].clone();
    let status = eventually("the next wave waits for the freeze", || {
        let status = status();
        (status["counts"]["succeeded"] == 1 && status["waiting"]["on"] == "Frozen").then_some(status)
    });
    assert!(status["waiting"]["message"].as_str().unwrap().contains("peak"), "{status:#}");
    let operations: Vec<String> = stage.writes().into_iter().map(|(operation, _)| operation).collect();
    assert_eq!(operations, ["RegisterTaskDefinition", "UpdateService"], "what was in flight, and nothing else");
    assert_eq!(outcome(&stage, "prod/web").1, json!("Frozen"));
    ends(controller);
    let settled = stage.start(&UNTIL_SETTLED).end().exits(1);
    assert!(settled.said.iter().any(|line| line.contains("prod/web") && line.contains("peak")), "{settled:#?}");
    assert_eq!(stage.writes().len(), 2);

    plimsoll.run(&["unfreeze", "peak"]).exits(0);
    stage.start(&UNTIL_SETTLED).end().exits(0);
    stage.is_fixed();
}

fn freeze(stage: &Stage) -> Command {
    stage.plimsoll.command(&["freeze", "peak", "--reason", "peak season"])
}
