//! Making a revision, once: intent, call, look, compare.
//!
//! RegisterTaskDefinition has no client token. So the intent is recorded with the family's last number; whoever comes
//! after a crash or a lost answer looks for a newer revision that equals the wanted document before asking again.

use serde_json::{Map, Value};

use super::books::Books;
use super::error::ControllerError;
use super::execute::Executor;
use super::gate::{Direction, intended_too_long_ago};
use super::observe;
use crate::model::document::{self, register_input};
use crate::model::observed::TaskDefinition;
use crate::model::{Observed, Reason, ReasonCode, Secrets, TaskDefinitionArn, Timestamp, chain, wire};
use crate::plan::compare::{same_task_definition, task_definition_diff};
use crate::plan::moves::same_origin;
use crate::plan::ownership::same_principal;
use crate::policy::ScopeKeys;
use crate::ports::ecs::{Outcome, Retry};
use crate::ports::{EcsError, Operation};
use crate::records::documents::Documents;
use crate::rollout::change::READ_LAG;
use crate::rollout::late::LATE_CALLS;
use crate::rollout::{Change, Registration, RegistrationState, Stray};

/// What a registration came to in this pass.
pub enum Registered {
    /// It has come to something: see the registration.
    Settled,
    /// Not yet, for this reason; nothing is lost.
    Waiting(Reason),
    /// The change cannot be made now, for this reason, and nothing was made.
    Blocked(Reason),
}

/// What is to be registered, for whom, and which way it goes.
struct Order<'a> {
    document: &'a Map<String, Value>,
    keys: &'a ScopeKeys,
    /// Going back, the document is one that ran already: it is not kept from being *latest*.
    direction: Direction,
    now: Timestamp,
}

