//! Plans that people ask for: carried out exactly as they were shown, or refused with what has changed since.
//!
//! What is asked for is no approval, and opens no window: the rollouts that come of it wait as any others do.

use std::collections::BTreeSet;

use super::begin::{self, Origin};
use super::books::Books;
use super::error::ControllerError;
use super::execute::Executor;
use crate::model::Timestamp;
use crate::model::observed::Fleet;
use crate::plan::Plan;
use crate::plan::saved::SavedPlan;
use crate::records::command::{Answer, Ask, Command};
use crate::rollout::asked::{self, Fit, Live};
use crate::rollout::{Change, Rollout, RolloutState};

impl Executor<'_> {
    /// Holds every plan that is asked for against what would be done now, and says how many rollouts were begun.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn obey_plans(
        &self,
        books: &mut Books,
        commands: &[Command],
        (fleet, plan): (&Fleet, &Plan),
        answered: &mut BTreeSet<String>,
    ) -> Result<usize, ControllerError> {
        let mut created = 0;
        for command in commands {
            let Ask::Plan { plan: wanted } = &command.ask else { continue };
            let now = self.now();
            let answer = match fits(books, wanted, fleet, plan) {
                Ok(fits) => {
                    let mut rollouts = Vec::with_capacity(fits.len());
                    for fit in fits {
                        let made = matches!(fit, Fit::Make { .. });
                        rollouts.push(self.carry_out_fit(books, fit, wanted, plan, command).await?);
                        created += usize::from(made);
                    }
                    Answer { done: true, message: carried(books, &rollouts), at: now, rollouts }
                }
                Err(message) => Answer { done: false, message, at: now, rollouts: Vec::new() },
            };
            self.reply(command, &answer, answered).await?;
        }
        Ok(created)
    }

    /// Without policies in force nothing can be held against anything.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn refuse_plans(
        &self,
        commands: &[Command],
        why: &ControllerError,
        answered: &mut BTreeSet<String>,
    ) -> Result<(), ControllerError> {
        for command in commands {
            let answer = Answer { done: false, message: why.to_string(), at: self.now(), rollouts: Vec::new() };
            self.reply(command, &answer, answered).await?;
        }
        Ok(())
    }

    async fn carry_out_fit(
        &self,
        books: &mut Books,
        fit: Fit,
        wanted: &SavedPlan,
        plan: &Plan,
        command: &Command,
    ) -> Result<String, ControllerError> {
        let now: Timestamp = self.now();
        match fit {
            Fit::Carried { rollout } => Ok(rollout),
            Fit::Make { campaign, instead_of } => {
                for name in instead_of {
                    let place = books.campaigns.iter().position(|open| open.rollout.value.name == name);
                    if let Some(place) = place {
                        let why = format!("plan {} was asked for instead", wanted.id);
                        begin::supersede(books, place, &why, now, &command.by).await?;
                    }
                }
                let origin = Origin { plan: &wanted.id, services: plan.services.len(), asked: Some(command) };
                begin::begin(books, self.store, self.target, &campaign, &origin, now).await
            }
        }
    }
}

fn fits(books: &Books, wanted: &SavedPlan, fleet: &Fleet, plan: &Plan) -> Result<Vec<Fit>, String> {
    let rollouts: Vec<(&Rollout, Vec<&Change>)> = books
        .all()
        .map(|campaign| (&campaign.rollout.value, campaign.changes.iter().map(|change| &change.value).collect()))
        .collect();
    asked::fit(wanted, &Live { fleet, plan, rollouts: &rollouts }).map_err(|differences| asked::told(&differences))
}

fn carried(books: &Books, rollouts: &[String]) -> String {
    let told = |name: &String| {
        let state = books.all().map(|campaign| &campaign.rollout.value).find(|rollout| rollout.name == *name);
        match state.map(|rollout| &rollout.state) {
            Some(RolloutState::Proposed { reason }) => {
                format!("rollout `{name}`, which waits for `plimsoll rollout approve {name}` ({reason})")
            }
            _ => format!("rollout `{name}`"),
        }
    };
    format!("the plan is carried out by {}", rollouts.iter().map(told).collect::<Vec<_>>().join(" and "))
}
