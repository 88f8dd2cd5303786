//! One suite on both databases. On SQLite each case is a test of its own; on PostgreSQL one test runs all cases, each in
//! a database of its own, so that the server is started once.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod postgres;
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
    claims::two_hundred_creates_for_the_last_addresses_and_memory;
    claims::what_fits_one_after_another_fits_together;
    claims::a_shrunken_limit_refuses_claims_and_never_releases;
    claims::an_address_and_a_slot_are_claimed_once;
    claims::a_layer_is_made_once_for_many_who_wait;
    claims::an_identity_belongs_to_one_volume;
    claims::an_instance_has_one_active_and_one_incoming_run;
    claims::the_number_of_statements_does_not_grow_with_the_batch;
    claims::sums_never_exceed_ceilings_whatever_comes;
    writer::a_known_key_gets_the_same_answer_for_a_day;
    writer::a_lock_is_held_by_one_operation_and_passes_to_a_destroy;
    writer::operations_are_due_until_they_end;
    writer::an_old_epoch_is_fenced;
    writer::a_lease_is_waited_for;
    writer::events_are_dense_and_observed_in_their_order;
    writer::what_was_acknowledged_is_there_after_opening_again;
    writer::a_newer_schema_is_refused;
    writer::a_full_queue_is_an_answer;
    writer::tokens_are_found_by_their_hash;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_passes_the_same_suite() {
    let Some(postgres) = postgres::Postgres::start() else {
        return;
    };
    for (n, (name, case)) in CASES.iter().enumerate() {
        eprintln!("on PostgreSQL: {name}");
        case(postgres.database(&format!("velum_{n}")).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_that_drops_the_writer_is_asked_again() {
    let Some(postgres) = postgres::Postgres::start() else {
        return;
    };
    let url = postgres.database("velum").await;
    cases::faults::a_lost_connection_is_opened_again(url, postgres.connect().await).await;
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
