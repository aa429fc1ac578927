//! The calls about task definitions.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::error::SimError;
use super::super::input::{Input, Line, page};
use super::super::names::{self, Resource};
use super::super::random::Random;
use super::super::state::State;
use super::super::tags::Tags;
use super::family::{Family, Revision, Status};
use super::{constraints, normalise};

impl State {
    pub(in crate::sim) fn register_task_definition(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let tags = Tags::parse(input.list("tags")?.unwrap_or_default())?;
        let mut document: Map<String, Value> = input.members().clone();
        document.shift_remove("tags");
        normalise::normalise(&self.config, &mut document);
        constraints::check(&document)?;
        let name = input.need_text("family")?.to_owned();
        let family = self.families.entry(name.clone()).or_default();
        family.last += 1;
        let number = family.last;
        if self.config.reorder {
            normalise::shuffle(&mut document, &mut Random::named(self.config.seed, &format!("{name}:{number}")));
        }
        let revision = Revision {
            arn: names::arn(&self.config, &format!("task-definition/{name}:{number}")),
            family: name,
            number,
            document: Arc::new(document),
            status: Status::Active,
            tags,
            registered_at: self.now,
            registered_by: self.config.caller.clone(),
        };
        let answer = json!({ "taskDefinition": revision.describe(), "tags": revision.tags.to_value() });
        family.revisions.insert(number, revision);
        Ok(answer)
    }

    pub(in crate::sim) fn deregister_task_definition(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let (family, number) = names::task_definition(input.need_text("taskDefinition")?)?;
        let number = number.ok_or_else(|| SimError::invalid("The revision number must be specified."))?;
        let now = self.now;
        let revision = self.revision_mut(family, number)?;
        if revision.status == Status::Active {
            revision.status = Status::Inactive { since: now };
        }
        Ok(json!({ "taskDefinition": revision.describe() }))
    }

    pub(in crate::sim) fn delete_task_definitions(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let references = input.some_texts("taskDefinitions", "Task definitions", 10)?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        let now = self.now;
        for reference in references {
            let Ok((family, Some(number))) = names::task_definition(reference) else {
                failures.push(json!({ "arn": reference, "reason": "INVALID_ARN" }));
                continue;
            };
            let Ok(revision) = self.revision_mut(family, number) else {
                failures.push(json!({ "arn": reference, "reason": "MISSING" }));
                continue;
            };
            match revision.status {
                Status::Active => {
                    let detail = "The specified task definition is still in ACTIVE status.";
                    failures.push(json!({ "arn": revision.arn, "reason": "ACTIVE", "detail": detail }));
                    continue;
                }
                Status::Inactive { since } => {
                    revision.status = Status::DeleteInProgress { since, requested: now };
                }
                Status::DeleteInProgress { .. } => {}
            }
            found.push(revision.describe());
            let arn = revision.arn.clone();
            // It stays until nothing references it (`DeleteTaskDefinitions`).
            if !self.is_referenced(&arn)
                && let Some(family) = self.families.get_mut(family)
            {
                family.revisions.remove(&number);
            }
        }
        Ok(json!({ "taskDefinitions": found, "failures": failures }))
    }

    pub(in crate::sim) fn describe_task_definition(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let unknown = || SimError::client("Unable to describe task definition.");
        let revision = self.revision(input.need_text("taskDefinition")?).map_err(|_| unknown())?;
        let forgotten =
            self.config.forget_inactive && revision.status != Status::Active && !self.is_referenced(&revision.arn);
        if forgotten {
            return Err(unknown());
        }
        let mut answer = Map::new();
        answer.insert("taskDefinition".into(), revision.describe());
        // A sibling of the task definition, and only when asked for (ecs-facts §2.1).
        if input.includes("TAGS")? {
            answer.insert("tags".into(), revision.tags.to_value());
        }
        Ok(Value::Object(answer))
    }

