//! The format of histories: what is read, what is refused and how, and that writing and reading are inverse.

use crosscheck_models::history::{
    CopyRow, Deliver, Effect, Event, EventBody, Header, History, HistoryError, Kind, LedgerRow, OutboxRow,
    Outcome, Process, Read, ReadError, ReadItem, Scalar, SotRow, Source, Step, Text, Txn, Write, WriteItem,
};
use proptest::prelude::*;

const HEADER: &str = r#"{"crosscheck":1}"#;
const INVOKE: &str = r#"{"index":0,"time":10,"process":0,"type":"invoke","f":"write","value":{"op_id":"w1","key":"k","value":1}}"#;
const OK: &str =
    r#"{"index":1,"time":20,"process":0,"type":"ok","f":"write","value":{"op_id":"w1","key":"k","ver":1}}"#;

fn text(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn refused(lines: &[&str]) -> String {
    History::parse(&text(lines)).expect_err("the history breaks a rule").to_string()
}

fn change(line: &str, from: &str, to: &str) -> String {
    assert!(line.contains(from), "{line} has no {from}");
    line.replace(from, to)
}

#[test]
fn an_operation_is_paired_and_merged() {
    let (history, notes) = History::parse(&text(&[HEADER, INVOKE, OK])).expect("a good history");
    assert_eq!(notes, []);
    let [op] = history.ops() else { panic!("one operation: {:?}", history.ops()) };
    assert_eq!((op.invoke_index, op.complete_index), (0, Some(1)));
    assert_eq!((op.invoke_time, op.complete_time), (10, Some(20)));
    assert_eq!(op.outcome, Outcome::Ok);
    assert_eq!((&op.writes[0].value, op.writes[0].ver), (&Scalar::Int(1), Some(1)));
}

#[test]
fn an_operation_that_never_completes_is_info() {
    let (history, _) = History::parse(&text(&[HEADER, INVOKE])).expect("a good history");
    assert!(matches!(history.ops()[0].outcome, Outcome::Info(_)));
    assert_eq!(history.ops()[0].complete_index, None);
}

#[test]
fn an_info_begins_a_new_session() {
    let info = change(OK, r#""type":"ok""#, r#""type":"info""#);
    let again = change(&change(INVOKE, r#""index":0"#, r#""index":2"#), r#""time":10"#, r#""time":30"#);
    let (history, _) = History::parse(&text(&[HEADER, INVOKE, &info, &again])).expect("a good history");
    let sessions: Vec<u32> = history.ops().iter().map(|op| op.session).collect();
    assert_eq!(sessions, [0, 1]);
}

#[test]
fn a_value_may_come_before_its_f() {
    let swapped = r#"{"value":{"op_id":"w1","key":"k","value":1},"index":0,"time":10,"process":0,"type":"invoke","f":"write"}"#;
    let (history, _) = History::parse(&text(&[HEADER, swapped])).expect("a good history");
    assert_eq!(history.event(0).map(|event| event.to_json_line()).as_deref(), Some(INVOKE));
}

#[test]
fn a_header_is_needed() {
    for lines in [&[][..], &[INVOKE], &["", INVOKE], &[r#"{"crosscheck":2}"#]] {
        let reason = refused(lines);
        assert!(
            reason.starts_with("line 1: ") && reason.contains("crosscheck") || reason.contains("version 2"),
            "{reason}"
        );
    }
}

/// Each line: what it is, the lines after the header, and what the refusal says.
#[test]
fn events_are_refused_with_line_and_reason() {
    let wrong_f = change(INVOKE, r#""f":"write""#, r#""f":"wrote""#);
    let wrong_index = change(INVOKE, r#""index":0"#, r#""index":1"#);
    let time_back = change(OK, r#""time":20"#, r#""time":9"#);
    let alone = change(OK, r#""index":1"#, r#""index":0"#);
    let second = change(&wrong_index, "w1", "w2");
    let other_op = change(OK, "w1", "w2");
    let other_key = change(OK, r#""key":"k""#, r#""key":"j""#);
    let other_f = r#"{"index":1,"time":20,"process":0,"type":"ok","f":"read","value":{"key":"k"}}"#;
    let asked = r#"{"index":0,"time":1,"process":"harness","type":"invoke","f":"final_sot","value":[]}"#;
    let unknown_field = change(INVOKE, r#""value":1"#, r#""val":1"#);
    let no_time = change(INVOKE, r#""time":10,"#, "");
    let negative = change(INVOKE, r#""process":0"#, r#""process":-1"#);
    let gap = change(OK, r#""index":1"#, r#""index":5"#);
    let cases: [(&[&str], &str); 15] = [
        (
            &[&wrong_f],
            "line 2: unknown variant `wrote`, expected one of `write`, `read`, `txn`, `deliver`, `effect`, `step`, `final_sot`",
        ),
        (&[&wrong_index], "line 2: index 1 where 0 is next"),
        (&[INVOKE, &gap], "line 3: index 5 where 1 is next: indexes count up from 0"),
        (&[INVOKE, &time_back], "line 3: time goes back for client 0: 9 after 10"),
        (&[&alone], "line 2: a completion without an invocation: client 0 has no open operation"),
        (&[INVOKE, &second], "line 3: client 0 invokes while its operation of index 0 is still open"),
        (&[INVOKE, &other_op], "line 3: completes op_id `w2`, but the operation was invoked with op_id `w1`"),
        (&[INVOKE, &other_key], "line 3: completes key `j`, but the operation was invoked with key `k`"),
        (&[INVOKE, other_f], "line 3: completes `read`, but client 0 has invoked `write`"),
        (&[asked], "line 2: `final_sot` is an observation: its type must be ok"),
        (&[&unknown_field], "line 2: unknown field `val`"),
        (&[&no_time], "line 2: missing field `time`"),
        (&[&negative], "line 2: invalid type: integer `-1`, expected a process"),
        (&[INVOKE, "", OK], "line 3: the line is blank"),
        (&[&INVOKE[..50], OK], "line 2: EOF while parsing"),
    ];
    for (lines, reason) in cases {
        let said = refused(&[&[HEADER], lines].concat());
        assert!(said.starts_with(reason), "said     {said}\nexpected {reason}");
        assert!(!said.contains("at line"), "two places named: {said}");
    }
}

#[test]
fn a_torn_last_line_is_dropped_with_a_note() {
    let whole = text(&[HEADER, INVOKE]);
    for cut in 1..OK.len() {
        let (history, notes) =
            History::parse(&format!("{whole}{}", &OK[..cut])).expect("only the tail is torn");
        assert_eq!(history.len(), 1, "cut at {cut}");
        assert_eq!(notes.iter().map(|note| note.line).collect::<Vec<_>>(), [3], "cut at {cut}");
    }
    let (history, notes) = History::parse(&format!("{whole}{OK}")).expect("only the line feed is missing");
    assert_eq!((history.len(), notes.len()), (2, 0));
}

#[test]
fn a_last_line_that_is_wrong_but_not_torn_is_refused() {
    let wrong = change(OK, r#""f":"write""#, r#""f":"wrote""#);
    let error = History::parse(&format!("{}{wrong}", text(&[HEADER, INVOKE]))).expect_err("it is whole JSON");
    assert_eq!(error.line, 3);
}

#[test]
fn bytes_that_are_not_utf8_are_torn_only_at_the_end() {
    let mut bytes = text(&[HEADER, INVOKE]).into_bytes();
    bytes.extend(br#"{"index":1,"process":""#);
    bytes.push(0xc3);
    let (history, notes) = History::parse_bytes(&bytes).expect("only the tail is torn");
    assert_eq!((history.len(), notes[0].line), (1, 3));
    bytes.push(b'\n');
    let error = History::parse_bytes(&bytes).expect_err("the line is whole and not UTF-8");
    assert_eq!(error, HistoryError { line: 3, message: "the line is not UTF-8".to_owned() });
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let deep = "[".repeat(100_000);
    let line = change(INVOKE, r#""value":1"#, &format!(r#""value":{deep}"#));
    let reason = refused(&[HEADER, &line]);
    assert!(reason.contains("recursion limit"), "{reason}");
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,4}[0-9]{0,3}", any::<String>()]
}

fn name() -> impl Strategy<Value = Text> {
    words().prop_map_into()
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        Just(Scalar::Null),
        any::<i64>().prop_map(Scalar::Int),
        name().prop_map(Scalar::Text),
        Just(Scalar::Json(r#"{"a":[1,true,null]}"#.into())),
        Just(Scalar::Json("18446744073709551615".into())),
        Just(Scalar::Json("0.5".into())),
    ]
}

fn ver() -> impl Strategy<Value = Option<u64>> {
    proptest::option::of(any::<u64>())
}

prop_compose! {
    fn write_item()(key in name(), value in scalar(), delta in proptest::option::of(any::<i64>()), ver in ver(),
        base_ver in ver()) -> WriteItem {
        WriteItem { key, value, delta, ver, base_ver }
    }
}

prop_compose! {
    fn read_item()(key in name(), ver in ver(), value in scalar(),
        source in proptest::option::of(prop_oneof![Just(Source::Db), Just(Source::Cache)])) -> ReadItem {
        ReadItem { key, ver, value, source }
    }
}

prop_compose! {
    fn deliver()(topic in name(), partition in any::<i32>(), offset in any::<i64>(), key in name(), ver in any::<u64>(),
        value in scalar(), op_id in name(), event_id in proptest::option::of(name())) -> Deliver {
        Deliver { topic, partition, offset, key, ver, value, op_id, event_id }
    }
}

prop_compose! {
    fn step()(actor in words(), n in any::<u64>(), system in words(), call in words(), outcome in words(),
        since in ver(), op_id in proptest::option::of(name()), saw in proptest::option::of(words())) -> Step {
        Step { actor, n, system, call, outcome, since, op_id, saw }
    }
}

prop_compose! {
    fn ledger_row()(key in name(), ver in any::<u64>(), op_id in name(), value in scalar(), base_ver in ver(),
        delta in proptest::option::of(any::<i64>()), commit in ver()) -> LedgerRow {
        LedgerRow { key, ver, op_id, value, base_ver, delta, commit }
    }
}

prop_compose! {
    fn copy_row()(store in prop_oneof![Just(Text::from("cache")), name()], key in name(), ver in ver(),
        value in scalar()) -> CopyRow {
        CopyRow { store, key, ver, value }
    }
}

fn few<S: Strategy>(one: S) -> impl Strategy<Value = Vec<S::Value>> {
    proptest::collection::vec(one, 0..3)
}

fn body() -> impl Strategy<Value = EventBody> {
    let sot_row = (name(), any::<u64>(), scalar()).prop_map(|(key, ver, value)| SotRow { key, ver, value });
    let outbox_row = (any::<i64>(), name(), any::<u64>(), name(), proptest::option::of(name()))
        .prop_map(|(id, key, ver, op_id, state)| OutboxRow { id, key, ver, op_id, state });
    let effect = (name(), name(), any::<u64>(), name(), proptest::option::of(name()))
        .prop_map(|(store, key, ver, op_id, event_id)| Effect { store, key, ver, op_id, event_id });
    let txn = (name(), few(read_item()), few(write_item())).prop_map(|(op_id, reads, writes)| Txn {
        op_id,
        reads,
        writes,
    });
    prop_oneof![
        (name(), write_item()).prop_map(|(op_id, item)| EventBody::Write(Write { op_id, item })),
        read_item().prop_map(|item| EventBody::Read(Read { item })),
        txn.prop_map(EventBody::Txn),
        deliver().prop_map(EventBody::Deliver),
        effect.prop_map(EventBody::Effect),
        step().prop_map(|step| EventBody::Step(Box::new(step))),
        few(sot_row).prop_map(EventBody::FinalSot),
        few(ledger_row()).prop_map(EventBody::FinalLedger),
        few(deliver()).prop_map(EventBody::FinalLog),
        few(copy_row()).prop_map(EventBody::FinalCache),
        few(outbox_row).prop_map(EventBody::FinalOutbox),
    ]
}

/// Each body as a whole operation, or as an observation: histories that keep the rules.
fn history() -> impl Strategy<Value = History> {
    let completion = prop_oneof![Just(Kind::Ok), Just(Kind::Fail), Just(Kind::Info)];
    let process = prop_oneof![(0..3u64).prop_map(Process::Client), name().prop_map(Process::Actor)];
    let act = (body(), completion, proptest::option::of(name()), process);
    proptest::collection::vec(act, 0..12).prop_map(|acts| {
        let mut events: Vec<Event> = Vec::new();
        for (body, completion, error, process) in acts {
            let kinds = if body.is_observation() { vec![Kind::Ok] } else { vec![Kind::Invoke, completion] };
            for kind in kinds {
                let index = events.len() as u64;
                let (process, body, error) = (process.clone(), body.clone(), error);
                events.push(Event { index, time: index * 10, process, kind, body, error });
            }
        }
        let header = Header { crosscheck: 1, seed: Some(7), ..Header::default() };
        History::from_events(header, events).expect("it keeps the rules")
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(history in history()) {
        let (read, notes) = History::parse(&history.to_text()).expect("its own text");
        prop_assert_eq!(&read, &history);
        prop_assert_eq!(notes, vec![]);
    }

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        let _ = History::parse(&text);
        let _ = History::parse(&format!("{HEADER}\n{text}"));
    }

    #[test]
    fn any_change_is_answered(history in history(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        cut in any::<bool>()) {
        let mut bytes = history.to_text().into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.remove(at); } else { bytes[at] = byte; }
        if let Err(error) = History::parse_bytes(&bytes) {
            prop_assert!(error.line >= 1 && error.line <= history.len() + 2, "{}", error);
        }
    }
}

/// Gives few bytes at a time, as a pipe may.
struct Pipe<'a>(&'a [u8]);

impl std::io::Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(self.0.len()).min(1 + self.0.len() % 7919);
        let (now, later) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

#[test]
fn a_long_history_is_read_in_blocks_and_its_lines_are_numbered_from_the_start() {
    let event = |index: usize| {
        format!(
            "{{\"index\":{index},\"time\":{index},\"process\":\"ç\",\"type\":\"ok\",\"f\":\"final_sot\",\"value\":[]}}\n"
        )
    };
    let many = 120_000;
    let mut text = format!("{HEADER}\n");
    (0..many).for_each(|index| text.push_str(&event(index)));
    assert!(text.len() > 9 << 20, "it takes several blocks");
    let (history, notes) = History::read(&mut Pipe(text.as_bytes()), None).expect("it keeps the rules");
    assert_eq!((history.len(), notes.len()), (many, 0));
    assert_eq!(history.to_text(), text);

    let torn = &text.as_bytes()[..text.len() - 4];
    let (history, notes) = History::read(&mut Pipe(torn), Some(7)).expect("only the last line is torn");
    assert_eq!((history.len(), notes[0].line), (many - 1, many + 1));

    text.push_str("{}\n");
    text.push_str(&event(many + 1));
    let error = History::read(&mut Pipe(text.as_bytes()), None).expect_err("a line is no event");
    assert!(error.to_string().starts_with(&format!("line {}: missing field", many + 2)), "{error}");
}

#[test]
fn what_the_system_says_while_a_history_is_read_is_no_fault_of_the_history() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let error = History::read(&mut Broken, None).expect_err("nothing can be read");
    assert!(matches!(error, ReadError::Io(_)) && error.to_string() == "the disk is gone", "{error}");
}
