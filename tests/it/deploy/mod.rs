//! What is deployed: rights that are what the code asks for and no more, templates as others read them, an image that
//! starts what we have.

mod alarms;
mod gate;
mod iam;
mod image;
mod permissions;
mod rights;
mod templates;
mod terraform;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::cli::repository;
use crate::peers;

/// Of `deploy/`.
fn path(name: &str) -> PathBuf {
    repository().join("deploy").join(name)
}

#[track_caller]
fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}

/// The files in a folder of `deploy/` with that ending, in order.
#[track_caller]
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(path(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(ending))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "deploy/{folder} has no {ending}");
    found
}

/// What `tests/peers/templates.py` answers.
#[track_caller]
fn templates(arguments: &[&str], stdin: &Value) -> Value {
    let mut command = Command::new(peers::program("python"));
    command.arg(repository().join("tests/peers/templates.py")).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{talk}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {talk}"))
}

/// A linter's run in the repository; it must have nothing to say.
#[track_caller]
fn is_clean(program: &str, arguments: &[&str]) {
    let output: Output =
        Command::new(peers::program(program)).args(arguments).current_dir(repository()).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program}:\n{}{}", said(&output.stdout), said(&output.stderr));
}
