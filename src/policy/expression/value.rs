//! Values while an expression runs: JSON as it stands, and what the expression makes of it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Map, Number, Value};

use crate::model::document::UNRESOLVED;

/// A value, borrowed for `'a` where it can be.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "CEL's types")]
pub enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(Cow<'a, str>),
    List(List<'a>),
    Map(Entries<'a>),
    Optional(Option<Arc<Val<'a>>>),
}

/// A list of a document, or one that an expression made.
#[derive(Debug, Clone)]
pub enum List<'a> {
    /// Of a document.
    Json(&'a [Value]),
    /// Made.
    Made(Arc<Vec<Val<'a>>>),
}

/// A map of a document, or one that an expression made. Keys are text.
#[derive(Debug, Clone)]
pub enum Entries<'a> {
    /// Of a document.
    Json(&'a Map<String, Value>),
    /// Made.
    Made(Arc<Vec<(Cow<'a, str>, Val<'a>)>>),
}

/// Why two values could not be compared or combined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// Their types do not fit.
    Types(&'static str, &'static str),
    /// One of them cannot be known.
    Unresolved,
}

impl<'a> Val<'a> {
    /// A value of a document. `None` where it cannot be known.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::number(number),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(items) => Self::List(List::Json(items)),
            Value::Object(members) if members.len() == 1 && members.contains_key(UNRESOLVED) => return None,
            Value::Object(members) => Self::Map(Entries::Json(members)),
        })
    }

    fn number(number: &Number) -> Self {
        if let Some(int) = number.as_i64() {
            Self::Int(int)
        } else if let Some(uint) = number.as_u64() {
            Self::UInt(uint)
        } else {
            Self::Double(number.as_f64().unwrap_or(f64::NAN))
        }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(List::Made(Arc::new(items)))
    }

    /// The name of its type, for messages.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::UInt(_) => "a whole number",
            Self::Double(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Optional(_) => "an optional",
        }
    }

    /// As JSON. `None` for what JSON cannot say: NaN, infinity, an empty optional.
    #[must_use]
    pub fn to_json(&self) -> Option<Value> {
        Some(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::from(*value),
            Self::UInt(value) => Value::from(*value),
            Self::Double(value) => Value::Number(Number::from_f64(*value)?),
            Self::Text(text) => Value::String(text.clone().into_owned()),
            Self::List(List::Json(items)) => Value::Array(items.to_vec()),
            Self::List(List::Made(items)) => Value::Array(items.iter().map(Val::to_json).collect::<Option<_>>()?),
            Self::Map(Entries::Json(members)) => Value::Object((*members).clone()),
            Self::Map(Entries::Made(entries)) => {
                let members = entries.iter().map(|(key, value)| Some((key.clone().into_owned(), value.to_json()?)));
                Value::Object(members.collect::<Option<_>>()?)
            }
            Self::Optional(Some(value)) => value.to_json()?,
            Self::Optional(None) => return None,
        })
    }

    /// Equality as policies want it: see the module's list of differences. `work` counts compared nodes.
    pub(super) fn equals(&self, other: &Self, work: &mut u64) -> Result<bool, Mismatch> {
        *work += 1;
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Null, _) | (_, Self::Null) => false,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Text(left), Self::Text(right)) => {
                *work += (left.len().min(right.len()) / 64) as u64;
                left == right
            }
            (Self::List(left), Self::List(right)) => {
                if left.len() != right.len() {
                    return if left.is_known() && right.is_known() { Ok(false) } else { Err(Mismatch::Unresolved) };
                }
                let mut mismatch = None;
                for index in 0..left.len() {
                    match (left.get(index), right.get(index)) {
                        (Some(left), Some(right)) => match left.equals(&right, work) {
                            Ok(true) => {}
                            Ok(false) => return Ok(false),
                            Err(why) => mismatch = Some(why),
                        },
                        _ => mismatch = Some(Mismatch::Unresolved),
                    }
                }
                mismatch.map_or(Ok(true), Err)?
            }
            (Self::Map(left), Self::Map(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                let mut mismatch = None;
                for key in left.keys() {
                    let Some(theirs) = right.get(&key) else { return Ok(false) };
                    let ours = left.get(&key).ok_or(Mismatch::Unresolved)?;
                    match ours.and_then(|ours| theirs.and_then(|theirs| ours.equals(&theirs, work))) {
                        Ok(true) => {}
                        Ok(false) => return Ok(false),
                        Err(why) => mismatch = Some(why),
                    }
                }
                mismatch.map_or(Ok(true), Err)?
            }
            (Self::Optional(left), Self::Optional(right)) => match (left, right) {
                (None, None) => true,
                (Some(left), Some(right)) => left.equals(right, work)?,
                _ => false,
            },
            _ => match self.order(other) {
                Ok(order) => order == Some(Ordering::Equal),
                Err(why) => return Err(why),
            },
        })
    }

    /// Which is less; `Ok(None)` where one is NaN.
    pub(super) fn order(&self, other: &Self) -> Result<Option<Ordering>, Mismatch> {
        Ok(match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::UInt(left), Self::UInt(right)) => Some(left.cmp(right)),
            (Self::Int(left), Self::UInt(right)) => {
                Some(u64::try_from(*left).map_or(Ordering::Less, |left| left.cmp(right)))
            }
            (Self::UInt(left), Self::Int(right)) => {
                Some(u64::try_from(*right).map_or(Ordering::Greater, |right| left.cmp(&right)))
            }
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(right)),
            _ => match (self.as_double(), other.as_double()) {
                (Some(left), Some(right)) => left.partial_cmp(&right),
                _ => return Err(Mismatch::Types(self.type_name(), other.type_name())),
            },
        })
    }

    const fn as_double(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "CEL compares int and double as doubles")]
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::UInt(value) => Some(*value as f64),
            Self::Double(value) => Some(*value),
            _ => None,
        }
    }
}

impl<'a> List<'a> {
    /// Whether every element is known. One that is not may stand for none or for several, so that neither the length
    /// nor what comes after it can be told.
    pub(super) fn is_known(&self) -> bool {
        self.is_known_up_to(self.len())
    }

    /// Whether the first `count` elements are.
    pub(super) fn is_known_up_to(&self, count: usize) -> bool {
        match self {
            Self::Json(items) => items.iter().take(count).all(|item| Val::of(item).is_some()),
            Self::Made(_) => true,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(items) => items.len(),
            Self::Made(items) => items.len(),
        }
    }

    /// `None` beyond the end, and where the element cannot be known.
    pub(super) fn get(&self, index: usize) -> Option<Val<'a>> {
        match self {
            Self::Json(items) => items.get(index).and_then(Val::of),
            Self::Made(items) => items.get(index).cloned(),
        }
    }
}

impl<'a> Entries<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(members) => members.len(),
            Self::Made(entries) => entries.len(),
        }
    }

    /// `None` where there is no such member; `Err` where it cannot be known.
    pub(super) fn get(&self, key: &str) -> Option<Result<Val<'a>, Mismatch>> {
        match self {
            Self::Json(members) => members.get(key).map(|value| Val::of(value).ok_or(Mismatch::Unresolved)),
            Self::Made(entries) => entries.iter().find(|(found, _)| found == key).map(|(_, value)| Ok(value.clone())),
        }
    }

    pub(super) fn keys(&self) -> Vec<Cow<'a, str>> {
        match self {
            Self::Json(members) => members.keys().map(|key| Cow::Borrowed(key.as_str())).collect(),
            Self::Made(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
        }
    }
}
