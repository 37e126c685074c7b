//! Which operations are explored.

use super::Search;
use crate::design::Design;
use crate::operation::{Generator, Operation, Workload};

/// In a hundred operations of a walk, how many read; where it is not as the design has it.
const READS_PERCENT: [Option<u32>; 4] = [None, Some(75), Some(0), Some(40)];

/// The operations of each client of a walk, the same for the same number: some bugs need few operations and some need
/// more, some hide behind one key and some need two, some are seen by readers only.
pub(super) fn of_walk(design: &dyn Design, search: &Search, number: u64) -> Vec<Vec<Operation>> {
    let usual = design.workload();
    let at = |count: u64, of: u64| usize::try_from(number / of % count).unwrap_or(0);
    let reads_percent = READS_PERCENT[at(4, 6)].unwrap_or(usual.reads_percent);
    // Some need a bystander.
    let clients = search.clients + usize::from(at(3, 1) == 2);
    let workload = Workload { clients, keys: 1 + at(2, 3), rate: None, reads_percent, ..usual };
    let operations = search.operations + at(4, 2);
    let seed = search.seed.wrapping_mul(1_000_003).wrapping_add(number);
    (0..clients)
        .map(|client| {
            let mut generator = Generator::new(seed, client, &workload);
            (0..operations).map(|_| generator.next_operation()).collect()
        })
        .collect()
}

/// The small workloads of an exhaustive search, one operation a client: where services do the work, writes of one key
/// and writes of a key each; else a write among reads, and writes.
pub(super) fn small(design: &dyn Design, search: &Search) -> Vec<Vec<Vec<Operation>>> {
    let write = |client: usize, key: &str| {
        vec![Operation::write(&format!("c{client}-1"), key, i64::try_from(client).unwrap_or(0) + 1)]
    };
    let read = |client: usize| vec![Operation::read(&format!("c{client}-1"), "k0")];
    let clients = || 0..search.clients;
    let one_key = clients().map(|client| write(client, "k0")).collect();
    let other = if design.services().is_empty() {
        clients().map(|client| if client == 0 { write(client, "k0") } else { read(client) }).collect()
    } else {
        clients().map(|client| write(client, &format!("k{client}"))).collect()
    };
    vec![one_key, other]
}
