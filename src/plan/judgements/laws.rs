//! What is kept is what would be said: whatever judging looks at is in the key.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::model::Timestamp;
use crate::model::observed::Cluster;
use crate::model::packed::{PackedDefinition, Packer, WrittenService};
use crate::model::spec::{Object, StrategySpec};
use crate::model::{Observed, TargetId, wire};
use crate::policy::TargetContext;

/// Of the task definition and of the service, what changes from pass to pass and what does not, with and without a fix.
const POLICIES: &str = r#"
kind: Policy
metadata: { name: host-pid }
spec:
  title: t
  severity: low
  resource: TaskDefinition
  checks: [{ name: c, require: "taskDefinition.?pidMode.orValue('') != 'host'", message: m, fix: [{ edits: [{ remove: /pidMode }] }] }]
---
kind: Policy
metadata: { name: around }
spec:
  title: t
  severity: low
  resource: TaskDefinition
  checks:
    - name: c
      when: "cluster.?status.orValue('') != 'INACTIVE'"
      require: "size(service.?events.orValue([])) < 2 && running.?app.orValue('') != 'sha256:b'"
      message: "{target.region}"
---
kind: Policy
metadata: { name: tasks }
spec:
  title: t
  severity: low
  resource: Service
  checks: [{ name: c, require: "service.?pendingCount.orValue(0) == 0 && target.?labels.?owner.orValue('') != 'off'", message: m }]
---
kind: Policy
metadata: { name: address }
spec:
  title: t
  severity: high
  resource: Service
  checks:
    - name: c
      require: "service.?networkConfiguration.?awsvpcConfiguration.?assignPublicIp.orValue('') != 'ENABLED'"
      message: m
      fix: [{ edits: [{ set: /networkConfiguration/awsvpcConfiguration/assignPublicIp, value: DISABLED }] }]
"#;

const BINDING: &str = r#"
kind: Binding
metadata: { name: most }
spec: { policies: ['host-pid', 'address'], enforcement: enforce, scope: { exclude: { tags: { team: ['off'] } } } }
"#;

/// Read once for all cases.
fn set(bound: bool) -> &'static PolicySet {
    static SETS: LazyLock<[PolicySet; 2]> = LazyLock::new(|| [false, true].map(read));
    let [free, with_binding] = &*SETS;
    if bound { with_binding } else { free }
}

fn read(bound: bool) -> PolicySet {
    let of = |text: &str| -> Vec<Object> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        documents.into_iter().map(|document| serde_json::from_value(document).unwrap()).collect()
    };
    let objects: Vec<Object> = of(POLICIES).into_iter().chain(if bound { of(BINDING) } else { vec![] }).collect();
    PolicySet::compile(&objects).unwrap_or_else(|why| panic!("{why:#?}"))
}

fn revision(number: u32) -> String {
    format!("arn:aws:ecs:eu-west-1:1:task-definition/web:{number}")
}

fn deployment(id: u32, status: &str) -> Value {
    json!({ "id": format!("ecs-svc/{id}"), "status": status, "taskDefinition": revision(1), "rolloutState": "COMPLETED" })
}

/// All that is seen.
#[derive(Debug, Clone)]
struct Sight {
    service: Value,
    cluster: Option<Value>,
    running: Option<Value>,
    labels: BTreeMap<String, String>,
    bound: bool,
    allow_edit: Vec<String>,
}

impl Sight {
    fn first() -> Self {
        Self {
            service: json!({
                "serviceArn": "arn:aws:ecs:eu-west-1:1:service/prod/web", "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/prod",
                "status": "ACTIVE", "desiredCount": 2, "runningCount": 2, "pendingCount": 0, "taskDefinition": revision(1),
                "deployments": [deployment(1, "PRIMARY")], "tags": [],
            }),
            cluster: Some(json!({ "clusterName": "prod", "status": "ACTIVE" })),
            running: Some(json!({ "app": "sha256:a" })),
            labels: BTreeMap::new(),
            bound: true,
            allow_edit: vec![],
        }
    }
}

