//! Replays the orders that show an object linearizable: it shares nothing with the checkers but what the
//! operations of the object mean.

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
    let mut place_of = vec![None; history.calls().len()];
    for part in &parts {
        let key = part.key.clone().unwrap_or_default();
        let order = found.orders.get(&key).ok_or_else(|| format!("there is no order for key {key:?}"))?;
        for (place, step) in part.steps.iter().enumerate() {
            place_of[step.call as usize] = Some(place);
        }
        let mut is_there = vec![false; part.steps.len()];
        let mut steps = Vec::with_capacity(order.len());
        for call in order {
            let place = place_of.get(*call as usize).copied().flatten();
            let place = place.ok_or("the order holds what the object did not do")?;
            if std::mem::replace(&mut is_there[place], true) {
                return Err(format!("the order holds call {call} twice"));
            }
            steps.push(&part.steps[place]);
        }
        let left_out =
            part.steps.iter().zip(&is_there).find(|(step, there)| step.end != u32::MAX && !**there);
        if let Some((step, _)) = left_out {
            return Err(format!("the order leaves out call {}, which happened", step.call));
        }
        replay(object, &steps)?;
        part.steps.iter().for_each(|step| place_of[step.call as usize] = None);
    }
    Ok(())
}

fn replay(object: Object, steps: &[&Step]) -> Result<(), String> {
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
