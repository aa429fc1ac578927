//! From a URL to a store, and from the environment to ECS.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::clock::SystemClock;
use super::environment;
use super::error::Error;
use super::output::talk;
use crate::aws::{AwsError, Budgeted, Connection, Role, Share, Timeouts};
use crate::controller::targets::{Stored, Wanted};
use crate::embedded::EmbeddedStore;
use crate::model::{ReasonCode, TargetId};
use crate::ports::{Alarms, Clock as _, Ecs, ServedClock, Store};
use crate::records::configuration::Configuration;

/// Where policies and records are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `dynamodb://TABLE`
    DynamoDb {
        /// The table's name.
        table: String,
    },
    /// `file:PATH`
    File {
        /// Of the one file.
        path: PathBuf,
    },
}

impl FromStr for StoreUrl {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(table) = text.strip_prefix("dynamodb://").filter(|table| !table.is_empty()) {
            return Ok(Self::DynamoDb { table: table.to_owned() });
        }
        // `file:///srv/plimsoll.db` is the same as `file:/srv/plimsoll.db`.
        let path = text.strip_prefix("file:").map(|path| path.strip_prefix("//").unwrap_or(path));
        match path.filter(|path| !path.is_empty()) {
            Some(path) => Ok(Self::File { path: PathBuf::from(path) }),
            None => Err("a store is dynamodb://TABLE or file:PATH".to_owned()),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DynamoDb { table } => write!(f, "dynamodb://{table}"),
            Self::File { path } => write!(f, "file:{}", path.display()),
        }
    }
}

/// An open store, and the AWS connection that it came with.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    connection: Option<Connection>,
}

impl Opened {
    /// Who asks: the caller's ARN, or USER@HOST where the store is a file.
    pub(super) async fn caller(&self) -> Result<String, Error> {
        match &self.connection {
            Some(connection) => Ok(connection.identity().await?.arn),
            None => Ok(local_caller()),
        }
    }

    /// The same; where AWS does not tell it within three seconds, USER@HOST, for the store may be reached where STS is not,
    /// and a freeze must get through.
    pub(super) async fn caller_if_told(&self, clock: &dyn crate::ports::Clock) -> String {
        let told = tokio::select! {
            told = self.caller() => told.ok(),
            () = clock.sleep(NAME_WITHIN) => None,
        };
        told.unwrap_or_else(local_caller)
    }
}

/// How long a name is waited for where what is asked must get through without one.
const NAME_WITHIN: Duration = Duration::from_secs(3);

/// Opens a store that exists.
pub(super) async fn open_store(url: &StoreUrl) -> Result<Opened, Error> {
    match url {
        StoreUrl::File { path } => Ok(Opened { store: Arc::new(EmbeddedStore::open(path)?), connection: None }),
        StoreUrl::DynamoDb { table } => {
            let connection = connection().await?;
            Ok(Opened { store: Arc::new(connection.store(table)), connection: Some(connection) })
        }
    }
}

/// The connection that the environment describes.
pub(super) async fn connection() -> Result<Connection, Error> {
    from_environment(None, Timeouts::default()).await
}

/// The same in a region, with other timeouts.
pub(super) async fn from_environment(region: Option<&str>, timeouts: Timeouts) -> Result<Connection, Error> {
    environment::look()?;
    Ok(Connection::from_environment(region, timeouts).await?)
}

#[expect(clippy::disallowed_methods, reason = "the command line is where the environment is read")]
pub(super) fn local_caller() -> String {
    // A container or a cron job has neither; the number of the user is better than nobody.
    let named = |name: &str| std::env::var(name).ok().filter(|user| !user.is_empty());
    let user = named("USER").or_else(|| named("LOGNAME"));
    let user = user.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()));
    let host =
        std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::fs::read_to_string("/etc/hostname"));
    let host = host.map(|host| host.trim().to_owned()).unwrap_or_default();
    if host.is_empty() { user } else { format!("{user}@{host}") }
}

/// Puts something between a target's ECS and its budget.
pub(super) type Observe<'a> = dyn Fn(Arc<dyn Ecs>, &TargetId) -> Arc<dyn Ecs> + Send + Sync + 'a;

