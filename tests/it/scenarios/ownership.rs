//! Services that somebody else has in hand: a pipeline, AWS Batch, whoever puts a violation back, and their own tags.

use plimsoll::model::ReasonCode;
use plimsoll::plan::{PlanOutcome, PlannedResource};
use plimsoll::rollout::command::Request;
use plimsoll::sim::WorldConfig;
use serde_json::json;

use super::world::{NO_HOST_PID, Story, host_pid};

const PIPELINE: &str = "arn:aws:sts::123456789012:assumed-role/terraform/ci";

fn by(caller: &str) -> Story {
    Story::with(WorldConfig { throttle_percent: 0, caller: caller.to_owned(), ..WorldConfig::default() })
}

async fn only_service(story: &mut Story) -> PlannedResource {
    story.pass().await.plan.unwrap().services.remove(0).full()
}

#[tokio::test]
async fn who_puts_a_violation_back_is_told_each_time_and_retry_ends_it() {
    let mut story = by(PIPELINE);
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    for round in 1..=2 {
        story.passes_for(20 * 60).await;
        assert_eq!(story.phases(&format!("default-{round}")).await.0, "Succeeded");
        let next = story.register(host_pid("web"));
        story.call("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": next }));
    }
    let planned = story.passes_for(10 * 60).await.plan.unwrap().services.remove(0).full();
    assert_eq!(planned.reason.unwrap().code, ReasonCode::Contested);
    let told: Vec<String> = planned.put_back.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    `web:3`, registered by `arn:aws:sts::123456789012:assumed-role/terraform/ci` at 2026-01-05T09:25:00Z, after `default-1` had landed at 2026-01-05T09:07:30Z
    `web:5`, registered by `arn:aws:sts::123456789012:assumed-role/terraform/ci` at 2026-01-05T09:45:00Z, after `default-2` had landed at 2026-01-05T09:29:00Z
    ");
    let proposed = story.campaign("default-3").await;
    assert_eq!(proposed.rollout.value.state.phase(), "Proposed");
    assert_eq!(proposed.changes[0].value.spec.put_back, planned.put_back, "the record of the rollout has it too");

    let id = story.ask("default-3", Request::Retry).await;
    story.passes_for(20 * 60).await;
    assert!(story.answer(&id).await.unwrap().done);
    assert_eq!(story.phases("default-3").await.0, "Superseded");
    assert_eq!(story.phases("default-4").await.0, "Succeeded");
    assert_eq!(story.runs("prod", "web"), ["web:6", "web:6"]);
    // It is counted anew: once more is no contest, and what came before is not told again.
    let next = story.register(host_pid("web"));
    story.call("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": next }));
    story.settle(300);
    let planned = only_service(&mut story).await;
    assert_eq!(planned.put_back.iter().map(|one| one.rollout.as_str()).collect::<Vec<_>>(), ["default-4"]);
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("default-5").await.0, "Succeeded");
}

#[tokio::test]
async fn what_a_named_principal_registered_is_only_proposed() {
    for (pattern, proposed) in [("arn:aws:sts::*:assumed-role/terraform/*", true), ("arn:aws:sts::*:user/alex", false)]
    {
        let mut story = by(PIPELINE);
        story.cluster("prod");
        story.violating_service("prod", "web");
        let strategy = format!(
            "\n---\napiVersion: plimsoll/v1\nkind: RolloutStrategy\nmetadata: {{ name: code }}\nspec: {{ iacPrincipals: [\"{pattern}\"] }}\n"
        );
        let bound = NO_HOST_PID.replace("enforcement: enforce", "enforcement: enforce, strategy: code");
        story.apply(&format!("{bound}{strategy}")).await;
        story.settle(300);
        let planned = only_service(&mut story).await;
        assert_eq!(planned.outcome, PlanOutcome::Change);
        let reason = planned.reason.filter(|reason| reason.code == ReasonCode::ManagedByStack);
        assert_eq!(reason.is_some(), proposed, "{pattern}");
        if let Some(reason) = reason {
            insta::assert_snapshot!(reason.message, @"`web:1` was registered by `arn:aws:sts::123456789012:assumed-role/terraform/ci` at 2026-01-05T09:00:00Z, which `iacPrincipals` names (`arn:aws:sts::*:assumed-role/terraform/*`) and which would put it back: apply the patch there, or approve");
        }
        assert_eq!(story.phases("code-1").await.0 == "Proposed", proposed);
    }
}

#[tokio::test]
async fn what_aws_batch_owns_is_not_touched() {
    let mut story = by("arn:aws:sts::123456789012:assumed-role/AWSServiceRoleForBatch/aws-batch");
    story.cluster("prod");
    story.violating_service("prod", "job");
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    let planned = only_service(&mut story).await;
    assert_eq!((planned.outcome, planned.reason.unwrap().code), (PlanOutcome::Blocked, ReasonCode::OwnedByBatch));
    assert_eq!(story.writes().iter().filter(|write| *write == "UpdateService").count(), 0);
}

#[tokio::test]
async fn tags_by_which_a_service_exempts_itself_are_told() {
    let mut story = Story::begin();
    story.cluster("prod");
    let revision = story.register(host_pid("web"));
    let tags = json!({ "tags": [{ "key": "plimsoll", "value": "off" }, { "key": "team", "value": "x" }] });
    story.service("prod", "web", &revision, tags);
    let binding = "\n---\napiVersion: plimsoll/v1\nkind: Binding\nmetadata: { name: ours }\nspec: { policies: [no-host-pid], enforcement: propose, scope: { exclude: { tags: { team: [y] } } } }\n";
    let waiver = "---\napiVersion: plimsoll/v1\nkind: Waiver\nmetadata: { name: by-tag }\nspec: { policies: [no-host-pid], scope: { include: { tags: { team: [x] } } }, owner: o, reason: r, expiresAt: 2026-06-01T00:00:00Z }\n";
    let excluded = NO_HOST_PID.replace(
        "enforcement: enforce",
        "enforcement: enforce, scope: { exclude: { clusters: [\"prod\"], tags: { plimsoll: [\"off\"] } } }",
    );
    story.apply(&format!("{excluded}{binding}{waiver}")).await;
    story.settle(300);
    let planned = only_service(&mut story).await;
    insta::assert_snapshot!(planned.exempt.join("\n"), @"
    its tag `plimsoll=off` takes it out of Binding `enforce-no-host-pid` (enforce)
    its tag `team=x` brings it under Waiver `by-tag`, until 2026-06-01T00:00:00Z
    ");
}
