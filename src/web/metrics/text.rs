//! Prometheus's text format, version 0.0.4. Knows no metric by name.

use std::fmt::Write;

use super::catalogue::{BOUNDS, Kind, Metric};

/// Observations, counted in the buckets of [`BOUNDS`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Histogram {
    /// How many fell into each bucket, and into none of the smaller ones.
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&mut self, seconds: f64) {
        let bucket = BOUNDS.iter().zip(&mut self.counts).find(|(bound, _)| seconds <= **bound);
        if let Some((_, count)) = bucket {
            *count += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }
}

/// A page of metrics, being written. Samples of a metric follow one another, as the format wants it.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    begun: Option<&'static str>,
}

impl Page {
    /// What has been written.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// One sample; `labels` are the values of the metric's labels, in their order.
    pub fn sample(&mut self, metric: &Metric, labels: &[&str], value: f64) {
        self.begin(metric);
        self.line(metric.name, "", metric, labels, None, value);
    }

    /// One histogram.
    pub fn histogram(&mut self, metric: &Metric, labels: &[&str], histogram: &Histogram) {
        debug_assert_eq!(metric.kind, Kind::Histogram, "{}", metric.name);
        self.begin(metric);
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(&histogram.counts) {
            below += count;
            self.line(metric.name, "_bucket", metric, labels, Some(&bound.to_string()), exact(below));
        }
        self.line(metric.name, "_bucket", metric, labels, Some("+Inf"), exact(histogram.count));
        self.line(metric.name, "_sum", metric, labels, None, histogram.sum);
        self.line(metric.name, "_count", metric, labels, None, exact(histogram.count));
    }

    fn begin(&mut self, metric: &Metric) {
        if self.begun != Some(metric.name) {
            // Writing into a String does not fail.
            let _ = writeln!(self.text, "# HELP {} {}", metric.name, escaped(metric.help, false));
            let _ = writeln!(self.text, "# TYPE {} {}", metric.name, metric.kind.as_str());
            self.begun = Some(metric.name);
        }
    }

    fn line(&mut self, name: &str, suffix: &str, metric: &Metric, labels: &[&str], bound: Option<&str>, value: f64) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{name}");
        debug_assert!(metric.labels.iter().zip(labels).all(|(label, value)| label.may_be(value)), "{name} {labels:?}");
        let named = metric.labels.iter().map(|label| label.name).zip(labels.iter().copied());
        let labels: Vec<String> = named
            .chain(bound.map(|bound| ("le", bound)))
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true)))
            .collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{name}{suffix}{labels} {value}");
    }
}

/// Counts below 2⁵³ are exact as floating-point numbers, and no count here gets there.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(super) const fn exact(count: u64) -> f64 {
    count as f64
}

/// The format's escapes: backslash and line feed, and in label values the double quote.
fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{HOLDS, PASS_DURATION};
    use super::*;

    #[test]
    fn a_value_of_a_label_cannot_end_it() {
        let mut page = Page::default();
        page.sample(&HOLDS, &["a\"} 1\nplimsoll_holds{target=\"\\"], 2.0);
        let expected = "plimsoll_holds{target=\"a\\\"} 1\\nplimsoll_holds{target=\\\"\\\\\"} 2\n";
        assert!(page.into_text().ends_with(expected));
    }

    #[test]
    fn buckets_hold_all_that_is_not_greater() {
        let mut histogram = Histogram::default();
        for seconds in [0.01, 0.02, 7.0, 10_000.0] {
            histogram.observe(seconds);
        }
        let mut page = Page::default();
        page.histogram(&PASS_DURATION, &["a/b", "full"], &histogram);
        let text = page.into_text();
        for (bound, count) in [("0.01", 1), ("0.05", 2), ("5", 2), ("10", 3), ("900", 3), ("+Inf", 4)] {
            let line = format!("_bucket{{target=\"a/b\",depth=\"full\",le=\"{bound}\"}} {count}\n");
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(text.contains("_sum{target=\"a/b\",depth=\"full\"} 10007.03\n"), "{text}");
        assert!(text.contains("_count{target=\"a/b\",depth=\"full\"} 4\n"), "{text}");
        assert_eq!(text.matches("# TYPE").count(), 1);
    }
}
