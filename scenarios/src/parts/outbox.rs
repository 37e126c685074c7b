//! The transactional outbox: the event is a row, written in the transaction that it announces.

use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Done, Failure, Layout};
use crosscheck_harness::operation::{Operation, OperationKind, Pauses, Workload};
use crosscheck_harness::port::{PortError, Row};
use crosscheck_harness::schedule::{Directed, Move, Schedule};
use crosscheck_models::property::Property;

use super::{event, stock};

/// What every outbox claims. Duplicates are allowed, and an order over all keys is not promised.
pub fn claims() -> Vec<Property> {
    vec![
        Property::NoGhost,
        Property::NoEarly,
        Property::NoLoss,
        Property::PerKeyOrder,
        Property::Fidelity,
        Property::Convergence,
        Property::MonotonicReads,
        Property::NoLostUpdate,
        Property::AckDurability,
        Property::Liveness,
    ]
}

/// The load: transactions that overlap, at a rate with which a relay keeps up. One that lags behind sees every
/// gap closed by the time it comes to it, and shows nothing.
pub fn workload() -> Workload {
    Workload {
        clients: 8,
        keys: 8,
        rate: Some(120),
        reads_percent: 34,
        writes: OperationKind::Write,
        aborts_percent: 3,
        pauses: Pauses { percent: 25, max_ms: 25 },
    }
}

/// The faults that an outbox claims to survive: crashes of the application, of the database and of the
/// broker, and every trouble on the links to both.
pub const FAULTS: &[&str] = &[
    "app-crash",
    "app-pause",
    "db-crash",
    "db-cut",
    "db-cut-replies",
    "db-refuse",
    "db-reset",
    "db-latency",
    "broker-crash",
    "broker-cut",
    "broker-cut-replies",
    "broker-refuse",
    "broker-reset",
    "broker-latency",
];

/// Adds the outbox table. Its ids are taken at INSERT, and seen at COMMIT.
pub fn with_outbox(mut layout: Layout) -> Layout {
    layout.ddl.push(
        "CREATE TABLE outbox (id bigserial PRIMARY KEY, key text NOT NULL, ver bigint NOT NULL, \
         op_id text NOT NULL, value bigint NOT NULL, published boolean NOT NULL DEFAULT false)"
            .to_owned(),
    );
    layout.outbox = Some(
        "SELECT id, key, ver, op_id, CASE WHEN published THEN 'published' ELSE 'new' END AS state \
         FROM outbox ORDER BY id"
            .to_owned(),
    );
    layout
}

/// One write: the stock, the ledger and the outbox in one transaction. The row of the key is locked before
/// the outbox id is taken, so ids of one key follow its versions. A transaction that the database rolled back for
/// a conflict is tried again.
///
/// # Errors
/// Unknown, unless the business logic turned it down before COMMIT.
pub async fn write(ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
    for _ in 0..stock::TRIES {
        let attempted = attempt(ctx, operation).await;
        if let Some(ver) = stock::settled(ctx, attempted).await? {
            return Ok(stock::written(operation, ver));
        }
    }
    Err(stock::too_many_conflicts())
}

/// The version that was committed; none where the business logic turned it down.
async fn attempt(ctx: &mut Ctx, operation: &Operation) -> Result<Option<u64>, PortError> {
    ctx.db.execute("BEGIN", &[]).await?;
    let ver = stock::set(ctx, operation).await?;
    ctx.db
        .execute(
            "INSERT INTO outbox (key, ver, op_id, value) VALUES ($1, $2, $3, $4)",
            &[(&operation.key).into(), ver.into(), (&operation.op_id).into(), operation.value.into()],
        )
        .await?;
    ctx.point("before_commit").await?;
    if operation.abort {
        ctx.db.execute("ROLLBACK", &[]).await?;
        return Ok(None);
    }
    ctx.db.execute("COMMIT", &[]).await?;
    Ok(Some(ver))
}

/// Publishes an outbox row, and waits for the broker's acknowledgement.
///
/// # Errors
/// Those of the broker.
pub async fn publish(ctx: &mut Ctx, row: &Row) -> Result<(), PortError> {
    let payload = event::encode(row.text("op_id")?, row.version("ver")?, row.int("value")?);
    ctx.broker.produce(event::TOPIC, row.text("key")?, &payload).await?;
    Ok(())
}

