//! `test [PATH…]`: the examples that policies carry and those in test files, and the law of fixes on each.

use std::path::PathBuf;

use clap::Args;

use super::error::{Answer, Error};
use super::output::{Format, talk};
use super::policies::{self, Offline};
use super::printed::Printed;
use super::run::Session;
use super::tested::{TestReport, Tested};
use crate::manifest::{Diagnostic, SourcedCase};
use crate::model::spec::{PolicySpec, Spec};
use crate::policy::{Coverage, PolicyError, coverage, run_example, run_examples};

/// What to test.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Files and folders with policies and test files (….test.yaml, .yml, .json); by default policies/, else those built in
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The same
    #[arg(short, long = "filename", value_name = "PATH", num_args = 1)]
    filename: Vec<PathBuf>,
    /// Fail where a policy has no example that must pass, or none that must fail
    #[arg(long)]
    require_tests: bool,
}

pub(super) fn run(session: &mut Session, arguments: &Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Junit])?;
    let paths: Vec<PathBuf> = arguments.paths.iter().chain(&arguments.filename).cloned().collect();
    let (policies, cases) = policies::with_tests(&paths, session.now())?;
    let mut tested = inline(&policies)?;
    tested.extend(apart(&policies, &cases)?);
    let coverage = covered(&policies, &tested);
    let report = TestReport::of(&policies, &tested, &coverage, arguments.require_tests);
    match session.output.format() {
        Format::Json | Format::Yaml => session.output.value(&report.to_json())?,
        Format::Junit => session.output.text(&report.junit())?,
        format => session.output.text(&report.for_people(format == Format::Wide))?,
    }
    if !arguments.require_tests {
        for one in coverage.iter().filter(|one| !one.is_tested()) {
            talk(&format!(
                "warning: policy `{}` has no example that must {}",
                one.policy,
                missing(one.passing, one.failing)
            ));
        }
    }
    Ok(Answer::of(report.is_good()))
}

/// What a policy has no example of.
pub(super) const fn missing(passing: usize, failing: usize) -> &'static str {
    match (passing, failing) {
        (0, 0) => "pass, and none that must fail",
        (0, _) => "pass",
        _ => "fail",
    }
}

fn specs(policies: &Offline) -> impl Iterator<Item = (&str, &PolicySpec)> {
    policies.objects.iter().filter_map(|object| match &object.spec {
        Spec::Policy(spec) => Some((object.metadata.name.as_str(), spec)),
        _ => None,
    })
}

/// The examples that policies carry.
fn inline(policies: &Offline) -> Result<Vec<Tested>, Error> {
    let mut tested = Vec::new();
    for sourced in &policies.sourced {
        let Spec::Policy(spec) = &sourced.object.spec else { continue };
        let name = &sourced.object.metadata.name;
        let outcomes = run_examples(name, spec).map_err(|errors| untestable(name, &errors))?;
        tested.extend(outcomes.into_iter().map(|outcome| Tested {
            file: sourced.file().to_owned(),
            line: sourced.position(&format!("/spec{}", outcome.pointer)).0,
            outcome,
        }));
    }
    Ok(tested)
}

fn untestable(name: &str, errors: &[PolicyError]) -> Error {
    let refused = Error::new(format!("policy `{name}` cannot be tested"));
    errors.iter().fold(refused, |error, one| error.caused_by(one.to_string()))
}

/// The examples in test files.
fn apart(policies: &Offline, cases: &[SourcedCase]) -> Result<Vec<Tested>, Error> {
    let mut tested = Vec::new();
    let mut wrong: Vec<Diagnostic> = Vec::new();
    for case in cases {
        let Some((name, spec)) = specs(policies).find(|(name, _)| *name == case.policy) else {
            let message = format!("there is no policy `{}` in {}", case.policy, policies.source);
            let help = "name the folder with the policies too: plimsoll test TESTS -f POLICIES".to_owned();
            wrong.push(case.diagnose("/policy", message, Some(help)));
            continue;
        };
        match run_example(name, spec, &case.example) {
            Ok(outcome) => tested.push(Tested { file: case.file().to_owned(), line: case.line(), outcome }),
            Err(errors) => wrong.extend(errors.iter().map(|error| {
                let pointer = error.pointer.strip_prefix("/examples/0").unwrap_or("");
                case.diagnose(pointer, error.message.clone(), error.help.clone())
            })),
        }
    }
    if wrong.is_empty() { Ok(tested) } else { Err(policies::refused(wrong, "nothing was tested")) }
}

fn covered(policies: &Offline, tested: &[Tested]) -> Vec<Coverage> {
    let outcomes: Vec<_> = tested.iter().map(|one| one.outcome.clone()).collect();
    specs(policies).map(|(name, spec)| coverage(name, spec, &outcomes)).collect()
}
