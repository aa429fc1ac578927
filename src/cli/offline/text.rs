//! JSON text with the place of everything in it. Knows nothing of task definitions.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;

/// Values in one text. A Terraform plan of a large estate has some hundred thousand; past this, reading would take
/// gigabytes.
const MAX_VALUES: usize = 2_000_000;

/// Where a value, and the name before it, stand in a text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Place {
    /// The value.
    pub(in crate::cli) value: Range<usize>,
    /// Where the name begins, for a member of an object; else where the value does.
    pub(in crate::cli) start: usize,
}

/// A place, and those of what the value holds: the tree of the value once more, because pointers of all nodes would
/// take many times the text.
#[derive(Debug, Clone)]
struct Spot {
    place: Place,
    inside: Inside,
}

#[derive(Debug, Clone)]
enum Inside {
    Nothing,
    Elements(Vec<Spot>),
    Members(HashMap<String, Spot>),
}

/// A JSON text, its value, and the place of every node by JSON Pointer.
#[derive(Debug, Clone)]
pub(in crate::cli) struct JsonText {
    pub(in crate::cli) text: String,
    pub(in crate::cli) value: Value,
    root: Spot,
    lines: Vec<usize>,
}

/// The text is no JSON that everybody reads alike.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub(in crate::cli) struct JsonFault {
    pub(in crate::cli) line: usize,
    pub(in crate::cli) column: usize,
    pub(in crate::cli) message: String,
}

impl JsonText {
    /// Reads a text. A byte order mark at its start is kept.
    ///
    /// # Errors
    /// What serde_json refuses, members that are there twice (which of them counts differs between readers), and more
    /// than [`MAX_VALUES`].
    pub(in crate::cli) fn parse(text: String) -> Result<Self, JsonFault> {
        let begin = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        if let Some(at) = past_the_limit(&text) {
            let (line, column) = position(&line_starts(&text), &text, at);
            return Err(JsonFault { line, column, message: format!("there are more than {MAX_VALUES} values") });
        }
        let value: Value = serde_json::from_str(text.get(begin..).unwrap_or("")).map_err(|error| JsonFault {
            line: error.line(),
            column: error.column(),
            // serde_json ends its sentence with the place, which is told already.
            message: error.to_string().split(" at line ").next().unwrap_or("it is not JSON").to_owned(),
        })?;
        let mut scanner = Scanner { bytes: text.as_bytes(), at: begin, twice: None };
        let root = scanner.value(None);
        let lines = line_starts(&text);
        if let Some((name, at)) = scanner.twice {
            let (line, column) = position(&lines, &text, at);
            return Err(JsonFault { line, column, message: format!("the member `{name}` is there twice") });
        }
        Ok(Self { text, value, root, lines })
    }

    /// Where the node of that pointer stands.
    pub(in crate::cli) fn place(&self, pointer: &str) -> Option<&Place> {
        let (place, rest) = self.nearest(pointer);
        rest.is_empty().then_some(place)
    }

    /// The line, from 1, of a node; where there is none, of the nearest thing around it.
    pub(in crate::cli) fn line(&self, pointer: &str) -> usize {
        position(&self.lines, &self.text, self.nearest(pointer).0.start).0
    }

    /// The place of the deepest node on the way, and what is left of the pointer there.
    fn nearest<'a>(&self, pointer: &'a str) -> (&Place, &'a str) {
        let (mut spot, mut rest) = (&self.root, pointer);
        while let Some(after) = rest.strip_prefix('/') {
            let (token, next) = after.split_at(after.find('/').unwrap_or(after.len()));
            let inner = match &spot.inside {
                Inside::Nothing => None,
                Inside::Elements(elements) => token.parse().ok().and_then(|index: usize| elements.get(index)),
                Inside::Members(members) => members.get(&token.replace("~1", "/").replace("~0", "~")),
            };
            let Some(inner) = inner else { break };
            (spot, rest) = (inner, next);
        }
        (&spot.place, rest)
    }

    /// The pointers and places of all nodes, in no order.
    pub(in crate::cli) fn places(&self) -> Vec<(String, &Place)> {
        let mut found = Vec::new();
        visit(&self.root, String::new(), &mut found);
        found
    }
}

