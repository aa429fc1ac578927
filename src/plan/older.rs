//! What a service names passes as soon as it is named, and a setting that only new tasks pick up as soon as it is made. As long
//! as tasks are known to run that started before, that is no pass: a service complies when its running tasks do.
//!
//! Knows nothing of tasks, and of settings that somebody else made and that started no deployment: to look at the tasks of
//! every service would take more calls than all the rest of a pass. Of deployments, only what the service shows of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::judge::Judged;
use super::report::PlanOutcome;
use crate::model::observed::{Deployment, Service};
use crate::model::wire::OF_DEPLOYMENTS;
use crate::model::{Reason, ReasonCode, Resource, Verdict};

/// By resource, the policies whose settings older tasks are without, and what is known of that.
pub type OlderTasks = BTreeMap<Resource, BTreeMap<String, Reason>>;

/// Whether this is why a policy is unknown of which nothing but older tasks keeps it from passing.
#[must_use]
pub const fn is_why(reason: &Reason) -> bool {
    matches!(reason.code, ReasonCode::OlderTasks | ReasonCode::Draining)
}

/// Takes back what was said to pass of policies whose settings older tasks are without: it is unknown until they are gone.
/// Where nothing else is said of the resource, that is why it does not comply yet.
pub(super) fn not_a_pass_yet(judged: &mut Judged, said_to_pass: bool, older: Option<&BTreeMap<String, Reason>>) {
    let Some(older) = older else { return };
    let first = take_back(judged, |policy| older.get(policy));
    if let Some((policy, reason)) = first
        && said_to_pass
    {
        judged.planned.outcome = PlanOutcome::Deferred;
        judged.planned.policies = vec![policy];
        judged.planned.reason = Some(reason.clone());
    }
}

/// Makes unknown what was said to pass of the policies that `why` has a reason for, and gives the first with its reason.
/// It is told apart from what could not be read: nobody has to do anything about it.
pub(super) fn take_back<'a>(
    judged: &mut Judged,
    why: impl Fn(&str) -> Option<&'a Reason>,
) -> Option<(String, &'a Reason)> {
    let mut first = None;
    let planned = &mut judged.planned;
    for standing in planned.standings.iter_mut().flat_map(|all| Arc::make_mut(all).iter_mut()) {
        if let (Verdict::Pass, Some(reason)) = (standing.verdict, why(&standing.policy)) {
            (standing.verdict, standing.older_tasks) = (Verdict::Unknown, true);
            planned.unknown.insert(standing.policy.to_string(), reason.clone());
            first = first.or_else(|| Some((standing.policy.to_string(), reason)));
        }
    }
    first
}

/// In what the tasks of an earlier deployment, which run or drain until ECS lists it no more, differ from what the service
/// has by now: why nothing passes yet, of policies about that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Earlier {
    /// They run another task definition.
    pub(super) revision: Option<Reason>,
    /// They got other settings.
    pub(super) settings: Option<Reason>,
}

/// Settings of a service that a deployment shows too, and its tasks keep (botocore ecs/2014-11-13 `Deployment`), besides
/// [`OF_DEPLOYMENTS`]. It shows neither load balancers nor service registries.
const SETTINGS: [&str; 6] = [
    "capacityProviderStrategy",
    "fargateEphemeralStorage",
    "launchType",
    "networkConfiguration",
    "platformFamily",
    "platformVersion",
];

impl Earlier {
    /// Of the deployments that a service shows.
    pub(super) fn of(service: &Service) -> Self {
        let Some(primary) = service.primary() else { return Self::default() };
        let named = service.task_definition.as_ref();
        let listed = service.document.get("deployments").and_then(|list| list.as_array()).into_iter().flatten();
        let mut shown = listed.filter(|one| one.get("status").is_some_and(|status| status != "INACTIVE"));
        let is_primary = |one: &&Value| one.get("id").is_some_and(|id| *id == primary.id.as_str());
        let ours = shown.clone().find(is_primary);
        let differs = |one: &&Value| {
            let differs = |name: &&str| ours.is_none_or(|ours| member(name, ours) != member(name, one));
            SETTINGS.iter().chain(&OF_DEPLOYMENTS).any(differs)
        };
        let of_another = |one: &&Deployment| one.status != "INACTIVE" && Some(&one.task_definition) != named;
        let run = |one: &Deployment| {
            let (id, revision) = (&one.id, one.task_definition.short());
            still(format!("tasks of its deployment `{id}` run or drain, with task definition `{revision}`"))
        };
        let started = |one: &Value| {
            let id = one.get("id").and_then(Value::as_str).unwrap_or_default();
            still(format!("tasks of its deployment `{id}` run or drain, which were started with other settings"))
        };
        Self {
            revision: service.deployments.iter().find(of_another).map(run),
            // (It does not differ from itself; looking costs as much as all else here.)
            settings: shown.find(|one| !is_primary(one) && differs(one)).map(started),
        }
    }
}

/// A member of a deployment, if it says anything: an empty strategy is none.
fn member<'a>(name: &str, deployment: &'a Value) -> Option<&'a Value> {
    deployment.get(name).filter(|value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()))
}

