//! What a service names passes as soon as it is named, and a setting that only new tasks pick up as soon as it is made. As long
//! as tasks are known to run that started before, that is no pass: a service complies when its running tasks do.
//!
//! Knows nothing of tasks, and of settings that somebody else made and that started no deployment: to look at the tasks of
//! every service would take more calls than all the rest of a pass. Of deployments, only what the service shows of them.

use std::collections::BTreeMap;

use super::judge::Judged;
use super::report::PlanOutcome;
use crate::model::observed::Service;
use crate::model::wire::OF_DEPLOYMENTS;
use crate::model::{Reason, Resource, Verdict};

/// By resource, the policies whose settings older tasks are without, and what is known of that.
pub type OlderTasks = BTreeMap<Resource, BTreeMap<String, Reason>>;

/// Takes back what was said to pass of policies whose settings older tasks are without: it is unknown until they are gone.
/// Where nothing else is said of the resource, that is why it does not comply yet.
pub(super) fn not_a_pass_yet(judged: &mut Judged, said_to_pass: bool, older: Option<&BTreeMap<String, Reason>>) {
    let Some(older) = older else { return };
    let first = take_back(judged, |policy| older.contains_key(policy));
    if let Some((policy, reason)) = first.and_then(|policy| older.get(&policy).map(|reason| (policy, reason)))
        && said_to_pass
    {
        judged.planned.outcome = PlanOutcome::Deferred;
        judged.planned.policies = vec![policy];
        judged.planned.reason = Some(reason.clone());
    }
}

/// Makes unknown what was said to pass of these policies, and names the first.
pub(super) fn take_back(judged: &mut Judged, of: impl Fn(&str) -> bool) -> Option<String> {
    let mut first = None;
    for (policy, verdict) in &mut judged.planned.verdicts {
        if *verdict == Verdict::Pass && of(policy) {
            *verdict = Verdict::Unknown;
            first = first.or_else(|| Some(policy.clone()));
        }
    }
    for standing in judged.planned.standings.iter_mut().flatten() {
        if standing.verdict == Verdict::Pass && of(&standing.policy) {
            standing.verdict = Verdict::Unknown;
        }
    }
    first
}

/// In what the tasks of an earlier deployment, which run or drain until ECS lists it no more, differ from what the service
/// has by now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Earlier {
    /// They run another task definition.
    pub(super) revision: bool,
    /// They got other settings.
    pub(super) settings: bool,
}

/// Settings of a service that a deployment shows too, and its tasks keep (botocore ecs/2014-11-13 `Deployment`).
const SETTINGS: [&str; 2] = ["networkConfiguration", "platformVersion"];

impl Earlier {
    /// Of the deployments that a service shows.
    pub(super) fn of(service: &Service) -> Self {
        let Some(primary) = service.primary() else { return Self::default() };
        let named = service.task_definition.as_ref();
        let listed = service.document.get("deployments").and_then(|list| list.as_array()).into_iter().flatten();
        let mut shown = listed.filter(|one| one.get("status").is_some_and(|status| status != "INACTIVE"));
        let is_primary = |one: &&serde_json::Value| one.get("id").is_some_and(|id| *id == primary.id.as_str());
        let ours = shown.clone().find(is_primary);
        let member = |name: &str, one| serde_json::Value::get(one, name).filter(|value| !value.is_null());
        let differs = |one| {
            SETTINGS
                .iter()
                .chain(&OF_DEPLOYMENTS)
                .any(|name| ours.map(|ours| member(name, ours)) != Some(member(name, one)))
        };
        let of_another =
            |one: &crate::model::observed::Deployment| one.status != "INACTIVE" && Some(&one.task_definition) != named;
        Self { revision: service.deployments.iter().any(of_another), settings: shown.any(differs) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ReasonCode, Severity};
    use crate::plan::Standing;
    use crate::plan::judge::blank;

    /// What is said of policies `exec` and `other`, where older tasks are without what `exec` asks.
    #[track_caller]
    fn check(outcome: PlanOutcome, exec: Verdict, said_to_pass: bool, expected: (PlanOutcome, Verdict)) {
        let verdicts = [("exec", exec), ("other", Verdict::Pass)];
        let mut planned = blank("arn", outcome, None);
        planned.verdicts = verdicts.map(|(policy, verdict)| (policy.to_owned(), verdict)).to_vec();
        let standing = |(policy, verdict): (&str, Verdict)| Standing {
            policy: policy.to_owned(),
            verdict,
            bindings: vec![],
            prospect: None,
        };
        planned.standings = Some(verdicts.map(standing).to_vec());
        let mut judged = Judged::unmoved(planned, Severity::Low);
        let reason = Reason::of(ReasonCode::OlderTasks, "1 of 2");
        let older = BTreeMap::from([("exec".to_owned(), reason.clone())]);
        not_a_pass_yet(&mut judged, said_to_pass, Some(&older));
        let planned = judged.planned;
        let standings: Vec<Verdict> = planned.standings.unwrap().into_iter().map(|one| one.verdict).collect();
        assert_eq!((planned.outcome, standings), (expected.0, vec![expected.1, Verdict::Pass]));
        assert_eq!(planned.verdicts[0].1, expected.1);
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
            .iter()
            .filter(|one| one.0)
            .map(|one| one.1)
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
        // ECS went back, and the service still names what it went back from.
        check_earlier(json!([one("ecs-svc/1", "PRIMARY", 1, json!("1.4.0"))]), "revision");
    }
}
