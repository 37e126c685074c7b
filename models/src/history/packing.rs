//! Events on their way into a chunk.

use super::packed::{
    BASE_VER, Chunk, DELTA, EVENT_ID, HAS_ERROR, INT, IS_ACTOR, KIND_SHIFT, MARK_EVERY, Mark, OF_CACHE,
    OF_DB, TEXT, VER, What,
};
use super::{
    Deliver, Effect, Event, EventBody, Kind, Process, Read, ReadItem, Scalar, Source, Text, Write, WriteItem,
};
use crate::hash::HashMap;

/// A chunk that is being packed. Its room is used again and again.
#[derive(Default)]
pub(super) struct Packing {
    first: u64,
    length: usize,
    delivers: usize,
    effects: usize,
    time: u64,
    bytes: Vec<u8>,
    names: Vec<Text>,
    numbers: HashMap<Text, u32>,
    kept: Vec<Event>,
    marks: Vec<Mark>,
}

impl Packing {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Packs an event, or gives its index back where another one comes next.
    pub(super) fn push(&mut self, event: Event) -> Result<(), u64> {
        if self.length == 0 {
            self.first = event.index;
        } else if event.index != self.first.wrapping_add(self.length as u64) {
            return Err(event.index);
        }
        if self.length.is_multiple_of(MARK_EVERY) {
            let (bytes, kept) = (self.bytes.len() as u32, self.kept.len() as u32);
            self.marks.push(Mark { bytes, kept, time: self.time });
        }
        self.length += 1;
        self.delivers += usize::from(matches!(event.body, EventBody::Deliver(_)));
        self.effects += usize::from(matches!(event.body, EventBody::Effect(_)));
        match fields(&event.body) {
            Some((what, flags)) => self.pack(&event, what, flags),
            None => {
                self.bytes.push(What::Kept as u8);
                self.kept.push(event);
            }
        }
        Ok(())
    }

    /// What was packed, in memory of its own size. The next event begins another chunk.
    pub(super) fn seal(&mut self) -> Chunk {
        let chunk = Chunk {
            first: self.first,
            length: self.length,
            delivers: self.delivers,
            effects: self.effects,
            bytes: self.bytes.as_slice().into(),
            names: self.names.as_slice().into(),
            kept: std::mem::take(&mut self.kept).into(),
            marks: self.marks.as_slice().into(),
        };
        (self.length, self.delivers, self.effects, self.time) = (0, 0, 0, 0);
        self.bytes.clear();
        self.names.clear();
        self.numbers.clear();
        self.marks.clear();
        chunk
    }

    fn pack(&mut self, event: &Event, what: What, flags: u8) {
        let kind = match event.kind {
            Kind::Invoke => 0,
            Kind::Ok => 1,
            Kind::Fail => 2,
            Kind::Info => 3,
        };
        let actor = if matches!(event.process, Process::Actor(_)) { IS_ACTOR } else { 0 };
        let error = if event.error.is_some() { HAS_ERROR } else { 0 };
        self.bytes.push(what as u8 | kind << KIND_SHIFT | actor | error);
        self.bytes.push(flags);
        self.signed(event.time.wrapping_sub(self.time) as i64);
        self.time = event.time;
        match event.process {
            Process::Client(number) => self.number(number),
            Process::Actor(name) => self.text(name),
        }
        event.error.into_iter().for_each(|error| self.text(error));
        match &event.body {
            EventBody::Write(write) => self.write(write),
            EventBody::Read(read) => self.read(&read.item),
            EventBody::Deliver(deliver) => self.deliver(deliver),
            EventBody::Effect(effect) => self.effect(effect),
            // Nothing else has fields that are packed.
            _ => {}
        }
    }

    fn write(&mut self, write: &Write) {
        let WriteItem { key, value, delta, ver, base_ver } = &write.item;
        self.text(write.op_id);
        self.text(*key);
        self.scalar(value);
        delta.iter().for_each(|delta| self.signed(*delta));
        ver.iter().chain(base_ver).for_each(|ver| self.number(*ver));
    }

    fn read(&mut self, item: &ReadItem) {
        self.text(item.key);
        self.scalar(&item.value);
        item.ver.into_iter().for_each(|ver| self.number(ver));
    }

    fn deliver(&mut self, deliver: &Deliver) {
        let Deliver { topic, partition, offset, key, ver, value, op_id, event_id } = deliver;
        self.text(*topic);
        self.signed(i64::from(*partition));
        self.signed(*offset);
        self.text(*key);
        self.number(*ver);
        self.scalar(value);
        self.text(*op_id);
        event_id.iter().for_each(|id| self.text(*id));
    }

