//! What the port `Ecs` owes, on AWS's SDK: raw JSON both ways, one attempt for writes, and an honest outcome.

use std::time::Duration;

use plimsoll::aws::{Connection, Timeouts};
use plimsoll::ports::ecs::{Ecs, EcsError, Operation, Outcome};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply};
use crate::peers::{Peer, free_port};

const READ: Operation = Operation::DescribeServices;
const WRITE: Operation = Operation::RegisterTaskDefinition;

fn answer(status: u16, body: impl ToString) -> Reply {
    Reply::Answer(status, body.to_string())
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    answer(status, json!({ "__type": code, "message": message }))
}

/// Calls a fake that always replies the same; with what came of it, and how often it was asked.
async fn call(reply: Reply, operation: Operation) -> (Result<Value, EcsError>, usize) {
    let fake = Fake::start(move |_, _| reply.clone()).await;
    let timeouts = Timeouts { write: Duration::from_secs(1), ..Timeouts::default() };
    let outcome = fake.connection(timeouts).ecs().call(operation, json!({})).await;
    (outcome, fake.requests().len())
}

/// A document with what typed structs lose: unknown members, empty strings, odd order, numbers as they were.
fn odd_document() -> Value {
    let text = r#"{"zeta":{"unknown":[null,"",{}]},"family":"web","containerDefinitions":[{"image":"a","name":"app",
        "environment":[{"value":"","name":"EMPTY"}],"notYetInvented":{"b":1,"a":[]},"cpu":0}],"count":18446744073709551615,
        "at":1763812800.123,"alpha":null,"text":"é 漢 😀 \u0000"}"#;
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn every_operation_sends_exactly_the_document_and_returns_exactly_the_answer() {
    let document = odd_document();
    let reply = answer(200, &document);
    let fake = Fake::start(move |_, _| reply.clone()).await;
    let ecs = fake.connection(Timeouts::default()).ecs();
    for operation in Operation::ALL {
        let answered = ecs.call(*operation, document.clone()).await.unwrap();
        // As text: `==` of objects does not see the order of their members.
        assert_eq!(answered.to_string(), document.to_string(), "{operation:?}");
    }
    let requests = fake.requests();
    assert_eq!(requests.len(), Operation::ALL.len());
    for (request, operation) in requests.iter().zip(Operation::ALL) {
        let target = format!("AmazonEC2ContainerServiceV20141113.{}", operation.as_str());
        assert_eq!(request.header("x-amz-target"), target);
        assert_eq!(request.header("content-type"), "application/x-amz-json-1.1");
        assert_eq!(request.body, document.to_string(), "{operation:?}");
        assert!(request.header("authorization").starts_with("AWS4-HMAC-SHA256 "), "{operation:?} is not signed");
    }
}

#[tokio::test]
async fn an_answer_that_the_sdk_cannot_read_is_returned_all_the_same() {
    // Members of other types than this SDK knows.
    let strange = json!({ "services": "none", "failures": { "count": 0 } });
    let (outcome, attempts) = call(answer(200, &strange), READ).await;
    assert_eq!((outcome, attempts), (Ok(strange), 1));
}

#[tokio::test]
async fn a_refusal_is_told_by_its_bare_code_and_message_and_not_repeated() {
    for operation in [READ, WRITE] {
        let reply = error(400, "com.amazonaws.ecs#ClientException", "Family contains invalid characters.");
        let message = "Family contains invalid characters.".to_owned();
        let refused = EcsError::Refused { operation, code: "ClientException".to_owned(), message };
        assert_eq!(call(reply, operation).await, (Err(refused), 1));
    }
}

#[tokio::test]
async fn throttling_is_answered_at_once_and_left_to_the_budget() {
    for operation in [READ, WRITE] {
        let throttled = EcsError::Throttled { operation, message: "Rate exceeded".to_owned() };
        let (outcome, attempts) = call(error(400, "ThrottlingException", "Rate exceeded"), operation).await;
        assert_eq!((outcome, attempts), (Err(throttled), 1));
    }
}

#[tokio::test]
async fn a_write_without_an_answer_is_sent_once_and_its_outcome_is_unknown() {
    for reply in [
        error(500, "ServerException", "Service Unavailable. Please try again later."),
        answer(503, "<html>try later</html>"),
        answer(200, "<html>sign in</html>"),
        answer(200, ""),
        Reply::CutShort,
        Reply::HangUp,
        Reply::Silence,
    ] {
        let (outcome, attempts) = call(reply.clone(), WRITE).await;
        let failure = outcome.expect_err("no answer");
        assert!(matches!(failure, EcsError::NoAnswer { .. }), "{reply:?}: {failure}");
        assert_eq!((failure.outcome(), attempts), (Outcome::Unknown, 1), "{reply:?}");
    }
}

