//! One step: ask the gate, make the call, note what came of it.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crosscheck_models::history::{EventBody, Kind, Process, Step};

use crate::gate::{Decision, Gate, StepInfo, StepKind};
use crate::port::{PortError, System};
use crate::recorder::Recorder;

/// How much of a call or a result is kept in the history.
const TEXT_MAX: usize = 160;

/// Numbers an actor's steps, takes them through the gate, and records them.
#[derive(Debug)]
pub(crate) struct Stepper {
    gate: Arc<Gate>,
    recorder: Recorder,
    actor: Arc<str>,
    process: Process,
    count: AtomicU64,
    op_id: Mutex<Option<String>>,
}

/// What came of a call that the gate had a say in.
pub(crate) struct Answer<T> {
    pub(crate) result: Result<T, PortError>,
    /// Whether the request or the reply was lost on the way: the connection is then of no more use.
    pub(crate) lost: bool,
}

impl Stepper {
    pub(crate) fn new(gate: Arc<Gate>, recorder: Recorder, actor: Arc<str>) -> Self {
        let process = Process::Actor((&*actor).into());
        Stepper { gate, recorder, actor, process, count: AtomicU64::new(0), op_id: Mutex::new(None) }
    }

    pub(crate) fn actor(&self) -> &str {
        &self.actor
    }

    pub(crate) fn is_free(&self) -> bool {
        self.gate.is_free()
    }

    pub(crate) fn note_session(&self, session: String) {
        self.gate.note_session(&self.actor, session);
    }

    pub(crate) fn note_work(&self) {
        self.gate.note_work();
    }

    pub(crate) fn on_behalf_of(&self, op_id: Option<&str>) {
        *self.op_id.lock().expect("no code panics while it holds the operation's id") =
            op_id.map(str::to_owned);
    }

    pub(crate) fn observe(&self, body: EventBody) {
        self.gate.note_work();
        self.recorder.observe(&self.process, body);
    }

    fn info(&self, system: System, call: &str, kind: StepKind) -> StepInfo {
        let n = self.count.fetch_add(1, Ordering::Relaxed);
        StepInfo { actor: self.actor.clone(), n, system, call: shortened(call).into(), kind }
    }

    /// Passes a step that calls nothing: a point, an idle moment, the gap between operations.
    pub(crate) async fn pass(&self, system: System, name: &str, kind: StepKind) -> Decision {
        let info = self.info(system, name, kind);
        let decision = self.gate.enter(&info).await;
        if kind == StepKind::Point {
            self.record(&info, None, "ok", None);
        }
        decision
    }

    /// Takes a call through the gate.
    pub(crate) async fn call<T>(
        &self,
        system: System,
        call: &str,
        saw: impl FnOnce(&T) -> Option<String>,
        sending: impl Future<Output = Result<T, PortError>>,
    ) -> Answer<T> {
        let info = self.info(system, call, StepKind::Call);
        let decision = self.gate.enter(&info).await;
        let since = self.recorder.clock().now_ns();
        let lost = |what: &str| Err(PortError::unknown(system, format!("the {what} was lost")));
        match decision {
            Decision::Pass => {
                let result = sending.await;
                match &result {
                    Ok(value) => self.record(&info, Some(since), "ok", saw(value)),
                    Err(error) => self.record(&info, Some(since), &format!("error: {error}"), None),
                }
                Answer { result, lost: false }
            }
            Decision::LoseReply => {
                let result = sending.await;
                self.record(&info, Some(since), "lost-reply", result.as_ref().ok().and_then(saw));
                Answer { result: lost("reply"), lost: true }
            }
            Decision::LoseRequest => {
                self.record(&info, Some(since), "lost-request", None);
                Answer { result: lost("request"), lost: true }
            }
            Decision::Error => {
                self.record(&info, Some(since), "error: injected", None);
                let error = PortError::refused(system, "injected", "an error that the schedule asks for");
                Answer { result: Err(error), lost: false }
            }
        }
    }

    /// Records that this life of the actor ended.
    pub(crate) fn record_end(&self, outcome: &str) {
        let n = self.count.load(Ordering::Relaxed);
        let info = StepInfo {
            actor: self.actor.clone(),
            n,
            system: System::App,
            call: "end of this life".into(),
            kind: StepKind::Point,
        };
        self.record(&info, None, outcome, None);
    }

    fn record(&self, info: &StepInfo, since: Option<u64>, outcome: &str, saw: Option<String>) {
        let op_id = self.op_id.lock().expect("no code panics while it holds the operation's id").clone();
        let step = Step {
            actor: info.actor.to_string(),
            n: info.n,
            system: info.system.id().to_owned(),
            call: info.call.to_string(),
            outcome: shortened(outcome),
            since,
            op_id: op_id.map(Into::into),
            saw,
        };
        self.recorder.record(&self.process, Kind::Ok, EventBody::Step(Box::new(step)), None);
    }
}

/// The text on one line, cut where it grows too long.
pub(crate) fn shortened(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(TEXT_MAX + 4));
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > TEXT_MAX {
            let cut = (0..=TEXT_MAX).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            line.truncate(cut);
            line.push_str(" ..");
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_long_statement_is_cut_at_a_character() {
        assert_eq!(shortened("SELECT\n    1"), "SELECT 1");
        let long = shortened(&"ä".repeat(500));
        assert!(long.ends_with(" ..") && long.len() < 170, "{long}");
    }
}
