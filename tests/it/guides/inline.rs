//! Commands within sentences and tables. They have blanks to fill in, so they are not run; but they must be what the
//! binary can read: every verb, every flag.

use regex::Regex;

use super::{guides, text};
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

#[test]
fn every_command_in_a_sentence_is_one_that_the_binary_reads() {
    let plimsoll = Plimsoll::new();
    let help = plimsoll.run(&["--help"]).exits(0).stdout;
    let verbs: Vec<&str> = Regex::new(r"(?m)^  ([a-z][a-z-]+)  ")
        .unwrap()
        .captures_iter(&help)
        .map(|found| found.extract::<1>().1[0])
        .collect();
    assert!(verbs.contains(&"rollout") && verbs.contains(&"plan"), "{verbs:?}");
    let span = Regex::new(r"`([^`]+)`").unwrap();
    let (mut wrong, mut read) = (Vec::new(), std::collections::BTreeSet::new());
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
}
