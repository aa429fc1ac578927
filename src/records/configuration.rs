//! What people want: policies, Bindings, strategies, Targets, Waivers, Freezes.
//!
//! Atomic by a head: objects are immutable items named by their hash, written first; one conditional write of the
//! class's head puts them in force. The head is also the cheap poll and the freeze check. Objects that no head names
//! any more are left for `collect`. Who did it is told by the head itself: see [`applications`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::applications;
use super::events::Event;
use super::items::{self, ItemKind};
use super::typed::{self, RecordError, Stored, failed, parse};
use crate::model::Timestamp;
use crate::model::document;
use crate::model::spec::{Kind, Metadata, Object, Spec};
use crate::ports::Store;
use crate::ports::store::{Expect, Item, Key};

/// Whose right it is to write an object. Ordered as they are written: what stops comes before what starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Freezes.
    Freeze,
    /// Waivers.
    Waiver,
    /// Policies, Bindings, strategies, Targets.
    Policy,
}

impl Class {
    /// All of them, as they are written.
    pub const ALL: [Self; 3] = [Self::Freeze, Self::Waiver, Self::Policy];

    /// Of a kind.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Freeze => Self::Freeze,
            Kind::Waiver => Self::Waiver,
            Kind::Target | Kind::RolloutStrategy | Kind::Policy | Kind::Binding => Self::Policy,
        }
    }

    /// Its partition.
    #[must_use]
    pub const fn partition(self) -> &'static str {
        match self {
            Self::Freeze => "cfg#freeze",
            Self::Waiver => "cfg#waiver",
            Self::Policy => "cfg#policy",
        }
    }

    /// What the events of its applications are about.
    #[must_use]
    pub const fn subject(self) -> &'static str {
        match self {
            Self::Freeze => "Configuration/freeze",
            Self::Waiver => "Configuration/waiver",
            Self::Policy => "Configuration/policy",
        }
    }

    pub(super) fn head(self) -> Key {
        Key::new(self.partition(), "head")
    }
}

/// Which objects of a class are in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    /// The shape of this item.
    schema: u32,
    /// Counts its changes.
    pub(super) generation: u64,
    /// `KIND/NAME` → the object's item and what it was applied with.
    objects: BTreeMap<String, Entry>,
    /// Who wrote it, and what that did. Not there in what was written before that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Event>,
}

impl Stored for Head {
    const ITEM: &'static ItemKind = &items::HEAD;
}

/// An object as an item. Who applied it stands beside its metadata, not in it: an older plimsoll refuses metadata that it
/// does not know, and leaves out what stands beside.
pub(super) struct Written(pub(super) Object);

const BY: &str = "appliedBy";

impl Stored for Written {
    const ITEM: &'static ItemKind = &items::OBJECT;
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = self.0.clone();
        let by = object.metadata.updated_by.take();
        let mut json = serde_json::to_value(&object).map_err(serde::ser::Error::custom)?;
        if let (Value::Object(members), Some(by)) = (&mut json, by) {
            members.insert(BY.to_owned(), Value::String(by));
        }
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Value::deserialize(deserializer)?;
        let by = json.get(BY).and_then(Value::as_str).map(ToOwned::to_owned);
        let mut object: Object = serde_json::from_value(json).map_err(serde::de::Error::custom)?;
        object.metadata.updated_by = by;
        Ok(Self(object))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    hash: String,
    /// `--set NAME` of the apply that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set: Option<String>,
}

/// The generation of each class that a configuration was read at: what a poll compares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation([u64; 3]);

impl fmt::Display for Generation {
    /// A number for each class, Freezes first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [freezes, waivers, policies] = self.0;
        write!(f, "{freezes}.{waivers}.{policies}")
    }
}

/// All objects in force, at one generation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    /// What a poll compares.
    pub generation: Generation,
    /// In the order of [`Kind::ALL`], then by name.
    pub objects: Vec<Object>,
}

impl Configuration {
    /// The object of that kind and name.
    #[must_use]
    pub fn find(&self, kind: Kind, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.kind() == kind && object.metadata.name == name)
    }
}

/// What became of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What happened to it.
    pub outcome: Outcome,
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was not there before.
    Created,
    /// It says something else now.
    Configured,
    /// It said that already.
    Unchanged,
    /// It was gone from the files.
    Pruned,
}

impl Outcome {
    /// As the command line prints it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::Pruned => "pruned",
        }
    }
}

