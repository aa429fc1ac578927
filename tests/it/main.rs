//! The one integration-test binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that panics is a test that fails"
)]

mod architecture;
mod binary;
mod cli;
mod contract;
mod deploy;
mod fake;
mod formats;
mod guides;
mod loops;
mod manifest;
mod peers;
mod policies;
mod policies_laws;
mod policies_oracle;
mod reasons;
mod scenarios;
mod sim;
mod simulation;
mod web;
