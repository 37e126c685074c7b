//! Each property once more, straight from its definition, by comparing everything with everything.

use crosscheck_models::check::{FaultWindow, Options, check};
use crosscheck_models::history::{
    Deliver, Effect, Event, EventBody, Header, History, Kind, LedgerRow, Operation, Outcome, Process,
    ReadItem, Source, Step, Text,
};
use crosscheck_models::property::Property;
use crosscheck_models::verdict::Verdict;
use proptest::prelude::*;

use crate::{random_history, witness_laws};

const DELTA_NS: u64 = 25;

fn is_violated(history: &History, property: Property) -> bool {
    match property {
        Property::NoGhost => no_ghost(history),
        Property::NoEarly => no_early(history),
        Property::NoLoss => no_loss(history),
        Property::PerKeyOrder => per_key_order(history),
        Property::GlobalOrder => global_order(history),
        Property::NoDup => no_dup(history),
        Property::EffectOnce => effect_once(history),
        Property::Fidelity => fidelity(history),
        Property::Convergence => convergence(history),
        Property::BoundedStaleness => bounded_staleness(history),
        Property::MonotonicReads => monotonic_reads(history),
        Property::ReadYourWrites => read_your_writes(history),
        Property::NoLostUpdate => no_lost_update(history),
        Property::AckDurability => ack_durability(history),
        Property::Liveness | Property::AtomicVisibility | Property::Invariant => false,
    }
}

/// A receipt: where (consumer or partition), in which place there, and what.
#[derive(Clone)]
struct Got {
    lane: String,
    place: (u64, i64),
    said: Deliver,
}

fn live(history: &History) -> Vec<Got> {
    history
        .delivers()
        .map(|event| Got { lane: event.process.to_string(), place: (event.index, 0), said: event.body })
        .collect()
}

fn log(history: &History) -> Option<Vec<Got>> {
    let rows = history.final_log()?.rows;
    let got = |said: &Deliver| Got { lane: partition_of(said), place: (0, said.offset), said: *said };
    Some(rows.iter().map(got).collect())
}

fn partition_of(said: &Deliver) -> String {
    format!("{}/{}", said.topic, said.partition)
}

fn received(history: &History) -> Vec<Got> {
    let live = live(history);
    if live.is_empty() { log(history).unwrap_or_default() } else { live }
}

fn identity(event_id: &Option<Text>, op_id: &str, key: &str) -> String {
    event_id.as_ref().map_or_else(|| format!("{op_id} of {key}"), |id| format!("id {id}"))
}

fn id_of(said: &Deliver) -> String {
    identity(&said.event_id, &said.op_id, &said.key)
}

/// Committed writes as rows; acknowledged ones where there is no ledger.
fn committed(history: &History) -> Vec<LedgerRow> {
    if let Some(ledger) = history.final_ledger() {
        return ledger.rows.to_vec();
    }
    let mut rows = Vec::new();
    for op in history.ops().iter().filter(|op| op.is_ok()) {
        for item in op.writes() {
            rows.push(LedgerRow {
                key: item.key,
                // A version that is not known is none that anything announces.
                ver: item.ver.unwrap_or(u64::MAX),
                op_id: op.op_id.unwrap_or_default(),
                value: item.value,
                ..LedgerRow::default()
            });
        }
    }
    rows
}

/// Whether an announcement may be of this commit: its version, or one that its operation never made.
fn announces(rows: &[LedgerRow], row: &LedgerRow, op_id: &str, key: &str, ver: u64) -> bool {
    let is_made = |ver: u64| rows.iter().any(|r| r.op_id == op_id && r.key == key && r.ver == ver);
    row.op_id == op_id && row.key == key && (row.ver == ver || !is_made(ver))
}

fn version(item: &ReadItem) -> Option<u64> {
    if item.ver.is_none() && item.value.is_null() { Some(0) } else { item.ver }
}

fn is_db(item: &ReadItem) -> bool {
    item.source != Some(Source::Cache)
}

fn ok_ops(history: &History) -> Vec<&Operation> {
    history.ops().iter().filter(|op| op.is_ok()).collect()
}

