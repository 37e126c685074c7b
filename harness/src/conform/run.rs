//! Runs a case: launches steps in the order of each permutation and prints what isolationtester prints
//! (PostgreSQL 15, `src/test/isolation/README`, "Support for blocking commands").
//!
//! A step is launched when all earlier steps of its session are done and the step before it in the permutation
//! is done or found blocked. Whether it is blocked is asked of the system, never inferred from time.

use std::fmt::Write;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::case::Case;
use super::conversation::{Answer, Conversation};
use super::permutations::permutations;
use super::session::System;
use super::spec::{Blocker, Permutation, Spec};
use crate::port::PortError;

/// How often a step that does not answer is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// When a step is given up: the system is asked to cancel it then, and the case ends at twice that time.
    pub step: Duration,
}

impl Default for Limits {
    /// Those of isolationtester.
    fn default() -> Self {
        Limits { step: Duration::from_secs(300) }
    }
}

/// What a run of a case printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript {
    /// What isolationtester prints on stdout.
    pub text: String,
    /// Why the run ended before its end, if it did: a setup failed, steps block each other.
    pub stopped: Option<String>,
    /// The SQLSTATE 0A000 errors that were seen: what the system does not know, each once, in order.
    pub not_known: Vec<String>,
    /// Errors of teardowns, which end nothing.
    pub complaints: Vec<String>,
    /// How many permutations were begun.
    pub permutations: usize,
}

/// SQLSTATE `feature_not_supported`.
const NOT_SUPPORTED: &str = "0A000";

/// Runs a case on a system.
///
/// # Errors
/// The system cannot be reached.
pub async fn run(case: &Case, system: &mut dyn System, limits: Limits) -> Result<Transcript, PortError> {
    let spec = &case.spec;
    let control = Conversation::new("control connection", system.open("control connection").await?, false);
    let mut sessions = Vec::new();
    for session in &spec.sessions {
        sessions.push(Conversation::new(&session.name, system.open(&session.name).await?, true));
    }
    let active = vec![None; sessions.len()];
    let mut runner = Runner {
        spec,
        system,
        limits,
        control,
        sessions,
        active,
        launches: Vec::new(),
        script: Transcript::default(),
    };
    let _ = writeln!(runner.script.text, "Parsed test spec with {} sessions", spec.sessions.len());
    for permutation in permutations(spec) {
        runner.script.permutations += 1;
        match runner.permutation(permutation).await {
            Ok(()) => {}
            Err(Stop::Case(why)) => {
                runner.script.stopped = Some(why);
                break;
            }
            Err(Stop::System(error)) => return Err(error),
        }
    }
    Ok(runner.script)
}

/// Why a run ends before its end.
enum Stop {
    /// The case cannot go on.
    Case(String),
    /// The system cannot be asked.
    System(PortError),
}

impl From<PortError> for Stop {
    fn from(error: PortError) -> Self {
        Stop::System(error)
    }
}

/// How a step is looked at.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// It may be found blocked, and is then left alone.
    may_block: bool,
    /// It was looked at before, and has been reported as waiting.
    again: bool,
}

const FIRST: Look = Look { may_block: true, again: false };
const AGAIN: Look = Look { may_block: true, again: true };
const TO_THE_END: Look = Look { may_block: false, again: true };

/// A launch of the permutation that runs, with the notices that its markers wait for.
struct Launched {
    session: usize,
    step: usize,
    blockers: Vec<(Blocker, u32)>,
}

struct Runner<'a> {
    spec: &'a Spec,
    system: &'a mut dyn System,
    limits: Limits,
    control: Conversation,
    sessions: Vec<Conversation>,
    /// The launch that each session is busy with.
    active: Vec<Option<usize>>,
    launches: Vec<Launched>,
    script: Transcript,
}

