//! What every [`Store`] owes. The claims are given two handles on the same store: they may be one, two connections,
//! or two processes' worth.

use std::fmt::Debug;

use futures::future::{BoxFuture, join_all, try_join_all};
use plimsoll::model::Timestamp;
use plimsoll::ports::StoreError;
use plimsoll::ports::store::{Expect, Item, Key, MAX_BODY_BYTES, Store};
use serde_json::{Map, Value, json};

use super::applied::who_applied_and_who_deleted_is_kept;
use super::days::ninety_days_of_a_cluster_are_kept_beside_those_of_policies;

/// A claim that one implementation is known not to keep, and why that is no fault of ours.
pub(super) struct Deviation {
    pub(super) claim: &'static str,
    pub(super) reason: &'static str,
}

type Claim = for<'a> fn(&'a dyn Store, &'a dyn Store) -> BoxFuture<'a, ()>;

macro_rules! claims {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), (|one, other| Box::pin($name(one, other))) as Claim)),*] };
}

/// Checks every claim but the known deviations. The store must be empty of partitions that start with `cfg#`.
pub(super) async fn store_contract(one: &dyn Store, other: &dyn Store, deviations: &[Deviation]) {
    let claims = claims![
        what_was_never_written_is_none,
        what_is_written_through_one_handle_is_read_through_the_other,
        absent_creates_and_refuses_what_is_there,
        a_version_is_written_over_only_while_it_is_current,
        a_version_of_nothing_conflicts_and_creates_nothing,
        any_writes_over_whatever_is_there,
        each_write_counts_one_version,
        a_deleted_item_starts_at_version_one_again,
        a_delete_happens_only_as_expected,
        deleting_nothing_is_no_error_unless_something_was_expected,
        a_refused_write_changes_nothing,
        a_body_comes_back_as_it_was_written,
        an_empty_body_is_a_body,
        the_same_sort_key_lives_in_each_partition,
        a_get_answers_in_the_order_asked,
        a_get_of_a_hundred_keys_is_answered,
        a_get_of_large_items_is_answered_whole,
        a_get_of_nothing_is_nothing,
        a_query_is_in_bytewise_order_and_whole,
        a_query_of_large_items_is_whole,
        a_query_goes_on_after_any_key,
        a_query_sees_only_its_prefix,
        a_query_of_nothing_ends_at_once,
        the_largest_body_is_kept,
        the_largest_body_is_written_over,
        a_larger_body_is_refused,
        of_many_creations_one_wins,
        concurrent_increments_lose_nothing,
        an_item_stays_until_it_expires,
        an_expired_item_is_whole_or_gone,
        a_write_without_expiry_takes_the_expiry_away,
        who_applied_and_who_deleted_is_kept,
        ninety_days_of_a_cluster_are_kept_beside_those_of_policies,
        many_are_written_as_each_would_be,
    ];
    for deviation in deviations {
        let known = claims.iter().any(|(name, _)| *name == deviation.claim);
        assert!(known, "`{}` is no claim; it was excused because {}", deviation.claim, deviation.reason);
    }
    for (name, claim) in claims {
        if deviations.iter().any(|deviation| deviation.claim == name) {
            continue;
        }
        eprintln!("{}: {name}", one.describe());
        claim(one, other).await;
    }
}

fn key(claim: &str, sort: &str) -> Key {
    Key::new(format!("cfg#contract#{claim}"), sort)
}

fn body(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("not an object: {other}"),
    }
}

fn number(n: u64) -> Map<String, Value> {
    body(json!({ "n": n }))
}

async fn put(store: &dyn Store, key: &Key, body: &Map<String, Value>, expect: Expect) -> Result<u64, StoreError> {
    store.put(key, body, expect, None).await
}

async fn create(store: &dyn Store, key: &Key, n: u64) {
    assert_eq!(put(store, key, &number(n), Expect::Absent).await, Ok(1));
}

