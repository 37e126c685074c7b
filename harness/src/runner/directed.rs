//! Plays a directed schedule: one move after the other, each actor held wherever no move lets it go.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::client::{Source, work};
use super::rest::Rest;
use super::{Inconclusive, Run};
use crate::backend::Wait;
use crate::gate::{Decision, StepInfo, StepKind, Whereabouts};
use crate::operation::Operation;
use crate::port::System;
use crate::schedule::{Directed, FaultOn, Move, Until};

/// How long a move may take before the schedule counts as stalled.
const MOVE_MAX: Duration = Duration::from_secs(20);

/// How long a step may take before the server is asked whether it waits for a lock.
const ASK_AFTER: Duration = Duration::from_millis(15);

/// How often an actor may find nothing to do before a move that waits for something else of it is given up.
const IDLES_MAX: usize = 400;

/// How long the clients may take once the moves are over.
const REST_MAX: Duration = Duration::from_secs(40);

/// Where an actor came to a halt.
enum Halt {
    Held(StepInfo),
    Blocked,
    Done,
}

/// Plays the moves, then lets everyone finish.
pub(crate) async fn play(run: &Arc<Run>, directed: &Directed, rest: &Rest) -> Result<(), Inconclusive> {
    let slots = directed.clients.len();
    let mut clients = JoinSet::new();
    for (slot, operations) in directed.clients.iter().enumerate() {
        clients.spawn(work(run.clone(), slot, slots, Listed::new(operations.clone())));
    }
    for (number, next) in directed.moves.iter().enumerate() {
        play_move(run, next).await.map_err(|Inconclusive(reason)| {
            Inconclusive(format!(
                "the schedule stalled at move {} of {}: {reason}",
                number + 1,
                directed.moves.len()
            ))
        })?;
    }
    rest.begin(run).await;
    let_everyone_finish(run, &mut clients).await
}

/// Nobody is held any more; waits until the clients are done.
pub(super) async fn let_everyone_finish(
    run: &Arc<Run>,
    clients: &mut JoinSet<()>,
) -> Result<(), Inconclusive> {
    run.heal_what_is_left().await;
    run.gate.set_free();
    timeout(REST_MAX, async { while clients.join_next().await.is_some() {} })
        .await
        .map_err(|_| Inconclusive("a client did not finish after the last move".to_owned()))
}

/// The operations of one client, one after the other.
pub(super) struct Listed(std::vec::IntoIter<Operation>);

impl Listed {
    pub(super) fn new(operations: Vec<Operation>) -> Self {
        Listed(operations.into_iter())
    }
}

impl Source for Listed {
    fn next(&mut self) -> Option<(Duration, Operation)> {
        Some((Duration::ZERO, self.0.next()?))
    }
}

pub(super) async fn play_move(run: &Arc<Run>, next: &Move) -> Result<(), Inconclusive> {
    match next {
        Move::Run { actor, until } => run_until(run, actor, until).await,
        Move::Start { actor } => match halt(run, actor).await? {
            Halt::Held(_) => {
                run.gate.grant(actor, Decision::Pass);
                Ok(())
            }
            Halt::Blocked | Halt::Done => {
                Err(Inconclusive(format!("{actor} cannot be let go: it is not held")))
            }
        },
        Move::Crash { actor } => {
            let from_ns = run.recorder.clock().now_ns();
            let halt = halt(run, actor).await?;
            if matches!(halt, Halt::Done) || !run.gate.crash(actor) {
                return Err(Inconclusive(format!("{actor} cannot crash: it has nothing more to do")));
            }
            let on = FaultOn::new("app-crash", Some(actor));
            run.note_app_fault(on, from_ns, 1, at(&halt));
            Ok(())
        }
        Move::LoseReply { actor } => lose(run, actor, Decision::LoseReply, "app-lost-reply").await,
        Move::LoseRequest { actor } => lose(run, actor, Decision::LoseRequest, "app-lost-request").await,
        Move::Wait { ms } => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            Ok(())
        }
        Move::Inject(on) => run.inject(on).await,
        Move::Heal(on) => run.heal(on).await,
    }
}

