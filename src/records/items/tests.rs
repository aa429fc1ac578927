//! What is said of items, held to items that were really written.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::*;
use crate::embedded::EmbeddedStore;
use crate::model::spec::{Need, Term};
use crate::model::{Condition, ConditionStatus, Day, Hold, TargetId, Timestamp};
use crate::plan::{PlannedStandalone, PolicyTally};
use crate::ports::Store;
use crate::ports::store::{Expect, Item};
use crate::records::RecordError;
use crate::records::applications::Told;
use crate::records::command::{Answer, Command};
use crate::records::configuration::{Head, Written};
use crate::records::documents::{Documents, Kept};
use crate::records::events::Event;
use crate::records::history::Days;
use crate::records::lease::{Lease, Leases};
use crate::records::reports::ServiceReport;
use crate::records::statuses::{BindingStatus, ClusterStatus, Judged, PolicyStatus, SeenWaiver, WaiverStatus};
use crate::records::targets::TargetRecord;
use crate::records::typed::{self, Stored};
use crate::rollout::{Change, Registration, Rollout};

/// Reads an item as its kind does, and writes it again.
type Again = fn(Item) -> Result<Map<String, Value>, RecordError>;

fn again<T: Stored>(item: Item) -> Result<Map<String, Value>, RecordError> {
    let key = item.key.clone();
    typed::body(&key, &typed::parse::<T>(item)?.value)
}

/// Each kind with a key that it may have. The compiler does not know the list; the first test does.
fn readers() -> Vec<(&'static ItemKind, Again, Key)> {
    fn of<T: Stored>(partition: &str, sort: &str) -> (&'static ItemKind, Again, Key) {
        (T::ITEM, again::<T>, Key::new(partition, sort))
    }
    const TARGET: &str = "rt#123456789012/eu-west-1";
    const ROLLOUTS: &str = "rt#123456789012/eu-west-1#rollouts";
    const STATUS: &str = "rt#123456789012/eu-west-1#status";
    vec![
        of::<Head>("cfg#policy", "head"),
        of::<Written>("cfg#freeze", "object#Freeze#peak#sha256:00"),
        of::<Told>("cfg#freeze", "application#00000001"),
        of::<Command>("cmd#123456789012/eu-west-1", "2026-11-26T20:31:34.418Z-09f8cfe2"),
        of::<Answer>(TARGET, "answer#2026-11-26T20:31:34.418Z-09f8cfe2"),
        of::<Lease>(TARGET, "lease"),
        of::<TargetRecord>(TARGET, "target"),
        of::<Rollout>(ROLLOUTS, "rollout#quick-1"),
        of::<Change>(ROLLOUTS, "change#quick-1#00001"),
        of::<Registration>(ROLLOUTS, "registration#web:1#sha256:00"),
        of::<Hold>(ROLLOUTS, "hold#arn:aws:ecs:eu-west-1:123456789012:service/prod/api#no-host-pid#sha256:00"),
        of::<Kept>("rt#123456789012/eu-west-1#documents", "sha256:00"),
        of::<ServiceReport>("rt#123456789012/eu-west-1#reports#0f", "arn:aws:ecs:eu-west-1:123456789012:cluster/prod"),
        of::<PlannedStandalone>("rt#123456789012/eu-west-1#standalone", "arn:aws:ecs:r:1:task-definition/odd:1#-"),
        of::<PolicyStatus>(STATUS, "Policy#no-host-pid"),
        of::<BindingStatus>(STATUS, "Binding#enforce"),
        of::<WaiverStatus>(STATUS, "Waiver#agent"),
        of::<ClusterStatus>(STATUS, "Cluster#prod"),
        of::<Event>("rt#123456789012/eu-west-1#events", "Change/quick-1/00001#00000001"),
        of::<TargetId>("rt#targets", "123456789012/eu-west-1"),
    ]
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records")
}

/// The fixtures of one shape of a kind: `NAME-SHAPE.json`, or several `NAME-SHAPE-WHAT.json`.
fn fixtures(kind: &ItemKind, schema: u32) -> Vec<(String, Map<String, Value>)> {
    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let stem = format!("{}-{schema}", kind.name);
    let mut names: Vec<String> =
        files.filter(|file| file.strip_prefix(&stem).is_some_and(|rest| rest.starts_with(['.', '-']))).collect();
    names.sort();
    let read = |name: String| {
        let text = std::fs::read_to_string(folder().join(&name)).unwrap();
        (name, serde_json::from_str(&text).unwrap())
    };
    names.into_iter().map(read).collect()
}

#[test]
fn every_kind_of_item_is_on_the_list_with_its_key() {
    let kinds: Vec<&str> = readers().iter().map(|(kind, ..)| kind.name).collect();
    assert_eq!(kinds, ITEMS.iter().map(|kind| kind.name).collect::<Vec<_>>());
    for (kind, _, key) in readers() {
        assert!(kind.lives_at(&key), "{kind:?} at {key:?}");
        let others = ITEMS.iter().filter(|other| other.name != kind.name && other.lives_at(&key));
        assert_eq!(others.map(|other| other.name).collect::<Vec<_>>(), Vec::<&str>::new(), "at {key:?}");
    }
}

