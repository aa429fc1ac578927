//! A controller that cannot work says so in a sentence, with what to do about it.

use crate::cli::{POLICIES, Plimsoll, Run};
use crate::fake::{Fake, Reply};

const ARGUMENTS: [&str; 4] = ["controller", "--until-settled", "--poll", "1s"];

/// Policies in a store, and credentials that lead to `endpoint`.
fn against(endpoint: &str) -> Plimsoll {
    let mut plimsoll = Plimsoll::with_store();
    plimsoll.write("all.yaml", POLICIES);
    plimsoll.run(&["apply", "-f", "all.yaml"]).exits(0);
    connect(&mut plimsoll, endpoint);
    plimsoll
}

fn connect(plimsoll: &mut Plimsoll, endpoint: &str) {
    plimsoll.set("AWS_REGION", "eu-west-1");
    plimsoll.set("AWS_ACCESS_KEY_ID", "a");
    plimsoll.set("AWS_SECRET_ACCESS_KEY", "b");
    plimsoll.set("AWS_ENDPOINT_URL", endpoint);
}

/// One sentence and its remedy, after whatever was logged; where ECS refused, which controller ended.
#[track_caller]
fn sentence(run: Run, told: &str) {
    let run = run.exits(2).says(told).says("help:");
    let talk: Vec<&str> = run.stderr.lines().filter(|line| !line.starts_with('{')).collect();
    assert!((2..=3).contains(&talk.len()), "{run:#?}");
    assert!(talk.iter().map(|line| line.len()).sum::<usize>() < 600, "{run:#?}");
    assert_eq!(run.stdout, "");
}

#[test]
fn without_policies() {
    let mut plimsoll = Plimsoll::with_store();
    connect(&mut plimsoll, "http://127.0.0.1:9");
    sentence(plimsoll.run(&ARGUMENTS), "no polic");
}

#[test]
fn without_a_store() {
    let mut plimsoll = Plimsoll::new();
    connect(&mut plimsoll, "http://127.0.0.1:9");
    sentence(plimsoll.run(&ARGUMENTS), "`plimsoll store init` makes it");
}

#[test]
fn while_the_endpoint_is_down() {
    sentence(against("http://127.0.0.1:9").run(&ARGUMENTS), "the AWS endpoint cannot be reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_access() {
    let fake = Fake::start(|_, request| match request.operation() {
        // STS speaks XML and tells anybody who they are.
        "" => Reply::Answer(200, IDENTITY.to_owned()),
        _ => Reply::Answer(
            400,
            r#"{"__type":"AccessDeniedException","message":"User: tester is not authorized to perform: ecs:ListClusters"}"#.to_owned(),
        ),
    })
    .await;
    sentence(against(&fake.endpoint()).run(&ARGUMENTS), "ecs:ListClusters");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_identity() {
    let fake = Fake::start(|_, _| Reply::Answer(403, DENIED.to_owned())).await;
    sentence(against(&fake.endpoint()).run(&ARGUMENTS), "InvalidClientTokenId");
}

const IDENTITY: &str = r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/tester</Arn><UserId>AIDA</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"#;

const DENIED: &str = r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>The security token included in the request is invalid.</Message></Error><RequestId>1</RequestId></ErrorResponse>"#;
