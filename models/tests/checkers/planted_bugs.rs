//! Bugs planted into correct histories: each must violate its property.

use std::borrow::Cow;

use crosscheck_models::check::{Options, check};
use crosscheck_models::history::{
    Deliver, Event, EventBody, History, Kind, LedgerRow, Process, ReadItem, Scalar, Text,
};
use crosscheck_models::property::Property;
use crosscheck_models::verdict::Verdict;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::simulated::{correct, many_moves, moves, rebuilt};
use crate::witness_laws;

/// Changes the events as the bug would; `None` where they have no place for it.
type Plant = fn(&mut Broken) -> Option<()>;

/// A history on its way to being broken, and a choice of where.
struct Broken {
    events: Vec<Event>,
    at: prop::sample::Index,
}

const BUGS: [(&str, Property, Plant); 18] = [
    ("drop a delivery", Property::NoLoss, drop_delivery),
    ("swap two deliveries", Property::GlobalOrder, swap_deliveries),
    ("swap two deliveries of a key", Property::PerKeyOrder, swap_deliveries_of_key),
    ("deliver again", Property::NoDup, repeat_delivery),
    ("publish again", Property::NoDup, repeat_in_log),
    ("change a payload", Property::Fidelity, change_payload),
    ("skip a version", Property::Fidelity, skip_version),
    ("publish what was rolled back", Property::NoGhost, publish_ghost),
    ("publish before the commit", Property::NoEarly, publish_early),
    ("apply again", Property::EffectOnce, repeat_effect),
    ("drop an effect", Property::EffectOnce, drop_effect),
    ("read what was overwritten", Property::BoundedStaleness, read_stale),
    ("read older than the own write", Property::ReadYourWrites, read_older_than_own),
    ("read older than before", Property::MonotonicReads, read_older_than_before),
    ("compute from an old version", Property::NoLostUpdate, compute_from_old),
    ("apply a write twice", Property::NoLostUpdate, apply_write_twice),
    ("forget an acknowledged write", Property::AckDurability, forget_write),
    ("change a copy", Property::Convergence, change_copy),
];

fn plant(plant: Plant, history: &History, at: prop::sample::Index) -> Option<History> {
    let mut broken = Broken { events: history.events().map(Cow::into_owned).collect(), at };
    plant(&mut broken)?;
    Some(rebuilt(broken.events))
}

fn nth(all: &[usize], at: &prop::sample::Index) -> Option<usize> {
    (!all.is_empty()).then(|| all[at.index(all.len())])
}

fn delivers(events: &[Event]) -> Vec<usize> {
    places(events, |event| matches!(event.body, EventBody::Deliver(_)))
}

fn effects(events: &[Event]) -> Vec<usize> {
    places(events, |event| matches!(event.body, EventBody::Effect(_)))
}

/// With no delivery left, nobody consumed live, and the log would say what there is.
fn drop_delivery(Broken { events, at }: &mut Broken) -> Option<()> {
    let all = delivers(events);
    (all.len() > 1).then_some(())?;
    events.remove(nth(&all, at)?);
    Some(())
}

fn swap_deliveries(Broken { events, at }: &mut Broken) -> Option<()> {
    let all = delivers(events);
    let first = at.index(all.len().checked_sub(1).filter(|count| *count > 0)?);
    swap_bodies(events, all[first], all[first + 1]);
    Some(())
}

fn swap_deliveries_of_key(Broken { events, .. }: &mut Broken) -> Option<()> {
    let (first, second) = two_of_a_key(events, &delivers(events))?;
    swap_bodies(events, first, second);
    Some(())
}

fn repeat_delivery(Broken { events, at }: &mut Broken) -> Option<()> {
    let all = delivers(events);
    let again = events[nth(&all, at)?].clone();
    events.insert(*all.last()? + 1, again);
    Some(())
}

fn repeat_in_log(Broken { events, .. }: &mut Broken) -> Option<()> {
    let rows = final_rows(events, |body| match body {
        EventBody::FinalLog(rows) => Some(rows),
        _ => None,
    })?;
    let again = *rows.first()?;
    rows.push(Deliver { offset: rows.len() as i64, ..again });
    Some(())
}

fn change_payload(Broken { events, at }: &mut Broken) -> Option<()> {
    let place = nth(&delivers(events), at)?;
    deliver_mut(&mut events[place])?.value = Scalar::Int(-1);
    Some(())
}

