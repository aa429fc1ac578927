//! What time AWS thinks it is: the `Date` of an answer, also of one that refuses.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::{DateTime, Format};

use crate::model::Timestamp;

/// The time of the last answer of one call. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct ServedAt(Arc<Mutex<Option<Timestamp>>>);

impl ServedAt {
    /// To the second, as HTTP has it; none where no answer came, or one without a readable `Date`.
    pub(super) fn time(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for ServedAt {
    fn name(&self) -> &'static str {
        "plimsoll-served-at"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(read);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

/// A `Date` as HTTP writes it.
pub(super) fn read(date: &str) -> Option<Timestamp> {
    DateTime::from_str(date, Format::HttpDate).ok()?.to_millis().ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_http_writes_it() {
        assert_eq!(read("Mon, 05 Jan 2026 09:00:00 GMT").unwrap().to_string(), "2026-01-05T09:00:00Z");
        assert_eq!((read("yesterday"), read("")), (None, None));
    }
}
