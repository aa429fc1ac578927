//! Whether a scope matches, where not everything is known.

use std::collections::{BTreeMap, BTreeSet};

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::subject::{ScopeKey, ScopeKeys, ScopeTags};
use crate::model::spec::{LaunchType, Scope, Selector};

/// Whether something is in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Match {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It depends on a key that is not known.
    Unknown,
}

impl Match {
    const fn of(matches: bool) -> Self {
        if matches { Self::Yes } else { Self::No }
    }

    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }

    const fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// A glob that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{glob}` is no glob: {why}")]
pub struct GlobError {
    /// Where in the scope, such as `/include/clusters/0`.
    pub pointer: String,
    glob: String,
    why: String,
}

/// Names or globs; case matters, `*` goes over any character.
#[derive(Debug, Clone)]
pub(super) struct Globs(GlobSet);

impl Globs {
    pub(super) fn of(globs: &[String], pointer: &str) -> Result<Self, GlobError> {
        let mut set = GlobSetBuilder::new();
        for (index, text) in globs.iter().enumerate() {
            set.add(Glob::new(text).map_err(|why| glob_error(&format!("{pointer}/{index}"), text, &why))?);
        }
        let set = set.build().map_err(|why| glob_error(pointer, "", &why))?;
        Ok(Self(set))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

impl GlobError {
    /// The same, in a scope that is itself below this pointer.
    pub(super) fn below(self, pointer: &str) -> Self {
        Self { pointer: format!("{pointer}{}", self.pointer), ..self }
    }
}

fn glob_error(pointer: &str, glob: &str, why: &globset::Error) -> GlobError {
    GlobError { pointer: pointer.to_owned(), glob: glob.chars().take(80).collect(), why: why.kind().to_string() }
}

/// A scope, ready to match.
#[derive(Debug, Clone)]
pub struct ScopeMatcher {
    include: SelectorMatcher,
    exclude: SelectorMatcher,
}

impl ScopeMatcher {
    /// Reads the globs of a scope.
    ///
    /// # Errors
    /// At the first that is none.
    pub fn of(scope: &Scope) -> Result<Self, GlobError> {
        Ok(Self {
            include: SelectorMatcher::of(&scope.include, "/include")?,
            exclude: SelectorMatcher::of(&scope.exclude, "/exclude")?,
        })
    }

    /// The tags that it asks for, by key.
    pub(super) fn tag_keys(&self) -> impl Iterator<Item = &String> {
        self.include.tags.keys().chain(self.exclude.tags.keys())
    }

    /// The keys that the answer depends on and that are not known, as `--assume` names them.
    pub(super) fn unknown(&self, keys: &ScopeKeys) -> BTreeSet<String> {
        let sides = [&self.include, &self.exclude].into_iter().filter(|side| !side.empty);
        sides.filter(|side| side.matches(keys) == Match::Unknown).flat_map(|side| side.unknown(keys)).collect()
    }

    /// Whether these keys are in it. `Unknown` only where the answer depends on a key that is not known.
    #[must_use]
    pub fn matches(&self, keys: &ScopeKeys) -> Match {
        let included = if self.include.empty { Match::Yes } else { self.include.matches(keys) };
        let excluded = if self.exclude.empty { Match::No } else { self.exclude.matches(keys) };
        included.and(excluded.not())
    }
}

#[derive(Debug, Clone)]
struct SelectorMatcher {
    empty: bool,
    clusters: Globs,
    services: Globs,
    families: Globs,
    accounts: Globs,
    regions: Globs,
    launch_types: Vec<LaunchType>,
    tags: BTreeMap<String, Globs>,
}

impl SelectorMatcher {
    fn of(selector: &Selector, pointer: &str) -> Result<Self, GlobError> {
        let globs = |name: &str, globs: &[String]| Globs::of(globs, &format!("{pointer}/{name}"));
        let tags = selector.tags.iter().map(|(key, values)| {
            let mut pointer = format!("{pointer}/tags");
            super::pointer::push(&mut pointer, key);
            Ok((key.clone(), Globs::of(values, &pointer)?))
        });
        Ok(Self {
            empty: selector.is_empty(),
            clusters: globs("clusters", &selector.clusters)?,
            services: globs("services", &selector.services)?,
            families: globs("families", &selector.families)?,
            accounts: globs("accounts", &selector.accounts)?,
            regions: globs("regions", &selector.regions)?,
            launch_types: selector.launch_types.clone(),
            tags: tags.collect::<Result<_, _>>()?,
        })
    }

    /// The keys are ANDed, the values of one key ORed.
    fn matches(&self, keys: &ScopeKeys) -> Match {
        [
            name(&self.clusters, &keys.cluster),
            name(&self.services, &keys.service),
            name(&self.families, &keys.family),
            name(&self.accounts, &keys.account),
            name(&self.regions, &keys.region),
            self.launch_type(&keys.launch_type),
            self.tags(&keys.tags),
        ]
        .into_iter()
        .fold(Match::Yes, Match::and)
    }

    fn unknown(&self, keys: &ScopeKeys) -> Vec<String> {
        let named = [
            ("cluster", name(&self.clusters, &keys.cluster)),
            ("service", name(&self.services, &keys.service)),
            ("family", name(&self.families, &keys.family)),
            ("account", name(&self.accounts, &keys.account)),
            ("region", name(&self.regions, &keys.region)),
            ("launchType", self.launch_type(&keys.launch_type)),
        ];
        let named = named.into_iter().filter(|(_, matches)| *matches == Match::Unknown);
        let tags = self.tags.keys().filter(|key| match &keys.tags {
            ScopeTags::Known(_) => false,
            ScopeTags::Partly(tags) => !tags.contains_key(*key),
        });
        named.map(|(name, _)| name.to_owned()).chain(tags.map(|key| format!("tags.{key}"))).collect()
    }

    fn launch_type(&self, key: &ScopeKey<LaunchType>) -> Match {
        if self.launch_types.is_empty() {
            return Match::Yes;
        }
        match key {
            ScopeKey::Known(launch_type) => Match::of(self.launch_types.contains(launch_type)),
            ScopeKey::Absent => Match::No,
            ScopeKey::Unknown => Match::Unknown,
        }
    }

    fn tags(&self, known: &ScopeTags) -> Match {
        self.tags
            .iter()
            .map(|(key, globs)| {
                let (tags, missing) = match known {
                    ScopeTags::Known(tags) => (tags, Match::No),
                    ScopeTags::Partly(tags) => (tags, Match::Unknown),
                };
                // An empty list asks for the key with any value.
                tags.get(key).map_or(missing, |value| Match::of(globs.is_empty() || globs.matches(value)))
            })
            .fold(Match::Yes, Match::and)
    }
}

fn name(globs: &Globs, key: &ScopeKey<String>) -> Match {
    if globs.is_empty() {
        return Match::Yes;
    }
    match key {
        ScopeKey::Known(name) => Match::of(globs.matches(name)),
        ScopeKey::Absent => Match::No,
        ScopeKey::Unknown => Match::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(cluster: ScopeKey<String>) -> ScopeKeys {
        let tags = BTreeMap::from([("team".to_owned(), "payments".to_owned())]);
        ScopeKeys {
            cluster,
            service: ScopeKey::Known("web".to_owned()),
            launch_type: ScopeKey::Known(LaunchType::Fargate),
            tags: ScopeTags::Known(tags),
            ..ScopeKeys::default()
        }
    }

    #[track_caller]
    fn check(scope: serde_json::Value, cluster: Option<&str>, wanted: Match) {
        let matcher = ScopeMatcher::of(&serde_json::from_value(scope.clone()).unwrap()).unwrap();
        let cluster = cluster.map_or(ScopeKey::Unknown, |cluster| ScopeKey::Known(cluster.to_owned()));
        assert_eq!(matcher.matches(&keys(cluster)), wanted, "{scope}");
    }

    #[test]
    fn keys_are_anded_and_values_ored() {
        check(json!({}), None, Match::Yes);
        check(json!({"include": {"clusters": ["dev", "prod-*"]}}), Some("prod-a"), Match::Yes);
        check(json!({"include": {"clusters": ["dev", "prod-*"]}}), Some("test"), Match::No);
        check(json!({"include": {"clusters": ["prod-*"], "services": ["api"]}}), Some("prod-a"), Match::No);
        check(json!({"include": {"launchTypes": ["FARGATE"], "tags": {"team": ["pay*"]}}}), Some("x"), Match::Yes);
        check(json!({"include": {"tags": {"team": []}}}), Some("x"), Match::Yes);
        check(json!({"include": {"tags": {"owner": []}}}), Some("x"), Match::No);
        check(json!({"exclude": {"services": ["web"]}}), Some("x"), Match::No);
        check(json!({"include": {"services": ["w*"]}, "exclude": {"clusters": ["prod-*"]}}), Some("dev"), Match::Yes);
    }

    #[test]
    fn not_knowing_a_key_matters_only_where_the_answer_depends_on_it() {
        check(json!({"include": {"clusters": ["prod-*"]}}), None, Match::Unknown);
        check(json!({"include": {"clusters": ["prod-*"], "services": ["api"]}}), None, Match::No);
        check(json!({"exclude": {"clusters": ["prod-*"], "services": ["api"]}}), None, Match::Yes);
        check(json!({"exclude": {"clusters": ["prod-*"]}}), None, Match::Unknown);
        check(json!({"include": {"families": ["x"]}}), Some("a"), Match::Unknown);
    }

    #[test]
    fn the_keys_that_the_answer_depends_on_are_named() {
        let unknown = |scope: serde_json::Value| {
            let matcher = ScopeMatcher::of(&serde_json::from_value(scope).unwrap()).unwrap();
            let tags = ScopeTags::Partly(BTreeMap::from([("team".to_owned(), "payments".to_owned())]));
            let keys = ScopeKeys { tags, ..keys(ScopeKey::Unknown) };
            matcher.unknown(&keys).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(unknown(json!({"include": {"clusters": ["prod-*"], "services": ["web"]}})), ["cluster"]);
        assert_eq!(unknown(json!({"include": {"clusters": ["prod-*"], "services": ["api"]}})), Vec::<String>::new());
        let tags = json!({"include": {"tags": {"team": [], "env": ["prod"]}}, "exclude": {"families": ["x"]}});
        assert_eq!(unknown(tags), ["family", "tags.env"]);
    }

    #[test]
    fn a_glob_that_is_none_is_pointed_at() {
        let scope = serde_json::from_value(json!({"exclude": {"clusters": ["a", "[b"]}})).unwrap();
        assert_eq!(ScopeMatcher::of(&scope).unwrap_err().pointer, "/exclude/clusters/1");
    }
}
