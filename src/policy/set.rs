//! All policies, Bindings, Waivers and strategies in force, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::bindings::Links;
use super::compile::{CompiledPolicy, RUNNING, below, compile, fits};
use super::reads::Reads;
use super::scope::{GlobError, Globs, ScopeMatcher};
use super::structures::unknown_members;
use crate::model::hex;
use crate::model::spec::{
    BindingSpec, Enforcement, ImagePolicy, Kind, Metadata, Object, PolicySpec, ResourceKind, Scope, Spec, StrategySpec,
    WaiverSpec,
};

/// Something wrong in an object, at a place that a file's line can be found for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{name}`: {message}")]
pub struct PolicyError {
    /// The object's kind.
    pub kind: Kind,
    /// The object's name.
    pub name: String,
    /// JSON Pointer into its spec, such as `/checks/0/require`.
    pub pointer: String,
    /// In characters from 1, where the value there is an expression or message.
    pub column: Option<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do instead, if that can be told.
    pub help: Option<String>,
}

impl PolicyError {
    pub(super) fn of(kind: Kind, name: &str, pointer: &str, message: impl Into<String>) -> Self {
        let (name, pointer) = (name.to_owned(), pointer.to_owned());
        Self { kind, name, pointer, column: None, message: message.into(), help: None }
    }
}

/// Everything in force, compiled. Cheap to clone, and to share between threads.
#[derive(Debug, Clone)]
pub struct PolicySet(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    policies: Vec<CompiledPolicy>,
    /// Which Bindings and Waivers name each policy, in the order of `policies`.
    links: Vec<Links>,
    /// In the order of [`ResourceKind`].
    reads: [Reads; 5],
    /// Keys of the tags that any scope asks for.
    scope_tags: BTreeSet<String>,
    bindings: Vec<CompiledBinding>,
    waivers: Vec<CompiledWaiver>,
    strategies: BTreeMap<String, StrategySpec>,
    hash: String,
    warnings: Vec<PolicyError>,
}

#[derive(Debug)]
pub(super) struct CompiledBinding {
    pub(super) name: String,
    /// The list of its name alone, which most answers carry.
    pub(super) alone: Arc<[String]>,
    pub(super) spec: BindingSpec,
    pub(super) scope: ScopeMatcher,
    policies: Globs,
}

impl CompiledBinding {
    /// Whether it names the policy, by name or by labels.
    pub(super) fn names(&self, policy: &CompiledPolicy) -> bool {
        let labels = &self.spec.labels;
        let labelled = !labels.is_empty() && labels.iter().all(|(key, value)| policy.labels.get(key) == Some(value));
        labelled || self.policies.matches(&policy.name)
    }
}

#[derive(Debug)]
pub(super) struct CompiledWaiver {
    pub(super) name: String,
    pub(super) spec: WaiverSpec,
    pub(super) scope: ScopeMatcher,
    pub(super) policies: Globs,
    pub(super) containers: Globs,
}

