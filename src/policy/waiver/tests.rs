//! Waivers on small documents: what they cover, and whether they are needed.

use serde_json::{Value, json};

use super::*;
use crate::model::Verdict;
use crate::policy::{ScopeKey, Subject, evaluate};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn set(texts: &[&str]) -> PolicySet {
    let object = |text: &&str| -> Object {
        let value: Value = serde_saphyr::from_str(text).unwrap();
        serde_json::from_value(value).unwrap()
    };
    let objects: Vec<Object> = texts.iter().map(object).collect();
    PolicySet::compile(&objects).unwrap_or_else(|why| panic!("{why:#?}"))
}

fn ask(set: &PolicySet, document: &Value) -> PolicyResult {
    let scope = ScopeKeys { service: ScopeKey::Known("web".to_owned()), ..ScopeKeys::default() };
    let kind = ResourceKind::TaskDefinition;
    let subject = Subject {
        kind,
        resource: document,
        tags: None,
        service: None,
        cluster: None,
        running: None,
        target: None,
        scope: &scope,
    };
    evaluate(set, &subject, NOW).remove(0)
}

/// Two checks on every container.
const TWO_CHECKS: &str = r#"
kind: Policy
metadata: { name: two }
spec:
  title: Two checks
  severity: high
  resource: TaskDefinition
  checks:
    - { name: privileged, forEach: /containerDefinitions/*, as: [container], require: "!container.?privileged.orValue(false)", message: m }
    - { name: root, forEach: /containerDefinitions/*, as: [container], require: "container.?user.orValue('') != 'root'", message: m }
"#;

#[test]
fn a_waiver_covers_the_checks_and_containers_it_names_and_no_others() {
    let waiver = |name: &str, of: &str| {
        format!(
            "kind: Waiver\nmetadata: {{ name: {name} }}\nspec: {{ policies: [two], {of}, owner: o, reason: r, expiresAt: 2030-01-01T00:00:00Z }}\n"
        )
    };
    let bad = |name: &str| json!({"name": name, "privileged": true, "user": "root"});
    let document = json!({"containerDefinitions": [bad("app"), bad("agent")]});
    let one = waiver("one", "checks: [root], containers: [agent]");
    let result = ask(&set(&[TWO_CHECKS, &one]), &document);
    let waived = |result: &PolicyResult| -> Vec<(String, String)> {
        let waived = result.findings.iter().filter(|finding| finding.waiver.is_some());
        waived.map(|finding| (finding.check.clone(), finding.container.clone().unwrap_or_default())).collect()
    };
    assert_eq!(waived(&result), [("root".to_owned(), "agent".to_owned())]);
    assert_eq!((result.verdict, result.findings.len()), (Verdict::Fail, 4));
    // Where several cover a finding it names the first, and all of them are needed.
    let several = [TWO_CHECKS, &one, &waiver("many", "containers: ['*']"), &waiver("none", "containers: [sidecar]")];
    let policies = set(&several);
    let result = ask(&policies, &document);
    assert_eq!(
        (result.verdict, result.waiver.as_ref().map(|waiver| waiver.name.as_str())),
        (Verdict::Waived, Some("many"))
    );
    let here = waivers_here([&result]);
    let told: Vec<_> = here.iter().map(|here| (here.name.as_str(), here.covers, here.need)).collect();
    assert_eq!(told, [("many", 4, Need::Needed), ("none", 0, Need::Unneeded), ("one", 1, Need::Needed)]);
}

#[test]
fn a_waiver_is_not_said_to_be_unneeded_where_something_could_not_be_told() {
    let waiver = "kind: Waiver\nmetadata: { name: w }\nspec: { policies: [two], owner: o, reason: r, expiresAt: 2030-01-01T00:00:00Z }\n";
    let policies = set(&[TWO_CHECKS, waiver]);
    let need = |document: Value, complete: bool| {
        let here = waivers_here([&ask(&policies, &document)]);
        waiver_uses(&policies, &here, complete, NOW)[0].need
    };
    assert_eq!(need(json!({"containerDefinitions": [{"name": "app"}]}), true), Need::Unneeded);
    assert_eq!(need(json!({"containerDefinitions": [{"name": "app"}]}), false), Need::Unknown, "not all was seen");
    assert_eq!(need(json!({"containerDefinitions": [{"name": "app", "privileged": "yes"}]}), true), Need::Unknown);
    let partly = json!({"containerDefinitions": [{"name": "app", "privileged": "yes", "user": "root"}]});
    assert_eq!(need(partly, true), Need::Needed);
}
