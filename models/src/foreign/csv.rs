//! Rows of a table as operations: a line of column names, then one operation a row.
//!
//! The columns `process`, `type`, `f`, `key`, `value`, `time` and `index` are taken, by these names or by those
//! that [`Columns`] gives. A row without a `type` happened (`ok`); one without an `f` is a `read`. Where there is
//! a `key`, the value is `[key value]`, as Jepsen's independent keys have it.

use std::str::FromStr;

use super::ReadError;
use super::op::{Op, OpKind};
use super::source::Source;
use super::value::{Spelling, Store, Word};

const FIELD_BYTES_MAX: usize = 1 << 20;

const ROLES: [&str; 7] = ["process", "type", "f", "key", "value", "time", "index"];
const PROCESS: usize = 0;
const TYPE: usize = 1;
const F: usize = 2;
const KEY: usize = 3;
const VALUE: usize = 4;
const TIME: usize = 5;
const INDEX: usize = 6;

/// Which column of a table plays which role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// The names of the columns, by role; a role without a name has its own.
    names: [Option<String>; 7],
}

impl Columns {
    fn name(&self, role: usize) -> &str {
        self.names[role].as_deref().unwrap_or(ROLES[role])
    }
}

/// Reads `key=account,process=session`.
impl FromStr for Columns {
    type Err = String;

    fn from_str(text: &str) -> Result<Columns, String> {
        let mut columns = Columns::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (role, name) = part.split_once('=').ok_or_else(|| {
                format!("{part:?}: a role and a column are expected, as in key=account,process=session")
            })?;
            let at = ROLES.iter().position(|known| *known == role);
            let at =
                at.ok_or_else(|| format!("no role is called {role:?}: they are {}", ROLES.join(", ")))?;
            columns.names[at] = Some(name.to_owned());
        }
        Ok(columns)
    }
}

/// Where in a row each role is.
type Places = [Option<usize>; 7];

pub(super) fn read(mut source: Source<'_>, columns: &Columns) -> Result<(Store, Vec<Op>), ReadError> {
    let (mut store, mut ops) = (Store::default(), Vec::new());
    let mut row = Vec::new();
    read_row(&mut source, &mut row)?;
    let places = places(&source, &row, columns)?;
    while source.peek().is_some() {
        let line = source.line();
        read_row(&mut source, &mut row)?;
        if row.len() == 1 && row[0].is_empty() {
            continue;
        }
        let op = operation(&row, &places, &mut store, ops.len());
        let op = op.map_err(|message| ReadError::Malformed { line, column: 1, message })?;
        ops.push(Op { line, ..op });
    }
    source.finish()?;
    Ok((store, ops))
}

fn places(source: &Source<'_>, header: &[String], columns: &Columns) -> Result<Places, ReadError> {
    let mut places = [None; 7];
    for (role, place) in places.iter_mut().enumerate() {
        *place = header.iter().position(|name| name.trim() == columns.name(role));
        let is_named = columns.names[role].is_some();
        if place.is_none() && (is_named || role == PROCESS || role == VALUE) {
            let (name, role) = (columns.name(role), ROLES[role]);
            let message =
                format!("the first line names no column {name:?} for the {role}: say --columns {role}=NAME");
            return Err(source.error(message));
        }
    }
    Ok(places)
}

fn read_row(source: &mut Source<'_>, row: &mut Vec<String>) -> Result<(), ReadError> {
    row.clear();
    let mut field = Vec::new();
    let mut is_quoted = false;
    loop {
        let byte = source.next();
        match byte {
            Some(b'"') if is_quoted && source.peek() == Some(b'"') => {
                source.bump();
                field.push(b'"');
            }
            Some(b'"') if is_quoted || field.is_empty() => is_quoted = !is_quoted,
            Some(b',' | b'\n') | None if !is_quoted => {
                let bytes = std::mem::take(&mut field);
                let text = String::from_utf8(bytes).map_err(|_| source.error("this is not UTF-8"))?;
                row.push(text.trim_end_matches('\r').to_owned());
                if byte != Some(b',') {
                    return Ok(());
                }
            }
            Some(byte) => field.push(byte),
            None => return Err(source.error("the text ends within a quoted field")),
        }
        if field.len() > FIELD_BYTES_MAX || row.len() > 10_000 {
            return Err(source.error("a field of more than 1 MiB, or a row of more than 10,000 fields"));
        }
    }
}

fn operation(row: &[String], places: &Places, store: &mut Store, at: usize) -> Result<Op, String> {
    let field = |role: usize| places[role].and_then(|place| row.get(place)).map(|text| text.trim());
    let process = field(PROCESS).filter(|text| !text.is_empty()).ok_or("the row has no process")?;
    let kind = match field(TYPE).filter(|text| !text.is_empty()) {
        None => OpKind::Ok,
        Some(name) => {
            OpKind::of(name).ok_or_else(|| format!("{name:?}: a type is invoke, ok, fail or info"))?
        }
    };
    let time = match field(TIME).filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| format!("{text:?}: a time is a whole number"))?),
    };
    let index = field(INDEX).and_then(|text| text.parse().ok()).unwrap_or(at as i64);
    let f = store.intern(Spelling::Name, field(F).filter(|text| !text.is_empty()).unwrap_or("read"));
    let process = scalar(process, store);
    let value = store.mark() as u32;
    let written = scalar(field(VALUE).unwrap_or_default(), store);
    if let Some(key) = field(KEY) {
        let key = scalar(key, store);
        let head = Word::head(false, 2).ok_or("a row of two values")?;
        [head, key].into_iter().for_each(|word| store.push(word));
    }
    store.push(written);
    Ok(Op { index, time, process, f, value, line: 0, kind })
}

fn scalar(text: &str, store: &mut Store) -> Word {
    match text {
        "" | "nil" | "null" | "NULL" => Word::NIL,
        _ => match text.parse() {
            Ok(number) => store.intern_int(number),
            Err(_) => store.intern(Spelling::Text, text),
        },
    }
}
