//! The kinds that people write, as they write them. Knows nothing of YAML, of storage or of what the words lead to.

mod alarm;
mod amount;
mod binding;
mod object;
mod policy;
mod scope;
mod strategy;
mod waiver;

pub use alarm::{AlarmSelector, TagValues, TaggedAlarms};
pub use amount::{Amount, ParseAmountError, Percent, WaveSize};
pub use binding::{BindingSpec, Enforcement, FreezeSpec, PolicySelector, TargetSpec};
pub use object::{API_VERSION, Kind, Metadata, Object, Spec};
pub use policy::{
    CheckSpec, EditSpec, EditValue, ExampleSpec, Expectation, ExpectedFinding, FixSpec, ParamSpec, ParamType,
    PolicySpec, ResourceKind,
};
pub use scope::{LaunchType, Scope, Selector};
pub use strategy::{Approval, HealthSpec, IacMode, ImagePolicy, OnFailure, StrategySpec, WaveSpec, WindowSpec};
pub use waiver::{A_YEAR, EXPIRING, Need, Term, WaiverSpec, days_until};
