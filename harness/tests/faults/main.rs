//! Every fault of the registry on servers of ours, processes and containers: it takes, load notices it, it heals, and load goes on. A fault
//! without a case here fails.

mod load;
mod place;
mod seen;

use std::time::Duration;

use crosscheck_harness::backend::HarnessError;
use crosscheck_harness::fault::{self, FAULTS};
use crosscheck_harness::port::System;
use crosscheck_harness::schedule::FaultOn;
use tokio::time::{Instant, sleep};

use load::Load;
use place::{Hosts, Place};

/// Nothing takes as long; it keeps a fault that does not take from hanging the tests.
const SOON: Duration = Duration::from_secs(20);

/// Until it is so, or the test fails.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !is_so().await {
        assert!(Instant::now() < end, "{what}: not within {SOON:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Stronger than by default where the default would take long to show, or spare the tests' load.
fn text_of(id: &str) -> String {
    let kind = id.split_once('-').map_or(id, |(_, kind)| kind);
    match kind {
        "reset-after" => format!("{id}(bytes=600)"),
        "latency" => format!("{id}(delay=60ms,distribution=pareto,jitter=5ms)@client"),
        "slow-close" => format!("{id}(delay=100ms)"),
        "clock" => format!("{id}(offset=-30s)"),
        _ => id.to_owned(),
    }
}

/// Plays one fault; says nothing if this machine cannot.
async fn play(place: &Place, load: &Load, on: &FaultOn) {
    let injector = &place.arena.injector;
    match injector.can(on) {
        Ok(()) => {}
        Err(error @ HarnessError::Missing { .. }) => {
            println!("{on}: skipped: {error}");
            return;
        }
        Err(error) => panic!("{on}: {error}"),
    }
    until("load before the fault", async || load.done_since_now().await).await;
    let mut seen = seen::Seen::before(place, load, on).await;
    let begun = Instant::now();
    injector.inject(on).await.unwrap_or_else(|error| panic!("{on} did not take: {error}"));
    let took = begun.elapsed();
    seen.during(place, load, on).await;
    until(&format!("{on} hits load"), async || injector.has_hit(on)).await;
    let begun = Instant::now();
    let hits = injector.heal(on).await.unwrap_or_else(|error| panic!("{on} did not heal: {error}"));
    println!("{on}: took in {took:?}, healed in {:?}: {}", begun.elapsed(), hits.detail);
    assert!(hits.count > 0 && !hits.detail.is_empty(), "{on}: {hits:?}");
    seen.after(place, load, on).await;
    until(&format!("load after {on}"), async || load.done_since_now().await).await;
}

async fn every_fault_of(system: System, hosts: Hosts) {
    let Some(place) = Place::open(hosts, system).await else { return };
    let load = Load::start(&place, system);
    // One alone, for whoever works on it.
    let only = std::env::var("CROSSCHECK_ONLY_FAULT").ok();
    let of_system = FAULTS
        .iter()
        .filter(|known| known.system == system.id() && only.as_ref().is_none_or(|only| only == known.id));
    for known in of_system {
        let on = fault::parse(&text_of(known.id)).unwrap_or_else(|error| panic!("{error}"));
        play(&place, &load, &on).await;
    }
    load.stop().await;
    place.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_database_takes_and_heals() {
    every_fault_of(System::Db, Hosts::Local).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_database_takes_and_heals_in_containers() {
    every_fault_of(System::Db, Hosts::Docker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_cache_takes_and_heals() {
    every_fault_of(System::Cache, Hosts::Local).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_cache_takes_and_heals_in_containers() {
    every_fault_of(System::Cache, Hosts::Docker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_broker_takes_and_heals() {
    every_fault_of(System::Broker, Hosts::Local).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_broker_takes_and_heals_in_containers() {
    every_fault_of(System::Broker, Hosts::Docker).await;
}

/// Nobody has a connection as the link begins to refuse: the kernel turns away who comes, and only clients can tell.
async fn a_refusal_is_told(system: System) {
    let Some(place) = Place::open(Hosts::Local, system).await else { return };
    let on = fault::parse(&format!("{}-refuse@client", system.id())).expect("it is one");
    let injector = &place.arena.injector;
    injector.inject(&on).await.unwrap_or_else(|error| panic!("{on}: {error}"));
    assert!(!injector.has_hit(&on), "nobody came yet");
    let load = Load::start(&place, system);
    until("the refusal is told", async || injector.has_hit(&on)).await;
    let hits = injector.heal(&on).await.unwrap_or_else(|error| panic!("{on}: {error}"));
    assert!(hits.detail.contains("connections refused"), "{}", hits.detail);
    until("load afterwards", async || load.done_since_now().await).await;
    load.stop().await;
    place.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_tells() {
    for system in [System::Db, System::Cache, System::Broker] {
        a_refusal_is_told(system).await;
    }
}

/// What the link carries at the moment a fault begins.
async fn begins_at(system: System, text: &str) {
    let Some(place) = Place::open(Hosts::Local, system).await else { return };
    let load = Load::start(&place, system);
    let on = fault::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let at = fault::At::parse(&on.with["at"]).expect("it was parsed before");
    let injector = &place.arena.injector;
    injector.sight(&on, &at, SOON).await.unwrap_or_else(|error| panic!("{on}: {error}"));
    injector.inject(&on).await.unwrap_or_else(|error| panic!("{on}: {error}"));
    until("the fault hits", async || injector.has_hit(&on)).await;
    let hits = injector.heal(&on).await.unwrap_or_else(|error| panic!("{on}: {error}"));
    println!("{on}: {}", hits.detail);
    until("load afterwards", async || load.done_since_now().await).await;
    load.stop().await;
    place.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_begins_at_the_third_commit() {
    begins_at(System::Db, "db-cut-replies(at=COMMIT*3)@client").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_begins_at_the_fifth_set() {
    begins_at(System::Cache, "cache-crash(at=SET*5)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_begins_at_the_second_produce() {
    begins_at(System::Broker, "broker-cut-replies(at=Produce*2)@client").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_comes_is_told() {
    let Some(place) = Place::open(Hosts::Local, System::Cache).await else { return };
    let on = fault::parse("cache-cut(at=DEL*2)@client").expect("it is one");
    let at = fault::At::parse("DEL*2").expect("it is one");
    let patience = Duration::from_millis(200);
    let error = place.arena.injector.sight(&on, &at, patience).await.expect_err("nobody deletes");
    assert!(error.to_string().contains("carried 0 of 2 requests that begin with DEL"), "{error}");
    place.close().await;
}
