//! The verdicts on files. What a scope asks for and a file cannot say is unknown, unless it is assumed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::resource::{InputFile, Resource, tags_of};
use crate::cli::freeze;
use crate::cli::policies::Offline;
use crate::cli::printed::{PolicySetView, Printed};
use crate::cli::reports::{CheckFinding, CheckReport, CheckResult, CheckSummary};
use crate::model::spec::{LaunchType, ResourceKind, Selector};
use crate::model::{Finding, Reason, Timestamp, Verdict};
use crate::policy::{
    NOT_KNOWN, PolicyResult, PolicySet, ScopeKey, ScopeKeys, ScopeTags, Subject, TargetContext, WaiverUse, evaluate,
    waiver_uses, waivers_here,
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
    /// What scopes are matched against: what is assumed, else what the file says.
    fn keys(&self, file: &InputFile, resource: &Resource) -> ScopeKeys {
        let tied = |index: Option<usize>| index.and_then(|index| file.resources.get(index));
        let is = |kind| (resource.kind == kind).then_some(resource);
        let service = is(ResourceKind::Service).or_else(|| tied(resource.tied.service));
        let cluster = is(ResourceKind::Cluster).or_else(|| tied(resource.tied.cluster));
        let definition = is(ResourceKind::TaskDefinition).or_else(|| tied(resource.tied.task_definition));
        let text = |resource: Option<&Resource>, member: &str| resource?.text(member).map(ToOwned::to_owned);
        let key = |assumed: &[String], told: Option<String>| {
            assumed.first().cloned().or(told).map_or(ScopeKey::Unknown, ScopeKey::Known)
        };
        let part_of_arn = |index: usize| resource.arn.as_ref()?.split(':').nth(index).map(ToOwned::to_owned);
        let named = |member: &str| text(service.or(Some(resource)), member).map(|name| last_part(&name));
        let of_cluster = text(cluster, "clusterName").or_else(|| named("clusterArn")).or_else(|| named("cluster"));
        let family = text(definition, "family").or_else(|| {
            let revision = last_part(service?.text("taskDefinition")?);
            Some(revision.split(':').next().unwrap_or(&revision).to_owned())
        });
        let launch_type = self.0.launch_types.first().copied().or_else(|| {
            let told = service.or(Some(resource))?.document.get("launchType")?;
            serde_json::from_value::<LaunchType>(told.clone()).ok()
        });
        let around = service.or(cluster);
        let told = around.and_then(|one| one.tags.clone());
        let complete = told.is_some() && around.is_some_and(|one| !one.tags_may_come);
        let mut tags = told.unwrap_or_default();
        for (name, values) in &self.0.tags {
            tags.extend(values.first().map(|value| (name.clone(), value.clone())));
        }
        let mut keys = ScopeKeys {
            account: key(&self.0.accounts, part_of_arn(4)),
            region: key(&self.0.regions, part_of_arn(3)),
            cluster: key(&self.0.clusters, of_cluster),
            service: key(&self.0.services, text(service, "serviceName")),
            family: key(&self.0.families, family),
            launch_type: launch_type.map_or(ScopeKey::Unknown, ScopeKey::Known),
            tags: if complete { ScopeTags::Known(tags) } else { ScopeTags::Partly(tags) },
        };
        if matches!(resource.kind, ResourceKind::Cluster | ResourceKind::CapacityProvider) {
            // It has no service, whatever is assumed for others.
            (keys.service, keys.family, keys.launch_type) = (ScopeKey::Absent, ScopeKey::Absent, ScopeKey::Absent);
        }
        keys
    }
}

/// The name at the end of an ARN, or the name itself.
fn last_part(arn: &str) -> String {
    arn.rsplit('/').next().unwrap_or(arn).to_owned()
}

/// What the policies say of one resource.
pub(in crate::cli) struct Judged<'a> {
    pub(in crate::cli) file: &'a InputFile,
    pub(in crate::cli) resource: &'a Resource,
    pub(in crate::cli) results: Vec<PolicyResult>,
}

impl Judged<'_> {
    /// The line in the file of a finding's path.
    pub(in crate::cli) fn line(&self, path: &str) -> usize {
        self.file.source.line(&self.resource.origin.nearest(path))
    }
}

