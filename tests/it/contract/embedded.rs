//! The store contract on the embedded store, and what only a file owes.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use plimsoll::embedded::{EmbeddedStore, PURGED_AT_ONCE};
use plimsoll::model::Timestamp;
use plimsoll::ports::StoreError;
use plimsoll::ports::store::{Expect, Key, Store};
use plimsoll::web::metrics::{Metrics, ObservedStore};
use serde_json::{Map, Value, json};

use super::store::store_contract;

#[tokio::test]
async fn the_store_in_memory_keeps_the_contract() {
    let store = EmbeddedStore::in_memory().unwrap();
    store_contract(&store, &store.clone(), &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_in_a_file_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::create(&folder.path().join("plimsoll.db")).unwrap();
    store_contract(&store, &store, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_on_one_file_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plimsoll.db");
    let one = EmbeddedStore::create(&path).unwrap();
    let other = EmbeddedStore::open(&path).unwrap();
    store_contract(&one, &other, &[]).await;
}

#[tokio::test]
async fn a_store_that_is_watched_keeps_the_contract() {
    let watched = ObservedStore::new(Arc::new(EmbeddedStore::in_memory().unwrap()), Arc::new(Metrics::new()));
    store_contract(&watched, &watched, &[]).await;
}

#[tokio::test]
async fn a_store_that_is_watched_is_rid_of_what_is_past_its_time() {
    let metrics = Arc::new(Metrics::new());
    let store = ObservedStore::new(Arc::new(EmbeddedStore::in_memory().unwrap()), Arc::clone(&metrics));
    let key = Key::new("rt#1/r#events", "e");
    store.put(&key, &body(1), Expect::Any, Some(Timestamp::EPOCH)).await.unwrap();
    assert_eq!(store.purge(Timestamp::EPOCH + Duration::from_secs(60)).await, Ok(1));
    assert_eq!(store.get(&[key]).await, Ok(vec![None]));
    let line = "plimsoll_store_operations_total{operation=\"purge\",result=\"ok\"} 1";
    assert!(metrics.page().contains(line), "{}", metrics.page());
}

fn body(n: u64) -> Map<String, Value> {
    Map::from_iter([("n".to_owned(), json!(n))])
}

#[track_caller]
fn assert_missing(opened: Result<EmbeddedStore, StoreError>, part: &str) {
    match opened.map(|store| store.describe()) {
        Err(StoreError::Missing { message, .. }) => assert!(message.contains(part), "{message}"),
        other => panic!("wanted Missing with `{part}`, got {other:?}"),
    }
}

#[test]
fn opening_what_is_not_there_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plimsoll.db");
    assert_missing(EmbeddedStore::open(&path), "plimsoll store init");
    assert_missing(EmbeddedStore::open(folder.path()), "no such file");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_missing(EmbeddedStore::create(&folder.path().join("no/such/folder.db")), "cannot be made");
}

#[test]
fn a_file_of_somebody_else_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, but longer than a header of one hundred bytes: ".repeat(4)).unwrap();
    let before = std::fs::read(&text).unwrap();
    assert_missing(EmbeddedStore::open(&text), "not a store of plimsoll");
    assert_missing(EmbeddedStore::create(&text), "not a store of plimsoll");
    assert_eq!(std::fs::read(&text).unwrap(), before);

    let database = folder.path().join("other.db");
    let other = rusqlite::Connection::open(&database).unwrap();
    other.execute_batch("CREATE TABLE items (a); INSERT INTO items VALUES (1)").unwrap();
    assert_missing(EmbeddedStore::open(&database), "not a store of plimsoll");
    assert_missing(EmbeddedStore::create(&database), "not a store of plimsoll");
    let count: i64 = other.query_row("SELECT count(*) FROM items", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
}

#[test]
fn a_file_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plimsoll.db");
    drop(EmbeddedStore::create(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    assert_missing(EmbeddedStore::open(&path), "version 2");
    assert_missing(EmbeddedStore::create(&path), "version 2");
}

#[tokio::test]
async fn creating_twice_keeps_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plimsoll.db");
    let key = Key::new("cfg#head", "a");
    EmbeddedStore::create(&path).unwrap().put(&key, &body(1), Expect::Absent, None).await.unwrap();
    let again = EmbeddedStore::create(&path).unwrap();
    assert_eq!(again.get(&[key]).await.unwrap()[0].as_ref().unwrap().body, body(1));
}

#[test]
fn only_its_owner_may_read_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plimsoll.db");
    let _open = EmbeddedStore::create(&path).unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

#[tokio::test]
async fn a_purge_takes_what_has_expired_and_nothing_else() {
    let store = EmbeddedStore::in_memory().unwrap();
    let keys = ["never", "before", "at", "after"].map(|sort| Key::new("rt#events", sort));
    let expiries = [None, Some(999), Some(1000), Some(1001)];
    for (key, expires) in keys.iter().zip(expiries) {
        store.put(key, &body(1), Expect::Absent, expires.map(Timestamp::from_millis)).await.unwrap();
    }
    assert_eq!(store.purge(Timestamp::from_millis(1000)).await, Ok(1));
    let there: Vec<bool> = store.get(&keys).await.unwrap().iter().map(Option::is_some).collect();
    assert_eq!(there, [true, false, true, true]);
}

#[tokio::test]
async fn a_purge_takes_a_bounded_number_the_longest_expired_first_until_none_is_left() {
    let store = EmbeddedStore::in_memory().unwrap();
    let items = PURGED_AT_ONCE + 3;
    for number in 0..items {
        let (key, expires) = (Key::new("rt#events", format!("{number:05}")), 10_000 - number as i64);
        store.put(&key, &body(1), Expect::Absent, Some(Timestamp::from_millis(expires))).await.unwrap();
    }
    let now = Timestamp::from_millis(20_000);
    assert_eq!(store.purge(now).await, Ok(PURGED_AT_ONCE));
    let page = store.query("rt#events", "", None).await.unwrap();
    assert_eq!(page.items.iter().map(|item| item.key.sort.as_str()).collect::<Vec<_>>(), ["00000", "00001", "00002"]);
    assert_eq!((store.purge(now).await, store.purge(now).await), (Ok(3), Ok(0)));
}

#[tokio::test]
async fn an_item_that_is_no_json_is_corrupt_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plimsoll.db");
    let store = EmbeddedStore::create(&path).unwrap();
    let key = Key::new("cfg#head", "a");
    store.put(&key, &body(1), Expect::Absent, None).await.unwrap();
    rusqlite::Connection::open(&path).unwrap().execute("UPDATE items SET body = '{\"n\":'", []).unwrap();
    let read = store.get(std::slice::from_ref(&key)).await;
    assert!(matches!(&read, Err(StoreError::Corrupt { key: named, .. }) if *named == key), "{read:?}");
}

