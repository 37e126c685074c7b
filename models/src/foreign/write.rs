//! Histories as text for others: Jepsen's EDN, and the JSON lines that elle-cli reads.

use std::io::{self, Write};

use super::OpHistory;
use super::value::{Form, Items, Value};

/// Writes one operation a line, as Jepsen does.
pub fn write_edn(history: &OpHistory, out: &mut dyn Write) -> io::Result<()> {
    (0..history.ops().len() as u32).try_for_each(|op| write_edn_of(history, op, out))
}

/// Writes one operation on a line.
pub(super) fn write_edn_of(history: &OpHistory, at: u32, out: &mut dyn Write) -> io::Result<()> {
    let op = &history.ops()[at as usize];
    write!(out, "{{:index {}", op.index)?;
    if let Some(time) = op.time {
        write!(out, ", :time {time}")?;
    }
    let process = history.store().show(op.process);
    let f = history.f(at);
    write!(out, ", :process {}, :type :{}", keyword(&process), op.kind.name())?;
    if !f.is_empty() {
        write!(out, ", :f {}", keyword(&quoted(f)?))?;
    }
    out.write_all(b", :value ")?;
    let value = history.value(at);
    match value.form() {
        Form::List(mops) if f == "txn" => write_micro_ops(mops, out)?,
        _ => write!(out, "{value}")?,
    }
    if let Some(stamps) = history.stamps_at(at) {
        write!(out, ", :start-ts {}, :commit-ts {}", stamps.start, stamps.commit)?;
    }
    out.write_all(b"}\n")
}

/// The first word of a micro-operation is a keyword in EDN, whatever it was where it came from.
fn write_micro_ops(mops: Items<'_>, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"[")?;
    for (at, mop) in mops.enumerate() {
        out.write_all(if at > 0 { b" " } else { b"" })?;
        let Form::List(items) = mop.form() else {
            write!(out, "{mop}")?;
            continue;
        };
        out.write_all(b"[")?;
        for (at, item) in items.enumerate() {
            match item.form() {
                Form::Text(_) if at == 0 => out.write_all(keyword(&item.to_string()).as_bytes())?,
                _ => write!(out, "{}{item}", if at > 0 { " " } else { "" })?,
            }
        }
        out.write_all(b"]")?;
    }
    out.write_all(b"]")
}

/// A quoted text as a keyword, where it can be one.
fn keyword(shown: &str) -> String {
    let inside = shown.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inside {
        Some(name)
            if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') =>
        {
            format!(":{name}")
        }
        _ => shown.to_owned(),
    }
}

/// Writes one operation a line, as elle-cli reads them.
pub fn write_jsonl(history: &OpHistory, out: &mut dyn Write) -> io::Result<()> {
    for (at, op) in history.ops().iter().enumerate() {
        write!(out, "{{\"index\":{}", op.index)?;
        if let Some(time) = op.time {
            write!(out, ",\"time\":{time}")?;
        }
        out.write_all(b",\"process\":")?;
        match history.store().as_int(op.process) {
            Some(process) => write!(out, "{process}")?,
            None => write_text(history.store().as_text(op.process).unwrap_or_default(), out)?,
        }
        write!(out, ",\"type\":\"{}\",\"f\":", op.kind.name())?;
        write_text(history.f(at as u32), out)?;
        out.write_all(b",\"value\":")?;
        write_json(history.value(at as u32), out)?;
        if let Some(stamps) = history.stamps_at(at as u32) {
            write!(out, ",\"start_ts\":{},\"commit_ts\":{}", stamps.start, stamps.commit)?;
        }
        out.write_all(b"}\n")?;
    }
    Ok(())
}

/// A value as JSON.
pub(super) fn json_text(value: Value<'_>) -> String {
    let mut text = Vec::new();
    // Memory takes it, and all of it is UTF-8.
    let _ = write_json(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn write_json(value: Value<'_>, out: &mut dyn Write) -> io::Result<()> {
    match value.form() {
        Form::Nil => out.write_all(b"null"),
        Form::Bool(value) => write!(out, "{value}"),
        Form::Int(value) => write!(out, "{value}"),
        // JSON knows no ratios and no `M`.
        Form::Number(text) if serde_json::from_str::<serde_json::Number>(text).is_ok() => {
            out.write_all(text.as_bytes())
        }
        Form::Number(text) | Form::Text(text) | Form::Name(text) => write_text(text, out),
        Form::List(items) => {
            out.write_all(b"[")?;
            for (at, item) in items.enumerate() {
                out.write_all(if at > 0 { b"," } else { b"" })?;
                write_json(item, out)?;
            }
            out.write_all(b"]")
        }
        Form::Map(items) => {
            out.write_all(b"{")?;
            for (at, item) in items.enumerate() {
                match at % 2 {
                    0 => {
                        out.write_all(if at > 0 { b"," } else { b"" })?;
                        let name = item.as_text().map_or_else(|| item.to_string(), str::to_owned);
                        write_text(&name, out)?;
                        out.write_all(b":")?;
                    }
                    _ => write_json(item, out)?,
                }
            }
            out.write_all(b"}")
        }
    }
}

fn quoted(text: &str) -> io::Result<String> {
    serde_json::to_string(text).map_err(io::Error::from)
}

fn write_text(text: &str, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(out, text).map_err(io::Error::from)
}
