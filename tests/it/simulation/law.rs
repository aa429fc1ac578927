//! What must hold, whatever happens. Read it as the specification: each law is one sentence and one check.
//!
//! Laws of a call are checked when it is *sent*: what becomes of it afterwards nobody can help. Laws of a record are
//! checked when it is written or removed. What only time can tell is checked as time passes, and at the end, after
//! everything has come to rest.
//!
//! | what never happens | where |
//! |---|---|
//! | a call without the lease, or too late in it | `call::by_the_holder_of_the_lease` |
//! | a call without its intent on record, or twice for one | `call::registered_once_…`, `call::told_once_…`, `call::once` |
//! | a call again that had its effect | `call::not_had_its_effect` |
//! | a call on a service that was seen to deploy or to go back | `call::on_a_service_at_rest` |
//! | a call forward under a Freeze, outside its window, its scope or its approval | `call::closed`, `call::unasked` |
//! | a stop, or a deregistration, of what is not ours; a `desiredCount` | `call::when_sent`, `call::told_once_…` |
//! | a revision that differs in more than was planned | `call::registered_once_…`, `end::at_the_end` |
//! | a step that is taken backwards or twice; a held fix that comes again | `record::when_written`, `record::still_asked_for` |
//! | a false success, a false way back | `record::proved`, `record::identical` |
//! | two holders of a lease | `record::leased` |
//! | a record that is removed from under somebody | `record::when_removed` |
//! | somebody's deployment that was replaced, and nobody says so | `end::as_time_passes` |
//! | a revision of ours that is left over or left latest; what was undone and comes back; a broken log | `end::at_the_end` |
//! | a budget, a wave, an approval, an alarm that is not kept to | `super::rollout_law` |
//! | a service that is not compliant in the end without a reason that is true | `super::rest` |

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