fn no_ghost(history: &History) -> bool {
    let all = live(history).into_iter().chain(log(history).unwrap_or_default());
    let failed = |said: &Deliver| {
        let own = |op: &&Operation| op.op_id.as_ref() == Some(&said.op_id);
        history.ops().iter().filter(own).any(|op| matches!(op.outcome, Outcome::Fail(_)))
    };
    all.into_iter().any(|Got { said, .. }| match history.final_ledger() {
        Some(ledger) => !ledger.rows.iter().any(|row| row.op_id == said.op_id && row.key == said.key),
        None => failed(&said),
    })
}

fn no_early(history: &History) -> bool {
    live(history).iter().any(|got| {
        ok_ops(history).iter().any(|op| {
            let is_older = |item: &ReadItem| {
                item.key == got.said.key && is_db(item) && version(item).is_some_and(|ver| ver < got.said.ver)
            };
            op.invoke_index > got.place.0 && op.reads().iter().any(is_older)
        })
    })
}

fn no_loss(history: &History) -> bool {
    let rows = committed(history);
    let has_final = history.events().any(|event| event.body.f().starts_with("final_"));
    let is_recorded = !live(history).is_empty() || history.final_log().is_some();
    let is_delivered = |row: &LedgerRow| {
        received(history)
            .iter()
            .any(|got| announces(&rows, row, &got.said.op_id, &got.said.key, got.said.ver))
    };
    has_final && is_recorded && rows.iter().any(|row| !is_delivered(row))
}

/// Receipts that are the first of their event in their lane, ghosts left out.
fn firsts(history: &History) -> Vec<Got> {
    let is_ghost = |got: &Got| {
        let own = |row: &LedgerRow| row.op_id == got.said.op_id && row.key == got.said.key;
        history.final_ledger().is_some_and(|ledger| !ledger.rows.iter().any(own))
    };
    let all: Vec<Got> = received(history).into_iter().filter(|got| !is_ghost(got)).collect();
    let is_first = |got: &Got| {
        !all.iter().any(|other| {
            other.lane == got.lane && other.place < got.place && id_of(&other.said) == id_of(&got.said)
        })
    };
    all.iter().filter(|got| is_first(got)).cloned().collect()
}

fn per_key_order(history: &History) -> bool {
    let all = received(history);
    let is_torn = all.iter().any(|a| {
        all.iter().any(|b| {
            let (a, b) = (&a.said, &b.said);
            a.key == b.key && a.topic == b.topic && a.partition != b.partition
        })
    });
    let firsts = firsts(history);
    is_torn
        || firsts.iter().any(|a| {
            firsts.iter().any(|b| {
                a.lane == b.lane && a.place < b.place && a.said.key == b.said.key && a.said.ver > b.said.ver
            })
        })
}

fn global_order(history: &History) -> bool {
    let Some(ledger) = history.final_ledger() else {
        return false;
    };
    let commit = |got: &Got| {
        let own = |row: &&LedgerRow| row.op_id == got.said.op_id && row.key == got.said.key;
        let of_version = ledger.rows.iter().filter(own).find(|row| row.ver == got.said.ver);
        of_version.or_else(|| ledger.rows.iter().find(own)).and_then(|row| row.commit)
    };
    let firsts = firsts(history);
    firsts.iter().any(|a| {
        firsts.iter().any(|b| {
            let positions = (commit(a), commit(b));
            a.lane == b.lane && a.place < b.place && matches!(positions, (Some(a), Some(b)) if a > b)
        })
    })
}

fn no_dup(history: &History) -> bool {
    let twice = |all: &[Got], is_same: &dyn Fn(&Got, &Got) -> bool| {
        (0..all.len())
            .any(|a| (0..a).any(|b| is_same(&all[a], &all[b]) && id_of(&all[a].said) == id_of(&all[b].said)))
    };
    twice(&live(history), &|a, b| a.lane == b.lane) || twice(&log(history).unwrap_or_default(), &|_, _| true)
}

