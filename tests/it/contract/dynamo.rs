//! The store contract on DynamoDB, as three independent servers understand it, and what only DynamoDB owes.

use std::io::{Read, Write};
use std::net::TcpStream;

use plimsoll::aws::{DynamoStore, Setting, SettingOutcome, SettingState};
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

/// What moto accepts in an UpdateTable and does not show in a DescribeTable.
const FORGOTTEN_BY_MOTO: &[Setting] = &[Setting::Encryption];

async fn keeps_the_contract(peer: &Peer, deviations: &[Deviation]) -> Vec<(Setting, SettingOutcome)> {
    let (one, other) = (peer.connection().store("plimsoll"), peer.connection().store("plimsoll"));
    let settings = one.create_table().await.unwrap();
    let forgets = if peer.is("moto_server") { FORGOTTEN_BY_MOTO } else { &[] };
    says_what_was_set(&one, &settings, forgets).await;
    let again = one.create_table().await.unwrap();
    let changed =
        again.iter().filter(|(setting, outcome)| *outcome == SettingOutcome::Set && !forgets.contains(setting));
    assert_eq!(changed.collect::<Vec<_>>(), Vec::<&(Setting, SettingOutcome)>::new());
    store_contract(&one, &other, deviations).await;
    settings
}

/// What was set is on; what could not be is off, or cannot be told.
async fn says_what_was_set(store: &DynamoStore, made: &[(Setting, SettingOutcome)], forgets: &[Setting]) {
    let states = store.settings().await.unwrap();
    for (setting, state) in states.into_iter().filter(|(setting, _)| !forgets.contains(setting)) {
        let (_, outcome) = made.iter().find(|(of, _)| *of == setting).unwrap();
        match outcome {
            SettingOutcome::Set | SettingOutcome::Kept => assert_eq!(state, SettingState::On, "{setting:?}"),
            SettingOutcome::Failed { .. } => assert_ne!(state, SettingState::On, "{setting:?}"),
        }
    }
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

/// An awsJson POST, nothing of ours in between.
#[track_caller]
pub(crate) fn by_somebody_else(peer: &Peer, operation: &str, body: &str) {
    let address = peer.endpoint().strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.0\r\n\
         x-amz-target: DynamoDB_20120810.{operation}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=a/20261122/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{operation} {body}: {answer}");
}

#[tokio::test]
async fn what_has_drifted_is_seen_and_set_again_but_for_capacity_that_somebody_bought() {
    let peer = Peer::moto().await;
    let store = peer.connection().store("plimsoll");
    store.create_table().await.unwrap();
    // By somebody else, with another tool.
    let dynamodb = |operation: &str, body: &str| by_somebody_else(&peer, operation, body);
    dynamodb("UpdateTable", r#"{"TableName":"plimsoll","DeletionProtectionEnabled":false}"#);
    dynamodb(
        "UpdateContinuousBackups",
        r#"{"TableName":"plimsoll","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":false}}"#,
    );
    dynamodb(
        "UpdateTable",
        r#"{"TableName":"plimsoll","BillingMode":"PROVISIONED","ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}}"#,
    );
    let off = |states: Vec<(Setting, SettingState)>| -> Vec<Setting> {
        states.into_iter().filter(|(_, state)| *state == SettingState::Off).map(|(setting, _)| setting).collect()
    };
    let (forgotten, drifted) = (Setting::Encryption, [Setting::PointInTimeRecovery, Setting::DeletionProtection]);
    let states = off(store.settings().await.unwrap());
    assert_eq!(states, [Setting::Capacity, drifted[0], forgotten, drifted[1]]);
    let again = store.create_table().await.unwrap();
    let set = again.iter().filter(|(_, outcome)| *outcome == SettingOutcome::Set).map(|(setting, _)| *setting);
    assert_eq!(set.collect::<Vec<_>>(), [drifted[0], forgotten, drifted[1]]);
    let capacity = again.iter().find(|(setting, _)| *setting == Setting::Capacity).unwrap();
    assert!(
        matches!(&capacity.1, SettingOutcome::Failed { message } if message.contains("left alone")),
        "{capacity:?}"
    );
    assert_eq!(off(store.settings().await.unwrap()), [Setting::Capacity, forgotten]);
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
