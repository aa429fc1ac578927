//! Input that somebody made to hurt: a short error in bounded time, and never a stack trace.

use super::{POLICIES, Plimsoll, Run};

/// What people read of it stays short, and the terminal whole.
#[track_caller]
fn short(run: Run) -> Run {
    assert!(run.stdout.len() + run.stderr.len() < 32 * 1024, "{} bytes", run.stdout.len() + run.stderr.len());
    assert!(!run.stderr.contains('\u{1b}'), "{run:#?}");
    run
}

/// A policy with this expression, in the folder of every verb that reads policies.
fn with_expression(expression: &str) -> String {
    POLICIES.replace("\"taskDefinition.?pidMode.orValue('') != 'host'\"", expression)
}

#[track_caller]
fn refused_everywhere(name: &str, yaml: &[u8], told: &str) {
    let plimsoll = Plimsoll::with_store();
    std::fs::write(plimsoll.path("bad.yaml"), yaml).unwrap();
    plimsoll.write("task.json", r#"{"family": "a", "containerDefinitions": []}"#);
    for arguments in [
        &["apply", "-f", "bad.yaml"][..],
        &["check", "task.json", "-f", "bad.yaml"],
        &["fix", "task.json", "-f", "bad.yaml"],
        &["test", "bad.yaml"],
    ] {
        let run = short(plimsoll.run(arguments));
        assert_eq!(run.code, 2, "{name}, {arguments:?}: {run:#?}");
        run.exits(2).says(told);
    }
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in ["b", "c", "d", "e", "f", "g", "h", "i"].into_iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"])
    {
        bomb += &format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 10].join(", "));
    }
    refused_everywhere("aliases", bomb.as_bytes(), "aliases");
}

