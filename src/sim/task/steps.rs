//! How tasks come to be, get on and end. Does not decide how many there should be.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use super::super::misbehaviour;
use super::super::names;
use super::super::random::Random;
use super::super::service::Service;
use super::super::state::{Event, State};
use super::super::tags::Tags;
use super::placement::{NoPlace, host_ports, place};
use super::state::{LastStatus, Launch, Milestone, Stop, Task, Template};

/// Who wants a task.
pub(in crate::sim) struct Order {
    pub(in crate::sim) group: String,
    pub(in crate::sim) started_by: Option<String>,
    pub(in crate::sim) template: Arc<Template>,
    pub(in crate::sim) tags: Tags,
    pub(in crate::sim) overrides: Option<Value>,
    pub(in crate::sim) execute_command: bool,
    /// Instances that shall not be taken.
    pub(in crate::sim) avoid: BTreeSet<u32>,
}

impl State {
    /// Makes a new task; whoever ordered it keeps it.
    ///
    /// # Errors
    /// When no instance has room.
    pub(in crate::sim) fn new_task(
        &mut self,
        cluster: &str,
        order: Order,
        random: &mut Random,
    ) -> Result<Task, NoPlace> {
        let now = self.now;
        let template = order.template;
        let ports = host_ports(&template);
        let Some(home) = self.clusters.get_mut(cluster) else { return Err(NoPlace::NoInstances) };
        let instance = match template.launch {
            Launch::Fargate => None,
            Launch::Ec2 | Launch::External => {
                let number = place(&home.instances, &ports, &order.avoid)?;
                if let Some(instance) = usize::try_from(number).ok().and_then(|place| home.instances.get_mut(place)) {
                    instance.tasks += 1;
                    instance.ports.extend(&ports);
                }
                Some(number)
            }
        };
        let id = random.hex32();
        let digests = template
            .images
            .iter()
            .map(|image| image.digest.clone().unwrap_or_else(|| self.images.resolve(&image.image)))
            .collect();
        let (fate, said) = misbehaviour::fate(&self.misbehaviours, &template.family, &template.document);
        let mut task = Task {
            arn: names::arn(&self.config, &format!("task/{cluster}/{id}")),
            cluster_arn: home.arn.clone(),
            group: order.group,
            started_by: order.started_by,
            template,
            digests,
            wanted: true,
            status: LastStatus::Pending,
            ready: false,
            unhealthy: false,
            protected_until: None,
            instance,
            ports,
            plan: VecDeque::new(),
            created_at: now,
            started_at: None,
            stopping_at: None,
            stopped_at: None,
            stop: None,
            said,
            tags: order.tags,
            overrides: order.overrides,
            execute_command: order.execute_command,
            version: 1,
            id,
        };
        task.plan_start(fate, &self.config.pace, random, now);
        self.schedule_task(cluster, &task);
        Ok(task)
    }

    pub(in crate::sim) fn schedule_task(&mut self, cluster: &str, task: &Task) {
        if let Some(at) = task.next_step() {
            self.schedule(at, Event::Task { cluster: cluster.to_owned(), task: task.id.clone() });
        }
    }

    /// Makes a task stop.
    pub(in crate::sim) fn stop_task(&mut self, cluster: &str, task: &mut Task, stop: Stop, random: &mut Random) {
        task.begin_stop(stop, &self.config.pace, random, self.now);
        self.schedule_task(cluster, task);
    }

    /// A task's next milestone is due.
    pub(in crate::sim) fn step_task(&mut self, cluster: &str, id: &str) {
        let Some(owner) = self.clusters.get(cluster).and_then(|home| home.owners.get(id)).cloned() else { return };
        match owner {
            Some(service) => {
                self.with_service(cluster, &service, |state, service| state.step_service_task(service, id));
            }
            None => {
                let Some(home) = self.clusters.get_mut(cluster) else { return };
                let mut random = home.random.clone();
                let Some(mut task) = home.standalone.remove(id) else { return };
                self.take_steps(cluster, &mut task, &mut random);
                if let Some(home) = self.clusters.get_mut(cluster) {
                    home.random = random;
                    home.standalone.insert(id.to_owned(), task);
                }
            }
        }
    }

