//! A plan as it is kept in a file and asked for again: each change by what it would move and, where values may be
//! secret, by their hashes. Does not know how it is carried out.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::report::{Plan, PlannedCampaign, PlannedChange};
use crate::model::spec::API_VERSION;
use crate::model::{
    ChangeKind, ReasonCode, Resource, TargetId, TaskDefinitionArn, Timestamp, change::Setting, document,
};

/// What a plan would do, and nothing of what it says besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SavedPlan {
    /// The hash of all the rest.
    pub id: String,
    /// Where.
    pub target: TargetId,
    /// The hash of the policies it was made with.
    pub policy_set: String,
    /// What would be rolled out together.
    pub campaigns: Vec<SavedCampaign>,
}

/// Changes of one strategy that go together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SavedCampaign {
    /// The strategy's name.
    pub strategy: String,
    /// The hash of what it said.
    pub strategy_hash: String,
    /// Why it waits for approval; none: it does not.
    pub proposed: Option<ReasonCode>,
    /// Its changes, in the order in which they would begin.
    pub changes: Vec<SavedChange>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SavedChange {
    /// What it moves.
    pub resource: Resource,
    /// When that was created: with the ARN, its identity.
    pub created_at: Timestamp,
    /// What it does.
    pub kind: ChangeKind,
    /// The revision it comes from.
    pub from: Option<TaskDefinitionArn>,
    /// For a setting: the hash of what it is now.
    pub base: Option<String>,
    /// The hash of the input to register, or of the setting to make.
    pub wanted: String,
    /// The fixes it brings.
    pub fixes: Vec<String>,
    /// Its wave, from 0, among those of its campaign.
    pub wave: usize,
}

/// A file that holds no plan that could be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SavedPlanError {
    /// Something else.
    #[error("it is not a plan: `kind` is not `Plan`, or `apiVersion` is not `{API_VERSION}`")]
    NotAPlan,
    /// Written before plans could be asked for.
    #[error("it does not say what is needed to ask for it (`campaigns`, `digest`): an older version wrote it")]
    TooOld,
    /// Members that cannot be read.
    #[error("it has not the shape of a plan: {message}")]
    Shape {
        /// What is wrong.
        message: String,
    },
    /// It says something else than when it was written.
    #[error("it was edited, or cut short: its {what} does not match what it says")]
    Edited {
        /// `digest` or `id`.
        what: &'static str,
    },
}

impl SavedPlan {
    /// Of what is planned.
    pub(super) fn of(target: &TargetId, policy_set: &str, campaigns: &[PlannedCampaign]) -> Self {
        let campaigns = campaigns.iter().map(SavedCampaign::of).collect();
        let plan = Self { id: String::new(), target: target.clone(), policy_set: policy_set.to_owned(), campaigns };
        Self { id: plan.identity(), ..plan }
    }

    /// The hash of all but the id: two plans of the same id would do exactly the same.
    #[must_use]
    pub fn identity(&self) -> String {
        document::hash(&json!({ "target": self.target, "policySet": self.policy_set, "campaigns": self.campaigns }))
    }

    /// Reads a plan's report, as `plan --out` writes it.
    ///
    /// # Errors
    /// Where it is none, or was changed since it was written.
    pub fn read(report: &Value) -> Result<Self, SavedPlanError> {
        let is = |member: &str, text: &str| report.get(member).and_then(Value::as_str) == Some(text);
        if !is("kind", "Plan") || !is("apiVersion", API_VERSION) {
            return Err(SavedPlanError::NotAPlan);
        }
        let member = |name: &str| report.get(name).ok_or(SavedPlanError::TooOld);
        if member("digest")?.as_str() != Some(digest(report).as_str()) {
            return Err(SavedPlanError::Edited { what: "digest" });
        }
        let policy_set = report.pointer("/policySet/hash").ok_or(SavedPlanError::TooOld)?;
        let shape = |error: serde_json::Error| SavedPlanError::Shape { message: error.to_string() };
        let plan: Self = serde_json::from_value(json!({
            "id": member("id")?, "target": member("target")?, "policySet": policy_set, "campaigns": member("campaigns")?,
        }))
        .map_err(shape)?;
        if plan.id != plan.identity() {
            return Err(SavedPlanError::Edited { what: "id" });
        }
        Ok(plan)
    }

    /// Whether it would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.campaigns.iter().all(|campaign| campaign.changes.is_empty())
    }

    /// How many services and clusters it would change.
    #[must_use]
    pub fn resources(&self) -> usize {
        let changes = self.campaigns.iter().flat_map(|campaign| &campaign.changes);
        changes.map(|change| &change.resource).collect::<BTreeSet<_>>().len()
    }
}

