//! Read your writes (Terry et al., Session Guarantees, 1994): a session reads at least what it wrote.

use super::finding::{Evidence, Finding, Found};
use super::index::{Index, shown};
use crate::hash::HashMap;
use crate::history::{Operation, ReadItem, Text};

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if index.reads.is_empty() {
        return Finding::unknown("there is no ok `read`");
    }
    if !index.acknowledged().any(|(_, item)| item.ver.is_some()) {
        return Finding::unknown("no ok write says which version it made");
    }
    let mut finding = Finding::requiring(&["reads_after_own_write"]);
    let ops = index.history.ops();
    let mut own: HashMap<(u32, Text), (u64, usize)> = HashMap::default();
    let mut after_own_write = 0;
    for (at, op) in ops.iter().enumerate().filter(|(_, op)| op.is_ok()) {
        let session = index.sessions[at];
        for item in op.reads() {
            let ver = item.ver.or_else(|| item.value.is_null().then_some(0));
            if let (Some((written, writer)), Some(ver)) = (own.get(&(session, item.key)), ver) {
                after_own_write += 1;
                if ver < *written {
                    let found = || older_than_own(&ops[*writer], *written, op, item);
                    finding.violated(Evidence::op(op).at(), found);
                }
            }
        }
        for item in op.writes() {
            if let Some(ver) = item.ver {
                let newest = own.entry((session, item.key)).or_insert((ver, at));
                if ver >= newest.0 {
                    *newest = (ver, at);
                }
            }
        }
    }
    finding.count("reads_after_own_write", after_own_write);
    finding
}

fn older_than_own(writer: &Operation, written: u64, reader: &Operation, item: &ReadItem) -> Found {
    let read = shown(item);
    let (key, process) = (&item.key, &reader.process);
    let op_ids = [writer, reader].map(|op| op.op_id.as_deref().unwrap_or_default());
    Found::new(
        format!("{process} wrote {key} v{written}, and then read {read}"),
        key,
        &op_ids,
        &[Evidence::op(writer), Evidence::op(reader)],
    )
}
