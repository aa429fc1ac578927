//! How far to go with a policy on a resource, with which params and strategy.

use serde_json::{Map, Value};

use super::compile::CompiledPolicy;
use super::scope::Match;
use super::set::{CompiledBinding, PolicySet};
use super::subject::ScopeKeys;
use crate::model::spec::Enforcement;
use crate::model::{Reason, ReasonCode};

/// What the Bindings say.
pub(super) struct Bound {
    /// The strictest; `audit` without a Binding.
    pub(super) enforcement: Enforcement,
    pub(super) strategy: Option<String>,
    pub(super) bindings: Vec<String>,
    /// The params in effect; `None` where Bindings contradict each other in them.
    pub(super) params: Option<Map<String, Value>>,
    pub(super) conflict: Option<Reason>,
    /// Set where what is asked depends on a scope key that is not known.
    pub(super) unsure: Option<Reason>,
}

/// Matches all Bindings.
///
/// A Binding that is `off` says nothing where a stricter one matches: neither its params nor its strategy count. A
/// Binding that names no strategy agrees with one that does. Only those that lead to a rollout (`propose`, `enforce`)
/// can contradict each other in strategy.
pub(super) fn bind(set: &PolicySet, policy: &CompiledPolicy, keys: &ScopeKeys) -> Bound {
    let mut matched: Vec<&CompiledBinding> = Vec::new();
    let mut maybe: Vec<&CompiledBinding> = Vec::new();
    for binding in set.compiled_bindings().iter().filter(|binding| binding.names(policy)) {
        match binding.scope.matches(keys) {
            Match::Yes => matched.push(binding),
            Match::Unknown => maybe.push(binding),
            Match::No => {}
        }
    }
    let enforcement = matched.iter().map(|binding| binding.spec.enforcement).max().unwrap_or(Enforcement::Audit);
    let on = |binding: &&&CompiledBinding| binding.spec.enforcement != Enforcement::Off;
    let mut params = policy.defaults.clone();
    let mut setters: Vec<(&str, &CompiledBinding)> = Vec::new();
    let mut conflict = None;
    for binding in matched.iter().filter(on) {
        for (name, value) in binding.spec.params.iter().filter(|(name, _)| policy.defaults.contains_key(*name)) {
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
    let params_agree = conflict.is_none();
    let mut named: Option<(&CompiledBinding, &str)> = None;
    for binding in matched.iter().filter(|binding| binding.spec.enforcement >= Enforcement::Propose) {
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
    let unsure = maybe.iter().find(|binding| matters(binding, policy, matched.is_empty(), &params)).map(|binding| {
        let message = format!("whether binding `{}` applies depends on a key that is not known", binding.name);
        Reason::of(ReasonCode::NotObserved, message)
    });
    Bound {
        enforcement,
        strategy: named.map(|(_, strategy)| strategy.to_owned()),
        bindings: matched.iter().map(|binding| binding.name.clone()).collect(),
        params: params_agree.then_some(params),
        conflict,
        unsure,
    }
}

/// Whether the verdict could change with a Binding that matches maybe: it may set other params, or turn off a policy
/// that nothing else turns on. How far to go does not change what is found.
fn matters(binding: &CompiledBinding, policy: &CompiledPolicy, alone: bool, params: &Map<String, Value>) -> bool {
    if binding.spec.enforcement == Enforcement::Off {
        return alone;
    }
    binding
        .spec
        .params
        .iter()
        .any(|(name, value)| policy.defaults.contains_key(name) && params.get(name) != Some(value))
}