    pub(in crate::sim) fn list_task_definitions(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let (only, status) = (input.text("familyPrefix")?, input.text("status")?.unwrap_or("ACTIVE"));
        let descending = input.text("sort")? == Some("DESC");
        let lines: Vec<Line> = self
            .families
            .iter()
            // Despite its name a whole family name: "task definitions that belong to that family".
            .filter(|(name, _)| only.is_none_or(|only| *name == only))
            .flat_map(|(_, family)| family.revisions.values())
            .filter(|revision| revision.status.as_str() == status)
            .map(|revision| (format!("{}:{:010}", revision.family, revision.number), json!(revision.arn)))
            .collect();
        page(input, "taskDefinitionArns", sorted(lines, descending), descending, 100, 100)
    }

    pub(in crate::sim) fn list_task_definition_families(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let prefix = input.text("familyPrefix")?.unwrap_or("");
        let status = input.text("status")?.unwrap_or("ALL");
        let active = |family: &Family| family.latest_active().is_some();
        let lines: Vec<Line> = self
            .families
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .filter(|(_, family)| match status {
                "ACTIVE" => active(family),
                "INACTIVE" => !active(family),
                _ => true,
            })
            .map(|(name, _)| (name.clone(), json!(name)))
            .collect();
        page(input, "families", lines, false, 100, 100)
    }

    /// The revision that a reference means; a family without revision is its latest ACTIVE one.
    ///
    /// # Errors
    /// When there is none.
    pub(in crate::sim) fn revision(&self, reference: &str) -> Result<&Revision, SimError> {
        let (family, number) = names::task_definition(reference)?;
        let family = self.families.get(family);
        match number {
            None => family.and_then(Family::latest_active),
            Some(number) => family.and_then(|family| family.revisions.get(&number)),
        }
        .ok_or_else(|| SimError::client("TaskDefinition not found."))
    }

    /// The same, for running something with it: INACTIVE ones only within the grace period, DELETE_IN_PROGRESS never.
    ///
    /// # Errors
    /// When there is none or it is inactive; aws/aws-cdk#24372 quotes the sentence.
    pub(in crate::sim) fn usable_revision(&self, reference: &str) -> Result<&Revision, SimError> {
        let revision = self.revision(reference)?;
        let usable = match revision.status {
            Status::Active => true,
            Status::Inactive { since } => self.now < since + self.config.inactive_grace,
            Status::DeleteInProgress { .. } => false,
        };
        if usable { Ok(revision) } else { Err(SimError::client("TaskDefinition is inactive")) }
    }

    fn revision_mut(&mut self, family: &str, number: u32) -> Result<&mut Revision, SimError> {
        self.families
            .get_mut(family)
            .and_then(|family| family.revisions.get_mut(&number))
            .ok_or_else(|| SimError::client("The specified task definition does not exist."))
    }

    fn is_referenced(&self, arn: &str) -> bool {
        self.clusters.values().any(|cluster| {
            cluster.services.values().any(|service| service.uses(arn))
                || cluster.tasks().any(|task| !task.status.is_stopped() && task.template.task_definition == arn)
        })
    }

    /// Writes members into a described document, past all rules.
    pub(in crate::sim) fn plant(&mut self, reference: &str, members: Map<String, Value>) {
        if let Ok(Resource::Service { cluster, service }) = Resource::parse(reference) {
            let home = self.clusters.get_mut(cluster);
            if let Some(service) = home.and_then(|home| home.services.get_mut(service)) {
                service.members.extend(members);
            }
            return;
        }
        let Ok((family, number)) = self.revision(reference).map(|revision| (revision.family.clone(), revision.number))
        else {
            return;
        };
        if let Ok(revision) = self.revision_mut(&family, number) {
            Arc::make_mut(&mut revision.document).extend(members);
        }
    }
}

fn sorted(mut lines: Vec<Line>, descending: bool) -> Vec<Line> {
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    if descending {
        lines.reverse();
    }
    lines
}
