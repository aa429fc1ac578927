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
