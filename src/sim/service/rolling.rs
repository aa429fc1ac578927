//! How deployments begin, are taken back, and end. Does not start or stop tasks.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::deployment::{Deployment, Record, RecordStatus, Rollback, RolloutState, ServiceRevision};
use super::super::names;
use super::super::state::State;
use super::super::task::Template;
use super::state::{Controller, Service};

impl State {
    /// Begins a deployment of `template` with the service's members as they are: it is PRIMARY at once.
    pub(in crate::sim) fn begin_deployment(&mut self, service: &mut Service, template: Template) {
        let now = self.now;
        let path = format!("{}/{}", service.cluster, service.name);
        let members: Map<String, Value> = ServiceRevision::MEMBERS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), service.members.get(*name)?.clone())))
            .collect();
        let revision = Arc::new(ServiceRevision {
            arn: names::arn(&self.config, &format!("service-revision/{path}/{}", service.random.digits19())),
            created_at: now,
            template: Arc::new(template),
            members,
        });
        let id = format!("ecs-svc/{}", service.random.digits19());
        // A deployment that begins while a rollback is under way finds no COMPLETED one, stalls and launches nothing
        // (ECS Developer Guide, deployment circuit breaker).
        let goes_back = |first: &Deployment| first.restores.is_some() && first.rollout == RolloutState::InProgress;
        let stalled = service.deployments.first().is_some_and(goes_back);
        let stall =
            stalled.then(|| format!("ECS deployment {id} is stalled: a rollback was in progress when it was created."));
        let record = (service.controller == Controller::Ecs)
            .then(|| names::arn(&self.config, &format!("service-deployment/{path}/{}", service.random.letters(20))));
        if let Some(arn) = &record {
            service.supersede(now);
            service.records.push(Record {
                arn: arn.clone(),
                created_at: now,
                started_at: None,
                finished_at: None,
                stopped_at: None,
                updated_at: now,
                status: RecordStatus::Pending,
                reason: stall.clone(),
                stage: None,
                sources: service.deployments.iter().map(|one| one.revision.arn.clone()).collect(),
                target: revision.arn.clone(),
                rollback: None,
                failures: 0,
                tripped: false,
                hooks: Vec::new(),
                alarms_before: None,
                alarms_triggered: Vec::new(),
            });
        }
        service.revisions.push(Arc::clone(&revision));
        let reason = stall.unwrap_or_else(|| format!("ECS deployment {id} in progress."));
        service.deployments.insert(
            0,
            Deployment {
                id,
                revision,
                created_at: now,
                updated_at: now,
                rollout: RolloutState::InProgress,
                rollout_reason: reason,
                failed_tasks: 0,
                breaker_count: 0,
                record,
                restores: None,
                stalled,
                bakes_until: None,
                said_stuck: false,
            },
        );
        service.not_before = None;
        service.restarts = 0;
        service.steady = false;
        self.settle_soon(service);
    }

    /// Takes the PRIMARY deployment back to the one that was COMPLETED last. The record stays the same one; without
    /// anything to go back to it has failed, and nothing is launched any more.
    pub(in crate::sim) fn roll_back(&mut self, service: &mut Service, reason: &str, failure: &str) {
        let now = self.now;
        let Some(failed) = service.deployments.first_mut() else { return };
        failed.rollout = RolloutState::Failed;
        failed.rollout_reason = failure.to_owned();
        failed.updated_at = now;
        let record = failed.record.clone().unwrap_or_default();
        let failed_id = failed.id.clone();
        let Some(mut back) = service.fallback.clone() else {
            let text = format!("{reason} No rollback candidate was found to run the rollback.");
            if let Some(record) = service.record_mut(&record) {
                record.set(RecordStatus::RollbackFailed, Some(text), now);
            }
            return;
        };
        back.rollout = RolloutState::InProgress;
        back.rollout_reason = format!("{failure} Rolling back to deploymentId {}.", back.id);
        back.updated_at = now;
        back.restores = Some(record.clone());
        (back.failed_tasks, back.breaker_count, back.said_stuck, back.stalled) = (0, 0, false, false);
        back.bakes_until = None;
        if let Some(record) = service.record_mut(&record) {
            record.set(RecordStatus::RollbackInProgress, Some(reason.to_owned()), now);
            record.rollback =
                Some(Rollback { reason: reason.to_owned(), started_at: now, revision: back.revision.arn.clone() });
        }
        // What belongs to a revision of the service comes back with it.
        for name in ServiceRevision::MEMBERS {
            match back.revision.members.get(*name) {
                Some(value) => service.members.insert((*name).to_owned(), value.clone()),
                None => service.members.shift_remove(*name),
            };
        }
        let id = back.id.clone();
        service.deployments.retain(|one| one.id != id);
        service.deployments.insert(0, back);
        service.not_before = None;
        service.restarts = 0;
        service.say(now, &format!("(deployment {failed_id}) deployment failed: {failure}"));
        service.say(now, &format!("rolling back to deployment {id}."));
        self.settle_soon(service);
    }

    /// The breaker tripped, and nothing is taken back: the deployment has failed and launches nothing any more.
    pub(in crate::sim) fn fail(&mut self, service: &mut Service, failure: &str) {
        let now = self.now;
        let Some(failed) = service.deployments.first_mut() else { return };
        failed.rollout = RolloutState::Failed;
        failed.rollout_reason = failure.to_owned();
        failed.updated_at = now;
        let (id, restores) = (failed.id.clone(), failed.restores.clone());
        let record = failed.record.clone().unwrap_or_default();
        match restores {
            Some(record) => {
                if let Some(record) = service.record_mut(&record) {
                    record.set(RecordStatus::RollbackFailed, Some(failure.to_owned()), now);
                }
            }
            None => {
                if let Some(record) = service.record_mut(&record) {
                    record.set(RecordStatus::StopRequested, Some(failure.to_owned()), now);
                }
            }
        }
        service.say(now, &format!("(deployment {id}) deployment failed: {failure}"));
        self.settle_soon(service);
    }

    /// All tasks of the PRIMARY deployment run, and no others.
    pub(in crate::sim) fn complete(&mut self, service: &mut Service) {
        let now = self.now;
        let Some(primary) = service.deployments.first_mut() else { return };
        primary.rollout = RolloutState::Completed;
        primary.rollout_reason = format!("ECS deployment {} completed.", primary.id);
        primary.updated_at = now;
        primary.stalled = false;
        let restored = primary.restores.take();
        let (id, own) = (primary.id.clone(), primary.record.clone());
        service.fallback = Some(primary.clone());
        let (arn, status) = match restored {
            Some(record) => (Some(record), RecordStatus::RollbackSuccessful),
            None => (own, RecordStatus::Successful),
        };
        if let Some(record) = arn.and_then(|arn| service.record_mut(&arn)) {
            record.set(status, None, now);
        }
        service.say(now, &format!("(deployment {id}) deployment completed."));
    }
}

impl Service {
    /// Ends the records of deployments that a new one replaces before they were done.
    fn supersede(&mut self, now: crate::model::Timestamp) {
        let reason = || Some("Superseded by a new service deployment.".to_owned());
        for record in self.records.iter_mut().filter(|record| !record.status.is_terminal()) {
            let end = match record.status {
                RecordStatus::RollbackRequested | RecordStatus::RollbackInProgress => RecordStatus::RollbackFailed,
                _ => RecordStatus::Stopped,
            };
            record.set(end, reason(), now);
        }
        for one in &mut self.deployments {
            one.restores = None;
        }
    }
}
