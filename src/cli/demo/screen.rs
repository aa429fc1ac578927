//! What the demonstration shows while it goes: lines, and on a terminal a bar for each wave.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::output::Output;
use crate::controller::reconcile::PassReport;
use crate::controller::run::Watcher;
use crate::model::Timestamp;
use crate::model::mask::clean_text;
use crate::records::campaign::Campaign;
use crate::rollout::{Change, Phase, RolloutState};

/// Where what happened goes on in the next line.
const HANG: usize = 12;

/// Lines and bars.
pub(super) struct Screen {
    bars: Option<MultiProgress>,
    waves: BTreeMap<(String, usize), ProgressBar>,
    phases: BTreeMap<String, Phase>,
    rollouts: BTreeMap<String, String>,
    color: bool,
    /// Columns; none where nobody looks at a terminal, and lines stay whole.
    width: Option<usize>,
    start: Timestamp,
    /// The most changes that were in flight at once.
    pub(super) most_in_flight: usize,
}

impl Screen {
    pub(super) fn new(output: &Output, start: Timestamp) -> Self {
        let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let bars = terminal.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self {
            bars,
            waves: BTreeMap::new(),
            phases: BTreeMap::new(),
            rollouts: BTreeMap::new(),
            color: output.color() && terminal,
            width: output.width(),
            start,
            most_in_flight: 0,
        }
    }

    /// Prints a line of data, above the bars where there are any.
    pub(super) fn line(&self, text: &str) {
        let indent = text.chars().take_while(|character| *character == ' ').count();
        self.hanging(indent + 2, text);
    }

    /// The same; what does not fit goes on in the next line, so far from the left.
    pub(super) fn hanging(&self, hang: usize, text: &str) {
        self.print(&wrapped(text, hang, self.width));
    }

