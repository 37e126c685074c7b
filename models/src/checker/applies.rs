//! Which checkers a history says anything about.

use std::collections::BTreeSet;

use super::Checker;
use crate::foreign::{Form, OpHistory, Value};

/// The checkers that a history says anything about, by what its operations do.
pub fn applicable(history: &OpHistory) -> Vec<Checker> {
    let names = history.names();
    let has = |name: &str| names.contains(name);
    let reads = has("read") || has("r");
    let reads_list = || reads_form(history, |form| matches!(form, Form::List(_)));
    let reads_map = || reads_form(history, |form| matches!(form, Form::Map(_)));
    let mut found = Vec::new();
    // Registers, counters, sets and queues have no micro-operations to look for.
    let has_txns = names.iter().any(|name| !OBJECTS.contains(name));
    let first = if has_txns { first_change(history) } else { None };
    if ["send", "poll", "send/poll"].into_iter().any(has) || matches!(first, Some("send" | "poll")) {
        found.push(Checker::Kafka);
    } else if has("txn") || names == BTreeSet::from([""]) {
        found.push(if first == Some("append") { Checker::ListAppend } else { Checker::RwRegister });
    }
    if has("insert") {
        found.push(Checker::AdyaG2);
    }
    if has("write") || has("w") || has("cas") {
        found.push(if reads_lists_of_writes(history) { Checker::CausalReverse } else { Checker::Register });
    }
    let adds = has("add") || has("inc") || has("increment");
    if adds && reads {
        found.push(if reads_list() { Checker::SetFull } else { Checker::Counter });
    }
    if has("enqueue") {
        // What is still in a queue that nobody drained is not lost.
        found.push(if has("drain") { Checker::TotalQueue } else { Checker::Queue });
    }
    if has("generate") {
        found.push(Checker::UniqueIds);
    }
    if has("acquire") {
        found.push(Checker::Mutex);
    }
    if has("transfer") || reads && reads_map() {
        found.push(Checker::Bank);
    }
    found
}

/// What operations on single objects are called.
const OBJECTS: [&str; 14] = [
    "acquire",
    "add",
    "cas",
    "dequeue",
    "drain",
    "enqueue",
    "generate",
    "inc",
    "increment",
    "r",
    "read",
    "release",
    "w",
    "write",
];

fn reads_form(history: &OpHistory, wanted: impl Fn(Form<'_>) -> bool) -> bool {
    let mut reads = history.calls_that(&["read", "r"]);
    reads.any(|(_, call)| wanted(history.value_of(call).form()))
}

/// Whether single values are written, and lists of them are read.
fn reads_lists_of_writes(history: &OpHistory) -> bool {
    let is_list = |value: Value<'_>| value.items().is_some();
    // With independent keys, values are pairs, and what is read is a pair of a key and a list.
    let inner = |value: Value<'_>| value.items().is_some_and(|mut items| items.nth(1).is_some_and(is_list));
    let of = |names: [&str; 2], wanted: &dyn Fn(Value<'_>) -> bool| {
        history.calls_that(&names).any(|(_, call)| wanted(history.value_of(call)))
    };
    let writes_pairs = of(["write", "w"], &is_list);
    if writes_pairs { of(["read", "r"], &inner) } else { of(["read", "r"], &is_list) }
}

/// The first micro-operation that is no read.
fn first_change(history: &OpHistory) -> Option<&str> {
    let mops = history.calls().iter().filter_map(|call| history.value_of(call).items()).flatten();
    mops.filter_map(|mop| mop.items()?.next()?.as_text()).find(|f| !matches!(*f, "r" | "read"))
}
