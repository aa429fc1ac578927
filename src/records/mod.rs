//! What is kept in the store, item by item, as types. Knows the `Store` port and nothing behind it.
//!
//! | partition | sort key | what | who writes |
//! |---|---|---|---|
//! | `cfg#policy` `cfg#waiver` `cfg#freeze` | `head` | which objects of the class are in force, and a generation | people, one conditional write |
//! | the same | `object#KIND#NAME#HASH` | one object, immutable | people, before the head |
//! | `cmd#ACCOUNT/REGION` | `TIME#ID` | a Command | people |
//! | `rt#ACCOUNT/REGION` | `lease`, `target` | the lease; counters and conditions | controllers |
//! | `rt#ACCOUNT/REGION` | `answer#ID` | what became of a Command | the lease holder |
//! | `rt#ACCOUNT/REGION#rollouts` | `rollout#…`, `change#…`, `registration#…`, `hold#…` | the campaign | the lease holder |
//! | `rt#ACCOUNT/REGION#documents` | `sha256:…` | a task definition document, compressed, once | the lease holder |
//! | `rt#ACCOUNT/REGION#reports#SHARD` | the service's ARN | a ServiceReport | the lease holder |
//! | `rt#ACCOUNT/REGION#status` | `KIND#NAME` | the status of a Policy, Binding or Waiver there; 90 days of daily figures | the lease holder, on change and once a day |
//! | `rt#ACCOUNT/REGION#standalone` | `REVISION#CLUSTER` | what was found outside of services | the lease holder |
//! | `rt#ACCOUNT/REGION#events` | `SUBJECT#NUMBER` | the event log | the lease holder |
//! | `rt#targets` | `ACCOUNT/REGION` | that there is such a target | controllers |
//!
//! The writer's class comes first, so that IAM's `dynamodb:LeadingKeys` can part people's rights: who may change
//! policies, who may waive, who may freeze, who may ask. Every class of configuration has a head of its own for the
//! same reason; an `apply` that spans classes writes freezes first, then waivers, then policies.

pub mod campaign;
pub mod command;
pub mod configuration;
pub mod documents;
pub mod events;
pub mod history;
pub mod lease;
pub mod reports;
pub mod standalone;
pub mod statuses;
pub mod summed;
pub mod targets;
mod typed;

pub use typed::{RecordError, Versioned};
