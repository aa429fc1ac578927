//! moto.
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::documents;
use super::fleet::Fleet;
use super::policies::SWIFT;
use super::run::Loop;
use crate::peers::Peer;

#[tokio::test]
async fn what_never_lands_is_no_success() {
    let peer = Peer::moto().await;
    let store = peer.connection().store("plimsoll");
    store.create_table().await.unwrap();
    let mut fleet = Fleet::empty(&peer).await;
    let documents: Vec<_> = documents::own()
        .into_iter()
        .filter(|document| ["the-same-name-twice.json", "linked-containers.json"].contains(&document.file.as_str()))
        .collect();
    fleet.tasks = 0;
    fleet.deploy(&documents).await;
    println!("{:?}", fleet.refused);
    let mut run = Loop::on(&peer, Arc::new(store), &SWIFT.replace("1h", "2m")).await;
    for deployed in &fleet.services {
        println!(
            "{}",
            fleet
                .call("UpdateService", json!({"cluster": deployed.cluster, "service": deployed.arn, "desiredCount": 2}))
                .await
                .unwrap()
        );
    }
    println!("{:#?}", run.runs(Duration::from_secs(1000)).await);
    println!("{:#?}", run.ecs.writes());
    println!("{:#?}", run.campaigns().await);
}
