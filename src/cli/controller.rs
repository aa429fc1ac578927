//! `controller`: the long-running controller, for every target.

use std::net::SocketAddr;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::task::JoinSet;
use tokio_cron_scheduler::{Job, JobScheduler};
use tokio_util::sync::CancellationToken;

use super::connect;
use super::error::{Answer, Error};
use super::output::talk;
use super::plan::controller_error;
use super::reached::{Reaching, Triggers};
use super::run::Session;
use super::{listen, signals};
use crate::aws::Timeouts;
use crate::controller::lease::Claims;
use crate::controller::side_by_side::{Broken, Reach as _, SideBySide};
use crate::controller::targets::Stored;
use crate::controller::{ControllerError, Mode, RunEnd, Settings};
use crate::model::mask::clean_text;
use crate::model::spec::Kind;
use crate::model::{Span, TargetId};
use crate::policy::allows;
use crate::ports::Store;
use crate::records::configuration::Configurations;
use crate::web::health::WatchedTargets;
use crate::web::metrics::Metrics;
use crate::web::metrics::ObservedStore;
use crate::web::server::Site;

/// How the controller runs.
#[derive(Debug, Clone, Args)]
pub struct ControllerArguments {
    /// How often the whole fleet is looked at; at least 1s
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = pause)]
    pub resync: Span,
    /// When the whole fleet is looked at instead, as a cron expression in UTC; with it, --resync does nothing
    #[arg(long, value_name = "CRON", value_parser = cron)]
    pub schedule: Option<String>,
    /// How often changes in flight are looked at; at least 1s
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = pause)]
    pub poll: Span,
    /// How long a lease holds without renewal; at least 5s
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = lease)]
    pub lease: Span,
    /// The share of ECS's published rates to use, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub budget: u8,
    /// How many targets to hold at most; the rest is left to other controllers on the same store
    #[arg(long, value_name = "COUNT", value_parser = at_least_one)]
    pub max_targets: Option<usize>,
    /// Serve pages, /metrics, /healthz and /readyz here, read-only: a port of this machine, or ADDRESS:PORT
    #[arg(long, value_name = "ADDR", value_parser = listen::address)]
    pub listen: Option<SocketAddr>,
    /// A guarded member that fixes may edit; `*` for list elements
    #[arg(long, value_name = "POINTER", value_parser = guarded_member)]
    pub allow_edit: Vec<String>,
    /// How often tasks that no service started, and families that no service uses, are looked at; 0s: never
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub standalone: Span,
    /// Pass after pass until two in a row find nothing to do, then exit: 0 all complies, 1 something does not
    #[arg(long)]
    pub until_settled: bool,
    /// With --until-settled: how long is waited for what is deferred
    #[arg(long, value_name = "DURATION", default_value = "10m", requires = "until_settled")]
    pub settle_timeout: Span,
}

/// How many families that no service uses are described in one look: ten seconds' worth of half of ECS's published rate
/// (DescribeTaskDefinition: 20 a second). More families have their turns in later looks.
pub(super) const FAMILIES_A_LOOK: usize = 100;

/// A shorter one is lost to any pause of the machine, and a controller that keeps losing its lease does nothing.
const SHORTEST_LEASE: Span = Span::from_secs(5);

/// Between two looks. With less a controller does nothing but look, and asks ECS for little else.
const SHORTEST_PAUSE: Span = Span::from_secs(1);

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "it is a number from 1".to_owned())
}

fn span(text: &str) -> Result<Span, String> {
    text.parse().map_err(|error: crate::model::time::ParseSpanError| error.to_string())
}

fn lease(text: &str) -> Result<Span, String> {
    let span = span(text)?;
    if span < SHORTEST_LEASE { Err(format!("a lease is at least {SHORTEST_LEASE}")) } else { Ok(span) }
}

fn pause(text: &str) -> Result<Span, String> {
    let span = span(text)?;
    if span < SHORTEST_PAUSE { Err(format!("it is at least {SHORTEST_PAUSE}")) } else { Ok(span) }
}

