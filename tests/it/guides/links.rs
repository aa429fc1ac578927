//! Links lead somewhere.

use regex::Regex;

use super::{guides, markdown_in, text};
use crate::cli::repository;

/// A heading, as GitHub makes an anchor of it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace('`', "");
    kept.chars()
        .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
        .collect::<String>()
        .replace(' ', "-")
}

fn anchors(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let mut pages = guides();
    for folder in [".", "policies", "tests", "benches"] {
        pages.extend(markdown_in(folder));
    }
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut checked = 0;
    for page in pages {
        for found in link.captures_iter(&text(&page)) {
            let target = &found[1];
            if target.starts_with("http") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let folder = repository().join(&page).parent().unwrap().to_owned();
            let path = if path.is_empty() { repository().join(&page) } else { folder.join(path) };
            assert!(path.exists(), "{page}: `{target}` leads nowhere");
            if !heading.is_empty() {
                let anchors = anchors(&std::fs::read_to_string(&path).unwrap());
                assert!(anchors.iter().any(|anchor| anchor == heading), "{page}: `{target}`: only {anchors:?}");
            }
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked}");
}
