//! `plan`: observe, and show what would change. Writes nothing to AWS and nothing to the store.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::connect::Aws;
use super::controller::guarded_member;
use super::error::{Answer, Error};
use super::output::{Format, talk};
use super::planned::PlanReport;
use super::printed::Printed;
use super::run::Session;
use super::{apply, patches, policies, report};
use crate::aws::Timeouts;
use crate::controller::{Controller, ControllerError, Parts, Settings};
use crate::embedded::EmbeddedStore;
use crate::model::chain;
use crate::model::spec::Object;
use crate::plan::Plan;
use crate::ports::Store;
use crate::records::configuration::{Application, Configuration, Configurations};

/// What to plan with.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// As if these files and folders were applied too; without a store, with these alone
    #[arg(short, long = "filename", value_name = "PATH", num_args = 1..)]
    filename: Vec<PathBuf>,
    /// Write the plan to a file as JSON, values masked
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a JSON Patch and the corrected register input of each family into a folder; these are not masked
    #[arg(long, value_name = "DIR")]
    patches: Option<PathBuf>,
    /// Look outside of services too: at running tasks that none started, and families that none uses
    #[arg(long)]
    standalone: bool,
    /// A guarded member that the controller is started with --allow-edit for; `*` for list elements
    #[arg(long, value_name = "POINTER", value_parser = guarded_member)]
    allow_edit: Vec<String>,
}

/// A plan, and what it was made with.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) policies: usize,
}

pub(super) async fn run(session: &mut Session, arguments: Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    let sourced = policies::read(&arguments.filename, "nothing was planned")?;
    let opened = match session.store().await {
        Ok(opened) => Some(opened),
        // Files alone say what is wanted; what the store would add is told to be missing.
        Err(error) if !sourced.is_empty() => {
            talk(&format!("planning with the files alone: {}", error.one_line()));
            None
        }
        Err(error) => return Err(error),
    };
    let store = opened.as_ref().map(|opened| Arc::clone(&opened.store));
    let mut configuration = match store.as_deref() {
        None => Configuration::default(),
        Some(store) => match Configurations::of(store).read(None).await {
            Ok(configuration) => configuration.unwrap_or_default(),
            Err(error) if !sourced.is_empty() => {
                talk(&format!("planning with the files alone: {}", Error::from(error).one_line()));
                Configuration::default()
            }
            Err(error) => return Err(error.into()),
        },
    };
    policies::hold_to_a_year(&sourced, session.now(), "nothing was planned")?;
    if !sourced.is_empty() {
        let objects: Vec<Object> = sourced.iter().map(|one| one.object.clone()).collect();
        configuration = apply::overlay(&configuration, &Application { objects, ..Application::default() }, &[]);
    }
    let set = policies::compile(&configuration.objects, &sourced, "nothing was planned")?;
    if set.is_empty() {
        return Err(
            Error::new("no policy is in effect").help("apply some with `plimsoll apply -f policies/`, or plan with -f")
        );
    }
    let with_store = store.is_some();
    let mut planned =
        observe_and_plan(session, &configuration, store, (&arguments.allow_edit, arguments.standalone)).await?;
    let several = planned.len() > 1;
    let Some(one) = planned.pop().filter(|_| !several) else {
        return Err(Error::new("there are several targets")
            .help("plan one at a time with --target ACCOUNT/REGION; see `plimsoll get targets`"));
    };
    let source = source(session, &arguments, with_store);
    let value = PlanReport::of(&one.plan, one.policies, &source).to_json();
    if let Some(path) = &arguments.out {
        private(path, &serde_json::to_string_pretty(&value).unwrap_or_default())?;
        talk(&format!("wrote the plan to {}", path.display()));
    }
    if let Some(folder) = &arguments.patches {
        for line in patches::write(folder, &one.plan)? {
            talk(&line);
        }
    }
    match session.output.format() {
        Format::Json | Format::Yaml => session.output.value(&value)?,
        Format::Name => {
            let changed: Vec<&str> = one
                .plan
                .campaigns
                .iter()
                .flat_map(|campaign| &campaign.changes)
                .map(|change| change.resource.as_str())
                .collect();
            session.output.text(&changed.join("\n"))?;
        }
        format => session.output.text(&report::in_full(&one.plan, one.policies, format == Format::Wide))?,
    }
    Ok(Answer::of(one.plan.is_settled()))
}

