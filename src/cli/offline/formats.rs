//! Reports for code scanning (SARIF 2.1.0), CI servers (JUnit) and GitHub Actions. Unknown never looks like a pass.

use std::fmt::Write;

use serde_json::{Value, json};

use super::judge::Judged;
use crate::model::mask::clean_text;
use crate::model::{Severity, Verdict};
use crate::policy::PolicyResult;

/// SARIF 2.1.0, as GitHub and Azure DevOps read it. Waived findings are there as suppressed.
pub(in crate::cli) fn sarif(judged: &[Judged<'_>]) -> Value {
    let mut rules: Vec<Value> = Vec::new();
    let mut results = Vec::new();
    for one in judged {
        for result in &one.results {
            let known = rules.iter().any(|rule| rule.get("id").and_then(Value::as_str) == Some(&result.policy));
            if !known {
                rules.push(json!({
                    "id": result.policy, "shortDescription": { "text": result.title },
                    "defaultConfiguration": { "level": level(result.severity) },
                    "properties": { "tags": result.controls },
                }));
            }
            results.extend(sarif_results(one, result));
        }
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "plimsoll", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "results": results,
        }],
    })
}

fn sarif_results(judged: &Judged<'_>, result: &PolicyResult) -> Vec<Value> {
    let location = |line: usize| {
        json!([{ "physicalLocation": {
            "artifactLocation": { "uri": judged.file.name.replace('\\', "/") }, "region": { "startLine": line },
        } }])
    };
    let mut results = Vec::new();
    if result.verdict == Verdict::Unknown {
        let message = reason(result);
        results.push(json!({
            "ruleId": result.policy, "level": "warning", "message": { "text": format!("unknown: {message}") },
            "locations": location(judged.line("")),
        }));
    }
    for finding in &result.findings {
        let mut value = json!({
            "ruleId": result.policy, "level": level(result.severity), "message": { "text": finding.message },
            "locations": location(judged.line(&finding.path)),
            "partialFingerprints": { "plimsoll/v1": format!("{}#{}#{}#{}", judged.resource.name, result.policy, finding.check, finding.path) },
        });
        if let (Value::Object(members), Some(name)) = (&mut value, &finding.waiver) {
            members.insert(
                "suppressions".to_owned(),
                json!([{ "kind": "external", "justification": justification(result, name) }]),
            );
        }
        results.push(value);
    }
    results
}

/// Who waives it, and until when.
fn justification(result: &PolicyResult, name: &str) -> String {
    let found = result.waivers.iter().find(|waiver| waiver.name == name);
    let until = found.map_or_else(String::new, |waiver| format!(" until {}", waiver.expires_at));
    format!("Waiver `{name}`{until}")
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

fn reason(result: &PolicyResult) -> String {
    result.reason.as_ref().map_or_else(|| "it could not be evaluated".to_owned(), |reason| reason.message.clone())
}

/// JUnit: a suite a task definition, a case a policy.
pub(in crate::cli) fn junit(judged: &[Judged<'_>]) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"plimsoll\">\n".to_owned();
    for one in judged {
        let of = |verdict: Verdict| one.results.iter().filter(|result| result.verdict == verdict).count();
        let skipped = of(Verdict::Skip) + of(Verdict::Waived);
        // Writing into a String does not fail.
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{skipped}\">",
            escaped(&one.resource.name),
            one.results.len(),
            of(Verdict::Fail),
            of(Verdict::Unknown),
        );
        for result in &one.results {
            case(&mut text, one, result);
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(text: &mut String, judged: &Judged<'_>, result: &PolicyResult) {
    let lines: Vec<String> = result
        .findings
        .iter()
        .map(|finding| format!("{}:{}: {}", judged.file.name, judged.line(&finding.path), clean_text(&finding.message)))
        .collect();
    let first = result.findings.first().map_or("", |finding| &finding.message);
    let inner = match result.verdict {
        Verdict::Pass => None,
        Verdict::Fail => {
            Some(format!("<failure message=\"{}\">{}</failure>", escaped(first), escaped(&lines.join("\n"))))
        }
        Verdict::Unknown => Some(format!("<error message=\"{}\"/>", escaped(&reason(result)))),
        Verdict::Waived => {
            let name = result.waiver.as_ref().map_or("", |waiver| &waiver.name);
            Some(format!("<skipped message=\"waived by `{}`\"/>", escaped(name)))
        }
        Verdict::Skip => Some("<skipped message=\"does not apply\"/>".to_owned()),
    };
    let head =
        format!("    <testcase classname=\"{}\" name=\"{}\"", escaped(&judged.resource.name), escaped(&result.policy));
    let _ = match inner {
        None => writeln!(text, "{head}/>"),
        Some(inner) => writeln!(text, "{head}>{inner}</testcase>"),
    };
}

pub(in crate::cli) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(c),
            // Not allowed in XML 1.0 even when escaped.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => safe.push(c),
        }
    }
    safe
}

/// Workflow commands: annotations at the line in question.
pub(in crate::cli) fn github(judged: &[Judged<'_>]) -> String {
    let mut text = String::new();
    for one in judged {
        for result in &one.results {
            if result.verdict == Verdict::Unknown {
                annotation(
                    &mut text,
                    "warning",
                    one,
                    one.line(""),
                    &result.policy,
                    &format!("unknown: {}", reason(result)),
                );
            }
            for finding in result.findings.iter().filter(|finding| finding.waiver.is_none()) {
                let command = if result.severity >= Severity::High { "error" } else { "warning" };
                annotation(&mut text, command, one, one.line(&finding.path), &result.policy, &finding.message);
            }
        }
    }
    text
}

fn annotation(text: &mut String, command: &str, judged: &Judged<'_>, line: usize, title: &str, message: &str) {
    // github.com/actions/toolkit, packages/core/src/command.ts: data escapes %, CR and LF; properties also `:` and `,`.
    let data = |text: &str| clean_text(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let _ = writeln!(
        text,
        "::{command} file={},line={line},title={}::{}",
        property(&judged.file.name),
        property(title),
        data(message)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_cannot_be_broken_out_of() {
        assert_eq!(escaped("<a b=\"c\">&\u{1b}"), "&lt;a b=&quot;c&quot;&gt;&amp;");
    }
}
