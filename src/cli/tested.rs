//! What tests of policies came to, for people, scripts and CI servers. Values that may be secret are masked.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;

use super::junit::{self, Case, Outcome, Suite};
use super::policies::Offline;
use super::printed::{PolicySetView, Printed};
use super::test::missing;
use crate::model::Verdict;
use crate::model::mask::{clean_text, mask_document};
use crate::policy::{Coverage, ExampleOutcome, Problem};

/// How one test went, and where it is written.
pub(super) struct Tested {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) outcome: ExampleOutcome,
}

/// What `test` says.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestReport {
    /// The policies that were tested.
    policy_set: PolicySetView,
    /// How many of what.
    summary: TestSummary,
    /// Every test.
    results: Vec<TestResult>,
    /// What the tests that went well show of each policy.
    coverage: Vec<PolicyCoverage>,
    /// Whether policies without tests count as failures.
    require_tests: bool,
}

/// How many of what.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TestSummary {
    /// Tests, those that policies carry and those in test files.
    examples: usize,
    /// Those that went as they should.
    passed: usize,
    /// The others.
    failed: usize,
    /// Policies without a test that must pass, or without one that must fail.
    untested: usize,
    /// Checks of all policies.
    checks: usize,
    /// Those that were seen to fail.
    seen_to_fail: usize,
    /// Those that were seen to hold.
    seen_to_pass: usize,
    /// Fixes of all checks.
    fixes: usize,
    /// Those that were made, and kept the law of fixes.
    exercised: usize,
}

/// One test.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TestResult {
    /// The policy's name.
    policy: String,
    /// The test's name.
    example: String,
    /// Where it is written.
    file: String,
    /// The line it begins on, from 1.
    line: usize,
    /// Whether it went as it should.
    passed: bool,
    /// The verdict it must get.
    expected: Verdict,
    /// The verdict it got.
    found: Option<Verdict>,
    /// What is not as it says, in sentences.
    problems: Vec<String>,
    /// From what the fix must make to what it makes, as a unified diff; values that may be secret masked.
    diff: Option<String>,
}

/// What tests show of a policy.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PolicyCoverage {
    /// Its name.
    policy: String,
    /// Tests that must pass, and do.
    passing: usize,
    /// Tests that must fail, and do.
    failing: usize,
    /// Each of its checks.
    checks: Vec<CheckCoverage>,
}

/// What tests show of a check.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CheckCoverage {
    /// Its name.
    check: String,
    /// Whether it was seen to fail.
    failed: bool,
    /// Whether it was seen to hold of something: a list without elements shows nothing.
    passed: bool,
    /// Each of its fixes, in the order in which they are tried: whether it was made.
    fixes: Vec<bool>,
}

impl Printed for TestReport {
    const KIND: &'static str = "TestReport";
}

impl TestReport {
    pub(super) fn of(policies: &Offline, tested: &[Tested], coverage: &[Coverage], require_tests: bool) -> Self {
        let results: Vec<TestResult> = tested.iter().map(TestResult::of).collect();
        let untested = coverage.iter().filter(|one| !one.is_tested()).count();
        let coverage: Vec<PolicyCoverage> = coverage.iter().map(PolicyCoverage::of).collect();
        let checks = || coverage.iter().flat_map(|one| &one.checks);
        let passed = results.iter().filter(|one| one.passed).count();
        let summary = TestSummary {
            examples: results.len(),
            passed,
            failed: results.len() - passed,
            untested,
            checks: checks().count(),
            seen_to_fail: checks().filter(|check| check.failed).count(),
            seen_to_pass: checks().filter(|check| check.passed).count(),
            fixes: checks().flat_map(|check| &check.fixes).count(),
            exercised: checks().flat_map(|check| &check.fixes).filter(|made| **made).count(),
        };
        Self { policy_set: PolicySetView::of(policies), summary, results, coverage, require_tests }
    }

    /// Whether the answer is yes.
    pub(super) const fn is_good(&self) -> bool {
        self.summary.failed == 0 && (!self.require_tests || self.summary.untested == 0)
    }

    fn untested(&self) -> impl Iterator<Item = &PolicyCoverage> {
        self.coverage.iter().filter(|one| self.require_tests && (one.passing == 0 || one.failing == 0))
    }