/// Something that somebody, or ECS, changes.
#[derive(Debug, Clone)]
enum Edit {
    /// What stands at a pointer into the service becomes this.
    Service(&'static str, Value),
    /// ECS lists one more deployment, or only the first.
    Deployments(Option<Value>),
    Cluster(Option<Value>),
    Running(Option<Value>),
    Label(String),
    Bound(bool),
    Allows(Vec<String>),
}

fn edits() -> impl Strategy<Value = Edit> {
    let network = |public: &str| json!({ "awsvpcConfiguration": { "subnets": ["s"], "assignPublicIp": public } });
    let members: Vec<(&'static str, Vec<Value>)> = vec![
        ("/status", vec![json!("ACTIVE"), json!("DRAINING")]),
        ("/desiredCount", vec![json!(0), json!(1), json!(2)]),
        ("/runningCount", vec![json!(0), json!(2)]),
        ("/pendingCount", vec![json!(0), json!(1)]),
        ("/events", vec![json!([]), json!([{ "id": "a" }]), json!([{ "id": "a" }, { "id": "b" }])]),
        ("/taskDefinition", vec![json!(revision(1)), json!(revision(2))]),
        (
            "/taskSets",
            vec![
                json!([]),
                json!([{ "taskSetArn": "arn:aws:ecs:eu-west-1:1:task-set/prod/web/ecs-svc/7", "taskDefinition": revision(2) }]),
            ],
        ),
        ("/tags", vec![json!([]), json!([{ "key": "team", "value": "off" }])]),
        ("/launchType", vec![json!("EC2"), json!("FARGATE")]),
        ("/platformVersion", vec![json!("1.3.0"), json!("1.4.0")]),
        ("/networkConfiguration", vec![network("ENABLED"), network("DISABLED")]),
        (
            "/deploymentConfiguration",
            vec![
                json!({ "minimumHealthyPercent": 100, "maximumPercent": 100 }),
                json!({ "minimumHealthyPercent": 0, "maximumPercent": 200 }),
            ],
        ),
        ("/deploymentController", vec![json!({ "type": "ECS" }), json!({ "type": "CODE_DEPLOY" })]),
        ("/resourceManagementType", vec![json!("ECS"), json!("CUSTOMER")]),
        ("/deployments/0/id", vec![json!("ecs-svc/1"), json!("ecs-svc/3")]),
        ("/deployments/0/status", vec![json!("PRIMARY"), json!("ACTIVE")]),
        ("/deployments/0/taskDefinition", vec![json!(revision(1)), json!(revision(2))]),
        ("/deployments/0/rolloutState", vec![json!("COMPLETED"), json!("IN_PROGRESS"), json!("FAILED"), json!(null)]),
        ("/deployments/0/rolloutStateReason", vec![json!("rolling back to deployment 1"), json!("done")]),
        ("/deployments/0/networkConfiguration", vec![network("ENABLED"), network("DISABLED")]),
        ("/deployments/0/platformVersion", vec![json!("1.3.0"), json!("1.4.0")]),
        ("/deployments/0/launchType", vec![json!("EC2"), json!("FARGATE")]),
        ("/deployments/0/serviceConnectConfiguration", vec![json!({ "enabled": true }), json!({ "enabled": false })]),
    ];
    let member = prop::sample::select(members)
        .prop_flat_map(|(at, values)| prop::sample::select(values).prop_map(move |value| Edit::Service(at, value)));
    let mut started_otherwise = deployment(0, "ACTIVE");
    started_otherwise["platformVersion"] = json!("1.2.0");
    let mut another = deployment(0, "ACTIVE");
    another["taskDefinition"] = json!(revision(2));
    let earlier = vec![
        None,
        Some(deployment(0, "ACTIVE")),
        Some(deployment(0, "INACTIVE")),
        Some(started_otherwise),
        Some(another),
    ];
    let clusters = vec![None, Some(json!({ "status": "ACTIVE" })), Some(json!({ "status": "INACTIVE" }))];
    let images = vec![None, Some(json!({ "app": "sha256:a" })), Some(json!({ "app": "sha256:b" }))];
    let owner = prop::sample::select(vec!["a", "off"]).prop_map(|value| Edit::Label(value.to_owned()));
    prop_oneof![
        12 => member,
        4 => prop::sample::select(earlier).prop_map(Edit::Deployments),
        1 => prop::sample::select(clusters).prop_map(Edit::Cluster),
        1 => prop::sample::select(images).prop_map(Edit::Running),
        1 => owner,
        1 => prop::bool::ANY.prop_map(Edit::Bound),
        1 => prop::sample::select(vec![vec![], vec!["/pidMode".to_owned()]]).prop_map(Edit::Allows),
    ]
}

impl Sight {
    fn after(mut self, edit: Edit) -> Self {
        match edit {
            Edit::Service(at, value) => {
                let (above, name) = at.rsplit_once('/').unwrap();
                self.service.pointer_mut(above).unwrap()[name] = value;
            }
            Edit::Deployments(earlier) => {
                let list = self.service["deployments"].as_array_mut().unwrap();
                list.truncate(1);
                list.extend(earlier);
            }
            Edit::Cluster(cluster) => self.cluster = cluster,
            Edit::Running(running) => self.running = running,
            Edit::Label(value) => drop(self.labels.insert("owner".to_owned(), value)),
            Edit::Bound(bound) => self.bound = bound,
            Edit::Allows(allow_edit) => self.allow_edit = allow_edit,
        }
        self
    }

