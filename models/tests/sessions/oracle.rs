//! Every order of versions is tried: a guarantee is violated if and only if none fits.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crosscheck_models::foreign::{Format, OpHistory, read};
use crosscheck_models::session::{Assumed, Guarantee};
use crosscheck_models::verdict::Verdict;
use crosscheck_models::weak::{WeakLevel, weak};
use proptest::prelude::*;

use crate::textbook::judged;

/// A read or write, as the test makes it; nothing of it is parsed.
#[derive(Debug, Clone)]
struct Op {
    session: usize,
    call: usize,
    key: u8,
    is_write: bool,
    value: u8,
    begin: usize,
    /// None where nobody knows.
    end: Option<usize>,
    has_happened: bool,
}

const NOTHING: u8 = 0;
const GARBAGE: u8 = 99;

/// By session: calls, as micro-operations of a key and a choice, and how they end.
type Plan = Vec<Vec<(Vec<(u8, u8)>, u8)>>;

fn plans() -> impl Strategy<Value = (Plan, Vec<usize>)> {
    let mop = (0..2_u8, 0..12_u8);
    let call = (proptest::collection::vec(mop, 1..4), 0..12_u8);
    let session = proptest::collection::vec(call, 0..4);
    (proptest::collection::vec(session, 1..4), proptest::collection::vec(0..3_usize, 0..40))
}

/// By session, call and micro-operation what it writes, and by key all of that.
fn written_values(plan: &Plan) -> (Vec<Vec<Vec<u8>>>, [Vec<u8>; 2]) {
    let mut next = 1_u8;
    let mut values: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut written: [Vec<u8>; 2] = [Vec::new(), Vec::new()];
    for session in plan {
        let mut of_session = Vec::new();
        for (mops, _) in session {
            let mut of_call = Vec::new();
            for (key, choice) in mops {
                of_call.push(if *choice < 5 { next } else { 0 });
                if *choice < 5 {
                    written[usize::from(*key)].push(next);
                    next += 1;
                }
            }
            of_session.push(of_call);
        }
        values.push(of_session);
    }
    (values, written)
}

/// Lays a plan out in time: the operations, and the lines of the history.
fn laid_out(plan: &Plan, turns: &[usize]) -> (Vec<Op>, String) {
    let (values, written) = written_values(plan);
    let (mut ops, mut text) = (Vec::new(), String::new());
    let mut at: Vec<(usize, Option<usize>)> = vec![(0, None); plan.len()];
    let (mut line, mut calls) = (0, 0);
    let rest = (0..plan.len()).flat_map(|session| vec![session; 2 * plan[session].len()]);
    for turn in turns.iter().copied().filter(|turn| *turn < plan.len()).chain(rest) {
        let (number, open) = at[turn];
        let Some((mops, end)) = plan[turn].get(number) else { continue };
        let kind = match (open, end) {
            (None, _) => "invoke",
            (Some(_), 0) => "info",
            (Some(_), 1) => "fail",
            _ => "ok",
        };
        let mut shown = Vec::new();
        for (place, (key, choice)) in mops.iter().enumerate() {
            let own = values[turn][number][place];
            let known = &written[usize::from(*key)];
            let value = match choice {
                0..5 => own,
                5 => NOTHING,
                11 if place > 1 => GARBAGE,
                _ => known.get(usize::from(choice - 6) % known.len().max(1)).copied().unwrap_or(NOTHING),
            };
            let is_write = *choice < 5;
            let name = if value == NOTHING { "nil".to_owned() } else { value.to_string() };
            let name = if kind == "invoke" && !is_write { "nil".to_owned() } else { name };
            shown.push(format!("[{} {key} {name}]", if is_write { ":w" } else { ":r" }));
            if kind == "invoke" {
                let call = calls;
                let op = Op {
                    session: turn,
                    call,
                    key: *key,
                    is_write,
                    value,
                    begin: line,
                    end: None,
                    has_happened: false,
                };
                ops.push(op);
            }
        }
        writeln!(text, "{{:process {turn} :type :{kind} :f :txn :value [{}]}}", shown.join(" "))
            .expect("text");
        if let Some(call) = open {
            for op in ops.iter_mut().filter(|op: &&mut Op| op.call == call) {
                op.has_happened = kind == "ok";
                op.end = (kind == "ok").then_some(line);
            }
            at[turn] = (number + 1, None);
        } else {
            at[turn].1 = Some(calls);
            calls += 1;
        }
        line += 1;
    }
    (ops, text)
}

