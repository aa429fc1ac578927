//! What is written for other programs, judged by other programs: SARIF, JUnit, GitHub's annotations, JSON Schemas,
//! JSON Patches.

mod annotations;
mod junit;
mod patches;
mod sarif;
mod schemas;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::{Plimsoll, repository};
use crate::peers;

/// What `tests/peers/judge.py` answers.
#[track_caller]
pub(crate) fn judged(arguments: &[&str], stdin: &str) -> Value {
    let mut command = Command::new(peers::program("python"));
    command.arg(repository().join("tests/peers/judge.py")).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{talk}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {talk}"))
}

/// What a validator has against documents, for each.
#[track_caller]
pub(crate) fn against_schema(schema: &str, documents: &[Value]) -> Vec<Vec<String>> {
    let lines: Vec<String> = documents.iter().map(Value::to_string).collect();
    serde_json::from_value(judged(&["schema", schema], &lines.join("\n"))).unwrap()
}

pub(crate) fn fixture(name: &str) -> String {
    repository().join("tests/fixtures/formats").join(name).display().to_string()
}

pub(crate) fn shipped(kind: &str) -> PathBuf {
    repository().join("deploy/schemas").join(format!("{kind}.json"))
}

/// A container's name, a family and a file name with all that could break out of a format.
const HOSTILE: &str = "a\"b'<c>&]]>\n::error file=x::%0A,d;\u{1b}[31m\u{0}\u{202e}ü漢\u{1f600} [x](http://y)";
const FILE: &str = "a b%20#?ü:,::'\"<&>.json";

/// Verdicts of every kind, on a document in which every name is hostile: lines 3 and 6 are what fails.
fn hostile() -> Plimsoll {
    let plimsoll = Plimsoll::new();
    let name = serde_json::to_string(HOSTILE).unwrap();
    let task = format!(
        "{{\n  \"family\": {name},\n  \"pidMode\": \"host\",\n  \"ipcMode\": [1],\n  \"containerDefinitions\": [\n    {{ \"name\": {name}, \"image\": \"a:1\", \"user\": \"root\" }},\n    {{ \"name\": \"agent\", \"image\": \"a:1\", \"user\": \"root\" }}\n  ]\n}}\n"
    );
    plimsoll.write(FILE, &task);
    let policy = |name: &str, severity: &str, check: &str| {
        format!(
            "---\napiVersion: plimsoll/v1\nkind: Policy\nmetadata: {{ name: {name} }}\nspec:\n  title: {title}\n  description: {title}\n  severity: {severity}\n  controls: [SecurityHub/ECS.3, {title}]\n  resource: TaskDefinition\n  checks:\n    - {check}\n",
            title = serde_json::to_string(&HOSTILE.replace('\0', "")).unwrap(),
        )
    };
    let user = "{ name: user, forEach: '/containerDefinitions/*', as: [container], require: \"container.?user.orValue('') != 'root'\", message: 'container `{container.name}` runs as root', at: /user }";
    let texts = [
        policy("critical-fails", "critical", "{ name: pid, require: \"taskDefinition.?pidMode.orValue('') != 'host'\", message: 'shares the host', fix: [{ edits: [{ remove: /pidMode }] }] }"),
        policy("medium-fails", "medium", user),
        policy("low-passes", "low", "{ name: family, require: 'has(taskDefinition.family)', message: m }"),
        policy("high-unknown", "high", "{ name: ipc, require: \"taskDefinition.?ipcMode.orValue('') != 'host'\", message: m }"),
        policy("all-waived", "high", "{ name: pid, require: \"taskDefinition.?pidMode.orValue('') != 'host'\", message: 'shares the host' }"),
        policy("is-skipped", "low", "{ name: c, require: 'false', message: m }").replace("  checks:", "  when: 'false'\n  checks:"),
        format!("---\napiVersion: plimsoll/v1\nkind: Waiver\nmetadata: {{ name: all }}\nspec: {{ policies: [all-waived], owner: {owner}, reason: {owner}, ticket: SEC-1, expiresAt: 2999-01-01T00:00:00Z, longerThanAYear: for ever }}\n", owner = serde_json::to_string(&HOSTILE.replace(['\0', '\n', '\u{1b}', '\u{202e}'], "")).unwrap()),
        "---\napiVersion: plimsoll/v1\nkind: Waiver\nmetadata: { name: agent }\nspec: { policies: [medium-fails], containers: [agent], owner: me, reason: an agent, expiresAt: 2999-01-01T00:00:00Z, longerThanAYear: for ever }\n".to_owned(),
    ];
    plimsoll.write("policies/all.yaml", &texts.concat());
    plimsoll
}
