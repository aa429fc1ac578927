//! Files into objects, or everything that is wrong with them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::node::{Content, Key, Node, Places, places};
use super::schema::{Schema, schema_to_read};
use super::shape::faults;
use super::source::{Fault, Source};
use super::{Diagnostic, compose, rules};
use crate::model::spec::{Kind, Metadata, Object, Spec};

/// A file larger than this, in bytes, is no manifest.
const MAX_FILE: usize = 8 * 1024 * 1024;
/// Findings told of one file. More are one mistake made often, or no manifest at all.
pub(super) const MAX_FAULTS: usize = 200;

/// An object and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Sourced {
    /// What was written.
    pub object: Object,
    pub(super) source: Arc<Source>,
    pub(super) places: Arc<Places>,
}

impl Sourced {
    /// The name of the file it was read from.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.source.file
    }

    /// Line and column, from 1, of what the JSON Pointer names (of the object: `/spec/checks/0`), or of the nearest
    /// thing around it that was written.
    #[must_use]
    pub fn position(&self, pointer: &str) -> (usize, usize) {
        self.source.position(super::locate::place(&self.places, pointer).map_or(0, |place| place.shown().start))
    }
}

/// Reads the objects of one file's text: YAML, of one or several documents, or JSON. See [`parse_files`].
///
/// # Errors
/// Everything that is wrong, in the order it is written.
pub fn parse(file: &str, text: &str) -> Result<Vec<Sourced>, Vec<Diagnostic>> {
    parse_files(&[(file.to_owned(), text.as_bytes().to_vec())])
}

/// Reads the objects of several files, each given by its name and its bytes, all or nothing. See [`read_files`].
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn parse_files(files: &[(String, Vec<u8>)]) -> Result<Vec<Sourced>, Vec<Diagnostic>> {
    let Reading { objects, findings } = read_files(files);
    if findings.is_empty() { Ok(objects) } else { Err(findings) }
}

/// What could be read of several files, and what could not.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The objects in which nothing is wrong, in the order of the files and as written there.
    pub objects: Vec<Sourced>,
    /// Everything that is wrong, in the same order; at most 200 a file. Where it is not empty, `objects` are good for
    /// finding more that is wrong with each by itself, and for nothing else.
    pub findings: Vec<Diagnostic>,
}

/// Reads what can be read of several files, each given by its name and its bytes.
///
/// *Guarantees.* Ends in time proportional to the bytes given, whatever they are: nesting, aliases, text and findings are
/// bounded. Two objects of the same kind do not have the same name. An object of kind `List` stands for its `items`;
/// documents without content are skipped.
#[must_use]
pub fn read_files(files: &[(String, Vec<u8>)]) -> Reading {
    let mut objects = Vec::new();
    let mut findings = Vec::new();
    let mut seen = HashMap::new();
    for (file, bytes) in files {
        let (source, nodes, mut found) = read(file, bytes);
        let source = Arc::new(source);
        for node in nodes {
            match object(&node) {
                Ok((object, places)) => {
                    let sourced = Sourced { object, source: Arc::clone(&source), places: Arc::new(places) };
                    match twice(&sourced, &mut seen) {
                        Some(fault) => found.push(fault),
                        None => objects.push(sourced),
                    }
                }
                Err(faults) => found.extend(faults),
            }
        }
        found.sort_by_key(|fault| fault.at.start);
        if found.len() > MAX_FAULTS {
            let more = found.len() - MAX_FAULTS;
            found.truncate(MAX_FAULTS);
            let last = found.last().map_or(0..0, |fault| fault.at.clone());
            found.push(Fault::at(last, format!("and {more} more findings in this file")));
        }
        findings.extend(found.iter().map(|fault| source.diagnose(fault)));
    }
    Reading { objects, findings }
}

/// The file's objects as trees, `List`s taken apart.
pub(super) fn read(file: &str, bytes: &[u8]) -> (Source, Vec<Node>, Vec<Fault>) {
    let (source, fault) = text_of(file, bytes);
    if let Some(fault) = fault {
        return (source, Vec::new(), vec![fault]);
    }
    let (documents, faults) = compose::documents(&source.text, compose::OBJECTS);
    (source, documents.into_iter().flat_map(items).collect(), faults)
}

/// A file's text, as far as it is any.
pub(super) fn text_of(file: &str, bytes: &[u8]) -> (Source, Option<Fault>) {
    if bytes.len() > MAX_FILE {
        let fault = Fault::at(0..0, format!("the file is larger than {} MiB", MAX_FILE / (1024 * 1024)));
        return (Source::of(file, String::new()), Some(fault));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => (Source::of(file, text.to_owned()), None),
        Err(error) => {
            let good = error.valid_up_to();
            let text = String::from_utf8_lossy(bytes.get(..good).unwrap_or_default()).into_owned();
            let fault = Fault::at(good..good, "the file is not UTF-8 from here on");
            (Source::of(file, text), Some(fault.help("save it as UTF-8".to_owned())))
        }
    }
}

