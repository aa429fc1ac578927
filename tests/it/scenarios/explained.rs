//! Whoever asks why nothing happens gets an answer, also where a pass could not be made.

use plimsoll::model::spec::Kind;
use plimsoll::model::{Reason, ReasonCode};
use plimsoll::records::targets::Targets;
use plimsoll::rollout::{State, waits};
use plimsoll::sim::Fault;

use super::world::{NO_HOST_PID, Story};

async fn conditions(story: &Story) -> Vec<Reason> {
    let target = &story.controller.settings().target;
    Targets::of(story.store.as_ref()).read(target).await.unwrap().unwrap().value.conditions
}

async fn fails(story: &mut Story) -> ReasonCode {
    assert!(story.controller.pass(plimsoll::controller::reconcile::Depth::Full).await.is_err());
    let told = conditions(story).await;
    assert_eq!(told.len(), 1, "{told:?}");
    told[0].code
}

#[tokio::test]
async fn a_pass_that_could_not_be_made_says_why_until_one_could() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.settle(300);
    assert_eq!(fails(&mut story).await, ReasonCode::NoPolicies);
    story.apply(&NO_HOST_PID.replace("enforcement: enforce", "enforcement: audit")).await;
    let refuse = |code: &'static str| {
        move |call: &plimsoll::sim::Call| {
            let fault = || Fault::Refuse { code: code.to_owned(), message: "not now".to_owned() };
            (call.operation.as_str() == "ListClusters").then(fault)
        }
    };
    story.ecs.set_faults(refuse("AccessDeniedException"));
    assert_eq!(fails(&mut story).await, ReasonCode::AccessDenied);
    story.ecs.set_faults(|call: &plimsoll::sim::Call| {
        (call.operation.as_str() == "ListClusters").then_some(Fault::ServerError)
    });
    assert_eq!(fails(&mut story).await, ReasonCode::NotObserved);
    story.ecs.set_faults(|_: &plimsoll::sim::Call| None);
    story.pass().await;
    assert_eq!(conditions(&story).await, [], "what is mended is not told any more");
    story.ecs.set_faults(|call: &plimsoll::sim::Call| {
        (call.operation.as_str() == "ListServices").then_some(Fault::ServerError)
    });
    story.pass().await;
    assert_eq!(conditions(&story).await[0].code, ReasonCode::NotObserved, "part of the fleet was not seen");
    story.delete(Kind::Binding, "enforce-no-host-pid").await;
    story.delete(Kind::Policy, "no-host-pid").await;
    assert_eq!(fails(&mut story).await, ReasonCode::NoPolicies);
}

#[tokio::test]
async fn at_every_moment_of_a_rollout_every_change_says_what_it_waits_for() {
    let mut story = Story::begin();
    story.cluster("prod");
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        story.violating_service("prod", name);
    }
    let strategy = "\n---\napiVersion: plimsoll/v1\nkind: RolloutStrategy\nmetadata: { name: slow }\nspec: { waves: [{ name: canary, size: 1, bake: 2m }, { name: rest, size: rest }], maxInFlight: 2 }\n";
    let bound = NO_HOST_PID.replace("enforcement: enforce", "enforcement: enforce, strategy: slow");
    story.apply(&format!("{bound}{strategy}")).await;
    story.settle(300);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        story.pass().await;
        let campaign = story.campaign("slow-1").await;
        let rollout = &campaign.rollout.value;
        if rollout.state.is_final() {
            break;
        }
        assert!(rollout.waiting.is_some(), "{:?} and no reason", rollout.state);
        let all = || campaign.changes.iter().map(|change| &change.value);
        for change in all().filter(|change| !matches!(change.state, State::Succeeded { .. })) {
            let why = waits::why(rollout, all(), change);
            // What was begun in this very pass says so by its phase alone, until it is looked at.
            if change.state == State::Pending {
                seen.insert(why.unwrap_or_else(|| panic!("{change:#?}")).code);
            } else if let Some(why) = why {
                seen.insert(why.code);
            }
        }
        story.settle(15);
    }
    assert_eq!(story.phases("slow-1").await.0, "Succeeded");
    for code in [ReasonCode::EarlierWave, ReasonCode::MaxInFlight, ReasonCode::Progressing, ReasonCode::Steadying] {
        assert!(seen.contains(&code), "{code:?} was never told: {seen:?}");
    }
}
