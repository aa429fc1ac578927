//! Commands within sentences and tables. They have blanks to fill in, so they are not run; but they must be what the
//! binary can read, every verb and every flag; and each verb with each flag is run in a block of some guide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::markdown::Fate;
use super::stated::{bare, stated};
use super::{blocks, guides, text};
use crate::cli::Plimsoll;

/// What stands for something, and something for it where the binary would not read it.
const BLANKS: [(&str, &str); 5] = [
    ("VERB", "pause"),
    ("ADDR", "127.0.0.1:1"),
    ("DURATION", "5m"),
    ("TIME", "2099-01-01T00:00:00Z"),
    ("CRON", "* * * * *"),
];

/// What a flag takes, where a sentence names the flag alone.
const VALUES: [&str; 3] = ["", "5m", "2"];

/// What is named in sentences and run in no block of a guide, and why.
const RUN_ELSEWHERE: [(&str, &str); 2] = [
    ("demo", "tests/it/binary/demo.rs runs it, and reads what it shows"),
    ("demo --listen", "tests/it/binary/demo.rs runs it, and reads what it shows"),
];

/// A command's verb, its subcommand where it has one, and each of its flags: `store`, `store init`, `plan --out`.
fn parts(words: &[String], subcommands: &dyn Fn(&str) -> BTreeSet<String>) -> BTreeSet<String> {
    let Some(verb) = words.first() else { return BTreeSet::new() };
    let mut found = BTreeSet::from([verb.clone()]);
    let second = words.get(1).filter(|word| subcommands(verb).contains(*word));
    let whole = second.map_or_else(|| verb.clone(), |second| format!("{verb} {second}"));
    found.insert(whole.clone());
    let flags = words.iter().filter(|word| word.starts_with('-') && word.len() > 1 && *word != "--help");
    found.extend(flags.map(|flag| format!("{whole} {}", flag.split('=').next().unwrap())));
    found
}

/// The commands of plimsoll that blocks run, in words.
fn run_in_blocks() -> Vec<Vec<String>> {
    let command = Regex::new(r"(?:^|[\s/])plimsoll ([^#|>&;\n]+)").unwrap();
    let mut found = Vec::new();
    for block in guides().iter().flat_map(|guide| blocks(guide)) {
        if block.fate() != Ok(Fate::Run) {
            continue;
        }
        for one in stated(&block.language, &block.lines) {
            let typed = bare(&one.command).replace("\\\n", " ");
            found.extend(command.captures_iter(&typed).map(|command| words(&command[1])));
        }
    }
    found
}

/// Without its blocks, so that what is left is read by people.
fn sentences(text: &str) -> String {
    Regex::new(r"(?ms)^```.*?^```$").unwrap().replace_all(text, "").into_owned()
}

/// The words of a command; quotes keep blanks together.
fn words(command: &str) -> Vec<String> {
    let word = Regex::new(r#""([^"]*)"|'([^']*)'|(\S+)"#).unwrap();
    let found = word.captures_iter(command).map(|found| {
        let word = found.iter().skip(1).flatten().next().unwrap().as_str();
        BLANKS.iter().fold(word.to_owned(), |word, (blank, filled)| word.replace(blank, filled))
    });
    found.collect()
}

/// The commands that a help lists.
fn verbs_in(help: &str) -> impl Iterator<Item = &str> {
    static LISTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?m)^  ([a-z][a-z-]+)  ").unwrap());
    LISTED.captures_iter(help).map(|found| found.extract::<1>().1[0])
}

#[test]
fn every_command_in_a_sentence_is_one_that_the_binary_reads() {
    let plimsoll = Plimsoll::new();
    let help = plimsoll.run(&["--help"]).exits(0).stdout;
    let verbs: Vec<&str> = verbs_in(&help).collect();
    assert!(verbs.contains(&"rollout") && verbs.contains(&"plan"), "{verbs:?}");
    let span = Regex::new(r"`([^`]+)`").unwrap();
    let known: BTreeMap<&str, BTreeSet<String>> = verbs
        .iter()
        .map(|verb| (*verb, verbs_in(&plimsoll.run(&[*verb, "--help"]).stdout).map(ToOwned::to_owned).collect()))
        .collect();
    let subcommands = |verb: &str| known.get(verb).cloned().unwrap_or_default();
    let run: BTreeSet<String> = run_in_blocks().iter().flat_map(|words| parts(words, &subcommands)).collect();
    let mut not_run = BTreeSet::new();
    let (mut wrong, mut read) = (Vec::new(), BTreeSet::new());
    let mut pages = guides();
    pages.push("policies/README.md".to_owned());
    for page in pages {
        for found in span.captures_iter(&sentences(&text(&page))) {
            let command = found[1].replace('\n', " ");
            let full = command.strip_prefix("plimsoll ").unwrap_or(&command);
            let words = words(full);
            let is_command = words.first().is_some_and(|verb| verbs.contains(&verb.as_str()));
            if !is_command && !command.starts_with("plimsoll ") || !read.insert(full.to_owned()) {
                continue;
            }
            // `VERB` stands for any of them.
            let named = if command.contains("VERB") { &words[..1] } else { &words[..] };
            not_run.extend(parts(named, &subcommands).difference(&run).cloned());
            // The help of a verb is shown only if everything before it was read.
            let reads = |value: &&str| {
                let more = [*value, "--help"].into_iter().filter(|word| !word.is_empty());
                plimsoll.run(&words.iter().map(String::as_str).chain(more).collect::<Vec<_>>()).code == 0
            };
            if !VALUES.iter().any(reads) {
                wrong.push(format!("{page}: `{command}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read.len() > 40, "{read:#?}");
    let elsewhere: BTreeSet<String> = RUN_ELSEWHERE.iter().map(|(what, _)| (*what).to_owned()).collect();
    assert_eq!(not_run, elsewhere, "what a sentence names, a block of a guide runs");
    assert!(RUN_ELSEWHERE.iter().all(|(_, why)| why.len() > 10));
}