fn effect_once(history: &History) -> bool {
    let effects: Vec<Effect> = history.effects().map(|seen| seen.body).collect();
    let id = |effect: &Effect| identity(&effect.event_id, &effect.op_id, &effect.key);
    let is_doubled = (0..effects.len())
        .any(|a| (0..a).any(|b| effects[a].store == effects[b].store && id(&effects[a]) == id(&effects[b])));
    let rows = history.final_ledger().map(|ledger| ledger.rows).unwrap_or_default();
    let is_missing = effects.iter().any(|of_store| {
        rows.iter().any(|row| {
            !effects.iter().any(|effect| {
                effect.store == of_store.store && announces(rows, row, &effect.op_id, &effect.key, effect.ver)
            })
        })
    });
    is_doubled || is_missing
}

fn fidelity(history: &History) -> bool {
    let (rows, all) = (committed(history), received(history));
    let differ = |a: &_, b: &_| crosscheck_models::history::Scalar::contradicts(a, b);
    let is_wrong = all.iter().any(|Got { said, .. }| {
        rows.iter().any(|row| row.key == said.key && row.ver == said.ver && differ(&row.value, &said.value))
    });
    let is_two = all.iter().any(|a| {
        all.iter().any(|b| {
            a.said.key == b.said.key && a.said.ver == b.said.ver && differ(&a.said.value, &b.said.value)
        })
    });
    let is_known = |row: &LedgerRow| row.ver != u64::MAX;
    let is_misnamed = all.iter().any(|Got { said, .. }| {
        let own = |row: &&LedgerRow| row.op_id == said.op_id && row.key == said.key;
        let mut own_rows = rows.iter().filter(own);
        own_rows.clone().next().is_some_and(is_known) && own_rows.all(|row| row.ver != said.ver)
    });
    let is_gap = rows.iter().filter(|row| is_known(row)).any(|row| {
        let of_key = || all.iter().map(|got| &got.said).filter(|said| said.key == row.key);
        of_key().any(|said| said.ver < row.ver)
            && of_key().any(|said| said.ver > row.ver)
            && !of_key()
                .any(|said| said.ver == row.ver || announces(&rows, row, &said.op_id, &said.key, said.ver))
    });
    is_wrong || is_two || is_misnamed || is_gap
}

fn convergence(history: &History) -> bool {
    let (Some(sot), Some(copies)) = (history.final_sot(), history.final_cache()) else {
        return false;
    };
    let is_there =
        |row: &crosscheck_models::history::CopyRow| row.ver.unwrap_or(0) > 0 || !row.value.is_null();
    let is_wrong = copies.rows.iter().filter(|copy| is_there(copy)).any(|copy| {
        match sot.rows.iter().find(|row| row.key == copy.key) {
            Some(row) => copy.ver.is_some_and(|ver| ver != row.ver) || copy.value.contradicts(&row.value),
            None => true,
        }
    });
    let is_missing = copies.rows.iter().filter(|copy| copy.store != "cache").any(|of_store| {
        sot.rows.iter().filter(|row| row.ver > 0).any(|row| {
            !copies
                .rows
                .iter()
                .any(|copy| copy.store == of_store.store && copy.key == row.key && is_there(copy))
        })
    });
    is_wrong || is_missing
}

fn bounded_staleness(history: &History) -> bool {
    let rows = history.final_ledger().map(|ledger| ledger.rows);
    let proves = |op: &Operation, key: &str, above: u64| {
        let in_ledger = |ver: u64| {
            rows.is_none_or(|rows| {
                rows.iter().any(|r| Some(&r.op_id) == op.op_id.as_ref() && r.key == key && r.ver == ver)
            })
        };
        let wrote =
            op.writes().iter().any(|w| w.key == key && w.ver.is_some_and(|v| v > above && in_ledger(v)));
        let saw = op.reads().iter().any(|r| r.key == key && is_db(r) && r.ver.is_some_and(|v| v > above));
        wrote || saw
    };
    let ops = ok_ops(history);
    ops.iter().any(|reader| {
        reader.reads().iter().any(|item| {
            let Some(ver) = version(item) else {
                return false;
            };
            ops.iter().any(|op| {
                let by = op.complete_time().expect("an ok operation is complete");
                by + DELTA_NS < reader.invoke_time && proves(op, &item.key, ver)
            })
        })
    })
}

