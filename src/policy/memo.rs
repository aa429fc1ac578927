//! Answers that were given before: a document that was evaluated under a policy set is not evaluated again.
//!
//! Knows no clock and no fleet: whoever owns it says when a pass begins. An answer holds while everything it depends on
//! is as it was: the policy set; the revision, or of other documents the members that policies read; of service,
//! cluster, target and tags the members that policies read; the keys that scopes name; and the Waivers in force. Whether
//! more tasks run, and what `events[]` says, is nothing of that.
//!
//! It grows with services and clusters, not with revisions: what no pass has asked for lately is forgotten.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::evaluate::evaluate;
use super::fingerprint::{Fingerprint, of_subject, of_surroundings};
use super::fix::{FixError, Fixed, lawful};
use super::result::{Answers, AppliedWaiver, PlannedFix, PolicyResult};
use super::scope::Match;
use super::set::PolicySet;
use super::subject::{ScopeKeys, Subject, Surroundings};
use crate::model::observed::TaskDefinition;
use crate::model::packed::PackedDefinition;
use crate::model::spec::{ResourceKind, days_until};
use crate::model::{Timestamp, Verdict};

/// For how many passes an answer is kept that nothing asks for. A cluster that cannot be listed for a moment does not
/// cost the evaluation of all its services, and going back to the revision before costs none.
const KEPT: u64 = 3;

/// What was answered under one policy set.
#[derive(Debug, Default)]
pub struct Memo {
    /// The hash of the set.
    set: String,
    pass: u64,
    /// By kind and name of the resource. A service has one entry for its task definition and one for itself, and a few
    /// more for what fixes would make of them.
    entries: BTreeMap<(ResourceKind, String), Vec<Entry>>,
    /// Passes and skips that say nothing but that: the same for very many resources, and kept once.
    shared: BTreeMap<Arc<str>, Vec<Arc<PolicyResult>>>,
    evaluated: u64,
}

#[derive(Debug)]
struct Entry {
    of: Fingerprint,
    /// Where it is a revision. Held by the fleet's cache anyway.
    revision: Option<Arc<PackedDefinition>>,
    era: Era,
    /// The last pass that asked for it.
    used: u64,
    answers: Answers,
}

/// A revision that is judged.
pub struct Revision<'a> {
    /// What it is known by.
    pub packed: &'a Arc<PackedDefinition>,
    /// What it says.
    pub definition: Cow<'a, TaskDefinition>,
    /// Its tags, by key. Made where they are asked for, and once.
    tags: OnceCell<BTreeMap<String, String>>,
}

impl<'a> Revision<'a> {
    /// What is known by `packed` and says `definition`.
    #[must_use]
    pub const fn of(packed: &'a Arc<PackedDefinition>, definition: Cow<'a, TaskDefinition>) -> Self {
        Self { packed, definition, tags: OnceCell::new() }
    }

    /// Its document, with its tags among the members, and its tags by key.
    pub fn seen(&self) -> (&Value, &BTreeMap<String, String>) {
        (&self.definition.document, self.tags.get_or_init(|| self.definition.tags_by_key()))
    }
}

/// What is asked.
struct Question<'a> {
    kind: ResourceKind,
    name: &'a str,
    of: Fingerprint,
    revision: Option<&'a Arc<PackedDefinition>>,
}

impl Memo {
    /// Begins a pass: forgets everything where the set is another, and else what no pass has asked for lately.
    pub fn begin(&mut self, set: &PolicySet) {
        if self.set != set.hash() {
            *self = Self { set: set.hash().to_owned(), evaluated: self.evaluated, ..Self::default() };
        }
        self.pass += 1;
        let oldest = self.pass.saturating_sub(KEPT);
        self.entries.retain(|_, entries| {
            entries.retain(|entry| entry.used >= oldest);
            !entries.is_empty()
        });
    }

    /// Forgets what was answered of a resource, where whoever asked has kept what follows from it.
    pub fn forget(&mut self, kind: ResourceKind, name: &str) {
        self.entries.remove(&(kind, name.to_owned()));
    }

    /// How often a document has been evaluated.
    #[must_use]
    pub const fn evaluated(&self) -> u64 {
        self.evaluated
    }

    /// How many answers are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.values().map(Vec::len).sum()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What [`evaluate`] says of a resource. `name` tells resources of a kind apart; it decides nothing.
    pub fn evaluate(&mut self, set: &PolicySet, name: &str, subject: &Subject<'_>, now: Timestamp) -> Answers {
        let of = of_subject(set.reads(subject.kind), set.scope_tags(), subject);
        let question = Question { kind: subject.kind, name, of, revision: None };
        self.answer(set, &question, subject.scope, now, |now| evaluate(set, subject, now))
    }

