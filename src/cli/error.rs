//! What went wrong, as people and scripts read it: once, at the edge, with its causes and what to do next.

use std::process::ExitCode;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::output;
use super::printed::Printed;
use crate::aws::AwsError;
use crate::manifest::Diagnostic;
use crate::model::chain;
use crate::model::mask::clean_text;
use crate::ports::{EcsError, StoreError};
use crate::records::RecordError;

/// The answer of a command that could be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes, or done: exit code 0.
    Yes,
    /// No: findings, drift, failed tests, a failed rollout. Exit code 1.
    No,
}

impl Answer {
    /// Yes where `yes`.
    #[must_use]
    pub const fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    /// The exit code of the contract.
    #[must_use]
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Yes => ExitCode::SUCCESS,
            Self::No => ExitCode::from(1),
        }
    }
}

/// A command that could not be answered: bad input, no access, bad usage. Exit code 2.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Error {
    /// What went wrong, in a sentence.
    message: String,
    /// Why, from the outside in.
    causes: Vec<String>,
    /// What to do about it.
    help: Option<String>,
    /// Everything that is wrong with files, each with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<Diagnostic>,
}

impl Printed for Error {
    const KIND: &'static str = "Error";
}

impl Error {
    /// In a sentence: lower-case, without a full stop, user input in backticks.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Everything that is wrong with files; `message` says what came of it.
    pub fn input(message: impl Into<String>, diagnostics: Vec<Diagnostic>) -> Self {
        Self { message: message.into(), diagnostics, ..Self::default() }
    }

    /// With what to do next, unless it is known already.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.get_or_insert_with(|| help.into());
        self
    }

    /// Without what to do next: for where the code of a reason says it.
    #[must_use]
    pub fn without_help(self) -> Self {
        Self { help: None, ..self }
    }

    /// With what was being done in front; what it said becomes the first cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let cause = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, cause);
        self
    }

    /// With a cause more.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// The whole of it in one line, for talk.
    #[must_use]
    pub fn one_line(&self) -> String {
        let mut text = self.message.clone();
        for cause in &self.causes {
            text.push_str(": ");
            text.push_str(cause);
        }
        if let Some(help) = &self.help {
            text.push_str("; ");
            text.push_str(help);
        }
        clean_text(&text)
    }

    /// The shape of DESIGN §7, with the places in files where there are any.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Printed::to_json(self)
    }

    /// Writes it as a line of the log, for what reads nothing else of a controller: it needs a person.
    pub fn log(&self) {
        let causes = (!self.causes.is_empty()).then(|| clean_text(&self.causes.join(": ")));
        let found: Vec<String> = self.diagnostics.iter().map(ToString::to_string).collect();
        let diagnostics = (!found.is_empty()).then(|| clean_text(&found.join("; ")));
        let help = self.help.as_deref().map(clean_text);
        tracing::error!(causes, diagnostics, help, "{}", clean_text(&self.message));
    }

    /// Prints it to stderr, once.
    pub fn print(&self, as_json: bool, color: bool) {
        if as_json {
            output::talk(&self.to_json().to_string());
            return;
        }
        for diagnostic in &self.diagnostics {
            output::talk(&diagnostic.render(color));
            output::talk("");
        }
        output::talk(&format!("error: {}", clean_text(&self.message)));
        for cause in &self.causes {
            output::talk(&format!("  because: {}", clean_text(cause)));
        }
        if let Some(help) = &self.help {
            output::talk(&format!("  help: {}", clean_text(help)));
        }
    }
}

impl From<AwsError> for Error {
    fn from(error: AwsError) -> Self {
        let help = error.help();
        let message = match &error {
            // The SDK tells every place it has looked at; what to do about it is the same for all of them.
            AwsError::NoCredentials { message } => {
                tracing::debug!(message, "no credentials");
                "no AWS credentials were found".to_owned()
            }
            AwsError::Unreachable { message } => format!("the AWS endpoint cannot be reached: {}", innermost(message)),
            _ => error.to_string(),
        };
        Self::new(message).help(help)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let help = store_help(&error);
        let message = match &error {
            StoreError::Denied { store, message } if message.contains("no credentials found") => {
                tracing::debug!(message, "no credentials");
                return Self::new(format!("no AWS credentials were found, and `{store}` needs some"))
                    .help("set AWS_PROFILE, sign in with `aws sso login`, or name a store on this machine with --store file:PATH");
            }
            StoreError::Conflict { key } => match key.partition.strip_prefix("cfg#") {
                Some(class) => {
                    format!("somebody else changed {} at the same time: yours are not in force", plural(class))
                }
                None => error.to_string(),
            },
            StoreError::Unavailable { store, message } => {
                format!("`{store}` does not answer: {}", innermost(message))
            }
            _ => error.to_string(),
        };
        Self::new(message).help(help)
    }
}

