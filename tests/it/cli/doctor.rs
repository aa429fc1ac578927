//! `doctor` against each failure that it claims to diagnose, and against nothing wrong at all.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use plimsoll::embedded::EmbeddedStore;
use plimsoll::ports::Store;
use plimsoll::ports::store::{Expect, Key};
use plimsoll::records::configuration::{Application, Configurations};

use super::fleet::{self, Sim};
use super::shape::snapshot;
use super::{POLICIES, Plimsoll, Run};
use crate::fake::{Fake, Reply, Request};
use crate::peers::Peer;

/// Not to be seen anywhere.
pub(super) const SECRET: &str = "CANARY-of-a-secret-key";

pub(super) fn with_credentials(plimsoll: &mut Plimsoll, endpoint: &str) {
    plimsoll.set("AWS_REGION", "eu-west-1");
    plimsoll.set("AWS_ACCESS_KEY_ID", "a");
    plimsoll.set("AWS_SECRET_ACCESS_KEY", SECRET);
    plimsoll.set("AWS_ENDPOINT_URL", endpoint);
}

/// What it says as JSON, with this exit code; never the secret.
#[track_caller]
pub(super) fn report(plimsoll: &Plimsoll, code: i32) -> Value {
    let run = plimsoll.run(&["doctor", "-o", "json"]).exits(code);
    keeps_secrets(&run);
    run.json()
}

#[track_caller]
pub(super) fn keeps_secrets(run: &Run) {
    assert!(!run.stdout.contains(SECRET) && !run.stderr.contains(SECRET), "{run:#?}");
}

/// The checks that are not as they should be, as `CHECK: MESSAGE`, each with its remedy.
#[track_caller]
pub(super) fn wrong(report: &Value) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap();
    let bad = checks.iter().filter(|check| check["status"] == "wrong" || check["status"] == "unknown");
    bad.map(|check| {
        assert!(check["remedy"].as_str().is_some_and(|remedy| remedy.len() > 10), "{check:#}");
        format!("{}: {}", check["check"].as_str().unwrap(), check["message"].as_str().unwrap())
    })
    .collect()
}

#[track_caller]
pub(super) fn finds_only(report: &Value, check: &str, told: &str) {
    assert!(told.len() > 4, "{check}: any text has `{told}` in it");
    let found = wrong(report);
    assert!(matches!(&found[..], [one] if one.starts_with(check) && one.contains(told)), "{found:#?}");
}

/// A fleet behind an endpoint that answers as `script` says, and lets the rest pass; a file with policies as the store.
pub(super) async fn behind(
    script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
) -> (Plimsoll, Sim, Fake) {
    let (mut plimsoll, sim) = fleet::with_definitions(&[], &[], POLICIES);
    plimsoll.run(&["apply", "-f", "policies/all.yaml"]).exits(0);
    let server = address(&plimsoll.get("AWS_ENDPOINT_URL"));
    let fake = Fake::start(move |_, request| script(request).unwrap_or(Reply::Forward(server))).await;
    with_credentials(&mut plimsoll, &fake.endpoint());
    (plimsoll, sim, fake)
}

pub(super) fn address(endpoint: &str) -> SocketAddr {
    endpoint.strip_prefix("http://").unwrap().parse().unwrap()
}

pub(super) fn is_ecs(request: &Request) -> bool {
    request.header("x-amz-target").starts_with("AmazonEC2ContainerService")
}

