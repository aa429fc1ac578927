//! What people ask of the controller: stored as a Command, carried out by whoever holds the lease.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use super::connect::Opened;
use super::error::{Answer as Outcome, Error};
use super::output::{Format, talk};
use super::run::Session;
use super::{command_view, signals};
use crate::model::{Span, TargetId, Timestamp};
use crate::ports::Store;
use crate::records::command::{Answer as Answered, Ask, Command, Commands};
use crate::records::lease::Leases;

/// How often an answer is looked for.
const EVERY: Duration = Duration::from_millis(500);

/// A controller that is stalled for longer than this is not told from a dead one.
const PATIENCE: Duration = Duration::from_secs(40);

/// What is known of the controller of a target.
pub(super) enum Controller {
    /// Its lease was renewed lately, by its own clock.
    Alive {
        /// Who.
        holder: String,
    },
    /// Nobody, or somebody who has not renewed for too long.
    Silent {
        /// In a sentence.
        why: String,
    },
}

/// Looks at the lease. Wall clocks are compared, so this is told to people and decides nothing about the fleet.
pub(super) async fn controller(session: &Session, store: &dyn Store, target: &TargetId) -> Result<Controller, Error> {
    let Some(lease) = Leases::of(store, target).read().await? else {
        return Ok(Controller::Silent { why: format!("no controller has ever worked on {target}") });
    };
    let lease = lease.value;
    let Some(holder) = lease.holder else {
        return Ok(Controller::Silent {
            why: format!("the last controller of {target} stopped at {}", lease.renewed_at),
        });
    };
    let ago = session.now().since(lease.renewed_at);
    if ago <= Duration::from_millis(lease.length_millis) {
        return Ok(Controller::Alive { holder });
    }
    let ago = Span(Duration::from_secs(ago.as_secs()));
    Ok(Controller::Silent { why: format!("the controller `{holder}` has not renewed its lease on {target} for {ago}") })
}

/// Whether nothing else is asked of a target: what the records say is what the next Command will find.
pub(super) async fn nothing_is_open(store: &dyn Store, target: &TargetId) -> Result<bool, Error> {
    Ok(Commands::of(store, target).open().await?.is_empty())
}

/// Says of what is asked that it would be refused. Nothing is stored: it has no id, and whose it is nobody need know.
pub(super) fn refuse(session: &mut Session, ask: Ask, message: String) -> Result<Outcome, Error> {
    let now = session.now();
    let answer = Answered { done: false, message, at: now, rollouts: Vec::new() };
    match session.output.format() {
        Format::Json | Format::Yaml => session.output.value(&command_view::refused(ask, &answer))?,
        _ => talk(&format!("refused: {}; nothing was asked", answer.message)),
    }
    Ok(Outcome::No)
}

/// Stores a Command, says so, and says whether somebody is there to carry it out.
pub(super) async fn ask(session: &Session, opened: &Opened, target: &TargetId, ask: Ask) -> Result<Command, Error> {
    let now = session.now();
    let command = Command { id: id(now), ask, by: opened.caller().await?, at: now };
    let store = opened.store.as_ref();
    Commands::of(store, target).ask(&command).await?;
    match controller(session, store, target).await? {
        Controller::Alive { holder } => {
            talk(&format!("asked `{holder}`, the controller of {target} (command {})", command.id))
        }
        Controller::Silent { why } => {
            talk(&format!(
                "{why}; the command waits for one (command {}); start one with `plimsoll controller`",
                command.id
            ));
        }
    }
    Ok(command)
}

/// `TIME-RANDOM`. The time is written so that ids are in the order of time.
fn id(now: Timestamp) -> String {
    // RandomState is seeded by the operating system.
    let random = RandomState::new().build_hasher().finish();
    // Always with milliseconds: `…00Z` would sort after `…00.123Z`.
    let time = now.to_utc().map_or_else(|| now.to_string(), |time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
    format!("{time}-{:08x}", random & 0xffff_ffff)
}

/// Waits until the Command is answered.
///
/// # Errors
/// Where no controller is alive to answer it, or a signal comes.
pub(super) async fn answer(
    session: &Session,
    store: &dyn Store,
    target: &TargetId,
    command: &Command,
) -> Result<Answered, Error> {
    let commands = Commands::of(store, target);
    let mut waiting = Waiting::start(session)?;
    loop {
        if let Some(answer) = commands.answer(&command.id).await? {
            return Ok(answer);
        }
        waiting.pause(session, store, target).await?;
    }
}

/// Pauses between looks, as long as there is a controller to wait for.
pub(super) struct Waiting {
    stop: tokio_util::sync::CancellationToken,
    silent_since: Option<Duration>,
    version: Option<u64>,
}

impl Waiting {
    pub(super) fn start(_: &Session) -> Result<Self, Error> {
        Ok(Self { stop: signals::shutdown()?, silent_since: None, version: None })
    }

    /// Waits for the next look.
    ///
    /// # Errors
    /// Where no controller shows any sign of life, or a signal comes.
    pub(super) async fn pause(&mut self, session: &Session, store: &dyn Store, target: &TargetId) -> Result<(), Error> {
        const LATER: &str =
            "the command is stored and waits for a controller; see what came of it with `plimsoll events`";
        let version = Leases::of(store, target).read().await?.map(|lease| lease.version);
        match controller(session, store, target).await? {
            Controller::Alive { .. } => self.silent_since = None,
            // Whatever the clocks say: a lease that moves is held.
            Controller::Silent { .. } if version != self.version && self.version.is_some() => self.silent_since = None,
            Controller::Silent { why } => {
                let now = session.clock.monotonic();
                let since = *self.silent_since.get_or_insert(now);
                // Where nobody holds a lease at all there is nothing to wait for.
                let patience = if version.is_none() { Duration::ZERO } else { PATIENCE };
                if now.saturating_sub(since) >= patience {
                    return Err(Error::new(why).help(LATER));
                }
            }
        }
        self.version = version;
        tokio::select! {
            () = session.clock.sleep(EVERY) => Ok(()),
            () = self.stop.cancelled() => Err(Error::new("stopped waiting").help(LATER)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_in_the_order_of_time() {
        let early = "2026-11-22T00:00:00Z".parse().unwrap();
        let late = "2026-11-22T00:00:00.001Z".parse().unwrap();
        assert!(id(early) < id(late) && id(early) != id(early));
    }
}
