//! The verdicts on files. What a scope asks for and a file cannot say is unknown, unless it is assumed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::shape::{Resource, TaskDefinitionFile};
use crate::cli::freeze;
use crate::cli::policies::Offline;
use crate::model::spec::{API_VERSION, ResourceKind, Selector};
use crate::model::{Timestamp, Verdict};
use crate::policy::{
    PolicyResult, PolicySet, ScopeKey, ScopeKeys, ScopeTags, Subject, TargetContext, WaiverUse, evaluate, waiver_uses,
    waivers_here,
};

/// What `--assume` says of where the task definition would run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) struct Assumed(Selector);

impl std::str::FromStr for Assumed {
    type Err = String;
    /// `cluster=prod-a,tags.env=prod`: one value a key, and no globs, for they say where it *is*.
    fn from_str(text: &str) -> Result<Self, String> {
        let selector = freeze::scope(text)?;
        let single = |name: &str, values: &[String]| match values {
            [_, _, ..] => Err(format!("`{name}` is assumed twice")),
            [value] if value.contains(['*', '?', '[', '{']) => Err(format!("`{value}` is a glob; assume one {name}")),
            _ => Ok(()),
        };
        single("cluster", &selector.clusters)?;
        single("service", &selector.services)?;
        single("family", &selector.families)?;
        single("account", &selector.accounts)?;
        single("region", &selector.regions)?;
        for (key, values) in &selector.tags {
            single(&format!("tags.{key}"), values)?;
        }
        Ok(Self(selector))
    }
}

impl Assumed {
    fn keys(&self, resource: &Resource) -> ScopeKeys {
        let assumed = |values: &[String]| values.first().cloned();
        let key = |value: Option<String>| value.map_or(ScopeKey::Unknown, ScopeKey::Known);
        let arn = resource.arn.as_ref();
        let tags = self.0.tags.iter().filter_map(|(key, values)| Some((key.clone(), values.first()?.clone())));
        ScopeKeys {
            account: key(assumed(&self.0.accounts)
                .or_else(|| arn.map(|arn| arn.as_str().split(':').nth(4).unwrap_or("").to_owned()))),
            region: key(assumed(&self.0.regions)
                .or_else(|| arn.map(|arn| arn.as_str().split(':').nth(3).unwrap_or("").to_owned()))),
            cluster: key(assumed(&self.0.clusters)),
            service: key(assumed(&self.0.services)),
            family: key(assumed(&self.0.families).or_else(|| resource.family().map(ToOwned::to_owned))),
            launch_type: self
                .0
                .launch_types
                .first()
                .map_or(ScopeKey::Unknown, |launch_type| ScopeKey::Known(*launch_type)),
            tags: ScopeTags::Partly(tags.collect()),
        }
    }
}

/// What the policies say of one task definition.
pub(in crate::cli) struct Judged<'a> {
    pub(in crate::cli) file: &'a TaskDefinitionFile,
    pub(in crate::cli) resource: &'a Resource,
    pub(in crate::cli) results: Vec<PolicyResult>,
}

impl Judged<'_> {
    /// The line in the file of a finding's path.
    pub(in crate::cli) fn line(&self, path: &str) -> usize {
        self.file.json.line(&format!("{}{path}", self.resource.prefix))
    }
}

/// Calls `ask` with the resource as policies see it.
pub(in crate::cli) fn with_subject<T>(
    resource: &Resource,
    document: &Value,
    assumed: &Assumed,
    ask: impl FnOnce(&Subject<'_>) -> T,
) -> T {
    let scope = assumed.keys(resource);
    let target = match (&scope.account, &scope.region) {
        (ScopeKey::Known(account), ScopeKey::Known(region)) => {
            Some(TargetContext { account: account.clone(), region: region.clone(), labels: BTreeMap::new() })
        }
        _ => None,
    };
    ask(&Subject {
        kind: ResourceKind::TaskDefinition,
        resource: document,
        tags: resource.tags.as_ref(),
        service: None,
        cluster: None,
        running: None,
        target: target.as_ref(),
        scope: &scope,
    })
}

/// Asks every policy about every task definition of the files.
pub(in crate::cli) fn judge<'a>(
    set: &PolicySet,
    files: &'a [TaskDefinitionFile],
    assumed: &Assumed,
    now: Timestamp,
) -> Vec<Judged<'a>> {
    let mut judged = Vec::new();
    for file in files {
        for resource in &file.resources {
            let results = with_subject(resource, &resource.document, assumed, |subject| evaluate(set, subject, now));
            judged.push(Judged { file, resource, results });
        }
    }
    judged
}

/// How many resource and policy pairs come to which verdict.
pub(in crate::cli) fn count(judged: &[Judged<'_>], verdict: Verdict) -> usize {
    judged.iter().flat_map(|one| &one.results).filter(|result| result.verdict == verdict).count()
}

/// What every Waiver of the set is good for in these files.
pub(in crate::cli) fn waivers(set: &PolicySet, judged: &[Judged<'_>], now: Timestamp) -> Vec<WaiverUse> {
    let here: Vec<_> = judged.iter().flat_map(|one| waivers_here(&one.results)).collect();
    waiver_uses(set, &here, true, now)
}

/// The CheckReport of DESIGN §7.
pub(in crate::cli) fn to_json(policies: &Offline, judged: &[Judged<'_>], waivers: &[WaiverUse]) -> Value {
    let results: Vec<Value> =
        judged.iter().flat_map(|one| one.results.iter().map(move |result| result_json(one, result))).collect();
    json!({
        "apiVersion": API_VERSION, "kind": "CheckReport",
        "policySet": { "source": policies.source, "hash": policies.set.hash(), "policies": policies.set.len() },
        "summary": {
            "resources": judged.len(),
            "pass": count(judged, Verdict::Pass), "fail": count(judged, Verdict::Fail),
            "waived": count(judged, Verdict::Waived), "skip": count(judged, Verdict::Skip),
            "unknown": count(judged, Verdict::Unknown),
        },
        "results": results,
        "waivers": waivers,
    })
}

fn result_json(judged: &Judged<'_>, result: &PolicyResult) -> Value {
    let findings: Vec<Value> = result
        .findings
        .iter()
        .map(|finding| {
            json!({
                "check": finding.check, "path": finding.path, "container": finding.container,
                "line": judged.line(&finding.path), "message": finding.message, "fixable": finding.fixable,
                "waiver": finding.waiver,
            })
        })
        .collect();
    json!({
        "resource": judged.resource.name, "file": judged.file.name, "policy": result.policy,
        "controls": result.controls, "severity": result.severity, "verdict": result.verdict,
        "reason": result.reason, "waiver": result.waiver, "enforcement": result.enforcement, "findings": findings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_assumed_is_one_value_a_key() {
        assert!("cluster=prod-a,tags.env=prod,launchType=FARGATE".parse::<Assumed>().is_ok());
        for wrong in ["cluster=a,cluster=b", "cluster=prod-*", "tags.env=a,tags.env=b", "mood=good"] {
            assert!(wrong.parse::<Assumed>().is_err(), "{wrong}");
        }
    }
}
