//! What DescribeServices says, read no more than it has to be: a service that is told by the same text as last time is as
//! it was, and most are in most passes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::model::observed::{Fleet, Service};
use crate::model::packed::{Digest, PackedService, Packer, WrittenService, digest};
use crate::model::wire::{self, WireError};
use crate::model::{ClusterArn, Observed, ServiceArn, Timestamp, dense};
use crate::ports::{EcsError, Operation};

/// The services of the last pass.
#[derive(Debug)]
pub(super) struct SeenServices {
    by_arn: BTreeMap<ServiceArn, Seen>,
    /// Where they live: one text for all services of a cluster.
    clusters: BTreeSet<ClusterArn>,
    packer: Packer,
    /// Whether events were kept of them.
    with_events: bool,
}

/// One of them, and the text that ECS told it by.
#[derive(Debug)]
struct Seen {
    told: Digest,
    service: Arc<PackedService>,
}

/// What there is of a service in an answer.
enum Told {
    /// The text of last time.
    Again(Arc<PackedService>),
    /// Another.
    Anew(Value, Digest),
}

/// An answer of DescribeServices, each service as it is written there.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    services: Option<Vec<&'a RawValue>>,
    failures: Option<Value>,
}

impl Default for SeenServices {
    fn default() -> Self {
        let (by_arn, clusters) = (BTreeMap::new(), BTreeSet::new());
        Self { by_arn, clusters, packer: Packer::learning(), with_events: false }
    }
}

impl SeenServices {
    /// Services as a pass over the fleet keeps them, but for deleted ones: these stay INACTIVE for a while, and are no part
    /// of the fleet. `events`, the larger part of an old service, are kept only where a policy reads them.
    pub(super) fn read(
        &mut self,
        batch: Vec<ServiceArn>,
        answer: Result<Vec<u8>, EcsError>,
        events: bool,
        now: Timestamp,
    ) -> Vec<(ServiceArn, Observed<Arc<PackedService>>)> {
        if self.with_events != events {
            // Of what was kept nobody knows its events.
            (self.by_arn, self.with_events) = (BTreeMap::new(), events);
        }
        let mut inactive = BTreeSet::new();
        let answer = answer.and_then(|text| self.tell_apart(&batch, &text));
        let mut seen = described(batch, answer, now, |arn, told| match told {
            Told::Again(service) => Ok(service),
            Told::Anew(item, told) => {
                if item.get("status").is_some_and(|status| status == "INACTIVE") {
                    inactive.insert(arn.clone());
                }
                self.keep(arn, item, told)
            }
        });
        seen.retain(|(arn, _)| !inactive.contains(arn));
        // One text of a name for all passes.
        for (arn, _) in &mut seen {
            if let Some((known, _)) = self.by_arn.get_key_value(arn) {
                *arn = known.clone();
            }
        }
        seen
    }

    /// The services of an answer by their ARN: those that are told as before, and what is said of the others.
    fn tell_apart(&self, batch: &[ServiceArn], text: &[u8]) -> Result<Items<Told>, EcsError> {
        let unusable = |error: serde_json::Error| EcsError::NoAnswer {
            operation: Operation::DescribeServices,
            // Not serde's words: they may quote what is there.
            message: format!("an answer that cannot be read at line {}, column {}", error.line(), error.column()),
        };
        let answer: Answer<'_> = serde_json::from_slice(text).map_err(unusable)?;
        let mut items = BTreeMap::new();
        let before: Vec<_> = batch.iter().filter_map(|arn| Some((arn, self.by_arn.get(arn)?))).collect();
        for text in answer.services.unwrap_or_default() {
            let told = digest(text.get().as_bytes());
            match before.iter().find(|(_, seen)| seen.told == told) {
                Some((arn, seen)) => drop(items.insert(arn.to_string(), Told::Again(Arc::clone(&seen.service)))),
                None => {
                    let item: Value = serde_json::from_str(text.get()).map_err(unusable)?;
                    items.insert(arn_of(&item), Told::Anew(item, told));
                }
            }
        }
        let failures = wire::failures(&json!({ "failures": answer.failures })).unwrap_or_default();
        Ok((items, failures))
    }