struct Plain {
    ops: Vec<Op>,
}

impl Plain {
    fn is_read(&self, at: usize) -> bool {
        let op = &self.ops[at];
        // What a session writes only later it cannot have read.
        let is_own = self.source(at).is_some_and(|write| write > at && self.ops[write].session == op.session);
        !op.is_write && op.has_happened && op.value != GARBAGE && !is_own
    }

    fn source(&self, read: usize) -> Option<usize> {
        let read = &self.ops[read];
        self.ops.iter().position(|op| {
            op.is_write && read.value != NOTHING && (op.key, op.value) == (read.key, read.value)
        })
    }

    /// The operations of the same session before one, in its call too.
    fn earlier(&self, at: usize) -> impl Iterator<Item = usize> {
        (0..at).filter(move |other| self.ops[*other].session == self.ops[at].session)
    }

    fn writes_before(&self, at: usize) -> impl Iterator<Item = usize> {
        self.earlier(at).filter(|other| self.ops[*other].is_write && self.ops[*other].has_happened)
    }

    fn read_before(&self, at: usize) -> impl Iterator<Item = usize> {
        self.earlier(at).filter(|other| self.is_read(*other)).filter_map(|other| self.source(other))
    }

    fn must_see(&self, guarantee: Guarantee, read: usize) -> BTreeSet<usize> {
        let in_call = || {
            let reads = self
                .earlier(read)
                .filter(|at| self.is_read(*at) && self.ops[*at].call == self.ops[read].call);
            reads.filter_map(|at| self.source(at))
        };
        let mut must = BTreeSet::new();
        match guarantee {
            Guarantee::ReadYourWrites => must.extend(self.writes_before(read)),
            Guarantee::MonotonicReads => must.extend(self.read_before(read)),
            Guarantee::MonotonicWrites => in_call().for_each(|write| must.extend(self.writes_before(write))),
            Guarantee::Pram => {
                must.extend(self.writes_before(read));
                for write in self.read_before(read) {
                    must.insert(write);
                    must.extend(self.writes_before(write));
                }
            }
            Guarantee::WritesFollowReads => {
                let mut shown: BTreeSet<usize> = in_call().chain(self.source(read)).collect();
                loop {
                    let more: Vec<usize> = shown.iter().flat_map(|write| self.read_before(*write)).collect();
                    let count = must.len();
                    must.extend(more.iter().copied());
                    shown.extend(more);
                    if must.len() == count {
                        break;
                    }
                }
            }
        }
        must.retain(|write| self.ops[*write].key == self.ops[read].key);
        must
    }

    /// Whether one version of a key has to be before another, whatever was read.
    fn is_given(
        &self,
        guarantee: Guarantee,
        assumed: Assumed,
        view: usize,
        one: usize,
        other: usize,
    ) -> bool {
        let (from, to) = (&self.ops[one], &self.ops[other]);
        if one == other {
            return false;
        }
        let is_session = from.session == to.session && one < other && from.has_happened;
        let is_ordered = assumed.has_session_order
            || match guarantee {
                Guarantee::MonotonicWrites | Guarantee::Pram => true,
                Guarantee::ReadYourWrites => assumed.is_shared || from.session == view,
                _ => false,
            };
        let is_realtime = assumed.has_realtime && from.end.is_some_and(|end| end < to.begin);
        let mut updates =
            self.earlier(other).filter(|read| self.is_read(*read) && self.source(*read) == Some(one));
        let is_update = updates.any(|read| {
            guarantee == Guarantee::WritesFollowReads || assumed.has_updates && self.ops[read].call == to.call
        });
        is_session && is_ordered || is_realtime || is_update
    }

    fn is_violated(&self, guarantee: Guarantee, assumed: Assumed) -> bool {
        let views = if assumed.is_shared { 1 } else { 3 };
        (0..views).any(|view| (0..2).any(|key| !self.has_order(guarantee, assumed, view, key)))
    }

