//! What runs outside of services, and what nobody runs: reported, and left alone.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use plimsoll::cli::texts;
use plimsoll::controller::{Controller, Parts};
use plimsoll::model::ReasonCode;
use plimsoll::plan::{PlanOutcome, StandaloneReport};
use plimsoll::ports::{Ecs, EcsError, Operation};
use plimsoll::records::standalone::StandaloneReports;
use plimsoll::rollout::command::Request;
use plimsoll::sim::SimEcs;
use serde_json::{Value, json};

use super::world::{NO_HOST_PID, Story, host_pid};

/// A service, a task of its own family that a schedule runs, a one-off of another, and families that nobody runs.
fn story() -> Story {
    let mut story = Story::begin();
    story.controller = story.another_controller("one").with_standalone(Duration::from_secs(600), 100);
    story.cluster("prod");
    story.violating_service("prod", "web");
    for family in ["nightly", "old", "tidy"] {
        let mut document = host_pid(family);
        if family == "tidy" {
            document.as_object_mut().unwrap().remove("pidMode");
        }
        story.register(document);
    }
    story.call("RunTask", json!({ "cluster": "prod", "taskDefinition": "nightly", "count": 2, "startedBy": "cron" }));
    story.settle(300);
    story
}

fn told(report: &StandaloneReport) -> Vec<(String, PlanOutcome, ReasonCode, usize)> {
    let short = |resource: &str| resource.rsplit('/').next().unwrap().to_owned();
    report.rows.iter().map(|row| (short(&row.resource), row.outcome, row.reason.code, row.tasks)).collect()
}

#[tokio::test]
async fn tasks_that_no_service_started_and_families_that_none_uses_are_reported_and_left_alone() {
    let mut story = story();
    story.apply(NO_HOST_PID).await;
    let plan = story.pass().await.plan.unwrap();
    let found = plan.standalone.unwrap();
    assert_eq!(
        told(&found),
        [
            ("nightly:1".to_owned(), PlanOutcome::Audit, ReasonCode::StandaloneTasks, 2),
            ("old:1".to_owned(), PlanOutcome::Audit, ReasonCode::UnusedFamily, 0),
        ]
    );
    assert_eq!(found.gaps, [""; 0]);
    insta::assert_snapshot!(found.rows[0].reason.message, @"2 tasks of group `family:nightly` in cluster `prod` that no service started, started by `cron`");
    let target = story.controller.settings().target.clone();
    let stored = StandaloneReports::of(story.store.as_ref(), &target).list().await.unwrap();
    assert_eq!(stored.into_values().collect::<Vec<_>>(), found.rows);

    // A rollout, its undo, and an hour of passes: what is not ours stays as it is.
    story.passes_for(20 * 60).await;
    story.ask("default-1", Request::Undo { service: None }).await;
    story.passes_for(40 * 60).await;
    assert_eq!(story.status_of("web:2"), "INACTIVE", "ours was taken back, and is cleared away");
    for revision in ["web:1", "nightly:1", "old:1", "tidy:1"] {
        assert_eq!(story.status_of(revision), "ACTIVE", "{revision}");
    }
    let listed = story.call("ListTasks", json!({ "cluster": "prod", "family": "nightly" }));
    assert_eq!(listed["taskArns"].as_array().unwrap().len(), 2);
    let deregistered = story.writes().iter().filter(|write| *write == "DeregisterTaskDefinition").count();
    assert_eq!(deregistered, 1);
}

#[tokio::test]
async fn a_look_is_taken_so_often_at_so_many_families_and_costs_what_it_says() {
    let mut story = story();
    for number in 0..5 {
        story.register(host_pid(&format!("spare-{number}")));
    }
    story.controller = story.another_controller("one").with_standalone(Duration::from_secs(600), 3);
    story.apply(&NO_HOST_PID.replace("enforcement: enforce", "enforcement: audit")).await;
    let calls = |story: &Story| {
        let calls = story.ecs.calls();
        let of = |name: &str| calls.iter().filter(|call| call.operation.as_str() == name).count();
        [of("ListTasks"), of("DescribeTasks"), of("ListTaskDefinitionFamilies"), of("DescribeTaskDefinition")]
    };
    story.ecs.forget_calls();
    let found = story.pass().await.plan.unwrap().standalone.unwrap();
    // One for the service's revision, one for the tasks', three for families.
    assert_eq!(calls(&story), [1, 1, 1, 5]);
    assert_eq!((found.rows.len(), found.gaps.len()), (4, 1), "{found:#?}");
    assert!(found.gaps[0].starts_with("4 of 7 families"), "{:?}", found.gaps);
    story.ecs.forget_calls();
    assert_eq!(story.pass().await.plan.unwrap().standalone, None, "not again so soon");
    assert_eq!(calls(&story), [0, 0, 0, 0]);
    for _ in 0..2 {
        story.settle(600);
        story.pass().await;
    }
    story.settle(600);
    story.ecs.forget_calls();
    let found = story.pass().await.plan.unwrap().standalone.unwrap();
    assert_eq!((found.rows.len(), found.gaps.len()), (7, 0), "all but the tidy one, each in its turn: {found:#?}");
    assert_eq!(calls(&story), [1, 1, 1, 3]);
}

