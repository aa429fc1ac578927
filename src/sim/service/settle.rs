//! The service scheduler: one look at a service, and what it does then.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::deployment::{RecordStatus, RolloutState};
use super::super::state::State;
use super::super::tags::Tags;
use super::super::task::{LastStatus, Milestone, Order, Stop, Task, Watch};
use super::arithmetic::{Moves, Stand};
use super::stages::{AFTER, BEFORE};
use super::state::{Controller, Service, Status};
use crate::model::Timestamp;

impl State {
    /// The scheduler's turn at a service.
    pub(in crate::sim) fn settle(&mut self, cluster: &str, name: &str) {
        let now = self.now;
        self.with_service(cluster, name, |state, service| {
            // Replaced by an earlier turn.
            if service.settle_at != Some(now) {
                return;
            }
            service.settle_at = None;
            match service.status {
                Status::Inactive => {}
                Status::Draining => state.drain(service),
                Status::Active => state.roll(service),
            }
        });
    }

    fn drain(&mut self, service: &mut Service) {
        for id in wanted(service, |_| true) {
            self.stop_of_service(service, &id, scheduler_stop("Service deleted"));
        }
        if !service.has_tasks() {
            let now = self.now;
            service.status = Status::Inactive;
            service.deployments.clear();
            for record in service.records.iter_mut().filter(|record| !record.status.is_terminal()) {
                record.set(RecordStatus::Stopped, Some("The service was deleted.".into()), now);
            }
        }
    }

    fn roll(&mut self, service: &mut Service) {
        self.stop_unhealthy(service);
        if self.end_what_failed(service) {
            return;
        }
        let desired = service.desired(self.instances(&service.cluster));
        let Some(primary) = service.deployments.first() else { return };
        let (id, stalled) = (primary.id.clone(), primary.stalled || primary.rollout == RolloutState::Failed);
        self.start_record(service);
        if stalled {
            // It launches nothing, and nothing it should replace is stopped.
            self.retire(service);
            self.end_record(service);
            return;
        }
        if self.pauses(service, BEFORE) {
            return;
        }
        let shifts = service.shifts();
        if !shifts {
            let now = self.now;
            let spent =
                |task: &Task| task.started_by.as_deref() != Some(id.as_str()) && !task.ready && !task.is_protected(now);
            for task in wanted(service, spent) {
                self.stop_of_service(service, &task, scheduler_stop(&replaced_by(&id)));
            }
        }
        let stand = service.stand(desired);
        let moves = if shifts { self.shift(service, &stand) } else { stand.moves() };
        self.say_if_stuck(service, moves);
        self.start_tasks(service, &id, moves.start);
        let stopped = self.stop_some(service, moves.stop_old, &replaced_by(&id), |task| {
            task.started_by.as_deref() != Some(id.as_str())
        });
        self.stop_some(service, moves.stop_new, &format!("Scaling activity initiated by (deployment {id})"), |task| {
            task.started_by.as_deref() == Some(id.as_str())
        });
        self.retire(service);
        self.finish(service, desired);
        // A stop frees room that may be used at once.
        if stopped > 0 && service.deployments.len() > 1 {
            self.settle_soon(service);
        }
        self.settle_when_protection_ends(service);
    }

    /// Ends what a person or the circuit breaker wants ended; true if something did, and this turn is over with it.
    fn end_what_failed(&mut self, service: &mut Service) -> bool {
        let Some(primary) = service.deployments.first() else { return false };
        if primary.rollout != RolloutState::InProgress {
            return false;
        }
        let requested = primary.record.as_deref().and_then(|arn| service.record(arn));
        if requested.is_some_and(|record| record.status == RecordStatus::RollbackRequested) {
            self.roll_back(service, "User requested a rollback.", "The deployment was stopped.");
            return true;
        }
        if self.end_on_alarm(service) {
            return true;
        }
        let Some(primary) = service.deployments.first() else { return false };
        let breaker = service.breaker(service.desired(self.instances(&service.cluster)));
        let (count, restores) = (primary.breaker_count, primary.restores.clone());
        let arn = restores.clone().or_else(|| primary.record.clone()).unwrap_or_default();
        if let (Some(record), None) = (service.record_mut(&arn), &restores) {
            record.failures = count;
        }
        if !breaker.enabled || count < breaker.threshold {
            return false;
        }
        if let Some(record) = service.record_mut(&arn) {
            record.tripped = true;
        }
        const FAILURE: &str = "ECS deployment circuit breaker: tasks failed to start.";
        if breaker.rollback && restores.is_none() {
            let reason = "Service deployment rolled back because the circuit breaker threshold was exceeded.";
            self.roll_back(service, reason, FAILURE);
        } else {
            self.fail(service, FAILURE);
        }
        true
    }

