//! What can be wrong with an expression: on reading, and on running.

/// An expression that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// What is wrong, in one short line. Quotes at most a few characters of the expression.
    pub message: String,
    /// Where, in characters from 1, counted over the whole expression.
    pub column: usize,
    /// What to do instead, if that can be told.
    pub help: Option<String>,
}

impl ExpressionError {
    pub(super) fn at(offset: usize, message: impl Into<String>) -> Self {
        Self { message: message.into(), column: offset + 1, help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// An expression that could not be evaluated. What it decides is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// Of which kind.
    pub kind: EvalErrorKind,
    /// Why, in one line. Names members and types, never values of the document.
    pub message: String,
    /// Where in the expression, in characters from 1.
    pub column: usize,
}

/// Why an expression could not be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvalErrorKind {
    /// It reads something that was not observed.
    NotObserved,
    /// It reads a member that is not there.
    Missing,
    /// A value has the wrong type, or is out of range.
    Type,
    /// It takes too many steps.
    Budget,
}
