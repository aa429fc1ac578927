//! `check`, `fix` and `test`, with neither AWS nor a store.

use super::{POLICIES, Plimsoll, repository};

/// Every text that may be a secret says so.
const TASK: &str = r#"{
    "family": "web",
    "pidMode" : "host",

    "containerDefinitions": [
        { "name": "app", "image": "app:1", "user": "root",
          "command": ["--password", "CANARY"], "entryPoint": ["CANARY"],
          "environment": [ { "name": "TOKEN", "value": "CANARY" } ],
          "dockerLabels": { "token": "CANARY" },
          "logConfiguration": { "logDriver": "splunk", "options": { "splunk-token": "CANARY" } } }
    ],
    "memberOfTomorrow": "CANARY"
}
"#;

fn with_files() -> Plimsoll {
    let plimsoll = Plimsoll::new();
    plimsoll.write("policies/all.yaml", POLICIES);
    plimsoll.write("task.json", TASK);
    plimsoll
}

#[test]
fn check_says_what_fails_and_where() {
    let plimsoll = with_files();
    let report = plimsoll.run(&["check", "task.json", "-o", "json"]).exits(1).json();
    assert_eq!(report["kind"], "CheckReport");
    assert_eq!(report["policySet"]["source"], "policies/");
    assert_eq!(report["policySet"]["policies"], 2);
    assert_eq!(
        report["summary"],
        serde_json::json!({ "resources": 1, "pass": 0, "fail": 2, "waived": 0, "skip": 0, "unknown": 0 })
    );
    let pid = &report["results"][0];
    assert_eq!(
        (&pid["resource"], &pid["file"], &pid["policy"], &pid["verdict"]),
        (&"task.json#web".into(), &"task.json".into(), &"no-host-pid".into(), &"fail".into())
    );
    assert_eq!((&pid["reason"], &pid["waiver"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    let finding = &pid["findings"][0];
    assert_eq!(
        (&finding["check"], &finding["path"], &finding["line"], &finding["fixable"]),
        (&"pid-mode".into(), &"/pidMode".into(), &3.into(), &true.into())
    );
    let user = &report["results"][1]["findings"][0];
    assert_eq!(
        (&user["path"], &user["line"], &user["container"]),
        (&"/containerDefinitions/0/user".into(), &6.into(), &"app".into())
    );
}

#[test]
fn the_exit_code_is_the_same_whatever_the_format() {
    let plimsoll = with_files();
    for format in ["table", "wide", "json", "yaml", "sarif", "junit", "github"] {
        plimsoll.run(&["check", "task.json", "-o", format]).exits(1);
    }
}

#[test]
fn no_value_that_may_be_a_secret_is_shown() {
    let plimsoll = with_files();
    for format in ["table", "wide", "json", "yaml", "sarif", "junit", "github"] {
        let run = plimsoll.run(&["check", "task.json", "-o", format, "-vvv"]);
        assert!(!run.stdout.contains("CANARY") && !run.stderr.contains("CANARY"), "{run:#?}");
    }
    for arguments in [&["fix", "task.json"][..], &["fix", "task.json", "--diff"], &["fix", "task.json", "-o", "json"]] {
        let run = plimsoll.run(arguments);
        assert!(!run.stdout.contains("CANARY") && !run.stderr.contains("CANARY"), "{run:#?}");
    }
}

#[test]
fn fix_changes_what_it_names_and_no_other_byte() {
    let plimsoll = with_files();
    plimsoll.run(&["fix", "task.json", "--write"]).exits(1).prints("- /pidMode \"host\"").prints("runs as root");
    assert_eq!(plimsoll.read("task.json"), TASK.replace("\"pidMode\" : \"host\",\n\n    ", ""));
    let again = plimsoll.run(&["fix", "task.json", "--write"]).exits(1);
    assert!(again.stdout.contains("nothing to change"), "{again:?}");
}

#[test]
fn fix_answers_yes_once_nothing_is_left() {
    let plimsoll = with_files();
    plimsoll.write("task.json", &TASK.replace("\"root\"", "\"1000\""));
    let diff = plimsoll.run(&["fix", "task.json", "--diff"]).exits(0).prints("-    \"pidMode\" : \"host\",");
    assert!(diff.stdout.starts_with("--- task.json\n+++ task.json\n"), "{diff:?}");
    let piped = plimsoll.run_with(&["fix", "-", "--write"], &plimsoll.read("task.json")).exits(0);
    assert!(
        piped.stdout.contains("CANARY") && !piped.stdout.contains("pidMode"),
        "the whole document comes back: {piped:?}"
    );
    plimsoll.run(&["fix", "task.json", "--write"]).exits(0);
    plimsoll.run(&["check", "task.json"]).exits(0);
}

#[test]
fn what_depends_on_where_it_runs_is_unknown_until_assumed() {
    let plimsoll = with_files();
    plimsoll.write("task.json", &TASK.replace("\"root\"", "\"1000\""));
    let waiver = "---\napiVersion: plimsoll/v1\nkind: Waiver\nmetadata: { name: agents }\nspec: { policies: [no-host-pid], scope: { include: { clusters: [tools] } }, owner: me, reason: needs it, expiresAt: 2999-01-01T00:00:00Z, longerThanAYear: for ever }\n";
    plimsoll.write("policies/all.yaml", &format!("{POLICIES}{waiver}"));
    let verdict = |arguments: &[&str], code| {
        plimsoll.run(&[&["check", "task.json", "-o", "json"], arguments].concat()).exits(code).json()["results"][0]["verdict"].clone()
    };
    assert_eq!(verdict(&["--assume", "cluster=prod"], 1), "fail");
    assert_eq!(verdict(&["--assume", "cluster=tools"], 0), "waived");
    assert_ne!(verdict(&[], 1), "waived");
    plimsoll.run(&["check", "task.json", "--assume", "cluster=prod-*"]).exits(2).says("is a glob");
}

#[test]
fn a_member_of_the_wrong_type_is_unknown_and_unknown_is_no() {
    let plimsoll = with_files();
    plimsoll.write("task.json", r#"{ "family": "web", "pidMode": ["host"], "containerDefinitions": "none" }"#);
    let report = plimsoll.run(&["check", "task.json", "-o", "json"]).exits(1).json();
    assert_eq!(report["summary"]["unknown"], 2, "{report}");
}

#[test]
fn what_is_no_task_definition_is_refused() {
    let plimsoll = with_files();
    for (text, told) in [
        ("{ \"a\": ", "task.json:1:"),
        ("{ \"family\": \"a\", \"family\": \"b\" }", "is there twice"),
        ("{ \"AWSTemplateFormatVersion\": \"2010-09-09\" }", "CloudFormation"),
        ("{ \"terraform_version\": \"1\" }", "Terraform"),
        ("[]", "empty list"),
        ("{}", "no `containerDefinitions`"),
    ] {
        plimsoll.write("task.json", text);
        plimsoll.run(&["check", "task.json"]).exits(2).says(told).says("help:");
        plimsoll.run(&["fix", "task.json"]).exits(2).says(told);
    }
    plimsoll.run(&["check", "missing.json"]).exits(2).says("failed to read `missing.json`");
}

#[test]
fn described_and_listed_task_definitions_are_judged_too() {
    let plimsoll = with_files();
    plimsoll.write("described.json", &format!("{{ \"taskDefinition\": {TASK}, \"tags\": [] }}"));
    plimsoll.write("listed.json", &format!("[{TASK}, {TASK}]"));
    let report = plimsoll.run(&["check", "described.json", "listed.json", "-o", "json"]).exits(1).json();
    assert_eq!((&report["summary"]["resources"], &report["summary"]["fail"]), (&3.into(), &6.into()));
    plimsoll.run(&["fix", "listed.json", "--write"]).exits(1);
    assert_eq!(plimsoll.read("listed.json").matches("pidMode").count(), 0);
    assert_eq!(plimsoll.read("listed.json").matches("CANARY").count(), 12);
}

/// What ECS.15 wants, with a value to set.
const TAGGED: &str = r#"---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: team }
spec: { policies: [security-hub-ecs-15], enforcement: enforce, params: { requiredTagKeys: [team, env], tags: { team: shop, env: prod } } }
"#;

fn with_tags_wanted() -> Plimsoll {
    let plimsoll = Plimsoll::new();
    let policy = std::fs::read_to_string(repository().join("policies/security-hub/ecs-15.yaml")).unwrap();
    plimsoll.write("policies/all.yaml", &format!("{policy}{TAGGED}"));
    plimsoll
}

const CONTAINERS: &str = r#""containerDefinitions": [{ "name": "app", "image": "a:1", "memory": 64 }]"#;

#[test]
fn missing_tags_are_set_where_the_file_has_its_tags() {
    let document = format!(r#"{{ "family": "web", {CONTAINERS}"#);
    let (team, env) = (r#"{"key":"team","value":"shop"}"#, r#"{"key":"env","value":"prod"}"#);
    let old = r#"{ "key": "a", "value": "b" }"#;
    for (before, after) in [
        (format!("{document} }}"), format!(r#"{document}, "tags": [{team},{env}] }}"#)),
        (format!(r#"{document}, "tags": [] }}"#), format!(r#"{document}, "tags": [{team}, {env}] }}"#)),
        (format!(r#"{document}, "tags": [{old}] }}"#), format!(r#"{document}, "tags": [{old}, {team}, {env}] }}"#)),
        (
            format!(r#"{{ "taskDefinition": {document} }}, "tags": [] }}"#),
            format!(r#"{{ "taskDefinition": {document} }}, "tags": [{team}, {env}] }}"#),
        ),
        (
            format!(r#"{{ "tags": [{old}], "taskDefinition": {document}, "status": "ACTIVE" }} }}"#),
            format!(r#"{{ "tags": [{old}, {team}, {env}], "taskDefinition": {document}, "status": "ACTIVE" }} }}"#),
        ),
    ] {
        let plimsoll = with_tags_wanted();
        plimsoll.write("task.json", &before);
        plimsoll.run(&["check", "task.json"]).exits(1);
        plimsoll.run(&["fix", "task.json", "--diff"]).exits(0).prints("env");
        let fix = plimsoll.run(&["fix", "task.json", "--write"]).exits(0);
        assert!(!fix.stdout.contains("left:"), "{fix:?}");
        let written: serde_json::Value = serde_json::from_str(&plimsoll.read("task.json")).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(&after).unwrap());
        plimsoll.run(&["check", "task.json"]).exits(0);
        plimsoll.run(&["fix", "task.json", "--write"]).exits(0).prints("nothing to change");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&plimsoll.read("task.json")).unwrap(), written);
    }
}

#[test]
fn tags_of_templates_and_plans_are_added_to_those_that_are_there() {
    let plimsoll = with_tags_wanted();
    plimsoll.write(
        "t.yaml",
        "Resources:\n  Task:\n    Type: AWS::ECS::TaskDefinition\n    Properties:\n      Family: web\n      Tags: [{ Key: team, Value: x }]\n      ContainerDefinitions: [{ Name: app, Image: a, Memory: 64 }]\n",
    );
    let edits = |name: &str| {
        let report = plimsoll.run(&["fix", name, "-o", "json"]).exits(0).json();
        report["files"][0]["resources"][0]["byHand"].clone()
    };
    let edit = &edits("t.yaml")[0];
    assert_eq!(
        (&edit["op"], &edit["path"], &edit["to"]),
        (
            &"add".into(),
            &"/Resources/Task/Properties/Tags/1".into(),
            &serde_json::json!({ "Key": "env", "Value": "***" })
        )
    );
    let after = r#"{ "family": "web", "tags": { "team": "x" }, "tags_all": { "team": "x" }, "container_definitions": "[{\"name\":\"app\",\"image\":\"a\",\"memory\":64}]" }"#;
    let plan = format!(
        r#"{{ "format_version": "1.2", "resource_changes": [{{ "address": "aws_ecs_task_definition.web", "mode": "managed", "type": "aws_ecs_task_definition", "change": {{ "actions": ["create"], "after": {after}, "after_unknown": {{}} }} }}] }}"#
    );
    plimsoll.write("plan.json", &plan);
    let edit = &edits("plan.json")[0];
    assert_eq!(
        (&edit["op"], &edit["path"], &edit["to"]),
        (&"add".into(), &"/tags".into(), &serde_json::json!({ "env": "***" }))
    );
}

#[test]
fn what_ecs_could_not_tell_is_no_pass() {
    let plimsoll = with_files();
    plimsoll.write(
        "described.json",
        r#"{ "services": [], "failures": [{ "arn": "arn:aws:ecs:eu-west-1:1:service/prod/gone", "reason": "MISSING" }] }"#,
    );
    plimsoll.write("ok.json", &TASK.replace("\"root\"", "\"1000\"").replace("\"host\"", "\"task\""));
    let run = plimsoll.run(&["check", "ok.json", "described.json"]).exits(1);
    assert!(run.stderr.contains("service/prod/gone (MISSING)"), "{run:?}");
    let built_in = Plimsoll::new();
    built_in.write("described.json", &plimsoll.read("described.json"));
    let report = built_in.run(&["check", "described.json", "-o", "json"]).exits(1).json();
    assert_eq!((&report["summary"]["pass"], &report["summary"]["fail"]), (&0.into(), &0.into()), "{report}");
    assert_ne!(report["summary"]["unknown"], 0, "{report}");
}

#[test]
fn what_is_not_judged_is_named() {
    let plimsoll = with_files();
    let task = "  Task: { Type: 'AWS::ECS::TaskDefinition', Properties: { Family: web } }\n";
    plimsoll.write("t.yaml", &format!("Resources:\n{task}  Nested: {{ Type: 'AWS::CloudFormation::Stack' }}\n"));
    let run = plimsoll.run(&["check", "t.yaml"]);
    assert!(run.stderr.contains("`t.yaml`: not judged: Nested (AWS::CloudFormation::Stack)"), "{run:?}");
    plimsoll.write("plan.json", r#"{ "resource_changes": [
        { "address": "awscc_ecs_service.a", "mode": "managed", "type": "awscc_ecs_service", "change": { "after": {} } },
        { "address": "aws_ecs_tag.a", "mode": "managed", "type": "aws_ecs_tag", "change": { "after": {} } },
        { "address": "awscc_ecs_service.gone", "mode": "managed", "type": "awscc_ecs_service", "change": { "after": null } }] }"#);
    let run = plimsoll.run(&["check", "plan.json"]).exits(2);
    assert!(run.stderr.contains("not judged: awscc_ecs_service.a (awscc_ecs_service)"), "{run:?}");
    assert!(!run.stderr.contains("aws_ecs_tag") && !run.stderr.contains("gone"), "{run:?}");
}

#[test]
fn policies_that_are_all_off_are_none() {
    let plimsoll = with_files();
    let off = "---\napiVersion: plimsoll/v1\nkind: Binding\nmetadata: { name: nothing }\nspec: { policies: ['*'], enforcement: off }\n";
    plimsoll.write(
        "policies/all.yaml",
        &format!("{}{off}", POLICIES.split("---\napiVersion: plimsoll/v1\nkind: RolloutStrategy").next().unwrap()),
    );
    plimsoll.run(&["check", "task.json"]).exits(2).says("no policy is in effect").says("`off`");
}

#[test]
fn without_policies_of_ones_own_those_built_in_are_used() {
    let plimsoll = Plimsoll::new();
    plimsoll.write("task.json", TASK);
    let report = plimsoll.run(&["check", "task.json", "-o", "json"]).exits(1).json();
    assert_eq!(report["policySet"]["source"], "built-in");
    plimsoll.write(
        "none/freeze.yaml",
        "apiVersion: plimsoll/v1\nkind: Freeze\nmetadata: { name: a }\nspec: { reason: x }\n",
    );
    plimsoll.run(&["check", "task.json", "-f", "none"]).exits(2).says("no policy is in effect");
}

#[test]
fn the_policies_that_are_shipped_pass_their_own_examples() {
    let plimsoll = Plimsoll::new();
    let folder = repository().join("policies");
    let report = plimsoll.run(&["test", &folder.display().to_string(), "-o", "json"]).exits(0).json();
    assert_eq!(report["summary"]["failed"], 0);
    assert!(report["summary"]["passed"].as_u64().unwrap() > 50, "{report}");
}

/// The policies with these examples of the first, in YAML's flow style.
fn with_examples(examples: &str) -> Plimsoll {
    let plimsoll = with_files();
    let fix = "        - edits: [{ remove: /pidMode }]\n";
    assert!(POLICIES.contains(fix));
    plimsoll.write("policies/all.yaml", &POLICIES.replacen(fix, &format!("{fix}  examples: {examples}\n"), 1));
    plimsoll
}

#[test]
fn an_example_that_does_not_hold_is_a_no() {
    let plimsoll = with_examples("[{ name: wrong, given: { pidMode: host }, expect: pass }]");
    let run = plimsoll.run(&["test"]).exits(1).prints("FAIL  no-host-pid: wrong").prints("policies/all.yaml:15");
    run.prints("expected pass, found fail (`/pidMode`: the task shares");
    plimsoll.run(&["test", "-o", "junit"]).exits(1).prints("failures=\"1\"");
}

#[test]
fn what_was_found_and_what_was_expected_are_told_apart() {
    let given = "{ pidMode: host, ipcMode: host, containerDefinitions: [{ name: a, image: a, command: [CANARY] }] }";
    let plimsoll = with_examples(&format!(
        "[{{ name: e, given: {given}, expect: fail, findings: [{{ check: pid-mode, path: /ipcMode }}], fixed: {{ ipcMode: task, containerDefinitions: [{{ name: a, image: a, command: [CANARY] }}] }} }}]"
    ));
    let run = plimsoll.run(&["test"]).exits(1);
    assert!(!run.stdout.contains("CANARY"), "{run:#?}");
    super::shape::snapshot("test-fails", &run.stdout);
    let report = plimsoll.run(&["test", "-o", "json"]).exits(1).json();
    let result = &report["results"][0];
    assert_eq!((&result["expected"], &result["found"], &result["line"]), (&"fail".into(), &"fail".into(), &15.into()));
    assert_eq!(result["problems"].as_array().unwrap().len(), 3, "{result}");
}

#[test]
fn tests_stand_in_files_of_their_own_too() {
    let plimsoll = with_files();
    plimsoll.write("policies/no-root.test.yaml", "- { policy: no-root, name: root, given: { containerDefinitions: [{ name: app, image: a, user: root }, { name: b, image: a }] }, expect: fail, findings: [{ check: user, path: /containerDefinitions/0/user }] }\n");
    plimsoll.write("elsewhere/pid.test.json", r#"{ "policy": "no-host-pid", "name": "host", "given": { "pidMode": "host", "family": "f" }, "expect": "fail", "fixed": { "family": "f" } }"#);
    // Without a word of where, those of policies/.
    let report = plimsoll.run(&["test", "-o", "json"]).exits(0).json();
    assert_eq!((&report["summary"]["examples"], &report["summary"]["passed"]), (&1.into(), &1.into()));
    assert_eq!(
        (&report["results"][0]["file"], &report["results"][0]["line"]),
        (&"policies/no-root.test.yaml".into(), &1.into())
    );
    // A folder of tests alone is of the policies that are in effect.
    let report = plimsoll.run(&["test", "elsewhere", "-o", "json"]).exits(0).json();
    assert_eq!((&report["policySet"]["source"], &report["summary"]["examples"]), (&"policies/".into(), &1.into()));
    let both = plimsoll.run(&["test", "elsewhere", "-f", "policies", "-o", "json"]).exits(0).json();
    assert_eq!(both["summary"]["examples"], 2);
    // Other commands pass over them.
    plimsoll.run(&["check", "task.json"]).exits(1);
    plimsoll.run(&["check", "task.json", "-f", "policies"]).exits(1);
}

#[test]
fn what_is_wrong_with_a_test_file_is_told_with_its_place() {
    let plimsoll = with_files();
    for (text, told) in [
        ("policy: nobody\nname: n\ngiven: {}\nexpect: pass\n", "t.test.yaml:1:9"),
        ("policy: no-root\nname: n\ngiven: {}\nexpect: pass\nparams: { mood: good }\n", "t.test.yaml:5:17"),
        ("policy: no-root\nname: n\ngiven: {}\nexpcet: pass\n", "did you mean `expect`?"),
        ("policy: [", "t.test.yaml:1:9"),
    ] {
        plimsoll.write("tests/t.test.yaml", text);
        plimsoll.run(&["test", "tests"]).exits(2).says(told).says("nothing was tested");
    }
}

#[test]
fn policies_without_tests_fail_where_tests_are_required() {
    let pass = "{ name: good, given: { family: f }, expect: pass }";
    let fail = "{ name: bad, given: { pidMode: host }, expect: fail }";
    for (examples, no_host_pid) in [
        ("[]".to_owned(), Some("pass, and none that must fail")),
        (format!("[{pass}]"), Some("fail")),
        (format!("[{fail}]"), Some("pass")),
        (format!("[{pass}, {fail}]"), None),
    ] {
        let plimsoll = with_examples(&examples);
        let run = plimsoll.run(&["test"]).exits(0);
        let run = run.says("warning: policy `no-root` has no example that must pass, and none that must fail");
        assert_eq!(run.stderr.contains("policy `no-host-pid`"), no_host_pid.is_some(), "{run:#?}");
        let run = plimsoll.run(&["test", "--require-tests"]).exits(1);
        let run = run.prints("FAIL  no-root: there is no example that must pass, and none that must fail");
        let line = no_host_pid.map(|what| format!("FAIL  no-host-pid: there is no example that must {what}\n"));
        assert_eq!(run.stdout.contains("FAIL  no-host-pid"), line.is_some(), "{run:#?}");
        assert!(line.is_none_or(|line| run.stdout.contains(&line)), "{run:#?}");
    }
}

#[test]
fn coverage_says_what_no_test_has_shown() {
    let plimsoll = with_examples("[{ name: nothing to check, given: { pidMode: host }, expect: fail }]");
    plimsoll.write(
        "policies/no-root.test.yaml",
        "{ policy: no-root, name: no containers, given: { containerDefinitions: [] }, expect: unknown }\n",
    );
    let run = plimsoll.run(&["test"]).exits(0);
    for told in [
        "gap   no-host-pid: check `pid-mode` was never seen to pass\n",
        "gap   no-root: check `user` was never seen to fail\n",
        "gap   no-root: check `user` was never seen to pass\n",
        "2 checks: 1 seen to fail, 0 seen to pass; 1 of 1 fixes exercised\n",
    ] {
        assert!(run.stdout.contains(told), "{told} is not in {run:#?}");
    }
    let report = plimsoll.run(&["test", "-o", "json"]).exits(0).json();
    assert_eq!(
        report["coverage"],
        serde_json::json!([
            { "policy": "no-host-pid", "passing": 0, "failing": 1, "checks": [{ "check": "pid-mode", "failed": true, "passed": false, "fixes": [true] }] },
            { "policy": "no-root", "passing": 0, "failing": 0, "checks": [{ "check": "user", "failed": false, "passed": false, "fixes": [] }] }
        ])
    );
}

#[test]
fn the_test_file_that_is_documented_is_one() {
    let readme = std::fs::read_to_string(repository().join("policies/README.md")).unwrap();
    let section = readme.split_once("## Testing policies").unwrap().1;
    let text = section.split_once("```yaml\n").unwrap().1.split_once("```").unwrap().0;
    let plimsoll = Plimsoll::new();
    plimsoll.write("documented.test.yaml", text);
    let report = plimsoll.run(&["test", "documented.test.yaml", "-o", "json"]).exits(0).json();
    assert_eq!(report["policySet"]["source"], "built-in");
    let documented = |result: &&serde_json::Value| result["file"] == "documented.test.yaml";
    let found: Vec<_> = report["results"].as_array().unwrap().iter().filter(documented).collect();
    assert_eq!(found.len(), 1, "{report}");
    assert_eq!((&found[0]["line"], &found[0]["passed"]), (&2.into(), &true.into()));
}
