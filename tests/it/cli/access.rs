//! Nothing to reach, or no right to: one sentence, a remedy, exit 2.

use super::{POLICIES, Plimsoll, Run};
use crate::fake::{Fake, Reply};

/// Credentials that lead to an endpoint, and the store in DynamoDB.
fn against(endpoint: &str) -> Plimsoll {
    let mut plimsoll = Plimsoll::new();
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
    plimsoll.set("AWS_REGION", "eu-west-1");
    plimsoll.set("AWS_ACCESS_KEY_ID", "a");
    plimsoll.set("AWS_SECRET_ACCESS_KEY", "b");
    plimsoll.set("AWS_ENDPOINT_URL", endpoint);
    plimsoll
}

/// One sentence and its remedy: two lines, no more.
#[track_caller]
fn sentence(run: Run, told: &str) {
    let run = run.exits(2).says(told).says("help:");
    assert_eq!(run.stderr.lines().count(), 2, "{run:#?}");
    assert!(run.stderr.len() < 600, "{run:#?}");
    assert_eq!(run.stdout, "");
}

/// An address where nothing listens: it was free a moment ago.
fn closed() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn no_store_file() {
    sentence(Plimsoll::new().run(&["get", "policies"]), "`plimsoll store init` makes it");
}

#[test]
fn a_file_that_is_no_store() {
    let plimsoll = Plimsoll::new();
    plimsoll.write(
        "plimsoll.db",
        "not a database, but long enough to look like one to whoever reads only its head ................",
    );
    plimsoll.run(&["get", "policies"]).exits(2).says("file:plimsoll.db");
}

#[test]
fn no_region() {
    let mut plimsoll = Plimsoll::new();
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
    sentence(plimsoll.run(&["get", "policies"]), "no AWS region is set");
}

#[test]
fn no_credentials() {
    let mut plimsoll = Plimsoll::new();
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
    plimsoll.set("AWS_REGION", "eu-west-1");
    sentence(plimsoll.run(&["get", "policies"]), "no AWS credentials were found");
    let with_file = Plimsoll::with_store();
    with_file.write("all.yaml", POLICIES);
    with_file.run(&["apply", "-f", "all.yaml"]).exits(0);
    let error = with_file.run(&["plan", "-o", "json"]).exits(2).error_json();
    assert_eq!(error["message"], "no AWS region is set");
}

#[test]
fn the_endpoint_is_down() {
    sentence(against(&closed()).run(&["get", "policies"]), "does not answer");
}

async fn answers(status: u16, code: &str, message: &str) -> Run {
    let body = serde_json::json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": message });
    let fake = Fake::start(move |_, _| Reply::Answer(status, body.to_string())).await;
    let plimsoll = against(&fake.endpoint());
    tokio::task::spawn_blocking(move || plimsoll.run(&["get", "policies"])).await.unwrap()
}

#[tokio::test]
async fn the_table_is_missing() {
    sentence(
        answers(400, "ResourceNotFoundException", "Requested resource not found").await,
        "`plimsoll store init` makes it",
    );
}

#[tokio::test]
async fn access_is_denied() {
    let message = "User: arn:aws:iam::1:user/x is not authorized to perform: dynamodb:BatchGetItem";
    sentence(answers(400, "AccessDeniedException", message).await, "dynamodb:BatchGetItem");
}

/// What one person applies while another applies something else, and what came of the other's.
async fn both_apply(first: String, second: String) -> Run {
    let peer = crate::peers::Peer::ministack().await;
    let person = |endpoint: &str, policies: &str| {
        let plimsoll = against(endpoint);
        plimsoll.write("all.yaml", policies);
        plimsoll
    };
    person(&peer.endpoint(), POLICIES).run(&["store", "init"]).exits(0);
    person(&peer.endpoint(), POLICIES).run(&["apply", "-f", "all.yaml"]).exits(0);
    let faster = std::sync::Mutex::new(Some(person(&peer.endpoint(), &first)));
    // Between the look at what is in force and the write that changes it, somebody else applies.
    let server: std::net::SocketAddr = peer.endpoint().strip_prefix("http://").unwrap().parse().unwrap();
    let fake = Fake::start(move |_, request| {
        let flips = request.operation() == "UpdateItem" && request.body.contains(r#""head""#);
        if let Some(plimsoll) = flips.then(|| faster.lock().unwrap().take()).flatten() {
            plimsoll.run(&["apply", "-f", "all.yaml"]).exits(0);
        }
        Reply::Forward(server)
    })
    .await;
    let slower = person(&fake.endpoint(), &second);
    let applied = slower.run(&["apply", "-f", "all.yaml"]);
    let stored = slower.run(&["get", "policies", "-o", "yaml"]).exits(0);
    Run { stdout: applied.stdout + &stored.stdout, ..applied }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_second_to_change_an_object_is_told_so_and_theirs_is_not_in_force() {
    let said = |who: &str| POLICIES.replace("no root", &format!("no root, said {who}"));
    let refused = both_apply(said("first"), said("second")).await;
    let refused =
        refused.exits(2).says("somebody else changed `policy/no-root` at the same time").says("then apply again");
    assert!(refused.stdout.contains("said first") && !refused.stdout.contains("said second"), "{refused:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_change_different_objects_at_the_same_time_both_have_their_way() {
    let first = POLICIES.replace("title: no root", "title: no root, said first");
    // Of the second one only what it changes: what it does not name it leaves alone.
    let policy = POLICIES.split("---").next().unwrap();
    let second = policy.replace("title: no host process namespace", "title: no host, said second");
    let applied = both_apply(first, second).await;
    let applied = applied.exits(0);
    assert!(applied.stdout.contains("said first") && applied.stdout.contains("said second"), "{applied:#?}");
}

#[test]
fn a_fleet_out_of_reach_does_not_fail_an_apply() {
    let mut plimsoll = Plimsoll::with_store();
    plimsoll.set("AWS_REGION", "eu-west-1");
    plimsoll.set("AWS_ACCESS_KEY_ID", "a");
    plimsoll.set("AWS_SECRET_ACCESS_KEY", "b");
    plimsoll.set("AWS_ENDPOINT_URL", &closed());
    plimsoll.write("all.yaml", POLICIES);
    plimsoll.run(&["apply", "-f", "all.yaml"]).exits(0).prints("created").says("cannot be told now");
    plimsoll.run(&["plan"]).exits(2).says("cannot be reached");
}
