//! The code, the table of permissions, and the documents of `deploy/iam` say the same: none missing, none extra.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use plimsoll::model::operation::Operation;
use plimsoll::model::permission::{Need, On, PERMISSIONS, Permission};
use plimsoll::model::spec::Kind;
use plimsoll::records::configuration::Class;
use regex::Regex;

use super::iam::{Document, of_record};
use super::{files, text};
use crate::cli::repository;

/// Each document and what it is for.
const DOCUMENTS: [(&str, &[Need]); 7] = [
    ("observe", &[Need::Observe]),
    ("alarms", &[Need::Alarms]),
    ("enforce", &[Need::Enforce]),
    ("targets", &[Need::Target]),
    ("setup", &[Need::Table, Need::Settings]),
    ("record", &[Need::Record, Need::Settings]),
    // Of the record only what reads.
    ("look", &[Need::Settings]),
];

/// Those who write to the record and nothing else, each their own partitions.
const PEOPLE: [&str; 4] = ["author", "waive", "freeze", "approve"];

fn of(needs: &[Need]) -> BTreeSet<String> {
    PERMISSIONS.iter().filter(|one| needs.contains(&one.need)).map(Permission::name).collect()
}

/// The sources below a folder of `src`, without comments, tests and white space.
fn sources(folder: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![repository().join("src").join(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_stem().is_some_and(|stem| stem != "tests") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                let code = lines.flat_map(|line| line.split_whitespace()).collect::<String>();
                found.insert(path, code);
            }
        }
    }
    found
}

/// `batch_get_item` → `BatchGetItem`.
fn operation(method: &str) -> String {
    let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    method.split('_').map(word).collect()
}

/// What a file calls by the SDK's clients. Every `.send()` is found, or the test fails.
fn called(path: &Path, code: &str) -> BTreeSet<String> {
    let client = Regex::new(r"(client|cloudwatch|tagging|aws_sdk_sts::Client::new\([^()]*\))\.([a-z_]+)\(\)").unwrap();
    let in_dynamo = path.components().any(|step| step.as_os_str() == "dynamo");
    let mut found = Vec::new();
    for call in client.captures_iter(code) {
        let service = match &call[1] {
            "client" if in_dynamo => "dynamodb",
            "client" => panic!("{}: whose client is that?", path.display()),
            "tagging" => "tag",
            "cloudwatch" => "cloudwatch",
            _ => "sts",
        };
        found.push(format!("{service}:{}", operation(&call[2])));
    }
    assert_eq!(code.matches(".send()").count(), found.len(), "{}: {found:?}", path.display());
    // A provider of credentials calls by itself.
    if code.contains("AssumeRoleProvider::builder(") {
        found.push("sts:AssumeRole".to_owned());
    }
    found.into_iter().collect()
}

#[test]
fn what_the_code_calls_is_what_the_table_lists() {
    let sent = Regex::new(r"Operation::(\w+)=>\{?send!\(([a-z_]+),(\w+)Output\)").unwrap();
    let mut found: BTreeSet<String> = BTreeSet::new();
    for (path, code) in sources("aws") {
        if path.ends_with("aws/ecs.rs") {
            // One macro sends all of them.
            assert_eq!(code.matches(".send()").count(), 1);
            for each in sent.captures_iter(&code) {
                assert_eq!([&each[1], &each[3]], [operation(&each[2]), operation(&each[2])]);
                found.insert(format!("ecs:{}", &each[1]));
            }
            continue;
        }
        found.extend(called(&path, &code));
    }
    let operations: BTreeSet<String> = Operation::ALL.iter().map(|one| format!("ecs:{}", one.as_str())).collect();
    assert!(operations.is_subset(&found), "an operation that nobody sends");
    let listed: BTreeSet<String> = PERMISSIONS.iter().filter(|one| one.is_called()).map(Permission::name).collect();
    assert_eq!(found, listed);
}