impl Runner<'_> {
    async fn permutation(&mut self, permutation: Permutation) -> Result<(), Stop> {
        self.system.begin_permutation().await?;
        self.launches = permutation.into_iter().map(Launched::of).collect();
        let names: Vec<&str> = (0..self.launches.len()).map(|at| self.step_of(at).0).collect();
        let head = format!("\nstarting permutation: {}\n", names.join(" "));
        self.script.text.push_str(&head);
        self.set_up().await?;
        let mut waiting = Vec::new();
        for at in 0..self.launches.len() {
            self.launch(at, &mut waiting).await?;
        }
        self.look_at_all(&mut waiting, TO_THE_END).await?;
        if !waiting.is_empty() {
            let why = "failed to complete permutation due to mutually-blocking steps";
            return Err(Stop::Case(why.to_owned()));
        }
        self.tear_down().await;
        Ok(())
    }

    async fn set_up(&mut self) -> Result<(), Stop> {
        for setup in &self.spec.setups {
            let failure = all_at_once(&mut self.control, setup, &mut self.script).await;
            failure.map_or(Ok(()), |why| Err(Stop::Case(format!("setup failed: {why}"))))?;
        }
        for (session, spec) in self.sessions.iter_mut().zip(&self.spec.sessions) {
            let Some(setup) = &spec.setup else { continue };
            if let Some(why) = all_at_once(session, setup, &mut self.script).await {
                return Err(Stop::Case(format!("setup of session {} failed: {why}", spec.name)));
            }
        }
        Ok(())
    }

    async fn tear_down(&mut self) {
        let mut complaints = Vec::new();
        for (session, spec) in self.sessions.iter_mut().zip(&self.spec.sessions) {
            let Some(teardown) = &spec.teardown else { continue };
            let failure = all_at_once(session, teardown, &mut self.script).await;
            complaints.extend(failure.map(|why| format!("teardown of session {} failed: {why}", spec.name)));
        }
        if let Some(teardown) = &self.spec.teardown {
            let failure = all_at_once(&mut self.control, teardown, &mut self.script).await;
            complaints.extend(failure.map(|why| format!("teardown failed: {why}")));
        }
        self.script.complaints.extend(complaints);
    }

    async fn launch(&mut self, at: usize, waiting: &mut Vec<usize>) -> Result<(), Stop> {
        self.free_session(self.launches[at].session, waiting).await?;
        let session = self.launches[at].session;
        let text = self.spec.sessions[session].steps[self.launches[at].step].text.clone();
        if !self.sessions[session].send(&text) {
            let name = self.step_of(at).0.to_owned();
            let line = format!("failed to send query for step {name}: no connection to the server\n\n");
            self.script.text.push_str(&line);
            return Err(Stop::Case(format!("failed to send query for step {name}")));
        }
        self.active[session] = Some(at);
        for (blocker, target) in &mut self.launches[at].blockers {
            if let Blocker::Notices { session, count } = blocker {
                *target = self.sessions[*session].notices + *count;
            }
        }
        let waits = self.look_at(at, FIRST).await?;
        self.look_at_all(waiting, AGAIN).await?;
        if waits {
            waiting.push(at);
        }
        Ok(())
    }

    /// Waits until the session has done its step before; steps of others may have to end first.
    async fn free_session(&mut self, session: usize, waiting: &mut Vec<usize>) -> Result<(), Stop> {
        let began = Instant::now();
        while let Some(before) = self.active[session] {
            if !self.look_at(before, TO_THE_END).await? {
                waiting.retain(|at| *at != before);
            }
            self.look_at_all(waiting, AGAIN).await?;
            if self.active[session].is_some() {
                // What holds it back is a marker: nothing here waits for an answer, so let time pass.
                tokio::time::sleep(LOOK).await;
                if began.elapsed() > 2 * self.limits.step {
                    return Err(self.timed_out(before, began.elapsed()));
                }
            }
        }
        Ok(())
    }

    /// Looks at all that wait, and again as long as a completion or a notice may have released a marker.
    async fn look_at_all(&mut self, waiting: &mut Vec<usize>, look: Look) -> Result<(), Stop> {
        loop {
            let (before, notices) = (waiting.len(), self.notices());
            let mut held_back = false;
            let mut at = 0;
            while let Some(launch) = waiting.get(at).copied() {
                if self.look_at(launch, look).await? {
                    held_back |= !self.launches[launch].blockers.is_empty();
                    at += 1;
                } else {
                    waiting.remove(at);
                }
            }
            if !(held_back && (waiting.len() < before || self.notices() > notices)) {
                return Ok(());
            }
        }
    }

    /// Looks at a step until it is done or found blocked; true where it is not done.
    async fn look_at(&mut self, at: usize, look: Look) -> Result<bool, Stop> {
        let forced = self.launches[at].blockers.iter().any(|(blocker, _)| *blocker == Blocker::Once);
        if forced && !look.again {
            self.report_waiting(at);
            return Ok(true);
        }
        if self.is_blocked(at, look).await? || self.is_held_back(at) {
            if !look.again {
                self.report_waiting(at);
            }
            return Ok(true);
        }
        self.report_done(at, look).await;
        Ok(false)
    }

    /// Waits for an answer; true where the step was found to be blocked instead.
    async fn is_blocked(&mut self, at: usize, look: Look) -> Result<bool, Stop> {
        let session = self.launches[at].session;
        let began = Instant::now();
        let mut cancelled = false;
        while self.sessions[session].is_busy(&mut self.script.text) {
            if timeout(LOOK, self.sessions[session].wait()).await.is_ok() {
                continue;
            }
            if look.may_block && self.waits_for_a_lock(session).await? {
                // Notices, or the answer, may have come while the system was asked.
                if self.sessions[session].is_busy(&mut self.script.text) {
                    return Ok(true);
                }
                break;
            }
            let elapsed = began.elapsed();
            if elapsed > self.limits.step && !cancelled {
                let name = self.step_of(at).0.to_owned();
                let line =
                    format!("isolationtester: canceling step {name} after {} seconds\n", elapsed.as_secs());
                self.script.text.push_str(&line);
                self.system.cancel(self.sessions[session].id()).await?;
                cancelled = true;
            }
            if elapsed > 2 * self.limits.step {
                return Err(self.timed_out(at, elapsed));
            }
        }
        Ok(false)
    }

    async fn waits_for_a_lock(&mut self, session: usize) -> Result<bool, PortError> {
        let others: Vec<String> = self.sessions.iter().map(|session| session.id().to_owned()).collect();
        self.system.is_blocked(self.sessions[session].id(), &others).await
    }

    /// Whether a marker holds back the report that the step is done.
    fn is_held_back(&self, at: usize) -> bool {
        self.launches[at].blockers.iter().any(|(blocker, target)| match blocker {
            Blocker::Once => false,
            Blocker::Step { session, step } => {
                self.active[*session].is_some_and(|active| self.launches[active].step == *step)
            }
            Blocker::Notices { session, .. } => self.sessions[*session].notices < *target,
        })
    }

    fn report_waiting(&mut self, at: usize) {
        let (name, text) = self.step_of(at);
        let line = format!("step {name}: {text} <waiting ...>\n");
        self.script.text.push_str(&line);
    }

    async fn report_done(&mut self, at: usize, look: Look) {
        let (name, text) = self.step_of(at);
        let line = if look.again {
            format!("step {name}: <... completed>\n")
        } else {
            format!("step {name}: {text}\n")
        };
        self.script.text.push_str(&line);
        let session = self.launches[at].session;
        while let Some(answer) = self.sessions[session].answer(&mut self.script.text).await {
            answer.print(&mut self.script.text);
            self.script.note(&answer);
        }
        while let Some((from, channel, payload)) = self.sessions[session].notification(&mut self.script.text)
        {
            let known = self.sessions.iter().find(|session| session.id() == from);
            let from = known.map_or_else(|| format!("PID {from}"), |session| session.name.clone());
            let to = &self.sessions[session].name;
            let line = format!("{to}: NOTIFY \"{channel}\" with payload \"{payload}\" from {from}\n");
            self.script.text.push_str(&line);
        }
        self.active[session] = None;
    }

    fn timed_out(&self, at: usize, after: Duration) -> Stop {
        let active: Vec<&str> = self.active.iter().flatten().map(|at| self.step_of(*at).0).collect();
        let (name, seconds) = (self.step_of(at).0, after.as_secs());
        Stop::Case(format!(
            "step {name} timed out after {seconds} seconds; active steps are: {}",
            active.join(" ")
        ))
    }

    fn step_of(&self, at: usize) -> (&str, &str) {
        let launched = &self.launches[at];
        let step = &self.spec.sessions[launched.session].steps[launched.step];
        (&step.name, &step.text)
    }

    fn notices(&self) -> u32 {
        self.sessions.iter().map(|session| session.notices).sum()
    }
}