    /// Packs a service, unless nothing of it but what is not kept has changed.
    fn keep(&mut self, arn: &ServiceArn, mut item: Value, told: Digest) -> Result<Arc<PackedService>, WireError> {
        if let (false, Some(members)) = (self.with_events, item.as_object_mut()) {
            members.shift_remove("events");
        }
        let written = WrittenService::of(&item);
        let before = self.by_arn.get(arn).filter(|seen| seen.service.digest == written.digest);
        let service = match before {
            Some(seen) => Arc::clone(&seen.service),
            None => {
                let mut service = PackedService::pack(&written, &mut self.packer)?;
                match self.clusters.get(&service.cluster) {
                    Some(known) => service.cluster = known.clone(),
                    None => drop(self.clusters.insert(service.cluster.clone())),
                }
                Arc::new(service)
            }
        };
        self.by_arn.insert(arn.clone(), Seen { told, service: Arc::clone(&service) });
        Ok(service)
    }

    /// Forgets what is not in the fleet, or could not be described.
    pub(super) fn keep_only(&mut self, fleet: &Fleet) {
        self.by_arn.retain(|arn, _| fleet.services.get(arn).is_some_and(|seen| seen.known().is_some()));
        self.clusters.retain(|arn| fleet.clusters.contains_key(arn));
        dense(&mut self.by_arn);
    }
}

/// What is said of services by ARN, and what could not be described: its ARN or name, and ECS's reason.
type Items<I> = (BTreeMap<String, I>, Vec<(String, String)>);

fn arn_of(item: &Value) -> String {
    item.get("serviceArn").and_then(Value::as_str).unwrap_or("").to_owned()
}

/// What DescribeServices says of one service.
pub(super) fn described_one(arn: &ServiceArn, answer: Result<Value, EcsError>, now: Timestamp) -> Observed<Service> {
    let answer = answer.map(|answer| {
        let failures = wire::failures(&answer).unwrap_or_default();
        let items = wire::into_items(answer, "services").unwrap_or_default();
        (items.into_iter().map(|item| (arn_of(&item), item)).collect(), failures)
    });
    let service = described(vec![arn.clone()], answer, now, |_, item| wire::service_of(item)).pop();
    service.map_or_else(|| Observed::Unknown { since: now, why: "it was not asked for".to_owned() }, |(_, seen)| seen)
}

