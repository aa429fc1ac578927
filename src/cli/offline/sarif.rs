//! SARIF 2.1.0, as GitHub and Azure DevOps read it. Unknown never looks like a pass: it is a result. Waived findings
//! are there as suppressed.

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::judge::{Judged, reason};
use crate::cli::policies::Offline;
use crate::model::mask::clean_text;
use crate::model::spec::{Object, PolicySpec, Spec};
use crate::model::{Finding, Severity, Verdict};
use crate::policy::PolicyResult;

/// What a path of a URI may hold as it is (RFC 3986 §2.3), and the slash between its parts. Not the colon: what stands
/// before it in a relative reference would be a scheme.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// GitHub refuses a rule with more than 20 tags (docs.github.com, "SARIF results exceed one or more limits"). One of
/// them is `security`; all controls are in the help.
const MAX_CONTROLS: usize = 19;

/// The one run: every policy that was asked as a rule, every finding and everything unknown as a result.
pub(in crate::cli) fn sarif(policies: &Offline, judged: &[Judged<'_>]) -> Value {
    let specs: HashMap<&str, &PolicySpec> = policies.objects.iter().filter_map(policy).collect();
    let mut rules: Vec<Value> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut results = Vec::new();
    for one in judged {
        for result in &one.results {
            let index = *places.entry(&result.policy).or_insert_with(|| {
                rules.push(rule(result, specs.get(&*result.policy).copied()));
                rules.len() - 1
            });
            results.extend(of_result(policies, one, result, index));
        }
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "plimsoll", "version": env!("CARGO_PKG_VERSION"), "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn policy(object: &Object) -> Option<(&str, &PolicySpec)> {
    match &object.spec {
        Spec::Policy(spec) => Some((object.metadata.name.as_str(), spec)),
        _ => None,
    }
}

fn rule(result: &PolicyResult, spec: Option<&PolicySpec>) -> Value {
    let description = spec.map_or("", |spec| spec.description.trim());
    let description = if description.is_empty() { result.title.as_ref() } else { description };
    let fixable = spec.is_some_and(|spec| spec.checks.iter().any(|check| !check.fix.is_empty()));
    let fix = if fixable { "`plimsoll fix` may make it hold." } else { "There is no fix; change it by hand." };
    let mut help = format!("{description}\n\n{fix}");
    if !result.controls.is_empty() {
        help.push_str(&format!("\n\nControls: {}", result.controls.join(", ")));
    }
    let tags: Vec<&str> =
        std::iter::once("security").chain(result.controls.iter().map(String::as_str).take(MAX_CONTROLS)).collect();
    json!({
        "id": result.policy,
        "shortDescription": { "text": result.title },
        "fullDescription": { "text": description },
        "help": { "text": help, "markdown": format!("**{}**\n\n{help}", result.title) },
        "defaultConfiguration": { "level": level(result.severity) },
        "properties": { "tags": tags, "precision": "high", "security-severity": score(result.severity) },
    })
}

fn of_result(policies: &Offline, judged: &Judged<'_>, result: &PolicyResult, index: usize) -> Vec<Value> {
    let mut results = Vec::new();
    if result.verdict == Verdict::Unknown {
        results.push(json!({
            "ruleId": result.policy, "ruleIndex": index, "level": "warning",
            "message": { "text": message(&format!("unknown: {}", reason(result))) },
            "locations": [location(judged, "")],
            "partialFingerprints": { "plimsoll/v1": format!("{}#{}#unknown", judged.resource.name, result.policy) },
            "properties": { "verdict": "unknown", "reason": result.reason },
        }));
    }
    for finding in &result.findings {
        let mut value = json!({
            "ruleId": result.policy, "ruleIndex": index, "level": level(result.severity),
            "message": { "text": message(&finding.message) },
            "locations": [location(judged, &finding.path)],
            "partialFingerprints": {
                "plimsoll/v1": format!("{}#{}#{}#{}", judged.resource.name, result.policy, finding.check, finding.path),
            },
            "properties": {
                "verdict": if finding.waiver.is_some() { "waived" } else { "fail" },
                "check": finding.check, "path": finding.path, "container": finding.container, "fixable": finding.fixable,
            },
        });
        if let (Value::Object(members), Some(suppression)) = (&mut value, suppression(policies, finding)) {
            members.insert("suppressions".to_owned(), json!([suppression]));
        }
        results.push(value);
    }
    results
}

fn suppression(policies: &Offline, finding: &Finding) -> Option<Value> {
    let name = finding.waiver.as_ref()?;
    let waiver = policies.objects.iter().find_map(|object| match &object.spec {
        Spec::Waiver(spec) if object.metadata.name == *name => Some(spec),
        _ => None,
    });
    let why = waiver.map_or_else(String::new, |waiver| {
        let ticket = waiver.ticket.as_ref().map(|ticket| format!(" ({ticket})")).unwrap_or_default();
        format!(" of {} until {}: {}{ticket}", waiver.owner, waiver.expires_at, waiver.reason)
    });
    let justification = message(&format!("waiver `{name}`{why}"));
    Some(json!({ "kind": "external", "status": "accepted", "justification": justification }))
}

fn location(judged: &Judged<'_>, path: &str) -> Value {
    json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(&judged.file.name) }, "region": { "startLine": judged.line(path) },
        },
        "logicalLocations": [{ "fullyQualifiedName": format!("{}{path}", judged.resource.name) }],
    })
}

/// A file's name as a URI reference; relative names stay relative, for the reader knows below what.
fn uri(name: &str) -> String {
    if name == "-" {
        return "stdin".to_owned();
    }
    let name = if cfg!(windows) { name.replace('\\', "/") } else { name.to_owned() };
    let scheme = if name.starts_with('/') { "file://" } else { "" };
    format!("{scheme}{}", utf8_percent_encode(&name, ESCAPED))
}

/// A message without what would make a link of it: `[text](target)` is one in every message (SARIF §3.11.6).
fn message(text: &str) -> String {
    clean_text(text).replace("](", "] (")
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

/// In the middle of what GitHub calls by the same words: critical is over 9.0, high from 7.0, medium from 4.0, low below
/// (docs.github.com, "SARIF support for code scanning", `security-severity`). It has to be text.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_a_uri_reference_whatever_is_in_it() {
        assert_eq!(uri("a b/c%d#ü:?.json"), "a%20b/c%25d%23%C3%BC%3A%3F.json");
        assert_eq!(uri("/tmp/task.json"), "file:///tmp/task.json");
        assert_eq!(uri("-"), "stdin");
    }

    #[test]
    fn a_message_has_no_links() {
        assert_eq!(message("[click](http://a)\u{1b}"), "[click] (http://a)");
    }
}
