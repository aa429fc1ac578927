use serde_json::json;

use super::*;
use crate::ports::ecs::{Outcome, Retry};
use crate::sim::{VirtualClock, WorldConfig};

fn sim() -> (SimEcs, Arc<VirtualClock>) {
    let clock = Arc::new(VirtualClock::instant(Timestamp::EPOCH));
    let world = World::new(WorldConfig::default(), clock.now());
    (SimEcs::of(world, Arc::clone(&clock) as Arc<dyn Clock>), clock)
}

fn register() -> Value {
    json!({ "family": "web", "containerDefinitions": [{ "name": "a", "image": "i", "memory": 1 }] })
}

async fn latest(ecs: &SimEcs) -> Option<u64> {
    let query = json!({ "taskDefinition": "web" });
    let answer = ecs.call(Operation::DescribeTaskDefinition, query).await.ok()?;
    answer["taskDefinition"]["revision"].as_u64()
}

#[tokio::test]
async fn each_fault_says_what_the_port_promises_and_has_its_effect_or_not() {
    let refuse = Fault::Refuse { code: "AccessDeniedException".into(), message: "no".into() };
    for (fault, outcome, retry, done) in [
        (Fault::NotSent, Outcome::NotApplied, Retry::Soon, None),
        (Fault::LostReply, Outcome::Unknown, Retry::Soon, Some(1)),
        (Fault::ServerError, Outcome::Unknown, Retry::Soon, None),
        (Fault::Throttle, Outcome::NotApplied, Retry::Wait, None),
        (refuse, Outcome::NotApplied, Retry::Stop, None),
    ] {
        let (ecs, _) = sim();
        let script = fault.clone();
        let ecs = ecs.with_faults(move |call| (call.number == 0).then(|| script.clone()));
        let error = ecs.call(Operation::RegisterTaskDefinition, register()).await.unwrap_err();
        assert_eq!((error.outcome(), error.retry()), (outcome, retry), "{fault:?}");
        assert_eq!(latest(&ecs).await, done, "{fault:?}");
        assert_eq!(ecs.calls().len(), 2, "{fault:?} is on the log too");
    }
}

#[tokio::test]
async fn a_late_call_lands_when_nobody_waits_for_it_any_more() {
    let (ecs, clock) = sim();
    ecs.set_faults(|call| call.operation.writes().then_some(Fault::Late(Duration::from_secs(90))));
    let error = ecs.call(Operation::RegisterTaskDefinition, register()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    clock.sleep(Duration::from_secs(89)).await;
    assert_eq!(latest(&ecs).await, None);
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(latest(&ecs).await, Some(1));
}

#[tokio::test]
async fn ecs_own_errors_come_through_as_what_they_are() {
    let (ecs, _) = sim();
    let error = ecs.call(Operation::ListServices, json!({ "cluster": "nowhere" })).await.unwrap_err();
    assert_eq!((error.code(), error.retry()), (Some("ClusterNotFoundException"), Retry::Stop));
    let mut throttled = 0;
    for _ in 0..22 {
        let answer = ecs.call(Operation::RegisterTaskDefinition, register()).await;
        throttled += usize::from(matches!(answer, Err(EcsError::Throttled { .. })));
    }
    assert_eq!(throttled, 2);
}

#[tokio::test]
async fn every_operation_of_the_port_is_modelled() {
    let (ecs, _) = sim();
    for operation in Operation::ALL {
        let answer = ecs.call(*operation, json!({})).await;
        let unknown = answer.is_err_and(|error| error.code() == Some("UnknownOperationException"));
        assert!(!unknown, "{}", operation.as_str());
    }
}
