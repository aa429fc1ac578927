use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;
use crate::model::Timestamp;
use crate::sim::{VirtualClock, WorldConfig};

/// A server on a free port of this machine; it ends when the sender is dropped.
async fn start() -> (SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let world = World::new(WorldConfig::default(), Timestamp::EPOCH);
    let clock = Arc::new(VirtualClock::instant(Timestamp::EPOCH));
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve(listener, Arc::new(Mutex::new(world)), clock, async {
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
    let (head, _) = post(address, headers, "Action=AssumeRole&Version=2011-06-15").await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
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
