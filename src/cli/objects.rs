//! What people wrote, as a row and as JSON, with what the controllers of all targets answered to it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error::Error;
use super::get::Item;
use super::run::Session;
use super::target_status::{self, TargetStatus};
use super::targets;
use crate::model::spec::{BindingSpec, Kind, Metadata, Need, Object, PolicySpec, Spec, Term, WaiverSpec};
use crate::model::{TargetId, Timestamp};
use crate::ports::Store;
use crate::records::statuses::{BindingStatus, PolicyStatus, Status, Statuses, WaiverStatus};
use crate::records::summed::{InTarget, SummedBinding, SummedPolicy, SummedWaiver};

/// A cell where no controller has answered yet: no zero.
const NOBODY_LOOKED: &str = "-";

type ByName<T> = BTreeMap<String, Vec<InTarget<T>>>;

/// What the controllers of all targets answered to the objects of a kind.
#[derive(Default)]
pub(super) struct Standing {
    policies: ByName<PolicyStatus>,
    bindings: ByName<BindingStatus>,
    waivers: ByName<WaiverStatus>,
    targets: BTreeMap<String, TargetStatus>,
}

impl Standing {
    pub(super) async fn read(session: &Session, store: &dyn Store, kind: Kind) -> Result<Self, Error> {
        let mut all = Self::default();
        if kind == Kind::Target {
            all.targets = target_status::all(store, session.now()).await?;
        }
        if !matches!(kind, Kind::Policy | Kind::Binding | Kind::Waiver) {
            return Ok(all);
        }
        for target in targets::all(session, store).await? {
            match kind {
                Kind::Policy => add(store, &target, &mut all.policies).await?,
                Kind::Binding => add(store, &target, &mut all.bindings).await?,
                Kind::Waiver => add(store, &target, &mut all.waivers).await?,
                Kind::RolloutStrategy | Kind::Target | Kind::Freeze => {}
            }
        }
        Ok(all)
    }

    pub(super) fn policy(&self, metadata: &Metadata) -> SummedPolicy {
        SummedPolicy::of(metadata, of_name(&self.policies, &metadata.name))
    }

    pub(super) fn target(&self, metadata: &Metadata) -> TargetStatus {
        self.targets.get(&metadata.name).cloned().unwrap_or_default()
    }

    fn binding(&self, metadata: &Metadata) -> SummedBinding {
        SummedBinding::of(metadata, of_name(&self.bindings, &metadata.name))
    }

    pub(super) fn waiver(&self, metadata: &Metadata, spec: &WaiverSpec, now: Timestamp) -> SummedWaiver {
        SummedWaiver::of(metadata, spec, of_name(&self.waivers, &metadata.name), now)
    }
}

async fn add<T: Status>(store: &dyn Store, target: &TargetId, all: &mut ByName<T>) -> Result<(), Error> {
    for (name, status) in Statuses::of(store, target).list::<T>().await? {
        all.entry(name).or_default().push((target.clone(), status.value));
    }
    Ok(())
}

fn of_name<'a, T>(all: &'a ByName<T>, name: &str) -> &'a [InTarget<T>] {
    all.get(name).map(Vec::as_slice).unwrap_or_default()
}

/// An object in a list.
pub(super) fn item(object: &Object, standing: &Standing, now: Timestamp) -> Item {
    let by = object.metadata.updated_by.clone().unwrap_or_else(|| NOBODY_LOOKED.to_owned());
    let cells = match &object.spec {
        Spec::Policy(spec) => policy(spec, &standing.policy(&object.metadata)),
        Spec::Binding(spec) => binding(spec, &standing.binding(&object.metadata)),
        Spec::Waiver(spec) => {
            let mut cells = waiver(spec, &standing.waiver(&object.metadata, spec, now));
            cells.push(by);
            cells
        }
        Spec::RolloutStrategy(spec) => vec![
            spec.waves.len().to_string(),
            spec.max_in_flight.to_string(),
            spec.max_affected.map_or_else(|| "10%".to_owned(), |limit| word(&limit)),
            word(&spec.on_failure),
        ],
        Spec::Target(spec) => {
            let state = standing.target(&object.metadata).state().to_owned();
            vec![spec.account.clone(), spec.region.clone(), state, spec.role_arn.clone().unwrap_or_default()]
        }
        Spec::Freeze(spec) => {
            let ended = spec.until.is_some_and(|until| until <= now);
            vec![
                if ended { "over" } else { "in force" }.to_owned(),
                spec.until.map(|until| until.to_string()).unwrap_or_else(|| "for ever".to_owned()),
                by,
                spec.reason.clone(),
            ]
        }
    };
    Item { name: object.metadata.name.clone(), cells, json: json(object, standing, now) }
}