/// Two transactions overlap, first with a poll between their commits, then without.
pub fn overlapping(variant: &str) -> Schedule {
    let clients = vec![
        vec![
            Operation::write("a1", "k1", 11),
            Operation::write("a2", "k1", 12),
            Operation::write("a3", "k4", 13),
            Operation::write("a4", "k1", 14),
        ],
        vec![
            Operation::write("b1", "k2", 21),
            Operation::write("b2", "k5", 22),
            Operation::write("b3", "k1", 23),
            Operation::read("b4", "k1"),
        ],
    ];
    let mut moves = vec![
        Move::op("client-0"),
        Move::to_idle("relay"),
        // a2 takes its id before b1 and commits after the relay has seen b1.
        Move::to_point("client-0", "before_commit"),
        Move::op("client-1"),
        Move::to_idle("relay"),
        Move::op("client-0"),
        Move::to_idle("relay"),
    ];
    moves.extend(inverted());
    moves.extend([
        // b3 wants the key that a4 has locked: it waits, and comes after.
        Move::to_point("client-0", "before_commit"),
        Move::to_block("client-1"),
        Move::op("client-0"),
        Move::op("client-1"),
        Move::to_idle("relay"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
    ]);
    let about = "two transactions overlap, on different keys and on the same";
    Schedule::directed(variant, "overlapping", about, Directed { clients, moves })
}

/// The first client takes its id first and commits last, and the relay polls only then: what goes by ids
/// goes out in another order than that of the commits.
fn inverted() -> [Move; 5] {
    [
        Move::to_point("client-0", "before_commit"),
        Move::op("client-1"),
        Move::op("client-0"),
        Move::to_idle("relay"),
        Move::to_idle("consumer"),
    ]
}

/// The relay crashes at a point, between two events of a key and after the last one of another.
pub fn relay_crashes_at(variant: &str, point: &str, about: &str) -> Schedule {
    let clients = vec![
        vec![
            Operation::write("a1", "k1", 11),
            Operation::write("a2", "k1", 12),
            Operation::write("a3", "k1", 13),
            Operation::write("a4", "k3", 14),
            Operation::write("a5", "k4", 15),
        ],
        vec![Operation::write("b1", "k5", 21), Operation::read("b2", "k1"), Operation::read("b3", "k1")],
    ];
    let mut moves = vec![Move::op("client-0"), Move::to_idle("relay"), Move::to_idle("consumer")];
    let crash = [Move::to_point("relay", point), Move::crash("relay"), Move::to_idle("relay")];
    moves.push(Move::op("client-0"));
    moves.extend(crash.clone());
    moves.extend([Move::op("client-0"), Move::to_idle("relay")]);
    moves.push(Move::op("client-0"));
    moves.extend(crash);
    moves.extend(inverted());
    moves.extend([Move::op("client-1"), Move::op("client-1")]);
    Schedule::directed(
        variant,
        &format!("relay-crash-{}", point.replace('_', "-")),
        about,
        Directed { clients, moves },
    )
}

/// A writer crashes before its COMMIT, and requests and replies are lost on the way to both systems; the
/// database is killed and comes back.
pub fn writer_crashes_and_replies_are_lost(variant: &str) -> Schedule {
    let writes = (1..=7).map(|n| Operation::write(&format!("a{n}"), "k1", 10 + n)).collect();
    let clients = vec![writes, vec![Operation::read("b1", "k1"), Operation::read("b2", "k1")]];
    let moves = vec![
        Move::op("client-0"),
        Move::to_idle("relay"),
        Move::to_point("client-0", "before_commit"),
        Move::crash("client-0"),
        Move::to_call("client-0", "COMMIT"),
        Move::lose_reply("client-0"),
        Move::to_call("client-0", "COMMIT"),
        Move::lose_request("client-0"),
        Move::to_call("relay", "produce"),
        Move::lose_reply("relay"),
        Move::to_call("relay", "produce"),
        Move::lose_request("relay"),
        Move::to_idle("relay"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
        Move::op("client-0"),
        Move::inject("db-crash", None),
        Move::heal("db-crash", None),
        Move::op("client-0"),
        Move::op("client-0"),
        Move::to_idle("relay"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
    ];
    let about = "a writer crashes, requests and replies are lost, the database is killed and comes back";
    Schedule::directed(variant, "writer-crash-and-lost-replies", about, Directed { clients, moves })
}
