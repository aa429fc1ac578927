//! What some commands print, as text: for whoever has a store or a plan at hand and no terminal, such as the scenarios.

use std::path::Path;
use std::sync::Arc;

use super::arguments::{Global, LogLines};
use super::connect::StoreUrl;
use super::error::Error;
use super::get::{self, Listed};
use super::output::{Format, Output};
use super::run::Session;
use super::{describe_service, patches, report, rollout, status};
use crate::model::{TargetId, Timestamp};
use crate::plan::Plan;
use crate::ports::{Clock, Store};
use crate::records::campaign::Campaigns;

/// What `rollout status NAME` prints.
///
/// # Errors
/// The store's, and where there is no such rollout.
pub async fn rollout_status(store: &dyn Store, target: &TargetId, name: &str, now: Timestamp) -> Result<String, Error> {
    let campaigns = Campaigns::of(store, target).campaigns().await?;
    let found = campaigns.iter().find(|campaign| campaign.rollout.value.name == name);
    let campaign = found.ok_or_else(|| Error::new(format!("there is no rollout `{name}`")))?;
    Ok(status::tree(campaign, &rollout::freezes(store).await?, now))
}

/// What `describe service NAME` prints.
///
/// # Errors
/// The store's, and where there is no such service.
pub async fn describe_service(store: &dyn Store, clock: Arc<dyn Clock>, name: &str) -> Result<String, Error> {
    let global = Global {
        // What is asked is the store that was given.
        store: StoreUrl::File { path: "none".into() },
        output: Format::Table,
        target: None,
        log_format: LogLines::Auto,
        verbose: 0,
        no_color: None,
    };
    let session = Session { global, output: Output::new(Format::Table, true), clock };
    describe_service::service(&session, store, name).await.map(|(text, _)| text)
}

/// What `plan` prints of a plan that so many policies made; `wide`: with `-o wide`.
#[must_use]
pub fn plan(plan: &Plan, policies: usize, wide: bool) -> String {
    report::in_full(plan, policies, wide)
}

/// What `get findings` prints.
///
/// # Errors
/// The store's.
pub async fn findings(store: &dyn Store, target: &TargetId) -> Result<String, Error> {
    let items = get::of_target(store, target, Listed::Findings).await?;
    get::render(Format::Table, Listed::Findings, &items, false)
}

/// Writes what `plan --patches` writes, and says what it says.
///
/// # Errors
/// Where the folder cannot be written to.
pub fn patches(folder: &Path, plan: &Plan) -> Result<Vec<String>, Error> {
    patches::write(folder, plan)
}
