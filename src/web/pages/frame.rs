//! What stands around every page: head, navigation, footer.

use maud::{DOCTYPE, html};

use super::page::{Made, Middle};
use super::parts::time;
use crate::model::Timestamp;
use crate::model::mask::is_hidden;

/// What a page's surroundings say.
pub(super) struct Frame {
    /// The place in the navigation that is marked.
    pub(super) section: &'static str,
    /// When the records were read.
    pub(super) at: Option<Timestamp>,
    pub(super) stale: bool,
    pub(super) note: Option<&'static str>,
}

const NAVIGATION: [(&str, &str); 6] = [
    ("/", "Overview"),
    ("/services", "Services"),
    ("/findings", "Findings"),
    ("/rollouts", "Rollouts"),
    ("/waivers", "Waivers"),
    ("/events", "Events"),
];

pub(super) fn document(status: u16, frame: &Frame, middle: Middle) -> Made {
    let Middle { title, main, .. } = middle;
    let says = format!("{title}\n{}\n{}", frame.stale, main.0);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " - plimsoll" }
                link rel="stylesheet" href="/assets/style.css";
                link rel="icon" type="image/svg+xml" href="/assets/icon.svg";
                script src="/assets/live.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    a.brand href="/" { img src="/assets/icon.svg" alt="" width="24" height="24"; " plimsoll" }
                    nav aria-label="Main" {
                        ul {
                            @for (path, name) in NAVIGATION {
                                li { a href=(path) aria-current=[(path == frame.section).then_some("page")] { (name) } }
                            }
                        }
                    }
                }
                @if let Some(note) = frame.note { aside aria-label="Note" { p.note { (note) } } }
                @if frame.stale {
                    aside aria-label="Warning" {
                        p.note.warn role="alert" { "The store cannot be read at the moment: this is of a while ago." }
                    }
                }
                main #main tabindex="-1" { (main) }
                footer {
                    p {
                        "Read-only: use " code { "plimsoll" } " on the command line to act. "
                        @if let Some(at) = frame.at { "As of " span #as-of { (time(at)) } "." }
                    }
                    div #live {}
                }
            }
        }
    };
    Made { status, html: visible(&page.into_string()), says }
}

/// Without what steers the order of text or a terminal that the page is saved to; lines stay lines.
fn visible(html: &str) -> String {
    html.chars().filter(|c| *c == '\n' || !is_hidden(*c)).collect()
}
