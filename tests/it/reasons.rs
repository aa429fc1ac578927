//! Every reason that can be told is told somewhere, and what is told is among them.

use std::collections::BTreeSet;
use std::path::Path;

use plimsoll::model::ReasonCode;

/// The sources in which something is decided, without the tests beside them.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "laws" && name != "tests" {
            sources(&path, found);
        } else if name.ends_with(".rs") && !["tests.rs", "fixture.rs", "reason.rs"].contains(&name) {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(text.split("#[cfg(test)]").next().unwrap().to_owned());
        }
    }
}

#[test]
fn every_reason_is_told_somewhere() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let mut told = BTreeSet::new();
    for text in &found {
        for part in text.split("ReasonCode::").skip(1) {
            told.insert(part.split(|letter: char| !letter.is_alphanumeric()).next().unwrap().to_owned());
        }
    }
    let untold: Vec<&str> =
        ReasonCode::ALL.iter().map(|code| code.as_str()).filter(|code| !told.contains(*code)).collect();
    assert_eq!(untold, [""; 0], "no source tells these: remove them, or tell them");
}
