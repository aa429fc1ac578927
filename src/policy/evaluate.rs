//! The answers: one for each policy on one resource.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::bindings::{Bound, Links, bind, unknown_key};
use super::compile::{
    CLUSTER, CompiledCheck, CompiledFix, CompiledPolicy, On, PARAMS, RESOURCE, ROOTS, RUNNING, SERVICE, TAGS, TARGET,
    What,
};
use super::expression::{Budget, EvalError, EvalErrorKind, Expression, POLICY_STEPS, ReadPath, Roots};
use super::guard::touched;
use super::pointer::{Step, get, is_unresolved, pointer_of, push};
use super::result::{FixId, PlannedEdit, PlannedFix, PolicyResult};
use super::scope::Match;
use super::set::{PolicySet, canonical, sha256};
use super::subject::Subject;
use super::waiver::{Cover, InForce, account, cover, matching};
use crate::model::spec::{Enforcement, ResourceKind};
use crate::model::{DocumentKind, Finding, Reason, ReasonCode, Timestamp, Verdict};

/// What every policy of the set that is about this kind of resource says of it, by name of the policy.
///
/// Total: an error in one check makes that policy `unknown` on this resource and nothing else. Equal arguments give
/// equal answers.
#[must_use]
pub fn evaluate(set: &PolicySet, subject: &Subject<'_>, now: Timestamp) -> Vec<PolicyResult> {
    let around = Around::of(set, subject);
    set.compiled()
        .filter(|(policy, _)| policy.spec.resource == subject.kind)
        .map(|(policy, links)| one(set, policy, links, subject, &around, now))
        .collect()
}

/// What is the same for every policy: what expressions may read that has to be made first, and whose scope matches.
struct Around {
    /// For each of the set's Bindings.
    scopes: Vec<Match>,
    target: Option<Value>,
    tags: Option<Value>,
    /// Why nothing can be said of the containers of a task definition.
    uncontained: Option<&'static str>,
}

impl Around {
    fn of(set: &PolicySet, subject: &Subject<'_>) -> Self {
        let object = |map: &BTreeMap<String, String>| {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect())
        };
        // What nobody reads need not be made.
        let reads = set.reads(subject.kind);
        Self {
            scopes: set.compiled_bindings().iter().map(|binding| binding.scope.matches(subject.scope)).collect(),
            target: subject.target.filter(|_| !reads.target.is_empty()).map(
                |target| json!({"account": target.account, "region": target.region, "labels": object(&target.labels)}),
            ),
            tags: subject.tags.filter(|_| !reads.tags.is_empty()).map(object),
            uncontained: uncontained(subject),
        }
    }
}

