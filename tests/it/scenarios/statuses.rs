//! What the controller answers to what people wrote: counts, days, and Waivers that are looked after.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll::controller::Controller;
use plimsoll::controller::reconcile::Depth;
use plimsoll::model::spec::{Kind, Need};
use plimsoll::model::{ReasonCode, TargetId, Timestamp};
use plimsoll::plan::PolicyTally;
use plimsoll::ports::{Clock, Store};
use plimsoll::records::history::DayFigure;
use plimsoll::records::statuses::{
    BindingStatus, CLUSTERS, ClusterStatus, PolicyStatus, Status, Statuses, WaiverStatus,
};
use plimsoll::sim::{Fault, WorldConfig};
use serde_json::json;

use super::world::{NO_HOST_PID, Story, host_pid};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

fn target() -> TargetId {
    let config = WorldConfig::default();
    TargetId { account: config.account, region: config.region }
}

async fn status<T: Status>(story: &Story, name: &str) -> T {
    let target = target();
    let mut all = Statuses::of(story.store.as_ref(), &target).list::<T>().await.unwrap();
    all.remove(name).unwrap_or_else(|| panic!("no status of {name}")).value
}

/// The same policy, by which nothing is done.
fn audited() -> String {
    NO_HOST_PID.replace("enforcement: enforce", "enforcement: audit")
}

fn waiver(name: &str, service: &str, expires_at: &str) -> String {
    format!(
        "---\napiVersion: plimsoll/v1\nkind: Waiver\nmetadata: {{ name: {name} }}\nspec: {{ policies: [no-host-pid], \
         scope: {{ include: {{ services: [{service}] }} }}, owner: o, reason: r, expiresAt: {expires_at} }}\n"
    )
}

async fn told(story: &Story, waiver: &str) -> Vec<String> {
    let subject = format!("Waiver/{waiver}");
    let events = story.events().await;
    events.into_iter().filter(|event| event.subject == subject).map(|event| event.what).collect()
}

/// The version of every item of the target but its lease: each write of one changes it.
async fn versions(story: &Story) -> BTreeMap<(String, String), u64> {
    let name = target().to_string();
    let shards = (0..16).map(|shard| format!("rt#{name}#reports#{shard:02x}"));
    let partitions = ["", "#status", "#rollouts", "#events", "#documents"].map(|part| format!("rt#{name}{part}"));
    let mut versions = BTreeMap::new();
    for partition in partitions.into_iter().chain(shards) {
        let page = story.store.query(&partition, "", None).await.unwrap();
        assert!(page.next.is_none());
        for item in page.items.into_iter().filter(|item| item.key.sort != "lease") {
            versions.insert((partition.clone(), item.key.sort), item.version);
        }
    }
    versions
}

#[tokio::test]
async fn a_policy_counts_what_it_finds_and_what_enforcing_it_would_come_to() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.violating_service("prod", "agent");
    let clean = story.register(
        json!({ "family": "clean", "containerDefinitions": [{ "name": "app", "image": "app:1.0", "memory": 128 }] }),
    );
    story.service("prod", "clean", &clean, json!({}));
    let code_deploy = story.register(host_pid("by-code-deploy"));
    story.service("prod", "by-code-deploy", &code_deploy, json!({ "deploymentController": { "type": "CODE_DEPLOY" } }));
    let stuck = story.register(host_pid("stuck"));
    let no_headroom = json!({ "deploymentConfiguration": { "minimumHealthyPercent": 100, "maximumPercent": 100 } });
    story.service("prod", "stuck", &stuck, no_headroom);
    story.apply(&(audited() + &waiver("agent", "agent", "2026-06-01T00:00:00Z"))).await;
    story.settle(300);
    story.pass().await;
    let found: PolicyStatus = status(&story, "no-host-pid").await;
    let expected = PolicyTally {
        matched: 5,
        passing: 1,
        failing: 3,
        waived: 1,
        fixable: 3,
        would_change: 1,
        blocked: 2,
        blocked_by: BTreeMap::from([(ReasonCode::CodeDeployController, 1), (ReasonCode::NoHeadroom, 1)]),
        ..PolicyTally::default()
    };
    assert_eq!((found.tally, found.generation, found.incomplete), (expected, Some(1), false));
    assert_eq!(found.conditions[0].message, "3 of 5 fail");
    let bound: BindingStatus = status(&story, "enforce-no-host-pid").await;
    assert_eq!((bound.tally.policies, bound.tally.resources), (1, 5));
    let waived: WaiverStatus = status(&story, "agent").await;
    assert_eq!((waived.covers, waived.resources, waived.need), (1, 1, Need::Needed));
}

