//! The pages in a real browser: what they look like to scripts, styles, keyboards and screen readers.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use plimsoll::model::{Hold, Reason, ReasonCode};
use plimsoll::model::{Resource, Timestamp};
use plimsoll::records::campaign::Campaigns;
use serde_json::{Value, json};

use super::installed;
use super::site::{Fleet, Served};

/// Runs `tests/browser/look.mjs`. Whenever it prints `now NAME`, `on` is called and answered.
#[track_caller]
fn look(what: &str, address: std::net::SocketAddr, mut on: impl FnMut(&str)) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/look.mjs");
    let mut node = Command::new("node")
        .arg(script)
        .arg(what)
        .arg(format!("http://{address}"))
        .env("PLIMSOLL_BROWSER_MODULES", installed("node/node_modules"))
        .env("PLIMSOLL_CHROMIUM", installed("bin/chromium"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut answers, mut result) = (node.stdin.take().unwrap(), Value::Null);
    for line in BufReader::new(node.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.strip_prefix("now ") {
            Some(name) => {
                on(name);
                writeln!(answers, "done").unwrap();
            }
            None => result = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")),
        }
    }
    assert!(node.wait().unwrap().success(), "{what}: {result:#}");
    result
}

fn never(name: &str) {
    panic!("nothing is to be done at {name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_refused_by_the_policy_of_contents_and_nothing_is_asked_of_others() {
    let fleet = Fleet::in_mid_rollout().await;
    let site = Served::of(&fleet).await;
    let address = site.address;
    let seen = tokio::task::spawn_blocking(move || look("visit", address, never)).await.unwrap();
    let pages = seen["pages"].as_array().unwrap();
    assert!(pages.len() >= 10, "{pages:#?}");
    assert_eq!(seen["complaints"], json!([]), "the console is to be silent");
    assert_eq!(seen["elsewhere"], json!([]), "requests to others");
    for page in pages {
        // A page that is wider than a phone is scrolled sideways, which only its tables may be.
        assert_eq!(page["tooWide"], json!([]), "{page:#}");
        assert_eq!(page["cut"], json!([]), "a table is cut off at 1,280 px: {page:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_no_barrier_in_light_or_dark_or_on_a_phone() {
    let fleet = Fleet::in_mid_rollout().await;
    let site = Served::of(&fleet).await;
    let address = site.address;
    let seen = tokio::task::spawn_blocking(move || look("axe", address, never)).await.unwrap();
    assert_eq!(seen["violations"], json!([]));
    // Contrast is among what was looked at, and something was.
    assert!(seen["passes"].as_array().unwrap().iter().any(|rule| rule == "color-contrast"), "{seen:#}");
    assert!(seen["looks"].as_u64().unwrap() >= 27, "{seen:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyboard_gets_everywhere_and_sees_where_it_is() {
    let fleet = Fleet::in_mid_rollout().await;
    let site = Served::of(&fleet).await;
    let address = site.address;
    let seen = tokio::task::spawn_blocking(move || look("keyboard", address, never)).await.unwrap();
    assert_eq!(seen["first"], "Skip to the content");
    assert_eq!(seen["afterSkip"], "main");
    assert_eq!(seen["unseen"], json!([]), "focus that cannot be seen");
    assert!(seen["reached"].as_u64().unwrap() > 20, "{seen:#}");
    assert!(seen["filtered"].as_str().unwrap().contains("severity=high"), "{seen:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_read_without_scripts() {
    let fleet = Fleet::in_mid_rollout().await;
    let site = Served::of(&fleet).await;
    let address = site.address;
    let seen = tokio::task::spawn_blocking(move || look("plain", address, never)).await.unwrap();
    assert_eq!(seen["different"], json!([]), "pages that say something else with scripts");
    assert!(seen["services"].as_u64().unwrap() > 60, "{seen:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_shows_by_itself_and_pauses_when_asked_and_disturbs_nobody() {
    let fleet = Fleet::in_mid_rollout().await;
    let site = Served::of(&fleet).await;
    let (address, store, target) = (site.address, fleet.store.clone(), fleet.target.clone());
    let handle = tokio::runtime::Handle::current();
    let hold = move |policy: &str| {
        let campaigns = Campaigns::of(store.as_ref(), &target);
        let arn = "arn:aws:ecs:eu-west-1:123456789012:service/prod-a/search";
        let hold = Hold {
            resource: Resource::Service(arn.parse().unwrap()),
            fix: "*".to_owned(),
            policy: policy.to_owned(),
            reason: Reason::of(ReasonCode::Held, format!("written while it was looked at: {policy}")),
            by: None,
            rollout: None,
            created_at: Timestamp::EPOCH,
            until: None,
        };
        handle.block_on(async { campaigns.put(&hold, None).await.unwrap() });
    };
    let seen = tokio::task::spawn_blocking(move || look("live", address, hold)).await.unwrap();
    assert_eq!(seen["shown"], true, "{seen:#}");
    assert_eq!(seen["whilePaused"], false, "{seen:#}");
    assert_eq!(seen["afterwards"], true, "{seen:#}");
    assert_eq!(seen["focusKept"], true, "{seen:#}");
    assert_eq!(seen["said"], json!(["Live.", "Paused.", "Live."]), "{seen:#}");
}

/// Pictures of every page, to look at: `PLIMSOLL_PICTURES=DIR cargo test --test it web::browser::pictures -- --ignored`. With
/// `PLIMSOLL_FIRST_SCREEN=1` only what is seen without scrolling; the README's are two of those.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes pictures"]
async fn pictures() {
    let fleet = Fleet::in_mid_rollout().await;
    let site = Served::of(&fleet).await;
    let address = site.address;
    tokio::time::timeout(
        Duration::from_secs(300),
        tokio::task::spawn_blocking(move || look("pictures", address, never)),
    )
    .await
    .unwrap()
    .unwrap();
}
