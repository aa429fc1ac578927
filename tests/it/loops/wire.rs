//! A client for set-up: any operation of awsJson 1.1, by name. Knows nothing of ECS, so that nothing is lost or added.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the server answers to one call of ECS.
///
/// # Errors
/// The body of any answer but HTTP 200.
pub(crate) async fn call(endpoint: &str, operation: &str, input: &Value) -> Result<Value, String> {
    let address = endpoint.strip_prefix("http://").unwrap();
    let body = input.to_string();
    // Neither server checks signatures; they read the region from the credential's scope.
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: AmazonEC2ContainerServiceV20141113.{operation}\r\ncontent-length: {}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/ecs/aws4_request, \
         SignedHeaders=host, Signature=0\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.lines().next().unwrap_or("").contains(" 200 ") {
        return Err(format!("{operation}: {body}"));
    }
    serde_json::from_str(body).map_err(|why| format!("{operation}: {why}: {body}"))
}
