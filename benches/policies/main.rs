//! What it costs to hold a task definition to the whole Security Hub set. `make bench` runs it; `benches/README.md` has
//! the figures and says what bounds them.
//!
//! CPU time of this thread (user and system), not the wall clock: the machine may have other work. Every figure is the
//! median of several runs over the same documents.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench reports, or stops where it cannot"
)]

mod handwritten;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll::manifest;
use plimsoll::model::observed::TaskDefinition;
use plimsoll::model::packed::{PackedDefinition, Packer};
use plimsoll::model::spec::{Object, ResourceKind};
use plimsoll::model::{Timestamp, Verdict};
use plimsoll::policy::{Memo, PolicyResult, PolicySet, Revision, ScopeKeys, Subject, builtin, evaluate};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

/// Runs, of which the median counts.
const RUNS: usize = 15;

/// What one run takes at least, in milliseconds of CPU.
const RUN: u128 = 60;

static NO_TAGS: BTreeMap<String, String> = BTreeMap::new();

/// The size of a document that figures are given for, in bytes.
const SIZE: usize = 6 * 1024;

fn main() {
    // `cargo test --benches` asks for nothing to be measured.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let (source, documents) = documents();
    let set = security_hub();
    both_do_the_same(&set, &documents);
    let joined = joined(&documents);
    let large: Vec<Vec<u8>> = documents.iter().filter(|document| document.len() > 5 * 1024).cloned().collect();
    println!("machine    {}", machine());
    println!("documents  {source}");
    println!("policies   the {} of security-hub about task definitions\n", task_definition_policies(&set));
    println!("{:<44}{:>12}{:>14}{:>16}", "", "per document", "per 6 KB", "documents/s");
    let mut groups = vec![("all documents", documents), ("6 KB each, of their containers", joined)];
    if !large.is_empty() {
        groups.push(("those of more than 5 KB", large));
    }
    for (name, documents) in groups {
        let bytes: usize = documents.iter().map(Vec::len).sum();
        println!("{name}: {}, {} bytes on average", documents.len(), bytes / documents.len());
        report(&set, &documents, bytes);
    }
}

fn report(set: &PolicySet, documents: &[Vec<u8>], bytes: usize) {
    let parsed: Vec<Value> = documents.iter().map(|document| parse(document)).collect();
    let line = |what: &str, nanoseconds: f64| {
        let each = nanoseconds / 1000.0 / documents.len() as f64;
        let of_size = nanoseconds / 1000.0 * SIZE as f64 / bytes as f64;
        println!("  {what:<42}{each:>9.1} µs{of_size:>11.1} µs{:>16.0}", 1_000_000.0 / each);
    };
    line("parse", measure(|| documents.iter().for_each(|document| drop(black_box(parse(document))))));
    line("evaluate what is parsed (warm)", measure(|| parsed.iter().for_each(|document| drop(ask(set, document)))));
    line(
        "parse and evaluate (cold)",
        measure(|| documents.iter().for_each(|document| drop(ask(set, &parse(document))))),
    );
    line("ask again (remembered)", remembered(set, &parsed));
    line(
        "by hand in Rust, on what is parsed",
        measure(|| {
            parsed.iter().for_each(|document| {
                black_box(handwritten::on_json(document));
            })
        }),
    );
    line(
        "by hand in Rust, parse and ask",
        measure(|| {
            documents.iter().for_each(|document| {
                black_box(handwritten::on_json(&parse(document)));
            })
        }),
    );
    line(
        "by hand in Rust, typed decode and ask",
        measure(|| {
            documents.iter().for_each(|document| {
                black_box(handwritten::on_bytes(document));
            })
        }),
    );
}

/// As the controller asks about a revision that a service has named in the pass before.
fn remembered(set: &PolicySet, parsed: &[Value]) -> f64 {
    let mut packer = Packer::learning();
    let revisions: Vec<(Arc<PackedDefinition>, TaskDefinition)> = parsed
        .iter()
        .map(|document| {
            let document = document.clone();
            let arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/bench:1".parse().unwrap();
            let status = "ACTIVE".to_owned();
            let (registered_by, registered_at) = (None, None);
            let revision = TaskDefinition { arn, status, registered_by, registered_at, document };
            (Arc::new(PackedDefinition::of(&revision, &mut packer)), revision)
        })
        .collect();
    let names: Vec<String> = (0..revisions.len()).map(|number| number.to_string()).collect();
    let (mut memo, scope) = (Memo::default(), ScopeKeys::default());
    let around = subject(&Value::Null, &scope).surroundings();
    measure(|| {
        for (name, (packed, definition)) in names.iter().zip(&revisions) {
            let revision = Revision::of(packed, Cow::Borrowed(definition));
            black_box(memo.evaluate_revision(set, name, &revision, &around, Timestamp::EPOCH));
        }
    })
}

