//! What a controller has recorded, as people read it, and what they ask of one that is alive.

use plimsoll::cli::SystemClock;
use plimsoll::embedded::EmbeddedStore;
use plimsoll::model::{Reason, ReasonCode, TargetId, Timestamp};
use plimsoll::ports::Clock;
use plimsoll::records::campaign::Campaigns;
use plimsoll::records::command::{Answer, Ask, Commands};
use plimsoll::records::events::{Entry, Events};
use plimsoll::records::lease::{Lease, Leases};
use plimsoll::records::reports::Reports;
use plimsoll::records::targets::Targets;
use plimsoll::rollout::command::Request;
use plimsoll::rollout::{Change, Rollout, RolloutState, State};
use serde_json::{Value, json};

use super::Plimsoll;

const WEB: &str = "arn:aws:ecs:eu-west-1:123456789012:service/prod/web";
const API: &str = "arn:aws:ecs:eu-west-1:123456789012:service/prod/api";

fn target() -> TargetId {
    TargetId { account: "123456789012".to_owned(), region: "eu-west-1".to_owned() }
}

fn early() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

fn rollout() -> Rollout {
    let wave = |name: &str, bake: u64| json!({ "name": name, "bakeSeconds": bake, "maxInFlight": 5, "maxFailures": 0 });
    let reason = json!({ "code": "ChangeFailed", "message": "1 of 2 changes failed, 0 are tolerated", "until": null });
    serde_json::from_value(json!({
        "name": "careful-1",
        "spec": {
            "target": target(), "plan": "sha256:abc", "strategyName": "careful", "strategy": {}, "fixes": ["sha256:f"],
            "services": 20, "waves": [wave("canary", 60), wave("rest", 0)]
        },
        "phase": "Paused", "wave": 0, "reason": reason,
        "epoch": 1, "approvedWaves": 0, "createdAt": early(), "waiting": null
    }))
    .unwrap()
}

