//! One alarm, and all of them together. Does not know how they are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::random::Random;
use super::super::state::{Event, State};
use crate::model::{AlarmState, Timestamp};

/// How long CloudWatch takes to evaluate a new alarm for the first time. Its shortest usual period is a minute.
const FIRST_EVALUATION: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(90));

/// What decides how an alarm stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sim) enum Rule {
    /// A metric: nobody models it, so the alarm stands as it is told.
    Metric(AlarmState),
    /// A composite alarm: in ALARM while any of these is.
    AnyOf(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sim) struct Alarm {
    pub(in crate::sim) rule: Rule,
    pub(in crate::sim) tags: BTreeMap<String, String>,
    /// Since when it stands as it stands.
    pub(in crate::sim) since: Timestamp,
}

impl Alarm {
    pub(in crate::sim) const fn is_composite(&self) -> bool {
        matches!(self.rule, Rule::AnyOf(_))
    }
}

const fn word(state: AlarmState) -> &'static str {
    match state {
        AlarmState::Ok => "OK",
        AlarmState::Alarm => "ALARM",
        AlarmState::InsufficientData => "INSUFFICIENT_DATA",
    }
}

impl State {
    /// How an alarm stands, in CloudWatch's word.
    pub(in crate::sim) fn alarm_state(&self, alarm: &Alarm) -> &'static str {
        word(self.standing(alarm))
    }

    fn standing(&self, alarm: &Alarm) -> AlarmState {
        match &alarm.rule {
            Rule::Metric(state) => *state,
            Rule::AnyOf(children) => {
                // One level: a composite alarm of composite alarms is not modelled, and stands as if they were OK.
                let rings = |name: &String| {
                    self.alarms.get(name).is_some_and(|child| child.rule == Rule::Metric(AlarmState::Alarm))
                };
                if children.iter().any(rings) { AlarmState::Alarm } else { AlarmState::Ok }
            }
        }
    }

    /// The alarms that are going off.
    pub(in crate::sim) fn ringing(&self) -> BTreeSet<String> {
        let ringing = self.alarms.iter().filter(|(_, alarm)| self.standing(alarm) == AlarmState::Alarm);
        ringing.map(|(name, _)| name.clone()).collect()
    }

    /// Makes an alarm, or makes it anew: what it listens to changes, how it stands does not.
    pub(in crate::sim) fn put_alarm(&mut self, name: &str, rule: Rule, tags: BTreeMap<String, String>) {
        let now = self.now;
        let metric = matches!(rule, Rule::Metric(_));
        match self.alarms.get_mut(name) {
            Some(known) if known.is_composite() || !metric => known.rule = rule,
            Some(_) => {}
            None => {
                self.alarms.insert(name.to_owned(), Alarm { rule, tags, since: now });
                if metric {
                    let mut random = Random::named(self.config.seed, &format!("alarm/{name}"));
                    let event = Event::Evaluate { alarm: name.to_owned() };
                    self.schedule(now + random.between(FIRST_EVALUATION), event);
                }
            }
        }
    }

    /// A new alarm is evaluated for the first time: OK, unless somebody has told it already how to stand.
    pub(in crate::sim) fn evaluate_alarm(&mut self, name: &str) {
        if self.alarms.get(name).is_some_and(|alarm| alarm.rule == Rule::Metric(AlarmState::InsufficientData)) {
            self.set_alarm(name, AlarmState::Ok);
        }
    }

    /// Tells an alarm how to stand; one that is not there is made. Deployments and composite alarms react.
    pub(in crate::sim) fn set_alarm(&mut self, name: &str, state: AlarmState) {
        let (now, before) = (self.now, self.ringing());
        let new = Alarm { rule: Rule::Metric(state), tags: BTreeMap::new(), since: now };
        let alarm = self.alarms.entry(name.to_owned()).or_insert_with(|| new.clone());
        if alarm.rule != new.rule && !alarm.is_composite() {
            (alarm.rule, alarm.since) = (new.rule, now);
        }
        let after = self.ringing();
        for changed in before.symmetric_difference(&after) {
            if let Some(alarm) = self.alarms.get_mut(changed) {
                alarm.since = now;
            }
            self.tell_deployments(changed);
        }
    }
}
