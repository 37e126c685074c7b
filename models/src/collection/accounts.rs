//! Accounts: money is moved, and neither made nor lost.

use std::collections::BTreeMap;

use super::{Collected, Tally, calls_of, is_ok, line};
use crate::foreign::{Call, Form, OpHistory};

/// How accounts are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BankOptions {
    /// What all accounts have together; what most reads show where it is not given.
    pub total: Option<i64>,
    /// Accounts may be overdrawn.
    pub allow_negative_balances: bool,
}

/// What a read shows.
struct Balances {
    call: u32,
    accounts: Vec<(String, Option<i64>)>,
}

impl Balances {
    fn of(history: &OpHistory, at: u32, call: &Call) -> Balances {
        let mut accounts = Vec::new();
        let mut items = history.value_of(call).entries().into_iter().flatten();
        while let (Some(account), Some(balance)) = (items.next(), items.next()) {
            let known = match balance.form() {
                Form::Int(balance) => Some(balance),
                _ => None,
            };
            accounts.push((account.to_string(), known));
        }
        Balances { call: at, accounts }
    }

    fn total(&self) -> i128 {
        self.accounts.iter().filter_map(|(_, balance)| *balance).map(i128::from).sum()
    }
}

pub(super) fn bank(history: &OpHistory, options: BankOptions) -> Collected {
    let mut tally = Tally::default();
    let reads: Vec<Balances> = calls_of(history, &["read", "r"])
        .filter(|(_, call)| is_ok(call))
        .map(|(at, call)| Balances::of(history, at, call))
        .collect();
    tally.count("transfers", calls_of(history, &["transfer"]).count());
    tally.count("reads", reads.len());
    let mut totals: BTreeMap<i128, u64> = BTreeMap::new();
    let mut sizes: BTreeMap<usize, u64> = BTreeMap::new();
    for read in &reads {
        *totals.entry(read.total()).or_insert(0) += 1;
        *sizes.entry(read.accounts.len()).or_insert(0) += 1;
    }
    let usual = totals.iter().max_by_key(|(_, count)| **count).map_or(0, |(total, _)| *total);
    let total = options.total.map_or(usual, i128::from);
    let size = sizes.iter().max_by_key(|(_, count)| **count).map_or(0, |(size, _)| *size);
    for read in &reads {
        let place = line(history, &history.calls()[read.call as usize]);
        let nil = read.accounts.iter().find(|(_, balance)| balance.is_none());
        let overdrawn = read.accounts.iter().find(|(_, balance)| balance.is_some_and(|balance| balance < 0));
        if let Some((account, _)) = nil {
            tally.add("nil-balance", true, &[read.call], || {
                format!("the read of line {place} has no balance of {account}")
            });
        } else if read.accounts.len() != size {
            tally.add("wrong-accounts", true, &[read.call], || {
                format!("the read of line {place} has {} accounts, others {size}", read.accounts.len())
            });
        } else if read.total() != total {
            tally.add("wrong-total", true, &[read.call], || {
                format!("the accounts of line {place} have {} together, not {total}", read.total())
            });
        }
        if let Some((account, Some(balance))) = overdrawn.filter(|_| !options.allow_negative_balances) {
            tally.add("negative-value", true, &[read.call], || {
                format!("the read of line {place} has {balance} in account {account}")
            });
        }
    }
    tally.into_collected(reads.is_empty().then_some("the accounts were never read"))
}