fn at(halt: &Halt) -> String {
    match halt {
        Halt::Held(step) => format!("before `{}`", step.call),
        Halt::Blocked => "while it waits for a lock".to_owned(),
        Halt::Done => "at its end".to_owned(),
    }
}

async fn lose(run: &Arc<Run>, actor: &str, decision: Decision, id: &str) -> Result<(), Inconclusive> {
    let from_ns = run.recorder.clock().now_ns();
    match halt(run, actor).await? {
        Halt::Held(step) if step.kind == StepKind::Call => {
            run.gate.grant(actor, decision);
            halt(run, actor).await?;
            let on = FaultOn::new(id, Some(actor));
            run.note_app_fault(on, from_ns, 1, format!("of `{}`", step.call));
            Ok(())
        }
        Halt::Held(step) => {
            Err(Inconclusive(format!("{actor} stands before `{}`, which is no call", step.call)))
        }
        Halt::Blocked | Halt::Done => Err(Inconclusive(format!("{actor} stands before no call"))),
    }
}

/// Lets the actor take steps, one at least, until it stands where the move ends.
async fn run_until(run: &Arc<Run>, actor: &str, until: &Until) -> Result<(), Inconclusive> {
    let mut granted = 0_usize;
    let mut idles = 0_usize;
    loop {
        match halt(run, actor).await? {
            Halt::Done => {
                return match until {
                    Until::OpDone | Until::Idle => Ok(()),
                    Until::Point(_) | Until::Call(_) | Until::Blocked => {
                        Err(Inconclusive(format!("{actor} was done before it came to {until:?}")))
                    }
                };
            }
            // A step that waits for a lock ends the move: others must move on to release it.
            Halt::Blocked => return Ok(()),
            Halt::Held(step) => {
                if granted > 0 && stops(until, &step) {
                    return Ok(());
                }
                idles += usize::from(step.kind == StepKind::Idle);
                if idles > IDLES_MAX {
                    return Err(Inconclusive(format!(
                        "{actor} found nothing to do before it came to {until:?}"
                    )));
                }
                if granted > 0 && step.kind == StepKind::Between {
                    return Err(Inconclusive(format!(
                        "{actor}'s operation ended before it came to {until:?}"
                    )));
                }
                run.gate.grant(actor, Decision::Pass);
                granted += 1;
            }
        }
    }
}

fn stops(until: &Until, step: &StepInfo) -> bool {
    match until {
        Until::Point(name) => step.kind == StepKind::Point && *step.call == **name,
        Until::Call(text) => step.kind == StepKind::Call && step.call.starts_with(text.as_str()),
        Until::OpDone => step.kind == StepKind::Between,
        Until::Idle => step.kind == StepKind::Idle,
        Until::Blocked => false,
    }
}

/// Whether a session waits for something that only another move ends. A lock whose holder is dead (its
/// server process has not yet noticed) goes away by itself.
async fn blocked(run: &Arc<Run>, session: &str) -> bool {
    match run.arena.lock_waits.waits(session).await {
        Some(Wait::ForSessions(holders)) => holders.iter().any(|holder| run.gate.is_live_session(holder)),
        Some(Wait::ForStandby) => true,
        None => false,
    }
}

/// Waits until the actor is held, done, or waits for a lock.
async fn halt(run: &Arc<Run>, actor: &str) -> Result<Halt, Inconclusive> {
    let deadline = Instant::now() + MOVE_MAX;
    let mut changes = run.gate.changes();
    loop {
        let in_database = match run.gate.whereabouts(actor) {
            Whereabouts::Held(step) => return Ok(Halt::Held(step)),
            Whereabouts::Done => return Ok(Halt::Done),
            Whereabouts::Moving(step) => step.system == System::Db,
            Whereabouts::Away => false,
        };
        if timeout(ASK_AFTER, changes.changed()).await.is_err() {
            let session = run.gate.session(actor).filter(|_| in_database);
            if let Some(session) = session
                && blocked(run, &session).await
            {
                return Ok(Halt::Blocked);
            }
        }
        if Instant::now() > deadline {
            let place = run.gate.whereabouts(actor);
            return Err(Inconclusive(format!("{actor} came to no halt within {MOVE_MAX:?} ({place:?})")));
        }
    }
}
