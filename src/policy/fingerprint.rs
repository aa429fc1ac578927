//! The hash of what answers depend on, but for the policy set and the time: the nodes that its policies read, and the
//! keys that its scopes name.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::pointer::is_unresolved;
use super::reads::{Paths, Reads};
use super::set::PolicySet;
use super::subject::{ScopeKey, ScopeKeys, ScopeTags, Subject, Surroundings, TargetContext};

/// Equal where the answers must be equal. No short hash: whoever writes a document must not be able to make it look like
/// one that passed.
pub(super) type Fingerprint = [u8; 32];

/// Of a subject whose document is known only by what it says.
pub(super) fn of_subject(reads: &Reads, scope_tags: &BTreeSet<String>, subject: &Subject<'_>) -> Fingerprint {
    let mut feed = Feed(Sha256::new_with_prefix("document"));
    feed.paths(Some(subject.resource), &reads.resource);
    feed.made(subject.tags.map(|tags| move || json!(tags)), &reads.tags);
    feed.surroundings(reads, scope_tags, &subject.surroundings());
    feed.0.finalize().into()
}

/// Of what is around a revision, which itself never changes.
pub(super) fn of_surroundings(reads: &Reads, scope_tags: &BTreeSet<String>, around: &Surroundings<'_>) -> Fingerprint {
    let mut feed = Feed(Sha256::new_with_prefix("revision"));
    feed.surroundings(reads, scope_tags, around);
    feed.0.finalize().into()
}

/// What the answers of a set on a subject depend on, but for the Waivers in force. The set itself is not in it.
#[must_use]
pub fn depends_on(set: &PolicySet, subject: &Subject<'_>) -> [u8; 32] {
    of_subject(set.reads(subject.kind), set.scope_tags(), subject)
}

/// The same of a revision, but for the revision itself.
#[must_use]
pub fn depends_on_around(set: &PolicySet, around: &Surroundings<'_>) -> [u8; 32] {
    of_surroundings(set.reads(around.kind), set.scope_tags(), around)
}

struct Feed(Sha256);

impl Feed {
    /// Every piece says what it is and how long, so that no two different sequences look alike.
    fn piece(&mut self, kind: u8, bytes: &[u8]) {
        self.0.update([kind]);
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn count(&mut self, kind: u8, count: usize) {
        self.0.update([kind]);
        self.0.update((count as u64).to_le_bytes());
    }

    fn node(&mut self, node: &Value) {
        match node {
            Value::Null => self.piece(b'0', &[]),
            Value::Bool(value) => self.piece(b'b', &[u8::from(*value)]),
            Value::Number(number) => self.piece(b'n', number.to_string().as_bytes()),
            Value::String(text) => self.piece(b's', text.as_bytes()),
            Value::Array(items) => {
                self.count(b'[', items.len());
                items.iter().for_each(|item| self.node(item));
            }
            Value::Object(members) => {
                self.count(b'{', members.len());
                for (name, member) in members {
                    self.piece(b'k', name.as_bytes());
                    self.node(member);
                }
            }
        }
    }

    /// The nodes at these paths; where one ends early, how far it goes and at what.
    fn paths(&mut self, root: Option<&Value>, paths: &Paths) {
        for path in paths {
            let Some(mut node) = root else {
                self.piece(b'?', &[]);
                continue;
            };
            let mut steps = 0;
            let missing = loop {
                let Some(name) = path.get(steps) else { break false };
                match node {
                    Value::Object(members) if !is_unresolved(node) => match members.get(name) {
                        Some(member) => node = member,
                        None => break true,
                    },
                    // Whoever reads on is told its type.
                    _ => break false,
                }
                steps += 1;
            };
            self.count(if missing { b'-' } else { b'+' }, steps);
            if !missing {
                self.node(node);
            }
        }
    }

    /// The same of a document that has to be made, which most sets of policies do not look at.
    fn made(&mut self, root: Option<impl FnOnce() -> Value>, paths: &Paths) {
        if !paths.is_empty() {
            self.paths(root.map(|make| make()).as_ref(), paths);
        }
    }

    fn surroundings(&mut self, reads: &Reads, scope_tags: &BTreeSet<String>, around: &Surroundings<'_>) {
        // All of them: who adds one is told here.
        let Surroundings { kind: _, service, cluster, running, target, scope } = *around;
        self.paths(service, &reads.service);
        self.paths(cluster, &reads.cluster);
        self.paths(running, &reads.running);
        let shown = |target: &TargetContext| json!({"account": target.account, "region": target.region, "labels": target.labels});
        self.made(target.map(|target| move || shown(target)), &reads.target);
        self.scope(scope_tags, scope);
    }

    fn scope(&mut self, named: &BTreeSet<String>, keys: &ScopeKeys) {
        for key in [&keys.account, &keys.region, &keys.cluster, &keys.service, &keys.family] {
            self.key(key, String::as_bytes);
        }
        self.key(&keys.launch_type.map(|launch_type| format!("{launch_type:?}")), String::as_bytes);
        let (kind, tags) = match &keys.tags {
            ScopeTags::Known(tags) => (b't', tags),
            ScopeTags::Partly(tags) => (b'p', tags),
        };
        self.count(kind, named.len());
        for name in named {
            match tags.get(name) {
                Some(value) => self.piece(b'=', value.as_bytes()),
                None => self.piece(b'-', &[]),
            }
        }
    }

    fn key(&mut self, key: &ScopeKey<String>, bytes: impl Fn(&String) -> &[u8]) {
        match key {
            ScopeKey::Known(value) => self.piece(b'=', bytes(value)),
            ScopeKey::Absent => self.piece(b'-', &[]),
            ScopeKey::Unknown => self.piece(b'?', &[]),
        }
    }
}
