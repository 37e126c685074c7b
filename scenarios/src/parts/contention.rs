//! Two writers of one key at once: the second has to wait for the first. Every design meets it, without faults
//! and with a COMMIT whose answer is lost.

use crosscheck_harness::design::Design;
use crosscheck_harness::operation::{Operation, OperationKind};
use crosscheck_harness::schedule::{Directed, Move, Schedule};

/// What the second writer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// The lock of the key's row, in the database.
    ForLock,
    /// Its turn, in the application.
    ForTurn,
}

/// The schedule without a fault, and the one in which the first writer never hears of its COMMIT.
pub fn schedules(design: &dyn Design, waits: Waits) -> [Schedule; 2] {
    [schedule(design, waits, false), schedule(design, waits, true)]
}

fn schedule(design: &dyn Design, waits: Waits, reply_lost: bool) -> Schedule {
    let writes = design.workload().writes;
    let write = |op_id: &str, value| Operation { f: writes, ..Operation::write(op_id, "k1", value) };
    debug_assert_ne!(writes, OperationKind::Read, "a workload writes");
    let clients = vec![
        vec![write("a1", 1), write("a2", 2), Operation::read("a3", "k1"), Operation::read("a4", "k1")],
        vec![write("b1", 3), Operation::read("b2", "k1"), Operation::read("b3", "k1")],
    ];
    let everything_arrives = design.services().into_iter().map(|service| Move::to_idle(&service.name));
    let mut moves = vec![Move::op("client-0")];
    moves.extend(everything_arrives.clone());
    moves.push(Move::to_call("client-0", "COMMIT"));
    moves.push(match waits {
        Waits::ForLock => Move::to_block("client-1"),
        Waits::ForTurn => Move::start("client-1"),
    });
    moves.push(if reply_lost { Move::lose_reply("client-0") } else { Move::op("client-0") });
    moves.push(Move::op("client-1"));
    moves.extend(everything_arrives);
    moves.extend([Move::op("client-0"), Move::op("client-0"), Move::op("client-1"), Move::op("client-1")]);
    let (name, about) = if reply_lost {
        ("two-writers-and-a-lost-reply", "two writers of one key; the first never hears of its COMMIT")
    } else {
        ("two-writers", "two writers of one key, the second waits for the first")
    };
    Schedule::directed(&design.id(), name, about, Directed { clients, moves })
}
