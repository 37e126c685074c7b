//! Histories as short text, for tests. One line an act; each event is 10 ns after the one before, or at `@time`.
//!
//! ```text
//! 0 writes w1 k1 v1 =a          client 0 invokes write w1 and hears ok: version 1, value a
//! 0 invokes w1 k1 =a +5 b0      only the invocation, with delta 5 and base version 0
//! 0 ok w1 k1 v1 | 0 info w1 k1 | 0 fail w1 k1      only the completion
//! 0 reads k1 v1 =a cache        a whole read, answered by the cache
//! 0 begins k1 | 0 saw k1 v1     its two halves
//! c gets w1 k1 v1 =a p1 o3 e7 tq         consumer c receives: partition 1, offset 3, event id 7, topic q
//! c applies mail w1 k1 v1 e7    an effect in the store mail
//! a0 calls db INSERT since 5    a step of actor a0; `for w1`, `saw 2~rows`, `gives crash` may follow
//! sot k1 v1 =a; k2 v1           final reads, row by row; nothing after the name for none
//! ledger w1 k1 v1 =a b0 +5 c1; w2 k2 v1
//! log w1 k1 v1 =a p0 o0
//! copies k1 v1 =a; mail k1 v1   rows of the cache, and of the projection mail
//! outbox 1 w1 k1 v1 published
//! ```

use std::collections::HashMap;

use crosscheck_models::history::{
    CopyRow, Deliver, Effect, Event, EventBody, Header, History, Kind, LedgerRow, OutboxRow, Process, Read,
    ReadItem, Scalar, SotRow, Source, Step, Write, WriteItem,
};

/// Reads the text above.
pub(crate) fn history(text: &str) -> History {
    let mut script = Script::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        script.line(line);
    }
    let header = Header { crosscheck: 1, delta_ns: script.delta_ns, ..Header::default() };
    History::from_events(header, script.events).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

#[derive(Default)]
struct Script {
    events: Vec<Event>,
    delta_ns: Option<u64>,
    /// What each client's open write was invoked with.
    open: HashMap<String, Write>,
    time: Option<u64>,
}

impl Script {
    fn line(&mut self, line: &str) {
        let (time, rest) = match line.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
            Some((time, rest)) => (Some(time.parse().expect("@time is a number")), rest),
            None => (None, line),
        };
        self.time = time;
        let (first, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let rows = || rest.split(';').map(str::trim).filter(|row| !row.is_empty()).map(Words::of);
        match first {
            "delta" => self.delta_ns = Some(rest.parse().expect("delta is a number")),
            "sot" => self.observe("harness", EventBody::FinalSot(rows().map(|row| row.sot()).collect())),
            "ledger" => {
                self.observe("harness", EventBody::FinalLedger(rows().map(|row| row.ledger()).collect()));
            }
            "log" => self.observe("harness", EventBody::FinalLog(rows().map(|row| row.deliver()).collect())),
            "copies" => {
                self.observe("harness", EventBody::FinalCache(rows().map(|row| row.copy()).collect()))
            }
            "outbox" => {
                self.observe("harness", EventBody::FinalOutbox(rows().map(|row| row.outbox()).collect()));
            }
            process => {
                let (verb, rest) = rest.split_once(' ').unwrap_or_else(|| panic!("what is `{line}`?"));
                self.act(process, verb, &Words::of(rest));
            }
        }
    }

    fn act(&mut self, process: &str, verb: &str, words: &Words) {
        match verb {
            "writes" => {
                let done = words.write();
                let asked = WriteItem { ver: None, base_ver: None, ..done.item };
                let asked = Write { op_id: done.op_id, item: asked };
                self.push(process, Kind::Invoke, EventBody::Write(asked));
                self.push(process, Kind::Ok, EventBody::Write(done));
            }
            "invokes" => {
                self.open.insert(process.to_owned(), words.write());
                self.push(process, Kind::Invoke, EventBody::Write(words.write()));
            }
            "ok" => self.push(process, Kind::Ok, EventBody::Write(words.write())),
            "info" => self.push(process, Kind::Info, EventBody::Write(words.write())),
            "fail" => self.push(process, Kind::Fail, EventBody::Write(words.write())),
            "reads" => {
                let asked = ReadItem { key: words.plain[0].as_str().into(), ..ReadItem::default() };
                self.push(process, Kind::Invoke, EventBody::Read(Read { item: asked }));
                self.push(process, Kind::Ok, EventBody::Read(Read { item: words.read() }));
            }
            "begins" => self.push(process, Kind::Invoke, EventBody::Read(Read { item: words.read() })),
            "saw" => self.push(process, Kind::Ok, EventBody::Read(Read { item: words.read() })),
            "gets" => self.observe(process, EventBody::Deliver(words.deliver())),
            "applies" => self.observe(process, EventBody::Effect(words.effect())),
            "calls" => {
                let step = words.step(process);
                self.observe(process, EventBody::Step(Box::new(step)));
            }
            other => panic!("no verb `{other}`"),
        }
    }

    fn observe(&mut self, process: &str, body: EventBody) {
        self.push(process, Kind::Ok, body);
    }

