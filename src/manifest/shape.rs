//! Whether a tree has the shape that a schema asks for: every unknown and missing member, every wrong type and value.
//! Knows no kind; what the schema cannot say is left to `rules`.

use std::ops::Range;
use std::str::FromStr;

use serde_json::Value;
use similar::get_close_matches;

use super::node::{Content, Node};
use super::schema::Schema;
use super::source::Fault;
use crate::model::spec::{Amount, WaveSize};
use crate::model::{Span, Timestamp};

/// How alike two words must be for one to be what was meant, from 0 to 1.
const ALIKE: f32 = 0.65;

/// Everything in `node` that is not as `schema` asks, in the order it is written.
pub(super) fn faults(node: &Node, schema: Schema<'_>) -> Vec<Fault> {
    let mut walker = Walker { faults: Vec::new() };
    walker.value(node, "", &node.first(), schema);
    walker.faults
}

/// `did you mean …?`, where one of `known` is like `word`.
#[must_use]
pub fn did_you_mean(word: &str, known: &[&str]) -> Option<String> {
    let same = known.iter().find(|name| name.eq_ignore_ascii_case(word)).copied();
    // Longer words are mistakes of another sort, and comparing them costs time.
    let close = || if word.len() > 64 { None } else { get_close_matches(word, known, 1, ALIKE).first().copied() };
    same.or_else(close).map(|name| format!("did you mean `{name}`?"))
}

/// `` `a`, `b` or `c` ``.
pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

struct Walker {
    faults: Vec<Fault>,
}

impl Walker {
    fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// `name` is what the value goes by, and `named` where that is written (for an element, the element).
    fn value(&mut self, node: &Node, name: &str, named: &Range<usize>, schema: Schema<'_>) {
        if node.is_null() && schema.takes_null() {
            return;
        }
        let alternatives = schema.resolved().alternatives();
        if alternatives.len() > 1 {
            return self.alternative(node, named, &alternatives);
        }
        let reference = schema.reference().or_else(|| alternatives.first().and_then(|one| one.reference()));
        let plain = schema.resolved().plain();
        let values = plain.values();
        let types = plain.types();
        let fits = |kind: &str| match (&node.content, kind) {
            (Content::Map(_), "object") | (Content::List(_), "array") => true,
            (Content::Scalar(Value::String(_), _), "string") | (Content::Scalar(Value::Bool(_), _), "boolean") => true,
            (Content::Scalar(Value::Number(number), _), "integer") => !number.is_f64(),
            (Content::Scalar(Value::Number(_), _), "number") => true,
            // Refused below with the reason, which is not the type.
            (Content::Scalar(Value::Number(_), _), "string") => matches!(reference, Some("Span" | "Timestamp")),
            _ => false,
        };
        // Listed values without a type are strings.
        let right =
            if types.is_empty() { values.is_empty() || fits("string") } else { types.iter().any(|kind| fits(kind)) };
        if !right {
            return self.fault(wrong_type(node, name, named, &types, &values));
        }
        match &node.content {
            Content::Map(members) => {
                self.members(members, named, plain);
            }
            Content::List(items) => {
                let Some(element) = plain.get("items") else { return };
                for item in items {
                    self.value(item, name, &item.first(), plain.with(element));
                }
            }
            Content::Scalar(value, _) => self.scalar(node, value, reference, plain, &values),
        }
    }

    fn members(&mut self, members: &[(super::node::Key, Node)], named: &Range<usize>, schema: Schema<'_>) {
        let known: Vec<_> = schema.members().collect();
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        let others = schema.get("additionalProperties");
        for (key, member) in members {
            if let Some((_, schema)) = known.iter().find(|(name, _)| *name == key.name) {
                self.value(member, &key.name, &key.at, *schema);
            } else if let Some(Value::Object(_)) = others {
                self.value(member, &key.name, &key.at, schema.with(others.unwrap_or(&Value::Null)));
            } else if others == Some(&Value::Bool(false)) {
                let fault = Fault::at(key.at.clone(), format!("unknown field `{}`", key.name)).label("unknown field");
                let listed = || format!("the fields here are {}", one_of(&names).replace(" or ", " and "));
                self.fault(fault.help(did_you_mean(&key.name, &names).unwrap_or_else(listed)));
            }
        }
        for name in schema.required() {
            if !members.iter().any(|(key, _)| key.name == name) {
                let about =
                    known.iter().find(|(known, _)| *known == name).and_then(|(_, schema)| schema.text("description"));
                let fault = Fault::at(named.clone(), format!("`{name}` is missing")).label(format!("needs `{name}`"));
                // One word says no more than the name does.
                let about = about.filter(|about| about.contains(' '));
                self.fault(fault.help(about.map(|about| format!("`{name}`: {}", about.trim_end_matches('.')))));
            }
        }
    }

