//! What people and machines see of a matrix and of a benchmark.

use std::collections::BTreeMap;

use crosscheck_models::property::Property;
use crosscheck_models::verdict::{Verdict, Witness};
use crosscheck_reports::document::{
    AnomalyEntry, BenchDocument, BenchRow, CheckDocument, CheckEntry, Evidence, Expected, FileEntry,
    MatrixCell, MatrixDocument, MatrixRow, Percentiles,
};
use crosscheck_reports::html::{self, ReportLinks};
use crosscheck_reports::json;
use crosscheck_reports::text::{self, Style};

fn cell(property: Property, with_faults: bool, expected: Expected, verdict: Verdict) -> MatrixCell {
    let as_expected = match expected {
        Expected::H | Expected::B => verdict == Verdict::Valid,
        Expected::V => verdict == Verdict::Violated,
        Expected::P => true,
    };
    MatrixCell {
        property,
        with_faults,
        expected,
        corrected_from: None,
        verdict,
        as_expected,
        exercised: BTreeMap::from([("overlapping_txns".to_owned(), 3)]),
        witness: (verdict == Verdict::Violated).then(|| witness(property)),
    }
}

fn witness(property: Property) -> Witness {
    Witness {
        property,
        summary: "k1 v1 was committed and never delivered".to_owned(),
        key: Some("k1".to_owned()),
        op_ids: vec!["w-7".to_owned()],
        events: vec![17],
        rows: Vec::new(),
        story: Vec::new(),
    }
}

fn matrix() -> MatrixDocument {
    let mut corrected = cell(Property::NoDup, false, Expected::P, Verdict::Violated);
    corrected.corrected_from = Some(Expected::H);
    MatrixDocument {
        backend: "local".to_owned(),
        as_expected: false,
        seconds: 93.25,
        rows: vec![
            MatrixRow {
                variant: "dual-write-db-then-queue".to_owned(),
                faults: vec!["app-crash".to_owned(), "db-cut-replies".to_owned()],
                cells: vec![
                    cell(Property::NoGhost, false, Expected::H, Verdict::Valid),
                    cell(Property::NoGhost, true, Expected::H, Verdict::Unknown),
                    cell(Property::NoLoss, false, Expected::H, Verdict::Valid),
                    cell(Property::NoLoss, true, Expected::V, Verdict::Violated),
                ],
            },
            MatrixRow {
                variant: "outbox-poll-id-cursor".to_owned(),
                faults: Vec::new(),
                cells: vec![
                    cell(Property::NoLoss, false, Expected::H, Verdict::Violated),
                    corrected,
                    cell(Property::BoundedStaleness, false, Expected::B, Verdict::Valid),
                ],
            },
        ],
        skipped: Vec::new(),
    }
}

fn bench() -> BenchDocument {
    let percentiles = |p50| Percentiles { p50, p90: p50 * 2, p99: p50 * 5, p99_9: p50 * 9, max: p50 * 20 };
    let row = |variant: &str, rate_asked, saturated, lag_us| BenchRow {
        variant: variant.to_owned(),
        backend: "local".to_owned(),
        rate_asked,
        rate_achieved: 199.83,
        saturated,
        latency_us: percentiles(810),
        lag_us,
        errors: 0,
    };
    BenchDocument {
        rows: vec![
            row("sot-serializable", Some(200.0), false, None),
            row("outbox-poll-flag-single", Some(200.0), true, Some(percentiles(12_500))),
            row("dual-write-db-then-queue", None, false, Some(percentiles(950))),
        ],
    }
}

#[test]
fn a_matrix_in_a_terminal() {
    insta::assert_snapshot!(text::render_matrix(&matrix(), Style::Plain));
}

#[test]
fn a_matrix_as_json() {
    insta::assert_snapshot!(json::render(&matrix()));
}

#[test]
fn a_matrix_as_a_page_links_each_cell_to_its_run() {
    let links = ReportLinks::from([
        (("dual-write-db-then-queue".to_owned(), true), "dual/with-faults/report.html".to_owned()),
        (("dual-write-db-then-queue".to_owned(), false), "dual/without/report.html".to_owned()),
    ]);
    let page = html::render_matrix(&matrix(), &links);
    let body = page.split_once("<header").expect("it has a header").1;
    insta::assert_snapshot!(body.replace("</tr>", "</tr>\n").replace("</td>", "</td>\n"));
}

#[test]
fn a_benchmark_in_a_terminal() {
    insta::assert_snapshot!(text::render_bench(&bench(), Style::Plain));
}

#[test]
fn a_benchmark_as_json() {
    let one = BenchDocument { rows: bench().rows.split_off(1) };
    insta::assert_snapshot!(json::render(&one));
}

#[test]
fn a_check_as_json() {
    let document = CheckDocument {
        verdict: Verdict::Violated,
        files: vec![FileEntry {
            file: "history.jsonl".to_owned(),
            format: "crosscheck".to_owned(),
            events: 19,
            checks: vec![CheckEntry {
                checker: "no-loss".to_owned(),
                level: None,
                verdict: Verdict::Violated,
                anomalies: vec![AnomalyEntry {
                    kind: "lost".to_owned(),
                    witness: Some(Evidence::Ours(witness(Property::NoLoss))),
                }],
                not: Vec::new(),
                also_not: Vec::new(),
                exercised: BTreeMap::from([("committed".to_owned(), 2)]),
                reason: None,
                certificate: None,
                sub_history: None,
            }],
        }],
        seconds: 0.01,
    };
    insta::assert_snapshot!(json::render(&document));
}
