//! One resource in a plan, kept small: what is asked of every one at hand, what is told of one at a time packed.
//!
//! A plan has one for every service. In full they would take more memory than everything else together.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::prospect::Standing;
use super::report::{PlanOutcome, PlannedFinding, PlannedResource};
use crate::model::mask::mask_diff;
use crate::model::packed::{Digest, Packed, Packer};
use crate::model::spec::Enforcement;
use crate::model::{DiffEntry, PutBack, Reason, ReasonCode, Severity};
use crate::policy::WaiverHere;

/// What is told of a resource begins like this and goes on alike; given once, so that equal resources are packed alike.
const DICTIONARY: &[u8] = br#"{"policies":["security-hub-ecs-5","security-hub-ecs-20"],"findings":[{"policy":"security-hub-ecs-5","severity":"high","check":"read-only-root","path":"/containerDefinitions/0/readonlyRootFilesystem","container":"app","message":"container `app` may write to its root filesystem","fixable":true},{"policy":"security-hub-ecs-20","severity":"medium","check":"non-root-user","path":"/containerDefinitions/1/user","container":"sidecar","message":"container `sidecar` runs as root","fixable":false}],"diff":[{"document":"taskDefinition","op":"add","path":"/containerDefinitions/0/readonlyRootFilesystem","to":true,"policy":"security-hub-ecs-5"},{"document":"taskDefinition","op":"remove","path":"/pidMode","from":"host","policy":"security-hub-ecs-3"},{"document":"service","op":"replace","path":"/networkConfiguration/awsvpcConfiguration/assignPublicIp","from":"ENABLED","to":"DISABLED"}],"putBack":[],"bindings":[],"exempt":[]}"#;

/// One service, cluster, task set or capacity provider in a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Its ARN.
    pub resource: Arc<str>,
    /// The revision it has; none for a cluster.
    pub task_definition: Option<Arc<str>>,
    /// What is to become of it.
    pub outcome: PlanOutcome,
    /// The strictest enforcement among the policies that fail.
    pub enforcement: Enforcement,
    /// Why, where the outcome does not say it all.
    pub reason: Option<Reason>,
    /// Its wave, from 1.
    pub wave: Option<usize>,
    /// Waivers in force for it, and whether each is needed.
    pub waivers: Vec<WaiverHere>,
    /// How every policy that was asked stands here, by the policies' names. `None`: it could not be judged.
    pub standings: Option<Arc<[Standing]>>,
    /// How many findings there are of which policy.
    pub found: Arc<[Counted]>,
    /// What all of this follows from, where that can be told without judging again.
    pub key: Option<Digest>,
    /// `None`: nothing.
    rest: Option<Packed>,
}

/// So many findings of one policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    /// The policy.
    pub policy: String,
    /// How bad they are.
    pub severity: Severity,
    /// Whether a Waiver covers them.
    pub waived: bool,
    /// How many.
    pub times: u64,
}

/// What is told of one resource at a time.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rest {
    policies: Vec<String>,
    findings: Vec<PlannedFinding>,
    diff: Vec<DiffEntry>,
    put_back: Vec<PutBack>,
    bindings: Vec<String>,
    exempt: Vec<String>,
    unknown: BTreeMap<String, Reason>,
}

impl Planned {
    /// The whole of it. Values in its diff that may be secrets are masked.
    #[must_use]
    pub fn full(&self) -> PlannedResource {
        let rest: Rest = match self.rest.as_ref().map(Packed::read).transpose() {
            Ok(rest) => rest.unwrap_or_default(),
            Err(error) => {
                let lost = Reason::of(ReasonCode::NotObserved, error.to_string());
                return PlannedResource {
                    outcome: PlanOutcome::Unknown,
                    reason: Some(lost),
                    ..self.bare(Rest::default())
                };
            }
        };
        self.bare(rest)
    }

    fn bare(&self, rest: Rest) -> PlannedResource {
        PlannedResource {
            resource: self.resource.to_string(),
            task_definition: self.task_definition.as_deref().map(str::to_owned),
            outcome: self.outcome,
            enforcement: self.enforcement,
            reason: self.reason.clone(),
            policies: rest.policies,
            findings: rest.findings,
            diff: rest.diff,
            wave: self.wave,
            waivers: self.waivers.clone(),
            put_back: rest.put_back,
            bindings: rest.bindings,
            exempt: rest.exempt,
            unknown: rest.unknown,
            standings: self.standings.clone(),
        }
    }
}

/// Makes resources small.
#[derive(Debug)]
pub(super) struct Smaller {
    packer: Packer,
    /// Most resources stand like many others.
    standings: BTreeSet<Arc<[Standing]>>,
    found: BTreeSet<Arc<[Counted]>>,
}

impl Default for Smaller {
    fn default() -> Self {
        Self { packer: Packer::with(DICTIONARY), standings: BTreeSet::new(), found: BTreeSet::new() }
    }
}

impl Smaller {
    /// Of a resource, with what it follows from.
    pub(super) fn of(&mut self, planned: PlannedResource, key: Option<Digest>) -> Planned {
        let standings = planned.standings.map(|mut standings| {
            Arc::make_mut(&mut standings).sort();
            share(&mut self.standings, standings)
        });
        let found = share(&mut self.found, counted(&planned.findings));
        let rest = Rest {
            policies: planned.policies,
            findings: planned.findings,
            diff: mask_diff(&planned.diff),
            put_back: planned.put_back,
            bindings: planned.bindings,
            exempt: planned.exempt,
            unknown: planned.unknown,
        };
        // Text that is made of strings and JSON can be written.
        let text = if rest == Rest::default() { None } else { serde_json::to_vec(&rest).ok() };
        Planned {
            resource: planned.resource.into(),
            task_definition: planned.task_definition.map(Into::into),
            outcome: planned.outcome,
            enforcement: planned.enforcement,
            reason: planned.reason,
            wave: planned.wave,
            waivers: planned.waivers,
            standings,
            found,
            key,
            rest: text.map(|text| self.packer.pack(&text)),
        }
    }

    /// Forgets how nobody stands any more.
    pub(super) fn forget(&mut self) {
        self.standings.retain(|standings| Arc::strong_count(standings) > 1);
        self.found.retain(|found| Arc::strong_count(found) > 1);
    }
}

fn counted(findings: &[PlannedFinding]) -> Vec<Counted> {
    let mut counts: BTreeMap<(&str, Severity, bool), u64> = BTreeMap::new();
    for one in findings {
        *counts.entry((&one.policy, one.severity, one.finding.waiver.is_some())).or_default() += 1;
    }
    let one = |((policy, severity, waived), times): ((&str, Severity, bool), u64)| Counted {
        policy: policy.to_owned(),
        severity,
        waived,
        times,
    };
    counts.into_iter().map(one).collect()
}

/// The same for all that are equal.
fn share<T: Ord>(known: &mut BTreeSet<Arc<[T]>>, list: impl Borrow<[T]> + Into<Arc<[T]>>) -> Arc<[T]> {
    if let Some(known) = known.get(list.borrow()) {
        return Arc::clone(known);
    }
    let list: Arc<[T]> = list.into();
    known.insert(Arc::clone(&list));
    list
}
