//! CloudWatch's alarms, as far as rollouts need them: states, tags and who asks. No metrics: an alarm is first evaluated
//! a while after it was made, and from then on stands as it is told (SetAlarmState), until it is told otherwise.

mod operations;
mod port;
mod state;

pub(super) use operations::is_of_alarms;
pub use port::SimAlarms;
pub(super) use state::Alarm;
