//! Schedules a second of the explorer on one core: walks through the schedules of a design with one relay and one
//! consumer, judged for all properties, and of one without services.

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crosscheck_harness::design::Design;
use crosscheck_harness::explore::{Search, explore};
use crosscheck_models::property::Property;
use crosscheck_scenarios::design;

/// Schedules in one measurement.
const RUNS: u64 = 200;

fn schedules_per_second(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("explore");
    group.sample_size(10).throughput(Throughput::Elements(RUNS));
    for id in ["outbox-poll-flag-single", "sot-serializable"] {
        let of_id = |design: &Arc<dyn Design>| design.id() == id;
        let design = design::all().into_iter().find(of_id).expect("a variant of the registry");
        // What it does not claim is not judged: a violation would be shrunk, and that is another thing to measure.
        let claims: Vec<Property> = design.claims();
        let search = Search {
            runs: RUNS,
            seed: 1,
            clients: 2,
            operations: 2,
            without_faults: claims.clone(),
            with_faults: claims,
            wanted: Vec::new(),
            exhaustive: None,
            reduce: true,
            kept: Vec::new(),
        };
        group.bench_function(id, |bencher| {
            bencher.iter(|| explore(&design, &search, &mut |_, _| {}).expect("the model plays it"));
        });
    }
    group.finish();
}

criterion_group!(benches, schedules_per_second);
criterion_main!(benches);
