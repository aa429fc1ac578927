//! Writing down what was found of each service, where it differs from what was written before.

use std::collections::BTreeMap;

use super::error::ControllerError;
use crate::model::TargetId;
use crate::plan::{Plan, PlanOutcome, PlannedResource};
use crate::ports::Store;
use crate::records::reports::{Reports, ServiceReport};
use crate::rollout::make::masked;

/// Reports as last written; read from the store once, so that an unchanged fleet writes nothing.
pub type Written = BTreeMap<String, ServiceReport>;

/// Writes what changed and removes what is gone. Says how many writes it took.
///
/// # Errors
/// The store's.
pub async fn write(
    store: &dyn Store,
    target: &TargetId,
    plan: &Plan,
    written: &mut Option<Written>,
) -> Result<usize, ControllerError> {
    let reports = Reports::of(store, target);
    if written.is_none() {
        *written = Some(reports.list().await?);
    }
    let Some(written) = written.as_mut() else { return Ok(0) };
    let mut writes = 0;
    let mut seen = std::collections::BTreeSet::new();
    for planned in plan.resources() {
        seen.insert(planned.resource.clone());
        let report = report(planned, &plan.policy_set);
        if written.get(&planned.resource) != Some(&report) {
            reports.write(&report).await?;
            written.insert(planned.resource.clone(), report);
            writes += 1;
        }
    }
    // Only what was surely looked for and not found is gone.
    if plan.gaps.is_empty() {
        // Where they could not be read, one line stands for all capacity providers.
        let provider = |arn: &str| arn.contains(":capacity-provider/");
        let unread =
            |planned: &PlannedResource| planned.outcome == PlanOutcome::Unknown && planned.resource.ends_with("/*");
        let no_providers = plan.capacity_providers.iter().any(unread);
        let gone: Vec<String> =
            written.keys().filter(|arn| !(seen.contains(*arn) || (no_providers && provider(arn)))).cloned().collect();
        for arn in gone {
            reports.remove(&arn).await?;
            written.remove(&arn);
            writes += 1;
        }
    }
    Ok(writes)
}

fn report(planned: &PlannedResource, policy_set: &str) -> ServiceReport {
    let verdicts = planned.verdicts.iter().cloned().collect();
    let resource =
        PlannedResource { diff: masked(&planned.diff), verdicts: Vec::new(), standings: None, ..planned.clone() };
    ServiceReport { resource, verdicts, policy_set: policy_set.to_owned() }
}
