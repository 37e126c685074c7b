//! Histories of a correct outbox, from a list of random moves: several clients, several keys, one relay that
//! publishes in commit order, one consumer.

use crosscheck_models::check::{Options, applicable, check};
use crosscheck_models::history::{
    CopyRow, Deliver, Effect, Event, EventBody, Header, History, Kind, LedgerRow, Process, Read, ReadItem,
    Scalar, SotRow, Source, Write, WriteItem,
};
use crosscheck_models::verdict::Verdict;
use proptest::prelude::*;

const CLIENTS: usize = 3;
const KEYS: usize = 2;

/// What a client is in the middle of.
#[derive(Clone)]
enum Doing {
    Nothing,
    Writing { op_id: String, key: usize, committed: Option<u64> },
    Reading { key: usize, seen: Option<(u64, Scalar)> },
}

/// The correct system, and the history it writes.
struct Outbox {
    events: Vec<Event>,
    clients: Vec<Doing>,
    rows: Vec<(u64, Scalar)>,
    ledger: Vec<LedgerRow>,
    delivered: usize,
    writes: u64,
}

/// One move: who (a client, or else the relay), and choices for what it does.
pub(crate) type Choice = (u8, u8, u8);

/// The history that these moves make; everything is finished and drained at the end.
pub(crate) fn correct(moves: &[Choice]) -> History {
    let mut outbox = Outbox {
        events: Vec::new(),
        clients: vec![Doing::Nothing; CLIENTS],
        rows: vec![(0, Scalar::Int(0)); KEYS],
        ledger: Vec::new(),
        delivered: 0,
        writes: 0,
    };
    for (who, what, key) in moves {
        match usize::from(*who) % (CLIENTS + 2) {
            client if client < CLIENTS => outbox.client_moves(client, *what, usize::from(*key) % KEYS),
            _ => outbox.relay_moves(),
        }
    }
    for client in 0..CLIENTS {
        while !matches!(outbox.clients[client], Doing::Nothing) {
            outbox.client_moves(client, 1, 0);
        }
    }
    while outbox.delivered < outbox.ledger.len() {
        outbox.relay_moves();
    }
    outbox.finish();
    rebuilt(outbox.events)
}

/// Events as a history again, numbered and timed by their order.
pub(crate) fn rebuilt(mut events: Vec<Event>) -> History {
    for (at, event) in events.iter_mut().enumerate() {
        (event.index, event.time) = (at as u64, at as u64 * 10);
    }
    let header = Header { crosscheck: 1, delta_ns: Some(15), ..Header::default() };
    History::from_events(header, events).expect("it keeps the rules")
}

fn key_name(key: usize) -> String {
    format!("k{key}")
}

impl Outbox {
    fn push(&mut self, process: Process, kind: Kind, body: EventBody) {
        self.events.push(Event { index: 0, time: 0, process, kind, body, error: None });
    }

    fn client_moves(&mut self, client: usize, what: u8, key: usize) {
        let process = Process::Client(client as u64);
        let next = match self.clients[client].clone() {
            Doing::Nothing if what.is_multiple_of(2) => {
                let op_id = format!("w{}", self.writes);
                self.writes += 1;
                self.push(process, Kind::Invoke, write(&op_id, key, None));
                Doing::Writing { op_id, key, committed: None }
            }
            Doing::Nothing => {
                let item = ReadItem { key: key_name(key).into(), ..ReadItem::default() };
                self.push(process, Kind::Invoke, EventBody::Read(Read { item }));
                Doing::Reading { key, seen: None }
            }
            // Some end unknown, before or after they took effect.
            Doing::Writing { op_id, key, .. } if what % 9 == 8 => {
                self.push(process, Kind::Info, write(&op_id, key, None));
                Doing::Nothing
            }
            Doing::Writing { op_id, key, committed: None } => {
                let ver = self.commit(&op_id, key);
                Doing::Writing { op_id, key, committed: Some(ver) }
            }
            Doing::Writing { op_id, key, committed } => {
                self.push(process, Kind::Ok, write(&op_id, key, committed));
                Doing::Nothing
            }
            Doing::Reading { key, seen: None } => Doing::Reading { key, seen: Some(self.rows[key]) },
            Doing::Reading { key, seen: Some((ver, value)) } => {
                let item =
                    ReadItem { key: key_name(key).into(), ver: Some(ver), value, source: Some(Source::Db) };
                self.push(process, Kind::Ok, EventBody::Read(Read { item }));
                Doing::Nothing
            }
        };
        self.clients[client] = next;
    }

