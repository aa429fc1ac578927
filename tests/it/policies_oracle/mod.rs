//! The catalogue against the same rules written by hand in Rust: the controls from ecs-facts §1.1, and hardening
//! policies from what they say they demand. Nothing here was made from the policies' expressions.

mod compare;
pub(crate) mod documents;
mod hardening;
mod security_hub;
