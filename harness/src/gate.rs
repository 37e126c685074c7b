//! The gate: every call that an actor makes to a system, and every named point between calls, passes here
//! as a numbered step. In a free run the gate lets steps pass, or fires what a fault armed; in a directed
//! run it holds each step until the schedule lets it go.
//!
//! The gate knows nothing of what a step does. It deals in actors, numbers and texts only.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::RngExt;
use tokio::sync::{oneshot, watch};

use crate::operation::{Pauses, stream};
use crate::port::System;

/// A step that an actor is about to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInfo {
    /// The actor.
    pub actor: Arc<str>,
    /// The number of the step in the actor's life, from 0.
    pub n: u64,
    /// The system that is called.
    pub system: System,
    /// The call, or the name of the point.
    pub call: Arc<str>,
    /// What kind of step it is.
    pub kind: StepKind,
}

/// The kinds of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// A call to a system.
    Call,
    /// A named point between two calls.
    Point,
    /// The actor has found nothing to do.
    Idle,
    /// A client is between two operations.
    Between,
}

/// What the gate says of a step. (A crash is not said: the actor is gone.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Pass,
    /// Do not call, and report that no answer came.
    LoseRequest,
    /// Call, drop the answer, and report that no answer came.
    LoseReply,
    /// Do not call, and report an error of the system.
    Error,
}

/// What a fault of the application does to an actor, once, a few steps from now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Armed {
    /// The actor crashes.
    Crash,
    /// The actor stands still for this long.
    Pause(Duration),
    /// The call is answered by an error that the system never sent.
    Error,
    /// The call happens, and the actor never hears of it.
    LoseReply,
    /// The call does not happen, and the actor never hears of it.
    LoseRequest,
}

impl Armed {
    /// Whether it needs a call to happen to: at a point or between operations it waits for the next one.
    fn needs_call(&self) -> bool {
        match self {
            Armed::Crash | Armed::Pause(_) => false,
            Armed::Error | Armed::LoseReply | Armed::LoseRequest => true,
        }
    }
}

/// Where an actor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// Not started, or crashed and not yet started again.
    Away,
    /// Held before this step.
    Held(StepInfo),
    /// On its way: within this step, or computing after it.
    Moving(StepInfo),
    /// It has nothing more to do.
    Done,
}

/// The gate of one run.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    work: AtomicU64,
    pauses: Option<(u64, Pauses)>,
}

#[derive(Debug)]
struct State {
    directed: bool,
    actors: BTreeMap<Arc<str>, Actor>,
    crashes: u64,
}

#[derive(Debug)]
struct Actor {
    at: Whereabouts,
    answer: Option<oneshot::Sender<Decision>>,
    crash: Option<oneshot::Sender<()>>,
    armed: Option<(u64, Armed)>,
    session: Option<String>,
    idles: u64,
    fired: u64,
}

impl Gate {
    /// A gate that holds every step until it is granted.
    pub fn directed() -> Self {
        Gate::new(true, None)
    }

    /// A gate that lets steps pass; at points the application works for a while, as `pauses` says.
    pub fn free(seed: u64, pauses: Pauses) -> Self {
        Gate::new(false, Some((seed, pauses)))
    }

    fn new(directed: bool, pauses: Option<(u64, Pauses)>) -> Self {
        let state = State { directed, actors: BTreeMap::new(), crashes: 0 };
        Gate { state: Mutex::new(state), changed: watch::Sender::new(0), work: AtomicU64::new(0), pauses }
    }

    /// Announces that an actor begins a life; the receiver is told when it must end.
    pub fn begin(&self, actor: &Arc<str>) -> oneshot::Receiver<()> {
        let (crash, crashed) = oneshot::channel();
        let mut state = self.lock();
        let known = state.actors.entry(actor.clone()).or_insert_with(Actor::new);
        known.crash = Some(crash);
        known.session = None;
        known.at = Whereabouts::Away;
        drop(state);
        self.notify();
        crashed
    }

    /// Announces that an actor has nothing more to do.
    pub fn finish(&self, actor: &str) {
        if let Some(known) = self.lock().actors.get_mut(actor) {
            known.at = Whereabouts::Done;
        }
        self.notify();
    }

    /// Notes which database session an actor works on, so that its lock waits can be seen.
    pub fn note_session(&self, actor: &str, session: String) {
        if let Some(known) = self.lock().actors.get_mut(actor) {
            known.session = Some(session);
        }
    }

