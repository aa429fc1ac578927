//! The picture of the demonstration in README.md, drawn from what the demonstration prints, so that it shows what one gets.

use std::fmt::Write as _;

use crate::cli::repository;

const PICTURE: &str = "docs/images/demo.svg";

/// How wide a terminal it shows, in characters.
const WIDTH: usize = 118;

/// What it shows: from the line that holds the first text, so many lines.
const PARTS: [(&str, usize); 7] = [
    ("A simulated account", 2),
    ("The plan: of 64 services", 7),
    ("Rolling out, in waves.", 2),
    ("(wave `payments`)", 4),
    ("broke with its fix", 9),
    ("kill -9:", 2),
    ("What was promised", 8),
];

/// Draws it anew where `INSTA_UPDATE=always` says so; else it must be as it is.
#[expect(clippy::disallowed_methods, reason = "as insta does, for its own snapshots")]
pub(crate) fn shows(printed: &str) {
    let drawn = drawn(&lines(printed));
    let path = repository().join(PICTURE);
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == drawn, "{PICTURE} shows another demonstration; INSTA_UPDATE=always draws it anew");
}

fn lines(printed: &str) -> Vec<String> {
    let all: Vec<&str> = printed.lines().collect();
    let mut shown = vec!["$ plimsoll demo".to_owned()];
    for (begin, count) in PARTS {
        let at = all.iter().position(|line| line.contains(begin)).unwrap_or_else(|| panic!("no {begin:?}:\n{printed}"));
        if shown.len() > 1 {
            shown.push("…".to_owned());
        }
        shown.extend(all[at..at + count].iter().map(|line| fitting(line)));
    }
    shown
}

fn fitting(line: &str) -> String {
    let line = line.trim_end();
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    line.chars().take(WIDTH - 1).chain(['…']).collect()
}

/// Nobody has to tell colours apart: they only say again what the words say.
fn color(line: &str) -> &'static str {
    let holds = |words: &[&str]| words.iter().any(|word| line.contains(word));
    match line.chars().next() {
        Some('$') => "#e6edf3",
        Some('…') => "#6e7681",
        _ if holds(&["RollingBack", "Paused", "RolledBack", "blocked", "broke with its fix", "kill -9"]) => "#f0a35e",
        _ if holds(&["Succeeded", "  kept "]) => "#7ee787",
        _ if line.contains("$ plimsoll") => "#e6edf3",
        _ => "#b6c2cf",
    }
}

fn drawn(lines: &[String]) -> String {
    let (line_height, character) = (17, 7.3);
    let width = (WIDTH as f64 * character) as usize + 32;
    let height = lines.len() * line_height + 34;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\" aria-label=\"What plimsoll demo prints, shortened\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#0d1117\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"12\">\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let y = 30 + number * line_height;
        let text = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let fill = color(line);
        writeln!(svg, "<text x=\"16\" y=\"{y}\" fill=\"{fill}\" xml:space=\"preserve\">{text}</text>").unwrap();
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}
