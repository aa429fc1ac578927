//! Names, reasons and messages that are written to break out of a page.

use std::sync::Arc;

use futures::future::BoxFuture;
use plimsoll::model::Timestamp;
use plimsoll::ports::store::{Expect, Item, Key, Page};
use plimsoll::ports::{Store, StoreError};
use serde_json::{Map, Value};

use super::site::{Fleet, Served};

/// Ends a text, an attribute and a tag, opens others, and turns the order of writing.
const PAYLOAD: &str =
    "\u{202e}\u{1b}[2J'\"></title></script><script>alert(1)</script><img src=x onerror=alert(1)>&lt;{{7*7}}";

/// Members whose text people, ECS or AWS choose.
const FREE: [&str; 22] = [
    "message",
    "reason",
    "title",
    "description",
    "owner",
    "ticket",
    "check",
    "by",
    "what",
    "container",
    "path",
    "strategyName",
    "name",
    "holder",
    "policy",
    "waiver",
    "require",
    "strategy",
    "plan",
    "taskDefinition",
    "rollout",
    "subject",
];

/// A store whose every text that is anybody's choice says [`PAYLOAD`] too.
struct Hostile(Arc<dyn Store>);

fn spoil(value: &mut Value, name: &str) {
    match value {
        Value::String(text) if FREE.contains(&name) => text.push_str(PAYLOAD),
        Value::Object(members) => {
            // Names of policies are names of members here.
            if name == "verdicts" || name == "blockedBy" {
                if name == "verdicts" {
                    let spoiled =
                        std::mem::take(members).into_iter().map(|(name, value)| (format!("{name}{PAYLOAD}"), value));
                    *members = spoiled.collect();
                }
                return;
            }
            members.iter_mut().for_each(|(name, value)| spoil(value, name));
        }
        Value::Array(items) => {
            // Lists of names, such as policies, bindings, exempt.
            let plain = ["policies", "bindings", "exempt", "controls"].contains(&name);
            for item in items {
                match item {
                    Value::String(text) if plain => text.push_str(PAYLOAD),
                    item => spoil(item, name),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn spoiled(mut item: Item) -> Item {
    // `Policy#NAME`: the names that the overview lists.
    if item.key.partition.ends_with("#status") {
        item.key.sort.push_str(PAYLOAD);
    }
    // A head names its objects by hash: spoiled, it would only be unreadable. Specs have a grammar of their own.
    let skipped = item.key.sort == "head";
    if !skipped {
        item.body.iter_mut().for_each(|(name, value)| spoil(value, name));
    }
    item
}

impl Store for Hostile {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        Box::pin(async move { Ok(self.0.get(keys).await?.into_iter().map(|item| item.map(spoiled)).collect()) })
    }
    fn put<'a>(
        &'a self,
        key: &'a Key,
        body: &'a Map<String, Value>,
        expect: Expect,
        expires: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.0.put(key, body, expect, expires)
    }
    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.delete(key, expect)
    }
    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            let page = self.0.query(partition, prefix, after).await?;
            Ok(Page { items: page.items.into_iter().map(spoiled).collect(), next: page.next })
        })
    }
    fn describe(&self) -> String {
        self.0.describe()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_becomes_markup_wherever_it_stands() {
    let fleet = Fleet::in_mid_rollout().await;
    let site = Served::with(&fleet, Arc::new(Hostile(fleet.store.clone()))).await;
    let mut pages = site.crawl().await;
    let asked = "%3Cscript%3Ealert(1)%3C/script%3E%22%27%3E%3Cimg%20src=x%20onerror=alert(1)%3E";
    for path in [
        "/services?q=",
        "/findings?q=",
        "/events?q=",
        "/services?outcome=",
        "/findings?policy=",
        "/services?page=",
        "/service?arn=",
        "/policy?name=",
        "/rollout?target=1&name=",
        "/",
    ] {
        let path = format!("{path}{asked}");
        pages.insert(path.clone(), site.get(&path).await);
    }
    let mut escaped = 0;
    for (path, page) in &pages {
        assert!(page.status < 500, "{path}: {page:?}");
        for forbidden in ["<script>", "<img src=x", "alert(1)</script>", "\u{202e}", "\u{1b}", "{{7*7}}</title>"] {
            assert!(!page.body.contains(forbidden), "{forbidden:?} on {path}");
        }
        assert_eq!(page.body.matches("<script").count(), 1, "{path}");
        assert_eq!(page.body.matches("</script").count(), 1, "{path}");
        // A chart has a title of its own.
        assert_eq!(page.body.matches("</title").count(), page.body.matches("<title").count(), "{path}");
        escaped += page.body.matches("&lt;img src=x onerror=alert(1)&gt;").count();
    }
    // They were there to be shown.
    for (kind, least) in
        [("/", 20), ("/services", 30), ("/findings", 100), ("/rollouts", 2), ("/waivers", 4), ("/events", 40)]
    {
        let shown = pages[kind].body.matches("&lt;img src=x").count();
        assert!(shown >= least, "only {shown} on {kind}");
    }
    assert!(escaped > 1000, "{escaped}");
}
