//! Scenarios for either database: a log, read models, a bus and a projector.

pub(crate) mod bus_away;
pub(crate) mod dropping;
pub(crate) mod erasure;
pub(crate) mod every_event_type;
pub(crate) mod faults;
pub(crate) mod fixture;
pub(crate) mod long_deletions;
pub(crate) mod other_log;
pub(crate) mod parking;
pub(crate) mod projecting;
pub(crate) mod rebuilding;
pub(crate) mod relay;
pub(crate) mod replay;
pub(crate) mod returned_keys;
pub(crate) mod unreadable;
pub(crate) mod verifying;
pub(crate) mod writer;

/// Makes every scenario a test, with the fixture of the expression, or those of other modules that are listed after it.
#[macro_export]
macro_rules! suite {
    ($fixture:expr) => {
        use suite::*;
        $crate::suite! { $fixture;
            every_event_type: every_event_type_is_projected;
            projecting: checkpoints_are_signalled, metrics_and_probes_answer,
                a_restart_goes_on_where_it_was, the_number_of_partitions_may_change,
                tasks_from_before_there_were_grams_are_filled;
            faults: lost_messages_are_read_from_the_log, a_failing_database_delays_and_loses_nothing,
                two_projectors_of_one_partition_do_not_disturb_each_other,
                projectors_of_different_partition_counts_do_not_disturb_each_other,
                a_row_never_goes_back_while_the_log_is_read_again,
                the_history_of_a_purged_task_stays_gone_while_the_log_is_read_again;
            other_log: messages_of_lost_events_are_never_applied, read_models_ahead_of_the_log_are_not_projected_over,
                a_log_that_loses_its_tail_under_a_running_projector_is_noticed,
                a_lost_tail_that_ended_unreadable_is_noticed, a_parked_event_is_not_taken_for_another_at_its_position,
                a_rebuild_starts_over_when_the_log_is_another, a_rebuild_under_which_the_log_is_replaced_ends, a_hole_in_the_log_is_named;
            parking: an_unreadable_event_parks_its_stream_only, a_refused_row_parks_its_stream_until_retried,
                text_with_nul_is_parked, a_misplaced_event_is_parked, another_try_holds_up_nobody_while_it_reads,
                millions_of_parked_events_are_read_and_counted_in_parts;
            unreadable: an_unreadable_record_parks_its_stream_only,
                a_stream_that_begins_unreadable_is_parked_whole, an_unreadable_row_parks_its_stream_only,
                a_row_of_the_projector_itself_stops_nobody_else;
            returned_keys: whose_key_is_there_again_is_projected_without_a_command;
            bus_away: a_projector_works_from_the_store_alone, a_log_without_an_end_is_looked_at_again_and_again,
                a_trickle_of_old_messages_does_not_keep_it_from_the_log,
                an_orderly_end_leaves_every_partition_at_the_end_of_the_log;
            erasure: an_erased_person_leaves_no_rows_and_does_not_come_back, every_table_forgets_an_erased_person,
                the_trail_of_a_person_without_a_key_is_whole, nothing_of_an_erased_person_is_left_aside;
            long_deletions: however_much_a_person_leaves_it_goes, however_long_the_history_of_a_purged_task_is_it_goes;
            verifying: differences_are_found, a_sample_finds_differences, a_sample_is_chosen_from_the_log_alone,
                a_sample_finds_rows_of_which_the_log_knows_nothing, a_projector_notices_differences_by_itself;
            rebuilding: a_rebuild_gives_the_same_rows_and_can_be_undone,
                tables_in_which_more_is_parked_take_over_only_by_force,
                tables_that_grow_all_the_time_are_compared_to_their_end,
                an_interrupted_rebuild_goes_on_where_it_was, projectors_work_and_readers_read_through_swaps,
                what_is_discarded_during_a_rebuild_stays_discarded;
            dropping: whatever_was_dropped_a_rebuild_gives_the_same_rows,
                rows_that_are_kept_aside_go_with_the_others;
            replay: replay_equals_live;
        }
    };
    ($fixture:expr; $($module:ident: $($test:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                $module::$test($fixture.await).await;
            }
        )+)+
    };
}
