//! Policies, Bindings, Waivers and fixes together, on small documents.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::spec::{Enforcement, Need, Object, ResourceKind};
use crate::model::{Timestamp, Verdict};

mod unknowns;

fn object(text: &str) -> Object {
    let value: Value = serde_saphyr::from_str(text).unwrap();
    serde_json::from_value(value).unwrap()
}

const HOST_PID: &str = r#"
kind: Policy
metadata: { name: host-pid, labels: { framework: security-hub } }
spec:
  title: No host processes
  severity: high
  controls: [SecurityHub/ECS.3]
  resource: TaskDefinition
  checks:
    - name: pid-mode
      require: "taskDefinition.?pidMode.orValue('') != 'host'"
      message: "pidMode is `{taskDefinition.pidMode}`"
      fix: [{ edits: [{ remove: /pidMode }] }]
"#;

const PRIVILEGED: &str = r#"
kind: Policy
metadata: { name: privileged }
spec:
  title: No privileged containers
  severity: high
  resource: TaskDefinition
  checks:
    - name: privileged
      forEach: /containerDefinitions/*
      as: [container]
      require: "!container.?privileged.orValue(false)"
      message: "container `{container.name}` is privileged"
      fix: [{ edits: [{ set: /privileged, value: false }] }]
"#;

const SECRETS: &str = r#"
kind: Policy
metadata: { name: secrets }
spec:
  title: No secrets
  severity: high
  resource: TaskDefinition
  params: { names: { default: [KEY, TOKEN] }, arns: { default: {} } }
  checks:
    - name: names
      forEach: /containerDefinitions/*/environment/*
      as: [container, variable]
      require: "!(variable.name in params.names)"
      message: "container `{container.name}` gets `{variable.name}` in plain text"
      fix:
        - when: "variable.name in params.arns"
          edits:
            - { append: /secrets, on: container, key: name, value: { name: { cel: variable.name }, valueFrom: { cel: "params.arns[variable.name]" } } }
            - { remove: "", on: variable }
"#;

const RUN_AS: &str = r#"
kind: Policy
metadata: { name: needs-privilege }
spec:
  title: Everything is privileged
  severity: low
  resource: TaskDefinition
  checks:
    - name: all
      forEach: /containerDefinitions/*
      as: [container]
      require: "container.?privileged.orValue(false)"
      message: m
      fix: [{ edits: [{ set: /privileged, value: true }] }]
"#;

fn set(texts: &[&str]) -> PolicySet {
    let objects: Vec<Object> = texts.iter().map(|text| object(text)).collect();
    PolicySet::compile(&objects).unwrap_or_else(|why| panic!("{why:#?}"))
}

fn refused(texts: &[&str]) -> Vec<(String, Option<usize>, String)> {
    let objects: Vec<Object> = texts.iter().map(|text| object(text)).collect();
    let errors = PolicySet::compile(&objects).expect_err("refused");
    errors.into_iter().map(|error| (error.pointer, error.column, error.message)).collect()
}

fn keys(service: &str) -> ScopeKeys {
    ScopeKeys {
        service: ScopeKey::Known(service.to_owned()),
        cluster: ScopeKey::Known("prod-a".to_owned()),
        ..ScopeKeys::default()
    }
}

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn subject<'a>(resource: &'a Value, scope: &'a ScopeKeys) -> Subject<'a> {
    Subject {
        kind: ResourceKind::TaskDefinition,
        resource,
        tags: None,
        service: None,
        cluster: None,
        running: None,
        target: None,
        scope,
    }
}

fn ask(set: &PolicySet, resource: &Value, policy: &str) -> PolicyResult {
    let scope = keys("web");
    evaluate(set, &subject(resource, &scope), NOW).into_iter().find(|result| *result.policy == *policy).unwrap()
}

fn fixed(set: &PolicySet, resource: &Value) -> Result<Fixed, FixError> {
    let scope = keys("web");
    let subject = subject(resource, &scope);
    let results = evaluate(set, &subject, NOW);
    let fixes: Vec<&PlannedFix> = results.iter().flat_map(|result| &result.fixes).collect();
    apply_fixes(set, &subject, &results, &fixes, NOW)
}

fn document() -> Value {
    json!({"family": "web", "pidMode": "host", "memory": "512", "containerDefinitions": [
        {"name": "app", "image": "a:1", "privileged": true, "environment": [
            {"name": "KEY", "value": "x"}, {"name": "A", "value": ""}, {"name": "TOKEN", "value": "y"}]},
        {"name": "agent", "image": "b:1", "privileged": true, "future": {"x": 1}}
    ], "novel": []})
}

#[test]
fn a_policy_by_itself_audits_and_plans_its_fix() {
    let result = ask(&set(&[HOST_PID]), &document(), "host-pid");
    assert_eq!((result.verdict, result.enforcement), (Verdict::Fail, Enforcement::Audit));
    assert_eq!(result.findings[0].path, "/pidMode");
    assert_eq!(result.findings[0].message, "pidMode is `host`");
    assert!(result.findings[0].fixable);
    assert_eq!(result.fixes[0].edits, [PlannedEdit::Remove { path: "/pidMode".to_owned() }]);
    assert_eq!(ask(&set(&[HOST_PID]), &json!({}), "host-pid").verdict, Verdict::Pass);
}

#[test]
fn fixes_change_the_named_nodes_and_nothing_else() {
    let set = set(&[HOST_PID, PRIVILEGED]);
    let fixed = fixed(&set, &document()).unwrap();
    let mut wanted = document();
    wanted.as_object_mut().unwrap().shift_remove("pidMode");
    for container in wanted["containerDefinitions"].as_array_mut().unwrap() {
        container["privileged"] = json!(false);
    }
    assert_eq!(fixed.document.to_string(), wanted.to_string());
    let paths: Vec<&str> = fixed.diff.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["/pidMode", "/containerDefinitions/0/privileged", "/containerDefinitions/1/privileged"]);
    let entry = serde_json::to_value(&fixed.diff[0]).unwrap();
    assert_eq!(
        entry,
        json!({"document": "taskDefinition", "op": "remove", "path": "/pidMode", "from": "host", "policy": "host-pid"})
    );
}

#[test]
fn what_the_map_names_moves_to_secrets_and_the_rest_is_not_fixable() {
    let binding = r#"
kind: Binding
metadata: { name: b }
spec: { policies: [secrets], enforcement: enforce, params: { arns: { KEY: "arn:k" } } }
"#;
    let set = set(&[SECRETS, binding]);
    let result = ask(&set, &document(), "secrets");
    let fixable: Vec<bool> = result.findings.iter().map(|finding| finding.fixable).collect();
    assert_eq!(fixable, [true, false]);
    assert_eq!(result.findings[0].container.as_deref(), Some("app"));
    let guarded = ["/containerDefinitions/*/environment", "/containerDefinitions/*/secrets"];
    assert_eq!(result.fixes[0].guarded, guarded);
    let fixed = fixed(&set, &document()).unwrap();
    let app = &fixed.document["containerDefinitions"][0];
    assert_eq!(app["environment"], json!([{"name": "A", "value": ""}, {"name": "TOKEN", "value": "y"}]));
    assert_eq!(app["secrets"], json!([{"name": "KEY", "valueFrom": "arn:k"}]));
}

/// What an expression reads of tags and target is known wherever the expression stands.
#[track_caller]
fn check_seen(place: &str, member: &str, says: &dyn Fn(&str) -> Value) {
    for read in ["tags.team", "target.region", "target.labels.team"] {
        let mut policy = json!({ "kind": "Policy", "metadata": { "name": "p" }, "spec": {
            "title": "t", "severity": "low", "resource": "TaskDefinition",
            "checks": [{ "name": "c", "require": "false", "message": "m", "fix": [{ "edits": [{ "set": "/pidMode", "value": "task" }] }] }],
        }});
        policy.pointer_mut(place).unwrap().as_object_mut().unwrap().insert(member.to_owned(), says(read));
        let set = set(&[&policy.to_string()]);
        let ask = |name: &str| {
            let tags = BTreeMap::from([("team".to_owned(), name.to_owned())]);
            let target = TargetContext { account: "1".to_owned(), region: name.to_owned(), labels: tags.clone() };
            let (document, scope) = (document(), keys("web"));
            let subject = Subject { tags: Some(&tags), target: Some(&target), ..subject(&document, &scope) };
            let result = evaluate(&set, &subject, NOW).pop().unwrap();
            assert!(result.verdict != Verdict::Unknown && result.reason.is_none(), "{policy}: {result:#?}");
            result
        };
        assert_ne!(ask("payments"), ask("shop"), "{policy}");
    }
}

#[test]
fn tags_and_target_are_seen_wherever_an_expression_may_stand() {
    let is_payments = |read: &str| json!(format!("{read} == 'payments'"));
    let computed = |read: &str| json!({ "cel": read });
    check_seen("/spec", "when", &is_payments);
    check_seen("/spec/checks/0", "when", &is_payments);
    check_seen("/spec/checks/0", "require", &is_payments);
    check_seen("/spec/checks/0", "message", &|read| json!(format!("of {{{read}}}")));
    check_seen("/spec/checks/0/fix/0", "when", &is_payments);
    check_seen("/spec/checks/0/fix/0/edits/0", "value", &computed);
    let append =
        |read: &str| json!([{ "append": "/tags", "key": "key", "value": { "key": "k", "value": { "cel": read } } }]);
    check_seen("/spec/checks/0/fix/0", "edits", &append);
}

#[test]
fn the_identity_of_a_fix_is_not_the_documents() {
    let policies = set(&[SECRETS]);
    let id = |set: &PolicySet, document: &Value| {
        let binding = r#"
kind: Binding
metadata: { name: b }
spec: { policies: [secrets], params: { arns: { KEY: "arn:k", TOKEN: "arn:t" } } }
"#;
        let _ = set;
        ask(&super::tests::set(&[SECRETS, binding]), document, "secrets").fixes[0].id.clone()
    };
    let mut other = document();
    other["containerDefinitions"][0]["environment"].as_array_mut().unwrap().remove(0);
    assert_eq!(id(&policies, &document()), id(&policies, &other));
    let pid = ask(&set(&[HOST_PID]), &document(), "host-pid").fixes[0].id.clone();
    assert_ne!(pid, id(&policies, &document()));
    assert!(pid.0.starts_with("sha256:") && pid.0.len() == 71);
}

#[test]
fn the_strictest_binding_wins_and_contradictions_name_both() {
    let binding = |name: &str, more: &str| {
        format!("kind: Binding\nmetadata: {{ name: {name} }}\nspec: {{ policies: ['*'], {more} }}\n")
    };
    let strategies = [
        "kind: RolloutStrategy\nmetadata: { name: quick }\nspec: {}\n",
        "kind: RolloutStrategy\nmetadata: { name: slow }\nspec: {}\n",
    ];
    let audit = binding("a", "enforcement: audit");
    let enforce = binding("b", "enforcement: enforce, strategy: quick, scope: { include: { clusters: ['prod-*'] } }");
    let other = binding("c", "enforcement: propose, strategy: slow");
    let result = ask(&set(&[HOST_PID, &audit, &enforce, strategies[0]]), &document(), "host-pid");
    assert_eq!((result.enforcement, result.strategy.as_deref()), (Enforcement::Enforce, Some("quick")));
    assert_eq!(*result.bindings, ["a", "b"]);
    assert_eq!(result.conflict, None);
    let result = ask(&set(&[HOST_PID, &other, &enforce, strategies[0], strategies[1]]), &document(), "host-pid");
    let conflict = result.conflict.unwrap();
    assert!(conflict.message.contains("`b`") && conflict.message.contains("`c`"), "{conflict}");
    assert_eq!(result.verdict, Verdict::Fail, "how to roll out does not change what is found");
    let one = binding("one", "params: { names: [A] }");
    let two = binding("two", "params: { names: [B] }");
    let result = ask(&set(&[SECRETS, &one, &two]), &document(), "secrets");
    assert_eq!((result.verdict, result.reason.is_some()), (Verdict::Unknown, true), "nobody knows which params hold");
    let off = binding("silent", "enforcement: 'off'");
    let result = ask(&set(&[HOST_PID, &off]), &document(), "host-pid");
    assert_eq!((result.verdict, result.enforcement), (Verdict::Skip, Enforcement::Off));
}

#[test]
fn a_waived_element_is_shown_and_the_others_are_still_fixed() {
    let waiver = r#"
kind: Waiver
metadata: { name: agent }
spec: { policies: ["priv*"], scope: { include: { services: [web] } }, containers: ["age*"], owner: o, reason: r, expiresAt: 2026-10-01T00:00:00Z }
"#;
    let policies = set(&[PRIVILEGED, waiver]);
    let result = ask(&policies, &document(), "privileged");
    assert_eq!(result.verdict, Verdict::Fail);
    assert_eq!(result.findings[1].waiver.as_deref(), Some("agent"));
    assert_eq!(result.fixes[0].edits.len(), 1);
    let after = fixed(&policies, &document()).unwrap().document;
    assert_eq!(after["containerDefinitions"][1]["privileged"], json!(true));
    let result = ask(&policies, &after, "privileged");
    assert_eq!(result.verdict, Verdict::Waived);
    let waiver = result.waiver.unwrap();
    assert_eq!((waiver.covers, waiver.days_left > 0), (1, true));
    let scope = keys("web");
    let clean = json!({"containerDefinitions": [{"name": "agent", "image": "a"}]});
    let late = evaluate(&policies, &subject(&after, &scope), "2026-10-01T00:00:00Z".parse().unwrap());
    assert_eq!(late[0].verdict, Verdict::Fail, "expired at its very moment");
    assert_eq!(ask(&policies, &clean, "privileged").waivers[0].need, Need::Unneeded);
}

#[test]
fn offline_only_what_depends_on_an_unknown_key_is_unknown() {
    let waiver = |scope: &str| {
        format!(
            "kind: Waiver\nmetadata: {{ name: w }}\nspec: {{ policies: [host-pid], scope: {{ include: {scope} }}, owner: o, reason: r, expiresAt: 2030-01-01T00:00:00Z }}\n"
        )
    };
    let scope = ScopeKeys::default();
    let ask = |texts: &[&str], document: &Value| evaluate(&set(texts), &subject(document, &scope), NOW)[0].verdict;
    let unsure = waiver("{ clusters: [prod] }");
    assert_eq!(ask(&[HOST_PID], &document()), Verdict::Fail);
    assert_eq!(ask(&[HOST_PID, &unsure], &document()), Verdict::Unknown);
    assert_eq!(ask(&[HOST_PID, &unsure], &json!({})), Verdict::Pass);
    let off = "kind: Binding\nmetadata: { name: b }\nspec: { policies: [host-pid], enforcement: 'off', scope: { include: { clusters: [dev] } } }\n";
    assert_eq!(ask(&[HOST_PID, off], &document()), Verdict::Unknown);
    let enforce = off.replace("'off'", "enforce");
    assert_eq!(ask(&[HOST_PID, &enforce], &document()), Verdict::Fail);
}

#[test]
fn an_error_in_one_check_is_unknown_for_that_policy_alone() {
    let odd = json!({"pidMode": "host", "containerDefinitions": [{"name": "a", "privileged": "yes"}, {"name": "b", "privileged": true}]});
    let policies = set(&[HOST_PID, PRIVILEGED]);
    let result = ask(&policies, &odd, "privileged");
    assert_eq!((result.verdict, result.fixes.len(), result.findings.len()), (Verdict::Unknown, 0, 1));
    assert!(result.reason.unwrap().message.contains("/containerDefinitions/0"));
    assert_eq!(ask(&policies, &odd, "host-pid").verdict, Verdict::Fail);
    for wrong in [
        json!({"pidMode": ["host"]}),
        json!({"pidMode": 7}),
        json!([]),
        json!("x"),
        Value::Null,
        json!({"pidMode": {"plimsoll:unresolved": "Ref"}}),
    ] {
        assert_eq!(ask(&policies, &wrong, "host-pid").verdict, Verdict::Unknown, "{wrong}");
    }
    for wrong in [
        json!({"containerDefinitions": {}}),
        json!({"containerDefinitions": 3}),
        json!({"containerDefinitions": [null]}),
        json!({"containerDefinitions": ["x"]}),
    ] {
        assert_eq!(ask(&policies, &wrong, "privileged").verdict, Verdict::Unknown, "{wrong}");
    }
}

#[test]
fn fixes_that_fight_are_reported_with_both_names() {
    let why = fixed(
        &set(&[PRIVILEGED, RUN_AS]),
        &json!({"memory": "1", "containerDefinitions": [
        {"name": "a", "image": "i", "privileged": true}, {"name": "b", "image": "i"}]}),
    )
    .unwrap_err();
    let text = why.to_string();
    assert!(text.contains("needs-privilege") && text.contains("privileged"), "{text}");
    assert_eq!(why.reason().code, crate::model::ReasonCode::FixConflict);
    let both = "kind: Binding\nmetadata: { name: b }\nspec: { policies: ['*'] }\n";
    let other = json!({"memory": "1", "containerDefinitions": [{"name": "a", "image": "i", "privileged": true}]});
    let why = fixed(&set(&[PRIVILEGED, RUN_AS, both]), &other).unwrap_err();
    assert!(why.to_string().contains("`privileged` breaks policy `needs-privilege`"), "{why}");
    let audited = fixed(&set(&[PRIVILEGED, RUN_AS]), &other).unwrap();
    assert_eq!(audited.exposes, [("needs-privilege".to_owned(), "all".to_owned())]);
    let same = RUN_AS.replace("needs-privilege", "third").replace("value: true", "value: false");
    let why = fixed(&set(&[&same]), &document_of_one()).unwrap_err();
    assert!(why.to_string().contains("does not make it hold"), "{why}");
}

fn document_of_one() -> Value {
    json!({"memory": "1", "containerDefinitions": [{"name": "a", "image": "i"}]})
}

#[test]
fn a_fix_that_ecs_would_refuse_is_no_fix() {
    let windows = PRIVILEGED
        .replace("set: /privileged, value: false", "set: /linuxParameters, value: {}")
        .replace("!container.?privileged.orValue(false)", "has(container.linuxParameters)");
    let document = json!({"memory": "512", "runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}, "containerDefinitions": [{"name": "a", "image": "i"}]});
    let why = fixed(&set(&[&windows]), &document).unwrap_err();
    assert_eq!(why.reason().code, crate::model::ReasonCode::InvalidResult, "{why}");
}

#[test]
fn everything_wrong_is_reported_at_once_with_its_place() {
    let bad = r#"
kind: Policy
metadata: { name: bad }
spec:
  title: t
  severity: low
  resource: TaskDefinition
  when: "1 + 1"
  params: { n: { type: integer, default: x } }
  checks:
    - { name: a, forEach: /containerDefinitions/*/environment/*, as: [container], require: "true", message: m }
    - { name: a, require: "taskDefinition.x == params.m", message: "{nope}" }
    - { name: c, require: "taskDefinition.x == 1", message: m, at: x, fix: [{ edits: [{ set: "", value: 1 }, { remove: /x, on: zz }] }] }
    - { name: d, require: "true", message: m, fix: [{ when: "'a'", edits: [{ set: /x, value: { cel: "foo()" } }] }] }
"#;
    let found: Vec<String> = refused(&[bad]).into_iter().map(|(pointer, ..)| pointer).collect();
    assert_eq!(
        found,
        [
            "/when",
            "/params/n/default",
            "/checks/0/as",
            "/checks/1/name",
            "/checks/1/require",
            "/checks/1/message",
            "/checks/2/at",
            "/checks/2/fix/0/edits/0/set",
            "/checks/2/fix/0/edits/1/on",
            "/checks/3/fix/0/when",
            "/checks/3/fix/0/edits/0/value/cel",
        ]
    );
    let binding = "kind: Binding\nmetadata: { name: b }\nspec: { policies: [secrets], params: { names: 7, other: 1 }, strategy: none }\n";
    let found: Vec<String> = refused(&[SECRETS, binding]).into_iter().map(|(pointer, ..)| pointer).collect();
    assert_eq!(found, ["/strategy", "/params/names", "/params/other"]);
    assert_eq!(refused(&[HOST_PID, HOST_PID]).len(), 1);
    let lost = "kind: Binding\nmetadata: { name: b }\nspec: { policies: [nothing-*] }\n";
    assert_eq!(set(&[HOST_PID, lost]).warnings()[0].pointer, "/policies");
}

#[test]
fn the_hash_is_the_contents_and_not_their_order() {
    let hash = |texts: &[&str]| set(texts).hash().to_owned();
    assert_eq!(hash(&[HOST_PID, PRIVILEGED]), hash(&[PRIVILEGED, HOST_PID]));
    assert_ne!(hash(&[HOST_PID]), hash(&[HOST_PID, PRIVILEGED]));
    assert_ne!(hash(&[HOST_PID]), hash(&[&HOST_PID.replace("high", "low")]));
    assert_eq!(set(&[HOST_PID, PRIVILEGED]).len(), 2);
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop::sample::select(vec!["", "host", "KEY", "TOKEN", "x"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let name = prop::sample::select(vec![
            "pidMode",
            "containerDefinitions",
            "environment",
            "name",
            "value",
            "privileged",
            "secrets",
            "image",
            "memory",
            "other",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name, inner), 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

/// Task definitions as ECS would have them, with members it does not have yet.
fn task_definition() -> impl Strategy<Value = Value> {
    let variable = (prop::sample::select(vec!["KEY", "TOKEN", "A", "B"]), "[a-z]{0,3}")
        .prop_map(|(name, value)| json!({"value": value, "name": name}));
    let container = (
        prop::option::of(any::<bool>()),
        prop::option::of(prop::collection::vec(variable, 0..5)),
        prop::option::of(json_value()),
        "[a-z]{1,4}",
    )
        .prop_map(|(privileged, environment, novel, name)| {
            let mut container = json!({"name": name, "image": "i"});
            for (member, value) in [
                ("novel", novel),
                ("privileged", privileged.map(Value::from)),
                ("environment", environment.map(Value::Array)),
            ] {
                if let Some(value) = value {
                    container[member] = value;
                }
            }
            container
        });
    (
        prop::collection::vec(container, 1..4),
        prop::option::of(prop::sample::select(vec!["host", "task"])),
        prop::option::of(json_value()),
    )
        .prop_map(|(containers, pid_mode, novel)| {
            let mut document = json!({"family": "f", "memory": "512"});
            if let Some(novel) = novel {
                document["novel"] = novel;
            }
            document["containerDefinitions"] = Value::Array(containers);
            if let Some(mode) = pid_mode {
                document["pidMode"] = mode.into();
            }
            document
        })
}

fn law() -> PolicySet {
    let binding =
        "kind: Binding\nmetadata: { name: b }\nspec: { policies: [secrets], params: { arns: { KEY: k, TOKEN: t } } }\n";
    set(&[HOST_PID, PRIVILEGED, SECRETS, binding])
}

proptest! {
    #[test]
    fn the_law_of_fixes(document in task_definition()) {
        let set = law();
        let scope = keys("web");
        let subject = subject(&document, &scope);
        let results = evaluate(&set, &subject, NOW);
        let fixes: Vec<&PlannedFix> = results.iter().flat_map(|result| &result.fixes).collect();
        let fixed = apply_fixes(&set, &subject, &results, &fixes, NOW).unwrap();
        let after = evaluate(&set, &Subject { resource: &fixed.document, ..subject }, NOW);
        for result in &after {
            prop_assert_eq!(result.verdict, Verdict::Pass, "{:?} of {}", result, fixed.document);
        }
        prop_assert_eq!(fixed.diff.is_empty(), fixed.document == document);
        // Whatever was not named is there, in its order.
        let mut expected = document.clone();
        expected.as_object_mut().unwrap().shift_remove("pidMode");
        let mut got = fixed.document.clone();
        got.as_object_mut().unwrap().shift_remove("pidMode");
        for document in [&mut expected, &mut got] {
            for container in document["containerDefinitions"].as_array_mut().unwrap() {
                for member in ["privileged", "environment", "secrets"] {
                    container.as_object_mut().unwrap().shift_remove(member);
                }
            }
        }
        prop_assert_eq!(got.to_string(), expected.to_string());
    }

    #[test]
    fn the_diff_is_a_json_patch(document in task_definition()) {
        let fixed = fixed(&law(), &document).unwrap();
        let mut patched = document;
        for entry in &fixed.diff {
            let tokens = pointer::tokens(&entry.path).unwrap();
            let (last, parents) = tokens.split_last().unwrap();
            let parent = parents.iter().fold(&mut patched, |node, token| pointer::child_mut(node, token).unwrap());
            match (parent, &entry.to) {
                (Value::Object(members), Some(to)) => {
                    prop_assert_eq!(members.insert(last.clone(), to.clone()), entry.from.clone());
                }
                (Value::Object(members), None) => prop_assert_eq!(members.shift_remove(last), entry.from.clone()),
                (Value::Array(items), Some(to)) => items.insert(last.parse().unwrap(), to.clone()),
                (Value::Array(items), None) => prop_assert_eq!(Some(items.remove(last.parse().unwrap())), entry.from.clone()),
                (other, _) => panic!("{other}"),
            }
        }
        prop_assert_eq!(patched.to_string(), fixed.document.to_string());
    }

    #[test]
    fn wrong_types_everywhere_never_panic_and_never_lie(document in json_value()) {
        let set = law();
        let scope = keys("web");
        let subject = subject(&document, &scope);
        let results = evaluate(&set, &subject, NOW);
        prop_assert_eq!(results.len(), 3);
        for result in &results {
            prop_assert_eq!(result.verdict == Verdict::Unknown, result.reason.is_some() && result.findings.is_empty() || result.verdict == Verdict::Unknown);
            prop_assert!(result.verdict == Verdict::Fail || result.fixes.is_empty());
        }
        let fixes: Vec<&PlannedFix> = results.iter().flat_map(|result| &result.fixes).collect();
        let _ = apply_fixes(&set, &subject, &results, &fixes, NOW);
    }
}
