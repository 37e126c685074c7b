//! Plays a stress schedule: clients under generated load, and faults in their windows.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use rand::RngExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::client::{Source, work};
use super::{Inconclusive, Run, panic};
use crate::gate::Armed;
use crate::operation::{Generator, Operation, stream};
use crate::schedule::{FaultOn, Stress, Window};

/// How long clients may take to end their last operation.
const REST_MAX: Duration = Duration::from_secs(40);

/// How much longer than planned a fault lasts if it has not hit anything, and how often that is looked at.
const HIT_MAX: Duration = Duration::from_secs(4);
const HIT_LOOK: Duration = Duration::from_millis(20);

/// Plays load and faults, and heals.
pub(crate) async fn play(run: &Arc<Run>, stress: &Stress, seed: u64) -> Result<(), Inconclusive> {
    let start = Instant::now();
    let end = start + Duration::from_millis(stress.time_ms);
    let over = Arc::new(AtomicBool::new(false));
    let slots = stress.workload.clients;
    let mut clients = JoinSet::new();
    for slot in 0..slots {
        let gap =
            stress.workload.rate.map(|rate| Duration::from_secs_f64(slots as f64 / f64::from(rate.max(1))));
        let source = Generated {
            generator: Generator::new(seed, slot, &stress.workload),
            due: start + gap.unwrap_or_default().mul_f64(slot as f64 / slots as f64),
            gap,
            over: over.clone(),
        };
        clients.spawn(work(run.clone(), slot, slots, source));
    }
    // A nemesis that dies is a fault that did not take.
    let verdict = match AssertUnwindSafe(play_faults(run, stress, seed, start)).catch_unwind().await {
        Ok(verdict) => verdict,
        Err(panic) => Err(Inconclusive(format!("the nemesis died: {}", panic::text(&*panic)))),
    };
    // Load goes on until the last fault is healed, however long that took.
    sleep_until(end).await;
    over.store(true, Ordering::Relaxed);
    let rested = timeout(REST_MAX, async { while clients.join_next().await.is_some() {} });
    if rested.await.is_err() {
        return Err(Inconclusive("a client did not finish its last operation".to_owned()));
    }
    verdict
}

/// Injects and heals every fault in its window. Windows that overlap are played side by side; one that comes after
/// another waits for its end, however long that took.
async fn play_faults(run: &Arc<Run>, stress: &Stress, seed: u64, start: Instant) -> Result<(), Inconclusive> {
    let slots = stress.workload.clients;
    let mut verdict = Ok(());
    let mut number = 0;
    for group in overlapping(&stress.faults) {
        let windows = group.iter().enumerate().map(|(within, window)| async move {
            sleep_until(start + Duration::from_millis(window.at_ms)).await;
            play_window(run, window, seed, number + within, slots).await
        });
        for played in join_all(windows).await {
            verdict = verdict.and(played);
        }
        number += group.len();
    }
    verdict
}

/// Windows, which are in the order of their beginnings, in groups: no window overlaps one of another group.
fn overlapping(windows: &[Window]) -> Vec<&[Window]> {
    let mut groups = Vec::new();
    let (mut from, mut end_ms) = (0, 0);
    for (at, window) in windows.iter().enumerate() {
        if at > from && window.at_ms >= end_ms {
            groups.push(&windows[from..at]);
            from = at;
        }
        end_ms = end_ms.max(window.at_ms + window.for_ms);
    }
    if from < windows.len() {
        groups.push(&windows[from..]);
    }
    groups
}

/// Operations at the rate asked for: each is due at a time of its own, whatever became of the one before.
struct Generated {
    generator: Generator,
    due: Instant,
    gap: Option<Duration>,
    over: Arc<AtomicBool>,
}

impl Source for Generated {
    fn next(&mut self) -> Option<(Duration, Operation)> {
        if self.over.load(Ordering::Relaxed) {
            return None;
        }
        let now = Instant::now();
        let wait = self.due.saturating_duration_since(now);
        self.due = self.due.max(now) + self.gap.unwrap_or_default();
        Some((wait, self.generator.next_operation()))
    }
}

async fn play_window(
    run: &Arc<Run>,
    window: &Window,
    seed: u64,
    number: usize,
    slots: usize,
) -> Result<(), Inconclusive> {
    let length = Duration::from_millis(window.for_ms);
    if !window.on.fault.starts_with("app-") {
        run.inject(&window.on).await?;
        tokio::time::sleep(length).await;
        let late = Instant::now() + HIT_MAX;
        while !run.arena.injector.has_hit(&window.on) && Instant::now() < late {
            tokio::time::sleep(HIT_LOOK).await;
        }
        return run.heal(&window.on).await;
    }
    let mut rng = stream(seed, &format!("window {number}"));
    let actor = chosen_actor(run, &window.on, &mut rng, slots);
    let armed = match window.on.fault.as_str() {
        "app-crash" => Armed::Crash,
        "app-pause" => Armed::Pause(length),
        "app-error" => Armed::Error,
        "app-lost-reply" => Armed::LoseReply,
        "app-lost-request" => Armed::LoseRequest,
        other => return Err(Inconclusive(format!("no fault of the application is called {other}"))),
    };
    let from_ns = run.recorder.clock().now_ns();
    let before = run.gate.fired(&actor);
    let mut fired = 0;
    let end = Instant::now() + length;
    // A crash or an error is over at once: arm it again until the window ends. An actor that stands in a long
    // call meets it later.
    while Instant::now() < end || fired == 0 {
        run.gate.arm(&actor, rng.random_range(0..8), armed.clone());
        let mut changes = run.gate.changes();
        let fires = changes.wait_for(|_| run.gate.fired(&actor) > before + fired);
        let patience = if fired == 0 { HIT_MAX } else { end.saturating_duration_since(Instant::now()) };
        if timeout(patience, fires).await.is_err() && fired == 0 {
            break;
        }
        fired = run.gate.fired(&actor) - before;
        if matches!(armed, Armed::Pause(_)) {
            break;
        }
    }
    run.gate.disarm(&actor);
    if matches!(armed, Armed::Pause(_)) {
        sleep_until(end).await;
    }
    let fired = run.gate.fired(&actor) - before;
    let on = FaultOn { of: Some(actor.clone()), ..window.on.clone() };
    run.note_app_fault(on, from_ns, fired, format!("{fired} times, {actor}"));
    Ok(())
}

/// The actor that the window names, or one of those that are there.
fn chosen_actor(run: &Run, on: &FaultOn, rng: &mut impl rand::Rng, slots: usize) -> String {
    let services = run.design.services();
    let client = format!("client-{}", rng.random_range(0..slots.max(1)));
    match on.of.as_deref() {
        Some("client") => client,
        Some(name) => name.to_owned(),
        None => {
            let pick = rng.random_range(0..=services.len());
            services.get(pick).map_or(client, |service| service.name.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_overlap_are_played_together() {
        let window = |at_ms, for_ms| Window { at_ms, for_ms, on: FaultOn::new("db-cut", None) };
        let windows = [
            window(0, 100),
            window(100, 300),
            window(150, 50),
            window(390, 20),
            window(420, 1),
            window(421, 9),
        ];
        let sizes: Vec<usize> = overlapping(&windows).iter().map(|group| group.len()).collect();
        assert_eq!(sizes, [1, 3, 1, 1]);
        assert!(overlapping(&[]).is_empty());
    }
}
