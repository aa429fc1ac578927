//! What people want, as a controller works by it: compiled, and looked at between passes.

use std::sync::Arc;
use std::time::Duration;

use super::error::ControllerError;
use super::reconcile::Controller;
use super::telling;
use crate::model::spec::{FreezeSpec, Object, Spec};
use crate::model::{TargetId, chain};
use crate::policy::{PolicySet, TargetContext};
use crate::records::configuration::{Configuration, Configurations, Generation};

/// How often the heads of the configuration are looked at between passes: an edit is to reach a controller within five
/// seconds, the read included. It costs one read of three small items, some 650,000 a month: cents.
pub(super) const LOOK_AT_HEADS: Duration = Duration::from_secs(4);

impl Controller {
    /// Waits for the next pass: so long, or until somebody has edited what is stored. Who does not hold the lease waits
    /// only, for its passes read nothing either.
    pub(super) async fn wait(&self, length: Duration) {
        let clock = self.parts().clock.clone();
        let edited = async {
            loop {
                clock.sleep(LOOK_AT_HEADS).await;
                if self.holds_the_lease() && self.is_edited().await {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            // First: a read that hangs must not keep the lease from being renewed.
            () = clock.sleep(length) => {}
            () = edited => {}
        }
    }

    /// Whether what is stored is other than what the last pass read. One small read; what cannot be read has not changed.
    async fn is_edited(&self) -> bool {
        match Configurations::of(self.parts().store.as_ref()).generation().await {
            Ok(generation) => self.last_read().is_some_and(|read| read != generation),
            Err(error) => {
                tracing::debug!(error = %chain(&error), "whether anything was edited could not be read");
                false
            }
        }
    }
}

pub(super) fn compiled(
    configuration: Configuration,
) -> Result<(Generation, Arc<PolicySet>, Configuration), ControllerError> {
    telling::read(configuration.generation);
    let set = PolicySet::compile(&configuration.objects).map_err(|errors| {
        let message = errors.first().map(ToString::to_string).unwrap_or_default();
        ControllerError::Policies { message }
    })?;
    if set.is_empty() {
        return Err(ControllerError::NoPolicies);
    }
    Ok((configuration.generation, Arc::new(set), configuration))
}

pub(super) fn freezes_of(objects: &[Object]) -> Vec<(String, FreezeSpec)> {
    let freeze = |object: &Object| match &object.spec {
        Spec::Freeze(freeze) => Some((object.metadata.name.clone(), freeze.clone())),
        _ => None,
    };
    objects.iter().filter_map(freeze).collect()
}

/// The labels of the Target object that names this target, if there is one.
pub(super) fn target_context(target: &TargetId, configuration: &Configuration) -> TargetContext {
    let labels = configuration.objects.iter().find_map(|object| match &object.spec {
        Spec::Target(spec) if spec.account == target.account && spec.region == target.region => {
            Some(spec.labels.clone())
        }
        _ => None,
    });
    TargetContext { account: target.account.clone(), region: target.region.clone(), labels: labels.unwrap_or_default() }
}
