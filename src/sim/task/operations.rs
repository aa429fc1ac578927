//! The calls about tasks.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::error::SimError;
use super::super::input::{Input, Line, page};
use super::super::names::{self, Resource};
use super::super::state::State;
use super::super::tags::Tags;
use super::state::{Stop, Task};
use super::steps::Order;

impl State {
    pub(in crate::sim) fn list_tasks(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster(input.text("cluster")?)?;
        let (family, service) = (input.text("family")?, input.text("serviceName")?);
        let (starter, launch) = (input.text("startedBy")?, input.text("launchType")?);
        // "When you specify startedBy as the filter, it must be the only filter that you use" (`ListTasks`).
        if starter.is_some() && (family.is_some() || service.is_some() || launch.is_some()) {
            return Err(SimError::invalid("startedBy must be the only filter."));
        }
        let wanted = match input.text("desiredStatus")?.unwrap_or("RUNNING") {
            "RUNNING" => true,
            "STOPPED" => false,
            // ECS never sets a task's desired status to PENDING, so that filter finds nothing (`ListTasks`).
            "PENDING" => return page(input, "taskArns", Vec::new(), false, 100, 100),
            _ => return Err(SimError::invalid("Invalid desiredStatus.")),
        };
        let tasks: Box<dyn Iterator<Item = &Task>> = match service {
            Some(reference) => Box::new(self.service(cluster, reference)?.tasks.values()),
            None => Box::new(cluster.tasks()),
        };
        let mut lines: Vec<Line> = tasks
            .filter(|task| task.wanted == wanted)
            .filter(|task| family.is_none_or(|family| task.template.family == family))
            .filter(|task| starter.is_none_or(|starter| task.started_by.as_deref() == Some(starter)))
            .filter(|task| launch.is_none_or(|launch| task.template.launch.as_str() == launch))
            .map(|task| (task.id.clone(), json!(task.arn)))
            .collect();
        lines.sort_by(|one, other| one.0.cmp(&other.0));
        page(input, "taskArns", lines, false, 100, 100)
    }

    pub(in crate::sim) fn describe_tasks(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster(input.text("cluster")?)?;
        let references = input.some_texts("tasks", "Tasks", 100)?;
        let with_tags = input.includes("TAGS")?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for reference in references {
            let id = names::member_of(&cluster.name, reference, "task")?;
            match cluster.task(id) {
                Some(task) => found.push(task.describe(&self.config.region, with_tags)),
                None => {
                    let arn = names::arn(&self.config, &format!("task/{}/{id}", cluster.name));
                    failures.push(json!({ "arn": arn, "reason": "MISSING" }));
                }
            }
        }
        Ok(json!({ "tasks": found, "failures": failures }))
    }

    pub(in crate::sim) fn run_task(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster(input.text("cluster")?)?.name.clone();
        let count = input.integer("count")?.unwrap_or(1);
        if !(1..=10).contains(&count) {
            return Err(SimError::invalid("count must be between 1 and 10."));
        }
        let tags = Tags::parse(input.list("tags")?.unwrap_or_default())?;
        let template = Arc::new(self.template(&cluster, input.members(), input.need_text("taskDefinition")?)?);
        let group = match input.text("group")? {
            Some(group) => group.to_owned(),
            None => format!("family:{}", template.family),
        };
        let (mut started, mut failures) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let order = Order {
                group: group.clone(),
                started_by: input.text("startedBy")?.map(str::to_owned),
                template: Arc::clone(&template),
                tags: tags.clone(),
                overrides: input.get("overrides").cloned(),
                execute_command: input.flag("enableExecuteCommand")?.unwrap_or(false),
                avoid: BTreeSet::new(),
            };
            let Some(mut random) = self.clusters.get(&cluster).map(|home| home.random.clone()) else { break };
            let placed = self.new_task(&cluster, order, &mut random);
            let region = self.config.region.clone();
            let Some(home) = self.clusters.get_mut(&cluster) else { break };
            home.random = random;
            match placed {
                Ok(task) => {
                    started.push(task.describe(&region, true));
                    home.owners.insert(task.id.clone(), None);
                    home.standalone.insert(task.id.clone(), task);
                }
                Err(why) => failures.push(json!({ "arn": home.arn, "reason": why.as_str() })),
            }
        }
        Ok(json!({ "tasks": started, "failures": failures }))
    }

    pub(in crate::sim) fn stop_task_call(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster(input.text("cluster")?)?.name.clone();
        let id = names::member_of(&cluster, input.need_text("task")?, "task")?.to_owned();
        let reason = input.text("reason")?.unwrap_or("Task stopped by user").to_owned();
        self.stop_any(&cluster, &id, Stop { code: "UserInitiated", reason, exit_code: Some(137) });
        let task = self.cluster(Some(&cluster))?.task(&id);
        let task = task.ok_or_else(|| SimError::invalid("The referenced task was not found."))?;
        Ok(json!({ "task": task.describe(&self.config.region, true) }))
    }

    /// Takes a task away.
    pub(in crate::sim) fn kill(&mut self, arn: &str, code: &'static str, reason: &str) {
        if let Ok(Resource::Task { cluster, task }) = Resource::parse(arn) {
            self.stop_any(cluster, task, Stop { code, reason: reason.to_owned(), exit_code: Some(137) });
        }
    }

    fn stop_any(&mut self, cluster: &str, id: &str, stop: Stop) {
        match self.clusters.get(cluster).and_then(|home| home.owners.get(id)).cloned() {
            None => {}
            Some(Some(service)) => {
                self.with_service(cluster, &service, |state, service| {
                    state.stop_of_service(service, id, stop);
                    state.settle_soon(service);
                });
            }
            Some(None) => {
                let Some(home) = self.clusters.get_mut(cluster) else { return };
                let mut random = home.random.clone();
                let Some(mut task) = home.standalone.remove(id) else { return };
                self.stop_task(cluster, &mut task, stop, &mut random);
                if let Some(home) = self.clusters.get_mut(cluster) {
                    home.random = random;
                    home.standalone.insert(id.to_owned(), task);
                }
            }
        }
    }
}
