//! What a new user gets wrong first, and what is said: what is wrong by its name, once, and what to do.

use serde_json::json;

use super::{POLICIES, Plimsoll, Run};

/// Credentials for the environment, and a store that needs them.
fn in_a_region() -> Plimsoll {
    let mut plimsoll = Plimsoll::new();
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://plimsoll");
    plimsoll.set("AWS_REGION", "eu-west-1");
    plimsoll
}

/// One error, of two lines; nothing before it and nothing after.
#[track_caller]
fn is_the_only_thing_said(run: Run, told: &str, help: &str) {
    let run = run.exits(2).says(told).says(help);
    assert!(run.stderr.starts_with("error: "), "{run:#?}");
    assert_eq!(run.stderr.matches("error: ").count(), 1, "{run:#?}");
    assert_eq!(run.stderr.lines().count(), 2, "{run:#?}");
}

#[test]
fn an_endpoint_without_its_scheme() {
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"] {
        let mut plimsoll = in_a_region();
        plimsoll.set("AWS_ACCESS_KEY_ID", "a");
        plimsoll.set("AWS_SECRET_ACCESS_KEY", "b");
        plimsoll.set(variable, "localhost:4566");
        let told = format!("`{variable}` is `localhost:4566`, which is no URL");
        is_the_only_thing_said(plimsoll.run(&["get", "policies"]), &told, "http://localhost:4566");
        plimsoll.run(&["doctor"]).exits(1).prints(&told).prints("remedy: write it with its scheme");
    }
}

#[test]
fn half_a_key_pair() {
    let mut plimsoll = in_a_region();
    plimsoll.set("AWS_SECRET_ACCESS_KEY", "CANARY");
    let run = plimsoll.run(&["get", "policies"]);
    assert!(!run.stderr.contains("CANARY"), "{run:#?}");
    is_the_only_thing_said(run, "`AWS_SECRET_ACCESS_KEY` is set, and `AWS_ACCESS_KEY_ID` is not", "set both");
}

#[test]
fn a_profile_that_nobody_wrote() {
    let mut plimsoll = in_a_region();
    plimsoll.write(".aws/config", "[profile production]\nregion = eu-west-1\n");
    plimsoll.set("AWS_PROFILE", "prodution");
    is_the_only_thing_said(plimsoll.run(&["get", "policies"]), "no AWS profile `prodution`", "list-profiles");
}

/// The SDK has words of its own for it, a line of a thousand letters among them.
#[test]
fn a_profile_that_the_sdk_cannot_use_is_one_error() {
    let mut plimsoll = in_a_region();
    plimsoll.write(".aws/config", "[profile half]\nregion = eu-west-1\naws_access_key_id = a\n");
    plimsoll.set("AWS_PROFILE", "half");
    is_the_only_thing_said(plimsoll.run(&["get", "policies"]), "missing aws_secret_access_key", "help: ");
    let error = plimsoll.run(&["get", "policies", "-o", "json"]).exits(2).error_json();
    assert_eq!(error["kind"], "Error");
}

#[test]
fn a_controller_that_looks_without_a_pause_or_at_no_time_or_may_edit_what_nobody_guards() {
    let plimsoll = Plimsoll::with_store();
    let usage = |arguments: &[&str], told: &str| {
        plimsoll.run(&[&["controller"], arguments].concat()).exits(2).says(told);
    };
    usage(&["--poll", "0s"], "it is at least 1s");
    usage(&["--resync", "0s"], "it is at least 1s");
    usage(&["--schedule", "nonsense"], "give minute, hour, day, month and weekday, such as `*/5 * * * *`");
    usage(&["--allow-edit", "image"], "did you mean `/containerDefinitions/*/image`?");
    plimsoll.run(&["plan", "--allow-edit", "/cpu"]).exits(2).says("`/cpu` is no guarded member");
}

#[test]
fn what_keeps_a_controller_from_starting_is_a_line_of_its_log() {
    let plimsoll = Plimsoll::new();
    let line = |arguments: &[&str]| {
        let run = plimsoll.run(&[&["controller"], arguments].concat()).exits(2);
        assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
        run.error_json()
    };
    // Nobody watches: the log is JSON.
    let missing = line(&[]);
    assert_eq!(missing["level"], "ERROR");
    assert!(missing["message"].as_str().unwrap().contains("`plimsoll store init` makes it"), "{missing:#}");
    assert!(missing["help"].as_str().is_some_and(|help| help.contains("--store")), "{missing:#}");
    let usage = line(&["--log-format", "json", "--poll", "0s"]);
    assert_eq!(usage["level"], "ERROR");
    assert!(usage["message"].as_str().unwrap().contains("--poll"), "{usage:#}");
    plimsoll.run(&["controller", "--log-format", "text"]).exits(2).says("error: there is no store").says("help: ");
    assert_eq!(plimsoll.run(&["controller", "-o", "json"]).exits(2).error_json()["kind"], "Error");
}

