//! Scripts of what people and ECS do, and the transcripts of what the controller made of it.
//!
//! `tests/README.md` says how to write one.

mod act;
mod all;
mod drawn;
mod laws;
mod line;
mod listed;
mod pairs;
mod pairs_of_settings;
mod run;
mod setting;
mod transcript;
mod witness;
