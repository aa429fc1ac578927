//! `rollout …`: look at rollouts, and ask the controller for something.

use clap::{Args, Subcommand};

use super::command::{self, Waiting};
use super::connect::Opened;
use super::error::{Answer, Error};
use super::get::{self, Listed};
use super::output::{Format, talk};
use super::printed::{List, Printed};
use super::run::Session;
use super::watch::Watch;
use super::{command_view, status, targets, views};
use crate::manifest::to_yaml;
use crate::model::mask::clean_text;
use crate::model::spec::{FreezeSpec, Object, Spec};
use crate::model::{Reason, ReasonCode, ServiceArn, TargetId};
use crate::ports::Store;
use crate::records::campaign::{Campaign, Campaigns};
use crate::records::command::Ask;
use crate::records::configuration::Configurations;
use crate::records::targets::Targets;
use crate::rollout::command::{RefusedRequest, Request, carry_out, retry_of_ended};
use crate::rollout::{Change, Phase, Rollout, RolloutState};

/// What to do with rollouts.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// All rollouts
    List,
    /// Where a rollout stands, what it waits for, and what to do next
    Status(Status),
    /// Everything that happened to each change of a rollout
    History(Name),
    /// Let a proposed rollout begin, or let the next wave begin
    Approve(Approve),
    /// Begin nothing more
    Pause(Asking),
    /// Go on with what is left, without what failed
    Resume(Asking),
    /// End it where it is
    Abort(Asking),
    /// Try again what failed
    Retry(Asking),
    /// Bring services back to what they ran before
    Undo(Undo),
}

/// Which rollout.
#[derive(Debug, Args)]
pub(super) struct Name {
    /// The rollout's name
    name: String,
}

/// What to look at.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// The rollout's name
    name: String,
    /// Follow it to its end
    #[arg(short, long)]
    watch: bool,
}

/// What to ask.
#[derive(Debug, Args)]
pub(super) struct Asking {
    /// The rollout's name
    name: String,
    /// Wait until it is done, or until the next wave wants approval; 1 where it is refused or fails, 2 where no
    /// controller is alive
    #[arg(long)]
    wait: bool,
}

/// What to approve.
#[derive(Debug, Args)]
pub(super) struct Approve {
    #[command(flatten)]
    asking: Asking,
    /// Only if the rollout came from this plan
    #[arg(long, value_name = "ID")]
    plan: Option<String>,
}

/// What to undo.
#[derive(Debug, Args)]
pub(super) struct Undo {
    #[command(flatten)]
    asking: Asking,
    /// Only this service: its ARN, CLUSTER/NAME or NAME
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
}

pub(super) async fn run(session: &mut Session, verb: Verb) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    let opened = session.store().await?;
    match verb {
        Verb::List => list(session, &opened).await,
        Verb::Status(arguments) => show(session, &opened, arguments).await,
        Verb::History(arguments) => history(session, &opened, &arguments.name).await,
        Verb::Approve(Approve { asking, plan }) => ask(session, &opened, asking, Request::Approve { plan }).await,
        Verb::Pause(asking) => ask(session, &opened, asking, Request::Pause).await,
        Verb::Resume(asking) => ask(session, &opened, asking, Request::Resume).await,
        Verb::Abort(asking) => ask(session, &opened, asking, Request::Abort).await,
        Verb::Retry(asking) => ask(session, &opened, asking, Request::Retry).await,
        Verb::Undo(Undo { asking, service }) => {
            let (_, campaign) = targets::rollout(session, opened.store.as_ref(), &asking.name).await?;
            let service = service.map(|text| service_of(&campaign, &text)).transpose()?;
            ask(session, &opened, asking, Request::Undo { service }).await
        }
    }
}

