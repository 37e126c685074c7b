//! Who goes on first once the moves of a schedule are over. Servers decide it one way or another; a witness that is
//! to be worth something on them violates its property however they do.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Run;
use crate::design::Service;
use crate::gate::{Decision, StepKind, Whereabouts};

/// After so long without a change an actor that goes on by itself waits for another.
const WAITS_AFTER: Duration = Duration::from_millis(300);

/// How many steps an actor that goes on by itself takes at most before it is another's turn.
const STEPS_MAX: usize = 200;

/// How many steps all take together at most, before everybody goes on at once.
const ALL_STEPS_MAX: usize = 2000;

/// Who goes on first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Rest {
    /// Everybody at once: it is left to the systems.
    #[default]
    AtOnce,
    /// Each of these in its turn takes so many steps, and again, for as long as anybody can; then everybody.
    InTurns {
        /// In this order.
        actors: Vec<String>,
        /// Each so many, if it can.
        steps: usize,
    },
}

impl Rest {
    /// Orders that differ in what usually matters: clients in order and the other way round, before the services and
    /// after them, each to its end or step by step.
    pub(crate) fn orders(services: &[Service], clients: usize) -> Vec<Rest> {
        let services: Vec<String> = services.iter().map(|service| service.name.clone()).collect();
        let clients: Vec<String> = (0..clients).map(|slot| format!("client-{slot}")).collect();
        let mut reversed = clients.clone();
        reversed.reverse();
        let order = |first: &[String], then: &[String], steps| {
            let actors = [first, then].concat();
            Rest::InTurns { actors, steps }
        };
        vec![
            order(&clients, &services, STEPS_MAX),
            order(&reversed, &services, STEPS_MAX),
            order(&services, &reversed, STEPS_MAX),
            order(&clients, &services, 1),
            order(&reversed, &services, 1),
        ]
    }

    /// Lets those go on who go first.
    pub(super) async fn begin(&self, run: &Arc<Run>) {
        let Rest::InTurns { actors, steps } = self else { return };
        run.heal_what_is_left().await;
        // Who waited for what is healed goes on before anybody else can.
        tokio::time::sleep(WAITS_AFTER).await;
        let mut all = 0;
        loop {
            let before = all;
            for actor in actors {
                all += go_on(run, actor, *steps).await;
            }
            if all == before || all > ALL_STEPS_MAX {
                return;
            }
        }
    }
}

/// How many steps an actor takes, so many at most, until it is done, idle, or waits for another.
async fn go_on(run: &Arc<Run>, actor: &str, most: usize) -> usize {
    let mut steps = 0;
    let work = run.gate.work();
    let mut changes = run.gate.changes();
    loop {
        match run.gate.whereabouts(actor) {
            // A service that only looked whether there is something to do has not gone on.
            Whereabouts::Held(step) if step.kind == StepKind::Idle && steps > 0 => {
                return if run.gate.work() == work { 0 } else { steps };
            }
            Whereabouts::Held(_) if steps < most => {
                run.gate.grant(actor, Decision::Pass);
                steps += 1;
            }
            Whereabouts::Held(_) | Whereabouts::Done => return steps,
            Whereabouts::Moving(_) | Whereabouts::Away => {
                if timeout(WAITS_AFTER, changes.changed()).await.is_err() {
                    return steps;
                }
            }
        }
    }
}
