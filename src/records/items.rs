//! Every kind of item that is kept: where it lives, in which shape, how large it is. Knows nothing of what is in it.
//!
//! The tables at the head of [`records`](super) say the same in words, and more; a test holds them to this list, and the
//! fixtures in `tests/fixtures/records` hold the list to what was really written.

use crate::ports::store::{Key, MAX_BODY_BYTES};

/// A kind of item.
#[derive(Debug, PartialEq, Eq)]
pub struct ItemKind {
    /// Its name, and that of its fixtures.
    pub name: &'static str,
    /// Its partition key; parts in capitals stand for anything.
    pub partition: &'static str,
    /// Its sort key, likewise.
    pub sort: &'static str,
    /// The newest shape of it that this version reads, and the one that it writes. Raise it when an older plimsoll
    /// would misread what is written; keep a fixture of every shape there was.
    pub schema: u32,
    /// The body of a usual one, in bytes of JSON.
    pub typical: usize,
    /// The largest body there can be.
    pub largest: usize,
}

/// What DynamoDB counts besides the body: keys, the names of the attributes, the writer's name, numbers. Rounded up.
const BESIDES: usize = 300;

impl ItemKind {
    /// Whether an item of this kind may live at `key`.
    #[must_use]
    pub fn lives_at(&self, key: &Key) -> bool {
        fits(self.partition, &key.partition) && fits(self.sort, &key.sort)
    }

    /// What a write of so many bytes costs: one write unit for each KB (DynamoDB Developer Guide, "Read/write
    /// capacity"), and the same for a conditional write that is refused.
    #[must_use]
    pub const fn write_units(bytes: usize) -> usize {
        (bytes + BESIDES).div_ceil(1024)
    }
}

/// Whether `text` is what `pattern` says, part by part between the `#`.
fn fits(pattern: &str, text: &str) -> bool {
    let stands_for_anything = |part: &str| part.contains(char::is_uppercase) && !part.contains(char::is_lowercase);
    let (pattern, text): (Vec<&str>, Vec<&str>) = (pattern.split('#').collect(), text.split('#').collect());
    let fits = |(part, text): (&&str, &&str)| if stands_for_anything(part) { !text.is_empty() } else { part == text };
    pattern.len() == text.len() && pattern.iter().zip(&text).all(fits)
}

macro_rules! items {
    ($($name:ident = $text:literal at $partition:literal / $sort:literal, shape $schema:literal,
       $typical:literal to $largest:expr;)*) => {
        $(
            #[doc = concat!("`", $text, "`")]
            pub const $name: ItemKind = ItemKind {
                name: $text,
                partition: $partition,
                sort: $sort,
                schema: $schema,
                typical: $typical,
                largest: $largest,
            };
        )*

        /// All of them.
        pub const ITEMS: &[&ItemKind] = &[$(&$name,)*];
    };
}

items! {
    HEAD = "head" at "cfg#CLASS" / "head", shape 1, 8_000 to MAX_BODY_BYTES;
    OBJECT = "object" at "cfg#CLASS" / "object#KIND#NAME#HASH", shape 1, 4_200 to MAX_BODY_BYTES;
    APPLICATION = "application" at "cfg#CLASS" / "application#NUMBER", shape 1, 3_500 to MAX_BODY_BYTES;
    COMMAND = "command" at "cmd#ACCOUNT/REGION" / "TIME-RANDOM", shape 1, 300 to MAX_BODY_BYTES;
    ANSWER = "answer" at "rt#ACCOUNT/REGION" / "answer#ID", shape 1, 200 to MAX_BODY_BYTES;
    LEASE = "lease" at "rt#ACCOUNT/REGION" / "lease", shape 1, 150 to 1_000;
    TARGET_RECORD = "target-record" at "rt#ACCOUNT/REGION" / "target", shape 1, 700 to MAX_BODY_BYTES;
    ROLLOUT = "rollout" at "rt#ACCOUNT/REGION#rollouts" / "rollout#NAME", shape 1, 1_500 to MAX_BODY_BYTES;
    CHANGE = "change" at "rt#ACCOUNT/REGION#rollouts" / "change#ROLLOUT#NUMBER", shape 1, 2_500 to MAX_BODY_BYTES;
    REGISTRATION = "registration" at "rt#ACCOUNT/REGION#rollouts" / "registration#REVISION#HASH", shape 1,
        500 to MAX_BODY_BYTES;
    HOLD = "hold" at "rt#ACCOUNT/REGION#rollouts" / "hold#ARN#POLICY#FIX", shape 1, 400 to MAX_BODY_BYTES;
    DOCUMENT = "document" at "rt#ACCOUNT/REGION#documents" / "HASH", shape 1, 2_500 to 135_000;
    REPORT = "report" at "rt#ACCOUNT/REGION#reports#SHARD" / "ARN", shape 1, 4_200 to MAX_BODY_BYTES;
    STANDALONE = "standalone" at "rt#ACCOUNT/REGION#standalone" / "REVISION#CLUSTER", shape 1, 2_500 to MAX_BODY_BYTES;
    POLICY_STATUS = "policy-status" at "rt#ACCOUNT/REGION#status" / "Policy#NAME", shape 1, 10_000 to 20_000;
    BINDING_STATUS = "binding-status" at "rt#ACCOUNT/REGION#status" / "Binding#NAME", shape 1, 300 to 1_000;
    WAIVER_STATUS = "waiver-status" at "rt#ACCOUNT/REGION#status" / "Waiver#NAME", shape 1, 400 to 1_000;
    CLUSTER_STATUS = "cluster-status" at "rt#ACCOUNT/REGION#status" / "Cluster#NAME", shape 1, 9_000 to 15_000;
    EVENT = "event" at "rt#ACCOUNT/REGION#events" / "SUBJECT#NUMBER", shape 1, 500 to MAX_BODY_BYTES;
    KNOWN_TARGET = "known-target" at "rt#targets" / "ACCOUNT/REGION", shape 1, 100 to 200;
}

#[cfg(test)]
mod tests;