async fn get(store: &dyn Store, key: &Key) -> Option<Item> {
    let mut found = store.get(std::slice::from_ref(key)).await.unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn item(key: &Key, version: u64, body: Map<String, Value>) -> Item {
    Item { key: key.clone(), version, body }
}

#[track_caller]
fn assert_conflict<T: Debug>(result: Result<T, StoreError>, key: &Key) {
    match result {
        Err(StoreError::Conflict { key: named }) => assert_eq!(&named, key),
        other => panic!("wanted a conflict on {key:?}, got {other:?}"),
    }
}

/// Every item of a query, page after page.
async fn all(store: &dyn Store, partition: &str, prefix: &str) -> Vec<Item> {
    let (mut items, mut after) = (Vec::new(), None::<String>);
    for _ in 0..10_000 {
        let page = store.query(partition, prefix, after.as_deref()).await.unwrap();
        items.extend(page.items);
        match page.next {
            Some(next) => after = Some(next),
            None => return items,
        }
    }
    panic!("a query of `{partition}`/`{prefix}` does not end");
}

fn sorts(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.key.sort.as_str()).collect()
}

async fn what_was_never_written_is_none(one: &dyn Store, _: &dyn Store) {
    assert_eq!(get(one, &key("never", "a")).await, None);
}

async fn what_is_written_through_one_handle_is_read_through_the_other(one: &dyn Store, other: &dyn Store) {
    let key = key("handles", "a");
    create(one, &key, 1).await;
    assert_eq!(get(other, &key).await, Some(item(&key, 1, number(1))));
    assert_eq!(put(other, &key, &number(2), Expect::Version(1)).await, Ok(2));
    assert_eq!(get(one, &key).await, Some(item(&key, 2, number(2))));
}

async fn absent_creates_and_refuses_what_is_there(one: &dyn Store, other: &dyn Store) {
    let key = key("absent", "a");
    create(one, &key, 1).await;
    assert_conflict(put(one, &key, &number(2), Expect::Absent).await, &key);
    assert_conflict(put(other, &key, &number(1), Expect::Absent).await, &key);
    assert_eq!(get(one, &key).await, Some(item(&key, 1, number(1))));
}

async fn a_version_is_written_over_only_while_it_is_current(one: &dyn Store, other: &dyn Store) {
    let key = key("version", "a");
    create(one, &key, 1).await;
    assert_eq!(put(other, &key, &number(2), Expect::Version(1)).await, Ok(2));
    assert_conflict(put(one, &key, &number(3), Expect::Version(1)).await, &key);
    assert_conflict(put(one, &key, &number(3), Expect::Version(3)).await, &key);
    assert_eq!(get(one, &key).await, Some(item(&key, 2, number(2))));
}

async fn a_version_of_nothing_conflicts_and_creates_nothing(one: &dyn Store, _: &dyn Store) {
    let key = key("version-of-nothing", "a");
    assert_conflict(put(one, &key, &number(1), Expect::Version(1)).await, &key);
    assert_conflict(put(one, &key, &number(1), Expect::Version(0)).await, &key);
    assert_eq!(get(one, &key).await, None);
}

async fn any_writes_over_whatever_is_there(one: &dyn Store, _: &dyn Store) {
    let key = key("any", "a");
    assert_eq!(put(one, &key, &number(1), Expect::Any).await, Ok(1));
    assert_eq!(put(one, &key, &number(7), Expect::Any).await, Ok(2));
    assert_eq!(get(one, &key).await, Some(item(&key, 2, number(7))));
}

async fn each_write_counts_one_version(one: &dyn Store, _: &dyn Store) {
    let key = key("count", "a");
    create(one, &key, 0).await;
    for version in 1..20 {
        let expect = if version % 2 == 0 { Expect::Any } else { Expect::Version(version) };
        assert_eq!(put(one, &key, &number(version), expect).await, Ok(version + 1));
    }
    // Writing what is there already is a write.
    assert_eq!(put(one, &key, &number(19), Expect::Version(20)).await, Ok(21));
}

async fn a_deleted_item_starts_at_version_one_again(one: &dyn Store, _: &dyn Store) {
    let key = key("again", "a");
    create(one, &key, 1).await;
    assert_eq!(put(one, &key, &number(2), Expect::Any).await, Ok(2));
    one.delete(&key, Expect::Version(2)).await.unwrap();
    assert_eq!(get(one, &key).await, None);
    create(one, &key, 3).await;
    assert_eq!(get(one, &key).await, Some(item(&key, 1, number(3))));
}

