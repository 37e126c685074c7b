//! What each fuzz target does with bytes: parse them, judge what was parsed, and hold that to laws which need no
//! second checker. `models/tests/fuzz_bodies.rs` runs the same on the seeds, on stable Rust.

use crosscheck_models::check::{self, FaultWindow};
use crosscheck_models::checker::{self, Checker};
use crosscheck_models::foreign::{
    Columns, Format, OpHistory, ReadError, detect, read, read_with, write_edn, write_jsonl,
};
use crosscheck_models::history::History;
use crosscheck_models::isolation::{self, Inference, Judgement, Level};
use crosscheck_models::property::Property;
use crosscheck_models::staleness::StalenessOptions;
use crosscheck_models::verdict::Verdict;
use crosscheck_models::verify::{sub_history, verify};
use crosscheck_models::weak::{WeakLevel, verify_circle, weak};

type Body = fn(&[u8]);

/// The targets by their names.
pub(crate) const TARGETS: [(&str, Body); 8] = [
    ("ours", ours),
    ("edn", |bytes| foreign(bytes, Format::Edn)),
    ("json", |bytes| foreign(bytes, Format::Json)),
    ("jepsen-log", |bytes| foreign(bytes, Format::JepsenLog)),
    ("plume", |bytes| foreign(bytes, Format::Plume)),
    ("csv", table),
    ("checkers", checkers),
    ("properties", properties),
];

/// A longer history shows nothing that a shorter one does not, and takes longer.
const CALLS_MAX: usize = 200;

/// How often the checkers may ask whether to go on.
const POLLS_MAX: u32 = 20_000;

/// Does what the target of this name does.
pub(crate) fn run(target: &str, bytes: &[u8]) {
    let body = TARGETS.iter().find(|(name, _)| *name == target).map(|(_, body)| body);
    body.unwrap_or_else(|| panic!("no target is called {target}"))(bytes);
}

/// Our own format: what is read is written and read again as it was.
fn ours(bytes: &[u8]) {
    let Ok((history, _)) = History::parse_bytes(bytes) else { return };
    let text = history.to_text();
    let (again, notes) = History::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(notes.is_empty(), "{notes:?}\n{text}");
    assert_eq!(again.to_text(), text);
}

/// A format of others, and the two that it can be written in.
fn foreign(bytes: &[u8], format: Format) {
    let _ = detect(bytes);
    if let Ok(history) = refused_with_a_place(read(&mut &bytes[..], format)) {
        writes_what_is_read(&history);
    }
}

/// A table whose first line may say which columns are meant: `key=account,process=session`.
fn table(bytes: &[u8]) {
    foreign(bytes, Format::Csv);
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let columns = std::str::from_utf8(&bytes[..line]).ok().and_then(|text| text.parse::<Columns>().ok());
    if let Some(columns) = columns {
        let rest = bytes.get(line + 1..).unwrap_or_default();
        let _ = refused_with_a_place(read_with(&mut &rest[..], Format::Csv, &columns));
    }
}

fn refused_with_a_place(read: Result<OpHistory, ReadError>) -> Result<OpHistory, ReadError> {
    if let Err(ReadError::Malformed { line, column, message }) = &read {
        assert!(*line > 0 && *column > 0 && !message.is_empty(), "{line} {column} {message:?}");
    }
    read
}

fn writes_what_is_read(history: &OpHistory) {
    let (json, edn) = (jsonl(history), edn(history));
    let from_json = read(&mut json.as_bytes(), Format::Json).unwrap_or_else(|e| panic!("{e}\n{json}"));
    assert_eq!(jsonl(&from_json), json);
    let from_edn = read(&mut edn.as_bytes(), Format::Edn).unwrap_or_else(|e| panic!("{e}\n{edn}"));
    assert_eq!(jsonl(&from_edn), json, "{edn}");
    assert_eq!(from_edn.calls().len(), history.calls().len(), "{edn}");
}

fn jsonl(history: &OpHistory) -> String {
    let mut out = Vec::new();
    write_jsonl(history, &mut out).expect("memory takes it");
    String::from_utf8(out).expect("JSON is text")
}

fn edn(history: &OpHistory) -> String {
    let mut out = Vec::new();
    write_edn(history, &mut out).expect("memory takes it");
    String::from_utf8(out).expect("EDN is text")
}

/// Any checker on any history, whether it fits or not.
fn checkers(bytes: &[u8]) {
    let format = detect(bytes).unwrap_or(Format::Json);
    let Ok(history) = read(&mut &bytes[..], format) else { return };
    if history.calls().len() > CALLS_MAX {
        return;
    }
    // What is not known from the bytes is taken from their number, so that an input always means the same.
    let choice = bytes.len();
    let inference = Inference {
        linearizable_keys: choice & 1 > 0,
        sequential_keys: choice & 2 > 0,
        wfr_keys: choice & 4 > 0,
    };
    let level = LEVELS[choice / 8 % LEVELS.len()].parse().expect("a consistency model");
    let staleness = StalenessOptions {
        versions_max: Some(choice as u64 % 3),
        ms_max: Some(choice as u64 % 5),
        has_versions: choice & 8 > 0,
    };
    let options = checker::Options { level, inference, staleness, replay: true, ..Default::default() };
    let fitting = checker::applicable(&history);
    for checker in Checker::all() {
        judge(&history, checker, &options, fitting.contains(&checker));
    }
    transactions(&history, inference, level);
}

