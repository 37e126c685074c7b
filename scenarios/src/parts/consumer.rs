//! Consumers: each keeps a projection table, and its place in the topic beside it, changed in one
//! transaction. So a crash of the consumer neither skips nor repeats an effect, and what goes wrong in the
//! projection comes from the design that publishes.

use std::time::Duration;

use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Decode, Layout, Role, Service};
use crosscheck_harness::port::{Message, PortError};
use crosscheck_models::history::Effect;

use super::event;

const POLL: Duration = Duration::from_millis(10);

/// What a consumer does with an event that is older than what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// The last one to arrive wins.
    LastArrival,
    /// The newest version wins.
    NewestVersion,
}

/// Adds the projection and the place in the topic.
pub fn with_projection(mut layout: Layout) -> Layout {
    layout.ddl.extend([
        "CREATE TABLE projection (key text PRIMARY KEY, ver bigint NOT NULL, value bigint NOT NULL)"
            .to_owned(),
        "CREATE TABLE consumer_place (next_offset bigint NOT NULL)".to_owned(),
        "INSERT INTO consumer_place VALUES (0)".to_owned(),
    ]);
    layout
        .projections
        .push(("projection".to_owned(), "SELECT key, ver, value FROM projection ORDER BY key".to_owned()));
    layout
}

/// The service.
pub fn service(applies: Applies) -> Service {
    service_of(applies, event::decode)
}

/// The service, for messages of another form.
pub fn service_of(applies: Applies, decode: Decode) -> Service {
    Service::new("consumer", Role::Consumer, move |ctx| consume(ctx, applies, decode))
}

async fn consume(mut ctx: Ctx, applies: Applies, decode: Decode) -> Result<(), PortError> {
    let mut next =
        ctx.db.query_one("SELECT next_offset FROM consumer_place", &[]).await?.int("next_offset")?;
    ctx.broker.assign(event::TOPIC, 0, next).await?;
    loop {
        let messages = ctx.broker.poll(POLL, 100).await?;
        // Nothing came: that it is all there is, the end of the log must say.
        if messages.is_empty() && ctx.broker.end_offset(event::TOPIC, 0).await? <= next {
            ctx.idle(POLL).await;
        }
        for message in &messages {
            next = message.offset + 1;
            apply(&mut ctx, message, applies, decode).await?;
        }
    }
}

async fn apply(ctx: &mut Ctx, message: &Message, applies: Applies, decode: Decode) -> Result<(), PortError> {
    let Some(event) = decode(&message.key, message.payload.as_deref().unwrap_or("")) else {
        return Ok(());
    };
    ctx.deliver(message, event);
    let value = match &event.value {
        crosscheck_models::history::Scalar::Int(value) => *value,
        _ => 0,
    };
    let upsert = match applies {
        Applies::LastArrival => {
            "INSERT INTO projection AS p VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE \
             SET ver = excluded.ver, value = excluded.value"
        }
        Applies::NewestVersion => {
            "INSERT INTO projection AS p VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE \
             SET ver = excluded.ver, value = excluded.value WHERE p.ver < excluded.ver"
        }
    };
    ctx.db.execute("BEGIN", &[]).await?;
    let applied =
        ctx.db.execute(upsert, &[event.key.as_str().into(), event.ver.into(), value.into()]).await?;
    ctx.db.execute("UPDATE consumer_place SET next_offset = $1", &[(message.offset + 1).into()]).await?;
    ctx.db.execute("COMMIT", &[]).await?;
    if applied > 0 {
        ctx.effect(Effect {
            store: "projection".into(),
            key: event.key,
            ver: event.ver,
            op_id: event.op_id,
            event_id: event.event_id,
        });
    }
    Ok(())
}
