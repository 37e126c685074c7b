//! Services: each lives until it crashes, fails or is stopped, and after a crash or a failure is started
//! again, with nothing but what the systems hold.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Run;
use crate::design::Service;

/// How long a service that failed (its server is down, say) waits before its next life.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Starts all services of the design.
pub(crate) fn start_all(run: &Arc<Run>) -> JoinSet<()> {
    let mut services = JoinSet::new();
    for service in run.design.services() {
        services.spawn(live(run.clone(), service));
    }
    services
}

/// Stops all services where they stand.
pub(crate) async fn stop(mut services: JoinSet<()>) {
    services.shutdown().await;
}

async fn live(run: Arc<Run>, service: Service) {
    let actor: Arc<str> = service.name.as_str().into();
    loop {
        let crashed = run.gate.begin(&actor);
        let (ctx, stepper) = run.ctx(&actor, service.role);
        let ended = tokio::select! {
            biased;
            ended = run.guarded(&actor, (service.body)(ctx)) => Some(ended),
            _ = crashed => None,
        };
        match ended {
            None => stepper.record_end("crash"),
            Some(Err(panic)) => stepper.record_end(&panic),
            Some(Ok(Ok(()))) => stepper.record_end("ended"),
            Some(Ok(Err(error))) => stepper.record_end(&format!("failed: {error}")),
        }
        tokio::time::sleep(BACK_OFF).await;
    }
}
