//! Task definition documents, compressed, once each, by their hash: kept before anything is replaced, and checked
//! against the hash when used again.
//!
//! One that is missing or damaged is a matter of whoever needs it, and stops nothing else: [`Lost`] says how.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::items::{self, ItemKind};
use super::typed::{self, RecordError, Stored};
use crate::model::{Reason, ReasonCode, TargetId, document, hex};
use crate::ports::store::{Expect, Item, Key};
use crate::ports::{Store, StoreError};

#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    /// gzip, in hex: a document of 64 KiB comes to some 20 KB, far below any store's limit.
    gzip: String,
}

impl Stored for Kept {
    const ITEM: &'static ItemKind = &items::DOCUMENT;
}

/// A document that was kept and is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Nothing is there.
    #[error("the recorded document `{hash}` is not in the store any more")]
    Missing {
        /// The hash it was kept by.
        hash: String,
    },
    /// What is there is not what was kept.
    #[error("the recorded document `{hash}` is damaged in the store: {how}")]
    Damaged {
        /// The hash it was kept by.
        hash: String,
        /// What is wrong with it.
        how: String,
    },
}

impl Lost {
    /// The reason that whoever needs it does not go on for.
    #[must_use]
    pub fn reason(&self) -> Reason {
        Reason::of(ReasonCode::DocumentLost, self.to_string())
    }
}

/// How often a document is looked at again that somebody else keeps at the same time.
const LOOKS: usize = 3;

/// The documents of one target.
#[derive(Clone, Copy)]
pub struct Documents<'a> {
    store: &'a dyn Store,
    target: &'a TargetId,
}

/// What is stored by a hash.
enum Found {
    /// Nothing.
    Nothing,
    /// What was kept.
    Whole(Map<String, Value>),
    /// Something else, under that version, where it has one.
    Damaged { how: String, version: Option<u64> },
}

impl<'a> Documents<'a> {
    /// Of this target in this store.
    #[must_use]
    pub fn of(store: &'a dyn Store, target: &'a TargetId) -> Self {
        Self { store, target }
    }

    fn key(&self, hash: &str) -> Key {
        Key::new(format!("rt#{}#documents", self.target), hash)
    }

    /// Keeps a document and answers with its hash. Keeping it twice is keeping it once; what is stored by its hash and is
    /// damaged is replaced.
    ///
    /// # Errors
    /// The store's.
    pub async fn keep(&self, input: &Map<String, Value>) -> Result<String, RecordError> {
        let value = Value::Object(input.clone());
        let hash = document::hash(&value);
        let key = self.key(&hash);
        let kept = Kept { gzip: packed(&value).map_err(|message| RecordError::Shape { key: key.clone(), message })? };
        for look in 1.. {
            let expect = match self.find(&hash).await? {
                Found::Whole(_) => break,
                Found::Nothing => Expect::Absent,
                Found::Damaged { how, version } => {
                    tracing::warn!(target_id = %self.target, hash, how, "a recorded document was damaged, and is kept anew");
                    version.map_or(Expect::Any, Expect::Version)
                }
            };
            match typed::put(self.store, &key, &kept, expect).await {
                Ok(_) => break,
                // Somebody else keeps it too: what they wrote is looked at like anything else.
                Err(error) if error.is_conflict() && look < LOOKS => {}
                Err(error) => return Err(error),
            }
        }
        Ok(hash)
    }

    /// The document of that hash, verified; or how it was lost.
    ///
    /// # Errors
    /// The store's.
    pub async fn get(&self, hash: &str) -> Result<Result<Map<String, Value>, Lost>, RecordError> {
        let hash = || hash.to_owned();
        Ok(match self.find(&hash()).await? {
            Found::Whole(document) => Ok(document),
            Found::Nothing => Err(Lost::Missing { hash: hash() }),
            Found::Damaged { how, .. } => Err(Lost::Damaged { hash: hash(), how }),
        })
    }

