//! What is wrong with a file, where, and what to do about it. Knows nothing of YAML and does not print.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use schemars::JsonSchema;
use serde::Serialize;

use super::source::Fault;
use crate::model::mask;

/// One thing that is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diagnostic {
    /// The file's name, as it was given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong: one sentence, lower-case, without a full stop.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip)]
    label: String,
    /// The line, or a part of it.
    #[serde(skip)]
    excerpt: String,
    // INVARIANT: lies within `excerpt`, on character boundaries.
    #[serde(skip)]
    marked: Range<usize>,
    /// Whether `excerpt` does not begin where the line does.
    #[serde(skip)]
    cut: bool,
}

impl Diagnostic {
    pub(super) fn of(
        file: &str,
        (line, column): (usize, usize),
        fault: &Fault,
        excerpt: String,
        marked: Range<usize>,
        cut: bool,
    ) -> Self {
        Self {
            file: mask::clean_text(file),
            line,
            column,
            message: short(&fault.message),
            help: fault.help.as_deref().map(short),
            label: short(&fault.label),
            excerpt,
            marked,
            cut,
        }
    }

    /// The message with the line it is about, the place marked, and the help below; for people. Several lines, without
    /// a final line break. Control characters of the file are made visible.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mark = AnnotationKind::Primary.span(self.marked.clone()).label(self.label.as_str());
        let snippet = Snippet::source(self.excerpt.as_str()).line_start(self.line).annotation(mark);
        let title = Level::ERROR.primary_title(self.message.as_str());
        // The renderer tells the column from the excerpt, so where that is not the whole line it must be told.
        let mut group = if self.cut {
            let origin = Origin::path(self.file.as_str()).line(self.line).char_column(self.column);
            title.element(origin).element(snippet)
        } else {
            title.element(snippet.path(self.file.as_str()))
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

/// What a person reads of a sentence that may quote megabytes of a file.
fn short(text: &str) -> String {
    const ENOUGH: usize = 600;
    let mut text = mask::clean_text(text);
    if let Some((cut, _)) = text.char_indices().nth(ENOUGH) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for Diagnostic {}
