//! JSON that is kept for long and read rarely: compressed, and unpacked by whoever asks.
//!
//! Parsed, a document takes about ten times the memory of its text; ten thousand task definitions of 6 KB would take
//! 600 MB. Their text repeats itself, most of all from one document of a fleet to the next, so it is compressed against
//! a dictionary of the first of them (zstd: of the generated fleet's documents LZ4 leaves half as much again, in no less
//! time, for it writes out what cannot be guessed, such as the hexadecimal digits of names).

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::{CCtx, DCtx, compress_bound, get_error_name};

pub use self::service::{PackedService, WrittenService};
use self::tables::{LEAST, TABLES};
use super::observed::TaskDefinition;
use super::wire;

mod service;
mod tables;

/// How much a dictionary learns: of documents a handful, of services some more.
const LEARNED: usize = 32 * 1024;

/// zstd's, of 1 to 22. The third takes a third longer and leaves 3 % less, and the second no less (without the tables).
const LEVEL: i32 = 1;

/// Equal where what was hashed is equal.
pub type Digest = [u8; 32];

/// The hash of a text.
#[must_use]
pub fn digest(text: &[u8]) -> Digest {
    Sha256::digest(text).into()
}

/// JSON as bytes: `to_string` goes through a formatter, in twice the time.
#[must_use]
pub fn text_of(value: &Value) -> Vec<u8> {
    // A value has nothing in it that is no JSON.
    serde_json::to_vec(value).unwrap_or_default()
}

/// What was packed and cannot be read any more: the machine's memory, or a mistake of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what was kept of it cannot be read any more: {why}")]
pub struct UnpackError {
    why: String,
}

/// What texts of a kind have in common, as zstd wants it.
struct Dictionary {
    content: Box<[u8]>,
    packs: EncoderDictionary<'static>,
    unpacks: DecoderDictionary<'static>,
}

impl Dictionary {
    /// `None`: the content is too short for one.
    fn of(content: &[u8]) -> Option<Arc<Self>> {
        (content.len() >= LEAST).then(|| {
            let text = [TABLES, content].concat();
            let (packs, unpacks) = (EncoderDictionary::copy(&text, LEVEL), DecoderDictionary::copy(&text));
            Arc::new(Self { content: content.into(), packs, unpacks })
        })
    }
}

thread_local! {
    /// Room that zstd works in, 160 KB. Nothing stays in it from one text to the next.
    static UNPACKS: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// A JSON text, compressed.
#[derive(Clone)]
pub struct Packed {
    bytes: Box<[u8]>,
    length: usize,
    dictionary: Option<Arc<Dictionary>>,
}

/// Not what it says: that may be secret.
impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} bytes)", self.length)
    }
}

/// Equal where the same was packed against the same.
impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        let which = |packed: &Self| packed.dictionary.as_ref().map(Arc::as_ptr);
        let same = || match (&self.dictionary, &other.dictionary) {
            (Some(one), Some(two)) => one.content == two.content,
            _ => false,
        };
        self.length == other.length && self.bytes == other.bytes && (which(self) == which(other) || same())
    }
}

impl Eq for Packed {}

impl Packed {
    /// Reads it.
    ///
    /// # Errors
    /// [`UnpackError`]; also where it is not the JSON of a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, UnpackError> {
        let mut text = Vec::with_capacity(self.length);
        let unpacked = UNPACKS.with_borrow_mut(|room| match &self.dictionary {
            Some(dictionary) => room.decompress_using_ddict(&mut text, &self.bytes, dictionary.unpacks.as_ddict()),
            None => room.decompress(&mut text, &self.bytes),
        });
        unpacked.map_err(|code| UnpackError { why: get_error_name(code).to_owned() })?;
        serde_json::from_slice(&text).map_err(|error| UnpackError { why: error.to_string() })
    }

    /// How many bytes it takes, without the dictionary.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// Packs texts of a kind.
pub struct Packer {
    dictionary: Option<Arc<Dictionary>>,
    /// What has been seen so far, where the dictionary is still to be learned.
    learns: Option<Vec<u8>>,
    room: CCtx<'static>,
}

/// Not what it has learned: that may be secret.
impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").field("learns", &self.learns.is_some()).finish_non_exhaustive()
    }
}

impl Packer {
    /// One whose dictionary is the first texts that it packs. These are packed without.
    #[must_use]
    pub fn learning() -> Self {
        Self { dictionary: None, learns: Some(Vec::new()), room: CCtx::create() }
    }

    /// One whose dictionary has this content; where that is too short for one, or empty, there is none. Equal texts are packed alike.
    #[must_use]
    pub fn with(content: &[u8]) -> Self {
        Self { dictionary: Dictionary::of(content), learns: None, room: CCtx::create() }
    }

