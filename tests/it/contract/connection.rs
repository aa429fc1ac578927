//! How the connection to AWS is found, and what it says when it cannot be: through the environment of a child process,
//! as people set it.

use std::process::{Command, Stdio};

use plimsoll::aws::{AwsError, Connection, Role, Timeouts};
use plimsoll::ports::ecs::{Ecs, Operation};
use serde_json::json;

use crate::fake::{Fake, Reply};
use crate::peers::{Peer, free_port};

/// Set for the child processes of the tests below.
const CHILD: &str = "PLIMSOLL_TEST_CONNECTION";

#[tokio::test]
#[ignore = "the child process of the tests below, which run it"]
async fn asks_who_it_is() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let answer = match Connection::from_environment(None, Timeouts::default()).await {
        Ok(connection) => {
            connection.identity().await.map(|identity| format!("{} in {}", identity.account, connection.region()))
        }
        Err(error) => Err(error),
    };
    eprintln!("answer: {answer:?}");
}

/// What a process with just these variables finds.
async fn found(variables: &[(&str, &str)]) -> String {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "--nocapture", "contract::connection::asks_who_it_is"])
        .env_clear()
        .envs([(CHILD, "1"), ("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", home.path().to_str().unwrap())])
        .envs(variables.iter().copied())
        .stdout(Stdio::null());
    // On a thread of its own: a fake that it asks answers on this one.
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let answer = said.lines().find_map(|line| line.strip_prefix("answer: "));
    answer.unwrap_or_else(|| panic!("the child says nothing of it: {said}")).to_owned()
}

const REGION: (&str, &str) = ("AWS_REGION", "eu-west-1");
const KEY: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret")];

#[tokio::test]
async fn without_a_region_that_is_the_error() {
    assert_eq!(found(&KEY).await, "Err(NoRegion)");
    assert_eq!(found(&[("AWS_REGION", ""), KEY[0], KEY[1]]).await, "Err(NoRegion)");
}

#[tokio::test]
async fn without_credentials_that_is_the_error() {
    let found = found(&[REGION]).await;
    assert!(found.starts_with("Err(NoCredentials {"), "{found}");
}

#[tokio::test]
async fn credentials_that_are_configured_and_cannot_be_had_are_another_error() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, "[profile broken]\nregion = eu-west-1\ncredential_process = false\n").unwrap();
    let found = found(&[("AWS_CONFIG_FILE", config.to_str().unwrap()), ("AWS_PROFILE", "broken")]).await;
    assert!(found.starts_with("Err(CredentialsFailed {"), "{found}");
}

#[tokio::test]
async fn an_endpoint_that_nobody_listens_at_is_unreachable() {
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let found = found(&[REGION, KEY[0], KEY[1], ("AWS_ENDPOINT_URL", &endpoint)]).await;
    assert!(found.starts_with("Err(Unreachable {"), "{found}");
}

#[tokio::test]
async fn profiles_and_endpoints_are_the_sdks_own() {
    let peer = Peer::ministack().await;
    let wanted = r#"Ok("000000000000 in eu-west-1")"#;
    let endpoint = peer.endpoint();
    assert_eq!(found(&[REGION, KEY[0], KEY[1], ("AWS_ENDPOINT_URL_STS", &endpoint)]).await, wanted);

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    let profile = "[profile prod]\nregion = eu-west-1\naws_access_key_id = A\naws_secret_access_key = s\n";
    std::fs::write(&config, format!("{profile}endpoint_url = {endpoint}\n")).unwrap();
    assert_eq!(found(&[("AWS_CONFIG_FILE", config.to_str().unwrap()), ("AWS_PROFILE", "prod")]).await, wanted);
}

#[tokio::test]
async fn a_refused_caller_is_told_why() {
    type Wanted = fn(&AwsError) -> bool;
    let cases: [(u16, &str, Wanted); 5] = [
        (403, "ExpiredToken", |error| matches!(error, AwsError::Expired { .. })),
        (403, "InvalidClientTokenId", |error| matches!(error, AwsError::Rejected { .. })),
        (403, "AccessDenied", |error| matches!(error, AwsError::Denied { .. })),
        (400, "MalformedQueryString", |error| matches!(error, AwsError::Refused { .. })),
        (500, "InternalFailure", |error| matches!(error, AwsError::NoAnswer { .. })),
    ];
    for (status, code, wanted) in cases {
        let body =
            format!("<ErrorResponse><Error><Code>{code}</Code><Message>so it is</Message></Error></ErrorResponse>");
        let fake = Fake::start(move |_, _| Reply::Answer(status, body.clone())).await;
        let error = fake.connection(Timeouts::default()).identity().await.expect_err("refused");
        assert!(wanted(&error), "{code}: {error:?}");
        assert!(error.to_string().contains("so it is"), "{error}");
        assert!(!error.help().is_empty());
    }
}

#[tokio::test]
async fn a_role_is_taken_on_before_the_first_call_and_once() {
    let fake = Fake::start(|_, request| {
        if request.body.contains("Action=AssumeRole") {
            let credentials = "<AccessKeyId>ASSUMED</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                <SessionToken>t</SessionToken><Expiration>2200-01-01T00:00:00Z</Expiration>";
            let result = format!("<AssumeRoleResult><Credentials>{credentials}</Credentials></AssumeRoleResult>");
            return Reply::Answer(200, format!("<AssumeRoleResponse>{result}</AssumeRoleResponse>"));
        }
        Reply::Answer(200, json!({ "clusterArns": [] }).to_string())
    })
    .await;
    let role = Role { arn: "arn:aws:iam::123456789012:role/plimsoll".to_owned(), external_id: Some("x7".to_owned()) };
    let target = fake.connection(Timeouts::default()).target("eu-central-1", Some(&role)).await;
    let ecs = target.ecs();
    for _ in 0..2 {
        ecs.call(Operation::ListClusters, json!({})).await.unwrap();
    }
    let requests = fake.requests();
    assert_eq!(requests.len(), 3, "{:?}", fake.operations());
    for part in ["arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fplimsoll", "ExternalId=x7", "RoleSessionName=plimsoll"] {
        assert!(requests[0].body.contains(part), "{}", requests[0].body);
    }
    for request in &requests[1..] {
        let signature = request.header("authorization");
        assert!(signature.contains("Credential=ASSUMED/") && signature.contains("/eu-central-1/ecs/"), "{signature}");
    }
}

#[tokio::test]
async fn a_role_that_may_not_be_taken_on_leaves_nothing_sent() {
    let fake = Fake::start(|_, _| {
        let error = "<Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message>";
        Reply::Answer(403, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"))
    })
    .await;
    let role = Role { arn: "arn:aws:iam::123456789012:role/plimsoll".to_owned(), external_id: None };
    let target = fake.connection(Timeouts::default()).target("eu-central-1", Some(&role)).await;
    let failure = target.ecs().call(Operation::RegisterTaskDefinition, json!({})).await.expect_err("no role");
    assert!(failure.to_string().contains("not sent") && failure.to_string().contains("sts:AssumeRole"), "{failure}");
    assert!(fake.operations().iter().all(String::is_empty), "only STS was asked");
    assert!(matches!(target.identity().await, Err(AwsError::CredentialsFailed { .. })));
}
