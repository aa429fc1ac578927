//! What holds whatever happens: of one change, and of a whole rollout.

mod of_a_change;
mod of_a_rollout;
