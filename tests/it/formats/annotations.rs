//! GitHub's annotations, read as its runner reads them.

use std::collections::BTreeMap;

use super::{FILE, hostile};

/// A command: its name, its properties, its message. As in actions/runner, `ActionCommand.TryParseV2`: properties end at
/// the first `::` after the name, are parted by commas, and are unescaped last.
fn parsed(line: &str) -> (String, BTreeMap<String, String>, String) {
    let (head, message) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
    let (command, properties) = head.split_once(' ').unwrap();
    let data = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
    let property = |text: &str| data(&text.replace("%3A", ":").replace("%2C", ","));
    let properties = properties
        .split(',')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), property(value)));
    (command.to_owned(), properties.collect(), data(message))
}

#[test]
fn every_line_is_one_annotation_whatever_names_are_in_it() {
    let plimsoll = hostile();
    let run = plimsoll.run(&["check", FILE, "-o", "github"]).exits(1);
    let found: Vec<_> = run.stdout.lines().map(parsed).collect();
    let told: Vec<(&str, &str, &str)> = found
        .iter()
        .map(|(command, properties, _)| (command.as_str(), properties["title"].as_str(), properties["line"].as_str()))
        .collect();
    // Waived findings are none; unknown is a warning.
    assert_eq!(
        told,
        [("error", "critical-fails", "3"), ("warning", "high-unknown", "1"), ("warning", "medium-fails", "6")]
    );
    for (_, properties, message) in &found {
        assert_eq!(properties["file"], FILE);
        assert_eq!(properties.len(), 3, "{properties:?}");
        assert!(!message.chars().any(char::is_control), "{message:?}");
    }
    assert!(found[1].2.starts_with("unknown: "), "{}", found[1].2);
    assert!(found[2].2.contains("::error file=x::%0A,d;"), "the name is told as it is: {}", found[2].2);
}