/// Why nothing can be said of the containers of a task definition: there are none.
///
/// ECS takes no task definition without a container (RegisterTaskDefinition requires `containerDefinitions`; botocore
/// ecs/2014-11-13). Where none is found it is somewhere else, or misspelled, and going over none would be a pass.
fn uncontained(subject: &Subject<'_>) -> Option<&'static str> {
    if subject.kind != ResourceKind::TaskDefinition || is_unresolved(subject.resource) {
        return None;
    }
    match subject.resource.as_object()?.get(CONTAINERS) {
        None => Some("is not there"),
        Some(Value::Null) => Some("is null"),
        Some(Value::Array(containers)) if containers.is_empty() => Some("is empty"),
        Some(Value::Array(containers)) if containers.iter().any(Value::is_null) => Some("has one that is null"),
        Some(_) => None,
    }
}

fn no_containers(what: &str, how: &str) -> Reason {
    let message = format!("{what}: a task definition has at least one container; `/{CONTAINERS}` {how}");
    Reason::of(ReasonCode::NotEvaluated, message)
}

fn one(
    set: &PolicySet,
    policy: &CompiledPolicy,
    links: &Links,
    subject: &Subject<'_>,
    around: &Around,
    now: Timestamp,
) -> PolicyResult {
    let Bound { enforcement, strategy, bindings, params, conflict, unsure } =
        bind(set.compiled_bindings(), policy, links, (subject.scope, &around.scopes));
    let mut result = PolicyResult {
        policy: Arc::clone(&policy.name),
        title: Arc::clone(&policy.title),
        severity: policy.spec.severity,
        controls: Arc::clone(&policy.controls),
        verdict: Verdict::Skip,
        reason: None,
        waiver: None,
        waivers: Vec::new(),
        findings: Vec::new(),
        enforcement,
        strategy,
        bindings,
        conflict: conflict.clone(),
        fixes: Vec::new(),
    };
    if enforcement == Enforcement::Off && unsure.is_none() {
        return result;
    }
    let waivers = matching(set.compiled_waivers(), &links.waivers, subject.scope, now);
    // Which params hold decides what is asked, so not knowing them is not knowing the answer.
    let params = match (params, unsure) {
        (Some(params), None) => params,
        (_, unsure) => {
            result.verdict = Verdict::Unknown;
            result.reason = unsure.or(conflict);
            result.waivers = account(&waivers, &[], false, now);
            return result;
        }
    };
    let mut fixed = [None; ROOTS];
    for (slot, value) in [
        (RESOURCE, Some(subject.resource)),
        (SERVICE, subject.service),
        (CLUSTER, subject.cluster),
        (PARAMS, Some(params.as_ref())),
        (TARGET, around.target.as_ref()),
        (TAGS, around.tags.as_ref()),
        (RUNNING, subject.running),
    ] {
        if let Some(place) = fixed.get_mut(slot) {
            *place = value;
        }
    }
    let mut pass = Pass {
        policy,
        subject,
        fixed: &fixed,
        params: &params,
        budget: Budget::of(POLICY_STEPS),
        waivers: &waivers,
        covers: vec![0; waivers.len()],
        findings: Vec::new(),
        fixes: Vec::new(),
        unknown: None,
        unfixed: None,
        uncontained: around.uncontained,
    };
    match pass.applies() {
        Ok(true) => {}
        Ok(false) => {
            result.waivers = account(&waivers, &[], true, now);
            return result;
        }
        Err(why) => {
            result.verdict = Verdict::Unknown;
            result.reason = Some(why);
            result.waivers = account(&waivers, &[], false, now);
            return result;
        }
    }
    pass.checks();
    let all_waived = !pass.findings.is_empty() && pass.findings.iter().all(|finding| finding.waiver.is_some());
    (result.verdict, result.reason) = if let Some(why) = pass.unknown.take() {
        (Verdict::Unknown, Some(why))
    } else if pass.findings.is_empty() {
        (Verdict::Pass, None)
    } else if all_waived {
        (Verdict::Waived, None)
    } else {
        (Verdict::Fail, pass.unfixed.take())
    };
    result.waivers = account(&waivers, &pass.covers, result.verdict != Verdict::Unknown, now);
    result.waiver = result.waivers.iter().find(|waiver| waiver.covers > 0).cloned();
    if result.verdict == Verdict::Fail {
        result.fixes = std::mem::take(&mut pass.fixes);
        for fix in &mut result.fixes {
            fix.guarded = touched(subject.kind, subject.resource, fix);
        }
    }
    result.findings = pass.findings;
    result
}

/// The document that edits of this kind of resource are in. Task sets and capacity providers have no edits.
pub(super) const fn document_kind(kind: ResourceKind) -> DocumentKind {
    match kind {
        ResourceKind::TaskDefinition => DocumentKind::TaskDefinition,
        ResourceKind::Service | ResourceKind::TaskSet => DocumentKind::Service,
        ResourceKind::Cluster | ResourceKind::CapacityProvider => DocumentKind::Cluster,
    }
}

/// The member whose elements are a task definition's containers.
const CONTAINERS: &str = "containerDefinitions";

fn reads_containers(expression: &Expression) -> bool {
    let of_containers =
        |(slot, path): &ReadPath| *slot == RESOURCE && path.first().is_some_and(|name| name == CONTAINERS);
    expression.read_paths().iter().any(of_containers)
}

fn goes_over_containers(check: &CompiledCheck) -> bool {
    let each = check.each.as_ref().and_then(|each| each.tokens().first());
    each.is_some_and(|name| name == CONTAINERS)
        || check.when.as_ref().is_some_and(reads_containers)
        || reads_containers(&check.require)
}

/// What a finding takes, in steps: its texts take as long to make as some twenty nodes to look at.
const FINDING: u64 = 20;

/// One policy going over one resource.
struct Pass<'a> {
    policy: &'a CompiledPolicy,
    subject: &'a Subject<'a>,
    fixed: &'a [Option<&'a Value>; ROOTS],
    params: &'a Value,
    budget: Budget,
    waivers: &'a [InForce<'a>],
    covers: Vec<usize>,
    findings: Vec<Finding>,
    fixes: Vec<PlannedFix>,
    unknown: Option<Reason>,
    unfixed: Option<Reason>,
    uncontained: Option<&'static str>,
}

