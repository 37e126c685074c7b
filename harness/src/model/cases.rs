//! Conformance cases on the model: in virtual time, on one thread, each on systems of its own.

use tokio::runtime::Builder;

use crate::backend::HarnessError;
use crate::conform::{Case, Limits, Transcript};

/// Runs a case on the model.
///
/// # Errors
/// No runtime can be had.
pub fn run(case: &Case, limits: Limits) -> Result<Transcript, HarnessError> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| HarnessError::failed(format!("start a runtime: {error}")))?;
    runtime.block_on(on_systems(case, limits))
}

async fn on_systems(case: &Case, _limits: Limits) -> Result<Transcript, HarnessError> {
    let not_known = vec![format!("cases for {}", case.language.id())];
    Ok(Transcript { not_known, ..Transcript::default() })
}
