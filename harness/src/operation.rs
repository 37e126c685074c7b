//! What a client asks of a design: operations, and the seeded generator that makes them.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// One client operation. Every write writes a value that no other write of the run writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The unique id.
    pub op_id: String,
    /// What to do.
    pub f: OperationKind,
    /// The key.
    pub key: String,
    /// For a write: the value. For an increment: by how much.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub value: i64,
    /// Whether the business logic turns the operation down after it has begun (a validation that fails
    /// late): its transaction is rolled back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub abort: bool,
}

impl Operation {
    /// Sets a key to a value.
    pub fn write(op_id: &str, key: &str, value: i64) -> Self {
        Operation {
            op_id: op_id.to_owned(),
            f: OperationKind::Write,
            key: key.to_owned(),
            value,
            abort: false,
        }
    }

    /// Adds to a key.
    pub fn add(op_id: &str, key: &str, by: i64) -> Self {
        Operation { f: OperationKind::Add, ..Operation::write(op_id, key, by) }
    }

    /// Reads a key.
    pub fn read(op_id: &str, key: &str) -> Self {
        Operation { f: OperationKind::Read, ..Operation::write(op_id, key, 0) }
    }

    /// The same, turned down by the business logic after it has begun.
    #[must_use]
    pub fn aborted(self) -> Self {
        Operation { abort: true, ..self }
    }
}

/// The kinds of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// Set a key to a value, without looking.
    Write,
    /// Add to a key's value.
    Add,
    /// Read a key.
    Read,
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// The shape of a stress run's load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// How many clients run at once.
    pub clients: usize,
    /// How many keys they share.
    pub keys: usize,
    /// Operations a second over all clients; none: as fast as each client gets its answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// In a hundred operations, how many read.
    pub reads_percent: u32,
    /// Whether writes set a value or add to it.
    pub writes: OperationKind,
    /// In a hundred writes, how many the business logic turns down after they have begun.
    #[serde(default)]
    pub aborts_percent: u32,
    /// The work that the application does between its calls.
    pub pauses: Pauses,
}

/// Work between calls: at each named point, with some probability, for some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pauses {
    /// At how many of a hundred points.
    pub percent: u32,
    /// Up to how long, uniformly.
    pub max_ms: u64,
}

/// The operations of one client: the same seed and client always give the same ones.
#[derive(Debug)]
pub struct Generator {
    rng: ChaCha8Rng,
    workload: Workload,
    client: usize,
    count: i64,
}

impl Generator {
    /// The generator of one client. Each client has a random stream of its own, so that one draw more in
    /// one client changes nothing in the others.
    pub fn new(seed: u64, client: usize, workload: &Workload) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(client as u64 + 1);
        Generator { rng, workload: workload.clone(), client, count: 0 }
    }

    /// The next operation.
    pub fn next_operation(&mut self) -> Operation {
        self.count += 1;
        let key = format!("k{}", self.rng.random_range(0..self.workload.keys.max(1)));
        let op_id = format!("c{}-{}", self.client, self.count);
        if self.rng.random_range(0..100) < self.workload.reads_percent {
            return Operation { op_id, f: OperationKind::Read, key, value: 0, abort: false };
        }
        let value = match self.workload.writes {
            OperationKind::Add => self.rng.random_range(1..10),
            OperationKind::Write | OperationKind::Read => self.client as i64 * 10_000_000 + self.count,
        };
        let abort = self.rng.random_range(0..100) < self.workload.aborts_percent;
        Operation { op_id, f: self.workload.writes, key, value, abort }
    }
}

/// A random stream for one purpose, from the run's seed. Purposes share no draws.
pub fn stream(seed: u64, purpose: &str) -> impl Rng + use<> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // FNV-1a: any fixed hash will do, as long as it is the same on every machine.
    let hash = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    rng.set_stream(hash);
    rng
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload() -> Workload {
        Workload {
            clients: 2,
            keys: 3,
            rate: None,
            reads_percent: 50,
            writes: OperationKind::Write,
            aborts_percent: 10,
            pauses: Pauses { percent: 0, max_ms: 0 },
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_operations() {
        let take = |seed| {
            let mut generator = Generator::new(seed, 1, &workload());
            (0..100).map(|_| generator.next_operation()).collect::<Vec<_>>()
        };
        assert_eq!(take(7), take(7));
        assert_ne!(take(7), take(8));
    }

    #[test]
    fn no_two_writes_write_the_same_value() {
        let mut values = std::collections::BTreeSet::new();
        for client in 0..4 {
            let mut generator = Generator::new(1, client, &workload());
            for _ in 0..200 {
                let operation = generator.next_operation();
                if operation.f == OperationKind::Write {
                    assert!(values.insert(operation.value), "{} written twice", operation.value);
                }
            }
        }
    }
}
