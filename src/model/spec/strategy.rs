//! How a fix reaches services: waves, budgets, gates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AlarmSelector, Amount, Percent, Scope, Selector, WaveSize};
use crate::model::Span;

/// How a fix reaches services. Every member has the default of DESIGN's "Defaults".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StrategySpec {
    /// In this order. What no wave takes goes into one more at the end.
    pub waves: Vec<WaveSpec>,
    /// Changes at once, going back included, of all rollouts of the strategy in the target.
    pub max_in_flight: u32,
    /// Of the target's services, those that cannot be touched yet included: a larger plan waits as Proposed. `None`: 10 %, but at least 10 services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_affected: Option<Amount>,
    /// Changes that may move their resource in any 24 hours, of all rollouts of the strategy; going back is not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_changes_per_day: Option<u32>,
    /// Failed changes the rollout tolerates; one more and `onFailure` happens.
    pub max_failures: Amount,
    /// What happens then. A failed change itself is always taken back and held.
    pub on_failure: OnFailure,
    /// When a change counts as landed.
    pub health: HealthSpec,
    /// When changes may start. Empty: always.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowSpec>,
    /// What waits for a person.
    pub approval: Approval,
    /// What to do with images named by a mutable tag.
    pub images: ImagePolicy,
    /// For services that a stack manages.
    pub iac: IacMode,
    /// Whose registrations count as a stack's, besides CloudFormation's tags on the service: globs over the principal that
    /// ECS names in `registeredBy`, such as `arn:aws:sts::*:assumed-role/terraform/*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub iac_principals: Vec<String>,
    /// How often somebody else may put a violation back before it is only proposed.
    pub contested_after: u32,
}

impl Default for StrategySpec {
    fn default() -> Self {
        let wave = |name: &str, size, bake| WaveSpec { name: Some(name.to_owned()), size, bake, ..WaveSpec::default() };
        // The literal is at most 100.
        let quarter = Percent::new(25).map_or(WaveSize::Rest, |share| WaveSize::Amount(Amount::Share(share)));
        Self {
            waves: vec![
                wave("canary", WaveSize::Amount(Amount::Count(1)), Span::from_secs(5 * 60)),
                wave("quarter", quarter, Span::default()),
                wave("rest", WaveSize::Rest, Span::default()),
            ],
            max_in_flight: 5,
            max_affected: None,
            max_changes_per_day: None,
            max_failures: Amount::Count(0),
            on_failure: OnFailure::Pause,
            health: HealthSpec::default(),
            windows: Vec::new(),
            approval: Approval::None,
            images: ImagePolicy::RefuseLatest,
            iac: IacMode::Propose,
            iac_principals: Vec::new(),
            contested_after: 2,
        }
    }
}

impl StrategySpec {
    /// How many services a plan may touch without a person's approval.
    #[must_use]
    pub fn affected_limit(&self, services: usize) -> usize {
        match self.max_affected {
            Some(limit) => limit.of_rounded_down(services),
            None => (services / 10).max(10),
        }
    }
}

/// A group of changes that goes together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WaveSpec {
    /// Its name. Omitted: its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many changes.
    pub size: WaveSize,
    /// Only what this matches.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// How long to watch after its last change was verified.
    pub bake: Span,
    /// Changes at once while this wave is under way, instead of the strategy's, larger or smaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Failures this wave may have and the next still start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<Amount>,
}

impl WaveSpec {
    /// What `where` says, as a scope; `None`: everything.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        self.selector.clone().map(|include| Scope { include, exclude: Selector::default() })
    }
}

impl Default for WaveSpec {
    fn default() -> Self {
        Self {
            name: None,
            size: WaveSize::Rest,
            selector: None,
            bake: Span::default(),
            max_in_flight: None,
            max_failures: None,
        }
    }
}

/// When a change counts as landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HealthSpec {
    /// How long a change may make no progress before it has failed.
    pub progress_timeout: Span,
    /// How long its tasks must have been running and alone.
    pub steady_for: Span,
    /// CloudWatch alarms, by name or by tags. No wave starts while one is in ALARM; one that goes into ALARM while a wave
    /// is under way or being watched takes that wave back. One whose state is not known holds both up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<AlarmSelector>,
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self { progress_timeout: Span::from_secs(20 * 60), steady_for: Span::from_secs(60), alarms: Vec::new() }
    }
}

/// When changes may start, or (with `deny`) may not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowSpec {
    /// A cron expression (minute hour day month weekday): when it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
    /// A cron expression: when it closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<String>,
    /// For how long.
    #[serde(rename = "for")]
    pub length: Span,
    /// An IANA time zone.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// What happens when more changes failed than tolerated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Nothing more starts until a person says so.
    #[default]
    Pause,
    /// All that was changed is taken back.
    Rollback,
    /// The rest goes on.
    Continue,
}

/// What waits for a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Approval {
    /// Nothing.
    #[default]
    None,
    /// The first wave.
    Before,
    /// Every wave.
    EachWave,
}

/// What to do with images named by a mutable tag: a new deployment resolves the tag again and may ship other code
/// (aws/containers-roadmap#2393).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImagePolicy {
    /// Refuse untagged images and `:latest`.
    #[default]
    RefuseLatest,
    /// Refuse anything but a digest.
    Refuse,
    /// Pin the digest that runs.
    Pin,
    /// Deploy whatever the tag says now.
    Allow,
}

/// For services that a stack manages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IacMode {
    /// Plan, show the patch for the code, wait for approval.
    #[default]
    Propose,
    /// Roll out all the same.
    Enforce,
}
