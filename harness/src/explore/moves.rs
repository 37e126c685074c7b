//! From the turns of a walk to the moves of a directed schedule, which people can read and real servers can play.

use std::sync::Arc;

use crate::backend::model::PREFIX;
use crate::gate::{StepInfo, StepKind};
use crate::port::System;
use crate::runner::explored::{Standing, Taken, Turn};
use crate::schedule::{Move, Until};

/// The moves that take the same turns: one an uninterrupted run of an actor's steps.
pub(super) fn moves(actors: &[Arc<str>], taken: &[Taken]) -> Vec<Move> {
    let mut moves = Vec::new();
    let mut at = 0;
    while at < taken.len() {
        let actor = |index: usize| actors[index].to_string();
        match &taken[at].turn {
            Turn::Step(who) => {
                let mut run = 1;
                while taken.get(at + run).is_some_and(|next| next.turn == Turn::Step(*who)) {
                    run += 1;
                }
                runs(&actor(*who), &taken[at..at + run], &mut moves);
                at += run;
                continue;
            }
            Turn::Crash(who) => moves.push(Move::Crash { actor: actor(*who) }),
            Turn::LoseReply(who) => moves.push(Move::LoseReply { actor: actor(*who) }),
            Turn::LoseRequest(who) => moves.push(Move::LoseRequest { actor: actor(*who) }),
            Turn::Fault(on) => moves.extend([Move::Inject(on.clone()), Move::Heal(on.clone())]),
            Turn::Inject(on) => moves.push(Move::Inject(on.clone())),
            Turn::Heal(on) => moves.push(Move::Heal(on.clone())),
            Turn::Wait(ms) => moves.push(Move::Wait { ms: *ms }),
        }
        at += 1;
    }
    moves
}

/// Uninterrupted steps of one actor. A move stops where its words first hold, so each time that they hold on
/// the way ends a move, as does the end of an operation.
fn runs(actor: &str, steps: &[Taken], moves: &mut Vec<Move>) {
    let Some(last) = steps.last() else { return };
    let end = until(&last.after);
    for (number, step) in steps.iter().enumerate() {
        // Only locks of the database can be seen to be waited for: otherwise the actor is only let go.
        if let (Standing::UnderWay, Some(before)) = (&step.after, &step.before) {
            if number > 0 && before.kind != StepKind::Between {
                moves.push(Move::Run { actor: actor.to_owned(), until: until_step(before) });
            }
            moves.push(Move::Start { actor: actor.to_owned() });
            continue;
        }
        let here = until(&step.after);
        if here == Until::OpDone || here == end || number + 1 == steps.len() {
            moves.push(Move::Run { actor: actor.to_owned(), until: here });
        }
    }
}

fn until(standing: &Standing) -> Until {
    match standing {
        Standing::Before(step) => until_step(step),
        Standing::Waits => Until::Blocked,
        Standing::Done | Standing::UnderWay => Until::OpDone,
    }
}

fn until_step(step: &StepInfo) -> Until {
    match step.kind {
        StepKind::Point => Until::Point(step.call.to_string()),
        StepKind::Call => Until::Call(statement(step).to_owned()),
        StepKind::Idle => Until::Idle,
        StepKind::Between => Until::OpDone,
    }
}

/// The call without the values of its parameters, which real servers may number otherwise.
pub(super) fn statement(step: &StepInfo) -> &str {
    let call = step.call.strip_suffix(" ..").unwrap_or(&step.call);
    // The names of keys are another backend's own: there they begin otherwise.
    let own_name = (step.system == System::Cache).then(|| call.find(&format!(" {PREFIX}"))).flatten();
    if let Some(at) = own_name {
        return &call[..at];
    }
    match call.find(" [") {
        Some(at) => call[..at].trim_end_matches(" .."),
        None if call.starts_with("produce ") => {
            let key = call.match_indices(' ').nth(2).map_or(call.len(), |(at, _)| at);
            &call[..key]
        }
        None => call,
    }
}