fn change(number: &str, arn: &str, wave: usize, state: Value) -> Change {
    let mut value = json!({
        "name": format!("careful-1/{number}"),
        "spec": {
            "rollout": "careful-1", "resource": arn, "createdAt": early(),
            "cluster": "arn:aws:ecs:eu-west-1:123456789012:cluster/prod", "kind": "revision",
            "from": "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7",
            "to": "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:8",
            "diff": [
                { "document": "taskDefinition", "op": "remove", "path": "/pidMode", "from": "host", "policy": "no-host-pid" },
                { "document": "taskDefinition", "op": "remove", "path": "/containerDefinitions/0/environment/0",
                  "from": { "name": "TOKEN", "value": "CANARY" }, "policy": "no-tokens" }
            ],
            "documents": null, "setting": null, "fixes": ["sha256:f"], "policies": ["no-host-pid"], "wave": wave
        },
        "epoch": 1, "waiting": null,
        "history": [{ "at": early(), "phase": "Updating", "reason": null }]
    });
    value.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

/// A paused rollout of two changes, a report, an event, and a controller that is alive.
async fn recorded() -> (Plimsoll, EmbeddedStore) {
    let plimsoll = tokio::task::spawn_blocking(Plimsoll::with_store).await.unwrap();
    let store = EmbeddedStore::open(&plimsoll.path("plimsoll.db")).unwrap();
    let target = target();
    Targets::of(&store).announce(&target).await.unwrap();
    let campaigns = Campaigns::of(&store, &target);
    campaigns.put(&rollout(), None).await.unwrap();
    let cause = json!({ "code": "TasksFail", "message": "tasks of the deployment fail", "until": null });
    campaigns
        .put(&change("0001", WEB, 0, json!({ "phase": "RolledBack", "cause": cause, "at": early() })), None)
        .await
        .unwrap();
    campaigns.put(&change("0002", API, 1, json!({ "phase": "Pending" })), None).await.unwrap();
    let report = json!({
        "resource": WEB, "taskDefinition": "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7",
        "outcome": "deferred", "enforcement": "enforce",
        "reason": { "code": "Held", "message": "the fix is held", "until": null }, "policies": ["no-host-pid"],
        "findings": [{ "policy": "no-host-pid", "severity": "high", "check": "pid-mode", "path": "/pidMode", "container": null, "message": "the task shares processes", "fixable": true }],
        "diff": [], "wave": null, "verdicts": { "no-host-pid": "fail" }, "policySet": "sha256:p"
    });
    let reports = Reports::of(&store, &target);
    let report = reports.item(&serde_json::from_value(report).unwrap()).unwrap();
    reports.write(&[report]).await.unwrap();
    let reason = Reason::of(ReasonCode::TasksFail, "tasks of the deployment fail");
    let entry = |what: &str| Entry {
        subject: "Change/careful-1/0001".to_owned(),
        at: early(),
        what: what.to_owned(),
        message: format!("web is {what}"),
        reason: Some(reason.clone()),
        by: "plimsoll".to_owned(),
    };
    Events::of(&store, &target).append(entry("Updating")).await.unwrap();
    Events::of(&store, &target).append(entry("RolledBack")).await.unwrap();
    let lease =
        Lease { holder: Some("one".to_owned()), epoch: 1, length_millis: 3_600_000, renewed_at: SystemClock.now() };
    Leases::of(&store, &target).write(&lease, None).await.unwrap();
    (plimsoll, store)
}

/// Runs on a thread of its own: the test's runtime goes on being the controller.
async fn run(plimsoll: Plimsoll, arguments: &'static [&'static str]) -> (Plimsoll, super::Run) {
    tokio::task::spawn_blocking(move || {
        let run = plimsoll.run(arguments);
        (plimsoll, run)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_rollout_says_where_it_stands_why_and_what_to_do_next() {
    let (plimsoll, _store) = recorded().await;
    let (plimsoll, status) = run(plimsoll, &["rollout", "status", "careful-1"]).await;
    super::shape::snapshot("rollout-status", &status.exits(0).stdout);
    let (plimsoll, history) = run(plimsoll, &["rollout", "history", "careful-1"]).await;
    super::shape::snapshot("rollout-history", &history.exits(0).stdout);
    let (plimsoll, list) = run(plimsoll, &["rollout", "list"]).await;
    super::shape::snapshot("rollout-list", &list.exits(0).stdout);
    let (_, service) = run(plimsoll, &["describe", "service", "prod/web"]).await;
    super::shape::snapshot("describe-service", &service.exits(0).stdout);
}

#[tokio::test]
async fn a_rollout_and_its_changes_have_the_shapes_of_the_contract() {
    let (plimsoll, _store) = recorded().await;
    let (plimsoll, list) = run(plimsoll, &["get", "rollouts", "-o", "json"]).await;
    let list = list.exits(0).json();
    let status = &list["items"][0]["status"];
    assert_eq!((&status["phase"], &status["wave"], &status["waiting"]), (&"Paused".into(), &1.into(), &Value::Null));
    let counts = json!({ "total": 2, "pending": 1, "inFlight": 0, "succeeded": 0, "unverified": 0, "failed": 0, "blocked": 0,
        "deferred": 0, "rolledBack": 1, "overtaken": 0, "gone": 0 });
    assert_eq!(status["counts"], counts);
    assert_eq!(status["conditions"][0]["type"], "Complete");
    assert_eq!(status["conditions"][1], Value::Null, "it listens to no alarms");
    let (plimsoll, changes) = run(plimsoll, &["get", "changes", "-o", "json"]).await;
    let changes = changes.exits(0);
    assert!(!changes.stdout.contains("CANARY"), "{changes:#?}");
    let change = &changes.json()["items"][0];
    assert_eq!((&change["spec"]["resource"], &change["spec"]["kind"]), (&WEB.into(), &"revision".into()));
    assert_eq!(change["status"]["reason"]["code"], "TasksFail");
    assert_eq!(change["status"]["history"][0]["phase"], "Updating");
    let (plimsoll, findings) = run(plimsoll, &["get", "findings", "-o", "json"]).await;
    let finding = &findings.exits(0).json()["items"][0];
    assert_eq!(
        (&finding["resource"], &finding["policy"], &finding["path"]),
        (&WEB.into(), &"no-host-pid".into(), &"/pidMode".into())
    );
    let (_, services) = run(plimsoll, &["get", "services"]).await;
    services.exits(0).prints("prod/web").prints("deferred").prints("Held");
}

#[tokio::test]
async fn events_are_told_by_subject_and_an_edited_log_is_found_out() {
    let (plimsoll, store) = recorded().await;
    let (plimsoll, all) = run(plimsoll, &["events"]).await;
    assert_eq!(all.exits(0).stdout.lines().count(), 3);
    let (plimsoll, of) = run(plimsoll, &["events", "--for", "Rollout/careful-1", "-o", "json"]).await;
    assert_eq!(of.exits(0).json()["items"].as_array().unwrap().len(), 2);
    let (plimsoll, of) = run(plimsoll, &["events", "--for", "Service/prod/web", "-o", "json"]).await;
    assert_eq!(of.exits(0).json()["items"].as_array().unwrap().len(), 2);
    let (plimsoll, of) = run(plimsoll, &["events", "--for", "Change/careful-1/0002", "-o", "json"]).await;
    assert_eq!(of.exits(0).json()["items"].as_array().unwrap().len(), 0);
    let (plimsoll, whole) = run(plimsoll, &["audit", "verify"]).await;
    whole.exits(0).prints("2 events in 1 chain, 0 broken");
    use plimsoll::ports::store::{Expect, Key, Store};
    let key = Key::new("rt#123456789012/eu-west-1#events", "Change/careful-1/0001#00000001");
    let mut event = store.get(std::slice::from_ref(&key)).await.unwrap().remove(0).unwrap().body;
    event.insert("by".to_owned(), json!("nobody"));
    store.put(&key, &event, Expect::Any, None).await.unwrap();
    let (_, broken) = run(plimsoll, &["audit", "verify"]).await;
    broken.exits(1).prints("event 1 of `Change/careful-1/0001` was changed");
}

#[tokio::test]
async fn what_is_asked_is_stored_with_who_asked() {
    let (plimsoll, store) = recorded().await;
    let target = target();
    let landed = json!({ "phase": "Succeeded", "at": early(), "deployment": null });
    Campaigns::of(&store, &target).put(&change("0001", WEB, 0, landed), Some(1)).await.unwrap();
    let (plimsoll, asked) = run(plimsoll, &["rollout", "undo", "careful-1", "--service", "prod/web"]).await;
    asked.exits(0).says("asked `one`, the controller of 123456789012/eu-west-1");
    let open = Commands::of(&store, &target).open().await.unwrap();
    let request = Request::Undo { service: Some(WEB.parse().unwrap()) };
    assert_eq!(open[0].ask, Ask::Rollout { name: "careful-1".to_owned(), request });
    assert!(open[0].by.starts_with("tester"), "{}", open[0].by);
    let (plimsoll, wrong) = run(plimsoll, &["rollout", "undo", "careful-1", "--service", "prod/other"]).await;
    wrong.exits(2).says("has no change of `prod/other`");
    let (plimsoll, wrong) = run(plimsoll, &["rollout", "approve", "careful-1", "--plan", "sha256:other"]).await;
    wrong.exits(2).says("came from plan `sha256:abc`");
    let (_, hold) = run(plimsoll, &["hold", "add", "prod/web", "--for", "2h", "--reason", "audit"]).await;
    hold.exits(0).prints(WEB);
    assert_eq!(Commands::of(&store, &target).open().await.unwrap().len(), 2);
}

/// Plays the controller: answers the first Command it sees, and brings the rollout to a state.
async fn obey(store: &EmbeddedStore, done: bool, state: Option<RolloutState>) {
    let target = target();
    let commands = Commands::of(store, &target);
    let command = loop {
        match commands.open().await.unwrap().pop() {
            Some(command) => break command,
            None => tokio::task::yield_now().await,
        }
    };
    let campaigns = Campaigns::of(store, &target);
    if let Some(state) = state {
        let campaign = campaigns.campaign("careful-1").await.unwrap().unwrap();
        let next = matches!(state, RolloutState::Progressing { .. });
        let waiting = next.then(|| Reason::of(ReasonCode::ApprovalRequired, "wave 2 (`rest`) waits for approval"));
        let ended = Rollout { state, waiting, ..campaign.rollout.value };
        campaigns.put(&ended, Some(campaign.rollout.version)).await.unwrap();
        for change in campaign.changes {
            let state = State::Gone { at: early() };
            campaigns.put(&Change { state, ..change.value }, Some(change.version)).await.unwrap();
        }
    }
    let answer = Answer { done, message: "so it is".to_owned(), at: early(), rollouts: Vec::new() };
    commands.reply(&command.id, &answer).await.unwrap();
}

#[tokio::test]
async fn waiting_ends_with_the_rollout_and_tells_how() {
    let (plimsoll, store) = recorded().await;
    let succeeded = RolloutState::Succeeded { at: early() };
    let ((_, run), ()) =
        tokio::join!(run(plimsoll, &["rollout", "resume", "careful-1", "--wait"]), obey(&store, true, Some(succeeded)));
    run.exits(0).says("so it is").prints("careful-1  Succeeded");
}

#[tokio::test]
async fn under_each_wave_waiting_for_an_approval_ends_at_the_next_one() {
    let (plimsoll, store) = recorded().await;
    let target = target();
    let campaigns = Campaigns::of(&store, &target);
    let stored = campaigns.campaign("careful-1").await.unwrap().unwrap().rollout;
    let waits = Rollout { state: RolloutState::Progressing { wave: 0 }, ..stored.value };
    campaigns.put(&waits, Some(stored.version)).await.unwrap();
    let next = RolloutState::Progressing { wave: 1 };
    let ((_, run), ()) =
        tokio::join!(run(plimsoll, &["rollout", "approve", "careful-1", "--wait"]), obey(&store, true, Some(next)));
    run.exits(0)
        .prints("ApprovalRequired: wave 2 (`rest`) waits for approval")
        .prints("next: `plimsoll rollout approve careful-1` lets the next wave begin");
}

#[tokio::test]
async fn watching_ends_with_the_rollout_and_tells_each_change_once_where_there_is_no_terminal() {
    let (plimsoll, store) = recorded().await;
    let follow = run(plimsoll, &["rollout", "status", "careful-1", "-w"]);
    let end = async {
        let target = target();
        let campaigns = Campaigns::of(&store, &target);
        let campaign = campaigns.campaign("careful-1").await.unwrap().unwrap();
        let pending = campaign.changes.into_iter().find(|change| change.value.state == State::Pending).unwrap();
        let state = State::Succeeded { at: early(), deployment: None };
        campaigns.put(&Change { state, ..pending.value }, Some(pending.version)).await.unwrap();
        let state = RolloutState::Succeeded { at: early() };
        let ended = Rollout { state, ..campaign.rollout.value };
        campaigns.put(&ended, Some(campaign.rollout.version)).await.unwrap();
    };
    let ((_, followed), ()) = tokio::join!(follow, end);
    let followed = followed.exits(0);
    assert!(!followed.stdout.contains('\u{1b}'), "nothing steers what is no terminal: {followed:#?}");
    assert_eq!(followed.stdout.matches("careful-1  Succeeded").count(), 1, "{followed:#?}");
    assert!(followed.stdout.trim_end().ends_with("takes it back"), "{followed:#?}");
}

#[tokio::test]
async fn a_service_says_why_it_is_in_its_state() {
    let (plimsoll, store) = recorded().await;
    let target = target();
    let time = |text: &str| -> Timestamp { text.parse().unwrap() };
    let reports = Reports::of(&store, &target);
    let mut report = reports.list().await.unwrap().remove(WEB).unwrap();
    report.resource.bindings = vec!["enforce-all".to_owned()];
    report.resource.exempt =
        vec!["its tag `team=x` brings it under Waiver `by-tag`, until 2099-06-01T00:00:00Z".to_owned()];
    report.resource.put_back = vec![
        serde_json::from_value(json!({
            "revision": "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7", "registeredBy": "arn:aws:iam::123456789012:user/ci",
            "registeredAt": "2026-11-22T08:00:00Z", "rollout": "careful-0", "landedAt": "2026-11-21T08:00:00Z"
        }))
        .unwrap(),
    ];
    reports.write(&[reports.item(&report).unwrap()]).await.unwrap();
    let hold = plimsoll::model::Hold {
        resource: plimsoll::model::Resource::Service(WEB.parse().unwrap()),
        fix: "sha256:f".to_owned(),
        policy: "no-host-pid".to_owned(),
        reason: Reason::of(ReasonCode::TasksFail, "tasks of the deployment fail"),
        by: None,
        rollout: Some("careful-1".to_owned()),
        created_at: early(),
        until: Some(time("2099-01-01T00:00:00Z")),
    };
    // A change of two fixes leaves two, which read alike.
    for fix in ["sha256:f", "sha256:g"] {
        let hold = plimsoll::model::Hold { fix: fix.to_owned(), ..hold.clone() };
        Campaigns::of(&store, &target).put(&hold, None).await.unwrap();
    }
    let conditions = vec![Reason::of(ReasonCode::Throttled, "ListServices: ECS asked to slow down")];
    let record = plimsoll::records::targets::TargetRecord { conditions, ..Default::default() };
    Targets::of(&store).write(&target, &record, None).await.unwrap();
    plimsoll.write("policies.yaml", super::POLICIES);
    let (plimsoll, _) = run(plimsoll, &["apply", "-f", "policies.yaml"]).await;
    let (plimsoll, _) = run(plimsoll, &["freeze", "peak", "--scope", "cluster=prod", "--reason", "peak season"]).await;
    let (_, described) = run(plimsoll, &["describe", "service", "prod/web"]).await;
    super::shape::snapshot("describe-service-held", &described.exits(0).stdout);
}

#[tokio::test]
async fn a_rollout_that_ends_otherwise_is_a_no() {
    let (plimsoll, store) = recorded().await;
    let reason = Reason::of(ReasonCode::ChangeFailed, "again");
    let failed = RolloutState::Failed { reason, at: early() };
    let ((_, run), ()) =
        tokio::join!(run(plimsoll, &["rollout", "retry", "careful-1", "--wait"]), obey(&store, true, Some(failed)));
    run.exits(1).prints("careful-1  Failed");
}

#[tokio::test]
async fn an_undo_that_left_services_alone_and_a_rollout_that_proved_nothing_are_a_no() {
    let (plimsoll, store) = recorded().await;
    let moved_on =
        RolloutState::Failed { reason: Reason::of(ReasonCode::MovedOn, "nothing was taken back"), at: early() };
    let ((plimsoll, run), ()) = tokio::join!(
        self::run(plimsoll, &["rollout", "undo", "careful-1", "--wait"]),
        obey(&store, true, Some(moved_on))
    );
    run.exits(1).prints("careful-1  Failed").prints("nothing was taken back");
    drop((plimsoll, store));
    let (plimsoll, store) = recorded().await;
    let unproved =
        RolloutState::Unverified { reason: Reason::of(ReasonCode::NothingRuns, "no task runs"), at: early() };
    let ((_, run), ()) = tokio::join!(
        self::run(plimsoll, &["rollout", "resume", "careful-1", "--wait"]),
        obey(&store, true, Some(unproved))
    );
    run.exits(1).prints("careful-1  Unverified").prints("it is looked at again when tasks run");
}

#[tokio::test]
async fn a_refused_request_is_a_no() {
    let (plimsoll, store) = recorded().await;
    let ((_, run), ()) =
        tokio::join!(run(plimsoll, &["rollout", "resume", "careful-1", "--wait"]), obey(&store, false, None));
    run.exits(1).says("refused: so it is");
}

/// Nobody has to answer, and nothing is left for anybody to carry out later.
#[tokio::test]
async fn what_the_records_say_will_be_refused_is_refused_at_once() {
    let (plimsoll, store) = recorded().await;
    let (plimsoll, paused) = run(plimsoll, &["rollout", "approve", "careful-1"]).await;
    paused.exits(1).says("refused: cannot approve rollout `careful-1`: it is Paused; nothing was asked");
    let (plimsoll, told) = run(plimsoll, &["rollout", "approve", "careful-1", "-o", "json"]).await;
    let told = told.exits(1).json();
    assert_eq!((&told["kind"], &told["status"]["done"]), (&"Command".into(), &false.into()), "{told:#}");
    let (plimsoll, nothing) = run(plimsoll, &["hold", "release", WEB]).await;
    nothing.exits(1).says("refused: nothing is held off `prod/web`");
    let target = target();
    let campaigns = Campaigns::of(&store, &target);
    let stored = campaigns.campaign("careful-1").await.unwrap().unwrap().rollout;
    let ended = Rollout { state: RolloutState::Superseded { at: early() }, ..stored.value };
    campaigns.put(&ended, Some(stored.version)).await.unwrap();
    let verbs: [&'static [&'static str]; 5] = [
        &["rollout", "approve", "careful-1"],
        &["rollout", "pause", "careful-1"],
        &["rollout", "resume", "careful-1"],
        &["rollout", "abort", "careful-1"],
        &["rollout", "undo", "careful-1"],
    ];
    let mut plimsoll = plimsoll;
    for arguments in verbs {
        let refused;
        (plimsoll, refused) = run(plimsoll, arguments).await;
        refused.exits(1).says(&format!("refused: cannot {} rollout `careful-1`: it is Superseded", arguments[1]));
    }
    let (plimsoll, retry) = run(plimsoll, &["rollout", "retry", "careful-1"]).await;
    retry.exits(1).says("refused: nothing of rollout `careful-1` is held off or stopped: there is nothing to retry");
    assert_eq!(Commands::of(&store, &target).open().await.unwrap(), []);
    // Behind another Command nobody can tell what it will find.
    let (plimsoll, hold) = run(plimsoll, &["hold", "add", WEB, "--for", "1h", "--reason", "x"]).await;
    hold.exits(0).prints("asked: every fix is to stay off");
    let (_, asked) = run(plimsoll, &["hold", "release", WEB]).await;
    asked.exits(0).prints("is to be released");
}