    /// What [`evaluate`] says of a revision, judged for what is around it; `name` as for [`evaluate`](Self::evaluate).
    ///
    /// A revision never changes but for its status and tags, so it is known without looking into it.
    pub fn evaluate_revision(
        &mut self,
        set: &PolicySet,
        name: &str,
        revision: &Revision<'_>,
        around: &Surroundings<'_>,
        now: Timestamp,
    ) -> Answers {
        let of = of_surroundings(set.reads(around.kind), set.scope_tags(), around);
        let question = Question { kind: around.kind, name, of, revision: Some(revision.packed) };
        self.answer(set, &question, around.scope, now, |now| {
            let (document, tags) = revision.seen();
            evaluate(set, &around.subject(document, Some(tags)), now)
        })
    }

    /// As [`apply_fixes`](super::apply_fixes), without evaluating a fixed document again.
    ///
    /// # Errors
    /// Where the law of fixes does not hold for the result.
    pub fn apply_fixes(
        &mut self,
        set: &PolicySet,
        name: &str,
        subject: &Subject<'_>,
        before: &[Arc<PolicyResult>],
        fixes: &[&PlannedFix],
        now: Timestamp,
    ) -> Result<Fixed, FixError> {
        lawful(subject, before, fixes, &mut |subject| self.evaluate(set, name, subject, now))
    }

    fn answer(
        &mut self,
        set: &PolicySet,
        question: &Question<'_>,
        scope: &ScopeKeys,
        now: Timestamp,
        ask: impl FnOnce(Timestamp) -> Vec<PolicyResult>,
    ) -> Answers {
        if self.set != set.hash() {
            self.begin(set);
        }
        let pass = self.pass;
        let entries = self.entries.entry((question.kind, question.name.to_owned())).or_default();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.answers_to(question, now)) {
            entry.used = pass;
            entry.revision = question.revision.cloned();
            return renewed(&entry.answers, now);
        }
        self.evaluated += 1;
        let answers: Answers = ask(now).into_iter().map(|result| share(&mut self.shared, result)).collect();
        entries.push(Entry {
            of: question.of,
            revision: question.revision.cloned(),
            era: Era::around(now, set, scope),
            used: pass,
            answers: Arc::clone(&answers),
        });
        answers
    }
}

impl Entry {
    fn answers_to(&self, question: &Question<'_>, now: Timestamp) -> bool {
        let same_revision = match (&self.revision, question.revision) {
            (None, None) => true,
            // Mostly the very one that the fleet's cache has had all along.
            (Some(known), Some(asked)) => Arc::ptr_eq(known, asked) || known == asked,
            (None, Some(_)) | (Some(_), None) => false,
        };
        self.of == question.of && self.era.holds(now) && same_revision
    }
}

/// The time in which the same Waivers are in force: from the last end of one before, until the next.
#[derive(Debug, Clone, Copy)]
struct Era {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Era {
    /// The one around `now` where these keys are.
    fn around(now: Timestamp, set: &PolicySet, keys: &ScopeKeys) -> Self {
        let here = || set.compiled_waivers().iter().filter(|waiver| waiver.scope.matches(keys) != Match::No);
        let ends = || here().map(|waiver| waiver.spec.expires_at);
        Self { from: ends().filter(|end| *end <= now).max(), until: ends().filter(|end| now < *end).min() }
    }

    fn holds(self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
}

/// The same answers with the days that Waivers have left now: they change by themselves.
fn renewed(answers: &Answers, now: Timestamp) -> Answers {
    let stale = |waiver: &AppliedWaiver| waiver.days_left != days_until(waiver.expires_at, now);
    if !answers.iter().any(|result| result.waiver.iter().chain(&result.waivers).any(stale)) {
        return Arc::clone(answers);
    }
    let renew = |result: &Arc<PolicyResult>| {
        let mut result = result.as_ref().clone();
        for waiver in result.waiver.iter_mut().chain(&mut result.waivers) {
            waiver.days_left = days_until(waiver.expires_at, now);
        }
        Arc::new(result)
    };
    answers.iter().map(renew).collect()
}

/// One result for all resources of which nothing else is to be said.
fn share(shared: &mut BTreeMap<Arc<str>, Vec<Arc<PolicyResult>>>, result: PolicyResult) -> Arc<PolicyResult> {
    let plain = matches!(result.verdict, Verdict::Pass | Verdict::Skip)
        && result.findings.is_empty()
        && result.reason.is_none()
        && result.waivers.is_empty();
    if !plain {
        return Arc::new(result);
    }
    if let Some(same) = shared.get(&result.policy).and_then(|known| known.iter().find(|known| ***known == result)) {
        return Arc::clone(same);
    }
    let result = Arc::new(result);
    shared.entry(Arc::clone(&result.policy)).or_default().push(Arc::clone(&result));
    result
}
