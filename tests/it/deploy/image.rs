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
    assert!(
        dockerfile.contains("PLIMSOLL_REVISION=\"${REVISION}\" cargo auditable build"),
        "it knows what it was built from"
    );
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

/// What a release lists as its contents is read from the program: every build of it writes the list into it.
#[test]
fn the_sbom_is_of_the_binary() {
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.matches("cargo auditable build --locked --release").count() == 2, "{dockerfile}");
    assert_eq!(dockerfile.matches("cargo build").count(), 0);
    let release = read(".github/workflows/release.yml");
    let (_, step) = release.split_once("uses: anchore/sbom-action@").unwrap();
    let (step, _) = step.split_once("      - uses: ").unwrap();
    assert!(step.contains("path: contents\n") && !step.contains("Cargo.lock"), "{step}");
    assert!(release.contains("mkdir contents && cp \"plimsoll-$TARGET/plimsoll\" contents/"));
}

/// A tag releases what Cargo.toml says, and only with a section of the changelog: tried as the workflow does it.
#[test]
fn the_version_is_the_same_wherever_a_release_looks() {
    let version = env!("CARGO_PKG_VERSION");
    let release = read(".github/workflows/release.yml");
    let (_, script) = release.split_once("- id: version\n        run: |\n").unwrap();
    let script: String = script
        .lines()
        .take_while(|line| line.starts_with("          "))
        .map(|line| line.trim_start().to_owned() + "\n")
        .collect();
    let run = |tag: &str| {
        let output = std::env::temp_dir().join(format!("plimsoll-release-{}-{tag}", std::process::id()));
        let shell = std::process::Command::new("bash")
            .args(["-e", "-c", &script])
            .current_dir(repository())
            .env("GITHUB_REF_NAME", tag)
            .env("GITHUB_OUTPUT", &output)
            .output()
            .unwrap();
        let written = std::fs::read_to_string(&output).unwrap_or_default();
        let _ = std::fs::remove_file(&output);
        (shell.status.success(), written)
    };
    assert_eq!(run(&format!("v{version}")), (true, format!("version={version}\n")));
    assert_eq!(run("v999.0.0"), (false, String::new()), "a tag of another version");
    // The newest section is of that version, and has a day.
    let changelog = read("CHANGELOG.md");
    let headings: Vec<&str> = changelog.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(headings[0], "[Unreleased]");
    let day = Regex::new(&format!(r"^\[{}\] - \d{{4}}-\d\d-\d\d$", regex::escape(version))).unwrap();
    assert!(day.is_match(headings[1]), "{headings:?}");
    let locked = read("Cargo.lock");
    assert!(locked.contains(&format!("name = \"plimsoll\"\nversion = \"{version}\"\n")));
    let guide = read("deploy/README.md");
    let told = Regex::new(r"(?:plimsoll:|ref=v)(\d+\.\d+\.\d+)").unwrap();
    let told: Vec<&str> = told.captures_iter(&guide).map(|found| found.get(1).unwrap().as_str()).collect();
    assert!(!told.is_empty() && told.iter().all(|one| *one == version), "{told:?}");
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
