//! Which checkers a history says anything about.

use std::collections::BTreeSet;

use super::Checker;
use crate::foreign::{Form, OpHistory, Value};

/// The checkers that a history says anything about, by what its operations do.
pub fn applicable(history: &OpHistory) -> Vec<Checker> {
    let names: BTreeSet<&str> = history.calls().iter().map(|call| history.f(call.telling_op())).collect();
    let has = |name: &str| names.contains(name);
    let reads = has("read") || has("r");
    let reads_list = || reads_form(history, |form| matches!(form, Form::List(_)));
    let reads_map = || reads_form(history, |form| matches!(form, Form::Map(_)));
    let mut found = Vec::new();
    let first = first_change(history);
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

fn reads_form(history: &OpHistory, wanted: impl Fn(Form<'_>) -> bool) -> bool {
    let reads = history.calls().iter().filter(|call| matches!(history.f(call.telling_op()), "read" | "r"));
    reads.map(|call| history.value_of(call)).any(|value| wanted(value.form()))
}

/// Whether single values are written, and lists of them are read.
fn reads_lists_of_writes(history: &OpHistory) -> bool {
    let is_list = |value: Value<'_>| value.items().is_some();
    // With independent keys, values are pairs, and what is read is a pair of a key and a list.
    let inner = |value: Value<'_>| value.items().is_some_and(|mut items| items.nth(1).is_some_and(is_list));
    let of = |names: [&str; 2], wanted: &dyn Fn(Value<'_>) -> bool| {
        let mut calls = history.calls().iter().filter(|call| names.contains(&history.f(call.telling_op())));
        calls.any(|call| wanted(history.value_of(call)))
    };
    let writes_pairs = of(["write", "w"], &is_list);
    if writes_pairs { of(["read", "r"], &inner) } else { of(["read", "r"], &is_list) }
}

/// The first micro-operation that is no read.
fn first_change(history: &OpHistory) -> Option<&str> {
    let mops = history.calls().iter().filter_map(|call| history.value_of(call).items()).flatten();
    mops.filter_map(|mop| mop.items()?.next()?.as_text()).find(|f| !matches!(*f, "r" | "read"))
}
