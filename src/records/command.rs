//! What people ask of the controller, and what it answered.

use serde::{Deserialize, Serialize};

use super::typed::{self, RecordError};
use crate::model::{Hold, Resource};
use crate::model::{TargetId, Timestamp};
use crate::ports::Store;
use crate::ports::store::{Expect, Key};
use crate::rollout::command::Request;

/// A Command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
}

/// What became of a Command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Whether it was carried out.
    pub done: bool,
    /// What was done, or why not.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

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
        typed::put(self.store, &Key::new(self.inbox(), command.id.clone()), command, Expect::Absent).await.map(|_| ())
    }

    /// Commands that were not answered yet, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(&self) -> Result<Vec<Command>, RecordError> {
        let commands = typed::all::<Command>(self.store, &self.inbox(), "").await?;
        let mut open = Vec::new();
        for (_, command) in commands {
            if self.answer(&command.value.id).await?.is_none() {
                open.push(command.value);
            }
        }
        Ok(open)
    }

    /// Answers a Command, once.
    ///
    /// # Errors
    /// A conflict where it was answered before.
    pub async fn reply(&self, id: &str, answer: &Answer) -> Result<(), RecordError> {
        typed::put(self.store, &self.answer_key(id), answer, Expect::Absent).await.map(|_| ())
    }

    /// The answer to a Command, if there is one yet.
    ///
    /// # Errors
    /// The store's.
    pub async fn answer(&self, id: &str) -> Result<Option<Answer>, RecordError> {
        Ok(typed::get::<Answer>(self.store, self.answer_key(id)).await?.map(|answer| answer.value))
    }
}
