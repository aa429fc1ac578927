//! What ECS's words about a change may quote: the documents that it concerns, read where there are such words.
//!
//! ECS passes on what a runtime says of a container that cannot start, with its command or a value in it, and says which
//! value of a call it does not take. Reads name ARNs only; there is nothing for it to quote.

use std::collections::BTreeSet;

use serde_json::Value;

use super::execute::Executor;
use crate::model::observed::Service;
use crate::model::{Observed, Secrets, TaskDefinitionArn};
use crate::records::documents::Documents;
use crate::rollout::Change;
use crate::rollout::landing::Facts;

impl Executor<'_> {
    /// What may not be told of ECS's words about a change, where the facts have such words. Without any it is not looked up,
    /// and nothing is known: what should be told all the same is told with care.
    pub(super) async fn secrets_in_trouble(&self, change: &Change, facts: &Facts) -> Secrets {
        if facts.words_of_trouble().next().is_none() {
            return Secrets::default();
        }
        self.secrets(change, facts).await
    }

    /// What may not be told of ECS's words about a change and the calls that it makes: its setting, the task definitions
    /// that it goes from and to, and what is set on the service or cluster. Where one of them cannot be had, there are others.
    pub(super) async fn secrets(&self, change: &Change, facts: &Facts) -> Secrets {
        let settings = change.spec.setting.iter().flat_map(|setting| [&setting.forward, &setting.back]);
        let mut known: Vec<Value> = settings.cloned().map(Value::Object).collect();
        let mut all =
            !matches!(facts.service, Observed::Unknown { .. }) && !matches!(facts.cluster, Observed::Unknown { .. });
        known.extend(facts.service.known().map(Service::settings));
        known.extend(facts.cluster.known().cloned());
        match &change.spec.documents {
            Some(documents) => {
                for hash in [&documents.wanted, &documents.previous] {
                    // Whatever is wrong with the store is told by whoever cannot do without.
                    match Documents::of(self.store, self.target).get(hash).await {
                        Ok(Ok(document)) => known.push(Value::Object(document)),
                        Ok(Err(_)) | Err(_) => all = false,
                    }
                }
            }
            None => {
                for arn in revisions(facts) {
                    match self.cache.definition(arn).map(|packed| packed.read()) {
                        Some(Ok(definition)) => known.push(definition.document),
                        Some(Err(_)) | None => all = false,
                    }
                }
            }
        }
        let secrets = Secrets::of(&known);
        if all { secrets } else { secrets.and_others() }
    }
}

/// The revisions that a service or one of its tasks runs.
fn revisions(facts: &Facts) -> BTreeSet<&TaskDefinitionArn> {
    let service = facts.service.known().into_iter();
    let of_service = service.flat_map(|service| {
        service.task_definition.iter().chain(service.deployments.iter().map(|deployment| &deployment.task_definition))
    });
    let tasks = facts.tasks.known().into_iter().flatten();
    of_service.chain(tasks.map(|task| &task.task_definition)).collect()
}
