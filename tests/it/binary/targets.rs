//! Targets that come and go while the controller runs, and one that belongs to somebody else.

use serde_json::Value;

use super::served::{listening, look};
use super::wire::Ecs;
use super::{Records, Stage, eventually};
use crate::fake::{Reply, Request};

fn target(name: &str, account: &str) -> String {
    format!(
        "apiVersion: plimsoll/v1\nkind: Target\nmetadata: {{ name: {name} }}\nspec: {{ account: \"{account}\", region: eu-west-1 }}\n"
    )
}

/// The word that `get targets` has for a target, once it is this one.
fn stands(stage: &Stage, name: &str, state: &str) {
    eventually(&format!("`{name}` is {state}"), || {
        let said = stage.plimsoll.run(&["describe", "target", name, "-o", "json"]);
        let said: Value = serde_json::from_str(&said.stdout).ok()?;
        (said["status"]["conditions"][0]["reason"] == state).then_some(())
    });
}

const MEMBER: &str = "arn:aws:iam::210987654321:role/plimsoll";

/// The access key of the first role that the endpoint knows: what asks with it asks in that account.
const OF_MEMBER: &str = "ASIASIMULATED0000";

/// One controller, one store, three accounts: its own, one whose role wants an external id, one whose role is denied.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_account_is_fixed_through_its_role_and_a_denied_one_is_a_condition() {
    let member = format!("{MEMBER}=shared secret");
    let stage = Stage::of_accounts(Records::File, &super::fleet::scenario(), &[&member]).await;
    let theirs = Ecs(stage.ecs.0, OF_MEMBER);
    let role =
        |account: &str, id: &str| format!("  roleArn: arn:aws:iam::{account}:role/plimsoll\n  externalId: {id}\n");
    let of = |name: &str, account: &str, role: &str| {
        format!(
            "apiVersion: plimsoll/v1\nkind: Target\nmetadata: {{ name: {name} }}\nspec:\n  account: \"{account}\"\n  region: eu-west-1\n{role}"
        )
    };
    let targets = [
        of("own", "123456789012", ""),
        of("member", "210987654321", &role("210987654321", "shared secret")),
        of("denied", "333333333333", &role("333333333333", "shared secret")),
    ];
    stage.plimsoll.write("targets.yaml", &targets.join("---\n"));
    let policies = crate::cli::repository().join("policies");
    let files = ["apply", "-f", policies.to_str().unwrap(), "-f", "mine.yaml", "-f", "targets.yaml"];
    stage.plimsoll.run(&files).exits(0);
    let (controller, address) = listening(&stage);
    stands(&stage, "denied", "NotReached");
    let told = stage.plimsoll.run(&["describe", "target", "denied"]).exits(0).stdout;
    assert!(told.contains("its role `arn:aws:iam::333333333333:role/plimsoll` cannot be taken on"), "{told}");
    assert!(told.contains("is not authorized to perform: sts:AssumeRole on resource"), "{told}");
    assert!(
        told.contains("  do: see its Target object") && told.contains("the role's trust policy and external id"),
        "{told}"
    );
    for ecs in [stage.ecs, theirs] {
        eventually("every violating service runs its fix", || {
            let fixed = |(cluster, name, revision, tasks): &(&str, &str, &str, usize)| {
                ecs.running(cluster, name) == vec![(*revision).to_owned(); *tasks]
            };
            super::fleet::FIXED.iter().all(fixed).then_some(())
        });
    }
    for (name, ecs, account) in [("own", stage.ecs, "123456789012"), ("member", theirs, "210987654321")] {
        stands(&stage, name, "Observed");
        // Asked by the account, so that a fleet is not held to be fixed by looking at the other one twice.
        let found = super::fleet::find(&ecs, "prod", "web");
        assert!(found["serviceArn"].as_str().unwrap().contains(account), "{found:#}");
        eventually("its rollout has ended", || {
            let target = format!("{account}/eu-west-1");
            let list = stage.plimsoll.run(&["--target", &target, "rollout", "status", "quick-1"]).exits(0).stdout;
            list.contains("Succeeded").then_some(())
        });
        super::fleet::is_fixed(&ecs);
    }
    stands(&stage, "denied", "NotReached");
    let ready = look(address, "/readyz").unwrap();
    assert!(ready.0 == 200 && ready.1.contains("denied (NotReached): cannot be reached"), "{ready:?}");
    // Whoever has the role, and not its external id, has nothing: in words that say which part is missing.
    stage.plimsoll.write("wrong.yaml", &of("member", "210987654321", &role("210987654321", "guessed")));
    stage.plimsoll.run(&["apply", "-f", "wrong.yaml"]).exits(0);
    stands(&stage, "member", "NotReached");
    stands(&stage, "own", "Observed");
    controller.signal("TERM");
    controller.end().exits(0);
}

