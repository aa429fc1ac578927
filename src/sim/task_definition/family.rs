//! Families and revisions: numbering, status, and what of them is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::state::epoch;
use super::super::tags::Tags;
use super::computed;
use crate::model::Timestamp;

/// ACTIVE → INACTIVE → DELETE_IN_PROGRESS → gone (ecs-facts §2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Status {
    Active,
    Inactive { since: Timestamp },
    DeleteInProgress { since: Timestamp, requested: Timestamp },
}

impl Status {
    pub(in crate::sim) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive { .. } => "INACTIVE",
            Self::DeleteInProgress { .. } => "DELETE_IN_PROGRESS",
        }
    }
}

#[derive(Debug, Clone)]
pub(in crate::sim) struct Revision {
    pub(in crate::sim) arn: String,
    pub(in crate::sim) family: String,
    pub(in crate::sim) number: u32,
    /// What was registered, normalised; without tags. Member order, unknown members and empty strings as registered.
    pub(in crate::sim) document: Arc<Map<String, Value>>,
    pub(in crate::sim) status: Status,
    pub(in crate::sim) tags: Tags,
    pub(super) registered_at: Timestamp,
    pub(super) registered_by: String,
}

#[derive(Debug, Clone, Default)]
pub(in crate::sim) struct Family {
    pub(in crate::sim) revisions: BTreeMap<u32, Revision>,
    /// Numbers only grow, also past deregistered and deleted revisions (`DeregisterTaskDefinition`).
    pub(super) last: u32,
}

impl Family {
    /// What the family means without a revision number: its latest ACTIVE revision.
    pub(in crate::sim) fn latest_active(&self) -> Option<&Revision> {
        self.revisions.values().rev().find(|revision| revision.status == Status::Active)
    }
}

/// The output-only members (ecs-facts §2.1).
const COMPUTED: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

impl Revision {
    /// Whether Fargate could run it.
    pub(in crate::sim) fn runs_on_fargate(&self) -> bool {
        computed::compatibilities(&self.document).contains(&"FARGATE")
    }

    /// The `taskDefinition` member of an answer: the document, and the nine output-only members (ecs-facts §2.1).
    pub(super) fn describe(&self) -> Value {
        let mut view = Map::new();
        view.insert("taskDefinitionArn".into(), json!(self.arn));
        for (name, value) in self.document.iter() {
            view.insert(name.clone(), value.clone());
        }
        view.insert("revision".into(), json!(self.number));
        view.insert("status".into(), json!(self.status.as_str()));
        view.insert("requiresAttributes".into(), computed::requires_attributes(&self.document));
        view.insert("compatibilities".into(), json!(computed::compatibilities(&self.document)));
        view.insert("registeredAt".into(), epoch(self.registered_at));
        view.insert("registeredBy".into(), json!(self.registered_by));
        match self.status {
            Status::Active => {}
            Status::Inactive { since } => {
                view.insert("deregisteredAt".into(), epoch(since));
            }
            Status::DeleteInProgress { since, requested } => {
                view.insert("deregisteredAt".into(), epoch(since));
                view.insert("deleteRequestedAt".into(), epoch(requested));
            }
        }
        // What AWS itself plants into a document may be one of the members computed here.
        for (name, value) in self.document.iter().filter(|(name, _)| COMPUTED.contains(&name.as_str())) {
            view.insert(name.clone(), value.clone());
        }
        Value::Object(view)
    }
}
