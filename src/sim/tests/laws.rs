//! Laws that hold for every run.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::WorldConfig;
use super::stage::{Stage, start};

fn snapshot(stage: &mut Stage) -> String {
    let services = stage.ok("DescribeServices", json!({ "cluster": "prod", "services": ["web"] }));
    let mut tasks = stage.tasks("RUNNING");
    tasks.extend(stage.tasks("STOPPED"));
    let records = stage.ok("ListServiceDeployments", json!({ "cluster": "prod", "service": "web" }));
    format!("{services}{}{records}", Value::Array(tasks))
}

/// A service is created, moved to a revision that may misbehave, and perhaps stopped by a person.
fn run(seed: u64, effect: &Value, breaker: bool, every: Option<u64>) -> String {
    let mut stage = Stage::with(WorldConfig { seed, throttle_percent: 0, ..WorldConfig::default() });
    let until = |stage: &mut Stage, seconds: u64| {
        if let Some(every) = every {
            let mut at = every;
            while at < seconds {
                stage.world.advance(stage.now + Duration::from_secs(at));
                at += every;
            }
        }
        stage.pass(seconds);
    };
    let check = json!({ "command": ["CMD", "true"] });
    let old = stage.register("web", |input| input["containerDefinitions"][0]["healthCheck"] = check.clone());
    stage.ok(
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "web", "taskDefinition": old, "desiredCount": 3,
            "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": breaker, "rollback": true } },
        }),
    );
    until(&mut stage, 300);
    stage
        .misbehave(json!({ "family": "web", "when": [{ "pointer": "/ipcMode", "equals": "none" }], "effect": effect }));
    let new = stage.register("web", |input| {
        input["ipcMode"] = json!("none");
        input["containerDefinitions"][0]["healthCheck"] = check;
    });
    stage.deploy(&new);
    until(&mut stage, 1800);
    snapshot(&mut stage)
}

fn effects() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!("crashOnStart")),
        Just(json!({ "crashAfter": "20s" })),
        Just(json!("neverHealthy")),
        Just(json!({ "failHealthAfter": "5m" })),
        Just(json!("stuckProvisioning")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn what_the_world_is_does_not_depend_on_how_often_it_was_advanced(
        seed: u64, effect in effects(), breaker: bool, every in 1_u64..200,
    ) {
        prop_assert_eq!(run(seed, &effect, breaker, None), run(seed, &effect, breaker, Some(every)));
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others(seed: u64, effect in effects()) {
        prop_assert_eq!(run(seed, &effect, true, None), run(seed, &effect, true, None));
        prop_assert_ne!(run(seed, &effect, true, None), run(seed.wrapping_add(1), &effect, true, None));
    }

    #[test]
    fn a_deployment_of_healthy_tasks_stays_within_its_percents_and_ends(
        seed: u64, desired in 1_u64..9, minimum in 0_u64..=100, maximum in 100_u64..=200,
    ) {
        let lowest = (desired * minimum).div_ceil(100);
        let highest = desired * maximum / 100;
        let mut stage = Stage::with(WorldConfig { seed, throttle_percent: 0, ..WorldConfig::default() });
        stage.web(u32::try_from(desired).unwrap(), |input| {
            input["deploymentConfiguration"] = json!({ "minimumHealthyPercent": minimum, "maximumPercent": maximum });
        });
        let new = stage.register("web", |_| {});
        let arn = stage.deploy(&new);
        for _ in 0..1200 {
            stage.pass(2);
            let service = stage.service();
            let running = service["runningCount"].as_u64().unwrap();
            let pending = service["pendingCount"].as_u64().unwrap();
            prop_assert!(running + pending <= highest, "{} + {} of {}", running, pending, highest);
            prop_assert!(running >= lowest, "{} of at least {}", running, lowest);
            if stage.record(&arn)["status"] == "SUCCESSFUL" {
                prop_assert!(stage.tasks("RUNNING").iter().all(|task| task["taskDefinitionArn"] == json!(new)));
                return Ok(());
            }
        }
        let stuck = stage.heard("because of the service deployment configuration");
        prop_assert!(stuck && lowest == desired && highest == desired, "it neither ended nor said why not");
    }

    #[test]
    fn reads_do_not_change_what_happens(seed: u64) {
        let mut quiet = Stage::with(WorldConfig { seed, ..WorldConfig::default() });
        let mut watched = Stage::with(WorldConfig { seed, ..WorldConfig::default() });
        for stage in [&mut quiet, &mut watched] {
            stage.web(2, |_| {});
            let new = stage.register("web", |_| {});
            stage.deploy(&new);
        }
        for _ in 0..20 {
            quiet.pass(7);
            watched.pass(7);
            snapshot(&mut watched);
        }
        prop_assert_eq!(snapshot(&mut quiet), snapshot(&mut watched));
    }

    #[test]
    fn lagging_reads_show_exactly_what_was(seed: u64, lag in 1_u64..60, wait in 0_u64..120) {
        let mut prompt = Stage::with(WorldConfig { seed, throttle_percent: 0, ..WorldConfig::default() });
        let mut lagging = Stage::with(WorldConfig { seed, throttle_percent: 0, ..WorldConfig::default() });
        for stage in [&mut prompt, &mut lagging] {
            stage.web(2, |_| {});
        }
        lagging.world.set_read_lag(Duration::from_secs(lag));
        for stage in [&mut prompt, &mut lagging] {
            stage.pass(60);
            let new = stage.register("web", |_| {});
            stage.deploy(&new);
        }
        prompt.pass(wait);
        lagging.pass(wait + lag);
        prop_assert_eq!(snapshot(&mut prompt), snapshot(&mut lagging));
    }
}

#[test]
fn a_lagging_read_does_not_see_what_was_just_written() {
    let mut stage = Stage::new();
    stage.web(1, |_| {});
    stage.world.set_read_lag(Duration::from_secs(10));
    stage.pass(60);
    let new = stage.register("web", |_| {});
    stage.refused("DescribeTaskDefinition", json!({ "taskDefinition": new }));
    let answer = stage.ok("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": new }));
    assert_eq!(answer["service"]["taskDefinition"], json!(new), "the answer to a write is not stale");
    assert_ne!(stage.service()["taskDefinition"], json!(new));
    stage.pass(10);
    assert_eq!(stage.service()["taskDefinition"], json!(new));
}

#[test]
fn time_does_not_go_back() {
    let mut stage = Stage::new();
    stage.pass(100);
    stage.world.advance(start());
    assert_eq!(stage.world.now(), start() + Duration::from_secs(100));
}
