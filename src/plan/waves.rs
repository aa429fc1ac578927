//! Who goes first. Deterministic: worst severity first, then by ARN; the first wave covers every distinct fix, so that
//! each is tried on one service before it reaches many. It is enlarged for that beyond its `size`, and not beyond its
//! `where`: whoever writes where to begin does not want to begin elsewhere. What it then does not cover, it says.

use std::collections::BTreeSet;

use super::report::{PlannedChange, PlannedWave, Uncovered};
use crate::model::change::WaveRecord;
use crate::model::spec::{StrategySpec, WaveSize};

/// The rule, for people to read.
pub const ORDER: &str = "each fix is tried in the first wave, then the worst severity goes first, then by ARN";

/// Orders `changes`, gives each its wave, and answers with the waves. `in_scope` says whether a wave's `where` matches
/// a change; waves that would be empty are left out.
pub fn assign(
    changes: &mut [PlannedChange],
    strategy: &StrategySpec,
    in_scope: impl Fn(usize, &PlannedChange) -> bool,
) -> Vec<PlannedWave> {
    changes.sort_by(|one, other| {
        let key = |change: &PlannedChange| (std::cmp::Reverse(change.severity), change.resource.clone(), change.kind);
        key(one).cmp(&key(other))
    });
    let all = resources(changes.iter());
    let mut left: Vec<usize> = (0..changes.len()).collect();
    let mut waves: Vec<PlannedWave> = Vec::new();
    for (index, spec) in strategy.waves.iter().enumerate() {
        let candidates: Vec<usize> = left
            .iter()
            .copied()
            .filter(|place| changes.get(*place).is_some_and(|change| in_scope(index, change)))
            .collect();
        let size = match spec.size {
            WaveSize::Amount(amount) => match amount {
                crate::model::spec::Amount::Count(count) => count as usize,
                crate::model::spec::Amount::Share(share) => share.of_rounded_up(all),
            },
            WaveSize::Rest => usize::MAX,
        };
        let chosen = choose(changes, &candidates, size, waves.is_empty());
        if chosen.is_empty() {
            continue;
        }
        let record = WaveRecord {
            name: spec.name.clone().unwrap_or_else(|| format!("wave-{}", index + 1)),
            bake_seconds: spec.bake.0.as_secs(),
            max_in_flight: spec.max_in_flight.unwrap_or(strategy.max_in_flight),
            max_failures: spec.max_failures.map_or(0, |limit| limit.of_rounded_down(chosen.len())),
            size: 0,
            selective: spec.selector.is_some(),
        };
        place(changes, &mut left, &chosen, &mut waves, record);
    }
    if !left.is_empty() {
        let rest = left.clone();
        let record = WaveRecord {
            name: "remaining".to_owned(),
            bake_seconds: 0,
            max_in_flight: strategy.max_in_flight,
            max_failures: 0,
            size: 0,
            selective: false,
        };
        place(changes, &mut left, &rest, &mut waves, record);
    }
    changes.sort_by_key(|change| change.wave);
    let uncovered = uncovered(changes, &waves);
    if let Some(first) = waves.first_mut() {
        first.uncovered = uncovered;
    }
    waves
}

/// The fixes that no change of the first wave brings.
fn uncovered(changes: &[PlannedChange], waves: &[PlannedWave]) -> Vec<Uncovered> {
    let of_first = changes.iter().filter(|change| change.wave == 0);
    let covered: BTreeSet<&String> = of_first.flat_map(|change| &change.fixes).collect();
    let all: BTreeSet<&String> = changes.iter().flat_map(|change| &change.fixes).collect();
    let told = |fix: &&String| {
        // In the order of their waves.
        let mut bring = changes.iter().filter(|change| change.fixes.contains(fix));
        let first = bring.next()?;
        let asked_by_all = |policy: &String| bring.clone().all(|change| change.policies.contains(policy));
        let policies = first.policies.iter().filter(|policy| asked_by_all(policy)).cloned().collect();
        let wave = waves.get(first.wave).map(|wave| wave.record.name.clone())?;
        Some(Uncovered { fix: (*fix).clone(), policies, wave })
    };
    all.difference(&covered).filter_map(told).collect()
}

/// How many distinct resources there are.
fn resources<'a>(changes: impl Iterator<Item = &'a PlannedChange>) -> usize {
    changes.map(|change| &change.resource).collect::<BTreeSet<_>>().len()
}