impl<'a> Pass<'a> {
    fn roots<'b>(&self, bound: &'b [&'b Value]) -> Roots<'b>
    where
        'a: 'b,
    {
        Roots { fixed: self.fixed, bound }
    }

    fn applies(&self) -> Result<bool, Reason> {
        match &self.policy.when {
            None => Ok(true),
            Some(when) => match self.uncontained {
                Some(how) if reads_containers(when) => Err(no_containers("`when`", how)),
                _ => when.holds(self.roots(&[]), &self.budget).map_err(|why| reason("`when`", "", &why)),
            },
        }
    }

    fn checks(&mut self) {
        for check in &self.policy.checks {
            if let Some(how) = self.uncontained.filter(|_| goes_over_containers(check)) {
                self.unknown.get_or_insert_with(|| no_containers(&format!("check `{}`", check.name), how));
                continue;
            }
            match &check.each {
                None => self.element(check, &[], &[]),
                Some(each) => {
                    let resource = self.subject.resource;
                    let visited = each.visit(resource, &mut |trail, bound| self.element(check, trail, bound));
                    if let Err(wrong) = visited {
                        let (code, what) = if wrong.unresolved {
                            (ReasonCode::NotObserved, "has a value that cannot be known here")
                        } else {
                            (ReasonCode::NotEvaluated, "has the wrong type")
                        };
                        let message = format!("check `{}`: `{}` {what}", check.name, wrong.path);
                        self.unknown.get_or_insert(Reason::of(code, message));
                    }
                }
            }
        }
    }

    fn element(&mut self, check: &'a CompiledCheck, trail: &[Step<'_>], bound: &[&Value]) {
        // Nothing is left, and it was said: a document of a million containers is not gone through to the end.
        if self.budget.left() == 0 && self.unknown.is_some() {
            return;
        }
        let holds = match &check.when {
            Some(when) => when.holds(self.roots(bound), &self.budget).map_err(|why| ("when", why)),
            None => Ok(true),
        }
        .and_then(|wanted| {
            if wanted {
                check.require.holds(self.roots(bound), &self.budget).map_err(|why| ("require", why))
            } else {
                Ok(true)
            }
        });
        match holds {
            Ok(true) => {}
            Ok(false) => self.fail(check, trail, bound),
            Err((part, why)) => {
                let what = || format!("check `{}`, `{part}`", check.name);
                self.unknown.get_or_insert_with(|| reason(&what(), &pointer_of(trail), &why));
            }
        }
    }

    /// Takes steps for what a failure leaves behind.
    fn pay(&mut self, check: &CompiledCheck, steps: u64) -> bool {
        let paid = self.budget.take(steps);
        if !paid {
            let message = format!("check `{}`: there is too much in this document that fails", check.name);
            self.unknown.get_or_insert(Reason::of(ReasonCode::NotEvaluated, message));
        }
        paid
    }

