//! Reads that are sent as the SDK has prepared them once: signed as well, and never less than what the SDK makes of them.

use std::time::Duration;

use plimsoll::aws::{AwsEcs, Timeouts};
use plimsoll::ports::ecs::{Ecs, EcsError, Operation};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::fake::{Fake, Reply, Request};

const READ: Operation = Operation::DescribeTaskDefinition;

fn error(status: u16, code: &str) -> Reply {
    Reply::Answer(status, json!({ "__type": code, "message": "" }).to_string())
}

fn good() -> Reply {
    Reply::Answer(200, json!({ "taskDefinition": {} }).to_string())
}

/// The SDK's requests are told by what it numbers them with.
fn is_the_sdks(request: &Request) -> bool {
    !request.header("amz-sdk-invocation-id").is_empty()
}

/// What comes of a second call when the replies to it are these, the last of them for ever; with who sent which request.
async fn second(replies: Vec<Reply>) -> (Result<Value, EcsError>, Vec<bool>, AwsEcs, Fake) {
    let fake = Fake::start(move |number, _| match number {
        1 => good(),
        _ => replies.get(number - 2).or(replies.last()).unwrap().clone(),
    })
    .await;
    let timeouts = Timeouts { read_attempt: Duration::from_millis(300), ..Timeouts::default() };
    let ecs = fake.connection(timeouts).ecs();
    ecs.call(READ, json!({ "taskDefinition": "web:1" })).await.unwrap();
    let outcome = ecs.call(READ, json!({ "taskDefinition": "web:2" })).await;
    let senders = fake.requests().iter().map(is_the_sdks).collect();
    (outcome, senders, ecs, fake)
}

