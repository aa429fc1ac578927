//! A Command as it is printed: what is asked of the controller, and what came of it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::printed::Printed;
use crate::model::Timestamp;
use crate::records::command::{Answer, Ask, Command};

/// What a person asked of the controller.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CommandView {
    /// What was asked.
    spec: CommandSpec,
    /// What came of it, where that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Answer>,
}

/// What was asked, of whom and when. What is refused at once is not stored: it has no id.
#[derive(Debug, Serialize, JsonSchema)]
struct CommandSpec {
    /// `TIME-RANDOM`: unique, and in the order in which they were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// What is asked.
    ask: Ask,
    /// The caller's ARN, or what stands for it where there is no AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// When.
    at: Timestamp,
}

impl CommandSpec {
    fn of(command: &Command) -> Self {
        let Command { id, ask, by, at } = command.clone();
        Self { id: Some(id), ask, by: Some(by), at }
    }
}

impl Printed for CommandView {
    const KIND: &'static str = "Command";
}

/// A Command.
pub(super) fn asked(command: &Command) -> Value {
    CommandView { spec: CommandSpec::of(command), status: None }.to_json()
}

/// A Command, and what came of it.
pub(super) fn answered(command: &Command, answer: &Answer) -> Value {
    CommandView { spec: CommandSpec::of(command), status: Some(answer.clone()) }.to_json()
}

/// What is asked, and why it would be refused.
pub(super) fn refused(ask: Ask, answer: &Answer) -> Value {
    let spec = CommandSpec { id: None, ask, by: None, at: answer.at };
    CommandView { spec, status: Some(answer.clone()) }.to_json()
}
