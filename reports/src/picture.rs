//! What the picture of a witness shows: which operations, steps and observations, in which lanes, when.
//!
//! Drawing is left to `html::drawing`; here is only what is drawn.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crosscheck_models::history::{
    Deliver, Event, EventBody, History, Kind, Operation, Outcome, Process, Step, Text,
};
use crosscheck_models::property::Property;
use crosscheck_models::verdict::{StoryLine, Witness};

use crate::run::{FaultWindow, SavedRun};
use crate::statistics;
use crate::wording::shortened;

/// Lanes over time.
pub(crate) struct Picture<'a> {
    /// From top to bottom: clients, then actors, then systems.
    pub(crate) lanes: Vec<Lane>,
    /// In order of their beginnings.
    pub(crate) marks: Vec<Mark>,
    /// The faults that overlap what is shown.
    pub(crate) faults: Vec<&'a FaultWindow>,
}

/// A horizontal lane. The order of the variants is the order from top to bottom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// A client process.
    Client(u64),
    /// A relay, a consumer, or another named part of the design.
    Actor(String),
    /// A system by its name: database, cache, log, or a projection.
    System(String),
}

/// A box in a lane.
pub(crate) struct Mark {
    pub(crate) lane: Lane,
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    pub(crate) shape: Shape,
    /// A few words beside the box.
    pub(crate) label: String,
    /// Everything, for whoever asks.
    pub(crate) detail: String,
    /// Whether it is one of the events that prove the violation.
    pub(crate) proof: bool,
    /// The lines of the story that tell it, from 1.
    pub(crate) told: Vec<usize>,
    /// The lane of the system that it calls, or receives from.
    pub(crate) touches: Option<Lane>,
}

/// What a box stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A client operation, from invocation to completion, with its outcome.
    Operation(Kind),
    /// A call to a system.
    Step,
    /// A step in which the actor crashed, or whose request or reply was lost.
    Broken,
    /// Something seen at one moment.
    Observation,
    /// What should be there and is not.
    Missing,
}

/// How long a label may be, in characters.
const LABEL_LENGTH_MAX: usize = 52;

impl<'a> Picture<'a> {
    /// The picture of one witness.
    pub(crate) fn of(run: &'a SavedRun, witness: &Witness) -> Picture<'a> {
        let scene = Scene::of(run, witness);
        let mut marks = scene.operations(&run.history);
        marks.extend(scene.shown(&run.history).filter_map(|event| scene.observation(&event)));
        marks.extend(scene.untied_lines(witness, &marks));
        marks.extend(missing(run, witness));
        marks.sort_by_key(|mark| (mark.from_ns, mark.to_ns));
        let lanes: BTreeSet<Lane> =
            marks.iter().flat_map(|mark| std::iter::once(&mark.lane).chain(&mark.touches)).cloned().collect();
        let from_ns = marks.iter().map(|mark| mark.from_ns).min().unwrap_or(0);
        let to_ns = marks.iter().map(|mark| mark.to_ns).max().unwrap_or(0);
        let faults =
            run.faults.iter().filter(|fault| fault.from_ns <= to_ns && fault.to_ns >= from_ns).collect();
        Picture { lanes: lanes.into_iter().collect(), marks, faults }
    }

    /// From the first to the last moment shown.
    pub(crate) fn span_ns(&self) -> (u64, u64) {
        (
            self.marks.iter().map(|mark| mark.from_ns).min().unwrap_or(0),
            self.marks.iter().map(|mark| mark.to_ns).max().unwrap_or(0),
        )
    }
}

impl Lane {
    /// The name beside the lane.
    pub(crate) fn name(&self) -> String {
        match self {
            Lane::Client(number) => format!("client {number}"),
            Lane::Actor(name) | Lane::System(name) => name.clone(),
        }
    }

    /// The lane of a process.
    fn of_process(process: &Process) -> Lane {
        match process {
            Process::Client(number) => Lane::Client(*number),
            Process::Actor(name) => Lane::named(name),
        }
    }

