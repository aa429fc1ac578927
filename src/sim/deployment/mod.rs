//! Deployments as `services[].deployments[]` shows them, and as service deployments and service revisions record them.
//! Do not decide what happens: the service scheduler does.

mod operations;
mod record;
mod state;

pub(super) use record::{Hook, HookStatus, Record, RecordStatus, Rollback};
pub(super) use state::{Deployment, RolloutState, ServiceRevision};
