//! JUnit reports, as Jenkins reads them (its xunit plugin's `junit-10.xsd`). Knows nothing of what was tested.

use std::fmt::Write;

use crate::model::mask::is_hidden;

/// Cases that belong together.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) name: String,
    /// What is told beside the cases, by name.
    pub(super) properties: Vec<(String, String)>,
    pub(super) cases: Vec<Case>,
}

/// One thing that was tested.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) class: String,
    pub(super) name: String,
    pub(super) outcome: Outcome,
}

/// How it went.
#[derive(Debug)]
pub(super) enum Outcome {
    Passed,
    /// Of a kind, such as a severity; in short, and in full.
    Failed(String, String, String),
    /// It could not be told: why, and what was found all the same.
    Unknown(String, String),
    /// Why not.
    Skipped(String),
}

/// The whole report.
pub(super) fn document(suites: &[Suite]) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    // Writing into a String does not fail.
    let _ = write(&mut text, suites);
    text
}

fn write(text: &mut String, suites: &[Suite]) -> std::fmt::Result {
    let of = |cases: &dyn Fn(&Outcome) -> bool| -> usize {
        suites.iter().flat_map(|suite| &suite.cases).filter(|case| cases(&case.outcome)).count()
    };
    writeln!(
        text,
        "<testsuites name=\"plimsoll\" tests=\"{}\" failures=\"{}\" errors=\"{}\">",
        of(&|_| true),
        of(&is_failed),
        of(&is_unknown)
    )?;
    for suite in suites {
        let of = |wanted: fn(&Outcome) -> bool| suite.cases.iter().filter(|case| wanted(&case.outcome)).count();
        writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
            attribute(&suite.name),
            suite.cases.len(),
            of(is_failed),
            of(is_unknown),
            of(|outcome| matches!(outcome, Outcome::Skipped(_))),
        )?;
        if !suite.properties.is_empty() {
            writeln!(text, "    <properties>")?;
            for (name, value) in &suite.properties {
                writeln!(text, "      <property name=\"{}\" value=\"{}\"/>", attribute(name), attribute(value))?;
            }
            writeln!(text, "    </properties>")?;
        }
        for case in &suite.cases {
            one(text, case)?;
        }
        writeln!(text, "  </testsuite>")?;
    }
    writeln!(text, "</testsuites>")
}

const fn is_failed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(..))
}

const fn is_unknown(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown(..))
}

fn one(text: &mut String, case: &Case) -> std::fmt::Result {
    write!(text, "    <testcase classname=\"{}\" name=\"{}\"", attribute(&case.class), attribute(&case.name))?;
    match &case.outcome {
        Outcome::Passed => return writeln!(text, "/>"),
        Outcome::Failed(kind, short, full) => {
            let (kind, short) = (attribute(kind), attribute(short));
            write!(text, "><failure type=\"{kind}\" message=\"{short}\">{}</failure>", content(full))?;
        }
        Outcome::Unknown(why, full) => {
            write!(text, "><error type=\"unknown\" message=\"{}\">{}</error>", attribute(why), content(full))?;
        }
        Outcome::Skipped(why) => write!(text, "><skipped message=\"{}\"/>", attribute(why))?,
    }
    writeln!(text, "</testcase>")
}

/// Text between tags. What XML 1.0 does not allow even when escaped (§2.2), and what turns the direction of writing, is
/// left out.
fn content(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(c),
            c if is_hidden(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => safe.push(c),
        }
    }
    safe
}

/// Text between quotes, where a reader would make blanks of line breaks (XML 1.0 §3.3.3).
fn attribute(text: &str) -> String {
    content(text).replace('\n', "&#10;").replace('\t', "&#9;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_cannot_be_broken_out_of() {
        assert_eq!(content("<a b=\"c\">&\u{1b}\u{ffff}"), "&lt;a b=&quot;c&quot;&gt;&amp;");
        assert_eq!(attribute("a\n\"b\""), "a&#10;&quot;b&quot;");
    }
}