const LEVELS: [&str; 6] = [
    "strict-serializable",
    "serializable",
    "strong-session-snapshot-isolation",
    "snapshot-isolation",
    "read-committed",
    "read-uncommitted",
];

/// No answer is an accusation without evidence, none calls what it found itself a bug, and each is given twice.
fn judge(history: &OpHistory, checker: Checker, options: &checker::Options, is_fitting: bool) {
    let answer = checker::check(history, checker, options, &mut polls());
    let Ok(found) = answer else { return };
    let reason = found.reason.as_deref().unwrap_or_default();
    assert!(!reason.contains("a bug in Crosscheck"), "{checker}: {reason}\n{}", jsonl(history));
    let is_accused = found.verdict == Verdict::Violated;
    assert_eq!(is_accused, !found.anomalies.is_empty(), "{checker}: {found:?}\n{}", jsonl(history));
    assert!(found.verdict != Verdict::Unknown || !reason.is_empty(), "{checker}: {found:?}");
    assert!(found.anomalies.iter().all(|seen| !seen.text.is_empty() && seen.count > 0), "{found:?}");
    if is_fitting {
        let again = checker::check(history, checker, options, &mut polls());
        assert_eq!(again.ok().as_ref(), Some(&found), "{checker}");
    }
}

fn polls() -> impl FnMut() -> bool {
    let mut left = POLLS_MAX;
    move || {
        left = left.saturating_sub(1);
        left > 0
    }
}

/// Every witness is shown by the history alone, and what is of a level is of the weaker ones.
fn transactions(history: &OpHistory, inference: Inference, level: Level) {
    let options = isolation::Options { level, inference };
    if let Ok(found) = isolation::list_append(history, &options, &mut polls()) {
        is_shown(history, &found);
    }
    if let Ok(found) = isolation::rw_register(history, &options, &mut polls()) {
        is_shown(history, &found);
    }
    let levels = [WeakLevel::ReadCommitted, WeakLevel::ReadAtomic, WeakLevel::Causal];
    let mut weaker = Verdict::Valid;
    for level in levels {
        let Ok(found) = weak(history, level, &mut polls()) else { continue };
        if let Some(circle) = &found.circle {
            let shown = verify_circle(history, level, circle);
            shown.unwrap_or_else(|e| panic!("{e}: {circle:?}\n{}", jsonl(history)));
        }
        let is_nested = weaker != Verdict::Violated || found.verdict != Verdict::Valid;
        assert!(is_nested, "valid as {}, and not as what is weaker\n{}", level.name(), jsonl(history));
        weaker = found.verdict;
    }
}

fn is_shown(history: &OpHistory, found: &Judgement) {
    for seen in found.anomalies.iter().chain(&found.also_seen) {
        let shown = isolation::verify_witness(history, &seen.witness);
        shown.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", seen.witness, jsonl(history)));
    }
    if let Some(order) = &found.order {
        let shown = isolation::verify_order(history, order);
        shown.unwrap_or_else(|error| panic!("{error}: {order:?}\n{}", jsonl(history)));
    }
}

/// Every property of a history of ours: the witness is confirmed, and violates the property by itself.
fn properties(bytes: &[u8]) {
    let Ok((history, _)) = History::parse_bytes(bytes) else { return };
    if history.len() > 2 * CALLS_MAX {
        return;
    }
    let window = FaultWindow { id: "cut".to_owned(), system: "db".to_owned(), from_ns: 10, to_ns: 20 };
    let options = check::Options {
        delta_ns: history.header().delta_ns.or(Some(bytes.len() as u64 % 64)),
        stall_ns: 30,
        fault_windows: vec![window],
        stuck: Vec::new(),
    };
    for property in Property::ALL {
        let found = check::check(&history, property, &options);
        assert_eq!(found.witness.is_some(), found.verdict == Verdict::Violated, "{found:?}");
        let Some(witness) = &found.witness else { continue };
        let shown = verify(&history, witness, &options);
        shown.unwrap_or_else(|error| panic!("{error}: {witness:?}\n{}", history.to_text()));
        let alone = sub_history(&history, witness).unwrap_or_else(|error| panic!("{error}: {witness:?}"));
        let again = check::check(&alone, property, &options);
        assert_eq!(again.verdict, Verdict::Violated, "{witness:?}\n{}", history.to_text());
    }
}
