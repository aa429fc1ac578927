//! What would have to change, decided and explained. Knows neither AWS, nor a store, nor a clock; leaves no choice to
//! whoever carries it out.
//!
//! Read in this order: [`report`] (what a plan says), [`plan`](fn@plan) (how it is made), `service` (one service), [`judge`] (what follows),
//! [`eligibility`], [`waves`], [`settings`], [`compare`]. `prospect` and `tally` count how policies stand.

mod audited;
mod cluster;
pub mod compare;
mod edits;
pub mod eligibility;
pub mod images;
pub mod judge;
mod judgements;
mod make;
pub mod moves;
pub mod normalize;
pub mod older;
pub mod ownership;
mod planned;
mod prospect;
pub mod report;
pub mod saved;
mod service;
pub mod settings;
mod standalone;
mod tally;
pub mod waves;

pub use judgements::{Grounds, Judgements, revisions_named, revisions_to_describe};
pub use make::{Context, FamiliesToLookUp, exactly, families_to_look_up, frozen, judge_ahead, plan};
pub use planned::Planned;
pub use prospect::{Prospect, Standing};
pub use report::{
    Cost, Plan, PlanOutcome, PlannedCampaign, PlannedChange, PlannedFinding, PlannedResource, PlannedWave, Summary,
    Uncovered, Wish,
};
pub use standalone::{PlannedStandalone, StandaloneReport, standalone};
pub use tally::{BindingTally, PolicyTally, Tally};