#[tokio::test]
async fn a_read_is_tried_three_times() {
    for reply in [error(500, "ServerException", "sorry"), Reply::HangUp] {
        let (outcome, attempts) = call(reply.clone(), READ).await;
        assert!(matches!(outcome, Err(EcsError::NoAnswer { .. })), "{reply:?}: {outcome:?}");
        assert_eq!(attempts, 3, "{reply:?}");
    }
}

#[tokio::test]
async fn a_read_that_works_at_the_second_attempt_is_answered() {
    let fake = Fake::start(|number, _| match number {
        1 => error(500, "ServerException", "sorry"),
        _ => answer(200, json!({ "services": [] })),
    })
    .await;
    let input = json!({ "services": ["web"], "notYetInvented": "" });
    let outcome = fake.connection(Timeouts::default()).ecs().call(READ, input.clone()).await;
    assert_eq!(outcome, Ok(json!({ "services": [] })));
    // Each attempt sends our bytes.
    let bodies: Vec<String> = fake.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [input.to_string(), input.to_string()]);
}

#[tokio::test]
async fn what_cannot_be_connected_to_is_not_sent() {
    let timeouts = Timeouts::default();
    let ecs = Connection::to_endpoint(&format!("http://127.0.0.1:{}", free_port()), "us-east-1", timeouts).ecs();
    for operation in [READ, WRITE] {
        let failure = ecs.call(operation, json!({})).await.expect_err("nobody is there");
        assert!(matches!(failure, EcsError::NotSent { .. }), "{failure}");
        assert_eq!(failure.outcome(), Outcome::NotApplied);
    }
    // A name that cannot exist (RFC 2606).
    let ecs = Connection::to_endpoint("http://nowhere.invalid", "us-east-1", timeouts).ecs();
    let failure = ecs.call(WRITE, json!({})).await.expect_err("no such name");
    assert!(matches!(failure, EcsError::NotSent { .. }), "{failure}");
}

/// A task definition with much that SDKs and tools are known to lose.
fn odd_registration() -> Value {
    json!({
        "family": "odd",
        "containerDefinitions": [{
            "name": "app",
            "image": "registry.example.com/app@sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "notYetInvented": { "zeta": "", "alpha": [1, null, {}] },
            "memory": 128,
            "environment": [{ "name": "EMPTY", "value": "" }, { "name": "A", "value": "é 漢 😀" }],
            "dockerLabels": { "z": "", "a": "b" },
            "logConfiguration": { "logDriver": "awslogs", "options": { "mode": "non-blocking", "awslogs-group": "" } },
            "essential": true
        }],
        "volumes": [{ "name": "data", "host": {} }],
        "tags": [{ "key": "team", "value": "" }, { "key": "a", "value": "payments" }]
    })
}

#[tokio::test]
async fn a_task_definition_comes_back_from_an_independent_server_as_it_was_registered() {
    let peer = Peer::ministack().await;
    let ecs = peer.connection().ecs();
    let wanted = odd_registration();
    let registered = ecs.call(WRITE, wanted.clone()).await.unwrap();
    let arn = registered["taskDefinition"]["taskDefinitionArn"].clone();
    assert!(arn.as_str().unwrap().ends_with(":task-definition/odd:1"), "{registered}");
    let described = ecs
        .call(Operation::DescribeTaskDefinition, json!({ "taskDefinition": arn, "include": ["TAGS"] }))
        .await
        .unwrap();
    let container = &described["taskDefinition"]["containerDefinitions"][0];
    for (name, value) in wanted["containerDefinitions"][0].as_object().unwrap() {
        assert_eq!(container[name].to_string(), value.to_string(), "{name}");
    }
    assert_eq!(described["taskDefinition"]["volumes"], wanted["volumes"]);
    assert_eq!(described["tags"].to_string(), wanted["tags"].to_string());
}

#[tokio::test]
async fn an_independent_servers_errors_are_told_apart() {
    let peer = Peer::ministack().await;
    let ecs = peer.connection().ecs();
    let update = json!({ "service": "web", "taskDefinition": "odd:1" });
    for (operation, input, code) in [
        (Operation::UpdateService, update, "ServiceNotFoundException"),
        (Operation::DescribeTaskDefinition, json!({ "taskDefinition": "nobody:7" }), "ClientException"),
        (WRITE, json!({ "containerDefinitions": [] }), "ClientException"),
    ] {
        let failure = ecs.call(operation, input).await.expect_err("a mistake");
        assert_eq!(failure.code(), Some(code), "{failure}");
        assert_eq!(failure.outcome(), Outcome::NotApplied);
    }
    let none = ecs.call(Operation::ListClusters, json!({})).await.unwrap();
    assert_eq!(none["clusterArns"], json!([]));
}
