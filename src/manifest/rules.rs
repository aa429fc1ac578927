//! What a schema cannot say of the kinds: grammars, ranges, and members that need or exclude one another. Knows nothing
//! of expressions, pointers and edits in policies (those are `policy`'s), nor which other objects exist.

use chrono::{DateTime, Utc};
use croner::parser::{CronParser, Seconds};
use globset::Glob;

use super::node::{Places, step};
use super::shape::did_you_mean;
use super::source::Fault;
use crate::model::spec::{
    AlarmSelector, BindingSpec, Metadata, Object, Scope, Selector, Spec, StrategySpec, TaggedAlarms, TargetSpec,
    WaiverSpec, WaveSize, WindowSpec,
};

/// Everything wrong with the metadata of an object, whatever its spec is like.
pub(super) fn metadata_faults(metadata: &Metadata, places: &Places) -> Vec<Fault> {
    let mut rules = Rules { places, faults: Vec::new() };
    rules.metadata(metadata);
    rules.faults
}

/// Everything wrong with the spec of an object that has its kind's shape.
pub(super) fn faults(object: &Object, places: &Places) -> Vec<Fault> {
    let mut rules = Rules { places, faults: Vec::new() };
    match &object.spec {
        // All that is to say of it, `policy` says.
        Spec::Policy(_) => {}
        Spec::Binding(spec) => rules.binding(spec),
        Spec::Waiver(spec) => rules.waiver(spec),
        Spec::RolloutStrategy(spec) => rules.strategy(spec),
        Spec::Target(spec) => rules.target(spec),
        Spec::Freeze(spec) => {
            rules.scope("/spec/scope", &spec.scope);
            rules.not_blank("/spec/reason", &spec.reason);
        }
    }
    rules.faults
}

struct Rules<'a> {
    places: &'a Places,
    faults: Vec<Fault>,
}