#[tokio::test]
async fn the_second_read_is_the_first_with_another_body() {
    let (outcome, senders, _, fake) = second(vec![good()]).await;
    assert_eq!(outcome, Ok(json!({ "taskDefinition": {} })));
    assert_eq!(senders, [true, false]);
    let [first, second] = fake.requests().try_into().unwrap();
    assert_eq!(second.body, r#"{"taskDefinition":"web:2"}"#);
    assert_eq!(second.path, first.path);
    for (name, value) in first.headers {
        match name.as_str() {
            "amz-sdk-invocation-id" | "amz-sdk-request" => assert_eq!(second.header(&name), ""),
            "authorization" | "x-amz-date" => assert!(!second.header(&name).is_empty()),
            _ => assert_eq!(second.header(&name), value, "{name}"),
        }
    }
}

fn lost() -> [Reply; 4] {
    [error(500, "ServerException"), Reply::HangUp, Reply::CutShort, Reply::Silence]
}

#[tokio::test]
async fn what_is_no_answer_is_asked_again_by_the_sdk_until_it_has_had_one() {
    for reply in lost() {
        let (outcome, senders, ecs, fake) = second(vec![reply.clone(), good()]).await;
        assert_eq!(outcome, Ok(json!({ "taskDefinition": {} })), "{reply:?}");
        assert_eq!(senders, [true, false, true], "{reply:?}");
        ecs.call(READ, json!({})).await.unwrap();
        assert!(!is_the_sdks(&fake.requests()[3]), "{reply:?}");
    }
    for reply in lost() {
        let (outcome, senders, ecs, fake) = second(vec![reply.clone()]).await;
        assert!(matches!(outcome, Err(EcsError::NoAnswer { .. })), "{reply:?}: {outcome:?}");
        assert_eq!(senders, [true, false, true, true, true], "{reply:?}");
        ecs.call(READ, json!({})).await.unwrap_err();
        assert!(fake.requests()[5..].iter().all(is_the_sdks), "{reply:?}");
    }
}

#[tokio::test]
async fn what_would_be_refused_again_is_not_asked_again() {
    for code in ["ClientException", "InvalidParameterException", "AccessDeniedException", "ClusterNotFoundException"] {
        let (outcome, senders, ..) = second(vec![error(400, code), good()]).await;
        assert_eq!(outcome.unwrap_err().code(), Some(code));
        assert_eq!(senders, [true, false]);
    }
    for reply in [error(400, "ThrottlingException"), Reply::Answer(429, String::new())] {
        let (outcome, senders, ..) = second(vec![reply.clone(), good()]).await;
        assert!(matches!(outcome, Err(EcsError::Throttled { .. })), "{reply:?}: {outcome:?}");
        assert_eq!(senders, [true, false], "{reply:?}");
    }
    // As the SDK does not repeat it either.
    let (outcome, senders, ..) = second(vec![error(503, "ThrottlingException"), good()]).await;
    assert!(matches!(outcome, Err(EcsError::NoAnswer { .. })), "{outcome:?}");
    assert_eq!(senders, [true, false]);
}

#[tokio::test]
async fn where_aws_accepts_a_signature_of_the_sdk_only_the_sdk_sends_all_that_follows() {
    for code in ["InvalidSignatureException", "UnrecognizedClientException", "ExpiredTokenException"] {
        let (outcome, senders, ecs, fake) = second(vec![error(400, code), good()]).await;
        assert_eq!(outcome, Ok(json!({ "taskDefinition": {} })), "{code}");
        assert_eq!(senders, [true, false, true], "{code}");
        for _ in 0..2 {
            ecs.call(READ, json!({})).await.unwrap();
        }
        assert!(fake.requests()[3..].iter().all(is_the_sdks), "{code}");
    }
    // Where it accepts neither, that says nothing against the one.
    let denied = || error(400, "ExpiredTokenException");
    let (outcome, senders, ecs, fake) = second(vec![denied(), denied(), good()]).await;
    assert_eq!(outcome.unwrap_err().code(), Some("ExpiredTokenException"));
    assert_eq!(senders, [true, false, true]);
    for _ in 0..2 {
        ecs.call(READ, json!({})).await.unwrap();
    }
    assert_eq!(fake.requests()[3..].iter().map(is_the_sdks).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn both_of_them_together_take_no_longer_than_a_read_may() {
    let fake = Fake::start(|number, _| if number == 1 { good() } else { Reply::Silence }).await;
    let (read_attempt, read) = (Duration::from_millis(300), Duration::from_millis(450));
    let ecs = fake.connection(Timeouts { read_attempt, read, ..Timeouts::default() }).ecs();
    ecs.call(READ, json!({})).await.unwrap();
    let failure = ecs.call(READ, json!({})).await.unwrap_err();
    assert!(failure.to_string().ends_with("no answer within 450ms"), "{failure}");
}

#[tokio::test]
async fn what_writes_is_always_sent_by_the_sdk() {
    let fake = Fake::start(|_, _| Reply::Answer(200, "{}".to_owned())).await;
    let ecs = fake.connection(Timeouts::default()).ecs();
    for operation in Operation::ALL.iter().filter(|operation| operation.writes()) {
        for _ in 0..2 {
            ecs.call(*operation, json!({})).await.unwrap();
        }
    }
    assert!(fake.requests().iter().all(is_the_sdks));
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 2104, of keys of at most a block.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let padded = |with: u8| -> Vec<u8> {
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(key);
        block.iter().map(|byte| byte ^ with).collect()
    };
    let inner = sha256(&[padded(0x36), message.to_vec()].concat());
    sha256(&[padded(0x5c), inner.to_vec()].concat())
}

/// The signature that AWS expects of a request ("Create a signed AWS API request", IAM User Guide).
fn signature(request: &Request, secret: &str) -> String {
    let authorization = request.header("authorization");
    let part = |name: &str| authorization.split_once(name).unwrap().1.split(',').next().unwrap();
    let scope = part("Credential=").split_once('/').unwrap().1;
    let names = part("SignedHeaders=");
    let headers: String = names.split(';').map(|name| format!("{name}:{}\n", request.header(name).trim())).collect();
    let body = hex(&sha256(request.body.as_bytes()));
    let canonical = format!("POST\n{}\n\n{headers}\n{names}\n{body}", request.path);
    let date = request.header("x-amz-date");
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&sha256(canonical.as_bytes())));
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(first, |key, part| hmac(&key, part.as_bytes()).to_vec());
    hex(&hmac(&key, to_sign.as_bytes()))
}

#[tokio::test]
async fn whoever_sends_a_request_signs_it_as_aws_asks() {
    let (_, senders, _, fake) = second(vec![good()]).await;
    assert_eq!(senders, [true, false]);
    for request in fake.requests() {
        let authorization = request.header("authorization");
        assert!(authorization.contains("/us-east-1/ecs/aws4_request"), "{authorization}");
        for name in ["content-type", "host", "x-amz-date", "x-amz-target"] {
            assert!(authorization.contains(name), "{name} is not signed: {authorization}");
        }
        assert_eq!(authorization.split_once("Signature=").unwrap().1, signature(&request, "local"));
    }
}
