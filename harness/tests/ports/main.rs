//! The adapters of the ports against real servers: what comes back, and above all what an error says about
//! the call. A test whose server is missing is listed as ignored, with the reason.

mod broker;
mod cache;
mod database;
mod faults;
mod servers;
mod transactions;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

use crosscheck_harness::backend::local::{ServerKind, StartError};
use crosscheck_harness::port::PortError;
use libtest_mimic::{Arguments, Failed, Trial};
use servers::Servers;

/// What a case returns; it fails by a panic of an assertion, or by an error that it did not expect.
type Outcome = Pin<Box<dyn Future<Output = Result<(), PortError>>>>;

/// What the cases share.
const WANTS: [ServerKind; 3] = [ServerKind::Postgres, ServerKind::RedisCache, ServerKind::Kafka];

/// A named case.
struct Case {
    name: &'static str,
    run: fn(Servers) -> Outcome,
}

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        vec![$(Case {
            name: concat!(stringify!($module), "::", stringify!($name)),
            run: |servers| Box::pin($module::$name(servers)),
        }),*]
    };
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let cases = cases![
        database::values_go_both_ways,
        database::types_that_are_not_read_are_refused_by_name,
        database::parameters_are_checked_before_anything_runs,
        database::a_unique_violation_is_refused,
        database::a_serialization_failure_is_a_conflict,
        database::a_commit_of_a_failed_transaction_is_refused,
        database::a_table_changed_behind_a_prepared_statement_is_read_anew,
        database::a_session_terminated_in_a_statement_leaves_it_unknown,
        database::a_server_killed_in_a_statement_leaves_it_unknown,
        database::a_cut_in_a_statement_leaves_it_unknown,
        database::no_reply_in_time_leaves_it_unknown,
        database::a_dead_port_means_not_sent,
        database::a_dropped_session_is_rolled_back,
        database::a_lock_wait_is_seen,
        database::skip_locked_skips,
        database::notifications_arrive,
        database::a_logical_slot_is_peeked_and_advanced,
        cache::commands_and_replies,
        cache::error_replies,
        cache::a_cut_in_a_command_leaves_it_unknown,
        cache::no_reply_in_time_leaves_it_unknown,
        cache::a_dead_port_means_not_sent,
        broker::messages_go_through,
        broker::a_topic_is_read_from_first_to_last,
        broker::uncommitted_messages_come_again,
        broker::a_dropped_consumer_commits_nothing_by_itself,
        broker::partitions_are_assigned_at_offsets,
        broker::what_cannot_be_is_refused,
        broker::without_acknowledgement_the_offset_is_untold,
        broker::a_killed_broker_leaves_a_message_unknown,
        broker::polling_without_brokers_brings_nothing,
        transactions::a_transaction_is_seen_when_it_is_committed,
        transactions::calls_out_of_turn_are_refused,
        transactions::a_newer_producer_of_the_id_fences,
        transactions::offsets_go_with_the_transaction,
    ];
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => panic!("a runtime starts: {error}"),
    };
    let set = if arguments.list { None } else { Some(runtime.block_on(servers::start(&WANTS))) };
    let found = set.as_ref().map(|set| set.as_ref().map(Servers::of));
    let trials = cases.into_iter().map(|case| trial(&case, found.as_ref())).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A case as a test: ignored with the reason where a program is missing, failed where it does not start.
fn trial(case: &Case, found: Option<&Result<Servers, &StartError>>) -> Trial {
    let run = case.run;
    match found {
        None => Trial::test(case.name, || Ok(())),
        Some(Ok(servers)) => {
            let servers = servers.clone();
            Trial::test(case.name, move || in_runtime(run(servers)))
        }
        Some(Err(StartError::Unavailable(missing))) if !servers::required() => {
            Trial::test(case.name, || Ok(())).with_kind(missing.to_string()).with_ignored_flag(true)
        }
        Some(Err(error)) => {
            let failure = Failed::from(error.to_string());
            Trial::test(case.name, move || Err(failure))
        }
    }
}

fn in_runtime(outcome: Outcome) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(outcome).map_err(Failed::from)
}
