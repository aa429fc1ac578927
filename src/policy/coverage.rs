//! What a policy's examples show of it: which checks were seen to fail and to pass, and which fixes were made.

use super::evaluate::evaluate;
use super::examples::{ExampleOutcome, bound, with_subject};
use super::result::PolicyResult;
use crate::model::spec::{CheckSpec, ExampleSpec, PolicySpec};
use crate::model::{Timestamp, Verdict};

/// What one example, or all of a policy, showed of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The check's name.
    pub check: String,
    /// Of how many elements it was seen to fail.
    pub failed: usize,
    /// Of how many elements it was seen to hold. A list without elements shows nothing.
    pub passed: usize,
    /// How many elements each of its fixes was made for, in the order in which they are tried.
    pub fixed: Vec<usize>,
}

/// What all examples of a policy show together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// The policy's name.
    pub policy: String,
    /// How many examples must pass.
    pub passing: usize,
    /// How many examples must fail.
    pub failing: usize,
    /// All of its checks, in its order.
    pub checks: Vec<Seen>,
}

impl Coverage {
    /// Whether it has both an example that must pass and one that must fail.
    #[must_use]
    pub const fn is_tested(&self) -> bool {
        self.passing > 0 && self.failing > 0
    }
}

/// What `outcomes`, of whatever policies, show of this one. An example that did not go as it should shows nothing.
#[must_use]
pub fn coverage(name: &str, spec: &PolicySpec, outcomes: &[ExampleOutcome]) -> Coverage {
    let own: Vec<&ExampleOutcome> = outcomes.iter().filter(|one| one.policy == name && one.passed()).collect();
    let count = |verdict| own.iter().filter(|one| one.expected == verdict).count();
    let checks = spec.checks.iter().map(|check| {
        let mut total = nothing(check);
        for one in own.iter().flat_map(|one| &one.seen).filter(|one| one.check == check.name) {
            total.failed += one.failed;
            total.passed += one.passed;
            for (sum, made) in total.fixed.iter_mut().zip(&one.fixed) {
                *sum += made;
            }
        }
        total
    });
    Coverage {
        policy: name.to_owned(),
        passing: count(Verdict::Pass),
        failing: count(Verdict::Fail),
        checks: checks.collect(),
    }
}

fn nothing(check: &CheckSpec) -> Seen {
    Seen { check: check.name.clone(), failed: 0, passed: 0, fixed: vec![0; check.fix.len()] }
}