    fn commit(&mut self, op_id: &str, key: usize) -> u64 {
        let ver = self.rows[key].0 + 1;
        self.rows[key] = (ver, Scalar::Text(format!("by {op_id}").into()));
        self.ledger.push(LedgerRow {
            key: key_name(key).into(),
            ver,
            op_id: op_id.into(),
            value: self.rows[key].1,
            base_ver: Some(ver - 1),
            delta: None,
            commit: Some(self.ledger.len() as u64),
        });
        ver
    }

    fn relay_moves(&mut self) {
        let Some(row) = self.ledger.get(self.delivered).cloned() else {
            return;
        };
        let deliver = deliver_of(&row, self.delivered);
        let store = "projection".to_owned();
        let effect =
            Effect { store: store.into(), key: row.key, ver: row.ver, op_id: row.op_id, event_id: None };
        self.delivered += 1;
        let consumer = Process::Actor("consumer".into());
        self.push(consumer, Kind::Ok, EventBody::Deliver(deliver));
        self.push(consumer, Kind::Ok, EventBody::Effect(effect));
    }

    fn finish(&mut self) {
        let written = |(key, row): (usize, &(u64, Scalar))| (key_name(key), row.0, row.1);
        let rows: Vec<(String, u64, Scalar)> = self.rows.iter().enumerate().map(written).collect();
        let sot = rows.iter().cloned().map(|(key, ver, value)| SotRow { key: key.into(), ver, value });
        let sot = EventBody::FinalSot(sot.collect());
        let copy = |(key, ver, value): (String, u64, Scalar)| CopyRow {
            store: "projection".into(),
            key: key.into(),
            ver: Some(ver),
            value,
        };
        let copies =
            EventBody::FinalCache(rows.into_iter().filter(|(_, ver, _)| *ver > 0).map(copy).collect());
        let log = self.ledger.iter().enumerate().map(|(at, row)| deliver_of(row, at)).collect();
        let finals = [sot, EventBody::FinalLedger(self.ledger.clone()), EventBody::FinalLog(log), copies];
        for body in finals {
            self.push(Process::Actor("harness".into()), Kind::Ok, body);
        }
    }
}

fn write(op_id: &str, key: usize, ver: Option<u64>) -> EventBody {
    let value = Scalar::Text(format!("by {op_id}").into());
    let item = WriteItem { key: key_name(key).into(), value, ver, ..WriteItem::default() };
    EventBody::Write(Write { op_id: op_id.into(), item })
}

fn deliver_of(row: &LedgerRow, offset: usize) -> Deliver {
    Deliver {
        topic: "events".into(),
        partition: 0,
        offset: offset as i64,
        key: row.key,
        ver: row.ver,
        value: row.value,
        op_id: row.op_id,
        event_id: None,
    }
}

pub(crate) fn moves() -> impl Strategy<Value = Vec<Choice>> {
    proptest::collection::vec(any::<Choice>(), 30..120)
}

/// A long run in which clients and the relay take turns unevenly.
pub(crate) fn many_moves() -> Vec<Choice> {
    (0_u32..600).map(|n| ((n * 7 % 11) as u8, (n * 5 % 7) as u8, (n * 3 % 5) as u8)).collect()
}

proptest! {
    #[test]
    fn a_correct_history_violates_nothing(moves in moves()) {
        let history = correct(&moves);
        let options = Options::default();
        for property in applicable(&history, &options) {
            let found = check(&history, property, &options);
            prop_assert_eq!(found.verdict, Verdict::Valid, "{}: {:?}\n{}", property, found, history.to_text());
        }
    }
}

/// Every required counter of a correct run with races in it stands above zero.
#[test]
fn a_run_with_races_is_not_vacuous() {
    let history = correct(&many_moves());
    let options = Options::default();
    for property in applicable(&history, &options) {
        let found = check(&history, property, &options);
        let missing: Vec<&str> = found.unexercised().collect();
        assert!(missing.is_empty(), "{property}: {missing:?} of {:?}", found.exercised);
    }
}
