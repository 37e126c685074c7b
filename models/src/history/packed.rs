//! Events as bytes. A history holds them by the ten million, and memory that is new costs more than what is done with
//! it: most events take some fifteen bytes here, and more than a hundred as they are.
//!
//! A chunk is what one reader makes of one block of text. Numbers take as many bytes as they need, a time counts from
//! the event before, and a text is a number too: its place among those of the chunk, which names few and often.

use std::borrow::Cow;
use std::fmt;
use std::iter;

use super::{
    Deliver, Effect, Event, EventBody, Kind, Process, Read, ReadItem, Scalar, Source, Text, Write, WriteItem,
};

/// So many events lie between two places from which a chunk can be read.
pub(super) const MARK_EVERY: usize = 32;

// The first byte of an event holds what it is (`What`), its type and these.
pub(super) const KIND_SHIFT: u32 = 3;
pub(super) const IS_ACTOR: u8 = 1 << 5;
pub(super) const HAS_ERROR: u8 = 1 << 6;

// The second byte says which fields are there; each of the first five is one number more.
pub(super) const INT: u8 = 1;
pub(super) const TEXT: u8 = 1 << 1;
pub(super) const VER: u8 = 1 << 2;
pub(super) const DELTA: u8 = 1 << 3;
pub(super) const BASE_VER: u8 = 1 << 4;
pub(super) const EVENT_ID: u8 = VER;
const NUMBERS: u8 = INT | TEXT | VER | DELTA | BASE_VER;
pub(super) const OF_DB: u8 = 1 << 5;
pub(super) const OF_CACHE: u8 = 1 << 6;

/// An observation of one kind: what was seen, when and by whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed<Body> {
    /// The position in the history.
    pub index: u64,
    /// When it was seen.
    pub time: u64,
    /// Who saw it.
    pub process: Process,
    /// What was seen.
    pub body: Body,
}

/// The events of a history, in order.
#[derive(Clone, Default)]
pub(super) struct Events {
    /// None of them is empty.
    chunks: Vec<Chunk>,
    length: usize,
}

impl Events {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Takes the events that come next.
    pub(super) fn push(&mut self, chunk: Chunk) {
        self.length += chunk.length;
        if chunk.length > 0 {
            self.chunks.push(chunk);
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<Cow<'_, Event>> {
        let after = self.chunks.partition_point(|chunk| chunk.first <= at as u64);
        let chunk = self.chunks.get(after.checked_sub(1)?)?;
        chunk.get(at - chunk.first as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Cow<'_, Event>> + '_ {
        self.chunks.iter().flat_map(Chunk::events)
    }

    /// The events that lie here whole: all that are no writes, reads, delivers or effects, and some that are.
    pub(super) fn kept(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.chunks.iter().flat_map(|chunk| &chunk.kept)
    }

    /// How many deliveries and effects are packed.
    pub(super) fn observed_counts(&self) -> (usize, usize) {
        let add = |(delivers, effects), chunk: &Chunk| (delivers + chunk.delivers, effects + chunk.effects);
        self.chunks.iter().fold((0, 0), add)
    }

    pub(super) fn delivers(&self) -> impl Iterator<Item = Observed<Deliver>> + '_ {
        let kept = |body: &EventBody| match body {
            EventBody::Deliver(deliver) => Some(*deliver),
            _ => None,
        };
        self.chunks
            .iter()
            .flat_map(move |chunk| chunk.observed(What::Deliver, chunk.delivers, Cursor::deliver, kept))
    }

    pub(super) fn effects(&self) -> impl Iterator<Item = Observed<Effect>> + '_ {
        let kept = |body: &EventBody| match body {
            EventBody::Effect(effect) => Some(*effect),
            _ => None,
        };
        self.chunks
            .iter()
            .flat_map(move |chunk| chunk.observed(What::Effect, chunk.effects, Cursor::effect, kept))
    }
}

impl PartialEq for Events {
    /// The same events are the same, however they are cut into chunks.
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What an event is: one that is kept as it is, or one of those that are packed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Kept,
    Write,
    Read,
    Deliver,
    Effect,
}

/// Events whose indexes count up without a gap.
#[derive(Clone)]
pub(super) struct Chunk {
    pub(super) first: u64,
    pub(super) length: usize,
    pub(super) delivers: usize,
    pub(super) effects: usize,
    pub(super) bytes: Box<[u8]>,
    /// Each text that the events name, in the order in which they were first named.
    pub(super) names: Box<[Text]>,
    pub(super) kept: Box<[Event]>,
    pub(super) marks: Box<[Mark]>,
}

/// A place from which a chunk can be read: how much of it lies before.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    pub(super) bytes: u32,
    pub(super) kept: u32,
    pub(super) time: u64,
}

