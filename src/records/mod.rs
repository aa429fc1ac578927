//! What is kept in the store, item by item, as types. Knows the `Store` port and nothing behind it.
//!
//! # Where items are, and what they cost
//!
//! Every item is one JSON body under two keys, with a version that each write counts, the random name of its writer, and
//! for what may go by itself, a time (the attributes are at the head of `aws::dynamo`). Sizes are bytes of the body, of
//! a usual one and of the largest; 350 KiB is where every store refuses. A write costs so many write units of DynamoDB:
//! one for each KB of body, keys and attributes, whether its condition holds or not; a strongly consistent read costs one
//! read unit for each 4 KB. `items` has the same as data, and tests hold both to items that were really written.
//!
//! | item | partition | sort key | usual | largest | write units |
//! |---|---|---|---|---|---|
//! | `head` | `cfg#CLASS` | `head` | 8,000 | 350 KiB | 9 to 351 |
//! | `object` | `cfg#CLASS` | `object#KIND#NAME#HASH` | 4,200 | 350 KiB | 5 to 351 |
//! | `application` | `cfg#CLASS` | `application#NUMBER` | 3,500 | 350 KiB | 4 to 351 |
//! | `command` | `cmd#ACCOUNT/REGION` | `TIME-RANDOM` | 300 | 350 KiB | 1 to 351 |
//! | `answer` | `rt#ACCOUNT/REGION` | `answer#ID` | 200 | 350 KiB | 1 to 351 |
//! | `lease` | `rt#ACCOUNT/REGION` | `lease` | 150 | 1,000 | 1 to 2 |
//! | `target-record` | `rt#ACCOUNT/REGION` | `target` | 700 | 350 KiB | 1 to 351 |
//! | `rollout` | `rt#ACCOUNT/REGION#rollouts` | `rollout#NAME` | 1,500 | 350 KiB | 2 to 351 |
//! | `change` | `rt#ACCOUNT/REGION#rollouts` | `change#ROLLOUT#NUMBER` | 2,500 | 350 KiB | 3 to 351 |
//! | `registration` | `rt#ACCOUNT/REGION#rollouts` | `registration#REVISION#HASH` | 500 | 350 KiB | 1 to 351 |
//! | `hold` | `rt#ACCOUNT/REGION#rollouts` | `hold#ARN#POLICY#FIX` | 400 | 350 KiB | 1 to 351 |
//! | `document` | `rt#ACCOUNT/REGION#documents` | `HASH` | 2,500 | 135,000 | 3 to 133 |
//! | `report` | `rt#ACCOUNT/REGION#reports#SHARD` | `ARN` | 4,200 | 350 KiB | 5 to 351 |
//! | `standalone` | `rt#ACCOUNT/REGION#standalone` | `REVISION#CLUSTER` | 2,500 | 350 KiB | 3 to 351 |
//! | `policy-status` | `rt#ACCOUNT/REGION#status` | `Policy#NAME` | 10,000 | 20,000 | 11 to 20 |
//! | `binding-status` | `rt#ACCOUNT/REGION#status` | `Binding#NAME` | 300 | 1,000 | 1 to 2 |
//! | `waiver-status` | `rt#ACCOUNT/REGION#status` | `Waiver#NAME` | 400 | 1,000 | 1 to 2 |
//! | `cluster-status` | `rt#ACCOUNT/REGION#status` | `Cluster#NAME` | 9,000 | 15,000 | 10 to 15 |
//! | `event` | `rt#ACCOUNT/REGION#events` | `SUBJECT#NUMBER` | 500 | 350 KiB | 1 to 351 |
//! | `known-target` | `rt#targets` | `ACCOUNT/REGION` | 100 | 200 | 1 to 1 |
//!
//! # What they are for
//!
//! | item | what it is | who writes it, and when | why it is kept |
//! |---|---|---|---|
//! | `head` | which objects of a class are in force, and a generation | people: the one conditional write of an `apply` | makes configuration atomic, and tells who wrote it; it is the cheap poll and the freeze check |
//! | `object` | one Policy, Binding, …, immutable | people, before the head | what people want; a rollout in progress is held against it |
//! | `application` | who applied or deleted what, and when | people, before the head that told of it is replaced; goes after 400 days | who froze, waived or changed a policy, also of what is gone |
//! | `command` | what a person asks, and who | people; goes after 30 days | it may wait for a controller that is down |
//! | `answer` | what became of a Command | the lease holder, once; goes 60 days later | so that it is carried out once, whoever dies in between |
//! | `lease` | who may write here | controllers, each third of its length | without it two of them would move the same services |
//! | `target-record` | counters, conditions, fixes that wait for a person | the lease holder, with a full pass | names are not given twice, and what stopped stays stopped |
//! | `rollout` | one campaign and how far it is | the lease holder, with every step | recovery goes on from it, through the same `step` |
//! | `change` | one resource's way, with its history | the lease holder, before and after every call | the intent is there before the effect |
//! | `registration` | a revision that is to be made, or was, and what was deregistered of it | the lease holder, before and after each call | RegisterTaskDefinition has no token: a lost answer is looked for by it |
//! | `hold` | a fix that stays off a resource | the lease holder, on failure, undo or Command | an undo that did not outlast the next pass would be none |
//! | `document` | a task definition document, compressed, once | the lease holder, before anything is replaced | ECS may lose it: undo brings it back, checked by its hash |
//! | `report` | what was last found of a service or cluster | the lease holder, where it changed | `get services` and the pages answer without AWS |
//! | `standalone` | what was found outside of services | the lease holder, where it changed | likewise |
//! | `policy-status` | how a Policy stands there; 90 days of daily figures | the lease holder, where it changed and once a day | the evidence for enforcing it |
//! | `binding-status` | how many policies and resources a Binding matches there | the lease holder, where it changed | a Binding that matches nothing is seen |
//! | `waiver-status` | what a Waiver covers there, and what was told of it | the lease holder, where it changed | it is told once that it ends or is not needed |
//! | `cluster-status` | 90 days of daily figures of a cluster, of at most 1,000 clusters | the lease holder, where it changed and once a day | compliance by cluster, over time |
//! | `event` | one entry of the log, chained to the one before | the lease holder, after what it tells; goes after 400 days | who did what, when and why, verifiably |
//! | `known-target` | that there is such a target | a controller, at its first pass there | lists begin with it |
//!
//! Nothing that decides anything goes by itself: only events and applications past their retention, and Commands that nobody has carried
//! out for a month, with their answers.
//!
//! # Shapes
//!
//! Every body names its shape in `schema` (without it, it is 1). A newer program reads every older shape: a fixture of
//! each is kept in `tests/fixtures/records` for ever. An older program refuses a newer shape by name, and does nothing
//! with the rest either: what it would leave out might be what a later version decided by. Members are added with a
//! default and without a new shape where an older program may ignore them; it keeps none of them when it writes.
//!
//! # Rights
//!
//! The writer's class comes first in the key, so that IAM's `dynamodb:LeadingKeys` can part people's rights: who may change
//! policies, who may waive, who may freeze, who may ask. Every class of configuration (`policy`, `waiver`, `freeze`) has a
//! head of its own for the same reason; an `apply` that spans classes writes freezes first, then waivers, then policies.
//!
//! # When an edit takes effect
//!
//! The lease holder looks at the heads every four seconds between passes (one read of three small items), and reads the
//! rest only where a generation has changed. A pass that is reading the fleet looks as often, and carries out Commands: from
//! an edit on nothing begins by what it had read, and another pass follows it. Freezes are looked at before every write.
//! What an edit does to a rollout in progress:
//!
//! - A change that has not begun, or is only registered, is held against the new plan before it may move. It is dropped
//!   where it is not asked for any more (waived, out of scope, no longer enforced, another fix); a revision that was
//!   registered for it is deregistered.
//! - A change from `Updating` on finishes as it began, and is taken back if it fails: half a deployment is in nobody's
//!   policy.
//! - A RolloutStrategy is taken as it was when the rollout was made; an edit counts for the next one.
//! - A Freeze stops every write in its scope but those that take back; lifting it lets the rollout go on.
//! - What the edit newly asks for becomes a rollout of its own once its strategy has none open.

pub mod applications;
pub mod campaign;
pub mod command;
pub mod configuration;
pub mod documents;
pub mod events;
pub mod history;
pub mod items;
pub mod lease;
pub mod reports;
pub mod standalone;
pub mod statuses;
pub mod summed;
pub mod targets;
mod typed;

pub use typed::{RecordError, Stored, Versioned};
