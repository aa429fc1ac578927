//! `explain KIND[.field]`

use clap::Args;
use serde_json::json;

use super::error::{Answer, Error};
use super::output::{Format, table_within};
use super::run::Session;
use crate::manifest;
use crate::model::ReasonCode;
use crate::model::spec::{API_VERSION, Kind};
use crate::policy::expression::CATALOGUE;

/// What expressions can call, beside the kinds.
const FUNCTIONS: &str = "functions";

/// Why things stand as they stand, beside the kinds.
const REASONS: &str = "reasons";

/// What to explain.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A kind, or a field of it: Policy, Binding.spec.scope; `functions`, what expressions can call; `reasons`, or one
    /// of them: FamilyAhead
    #[arg(value_name = "KIND[.FIELD]")]
    what: String,
}

pub(super) fn run(session: &mut Session, arguments: &Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml])?;
    if arguments.what == FUNCTIONS {
        return functions(session);
    }
    let named = |code: &&ReasonCode| code.as_str() == arguments.what;
    if arguments.what == REASONS {
        return reasons(session, ReasonCode::ALL);
    }
    if let Some(code) = ReasonCode::ALL.iter().find(named) {
        return reasons(session, &[*code]);
    }
    let mut steps = arguments.what.split('.');
    let kind: Kind = steps.next().unwrap_or("").parse().map_err(unknown_kind)?;
    let path: Vec<&str> = steps.collect();
    let text = manifest::explain(kind, &path).ok_or_else(|| {
        let around = path.split_last().map_or_else(String::new, |(_, before)| before.join("."));
        let around = if around.is_empty() { kind.to_string() } else { format!("{kind}.{around}") };
        Error::new(format!("there is no field `{}`", arguments.what)).help(format!("see `plimsoll explain {around}`"))
    })?;
    match session.output.format() {
        Format::Json | Format::Yaml if path.is_empty() => session.output.value(&manifest::schema(kind))?,
        Format::Json | Format::Yaml => {
            return Err(Error::new("only a whole kind can be explained as a schema")
                .help(format!("use `plimsoll explain {kind} -o json`")));
        }
        _ => session.output.text(&text)?,
    }
    Ok(Answer::Yes)
}

fn functions(session: &mut Session) -> Result<Answer, Error> {
    match session.output.format() {
        Format::Json | Format::Yaml => {
            let all: Vec<_> = CATALOGUE.iter().map(|one| json!({ "usage": one.usage, "gives": one.gives })).collect();
            session.output.value(&json!({ "apiVersion": API_VERSION, "kind": "List", "items": all }))?;
        }
        _ => {
            let rows: Vec<Vec<String>> =
                CATALOGUE.iter().map(|one| vec![one.usage.to_owned(), one.gives.to_owned()]).collect();
            session.output.table(&["FUNCTION", "GIVES"], &rows)?;
        }
    }
    Ok(Answer::Yes)
}

fn reasons(session: &mut Session, codes: &[ReasonCode]) -> Result<Answer, Error> {
    match (session.output.format(), codes) {
        (Format::Json | Format::Yaml, _) => {
            let one = |code: &ReasonCode| json!({ "code": code, "means": code.sentence().trim(), "do": code.remedy() });
            let all: Vec<_> = codes.iter().map(one).collect();
            session.output.value(&json!({ "apiVersion": API_VERSION, "kind": "List", "items": all }))?;
        }
        (_, [code]) => {
            session.output.text(&format!("{}:{}\n  do: {}", code.as_str(), code.sentence(), code.remedy()))?;
        }
        _ => {
            let row = |code: &ReasonCode| {
                vec![code.as_str().to_owned(), code.sentence().trim().to_owned(), code.remedy().to_owned()]
            };
            let rows: Vec<Vec<String>> = codes.iter().map(row).collect();
            let text = table_within(&["REASON", "MEANS", "DO"], &rows, session.output.width(), 2);
            session.output.text(&text)?;
        }
    }
    Ok(Answer::Yes)
}

pub(super) fn unknown_kind(error: impl std::fmt::Display) -> Error {
    Error::new(error.to_string())
}
