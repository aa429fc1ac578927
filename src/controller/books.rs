//! The records of one target in hand during a pass, each with the version it was read at.
//!
//! Every write is conditional on that version: a controller that has lost its lease is refused here. While the lease is
//! held nobody else writes them, so they are read once and kept from pass to pass; after any error they are read again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::ControllerError;
use super::{entered, entries};
use crate::model::{Hold, Reason, ReasonCode, Resource, TargetId, TaskDefinitionArn, Timestamp, chain};
use crate::plan::older::OlderTasks;
use crate::plan::ownership::{Landing, Landings};
use crate::ports::Store;
use crate::records::campaign::{Campaign, CampaignRecord, Campaigns};
use crate::records::events::{Entry, Event, Events};
use crate::records::targets::{TargetRecord, Targets};
use crate::records::{RecordError, Versioned};
use crate::rollout::{Change, Registration, RegistrationState, Rollout, RolloutState, State, late, new_tasks};

/// The records of one target.
pub struct Books {
    store: Arc<dyn Store>,
    target: TargetId,
    /// The epoch of our lease: it goes onto everything we write.
    pub epoch: u64,
    /// Every rollout that is not final, and those whose changes are not.
    pub campaigns: Vec<Campaign>,
    /// Rollouts that have ended, shared with whoever is told of a pass: over the months they are many.
    pub ended: Vec<Arc<Campaign>>,
    /// Every registration.
    pub registrations: Vec<Versioned<Registration>>,
    /// Every hold.
    pub holds: Vec<Versioned<Hold>>,
    /// Counts looks at the open rollouts. Not kept: it only says who is tried first.
    pub turn: usize,
    /// Whose older tasks are looked at next. Not kept either.
    pub(super) next_older: usize,
    /// The target as a whole.
    pub record: TargetRecord,
    record_version: Option<u64>,
    record_read: TargetRecord,
}