    fn effect(&mut self, effect: &Effect) {
        let Effect { store, key, ver, op_id, event_id } = effect;
        self.text(*store);
        self.text(*key);
        self.number(*ver);
        self.text(*op_id);
        event_id.iter().for_each(|id| self.text(*id));
    }

    fn scalar(&mut self, value: &Scalar) {
        match value {
            Scalar::Int(number) => self.signed(*number),
            Scalar::Text(text) => self.text(*text),
            // Events with other JSON are kept.
            Scalar::Null | Scalar::Json(_) => {}
        }
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn signed(&mut self, number: i64) {
        self.number((number << 1 ^ number >> 63) as u64);
    }

    fn text(&mut self, text: Text) {
        let number = *self.numbers.entry(text).or_insert_with(|| {
            self.names.push(text);
            self.names.len() as u32 - 1
        });
        self.number(u64::from(number));
    }
}

/// As what an event is packed, and which fields it has; none where it is to be kept as it is.
fn fields(body: &EventBody) -> Option<(What, u8)> {
    let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
    let of_value = |value: &Scalar| match value {
        Scalar::Null => Some(0),
        Scalar::Int(_) => Some(INT),
        Scalar::Text(_) => Some(TEXT),
        Scalar::Json(_) => None,
    };
    Some(match body {
        EventBody::Write(Write { item: WriteItem { value, delta, ver, base_ver, .. }, .. }) => {
            let numbers = flag(delta.is_some(), DELTA) | flag(ver.is_some(), VER);
            (What::Write, of_value(value)? | numbers | flag(base_ver.is_some(), BASE_VER))
        }
        EventBody::Read(Read { item: ReadItem { ver, value, source, .. } }) => {
            let source = match source {
                None => 0,
                Some(Source::Db) => OF_DB,
                Some(Source::Cache) => OF_CACHE,
            };
            (What::Read, of_value(value)? | flag(ver.is_some(), VER) | source)
        }
        EventBody::Deliver(Deliver { value, event_id, .. }) => {
            (What::Deliver, of_value(value)? | flag(event_id.is_some(), EVENT_ID))
        }
        EventBody::Effect(effect) => (What::Effect, flag(effect.event_id.is_some(), EVENT_ID)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::Packing;
    use crate::history::packed::Events;
    use crate::history::{
        Deliver, Effect, Event, EventBody, Kind, LedgerRow, Process, Read, ReadItem, Scalar, Source, Step,
        Text, Txn, Write, WriteItem,
    };

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![0..300_u64, any::<u64>(), Just(u64::MAX), Just(127), Just(128), Just(1 << 63)]
    }

    fn signed() -> impl Strategy<Value = i64> {
        prop_oneof![-300..300_i64, any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just(-64), Just(64)]
    }

    fn text() -> impl Strategy<Value = Text> {
        prop_oneof![Just(String::new()), "[a-c]", "[a-z]{2}ß"].prop_map(|text| Text::from(text.as_str()))
    }

    fn scalar() -> impl Strategy<Value = Scalar> {
        prop_oneof![
            Just(Scalar::Null),
            signed().prop_map(Scalar::Int),
            text().prop_map(Scalar::Text),
            Just(Scalar::Json("{\"a\":[1]}".into())),
        ]
    }

    fn write_item() -> BoxedStrategy<WriteItem> {
        let numbers = (option(signed()), option(number()), option(number()));
        (text(), scalar(), numbers)
            .prop_map(|(key, value, (delta, ver, base_ver))| WriteItem { key, value, delta, ver, base_ver })
            .boxed()
    }

    fn read_item() -> BoxedStrategy<ReadItem> {
        let source = prop_oneof![Just(None), Just(Some(Source::Db)), Just(Some(Source::Cache))];
        (text(), option(number()), scalar(), source)
            .prop_map(|(key, ver, value, source)| ReadItem { key, ver, value, source })
            .boxed()
    }

    fn option<S: Strategy>(of: S) -> impl Strategy<Value = Option<S::Value>> {
        proptest::option::of(of)
    }

    /// In boxes: the stack of a test is too small for all of them at once.
    fn body() -> impl Strategy<Value = EventBody> {
        let write = (text(), write_item()).prop_map(|(op_id, item)| EventBody::Write(Write { op_id, item }));
        let read = read_item().prop_map(|item| EventBody::Read(Read { item }));
        let txn = (text(), write_item(), read_item()).prop_map(|(op_id, write, read)| {
            EventBody::Txn(Txn { op_id, reads: vec![read], writes: vec![write] })
        });
        let place = (text(), any::<i32>(), signed());
        let deliver = (place, text(), number(), scalar(), text(), option(text())).prop_map(
            |((topic, partition, offset), key, ver, value, op_id, event_id)| {
                EventBody::Deliver(Deliver { topic, partition, offset, key, ver, value, op_id, event_id })
            },
        );
        let effect = (text(), text(), number(), text(), option(text())).prop_map(
            |(store, key, ver, op_id, event_id)| {
                EventBody::Effect(Effect { store, key, ver, op_id, event_id })
            },
        );
        let step = "[a-z]{0,3}".prop_map(|call| EventBody::Step(Box::new(Step { call, ..Step::default() })));
        let rows = (number(), scalar()).prop_map(|(ver, value)| {
            EventBody::FinalLedger(vec![LedgerRow { ver, value, ..LedgerRow::default() }])
        });
        prop_oneof![
            2 => write.boxed(),
            2 => read.boxed(),
            1 => txn.boxed(),
            2 => deliver.boxed(),
            2 => effect.boxed(),
            1 => step.boxed(),
            1 => rows.boxed(),
        ]
    }

    fn event() -> impl Strategy<Value = Event> {
        let process = prop_oneof![number().prop_map(Process::Client), text().prop_map(Process::Actor)];
        let kind = prop_oneof![Just(Kind::Invoke), Just(Kind::Ok), Just(Kind::Fail), Just(Kind::Info)];
        (number(), process, kind, body(), option(text())).prop_map(|(time, process, kind, body, error)| {
            Event { index: 0, time, process, kind, body, error }
        })
    }

    fn packed(events: &[Event], chunk_events: usize) -> Events {
        let (mut packed, mut packing) = (Events::default(), Packing::default());
        for event in events {
            packing.push(event.clone()).expect("it comes next");
            if packing.len() == chunk_events {
                packed.push(packing.seal());
            }
        }
        packed.push(packing.seal());
        packed
    }

    proptest! {
        #[test]
        fn what_was_packed_is_what_comes_out(
            mut events in proptest::collection::vec(event(), 0..200),
            chunk_events in 1..120_usize,
        ) {
            for (index, event) in events.iter_mut().enumerate() {
                event.index = index as u64;
            }
            let packed = packed(&events, chunk_events);
            prop_assert_eq!(packed.len(), events.len());
            prop_assert_eq!(packed.iter().map(Cow::into_owned).collect::<Vec<_>>(), events.clone());
            for (at, event) in events.iter().enumerate() {
                let got = packed.get(at);
                prop_assert_eq!(got.as_deref(), Some(event));
            }
            prop_assert!(packed.get(events.len()).is_none() && packed.get(usize::MAX).is_none());

            let seen = packed.delivers().map(|seen| (seen.index, seen.time, seen.process, EventBody::Deliver(seen.body)));
            let delivers = events.iter().filter(|event| matches!(event.body, EventBody::Deliver(_)));
            prop_assert!(seen.eq(delivers.map(parts)));
            let seen = packed.effects().map(|seen| (seen.index, seen.time, seen.process, EventBody::Effect(seen.body)));
            let effects = events.iter().filter(|event| matches!(event.body, EventBody::Effect(_)));
            prop_assert!(seen.eq(effects.map(parts)));
        }

        #[test]
        fn how_events_are_cut_makes_no_difference(
            mut events in proptest::collection::vec(event(), 1..50),
            sizes in (1..50_usize, 1..50_usize),
        ) {
            for (index, event) in events.iter_mut().enumerate() {
                event.index = index as u64;
            }
            prop_assert_eq!(packed(&events, sizes.0), packed(&events, sizes.1));
            let whole = packed(&events, sizes.0);
            events[0].time ^= 1;
            prop_assert_ne!(whole, packed(&events, sizes.1));
        }
    }

    fn parts(event: &Event) -> (u64, u64, Process, EventBody) {
        (event.index, event.time, event.process, event.body.clone())
    }

    #[test]
    fn an_index_that_does_not_come_next_is_given_back() {
        let event = |index| Event {
            index,
            time: 0,
            process: Process::Client(0),
            kind: Kind::Ok,
            body: EventBody::FinalSot(Vec::new()),
            error: None,
        };
        let mut packing = Packing::default();
        assert_eq!(packing.push(event(7)), Ok(()));
        assert_eq!([packing.push(event(7)), packing.push(event(9))], [Err(7), Err(9)]);
        assert_eq!((packing.push(event(8)), packing.seal().len()), (Ok(()), 2));
        assert_eq!((packing.push(event(0)), packing.seal().first()), (Ok(()), Some(0)));
        assert_eq!(packing.seal().first(), None);
    }
}
