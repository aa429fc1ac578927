//! Anything anybody may do to a service, in any order: what holds all the same.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::WorldConfig;
use super::stage::Stage;

#[derive(Debug, Clone)]
enum Act {
    Deploy(usize),
    Force,
    Stop,
    Scale(u64),
    Configure(Value),
    KillTask,
    Ring(bool),
    Deregister(usize),
    Wait(u64),
}

const EFFECTS: usize = 6;

fn acts() -> impl Strategy<Value = Act> {
    let breaker = |enable: bool, rollback: bool| json!({ "deploymentCircuitBreaker": { "enable": enable, "rollback": rollback } });
    let configurations = prop_oneof![
        (any::<bool>(), any::<bool>()).prop_map(move |(enable, rollback)| breaker(enable, rollback)),
        (0_u64..=100, 100_u64..=200)
            .prop_map(|(low, high)| json!({ "minimumHealthyPercent": low, "maximumPercent": high })),
        prop_oneof![Just("ROLLING"), Just("BLUE_GREEN"), Just("CANARY")].prop_map(|one| json!({ "strategy": one })),
        Just(json!({ "alarms": { "enable": true, "rollback": true, "alarmNames": ["a"] } })),
        Just(
            json!({ "lifecycleHooks": [{ "targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP", "POST_SCALE_UP"] }] })
        ),
    ];
    prop_oneof![
        3 => (0..EFFECTS).prop_map(Act::Deploy),
        1 => Just(Act::Force),
        2 => Just(Act::Stop),
        1 => (0_u64..6).prop_map(Act::Scale),
        2 => configurations.prop_map(Act::Configure),
        1 => Just(Act::KillTask),
        1 => any::<bool>().prop_map(Act::Ring),
        1 => (0..EFFECTS).prop_map(Act::Deregister),
        4 => (1_u64..400).prop_map(Act::Wait),
    ]
}

fn set_up(seed: u64) -> (Stage, Vec<String>) {
    let mut stage = Stage::with(WorldConfig { seed, throttle_percent: 0, ..WorldConfig::default() });
    let effects = ["", "crashOnStart", "neverHealthy", "stuckProvisioning"].map(|effect| json!(effect));
    let later = [json!({ "crashAfter": "90s" }), json!({ "failHealthAfter": "4m" })];
    let mut arns = Vec::new();
    for (number, effect) in effects.into_iter().chain(later).enumerate() {
        if effect != "" {
            let when = json!([{ "pointer": "/containerDefinitions/0/hostname", "equals": format!("h{number}") }]);
            stage.misbehave(json!({ "family": "web", "when": when, "effect": effect }));
        }
        arns.push(stage.register("web", |input| {
            input["containerDefinitions"][0]["hostname"] = json!(format!("h{number}"));
            input["containerDefinitions"][0]["healthCheck"] = json!({ "command": ["CMD", "true"] });
        }));
    }
    stage.ok(
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "web", "taskDefinition": arns[0], "desiredCount": 3,
        }),
    );
    (stage, arns)
}

fn perform(stage: &mut Stage, arns: &[String], act: &Act) {
    let update = |members: Value| {
        let mut input = json!({ "cluster": "prod", "service": "web" });
        input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        input
    };
    // What ECS refuses here it refuses rightly: an inactive revision, a deployment that has ended.
    match act {
        Act::Deploy(number) => drop(stage.call("UpdateService", update(json!({ "taskDefinition": arns[*number] })))),
        Act::Force => drop(stage.call("UpdateService", update(json!({ "forceNewDeployment": true })))),
        Act::Scale(count) => drop(stage.ok("UpdateService", update(json!({ "desiredCount": count })))),
        Act::Configure(value) => drop(stage.ok("UpdateService", update(json!({ "deploymentConfiguration": value })))),
        Act::Stop => {
            let arn = stage.service()["currentServiceDeployment"].take();
            drop(stage.call("StopServiceDeployment", json!({ "serviceDeploymentArn": arn })));
        }
        Act::KillTask => {
            if let Some(task) = stage.tasks("RUNNING").first() {
                stage.world.kill_task(task["taskArn"].as_str().unwrap(), "SpotInterruption", "gone");
            }
        }
        Act::Ring(on) => stage.world.ring("a", *on),
        Act::Deregister(number) => {
            drop(stage.ok("DeregisterTaskDefinition", json!({ "taskDefinition": arns[*number] })))
        }
        Act::Wait(seconds) => stage.pass(*seconds),
    }
}

const TERMINAL: [&str; 4] = ["SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"];

fn records(stage: &mut Stage) -> Vec<Value> {
    let query = json!({ "cluster": "prod", "service": "web", "maxResults": 100 });
    stage.ok("ListServiceDeployments", query)["serviceDeployments"].as_array().unwrap().clone()
}

/// What holds at every moment.
fn check(stage: &mut Stage) -> Result<(), TestCaseError> {
    let service = stage.service();
    let deployments = service["deployments"].as_array().unwrap();
    prop_assert_eq!(&deployments[0]["status"], "PRIMARY");
    prop_assert!(deployments[1..].iter().all(|one| one["status"] == "ACTIVE"));
    prop_assert_eq!(&service["taskDefinition"], &deployments[0]["taskDefinition"]);
    let sum = |member: &str| deployments.iter().map(|one| one[member].as_u64().unwrap()).sum::<u64>();
    prop_assert_eq!(service["runningCount"].as_u64(), Some(sum("runningCount")));
    prop_assert_eq!(service["pendingCount"].as_u64(), Some(sum("pendingCount")));
    let ids: Vec<&Value> = deployments.iter().map(|one| &one["id"]).collect();
    for task in stage.tasks("RUNNING") {
        prop_assert!(ids.contains(&&task["startedBy"]), "a task of no deployment: {}", task);
    }
    let open = records(stage).iter().filter(|one| !TERMINAL.contains(&one["status"].as_str().unwrap())).count();
    prop_assert!(open <= 1, "{} service deployments are open at once", open);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_deployment_ends_or_says_why_not(
        seed: u64, script in proptest::collection::vec(acts(), 1..24),
    ) {
        let (mut stage, arns) = set_up(seed);
        for act in &script {
            perform(&mut stage, &arns, act);
            check(&mut stage)?;
        }
        stage.pass(2 * 86_400);
        check(&mut stage)?;
        let service = stage.service();
        for record in records(&mut stage).iter().filter(|one| !TERMINAL.contains(&one["status"].as_str().unwrap())) {
            let current = &service["deployments"][0];
            let failing = current["failedTasks"] != 0;
            // Crashing or being sick later resets the count; being stuck never raises it.
            let sick = arns[1..].iter().any(|arn| current["taskDefinition"] == json!(arn));
            let no_room = stage.heard("because of the service deployment configuration");
            prop_assert!(record.get("statusReason").is_some() || failing || sick || no_room, "{} {}", record, current);
        }
    }
}

#[test]
fn a_world_at_rest_has_nothing_to_do() {
    let mut world = super::super::fleet::demo_fleet(60, 1);
    world.advance(world.now() + std::time::Duration::from_secs(2 * 3600));
    assert_eq!(world.next_event(), None, "an idle fleet costs nothing to simulate");
}
