//! Nothing to reach, or no right to: one sentence, a remedy, exit 2.

use super::{POLICIES, Plimsoll, Run};
use crate::fake::{Fake, Reply};

/// Credentials that lead to an endpoint, and the store in DynamoDB.
fn against(endpoint: &str) -> Plimsoll {
    let mut plimsoll = Plimsoll::new();
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
    plimsoll.set("AWS_REGION", "eu-west-1");
    plimsoll.set("AWS_ACCESS_KEY_ID", "a");
    plimsoll.set("AWS_SECRET_ACCESS_KEY", "b");
    plimsoll.set("AWS_ENDPOINT_URL", endpoint);
    plimsoll
}

/// One sentence and its remedy: two lines, no more.
#[track_caller]
fn sentence(run: Run, told: &str) {
    let run = run.exits(2).says(told).says("help:");
    assert_eq!(run.stderr.lines().count(), 2, "{run:#?}");
    assert!(run.stderr.len() < 600, "{run:#?}");
    assert_eq!(run.stdout, "");
}

/// An address where nothing listens: it was free a moment ago.
fn closed() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn no_store_file() {
    sentence(Plimsoll::new().run(&["get", "policies"]), "`plimsoll store init` makes it");
}

#[test]
fn a_file_that_is_no_store() {
    let plimsoll = Plimsoll::new();
    plimsoll.write(
        "plimsoll.db",
        "not a database, but long enough to look like one to whoever reads only its head ................",
    );
    plimsoll.run(&["get", "policies"]).exits(2).says("file:plimsoll.db");
}

#[test]
fn no_region() {
    let mut plimsoll = Plimsoll::new();
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
    sentence(plimsoll.run(&["get", "policies"]), "no AWS region is set");
}

#[test]
fn no_credentials() {
    let mut plimsoll = Plimsoll::new();
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
    plimsoll.set("AWS_REGION", "eu-west-1");
    sentence(plimsoll.run(&["get", "policies"]), "no AWS credentials were found");
    let with_file = Plimsoll::with_store();
    with_file.write("all.yaml", POLICIES);
    with_file.run(&["apply", "-f", "all.yaml"]).exits(0);
    let error = with_file.run(&["plan", "-o", "json"]).exits(2).error_json();
    assert_eq!(error["message"], "no AWS region is set");
}

#[test]
fn the_endpoint_is_down() {
    sentence(against(&closed()).run(&["get", "policies"]), "does not answer");
}

async fn answers(status: u16, code: &str, message: &str) -> Run {
    let body = serde_json::json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": message });
    let fake = Fake::start(move |_, _| Reply::Answer(status, body.to_string())).await;
    let plimsoll = against(&fake.endpoint());
    tokio::task::spawn_blocking(move || plimsoll.run(&["get", "policies"])).await.unwrap()
}

#[tokio::test]
async fn the_table_is_missing() {
    sentence(
        answers(400, "ResourceNotFoundException", "Requested resource not found").await,
        "`plimsoll store init` makes it",
    );
}

#[tokio::test]
async fn access_is_denied() {
    let message = "User: arn:aws:iam::1:user/x is not authorized to perform: dynamodb:BatchGetItem";
    sentence(answers(400, "AccessDeniedException", message).await, "dynamodb:BatchGetItem");
}

#[test]
fn a_fleet_out_of_reach_does_not_fail_an_apply() {
    let mut plimsoll = Plimsoll::with_store();
    plimsoll.set("AWS_REGION", "eu-west-1");
    plimsoll.set("AWS_ACCESS_KEY_ID", "a");
    plimsoll.set("AWS_SECRET_ACCESS_KEY", "b");
    plimsoll.set("AWS_ENDPOINT_URL", &closed());
    plimsoll.write("all.yaml", POLICIES);
    plimsoll.run(&["apply", "-f", "all.yaml"]).exits(0).prints("created").says("cannot be told now");
    plimsoll.run(&["plan"]).exits(2).says("cannot be reached");
}