/// Documents as large as the figures are for and as dense as the corpus: the containers of as many as it takes, written
/// as ECS answers, without blanks.
fn joined(documents: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut joined = Vec::new();
    let mut open: Option<Value> = None;
    for document in documents {
        let mut next = parse(document);
        let document = match open.take() {
            None => next,
            Some(mut document) => {
                let more = next["containerDefinitions"].as_array_mut().map(std::mem::take).unwrap_or_default();
                document["containerDefinitions"].as_array_mut().unwrap().extend(more);
                document
            }
        };
        let text = serde_json::to_vec(&document).unwrap();
        if text.len() >= SIZE { joined.push(text) } else { open = Some(document) }
    }
    joined
}

fn parse(document: &[u8]) -> Value {
    serde_json::from_slice(document).expect("it was parsed before")
}

fn ask(set: &PolicySet, document: &Value) -> Vec<PolicyResult> {
    let scope = ScopeKeys::default();
    black_box(evaluate(set, black_box(&subject(document, &scope)), Timestamp::EPOCH))
}

fn subject<'a>(document: &'a Value, scope: &'a ScopeKeys) -> Subject<'a> {
    Subject {
        kind: ResourceKind::TaskDefinition,
        resource: document,
        tags: Some(&NO_TAGS),
        service: None,
        cluster: None,
        running: None,
        target: None,
        scope,
    }
}

/// Both ways find as much in every document, or the figures would compare different things.
fn both_do_the_same(set: &PolicySet, documents: &[Vec<u8>]) {
    for document in documents {
        let parsed = parse(document);
        let results = ask(set, &parsed);
        if results.iter().any(|result| result.verdict == Verdict::Unknown) {
            continue;
        }
        let findings: usize = results.iter().map(|result| result.findings.len()).sum();
        let by_hand = [Some(handwritten::on_json(&parsed)), handwritten::on_bytes(document)];
        assert_eq!(by_hand, [Some(findings); 2], "{}", String::from_utf8_lossy(document));
    }
}

/// Nanoseconds of CPU that one round takes: the median of [`RUNS`].
fn measure(mut round: impl FnMut()) -> f64 {
    let mut rounds = 1_u32;
    loop {
        let began = cpu();
        (0..rounds).for_each(|_| round());
        if (cpu() - began) / 1_000_000 >= RUN {
            break;
        }
        rounds *= 2;
    }
    let mut runs: Vec<u128> = (0..RUNS)
        .map(|_| {
            let began = cpu();
            (0..rounds).for_each(|_| round());
            cpu() - began
        })
        .collect();
    runs.sort_unstable();
    runs[RUNS / 2] as f64 / f64::from(rounds)
}

fn cpu() -> u128 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u128::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u128::try_from(time.tv_nsec).unwrap()
}

fn security_hub() -> PolicySet {
    let files: Vec<(String, Vec<u8>)> = builtin::FILES
        .iter()
        .filter(|file| file.path.starts_with("security-hub/"))
        .map(|file| (file.path.to_owned(), file.text.into()))
        .collect();
    let objects: Vec<Object> =
        manifest::parse_files(&files).expect("the catalogue is read").into_iter().map(|one| one.object).collect();
    PolicySet::compile(&objects).expect("the catalogue compiles")
}

fn task_definition_policies(set: &PolicySet) -> usize {
    set.policies().filter(|(_, policy)| policy.resource == ResourceKind::TaskDefinition).count()
}

/// Task definitions in files of JSON: those of `PLIMSOLL_CORPUS`, else the project's own.
fn documents() -> (String, Vec<Vec<u8>>) {
    #[allow(clippy::disallowed_methods, reason = "a bench may look where the corpus is")]
    let corpus = std::env::var("PLIMSOLL_CORPUS").ok();
    let folder = corpus
        .as_ref()
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/task-definitions"), PathBuf::from);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("the folder is there").map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let mut documents = Vec::new();
    for path in paths {
        let bytes = std::fs::read(&path).unwrap();
        // What holds a task definition below `taskDefinition` or in a list is measured by its inner part.
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(Value::Object(members)) if members.get("containerDefinitions").is_some_and(Value::is_array) => {
                documents.push(bytes);
            }
            Ok(Value::Object(members)) => {
                let inner = members.get("taskDefinition").filter(|inner| inner.get("containerDefinitions").is_some());
                documents.extend(inner.map(|inner| serde_json::to_vec_pretty(inner).unwrap()));
            }
            Ok(Value::Array(items)) => {
                documents.extend(items.iter().map(|item| serde_json::to_vec_pretty(item).unwrap()))
            }
            _ => {}
        }
    }
    let what = if corpus.is_some() { "of the corpus" } else { "of tests/fixtures/task-definitions" };
    (format!("{} {what}", documents.len()), documents)
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("unknown").to_owned();
    format!("{}, {cores} cores, load {load}", model.trim_start_matches(['\t', ' ', ':']))
}
