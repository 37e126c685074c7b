//! The ground truth: which variant does what to which property, without and with its faults.

use std::collections::BTreeMap;

use crosscheck_harness::database::DatabaseKind;
use crosscheck_models::property::Property;
use crosscheck_reports::document::Expected;

/// The table, as it is kept beside this file.
const TABLE: &str = include_str!("matrix.tsv");

/// What is expected of one variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The variant.
    pub variant: String,
    /// The cells that are asked for.
    pub cells: Vec<Cell>,
    /// Why cells differ from the original table, where they do.
    pub evidence: String,
}

/// What is expected of one property of one variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The property.
    pub property: Property,
    /// Whether the variant's faults are injected.
    pub with_faults: bool,
    /// What is expected.
    pub expected: Expected,
    /// What the original table expected, where this project has corrected it.
    pub corrected_from: Option<Expected>,
}

/// The whole table, in its order.
///
/// # Panics
/// If the table that is compiled in is malformed, which a test excludes.
pub fn rows() -> Vec<Row> {
    parse(TABLE).expect("the table that is compiled in is well formed")
}

/// The row of a variant.
pub fn row(variant: &str) -> Option<Row> {
    rows().into_iter().find(|row| row.variant == variant)
}

/// Variants whose bug needs a reader that is not held up by a writer. In CockroachDB, a transaction that reads at
/// SERIALIZABLE (its default) waits for one that has written there (its documentation of version 24.3, page "Read
/// Committed Transactions"), so what breaks on PostgreSQL may or may not break.
const READS_PAST_WRITERS: [&str; 1] = ["outbox-poll-id-cursor"];

impl Row {
    /// What is expected on that database.
    #[must_use]
    pub fn on(mut self, database: DatabaseKind) -> Row {
        let differs = database == DatabaseKind::Cockroach && READS_PAST_WRITERS.contains(&&*self.variant);
        for cell in self.cells.iter_mut().filter(|cell| differs && cell.expected == Expected::V) {
            cell.expected = Expected::P;
        }
        self
    }

    /// The properties that the row asks for.
    pub fn properties(&self) -> Vec<Property> {
        let mut properties: Vec<Property> = self.cells.iter().map(|cell| cell.property).collect();
        properties.sort();
        properties.dedup();
        properties
    }

    /// The cells without or with faults.
    pub fn cells(&self, with_faults: bool) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |cell| cell.with_faults == with_faults)
    }
}

fn parse(table: &str) -> Result<Vec<Row>, String> {
    let mut lines = table.lines().filter(|line| !line.starts_with('#'));
    let header: Vec<&str> = lines.next().ok_or("the table is empty")?.split('\t').collect();
    let mut columns = Vec::new();
    for name in &header[1..header.len() - 2] {
        let property = Property::ALL.into_iter().find(|property| property.letters() == *name);
        columns.push(property.ok_or_else(|| format!("no property has the letters {name}"))?);
    }
    lines.map(|line| parse_row(line, &columns)).collect()
}

fn parse_row(line: &str, columns: &[Property]) -> Result<Row, String> {
    let fields: Vec<&str> = line.split('\t').collect();
    if fields.len() != columns.len() + 3 {
        return Err(format!("{} fields in `{line}`", fields.len()));
    }
    let corrected = parse_corrected(fields[columns.len() + 1])?;
    let mut cells = Vec::new();
    for (property, pair) in columns.iter().zip(&fields[1..]) {
        for (with_faults, letter) in [false, true].into_iter().zip(pair.chars()) {
            let Some(expected) = expected(letter)? else { continue };
            let original =
                corrected.get(property).and_then(|pair| pair.chars().nth(usize::from(with_faults)));
            let corrected_from = original.map(expected_of).transpose()?.filter(|from| *from != expected);
            cells.push(Cell { property: *property, with_faults, expected, corrected_from });
        }
    }
    let evidence = fields[columns.len() + 2].to_owned();
    Ok(Row { variant: fields[0].to_owned(), cells, evidence })
}

