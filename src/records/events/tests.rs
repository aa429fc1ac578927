//! Whatever is done to the log afterwards is found, and named.

use proptest::prelude::*;

use super::*;
use crate::embedded::EmbeddedStore;
use crate::model::ReasonCode;

const START: &str = "2026-01-05T09:00:00Z";

fn start() -> Timestamp {
    START.parse().unwrap()
}

fn target() -> TargetId {
    TargetId { account: "123456789012".to_owned(), region: "eu-west-1".to_owned() }
}

fn entry(subject: &str, what: &str, at: Timestamp) -> Entry {
    Entry {
        subject: subject.to_owned(),
        at,
        what: what.to_owned(),
        message: format!("{what}: it is so"),
        reason: Some(crate::model::Reason::of(ReasonCode::Baking, "it bakes")),
        by: "plimsoll".to_owned(),
    }
}

/// Chains of these lengths, an hour between two events.
async fn log(store: &dyn Store, lengths: &[usize]) -> Vec<Event> {
    let target = target();
    let events = Events::of(store, &target);
    for (chain, length) in lengths.iter().enumerate() {
        for number in 0..*length {
            let at = start() + Duration::from_secs(3600 * number as u64);
            events.append(entry(&format!("Change/quick-1/{chain:05}"), &format!("Phase{number}"), at)).await.unwrap();
        }
    }
    events.list("").await.unwrap()
}

/// The store in memory answers at once.
fn now<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer)
}

fn written(lengths: &[usize]) -> Vec<Event> {
    let store = EmbeddedStore::in_memory().unwrap();
    now(log(&store, lengths))
}

fn named(broken: &[Broken]) -> Vec<(String, u64)> {
    let name = |one: &Broken| match one {
        Broken::Edited { subject, number }
        | Broken::Missing { subject, number }
        | Broken::CutOff { subject, number }
        | Broken::Rewritten { subject, number } => (subject.clone(), *number),
    };
    broken.iter().map(name).collect()
}

fn edited(event: &mut Event, member: usize) {
    match member {
        0 => event.message.push('.'),
        1 => event.what.push('x'),
        2 => event.by = "arn:aws:iam::123456789012:user/alex".to_owned(),
        3 => event.at = event.at + Duration::from_millis(1),
        4 => event.reason = None,
        5 => event.previous = "sha256:00".to_owned(),
        6 => event.hash = "sha256:00".to_owned(),
        _ => event.previous_at = Some(start()),
    }
}

proptest! {
    #[test]
    fn an_event_that_is_edited_is_named(lengths in proptest::collection::vec(1_usize..6, 1..4), pick in any::<prop::sample::Index>(), member in 0_usize..8) {
        let mut events = written(&lengths);
        let at = pick.index(events.len());
        let before = events[at].clone();
        edited(&mut events[at], member);
        prop_assume!(events[at] != before);
        let broken = verify(&events);
        prop_assert!(named(&broken).contains(&(before.subject, before.number)), "{broken:?}");
    }

    #[test]
    fn an_event_that_is_removed_is_named_and_at_the_end_of_a_chain_the_heads_show_it(lengths in proptest::collection::vec(1_usize..6, 1..4), pick in any::<prop::sample::Index>()) {
        let mut events = written(&lengths);
        let seen = heads(&events);
        let gone = events.remove(pick.index(events.len()));
        let last = seen.iter().any(|head| (&head.subject, head.number) == (&gone.subject, gone.number));
        let broken = if last { against(&events, &seen, start()) } else { verify(&events) };
        prop_assert_eq!(named(&broken), [(gone.subject, gone.number)]);
        prop_assert_eq!(last, verify(&events).is_empty());
    }

    #[test]
    fn events_that_change_places_are_named(lengths in proptest::collection::vec(2_usize..6, 1..4), pick in any::<prop::sample::Index>(), other in any::<prop::sample::Index>()) {
        let mut events = written(&lengths);
        let (one, other) = (pick.index(events.len()), other.index(events.len()));
        prop_assume!(one != other);
        let moved = [events[one].clone(), events[other].clone()];
        events.swap(one, other);
        let broken = verify(&events);
        prop_assert!(!broken.is_empty());
        let is_named = |event: &Event| named(&broken).iter().any(|(subject, _)| *subject == event.subject);
        prop_assert!(moved.iter().any(is_named), "{broken:?}");
    }

    #[test]
    fn a_chain_that_was_written_anew_is_not_the_one_that_was_seen(length in 1_usize..6) {
        let seen = heads(&written(&[length]));
        let store = EmbeddedStore::in_memory().unwrap();
        let anew = now(async {
            let target = target();
            let events = Events::of(&store, &target);
            for number in 0..length {
                events.append(entry("Change/quick-1/00000", &format!("Other{number}"), start())).await.unwrap();
            }
            events.list("").await.unwrap()
        });
        prop_assert_eq!(verify(&anew), []);
        let broken = against(&anew, &seen, start());
        prop_assert!(matches!(&broken[..], [Broken::Rewritten { number, .. }] if *number == length as u64), "{broken:?}");
    }
}

#[tokio::test]
async fn what_has_gone_by_its_age_is_no_break_and_what_was_taken_out_before_is() {
    let store = EmbeddedStore::in_memory().unwrap();
    let all = log(&store, &[6]).await;
    // The first three are past their retention, and gone, in whatever order.
    let now = start() + RETENTION + Duration::from_secs(2 * 3600);
    assert_eq!(store.purge(now + Duration::from_millis(1)).await, Ok(3));
    let target = target();
    let left = Events::of(&store, &target).list("").await.unwrap();
    assert_eq!(left.iter().map(|event| event.number).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(verify_as_of(&left, now), []);
    let (first, rest) = (&all[..1], &all[2..]);
    assert_eq!(verify_as_of(&[first, rest].concat(), now), [], "the second may go before the first");
    let early = verify_as_of(&left, now - Duration::from_millis(1));
    assert_eq!(early, [Broken::Missing { subject: "Change/quick-1/00000".to_owned(), number: 1 }]);
    // The fifth is not that old.
    let taken = [&left[..1], &left[2..]].concat();
    assert_eq!(verify_as_of(&taken, now), [Broken::Missing { subject: "Change/quick-1/00000".to_owned(), number: 5 }]);
    assert_eq!(against(&left, &heads(&all), now), []);
    assert_eq!(against(&[], &heads(&all), now + RETENTION), [], "all of it has gone by its age");
}

#[tokio::test]
async fn events_from_before_they_had_a_retention_are_verified_and_go_on() {
    let body: Event = serde_json::from_str(include_str!("../../../tests/fixtures/records/event-1.json")).unwrap();
    assert_eq!((hash(&body), body.previous_at), (body.hash.clone(), None));
    let store = EmbeddedStore::in_memory().unwrap();
    let target = target();
    let events = Events::of(&store, &target);
    typed::put(&store, &events.key(&body.subject, body.number), &body, Expect::Absent).await.unwrap();
    let next = events.append(entry(&body.subject, "Succeeded", body.at)).await.unwrap();
    assert_eq!((next.number, next.previous, next.previous_at), (4, body.hash, Some(body.at)));
    // Its beginning is not in this store, and not by its age.
    let broken = verify_as_of(&events.list("").await.unwrap(), body.at);
    assert_eq!(named(&broken), [("Rollout/quick-1".to_owned(), 1)]);
}
