//! Textbook histories with the anomalies that they are known for: Adya's thesis, Hermitage, and the papers.

use std::fmt::Write as _;

use crosscheck_models::foreign::{Format, read};
use crosscheck_models::isolation::{Options, list_append, verify_witness};

const TEXTBOOK: &str = include_str!("textbook.txt");

/// One history of the file.
struct Entry {
    name: String,
    is_sequential: bool,
    anomalies: Vec<String>,
    not: Vec<String>,
    txns: Vec<String>,
}

fn entries(text: &str) -> Vec<Entry> {
    let blocks = text.split("\n\n").filter(|block| block.trim_start().starts_with("##"));
    blocks.map(entry).collect()
}

fn entry(block: &str) -> Entry {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    let mut entry = Entry {
        name: String::new(),
        is_sequential: false,
        anomalies: Vec::new(),
        not: Vec::new(),
        txns: Vec::new(),
    };
    for line in block.trim().lines() {
        if let Some(name) = line.strip_prefix("## ") {
            entry.name = name.to_owned();
        } else if let Some(found) = line.strip_prefix("anomalies:") {
            entry.anomalies = words(found);
        } else if let Some(not) = line.strip_prefix("not:") {
            entry.not = words(not);
        } else if line == "sequential" {
            entry.is_sequential = true;
        } else {
            entry.txns.push(line.to_owned());
        }
    }
    entry
}

/// `0 ok [..]` or `fail [..]`: a process where it matters, an outcome, and the micro-operations.
fn edn(entry: &Entry) -> String {
    let (mut invokes, mut completions, mut sequential) = (String::new(), String::new(), String::new());
    for (at, txn) in entry.txns.iter().enumerate() {
        let (head, mops) = txn.split_at(txn.find('[').expect("micro-operations"));
        let mut words = head.split_whitespace().rev();
        let outcome = words.next().expect("an outcome");
        let process = words.next().map_or(at + 100, |process| process.parse().expect("a process"));
        let invoke = format!("{{:process {process} :type :invoke :f :txn :value {mops}}}\n");
        let complete = format!("{{:process {process} :type :{outcome} :f :txn :value {mops}}}\n");
        write!(sequential, "{invoke}{complete}").expect("text grows");
        invokes += &invoke;
        completions += &complete;
    }
    if entry.is_sequential { sequential } else { invokes + &completions }
}

#[test]
fn textbook_histories_have_the_anomalies_they_are_known_for() {
    let entries = entries(TEXTBOOK);
    assert!(entries.len() >= 25, "{} histories", entries.len());
    let mut wrong = String::new();
    for entry in entries {
        let text = edn(&entry);
        let history =
            read(&mut text.as_bytes(), Format::Edn).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let found = list_append(&history, &Options::default(), &mut || true).expect("lists");
        let kinds: Vec<&str> = found.anomalies.iter().map(|found| found.kind.name()).collect();
        if kinds != entry.anomalies || found.not != entry.not {
            writeln!(wrong, "{}: anomalies {kinds:?}, not {:?}", entry.name, found.not).expect("text grows");
        }
        for anomaly in &found.anomalies {
            verify_witness(&history, &anomaly.witness)
                .unwrap_or_else(|error| panic!("{}: {error}", entry.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