/// The hash of a report without its `digest`: what tells that somebody has edited it. It proves nothing against whoever
/// means to deceive; the controller compares every change with what it would do itself.
#[must_use]
pub fn digest(report: &Value) -> String {
    let mut bare = report.clone();
    if let Value::Object(members) = &mut bare {
        members.shift_remove("digest");
    }
    document::hash(&bare)
}

impl SavedCampaign {
    /// Of what is planned.
    #[must_use]
    pub fn of(campaign: &PlannedCampaign) -> Self {
        Self {
            strategy: campaign.strategy_name.clone(),
            strategy_hash: document::hash(&json!(campaign.strategy)),
            proposed: campaign.proposed.as_ref().map(|reason| reason.code),
            changes: campaign.changes.iter().map(SavedChange::of).collect(),
        }
    }
}

impl SavedChange {
    /// Of what is planned.
    #[must_use]
    pub fn of(change: &PlannedChange) -> Self {
        let documents = change.documents.as_ref();
        let wanted = documents.map(|documents| documents.wanted_hash.clone());
        Self {
            resource: change.resource.clone(),
            created_at: change.created_at,
            kind: change.kind,
            from: change.from.clone(),
            base: change.setting.as_ref().map(|setting| document::hash(&Value::Object(setting.back.clone()))),
            wanted: wanted.or_else(|| change.setting.as_ref().map(setting_hash)).unwrap_or_default(),
            fixes: change.fixes.clone(),
            wave: change.wave,
        }
    }
}

/// The hash by which a setting that is to be made is known.
#[must_use]
pub fn setting_hash(setting: &Setting) -> String {
    document::hash(&Value::Object(setting.forward.clone()))
}

impl Plan {
    /// What it would do.
    #[must_use]
    pub fn saved(&self) -> SavedPlan {
        SavedPlan {
            id: self.id.clone(),
            target: self.target.clone(),
            policy_set: self.policy_set.clone(),
            campaigns: self.campaigns.iter().map(SavedCampaign::of).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Value {
        let change = json!({
            "resource": "arn:aws:ecs:eu-west-1:1:service/prod/web", "createdAt": "2026-01-05T09:00:00Z", "kind": "revision",
            "from": "arn:aws:ecs:eu-west-1:1:task-definition/web:7", "base": null, "wanted": "sha256:w", "fixes": ["sha256:f"], "wave": 0,
        });
        let campaign =
            json!({ "strategy": "quick", "strategyHash": "sha256:s", "proposed": null, "changes": [change] });
        let mut report = json!({
            "apiVersion": API_VERSION, "kind": "Plan", "target": { "account": "1", "region": "eu-west-1" },
            "policySet": { "source": "policies/", "hash": "sha256:p", "policies": 1 },
            "services": [{ "service": "prod/web", "diff": [] }], "campaigns": [campaign],
        });
        let plan = json!({ "target": report["target"], "policySet": "sha256:p", "campaigns": report["campaigns"] });
        report["id"] = json!(document::hash(&plan));
        sealed(report)
    }

    fn sealed(mut report: Value) -> Value {
        report["digest"] = json!(digest(&report));
        report
    }

    #[test]
    fn what_was_written_can_be_asked_for() {
        let plan = SavedPlan::read(&report()).unwrap();
        assert_eq!((plan.resources(), plan.is_empty(), plan.identity() == plan.id), (1, false, true));
        // Whatever reads and writes JSON in between may order members as it likes.
        let Value::Object(members) = report() else { unreachable!() };
        let turned: serde_json::Map<String, Value> = members.into_iter().rev().collect();
        assert_eq!(SavedPlan::read(&Value::Object(turned)).unwrap(), plan);
    }

    #[test]
    fn what_was_edited_cannot() {
        #[track_caller]
        fn check(expected: &SavedPlanError, edit: impl FnOnce(&mut Value)) {
            let mut edited = report();
            edit(&mut edited);
            assert_eq!(SavedPlan::read(&edited).as_ref(), Err(expected));
        }
        let edited = |what| SavedPlanError::Edited { what };
        check(&edited("digest"), |report| report["campaigns"][0]["changes"][0]["wave"] = json!(1));
        // What people read counts as much as what is done.
        check(&edited("digest"), |report| report["services"][0]["diff"] = json!([{ "op": "remove" }]));
        check(&edited("digest"), |report| report["campaigns"] = json!([]));
        check(&edited("id"), |report| {
            report["campaigns"][0]["changes"][0]["fixes"] = json!(["sha256:other"]);
            *report = sealed(report.clone());
        });
        check(&SavedPlanError::NotAPlan, |report| report["kind"] = json!("CheckReport"));
        check(&SavedPlanError::TooOld, |report| drop(report.as_object_mut().unwrap().shift_remove("digest")));
        check(&SavedPlanError::TooOld, |report| {
            report.as_object_mut().unwrap().shift_remove("campaigns");
            *report = sealed(report.clone());
        });
    }
}
