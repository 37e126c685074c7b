//! Replies as Lua values, and back (Redis documentation, "Data type conversion").

use bytes::Bytes;
use mlua::{Lua, MultiValue, Table, Value};

use super::super::answer::Answer;
use super::super::number;

/// How deep the tables of a result may be.
const DEPTH_MAX: usize = 100;

/// What a command answered, as the script sees it.
pub(super) fn to_lua(lua: &Lua, answer: &Answer) -> mlua::Result<Value> {
    Ok(match answer {
        Answer::Nil | Answer::NilArray => Value::Boolean(false),
        // As in Redis, numbers above 2^53 lose their last digits.
        Answer::Int(value) => Value::Number(*value as f64),
        Answer::Status(text) => single(lua, "ok", text)?,
        Answer::Error(text) => single(lua, "err", text)?,
        Answer::Bulk(bytes) => Value::String(lua.create_string(bytes)?),
        Answer::Array(all) => {
            let table = lua.create_table_with_capacity(all.len(), 0)?;
            for (answer, at) in all.iter().zip(1..) {
                table.raw_set(at, to_lua(lua, answer)?)?;
            }
            Value::Table(table)
        }
    })
}

/// A table with one field.
pub(super) fn single(lua: &Lua, field: &str, text: &str) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(field, text)?;
    Ok(Value::Table(table))
}

/// What a script returned, as the client sees it.
pub(super) fn to_answer(value: &Value, depth: usize) -> Answer {
    match value {
        Value::Boolean(true) => Answer::Int(1),
        Value::Integer(value) => Answer::Int(*value),
        Value::Number(value) => Answer::Int(number::truncated(*value)),
        Value::String(text) => Answer::bulk(&text.as_bytes()),
        Value::Table(_) if depth >= DEPTH_MAX => Answer::Error("ERR reached lua stack limit".into()),
        Value::Table(table) => table_answer(table, depth),
        _ => Answer::Nil,
    }
}

fn table_answer(table: &Table, depth: usize) -> Answer {
    if let Some(text) = field(table, "err") {
        return Answer::Error(text.into());
    }
    if let Some(text) = field(table, "ok") {
        return Answer::Status(text.into());
    }
    if let Ok(Value::Number(double)) = table.raw_get("double") {
        return Answer::Bulk(Bytes::from(number::score_text(double)));
    }
    let mut all = Vec::new();
    // A table ends at its first nil.
    for at in 1_i64.. {
        match table.raw_get(at) {
            Ok(Value::Nil) | Err(_) => break,
            Ok(value) => all.push(to_answer(&value, depth + 1)),
        }
    }
    Answer::Array(all)
}

/// A field that is a text.
pub(super) fn field(table: &Table, name: &str) -> Option<String> {
    match table.raw_get(name) {
        Ok(Value::String(text)) => {
            // An error or a status is one line.
            Some(text.to_string_lossy().replace(['\r', '\n'], " "))
        }
        _ => None,
    }
}

/// The words of a command that a script calls; none where one is neither a text nor a number.
pub(super) fn words(args: &MultiValue) -> Option<Vec<Bytes>> {
    let word = |value: &Value| match value {
        Value::String(text) => Some(Bytes::copy_from_slice(&text.as_bytes())),
        Value::Integer(value) => Some(Bytes::from(number::significant(*value as f64, 17))),
        Value::Number(value) => Some(Bytes::from(number::significant(*value, 17))),
        _ => None,
    };
    args.iter().map(word).collect()
}
