//! Secrets never: a fleet that has a secret in every place where a document can hold one, watched for a whole run, with
//! everything that comes out of it searched for them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::process::{Process, address_of};
use super::served::look;
use super::{CONTROLLER, ENFORCED, Stage, eventually, fleet};
use crate::fake::Reply;
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

/// The fleet of these tests, with a canary in every place that may hold a secret.
fn planted() -> Value {
    let mut scenario = fleet::scenario();
    for step in scenario["steps"].as_array_mut().unwrap() {
        match step["operation"].as_str() {
            Some("RegisterTaskDefinition") => plant(&mut step["input"]),
            Some("CreateService") => {
                step["input"]["tags"] = json!([{ "key": "owner", "value": canary("service-tag") }]);
                let log = json!({ "logDriver": "splunk", "options": { "splunk-token": canary("service-log-option") } });
                step["input"]["serviceConnectConfiguration"] =
                    json!({ "enabled": true, "namespace": "internal", "logConfiguration": log });
            }
            _ => {}
        }
    }
    scenario
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_whole_run_says_writes_or_serves_holds_a_secret() {
    let mut stage = Stage::with_fleet(&planted()).await;
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
    let shown = format!("{}{:?}", stage.ecs.definition("web:1"), stage.ecs.services("prod"));
    for place in ["tag", "command", "environment", "docker-label", "driver-opts", "service-tag", "service-log-option"] {
        assert!(shown.contains(&format!("canary-{place}")), "{place} was not planted: {shown}");
    }
}

/// A registration that is refused, and tasks that cannot start, each in words that quote the task definition.
#[tokio::test(flavor = "multi_thread")]
async fn what_ecs_quotes_in_its_own_words_gets_nowhere() {
    let mut scenario = planted();
    let fixed = json!([{ "pointer": "/pidMode" }]);
    let (program, value) = (canary("entry-point-app-web"), canary("environment-app-web"));
    let option = canary("log-option-app-api");
    // Of the service, not of its task definition.
    let (proxy, owner) = (canary("service-log-option"), canary("service-tag"));
    for secret in [&program, &value, &option, &proxy, &owner] {
        assert!(scenario.to_string().contains(secret), "{secret} is not planted");
    }
    let words = format!(
        "CannotStartContainerError: Error response from daemon: failed to create task: exec: \"{program}\": \
         executable file not found in $PATH: AWS_SECRET_ACCESS_KEY={value}: unknown; proxy: token {proxy} of {owner}"
    );
    scenario["misbehaviours"] = json!([{ "family": "web", "when": fixed, "effect": { "cannotStart": words } }]);
    let stage = Stage::with_fleet(&scenario).await;
    // All at once: what goes wrong with one keeps nothing from the others.
    let waves = "waves: [{ name: canary, size: 1, bake: 1s }, { name: rest, size: rest }]";
    assert!(ENFORCED.contains(waves));
    let at_once = "waves: [{ name: all, size: rest, bake: 1s }]\n  onFailure: continue\n  maxFailures: 4";
    let mine = ENFORCED.replace(waves, at_once).replace("maxInFlight: 2", "maxInFlight: 4");
    stage.plimsoll.write("mine.yaml", &mine);
    stage.script(move |request| {
        let refused = request.operation() == "RegisterTaskDefinition" && request.body.contains(&option);
        let message = format!("Log driver splunk disallows option splunk-token: {option}");
        let body = json!({ "__type": "ClientException", "message": message }).to_string();
        refused.then_some(Reply::Answer(400, body))
    });
    stage.apply();
    let listen = ["--listen", "127.0.0.1:0", "-vvv", "--log-format", "json"];
    let mut controller = stage.start(&[&CONTROLLER[..], &listen].concat());
    let address = address_of(&controller.first_line());
    let mut outputs = Outputs::default();
    let told = |outputs: &mut Outputs, words: &str| {
        eventually(words, || {
            let run = stage.plimsoll.run(&["events", "-o", "json"]);
            outputs.0.retain(|(from, _)| from != "the events");
            outputs.add("the events", run.stdout.clone());
            (run.code == 0 && run.stdout.contains(words)).then_some(())
        });
    };
    told(&mut outputs, "Log driver splunk disallows option splunk-token: ");
    told(&mut outputs, "executable file not found in $PATH");
    let mut pages = Vec::new();
    crawl(address, &mut pages);
    controller.signal("TERM");
    let said = controller.end().exits(0).said.join("\n");
    let refused = said.lines().find(|line| line.contains("the revision was not registered"));
    let refused: Value = serde_json::from_str(refused.expect("the log says nothing of it")).unwrap();
    assert_eq!(refused["level"], "WARN", "{refused:#}");
    assert!(refused["error"].as_str().unwrap().ends_with("splunk-token: ***"), "{refused:#}");
    outputs.add("the controller's log", said);
    for arguments in [
        &["rollout", "list"][..],
        &["get", "changes", "-o", "json"],
        &["get", "changes", "-o", "wide"],
        &["get", "rollouts", "-o", "json"],
        &["get", "holds", "-o", "json"],
        &["describe", "service", "prod/web"],
        &["describe", "service", "prod/api"],
        &["events"],
    ] {
        let run = stage.plimsoll.run(arguments);
        outputs.add(format!("stdout of {arguments:?}"), run.stdout);
        outputs.add(format!("stderr of {arguments:?}"), run.stderr);
    }
    for rollout in stage.plimsoll.run(&["get", "rollouts", "-o", "json"]).json()["items"].as_array().unwrap() {
        let name = rollout["metadata"]["name"].as_str().unwrap();
        for what in ["status", "history"] {
            outputs.add(format!("{what} of {name}"), stage.plimsoll.run(&["rollout", what, name]).stdout);
        }
    }
    pages.into_iter().for_each(|(path, page)| outputs.add(path, page));
    stored(&stage).0.into_iter().for_each(|(key, body)| outputs.add(key, body));
    outputs.hold_no_canary();
    // And the rest of the words is told.
    let (_, events) = outputs.0.iter().find(|(from, _)| from == "the events").unwrap();
    for words in [
        "Log driver splunk disallows option splunk-token: ***",
        r#"exec: \"***\": executable file not found in $PATH: AWS_SECRET_ACCESS_KEY=***: unknown; proxy: token *** of ***"#,
    ] {
        assert!(events.contains(words), "{events}");
    }
}

fn crawl(address: std::net::SocketAddr, pages: &mut Vec<(String, String)>) {
    let mut open = vec!["/".to_owned(), "/metrics".to_owned(), "/readyz".to_owned()];
    let mut seen: BTreeSet<String> = open.iter().cloned().collect();
    while let Some(path) = open.pop() {
        // A process that gets no time says so, with 503, and is asked again.
        let (status, page) = eventually(&path, || look(address, &path).filter(|(status, _)| *status != 503));
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
