//! The pages as they come over the wire.

use std::sync::Arc;

use plimsoll::model::{TargetId, Timestamp};
use plimsoll::plan::PlanOutcome;
use plimsoll::ports::store::{Expect, Item, Key, Page};
use plimsoll::ports::{Store, StoreError};
use plimsoll::records::campaign::Campaigns;
use plimsoll::records::history;
use plimsoll::records::reports::Reports;
use plimsoll::records::statuses::{ClusterStatus, Statuses};
use plimsoll::records::targets::Targets;
use serde_json::{Map, Value};

use super::site::{Answer, Fleet, Served, ask};

const CONTENT: [&str; 6] = ["/", "/services", "/findings", "/rollouts", "/waivers", "/events"];

#[tokio::test(flavor = "multi_thread")]
async fn every_link_leads_to_a_page_and_every_page_has_what_readers_go_by() {
    let fleet = Fleet::in_mid_rollout().await;
    let site = Served::of(&fleet).await;
    let pages = site.crawl().await;
    for kind in ["/service?", "/policy?", "/cluster?", "/rollout?", "/services?outcome", "/findings?policy"] {
        assert!(pages.keys().any(|path| path.starts_with(kind)), "{kind} in {:#?}", pages.keys());
    }
    for (path, page) in &pages {
        assert_eq!(page.status, 200, "{path}");
        for once in [
            "<html lang=\"en\">",
            "<main id=\"main\"",
            "<h1",
            "<title>",
            "<nav aria-label=\"Main\">",
            "class=\"skip\" href=\"#main\"",
        ] {
            assert_eq!(page.body.matches(once).count(), 1, "{once} on {path}");
        }
        assert_eq!(page.body.matches("<table").count(), page.body.matches("<caption>").count(), "{path}");
        assert_eq!(
            page.body.matches("<svg").count(),
            page.body.matches("aria-hidden=\"true\"").count() + page.body.matches("role=\"img\"").count(),
            "{path}"
        );
        // What the policy of contents forbids would only be seen in a browser's console.
        for forbidden in [" style=", "<style", "javascript:", " onclick=", "http://", "https://"] {
            assert!(!page.body.contains(forbidden), "{forbidden} on {path}");
        }
        let ids: Vec<&str> = page.body.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let unique: std::collections::BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len(), "an id twice on {path}: {ids:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_say_what_the_records_say() {
    let fleet = Fleet::in_mid_rollout().await;
    let site = Served::of(&fleet).await;
    let reports = Reports::of(fleet.store.as_ref(), &fleet.target).list().await.unwrap();
    let services = || reports.values().filter(|report| report.resource.resource.contains(":service/"));
    let overview = site.get("/").await.body;
    assert!(overview.contains(&format!("<strong>{}</strong> services", services().count())), "{overview}");
    for outcome in [PlanOutcome::Blocked, PlanOutcome::Compliant, PlanOutcome::Waived, PlanOutcome::Audit] {
        let count = services().filter(|report| report.resource.outcome == outcome).count();
        let tile = format!("<strong>{count}</strong> <span>{}</span>", outcome.as_str());
        assert!(overview.contains(&tile), "{tile}");
        let listed = reports.values().filter(|report| report.resource.outcome == outcome).count();
        let list = site.get(&format!("/services?outcome={}", outcome.as_str())).await.body;
        assert!(list.contains(&format!("<p>{listed} services")), "{} {listed}", outcome.as_str());
    }
    // A cluster has a line of its own, whose newest figure is what all policies say of what is in it.
    let statuses = Statuses::of(fleet.store.as_ref(), &fleet.target);
    let clusters = statuses.list::<ClusterStatus>().await.unwrap();
    let (name, kept) = clusters.first_key_value().unwrap();
    let page = site.get(&format!("/cluster?target={}&name={name}", fleet.target)).await.body;
    let today = kept.value.days.figures().last().unwrap();
    for part in [
        format!("<h1>{name}</h1>"),
        format!("<td class=\"number\">{}</td>", today.matched),
        history::percent(today.compliant().unwrap()),
        format!("/services?target={}&amp;cluster={name}", fleet.target),
        format!("/findings?target={}&amp;cluster={name}", fleet.target),
    ] {
        assert!(page.contains(&part), "{part} in {page}");
    }
    assert!(overview.contains(&format!("name={name}\">{name}</a>")), "{overview}");
    assert_eq!(site.get(&format!("/cluster?target={}&name=nowhere", fleet.target)).await.status, 404);
    assert_eq!(site.get(&format!("/cluster?target=nowhere&name={name}")).await.status, 404);
    // A service that failed with its fix: what was done, and that it is held off.
    let campaigns = Campaigns::of(fleet.store.as_ref(), &fleet.target).campaigns().await.unwrap();
    let mut changes = campaigns.iter().flat_map(|campaign| &campaign.changes).map(|change| &change.value);
    let failed = changes.find(|change| change.failed()).unwrap();
    let story = site.get(&format!("/service?arn={}", failed.spec.resource.as_str())).await.body;
    for part in [
        failed.spec.resource.short(),
        "Held off",
        ">RollingBack<",
        ">RolledBack<",
        &failed.spec.diff[0].path,
        &failed.name,
    ] {
        assert!(story.contains(part), "{part} in {story}");
    }
    let name = &failed.spec.rollout;
    let rollout = site.get(&format!("/rollout?target={}&name={name}", fleet.target)).await.body;
    for part in [
        ">Paused<",
        "Wave 1: ",
        &format!("<code>plimsoll rollout resume {name}</code>"),
        "DeploymentFailed",
        "<progress",
    ] {
        assert!(rollout.contains(part), "{part} in {rollout}");
    }
    // Filters narrow.
    let all = reports.values().flat_map(|report| &report.resource.findings);
    let high = all.clone().filter(|found| found.severity.as_str() == "high").count();
    assert!(high > 0 && high < all.count());
    assert!(site.get("/findings?severity=high").await.body.contains(&format!("<p>{high} findings")));
    assert!(site.get("/findings?q=no-such-thing").await.body.contains("<p>0 findings"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_by_asking_and_nobody_else_is_answered() {
    let fleet = Fleet::untouched(60);
    fleet.apply().await;
    let site = Served::of(&fleet).await;
    let address = site.address;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        for path in ["/", "/metrics", "/healthz", "/services", "/assets/live.js", "/nowhere"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
            assert_eq!(ask(address, &request).await.status, 405, "{method} {path}");
        }
    }
    for path in [
        "/nowhere",
        "/services/",
        "/assets/",
        "/assets/../server.rs",
        "//",
        "/%2e%2e/",
        "/rollout",
        "/service?arn=x",
        "/policy?name=x",
    ] {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
    for odd in
        ["/services?page=-1&outcome=%00%ff", "/findings?q=%zz&q=%f0%28", "/events?&&=&=x", "/services?q=%25s%25n"]
    {
        let answer = site.get(odd).await;
        assert!(matches!(answer.status, 200 | 400), "{odd}: {}", answer.status);
    }
    for host in ["evil.example", "evil.example:80", ""] {
        for path in ["/", "/metrics"] {
            let refused =
                ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
            assert_eq!(refused.status, 421, "{host} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_headers_that_keep_others_out() {
    let site = Served::of(&Fleet::untouched(60)).await;
    for path in
        ["/", "/nowhere", "/metrics", "/healthz", "/readyz", "/assets/live.js", "/assets/style.css", "/assets/icon.svg"]
    {
        let answer = site.get(path).await;
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert!(answer.header("content-type").is_some(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_again_is_sent_nothing_where_nothing_has_changed() {
    let fleet = Fleet::in_mid_rollout().await;
    let site = Served::of(&fleet).await;
    for path in CONTENT {
        let tag = site.get(path).await.header("etag").unwrap().to_owned();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nIf-None-Match: {tag}\r\n\r\n",
            site.address
        );
        let again = ask(site.address, &request).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
    }
}

/// A store that can be read or not, as is said.
struct Switched(Arc<dyn Store>, Arc<std::sync::atomic::AtomicBool>);

impl Switched {
    fn answer(&self) -> Result<(), StoreError> {
        let on = self.1.load(std::sync::atomic::Ordering::Relaxed);
        let lost =
            || StoreError::Unavailable { store: "dynamodb://secret-table".to_owned(), message: "gone".to_owned() };
        on.then_some(()).ok_or_else(lost)
    }
}

impl Store for Switched {
    fn get<'a>(&'a self, keys: &'a [Key]) -> futures::future::BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        Box::pin(async move {
            self.answer()?;
            self.0.get(keys).await
        })
    }
    fn put<'a>(
        &'a self,
        _: &'a Key,
        _: &'a Map<String, Value>,
        _: Expect,
        _: Option<Timestamp>,
    ) -> futures::future::BoxFuture<'a, Result<u64, StoreError>> {
        panic!("a page writes to the store")
    }
    fn delete<'a>(&'a self, _: &'a Key, _: Expect) -> futures::future::BoxFuture<'a, Result<(), StoreError>> {
        panic!("a page deletes from the store")
    }
    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> futures::future::BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            self.answer()?;
            self.0.query(partition, prefix, after).await
        })
    }
    fn describe(&self) -> String {
        self.0.describe()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_read_is_said_and_named_to_nobody() {
    let fleet = Fleet::in_mid_rollout().await;
    let on = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let site = Served::with(&fleet, Arc::new(Switched(fleet.store.clone(), Arc::clone(&on)))).await;
    let unnamed = |answer: &Answer| !answer.body.contains("secret-table");
    for path in CONTENT {
        let answer = site.get(path).await;
        assert!(answer.status == 503 && answer.body.contains("cannot be read") && unnamed(&answer), "{answer:?}");
    }
    let ready = site.get("/readyz").await;
    assert!(ready.status == 503 && unnamed(&ready), "{ready:?}");
    assert_eq!(site.get("/healthz").await.status, 200, "restarting it would not bring the store back");
    on.store(true, std::sync::atomic::Ordering::Relaxed);
    for path in CONTENT {
        assert_eq!(site.get(path).await.status, 200, "{path}");
    }
    assert_eq!(site.get("/readyz").await.body, format!("ready\n{}: holds the lease\n", fleet.target));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_services_are_read_a_page_at_a_time() {
    let mut fleet = Fleet::untouched(60);
    fleet.apply().await;
    fleet.pass().await;
    let reports = Reports::of(fleet.store.as_ref(), &fleet.target);
    let known = reports.list().await.unwrap();
    let violating = known.values().find(|report| report.resource.findings.len() > 2).unwrap().clone();
    let before = known.keys().filter(|arn| arn.contains(":service/")).count();
    for number in before..10_000 {
        let mut report = violating.clone();
        report.resource.resource = format!("arn:aws:ecs:eu-west-1:123456789012:service/huge/service-{number:05}");
        reports.write(&[reports.item(&report).unwrap()]).await.unwrap();
    }
    assert_eq!(Targets::of(fleet.store.as_ref()).list().await.unwrap().len(), 1);
    let site = Served::of(&fleet).await;
    let mut next = Some("/services?cluster=huge".to_owned());
    let mut listed = std::collections::BTreeSet::new();
    while let Some(path) = next {
        let page = site.get(&path).await;
        assert!(page.status == 200 && page.body.len() < 200_000, "{path}: {} bytes", page.body.len());
        let rows = page.body.split("service-").skip(1).filter_map(|rest| rest.get(..5)).map(ToOwned::to_owned);
        listed.extend(rows);
        next = page
            .body
            .split("<a rel=\"next\" href=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .map(|link| link.replace("&amp;", "&"));
    }
    assert_eq!(listed.len(), 10_000 - before);
    for path in ["/", "/findings", "/findings?severity=high&page=3"] {
        let began = tokio::time::Instant::now();
        let page = site.get(path).await;
        // To be read by whoever measures: a debug build on a shared machine promises nothing.
        eprintln!("{path}: {} bytes in {:?}", page.body.len(), began.elapsed());
        assert!(page.status == 200 && page.body.len() < 300_000, "{path}: {} bytes", page.body.len());
    }
    assert!(site.get("/").await.body.contains("<strong>10000</strong> services"));
}

/// A number in a page, after what is before it.
fn number_after(page: &str, before: &str) -> usize {
    let rest = page.split(before).nth(1).unwrap_or_else(|| panic!("{before} in {page}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{before} in {page}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_of_two_accounts_that_have_one_name_are_told_apart() {
    let mut fleet = Fleet::untouched(20);
    fleet.apply().await;
    fleet.pass().await;
    let known = Reports::of(fleet.store.as_ref(), &fleet.target).list().await.unwrap();
    let (arn, _) = known.iter().find(|(arn, _)| arn.contains(":service/prod-a/")).unwrap();
    let mut report = known[arn].clone();
    // Another account's, with one service of the same name in a cluster of the same name.
    let other = TargetId { account: "210987654321".to_owned(), region: fleet.target.region.clone() };
    report.resource.resource = arn.replace(&fleet.target.account, &other.account);
    let reports = Reports::of(fleet.store.as_ref(), &other);
    reports.write(&[reports.item(&report).unwrap()]).await.unwrap();
    for (name, target) in [("one", &fleet.target), ("other", &other)] {
        let TargetId { account, region } = target;
        let text = format!(
            "apiVersion: plimsoll/v1\nkind: Target\nmetadata: {{ name: {name} }}\nspec: {{ account: \"{account}\", region: {region} }}\n"
        );
        fleet.store_object(&text).await;
    }
    Targets::of(fleet.store.as_ref()).announce(&other).await.unwrap();
    let site = Served::of(&fleet).await;
    let ours = known.iter().filter(|(arn, _)| arn.contains("/prod-a/") || arn.ends_with(":cluster/prod-a"));
    let findings = |target: &TargetId| {
        let of_both = ours.clone().map(|(_, report)| report.resource.findings.len()).sum::<usize>();
        if *target == other { report.resource.findings.len() } else { of_both }
    };
    for (target, services) in
        [(&fleet.target, ours.clone().filter(|(arn, _)| arn.contains(":service/")).count()), (&other, 1)]
    {
        let page = site.get(&format!("/cluster?target={target}&name=prod-a")).await.body;
        let link = |path: &str| format!("{path}?target={target}&amp;cluster=prod-a");
        assert_eq!(number_after(&page, &format!("<a href=\"{}\">", link("/services"))), services, "{target}");
        assert_eq!(number_after(&page, &format!("<a href=\"{}\">", link("/findings"))), findings(target), "{target}");
        let list = site.get(&link("/services").replace("&amp;", "&")).await.body;
        assert_eq!(list.matches("<th scope=\"row\"><a href=\"/service?arn=").count(), number_after(&list, "<p>"));
        assert_eq!(list.matches(":service/prod-a/").count(), services, "{target}: {list}");
        let list = site.get(&link("/findings").replace("&amp;", "&")).await.body;
        assert_eq!(number_after(&list, "<p>"), findings(target), "{target}");
        // It is chosen in the filter, so that the next choice keeps it.
        assert!(list.contains(&format!("<option value=\"{target}\" selected>")), "{list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_no_longer_wanted_is_not_counted() {
    let fleet = Fleet::in_mid_rollout().await;
    let overview = || async { Served::of(&fleet).await.get("/").await.body };
    assert!(overview().await.contains("<strong>64</strong> services"));
    let services = || async { Served::of(&fleet).await.get("/services").await.body };
    assert!(!services().await.contains("<p>0 services"));
    // The first Target object: only what is one is watched.
    let elsewhere = "apiVersion: plimsoll/v1\nkind: Target\nmetadata: { name: elsewhere }\nspec: { account: \"210987654321\", region: eu-west-1 }\n";
    fleet.store_object(elsewhere).await;
    let page = overview().await;
    assert!(page.contains("<strong>0</strong> services") && page.contains("its Target was deleted"), "{page}");
    assert!(page.contains("None. <a href=\"/rollouts\">"), "{page}");
    assert!(services().await.contains("<p>0 services"));
    // What it was is kept.
    assert!(Served::of(&fleet).await.get("/rollouts").await.body.contains("Paused"));
    let TargetId { account, region } = &fleet.target;
    let ours = format!(
        "apiVersion: plimsoll/v1\nkind: Target\nmetadata: {{ name: ours }}\nspec: {{ account: \"{account}\", region: {region} }}\n"
    );
    fleet.store_object(&ours).await;
    assert!(overview().await.contains("<strong>64</strong> services"));
}
