//! A server that answers as a test says: with odd bodies, with another server's answers, or not at all.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use plimsoll::aws::{Connection, Timeouts};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// A request as it came over the wire.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    raw: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(header, _)| header == name).map_or("", |(_, value)| value)
    }

    /// The operation of an awsJson request, such as `UpdateService`.
    pub(crate) fn operation(&self) -> &str {
        self.header("x-amz-target").rsplit('.').next().unwrap_or("")
    }
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Answer(u16, String),
    /// With a `Date`.
    Dated(u16, &'static str, String),
    /// With a code of CloudWatch's older protocol, empty for none.
    Cbor(u16, &'static str, Vec<u8>),
    /// Promises more than it sends.
    CutShort,
    /// Reads the request and closes the connection.
    HangUp,
    /// Reads the request and says nothing.
    Silence,
    /// What the other server says.
    Forward(SocketAddr),
    /// Lets the other server do it and loses its answer.
    LoseAnswerOf(SocketAddr),
}

type Script = dyn Fn(usize, &Request) -> Reply + Send + Sync;

/// A running fake. Dropping it ends it.
pub(crate) struct Fake {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Fake {
    /// Answers as `script` says; it gets the number of the request, from 1, and the request.
    pub(crate) async fn start(script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (script, seen): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&requests));
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        Self { address, requests, _serving: AbortOnDropHandle::new(serving) }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The operations asked for so far.
    pub(crate) fn operations(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.operation().to_owned()).collect()
    }

    /// Where it answers.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn connection(&self, timeouts: Timeouts) -> Connection {
        Connection::to_endpoint(&format!("http://{}", self.address), "us-east-1", timeouts)
    }
}

async fn serve(stream: TcpStream, script: Arc<Script>, seen: Arc<Mutex<Vec<Request>>>) {
    let mut stream = BufReader::new(stream);
    let request = read_request(&mut stream).await;
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len()
    };
    let answer = match script(number, &request) {
        Reply::Answer(status, body) => http(status, body.len(), &body),
        Reply::Dated(status, date, body) => {
            let head = format!(
                "HTTP/1.1 {status} Fake\r\ndate: {date}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            [head.into_bytes(), body.into_bytes()].concat()
        }
        Reply::Cbor(status, code, body) => {
            let error = if code.is_empty() { String::new() } else { format!("x-amzn-query-error: {code};Sender\r\n") };
            let head = format!(
                "HTTP/1.1 {status} Fake\r\ncontent-type: application/cbor\r\nsmithy-protocol: rpc-v2-cbor\r\n{error}\
                 connection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            [head.into_bytes(), body].concat()
        }
        Reply::CutShort => http(200, 1000, r#"{"service":{"#),
        Reply::HangUp => return,
        Reply::Silence => std::future::pending().await,
        Reply::Forward(server) => forward(server, &request).await,
        Reply::LoseAnswerOf(server) => {
            forward(server, &request).await;
            return;
        }
    };
    stream.write_all(&answer).await.unwrap();
    stream.shutdown().await.unwrap();
}

fn http(status: u16, length: usize, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} Fake\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Request {
    let mut request = Request::default();
    loop {
        let start = request.raw.len();
        stream.read_until(b'\n', &mut request.raw).await.unwrap();
        let line = String::from_utf8(request.raw[start..].to_vec()).unwrap();
        if start == 0 {
            request.path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) => request.headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; request.header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    request.raw.extend_from_slice(&body);
    request.body = String::from_utf8_lossy(&body).into_owned();
    request
}

async fn forward(server: SocketAddr, request: &Request) -> Vec<u8> {
    let mut upstream = TcpStream::connect(server).await.unwrap();
    // One request a connection, so that its end is the answer's end.
    let line_end = request.raw.windows(2).position(|bytes| bytes == b"\r\n").unwrap() + 2;
    let (first_line, rest) = request.raw.split_at(line_end);
    upstream.write_all(&[first_line, b"connection: close\r\n", rest].concat()).await.unwrap();
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await.unwrap();
    answer
}
