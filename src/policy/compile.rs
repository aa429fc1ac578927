//! One Policy, read once: every expression, pointer and param of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::expression::{Expression, ExpressionError, Scope};
use super::pointer::{Each, tokens};
use super::set::{PolicyError, canonical};
use super::template::{Message, ValueTemplate};
use crate::model::spec::{CheckSpec, EditSpec, Kind, Metadata, ParamSpec, ParamType, PolicySpec, ResourceKind};

/// What expressions may name besides bound names; the order is that of `evaluate`'s roots.
pub(super) const RESOURCE: usize = 0;
pub(super) const SERVICE: usize = 1;
pub(super) const CLUSTER: usize = 2;
pub(super) const PARAMS: usize = 3;
pub(super) const TARGET: usize = 4;
pub(super) const TAGS: usize = 5;
pub(super) const RUNNING: usize = 6;
pub(super) const ROOTS: usize = 7;

/// The name of a resource in expressions and in `on`.
pub(super) const fn resource_name(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::TaskDefinition => "taskDefinition",
        ResourceKind::Service => "service",
        ResourceKind::Cluster => "cluster",
        ResourceKind::TaskSet => "taskSet",
        ResourceKind::CapacityProvider => "capacityProvider",
    }
}

/// The variables of a policy in slot order. A slot whose name is the resource's own gets a name nobody can write.
pub(super) fn variables(kind: ResourceKind) -> [&'static str; ROOTS] {
    let resource = resource_name(kind);
    let around = |name: &'static str| if name == resource { "" } else { name };
    // Images run for task definitions only.
    let running = if matches!(kind, ResourceKind::TaskDefinition) { "running" } else { "" };
    [resource, around("service"), around("cluster"), "params", "target", "tags", running]
}

/// A policy, ready to evaluate.
#[derive(Debug)]
pub(super) struct CompiledPolicy {
    /// What every answer carries: shared, not copied. So are its title and controls.
    pub(super) name: Arc<str>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) spec: PolicySpec,
    pub(super) title: Arc<str>,
    pub(super) controls: Arc<[String]>,
    pub(super) when: Option<Expression>,
    pub(super) defaults: Map<String, Value>,
    /// The defaults as expressions see them where no Binding sets anything.
    pub(super) params: Arc<Value>,
    pub(super) checks: Vec<CompiledCheck>,
}

#[derive(Debug)]
pub(super) struct CompiledCheck {
    pub(super) name: String,
    pub(super) each: Option<Each>,
    pub(super) when: Option<Expression>,
    pub(super) require: Expression,
    pub(super) message: Message,
    pub(super) at: Option<Vec<String>>,
    pub(super) fixes: Vec<CompiledFix>,
    /// The identity of its fix but for the params: the text before them and the text after.
    pub(super) identity: (String, String),
}

#[derive(Debug)]
pub(super) struct CompiledFix {
    pub(super) when: Option<Expression>,
    pub(super) edits: Vec<CompiledEdit>,
}

#[derive(Debug)]
pub(super) struct CompiledEdit {
    pub(super) on: On,
    pub(super) path: Vec<String>,
    pub(super) what: What,
}

/// What an edit's pointer is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    Resource,
    /// What the star with this number binds.
    Star(usize),
}

#[derive(Debug)]
pub(super) enum What {
    Set(ValueTemplate),
    Remove,
    Append { key: Option<String>, each: bool, value: ValueTemplate },
}

impl CompiledPolicy {
    /// Whether a verdict or a fix of it depends on the variable in this slot.
    pub(super) fn reads(&self, slot: usize) -> bool {
        let expression = |expression: &Option<Expression>| expression.as_ref().is_some_and(|one| one.reads(slot));
        let edit = |edit: &CompiledEdit| match &edit.what {
            What::Set(value) | What::Append { value, .. } => value.reads(slot),
            What::Remove => false,
        };
        let fix = |fix: &CompiledFix| expression(&fix.when) || fix.edits.iter().any(edit);
        let check =
            |check: &CompiledCheck| expression(&check.when) || check.require.reads(slot) || check.fixes.iter().any(fix);
        expression(&self.when) || self.checks.iter().any(check)
    }
}

