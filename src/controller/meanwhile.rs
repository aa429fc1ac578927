//! What goes on while the fleet is read: within ECS's rates a large one takes longer than a lease, and much longer than a
//! deployment may go unwatched.

use std::time::Duration;

use super::books::Books;
use super::error::ControllerError;
use super::execute::Executor;
use super::lease::Held;

impl Executor<'_> {
    /// Does some reading, and meanwhile renews the lease and looks after what is in flight, as often as ever.
    ///
    /// Ends at once when it is to stop: what was read is of no use to whoever goes on.
    ///
    /// What is read may be older than what was moved meanwhile: whoever decides from it leaves alone what an open rollout
    /// had in hand when the reading began.
    ///
    /// # Errors
    /// The store's, and a lost lease.
    pub(super) async fn meanwhile<T>(
        &mut self,
        books: &mut Books,
        lease: Duration,
        poll: Duration,
        reading: impl Future<Output = T>,
    ) -> Result<T, ControllerError> {
        tokio::pin!(reading);
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(ControllerError::Stopped),
                read = &mut reading => return Ok(read),
                () = self.clock.sleep(poll.min(lease / 3)) => {}
            }
            match self.gate.keeper.ensure(self.store, self.target, self.clock).await? {
                Held::Still { .. } => {}
                Held::Taken { .. } | Held::Elsewhere { .. } => {
                    let holder = "it was lost while the fleet was being read".to_owned();
                    return Err(ControllerError::NotHolder { target: self.target.to_string(), holder });
                }
            }
            if books.campaigns.is_empty() {
                continue;
            }
            self.gate.refresh(self.store).await?;
            let mut read = None;
            {
                // Both at once: whoever reads may stand in the way of whoever looks after changes, at a budget.
                let moving = self.advance(books);
                tokio::pin!(moving);
                loop {
                    tokio::select! {
                        biased;
                        moved = &mut moving => break moved?,
                        done = &mut reading, if read.is_none() => read = Some(done),
                    }
                }
            }
            if let Some(read) = read {
                return Ok(read);
            }
        }
    }
}