    fn start_record(&mut self, service: &mut Service) {
        let now = self.now;
        let arn = service.deployments.first().and_then(|primary| primary.record.clone());
        if let Some(record) = arn.and_then(|arn| service.record_mut(&arn))
            && record.status == RecordStatus::Pending
        {
            record.set(RecordStatus::InProgress, None, now);
            record.started_at = Some(now);
            record.stage = Some("SCALE_UP");
        }
    }

    /// What was to be stopped has stopped: nothing is launched any more.
    fn end_record(&mut self, service: &mut Service) {
        let now = self.now;
        for record in service.records.iter_mut().filter(|record| record.status == RecordStatus::StopRequested) {
            record.set(RecordStatus::Stopped, None, now);
        }
    }

    /// Tasks whose health checks failed are replaced, whatever else goes on.
    fn stop_unhealthy(&mut self, service: &mut Service) {
        for id in wanted(service, |task| task.unhealthy) {
            let watch = service.tasks.get(&id).map(|task| task.template.watch);
            let reason = match watch {
                Some(Watch::LoadBalancer) => "Task failed ELB health checks",
                _ => "Task failed container health checks",
            };
            self.stop_of_service(service, &id, scheduler_stop(reason));
        }
    }

    fn say_if_stuck(&mut self, service: &mut Service, moves: Moves) {
        let now = self.now;
        let Some(primary) = service.deployments.first_mut() else { return };
        if moves.stuck && !primary.said_stuck {
            primary.said_stuck = true;
            service.say(
                now,
                "was unable to stop or start tasks during a deployment because of the service deployment configuration. \
                 Update the minimumHealthyPercent or maximumPercent value and try again.",
            );
        }
    }

    fn start_tasks(&mut self, service: &mut Service, deployment: &str, count: u32) {
        if count == 0 {
            return;
        }
        let now = self.now;
        if let Some(until) = service.not_before.filter(|until| *until > now) {
            self.settle_at(service, until);
            return;
        }
        let Some(revision) = service.deployments.first().map(|primary| Arc::clone(&primary.revision)) else { return };
        let mut started = Vec::new();
        for _ in 0..count {
            let avoid: BTreeSet<u32> = match service.daemon {
                true => service.tasks.values().filter(|task| task.wanted).filter_map(|task| task.instance).collect(),
                false => BTreeSet::new(),
            };
            let tags = match service.members.get("propagateTags").and_then(Value::as_str) {
                Some("SERVICE") => service.tags.clone(),
                Some("TASK_DEFINITION") => {
                    self.revision(&revision.template.task_definition).map(|one| one.tags.clone()).unwrap_or_default()
                }
                _ => Tags::default(),
            };
            let tags = match service.members.get("enableECSManagedTags") {
                Some(Value::Bool(true)) => tags.with_managed(&service.cluster, &service.name),
                _ => tags,
            };
            let order = Order {
                group: format!("service:{}", service.name),
                started_by: Some(deployment.to_owned()),
                template: Arc::clone(&revision.template),
                tags,
                overrides: None,
                execute_command: service.members.get("enableExecuteCommand") == Some(&json!(true)),
                avoid,
            };
            let cluster = service.cluster.clone();
            match self.new_task(&cluster, order, &mut service.random) {
                Ok(task) => {
                    if let Some(home) = self.clusters.get_mut(&cluster) {
                        home.owners.insert(task.id.clone(), Some(service.name.clone()));
                    }
                    started.push(task.id.clone());
                    service.tasks.insert(task.id.clone(), task);
                }
                Err(why) => {
                    let text = "was unable to place a task because no container instance met all of its requirements.";
                    service.say(now, &format!("{text} {}", why.as_str()));
                    // Placement failures count for the circuit breaker's first stage, and are tried again later.
                    self.failed(service, deployment);
                    break;
                }
            }
        }
        if !started.is_empty() {
            let list: Vec<String> = started.iter().map(|id| format!("(task {id})")).collect();
            service.say(now, &format!("has started {} tasks: {}.", started.len(), list.join(" ")));
        }
    }

    /// Stops so many of those that may be stopped, and says how many there were.
    fn stop_some(&mut self, service: &mut Service, count: u32, reason: &str, which: impl Fn(&Task) -> bool) -> usize {
        let now = self.now;
        let mut candidates: Vec<(bool, Timestamp, String)> = service
            .tasks
            .values()
            .filter(|task| task.wanted && which(task) && !task.is_protected(now))
            .map(|task| (task.ready, task.created_at, task.id.clone()))
            .collect();
        // Those that are not healthy first, then the oldest.
        candidates.sort();
        let chosen: Vec<String> =
            candidates.into_iter().take(usize::try_from(count).unwrap_or(0)).map(|(.., id)| id).collect();
        if chosen.is_empty() {
            return 0;
        }
        let list: Vec<String> = chosen.iter().map(|id| format!("(task {id})")).collect();
        service.say(now, &format!("has stopped {} running tasks: {}.", chosen.len(), list.join(" ")));
        for id in &chosen {
            self.stop_of_service(service, id, scheduler_stop(reason));
        }
        chosen.len()
    }