#[tokio::test]
async fn what_could_not_be_read_is_counted_as_unknown_by_every_policy_and_no_waiver_there_is_said_to_be_unneeded() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story
        .apply(
            &(audited()
                + &waiver("web", "web", "2026-06-01T00:00:00Z")
                + &waiver("api", "api", "2026-06-01T00:00:00Z")),
        )
        .await;
    story.settle(300);
    story.ecs.set_faults(|call| {
        (call.operation.as_str() == "DescribeTaskDefinition")
            .then(|| Fault::Refuse { code: "AccessDeniedException".to_owned(), message: "no".to_owned() })
    });
    story.pass().await;
    let found: PolicyStatus = status(&story, "no-host-pid").await;
    assert_eq!((found.tally.matched, found.tally.unknown, found.tally.passing), (1, 1, 0));
    assert_eq!(found.conditions[0].reason, "NotObserved");
    assert_eq!(status::<WaiverStatus>(&story, "web").await.need, Need::Unknown);
    assert_eq!(status::<WaiverStatus>(&story, "api").await.need, Need::Unneeded, "its scope has nothing unread in it");
}

#[tokio::test]
async fn a_team_that_deploys_is_not_told_as_something_that_could_not_be_read() {
    let mut story = Story::begin();
    story.cluster("prod");
    let clean = |image: &str| {
        let app = json!({ "name": "app", "image": image, "memory": 128 });
        json!({ "family": "clean", "containerDefinitions": [app] })
    };
    let first = story.register(clean("app:1.0"));
    story.service("prod", "web", &first, json!({}));
    story.service("prod", "api", &first, json!({}));
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.pass().await;
    let second = story.register(clean("app:1.1"));
    story.call("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": second }));
    story.settle(15);
    story.pass().await;
    let found: PolicyStatus = status(&story, "no-host-pid").await;
    assert_eq!((found.tally.passing, found.tally.unknown, found.tally.older_tasks), (1, 1, 1));
    let told = &found.conditions[0];
    assert_eq!((told.reason.as_str(), told.message.as_str()), ("OlderTasks", "1 of 2 wait for older tasks to end"));
    story.settle(300);
    story.pass().await;
    let found: PolicyStatus = status(&story, "no-host-pid").await;
    assert_eq!((found.tally.older_tasks, found.conditions[0].reason.as_str()), (0, "Passing"));
}

#[tokio::test]
async fn one_policys_broken_fix_does_not_hide_what_another_would_change() {
    let broken = r#"---
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: broken }
spec:
  title: A fix that ECS would refuse
  severity: high
  resource: TaskDefinition
  checks:
    - name: network
      require: "taskDefinition.networkMode == 'awsvpc'"
      message: not awsvpc
      fix: [{ edits: [{ set: /networkMode, value: nonsense }] }]
"#;
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(&(audited() + broken)).await;
    story.settle(300);
    story.pass().await;
    let found: PolicyStatus = status(&story, "no-host-pid").await;
    assert_eq!((found.tally.would_change, found.tally.blocked), (1, 0));
    let found: PolicyStatus = status(&story, "broken").await;
    assert_eq!((found.tally.would_change, found.tally.blocked), (0, 1), "{:?}", found.tally);
    // Also where another policy is enforced, and the plan makes that one's change only.
    story.apply(NO_HOST_PID).await;
    story.pass().await;
    assert_eq!(status::<PolicyStatus>(&story, "no-host-pid").await.tally.would_change, 1);
    assert_eq!(status::<PolicyStatus>(&story, "broken").await.tally.blocked, 1);
}

#[tokio::test]
async fn an_unchanged_fleet_writes_nothing_until_the_day_is_over() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.violating_service("prod", "agent");
    story.apply(&(audited() + &waiver("agent", "agent", "2026-06-01T00:00:00Z"))).await;
    story.settle(300);
    story.pass().await;
    let before = versions(&story).await;
    assert!(before.len() > 4, "{before:?}");
    story.passes_for(5 * 60).await;
    let target_record = |versions: &BTreeMap<(String, String), u64>| {
        let mut versions = versions.clone();
        versions.remove(&(format!("rt#{}", target()), "target".to_owned()));
        versions
    };
    assert_eq!(target_record(&versions(&story).await), target_record(&before));
    story.settle(DAY);
    story.pass().await;
    let after = versions(&story).await;
    let changed: Vec<&str> = after
        .iter()
        .filter(|(key, version)| before.get(*key) != Some(version))
        .map(|((_, sort), _)| sort.as_str())
        .collect();
    assert_eq!(changed, ["Cluster#prod", "Policy#no-host-pid"], "the daily figures, and nothing else");
}

