//! Texts and values with expressions in them: messages, and what edits write.

use serde_json::{Map, Value};

use super::expression::{Budget, EvalError, Expression, ExpressionError, Roots, Scope, Val};
use super::pointer::push;

/// The longest message, in characters: it may quote names of a document that somebody else wrote.
const MAX_MESSAGE: usize = 400;

/// A message in which `{expression}` stands for its value.
#[derive(Debug)]
pub(super) struct Message {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    /// With the number of characters before it in the message.
    Value(Expression, usize),
}

impl Message {
    /// # Errors
    /// Where an expression in it is refused; the column counts over the whole message.
    pub(super) fn read(text: &str, scope: &Scope) -> Result<Self, ExpressionError> {
        let chars: Vec<char> = text.chars().collect();
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(c) = chars.get(at) {
            if *c != '{' {
                plain.push(*c);
                at += 1;
                continue;
            }
            let length = closing(chars.get(at + 1..).unwrap_or_default()).ok_or_else(|| ExpressionError {
                message: "this `{` has no `}`".to_owned(),
                column: at + 1,
                help: Some("braces in a message hold an expression".to_owned()),
            })?;
            let source: String = chars.get(at + 1..at + 1 + length).unwrap_or_default().iter().collect();
            if let Some(member) = may_be_secret(&source) {
                return Err(ExpressionError {
                    message: format!("a message may not quote `{member}`: it may hold a secret"),
                    column: at + 2,
                    help: Some("quote names; findings are kept, logged and shown".to_owned()),
                });
            }
            let expression = Expression::value(&source, scope)
                .map_err(|why| ExpressionError { column: why.column + at + 1, ..why })?;
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Value(expression, at + 1));
            at += length + 2;
        }
        parts.push(Part::Text(plain));
        Ok(Self { parts })
    }

    /// The expressions in it, each with the number of characters before it.
    pub(super) fn expressions(&self) -> impl Iterator<Item = (&Expression, usize)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Value(expression, before) => Some((expression, *before)),
        })
    }

    /// The message here. What cannot be said stands as `?`: a message never decides anything. Only texts, numbers and
    /// booleans are quoted, without control characters, so that no whole node of a document ends up in a log.
    pub(super) fn say(&self, roots: Roots<'_>, budget: &Budget) -> String {
        let mut said = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => said.push_str(text),
                Part::Value(expression, _) => match expression.run(roots, budget) {
                    Ok(Val::Text(text)) => said.extend(text.chars().filter(|c| !c.is_control()).take(120)),
                    Ok(Val::Bool(value)) => said.push_str(if value { "true" } else { "false" }),
                    Ok(Val::Int(value)) => said.push_str(&value.to_string()),
                    Ok(Val::UInt(value)) => said.push_str(&value.to_string()),
                    Ok(Val::Double(value)) => said.push_str(&value.to_string()),
                    Ok(Val::Null | Val::List(_) | Val::Map(_) | Val::Optional(_)) | Err(_) => said.push('?'),
                },
            }
        }
        if said.chars().nth(MAX_MESSAGE).is_some() {
            said = said.chars().take(MAX_MESSAGE).chain(['…']).collect();
        }
        said
    }
}

/// Members whose values are, or may hold, secrets; named as a whole word in an expression.
const MAY_BE_SECRET: [&str; 9] = [
    "value",
    "environment",
    "command",
    "entryPoint",
    "options",
    "dockerLabels",
    "healthCheck",
    "systemControls",
    "valueFrom",
];

fn may_be_secret(source: &str) -> Option<&'static str> {
    let mut words = source.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.find_map(|word| MAY_BE_SECRET.iter().copied().find(|member| *member == word))
}

