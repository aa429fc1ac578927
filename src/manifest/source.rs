//! A file's text and where its lines begin. Knows nothing of YAML.

use std::ops::Range;

use super::Diagnostic;
use crate::model::mask::is_hidden;

/// A line longer than this, in bytes, is shown in part: people do not read further, and a hostile one could have
/// megabytes.
const SHOWN: usize = 400;
/// How much of a long line is shown on each side of what is wrong, in bytes.
const AROUND: usize = 60;

/// A file's name and text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) text: String,
    // INVARIANT: the byte offset of each line's first character, ascending, beginning with 0.
    lines: Vec<usize>,
}

/// Something wrong at a place in a file, before it is known which line that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// In bytes of the text.
    pub(super) at: Range<usize>,
    /// What is wrong; one sentence without a full stop.
    pub(super) message: String,
    /// A word or two under the marked text; may be empty.
    pub(super) label: String,
    /// What to do about it.
    pub(super) help: Option<String>,
}

impl Fault {
    pub(super) fn at(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), label: String::new(), help: None }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(super) fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

impl Source {
    pub(super) fn of(file: &str, text: String) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        Self { file: file.to_owned(), text, lines }
    }

    /// Line and column, both from 1; the column counts characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.lines.get(index)).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count());
        (line.max(1), column + 1)
    }

    /// The bytes of the line that `offset` is in, without its line break.
    fn line_around(&self, offset: usize) -> Range<usize> {
        let after = self.lines.partition_point(|start| *start <= offset);
        let start = after.checked_sub(1).and_then(|index| self.lines.get(index)).copied().unwrap_or(0);
        let end = self.lines.get(after).map_or(self.text.len(), |next| next.saturating_sub(1));
        let end = if self.text.get(start..end).is_some_and(|line| line.ends_with('\r')) { end - 1 } else { end };
        start..end.max(start)
    }

    /// `offset`, or the next character's beginning before it.
    fn at_character(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    /// The fault with its line and column, and as much of that line as is worth showing.
    pub(super) fn diagnose(&self, fault: &Fault) -> Diagnostic {
        let start = self.at_character(fault.at.start);
        let (line, column) = self.position(start);
        let whole = self.line_around(start);
        // What spans lines is marked on its first.
        let marked_end = self.at_character(fault.at.end).clamp(start, whole.end.max(start));
        let cut = whole.len() > SHOWN;
        let shown = if cut {
            let from = self.at_character(start.saturating_sub(AROUND).max(whole.start));
            from..self.at_character((start + AROUND).min(whole.end))
        } else {
            whole
        };
        let marked = start..marked_end.clamp(start, shown.end.max(start));
        let visible = |range: Range<usize>| -> String {
            let text = self.text.get(range).unwrap_or_default();
            text.chars().map(|c| if is_hidden(c) && c != '\t' { '\u{fffd}' } else { c }).collect()
        };
        let mut excerpt = visible(shown.start..marked.start);
        let from = excerpt.len();
        excerpt.push_str(&visible(marked.clone()));
        let to = excerpt.len();
        excerpt.push_str(&visible(marked.end..shown.end));
        let marked = from..to;
        Diagnostic::of(&self.file, (line, column), fault, excerpt, marked, cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_end_as_windows_ends_them() {
        let source = Source::of("f", "a\r\nälb\n".to_owned());
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(3), (2, 1));
        assert_eq!(source.position(5), (2, 2));
        assert_eq!(source.position(8), (3, 1), "the end of the text is a place too");
        assert_eq!(&source.text[source.line_around(0)], "a");
        assert_eq!(&source.text[source.line_around(4)], "älb");
    }

    #[test]
    fn of_a_long_line_a_part_is_shown() {
        let source = Source::of("f", format!("a: {}", "ü".repeat(500_000)));
        let shown = source.diagnose(&Fault::at(3..source.text.len(), "too long")).render(false);
        assert!(shown.len() < 1000, "{}", shown.len());
    }
}
