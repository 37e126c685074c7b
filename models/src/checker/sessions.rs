//! What sessions saw, and how stale it was, as answers.

use serde_json::json;

use super::{Check, Seen, unproved};
use crate::foreign::OpHistory;
use crate::isolation::{Inference, ShapeError};
use crate::session::{self, Assumed, Circle, Guarantee, Sessions};
use crate::staleness::{self, StaleRead, StalenessOptions};
use crate::verdict::Verdict;

pub(super) fn of_sessions(
    history: &OpHistory,
    guarantee: Guarantee,
    inference: Inference,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Check, ShapeError> {
    let assumed = Assumed::of(history, inference);
    let Sessions { mut verdict, count, circle, either, garbage, mut reason, exercised } =
        session::sessions(history, guarantee, assumed, go_on)?;
    let seen = |kind, count, circle: &Circle| Seen {
        kind,
        count,
        witness: json!(circle),
        text: circle.text.clone(),
    };
    let mut anomalies = Vec::new();
    match circle.as_ref().map(|circle| (circle, session::verify_circle(history, guarantee, assumed, circle)))
    {
        Some((_, Err(error))) => (verdict, reason) = (Verdict::Unknown, unproved("witness", &error)),
        Some((circle, Ok(()))) => anomalies.push(seen(guarantee.name(), count, circle)),
        None => {}
    }
    let in_order = Assumed { has_session_order: true, ..assumed };
    let either = either.filter(|circle| session::verify_circle(history, guarantee, in_order, circle).is_ok());
    let mut also_seen: Vec<Seen> =
        either.iter().map(|circle| seen("monotonic-reads-or-monotonic-writes", 1, circle)).collect();
    if let Some((count, call)) = garbage {
        let line = history.ops()[history.calls()[call as usize].telling_op() as usize].line;
        let text = format!("line {line} read what nobody wrote: it is left out");
        also_seen.push(Seen {
            kind: "garbage-read",
            count,
            witness: json!({"calls": [call], "text": text}),
            text: vec![text],
        });
    }
    // What lacks one of its parts, PRAM is ruled out for, and all that is stronger.
    let also_not: &[&str] = match (verdict, guarantee) {
        (Verdict::Violated, Guarantee::Pram) => &["causal", "sequential", "linearizable"],
        (Verdict::Violated, Guarantee::WritesFollowReads) => &["causal", "sequential", "linearizable"],
        (Verdict::Violated, _) => &["PRAM", "causal", "sequential", "linearizable"],
        _ => &[],
    };
    // As the consistency models are called elsewhere.
    let model = if guarantee == Guarantee::Pram { "PRAM" } else { guarantee.name() };
    Ok(Check {
        checker: "",
        level: Some(model),
        verdict,
        anomalies,
        also_seen,
        not: if verdict == Verdict::Violated { vec![model] } else { Vec::new() },
        also_not: also_not.to_vec(),
        reason,
        exercised,
        certificate: None,
        sub_history: None,
    })
}

pub(super) fn of_staleness(
    history: &OpHistory,
    options: StalenessOptions,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Check, ShapeError> {
    let found = staleness::staleness(history, options, go_on)?;
    let (mut verdict, mut reason) = (found.verdict, found.reason);
    let seen = |kind, (count, stale): &(u64, StaleRead)| Seen {
        kind,
        count: *count,
        witness: json!(stale),
        text: stale.text.clone(),
    };
    let mut anomalies = Vec::new();
    let named = [("versions-behind", &found.by_versions), ("time-behind", &found.by_time)];
    for (kind, worst) in named.into_iter().filter_map(|(kind, worst)| Some((kind, worst.as_ref()?))) {
        match staleness::verify_stale_read(history, options, &worst.1) {
            Ok(()) => anomalies.push(seen(kind, worst)),
            Err(error) => reason = unproved("witness", &error),
        }
    }
    if verdict == Verdict::Violated && anomalies.is_empty() {
        verdict = Verdict::Unknown;
    }
    let is_new = anomalies.is_empty();
    let stale = found.stale.iter().filter(|_| is_new).map(|worst| seen("stale-read", worst)).collect();
    Ok(Check {
        checker: "",
        level: None,
        verdict,
        reason: reason.filter(|_| verdict != Verdict::Violated),
        anomalies,
        also_seen: stale,
        not: Vec::new(),
        also_not: Vec::new(),
        exercised: found.exercised,
        certificate: None,
        sub_history: None,
    })
}