#[test]
fn the_documents_allow_what_the_table_lists_and_nothing_else() {
    let names: BTreeSet<String> = files("iam", ".json")
        .iter()
        .map(|file| file.trim_start_matches("iam/").trim_end_matches(".json").to_owned())
        .collect();
    let known: BTreeSet<String> =
        DOCUMENTS.iter().map(|(name, _)| *name).chain(PEOPLE).map(ToOwned::to_owned).collect();
    assert_eq!(names, known, "every document is held against something");
    let reads = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"].map(ToOwned::to_owned);
    for (name, needs) in DOCUMENTS {
        let mut wanted = of(needs);
        if name == "look" {
            wanted.extend(reads.clone());
        }
        assert_eq!(Document::named(name).actions(), wanted, "{name}");
    }
    let all: BTreeSet<String> = names.iter().flat_map(|name| Document::named(name).actions()).collect();
    // Nobody can be denied to ask who they are, so nobody need be allowed to.
    assert_eq!(all, of(Need::ALL).into_iter().filter(|name| name != "sts:GetCallerIdentity").collect());
}

#[test]
fn who_writes_to_the_record_writes_to_one_class_of_partitions() {
    for name in PEOPLE {
        // Their objects are replaced, not deleted: a head says which are in force.
        assert_eq!(Document::named(name).actions(), BTreeSet::from(["dynamodb:UpdateItem".to_owned()]), "{name}");
    }
    for name in PEOPLE.into_iter().chain(["record"]) {
        assert_eq!(Document::named(name).leading_keys().len(), 1, "{name}");
    }
}

/// What was recorded of task definitions holds the values of their environments.
#[test]
fn people_who_look_do_not_read_whole_task_definitions() {
    let reads = ["BatchGetItem", "GetItem", "Query"];
    let target = "123456789012/eu-west-1";
    for partition in
        ["cfg#policy", "cfg#freeze", "rt#targets", &format!("cmd#{target}"), &format!("rt#{target}#events")]
    {
        for read in reads {
            let asked = of_record(read, &[partition]);
            assert_eq!(Document::named("look").says(&asked), Some(true), "{asked:?}");
        }
    }
    let documents = format!("rt#{target}#documents");
    for read in reads {
        for keys in [vec![documents.as_str()], vec!["cfg#policy", documents.as_str()]] {
            let asked = of_record(read, &keys);
            assert_eq!(Document::named("look").says(&asked), Some(false), "{asked:?}");
            assert_eq!(Document::named("record").says(&asked), Some(true), "{asked:?}");
        }
    }
}

/// The documents that let somebody write to a partition.
fn writers_of(partition: &str) -> Vec<&'static str> {
    let asked = of_record("UpdateItem", &[partition]);
    let allows = |name: &&str| Document::named(name).says(&asked) == Some(true);
    PEOPLE.into_iter().chain(["record"]).filter(allows).collect()
}

