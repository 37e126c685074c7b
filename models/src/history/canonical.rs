//! Lines as Crosscheck writes them: fields in one order, no spaces, nothing escaped.
//!
//! Most lines of a long history are of four kinds and look like this; they are read here at a multiple of the speed.
//! Whatever looks otherwise in any way is left to the parser that knows all of JSON, and what is read here is what that
//! one reads: a test holds both against each other.

use super::{
    Deliver, Effect, Event, EventBody, Kind, LedgerRow, Process, Read, ReadItem, Scalar, Source, Text, Write,
    WriteItem,
};

/// The event of the line that the text begins with, and what stands behind that line; none where the line is to be
/// read by the other parser. Nothing is looked at twice, also not to find the end of the line.
pub(super) fn event(text: &str) -> Option<(Event, &str)> {
    let mut cursor = Cursor { rest: text };
    let event = cursor.event()?;
    let is_end = cursor.pass("\n").is_some() || cursor.rest.is_empty();
    is_end.then_some((event, cursor.rest))
}

/// The longest beginning of a line of final reads that is looked for.
const HEAD_BYTES_MAX: usize = 1024;

/// How a line begins that holds a final ledger or log: its event, as yet without rows, and where they begin.
pub(super) fn head_of_rows(bytes: &[u8]) -> Option<(Event, usize)> {
    let within = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let start = within.windows(ROWS.len()).position(|found| found == ROWS.as_bytes())? + ROWS.len() - 1;
    let mut cursor = Cursor { rest: std::str::from_utf8(&bytes[..start]).ok()? };
    let Head { index, time, process, kind, f } = cursor.head()?;
    let body = match f {
        "final_ledger" => EventBody::FinalLedger(Vec::new()),
        "final_log" => EventBody::FinalLog(Vec::new()),
        _ => return None,
    };
    (cursor.rest == "[").then_some((Event { index, time, process, kind, body, error: None }, start))
}

/// How the value of a final read begins that has rows.
const ROWS: &str = ",\"value\":[{";

/// What a piece of such a line adds: its rows, and if it is the last what stands behind them. None where the line is
/// to be read by the other parser from here on.
pub(super) fn piece(text: &str, of: &EventBody, place: Place) -> Option<(EventBody, Option<Text>)> {
    let mut cursor = Cursor { rest: text };
    let rows = match of {
        EventBody::FinalLedger(_) => EventBody::FinalLedger(cursor.piece(Cursor::ledger_row, place)?),
        EventBody::FinalLog(_) => EventBody::FinalLog(cursor.piece(Cursor::deliver, place)?),
        _ => return None,
    };
    let error = if place.is_last { cursor.end()? } else { None };
    cursor.rest.is_empty().then_some((rows, error))
}

/// Where in its line a piece lies.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) is_first: bool,
    pub(super) is_last: bool,
}

struct Cursor<'a> {
    rest: &'a str,
}

/// An event up to its value.
struct Head<'a> {
    index: u64,
    time: u64,
    process: Process,
    kind: Kind,
    f: &'a str,
}

impl<'a> Cursor<'a> {
    fn event(&mut self) -> Option<Event> {
        let Head { index, time, process, kind, f } = self.head()?;
        let body = match f {
            "write" => EventBody::Write(self.write()?),
            "read" => EventBody::Read(Read { item: self.read()? }),
            "deliver" => EventBody::Deliver(self.deliver()?),
            "effect" => EventBody::Effect(self.effect()?),
            "final_ledger" => EventBody::FinalLedger(self.rows(Cursor::ledger_row)?),
            "final_log" => EventBody::FinalLog(self.rows(Cursor::deliver)?),
            _ => return None,
        };
        let error = self.end()?;
        Some(Event { index, time, process, kind, body, error })
    }

    /// What stands behind a value.
    fn end(&mut self) -> Option<Option<Text>> {
        let error = self.optional(",\"error\":", Cursor::text)?;
        self.pass("}")?;
        Some(error)
    }

