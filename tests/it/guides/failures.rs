//! `docs/failures.md` has every remedy that the program prints, and no other; what it says is printed is printed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::text;
use crate::cli::repository;

const PAGE: &str = "docs/failures.md";

/// Functions that give remedies for errors that come from elsewhere.
const REMEDIES: [(&str, &str); 6] = [
    ("src/aws/error.rs", "const fn help("),
    ("src/cli/error.rs", "fn store_help("),
    ("src/cli/error.rs", "impl From<EcsError> for Error "),
    ("src/cli/offline/source.rs", "fn binary("),
    ("src/cli/doctor/examine.rs", "const fn remedy_of("),
    ("src/cli/doctor/examine.rs", "fn store_check("),
];

/// Named beside where they are used: `const HELP: &str = "…"`, `let remedy = "…"`.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:const (?:HELP|LATER): &str|let (?:remedy|help)) =\s*(?:format!\(\s*)?(")"#).unwrap()
});
static LINES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\\\n\s*").unwrap());
static VALUE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{[^{}]*\}").unwrap());
/// What is asked of an error, and what it is called: no remedy.
static ASKED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"contains\("[^"]*"\)|\("[^"]*", ""#).unwrap());

/// The sources, without the tests beside them.
fn sources(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" && name != "laws" {
            sources(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let place = path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned();
            let lines = text.split("#[cfg(test)]").next().unwrap().lines();
            let code: Vec<&str> = lines.filter(|line| !line.trim_start().starts_with("//")).collect();
            found.insert(place, code.join("\n"));
        }
    }
}

/// What is said, with `…` for each value in it.
fn said(literal: &str) -> String {
    VALUE.replace_all(&LINES.replace_all(literal, ""), "…").replace("\\\"", "\"").replace("\\\\", "\\")
}

/// String literals.
fn literals(source: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), source);
    while let Some((literal, after)) = literal(rest) {
        found.push(literal);
        rest = after;
    }
    found
}

/// The first string literal, and what comes after it.
fn literal(source: &str) -> Option<(String, &str)> {
    let mut at = source.find('"')?;
    // The character itself is no text.
    while source[..at].ends_with('\'') && source[at..].starts_with("\"'") {
        at += 2 + source[at + 2..].find('"')?;
    }
    let raw = source[..at].ends_with('r') || source[..at].ends_with("r#");
    let begin = &source[at + 1..];
    let mut escaped = false;
    let end = begin.find(|letter| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped && !raw;
        ends
    })?;
    Some((if raw { begin[..end].to_owned() } else { said(&begin[..end]) }, &begin[end + 1..]))
}

/// From `at` on, up to the closing bracket that goes with the opening one right before.
fn within(source: &str, at: usize, brackets: (char, char)) -> &str {
    let (mut depth, mut in_text, mut escaped) = (1, false, false);
    for (offset, letter) in source[at..].char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            _ if in_text => {}
            _ if letter == brackets.0 => depth += 1,
            _ if letter == brackets.1 => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &source[at..at + offset];
        }
    }
    panic!("no end: {}", &source[at..])
}

/// Every remedy that is written out in the sources. What is put together of parts of a sentence is none.
fn remedies(sources: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources.values() {
        for call in [".help(", ".remedy(", "help: Some("] {
            for (at, call) in source.match_indices(call) {
                found.extend(literals(within(source, at + call.len(), ('(', ')'))));
            }
        }
        // Where they are the last of several arguments.
        for call in ["self.wrong(", "self.wrong_unless("] {
            for (at, call) in source.match_indices(call) {
                let given = within(source, at + call.len(), ('(', ')'));
                let last = given.trim_end().trim_end_matches(',').trim_end_matches(".to_owned()");
                found.extend(last.ends_with('"').then(|| literals(given).pop()).flatten());
            }
        }
        for named in NAMED.captures_iter(source) {
            found.extend(literal(&source[named.get(1).unwrap().start()..]).map(|(literal, _)| literal));
        }
    }
    for (file, function) in REMEDIES {
        let Some(source) = sources.get(file) else { continue };
        let body = source.find(function).unwrap();
        let body = body + source[body..].find('{').unwrap() + 1;
        let text = ASKED.replace_all(within(source, body, ('{', '}')), |asked: &Captures<'_>| {
            if asked[0].starts_with("contains") { "" } else { "\"" }
        });
        found.extend(literals(&text));
    }
    found.retain(|remedy| remedy.contains(' ') && remedy.trim().len() > 8);
    found
}

/// Those in the sources below a folder.
pub(crate) fn remedies_in(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeMap::new();
    sources(&repository().join(folder), &mut found);
    remedies(&found)
}

/// The rows of the page's tables: what is said, and what to do.
fn rows() -> Vec<(String, String)> {
    let page = text(PAGE);
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let rows = rows.filter(|(said, _)| *said != "it says");
    rows.map(|(said, remedy)| (said.replace("\\|", "|"), remedy.replace("\\|", "|"))).collect()
}

#[test]
fn every_remedy_that_is_printed_is_on_the_page_and_no_other() {
    let mut found = BTreeMap::new();
    sources(&repository().join("src"), &mut found);
    assert!(REMEDIES.iter().all(|(file, _)| found.contains_key(*file)));
    let (printed, told) = (remedies(&found), rows());
    assert!(printed.len() > 80, "{printed:#?}");
    let told: BTreeSet<String> = told.into_iter().map(|(_, remedy)| remedy).collect();
    let missing: Vec<&String> = printed.difference(&told).collect();
    let gone: Vec<&String> = told.difference(&printed).collect();
    assert!(missing.is_empty() && gone.is_empty(), "{PAGE} lacks {missing:#?}\nand has what is not printed: {gone:#?}");
}

#[test]
fn what_the_page_says_is_printed_is_printed() {
    let mut found = BTreeMap::new();
    sources(&repository().join("src"), &mut found);
    let literals: BTreeSet<String> = found.values().flat_map(|source| literals(source)).collect();
    let message = Regex::new("``(.*?)``").unwrap();
    for (said, _) in rows() {
        // `a`, `b`: several messages have one remedy. What is in no code is a description.
        for message in message.captures_iter(&said) {
            assert!(literals.contains(message[1].trim()), "{PAGE}: nothing says `{}`", &message[1]);
        }
    }
}