#[test]
fn depth_is_refused_before_it_reaches_a_stack() {
    refused_everywhere("lists", "[".repeat(100_000).as_bytes(), "bad.yaml:1:");
    refused_everywhere("objects", "{a: ".repeat(100_000).as_bytes(), "bad.yaml:1:");
    let blocks: String = (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    refused_everywhere("blocks", blocks.as_bytes(), "bad.yaml:");
}

#[test]
fn what_is_no_text_is_refused() {
    refused_everywhere("bytes", &[0xff, 0xfe, 0x00, 0xd8], "bad.yaml");
    refused_everywhere("latin", b"apiVersion: plimsoll/v1\nkind: Policy\nmetadata: { name: caf\xe9 }\n", "UTF-8");
    refused_everywhere("nul", b"apiVersion: \0\n", "bad.yaml:1:");
}

#[test]
fn expressions_of_any_size_are_refused_at_their_line() {
    for (name, expression, told) in [
        ("a megabyte", format!("\"{}\"", "a&&".repeat(350_000)), "bytes; at most 2048"),
        ("a chain", format!("\"{}1 == 1\"", "1+".repeat(500)), "bad.yaml:11:"),
        ("brackets", format!("\"{}\"", "(".repeat(1500)), "bad.yaml:11:"),
        ("negations", format!("\"{}true\"", "!".repeat(1500)), "bad.yaml:11:"),
        ("comprehensions", "\"[1].all(a, [1].all(b, [1].all(c, [1].all(d, true))))\"".to_owned(), "bad.yaml:11:"),
        ("a pattern", "\"'a'.matches('(a{1000}){1000}')\"".to_owned(), "bad.yaml:11:"),
    ] {
        refused_everywhere(name, with_expression(&expression).as_bytes(), told);
    }
}

/// Costly, and nothing that reading could tell: it depends on the document.
#[test]
fn an_expression_that_takes_too_long_is_unknown_and_ends() {
    let plimsoll = Plimsoll::new();
    let nested = "\"taskDefinition.list.all(a, taskDefinition.list.all(b, a + b >= 0))\"";
    plimsoll.write("cost.yaml", &with_expression(nested));
    let numbers: Vec<String> = (0..5000).map(|number| number.to_string()).collect();
    let container = r#"{"name": "a", "image": "a", "user": "app"}"#;
    let task = format!(r#"{{"family": "a", "containerDefinitions": [{container}], "list": [{}]}}"#, numbers.join(","));
    plimsoll.write("task.json", &task);
    let run = short(plimsoll.run(&["check", "task.json", "-f", "cost.yaml", "-o", "json"]).exits(1));
    let results = run.json()["results"].clone();
    let of = |policy: &str| {
        let found = results.as_array().unwrap().iter().find(|result| result["policy"] == policy).unwrap();
        (found["verdict"].clone(), found["reason"]["message"].as_str().unwrap_or("").to_owned())
    };
    assert_eq!(of("no-host-pid").0, "unknown");
    assert!(of("no-host-pid").1.contains("too many steps"), "{:?}", of("no-host-pid"));
    assert_eq!(of("no-root").0, "pass", "and nothing else is unknown for it");
}

#[test]
fn task_definitions_that_are_no_documents_are_refused() {
    let plimsoll = Plimsoll::new();
    plimsoll.write("policies.yaml", POLICIES);
    for (name, bytes) in [
        ("deep", "[".repeat(100_000).into_bytes()),
        ("deep inside", format!(r#"{{"family": "a", "containerDefinitions": {}"#, "[".repeat(10_000)).into_bytes()),
        ("no UTF-8", b"{\"family\": \"\xff\xfe\"}".to_vec()),
        ("half", br#"{"family": "a", "containerDefinitions": ["#.to_vec()),
        ("nothing", Vec::new()),
        ("a lone surrogate", br#"{"family": "\ud800", "containerDefinitions": []}"#.to_vec()),
        ("twice", br#"{"family": "a", "family": "b", "containerDefinitions": []}"#.to_vec()),
        ("a number that is none", br#"{"family": "a", "containerDefinitions": [], "cpu": 1e999999}"#.to_vec()),
    ] {
        std::fs::write(plimsoll.path("task.json"), bytes).unwrap();
        for verb in ["check", "fix"] {
            let run = short(plimsoll.run(&[verb, "task.json", "-f", "policies.yaml"]));
            assert_eq!(run.code, 2, "{name}: {run:#?}");
            run.exits(2).says("task.json");
        }
    }
}

#[test]
fn wrong_types_everywhere_are_no_pass() {
    let plimsoll = Plimsoll::new();
    for wrong in ["true", "7", "\"x\"", "{}", "[[[]]]", "[null]", "[{\"name\": 1}]", "{\"a\": {}}"] {
        let members = ["containerDefinitions", "volumes", "networkMode", "pidMode", "runtimePlatform", "cpu"];
        let members: Vec<String> = members.iter().map(|name| format!("\"{name}\": {wrong}")).collect();
        plimsoll.write("task.json", &format!(r#"{{"family": "a", {}}}"#, members.join(", ")));
        let run = plimsoll.run(&["check", "task.json", "-o", "json"]).exits(1);
        let results = run.json()["results"].clone();
        let pid = results.as_array().unwrap().iter().find(|result| result["policy"] == "security-hub-ecs-3").unwrap();
        assert_eq!(pid["verdict"], if wrong == "\"x\"" { "pass" } else { "unknown" }, "{wrong}");
        plimsoll.run(&["fix", "task.json", "--diff"]).exits(1);
    }
}

#[test]
fn a_list_of_very_many_ends() {
    let plimsoll = Plimsoll::new();
    plimsoll.write("policies.yaml", POLICIES);
    let containers = vec![r#"{"user":"root"}"#; 60_000].join(",");
    plimsoll.write("task.json", &format!(r#"{{"family": "a", "containerDefinitions": [{containers}]}}"#));
    let run = plimsoll.run(&["check", "task.json", "-f", "policies.yaml", "-o", "json"]).exits(1);
    let verdicts: Vec<_> =
        run.json()["results"].as_array().unwrap().iter().map(|result| result["verdict"].clone()).collect();
    assert_eq!(verdicts, ["pass", "unknown"]);
}
