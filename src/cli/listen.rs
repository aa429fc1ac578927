//! `--listen`: where pages, metrics and health are served, and what they need to know of a budget.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::output::talk;
use crate::aws::Budgeted;
use crate::web::metrics::{BucketLevel, Levels};
use crate::web::server::{self, Site};

/// A port alone is this machine's only: to be seen by others has to be said.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text).parse().map(|port: u16| (Ipv4Addr::LOCALHOST, port).into());
    let named = text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok());
    port.or_else(|_| named.map(|port| (Ipv4Addr::LOCALHOST, port).into()).ok_or(()))
        .or_else(|()| text.parse())
        .map_err(|_| "it is a port, such as 8080, for this machine only, or ADDRESS:PORT".to_owned())
}

/// Serves until `stop`, and says where.
pub(super) async fn serve(address: SocketAddr, site: Site, stop: CancellationToken) -> Result<(), Error> {
    let address = server::serve(address, site, stop).await.map_err(|error| {
        Error::new(error.to_string()).caused_by(error.source.to_string()).help("choose another --listen address")
    })?;
    talk(&format!("listening on http://{address}"));
    if !address.ip().is_loopback() {
        talk("whoever reaches that address can read the pages: they ask for no password");
    }
    Ok(())
}

/// How full a budget is, for metrics.
pub(super) fn levels(budget: Arc<Budgeted>) -> Levels {
    Box::new(move || {
        let levels = budget.levels();
        let level = |level: &crate::aws::Level| BucketLevel {
            bucket: level.bucket,
            tokens: level.tokens,
            rate: level.rate,
            share: level.share,
        };
        levels.iter().map(level).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_of_this_machine_only() {
        for text in ["8080", ":8080", "localhost:8080", "127.0.0.1:8080"] {
            assert_eq!(address(text).unwrap().to_string(), "127.0.0.1:8080", "{text}");
        }
        assert_eq!(address("0.0.0.0:80").unwrap().to_string(), "0.0.0.0:80");
        assert_eq!(address("[::1]:80").unwrap().to_string(), "[::1]:80");
        for wrong in ["", "web", "127.0.0.1", "example.com:80", "70000"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