pub(super) fn denial(request: &Request) -> Reply {
    let operation = request.operation();
    let message = format!(
        "User: arn:aws:iam::123456789012:user/tester is not authorized to perform: ecs:{operation} on resource: * \
         because no identity-based policy allows the ecs:{operation} action"
    );
    Reply::Answer(400, json!({ "__type": "AccessDeniedException", "message": message }).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong_where_all_is_well() {
    let peer = Peer::ministack().await;
    let (mut plimsoll, _sim, _fake) = behind(|_| None).await;
    plimsoll.set("AWS_ENDPOINT_URL_DYNAMODB", &peer.endpoint());
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://records");
    plimsoll.run(&["store", "init"]).exits(0);
    plimsoll.run(&["apply", "-f", "policies/all.yaml"]).exits(0);
    let before = plimsoll.run(&["get", "policies", "-o", "json"]).exits(0).json();
    let report = report(&plimsoll, 0);
    assert_eq!((wrong(&report), &report["policy"]), (vec![], &Value::Null));
    assert!(report["summary"]["ok"].as_u64().unwrap() > 30, "{report:#}");
    // What cannot be told without writing is said not to be checked: PassRole, and what makes the table.
    let not_checked: Vec<&str> = checks(&report, "notChecked");
    assert_eq!(
        not_checked,
        [
            "dynamodb:CreateTable",
            "dynamodb:UpdateTable",
            "dynamodb:UpdateContinuousBackups",
            "dynamodb:UpdateTimeToLive",
            "iam:PassRole"
        ]
    );
    assert_eq!(plimsoll.run(&["get", "policies", "-o", "json"]).exits(0).json(), before);
    let run = plimsoll.run(&["doctor"]).exits(0).prints(" 0 wrong, 0 unknown");
    keeps_secrets(&run);
}

pub(super) fn checks<'a>(report: &'a Value, status: &str) -> Vec<&'a str> {
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["status"] == status);
    checks.map(|check| check["check"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_changes_nothing_in_ecs() {
    let (plimsoll, _sim, fake) = behind(|_| None).await;
    let world = || {
        let mut all = Vec::new();
        for (operation, input) in [
            ("ListClusters", "{}"),
            ("ListTaskDefinitions", "{}"),
            ("ListServices", r#"{"cluster":"prod"}"#),
            ("DescribeClusters", r#"{"clusters":["prod"],"include":["TAGS","SETTINGS","CONFIGURATIONS"]}"#),
        ] {
            all.push(call(&fake.endpoint(), operation, input));
        }
        all
    };
    let before = world();
    report(&plimsoll, 0);
    assert_eq!(world(), before);
}

fn call(endpoint: &str, operation: &str, input: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address(endpoint)).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: AmazonEC2ContainerServiceV20141113.{operation}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=a/20261122/eu-west-1/ecs/aws4_request, SignedHeaders=host, Signature=0\r\n\
         content-length: {}\r\n\r\n{input}",
        input.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn no_region() {
    let mut plimsoll = Plimsoll::with_store();
    plimsoll.write("all.yaml", POLICIES);
    plimsoll.run(&["apply", "-f", "all.yaml"]).exits(0);
    plimsoll.set("AWS_ACCESS_KEY_ID", "a");
    finds_only(&report(&plimsoll, 1), "environment", "`AWS_SECRET_ACCESS_KEY` is not");
    plimsoll.set("AWS_SECRET_ACCESS_KEY", SECRET);
    finds_only(&report(&plimsoll, 1), "region", "no AWS region is set");
}

#[test]
fn no_credentials() {
    let mut plimsoll = Plimsoll::new();
    plimsoll.set("AWS_REGION", "eu-west-1");
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
    finds_only(&report(&plimsoll, 1), "credentials", "no AWS credentials were found");
}

#[test]
fn nobody_listens_at_the_endpoint() {
    let mut plimsoll = Plimsoll::new();
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
    with_credentials(&mut plimsoll, &format!("http://127.0.0.1:{}", crate::peers::free_port()));
    finds_only(&report(&plimsoll, 1), "endpoint", "cannot be reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_aws_does_not_accept() {
    for code in ["InvalidClientTokenId", "ExpiredToken"] {
        let body =
            format!("<ErrorResponse><Error><Code>{code}</Code><Message>so it is</Message></Error></ErrorResponse>");
        let fake = Fake::start(move |_, _| Reply::Answer(403, body.clone())).await;
        let mut plimsoll = Plimsoll::new();
        plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
        with_credentials(&mut plimsoll, &fake.endpoint());
        finds_only(&report(&plimsoll, 1), "credentials", "so it is");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_minutes_off_though_aws_refuses_the_call_for_it() {
    let body = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired</Message></Error></ErrorResponse>";
    let fake = Fake::start(move |_, _| Reply::Dated(403, "Mon, 05 Jan 2026 09:00:00 GMT", body.to_owned())).await;
    let mut plimsoll = Plimsoll::new();
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
    with_credentials(&mut plimsoll, &fake.endpoint());
    let found = wrong(&report(&plimsoll, 1));
    assert!(found.iter().any(|one| one.starts_with("skew: ") && one.contains("s ahead of AWS's")), "{found:#?}");
    assert!(found.iter().any(|one| one.starts_with("credentials: ")), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there() {
    let (mut plimsoll, _sim, _fake) = behind(|_| None).await;
    plimsoll.set("PLIMSOLL_STORE", "file:elsewhere.db");
    finds_only(&report(&plimsoll, 1), "file", "there is no such file");
    let peer = Peer::ministack().await;
    plimsoll.set("AWS_ENDPOINT_URL_DYNAMODB", &peer.endpoint());
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://nobody");
    finds_only(&report(&plimsoll, 1), "table", "there is no such table");
    plimsoll.set("AWS_ENDPOINT_URL_DYNAMODB", &format!("http://127.0.0.1:{}", crate::peers::free_port()));
    finds_only(&report(&plimsoll, 1), "table", "does not answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_made_by_hand() {
    let peer = Peer::moto().await;
    let (mut plimsoll, _sim, _fake) = behind(|_| None).await;
    crate::contract::by_somebody_else(
        &peer,
        "CreateTable",
        r#"{"TableName":"by-hand","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"sk","AttributeType":"S"}],
            "KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}],
            "BillingMode":"PROVISIONED","ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}}"#,
    );
    plimsoll.set("AWS_ENDPOINT_URL_DYNAMODB", &peer.endpoint());
    // Where the other helper made it.
    plimsoll.set("AWS_REGION", "us-east-1");
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://by-hand");
    plimsoll.run(&["apply", "-f", "policies/all.yaml"]).exits(0);
    let off = [
        "on-demand capacity",
        "point-in-time recovery",
        "encryption with KMS",
        "deletion protection",
        "expiry of items",
    ];
    assert_eq!(wrong(&report(&plimsoll, 1)), off.map(|setting| format!("{setting}: off")));
    plimsoll.run(&["store", "init"]).exits(0).prints("not set: it has provisioned capacity, which is left alone");
    // moto accepts a key of KMS, and forgets it.
    assert_eq!(wrong(&report(&plimsoll, 1)), ["on-demand capacity: off", "encryption with KMS: off"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_an_endpoint_does_not_know() {
    let peer = Peer::dynalite().await;
    let (mut plimsoll, _sim, _fake) = behind(|_| None).await;
    plimsoll.set("AWS_ENDPOINT_URL_DYNAMODB", &peer.endpoint());
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://records");
    plimsoll.run(&["store", "init"]).exits(0);
    plimsoll.run(&["apply", "-f", "policies/all.yaml"]).exits(0);
    let report = report(&plimsoll, 1);
    assert!(checks(&report, "unknown").contains(&"point-in-time recovery"), "{report:#}");
    assert_eq!(report["policy"], Value::Null, "no right is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_that_ecs_denies_with_the_statement_that_is_missing() {
    let (plimsoll, _sim, _fake) = behind(|request| is_ecs(request).then(|| denial(request))).await;
    let report = report(&plimsoll, 1);
    let is_denied = |check: &&Value| check["status"] == "wrong" || check["status"] == "unknown";
    let denied: Vec<&Value> = report["checks"].as_array().unwrap().iter().filter(is_denied).collect();
    let operations: Vec<String> =
        plimsoll::ports::ecs::Operation::ALL.iter().map(|operation| format!("ecs:{}", operation.as_str())).collect();
    assert_eq!(denied.iter().map(|check| check["check"].as_str().unwrap()).collect::<Vec<_>>(), operations);
    // What statements cannot narrow is missing. Of the rest that is not known, as no cluster could be asked in.
    assert_eq!(
        checks(&report, "wrong"),
        [
            "ecs:ListClusters",
            "ecs:DescribeTaskDefinition",
            "ecs:ListTaskDefinitions",
            "ecs:ListTaskDefinitionFamilies",
            "ecs:DeregisterTaskDefinition"
        ]
    );
    for check in denied {
        let statement = &check["statement"];
        assert_eq!((&statement["Effect"], &statement["Action"]), (&json!("Allow"), &json!([check["check"]])));
        assert_eq!(check["target"], json!({ "account": "123456789012", "region": "eu-west-1" }));
    }
    let policy = &report["policy"];
    assert_eq!(policy["Version"], "2012-10-17");
    let actions: Vec<&Value> =
        policy["Statement"].as_array().unwrap().iter().flat_map(|one| one["Action"].as_array().unwrap()).collect();
    assert_eq!(actions.len(), operations.len(), "{policy:#}");
    snapshot("doctor-denied", &plimsoll.run(&["doctor"]).exits(1).stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_denied_in_every_cluster_is_missing() {
    let (plimsoll, _sim, fake) =
        behind(|request| (is_ecs(request) && request.operation() != "ListClusters").then(|| denial(request))).await;
    let report = report(&plimsoll, 1);
    assert_eq!(
        checks(&report, "unknown"),
        [
            "ecs:DescribeCapacityProviders",
            "ecs:RegisterTaskDefinition",
            "ecs:UpdateClusterSettings",
            "ecs:UpdateCluster"
        ]
    );
    let found = wrong(&report);
    let update = found.iter().find(|one| one.starts_with("ecs:UpdateService: ")).unwrap();
    assert!(update.contains("denied: in every cluster there is (`prod`): User: "), "{update}");
    // Nothing that was asked in it names a service that is there.
    for request in fake.requests().iter().filter(|request| request.operation() == "UpdateService") {
        assert!(request.body.contains("plimsoll-doctor-asks-for-nothing"), "{}", request.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_write_that_nothing_needs_yet_is_a_note() {
    let (plimsoll, _sim, _fake) =
        behind(|request| (request.operation() == "UpdateService").then(|| denial(request))).await;
    let told = "denied: in every cluster there is (`prod`): User: arn:aws:iam::123456789012:user/tester";
    finds_only(&report(&plimsoll, 1), "ecs:UpdateService", told);
    plimsoll.write("audit.yaml", &POLICIES.replace("enforcement: enforce, strategy: gentle", "enforcement: audit"));
    plimsoll.run(&["apply", "-f", "audit.yaml"]).exits(0);
    let report = report(&plimsoll, 0);
    assert!(checks(&report, "note").contains(&"ecs:UpdateService"), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_denies_needs_no_statement_but_an_end_of_that() {
    let (plimsoll, _sim, _fake) = behind(|request| {
        let message =
            "User: x is not authorized to perform: ecs:ListClusters with an explicit deny in a service control policy";
        let body = json!({ "__type": "AccessDeniedException", "message": message }).to_string();
        (request.operation() == "ListClusters").then_some(Reply::Answer(400, body))
    })
    .await;
    let report = report(&plimsoll, 1);
    finds_only(&report, "ecs:ListClusters", "explicit deny");
    assert_eq!(report["policy"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ecs_that_is_out_of_reach_though_sts_is_not() {
    let (mut plimsoll, _sim, _fake) = behind(|_| None).await;
    plimsoll.set("AWS_ENDPOINT_URL_ECS", &format!("http://127.0.0.1:{}", crate::peers::free_port()));
    finds_only(&report(&plimsoll, 1), "ECS", "onnection refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_to_the_table_that_is_denied() {
    let peer = Peer::ministack().await;
    let server = address(&peer.endpoint());
    let dynamodb = Fake::start(move |_, request| {
        let operation = request.operation();
        let denied = match operation {
            "DeleteItem" | "DescribeTimeToLive" => true,
            "UpdateItem" => request.body.contains("cfg#freeze") || request.body.contains("rt#"),
            _ => false,
        };
        let message = format!("User: x is not authorized to perform: dynamodb:{operation} on resource: y");
        let body = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "Message": message });
        if denied { Reply::Answer(400, body.to_string()) } else { Reply::Forward(server) }
    })
    .await;
    let (mut plimsoll, _sim, _fake) = behind(|_| None).await;
    plimsoll.set("AWS_ENDPOINT_URL_DYNAMODB", &peer.endpoint());
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://records");
    plimsoll.run(&["store", "init"]).exits(0);
    plimsoll.run(&["apply", "-f", "policies/all.yaml"]).exits(0);
    plimsoll.set("AWS_ENDPOINT_URL_DYNAMODB", &dynamodb.endpoint());
    let report = report(&plimsoll, 1);
    let found = wrong(&report);
    let names: Vec<&str> = found.iter().filter_map(|one| one.split_once(": ")).map(|(name, _)| name).collect();
    assert_eq!(names, ["dynamodb:UpdateItem", "dynamodb:DeleteItem", "expiry of items"], "{found:#?}");
    let table = "arn:aws:dynamodb:eu-west-1:123456789012:table/records";
    assert_eq!(
        report["policy"]["Statement"],
        json!([
            { "Effect": "Allow", "Action": ["dynamodb:UpdateItem", "dynamodb:DeleteItem"], "Resource": [table],
              "Condition": { "ForAllValues:StringLike": { "dynamodb:LeadingKeys": ["rt#*"] },
                             "Null": { "dynamodb:LeadingKeys": "false" } } },
            { "Effect": "Allow", "Action": ["dynamodb:DescribeTimeToLive"], "Resource": [table] },
        ])
    );
    let notes = report["checks"].as_array().unwrap().iter().filter(|check| check["status"] == "note");
    let notes: Vec<&str> = notes.map(|check| check["message"].as_str().unwrap()).collect();
    assert!(notes.contains(&"these credentials may not write Freezes"), "{notes:#?}");
    assert!(notes.contains(&"these credentials may write Waivers"), "{notes:#?}");
}

const ROLE: &str = "arn:aws:iam::210987654321:role/plimsoll";

fn target(name: &str, account: &str, role: &str) -> String {
    format!(
        "---\napiVersion: plimsoll/v1\nkind: Target\nmetadata: {{ name: {name} }}\nspec: {{ account: \"{account}\", region: eu-west-1{role} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_cannot_be_taken_on_another_account_and_a_target_twice() {
    let (plimsoll, _sim, _fake) = behind(|request| {
        let error = "<Code>AccessDenied</Code><Message>User: x is not authorized to perform: sts:AssumeRole</Message>";
        let body = format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>");
        request.body.contains("Action=AssumeRole").then_some(Reply::Answer(403, body))
    })
    .await;
    let role = format!(", roleArn: \"{ROLE}\", externalId: x7");
    let targets = target("away", "210987654321", &role)
        + &target("mistaken", "999999999999", "")
        + &target("here", "123456789012", "");
    plimsoll.write("targets.yaml", &targets);
    plimsoll.run(&["apply", "-f", "targets.yaml"]).exits(0);
    let first = report(&plimsoll, 1);
    let found = wrong(&first);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("away: its role cannot be taken on"), "{found:#?}");
    assert!(found[1].starts_with("mistaken: the credentials belong to account 123456789012"), "{found:#?}");
    let statement = json!([{ "Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": [ROLE] }]);
    assert_eq!(first["policy"]["Statement"], statement);
    // Whoever plans is told the same, once, and of the role that is meant.
    let planned = plimsoll.run(&["plan", "--target", "210987654321/eu-west-1"]).exits(2);
    let planned = planned.says(&format!("its role `{ROLE}` cannot be taken on")).says("sts:AssumeRole");
    let planned = planned.says("help: allow the caller to take on").says("and the Target's externalId");
    assert!(!planned.stderr.contains("aws sso login"), "{planned:#?}");
    let planned = plimsoll.run(&["plan", "--target", "999999999999/eu-west-1"]).exits(2);
    planned.says("the credentials in use belong to `123456789012/eu-west-1`").says("or give the Target a roleArn");
    let settled =
        plimsoll.run(&["controller", "--until-settled", "--poll", "1s", "--target", "210987654321/eu-west-1"]);
    let settled = settled.exits(1).prints("cannot be taken on").prints("  do: see its Target object");
    assert!(!settled.stdout.contains("sso") && !settled.stdout.contains("AWS_PROFILE"), "{settled:#?}");
    // The others are looked at all the same.
    assert!(checks(&first, "ok").contains(&"ecs:UpdateService"), "{first:#}");
    plimsoll.write("twice.yaml", &target("here-again", "123456789012", ""));
    plimsoll.run(&["apply", "-f", "twice.yaml"]).exits(0);
    let found = wrong(&report(&plimsoll, 1));
    assert!(found.iter().any(|one| one.contains("another Target is `123456789012/eu-west-1` too")), "{found:#?}");
    plimsoll.run(&["plan"]).exits(2).says("are both `123456789012/eu-west-1`");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_policies_and_records_of_a_later_version() {
    let (plimsoll, _sim, _fake) = behind(|_| None).await;
    plimsoll.run(&["delete", "policy", "no-host-pid"]).exits(0);
    plimsoll.run(&["delete", "binding", "enforce-all"]).exits(0);
    plimsoll.run(&["delete", "policy", "no-root"]).exits(0);
    finds_only(&report(&plimsoll, 1), "policy set", "no policy is in force");
    let store = EmbeddedStore::open(&plimsoll.path("plimsoll.db")).unwrap();
    let later = Map::from_iter([("schema".to_owned(), json!(2)), ("generation".to_owned(), json!(9))]);
    store.put(&Key::new("cfg#policy", "head"), &later, Expect::Any, None).await.unwrap();
    finds_only(&report(&plimsoll, 1), "configuration", "has shape 2, and this plimsoll knows shapes up to 1");
    plimsoll.run(&["get", "policies"]).exits(2).says("or a later one");
}

/// As a version wrote it that took what this one does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_stored_policy_that_this_version_cannot_use() {
    let (plimsoll, _sim, _fake) = behind(|_| None).await;
    let text = POLICIES.replace("taskDefinition.?pidMode.orValue('') != 'host'", "taskDefinition.pidModus(1) == 2");
    let objects = plimsoll::manifest::parse("all.yaml", &text).unwrap().into_iter().map(|one| one.object).collect();
    let store = EmbeddedStore::open(&plimsoll.path("plimsoll.db")).unwrap();
    let application = Application { objects, ..Application::default() };
    let now = plimsoll::model::Timestamp::EPOCH;
    Configurations::of(&store).apply(&application, now, false).await.unwrap();
    let report = report(&plimsoll, 1);
    finds_only(&report, "policy set", "pidModus");
    let checks = report["checks"].as_array().unwrap();
    let set = checks.iter().find(|check| check["check"] == "policy set").unwrap();
    assert_eq!(set["remedy"], "correct it, and apply it again with `plimsoll apply -f`");
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_of_which_an_endpoint_knows_nothing() {
    let (plimsoll, _sim, _fake) = behind(|request| {
        let asks_alarms =
            request.header("authorization").contains("/monitoring/") || request.path.contains("CloudWatch");
        // CBOR of {}.
        asks_alarms.then(|| Reply::Cbor(404, "UnknownOperationException", vec![0xa0]))
    })
    .await;
    plimsoll.write("alarms.yaml", &POLICIES.replace("{ waves:", "{ health: { alarms: [payments-5xx] }, waves:"));
    plimsoll.run(&["apply", "-f", "alarms.yaml"]).exits(0);
    let report = report(&plimsoll, 1);
    finds_only(&report, "cloudwatch:DescribeAlarms", "has no usable answer");
    assert_eq!(checks(&report, "unknown"), ["cloudwatch:DescribeAlarms"]);
    assert_eq!(report["policy"], Value::Null, "no right is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_that_may_not_be_read_where_a_strategy_names_some() {
    let asks_alarms = |request: &Request| {
        request.header("authorization").contains("/monitoring/") || request.path.contains("CloudWatch")
    };
    // CBOR of { "message": "no" }.
    let body = [&[0xa1, 0x67][..], b"message", &[0x62], b"no"].concat();
    let (plimsoll, _sim, _fake) =
        behind(move |request| asks_alarms(request).then(|| Reply::Cbor(403, "AccessDenied", body.clone()))).await;
    report(&plimsoll, 0);
    plimsoll.write("alarms.yaml", &POLICIES.replace("{ waves:", "{ health: { alarms: [payments-5xx] }, waves:"));
    plimsoll.run(&["apply", "-f", "alarms.yaml"]).exits(0);
    let report = report(&plimsoll, 1);
    finds_only(&report, "cloudwatch:DescribeAlarms", "denied");
    let resource = json!(["arn:aws:cloudwatch:eu-west-1:123456789012:alarm:*"]);
    assert_eq!(report["policy"]["Statement"][0]["Resource"], resource);
}
