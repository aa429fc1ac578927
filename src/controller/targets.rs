//! Which targets this process runs: what to start and what to stop, given what is stored. Decides, and does nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::TargetId;
use crate::model::spec::{Object, Spec, TargetSpec};

/// How long is waited after the first failure in a row; twice as long after each one more.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// No longer: a role that may be assumed again is seen within this.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A target that is to be watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The name of its Target object. Empty: there is none, and it is that of the credentials in use.
    pub name: String,
    /// What the object says.
    pub spec: Option<TargetSpec>,
}

impl Wanted {
    /// The account and region, where they are known before it is reached.
    #[must_use]
    pub fn id(&self) -> Option<TargetId> {
        self.spec.as_ref().map(|spec| TargetId { account: spec.account.clone(), region: spec.region.clone() })
    }

    /// What to call it.
    #[must_use]
    pub fn title(&self) -> String {
        match self.name.as_str() {
            "" => "the target of the credentials in use".to_owned(),
            name => format!("Target `{name}`"),
        }
    }
}

/// What is stored of targets: those that are to be watched, and those that nothing can be done for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    /// By name. Without any Target object: that of the credentials in use.
    pub wanted: Vec<Wanted>,
    /// Targets whose account and region another one, which comes before by name, has already: that one. One lease covers
    /// an account and region; a second Target would be the same one with another budget, role and set of labels.
    pub doubles: BTreeMap<String, String>,
}

impl Stored {
    /// Of these objects; `only` picks one.
    #[must_use]
    pub fn of(objects: &[Object], only: Option<&TargetId>) -> Self {
        let spec = |object: &Object| match &object.spec {
            Spec::Target(spec) => Some((object.metadata.name.clone(), spec.clone())),
            _ => None,
        };
        let named: BTreeMap<String, TargetSpec> = objects.iter().filter_map(spec).collect();
        if named.is_empty() {
            return Self { wanted: vec![Wanted { name: String::new(), spec: None }], doubles: BTreeMap::new() };
        }
        let mut stored = Self::default();
        let mut seen: BTreeMap<TargetId, String> = BTreeMap::new();
        for (name, spec) in named {
            let wanted = Wanted { name: name.clone(), spec: Some(spec) };
            let Some(id) = wanted.id().filter(|id| only.is_none_or(|only| only == id)) else { continue };
            match seen.get(&id) {
                Some(first) => drop(stored.doubles.insert(name, first.clone())),
                None => {
                    seen.insert(id, name);
                    stored.wanted.push(wanted);
                }
            }
        }
        stored
    }
}

/// How a target stands in this process.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// Its controller runs, or is on the way there.
    Runs {
        /// Started as this.
        wanted: Wanted,
        /// How often in a row it was started in vain before.
        failures: u32,
    },
    /// It has been told to stop, and gives its lease up.
    Stops {
        /// Started as this.
        wanted: Wanted,
    },
    /// It could not be reached, or its controller ended.
    Waits {
        /// Tried as this.
        wanted: Wanted,
        /// How often in a row.
        failures: u32,
        /// Not again before this, on the monotonic clock.
        until: Duration,
    },
}

