//! Values with the place in a file that each part of them comes from, and with what cannot be known in them. What
//! templates and plans are turned into before their members get ECS's names.

use serde_json::{Map, Value};

use crate::model::document::UNRESOLVED;

/// A value that was written somewhere.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    /// JSON Pointer into the file.
    pub(super) at: String,
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// Never a list or an object.
    Leaf(Value),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
    /// What it will be is not known; why, in a word or two. As an element it may be none, or several.
    Unresolved(String),
}

impl Tree {
    /// A value as it was written at `at`, with nothing unknown in it.
    pub(super) fn of(value: &Value, at: &str) -> Self {
        let content = match value {
            Value::Array(items) => Content::List(
                items.iter().enumerate().map(|(index, item)| Self::of(item, &format!("{at}/{index}"))).collect(),
            ),
            Value::Object(members) => Content::Map(
                members.iter().map(|(name, member)| (name.clone(), Self::of(member, &step(at, name)))).collect(),
            ),
            leaf => Content::Leaf(leaf.clone()),
        };
        Self { at: at.to_owned(), content }
    }

    /// A value all of which comes from the one place `at`, as what stands in a text does.
    pub(super) fn within(value: &Value, at: &str) -> Self {
        let content = match value {
            Value::Array(items) => Content::List(items.iter().map(|item| Self::within(item, at)).collect()),
            Value::Object(members) => {
                Content::Map(members.iter().map(|(name, member)| (name.clone(), Self::within(member, at))).collect())
            }
            leaf => Content::Leaf(leaf.clone()),
        };
        Self { at: at.to_owned(), content }
    }

    pub(super) fn leaf(value: impl Into<Value>, at: &str) -> Self {
        Self { at: at.to_owned(), content: Content::Leaf(value.into()) }
    }

    pub(super) fn map(members: Vec<(String, Self)>, at: &str) -> Self {
        Self { at: at.to_owned(), content: Content::Map(members) }
    }

    pub(super) fn unresolved(why: impl Into<String>, at: &str) -> Self {
        Self { at: at.to_owned(), content: Content::Unresolved(why.into()) }
    }

    /// Its text, where it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Leaf(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether there is nothing in it: null, an empty text, list or object. What Terraform's plans have for what was
    /// not written.
    pub(super) fn is_blank(&self) -> bool {
        match &self.content {
            Content::Leaf(Value::Null) => true,
            Content::Leaf(Value::String(text)) => text.is_empty(),
            Content::List(items) => items.is_empty(),
            Content::Map(members) => members.is_empty(),
            Content::Leaf(_) | Content::Unresolved(_) => false,
        }
    }

    /// Takes the member called `name` out.
    pub(super) fn take(&mut self, name: &str) -> Option<Self> {
        let Content::Map(members) = &mut self.content else { return None };
        let at = members.iter().position(|(known, _)| known == name)?;
        Some(members.remove(at).1)
    }

    /// The value alone, in which the marker of the expression language stands for what is not known.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Leaf(value) => value.clone(),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Map(members) => {
                Value::Object(members.iter().map(|(name, member)| (name.clone(), member.to_json())).collect())
            }
            Content::Unresolved(why) => unresolved(why),
        }
    }

    /// Whether it holds the same as the other, wherever either was written, and all of it is known.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (&self.content, &other.content) {
            (Content::Leaf(one), Content::Leaf(other)) => one == other,
            (Content::List(one), Content::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.same(other))
            }
            (Content::Map(one), Content::Map(others)) => {
                let find = |name: &str| others.iter().find(|(known, _)| known == name);
                one.len() == others.len()
                    && one.iter().all(|(name, member)| find(name).is_some_and(|(_, other)| member.same(other)))
            }
            _ => false,
        }
    }
}

/// The value that stands for what is not known.
pub(super) fn unresolved(why: &str) -> Value {
    Value::Object(Map::from_iter([(UNRESOLVED.to_owned(), why.into())]))
}

/// One step more of a JSON Pointer (RFC 6901).
pub(super) fn step(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}
