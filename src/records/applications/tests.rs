//! Who did what is told once, whoever is stopped, comes second or is older.

use serde_json::{Map, Value, json};

use super::*;
use crate::embedded::EmbeddedStore;
use crate::model::spec::{FreezeSpec, Metadata, Scope};
use crate::records::configuration::Configurations;

fn freeze(reason: &str) -> Object {
    let metadata = Metadata { name: "stop".to_owned(), ..Metadata::default() };
    let (scope, reason) = (Scope::default(), reason.to_owned());
    Object { metadata, spec: Spec::Freeze(FreezeSpec { scope, reason, until: None, include_rollback: false }) }
}

fn application(reason: &str, by: &str) -> Application {
    Application { objects: vec![freeze(reason)], by: Some(by.to_owned()), ..Application::default() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

async fn told_of(store: &dyn Store) -> Vec<(u64, String, String)> {
    let events = Applications::of(store).list().await.unwrap();
    assert_eq!(events::verify(&events), []);
    events.into_iter().map(|event| (event.number, event.message, event.by)).collect()
}

async fn head(store: &dyn Store) -> crate::ports::store::Item {
    store.get(&[Key::new("cfg#freeze", "head")]).await.unwrap().remove(0).unwrap()
}

#[tokio::test]
async fn nothing_is_told_of_what_was_not_put_in_force() {
    let store = EmbeddedStore::in_memory().unwrap();
    let configurations = Configurations::of(&store);
    configurations.apply(&application("one", "alex"), at(1), false).await.unwrap();
    configurations.apply(&application("two", "kim"), at(2), true).await.unwrap();
    assert_eq!(told_of(&store).await, [(1, "Freeze/stop created: one".to_owned(), "alex".to_owned())]);
    // Whoever was stopped right before the head was written has kept the event of the head that is there.
    let found = typed::get::<Head>(&store, Class::Freeze.head()).await.unwrap().unwrap();
    keep(&store, Class::Freeze, &found.value).await.unwrap();
    assert_eq!(told_of(&store).await.len(), 1);
    configurations.apply(&application("two", "kim"), at(3), false).await.unwrap();
    assert_eq!(told_of(&store).await[1], (2, "Freeze/stop configured: two".to_owned(), "kim".to_owned()));
}

#[tokio::test]
async fn what_says_the_same_writes_nothing_and_keeps_who_it_is_of() {
    let store = EmbeddedStore::in_memory().unwrap();
    let configurations = Configurations::of(&store);
    configurations.apply(&application("one", "alex"), at(1), false).await.unwrap();
    let before = head(&store).await;
    let got = configurations.read(None).await.unwrap().unwrap().objects.remove(0);
    assert_eq!(got.metadata.updated_by.as_deref(), Some("alex"));
    // What was got, by somebody else: its metadata are the store's.
    let again = Application { objects: vec![got], by: Some("kim".to_owned()), ..Application::default() };
    configurations.apply(&again, at(2), false).await.unwrap();
    assert_eq!(head(&store).await, before);
    assert_eq!(store.query("cfg#freeze", PREFIX, None).await.unwrap().items, []);
    let kept = configurations.read(None).await.unwrap().unwrap().objects.remove(0);
    assert_eq!(kept.metadata.updated_by.as_deref(), Some("alex"));
}

/// An older plimsoll reads the head and writes it again without the member that it does not know.
async fn leave_out(store: &dyn Store) {
    let found = head(store).await;
    let body: Map<String, Value> = found.body.into_iter().filter(|(name, _)| name != "last").collect();
    store.put(&found.key, &body, Expect::Version(found.version), None).await.unwrap();
}

#[tokio::test]
async fn after_an_older_plimsoll_the_chain_goes_on_from_what_is_left() {
    let store = EmbeddedStore::in_memory().unwrap();
    let configurations = Configurations::of(&store);
    for (second, reason) in ["one", "two", "three"].into_iter().enumerate() {
        configurations.apply(&application(reason, "alex"), at(second as i64), false).await.unwrap();
    }
    leave_out(&store).await;
    assert_eq!(told_of(&store).await.len(), 2, "the third was in the head alone");
    configurations.apply(&application("four", "kim"), at(9), false).await.unwrap();
    let told = told_of(&store).await;
    assert_eq!(told.len(), 3);
    assert_eq!(told[2], (3, "Freeze/stop configured: four".to_owned(), "kim".to_owned()));
}

#[tokio::test]
async fn of_two_at_once_only_the_one_that_counts_is_told_of() {
    let store = EmbeddedStore::in_memory().unwrap();
    let configurations = Configurations::of(&store);
    configurations.apply(&application("one", "alex"), at(1), false).await.unwrap();
    let (two, three) = (application("two", "kim"), application("three", "sam"));
    let both = futures::join!(configurations.apply(&two, at(2), false), configurations.apply(&three, at(2), false),);
    let won = [both.0.is_ok(), both.1.is_ok()].iter().filter(|won| **won).count();
    assert_eq!(told_of(&store).await.len(), 1 + won);
}

#[test]
fn an_event_is_a_sentence_of_what_changed_and_names_all_of_it() {
    let applied = |kind: Kind, name: &str, outcome| Applied { kind, name: name.to_owned(), outcome };
    let by = |applied: &[Applied]| {
        let event = event(Class::Policy, &application("peak", "alex"), applied, None, at(0));
        (event.what, event.message, event.about.len())
    };
    let policies: Vec<Applied> =
        (0..4).map(|number| applied(Kind::Policy, &format!("p{number}"), Outcome::Created)).collect();
    let one = [applied(Kind::Freeze, "stop", Outcome::Created), applied(Kind::Policy, "old", Outcome::Unchanged)];
    assert_eq!(by(&one), ("Created".to_owned(), "Freeze/stop created: peak".to_owned(), 1));
    assert_eq!(by(&policies), ("Created".to_owned(), "4 policies created".to_owned(), 4));
    let gone = [applied(Kind::Freeze, "other", Outcome::Pruned)];
    assert_eq!(by(&gone), ("Deleted".to_owned(), "Freeze/other deleted".to_owned(), 1));
    let mixed = [policies, vec![applied(Kind::Binding, "b", Outcome::Pruned)]].concat();
    assert_eq!(by(&mixed), ("Applied".to_owned(), "4 policies created, 1 Binding deleted".to_owned(), 5));
    let event = event(Class::Policy, &Application::default(), &mixed, None, at(0));
    assert!(event.is_about("policy/p3") && !event.is_about("Policy/p4") && event.by == "unknown");
    assert_eq!(json!(event)["about"][4], "Binding/b");
}
