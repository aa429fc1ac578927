//! What the controller serves over HTTP: pages, metrics and health, and that nothing of it gives a secret away.

mod browser;
mod hostile;
mod logged;
mod metrics;
mod pages;
pub(crate) mod site;

use std::path::{Path, PathBuf};
use std::process::Command;

/// What `make peers` has installed for these tests.
fn installed(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/browser").join(name);
    assert!(path.exists(), "{} is missing: run `make peers`", path.display());
    path
}

/// Runs something to its end, and says what it printed.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ends with {}\n{out}\n{err}", output.status);
    out.into_owned()
}
