//! A benchmark in a terminal.

use super::table::{self, Cell};
use super::{Style, Tone};
use crate::document::{BenchDocument, Percentiles};
use crate::wording::{count, duration};

/// A row a variant: rates, latency from the intended start, lag from commit to visible.
#[must_use]
pub fn render(document: &BenchDocument, style: Style) -> String {
    let header = [
        "variant", "backend", "asked/s", "got/s", "p50", "p90", "p99", "p99.9", "max", "lag p50", "lag p99",
        "errors",
    ];
    let mut rows: Vec<Vec<Cell>> = vec![
        header
            .into_iter()
            .enumerate()
            .map(|(column, name)| {
                let cell = if column < 2 { Cell::left(name) } else { Cell::right(name) };
                cell.toned(Tone::Strong)
            })
            .collect(),
    ];
    for row in &document.rows {
        let mut cells = vec![
            Cell::left(row.variant.clone()),
            Cell::left(row.backend.clone()),
            Cell::right(row.rate_asked.map_or("closed".to_owned(), |rate| format!("{rate:.0}"))),
            Cell::right(format!("{:.1}", row.rate_achieved)),
        ];
        cells.extend(every(&row.latency_us).map(|us| Cell::right(micros(us))));
        for us in [row.lag_us.map(|lag| lag.p50), row.lag_us.map(|lag| lag.p99)] {
            cells.push(Cell::right(us.map_or("-".to_owned(), micros)));
        }
        cells.push(Cell::right(count(row.errors)));
        if row.saturated {
            cells.push(Cell::left("saturated: could not keep up").toned(Tone::Doubtful));
        }
        rows.push(cells);
    }
    let mut out = table::lines(&rows, style);
    out.push_str("\n  latency is from the intended start; lag is from the commit until visible downstream\n");
    out
}

fn every(percentiles: &Percentiles) -> [u64; 5] {
    let Percentiles { p50, p90, p99, p99_9, max } = *percentiles;
    [p50, p90, p99, p99_9, max]
}

fn micros(us: u64) -> String {
    duration(us.saturating_mul(1_000))
}
