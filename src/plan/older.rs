//! A setting that only new tasks pick up passes, by the service's own document, as soon as it is made. As long as tasks are
//! known to run that started before, that is no pass: a service complies when its running tasks do.
//!
//! Knows nothing of tasks, and of settings that somebody else made: to look at the tasks of every service would take more
//! calls than all the rest of a pass.

use std::collections::BTreeMap;

use super::judge::Judged;
use super::report::PlanOutcome;
use crate::model::{Reason, Resource, Verdict};

/// By resource, the policies whose settings older tasks are without, and what is known of that.
pub type OlderTasks = BTreeMap<Resource, BTreeMap<String, Reason>>;

/// Takes back what was said to pass of policies whose settings older tasks are without: it is unknown until they are gone.
/// Where nothing else is said of the resource, that is why it does not comply yet.
pub(super) fn not_a_pass_yet(judged: &mut Judged, said_to_pass: bool, older: Option<&BTreeMap<String, Reason>>) {
    let Some(older) = older else { return };
    let mut first = None;
    for (policy, verdict) in &mut judged.planned.verdicts {
        if let (Verdict::Pass, Some(reason)) = (*verdict, older.get(policy)) {
            *verdict = Verdict::Unknown;
            first = first.or(Some((policy.clone(), reason)));
        }
    }
    for standing in judged.planned.standings.iter_mut().flatten() {
        if standing.verdict == Verdict::Pass && older.contains_key(&standing.policy) {
            standing.verdict = Verdict::Unknown;
        }
    }
    if let Some((policy, reason)) = first.filter(|_| said_to_pass) {
        judged.planned.outcome = PlanOutcome::Deferred;
        judged.planned.policies = vec![policy];
        judged.planned.reason = Some(reason.clone());
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
}