impl Launched {
    fn of(launch: super::spec::Launch) -> Launched {
        let blockers = launch.blockers.into_iter().map(|blocker| (blocker, 0)).collect();
        Launched { session: launch.session, step: launch.step, blockers }
    }
}

impl Transcript {
    /// Keeps account of what the system does not know.
    fn note(&mut self, answer: &Answer) {
        if let Answer::Failed { code, message, .. } = answer
            && code == NOT_SUPPORTED
            && !self.not_known.contains(message)
        {
            self.not_known.push(message.clone());
        }
    }
}

/// Sends a setup or teardown and prints its last result, if that is a table. What failed, if it did.
async fn all_at_once(session: &mut Conversation, text: &str, script: &mut Transcript) -> Option<String> {
    if !session.send(text) {
        return Some("the session has ended".to_owned());
    }
    let mut last = Answer::Done;
    while let Some(answer) = session.answer(&mut script.text).await {
        script.note(&answer);
        last = answer;
    }
    match last {
        Answer::Done => None,
        Answer::Table { .. } | Answer::Text(_) => {
            last.print(&mut script.text);
            None
        }
        Answer::Failed { severity, message, .. } => Some(format!("{severity}:  {message}")),
        Answer::Lost => Some("the session has ended".to_owned()),
    }
}
