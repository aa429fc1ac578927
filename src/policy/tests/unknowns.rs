//! What cannot be known is unknown: what is not there, not observed, or too much.

use super::*;

#[test]
fn a_task_definition_in_which_no_container_is_found_is_no_pass() {
    let counted = HOST_PID.replace("host-pid", "counted").replace(
        "taskDefinition.?pidMode.orValue('') != 'host'",
        "taskDefinition.?containerDefinitions.orValue([]).all(container, has(container.user))",
    );
    assert!(counted.contains("containerDefinitions"), "the policy has changed: {counted}");
    let policies = set(&[HOST_PID, PRIVILEGED, &counted]);
    for none in [
        json!({"family": "web"}),
        json!({"family": "web", "containerDefinition": [{"name": "app", "privileged": true}]}),
        json!({"family": "web", "containerDefinitions": null}),
        json!({"family": "web", "containerDefinitions": []}),
        json!({"family": "web", "containerDefinitions": [null]}),
    ] {
        for policy in ["privileged", "counted"] {
            let result = ask(&policies, &none, policy);
            assert_eq!(result.verdict, Verdict::Unknown, "{policy}: {none}");
            let reason = result.reason.unwrap();
            assert!(reason.message.contains("a task definition has at least one container"), "{reason}");
        }
        assert_eq!(ask(&policies, &none, "host-pid").verdict, Verdict::Pass, "{none}");
    }
}

#[test]
fn target_tags_service_and_cluster_can_be_read_and_are_unknown_where_not_observed() {
    let policy = r#"
kind: Policy
metadata: { name: p }
spec:
  title: t
  severity: low
  resource: TaskDefinition
  checks:
    - { name: a, require: "tags.team == 'x' && target.region == 'r' && target.labels.env == 'prod'", message: m }
    - { name: b, require: "service.enableExecuteCommand && cluster.status == 'ACTIVE'", message: m }
"#;
    let set = set(&[policy]);
    let (document, service, cluster) = (json!({}), json!({"enableExecuteCommand": true}), json!({"status": "ACTIVE"}));
    let tags = BTreeMap::from([("team".to_owned(), "x".to_owned())]);
    let target = TargetContext {
        account: "1".to_owned(),
        region: "r".to_owned(),
        labels: BTreeMap::from([("env".to_owned(), "prod".to_owned())]),
    };
    let scope = keys("web");
    let full = Subject {
        tags: Some(&tags),
        service: Some(&service),
        cluster: Some(&cluster),
        target: Some(&target),
        ..subject(&document, &scope)
    };
    assert_eq!(evaluate(&set, &full, NOW)[0].verdict, Verdict::Pass);
    for part in [Subject { tags: None, ..full }, Subject { service: None, ..full }, Subject { target: None, ..full }] {
        let result = &evaluate(&set, &part, NOW)[0];
        assert_eq!(result.verdict, Verdict::Unknown);
        assert_eq!(result.reason.as_ref().unwrap().code, crate::model::ReasonCode::NotObserved);
    }
}

#[test]
fn a_document_with_too_much_in_it_is_unknown_and_soon() {
    let container = json!({"name": "a", "image": "i", "privileged": true});
    let many = |count: usize| json!({"containerDefinitions": vec![container.clone(); count]});
    let policies = set(&[PRIVILEGED]);
    let all = ask(&policies, &many(1000), "privileged");
    assert_eq!((all.verdict, all.findings.len(), all.fixes[0].edits.len()), (Verdict::Fail, 1000, 1000));
    let result = ask(&policies, &many(100_000), "privileged");
    assert_eq!((result.verdict, result.fixes.len()), (Verdict::Unknown, 0));
    assert!(result.findings.len() < 50_000, "memory is bounded: {}", result.findings.len());
    let reason = result.reason.unwrap().message;
    assert!(reason.contains("too much") && reason.len() < 200, "{reason}");
    let nothing = json!({"containerDefinitions": vec![Value::Null; 300_000]});
    assert_eq!(ask(&policies, &nothing, "privileged").verdict, Verdict::Unknown);
}