impl Rules<'_> {
    fn wrong(&mut self, pointer: &str, message: impl Into<String>, help: impl Into<Option<String>>) {
        let at = super::locate::place(self.places, pointer).map_or(0..0, super::node::Place::shown);
        self.faults.push(Fault::at(at, message).help(help));
    }

    fn wrong_unless(&mut self, holds: bool, pointer: &str, message: &str, help: &str) {
        if !holds {
            self.wrong(pointer, message, help.to_owned());
        }
    }

    /// As Kubernetes names objects (RFC 1123 subdomain), so that a name can stand in a URL, a key and a command line.
    fn metadata(&mut self, metadata: &Metadata) {
        let name = metadata.name.as_str();
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let outer = |c: char| inner(c) && c != '-' && c != '.';
        let good = name.len() <= 253 && name.chars().all(inner) && name.starts_with(outer) && name.ends_with(outer);
        self.wrong_unless(
            good,
            "/metadata/name",
            "not a name that an object can have",
            "use lower-case letters, digits, `-` and `.`, a letter or digit first and last, at most 253",
        );
    }

    fn binding(&mut self, spec: &BindingSpec) {
        let names = !spec.policies.is_empty() || !spec.labels.is_empty();
        self.wrong_unless(names, "/spec", "the binding names no policies", "add `policies: [\"*\"]` or `labels`");
        self.globs("/spec/policies", &spec.policies);
        self.scope("/spec/scope", &spec.scope);
    }

    fn waiver(&mut self, spec: &WaiverSpec) {
        let names = !spec.policies.is_empty();
        self.wrong_unless(names, "/spec/policies", "the waiver names no policies", "name what it waives");
        self.globs("/spec/policies", &spec.policies);
        self.globs("/spec/containers", &spec.containers);
        self.scope("/spec/scope", &spec.scope);
        self.not_blank("/spec/owner", &spec.owner);
        self.not_blank("/spec/reason", &spec.reason);
        if let Some(why) = &spec.longer_than_a_year {
            self.not_blank("/spec/longerThanAYear", why);
        }
    }

    fn strategy(&mut self, spec: &StrategySpec) {
        self.wrong_unless(
            !spec.waves.is_empty(),
            "/spec/waves",
            "a strategy needs at least one wave",
            "remove `waves` to get the default: one, a quarter, the rest",
        );
        self.wrong_unless(spec.max_in_flight > 0, "/spec/maxInFlight", "nothing could ever start", "use 1 or more");
        for (index, wave) in spec.waves.iter().enumerate() {
            let at = format!("/spec/waves/{index}");
            if let Some(selector) = &wave.selector {
                self.selector(&format!("{at}/where"), selector);
            }
            let starts = wave.max_in_flight != Some(0);
            self.wrong_unless(starts, &format!("{at}/maxInFlight"), "nothing could ever start", "use 1 or more");
            let takes_all = wave.size == WaveSize::Rest && wave.selector.is_none();
            self.wrong_unless(
                !takes_all || index + 1 == spec.waves.len(),
                &format!("{at}/size"),
                "this wave takes all that is left, so the waves after it are empty",
                "put it last, or give it a `size` or `where`",
            );
        }
        let patient = !spec.health.progress_timeout.0.is_zero();
        let help = "use a length of time such as `20m`";
        self.wrong_unless(patient, "/spec/health/progressTimeout", "every change would fail at once", help);
        self.globs("/spec/iacPrincipals", &spec.iac_principals);
        self.alarms("/spec/health/alarms", &spec.health.alarms);
        for (index, window) in spec.windows.iter().enumerate() {
            self.window(&format!("/spec/windows/{index}"), window);
        }
    }

    /// Within what one call of DescribeAlarms and one of GetResources can ask for.
    fn alarms(&mut self, at: &str, alarms: &[AlarmSelector]) {
        let few = alarms.len() <= 100;
        self.wrong_unless(few, at, "more alarms than are read at once", "name at most 100, or choose them by tags");
        for (index, alarm) in alarms.iter().enumerate() {
            let at = format!("{at}/{index}");
            match alarm {
                AlarmSelector::Name(name) => {
                    let good = !name.is_empty() && name.chars().count() <= 255;
                    self.wrong_unless(good, &at, "not a name that an alarm can have", "1 to 255 characters");
                }
                AlarmSelector::Tagged(TaggedAlarms { tags }) => {
                    let at = format!("{at}/tags");
                    self.wrong_unless(!tags.is_empty(), &at, "no tags are every alarm there is", "name at least one");
                    self.wrong_unless(tags.len() <= 50, &at, "too many tags", "AWS filters by at most 50 keys");
                    for (key, values) in tags {
                        let at = step(&at, key);
                        self.wrong_unless(!key.is_empty(), &at, "a tag without a key", "name the key");
                        let few = values.values().len() <= 20;
                        self.wrong_unless(few, &at, "too many values", "AWS filters by at most 20 values of a key");
                    }
                }
            }
        }
    }

    fn window(&mut self, at: &str, window: &WindowSpec) {
        let patterns = [("allow", &window.allow), ("deny", &window.deny)];
        for (name, pattern) in patterns {
            if let Some(problem) = pattern.as_deref().and_then(cron_problem) {
                let help = "minute hour day month weekday, such as `0 9 * * MON-FRI`".to_owned();
                self.wrong(&format!("{at}/{name}"), problem, help);
            }
        }
        self.wrong_unless(
            window.allow.is_some() != window.deny.is_some(),
            at,
            "a window has either `allow` or `deny`",
            "`allow` says when changes may start, `deny` when they may not; write two windows for both",
        );
        let open = !window.length.0.is_zero();
        self.wrong_unless(open, &format!("{at}/for"), "the window is never open", "use a length such as `8h`");
        if window.time_zone.parse::<chrono_tz::Tz>().is_err() {
            let names: Vec<_> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
            let help = did_you_mean(&window.time_zone, &names)
                .unwrap_or_else(|| "use an IANA name such as `Europe/London` or `UTC`".to_owned());
            self.wrong(&format!("{at}/timeZone"), format!("`{}` is not a time zone", window.time_zone), help);
        }
    }

    fn target(&mut self, spec: &TargetSpec) {
        let digits = spec.account.len() == 12 && spec.account.bytes().all(|byte| byte.is_ascii_digit());
        self.wrong_unless(digits, "/spec/account", "not an account number", "an account number has 12 digits");
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let parts: Vec<_> = spec.region.split('-').collect();
        let region = parts.len() >= 3 && parts.iter().all(|part| !part.is_empty() && part.chars().all(word));
        self.wrong_unless(region, "/spec/region", "not a region's name", "such as `eu-west-1`");
        if let Some(role) = &spec.role_arn {
            let fields: Vec<_> = role.splitn(6, ':').collect();
            let good = matches!(fields.as_slice(), ["arn", _, "iam", "", account, resource]
                if account.len() == 12 && resource.starts_with("role/"));
            self.wrong_unless(
                good,
                "/spec/roleArn",
                "not a role's ARN",
                "such as `arn:aws:iam::123456789012:role/name`",
            );
        }
        let share = spec.budget.is_none_or(|budget| (1..=100).contains(&budget));
        self.wrong_unless(share, "/spec/budget", "the budget is a share in percent", "use 1 to 100");
    }

    fn scope(&mut self, at: &str, scope: &Scope) {
        self.selector(&format!("{at}/include"), &scope.include);
        self.selector(&format!("{at}/exclude"), &scope.exclude);
    }

    fn selector(&mut self, at: &str, selector: &Selector) {
        let Selector { clusters, services, families, accounts, regions, launch_types: _, tags } = selector;
        let lists = [
            ("clusters", clusters),
            ("services", services),
            ("families", families),
            ("accounts", accounts),
            ("regions", regions),
        ];
        for (name, globs) in lists {
            self.globs(&format!("{at}/{name}"), globs);
        }
        for (key, globs) in tags {
            self.globs(&step(&format!("{at}/tags"), key), globs);
        }
    }

    fn globs(&mut self, at: &str, globs: &[String]) {
        for (index, glob) in globs.iter().enumerate() {
            let pointer = format!("{at}/{index}");
            if glob.is_empty() {
                self.wrong(&pointer, "an empty name matches nothing", "remove it, or write `*` for all".to_owned());
            } else if let Err(error) = Glob::new(glob) {
                let help = "`*` stands for any text, `?` for one character, `[ab]` and `{a,b}` for alternatives";
                self.wrong(&pointer, format!("not a glob: {}", error.kind()), help.to_owned());
            }
        }
    }

    fn not_blank(&mut self, pointer: &str, text: &str) {
        self.wrong_unless(!text.trim().is_empty(), pointer, "must not be empty", "whoever reads it next will need it");
    }
}

/// What is wrong with a cron expression, if anything. One that never comes is wrong, and is found out here: at run time
/// it would look like a window that is not open yet.
fn cron_problem(pattern: &str) -> Option<String> {
    let parsed = CronParser::builder().seconds(Seconds::Disallowed).build().parse(pattern);
    match parsed {
        Err(error) => Some(format!("not a cron expression: {error}")),
        Ok(cron) => {
            let any_time = DateTime::<Utc>::UNIX_EPOCH + chrono::Duration::days(365 * 50);
            cron.find_next_occurrence(&any_time, false).err().map(|_| "this time never comes".to_owned())
        }
    }
}