fn parse_corrected(field: &str) -> Result<BTreeMap<Property, String>, String> {
    let mut corrected = BTreeMap::new();
    for part in field.split_whitespace() {
        let (letters, pair) = part.split_once('=').ok_or_else(|| format!("`{part}` is no correction"))?;
        let property = Property::ALL.into_iter().find(|property| property.letters() == letters);
        let property = property.ok_or_else(|| format!("no property has the letters {letters}"))?;
        corrected.insert(property, pair.to_owned());
    }
    Ok(corrected)
}

fn expected(letter: char) -> Result<Option<Expected>, String> {
    if letter == '-' { Ok(None) } else { expected_of(letter).map(Some) }
}

fn expected_of(letter: char) -> Result<Expected, String> {
    match letter {
        'H' => Ok(Expected::H),
        'V' => Ok(Expected::V),
        'P' => Ok(Expected::P),
        'B' => Ok(Expected::B),
        other => Err(format!("`{other}` is no letter of the table")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_variant_has_a_row_and_every_row_a_variant() {
        let designs: Vec<String> = crate::design::all().iter().map(|design| design.id()).collect();
        let table: Vec<String> = rows().into_iter().map(|row| row.variant).collect();
        assert_eq!(designs, table);
    }

    #[test]
    fn a_bug_that_cockroach_may_prevent_is_not_asked_for_there() {
        for row in rows() {
            let there = row.clone().on(DatabaseKind::Cockroach);
            assert_eq!(row.clone().on(DatabaseKind::Postgres), row);
            assert_eq!(there != row, row.variant == "outbox-poll-id-cursor", "{}", row.variant);
            assert!(there.cells.iter().zip(&row.cells).all(|(on, of)| on.expected == of.expected
                || (on.expected, of.expected) == (Expected::P, Expected::V)));
        }
    }

    #[test]
    fn a_variant_with_a_bug_differs_from_its_design() {
        for row in rows() {
            let Some((design, _)) = row.variant.split_once('/') else { continue };
            let parent = self::row(design).expect("the design itself has a row");
            assert_ne!(parent.cells, row.cells, "{} is as its design", row.variant);
        }
    }

    #[test]
    fn a_diverging_copy_has_a_cause_in_its_row() {
        let causes = [
            Property::NoLoss,
            Property::PerKeyOrder,
            Property::Fidelity,
            Property::NoDup,
            Property::MonotonicReads,
            Property::NoGhost,
        ];
        for row in rows() {
            for cell in
                row.cells.iter().filter(|c| c.property == Property::Convergence && c.expected == Expected::V)
            {
                let cause = row
                    .cells(cell.with_faults)
                    .any(|other| other.expected == Expected::V && causes.contains(&other.property));
                assert!(cause, "{} diverges without a cause", row.variant);
            }
        }
    }

    #[test]
    fn a_correction_names_what_it_corrects_and_why() {
        for row in rows() {
            let corrected = row.cells.iter().any(|cell| cell.corrected_from.is_some());
            assert_eq!(corrected, !row.evidence.is_empty(), "{}", row.variant);
        }
    }

    #[test]
    fn properties_are_seen_to_hold_and_to_break() {
        let seen = |letter: Expected| -> BTreeSet<Property> {
            rows()
                .iter()
                .flat_map(|row| row.cells.clone())
                .filter(|c| c.expected == letter)
                .map(|c| c.property)
                .collect()
        };
        let (holds, breaks) = (seen(Expected::H), seen(Expected::V));
        for property in [
            Property::NoLoss,
            Property::NoGhost,
            Property::NoDup,
            Property::Convergence,
            Property::MonotonicReads,
        ] {
            assert!(holds.contains(&property) && breaks.contains(&property), "{property}");
        }
    }

    #[test]
    fn a_malformed_table_is_refused() {
        assert!(parse("variant\tXX\tcorrected\tevidence\n").is_err());
        assert!(parse("variant\tNG\tcorrected\tevidence\na\tHQ\t\t\n").is_err());
        assert!(parse("variant\tNG\tcorrected\tevidence\na\tHH\n").is_err());
    }
}