#[tokio::test]
async fn days_roll_over_at_midnight_are_kept_through_a_restart_and_a_day_without_a_pass_is_a_gap() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(&audited()).await;
    story.settle(300);
    story.pass().await;
    story.settle(DAY);
    story.pass().await;
    // Three days without a controller; then another one, and the policy says something else.
    story.settle(3 * DAY);
    story.apply(&audited().replace("No host process namespace", "Nobody shares the host's processes")).await;
    let mut other = story.another_controller("two");
    takes_over(&story, &mut other).await;
    let found: PolicyStatus = status(&story, "no-host-pid").await;
    let days: Vec<(String, usize)> =
        found.days.figures().iter().map(|figure| (figure.day.to_string(), figure.would_change)).collect();
    assert_eq!(days, [("2026-01-05".to_owned(), 1), ("2026-01-06".to_owned(), 1), ("2026-01-09".to_owned(), 1)]);
    let streak = found.days.would_have_changed().unwrap();
    assert_eq!((streak.days, streak.gaps), (5, 2));
    let edited: Timestamp = "2026-01-09T00:00:00Z".parse().unwrap();
    assert!(found.since > edited && found.generation == Some(2), "{} {:?}", found.since, found.generation);
    // The first has lost its lease; it cannot write over what the second keeps.
    assert!(story.controller.pass(Depth::Full).await.is_err());
    assert_eq!(status::<PolicyStatus>(&story, "no-host-pid").await, found);
}

async fn takes_over(story: &Story, other: &mut Controller) {
    for _ in 0..10 {
        if other.pass(Depth::Full).await.is_ok() {
            return;
        }
        story.settle(15);
    }
    panic!("the lease was never free");
}

async fn all<T: Status>(story: &Story) -> BTreeMap<String, T> {
    let target = target();
    let all = Statuses::of(story.store.as_ref(), &target).list::<T>().await.unwrap();
    all.into_iter().map(|(name, status)| (name, status.value)).collect()
}

/// The last day of each, added up: judged, failing, unknown.
fn today<'a>(days: impl Iterator<Item = &'a DayFigure>) -> (usize, usize, usize) {
    days.fold((0, 0, 0), |(matched, failing, unknown), figure| {
        (matched + figure.matched, failing + figure.failing, unknown + figure.unknown)
    })
}

#[tokio::test]
async fn days_of_clusters_add_up_to_those_of_policies_and_end_with_their_cluster() {
    let about_clusters = "---\napiVersion: plimsoll/v1\nkind: Policy\nmetadata: { name: insights }\nspec: { title: t, \
         severity: low, resource: Cluster, checks: [{ name: c, require: \"cluster.clusterName != 'dev'\", message: m }] }\n";
    let mut story = Story::begin();
    story.cluster("prod");
    story.cluster("dev");
    story.cluster("idle");
    story.violating_service("prod", "web");
    story.violating_service("prod", "agent");
    story.violating_service("dev", "web");
    story.apply(&(audited() + about_clusters + &waiver("agent", "agent", "2026-06-01T00:00:00Z"))).await;
    story.settle(300);
    story.pass().await;
    let clusters: BTreeMap<String, ClusterStatus> = all(&story).await;
    let of = |name: &str| today(clusters[name].days.figures().iter());
    // Two services and the cluster itself, of which one service fails and one is waived; one and the cluster; the cluster.
    assert_eq!((of("prod"), of("dev"), of("idle")), ((3, 1, 0), (2, 2, 0), (1, 0, 0)));
    let policies: BTreeMap<String, PolicyStatus> = all(&story).await;
    assert_eq!(
        today(policies.values().flat_map(|status| status.days.figures())),
        today(clusters.values().flat_map(|status| status.days.figures()))
    );
    // While not all could be looked for nothing is gone, and the day says so.
    story.settle(DAY);
    story.call("DeleteCluster", json!({ "cluster": "idle" }));
    story.ecs.set_faults(|call| {
        (call.operation.as_str() == "ListServices")
            .then(|| Fault::Refuse { code: "AccessDeniedException".to_owned(), message: "no".to_owned() })
    });
    story.pass().await;
    let known = all::<ClusterStatus>(&story).await;
    assert!(known.contains_key("idle"), "{known:?}");
    assert!(known["prod"].days.figures().last().unwrap().incomplete, "{known:?}");
    story.ecs.set_faults(|_| None);
    story.pass().await;
    let known: BTreeMap<String, ClusterStatus> = all(&story).await;
    assert_eq!(known.keys().collect::<Vec<_>>(), ["dev", "prod"]);
    assert_eq!(known["prod"].days.figures().len(), 2);
}

#[tokio::test]
async fn of_thousands_of_clusters_a_thousand_have_days_and_keep_them() {
    let mut story = Story::begin();
    story.cluster("zz-first");
    story.apply(&audited()).await;
    story.pass().await;
    for number in 0..CLUSTERS + 2 {
        story.cluster(&format!("c-{number:04}"));
    }
    story.pass().await;
    let known: BTreeMap<String, ClusterStatus> = all(&story).await;
    assert_eq!(known.len(), CLUSTERS);
    assert!(known.contains_key("zz-first") && known.contains_key("c-0000") && !known.contains_key("c-1000"));
}

