//! Data to stdout, talk to stderr. A reader that has gone away is no error: what it wanted, it has.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use console::Term;
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
    /// How many lines of the last [`live`](Self::live) text stand on the terminal.
    shown: usize,
}

impl Output {
    /// To stdout. `no_color` is what NO_COLOR says; nobody gets colours but a terminal.
    #[must_use]
    pub fn new(format: Format, no_color: bool) -> Self {
        Self { format, color: !no_color && io::stdout().is_terminal(), closed: false, shown: 0 }
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

    /// Columns of the terminal that data goes to; none where it goes elsewhere, and is not cut.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        size().map(|(_, columns)| columns)
    }

    /// Writes text in the place of what was last written so, cut to the terminal; `last`: whole, and it stays. Where
    /// there is no terminal, every text stays.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn live(&mut self, text: &str, last: bool) -> Result<(), Error> {
        let Some((rows, columns)) = size() else { return self.text(text) };
        let rows = if last { usize::MAX } else { rows };
        let cut = fit(text, rows, columns);
        // Up over what stands there, and away with it (ECMA-48: CUU, ED).
        let over = if self.shown > 0 { format!("\u{1b}[{}A\u{1b}[J", self.shown) } else { String::new() };
        self.shown = if last { 0 } else { cut.lines().count() };
        self.text(&format!("{over}{cut}"))
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

/// Rows and columns of the terminal that stdout is.
fn size() -> Option<(usize, usize)> {
    let (rows, columns) = Term::stdout().size_checked().filter(|_| io::stdout().is_terminal())?;
    // Some terminals say that they have none.
    (rows > 1 && columns > 1).then_some((usize::from(rows), usize::from(columns)))
}

/// At most so many lines, the last row left for the cursor, each at most so wide.
fn fit(text: &str, rows: usize, columns: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let most = rows.saturating_sub(1);
    let (shown, more) = if all.len() > most { (most.saturating_sub(1), all.len() - most + 1) } else { (all.len(), 0) };
    let mut lines: Vec<String> =
        all.iter().take(shown).map(|line| console::truncate_str(line, columns, "…").into_owned()).collect();
    if more > 0 {
        lines.push(format!("… {more} more lines"));
    }
    lines.join("\n") + "\n"
}

/// Columns under a header, as kubectl prints them. Cells cannot steer the terminal.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    table_within(header, rows, None, 0)
}

/// The same, at most so wide: the cells of the column with that index are broken into lines.
pub(super) fn table_within(header: &[&str], rows: &[Vec<String>], width: Option<usize>, breaks: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| clean_text(cell)));
    }
    if let Some(width) = width {
        // One more for the padding that is taken away below.
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width.saturating_add(1)).unwrap_or(u16::MAX));
        for (_, column) in table.column_iter_mut().enumerate().filter(|(index, _)| *index != breaks) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
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
    fn a_table_is_no_wider_than_the_terminal() {
        let message = "the fix of `security-hub-ecs-3` is held off `prod/web` because it failed there";
        let rows = [vec!["09:00".to_owned(), message.to_owned(), "plimsoll".to_owned()]];
        let text = table_within(&["AT", "MESSAGE", "BY"], &rows, Some(50), 1);
        assert!(text.lines().all(|line| line.chars().count() <= 50), "{text}");
        let told = text.split_whitespace().filter(|word| message.contains(word)).count();
        assert_eq!(told, message.split(' ').count(), "nothing is cut away: {text}");
        assert_eq!(table_within(&["AT", "MESSAGE", "BY"], &rows, None, 1), table(&["AT", "MESSAGE", "BY"], &rows));
    }

    #[test]
    fn what_is_redrawn_fits_the_terminal() {
        assert_eq!(fit("one\ntwo\n", 24, 80), "one\ntwo\n");
        assert_eq!(fit("a long line\nb\nc\nd\n", 4, 5), "a lo…\nb\n… 2 more lines\n");
        assert_eq!(fit("a\nb\nc\n", 4, 5), "a\nb\nc\n");
    }

    #[test]
    fn a_table_without_rows_is_nothing() {
        assert_eq!(table(&["NAME"], &[]), "");
    }
}