    fn push(&mut self, process: &str, kind: Kind, body: EventBody) {
        let process = process.parse().map_or_else(|_| Process::Actor(process.into()), Process::Client);
        let index = self.events.len() as u64;
        let last = self.events.last().map_or(0, |event| event.time);
        let time = self.time.take().unwrap_or(last + 10);
        self.events.push(Event { index, time, process, kind, body, error: None });
    }
}

/// The words of a row or act: marked ones by their mark, the others in order.
#[derive(Default)]
struct Words {
    plain: Vec<String>,
    value: Scalar,
    numbers: HashMap<char, u64>,
    delta: Option<i64>,
    is_cached: bool,
    event_id: Option<String>,
    topic: Option<String>,
}

impl Words {
    fn of(text: &str) -> Words {
        let mut words = Words::default();
        for word in text.split_whitespace() {
            words.take(word);
        }
        words
    }

    fn take(&mut self, word: &str) {
        let mark = word.chars().next().expect("a word is not empty");
        let rest = &word[mark.len_utf8()..];
        match mark {
            '=' => {
                self.value = rest.parse().map_or_else(|_| Scalar::Text(rest.into()), Scalar::Int);
            }
            '+' => self.delta = Some(rest.parse().expect("a delta is a number")),
            'v' | 'b' | 'p' | 'o' | 'c' if rest.parse::<u64>().is_ok() => {
                self.numbers.insert(mark, rest.parse().expect("it was just parsed"));
            }
            'e' if rest.parse::<u64>().is_ok() => self.event_id = Some(word.to_owned()),
            't' if rest.len() == 1 => self.topic = Some(rest.to_owned()),
            _ => {
                self.is_cached |= word == "cache";
                self.plain.push(word.to_owned());
            }
        }
    }

    fn ver(&self) -> u64 {
        self.numbers.get(&'v').copied().unwrap_or_default()
    }

    fn base(&self) -> Option<u64> {
        self.numbers.get(&'b').copied()
    }

    fn write(&self) -> Write {
        let item = WriteItem {
            key: self.plain[1].as_str().into(),
            value: self.value,
            delta: self.delta,
            ver: self.numbers.get(&'v').copied(),
            base_ver: self.base(),
        };
        Write { op_id: self.plain[0].as_str().into(), item }
    }

    fn read(&self) -> ReadItem {
        ReadItem {
            key: self.plain[0].as_str().into(),
            ver: self.numbers.get(&'v').copied(),
            value: self.value,
            source: self.is_cached.then_some(Source::Cache),
        }
    }

    fn deliver(&self) -> Deliver {
        Deliver {
            topic: self.topic.clone().unwrap_or_else(|| "events".to_owned()).into(),
            partition: self.numbers.get(&'p').map_or(0, |p| i32::try_from(*p).expect("a small number")),
            offset: self.numbers.get(&'o').map_or(0, |o| i64::try_from(*o).expect("a small number")),
            key: self.plain[1].as_str().into(),
            ver: self.ver(),
            value: self.value,
            op_id: self.plain[0].as_str().into(),
            event_id: self.event_id.clone().map(Into::into),
        }
    }

    fn effect(&self) -> Effect {
        Effect {
            store: self.plain[0].as_str().into(),
            key: self.plain[2].as_str().into(),
            ver: self.ver(),
            op_id: self.plain[1].as_str().into(),
            event_id: self.event_id.clone().map(Into::into),
        }
    }

    fn step(&self, actor: &str) -> Step {
        let after = |name: &str| {
            let at = self.plain.iter().position(|word| word == name)?;
            self.plain.get(at + 1).map(|word| word.replace('~', " "))
        };
        Step {
            actor: actor.to_owned(),
            n: 0,
            system: self.plain[0].clone(),
            call: self.plain[1].replace('~', " "),
            outcome: after("gives").unwrap_or_else(|| "ok".to_owned()),
            since: after("since").map(|since| since.parse().expect("since is a number")),
            op_id: after("for").map(Into::into),
            saw: after("saw"),
        }
    }

    fn sot(&self) -> SotRow {
        SotRow { key: self.plain[0].as_str().into(), ver: self.ver(), value: self.value }
    }

    fn ledger(&self) -> LedgerRow {
        LedgerRow {
            key: self.plain[1].as_str().into(),
            ver: self.ver(),
            op_id: self.plain[0].as_str().into(),
            value: self.value,
            base_ver: self.base(),
            delta: self.delta,
            commit: self.numbers.get(&'c').copied(),
        }
    }

    fn copy(&self) -> CopyRow {
        let (store, key) = match &self.plain[..] {
            [key] => ("cache", key),
            [store, key, ..] => (store.as_str(), key),
            [] => panic!("a copy needs a key"),
        };
        CopyRow {
            store: store.into(),
            key: key.as_str().into(),
            ver: self.numbers.get(&'v').copied(),
            value: self.value,
        }
    }

    fn outbox(&self) -> OutboxRow {
        OutboxRow {
            id: self.plain[0].parse().expect("an id is a number"),
            key: self.plain[2].as_str().into(),
            ver: self.ver(),
            op_id: self.plain[1].as_str().into(),
            state: self.plain.get(3).cloned().map(Into::into),
        }
    }
}