    /// The same in a colour, where there is colour. The words never depend on it.
    pub(super) fn painted(&self, code: &str, hang: usize, text: &str) {
        let text = wrapped(text, hang, self.width);
        self.print(&if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text });
    }

    /// A heading.
    pub(super) fn heading(&self, text: &str) {
        self.line("");
        self.painted("1", 2, text);
    }

    /// A command, as a person would type it.
    pub(super) fn command(&self, text: &str) {
        self.hanging(6, &format!("  $ {text}"));
    }

    fn print(&self, text: &str) {
        let write = || {
            let mut out = std::io::stdout().lock();
            // A reader that has gone away is no error of ours.
            let _ = writeln!(out, "{text}");
            let _ = out.flush();
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    /// Takes the bars away.
    pub(super) fn clear(&mut self) {
        if let Some(bars) = &self.bars {
            // The terminal may be gone.
            let _ = bars.clear();
        }
        self.waves.clear();
    }

    /// Since the start, as `mm:ss` of the fleet's time.
    fn time(&self, now: Timestamp) -> String {
        let seconds = now.since(self.start).as_secs();
        format!("+{:02}:{:02}", seconds / 60, seconds % 60)
    }

    fn show_rollout(&mut self, campaign: &Campaign, now: Timestamp) {
        let rollout = &campaign.rollout.value;
        let wave = rollout.state.wave().and_then(|wave| rollout.spec.waves.get(wave)).map(|wave| wave.name.as_str());
        let shown = match wave {
            Some(wave) => format!("{} (wave `{wave}`)", rollout.state.phase()),
            None => rollout.state.phase().to_owned(),
        };
        if self.rollouts.get(&rollout.name) != Some(&shown) {
            let why = match (&rollout.waiting, rollout.state.phase()) {
                (Some(reason), "Paused" | "Failed" | "Proposed" | "RollingBack") => {
                    format!(": {}", clean_text(&reason.message))
                }
                _ => String::new(),
            };
            let text = format!("{}  rollout {:<9} {shown}{why}", self.time(now), rollout.name);
            self.painted("1", HANG, &text);
            self.rollouts.insert(rollout.name.clone(), shown);
        }
    }

    fn show_change(&mut self, change: &Change, now: Timestamp) {
        let phase = change.state.phase();
        // That it is watched for a while before it counts needs no line of its own.
        let said = matches!(phase, Phase::Pending | Phase::Verifying);
        if self.phases.insert(change.name.clone(), phase) == Some(phase) || said {
            return;
        }
        let code = match phase {
            Phase::Succeeded => "32",
            Phase::RollingBack
            | Phase::RolledBack
            | Phase::Failed
            | Phase::Quarantined
            | Phase::Clobbering
            | Phase::Clobbered => "31",
            Phase::Unverified | Phase::Blocked | Phase::Deferred | Phase::Overtaken | Phase::Gone => "33",
            Phase::Pending | Phase::Registering | Phase::Updating | Phase::Stabilizing | Phase::Verifying => "36",
        };
        let reason = change.history.last().and_then(|entry| entry.reason.as_ref());
        let said = match (phase, reason) {
            (Phase::Stabilizing | Phase::Verifying | Phase::Registering | Phase::Updating | Phase::Succeeded, _)
            | (_, None) => {
                let to = change.spec.to.as_ref().map_or("its setting", |to| to.short());
                to.to_owned()
            }
            (_, Some(reason)) => clean_text(&reason.message),
        };
        let text = format!("{}    {:<28} {:<12} {said}", self.time(now), change.spec.resource.short(), phase.as_str());
        self.painted(code, HANG, &text);
    }

    /// Takes away the bars of rollouts that have ended.
    fn keep_bars(&mut self, moving: &[&Campaign]) {
        let Some(bars) = &self.bars else { return };
        self.waves.retain(|(rollout, _), bar| {
            let stays = moving.iter().any(|campaign| &campaign.rollout.value.name == rollout);
            if !stays {
                bars.remove(bar);
            }
            stays
        });
    }

    fn show_bars(&mut self, campaign: &Campaign) {
        let Some(bars) = self.bars.clone() else { return };
        let rollout = &campaign.rollout.value;
        for (number, wave) in rollout.spec.waves.iter().enumerate() {
            let of_wave =
                || campaign.changes.iter().map(|change| &change.value).filter(|change| change.spec.wave == number);
            let bar = self.waves.entry((rollout.name.clone(), number)).or_insert_with(|| {
                let template = "  {prefix:18} [{bar:30}] {pos}/{len} {wide_msg}";
                let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
                let bar = bars.add(ProgressBar::new(of_wave().count() as u64));
                bar.set_style(style.progress_chars("=> "));
                bar.set_prefix(format!("{} {}", rollout.name, wave.name));
                bar
            });
            bar.set_length(of_wave().count() as u64);
            bar.set_position(of_wave().filter(|change| change.state.phase().is_final()).count() as u64);
            let moving: Vec<&str> = of_wave()
                .filter(|change| change.state.phase().is_in_flight())
                .map(|change| change.spec.resource.short())
                .collect();
            bar.set_message(moving.join(" "));
        }
    }
}

const fn is_proposed(campaign: &Campaign) -> bool {
    matches!(campaign.rollout.value.state, RolloutState::Proposed { .. })
}

/// A proposal that another one has replaced, which says the same.
fn is_replaced(campaign: &Campaign) -> bool {
    let never_begun = campaign.changes.iter().all(|change| change.value.state.phase() == Phase::Deferred);
    never_begun && matches!(campaign.rollout.value.state, RolloutState::Superseded { .. })
}

impl Watcher for Screen {
    fn passed(&mut self, report: &PassReport, now: Timestamp) {
        let in_flight = |campaign: &Campaign| {
            campaign.changes.iter().filter(|change| change.value.state.phase().is_in_flight()).count()
        };
        for campaign in
            report.ended.iter().map(AsRef::as_ref).chain(&report.campaigns).filter(|campaign| !is_replaced(campaign))
        {
            self.most_in_flight = self.most_in_flight.max(in_flight(campaign));
            for change in &campaign.changes {
                self.show_change(&change.value, now);
            }
            self.show_rollout(campaign, now);
        }
        // A proposal waits for a person, perhaps for days: a bar would promise that it moves.
        let moving: Vec<&Campaign> = report.campaigns.iter().filter(|campaign| !is_proposed(campaign)).collect();
        self.keep_bars(&moving);
        for campaign in moving {
            self.show_bars(campaign);
        }
    }
}

/// How a stretch of time reads.
pub(super) fn minutes(length: Duration) -> String {
    format!("{} min {:02} s", length.as_secs() / 60, length.as_secs() % 60)
}

/// Text in lines of at most so many columns, those after the first so far from the left. Words are not broken, and
/// spaces between them stay as they are but where a line ends.
fn wrapped(text: &str, hang: usize, width: Option<usize>) -> String {
    let Some(width) = width.map(|width| width.max(2 * hang)) else { return text.to_owned() };
    let (mut lines, mut line, mut spaces) = (Vec::new(), String::new(), 0);
    for word in text.split(' ') {
        if word.is_empty() {
            spaces += 1;
            continue;
        }
        let columns = line.chars().count() + spaces + word.chars().count();
        if columns > width && !line.trim().is_empty() {
            lines.push(std::mem::replace(&mut line, " ".repeat(hang)));
            spaces = 0;
        }
        line.push_str(&" ".repeat(spaces));
        line.push_str(word);
        spaces = 1;
    }
    lines.push(line);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_goes_on_under_it() {
        let told = "  blocked   prod-a/web   NoHeadroom: it cannot replace a task";
        assert_eq!(wrapped(told, 12, None), told);
        assert_eq!(wrapped(told, 12, Some(200)), told);
        let narrow = wrapped(told, 12, Some(40));
        assert_eq!(narrow, "  blocked   prod-a/web   NoHeadroom: it\n            cannot replace a task");
        assert_eq!(wrapped("arn:aws:ecs:averyverylongword x", 2, Some(10)), "arn:aws:ecs:averyverylongword\n  x");
        assert_eq!(wrapped("", 2, Some(10)), "");
    }
}
