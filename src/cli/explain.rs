//! `explain KIND[.field]`

use clap::Args;
use serde_json::json;

use super::error::{Answer, Error};
use super::output::Format;
use super::run::Session;
use crate::manifest;
use crate::model::spec::{API_VERSION, Kind};
use crate::policy::expression::CATALOGUE;

/// What expressions can call, beside the kinds.
const FUNCTIONS: &str = "functions";

/// What to explain.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A kind, or a field of it: Policy, Binding.spec.scope; or `functions`, what expressions can call
    #[arg(value_name = "KIND[.FIELD]")]
    what: String,
}

pub(super) fn run(session: &mut Session, arguments: &Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml])?;
    if arguments.what == FUNCTIONS {
        return functions(session);
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

pub(super) fn unknown_kind(error: impl std::fmt::Display) -> Error {
    Error::new(error.to_string())
}