fn skip_version(Broken { events, .. }: &mut Broken) -> Option<()> {
    let all = delivers(events);
    let (_, second) = two_of_a_key(events, &all)?;
    let rest: Vec<usize> = all.into_iter().filter(|at| *at >= second).collect();
    two_of_a_key(events, &rest)?;
    events.remove(second);
    Some(())
}

fn publish_ghost(Broken { events, at }: &mut Broken) -> Option<()> {
    let place = nth(&delivers(events), at)?;
    deliver_mut(&mut events[place])?.op_id = "ghost".into();
    Some(())
}

fn publish_early(Broken { events, at }: &mut Broken) -> Option<()> {
    let read = nth(&places(events, is_ok_read), at)?;
    let invoke = invocation(events, read)?;
    let item = *read_of(&events[read])?;
    let ver = item.ver? + 1;
    let body = EventBody::Deliver(Deliver { key: item.key, ver, op_id: "x".into(), ..Deliver::default() });
    let process = Process::Actor("consumer".into());
    events.insert(invoke, Event { process, kind: Kind::Ok, body, ..events[invoke].clone() });
    Some(())
}

fn repeat_effect(Broken { events, at }: &mut Broken) -> Option<()> {
    let all = effects(events);
    let again = events[nth(&all, at)?].clone();
    events.insert(*all.last()? + 1, again);
    Some(())
}

fn drop_effect(Broken { events, at }: &mut Broken) -> Option<()> {
    let all = effects(events);
    (all.len() > 1).then_some(())?;
    events.remove(nth(&all, at)?);
    Some(())
}

fn read_stale(Broken { events, .. }: &mut Broken) -> Option<()> {
    let (write, read) = write_then_read(events, |_, _| true, 3)?;
    read_back(events, write, read)
}

fn read_older_than_own(Broken { events, .. }: &mut Broken) -> Option<()> {
    let (write, read) = write_then_read(events, |a, b| a.process == b.process, 0)?;
    (!has_info_between(events, write, read)).then_some(())?;
    read_back(events, write, read)
}

fn read_older_than_before(Broken { events, .. }: &mut Broken) -> Option<()> {
    let (first, second) = reads_of_a_session(events)?;
    let before = read_of(&events[first])?.ver?;
    read_mut(&mut events[second])?.ver = Some(before.checked_sub(1)?);
    Some(())
}

fn compute_from_old(Broken { events, .. }: &mut Broken) -> Option<()> {
    ledger(events)?.iter_mut().find(|row| row.ver > 1)?.base_ver = Some(0);
    Some(())
}

fn apply_write_twice(Broken { events, .. }: &mut Broken) -> Option<()> {
    let rows = ledger(events)?;
    let last = *rows.last()?;
    rows.push(LedgerRow { ver: last.ver + 1, base_ver: Some(last.ver), ..last });
    Some(())
}

fn forget_write(Broken { events, .. }: &mut Broken) -> Option<()> {
    let acknowledged: Vec<Text> = events
        .iter()
        .filter(|event| event.kind == Kind::Ok)
        .filter_map(|event| match &event.body {
            EventBody::Write(write) => Some(write.op_id),
            _ => None,
        })
        .collect();
    let rows = ledger(events)?;
    let at = rows.iter().position(|row| acknowledged.contains(&row.op_id))?;
    rows.remove(at);
    Some(())
}

fn change_copy(Broken { events, .. }: &mut Broken) -> Option<()> {
    let rows = final_rows(events, |body| match body {
        EventBody::FinalCache(rows) => Some(rows),
        _ => None,
    })?;
    let row = rows.first_mut()?;
    row.ver = row.ver.map(|ver| ver + 1);
    Some(())
}

fn places(events: &[Event], is_wanted: impl Fn(&Event) -> bool) -> Vec<usize> {
    (0..events.len()).filter(|at| is_wanted(&events[*at])).collect()
}

fn swap_bodies(events: &mut [Event], a: usize, b: usize) {
    let body = events[a].body.clone();
    events[a].body = std::mem::replace(&mut events[b].body, body);
}

fn deliver(event: &Event) -> Option<&Deliver> {
    if let EventBody::Deliver(deliver) = &event.body { Some(deliver) } else { None }
}

fn deliver_mut(event: &mut Event) -> Option<&mut Deliver> {
    if let EventBody::Deliver(deliver) = &mut event.body { Some(deliver) } else { None }
}

