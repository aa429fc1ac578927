//! Bytes into a value with the place of everything in it, or what is wrong with them, with line and column. Knows JSON
//! and YAML, not what they are about.

use serde_json::Value;

use super::text::JsonText;
use crate::cli::error::Error;
use crate::manifest::{Written, read_yaml};

/// A file's text and value.
pub(in crate::cli) enum Source {
    Json(JsonText),
    Yaml(Written),
}

impl Source {
    /// Reads a file. It is JSON if it begins so, whatever its name: JSON can be edited in place.
    ///
    /// # Errors
    /// Where it is neither: with the place, and with what it seems to be.
    pub(in crate::cli) fn read(name: &str, bytes: Vec<u8>) -> Result<Self, Error> {
        if let Some((what, help)) = binary(&bytes) {
            return Err(Error::new(format!("`{name}` is {what}")).help(help));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let (line, column) = place(error.as_bytes(), good);
            Error::new(format!("{name}:{line}:{column}: the file is not UTF-8 from here on")).help("save it as UTF-8")
        })?;
        if let Some(at) = text.bytes().position(|byte| byte == 0) {
            let (line, column) = place(text.as_bytes(), at);
            return Err(Error::new(format!("{name}:{line}:{column}: there is a NUL character; this is no text")));
        }
        let bare = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if bare.trim().is_empty() {
            return Err(Error::new(format!("`{name}` is empty")));
        }
        if !bare.trim_start().starts_with(['{', '[']) {
            return yaml(name, bare).map(Self::Yaml);
        }
        let may_be_yaml = !name.ends_with(".json");
        let kept = may_be_yaml.then(|| bare.to_owned());
        JsonText::parse(text).map(Self::Json).or_else(|fault| {
            // YAML may begin with a bracket too. If it is no YAML either, JSON was meant.
            let error = Error::new(format!("{name}:{}:{}: {}", fault.line, fault.column, fault.message))
                .help("this is not JSON; `aws ecs describe-task-definition` prints what is");
            kept.and_then(|text| yaml(name, &text).ok()).map(Self::Yaml).ok_or(error)
        })
    }

    pub(in crate::cli) const fn value(&self) -> &Value {
        match self {
            Self::Json(json) => &json.value,
            Self::Yaml(written) => written.value(),
        }
    }

    /// The line, from 1, of a node; where there is none, of the nearest thing around it.
    pub(in crate::cli) fn line(&self, pointer: &str) -> usize {
        match self {
            Self::Json(json) => json.line(pointer),
            Self::Yaml(written) => written.position(pointer).0,
        }
    }

    /// The text that can be edited in place.
    pub(in crate::cli) const fn json(&self) -> Option<&JsonText> {
        match self {
            Self::Json(json) => Some(json),
            Self::Yaml(_) => None,
        }
    }

    /// Whether the text at the pointer was written without quotes, in YAML.
    pub(super) fn is_plain(&self, pointer: &str) -> bool {
        match self {
            Self::Json(_) => false,
            Self::Yaml(written) => written.is_plain(pointer),
        }
    }

    /// Several documents in one file.
    pub(super) const fn is_several(&self) -> bool {
        match self {
            Self::Json(_) => false,
            Self::Yaml(written) => written.documents() > 1,
        }
    }

    /// Where the first short form of a function stands, if there is any.
    pub(super) fn short_form(&self) -> Option<(usize, usize)> {
        match self {
            Self::Json(_) => None,
            Self::Yaml(written) => written.short_form(),
        }
    }
}

fn yaml(name: &str, text: &str) -> Result<Written, Error> {
    read_yaml(name, text.as_bytes()).map_err(|found| {
        let more = found.len().saturating_sub(1);
        let first = found.first().map_or_else(|| format!("`{name}` cannot be read"), ToString::to_string);
        let mut error = Error::new(first);
        if more > 0 {
            error = error.caused_by(format!("and {more} more problems in this file"));
        }
        match (is_terraform(text), found.first().and_then(|one| one.help.clone())) {
            (true, _) => error.help(
                "it seems to be Terraform's own language: give `terraform show -json PLANFILE` instead, which has the values",
            ),
            (false, Some(help)) => error.help(help),
            (false, None) => error,
        }
    })
}

/// Whether a text has blocks as Terraform's language has them.
pub(super) fn is_terraform(text: &str) -> bool {
    const BLOCKS: &[&str] = &["resource", "module", "data", "variable", "provider", "terraform", "locals"];
    let block = |line: &str| line.contains('{') && BLOCKS.contains(&line.split([' ', '"', '{']).next().unwrap_or(""));
    text.lines().take(2000).any(block)
}

/// What begins like a file of another kind.
fn binary(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    Some(if begins(b"PK\x03\x04") {
        ("a zip archive, as `terraform plan -out` writes", "give `terraform show -json PLANFILE`")
    } else if begins(b"\x1f\x8b") {
        ("compressed", "unpack it first")
    } else if begins(b"\xff\xfe") || begins(b"\xfe\xff") {
        ("UTF-16", "save it as UTF-8")
    } else {
        return None;
    })
}

/// Line and column, from 1, of a byte; the bytes before it are UTF-8.
fn place(bytes: &[u8], at: usize) -> (usize, usize) {
    let before = bytes.get(..at).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(name: &str, bytes: &[u8], told: &str) {
        let error = match Source::read(name, bytes.to_vec()) {
            Ok(_) => panic!("{name} was read"),
            Err(error) => error.one_line(),
        };
        assert!(error.contains(told), "{error}");
    }

    #[test]
    fn what_is_no_text_is_told_with_its_place() {
        refused("f", b"", "`f` is empty");
        refused("f", b"\xef\xbb\xbf \n", "`f` is empty");
        refused("f", b"a: 1\nb\xff: 2", "f:2:2: the file is not UTF-8");
        refused("f", b"{\"a\": \"\0\"}", "f:1:8: there is a NUL");
        refused("f", b"PK\x03\x04...", "terraform show -json");
        refused("f", b"\x1f\x8b", "unpack");
        refused("f", b"\xff\xfe{\0", "UTF-16");
        refused("f.tf", b"resource \"a\" \"web\" {\n  a = \"${b}: {\"\n  c: [\n}\n", "Terraform's own language");
        refused("f.json", b"{\"a\": 1,}", "f.json:1:9:");
        refused("f", b"{\"a\": ", "f:1:6:");
        refused("f.yaml", b"a: [1\n", "f.yaml:1:");
    }

    #[test]
    fn json_and_yaml_are_told_apart_by_what_they_begin_with() {
        for (name, text, is_json) in [
            ("f.yaml", "{\"a\": 1}", true),
            ("-", "\u{feff}{\"a\": 1}", true),
            ("f.yaml", "{a: 1}", false),
            ("-", "[{a: 1}]", false),
            ("f.json", "a: 1", false),
            ("-", "\u{feff}a: 1", false),
        ] {
            let source = Source::read(name, text.as_bytes().to_vec()).unwrap();
            assert_eq!(source.json().is_some(), is_json, "{text}");
            assert_eq!(source.line(""), 1);
        }
    }
}
