//! The image and the workflows. Nothing builds an image where there is no Docker engine; `deploy/README.md` says what of
//! it was built and run by hand.

use regex::Regex;

use super::is_clean;
use crate::cli::{Plimsoll, repository};
use crate::fake::{Fake, Reply};

fn read(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The words of an instruction in its JSON form.
#[track_caller]
fn words(dockerfile: &str, instruction: &str) -> Vec<String> {
    let line = dockerfile.lines().find(|line| line.starts_with(instruction)).unwrap();
    serde_json::from_str(&line[line.find('[').unwrap()..]).unwrap()
}

#[test]
fn hadolint_has_nothing_to_say() {
    is_clean("hadolint", &["--failure-threshold", "style", "Dockerfile"]);
}

#[test]
fn the_image_is_one_file_run_by_nobody_in_particular_without_a_shell() {
    let dockerfile = read("Dockerfile");
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(last.starts_with("scratch\n"));
    assert!(!last.contains("\nRUN "), "there is nothing to run it with");
    assert!(last.contains("\nUSER 65532:65532\n"));
    assert!(dockerfile.contains("PLIMSOLL_REVISION=\"${REVISION}\" cargo build"), "it knows what it was built from");
    assert_eq!(words(last, "ENTRYPOINT"), ["/plimsoll"]);
    // Both start what there is.
    let plimsoll = Plimsoll::new();
    for (instruction, skipped) in [("CMD", 0), ("HEALTHCHECK", 1)] {
        let words = words(last, instruction);
        let words: Vec<&str> = words[skipped..].iter().map(String::as_str).chain(["--help"]).collect();
        plimsoll.run(&words).exits(0);
    }
    let version = Regex::new(r"ARG RUST=(\d+\.\d+)\.\d+").unwrap().captures(&dockerfile).unwrap()[1].to_owned();
    let least =
        Regex::new(r#"rust-version = "(\d+\.\d+)"#).unwrap().captures(&read("Cargo.toml")).unwrap()[1].to_owned();
    let number = |text: &str| text.split_once('.').unwrap().1.parse::<u32>().unwrap();
    assert!(number(&version) >= number(&least), "{version} is older than {least}");
}

/// What the program is compiled from is in the build context, and what need not be is not.
#[test]
fn the_build_gets_what_the_program_includes_and_nothing_else() {
    let ignored = read(".dockerignore");
    let kept: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignored.lines().any(|line| line == "*"));
    let dockerfile = read("Dockerfile");
    let copies =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from"));
    let copied: Vec<&str> = copies.flat_map(|line| line.split(' ').rev().skip(1)).collect();
    let mut sorted = (kept.clone(), copied);
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    assert_eq!(sorted.0, sorted.1);
    let included = Regex::new(r#"include_(?:str|bytes)!\((?:concat!\()?"((?:\.\./)+)?([a-z_./-]+)"#).unwrap();
    let mut open = vec![repository().join("src")];
    let mut outside = 0;
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            // Tests are not built into the image.
            if path.ends_with("tests.rs") {
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            for found in included.captures_iter(text.split("#[cfg(test)]").next().unwrap()) {
                let Some(up) = found.get(1) else { continue };
                let mut place = path.parent().unwrap().to_owned();
                for _ in up.as_str().matches("../") {
                    place.pop();
                }
                let place = place.join(&found[2]);
                let top = place.strip_prefix(repository()).unwrap().components().next().unwrap();
                assert!(kept.contains(&top.as_os_str().to_str().unwrap()), "{}: {}", path.display(), &found[2]);
                outside += 1;
            }
        }
    }
    assert!(outside > 0, "the catalogue is included from outside of src");
}

#[test]
fn the_workflows_are_what_github_reads_and_give_nobody_more_than_they_need() {
    is_clean(
        "check-jsonschema",
        &["--builtin-schema", "vendor.github-workflows", ".github/workflows/ci.yml", ".github/workflows/release.yml"],
    );
    is_clean("zizmor", &["--offline", "--no-progress", "--persona", "regular", ".github/workflows"]);
    let pinned = Regex::new(r"uses: [a-z-]+/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$").unwrap();
    let mut by_name = std::collections::BTreeMap::new();
    for file in ["ci", "release"] {
        let text = read(&format!(".github/workflows/{file}.yml"));
        for line in text.lines().filter(|line| line.contains("uses: ")) {
            assert!(pinned.is_match(line), "{line}");
            let (name, version) = line.split_once("uses: ").unwrap().1.split_once('@').unwrap();
            assert_eq!(by_name.entry(name.to_owned()).or_insert_with(|| version.to_owned()), version, "{name}");
        }
    }
    assert!(by_name.len() >= 8, "{by_name:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_says_healthy_where_it_is_and_not_where_it_is_not() {
    let fake = Fake::start(|_, request| match request.path.as_str() {
        "/healthz" => Reply::Answer(200, "ok".to_owned()),
        "/silent" => Reply::Silence,
        "/gone" => Reply::HangUp,
        _ => Reply::Answer(503, "no".to_owned()),
    })
    .await;
    let endpoint = fake.endpoint();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    tokio::task::spawn_blocking(move || {
        let plimsoll = Plimsoll::new();
        let probe = |url: &str, code: i32, told: &str| {
            plimsoll.run(&["probe", url, "--timeout", "200ms"]).exits(code).prints(told);
        };
        let at = |path: &str| format!("{endpoint}{path}");
        assert!(plimsoll.run(&["probe", &endpoint]).exits(0).stdout == "healthy\n", "the default path");
        probe(&at("/readyz"), 1, "HTTP 503");
        probe(&at("/silent"), 1, "no answer within");
        probe(&at("/gone"), 1, "that is no answer of HTTP");
        probe(&format!("http://{closed}/healthz"), 1, "not healthy: ");
        plimsoll.run(&["probe", "https://a:1/"]).exits(2).says("`https://a:1/` is nowhere to ask");
    })
    .await
    .unwrap();
}
