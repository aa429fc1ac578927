//! Reading an operation's input, and cutting answers into pages. Does not know any operation's meaning.

use serde_json::{Map, Value};

use super::error::SimError;
use super::members;
use crate::model::hex;

/// The input of one call, read member by member. `null` counts as absent, as everywhere in awsJson.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    members: &'a Map<String, Value>,
}

impl<'a> Input<'a> {
    /// # Errors
    /// When the input is no object or, if `strict`, has a member that `operation` does not take.
    pub(super) fn parse(operation: &str, input: &'a Value, strict: bool) -> Result<Self, SimError> {
        let known = members::of(operation).ok_or_else(|| {
            SimError::new("UnknownOperationException", format!("The simulator has no operation {operation}."))
        })?;
        let Value::Object(members) = input else {
            return Err(SimError::new("SerializationException", "Start of structure expected"));
        };
        match members.keys().find(|name| strict && !known.contains(&name.as_str())) {
            Some(name) => Err(SimError::client(format!("Unexpected member {name} in the input of {operation}"))),
            None => Ok(Self { members }),
        }
    }

    /// All members.
    pub(super) fn members(&self) -> &'a Map<String, Value> {
        self.members
    }

    /// The member, unless absent or `null`.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &self,
        name: &str,
        what: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, SimError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| SimError::new("SerializationException", format!("{name}: {what} expected")))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, SimError> {
        self.typed(name, "a string", Value::as_str)
    }

    pub(super) fn need_text(&self, name: &str) -> Result<&'a str, SimError> {
        self.text(name)?.ok_or_else(|| SimError::invalid(format!("{name} must be specified.")))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, SimError> {
        self.typed(name, "a boolean", Value::as_bool)
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, SimError> {
        self.typed(name, "an integer", Value::as_i64)
    }

    pub(super) fn list(&self, name: &str) -> Result<Option<&'a [Value]>, SimError> {
        self.typed(name, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, SimError> {
        self.typed(name, "a structure", Value::as_object)
    }

    /// A list of strings; empty where absent.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'a str>, SimError> {
        let read = |list: &'a [Value]| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
        Ok(self
            .typed(name, "a list of strings", |value| value.as_array().and_then(|list| read(list)))?
            .unwrap_or_default())
    }

    /// A list of at most `most` strings, which must not be empty.
    pub(super) fn some_texts(&self, name: &str, what: &str, most: usize) -> Result<Vec<&'a str>, SimError> {
        let texts = self.texts(name)?;
        match texts.len() {
            0 => Err(SimError::invalid(format!("{what} cannot be empty."))),
            count if count > most => Err(SimError::invalid(format!("{what} can have at most {most} items."))),
            _ => Ok(texts),
        }
    }

    /// Whether `include` names `what`.
    pub(super) fn includes(&self, what: &str) -> Result<bool, SimError> {
        Ok(self.texts("include")?.contains(&what))
    }
}

/// One line of a listing: where it sorts, and what is answered.
pub(super) type Line = (String, Value);

/// Answers with one page of `lines`, which are in order of their keys (descending if `descending`), as `member`.
///
/// A token names the last line answered, so that lines that come and go between two calls neither repeat nor hide others.
///
/// # Errors
/// When `maxResults` is not within 1 and `most`, or the token is not one of ours.
pub(super) fn page(
    input: &Input<'_>,
    member: &str,
    lines: Vec<Line>,
    descending: bool,
    default: usize,
    most: usize,
) -> Result<Value, SimError> {
    let size = match input.integer("maxResults")? {
        None => default,
        Some(asked) => usize::try_from(asked)
            .ok()
            .filter(|asked| (1..=most).contains(asked))
            .ok_or_else(|| SimError::invalid(format!("maxResults must be between 1 and {most}.")))?,
    };
    let after = match input.text("nextToken")? {
        None => None,
        Some(token) => Some(unveil(token).ok_or_else(|| SimError::invalid("Invalid token."))?),
    };
    let mut rest = lines.into_iter().filter(|(key, _)| match &after {
        None => true,
        Some(after) if descending => key < after,
        Some(after) => key > after,
    });
    let mut last = None;
    let mut items = Vec::new();
    for (key, item) in rest.by_ref().take(size) {
        last = Some(key);
        items.push(item);
    }
    let more = rest.next().is_some();
    let mut answer = Map::new();
    answer.insert(member.to_owned(), Value::Array(items));
    if let (true, Some(last)) = (more, last) {
        answer.insert("nextToken".to_owned(), Value::String(veil(&last)));
    }
    Ok(Value::Object(answer))
}

/// Tokens are opaque: hexadecimal, so that nobody is tempted to build one.
pub(super) fn veil(key: &str) -> String {
    hex(key.as_bytes())
}

pub(super) fn unveil(token: &str) -> Option<String> {
    let pairs = token.as_bytes().chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).ok().filter(|text| text.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    });
    String::from_utf8(pairs.collect::<Option<Vec<u8>>>()?).ok()
}
