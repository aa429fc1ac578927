//! A policy's own tests: documents with the verdict they must get, what must be found, and what the fix makes of them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::coverage::{Seen, seen};
use super::evaluate::evaluate;
use super::fix::{apply_fixes, tags_of};
use super::result::{PlannedFix, PolicyResult};
use super::set::{PolicyError, PolicySet};
use super::subject::{ScopeKeys, Subject, TargetContext};
use crate::model::spec::{
    BindingSpec, Enforcement, ExampleSpec, Expectation, ExpectedFinding, Metadata, Object, PolicySpec, ResourceKind,
    Spec,
};
use crate::model::{Timestamp, Verdict};

/// How one example went.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleOutcome {
    /// The policy's name.
    pub policy: String,
    /// The example's name.
    pub example: String,
    /// JSON Pointer into the policy's spec: `/examples/0`.
    pub pointer: String,
    /// The verdict it must get.
    pub expected: Verdict,
    /// The verdict it got; `None` where the policy did not answer.
    pub found: Option<Verdict>,
    /// What is not as it says. Empty: it went as it should.
    pub problems: Vec<Problem>,
    /// The checks that failed in it.
    pub failed_checks: Vec<String>,
    /// What it showed of each check.
    pub seen: Vec<Seen>,
    /// The guarded members that its fix touches.
    pub guarded: Vec<String>,
}