    fn step_service_task(&mut self, service: &mut Service, id: &str) {
        let Some(mut task) = service.tasks.remove(id) else { return };
        let cluster = service.cluster.clone();
        let reached = self.take_steps(&cluster, &mut task, &mut service.random);
        let deployment = task.started_by.clone().unwrap_or_default();
        service.tasks.insert(id.to_owned(), task);
        for milestone in &reached {
            self.task_reached(service, &deployment, *milestone);
        }
        if !reached.is_empty() {
            self.settle_soon(service);
        }
    }

    /// Reaches every milestone that is due, and says which.
    fn take_steps(&mut self, cluster: &str, task: &mut Task, random: &mut Random) -> Vec<Milestone> {
        let now = self.now;
        let mut reached = Vec::new();
        // Events of a plan that has been replaced since find nothing due.
        while let Some((_, planned)) = task.plan.pop_front_if(|(at, _)| *at <= now) {
            let milestone = self.take_step(cluster, task, planned, random);
            task.version += 1;
            reached.push(milestone);
        }
        if !reached.is_empty() {
            self.schedule_task(cluster, task);
        }
        reached
    }

    fn take_step(&mut self, cluster: &str, task: &mut Task, milestone: Milestone, random: &mut Random) -> Milestone {
        let (now, pace) = (self.now, &self.config.pace);
        match milestone {
            Milestone::Pending => task.status = LastStatus::Pending,
            Milestone::Running => {
                if let Some(lost) = task.digests.iter().find(|digest| !self.images.has(digest)) {
                    let stop = Stop {
                        code: "TaskFailedToStart",
                        reason: format!(
                            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref: {lost}: not found"
                        ),
                        exit_code: None,
                    };
                    task.begin_stop(stop, pace, random, now);
                    return Milestone::CannotStart;
                }
                task.status = LastStatus::Running;
                task.started_at = Some(now);
            }
            Milestone::CannotStart | Milestone::Exit => {
                let stop = match &task.said {
                    Some(said) => Stop { code: "TaskFailedToStart", reason: said.clone(), exit_code: None },
                    None => Stop {
                        code: "EssentialContainerExited",
                        reason: "Essential container in task exited".into(),
                        exit_code: Some(1),
                    },
                };
                task.begin_stop(stop, pace, random, now);
            }
            Milestone::Ready => task.ready = true,
            Milestone::Unhealthy => {
                task.ready = false;
                task.unhealthy = true;
            }
            Milestone::Stopping => task.status = LastStatus::Stopping,
            Milestone::Deprovisioning => task.status = LastStatus::Deprovisioning,
            Milestone::Stopped => {
                task.status = LastStatus::Stopped;
                task.stopped_at = Some(now);
                let forget = now + pace.stopped_visible;
                self.schedule(forget, Event::Forget { cluster: cluster.to_owned(), task: task.id.clone() });
                self.release(cluster, task);
            }
        }
        milestone
    }

    /// Gives back the place and the ports on its instance.
    fn release(&mut self, cluster: &str, task: &Task) {
        let Some(home) = self.clusters.get_mut(cluster) else { return };
        let place = task.instance.and_then(|number| usize::try_from(number).ok());
        if let Some(instance) = place.and_then(|place| home.instances.get_mut(place)) {
            instance.tasks = instance.tasks.saturating_sub(1);
            instance.ports.retain(|port| !task.ports.contains(port));
        }
    }

    /// A stopped task can no longer be described.
    pub(in crate::sim) fn forget_task(&mut self, cluster: &str, id: &str) {
        let Some(home) = self.clusters.get_mut(cluster) else { return };
        match home.owners.remove(id) {
            Some(Some(service)) => {
                if let Some(service) = home.services.get_mut(&service) {
                    service.tasks.remove(id);
                }
            }
            Some(None) => {
                home.standalone.remove(id);
            }
            None => {}
        }
    }
}