    /// The lane that a story or a step means by a name: `client 0` and `client-0` are the same process.
    fn named(name: &str) -> Lane {
        let client = name.strip_prefix("client").map(|rest| rest.trim_start_matches([' ', '-']));
        if let Some(Ok(number)) = client.map(str::parse) {
            return Lane::Client(number);
        }
        match name {
            "db" | "database" | "ledger" | "outbox" | "source of truth" => Lane::system("database"),
            "broker" | "log" | "topic" => Lane::system("log"),
            "cache" => Lane::system("cache"),
            _ => Lane::Actor(name.to_owned()),
        }
    }

    fn system(name: &str) -> Lane {
        Lane::System(name.to_owned())
    }
}

/// What a witness asks to be shown.
struct Scene<'w> {
    proof: BTreeSet<u64>,
    told: BTreeMap<u64, Vec<usize>>,
    op_ids: BTreeSet<&'w str>,
    rows: BTreeMap<u64, Vec<usize>>,
    story: &'w [StoryLine],
}

impl<'w> Scene<'w> {
    fn of(run: &'w SavedRun, witness: &'w Witness) -> Scene<'w> {
        let mut told: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (position, line) in witness.story.iter().enumerate() {
            if let Some(index) = line.index {
                told.entry(index).or_default().push(position + 1);
            }
        }
        let mut rows: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, row) in &witness.rows {
            rows.entry(*index).or_default().push(*row);
        }
        let mut scene = Scene {
            proof: witness.events.iter().copied().collect(),
            told,
            op_ids: witness.op_ids.iter().map(String::as_str).collect(),
            rows,
            story: &witness.story,
        };
        // A step that is told is shown within its operation.
        let around: Vec<Text> = scene.shown(&run.history).filter_map(|event| op_id(&event.body)).collect();
        scene.op_ids.extend(around.iter().map(|id| id.as_str()));
        scene
    }

    /// What is said beside a mark: the words of the story where one line of it tells the mark.
    fn label(&self, told: &[usize], own: &str) -> String {
        let words = match told {
            [number] => self.story.get(number - 1).map_or(own, |line| line.text.as_str()),
            _ => own,
        };
        shortened(words, LABEL_LENGTH_MAX)
    }

    fn concerns(&self, index: u64) -> bool {
        self.proof.contains(&index) || self.told.contains_key(&index)
    }

    /// The events concerned, in the order of the history.
    fn shown<'h>(&self, history: &'h History) -> impl Iterator<Item = Cow<'h, Event>> + use<'h> {
        let concerned: BTreeSet<u64> = self.proof.iter().chain(self.told.keys()).copied().collect();
        let at = move |index| usize::try_from(index).ok().and_then(|at| history.event(at));
        concerned.into_iter().filter_map(at)
    }

    fn told(&self, index: u64) -> Vec<usize> {
        self.told.get(&index).cloned().unwrap_or_default()
    }

    /// The client operations concerned, each one box.
    fn operations(&self, history: &History) -> Vec<Mark> {
        let end_ns = statistics::end_ns(history);
        let concerned = |operation: &&Operation| {
            operation.op_id.as_deref().is_some_and(|id| self.op_ids.contains(id))
                || operation.event_indexes().any(|index| self.concerns(index))
        };
        history.ops().iter().filter(concerned).map(|operation| self.operation(operation, end_ns)).collect()
    }

    fn operation(&self, operation: &Operation, end_ns: u64) -> Mark {
        let mut told: Vec<usize> = operation.event_indexes().flat_map(|index| self.told(index)).collect();
        told.sort_unstable();
        let label = operation_label(operation);
        let outcome = match &operation.outcome {
            Outcome::Ok => "ok".to_owned(),
            Outcome::Fail(reason) => format!("failed: {reason}"),
            Outcome::Info(reason) => format!("outcome unknown: {reason}"),
        };
        Mark {
            lane: Lane::of_process(&operation.process),
            from_ns: operation.invoke_time,
            to_ns: operation.complete_time().unwrap_or(end_ns),
            shape: Shape::Operation(match &operation.outcome {
                Outcome::Ok => Kind::Ok,
                Outcome::Fail(_) => Kind::Fail,
                Outcome::Info(_) => Kind::Info,
            }),
            detail: format!("{label}, {outcome}"),
            label: self.label(&told, &label),
            proof: operation.event_indexes().any(|index| self.proof.contains(&index)),
            told,
            touches: None,
        }
    }

    /// What an event that is no operation adds.
    fn observation(&self, event: &Event) -> Option<Mark> {
        let seen = self.seen(event)?;
        Some(Mark {
            lane: seen.lane,
            from_ns: seen.since.unwrap_or(event.time).min(event.time),
            to_ns: event.time,
            shape: seen.shape,
            label: self.label(&self.told(event.index), &seen.text),
            detail: seen.text,
            proof: self.proof.contains(&event.index),
            told: self.told(event.index),
            touches: seen.touches,
        })
    }

    /// The event in terms of a lane; `None` for the ends of an operation, which is a box of its own.
    fn seen(&self, event: &Event) -> Option<Seen> {
        let at_end = |lane: Lane, name: &str, rows: Vec<String>| {
            let text = if rows.is_empty() { name.to_owned() } else { format!("{name}: {}", rows.join(", ")) };
            Seen { lane, since: None, shape: Shape::Observation, text, touches: None }
        };
        let database = || Lane::system("database");
        Some(match &event.body {
            EventBody::Step(step) => step_seen(step),
            EventBody::Deliver(deliver) => Seen {
                lane: Lane::of_process(&event.process),
                since: None,
                shape: Shape::Observation,
                text: format!("receives {}", delivery(deliver)),
                touches: Some(Lane::system("log")),
            },
            EventBody::Effect(effect) => Seen {
                lane: Lane::of_process(&event.process),
                since: None,
                shape: Shape::Observation,
                text: format!("applies {} v{} to {}", effect.key, effect.ver, effect.store),
                touches: None,
            },
            EventBody::FinalSot(rows) => at_end(
                database(),
                "final state",
                self.rows(event, rows, |row| format!("{} is v{}", row.key, row.ver)),
            ),
            EventBody::FinalLedger(rows) => at_end(
                database(),
                "final ledger",
                self.rows(event, rows, |row| format!("{} v{} committed", row.key, row.ver)),
            ),
            EventBody::FinalLog(rows) => {
                at_end(Lane::system("log"), "final log", self.rows(event, rows, delivery))
            }
            EventBody::FinalCache(rows) => {
                let picked = self.rows(event, rows, |row| match row.ver {
                    Some(ver) => format!("{} is v{ver}", row.key),
                    None => format!("{} is absent", row.key),
                });
                at_end(Lane::system("cache"), "final copies", picked)
            }
            EventBody::FinalOutbox(rows) => at_end(
                database(),
                "final outbox",
                self.rows(event, rows, |row| format!("id {} {} v{}", row.id, row.key, row.ver)),
            ),
            EventBody::Write(_) | EventBody::Read(_) | EventBody::Txn(_) => {
                return None;
            }
        })
    }

    /// The rows of a final read that the witness points at, in words.
    fn rows<Row>(&self, event: &Event, rows: &[Row], say: impl Fn(&Row) -> String) -> Vec<String> {
        let positions = self.rows.get(&event.index).map(Vec::as_slice).unwrap_or_default();
        positions.iter().filter_map(|position| rows.get(*position)).map(say).collect()
    }

    /// Lines of the story that have a time but no event of their own.
    fn untied_lines(&self, witness: &Witness, marks: &[Mark]) -> Vec<Mark> {
        let shown: BTreeSet<usize> = marks.iter().flat_map(|mark| mark.told.iter().copied()).collect();
        witness
            .story
            .iter()
            .enumerate()
            .filter(|(position, _)| !shown.contains(&(position + 1)))
            .filter_map(|(position, line)| {
                let time = line.time?;
                Some(Mark {
                    lane: Lane::named(&line.who),
                    from_ns: time,
                    to_ns: time,
                    shape: Shape::Observation,
                    label: shortened(&line.text, LABEL_LENGTH_MAX),
                    detail: line.text.clone(),
                    proof: false,
                    told: vec![position + 1],
                    touches: None,
                })
            })
            .collect()
    }
}

