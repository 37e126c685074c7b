//! The model's cache: beside a real Redis, where the same commands have to get the same replies and errors, and by
//! itself in virtual time.

mod faults;
mod footprints;
mod grammar;
mod scripts;
mod time;
mod twins;

use std::path::PathBuf;

use crosscheck_harness::backend::local::{
    Finding, Places, Program, Programs, ServerKind, ServerSet, default_root,
};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use twins::{Line, Twins};

/// How many sequences are compared.
const SEQUENCES: u32 = 400;

/// A server of the test's own, or none after a line that says why the test is skipped.
async fn server() -> Option<ServerSet> {
    let environment = |name: &str| std::env::var(name).ok();
    let programs = Programs::find(&environment, &Places::debian());
    if !matches!(programs.finding(Program::Redis), Finding::Found { .. }) {
        let required = std::env::var("CROSSCHECK_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|word| word == "local"), "redis-server is required and not here");
        println!("skipped: redis-server is not here");
        return None;
    }
    let root: PathBuf = default_root(&environment);
    let started = ServerSet::start(&[ServerKind::RedisCache], &programs, &[], &root).await;
    Some(started.unwrap_or_else(|error| panic!("{error}")))
}

/// Compares sequences of commands until one differs, and then the shortest like it.
fn compare(sequences: impl Strategy<Value = Vec<Line>>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let Some(set) = runtime.block_on(server()) else { return };
    let addr = set.redis_cache().expect("the set was asked for it").addr();
    let twins = runtime.block_on(Twins::at(addr));
    let twins = std::cell::RefCell::new(twins);
    let given = Config::default();
    // The same each time, if PROPTEST_RNG_SEED does not say another.
    let rng_seed = if given.rng_seed == RngSeed::Random { RngSeed::Fixed(1) } else { given.rng_seed };
    let config = Config { cases: SEQUENCES, failure_persistence: None, rng_seed, ..given };
    let compared = TestRunner::new(config).run(&sequences, |lines| {
        let difference = runtime.block_on(twins.borrow_mut().compare(&lines));
        difference.map_or(Ok(()), |difference| Err(TestCaseError::fail(difference)))
    });
    if let Err(TestError::Fail(reason, lines)) = compared {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        panic!("{reason}\nafter\n{}", lines.join("\n"));
    }
    compared.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn any_commands_are_answered_alike() {
    compare(grammar::sequences(grammar::ALL));
}

#[test]
fn commands_on_streams_are_answered_alike() {
    compare(grammar::sequences(grammar::STREAMS));
}

#[test]
fn transactions_are_answered_alike() {
    compare(grammar::sequences(grammar::TRANSACTIONS));
}

#[test]
fn scripts_are_answered_alike() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let Some(set) = runtime.block_on(server()) else { return };
    let addr = set.redis_cache().expect("the set was asked for it").addr();
    runtime.block_on(async {
        let mut twins = Twins::at(addr).await;
        let mut differences = Vec::new();
        for script in scripts::SCRIPTS {
            differences.extend(twins.compare(&scripts::lines(script)).await);
        }
        assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    });
}
