//! The events and rows that a witness names, by their kind.

use std::borrow::Cow;

use crate::history::{
    CopyRow, Deliver, Effect, Event, EventBody, History, LedgerRow, Observed, Operation, Process, SotRow,
    Step,
};
use crate::verdict::Witness;

/// What the witness puts forward, in the order of the history.
pub(super) struct Exhibits<'h> {
    pub(super) history: &'h History,
    pub(super) ops: Vec<&'h Operation>,
    pub(super) received: Vec<Received<'h>>,
    pub(super) effects: Vec<Observed<Effect>>,
    pub(super) steps: Vec<(&'h Event, &'h Step)>,
    pub(super) sot_rows: Vec<&'h SotRow>,
    pub(super) ledger_rows: Vec<&'h LedgerRow>,
    pub(super) copy_rows: Vec<&'h CopyRow>,
}

/// An event that came out of the pipeline: received live, or found in the log.
pub(super) struct Received<'h> {
    pub(super) said: Cow<'h, Deliver>,
    /// When and by whom it was received live; `None` for a row of the log.
    pub(super) live: Option<Receipt>,
}

/// The event of a live receipt.
pub(super) struct Receipt {
    pub(super) index: u64,
    pub(super) time: u64,
    pub(super) process: Process,
}

impl<'h> Exhibits<'h> {
    pub(super) fn of(history: &'h History, witness: &Witness) -> Result<Self, String> {
        let mut shown = Exhibits {
            history,
            ops: Vec::new(),
            received: Vec::new(),
            effects: Vec::new(),
            steps: Vec::new(),
            sot_rows: Vec::new(),
            ledger_rows: Vec::new(),
            copy_rows: Vec::new(),
        };
        for index in &witness.events {
            let event = usize::try_from(*index).ok().and_then(|at| history.event(at));
            let event = event.ok_or_else(|| format!("it names event {index}, which is not there"))?;
            shown.take_event(event);
        }
        for (index, row) in &witness.rows {
            if !witness.events.contains(index) {
                return Err(format!("it names a row of event {index}, but not the event"));
            }
            shown.take_row(*index, *row)?;
        }
        let is_named = |op: &Operation| op.event_indexes().all(|index| witness.events.contains(&index));
        let (Some(first), Some(last)) = (witness.events.iter().min(), witness.events.iter().max()) else {
            return Ok(shown);
        };
        let near = history.ops().iter().filter(|op| (*first..=*last).contains(&op.invoke_index));
        shown.ops = near.filter(|op| is_named(op)).collect();
        Ok(shown)
    }

    fn take_event(&mut self, event: Cow<'h, Event>) {
        if let Cow::Borrowed(event @ Event { body: EventBody::Step(step), .. }) = event {
            self.steps.push((event, step));
            return;
        }
        let observed = (event.index, event.time, event.process);
        match &event.body {
            EventBody::Deliver(said) => {
                let (index, time, process) = observed;
                self.received.push(Received::live(Observed { index, time, process, body: *said }));
            }
            EventBody::Effect(effect) => {
                let (index, time, process) = observed;
                self.effects.push(Observed { index, time, process, body: *effect });
            }
            EventBody::Step(_)
            | EventBody::Write(_)
            | EventBody::Read(_)
            | EventBody::Txn(_)
            | EventBody::FinalSot(_)
            | EventBody::FinalLedger(_)
            | EventBody::FinalLog(_)
            | EventBody::FinalCache(_)
            | EventBody::FinalOutbox(_) => {}
        }
    }

    fn take_row(&mut self, index: u64, row: usize) -> Result<(), String> {
        let missing = || format!("it names row {row} of event {index}, which is not there");
        let event = usize::try_from(index).ok().and_then(|at| self.history.kept(at));
        match event.map(|event| &event.body) {
            Some(EventBody::FinalSot(rows)) => self.sot_rows.push(rows.get(row).ok_or_else(missing)?),
            Some(EventBody::FinalLedger(rows)) => self.ledger_rows.push(rows.get(row).ok_or_else(missing)?),
            Some(EventBody::FinalCache(rows)) => self.copy_rows.push(rows.get(row).ok_or_else(missing)?),
            Some(EventBody::FinalLog(rows)) => {
                let said = rows.get(row).ok_or_else(missing)?;
                self.received.push(Received { said: Cow::Borrowed(said), live: None });
            }
            _ => return Err(missing()),
        }
        Ok(())
    }

    /// Whether any live receipt was recorded.
    pub(super) fn has_live(&self) -> bool {
        self.history.delivers().next().is_some()
    }

    /// All that came out: the live receipts, or where there are none, the log.
    pub(super) fn all_received(&self) -> Vec<Received<'h>> {
        if self.has_live() {
            return self.history.delivers().map(Received::live).collect();
        }
        let log = self.history.final_log().map(|log| log.rows).unwrap_or_default();
        log.iter().map(|said| Received { said: Cow::Borrowed(said), live: None }).collect()
    }
}

impl Received<'_> {
    fn live(Observed { index, time, process, body }: Observed<Deliver>) -> Self {
        Received { said: Cow::Owned(body), live: Some(Receipt { index, time, process }) }
    }

    /// Both came to the same consumer, or lie in the same partition.
    pub(super) fn is_in_lane_of(&self, other: &Received<'_>) -> bool {
        match (&self.live, &other.live) {
            (Some(a), Some(b)) => a.process == b.process,
            (None, None) => {
                self.said.topic == other.said.topic && self.said.partition == other.said.partition
            }
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    pub(super) fn is_before(&self, other: &Received<'_>) -> bool {
        match (&self.live, &other.live) {
            (Some(a), Some(b)) => (a.time, a.index) < (b.time, b.index),
            (None, None) => self.said.offset < other.said.offset,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    pub(super) fn is_same_event_as(&self, other: &Received<'_>) -> bool {
        match (&self.said.event_id, &other.said.event_id) {
            (Some(a), Some(b)) => a == b,
            (None, None) => self.said.op_id == other.said.op_id && self.said.key == other.said.key,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}
