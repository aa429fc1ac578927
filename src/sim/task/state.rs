//! One task: what it runs, how far it is, and what becomes of it next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::super::config::Pace;
use super::super::misbehaviour::Fate;
use super::super::random::Random;
use super::super::tags::Tags;
use crate::model::Timestamp;

/// A task's `lastStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum LastStatus {
    Provisioning,
    Pending,
    Running,
    /// Being deregistered from its load balancers.
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

impl LastStatus {
    pub(in crate::sim) const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }

    pub(in crate::sim) fn is_stopped(self) -> bool {
        self == Self::Stopped
    }

    /// Whether a `runningCount` (`RUNNING`) or a `pendingCount` (`PENDING`) counts it.
    pub(in crate::sim) fn counts_as(self, status: &str) -> bool {
        match self {
            Self::Running => status == "RUNNING",
            Self::Provisioning | Self::Pending => status == "PENDING",
            Self::Deactivating | Self::Stopping | Self::Deprovisioning | Self::Stopped => false,
        }
    }
}

/// Where a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Launch {
    Fargate,
    Ec2,
    External,
}

impl Launch {
    pub(in crate::sim) const fn as_str(self) -> &'static str {
        match self {
            Self::Fargate => "FARGATE",
            Self::Ec2 => "EC2",
            Self::External => "EXTERNAL",
        }
    }
}

/// Who checks a task's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Watch {
    /// A container's own health check.
    Container,
    LoadBalancer,
    Nobody,
}

/// A container's image, resolved once for all tasks of a service revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sim) struct Image {
    pub(in crate::sim) container: String,
    pub(in crate::sim) image: String,
    /// `None` where `versionConsistency` is disabled: each task resolves it for itself.
    pub(in crate::sim) digest: Option<String>,
}

/// What tasks are started from.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Template {
    /// The ARN, with revision.
    pub(in crate::sim) task_definition: String,
    pub(in crate::sim) family: String,
    pub(in crate::sim) document: Arc<Map<String, Value>>,
    pub(in crate::sim) launch: Launch,
    pub(in crate::sim) capacity_provider: Option<String>,
    /// Resolved: never `LATEST`.
    pub(in crate::sim) platform_version: Option<String>,
    pub(in crate::sim) images: Vec<Image>,
    pub(in crate::sim) watch: Watch,
}

impl Template {
    pub(in crate::sim) fn network_mode(&self) -> &str {
        self.document.get("networkMode").and_then(Value::as_str).unwrap_or("bridge")
    }

    pub(in crate::sim) fn has_own_interface(&self) -> bool {
        self.network_mode() == "awsvpc"
    }

    pub(in crate::sim) fn containers(&self) -> impl Iterator<Item = &Value> {
        self.document.get("containerDefinitions").and_then(Value::as_array).into_iter().flatten()
    }
}

/// What a task reaches next, at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Milestone {
    Pending,
    Running,
    /// It exited, or could not pull, before it was RUNNING.
    CannotStart,
    /// It counts as healthy from now on.
    Ready,
    /// Its health checks have failed.
    Unhealthy,
    /// An essential container exited.
    Exit,
    Stopping,
    Deprovisioning,
    Stopped,
}

/// Why a task stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sim) struct Stop {
    pub(in crate::sim) code: &'static str,
    pub(in crate::sim) reason: String,
    pub(in crate::sim) exit_code: Option<i64>,
}

#[derive(Debug, Clone)]
pub(in crate::sim) struct Task {
    pub(in crate::sim) id: String,
    pub(in crate::sim) arn: String,
    pub(in crate::sim) cluster_arn: String,
    pub(in crate::sim) group: String,
    /// The deployment's id for tasks of services.
    pub(in crate::sim) started_by: Option<String>,
    pub(in crate::sim) template: Arc<Template>,
    /// As pulled, in the order of the template's images.
    pub(in crate::sim) digests: Vec<String>,
    /// Whether its `desiredStatus` is RUNNING; else STOPPED.
    pub(in crate::sim) wanted: bool,
    pub(in crate::sim) status: LastStatus,
    /// Whether the service scheduler counts it as healthy.
    pub(in crate::sim) ready: bool,
    pub(in crate::sim) unhealthy: bool,
    /// Until when neither scaling in nor a deployment may stop it.
    pub(in crate::sim) protected_until: Option<Timestamp>,
    /// The container instance, by number.
    pub(in crate::sim) instance: Option<u32>,
    /// The host ports it holds there.
    pub(in crate::sim) ports: Vec<u64>,
    /// What comes next. INVARIANT: in order of time.
    pub(in crate::sim) plan: VecDeque<(Timestamp, Milestone)>,
    pub(in crate::sim) created_at: Timestamp,
    pub(in crate::sim) started_at: Option<Timestamp>,
    pub(in crate::sim) stopping_at: Option<Timestamp>,
    pub(in crate::sim) stopped_at: Option<Timestamp>,
    /// What the runtime says of it when it cannot start.
    pub(in crate::sim) said: Option<String>,
    pub(in crate::sim) stop: Option<Stop>,
    pub(in crate::sim) tags: Tags,
    pub(in crate::sim) overrides: Option<Value>,
    pub(in crate::sim) execute_command: bool,
    pub(in crate::sim) version: u64,
}

