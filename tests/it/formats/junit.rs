//! JUnit against the schema of Jenkins's plugin, and as another program reads it.

use serde_json::{Value, json};

use super::{FILE, HOSTILE, fixture, hostile, judged};
use crate::cli::Plimsoll;

#[track_caller]
fn read(xml: &str) -> Value {
    let report = judged(&["junit", &fixture("junit-10.xsd")], xml);
    assert_eq!(report["faults"], json!([]), "{xml}");
    report["suites"].clone()
}

/// The name as it may be shown.
fn clean(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !(c.is_control() || *c == '\u{202e}')).collect()
}

#[test]
fn a_report_of_verdicts_is_read_as_it_was_meant() {
    let plimsoll = hostile();
    let suites = read(&plimsoll.run(&["check", FILE, "-o", "junit"]).exits(1).stdout);
    let suite = &suites[0];
    assert_eq!(suites.as_array().unwrap().len(), 1);
    assert_eq!(suite["name"], clean(&format!("{FILE}#{HOSTILE}")));
    assert_eq!(suite["counts"], json!([6, 2, 1, 2]), "tests, failures, errors, skipped");
    let case = |name: &str| {
        let all = suite["cases"].as_array().unwrap();
        all.iter().find(|case| case["name"] == name).unwrap()["results"].clone()
    };
    assert_eq!(case("low-passes"), json!([]));
    let kind = |name: &str| case(name)[0]["kind"].clone();
    assert_eq!(kind("critical-fails"), "Failure");
    assert_eq!(kind("high-unknown"), "Error", "unknown is no pass and no skip");
    assert_eq!(kind("all-waived"), "Skipped");
    assert_eq!(kind("is-skipped"), "Skipped");
    let user = &case("medium-fails")[0];
    assert_eq!(user["type"], "medium");
    let text = user["text"].as_str().unwrap();
    assert!(
        text.contains(&format!("{FILE}:6: container `"))
            && text.contains(":7: container `agent` runs as root (waived by `agent`)"),
        "{text}"
    );
}

#[test]
fn a_waived_finding_is_not_what_a_failure_is_about() {
    let plimsoll = hostile();
    // The waived one is the first.
    let container = |name: &str| json!({ "name": name, "image": "a:1", "user": "root" });
    plimsoll.write(
        FILE,
        &json!({ "family": "f", "containerDefinitions": [container("agent"), container("app")] }).to_string(),
    );
    let suites = read(&plimsoll.run(&["check", FILE, "-o", "junit"]).exits(1).stdout);
    let cases = suites[0]["cases"].as_array().unwrap();
    let user = cases.iter().find(|case| case["name"] == "medium-fails").unwrap();
    assert_eq!(user["results"][0]["message"], "container `app` runs as root", "{user}");
}

#[test]
fn a_report_of_tests_has_a_suite_a_policy_and_tells_coverage() {
    let plimsoll = Plimsoll::new();
    let name = json!(HOSTILE.replace('\0', ""));
    plimsoll.write(
        "policies/p.yaml",
        &format!("apiVersion: plimsoll/v1\nkind: Policy\nmetadata: {{ name: p }}\nspec:\n  title: t\n  severity: low\n  resource: TaskDefinition\n  checks:\n    - {{ name: pid, require: \"taskDefinition.?pidMode.orValue('') != 'host'\", message: m, fix: [{{ edits: [{{ remove: /pidMode }}] }}] }}\n  examples:\n    - {{ name: {name}, given: {{ pidMode: host }}, expect: pass }}\n    - {{ name: good, given: {{ pidMode: host }}, expect: fail }}\n"),
    );
    let suites = read(&plimsoll.run(&["test", "--require-tests", "-o", "junit"]).exits(1).stdout);
    assert_eq!(suites[0]["counts"], json!([3, 2, 0, 0]));
    let cases = suites[0]["cases"].as_array().unwrap();
    assert_eq!(cases[0]["name"], clean(&HOSTILE.replace('\0', "")));
    assert!(cases[0]["results"][0]["message"].as_str().unwrap().starts_with("expected pass, found fail"));
    assert_eq!(cases[1]["results"], json!([]));
    assert_eq!(cases[2]["results"][0]["message"], "there is no example that must pass");
    assert_eq!(
        suites[0]["properties"],
        json!({ "checks": "1", "checks seen to fail": "1", "checks seen to pass": "0", "fixes": "1", "fixes exercised": "1" })
    );
}
