//! Results as tables, aligned as libpq's `PQprint` does it: columns of numbers to the right, all others to the
//! left, widths counted in bytes.

use std::fmt::Write;

/// Prints a result: the names, a rule, the rows, their number, an empty line. One without columns is not shown.
pub(super) fn print(out: &mut String, columns: &[String], rows: &[Vec<Option<String>>]) {
    if columns.is_empty() {
        return;
    }
    let layout: Vec<Layout> =
        columns.iter().enumerate().map(|(at, name)| Layout::of(name, at, rows)).collect();
    line(out, &layout, columns.iter().map(String::as_str), '|');
    line(out, &layout, layout.iter().map(|column| column.rule.as_str()), '+');
    for row in rows {
        line(out, &layout, row.iter().map(|value| value.as_deref().unwrap_or_default()), '|');
    }
    let plural = if rows.len() == 1 { "" } else { "s" };
    let _ = write!(out, "({} row{plural})\n\n", rows.len());
}

struct Layout {
    width: usize,
    is_number: bool,
    rule: String,
}

impl Layout {
    fn of(name: &str, at: usize, rows: &[Vec<Option<String>>]) -> Layout {
        let values =
            || rows.iter().filter_map(|row| row.get(at)?.as_deref()).filter(|value| !value.is_empty());
        let width = values().map(str::len).chain([name.len()]).max().unwrap_or_default();
        Layout { width, is_number: values().all(is_number), rule: "-".repeat(width) }
    }
}

/// Digits, signs and exponents, with a digit at the end and no exponent at the start.
fn is_number(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit() || b".Ee -".contains(&byte))
        && !value.starts_with(['E', 'e'])
        && value.ends_with(|last: char| last.is_ascii_digit())
}

fn line<'a>(out: &mut String, layout: &[Layout], cells: impl Iterator<Item = &'a str>, between: char) {
    for (at, (column, cell)) in layout.iter().zip(cells).enumerate() {
        if at > 0 {
            out.push(between);
        }
        let blanks = " ".repeat(column.width.saturating_sub(cell.len()));
        let (before, after) = if column.is_number { (blanks.as_str(), "") } else { ("", blanks.as_str()) };
        out.extend([before, cell, after]);
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[&str], rows: &[&[Option<&str>]]) -> String {
        let owned = |row: &&[Option<&str>]| row.iter().map(|cell| cell.map(str::to_owned)).collect();
        let columns: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
        let mut out = String::new();
        print(&mut out, &columns, &rows.iter().map(owned).collect::<Vec<_>>());
        out
    }

    #[test]
    fn numbers_stand_to_the_right_and_texts_to_the_left() {
        let rows: [&[Option<&str>]; 2] =
            [&[Some("1"), Some("a"), None], &[Some("22"), Some(""), Some("x y")]];
        insta::assert_snapshot!(table(&["id", "name", "n"], &rows), @r"
        id|name|n  
        --+----+---
         1|a   |   
        22|    |x y
        (2 rows)
        ");
    }

    #[test]
    fn a_result_without_rows_has_a_head_and_one_without_columns_nothing() {
        assert_eq!(table(&["id", "n"], &[]), "id|n\n--+-\n(0 rows)\n\n");
        assert_eq!(table(&[], &[&[], &[]]), "");
    }

    #[test]
    fn what_counts_as_a_number_is_what_libpq_takes_for_one() {
        for (value, expected) in
            [("-1.5", true), ("2020-01-01", true), ("1e5", true), ("e5", false), ("1-", false), ("t", false)]
        {
            assert_eq!(is_number(value), expected, "{value}");
        }
    }
}
