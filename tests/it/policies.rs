//! The catalogue: complete, tested by its own examples, and lawful on documents as they are found in the wild.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use plimsoll::model::spec::{BindingSpec, Enforcement, Metadata, Object, PolicySpec, ResourceKind, Spec};
use plimsoll::model::{Timestamp, Verdict};
use plimsoll::policy::{
    FixError, PlannedFix, PolicySet, ScopeKeys, Subject, TargetContext, apply_fixes, builtin, evaluate, run_examples,
};
use serde_json::{Map, Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

fn objects() -> Vec<(&'static str, Object)> {
    let mut objects = Vec::new();
    for file in builtin::FILES {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(file.text).unwrap_or_else(|why| panic!("{}: {why}", file.path));
        for document in documents {
            let object = serde_json::from_value(document).unwrap_or_else(|why| panic!("{}: {why}", file.path));
            objects.push((file.path, object));
        }
    }
    objects
}

fn policies() -> Vec<(&'static str, String, PolicySpec)> {
    let policies = objects().into_iter().filter_map(|(path, object)| match object.spec {
        Spec::Policy(spec) => Some((path, object.metadata.name, spec)),
        _ => None,
    });
    policies.collect()
}

fn set(objects: &[Object]) -> PolicySet {
    PolicySet::compile(objects).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

#[test]
fn every_file_of_the_catalogue_is_built_in() {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let below = path.strip_prefix(self::folder()).unwrap();
                found.insert(below.to_str().unwrap().replace('\\', "/"));
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&folder(), &mut found);
    let built_in: Vec<&str> = builtin::FILES.iter().map(|file| file.path).collect();
    assert_eq!(built_in, found.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_whole_catalogue_compiles_together_without_a_warning() {
    let objects: Vec<Object> = objects().into_iter().map(|(_, object)| object).collect();
    let set = set(&objects);
    assert_eq!(set.warnings(), []);
    for (name, binding) in set.bindings() {
        assert!(binding.enforcement <= Enforcement::Audit, "`{name}` would change a fleet by itself");
    }
}

#[test]
fn every_control_in_force_and_the_retired_one_are_there() {
    let found: BTreeSet<String> = policies()
        .into_iter()
        .flat_map(|(_, _, spec)| spec.controls)
        .filter(|control| control.starts_with("SecurityHub/"))
        .collect();
    let wanted: BTreeSet<String> = [1, 2, 3, 4, 5, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]
        .into_iter()
        .map(|number| format!("SecurityHub/ECS.{number}"))
        .collect();
    assert_eq!(found, wanted);
    for (path, name, spec) in policies() {
        if let Some(number) = path.strip_prefix("security-hub/ecs-") {
            let number = number.strip_suffix(".yaml").unwrap();
            assert_eq!(name, format!("security-hub-ecs-{number}"));
            assert_eq!(spec.controls.first(), Some(&format!("SecurityHub/ECS.{number}")));
        } else {
            assert_eq!(path, format!("hardening/{name}.yaml"));
        }
    }
}

#[test]
fn every_policy_passes_its_own_examples() {
    let mut wrong = Vec::new();
    for (path, name, spec) in policies() {
        let outcomes = run_examples(&name, &spec).unwrap_or_else(|errors| panic!("{path}: {errors:#?}"));
        for outcome in outcomes.iter().filter(|outcome| !outcome.passed()) {
            wrong.push(format!(
                "{path}, `{}`: {}",
                outcome.example,
                outcome.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_policy_has_a_passing_and_a_failing_example_and_fails_every_check() {
    for (path, name, spec) in policies() {
        let verdicts: Vec<String> =
            spec.examples.iter().map(|example| format!("{:?}", example.expect).to_lowercase()).collect();
        for wanted in ["pass", "fail"] {
            assert!(verdicts.iter().any(|verdict| verdict == wanted), "{path} has no example that must {wanted}");
        }
        let failed: BTreeSet<String> =
            run_examples(&name, &spec).unwrap().into_iter().flat_map(|outcome| outcome.failed_checks).collect();
        for check in &spec.checks {
            assert!(failed.contains(&check.name), "{path}: no example fails check `{}`", check.name);
            if !check.fix.is_empty() {
                let fixed = spec.examples.iter().any(|example| example.fixed.is_some());
                assert!(fixed, "{path}: no example shows the fix of `{}`", check.name);
            }
        }
        assert!(spec.description.len() > 40, "{path} does not say why it matters");
    }
}

/// A fix that would be an outage when enforced blindly needs a param; those that need none are few, and named here.
#[test]
fn only_fixes_that_hardly_break_anything_need_no_param() {
    let without: BTreeSet<String> = policies()
        .into_iter()
        .filter(|(_, _, spec)| {
            spec.checks
                .iter()
                .flat_map(|check| &check.fix)
                .any(|fix| !fix.when.as_deref().unwrap_or("").contains("params."))
        })
        .map(|(_, name, _)| name)
        .filter(|name| name.starts_with("security-hub-"))
        .collect();
    let wanted = [
        "security-hub-ecs-10",
        "security-hub-ecs-12",
        "security-hub-ecs-18",
        "security-hub-ecs-3",
        "security-hub-ecs-4",
    ];
    assert_eq!(without.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
}

/// The classes of ecs-facts §1.2, but for ECS.8, whose fix moves what a map names, and ECS.15, whose fix deploys.
#[test]
fn every_policy_says_how_far_it_may_be_trusted_with_a_fix() {
    let mut classes = BTreeMap::new();
    for (path, object) in objects_of_policies() {
        let class = object.metadata.labels.get("remediation").unwrap_or_else(|| panic!("{path} has no class")).clone();
        let Spec::Policy(spec) = &object.spec else { continue };
        let fixable = spec.checks.iter().any(|check| !check.fix.is_empty());
        assert!(["auto", "opt-in", "report"].contains(&class.as_str()), "{path}: {class}");
        assert_eq!(fixable, class != "report", "{path} is `{class}`");
        let needs_param =
            |fix: &plimsoll::model::spec::FixSpec| fix.when.as_deref().is_some_and(|when| when.contains("params."));
        let opted_in = spec.checks.iter().flat_map(|check| &check.fix).all(needs_param);
        assert!(class != "opt-in" || opted_in, "{path} is opt-in and has a fix that nobody has to ask for");
        if let Some(number) = object.metadata.name.strip_prefix("security-hub-ecs-") {
            classes.insert(number.parse::<u32>().unwrap(), class);
        }
    }
    let of = |wanted: &str| -> Vec<u32> {
        classes.iter().filter(|(_, class)| *class == wanted).map(|(number, _)| *number).collect()
    };
    assert_eq!(of("auto"), [3, 4, 10, 12, 13, 14, 18]);
    assert_eq!(of("opt-in"), [1, 2, 5, 8, 9, 15, 20]);
    assert_eq!(of("report"), [16, 17, 19, 21]);
}

/// Related requirements as Security Hub's page lists them (ecs-facts §1.1).
#[test]
fn every_control_names_its_frameworks() {
    let identity = "AC-2(1) AC-3 AC-3(15) AC-3(7) AC-5 AC-6";
    let wanted: BTreeMap<u32, (&str, &str)> = BTreeMap::from([
        (1, (identity, "")),
        (
            2,
            (
                "AC-21 AC-3 AC-3(7) AC-4 AC-4(21) AC-6 SC-7 SC-7(11) SC-7(16) SC-7(20) SC-7(21) SC-7(3) SC-7(4) SC-7(9)",
                "1.4.4",
            ),
        ),
        (3, ("CA-9(1) CM-2", "")),
        (4, (identity, "")),
        (5, (identity, "")),
        (8, ("CA-9(1) CM-2", "8.6.2")),
        (9, ("AC-4(26) AU-10 AU-12 AU-2 AU-3 AU-6(3) AU-6(4) CA-7 SC-7(9) SI-7(8)", "")),
        (10, ("SI-2 SI-2(2) SI-2(4) SI-2(5)", "6.3.3")),
        (12, ("AU-6(3) AU-6(4) CA-7 SI-2", "")),
        (16, ("", "1.4.4")),
        (17, (identity, "")),
    ]);
    for (path, name, spec) in policies() {
        let Some(number) = name.strip_prefix("security-hub-ecs-") else { continue };
        let (nist, pci) = wanted.get(&number.parse().unwrap()).copied().unwrap_or_default();
        let nist = nist.split_whitespace().map(|control| format!("NIST.800-53.r5/{control}"));
        let pci = pci.split_whitespace().map(|control| format!("PCI-DSS.4.0.1/{control}"));
        let all: Vec<String> = [format!("SecurityHub/ECS.{number}")].into_iter().chain(nist).chain(pci).collect();
        assert_eq!(spec.controls, all, "{path}");
    }
}

/// Task definitions to hold the laws against: the project's own rich and odd ones, and those of `PLIMSOLL_CORPUS`.
pub(crate) fn documents() -> Vec<(String, Value)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/task-definitions")];
    #[expect(clippy::disallowed_methods, reason = "a test may look where the corpus is")]
    folders.extend(std::env::var("PLIMSOLL_CORPUS").ok().map(PathBuf::from));
    let mut documents = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display())) {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Ok(value) = serde_json::from_slice::<Value>(&std::fs::read(&path).unwrap()) else { continue };
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let inner = value.get("taskDefinition").cloned().unwrap_or(value);
            match inner {
                Value::Array(items) => documents.extend(items.into_iter().map(|item| (name.clone(), item))),
                one => documents.push((name, one)),
            }
        }
    }
    assert!(documents.len() >= 3, "the fixtures are missing");
    documents
}

/// The tags that stand in a document.
pub(crate) fn tags_of(document: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    document["tags"].as_array().into_iter().flatten().map(|tag| (text(&tag["key"]), text(&tag["value"]))).collect()
}

/// Every policy enforced, with params that turn every fix on.
pub(crate) fn everything_on(families: BTreeSet<String>) -> Vec<Object> {
    let users: Map<String, Value> = families.into_iter().map(|family| (family, json!("1000:1000"))).collect();
    let params = json!({
        "users": users, "egressWithoutPublicIp": true, "makeReadonly": true, "tmpVolume": "plimsoll-tmp",
        "secretArns": { "AWS_ACCESS_KEY_ID": "arn:aws:ssm:eu-west-1:123456789012:parameter/k",
                        "AWS_SECRET_ACCESS_KEY": "arn:aws:ssm:eu-west-1:123456789012:parameter/s" },
        "logGroupPrefix": "/ecs/", "keep": { "*": ["NET_BIND_SERVICE"] }, "fixIt": true, "pinRunning": true, "value": "enhanced",
        "tags": { "team": "payments", "env": "prod" }, "values": { "env": "prod|dev", "team": ".+" },
    });
    let mut objects: Vec<Object> = Vec::new();
    for (_, object) in objects_of_policies() {
        if let Spec::Policy(spec) = &object.spec {
            let params: Map<String, Value> = params
                .as_object()
                .unwrap()
                .iter()
                .filter(|(name, _)| spec.params.contains_key(*name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            let binding = BindingSpec {
                policies: vec![object.metadata.name.clone()],
                enforcement: Enforcement::Enforce,
                params,
                ..BindingSpec::default()
            };
            let metadata = Metadata { name: format!("on-{}", object.metadata.name), ..Metadata::default() };
            objects.push(Object { metadata, spec: Spec::Binding(binding) });
        }
        objects.push(object);
    }
    objects
}

fn objects_of_policies() -> Vec<(&'static str, Object)> {
    objects().into_iter().filter(|(_, object)| matches!(object.spec, Spec::Policy(_))).collect()
}

#[test]
fn on_every_document_verdicts_are_verdicts_and_fixes_are_lawful() {
    let service = json!({"serviceName": "web", "launchType": "EC2", "enableExecuteCommand": false});
    let running = json!({"app": format!("sha256:{}", "a".repeat(64))});
    let cluster = json!({"clusterName": "prod", "settings": []});
    let target =
        TargetContext { account: "123456789012".to_owned(), region: "eu-west-1".to_owned(), labels: BTreeMap::new() };
    let scope = ScopeKeys::default();
    let now = Timestamp::EPOCH;
    let documents = documents();
    let families = documents.iter().filter_map(|(_, document)| document.get("family")?.as_str());
    let set = set(&everything_on(families.map(str::to_owned).collect()));
    let mut changed = 0;
    for (name, document) in documents {
        let tags = tags_of(&document);
        let subject = Subject {
            kind: ResourceKind::TaskDefinition,
            resource: &document,
            tags: Some(&tags),
            service: Some(&service),
            cluster: Some(&cluster),
            running: Some(&running),
            target: Some(&target),
            scope: &scope,
        };
        let results = evaluate(&set, &subject, now);
        let together: Vec<&PlannedFix> = results.iter().flat_map(|result| &result.fixes).collect();
        apply_fixes(&set, &subject, &results, &together, now).unwrap_or_else(|why| panic!("{name}: {why}"));
        for result in &results {
            assert!(result.verdict != Verdict::Unknown || result.reason.is_some(), "{name}: {result:?}");
            for finding in &result.findings {
                assert!(finding.path.is_empty() || finding.path.starts_with('/'), "{name}: {finding:?}");
            }
            // Each policy by itself: whatever is fixable is fixed, and lawfully.
            let fixes: Vec<&PlannedFix> = result.fixes.iter().collect();
            if fixes.is_empty() {
                continue;
            }
            match apply_fixes(&set, &subject, &results, &fixes, now) {
                Ok(fixed) => {
                    assert!(!fixed.diff.is_empty(), "{name}: {}", result.policy);
                    changed += fixed.diff.len();
                    let tags = tags_of(&fixed.document);
                    let again =
                        evaluate(&set, &Subject { resource: &fixed.document, tags: Some(&tags), ..subject }, now);
                    let again = again.iter().find(|again| again.policy == result.policy).unwrap();
                    assert!(again.fixes.is_empty(), "{name}: {again:?}");
                }
                // The retired control passes what is openly privileged, and finds its user once it is not.
                Err(FixError::Breaks { policy, by, .. })
                    if policy == "security-hub-ecs-1" && by == ["security-hub-ecs-4"] => {}
                Err(why) => panic!("{name}: {}: {why}", result.policy),
            }
        }
    }
    assert!(changed > 0, "no document was fixed at all");
}

#[test]
fn a_task_definition_in_which_no_container_is_found_passes_nothing_that_goes_over_containers() {
    let of_containers = |spec: &PolicySpec| {
        let over = |path: &Option<String>| path.as_ref().is_some_and(|path| path.starts_with("/containerDefinitions"));
        spec.checks.iter().any(|check| over(&check.for_each) || check.require.contains("containerDefinitions"))
    };
    let counted = json!({ "apiVersion": "plimsoll/v1", "kind": "Policy", "metadata": { "name": "counted" }, "spec": {
        "title": "Every container has a user", "severity": "low", "resource": "TaskDefinition",
        "checks": [{ "name": "users", "message": "one has none",
            "require": "taskDefinition.?containerDefinitions.orValue([]).all(container, has(container.user))" }],
    }});
    let mut objects: Vec<Object> = objects_of_policies().into_iter().map(|(_, object)| object).collect();
    objects.push(serde_json::from_value(counted).unwrap());
    let set = set(&objects);
    let (scope, tags) = (ScopeKeys::default(), BTreeMap::new());
    for none in [
        json!({"family": "web"}),
        json!({"family": "web", "containerDefinition": [{"name": "app", "image": "a", "privileged": true}]}),
        json!({"family": "web", "containerDefinitions": null}),
        json!({"family": "web", "containerDefinitions": []}),
        json!({"family": "web", "containerDefinitions": [null]}),
    ] {
        let subject = Subject {
            kind: ResourceKind::TaskDefinition,
            resource: &none,
            tags: Some(&tags),
            service: None,
            cluster: None,
            running: None,
            target: None,
            scope: &scope,
        };
        let mut unknown = 0;
        for result in evaluate(&set, &subject, Timestamp::EPOCH) {
            let (_, spec) = set.policies().find(|(name, _)| **name == *result.policy).unwrap();
            if !of_containers(spec) {
                assert_ne!(result.verdict, Verdict::Unknown, "{}: {none}", result.policy);
            } else if result.verdict == Verdict::Unknown {
                let why = result.reason.unwrap().message;
                assert!(why.contains("a task definition has at least one container"), "{}: {why}", result.policy);
                unknown += 1;
            } else {
                assert!(result.verdict == Verdict::Skip && spec.when.is_some(), "{}: {none}", result.policy);
            }
        }
        assert!(unknown > 15, "{unknown}: {none}");
    }
}

/// What `policies/README.md` says of a policy.
fn row(path: &str, name: &str, class: &str, spec: &PolicySpec) -> String {
    let control = spec.controls.first().map_or("", |control| control.strip_prefix("SecurityHub/").unwrap_or(control));
    let fixable = spec.checks.iter().any(|check| !check.fix.is_empty());
    let by_param = fixable
        && spec
            .checks
            .iter()
            .flat_map(|check| &check.fix)
            .all(|fix| fix.when.as_deref().is_some_and(|when| when.contains("params.")));
    let fix = match (fixable, by_param) {
        (false, _) => "no",
        (true, true) => "with a param",
        (true, false) => "yes",
    };
    let text = spec.description.replace('\n', " ");
    let breaks = ["may break: ", "It costs: ", "may cost: "].iter().find_map(|mark| {
        let (_, rest) = text.split_once(mark)?;
        Some(rest.split_once(". ").map_or(rest, |(sentence, _)| sentence).trim().trim_end_matches('.').to_owned())
    });
    let breaks = if fixable { breaks.unwrap_or_default() } else { String::new() };
    let guarded: BTreeSet<String> = run_examples(name, spec)
        .unwrap()
        .into_iter()
        .flat_map(|outcome| outcome.guarded)
        .map(|p| format!("`{p}`"))
        .collect();
    let guarded = guarded.into_iter().collect::<Vec<_>>().join(" ");
    let severity = spec.severity.as_str();
    let resource = format!("{:?}", spec.resource);
    format!("| [`{name}`]({path}) | {control} | {class} | {resource} | {severity} | {fix} | {breaks} | {guarded} |")
}

#[test]
fn the_table_of_the_readme_is_the_catalogue() {
    let mut table = vec![
        "| policy | control | class | resource | severity | fix | what its fix may break | `--allow-edit` |".to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    let mut policies = policies();
    let classes: BTreeMap<String, String> = objects_of_policies()
        .into_iter()
        .map(|(_, object)| (object.metadata.name, object.metadata.labels["remediation"].clone()))
        .collect();
    let class_of = |name: &str| classes[name].as_str();
    policies.sort_by_key(|(path, name, _)| {
        let number = name.rsplit('-').next().and_then(|number| number.parse::<u32>().ok()).unwrap_or(0);
        (!path.starts_with("security-hub/"), number, name.clone())
    });
    table.extend(policies.iter().map(|(path, name, spec)| row(path, name, class_of(name), spec)));
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let found: Vec<&str> = readme.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(found.join("\n"), table.join("\n"), "the table should be:\n{}\n", table.join("\n"));
}
