//! A second opinion on witnesses, which shares no code with the checkers.
//!
//! A checker finds a violation fast; what is here takes only the events that the witness names, and walks the
//! definition of the property over them. Where a witness claims that something is absent, the whole history is
//! searched for it, line by line.

use crate::check::Options;
use crate::history::{Event, EventBody, Header, History, HistoryError};
use crate::property::Property;
use crate::verdict::Witness;
use exhibits::Exhibits;

mod exhibits;
mod pipeline;
mod state;

/// Confirms that the witness proves a violation of its property in this history.
///
/// # Errors
/// What the witness fails to show.
pub fn verify(history: &History, witness: &Witness, options: &Options) -> Result<(), String> {
    let shown = Exhibits::of(history, witness)?;
    let is_proven = match witness.property {
        Property::NoGhost => pipeline::is_ghost(&shown),
        Property::NoEarly => pipeline::is_early(&shown),
        Property::NoLoss => pipeline::is_lost(&shown),
        Property::PerKeyOrder => pipeline::is_out_of_order(&shown),
        Property::GlobalOrder => pipeline::is_inverted(&shown),
        Property::NoDup => pipeline::is_duplicate(&shown),
        Property::EffectOnce => pipeline::is_effect_not_once(&shown),
        Property::Fidelity => pipeline::is_unfaithful(&shown),
        Property::Convergence => state::is_diverged(&shown),
        Property::BoundedStaleness => {
            let delta_ns = options.delta_ns.or(history.header().delta_ns);
            state::is_stale(&shown, delta_ns.ok_or("no bound was given")?)
        }
        Property::MonotonicReads => state::is_going_back(&shown),
        Property::ReadYourWrites => state::is_older_than_own_write(&shown),
        Property::NoLostUpdate => state::is_lost_update(&shown),
        Property::AckDurability => state::is_undone_acknowledgement(&shown),
        Property::Liveness => state::is_stalled(&shown, options),
        Property::AtomicVisibility | Property::Invariant => {
            return Err(format!("{} has no checker yet", witness.property));
        }
    };
    if is_proven {
        Ok(())
    } else {
        Err(format!("its events do not show that {} is violated", witness.property))
    }
}

/// The history that holds only what the witness names: its events, and of final reads its rows.
///
/// In it the property is violated too. Take an operation, an observation, a row or a final read away and it is
/// not, but for rows whose absence is no better: a row of the source of truth that a copy or an acknowledgement
/// contradicts (nothing there contradicts it too), and where an operation was applied twice to the key of a
/// `fidelity` witness, its rows of the ledger.
///
/// # Errors
/// If the witness names an event that is not there, or half of an operation.
pub fn sub_history(history: &History, witness: &Witness) -> Result<History, HistoryError> {
    let mut events: Vec<Event> = Vec::with_capacity(witness.events.len());
    for index in &witness.events {
        let Some(event) = usize::try_from(*index).ok().and_then(|at| history.event(at)) else {
            let message = format!("the witness names event {index}, which is not there");
            return Err(HistoryError { line: 1, message });
        };
        let named: Vec<usize> =
            witness.rows.iter().filter(|(event, _)| event == index).map(|(_, row)| *row).collect();
        let body = only_rows(&event.body, &named);
        let Event { time, kind, error, ref process, .. } = *event;
        events.push(Event { index: events.len() as u64, time, process: *process, kind, body, error });
    }
    History::from_events(Header { ..history.header().clone() }, events)
}

fn only_rows(body: &EventBody, named: &[usize]) -> EventBody {
    fn pick<Row: Clone>(rows: &[Row], named: &[usize]) -> Vec<Row> {
        named.iter().filter_map(|at| rows.get(*at).cloned()).collect()
    }
    match body {
        EventBody::FinalSot(rows) => EventBody::FinalSot(pick(rows, named)),
        EventBody::FinalLedger(rows) => EventBody::FinalLedger(pick(rows, named)),
        EventBody::FinalLog(rows) => EventBody::FinalLog(pick(rows, named)),
        EventBody::FinalCache(rows) => EventBody::FinalCache(pick(rows, named)),
        EventBody::FinalOutbox(rows) => EventBody::FinalOutbox(pick(rows, named)),
        EventBody::Write(_)
        | EventBody::Read(_)
        | EventBody::Txn(_)
        | EventBody::Deliver(_)
        | EventBody::Effect(_)
        | EventBody::Step(_) => body.clone(),
    }
}
