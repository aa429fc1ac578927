//! The store contract on DynamoDB, as three independent servers understand it, and what only DynamoDB owes.

use plimsoll::aws::{DynamoStore, Setting, SettingOutcome};
use plimsoll::ports::StoreError;
use plimsoll::ports::store::{Expect, Key, Store};
use serde_json::Map;

use super::store::{Deviation, store_contract};
use crate::peers::Peer;

/// What moto does differently from DynamoDB.
const OF_MOTO: &[Deviation] = &[
    // DynamoDB limits the item that results (Developer Guide, "Quotas": item size).
    Deviation {
        claim: "the_largest_body_is_written_over",
        reason: "moto adds the size of an update's values to the size of what they replace, and refuses the sum",
    },
    // Seen as a lost increment in two runs of three. DynamoDB serialises the writes of an item.
    Deviation {
        claim: "concurrent_increments_lose_nothing",
        reason: "moto checks a condition and writes in two steps, on as many threads as there are requests, without a lock",
    },
    Deviation {
        claim: "of_many_creations_one_wins",
        reason: "moto checks a condition and writes in two steps, on as many threads as there are requests, without a lock",
    },
];

async fn keeps_the_contract(peer: &Peer, deviations: &[Deviation]) -> Vec<(Setting, SettingOutcome)> {
    let (one, other) = (peer.connection().store("plimsoll"), peer.connection().store("plimsoll"));
    let settings = one.create_table().await.unwrap();
    store_contract(&one, &other, deviations).await;
    settings
}

#[tokio::test]
async fn dynamodb_as_ministack_keeps_the_contract() {
    let peer = Peer::ministack().await;
    let settings = keeps_the_contract(&peer, &[]).await;
    assert!(settings.iter().all(|(_, outcome)| *outcome == SettingOutcome::Set), "{settings:?}");
}

#[tokio::test]
async fn dynamodb_as_moto_keeps_the_contract() {
    let peer = Peer::moto().await;
    let settings = keeps_the_contract(&peer, OF_MOTO).await;
    assert!(settings.iter().all(|(_, outcome)| *outcome == SettingOutcome::Set), "{settings:?}");
}

#[tokio::test]
async fn dynamodb_as_dynalite_keeps_the_contract() {
    let peer = Peer::dynalite().await;
    let settings = keeps_the_contract(&peer, &[]).await;
    assert_eq!(settings[0], (Setting::Table, SettingOutcome::Set));
    eprintln!("{settings:?}");
}

#[tokio::test]
async fn making_the_table_twice_changes_nothing() {
    let peer = Peer::ministack().await;
    let store = peer.connection().store("plimsoll");
    store.create_table().await.unwrap();
    let key = Key::new("cfg#head", "a");
    store.put(&key, &Map::new(), Expect::Absent, None).await.unwrap();
    let again = store.create_table().await.unwrap();
    assert!(again.iter().all(|(_, outcome)| *outcome == SettingOutcome::Kept), "{again:?}");
    assert!(store.get(&[key]).await.unwrap()[0].is_some());
}

async fn every_operation(store: &DynamoStore) -> [Result<(), StoreError>; 4] {
    let key = Key::new("cfg#head", "a");
    [
        store.get(std::slice::from_ref(&key)).await.map(drop),
        store.query("cfg#head", "", None).await.map(drop),
        store.put(&key, &Map::new(), Expect::Absent, None).await.map(drop),
        store.delete(&key, Expect::Any).await,
    ]
}

#[tokio::test]
async fn without_a_table_the_store_is_missing() {
    let peer = Peer::ministack().await;
    for outcome in every_operation(&peer.connection().store("nobody")).await {
        match outcome {
            Err(StoreError::Missing { store, message }) => {
                assert_eq!(store, "dynamodb://nobody");
                assert!(message.contains("plimsoll store init"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
}
