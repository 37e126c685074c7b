//! What every witness must keep, whatever found it.

use crosscheck_models::check::{Options, check};
use crosscheck_models::history::History;
use crosscheck_models::property::Property;
use crosscheck_models::verdict::{PropertyVerdict, Verdict, Witness};
use crosscheck_models::verify::{sub_history, verify};

/// The witness is confirmed, is a violating history by itself, and holds nothing that it could do without.
pub(crate) fn assert_witness_laws(history: &History, found: &PropertyVerdict, options: &Options) {
    let witness = found.witness.as_ref().expect("a violation has a witness");
    verify(history, witness, options)
        .unwrap_or_else(|reason| panic!("{reason}: {witness:?}\n{}", history.to_text()));
    let alone = judge(history, witness, options).expect("the witness is a history");
    assert_eq!(alone, Verdict::Violated, "the witness alone: {witness:?}\n{}", history.to_text());
    assert!(witness.story.len() <= 10, "{witness}");
    for smaller in smaller(history, witness) {
        // Half an operation is no history: then dropping it means nothing.
        if let Some(verdict) = judge(history, &smaller, options) {
            assert_ne!(
                verdict,
                Verdict::Violated,
                "{smaller:?} is enough of\n{witness:?}\n{}",
                history.to_text()
            );
        }
    }
}

fn judge(history: &History, witness: &Witness, options: &Options) -> Option<Verdict> {
    let alone = sub_history(history, witness).ok()?;
    Some(check(&alone, witness.property, options).verdict)
}

/// The witness without one of its operations, other events, or rows.
fn smaller(history: &History, witness: &Witness) -> Vec<Witness> {
    let whole_ops = history.ops().iter().map(|op| op.event_indexes().collect::<Vec<_>>());
    let whole_ops: Vec<Vec<u64>> =
        whole_ops.filter(|op| op.iter().all(|i| witness.events.contains(i))).collect();
    let without = |dropped: &[u64]| Witness {
        events: witness.events.iter().copied().filter(|index| !dropped.contains(index)).collect(),
        rows: witness.rows.iter().copied().filter(|(index, _)| !dropped.contains(index)).collect(),
        ..witness.clone()
    };
    let without_row = |at: usize| {
        let mut rows = witness.rows.clone();
        rows.remove(at);
        Witness { rows, ..witness.clone() }
    };
    let needed = (0..witness.rows.len()).filter(|at| !is_exempt(history, witness, witness.rows[*at].0));
    let ops = whole_ops.iter().map(|op| without(op));
    let events = witness.events.iter().map(|index| without(&[*index]));
    ops.chain(events).chain(needed.map(without_row)).collect()
}

/// A row of the source of truth that is less than it must be would be a violation by its absence, too.
fn is_exempt(history: &History, witness: &Witness, event: u64) -> bool {
    let is_sot = history.final_sot().is_some_and(|sot| sot.event.index == event);
    match witness.property {
        Property::Convergence | Property::AckDurability => is_sot,
        // An event of an operation that was applied twice would else have a wrong version.
        Property::Fidelity => witness.rows.len() > 1,
        _ => false,
    }
}
