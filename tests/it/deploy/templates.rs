//! The CloudFormation templates, as cfn-lint, moto and our own policies read them.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::{files, is_clean, path, templates, text};
use crate::cli::{Plimsoll, repository};
use crate::peers::Peer;

const IMAGE: &str = "registry.example/plimsoll@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The policies that a template as it stands leaves open, because parameters, conditions or other resources decide.
/// With every parameter at its default, none is.
const OPEN_IN_THE_TEMPLATE: [&str; 12] = [
    "container-insights",
    "image-by-digest",
    "image-not-latest",
    "memory-limit",
    "secrets-by-name",
    "secrets-by-value",
    "security-hub-ecs-12",
    "security-hub-ecs-13",
    "security-hub-ecs-14",
    "security-hub-ecs-15",
    "security-hub-ecs-2",
    "task-role-not-execution-role",
];

/// A template without parameters, conditions and functions: with its defaults, and with what only a stack knows.
#[track_caller]
pub(super) fn resolved(file: &str, given: &Value) -> Value {
    let mut all = json!({
        "AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012",
        "Image": IMAGE, "VpcId": "vpc-1", "SubnetIds": ["subnet-1", "subnet-2"],
        "ControllerRoleArn": "arn:aws:iam::123456789012:role/plimsoll-controller", "ExternalId": "external",
        "ExecutionRole.Arn": "arn:aws:iam::123456789012:role/plimsoll-execution",
        "ControllerRole.Arn": "arn:aws:iam::123456789012:role/plimsoll-controller",
        "LogGroup.Arn": "arn:aws:logs:eu-west-1:123456789012:log-group:/plimsoll/controller:*",
        "LogGroup": "/plimsoll/controller", "Table": "plimsoll", "Cluster": "plimsoll",
        "TaskDefinition": "arn:aws:ecs:eu-west-1:123456789012:task-definition/plimsoll:1",
        "SecurityGroup.GroupId": "sg-1", "Service.Name": "plimsoll",
    });
    for (name, value) in given.as_object().unwrap() {
        all[name] = value.clone();
    }
    let file = path(&format!("cloudformation/{file}"));
    templates(&["resolve", file.to_str().unwrap()], &all)
}

#[test]
fn cfn_lint_has_nothing_to_say() {
    let mut arguments = vec!["--include-checks", "I", "--regions", "us-east-1", "eu-west-1", "--template"];
    let files: Vec<String> = files("cloudformation", ".yaml").iter().map(|file| format!("deploy/{file}")).collect();
    arguments.extend(files.iter().map(String::as_str));
    is_clean("cfn-lint", &arguments);
}

/// The inline policies of a role, by name.
fn policies(template: &Value, role: &str) -> Map<String, Value> {
    let list = template["Resources"][role]["Properties"]["Policies"].as_array().unwrap();
    list.iter().map(|one| (one["PolicyName"].as_str().unwrap().to_owned(), one["PolicyDocument"].clone())).collect()
}

/// With the blanks of `deploy/iam` for parameters, a template's documents are those files.
#[track_caller]
fn are_the_documents(found: &Map<String, Value>, names: &[&str]) {
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), names);
    for (name, document) in found {
        let file: Value = serde_json::from_str(&text(&format!("iam/{name}.json"))).unwrap();
        assert_eq!(document, &file, "{name}");
    }
}