    /// Makes a task of a service stop.
    pub(in crate::sim) fn stop_of_service(&mut self, service: &mut Service, id: &str, stop: Stop) {
        if let Some(mut task) = service.tasks.remove(id) {
            self.stop_task(&service.cluster, &mut task, stop, &mut service.random);
            service.tasks.insert(id.to_owned(), task);
        }
    }

    /// Old deployments without tasks are no longer shown.
    fn retire(&mut self, service: &mut Service) {
        let idle: Vec<String> = service
            .deployments
            .iter()
            .skip(1)
            .filter(|one| service.live(&one.id).next().is_none())
            .map(|one| one.id.clone())
            .collect();
        service.deployments.retain(|one| !idle.contains(&one.id));
    }

    fn finish(&mut self, service: &mut Service, desired: u32) {
        let now = self.now;
        let stand = service.stand(desired);
        let done = stand.new_live == desired && stand.new_ready == desired && service.deployments.len() == 1;
        let (enough, shifts) = (done || service.early_success(&stand), service.shifts());
        let Some(primary) = service.deployments.first_mut() else { return };
        if !enough {
            if !shifts {
                primary.bakes_until = None;
            }
            service.steady = false;
            return;
        }
        if primary.rollout == RolloutState::InProgress && service.controller == Controller::Ecs {
            if self.pauses(service, AFTER) || !self.has_waited(service) {
                return;
            }
            self.complete(service);
        }
        if !done {
            return;
        }
        if !service.steady {
            service.steady = true;
            service.say(now, "has reached a steady state.");
        }
    }

    /// What a task's milestone means for its deployment.
    pub(in crate::sim) fn task_reached(&mut self, service: &mut Service, deployment: &str, milestone: Milestone) {
        let resets = service.breaker(0).resets;
        let found = service.deployments.iter_mut().find(|one| one.id == deployment);
        match milestone {
            Milestone::Running => {
                if let Some(one) = found {
                    // "resets to 0 once a task runs" (`Deployment.failedTasks`): so 0 is no proof of health.
                    one.failed_tasks = 0;
                }
                service.not_before = None;
                service.restarts = 0;
            }
            Milestone::Ready => {
                if let (Some(one), true) = (found, resets) {
                    one.breaker_count = 0;
                }
            }
            Milestone::CannotStart | Milestone::Unhealthy => self.failed(service, deployment),
            // An exit after RUNNING counts nowhere (aws/copilot-cli#1879).
            Milestone::Exit
            | Milestone::Pending
            | Milestone::Stopping
            | Milestone::Deprovisioning
            | Milestone::Stopped => {}
        }
    }

    /// A task could not start, or its health checks failed.
    fn failed(&mut self, service: &mut Service, deployment: &str) {
        let now = self.now;
        if let Some(one) = service.deployments.iter_mut().find(|one| one.id == deployment) {
            one.failed_tasks += 1;
            one.breaker_count += 1;
        }
        // Several failures of one wave extend the wait once.
        if service.not_before.is_none_or(|until| until <= now) {
            let restart = self.config.pace.restart;
            let wait = restart.0.saturating_mul(1_u32 << service.restarts.min(16)).min(restart.1);
            service.not_before = Some(now + wait);
            service.restarts += 1;
            if service.restarts >= 3 {
                service.say(now, "is unable to consistently start tasks successfully.");
            }
        }
        self.settle_soon(service);
    }
}

impl Service {
    fn stand(&self, desired: u32) -> Stand {
        let primary = self.deployments.first().map_or("", |one| one.id.as_str());
        let count = |new: bool, ready: bool| {
            let tasks =
                self.tasks.values().filter(|task| task.wanted && (task.started_by.as_deref() == Some(primary)) == new);
            u32::try_from(tasks.filter(|task| !ready || task.ready).count()).unwrap_or(u32::MAX)
        };
        Stand {
            desired,
            minimum_percent: self.percent("/minimumHealthyPercent", 100),
            maximum_percent: self.percent("/maximumPercent", 200),
            new_live: count(true, false),
            new_ready: count(true, true),
            old_live: count(false, false),
            old_ready: count(false, true),
        }
    }
}

fn wanted(service: &Service, which: impl Fn(&Task) -> bool) -> Vec<String> {
    let live = service.tasks.values().filter(|task| task.wanted && task.status != LastStatus::Stopped);
    live.filter(|task| which(task)).map(|task| task.id.clone()).collect()
}

fn scheduler_stop(reason: &str) -> Stop {
    Stop { code: "ServiceSchedulerInitiated", reason: reason.to_owned(), exit_code: Some(0) }
}

fn replaced_by(deployment: &str) -> String {
    format!("Scaling activity initiated by (deployment {deployment})")
}
