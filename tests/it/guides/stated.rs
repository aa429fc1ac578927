//! What a block states: commands, the exit codes they end with, and what they print.

use regex::Regex;

/// A command, and what is said to come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stated {
    /// As it is typed, with its remark: a shell passes over that.
    pub(super) command: String,
    /// 0 where the remark names no other.
    pub(super) code: i32,
    /// Of `console` blocks: what it prints, on both streams. `…` stands for anything, a line of it for any lines.
    pub(super) output: Option<Vec<String>>,
}

/// Of a block's lines.
pub(super) fn stated(language: &str, lines: &[String]) -> Vec<Stated> {
    let mut found: Vec<Stated> = Vec::new();
    let mut goes_on = false;
    for line in lines {
        let typed = if language == "console" { line.strip_prefix("$ ") } else { Some(line.as_str()) };
        match (typed, found.last_mut()) {
            (_, Some(last)) if goes_on => {
                last.command.push('\n');
                last.command.push_str(line);
            }
            (Some(typed), _) => {
                if typed.trim().is_empty() || typed.starts_with('#') {
                    continue;
                }
                let output = (language == "console").then(Vec::new);
                found.push(Stated { command: typed.to_owned(), code: 0, output });
            }
            (None, Some(last)) => {
                last.output.get_or_insert_default().push(line.clone());
                continue;
            }
            (None, None) => panic!("output before any command: {line}"),
        }
        goes_on = line.ends_with('\\');
    }
    for stated in &mut found {
        stated.code = code(&stated.command);
    }
    found
}

/// The exit code that a remark names: `plimsoll plan   # exit code 1: there is work`.
fn code(command: &str) -> i32 {
    let remark = Regex::new(r"#.*exit code (\d)").unwrap();
    remark.captures(command).map_or(0, |found| found[1].parse().unwrap())
}

/// A command without its remark.
pub(super) fn bare(command: &str) -> String {
    Regex::new(r"(?m)\s+# .*$").unwrap().replace_all(command, "").trim().to_owned()
}

/// Whether `printed` is what was stated. Columns may be wider or narrower.
pub(super) fn matches(stated: &[String], printed: &str) -> bool {
    let mut pattern = r"\A".to_owned();
    for line in stated {
        if line.trim() == "…" {
            pattern.push_str(r"(?:.*\n)*?");
            continue;
        }
        let parts: Vec<String> = line.split('…').map(|part| regex::escape(&narrow(part))).collect();
        pattern.push_str(&parts.join(".*"));
        pattern.push_str(r"\n");
    }
    pattern.push_str(r"\z");
    let printed: String = printed.lines().map(|line| format!("{}\n", narrow(line.trim_end()))).collect();
    Regex::new(&pattern).unwrap().is_match(&printed)
}

/// With one blank where there are several.
fn narrow(line: &str) -> String {
    Regex::new(r"[ \t]+").unwrap().replace_all(line, " ").into_owned()
}

#[cfg(test)]
fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn commands_have_remarks_and_go_on_over_lines() {
    let found = stated("sh", &lines("# a remark\nplimsoll plan   # exit code 1: there is work\n\ncheck a \\\n  b\n"));
    let told: Vec<(&str, i32)> = found.iter().map(|stated| (stated.command.as_str(), stated.code)).collect();
    assert_eq!(told, [("plimsoll plan   # exit code 1: there is work", 1), ("check a \\\n  b", 0)]);
    assert_eq!(bare(&found[0].command), "plimsoll plan");
    assert_eq!(bare("freeze a --reason \"incident #42\""), "freeze a --reason \"incident #42\"");
}

#[test]
fn what_a_console_shows_is_held_against_what_was_printed() {
    let found = stated("console", &lines("$ a\none\n…\nlast …\n$ b   # exit code 2"));
    assert_eq!((found.len(), found[1].code, found[1].output.as_deref()), (2, 2, Some([].as_slice())));
    let output = found[0].output.clone().unwrap();
    for (printed, same) in [
        ("one\nlast of all\n", true),
        ("one  \ntwo\nthree\nlast   of all\n", true),
        ("one\ntwo\n", false),
        ("two\none\nlast of all\n", false),
        ("one\nlast of all\nmore\n", false),
    ] {
        assert_eq!(matches(&output, printed), same, "{printed:?}");
    }
}