    /// What went wrong, what nothing was shown of, and the counts. `wide` names what went well too.
    pub(super) fn for_people(&self, wide: bool) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = self.write(&mut text, wide);
        text
    }

    fn write(&self, text: &mut String, wide: bool) -> std::fmt::Result {
        for one in &self.results {
            let place = format!("{}:{}", clean_text(&one.file), one.line);
            let name = format!("{}: {}", one.policy, clean_text(&one.example));
            if !one.passed {
                writeln!(text, "FAIL  {name}\n      {place}")?;
            } else if wide {
                writeln!(text, "ok    {name}")?;
            }
            for problem in &one.problems {
                writeln!(text, "      {}", clean_text(problem))?;
            }
            for line in one.diff.iter().flat_map(|diff| diff.lines()) {
                writeln!(text, "        {}", clean_text(line))?;
            }
        }
        for one in self.untested() {
            writeln!(text, "FAIL  {}: there is no example that must {}", one.policy, one.missing())?;
        }
        for one in &self.coverage {
            for check in &one.checks {
                for gap in check.gaps() {
                    writeln!(text, "gap   {}: check `{}` {gap}", one.policy, clean_text(&check.check))?;
                }
            }
        }
        let summary = &self.summary;
        let policies = self.policy_set.policies;
        let plural = if policies == 1 { "policy" } else { "policies" };
        writeln!(
            text,
            "{} examples of {policies} {plural} from {}: {} passed, {} failed",
            summary.examples,
            clean_text(&self.policy_set.source),
            summary.passed,
            summary.failed
        )?;
        writeln!(
            text,
            "{} checks: {} seen to fail, {} seen to pass; {} of {} fixes exercised",
            summary.checks, summary.seen_to_fail, summary.seen_to_pass, summary.exercised, summary.fixes
        )
    }

    /// A suite a policy, a case a test.
    pub(super) fn junit(&self) -> String {
        let suite = |one: &PolicyCoverage| {
            let mut cases: Vec<Case> =
                self.results.iter().filter(|test| test.policy == one.policy).map(TestResult::case).collect();
            if self.require_tests {
                let outcome = if one.passing == 0 || one.failing == 0 {
                    let why = format!("there is no example that must {}", one.missing());
                    Outcome::Failed("untested".to_owned(), why.clone(), why)
                } else {
                    Outcome::Passed
                };
                let name = "has an example that must pass and one that must fail".to_owned();
                cases.push(Case { class: one.policy.clone(), name, outcome });
            }
            Suite { name: one.policy.clone(), properties: one.properties(), cases }
        };
        junit::document(&self.coverage.iter().map(suite).collect::<Vec<_>>())
    }
}

impl TestResult {
    fn of(tested: &Tested) -> Self {
        let outcome = &tested.outcome;
        Self {
            policy: outcome.policy.clone(),
            example: outcome.example.clone(),
            file: tested.file.clone(),
            line: tested.line,
            passed: outcome.passed(),
            expected: outcome.expected,
            found: outcome.found,
            problems: outcome.problems.iter().map(|problem| clean_text(&problem.to_string())).collect(),
            diff: outcome.problems.iter().find_map(|problem| match problem {
                Problem::Document { expected, found } => Some(difference(expected, found)),
                _ => None,
            }),
        }
    }

    fn case(&self) -> Case {
        let outcome = match self.problems.first() {
            None => Outcome::Passed,
            Some(first) => {
                let place = format!("{}:{}", self.file, self.line);
                let mut lines = vec![place];
                lines.extend(self.problems.iter().cloned());
                lines.extend(self.diff.clone());
                Outcome::Failed("example".to_owned(), first.clone(), lines.join("\n"))
            }
        };
        Case { class: self.policy.clone(), name: self.example.clone(), outcome }
    }
}

impl PolicyCoverage {
    fn of(coverage: &Coverage) -> Self {
        let checks = coverage.checks.iter().map(|check| CheckCoverage {
            check: check.check.clone(),
            failed: check.failed > 0,
            passed: check.passed > 0,
            fixes: check.fixed.iter().map(|made| *made > 0).collect(),
        });
        Self {
            policy: coverage.policy.clone(),
            passing: coverage.passing,
            failing: coverage.failing,
            checks: checks.collect(),
        }
    }

    const fn missing(&self) -> &'static str {
        missing(self.passing, self.failing)
    }

    fn properties(&self) -> Vec<(String, String)> {
        let count = |of: &dyn Fn(&CheckCoverage) -> bool| self.checks.iter().filter(|check| of(check)).count();
        let fixes = || self.checks.iter().flat_map(|check| &check.fixes);
        [
            ("checks", self.checks.len()),
            ("checks seen to fail", count(&|check| check.failed)),
            ("checks seen to pass", count(&|check| check.passed)),
            ("fixes", fixes().count()),
            ("fixes exercised", fixes().filter(|made| **made).count()),
        ]
        .map(|(name, count)| (name.to_owned(), count.to_string()))
        .to_vec()
    }
}

impl CheckCoverage {
    /// What no test shows of it.
    fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        if !self.failed {
            gaps.push("was never seen to fail".to_owned());
        }
        if !self.passed {
            gaps.push("was never seen to pass".to_owned());
        }
        match self.fixes.as_slice() {
            [false] => gaps.push("was never fixed".to_owned()),
            fixes => gaps.extend(
                fixes
                    .iter()
                    .enumerate()
                    .filter(|(_, made)| !**made)
                    .map(|(index, _)| format!("was never fixed by its fix {}", index + 1)),
            ),
        }
        gaps
    }
}

/// A unified diff of two documents as they may be shown.
fn difference(expected: &Value, found: &Value) -> String {
    let text =
        |document: &Value| serde_json::to_string_pretty(&mask_document(document, &[])).unwrap_or_default() + "\n";
    let (expected, found) = (text(expected), text(found));
    if expected == found {
        return "they differ in values that are not shown".to_owned();
    }
    TextDiff::from_lines(&expected, &found).unified_diff().header("fixed, as expected", "fixed, as found").to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_shows_where_and_no_secret() {
        let container =
            |command: &str, user: &str| json!({ "containerDefinitions": [{ "command": [command], "user": user }] });
        let shown = difference(&container("s3cret", "0"), &container("s3cret", "1000"));
        assert!(
            shown.contains("-      \"user\": \"0\"\n+      \"user\": \"1000\"\n") && !shown.contains("s3cret"),
            "{shown}"
        );
        assert_eq!(
            difference(&container("one", "0"), &container("two", "0")),
            "they differ in values that are not shown"
        );
    }
}