    fn head(&mut self) -> Option<Head<'a>> {
        self.pass("{\"index\":")?;
        let index = self.number()?;
        self.pass(",\"time\":")?;
        let time = self.number()?;
        self.pass(",\"process\":")?;
        let process = if self.rest.starts_with('"') {
            Process::Actor(self.text()?)
        } else {
            Process::Client(self.number()?)
        };
        self.pass(",\"type\":")?;
        let kind = match self.quoted()? {
            "invoke" => Kind::Invoke,
            "ok" => Kind::Ok,
            "fail" => Kind::Fail,
            "info" => Kind::Info,
            _ => return None,
        };
        self.pass(",\"f\":")?;
        let f = self.quoted()?;
        self.pass(",\"value\":")?;
        Some(Head { index, time, process, kind, f })
    }

    fn write(&mut self) -> Option<Write> {
        self.pass("{\"op_id\":")?;
        let op_id = self.text()?;
        self.pass(",\"key\":")?;
        let key = self.text()?;
        let value = self.optional(",\"value\":", Cursor::scalar)?.unwrap_or_default();
        let delta = self.optional(",\"delta\":", Cursor::signed)?;
        let ver = self.optional(",\"ver\":", Cursor::number)?;
        let base_ver = self.optional(",\"base_ver\":", Cursor::number)?;
        self.pass("}")?;
        Some(Write { op_id, item: WriteItem { key, value, delta, ver, base_ver } })
    }

    fn read(&mut self) -> Option<ReadItem> {
        self.pass("{\"key\":")?;
        let key = self.text()?;
        let ver = self.optional(",\"ver\":", Cursor::number)?;
        let value = self.optional(",\"value\":", Cursor::scalar)?.unwrap_or_default();
        let source = self.optional(",\"source\":", |cursor| match cursor.quoted()? {
            "db" => Some(Source::Db),
            "cache" => Some(Source::Cache),
            _ => None,
        })?;
        self.pass("}")?;
        Some(ReadItem { key, ver, value, source })
    }

    fn deliver(&mut self) -> Option<Deliver> {
        self.pass("{\"topic\":")?;
        let topic = self.text()?;
        self.pass(",\"partition\":")?;
        let partition = i32::try_from(self.signed()?).ok()?;
        self.pass(",\"offset\":")?;
        let offset = self.signed()?;
        self.pass(",\"key\":")?;
        let key = self.text()?;
        self.pass(",\"ver\":")?;
        let ver = self.number()?;
        let value = self.optional(",\"value\":", Cursor::scalar)?.unwrap_or_default();
        self.pass(",\"op_id\":")?;
        let op_id = self.text()?;
        let event_id = self.optional(",\"event_id\":", Cursor::text)?;
        self.pass("}")?;
        Some(Deliver { topic, partition, offset, key, ver, value, op_id, event_id })
    }

    fn effect(&mut self) -> Option<Effect> {
        self.pass("{\"store\":")?;
        let store = self.text()?;
        self.pass(",\"key\":")?;
        let key = self.text()?;
        self.pass(",\"ver\":")?;
        let ver = self.number()?;
        self.pass(",\"op_id\":")?;
        let op_id = self.text()?;
        let event_id = self.optional(",\"event_id\":", Cursor::text)?;
        self.pass("}")?;
        Some(Effect { store, key, ver, op_id, event_id })
    }

    fn ledger_row(&mut self) -> Option<LedgerRow> {
        self.pass("{\"key\":")?;
        let key = self.text()?;
        self.pass(",\"ver\":")?;
        let ver = self.number()?;
        self.pass(",\"op_id\":")?;
        let op_id = self.text()?;
        let value = self.optional(",\"value\":", Cursor::scalar)?.unwrap_or_default();
        let base_ver = self.optional(",\"base_ver\":", Cursor::number)?;
        let delta = self.optional(",\"delta\":", Cursor::signed)?;
        let commit = self.optional(",\"commit\":", Cursor::number)?;
        self.pass("}")?;
        Some(LedgerRow { key, ver, op_id, value, base_ver, delta, commit })
    }

    fn rows<Row>(&mut self, mut row: impl FnMut(&mut Self) -> Option<Row>) -> Option<Vec<Row>> {
        self.pass("[")?;
        let mut rows = Vec::new();
        if self.pass("]").is_some() {
            return Some(rows);
        }
        loop {
            rows.push(row(self)?);
            if self.pass(",").is_none() {
                self.pass("]")?;
                return Some(rows);
            }
        }
    }

    /// Rows of a line that was cut behind some of them.
    fn piece<Row>(
        &mut self,
        mut row: impl FnMut(&mut Self) -> Option<Row>,
        Place { is_first, is_last }: Place,
    ) -> Option<Vec<Row>> {
        let mut rows = Vec::new();
        loop {
            if !is_first || !rows.is_empty() {
                self.pass(",")?;
            }
            rows.push(row(self)?);
            if if is_last { self.pass("]").is_some() } else { self.rest.is_empty() } {
                return Some(rows);
            }
        }
    }

    fn pass(&mut self, wanted: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    /// What stands behind a name, if the name is there.
    fn optional<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.pass(name) {
            Some(()) => read(self).map(Some),
            None => Some(None),
        }
    }

    /// A whole number of at most 18 digits, which needs no look at overflow.
    fn number(&mut self) -> Option<u64> {
        let bytes = self.rest.as_bytes();
        let mut value = 0_u64;
        let mut length = 0;
        while let Some(digit) = bytes.get(length).filter(|byte| byte.is_ascii_digit()) {
            value = value * 10 + u64::from(digit - b'0');
            length += 1;
            if length > 18 {
                return None;
            }
        }
        let is_canonical = length == 1 || length > 1 && bytes[0] != b'0';
        let ends = matches!(bytes.get(length), Some(b',' | b'}'));
        self.rest = self.rest.get(length..).filter(|_| is_canonical && ends)?;
        Some(value)
    }

    fn signed(&mut self) -> Option<i64> {
        let is_negative = self.pass("-").is_some();
        let value = i64::try_from(self.number()?).ok()?;
        // `-0` is a float to JSON.
        (!is_negative || value != 0).then_some(if is_negative { -value } else { value })
    }

    /// A text with nothing escaped in it.
    fn quoted(&mut self) -> Option<&'a str> {
        let inside = self.rest.strip_prefix('"')?;
        let end = inside.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
        self.rest = inside.get(end..)?.strip_prefix('"')?;
        inside.get(..end)
    }

    fn text(&mut self) -> Option<Text> {
        self.quoted().map(Text::from)
    }

    fn scalar(&mut self) -> Option<Scalar> {
        match self.rest.as_bytes().first()? {
            b'"' => self.text().map(Scalar::Text),
            b'n' => self.pass("null").map(|()| Scalar::Null),
            _ => self.signed().map(Scalar::Int),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::event;
    use crate::history::Event;

    const LINES: [&str; 8] = [
        r#"{"index":0,"time":10,"process":0,"type":"invoke","f":"write","value":{"op_id":"w1","key":"k1","value":"a"}}"#,
        r#"{"index":7,"time":9,"process":1,"type":"ok","f":"write","value":{"op_id":"w1","key":"k1","delta":-5,"ver":2,"base_ver":1}}"#,
        r#"{"index":6,"time":45,"process":1,"type":"ok","f":"read","value":{"key":"k1","ver":1,"value":"é","source":"cache"}}"#,
        r#"{"index":3,"time":30,"process":"consumer","type":"ok","f":"deliver","value":{"topic":"events","partition":0,"offset":0,"key":"k1","ver":1,"value":null,"op_id":"w1","event_id":"e"}}"#,
        r#"{"index":4,"time":31,"process":"consumer","type":"ok","f":"effect","value":{"store":"projection","key":"k1","ver":1,"op_id":"w1"}}"#,
        r#"{"index":8,"time":60,"process":1,"type":"info","f":"write","value":{"op_id":"t1","key":"k2","value":-12},"error":"connection lost"}"#,
        r#"{"index":10,"time":91,"process":"harness","type":"ok","f":"final_ledger","value":[{"key":"k1","ver":1,"op_id":"w1","value":"a","commit":1},{"key":"k2","ver":1,"op_id":"t1","value":5,"base_ver":0,"delta":5,"commit":2}]}"#,
        r#"{"index":11,"time":92,"process":"harness","type":"ok","f":"final_log","value":[{"topic":"events","partition":0,"offset":0,"key":"k1","ver":1,"value":7,"op_id":"w1"}]}"#,
    ];

    #[test]
    fn what_crosscheck_writes_is_read_here() {
        for line in LINES {
            let (read, rest) = event(line).unwrap_or_else(|| panic!("left to the other parser: {line}"));
            assert_eq!(rest, "");
            assert_eq!(Some(&read), serde_json::from_str::<Event>(line).ok().as_ref(), "{line}");
            assert_eq!(read.to_json_line(), line);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Whatever is done to a line: what is read here, the other parser reads the same.
        #[test]
        fn both_parsers_agree_on_damaged_lines(
            which in 0..LINES.len(),
            at in 0.0..1.0_f64,
            cut in 0..4_usize,
            put in prop_oneof![
                Just(""), Just("0"), Just("-"), Just("-0"), Just("1e3"), Just(".5"), Just("\""), Just("\\"), Just("\\u0041"),
                Just(" "), Just("\t"), Just(","), Just("}"), Just("null"), Just("{}"), Just("[]"), Just("9999999999"),
                Just("18446744073709551615"), Just("ß"), Just("\u{7f}"), Just(",\"ver\":3"), Just(",\"x\":1"),
            ],
        ) {
            let letters: Vec<char> = LINES[which].chars().collect();
            let from = (at * letters.len() as f64) as usize;
            let to = (from + cut).min(letters.len());
            let line: String =
                letters[..from].iter().copied().chain(put.chars()).chain(letters[to..].iter().copied()).collect();
            if let Some((read, _)) = event(&line) {
                let other = serde_json::from_str::<Event>(&line);
                prop_assert_eq!(Some(read), other.ok(), "{}", line);
            }
        }
    }
}
