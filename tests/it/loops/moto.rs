//! moto: it stores what a service is told, and nothing comes of it. No task ever starts, a deployment neither changes
//! nor ends, ListServiceDeployments and its kin are HTTP 500. Whatever is reported here as a success is a lie.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::controller::RunEnd;
use plimsoll::model::ReasonCode;
use plimsoll::plan::PlanOutcome;
use plimsoll::ports::ecs::{Ecs, Operation};
use plimsoll::rollout::{RolloutState, State};
use serde_json::json;

use super::documents;
use super::fleet::Fleet;
use super::policies::{PATIENCE, SWIFT};
use super::run::Loop;
use crate::peers::Peer;

/// One service whose first deployment never ends, and two that a controller could take for steady.
async fn fleet_on(peer: &Peer) -> Fleet {
    let mut fleet = Fleet::empty(peer).await;
    // A service that never wanted a task is the only one whose deployment is done; once it is told to run some, moto
    // shows them as running and has none.
    fleet.tasks = 0;
    fleet.deploy(&documents::named(&["linked-containers.json", "the-same-name-twice.json"])).await;
    for deployed in &fleet.services {
        let wants = json!({ "cluster": deployed.cluster, "service": deployed.arn, "desiredCount": 2 });
        fleet.call("UpdateService", wants).await.unwrap();
    }
    fleet.tasks = 2;
    fleet.deploy(&documents::named(&["tuned-to-the-kernel.json"])).await;
    assert_eq!(fleet.refused, [] as [String; 0]);
    fleet
}

#[tokio::test]
async fn what_never_lands_is_no_success_it_is_taken_back_held_and_explained() {
    let peer = Peer::moto().await;
    let store = peer.connection().store("plimsoll");
    store.create_table().await.unwrap();
    let fleet = fleet_on(&peer).await;
    let [first, second, stuck] = [0, 1, 2].map(|place| fleet.services[place].arn.clone());
    let swift = SWIFT.replace(PATIENCE, "progressTimeout: 2m");
    let mut run = Loop::on(&peer, Arc::new(store), &swift).await;
    let ecs = run.ecs.clone();
    let deployments = json!({ "cluster": "prod-a", "service": first });
    let refusal = ecs.call(Operation::ListServiceDeployments, deployments).await;
    let refusal = refusal.expect_err("the service deployments are to be had, and this test shows less than it says");
    assert!(refusal.lacks_the_operation(), "{refusal}");

    let before = fleet.look(ecs.as_ref()).await;
    let plan = run.plan().await;
    assert!(!plan.is_settled());
    assert_eq!((plan.summary().change, plan.summary().deferred), (2, 1));

    // What is deferred is waited for; the rest has long come to its end by then.
    let RunEnd::Settled { problems } = run.runs(Duration::from_secs(5 * 60)).await else { panic!("it was stopped") };
    let problem = |arn: &str| {
        let name = arn.split_once(":service/").map_or(arn, |(_, name)| name);
        problems.iter().find(|problem| problem.contains(name)).unwrap().as_str()
    };
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert!(problem(&first).contains("Held") && problem(&first).contains("6 times"), "{problems:#?}");
    assert!(problem(&second).contains("ChangeFailed"), "the rollout has stopped at the first: {problems:#?}");
    assert!(problem(&stuck).contains("DeploymentInProgress"), "{problems:#?}");

    let campaigns = run.campaigns().await;
    let [campaign] = campaigns.as_slice() else { panic!("{campaigns:#?}") };
    assert!(matches!(campaign.rollout.value.state, RolloutState::Paused { .. }), "{:?}", campaign.rollout.value.state);
    let [tried, pending] = [0, 1].map(|place| &campaign.changes[place].value.state);
    let State::Failed { cause, reason, .. } = tried else { panic!("{tried:?}") };
    // It could not be moved, and it cannot be seen to have come back. How that is said depends on how slow this is.
    assert_eq!((cause.code, reason.code), (ReasonCode::ProgressTimeout, ReasonCode::ProgressTimeout));
    assert!(cause.message.contains("nothing came of it"), "{cause}");
    assert!(reason.message.contains("back"), "{reason}");
    assert_eq!(pending, &State::Pending);

    // Taken back as far as this server goes: every service names what it named, and the made revision is not the latest.
    let after = fleet.look(ecs.as_ref()).await;
    assert_eq!(after, before);
    let writes = run.ecs.writes();
    let told: Vec<&str> = writes
        .iter()
        .filter(|(operation, _)| *operation == Operation::UpdateService)
        .map(|(_, input)| input["taskDefinition"].as_str().unwrap().rsplit('/').next().unwrap())
        .collect();
    assert_eq!(told.first(), Some(&"linked:2"));
    assert_eq!(told.last(), Some(&"linked:1"));
    assert!(told.iter().filter(|revision| **revision == "linked:1").count() == 1, "{told:?}");
    let last = writes.last().unwrap();
    assert_eq!(last.0, Operation::DeregisterTaskDefinition);
    assert!(last.1["taskDefinition"].as_str().unwrap().ends_with("/linked:2"));

    // It stays so: a second run does nothing, and the plan still says what is wrong.
    let store = run.store.clone();
    run.starts_again("two", store);
    let RunEnd::Settled { problems } = run.runs(Duration::ZERO).await else { panic!("it was stopped") };
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert_eq!(run.ecs.writes(), []);
    let plan = run.plan().await;
    assert!(!plan.is_settled());
    let outcome = |arn: &str| plan.services.iter().find(|service| &*service.resource == arn).unwrap().outcome;
    assert_eq!(outcome(&first), PlanOutcome::Blocked);
    run.audits().await;
}