/// Reads a policy; on failure everything that is wrong with it.
pub(super) fn compile(metadata: &Metadata, spec: &PolicySpec) -> Result<CompiledPolicy, Vec<PolicyError>> {
    let mut reader = Reader { name: &metadata.name, kind: spec.resource, errors: Vec::new() };
    let params: Vec<&String> = spec.params.keys().collect();
    let scope = Scope::of(variables(spec.resource)).with_params(params);
    let when = reader.condition(spec.when.as_deref(), &scope, "/when");
    for (name, param) in &spec.params {
        if let Err(why) = fits(param, &param.default) {
            reader.error(&below("/params", &[name, "default"]), why);
        }
    }
    if spec.checks.is_empty() {
        reader.error("/checks", "a policy needs at least one check");
    }
    let mut names = BTreeSet::new();
    let mut checks = Vec::new();
    for (index, check) in spec.checks.iter().enumerate() {
        if !names.insert(&check.name) {
            reader.error(&format!("/checks/{index}/name"), format!("there are two checks `{}`", check.name));
        }
        checks.extend(reader.check(check, &scope, &format!("/checks/{index}")));
    }
    for (index, example) in spec.examples.iter().enumerate() {
        for (name, value) in &example.params {
            let pointer = below(&format!("/examples/{index}/params"), &[name]);
            match spec.params.get(name).map(|param| fits(param, value)) {
                None => reader.error(&pointer, format!("the policy has no param `{name}`")),
                Some(Err(why)) => reader.error(&pointer, why),
                Some(Ok(())) => {}
            }
        }
    }
    if !reader.errors.is_empty() {
        return Err(reader.errors);
    }
    let defaults: Map<String, Value> =
        spec.params.iter().map(|(name, param)| (name.clone(), param.default.clone())).collect();
    Ok(CompiledPolicy {
        name: metadata.name.as_str().into(),
        labels: metadata.labels.clone(),
        title: spec.title.as_str().into(),
        controls: spec.controls.as_slice().into(),
        params: Value::Object(defaults.clone()).into(),
        defaults,
        spec: spec.clone(),
        when,
        checks,
    })
}

/// Whether a value has the type of a param. Null is for a default only: it says that nobody has set it.
pub(super) fn fits(param: &ParamSpec, value: &Value) -> Result<(), String> {
    let kind = param.kind.or(match &param.default {
        Value::Null => None,
        Value::Bool(_) => Some(ParamType::Boolean),
        Value::Number(number) if number.is_f64() => Some(ParamType::Number),
        Value::Number(_) => Some(ParamType::Integer),
        Value::String(_) => Some(ParamType::String),
        Value::Array(_) => Some(ParamType::List),
        Value::Object(_) => Some(ParamType::Map),
    });
    let (fits, wanted) = match kind {
        None => (true, "anything"),
        Some(_) if value.is_null() && param.default.is_null() => (true, "null"),
        Some(ParamType::String) => (value.is_string(), "a string"),
        Some(ParamType::Integer) => (value.is_i64() || value.is_u64(), "a whole number"),
        Some(ParamType::Number) => (value.is_number(), "a number"),
        Some(ParamType::Boolean) => (value.is_boolean(), "true or false"),
        Some(ParamType::List) => (value.is_array(), "a list"),
        Some(ParamType::Map) => (value.is_object(), "a map"),
    };
    if fits { Ok(()) } else { Err(format!("this param takes {wanted}")) }
}

/// The canonical JSON of `{check, edits, params, policy}`, cut where the params go: they are not known yet.
fn fix_identity(policy: &str, check: &CheckSpec) -> (String, String) {
    let text = |value: Value| canonical(&value).to_string();
    let edits = serde_json::to_value(&check.fix).unwrap_or(Value::Null);
    let (check, edits, policy) = (text(check.name.as_str().into()), text(edits), text(policy.into()));
    (format!("{{\"check\":{check},\"edits\":{edits},\"params\":"), format!(",\"policy\":{policy}}}"))
}

/// A pointer with names under it.
pub(super) fn below(pointer: &str, names: &[&str]) -> String {
    format!("{pointer}{}", super::pointer::pointer(names))
}

struct Reader<'a> {
    name: &'a str,
    kind: ResourceKind,
    errors: Vec<PolicyError>,
}