impl Task {
    /// When it changes next by itself.
    pub(in crate::sim) fn next_step(&self) -> Option<Timestamp> {
        self.plan.front().map(|(at, _)| *at)
    }

    /// Plans everything from now until it runs well, or until its fate.
    pub(in crate::sim) fn plan_start(&mut self, fate: Fate, pace: &Pace, random: &mut Random, now: Timestamp) {
        let mut at = now;
        let mut plan = VecDeque::new();
        let watch = self.template.watch;
        if self.template.has_own_interface() {
            self.status = LastStatus::Provisioning;
            at = at + random.between((pace.provisioning.0, pace.provisioning.1));
            plan.push_back((at, Milestone::Pending));
        }
        let pending_until = at + random.between((pace.starting.0, pace.starting.1));
        let check = random.between((pace.first_health_check.0, pace.first_health_check.1));
        let ready_after = if watch == Watch::Nobody { pace.unwatched_healthy } else { check };
        let (ready, bad) = (pending_until + ready_after, pending_until + ready_after + self.patience());
        match fate {
            Fate::Stuck => plan.clear(),
            Fate::CrashOnStart => plan.push_back((pending_until, Milestone::CannotStart)),
            Fate::CrashAfter(length) => {
                plan.push_back((pending_until, Milestone::Running));
                let exit = pending_until + length;
                if ready < exit {
                    plan.push_back((ready, Milestone::Ready));
                }
                plan.push_back((exit, Milestone::Exit));
            }
            Fate::NeverHealthy if watch != Watch::Nobody => {
                plan.push_back((pending_until, Milestone::Running));
                plan.push_back((bad, Milestone::Unhealthy));
            }
            Fate::FailHealthAfter(length) if watch != Watch::Nobody => {
                plan.push_back((pending_until, Milestone::Running));
                plan.push_back((ready, Milestone::Ready));
                plan.push_back((ready + length, Milestone::Unhealthy));
            }
            Fate::Well | Fate::NeverHealthy | Fate::FailHealthAfter(_) => {
                plan.push_back((pending_until, Milestone::Running));
                plan.push_back((ready, Milestone::Ready));
            }
        }
        self.plan = plan;
    }

    /// How long failing health checks are borne: the start period and all the retries (`HealthCheck`).
    fn patience(&self) -> Duration {
        let seconds =
            |check: &Value, member: &str, default: u64| check.get(member).and_then(Value::as_u64).unwrap_or(default);
        let borne = self.template.containers().filter_map(|container| container.get("healthCheck")).map(|check| {
            seconds(check, "startPeriod", 0) + seconds(check, "interval", 30) * seconds(check, "retries", 3)
        });
        Duration::from_secs(borne.max().unwrap_or(90))
    }

    /// Makes it stop from now on: `desiredStatus` is STOPPED at once, `lastStatus` follows.
    pub(in crate::sim) fn begin_stop(&mut self, stop: Stop, pace: &Pace, random: &mut Random, now: Timestamp) {
        if !self.wanted {
            return;
        }
        let crashed = stop.exit_code.is_some_and(|code| code != 0 && code != 137);
        let ran = self.status == LastStatus::Running;
        self.wanted = false;
        self.ready = false;
        self.stopping_at = Some(now);
        self.stop = Some(stop);
        self.version += 1;
        let mut at = now;
        let mut plan = VecDeque::new();
        let draining = random.between((pace.draining.0, pace.draining.1));
        let stopping = random.between((pace.stopping.0, pace.stopping.1));
        let deprovisioning = random.between((pace.deprovisioning.0, pace.deprovisioning.1));
        if ran && !crashed {
            self.status = LastStatus::Stopping;
            if self.template.watch == Watch::LoadBalancer {
                self.status = LastStatus::Deactivating;
                at = at + draining;
                plan.push_back((at, Milestone::Stopping));
            }
            at = at + stopping;
        } else {
            self.status = LastStatus::Deprovisioning;
        }
        if self.template.has_own_interface() {
            if self.status != LastStatus::Deprovisioning {
                plan.push_back((at, Milestone::Deprovisioning));
            }
            at = at + deprovisioning;
        }
        plan.push_back((at, Milestone::Stopped));
        self.plan = plan;
    }
}
