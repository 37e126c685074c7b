//! From a run to verdicts: what the design claims, judged on a history in which everything was exercised that
//! could have gone wrong.

use crosscheck_models::check::{FaultWindow, Options, check_verified};
use crosscheck_models::history::{History, HistoryError};
use crosscheck_models::property::Property;
use crosscheck_models::verdict::{PropertyVerdict, Verdict};

use crate::runner::{Doubt, FaultRecord, RunRecord};

/// The verdicts on one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The worst verdict of the claims.
    pub verdict: Verdict,
    /// Every property that was asked for, and whether it is a claim.
    pub properties: Vec<Judged>,
    /// Why the run as a whole is unknown, where it is.
    pub reason: Option<String>,
}

/// One property's verdict on one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Whether the design claims it.
    pub claimed: bool,
    /// The verdict; unknown where the run did not exercise it.
    pub verdict: PropertyVerdict,
}

/// What the checkers need to know of a run beside its history.
pub fn options(faults: &[FaultRecord], stuck: &[String]) -> Options {
    let fault_windows = faults
        .iter()
        .map(|fault| FaultWindow {
            id: fault.on.fault.clone(),
            system: fault.system().to_owned(),
            from_ns: fault.from_ns,
            to_ns: fault.to_ns,
        })
        .collect();
    Options { fault_windows, stuck: stuck.to_vec(), ..Options::default() }
}

/// The history of a run, checked for its form.
///
/// # Errors
/// If the harness itself wrote what is no history.
pub fn history(record: &RunRecord) -> Result<History, HistoryError> {
    History::from_events(record.header.clone(), record.events.clone())
}

/// Judges the claims and, as notes, the other properties.
pub fn judge(record: &RunRecord, history: &History, claims: &[Property], notes: &[Property]) -> Judgement {
    let options = options(&record.faults, &record.stuck);
    let claimed = claims.iter().map(|property| (true, *property));
    let noted = notes.iter().filter(|note| !claims.contains(note)).map(|property| (false, *property));
    let mut properties: Vec<Judged> = claimed
        .chain(noted)
        .map(|(claimed, property)| Judged {
            claimed,
            verdict: doubted(check_verified(history, property, &options).strictly(), &record.doubt),
        })
        .collect();
    properties.sort_by_key(|judged| judged.verdict.property);
    let claims = properties.iter().filter(|judged| judged.claimed);
    let verdict = claims.map(|judged| judged.verdict.verdict).max().unwrap_or(Verdict::Unknown);
    let reason = record.doubt.reason().filter(|_| verdict == Verdict::Unknown).map(str::to_owned);
    Judgement { verdict, properties, reason }
}

/// What a doubt about the run leaves of a verdict.
fn doubted(mut verdict: PropertyVerdict, doubt: &Doubt) -> PropertyVerdict {
    let reason = match doubt {
        Doubt::None => return verdict,
        // What was seen was seen: a violation stands.
        Doubt::Incomplete(_) if verdict.verdict == Verdict::Violated => return verdict,
        // What has not arrived may be late and not lost.
        Doubt::Incomplete(reason) | Doubt::StillMoving(reason) => reason.clone(),
    };
    if verdict.verdict != Verdict::Unknown {
        verdict.verdict = Verdict::Unknown;
        verdict.witness = None;
        verdict.violations = 0;
        verdict.reason = Some(reason);
    }
    verdict
}
