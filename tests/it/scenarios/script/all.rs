//! One test for each script, and one that no script is left out.

use std::collections::BTreeSet;

use super::run;

macro_rules! scripts {
    ($($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let transcript = run::run(&run::read(stringify!($name))).await;
                insta::with_settings!(
                    { snapshot_path => "../transcripts", prepend_module_to_snapshot => false, omit_expression => true },
                    { insta::assert_snapshot!(stringify!($name), transcript); }
                );
            }
        )*

        #[test]
        fn every_script_is_run_and_has_a_transcript() {
            let names: BTreeSet<String> = [$(stringify!($name)),*].into_iter().map(ToOwned::to_owned).collect();
            assert_eq!(run::stems("scripts", ".txt"), names);
            assert_eq!(run::stems("transcripts", ".snap"), names);
        }
    };
}

scripts! {
    a_bake_that_sees_tasks_die
    a_days_changes_are_moves
    a_deployment_that_never_ends
    a_failed_canary_stops_the_advance
    a_freeze_that_includes_rollback
    a_mixed_setting_that_ecs_takes_back
    a_plan_as_if_applied
    a_plan_is_asked_for
    a_proposal_of_a_deleted_service_is_replaced
    a_wave_that_proves_nothing
    a_wave_with_a_limit_of_its_own
    a_wave_with_more_in_flight
    a_window_that_allows
    a_window_that_denies
    a_window_when_clocks_change
    aborted_while_the_fleet_is_read
    an_alarm_takes_its_wave_back
    approval_before
    approval_of_a_proposal
    approval_of_a_proposal_of_which_one_is_waived
    approval_of_each_wave
    approval_outside_the_window
    approved_before_it_was_judged_again
    audited_while_older_tasks_run
    cannot_be_read_in_flight
    cannot_be_read_on_the_way_back
    capacity_is_provisioned
    changes_of_a_day_are_counted_through_a_crash
    circuit_breaker_goes_back
    clobbered
    clobbered_and_still_deploying
    clobbered_before_the_next_begins
    cluster_deleted
    cluster_setting
    contested
    contested_until_somebody_retries
    definitions_denied_on_the_way_back
    definitions_denied_while_registering
    early_success
    eligibility
    eligibility_during_a_rollback
    eligibility_of_daemons
    eligibility_of_documents
    eligibility_of_owners
    eligibility_that_passes_by_itself
    enforcement_turned_to_propose_in_mid_rollout
    explained
    family_ahead
    first_wave_covers_every_fix
    freeze_by_scope
    freeze_right_before_a_call
    freeze_that_cannot_be_looked_for_in_time
    freezes_do_not_starve_the_rest
    going_back_is_exempt
    going_back_with_a_moved_tag
    going_back_with_a_tag_that_moves_meanwhile
    going_back_with_a_tag_that_stayed
    gone
    gone_while_held
    hold_beforehand
    hold_of_a_fix_that_changes
    hold_that_expires
    iac_enforce
    iac_propose
    images_allow
    images_pin
    images_refuse
    images_refuse_latest
    killed_after_a_call
    killed_before_a_call
    late_call_after_an_undo
    late_call_back_over_somebodys_deployment
    late_call_found_too_late_to_stop_it
    late_call_of_a_former_holder
    late_call_over_somebodys_deployment
    late_registration_after_a_repeat
    late_registration_after_all_was_deleted
    late_registration_beside_another
    late_registration_cleared_by_the_next_holder
    late_registration_seen_before_a_repeat
    late_registration_seen_between_two_looks
    late_setting_after_an_undo
    late_setting_over_a_restart
    late_setting_over_somebodys_deployment
    max_affected
    max_affected_counts_what_is_wanted
    max_changes_per_day
    max_failures
    max_in_flight
    max_in_flight_after_an_abort
    max_in_flight_beside_a_proposal
    max_in_flight_of_an_undo
    native_bake
    native_bake_on_the_way_back
    native_pause_hook
    native_shifts
    never_during_a_rollback
    no_progress
    on_failure_continue
    on_failure_rollback
    one_of_another_rollout_goes_first
    our_revision_deployed_by_a_person
    outside_of_services
    overtaken
    paused_and_nothing_is_left
    paused_in_the_last_bake
    policies_deleted_in_mid_rollout
    policy_edited_in_mid_rollout
    policy_edited_right_before_a_wave
    protection_prolonged_and_ended_early
    protection_that_cannot_be_read
    quiet_setting
    quiet_setting_under_a_freeze_and_a_window
    redeployed_with_another_violation
    redeployed_with_the_same_violation
    redeployed_with_the_violation_in_one_more_place
    release_after_an_undo
    release_before_reads_show_what_was_deregistered
    retry_during_a_freeze
    retry_on_what_was_deployed_since
    retry_right_after_an_undo
    scaled_to_zero
    services_on_one_revision
    setting_exec
    setting_of_a_cluster_under_a_freeze_and_a_window
    setting_platform_version
    setting_put_back_before_tasks_are_replaced
    setting_tags
    setting_that_deploys
    setting_that_deploys_and_fails
    setting_that_deploys_under_a_freeze_and_a_window
    somebody_registers_in_between
    spot_tasks_are_no_failures
    steady_for
    stopped_is_stopped_elsewhere_too
    stopped_while_the_fleet_is_read
    tags_of_which_half_was_set
    tasks_protected_from_scale_in
    undo_after_somebody_deployed
    undo_of_a_rollout
    undo_of_an_undo
    undo_of_one_service
    undo_of_two_changes_of_one_service
    undo_of_what_another_rollout_built_on
    undo_stops_at_what_cannot_go_back
    undo_waits_for_protected_tasks
    undo_when_the_previous_is_inactive
    undo_when_the_previous_was_deleted
    undo_where_all_had_moved_on
    undo_while_a_later_rollout_brings_it_again
    unknown_beside_what_fails
    unverified_alone_is_no_success
    unverified_and_failing_later
    waived_while_another_fix_is_stopped
    waiver_before_the_next_wave
    waiver_while_registering
    wave_members_that_cannot_go_are_replaced
    wave_sizes_where_and_bakes
}
