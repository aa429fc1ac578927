//! How far to go with a policy on a resource, with which params and strategy.

use std::sync::Arc;

use serde_json::Value;

use super::compile::CompiledPolicy;
use super::scope::{Match, ScopeMatcher};
use super::set::{CompiledBinding, CompiledWaiver};
use super::subject::ScopeKeys;
use crate::model::spec::Enforcement;
use crate::model::{Reason, ReasonCode};

/// How the sentence ends that says which keys of a scope are missing: who judges files can say them.
pub const NOT_KNOWN: &str = ", which is not known here";

/// What the Bindings say.
pub(super) struct Bound {
    /// The strictest; `audit` without a Binding.
    pub(super) enforcement: Enforcement,
    pub(super) strategy: Option<String>,
    pub(super) bindings: Arc<[String]>,
    /// The params in effect; `None` where Bindings contradict each other in them.
    pub(super) params: Option<Arc<Value>>,
    pub(super) conflict: Option<Reason>,
    /// Set where what is asked depends on a scope key that is not known.
    pub(super) unsure: Option<Reason>,
}

/// The Bindings and Waivers that name a policy, found once and not for every document.
#[derive(Debug)]
pub(super) struct Links {
    /// Places among the set's Bindings, each with the policy's params where this one alone is in effect.
    bindings: Vec<(usize, Arc<Value>)>,
    /// Places among the set's Waivers.
    pub(super) waivers: Vec<usize>,
}

impl Links {
    pub(super) fn of(policy: &CompiledPolicy, bindings: &[CompiledBinding], waivers: &[CompiledWaiver]) -> Self {
        let bindings = bindings.iter().enumerate().filter(|(_, binding)| binding.names(policy));
        let waivers = waivers.iter().enumerate().filter(|(_, waiver)| waiver.policies.matches(&policy.name));
        Self {
            bindings: bindings.map(|(at, binding)| (at, params_with(policy, binding))).collect(),
            waivers: waivers.map(|(at, _)| at).collect(),
        }
    }
}

/// The params of a policy that one Binding sets; those that the policy does not have are another's.
fn own<'a>(policy: &'a CompiledPolicy, binding: &'a CompiledBinding) -> impl Iterator<Item = (&'a String, &'a Value)> {
    binding.spec.params.iter().filter(|(name, _)| policy.defaults.contains_key(*name))
}

fn params_with(policy: &CompiledPolicy, binding: &CompiledBinding) -> Arc<Value> {
    if binding.spec.enforcement == Enforcement::Off || own(policy, binding).next().is_none() {
        return Arc::clone(&policy.params);
    }
    let mut params = policy.defaults.clone();
    params.extend(own(policy, binding).map(|(name, value)| (name.clone(), value.clone())));
    Arc::new(Value::Object(params))
}