    /// Notes that something moved: a message, an effect, a changed row.
    pub fn note_work(&self) {
        self.work.fetch_add(1, Ordering::Relaxed);
    }

    /// How often something moved so far.
    pub fn work(&self) -> u64 {
        self.work.load(Ordering::Relaxed)
    }

    /// Asks to take a step. Returns when it may be taken; never, if the actor crashes before it.
    pub async fn enter(&self, step: &StepInfo) -> Decision {
        let held = {
            let mut state = self.lock();
            let directed = state.directed;
            let Some(actor) = state.actors.get_mut(&step.actor) else { return Decision::Pass };
            if step.kind == StepKind::Idle {
                actor.idles += 1;
            }
            if directed {
                let (answer, granted) = oneshot::channel();
                actor.at = Whereabouts::Held(step.clone());
                actor.answer = Some(answer);
                Some(granted)
            } else {
                actor.at = Whereabouts::Moving(step.clone());
                None
            }
        };
        self.notify();
        match held {
            Some(granted) => match granted.await {
                Ok(decision) => decision,
                // The sender is dropped when the actor crashes: this life ends here.
                Err(_) => pending().await,
            },
            None => self.enter_free(step).await,
        }
    }

    async fn enter_free(&self, step: &StepInfo) -> Decision {
        match self.fire(step) {
            Some(Armed::Crash) => pending().await,
            Some(Armed::Pause(length)) => tokio::time::sleep(length).await,
            Some(Armed::Error) => return Decision::Error,
            Some(Armed::LoseReply) => return Decision::LoseReply,
            Some(Armed::LoseRequest) => return Decision::LoseRequest,
            None => {}
        }
        if let (StepKind::Point, Some((seed, pauses))) = (step.kind, &self.pauses) {
            let mut rng = stream(*seed, &format!("pause {} {}", step.actor, step.n));
            if pauses.max_ms > 0 && rng.random_range(0..100) < pauses.percent {
                tokio::time::sleep(Duration::from_micros(rng.random_range(0..pauses.max_ms * 1000))).await;
            }
        }
        Decision::Pass
    }

    /// Counts down what is armed for the actor, and fires it at zero.
    fn fire(&self, step: &StepInfo) -> Option<Armed> {
        let mut state = self.lock();
        let actor = state.actors.get_mut(&step.actor)?;
        let (steps_left, armed) = actor.armed.take()?;
        if steps_left > 0 || (armed.needs_call() && step.kind != StepKind::Call) {
            actor.armed = Some((steps_left.saturating_sub(1), armed));
            return None;
        }
        actor.fired += 1;
        if armed == Armed::Crash {
            actor.end_life();
            state.crashes += 1;
        }
        drop(state);
        self.notify();
        Some(armed)
    }

    /// Arms a fault of the application: it fires at the actor's step after the next `steps` ones.
    pub fn arm(&self, actor: &str, steps: u64, armed: Armed) {
        if let Some(known) = self.lock().actors.get_mut(actor) {
            known.armed = Some((steps, armed));
        }
    }

    /// Takes back what is armed for an actor and has not fired.
    pub fn disarm(&self, actor: &str) {
        if let Some(known) = self.lock().actors.get_mut(actor) {
            known.armed = None;
        }
    }

    /// How many armed faults have fired at an actor.
    pub fn fired(&self, actor: &str) -> u64 {
        self.lock().actors.get(actor).map_or(0, |known| known.fired)
    }

    /// Lets a held actor take its step. False if it is not held.
    pub fn grant(&self, actor: &str, decision: Decision) -> bool {
        let mut state = self.lock();
        let Some(known) = state.actors.get_mut(actor) else { return false };
        let granted = known.grant(decision);
        drop(state);
        self.notify();
        granted
    }

    /// Ends the actor's life where it stands.
    pub fn crash(&self, actor: &str) -> bool {
        let mut state = self.lock();
        let Some(known) = state.actors.get_mut(actor) else { return false };
        let alive = known.end_life();
        state.crashes += u64::from(alive);
        drop(state);
        self.notify();
        alive
    }

    /// How many lives of actors ended by a crash.
    pub fn crashes(&self) -> u64 {
        self.lock().crashes
    }

    /// From now on steps pass, beginning with those that are held.
    pub fn set_free(&self) {
        let mut state = self.lock();
        state.directed = false;
        for actor in state.actors.values_mut() {
            actor.grant(Decision::Pass);
        }
        drop(state);
        self.notify();
    }

