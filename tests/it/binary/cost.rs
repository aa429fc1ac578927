//! What a look at a fleet costs in calls, as the endpoint itself counts them, against the formula that the fleet benchmark
//! holds it to (`benches/fleet/calls.py`). No test asserts a time.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use super::process::{Process, address_of};
use super::wire::Ecs;
use crate::cli::{Plimsoll, repository};

/// Larger than a page of a listing in one cluster, and not a multiple of anything.
const SERVICES: &str = "313";

/// Services of each cluster, and how many revisions they run.
fn fleet(ecs: &Ecs) -> (Vec<usize>, usize) {
    let clusters = ecs.call("ListClusters", json!({}))["clusterArns"].take();
    let (mut sizes, mut revisions) = (Vec::new(), BTreeSet::new());
    for cluster in clusters.as_array().unwrap() {
        let (mut names, mut input) = (Vec::new(), json!({ "cluster": cluster, "maxResults": 100 }));
        loop {
            let mut page = ecs.call("ListServices", input.clone());
            names.extend(page["serviceArns"].as_array().unwrap().iter().cloned());
            match page["nextToken"].take() {
                Value::Null => break,
                token => input["nextToken"] = token,
            }
        }
        sizes.push(names.len());
        for batch in names.chunks(10) {
            let found = ecs.call("DescribeServices", json!({ "cluster": cluster, "services": batch }));
            for service in found["services"].as_array().unwrap() {
                let deployments = service["deployments"].as_array().unwrap();
                let named = deployments.iter().chain([service]).map(|one| &one["taskDefinition"]);
                revisions.extend(named.filter_map(Value::as_str).map(ToOwned::to_owned));
            }
        }
    }
    (sizes, revisions.len())
}

#[test]
fn a_look_at_a_fleet_takes_the_calls_of_the_formula_and_no_other() {
    let mut plimsoll = Plimsoll::with_store();
    let sim = ["sim", "--listen", "127.0.0.1:0", "--services", SERVICES, "--document-bytes", "5300"];
    let mut sim = Process::start(plimsoll.command(&sim));
    let address = address_of(&sim.first_line());
    let ecs = Ecs(address, "a");
    let (sizes, revisions) = fleet(&ecs);
    let asked_by_us = ecs.counts();
    plimsoll.set("AWS_ENDPOINT_URL", &format!("http://{address}"));
    plimsoll.set("AWS_REGION", "eu-west-1");
    plimsoll.set("AWS_ACCESS_KEY_ID", "a");
    plimsoll.set("AWS_SECRET_ACCESS_KEY", "b");
    // Otherwise it would take the half minute that half of ECS's rates allow.
    plimsoll.set("PLIMSOLL_BUDGET", "off");
    let policies = repository().join("policies/security-hub");
    plimsoll.run(&["apply", "-o", "name", "-f", policies.to_str().unwrap()]).exits(0);
    plimsoll.run(&["plan", "-o", "name"]).exits(1).says("not kept within a share");
    let after = ecs.counts();

    let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    let mut formula = Command::new("python3");
    formula.arg(repository().join("benches/fleet/calls.py")).args([sizes.join(","), revisions.to_string()]);
    let formula: Value = serde_json::from_slice(&formula.output().unwrap().stdout).unwrap();
    for (operation, after) in after["operations"].as_object().unwrap() {
        let of = |count: &Value| count["calls"].as_u64().unwrap_or(0);
        let expected = if operation == "GetCallerIdentity" { 1 } else { of(&json!({ "calls": formula[operation] })) };
        assert_eq!(of(after) - of(&asked_by_us["operations"][operation]), expected, "{operation}: {after}");
        assert_eq!((&after["throttled"], &after["refused"]), (&json!(0), &json!(0)), "{operation}");
    }
    assert!(formula.as_object().unwrap().keys().all(|operation| after["operations"].get(operation).is_some()));
    let described = &after["operations"]["DescribeTaskDefinition"];
    let each = described["bytes"].as_u64().unwrap() / described["calls"].as_u64().unwrap();
    assert!((5_300..7_000).contains(&each), "{each} bytes a revision");
}

/// It once throttled at a hundredth of that.
#[test]
fn an_endpoint_that_throttles_has_ecs_s_buckets() {
    let plimsoll = Plimsoll::with_store();
    let mut sim = Process::start(plimsoll.command(&["sim", "--listen", "127.0.0.1:0", "--throttle"]));
    let ecs = Ecs(address_of(&sim.first_line()), "a");
    let container = json!({ "name": "app", "image": "app:1", "memory": 128 });
    // The smallest bucket of those that plimsoll needs: 20 calls, and one more each second (ecs-facts §4.2).
    for number in 1..=20 {
        let input = json!({ "family": "burst", "containerDefinitions": [container] });
        assert_eq!(ecs.call("RegisterTaskDefinition", input)["taskDefinition"]["revision"], number);
    }
}

#[test]
fn a_budget_in_the_environment_is_off_or_not_there() {
    let mut plimsoll = Plimsoll::with_store();
    plimsoll.set("AWS_REGION", "eu-west-1");
    plimsoll.set("AWS_ACCESS_KEY_ID", "a");
    plimsoll.set("AWS_SECRET_ACCESS_KEY", "b");
    plimsoll.set("PLIMSOLL_BUDGET", "90");
    let sim = ["sim", "--listen", "127.0.0.1:0"];
    let mut sim = Process::start(plimsoll.command(&sim));
    plimsoll.set("AWS_ENDPOINT_URL", &format!("http://{}", address_of(&sim.first_line())));
    let policies = repository().join("policies/security-hub");
    plimsoll.run(&["apply", "-o", "name", "-f", policies.to_str().unwrap()]).exits(0);
    plimsoll.run(&["plan"]).exits(2).says("PLIMSOLL_BUDGET can only be `off`");
}
