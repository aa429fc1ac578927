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
use crate::model::spec::{API_VERSION, BindingSpec, Enforcement, ExampleSpec, Expectation, Metadata, Object, PolicySpec, Scope, Spec};
use crate::model::{Timestamp, Verdict};
use crate::policy::{PlannedFix, PolicyResult, PolicySet, ScopeKeys, Subject, apply_fixes, evaluate};

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

/// What became of one example.
struct Tested {
    policy: String,
    example: String,
    wrong: Vec<String>,
}

pub(super) fn run(session: &mut Session, arguments: &Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Junit])?;
    let paths: Vec<PathBuf> = arguments.paths.iter().chain(&arguments.filename).cloned().collect();
    let policies = policies::offline(&paths)?;
    let now = session.now();
    let mut tested = Vec::new();
    for object in &policies.objects {
        let Spec::Policy(spec) = &object.spec else { continue };
        if spec.examples.is_empty() {
            talk(&format!("warning: policy `{}` has no examples", object.metadata.name));
        }
        for example in &spec.examples {
            let wrong = test(object, spec, example, now);
            tested.push(Tested { policy: object.metadata.name.clone(), example: example.name.clone(), wrong });
        }
    }
    let failed = tested.iter().filter(|one| !one.wrong.is_empty()).count();
    match session.output.format() {
        Format::Json | Format::Yaml => {
            let results: Vec<Value> = tested
                .iter()
                .map(|one| json!({ "policy": one.policy, "example": one.example, "passed": one.wrong.is_empty(), "problems": one.wrong }))
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
                if one.wrong.is_empty() {
                    if format == Format::Wide {
                        session.output.text(&format!("ok    {}: {}", one.policy, clean_text(&one.example)))?;
                    }
                    continue;
                }
                session.output.text(&format!("FAIL  {}: {}", one.policy, clean_text(&one.example)))?;
                for problem in &one.wrong {
                    session.output.text(&format!("      {}", clean_text(problem)))?;
                }
            }
            let count = policies.set.len();
            session.output.text(&format!("{} examples of {count} policies from {}: {} passed, {failed} failed", tested.len(), clean_text(&policies.source), tested.len() - failed))?;
        }
    }
    Ok(Answer::of(failed == 0))
}

/// All that is wrong with one example.
fn test(policy: &Object, spec: &PolicySpec, example: &ExampleSpec, now: Timestamp) -> Vec<String> {
    let name = &policy.metadata.name;
    let binding = Object {
        metadata: Metadata { name: "example".to_owned(), ..Metadata::default() },
        spec: Spec::Binding(BindingSpec {
            policies: vec![name.clone()],
            labels: Default::default(),
            scope: Scope::default(),
            enforcement: Enforcement::Enforce,
            params: example.params.clone(),
            strategy: None,
        }),
    };
    let set = match PolicySet::compile(&[policy.clone(), binding]) {
        Ok(set) => set,
        Err(errors) => return errors.iter().map(|error| format!("the params do not fit: {}", error.message)).collect(),
    };
    let scope = ScopeKeys::default();
    let ask = |document: &Value| {
        let subject = subject(spec, example, document, &scope);
        evaluate(&set, &subject, now).into_iter().find(|result| result.policy == *name)
    };
    let Some(result) = ask(&example.given) else { return vec!["the policy does not answer".to_owned()] };
    let mut wrong = Vec::new();
    if result.verdict != verdict(example.expect) {
        wrong.push(format!("expected {}, got {}{}", verdict(example.expect).as_str(), result.verdict.as_str(), because(&result)));
        return wrong;
    }
    let fixes: Vec<&PlannedFix> = result.fixes.iter().collect();
    if fixes.is_empty() {
        if example.fixed.is_some() {
            wrong.push(format!("it says what the fix makes of it, but there is no fix for it{}", because(&result)));
        }
        return wrong;
    }
    match apply_fixes(&set, &subject(spec, example, &example.given, &scope), &fixes, now) {
        Err(error) => wrong.push(format!("the fix cannot be made: {}", error.reason())),
        Ok(fixed) => {
            if let Some(expected) = example.fixed.as_ref().filter(|expected| **expected != fixed.document) {
                wrong.push(format!("the fix makes {} of it, expected {expected}", fixed.document));
            }
            let unfixable = result.findings.iter().any(|finding| !finding.fixable);
            // A fix makes its own checks hold; what has no fix fails on.
            let after = ask(&fixed.document).map(|after| (after.verdict, after.fixes.len(), because(&after)));
            match after {
                Some((Verdict::Pass | Verdict::Skip, 0, _)) => {}
                Some((Verdict::Fail, 0, _)) if unfixable => {}
                Some((verdict, _, why)) => wrong.push(format!("after the fix it is {}{why}", verdict.as_str())),
                None => wrong.push("after the fix the policy does not answer".to_owned()),
            }
        }
    }
    wrong
}

fn subject<'a>(spec: &PolicySpec, example: &'a ExampleSpec, resource: &'a Value, scope: &'a ScopeKeys) -> Subject<'a> {
    Subject {
        kind: spec.resource,
        resource,
        tags: Some(&example.tags),
        service: example.service.as_ref(),
        cluster: example.cluster.as_ref(),
        target: None,
        scope,
    }
}

const fn verdict(expectation: Expectation) -> Verdict {
    match expectation {
        Expectation::Pass => Verdict::Pass,
        Expectation::Fail => Verdict::Fail,
        Expectation::Skip => Verdict::Skip,
        Expectation::Unknown => Verdict::Unknown,
    }
}

fn because(result: &PolicyResult) -> String {
    let reason = result.reason.iter().map(|reason| reason.message.clone());
    let findings = result.findings.iter().map(|finding| format!("{} at `{}`", finding.message, finding.path));
    let told: Vec<String> = reason.chain(findings).collect();
    if told.is_empty() { String::new() } else { format!(": {}", told.join("; ")) }
}

fn junit(tested: &[Tested], failed: usize) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"plimsoll\">\n  <testsuite name=\"examples\" tests=\"{}\" failures=\"{failed}\">\n",
        tested.len()
    );
    for one in tested {
        let head = format!("    <testcase classname=\"{}\" name=\"{}\"", escaped(&one.policy), escaped(&one.example));
        match one.wrong.first() {
            None => text.push_str(&format!("{head}/>\n")),
            Some(first) => {
                let all = escaped(&one.wrong.join("\n"));
                text.push_str(&format!("{head}><failure message=\"{}\">{all}</failure></testcase>\n", escaped(first)));
            }
        }
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}
