//! What the log is told of passes: a span for each, and a line where something is different from the pass before.

use std::time::Duration;

use tracing::Span;
use tracing::field::display;

use super::error::ControllerError;
use super::reconcile::{Depth, PassReport};
use super::run::PassEnd;
use crate::model::{TargetId, chain};
use crate::plan::Summary;
use crate::records::configuration::Generation;

/// After so many looks at somebody else's lease, at most five seconds apart, whoever waits is told once more for what.
const SILENT_LOOKS: u32 = 11;

/// Tells the log of one target's passes.
pub(super) struct Telling {
    target: TargetId,
    passes: u64,
    /// How the fleet was last told to stand, and how much of it could not be read.
    told: Option<(Summary, usize)>,
    /// Passes in a row that failed.
    failures: u32,
    /// Who was last told to hold the lease instead of us, and how many looks ago.
    holder: Option<(String, u32)>,
}

impl Telling {
    pub(super) const fn new(target: TargetId) -> Self {
        Self { target, passes: 0, told: None, failures: 0, holder: None }
    }

    /// The span of the next pass. The reason is for whoever reads along; the pass itself does not know it.
    ///
    /// `generation` is that of the configuration that it begins with; where it reads another, [`read`] says so.
    pub(super) fn span(&mut self, depth: Depth, asked: bool, generation: Option<Generation>) -> Span {
        self.passes += 1;
        let reason = match depth {
            Depth::Full if asked => "asked",
            Depth::Full => "resync",
            Depth::InFlight => "poll",
        };
        let generation = generation.map(display);
        tracing::info_span!("reconcile", target_id = %self.target, generation, reconcile_id = self.passes, reason)
    }

    /// What stands as before is told at debug level: a line a minute that says nothing is noise.
    pub(super) fn ended(&mut self, pass: &PassEnd<'_>) {
        let took_ms = millis(pass.took);
        match pass.outcome {
            Ok(report) => {
                (self.failures, self.holder) = (0, None);
                self.completed(report, took_ms);
            }
            Err(error) if error.is_conflict() => {
                tracing::info!(error = %chain(error), "the record changed under the pass; reading again");
            }
            Err(error @ ControllerError::NotHolder { holder, .. }) => {
                let looks = match &self.holder {
                    Some((known, looks)) if known == holder && *looks < SILENT_LOOKS => *looks + 1,
                    _ => 0,
                };
                if looks == 0 {
                    tracing::info!(error = %chain(error), "standing by");
                } else {
                    tracing::debug!(error = %chain(error), "standing by");
                }
                (self.holder, self.told) = (Some((holder.clone(), looks)), None);
            }
            Err(error) => {
                self.failures += 1;
                tracing::warn!(error = %chain(error), failures = self.failures, took_ms, "the pass failed");
            }
        }
    }

    fn completed(&mut self, report: &PassReport, took_ms: u64) {
        let Some(plan) = &report.plan else {
            tracing::trace!(took_ms, "looked at what is in flight");
            return;
        };
        let (summary, gaps) = (plan.summary(), plan.gaps.len());
        let Summary { services, change, compliant, blocked, deferred, waived, audit, unknown } = summary;
        macro_rules! tell {
            ($level:ident) => {
                tracing::$level!(
                    services, compliant, change, deferred, blocked, audit, waived, unknown, gaps, took_ms, "fleet"
                )
            };
        }
        if self.told == Some((summary, gaps)) {
            tell!(debug);
        } else {
            tell!(info);
        }
        self.told = Some((summary, gaps));
    }
}

/// The pass that this is called in has read another configuration.
pub(super) fn read(generation: Generation) {
    Span::current().record("generation", display(generation));
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