/// Matches all Bindings: `scopes` says of each of the set's whether its scope matches.
///
/// A Binding that is `off` says nothing where a stricter one matches: neither its params nor its strategy count. A
/// Binding that names no strategy agrees with one that does. Only those that lead to a rollout (`propose`, `enforce`)
/// can contradict each other in strategy.
pub(super) fn bind(
    all: &[CompiledBinding],
    policy: &CompiledPolicy,
    links: &Links,
    (keys, scopes): (&ScopeKeys, &[Match]),
) -> Bound {
    let mut matched: Vec<(&CompiledBinding, &Arc<Value>)> = Vec::new();
    let mut maybe: Vec<&CompiledBinding> = Vec::new();
    for (at, params) in &links.bindings {
        match (all.get(*at), scopes.get(*at)) {
            (Some(binding), Some(Match::Yes)) => matched.push((binding, params)),
            (Some(binding), Some(Match::Unknown)) => maybe.push(binding),
            (_, Some(Match::No) | None) | (None, _) => {}
        }
    }
    let enforcement = matched.iter().map(|(binding, _)| binding.spec.enforcement).max().unwrap_or(Enforcement::Audit);
    let (params, mut conflict) = params_of(policy, &matched);
    let params_agree = conflict.is_none();
    let mut named: Option<(&CompiledBinding, &str)> = None;
    for (binding, _) in matched.iter().filter(|(binding, _)| binding.spec.enforcement >= Enforcement::Propose) {
        let Some(strategy) = binding.spec.strategy.as_deref() else { continue };
        match named {
            Some((other, first)) if first != strategy => {
                let message = format!(
                    "bindings `{}` and `{}` give policy `{}` the strategies `{first}` and `{strategy}`",
                    other.name, binding.name, policy.name
                );
                conflict = conflict.or(Some(Reason::of(ReasonCode::BindingConflict, message)));
            }
            Some(_) => {}
            None => named = Some((binding, strategy)),
        }
    }
    let unsure = maybe
        .iter()
        .find(|binding| matters(binding, policy, matched.is_empty(), &params))
        .map(|binding| unknown_key(&format!("whether binding `{}` applies", binding.name), &binding.scope, keys));
    Bound {
        enforcement,
        strategy: named.map(|(_, strategy)| strategy.to_owned()),
        bindings: match matched.as_slice() {
            [] => Arc::default(),
            [(one, _)] => Arc::clone(&one.alone),
            several => several.iter().map(|(binding, _)| binding.name.clone()).collect(),
        },
        params: params_agree.then_some(params),
        conflict,
        unsure,
    }
}

/// Nothing can be said where a scope depends on what is not known: which keys those are.
pub(super) fn unknown_key(what: &str, scope: &ScopeMatcher, keys: &ScopeKeys) -> Reason {
    let unknown: Vec<String> = scope.unknown(keys).iter().map(|key| format!("`{key}`")).collect();
    let message = format!("{what} depends on {}{NOT_KNOWN}", unknown.join(" and "));
    Reason::of(ReasonCode::NotObserved, message)
}

/// The params in effect, and the first contradiction among the Bindings that set them.
fn params_of(policy: &CompiledPolicy, matched: &[(&CompiledBinding, &Arc<Value>)]) -> (Arc<Value>, Option<Reason>) {
    let mut setting = matched
        .iter()
        .filter(|(binding, _)| binding.spec.enforcement != Enforcement::Off && own(policy, binding).next().is_some());
    let Some((first, alone)) = setting.next() else { return (Arc::clone(&policy.params), None) };
    let mut others = setting.peekable();
    if others.peek().is_none() {
        return (Arc::clone(alone), None);
    }
    let mut params = policy.defaults.clone();
    let mut setters: Vec<(&str, &CompiledBinding)> = Vec::new();
    let mut conflict = None;
    for binding in std::iter::once(first).chain(others.map(|(binding, _)| binding)) {
        for (name, value) in own(policy, binding) {
            match setters.iter().find(|(set, _)| set == name) {
                Some((_, other)) if params.get(name) != Some(value) => {
                    let message = format!(
                        "bindings `{}` and `{}` give param `{name}` of policy `{}` different values",
                        other.name, binding.name, policy.name
                    );
                    conflict = conflict.or(Some(Reason::of(ReasonCode::BindingConflict, message)));
                }
                Some(_) => {}
                None => {
                    setters.push((name, binding));
                    params.insert(name.clone(), value.clone());
                }
            }
        }
    }
    (Arc::new(Value::Object(params)), conflict)
}

/// Whether the verdict could change with a Binding that matches maybe: it may set other params, or turn off a policy
/// that nothing else turns on. How far to go does not change what is found.
fn matters(binding: &CompiledBinding, policy: &CompiledPolicy, alone: bool, params: &Value) -> bool {
    if binding.spec.enforcement == Enforcement::Off {
        return alone;
    }
    own(policy, binding).any(|(name, value)| params.get(name) != Some(value))
}
