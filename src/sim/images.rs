//! The registry: which digest a tag stands for now. Does not know who pulls.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::model::hex;

/// Image references and their digests. A reference nobody has set stands for a digest derived from its own text, so
/// that every image can be pulled unless somebody says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Images {
    tags: BTreeMap<String, String>,
    lost: BTreeSet<String>,
}

impl Images {
    /// From now on `image` stands for `digest`.
    pub(super) fn set(&mut self, image: &str, digest: &str) {
        self.tags.insert(image.to_owned(), digest.to_owned());
    }

    /// From now on nothing with `digest` can be pulled.
    pub(super) fn lose(&mut self, digest: &str) {
        self.lost.insert(digest.to_owned());
    }

    /// The digest that `image` stands for now.
    pub(super) fn resolve(&self, image: &str) -> String {
        if let Some((_, digest)) = image.split_once('@') {
            return digest.to_owned();
        }
        self.tags.get(image).cloned().unwrap_or_else(|| format!("sha256:{}", hex(&Sha256::digest(image.as_bytes()))))
    }

    /// Whether `digest` can be pulled.
    pub(super) fn has(&self, digest: &str) -> bool {
        !self.lost.contains(digest)
    }
}
