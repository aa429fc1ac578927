//! The calls about service deployments and service revisions.

use serde_json::{Value, json};

use super::super::error::SimError;
use super::super::input::{Input, Line, page};
use super::super::names;
use super::super::service::Service;
use super::super::state::State;
use super::record::{Hook, HookStatus, Record, RecordStatus};
use crate::model::Timestamp;

/// How many one call describes (`DescribeServiceDeployments`, `DescribeServiceRevisions`).
const MOST: usize = 20;

impl State {
    pub(in crate::sim) fn list_service_deployments(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster(input.text("cluster")?)?;
        let service = self.service(cluster, input.need_text("service")?)?;
        let statuses = input.texts("status")?;
        let bound = |name: &str| {
            let between = input.object("createdAt")?;
            let value = between.and_then(|between| between.get(name)).and_then(Value::as_f64);
            Ok::<_, SimError>(value.map(Timestamp::from_epoch_seconds))
        };
        let (before, after) = (bound("before")?, bound("after")?);
        let lines: Vec<Line> = service
            .records
            .iter()
            .filter(|_| self.config.service_deployments)
            .rev()
            .zip(0_u64..)
            .filter(|(record, _)| statuses.is_empty() || statuses.contains(&record.status.as_str()))
            .filter(|(record, _)| before.is_none_or(|before| record.created_at <= before))
            .filter(|(record, _)| after.is_none_or(|after| record.created_at >= after))
            // Newest first; a token names a deployment, so newer ones that come meanwhile do not shift the pages.
            .map(|(record, _)| (record_key(service, record), record.brief(service)))
            .collect();
        page(input, "serviceDeployments", lines, true, 20, 100)
    }

    pub(in crate::sim) fn describe_service_deployments(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let arns = input.some_texts("serviceDeploymentArns", "Service deployments", MOST)?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in arns {
            let record =
                self.service_of("service-deployment", arn).and_then(|service| Some((service, service.record(arn)?)));
            match record {
                Some((service, record)) => {
                    let desired = service.desired(self.instances(&service.cluster));
                    found.push(record.describe(service, desired));
                }
                None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
            }
        }
        Ok(json!({ "serviceDeployments": found, "failures": failures }))
    }

    pub(in crate::sim) fn describe_service_revisions(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let arns = input.some_texts("serviceRevisionArns", "Service revisions", MOST)?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in arns {
            let revision =
                self.service_of("service-revision", arn).and_then(|service| Some((service, service.revision(arn)?)));
            match revision {
                Some((service, revision)) => found.push(revision.describe(&service.arn, &service.cluster_arn)),
                None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
            }
        }
        Ok(json!({ "serviceRevisions": found, "failures": failures }))
    }

    /// `StopServiceDeployment`: works whether or not rollback is configured, and goes back to the previous service
    /// revision. Only `ROLLBACK` is a valid stop type, says its documentation.
    pub(in crate::sim) fn stop_service_deployment(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let arn = input.need_text("serviceDeploymentArn")?.to_owned();
        if !matches!(input.text("stopType")?, None | Some("ROLLBACK")) {
            return Err(SimError::invalid("The stopType must be ROLLBACK."));
        }
        let missing =
            || SimError::new("ServiceDeploymentNotFoundException", "The service deployment could not be found.");
        let (cluster, name) = self
            .service_of("service-deployment", &arn)
            .map(|service| (service.cluster.clone(), service.name.clone()))
            .ok_or_else(missing)?;
        let now = self.now;
        self.with_service(&cluster, &name, |state, service| {
            let record = service.record_mut(&arn).ok_or_else(missing)?;
            match record.status {
                RecordStatus::Pending | RecordStatus::InProgress => {
                    record.set(RecordStatus::RollbackRequested, Some("User requested a rollback.".into()), now);
                    state.settle_soon(service);
                    Ok(json!({ "serviceDeploymentArn": arn }))
                }
                status => Err(SimError::new(
                    "ConflictException",
                    format!("The service deployment cannot be stopped while it is in the {} state.", status.as_str()),
                )),
            }
        })
        .ok_or_else(missing)?
    }

    /// Lets a paused deployment go on, or takes it back.
    pub(in crate::sim) fn continue_service_deployment(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let arn = input.need_text("serviceDeploymentArn")?.to_owned();
        let hook_id = input.need_text("hookId")?;
        let back = match input.text("action")? {
            None | Some("CONTINUE") => false,
            Some("ROLLBACK") => true,
            Some(_) => return Err(SimError::invalid("The action must be CONTINUE or ROLLBACK.")),
        };
        let missing =
            || SimError::new("ServiceDeploymentNotFoundException", "The service deployment could not be found.");
        let (cluster, name) = self
            .service_of("service-deployment", &arn)
            .map(|service| (service.cluster.clone(), service.name.clone()))
            .ok_or_else(missing)?;
        let now = self.now;
        self.with_service(&cluster, &name, |state, service| {
            let record = service.record_mut(&arn).ok_or_else(missing)?;
            let waiting = |hook: &&mut Hook| hook.id == hook_id && hook.status == HookStatus::AwaitingAction;
            let Some(hook) = record.hooks.iter_mut().find(waiting) else {
                return Err(SimError::invalid("The lifecycle hook does not await an action."));
            };
            hook.status = HookStatus::Succeeded;
            if back {
                record.set(RecordStatus::RollbackRequested, Some("User requested a rollback.".into()), now);
            }
            state.settle_soon(service);
            Ok(json!({ "serviceDeploymentArn": arn }))
        })
        .ok_or_else(missing)?
    }

    /// The service in an ARN such as `…:service-deployment/CLUSTER/SERVICE/ID`.
    fn service_of(&self, kind: &str, arn: &str) -> Option<&Service> {
        let path = names::path(arn, kind)?;
        let (cluster, rest) = path.split_once('/').filter(|_| self.config.service_deployments)?;
        let (service, _) = rest.split_once('/')?;
        self.clusters.get(cluster)?.services.get(service)
    }

    pub(in crate::sim) fn instances(&self, cluster: &str) -> usize {
        self.clusters.get(cluster).map_or(0, |home| home.instances.len())
    }
}

/// Records are kept in the order in which they were made.
fn record_key(service: &Service, record: &Record) -> String {
    let place = service.records.iter().position(|known| known.arn == record.arn).unwrap_or(0);
    format!("{place:012}")
}
