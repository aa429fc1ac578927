//! Holding the lease of a target.
//!
//! Guarantee: while [`Keeper::remaining`] is more than a call's timeout, no other controller that keeps to the same
//! rules writes to the target. It does not fence ECS: a call sent long ago may land late.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ControllerError;
use crate::model::{TargetId, chain};
use crate::ports::{Clock, Store};
use crate::records::RecordError;
use crate::records::lease::{Lease, Leases};

/// How we stand to the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// We have not looked, or somebody else holds it and we watch it not change.
    Watching { version: u64, since: Duration, holder: String },
    /// We hold it.
    Holding { version: u64, epoch: u64, renewed: Duration },
    /// We know nothing.
    Unknown,
}

/// How many targets one process may hold: the rest is left to others, so that several processes share many targets.
#[derive(Debug, Clone)]
pub struct Claims(Arc<Semaphore>);

impl Claims {
    /// So many at a time.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    /// Whether no more are taken now.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.0.available_permits() == 0
    }

    fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// Takes, renews and gives up the lease of one target.
#[derive(Debug)]
pub struct Keeper {
    holder: String,
    length: Duration,
    standing: Standing,
    claims: Option<Claims>,
    /// Held for as long as the lease is, or is being asked for.
    claim: Option<OwnedSemaphorePermit>,
}

/// What came of asking for the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// We hold it, as before.
    Still {
        /// Our epoch.
        epoch: u64,
    },
    /// We hold it now, and did not before: stamp the epoch on open records before anything else.
    Taken {
        /// Our epoch.
        epoch: u64,
    },
    /// Somebody else holds it.
    Elsewhere {
        /// Who.
        holder: String,
    },
}

impl Keeper {
    /// For this controller (`holder` is its unique name), with leases of this length.
    #[must_use]
    pub const fn new(holder: String, length: Duration) -> Self {
        Self { holder, length, standing: Standing::Unknown, claims: None, claim: None }
    }

    /// Leaves the lease to others while these are used up.
    pub fn limit(&mut self, claims: Claims) {
        self.claims = Some(claims);
    }

    /// Our name.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// How long we may still write; zero where we do not hold it.
    #[must_use]
    pub fn remaining(&self, clock: &dyn Clock) -> Duration {
        match &self.standing {
            Standing::Holding { renewed, .. } => (*renewed + self.length).saturating_sub(clock.monotonic()),
            Standing::Watching { .. } | Standing::Unknown => Duration::ZERO,
        }
    }

    /// Takes the lease where it is free or has not changed for its whole length on our clock; renews it where we hold
    /// it and a third of it is used up.
    ///
    /// # Errors
    /// The store's. A conflict is no error: somebody else was faster.
    pub async fn ensure(
        &mut self,
        store: &dyn Store,
        target: &TargetId,
        clock: &dyn Clock,
    ) -> Result<Held, ControllerError> {
        if let Standing::Holding { version, epoch, renewed } = self.standing {
            let began = clock.monotonic();
            if began.saturating_sub(renewed) < self.length / 3 {
                return Ok(Held::Still { epoch });
            }
            // Counted from before the write: the others count from when they see it.
            match Leases::of(store, target).write(&self.lease(epoch, clock), Some(version)).await {
                Ok(version) => {
                    self.standing = Standing::Holding { version, epoch, renewed: began };
                    return Ok(Held::Still { epoch });
                }
                Err(error) if error.is_conflict() => self.standing = Standing::Unknown,
                Err(error) => return Err(error.into()),
            }
        }
        if let (Some(claims), None) = (&self.claims, &self.claim) {
            self.claim = claims.take();
            if self.claim.is_none() {
                // Watched anew once there is room: what was seen by then is old.
                self.standing = Standing::Unknown;
                let holder = "it is left to others, this one has as many targets as it may".to_owned();
                return Ok(Held::Elsewhere { holder });
            }
        }
        let taken = self.take(store, target, clock).await;
        if !matches!(taken, Ok(Held::Taken { .. })) {
            self.claim = None;
        }
        taken
    }

    async fn take(&mut self, store: &dyn Store, target: &TargetId, clock: &dyn Clock) -> Result<Held, ControllerError> {
        let leases = Leases::of(store, target);
        let began = clock.monotonic();
        let current = leases.read().await?;
        let seen = clock.monotonic();
        let (version, epoch) = match current {
            None => (None, 1),
            Some(current) => {
                let lease = current.value;
                // Ours from before: a write of ours was applied though its answer was lost.
                let free = lease.holder.is_none() || lease.holder.as_deref() == Some(&self.holder);
                if !free && !self.unchanged_for(current.version, &lease, (began, seen)) {
                    return Ok(Held::Elsewhere { holder: lease.holder.unwrap_or_default() });
                }
                (Some(current.version), lease.epoch + 1)
            }
        };
        match leases.write(&self.lease(epoch, clock), version).await {
            Ok(version) => {
                self.standing = Standing::Holding { version, epoch, renewed: began };
                Ok(Held::Taken { epoch })
            }
            Err(error) if error.is_conflict() => {
                self.standing = Standing::Unknown;
                Ok(Held::Elsewhere { holder: "another controller, just now".to_owned() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the lease has kept this version for its whole length, on our own clock. It was read between the two times:
    /// counted from the later one to the earlier one, as this process may have been suspended in between for longer than a
    /// lease, and have read what is quite new.
    fn unchanged_for(&mut self, version: u64, lease: &Lease, (asked, seen): (Duration, Duration)) -> bool {
        match &self.standing {
            Standing::Watching { version: known, since, .. } if *known == version => {
                asked.saturating_sub(*since) >= lease.length()
            }
            Standing::Watching { .. } | Standing::Holding { .. } | Standing::Unknown => {
                let holder = lease.holder.clone().unwrap_or_default();
                self.standing = Standing::Watching { version, since: seen, holder };
                false
            }
        }
    }

    /// Gives the lease up, so that another controller takes over at once. Best effort.
    pub async fn release(&mut self, store: &dyn Store, target: &TargetId, clock: &dyn Clock) {
        if !matches!(self.standing, Standing::Watching { .. })
            && let Err(error) = self.give_up(&Leases::of(store, target), clock).await
        {
            tracing::warn!(%target, error = %chain(&error), "the lease could not be given up; it runs out by itself");
        }
        self.standing = Standing::Unknown;
        self.claim = None;
    }

    /// Read before: it may bear our name though we no longer know that we hold it, as the answer to a write was lost.
    async fn give_up(&self, leases: &Leases<'_>, clock: &dyn Clock) -> Result<(), RecordError> {
        match leases.read().await? {
            Some(found) if found.value.holder.as_deref() == Some(&self.holder) => {
                let lease = Lease { holder: None, ..self.lease(found.value.epoch, clock) };
                leases.write(&lease, Some(found.version)).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    fn lease(&self, epoch: u64, clock: &dyn Clock) -> Lease {
        Lease {
            holder: Some(self.holder.clone()),
            epoch,
            length_millis: u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX),
            renewed_at: clock.now(),
        }
    }
}