fn visit<'a>(spot: &'a Spot, pointer: String, found: &mut Vec<(String, &'a Place)>) {
    match &spot.inside {
        Inside::Nothing => {}
        Inside::Elements(elements) => {
            for (index, inner) in elements.iter().enumerate() {
                visit(inner, format!("{pointer}/{index}"), found);
            }
        }
        Inside::Members(members) => {
            for (name, inner) in members {
                visit(inner, format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
    }
    found.push((pointer, &spot.place));
}

/// Where a text comes to have too many values, if it does: each but the first comes after one of these bytes.
fn past_the_limit(text: &str) -> Option<usize> {
    let mut values = 0;
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b'[' | b'{' if !quoted => {
                values += 1;
                if values > MAX_VALUES {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0)
        .chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1))
        .collect()
}

/// Line and column, from 1, of a byte.
fn position(lines: &[usize], text: &str, at: usize) -> (usize, usize) {
    let line = lines.partition_point(|start| *start <= at).max(1);
    let start = lines.get(line - 1).copied().unwrap_or(0);
    (line, text.get(start..at).unwrap_or("").chars().count() + 1)
}

/// Walks a text that serde_json has accepted: nothing here has to be checked again, and nesting is bounded (128).
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    twice: Option<(String, usize)>,
}

impl Scanner<'_> {
    fn blank(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.blank();
        self.bytes.get(self.at).copied()
    }

    fn value(&mut self, name_at: Option<usize>) -> Spot {
        let first = self.peek();
        let start = self.at;
        let mut inside = Inside::Nothing;
        match first {
            Some(b'{') => inside = Inside::Members(self.members()),
            Some(b'[') => inside = Inside::Elements(self.elements()),
            Some(b'"') => drop(self.string()),
            _ => {
                while self
                    .bytes
                    .get(self.at)
                    .is_some_and(|byte| !matches!(byte, b',' | b'}' | b']') && !byte.is_ascii_whitespace())
                {
                    self.at += 1;
                }
            }
        }
        Spot { place: Place { value: start..self.at, start: name_at.unwrap_or(start) }, inside }
    }

    fn members(&mut self) -> HashMap<String, Spot> {
        let mut inside = HashMap::new();
        self.at += 1;
        while self.peek().is_some_and(|byte| byte != b'}') {
            let name_at = self.at;
            let name = self.string();
            self.blank();
            // The colon.
            self.at += 1;
            let spot = self.value(Some(name_at));
            if self.twice.is_none() && inside.contains_key(&name) {
                self.twice = Some((name.clone(), name_at));
            }
            inside.insert(name, spot);
            self.comma();
        }
        self.at += 1;
        inside
    }

    fn elements(&mut self) -> Vec<Spot> {
        let mut inside = Vec::new();
        self.at += 1;
        while self.peek().is_some_and(|byte| byte != b']') {
            inside.push(self.value(None));
            self.comma();
        }
        self.at += 1;
        inside
    }

    fn comma(&mut self) {
        if self.peek() == Some(b',') {
            self.at += 1;
        }
    }

    /// A string, unescaped.
    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'"' => break,
                _ => {}
            }
        }
        let raw = self.bytes.get(start..self.at).unwrap_or_default();
        serde_json::from_slice(raw).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_node_has_its_line() {
        let text = "{\n  \"family\": \"web\",\n  \"a/b~\": [\n    1,\n    {\"x\": \"}\\\"\"}\n  ]\n}\n";
        let json = JsonText::parse(text.to_owned()).unwrap();
        for (pointer, line) in [
            ("", 1),
            ("/family", 2),
            ("/a~1b~0", 3),
            ("/a~1b~0/0", 4),
            ("/a~1b~0/1/x", 5),
            ("/family/missing", 2),
            ("/missing", 1),
        ] {
            assert_eq!(json.line(pointer), line, "{pointer}");
        }
        let place = json.place("/a~1b~0/1/x").unwrap();
        assert_eq!(&text[place.value.clone()], "\"}\\\"\"");
        assert_eq!(&text[place.start..place.value.end], "\"x\": \"}\\\"\"");
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused() {
        let fault = JsonText::parse("{\n\"a\": 1,\n \"a\": 2}".to_owned()).unwrap_err();
        assert_eq!((fault.line, fault.column, fault.message.as_str()), (3, 2, "the member `a` is there twice"));
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        let fault = JsonText::parse("{\n  \"a\": ,\n}".to_owned()).unwrap_err();
        assert_eq!((fault.line, fault.message.as_str()), (2, "expected value"));
    }

    #[test]
    fn more_values_than_anybody_writes_are_refused_before_they_are_read() {
        let text = format!("[{}0]", "0,".repeat(MAX_VALUES));
        assert!(JsonText::parse(text).unwrap_err().message.contains("more than 2000000 values"));
        assert!(JsonText::parse(format!("\"{}\"", ",".repeat(MAX_VALUES + 1))).is_ok());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_text_at_each_place_is_the_value_there(value in values(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let json = JsonText::parse(text.clone()).unwrap();
            for (pointer, place) in json.places() {
                let there: Value = serde_json::from_str(&text[place.value.clone()]).unwrap();
                prop_assert_eq!(Some(&there), value.pointer(&pointer));
                prop_assert_eq!(json.place(&pointer), Some(place));
            }
        }
    }
}