/// What `get KIND -o yaml` prints may be applied again.
fn items(document: Node) -> Vec<Node> {
    let is_list = document.get("kind").and_then(Node::text) == Some("List");
    match document.content {
        Content::Map(members) if is_list => {
            let items = members.into_iter().find(|(key, _)| key.name == "items").map(|(_, node)| node.content);
            if let Some(Content::List(items)) = items { items } else { Vec::new() }
        }
        _ => vec![document],
    }
}

/// One object from its tree.
fn object(node: &Node) -> Result<(Object, Places), Vec<Fault>> {
    let Content::Map(_) = &node.content else {
        let fault = Fault::at(node.at.clone(), format!("expected an object, found {}", node.noun()));
        return Err(vec![fault.help("an object has `apiVersion`, `kind`, `metadata` and `spec`".to_owned())]);
    };
    let written = node.get("kind").and_then(Node::text);
    let kind = Kind::ALL.iter().copied().find(|kind| Some(kind.as_str()) == written);
    let mut found = faults(node, Schema::of(schema_to_read(kind)));
    let places = places(node);
    let part = |name: &str| node.get(name).map(Node::to_json).unwrap_or_default();
    let metadata = serde_json::from_value::<Metadata>(part("metadata"));
    if let Ok(metadata) = &metadata {
        found.extend(rules::metadata_faults(metadata, &places));
    }
    if let (Some(kind), false, Ok(metadata)) = (kind, found.is_empty(), &metadata) {
        found.extend(of_the_rest(kind, metadata, node, &places, &found));
    }
    let (Some(kind), true) = (kind, found.is_empty()) else { return Err(found) };
    // The schema comes from the same types; an error here is what it cannot say.
    let unreadable = |error| vec![Fault::at(node.first(), format!("{kind} cannot be read: {error}"))];
    let object = Object {
        metadata: metadata.map_err(unreadable)?,
        spec: Spec::from_json(kind, part("spec")).map_err(unreadable)?,
    };
    found.extend(rules::faults(&object, &places));
    if found.is_empty() { Ok((object, places)) } else { Err(found) }
}

/// What stands in for a member that has another shape than it should, so that the others can be read: nothing, or what
/// members that must be there and have a grammar are read as.
const STAND_INS: [Option<&str>; 2] = [None, Some("2000-01-01T00:00:00Z")];

/// What else is wrong with an object that has not the shape of its kind: of those members of its spec that are as they should
/// be. Whoever mends one mistake is not told of the next one only then.
fn of_the_rest(kind: Kind, metadata: &Metadata, node: &Node, places: &Places, found: &[Fault]) -> Vec<Fault> {
    let Some(Node { content: Content::Map(members), .. }) = node.get("spec") else { return Vec::new() };
    let within = |fault: &Fault, (key, member): &(Key, Node)| {
        (key.at.start..=member.at.end.max(key.at.end)).contains(&fault.at.start)
    };
    let (wrong, right_ones): (Vec<_>, Vec<_>) =
        members.iter().partition(|member| found.iter().any(|fault| within(fault, member)));
    for stand_in in STAND_INS {
        let right = right_ones.iter().map(|(key, member)| (key.name.clone(), member.to_json()));
        let wrong_ones = wrong.iter().filter_map(|(key, _)| Some((key.name.clone(), stand_in?.into())));
        let spec = serde_json::Value::Object(right.chain(wrong_ones).collect());
        if let Ok(spec) = Spec::from_json(kind, spec) {
            let object = Object { metadata: metadata.clone(), spec };
            let mut more = rules::faults(&object, places);
            // What is missing is pointed at elsewhere, and may be what another name was meant for.
            more.retain(|fault| right_ones.iter().any(|member| within(fault, member)));
            return more;
        }
    }
    Vec::new()
}

/// The fault of an object whose kind and name were read before.
fn twice(sourced: &Sourced, seen: &mut HashMap<(Kind, String), String>) -> Option<Fault> {
    let (kind, name) = (sourced.object.kind(), &sourced.object.metadata.name);
    let (line, _) = sourced.position("/metadata/name");
    let here = format!("{}:{line}", sourced.file());
    let first = match seen.entry((kind, name.clone())) {
        Entry::Vacant(free) => {
            free.insert(here);
            return None;
        }
        Entry::Occupied(first) => first.into_mut(),
    };
    let at = sourced.places.get("/metadata/name").map_or(0..0, |place| place.shown());
    let fault = Fault::at(at, format!("{kind} `{name}` is defined twice"));
    Some(fault.help(format!("the other is at {first}")))
}
