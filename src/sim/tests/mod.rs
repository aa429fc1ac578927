//! Claims about the model, each with the fact it stands for.

mod cluster_claims;
mod fuzz;
mod laws;
mod listing_claims;
mod protection_claims;
mod rolling_claims;
mod service_claims;
mod stage;
mod stage_claims;
mod task_definition_claims;
mod trouble_claims;