async fn a_delete_happens_only_as_expected(one: &dyn Store, other: &dyn Store) {
    let key = key("delete", "a");
    create(one, &key, 1).await;
    assert_conflict(one.delete(&key, Expect::Version(2)).await, &key);
    assert_conflict(one.delete(&key, Expect::Absent).await, &key);
    assert_eq!(get(other, &key).await, Some(item(&key, 1, number(1))));
    assert_eq!(other.delete(&key, Expect::Version(1)).await, Ok(()));
    assert_eq!(get(one, &key).await, None);
    create(one, &key, 1).await;
    assert_eq!(one.delete(&key, Expect::Any).await, Ok(()));
    assert_eq!(get(one, &key).await, None);
}

async fn deleting_nothing_is_no_error_unless_something_was_expected(one: &dyn Store, _: &dyn Store) {
    let key = key("delete-nothing", "a");
    assert_eq!(one.delete(&key, Expect::Any).await, Ok(()));
    assert_eq!(one.delete(&key, Expect::Absent).await, Ok(()));
    assert_conflict(one.delete(&key, Expect::Version(1)).await, &key);
}

async fn a_refused_write_changes_nothing(one: &dyn Store, _: &dyn Store) {
    let key = key("refused", "a");
    let before = body(json!({ "kept": "whole", "member": 1 }));
    put(one, &key, &before, Expect::Absent).await.unwrap();
    assert_conflict(put(one, &key, &number(2), Expect::Absent).await, &key);
    assert_conflict(put(one, &key, &number(2), Expect::Version(9)).await, &key);
    assert_eq!(get(one, &key).await, Some(item(&key, 1, before)));
}

async fn a_body_comes_back_as_it_was_written(one: &dyn Store, other: &dyn Store) {
    let key = key("body", "a");
    let text = concat!(
        r#"{"z":"","a":null,"m":[],"list":["",null,[[]],{}],"yes":true,"#,
        r#""u64":18446744073709551615,"i64":-9223372036854775808,"float":0.1,"time":1763812800.123,"small":5e-324,"large":1e300,"#,
        r#""zero":0.0,"text":"\u0000\u001f\"\\ é 漢 😀 '; DROP TABLE items","Z":{"b":1,"a":2},"":"no name"}"#
    );
    let written: Map<String, Value> = serde_json::from_str(text).unwrap();
    put(one, &key, &written, Expect::Absent).await.unwrap();
    let found = get(other, &key).await.unwrap().body;
    // As text: `==` of objects does not see the order of their members, nor 0.0 from 0.
    assert_eq!(serde_json::to_string(&found).unwrap(), serde_json::to_string(&written).unwrap());
}

async fn an_empty_body_is_a_body(one: &dyn Store, _: &dyn Store) {
    let key = key("empty", "a");
    put(one, &key, &Map::new(), Expect::Absent).await.unwrap();
    assert_eq!(get(one, &key).await, Some(item(&key, 1, Map::new())));
}

async fn the_same_sort_key_lives_in_each_partition(one: &dyn Store, _: &dyn Store) {
    let (first, second) = (key("partition", "a"), key("partition2", "a"));
    create(one, &first, 1).await;
    create(one, &second, 2).await;
    one.delete(&first, Expect::Any).await.unwrap();
    assert_eq!(get(one, &second).await, Some(item(&second, 1, number(2))));
    assert_eq!(all(one, &first.partition, "").await, []);
}

async fn a_get_answers_in_the_order_asked(one: &dyn Store, _: &dyn Store) {
    let [a, b, missing] = ["a", "b", "missing"].map(|sort| key("order", sort));
    create(one, &a, 1).await;
    create(one, &b, 2).await;
    let asked = [b.clone(), missing.clone(), a.clone(), b.clone(), missing, a.clone(), a.clone()];
    let (a, b) = (Some(item(&a, 1, number(1))), Some(item(&b, 1, number(2))));
    let answered = one.get(&asked).await.unwrap();
    assert_eq!(answered, [b.clone(), None, a.clone(), b, None, a.clone(), a]);
}

