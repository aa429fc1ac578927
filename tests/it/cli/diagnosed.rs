//! Every failure that `doctor` can report is shown by a test: the table below, which a test holds to the sources and to
//! `docs/failures.md`; and those failures that `doctor`, its sibling, has not.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::json;

use super::doctor::{
    SECRET, address, behind, checks, denial, finds_only, is_ecs, keeps_secrets, report, with_credentials, wrong,
};
use super::{POLICIES, Plimsoll, repository};
use crate::fake::{Fake, Reply, Request};
use crate::guides::failures::remedies_in;
use crate::peers::Peer;

/// What shows a failure.
#[derive(Debug, Clone, Copy)]
enum Shown {
    /// The test of this name, here or in `doctor.rs`.
    By(&'static str),
    /// Nothing: what doctor does cannot come to it.
    Never(&'static str),
}
use Shown::{By, Never};

/// Each failure: a variant of the errors that are told, a check that is called so in the code, a remedy that is written
/// out in the code or on the page.
const FAILURES: &[(&str, Shown)] = &[
    ("AwsError::NoRegion", By("no_region")),
    ("AwsError::NoCredentials", By("no_credentials")),
    ("AwsError::CredentialsFailed", By("a_role_that_cannot_be_taken_on_another_account_and_a_target_twice")),
    ("AwsError::Expired", By("what_sts_says_is_told_apart")),
    ("AwsError::Rejected", By("what_sts_says_is_told_apart")),
    ("AwsError::Denied", By("what_sts_says_is_told_apart")),
    ("AwsError::Refused", By("what_sts_says_is_told_apart")),
    ("AwsError::Unreachable", By("nobody_listens_at_the_endpoint")),
    ("AwsError::NoAnswer", By("an_endpoint_that_never_answers")),
    ("StoreError::Missing", By("a_store_that_is_not_there")),
    ("StoreError::Damaged", By("a_store_file_that_is_damaged")),
    ("StoreError::Denied", By("a_table_that_may_not_be_read")),
    ("StoreError::Unavailable", By("a_store_that_is_not_there")),
    ("StoreError::Corrupt", By("a_store_file_that_is_damaged")),
    ("StoreError::Conflict", Never("it is the answer that is hoped for: nothing was written")),
    ("StoreError::TooLarge", Never("it writes nothing")),
    ("AlarmsError::Denied", By("alarms_that_may_not_be_read_where_a_strategy_names_some")),
    ("AlarmsError::Throttled", By("alarms_that_are_throttled")),
    ("AlarmsError::NoAnswer", By("alarms_of_which_an_endpoint_knows_nothing")),
    ("Verdict::Permitted", By("nothing_is_wrong_where_all_is_well")),
    ("Verdict::Denied", By("each_right_that_ecs_denies_with_the_statement_that_is_missing")),
    ("Verdict::Unreachable", By("an_ecs_that_is_out_of_reach_though_sts_is_not")),
    ("Verdict::Silent", By("an_endpoint_that_never_answers")),
    ("Verdict::Untold", By("an_operation_that_an_endpoint_does_not_have")),
    ("Elsewhere::Permitted", By("a_right_that_is_narrowed_to_some_clusters_is_not_called_missing")),
    ("Elsewhere::Denied", By("a_right_that_is_denied_in_every_cluster_is_missing")),
    ("Elsewhere::Untold", By("each_right_that_ecs_denies_with_the_statement_that_is_missing")),
    ("SettingState::On", By("nothing_is_wrong_where_all_is_well")),
    ("SettingState::Off", By("a_table_that_somebody_made_by_hand")),
    ("SettingState::Unknown", By("settings_that_an_endpoint_does_not_know")),
    ("check environment", By("no_region")),
    ("check region", By("no_region")),
    ("check skew", By("a_clock_that_is_behind")),
    ("check policy set", By("no_policies_and_records_of_a_later_version")),
    ("check configuration", By("no_policies_and_records_of_a_later_version")),
    ("check ECS", By("an_ecs_that_is_out_of_reach_though_sts_is_not")),
    (
        "set the clock, and keep it with NTP (on EC2, the Amazon Time Sync Service); AWS refuses calls that are signed five minutes off",
        By("a_clock_that_is_minutes_off_though_aws_refuses_the_call_for_it"),
    ),
    (
        "make it with `plimsoll store init`, or name another with --store or PLIMSOLL_STORE",
        By("a_store_that_is_not_there"),
    ),
    ("name another store with --store or PLIMSOLL_STORE", By("a_store_file_that_is_damaged")),
    (
        "put a copy of the file back, or move it away and make an empty one with `plimsoll store init`",
        By("a_store_file_that_is_damaged"),
    ),
    ("check whose credentials are in use and what they may do", By("a_table_that_may_not_be_read")),
    (
        "check the network, and AWS_ENDPOINT_URL if it is set; in a private subnet, the VPC endpoint",
        By("a_store_that_is_not_there"),
    ),
    ("it was written by another version of plimsoll, or by hand", By("a_store_file_that_is_damaged")),
    (
        "set the table's billing mode to PAY_PER_REQUEST: a rollout writes in bursts",
        By("a_table_that_somebody_made_by_hand"),
    ),
    ("`plimsoll store init` sets it", By("a_table_that_somebody_made_by_hand")),
    ("permit it to be read", By("each_right_to_the_table_that_is_denied")),
    ("an endpoint without it keeps no such promise", By("settings_that_an_endpoint_does_not_know")),
    ("use the plimsoll that wrote it, or a later one", By("no_policies_and_records_of_a_later_version")),
    ("correct it, and apply it again with `plimsoll apply -f`", By("a_stored_policy_that_this_version_cannot_use")),
    (
        "apply some with `plimsoll apply -f policies/`, or see `plimsoll explain policy`",
        By("no_policies_and_records_of_a_later_version"),
    ),
    (
        "an account and region is one target: delete one of them with `plimsoll delete target NAME`",
        By("a_role_that_cannot_be_taken_on_another_account_and_a_target_twice"),
    ),
    (
        "give the Target the roleArn of a role in its own account, or correct its account",
        By("a_role_that_cannot_be_taken_on_another_account_and_a_target_twice"),
    ),
    (
        "allow the caller to take on `…`, and let that role's trust policy name the caller…",
        By("a_role_that_cannot_be_taken_on_another_account_and_a_target_twice"),
    ),
    ("allow it to the caller: …", By("each_right_that_ecs_denies_with_the_statement_that_is_missing")),
    (
        "allow it to the caller, unless a statement names the resources that are meant: …",
        By("each_right_that_ecs_denies_with_the_statement_that_is_missing"),
    ),
    (
        "a policy denies it: take that out; nothing that is allowed besides helps",
        By("what_a_policy_denies_needs_no_statement_but_an_end_of_that"),
    ),
    (
        "try again; with another server than AWS, see whether it has this operation",
        By("an_operation_that_an_endpoint_does_not_have"),
    ),
    ("without it no wave of a strategy with alarms begins", By("alarms_of_which_an_endpoint_knows_nothing")),
];

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// The variants of an enum.
fn variants(path: &str, name: &str) -> Vec<String> {
    let text = read(path);
    let (_, body) = text.split_once(&format!("enum {name} {{\n")).unwrap_or_else(|| panic!("no {name} in {path}"));
    let (body, _) = body.split_once("\n}\n").unwrap();
    let variant = Regex::new(r"(?m)^    ([A-Z]\w*)").unwrap();
    variant.captures_iter(body).map(|found| format!("{name}::{}", &found[1])).collect()
}

#[test]
fn every_failure_that_doctor_can_report_has_a_test() {
    let mut wanted = BTreeSet::new();
    for (path, name) in [
        ("src/aws/error.rs", "AwsError"),
        ("src/ports/store.rs", "StoreError"),
        ("src/ports/alarms.rs", "AlarmsError"),
        ("src/cli/doctor/dry.rs", "Verdict"),
        ("src/cli/doctor/rights.rs", "Elsewhere"),
        ("src/aws/dynamo/settings.rs", "SettingState"),
    ] {
        wanted.extend(variants(path, name));
    }
    let called = Regex::new(r#"Check::wrong\(\s*Area::\w+,\s*"([^"]+)""#).unwrap();
    for file in ["examine", "rights"] {
        let text = read(&format!("src/cli/doctor/{file}.rs"));
        wanted.extend(called.captures_iter(&text).map(|found| format!("check {}", &found[1])));
    }
    let page = read("docs/failures.md");
    let (_, section) = page.split_once("## What doctor finds\n").unwrap();
    let rows = section.lines().skip(3).map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let (before, rows) = (wanted.len(), rows.map(|(_, remedy)| remedy.to_owned()).collect::<BTreeSet<_>>());
    let written_out = remedies_in("src/cli/doctor");
    assert!(rows.len() > 15 && written_out.len() > 15, "{rows:#?}\n{written_out:#?}");
    wanted.extend(rows.into_iter().chain(written_out));
    assert!(wanted.len() > before + 15);
    let told: BTreeSet<String> = FAILURES.iter().map(|(what, _)| (*what).to_owned()).collect();
    let missing: Vec<&String> = wanted.difference(&told).collect();
    let gone: Vec<&String> = told.difference(&wanted).collect();
    assert!(missing.is_empty() && gone.is_empty(), "without a test: {missing:#?}\nno longer there: {gone:#?}");

    let sources =
        ["cli/doctor.rs", "cli/diagnosed.rs", "deploy/rights.rs"].map(|file| read(&format!("tests/it/{file}")));
    for (what, shown) in FAILURES {
        match shown {
            By(test) => {
                let test = Regex::new(&format!(r"#\[(tokio::)?test[^\n]*\]\n(async )?fn {test}\(\)")).unwrap();
                assert!(sources.iter().any(|source| test.is_match(source)), "{what}: there is no test {shown:?}");
            }
            Never(why) => assert!(why.len() > 10, "{what}"),
        }
    }
}

fn error_of_sts(code: &str) -> String {
    format!("<ErrorResponse><Error><Code>{code}</Code><Message>so it is</Message></Error></ErrorResponse>")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sts_says_is_told_apart() {
    for (status, code, said) in [
        (403, "ExpiredToken", "the AWS credentials have expired: so it is"),
        (403, "InvalidClientTokenId", "AWS does not accept the credentials: InvalidClientTokenId: so it is"),
        (403, "AccessDenied", "access denied: so it is"),
        (400, "Oddity", "AWS refused: Oddity: so it is"),
    ] {
        let fake = Fake::start(move |_, _| Reply::Answer(status, error_of_sts(code))).await;
        let mut plimsoll = Plimsoll::new();
        plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
        with_credentials(&mut plimsoll, &fake.endpoint());
        finds_only(&report(&plimsoll, 1), "credentials", said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_behind() {
    let body = error_of_sts("SignatureDoesNotMatch");
    let fake = Fake::start(move |_, _| Reply::Dated(403, "Fri, 01 Jan 2100 09:00:00 GMT", body.clone())).await;
    let mut plimsoll = Plimsoll::new();
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
    with_credentials(&mut plimsoll, &fake.endpoint());
    let found = wrong(&report(&plimsoll, 1));
    assert!(found.iter().any(|one| one.starts_with("skew: ") && one.contains("s behind AWS's")), "{found:#?}");
}

/// Each waits as long as doctor waits for an answer: side by side, and once each.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_never_answers() {
    let silent = Fake::start(|_, _| Reply::Silence).await;
    let mut of_sts = Plimsoll::new();
    of_sts.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
    with_credentials(&mut of_sts, &silent.endpoint());
    let (mut of_ecs, _sim, fake) = behind(|request| is_ecs(request).then_some(Reply::Silence)).await;
    of_ecs.set("PLIMSOLL_STORE", &format!("file:{}", of_ecs.path("plimsoll.db").display()));
    let (mut of_table, _other, _fake) =
        behind(|request| request.header("x-amz-target").starts_with("DynamoDB_").then_some(Reply::Silence)).await;
    of_table.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
    let asked = [
        (of_sts, "endpoint", "AWS does not answer"),
        (of_ecs, "ECS", "timeout"),
        (of_table, "table", "does not answer"),
    ];
    let asked =
        asked.map(|(plimsoll, check, told)| std::thread::spawn(move || finds_only(&report(&plimsoll, 1), check, told)));
    for asked in asked {
        asked.join().unwrap();
    }
    let operations: BTreeSet<String> = fake.operations().into_iter().filter(|name| !name.is_empty()).collect();
    assert_eq!(operations, BTreeSet::from(["ListClusters".to_owned()]), "once is enough");
}

/// It answered before, and then no more: where nothing is, or in a cluster.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_answers_no_more_is_asked_no_more() {
    let silent = |request: &Request| (request.operation() == "DescribeServices").then_some(Reply::Silence);
    let (of_nothing, _sim, first) = behind(silent).await;
    let in_a_cluster = |request: &Request| match request.operation() {
        "DescribeServices" if request.body.contains("\"prod\"") => Some(Reply::Silence),
        "DescribeServices" => Some(denial(request)),
        _ => None,
    };
    let (of_clusters, _other, second) = behind(in_a_cluster).await;
    let asked = [of_nothing, of_clusters].map(|plimsoll| std::thread::spawn(move || report(&plimsoll, 1)));
    for asked in asked {
        let report = asked.join().unwrap();
        finds_only(&report, "ECS", "timeout");
        // What was answered before is said all the same.
        assert!(checks(&report, "ok").contains(&"ecs:ListClusters"), "{report:#}");
    }
    for fake in [first, second] {
        assert!(!fake.operations().contains(&"UpdateService".to_owned()), "{:?}", fake.operations());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_says_nothing_of_the_other_rights() {
    for (status, body) in [(500, r#"{"__type":"ServerException","message":"sorry"}"#), (200, "<html>sign in</html>")] {
        let (plimsoll, _sim, _fake) = behind(move |request| {
            (request.operation() == "ListClusters").then(|| Reply::Answer(status, body.to_owned()))
        })
        .await;
        let report = report(&plimsoll, 1);
        finds_only(&report, "ecs:ListClusters", "no usable answer: ");
        assert_eq!(checks(&report, "unknown"), ["ecs:ListClusters"]);
        assert!(checks(&report, "ok").contains(&"ecs:UpdateService"), "{report:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_an_endpoint_does_not_have() {
    let (plimsoll, _sim, _fake) = behind(|request| {
        let body = json!({ "__type": "UnknownOperationException", "message": "no such thing" }).to_string();
        (request.operation() == "ListServiceDeployments").then_some(Reply::Answer(400, body))
    })
    .await;
    let report = report(&plimsoll, 1);
    finds_only(&report, "ecs:ListServiceDeployments", "UnknownOperationException: no such thing");
    assert_eq!(checks(&report, "unknown"), ["ecs:ListServiceDeployments"]);
}

/// Of a strategy that chooses alarms by tags.
fn by_tags() -> String {
    POLICIES.replace("{ waves:", "{ health: { alarms: [{ tags: { service: payments } }] }, waves:")
}

fn asks_for_tags(request: &Request) -> bool {
    request.operation() == "GetResources"
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_of_alarms_that_may_not_be_read() {
    let (plimsoll, _sim, _fake) = behind(|request| {
        let message =
            "User: x is not authorized to perform: tag:GetResources because no identity-based policy allows it";
        let body = json!({ "__type": "AccessDeniedException", "message": message }).to_string();
        asks_for_tags(request).then_some(Reply::Answer(400, body))
    })
    .await;
    plimsoll.write("alarms.yaml", &by_tags());
    plimsoll.run(&["apply", "-f", "alarms.yaml"]).exits(0);
    let report = report(&plimsoll, 1);
    finds_only(&report, "tag:GetResources", "denied: User: x is not authorized");
    let statement = json!([{ "Effect": "Allow", "Action": ["tag:GetResources"], "Resource": ["*"] }]);
    assert_eq!(report["policy"]["Statement"], statement);
    assert!(checks(&report, "ok").contains(&"cloudwatch:DescribeAlarms"), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_that_are_throttled() {
    let (plimsoll, _sim, _fake) = behind(|request| {
        let body = json!({ "__type": "ThrottledException", "message": "slower" }).to_string();
        asks_for_tags(request).then_some(Reply::Answer(400, body))
    })
    .await;
    plimsoll.write("alarms.yaml", &by_tags());
    plimsoll.run(&["apply", "-f", "alarms.yaml"]).exits(0);
    let report = report(&plimsoll, 1);
    finds_only(&report, "tag:GetResources", "was throttled: slower");
    assert_eq!(checks(&report, "unknown"), ["tag:GetResources"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_may_not_be_read() {
    let peer = Peer::dynalite().await;
    let (mut plimsoll, _sim, _fake) = behind(|_| None).await;
    plimsoll.set("AWS_ENDPOINT_URL_DYNAMODB", &peer.endpoint());
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://records");
    plimsoll.run(&["store", "init"]).exits(0);
    let server = address(&peer.endpoint());
    let table = Fake::start(move |_, request| {
        let message = "User: x is not authorized to perform: dynamodb:BatchGetItem on resource: y";
        let body = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "Message": message });
        let denied = request.operation() == "BatchGetItem";
        if denied { Reply::Answer(400, body.to_string()) } else { Reply::Forward(server) }
    })
    .await;
    plimsoll.set("AWS_ENDPOINT_URL_DYNAMODB", &table.endpoint());
    let found = wrong(&report(&plimsoll, 1));
    assert!(found.iter().any(|one| one.starts_with("dynamodb:BatchGetItem: denied: ")), "{found:#?}");
    assert!(found.iter().any(|one| one.starts_with("configuration: no access to `dynamodb://records`")), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_file_that_is_damaged() {
    let (plimsoll, _sim, _fake) = behind(|_| None).await;
    let file = plimsoll.path("plimsoll.db");
    let told = |check: &str, said: &str, remedy: &str| {
        let report = report(&plimsoll, 1);
        finds_only(&report, check, said);
        let all = report["checks"].as_array().unwrap();
        assert_eq!(all.iter().find(|one| one["check"] == check).unwrap()["remedy"], remedy);
        // Whoever asks anything else is told the same to do.
        plimsoll.run(&["get", "policies"]).exits(2).says(&format!("help: {remedy}"));
        let run = plimsoll.run(&["doctor"]).exits(1);
        keeps_secrets(&run);
        assert!(!run.stdout.contains(SECRET), "{run:#?}");
    };
    // One item, by somebody who edits the file by hand.
    let edit = |sql: &str| rusqlite::Connection::open(&file).unwrap().execute(sql, []).unwrap();
    assert_eq!(edit("UPDATE items SET body = '{ no JSON' WHERE partition = 'cfg#policy' AND sort = 'head'"), 1);
    let by_hand = "it was written by another version of plimsoll, or by hand";
    told("configuration", "`cfg#policy`/`head` cannot be read", by_hand);
    // The whole file: all but what tells whose it is.
    let whole = std::fs::read(&file).unwrap();
    let damaged: Vec<u8> = whole.iter().enumerate().map(|(at, byte)| if at < 100 { *byte } else { 0xA5 }).collect();
    for beside in ["plimsoll.db-wal", "plimsoll.db-shm"] {
        let _ = std::fs::remove_file(plimsoll.path(beside));
    }
    std::fs::write(&file, damaged).unwrap();
    let copy = "put a copy of the file back, or move it away and make an empty one with `plimsoll store init`";
    told("file", "is damaged: database disk image is malformed", copy);
    std::fs::write(&file, "not a database at all, but a text of some length that somebody has put there").unwrap();
    let another = "name another store with --store or PLIMSOLL_STORE";
    told("file", "the file is not a store of plimsoll", another);
}
