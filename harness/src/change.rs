//! Changes as PostgreSQL's `test_decoding` plugin writes them, for whoever follows a logical slot by SQL.

/// A row inserted, as a logical slot shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insert {
    /// The table, without its schema.
    pub table: String,
    columns: Vec<(String, Option<String>)>,
}

impl Insert {
    /// Reads `table public.outbox: INSERT: id[bigint]:1 key[text]:'k1' ..`; none for every other line.
    ///
    /// ```
    /// use crosscheck_harness::change::Insert;
    /// let line = "table public.outbox: INSERT: id[bigint]:7 key[text]:'it''s' note[text]:null";
    /// let insert = Insert::parse(line).unwrap();
    /// assert_eq!(insert.table, "outbox");
    /// assert_eq!(insert.get("id"), Some("7"));
    /// assert_eq!(insert.get("key"), Some("it's"));
    /// assert_eq!(insert.get("note"), None);
    /// assert_eq!(Insert::parse("COMMIT 731"), None);
    /// ```
    pub fn parse(line: &str) -> Option<Insert> {
        let (name, mut rest) = line.strip_prefix("table ")?.split_once(": INSERT: ")?;
        let table = name.rsplit('.').next()?.trim_matches('"').to_owned();
        let mut columns = Vec::new();
        while !rest.is_empty() {
            let (column, after) = rest.split_once('[')?;
            let (_, after) = after.split_once("]:")?;
            let (value, after) = value(after)?;
            columns.push((column.trim_matches('"').to_owned(), value));
            rest = after.trim_start();
        }
        Some(Insert { table, columns })
    }

    /// The text of a column; none if it is null or not there.
    pub fn get(&self, column: &str) -> Option<&str> {
        self.columns.iter().find(|(name, _)| name == column)?.1.as_deref()
    }
}

/// One value: quoted with its quotes doubled, or bare up to the next space.
fn value(text: &str) -> Option<(Option<String>, &str)> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let end = text.find(' ').unwrap_or(text.len());
        let (bare, rest) = text.split_at(end);
        return Some(((bare != "null").then(|| bare.to_owned()), rest));
    };
    let mut value = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('\'')?;
        value.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Some((Some(value), after)),
        }
    }
}