/// The members of a wave, by their places: `size` resources in order, with all changes of each; for the first wave,
/// before that and however many it takes, resources that bring a fix not yet covered.
fn choose(changes: &[PlannedChange], candidates: &[usize], size: usize, first: bool) -> Vec<usize> {
    let change = |place: &usize| changes.get(*place);
    let mut chosen = BTreeSet::new();
    if first {
        let mut covered: BTreeSet<&String> = BTreeSet::new();
        for candidate in candidates.iter().filter_map(change) {
            if candidate.fixes.iter().any(|fix| !covered.contains(fix)) {
                covered.extend(&candidate.fixes);
                chosen.insert(&candidate.resource);
            }
        }
    }
    for candidate in candidates.iter().filter_map(change) {
        if chosen.len() >= size {
            break;
        }
        chosen.insert(&candidate.resource);
    }
    let is_chosen = |place: &&usize| change(place).is_some_and(|change| chosen.contains(&change.resource));
    candidates.iter().filter(is_chosen).copied().collect()
}

fn place(
    changes: &mut [PlannedChange],
    left: &mut Vec<usize>,
    chosen: &[usize],
    waves: &mut Vec<PlannedWave>,
    record: WaveRecord,
) {
    let mut members: Vec<String> = Vec::new();
    for index in chosen {
        if let Some(change) = changes.get_mut(*index) {
            change.wave = waves.len();
            let name = change.resource.as_str().to_owned();
            if !members.contains(&name) {
                members.push(name);
            }
        }
    }
    left.retain(|index| !chosen.contains(index));
    let record = WaveRecord { size: members.len(), ..record };
    waves.push(PlannedWave { record, resources: members, uncovered: Vec::new() });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::spec::WaveSpec;
    use crate::model::{ChangeKind, Resource};
    use crate::model::{Severity, Timestamp};

    fn change(number: usize, severity: Severity, fixes: &[&str]) -> PlannedChange {
        PlannedChange {
            resource: Resource::Service(format!("arn:aws:ecs:eu-west-1:1:service/prod/s{number:02}").parse().unwrap()),
            created_at: Timestamp::EPOCH,
            cluster: "arn:aws:ecs:eu-west-1:1:cluster/prod".parse().unwrap(),
            kind: ChangeKind::Revision,
            from: None,
            diff: vec![],
            edits: String::new(),
            documents: None,
            setting: None,
            fixes: fixes.iter().map(ToString::to_string).collect(),
            policies: vec![],
            registered: Default::default(),
            put_back: vec![],
            severity,
            wave: 99,
        }
    }

    fn names(waves: &[PlannedWave]) -> Vec<(&str, Vec<&str>)> {
        let short = |arn: &'_ String| -> &'static str {
            Box::leak(arn.rsplit('/').next().unwrap().to_owned().into_boxed_str())
        };
        waves.iter().map(|wave| (wave.record.name.as_str(), wave.resources.iter().map(short).collect())).collect()
    }

    #[test]
    fn the_first_wave_grows_until_it_covers_every_fix() {
        let mut changes = vec![
            change(1, Severity::Low, &["a"]),
            change(2, Severity::High, &["b"]),
            change(3, Severity::High, &["b"]),
            change(4, Severity::Low, &["a", "c"]),
        ];
        let waves = assign(&mut changes, &StrategySpec::default(), |_, _| true);
        assert_eq!(names(&waves), [("canary", vec!["s02", "s01", "s04"]), ("quarter", vec!["s03"])]);
    }

    #[test]
    fn what_no_wave_takes_goes_last() {
        let mut changes = vec![change(1, Severity::Low, &["a"]), change(2, Severity::Low, &["a"])];
        let strategy = StrategySpec {
            waves: vec![WaveSpec { name: Some("one".into()), size: "1".parse().unwrap(), ..WaveSpec::default() }],
            ..StrategySpec::default()
        };
        let waves = assign(&mut changes, &strategy, |_, _| true);
        assert_eq!(names(&waves), [("one", vec!["s01"]), ("remaining", vec!["s02"])]);
    }

    #[test]
    fn a_wave_takes_only_what_its_where_matches() {
        let mut changes = vec![change(1, Severity::Low, &["a"]), change(2, Severity::Low, &["a"])];
        let waves = assign(&mut changes, &StrategySpec::default(), |wave, change| {
            wave > 0 || change.resource.as_str().ends_with('2')
        });
        assert_eq!(names(&waves), [("canary", vec!["s02"]), ("quarter", vec!["s01"])]);
    }

    #[test]
    fn what_the_first_wave_does_not_try_for_its_where_is_said() {
        let with = |number, fixes: &[&str], policies: &[&str]| PlannedChange {
            policies: policies.iter().map(ToString::to_string).collect(),
            ..change(number, Severity::Low, fixes)
        };
        let mut changes = vec![
            with(1, &["a", "b"], &["about-a", "about-b"]),
            with(2, &["b"], &["about-b"]),
            with(3, &["a"], &["about-a"]),
            with(4, &["a"], &["about-a"]),
        ];
        let waves = assign(&mut changes, &StrategySpec::default(), |wave, change| {
            wave > 0 || change.resource.as_str().ends_with(['3', '4'])
        });
        assert_eq!(names(&waves), [("canary", vec!["s03"]), ("quarter", vec!["s01"]), ("rest", vec!["s02", "s04"])]);
        let told = Uncovered { fix: "b".into(), policies: vec!["about-b".into()], wave: "quarter".into() };
        assert_eq!(waves.iter().map(|wave| wave.uncovered.clone()).collect::<Vec<_>>(), [vec![told], vec![], vec![]]);
        // Without a `where` it is enlarged, and there is nothing to say.
        let waves = assign(&mut changes, &StrategySpec::default(), |_, _| true);
        assert!(waves.iter().all(|wave| wave.uncovered.is_empty()), "{waves:?}");
    }

    #[test]
    fn a_wave_says_how_many_are_to_be_proved_and_whether_others_may_take_their_places() {
        let mut changes: Vec<_> = (1..=4).map(|number| change(number, Severity::Low, &["a"])).collect();
        changes.push(PlannedChange { kind: ChangeKind::QuietSetting, ..change(1, Severity::Low, &["b"]) });
        let chosen = WaveSpec { size: "2".parse().unwrap(), selector: Some(Default::default()), ..WaveSpec::default() };
        let strategy = StrategySpec { waves: vec![chosen, WaveSpec::default()], ..StrategySpec::default() };
        let waves = assign(&mut changes, &strategy, |_, _| true);
        // Two changes of one service are one place.
        let told: Vec<_> = waves.iter().map(|wave| (wave.record.size, wave.record.selective)).collect();
        assert_eq!(told, [(2, true), (2, false)]);
        let with_own = WaveSpec { max_failures: Some("50%".parse().unwrap()), ..WaveSpec::default() };
        let strategy = StrategySpec { waves: vec![with_own], ..StrategySpec::default() };
        let waves = assign(&mut changes, &strategy, |_, _| true);
        assert_eq!(waves[0].record.max_failures, 2);
    }

    proptest! {
        #[test]
        fn every_change_is_in_exactly_one_wave(fixes in prop::collection::vec(prop::collection::vec(0..3u8, 1..3), 0..30)) {
            let names: Vec<Vec<String>> = fixes.iter().map(|fixes| fixes.iter().map(ToString::to_string).collect()).collect();
            let mut changes: Vec<_> = names.iter().enumerate()
                .map(|(number, fixes)| change(number, Severity::Low, &fixes.iter().map(String::as_str).collect::<Vec<_>>()))
                .collect();
            let waves = assign(&mut changes, &StrategySpec::default(), |_, _| true);
            prop_assert_eq!(waves.iter().map(|wave| wave.resources.len()).sum::<usize>(), changes.len());
            prop_assert!(changes.iter().all(|change| change.wave < waves.len()));
            let covered: BTreeSet<&String> = changes.iter().filter(|change| change.wave == 0).flat_map(|change| &change.fixes).collect();
            let all: BTreeSet<&String> = changes.iter().flat_map(|change| &change.fixes).collect();
            prop_assert_eq!(covered, all);
        }

        #[test]
        fn the_order_in_which_changes_come_is_nothing_to_the_waves(drawn in prop::collection::vec((0..3u8, any::<bool>()), 0..20)) {
            let severity = |high: bool| if high { Severity::High } else { Severity::Low };
            let some = || drawn.iter().enumerate()
                .map(|(number, (fix, high))| change(number, severity(*high), &[&fix.to_string()]));
            let (mut one, mut other): (Vec<_>, Vec<_>) = (some().collect(), some().rev().collect());
            let (waves, turned) = (
                assign(&mut one, &StrategySpec::default(), |_, _| true),
                assign(&mut other, &StrategySpec::default(), |_, _| true),
            );
            prop_assert_eq!(names(&waves), names(&turned));
        }
    }
}