/// What an apply changes.
#[derive(Debug, Clone, Default)]
pub struct Application {
    /// Created or updated.
    pub objects: Vec<Object>,
    /// The set they are remembered under.
    pub set: Option<String>,
    /// Whether objects of that set which are not among them go. Freezes never do.
    pub prune: bool,
    /// Removed by name.
    pub delete: Vec<(Kind, String)>,
    /// Who asks for it: a person's ARN, or USER@HOST.
    pub by: Option<String>,
}

/// Reads and writes the configuration.
#[derive(Clone, Copy)]
pub struct Configurations<'a> {
    store: &'a dyn Store,
}

struct Heads([(Head, u64); 3]);

impl<'a> Configurations<'a> {
    /// In this store.
    #[must_use]
    pub fn of(store: &'a dyn Store) -> Self {
        Self { store }
    }

    /// The generation in force: one round trip, three small items.
    ///
    /// # Errors
    /// The store's.
    pub async fn generation(&self) -> Result<Generation, RecordError> {
        Ok(generation(&self.heads().await?))
    }

    /// All objects in force. `unless` saves reading them where nothing has changed: then `None`.
    ///
    /// # Errors
    /// The store's; [`RecordError::Shape`] for an object that this version cannot read.
    pub async fn read(&self, unless: Option<Generation>) -> Result<Option<Configuration>, RecordError> {
        let heads = self.heads().await?;
        let generation = generation(&heads);
        if unless == Some(generation) {
            return Ok(None);
        }
        let mut objects = Vec::new();
        for (class, (head, _)) in Class::ALL.into_iter().zip(&heads.0) {
            objects.extend(self.objects(class, head).await?);
        }
        objects.sort_by(|one, other| (one.kind(), &one.metadata.name).cmp(&(other.kind(), &other.metadata.name)));
        Ok(Some(Configuration { generation, objects }))
    }

    /// The Freezes in force. One round trip where their generation is the `known` one, answered with `None`.
    ///
    /// # Errors
    /// The store's.
    pub async fn freezes(&self, known: Option<u64>) -> Result<Option<(u64, Vec<Object>)>, RecordError> {
        let head = typed::get::<Head>(self.store, Class::Freeze.head()).await?;
        let head = head.map(|head| head.value).unwrap_or_default();
        if known == Some(head.generation) {
            return Ok(None);
        }
        Ok(Some((head.generation, self.objects(Class::Freeze, &head).await?)))
    }

    /// Puts an application in force, all of a class or none of it, and says what became of each object. With
    /// `dry_run` nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Conflict`](crate::ports::StoreError::Conflict) where somebody else changed the same class at the
    /// same time: nothing of that class is in force then.
    pub async fn apply(
        &self,
        application: &Application,
        now: Timestamp,
        dry_run: bool,
    ) -> Result<Vec<Applied>, RecordError> {
        let heads = self.heads().await?;
        let mut all = Vec::new();
        for (class, (head, version)) in Class::ALL.into_iter().zip(heads.0) {
            let mut next = head.clone();
            let (mut items, mut report) = (Vec::new(), Vec::new());
            for object in application.objects.iter().filter(|object| Class::of(object.kind()) == class) {
                let outcome = self.place(class, object, application, &mut next, &mut items, now).await?;
                report.push(Applied { kind: object.kind(), name: object.metadata.name.clone(), outcome });
            }
            for (kind, name) in removed(application, class, &head) {
                if next.objects.remove(&entry_name(kind, &name)).is_some() {
                    report.push(Applied { kind, name, outcome: Outcome::Pruned });
                }
            }
            if dry_run || next == head {
                all.append(&mut report);
                continue;
            }
            let before = applications::keep(self.store, class, &head).await?;
            next.last = Some(applications::event(class, application, &report, before.as_ref(), now));
            all.append(&mut report);
            next.generation += 1;
            next.schema = items::HEAD.schema;
            for (key, object) in &items {
                typed::put(self.store, key, object, Expect::Any).await?;
            }
            let expect = if version == 0 { Expect::Absent } else { Expect::Version(version) };
            typed::put(self.store, &class.head(), &next, expect).await?;
        }
        Ok(all)
    }

