//! Who may know whom. The map is in `ARCHITECTURE.md`; this holds the code to it.
//!
//! Sources are read as tokens, without comments, strings and test modules, and every path in them is resolved to the
//! part of the crate, or the crate, that it names. What macros of other crates expand to is not seen.

use std::fs;
use std::path::{Path, PathBuf};

/// The pure parts: no runtime, no AWS, no clock, no environment, no printing.
const PURE: &[&str] = &["model", "ports", "manifest", "policy", "plan", "rollout"];

/// Every part of the crate, and the others that it may name.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("ports", &["model"]),
    ("policy", &["model"]),
    ("manifest", &["model", "policy"]),
    ("plan", &["model", "policy"]),
    ("rollout", &["model", "policy", "plan"]),
    // What is kept, item by item: between the pure parts, whose values it keeps, and the Store port.
    ("records", &["model", "ports", "plan", "rollout"]),
    ("controller", &["model", "ports", "manifest", "policy", "plan", "rollout", "records"]),
    // Adapters implement ports; none knows another, or who uses it.
    ("aws", &["model", "ports"]),
    ("embedded", &["model", "ports"]),
    ("sim", &["model", "ports"]),
    ("config", &["model"]),
    ("telemetry", &["model"]),
    // It reads records and shows them; how they came about is nobody's business here.
    ("web", &["model", "ports", "policy", "plan", "rollout", "records", "controller"]),
    ("cli", EVERYTHING),
    ("main", EVERYTHING),
    ("lib", EVERYTHING),
];

const EVERYTHING: &[&str] = &[
    "model",
    "ports",
    "policy",
    "manifest",
    "plan",
    "rollout",
    "records",
    "controller",
    "aws",
    "embedded",
    "sim",
    "config",
    "telemetry",
    "web",
    "cli",
];

/// Names of the world outside, and the parts that may use them; `!` ends a macro, `*` any rest of a name.
const ONLY_IN: &[(&str, Who)] = &[
    ("aws_sdk_*", Who::Only(&["aws"])),
    ("aws_config", Who::Only(&["aws"])),
    ("aws_smithy_*", Who::Only(&["aws"])),
    ("rusqlite", Who::Only(&["embedded"])),
    ("clap", Who::Only(&["cli", "main"])),
    ("clap_complete", Who::Only(&["cli"])),
    ("anyhow", Who::Only(&["cli", "main"])),
    ("axum", Who::Only(&["sim", "web"])),
    ("maud", Who::Only(&["web"])),
    ("tokio", Who::NotPure),
    ("tokio_util", Who::NotPure),
    ("tokio_cron_scheduler", Who::NotPure),
    ("tracing_subscriber", Who::Only(&["telemetry"])),
    ("std::env", Who::NotPure),
    ("std::fs", Who::NotPure),
    ("std::net", Who::NotPure),
    ("std::process", Who::NotPure),
    ("std::thread::sleep", Who::NotPure),
    ("std::time::SystemTime", Who::NotPure),
    ("std::time::Instant", Who::NotPure),
    ("chrono::Local", Who::NotPure),
    ("println!", Who::NotPure),
    ("eprintln!", Who::NotPure),
    ("print!", Who::NotPure),
    ("eprint!", Who::NotPure),
    ("dbg!", Who::NotPure),
    // Only ports are asynchronous among the pure.
    ("futures", Who::Only(&["ports", "records", "controller", "aws", "embedded", "sim", "web", "cli"])),
];

enum Who {
    /// These parts of the crate.
    Only(&'static [&'static str]),
    /// Every part but the pure ones.
    NotPure,
}

const MAX_LINES: usize = 600;