/// Each service of a batch, `read` where it is described.
fn described<I, T>(
    batch: Vec<ServiceArn>,
    answer: Result<Items<I>, EcsError>,
    now: Timestamp,
    mut read: impl FnMut(&ServiceArn, I) -> Result<T, WireError>,
) -> Vec<(ServiceArn, Observed<T>)> {
    let all = |batch: Vec<ServiceArn>, observed: &dyn Fn() -> Observed<T>| {
        batch.into_iter().map(|arn| (arn, observed())).collect()
    };
    let (mut items, failures) = match answer {
        Ok(answer) => answer,
        // A cluster can be deleted only without services: with it they are gone (botocore ecs/2014-11-13, DeleteCluster).
        Err(error) if error.code() == Some("ClusterNotFoundException") => {
            return all(batch, &|| Observed::Absent { at: now });
        }
        Err(error) => {
            return all(batch, &|| Observed::Unknown { since: now, why: error.to_string() });
        }
    };
    let missing = |arn: &ServiceArn| {
        let failure = failures.iter().find(|(name, _)| name == arn.as_str() || name == arn.name());
        match failure {
            Some((_, reason)) if reason == "MISSING" => Observed::Absent { at: now },
            Some((_, reason)) => Observed::Unknown { since: now, why: format!("ECS says {reason}") },
            None => Observed::Unknown { since: now, why: "it was asked for but not described".to_owned() },
        }
    };
    let observed = |arn: ServiceArn| {
        let observed = match items.remove(arn.as_str()).map(|item| read(&arn, item)) {
            Some(Ok(value)) => Observed::Known { value, at: now },
            Some(Err(error)) => Observed::Unknown { since: now, why: error.to_string() },
            None => missing(&arn),
        };
        (arn, observed)
    };
    batch.into_iter().map(observed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(name: &str) -> ServiceArn {
        format!("arn:aws:ecs:eu-west-1:1:service/prod/{name}").parse().unwrap()
    }

    fn service(name: &str) -> Value {
        json!({
            "serviceArn": arn(name), "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/prod", "status": "ACTIVE", "desiredCount": 2,
            "taskDefinition": format!("arn:aws:ecs:eu-west-1:1:task-definition/{name}:2"), "events": [{ "message": "steady" }],
        })
    }

    fn read(seen: &mut SeenServices, services: &[Value]) -> Vec<Observed<Arc<PackedService>>> {
        let answer = json!({ "services": services, "failures": [] }).to_string().into_bytes();
        let batch = vec![arn("web"), arn("api")];
        seen.read(batch, Ok(answer), seen.with_events, Timestamp::from_millis(0))
            .into_iter()
            .map(|(_, one)| one)
            .collect()
    }

    #[track_caller]
    fn same(one: &Observed<Arc<PackedService>>, other: &Observed<Arc<PackedService>>) -> bool {
        Arc::ptr_eq(one.known().unwrap(), other.known().unwrap())
    }

    #[test]
    fn what_is_told_by_the_same_text_or_differs_in_events_is_the_same() {
        let (web, api) = (service("web"), service("api"));
        let mut seen = SeenServices::default();
        let first = read(&mut seen, &[web.clone(), api.clone()]);
        let swapped = read(&mut seen, &[api.clone(), web.clone()]);
        assert!(same(&first[0], &swapped[0]) && same(&first[1], &swapped[1]));
        let mut told = web.clone();
        told["events"][0]["message"] = "steady again".into();
        let later = read(&mut seen, &[told.clone(), api.clone()]);
        assert!(same(&first[0], &later[0]));
        assert_eq!(seen.by_arn[&arn("web")].told, digest(told.to_string().as_bytes()), "and is known by its new text");
        let mut scaled = web;
        scaled["desiredCount"] = 5.into();
        let changed = read(&mut seen, &[scaled, api]);
        assert!(!same(&first[0], &changed[0]) && same(&first[1], &changed[1]));
        assert_eq!(changed[0].known().unwrap().read().unwrap().desired_count, 5);
    }

    #[test]
    fn once_a_policy_reads_events_they_are_read_of_all() {
        let mut seen = SeenServices::default();
        let services = [service("web"), service("api")];
        let has_events = |seen: &Observed<Arc<PackedService>>| {
            seen.known().unwrap().read().unwrap().document.get("events").is_some()
        };
        assert!(!read(&mut seen, &services).iter().any(has_events));
        let answer = json!({ "services": services }).to_string().into_bytes();
        let with = seen.read(vec![arn("web"), arn("api")], Ok(answer), true, Timestamp::from_millis(0));
        assert!(with.iter().all(|(_, seen)| has_events(seen)));
    }

    #[test]
    fn what_cannot_be_read_is_unknown_and_not_quoted() {
        for text in [r#"{"services":["hunter2"#, r#"{"services":"hunter2"}"#, "hunter2"] {
            let answer = Ok(text.as_bytes().to_vec());
            let found = SeenServices::default().read(vec![arn("web")], answer, false, Timestamp::from_millis(0));
            let [(_, Observed::Unknown { why, .. })] = &found[..] else { panic!("{text}: {found:?}") };
            assert!(why.contains("cannot be read") && !why.contains("hunter2"), "{text}: {why}");
        }
    }
}
