//! The port `Store` on one DynamoDB table. Knows nothing of what the items mean.
//!
//! # The table
//!
//! | attribute | type | what |
//! |---|---|---|
//! | `pk` | S, hash key | the partition: a writer class first (`cfg#`, `cmd#`, `rt#`), for IAM's `dynamodb:LeadingKeys` |
//! | `sk` | S, range key | the sort key; DynamoDB orders strings by their UTF-8 bytes |
//! | `version` | N | counts the item's writes, from 1; every conditional write compares it |
//! | `body` | S | the item, as JSON text: a DynamoDB map would lose the order of members |
//! | `writer` | S | a random name of the write that made this version, see below |
//! | `expiresAt` | N | seconds since 1970, rounded up: the table's TTL attribute; absent where the item stays |
//!
//! What the items are, how large, who writes each and what that costs is at the head of `records`.
//!
//! On-demand capacity; no secondary index, no stream, no transaction. Old program, new item: unknown attributes are
//! left alone by reads, and dropped by nobody, because writes are updates of the attributes above.
//!
//! # Writes whose answer was lost
//!
//! A conditional write that timed out may have been applied, and trying it again then fails its own condition. So each
//! write carries a random `writer`: where a later attempt meets a failed condition, the item is read, and if it bears
//! our `writer`, that was us. (Comparing bodies instead would take somebody else's equal write for ours.) A deleted
//! item bears nothing; after a lost answer, an absent item counts as deleted by us, which is what was asked for.

mod item;
mod settings;
mod store;
mod table;
mod write;

pub use settings::SettingState;
pub use store::DynamoStore;
pub use table::{Setting, SettingOutcome};
