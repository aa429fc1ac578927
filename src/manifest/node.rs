//! A document as a tree in which every node knows where it was written. Knows no schema.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

/// How a scalar was written; what decides where a character of its value stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    /// `|` or `>`: the value begins on the line after the indicator.
    Block,
}

/// A value and where it was written, in bytes of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: Range<usize>,
    pub(super) content: Content,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// Never a list or an object.
    Scalar(Value, Style),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// The name of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) at: Range<usize>,
    pub(super) name: String,
}

impl Node {
    /// What it is, in words for people.
    pub(super) fn noun(&self) -> &'static str {
        match &self.content {
            Content::List(_) => "a list",
            Content::Map(_) => "an object",
            Content::Scalar(value, _) => match value {
                Value::Null => "nothing",
                Value::Bool(_) => "a boolean",
                Value::Number(number) if number.is_f64() => "a number",
                Value::Number(_) => "an integer",
                Value::String(_) | Value::Array(_) | Value::Object(_) => "a string",
            },
        }
    }

    /// The member called `name`.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match &self.content {
            Content::Map(members) => members.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            Content::List(_) | Content::Scalar(..) => None,
        }
    }

    /// Its text, where it is a string.
    pub(super) const fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text), _) => Some(text.as_str()),
            Content::List(_) | Content::Map(_) | Content::Scalar(..) => None,
        }
    }

    /// Whether it is null, or nothing was written.
    pub(super) const fn is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Value::Null, _))
    }

    /// Where to point for what is not there: its first member, else itself.
    pub(super) fn first(&self) -> Range<usize> {
        match &self.content {
            Content::Map(members) => members.first().map_or_else(|| self.at.clone(), |(key, _)| key.at.clone()),
            Content::List(_) | Content::Scalar(..) => self.at.clone(),
        }
    }

    /// The value alone, members in the order they were written.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value, _) => value.clone(),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Map(members) => {
                Value::Object(members.iter().map(|(key, node)| (key.name.clone(), node.to_json())).collect())
            }
        }
    }
}

/// Where a value and its key were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The member's name; `None` for what has none: an element, or the root.
    pub(super) key: Option<Range<usize>>,
    pub(super) value: Range<usize>,
    /// Of a scalar.
    pub(super) style: Option<Style>,
}

impl Place {
    /// The one line to show for it: the value where it is a scalar, else the name it goes by.
    pub(super) fn shown(&self) -> Range<usize> {
        match (&self.key, self.style) {
            (Some(key), None) => key.clone(),
            (Some(key), Some(_)) if self.value.is_empty() => key.clone(),
            _ => self.value.clone(),
        }
    }
}

/// Where everything in a document was written, by JSON Pointer.
pub(super) type Places = BTreeMap<String, Place>;

/// One step of a JSON Pointer (RFC 6901).
pub(super) fn step(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The places of `root` and everything in it; `""` is the root.
pub(super) fn places(root: &Node) -> Places {
    let mut found = Places::new();
    visit(root, None, String::new(), &mut found);
    found
}

fn visit(node: &Node, key: Option<&Key>, pointer: String, found: &mut Places) {
    match &node.content {
        Content::Scalar(..) => {}
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(item, None, format!("{pointer}/{index}"), found);
            }
        }
        Content::Map(members) => {
            for (key, member) in members {
                visit(member, Some(key), step(&pointer, &key.name), found);
            }
        }
    }
    let style = match &node.content {
        Content::Scalar(_, style) => Some(*style),
        Content::List(_) | Content::Map(_) => None,
    };
    found.insert(pointer, Place { key: key.map(|key| key.at.clone()), value: node.at.clone(), style });
}
