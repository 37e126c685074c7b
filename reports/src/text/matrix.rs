//! The matrix in a terminal.

use std::fmt::Write as _;

use crosscheck_models::property::Property;
use crosscheck_models::verdict::Verdict;

use super::table::{self, Cell};
use super::{Style, Tone};
use crate::document::{Expected, MatrixCell, MatrixDocument, MatrixRow, Skipped};
use crate::wording;

/// A row a variant, a column a property, two letters a cell: what was found without faults and with them.
/// Where that is not as expected, the expected letters follow after `≠`.
#[must_use]
pub fn render(document: &MatrixDocument, style: Style) -> String {
    let columns = columns(document);
    let mut header = vec![Cell::left("variant").toned(Tone::Strong)];
    header.extend(columns.iter().map(|property| Cell::left(property.letters()).toned(Tone::Strong)));
    let mut rows = vec![header];
    for row in &document.rows {
        let mut cells = vec![Cell::left(row.variant.clone())];
        cells.extend(columns.iter().map(|property| Pair::of(row, *property).cell()));
        rows.push(cells);
    }
    let mut out = table::lines(&rows, style);
    out.push_str("\n  H holds, V violated, ? could not tell, - not claimed; without faults, then with them;");
    out.push_str(" ≠ is not as expected; * is corrected\n");
    out.push_str(&skipped(&document.skipped));
    deviations(&mut out, document);
    footer(&mut out, document, style);
    out
}

/// What was asked for and did not run, a line each; nothing where all ran.
#[must_use]
pub fn skipped(skipped: &[Skipped]) -> String {
    skipped.iter().map(|line| format!("\n  skipped: {}: {}\n", line.variant, line.reason)).collect()
}

/// The properties that any cell is about, in the order of [`Property::ALL`].
pub(crate) fn columns(document: &MatrixDocument) -> Vec<Property> {
    Property::ALL
        .into_iter()
        .filter(|property| {
            document.rows.iter().flat_map(|row| &row.cells).any(|cell| cell.property == *property)
        })
        .collect()
}

/// The two cells of one property of one variant.
pub(crate) struct Pair<'a> {
    /// Without faults.
    pub(crate) calm: Option<&'a MatrixCell>,
    /// With the faults of the row.
    pub(crate) faulty: Option<&'a MatrixCell>,
}

impl<'a> Pair<'a> {
    pub(crate) fn of(row: &'a MatrixRow, property: Property) -> Pair<'a> {
        let cell = |with_faults| {
            row.cells.iter().find(|cell| cell.property == property && cell.with_faults == with_faults)
        };
        Pair { calm: cell(false), faulty: cell(true) }
    }

    pub(crate) fn cells(&self) -> impl Iterator<Item = &'a MatrixCell> {
        [self.calm, self.faulty].into_iter().flatten()
    }

    fn cell(&self) -> Cell {
        let mut text = String::new();
        for cell in [self.calm, self.faulty] {
            text.push(cell.map_or('-', observed));
        }
        let deviates = self.cells().any(|cell| !cell.as_expected);
        if deviates {
            text.push('≠');
            for cell in [self.calm, self.faulty] {
                text.push(cell.map_or('-', |cell| cell.expected.letter()));
            }
        }
        if self.cells().any(|cell| cell.corrected_from.is_some()) {
            text.push('*');
        }
        let tone = match (deviates, self.cells().any(|cell| cell.verdict == Verdict::Unknown)) {
            (true, _) => Tone::Bad,
            (false, true) => Tone::Doubtful,
            (false, false) if self.cells().any(|cell| cell.verdict == Verdict::Violated) => Tone::Strong,
            (false, false) => Tone::Good,
        };
        Cell::left(text).toned(if self.cells().next().is_none() { Tone::Faint } else { tone })
    }
}

/// The letter of what was found: a property that holds at its declared bound is a B, as in the table.
pub(crate) fn observed(cell: &MatrixCell) -> char {
    match (cell.verdict, cell.expected) {
        (Verdict::Valid, Expected::B) => 'B',
        (Verdict::Valid, Expected::H | Expected::V | Expected::P) => 'H',
        (Verdict::Violated, _) => 'V',
        (Verdict::Unknown, _) => '?',
    }
}

/// One line for each cell that is not as expected, with the evidence.
fn deviations(out: &mut String, document: &MatrixDocument) {
    let mut first = true;
    for row in &document.rows {
        for cell in row.cells.iter().filter(|cell| !cell.as_expected) {
            if first {
                out.push_str("\nnot as expected\n");
                first = false;
            }
            let _ = writeln!(out, "  {} {}: {}", row.variant, cell.property, deviation(row, cell));
        }
    }
}

/// What was expected of a cell and what was found instead, in words.
pub(crate) fn deviation(row: &MatrixRow, cell: &MatrixCell) -> String {
    let setting = if cell.with_faults {
        format!("with {}", row.faults.join(", "))
    } else {
        "without faults".to_owned()
    };
    let expected = match cell.expected {
        Expected::H => "expected to hold",
        Expected::V => "expected to be violated",
        Expected::P => "either was expected",
        Expected::B => "expected to hold at its bound",
    };
    let found = match &cell.witness {
        Some(witness) => format!("violated: {}", witness.summary),
        None if cell.verdict == Verdict::Unknown => {
            format!("unknown (exercised: {})", wording::counters(&cell.exercised))
        }
        None => format!("{} (exercised: {})", cell.verdict, wording::counters(&cell.exercised)),
    };
    format!("{setting}, {expected}, found {found}")
}

/// Counts and time, in one sentence.
pub(crate) fn summary(document: &MatrixDocument) -> String {
    let cells: Vec<&MatrixCell> = document.rows.iter().flat_map(|row| &row.cells).collect();
    let off = cells.iter().filter(|cell| !cell.as_expected).count();
    let corrected = cells.iter().filter(|cell| cell.corrected_from.is_some()).count();
    let mut out = format!(
        "{} of {} as expected on {} in {:.1} s",
        wording::count((cells.len() - off) as u64),
        wording::counted(cells.len() as u64, "cell"),
        document.backend,
        document.seconds
    );
    let _ = write!(out, " ({}", wording::counted(document.rows.len() as u64, "variant"));
    if corrected > 0 {
        let _ = write!(out, ", {corrected} corrected");
    }
    out.push(')');
    out
}

fn footer(out: &mut String, document: &MatrixDocument, style: Style) {
    let (tone, word) =
        if document.as_expected { (Tone::Good, "AS EXPECTED") } else { (Tone::Bad, "NOT AS EXPECTED") };
    let _ = writeln!(out, "\n{}  {}", style.paint(tone, word), summary(document));
}