async fn a_get_of_a_hundred_keys_is_answered(one: &dyn Store, _: &dyn Store) {
    let keys: Vec<Key> = (0..100).map(|n| key("hundred", &format!("{n:03}"))).collect();
    for key in keys.iter().step_by(3) {
        create(one, key, 1).await;
    }
    let answered = one.get(&keys).await.unwrap();
    let there: Vec<bool> = answered.iter().map(Option::is_some).collect();
    assert_eq!(there, (0..100).map(|n| n % 3 == 0).collect::<Vec<_>>());
    for (key, answer) in keys.iter().zip(answered) {
        assert!(answer.is_none_or(|item| item.key == *key));
    }
    // More than one round trip's worth.
    let twice: Vec<Key> = keys.iter().chain(&keys).cloned().collect();
    assert_eq!(one.get(&twice).await.unwrap().iter().flatten().count(), 68);
}

async fn a_get_of_large_items_is_answered_whole(one: &dyn Store, _: &dyn Store) {
    // 60 × 300 KB is more than the 16 MB that DynamoDB answers at once: the rest comes back unprocessed.
    let keys: Vec<Key> = (0..60).map(|n| key("large-get", &format!("{n:03}"))).collect();
    let large = body(json!({ "text": "x".repeat(300 * 1024) }));
    for key in &keys {
        put(one, key, &large, Expect::Absent).await.unwrap();
    }
    let answered = one.get(&keys).await.unwrap();
    for (key, answer) in keys.iter().zip(answered) {
        assert!(answer == Some(item(key, 1, large.clone())), "{key:?} is not answered");
    }
    for key in &keys {
        one.delete(key, Expect::Any).await.unwrap();
    }
}

async fn a_get_of_nothing_is_nothing(one: &dyn Store, _: &dyn Store) {
    assert_eq!(one.get(&[]).await, Ok(Vec::new()));
}

async fn a_query_is_in_bytewise_order_and_whole(one: &dyn Store, other: &dyn Store) {
    // The bytewise order of UTF-8 is not that of UTF-16 (U+FF5E < U+1F600), nor of any language.
    let odd =
        ["p~", "p%", "p_", "p%a", "p\u{1}", "p", "p é", "p\u{ff5e}", "p\u{1f600}", "pA", "pa", "p#", "p/", "p\"'"];
    let many: Vec<String> = (0..2_500).map(|n| format!("p#{:05}", (n * 7919) % 2_500)).collect();
    let mut wanted: Vec<&str> = odd.into_iter().chain(many.iter().map(String::as_str)).collect();
    for chunk in wanted.chunks(50) {
        let keys: Vec<Key> = chunk.iter().map(|sort| key("query", sort)).collect();
        join_all(keys.iter().map(|key| create(one, key, 1))).await;
    }
    wanted.sort_unstable();
    let partition = key("query", "").partition;
    assert_eq!(sorts(&all(other, &partition, "").await), wanted);
    assert_eq!(sorts(&all(other, &partition, "p").await), wanted);
    let under: Vec<&str> = wanted.into_iter().filter(|sort| sort.starts_with("p#")).collect();
    assert_eq!(under.len(), 2_501);
    assert_eq!(sorts(&all(other, &partition, "p#").await), under);
}

async fn a_query_of_large_items_is_whole(one: &dyn Store, _: &dyn Store) {
    // DynamoDB ends a page at 1 MB.
    let large = body(json!({ "text": "é".repeat(150 * 1024) }));
    let keys: Vec<Key> = (0..12).map(|n| key("large-query", &format!("{n:02}"))).collect();
    for key in &keys {
        put(one, key, &large, Expect::Absent).await.unwrap();
    }
    let found = all(one, &keys[0].partition, "").await;
    assert_eq!(sorts(&found), keys.iter().map(|key| key.sort.as_str()).collect::<Vec<_>>());
    assert!(found.iter().all(|item| item.body == large));
    let first = one.query(&keys[0].partition, "", None).await.unwrap();
    assert!(first.next.is_some() && first.items.len() < 12, "3.6 MB came as one page");
}

