//! Data to stdout, talk to stderr. A reader that has gone away is no error: what it wanted, it has.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::error::Error;
use crate::manifest::to_yaml;
use crate::model::mask::clean_text;

/// How data looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// The same with more columns.
    Wide,
    /// For scripts: a contract.
    Json,
    /// The same as YAML.
    Yaml,
    /// One name a line.
    Name,
    /// `check` only: for code scanning.
    Sarif,
    /// `check` only: for CI servers.
    Junit,
    /// `check` only: annotations in GitHub Actions.
    Github,
}

/// Where data goes, and how.
#[derive(Debug)]
pub struct Output {
    format: Format,
    color: bool,
    closed: bool,
}

impl Output {
    /// To stdout. `no_color` is what NO_COLOR says; nobody gets colours but a terminal.
    #[must_use]
    pub fn new(format: Format, no_color: bool) -> Self {
        Self { format, color: !no_color && io::stdout().is_terminal(), closed: false }
    }

    /// How data looks.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Whether colours may be used beside words.
    #[must_use]
    pub const fn color(&self) -> bool {
        self.color
    }

    /// Whether the reader has gone away: then following and watching end.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Refuses a format that a verb does not have.
    ///
    /// # Errors
    /// With the formats it has.
    pub fn only(&self, formats: &[Format]) -> Result<(), Error> {
        if formats.contains(&self.format) {
            return Ok(());
        }
        let name = |format: &Format| format.to_possible_value().map(|value| value.get_name().to_owned());
        let known: Vec<String> = formats.iter().filter_map(name).collect();
        let asked = name(&self.format).unwrap_or_default();
        Err(Error::new(format!("this command has no output format `{asked}`"))
            .help(format!("use -o {}", known.join("|"))))
    }

    /// Writes text, with a line break at its end.
    ///
    /// # Errors
    /// Where stdout cannot be written, but not where its reader has gone away.
    pub fn text(&mut self, text: &str) -> Result<(), Error> {
        if self.closed {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(end.as_bytes()));
        match written.and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(error) => Err(Error::new("failed to write to stdout").caused_by(error.to_string())),
        }
    }

    /// Writes a value as JSON or YAML, whichever is asked for.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn value(&mut self, value: &Value) -> Result<(), Error> {
        let text = match self.format {
            Format::Yaml => {
                to_yaml(value).map_err(|error| Error::new("failed to write YAML").caused_by(error.to_string()))?
            }
            _ => serde_json::to_string_pretty(value).unwrap_or_default(),
        };
        self.text(&text)
    }

    /// Writes a table; nothing where it has no rows.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> Result<(), Error> {
        self.text(&table(header, rows))
    }
}

/// Columns under a header, as kubectl prints them. Cells cannot steer the terminal.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| clean_text(cell)));
    }
    let text = table.to_string();
    let mut trimmed = String::with_capacity(text.len());
    for line in text.lines() {
        // Cells are padded on both sides; the outer padding says nothing.
        trimmed.push_str(line.strip_prefix(' ').unwrap_or(line).trim_end());
        trimmed.push('\n');
    }
    trimmed
}

/// Says something to whoever watches: a line on stderr, which may be closed.
pub fn talk(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_has_no_trailing_blanks() {
        let rows = [vec!["a".to_owned(), "one".to_owned()], vec!["longer".to_owned(), "\u{1b}[31mtwo".to_owned()]];
        assert_eq!(table(&["NAME", "N"], &rows), "NAME    N\na       one\nlonger  [31mtwo\n");
    }

    #[test]
    fn a_table_without_rows_is_nothing() {
        assert_eq!(table(&["NAME"], &[]), "");
    }
}
