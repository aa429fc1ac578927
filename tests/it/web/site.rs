//! A fleet, a controller, and the site that shows them, in this process.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::controller::reconcile::Depth;
use plimsoll::controller::run::PassEnd;
use plimsoll::controller::{Controller, Parts, PassReport, Settings};
use plimsoll::embedded::EmbeddedStore;
use plimsoll::manifest;
use plimsoll::model::{TargetId, Timestamp};
use plimsoll::plan::PolicyTally;
use plimsoll::policy::builtin;
use plimsoll::ports::{Clock, Store};
use plimsoll::records::configuration::{Application, Configurations};
use plimsoll::records::history::Days;
use plimsoll::records::statuses::{ClusterStatus, PolicyStatus, Statuses};
use plimsoll::rollout::{RolloutState, State};
use plimsoll::sim::fleet::{self, demo_fleet};
use plimsoll::sim::{SimEcs, VirtualClock, WorldConfig};
use plimsoll::web::health::{Watched, WatchedTargets};
use plimsoll::web::metrics::{Metrics, ObservedAlarms, ObservedEcs, ObservedStore};
use plimsoll::web::server::{self, Site};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The demonstration's fleet, policies and controller.
pub(super) struct Fleet {
    pub(super) store: Arc<EmbeddedStore>,
    pub(super) clock: Arc<VirtualClock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) target: TargetId,
    controller: Controller,
}

impl Fleet {
    /// Nothing has been applied, nobody has looked.
    pub(super) fn untouched(services: usize) -> Self {
        let clock = Arc::new(VirtualClock::instant(fleet::START));
        let mut world = demo_fleet(services, 1);
        world.set_throttling(0);
        let target = TargetId { account: world.config().account.clone(), region: world.config().region.clone() };
        let ecs = Arc::new(SimEcs::of(world, clock.clone()));
        let store = Arc::new(EmbeddedStore::in_memory().unwrap());
        let metrics = Arc::new(Metrics::new());
        metrics.watch(&target, None);
        let parts = Parts {
            ecs: Arc::new(ObservedEcs::new(ecs.clone(), target.clone(), Arc::clone(&metrics))),
            alarms: Arc::new(ObservedAlarms::new(Arc::new(ecs.alarms()), target.clone(), Arc::clone(&metrics))),
            store: Arc::new(ObservedStore::new(store.clone(), Arc::clone(&metrics))),
            clock: clock.clone(),
        };
        let settings = Settings {
            target: target.clone(),
            caller: WorldConfig::default().caller,
            holder: "one".to_owned(),
            lease: Duration::from_secs(60),
            call_timeout: Duration::from_secs(2),
            resync: None,
            poll: Duration::from_secs(15),
            allow_edit: Vec::new(),
        };
        Self { store, clock, metrics, target, controller: Controller::new(parts, settings) }
    }

    /// In the middle of a rollout: a service has failed with its fix and was taken back, some changes have landed, most
    /// have not begun. Ninety days of history, with a gap.
    pub(super) async fn in_mid_rollout() -> Self {
        let mut fleet = Self::untouched(64);
        fleet.apply().await;
        fleet
            .until("a rollout is paused, and what failed is taken back", |report| {
                report.campaigns.iter().any(|campaign| {
                    let changes = campaign.changes.iter();
                    let back = changes.filter(|change| matches!(change.value.state, State::RolledBack { .. })).count();
                    back > 0 && matches!(campaign.rollout.value.state, RolloutState::Paused { .. })
                })
            })
            .await;
        fleet.write_history().await;
        fleet
    }

    pub(super) async fn apply(&self) {
        let mut files: Vec<(String, Vec<u8>)> = builtin::FILES
            .iter()
            .filter(|file| file.path.starts_with("security-hub/"))
            .map(|file| (file.path.to_owned(), file.text.as_bytes().to_vec()))
            .collect();
        files.push(("demo.yaml".to_owned(), include_bytes!("../../../src/cli/demo/bindings.yaml").to_vec()));
        let objects = manifest::parse_files(&files).unwrap().into_iter().map(|sourced| sourced.object).collect();
        let application = Application { objects, ..Application::default() };
        Configurations::of(self.store.as_ref()).apply(&application, self.clock.now(), false).await.unwrap();
    }

    pub(super) async fn store_object(&self, text: &str) {
        let objects = manifest::parse("one.yaml", text).unwrap().into_iter().map(|sourced| sourced.object).collect();
        let application = Application { objects, ..Application::default() };
        Configurations::of(self.store.as_ref()).apply(&application, self.clock.now(), false).await.unwrap();
    }

    pub(super) async fn pass(&mut self) -> PassReport {
        let began = self.clock.monotonic();
        let report = self.controller.pass(Depth::Full).await.unwrap();
        let took = self.clock.monotonic().saturating_sub(began);
        self.metrics.passed(&self.target, &PassEnd { outcome: Ok(&report), took, now: self.clock.now() });
        report
    }

