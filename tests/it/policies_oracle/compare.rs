//! Verdict and pointers of every policy that has an oracle, on documents as they are found and on generated ones.

use plimsoll::model::spec::{Object, ResourceKind, Spec};
use plimsoll::model::{Timestamp, Verdict};
use plimsoll::policy::{PolicySet, ScopeKeys, Subject, builtin, evaluate};
use proptest::prelude::*;
use serde_json::Value;

use super::documents;
use super::hardening;
use super::security_hub::{Oracle, control};

fn catalogue() -> PolicySet {
    let mut objects: Vec<Object> = Vec::new();
    for file in builtin::FILES {
        let read: Vec<Value> = serde_saphyr::from_multiple(file.text).unwrap();
        objects.extend(read.into_iter().map(|document| serde_json::from_value(document).unwrap()));
    }
    objects.retain(|object| matches!(object.spec, Spec::Policy(_)));
    PolicySet::compile(&objects).unwrap()
}

fn oracle(policy: &str, resource: &Value) -> Option<Oracle> {
    match policy.strip_prefix("security-hub-ecs-") {
        Some(number) => Some(control(number.parse().unwrap(), resource)),
        None => hardening::policy(policy, resource),
    }
}

/// Holds every policy about this kind of resource to its oracle. How many there were.
#[track_caller]
fn compare(set: &PolicySet, kind: ResourceKind, name: &str, resource: &Value) -> usize {
    let scope = ScopeKeys::default();
    let tags = crate::policies::tags_of(resource);
    let subject = Subject {
        kind,
        resource,
        tags: Some(&tags),
        service: None,
        cluster: None,
        running: None,
        target: None,
        scope: &scope,
    };
    let mut compared = 0;
    for result in evaluate(set, &subject, Timestamp::EPOCH) {
        let Some(wanted) = oracle(&result.policy, resource) else { continue };
        let (verdict, paths) = match wanted {
            Oracle::Skip => (Verdict::Skip, Vec::new()),
            Oracle::Unknown => (Verdict::Unknown, Vec::new()),
            Oracle::Fails(paths) if paths.is_empty() => (Verdict::Pass, paths),
            Oracle::Fails(paths) => (Verdict::Fail, paths),
        };
        assert_eq!(result.verdict, verdict, "{name}: {}: {:?}: {resource}", result.policy, result.reason);
        let found: Vec<String> = result.findings.iter().map(|finding| finding.path.clone()).collect();
        assert_eq!(found, paths, "{name}: {}: {resource}", result.policy);
        compared += 1;
    }
    compared
}

#[test]
fn the_catalogue_agrees_with_the_oracle_on_documents_as_they_are_found() {
    let set = catalogue();
    for (name, document) in crate::policies::documents() {
        compare(&set, ResourceKind::TaskDefinition, &name, &document);
    }
}

#[test]
fn every_control_has_an_oracle_and_most_hardening_policies_have() {
    let set = catalogue();
    let without: Vec<&str> =
        set.policies().map(|(name, _)| name).filter(|name| oracle(name, &serde_json::json!({})).is_none()).collect();
    // What needs params to say anything, or says it of text.
    assert_eq!(without, ["image-registry-allowed", "log-group-name", "secrets-by-value", "tags-required"]);
}

#[test]
fn the_catalogue_agrees_with_the_oracle_on_task_definitions() {
    let set = catalogue();
    proptest!(|(document in documents::document())| {
        assert!(compare(&set, ResourceKind::TaskDefinition, "generated", &document) > 25);
    });
}

#[test]
fn the_catalogue_agrees_with_the_oracle_on_services() {
    let set = catalogue();
    proptest!(|(service in documents::service())| {
        assert_eq!(compare(&set, ResourceKind::Service, "generated", &service), 5);
    });
}

#[test]
fn the_catalogue_agrees_with_the_oracle_on_clusters() {
    let set = catalogue();
    proptest!(|(cluster in documents::cluster())| {
        assert_eq!(compare(&set, ResourceKind::Cluster, "generated", &cluster), 4);
    });
}

#[test]
fn the_catalogue_agrees_with_the_oracle_on_task_sets_and_capacity_providers() {
    let set = catalogue();
    proptest!(|(task_set in documents::task_set(), provider in documents::capacity_provider())| {
        assert_eq!(compare(&set, ResourceKind::TaskSet, "generated", &task_set), 1);
        assert_eq!(compare(&set, ResourceKind::CapacityProvider, "generated", &provider), 1);
    });
}
