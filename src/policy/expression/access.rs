//! Members, elements, and what to say where there are none.

use super::error::{EvalError, EvalErrorKind};
use super::node::Node;
use super::parser::Operator;
use super::value::{Entries, List, Mismatch, Val};

type Answer<'a> = Result<Val<'a>, EvalError>;

pub(super) fn error(node: &Node, kind: EvalErrorKind, message: impl Into<String>) -> EvalError {
    EvalError { kind, message: message.into(), column: node.offset + 1 }
}

pub(super) fn overflow(node: &Node) -> EvalError {
    error(node, EvalErrorKind::Type, "the result is out of range")
}

pub(super) fn mismatch(why: &Mismatch, operator: Operator, node: &Node) -> EvalError {
    match why {
        Mismatch::Types(left, right) => {
            error(node, EvalErrorKind::Type, format!("`{}` does not take {left} and {right}", operator.sign()))
        }
        Mismatch::Unresolved => error(node, EvalErrorKind::NotObserved, "this reads a value that cannot be known here"),
    }
}

pub(super) fn known<'a>(value: Option<Val<'a>>, node: &Node, name: &str) -> Answer<'a> {
    value.ok_or_else(|| {
        error(node, EvalErrorKind::NotObserved, format!("`{name}` has a value that cannot be known here"))
    })
}

pub(super) fn no_members(value: &Val<'_>, field: &str, node: &Node) -> EvalError {
    error(node, EvalErrorKind::Type, format!("`{field}` is asked of {}, which has no members", value.type_name()))
}

fn member<'a>(entries: &Entries<'a>, field: &str, node: &Node) -> Result<Option<Val<'a>>, EvalError> {
    match entries.get(field) {
        None => Ok(None),
        Some(value) => known(value.ok(), node, field).map(Some),
    }
}

pub(super) fn has<'a>(entries: &Entries<'a>, field: &str, node: &Node) -> Answer<'a> {
    let value = member(entries, field, node)?;
    Ok(Val::Bool(value.is_some_and(|value| !matches!(value, Val::Null))))
}

/// An optional that is empty for null: null is absent in ECS's JSON.
fn optional<'a>(value: Option<Val<'a>>) -> Val<'a> {
    Val::Optional(value.filter(|value| !matches!(value, Val::Null)).map(Into::into))
}

pub(super) fn select<'a>(of: Val<'a>, field: &str, wanted_optional: bool, node: &Node) -> Answer<'a> {
    match of {
        Val::Map(entries) => {
            let value = member(&entries, field, node)?;
            if wanted_optional {
                return Ok(optional(value));
            }
            value.ok_or_else(|| error(node, EvalErrorKind::Missing, format!("there is no member `{field}`")))
        }
        // Once optional, the whole chain is.
        Val::Optional(None) => Ok(Val::Optional(None)),
        Val::Optional(Some(value)) => match value.as_ref() {
            Val::Map(entries) => Ok(optional(member(entries, field, node)?)),
            other => Err(no_members(other, field, node)),
        },
        other => Err(no_members(&other, field, node)),
    }
}

pub(super) fn at<'a>(of: Val<'a>, index: &Val<'a>, wanted_optional: bool, node: &Node) -> Answer<'a> {
    let (of, wanted_optional) = match of {
        Val::Optional(None) => return Ok(Val::Optional(None)),
        Val::Optional(Some(value)) => (value.as_ref().clone(), true),
        other => (other, wanted_optional),
    };
    let value = match (&of, index) {
        (Val::Map(entries), Val::Text(key)) => member(entries, key, node)?,
        (Val::List(list), Val::Int(index)) => match usize::try_from(*index) {
            Ok(index) if !list.is_known_up_to(index.saturating_add(1)) => Some(known(None, node, "an element")?),
            Ok(index) if index < list.len() => Some(known(list.get(index), node, "an element")?),
            _ => None,
        },
        (of, index) => {
            let message = format!("{} cannot be asked for {}", of.type_name(), index.type_name());
            return Err(error(node, EvalErrorKind::Type, message));
        }
    };
    if wanted_optional {
        return Ok(optional(value));
    }
    value.ok_or_else(|| error(node, EvalErrorKind::Missing, "there is no such element"))
}

/// What a comprehension walks over: the elements of a list, the keys of a map.
pub(super) fn elements<'a>(range: Val<'a>, node: &Node) -> Result<List<'a>, EvalError> {
    match range {
        Val::List(list) => Ok(list),
        Val::Map(entries) => Ok(List::Made(entries.keys().into_iter().map(Val::Text).collect::<Vec<_>>().into())),
        other => Err(error(node, EvalErrorKind::Type, format!("{} has no elements", other.type_name()))),
    }
}
