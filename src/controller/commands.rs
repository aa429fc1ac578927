//! Carrying out what people asked, once each, and answering.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::books::Books;
use super::error::ControllerError;
use super::execute::Executor;
use crate::model::{Hold, ReasonCode, ServiceArn, Timestamp, counted};
use crate::records::campaign::Campaign;
use crate::records::command::{Answer, Ask, Command, Commands};
use crate::records::events::{Entry, Events};
use crate::rollout::command::{Request, carry_out, retry_of_ended};
use crate::rollout::{Change, RolloutState, State};

/// What came of the open Commands.
pub struct Obeyed {
    /// How many were carried out or refused.
    pub carried_out: usize,
    /// Those that ask for a plan: still open.
    pub(super) plans: Vec<Command>,
}

impl Executor<'_> {
    /// Carries out every open Command, oldest first. Those that ask for a plan have to wait for one to hold it against.
    ///
    /// # Errors
    /// The store's, and a lost lease.
    pub async fn obey(
        &mut self,
        books: &mut Books,
        answered: &mut BTreeSet<String>,
    ) -> Result<Obeyed, ControllerError> {
        let commands = Commands::of(self.store, self.target);
        let open = commands.open_besides(answered).await?;
        let (plans, others): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|command| matches!(command.ask, Ask::Plan { .. }));
        for command in &others {
            self.go_on()?;
            let now = self.now();
            let answer = match self.carry_out(books, command, now).await? {
                Ok(message) => Answer { done: true, message, at: now, rollouts: Vec::new() },
                Err(message) => Answer { done: false, message, at: now, rollouts: Vec::new() },
            };
            books.confirm().await?;
            self.reply(command, &answer, answered).await?;
        }
        Ok(Obeyed { carried_out: others.len(), plans })
    }

    /// Answers a Command. A refusal is an event too: whoever did not wait for the answer finds it there.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn reply(
        &self,
        command: &Command,
        answer: &Answer,
        answered: &mut BTreeSet<String>,
    ) -> Result<(), ControllerError> {
        tracing::info!(target_id = %self.target, command = %command.id, by = %command.by, done = answer.done, answer = %answer.message, "command");
        if !answer.done {
            // Before the answer: whoever is stopped in between refuses it anew, and tells it once.
            let entry = Entry {
                subject: format!("Command/{}", command.id),
                at: answer.at,
                what: "Refused".to_owned(),
                message: match &command.ask {
                    Ask::Plan { plan } => format!("plan `{}`: {}", plan.id, answer.message),
                    _ => answer.message.clone(),
                },
                reason: None,
                by: command.by.clone(),
            };
            Events::of(self.store, self.target).append_once(entry, command.ask.about()).await?;
        }
        Commands::of(self.store, self.target).reply(&command.id, answer).await?;
        answered.insert(command.id.clone());
        Ok(())
    }

    async fn carry_out(
        &self,
        books: &mut Books,
        command: &Command,
        now: Timestamp,
    ) -> Result<Result<String, String>, ControllerError> {
        match &command.ask {
            Ask::Rollout { name, request } => self.ask_rollout(books, name, request, command, now).await,
            Ask::Hold { hold } => {
                books.add_hold(hold.clone(), now, &command.by).await?;
                Ok(Ok(format!("fixes are held off `{}`", hold.resource.short())))
            }
            Ask::Release { resource } => {
                // A person says otherwise: what an undo holds off this one may go on. Its others stay held.
                let undone =
                    |hold: &&Hold| &hold.resource == resource && hold.reason.code == ReasonCode::UndoneByPerson;
                let holds = books.holds.iter().map(|hold| &hold.value);
                let fixes: BTreeSet<String> = holds.filter(undone).map(|hold| hold.fix.clone()).collect();
                books.record.stopped_fixes.retain(|fix, _| !fixes.contains(fix));
                books.write_record().await?;
                let released = books.release(|hold| &hold.resource == resource, now, &command.by).await?;
                Ok(if released > 0 {
                    Ok(format!("released {} of `{}`", counted(released, "hold"), resource.short()))
                } else {
                    Err(format!("nothing is held off `{}`", resource.short()))
                })
            }
            // Held against the plan of this pass, in `asked`.
            Ask::Plan { plan } => Ok(Err(format!("plan {} was not held against the fleet", plan.id))),
        }
    }

    async fn ask_rollout(
        &self,
        books: &mut Books,
        name: &str,
        request: &Request,
        command: &Command,
        now: Timestamp,
    ) -> Result<Result<String, String>, ControllerError> {
        let by = command.by.as_str();
        let of_name = |campaign: &Campaign| campaign.rollout.value.name == name;
        // An ended rollout that is undone or tried again is open again.
        if let Some(place) = books.ended.iter().position(|campaign| of_name(campaign)) {
            let campaign = books.ended.remove(place);
            books.campaigns.push(Arc::unwrap_or_clone(campaign));
        }
        let found = books.campaigns.iter().enumerate().find(|(_, campaign)| of_name(campaign));
        let Some((place, mut campaign)) = found.map(|(place, campaign)| (place, campaign.clone())) else {
            return Ok(Err(format!("there is no rollout `{name}` in {}", self.target)));
        };
        if let (Request::Retry, true) = (request, campaign.rollout.value.state.is_final()) {
            return self.retry_ended(books, &campaign, command, now).await;
        }
        let done = format!("{} of rollout `{name}` was carried out", request.verb());
        // Carried out by a controller that ended before it could answer.
        if campaign.rollout.value.carried_out.as_ref() == Some(&command.id) {
            return Ok(Ok(done));
        }
        if let Request::Undo { service } = request
            && let Some(refusal) = built_upon(books, &campaign, service.as_ref())
        {
            return Ok(Err(refusal));
        }
        let before = campaign.rollout.value.state.clone();
        let states: Vec<State> = campaign.changes.iter().map(|change| change.value.state.clone()).collect();
        let mut changes: Vec<_> = campaign.changes.iter().map(|change| change.value.clone()).collect();
        if let Err(refused) = carry_out(&mut campaign.rollout.value, &mut changes, request, by, now) {
            return Ok(Err(refused.to_string()));
        }
        if matches!(request, Request::Resume | Request::Retry) {
            books.record.stopped_fixes.retain(|_, rollout| rollout != name);
        }
        if let Request::Retry = request {
            // What a person has undone of it stays undone.
            let failed =
                |hold: &Hold| hold.rollout.as_deref() == Some(name) && hold.reason.code != ReasonCode::UndoneByPerson;
            books.release(failed, now, by).await?;
        }
        // Holds first: a crash in between must not let the fix come back.
        for change in changes.iter().filter(|change| matches!(change.state, State::RollingBack { .. })) {
            if let State::RollingBack { cause, .. } = &change.state {
                books.hold(change, cause, now).await?;
            }
        }
        if let (Request::Undo { service: None }, RolloutState::RollingBack { cause, .. }) =
            (request, &campaign.rollout.value.state)
        {
            for change in &changes {
                books.hold(change, cause, now).await?;
            }
        }
        // What had not begun of a service is as unwanted there as what had.
        for change in &changes {
            if let (Request::Undo { service: Some(_) }, State::Deferred { reason, .. }) = (request, &change.state)
                && reason.code == ReasonCode::UndoneByPerson
            {
                books.hold(change, reason, now).await?;
            }
        }
        if matches!(request, Request::Abort) {
            books.stop_fixes(&campaign.rollout.value);
        }
        books.write_record().await?;
        // The rollout last: where a crash comes in between, the Command is open still and fits it as before.
        for ((stored, change), was) in campaign.changes.iter_mut().zip(changes).zip(&states) {
            if stored.value != change {
                stored.value = change;
                books.write_change(stored, was, now, by).await?;
            }
        }
        campaign.rollout.value.waiting = None;
        campaign.rollout.value.carried_out = Some(command.id.clone());
        books.write_rollout(&mut campaign.rollout, &before, now, by).await?;
        if let Some(slot) = books.campaigns.get_mut(place) {
            *slot = campaign;
        }
        Ok(Ok(done))
    }

    /// A rollout that has ended is not begun again: its fixes are set free, and the next plan takes them up.
    async fn retry_ended(
        &self,
        books: &mut Books,
        campaign: &Campaign,
        command: &Command,
        now: Timestamp,
    ) -> Result<Result<String, String>, ControllerError> {
        let (name, by) = (&campaign.rollout.value.name, command.by.as_str());
        let of_it = |hold: &Hold| hold.rollout.as_deref() == Some(name);
        let stopped = |books: &Books| {
            campaign.rollout.value.spec.fixes.iter().any(|fix| books.record.stopped_fixes.contains_key(fix))
        };
        let (was_stopped, held) = (stopped(books), books.holds.iter().any(|hold| of_it(&hold.value)));
        let changes: Vec<Change> = campaign.changes.iter().map(|change| change.value.clone()).collect();
        // One that ended before it could answer may have set free what there was.
        let again = campaign.rollout.value.carried_out.as_ref() == Some(&command.id);
        if let (false, Err(refused)) = (again, retry_of_ended(&campaign.rollout.value, &changes, held || was_stopped)) {
            return Ok(Err(refused.to_string()));
        }
        let place = books.campaigns.iter().position(|open| open.rollout.value.name == campaign.rollout.value.name);
        if let Some(mut rollout) = place.and_then(|place| books.campaigns.get(place)).map(|open| open.rollout.clone()) {
            let before = rollout.value.state.clone();
            rollout.value.retried_at = Some(now);
            rollout.value.carried_out = Some(command.id.clone());
            books.write_rollout(&mut rollout, &before, now, by).await?;
            if let Some(open) = place.and_then(|place| books.campaigns.get_mut(place)) {
                open.rollout = rollout;
            }
        }
        let rollout = &campaign.rollout.value;
        let released = books.release(of_it, now, by).await?;
        books.record.stopped_fixes.retain(|fix, _| !rollout.spec.fixes.contains(fix));
        books.write_record().await?;
        let freed = match (released, was_stopped || again) {
            (1.., _) => format!("{} released", counted(released, "hold")),
            (0, true) => "none of them is stopped any more".to_owned(),
            (0, false) => "none was held off; how often they were put back is counted anew".to_owned(),
        };
        Ok(Ok(format!("the fixes of rollout `{}` may go on: {freed}; the next pass plans them anew", rollout.name)))
    }
}

/// Why an undo has to wait: a later rollout of ours moved a service on from what this one made. Taken back in the other
/// order, the later fix would be lost with it.
fn built_upon(books: &Books, campaign: &Campaign, service: Option<&ServiceArn>) -> Option<String> {
    let asked = |change: &&Change| service.is_none() || change.spec.resource.service() == service;
    let changes = campaign.changes.iter().map(|change| &change.value).filter(asked).filter(|change| change.stands());
    let mut later = changes.filter_map(|change| books.built_upon(change));
    let first = later.next()?;
    let (name, other, resource) = (&campaign.rollout.value.name, &first.spec.rollout, first.spec.resource.short());
    let more = match later.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "cannot undo rollout `{name}`: rollout `{other}` has moved `{resource}`{more} on from what it made; undo that first with `plimsoll rollout undo {other}`, or one service at a time with `--service`"
    ))
}