#[test]
fn a_target_that_there_is_not() {
    let plimsoll = Plimsoll::with_store();
    let elsewhere = ["--target", "999999999999/eu-west-1"];
    let ask = |what: &[&str]| plimsoll.run(&[what, &elsewhere[..]].concat());
    ask(&["get", "services"]).exits(2).says("no controller has worked with this store yet");
    plimsoll.write("targets.yaml", &(target("shop", "eu-west-1") + &target("shop-us", "us-east-1")));
    plimsoll.run(&["apply", "-f", "targets.yaml"]).exits(0);
    for what in [&["get", "services"][..], &["rollout", "list"], &["events"], &["audit", "verify"]] {
        ask(what)
            .exits(2)
            .says("there is no target `999999999999/eu-west-1`")
            .says("`123456789012/eu-west-1`, `123456789012/us-east-1`");
    }
    plimsoll.run(&["get", "services", "--target", "123456789012/us-east-1"]).exits(0);
    plimsoll.run(&["get", "services", "--target", "shop/eu-west-1"]).exits(2).says("123456789012/eu-west-1");
}

fn target(name: &str, region: &str) -> String {
    format!(
        "---\napiVersion: plimsoll/v1\nkind: Target\nmetadata: {{ name: {name} }}\nspec: {{ account: \"123456789012\", region: {region} }}\n"
    )
}

#[test]
fn a_target_twice_is_told_where_it_is_applied() {
    let plimsoll = Plimsoll::with_store();
    plimsoll.write("one.yaml", &target("shop", "eu-west-1"));
    plimsoll.write("two.yaml", &target("store", "eu-west-1"));
    let first = plimsoll.run(&["apply", "-f", "one.yaml"]).exits(0);
    assert!(!first.stderr.contains("warning"), "{first:#?}");
    for arguments in [&["apply", "-f", "two.yaml", "--dry-run"][..], &["apply", "-f", "two.yaml"]] {
        plimsoll.run(arguments).exits(0).says("warning: Target `store` will not be watched: Target `shop` is the same");
    }
}

#[test]
fn a_name_that_is_nearly_right() {
    let plimsoll = Plimsoll::with_store();
    plimsoll.write("all.yaml", POLICIES);
    plimsoll.run(&["apply", "-f", "all.yaml"]).exits(0);
    plimsoll
        .run(&["get", "policies", "no-host-pidd"])
        .exits(2)
        .says("there is no policy `no-host-pidd`")
        .says("did you mean `no-host-pid`?; see `plimsoll get policies`");
    plimsoll.run(&["describe", "binding", "enforce-al"]).exits(2).says("did you mean `enforce-all`?");
    plimsoll.run(&["get", "policies", "other"]).exits(2).says("help: see `plimsoll get policies`");
}

#[test]
fn a_scope_that_a_file_cannot_answer_names_the_key_and_how_to_say_it() {
    let plimsoll = Plimsoll::new();
    let scoped = POLICIES.replace(
        "spec: { policies: [no-host-pid], enforcement: enforce, strategy: gentle }",
        "spec: { policies: [no-host-pid], enforcement: 'off', scope: { include: { clusters: [dev], tags: { env: [dev] } } } }",
    );
    plimsoll.write("policies/all.yaml", &scoped);
    let task = json!({ "family": "web", "containerDefinitions": [{ "name": "app", "image": "a" }] });
    plimsoll.write("task.json", &task.to_string());
    plimsoll
        .run(&["check", "task.json"])
        .exits(1)
        .prints("whether binding `enforce-all` applies depends on `cluster` and `tags.env`")
        .prints("say it with `--assume cluster=…,tags.env=…`");
    plimsoll.run(&["check", "task.json", "--assume", "cluster=prod"]).exits(0);
}

#[test]
fn a_simulator_listens_on_a_port_of_this_machine() {
    let plimsoll = Plimsoll::new();
    plimsoll.run(&["sim", "--listen", "soon"]).exits(2).says("it is a port, such as 8080");
    let mut command = plimsoll.command(&["sim", "--listen", "0"]);
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("http://127.0.0.1:"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_records_refuse_is_refused_where_sts_is_away_and_has_no_id() {
    let peer = crate::peers::Peer::dynalite().await;
    let mut plimsoll = Plimsoll::new();
    for (name, value) in [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")] {
        plimsoll.set(name, value);
    }
    plimsoll.set("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{}", crate::peers::free_port()));
    plimsoll.set("AWS_ENDPOINT_URL_DYNAMODB", &peer.endpoint());
    plimsoll.set("PLIMSOLL_STORE", "dynamodb://records");
    plimsoll.run(&["store", "init"]).exits(0);
    let target = plimsoll::model::TargetId { account: "123456789012".to_owned(), region: "eu-west-1".to_owned() };
    let store = peer.connection().store("records");
    plimsoll::records::targets::Targets::of(&store).announce(&target).await.unwrap();
    let service = "arn:aws:ecs:eu-west-1:123456789012:service/prod/web";
    let refused = plimsoll.run(&["hold", "release", service, "-o", "json"]).exits(1).json();
    assert_eq!((&refused["kind"], &refused["status"]["done"]), (&"Command".into(), &false.into()));
    assert_eq!(refused["status"]["message"], "nothing is held off `prod/web`");
    // Nothing was stored, by nobody in particular.
    assert!(refused["spec"].get("id").is_none() && refused["spec"].get("by").is_none(), "{refused:#}");
    // What is stored says whose it is, and without STS that is not known.
    plimsoll.run(&["hold", "add", service, "--for", "1h", "--reason", "r"]).exits(2).says("cannot be reached");
}
