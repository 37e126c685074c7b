//! Planted histories: for every property some that it must call violated, and near twins that it must call
//! valid, or unknown. They stand as text in `planted/`, in the words of `history_text`.
//!
//! `=> no-loss violated: summary` is what must come of the history above it.

use crosscheck_models::check::{FaultWindow, Options, check, check_verified};
use crosscheck_models::property::Property;
use crosscheck_models::verdict::Verdict;

use crate::{history_text, witness_laws};

const FILES: [&str; 3] = [
    include_str!("planted/delivery.txt"),
    include_str!("planted/sessions_and_copies.txt"),
    include_str!("planted/ledger_and_liveness.txt"),
];

struct Case<'t> {
    name: &'t str,
    lines: String,
    expected: Vec<&'t str>,
    options: Options,
}

/// A case is a name after `==`, lines of a history and of options, and expectations after `=>`.
fn cases(text: &'static str) -> Vec<Case<'static>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            let (lines, expected, options) = (String::new(), Vec::new(), Options::default());
            cases.push(Case { name, lines, expected, options });
            continue;
        }
        let Some(case) = cases.last_mut() else {
            continue;
        };
        if let Some(expected) = line.strip_prefix("=> ") {
            case.expected.push(expected);
        } else if let Some(stuck) = line.strip_prefix("stuck ") {
            case.options.stuck.push(stuck.to_owned());
        } else if let Some(window) = line.strip_prefix("fault ") {
            case.options.stall_ns = 1000;
            case.options.fault_windows.push(fault(window));
        } else {
            case.lines.push_str(line);
            case.lines.push('\n');
        }
    }
    cases
}

fn fault(words: &str) -> FaultWindow {
    let words: Vec<&str> = words.split_whitespace().collect();
    let [id, system, from, to] = words[..] else { panic!("fault ID SYSTEM FROM TO: {words:?}") };
    let number = |text: &str| text.parse().expect("a time is a number");
    FaultWindow { id: id.to_owned(), system: system.to_owned(), from_ns: number(from), to_ns: number(to) }
}

fn all_cases() -> impl Iterator<Item = Case<'static>> {
    FILES.into_iter().flat_map(cases)
}

#[test]
fn planted_histories_are_judged_as_expected() {
    for case in all_cases() {
        let history = history_text::history(&case.lines);
        for expected in &case.expected {
            let (name, rest) = expected.split_once(' ').expect("=> property verdict");
            let property: Property = name.parse().expect("a property's id");
            let found = check(&history, property, &case.options);
            let said = match found.verdict {
                Verdict::Valid => "valid".to_owned(),
                Verdict::Unknown => format!("unknown: {}", found.reason.clone().unwrap_or_default()),
                Verdict::Violated => {
                    witness_laws::assert_witness_laws(&history, &found, &case.options);
                    assert_eq!(check_verified(&history, property, &case.options), found, "{}", case.name);
                    format!("violated: {}", found.witness.as_ref().expect("it is violated").summary)
                }
            };
            assert_eq!(said, rest, "\n== {}\n{}=> {name}", case.name, case.lines);
        }
    }
}

#[test]
fn every_property_with_a_checker_has_a_violated_and_a_valid_history() {
    let expected: Vec<String> = all_cases()
        .flat_map(|case| case.expected.into_iter().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let unchecked = [Property::AtomicVisibility, Property::Invariant];
    for property in Property::ALL.into_iter().filter(|property| !unchecked.contains(property)) {
        for verdict in ["violated", "valid", "unknown"] {
            let start = format!("{property} {verdict}");
            assert!(expected.iter().any(|line| line.starts_with(&start)), "no planted history: {start}");
        }
    }
}

#[test]
fn an_empty_history_decides_nothing() {
    let history = history_text::history("");
    for property in Property::ALL {
        let found = check(&history, property, &Options::default());
        assert_eq!(found.verdict, Verdict::Unknown, "{property}");
        assert!(found.reason.is_some_and(|reason| !reason.is_empty()), "{property}");
    }
}
