//! What people read of policies and waivers that a controller has answered to: in two targets, and in none.

use plimsoll::embedded::EmbeddedStore;
use plimsoll::model::TargetId;
use plimsoll::model::spec::Kind;
use plimsoll::ports::Store;
use plimsoll::ports::store::{Expect, Key};
use plimsoll::records::reports::Reports;
use plimsoll::records::statuses::{BindingStatus, PolicyStatus, Statuses, WaiverStatus};
use plimsoll::records::targets::Targets;
use serde_json::{Value, json};

use super::shape::snapshot;
use super::{POLICIES, Plimsoll, Run};

const POLICY: &str = include_str!("../../fixtures/records/policy-status-1.json");
const WAIVER: &str = include_str!("../../fixtures/records/waiver-status-1.json");
const CLUSTER: &str = include_str!("../../fixtures/records/cluster-status-1.json");
const BINDING: &str = include_str!("../../fixtures/records/binding-status-1.json");

fn target(region: &str) -> TargetId {
    TargetId { account: "123456789012".to_owned(), region: region.to_owned() }
}

fn waiver(name: &str, more: &str) -> String {
    format!(
        "---\napiVersion: plimsoll/v1\nkind: Waiver\nmetadata: {{ name: {name} }}\nspec: {{ policies: [no-host-pid], \
         owner: platform@example.com, reason: the agent reads host processes, ticket: SEC-1, {more} }}\n"
    )
}

const FAR: &str = "expiresAt: 2126-01-01T00:00:00Z, longerThanAYear: the vendor needs it";
const OVER: &str = "expiresAt: 2026-01-20T00:00:00Z";

/// Puts an item there as it was written once.
async fn put(store: &EmbeddedStore, region: &str, kind: Kind, name: &str, text: &str) {
    let Value::Object(body) = serde_json::from_str(text).unwrap() else { panic!("an object") };
    let key = Key::new(format!("rt#{}#status", target(region)), format!("{kind}#{name}"));
    store.put(&key, &body, Expect::Any, None).await.unwrap();
}

/// Policies and waivers in a store, and what controllers of two regions answered.
async fn answered() -> Plimsoll {
    let plimsoll = tokio::task::spawn_blocking(|| {
        let plimsoll = Plimsoll::with_store();
        let waivers = waiver("agent", FAR) + &waiver("idle", FAR) + &waiver("over", OVER);
        plimsoll.write("all.yaml", &(POLICIES.to_owned() + &waivers));
        plimsoll.run(&["apply", "-f", "all.yaml"]).exits(0).says("waiver `over` expired at 2026-01-20T00:00:00Z");
        plimsoll
    })
    .await
    .unwrap();
    let store = EmbeddedStore::open(&plimsoll.path("plimsoll.db")).unwrap();
    let idle = WAIVER.replace("\"covers\": 3", "\"covers\": 0").replace("\"resources\": 2", "\"resources\": 0");
    let idle = idle.replace("\"need\": \"needed\"", "\"need\": \"unneeded\"");
    for region in ["eu-west-1", "us-east-1"] {
        Targets::of(&store).announce(&target(region)).await.unwrap();
        // Applied once: the generation is the first.
        put(&store, region, Kind::Policy, "no-host-pid", &POLICY.replace("\"generation\": 3", "\"generation\": 1"))
            .await;
        put(&store, region, Kind::Binding, "enforce-all", BINDING).await;
        put(&store, region, Kind::Waiver, "agent", WAIVER).await;
        put(&store, region, Kind::Waiver, "idle", &idle).await;
    }
    let report = |name: &str, waivers: Value, findings: Value| {
        json!({
            "resource": format!("arn:aws:ecs:eu-west-1:123456789012:service/prod/{name}"),
            "taskDefinition": format!("arn:aws:ecs:eu-west-1:123456789012:task-definition/{name}:7"),
            "outcome": "waived", "enforcement": "audit", "reason": null, "policies": [], "findings": findings, "diff": [],
            "wave": null, "waivers": waivers, "verdicts": { "no-host-pid": "waived" }, "policySet": "sha256:p"
        })
    };
    let finding = json!([{ "policy": "no-host-pid", "severity": "high", "check": "pid-mode", "path": "/pidMode",
        "container": null, "message": "the task shares processes", "fixable": true, "waiver": "agent" }]);
    let reports = [
        report("web", json!([{ "name": "agent", "covers": 1, "need": "needed" }]), finding),
        report("api", json!([{ "name": "agent", "covers": 0, "need": "unneeded" }]), json!([])),
    ];
    for report in reports {
        let reported = serde_json::from_value(report).unwrap();
        let target = target("eu-west-1");
        let reports = Reports::of(&store, &target);
        reports.write(&[reports.item(&reported).unwrap()]).await.unwrap();
    }
    plimsoll
}

