//! The real binary, as people and scripts see it: data, talk and exit codes.

mod access;
mod asking;
mod diagnosed;
mod doctor;
pub(crate) mod fleet;
mod hostile;
mod input;
mod inputs;
mod objects;
mod offline;
mod rollouts;
mod shape;
mod standing;
mod told;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The binary in a folder of its own, with nothing of this machine's environment.
pub(crate) struct Plimsoll {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        // Whatever goes wrong, nobody reads a stack trace.
        assert!(!self.stderr.contains("panicked") && !self.stderr.contains("RUST_BACKTRACE"), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "{text:?} is not in {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    #[track_caller]
    pub(crate) fn error_json(&self) -> Value {
        serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl Plimsoll {
    /// Without any store.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        let mut this = Self { folder, environment: Vec::new() };
        this.set("HOME", &home);
        this.set("USER", "tester");
        this.set("PLIMSOLL_STORE", "file:plimsoll.db");
        // Without it the SDK looks for a metadata service that answers slowly or not at all.
        this.set("AWS_EC2_METADATA_DISABLED", "true");
        this
    }

    /// With an empty store.
    pub(crate) fn with_store() -> Self {
        let this = Self::new();
        this.run(&["store", "init"]).exits(0);
        this
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn get(&self, name: &str) -> String {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.finish(self.command(arguments), None)
    }

    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &str) -> Run {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped());
        self.finish(command, Some(stdin))
    }

    fn finish(&self, mut command: Command, stdin: Option<&str>) -> Run {
        let mut child = command.spawn().unwrap();
        if let Some(text) = stdin {
            child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A policy with a fix, and what binds it.
pub(crate) const POLICIES: &str = r#"apiVersion: plimsoll/v1
kind: Policy
metadata: { name: no-host-pid, labels: { framework: test } }
spec:
  title: no host process namespace
  description: why
  severity: high
  resource: TaskDefinition
  checks:
    - name: pid-mode
      require: "taskDefinition.?pidMode.orValue('') != 'host'"
      message: the task shares the process namespace of its host
      fix:
        - edits: [{ remove: /pidMode }]
---
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: no-root }
spec:
  title: no root
  description: why
  severity: medium
  resource: TaskDefinition
  checks:
    - name: user
      forEach: /containerDefinitions/*
      as: [container]
      require: "container.?user.orValue('') != 'root'"
      message: "container `{container.name}` runs as root"
      at: /user
---
apiVersion: plimsoll/v1
kind: RolloutStrategy
metadata: { name: gentle }
spec: { waves: [{ size: 1, bake: 1m }, { size: rest }] }
---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: enforce-all }
spec: { policies: [no-host-pid], enforcement: enforce, strategy: gentle }
"#;

/// The repository's own folder.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