    fn fail(&mut self, check: &'a CompiledCheck, trail: &[Step<'_>], bound: &[&Value]) {
        if !self.pay(check, FINDING) {
            return;
        }
        let element = pointer_of(trail);
        let fix = self.choose(check, bound);
        let edits = match &fix {
            Ok(Some(fix)) => Some(self.edits(check, fix, trail, bound)),
            Ok(None) => None,
            Err(why) => Some(Err(why.clone())),
        };
        let path = self.path_of(check, &element, trail, fix.as_ref().ok().copied().flatten());
        let container = self.container(&path);
        let mut waiver = None;
        for (index, found) in self.waivers.iter().enumerate() {
            match cover(found, &check.name, container.as_deref()) {
                Cover::No => {}
                Cover::Yes => {
                    if let Some(covers) = self.covers.get_mut(index) {
                        *covers += 1;
                    }
                    waiver.get_or_insert_with(|| found.waiver.name.clone());
                }
                Cover::Unknown => {
                    let (waiver, keys) = (found.waiver, self.subject.scope);
                    self.unknown.get_or_insert_with(|| {
                        unknown_key(&format!("whether waiver `{}` covers this", waiver.name), &waiver.scope, keys)
                    });
                }
            }
        }
        let fixable = matches!(edits, Some(Ok(_)));
        if waiver.is_none() {
            match edits {
                Some(Ok(edits)) => self.plan(check, edits),
                Some(Err(why)) => {
                    self.unfixed.get_or_insert(why);
                }
                None => {}
            }
        }
        let message = check.message.say(self.roots(bound), &self.budget);
        self.findings.push(Finding {
            check: check.name.clone(),
            path,
            container,
            line: None,
            message,
            fixable,
            waiver,
        });
    }

    /// The first fix that applies here.
    fn choose(&self, check: &'a CompiledCheck, bound: &[&Value]) -> Result<Option<&'a CompiledFix>, Reason> {
        for fix in &check.fixes {
            let Some(when) = &fix.when else { return Ok(Some(fix)) };
            match when.holds(self.roots(bound), &self.budget) {
                Ok(true) => return Ok(Some(fix)),
                Ok(false) => {}
                Err(why) => {
                    let what = format!("whether the fix of check `{}` applies cannot be told", check.name);
                    return Err(Reason::of(ReasonCode::NotFixable, format!("{what}: {why}")));
                }
            }
        }
        Ok(None)
    }

    fn edits(
        &self,
        check: &CompiledCheck,
        fix: &CompiledFix,
        trail: &[Step<'_>],
        bound: &[&Value],
    ) -> Result<Vec<PlannedEdit>, Reason> {
        let fill = |value: &super::template::ValueTemplate| {
            value.fill(self.roots(bound), &self.budget).map_err(|why| {
                let why = why.map_or_else(|| "it gives nothing".to_owned(), |why| why.to_string());
                let message = format!("a value in the fix of check `{}` cannot be told: {why}", check.name);
                Reason::of(ReasonCode::NotFixable, message)
            })
        };
        let mut edits = Vec::with_capacity(fix.edits.len());
        for edit in &fix.edits {
            let path = absolute(check, edit.on, &edit.path, trail);
            match &edit.what {
                What::Set(value) => edits.push(PlannedEdit::Set { path, value: fill(value)? }),
                What::Remove => edits.push(PlannedEdit::Remove { path }),
                What::Append { key, each, value } => {
                    let values = match (each, fill(value)?) {
                        (true, Value::Array(values)) => values,
                        (true, _) => {
                            let message = format!("`each` in the fix of check `{}` is given no list", check.name);
                            return Err(Reason::of(ReasonCode::NotFixable, message));
                        }
                        (false, value) => vec![value],
                    };
                    let append = |value| PlannedEdit::Append { path: path.clone(), key: key.clone(), value };
                    edits.extend(values.into_iter().map(append));
                }
            }
        }
        Ok(edits)
    }

    fn plan(&mut self, check: &CompiledCheck, mut edits: Vec<PlannedEdit>) {
        let made = self.fixes.iter().find(|planned| planned.check == check.name).map_or(0, |fix| fix.edits.len());
        // Each is compared with all that were made before; what cannot be paid for makes the verdict unknown, unfixed.
        if !self.pay(check, made as u64 / 8) {
            return;
        }
        if let Some(planned) = self.fixes.iter_mut().find(|planned| planned.check == check.name) {
            edits.retain(|edit| !planned.edits.contains(edit));
            planned.edits.append(&mut edits);
            return;
        }
        self.fixes.push(PlannedFix {
            policy: self.policy.name.to_string(),
            check: check.name.clone(),
            id: fix_id(check, self.params),
            edits,
            guarded: Vec::new(),
        });
    }

    /// Where a finding points: the check's `at`, else the first edit of the fix that applies (or else of the first
    /// fix), else the element.
    fn path_of(&self, check: &CompiledCheck, element: &str, trail: &[Step<'_>], fix: Option<&CompiledFix>) -> String {
        if let Some(at) = &check.at {
            return extend(element, at);
        }
        match fix.or(check.fixes.first()).and_then(|fix| fix.edits.first()) {
            Some(edit) => absolute(check, edit.on, &edit.path, trail),
            None => element.to_owned(),
        }
    }

    /// The name of the container that a pointer is in.
    fn container(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix("/containerDefinitions/")?;
        let index = rest.split('/').next()?;
        let name = get(self.subject.resource, &["containerDefinitions", index, "name"])?;
        name.as_str().map(str::to_owned)
    }
}

fn absolute(check: &CompiledCheck, on: On, path: &[String], trail: &[Step<'_>]) -> String {
    let steps = match (on, &check.each) {
        (On::Star(star), Some(each)) => each.steps_to(star),
        _ => 0,
    };
    extend(&pointer_of(trail.get(..steps).unwrap_or(trail)), path)
}

fn extend(base: &str, path: &[String]) -> String {
    let mut pointer = base.to_owned();
    for token in path {
        push(&mut pointer, token);
    }
    pointer
}

fn reason(what: &str, element: &str, why: &EvalError) -> Reason {
    let code = match why.kind {
        EvalErrorKind::NotObserved => ReasonCode::NotObserved,
        EvalErrorKind::Missing | EvalErrorKind::Type | EvalErrorKind::Budget => ReasonCode::NotEvaluated,
    };
    let at = if element.is_empty() { String::new() } else { format!(" at `{element}`") };
    Reason::of(code, format!("{what}{at}: {} (column {})", why.message, why.column))
}

fn fix_id(check: &CompiledCheck, params: &Value) -> FixId {
    let (before, after) = &check.identity;
    FixId(sha256(format!("{before}{}{after}", canonical(params)).as_bytes()))
}
