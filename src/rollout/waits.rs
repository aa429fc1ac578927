//! What a change that has not begun waits for: its own affairs, its wave, a place, or whatever its rollout waits for.
//!
//! Every change has an answer, also those that nobody has looked at yet.

use super::campaign;
use super::record::{Change, Rollout};
use super::state::State;
use crate::model::{Reason, ReasonCode, counted};

/// Why a change stands where it stands; none where it has landed.
#[must_use]
pub fn why<'a>(rollout: &Rollout, changes: impl IntoIterator<Item = &'a Change>, change: &Change) -> Option<Reason> {
    if let Some(reason) = change.waiting.clone().or_else(|| change.state.why()) {
        return Some(reason);
    }
    if change.state != State::Pending {
        return None;
    }
    if let Some(stopped) = campaign::stopped(rollout) {
        return Some(stopped.clone());
    }
    let wave = rollout.state.wave().unwrap_or(0);
    let name = |wave: usize| rollout.spec.waves.get(wave).map_or("", |record| record.name.as_str());
    if change.spec.wave > wave {
        let message = format!("wave {} (`{}`) comes first", change.spec.wave, name(change.spec.wave - 1));
        return Some(Reason::of(ReasonCode::EarlierWave, message));
    }
    let busy = changes.into_iter().filter(|change| change.state.phase().is_in_flight()).count();
    let most = rollout.spec.waves.get(wave).map_or(0, |record| record.max_in_flight as usize);
    if busy > 0 && busy >= most {
        let message =
            format!("{} in flight, as many as wave {} (`{}`) may have", counted(busy, "change"), wave + 1, name(wave));
        return Some(Reason::of(ReasonCode::MaxInFlight, message));
    }
    rollout.waiting.clone()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{changes, rollout};
    use super::super::state::{Progress, RolloutState};
    use super::*;
    use crate::model::Timestamp;

    /// Of two changes of the first wave, where one may be in flight, and one of the second.
    #[track_caller]
    fn check(expected: &str, prepare: impl FnOnce(&mut Rollout, &mut Vec<Change>)) {
        let (mut rollout, mut changes) = (rollout(&[2, 1]), changes(&[2, 1]));
        rollout.state = RolloutState::Progressing { wave: 0 };
        rollout.spec.waves[0].max_in_flight = 1;
        prepare(&mut rollout, &mut changes);
        let told = changes.iter().map(|change| why(&rollout, &changes, change));
        let told: Vec<&str> = told.map(|reason| reason.map_or("-", |reason| reason.code.as_str())).collect();
        assert_eq!(told.join(" "), expected);
    }

    fn in_flight() -> State {
        let (intent, progress) = (Timestamp::EPOCH, Progress::start(Timestamp::EPOCH));
        State::Stabilizing { to: None, deployment: "ours".into(), intent, progress }
    }

    #[test]
    fn whoever_has_not_begun_is_told_why() {
        let reason = |code| Reason::of(code, "so");
        check("- MaxInFlight EarlierWave", |_, changes| changes[0].state = in_flight());
        check("OutsideWindow OutsideWindow EarlierWave", |rollout, _| {
            rollout.waiting = Some(reason(ReasonCode::OutsideWindow));
        });
        check("ChangeFailed ChangeFailed ChangeFailed", |rollout, _| {
            rollout.state = RolloutState::Paused { wave: 0, reason: reason(ReasonCode::ChangeFailed) };
        });
        check("Gone DeploymentInProgress EarlierWave", |_, changes| {
            changes[0].state = State::Gone { at: Timestamp::EPOCH };
            changes[1].waiting = Some(reason(ReasonCode::DeploymentInProgress));
        });
        check("- - -", |_, changes| {
            for change in changes {
                change.state = State::Succeeded { at: Timestamp::EPOCH, deployment: None };
            }
        });
    }
}
