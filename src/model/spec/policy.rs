//! A Policy: what must hold, and edits that make it hold.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::Severity;

/// What must hold of a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// One line that says what must hold.
    pub title: String,
    /// Why it matters, what a fix may break, what to do instead.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// How bad a failure is.
    pub severity: Severity,
    /// The controls of other catalogues that it answers, such as `SecurityHub/ECS.3`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<String>,
    /// What it is about.
    pub resource: ResourceKind,
    /// A CEL expression; false means the policy does not apply (`skip`). Default: it applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Values a Binding may set, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, ParamSpec>,
    /// What is checked. At least one.
    pub checks: Vec<CheckSpec>,
    /// Documents with the verdict they must get: the policy's own tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<ExampleSpec>,
}

/// What a policy is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ResourceKind {
    /// A task definition, judged for each service that runs it.
    TaskDefinition,
    /// A service.
    Service,
    /// A cluster.
    Cluster,
    /// A task set of an EXTERNAL or CODE_DEPLOY service; audit only.
    TaskSet,
    /// A capacity provider; audit only.
    CapacityProvider,
}

/// A value that a Binding may set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParamSpec {
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its type; without it, the type of the default.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<ParamType>,
    /// Its value where no Binding sets one.
    pub default: Value,
}

/// The type of a param.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it all")]
pub enum ParamType {
    String,
    Integer,
    Number,
    Boolean,
    List,
    Map,
}

/// One expression that must hold, for the resource or for each element that `forEach` names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckSpec {
    /// Its name, unique in the policy.
    pub name: String,
    /// A JSON Pointer in which `*` stands for every element of a list or member of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// One name for each `*`, outermost first.
    #[serde(default, rename = "as", skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// A CEL expression; false means this element is not checked. Default: it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The CEL expression that must hold.
    pub require: String,
    /// What a finding says; `{expression}` interpolates.
    pub message: String,
    /// Where a finding points, relative to the element. Default: the first edit's pointer, else the element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What makes it hold: the first whose `when` is true. None: not fixable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<FixSpec>,
}

/// Edits that make a check hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FixSpec {
    /// A CEL expression; false means this fix does not apply. Default: it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Made in this order.
    pub edits: Vec<EditSpec>,
}

/// One edit. Pointers are relative to the innermost element, or to what `on` names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum EditSpec {
    /// Replaces exactly that node; makes missing parents.
    Set {
        /// Where.
        set: String,
        /// What.
        value: EditValue,
        /// The resource's name (`taskDefinition`, …) or a bound name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<String>,
    },
    /// Removes that node; `""` is the element itself.
    Remove {
        /// Where.
        remove: String,
        /// The resource's name or a bound name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<String>,
    },
    /// Adds to a list, replacing the element whose member `key` is equal.
    Append {
        /// The list.
        append: String,
        /// The member that tells elements apart; without it, an equal element is not added twice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Whether `value` gives a list, each element of which is added.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        each: bool,
        /// What.
        value: EditValue,
        /// The resource's name or a bound name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<String>,
    },
}

/// A literal JSON value in which `{cel: "…"}` stands for what the expression gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct EditValue(pub Value);

/// A document with the verdict it must get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExampleSpec {
    /// What it shows.
    pub name: String,
    /// The resource.
    pub given: Value,
    /// Params that differ from the defaults.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// The service around a task definition, where the policy reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Value>,
    /// The cluster around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Value>,
    /// The images that the service runs, container name to digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Value>,
    /// Tags of the resource, by key; those in the document itself need not be said again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The verdict.
    pub expect: Expectation,
    /// Exactly what must be found, in any order. Without it the verdict alone counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<Vec<ExpectedFinding>>,
    /// What the fix makes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<Value>,
}

/// A finding that an example must have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedFinding {
    /// The name of the check that fails.
    pub check: String,
    /// The JSON Pointer it points to.
    pub path: String,
}

/// The verdict an example must get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "as in `Verdict`")]
pub enum Expectation {
    Pass,
    Fail,
    Skip,
    Unknown,
}
