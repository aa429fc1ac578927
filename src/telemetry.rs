//! Where log lines go: to stderr, as JSON for machines or compact for people. Reads no environment: the filter is an
//! argument. What must not be logged is masked before it gets here (`model::mask`).

use std::io;

use tracing::{Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, with the spans it happened in.
    Json,
    /// One line each, for reading.
    Compact {
        /// With ANSI colours.
        color: bool,
    },
}

impl LogFormat {
    /// JSON where it is asked for or nobody watches, else compact.
    #[must_use]
    pub const fn choose(json: bool, terminal: bool, color: bool) -> Self {
        if json || !terminal { Self::Json } else { Self::Compact { color } }
    }
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("`{filter}` is not a log filter such as `info` or `warn,plimsoll=debug`")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The process logs already.
    #[error("failed to set up logging")]
    Install {
        /// What is there already.
        #[source]
        source: tracing::subscriber::SetGlobalDefaultError,
    },
}

/// Whose debug and trace lines carry requests and answers, and with them environment values. However much is asked for,
/// these say no more than warnings, and not even those unless they are asked for. Beginnings of names: a crate that is added tomorrow is among them.
const CARRIES_BODIES: [&str; 5] = ["aws_", "hyper", "h2", "rustls", "rusqlite"];

/// Sends the process's log lines to stderr, from now on and for good.
///
/// `filter` is in the language of `tracing_subscriber::EnvFilter`: `info`, `warn,plimsoll=debug`.
///
/// # Errors
/// Where the filter is not one, or this was called before.
pub fn install(filter: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let subscriber = subscriber(filter, format, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|source| TelemetryError::Install { source })
}

/// The same, to any writer and without making it the process's.
///
/// # Errors
/// Where the filter is not one.
pub fn subscriber<W>(
    filter: &str,
    format: LogFormat,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let asked = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })?;
    let quiet = filter_fn(|line| {
        let carries = CARRIES_BODIES.iter().any(|target| line.target().starts_with(target));
        !carries || *line.level() <= Level::WARN
    });
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let registry = tracing_subscriber::registry();
    Ok(match format {
        // The spans once, outermost first: the one that it happened in is the last of them.
        LogFormat::Json => {
            let lines = lines.json().with_ansi(false).flatten_event(true).with_current_span(false).with_span_list(true);
            Box::new(registry.with(lines.with_filter(asked.and(quiet))))
        }
        LogFormat::Compact { color } => {
            let lines = lines.compact().with_ansi(color).with_target(false);
            Box::new(registry.with(lines.with_filter(asked.and(quiet))))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_carries_bodies_is_quiet_however_much_is_asked_for() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber("trace", LogFormat::Json, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "aws_smithy_runtime::client", "canary-body");
            tracing::debug!(target: "aws_sdk_cloudwatch::operation", "canary-body");
            tracing::debug!(target: "hyper_util::client", "canary-body");
            tracing::info!(target: "rustls::conn", "canary-body");
            tracing::trace!(target: "plimsoll", "ours");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("ours") && !text.contains("canary-body"), "{text}");
    }

    fn logged(filter: &str, format: LogFormat) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(filter, format, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("reconcile", service = "web").entered();
            tracing::info!(outcome = "changed", "moved");
            tracing::debug!("not asked for");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_has_its_fields_and_the_span_it_happened_in() {
        let text = logged("info", LogFormat::Json);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "moved");
        assert_eq!(line["outcome"], "changed");
        assert_eq!(line["spans"][0]["service"], "web");
        // Once: what is paid for by the byte says nothing twice.
        assert_eq!(text.matches("\"service\"").count(), 1, "{text}");
    }

    #[test]
    fn what_nobody_asked_for_of_others_is_not_said() {
        let said = |filter: &str| {
            let lines = Lines::default();
            let writer = lines.clone();
            let subscriber = subscriber(filter, LogFormat::Compact { color: false }, move || writer.clone()).unwrap();
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(target: "aws_config::meta::credentials", "provider failed");
            });
            let bytes = lines.0.lock().unwrap().clone();
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(said("plimsoll=warn"), "");
        assert!(said("warn,plimsoll=info").contains("provider failed"));
    }

    #[test]
    fn without_colour_a_compact_line_has_no_escapes() {
        let text = logged("info", LogFormat::Compact { color: false });
        assert!(text.contains("moved") && text.contains("changed") && !text.contains('\u{1b}'), "{text:?}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn nobody_watching_means_json() {
        assert_eq!(LogFormat::choose(false, false, true), LogFormat::Json);
        assert_eq!(LogFormat::choose(true, true, true), LogFormat::Json);
        assert_eq!(LogFormat::choose(false, true, true), LogFormat::Compact { color: true });
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let refused = subscriber("plimsoll=loud=very", LogFormat::Json, io::sink).err().unwrap();
        assert!(refused.to_string().contains("plimsoll=loud=very"));
    }
}
