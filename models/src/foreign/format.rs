//! The formats, and how they are told apart.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// How a history of others is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Jepsen's EDN: one operation a line, or all of them in one vector.
    Edn,
    /// elle-cli's JSON: an array of operations, or one a line.
    Json,
    /// The lines that `jepsen.util` logs.
    JepsenLog,
    /// `r(key,value,session,txn)` and `w(..)`, as Plume and AWDIT read them.
    Plume,
    /// Rows with a line of column names.
    Csv,
}

/// A name that is no format.
#[derive(Debug, Error)]
#[error("no format is called {0:?}: they are edn, json, jsonl, jepsen-log, plume, awdit and csv")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Format, UnknownFormat> {
        match name {
            "edn" => Ok(Format::Edn),
            "json" | "jsonl" => Ok(Format::Json),
            "jepsen-log" => Ok(Format::JepsenLog),
            "plume" | "awdit" => Ok(Format::Plume),
            "csv" => Ok(Format::Csv),
            other => Err(UnknownFormat(other.to_owned())),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Edn => "edn",
            Format::Json => "json",
            Format::JepsenLog => "jepsen-log",
            Format::Plume => "plume",
            Format::Csv => "csv",
        })
    }
}

/// Tells the format by how the file begins: a few thousand bytes are enough. None where it looks like no format
/// of others; a history of Crosscheck's own begins with `{"crosscheck":`.
pub fn detect(start: &[u8]) -> Option<Format> {
    let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start);
    if contains(start, b"jepsen.util") {
        return Some(Format::JepsenLog);
    }
    let rest = start.trim_ascii_start();
    match rest.first()? {
        b';' | b'#' | b'(' => Some(Format::Edn),
        b'{' => object(&rest[1..]),
        b'[' => match rest[1..].trim_ascii_start() {
            [b'{', inside @ ..] => object(inside),
            [b';' | b'#', ..] => Some(Format::Edn),
            [b']', ..] | [] => Some(Format::Json),
            _ => None,
        },
        b'r' | b'w' if rest[1..].trim_ascii_start().first() == Some(&b'(') => Some(Format::Plume),
        _ => {
            rest.split(|byte| *byte == b'\n').next().filter(|line| line.contains(&b',')).map(|_| Format::Csv)
        }
    }
}

fn object(inside: &[u8]) -> Option<Format> {
    let inside = inside.trim_ascii_start();
    match inside.first()? {
        b'"' if inside.starts_with(b"\"crosscheck\"") => None,
        b'"' => Some(Format::Json),
        _ => Some(Format::Edn),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