/// Names the file to the child processes of the test below.
const CHILD_FILE: &str = "PLIMSOLL_TEST_STORE_FILE";

#[tokio::test]
#[ignore = "the child process of `acknowledged_writes_survive_kill_9`, which runs it"]
async fn increments_until_it_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "how the parent names the file")]
    let Ok(path) = std::env::var(CHILD_FILE) else { return };
    let store = EmbeddedStore::open(Path::new(&path)).unwrap();
    let key = Key::new("rt#counter", "a");
    loop {
        let found = store.get(std::slice::from_ref(&key)).await.unwrap().remove(0).unwrap();
        let next = found.body["n"].as_u64().unwrap() + 1;
        match store.put(&key, &body(next), Expect::Version(found.version), None).await {
            // To the parent's pipe, past the test harness's capture.
            Ok(version) => eprintln!("acknowledged {version}"),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_kill_9() {
    const CHILDREN: u64 = 3;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plimsoll.db");
    let key = Key::new("rt#counter", "a");
    EmbeddedStore::create(&path).unwrap().put(&key, &body(0), Expect::Absent, None).await.unwrap();

    let mut acknowledged = 0;
    for _round in 0..3 {
        let children: Vec<_> = (0..CHILDREN)
            .map(|_| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--ignored", "--exact", "--nocapture", "contract::embedded::increments_until_it_is_killed"])
                    .env(CHILD_FILE, &path)
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for mut child in children {
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
            let heard = lines.by_ref().take(15).filter(|line| line.starts_with("acknowledged")).count();
            child.kill().unwrap();
            // What it said before it died but was not read yet counts too.
            acknowledged += heard + lines.filter(|line| line.starts_with("acknowledged")).count();
            child.wait().unwrap();
            assert!(heard > 0, "the child did not get to write");
        }
    }

    let found = EmbeddedStore::open(&path).unwrap().get(&[key]).await.unwrap().remove(0).unwrap();
    let (acknowledged, counted) = (acknowledged as u64, found.body["n"].as_u64().unwrap());
    assert_eq!(found.version, counted + 1);
    // Each killed child may have written once more than it got to say.
    assert!((acknowledged..=acknowledged + 3 * CHILDREN).contains(&counted), "{counted} of {acknowledged}");
}