    pub(super) async fn until(&mut self, what: &str, is_so: impl Fn(&PassReport) -> bool) {
        for _ in 0..400 {
            if is_so(&self.pass().await) {
                return;
            }
            self.clock.advance(Duration::from_secs(15));
        }
        panic!("not within 100 minutes: {what}");
    }

    /// Eighty-nine days before today, on which fewer and fewer failed; two of them are missing.
    async fn write_history(&self) {
        let statuses = Statuses::of(self.store.as_ref(), &self.target);
        for (name, known) in statuses.list::<PolicyStatus>().await.unwrap() {
            let tally = known.value.tally.clone();
            let mut days = Days::default();
            for ago in (1..90_u64).rev().filter(|ago| !matches!(ago, 40 | 41)) {
                let worse = usize::try_from(ago / 9).unwrap().min(tally.matched.saturating_sub(tally.failing));
                let past = PolicyTally { failing: tally.failing + worse, ..tally.clone() };
                days.record(&past, false, at(self.clock.now(), ago));
            }
            days.add(&known.value.days);
            statuses.write(&name, &PolicyStatus { days, ..known.value }, Some(known.version)).await.unwrap();
        }
        for (name, known) in statuses.list::<ClusterStatus>().await.unwrap() {
            let today = *known.value.days.figures().last().unwrap();
            let mut days = Days::default();
            for ago in (1..90_u64).rev().filter(|ago| !matches!(ago, 40 | 41)) {
                let worse = usize::try_from(ago / 9).unwrap().min(today.matched.saturating_sub(today.failing));
                let (matched, failing) = (today.matched, today.failing + worse);
                days.record(
                    &PolicyTally { matched, failing, ..PolicyTally::default() },
                    false,
                    at(self.clock.now(), ago),
                );
            }
            days.add(&known.value.days);
            statuses.write(&name, &ClusterStatus { days, ..known.value }, Some(known.version)).await.unwrap();
        }
    }
}

fn at(now: Timestamp, days_ago: u64) -> Timestamp {
    now - Duration::from_secs(days_ago * 24 * 60 * 60)
}

/// A running site. Dropping it ends it.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    _stop: DropGuard,
}

impl Served {
    /// The site of a fleet.
    pub(super) async fn of(fleet: &Fleet) -> Self {
        Self::with(fleet, fleet.store.clone()).await
    }

    /// The same, that reads another store.
    pub(super) async fn with(fleet: &Fleet, store: Arc<dyn Store>) -> Self {
        let watched = WatchedTargets::default();
        watched.set("", Some(Watched::Runs { target: fleet.target.clone(), holder: "one".to_owned() }));
        // As the demonstration's: what stands on every page is looked at with every page.
        let note = Some("A demonstration.");
        let site = Site { store, clock: fleet.clock.clone(), metrics: Arc::clone(&fleet.metrics), watched, note };
        let stop = CancellationToken::new();
        let address = server::serve("127.0.0.1:0".parse().unwrap(), site, stop.clone()).await.unwrap();
        Self { address, _stop: stop.drop_guard() }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        get(self.address, path).await
    }

    /// Every page that links lead to from `/`, by address. Lists are followed a few pages deep.
    pub(super) async fn crawl(&self) -> BTreeMap<String, Answer> {
        let (mut found, mut open) = (BTreeMap::new(), vec!["/".to_owned()]);
        let mut seen: BTreeSet<String> = open.iter().cloned().collect();
        while let Some(path) = open.pop() {
            let answer = self.get(&path).await;
            for link in links(&answer.body) {
                if seen.insert(link.clone()) {
                    open.push(link);
                }
            }
            found.insert(path, answer);
            assert!(found.len() < 2000, "the site does not end");
        }
        found
    }
}

/// Where the links of a page lead, without those within it.
pub(crate) fn links(html: &str) -> Vec<String> {
    let links = html.split("<a ").skip(1).filter_map(|rest| rest.split_once('>')?.0.split("href=\"").nth(1));
    let links = links.filter_map(|rest| rest.split('"').next()).filter(|link| !link.starts_with('#'));
    links.map(|link| link.replace("&amp;", "&")).collect()
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let line = self.headers.lines().find_map(|line| {
            let (header, value) = line.split_once(':')?;
            header.eq_ignore_ascii_case(name).then_some(value)
        });
        line.map(str::trim)
    }
}

pub(super) async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")).await
}

pub(super) async fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (headers, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request:?}: {text:?}"));
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    let answer = Answer { status, headers: headers.to_owned(), body: body.to_owned() };
    assert!(answer.header("transfer-encoding").is_none(), "{headers}");
    answer
}
