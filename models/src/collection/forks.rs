//! Long forks: each key is written once, and reads of a group of keys see the writes in one order.

use std::collections::BTreeMap;

use super::{Collected, Tally, calls_of, is_ok, line};
use crate::foreign::{OpHistory, Value};

/// A read of several keys: which of them it saw written.
struct Seen {
    call: u32,
    written: Vec<bool>,
}

pub(super) fn long_fork(history: &OpHistory, group_size: Option<usize>) -> Collected {
    let mut tally = Tally::default();
    let mut odd = None;
    let mut groups: BTreeMap<Vec<String>, Vec<Seen>> = BTreeMap::new();
    let mut count = 0;
    for (call, known) in calls_of(history, &["read", "txn"]).filter(|(_, call)| is_ok(call)) {
        let mut reads: Vec<(String, bool)> = Vec::new();
        let mut is_read_only = true;
        for mop in history.value_of(known).items().into_iter().flatten() {
            let parts: Vec<Value<'_>> = mop.items().into_iter().flatten().collect();
            match parts[..] {
                [f, key, value] if matches!(f.as_text(), Some("r" | "read")) => {
                    reads.push((key.to_string(), !value.is_nil()));
                }
                _ => is_read_only = false,
            }
        }
        if is_read_only && reads.len() > 1 {
            count += 1;
            if let Some(size) = group_size.filter(|size| *size != reads.len() && odd.is_none()) {
                let (line, of) = (line(history, known), reads.len());
                odd = Some(format!("the read of line {line} is of {of} keys, where a group has {size}"));
            }
            reads.sort();
            let (keys, written) = reads.into_iter().unzip();
            groups.entry(keys).or_default().push(Seen { call, written });
        }
    }
    tally.count("reads", count);
    for (keys, mut reads) in groups {
        // Whoever saw fewer writes comes first: each must have seen all that the one before saw.
        reads.sort_by_key(|seen| seen.written.iter().filter(|written| **written).count());
        for pair in reads.windows(2) {
            let [one, other] = [&pair[0], &pair[1]];
            let is_contained = one.written.iter().zip(&other.written).all(|(one, other)| !one || *other);
            if !is_contained {
                let place = |seen: &Seen| line(history, &history.calls()[seen.call as usize]);
                tally.add("long-fork", true, &[one.call, other.call], || {
                    format!(
                        "the reads of lines {} and {} saw writes of {} in opposite orders",
                        place(one),
                        place(other),
                        keys.join(", ")
                    )
                });
            }
        }
    }
    let none = (count == 0).then(|| "no transaction read several keys".to_owned());
    tally.into_collected(none.or(odd).as_deref())
}
