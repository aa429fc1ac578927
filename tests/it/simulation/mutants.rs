//! Deliberate bugs. A simulation that does not find them proves nothing.
//!
//! None is in the controller: each is a lie between it and its ports, so that what is shipped carries no switch. A write
//! that is acknowledged and not kept is an intent that was skipped; a lease clock that stops while the process is
//! suspended is a fence that was dropped.

use plimsoll::ports::store::{Expect, Item, Key};
use plimsoll::ports::{EcsError, Operation};
use serde_json::{Map, Value};

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// UpdateService is called without its intent on record.
    SkipsTheIntent,
    /// RegisterTaskDefinition is called without its intent on record.
    SkipsTheRegistration,
    /// The lease is counted on a clock that stops while the process is suspended, and records are written whoever
    /// wrote them since.
    DropsTheFence,
    /// Freezes are not looked at.
    ForgetsFreezes,
    /// A registration whose reply was lost is sent again at once.
    RegistersBlindlyAgain,
    /// What failed is not held off.
    ForgetsHolds,
    /// What ECS says of a deployment and of older tasks is not looked at: begun is taken for landed.
    TrustsStability,
    /// UpdateService names a desired count.
    SetsTheCount,
    /// What ECS says of deployments in progress is not looked at.
    IgnoresDeployments,
    /// A member that nobody planned to change is lost when a revision is registered.
    LosesAMember,
    /// What was taken back is not deregistered.
    LeavesRevisions,
}

impl Mutant {
    pub(crate) const ALL: &[Self] = &[
        Self::SkipsTheIntent,
        Self::SkipsTheRegistration,
        Self::DropsTheFence,
        Self::ForgetsFreezes,
        Self::RegistersBlindlyAgain,
        Self::ForgetsHolds,
        Self::TrustsStability,
        Self::SetsTheCount,
        Self::IgnoresDeployments,
        Self::LosesAMember,
        Self::LeavesRevisions,
    ];
}

/// The bug of a run, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mutation(pub(crate) Option<Mutant>);

impl Mutation {
    pub(crate) fn is(self, mutant: Mutant) -> bool {
        self.0 == Some(mutant)
    }

    /// What is sent instead.
    pub(crate) fn mutate_call(self, operation: Operation, mut input: Value) -> Value {
        if self.is(Mutant::SetsTheCount) && operation == Operation::UpdateService {
            input["desiredCount"] = 2.into();
        }
        if self.is(Mutant::LosesAMember)
            && operation == Operation::RegisterTaskDefinition
            && let Some(container) = input.pointer_mut("/containerDefinitions/0").and_then(Value::as_object_mut)
        {
            container.shift_remove("dockerLabels");
        }
        input
    }

    /// What is heard instead.
    pub(crate) fn mutate_answer(
        self,
        operation: Operation,
        answer: Result<Value, EcsError>,
    ) -> Result<Value, EcsError> {
        let mut answer = match (self.0, operation, answer) {
            (Some(Mutant::LeavesRevisions), Operation::DeregisterTaskDefinition, Err(_)) => Ok(Value::Null),
            (_, _, answer) => answer,
        }?;
        let list =
            |answer: &mut Value, name: &str| answer.get_mut(name).and_then(Value::as_array_mut).map(std::mem::take);
        match (self.0, operation) {
            // Done as soon as it was asked for.
            (Some(Mutant::TrustsStability), Operation::DescribeTasks) => {
                let tasks = list(&mut answer, "tasks").unwrap_or_default();
                let revision = |task: &Value| task["taskDefinitionArn"].as_str().map(str::to_owned);
                let number = |arn: &String| arn.rsplit(':').next().and_then(|number| number.parse::<u32>().ok());
                let newest = tasks.iter().filter_map(revision).max_by_key(number);
                answer["tasks"] = tasks.into_iter().filter(|task| revision(task) == newest).collect();
            }
            (Some(Mutant::TrustsStability), Operation::DescribeServiceDeployments) => {
                for deployment in answer["serviceDeployments"].as_array_mut().into_iter().flatten() {
                    deployment["status"] = "SUCCESSFUL".into();
                }
            }
            (Some(Mutant::TrustsStability | Mutant::IgnoresDeployments), Operation::DescribeServices) => {
                for service in answer["services"].as_array_mut().into_iter().flatten() {
                    let deployments = list(service, "deployments").unwrap_or_default();
                    let primary = deployments.into_iter().filter(|deployment| deployment["status"] == "PRIMARY");
                    let still = primary.map(|mut deployment| {
                        deployment["rolloutState"] = "COMPLETED".into();
                        deployment
                    });
                    service["deployments"] = still.collect();
                }
            }
            _ => {}
        }
        Ok(answer)
    }

    /// What is read instead.
    pub(crate) fn mutate_items(self, keys: &[Key], found: Vec<Option<Item>>) -> Vec<Option<Item>> {
        let hidden = |key: &Key| self.is(Mutant::ForgetsFreezes) && key.partition == "cfg#freeze";
        keys.iter().zip(found).map(|(key, item)| item.filter(|_| !hidden(key))).collect()
    }

    /// On what condition a record is written instead.
    pub(crate) fn mutate_expect(self, key: &Key, expect: Expect) -> Expect {
        let record = key.partition.ends_with("#rollouts");
        if self.is(Mutant::DropsTheFence) && record { Expect::Any } else { expect }
    }

    /// Whether a write is acknowledged and not kept.
    pub(crate) fn forgets(self, key: &Key, body: &Map<String, Value>) -> bool {
        let phase = |name: &str| body.get("phase").is_some_and(|phase| phase == name);
        let state = body.get("state").and_then(|state| state.get("phase"));
        match self.0 {
            Some(Mutant::SkipsTheIntent) => key.sort.starts_with("change#") && phase("Updating"),
            Some(Mutant::SkipsTheRegistration) => {
                key.sort.starts_with("registration#") && state.is_some_and(|phase| phase == "Intended")
            }
            Some(Mutant::ForgetsHolds) => key.sort.starts_with("hold#"),
            _ => false,
        }
    }
}
