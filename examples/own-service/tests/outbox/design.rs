//! What Crosscheck has to know of the order service to check it: which tables and topics it has and how to read
//! them at the end, what runs beside its clients, and what a client does. No logic of the service is here.

use std::time::Duration;

use async_trait::async_trait;
use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs, Role, Service};
use crosscheck_harness::operation::{Operation, OperationKind};
use crosscheck_harness::port::PortError;
use crosscheck_harness::schedule::{Directed, Move, Schedule};
use crosscheck_models::history::{Deliver, ReadItem, Scalar, Source, WriteItem};
use crosscheck_models::property::Property;
use own_service::{Relay, TOPIC, place};

const POLL: Duration = Duration::from_millis(10);

/// The order service with one of its relays.
#[derive(Debug)]
pub(crate) struct Orders(pub(crate) Relay);

#[async_trait]
impl Design for Orders {
    fn id(&self) -> String {
        if self.0 == Relay::BY_LAST_ID { "orders/by-last-id" } else { "orders" }.to_owned()
    }

    fn about(&self) -> String {
        "orders in PostgreSQL, announced on a topic through an outbox".to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, broker: true, cache: false }
    }

    fn claims(&self) -> Vec<Property> {
        vec![
            Property::NoGhost,
            Property::NoEarly,
            Property::NoLoss,
            Property::PerKeyOrder,
            Property::Fidelity,
            Property::AckDurability,
        ]
    }

    fn faults(&self) -> Vec<&'static str> {
        vec!["app-crash@client", "app-crash@relay", "db-cut-replies@client", "db-crash", "broker-reset@relay"]
    }

    /// The service's own tables, and the ledger.
    ///
    /// Why a ledger: a client whose connection breaks at COMMIT does not know whether its order was placed, so
    /// nobody could say whether its announcement is missing. A row that the same transaction adds to a table
    /// which is never changed settles it afterwards: the order was placed if and only if the row is there. It
    /// is not the outbox, for what is missing there is what the check looks for. Many services have such a
    /// table already: an audit log, a journal, the idempotency keys.
    fn layout(&self) -> Layout {
        let ddl = [
            "CREATE TABLE orders (id text PRIMARY KEY, revision bigint NOT NULL, quantity bigint NOT NULL)",
            "CREATE TABLE outgoing (id bigserial PRIMARY KEY, order_id text NOT NULL, revision bigint NOT NULL, \
             quantity bigint NOT NULL, request text NOT NULL, announced boolean NOT NULL DEFAULT false)",
            "CREATE TABLE last_announced AS SELECT 0::bigint AS id",
            "CREATE TABLE ledger (key text, ver bigint, value bigint NOT NULL, op_id text NOT NULL UNIQUE, \
             PRIMARY KEY (key, ver))",
        ];
        Layout {
            ddl: ddl.map(str::to_owned).to_vec(),
            topics: vec![(TOPIC.to_owned(), 1)],
            source_of_truth: Some(
                "SELECT id AS key, revision AS ver, quantity AS value FROM orders".to_owned(),
            ),
            ledger: Some(
                "SELECT key, ver, op_id, value, NULL::bigint AS base_ver, NULL::bigint AS delta FROM ledger"
                    .to_owned(),
            ),
            outbox: Some(
                "SELECT id, order_id AS key, revision AS ver, request AS op_id, NULL AS state FROM outgoing"
                    .to_owned(),
            ),
            decode: Some(announcement),
            ..Layout::default()
        }
    }

    fn services(&self) -> Vec<Service> {
        let relay = self.0;
        vec![
            Service::new("relay", Role::Relay, move |ctx| relay.run(ctx)),
            Service::new("listener", Role::Consumer, listen),
        ]
    }

    /// Load alone finds what is wrong with the relay, by chance. These moves find it each time.
    fn schedules(&self) -> Vec<Schedule> {
        let clients =
            vec![vec![Operation::write("ann", "shoes", 2)], vec![Operation::write("bob", "socks", 7)]];
        let moves = vec![
            Move::to_point("client-0", "before_commit"),
            Move::op("client-1"),
            Move::to_idle("relay"),
            Move::op("client-0"),
            Move::to_idle("relay"),
        ];
        let about = "ann's order takes its id first and commits last, and the relay polls in between";
        vec![Schedule::directed(&self.id(), "late-commit", about, Directed { clients, moves })]
    }

    async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
        match operation.f {
            OperationKind::Read => read(ctx, &operation.key).await,
            OperationKind::Write | OperationKind::Add => {
                let revision = place(ctx, &operation.op_id, &operation.key, operation.value).await?;
                Ok(Done::write(WriteItem {
                    key: operation.key.as_str().into(),
                    value: Scalar::Int(operation.value),
                    ver: Some(revision),
                    ..WriteItem::default()
                }))
            }
        }
    }
}

async fn read(ctx: &mut Ctx, order: &str) -> Result<Done, Failure> {
    let rows = ctx.db.query("SELECT revision, quantity FROM orders WHERE id = $1", &[order.into()]).await?;
    let mut item = ReadItem { key: order.into(), source: Some(Source::Db), ..ReadItem::default() };
    if let Some(row) = rows.first() {
        item.ver = Some(row.version("revision")?);
        item.value = Scalar::Int(row.int("quantity")?);
    }
    Ok(Done::read(item))
}

/// Stands for the services that listen to orders, and notes what they would receive.
async fn listen(mut ctx: Ctx) -> Result<(), PortError> {
    let mut next = 0;
    ctx.broker.assign(TOPIC, 0, next).await?;
    loop {
        let messages = ctx.broker.poll(POLL, 100).await?;
        for message in &messages {
            next = message.offset + 1;
            if let Some(event) = announcement(&message.key, message.payload.as_deref().unwrap_or("")) {
                ctx.deliver(message, event);
            }
        }
        if messages.is_empty() && ctx.broker.end_offset(TOPIC, 0).await? <= next {
            ctx.idle(POLL).await;
        }
    }
}

/// A message of the topic as an event: which version of which key, made by which operation.
fn announcement(order: &str, payload: &str) -> Option<Deliver> {
    let payload: serde_json::Value = serde_json::from_str(payload).ok()?;
    Some(Deliver {
        key: order.into(),
        ver: payload["rev"].as_u64()?,
        value: Scalar::Int(payload["qty"].as_i64()?),
        op_id: payload["request"].as_str()?.into(),
        ..Deliver::default()
    })
}