/// An event of a chunk, of which no more has been read than its head.
pub(super) enum Entry<'c> {
    Kept(&'c Event),
    Packed(Head),
}

/// What an event says before its body.
pub(super) struct Head {
    what: What,
    flags: u8,
    pub(super) index: u64,
    pub(super) time: u64,
    pub(super) process: Process,
    pub(super) kind: Kind,
    error: Option<Text>,
}

impl Head {
    /// Whether it is an observation, and no end of an operation.
    pub(super) fn is_observation(&self) -> bool {
        matches!(self.what, What::Deliver | What::Effect)
    }

    /// The `f` of an observation.
    pub(super) fn f(&self) -> &'static str {
        if self.what == What::Deliver { "deliver" } else { "effect" }
    }
}

impl Chunk {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The index that its first event bears, if it has any.
    pub(super) fn first(&self) -> Option<u64> {
        (self.length > 0).then_some(self.first)
    }

    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor { chunk: self, next: 0, at: 0, kept: 0, time: 0 }
    }

    fn get(&self, at: usize) -> Option<Cow<'_, Event>> {
        let Mark { bytes, kept, time } = *self.marks.get(at / MARK_EVERY)?;
        let next = at - at % MARK_EVERY;
        let mut cursor = Cursor { chunk: self, next, at: bytes as usize, kept: kept as usize, time };
        while cursor.next < at {
            if let Entry::Packed(head) = cursor.entry()? {
                cursor.pass(&head);
            }
        }
        cursor.event()
    }

    fn events(&self) -> impl Iterator<Item = Cow<'_, Event>> + '_ {
        let mut cursor = self.cursor();
        iter::from_fn(move || cursor.event())
    }

    /// The observations of one kind, of which there are so many.
    fn observed<'c, Body>(
        &'c self,
        what: What,
        count: usize,
        read: fn(&mut Cursor<'c>, u8) -> Body,
        kept: fn(&EventBody) -> Option<Body>,
    ) -> impl Iterator<Item = Observed<Body>> + 'c
    where
        Body: 'c,
    {
        let mut cursor = self.cursor();
        let next = move || loop {
            match cursor.entry()? {
                Entry::Kept(event) => {
                    if let Some(body) = kept(&event.body) {
                        let Event { index, time, ref process, .. } = *event;
                        return Some(Observed { index, time, process: *process, body });
                    }
                }
                Entry::Packed(head) if head.what == what => {
                    let body = read(&mut cursor, head.flags);
                    return Some(Observed {
                        index: head.index,
                        time: head.time,
                        process: head.process,
                        body,
                    });
                }
                Entry::Packed(head) => cursor.pass(&head),
            }
        };
        iter::from_fn(next).take(count)
    }
}

/// Reads a chunk, event by event.
pub(super) struct Cursor<'c> {
    chunk: &'c Chunk,
    /// The position of the next event.
    next: usize,
    at: usize,
    kept: usize,
    time: u64,
}

