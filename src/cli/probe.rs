//! `probe [URL]`: whether a controller on this machine is healthy. For container health checks, because an image without
//! a shell has no other program to ask with.

use std::io;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::{Answer, Error};
use super::output::Format;
use super::printed::Printed;
use super::run::Session;
use crate::model::Span;
use crate::model::mask::clean_text;

/// What to ask.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where `controller --listen` answers; only http
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080/healthz")]
    url: String,
    /// How long an answer is waited for
    #[arg(long, value_name = "DURATION", default_value = "3s")]
    timeout: Span,
}

/// The first line of an answer is shorter; whoever sends more without one is no controller.
const MOST_BYTES: u64 = 1024;

/// Yes where it answers with a status of 200 to 299. Whatever else comes, or nothing, is a no and not an error: ECS and
/// Docker know healthy and not, and both mean the same to whoever waits for it.
pub(super) async fn run(session: &mut Session, arguments: &Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml])?;
    let place = Place::of(&arguments.url)?;
    let why = match tokio::time::timeout(arguments.timeout.0, ask(&place)).await {
        Ok(Ok(status)) if (200..300).contains(&status) => None,
        Ok(Ok(status)) => Some(format!("HTTP {status}")),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {}", arguments.timeout)),
    };
    let report = ProbeReport { healthy: why.is_none(), url: arguments.url.clone(), why };
    match (session.output.format(), &report.why) {
        (Format::Json | Format::Yaml, _) => session.output.value(&report.to_json())?,
        (_, None) => session.output.text("healthy")?,
        (_, Some(why)) => session.output.text(&clean_text(&format!("not healthy: {}: {why}", report.url)))?,
    }
    Ok(Answer::of(report.healthy))
}

/// What `probe` says.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ProbeReport {
    /// It answered, with a status of 200 to 299.
    healthy: bool,
    /// Who was asked.
    url: String,
    /// Why it is not healthy; null where it is.
    why: Option<String>,
}

impl Printed for ProbeReport {
    const KIND: &'static str = "ProbeReport";
}

/// What a URL says.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    authority: String,
    path: String,
}

impl Place {
    fn of(url: &str) -> Result<Self, Error> {
        let rest = url.strip_prefix("http://").filter(|rest| rest.bytes().all(|byte| byte.is_ascii_graphic()));
        let split = rest.map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len())));
        match split {
            Some((authority, path)) if authority.contains(':') && !authority.contains('@') => {
                let path = if path.is_empty() { "/healthz" } else { path };
                Ok(Self { authority: authority.to_owned(), path: path.to_owned() })
            }
            _ => Err(Error::new(format!("`{url}` is nowhere to ask"))
                .help("give an address with its port, such as http://127.0.0.1:8080/healthz")),
        }
    }
}

/// The status of its answer. HTTP/1.0, so that the connection ends with it.
async fn ask(place: &Place) -> io::Result<u16> {
    let mut stream = TcpStream::connect(&place.authority).await?;
    let request = format!("GET {} HTTP/1.0\r\nHost: {}\r\n\r\n", place.path, place.authority);
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).await?;
    status(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "that is no answer of HTTP"))
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.strip_prefix(b"HTTP/1.")?.split(|byte| *byte == b'\r').next()?;
    let (_, rest) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    rest.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_with_its_port() {
        let place = |authority: &str, path: &str| Place { authority: authority.to_owned(), path: path.to_owned() };
        for (url, wanted) in [
            ("http://127.0.0.1:8080/healthz", place("127.0.0.1:8080", "/healthz")),
            ("http://[::1]:80", place("[::1]:80", "/healthz")),
            ("http://a:1/readyz", place("a:1", "/readyz")),
        ] {
            assert_eq!(Place::of(url).unwrap(), wanted, "{url}");
        }
        for wrong in [
            "",
            "127.0.0.1:8080",
            "https://a:1/",
            "http://a/",
            "http://u:p@a:1/",
            "http://a:1/x y",
            "http://a:1/\r\nX: y",
        ] {
            assert!(Place::of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_an_answer_of_http_has_a_status() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 503\r\n\r\n"), Some(503));
        for wrong in
            [&b""[..], b"HTTP/1.1", b"HTTP/1.1 20\r\n", b"HTTP/2 200", b"SSH-2.0-x\r\n", b"HTTP/1.1 \xff\xff\xff"]
        {
            assert_eq!(status(wrong), None, "{wrong:?}");
        }
    }
}