fn is_same_session(a: &Operation, b: &Operation) -> bool {
    a.process == b.process && a.session == b.session && a.invoke_index < b.invoke_index
}

fn monotonic_reads(history: &History) -> bool {
    let ops = ok_ops(history);
    let is_back = |a: &ReadItem, b: &ReadItem| {
        a.key == b.key && matches!((version(a), version(b)), (Some(before), Some(now)) if now < before)
    };
    let in_session = ops.iter().any(|a| {
        ops.iter()
            .filter(|b| is_same_session(a, b))
            .any(|b| a.reads().iter().any(|first| b.reads().iter().any(|second| is_back(first, second))))
    });
    let effects: Vec<Effect> = history.effects().map(|seen| seen.body).collect();
    let in_store = (0..effects.len()).any(|b| {
        (0..b).any(|a| {
            let (a, b) = (&effects[a], &effects[b]);
            a.store == b.store && a.key == b.key && a.ver > b.ver
        })
    });
    in_session || in_store
}

fn read_your_writes(history: &History) -> bool {
    let ops = ok_ops(history);
    ops.iter().any(|writer| {
        ops.iter().filter(|reader| is_same_session(writer, reader)).any(|reader| {
            writer.writes().iter().any(|write| {
                reader.reads().iter().any(|read| {
                    let versions = (write.ver, version(read));
                    write.key == read.key && matches!(versions, (Some(own), Some(seen)) if seen < own)
                })
            })
        })
    })
}

fn no_lost_update(history: &History) -> bool {
    let Some(ledger) = history.final_ledger() else {
        return false;
    };
    let rows = ledger.rows;
    let of_pairs = rows.iter().any(|new| {
        rows.iter().filter(|old| old.key == new.key && old.ver < new.ver).any(|old| {
            let is_unseen = new.base_ver.is_some_and(|base| base < old.ver);
            let sum = old.value.as_int().zip(new.delta).map(|(value, delta)| value + delta);
            let is_next = old.ver + 1 == new.ver;
            let is_wrong = is_next && sum.zip(new.value.as_int()).is_some_and(|(sum, value)| sum != value);
            is_unseen || is_wrong || old.op_id == new.op_id
        })
    });
    let sot = history.final_sot().map(|sot| sot.rows).unwrap_or_default();
    let of_ends = sot.iter().any(|end| {
        let chain: Vec<&LedgerRow> = rows.iter().filter(|row| row.key == end.key).collect();
        let (Some(last), Some(held)) = (chain.iter().max_by_key(|row| row.ver), end.value.as_int()) else {
            return false;
        };
        if last.ver != end.ver || last.delta.is_none() {
            return false;
        }
        if let Some(made) = last.value.as_int() {
            return made != held;
        }
        let is_whole = (1..=last.ver)
            .all(|ver| chain.iter().any(|row| row.ver == ver && row.delta.is_some() && row.value.is_null()));
        is_whole && chain.iter().filter_map(|row| row.delta).sum::<i64>() != held
    });
    of_pairs || of_ends
}

fn ack_durability(history: &History) -> bool {
    ok_ops(history).iter().any(|op| {
        op.writes().iter().any(|item| {
            let is_not_in_ledger = history.final_ledger().is_some_and(|ledger| {
                !ledger.rows.iter().any(|row| Some(&row.op_id) == op.op_id.as_ref() && row.key == item.key)
            });
            let held = |rows: &[crosscheck_models::history::SotRow]| {
                rows.iter().find(|row| row.key == item.key).map_or(0, |row| row.ver)
            };
            let is_undone =
                history.final_sot().is_some_and(|sot| item.ver.is_some_and(|ver| held(sot.rows) < ver));
            is_not_in_ledger || is_undone
        })
    })
}