/// What an example shows, `result` being its answer.
///
/// Which elements a check is about is asked by requiring of them what cannot hold; which of several fixes was made, by
/// leaving later ones out. So evaluation itself, which the controller runs a million times, keeps no such book.
pub(super) fn seen(name: &str, spec: &PolicySpec, example: &ExampleSpec, result: &PolicyResult) -> Vec<Seen> {
    // What is skipped or unknown shows nothing for sure.
    if !matches!(result.verdict, Verdict::Pass | Verdict::Fail) {
        return spec.checks.iter().map(nothing).collect();
    }
    let asked = |change: &dyn Fn(&mut CheckSpec)| -> Option<PolicyResult> {
        let mut spec = spec.clone();
        spec.checks.iter_mut().for_each(change);
        let set = bound(name, &spec, example).ok()?;
        with_subject(spec.resource, example, |subject| evaluate(&set, subject, Timestamp::EPOCH)).pop()
    };
    let count = |result: &PolicyResult, check: &CheckSpec, fixable: bool| {
        let of_check = result.findings.iter().filter(|finding| finding.check == check.name);
        of_check.filter(|finding| finding.fixable || !fixable).count()
    };
    let about = asked(&|check| {
        check.require = "false".to_owned();
        check.message = "-".to_owned();
        check.at = None;
        check.fix.clear();
    });
    let most = spec.checks.iter().map(|check| check.fix.len()).max().unwrap_or(0);
    // With the first 0, 1, … fixes of each check; with all of them it is the answer itself.
    let fewer: Vec<Option<PolicyResult>> =
        (0..most).map(|first| asked(&|check: &mut CheckSpec| check.fix.truncate(first))).collect();
    let of_check = |check: &CheckSpec| {
        let failed = count(result, check, false);
        let elements = about.as_ref().map_or(failed, |about| count(about, check, false));
        let with_first = |first: usize| match fewer.get(first).filter(|_| first < check.fix.len()) {
            Some(fewer) => fewer.as_ref().map_or(0, |fewer| count(fewer, check, true)),
            None => count(result, check, true),
        };
        Seen {
            check: check.name.clone(),
            failed,
            passed: elements.saturating_sub(failed),
            fixed: (0..check.fix.len()).map(|index| with_first(index + 1).saturating_sub(with_first(index))).collect(),
        }
    };
    spec.checks.iter().map(of_check).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::run_examples;

    /// Failed, passed and fixed of the one check, given these examples.
    fn shown(examples: &Value) -> (usize, usize, Vec<usize>) {
        let policy = json!({
            "title": "t", "severity": "low", "resource": "TaskDefinition", "when": "has(taskDefinition.family)",
            "params": { "users": { "default": {} } },
            "checks": [{
                "name": "user", "forEach": "/containerDefinitions/*", "as": ["container"],
                "when": "container.name != 'agent'", "require": "container.user != 'root'", "message": "m", "at": "/user",
                "fix": [
                    { "when": "container.name in params.users", "edits": [{ "set": "/user", "value": { "cel": "params.users[container.name]" } }] },
                    { "when": "container.name == 'b'", "edits": [{ "set": "/user", "value": "2" }] }
                ]
            }],
            "examples": examples
        });
        let spec: PolicySpec = serde_json::from_value(policy).unwrap();
        let outcomes = run_examples("p", &spec).unwrap();
        let check = coverage("p", &spec, &outcomes).checks.remove(0);
        (check.failed, check.passed, check.fixed)
    }

    fn example(containers: &[(&str, &str)], users: &Value, expect: &str) -> Value {
        let containers: Vec<Value> =
            containers.iter().map(|(name, user)| json!({ "name": name, "image": "i", "user": user })).collect();
        json!({ "name": "e", "given": { "family": "f", "containerDefinitions": containers }, "params": { "users": users }, "expect": expect })
    }

    #[test]
    fn every_element_is_counted_once_for_what_it_showed() {
        let none = json!({});
        for (examples, expected) in [
            (json!([example(&[("a", "1")], &none, "pass")]), (0, 1, vec![0, 0])),
            (json!([example(&[("agent", "root")], &none, "pass")]), (0, 0, vec![0, 0])),
            (json!([example(&[], &none, "pass")]), (0, 0, vec![0, 0])),
            (json!([example(&[("a", "root"), ("b", "root"), ("c", "1")], &none, "fail")]), (2, 1, vec![0, 1])),
            // The first fix that applies is made, and no other.
            (
                json!([example(&[("a", "root"), ("b", "root")], &json!({ "a": "1", "b": "1" }), "fail")]),
                (2, 0, vec![2, 0]),
            ),
            (json!([example(&[("a", "root"), ("b", "root")], &json!({ "a": "1" }), "fail")]), (2, 0, vec![1, 1])),
            // What did not go as it should shows nothing, and neither does what is skipped.
            (json!([example(&[("a", "root")], &none, "pass")]), (0, 0, vec![0, 0])),
            (
                json!([{ "name": "e", "given": { "containerDefinitions": [{ "name": "a", "user": "1" }] }, "expect": "skip" }]),
                (0, 0, vec![0, 0]),
            ),
            (
                json!([{ "name": "e", "given": { "family": "f", "containerDefinitions": [{ "name": "a" }] }, "expect": "unknown" }]),
                (0, 0, vec![0, 0]),
            ),
        ] {
            assert_eq!(shown(&examples), expected, "{examples}");
        }
    }
}
