//! What the answers of a set depend on, told once on reading: which members of which documents its policies look at.

use std::collections::BTreeSet;

use super::compile::{
    CLUSTER, CompiledCheck, CompiledPolicy, On, RESOURCE, ROOTS, RUNNING, SERVICE, TAGS, TARGET, What,
};
use super::expression::Expression;
use super::template::ValueTemplate;
use crate::model::spec::ResourceKind;

/// A variable more belongs into [`Reads`] and into the fingerprint, or its changes would go unseen.
const _: () = assert!(ROOTS == 7);

/// The nodes that policies read of one document, none below another.
pub(super) type Paths = Vec<Vec<String>>;

/// What policies about one kind of resource read.
#[derive(Debug, Default)]
pub(super) struct Reads {
    pub(super) resource: Paths,
    pub(super) service: Paths,
    pub(super) cluster: Paths,
    pub(super) running: Paths,
    pub(super) tags: Paths,
    pub(super) target: Paths,
}

impl Reads {
    pub(super) fn of(policies: &[CompiledPolicy], kind: ResourceKind) -> Self {
        let mut found = Found::default();
        // Findings name the container that they are in.
        found.add(RESOURCE, vec!["containerDefinitions".to_owned()]);
        for policy in policies.iter().filter(|policy| policy.spec.resource == kind) {
            policy.when.iter().for_each(|when| found.expression(when));
            policy.checks.iter().for_each(|check| found.check(check));
        }
        let mut paths = |slot: usize| shortest(found.0.get_mut(slot).map(std::mem::take).unwrap_or_default());
        Self {
            resource: paths(RESOURCE),
            service: paths(SERVICE),
            cluster: paths(CLUSTER),
            running: paths(RUNNING),
            tags: paths(TAGS),
            target: paths(TARGET),
        }
    }
}

/// Without those below another.
fn shortest(paths: BTreeSet<Vec<String>>) -> Paths {
    let mut kept: Paths = Vec::new();
    // A path comes right before those below it.
    for path in paths {
        if !kept.last().is_some_and(|above| path.starts_with(above)) {
            kept.push(path);
        }
    }
    kept
}

/// For each slot.
#[derive(Default)]
struct Found([BTreeSet<Vec<String>>; ROOTS]);

impl Found {
    fn add(&mut self, slot: usize, path: Vec<String>) {
        // Names that `forEach` binds have higher slots: they stand for nodes below its path.
        if let Some(paths) = self.0.get_mut(slot) {
            paths.insert(path);
        }
    }

    fn expression(&mut self, expression: &Expression) {
        for (slot, path) in expression.read_paths() {
            self.add(slot, path);
        }
    }

    fn check(&mut self, check: &CompiledCheck) {
        if let Some(each) = &check.each {
            let way = each.tokens().iter().take_while(|token| *token != "*");
            self.add(RESOURCE, way.cloned().collect());
        }
        check.when.iter().for_each(|when| self.expression(when));
        self.expression(&check.require);
        check.message.expressions().for_each(|(expression, _)| self.expression(expression));
        for fix in &check.fixes {
            fix.when.iter().for_each(|when| self.expression(when));
            for edit in &fix.edits {
                // What is written over decides which guarded members a fix touches.
                if edit.on == On::Resource {
                    self.add(RESOURCE, edit.path.clone());
                }
                match &edit.what {
                    What::Set(value) | What::Append { value, .. } => self.value(value),
                    What::Remove => {}
                }
            }
        }
    }

    fn value(&mut self, value: &ValueTemplate) {
        match value {
            ValueTemplate::Literal(_) => {}
            ValueTemplate::Computed(expression) => self.expression(expression),
            ValueTemplate::List(items) => items.iter().for_each(|item| self.value(item)),
            ValueTemplate::Map(members) => members.iter().for_each(|(_, member)| self.value(member)),
        }
    }
}