impl Books {
    /// Reads everything of a target.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(store: Arc<dyn Store>, target: TargetId, epoch: u64) -> Result<Self, ControllerError> {
        let campaigns = Campaigns::of(store.as_ref(), &target);
        // First: what a former holder makes, or carries out for a person, meanwhile it confirms by this record, so that our
        // stamp is refused, and all of it is read again.
        let record = Targets::of(store.as_ref()).read(&target).await?;
        let (open, ended): (_, Vec<Campaign>) = campaigns.campaigns().await?.into_iter().partition(is_open);
        let (registrations, holds) = (campaigns.registrations().await?, campaigns.holds().await?);
        let record_version = record.as_ref().map(|record| record.version);
        let record = record.map(|record| record.value).unwrap_or_default();
        Ok(Self {
            store,
            target,
            epoch,
            campaigns: open,
            ended: ended.into_iter().map(Arc::new).collect(),
            registrations,
            holds,
            turn: 0,
            next_older: 0,
            record_read: record.clone(),
            record,
            record_version,
        })
    }

    pub(super) fn kept(&self) -> Campaigns<'_> {
        Campaigns::of(self.store.as_ref(), &self.target)
    }

    /// Puts every campaign where it belongs by now: among the open ones or the ended ones.
    pub fn sort_out(&mut self) {
        let (open, ended): (_, Vec<Campaign>) = std::mem::take(&mut self.campaigns).into_iter().partition(is_open);
        let (open_again, mut still) =
            std::mem::take(&mut self.ended).into_iter().partition::<Vec<_>, _>(|campaign| is_open(campaign));
        self.campaigns = open.into_iter().chain(open_again.into_iter().map(Arc::unwrap_or_clone)).collect();
        still.splice(0..0, ended.into_iter().map(Arc::new));
        self.ended = still;
    }

    /// Stamps our epoch on every open record, so that whoever held the lease before can write none of them.
    ///
    /// # Errors
    /// The store's; a conflict where somebody else writes still: read again.
    pub async fn stamp(&mut self) -> Result<(), ControllerError> {
        let (store, target, epoch) = (Arc::clone(&self.store), self.target.clone(), self.epoch);
        let kept = Campaigns::of(store.as_ref(), &target);
        for campaign in &mut self.campaigns {
            stamp(&kept, &mut campaign.rollout, epoch).await?;
            for change in &mut campaign.changes {
                stamp(&kept, change, epoch).await?;
            }
        }
        for registration in &mut self.registrations {
            stamp(&kept, registration, epoch).await?;
        }
        // What the former holder takes a rollout's number from, and confirms it by.
        self.record.epoch = epoch;
        self.write_record().await
    }

    /// Whether a former holder has written an open record since this one took over.
    #[must_use]
    pub fn bears_another_epoch(&self) -> bool {
        let other = |epoch: u64| epoch != self.epoch;
        let campaign = |campaign: &Campaign| {
            other(campaign.rollout.value.epoch) || campaign.changes.iter().any(|change| other(change.value.epoch))
        };
        self.campaigns.iter().any(campaign)
    }

    /// Writes a rollout, and its event if it entered another state.
    ///
    /// # Errors
    /// The store's.
    pub async fn write_rollout(
        &self,
        rollout: &mut Versioned<Rollout>,
        before: &RolloutState,
        now: Timestamp,
        by: &str,
    ) -> Result<(), ControllerError> {
        rollout.value.epoch = self.epoch;
        let moved = before.phase() != rollout.value.state.phase() || before.wave() != rollout.value.state.wave();
        if moved {
            rollout.value.entered_at = Some(now);
        }
        rollout.version = self.kept().put(&rollout.value, Some(rollout.version)).await?;
        if moved {
            entered::rollout(&self.target, &rollout.value);
            self.event(entries::of_rollout(&rollout.value, now, by)).await?;
        }
        Ok(())
    }

    /// Writes a change, and its event if it entered another phase.
    ///
    /// # Errors
    /// The store's.
    pub async fn write_change(
        &self,
        change: &mut Versioned<Change>,
        before: &State,
        now: Timestamp,
        by: &str,
    ) -> Result<(), ControllerError> {
        change.value.epoch = self.epoch;
        change.version = self.kept().put(&change.value, Some(change.version)).await?;
        if change.value.state.is_entered_from(before) {
            let reason = change.value.history.last().and_then(|entry| entry.reason.clone());
            entered::change(&self.target, &change.value, reason.as_ref());
            self.event(entries::of_change(&change.value, now, by)).await?;
        }
        Ok(())
    }

    /// Creates a rollout with its changes: the changes first, so that a rollout that can be seen is whole.
    ///
    /// # Errors
    /// The store's.
    pub async fn create(
        &mut self,
        rollout: Rollout,
        changes: Vec<Change>,
        now: Timestamp,
        by: &str,
    ) -> Result<(), ControllerError> {
        let (store, target) = (Arc::clone(&self.store), self.target.clone());
        let kept = Campaigns::of(store.as_ref(), &target);
        let mut stored = Vec::with_capacity(changes.len());
        for change in changes {
            // The rollout's number was taken before its name was used: whoever else has it, holds the lease no more or not
            // yet, and what they wrote is theirs.
            stored.push(Versioned { version: kept.put(&change, None).await?, value: change });
        }
        let mut rollout = Versioned { version: kept.put(&rollout, None).await?, value: rollout };
        self.record.created = self.record.rollouts;
        if let Err(error) = self.write_record().await {
            // Somebody else may hold the lease by now, and knows nothing of this one. Or has read it and taken it over:
            // then it is theirs, and stays. Where it is left, the next reading finds it, judged before it begins.
            if let Err(left) = kept.remove(&rollout).await {
                tracing::warn!(target_id = %self.target, rollout = %rollout.value.name, error = %chain(&left), "a rollout that nobody begins was left");
            }
            return Err(error);
        }
        self.event(entries::made(&rollout.value, stored.len(), now, by)).await?;
        rollout.value.epoch = self.epoch;
        self.campaigns.push(Campaign { rollout, changes: stored });
        Ok(())
    }

    /// The registration of that sort key, as it is by now.
    #[must_use]
    pub(super) fn registration_at(&self, key: &str) -> Option<Registration> {
        self.registrations.iter().map(|known| &known.value).find(|known| known.sort_key() == key).cloned()
    }

    /// Writes a registration over the one that was read, or creates it.
    ///
    /// # Errors
    /// The store's.
    pub async fn write_registration(&mut self, mut registration: Registration) -> Result<(), ControllerError> {
        registration.epoch = self.epoch;
        let key = registration.sort_key();
        let version = self.registrations.iter().find(|known| known.value.sort_key() == key).map(|known| known.version);
        let version = self.kept().put(&registration, version).await?;
        self.registrations.retain(|known| known.value.sort_key() != key);
        self.registrations.push(Versioned { version, value: registration });
        Ok(())
    }

    /// Forgets an intent whose call is known not to have been made; unless an earlier one may still arrive, which is what
    /// it stands for then.
    ///
    /// # Errors
    /// The store's.
    pub async fn forget_intent(&mut self, registration: &Registration) -> Result<(), ControllerError> {
        if registration.stray.is_some() {
            return Ok(());
        }
        self.remove_registration(registration).await
    }

    /// Forgets a registration of which nothing is to come.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove_registration(&mut self, registration: &Registration) -> Result<(), ControllerError> {
        let key = registration.sort_key();
        let Some(place) = self.registrations.iter().position(|known| known.value.sort_key() == key) else {
            return Ok(());
        };
        let known = self.registrations.remove(place);
        Ok(self.kept().remove(&known).await?)
    }

    /// The registration that a change needs, if it has been begun.
    #[must_use]
    pub fn registration(&self, change: &Change) -> Option<&Registration> {
        let documents = change.spec.documents.as_ref()?;
        let from = change.spec.from.as_ref()?;
        let matches =
            |registration: &&Registration| registration.wanted == documents.wanted && &registration.from == from;
        self.registrations.iter().map(|registration| &registration.value).find(matches)
    }

    /// Whether ECS was told to deregister a revision. Then it is of no use, though reads that lag show it ACTIVE.
    #[must_use]
    pub fn is_deregistered(&self, arn: &TaskDefinitionArn) -> bool {
        self.registrations.iter().any(|known| known.value.deregistration(arn).is_some())
    }

    /// Revisions that our registrations made, and the revision that each was made from.
    #[must_use]
    pub fn made(&self) -> BTreeMap<TaskDefinitionArn, TaskDefinitionArn> {
        let made = self.registrations.iter().map(|registration| &registration.value).filter(|made| !made.adopted);
        let made = made.filter_map(|registration| match &registration.state {
            RegistrationState::Registered { arn } | RegistrationState::Deregistered { arn } => {
                Some((arn.clone(), registration.from.clone()))
            }
            // Where somebody registered in between, it is in front of theirs.
            RegistrationState::Quarantined { .. }
            | RegistrationState::Intended { .. }
            | RegistrationState::Refused { .. } => None,
        });
        made.collect()
    }

    /// Revisions of ours that no service may move to: what ECS made differs, or hides what somebody registered in between.
    #[must_use]
    pub fn quarantined(&self) -> BTreeSet<TaskDefinitionArn> {
        let of = |registration: &Versioned<Registration>| match &registration.value.state {
            RegistrationState::Quarantined { arn, .. } => Some(arn.clone()),
            _ => None,
        };
        self.registrations.iter().filter_map(of).collect()
    }

    /// What a change goes back to: the revision it came from, or its document registered again, if that was begun.
    #[must_use]
    pub fn restoration(&self, change: &Change) -> Option<&Registration> {
        let documents = change.spec.documents.as_ref()?;
        let from = change.spec.from.as_ref()?;
        let matches =
            |registration: &&Registration| registration.wanted == documents.previous && &registration.from == from;
        self.registrations.iter().map(|registration| &registration.value).find(matches)
    }

    /// Nobody can go back to `arn` any more: what stood for the revision that the change came from is to be made anew.
    ///
    /// # Errors
    /// The store's.
    pub async fn forget_restoration(
        &mut self,
        change: &Change,
        arn: &TaskDefinitionArn,
    ) -> Result<(), ControllerError> {
        let Some(known) = self.restoration(change).cloned() else { return Ok(()) };
        if !matches!(&known.state, RegistrationState::Registered { arn: stood } if stood == arn) {
            return Ok(());
        }
        let state = RegistrationState::Deregistered { arn: arn.clone() };
        self.write_registration(Registration { state, ..known }).await
    }

    /// Why a change may not begin: one of its fixes has stopped in another rollout, and waits for a person there.
    #[must_use]
    pub fn stopped_elsewhere(&self, change: &Change) -> Option<Reason> {
        let stopped = change.spec.fixes.iter().filter_map(|fix| self.record.stopped_fixes.get(fix));
        let rollout = stopped.into_iter().find(|rollout| **rollout != change.spec.rollout)?;
        let message = format!(
            "rollout `{rollout}` of the same fix stopped; `plimsoll rollout status {rollout}` says why and what to do"
        );
        Some(Reason::of(ReasonCode::FixStopped, message))
    }

    /// What the event log says of subjects that start with `prefix`.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn events_of(&self, prefix: &str) -> Result<Vec<Event>, ControllerError> {
        Ok(Events::of(self.store.as_ref(), &self.target).list(prefix).await?)
    }

    /// Appends to the event log.
    ///
    /// # Errors
    /// The store's.
    pub async fn event(&self, entry: Entry) -> Result<(), ControllerError> {
        Events::of(self.store.as_ref(), &self.target).append(entry).await?;
        Ok(())
    }

    /// Writes the target's record if it says something else than when it was read.
    ///
    /// # Errors
    /// The store's.
    pub async fn write_record(&mut self) -> Result<(), ControllerError> {
        if self.record == self.record_read {
            return Ok(());
        }
        let version = Targets::of(self.store.as_ref()).write(&self.target, &self.record, self.record_version).await?;
        self.record_version = Some(version);
        self.record_read = self.record.clone();
        Ok(())
    }

    /// Makes sure that we hold the lease still, before a Command is answered: who took it over meanwhile finds the Command
    /// open, and carries it out on what is stored by then.
    ///
    /// # Errors
    /// The store's; a conflict where somebody has taken over.
    pub async fn confirm(&mut self) -> Result<(), ControllerError> {
        self.record.obeyed += 1;
        self.write_record().await
    }

    /// Every rollout there is, the open ones first.
    pub fn all(&self) -> impl Iterator<Item = &Campaign> {
        self.campaigns.iter().chain(self.ended.iter().map(AsRef::as_ref))
    }

    /// Every change there is, of open rollouts and of ended ones.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.all().flat_map(|campaign| &campaign.changes).map(|change| &change.value)
    }

    /// These records were read, not kept from the pass before: what they tell of as intended nobody has heard of.
    pub fn intents_are_unheard_of(&mut self, now: Timestamp) {
        for change in self.campaigns.iter_mut().flat_map(|campaign| &mut campaign.changes) {
            late::not_heard_of(&mut change.value, now);
        }
    }

    /// Puts a change into another state, wherever it is.
    ///
    /// # Errors
    /// The store's.
    pub async fn enter(
        &mut self,
        name: &str,
        now: Timestamp,
        enter: impl FnOnce(&mut Change),
    ) -> Result<(), ControllerError> {
        let all = || self.all().flat_map(|campaign| &campaign.changes);
        let Some(mut change) = all().find(|change| change.value.name == name).cloned() else { return Ok(()) };
        let was = change.value.state.clone();
        enter(&mut change.value);
        self.write_change(&mut change, &was, now, "plimsoll").await?;
        let is_in = |campaign: &Arc<Campaign>| campaign.changes.iter().any(|change| change.value.name == name);
        let ended = self.ended.iter_mut().filter(|campaign| is_in(campaign)).map(Arc::make_mut);
        let all = self.campaigns.iter_mut().chain(ended).flat_map(|campaign| &mut campaign.changes);
        for slot in all.filter(|slot| slot.value.name == name) {
            *slot = change.clone();
        }
        Ok(())
    }

    /// The fixes of this rollout begin under no other name until a person says so.
    pub fn stop_fixes(&mut self, rollout: &Rollout) {
        let fixes = rollout.spec.fixes.iter().map(|fix| (fix.clone(), rollout.name.clone()));
        self.record.stopped_fixes.extend(fixes);
    }

    /// Each time that a fix has landed on a resource, oldest first, as far back as the records go; after a person has
    /// asked to try it again, only what came later counts.
    #[must_use]
    pub fn landed(&self) -> Landings {
        let mut retried: BTreeMap<(&Resource, &String), Timestamp> = BTreeMap::new();
        for campaign in self.all() {
            let Some(at) = campaign.rollout.value.retried_at else { continue };
            for spec in campaign.changes.iter().map(|change| &change.value.spec) {
                for fix in &spec.fixes {
                    let last = retried.entry((&spec.resource, fix)).or_insert(at);
                    *last = at.max(*last);
                }
            }
        }
        let mut landed = Landings::new();
        for change in self.changes() {
            let (State::Succeeded { at, .. } | State::Unverified { at, .. }) = change.state else { continue };
            if !change.proved() {
                continue;
            }
            for fix in &change.spec.fixes {
                if retried.get(&(&change.spec.resource, fix)).is_some_and(|retried| at <= *retried) {
                    continue;
                }
                let landing = Landing {
                    rollout: change.spec.rollout.clone(),
                    at,
                    from: change.spec.from.clone(),
                    registered: change.spec.registered.clone(),
                };
                landed.entry((change.spec.resource.clone(), fix.clone())).or_default().push(landing);
            }
        }
        for landings in landed.values_mut() {
            landings.sort_by_key(|landing| landing.at);
        }
        landed
    }

    /// What changes of ours have set, or set just now, that only new tasks pick up, and that is not known of all that run.
    #[must_use]
    pub fn older_tasks(&self) -> OlderTasks {
        let mut older = OlderTasks::new();
        for change in self.changes().filter(|change| new_tasks::concerns(change)) {
            let reason = match &change.state {
                State::Unverified { reason, .. } => reason.clone(),
                State::Pending | State::Updating { .. } => {
                    let message =
                        format!("rollout `{}` sets it, which older tasks do not pick up", change.spec.rollout);
                    Reason::of(ReasonCode::OlderTasks, message)
                }
                _ => continue,
            };
            let known = older.entry(change.spec.resource.clone()).or_default();
            known.extend(change.spec.policies.iter().map(|policy| (policy.clone(), reason.clone())));
        }
        older
    }

    /// Resources that an open rollout has, with why each stands where it stands; and those that were just moved, whose
    /// reads may still lag.
    #[must_use]
    pub fn taken(&self, now: Timestamp) -> BTreeMap<Resource, Reason> {
        super::advance::taken(&self.campaigns, &self.ended, now)
    }

    /// Until when reads of a resource may lag what a change of ours has just done with it.
    #[must_use]
    pub fn reads_lag(&self, resource: &Resource, now: Timestamp) -> Option<Timestamp> {
        let of_it = self.changes().filter(|change| change.spec.resource == *resource);
        of_it.filter_map(|change| super::advance::moved_until(change, now)).max()
    }
}

/// Whether anything of it may still move.
fn is_open(campaign: &Campaign) -> bool {
    let moving = |change: &Versioned<Change>| !change.value.state.phase().is_final();
    !campaign.rollout.value.state.is_final() || campaign.changes.iter().any(moving)
}

async fn stamp<T: CampaignRecord>(
    kept: &Campaigns<'_>,
    record: &mut Versioned<T>,
    epoch: u64,
) -> Result<(), RecordError> {
    record.value.set_epoch(epoch);
    record.version = kept.put(&record.value, Some(record.version)).await?;
    Ok(())
}
