//! Holds: fixes that stay off a resource, and who says until when.

use std::time::Duration;

use super::advance::BY;
use super::books::Books;
use super::error::ControllerError;
use crate::model::{Hold, Reason, ReasonCode, Timestamp};
use crate::records::Versioned;
use crate::records::campaign::CampaignRecord;
use crate::records::events::Entry;
use crate::rollout::Change;

/// How long a fix rests where ECS denied access to make it.
const ACCESS_DENIED_FOR: Duration = Duration::from_secs(60 * 60);

/// How often a hold is looked at again that somebody else writes at the same time.
const LOOKS: usize = 3;

impl Books {
    /// Holds the fixes of a change off its resource.
    ///
    /// # Errors
    /// The store's.
    pub async fn hold(&mut self, change: &Change, reason: &Reason, now: Timestamp) -> Result<(), ControllerError> {
        // Rights are granted without anybody telling: looked at again after a while.
        let until = (reason.code == ReasonCode::AccessDenied).then(|| now + ACCESS_DENIED_FOR);
        for fix in &change.spec.fixes {
            let hold = Hold {
                resource: change.spec.resource.clone(),
                fix: fix.clone(),
                policy: change.spec.policies.join(","),
                reason: reason.clone(),
                by: None,
                rollout: Some(change.spec.rollout.clone()),
                created_at: now,
                until,
            };
            self.add_hold(hold, now, BY).await?;
        }
        Ok(())
    }

    /// Why a change may not begin: one of its fixes is held off its resource.
    #[must_use]
    pub fn held(&self, change: &Change, now: Timestamp) -> Option<Reason> {
        let spec = &change.spec;
        let covers =
            |hold: &&Hold| hold.resource == spec.resource && spec.fixes.iter().any(|fix| hold.covers(fix, now));
        let hold = self.holds.iter().map(|hold| &hold.value).find(covers)?;
        let message = format!("a fix is held off `{}`: {}", spec.resource.short(), hold.reason.message);
        Some(Reason { code: ReasonCode::Held, message, until: hold.until })
    }

    /// Why a change that is on its way is taken back: what it brings has been undone since, as part of another rollout.
    #[must_use]
    pub fn undone(&self, change: &Change, now: Timestamp) -> Option<Reason> {
        let spec = &change.spec;
        let undoes = |hold: &&Hold| {
            hold.reason.code == ReasonCode::UndoneByPerson
                && hold.resource == spec.resource
                && spec.fixes.iter().any(|fix| hold.covers(fix, now))
        };
        let hold = self.holds.iter().map(|hold| &hold.value).find(undoes)?;
        Some(hold.reason.clone()).filter(|_| change.goes_forward())
    }

    /// Adds a hold. Holding twice is holding once.
    ///
    /// # Errors
    /// The store's.
    pub async fn add_hold(&mut self, hold: Hold, now: Timestamp, by: &str) -> Result<(), ControllerError> {
        let hold = Hold { by: Some(by.to_owned()), ..hold };
        let key = hold.sort_key();
        for look in 1.. {
            let known = self.holds.iter().find(|known| known.value.sort_key() == key);
            // What a person asks for is done as asked; what we hold off by ourselves shortens nobody's hold.
            let lasts = |known: &Hold| by == BY && outlasts(known.until, hold.until);
            // A person's undo stands above whatever else it is held off for: `retry` lets only that come again.
            let undoes = |hold: &Hold| hold.reason.code == ReasonCode::UndoneByPerson;
            let says_more = |known: &Hold| undoes(&hold) && !undoes(known);
            let same = |known: &Hold| known.until == hold.until && !says_more(known);
            if known.is_some_and(|known| same(&known.value) || lasts(&known.value) && !says_more(&known.value)) {
                return Ok(());
            }
            let version = known.map(|known| known.version);
            match self.kept().put(&hold, version).await {
                Ok(version) => {
                    self.holds.retain(|known| known.value.sort_key() != key);
                    self.holds.push(Versioned { version, value: hold.clone() });
                    break;
                }
                // Somebody has held it off, or released it, since it was read: decided again by what they wrote.
                Err(error) if error.is_conflict() && look < LOOKS => {
                    let found = self.kept().get::<Hold>(&key).await?;
                    self.holds.retain(|known| known.value.sort_key() != key);
                    self.holds.extend(found);
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.event(of_hold(&hold, now, by)).await
    }

    /// Releases the holds that `which` chooses, and says how many there were.
    ///
    /// # Errors
    /// The store's.
    pub async fn release(
        &mut self,
        which: impl Fn(&Hold) -> bool,
        now: Timestamp,
        by: &str,
    ) -> Result<usize, ControllerError> {
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.holds).into_iter().partition(|hold| which(&hold.value));
        self.holds = kept;
        for hold in &gone {
            self.kept().remove(hold).await?;
            let entry = Entry {
                subject: format!("Hold/{}", hold.value.resource.short()),
                at: now,
                what: "Released".to_owned(),
                message: format!(
                    "the fix of `{}` may go to `{}` again",
                    hold.value.policy,
                    hold.value.resource.short()
                ),
                reason: None,
                by: by.to_owned(),
            };
            self.event(entry).await?;
        }
        Ok(gone.len())
    }
}

/// Of a hold that was added.
pub(super) fn of_hold(hold: &Hold, now: Timestamp, by: &str) -> Entry {
    Entry {
        subject: format!("Hold/{}", hold.resource.short()),
        at: now,
        what: "Held".to_owned(),
        message: format!("the fix of `{}` is held off `{}`", hold.policy, hold.resource.short()),
        reason: Some(hold.reason.clone()),
        by: by.to_owned(),
    }
}

/// Whether a hold until `one` lasts as long as one until `other`. Without an end it lasts for ever.
fn outlasts(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    match (one, other) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(one), Some(other)) => one >= other,
    }
}