    /// Packs one. What could not be packed, for which there is no reason, is an [`UnpackError`] of whoever reads it.
    pub fn pack(&mut self, text: &[u8]) -> Packed {
        // As much as a text may take that cannot be compressed: then zstd has nothing to refuse.
        let mut bytes = Vec::with_capacity(compress_bound(text.len()));
        let packed = match &self.dictionary {
            Some(dictionary) => self.room.compress_using_cdict(&mut bytes, text, dictionary.packs.as_cdict()),
            None => self.room.compress(&mut bytes, text, LEVEL),
        };
        debug_assert!(packed.is_ok(), "there is room for {} bytes", text.len());
        let packed = Packed { bytes: bytes.into(), length: text.len(), dictionary: self.dictionary.clone() };
        if let Some(seen) = &mut self.learns {
            seen.extend_from_slice(text.get(..LEARNED - seen.len()).unwrap_or(text));
            if seen.len() == LEARNED {
                self.dictionary = self.learns.take().and_then(|seen| Dictionary::of(&seen));
            }
        }
        packed
    }
}

/// As much of DescribeTaskDefinition's answer as [`wire::task_definition`] may refuse.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described<'a> {
    task_definition: Option<Head>,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Head {
    task_definition_arn: Value,
    status: Value,
    registered_by: Value,
    registered_at: Value,
}

/// Where a text cannot be read. Not in serde's words: they may quote what is there.
fn unreadable(error: serde_json::Error) -> String {
    format!("an answer that cannot be read at line {}, column {}", error.line(), error.column())
}

/// A task definition, packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedDefinition(Packed);

impl PackedDefinition {
    /// Packs the text of DescribeTaskDefinition's answer.
    ///
    /// # Errors
    /// In a sentence, where it is not what it should be: what is kept can be read.
    pub fn pack(text: &[u8], packer: &mut Packer) -> Result<Self, String> {
        let Described { task_definition, tags } = serde_json::from_slice(text).map_err(unreadable)?;
        // Which tags a list has is nobody's matter here, and there may be many.
        let tags = match tags.map(RawValue::get) {
            Some(list) if list.starts_with('[') => json!([]),
            Some(other) => serde_json::from_str(other).map_err(unreadable)?,
            None => Value::Null,
        };
        wire::task_definition_of(json!({ "taskDefinition": task_definition, "tags": tags }))
            .map_err(|error| error.to_string())?;
        Ok(Self(packer.pack(text)))
    }

    /// The same, and reads it: for whoever needs it at once, so that the text is gone through only once.
    ///
    /// # Errors
    /// As [`pack`](Self::pack).
    pub fn pack_and_read(text: &[u8], packer: &mut Packer) -> Result<(Self, TaskDefinition), String> {
        let answer: Value = serde_json::from_slice(text).map_err(unreadable)?;
        let definition = wire::task_definition_of(answer).map_err(|error| error.to_string())?;
        Ok((Self(packer.pack(text)), definition))
    }

