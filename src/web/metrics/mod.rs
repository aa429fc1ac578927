//! What Prometheus reads: [`catalogue`] says which numbers there are, [`ledger`] keeps them, [`observed`] watches the
//! ports, [`text`] writes the page.

pub mod catalogue;
mod fleet;
pub mod ledger;
pub mod observed;
pub mod text;

pub use ledger::{BucketLevel, Counting, Levels, Metrics};
pub use observed::{ObservedAlarms, ObservedEcs, ObservedStore};
