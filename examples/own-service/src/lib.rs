//! An order service that announces its orders to other services: all of its logic.
use std::time::Duration;

use crosscheck_harness::context::Ctx;
use crosscheck_harness::port::PortError;

/// The topic on which orders are announced.
pub const TOPIC: &str = "orders";

/// How the relay finds what is not announced yet, and how it notes that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relay(&'static str, &'static str);

impl Relay {
    /// What is not marked as announced.
    pub const UNMARKED: Relay = Relay(
        "SELECT * FROM outgoing WHERE NOT announced ORDER BY id LIMIT 100",
        "UPDATE outgoing SET announced = true WHERE id = $1",
    );
    /// What has a larger id than the last one announced: it looks right, and loses orders.
    pub const BY_LAST_ID: Relay = Relay(
        "SELECT * FROM outgoing WHERE id > (SELECT id FROM last_announced) ORDER BY id LIMIT 100",
        "UPDATE last_announced SET id = $1",
    );

    /// Announces orders one by one, and each time waits until Kafka has it.
    pub async fn run(self, mut ctx: Ctx) -> Result<(), PortError> {
        let Relay(find, note) = self;
        loop {
            let found = ctx.db.query(find, &[]).await?;
            for row in &found {
                let (order, request) = (row.text("order_id")?, row.text("request")?);
                let (revision, quantity) = (row.int("revision")?, row.int("quantity")?);
                let message = format!(r#"{{"rev":{revision},"qty":{quantity},"request":"{request}"}}"#);
                ctx.broker.produce(TOPIC, order, &message).await?;
                ctx.point("after_publish_before_note").await?;
                ctx.db.execute(note, &[row.int("id")?.into()]).await?;
            }
            if found.is_empty() {
                ctx.idle(Duration::from_millis(5)).await;
            }
        }
    }
}

/// Sets the quantity of an order and puts its announcement into the outbox, both or neither. Returns the revision.
pub async fn place(ctx: &mut Ctx, request: &str, order: &str, quantity: i64) -> Result<u64, PortError> {
    const ORDER: &str = "INSERT INTO orders VALUES ($1, 1, $2) ON CONFLICT (id) DO UPDATE \
                         SET revision = orders.revision + 1, quantity = $2 RETURNING revision";
    const OUTGOING: &str = "INSERT INTO outgoing VALUES (DEFAULT, $1, $2, $3, $4)";
    const LEDGER: &str = "INSERT INTO ledger VALUES ($1, $2, $3, $4)"; // why: see the check's `layout`
    ctx.db.execute("BEGIN", &[]).await?;
    let revision = ctx.db.query_one(ORDER, &[order.into(), quantity.into()]).await?.version("revision")?;
    let all = [order.into(), revision.into(), quantity.into(), request.into()];
    ctx.db.execute(OUTGOING, &all).await?;
    ctx.db.execute(LEDGER, &all).await?;
    ctx.point("before_commit").await?;
    ctx.db.execute("COMMIT", &[]).await?;
    Ok(revision)
}