    /// Packs one that was read already.
    #[must_use]
    pub fn of(definition: &TaskDefinition, packer: &mut Packer) -> Self {
        let answer = json!({ "taskDefinition": definition.document });
        Self(packer.pack(&text_of(&answer)))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`UnpackError`].
    pub fn read(&self) -> Result<TaskDefinition, UnpackError> {
        wire::task_definition_of(self.0.read()?).map_err(|error| UnpackError { why: error.to_string() })
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.size()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn document(number: usize) -> Value {
        json!({ "taskDefinition": {
            "taskDefinitionArn": format!("arn:aws:ecs:eu-west-1:1:task-definition/web-{number}:1"), "family": format!("web-{number}"),
            "containerDefinitions": [{ "name": "app", "image": format!("registry.example.com/web-{number}:1.2.3"), "environment":
                [{ "name": "GREETING", "value": "" }, { "name": "NUMBER", "value": number.to_string() }] }],
            "registeredAt": 1_764_000_000.123, "status": "ACTIVE", "unheardOf": { "z": 1e300, "a": [null, -0.5, 18446744073709551615u64] },
        }, "tags": [{ "key": "team", "value": "" }] })
    }

    #[test]
    fn what_is_unpacked_is_what_was_packed() {
        let mut packer = Packer::learning();
        for number in 0..200 {
            let text = document(number).to_string();
            let packed = PackedDefinition::pack(text.as_bytes(), &mut packer).unwrap();
            let (same, read) = PackedDefinition::pack_and_read(text.as_bytes(), &mut packer).unwrap();
            assert_eq!((packed.read().unwrap(), same.read().unwrap()), (read.clone(), read.clone()));
            assert_eq!(read, wire::task_definition(&document(number)).unwrap());
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_kept_either() {
        for (pointer, wrong) in [
            ("/taskDefinition", json!(null)),
            ("/taskDefinition", json!([])),
            ("/taskDefinition/taskDefinitionArn", json!(null)),
            ("/taskDefinition/taskDefinitionArn", json!("web")),
            ("/taskDefinition/status", json!(1)),
            ("/taskDefinition/registeredBy", json!([])),
            ("/taskDefinition/registeredAt", json!("yesterday")),
            ("/tags", json!({})),
            ("/tags", json!("none")),
        ] {
            let mut answer = document(1);
            let members = pointer.rsplit_once('/').unwrap();
            answer.pointer_mut(members.0).unwrap()[members.1] = wrong.clone();
            let text = answer.to_string();
            let refused = PackedDefinition::pack_and_read(text.as_bytes(), &mut Packer::learning());
            assert!(refused.is_err(), "{pointer} {wrong}");
            let packed = PackedDefinition::pack(text.as_bytes(), &mut Packer::learning());
            assert!(packed.is_err(), "{pointer} {wrong}");
        }
    }

    #[test]
    fn documents_of_one_fleet_take_a_small_part_of_their_text() {
        let mut packer = Packer::learning();
        let text = document(0).to_string();
        for number in 0..100 {
            packer.pack(document(number).to_string().as_bytes());
        }
        let packed = packer.pack(document(7_000).to_string().as_bytes());
        assert!(packed.size() * 5 < text.len(), "{} of {}", packed.size(), text.len());
    }

    #[test]
    fn what_is_unlike_the_tables_and_the_dictionary_is_packed_and_read_all_the_same() {
        let noise = |seed: u64| {
            let bytes = (0..4_000).scan(seed, |state, _| {
                *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                Some(char::from_u32(u32::try_from(*state >> 48).unwrap()).unwrap_or(' '))
            });
            Value::String(bytes.collect())
        };
        let noisy: Vec<Value> = (1..40).map(noise).collect();
        let long = vec![Value::String("a".repeat(100_000)); 5];
        let short = vec![json!({}); 20_000];
        for texts in [noisy, long, short] {
            let mut packer = Packer::learning();
            for text in &texts {
                assert_eq!(packer.pack(&text_of(text)).read::<Value>().unwrap(), *text);
            }
            assert!(packer.dictionary.is_some());
        }
    }

    #[test]
    fn the_tables_spare_a_text_its_own() {
        let content: Vec<u8> = (0..20).flat_map(|number| document(number).to_string().into_bytes()).collect();
        let text = document(7_000).to_string();
        let with_tables = Packer::with(&content).pack(text.as_bytes());
        let mut alone = Vec::with_capacity(compress_bound(text.len()));
        let raw = EncoderDictionary::copy(&content, LEVEL);
        CCtx::create().compress_using_cdict(&mut alone, text.as_bytes(), raw.as_cdict()).unwrap();
        assert!(with_tables.size() < alone.len(), "{} and {}", with_tables.size(), alone.len());
    }

    #[test]
    fn a_content_that_is_too_short_for_a_dictionary_is_none() {
        for length in 0..15 {
            let mut packer = Packer::with(&b"{\"findings\":[]}"[..length]);
            assert_eq!(packer.dictionary.is_some(), length >= LEAST, "{length}");
            assert_eq!(packer.pack(b"{\"findings\":[]}").read::<Value>().unwrap(), json!({ "findings": [] }));
        }
    }

    #[test]
    fn a_dictionary_that_is_given_packs_equal_texts_alike() {
        let mut packer = Packer::with(b"{\"findings\":[");
        assert_eq!(packer.pack(b"{\"findings\":[]}"), packer.pack(b"{\"findings\":[]}"));
    }

    #[test]
    fn what_was_damaged_is_an_error_and_shows_nothing() {
        let mut packed = Packer::learning().pack(br#"{"password":"hunter2"}"#);
        assert!(!format!("{packed:?}").contains("hunter2"));
        packed.bytes = packed.bytes.iter().copied().take(5).collect();
        assert!(packed.read::<Value>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_survives(texts in proptest::collection::vec("\\PC{0,400}", 1..20)) {
            let mut packer = Packer::learning();
            for text in texts {
                let json = Value::String(text.clone()).to_string();
                let packed = packer.pack(json.as_bytes());
                prop_assert_eq!(packed.read::<String>().unwrap(), text);
            }
        }
    }
}
