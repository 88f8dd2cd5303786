//! One suite on both databases. On SQLite each case is a test of its own; on PostgreSQL one test runs all cases, each in
//! a database of its own, so that the server is started once.

#[cfg(test)]
mod cases;
#[cfg(test)]
#[path = "../../../../tests/support/src/postgres.rs"]
mod postgres;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod world;

use std::{future::Future, pin::Pin};

type Case = fn(String) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! suite {
    ($($module:ident::$case:ident;)*) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let directory = tempfile::tempdir().expect("a temporary directory");
                    let url = format!("sqlite:{}/velum.db", directory.path().display());
                    crate::cases::$module::$case(url).await;
                }
            )*
        }

        const CASES: &[(&str, Case)] = &[$(
            (stringify!($case), |url| Box::pin(cases::$module::$case(url))),
        )*];
    };
}

suite! {
    rows::every_row_reads_as_it_was_written;
    rows::records_change_only_under_the_generation_that_was_read;
    rows::what_goes_leaves_nothing_behind;
    rows::a_foreign_project_sees_nothing;
    rows::pages_follow_one_another_without_gap_or_repeat;
    rows::every_list_takes_every_filter;
    rows::a_zone_that_goes_leaves_its_events;
    refusals::a_name_is_taken_once_in_its_scope;
    refusals::what_is_used_cannot_be_removed_and_says_by_what;
    refusals::a_reference_that_leads_nowhere_is_named;
    refusals::pods_and_ranges_do_not_overlap;
    refusals::one_guilty_commit_does_not_harm_its_neighbours;
    refusals::a_row_that_moved_on_is_stale;
    affinity::members_that_are_to_be_apart_have_one_place_each_whoever_asks;
    affinity::members_that_are_to_be_together_are;
    affinity::a_rack_is_a_place_too;
    affinity::a_group_has_members_of_its_zone_and_project_and_stays_while_it_has;
    decisions::decisions_are_found_by_when_and_how_they_came_out;
    decisions::old_decisions_are_forgotten_but_those_that_placed_what_is_there;
    decisions::a_history_is_read_from_its_last_whole_on_and_bounded;
    claims::two_hundred_creates_for_the_last_addresses_and_memory;
    claims::what_fits_one_after_another_fits_together;
    claims::a_shrunken_limit_refuses_claims_and_never_releases;
    claims::an_address_and_a_slot_are_claimed_once;
    claims::a_layer_is_made_once_for_many_who_wait;
    claims::an_identity_belongs_to_one_volume;
    claims::an_instance_has_one_active_and_one_incoming_run;
    claims::the_number_of_statements_does_not_grow_with_the_batch;
    claims::sums_never_exceed_ceilings_whatever_comes;
    resources::what_there_is_of_a_resource_goes_to_whoever_comes_first;
    resources::a_resource_that_is_taken_away_is_held_until_its_runs_go;
    resources::who_wants_no_resources_costs_no_statement;
    writer::a_known_key_gets_the_same_answer_for_a_day;
    writer::what_is_committed_together_is_there_or_nothing_of_it;
    writer::one_key_answers_for_all_that_is_committed_together;
    writer::a_lock_is_held_by_one_operation_and_passes_to_a_destroy;
    writer::operations_are_due_until_they_end;
    writer::an_old_epoch_is_fenced;
    writer::a_lease_is_waited_for;
    writer::events_are_dense_and_observed_in_their_order;
    writer::what_was_acknowledged_is_there_after_opening_again;
    writer::a_newer_schema_is_refused;
    writer::a_full_queue_is_an_answer;
    writer::tokens_are_found_by_their_hash;
    ahead::who_is_refused_beside_another_batch_is_refused_alone;
    ahead::a_lock_is_taken_of_what_is_parked_when_that_is_known;
    ahead::a_takeover_lets_nothing_be_committed_that_was_begun_before;
    nodes::the_first_authority_stays;
    nodes::a_join_token_is_used_once_and_in_time;
    lost::old_marks_are_removed;
    care::every_table_is_copied;
    care::a_copy_refuses_what_is_held_or_not_empty;
    care::a_backup_is_made_while_a_server_works;
    start::another_programs_tables_are_refused;
    start::a_migration_that_was_broken_off_is_refused;
    servers::shards_spread_and_go_to_whoever_saw_them_stand_still;
    servers::a_server_that_comes_back_takes_its_own_at_once;
    servers::whoever_leaves_hands_over_at_once;
    servers::a_key_sent_to_two_servers_has_one_effect;
    servers::a_missing_number_is_waited_for;
    servers::components_are_there_for_every_server;
    plugins::a_key_that_is_revoked_marks_what_it_signed;
    plugins::the_name_of_a_plugin_is_claimed_as_it_was_read;
    plugins::an_operation_keeps_the_driver_that_it_began_with;
    plugins::a_policy_remembers_what_it_was_and_has_one_shadow;
    orphans::what_goes_is_remembered_and_what_never_was_is_not;
    orphans::an_orphan_is_one_row_and_goes_with_its_place;
    orphans::a_row_on_its_way_that_no_operation_holds_is_an_alarm;
    orphans::a_parked_operation_is_counted_and_gives_its_lock_to_a_destroy_alone;
}