/// An event in terms of a lane.
struct Seen {
    lane: Lane,
    since: Option<u64>,
    shape: Shape,
    text: String,
    touches: Option<Lane>,
}

fn step_seen(step: &Step) -> Seen {
    let lane = Lane::named(&step.actor);
    let touches = match step.system.as_str() {
        "app" => None,
        system => Some(Lane::named(system)).filter(|system| *system != lane),
    };
    let broken = step.outcome != "ok";
    let mut text = step.call.clone();
    if broken {
        text = format!("{}: {text}", step.outcome);
    }
    if let Some(saw) = &step.saw {
        text = format!("{} → {saw}", shortened(&text, LABEL_LENGTH_MAX - 20));
    }
    Seen { lane, since: step.since, shape: if broken { Shape::Broken } else { Shape::Step }, text, touches }
}

/// For a lost event: the place where it should have arrived, at the end of the run.
fn missing(run: &SavedRun, witness: &Witness) -> Option<Mark> {
    if witness.property != Property::NoLoss {
        return None;
    }
    let lost = |event: &Deliver| witness.op_ids.iter().any(|id| *id == event.op_id);
    let in_log = run.history.events().any(|event| match &event.body {
        EventBody::FinalLog(rows) => rows.iter().any(lost),
        _ => false,
    });
    let what = witness.key.as_deref().map_or("the event".to_owned(), |key| format!("the event of {key}"));
    let consumer = run.history.delivers().next().map(|event| Lane::of_process(&event.process));
    let (lane, label) = match (in_log, consumer) {
        (true, Some(consumer)) => (consumer, format!("{what} was never received")),
        (true, None) => (Lane::system("log"), format!("{what} was never received")),
        (false, _) => (Lane::system("log"), format!("{what} never arrives")),
    };
    let end_ns = statistics::end_ns(&run.history);
    Some(Mark {
        lane,
        from_ns: end_ns,
        to_ns: end_ns,
        shape: Shape::Missing,
        detail: label.clone(),
        label,
        proof: true,
        told: Vec::new(),
        touches: None,
    })
}