impl Standing {
    /// What it was started or tried as.
    #[must_use]
    pub const fn wanted(&self) -> &Wanted {
        match self {
            Self::Runs { wanted, .. } | Self::Stops { wanted } | Self::Waits { wanted, .. } => wanted,
        }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Reach it, and run its controller.
    Start {
        /// As this.
        wanted: Wanted,
        /// How often in a row that was in vain.
        failures: u32,
    },
    /// Have its controller stop between two steps.
    Stop {
        /// The target's name.
        name: String,
    },
    /// It is no longer wanted, and nothing of it runs.
    Forget {
        /// The target's name.
        name: String,
    },
}

/// What to do now. A target whose object says something else than it was started as is stopped first: it starts again
/// once it has given its lease up. So does one that has another one's account and region, under whatever name.
#[must_use]
pub fn steps(wanted: &[Wanted], standing: &BTreeMap<String, Standing>, now: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    for (name, stands) in standing {
        let still = wanted.iter().find(|wanted| wanted.name == *name);
        match stands {
            Standing::Runs { wanted: as_this, .. } if still != Some(as_this) => {
                steps.push(Step::Stop { name: name.clone() });
            }
            Standing::Waits { .. } if still.is_none() => steps.push(Step::Forget { name: name.clone() }),
            Standing::Runs { .. } | Standing::Stops { .. } | Standing::Waits { .. } => {}
        }
    }
    let runs = |stands: &&Standing| matches!(stands, Standing::Runs { .. } | Standing::Stops { .. });
    for wanted in wanted {
        // One without an object may be any.
        let taken = |stands: &Standing| {
            let (its, ours) = (stands.wanted().id(), wanted.id());
            its.is_none() || ours.is_none() || its == ours
        };
        if standing.values().filter(runs).any(taken) {
            continue;
        }
        let failures = match standing.get(&wanted.name) {
            Some(Standing::Waits { wanted: tried, failures, until }) if tried == wanted => {
                if *until > now {
                    continue;
                }
                *failures
            }
            _ => 0,
        };
        steps.push(Step::Start { wanted: wanted.clone(), failures });
    }
    steps
}

/// How long to wait after so many failures in a row.
#[must_use]
pub fn pause(failures: u32) -> Duration {
    let doubled = failures.saturating_sub(1).min(16);
    FIRST_PAUSE.saturating_mul(1 << doubled).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(name: &str, region: &str) -> Wanted {
        let spec = json!({ "account": "123456789012", "region": region });
        Wanted { name: name.to_owned(), spec: serde_json::from_value(spec).unwrap() }
    }

    fn own() -> Wanted {
        Wanted { name: String::new(), spec: None }
    }

    fn with_role(mut wanted: Wanted) -> Wanted {
        if let Some(spec) = &mut wanted.spec {
            spec.role_arn = Some("arn:aws:iam::123456789012:role/plimsoll".to_owned());
        }
        wanted
    }

    fn runs(wanted: Wanted) -> Standing {
        Standing::Runs { wanted, failures: 0 }
    }

    fn waits(wanted: Wanted, failures: u32, until: u64) -> Standing {
        Standing::Waits { wanted, failures, until: Duration::from_secs(until) }
    }

    /// As a word each: `+a`, `+a 2` after two failures, `-a`, `forget a`.
    fn told(wanted: &[Wanted], standing: &[Standing]) -> Vec<String> {
        let standing = standing.iter().map(|stands| (stands.wanted().name.clone(), stands.clone())).collect();
        let told = |step: &Step| match step {
            Step::Start { wanted, failures: 0 } => format!("+{}", wanted.name),
            Step::Start { wanted, failures } => format!("+{} {failures}", wanted.name),
            Step::Stop { name } => format!("-{name}"),
            Step::Forget { name } => format!("forget {name}"),
        };
        steps(wanted, &standing, Duration::from_secs(100)).iter().map(told).collect()
    }

    #[test]
    fn what_is_stored_and_what_runs_decide_what_is_started_and_stopped() {
        let (a, b) = (wanted("a", "eu-west-1"), wanted("b", "us-east-1"));
        for (why, wanted, standing, expected) in [
            ("none runs yet", vec![a.clone(), b.clone()], vec![], &["+a", "+b"][..]),
            ("all run", vec![a.clone(), b.clone()], vec![runs(a.clone()), runs(b.clone())], &[]),
            ("one is added", vec![a.clone(), b.clone()], vec![runs(a.clone())], &["+b"]),
            ("one is deleted", vec![a.clone()], vec![runs(a.clone()), runs(b.clone())], &["-b"]),
            ("one says something else", vec![with_role(a.clone())], vec![runs(a.clone())], &["-a"]),
            ("it has yet to stop", vec![with_role(a.clone())], vec![Standing::Stops { wanted: a.clone() }], &[]),
            ("it has stopped", vec![with_role(a.clone())], vec![], &["+a"]),
            ("one was not reached", vec![a.clone()], vec![waits(a.clone(), 3, 101)], &[]),
            ("it has waited", vec![a.clone()], vec![waits(a.clone(), 3, 100)], &["+a 3"]),
            ("it waits and says something else", vec![with_role(a.clone())], vec![waits(a.clone(), 3, 101)], &["+a"]),
            ("it waits and is deleted", vec![b.clone()], vec![waits(a.clone(), 3, 101)], &["forget a", "+b"]),
            ("it has another name", vec![self::wanted("c", "eu-west-1")], vec![runs(a.clone())], &["-a"]),
            (
                "its other name waits until it has stopped",
                vec![self::wanted("c", "eu-west-1")],
                vec![Standing::Stops { wanted: a.clone() }],
                &[],
            ),
            ("without any object: one's own", vec![own()], vec![], &["+"]),
            ("the first object ends one's own", vec![a.clone()], vec![runs(own())], &["-"]),
            ("the last object is deleted", vec![own()], vec![runs(a.clone())], &["-a"]),
        ] {
            assert_eq!(told(&wanted, &standing), expected, "{why}");
        }
    }

    #[test]
    fn of_two_targets_with_one_account_and_region_the_first_by_name_is_watched() {
        let object = |name: &str, region: &str| -> Object {
            serde_json::from_value(json!({
                "apiVersion": "plimsoll/v1", "kind": "Target", "metadata": { "name": name },
                "spec": { "account": "123456789012", "region": region },
            }))
            .unwrap()
        };
        let objects = [object("b", "eu-west-1"), object("a", "eu-west-1"), object("c", "us-east-1")];
        let stored = Stored::of(&objects, None);
        assert_eq!(stored.wanted, [wanted("a", "eu-west-1"), wanted("c", "us-east-1")]);
        assert_eq!(stored.doubles, BTreeMap::from([("b".to_owned(), "a".to_owned())]));
        let only = TargetId { account: "123456789012".to_owned(), region: "us-east-1".to_owned() };
        assert_eq!(Stored::of(&objects, Some(&only)).wanted, [wanted("c", "us-east-1")]);
        assert_eq!(Stored::of(&[], None).wanted, [own()]);
    }

    #[test]
    fn a_pause_doubles_up_to_five_minutes() {
        let pauses: Vec<u64> = [1, 2, 3, 6, 7, 8, u32::MAX].map(|failures| pause(failures).as_secs()).to_vec();
        assert_eq!(pauses, [5, 10, 20, 160, 300, 300, 300]);
    }
}