/// Calls of three actors to two systems, and windows of faults in them.
fn calls() -> impl Strategy<Value = (History, Options)> {
    let system = || prop_oneof![Just("db".to_owned()), Just("broker".to_owned())];
    let text = prop_oneof![2 => Just("BEGIN"), 1 => Just("COMMIT"), 3 => Just("call")];
    let call = (0..3_u8, system(), 0..40_u64, 0..30_u64, text);
    let window = (system(), 0..50_u64, 1..20_u64);
    let calls = proptest::collection::vec(call, 0..8);
    (calls, proptest::collection::vec(window, 0..3)).prop_map(|(mut calls, windows)| {
        calls.sort_by_key(|(_, _, from, took, _)| from + took);
        let event = |(at, (actor, system, from, took, call)): (usize, (u8, String, u64, u64, &str))| {
            let actor = format!("a{actor}");
            let step = Step {
                actor: actor.clone(),
                system,
                since: Some(from),
                call: call.to_owned(),
                outcome: "ok".to_owned(),
                ..Step::default()
            };
            let (process, body) = (Process::Actor(actor.into()), EventBody::Step(Box::new(step)));
            Event { index: at as u64, time: from + took, process, kind: Kind::Ok, body, error: None }
        };
        let events = calls.into_iter().enumerate().map(event).collect();
        let header = Header { crosscheck: 1, ..Header::default() };
        let history = History::from_events(header, events).expect("it keeps the rules");
        let window = |(system, from_ns, took): (String, u64, u64)| FaultWindow {
            id: format!("{system}-cut"),
            system,
            from_ns,
            to_ns: from_ns + took,
        };
        let fault_windows = windows.into_iter().map(window).collect();
        (history, Options { stall_ns: 10, fault_windows, ..Options::default() })
    })
}

fn liveness(history: &History, options: &Options) -> bool {
    let meets = |from: u64, to: u64, other_from: u64, other_to: u64| from < other_to && other_from < to;
    let calls: Vec<(u64, u64, &Step)> =
        history.steps().filter_map(|(event, step)| Some((step.since?, event.time, step))).collect();
    let is_open = |at: usize, system: &str, before: u64| {
        let mut own = calls[..at].iter().filter(|(_, _, step)| step.actor == calls[at].2.actor);
        let last = own.rfind(|(_, _, step)| step.system == system && step.call != "call");
        last.is_some_and(|(_, begun, step)| step.call == "BEGIN" && *begun < before)
    };
    calls.iter().any(|(from, to, victim)| {
        let is_hit = options
            .fault_windows
            .iter()
            .any(|w| w.system == victim.system && meets(*from, *to, w.from_ns, w.to_ns));
        to - from > options.stall_ns
            && !is_hit
            && calls.iter().enumerate().any(|(at, (held_from, held_to, holder))| {
                holder.actor != victim.actor
                    && holder.system != victim.system
                    && is_open(at, &victim.system, *to)
                    && meets(*from, *to, *held_from, *held_to)
                    && options.fault_windows.iter().any(|w| {
                        w.system == holder.system
                            && meets(*held_from, *held_to, w.from_ns, w.to_ns)
                            && meets(*from, *to, w.from_ns, w.to_ns)
                    })
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn checkers_and_oracles_agree(history in random_history::history()) {
        let options = Options::default();
        for property in Property::ALL {
            let found = check(&history, property, &options);
            let expected = is_violated(&history, property);
            prop_assert_eq!(
                found.verdict == Verdict::Violated, expected, "{}: {:?}\n{}", property, found, history.to_text()
            );
            if expected {
                witness_laws::assert_witness_laws(&history, &found, &options);
            }
        }
    }

    #[test]
    fn liveness_and_its_oracle_agree((history, options) in calls()) {
        let found = check(&history, Property::Liveness, &options);
        let expected = liveness(&history, &options);
        prop_assert_eq!(found.verdict == Verdict::Violated, expected, "{:?}\n{}", options, history.to_text());
        if expected {
            witness_laws::assert_witness_laws(&history, &found, &options);
        }
    }
}
