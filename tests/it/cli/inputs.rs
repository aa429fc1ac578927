//! `check` and `fix` on every kind of file a team has: what people read, and that the shape makes no difference.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{POLICIES, Plimsoll, repository};

/// Besides those for task definitions: one that reads the service of a task definition, and one for each other kind.
const MORE: &str = r#"---
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: readonly-unless-exec }
spec:
  title: read-only root
  description: why
  severity: low
  resource: TaskDefinition
  checks:
    - name: readonly
      forEach: /containerDefinitions/*
      as: [container]
      require: "container.?readonlyRootFilesystem.orValue(false) || service.?enableExecuteCommand.orValue(false)"
      message: "container `{container.name}` writes to its root"
      at: /readonlyRootFilesystem
      fix: [{ edits: [{ set: /readonlyRootFilesystem, value: true }] }]
---
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: encrypted-in-transit }
spec:
  title: EFS
  description: why
  severity: low
  resource: TaskDefinition
  checks:
    - name: transit
      forEach: /volumes/*
      as: [volume]
      require: "!has(volume.efsVolumeConfiguration) || volume.efsVolumeConfiguration.?transitEncryption.orValue('DISABLED') == 'ENABLED'"
      message: "volume `{volume.name}` is not encrypted in transit"
      fix: [{ edits: [{ set: /efsVolumeConfiguration/transitEncryption, value: ENABLED }] }]
---
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: image-not-latest }
spec:
  title: image
  description: why
  severity: low
  resource: TaskDefinition
  checks:
    - name: latest
      forEach: /containerDefinitions/*
      as: [container]
      require: "!container.image.endsWith(':latest')"
      message: "container `{container.name}` runs whatever is latest"
---
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: no-public-ip }
spec:
  title: public IP
  description: why
  severity: high
  resource: Service
  checks:
    - name: public-ip
      require: "service.?networkConfiguration.awsvpcConfiguration.assignPublicIp.orValue('DISABLED') != 'ENABLED'"
      message: tasks get public addresses
      fix: [{ edits: [{ set: /networkConfiguration/awsvpcConfiguration/assignPublicIp, value: DISABLED }] }]
---
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: breaker }
spec:
  title: circuit breaker
  description: why
  severity: low
  resource: Service
  checks:
    - name: breaker
      require: "service.?deploymentConfiguration.deploymentCircuitBreaker.enable.orValue(false)"
      message: nothing stops a deployment that fails
      fix: [{ edits: [{ set: /deploymentConfiguration/deploymentCircuitBreaker, value: { enable: true, rollback: true } }] }]
---
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: insights }
spec:
  title: insights
  description: why
  severity: low
  resource: Cluster
  checks:
    - name: insights
      require: "cluster.settings.exists(s, s.name == 'containerInsights' && s.value != 'disabled')"
      message: the cluster has no insights
      at: /settings
"#;

fn with_policies() -> Plimsoll {
    let plimsoll = Plimsoll::new();
    plimsoll.write("policies/all.yaml", &format!("{POLICIES}{MORE}"));
    plimsoll
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(repository().join("tests/fixtures/inputs").join(name)).unwrap()
}

/// Everything `check` and `fix` say of a fixture.
fn said(name: &str, code: i32) -> String {
    let plimsoll = with_policies();
    plimsoll.write(name, &fixture(name));
    let check = plimsoll.run(&["check", name, "-o", "wide"]).exits(code);
    let fix = plimsoll.run(&["fix", name, "--write"]).exits(code);
    let diff = plimsoll.run(&["fix", name, "--diff"]);
    assert_eq!(plimsoll.read(name), fixture(name), "it is not written");
    for run in [&check, &fix, &diff] {
        assert!(!run.stdout.contains("CANARY") && !run.stderr.contains("CANARY"), "{run:#?}");
    }
    format!("{}\n--- fix --write\n{}{}\n--- fix --diff\n{}", check.stdout, fix.stdout, fix.stderr, diff.stdout)
}

#[track_caller]
fn snapshot(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn a_template_is_read_as_cloudformation_would() {
    snapshot("inputs-template", &said("fargate-service.yaml", 1));
}

#[test]
fn a_template_of_cdk_s_is_read_too() {
    snapshot("inputs-cdk", &said("cdk.template.json", 1));
}

#[test]
fn a_plan_of_terraform_s_is_read_too() {
    snapshot("inputs-terraform", &said("terraform-plan.json", 1));
}

#[test]
fn a_task_definition_may_be_yaml() {
    snapshot("inputs-yaml", &said("task.yaml", 1));
}

#[test]
fn paths_are_ecs_s_and_lines_the_file_s() {
    let plimsoll = with_policies();
    plimsoll.write("t.yaml", &fixture("fargate-service.yaml"));
    let report = plimsoll.run(&["check", "t.yaml", "-o", "json"]).exits(1).json();
    let found = |policy: &str| {
        let results = report["results"].as_array().unwrap();
        let result = results.iter().find(|result| result["policy"] == policy).unwrap();
        let finding = &result["findings"][0];
        (result["resource"].clone(), finding["path"].clone(), finding["line"].clone())
    };
    assert_eq!(found("no-host-pid"), (json!("t.yaml#WebTask"), json!("/pidMode"), json!(32)));
    assert_eq!(found("no-root"), (json!("t.yaml#WebTask"), json!("/containerDefinitions/0/user"), json!(40)));
    assert_eq!(
        found("no-public-ip"),
        (json!("t.yaml#WebService"), json!("/networkConfiguration/awsvpcConfiguration/assignPublicIp"), json!(82))
    );
    assert_eq!(found("insights"), (json!("t.yaml#Cluster"), json!("/settings"), json!(22)));
}

#[test]
fn stdin_is_recognised_by_what_is_in_it() {
    let plimsoll = with_policies();
    for name in ["fargate-service.yaml", "cdk.template.json", "terraform-plan.json", "task.yaml"] {
        plimsoll.write(name, &fixture(name));
        let of_file = plimsoll.run(&["check", name, "-o", "json"]).exits(1).json();
        let piped = plimsoll.run_with(&["check", "-", "-o", "json"], &fixture(name)).exits(1).json();
        assert_eq!(of_file["summary"], piped["summary"], "{name}");
    }
}

#[test]
fn fix_answers_yes_only_for_what_is_written() {
    let plimsoll = with_policies();
    let fixable =
        "family: web\npidMode: host\ncontainerDefinitions: [{ name: app, image: a:1, readonlyRootFilesystem: true }]\n";
    plimsoll.write("task.yaml", fixable);
    plimsoll.run(&["fix", "task.yaml"]).exits(0).prints("task.yaml:2: - /pidMode \"host\"");
    plimsoll.run(&["fix", "task.yaml", "--write"]).exits(1).says("left as it is: it is YAML");
    plimsoll.write("task.yaml", &fixable.replace("pidMode: host\n", ""));
    plimsoll.run(&["fix", "task.yaml", "--write"]).exits(0).prints("nothing to change");
    let report = plimsoll.run_with(&["fix", "-", "-o", "json"], fixable).exits(0).json();
    let edit = &report["files"][0]["resources"][0]["byHand"][0];
    assert_eq!((&edit["line"], &edit["op"], &edit["path"]), (&json!(2), &json!("remove"), &json!("/pidMode")));
}

#[test]
fn what_is_nothing_of_ecs_s_is_told_with_its_place() {
    let plimsoll = with_policies();
    for (name, text, told) in [
        ("a.yaml", "a: [1\n", "a.yaml:1:4: this is not YAML"),
        ("a.yaml", "family: web\nfamily: api\n", "a.yaml:2:1: `family` is written twice"),
        ("a.yaml", "apiVersion: v1\nkind: Pod\n", "Kubernetes manifest"),
        ("a.yaml", "services: { web: { image: a } }\n", "Docker Compose"),
        ("a.yaml", "family: !Ref Family\n", "a.yaml:1:9: functions like `!Ref`"),
        ("a.tf", "resource \"aws_ecs_service\" \"a\" {\n}\n", "terraform show -json"),
        ("a.json", "{\"AWSTemplateFormatVersion\": \"2010-09-09\"}", "without `Resources`"),
        ("a.json", "{\"resource_changes\": {}}", "without `resource_changes`"),
        ("a.yaml", "Resources: { Bucket: { Type: 'AWS::S3::Bucket' } }\n", "no file holds an ECS resource"),
    ] {
        plimsoll.write(name, text);
        plimsoll.run(&["check", name]).exits(2).says(told).says("help:");
    }
}

#[test]
fn a_macro_that_may_rewrite_everything_leaves_nothing_known() {
    let plimsoll = with_policies();
    let template = fixture("fargate-service.yaml");
    plimsoll.write("t.yaml", &template.replacen("Parameters:", "Transform: [Company::Defaults]\nParameters:", 1));
    let report = plimsoll.run(&["check", "t.yaml", "-o", "json"]).exits(1).json();
    assert_eq!((&report["summary"]["pass"], &report["summary"]["fail"]), (&json!(0), &json!(0)), "{report}");
    plimsoll
        .write("t.yaml", &template.replacen("Parameters:", "Transform: AWS::Serverless-2016-10-31\nParameters:", 1));
    let report = plimsoll.run(&["check", "t.yaml", "-o", "json"]).exits(1).json();
    assert!(report["summary"]["fail"].as_u64().unwrap() > 3, "{report}");
}

/// The verdicts and paths of a report, by family and policy.
fn verdicts(report: &Value) -> BTreeMap<(String, String), String> {
    let one = |result: &Value| {
        let name = result["resource"].as_str().unwrap().rsplit('#').next().unwrap().to_owned();
        let findings: Vec<String> = result["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| {
                format!("{} {} {} {}", finding["check"], finding["path"], finding["container"], finding["fixable"])
            })
            .collect();
        ((name, result["policy"].as_str().unwrap().to_owned()), format!("{} {findings:?}", result["verdict"]))
    };
    report["results"].as_array().unwrap().iter().map(one).collect()
}

/// Every task definition of the fixtures, and of the corpus where there is one, as RegisterTaskDefinition's input.
fn register_inputs() -> Vec<Map<String, Value>> {
    let mut folders = vec![repository().join("tests/fixtures/task-definitions")];
    folders.extend(std::env::var_os("PLIMSOLL_CORPUS").map(Into::into));
    let mut inputs = Vec::new();
    for folder in folders {
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "json")) {
            let Ok(value) = serde_json::from_slice::<Value>(&std::fs::read(file).unwrap()) else { continue };
            let inner = value.get("taskDefinition").filter(|inner| inner.is_object()).unwrap_or(&value);
            let Some(document) = inner.as_object().filter(|one| one.contains_key("containerDefinitions")) else {
                continue;
            };
            let mut input = document.clone();
            input.retain(|name, _| plimsoll::model::document::SHARED.contains(&name.as_str()));
            // Terraform and CloudFormation name resources by letters and digits.
            input.insert("family".to_owned(), format!("f{}", inputs.len()).into());
            inputs.push(input);
        }
    }
    assert!(inputs.len() >= 25, "the fixtures are not where they are looked for");
    inputs
}

/// Members whose keys are their authors' own.
const MAPS: &[&str] = &["dockerLabels", "options", "driverOpts", "labels"];

fn to_cloudformation(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(members) if MAPS.contains(&name) => Value::Object(members.clone()),
        Value::Object(members) => {
            let own = |member: &str| match member {
                "efsVolumeConfiguration" => "EFSVolumeConfiguration".to_owned(),
                "fsxWindowsFileServerVolumeConfiguration" => "FSxWindowsFileServerVolumeConfiguration".to_owned(),
                "fileSystemId"
                    if members.contains_key("transitEncryption") || !members.contains_key("authorizationConfig") =>
                {
                    "FilesystemId".to_owned()
                }
                "iam" => "IAM".to_owned(),
                "properties" if name == "proxyConfiguration" => "ProxyConfigurationProperties".to_owned(),
                _ => member
                    .chars()
                    .take(1)
                    .map(|first| first.to_ascii_uppercase())
                    .chain(member.chars().skip(1))
                    .collect(),
            };
            Value::Object(
                members.iter().map(|(member, inner)| (own(member), to_cloudformation(member, inner))).collect(),
            )
        }
        Value::Array(items) => items.iter().map(|item| to_cloudformation(name, item)).collect(),
        other => other.clone(),
    }
}

/// Attributes and blocks; `None` for what the provider has nothing for.
fn to_terraform(input: &Map<String, Value>) -> Option<Value> {
    let snake = |name: &str| {
        name.chars().fold(String::new(), |mut snake, c| {
            if c.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
            snake
        })
    };
    fn block(value: &Value, snake: &dyn Fn(&str) -> String) -> Value {
        match value {
            Value::Object(members) => json!([members
                .iter()
                .map(|(name, inner)| {
                    let inner = if MAPS.contains(&name.as_str()) { inner.clone() } else { block(inner, snake) };
                    (snake(name).replace("size_in_gi_b", "size_in_gib"), inner)
                })
                .collect::<Map<String, Value>>()]),
            other => other.clone(),
        }
    }
    let mut after = Map::new();
    for (name, value) in input {
        match name.as_str() {
            _ if value.is_null() => {}
            "containerDefinitions" => {
                after.insert("container_definitions".to_owned(), value.to_string().into());
            }
            "volumes" => {
                let volume = |volume: &Value| {
                    let mut own = Map::new();
                    for (name, inner) in volume.as_object()? {
                        match name.as_str() {
                            "host" => {
                                own.insert(
                                    "host_path".to_owned(),
                                    inner.get("sourcePath").cloned().unwrap_or(json!("")),
                                );
                            }
                            "configuredAtLaunch" => {
                                own.insert("configure_at_launch".to_owned(), inner.clone());
                            }
                            name => {
                                own.insert(snake(name), block(inner, &snake));
                            }
                        }
                    }
                    Some(Value::Object(own))
                };
                let volumes: Option<Vec<Value>> = value.as_array()?.iter().map(volume).collect();
                after.insert("volume".to_owned(), volumes?.into());
            }
            "proxyConfiguration" => {
                let properties: Map<String, Value> = value
                    .get("properties")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(|pair| Some((pair["name"].as_str()?.to_owned(), pair["value"].clone())))
                    .collect();
                after.insert("proxy_configuration".to_owned(), json!([{ "type": value.get("type"), "container_name": value.get("containerName"), "properties": properties }]));
            }
            "inferenceAccelerators" | "placementConstraints" => {
                let own =
                    if name == "placementConstraints" { "placement_constraints" } else { "inference_accelerator" };
                let blocks: Vec<Value> = value.as_array()?.iter().map(|one| block(one, &snake)[0].clone()).collect();
                after.insert(own.to_owned(), blocks.into());
            }
            "trustedExecutionConfiguration" => {}
            name => {
                after.insert(snake(name), block(value, &snake));
            }
        }
    }
    Some(Value::Object(after))
}

#[test]
fn the_shape_of_a_file_changes_neither_verdicts_nor_paths() {
    let plimsoll = Plimsoll::new();
    let inputs = register_inputs();
    let bare: Vec<Value> = inputs.iter().cloned().map(Value::Object).collect();
    let mut resources = Map::new();
    let mut changes = Vec::new();
    for input in &inputs {
        let family = input["family"].as_str().unwrap();
        let properties = to_cloudformation("", &Value::Object(input.clone()));
        resources.insert(family.to_owned(), json!({ "Type": "AWS::ECS::TaskDefinition", "Properties": properties }));
        if let Some(after) = to_terraform(input) {
            changes.push(json!({ "address": family, "mode": "managed", "type": "aws_ecs_task_definition",
                "change": { "actions": ["create"], "after": after, "after_unknown": { "arn": true } } }));
        }
    }
    assert_eq!(changes.len(), inputs.len(), "Terraform can say all of them, but for what is null");
    let template = json!({ "Resources": resources });
    plimsoll.write("bare.json", &json!(bare).to_string());
    plimsoll.write("bare.yaml", &plimsoll::manifest::to_yaml(&json!(bare)).unwrap());
    plimsoll.write("template.json", &template.to_string());
    // With every text in quotes: `user: 0:0` without them is a number to CloudFormation, and unknown to us.
    plimsoll.write("template.yaml", &format!("# YAML\n{}", serde_json::to_string_pretty(&template).unwrap()));
    plimsoll.write("plan.json", &json!({ "terraform_version": "1.9.5", "resource_changes": changes }).to_string());
    let of = |file: &str| verdicts(&plimsoll.run(&["check", file, "-o", "json"]).exits(1).json());
    let wanted = of("bare.json");
    assert!(wanted.len() > inputs.len() * 20, "{}", wanted.len());
    for file in ["bare.yaml", "template.json", "template.yaml", "plan.json"] {
        let found = of(file);
        assert_eq!(found.len(), wanted.len(), "{file}");
        for (key, verdict) in &wanted {
            assert_eq!(
                found.get(key),
                Some(verdict),
                "{file}: {key:?}: {}",
                inputs[key.0[1..].parse::<usize>().unwrap()]["containerDefinitions"]
            );
        }
    }
}
