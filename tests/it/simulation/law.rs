//! What must hold, whatever happens. Read it as the specification: each law is one sentence and one check.
//!
//! Laws of a call are checked when it is *sent*: what becomes of it afterwards nobody can help. Laws of a record are
//! checked when it is written or removed. What only time can tell is checked as time passes, and at the end, after
//! everything has come to rest.
//!
//! Those of rollouts are in `rollout_law`.

use serde_json::Value;

use super::universe::Universe;

mod call;
mod end;
mod record;

pub(crate) use call::when_sent;
pub(crate) use end::{as_time_passes, at_the_end, when_stopped};
pub(crate) use record::{when_removed, when_written};

pub(crate) fn check(universe: &Universe, holds: bool, law: impl FnOnce() -> String) {
    if !holds {
        universe.broke(law());
    }
}

fn broken(universe: &Universe, law: String) -> Option<String> {
    universe.broke(law);
    None
}

/// Whether something may still be found.
pub(crate) fn waits(universe: &Universe) -> bool {
    !universe.state().buried.is_empty()
}

fn fixes(spec: &Value) -> impl Iterator<Item = &str> {
    spec["fixes"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn policies(spec: &Value) -> impl Iterator<Item = &str> {
    spec["policies"].as_array().into_iter().flatten().filter_map(Value::as_str)
}
