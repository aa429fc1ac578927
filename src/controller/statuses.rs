//! Writing down how every Policy, Binding and Waiver stands, and the days of clusters, where it says something else than
//! what was written before, and telling once of Waivers that end or are no longer needed.

use std::collections::BTreeMap;

use super::error::ControllerError;
use crate::model::spec::{Kind, Object, Spec};
use crate::model::{TargetId, document};
use crate::plan::Plan;
use crate::ports::Store;
use crate::records::Versioned;
use crate::records::events::{Entry, Events};
use crate::records::statuses::{
    BindingStatus, CLUSTERS, ClusterStatus, Judged, PolicyStatus, SeenWaiver, Status, Statuses, Telling, WaiverStatus,
};

/// Statuses as last written; read from the store once for each term as the lease holder, so that an unchanged fleet
/// writes nothing.
#[derive(Debug)]
pub struct Kept {
    epoch: u64,
    policies: BTreeMap<String, Versioned<PolicyStatus>>,
    bindings: BTreeMap<String, Versioned<BindingStatus>>,
    waivers: BTreeMap<String, Versioned<WaiverStatus>>,
    clusters: BTreeMap<String, Versioned<ClusterStatus>>,
}

impl Kept {
    async fn read(kept: &Statuses<'_>, epoch: u64) -> Result<Self, ControllerError> {
        Ok(Self {
            epoch,
            policies: kept.list().await?,
            bindings: kept.list().await?,
            waivers: kept.list().await?,
            clusters: kept.list().await?,
        })
    }
}

/// Writes what a plan says of `objects` where that is something else, and answers with what is kept now. `kept` is what
/// the pass before answered; it is read again where that was under another lease, or failed.
///
/// The time that counts is the plan's: a Waiver that ends in between is not over by one clock and in force by another.
///
/// # Errors
/// The store's; a conflict where another controller has written since.
pub async fn write(
    store: &dyn Store,
    (target, epoch): (&TargetId, u64),
    objects: &[Object],
    plan: &Plan,
    kept: Option<Kept>,
) -> Result<Kept, ControllerError> {
    let statuses = Statuses::of(store, target);
    let mut kept = match kept.filter(|kept| kept.epoch == epoch) {
        Some(kept) => kept,
        None => Kept::read(&statuses, epoch).await?,
    };
    let now = plan.tally.at;
    for object in objects {
        let name = object.metadata.name.as_str();
        match &object.spec {
            Spec::Policy(_) => {
                let Some(tally) = plan.tally.policies.get(name) else { continue };
                let before = kept.policies.get(name).map(|known| &known.value);
                let status = PolicyStatus::after(before, judged(object), tally, !plan.gaps.is_empty(), now);
                put(&statuses, &mut kept.policies, name, status).await?;
            }
            Spec::Binding(_) => {
                let Some(tally) = plan.tally.bindings.get(name) else { continue };
                let before = kept.bindings.get(name).map(|known| &known.value);
                let status = BindingStatus::after(before, &judged(object), *tally, now);
                put(&statuses, &mut kept.bindings, name, status).await?;
            }
            Spec::Waiver(_) => {
                let Some(found) = plan.tally.waivers.iter().find(|found| found.name == name) else { continue };
                let seen = SeenWaiver {
                    term: found.term,
                    expires_at: found.expires_at,
                    covers: found.covers,
                    resources: found.resources,
                    need: found.need,
                };
                let before = kept.waivers.get(name).map(|known| &known.value);
                let (status, telling) = WaiverStatus::after(before, (name, &judged(object)), seen, now);
                if let Some(telling) = telling {
                    tell(store, target, name, telling, plan).await?;
                }
                put(&statuses, &mut kept.waivers, name, status).await?;
            }
            Spec::RolloutStrategy(_) | Spec::Target(_) | Spec::Freeze(_) => {}
        }
    }
    let is_there =
        |kind: Kind, name: &str| objects.iter().any(|object| object.kind() == kind && object.metadata.name == name);
    forget(&statuses, &mut kept.policies, |name| is_there(Kind::Policy, name)).await?;
    forget(&statuses, &mut kept.bindings, |name| is_there(Kind::Binding, name)).await?;
    forget(&statuses, &mut kept.waivers, |name| is_there(Kind::Waiver, name)).await?;
    write_clusters(&statuses, &mut kept.clusters, plan).await?;
    Ok(kept)
}

/// The days of clusters: of those that have some, and of others by name as long as there is room.
async fn write_clusters(
    statuses: &Statuses<'_>,
    kept: &mut BTreeMap<String, Versioned<ClusterStatus>>,
    plan: &Plan,
) -> Result<(), ControllerError> {
    let incomplete = !plan.gaps.is_empty();
    let found = &plan.tally.clusters;
    // Only what was surely looked for and not found is gone.
    if !incomplete {
        forget(statuses, kept, |name| found.contains_key(name)).await?;
    }
    for (name, tally) in found {
        let before = kept.get(name).map(|known| &known.value);
        if before.is_none() && kept.len() >= CLUSTERS {
            continue;
        }
        let status = ClusterStatus::after(before, tally, incomplete, plan.tally.at);
        put(statuses, kept, name, status).await?;
    }
    Ok(())
}

fn judged(object: &Object) -> Judged {
    let spec = serde_json::to_value(&object.spec).unwrap_or_default();
    Judged { generation: object.metadata.generation, spec: document::hash(&spec) }
}

async fn put<T: Status>(
    statuses: &Statuses<'_>,
    known: &mut BTreeMap<String, Versioned<T>>,
    name: &str,
    status: T,
) -> Result<(), ControllerError> {
    let before = known.get(name);
    if before.is_some_and(|before| before.value == status) {
        return Ok(());
    }
    let version = statuses.write(name, &status, before.map(|before| before.version)).await?;
    known.insert(name.to_owned(), Versioned { version, value: status });
    Ok(())
}

/// Told before it is written down as told: whoever is stopped in between finds the event and does not tell again.
async fn tell(
    store: &dyn Store,
    target: &TargetId,
    name: &str,
    telling: Telling,
    plan: &Plan,
) -> Result<(), ControllerError> {
    tracing::warn!(target_id = %target, waiver = name, what = telling.what, "waiver");
    let entry = Entry {
        subject: format!("{}/{name}", Kind::Waiver),
        at: plan.tally.at,
        what: telling.what.to_owned(),
        message: telling.message,
        reason: None,
        by: "plimsoll".to_owned(),
    };
    Events::of(store, target).append_once(entry, Vec::new()).await?;
    Ok(())
}

/// Removes the statuses of what is gone.
async fn forget<T: Status>(
    statuses: &Statuses<'_>,
    known: &mut BTreeMap<String, Versioned<T>>,
    is_there: impl Fn(&str) -> bool,
) -> Result<(), ControllerError> {
    let gone: Vec<String> = known.keys().filter(|name| !is_there(name)).cloned().collect();
    for name in gone {
        statuses.remove::<T>(&name).await?;
        known.remove(&name);
    }
    Ok(())
}
