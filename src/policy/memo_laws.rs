//! What is remembered is what would be said: the law, and what it saves.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::observed::TaskDefinition;
use crate::model::packed::{PackedDefinition, Packer};
use crate::model::spec::{LaunchType, Object, ResourceKind, Spec};
use crate::model::{TaskDefinitionArn, Timestamp, Verdict};

/// When the first Waiver of `waivers` ends.
const END: i64 = 1_800_000_000_000;

fn of_text(text: &str) -> Vec<Object> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    documents.into_iter().map(|document| serde_json::from_value(document).unwrap()).collect()
}

fn catalogue() -> Vec<Object> {
    let objects = builtin::FILES.iter().flat_map(|file| of_text(file.text));
    objects.filter(|object| matches!(object.spec, Spec::Policy(_))).collect()
}

/// Policies that read what the catalogue does not: maps as a whole, elements by a computed index, cluster and target.
const ODD: &str = r#"
kind: Policy
metadata: { name: odd-task }
spec:
  title: t
  severity: low
  resource: TaskDefinition
  params: { key: { default: owner } }
  checks:
    - name: around
      when: "has(service.deployments) && cluster.?status.orValue('') != 'INACTIVE'"
      require: "service.deployments[size(service.deployments) - 1].?rolloutState.orValue('') != 'FAILED'"
      message: "{target.region}"
    - name: labels
      require: "tags[?params.key].orValue('') != target.?labels.?owner.orValue('')"
      message: "{service.serviceName}"