/// ECS in one target, within its budget.
#[derive(Clone)]
pub struct Aws {
    /// Whose it is, as AWS itself says.
    pub target: TargetId,
    /// The labels of its Target object, if there is one.
    pub labels: BTreeMap<String, String>,
    /// The caller's ARN.
    pub caller: String,
    /// The time, by ECS.
    pub clock: Arc<ServedClock>,
    /// The connection, for what is not ECS.
    pub connection: Connection,
    /// ECS, kept within the budget.
    pub ecs: Arc<dyn Ecs>,
    /// The same, to be asked how much of the budget is left.
    pub budget: Arc<Budgeted>,
    /// Alarms, kept within the same share of what AWS lets one account ask.
    pub alarms: Arc<dyn Alarms>,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").field("target", &self.target).field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl Aws {
    /// ECS in every target that the Target objects name; without any, in that of the credentials in use. `only` picks
    /// one. `budget`, in percent, is for targets that name none.
    ///
    /// # Errors
    /// No region, no credentials, no access; a Target whose credentials belong to another account.
    pub async fn targets(
        configuration: &Configuration,
        only: Option<&TargetId>,
        budget: Option<u8>,
        timeouts: Timeouts,
    ) -> Result<Vec<Self>, Error> {
        let stored = Stored::of(&configuration.objects, only);
        if let Some((name, first)) = stored.doubles.iter().next() {
            let of = |wanted: &&Wanted| wanted.name == *first;
            let id = stored.wanted.iter().find(of).and_then(Wanted::id);
            let (account, region) = id.map(|id| (id.account, id.region)).unwrap_or_default();
            return Err(Error::new(format!("Targets `{first}` and `{name}` are both `{account}/{region}`"))
                .help("an account and region is one target: delete one of them with `plimsoll delete target NAME`"));
        }
        if stored.wanted.is_empty() {
            return Err(no_target(only, configuration));
        }
        let connection = from_environment(only.map(|only| only.region.as_str()), timeouts).await?;
        let mut all = Vec::new();
        for wanted in &stored.wanted {
            let reached = Self::reach(&connection, wanted, budget, &|ecs, _| ecs).await;
            let aws = reached.map_err(|failed| failed.error)?;
            if let Some(only) = only.filter(|only| **only != aws.target) {
                return Err(another_account(only, &aws.target, &aws.caller, wanted));
            }
            all.push(aws);
        }
        Ok(all)
    }

    /// ECS in one target.
    ///
    /// # Errors
    /// As [`targets`](Self::targets), each with the code of what it is.
    pub(super) async fn reach(
        connection: &Connection,
        wanted: &Wanted,
        budget: Option<u8>,
        observe: &Observe<'_>,
    ) -> Result<Self, ReachError> {
        let context = |error: Error| match wanted.name.as_str() {
            "" => error,
            name => error.context(format!("failed to reach Target `{name}`")),
        };
        let role = wanted
            .spec
            .as_ref()
            .and_then(|spec| spec.role_arn.clone().map(|arn| Role { arn, external_id: spec.external_id.clone() }));
        let (there, labels, share) = match &wanted.spec {
            None => (connection.clone(), BTreeMap::new(), budget),
            Some(spec) => {
                let there = connection.target(&spec.region, role.as_ref()).await;
                (there, spec.labels.clone(), spec.budget.or(budget))
            }
        };
        let reached = Self::of(there, role.as_ref(), (labels, share), observe).await;
        let aws = reached.map_err(|failed| failed.in_context(context))?;
        match wanted.id() {
            Some(id) if id != aws.target => Err(ReachError {
                code: ReasonCode::WrongTarget,
                error: context(another_account(&id, &aws.target, &aws.caller, wanted)),
            }),
            _ => Ok(aws),
        }
    }

    async fn of(
        connection: Connection,
        role: Option<&Role>,
        (labels, budget): (BTreeMap<String, String>, Option<u8>),
        observe: &Observe<'_>,
    ) -> Result<Self, ReachError> {
        let (identity, served_at) = connection.identity_and_time().await;
        let identity = identity.map_err(|error| ReachError::of(error, role))?;
        let clock = Arc::new(ServedClock::new(Arc::new(SystemClock)));
        if let Some(served_at) = served_at {
            clock.hears(served_at);
        }
        let target = TargetId { account: identity.account, region: connection.region().to_owned() };
        let share = match budget {
            None => Share::default(),
            Some(percent) => Share::percent(percent).ok_or_else(|| {
                Error::new(format!("a budget of {percent} percent is not possible")).help("use 1 to 100")
            })?,
        };
        let observed = observe(Arc::new(connection.ecs().setting(Arc::clone(&clock))), &target);
        let budget = Arc::new(Budgeted::new(Arc::clone(&observed), share));
        let alarms = Arc::new(connection.alarms(share));
        let ecs: Arc<dyn Ecs> = if budget_is_off()? { observed } else { budget.clone() };
        Ok(Self { target, labels, caller: identity.arn, clock, connection, ecs, budget, alarms })
    }
}