impl ExampleOutcome {
    /// Whether it went as it should.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What is not as an example says. As text, one sentence without values of documents but names and modes.
#[derive(Debug, Clone, PartialEq)]
pub enum Problem {
    /// The policy gave no answer.
    Unanswered,
    /// It got another verdict.
    Verdict {
        /// What it must get.
        expected: Verdict,
        /// What it got.
        found: Verdict,
        /// The reason or the first finding, where there is one.
        why: Option<String>,
    },
    /// What must be found was not.
    NotFound(ExpectedFinding),
    /// Something else was found.
    AlsoFound(ExpectedFinding),
    /// Its fix breaks the law of fixes.
    Law(String),
    /// It says what the fix makes of it, and there is none; perhaps why.
    NoFix(Option<String>),
    /// The fix makes something else of it.
    Document {
        /// What it must make.
        expected: Value,
        /// What it makes.
        found: Value,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered => f.write_str("the policy did not answer"),
            Self::Verdict { expected, found, why } => {
                write!(f, "expected {}, found {}", expected.as_str(), found.as_str())?;
                why.as_ref().map_or(Ok(()), |why| write!(f, " ({why})"))
            }
            Self::NotFound(finding) => write!(f, "check `{}` finds nothing at `{}`", finding.check, finding.path),
            Self::AlsoFound(finding) => {
                write!(f, "check `{}` finds something at `{}`, which is not expected", finding.check, finding.path)
            }
            Self::Law(why) => f.write_str(why),
            Self::NoFix(why) => {
                f.write_str("there is no fix here")?;
                why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            Self::Document { expected, found } => {
                let all = differing(expected, found);
                let shown: Vec<String> = all.iter().take(3).map(|pointer| format!("`{pointer}`")).collect();
                let more = if all.len() > 3 { " and elsewhere" } else { "" };
                write!(f, "the fix makes something else of it than `fixed` says, at {}{more}", shown.join(", "))
            }
        }
    }
}

/// Runs a policy's examples, each under a Binding of its params to everything. Its `target` is account 123456789012 in
/// eu-west-1; service and cluster are not known unless the example gives them; tags are known to be what it gives.
///
/// A failing example's fix is applied and held to the law of fixes whether it says `fixed` or not.
///
/// # Errors
/// Where the policy itself does not compile.
pub fn run_examples(name: &str, spec: &PolicySpec) -> Result<Vec<ExampleOutcome>, Vec<PolicyError>> {
    // Also without any example the policy has to compile.
    PolicySet::compile(&[policy(name, spec)])?;
    let run = |(index, example)| {
        let mut outcome = run(name, &without_examples(spec), example)?;
        outcome.pointer = format!("/examples/{index}");
        Ok(outcome)
    };
    spec.examples.iter().enumerate().map(run).collect()
}

/// Runs one example that is written elsewhere than in the policy, as [`run_examples`] does.
///
/// # Errors
/// Where the example does not fit the policy, as a param that it has not: with pointers below `/examples/0`.
pub fn run_example(name: &str, spec: &PolicySpec, example: &ExampleSpec) -> Result<ExampleOutcome, Vec<PolicyError>> {
    PolicySet::compile(&[policy(name, &PolicySpec { examples: vec![example.clone()], ..spec.clone() })])?;
    let mut outcome = run(name, &without_examples(spec), example)?;
    outcome.pointer = "/examples/0".to_owned();
    Ok(outcome)
}

fn without_examples(spec: &PolicySpec) -> PolicySpec {
    PolicySpec { examples: Vec::new(), ..spec.clone() }
}

fn policy(name: &str, spec: &PolicySpec) -> Object {
    let metadata = Metadata { name: name.to_owned(), ..Metadata::default() };
    Object { metadata, spec: Spec::Policy(spec.clone()) }
}

/// The policy under a Binding of the example's params to everything.
pub(super) fn bound(name: &str, spec: &PolicySpec, example: &ExampleSpec) -> Result<PolicySet, Vec<PolicyError>> {
    let binding = BindingSpec {
        policies: vec![name.to_owned()],
        enforcement: Enforcement::Enforce,
        params: example.params.clone(),
        ..BindingSpec::default()
    };
    let metadata = Metadata { name: "example".to_owned(), ..Metadata::default() };
    PolicySet::compile(&[policy(name, spec), Object { metadata, spec: Spec::Binding(binding) }])
}

/// Calls `ask` with the example's document as policies see it.
pub(super) fn with_subject<T>(kind: ResourceKind, example: &ExampleSpec, ask: impl FnOnce(&Subject<'_>) -> T) -> T {
    let target =
        TargetContext { account: "123456789012".to_owned(), region: "eu-west-1".to_owned(), labels: BTreeMap::new() };
    let mut tags = example.tags.clone();
    tags.extend(example.given.get("tags").and_then(tags_of).unwrap_or_default());
    ask(&Subject {
        kind,
        resource: &example.given,
        tags: Some(&tags),
        service: example.service.as_ref(),
        cluster: example.cluster.as_ref(),
        running: example.running.as_ref(),
        target: Some(&target),
        scope: &ScopeKeys::default(),
    })
}

fn run(name: &str, spec: &PolicySpec, example: &ExampleSpec) -> Result<ExampleOutcome, Vec<PolicyError>> {
    let set = bound(name, spec, example)?;
    let now = Timestamp::EPOCH;
    let expected = wanted(example.expect);
    let mut outcome = ExampleOutcome {
        policy: name.to_owned(),
        example: example.name.clone(),
        pointer: String::new(),
        expected,
        found: None,
        problems: Vec::new(),
        failed_checks: Vec::new(),
        seen: Vec::new(),
        guarded: Vec::new(),
    };
    let results = with_subject(spec.resource, example, |subject| evaluate(&set, subject, now));
    let Some(result) = results.first() else {
        outcome.problems.push(Problem::Unanswered);
        return Ok(outcome);
    };
    outcome.found = Some(result.verdict);
    outcome.failed_checks = result.findings.iter().map(|finding| finding.check.clone()).collect();
    if result.verdict != expected {
        let why = match (&result.reason, result.findings.first()) {
            (Some(reason), _) => Some(reason.message.clone()),
            (None, Some(finding)) => Some(format!("`{}`: {}", finding.path, finding.message)),
            (None, None) => None,
        };
        outcome.problems.push(Problem::Verdict { expected, found: result.verdict, why });
    }
    outcome.problems.extend(example.findings.iter().flat_map(|expected| misfound(expected, result)));
    let fixes: Vec<&PlannedFix> = result.fixes.iter().collect();
    outcome.guarded = fixes.iter().flat_map(|fix| fix.guarded.clone()).collect();
    let fixed = with_subject(spec.resource, example, |subject| apply_fixes(&set, subject, &results, &fixes, now));
    match (fixed, &example.fixed) {
        (Err(why), _) => outcome.problems.push(Problem::Law(why.to_string())),
        (Ok(_), Some(_)) if fixes.is_empty() => {
            outcome.problems.push(Problem::NoFix(result.reason.as_ref().map(|reason| reason.message.clone())));
        }
        (Ok(fixed), Some(expected)) if !differing(expected, &fixed.document).is_empty() => {
            outcome.problems.push(Problem::Document { expected: expected.clone(), found: fixed.document });
        }
        (Ok(_), _) => {}
    }
    outcome.seen = seen(name, spec, example, result);
    Ok(outcome)
}

/// What must be found and was not, and what was found and must not be.
fn misfound(expected: &[ExpectedFinding], result: &PolicyResult) -> Vec<Problem> {
    let found = result.findings.iter();
    let mut found: Vec<ExpectedFinding> =
        found.map(|finding| ExpectedFinding { check: finding.check.clone(), path: finding.path.clone() }).collect();
    let mut problems = Vec::new();
    for one in expected {
        match found.iter().position(|other| other == one) {
            Some(index) => {
                found.remove(index);
            }
            None => problems.push(Problem::NotFound(one.clone())),
        }
    }
    problems.extend(found.into_iter().map(Problem::AlsoFound));
    problems
}

const fn wanted(expectation: Expectation) -> Verdict {
    match expectation {
        Expectation::Pass => Verdict::Pass,
        Expectation::Fail => Verdict::Fail,
        Expectation::Skip => Verdict::Skip,
        Expectation::Unknown => Verdict::Unknown,
    }
}

/// The pointers at which two documents differ. The order of members counts: what a fix reorders, it changes.
fn differing(left: &Value, right: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(left, right, "", &mut found);
    found
}

fn compare(left: &Value, right: &Value, pointer: &str, found: &mut Vec<String>) {
    let below = |name: &str| format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let before = found.len();
            for (name, value) in left {
                match right.get(name) {
                    Some(other) => compare(value, other, &below(name), found),
                    None => found.push(below(name)),
                }
            }
            found.extend(right.keys().filter(|name| !left.contains_key(*name)).map(|name| below(name)));
            if found.len() == before && !left.keys().eq(right.keys()) {
                found.push(pointer.to_owned());
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            for (index, (value, other)) in left.iter().zip(right).enumerate() {
                compare(value, other, &format!("{pointer}/{index}"), found);
            }
            let both = left.len().min(right.len());
            found.extend((both..left.len().max(right.len())).map(|index| format!("{pointer}/{index}")));
        }
        // `1` and `1.0` differ: what is written is what is sent to ECS.
        (left, right) if left != right => found.push(pointer.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_differ_where_a_reader_would_look() {
        for (left, right, expected) in [
            (json!({"a": [1, {"b": 2}]}), json!({"a": [1, {"b": 2}]}), &[][..]),
            (json!({"a": [1, {"b": 2}]}), json!({"a": [1, {"b": 3}, 4]}), &["/a/1/b", "/a/2"]),
            (json!({"a": 1, "b/c": 2}), json!({"a": 1, "d": 2}), &["/b~1c", "/d"]),
            (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"c": 2, "b": 1}}), &["/a"]),
            (json!({"a": 1}), json!({"a": 1.0}), &["/a"]),
            (json!({"a": null}), json!({"a": {}}), &["/a"]),
        ] {
            assert_eq!(differing(&left, &right), expected, "{left} {right}");
        }
    }
}