impl Executor<'_> {
    /// Brings the registration that a change needs one step further.
    ///
    /// # Errors
    /// The store's, and a lost lease. What ECS answers is an outcome, not an error.
    pub async fn register(
        &mut self,
        books: &mut Books,
        change: &Change,
        keys: &ScopeKeys,
        now: Timestamp,
    ) -> Result<Registered, ControllerError> {
        let (Some(documents), Some(from)) = (&change.spec.documents, &change.spec.from) else {
            let message = "the change does not say what to register".to_owned();
            return Ok(Registered::Blocked(Reason::of(ReasonCode::InvalidResult, message)));
        };
        // The next plan keeps it anew.
        let document = match Documents::of(self.store, self.target).get(&documents.wanted).await? {
            Ok(document) => document,
            Err(lost) => return Ok(Registered::Blocked(lost.reason())),
        };
        let order = Order { document: &document, keys, direction: Direction::Forward, now };
        let blank = blank(books, change, from, &documents.wanted, now);
        match books.registration(change).cloned() {
            None => self.begin(books, blank, &order).await,
            Some(known) => match known.state.clone() {
                RegistrationState::Intended { last, at } => self.recover(books, known, last, at, &order).await,
                RegistrationState::Registered { arn } => self.still_there(books, blank, &arn, &order).await,
                RegistrationState::Quarantined { .. } | RegistrationState::Refused { .. }
                    if known.rollout == change.spec.rollout =>
                {
                    Ok(Registered::Settled)
                }
                // It is still there, and would be forgotten: what is quarantined makes way first.
                RegistrationState::Quarantined { arn, .. } if self.is_active(&arn, now).await? => {
                    let message = format!("`{}`, which is quarantined, makes way first", arn.short());
                    Ok(Registered::Waiting(Reason::of(ReasonCode::NotObserved, message)))
                }
                // An earlier rollout's: a person has asked to try again since.
                RegistrationState::Quarantined { .. }
                | RegistrationState::Refused { .. }
                | RegistrationState::Deregistered { .. } => self.begin(books, blank, &order).await,
            },
        }
    }

    /// Makes sure that there is an ACTIVE revision to go back to: the one that the change came from, or its document
    /// again, with the digests that ran if a tag has moved since. Which, and whether, [`Books::restoration`] says where this is settled.
    ///
    /// # Errors
    /// The store's, and a lost lease. What ECS answers is an outcome, not an error.
    pub async fn restore(
        &mut self,
        books: &mut Books,
        change: &Change,
        keys: &ScopeKeys,
        now: Timestamp,
    ) -> Result<Registered, ControllerError> {
        let (Some(documents), Some(from)) = (&change.spec.documents, &change.spec.from) else {
            let message = "the change does not say where it came from".to_owned();
            return Ok(Registered::Blocked(Reason::of(ReasonCode::InvalidResult, message)));
        };
        let blank = blank(books, change, from, &documents.previous, now);
        let known = books.restoration(change).cloned();
        let candidate = match known.as_ref().map(|known| &known.state) {
            Some(RegistrationState::Registered { arn }) => Some(arn),
            // Its tags stand for other images by now.
            _ if documents.recorded => None,
            _ => Some(from),
        };
        if let Some(candidate) = candidate {
            match self.reading(observe::definition(self.ecs, candidate.as_str(), now)).await? {
                Observed::Known { value, .. } if value.status == "ACTIVE" => {
                    if candidate == from {
                        let state = RegistrationState::Registered { arn: from.clone() };
                        books.write_registration(Registration { state, adopted: true, ..blank }).await?;
                    }
                    return Ok(Registered::Settled);
                }
                Observed::Known { .. } | Observed::Absent { .. } => {}
                Observed::Unknown { why, .. } => {
                    return Ok(Registered::Waiting(Reason::of(ReasonCode::NotObserved, why)));
                }
            }
        }
        let document = match Documents::of(self.store, self.target).get(&documents.previous).await? {
            Ok(document) => document,
            Err(lost) => {
                let message = format!("`{}` cannot be gone back to, for it is not ACTIVE, and {lost}", from.short());
                return Ok(Registered::Blocked(Reason::of(ReasonCode::DocumentLost, message)));
            }
        };
        let order = Order { document: &document, keys, direction: Direction::Back, now };
        match known {
            Some(known) => match known.state.clone() {
                RegistrationState::Intended { last, at } => self.recover(books, known, last, at, &order).await,
                // ECS does not make of it what it was: another try would make another that differs.
                RegistrationState::Quarantined { .. } => Ok(Registered::Settled),
                // What was refused failed its change: only a person's undo comes here again.
                RegistrationState::Registered { .. }
                | RegistrationState::Refused { .. }
                | RegistrationState::Deregistered { .. } => self.intend(books, blank, &order).await,
            },
            None => self.intend(books, blank, &order).await,
        }
    }

    /// Whether a revision is ACTIVE, or may be.
    async fn is_active(&self, arn: &TaskDefinitionArn, now: Timestamp) -> Result<bool, ControllerError> {
        Ok(match self.reading(observe::definition(self.ecs, arn.as_str(), now)).await? {
            Observed::Known { value, .. } => value.status == "ACTIVE",
            Observed::Absent { .. } => false,
            Observed::Unknown { .. } => true,
        })
    }

    /// A revision made earlier, perhaps by another rollout: still ACTIVE and still what is wanted?
    async fn still_there(
        &mut self,
        books: &mut Books,
        blank: Registration,
        arn: &TaskDefinitionArn,
        order: &Order<'_>,
    ) -> Result<Registered, ControllerError> {
        match self.reading(observe::definition(self.ecs, arn.as_str(), order.now)).await? {
            Observed::Known { value, .. } if value.status == "ACTIVE" && !books.is_deregistered(arn) => {
                Ok(Registered::Settled)
            }
            Observed::Known { .. } | Observed::Absent { .. } => self.begin(books, blank, order).await,
            Observed::Unknown { why, .. } => Ok(Registered::Waiting(Reason::of(ReasonCode::NotObserved, why))),
        }
    }

    /// Nothing was made yet: look at the family, record the intent, make the call.
    async fn begin(
        &mut self,
        books: &mut Books,
        registration: Registration,
        order: &Order<'_>,
    ) -> Result<Registered, ControllerError> {
        match self.reading(observe::latest_of(self.ecs, &registration.family, order.now)).await? {
            Observed::Known { value, .. } if value.arn == registration.from => {}
            Observed::Known { value, .. } if books.is_deregistered(&value.arn) => {
                let message = format!("`{}`, which was deregistered, is shown as ACTIVE still", value.arn.short());
                return Ok(Registered::Waiting(Reason::of(ReasonCode::NotObserved, message)));
            }
            Observed::Known { value, .. } if books.quarantined().contains(&value.arn) => {
                let message = format!("`{}`, which is quarantined, makes way first", value.arn.short());
                return Ok(Registered::Waiting(Reason::of(ReasonCode::NotObserved, message)));
            }
            // A newer one that equals what we want is adopted, not in the way. It stays its maker's.
            Observed::Known { value, .. }
                if register_input(&value).is_ok_and(|input| same_task_definition(&input, order.document)) =>
            {
                // Where a call of ours may have made it, it is as good as found by `recover`, whose look came too early.
                if let Some(above) = registration.stray.as_ref().map(|stray| stray.above) {
                    return self.judge(books, registration, above, &value, order).await;
                }
                let state = RegistrationState::Registered { arn: value.arn.clone() };
                books.write_registration(Registration { state, adopted: true, ..registration }).await?;
                return Ok(Registered::Settled);
            }
            // A sibling's fix is no newer code.
            Observed::Known { value, .. } if same_origin(&books.made(), &value.arn, &registration.from) => {}
            Observed::Known { value, .. } => {
                let message = format!(
                    "the family's latest revision is `{}`, newer than `{}`",
                    value.arn.short(),
                    registration.from.short()
                );
                return Ok(Registered::Blocked(Reason::of(ReasonCode::FamilyAhead, message)));
            }
            Observed::Absent { .. } => {}
            Observed::Unknown { why, .. } => return Ok(Registered::Waiting(Reason::of(ReasonCode::NotObserved, why))),
        }
        self.intend(books, registration, order).await
    }

    /// Records the intent with the family's last number, and makes the call.
    async fn intend(
        &mut self,
        books: &mut Books,
        registration: Registration,
        order: &Order<'_>,
    ) -> Result<Registered, ControllerError> {
        let last = match self.reading(observe::last_revision(self.ecs, &registration.family)).await? {
            Ok(last) => last.max(registration.from.revision().get()),
            Err(error) => return Ok(Registered::Waiting(Reason::of(ReasonCode::NotObserved, chain(&error)))),
        };
        if let Some(reason) = self.closed(Operation::RegisterTaskDefinition, order.keys, order.direction).await? {
            return Ok(Registered::Waiting(reason));
        }
        let at = self.now();
        let state = RegistrationState::Intended { last, at };
        let intended = Registration { state, adopted: false, heard: None, ..registration };
        books.write_registration(intended.clone()).await?;
        // Writing may have taken long, and the machine may have slept. Nothing was called yet, so the intent goes again.
        let closed = self.closed(Operation::RegisterTaskDefinition, order.keys, order.direction).await?;
        if let Some(reason) = closed.or_else(|| intended_too_long_ago(at, self.now())) {
            books.forget_intent(&intended).await?;
            return Ok(Registered::Waiting(reason));
        }
        self.call_register(books, intended, last, order).await
    }

    /// The call was intended before, and nobody knows what became of it.
    async fn recover(
        &mut self,
        books: &mut Books,
        registration: Registration,
        last: u32,
        at: Timestamp,
        order: &Order<'_>,
    ) -> Result<Registered, ControllerError> {
        let above = match self.reading(self.may_be_made(&registration, last)).await? {
            Ok(above) => above,
            Err(error) => return Ok(Registered::Waiting(Reason::of(ReasonCode::NotObserved, chain(&error)))),
        };
        for arn in above.into_iter().filter(|arn| !books.is_deregistered(arn)).collect::<Vec<_>>() {
            match self.reading(observe::definition(self.ecs, arn.as_str(), order.now)).await? {
                Observed::Known { value, .. }
                    if register_input(&value).is_ok_and(|input| same_task_definition(&input, order.document)) =>
                {
                    return self.judge(books, registration, last, &value, order).await;
                }
                Observed::Known { .. } | Observed::Absent { .. } => {}
                Observed::Unknown { why, .. } => {
                    return Ok(Registered::Waiting(Reason::of(ReasonCode::NotObserved, why)));
                }
            }
        }
        if at + READ_LAG > order.now {
            let reason = Reason::of(ReasonCode::OutcomeUnknown, "whether ECS made the revision is not known yet");
            return Ok(Registered::Waiting(reason.until(at + READ_LAG)));
        }
        // SAFETY of repeat: reads have caught up, and no newer revision equals the wanted one: the call did not arrive.
        // Should it arrive late all the same, what it makes is looked for, and deregistered.
        let stray = Some(Stray { above: first_above(&registration, last), until: order.now + LATE_CALLS });
        let registration = Registration { stray, ..registration };
        match order.direction {
            Direction::Forward => self.begin(books, registration, order).await,
            Direction::Back => self.intend(books, registration, order).await,
        }
    }

    /// The revisions that a call may have made: the one that its reply named, else what the family has got since the first
    /// call was intended. When it was repeated, the family may have shown what the call before had made, or not.
    ///
    /// # Errors
    /// ECS's.
    pub async fn may_be_made(
        &self,
        registration: &Registration,
        last: u32,
    ) -> Result<Vec<TaskDefinitionArn>, ControllerError> {
        match &registration.heard {
            Some(heard) => Ok(vec![heard.clone()]),
            None => observe::revisions_above(self.ecs, &registration.family, first_above(registration, last)).await,
        }
    }

    async fn call_register(
        &mut self,
        books: &mut Books,
        registration: Registration,
        last: u32,
        order: &Order<'_>,
    ) -> Result<Registered, ControllerError> {
        let answer = self.ecs.call(Operation::RegisterTaskDefinition, Value::Object(order.document.clone())).await;
        let error = match answer {
            Ok(answer) => return self.look_at(books, registration, last, &answer, order).await,
            Err(error) => error,
        };
        // It may say which value ECS does not take.
        let told = error.told(&Secrets::of([&Value::Object(order.document.clone())]));
        tracing::warn!(target_id = %self.target, family = %registration.family, error = %chain(&told), "the revision was not registered");
        match (error.outcome(), error.retry()) {
            (Outcome::Unknown, _) => Ok(Registered::Waiting(
                Reason::of(ReasonCode::OutcomeUnknown, told.to_string()).until(order.now + READ_LAG),
            )),
            (Outcome::NotApplied, Retry::Soon | Retry::Wait) => {
                books.forget_intent(&registration).await?;
                Ok(Registered::Waiting(Reason::of(code_of(&error), told.to_string())))
            }
            (Outcome::NotApplied, Retry::Stop) => {
                let reason = Reason::of(code_of(&error), told.to_string());
                let state = RegistrationState::Refused { reason };
                books.write_registration(Registration { state, ..registration }).await?;
                Ok(Registered::Settled)
            }
        }
    }

    /// ECS has made it: read it again, as ECS will run it.
    async fn look_at(
        &mut self,
        books: &mut Books,
        registration: Registration,
        last: u32,
        answer: &Value,
        order: &Order<'_>,
    ) -> Result<Registered, ControllerError> {
        let unknown = |why: String| Ok(Registered::Waiting(Reason::of(ReasonCode::OutcomeUnknown, why)));
        let arn = match wire::task_definition(answer) {
            Ok(made) => made.arn,
            Err(error) => return unknown(error.to_string()),
        };
        let registration = Registration { heard: Some(arn.clone()), ..registration };
        // Told to stop, what the answer said is kept all the same: whoever takes over looks.
        let unread = |_| Observed::Unknown { since: order.now, why: "this controller was told to stop".to_owned() };
        let found = self.reading(observe::definition(self.ecs, arn.as_str(), order.now)).await.unwrap_or_else(unread);
        match found {
            Observed::Known { value, .. } => self.judge(books, registration, last, &value, order).await,
            // Reads lag: the intent stays, and the next pass finds it.
            lagging => {
                let why = match lagging {
                    Observed::Unknown { why, .. } => why,
                    _ => format!("`{}` was made and cannot be read yet", arn.short()),
                };
                books.write_registration(registration).await?;
                unknown(why)
            }
        }
    }

    /// Whether a revision was registered by us, as ECS tells it. Where it does not, it was not.
    pub(super) fn is_by_us(&self, made: &TaskDefinition) -> bool {
        made.registered_by.as_deref().is_some_and(|by| same_principal(by, self.caller))
    }

    /// Is what ECS made what was asked for, and nobody's revision in between?
    async fn judge(
        &mut self,
        books: &mut Books,
        registration: Registration,
        last: u32,
        made: &TaskDefinition,
        order: &Order<'_>,
    ) -> Result<Registered, ControllerError> {
        let (arn, first) = (made.arn.clone(), first_above(&registration, last));
        // Where nobody heard of the call, what is equal may be somebody else's: then it hides nobody's newer code.
        let adopted = registration.heard.as_ref() != Some(&made.arn) && !self.is_by_us(made);
        let next_to = |stood: u32| arn.revision().get().checked_sub(1) == Some(stood);
        let state = match differences(order.document, made) {
            Err(reason) => RegistrationState::Quarantined { arn, reason },
            // What a service is brought back to has run before: somebody's newer revision is no reason not to.
            Ok(()) if order.direction == Direction::Forward && !adopted && !next_to(last) && !next_to(first) => {
                let message = format!(
                    "`{}` was made, but the family stood at {last} right before: somebody registered in between; no service moves to it",
                    arn.short()
                );
                RegistrationState::Quarantined { arn, reason: Reason::of(ReasonCode::FamilyMoved, message) }
            }
            Ok(()) => RegistrationState::Registered { arn },
        };
        // Then what ours made, or makes yet, is beside it.
        let beside = adopted.then(|| Stray { above: first, until: self.now() + LATE_CALLS });
        let stray = beside.or_else(|| registration.stray.clone());
        books.write_registration(Registration { state, adopted, stray, heard: None, ..registration }).await?;
        Ok(Registered::Settled)
    }
}

