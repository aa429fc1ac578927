//! Asks AWS and the store, in the order in which one thing needs the other: connection, store, policies, targets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;

use super::check::{Area, Check, Status};
use super::dry;
use super::rights::{denied, permitted};
use super::statement::{self, Place};
use crate::aws::{AwsError, Connection, DynamoStore, Identity, Role, Setting, SettingState, Timeouts};
use crate::cli::connect::{self, StoreUrl};
use crate::cli::environment;
use crate::cli::run::Session;
use crate::embedded::EmbeddedStore;
use crate::model::permission::{Need, PERMISSIONS};
use crate::model::spec::{AlarmSelector, Enforcement, Kind, Spec, TargetSpec};
use crate::model::{TargetId, Timestamp};
use crate::policy::PolicySet;
use crate::ports::store::{Expect, Key};
use crate::ports::{Store, StoreError};
use crate::records::RecordError;
use crate::records::configuration::{Configuration, Configurations};
use crate::records::statuses::counted;

/// AWS refuses what is signed five minutes off (IAM User Guide, "Signature Version 4": the time stamp); a minute is no
/// clock that anybody keeps, and shows in windows, waivers and the event log.
const SKEW: Duration = Duration::from_secs(60);

/// How long doctor waits: who asks it, sits there. A healthy endpoint answers within a second.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    read_attempt: Duration::from_secs(5),
    read: Duration::from_secs(10),
    write: Duration::from_secs(5),
};

/// What is asked and what came of it.
pub(super) struct Examination<'a> {
    session: &'a Session,
    checks: Vec<Check>,
}

/// Who asks there.
pub(super) struct Caller {
    pub(super) target: TargetId,
    pub(super) partition: String,
}

impl Caller {
    fn of(identity: &Identity, region: &str) -> Self {
        let target = TargetId { account: identity.account.clone(), region: region.to_owned() };
        Self { target, partition: statement::partition(&identity.arn).to_owned() }
    }

    pub(super) fn place<'a>(&'a self, table: &'a str) -> Place<'a> {
        Place { partition: &self.partition, target: &self.target, table }
    }
}

impl<'a> Examination<'a> {
    pub(super) const fn of(session: &'a Session) -> Self {
        Self { session, checks: Vec::new() }
    }

    pub(super) fn into_checks(self) -> Vec<Check> {
        self.checks
    }

    /// All of it. What needs something that is wrong is left out.
    pub(super) async fn make(&mut self) {
        let home = self.connection().await;
        let store = match &self.session.global.store {
            StoreUrl::File { path } => self.file(path),
            StoreUrl::DynamoDb { table } => match &home {
                Some((connection, caller)) => self.table(connection, caller, table).await,
                None => None,
            },
        };
        let configuration = match &store {
            Some(store) => self.policies(store.as_ref()).await,
            None => None,
        };
        let Some((connection, caller)) = home else { return };
        self.targets(&connection, caller, configuration.as_ref()).await;
    }

