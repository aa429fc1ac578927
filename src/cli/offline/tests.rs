//! Whatever a file holds, it is judged or refused: nothing panics, and everything ends.

use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::judge::{Assumed, judge, to_json, waivers, with_subject};
use super::patch::by_hand;
use super::resource::InputFile;
use super::shape;
use crate::cli::policies::Offline;
use crate::model::spec::Object;
use crate::model::{Timestamp, Verdict};
use crate::policy::{PlannedFix, PolicySet, apply_fixes, builtin};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/inputs/", $name))
    };
}

const FIXTURES: &[&str] = &[
    fixture!("fargate-service.yaml"),
    fixture!("cdk.template.json"),
    fixture!("terraform-plan.json"),
    fixture!("task.yaml"),
];

fn policies() -> &'static Offline {
    static POLICIES: OnceLock<Offline> = OnceLock::new();
    POLICIES.get_or_init(|| {
        let files: Vec<(String, Vec<u8>)> =
            builtin::FILES.iter().map(|file| (file.path.to_owned(), file.text.as_bytes().to_vec())).collect();
        let sourced = crate::manifest::parse_files(&files).unwrap();
        let objects: Vec<Object> = sourced.into_iter().map(|one| one.object).collect();
        Offline {
            set: PolicySet::compile(&objects).unwrap(),
            objects,
            source: "built-in".to_owned(),
            sourced: Vec::new(),
        }
    })
}

/// Does with a file all that `check` and `fix` do; what it holds, or why not.
fn go(bytes: Vec<u8>) -> Result<InputFile, String> {
    let file = shape::read("f", bytes).map_err(|error| error.one_line())?;
    let policies = policies();
    let assumed = Assumed::default();
    let files = std::slice::from_ref(&file);
    let judged = judge(&policies.set, files, &assumed, Timestamp::EPOCH);
    let waivers = waivers(&policies.set, &judged, Timestamp::EPOCH);
    to_json(policies, &judged, &waivers);
    for one in &judged {
        let fixable = one.results.iter().filter(|result| result.conflict.is_none());
        let fixes: Vec<&PlannedFix> = fixable.flat_map(|result| &result.fixes).collect();
        let fixed = with_subject(&file, one.resource, &one.resource.document, &assumed, |subject| {
            apply_fixes(&policies.set, subject, &one.results, &fixes, Timestamp::EPOCH)
        });
        if let Ok(fixed) = fixed {
            by_hand(&file, one.resource, &fixed.diff);
        }
    }
    Ok(file)
}

#[track_caller]
fn refused(text: impl Into<Vec<u8>>, told: &str) {
    let error = match go(text.into()) {
        Ok(_) => panic!("it was read"),
        Err(error) => error,
    };
    assert!(error.contains(told), "{error}");
    assert!(error.len() < 2000, "nobody reads {} bytes", error.len());
}

fn template(properties: &Value) -> Vec<u8> {
    let task = json!({ "Type": "AWS::ECS::TaskDefinition", "Properties": properties });
    json!({ "Resources": { "T": task } }).to_string().into_bytes()
}

#[test]
fn bombs_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")));
    }
    refused(bomb, "aliases expanded");
    refused("- &a [*a]\n", "would never end");
    refused("[".repeat(1_000_000), "f:1:128: recursion limit exceeded");
    refused((0..500).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>(), "f:4");
    refused(format!("[{}1]", "1,".repeat(2_500_000)), "more than 2000000 values");
    refused("- x\n".repeat(300_000), "more than 250000 values");
    refused(vec![b'a'; 9 * 1024 * 1024], "larger than 8 MiB");
    refused(format!("a: \"{}", "x".repeat(1_000_000)), "f:1:");
}

#[test]
fn long_texts_and_lists_are_judged() {
    let long = "x".repeat(1_000_000);
    let container =
        json!({ "Name": long, "Image": long, "Command": vec!["x"; 20_000], "DockerLabels": { long.clone(): long } });
    let file = go(template(&json!({ "Family": long, "ContainerDefinitions": [container] }))).unwrap();
    assert_eq!(file.resources.len(), 1);
    let labels: Map<String, Value> = (0..10_000).map(|index| (format!("l{index}"), json!("x"))).collect();
    go(template(&json!({ "ContainerDefinitions": [{ "Name": "a", "Image": "a", "DockerLabels": labels }] }))).unwrap();
    let many = vec![json!({ "Name": "a", "Image": "a", "Privileged": true }); 500];
    go(template(&json!({ "ContainerDefinitions": many }))).unwrap();
}

