//! SARIF against the schema of its committee.

use serde_json::{Value, json};

use super::{FILE, against_schema, fixture, hostile};

fn results<'a>(sarif: &'a Value, rule: &str) -> Vec<&'a Value> {
    let all = sarif["runs"][0]["results"].as_array().unwrap();
    all.iter().filter(|result| result["ruleId"] == rule).collect()
}

/// RFC 3986 §2.1.
fn decoded(uri: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = uri.as_bytes();
    while let [first, more @ ..] = rest {
        rest = if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&more[..2]).unwrap(), 16).unwrap());
            &more[2..]
        } else {
            bytes.push(*first);
            more
        };
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_report_holds_to_the_schema_whatever_names_are_in_it() {
    let plimsoll = hostile();
    let sarif = plimsoll.run(&["check", FILE, "-o", "sarif"]).exits(1).json();
    let schema = fixture("sarif-schema-2.1.0.json");
    let mut wrong = sarif.clone();
    wrong["runs"][0]["results"][0]["level"] = json!("high");
    let found = against_schema(&schema, &[sarif.clone(), wrong]);
    assert_eq!(found[0], [""; 0]);
    assert_eq!(found[1].len(), 1, "the validator would not say: {found:?}");

    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    let scores: Vec<(&str, &str)> = rules
        .iter()
        .map(|rule| (rule["id"].as_str().unwrap(), rule["properties"]["security-severity"].as_str().unwrap()))
        .collect();
    assert_eq!(
        scores,
        [
            ("all-waived", "8.0"),
            ("critical-fails", "9.5"),
            ("high-unknown", "8.0"),
            ("is-skipped", "2.0"),
            ("low-passes", "2.0"),
            ("medium-fails", "5.5")
        ]
    );
    for rule in rules {
        for help in [&rule["help"]["text"], &rule["help"]["markdown"]] {
            assert!(help.as_str().unwrap().contains("SecurityHub/ECS.3"), "{rule}");
        }
    }
    for result in sarif["runs"][0]["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let uri = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/%".contains(c);
        assert!(uri.as_str().unwrap().chars().all(plain), "{uri}");
        assert_eq!(decoded(uri.as_str().unwrap()), FILE);
        let text = result["message"]["text"].as_str().unwrap();
        assert!(!text.contains("](") && !text.chars().any(char::is_control), "{text:?}");
    }
}

#[test]
fn a_finding_is_at_its_line_a_waived_one_is_suppressed_and_unknown_is_a_result() {
    let plimsoll = hostile();
    let sarif = plimsoll.run(&["check", FILE, "-o", "sarif"]).exits(1).json();
    let line = |result: &Value| result["locations"][0]["physicalLocation"]["region"]["startLine"].clone();

    let [pid] = results(&sarif, "critical-fails")[..] else { panic!("{sarif}") };
    assert_eq!((line(pid), &pid["level"], &pid["properties"]["fixable"]), (json!(3), &json!("error"), &json!(true)));
    assert!(pid.get("suppressions").is_none(), "{pid}");

    let [own, agent] = results(&sarif, "medium-fails")[..] else { panic!("{sarif}") };
    assert_eq!((line(own), line(agent)), (json!(6), json!(7)));
    assert!(own.get("suppressions").is_none(), "one container is waived, not the other: {own}");
    let because = &agent["suppressions"][0];
    assert_eq!((&because["kind"], &because["status"]), (&json!("external"), &json!("accepted")));
    assert_eq!(because["justification"], "waiver `agent` of me until 2999-01-01T00:00:00Z: an agent");

    let [unknown] = results(&sarif, "high-unknown")[..] else { panic!("{sarif}") };
    assert_eq!((&unknown["level"], &unknown["properties"]["verdict"]), (&json!("warning"), &json!("unknown")));
    assert!(unknown["message"]["text"].as_str().unwrap().starts_with("unknown: "), "{unknown}");
    assert!(unknown.get("suppressions").is_none(), "{unknown}");

    for silent in ["low-passes", "is-skipped"] {
        assert_eq!(results(&sarif, silent), [&Value::Null; 0]);
    }
    let [waived] = results(&sarif, "all-waived")[..] else { panic!("{sarif}") };
    assert!(waived["suppressions"][0]["justification"].as_str().unwrap().contains("SEC-1"), "{waived}");
}