#[tokio::test]
async fn tags_are_seen_as_they_are_of_services() {
    let mut story = story();
    let mut document = host_pid("tagged");
    document["tags"] = json!([{ "key": "purpose", "value": "payroll" }]);
    story.register(document);
    let tagged = NO_HOST_PID
        .replace("enforcement: enforce", "enforcement: audit")
        .replace(
            "taskDefinition.?pidMode.orValue('') != 'host'",
            "taskDefinition.?tags.orValue([]).exists(tag, tag.key == 'purpose')",
        )
        .replace("remove: /pidMode", "set: /pidMode, value: task");
    assert!(tagged.contains("exists("));
    story.apply(&tagged).await;
    let found = story.pass().await.plan.unwrap().standalone.unwrap();
    let names: Vec<String> = told(&found).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["nightly:1", "old:1", "tidy:1"], "`tagged` has the tag: {found:#?}");
}

#[tokio::test]
async fn what_cannot_be_read_is_a_gap_and_removes_nothing() {
    let mut story = story();
    story.apply(&NO_HOST_PID.replace("enforcement: enforce", "enforcement: audit")).await;
    story.pass().await;
    story.settle(600);
    story.ecs.set_faults(|call| {
        let denied = ["ListTasks", "ListTaskDefinitionFamilies"].contains(&call.operation.as_str());
        denied.then(|| plimsoll::sim::Fault::Refuse { code: "AccessDeniedException".into(), message: "no".into() })
    });
    let plan = story.pass().await.plan.unwrap();
    let found = plan.standalone.as_ref().unwrap();
    assert_eq!((found.rows.len(), found.gaps.len(), plan.gaps.len()), (0, 2, 0), "{found:#?}");
    let target = story.controller.settings().target.clone();
    assert_eq!(StandaloneReports::of(story.store.as_ref(), &target).list().await.unwrap().len(), 2, "nothing is gone");
    assert!(plan.is_settled(), "services are what is kept within policy");
}

/// ECS where the tasks of family `agent` are those of a managed daemon: they run a daemon task definition, which is no task
/// definition.
struct Daemon(Arc<SimEcs>);

impl Ecs for Daemon {
    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        Box::pin(async move {
            let mut answer = self.0.call(operation, input).await?;
            for task in answer.get_mut("tasks").and_then(Value::as_array_mut).into_iter().flatten() {
                if task["group"] == "family:agent" {
                    let arn = task["taskDefinitionArn"].as_str().unwrap();
                    task["taskDefinitionArn"] = json!(arn.replace(":task-definition/", ":daemon-task-definition/"));
                    task.as_object_mut().unwrap().remove("group");
                }
            }
            Ok(answer)
        })
    }
}

#[tokio::test]
async fn a_managed_daemon_is_told_as_ecs_s_own_and_hides_no_other_task() {
    let mut story = story();
    story.apply(&NO_HOST_PID.replace("enforcement: enforce", "enforcement: audit")).await;
    story.register(host_pid("agent"));
    story.call("RunTask", json!({ "cluster": "prod", "taskDefinition": "agent", "count": 3 }));
    // No such family is listed of a daemon.
    story.call("DeregisterTaskDefinition", json!({ "taskDefinition": "agent:1" }));
    let parts = Parts { ecs: Arc::new(Daemon(story.ecs.clone())), ..story.controller.parts().clone() };
    let settings = story.controller.settings().clone();
    story.controller = Controller::new(parts, settings).with_standalone(Duration::from_secs(600), 100);
    let plan = story.pass().await.plan.unwrap();
    let found = plan.standalone.clone().unwrap();
    assert_eq!(found.gaps, [""; 0]);
    let daemon = ("agent:1".to_owned(), PlanOutcome::Blocked, ReasonCode::ManagedByEcs, 3);
    let nightly = ("nightly:1".to_owned(), PlanOutcome::Audit, ReasonCode::StandaloneTasks, 2);
    assert_eq!(told(&found)[..2], [nightly, daemon]);
    insta::assert_snapshot!(found.rows[1].reason.message, @"ECS itself manages the daemon of `agent:1`, 3 tasks in cluster `prod`; nothing of it is judged");
    // What people read: counted, and with `-o wide` told of each; of nothing that was not judged there is a finding.
    let outside = |wide: bool| {
        let text = texts::plan(&plan, 1, wide);
        text[text.find("outside").unwrap()..].split("\n\n").next().unwrap().to_owned()
    };
    insta::assert_snapshot!(outside(false), @"outside of services: 2 that do not comply, 1 that ECS itself manages; -o wide lists them");
    insta::assert_snapshot!(outside(true), @r"
    outside of services: 2 that do not comply, 1 that ECS itself manages
      nightly:1  audit
        StandaloneTasks: 2 tasks of group `family:nightly` in cluster `prod` that no service started, started by `cron`
        high no-host-pid: the task shares the host's process namespace
      agent:1  blocked
        ManagedByEcs: ECS itself manages the daemon of `agent:1`, 3 tasks in cluster `prod`; nothing of it is judged
      old:1  audit
        UnusedFamily: no service uses family `old`; whoever runs it by that name gets this revision
        high no-host-pid: the task shares the host's process namespace
    ");
    let target = story.controller.settings().target.clone();
    insta::assert_snapshot!(texts::findings(story.store.as_ref(), &target).await.unwrap(), @r"
    SERVICE              SEVERITY  POLICY       MESSAGE                                                         FIXABLE
    prod/web             high      no-host-pid  the task shares the host's process namespace                    yes
    nightly:1 in prod    high      no-host-pid  the task shares the host's process namespace (StandaloneTasks)  no
    old:1 in no service  high      no-host-pid  the task shares the host's process namespace (UnusedFamily)     no
    ");
}
