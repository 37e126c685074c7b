//! `r(key,value,session,txn)` and `w(key,value,session,txn)`, one a line, as Plume and AWDIT read them.
//!
//! The value 0 is the initial one. Lines of one session and one transaction that follow each other are one
//! transaction. There is no real time in it: transactions of a session stand in its order, and nothing else is
//! known.

use super::ReadError;
use super::op::{Op, OpKind};
use super::source::{Source, int_field};
use super::value::{Spelling, Store, Word};
use crate::hash::HashMap;

/// A transaction on the way.
struct Txn {
    session: i64,
    line: u32,
    mops: Vec<(bool, i64, i64)>,
}

pub(super) fn read(mut source: Source<'_>) -> Result<(Store, Vec<Op>), ReadError> {
    let mut txns: Vec<Txn> = Vec::new();
    let mut of: HashMap<(i64, i64), usize> = HashMap::default();
    while let Some(byte) = source.peek() {
        let is_read = match byte {
            b'r' => true,
            b'w' => false,
            b'#' => {
                source.skip_line();
                continue;
            }
            byte if byte.is_ascii_whitespace() => {
                source.bump();
                continue;
            }
            _ => return Err(source.error("a line like r(key,value,session,txn) or w(..) is expected")),
        };
        let line = source.line();
        source.bump();
        let [key, value, session, txn] = fields(&mut source)?;
        let at = *of.entry((session, txn)).or_insert_with(|| {
            txns.push(Txn { session, line, mops: Vec::new() });
            txns.len() - 1
        });
        txns[at].mops.push((is_read, key, value));
    }
    source.finish()?;
    drop(of);
    operations(txns)
}

fn fields(source: &mut Source<'_>) -> Result<[i64; 4], ReadError> {
    let mut values = [0; 4];
    let mut before = b'(';
    for value in &mut values {
        if source.next() != Some(before) {
            let wanted = char::from(before);
            return Err(source.error(format!("`{wanted}` is expected in r(key,value,session,txn)")));
        }
        *value = int_field(source)?;
        before = b',';
    }
    if source.next() != Some(b')') {
        return Err(source.error("`)` is expected at the end of r(key,value,session,txn)"));
    }
    Ok(values)
}

fn operations(txns: Vec<Txn>) -> Result<(Store, Vec<Op>), ReadError> {
    let mut store = Store::default();
    let f = store.intern(Spelling::Name, "txn");
    let names = [store.intern(Spelling::Name, "w"), store.intern(Spelling::Name, "r")];
    let mut ops = Vec::with_capacity(txns.len());
    for (index, txn) in txns.into_iter().enumerate() {
        let value = store.mark() as u32;
        let full = || {
            let message = "the history holds more than 2^32 values: split it".to_owned();
            ReadError::Malformed { line: txn.line, column: 1, message }
        };
        if store.mark() + txn.mops.len() * 4 + 1 >= u32::MAX as usize {
            return Err(full());
        }
        store.push(Word::head(false, txn.mops.len() * 4).ok_or_else(full)?);
        for (is_read, key, value) in &txn.mops {
            store.push(Word::head(false, 3).ok_or_else(full)?);
            store.push(names[usize::from(*is_read)]);
            let key = store.intern_int(*key);
            store.push(key);
            let value = if *is_read && *value == 0 { Word::NIL } else { store.intern_int(*value) };
            store.push(value);
        }
        let process = store.intern_int(txn.session);
        ops.push(Op { index: index as i64, time: None, process, f, value, line: txn.line, kind: OpKind::Ok });
    }
    Ok((store, ops))
}