    /// What is said, under which key, and whether that may be kept.
    fn judge(&self) -> (PlannedResource, Digest, bool) {
        let at = Timestamp::EPOCH;
        let known = |number: u32, mode: &str| {
            let arn: TaskDefinitionArn = revision(number).parse().unwrap();
            let document = json!({
                "taskDefinitionArn": revision(number), "family": "web", "revision": number, "status": "ACTIVE",
                "pidMode": mode, "containerDefinitions": [{ "name": "app", "image": "a:1" }],
            });
            let answer = json!({ "taskDefinition": document, "tags": [] });
            let text = answer.to_string();
            let packed = PackedDefinition::pack(text.as_bytes(), &mut Packer::with(b"")).unwrap();
            (arn, Observed::Known { value: Arc::new(packed), at })
        };
        let service = wire::service(&self.service).unwrap();
        let written = WrittenService::of(&self.service);
        let seen = PackedService::pack(&written, &mut Packer::learning()).unwrap();
        let seen = Arc::new(seen);
        let cluster = self.cluster.as_ref().map(|document| {
            let arn = service.cluster.clone();
            let value = Cluster { arn: arn.clone(), document: Arc::new(document.clone()), tags: BTreeMap::new() };
            (arn, Observed::Known { value, at })
        });
        let target = TargetId { account: "1".to_owned(), region: "eu-west-1".to_owned() };
        let fleet = Fleet {
            target: target.clone(),
            at,
            clusters: cluster.into_iter().collect(),
            services: BTreeMap::from([(service.arn.clone(), Observed::Known { value: Arc::clone(&seen), at })]),
            task_definitions: BTreeMap::from([known(1, "task"), known(2, "host")]),
            latest: BTreeMap::new(),
            running: self.running.iter().map(|running| (service.arn.clone(), running.clone())).collect(),
            capacity_providers: None,
            gaps: vec![],
        };
        let target = TargetContext { account: target.account, region: target.region, labels: self.labels.clone() };
        let context = Context {
            set: set(self.bound),
            target: &target,
            holds: &[],
            freezes: &[],
            stopped_fixes: &BTreeMap::new(),
            taken: &BTreeMap::new(),
            landed: &BTreeMap::new(),
            older: &OlderTasks::new(),
            ours: &BTreeMap::new(),
            quarantined: &BTreeSet::new(),
            allow_edit: &self.allow_edit,
            default_strategy: &StrategySpec::default(),
            now: at,
        };
        let keys = scope_keys(&fleet, &service);
        let judged = service::service(&fleet, (&service, &keys), None, &context, &mut Memo::default());
        // Answers that are handed in are those that would be given; a revision that the service does not name is nobody's.
        for arn in fleet.task_definitions.keys() {
            let revision = service::revision_of(&fleet, arn).unwrap();
            let around = around(&fleet, &service, &keys, &context);
            let mut memo = Memo::default();
            let answers = memo.evaluate_revision(context.set, service.arn.as_str(), &revision, &around, at);
            let asked = Some((&revision, answers));
            assert_eq!(service::service(&fleet, (&service, &keys), asked, &context, &mut memo), judged, "{arn}");
        }
        let grounds = Grounds::of(&fleet, &context);
        let kept = grounds.settle(&service.arn, &seen, &judged);
        (judged.planned, grounds.key(&service, &keys, &seen), kept)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn where_the_key_is_the_same_the_same_is_said(
        before in prop::collection::vec(edits(), 0..5), since in prop::collection::vec(edits(), 1..3)
    ) {
        let first = before.into_iter().fold(Sight::first(), Sight::after);
        let then = since.iter().cloned().fold(first.clone(), Sight::after);
        let ((said, key, kept), (anew, now, _)) = (first.judge(), then.judge());
        // What is not kept is judged anew whatever its key is.
        prop_assert!(!kept || key != now || said == anew, "{since:?}\n{said:#?}\n{anew:#?}");
    }
}

/// Whether the same is said after an edit, and whether the key is the same, of a service that complies, before and after.
#[track_caller]
fn check_after(before: &[Edit], edit: Edit, expected: (bool, bool)) {
    let first = before.iter().cloned().fold(Sight::first(), Sight::after);
    let (said, key, kept) = first.judge();
    assert_eq!((said.outcome, kept), (PlanOutcome::Compliant, true), "{said:#?}");
    let (anew, now, _) = first.after(edit.clone()).judge();
    assert_eq!((anew == said, now == key), expected, "{edit:?}");
}

#[track_caller]
fn check(edit: Edit, expected: (bool, bool)) {
    check_after(&[], edit, expected);
}

#[test]
fn tasks_that_come_and_go_leave_the_key_as_it_is_and_what_judging_looks_at_does_not() {
    for (at, value) in
        [("/runningCount", json!(1)), ("/desiredCount", json!(7)), ("/deployments/0/id", json!("ecs-svc/9"))]
    {
        check(Edit::Service(at, value), (true, true));
    }
    // It is read, and says nothing yet.
    check(Edit::Service("/events", json!([{ "id": "a" }])), (true, false));
    check(Edit::Service("/pendingCount", json!(1)), (false, false));
    check(Edit::Service("/deployments/0/rolloutState", json!("IN_PROGRESS")), (false, false));
    check(Edit::Running(Some(json!({ "app": "sha256:b" }))), (false, false));
    check(Edit::Deployments(Some(deployment(0, "INACTIVE"))), (true, true));
    check(Edit::Deployments(Some(deployment(0, "ACTIVE"))), (false, false));
    // Nor where nobody but CodeDeploy deploys, which is said before anything of deployments.
    let by_code_deploy = [Edit::Service("/deploymentController", json!({ "type": "CODE_DEPLOY" }))];
    check_after(&by_code_deploy, Edit::Service("/deployments/0/rolloutState", json!("IN_PROGRESS")), (false, false));
}
