//! The pages: from records to HTML, as pure functions. Handlers, headers and reading are [`super::server`]'s.
//!
//! Text is escaped by `maud`, which builds HTML as a type of its own: what is not marked as HTML cannot become any, and
//! templates are checked when they are compiled. Values of documents go through `model::mask`, and [`frame`] takes
//! control characters out of the whole page, so that no page can forget to.
//!
//! Everything is there without JavaScript. Nothing is styled by colour alone.

mod chart;
mod cluster;
mod events;
mod findings;
mod frame;
mod overview;
mod page;
mod parts;
mod policy;
mod rollout;
mod rollouts;
mod service;
mod services;
mod waivers;

pub use page::{Kind, Made, Shown, make, missing, unavailable};
