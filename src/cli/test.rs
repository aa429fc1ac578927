//! `test [PATH…]`: the examples that policies carry, and the law of fixes on each.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::error::{Answer, Error};
use super::offline::formats::escaped;
use super::output::{Format, talk};
use super::policies;
use super::run::Session;
use crate::model::mask::clean_text;
use crate::model::spec::{API_VERSION, Spec};
use crate::policy::{ExampleOutcome, run_examples};

/// What to test.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Files and folders with policies; by default policies/, else those built in
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The same
    #[arg(short, long = "filename", value_name = "PATH", num_args = 1)]
    filename: Vec<PathBuf>,
}

pub(super) fn run(session: &mut Session, arguments: &Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Junit])?;
    let paths: Vec<PathBuf> = arguments.paths.iter().chain(&arguments.filename).cloned().collect();
    let policies = policies::offline(&paths, session.now())?;
    let mut tested = Vec::new();
    for object in &policies.objects {
        let Spec::Policy(spec) = &object.spec else { continue };
        if spec.examples.is_empty() {
            talk(&format!("warning: policy `{}` has no examples", object.metadata.name));
        }
        match run_examples(&object.metadata.name, spec) {
            Ok(outcomes) => tested.extend(outcomes),
            Err(errors) => {
                let refused = Error::new(format!("policy `{}` cannot be tested", object.metadata.name));
                return Err(errors.iter().fold(refused, |error, one| error.caused_by(one.to_string())));
            }
        }
    }
    let failed = tested.iter().filter(|one| !one.problems.is_empty()).count();
    match session.output.format() {
        Format::Json | Format::Yaml => {
            let results: Vec<Value> = tested
                .iter()
                .map(|one| json!({ "policy": one.policy, "example": one.example, "passed": one.problems.is_empty(), "problems": one.problems }))
                .collect();
            session.output.value(&json!({
                "apiVersion": API_VERSION, "kind": "TestReport",
                "policySet": { "source": policies.source, "hash": policies.set.hash(), "policies": policies.set.len() },
                "summary": { "examples": tested.len(), "passed": tested.len() - failed, "failed": failed },
                "results": results,
            }))?;
        }
        Format::Junit => session.output.text(&junit(&tested, failed))?,
        format => {
            for one in &tested {
                if one.problems.is_empty() {
                    if format == Format::Wide {
                        session.output.text(&format!("ok    {}: {}", one.policy, clean_text(&one.example)))?;
                    }
                    continue;
                }
                session.output.text(&format!("FAIL  {}: {}", one.policy, clean_text(&one.example)))?;
                for problem in &one.problems {
                    session.output.text(&format!("      {}", clean_text(problem)))?;
                }
            }
            let count = policies.set.len();
            session.output.text(&format!(
                "{} examples of {count} policies from {}: {} passed, {failed} failed",
                tested.len(),
                clean_text(&policies.source),
                tested.len() - failed
            ))?;
        }
    }
    Ok(Answer::of(failed == 0))
}

fn junit(tested: &[ExampleOutcome], failed: usize) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"plimsoll\">\n  <testsuite name=\"examples\" tests=\"{}\" failures=\"{failed}\">\n",
        tested.len()
    );
    for one in tested {
        let head = format!("    <testcase classname=\"{}\" name=\"{}\"", escaped(&one.policy), escaped(&one.example));
        match one.problems.first() {
            None => text.push_str(&format!("{head}/>\n")),
            Some(first) => {
                let all = escaped(&one.problems.join("\n"));
                text.push_str(&format!("{head}><failure message=\"{}\">{all}</failure></testcase>\n", escaped(first)));
            }
        }
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}
