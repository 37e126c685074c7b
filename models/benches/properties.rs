//! How long one million events take: to read, to index, and to judge, property by property.
//!
//! The history is one of a correct outbox: eight clients on a thousand keys, every write delivered and applied,
//! a third of all operations reads.

use criterion::{Criterion, criterion_group, criterion_main};
use crosscheck_models::check::{Options, applicable, check, check_all};
use crosscheck_models::history::{
    Deliver, Effect, Event, EventBody, Header, History, Kind, LedgerRow, Process, Read, ReadItem, Scalar,
    SotRow, Source, Text, Write, WriteItem,
};

const EVENTS: u64 = 1_000_000;
const KEYS: u64 = 1_000;
const CLIENTS: u64 = 8;

/// Six events a round: a write, its delivery and its effect, and a read of the key.
fn correct_outbox() -> History {
    let mut events = Vec::with_capacity(EVENTS as usize + 4);
    let mut push = |time: u64, process: Process, kind: Kind, body: EventBody| {
        events.push(Event { index: events.len() as u64, time, process, kind, body, error: None });
    };
    let mut vers = vec![0_u64; KEYS as usize];
    let mut ledger = Vec::new();
    for round in 0..EVENTS / 6 {
        let key_number = (round * 7919) % KEYS;
        let key: Text = format!("key-{key_number}").into();
        vers[key_number as usize] += 1;
        let ver = vers[key_number as usize];
        let (op_id, value, time) =
            (Text::from(&format!("op-{round}")), Scalar::Int(round as i64), round * 100);
        let client = Process::Client(round % CLIENTS);
        let asked = WriteItem { key, value, ..WriteItem::default() };
        let done = WriteItem { ver: Some(ver), ..asked };
        let body = EventBody::Write(Write { op_id, item: asked });
        push(time, client, Kind::Invoke, body);
        let body = EventBody::Write(Write { op_id, item: done });
        push(time + 40, client, Kind::Ok, body);
        let deliver = Deliver {
            topic: "events".into(),
            partition: 0,
            offset: round as i64,
            key,
            ver,
            value,
            op_id,
            event_id: None,
        };
        let consumer = Process::Actor("consumer".into());
        push(time + 50, consumer, Kind::Ok, EventBody::Deliver(deliver));
        let effect = Effect { store: "projection".into(), key, ver, op_id, event_id: None };
        push(time + 60, consumer, Kind::Ok, EventBody::Effect(effect));
        let asked = ReadItem { key, ..ReadItem::default() };
        let seen = ReadItem { key, ver: Some(ver), value, source: Some(Source::Db) };
        push(time + 70, client, Kind::Invoke, EventBody::Read(Read { item: asked }));
        push(time + 80, client, Kind::Ok, EventBody::Read(Read { item: seen }));
        ledger.push(LedgerRow {
            key,
            ver,
            op_id,
            value,
            base_ver: Some(ver - 1),
            delta: None,
            commit: Some(round),
        });
    }
    let harness = || Process::Actor("harness".into());
    let row =
        |(at, ver): (usize, &u64)| SotRow { key: format!("key-{at}").into(), ver: *ver, value: Scalar::Null };
    let sot = vers.iter().enumerate().map(row).collect();
    push(EVENTS * 100, harness(), Kind::Ok, EventBody::FinalSot(sot));
    push(EVENTS * 100, harness(), Kind::Ok, EventBody::FinalLedger(ledger));
    push(EVENTS * 100, harness(), Kind::Ok, EventBody::FinalCache(Vec::new()));
    let header = Header { crosscheck: 1, delta_ns: Some(1000), ..Header::default() };
    History::from_events(header, events).expect("it keeps the rules")
}

fn properties(criterion: &mut Criterion) {
    let history = correct_outbox();
    let text = history.to_text();
    let options = Options::default();
    let mut group = criterion.benchmark_group("one million events");
    group.sample_size(10);
    group.bench_function("parse", |bencher| {
        bencher.iter(|| History::parse(&text).expect("its own text"));
    });
    let all = applicable(&history, &options);
    group.bench_function("all properties", |bencher| bencher.iter(|| check_all(&history, &all, &options)));
    for property in all {
        group.bench_function(property.id(), |bencher| bencher.iter(|| check(&history, property, &options)));
    }
    group.finish();
}

criterion_group!(benches, properties);
criterion_main!(benches);