#[test]
fn nobody_knows_whom_they_may_not() {
    let files = sources();
    assert!(files.len() > 10, "the sources are not where they are looked for");
    let wrong: Vec<_> = files.iter().flat_map(|(path, text)| violations(path, text)).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// A cause that is left out is the one that would have told: what the log has of an error is all of it, as `error`.
#[test]
fn a_log_line_tells_an_error_with_its_causes() {
    for (path, text) in sources() {
        let wrong = told_without_causes(&without_tests(tokens(&text)));
        assert!(wrong.is_empty(), "src/{}: {wrong:?}: write `error = %chain(&error)`", path.display());
    }
    let wrong = |text: &str| !told_without_causes(&tokens(text)).is_empty();
    assert!(wrong("tracing::warn!(%error, \"x\")") && wrong("tracing::debug!(name, ?error)"));
    assert!(wrong("tracing::error!(error = %told, \"x\")") && wrong("info!(why = %error)"));
    assert!(!wrong("tracing::warn!(error = %chain(&told), why = %reason, \"%error\")"));
    assert!(!wrong("tracing::warn!(name, \"x\"); let left = all %error;"));
}

/// What log lines are given of errors but for their chains. An error is known by its name, or as the field `error`.
fn told_without_causes(tokens: &[String]) -> Vec<String> {
    const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    let mut wrong = Vec::new();
    for (at, line) in tokens.windows(3).enumerate() {
        if !LEVELS.contains(&line[0].as_str()) || line[1] != "!" || line[2] != "(" {
            continue;
        }
        let mut depth = 0;
        let ends = |token: &String| {
            depth += i32::from(token == "(") - i32::from(token == ")");
            depth == 0
        };
        let end = tokens[at + 2..].iter().position(ends).map_or(tokens.len(), |length| at + 2 + length);
        for field in tokens[at + 2..end].windows(4) {
            let [name, _, sign, value] = field else { continue };
            let shown = ["%", "?"].contains(&sign.as_str());
            if shown && (value == "error" || name == "error" && value != "chain") {
                wrong.push(field.concat());
            }
        }
        // The first field has nothing before it but the bracket.
        if let [_, sign, value, ..] = &tokens[at + 2..end]
            && ["%", "?"].contains(&sign.as_str())
            && value == "error"
        {
            wrong.push(format!("{sign}{value}"));
        }
    }
    wrong
}

/// `src/**/*.rs` with their text, by path relative to `src`.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).unwrap().to_owned();
                found.push((relative, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Everything in one file that is against the rules.
fn violations(path: &Path, text: &str) -> Vec<String> {
    let module = module_of(path);
    let is_test = module.iter().any(|step| step == "tests");
    let file = format!("src/{}", path.display());
    let part = module.first().cloned().unwrap_or_else(|| "lib".to_owned());
    let mut wrong = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        wrong.push(format!("{file}: {lines} lines; past {MAX_LINES}, ask what the file is about"));
    }
    let tokens = without_tests(tokens(text));
    if path.ends_with("mod.rs") && tokens.windows(2).any(|pair| pair[0] == "fn" && is_name(&pair[1])) {
        wrong.push(format!("{file}: a function in a `mod.rs`, which has docs and `pub use` only"));
    }
    let Some((_, may_know)) = MAY_KNOW.iter().find(|(name, _)| *name == part) else {
        wrong.push(format!("{file}: `{part}` is not in the table of who may know whom"));
        return wrong;
    };
    if is_test {
        return wrong;
    }
    for named in named(&tokens, &module) {
        match named {
            Named::Part(other) if other != part && EVERYTHING.contains(&other.as_str()) => {
                if !may_know.contains(&other.as_str()) {
                    wrong.push(format!("{file}: `{part}` may not know `{other}`"));
                }
            }
            Named::Part(_) => {}
            Named::Outside(name) => {
                let banned = ONLY_IN.iter().find(|(pattern, who)| matches(pattern, &name) && !allows(who, &part));
                if let Some((pattern, _)) = banned {
                    wrong.push(format!("{file}: `{part}` may not name `{pattern}` (`{name}`)"));
                }
            }
        }
    }
    wrong.dedup();
    wrong
}

fn allows(who: &Who, part: &str) -> bool {
    match who {
        Who::Only(parts) => parts.contains(&part),
        Who::NotPure => !PURE.contains(&part),
    }
}

/// `std::env` matches `std::env` and `std::env::var`; `aws_sdk_*` whatever begins so.
fn matches(pattern: &str, name: &str) -> bool {
    if let Some(start) = pattern.strip_suffix('*') {
        return name.starts_with(start);
    }
    name.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// `manifest/read.rs` is `[manifest, read]`, `manifest/mod.rs` is `[manifest]`, `lib.rs` is `[]`.
fn module_of(path: &Path) -> Vec<String> {
    let mut steps: Vec<_> = path.with_extension("").iter().map(|step| step.to_str().unwrap().to_owned()).collect();
    if steps.last().is_some_and(|last| last == "mod" || (last == "lib" && path.parent() == Some(Path::new("")))) {
        steps.pop();
    }
    steps
}

/// What a path names.
#[derive(Debug, PartialEq)]
enum Named {
    /// A part of this crate.
    Part(String),
    /// A path that begins elsewhere, or a macro with its `!`.
    Outside(String),
}

/// Everything that the tokens of a module name.
fn named(tokens: &[String], module: &[String]) -> Vec<Named> {
    let mut found = Vec::new();
    // Modules written inside the file, with the depth of braces they end at.
    let mut inner: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].as_str() {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inner.last().is_some_and(|(_, end)| *end == depth) {
                    inner.pop();
                }
            }
            "mod" if tokens.get(at + 2).is_some_and(|next| next == "{") => {
                inner.push((tokens[at + 1].clone(), depth));
                depth += 1;
                at += 2;
            }
            token if is_name(token) && (at == 0 || tokens[at - 1] != "::") => {
                let mut paths = Vec::new();
                let in_use = at > 0 && tokens[at - 1] == "use";
                let end = read_path(tokens, at, &[], &mut paths);
                let is_macro = tokens.get(end).is_some_and(|next| next == "!");
                let here: Vec<_> = module.iter().cloned().chain(inner.iter().map(|(name, _)| name.clone())).collect();
                found.extend(paths.iter().filter_map(|path| resolve(path, &here, in_use, is_macro)));
                at = end.max(at + 1);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads the path or tree of paths that begins at `at`; gives where it ends.
fn read_path(tokens: &[String], mut at: usize, prefix: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") if !path.is_empty() || !prefix.is_empty() => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    let end = read_path(tokens, at, &path, paths);
                    at = end.max(at + 1);
                    // `as name` and commas.
                    while tokens.get(at).is_some_and(|token| token != "}" && token != "," && token != "{") {
                        at += 1;
                    }
                    if tokens.get(at).is_some_and(|token| token == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some("*") => {
                at += 1;
                break;
            }
            Some(token) if is_name(token) => {
                path.push(token.to_owned());
                at += 1;
                if tokens.get(at).is_none_or(|next| next != "::") {
                    break;
                }
                at += 1;
                // `Vec::<T>::new` ends here; `T` begins a path of its own.
                if tokens.get(at).is_some_and(|next| next != "{" && next != "*" && !is_name(next)) {
                    break;
                }
            }
            _ => break,
        }
    }
    paths.push(path);
    at
}

fn resolve(path: &[String], module: &[String], in_use: bool, is_macro: bool) -> Option<Named> {
    let first = path.first()?;
    let mut at = match first.as_str() {
        "crate" | "plimsoll" => Vec::new(),
        "self" | "super" => module.to_vec(),
        _ if is_macro => return Some(Named::Outside(format!("{}!", path.join("::")))),
        _ if path.len() > 1 || in_use => return Some(Named::Outside(path.join("::"))),
        _ => return None,
    };
    for step in path.iter().skip(usize::from(first != "super")) {
        if step == "super" {
            at.pop();
        } else {
            at.push(step.clone());
        }
    }
    at.first().cloned().map(Named::Part)
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::`, and every other sign by itself; no comments, strings, characters, lifetimes and numbers.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if first == '"' || rest.starts_with("b\"") || rest.starts_with("c\"") {
            let open = rest.find('"').unwrap() + 1;
            open + until_unescaped(&rest[open..], '"')
        } else if first == '\'' {
            character_or_lifetime(rest)
        } else if first.is_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push(rest[..length].to_owned());
            length
        } else if first.is_ascii_digit() {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            found.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                found.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of `r"…"`, `r#"…"#` and the like, where the text begins with one.
fn raw_string(text: &str) -> Option<usize> {
    let body = ["r", "br", "cr"].iter().find_map(|start| text.strip_prefix(start))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inside = body[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inside.find(&close).map_or(inside.len(), |at| at + close.len());
    Some(text.len() - inside.len() + end)
}

/// How far the closing sign reaches, backslashes heeded.
fn until_unescaped(text: &str, close: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == close && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

fn character_or_lifetime(text: &str) -> usize {
    let mut characters = text[1..].chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => 1 + until_unescaped(&text[1..], '\''),
        _ => text[1..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(text.len(), |end| end + 1),
    }
}

/// Without what follows `#[cfg(test)]` up to the end of its block or statement: tests may know anybody.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    let marker = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens.len() - at < marker.len() || tokens[at..at + marker.len()] != marker {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0;
        while at < tokens.len() {
            match tokens[at].as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 && matches!(tokens[at - 1].as_str(), "}" | ";") {
                break;
            }
        }
    }
    kept
}

#[track_caller]
fn check(path: &str, text: &str, expected: &[&str]) {
    let found = violations(Path::new(path), text);
    let found: Vec<_> = found.iter().map(|wrong| wrong.split_once(": ").unwrap().1).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_forbidden_import_is_seen_however_it_is_written() {
    let no_plan = &["`model` may not know `plan`"];
    check("model/arn.rs", "use crate::plan::Plan;", no_plan);
    check("model/arn.rs", "use crate::{plan, model::Severity};", no_plan);
    check("model/arn.rs", "use crate::{model::{arn, time as t}, plan::{self, diff}};", no_plan);
    check("model/arn.rs", "fn f() -> Vec<crate::plan::Plan> { Vec::new() }", no_plan);
    check("model/arn.rs", "use super::super::plan::Plan;", no_plan);
    check("model/mod.rs", "pub use super::plan::Plan;", no_plan);
    check("model/arn.rs", "mod inner { use super::super::super::plan; }", no_plan);
    check("model/arn.rs", "macro_rules! m { () => { $crate::plan::f() } }", no_plan);
    check("model/spec/mod.rs", "use super::super::plan;", no_plan);
    check("sim/http.rs", "use crate::aws::ecs;", &["`sim` may not know `aws`"]);
    check("embedded/mod.rs", "use crate::controller::Queue;", &["`embedded` may not know `controller`"]);
    check("controller/mod.rs", "use crate::aws::ecs;", &["`controller` may not know `aws`"]);
}

#[test]
fn a_forbidden_name_is_seen_however_it_is_written() {
    let cases = [
        ("use tokio::time;", "`plan` may not name `tokio` (`tokio::time`)"),
        ("use std::{collections::BTreeMap, fs};", "`plan` may not name `std::fs` (`std::fs`)"),
        ("fn f() { std::env::var(\"A\").ok(); }", "`plan` may not name `std::env` (`std::env::var`)"),
        (
            "use std::time::{Duration, SystemTime};",
            "`plan` may not name `std::time::SystemTime` (`std::time::SystemTime`)",
        ),
        ("fn f() { println!(\"a\") }", "`plan` may not name `println!` (`println!`)"),
        ("use anyhow::Result;", "`plan` may not name `anyhow` (`anyhow::Result`)"),
        ("#[tokio::test] async fn f() {}", "`plan` may not name `tokio` (`tokio::test`)"),
        ("use aws_sdk_ecs::Client;", "`plan` may not name `aws_sdk_*` (`aws_sdk_ecs::Client`)"),
        ("type A = Vec::<futures::future::Ready<()>>;", "`plan` may not name `futures` (`futures::future::Ready`)"),
    ];
    for (text, expected) in cases {
        check("plan/diff.rs", text, &[expected]);
    }
    check("cli/get.rs", "use aws_config::load;", &["`cli` may not name `aws_config` (`aws_config::load`)"]);
    check("web/page.rs", "use clap::Parser;", &["`web` may not name `clap` (`clap::Parser`)"]);
}

#[test]
fn what_only_looks_forbidden_is_allowed() {
    let innocent = [
        "// use crate::plan;\n/* use tokio::time; /* nested */ println!() */",
        "const A: &str = \"use crate::plan; \\\" println!()\"; const B: &str = r#\"tokio::\"time\"\"#;",
        "const C: char = '\"'; fn f<'a>(x: &'a str) -> char { '\\'' } const D: char = '\\u{1f}';",
        "use std::time::Duration; use crate::model::time; use super::arn; use self::inner::A;",
        "fn f(tokio: u8) -> u8 { tokio + 1 }",
        "#[cfg(test)] mod tests { use super::super::plan; use std::fs; fn f() { println!(\"{}\", 1) } }",
        "#[cfg(test)]\nmod tests;\nuse crate::model::arn;",
        "mod inner { use super::super::arn; }",
    ];
    for text in innocent {
        check("model/arn.rs", text, &[]);
    }
    check("aws/ecs.rs", "use aws_sdk_ecs::Client; use crate::{model, ports::{Ecs, EcsError}}; use tokio::time;", &[]);
    check("main.rs", "fn main() { plimsoll::cli::run() } use anyhow::Result;", &[]);
    check("lib.rs", "pub mod model; pub mod plan;", &[]);
    check("model/tests.rs", "use std::fs;", &[]);
}

#[test]
fn long_files_logic_in_mod_rs_and_unknown_parts_are_seen() {
    let long = "\n".repeat(MAX_LINES + 1);
    check("model/arn.rs", &long, &["601 lines; past 600, ask what the file is about"]);
    check("model/mod.rs", "pub fn f() {}", &["a function in a `mod.rs`, which has docs and `pub use` only"]);
    check("model/mod.rs", "pub type F = fn(u8) -> u8; pub mod arn;", &[]);
    check("helpers/mod.rs", "", &["`helpers` is not in the table of who may know whom"]);
}
