//! Which page an address is, and how one is made.

use maud::{Markup, html};

use super::frame::{self, Frame};
use super::{cluster, events, findings, overview, policy, rollout, rollouts, service, services, waivers};
use crate::web::query::Query;
use crate::web::snapshot::{EventLog, Snapshot};

/// The pages there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// How the fleet stands.
    Overview,
    /// Services and clusters.
    Services,
    /// The story of one.
    Service,
    /// What fails.
    Findings,
    /// One policy.
    Policy,
    /// One cluster, day by day.
    Cluster,
    /// Rollouts.
    Rollouts,
    /// One of them.
    Rollout,
    /// Waivers.
    Waivers,
    /// The event log.
    Events,
}

impl Kind {
    /// The page at a path.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Overview,
            "/services" => Self::Services,
            "/service" => Self::Service,
            "/findings" => Self::Findings,
            "/policy" => Self::Policy,
            "/cluster" => Self::Cluster,
            "/rollouts" => Self::Rollouts,
            "/rollout" => Self::Rollout,
            "/waivers" => Self::Waivers,
            "/events" => Self::Events,
            _ => return None,
        })
    }

    /// Whether it is made of the event log too.
    #[must_use]
    pub const fn shows_events(self) -> bool {
        matches!(self, Self::Service | Self::Rollout | Self::Events)
    }

    /// Where in the navigation it is.
    pub(super) const fn section(self) -> &'static str {
        match self {
            Self::Overview | Self::Policy | Self::Cluster => "/",
            Self::Services | Self::Service => "/services",
            Self::Findings => "/findings",
            Self::Rollouts | Self::Rollout => "/rollouts",
            Self::Waivers => "/waivers",
            Self::Events => "/events",
        }
    }
}

/// What a page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The records.
    pub snapshot: &'a Snapshot,
    /// The event log; empty where the page does not show it.
    pub log: &'a EventLog,
    /// What is asked for.
    pub query: &'a Query,
    /// The store could not be read again: the records are of a while ago.
    pub stale: bool,
    /// What every page says of itself.
    pub note: Option<&'static str>,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// HTTP's status.
    pub status: u16,
    /// The whole page.
    pub html: String,
    /// What it says, without when it was made: the same where nothing has changed.
    pub says: String,
}

/// What stands in the middle of a page.
pub(super) struct Middle {
    pub(super) title: String,
    pub(super) main: Markup,
    /// There is such a thing.
    pub(super) found: bool,
}

impl Middle {
    pub(super) fn new(title: impl Into<String>, main: Markup) -> Self {
        Self { title: title.into(), main, found: true }
    }

    /// What is asked for is not there.
    pub(super) fn nothing(what: &str) -> Self {
        let main = html! {
            h1 { "Not found" }
            p { (what) }
            p { a href="/" { "Back to the overview" } }
        };
        Self { title: "Not found".to_owned(), main, found: false }
    }
}

/// Makes one.
#[must_use]
pub fn make(kind: Kind, shown: &Shown<'_>) -> Made {
    let middle = match kind {
        Kind::Overview => overview::middle(shown),
        Kind::Services => services::middle(shown),
        Kind::Service => service::middle(shown),
        Kind::Findings => findings::middle(shown),
        Kind::Policy => policy::middle(shown),
        Kind::Cluster => cluster::middle(shown),
        Kind::Rollouts => rollouts::middle(shown),
        Kind::Rollout => rollout::middle(shown),
        Kind::Waivers => waivers::middle(shown),
        Kind::Events => events::middle(shown),
    };
    let at = Some(shown.snapshot.at);
    let status = if middle.found { 200 } else { 404 };
    frame::document(status, &Frame { section: kind.section(), at, stale: shown.stale, note: shown.note }, middle)
}

/// There is no such page.
#[must_use]
pub fn missing(note: Option<&'static str>) -> Made {
    let frame = Frame { section: "", at: None, stale: false, note };
    frame::document(404, &frame, Middle::nothing("There is no such page here."))
}

/// The records cannot be read, and never could be.
#[must_use]
pub fn unavailable(note: Option<&'static str>) -> Made {
    let main = html! {
        h1 { "The store cannot be read" }
        p { "Nothing can be shown until it can. The log of this process says why." }
    };
    let frame = Frame { section: "", at: None, stale: false, note };
    frame::document(503, &frame, Middle::new("The store cannot be read", main))
}