/// A target that could not be reached.
#[derive(Debug)]
pub(super) struct ReachError {
    /// In a word.
    pub(super) code: ReasonCode,
    /// For people.
    pub(super) error: Error,
}

impl ReachError {
    fn in_context(self, context: impl FnOnce(Error) -> Error) -> Self {
        Self { error: context(self.error), ..self }
    }
}

impl ReachError {
    fn of(error: AwsError, role: Option<&Role>) -> Self {
        match (role, role_remedy(&error, role)) {
            (Some(role), Some(remedy)) => Self {
                code: ReasonCode::NotReached,
                error: Error::new(format!("its role `{}` cannot be taken on", role.arn))
                    .caused_by(error.said())
                    .help(remedy),
            },
            _ => Self {
                code: match &error {
                    AwsError::Denied { .. } => ReasonCode::AccessDenied,
                    _ => ReasonCode::NotReached,
                },
                error: error.into(),
            },
        }
    }
}

/// What to do where AWS denies a Target's role; `None` where something else is wrong, or nobody takes on a role.
pub(super) fn role_remedy(error: &AwsError, role: Option<&Role>) -> Option<String> {
    let (AwsError::CredentialsFailed { message } | AwsError::Denied { message }) = error else { return None };
    let role = role.filter(|_| message.contains("AssumeRole"))?;
    let remedy = format!(
        "allow the caller to take on `{}`, and let that role's trust policy name the caller{}",
        role.arn,
        if role.external_id.is_some() { " and the Target's externalId" } else { "" }
    );
    Some(remedy)
}

impl From<Error> for ReachError {
    fn from(error: Error) -> Self {
        Self { code: ReasonCode::NotReached, error }
    }
}

/// A name that no other controller has: host, process, and the time it started.
pub(super) fn holder() -> String {
    let started = SystemClock.now().as_millis();
    format!("{}#{}#{started}", local_caller(), std::process::id())
}

/// `--target` names none.
pub(super) fn no_target(only: Option<&TargetId>, configuration: &Configuration) -> Error {
    let asked = only.map(ToString::to_string).unwrap_or_default();
    let known = Stored::of(&configuration.objects, None).wanted;
    let known: Vec<String> = known.iter().filter_map(Wanted::id).map(|id| format!("`{id}`")).collect();
    Error::new(format!("no Target is `{asked}`"))
        .help(format!("there are {}; see `plimsoll get targets`", known.join(", ")))
}

/// Whether the budget is left out: for endpoints that throttle nobody, such as `plimsoll sim`, and for measuring what is
/// left then. On AWS it would take from the account's own deployments.
#[expect(clippy::disallowed_methods, reason = "the edge is where the environment is read")]
fn budget_is_off() -> Result<bool, Error> {
    match std::env::var("PLIMSOLL_BUDGET").as_deref() {
        Err(_) | Ok("") => Ok(false),
        Ok("off") => {
            talk("PLIMSOLL_BUDGET=off: calls are not kept within a share of ECS's rates");
            Ok(true)
        }
        Ok(_) => Err(Error::new("PLIMSOLL_BUDGET can only be `off`")
            .help("unset it; the share is `controller --budget`, or the `budget` of a Target")),
    }
}

pub(super) fn another_account(id: &TargetId, found: &TargetId, caller: &str, wanted: &Wanted) -> Error {
    let told = |whose: &str| {
        Error::new(format!("the credentials {whose} belong to `{found}`, not to `{id}`"))
            .caused_by(format!("the caller is `{caller}`"))
    };
    match &wanted.spec {
        Some(spec) if spec.role_arn.is_some() => {
            told("of its role").help("give the Target the roleArn of a role in its own account, or correct its account")
        }
        Some(_) => told("in use").help("choose other credentials with AWS_PROFILE, or give the Target a roleArn"),
        None => told("in use").help("choose other credentials with AWS_PROFILE, or leave --target out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_table_or_a_file() {
        let table: StoreUrl = "dynamodb://plimsoll".parse().unwrap();
        assert_eq!(table, StoreUrl::DynamoDb { table: "plimsoll".to_owned() });
        for (text, path) in [("file:a.db", "a.db"), ("file:/srv/a.db", "/srv/a.db"), ("file:///srv/a.db", "/srv/a.db")]
        {
            assert_eq!(text.parse(), Ok(StoreUrl::File { path: PathBuf::from(path) }));
        }
        for wrong in ["", "plimsoll.db", "file:", "dynamodb://", "s3://bucket"] {
            assert!(wrong.parse::<StoreUrl>().is_err(), "{wrong}");
        }
    }
}