/// A class of configuration, as people name what is in it.
fn plural(class: &str) -> &str {
    match class {
        "policy" => "policies",
        "waiver" => "waivers",
        "freeze" => "freezes",
        other => other,
    }
}

/// The SDK names every layer a failure went through; the innermost one says what happened.
fn innermost(message: &str) -> &str {
    match message.rsplit_once(": ") {
        Some((layers, last)) if layers.starts_with("dispatch failure") => last,
        _ => message,
    }
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Store { action, source } => {
                tracing::debug!(action, error = %chain(&source), "the store failed");
                Self::from(source)
            }
            RecordError::Newer { .. } => {
                Self::new(error.to_string()).help("nothing was changed; use the plimsoll that wrote it, or a later one")
            }
            RecordError::Shape { .. } => Self::new(error.to_string())
                .help("it was written by another version of plimsoll, or by hand; use the version that wrote it"),
        }
    }
}

impl From<EcsError> for Error {
    fn from(error: EcsError) -> Self {
        let help = match &error {
            EcsError::Refused { code, .. } if code.contains("AccessDenied") => {
                "grant the action to the caller it names; deploy/iam has the policies"
            }
            EcsError::NotSent { .. } => "check credentials, region, network, and AWS_ENDPOINT_URL if it is set",
            EcsError::Throttled { .. } => "others use up the account's rate; try again, or lower `--budget`",
            EcsError::Refused { .. } | EcsError::NoAnswer { .. } => "see ECS's own words above",
        };
        Self::new(error.to_string()).help(help)
    }
}

fn store_help(error: &StoreError) -> &'static str {
    match error {
        StoreError::Missing { message, .. } if message.contains("store init") => {
            "if it should be elsewhere, name it with --store or PLIMSOLL_STORE"
        }
        StoreError::Missing { .. } => "name another store with --store or PLIMSOLL_STORE",
        StoreError::Damaged { .. } => {
            "put a copy of the file back, or move it away and make an empty one with `plimsoll store init`"
        }
        StoreError::Denied { store, .. } if store.starts_with("file:") => {
            "check who may read and write the file and its folder, or name another store with --store or PLIMSOLL_STORE"
        }
        StoreError::Denied { .. } => {
            "check whose credentials are in use and what they may do; deploy/iam has the policies"
        }
        StoreError::Unavailable { .. } => "check the network, and AWS_ENDPOINT_URL if it is set; then try again",
        StoreError::Conflict { .. } => "look at what they changed with `plimsoll get`, then try again",
        StoreError::TooLarge { .. } => "make it smaller: an object may have up to 350 KB of JSON",
        StoreError::Corrupt { .. } => "it was written by another version of plimsoll, or by hand",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_denied_is_no_matter_of_credentials() {
        let denied = |store: &str| {
            let error = StoreError::Denied { store: store.to_owned(), message: "read-only".to_owned() };
            Error::from(error).help.unwrap()
        };
        assert!(denied("file:plimsoll.db").contains("its folder"), "{}", denied("file:plimsoll.db"));
        assert!(denied("dynamodb://plimsoll").contains("credentials"));
    }

    #[test]
    fn the_json_has_the_shape_of_the_contract() {
        let error = Error::new("no such table").help("make it").context("reading the policies");
        assert_eq!(
            error.to_json().to_string(),
            r#"{"apiVersion":"plimsoll/v1","kind":"Error","message":"reading the policies","causes":["no such table"],"help":"make it"}"#
        );
    }

    #[test]
    fn nothing_that_steers_a_terminal_comes_through() {
        assert_eq!(Error::new("a\u{1b}[2Jb").one_line(), "a[2Jb");
    }
}
