//! The steps of a history, by operation and by actor, and a step in words.

use std::collections::{BTreeSet, HashMap};

use super::line::{Line, Weight};
use crate::history::{Event, EventBody, History, Operation, Process, Step};

/// How much of a call a line holds.
const CALL_MAX: usize = 56;

/// A step and its event.
pub(super) type At<'h> = (&'h Event, &'h Step);

/// The steps, prepared for telling.
pub(super) struct Steps<'h> {
    pub(super) history: &'h History,
    pub(super) all: Vec<At<'h>>,
    of_op: HashMap<&'h str, Vec<At<'h>>>,
    /// The actor that works for a client process.
    actor_of: HashMap<&'h Process, &'h str>,
    /// Actors that work for operations.
    clients: BTreeSet<&'h str>,
    /// Actors that receive or apply events.
    consumers: BTreeSet<String>,
}

impl<'h> Steps<'h> {
    pub(super) fn of(history: &'h History) -> Steps<'h> {
        let mut steps = Steps {
            history,
            all: history.steps().collect(),
            of_op: HashMap::new(),
            actor_of: HashMap::new(),
            clients: BTreeSet::new(),
            consumers: BTreeSet::new(),
        };
        for (event, step) in &steps.all {
            if let Some(op_id) = &step.op_id {
                steps.of_op.entry(op_id).or_default().push((event, step));
                steps.clients.insert(&step.actor);
            }
        }
        for op in history.ops() {
            let own = op.op_id.as_deref().and_then(|id| steps.of_op.get(id)).and_then(|own| own.first());
            if let Some((_, step)) = own {
                steps.actor_of.entry(&op.process).or_insert(&step.actor);
            }
        }
        let received = history.delivers().map(|event| event.process);
        for process in received.chain(history.effects().map(|event| event.process)) {
            steps.consumers.insert(process.to_string());
        }
        steps
    }

    /// The steps made for an operation, in the order of the history.
    pub(super) fn of_op(&self, op_id: &str) -> &[At<'h>] {
        self.of_op.get(op_id).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether an actor moves events from one system to another: it is neither a client nor a consumer.
    pub(super) fn is_relay(&self, actor: &str) -> bool {
        !self.clients.contains(actor) && !self.consumers.contains(actor)
    }

    /// The name under which an operation's lines stand.
    pub(super) fn lane_of(&self, op: &Operation) -> String {
        let of_op = op.op_id.as_deref().and_then(|id| self.of_op(id).first());
        let actor =
            of_op.map(|(_, step)| step.actor.as_str()).or_else(|| self.actor_of.get(&op.process).copied());
        match (actor, &op.process) {
            (Some(actor), _) => actor.to_owned(),
            // A client that only reads is known by its number, if an actor has that number.
            (None, Process::Client(number)) => {
                let name = format!("client-{number}");
                if self.clients.contains(name.as_str()) { name } else { op.process.to_string() }
            }
            (None, Process::Actor(name)) => name.to_string(),
        }
    }

    /// The operation of that id.
    pub(super) fn operation(&self, op_id: &str) -> Option<&'h Operation> {
        self.history.ops().iter().find(|op| op.op_id.as_deref() == Some(op_id))
    }

    /// The crash that ends the life of an actor in which it made this step.
    pub(super) fn crash_after(&self, step: At<'h>) -> Option<At<'h>> {
        let (event, own) = step;
        let mut later = self.all.iter().filter(|(other, _)| other.index > event.index);
        later.find(|(_, other)| other.actor == own.actor && other.outcome == "crash").copied()
    }

    /// The last point that an actor passed before this event.
    pub(super) fn point_before(&self, (event, own): At<'h>) -> Option<&'h str> {
        let before = self.all.iter().rev().filter(|(other, _)| other.index < event.index);
        let mut of_actor = before.filter(|(_, other)| other.actor == own.actor);
        of_actor.next().filter(|(_, other)| other.system == "app").map(|(_, point)| point.call.as_str())
    }
}

/// Whether a text names this word, whole.
pub(super) fn mentions(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').any(|token| token == word)
}

/// Whether the call or its result names this word.
pub(super) fn names(step: &Step, word: &str) -> bool {
    mentions(&step.call, word) || step.saw.as_deref().is_some_and(|saw| mentions(saw, word))
}

/// What the call was, short.
pub(super) fn call(step: &Step) -> String {
    shortened(&step.call, CALL_MAX)
}

/// The call and what it saw.
pub(super) fn call_and_result(step: &Step) -> String {
    match (&step.saw, step.outcome.as_str()) {
        (Some(saw), "ok") => format!("{} -> {}", call(step), shortened(saw, CALL_MAX)),
        (None, "ok") => call(step),
        (_, "lost-reply") => format!("{} goes through, but the reply is lost", call(step)),
        (_, "lost-request") => format!("{} never arrives", call(step)),
        (_, outcome) => format!("{} ends in {}", call(step), shortened(outcome, CALL_MAX)),
    }
}

/// A crash, with the place where it struck.
pub(super) fn crash_line(steps: &Steps<'_>, crash: At<'_>, weight: Weight) -> Line {
    let (event, step) = crash;
    let place = steps.all.iter().find(|(other, _)| other.index == event.index);
    let point = place.and_then(|at| steps.point_before(*at));
    let text = point.map_or_else(|| "crashes".to_owned(), |point| format!("crashes at {point}"));
    Line::at(event, step.actor.clone(), text, weight)
}

/// A step with its span.
pub(super) fn whole_step(event: &Event) -> Option<Line> {
    let EventBody::Step(step) = &event.body else {
        return None;
    };
    let took_ms = step.since.map_or(0, |since| event.time.saturating_sub(since)) / 1_000_000;
    let text = format!("ends a call to {} that took {took_ms} ms: {}", step.system, call_and_result(step));
    Some(Line::at(event, step.actor.clone(), text, Weight::Proof))
}

pub(super) fn shortened(text: &str, length_max: usize) -> String {
    if text.chars().count() <= length_max {
        return text.to_owned();
    }
    let cut: String = text.chars().take(length_max).collect();
    format!("{} ..", cut.trim_end())
}
