//! The days of a cluster are kept by every store, apart from those of a policy of the same name.

use std::time::Duration;

use plimsoll::model::{TargetId, Timestamp};
use plimsoll::plan::PolicyTally;
use plimsoll::ports::Store;
use plimsoll::records::RecordError;
use plimsoll::records::statuses::{ClusterStatus, Judged, PolicyStatus, Statuses};

pub(super) async fn ninety_days_of_a_cluster_are_kept_beside_those_of_policies(one: &dyn Store, other: &dyn Store) {
    let target = TargetId { account: "123456789012".to_owned(), region: "days".to_owned() };
    let (ours, theirs) = (Statuses::of(one, &target), Statuses::of(other, &target));
    let tally = PolicyTally { matched: 9_999_999, failing: 9_999_999, unknown: 9_999_999, ..PolicyTally::default() };
    let start: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
    let mut prod = None;
    for day in 0..120 {
        prod = Some(ClusterStatus::after(prod.as_ref(), &tally, true, start + Duration::from_secs(day * 24 * 3600)));
    }
    let prod = prod.unwrap();
    assert_eq!(prod.days.figures().len(), 90);
    ours.write("prod", &prod, None).await.unwrap();
    let judged = Judged { generation: None, spec: String::new() };
    let policy = PolicyStatus::after(None, judged, &tally, false, start);
    ours.write("prod", &policy, None).await.unwrap();
    let read = theirs.list::<ClusterStatus>().await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read["prod"].value, prod);
    assert_eq!(theirs.list::<PolicyStatus>().await.unwrap()["prod"].value, policy);
    // Whoever has read it may write over it, and nobody else.
    assert!(matches!(theirs.write("prod", &prod, None).await, Err(RecordError::Store { .. })));
    theirs.write("prod", &prod, Some(read["prod"].version)).await.unwrap();
    assert!(ours.write("prod", &prod, Some(read["prod"].version)).await.is_err());
    ours.remove::<ClusterStatus>("prod").await.unwrap();
    assert!(theirs.list::<ClusterStatus>().await.unwrap().is_empty());
    assert_eq!(theirs.list::<PolicyStatus>().await.unwrap().len(), 1);
}
