//! What people ask of the controller, and what it answered.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::items::{self, ItemKind};
use super::typed::{self, RecordError, Stored};
use crate::model::{Hold, Resource};
use crate::model::{TargetId, Timestamp};
use crate::plan::saved::SavedPlan;
use crate::ports::Store;
use crate::ports::store::{Expect, Key};
use crate::rollout::command::Request;

/// A Command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// `TIME-RANDOM`: unique, and in the order in which they were asked.
    pub id: String,
    /// What is asked.
    pub ask: Ask,
    /// The caller's ARN, or what stands for it where there is no AWS.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "of", rename_all = "camelCase")]
pub enum Ask {
    /// Something of a rollout.
    Rollout {
        /// Its name.
        name: String,
        /// What.
        request: Request,
    },
    /// To hold fixes off a resource.
    Hold {
        /// The hold.
        hold: Hold,
    },
    /// To release every hold of a resource.
    Release {
        /// Of what.
        resource: Resource,
    },
    /// To carry out exactly this plan.
    Plan {
        /// The plan.
        plan: SavedPlan,
    },
}

impl Ask {
    /// What its events are about besides itself, as subjects.
    #[must_use]
    pub fn about(&self) -> Vec<String> {
        match self {
            Self::Rollout { name, .. } => vec![format!("Rollout/{name}")],
            Self::Hold { hold } => vec![format!("Hold/{}", hold.resource.short())],
            Self::Release { resource } => vec![format!("Hold/{}", resource.short())],
            Self::Plan { .. } => Vec::new(),
        }
    }
}

/// What became of a Command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Whether it was carried out.
    pub done: bool,
    /// What was done, or why not.
    pub message: String,
    /// When.
    pub at: Timestamp,
    /// The rollouts that do what was asked, where it was a plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollouts: Vec<String>,
}

impl Stored for Command {
    const ITEM: &'static ItemKind = &items::COMMAND;
}

impl Stored for Answer {
    const ITEM: &'static ItemKind = &items::ANSWER;
}

/// How long a Command is kept: long enough for any controller to come back, short enough for the inbox to stay small.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The Commands of one target.
#[derive(Clone, Copy)]
pub struct Commands<'a> {
    store: &'a dyn Store,
    target: &'a TargetId,
}

impl<'a> Commands<'a> {
    /// Of this target in this store.
    #[must_use]
    pub fn of(store: &'a dyn Store, target: &'a TargetId) -> Self {
        Self { store, target }
    }

    fn inbox(&self) -> String {
        format!("cmd#{}", self.target)
    }

    fn answer_key(&self, id: &str) -> Key {
        Key::new(format!("rt#{}", self.target), format!("answer#{id}"))
    }

    /// Stores a Command for the lease holder.
    ///
    /// # Errors
    /// The store's.
    pub async fn ask(&self, command: &Command) -> Result<(), RecordError> {
        let key = Key::new(self.inbox(), command.id.clone());
        let expires = Some(command.at + KEPT);
        typed::put_until(self.store, &key, command, Expect::Absent, expires).await.map(|_| ())
    }

    /// Commands that were not answered yet, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(&self) -> Result<Vec<Command>, RecordError> {
        self.open_besides(&mut BTreeSet::new()).await
    }

    /// The same, without asking again about those that are `answered`; it learns of others, and forgets those that
    /// are no longer kept.
    ///
    /// # Errors
    /// The store's.
    pub async fn open_besides(&self, answered: &mut BTreeSet<String>) -> Result<Vec<Command>, RecordError> {
        let commands: Vec<Command> = typed::all::<Command>(self.store, &self.inbox(), "")
            .await?
            .into_iter()
            .map(|(_, command)| command.value)
            .collect();
        answered.retain(|id| commands.iter().any(|command| command.id == *id));
        let unsure: Vec<&Command> = commands.iter().filter(|command| !answered.contains(&command.id)).collect();
        let mut open = Vec::new();
        for batch in unsure.chunks(100) {
            let keys: Vec<Key> = batch.iter().map(|command| self.answer_key(&command.id)).collect();
            let answers = self.store.get(&keys).await.map_err(typed::failed("reading answers"))?;
            for (command, answer) in batch.iter().zip(answers) {
                match answer {
                    Some(_) => {
                        answered.insert(command.id.clone());
                    }
                    None => open.push((*command).clone()),
                }
            }
        }
        Ok(open)
    }

    /// Answers a Command, once.
    ///
    /// # Errors
    /// A conflict where it was answered before.
    pub async fn reply(&self, id: &str, answer: &Answer) -> Result<(), RecordError> {
        // Kept longer than its Command, which would otherwise be carried out again.
        let expires = Some(answer.at + KEPT + KEPT);
        typed::put_until(self.store, &self.answer_key(id), answer, Expect::Absent, expires).await.map(|_| ())
    }

    /// The answer to a Command, if there is one yet.
    ///
    /// # Errors
    /// The store's.
    pub async fn answer(&self, id: &str) -> Result<Option<Answer>, RecordError> {
        Ok(typed::get::<Answer>(self.store, self.answer_key(id)).await?.map(|answer| answer.value))
    }
}
