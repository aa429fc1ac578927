//! What would have to change, decided and explained. Knows neither AWS, nor a store, nor a clock; leaves no choice to
//! whoever carries it out.

pub mod compare;
pub mod eligibility;
pub mod normalize;
