//! Secrets never: a fleet that has a secret in every place where a document can hold one, watched for a whole run, with
//! everything that comes out of it searched for them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::process::{Process, address_of};
use super::served::look;
use super::{Stage, eventually, fleet};
use crate::web::site::links;

/// What no output may hold. Each place has its own, so that a leak says where from.
fn canary(place: &str) -> String {
    format!("canary-{place}-5Tq9")
}

/// Every text of a document that may be a secret, planted; what a name or a mode may be stays.
fn plant(document: &mut Value) {
    let family = document["family"].as_str().unwrap().to_owned();
    let secret = |place: &str| canary(&format!("{place}-{family}"));
    document["tags"] = json!([{ "key": "team", "value": secret("tag") }]);
    document["volumes"] = json!([{ "name": "data", "dockerVolumeConfiguration": {
        "scope": "task", "driver": "local", "driverOpts": { "o": secret("driver-opts") }, "labels": { "l": secret("volume-label") }
    } }]);
    for container in document["containerDefinitions"].as_array_mut().unwrap() {
        let name = container["name"].as_str().unwrap().to_owned();
        let secret = |place: &str| secret(&format!("{place}-{name}"));
        let planted = json!({
            "command": ["--password", secret("command")],
            "entryPoint": ["sh", "-c", secret("entry-point")],
            "environment": [
                { "name": "AWS_SECRET_ACCESS_KEY", "value": secret("environment") },
                { "name": "DATABASE_URL", "value": format!("postgres://u:{}@db/x", secret("url")) }
            ],
            "dockerLabels": { "token": secret("docker-label") },
            "healthCheck": { "command": ["CMD-SHELL", format!("curl -u {} localhost", secret("health-check"))] },
            "logConfiguration": { "logDriver": "splunk", "options": { "splunk-token": secret("log-option") } },
            "firelensConfiguration": { "type": "fluentbit", "options": { "key": secret("firelens") } },
            "credentialSpecs": [format!("credentialspec:{}", secret("credential-spec"))]
        });
        container.as_object_mut().unwrap().extend(planted.as_object().unwrap().clone());
    }
}

/// All outputs of a run, with where each is from.
#[derive(Default)]
struct Outputs(Vec<(String, String)>);

impl Outputs {
    fn add(&mut self, from: impl Into<String>, text: impl Into<String>) {
        self.0.push((from.into(), text.into()));
    }

