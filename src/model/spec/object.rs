//! The envelope all kinds share.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BindingSpec, FreezeSpec, PolicySpec, StrategySpec, TargetSpec, WaiverSpec};
use crate::model::Timestamp;

/// The version of everything below.
pub const API_VERSION: &str = "plimsoll/v1";

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($spec:ty) = $plural:literal;)*) => {
        /// The kinds that people write.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// All of them, in the order in which they are applied.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Its name in manifests.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind),)* }
            }

            /// Its name on the command line.
            #[must_use]
            pub const fn plural(self) -> &'static str {
                match self { $(Self::$kind => $plural,)* }
            }
        }

        /// What an object says.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Spec { $($(#[$doc])* $kind($spec),)* }

        impl Spec {
            /// Of which kind it is.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind,)* }
            }

            /// Reads the spec of a kind from its JSON.
            ///
            /// # Errors
            /// serde's, where it does not have that kind's shape.
            pub fn from_json(kind: Kind, spec: Value) -> Result<Self, serde_json::Error> {
                match kind { $(Kind::$kind => serde_json::from_value(spec).map(Self::$kind),)* }
            }
        }
    };
}

kinds! {
    /// The stop switch. First, so that a freeze applied together with policies is there before they are.
    Freeze(FreezeSpec) = "freezes";
    /// A time-limited exception. Before policies, for the same reason.
    Waiver(WaiverSpec) = "waivers";
    /// An account and region to watch.
    Target(TargetSpec) = "targets";
    /// How fixes reach services.
    RolloutStrategy(StrategySpec) = "rolloutstrategies";
    /// What must hold.
    Policy(PolicySpec) = "policies";
    /// Where and how policies apply.
    Binding(BindingSpec) = "bindings";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No kind is called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kind; the kinds are Policy, Binding, Waiver, RolloutStrategy, Target and Freeze")]
pub struct ParseKindError(String);

impl FromStr for Kind {
    type Err = ParseKindError;
    /// Reads `Policy`, `policy` and `policies` alike, as kubectl does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = text.to_ascii_lowercase();
        Self::ALL
            .iter()
            .copied()
            .find(|kind| wanted == kind.as_str().to_ascii_lowercase() || wanted == kind.plural())
            .ok_or_else(|| ParseKindError(text.to_owned()))
    }
}

/// Who an object is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Unique among its kind: lower-case letters, digits, `-` and `.`, at most 253.
    pub name: String,
    /// To select by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// To read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Counts changes of the spec. Set by the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Changes with every write. Set by the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// When it was first applied. Set by the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When its spec, labels or annotations last changed. Set by the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// Who changed it last: a person's ARN, or USER@HOST where the store is a file. Set by the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<String>,
}

/// An object as people write it and as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Who it is.
    pub metadata: Metadata,
    /// What it says.
    pub spec: Spec,
}

impl Object {
    /// Of which kind it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.spec.kind()
    }
}

impl Serialize for Object {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut object = serializer.serialize_struct("Object", 4)?;
        object.serialize_field("apiVersion", API_VERSION)?;
        object.serialize_field("kind", self.kind().as_str())?;
        object.serialize_field("metadata", &self.metadata)?;
        object.serialize_field("spec", &self.spec)?;
        object.end()
    }
}

impl<'de> Deserialize<'de> for Object {
    /// Reads what `Serialize` wrote. What people wrote goes through `manifest`, which knows lines and columns.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Envelope {
            kind: Kind,
            metadata: Metadata,
            spec: Value,
        }
        let envelope = Envelope::deserialize(deserializer)?;
        let spec = Spec::from_json(envelope.kind, envelope.spec).map_err(serde::de::Error::custom)?;
        Ok(Self { metadata: envelope.metadata, spec })
    }
}