    async fn find(&self, hash: &str) -> Result<Found, RecordError> {
        let key = self.key(hash);
        let item = match self.store.get(std::slice::from_ref(&key)).await {
            Ok(mut items) => items.pop().flatten(),
            Err(StoreError::Corrupt { message, .. }) => return Ok(Found::Damaged { how: message, version: None }),
            Err(error) => return Err(typed::failed(format!("reading `{}`", key.sort))(error)),
        };
        let Some(item) = item else { return Ok(Found::Nothing) };
        let version = Some(item.version);
        match unpacked(item, hash) {
            Ok(document) => Ok(Found::Whole(document)),
            // Not damaged: a later version's, which this one must not write over.
            Err(error @ RecordError::Newer { .. }) => Err(error),
            Err(RecordError::Shape { message, .. }) => Ok(Found::Damaged { how: message, version }),
            Err(error) => Err(error),
        }
    }
}

/// As it is kept.
fn packed(value: &Value) -> Result<String, String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(value.to_string().as_bytes()).map_err(|error| error.to_string())?;
    let gzip = encoder.finish().map_err(|error| error.to_string())?;
    Ok(hex(&gzip))
}

/// What an item keeps, if it has that hash.
fn unpacked(item: Item, hash: &str) -> Result<Map<String, Value>, RecordError> {
    let key = item.key.clone();
    let shape = |message: &str| RecordError::Shape { key: key.clone(), message: message.to_owned() };
    let kept = typed::parse::<Kept>(item)?;
    let bytes = unhex(&kept.value.gzip).ok_or_else(|| shape("it is not hex"))?;
    let mut text = String::new();
    // A task definition is at most 64 KiB; a larger one is not ours.
    GzDecoder::new(bytes.as_slice()).take(1 << 20).read_to_string(&mut text).map_err(|_| shape("it is not gzip"))?;
    let value: Value = serde_json::from_str(&text).map_err(|_| shape("it is not JSON"))?;
    if document::hash(&value) != hash {
        return Err(shape("it does not have the hash it was kept by"));
    }
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(shape("it is not an object")),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::embedded::EmbeddedStore;

    fn target() -> TargetId {
        TargetId { account: "123456789012".to_owned(), region: "eu-west-1".to_owned() }
    }

    fn document(family: &str) -> Map<String, Value> {
        Map::from_iter([("family".to_owned(), json!(family)), ("empty".to_owned(), json!(""))])
    }

    #[tokio::test]
    async fn what_is_damaged_is_told_by_whoever_reads_and_replaced_by_whoever_keeps() {
        let (store, target) = (EmbeddedStore::in_memory().unwrap(), target());
        let documents = Documents::of(&store, &target);
        let other = documents.keep(&document("other")).await.unwrap();
        let others = store.get(&[documents.key(&other)]).await.unwrap().remove(0).unwrap().body;
        let hash = documents.keep(&document("web")).await.unwrap();
        for (what, body) in [
            ("hash", others),
            ("hex", json!({ "gzip": "zz" }).as_object().unwrap().clone()),
            ("gzip", json!({ "gzip": "00ff" }).as_object().unwrap().clone()),
            ("missing field", json!({ "schema": 1 }).as_object().unwrap().clone()),
        ] {
            store.put(&documents.key(&hash), &body, Expect::Any, None).await.unwrap();
            let lost = documents.get(&hash).await.unwrap().unwrap_err();
            assert!(matches!(&lost, Lost::Damaged { how, .. } if how.contains(what)), "{what}: {lost}");
            assert!(lost.reason().message.contains(&hash), "{lost}");
            assert_eq!(documents.keep(&document("web")).await.unwrap(), hash);
            assert_eq!(documents.get(&hash).await.unwrap(), Ok(document("web")), "{what}");
        }
        store.delete(&documents.key(&hash), Expect::Any).await.unwrap();
        assert_eq!(documents.get(&hash).await.unwrap(), Err(Lost::Missing { hash }));
    }

    #[tokio::test]
    async fn what_a_later_plimsoll_kept_is_not_written_over() {
        let (store, target) = (EmbeddedStore::in_memory().unwrap(), target());
        let documents = Documents::of(&store, &target);
        let hash = documents.keep(&document("web")).await.unwrap();
        let later = json!({ "schema": 2, "zstd": "" }).as_object().unwrap().clone();
        store.put(&documents.key(&hash), &later, Expect::Any, None).await.unwrap();
        assert!(matches!(documents.keep(&document("web")).await, Err(RecordError::Newer { .. })));
        assert!(matches!(documents.get(&hash).await, Err(RecordError::Newer { .. })));
        assert_eq!(store.get(&[documents.key(&hash)]).await.unwrap().remove(0).unwrap().body, later);
    }
}