/// The first delivery and the next one of its key.
fn two_of_a_key(events: &[Event], delivers: &[usize]) -> Option<(usize, usize)> {
    let first = *delivers.first()?;
    let key = &deliver(&events[first])?.key;
    let second = delivers[1..].iter().find(|at| deliver(&events[**at]).is_some_and(|d| d.key == *key))?;
    Some((first, *second))
}

fn is_ok_read(event: &Event) -> bool {
    event.kind == Kind::Ok && matches!(event.body, EventBody::Read(_))
}

fn read_of(event: &Event) -> Option<&ReadItem> {
    if let EventBody::Read(read) = &event.body { Some(&read.item) } else { None }
}

fn read_mut(event: &mut Event) -> Option<&mut ReadItem> {
    if let EventBody::Read(read) = &mut event.body { Some(&mut read.item) } else { None }
}

fn invocation(events: &[Event], completion: usize) -> Option<usize> {
    (0..completion)
        .rev()
        .find(|at| events[*at].process == events[completion].process && events[*at].kind == Kind::Invoke)
}

/// An acknowledged write and a later read of its key that begins at least `gap` events after it.
fn write_then_read(
    events: &[Event],
    fits: impl Fn(&Event, &Event) -> bool,
    gap: usize,
) -> Option<(usize, usize)> {
    let reads = places(events, is_ok_read);
    let is_ok_write = |event: &Event| event.kind == Kind::Ok && matches!(event.body, EventBody::Write(_));
    let writes = places(events, is_ok_write);
    writes.into_iter().find_map(|write| {
        let key = match &events[write].body {
            EventBody::Write(body) => body.item.key,
            _ => return None,
        };
        let read = reads.iter().copied().find(|read| {
            read_of(&events[*read]).is_some_and(|item| item.key == key)
                && fits(&events[write], &events[*read])
                && invocation(events, *read).is_some_and(|invoke| invoke > write + gap)
        })?;
        Some((write, read))
    })
}

/// Lets the read see the version before the written one.
fn read_back(events: &mut [Event], write: usize, read: usize) -> Option<()> {
    let written = match &events[write].body {
        EventBody::Write(body) => body.item.ver,
        _ => None,
    };
    read_mut(&mut events[read])?.ver = Some(written? - 1);
    Some(())
}

fn has_info_between(events: &[Event], first: usize, second: usize) -> bool {
    let process = &events[first].process;
    events[first..second].iter().any(|event| event.process == *process && event.kind == Kind::Info)
}

fn reads_of_a_session(events: &[Event]) -> Option<(usize, usize)> {
    let reads = places(events, is_ok_read);
    reads.iter().enumerate().find_map(|(at, first)| {
        let item = read_of(&events[*first])?;
        item.ver.filter(|ver| *ver > 0)?;
        let second = reads[at + 1..].iter().find(|second| {
            events[**second].process == events[*first].process
                && read_of(&events[**second]).is_some_and(|other| other.key == item.key)
                && !has_info_between(events, *first, **second)
        })?;
        Some((*first, *second))
    })
}

fn final_rows<Row>(
    events: &mut [Event],
    rows_of: impl Fn(&mut EventBody) -> Option<&mut Vec<Row>>,
) -> Option<&mut Vec<Row>> {
    events.iter_mut().find_map(|event| rows_of(&mut event.body))
}

fn ledger(events: &mut [Event]) -> Option<&mut Vec<LedgerRow>> {
    final_rows(events, |body| if let EventBody::FinalLedger(rows) = body { Some(rows) } else { None })
}

proptest! {
    #[test]
    fn a_planted_bug_is_found(moves in moves(), at in any::<prop::sample::Index>()) {
        let history = correct(&moves);
        let options = Options::default();
        for (bug, property, change) in BUGS {
            let Some(broken) = plant(change, &history, at) else {
                continue;
            };
            let found = check(&broken, property, &options);
            prop_assert_eq!(found.verdict, Verdict::Violated, "{} in\n{}", bug, broken.to_text());
            witness_laws::assert_witness_laws(&broken, &found, &options);
        }
    }
}

/// Planting would prove nothing if it never found a place.
#[test]
fn every_bug_finds_a_place() {
    let history = correct(&many_moves());
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let at = any::<prop::sample::Index>().new_tree(&mut runner).expect("an index").current();
    for (bug, property, change) in BUGS {
        let broken = plant(change, &history, at).unwrap_or_else(|| panic!("no place to {bug}"));
        assert_eq!(check(&broken, property, &Options::default()).verdict, Verdict::Violated, "{bug}");
    }
}
