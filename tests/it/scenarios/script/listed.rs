//! `tests/README.md` says which script shows what. Here it is held to the scripts that there are.

use std::collections::BTreeSet;
use std::path::Path;

use super::run::stems;

/// The names in the last column of every table between two headings.
fn named(readme: &str) -> BTreeSet<String> {
    let begin = readme.find("## Where each sentence is shown").unwrap();
    let end = readme.find("## The guides").unwrap();
    let rows = readme[begin..end].lines().filter(|line| line.starts_with("| ") && line.ends_with(" |"));
    let last = rows.filter_map(|row| row.trim_end_matches(" |").rsplit_once(" | ")).map(|(_, last)| last);
    last.flat_map(|last| last.split('`').skip(1).step_by(2)).map(ToOwned::to_owned).collect()
}

#[test]
fn every_script_has_its_place_in_the_tables_and_all_that_they_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("tests/README.md")).unwrap();
    let (named, scripts) = (named(&readme), stems("scripts", ".txt"));
    let mut placed = BTreeSet::new();
    for name in &named {
        if name.ends_with(".rs") {
            let folders = ["tests/it", "tests/it/scenarios", "tests/it/scenarios/script"];
            assert!(folders.iter().any(|folder| root.join(folder).join(name).is_file()), "there is no `{name}`");
            continue;
        }
        let found: Vec<&String> = match name.strip_suffix('*') {
            Some(prefix) => scripts.iter().filter(|script| script.starts_with(prefix)).collect(),
            None => scripts.get(name).into_iter().collect(),
        };
        assert!(!found.is_empty(), "`{name}` is no script");
        placed.extend(found);
    }
    let left: Vec<&String> = scripts.iter().filter(|script| !placed.contains(script)).collect();
    assert_eq!(left, [""; 0], "no table names these");
}