#[test]
fn what_refers_to_itself_ends() {
    let itself = json!({
        "Conditions": { "A": { "Condition": "B" }, "B": { "Condition": "A" } },
        "Resources": {
            "T": { "Type": "AWS::ECS::TaskDefinition", "Condition": "A", "Properties": { "Ref": "T" } },
            "S": { "Type": "AWS::ECS::Service", "Properties": { "TaskDefinition": { "Ref": "S" }, "Cluster": { "Fn::GetAtt": "S.Arn" } } },
            "Fn::ForEach::L": ["x", ["a"], { "Fn::ForEach::L": ["x", ["a"], { "${x}": { "Type": "AWS::ECS::Cluster" } }] }],
        },
    });
    let file = go(itself.to_string().into_bytes()).unwrap();
    assert_eq!(file.resources.len(), 3);
    assert!(file.resources.iter().all(|one| one.tied.task_definition.is_none()));
}

/// Nothing that depends on what a stack is given may pass.
#[test]
fn what_is_not_known_is_never_a_pass() {
    for member in ["PidMode", "NetworkMode", "IpcMode", "ContainerDefinitions", "Volumes"] {
        let mut properties = json!({ "Family": "a", "ContainerDefinitions": [{ "Name": "a", "Image": "a" }] });
        properties[member] = json!({ "Ref": "P" });
        let file = go(template(&properties)).unwrap();
        let judged = judge(&policies().set, std::slice::from_ref(&file), &Assumed::default(), Timestamp::EPOCH);
        let reads = match member {
            "PidMode" => "security-hub-ecs-3",
            "NetworkMode" => "security-hub-ecs-17",
            "IpcMode" => "ipc-mode-not-host",
            "ContainerDefinitions" => "security-hub-ecs-4",
            _ => "security-hub-ecs-18",
        };
        let result = judged[0].results.iter().find(|result| *result.policy == *reads).unwrap();
        assert_eq!(result.verdict, Verdict::Unknown, "{member}: {:?}", result.reason);
    }
}

fn odd() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "Ref",
        "Fn::If",
        "Fn::Sub",
        "Fn::Join",
        "Fn::Select",
        "Fn::Split",
        "Fn::FindInMap",
        "Fn::GetAtt",
        "Fn::Transform",
        "Fn::ForEach::x",
        "Condition",
        "Type",
        "Properties",
        "a/b~",
        "",
        "plimsoll:unresolved",
    ]);
    let text = prop::sample::select(vec![
        "",
        "AWS::NoValue",
        "IsProd",
        "Never",
        "${a}",
        "${",
        "true",
        "-1",
        "1e9",
        "Sizes",
        "😀",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(ToOwned::to_owned), inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The node that a number chooses, of all there are.
fn chosen<'a>(value: &'a mut Value, number: &mut usize) -> Option<&'a mut Value> {
    if *number == 0 {
        return Some(value);
    }
    *number -= 1;
    match value {
        Value::Object(members) => members.values_mut().find_map(|member| chosen(member, number)),
        Value::Array(items) => items.iter_mut().find_map(|item| chosen(item, number)),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_stands_where_is_judged_or_refused(
        which in 0..FIXTURES.len(), changes in prop::collection::vec((0_usize..250, odd()), 1..6),
    ) {
        let read = shape::read("f", FIXTURES[which].as_bytes().to_vec()).unwrap();
        let mut value = read.source.value().clone();
        for (number, new) in changes {
            let mut number = number;
            if let Some(node) = chosen(&mut value, &mut number) {
                *node = new;
            }
        }
        let _ = go(value.to_string().into_bytes());
    }

    #[test]
    fn whatever_the_bytes_are_they_are_read_or_refused(
        which in 0..FIXTURES.len(), at in any::<prop::sample::Index>(), length in 0_usize..40,
        new in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..8),
            prop::sample::select(vec!["{", "}", "[", "]", "!Ref ", "!If", "&a ", "*a", ": ", "- ", "\"", "'", "\t", "\0", "|", ">-", "<<: *a", "%", "---\n"])
                .prop_map(|text| text.as_bytes().to_vec()),
        ],
    ) {
        let mut bytes = FIXTURES[which].as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes.splice(at..(at + length).min(FIXTURES[which].len()), new);
        let _ = go(bytes);
    }

    #[test]
    fn text_of_any_kind_ends(text in "\\PC{0,200}") {
        let _ = go(text.into_bytes());
    }
}