    /// Of several shapes, the one whose first required member is there.
    fn alternative(&mut self, node: &Node, named: &Range<usize>, alternatives: &[Schema<'_>]) {
        let shapes: Vec<_> =
            alternatives.iter().filter_map(|one| Some((*one.required().first()?, one.resolved()))).collect();
        let Content::Map(members) = &node.content else {
            return self.fault(wrong_type(node, "", named, &["object"], &[]));
        };
        let has = |name: &str| members.iter().find(|(key, _)| key.name == name);
        let mut chosen = shapes.iter().filter(|(name, _)| has(name).is_some());
        match (chosen.next(), chosen.next()) {
            (Some((_, schema)), None) => self.members(members, named, *schema),
            (Some((first, _)), Some((second, _))) => {
                let at = has(second).map_or(named.clone(), |(key, _)| key.at.clone());
                let fault = Fault::at(at, format!("`{first}` and `{second}` exclude each other"));
                self.fault(fault.help("write two".to_owned()));
            }
            (None, _) => {
                let names: Vec<_> = shapes.iter().map(|(name, _)| *name).collect();
                let fault = Fault::at(named.clone(), format!("one of {} is missing", one_of(&names)));
                let meant = members.iter().find_map(|(key, _)| did_you_mean(&key.name, &names));
                self.fault(fault.help(meant));
            }
        }
    }

    fn scalar(
        &mut self,
        node: &Node,
        value: &Value,
        reference: Option<&str>,
        schema: Schema<'_>,
        values: &[(&str, &str)],
    ) {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        if !values.is_empty() {
            let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
            if !names.contains(&text.as_str()) {
                let fault = Fault::at(node.at.clone(), format!("`{text}` is not {}", one_of(&names)));
                self.fault(fault.help(did_you_mean(&text, &names)));
            }
            return;
        }
        // What has a grammar of its own says itself what is wrong.
        let problem = match reference {
            Some("Span") => refusal::<Span>(&text),
            Some("Timestamp") => refusal::<Timestamp>(&text),
            Some("Amount") => refusal::<Amount>(&text),
            Some("WaveSize") => refusal::<WaveSize>(&text),
            _ => out_of_range(value, schema),
        };
        // The grammar may take `0`, the type reads text only.
        let unit =
            (reference == Some("Span") && value.is_number()).then(|| format!("`{text}` of what? such as `{text}s`"));
        if let Some(problem) = unit.or(problem) {
            self.fault(Fault::at(node.at.clone(), problem));
        }
    }
}

fn refusal<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Option<String> {
    text.parse::<T>().err().map(|error| error.to_string())
}

fn out_of_range(value: &Value, schema: Schema<'_>) -> Option<String> {
    let largest = match schema.text("format") {
        Some("uint8") => u64::from(u8::MAX),
        Some("uint32") => u64::from(u32::MAX),
        Some("uint64") => u64::MAX,
        _ => return None,
    };
    let fits = value.as_u64().is_some_and(|number| number <= largest);
    (value.is_number() && !fits).then(|| format!("`{value}` is not an integer from 0 to {largest}"))
}

fn wrong_type(node: &Node, name: &str, named: &Range<usize>, types: &[&str], values: &[(&str, &str)]) -> Fault {
    let noun = |kind: &&str| match *kind {
        "object" => "an object",
        "array" => "a list",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "a string",
    };
    let wanted = if values.is_empty() {
        types.iter().map(noun).collect::<Vec<_>>().join(" or ")
    } else {
        one_of(&values.iter().map(|(name, _)| *name).collect::<Vec<_>>())
    };
    let at = if node.is_null() || !matches!(node.content, Content::Scalar(..)) { named } else { &node.at };
    let subject = if name.is_empty() { String::new() } else { format!("`{name}`: ") };
    let fault = Fault::at(at.clone(), format!("{subject}expected {wanted}, found {}", node.noun()));
    let help = match &node.content {
        Content::Scalar(Value::Null, _) if !name.is_empty() => Some(format!("give `{name}` a value, or remove it")),
        Content::Scalar(Value::String(text), _) if types == ["boolean"] => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" => Some(format!("in YAML 1.2 `{text}` is text; write `true`")),
            "no" | "off" | "n" => Some(format!("in YAML 1.2 `{text}` is text; write `false`")),
            _ => None,
        },
        Content::Scalar(value, _) if types == ["string"] && !value.is_null() => Some(format!("quote it: \"{value}\"")),
        Content::Scalar(Value::String(text), _) if types == ["array"] => Some(format!("write it as a list: [{text}]")),
        _ => None,
    };
    fault.help(help)
}