    /// Whether steps pass without being granted.
    pub fn is_free(&self) -> bool {
        !self.lock().directed
    }

    /// Where an actor is.
    pub fn whereabouts(&self, actor: &str) -> Whereabouts {
        self.lock().actors.get(actor).map_or(Whereabouts::Away, |known| known.at.clone())
    }

    /// The database session of an actor.
    pub fn session(&self, actor: &str) -> Option<String> {
        self.lock().actors.get(actor)?.session.clone()
    }

    /// Whether a database session belongs to an actor's present life.
    pub fn is_live_session(&self, session: &str) -> bool {
        self.lock().actors.values().any(|actor| actor.session.as_deref() == Some(session))
    }

    /// How often each actor has found nothing to do.
    pub fn idles(&self) -> BTreeMap<Arc<str>, u64> {
        self.lock().actors.iter().map(|(name, actor)| (name.clone(), actor.idles)).collect()
    }

    /// Tells of every change of any actor's whereabouts.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn notify(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the gate's state")
    }
}

impl Actor {
    fn new() -> Self {
        Actor {
            at: Whereabouts::Away,
            answer: None,
            crash: None,
            armed: None,
            session: None,
            idles: 0,
            fired: 0,
        }
    }

    fn grant(&mut self, decision: Decision) -> bool {
        let Some(answer) = self.answer.take() else { return false };
        if let Whereabouts::Held(step) = &self.at {
            self.at = Whereabouts::Moving(step.clone());
        }
        answer.send(decision).is_ok()
    }

    fn end_life(&mut self) -> bool {
        self.answer = None;
        self.session = None;
        self.at = Whereabouts::Away;
        self.crash.take().is_some_and(|crash| crash.send(()).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(n: u64) -> StepInfo {
        StepInfo { actor: "a".into(), n, system: System::Db, call: "SELECT 1".into(), kind: StepKind::Call }
    }

    /// An actor that asks for its first step, and is held before it.
    async fn held(gate: &Arc<Gate>) -> tokio::task::JoinHandle<Decision> {
        let mut changes = gate.changes();
        let entering = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter(&step(0)).await }
        });
        changes
            .wait_for(|_| gate.whereabouts("a") == Whereabouts::Held(step(0)))
            .await
            .expect("the gate lives");
        entering
    }

    #[tokio::test]
    async fn a_directed_gate_holds_a_step_until_it_is_granted() {
        let gate = Arc::new(Gate::directed());
        let _life = gate.begin(&"a".into());
        let entering = held(&gate).await;
        assert!(gate.grant("a", Decision::LoseReply));
        assert_eq!(entering.await.expect("the task ends"), Decision::LoseReply);
        assert_eq!(gate.whereabouts("a"), Whereabouts::Moving(step(0)));
        assert!(!gate.grant("a", Decision::Pass), "it is not held any more");
    }

    #[tokio::test]
    async fn a_crash_ends_the_life_and_the_step_never_returns() {
        let gate = Arc::new(Gate::directed());
        let crashed = gate.begin(&"a".into());
        let entering = held(&gate).await;
        assert!(gate.crash("a"));
        crashed.await.expect("the life's owner is told");
        tokio::task::yield_now().await;
        assert!(!entering.is_finished());
        entering.abort();
        assert_eq!((gate.crashes(), gate.whereabouts("a")), (1, Whereabouts::Away));
    }

    #[tokio::test]
    async fn an_armed_error_waits_for_its_step_and_fires_once() {
        let gate = Gate::free(1, Pauses { percent: 0, max_ms: 0 });
        let _life = gate.begin(&"a".into());
        gate.arm("a", 1, Armed::Error);
        let mut decisions = Vec::new();
        for n in 0..3 {
            decisions.push(gate.enter(&step(n)).await);
        }
        assert_eq!(decisions, [Decision::Pass, Decision::Error, Decision::Pass]);
        assert_eq!(gate.fired("a"), 1);
    }

    #[tokio::test]
    async fn once_free_the_gate_lets_the_held_ones_go() {
        let gate = Arc::new(Gate::directed());
        let _life = gate.begin(&"a".into());
        let entering = held(&gate).await;
        gate.set_free();
        assert_eq!(entering.await.expect("the task ends"), Decision::Pass);
        assert_eq!(gate.enter(&step(1)).await, Decision::Pass);
    }
}