async fn run(plimsoll: &Plimsoll, arguments: &[&str]) -> Run {
    tokio::task::block_in_place(|| plimsoll.run(arguments))
}

/// How much is left of a century changes every day.
fn without_days(text: &str) -> String {
    let pattern = regex::Regex::new(r"\b3[0-9]{4}\b").unwrap();
    let time = regex::Regex::new(r"20[0-9-]+T[0-9:.]+Z").unwrap();
    let fixed = |found: &regex::Captures<'_>| match &found[0] {
        known @ ("2026-01-05T09:05:00Z" | "2026-01-20T00:00:00Z") => known.to_owned(),
        _ => "TIME".to_owned(),
    };
    // This machine's name.
    let host = regex::Regex::new(r"tester@[\w.-]+").unwrap();
    let text = host.replace_all(text, "tester@host");
    time.replace_all(&pattern.replace_all(&text, "DAYS"), fixed).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_are_shown_day_by_day() {
    let plimsoll = answered().await;
    let store = EmbeddedStore::open(&plimsoll.path("plimsoll.db")).unwrap();
    let Value::Object(body) = serde_json::from_str(CLUSTER).unwrap() else { panic!("an object") };
    let key = Key::new(format!("rt#{}#status", target("eu-west-1")), "Cluster#prod");
    store.put(&key, &body, Expect::Any, None).await.unwrap();
    snapshot("get-clusters", &run(&plimsoll, &["get", "clusters", "-o", "wide"]).await.exits(0).stdout);
    let one = run(&plimsoll, &["get", "cluster", "prod", "-o", "json"]).await.exits(0).json();
    assert_eq!((&one["kind"], &one["metadata"]["name"]), (&json!("ClusterReport"), &json!("prod")));
    assert_eq!(one["spec"]["target"], json!({ "account": "123456789012", "region": "eu-west-1" }));
    let days = one["status"]["days"].as_array().unwrap();
    assert_eq!((days.len(), &days[0]["day"], &days[1]["incomplete"]), (2, &json!("2026-01-05"), &json!(true)));
    run(&plimsoll, &["get", "cluster", "prod", "-o", "name"]).await.exits(0).prints("cluster/prod");
    run(&plimsoll, &["get", "cluster", "prodd"]).await.exits(2).says("there is no cluster `prodd`").says("`prod`");
    run(&plimsoll, &["describe", "cluster", "prod"]).await.exits(2).says("use `plimsoll get cluster prod -o yaml`");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_and_waivers_are_shown_with_what_controllers_answered() {
    let plimsoll = answered().await;
    snapshot("get-policies", &run(&plimsoll, &["get", "policies"]).await.exits(0).stdout);
    snapshot("get-bindings", &run(&plimsoll, &["get", "bindings"]).await.exits(0).stdout);
    let waivers = run(&plimsoll, &["get", "waivers", "-o", "wide"]).await.exits(0).stdout;
    snapshot("get-waivers", &without_days(&waivers));
    for name in ["agent", "idle", "over"] {
        let described = run(&plimsoll, &["describe", "waiver", name]).await.exits(0).stdout;
        // What is before the spec names the item by its hash, which is another one at every time.
        let (_, spec) = described.split_once("spec:\n").unwrap();
        snapshot(&format!("describe-waiver-{name}"), &without_days(spec));
    }
    let described = run(&plimsoll, &["describe", "policy", "no-host-pid"]).await.exits(0).stdout;
    let (_, sentences) = described.split_once("named by").unwrap();
    snapshot("describe-policy", sentences);
    let service = run(&plimsoll, &["describe", "service", "prod/web"]).await.exits(0).stdout;
    assert!(without_days(&service).contains("(waived by `agent`, DAYS days left)"), "{service}");
    let service = run(&plimsoll, &["describe", "service", "prod/api"]).await.exits(0).stdout;
    assert!(without_days(&service).contains("waiver `agent` is no longer needed here, DAYS days left"), "{service}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_a_policy_is_the_sum_of_its_targets() {
    let plimsoll = answered().await;
    let policy = run(&plimsoll, &["get", "policy", "no-host-pid", "-o", "json"]).await.exits(0).json();
    let status = &policy["status"];
    assert_eq!(
        (&status["observedGeneration"], &status["matched"], &status["wouldChange"]),
        (&json!(1), &json!(120), &json!(82))
    );
    assert_eq!(status["blockedBy"], json!({ "CodeDeployController": 2, "NoHeadroom": 4 }));
    assert_eq!(status["wouldHaveChanged"], json!({ "since": "2026-01-05", "days": 2, "gaps": 0 }));
    assert_eq!((status["days"].as_array().unwrap().len(), &status["days"][1]["wouldChange"]), (2, &json!(82)));
    assert_eq!((status["targets"].as_array().unwrap().len(), &status["targets"][1]["wouldChange"]), (2, &json!(41)));
    let condition = |kind: &str| {
        let all = status["conditions"].as_array().unwrap();
        all.iter().find(|condition| condition["type"] == kind).unwrap().clone()
    };
    assert_eq!(condition("Observed")["status"], "True");
    assert_eq!(
        condition("Compliant"),
        json!({ "type": "Compliant", "status": "False", "reason": "Failing", "message": "88 of 120 fail",
            "lastTransitionTime": "2026-01-05T09:05:00Z" })
    );
    let one =
        run(&plimsoll, &["get", "policy", "no-host-pid", "-o", "json", "--target", "123456789012/eu-west-1"]).await;
    assert_eq!(one.exits(0).json()["status"]["wouldChange"], 41);
    // What nobody has looked at is no zero.
    let other = run(&plimsoll, &["get", "policy", "no-root", "-o", "json"]).await.exits(0).json();
    assert_eq!((&other["status"]["failing"], &other["status"]["observedGeneration"]), (&Value::Null, &Value::Null));
    assert_eq!(other["status"]["conditions"][0]["reason"], "NoReport");
    // And what has been changed since is not yet what was judged by.
    plimsoll.write("all.yaml", &POLICIES.replace("title: no host process namespace", "title: another"));
    run(&plimsoll, &["apply", "-f", "all.yaml"]).await.exits(0);
    let policy = run(&plimsoll, &["get", "policy", "no-host-pid", "-o", "json"]).await.exits(0).json();
    let observed = &policy["status"]["conditions"][0];
    assert_eq!((&observed["status"], &observed["reason"]), (&"False".into(), &"NotYetObserved".into()));
    run(&plimsoll, &["describe", "policy", "no-host-pid"])
        .await
        .exits(0)
        .prints("targets are not judged by generation 2 of it yet; this status is of generation 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_says_whether_it_is_in_force_and_whether_it_is_needed() {
    let plimsoll = answered().await;
    let list = run(&plimsoll, &["get", "waivers", "-o", "json"]).await.exits(0).json();
    let status = |index: usize| list["items"][index]["status"].clone();
    let (agent, idle, over) = (status(0), status(1), status(2));
    assert_eq!((&agent["covers"], &agent["resources"], &agent["need"]), (&json!(6), &json!(4), &"needed".into()));
    assert_eq!((&agent["term"], &agent["expired"]), (&"inForce".into(), &json!(false)));
    assert_eq!((&idle["need"], &idle["conditions"][2]["reason"]), (&"unneeded".into(), &"CoversNothing".into()));
    assert_eq!((&over["term"], &over["expired"], &over["covers"]), (&"expired".into(), &json!(true), &Value::Null));
    assert!(over["daysLeft"].as_i64().unwrap() < 0);
    assert_eq!(over["conditions"][0]["status"], "False");
}

#[tokio::test]
async fn items_of_the_first_shape_stay_readable() {
    let store = EmbeddedStore::in_memory().unwrap();
    put(&store, "eu-west-1", Kind::Policy, "p", POLICY).await;
    put(&store, "eu-west-1", Kind::Waiver, "w", WAIVER).await;
    put(&store, "eu-west-1", Kind::Binding, "b", BINDING).await;
    let target = target("eu-west-1");
    let statuses = Statuses::of(&store, &target);
    let policy = &statuses.list::<PolicyStatus>().await.unwrap()["p"].value;
    assert_eq!(
        (policy.tally.would_change, policy.days.figures().len(), policy.days.figures()[1].incomplete),
        (41, 2, true)
    );
    let waiver = &statuses.list::<WaiverStatus>().await.unwrap()["w"].value;
    assert_eq!((waiver.covers, waiver.told.needed), (3, Some(true)));
    assert_eq!(statuses.list::<BindingStatus>().await.unwrap()["b"].value.tally.resources, 60);
    // What is written now is what was written then.
    let again = |text: &str, now: Value| assert_eq!(now, serde_json::from_str::<Value>(text).unwrap());
    again(POLICY, serde_json::to_value(policy).unwrap());
    again(WAIVER, serde_json::to_value(waiver).unwrap());
}

#[test]
fn a_waiver_of_more_than_a_year_says_why_or_is_refused_where_it_is_written() {
    let plimsoll = Plimsoll::with_store();
    let far = waiver("agent", "expiresAt: 2126-01-01T00:00:00Z");
    plimsoll.write("all.yaml", &(POLICIES.to_owned() + &far));
    plimsoll.write("task.json", r#"{ "family": "web", "containerDefinitions": [{ "name": "app", "image": "a" }] }"#);
    for arguments in
        [&["apply", "-f", "all.yaml"][..], &["apply", "-f", "all.yaml", "--dry-run"], &["plan", "-f", "all.yaml"]]
    {
        plimsoll
            .run(arguments)
            .exits(2)
            .says("all.yaml:")
            .says("`2126-01-01T00:00:00Z` is more than a year away")
            .says("longerThanAYear");
    }
    assert_eq!(plimsoll.run(&["get", "waivers", "-o", "name"]).exits(0).stdout, "");
    for arguments in
        [&["check", "task.json", "-f", "all.yaml"][..], &["fix", "task.json", "-f", "all.yaml"], &["test", "all.yaml"]]
    {
        plimsoll.run(arguments).exits(2).says("all.yaml:").says("is more than a year away").says("longerThanAYear");
    }
    plimsoll.write("all.yaml", &(POLICIES.to_owned() + &waiver("agent", FAR)));
    plimsoll.run(&["apply", "-f", "all.yaml"]).exits(0).prints("waiver/agent created");
    plimsoll.write(
        "all.yaml",
        &(POLICIES.to_owned() + &waiver("agent", "expiresAt: 2126-01-01T00:00:00Z, longerThanAYear: ' '")),
    );
    plimsoll.run(&["apply", "-f", "all.yaml"]).exits(2).says("must not be empty");
    plimsoll.run(&["explain", "Waiver.spec.longerThanAYear"]).exits(0).prints("Why it may last longer than a year");
}

#[test]
fn a_check_says_what_to_do_about_waivers() {
    let plimsoll = Plimsoll::new();
    let task = r#"{ "family": "web", "pidMode": "host", "containerDefinitions": [{ "name": "app", "image": "a" }] }"#;
    plimsoll.write("task.json", task);
    let scoped = waiver("elsewhere", &format!("{FAR}, scope: {{ include: {{ families: [api] }} }}"));
    let narrow = waiver("narrow", &format!("{FAR}, containers: [sidecar]"));
    let waivers = waiver("agent", FAR) + &narrow + &scoped + &waiver("over", OVER);
    plimsoll.write("all.yaml", &(POLICIES.to_owned() + &waivers));
    let run = plimsoll.run(&["check", "task.json", "-f", "all.yaml"]).exits(0);
    let told = without_days(&run.stdout);
    assert!(told.contains("(waived by `agent`, DAYS days left)"), "{told}");
    assert!(told.contains("waiver `over` expired at 2026-01-20T00:00:00Z: renew or delete it"), "{told}");
    assert!(told.contains("waiver `narrow` is not needed: nothing fails in these files that it would cover"), "{told}");
    assert!(!told.contains("`elsewhere`"), "what is out of scope here may be needed elsewhere: {told}");
    let wide = plimsoll.run(&["check", "task.json", "-f", "all.yaml", "-o", "wide"]).exits(0);
    let wide = wide.prints("waiver `elsewhere` is not needed: nothing fails in these files that it would cover");
    assert!(!wide.stdout.contains("`agent` is not needed"), "{}", wide.stdout);
    let report = plimsoll.run(&["check", "task.json", "-f", "all.yaml", "-o", "json"]).exits(0).json();
    let needs: Vec<_> = report["waivers"].as_array().unwrap().iter().map(|one| (&one["name"], &one["need"])).collect();
    let expected = [("agent", "needed"), ("elsewhere", "unneeded"), ("narrow", "unneeded"), ("over", "unknown")];
    assert_eq!(
        needs,
        expected.map(|(name, need)| (json!(name), json!(need))).iter().map(|(one, two)| (one, two)).collect::<Vec<_>>()
    );
}
