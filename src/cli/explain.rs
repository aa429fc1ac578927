//! `explain KIND[.field]`, what expressions can name and call, every reason, and the JSON Schemas.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::error::{Answer, Error};
use super::output::{Format, table_within, talk};
use super::printed::{List, Printed};
use super::run::Session;
use super::schemas;
use crate::manifest;
use crate::model::ReasonCode;
use crate::model::spec::{Kind, ResourceKind};
use crate::policy::expression::CATALOGUE;
use crate::policy::vocabulary;
use crate::web::metrics::catalogue::{self, Label, Metric, Values};

/// What expressions can call, beside the kinds.
const FUNCTIONS: &str = "functions";
/// What expressions can name.
const VARIABLES: &str = "variables";
/// Test files.
const TESTS: &str = "tests";

const RESOURCES: [ResourceKind; 5] = [
    ResourceKind::TaskDefinition,
    ResourceKind::Service,
    ResourceKind::Cluster,
    ResourceKind::TaskSet,
    ResourceKind::CapacityProvider,
];

/// Why things stand as they stand, beside the kinds.
const REASONS: &str = "reasons";
/// What `/metrics` serves.
const METRICS: &str = "metrics";

/// What to explain.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A kind or a field of it (Policy, Binding.spec.scope; of what is recorded Rollout, Change, Hold, Event, …); `variables` and `functions` of expressions; `tests` of policies;
    /// `reasons`, or one of them (FamilyAhead); `metrics`
    #[arg(value_name = "KIND[.FIELD]", required_unless_present = "schemas")]
    what: Option<String>,
    /// Write the JSON Schemas of all kinds and reports into a folder, for editors
    #[arg(long, value_name = "DIR", conflicts_with = "what")]
    schemas: Option<PathBuf>,
}

/// Why something stands as it stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ReasonView {
    /// Its code.
    code: ReasonCode,
    /// What it means.
    means: &'static str,
    /// What to do about it; commands without the `plimsoll` in front.
    r#do: &'static str,
}

impl Printed for ReasonView {
    const KIND: &'static str = "Reason";
}

/// A function of expressions.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FunctionView {
    /// How it is written.
    usage: &'static str,
    /// What it gives.
    gives: &'static str,
    /// An expression with it.
    example: &'static str,
    /// What that gives, as JSON.
    result: &'static str,
}

impl Printed for FunctionView {
    const KIND: &'static str = "Function";
}

/// A metric of `/metrics`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetricView {
    /// Its name.
    name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    r#type: &'static str,
    /// What is counted.
    unit: &'static str,
    /// Its labels: each with the values that it can have, or null where the fleet bounds them.
    labels: BTreeMap<&'static str, Option<&'static [&'static str]>>,
    /// What it says.
    help: &'static str,
}

impl Printed for MetricView {
    const KIND: &'static str = "Metric";
}

impl MetricView {
    fn of(metric: &Metric) -> Self {
        let values = |label: &Label| match label.values {
            Values::Closed(values) => Some(values),
            Values::Bounded(_) => None,
        };
        Self {
            name: metric.name,
            r#type: metric.kind.as_str(),
            unit: metric.unit,
            labels: metric.labels.iter().map(|label| (label.name, values(label))).collect(),
            help: metric.help,
        }
    }
}

/// A variable of expressions.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct VariableView {
    /// Of policies about this kind of resource.
    resource: ResourceKind,
    /// Its name.
    name: &'static str,
    /// What it is.
    is: &'static str,
    /// When it is known; reading what is not makes the verdict `unknown`.
    known: &'static str,
}

impl Printed for VariableView {
    const KIND: &'static str = "Variable";
}

pub(super) fn run(session: &mut Session, arguments: &Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml])?;
    if let Some(folder) = &arguments.schemas {
        return write_schemas(folder);
    }
    match arguments.what.as_deref().unwrap_or("") {
        FUNCTIONS => functions(session),
        VARIABLES => variables(session),
        TESTS => tests(session),
        REASONS => reasons(session, ReasonCode::ALL),
        METRICS => {
            match session.output.format() {
                Format::Json | Format::Yaml => {
                    let items = catalogue::ALL.iter().map(|metric| MetricView::of(metric).to_json()).collect();
                    session.output.value(&List { items }.to_json())?;
                }
                _ => session.output.text(catalogue::documentation().trim_end())?,
            }
            Ok(Answer::Yes)
        }
        what => match ReasonCode::ALL.iter().find(|code| code.as_str() == what) {
            Some(code) => reasons(session, &[*code]),
            None => kind(session, what),
        },
    }
}