fn still(message: String) -> Reason {
    Reason::of(ReasonCode::Draining, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Severity;
    use crate::plan::Standing;
    use crate::plan::judge::blank;

    /// What is said of policies `exec` and `other`, where older tasks are without what `exec` asks.
    #[track_caller]
    fn check(outcome: PlanOutcome, exec: Verdict, said_to_pass: bool, expected: (PlanOutcome, Verdict)) {
        let verdicts = [("exec", exec), ("other", Verdict::Pass)];
        let mut planned = blank("arn", outcome, None);
        let standing = |(policy, verdict): (&str, Verdict)| Standing {
            policy: policy.into(),
            verdict,
            bindings: Arc::default(),
            prospect: None,
            older_tasks: false,
        };
        planned.standings = Some(verdicts.map(standing).into());
        let mut judged = Judged::unmoved(planned, Severity::Low);
        let reason = Reason::of(ReasonCode::OlderTasks, "1 of 2");
        let older = BTreeMap::from([("exec".to_owned(), reason.clone())]);
        not_a_pass_yet(&mut judged, said_to_pass, Some(&older));
        let planned = judged.planned;
        let standings = planned.standings.unwrap();
        let verdicts: Vec<Verdict> = standings.iter().map(|one| one.verdict).collect();
        assert_eq!((planned.outcome, verdicts), (expected.0, vec![expected.1, Verdict::Pass]));
        let taken_back = exec == Verdict::Pass;
        assert_eq!(standings.iter().map(|one| one.older_tasks).collect::<Vec<_>>(), [taken_back, false]);
        assert_eq!(planned.unknown, if taken_back { older } else { BTreeMap::new() });
        let told = expected.0 == PlanOutcome::Deferred;
        assert_eq!(planned.reason, told.then_some(reason));
    }

    #[test]
    fn a_policy_whose_setting_older_tasks_are_without_does_not_pass_whatever_else_is_said() {
        use PlanOutcome::{Audit, Blocked, Change, Compliant, Deferred};
        check(Compliant, Verdict::Pass, true, (Deferred, Verdict::Unknown));
        check(Audit, Verdict::Pass, true, (Deferred, Verdict::Unknown));
        check(Change, Verdict::Pass, false, (Change, Verdict::Unknown));
        // Somebody has set it otherwise since: that is told as it is.
        check(Change, Verdict::Fail, false, (Change, Verdict::Fail));
        check(Blocked, Verdict::Waived, false, (Blocked, Verdict::Waived));
        check(Compliant, Verdict::Skip, true, (Compliant, Verdict::Skip));
    }

    /// `revision`, `settings`, both or `-`, where the service names revision 2 and shows these deployments.
    #[track_caller]
    fn check_earlier(deployments: serde_json::Value, expected: &str) {
        let service = serde_json::json!({
            "serviceArn": "arn:aws:ecs:eu-west-1:1:service/prod/web", "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/prod",
            "taskDefinition": "arn:aws:ecs:eu-west-1:1:task-definition/web:2", "deployments": deployments,
        });
        let found = Earlier::of(&crate::model::wire::service(&service).unwrap());
        let told: Vec<&str> = [(found.revision, "revision"), (found.settings, "settings")]
            .into_iter()
            .filter_map(|(reason, what)| reason.map(|_| what))
            .collect();
        assert_eq!(if told.is_empty() { "-".to_owned() } else { told.join(" ") }, expected);
    }

    #[test]
    fn tasks_of_an_earlier_deployment_are_older_in_what_that_shows() {
        use serde_json::{Value, json};
        let one = |id: &str, status: &str, revision: u32, version: Value| {
            let arn = format!("arn:aws:ecs:eu-west-1:1:task-definition/web:{revision}");
            json!({ "id": id, "status": status, "taskDefinition": arn, "platformVersion": version })
        };
        let now = || one("ecs-svc/2", "PRIMARY", 2, json!("1.4.0"));
        check_earlier(json!([now()]), "-");
        check_earlier(json!([]), "-");
        check_earlier(json!([now(), one("ecs-svc/1", "ACTIVE", 1, json!("1.4.0"))]), "revision");
        check_earlier(json!([now(), one("ecs-svc/1", "ACTIVE", 2, json!("1.3.0"))]), "settings");
        check_earlier(json!([now(), one("ecs-svc/1", "ACTIVE", 1, Value::Null)]), "revision settings");
        // The same again: a restart.
        check_earlier(json!([now(), one("ecs-svc/1", "ACTIVE", 2, json!("1.4.0"))]), "-");
        check_earlier(json!([now(), one("ecs-svc/1", "INACTIVE", 1, json!("1.3.0"))]), "-");
        // Whatever else a deployment shows of how its tasks were started.
        for (name, before, value) in [
            ("networkConfiguration", json!({ "awsvpcConfiguration": { "subnets": ["a"] } }), Value::Null),
            (
                "capacityProviderStrategy",
                json!([{ "capacityProvider": "FARGATE_SPOT" }]),
                json!([{ "capacityProvider": "FARGATE" }]),
            ),
            ("capacityProviderStrategy", json!([{ "capacityProvider": "FARGATE_SPOT" }]), json!([])),
            ("launchType", json!("EC2"), json!("FARGATE")),
            ("platformFamily", json!("WINDOWS_SERVER_2019_CORE"), json!("Linux")),
            ("fargateEphemeralStorage", Value::Null, json!({ "kmsKeyId": "k" })),
            ("serviceConnectConfiguration", json!({ "enabled": true }), Value::Null),
        ] {
            let (mut earlier, mut primary) = (one("ecs-svc/1", "ACTIVE", 2, json!("1.4.0")), now());
            check_earlier(json!([primary, earlier]), "-");
            (earlier[name], primary[name]) = (before, value);
            check_earlier(json!([primary, earlier]), "settings");
        }
        // Without a strategy ECS shows none, or an empty one.
        let mut empty = one("ecs-svc/1", "ACTIVE", 2, json!("1.4.0"));
        empty["capacityProviderStrategy"] = json!([]);
        check_earlier(json!([now(), empty]), "-");
        // ECS went back, and the service still names what it went back from.
        check_earlier(json!([one("ecs-svc/1", "PRIMARY", 1, json!("1.4.0"))]), "revision");
    }
}
