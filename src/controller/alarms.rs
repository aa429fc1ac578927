//! Reading the alarms that a rollout listens to, once for each look at its changes.

use std::collections::BTreeSet;

use super::execute::Executor;
use crate::model::spec::AlarmSelector;
use crate::model::{AlarmReading, Reason, ReasonCode};
use crate::ports::Alarms;
use crate::records::campaign::Campaign;
use crate::rollout::{Change, alarm};

impl Executor<'_> {
    /// Looks at the alarms of a rollout and remembers what they say of it, and whether that is something new.
    pub(super) async fn look_at_alarms(&self, campaign: &mut Campaign) -> bool {
        let changes: Vec<Change> = campaign.changes.iter().map(|change| change.value.clone()).collect();
        let rollout = &mut campaign.rollout.value;
        let reading = match alarm::matters(rollout, &changes) {
            true => Some(read(self.alarms, &rollout.spec.strategy.health.alarms).await),
            false => None,
        };
        let watch = alarm::look(rollout, &changes, reading.as_ref(), self.now());
        let differs = rollout.alarms != watch;
        if differs && rollout.alarms.standing != watch.standing {
            let (target, name) = (self.target.to_string(), rollout.name.as_str());
            let reason = watch.standing.holds().map(ToString::to_string);
            tracing::info!(target_id = %target, rollout = name, reason, "alarms");
        }
        rollout.alarms = watch;
        differs
    }
}

/// All that the selectors choose. Never fails: what could not be read is told.
async fn read(alarms: &dyn Alarms, selectors: &[AlarmSelector]) -> AlarmReading {
    let mut reading = AlarmReading::default();
    let mut named: BTreeSet<String> = BTreeSet::new();
    let mut tagged = Vec::new();
    for selector in selectors {
        match selector {
            AlarmSelector::Name(name) => drop(named.insert(name.clone())),
            AlarmSelector::Tagged(chosen) => match alarms.tagged(chosen).await {
                Ok(names) => tagged.push((chosen, names)),
                Err(error) => reading.gaps.push(error.reason()),
            },
        }
    }
    let asked: BTreeSet<String> = named.iter().chain(tagged.iter().flat_map(|(_, names)| names)).cloned().collect();
    if !asked.is_empty() {
        match alarms.states(&asked).await {
            Ok(found) => reading.alarms = found,
            Err(error) => {
                reading.gaps.push(error.reason());
                return reading;
            }
        }
    }
    let is_there = |name: &String| reading.alarms.iter().any(|alarm| alarm.name == *name);
    reading.missing = named.into_iter().filter(|name| !is_there(name)).collect();
    // A gate that nothing guards would be open. (The tagging API may name alarms that are gone.)
    let guards = |names: &BTreeSet<String>| names.iter().any(is_there);
    let unguarded = tagged.iter().filter(|(_, names)| !guards(names)).map(|(chosen, _)| {
        Reason::of(ReasonCode::AlarmUnknown, format!("no alarm in this account and region has the tags `{chosen}`"))
    });
    reading.gaps.extend(unguarded.collect::<Vec<_>>());
    reading
}