#[test]
fn every_partition_that_the_code_names_has_one_class_of_writers() {
    let literal = Regex::new(r#""((?:cfg|cmd|rt)#[^"]*)""#).unwrap();
    let code = sources("records").into_values().chain(sources("controller").into_values()).collect::<Vec<_>>();
    let partitions: BTreeSet<String> = code
        .iter()
        .flat_map(|code| literal.captures_iter(code).map(|found| found[1].to_owned()).collect::<Vec<_>>())
        .collect();
    assert!(partitions.len() >= 6, "{partitions:?}");
    // The table of items writes `cfg#CLASS` for all three.
    for partition in partitions.iter().filter(|partition| *partition != "cfg#CLASS") {
        let wanted = match partition.split('#').next().unwrap() {
            "rt" => "record",
            "cmd" => "approve",
            _ if partition == "cfg#policy" => "author",
            _ if partition == "cfg#waiver" => "waive",
            _ if partition == "cfg#freeze" => "freeze",
            other => panic!("whose is `{partition}` ({other})?"),
        };
        assert_eq!(writers_of(partition), [wanted], "{partition}");
    }
    for kind in Kind::ALL {
        let wanted = match kind {
            Kind::Policy | Kind::Binding | Kind::RolloutStrategy | Kind::Target => "author",
            Kind::Waiver => "waive",
            Kind::Freeze => "freeze",
        };
        assert_eq!(writers_of(Class::of(*kind).partition()), [wanted], "{kind}");
    }
    assert_eq!(writers_of("cfg#policy-of-somebody"), [""; 0]);
}

#[test]
fn what_can_be_narrowed_to_a_resource_is_where_something_changes() {
    let enforce = Document::named("enforce");
    for permission in PERMISSIONS.iter().filter(|one| one.need == Need::Enforce) {
        let ecs = |rest: &str| format!("arn:aws:ecs:*:123456789012:{rest}");
        let (service, cluster, task) = (ecs("service/*/*"), ecs("cluster/*"), ecs("task-definition/*"));
        let wanted = match permission.on {
            On::Service => vec![service],
            On::ServiceDeployment => vec![service, ecs("service-deployment/*/*")],
            On::Cluster => vec![cluster],
            On::TaskDefinition => vec![task],
            On::Tagged => vec![service, cluster, task],
            On::Role => vec!["arn:aws:iam::123456789012:role/*".to_owned()],
            On::Anything => vec!["*".to_owned()],
            other => panic!("{other:?}"),
        };
        assert_eq!(enforce.resources(&permission.name()), wanted.into_iter().collect(), "{permission:?}");
    }
    // Only one operation that changes something knows no resource.
    let everywhere = |one: &&Permission| enforce.resources(&one.name()).contains("*");
    let everywhere: Vec<&str> =
        PERMISSIONS.iter().filter(|one| one.need == Need::Enforce).filter(everywhere).map(|one| one.action).collect();
    assert_eq!(everywhere, ["DeregisterTaskDefinition"]);
    // With the blanks filled in narrowly, so are the resources.
    let text = text("iam/enforce.json");
    assert_eq!(text.matches("${clusters}").count(), 6);
    assert_eq!(text.matches("role/${passable_roles}").count(), 1);
}

#[test]
fn every_action_in_a_template_says_which_call_needs_it_and_why() {
    let action = Regex::new(r#"^\s*(?:- |")([a-z]+:[A-Za-z]+)(?:",)?$"#).unwrap();
    let mut remarked = 0;
    let terraform = ["terraform", "terraform/target-role"].iter().flat_map(|folder| files(folder, ".tf"));
    for file in files("cloudformation", ".yaml").into_iter().chain(terraform) {
        let text = text(&file);
        let mut remark = String::new();
        for line in text.lines() {
            if let Some(words) = line.trim_start().strip_prefix("# ") {
                remark = format!("{remark} {words}").trim().to_owned();
                continue;
            }
            if let Some(found) = action.captures(line) {
                let name = &found[1];
                remarked += 1;
                match PERMISSIONS.iter().find(|one| one.name() == name) {
                    Some(permission) => assert_eq!(remark, permission.why, "{file}: {name}"),
                    // ECS's own, to start the task.
                    None => assert!(
                        !remark.is_empty() && ["logs", "ecr"].contains(&name.split(':').next().unwrap()),
                        "{file}: {name}"
                    ),
                }
            }
            remark.clear();
        }
        assert!(
            !text.contains("Action: [") && !text.contains("Action: ecs") && !text.contains("Action: dynamodb"),
            "{file}"
        );
        // Whom a role trusts is no right of its own.
        let inline = text.matches("actions = [\"").count();
        assert_eq!(
            inline,
            text.matches("actions = [\"sts:AssumeRole\"]").count(),
            "{file}: one comment for each action"
        );
    }
    assert!(remarked > 66, "{remarked}");
}

#[test]
fn the_guide_lists_every_permission_with_its_documents_and_reason() {
    let documents = || DOCUMENTS.iter().map(|(name, _)| *name).chain(PEOPLE);
    let row = |permission: &Permission| {
        let name = permission.name();
        let within: Vec<&str> = documents().filter(|one| Document::named(one).actions().contains(&name)).collect();
        let within = if within.is_empty() { "none: nobody can be denied it".to_owned() } else { within.join(", ") };
        format!("| `{name}` | {within} | {} |", permission.why)
    };
    let wanted: Vec<String> = PERMISSIONS.iter().map(row).collect();
    let guide = std::fs::read_to_string(repository().join("docs/permissions.md")).unwrap();
    let of_an_action = Regex::new(r"^\| `[a-z]+:[A-Za-z]+` \|").unwrap();
    let found: Vec<&str> = guide.lines().filter(|line| of_an_action.is_match(line)).collect();
    assert_eq!(found, wanted, "docs/permissions.md should have these rows:\n{}\n", wanted.join("\n"));
}