#[test]
fn every_shape_that_was_ever_written_is_read_whole() {
    for (kind, again, key) in readers() {
        for schema in 1..=kind.schema {
            let fixtures = fixtures(kind, schema);
            assert!(!fixtures.is_empty(), "there is no fixture {}-{schema}", kind.name);
            for (name, body) in fixtures {
                let item = Item { key: key.clone(), version: 1, body: body.clone() };
                let written = again(item).unwrap_or_else(|error| panic!("{name}: {error}"));
                is_kept(&name, "", &Value::Object(body), &Value::Object(written));
            }
        }
    }
}

/// Nothing that was there is gone or says something else; there may be more.
fn is_kept(file: &str, at: &str, before: &Value, after: &Value) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (member, value) in before {
                let found = after.get(member).unwrap_or_else(|| panic!("{file}: {at}/{member} is gone"));
                is_kept(file, &format!("{at}/{member}"), value, found);
            }
        }
        (before, after) => assert_eq!(before, after, "{file}: {at}"),
    }
}

#[test]
fn an_item_of_a_later_plimsoll_is_refused_by_name_and_shape() {
    for (kind, again, key) in readers() {
        let (_, mut body) = fixtures(kind, kind.schema).remove(0);
        body.insert("schema".to_owned(), json!(kind.schema + 1));
        let error = again(Item { key: key.clone(), version: 1, body: body.clone() }).unwrap_err();
        let told = format!("has shape {}, and this plimsoll knows shapes up to {}", kind.schema + 1, kind.schema);
        assert!(error.to_string().contains(&told), "{error}");
        assert!(error.to_string().contains(&key.sort), "{error}");
        body.insert("schema".to_owned(), json!("one"));
        assert!(matches!(again(Item { key, version: 1, body }), Err(RecordError::Shape { .. })), "{}", kind.name);
    }
}

#[tokio::test]
async fn what_is_written_names_its_shape() {
    let store = EmbeddedStore::in_memory().unwrap();
    let target = TargetId { account: "123456789012".to_owned(), region: "eu-west-1".to_owned() };
    let (_, body) = fixtures(&LEASE, 1).remove(0);
    let lease: Lease = serde_json::from_value(Value::Object(body)).unwrap();
    Leases::of(&store, &target).write(&lease, None).await.unwrap();
    let key = Key::new("rt#123456789012/eu-west-1", "lease");
    let kept = store.get(std::slice::from_ref(&key)).await.unwrap().remove(0).unwrap();
    assert_eq!(kept.body["schema"], json!(1));
    let tomorrow = Map::from_iter([("schema".to_owned(), json!(2)), ("heldBy".to_owned(), json!("x"))]);
    store.put(&key, &tomorrow, Expect::Any, None).await.unwrap();
    assert!(matches!(Leases::of(&store, &target).read().await, Err(RecordError::Newer { schema: 2, known: 1, .. })));
}

/// The rows of the tables at the head of `records`, as cells.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = include_str!("../mod.rs");
    let (_, table) = text.split_once(heading).unwrap_or_else(|| panic!("there is no table {heading:?}"));
    let lines = table.lines().skip(2).map_while(|line| line.strip_prefix("//! | "));
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().replace('`', "")).collect();
    lines.map(cells).collect()
}

fn thousands(number: usize) -> String {
    if number == MAX_BODY_BYTES {
        return "350 KiB".to_owned();
    }
    let digits = number.to_string();
    match digits.len().checked_sub(3).filter(|head| *head > 0) {
        Some(head) => format!("{},{}", &digits[..head], &digits[head..]),
        None => digits,
    }
}

#[test]
fn the_tables_at_the_head_of_the_module_say_what_is_so() {
    let said = rows("| item | partition |");
    let is: Vec<Vec<String>> = ITEMS
        .iter()
        .map(|kind| {
            let units = |bytes| ItemKind::write_units(bytes).to_string();
            let (typical, largest) = (thousands(kind.typical), thousands(kind.largest));
            let cost = format!("{} to {}", units(kind.typical), units(kind.largest));
            [kind.name, kind.partition, kind.sort, &typical, &largest, &cost, ""].map(ToOwned::to_owned).to_vec()
        })
        .collect();
    for (said, is) in said.iter().zip(&is) {
        assert_eq!(said, is, "as it should be: | {} |", is.join(" | "));
    }
    assert_eq!(said.len(), is.len());
    let told = rows("| item | what it is |");
    assert_eq!(
        told.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(),
        ITEMS.iter().map(|kind| kind.name).collect::<Vec<_>>()
    );
    for row in told {
        assert!(row.len() == 5 && row[..4].iter().all(|cell| cell.len() > 3), "{row:?}");
    }
}

