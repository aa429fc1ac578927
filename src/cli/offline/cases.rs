//! The verdicts as JUnit: a suite a task definition, a case a policy. Unknown is an error, never a pass.

use super::judge::{Judged, reason};
use crate::cli::junit::{self, Case, Outcome, Suite};
use crate::model::Verdict;
use crate::policy::PolicyResult;

/// The report.
pub(in crate::cli) fn junit(judged: &[Judged<'_>]) -> String {
    let suite = |one: &Judged<'_>| Suite {
        name: one.resource.name.clone(),
        properties: Vec::new(),
        cases: one.results.iter().map(|result| case(one, result)).collect(),
    };
    junit::document(&judged.iter().map(suite).collect::<Vec<_>>())
}

fn case(judged: &Judged<'_>, result: &PolicyResult) -> Case {
    let line = |finding: &crate::model::Finding| {
        let waived = finding.waiver.as_ref().map(|name| format!(" (waived by `{name}`)")).unwrap_or_default();
        format!("{}:{}: {}{waived}", judged.file.name, judged.line(&finding.path), finding.message)
    };
    let lines: Vec<String> = result.findings.iter().map(line).collect();
    let full = lines.join("\n");
    let outcome = match result.verdict {
        Verdict::Pass => Outcome::Passed,
        Verdict::Fail => {
            // A waived finding is no failure, and may be the first.
            let first = result.findings.iter().find(|finding| finding.waiver.is_none());
            let short = first.map_or_else(String::new, |finding| finding.message.clone());
            Outcome::Failed(result.severity.as_str().to_owned(), short, full)
        }
        Verdict::Unknown => Outcome::Unknown(reason(result).to_owned(), full),
        Verdict::Waived => {
            let name = result.waiver.as_ref().map_or("", |waiver| &waiver.name);
            Outcome::Skipped(format!("waived by `{name}`"))
        }
        Verdict::Skip => Outcome::Skipped("does not apply".to_owned()),
    };
    Case { class: judged.resource.name.clone(), name: result.policy.to_string(), outcome }
}