#[tokio::test]
async fn ninety_days_are_kept_and_no_more() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(&audited()).await;
    for _ in 0..95 {
        story.settle(DAY);
        story.pass().await;
    }
    let found: PolicyStatus = status(&story, "no-host-pid").await;
    assert_eq!(found.days.figures().len(), 90);
    assert_eq!(found.days.would_have_changed().unwrap().days, 90);
    assert!(serde_json::to_string(&found).unwrap().len() < 12 * 1024, "an item stays small");
}

#[tokio::test]
async fn a_waiver_that_ends_lets_the_fix_roll_out_and_is_told_of_once() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    // The story begins on 2026-01-05 at nine.
    story.apply(&(NO_HOST_PID.to_owned() + &waiver("web", "web", "2026-01-25T00:00:00Z"))).await;
    story.settle(300);
    story.passes_for(60).await;
    assert_eq!(story.runs("prod", "web"), ["web:1", "web:1"], "waived");
    assert_eq!(told(&story, "web").await, Vec::<String>::new());
    story.settle(7 * DAY);
    story.passes_for(60).await;
    assert_eq!(told(&story, "web").await, ["Expiring"], "fourteen days before its end, and once");
    story.settle(12 * DAY + 14 * HOUR);
    story.passes_for(60).await;
    assert_eq!(told(&story, "web").await, ["Expiring"]);
    assert!(story.clock.now() < "2026-01-25T00:00:00Z".parse().unwrap(), "{}", story.clock.now());
    assert_eq!(story.runs("prod", "web"), ["web:1", "web:1"], "strictly before its end it is in force");
    story.settle(HOUR);
    story.passes_for(30 * 60).await;
    assert_eq!(story.runs("prod", "web"), ["web:2", "web:2"]);
    assert_eq!(told(&story, "web").await, ["Expiring", "Expired"]);
    let ended = story.events().await.into_iter().find(|event| event.what == "Expired").unwrap();
    assert_eq!(
        ended.message,
        "waiver `web` ended at 2026-01-25T00:00:00Z, and 1 finding on 1 resource may be fixed now"
    );
}

#[tokio::test]
async fn a_waiver_that_is_no_longer_needed_is_told_of_once_and_again_when_it_is() {
    let mut story = Story::begin();
    story.cluster("prod");
    let bad = story.violating_service("prod", "web");
    let unused = waiver("unused", "nobody", "2026-12-01T00:00:00Z");
    story.apply(&(audited() + &waiver("web", "web", "2026-12-01T00:00:00Z") + &unused)).await;
    story.settle(300);
    story.passes_for(60).await;
    let mut good = host_pid("web");
    good.as_object_mut().unwrap().remove("pidMode");
    let good = story.register(good);
    let deploy = |revision: &str| json!({ "cluster": "prod", "service": "web", "taskDefinition": revision });
    story.call("UpdateService", deploy(&good));
    story.settle(300);
    story.passes_for(60).await;
    assert_eq!(told(&story, "web").await, ["Unneeded"]);
    let found: WaiverStatus = status(&story, "web").await;
    assert_eq!((found.need, found.covers, found.conditions[0].reason.as_str()), (Need::Unneeded, 0, "CoversNothing"));
    // A crash after it was told and before that was written down: the next controller does not tell again.
    let kept = Statuses::of(story.store.as_ref(), &target()).list::<WaiverStatus>().await.unwrap();
    let mut before = kept["web"].value.clone();
    before.told.needed = Some(true);
    Statuses::of(story.store.as_ref(), &target()).write("web", &before, Some(kept["web"].version)).await.unwrap();
    let mut other = story.another_controller("two");
    story.controller.release().await;
    takes_over(&story, &mut other).await;
    assert_eq!(told(&story, "web").await, ["Unneeded"]);
    story.call("UpdateService", deploy(&bad));
    story.settle(300);
    other.pass(Depth::Full).await.unwrap();
    assert_eq!(told(&story, "web").await, ["Unneeded", "Needed"]);
    let never: WaiverStatus = status(&story, "unused").await;
    assert_eq!(
        (never.need, told(&story, "unused").await.len()),
        (Need::Unneeded, 0),
        "it never became so: it is shown"
    );
}

#[tokio::test]
async fn what_is_deleted_leaves_no_status_behind() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(&(audited() + &waiver("web", "web", "2026-12-01T00:00:00Z"))).await;
    story.settle(300);
    story.pass().await;
    story.delete(Kind::Waiver, "web").await;
    story.clock.advance(Duration::from_secs(15));
    story.pass().await;
    let target = target();
    let left = Statuses::of(story.store.as_ref(), &target).list::<WaiverStatus>().await.unwrap();
    assert!(left.is_empty());
}
