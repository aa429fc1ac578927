//! YAML that was written for ECS or CloudFormation: values with the place of everything in them. Knows none of their
//! schemas.

use serde_json::Value;

use super::node::{Node, Places, Style, places};
use super::source::{Fault, Source};
use super::{Diagnostic, compose, read};

/// The documents of a file, as one value. A short form of CloudFormation's (`!Sub x`) is there as the long form it
/// stands for (`{"Fn::Sub": "x"}`).
#[derive(Debug)]
pub struct Written {
    value: Value,
    documents: usize,
    source: Source,
    places: Places,
}

impl Written {
    /// The document; of several, a list of them.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// How many documents there are: never none.
    #[must_use]
    pub const fn documents(&self) -> usize {
        self.documents
    }

    /// Line and column, from 1, of what a JSON Pointer into the value names, by its name where it has one; of what is
    /// not written, of the nearest thing around it.
    #[must_use]
    pub fn position(&self, pointer: &str) -> (usize, usize) {
        let place = super::locate::place(&self.places, pointer);
        let at = place.map_or(0, |place| place.key.as_ref().map_or(place.value.start, |key| key.start));
        self.source.position(at)
    }

    /// Whether the text at the pointer was written without quotes: then other readers than this one may take it for a
    /// number or a boolean.
    #[must_use]
    pub fn is_plain(&self, pointer: &str) -> bool {
        self.places.get(pointer).is_some_and(|place| place.style == Some(Style::Plain))
    }

    /// Line and column of the first short form of a function, if there is any.
    #[must_use]
    pub fn short_form(&self) -> Option<(usize, usize)> {
        let keys = self.places.values().filter_map(|place| place.key.as_ref());
        let is_tag = |at: &usize| self.source.text.get(*at..).is_some_and(|text| text.starts_with('!'));
        keys.map(|key| key.start).filter(is_tag).min().map(|at| self.source.position(at))
    }
}

/// Reads YAML that is none of our objects.
///
/// *Guarantees.* Ends in time proportional to the bytes given, whatever they are; see [`read_files`](super::read_files).
///
/// # Errors
/// Everything that is wrong with it as YAML, in the order it is written; never an empty list.
pub fn read_yaml(file: &str, bytes: &[u8]) -> Result<Written, Vec<Diagnostic>> {
    let (source, fault) = read::text_of(file, bytes);
    if let Some(fault) = fault {
        return Err(vec![source.diagnose(&fault)]);
    }
    let (mut nodes, mut faults) = compose::documents(&source.text, compose::DOCUMENTS);
    if faults.is_empty() && nodes.is_empty() {
        faults.push(Fault::at(0..0, "there is nothing in this file"));
    }
    if !faults.is_empty() {
        faults.sort_by_key(|fault| fault.at.start);
        faults.truncate(read::MAX_FAULTS);
        return Err(faults.iter().map(|fault| source.diagnose(fault)).collect());
    }
    let documents = nodes.len();
    let root = match (documents, nodes.pop()) {
        (1, Some(node)) => node,
        (_, last) => {
            nodes.extend(last);
            Node { at: 0..0, content: super::node::Content::List(nodes) }
        }
    };
    Ok(Written { value: root.to_json(), documents, places: places(&root), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_its_place_and_several_documents_are_a_list() {
        let written = read_yaml("f.yaml", b"a:\n  b: !Sub x\n  c: 'yes'\n---\nd: yes\n").unwrap();
        assert_eq!(written.documents(), 2);
        assert_eq!(written.position("/0/a/b/Fn::Sub"), (2, 6));
        assert_eq!(written.position("/0/a/c"), (3, 3));
        assert_eq!(written.position("/0/a/missing"), (1, 1));
        assert!(written.is_plain("/1/d") && !written.is_plain("/0/a/c"));
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_place() {
        for (bytes, told) in [
            (&b""[..], "f:1:1: there is nothing in this file"),
            (b"a: \xff", "f:1:4: the file is not UTF-8 from here on"),
            (b"a: [1\n", "f:1:4: this is not YAML"),
        ] {
            let found = read_yaml("f", bytes).unwrap_err();
            assert!(found[0].to_string().starts_with(told), "{found:?}");
        }
    }
}
