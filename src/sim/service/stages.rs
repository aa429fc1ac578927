//! What a deployment waits for besides its tasks: bake times, pauses, shifting traffic, alarms, and when less is enough.
//!
//! Models *that* it waits, and what it says meanwhile: traffic itself does not exist here, and Lambda hooks pass at once.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::super::deployment::{Hook, HookStatus, RecordStatus, RolloutState};
use super::super::state::State;
use super::arithmetic::{Moves, Stand};
use super::state::{Controller, Service};

/// Stages before the first new task, in order (`DeploymentLifecycleHookStage`).
pub(super) const BEFORE: &[&str] = &["RECONCILE_SERVICE", "PRE_SCALE_UP"];
/// Stages once all new tasks run, in order. PAUSE is not allowed at the two shifts themselves.
pub(super) const AFTER: &[&str] =
    &["POST_SCALE_UP", "POST_TEST_TRAFFIC_SHIFT", "PRE_PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT"];

const MINUTE: Duration = Duration::from_secs(60);

impl Service {
    /// Whether its PRIMARY deployment brings something new: not a rollback, and not over.
    pub(super) fn goes_forward(&self) -> bool {
        self.controller == Controller::Ecs
            && self
                .deployments
                .first()
                .is_some_and(|one| one.rollout == RolloutState::InProgress && one.restores.is_none())
    }

    /// Whether new tasks all run beside the old ones before those stop: BLUE_GREEN, LINEAR and CANARY.
    pub(super) fn shifts(&self) -> bool {
        self.goes_forward() && self.strategy() != "ROLLING"
    }

    fn strategy(&self) -> &str {
        self.setting("/strategy").and_then(Value::as_str).unwrap_or("ROLLING")
    }

    /// How long the deployment stays in progress once its tasks run: shifting traffic in steps, then baking. The
    /// defaults are those of `DeploymentConfiguration`, `LinearConfiguration` and `CanaryConfiguration`.
    pub(super) fn waits(&self) -> Duration {
        let number = |pointer: &str, default: f64| self.setting(pointer).and_then(Value::as_f64).unwrap_or(default);
        let bake = number("/bakeTimeInMinutes", if self.strategy() == "ROLLING" { 0.0 } else { 15.0 });
        let shift = match self.strategy() {
            "LINEAR" => {
                let steps = (100.0 / number("/linearConfiguration/stepPercent", 10.0)).ceil();
                (steps - 1.0).max(0.0) * number("/linearConfiguration/stepBakeTimeInMinutes", 6.0)
            }
            "CANARY" => number("/canaryConfiguration/canaryBakeTimeInMinutes", 10.0),
            _ => 0.0,
        };
        Duration::try_from_secs_f64((bake + shift) * 60.0).unwrap_or_default()
    }

    /// Whether less than everything is enough (`DeploymentEarlySuccessCriteria`): with DEFERRED a deployment is
    /// SUCCESSFUL while old tasks still run.
    pub(super) fn early_success(&self, stand: &Stand) -> bool {
        let criterion = |member: &str| self.setting(&format!("/earlySuccessCriteria/{member}"));
        if !self.goes_forward() || self.shifts() || criterion("enable") != Some(&Value::Bool(true)) {
            return false;
        }
        let percent = criterion("healthyPercent").and_then(Value::as_u64).unwrap_or(100);
        let enough = (u64::from(stand.desired) * percent).div_ceil(100);
        let deferred = criterion("sourceServiceRevisionCleanup").and_then(Value::as_str) == Some("DEFERRED");
        u64::from(stand.new_ready) >= enough && (deferred || stand.old_live == 0)
    }

    /// The alarms that may end its deployments, and whether that takes them back.
    fn alarms(&self) -> (BTreeSet<String>, bool) {
        let flag = |member: &str| self.setting(&format!("/alarms/{member}")) == Some(&Value::Bool(true));
        let names = self.setting("/alarms/alarmNames").and_then(Value::as_array).filter(|_| flag("enable"));
        (names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(), flag("rollback"))
    }
}

impl State {
    /// The next moves of a deployment that shifts traffic: all new tasks first, old ones only at the very end.
    pub(super) fn shift(&mut self, service: &mut Service, stand: &Stand) -> Moves {
        let missing = stand.desired.saturating_sub(stand.new_live);
        let ready = missing == 0 && stand.new_ready == stand.new_live;
        let over = ready && !self.pauses(service, AFTER) && self.has_waited(service);
        let arn = service.deployments.first().and_then(|one| one.record.clone()).filter(|_| over);
        if let Some(record) = arn.and_then(|arn| service.record_mut(&arn)) {
            record.stage = Some("CLEAN_UP");
        }
        Moves {
            start: missing,
            stop_old: if over { stand.old_live } else { 0 },
            stop_new: stand.new_live.saturating_sub(stand.desired),
            stuck: false,
        }
    }

