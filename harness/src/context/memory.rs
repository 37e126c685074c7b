//! The memory that the actors of one run share.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// One value of each type, made when it is first asked for. Another run has its own.
#[derive(Default)]
pub(crate) struct Memory(Mutex<BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Memory {
    /// The run's value of this type.
    pub(crate) fn of<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut values = self.0.lock().expect("making a default value does not panic");
        let value = values.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default())).clone();
        drop(values);
        value.downcast().expect("it is filed under its type")
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_run_has_one_value_of_a_type_and_another_run_has_its_own() {
        let (one, other) = (Memory::default(), Memory::default());
        one.of::<AtomicU64>().store(7, Ordering::Relaxed);
        assert_eq!(one.of::<AtomicU64>().load(Ordering::Relaxed), 7);
        assert_eq!(other.of::<AtomicU64>().load(Ordering::Relaxed), 0);
    }
}