fn kind(session: &mut Session, what: &str) -> Result<Answer, Error> {
    let mut steps = what.split('.');
    let first = steps.next().unwrap_or("");
    let path: Vec<&str> = steps.collect();
    // What the controller writes has a schema as well: nobody applies it, and everybody reads it.
    let recorded = schemas::records()
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(first) || format!("{name}s").eq_ignore_ascii_case(first));
    let (kind, schema) = match recorded {
        Some((name, schema)) => (name, schema),
        None => {
            let kind: Kind = first.parse().map_err(|_| unknown_to_explain(first))?;
            (kind.as_str(), manifest::schema(kind))
        }
    };
    let text = manifest::explain(kind, &schema, &path).ok_or_else(|| {
        let around = path.split_last().map_or_else(String::new, |(_, before)| before.join("."));
        let around = if around.is_empty() { kind.to_owned() } else { format!("{kind}.{around}") };
        Error::new(format!("there is no field `{what}`")).help(format!("see `plimsoll explain {around}`"))
    })?;
    match session.output.format() {
        Format::Json | Format::Yaml if path.is_empty() => session.output.value(&schema)?,
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
            let view = |one: &crate::policy::expression::FunctionDoc| {
                FunctionView { usage: one.usage, gives: one.gives, example: one.example, result: one.result }.to_json()
            };
            session.output.value(&List { items: CATALOGUE.iter().map(view).collect() }.to_json())?;
        }
        _ => {
            let row = |one: &crate::policy::expression::FunctionDoc| {
                vec![one.usage.to_owned(), one.gives.to_owned(), format!("{} = {}", one.example, one.result)]
            };
            let rows: Vec<Vec<String>> = CATALOGUE.iter().map(row).collect();
            session.output.table(&["FUNCTION", "GIVES", "EXAMPLE"], &rows)?;
        }
    }
    Ok(Answer::Yes)
}

fn reasons(session: &mut Session, codes: &[ReasonCode]) -> Result<Answer, Error> {
    match (session.output.format(), codes) {
        (Format::Json | Format::Yaml, _) => {
            let one = |code: &ReasonCode| {
                ReasonView { code: *code, means: code.sentence().trim(), r#do: code.remedy() }.to_json()
            };
            session.output.value(&List { items: codes.iter().map(one).collect() }.to_json())?;
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

fn variables(session: &mut Session) -> Result<Answer, Error> {
    let all = RESOURCES.into_iter().flat_map(|resource| {
        vocabulary(resource).into_iter().map(move |one| VariableView {
            resource,
            name: one.name,
            is: one.is,
            known: one.known,
        })
    });
    match session.output.format() {
        Format::Json | Format::Yaml => {
            session.output.value(&List { items: all.map(|one| one.to_json()).collect() }.to_json())?;
        }
        _ => {
            let row = |one: VariableView| {
                vec![format!("{:?}", one.resource), one.name.to_owned(), one.is.to_owned(), one.known.to_owned()]
            };
            session.output.table(&["POLICIES ABOUT", "VARIABLE", "IS", "KNOWN"], &all.map(row).collect::<Vec<_>>())?;
            session.output.text("\nand the names that a check's `as` gives to the elements of its `forEach`")?;
        }
    }
    Ok(Answer::Yes)
}

fn tests(session: &mut Session) -> Result<Answer, Error> {
    match session.output.format() {
        Format::Json | Format::Yaml => session.output.value(&manifest::case_schema())?,
        _ => session.output.text(&format!("{ABOUT_TESTS}{}", manifest::explain_case()))?,
    }
    Ok(Answer::Yes)
}

const ABOUT_TESTS: &str = "\
A policy carries tests of its own in `spec.examples`. Others stand in files called ….test.yaml, ….test.yml or
….test.json, anywhere in the folders that `plimsoll test` is given. Commands other than `test` pass over them.
A document of such a file is one test or a list of them.

";

fn write_schemas(folder: &Path) -> Result<Answer, Error> {
    let failed = |path: &Path, error: std::io::Error| {
        Error::new(format!("failed to write `{}`", path.display())).caused_by(error.to_string())
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let all = schemas::all();
    for (name, schema) in &all {
        let path = folder.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(schema).unwrap_or_default();
        std::fs::write(&path, text + "\n").map_err(|error| failed(&path, error))?;
    }
    talk(&format!("wrote {} schemas to {}", all.len(), folder.display()));
    Ok(Answer::Yes)
}

fn unknown_to_explain(what: &str) -> Error {
    Error::new(format!("there is nothing called `{what}` to explain")).help(
        "the kinds are Policy, Binding, Waiver, RolloutStrategy, Target and Freeze, and of what is recorded Rollout, Change, Hold, \
         ServiceReport, Finding, Event, Lease and Command; besides them variables, functions, tests, reasons and metrics",
    )
}

pub(super) fn unknown_kind(error: impl std::fmt::Display) -> Error {
    Error::new(error.to_string())
}
