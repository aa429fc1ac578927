//! Is it alive, and may it be counted on? For whatever starts and replaces processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::StatusCode;

use crate::model::TargetId;
use crate::ports::Store;
use crate::records::RecordError;
use crate::records::lease::{Lease, Leases};
use crate::records::targets::Targets;

/// Longer, and whoever asks has given up.
const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// A target whose controller is in this process.
#[derive(Debug)]
pub struct Watched {
    /// Which.
    pub target: TargetId,
    /// The name under which it takes the lease.
    pub holder: String,
    ended: AtomicBool,
}

impl Watched {
    /// A target, and the name under which its controller takes the lease.
    #[must_use]
    pub const fn new(target: TargetId, holder: String) -> Self {
        Self { target, holder, ended: AtomicBool::new(false) }
    }

    /// Its controller has ended, whatever the others do.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// How a controller stands to its target's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Holds,
    Awaits,
    /// Nobody holds it: this one has not got there yet.
    Free,
    Ended,
}

impl Standing {
    fn of(watched: &Watched, lease: Option<&Lease>) -> Self {
        match lease.and_then(|lease| lease.holder.as_ref()) {
            _ if watched.ended.load(Ordering::Relaxed) => Self::Ended,
            Some(holder) if *holder == watched.holder => Self::Holds,
            Some(_) => Self::Awaits,
            None => Self::Free,
        }
    }

    const fn says(self) -> &'static str {
        match self {
            Self::Holds => "holds the lease",
            Self::Awaits => "awaits the lease",
            Self::Free => "has not taken the lease yet",
            Self::Ended => "its controller has ended",
        }
    }
}

/// Ready where the store can be read, and every target's controller holds its lease or waits for another to give it up.
pub async fn ready(store: &dyn Store, watched: &[Arc<Watched>]) -> (StatusCode, String) {
    match tokio::time::timeout(STORE_ANSWERS_WITHIN, standings(store, watched)).await {
        Ok(Ok(standings)) => {
            let good = standings.iter().all(|standing| matches!(standing, Standing::Holds | Standing::Awaits));
            let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let lines = watched.iter().zip(&standings);
            let lines: Vec<String> =
                lines.map(|(watched, standing)| format!("{}: {}\n", watched.target, standing.says())).collect();
            (status, format!("{}\n{}", if good { "ready" } else { "not ready" }, lines.concat()))
        }
        // Only what kind of failure: the address and the table are nobody else's business.
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\nthe store cannot be read\n".to_owned())
        }
        Err(_) => {
            tracing::warn!("not ready: the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\nthe store does not answer\n".to_owned())
        }
    }
}

async fn standings(store: &dyn Store, watched: &[Arc<Watched>]) -> Result<Vec<Standing>, RecordError> {
    // Also where there is no target to ask about.
    Targets::of(store).list().await?;
    let mut standings = Vec::new();
    for watched in watched {
        let lease = Leases::of(store, &watched.target).read().await?;
        standings.push(Standing::of(watched, lease.as_ref().map(|lease| &lease.value)));
    }
    Ok(standings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn a_standby_is_ready_and_who_has_not_got_there_or_has_ended_is_not() {
        let target = TargetId { account: "1".to_owned(), region: "r".to_owned() };
        let watched = Watched::new(target, "us".to_owned());
        let held = |holder: Option<&str>| {
            let holder = holder.map(ToOwned::to_owned);
            let lease = Lease { holder, epoch: 1, length_millis: 1, renewed_at: Timestamp::EPOCH };
            Standing::of(&watched, Some(&lease))
        };
        assert_eq!(held(Some("us")), Standing::Holds);
        assert_eq!(held(Some("them")), Standing::Awaits);
        assert_eq!(held(None), Standing::Free);
        assert_eq!(Standing::of(&watched, None), Standing::Free);
        watched.end();
        let lease = Lease { holder: Some("us".to_owned()), epoch: 1, length_millis: 1, renewed_at: Timestamp::EPOCH };
        assert_eq!(Standing::of(&watched, Some(&lease)), Standing::Ended);
    }
}