#[test]
fn the_templates_grant_the_documents_of_deploy_iam() {
    let blanks = json!({
        "AWS::Partition": "${partition}", "AWS::Region": "${region}", "AWS::AccountId": "${account}",
        "TableName": "${table}", "Clusters": "${clusters}", "PassableRoles": "${passable_roles}",
        "TargetRoleName": "${target_role}", "WithSetup": "yes",
    });
    let mode = |mode: &str| {
        let mut given = blanks.clone();
        given["Mode"] = mode.into();
        given
    };
    let controller = |given: &Value| policies(&resolved("plimsoll.yaml", given), "ControllerRole");
    let target = |given: &Value| policies(&resolved("target-role.yaml", given), "TargetRole");
    are_the_documents(&controller(&blanks), &["record", "observe", "alarms", "targets"]);
    are_the_documents(&controller(&mode("enforce")), &["record", "observe", "alarms", "targets", "enforce"]);
    are_the_documents(&target(&blanks), &["observe", "alarms"]);
    are_the_documents(&target(&mode("enforce")), &["observe", "alarms", "enforce"]);
    let people = resolved("people.yaml", &blanks);
    let people = people["Resources"].as_object().unwrap().iter();
    let people = people.map(|(name, one)| (name.to_ascii_lowercase(), one["Properties"]["PolicyDocument"].clone()));
    are_the_documents(&people.collect(), &["look", "author", "waive", "freeze", "approve", "setup"]);
}

/// A role that may pass on every role is never made by leaving something out.
#[test]
fn whoever_enforces_says_which_roles_may_be_passed_on() {
    for (file, module) in [("plimsoll.yaml", "terraform"), ("target-role.yaml", "terraform/target-role")] {
        for (given, holds) in [("", false), ("ecs/*", true), ("*", true)] {
            let template = resolved(file, &json!({ "Mode": "enforce", "PassableRoles": given }));
            let rule = &template["Rules"]["EnforcingNamesTheRoles"];
            assert_eq!(rule["RuleCondition"], true, "{file}: {rule}");
            assert_eq!(rule["Assertions"][0]["Assert"], holds, "{file}: `{given}`");
        }
        let audit = resolved(file, &json!({}));
        assert_eq!(audit["Rules"]["EnforcingNamesTheRoles"]["RuleCondition"], false, "{file}: audit needs none");
        let sources: String = files(module, ".tf").iter().map(|file| text(file)).collect();
        let asked = r#"condition     = var.mode == "audit" || var.passable_roles != """#;
        assert_eq!(sources.matches(asked).count(), 1, "{module}");
        let variables = super::terraform::blocks(&super::terraform::module(module), "variable");
        let roles = variables.iter().find(|(name, _)| name == "passable_roles").unwrap();
        assert_eq!(roles.1["default"], "", "{module}");
    }
}

#[test]
fn roles_trust_nobody_else() {
    let trust = |template: &Value, role: &str| {
        template["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"].clone()
    };
    let home = resolved("plimsoll.yaml", &json!({}));
    assert_eq!(
        trust(&home, "ControllerRole"),
        json!([{ "Effect": "Allow", "Principal": { "Service": "ecs-tasks.amazonaws.com" }, "Action": "sts:AssumeRole",
                 "Condition": { "StringEquals": { "aws:SourceAccount": "123456789012" } } }])
    );
    assert_eq!(
        trust(&resolved("target-role.yaml", &json!({})), "TargetRole"),
        json!([{ "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::123456789012:role/plimsoll-controller" },
                 "Action": "sts:AssumeRole", "Condition": { "StringEquals": { "sts:ExternalId": "external" } } }])
    );
}

#[test]
fn the_target_role_is_the_same_in_every_account_and_region_of_a_stack_set() {
    let text = text("cloudformation/target-role.yaml");
    assert!(!text.contains("AWS::Region") && !text.contains("ImportValue") && !text.contains("AWS::Stack"));
    let in_region = |region: &str| resolved("target-role.yaml", &json!({ "AWS::Region": region, "Mode": "enforce" }));
    assert_eq!(in_region("eu-west-1"), in_region("us-east-1"));
}

/// Every verdict of our own policies on a file; there is no Waiver.
#[track_caller]
fn judged(name: &str, document: &Value) -> Vec<Value> {
    let plimsoll = Plimsoll::new();
    plimsoll.write(name, &document.to_string());
    let policies = repository().join("policies");
    let run = plimsoll.run(&["check", name, "-f", policies.to_str().unwrap(), "-o", "json"]);
    let report = run.json();
    assert_eq!(report["summary"]["waived"], 0);
    report["results"].as_array().unwrap().clone()
}