async fn a_query_goes_on_after_any_key(one: &dyn Store, _: &dyn Store) {
    for sort in ["a1", "a3", "a5", "b"] {
        create(one, &key("after", sort), 1).await;
    }
    let partition = key("after", "").partition;
    for (prefix, after, wanted) in [
        ("a", "a3", &["a5"][..]),
        // A key that is not there, or no longer.
        ("a", "a2", &["a3", "a5"]),
        ("a", "a5", &[]),
        // Before and behind all that the prefix names.
        ("a", "A", &["a1", "a3", "a5"]),
        ("a", "a", &["a1", "a3", "a5"]),
        ("a", "b", &[]),
        ("b", "a9", &["b"]),
        ("", "a5", &["b"]),
    ] {
        let page = one.query(&partition, prefix, Some(after)).await.unwrap();
        assert_eq!((sorts(&page.items), page.next), (wanted.to_vec(), None), "`{prefix}` after `{after}`");
    }
}

async fn a_query_sees_only_its_prefix(one: &dyn Store, _: &dyn Store) {
    let all_sorts = ["a", "a#", "a#b", "a#b#c", "a#c", "a$", "A#b", "ab", "a%b", "a_b", "a\u{10ffff}", "a\u{10ffff}b"];
    for sort in all_sorts {
        create(one, &key("prefix", sort), 1).await;
    }
    let partition = key("prefix", "").partition;
    for (prefix, wanted) in [
        ("a#", &["a#", "a#b", "a#b#c", "a#c"][..]),
        ("a#b", &["a#b", "a#b#c"]),
        ("a%", &["a%b"]),
        ("a_", &["a_b"]),
        ("A", &["A#b"]),
        ("a\u{10ffff}", &["a\u{10ffff}", "a\u{10ffff}b"]),
        ("b", &[]),
        ("a#b#c#d", &[]),
    ] {
        assert_eq!(sorts(&all(one, &partition, prefix).await), wanted, "`{prefix}`");
    }
}

async fn a_query_of_nothing_ends_at_once(one: &dyn Store, _: &dyn Store) {
    let page = one.query("cfg#contract#nobody", "a", None).await.unwrap();
    assert_eq!((page.items, page.next), (Vec::new(), None));
}