/// How many characters until the brace that closes, past strings and braces of the expression's own.
fn closing(chars: &[char]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    for (at, c) in chars.iter().enumerate() {
        match (quote, c) {
            (Some(open), c) if *c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(*c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

/// A JSON value in which `{cel: "…"}` stands for what the expression gives.
#[derive(Debug)]
pub(super) enum ValueTemplate {
    Literal(Value),
    Computed(Expression),
    List(Vec<ValueTemplate>),
    Map(Vec<(String, ValueTemplate)>),
}

/// What is wrong in a value, and where in it.
pub(super) struct ValueError {
    pub(super) pointer: String,
    pub(super) error: ExpressionError,
}

impl ValueTemplate {
    /// # Errors
    /// Where an expression in it is refused, or a `{cel: …}` holds something else.
    pub(super) fn read(value: &Value, scope: &Scope, pointer: &str) -> Result<Self, ValueError> {
        match value {
            Value::Object(members) if members.contains_key("cel") && members.len() == 1 => {
                let source = members.get("cel").and_then(Value::as_str).ok_or_else(|| ValueError {
                    pointer: format!("{pointer}/cel"),
                    error: ExpressionError {
                        message: "`cel` takes an expression in a string".to_owned(),
                        column: 1,
                        help: None,
                    },
                })?;
                let expression = Expression::value(source, scope)
                    .map_err(|error| ValueError { pointer: format!("{pointer}/cel"), error })?;
                Ok(Self::Computed(expression))
            }
            Value::Object(members) => {
                let members = members.iter().map(|(name, member)| {
                    let mut pointer = pointer.to_owned();
                    push(&mut pointer, name);
                    Ok((name.clone(), Self::read(member, scope, &pointer)?))
                });
                members.collect::<Result<_, _>>().map(Self::Map)
            }
            Value::Array(items) => {
                let items = items.iter().enumerate();
                let items = items.map(|(index, item)| Self::read(item, scope, &format!("{pointer}/{index}")));
                items.collect::<Result<_, _>>().map(Self::List)
            }
            literal => Ok(Self::Literal(literal.clone())),
        }
    }

    /// Whether an expression in it reads the variable in this slot.
    pub(super) fn reads(&self, slot: usize) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Computed(expression) => expression.reads(slot),
            Self::List(items) => items.iter().any(|item| item.reads(slot)),
            Self::Map(members) => members.iter().any(|(_, member)| member.reads(slot)),
        }
    }

    /// The value here.
    ///
    /// # Errors
    /// Where an expression in it cannot be evaluated; `None` in place of an error where it gives what JSON cannot say.
    pub(super) fn fill(&self, roots: Roots<'_>, budget: &Budget) -> Result<Value, Option<EvalError>> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Computed(expression) => expression.run(roots, budget).map_err(Some)?.to_json().ok_or(None),
            Self::List(items) => {
                items.iter().map(|item| item.fill(roots, budget)).collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Map(members) => {
                let mut filled = Map::with_capacity(members.len());
                for (name, member) in members {
                    filled.insert(name.clone(), member.fill(roots, budget)?);
                }
                Ok(Value::Object(filled))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::expression::POLICY_STEPS;

    #[test]
    fn messages_quote_scalars_and_nothing_else() {
        let scope = Scope::of(["d"]);
        let document = json!({"name": "a\u{1b}[31mb", "list": [1], "n": 2});
        let message = Message::read("`{d.name}` {d.n + 1} {d.list} {d.missing} {{'}': 'x'}['}']}", &scope).unwrap();
        let roots = Roots { fixed: &[Some(&document)], bound: &[] };
        assert_eq!(message.say(roots, &Budget::of(POLICY_STEPS)), "`a[31mb` 3 ? ? x");
    }

    #[test]
    fn a_bad_expression_in_a_message_is_found_at_its_column() {
        let why = Message::read("name {nme}", &Scope::of(["d"])).unwrap_err();
        assert_eq!((why.column, why.message.contains("nme")), (7, true));
        assert_eq!(Message::read("a { b", &Scope::of(["d"])).unwrap_err().column, 3);
    }
}