/// A connection of the test's own.
#[cfg(test)]
async fn connect(url: &str) -> sqlx::PgConnection {
    use sqlx::Connection as _;
    sqlx::PgConnection::connect(url).await.expect("a connection")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_restored_above_every_epoch() {
    cases::care::a_backup_is_restored_above_every_epoch().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_database_is_migrated_by_restoring_it() {
    cases::care::an_earlier_database_is_migrated_by_restoring_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_found_and_refused() {
    cases::care::damage_is_found_and_refused().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_database_is_refused_in_words() {
    cases::start::what_is_no_database_is_refused().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_cannot_be_written_is_refused_in_words() {
    cases::start::a_place_that_cannot_be_written_is_refused().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_an_answer_and_the_writer_goes_on() {
    cases::faults::a_full_disk_is_an_answer().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_share_one_sqlite_file() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = format!("sqlite:{}/velum.db", directory.path().display());
    cases::faults::two_writers_take_turns(url).await;
}

/// Those that start a PostgreSQL of their own: not many at a time.
#[cfg(test)]
mod on_postgres {
    use crate::{CASES, cases, connect, postgres};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgresql_passes_the_same_suite() {
        let Some(postgres) = postgres::Postgres::start().expect("a server") else {
            return;
        };
        for (n, (name, case)) in CASES.iter().enumerate() {
            eprintln!("on PostgreSQL: {name}");
            case(postgres.create(&format!("velum_{n}")).expect("a database")).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_postgresql_that_drops_the_writer_is_asked_again() {
        let Some(postgres) = postgres::Postgres::start().expect("a server") else {
            return;
        };
        let url = postgres.create("velum").expect("a database");
        let other = connect(&postgres.url("postgres")).await;
        cases::faults::a_lost_connection_is_opened_again(url, other).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_connection_that_breaks_before_commit_arrives_costs_another_try() {
        cases::lost::cut_before_commit_arrives().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_connection_that_breaks_after_commit_happened_costs_a_look() {
        cases::lost::cut_after_commit_happened().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_commit_that_is_still_on_its_way_is_waited_for() {
        cases::lost::commit_arrives_after_the_question().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_token_whose_commit_was_not_answered_is_stored_once() {
        cases::lost::a_token_is_stored_once().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_not_known_in_time_is_known_before_the_next() {
        cases::lost::what_is_not_known_in_time_is_known_before_the_next().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_postgresql_that_is_killed_under_load_loses_nothing() {
        cases::lost::a_server_that_is_killed_under_load_loses_nothing().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn after_a_silence_nothing_waits_on_an_older_connection() {
        cases::servers::after_a_silence_nothing_waits_on_an_older_connection().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_that_cannot_write_claims_nothing() {
        cases::servers::a_server_that_cannot_write_claims_nothing().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_was_overtaken_tries_again() {
        cases::lost::who_was_overtaken_tries_again().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_cloud_moves_to_postgresql_and_back() {
        cases::care::a_cloud_moves_to_postgresql_and_back().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_does_not_fit_another_engine_is_named() {
        cases::care::what_does_not_fit_is_named().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_backup_crosses_engines() {
        cases::care::a_backup_crosses_engines().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_postgresql_has_not_is_refused_in_words() {
        cases::start::what_postgresql_has_not_is_refused().await;
    }
}