async fn list(session: &mut Session, opened: &Opened) -> Result<Answer, Error> {
    let items = get::collect(session, opened.store.as_ref(), Listed::Rollouts).await?;
    let text = get::render(session.output.format(), Listed::Rollouts, &items, false)?;
    if text.is_empty() {
        talk("no rollouts found");
    }
    session.output.text(&text)?;
    Ok(Answer::Yes)
}

async fn show(session: &mut Session, opened: &Opened, arguments: Status) -> Result<Answer, Error> {
    let store = opened.store.as_ref();
    let watch = if arguments.watch { Some(Watch::start()?) } else { None };
    let mut last = String::new();
    let people = matches!(session.output.format(), Format::Table | Format::Wide);
    loop {
        let (target, campaign) = targets::rollout(session, store, &arguments.name).await?;
        // Times that pass are no news: a change in what is stored is.
        let key = format!(
            "{}{:?}",
            campaign.rollout.version,
            campaign.changes.iter().map(|change| change.version).collect::<Vec<_>>()
        );
        let state = &campaign.rollout.value.state;
        let ended = state.is_final() && !campaign.changes.iter().any(|change| !change.value.state.phase().is_final());
        // On a terminal the tree stands and changes, the time that is left too; elsewhere each is told once.
        let in_place = people && watch.is_some() && session.output.width().is_some();
        if key != last || in_place {
            let mut text = rendered(session, store, &campaign).await?;
            if people {
                text.push_str(&troubles(store, &target).await?);
            }
            if in_place {
                session.output.live(&text, ended)?;
            } else {
                let between = if people && !last.is_empty() { "\n" } else { "" };
                session.output.text(&format!("{between}{text}"))?;
            }
            last = key;
        }
        let Some(watch) = &watch else { return Ok(Answer::Yes) };
        if ended {
            return Ok(Answer::of(ended_well(state, &Request::Resume)));
        }
        if !watch.again(session).await {
            return Ok(Answer::Yes);
        }
    }
}

/// What keeps the controller's passes over a target from being complete, as lines; nothing where they are.
pub(super) async fn troubles(store: &dyn Store, target: &TargetId) -> Result<String, Error> {
    let conditions = Targets::of(store).read(target).await?.map(|record| record.value.conditions).unwrap_or_default();
    let told = |reason: &Reason| {
        let line = format!("the last look at {target} was not whole: {reason}");
        format!("{}\n  do: {}\n", clean_text(&line), reason.code.remedy())
    };
    Ok(conditions.iter().map(told).collect())
}

/// The Freezes that are stored, by name.
pub(super) async fn freezes(store: &dyn Store) -> Result<Vec<(String, FreezeSpec)>, Error> {
    let objects = Configurations::of(store).freezes(None).await?.map(|(_, objects)| objects).unwrap_or_default();
    let freeze = |object: Object| match object.spec {
        Spec::Freeze(freeze) => Some((object.metadata.name, freeze)),
        _ => None,
    };
    Ok(objects.into_iter().filter_map(freeze).collect())
}

pub(super) async fn rendered(session: &Session, store: &dyn Store, campaign: &Campaign) -> Result<String, Error> {
    Ok(match session.output.format() {
        Format::Json => serde_json::to_string_pretty(&views::rollout_with_changes(campaign)).unwrap_or_default(),
        Format::Yaml => to_yaml(&views::rollout_with_changes(campaign))
            .map_err(|error| Error::new("failed to write YAML").caused_by(error.to_string()))?,
        Format::Name => format!("rollout/{}", campaign.rollout.value.name),
        _ => status::tree(campaign, &freezes(store).await?, session.now()),
    })
}

async fn history(session: &mut Session, opened: &Opened, name: &str) -> Result<Answer, Error> {
    let (_, campaign) = targets::rollout(session, opened.store.as_ref(), name).await?;
    match session.output.format() {
        Format::Json | Format::Yaml => {
            session.output.value(&List { items: views::changes(&campaign) }.to_json())?;
        }
        _ => session.output.text(&status::history(&campaign))?,
    }
    Ok(Answer::Yes)
}