impl Reader<'_> {
    fn error(&mut self, pointer: &str, message: impl Into<String>) {
        self.errors.push(PolicyError::of(Kind::Policy, self.name, pointer, message));
    }

    fn refused(&mut self, pointer: &str, why: ExpressionError) {
        let error = PolicyError::of(Kind::Policy, self.name, pointer, why.message);
        self.errors.push(PolicyError { column: Some(why.column), help: why.help, ..error });
    }

    fn condition(&mut self, source: Option<&str>, scope: &Scope, pointer: &str) -> Option<Expression> {
        match Expression::condition(source?, scope) {
            Ok(expression) => Some(expression),
            Err(why) => {
                self.refused(pointer, why);
                None
            }
        }
    }

    fn tokens(&mut self, text: &str, pointer: &str) -> Option<Vec<String>> {
        match tokens(text) {
            Ok(tokens) => Some(tokens),
            Err(why) => {
                self.error(pointer, why.to_string());
                None
            }
        }
    }

    fn check(&mut self, check: &CheckSpec, scope: &Scope, pointer: &str) -> Option<CompiledCheck> {
        let each = match &check.for_each {
            None => None,
            Some(path) => {
                let tokens = self.tokens(path, &format!("{pointer}/forEach"))?;
                let each = Each::of(tokens);
                if each.is_none() {
                    self.error(&format!("{pointer}/forEach"), "`forEach` ends in `*`");
                }
                each
            }
        };
        let stars = each.as_ref().map_or(0, Each::stars);
        if stars != check.names.len() {
            let message = format!("`forEach` has {stars} `*`, and `as` gives {} names", check.names.len());
            self.error(&format!("{pointer}/as"), message);
        }
        self.names(&check.names, pointer);
        let scope = scope.clone().with(check.names.iter().cloned());
        let when = self.condition(check.when.as_deref(), &scope, &format!("{pointer}/when"));
        let require = self.condition(Some(&check.require), &scope, &format!("{pointer}/require"));
        let message = match Message::read(&check.message, &scope) {
            Ok(message) => Some(message),
            Err(why) => {
                self.refused(&format!("{pointer}/message"), why);
                None
            }
        };
        let at = check.at.as_ref().and_then(|at| self.tokens(at, &format!("{pointer}/at")));
        if !check.fix.is_empty() && matches!(self.kind, ResourceKind::TaskSet | ResourceKind::CapacityProvider) {
            self.error(&format!("{pointer}/fix"), format!("a {:?} is only audited: it has no fix", self.kind));
        }
        let mut fixes = Vec::new();
        for (index, fix) in check.fix.iter().enumerate() {
            let pointer = format!("{pointer}/fix/{index}");
            let when = self.condition(fix.when.as_deref(), &scope, &format!("{pointer}/when"));
            let mut edits = Vec::new();
            if fix.edits.is_empty() {
                self.error(&format!("{pointer}/edits"), "a fix needs at least one edit");
            }
            for (index, edit) in fix.edits.iter().enumerate() {
                edits.extend(self.edit(edit, &check.names, &scope, &format!("{pointer}/edits/{index}")));
            }
            fixes.push(CompiledFix { when, edits });
        }
        Some(CompiledCheck {
            name: check.name.clone(),
            each,
            when,
            require: require?,
            message: message?,
            at,
            fixes,
            identity: fix_identity(self.name, check),
        })
    }

    fn names(&mut self, names: &[String], pointer: &str) {
        let taken = variables(self.kind);
        for (index, name) in names.iter().enumerate() {
            let pointer = format!("{pointer}/as/{index}");
            let mut chars = name.chars();
            let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
            if !first || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
                self.error(&pointer, format!("`{name}` is no name: letters, digits and `_`"));
            } else if taken.contains(&name.as_str()) || names.iter().take(index).any(|earlier| earlier == name) {
                self.error(&pointer, format!("`{name}` is taken"));
            }
        }
    }

    fn edit(&mut self, edit: &EditSpec, names: &[String], scope: &Scope, pointer: &str) -> Option<CompiledEdit> {
        let (field, path, on, key, value) = match edit {
            EditSpec::Set { set, value, on } => ("set", set, on, &None, Some(value)),
            EditSpec::Remove { remove, on } => ("remove", remove, on, &None, None),
            EditSpec::Append { append, key, value, on, .. } => ("append", append, on, key, Some(value)),
        };
        let path = self.tokens(path, &format!("{pointer}/{field}"))?;
        let on = match on {
            None => names.len().checked_sub(1).map_or(On::Resource, On::Star),
            Some(name) if name == resource_name(self.kind) => On::Resource,
            Some(name) => match names.iter().position(|bound| bound == name) {
                Some(star) => On::Star(star),
                None => {
                    let known = names.join("`, `");
                    let resource = resource_name(self.kind);
                    let message = format!("`on` names `{name}`; here are `{resource}`, `{known}`");
                    self.error(&format!("{pointer}/on"), message);
                    return None;
                }
            },
        };
        if on == On::Resource && path.is_empty() {
            self.error(&format!("{pointer}/{field}"), "an edit may not take the whole resource");
        }
        if path.iter().any(|token| token == "*") {
            self.error(&format!("{pointer}/{field}"), "an edit names one node: no `*`; use `forEach`");
        }
        let value = match value {
            None => None,
            Some(value) => match ValueTemplate::read(&value.0, scope, &format!("{pointer}/value")) {
                Ok(value) => Some(value),
                Err(why) => {
                    self.refused(&why.pointer, why.error);
                    return None;
                }
            },
        };
        let what = match (edit, value) {
            (EditSpec::Set { .. }, Some(value)) => What::Set(value),
            (EditSpec::Append { each, .. }, Some(value)) => What::Append { key: key.clone(), each: *each, value },
            _ => What::Remove,
        };
        Some(CompiledEdit { on, path, what })
    }
}
