//! Small histories of no system at all: everything contradicts everything now and then.

use crosscheck_models::history::{
    CopyRow, Deliver, Effect, Event, EventBody, Header, History, Kind, LedgerRow, Process, Read, ReadItem,
    Scalar, SotRow, Source, Write, WriteItem,
};
use proptest::prelude::*;

/// One act: an observation, or an operation that completes after `span` further acts.
#[derive(Debug, Clone)]
enum Act {
    Observe(Process, EventBody),
    Operate { process: Process, body: EventBody, done: EventBody, kind: Kind, span: usize },
}

pub(crate) fn history() -> impl Strategy<Value = History> {
    let acts = proptest::collection::vec(act(), 0..14);
    let finals = proptest::sample::subsequence((0..4).collect::<Vec<usize>>(), 0..=4);
    (acts, finals, ledger(), log(), sot(), copies()).prop_map(|(acts, kept, ledger, log, sot, copies)| {
        let finals = [
            EventBody::FinalLedger(ledger),
            EventBody::FinalLog(log),
            EventBody::FinalSot(sot),
            EventBody::FinalCache(copies),
        ];
        let finals = finals.into_iter().enumerate().filter(|(at, _)| kept.contains(at)).map(|(_, body)| body);
        let mut acts = played(acts);
        acts.extend(finals.map(|body| (Process::Actor("harness".into()), Kind::Ok, body)));
        let events = acts.into_iter().enumerate().map(|(at, (process, kind, body))| Event {
            index: at as u64,
            time: at as u64 * 10,
            process,
            kind,
            body,
            error: None,
        });
        let header = Header { crosscheck: 1, delta_ns: Some(25), ..Header::default() };
        History::from_events(header, events.collect()).expect("it keeps the rules")
    })
}

/// Operations overlap by their spans; an act of a process that is busy waits until it is done.
fn played(acts: Vec<Act>) -> Vec<(Process, Kind, EventBody)> {
    let mut events = Vec::new();
    let mut open: Vec<(usize, Process, Kind, EventBody)> = Vec::new();
    let close = |events: &mut Vec<_>,
                 open: &mut Vec<(usize, Process, Kind, EventBody)>,
                 is_due: &dyn Fn(usize, &Process) -> bool| {
        let (due, rest): (Vec<_>, Vec<_>) =
            std::mem::take(open).into_iter().partition(|(at, process, ..)| is_due(*at, process));
        *open = rest;
        events.extend(due.into_iter().map(|(_, process, kind, body)| (process, kind, body)));
    };
    for (at, act) in acts.into_iter().enumerate() {
        close(&mut events, &mut open, &|due, _| due <= at);
        match act {
            Act::Observe(process, body) => events.push((process, Kind::Ok, body)),
            Act::Operate { process, body, done, kind, span } => {
                close(&mut events, &mut open, &|_, busy| *busy == process);
                events.push((process, Kind::Invoke, unique(body, at)));
                open.push((at + span, process, kind, unique(done, at)));
            }
        }
    }
    close(&mut events, &mut open, &|_, _| true);
    events
}

/// Ids of operations are unique in a run.
fn unique(body: EventBody, at: usize) -> EventBody {
    match body {
        EventBody::Write(write) => EventBody::Write(Write { op_id: format!("w{at}").into(), ..write }),
        other => other,
    }
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just("a".to_owned()), 1 => Just("b".to_owned())]
}

fn op_id() -> impl Strategy<Value = String> {
    (0..6_u8).prop_map(|n| format!("w{n}"))
}

fn value() -> impl Strategy<Value = Scalar> {
    prop_oneof![Just(Scalar::Null), (0..3_i64).prop_map(Scalar::Int)]
}

fn act() -> impl Strategy<Value = Act> {
    let consumer = (0..2_u8).prop_map(|n| Process::Actor(format!("c{n}").into()));
    let deliver =
        (consumer.clone(), deliver()).prop_map(|(who, what)| Act::Observe(who, EventBody::Deliver(what)));
    let store = prop_oneof![Just("mail".to_owned()), Just("bill".to_owned())];
    let effect = (consumer, store, key(), 1..4_u64, op_id(), event_id());
    let effect = effect.prop_map(|(who, store, key, ver, op_id, event_id)| {
        Act::Observe(
            who,
            EventBody::Effect(Effect {
                store: store.into(),
                key: key.into(),
                ver,
                op_id: op_id.into(),
                event_id: event_id.map(Into::into),
            }),
        )
    });
    prop_oneof![3 => deliver, 2 => effect, 3 => write(), 3 => read()]
}