fn source(session: &Session, arguments: &Arguments, with_store: bool) -> String {
    let store = with_store.then(|| session.global.store.to_string());
    let files = arguments.filename.iter().map(|path| path.display().to_string());
    store.into_iter().chain(files).collect::<Vec<_>>().join(" ")
}

/// Looks at the fleet of every target that is meant, and plans with `configuration`.
///
/// Writes nothing. With a store, holds and open rollouts are taken into account.
pub(super) async fn observe_and_plan(
    session: &Session,
    configuration: &Configuration,
    store: Option<Arc<dyn Store>>,
    (allow_edit, standalone): (&[String], bool),
) -> Result<Vec<Planned>, Error> {
    let mut planned = Vec::new();
    for aws in Aws::targets(configuration, session.global.target.as_ref(), None, Timeouts::default()).await? {
        planned.push(plan_target(&aws, configuration, store.clone(), (allow_edit, standalone)).await?);
    }
    Ok(planned)
}

/// Observes one target, and plans as its controller would.
async fn plan_target(
    aws: &Aws,
    configuration: &Configuration,
    store: Option<Arc<dyn Store>>,
    (allow_edit, standalone): (&[String], bool),
) -> Result<Planned, Error> {
    // Without a store there are no holds and no open rollouts to read: an empty one stands for it.
    let store = match store {
        Some(store) => store,
        None => Arc::new(EmbeddedStore::in_memory()?),
    };
    let settings = Settings {
        target: aws.target.clone(),
        caller: aws.caller.clone(),
        holder: String::new(),
        lease: Duration::from_secs(30),
        call_timeout: Duration::from_secs(2),
        resync: Some(Duration::from_secs(60)),
        poll: Duration::from_secs(15),
        allow_edit: allow_edit.to_vec(),
    };
    let (ecs, alarms) = (Arc::clone(&aws.ecs), Arc::clone(&aws.alarms));
    let parts = Parts { ecs, alarms, store, clock: aws.clock.clone() };
    let mut controller = Controller::new(parts, settings);
    if standalone {
        // Whoever asks waits for all of it.
        controller = controller.with_standalone(Duration::ZERO, usize::MAX);
    }
    let planned = controller.plan(Some(configuration.objects.clone())).await;
    let (plan, set) = planned.map_err(controller_error)?;
    Ok(Planned { plan, policies: set.len() })
}

/// What ended a pass, with what to do about it.
pub(super) fn controller_error(error: ControllerError) -> Error {
    match error {
        // The source names the operation too; with what input is for whoever asks for more.
        ControllerError::Ecs { action, source } => {
            tracing::debug!(action, "failed");
            Error::from(source)
        }
        ControllerError::Record(source) => Error::from(source),
        ControllerError::Unpack { .. } | ControllerError::Stopped => Error::new(chain(&error)),
        ControllerError::Wire { .. } => {
            Error::new(chain(&error)).help("the endpoint does not answer as ECS does; check AWS_ENDPOINT_URL")
        }
        ControllerError::NotHolder { .. } => Error::new(error.to_string())
            .help("wait for it to stop, or let it do the work; `plimsoll get leases` shows who holds what"),
        ControllerError::WrongTarget { .. } => {
            Error::new(error.to_string()).help("set AWS_REGION and the credentials to those of the endpoint")
        }
        ControllerError::NoPolicies => {
            Error::new("no policy is in effect").help("apply some with `plimsoll apply -f policies/`")
        }
        ControllerError::Policies { .. } => Error::new(error.to_string()).help("apply them again with this version"),
    }
}

/// Writes a file that only its owner may read.
pub(super) fn private(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |error: std::io::Error| {
        Error::new(format!("failed to write `{}`", path.display())).caused_by(error.to_string())
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    // One that was there keeps the mode it had.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed)
}
