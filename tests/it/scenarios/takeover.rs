//! A controller that is suspended in the middle of its writes, and goes on while the next holder of the lease reads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::BoxFuture;
use plimsoll::controller::reconcile::Depth;
use plimsoll::controller::{Controller, Parts, Settings};
use plimsoll::embedded::EmbeddedStore;
use plimsoll::model::Timestamp;
use plimsoll::ports::store::{Expect, Item, Key, Page};
use plimsoll::ports::{Store, StoreError};
use plimsoll::rollout::command::Request;
use serde_json::{Map, Value};

use super::world::{NO_HOST_PID, Story};

/// What is woken, and says when it is done.
type Wakes = (&'static str, oneshot::Sender<()>, oneshot::Receiver<()>);

/// A store that suspends whoever writes a record of that name, and one that wakes it when records of that name have been
/// read.
struct Hooked {
    inner: Arc<EmbeddedStore>,
    suspends: Mutex<Option<(&'static str, oneshot::Receiver<()>)>>,
    wakes: Mutex<Option<Wakes>>,
}

impl Store for Hooked {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        self.inner.get(keys)
    }

    fn put<'a>(
        &'a self,
        key: &'a Key,
        body: &'a Map<String, Value>,
        expect: Expect,
        expires: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        let suspended = self.suspends.lock().unwrap().take_if(|(at, _)| key.sort.starts_with(*at));
        Box::pin(async move {
            if let Some((_, woken)) = suspended {
                woken.await.unwrap();
            }
            self.inner.put(key, body, expect, expires).await
        })
    }

    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
        self.inner.delete(key, expect)
    }

    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        let wakes = self.wakes.lock().unwrap().take_if(|(at, ..)| prefix == *at);
        Box::pin(async move {
            let page = self.inner.query(partition, prefix, after).await;
            if let Some((_, wake, done)) = wakes {
                wake.send(()).unwrap();
                done.await.unwrap();
            }
            page
        })
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// The holder of the lease is suspended as it writes `at`, and goes on to the end of its pass when the next one has read
/// `read`. The story goes on with the next one.
async fn suspended(story: &mut Story, at: &'static str, read: &'static str) {
    let (wake, woken) = oneshot::channel();
    let (finish, finished) = oneshot::channel();
    let hooked = |suspends, wakes| {
        let (suspends, wakes) = (Mutex::new(suspends), Mutex::new(wakes));
        Arc::new(Hooked { inner: story.store.clone(), suspends, wakes })
    };
    let controller = |holder: &str, store: Arc<Hooked>| {
        let settings = Settings { holder: holder.to_owned(), ..story.controller.settings().clone() };
        Controller::new(Parts { store, ..story.controller.parts().clone() }, settings)
    };
    let mut first = controller("one", hooked(Some((at, woken)), None));
    let mut second = controller("two", hooked(None, Some((read, wake, finished))));
    let mut pass = Box::pin(first.pass(Depth::Full));
    assert!(futures::poll!(pass.as_mut()).is_pending(), "it never writes `{at}`");
    assert!(second.pass(Depth::Full).await.is_err(), "the first one's lease is watched for its length");
    story.clock.advance(Duration::from_secs(31));
    let first = async {
        let ended = pass.await;
        finish.send(()).unwrap();
        ended
    };
    let (_, taken_over) = futures::future::join(first, second.pass(Depth::Full)).await;
    assert!(taken_over.is_err_and(|error| error.is_conflict()), "what was read is not what is stored");
    story.controller = second;
}

#[tokio::test]
async fn an_undo_that_a_former_holder_carries_out_late_is_gone_on_with() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.passes_for(30 * 60).await;
    assert_eq!(story.phases("default-1").await.0, "Succeeded");
    // The first one's own lease is that of the hooked one.
    let id = story.ask("default-1", Request::Undo { service: None }).await;
    suspended(&mut story, "rollout#default-1", "hold#").await;
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("default-1").await.0, "RolledBack");
    assert_eq!(story.runs("prod", "web"), ["web:1", "web:1"]);
    assert!(story.answer(&id).await.unwrap().done);
}

#[tokio::test]
async fn a_rollout_that_a_former_holder_makes_late_is_gone_on_with() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    suspended(&mut story, "change#default-1", "change#").await;
    story.passes_for(30 * 60).await;
    assert_eq!(story.phases("default-1").await.0, "Succeeded");
}
