//! JSON text with the place of everything in it. Knows nothing of task definitions.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;

/// Where a value, and the name before it, stand in a text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Place {
    /// The value.
    pub(in crate::cli) value: Range<usize>,
    /// Where the name begins, for a member of an object; else where the value does.
    pub(in crate::cli) start: usize,
}

/// A JSON text, its value, and the place of every node by JSON Pointer.
#[derive(Debug, Clone)]
pub(in crate::cli) struct JsonText {
    pub(in crate::cli) text: String,
    pub(in crate::cli) value: Value,
    places: HashMap<String, Place>,
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
    /// What serde_json refuses, and members that are there twice: which of them counts differs between readers.
    pub(in crate::cli) fn parse(text: String) -> Result<Self, JsonFault> {
        let begin = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let value: Value = serde_json::from_str(text.get(begin..).unwrap_or("")).map_err(|error| JsonFault {
            line: error.line(),
            column: error.column(),
            // serde_json ends its sentence with the place, which is told already.
            message: error.to_string().split(" at line ").next().unwrap_or("it is not JSON").to_owned(),
        })?;
        let mut scanner = Scanner { bytes: text.as_bytes(), at: begin, places: HashMap::new(), twice: None };
        scanner.value(String::new(), None);
        if let Some((name, at)) = scanner.twice {
            let (line, column) = position(&text, at);
            return Err(JsonFault { line, column, message: format!("the member `{name}` is there twice") });
        }
        let places = scanner.places;
        Ok(Self { text, value, places })
    }

    /// Where the node of that pointer stands.
    pub(in crate::cli) fn place(&self, pointer: &str) -> Option<&Place> {
        self.places.get(pointer)
    }

    /// The line, from 1, of a node; where there is none, of the nearest thing around it.
    pub(in crate::cli) fn line(&self, pointer: &str) -> usize {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return position(&self.text, place.start).0;
            }
            match pointer.rsplit_once('/') {
                Some((around, _)) => pointer = around,
                None => return 1,
            }
        }
    }

    /// The places of all nodes.
    pub(in crate::cli) fn places(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.places.iter().map(|(pointer, place)| (pointer.as_str(), place))
    }
}

/// Line and column, from 1, of a byte.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// Walks a text that serde_json has accepted: nothing here has to be checked again, and nesting is bounded (128).
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    places: HashMap<String, Place>,
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

    fn value(&mut self, pointer: String, name_at: Option<usize>) {
        let first = self.peek();
        let start = self.at;
        match first {
            Some(b'{') => self.members(&pointer),
            Some(b'[') => self.elements(&pointer),
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
        let place = Place { value: start..self.at, start: name_at.unwrap_or(start) };
        if self.places.insert(pointer.clone(), place).is_some() && self.twice.is_none() {
            let name = pointer.rsplit('/').next().unwrap_or("").replace("~1", "/").replace("~0", "~");
            self.twice = Some((name, name_at.unwrap_or(start)));
        }
    }

    fn members(&mut self, pointer: &str) {
        self.at += 1;
        while self.peek().is_some_and(|byte| byte != b'}') {
            let name_at = self.at;
            let name = self.string();
            self.blank();
            // The colon.
            self.at += 1;
            self.value(format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), Some(name_at));
            self.comma();
        }
        self.at += 1;
    }

    fn elements(&mut self, pointer: &str) {
        self.at += 1;
        let mut index = 0;
        while self.peek().is_some_and(|byte| byte != b']') {
            self.value(format!("{pointer}/{index}"), None);
            index += 1;
            self.comma();
        }
        self.at += 1;
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
                prop_assert_eq!(Some(&there), value.pointer(pointer));
            }
        }
    }
}
