//! Is it alive, and may it be counted on? For whatever starts and replaces processes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;

use crate::controller::lease::Claims;
use crate::model::{ReasonCode, TargetId, chain};
use crate::ports::Store;
use crate::records::RecordError;
use crate::records::lease::{Lease, Leases};
use crate::records::targets::Targets;

/// Longer, and whoever asks has given up.
const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// A target of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// It was reached, and its controller runs.
    Runs {
        /// Which.
        target: TargetId,
        /// The name under which its controller takes the lease.
        holder: String,
    },
    /// It could not be reached, or its controller ended: it is tried again. Others are watched all the same.
    NotReached {
        /// Why.
        why: ReasonCode,
    },
    /// Its controller has ended for good.
    Ended {
        /// Which.
        target: TargetId,
    },
}

/// The targets of this process, as they come and go. Cheap to clone; a clone sees the same.
#[derive(Debug, Clone, Default)]
pub struct WatchedTargets {
    all: Arc<Mutex<BTreeMap<String, Watched>>>,
    claims: Option<Claims>,
}

impl WatchedTargets {
    /// None yet; no more of them are held than `claims` let.
    #[must_use]
    pub fn new(claims: Option<Claims>) -> Self {
        Self { all: Arc::default(), claims }
    }

    /// How the target of that name stands now; `None`: it is of no concern any more.
    pub fn set(&self, name: &str, watched: Option<Watched>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        match watched {
            Some(watched) => drop(all.insert(name.to_owned(), watched)),
            None => drop(all.remove(name)),
        }
    }

    fn all(&self) -> BTreeMap<String, Watched> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn leaves_the_rest_to_others(&self) -> bool {
        self.claims.as_ref().is_some_and(Claims::is_used_up)
    }
}

/// How a controller stands to its target's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Holds,
    Awaits,
    /// Nobody holds it: this one has not got there yet.
    Free,
    /// Nobody holds it, and this one has as many targets as it may.
    LeftToOthers,
    NotReached,
    Ended,
}

impl Standing {
    fn of(holder: &str, lease: Option<&Lease>, leaves_the_rest: bool) -> Self {
        match lease.and_then(|lease| lease.holder.as_ref()) {
            Some(held) if held == holder => Self::Holds,
            Some(_) => Self::Awaits,
            None if leaves_the_rest => Self::LeftToOthers,
            None => Self::Free,
        }
    }

    const fn says(self) -> &'static str {
        match self {
            Self::Holds => "holds the lease",
            Self::Awaits => "awaits the lease",
            Self::Free => "has not taken the lease yet",
            Self::LeftToOthers => "is left to others",
            Self::NotReached => "cannot be reached",
            Self::Ended => "its controller has ended",
        }
    }
}

/// Whether these together are ready. A target that cannot be reached is its own affair, unless none can be.
fn is_good(standings: &[Standing]) -> bool {
    let good = |standing: &Standing| matches!(standing, Standing::Holds | Standing::Awaits | Standing::LeftToOthers);
    let bad = |standing: &Standing| matches!(standing, Standing::Free | Standing::Ended);
    standings.iter().any(good) && !standings.iter().any(bad)
}

/// Ready where the store can be read, and every target's controller holds its lease or waits for another to give it up.
/// Targets that cannot be reached are named, and make a process unready only where no other is watched.
pub async fn ready(store: &dyn Store, watched: &WatchedTargets) -> (StatusCode, String) {
    match tokio::time::timeout(STORE_ANSWERS_WITHIN, standings(store, watched)).await {
        Ok(Ok(standings)) => {
            let good = is_good(&standings.iter().map(|(_, standing)| *standing).collect::<Vec<_>>());
            let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let lines: Vec<String> =
                standings.iter().map(|(title, standing)| format!("{title}: {}\n", standing.says())).collect();
            (status, format!("{}\n{}", if good { "ready" } else { "not ready" }, lines.concat()))
        }
        // Only what kind of failure: the address and the table are nobody else's business.
        Ok(Err(error)) => {
            tracing::warn!(error = %chain(&error), "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\nthe store cannot be read\n".to_owned())
        }
        Err(_) => {
            tracing::warn!("not ready: the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\nthe store does not answer\n".to_owned())
        }
    }
}

async fn standings(store: &dyn Store, watched: &WatchedTargets) -> Result<Vec<(String, Standing)>, RecordError> {
    // Also where there is no target to ask about.
    Targets::of(store).list().await?;
    let mut standings = Vec::new();
    for (name, watched_as) in watched.all() {
        standings.push(match watched_as {
            Watched::Runs { target, holder } => {
                let lease = Leases::of(store, &target).read().await?;
                let lease = lease.as_ref().map(|lease| &lease.value);
                (target.to_string(), Standing::of(&holder, lease, watched.leaves_the_rest_to_others()))
            }
            // Why is for whoever may read the records: the code is no secret, ARNs are.
            Watched::NotReached { why } => (format!("{name} ({})", why.as_str()), Standing::NotReached),
            Watched::Ended { target } => (target.to_string(), Standing::Ended),
        });
    }
    Ok(standings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn a_standby_is_ready_and_who_has_not_got_there_or_has_ended_is_not() {
        let held = |holder: Option<&str>, leaves: bool| {
            let holder = holder.map(ToOwned::to_owned);
            let lease = Lease { holder, epoch: 1, length_millis: 1, renewed_at: Timestamp::EPOCH };
            Standing::of("us", Some(&lease), leaves)
        };
        assert_eq!(held(Some("us"), false), Standing::Holds);
        assert_eq!(held(Some("them"), false), Standing::Awaits);
        assert_eq!(held(None, false), Standing::Free);
        assert_eq!(held(None, true), Standing::LeftToOthers);
        assert_eq!(Standing::of("us", None, false), Standing::Free);
    }

    #[test]
    fn a_target_that_cannot_be_reached_leaves_the_others_ready() {
        use Standing::{Awaits, Ended, Free, Holds, LeftToOthers, NotReached};
        for (good, standings) in [
            (false, &[][..]),
            (true, &[Holds]),
            (true, &[Awaits, LeftToOthers]),
            (true, &[Holds, NotReached]),
            (false, &[NotReached, NotReached]),
            (false, &[Holds, Free]),
            (false, &[Holds, Ended]),
        ] {
            assert_eq!(is_good(standings), good, "{standings:?}");
        }
    }
}
