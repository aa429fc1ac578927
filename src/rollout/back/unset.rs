//! Taking a setting back: by the values that it had, and only while it is as we set it.
//!
//! Knows nothing of revisions, and of deployments no more than whose the primary one is.

use serde_json::{Map, Value};

use super::{Going, unknown_until};
use crate::model::observed::Deployment;
use crate::model::{ChangeKind, Reason, ReasonCode, Timestamp};
use crate::rollout::change::{Action, READ_LAG, Step};
use crate::rollout::setting::{self, Standing};
use crate::rollout::state::{Back, State};

impl Going<'_> {
    /// A member that was not there before: ECS has no call that takes it out, and nothing sent would not be taken back.
    pub(super) fn irremovable(&self) -> Option<Step> {
        setting::irremovable(self.change).map(|member| self.stays(member))
    }

    fn stays(&self, member: &str) -> Step {
        let message =
            format!("`{member}` was not set before, and ECS has no call that takes it out; it stays as it is");
        self.failed(Reason::of(ReasonCode::NotFixable, message))
    }

    /// A setting that may not, or need not, be sent back.
    pub(super) fn not_sent_back(&self) -> Option<Step> {
        let now = self.input.now;
        let standing =
            setting::document(self.change, self.input.facts).map(|document| setting::standing(self.change, document));
        match standing {
            // Nothing to compare with.
            _ if self.change.spec.setting.is_none() => None,
            Ok(Standing::Made) => self.irremovable(),
            Ok(Standing::Before) if !self.input.facts.tell_of(self.taking.intent) => {
                Some(self.wait(unknown_until(self.taking.intent + READ_LAG)))
            }
            Ok(Standing::Before) => Some(self.done()),
            Ok(Standing::Theirs(member)) => {
                Some(self.overtaken(format!("somebody changed `{member}` since; it is left alone")))
            }
            Err(Some(reason)) => Some(self.wait(reason)),
            Err(None) => Some(Step::to(State::Gone { at: now }, None)),
        }
    }

    /// A setting that starts no deployment: sent back once; the controller reads it back and ends the change.
    pub(super) fn unset_quietly(&self) -> Step {
        if let Some(reason) = self.input.backward {
            return self.wait(reason.clone());
        }
        if let Back::Updating { intent, .. } = self.taking.back {
            if !self.input.facts.tell_of(*intent) {
                return self.wait(unknown_until(*intent + READ_LAG));
            }
            if let ended @ Step { state: State::Failed { .. }, .. } = self.again() {
                return ended;
            }
        }
        if let Some(step) = self.not_sent_back() {
            return step;
        }
        Step::act(self.at(Back::quietly(self.input.now)), Action::Unset)
    }

    /// Whether the service shows what it had before our setting: an earlier attempt has set it back, or somebody has. What it
    /// shows by nothing tells nothing.
    pub(super) fn is_unset(&self) -> bool {
        let shows = |found| setting::standing(self.change, found) == Standing::Before;
        self.change.spec.setting.is_some()
            && setting::irremovable(self.change).is_none()
            && setting::document(self.change, self.input.facts).is_ok_and(shows)
    }

    /// A setting's deployments cannot be told apart by what they bring: the one that was watched may be somebody's who has set
    /// it, or a part of it, again.
    pub(super) fn set_again(&self) -> Option<Step> {
        let change = self.change;
        if change.spec.kind != ChangeKind::DeployingSetting || change.spec.setting.is_none() {
            return None;
        }
        let document = setting::document(change, self.input.facts).ok()?;
        setting::stays_made(change, document)
            .then(|| self.overtaken("somebody set it again since; it is left alone".to_owned()))
    }

    /// Nor may what the service had before be back: somebody has set something else.
    pub(super) fn set_otherwise(&self) -> Option<Step> {
        let change = self.change;
        let document = setting::document(change, self.input.facts).ok()?;
        let member = setting::theirs(change, document).filter(|_| change.spec.kind == ChangeKind::DeployingSetting)?;
        Some(self.overtaken(format!("somebody changed `{member}` since; it is left alone")))
    }

    fn overtaken(&self, message: String) -> Step {
        let reason = Reason::of(ReasonCode::MovedOn, message);
        Step::to(State::Overtaken { reason: reason.clone(), at: self.input.now }, Some(reason))
    }

    /// ECS went back by the service revision, and what started no deployment is still as we set it.
    pub(super) fn unset_rest(&self) -> Option<Step> {
        let left = self.left_set()?;
        if let Some((member, _)) = left.iter().find(|(_, value)| value.is_null()) {
            return Some(self.stays(member));
        }
        if let Some(reason) = self.input.backward {
            return Some(self.wait(reason.clone()));
        }
        Some(Step::act(self.at(Back::quietly(self.input.now)), Action::UnsetRest(left)))
    }

    fn left_set(&self) -> Option<Map<String, Value>> {
        let document = setting::document(self.change, self.input.facts).ok()?;
        Some(setting::left_set(self.change, document)).filter(|left| !left.is_empty())
    }

    /// ECS has been told to set back what started no deployment: it is read back.
    pub(super) fn unsetting_rest(&self, primary: &Deployment, intent: Timestamp) -> Step {
        if !self.is_home(primary) {
            return self.moved_on(primary);
        }
        if !self.is_ours(primary) && self.left_set().is_none() {
            return self.done();
        }
        if !self.input.facts.tell_of(intent) {
            return self.wait(unknown_until(intent + READ_LAG));
        }
        self.again()
    }
}
