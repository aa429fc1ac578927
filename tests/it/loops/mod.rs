//! The whole loop over HTTP, against servers that nobody here wrote: what they do, not what our simulator believes.

mod documents;
mod fleet;
mod ministack;
mod moto;
mod policies;
mod run;
mod wire;
