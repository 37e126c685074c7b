//! Draining: the wait until every service has found nothing more to do, so that what is missing then is lost
//! and not late.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Run;
use crate::backend::HarnessError;
use crate::design::Layout;

/// When draining is given up.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// When a service that neither works nor finds itself idle counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(20);

/// How often the services are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How draining ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Every service was idle twice over, with nothing moving, for as long as the backend asks.
    Quiet,
    /// Nothing moves, and these are not idle.
    Stuck(Vec<String>),
    /// These still work at the deadline.
    Moving(Vec<String>),
}

/// Waits until the database has published what it publishes itself.
pub(crate) async fn feeds(run: &Run, layout: &Layout) -> Result<(), HarnessError> {
    match &run.arena.feeds {
        Some(feeds) if !layout.changefeeds.is_empty() => feeds.caught_up(DRAIN_MAX).await,
        _ => Ok(()),
    }
}

/// Waits until all services are idle.
pub(crate) async fn wait(run: &Arc<Run>) -> Drained {
    let names: Vec<Arc<str>> = run.design.services().iter().map(|s| s.name.as_str().into()).collect();
    let start = Instant::now();
    let mut quiet_since = Instant::now();
    let mut work = run.gate.work();
    let mut idles_then = run.gate.idles();
    loop {
        tokio::time::sleep(LOOK).await;
        let idles = run.gate.idles();
        let busy: Vec<String> = names
            .iter()
            .filter(|name| {
                idles.get(*name).copied().unwrap_or(0) < idles_then.get(*name).copied().unwrap_or(0) + 2
            })
            .map(ToString::to_string)
            .collect();
        if run.gate.work() != work {
            work = run.gate.work();
            quiet_since = Instant::now();
            idles_then = idles;
            if start.elapsed() > DRAIN_MAX {
                return Drained::Moving(names.iter().map(ToString::to_string).collect());
            }
        } else if quiet_since.elapsed() >= run.quiet && busy.is_empty() {
            return Drained::Quiet;
        } else if quiet_since.elapsed() >= STUCK_AFTER {
            return Drained::Stuck(busy);
        }
    }
}