#[test]
fn a_usual_item_is_no_larger_than_is_said() {
    for kind in ITEMS {
        for (name, body) in fixtures(kind, kind.schema) {
            let bytes = Value::Object(body).to_string().len();
            assert!(bytes <= kind.typical, "{name}: {bytes} bytes, and {} are said to be usual", kind.typical);
        }
        assert!(kind.typical <= kind.largest && kind.largest <= MAX_BODY_BYTES, "{kind:?}");
    }
}

fn is_within<T: Stored>(what: &str, value: &T) {
    let (_, _, key) = readers().into_iter().find(|(kind, ..)| *kind == T::ITEM).unwrap();
    let bytes = Value::Object(typed::body(&key, value).unwrap()).to_string().len();
    assert!(bytes <= T::ITEM.largest, "{what}: {bytes} bytes, and at most {} are said", T::ITEM.largest);
    // A bound that is never come near says nothing.
    assert!(bytes * 3 >= T::ITEM.largest, "{what}: {bytes} bytes only, where {} are said", T::ITEM.largest);
}

/// What grows without a bound of its own is bounded by the store, which refuses more (the store contract,
/// `a_larger_body_is_refused`). These have bounds of their own.
#[test]
fn the_largest_item_is_no_larger_than_is_said() {
    let now: Timestamp = "2026-01-05T09:05:00.123Z".parse().unwrap();
    let tally = PolicyTally {
        matched: 9_999_999,
        passing: 9_999_999,
        failing: 9_999_999,
        waived: 9_999_999,
        unknown: 9_999_999,
        older_tasks: 9_999_999,
        fixable: 9_999_999,
        would_change: 9_999_999,
        blocked: 9_999_999,
        deferred: 9_999_999,
        blocked_by: crate::model::ReasonCode::ALL.iter().map(|code| (*code, 9_999_999)).collect(),
    };
    let mut days = Days::default();
    for day in 0..200 {
        days.record(&tally, true, now + std::time::Duration::from_secs(day * 24 * 3600));
    }
    let judged = Judged { generation: Some(u64::MAX), spec: format!("sha256:{}", "0".repeat(64)) };
    let status = PolicyStatus { days, ..PolicyStatus::after(None, judged, &tally, true, now) };
    is_within("a policy of ninety days", &status);
    assert_eq!(Day::of(now).to_string(), "2026-01-05");
    let mut cluster = None;
    for day in 0..200 {
        let at = now + std::time::Duration::from_secs(day * 24 * 3600);
        cluster = Some(ClusterStatus::after(cluster.as_ref(), &tally, true, at));
    }
    is_within("a cluster of ninety days", &cluster.unwrap());

    let lease = Lease {
        // A host name is at most 253 characters (RFC 1035).
        holder: Some(format!("{}:4194304:{}", "h".repeat(253), "f".repeat(32))),
        epoch: u64::MAX,
        length_millis: u64::MAX,
        renewed_at: now,
    };
    is_within("a lease", &lease);
    let condition = Condition::of(&[], "Matched", (ConditionStatus::Unknown, "NothingMatched", "x".repeat(120)), now);
    let tally = crate::plan::BindingTally { policies: usize::MAX, resources: usize::MAX };
    let conditions = vec![condition];
    is_within("a Binding", &BindingStatus { schema: 1, generation: Some(u64::MAX), tally, conditions });
    let seen = SeenWaiver {
        term: Term::Expiring,
        expires_at: now,
        covers: usize::MAX,
        resources: usize::MAX,
        need: Need::Needed,
    };
    let judged = Judged { generation: Some(u64::MAX), spec: String::new() };
    is_within("a Waiver", &WaiverStatus::after(None, ("agent", &judged), seen, now).0);
}

#[tokio::test]
async fn the_largest_document_that_ecs_takes_is_kept() {
    // Noise, which no compression makes smaller: hashes of numbers, up to the 64 KiB that ECS takes.
    let noise: String =
        (0..).map(|number: u32| crate::model::document::hash(&json!(number))[7..].to_owned()).take(1_020).collect();
    let document = Map::from_iter([("family".to_owned(), json!("web")), ("command".to_owned(), json!(noise))]);
    assert!(Value::Object(document.clone()).to_string().len() > 65_000);
    let store = EmbeddedStore::in_memory().unwrap();
    let target = TargetId { account: "123456789012".to_owned(), region: "eu-west-1".to_owned() };
    let hash = Documents::of(&store, &target).keep(&document).await.unwrap();
    assert_eq!(Documents::of(&store, &target).get(&hash).await.unwrap(), Ok(document));
    let page = store.query("rt#123456789012/eu-west-1#documents", "", None).await.unwrap();
    let bytes = Value::Object(page.items[0].body.clone()).to_string().len();
    // Hexadecimal noise has half a byte of entropy a character; even none at all would be as large as 64 KiB in hex,
    // and gzip adds less than 1 KB to what it cannot press (RFC 1951, stored blocks).
    assert!(bytes <= DOCUMENT.largest && 2 * 65_536 + 2_000 <= DOCUMENT.largest, "{bytes}");
}
