//! Deregistering a revision of ours, once: intent, call, outcome.
//!
//! The call names one revision and makes it INACTIVE: made twice it is made once. After a lost answer the revision itself
//! tells what became of it.

use super::advance::BY;
use super::books::Books;
use super::error::ControllerError;
use super::execute::Executor;
use super::gate::Direction;
use super::observe;
use crate::model::{Observed, Secrets, TaskDefinitionArn, Timestamp, chain};
use crate::policy::ScopeKeys;
use crate::ports::Operation;
use crate::ports::ecs::Outcome;
use crate::records::campaign::CampaignRecord;
use crate::records::events::Entry;
use crate::rollout::change::READ_LAG;
use crate::rollout::{Deregistration, Registration, RegistrationState};

impl Executor<'_> {
    /// Deregisters a revision that a registration of ours made, or that a call of ours made beside it, and that nothing
    /// runs and nothing names. What cannot be done now is tried again later.
    ///
    /// # Errors
    /// The store's, and a lost lease.
    pub async fn deregister(
        &mut self,
        books: &mut Books,
        registration: &Registration,
        arn: &TaskDefinitionArn,
    ) -> Result<(), ControllerError> {
        let Some(known) = books.registration_at(&registration.sort_key()) else { return Ok(()) };
        let before = known.deregistration(arn).cloned();
        // Reads may show it as it was: what is INACTIVE stays so.
        if before.as_ref().is_some_and(|before| before.done.is_some()) {
            return Ok(());
        }
        if let Some(before) = before.as_ref().filter(|before| before.done.is_none()) {
            match self.reading(observe::definition(self.ecs, arn.as_str(), self.now())).await? {
                Observed::Known { value, .. } if value.status == "ACTIVE" => {}
                Observed::Known { .. } | Observed::Absent { .. } => return self.deregistered(books, &known, arn).await,
                Observed::Unknown { .. } => return Ok(()),
            }
            if before.intent + READ_LAG > self.now() {
                return Ok(());
            }
        }
        if self.may_not(arn).await? {
            return Ok(());
        }
        let intent = Deregistration { arn: arn.clone(), intent: self.now(), done: None };
        let known = with(&known, arn, Some(intent));
        books.write_registration(known.clone()).await?;
        // Writing may have taken long, and the machine may have slept.
        if self.may_not(arn).await? {
            return books.write_registration(with(&known, arn, before)).await;
        }
        let input = serde_json::json!({ "taskDefinition": arn });
        match self.ecs.call(Operation::DeregisterTaskDefinition, input).await {
            Ok(_) => self.deregistered(books, &known, arn).await,
            Err(error) => {
                let told = error.told(&Secrets::default());
                tracing::warn!(target_id = %self.target, task_definition = arn.short(), error = %chain(&told), "could not deregister; tried again later");
                match error.outcome() {
                    // Nobody can tell: the intent stays, and the next look finds out.
                    Outcome::Unknown => Ok(()),
                    Outcome::NotApplied => books.write_registration(with(&known, arn, before)).await,
                }
            }
        }
    }

    /// Records that a revision is INACTIVE, if it is, where the answer to the call was lost.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn find_out_whether_deregistered(
        &self,
        books: &mut Books,
        registration: &Registration,
        arn: &TaskDefinitionArn,
    ) -> Result<(), ControllerError> {
        match self.reading(observe::definition(self.ecs, arn.as_str(), self.now())).await? {
            Observed::Known { value, .. } if value.status == "ACTIVE" => Ok(()),
            Observed::Known { .. } | Observed::Absent { .. } => self.deregistered(books, registration, arn).await,
            Observed::Unknown { .. } => Ok(()),
        }
    }

    async fn may_not(&mut self, arn: &TaskDefinitionArn) -> Result<bool, ControllerError> {
        // Taking back: a freeze does not keep a bad revision *latest*, unless it says so.
        let closed = self.closed(Operation::DeregisterTaskDefinition, &ScopeKeys::default(), Direction::Back).await?;
        if let Some(reason) = &closed {
            tracing::debug!(target_id = %self.target, task_definition = arn.short(), %reason, "not deregistered now");
        }
        Ok(closed.is_some())
    }

    /// It is INACTIVE: records and tells it.
    async fn deregistered(
        &self,
        books: &mut Books,
        known: &Registration,
        arn: &TaskDefinitionArn,
    ) -> Result<(), ControllerError> {
        let now = self.now();
        // Another of its revisions may have been told of since.
        let Some(known) = &books.registration_at(&known.sort_key()) else { return Ok(()) };
        let intent = known.deregistration(arn).map_or(now, |known| known.intent);
        let mut done = with(known, arn, Some(Deregistration { arn: arn.clone(), intent, done: Some(now) }));
        if known.state.revision() == Some(arn) {
            done.state = RegistrationState::Deregistered { arn: arn.clone() };
        }
        tracing::info!(target_id = %self.target, task_definition = arn.short(), "deregistered a revision of ours");
        let entry = of_deregistration(&done, arn, now);
        books.write_registration(done).await?;
        books.event(entry).await
    }
}

/// The registration with that said of a revision, or nothing.
fn with(known: &Registration, arn: &TaskDefinitionArn, said: Option<Deregistration>) -> Registration {
    let mut known = known.clone();
    known.deregistered.retain(|known| &known.arn != arn);
    known.deregistered.extend(said);
    known
}

/// Of a revision that was deregistered.
pub(super) fn of_deregistration(registration: &Registration, arn: &TaskDefinitionArn, now: Timestamp) -> Entry {
    let beside = if registration.state.revision() == Some(arn) { "did not stand" } else { "was made twice" };
    Entry {
        subject: format!("Registration/{}", arn.short()),
        at: now,
        what: "Deregistered".to_owned(),
        message: format!(
            "`{}`, which rollout `{}` registered, {beside}, and nothing runs it: it cannot be the family's latest any more",
            arn.short(),
            registration.rollout
        ),
        reason: None,
        by: BY.to_owned(),
    }
}
