//! What goes wrong, and how often. Knows neither what is being called nor what it means.

use std::collections::BTreeSet;

use plimsoll::ports::Operation;
use serde_json::Value;

use super::universe::{Universe, phase};
use super::witness;

macro_rules! troubles {
    ($($(#[doc = $what:literal])* $name:ident,)*) => {
        /// What may go wrong, and what others may do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Trouble { $($(#[doc = $what])* $name),* }

        impl Trouble {
            /// Every kind there is: a run of many seeds in which one never came has not tried it.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

troubles! {
    /// A call never leaves.
    NotSent,
    /// It has its effect; the reply is lost.
    LostReply,
    /// It has its effect seconds later; nobody hears of it.
    Late,
    /// It has its effect minutes later; nobody hears of it.
    VeryLate,
    /// HTTP 500, without effect.
    ServerError,
    Throttled,
    /// A store that does not answer, without effect.
    NoStore,
    /// A store write that was made, and whose reply is lost.
    LostWrite,
    /// A store write that is refused though nobody else wrote.
    Conflict,
    /// A store write that was made and is refused all the same: what a client sees that repeats a conditional write.
    MadeConflict,
    /// Alarms that cannot be read.
    NoAlarms,
    /// A process dies.
    Crash,
    /// A process is suspended, for longer than its lease or not.
    Suspended,
    /// The same, for longer than the lease.
    SuspendedForLong,
    /// A process is told to stop, and does so in its own time.
    Stopped,
    /// A wall clock that is set.
    ClockSet,
    /// For a while most calls go wrong in the same way.
    Storm,
    /// A read that shows what was.
    StaleRead,
    /// The same work asked for once more, by a trigger or by a second Command.
    AskedAgain,
    /// A team deploys, or scales, a service, or deletes it; sets something of it, or of a cluster.
    Deployed,
    Scaled,
    Deleted,
    Retuned,
    ClusterSet,
    /// A revision is deregistered, an image is pushed under the same tag.
    Deregistered,
    Pushed,
    /// A task is taken away; those of a family fail from now on once they are fixed.
    TaskLost,
    Misbehaves,
    /// The alarm changes its state.
    Rang,
    /// People edit policies, Bindings and strategies; freeze or lift it; waive or take it back.
    Edited,
    Frozen,
    Waived,
    /// They ask something of a rollout; hold fixes off a resource, and release them.
    Asked,
    Held,
    Released,
}

impl Trouble {
    /// Whether something fails, rather than somebody acting.
    pub(crate) fn is_fault(self) -> bool {
        self <= Self::StaleRead
    }
}

/// How long a call that nobody hears of may take to arrive. AWS's SDKs give up on one attempt after seconds.
pub(crate) const LATE: (usize, usize) = (1, 15);

/// Now and then it is one that was thought to be lost: up to ten minutes, twice as long as AWS accepts its signature.
pub(crate) const VERY_LATE: (usize, usize) = (30, 600);

impl Universe {
    /// What goes wrong with a call.
    pub(crate) fn trouble_with(&self, operation: Operation) -> Option<Trouble> {
        let now = self.time.now();
        let trouble = {
            let mut state = self.state();
            if !state.faults {
                return None;
            }
            let storm = state.storm.filter(|(_, until)| *until > now).map(|(trouble, _)| trouble);
            let storm = storm.filter(|trouble| matches!(trouble, Trouble::ServerError | Trouble::Throttled));
            if let Some(trouble) = storm.filter(|_| state.chance.happens(600)) {
                trouble
            } else if state.lossy && operation.writes() && state.chance.happens(600) {
                state.chance.one(&[Trouble::LostReply, Trouble::LostReply, Trouble::Late, Trouble::VeryLate])
            } else if !state.chance.happens(if operation.writes() { 300 } else { 15 }) {
                return None;
            } else if operation.writes() {
                use Trouble::{Late, LostReply, NotSent, ServerError, Throttled, VeryLate};
                let late = if state.chance.happens(300) { VeryLate } else { Late };
                state.chance.one(&[NotSent, LostReply, late, ServerError, Throttled])
            } else {
                state.chance.one(&[Trouble::NotSent, Trouble::ServerError, Trouble::Throttled])
            }
        };
        if operation.writes() {
            self.say(format!("        {} meets {trouble:?}", operation.as_str()));
        }
        self.meets(trouble);
        Some(trouble)
    }

    /// What goes wrong with a read or a write of the store.
    pub(crate) fn trouble_with_store(&self, write: bool) -> Option<Trouble> {
        let now = self.time.now();
        let trouble = {
            let mut state = self.state();
            state.steps += 1;
            if !state.faults {
                return None;
            }
            let storm = state.storm.is_some_and(|(trouble, until)| trouble == Trouble::NoStore && until > now);
            if storm && state.chance.happens(400) {
                Trouble::NoStore
            } else if !state.chance.happens(if write { 20 } else { 3 }) {
                return None;
            } else if write {
                use Trouble::{Conflict, LostWrite, MadeConflict, NoStore};
                state.chance.one(&[NoStore, LostWrite, Conflict, MadeConflict])
            } else {
                Trouble::NoStore
            }
        };
        self.meets(trouble);
        Some(trouble)
    }

    pub(crate) fn trouble_with_alarms(&self) -> bool {
        let happens = {
            let mut state = self.state();
            state.steps += 1;
            state.faults && state.chance.happens(40)
        };
        if happens {
            self.meets(Trouble::NoAlarms);
        }
        happens
    }

    /// For a while most calls go wrong in the same way.
    pub(crate) fn storms(&self) {
        let length = self.seconds((5, 90));
        let until = self.time.now() + length;
        let mut state = self.state();
        let trouble = state.chance.one(&[Trouble::Throttled, Trouble::ServerError, Trouble::NoStore]);
        state.storm = Some((trouble, until));
        drop(state);
        self.meets(Trouble::Storm);
        self.say(format!("a storm of {trouble:?} for {} s", length.as_secs()));
    }

    /// Counts a trouble, and for every phase that a change is in which it can still harm: one that has not ended, of a
    /// rollout that has not either, or one for which a call may still arrive.
    pub(crate) fn meets(&self, trouble: Trouble) {
        let rollouts = self.records("rollout#");
        let ended = ["Succeeded", "Unverified", "RolledBack", "Failed", "Aborted", "Superseded", "Proposed"];
        let goes_on = |change: &Value| {
            let mut of = rollouts.iter().filter(|rollout| rollout.body["name"] == change["spec"]["rollout"]);
            of.any(|rollout| !ended.contains(&phase(&rollout.body).as_str()))
        };
        let met = |change: &Value| {
            let phase = phase(change);
            if witness::is_live(change) {
                return (phase != "Pending" || goes_on(change)).then_some(phase);
            }
            change["unheard"].as_array().is_some_and(|calls| !calls.is_empty()).then(|| format!("{phase}, late"))
        };
        let phases: BTreeSet<String> = self.changes().iter().filter_map(|change| met(&change.body)).collect();
        let mut state = self.state();
        *state.injected.entry(trouble).or_default() += 1;
        for phase in phases {
            *state.met.entry((trouble, phase)).or_default() += 1;
        }
    }
}