impl PolicySet {
    /// Reads all objects; those of other kinds are passed over.
    ///
    /// # Errors
    /// Everything that is wrong, at once: expressions, pointers, params, names, and Bindings that name what is not
    /// there.
    pub fn compile(objects: &[Object]) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        let mut policies = Vec::new();
        let mut strategies = BTreeMap::new();
        for object in objects {
            match &object.spec {
                Spec::Policy(spec) => match compile(&object.metadata, spec) {
                    Ok(policy) => policies.push(policy),
                    Err(mut wrong) => errors.append(&mut wrong),
                },
                Spec::RolloutStrategy(spec) => {
                    strategies.insert(object.metadata.name.clone(), spec.clone());
                }
                Spec::Binding(_) | Spec::Waiver(_) | Spec::Target(_) | Spec::Freeze(_) => {}
            }
        }
        policies.sort_by(|left, right| left.name.cmp(&right.name));
        for pair in policies.windows(2) {
            if let [first, second] = pair
                && first.name == second.name
            {
                errors.push(PolicyError::of(Kind::Policy, &first.name, "", "there are two policies of this name"));
            }
        }
        // Which policies a Binding matches can only be told where all were read.
        let complete = errors.is_empty();
        let mut bindings = Vec::new();
        let mut waivers = Vec::new();
        let mut warnings: Vec<PolicyError> = policies.iter().flat_map(unknown_members).collect();
        for object in objects {
            match &object.spec {
                Spec::Binding(spec) => match binding(&object.metadata, spec) {
                    Ok(binding) => {
                        if let Some(strategy) = spec.strategy.as_ref().filter(|name| !strategies.contains_key(*name)) {
                            errors.push(unknown_strategy(&binding.name, strategy, &strategies));
                        }
                        if complete {
                            check_binding(&binding, &policies, &mut errors, &mut warnings);
                        }
                        bindings.push(binding);
                    }
                    Err(why) => errors.push(glob_error(Kind::Binding, &object.metadata.name, why)),
                },
                Spec::Waiver(spec) => match waiver(&object.metadata, spec) {
                    Ok(waiver) => {
                        if complete {
                            check_waiver(&waiver, &policies, &mut errors, &mut warnings);
                        }
                        waivers.push(waiver);
                    }
                    Err(why) => errors.push(glob_error(Kind::Waiver, &object.metadata.name, why)),
                },
                Spec::Policy(_) | Spec::RolloutStrategy(_) | Spec::Target(_) | Spec::Freeze(_) => {}
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        bindings.sort_by(|left, right| left.name.cmp(&right.name));
        waivers.sort_by(|left, right| left.name.cmp(&right.name));
        let links = policies.iter().map(|policy| Links::of(policy, &bindings, &waivers)).collect();
        let reads = [
            ResourceKind::TaskDefinition,
            ResourceKind::Service,
            ResourceKind::Cluster,
            ResourceKind::TaskSet,
            ResourceKind::CapacityProvider,
        ]
        .map(|kind| Reads::of(&policies, kind));
        let scopes = bindings.iter().map(|binding| &binding.scope).chain(waivers.iter().map(|waiver| &waiver.scope));
        let scope_tags = scopes.flat_map(ScopeMatcher::tag_keys).cloned().collect();
        Ok(Self(Arc::new(Compiled {
            policies,
            links,
            reads,
            scope_tags,
            bindings,
            waivers,
            strategies,
            hash: hash(objects),
            warnings,
        })))
    }

    /// How many policies.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.policies.len()
    }