/// The policies with that verdict.
fn with(results: &[Value], verdict: &str) -> Vec<String> {
    let found = results.iter().filter(|one| one["verdict"] == verdict);
    found.map(|one| format!("{} of {}: {}", one["policy"], one["resource"], one["findings"])).collect()
}

#[track_caller]
pub(super) fn passes(name: &str, document: &Value, kinds: usize) {
    let results = judged(name, document);
    assert_eq!(with(&results, "fail"), [""; 0]);
    assert_eq!(with(&results, "unknown"), [""; 0]);
    let resources: std::collections::BTreeSet<&str> =
        results.iter().map(|one| one["resource"].as_str().unwrap()).collect();
    assert_eq!(resources.len(), kinds, "{resources:?}");
    assert!(with(&results, "pass").len() > 25, "{results:#?}");
}

#[test]
fn our_own_service_cluster_and_task_definition_pass_our_own_policies_with_no_waiver() {
    for given in [
        json!({}),
        json!({ "Mode": "enforce", "PassableRoles": "ecs/*", "CpuArchitecture": "ARM64", "ContainerInsights": "enhanced", "Replicas": 3,
                "ListenAddress": "0.0.0.0:8080", "ExtraArguments": "--allow-edit,/volumes" }),
    ] {
        passes("template.json", &resolved("plimsoll.yaml", &given), 3);
    }
}

#[test]
fn the_template_as_it_stands_fails_nothing() {
    let plimsoll = Plimsoll::new();
    plimsoll.write("plimsoll.yaml", &text("cloudformation/plimsoll.yaml"));
    let policies = repository().join("policies");
    let report = plimsoll.run(&["check", "plimsoll.yaml", "-f", policies.to_str().unwrap(), "-o", "json"]).json();
    let results = report["results"].as_array().unwrap();
    assert_eq!(with(results, "fail"), [""; 0]);
    let mut open: Vec<&str> =
        results.iter().filter(|one| one["verdict"] == "unknown").map(|one| one["policy"].as_str().unwrap()).collect();
    open.sort_unstable();
    assert_eq!(open, OPEN_IN_THE_TEMPLATE);
}

/// CloudFormation's names as ECS writes them; what is in `Options` and in lists of texts is the user's.
fn as_ecs(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| {
                    let value = if name == "Options" { value.clone() } else { as_ecs(value) };
                    (name[..1].to_ascii_lowercase() + &name[1..], value)
                })
                .collect(),
        ),
        Value::Array(items) => items.iter().map(as_ecs).collect(),
        other => other.clone(),
    }
}