    /// Whether everything has stayed as it should be for long enough: ECS's own caution, and the configured waits.
    pub(super) fn has_waited(&mut self, service: &mut Service) -> bool {
        let now = self.now;
        let caution = service.random.between((self.config.pace.steady.0, self.config.pace.steady.1));
        // A rollback does not bake.
        let waits = if service.goes_forward() { service.waits() } else { Duration::ZERO };
        let Some(primary) = service.deployments.first_mut() else { return true };
        let until = *primary.bakes_until.get_or_insert(now + caution + waits);
        if until <= now {
            return true;
        }
        let arn = primary.record.clone().filter(|_| !waits.is_zero());
        if let Some(record) = arn.and_then(|arn| service.record_mut(&arn)) {
            record.stage = Some("BAKE_TIME");
        }
        self.settle_at(service, until);
        false
    }

    /// Whether a PAUSE hook at one of `stages` holds the deployment. What a hook does when its time is over is done here.
    pub(super) fn pauses(&mut self, service: &mut Service, stages: &[&'static str]) -> bool {
        if !service.goes_forward() {
            return false;
        }
        let now = self.now;
        let hooks: Vec<Value> =
            service.setting("/lifecycleHooks").and_then(Value::as_array).cloned().unwrap_or_default();
        let Some(arn) = service.deployments.first().and_then(|one| one.record.clone()) else { return false };
        for stage in stages {
            for (hook, number) in hooks.iter().zip(0_u32..) {
                let named = hook.get("lifecycleStages").and_then(Value::as_array);
                let pause = hook.get("targetType").and_then(Value::as_str) == Some("PAUSE");
                if !pause || !named.is_some_and(|list| list.iter().any(|one| one == stage)) {
                    continue;
                }
                let id = format!("pause-{number}-{}", stage.to_lowercase().replace('_', "-"));
                let Some(record) = service.record_mut(&arn) else { return false };
                record.stage = Some(stage);
                let minutes = hook.pointer("/timeoutConfiguration/timeoutInMinutes").and_then(Value::as_u64);
                let action = hook.pointer("/timeoutConfiguration/action").and_then(Value::as_str);
                let known = record.hooks.iter().position(|known| known.id == id);
                let place = known.unwrap_or(record.hooks.len());
                if known.is_none() {
                    // The defaults: a day, and back (`DeploymentLifecycleHookTimeoutConfiguration`).
                    let length = MINUTE.saturating_mul(u32::try_from(minutes.unwrap_or(1440)).unwrap_or(1440));
                    let rolls_back = action != Some("CONTINUE");
                    record.hooks.push(Hook {
                        id,
                        status: HookStatus::AwaitingAction,
                        expires_at: now + length,
                        rolls_back,
                    });
                }
                let Some(hook) = record.hooks.get_mut(place) else { return false };
                match hook.status {
                    HookStatus::Succeeded | HookStatus::TimedOut => {}
                    HookStatus::AwaitingAction if hook.expires_at > now => {
                        let expires = hook.expires_at;
                        self.settle_at(service, expires);
                        return true;
                    }
                    HookStatus::AwaitingAction => {
                        hook.status = HookStatus::TimedOut;
                        if hook.rolls_back {
                            record.set(
                                RecordStatus::RollbackRequested,
                                Some("A lifecycle hook timed out.".into()),
                                now,
                            );
                            self.settle_soon(service);
                            return true;
                        }
                    }
                }
            }
        }
        false
    }

    /// Ends a deployment during which one of its alarms went off; true if one did. Those that were on before it began
    /// are not watched.
    pub(super) fn end_on_alarm(&mut self, service: &mut Service) -> bool {
        let (names, rollback) = service.alarms();
        let Some(arn) =
            service.deployments.first().and_then(|one| one.record.clone()).filter(|_| service.goes_forward())
        else {
            return false;
        };
        let all = self.ringing();
        let Some(record) = service.record_mut(&arn) else { return false };
        let ignored = record.alarms_before.get_or_insert_with(|| all.clone());
        let ringing: Vec<String> = names.intersection(&all).filter(|name| !ignored.contains(*name)).cloned().collect();
        if ringing.is_empty() {
            return false;
        }
        record.alarms_triggered = ringing;
        const FAILURE: &str = "ECS deployment failed: alarm detected.";
        if rollback {
            self.roll_back(service, "Service deployment rolled back because of an alarm.", FAILURE);
        } else {
            self.fail(service, FAILURE);
        }
        true
    }

    /// An alarm went off or came to rest: deployments that watch it look.
    pub(in crate::sim) fn tell_deployments(&mut self, alarm: &str) {
        let watching: Vec<(String, String)> = self
            .clusters
            .values()
            .flat_map(|home| home.services.values())
            .filter(|service| service.alarms().0.contains(alarm))
            .map(|service| (service.cluster.clone(), service.name.clone()))
            .collect();
        for (cluster, service) in watching {
            self.with_service(&cluster, &service, Self::settle_soon);
        }
    }
}
