//! Task definition documents, compressed, once each, by their hash: kept before anything is replaced, and checked
//! against the hash when used again.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::items::{self, ItemKind};
use super::typed::{self, RecordError, Stored};
use crate::model::{TargetId, document};
use crate::ports::Store;
use crate::ports::store::{Expect, Key};

#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    /// gzip, in hex: a document of 64 KiB comes to some 20 KB, far below any store's limit.
    gzip: String,
}

impl Stored for Kept {
    const ITEM: &'static ItemKind = &items::DOCUMENT;
}

/// The documents of one target.
#[derive(Clone, Copy)]
pub struct Documents<'a> {
    store: &'a dyn Store,
    target: &'a TargetId,
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

    /// Keeps a document and answers with its hash. Keeping it twice is keeping it once.
    ///
    /// # Errors
    /// The store's.
    pub async fn keep(&self, input: &Map<String, Value>) -> Result<String, RecordError> {
        let value = Value::Object(input.clone());
        let hash = document::hash(&value);
        let key = self.key(&hash);
        if typed::get::<Kept>(self.store, key.clone()).await?.is_some() {
            return Ok(hash);
        }
        let shape = |error: std::io::Error| RecordError::Shape { key: key.clone(), message: error.to_string() };
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(value.to_string().as_bytes()).map_err(shape)?;
        let gzip = encoder.finish().map_err(shape)?;
        let hex = gzip.iter().map(|byte| format!("{byte:02x}")).collect();
        typed::put(self.store, &key, &Kept { gzip: hex }, Expect::Any).await?;
        Ok(hash)
    }

    /// The document of that hash, verified.
    ///
    /// # Errors
    /// [`RecordError::Shape`] where what is kept does not have that hash.
    pub async fn get(&self, hash: &str) -> Result<Option<Map<String, Value>>, RecordError> {
        let key = self.key(hash);
        let Some(kept) = typed::get::<Kept>(self.store, key.clone()).await? else { return Ok(None) };
        let shape = |message: &str| RecordError::Shape { key: key.clone(), message: message.to_owned() };
        let bytes = unhex(&kept.value.gzip).ok_or_else(|| shape("it is not hex"))?;
        let mut text = String::new();
        // A task definition is at most 64 KiB; a larger one is not ours.
        GzDecoder::new(bytes.as_slice())
            .take(1 << 20)
            .read_to_string(&mut text)
            .map_err(|_| shape("it is not gzip"))?;
        let value: Value = serde_json::from_str(&text).map_err(|_| shape("it is not JSON"))?;
        if document::hash(&value) != hash {
            return Err(shape("it does not have the hash it was kept by"));
        }
        match value {
            Value::Object(members) => Ok(Some(members)),
            _ => Err(shape("it is not an object")),
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