prop_compose! {
    fn write()(client in 0..3_u64, key in key(), value in value(), ver in proptest::option::of(1..5_u64),
        kind in prop_oneof![6 => Just(Kind::Ok), 1 => Just(Kind::Fail), 1 => Just(Kind::Info)], span in 0..4_usize) -> Act {
        let item = WriteItem { key: key.into(), value, ..WriteItem::default() };
        let op_id = String::new();
        let body = EventBody::Write(Write { op_id: op_id.as_str().into(), item });
        let done = EventBody::Write(Write { op_id: op_id.into(), item: WriteItem { ver, ..item } });
        Act::Operate { process: Process::Client(client), body, done, kind, span }
    }
}

prop_compose! {
    fn read()(client in 0..3_u64, key in key(), ver in proptest::option::of(0..5_u64), value in value(),
        source in proptest::option::of(prop_oneof![Just(Source::Db), Just(Source::Cache)]),
        kind in prop_oneof![8 => Just(Kind::Ok), 1 => Just(Kind::Info)], span in 0..4_usize) -> Act {
        let body = EventBody::Read(Read { item: ReadItem { key: key.as_str().into(), ..ReadItem::default() } });
        let done = EventBody::Read(Read { item: ReadItem { key: key.into(), ver, value, source } });
        Act::Operate { process: Process::Client(client), body, done, kind, span }
    }
}

fn event_id() -> impl Strategy<Value = Option<String>> {
    prop_oneof![4 => Just(None), 1 => (0..3_u8).prop_map(|n| Some(format!("e{n}")))]
}

prop_compose! {
    fn deliver()(key in key(), ver in 1..5_u64, value in value(), op_id in op_id(), event_id in event_id(),
        partition in prop_oneof![9 => Just(0), 1 => Just(1)], offset in 0..9_i64) -> Deliver {
        Deliver { topic: "events".into(), partition, offset, key: key.into(), ver, value, op_id: op_id.into(), event_id: event_id.map(Into::into) }
    }
}

/// The log as it can be: every offset of a partition once.
fn log() -> impl Strategy<Value = Vec<Deliver>> {
    proptest::collection::vec(deliver(), 0..5).prop_map(|mut rows| {
        for (at, row) in rows.iter_mut().enumerate() {
            row.offset = at as i64;
        }
        rows
    })
}

prop_compose! {
    fn ledger_row()(op_id in op_id(), value in value(), base in proptest::option::of(0..4_u64),
        delta in proptest::option::of(0..3_i64), commit in proptest::option::of(0..6_u64)) -> LedgerRow {
        LedgerRow { key: String::new().into(), ver: 0, op_id: op_id.into(), value, base_ver: base, delta, commit }
    }
}

/// The ledger as it can be: the versions of a key from 1 on, each once, now and then with one missing.
fn ledger() -> impl Strategy<Value = Vec<LedgerRow>> {
    let of_key = || proptest::collection::vec((ledger_row(), proptest::bool::weighted(0.85)), 0..5);
    (of_key(), of_key(), any::<bool>()).prop_map(|(a, b, is_reversed)| {
        let numbered = |key: &'static str, rows: Vec<(LedgerRow, bool)>| {
            let rows = rows.into_iter().enumerate().filter(|(_, (_, is_there))| *is_there);
            rows.map(move |(at, (row, _))| LedgerRow {
                key: key.into(),
                ver: at as u64 + 1,
                base_ver: row.base_ver.filter(|base| *base <= at as u64),
                ..row
            })
        };
        let mut rows: Vec<LedgerRow> = numbered("a", a).chain(numbered("b", b)).collect();
        if is_reversed {
            rows.reverse();
        }
        rows
    })
}

fn sot() -> impl Strategy<Value = Vec<SotRow>> {
    let row = |key: &'static str| {
        (0..5_u64, value()).prop_map(move |(ver, value)| SotRow { key: key.into(), ver, value })
    };
    (proptest::option::of(row("a")), proptest::option::of(row("b")))
        .prop_map(|(a, b)| [a, b].into_iter().flatten().collect())
}

fn copies() -> impl Strategy<Value = Vec<CopyRow>> {
    let row = (any::<bool>(), key(), proptest::option::of(0..5_u64), value()).prop_map(
        |(is_cache, key, ver, value)| {
            let store = if is_cache { "cache" } else { "mail" };
            CopyRow { store: store.into(), key: key.into(), ver, value }
        },
    );
    proptest::collection::vec(row, 0..4).prop_map(|mut rows| {
        rows.sort_by(|a, b| (&a.store, &a.key).cmp(&(&b.store, &b.key)));
        rows.dedup_by(|a, b| a.store == b.store && a.key == b.key);
        rows
    })
}
