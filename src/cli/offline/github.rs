//! Workflow commands of GitHub Actions: annotations at the line in question. Waived findings are none; unknown is a
//! warning.

use std::fmt::Write;

use super::judge::{Judged, reason};
use crate::model::mask::clean_text;
use crate::model::{Severity, Verdict};

/// One a line.
pub(in crate::cli) fn github(judged: &[Judged<'_>]) -> String {
    let mut text = String::new();
    for one in judged {
        for result in &one.results {
            if result.verdict == Verdict::Unknown {
                let message = format!("unknown: {}", reason(result));
                annotation(&mut text, "warning", (one, ""), &result.policy, &message);
            }
            for finding in result.findings.iter().filter(|finding| finding.waiver.is_none()) {
                let command = command(result.severity);
                annotation(&mut text, command, (one, &finding.path), &result.policy, &finding.message);
            }
        }
    }
    text
}

const fn command(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "notice",
    }
}

fn annotation(text: &mut String, command: &str, (judged, path): (&Judged<'_>, &str), title: &str, message: &str) {
    let (file, line) = (property(&judged.file.name), judged.line(path));
    // Writing into a String does not fail.
    let _ = writeln!(text, "::{command} file={file},line={line},title={}::{}", property(title), data(message));
}

/// github.com/actions/toolkit, packages/core/src/command.ts: data escapes `%`, CR and LF. The latter are not left.
fn data(text: &str) -> String {
    clean_text(text).replace('%', "%25")
}

/// The same: properties escape `:` and `,` too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_cannot_be_broken_out_of() {
        assert_eq!(property("a,line=9::b%\r\n"), "a%2Cline=9%3A%3Ab%25");
        assert_eq!(data("100%\n::error::x"), "100%25::error::x");
    }
}