fn op_id(body: &EventBody) -> Option<Text> {
    match body {
        EventBody::Write(write) => Some(write.op_id),
        EventBody::Txn(txn) => Some(txn.op_id),
        EventBody::Deliver(deliver) => Some(deliver.op_id),
        EventBody::Effect(effect) => Some(effect.op_id),
        EventBody::Step(step) => step.op_id,
        EventBody::Read(_)
        | EventBody::FinalSot(_)
        | EventBody::FinalLedger(_)
        | EventBody::FinalLog(_)
        | EventBody::FinalCache(_)
        | EventBody::FinalOutbox(_) => None,
    }
}

/// An operation in a few words.
fn operation_label(operation: &Operation) -> String {
    let version = |ver: Option<u64>| ver.map(|ver| format!(" v{ver}")).unwrap_or_default();
    match (operation.reads(), operation.writes()) {
        ([], [item]) => match item.delta {
            Some(delta) => format!("add {delta} to {}{}", item.key, version(item.ver)),
            None => format!("write {} = {}{}", item.key, item.value, version(item.ver)),
        },
        ([item], []) => match item.ver {
            Some(ver) => format!("read {} → v{ver}", item.key),
            None => format!("read {}", item.key),
        },
        (reads, writes) => {
            let reads = reads.iter().map(|item| format!("r {}{}", item.key, version(item.ver)));
            let writes = writes.iter().map(|item| format!("w {}{}", item.key, version(item.ver)));
            format!("txn {}", reads.chain(writes).collect::<Vec<_>>().join(", "))
        }
    }
}

fn delivery(event: &Deliver) -> String {
    format!("{} v{} at {}/{}", event.key, event.ver, event.partition, event.offset)
}
