//! What watches the controller: the same alarms by CloudFormation and by Terraform, about metrics that there are and about
//! lines that the binary really writes.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::{Value, json};

use super::templates::{resolved, task_definition};
use super::terraform::{blocks, module, resources};
use crate::cli::Plimsoll;

/// What AWS itself publishes, with its dimensions: Amazon ECS Developer Guide, "CloudWatch metrics" (of services), and
/// DynamoDB Developer Guide, "DynamoDB metrics and dimensions".
const PUBLISHED: [(&str, &str, &[&str]); 3] = [
    ("AWS/ECS", "CPUUtilization", &["ClusterName", "ServiceName"]),
    ("AWS/ECS", "MemoryUtilization", &["ClusterName", "ServiceName"]),
    ("AWS/DynamoDB", "WriteThrottleEvents", &["TableName"]),
];

/// An alarm without what differs between two languages: CloudFormation's names for its members, the default name.
type Alarms = BTreeMap<String, BTreeMap<&'static str, Value>>;

/// CloudFormation's name of a member and Terraform's.
const MEMBERS: [(&str, &str); 9] = [
    ("AlarmDescription", "alarm_description"),
    ("Namespace", "namespace"),
    ("MetricName", "metric_name"),
    ("Statistic", "statistic"),
    ("Period", "period"),
    ("EvaluationPeriods", "evaluation_periods"),
    ("Threshold", "threshold"),
    ("ComparisonOperator", "comparison_operator"),
    ("TreatMissingData", "treat_missing_data"),
];

/// Members whose name has a parameter in it are written in the parameter's own case.
fn alike(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace("${var.name}", "plimsoll").to_ascii_lowercase().into(),
        other => other.clone(),
    }
}

fn by_cloudformation() -> (Alarms, Vec<Value>) {
    let topic = json!({ "AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:people" });
    let template = resolved("plimsoll.yaml", &topic);
    let all = template["Resources"].as_object().unwrap();
    let of =
        |kind: &'static str| all.values().filter(move |one| one["Type"] == kind).map(|one| one["Properties"].clone());
    let alarm = |one: Value| {
        let mut members: BTreeMap<&str, Value> =
            MEMBERS.iter().map(|(theirs, name)| (*name, alike(&one[*theirs]))).collect();
        let dimensions = one["Dimensions"].as_array().cloned().unwrap_or_default();
        let names: BTreeSet<&str> = dimensions.iter().map(|one| one["Name"].as_str().unwrap()).collect();
        members.insert("dimensions", json!(names));
        members.insert("told", json!([one["AlarmActions"].is_array(), one["OKActions"].is_array()]));
        (one["AlarmName"].as_str().unwrap().to_owned(), members)
    };
    let filter = |one: Value| {
        let made = &one["MetricTransformations"][0];
        json!([one["FilterPattern"], made["MetricNamespace"], made["MetricName"], made["MetricValue"]])
    };
    (of("AWS::CloudWatch::Alarm").map(alarm).collect(), of("AWS::Logs::MetricFilter").map(filter).collect())
}

fn by_terraform() -> (Alarms, Vec<Value>) {
    let module = module("terraform");
    let locals: BTreeMap<String, Value> = blocks(&module, "locals").into_iter().collect();
    let names = |dimensions: Option<&Value>| -> BTreeSet<String> {
        let shared = dimensions.and_then(Value::as_str).and_then(|text| text.strip_prefix("${local."));
        let shared = shared.and_then(|text| locals.get(text.trim_end_matches('}')));
        let members = shared.or(dimensions).and_then(Value::as_object);
        members.map(|members| members.keys().cloned().collect()).unwrap_or_default()
    };
    let all = resources(&module, "resource");
    let of = |kind: &'static str| all.iter().filter(move |(of, ..)| of == kind).map(|(_, _, arguments)| arguments);
    let alarms = of("aws_cloudwatch_metric_alarm").map(|one| {
        let mut members: BTreeMap<&str, Value> = MEMBERS.iter().map(|(_, name)| (*name, alike(&one[*name]))).collect();
        members.insert("dimensions", json!(names(one.get("dimensions"))));
        members.insert("told", json!([one.contains_key("alarm_actions"), one.contains_key("ok_actions")]));
        (one["alarm_name"].as_str().unwrap().replace("${var.name}", "plimsoll"), members)
    });
    let filters = of("aws_cloudwatch_log_metric_filter").map(|one| {
        let made = &one["metric_transformation"][0];
        let namespace = made["namespace"].as_str().unwrap().replace("${var.name}", "plimsoll");
        json!([one["pattern"], namespace, made["name"], made["value"]])
    });
    (alarms.collect(), filters.collect())
}

#[test]
fn cloudformation_and_terraform_make_the_same_alarms() {
    let ((stack, stack_filters), (module, module_filters)) = (by_cloudformation(), by_terraform());
    assert_eq!(stack.keys().collect::<Vec<_>>(), module.keys().collect::<Vec<_>>());
    for (name, alarm) in &stack {
        assert_eq!(alarm, &module[name], "{name}");
    }
    assert_eq!(stack_filters, module_filters);
    assert_eq!((stack.len(), stack_filters.len()), (4, 1), "what is not found is compared with nothing");
}

#[test]
fn every_alarm_is_about_a_metric_that_there_is() {
    let (alarms, filters) = by_cloudformation();
    for (name, alarm) in &alarms {
        let (namespace, metric) = (alarm["namespace"].as_str().unwrap(), alarm["metric_name"].as_str().unwrap());
        let ours = filters.iter().any(|filter| alike(&filter[1]) == namespace && alike(&filter[2]) == metric);
        let theirs = PUBLISHED.iter().any(|(space, of, dimensions)| {
            let same = space.eq_ignore_ascii_case(namespace) && of.eq_ignore_ascii_case(metric);
            same && alarm["dimensions"] == json!(dimensions)
        });
        assert!(ours || theirs, "{name}: nobody publishes {namespace}/{metric}: {alarm:?}");
    }
}

/// The only form of CloudWatch Logs' filter patterns that is used: one member of a JSON line is one text.
#[track_caller]
fn counts(pattern: &str, line: &Value) -> bool {
    let form = Regex::new(r#"^\{ \$\.(\w+) = "(\w+)" \}$"#).unwrap();
    let found = form.captures(pattern).unwrap_or_else(|| panic!("a form that this test does not read: {pattern}"));
    line[&found[1]] == found[2]
}

/// What the task definition starts, with its verb alone, which logs as JSON where nobody watches: stderr going to no
/// terminal, and a store that is not there.
#[test]
fn what_the_log_filter_counts_is_what_the_binary_writes() {
    let plimsoll = Plimsoll::new();
    let task = task_definition();
    let command = task["containerDefinitions"][0]["command"].as_array().unwrap();
    let words: Vec<&str> = command.iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(words[0], "controller", "{words:?}");
    let run = plimsoll.run(&words[..1]).exits(2);
    let lines: Vec<Value> = run.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(!lines.is_empty(), "{run:#?}");
    let (_, filters) = by_cloudformation();
    for filter in &filters {
        let counted = lines.iter().filter(|line| counts(filter[0].as_str().unwrap(), line)).count();
        assert_eq!(counted, 1, "{filter}: {run:#?}");
    }
    let other = json!({ "timestamp": "2026-11-27T09:00:00Z", "level": "WARN", "message": "the pass failed" });
    assert!(!counts(filters[0][0].as_str().unwrap(), &other));
}