    /// Works out what an object becomes: its metadata filled in from what is in force under its name.
    async fn place(
        &self,
        class: Class,
        object: &Object,
        application: &Application,
        head: &mut Head,
        items: &mut Vec<(Key, Written)>,
        now: Timestamp,
    ) -> Result<Outcome, RecordError> {
        let (name, set) = (entry_name(object.kind(), &object.metadata.name), application.set.as_deref());
        let current = match head.objects.get(&name) {
            Some(entry) => typed::get::<Written>(self.store, object_key(class, &name, &entry.hash)).await?,
            None => None,
        };
        let current = current.map(|versioned| versioned.value.0);
        if let (Some(current), Some(entry)) = (&current, head.objects.get_mut(&name))
            && says_the_same(current, object)
        {
            if set.is_some() {
                entry.set = set.map(ToOwned::to_owned);
            }
            return Ok(Outcome::Unchanged);
        }
        let metadata = Metadata {
            generation: Some(current.as_ref().and_then(|current| current.metadata.generation).unwrap_or(0) + 1),
            resource_version: None,
            created_at: Some(current.as_ref().and_then(|current| current.metadata.created_at).unwrap_or(now)),
            updated_at: Some(now),
            updated_by: application.by.clone(),
            ..object.metadata.clone()
        };
        let placed = Object { metadata, spec: object.spec.clone() };
        let json = serde_json::to_value(&placed).unwrap_or(Value::Null);
        let hash = document::hash(&json);
        items.push((object_key(class, &name, &hash), Written(placed)));
        let set = set.map(ToOwned::to_owned).or_else(|| head.objects.get(&name).and_then(|entry| entry.set.clone()));
        head.objects.insert(name, Entry { hash, set });
        Ok(if current.is_some() { Outcome::Configured } else { Outcome::Created })
    }

    async fn heads(&self) -> Result<Heads, RecordError> {
        let keys = Class::ALL.map(Class::head);
        let items = self.store.get(&keys).await.map_err(failed("reading the configuration's heads"))?;
        let mut heads = Heads(Default::default());
        for (slot, item) in heads.0.iter_mut().zip(items) {
            if let Some(item) = item {
                let head = parse::<Head>(item)?;
                *slot = (head.value, head.version);
            }
        }
        Ok(heads)
    }

    async fn objects(&self, class: Class, head: &Head) -> Result<Vec<Object>, RecordError> {
        let keys: Vec<Key> = head.objects.iter().map(|(name, entry)| object_key(class, name, &entry.hash)).collect();
        let mut objects = Vec::with_capacity(keys.len());
        for keys in keys.chunks(100) {
            let items = self.store.get(keys).await.map_err(failed("reading the configuration"))?;
            for (key, item) in keys.iter().zip(items) {
                objects.push(object(key, item)?);
            }
        }
        Ok(objects)
    }
}

fn generation(heads: &Heads) -> Generation {
    Generation([heads.0[0].0.generation, heads.0[1].0.generation, heads.0[2].0.generation])
}

fn object(key: &Key, item: Option<Item>) -> Result<Object, RecordError> {
    let Some(item) = item else {
        let message = "the head names it, but it is not there".to_owned();
        return Err(RecordError::Shape { key: key.clone(), message });
    };
    let mut object = parse::<Written>(item)?.value.0;
    // The hash in its key changes with every write of the object: exactly what a resourceVersion is.
    object.metadata.resource_version =
        key.sort.rsplit(':').next().and_then(|hash| hash.get(..12)).map(ToOwned::to_owned);
    Ok(object)
}

fn entry_name(kind: Kind, name: &str) -> String {
    format!("{kind}/{name}")
}

fn object_key(class: Class, name: &str, hash: &str) -> Key {
    Key::new(class.partition(), format!("object#{}#{hash}", name.replacen('/', "#", 1)))
}

/// Whether two objects say the same, whatever the store has written into their metadata.
fn says_the_same(current: &Object, wanted: &Object) -> bool {
    let spec = |spec: &Spec| serde_json::to_value(spec).ok();
    current.metadata.labels == wanted.metadata.labels
        && current.metadata.annotations == wanted.metadata.annotations
        && spec(&current.spec) == spec(&wanted.spec)
}

fn removed(application: &Application, class: Class, head: &Head) -> Vec<(Kind, String)> {
    let kept: BTreeSet<String> =
        application.objects.iter().map(|object| entry_name(object.kind(), &object.metadata.name)).collect();
    let by_name = application.delete.iter().filter(|(kind, _)| Class::of(*kind) == class).cloned();
    let pruned = head.objects.iter().filter(|(name, entry)| {
        application.prune
            && class != Class::Freeze
            && entry.set.is_some()
            && entry.set == application.set
            && !kept.contains(*name)
    });
    let pruned = pruned.filter_map(|(name, _)| {
        let (kind, name) = name.split_once('/')?;
        Some((kind.parse().ok()?, name.to_owned()))
    });
    by_name.chain(pruned).collect()
}