    pub(super) fn push(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Region, endpoint, credentials, clock.
    async fn connection(&mut self) -> Option<(Connection, Caller)> {
        let region = self.session.global.target.as_ref().map(|target| target.region.as_str());
        if let Err(fault) = environment::look() {
            self.push(Check::wrong(Area::Connection, "environment", fault.message, fault.help));
            return None;
        }
        let connection = match Connection::from_environment(region, TIMEOUTS).await {
            Ok(connection) => connection,
            Err(error) => {
                self.push(Check::wrong(Area::Connection, "region", error.to_string(), error.help()));
                return None;
            }
        };
        self.push(Check::ok(Area::Connection, "region", connection.region()));
        let (identity, served_at) = connection.identity_and_time().await;
        self.clock(served_at);
        match identity {
            Ok(identity) => {
                self.push(Check::ok(Area::Connection, "credentials", format!("the caller is {}", identity.arn)));
                let caller = Caller::of(&identity, connection.region());
                Some((connection, caller))
            }
            Err(error) => {
                self.push(unusable(Area::Connection, &error));
                None
            }
        }
    }

    fn clock(&mut self, served_at: Option<Timestamp>) {
        let Some(served_at) = served_at else {
            self.push(Check::new(Area::Clock, "skew", Status::NotChecked, "no answer told the time"));
            return;
        };
        let now = self.session.now();
        let (off, how) =
            if now >= served_at { (now.since(served_at), "ahead of") } else { (served_at.since(now), "behind") };
        if off > SKEW {
            let message = format!("this machine's clock is {} s {how} AWS's", off.as_secs());
            let remedy = "set the clock, and keep it with NTP (on EC2, the Amazon Time Sync Service); AWS refuses calls that \
                          are signed five minutes off";
            self.push(Check::wrong(Area::Clock, "skew", message, remedy));
        } else {
            self.push(Check::ok(Area::Clock, "skew", format!("within {} s of AWS's", SKEW.as_secs())));
        }
    }

    fn file(&mut self, path: &std::path::Path) -> Option<Arc<dyn Store>> {
        match EmbeddedStore::open(path) {
            Ok(store) => {
                self.push(Check::ok(Area::Store, "file", format!("`{}` is a store", store.describe())));
                Some(Arc::new(store))
            }
            Err(error) => {
                self.push(store_check("file", &error));
                None
            }
        }
    }

    /// The table: that it is there, what may be done with its items, how it is set up.
    async fn table(&mut self, connection: &Connection, caller: &Caller, table: &str) -> Option<Arc<dyn Store>> {
        let store = connection.store(table);
        if !self.items(&store, caller, table).await {
            return None;
        }
        self.settings(&store, caller, table).await;
        for permission in PERMISSIONS.iter().filter(|permission| permission.need == Need::Table) {
            let message = "it cannot be told without making or changing the table; `store init` needs it, once";
            self.push(Check::new(Area::Permission, permission.name(), Status::NotChecked, message));
        }
        Some(Arc::new(store))
    }

    /// The rights to items. False where there is no table, or nobody to ask.
    async fn items(&mut self, store: &DynamoStore, caller: &Caller, table: &str) -> bool {
        // Where nothing is: a version that no item has cannot be written over or deleted.
        let nothing = Key::new(format!("rt#{}", caller.target), "doctor");
        let never = Expect::Version(u64::MAX - 1);
        for permission in PERMISSIONS.iter().filter(|permission| permission.need == Need::Record) {
            let answer = match permission.action {
                "BatchGetItem" => store.get(std::slice::from_ref(&nothing)).await.map(drop),
                "GetItem" => store.look_at(&nothing).await,
                "Query" => store.query(&nothing.partition, &nothing.sort, None).await.map(drop),
                "UpdateItem" => store.put(&nothing, &Map::new(), never, None).await.map(drop),
                "DeleteItem" => store.delete(&nothing, never).await,
                _ => continue,
            };
            match answer {
                Ok(()) | Err(StoreError::Conflict { .. }) => {
                    self.push(Check::ok(Area::Permission, permission.name(), permitted(permission)));
                }
                Err(StoreError::Denied { message, .. }) => {
                    self.push(denied(permission, &message, caller.place(table)));
                }
                Err(error) => {
                    self.push(store_check("table", &error));
                    return false;
                }
            }
        }
        self.push(Check::ok(Area::Store, "table", format!("`{}` answers", store.describe())));
        self.peoples_rights(store).await;
        true
    }

    /// What the caller may write of what people write: worth knowing, and for a controller better not.
    async fn peoples_rights(&mut self, store: &DynamoStore) {
        for (class, what) in
            [("policy", "policies, Bindings, strategies and Targets"), ("waiver", "Waivers"), ("freeze", "Freezes")]
        {
            let key = Key::new(format!("cfg#{class}"), "doctor");
            let message = match store.put(&key, &Map::new(), Expect::Version(u64::MAX - 1), None).await {
                Err(StoreError::Conflict { .. }) => format!("these credentials may write {what}"),
                Err(StoreError::Denied { .. }) => format!("these credentials may not write {what}"),
                Err(error) => format!("whether these credentials may write {what} cannot be told: {error}"),
                Ok(_) => continue,
            };
            self.push(Check::new(Area::Permission, format!("write cfg#{class}"), Status::Note, message));
        }
    }

    async fn settings(&mut self, store: &DynamoStore, caller: &Caller, table: &str) {
        let settings = match store.settings().await {
            Ok(settings) => settings,
            Err(error) => return self.push(store_check("settings", &error)),
        };
        for (setting, state) in settings {
            let check = match state {
                SettingState::On => Check::ok(Area::Store, setting.as_str(), "on"),
                SettingState::Off => Check::wrong(Area::Store, setting.as_str(), "off", remedy_of(setting)),
                SettingState::Unknown { code, message } => {
                    let denied = dry::is_denial(code.as_deref().unwrap_or_default(), &message);
                    let permission = PERMISSIONS.iter().find(|permission| permission.action == asked_by(setting));
                    let missing = permission.filter(|_| denied && !dry::is_explicit(&message));
                    let statement = missing.map(|permission| statement::of(permission, caller.place(table)));
                    Check::new(Area::Store, setting.as_str(), Status::Unknown, message)
                        .remedy(if denied {
                            "permit it to be read"
                        } else {
                            "an endpoint without it keeps no such promise"
                        })
                        .missing(statement)
                }
            };
            self.push(check);
        }
    }

    /// What is in force, as a controller would read it.
    async fn policies(&mut self, store: &dyn Store) -> Option<Configuration> {
        let configuration = match Configurations::of(store).read(None).await {
            Ok(read) => read.unwrap_or_default(),
            Err(RecordError::Store { source, .. }) => {
                self.push(store_check("configuration", &source));
                return None;
            }
            Err(error) => {
                let remedy = "use the plimsoll that wrote it, or a later one";
                self.push(Check::wrong(Area::Policies, "configuration", error.to_string(), remedy));
                return None;
            }
        };
        let count = |kind| configuration.objects.iter().filter(|object| object.kind() == kind).count();
        match PolicySet::compile(&configuration.objects) {
            Err(errors) => {
                let message = errors.first().map(ToString::to_string).unwrap_or_default();
                let remedy = "correct it, and apply it again with `plimsoll apply -f`";
                self.push(Check::wrong(Area::Policies, "policy set", message, remedy));
            }
            Ok(set) if set.is_empty() => {
                let remedy = "apply some with `plimsoll apply -f policies/`, or see `plimsoll explain policy`";
                self.push(Check::wrong(Area::Policies, "policy set", "no policy is in force", remedy));
            }
            Ok(set) => {
                let policies = if set.len() == 1 { "1 policy".to_owned() } else { format!("{} policies", set.len()) };
                let bindings = counted(count(Kind::Binding), "Binding");
                let message = format!("in force: {policies}, {bindings}, {}", set.hash());
                self.push(Check::ok(Area::Policies, "policy set", message));
            }
        }
        Some(configuration)
    }

    async fn targets(&mut self, connection: &Connection, home: Caller, configuration: Option<&Configuration>) {
        let objects = configuration.map(|configuration| configuration.objects.as_slice()).unwrap_or_default();
        let targets: Vec<(&str, &TargetSpec)> = objects
            .iter()
            .filter_map(|object| match &object.spec {
                Spec::Target(spec) => Some((object.metadata.name.as_str(), spec)),
                _ => None,
            })
            .collect();
        let acts = objects.iter().any(|object| match &object.spec {
            Spec::Binding(binding) => matches!(binding.enforcement, Enforcement::Propose | Enforcement::Enforce),
            _ => false,
        });
        let alarms = objects.iter().filter_map(|object| match &object.spec {
            Spec::RolloutStrategy(strategy) => Some(strategy.health.alarms.as_slice()),
            _ => None,
        });
        let alarms: Vec<&AlarmSelector> = alarms.flatten().collect();
        if targets.is_empty() {
            self.target(connection, home, acts, &alarms).await;
            return;
        }
        let mut seen = BTreeSet::new();
        for (name, spec) in targets {
            let wanted = TargetId { account: spec.account.clone(), region: spec.region.clone() };
            if !seen.insert(wanted.clone()) {
                let message = format!("another Target is `{wanted}` too");
                let remedy =
                    "an account and region is one target: delete one of them with `plimsoll delete target NAME`";
                self.push(Check::wrong(Area::Target, name, message, remedy).at(&wanted));
                continue;
            }
            let role = spec.role_arn.clone().map(|arn| Role { arn, external_id: spec.external_id.clone() });
            let there = connection.target(&spec.region, role.as_ref()).await;
            match there.identity().await {
                Err(error) => self.push(unreachable_target(name, &error, role.as_ref()).at(&wanted)),
                Ok(identity) if identity.account != wanted.account => {
                    let message = format!(
                        "the credentials belong to account {}: the caller is {}",
                        identity.account, identity.arn
                    );
                    let remedy = "give the Target the roleArn of a role in its own account, or correct its account";
                    self.push(Check::wrong(Area::Target, name, message, remedy).at(&wanted));
                }
                Ok(identity) => {
                    let message = format!("the caller there is {}", identity.arn);
                    self.push(Check::ok(Area::Target, name, message).at(&wanted));
                    self.target(&there, Caller::of(&identity, &spec.region), acts, &alarms).await;
                }
            }
        }
    }
}

/// The credentials in use, or those of a Target's role, cannot be used.
fn unusable(area: Area, error: &AwsError) -> Check {
    let what = match error {
        AwsError::NoRegion => "region",
        AwsError::Unreachable { .. } | AwsError::NoAnswer { .. } => "endpoint",
        AwsError::NoCredentials { .. }
        | AwsError::CredentialsFailed { .. }
        | AwsError::Expired { .. }
        | AwsError::Rejected { .. }
        | AwsError::Denied { .. }
        | AwsError::Refused { .. } => "credentials",
    };
    let message = match error {
        // The SDK tells every place it has looked at.
        AwsError::NoCredentials { .. } => "no AWS credentials were found".to_owned(),
        _ => error.to_string(),
    };
    Check::wrong(area, what, message, error.help())
}

fn unreachable_target(name: &str, error: &AwsError, role: Option<&Role>) -> Check {
    match (role, connect::role_remedy(error, role)) {
        (Some(role), Some(remedy)) => {
            let message = format!("its role cannot be taken on: {}", error.said());
            Check::new(Area::Target, name, Status::Wrong, message)
                .remedy(remedy)
                .missing(Some(statement::assume(&role.arn)))
        }
        _ => Check { check: name.to_owned(), ..unusable(Area::Target, error) },
    }
}

fn store_check(what: &str, error: &StoreError) -> Check {
    let help = match error {
        StoreError::Missing { message, .. } if !message.contains("store init") => {
            "name another store with --store or PLIMSOLL_STORE"
        }
        StoreError::Missing { .. } => {
            "make it with `plimsoll store init`, or name another with --store or PLIMSOLL_STORE"
        }
        StoreError::Damaged { .. } => {
            "put a copy of the file back, or move it away and make an empty one with `plimsoll store init`"
        }
        StoreError::Denied { .. } => "check whose credentials are in use and what they may do",
        StoreError::Unavailable { .. } => {
            "check the network, and AWS_ENDPOINT_URL if it is set; in a private subnet, the VPC endpoint"
        }
        StoreError::Conflict { .. } | StoreError::TooLarge { .. } | StoreError::Corrupt { .. } => {
            "it was written by another version of plimsoll, or by hand"
        }
    };
    Check::wrong(Area::Store, what, error.to_string(), help)
}

const fn remedy_of(setting: Setting) -> &'static str {
    match setting {
        Setting::Capacity => "set the table's billing mode to PAY_PER_REQUEST: a rollout writes in bursts",
        Setting::Table
        | Setting::PointInTimeRecovery
        | Setting::Encryption
        | Setting::DeletionProtection
        | Setting::Expiry => "`plimsoll store init` sets it",
    }
}

/// The action that tells how a setting stands.
const fn asked_by(setting: Setting) -> &'static str {
    match setting {
        Setting::PointInTimeRecovery => "DescribeContinuousBackups",
        Setting::Expiry => "DescribeTimeToLive",
        Setting::Table | Setting::Capacity | Setting::Encryption | Setting::DeletionProtection => "DescribeTable",
    }
}