/// `deploy/ecs/task-definition.json` with its blanks filled in as the template's defaults.
pub(super) fn task_definition() -> Value {
    let mut text = text("ecs/task-definition.json");
    for (blank, value) in [
        ("name", "plimsoll"),
        ("cpu", "256"),
        ("memory", "512"),
        ("cpu_architecture", "X86_64"),
        ("execution_role_arn", "arn:aws:iam::123456789012:role/plimsoll-execution"),
        ("controller_role_arn", "arn:aws:iam::123456789012:role/plimsoll-controller"),
        ("image", IMAGE),
        ("resync", "60s"),
        ("poll", "15s"),
        ("lease", "30s"),
        ("budget", "50"),
        ("standalone", "10m"),
        ("listen_address", "127.0.0.1:8080"),
        ("table", "plimsoll"),
        ("region", "eu-west-1"),
    ] {
        text = text.replace(&format!("${{{blank}}}"), value);
    }
    assert!(!text.contains("${"), "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_task_definition_by_itself_is_that_of_the_template_and_passes_too() {
    let template = resolved("plimsoll.yaml", &json!({}));
    assert_eq!(as_ecs(&template["Resources"]["TaskDefinition"]["Properties"]), task_definition());
    passes("task-definition.json", &task_definition(), 1);
}

/// What `controller` is started with can be typed.
#[test]
fn the_task_definition_starts_what_there_is() {
    let task = task_definition();
    let container = &task["containerDefinitions"][0];
    let words = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let plimsoll = Plimsoll::new();
    let with_help = |words: &[String]| {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        plimsoll.run(&words).exits(0)
    };
    with_help(&words(&container["command"]));
    let check = words(&container["healthCheck"]["command"]);
    assert_eq!(check[..2], ["CMD", "/plimsoll"], "no shell is asked for");
    with_help(&check[2..]);
}

/// Where a flag of `controller` is set that is no parameter of the templates.
enum Set {
    /// In `ExtraArguments`: a value of it, and why that is enough.
    Extra(&'static str, &'static str),
    /// Elsewhere, or nowhere.
    Not(&'static str),
}

const NO_PARAMETER: [(&str, Set); 12] = [
    ("store", Set::Not("PLIMSOLL_STORE names it, after TableName")),
    ("output", Set::Not("a controller that goes on prints no data")),
    ("log-format", Set::Not("it is json already")),
    ("until-settled", Set::Not("a service is to go on")),
    ("settle-timeout", Set::Not("of --until-settled")),
    ("help", Set::Not("it starts nothing")),
    ("version", Set::Not("it starts nothing")),
    ("schedule", Set::Extra("0 6 * * *", "whoever sets it wants no Resync")),
    ("max-targets", Set::Extra("20", "only where several stacks share many Targets; there is no default")),
    ("allow-edit", Set::Extra("/volumes", "as often as there are members to edit; there is no default")),
    ("target", Set::Extra("123456789012/eu-west-1", "Targets say what is watched; to narrow that is for a while")),
    ("verbose", Set::Extra("", "for a while")),
];

#[test]
fn every_flag_of_controller_can_be_set_in_a_deployed_one_or_says_why_not() {
    let plimsoll = Plimsoll::new();
    let help = plimsoll.run(&["controller", "--help"]).exits(0).stdout;
    let flag = Regex::new(r"(?m)^ {2,6}(?:-\w, )?--([a-z-]+)").unwrap();
    let flags: BTreeSet<&str> = flag.captures_iter(&help).map(|found| found.extract::<1>().1[0]).collect();
    assert!(flags.len() > 15, "{flags:?}");
    let (template, shared) = (text("cloudformation/plimsoll.yaml"), text("ecs/task-definition.json"));
    let parameters: BTreeSet<&str> = flags
        .iter()
        .copied()
        .filter(|flag| template.contains(&format!("--{flag},${{")) && shared.contains(&format!("\"--{flag}\", \"${{")))
        .collect();
    let others: BTreeSet<&str> = NO_PARAMETER.iter().map(|(flag, _)| *flag).collect();
    assert_eq!(flags.difference(&parameters).copied().collect::<BTreeSet<_>>(), others);
    let words = |command: &Value| -> Vec<String> {
        command.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let deploy = std::fs::read_to_string(repository().join("deploy/README.md")).unwrap();
    for (flag, set) in NO_PARAMETER {
        let (value, why) = match set {
            Set::Extra(value, why) => (value, why),
            Set::Not(why) => {
                assert!(why.len() > 5, "{flag}");
                continue;
            }
        };
        assert!(why.len() > 5, "{flag}");
        let extra = [format!("--{flag}"), value.to_owned()].into_iter().filter(|word| !word.is_empty());
        let extra: Vec<String> = extra.collect();
        let stack = resolved("plimsoll.yaml", &json!({ "ExtraArguments": extra.join(",") }));
        let stack = words(&stack["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"][0]["Command"]);
        let shared = [words(&task_definition()["containerDefinitions"][0]["command"]), extra.clone()].concat();
        for command in [stack, shared] {
            assert!(command.ends_with(&extra), "{command:?}");
            // Help is shown only if everything before it was read, but conflicts are told first by a real start.
            let given: Vec<&str> = command.iter().map(String::as_str).collect();
            plimsoll.run(&[&given[..], &["--help"]].concat()).exits(0);
            // No region: what was typed was understood.
            let run = plimsoll.run(&given).exits(2);
            assert!(!run.stderr.contains("Usage:") && !run.stderr.contains("cannot be used"), "{flag}: {run:#?}");
        }
        if ["schedule", "max-targets", "allow-edit"].contains(&flag) {
            assert!(deploy.contains(&format!("`--{flag},{value}`")), "deploy/README.md: {flag}");
        }
    }
}

/// `doctor` of the deployed set-up is run as the controller: its role is the one that is in question.
#[test]
fn the_guide_runs_doctor_in_the_controllers_own_container() {
    let guide = std::fs::read_to_string(repository().join("deploy/README.md")).unwrap();
    let overrides = Regex::new(r"--overrides '([^']+)'").unwrap();
    let overrides = overrides.captures(&guide).unwrap();
    let overrides: Value = serde_json::from_str(&overrides[1]).unwrap();
    let (one, task) = (&overrides["containerOverrides"][0], task_definition());
    assert_eq!(one["name"], task["containerDefinitions"][0]["name"]);
    let command: Vec<&str> = one["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(command, ["doctor"]);
    Plimsoll::new().run(&[&command[..], &["--help"]].concat()).exits(0);
    let log = task["containerDefinitions"][0]["logConfiguration"]["options"]["awslogs-group"].as_str().unwrap();
    assert!(guide.contains(&format!("aws logs tail {log} ")), "{log}");
}

/// moto, which read CloudFormation's templates before we wrote one, makes the table; `store init` finds nothing to do
/// about it. (moto's CloudFormation knows neither encryption nor point-in-time recovery of tables.)
#[tokio::test(flavor = "multi_thread")]
async fn the_stacks_table_is_the_one_that_store_init_would_make() {
    let peer = Peer::moto().await;
    let endpoint = peer.endpoint();
    tokio::task::spawn_blocking(move || {
        let file = path("cloudformation/plimsoll.yaml");
        // In audit a policy is left out by AWS::NoValue, which moto does not take out of lists.
        let parameters =
            json!({ "Image": IMAGE, "VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2", "Mode": "enforce", "PassableRoles": "ecs/*" });
        let made = templates(&["stack", file.to_str().unwrap(), &endpoint], &parameters);
        let resources = made.as_array().unwrap();
        for kind in ["AWS::DynamoDB::Table", "AWS::ECS::Service", "AWS::ECS::TaskDefinition", "AWS::IAM::Role"] {
            assert!(resources.contains(&kind.into()), "{kind}: {made}");
        }
        let mut plimsoll = Plimsoll::new();
        for (name, value) in [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
            ("PLIMSOLL_STORE", "dynamodb://plimsoll"),
        ] {
            plimsoll.set(name, value);
        }
        let init = plimsoll.run(&["store", "init", "-o", "json"]).exits(0).json();
        // moto makes a stack's table without what is set by calls of their own: point-in-time recovery, KMS, expiry.
        for name in ["table", "on-demand capacity", "deletion protection"] {
            let setting = json!({ "name": name, "outcome": "unchanged", "drift": false });
            assert!(init["settings"].as_array().unwrap().contains(&setting), "{name}: {init:#}");
        }
        plimsoll.run(&["get", "policies"]).exits(0);
    })
    .await
    .unwrap();
}

#[test]
fn the_table_is_set_up_as_store_init_sets_it_up() {
    let template = resolved("plimsoll.yaml", &json!({}));
    let table = &template["Resources"]["Table"];
    assert_eq!(table["DeletionPolicy"], "Retain");
    let properties = &table["Properties"];
    assert_eq!(properties["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(properties["TimeToLiveSpecification"], json!({ "AttributeName": "expiresAt", "Enabled": true }));
    for (member, setting) in
        [("PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"), ("SSESpecification", "SSEEnabled")]
    {
        assert_eq!(properties[member][setting], true, "{member}");
    }
    assert_eq!(properties["DeletionProtectionEnabled"], true);
}
