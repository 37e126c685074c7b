//! Columns that line up.

use super::{Style, Tone};

/// One cell: its text, and its tone where it has one.
pub(super) struct Cell {
    text: String,
    tone: Option<Tone>,
    align: Align,
}

#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
}

impl Cell {
    pub(super) fn left(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), tone: None, align: Align::Left }
    }

    pub(super) fn right(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), tone: None, align: Align::Right }
    }

    pub(super) fn toned(self, tone: Tone) -> Cell {
        Cell { tone: Some(tone), ..self }
    }
}

/// The rows as lines, two spaces in and two spaces between columns, without trailing spaces.
pub(super) fn lines(rows: &[Vec<Cell>], style: Style) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(width).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        // Padding is owed until there is text after it, so that no line ends in spaces.
        let mut owed = 0;
        for (cell, column_width) in row.iter().zip(&widths) {
            let padding = column_width - width(cell);
            owed += 2;
            if matches!(cell.align, Align::Right) {
                owed += padding;
            }
            if !cell.text.is_empty() {
                out.extend(std::iter::repeat_n(' ', owed));
                owed = 0;
                out.push_str(&cell.tone.map_or(cell.text.clone(), |tone| style.paint(tone, &cell.text)));
            } else if matches!(cell.align, Align::Right) {
                continue;
            }
            if matches!(cell.align, Align::Left) {
                owed += padding;
            }
        }
        out.push('\n');
    }
    out
}

fn width(cell: &Cell) -> usize {
    cell.text.chars().count()
}
