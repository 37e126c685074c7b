//! How long a hundred thousand operations of others take: to read, and to judge, checker by checker.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crosscheck_models::checker::{Checker, Options, check};
use crosscheck_models::foreign::{Format, read};
use crosscheck_models::generate::{Isolation, Kind, Spec, generate};
use crosscheck_models::isolation::Inference;

const OPERATIONS: u64 = 100_000;

fn text_of(kind: Kind, isolation: Isolation) -> Vec<u8> {
    let mut text = Vec::new();
    let spec = Spec { clients: 10, ..Spec::new(kind, isolation, OPERATIONS, 1) };
    generate(&spec, &mut text).expect("memory takes it");
    text
}

fn judge(criterion: &mut Criterion) {
    let cases = [
        (Kind::ListAppend, Isolation::Serializable, Checker::ListAppend),
        (Kind::ListAppend, Isolation::SnapshotIsolation, Checker::ListAppend),
        (Kind::RwRegister, Isolation::Serializable, Checker::RwRegister),
        (Kind::Register, Isolation::Serializable, Checker::Register),
        (Kind::Queue, Isolation::Serializable, Checker::TotalQueue),
        (Kind::Bank, Isolation::Serializable, Checker::Bank),
    ];
    let inference = Inference { linearizable_keys: true, sequential_keys: false, wfr_keys: true };
    let options = Options { inference, ..Options::default() };
    for (kind, isolation, checker) in cases {
        let text = text_of(kind, isolation);
        let history = read(&mut text.as_slice(), Format::Json).expect("a history");
        let mut group = criterion.benchmark_group(format!("{checker} {isolation}"));
        group.sample_size(10).throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("read", |bench| bench.iter(|| read(&mut text.as_slice(), Format::Json)));
        group.throughput(Throughput::Elements(OPERATIONS));
        group
            .bench_function("judge", |bench| bench.iter(|| check(&history, checker, &options, &mut || true)));
        group.finish();
    }
}

criterion_group!(benches, judge);
criterion_main!(benches);
