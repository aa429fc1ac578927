//! Writing down what was found of each service, where it differs from what was written before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::error::ControllerError;
use crate::model::packed::{Digest, digest};
use crate::model::{TargetId, dense};
use crate::plan::{Judgements, Plan, PlanOutcome, Planned};
use crate::ports::Store;
use crate::records::reports::{Judgement, ReportItem, Reports, ServiceReport};

/// Reports as last written, by ARN; read from the store once, so that an unchanged fleet writes nothing.
pub type Written = BTreeMap<Arc<str>, WrittenReport>;

/// What is remembered of a report: not what it says, there may be tens of thousands.
#[derive(Debug)]
pub enum WrittenReport {
    /// It was made of this, which is kept from pass to pass anyway.
    Of(Arc<Planned>),
    /// The hash of what it says.
    Says(Digest),
}

/// Reads what was written, and recalls from it what was judged: what still holds is not judged again.
///
/// # Errors
/// The store's.
pub async fn read(
    store: &dyn Store,
    target: &TargetId,
    judgements: &mut Judgements,
) -> Result<Written, ControllerError> {
    let mut written = Written::new();
    let see = |arn: String, report: ServiceReport| {
        let recalled = report.judgement.as_ref().and_then(|judgement| {
            let mut planned = report.resource.clone();
            planned.standings = Some(judgement.standings(&report.verdicts, &report.resource.unknown).into());
            Some(judgements.recall(planned, judgement.key()?))
        });
        let (name, known) = match recalled {
            Some(planned) => (Arc::clone(&planned.resource), WrittenReport::Of(planned)),
            None => (arn.into(), WrittenReport::Says(digest_of(&report))),
        };
        written.insert(name, known);
    };
    Reports::of(store, target).each(see).await?;
    Ok(written)
}

/// Writes what changed and removes what is gone. Says how many writes it took.
///
/// # Errors
/// The store's, and [`ControllerError::Stopped`] between two batches of them.
pub async fn write(
    store: &dyn Store,
    target: &TargetId,
    plan: &Plan,
    written: &mut Written,
    stop: &CancellationToken,
) -> Result<usize, ControllerError> {
    let reports = Reports::of(store, target);
    let mut writes = 0;
    let mut batch = Batch::default();
    for planned in plan.resources() {
        let mut known = written.get_mut(&planned.resource);
        // The hash of what it follows from does not tell: somebody may have tagged the revision since.
        if let Some(WrittenReport::Of(of)) = known.as_deref_mut()
            && (Arc::ptr_eq(of, planned) || **of == **planned)
        {
            *of = Arc::clone(planned);
            continue;
        }
        let report = report(planned, &plan.policy_set);
        let now = match planned.key {
            Some(_) => WrittenReport::Of(Arc::clone(planned)),
            None => WrittenReport::Says(digest_of(&report)),
        };
        if let (Some(WrittenReport::Says(before)), WrittenReport::Says(now)) = (&known, &now)
            && before == now
        {
            continue;
        }
        batch.items.push(reports.item(&report)?);
        batch.done.push((Arc::clone(&planned.resource), now));
        writes += 1;
        if batch.items.len() == AT_ONCE {
            batch.write(&reports, written, stop).await?;
        }
    }
    batch.write(&reports, written, stop).await?;
    dense(written);
    // Only what was surely looked for and not found is gone.
    if plan.gaps.is_empty() {
        let seen: BTreeSet<&str> = plan.resources().map(|planned| planned.resource.as_ref()).collect();
        // Where they could not be read, one line stands for all capacity providers.
        let provider = |arn: &str| arn.contains(":capacity-provider/");
        let unread =
            |planned: &Arc<Planned>| planned.outcome == PlanOutcome::Unknown && planned.resource.ends_with("/*");
        let no_providers = plan.capacity_providers.iter().any(unread);
        let stays = |arn: &str| seen.contains(arn) || (no_providers && provider(arn));
        let gone: Vec<Arc<str>> = written.keys().filter(|arn| !stays(arn)).cloned().collect();
        for arn in gone {
            reports.remove(&arn).await?;
            written.remove(&arn);
            writes += 1;
        }
    }
    Ok(writes)
}

/// How many reports are written at once. More would be as much faster as a part of one sync of the disk, and hold up
/// whoever else writes.
const AT_ONCE: usize = 64;

/// Reports that are to be written.
#[derive(Default)]
struct Batch {
    items: Vec<ReportItem>,
    /// What is remembered of them then.
    done: Vec<(Arc<str>, WrittenReport)>,
}

impl Batch {
    async fn write(
        &mut self,
        reports: &Reports<'_>,
        written: &mut Written,
        stop: &CancellationToken,
    ) -> Result<(), ControllerError> {
        if self.items.is_empty() {
            return Ok(());
        }
        if stop.is_cancelled() {
            return Err(ControllerError::Stopped);
        }
        reports.write(&self.items).await?;
        self.items.clear();
        written.extend(self.done.drain(..));
        Ok(())
    }
}

/// The hash of what a report says. Stores keep the order of members, and its own are in the order of its type.
fn digest_of(report: &ServiceReport) -> Digest {
    // What cannot be made JSON of cannot be written either, and says so there.
    digest(&serde_json::to_vec(report).unwrap_or_default())
}

fn report(planned: &Planned, policy_set: &str) -> ServiceReport {
    let full = planned.full();
    let judgement = match (&planned.key, &planned.standings) {
        (Some(key), Some(standings)) => Some(Judgement::of(key, standings)),
        _ => None,
    };
    let verdicts = full.verdicts().map(|(policy, verdict)| (Arc::clone(policy), verdict)).collect();
    ServiceReport { resource: full, verdicts, policy_set: policy_set.to_owned(), judgement }
}
