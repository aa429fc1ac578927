//! The same journey on servers that nobody here wrote: ministack for ECS, STS and the DynamoDB store.

use serde_json::json;

use super::process::{Process, address_of};
use super::wire::Ecs;
use super::{ENFORCED, UNTIL_SETTLED, fleet};
use crate::cli::{Plimsoll, repository};
use crate::peers::Peer;

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_on_ministack_with_its_records_in_dynamodb() {
    let peer = Peer::ministack().await;
    let ecs = Ecs(address_of(&peer.endpoint()), "a");
    for step in fleet::steps() {
        ecs.call(step["operation"].as_str().unwrap(), step["input"].clone());
    }
    let mut plimsoll = Plimsoll::new();
    plimsoll.set("AWS_ENDPOINT_URL", &peer.endpoint());
    plimsoll.set("AWS_REGION", "us-east-1");
    plimsoll.set("AWS_ACCESS_KEY_ID", "test");
    plimsoll.set("AWS_SECRET_ACCESS_KEY", "test");
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://fleet-records");
    plimsoll.write("mine.yaml", ENFORCED);

    plimsoll.run(&["get", "policies"]).exits(2).says("plimsoll store init");
    plimsoll.run(&["store", "init"]).exits(0);
    plimsoll.run(&["store", "init"]).exits(0);
    let policies = repository().join("policies");
    plimsoll.run(&["apply", "-f", policies.to_str().unwrap(), "-f", "mine.yaml"]).exits(0).prints("4 to change");
    plimsoll.run(&["plan"]).exits(1).prints("- /pidMode \"host\"");
    let run = || Process::start(plimsoll.command(&UNTIL_SETTLED)).end();
    run().exits(0);
    fleet::is_fixed(&ecs);
    let before = looks(&ecs);
    run().exits(0);
    assert_eq!(looks(&ecs), before, "the second run writes nothing");
    plimsoll.run(&["plan"]).exits(0);
    plimsoll.run(&["rollout", "status", "quick-1"]).exits(0).prints("Succeeded").prints("web:2");
    plimsoll.run(&["audit", "verify"]).exits(0).prints("0 broken");
}

/// All that a write would change: services with their deployments and tags, and every revision.
fn looks(ecs: &Ecs) -> serde_json::Value {
    let mut services: Vec<_> = ["prod", "dev"].into_iter().flat_map(|cluster| ecs.services(cluster)).collect();
    for service in &mut services {
        // What the server tells of itself, and grows for ever.
        service["events"].take();
    }
    json!({ "services": services, "definitions": ecs.definitions() })
}
