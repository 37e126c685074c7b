//! Commands about the connection and the server.

use bytes::Bytes;
use tokio::time::Duration;

use super::super::answer::Stop;
use super::super::answer::{Answer, OK, Outcome, arity, error, not_known};
use super::super::blocking::Wait;
use super::super::number::int;
use super::super::state::State;
use super::upper;

pub(super) fn ping(_state: &mut State, args: &[&[u8]]) -> Outcome {
    match args[1..] {
        [] => Ok(Answer::Status("PONG".into())),
        [text] => Ok(Answer::bulk(text)),
        _ => Err(arity("ping")),
    }
}

pub(super) fn echo(_state: &mut State, args: &[&[u8]]) -> Outcome {
    Ok(Answer::bulk(args[1]))
}

pub(super) fn time(state: &mut State, _args: &[&[u8]]) -> Outcome {
    state.now_ms();
    let now_us = state.clock.now_us();
    let part = |number: u64| Answer::Bulk(Bytes::from(number.to_string()));
    Ok(Answer::Array(vec![part(now_us / 1_000_000), part(now_us % 1_000_000)]))
}

/// What a server of the model says about itself: of each section that it knows, the fields that designs ask for.
pub(super) fn info(state: &mut State, args: &[&[u8]]) -> Outcome {
    state.note_all(false);
    let is_asked = |section: &str| {
        let names = || args[1..].iter().map(|word| upper(word));
        args.len() == 1
            || names()
                .any(|name| name == section || ["ALL", "DEFAULT", "EVERYTHING"].contains(&name.as_str()))
    };
    let mut text = String::new();
    if is_asked("SERVER") {
        text.push_str("# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n\r\n");
    }
    if is_asked("CLIENTS") {
        let (connected, blocked) = (state.sessions.len(), state.waiters.len());
        text.push_str(&format!(
            "# Clients\r\nconnected_clients:{connected}\r\nblocked_clients:{blocked}\r\n\r\n"
        ));
    }
    if is_asked("REPLICATION") {
        let replicas = usize::from(state.replica.is_some());
        text.push_str(&format!("# Replication\r\nrole:master\r\nconnected_slaves:{replicas}\r\n\r\n"));
    }
    if is_asked("KEYSPACE") {
        text.push_str("# Keyspace\r\n");
        let keys = state.live_keys().len();
        if keys > 0 {
            let ending = state.keys.values().filter(|entry| entry.expires_ms.is_some()).count();
            text.push_str(&format!("db0:keys={keys},expires={ending},avg_ttl=0\r\n"));
        }
    }
    Ok(Answer::Bulk(Bytes::from(text)))
}

/// Waits until what the connection wrote before has arrived at the replica, or for as long as it is told.
pub(super) fn wait(state: &mut State, args: &[&[u8]]) -> Outcome {
    let replicas = int(args[1])?;
    let timeout = super::super::number::parse_int(args[2])
        .ok_or(error("ERR timeout is not an integer or out of range"))?;
    let timeout_ms = u64::try_from(timeout).map_err(|_| error("ERR timeout is negative"))?;
    state.note_all(true);
    state.replicate();
    let session = state.caller.session;
    let wrote_us = state.sessions.get(&session).and_then(|session| session.wrote_us);
    let on_the_way = state.replica.as_ref().and_then(|replica| replica.on_the_way());
    let has_arrived = match (wrote_us, on_the_way) {
        (Some(wrote_us), Some((oldest_us, _))) => wrote_us < oldest_us,
        (None, _) | (_, None) => true,
    };
    let arrived = i64::from(state.replica.is_some() && has_arrived);
    if arrived >= replicas {
        return Ok(Answer::Int(arrived));
    }
    let limit = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms));
    let arrives = wrote_us.filter(|_| !state.is_held && replicas == 1).zip(state.settings.replication_lag);
    if let Some((wrote_us, lag)) = arrives {
        let passed = Duration::from_micros(state.clock.now_us().saturating_sub(wrote_us));
        let left = lag.saturating_sub(passed);
        if limit.is_none_or(|limit| left <= limit) {
            return Err(Stop::Wait(Wait::for_nothing(Some(left), Answer::Int(1))));
        }
    }
    Err(Stop::Wait(Wait::for_nothing(limit, Answer::Int(arrived))))
}

pub(super) fn object(_state: &mut State, args: &[&[u8]]) -> Outcome {
    Err(not_known(&format!("OBJECT {}", upper(args[1]))))
}

pub(super) fn quit(state: &mut State, _args: &[&[u8]]) -> Outcome {
    state.close_session(state.caller.session);
    Ok(OK)
}
