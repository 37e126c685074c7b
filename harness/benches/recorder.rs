//! How many events a second the recorder takes and writes to a file: the bar is 500,000.

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crosscheck_harness::recorder::{Clock, Recorder};
use crosscheck_models::history::{EventBody, Header, Kind, Process, Scalar, Step, Write, WriteItem};

const EVENTS: u64 = 200_000;

/// What a run records most: the calls of a transaction, and an operation around every five of them.
fn body(number: u64) -> EventBody {
    let op_id = format!("c3-{number}");
    if number.is_multiple_of(6) {
        let item = WriteItem {
            key: "k7".into(),
            value: Scalar::Int(number as i64),
            ver: Some(number),
            ..WriteItem::default()
        };
        return EventBody::Write(Write { op_id: op_id.into(), item });
    }
    EventBody::Step(Box::new(Step {
        actor: "client-3".to_owned(),
        n: number,
        system: "db".to_owned(),
        call: "UPDATE stock SET value = $2, ver = ver + 1 WHERE key = $1 RETURNING ver [k7, 30000042]"
            .to_owned(),
        outcome: "ok".to_owned(),
        since: Some(number),
        op_id: Some(op_id.into()),
        saw: Some("1 row: (42)".to_owned()),
    }))
}

/// From the first event until all are written, with so many threads that record.
fn record(path: &Path, threads: u64) -> Duration {
    let header = Header { crosscheck: 1, ..Header::default() };
    let clock = Clock::start();
    let (recorder, writer) = Recorder::start(path, &header, clock).expect("the directory can be written to");
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let recorder = recorder.clone();
            scope.spawn(move || {
                let process = Process::Client(thread);
                for number in 0..EVENTS / threads {
                    recorder.record(&process, Kind::Ok, body(number), None);
                }
            });
        }
    });
    drop(recorder);
    let events = writer.finish().expect("the disk has room");
    let took = start.elapsed();
    assert_eq!(events.len() as u64, EVENTS);
    took
}

fn recorder(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let path = dir.path().join("history.jsonl");
    let mut group = criterion.benchmark_group("recorder");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    for threads in [1, 2] {
        group.bench_function(format!("{threads} threads"), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| record(&path, threads)).sum());
        });
    }
    group.finish();
}

criterion_group!(benches, recorder);
criterion_main!(benches);