/// A registration of which nothing is known yet.
fn blank(books: &Books, change: &Change, from: &TaskDefinitionArn, document: &str, now: Timestamp) -> Registration {
    // Whatever else begins anew, what ECS was told is not forgotten.
    let same = |known: &&Registration| known.wanted == document && &known.from == from;
    let known = books.registrations.iter().map(|known| &known.value).find(same);
    let deregistered = known.map(|known| known.deregistered.clone()).unwrap_or_default();
    let stray = known.and_then(|known| known.stray.clone()).filter(|stray| stray.until > now);
    Registration {
        family: from.family().to_owned(),
        from: from.clone(),
        wanted: document.to_owned(),
        rollout: change.spec.rollout.clone(),
        adopted: false,
        state: RegistrationState::Intended { last: 0, at: now },
        heard: None,
        epoch: books.epoch,
        stray,
        deregistered,
    }
}

/// Compares what ECS made with what was asked for, as ECS would: only pointers are told, never values.
fn differences(wanted: &Map<String, Value>, made: &TaskDefinition) -> Result<(), Reason> {
    let differs = |message| Err(Reason::of(ReasonCode::RegisteredDiffers, message));
    let input = match register_input(made) {
        Ok(input) => input,
        Err(unknown) => return differs(format!("`{}`: {unknown}", made.arn.short())),
    };
    let entries = task_definition_diff(wanted, &input);
    if entries.is_empty() {
        return Ok(());
    }
    let paths: Vec<&str> = entries.iter().take(5).map(|entry| entry.path.as_str()).collect();
    let more = entries.len().saturating_sub(paths.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    differs(format!(
        "ECS registered `{}` with other values than were asked for at {}{more}; no service moves to it",
        made.arn.short(),
        paths.join(", ")
    ))
}

/// The reason that an error of ECS's stands for.
pub(super) fn code_of(error: &EcsError) -> ReasonCode {
    match error {
        EcsError::Throttled { .. } => ReasonCode::Throttled,
        EcsError::Refused { code, .. } if code.starts_with("AccessDenied") => ReasonCode::AccessDenied,
        EcsError::Refused { .. } => ReasonCode::Refused,
        EcsError::NoAnswer { .. } | EcsError::NotSent { .. } => ReasonCode::OutcomeUnknown,
    }
}

/// Above which number a revision may be of one of the calls: `last` is what the family had when the latest was intended.
fn first_above(registration: &Registration, last: u32) -> u32 {
    registration.stray.as_ref().map_or(last, |stray| stray.above.min(last))
}

/// The hash of a document, as it is kept.
#[must_use]
pub fn hash_of(input: &Map<String, Value>) -> String {
    document::hash(&Value::Object(input.clone()))
}