/// The service among the rollout's changes that a name stands for.
fn service_of(campaign: &Campaign, text: &str) -> Result<ServiceArn, Error> {
    let services: Vec<&ServiceArn> =
        campaign.changes.iter().filter_map(|change| change.value.spec.resource.service()).collect();
    let found: Vec<&&ServiceArn> =
        services.iter().filter(|arn| arn.as_str() == text || arn.short() == text || arn.name() == text).collect();
    let name = &campaign.rollout.value.name;
    match found.as_slice() {
        [] => Err(Error::new(format!("rollout `{name}` has no change of `{text}`"))
            .help(format!("see `plimsoll rollout status {name}`"))),
        // Several changes of one service are still one service.
        [first, rest @ ..] if rest.iter().all(|arn| *arn == *first) => Ok((**first).clone()),
        _ => Err(Error::new(format!("rollout `{name}` has several services called `{text}`"))
            .help("write CLUSTER/NAME or the ARN")),
    }
}

async fn ask(session: &mut Session, opened: &Opened, asking: Asking, request: Request) -> Result<Answer, Error> {
    let store = opened.store.as_ref();
    let (target, campaign) = targets::rollout(session, store, &asking.name).await?;
    if let (Request::Approve { plan: Some(asked) }, actual) = (&request, &campaign.rollout.value.spec.plan)
        && asked != actual
    {
        return Err(Error::new(format!("rollout `{}` came from plan `{actual}`, not from `{asked}`", asking.name))
            .help(format!("look at it again with `plimsoll rollout status {}`", asking.name)));
    }
    let ask = Ask::Rollout { name: asking.name.clone(), request: request.clone() };
    if command::nothing_is_open(store, &target).await?
        && let Some(refused) = refusal(session, store, &target, &campaign, &request).await?
    {
        return command::refuse(session, ask, refused.to_string());
    }
    let command = command::ask(session, opened, &target, ask).await?;
    if !asking.wait {
        return match session.output.format() {
            Format::Json | Format::Yaml => session.output.value(&command_view::asked(&command)),
            Format::Name => session.output.text(&command.id),
            _ => session.output.text(&format!("{} of rollout/{} asked", request.verb(), asking.name)),
        }
        .map(|()| Answer::Yes);
    }
    let answer = command::answer(session, store, &target, &command).await?;
    if !answer.done {
        match session.output.format() {
            Format::Json | Format::Yaml => session.output.value(&command_view::answered(&command, &answer))?,
            _ => talk(&format!("refused: {}", answer.message)),
        }
        return Ok(Answer::No);
    }
    talk(&answer.message);
    // What is tried again of one that has ended comes in another rollout: nothing more is to become of this one.
    if let (Request::Retry, true) = (&request, is_planned_anew(&campaign.rollout.value.state)) {
        return Ok(Answer::Yes);
    }
    let campaign = until_settled(session, opened, &target, &asking.name, &request).await?;
    let text = rendered(session, store, &campaign).await?;
    session.output.text(&text)?;
    Ok(Answer::of(landed(&campaign, &request)))
}

/// Why the controller will refuse it, as far as the records tell already.
async fn refusal(
    session: &Session,
    store: &dyn Store,
    target: &TargetId,
    campaign: &Campaign,
    request: &Request,
) -> Result<Option<RefusedRequest>, Error> {
    let mut rollout = campaign.rollout.value.clone();
    let mut changes: Vec<Change> = campaign.changes.iter().map(|change| change.value.clone()).collect();
    if let (Request::Retry, true) = (request, rollout.state.is_final()) {
        let holds = Campaigns::of(store, target).holds().await?;
        let held = holds.iter().any(|hold| hold.value.rollout.as_deref() == Some(&rollout.name));
        let stopped = Targets::of(store).read(target).await?.map(|record| record.value.stopped_fixes);
        let stopped = stopped.is_some_and(|fixes| rollout.spec.fixes.iter().any(|fix| fixes.contains_key(fix)));
        return Ok(retry_of_ended(&rollout, &changes, held || stopped).err());
    }
    Ok(carry_out(&mut rollout, &mut changes, request, "whoever asks", session.now()).err())
}

