//! Who put what in force, and who took it away, is kept by every store.

use plimsoll::model::Timestamp;
use plimsoll::model::spec::{FreezeSpec, Kind, Metadata, Object, Scope, Spec};
use plimsoll::ports::Store;
use plimsoll::records::applications::Applications;
use plimsoll::records::configuration::{Application, Configurations};
use plimsoll::records::events;

fn freeze(name: &str) -> Object {
    let metadata = Metadata { name: name.to_owned(), ..Metadata::default() };
    let (scope, reason) = (Scope::default(), "an incident".to_owned());
    Object { metadata, spec: Spec::Freeze(FreezeSpec { scope, reason, until: None, include_rollback: false }) }
}

pub(super) async fn who_applied_and_who_deleted_is_kept(one: &dyn Store, other: &dyn Store) {
    // Events go after 400 days, by the clock of the store: they are as young as the test.
    let now = Timestamp::from_millis(4_102_444_800_000);
    let by = |by: &str, application: Application| Application { by: Some(by.to_owned()), ..application };
    let freezes = by("alex", Application { objects: vec![freeze("a"), freeze("b")], ..Application::default() });
    Configurations::of(one).apply(&freezes, now, false).await.unwrap();
    let again = by("sam", Application { objects: vec![freeze("a")], ..Application::default() });
    Configurations::of(other).apply(&again, now, false).await.unwrap();
    let gone = by("kim", Application { delete: vec![(Kind::Freeze, "a".to_owned())], ..Application::default() });
    Configurations::of(other).apply(&gone, now, false).await.unwrap();

    let read = Configurations::of(one).read(None).await.unwrap().unwrap();
    let kept = read.find(Kind::Freeze, "b").unwrap();
    assert_eq!((kept.metadata.updated_by.as_deref(), kept.metadata.updated_at), (Some("alex"), Some(now)));
    let told = Applications::of(one).list().await.unwrap();
    let lines: Vec<_> =
        told.iter().map(|event| (event.what.as_str(), event.message.as_str(), event.by.as_str())).collect();
    assert_eq!(
        lines,
        [
            ("Created", "Freeze/a created: an incident; Freeze/b created: an incident", "alex"),
            ("Deleted", "Freeze/a deleted", "kim"),
        ]
    );
    assert_eq!(events::verify(&told), []);
}