    /// Whether there is no policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.policies.is_empty()
    }

    /// `sha256:…` of the content: equal for equal policies, Bindings, Waivers and strategies in whatever order.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.0.hash
    }

    /// What is no error and yet hardly meant, such as a Binding that matches no policy, or a member that ECS does not
    /// have.
    #[must_use]
    pub fn warnings(&self) -> &[PolicyError] {
        &self.0.warnings
    }

    /// Names and specs of the policies, by name.
    pub fn policies(&self) -> impl Iterator<Item = (&str, &PolicySpec)> {
        self.0.policies.iter().map(|policy| (policy.name.as_ref(), &policy.spec))
    }

    /// Names and specs of the Bindings, by name.
    pub fn bindings(&self) -> impl Iterator<Item = (&str, &BindingSpec)> {
        self.0.bindings.iter().map(|binding| (binding.name.as_str(), &binding.spec))
    }

    /// Names and specs of the Waivers, by name.
    pub fn waivers(&self) -> impl Iterator<Item = (&str, &WaiverSpec)> {
        self.0.waivers.iter().map(|waiver| (waiver.name.as_str(), &waiver.spec))
    }

    /// A strategy by name.
    #[must_use]
    pub fn strategy(&self, name: &str) -> Option<&StrategySpec> {
        self.0.strategies.get(name)
    }

    /// Whether a policy in force is about resources of this kind: else nobody has to look for them.
    #[must_use]
    pub fn asks_about(&self, kind: ResourceKind) -> bool {
        self.in_force().any(|policy| policy.spec.resource == kind)
    }

    /// Whether a policy in force reads `running`, the images that a service runs.
    #[must_use]
    pub fn reads_running(&self) -> bool {
        self.in_force().any(|policy| policy.reads(RUNNING))
    }

    /// Whether a Binding rolls out by a strategy that pins the images that a service runs.
    #[must_use]
    pub fn pins_images(&self) -> bool {
        let rolls_out = self.0.bindings.iter().filter(|binding| binding.spec.enforcement >= Enforcement::Propose);
        let mut strategies = rolls_out.filter_map(|binding| self.strategy(binding.spec.strategy.as_deref()?));
        strategies.any(|strategy| strategy.images == ImagePolicy::Pin)
    }

    /// Whether a Binding goes further than to report.
    #[must_use]
    pub fn rolls_out(&self) -> bool {
        self.0.bindings.iter().any(|binding| binding.spec.enforcement >= Enforcement::Propose)
    }

    /// Whether a policy reads the `events` of a service, or all of it.
    #[must_use]
    pub fn reads_events(&self) -> bool {
        let reads = |path: &Vec<String>| path.first().is_none_or(|member| member == "events");
        self.reads(ResourceKind::Service).resource.iter().any(reads)
            || self.0.reads.iter().any(|of_kind| of_kind.service.iter().any(reads))
    }

    /// The policies that are not switched off everywhere.
    fn in_force(&self) -> impl Iterator<Item = &CompiledPolicy> {
        self.0.policies.iter().filter(|policy| {
            let named = || self.0.bindings.iter().filter(|binding| binding.names(policy));
            let on = named().any(|binding| binding.spec.enforcement != Enforcement::Off);
            let off = |binding: &CompiledBinding| {
                binding.spec.enforcement == Enforcement::Off && binding.spec.scope == Scope::default()
            };
            on || !named().any(off)
        })
    }

    pub(super) fn compiled(&self) -> impl Iterator<Item = (&CompiledPolicy, &Links)> {
        self.0.policies.iter().zip(&self.0.links)
    }

    /// What the policies about a kind of resource look at.
    pub(super) fn reads(&self, kind: ResourceKind) -> &Reads {
        let [task_definition, service, cluster, task_set, capacity_provider] = &self.0.reads;
        match kind {
            ResourceKind::TaskDefinition => task_definition,
            ResourceKind::Service => service,
            ResourceKind::Cluster => cluster,
            ResourceKind::TaskSet => task_set,
            ResourceKind::CapacityProvider => capacity_provider,
        }
    }

    /// Keys of the tags that any scope asks for.
    pub(super) fn scope_tags(&self) -> &BTreeSet<String> {
        &self.0.scope_tags
    }

    pub(super) fn compiled_bindings(&self) -> &[CompiledBinding] {
        &self.0.bindings
    }

    pub(super) fn compiled_waivers(&self) -> &[CompiledWaiver] {
        &self.0.waivers
    }
}

fn glob_error(kind: Kind, name: &str, why: GlobError) -> PolicyError {
    PolicyError::of(kind, name, &why.pointer, why.to_string())
}

fn scope(spec: &crate::model::spec::Scope) -> Result<ScopeMatcher, GlobError> {
    ScopeMatcher::of(spec).map_err(|why| why.below("/scope"))
}

fn binding(metadata: &Metadata, spec: &BindingSpec) -> Result<CompiledBinding, GlobError> {
    Ok(CompiledBinding {
        name: metadata.name.clone(),
        alone: [metadata.name.clone()].into(),
        spec: spec.clone(),
        scope: scope(&spec.scope)?,
        policies: Globs::of(&spec.policies, "/policies")?,
    })
}

fn waiver(metadata: &Metadata, spec: &WaiverSpec) -> Result<CompiledWaiver, GlobError> {
    Ok(CompiledWaiver {
        name: metadata.name.clone(),
        spec: spec.clone(),
        scope: scope(&spec.scope)?,
        policies: Globs::of(&spec.policies, "/policies")?,
        containers: Globs::of(&spec.containers, "/containers")?,
    })
}

fn unknown_strategy(name: &str, strategy: &str, known: &BTreeMap<String, StrategySpec>) -> PolicyError {
    let message = format!("there is no RolloutStrategy `{strategy}`");
    let error = PolicyError::of(Kind::Binding, name, "/strategy", message);
    let known: Vec<&str> = known.keys().map(String::as_str).collect();
    if known.is_empty() {
        return error;
    }
    PolicyError { help: Some(format!("there are `{}`", known.join("`, `"))), ..error }
}