impl<'c> Cursor<'c> {
    /// The next event; of one that is packed the head, behind which its body is to be read or passed.
    pub(super) fn entry(&mut self) -> Option<Entry<'c>> {
        if self.next == self.chunk.length {
            return None;
        }
        let index = self.chunk.first.wrapping_add(self.next as u64);
        self.next += 1;
        let tag = self.byte();
        let what = match tag & 7 {
            1 => What::Write,
            2 => What::Read,
            3 => What::Deliver,
            4 => What::Effect,
            _ => {
                self.kept += 1;
                return self.chunk.kept.get(self.kept - 1).map(Entry::Kept);
            }
        };
        let kind = match (tag >> KIND_SHIFT) & 3 {
            0 => Kind::Invoke,
            1 => Kind::Ok,
            2 => Kind::Fail,
            _ => Kind::Info,
        };
        let flags = self.byte();
        self.time = self.time.wrapping_add(self.signed() as u64);
        let process = match tag & IS_ACTOR {
            0 => Process::Client(self.number()),
            _ => Process::Actor(self.text()),
        };
        let error = (tag & HAS_ERROR != 0).then(|| self.text());
        Some(Entry::Packed(Head { what, flags, index, time: self.time, process, kind, error }))
    }

    fn event(&mut self) -> Option<Cow<'c, Event>> {
        Some(match self.entry()? {
            Entry::Kept(event) => Cow::Borrowed(event),
            Entry::Packed(head) => Cow::Owned(self.whole(head)),
        })
    }

    /// The event of a head that was just read.
    pub(super) fn whole(&mut self, head: Head) -> Event {
        let Head { what, flags, index, time, process, kind, error } = head;
        let body = match what {
            What::Write => EventBody::Write(self.write(flags)),
            What::Read => EventBody::Read(Read { item: self.read(flags) }),
            What::Deliver => EventBody::Deliver(self.deliver(flags)),
            What::Effect | What::Kept => EventBody::Effect(self.effect(flags)),
        };
        Event { index, time, process, kind, body, error }
    }

    /// Goes on behind the event of a head that was just read.
    pub(super) fn pass(&mut self, head: &Head) {
        let always = match head.what {
            What::Kept => 0,
            What::Read => 1,
            What::Write => 2,
            What::Effect => 4,
            What::Deliver => 6,
        };
        for _ in 0..always + (head.flags & NUMBERS).count_ones() {
            while self.byte() >= 0x80 {}
        }
    }

    fn write(&mut self, flags: u8) -> Write {
        let (op_id, key) = (self.text(), self.text());
        let value = self.scalar(flags);
        let delta = (flags & DELTA != 0).then(|| self.signed());
        let ver = (flags & VER != 0).then(|| self.number());
        let base_ver = (flags & BASE_VER != 0).then(|| self.number());
        Write { op_id, item: WriteItem { key, value, delta, ver, base_ver } }
    }

    fn read(&mut self, flags: u8) -> ReadItem {
        let key = self.text();
        let value = self.scalar(flags);
        let ver = (flags & VER != 0).then(|| self.number());
        let source = match flags & (OF_DB | OF_CACHE) {
            0 => None,
            OF_DB => Some(Source::Db),
            _ => Some(Source::Cache),
        };
        ReadItem { key, ver, value, source }
    }

    fn deliver(&mut self, flags: u8) -> Deliver {
        let (topic, partition, offset) = (self.text(), self.signed() as i32, self.signed());
        let (key, ver, value, op_id) = (self.text(), self.number(), self.scalar(flags), self.text());
        let event_id = (flags & EVENT_ID != 0).then(|| self.text());
        Deliver { topic, partition, offset, key, ver, value, op_id, event_id }
    }

    fn effect(&mut self, flags: u8) -> Effect {
        let (store, key, ver, op_id) = (self.text(), self.text(), self.number(), self.text());
        let event_id = (flags & EVENT_ID != 0).then(|| self.text());
        Effect { store, key, ver, op_id, event_id }
    }

    fn scalar(&mut self, flags: u8) -> Scalar {
        match flags & (INT | TEXT) {
            0 => Scalar::Null,
            INT => Scalar::Int(self.signed()),
            _ => Scalar::Text(self.text()),
        }
    }

    fn byte(&mut self) -> u8 {
        self.at += 1;
        self.chunk.bytes[self.at - 1]
    }

    /// Seven bits a byte, the lowest first; all bytes but the last have the eighth.
    fn number(&mut self) -> u64 {
        let mut number = 0;
        let mut shift = 0;
        loop {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    /// The sign is the lowest bit, so that small numbers are short on both sides of nothing.
    fn signed(&mut self) -> i64 {
        let number = self.number();
        (number >> 1) as i64 ^ -((number & 1) as i64)
    }

    fn text(&mut self) -> Text {
        let number = self.number();
        self.chunk.names[number as usize]
    }
}
