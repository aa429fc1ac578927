//! The guides, run: what README.md, `docs/` and `deploy/README.md` tell a reader to type is typed, in their order, into a
//! shell in a folder of its own, with the real binary; what they say comes of it must come of it. `tests/README.md` says
//! what a comment above a block means. Nothing is left out in silence: every block is run, or says why it is not.

mod accounted;
mod completion;
pub(crate) mod failures;
mod inline;
mod journeys;
mod links;
mod markdown;
pub(crate) mod picture;
mod shell;
mod stated;

use std::path::Path;

use crate::cli::repository;
use markdown::Block;

/// Whose blocks are run, in the order of reading.
fn guides() -> Vec<String> {
    let mut found = vec!["README.md".to_owned(), "deploy/README.md".to_owned()];
    found.extend(markdown_in("docs"));
    found
}

fn markdown_in(folder: &str) -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(repository().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .map(|path| path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{folder} has no guides");
    found
}

fn text(guide: &str) -> String {
    std::fs::read_to_string(repository().join(Path::new(guide))).unwrap_or_else(|error| panic!("{guide}: {error}"))
}

fn blocks(guide: &str) -> Vec<Block> {
    markdown::blocks(guide, &text(guide)).unwrap_or_else(|error| panic!("{error}"))
}
