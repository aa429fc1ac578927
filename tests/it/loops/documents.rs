//! Task definitions to try the loop on: the project's own, rich and odd, and those that `PLIMSOLL_CORPUS` points to.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// A task definition as RegisterTaskDefinition takes it.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// Its file's name.
    pub(crate) file: String,
    pub(crate) input: Map<String, Value>,
}

/// The project's own, and one as large as ECS allows.
pub(crate) fn own() -> Vec<Document> {
    let (mut documents, unreadable) =
        of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/task-definitions"));
    assert_eq!(unreadable, [] as [String; 0]);
    assert!(documents.len() >= 30, "{}", documents.len());
    documents.push(near_the_limit());
    documents
}

/// Those of them that are in these files.
pub(crate) fn named(files: &[&str]) -> Vec<Document> {
    let mut documents = own();
    documents.retain(|document| files.contains(&document.file.as_str()));
    assert_eq!(documents.len(), files.len());
    documents
}

/// Real ones, where there is a folder of them, and what is no JSON object there. Its folder `unparsable` is skipped.
pub(crate) fn real() -> Option<(Vec<Document>, Vec<String>)> {
    #[expect(clippy::disallowed_methods, reason = "the edge of a test")]
    let folder = PathBuf::from(std::env::var("PLIMSOLL_CORPUS").ok()?);
    Some(of(&folder))
}

fn of(folder: &Path) -> (Vec<Document>, Vec<String>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let (mut documents, mut unreadable) = (Vec::new(), Vec::new());
    for path in paths {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        match serde_json::from_str(&std::fs::read_to_string(&path).unwrap()) {
            Ok(Value::Object(members)) => documents.push(Document { file, input: input(members) }),
            Ok(_) => unreadable.push(format!("{file}: no object")),
            Err(why) => unreadable.push(format!("{file}: {why}")),
        }
    }
    (documents, unreadable)
}

/// What to register, of a file in the shape of DescribeTaskDefinition's answer or of RegisterTaskDefinition's input.
fn input(mut members: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(mut described)) = members.remove("taskDefinition") {
        if let Some(tags) = members.remove("tags") {
            described.insert("tags".to_owned(), tags);
        }
        members = described;
    }
    // Written out once more, so that these tests do not learn it from what they test (botocore ecs/2014-11-13).
    for output_only in [
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
        "deregisteredAt",
        "deleteRequestedAt",
    ] {
        members.shift_remove(output_only);
    }
    if let Some(Value::Array(tags)) = members.get_mut("tags") {
        tags.retain(|tag| !tag["key"].as_str().unwrap_or("").starts_with("aws:"));
    }
    members
}

/// A document of nearly 64 KiB, the most that ECS takes.
fn near_the_limit() -> Document {
    let variable =
        |number: usize| json!({ "name": format!("VARIABLE_{number}"), "value": format!("{number}-é-").repeat(6) });
    let variables: Vec<Value> = (0..760).map(variable).collect();
    let input = json!({
        "family": "near-the-limit", "pidMode": "host", "memory": "512",
        "containerDefinitions": [{ "name": "app", "image": "a:1", "essential": true, "environment": variables }]
    });
    let size = input.to_string().len();
    assert!((50_000..64 * 1024).contains(&size), "{size}");
    let Value::Object(input) = input else { unreachable!() };
    Document { file: "near-the-limit".to_owned(), input }
}
