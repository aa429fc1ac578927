use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;
use crate::model::Timestamp;
use crate::sim::sts::Role;
use crate::sim::{VirtualClock, World, WorldConfig};

/// A server on a free port of this machine; it ends when the sender is dropped.
async fn start() -> (SocketAddr, oneshot::Sender<()>) {
    let world = World::new(WorldConfig::default(), Timestamp::EPOCH);
    start_with(Accounts::from(Arc::new(Mutex::new(world)))).await
}

async fn start_with(accounts: Accounts) -> (SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let clock = Arc::new(VirtualClock::instant(Timestamp::EPOCH));
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve(listener, accounts, clock, async {
        stopped.await.ok();
    }));
    (address, stop)
}

/// One request over a connection of its own: status line and headers in lower case, and the body.
async fn post(address: SocketAddr, headers: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

fn target(operation: &str) -> String {
    format!(
        "content-type: application/x-amz-json-1.1\r\nx-amz-target: AmazonEC2ContainerServiceV20141113.{operation}\r\n"
    )
}

#[tokio::test]
async fn a_call_is_answered_in_awsjson() {
    let (address, _stop) = start().await;
    let (head, body) = post(address, &target("CreateCluster"), r#"{"clusterName":"prod"}"#).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: application/x-amz-json-1.1") && head.contains("x-amzn-requestid: "), "{head}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["cluster"]["clusterArn"], "arn:aws:ecs:eu-west-1:123456789012:cluster/prod");
    let (_, body) = post(address, &target("ListClusters"), "").await;
    assert_eq!(body, r#"{"clusterArns":["arn:aws:ecs:eu-west-1:123456789012:cluster/prod"]}"#);
}

#[tokio::test]
async fn errors_have_a_type_in_the_body_and_in_a_header() {
    let (address, _stop) = start().await;
    for (operation, body, code) in [
        ("DescribeServices", r#"{"cluster":"nowhere","services":["a"]}"#, "ClusterNotFoundException"),
        ("DescribeServices", "{", "SerializationException"),
        ("DoWhatever", "{}", "UnknownOperationException"),
    ] {
        let (head, answer) = post(address, &target(operation), body).await;
        assert!(head.starts_with("http/1.1 400"), "{head}");
        assert!(head.contains(&format!("x-amzn-errortype: {}", code.to_lowercase())), "{head}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["__type"], code);
        assert!(answer["message"].is_string());
    }
}

#[tokio::test]
async fn whoever_asks_learns_the_account() {
    let (address, _stop) = start().await;
    let headers = "content-type: application/x-www-form-urlencoded\r\n";
    let (head, body) = post(address, headers, "Action=GetCallerIdentity&Version=2011-06-15").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(body.contains("<Account>123456789012</Account>"), "{body}");
    let (head, _) = post(address, headers, "Action=GetSessionToken&Version=2011-06-15").await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
}

#[tokio::test]
async fn a_role_is_another_account_for_whoever_names_its_external_id() {
    let role: Role = "arn:aws:iam::210987654321:role/plimsoll=x & y".parse().unwrap();
    let member = WorldConfig { account: role.account().to_owned(), caller: role.bearer(), ..WorldConfig::default() };
    let own = Arc::new(Mutex::new(World::new(WorldConfig::default(), Timestamp::EPOCH)));
    let (address, _stop) = start_with(Accounts::from(own).with(role, World::new(member, Timestamp::EPOCH))).await;
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let arn = "arn%3Aaws%3Aiam%3A%3A210987654321%3Arole%2Fplimsoll";
    let ask = |arn: &str, rest: &str| format!("Action=AssumeRole&Version=2011-06-15&RoleArn={arn}{rest}");
    for (arn, rest) in
        [(arn, ""), (arn, "&ExternalId=x"), ("arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fother", "&ExternalId=x+%26+y")]
    {
        let (head, body) = post(address, form, &ask(arn, rest)).await;
        assert!(head.starts_with("http/1.1 403"), "{head}");
        assert!(body.contains("<Code>AccessDenied</Code>") && body.contains("sts:AssumeRole"), "{body}");
    }
    let (head, body) = post(address, form, &ask(arn, "&ExternalId=x+%26+y")).await;
    assert!(head.starts_with("http/1.1 200"), "{head}{body}");
    let (_, key) = body.split_once("<AccessKeyId>").unwrap();
    let (key, _) = key.split_once('<').unwrap();
    let by = format!("authorization: AWS4-HMAC-SHA256 Credential={key}/20261122/eu-west-1/sts/aws4_request\r\n");
    let (_, body) = post(address, &format!("{form}{by}"), "Action=GetCallerIdentity").await;
    assert!(body.contains("<Account>210987654321</Account>") && body.contains(":assumed-role/plimsoll/"), "{body}");
    let create = r#"{"clusterName":"theirs"}"#;
    let (head, _) = post(address, &format!("{}{by}", target("CreateCluster")), create).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let (_, theirs) = post(address, &format!("{}{by}", target("ListClusters")), "{}").await;
    let (_, ours) = post(address, &target("ListClusters"), "{}").await;
    assert!(theirs.contains("210987654321:cluster/theirs") && !ours.contains("theirs"), "{theirs} {ours}");
}

#[test]
fn a_role_is_an_arn_and_an_external_id() {
    let role: Role = "arn:aws:iam::210987654321:role/path/reader".parse().unwrap();
    assert_eq!((role.account(), role.external_id.as_deref()), ("210987654321", None));
    assert_eq!(role.bearer(), "arn:aws:sts::210987654321:assumed-role/reader/simulated");
    for wrong in
        ["plimsoll", "arn:aws:iam::1:role/x", "arn:aws:iam::210987654321:role/", "arn:aws:iam::210987654321:role/x="]
    {
        assert!(wrong.parse::<Role>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn alarms_are_cloudwatchs_and_not_ecs_s() {
    let (address, _stop) = start().await;
    let (head, _) = post(address, &target("DescribeAlarms"), "{}").await;
    assert!(head.starts_with("http/1.1 400") && head.contains("unknownoperation"), "{head}");
    let headers = "content-type: application/x-amz-json-1.0\r\nx-amz-target: GraniteServiceVersion20100801.";
    let (head, body) = post(address, &format!("{headers}DescribeAlarms\r\n"), "{}").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(body, r#"{"MetricAlarms":[],"CompositeAlarms":[]}"#);
    let (head, _) = post(address, &format!("{headers}ListClusters\r\n"), "{}").await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
}

#[tokio::test]
async fn a_body_beyond_a_mebibyte_is_refused() {
    let (address, _stop) = start().await;
    let body = "x".repeat(MOST_BYTES + 1);
    let (head, _) = post(address, &target("ListClusters"), &body).await;
    assert!(head.starts_with("http/1.1 413"), "{head}");
}
