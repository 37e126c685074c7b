//! Replays the orders that show an object linearizable: it shares nothing with the checkers but what the
//! operations of the object mean.

use std::collections::BTreeSet;

use super::action::{Step, parts};
use super::{Keys, Linearizability, Object};
use crate::foreign::OpHistory;

/// Whether the orders explain every operation of every key, and keep the order of real time.
pub fn verify_linearization(
    history: &OpHistory,
    object: Object,
    keys: Keys,
    found: &Linearizability,
) -> Result<(), String> {
    let parts = parts(history, object, keys).map_err(|error| error.to_string())?;
    for part in &parts {
        let key = part.key.clone().unwrap_or_default();
        let order = found.orders.get(&key).ok_or_else(|| format!("there is no order for key {key:?}"))?;
        let of = |call: &u32| part.steps.iter().find(|step| step.call == *call).cloned();
        let steps: Option<Vec<Step>> = if part.steps.windows(2).all(|pair| pair[0].call < pair[1].call) {
            let find = |call: &u32| part.steps.binary_search_by_key(call, |step| step.call).ok();
            order.iter().map(|call| find(call).map(|at| part.steps[at].clone())).collect()
        } else {
            order.iter().map(of).collect()
        };
        let steps = steps.ok_or("the order holds what the object did not do")?;
        let distinct: BTreeSet<u32> = order.iter().copied().collect();
        let is_whole = part.steps.iter().all(|step| step.end == u32::MAX || distinct.contains(&step.call));
        if distinct.len() != order.len() || !is_whole {
            return Err("the order holds a call twice, or leaves one out".to_owned());
        }
        replay(object, &steps)?;
    }
    Ok(())
}

fn replay(object: Object, steps: &[Step]) -> Result<(), String> {
    let mut state = object.initial();
    for step in steps {
        state = step.action.on(&state).ok_or_else(|| format!("call {} cannot come here", step.call))?;
    }
    let mut first_end = u32::MAX;
    for step in steps.iter().rev() {
        if first_end < step.begin {
            return Err(format!("call {} comes before one that had ended when it began", step.call));
        }
        first_end = first_end.min(step.end);
    }
    Ok(())
}
