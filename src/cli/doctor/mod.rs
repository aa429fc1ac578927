//! `doctor`: what keeps a controller from working here, each thing with its remedy.
//!
//! `check`, `dry` and `statement` decide and are pure; `examine` and `rights` ask AWS and the store. It changes nothing: reads are
//! made with the smallest input, and for what writes a call is sent that ECS or DynamoDB must refuse, because it names
//! nothing that there is. A right that is denied there may be granted on other resources, so it is asked for again in
//! clusters that there are, still naming no service that there is. What cannot be told so is said not to be checked.

mod check;
mod dry;
mod examine;
mod rights;
mod run;
mod statement;

pub(super) use check::DoctorReport;
pub(super) use run::{Arguments, run};