    #[track_caller]
    fn hold_no_canary(&self) {
        for (from, text) in &self.0 {
            let found: BTreeSet<&str> = text
                .match_indices("canary-")
                .map(|(at, _)| text[at..].split(['"', '\\', '&', ' ', ',', '<']).next().unwrap())
                .collect();
            assert!(found.is_empty(), "{from} gives away {found:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_whole_run_says_writes_or_serves_holds_a_secret() {
    let mut scenario = fleet::scenario();
    for step in scenario["steps"].as_array_mut().unwrap() {
        match step["operation"].as_str() {
            Some("RegisterTaskDefinition") => plant(&mut step["input"]),
            Some("CreateService") => {
                step["input"]["tags"] = json!([{ "key": "owner", "value": canary("service-tag") }])
            }
            _ => {}
        }
    }
    let mut stage = Stage::with_fleet(&scenario).await;
    // What signs the calls of the run itself. And whoever has RUST_LOG set for other programs gets no more of this one.
    stage.plimsoll.set("AWS_SECRET_ACCESS_KEY", &canary("secret-access-key"));
    stage.plimsoll.set("AWS_SESSION_TOKEN", &canary("session-token"));
    stage.plimsoll.set("RUST_LOG", "trace");
    let stage = stage;
    let mut outputs = Outputs::default();
    let mut say = |stage: &Stage, arguments: &[&str]| {
        // What can be done once is done once.
        let formats: &[&str] =
            if matches!(arguments[0], "unfreeze" | "rollout") { &["json"] } else { &["json", "text"] };
        for format in formats {
            let all = [arguments, &["-vvv", "--log-format", format]].concat();
            let run = stage.plimsoll.run(&all);
            assert!(run.code < 2 && !run.stderr.contains("panicked"), "{run:#?}");
            outputs.add(format!("stdout of {arguments:?}"), run.stdout);
            outputs.add(format!("stderr of {arguments:?}, as {format}"), run.stderr);
        }
    };
    let policies = crate::cli::repository().join("policies");
    let policies = policies.to_str().unwrap();
    say(&stage, &["apply", "-f", policies, "-f", "mine.yaml"]);
    // What `--patches` writes is the whole document, and says so; a plan file is not.
    say(&stage, &["plan", "-o", "json", "--out", "plan.json"]);
    say(&stage, &["plan", "-o", "wide", "--standalone"]);

    let listen = [
        "controller",
        "--poll",
        "1s",
        "--resync",
        "3s",
        "--lease",
        "5s",
        "--listen",
        "127.0.0.1:0",
        "-vvv",
        "--log-format",
        "json",
    ];
    let mut controller = Process::start(stage.plimsoll.command(&listen));
    let address = address_of(&controller.first_line());
    let mut pages: Vec<(String, String)> = Vec::new();
    controller.says(r#""rollout":"quick-1","phase":"Progressing""#);
    crawl(address, &mut pages);
    controller.says(r#""rollout":"quick-1","phase":"Succeeded""#);
    // What is refused, by the records and by the controller; and a Freeze, which is by somebody and for a reason.
    say(&stage, &["rollout", "approve", "quick-1", "-o", "json"]);
    say(&stage, &["hold", "release", "prod/web"]);
    say(&stage, &["freeze", "stop", "--scope", "cluster=nowhere", "--reason", "an incident", "-o", "json"]);
    say(&stage, &["rollout", "undo", "quick-1", "--wait"]);
    eventually("it was taken back", || look(address, "/rollouts").filter(|(_, page)| page.contains(">RolledBack<")));
    crawl(address, &mut pages);
    for kind in [
        "policies", "bindings", "waivers", "services", "findings", "rollouts", "changes", "holds", "clusters",
        "events", "leases",
    ] {
        say(&stage, &["get", kind, "-o", "json"]);
        say(&stage, &["get", kind, "-o", "wide"]);
    }
    for service in ["prod/web", "prod/agent", "dev/jobs"] {
        say(&stage, &["describe", "service", service]);
    }
    for arguments in [
        &["get", "freezes", "-o", "json"][..],
        &["events", "--for", "Freeze/stop", "-o", "json"],
        &["unfreeze", "stop"],
        &["events", "-o", "json"],
        &["audit", "verify", "-o", "json"],
        &["doctor"],
        &["doctor", "-o", "json"],
        &["events"],
        &["rollout", "status", "quick-1"],
        &["rollout", "history", "quick-1"],
        &["audit", "verify"],
        &["hold", "list"],
    ] {
        say(&stage, arguments);
    }
    // What people export, and give back.
    stage.plimsoll.write("exported.json", &stage.plimsoll.run(&["events", "-o", "json"]).exits(0).stdout);
    say(&stage, &["audit", "verify", "--heads", "exported.json"]);
    outputs.add("exported.json", stage.plimsoll.read("exported.json"));
    controller.signal("TERM");
    let said = controller.end().exits(0).said;
    assert!(said.iter().any(|line| line.contains("\"level\":\"DEBUG\"")), "the logs are not in full");
    outputs.add("the controller's log", said.join("\n"));
    assert!(pages.len() > 40, "{}", pages.len());
    pages.into_iter().for_each(|(path, page)| outputs.add(path, page));
    outputs.add("plan.json", stage.plimsoll.read("plan.json"));
    let (items, documents) = stored(&stage);
    items.into_iter().for_each(|(key, body)| outputs.add(key, body));
    outputs.hold_no_canary();
    // And the search finds what is there: documents are kept whole, for only so can a revision be made again.
    assert!(documents > 0, "no document is stored");
    // The calls were made with those credentials: the token is sent with each.
    let token = canary("session-token");
    let requests = stage.proxy.requests();
    let signed = requests.iter().filter(|request| request.header("x-amz-security-token") == token);
    assert!(signed.count() > 20);
    let shown = stage.ecs.definition("web:1").to_string();
    for place in ["tag", "command", "environment", "docker-label", "driver-opts"] {
        assert!(shown.contains(&format!("canary-{place}")), "{place} was not planted: {shown}");
    }
}

fn crawl(address: std::net::SocketAddr, pages: &mut Vec<(String, String)>) {
    let mut open = vec!["/".to_owned(), "/metrics".to_owned(), "/readyz".to_owned()];
    let mut seen: BTreeSet<String> = open.iter().cloned().collect();
    while let Some(path) = open.pop() {
        let (status, page) = look(address, &path).unwrap();
        assert_eq!(status, 200, "{path}");
        open.extend(links(&page).into_iter().filter(|link| seen.insert(link.clone())));
        pages.push((path, page));
    }
}

/// Every item of the store but the documents, and how many of those there are.
fn stored(stage: &Stage) -> (Vec<(String, String)>, usize) {
    let file = rusqlite::Connection::open(stage.plimsoll.path("plimsoll.db")).unwrap();
    let mut rows = file.prepare("SELECT partition, sort, body FROM items").unwrap();
    let all =
        rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)));
    let all: Vec<_> = all.unwrap().map(Result::unwrap).collect();
    let (documents, items): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(partition, ..)| partition.ends_with("#documents"));
    (items.into_iter().map(|(partition, sort, body)| (format!("{partition} {sort}"), body)).collect(), documents.len())
}

#[test]
#[should_panic(expected = "a page gives away {\"canary-environment-web-app-5Tq9\"}")]
fn a_secret_that_gets_out_is_found_and_its_place_is_told() {
    let mut outputs = Outputs::default();
    outputs.add("a page", format!("<td>{}</td>", canary("environment-web-app")));
    outputs.hold_no_canary();
}