/// One account is throttled on every call, the other at no time. Were there one set of buckets, both would be as slow.
#[tokio::test(flavor = "multi_thread")]
async fn each_target_has_a_budget_of_its_own() {
    let stage = Stage::of_accounts(Records::File, &super::fleet::scenario(), &[MEMBER]).await;
    let of = |name: &str, account: &str, budget: u8, role: &str| {
        format!(
            "apiVersion: plimsoll/v1\nkind: Target\nmetadata: {{ name: {name} }}\nspec:\n  account: \"{account}\"\n  region: eu-west-1\n  budget: {budget}\n{role}"
        )
    };
    let role = format!("  roleArn: {MEMBER}\n");
    let targets = [of("slow", "123456789012", 10, ""), of("fast", "210987654321", 100, &role)];
    stage.plimsoll.write("targets.yaml", &targets.join("---\n"));
    stage.apply();
    stage.plimsoll.run(&["apply", "-o", "name", "-f", "targets.yaml"]).exits(0);
    stage.script(|request: &Request| {
        let own = request.header("authorization").contains("Credential=a/") && !request.operation().is_empty();
        let rate = r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#;
        own.then(|| Reply::Answer(400, rate.to_owned()))
    });
    let (controller, address) = listening(&stage);
    let theirs = Ecs(stage.ecs.0, OF_MEMBER);
    eventually("the fast one is fixed", || (theirs.running("dev", "jobs") == ["jobs:2"]).then_some(()));
    stands(&stage, "fast", "Observed");
    // All that while of the slow one nothing is known, which is no pass.
    let slow = stage.plimsoll.run(&["describe", "target", "slow", "-o", "json"]).exits(0).stdout;
    let slow: Value = serde_json::from_str(&slow).unwrap();
    assert_ne!(slow["status"]["conditions"][0]["status"], "True", "{slow:#}");
    assert_eq!(stage.ecs.running("dev", "jobs"), ["jobs:1"]);
    let metrics = look(address, "/metrics").unwrap().1;
    let rate = |name: &str, account: &str| -> f64 {
        let sample = format!("plimsoll_ecs_budget_{name}{{target=\"{account}/eu-west-1\",bucket=\"cluster-read\"}} ");
        let found = metrics.lines().find_map(|line| line.strip_prefix(&sample));
        found.unwrap_or_else(|| panic!("no {sample} in {metrics}")).parse().unwrap()
    };
    let share = |account| rate("share_calls_per_second", account);
    let (slow, fast) = ("123456789012", "210987654321");
    assert!((share(fast) - 10.0 * share(slow)).abs() < 0.01, "{} and {}", share(fast), share(slow));
    assert!(rate("calls_per_second", slow) < share(slow) * 0.9, "throttled: it has slowed down");
    assert!((rate("calls_per_second", fast) - share(fast)).abs() < 0.01, "nobody throttled it");
    controller.signal("TERM");
    controller.end().exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_somebody_elses_is_a_condition_and_others_come_and_go() {
    let stage = Stage::on(Records::File).await;
    let policies = crate::cli::repository().join("policies");
    stage.plimsoll.run(&["apply", "-f", policies.to_str().unwrap()]).exits(0);
    stage.plimsoll.write("theirs.yaml", &target("theirs", "210987654321"));
    stage.plimsoll.write("ours.yaml", &target("ours", "123456789012"));
    stage.plimsoll.write("again.yaml", &target("ours-again", "123456789012"));
    stage.plimsoll.run(&["apply", "-f", "theirs.yaml"]).exits(0);
    let (mut controller, address) = listening(&stage);
    controller.says("the target cannot be reached");
    stands(&stage, "theirs", "WrongTarget");
    let ready = look(address, "/readyz").unwrap();
    assert!(ready.0 == 503 && ready.1.contains("theirs (WrongTarget): cannot be reached"), "{ready:?}");
    let metrics = look(address, "/metrics").unwrap().1;
    assert!(metrics.contains("plimsoll_target_watched{target=\"210987654321/eu-west-1\"} 0"), "{metrics}");
    let told = stage.plimsoll.run(&["describe", "target", "theirs"]).exits(0).stdout;
    // What to do, once, and what helps a Target.
    assert!(told.contains("  do: give its Target the roleArn of a role in that account"), "{told}");
    assert!(!told.contains("choose other credentials"), "{told}");
    // It is watched within five seconds of being stored; the other one stays what it is.
    stage.plimsoll.run(&["apply", "-f", "ours.yaml"]).exits(0);
    stands(&stage, "ours", "Observed");
    let line: Value = serde_json::from_str(&controller.says(r#""message":"fleet""#)).unwrap();
    let span = &line["spans"][0];
    assert_eq!(
        (&span["name"], &span["target_id"]),
        (&"reconcile".into(), &"123456789012/eu-west-1".into()),
        "{line:#}"
    );
    // What it read: a number for each class. No Freeze and no Waiver was applied.
    let generation = span["generation"].as_str().unwrap();
    assert!(generation.starts_with("0.0.") && !generation.ends_with(".0"), "{line:#}");
    assert_eq!((line["spans"].as_array().unwrap().len(), &line["span"]), (1, &Value::Null), "{line:#}");
    eventually("the process is ready", || look(address, "/readyz").filter(|(status, _)| *status == 200));
    let metrics = look(address, "/metrics").unwrap().1;
    assert!(metrics.contains("plimsoll_target_watched{target=\"123456789012/eu-west-1\"} 1"), "{metrics}");
    stage.plimsoll.run(&["apply", "-f", "again.yaml"]).exits(0);
    stands(&stage, "ours-again", "SameTarget");
    let listed = stage.plimsoll.run(&["get", "targets"]).exits(0).stdout;
    for (name, state) in [("theirs", "WrongTarget"), ("ours", "Observed"), ("ours-again", "SameTarget")] {
        assert!(listed.lines().any(|line| line.starts_with(&format!("{name} ")) && line.contains(state)), "{listed}");
    }
    // Its lease is given up at once.
    stage.plimsoll.run(&["delete", "target", "ours-again"]).exits(0);
    stage.plimsoll.run(&["delete", "target", "ours"]).exits(0);
    controller.says("stopping: its Target was changed or deleted");
    eventually("the lease is free", || {
        let leases = stage.plimsoll.run(&["get", "leases", "-o", "json"]).exits(0).stdout;
        let leases: Value = serde_json::from_str(&leases).unwrap();
        let free = |lease: &&Value| lease["spec"]["holder"].is_null();
        leases["items"].as_array().unwrap().iter().any(|lease| free(&lease)).then_some(())
    });
    controller.signal("TERM");
    controller.end().exits(0);
}