/// A body of exactly `bytes` bytes of JSON.
fn sized(bytes: usize) -> Map<String, Value> {
    let body = body(json!({ "text": "x".repeat(bytes - r#"{"text":""}"#.len()) }));
    assert_eq!(serde_json::to_string(&body).unwrap().len(), bytes);
    body
}

async fn the_largest_body_is_kept(one: &dyn Store, other: &dyn Store) {
    let key = key("largest", "a");
    let largest = sized(MAX_BODY_BYTES);
    assert_eq!(put(one, &key, &largest, Expect::Absent).await, Ok(1));
    assert!(get(other, &key).await == Some(item(&key, 1, largest)));
}

async fn the_largest_body_is_written_over(one: &dyn Store, other: &dyn Store) {
    let key = key("largest-twice", "a");
    let largest = sized(MAX_BODY_BYTES);
    assert_eq!(put(one, &key, &largest, Expect::Absent).await, Ok(1));
    assert_eq!(put(one, &key, &largest, Expect::Version(1)).await, Ok(2));
    assert!(get(other, &key).await == Some(item(&key, 2, largest)));
}

async fn a_larger_body_is_refused(one: &dyn Store, _: &dyn Store) {
    let key = key("larger", "a");
    let bytes = MAX_BODY_BYTES + 1;
    let refused = StoreError::TooLarge { key: key.clone(), bytes };
    assert_eq!(put(one, &key, &sized(bytes), Expect::Any).await, Err(refused));
    assert_eq!(get(one, &key).await, None);
}

async fn of_many_creations_one_wins(one: &dyn Store, other: &dyn Store) {
    let key = key("race", "a");
    let bodies: Vec<_> = (0..8).map(number).collect();
    let attempts = bodies.iter().enumerate().map(|(n, body)| {
        let store = if n % 2 == 0 { one } else { other };
        put(store, &key, body, Expect::Absent)
    });
    let outcomes = join_all(attempts).await;
    let winners: Vec<usize> = (0..8).filter(|n| outcomes[*n] == Ok(1)).collect();
    let losers = outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::Conflict { .. }))).count();
    assert_eq!((winners.len(), losers), (1, 7), "{outcomes:?}");
    assert_eq!(get(one, &key).await, Some(item(&key, 1, bodies[winners[0]].clone())));
}

async fn concurrent_increments_lose_nothing(one: &dyn Store, other: &dyn Store) {
    const TASKS: u64 = 8;
    const EACH: u64 = 10;
    let key = key("increments", "a");
    create(one, &key, 0).await;
    let increment = async |store: &dyn Store| loop {
        let now = get(store, &key).await.unwrap();
        let n = now.body["n"].as_u64().unwrap();
        match put(store, &key, &number(n + 1), Expect::Version(now.version)).await {
            Ok(version) => {
                assert_eq!(version, now.version + 1);
                return;
            }
            Err(StoreError::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    };
    let tasks = (0..TASKS).map(async |task| {
        for _ in 0..EACH {
            increment(if task % 2 == 0 { one } else { other }).await;
        }
        Ok::<(), StoreError>(())
    });
    try_join_all(tasks).await.unwrap();
    let wanted = item(&key, TASKS * EACH + 1, number(TASKS * EACH));
    assert_eq!(get(one, &key).await, Some(wanted));
}

/// Far in the future of whoever runs this: 2200-01-01.
const LATER: Timestamp = Timestamp::from_millis(7_258_118_400_000);
/// Long past: 2001-09-09.
const LONG_AGO: Timestamp = Timestamp::from_millis(1_000_000_000_000);

async fn an_item_stays_until_it_expires(one: &dyn Store, other: &dyn Store) {
    let key = key("later", "a");
    assert_eq!(one.put(&key, &number(1), Expect::Absent, Some(LATER)).await, Ok(1));
    assert_eq!(get(other, &key).await, Some(item(&key, 1, number(1))));
    assert_eq!(sorts(&all(other, &key.partition, "").await), ["a"]);
}

async fn an_expired_item_is_whole_or_gone(one: &dyn Store, other: &dyn Store) {
    let key = key("long-ago", "a");
    assert_eq!(one.put(&key, &number(1), Expect::Absent, Some(LONG_AGO)).await, Ok(1));
    let found = get(other, &key).await;
    assert!(found.is_none() || found == Some(item(&key, 1, number(1))), "{found:?}");
    // And the key is of use again, whichever it is.
    assert!(put(other, &key, &number(2), Expect::Any).await.is_ok());
    assert_eq!(get(one, &key).await.map(|item| item.body), Some(number(2)));
}

async fn a_write_without_expiry_takes_the_expiry_away(one: &dyn Store, _: &dyn Store) {
    let key = key("no-longer", "a");
    assert_eq!(one.put(&key, &number(1), Expect::Absent, Some(LATER)).await, Ok(1));
    assert_eq!(put(one, &key, &number(2), Expect::Version(1)).await, Ok(2));
    assert_eq!(get(one, &key).await, Some(item(&key, 2, number(2))));
}

async fn many_are_written_as_each_would_be(one: &dyn Store, other: &dyn Store) {
    let all: Vec<Key> = (0..150).map(|at| key("many", &format!("{at:03}"))).collect();
    let again = &all[7];
    create(one, again, 7).await;
    let items: Vec<(Key, Map<String, Value>)> =
        all.iter().zip(1000..).map(|(key, n)| (key.clone(), number(n))).collect();
    one.put_all(&items).await.unwrap();
    for (key, body) in &items {
        assert_eq!(get(other, key).await, Some(item(key, if key == again { 2 } else { 1 }, body.clone())));
    }
    one.put_all(&[]).await.unwrap();
    let large = (key("many", "large"), sized(MAX_BODY_BYTES + 1));
    assert!(matches!(one.put_all(&[large]).await, Err(StoreError::TooLarge { .. })));
}