/// Calls `ask` with the resource as policies see it, with `document` for what the file has. Tags that a fix has edited in
/// it count as they are then.
pub(in crate::cli) fn with_subject<T>(
    file: &InputFile,
    resource: &Resource,
    document: &Value,
    assumed: &Assumed,
    ask: impl FnOnce(&Subject<'_>) -> T,
) -> T {
    let scope = assumed.keys(file, resource);
    let target = match (&scope.account, &scope.region) {
        (ScopeKey::Known(account), ScopeKey::Known(region)) => {
            Some(TargetContext { account: account.clone(), region: region.clone(), labels: BTreeMap::new() })
        }
        _ => None,
    };
    let tied = |index: Option<usize>| index.and_then(|index| file.resources.get(index)).map(|one| &one.document);
    let own = |kind| (resource.kind == kind).then_some(document);
    let edited = document.get("tags").filter(|tags| resource.document.get("tags") != Some(tags)).and_then(tags_of);
    ask(&Subject {
        kind: resource.kind,
        resource: document,
        tags: edited.as_ref().or(resource.tags.as_ref()),
        service: own(ResourceKind::Service).or_else(|| tied(resource.tied.service)),
        cluster: own(ResourceKind::Cluster).or_else(|| tied(resource.tied.cluster)),
        running: None,
        target: target.as_ref(),
        scope: &scope,
    })
}

/// Asks every policy about every resource of the files that it is about.
pub(in crate::cli) fn judge<'a>(
    set: &PolicySet,
    files: &'a [InputFile],
    assumed: &Assumed,
    now: Timestamp,
) -> Vec<Judged<'a>> {
    let mut judged = Vec::new();
    for file in files {
        for resource in &file.resources {
            let mut results =
                with_subject(file, resource, &resource.document, assumed, |subject| evaluate(set, subject, now));
            results.iter_mut().filter_map(|result| result.reason.as_mut()).for_each(say_how_to_assume);
            judged.push(Judged { file, resource, results });
        }
    }
    judged
}

/// What no file says, whoever judges it can say.
fn say_how_to_assume(reason: &mut Reason) {
    let Some(keys) = reason.message.strip_suffix(NOT_KNOWN).and_then(|text| text.rsplit_once("depends on ")) else {
        return;
    };
    let assumed: Vec<String> = keys.1.split(" and ").map(|key| format!("{}=…", key.trim_matches('`'))).collect();
    reason.message = format!("{}: say it with `--assume {}`", reason.message, assumed.join(","));
}

/// Why a policy could not be told.
pub(in crate::cli) fn reason(result: &PolicyResult) -> &str {
    result.reason.as_ref().map_or("it could not be evaluated", |reason| &reason.message)
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
    let report = CheckReport {
        policy_set: PolicySetView::of(policies),
        summary: CheckSummary {
            resources: judged.len(),
            pass: count(judged, Verdict::Pass),
            fail: count(judged, Verdict::Fail),
            waived: count(judged, Verdict::Waived),
            skip: count(judged, Verdict::Skip),
            unknown: count(judged, Verdict::Unknown),
        },
        results: judged.iter().flat_map(|one| one.results.iter().map(move |result| of_result(one, result))).collect(),
        waivers: waivers.to_vec(),
    };
    report.to_json()
}

fn of_result(judged: &Judged<'_>, result: &PolicyResult) -> CheckResult {
    let finding = |finding: &Finding| CheckFinding {
        check: finding.check.clone(),
        path: finding.path.clone(),
        container: finding.container.clone(),
        line: judged.line(&finding.path),
        message: finding.message.clone(),
        fixable: finding.fixable,
        waiver: finding.waiver.clone(),
    };
    CheckResult {
        resource: judged.resource.name.clone(),
        file: judged.file.name.clone(),
        policy: result.policy.to_string(),
        controls: result.controls.to_vec(),
        severity: result.severity,
        verdict: result.verdict,
        reason: result.reason.clone(),
        waiver: result.waiver.clone(),
        enforcement: result.enforcement,
        findings: result.findings.iter().map(finding).collect(),
    }
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