/// An object with its `status`, where its kind has one.
pub(super) fn json(object: &Object, standing: &Standing, now: Timestamp) -> Value {
    let status = match &object.spec {
        Spec::Policy(_) => json!(standing.policy(&object.metadata)),
        Spec::Binding(_) => json!(standing.binding(&object.metadata)),
        Spec::Waiver(spec) => json!(standing.waiver(&object.metadata, spec, now)),
        Spec::Target(_) => json!(standing.target(&object.metadata)),
        Spec::RolloutStrategy(_) | Spec::Freeze(_) => Value::Null,
    };
    let mut json = serde_json::to_value(object).unwrap_or_default();
    if let (Value::Object(members), false) = (&mut json, status.is_null()) {
        members.insert("status".to_owned(), status);
    }
    json
}

fn policy(spec: &PolicySpec, status: &SummedPolicy) -> Vec<String> {
    let nobody = || NOBODY_LOOKED.to_owned();
    let [failing, would_change, blocked] = match &status.found {
        None => [nobody(), nobody(), nobody()],
        Some(found) => {
            let tally = &found.tally;
            // What could not be judged is told beside the failures: `0/60` alone would read like a pass.
            let unknown = match (tally.unknown, found.incomplete) {
                (0, false) => String::new(),
                (0, true) => " (not all seen)".to_owned(),
                (count, _) => format!(" ({count} unknown)"),
            };
            let failing = format!("{}/{}{unknown}", tally.failing, tally.matched);
            [failing, tally.would_change.to_string(), tally.blocked.to_string()]
        }
    };
    vec![
        spec.severity.as_str().to_owned(),
        format!("{:?}", spec.resource),
        failing,
        would_change,
        blocked,
        spec.title.clone(),
        spec.controls.join(","),
    ]
}

fn binding(spec: &BindingSpec, status: &SummedBinding) -> Vec<String> {
    vec![
        spec.enforcement.as_str().to_owned(),
        spec.strategy.clone().unwrap_or_else(|| "default".to_owned()),
        status
            .tally
            .map_or_else(|| NOBODY_LOOKED.to_owned(), |tally| format!("{} on {}", tally.policies, tally.resources)),
        match (spec.policies.is_empty(), spec.labels.is_empty()) {
            (true, false) => {
                spec.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
            }
            _ => spec.policies.join(","),
        },
    ]
}

fn waiver(spec: &WaiverSpec, status: &SummedWaiver) -> Vec<String> {
    let unneeded = status.found.as_ref().is_some_and(|found| found.need == Need::Unneeded);
    let state =
        if unneeded { format!("{}, not needed", status.term.as_str()) } else { status.term.as_str().to_owned() };
    let covers = status.found.as_ref().map(|found| match found.need {
        Need::Unknown => "unknown".to_owned(),
        Need::Needed | Need::Unneeded => format!("{} on {}", found.covers, found.resources),
    });
    vec![
        state,
        covers.unwrap_or_else(|| NOBODY_LOOKED.to_owned()),
        spec.expires_at.to_string(),
        if status.term == Term::Expired { NOBODY_LOOKED.to_owned() } else { status.days_left.to_string() },
        spec.owner.clone(),
        spec.policies.join(","),
        spec.reason.clone(),
        spec.ticket.clone().unwrap_or_default(),
    ]
}

/// A small value as people write it.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}