    fn has_order(&self, guarantee: Guarantee, assumed: Assumed, view: usize, key: u8) -> bool {
        let mut versions: Vec<usize> =
            (0..self.ops.len()).filter(|at| self.ops[*at].is_write && self.ops[*at].key == key).collect();
        let mut before = BTreeSet::new();
        for one in &versions {
            let later =
                versions.iter().filter(|other| self.is_given(guarantee, assumed, view, *one, **other));
            before.extend(later.map(|other| (*one, *other)));
        }
        for read in (0..self.ops.len()).filter(|at| self.is_read(*at) && self.ops[*at].key == key) {
            if !assumed.is_shared && self.ops[read].session != view {
                continue;
            }
            let must = self.must_see(guarantee, read);
            match self.source(read) {
                None if !must.is_empty() => return false,
                None => {}
                Some(source) => {
                    before.extend(must.into_iter().filter(|at| *at != source).map(|at| (at, source)))
                }
            }
        }
        permuted(&mut versions, 0, &before)
    }
}

/// Whether some order of what stands from a place on keeps all pairs.
fn permuted(order: &mut Vec<usize>, from: usize, before: &BTreeSet<(usize, usize)>) -> bool {
    if from == order.len() {
        return true;
    }
    for at in from..order.len() {
        order.swap(from, at);
        let is_kept = order[from + 1..].iter().all(|later| !before.contains(&(*later, order[from])));
        if is_kept && permuted(order, from + 1, before) {
            return true;
        }
        order.swap(from, at);
    }
    false
}

/// The lines of some calls alone.
fn cut(text: &str, history: &OpHistory, calls: &[u32]) -> String {
    let kept: BTreeSet<u32> = calls
        .iter()
        .flat_map(|call| {
            let call = &history.calls()[*call as usize];
            call.invoke.into_iter().chain(call.complete)
        })
        .collect();
    let lines = text.lines().enumerate().filter(|(at, _)| kept.contains(&(*at as u32)));
    lines.map(|(_, line)| line).collect::<Vec<_>>().join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    #[test]
    fn every_guarantee_agrees_with_the_oracle((plan, turns) in plans(), flags in 0..16_u8) {
        let (ops, text) = laid_out(&plan, &turns);
        let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
        let plain = Plain { ops };
        let has_reads = plain.ops.iter().any(|op| !op.is_write && op.has_happened);
        let bit = |at: u8| flags >> at & 1 == 1;
        let assumed = Assumed {
            is_shared: bit(0),
            has_session_order: bit(0) && bit(1),
            has_realtime: bit(0) && bit(2),
            has_updates: bit(0) && bit(3),
        };
        for guarantee in Guarantee::ALL {
            let found = judged(&history, guarantee, assumed);
            let is_violated = plain.is_violated(guarantee, assumed);
            let expected = match (is_violated, has_reads) {
                (true, _) => Verdict::Violated,
                (false, true) => Verdict::Valid,
                (false, false) => Verdict::Unknown,
            };
            prop_assert_eq!(found.verdict, expected, "{:?} {:?} {:#?}\n{}", guarantee, assumed, found, text);
            // What the witness names fails by itself.
            if let Some(circle) = &found.circle {
                let alone = cut(&text, &history, &circle.calls);
                let again = read(&mut alone.as_bytes(), Format::Edn).expect("a history");
                prop_assert_eq!(judged(&again, guarantee, assumed).verdict, Verdict::Violated, "{}", alone);
            }
        }
        let has = |guarantee| judged(&history, guarantee, assumed).verdict == Verdict::Violated;
        let parts = [Guarantee::ReadYourWrites, Guarantee::MonotonicReads, Guarantee::MonotonicWrites];
        prop_assert!(has(Guarantee::Pram) || !parts.into_iter().any(has), "a part is broken, and not the whole\n{}", text);
    }

    /// Causal consistency, by an algorithm of another kind, has all of the guarantees.
    #[test]
    fn what_is_causal_breaks_no_guarantee((mut plan, turns) in plans()) {
        // A process whose write is undecided does nothing more: for causality, it would be another one.
        plan.iter_mut().flatten().filter(|call| call.1 == 0).for_each(|call| call.1 = 2);
        let (_, text) = laid_out(&plan, &turns);
        let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
        let causal = weak(&history, WeakLevel::Causal, &mut || true).expect("registers");
        if causal.verdict == Verdict::Valid {
            for guarantee in Guarantee::ALL {
                let found = judged(&history, guarantee, Assumed::default());
                prop_assert_ne!(found.verdict, Verdict::Violated, "{:?} {:#?}\n{}", guarantee, found, text);
            }
        }
    }
}