/// Waits until what was asked for has come to its end, or to where a person is needed.
pub(super) async fn until_settled(
    session: &Session,
    opened: &Opened,
    target: &TargetId,
    name: &str,
    request: &Request,
) -> Result<Campaign, Error> {
    let store = opened.store.as_ref();
    let mut waiting = Waiting::start(session)?;
    loop {
        let Some(campaign) = Campaigns::of(store, target).campaign(name).await? else {
            return Err(Error::new(format!("rollout `{name}` is gone")));
        };
        if is_settled(&campaign, request) {
            return Ok(campaign);
        }
        waiting.pause(session, store, target).await?;
    }
}

/// Whether `retry` has the next plan take it up, rather than let the rollout itself go on.
fn is_planned_anew(state: &RolloutState) -> bool {
    let contested = matches!(state, RolloutState::Proposed { reason } if reason.code == ReasonCode::Contested);
    contested || state.is_final()
}

fn is_settled(campaign: &Campaign, request: &Request) -> bool {
    let state = &campaign.rollout.value.state;
    match request {
        Request::Pause => !campaign.changes.iter().any(|change| change.value.state.phase().is_in_flight()),
        Request::Undo { service: Some(service) } => of_service(campaign, service).all(|phase| phase.is_final()),
        Request::Undo { service: None } => state.is_final(),
        Request::Abort => {
            state.is_final() && !campaign.changes.iter().any(|change| change.value.state.phase().is_in_flight())
        }
        // Under `eachWave` the wave that was approved has landed when the next one waits for its own approval.
        Request::Approve { .. } | Request::Resume | Request::Retry => {
            state.is_final()
                || matches!(state, RolloutState::Paused { .. } | RolloutState::Proposed { .. })
                || waits_for_approval(&campaign.rollout.value)
        }
    }
}

fn waits_for_approval(rollout: &Rollout) -> bool {
    let asked = rollout.waiting.as_ref().is_some_and(|reason| reason.code == ReasonCode::ApprovalRequired);
    asked && matches!(rollout.state, RolloutState::Progressing { .. })
}

fn of_service<'a>(campaign: &'a Campaign, service: &'a ServiceArn) -> impl Iterator<Item = Phase> + 'a {
    let of_it = move |change: &&crate::records::Versioned<crate::rollout::Change>| {
        change.value.spec.resource.service() == Some(service)
    };
    campaign.changes.iter().filter(of_it).map(|change| change.value.state.phase())
}

pub(super) fn landed(campaign: &Campaign, request: &Request) -> bool {
    match request {
        Request::Undo { service: Some(service) } => {
            // What had not begun of it is dropped.
            let mut phases = of_service(campaign, service).filter(|phase| *phase != Phase::Deferred).peekable();
            phases.peek().is_some() && phases.all(|phase| phase == Phase::RolledBack)
        }
        Request::Undo { service: None } if campaign.changes.iter().any(|change| change.value.moved_on()) => false,
        Request::Approve { .. } if waits_for_approval(&campaign.rollout.value) => true,
        _ => ended_well(&campaign.rollout.value.state, request),
    }
}

/// Whether the state is what was asked for.
const fn ended_well(state: &RolloutState, request: &Request) -> bool {
    match request {
        Request::Pause => matches!(state, RolloutState::Paused { .. }),
        Request::Abort => matches!(state, RolloutState::Aborted { .. }),
        Request::Undo { .. } => matches!(state, RolloutState::RolledBack { .. }),
        Request::Approve { .. } | Request::Resume | Request::Retry => {
            matches!(state, RolloutState::Succeeded { .. } | RolloutState::Superseded { .. })
        }
    }
}
