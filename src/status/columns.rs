//! Text in columns that are as wide as what stands in them.
//!
//! Width is what a terminal gives a text: two places for most East Asian characters, none for an accent that joins another.

use unicode_width::UnicodeWidthStr;

/// Between two columns.
const GAP: &str = "  ";

/// Which side of its column a text is moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Rows of `N` texts, below a header.
pub(super) struct Columns<const N: usize> {
    rows: Vec<[String; N]>,
    sides: [Side; N],
}

impl<const N: usize> Columns<N> {
    pub(super) fn new(header: &[(&str, Side); N]) -> Self {
        Self {
            rows: vec![header.map(|(text, _)| text.to_owned())],
            sides: header.map(|(_, side)| side),
        }
    }

    pub(super) fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// The header and the rows, one line each, not ended.
    pub(super) fn lines(&self) -> Vec<String> {
        let widths: [usize; N] = std::array::from_fn(|column| {
            let widths = self.rows.iter().map(|row| row[column].width());
            widths.max().unwrap_or(0)
        });
        let line = |row: &[String; N]| {
            let cells = row.iter().zip(widths).zip(self.sides);
            let cells = cells.map(|((text, width), side)| padded(text, width, side));
            cells.collect::<Vec<_>>().join(GAP)
        };
        self.rows.iter().map(line).collect()
    }
}

fn padded(text: &str, width: usize, side: Side) -> String {
    let padding = " ".repeat(width.saturating_sub(text.width()));
    match side {
        Side::Left => format!("{text}{padding}"),
        Side::Right => format!("{padding}{text}"),
    }
}
