use super::*;
use crate::model::ReasonCode;
use crate::rollout::fixture::{at, changes, entered, reason, rollout};

fn blocked(change: &Change) -> Change {
    entered(change.clone(), State::Blocked { reason: reason(ReasonCode::NoHeadroom), at: at(9) }, 9)
}

#[track_caller]
fn check(rollout: &Rollout, changes: &[Change], expected: &[usize]) {
    assert_eq!(replacements(rollout, changes, 0), expected);
}

#[test]
fn a_lost_fix_is_brought_by_somebody_else_before_the_order_of_the_plan_counts() {
    let mut list = changes(&[1, 3]);
    list[0].spec.fixes = vec!["rare".to_owned()];
    list[3].spec.fixes = vec!["rare".to_owned()];
    list[0] = blocked(&list[0]);
    check(&rollout(&[1, 3]), &list, &[3]);
    list[3].spec.fixes = vec!["other".to_owned()];
    check(&rollout(&[1, 3]), &list, &[1]);
}

#[test]
fn the_first_wave_grows_until_every_fix_that_was_lost_is_tried_in_it() {
    let mut list = changes(&[1, 3]);
    list[0].spec.fixes = vec!["one".to_owned(), "other".to_owned()];
    list[1].spec.fixes = vec!["one".to_owned()];
    list[3].spec.fixes = vec!["other".to_owned()];
    list[0] = blocked(&list[0]);
    check(&rollout(&[1, 3]), &list, &[1, 3]);
    // A later wave is as large as it was planned.
    for change in &mut list {
        change.spec.wave += 1;
    }
    assert_eq!(replacements(&rollout(&[1, 1, 3]), &list, 1), [1]);
}

#[test]
fn as_many_join_as_were_lost() {
    let mut list = changes(&[2, 3]);
    check(&rollout(&[2, 3]), &list, &[]);
    list[0] = blocked(&list[0]);
    check(&rollout(&[2, 3]), &list, &[2]);
    list[1] = blocked(&list[1]);
    check(&rollout(&[2, 3]), &list, &[2, 3]);
}

#[test]
fn a_service_joins_with_all_of_its_changes_or_not_at_all() {
    let mut list = changes(&[1, 4]);
    list[0] = blocked(&list[0]);
    list[3].spec.resource = list[1].spec.resource.clone();
    check(&rollout(&[1, 4]), &list, &[1, 3]);
    list[3] = entered(list[3].clone(), State::Registering { since: at(1) }, 1);
    check(&rollout(&[1, 4]), &list, &[2]);
}

#[test]
fn a_wave_that_was_chosen_or_approved_by_name_has_no_substitutes() {
    let mut list = changes(&[1, 1]);
    list[0] = blocked(&list[0]);
    let mut chosen = rollout(&[1, 1]);
    chosen.spec.waves[0].selective = true;
    check(&chosen, &list, &[]);
    let mut approved = rollout(&[1, 1]);
    approved.spec.strategy.approval = Approval::EachWave;
    check(&approved, &list, &[]);
    check(&rollout(&[1, 1]), &list, &[1]);
}