fn check_binding(
    binding: &CompiledBinding,
    policies: &[CompiledPolicy],
    errors: &mut Vec<PolicyError>,
    warnings: &mut Vec<PolicyError>,
) {
    let matched: Vec<&CompiledPolicy> = policies.iter().filter(|policy| binding.names(policy)).collect();
    if matched.is_empty() && binding.spec.policies.iter().all(|name| name.contains(['*', '?', '[', '{'])) {
        let message = "this Binding matches no policy";
        warnings.push(PolicyError::of(Kind::Binding, &binding.name, "/policies", message));
    }
    for (index, name) in binding.spec.policies.iter().enumerate() {
        let literal = !name.contains(['*', '?', '[', '{']);
        if literal && !policies.iter().any(|policy| *policy.name == **name) {
            let message = format!("there is no policy `{name}`");
            let error =
                PolicyError::of(Kind::Binding, &binding.name, &below("/policies", &[&index.to_string()]), &message);
            let near = policies
                .iter()
                .find(|policy| policy.name.starts_with(name.as_str()) || name.starts_with(&*policy.name));
            let help = near.map(|policy| format!("did you mean `{}`?", policy.name));
            warnings.push(PolicyError {
                help: help.or_else(|| Some("`plimsoll get policies` lists them".to_owned())),
                ..error
            });
        }
    }
    for (name, value) in &binding.spec.params {
        let pointer = below("/params", &[name]);
        let mut declared = false;
        for policy in &matched {
            let Some(param) = policy.spec.params.get(name) else { continue };
            declared = true;
            if let Err(why) = fits(param, value) {
                let message = format!("{why}, says policy `{}`", policy.name);
                errors.push(PolicyError::of(Kind::Binding, &binding.name, &pointer, message));
            }
        }
        if !declared && !matched.is_empty() {
            let message = format!("no policy that this Binding matches has a param `{name}`");
            errors.push(PolicyError::of(Kind::Binding, &binding.name, &pointer, message));
        }
    }
    if binding.spec.strategy.is_some() && binding.spec.enforcement < Enforcement::Propose {
        let message = format!("a strategy has no effect with `enforcement: {}`", binding.spec.enforcement.as_str());
        warnings.push(PolicyError::of(Kind::Binding, &binding.name, "/strategy", message));
    }
}

fn check_waiver(
    waiver: &CompiledWaiver,
    policies: &[CompiledPolicy],
    errors: &mut Vec<PolicyError>,
    warnings: &mut Vec<PolicyError>,
) {
    let matched: Vec<&CompiledPolicy> =
        policies.iter().filter(|policy| waiver.policies.matches(&policy.name)).collect();
    if matched.is_empty() {
        let message = "this Waiver matches no policy";
        warnings.push(PolicyError::of(Kind::Waiver, &waiver.name, "/policies", message));
        return;
    }
    for (index, check) in waiver.spec.checks.iter().enumerate() {
        if !matched.iter().any(|policy| policy.checks.iter().any(|found| found.name == *check)) {
            let message = format!("no policy that this Waiver matches has a check `{check}`");
            errors.push(PolicyError::of(Kind::Waiver, &waiver.name, &format!("/checks/{index}"), message));
        }
    }
}

fn hash(objects: &[Object]) -> String {
    let mut lines: Vec<String> = objects
        .iter()
        .filter(|object| !matches!(object.kind(), Kind::Target | Kind::Freeze))
        .filter_map(|object| {
            let spec = serde_json::to_value(&object.spec).ok()?;
            let labels = serde_json::to_value(&object.metadata.labels).ok()?;
            let object = [object.kind().as_str().into(), object.metadata.name.clone().into(), labels, spec];
            Some(canonical(&Value::Array(object.into())).to_string())
        })
        .collect();
    lines.sort_unstable();
    sha256(lines.join("\n").as_bytes())
}

/// `sha256:` and 64 hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// The same value with the members of every object in order of their names.
pub(super) fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, Value> =
                members.iter().map(|(name, member)| (name, canonical(member))).collect();
            Value::Object(sorted.into_iter().map(|(name, member)| (name.clone(), member)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}
