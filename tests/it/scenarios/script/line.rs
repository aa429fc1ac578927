//! One line of a script: words, then perhaps JSON or YAML in braces, then perhaps an indented block.

use std::time::Duration;

use plimsoll::model::Span;

/// A line, with what is indented under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Counts from 1.
    pub(super) number: usize,
    /// As it was written, without its comment.
    pub(super) text: String,
    /// Its words, up to the first brace.
    pub(super) words: Vec<String>,
    /// What stands in braces.
    pub(super) data: Option<String>,
    /// The lines under it.
    pub(super) block: String,
}

impl Line {
    fn of(number: usize, text: &str) -> Self {
        let text = text.trim_end();
        let (words, data) = match text.find('{') {
            Some(at) => (&text[..at], Some(text[at..].to_owned())),
            None => (text, None),
        };
        let words = words.split_whitespace().map(ToOwned::to_owned).collect();
        Self { number, text: text.to_owned(), words, data, block: String::new() }
    }

    /// The words as a pattern can take them.
    pub(super) fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    /// The line that this one carries after so many words.
    pub(super) fn rest(&self, after: usize) -> Self {
        let words = self.words[after..].to_vec();
        Self { text: words.join(" "), words, ..self.clone() }
    }
}

/// Reads a script. What follows ` #`, and whole lines that start with `#`, are for the reader.
pub(super) fn parse(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(line) = line.strip_prefix("  ") {
            let under = lines.last_mut().unwrap_or_else(|| panic!("line {} is indented under nothing", index + 1));
            under.block.push_str(line);
            under.block.push('\n');
            continue;
        }
        let code = line.split_once(" # ").map_or(line, |(code, _)| code);
        lines.push(Line::of(index + 1, code));
    }
    lines
}

/// A length of time, as `5m`.
pub(super) fn length(text: &str) -> Duration {
    text.parse::<Span>().unwrap_or_else(|error| panic!("`{text}`: {error}")).0
}

#[test]
fn a_line_has_words_data_and_a_block() {
    let lines =
        parse("# about\nservice prod/web {\"desiredCount\": 0} # why\n\napply\n  kind: Freeze\n  spec: {}\npass\n");
    let told: Vec<_> =
        lines.iter().map(|line| (line.number, line.words(), line.data.as_deref(), line.block.as_str())).collect();
    assert_eq!(
        told,
        [
            (2, vec!["service", "prod/web"], Some("{\"desiredCount\": 0}"), ""),
            (4, vec!["apply"], None, "kind: Freeze\nspec: {}\n"),
            (7, vec!["pass"], None, ""),
        ]
    );
}