/// A cron expression as the scheduler wants it: with its seconds, which the five fields that everybody writes lack.
fn cron(text: &str) -> Result<String, String> {
    let with_seconds = if text.split_whitespace().count() == 5 { format!("0 {text}") } else { text.to_owned() };
    match Job::new(with_seconds.as_str(), |_, _| {}) {
        Ok(_) => Ok(with_seconds),
        Err(_) => Err("give minute, hour, day, month and weekday, such as `*/5 * * * *`".to_owned()),
    }
}

/// A pointer that allows something: any other would do nothing, and nobody would be told.
pub(super) fn guarded_member(text: &str) -> Result<String, String> {
    allows(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

/// Runs a controller for every target, side by side; one that is slow or denied delays no other.
pub(super) async fn run(session: &mut Session, arguments: ControllerArguments) -> Result<Answer, Error> {
    let opened = session.store().await?;
    let configuration = Configurations::of(opened.store.as_ref()).read(None).await?.unwrap_or_default();
    if arguments.until_settled && !configuration.objects.iter().any(|object| object.kind() == Kind::Policy) {
        return Err(controller_error(ControllerError::NoPolicies));
    }
    let only = session.global.target.clone();
    let region = only.as_ref().map(|only| only.region.as_str());
    let connection = connect::from_environment(region, call_timeouts(arguments.lease)).await?;
    let stored = Stored::of(&configuration.objects, only.as_ref());
    if stored.wanted.is_empty() {
        return Err(connect::no_target(only.as_ref(), &configuration));
    }
    if let Some(home) = stored.wanted.iter().find(|wanted| wanted.spec.is_none()) {
        // Without them there is nothing to watch: whoever starts it is told at once.
        let identity = connection.identity().await?;
        let own = TargetId { account: identity.account, region: connection.region().to_owned() };
        if let Some(only) = only.as_ref().filter(|only| **only != own) {
            return Err(connect::another_account(only, &own, &identity.arn, home));
        }
    }
    let metrics = Arc::new(Metrics::new());
    let stop = signals::shutdown()?;
    let claims = arguments.max_targets.map(Claims::new);
    let watched = WatchedTargets::new(claims.clone());
    if let Some(address) = arguments.listen {
        let site = Site {
            store: Arc::clone(&opened.store),
            clock: Arc::clone(&session.clock),
            metrics: Arc::clone(&metrics),
            watched: watched.clone(),
            note: None,
        };
        listen::serve(address, site, stop.clone()).await?;
    }
    let mode = if arguments.until_settled {
        Mode::UntilSettled { timeout: arguments.settle_timeout.0 }
    } else {
        Mode::Forever
    };
    let store: Arc<dyn Store> = Arc::new(ObservedStore::new(Arc::clone(&opened.store), Arc::clone(&metrics)));
    let (clock, triggers, cron) = (Arc::clone(&session.clock), Triggers::default(), arguments.schedule.clone());
    let reaching = Reaching {
        connection,
        arguments,
        mode,
        claims,
        store: Arc::clone(&store),
        metrics,
        watched,
        triggers: triggers.clone(),
    };
    let schedule = match &cron {
        Some(cron) => Some(schedule(cron, triggers).await?),
        None => None,
    };
    let answer = if mode == Mode::Forever {
        SideBySide::new(store, clock, Arc::new(reaching), only).run(&stop).await;
        Ok(Answer::Yes)
    } else {
        settle(session, &reaching, &stored, &stop).await
    };
    if let Some(mut schedule) = schedule {
        // It only asks for passes: what is left of it does nothing.
        let _ = schedule.shutdown().await;
    }
    answer
}

/// Runs every target's controller until nothing is left to do, and says what did not settle.
async fn settle(
    session: &mut Session,
    reaching: &Reaching,
    stored: &Stored,
    stop: &CancellationToken,
) -> Result<Answer, Error> {
    let mut runs = JoinSet::new();
    for wanted in stored.wanted.iter().cloned() {
        let run = reaching.run(&wanted, stop.clone());
        runs.spawn(async move { (wanted, run.await) });
    }
    let (mut answer, mut failure) = (Answer::Yes, None);
    for (name, first) in &stored.doubles {
        answer = Answer::No;
        session
            .output
            .text(&format!("Target `{name}` is not watched: Target `{first}` is the same account and region\n"))?;
    }
    while let Some(joined) = runs.join_next().await {
        let (wanted, end) = joined
            .map_err(|error| Error::new("plimsoll has a bug: a controller panicked").caused_by(error.to_string()))?;
        match end {
            Ok(RunEnd::Stopped) => {}
            Ok(RunEnd::Settled { problems }) => {
                if problems.is_empty() {
                    let target = wanted.id().map_or_else(|| wanted.title(), |id| id.to_string());
                    talk(&format!("{target}: settled: every service in scope complies or is waived"));
                }
                for problem in &problems {
                    answer = Answer::No;
                    session.output.text(&format!("{}\n", clean_text(problem)))?;
                }
            }
            Err(Broken::NotReached(reason)) => {
                answer = Answer::No;
                let told = format!("{}\n  do: {}\n", clean_text(&reason.message), reason.code.remedy());
                session.output.text(&told)?;
            }
            Err(Broken::Ended(error)) => {
                let error = controller_error(error).context(format!("the controller of {} ended", wanted.title()));
                failure = failure.or(Some(error));
            }
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(answer),
    }
}

/// A third of the lease at most: a write must be over before the lease is.
fn write_timeout(lease: Span) -> Duration {
    (lease.0 / 3).min(Timeouts::default().write)
}

fn call_timeouts(lease: Span) -> Timeouts {
    Timeouts { write: write_timeout(lease), ..Timeouts::default() }
}

pub(super) fn settings(arguments: &ControllerArguments, target: &TargetId, caller: &str, holder: &str) -> Settings {
    Settings {
        target: target.clone(),
        caller: caller.to_owned(),
        holder: holder.to_owned(),
        lease: arguments.lease.0,
        call_timeout: write_timeout(arguments.lease),
        resync: arguments.schedule.is_none().then_some(arguments.resync.0),
        poll: arguments.poll.0,
        allow_edit: arguments.allow_edit.clone(),
    }
}

/// Asks for a full pass at each time of a cron expression, in UTC. A trigger only: passes never overlap, because all
/// it does is ask.
async fn schedule(cron: &str, triggers: Triggers) -> Result<JobScheduler, Error> {
    let wrong = |error: tokio_cron_scheduler::JobSchedulerError| {
        Error::new(format!("failed to keep to the schedule `{cron}`")).caused_by(error.to_string())
    };
    let mut scheduler = JobScheduler::new().await.map_err(wrong)?;
    let ask = move || triggers.ask();
    let job = Job::new(cron, move |_, _| ask()).map_err(wrong)?;
    scheduler.add(job).await.map_err(wrong)?;
    scheduler.start().await.map_err(wrong)?;
    let _ = &mut scheduler;
    Ok(scheduler)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_not_too_short() {
        assert!(lease("5s").is_ok() && lease("4s").is_err() && lease("soon").is_err());
    }

    #[test]
    fn a_controller_does_not_look_without_a_pause() {
        assert!(pause("1s").is_ok() && pause("soon").is_err());
        assert_eq!(pause("0s").unwrap_err(), "it is at least 1s");
    }

    #[test]
    fn a_schedule_has_five_fields_or_six() {
        assert_eq!(cron("*/5 * * * *").unwrap(), "0 */5 * * * *");
        assert_eq!(cron("30 0 6 * * Mon-Fri").unwrap(), "30 0 6 * * Mon-Fri");
        for text in ["", "nonsense", "every day", "61 * * * *", "* * * *", "* * * * * * * *"] {
            assert!(cron(text).is_err_and(|told| told.contains("weekday")), "{text}");
        }
    }

    #[test]
    fn a_pointer_that_allows_nothing_is_refused_with_what_was_meant() {
        for (text, hint) in [
            ("image", "begins with `/`"),
            ("image", "did you mean `/containerDefinitions/*/image`?"),
            ("/containerDefinitions/0/image", "did you mean `/containerDefinitions/*/image`?"),
            ("/taskrolearn", "did you mean `/taskRoleArn`?"),
            ("/volumes/0", "did you mean `/volumes`?"),
            ("/memory", "guarded are `/containerDefinitions/*/image`"),
            ("", "guarded are"),
        ] {
            let refused = guarded_member(text).unwrap_err();
            assert!(refused.contains(hint), "{text}: {refused}");
        }
        for text in ["/containerDefinitions/*/image", "/containerDefinitions", "/volumes", "/*"] {
            assert_eq!(guarded_member(text).as_deref(), Ok(text));
        }
    }
}
