//! A policy's own tests: documents with the verdict they must get, and what the fix makes of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::evaluate::evaluate;
use super::fix::{apply_fixes, tags_of};
use super::result::PlannedFix;
use super::set::{PolicyError, PolicySet};
use super::subject::{ScopeKeys, Subject, TargetContext};
use crate::model::spec::{BindingSpec, Enforcement, ExampleSpec, Expectation, Metadata, Object, PolicySpec, Spec};
use crate::model::{Timestamp, Verdict};

/// How one example went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleOutcome {
    /// The policy's name.
    pub policy: String,
    /// The example's name.
    pub example: String,
    /// JSON Pointer into the policy's spec: `/examples/0`.
    pub pointer: String,
    /// What it says, verdict and fix. Empty: it went as it should.
    pub problems: Vec<String>,
    /// The checks that failed in it: for the coverage of checks.
    pub failed_checks: Vec<String>,
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

/// Runs a policy's examples, each under a Binding of its params to everything. Its `target` is account 123456789012 in
/// eu-west-1; service and cluster are not known unless the example gives them; tags are known to be what it gives.
///
/// A failing example's fix is applied and held to the law of fixes whether it says `fixed` or not.
///
/// # Errors
/// Where the policy itself does not compile.
pub fn run_examples(name: &str, spec: &PolicySpec) -> Result<Vec<ExampleOutcome>, Vec<PolicyError>> {
    let mut outcomes = Vec::new();
    // Also without any example the policy has to compile.
    PolicySet::compile(&[policy(name, spec)])?;
    for (index, example) in spec.examples.iter().enumerate() {
        let binding = BindingSpec {
            policies: vec![name.to_owned()],
            enforcement: Enforcement::Enforce,
            params: example.params.clone(),
            ..BindingSpec::default()
        };
        let metadata = Metadata { name: "example".to_owned(), ..Metadata::default() };
        let set = PolicySet::compile(&[policy(name, spec), Object { metadata, spec: Spec::Binding(binding) }])?;
        outcomes.push(run(&set, name, spec, example, index));
    }
    Ok(outcomes)
}

fn policy(name: &str, spec: &PolicySpec) -> Object {
    let metadata = Metadata { name: name.to_owned(), ..Metadata::default() };
    let spec = PolicySpec { examples: Vec::new(), ..spec.clone() };
    Object { metadata, spec: Spec::Policy(spec) }
}

fn run(set: &PolicySet, name: &str, spec: &PolicySpec, example: &ExampleSpec, index: usize) -> ExampleOutcome {
    let target =
        TargetContext { account: "123456789012".to_owned(), region: "eu-west-1".to_owned(), labels: BTreeMap::new() };
    let scope = ScopeKeys::default();
    let mut tags = example.tags.clone();
    tags.extend(example.given.get("tags").and_then(tags_of).unwrap_or_default());
    let subject = Subject {
        kind: spec.resource,
        resource: &example.given,
        tags: Some(&tags),
        service: example.service.as_ref(),
        cluster: example.cluster.as_ref(),
        running: example.running.as_ref(),
        target: Some(&target),
        scope: &scope,
    };
    let now = Timestamp::EPOCH;
    let results = evaluate(set, &subject, now);
    let mut outcome = ExampleOutcome {
        policy: name.to_owned(),
        example: example.name.clone(),
        pointer: format!("/examples/{index}"),
        problems: Vec::new(),
        failed_checks: Vec::new(),
        guarded: Vec::new(),
    };
    let Some(result) = results.first() else {
        outcome.problems.push("the policy did not answer".to_owned());
        return outcome;
    };
    outcome.failed_checks = result.findings.iter().map(|finding| finding.check.clone()).collect();
    if result.verdict != wanted(example.expect) {
        let why = match (&result.reason, result.findings.first()) {
            (Some(reason), _) => format!(" ({})", reason.message),
            (None, Some(finding)) => format!(" (`{}`: {})", finding.path, finding.message),
            (None, None) => String::new(),
        };
        let (got, expected) = (result.verdict.as_str(), wanted(example.expect).as_str());
        outcome.problems.push(format!("expected {expected}, got {got}{why}"));
    }
    let fixes: Vec<&PlannedFix> = result.fixes.iter().collect();
    outcome.guarded = fixes.iter().flat_map(|fix| fix.guarded.clone()).collect();
    match (apply_fixes(set, &subject, &results, &fixes, now), &example.fixed) {
        (Err(why), _) => outcome.problems.push(why.to_string()),
        (Ok(_), Some(_)) if fixes.is_empty() => {
            let why = result.reason.as_ref().map_or_else(String::new, |reason| format!(": {}", reason.message));
            outcome.problems.push(format!("there is no fix here{why}"));
        }
        (Ok(fixed), Some(expected)) if !same(&fixed.document, expected) => {
            outcome.problems.push(format!("the fix makes {} of it, not {expected}", fixed.document));
        }
        (Ok(_), _) => {}
    }
    outcome
}

const fn wanted(expectation: Expectation) -> Verdict {
    match expectation {
        Expectation::Pass => Verdict::Pass,
        Expectation::Fail => Verdict::Fail,
        Expectation::Skip => Verdict::Skip,
        Expectation::Unknown => Verdict::Unknown,
    }
}

/// Equal with the order of members: what a fix reorders, it changes.
fn same(left: &Value, right: &Value) -> bool {
    let text = |value: &Value| value.to_string();
    text(left) == text(right)
}