---
kind: Policy
metadata: { name: odd-service }
spec:
  title: t
  severity: low
  resource: Service
  checks:
    - name: whole
      require: "service.?placement == service.?other"
      message: m
    - name: each
      forEach: /loadBalancers/*
      as: [balancer]
      require: "balancer.containerPort > 0"
      message: "{balancer.containerName}"
      fix: [{ edits: [{ set: /containerPort, value: 80 }, { set: /propagateTags, on: service, value: SERVICE }] }]
"#;

const BINDINGS: &str = r#"
kind: Binding
metadata: { name: all }
spec: { policies: ['*'], enforcement: enforce, scope: { exclude: { tags: { plimsoll: ['off'] } } } }
---
kind: Binding
metadata: { name: fargate }
spec: { policies: ['odd-*'], enforcement: propose, scope: { include: { launchTypes: [FARGATE] } }, params: { key: team } }
"#;

const WAIVERS: &str = r#"
kind: Waiver
metadata: { name: soon }
spec: { policies: ['security-hub-*'], owner: o, reason: r, expiresAt: 2027-01-15T08:00:00Z }
---
kind: Waiver
metadata: { name: later }
spec: { policies: ['*'], scope: { include: { tags: { team: [a] } } }, containers: [app], owner: o, reason: r, expiresAt: 2027-03-01T00:00:00Z }
"#;

/// Read once for all cases.
fn sets() -> &'static [PolicySet; 3] {
    static SETS: LazyLock<[PolicySet; 3]> = LazyLock::new(|| {
        [vec![ODD], vec![ODD, BINDINGS], vec![ODD, BINDINGS, WAIVERS]].map(|texts| {
            let objects: Vec<Object> = texts.into_iter().flat_map(of_text).chain(catalogue()).collect();
            PolicySet::compile(&objects).unwrap_or_else(|why| panic!("{why:#?}"))
        })
    });
    &SETS
}

/// All that is evaluated.
#[derive(Debug, Clone)]
struct Seen {
    set: usize,
    now: i64,
    definition: Arc<TaskDefinition>,
    service: Value,
    cluster: Option<Value>,
    running: Option<Value>,
    target: TargetContext,
    keys: ScopeKeys,
    tags: BTreeMap<String, String>,
}

fn seen() -> Seen {
    let document = json!({
        "family": "web", "revision": 3, "status": "ACTIVE", "pidMode": "host", "memory": "512", "networkMode": "bridge",
        "containerDefinitions": [{"name": "app", "image": "a:1", "privileged": true,
            "environment": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}]}, {"name": "side", "image": "b:1", "user": "1"}],
        "volumes": [{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}],
        "tags": [{"key": "team", "value": "a"}],
    });
    let arn: TaskDefinitionArn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:3".parse().unwrap();
    let definition =
        TaskDefinition { arn, status: "ACTIVE".to_owned(), registered_by: None, registered_at: None, document };
    Seen {
        set: 2,
        now: END,
        definition: Arc::new(definition),
        service: json!({"serviceName": "web", "launchType": "EC2", "runningCount": 2, "events": [],
            "deployments": [{"rolloutState": "COMPLETED"}], "loadBalancers": [{"containerName": "app", "containerPort": 0}],
            "networkConfiguration": {"awsvpcConfiguration": {"assignPublicIp": "ENABLED", "subnets": ["s"]}}}),
        cluster: Some(json!({"clusterName": "prod", "settings": []})),
        running: Some(json!({"app": "sha256:a"})),
        target: TargetContext { account: "1".to_owned(), region: "r".to_owned(), labels: BTreeMap::new() },
        keys: ScopeKeys { service: ScopeKey::Known("web".to_owned()), ..ScopeKeys::default() },
        tags: BTreeMap::new(),
    }
}

/// What may happen between two questions.
#[derive(Debug, Clone)]
enum Event {
    /// Described anew, with nothing else in it.
    Again,
    Set(usize),
    Now(i64),
    /// A member of the task definition, the service or the cluster becomes this.
    Definition(&'static str, Value),
    Service(&'static str, Value),
    Cluster(&'static str, Value),
    NoCluster,
    Running(Option<Value>),
    Label(String),
    Tag(&'static str, String),
    DefinitionTag(String),
    LaunchType(ScopeKey<LaunchType>),
    NewPass,
}

fn values() -> impl Strategy<Value = Value> {
    let odd = [
        json!(null),
        json!(true),
        json!(false),
        json!("host"),
        json!("ENABLED"),
        json!(7),
        json!(7.0),
        json!([]),
        json!({}),
        json!([{"containerPort": 1}, {"containerPort": "x"}]),
        json!([{"rolloutState": "FAILED"}]),
        json!({"plimsoll:unresolved": "Ref"}),
        json!([{"name": "app"}]),
        json!("FARGATE"),
        json!({"awsvpcConfiguration": null}),
        json!({"awsvpcConfiguration": {"assignPublicIp": "DISABLED"}}),
        json!({"minimumHealthyPercent": 50, "deploymentCircuitBreaker": {"enable": true}}),
    ];
    prop::sample::select(odd.to_vec())
}

fn events() -> impl Strategy<Value = Event> {
    let name = prop::sample::select(vec!["a", "off", "b"]).prop_map(str::to_owned);
    let day = 24 * 60 * 60 * 1000;
    prop_oneof![
        3 => Just(Event::Again),
        1 => (0..3_usize).prop_map(Event::Set),
        3 => prop::sample::select(vec![END - 1, END, END + 1, END - day, END + 45 * day, END - 400 * day]).prop_map(Event::Now),
        3 => (prop::sample::select(vec!["pidMode", "volumes", "containerDefinitions", "networkMode", "status"]), values())
            .prop_map(|(member, value)| Event::Definition(member, value)),
        6 => (prop::sample::select(vec![
                "launchType", "capacityProviderStrategy", "platformVersion", "enableExecuteCommand", "runningCount", "events",
                "deployments", "loadBalancers", "networkConfiguration", "placement", "deploymentConfiguration", "serviceName",
            ]), values()).prop_map(|(member, value)| Event::Service(member, value)),
        2 => (prop::sample::select(vec!["settings", "status", "configuration", "runningTasksCount"]), values())
            .prop_map(|(member, value)| Event::Cluster(member, value)),
        1 => Just(Event::NoCluster),
        1 => prop::option::of(prop::sample::select(vec![json!({}), json!({"app": "sha256:b"}), json!({"side": 7})]))
            .prop_map(Event::Running),
        1 => name.clone().prop_map(Event::Label),
        2 => (prop::sample::select(vec!["team", "plimsoll", "other"]), name.clone()).prop_map(|(key, value)| Event::Tag(key, value)),
        1 => name.prop_map(Event::DefinitionTag),
        1 => prop::sample::select(vec![ScopeKey::Unknown, ScopeKey::Known(LaunchType::Fargate), ScopeKey::Absent])
            .prop_map(Event::LaunchType),
        2 => Just(Event::NewPass),
    ]
}

impl Seen {
    fn after(&mut self, event: Event, memo: &mut Memo, sets: &[PolicySet]) {
        let put = |document: &mut Value, member: &str, value| {
            document[member] = value;
        };
        match event {
            Event::Again => self.definition = Arc::new(self.definition.as_ref().clone()),
            Event::Set(set) => self.set = set,
            Event::Now(now) => self.now = now,
            Event::Definition(member, value) => {
                put(&mut Arc::make_mut(&mut self.definition).document, member, value);
            }
            Event::Service(member, value) => put(&mut self.service, member, value),
            Event::Cluster(member, value) => put(self.cluster.get_or_insert(json!({})), member, value),
            Event::NoCluster => self.cluster = None,
            Event::Running(running) => self.running = running,
            Event::Label(value) => drop(self.target.labels.insert("owner".to_owned(), value)),
            Event::Tag(key, value) => {
                self.tags.insert(key.to_owned(), value);
                self.keys.tags = ScopeTags::Known(self.tags.clone());
            }
            Event::DefinitionTag(value) => {
                let tags = json!([{"key": "team", "value": value}]);
                put(&mut Arc::make_mut(&mut self.definition).document, "tags", tags);
            }
            Event::LaunchType(launch_type) => self.keys.launch_type = launch_type,
            Event::NewPass => memo.begin(&sets[self.set]),
        }
    }

    fn around(&self, kind: ResourceKind) -> Surroundings<'_> {
        Surroundings {
            kind,
            service: Some(&self.service),
            cluster: self.cluster.as_ref(),
            running: if kind == ResourceKind::TaskDefinition { self.running.as_ref() } else { None },
            target: Some(&self.target),
            scope: &self.keys,
        }
    }

    /// What the revision is known by.
    fn packed(&self) -> Arc<PackedDefinition> {
        Arc::new(PackedDefinition::of(&self.definition, &mut Packer::with(b"")))
    }

    /// Asks both ways about the task definition, the service and the cluster, and about their fixes.
    fn ask(&self, memo: &mut Memo, set: &PolicySet) -> Result<(), TestCaseError> {
        let now = Timestamp::from_millis(self.now);
        let document = self.definition.document.clone();
        let tags = self.definition.tags_by_key();
        let (service, empty) = (self.service.clone(), json!({}));
        let subjects = [
            self.around(ResourceKind::TaskDefinition).subject(&document, Some(&tags)),
            self.around(ResourceKind::Service).subject(&service, Some(&self.tags)),
            self.around(ResourceKind::Cluster).subject(self.cluster.as_ref().unwrap_or(&empty), Some(&self.tags)),
        ];
        for subject in subjects {
            let remembered = match subject.kind {
                ResourceKind::TaskDefinition => {
                    let packed = self.packed();
                    let revision = Revision::of(&packed, Cow::Borrowed(&self.definition));
                    memo.evaluate_revision(set, "web", &revision, &subject.surroundings(), now)
                }
                _ => memo.evaluate(set, "web", &subject, now),
            };
            let anew = evaluate(set, &subject, now);
            prop_assert_eq!(remembered.iter().map(AsRef::as_ref).collect::<Vec<_>>(), anew.iter().collect::<Vec<_>>());
            let fixes: Vec<&PlannedFix> = anew.iter().flat_map(|result| &result.fixes).collect();
            let with = memo.apply_fixes(set, "web", &subject, &remembered, &fixes, now);
            prop_assert_eq!(with, apply_fixes(set, &subject, &anew, &fixes, now));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn what_is_remembered_is_what_would_be_said(events in prop::collection::vec(events(), 1..20)) {
        let sets = sets();
        let (mut seen, mut memo) = (seen(), Memo::default());
        seen.ask(&mut memo, &sets[seen.set])?;
        for event in events {
            seen.after(event, &mut memo, sets);
            seen.ask(&mut memo, &sets[seen.set])?;
            let evaluated = memo.evaluated();
            seen.ask(&mut memo, &sets[seen.set])?;
            prop_assert_eq!(memo.evaluated(), evaluated, "asked twice, evaluated twice");
        }
    }
}

/// How many documents are evaluated because of one thing that happens.
fn costs(event: Event) -> u64 {
    let (mut seen, mut memo) = (Seen { now: END - 1, ..seen() }, Memo::default());
    seen.ask(&mut memo, &sets()[2]).unwrap();
    let before = memo.evaluated();
    seen.after(event, &mut memo, sets());
    seen.ask(&mut memo, &sets()[seen.set]).unwrap();
    memo.evaluated() - before
}

#[test]
fn only_what_policies_read_costs_an_evaluation() {
    for (event, free) in [
        (Event::Again, true),
        (Event::NewPass, true),
        (Event::Service("runningCount", json!(1)), true),
        (Event::Service("events", json!([{"message": "has started 1 tasks"}])), true),
        (Event::Cluster("runningTasksCount", json!(9)), true),
        (Event::Now(END - 2 * 24 * 60 * 60 * 1000), true),
        // A Waiver ends.
        (Event::Now(END), false),
        (Event::Set(1), false),
        (Event::Definition("pidMode", json!("task")), false),
        (Event::Definition("nobodyReadsThis", json!(1)), false),
        (Event::Service("launchType", json!("FARGATE")), false),
        (Event::Label("b".to_owned()), false),
        (Event::DefinitionTag("b".to_owned()), false),
        (Event::NoCluster, false),
        (Event::Running(Some(json!({"app": "sha256:b"}))), false),
        (Event::Tag("team", "b".to_owned()), false),
    ] {
        assert_eq!(costs(event.clone()) == 0, free, "{event:?}");
    }
}

#[test]
fn days_that_pass_are_told_without_evaluating() {
    let waiver = WAIVERS.replace("['security-hub-*']", "['*']");
    let objects: Vec<Object> = [ODD, &waiver].into_iter().flat_map(of_text).chain(catalogue()).collect();
    let set = PolicySet::compile(&objects).unwrap();
    let (seen, mut memo) = (seen(), Memo::default());
    let mut days = |before: i64| {
        let now = Timestamp::from_millis(END - before * 24 * 60 * 60 * 1000);
        let around = seen.around(ResourceKind::TaskDefinition);
        let packed = seen.packed();
        let revision = Revision::of(&packed, Cow::Borrowed(&seen.definition));
        let answers = memo.evaluate_revision(&set, "web", &revision, &around, now);
        assert_eq!(memo.evaluated(), 1);
        let waived = answers.iter().find(|result| result.verdict == Verdict::Waived).unwrap();
        waived.waiver.as_ref().unwrap().days_left
    };
    assert_eq!((days(9), days(3), days(9)), (9, 3, 9));
}

#[test]
fn memory_grows_with_services_and_not_with_revisions() {
    let set = &sets()[1];
    let (mut seen, mut memo) = (seen(), Memo::default());
    let mut most = 0;
    for revision in 0..40 {
        memo.begin(set);
        seen.after(Event::Definition("cpu", json!(revision)), &mut memo, std::slice::from_ref(set));
        seen.after(Event::Service("desiredCount", json!(revision)), &mut memo, std::slice::from_ref(set));
        seen.ask(&mut memo, set).unwrap();
        most = most.max(memo.len());
    }
    let mut once = Memo::default();
    seen.ask(&mut once, set).unwrap();
    assert!(most <= once.len() * 4, "{most} answers kept, and {} make a pass", once.len());
    for _ in 0..5 {
        memo.begin(set);
    }
    assert!(memo.is_empty(), "a service that is gone is forgotten");
}
