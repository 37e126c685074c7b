//! Which condition is decided where, and by which index the rows of a table are found.

use super::super::expression::{Comparison, Expr, Function, SessionFunction};
use super::super::plan::{Access, Edge, Source, SourceKind};
use super::super::schema::IndexFacts;
use super::source::Placed;

/// The sources with the conditions that can be decided at each, and those that look at no source.
pub(super) fn arranged(placed: Vec<Placed>, conjuncts: Vec<Expr>) -> (Vec<Source>, Vec<Expr>) {
    let mut once = Vec::new();
    let mut levels: Vec<Vec<Expr>> = placed.iter().map(|_| Vec::new()).collect();
    for conjunct in conjuncts {
        let mut columns = Vec::new();
        conjunct.columns(&mut columns);
        let level = columns.iter().filter_map(|column| level_of(&placed, *column)).max();
        match level {
            Some(level) => levels[level].push(conjunct),
            // What may differ from row to row is asked at every row.
            None if is_volatile(&conjunct) && !levels.is_empty() => {
                let last = levels.len() - 1;
                levels[last].push(conjunct);
            }
            None => once.push(conjunct),
        }
    }
    let ranges: Vec<(usize, usize)> = placed.iter().map(|source| (source.start, source.width)).collect();
    let sources = placed.into_iter().zip(levels).enumerate().map(|(level, (mut source, filter))| {
        if let (SourceKind::Table { access, .. }, Some(schema)) = (&mut source.kind, &source.schema) {
            let conditions = source.on.as_deref().unwrap_or(&filter);
            let before = |column: usize| {
                ranges[..level].iter().any(|(start, width)| (*start..start + width).contains(&column))
            };
            *access = choose(source.start, &schema.indexes, conditions, &before);
        }
        Source { start: source.start, width: source.width, kind: source.kind, on: source.on, filter }
    });
    (sources.collect(), once)
}

fn level_of(placed: &[Placed], column: usize) -> Option<usize> {
    placed.iter().position(|source| (source.start..source.start + source.width).contains(&column))
}

/// A condition on a key of an index.
enum Bound<'e> {
    Compare(Comparison, &'e Expr),
    OneOf(Vec<&'e Expr>),
}

/// The index with the most columns bound to values; a unique one that is bound as a whole first, then equalities,
/// then a range. The first of equals wins.
fn choose(
    start: usize,
    indexes: &[IndexFacts],
    conditions: &[Expr],
    before: &dyn Fn(usize) -> bool,
) -> Access {
    let mut best: Option<(u32, Access)> = None;
    for index in indexes {
        let implied = |part: &Expr| conditions.contains(&shifted(part, start));
        if !index.predicate.iter().all(implied) {
            continue;
        }
        let Some((score, access)) = by_index(start, index, conditions, before) else { continue };
        if best.as_ref().is_none_or(|(most, _)| score > *most) {
            best = Some((score, access));
        }
    }
    best.map_or(Access::All, |(_, access)| access)
}

fn by_index(
    start: usize,
    index: &IndexFacts,
    conditions: &[Expr],
    before: &dyn Fn(usize) -> bool,
) -> Option<(u32, Access)> {
    let keys: Vec<Expr> = index.keys.iter().map(|key| shifted(key, start)).collect();
    let bounds =
        |key: &Expr| conditions.iter().filter_map(|condition| bound(condition, key, before)).collect();
    let mut prefix = Vec::new();
    for key in &keys {
        let bounds: Vec<Bound<'_>> = bounds(key);
        let equal = bounds.iter().find_map(|bound| match bound {
            Bound::Compare(Comparison::Equal, value) => Some((*value).clone()),
            _ => None,
        });
        if let Some(value) = equal {
            prefix.push(value);
            continue;
        }
        return by_last_key(index, prefix, &bounds);
    }
    let whole = if index.unique { 100 } else { 1 };
    let score = whole + 10 * u32::try_from(prefix.len()).unwrap_or(9);
    Some((score, Access::Keys { index: index.id, keys: vec![prefix] }))
}

/// The key behind those that are equal to something: one of several values, or a range.
fn by_last_key(index: &IndexFacts, prefix: Vec<Expr>, bounds: &[Bound<'_>]) -> Option<(u32, Access)> {
    let score = 10 * u32::try_from(prefix.len()).unwrap_or(9);
    let one_of = bounds.iter().find_map(|bound| match bound {
        Bound::OneOf(values) => Some(values),
        Bound::Compare(..) => None,
    });
    if let Some(values) = one_of {
        let keys = values.iter().map(|value| {
            let last = (*value).clone();
            prefix.iter().cloned().chain([last]).collect()
        });
        return Some((score + 8, Access::Keys { index: index.id, keys: keys.collect() }));
    }
    let (mut low, mut high) = (None, None);
    for bound in bounds {
        let Bound::Compare(comparison, value) = bound else { continue };
        let edge = |inclusive| Some(Edge { value: (*value).clone(), inclusive });
        match comparison {
            Comparison::Greater => low = low.or(edge(false)),
            Comparison::GreaterOrEqual => low = low.or(edge(true)),
            Comparison::Less => high = high.or(edge(false)),
            Comparison::LessOrEqual => high = high.or(edge(true)),
            Comparison::Equal | Comparison::NotEqual => {}
        }
    }
    if low.is_some() || high.is_some() {
        return Some((score + 5, Access::Range { index: index.id, prefix, low, high }));
    }
    let keys = vec![prefix];
    (score > 0).then_some((score, Access::Keys { index: index.id, keys }))
}

/// What a condition says of a key, in values that are known before the table is read.
fn bound<'e>(condition: &'e Expr, key: &Expr, before: &dyn Fn(usize) -> bool) -> Option<Bound<'e>> {
    match condition {
        Expr::Apply(Function::Compare(comparison), sides) => {
            let [left, right] = &**sides else { return None };
            let (comparison, value) = if left == key {
                (*comparison, right)
            } else if right == key {
                (comparison.turned(), left)
            } else {
                return None;
            };
            is_known(value, before).then_some(Bound::Compare(comparison, value))
        }
        Expr::Or(parts) => {
            let values = parts.iter().map(|part| match bound(part, key, before)? {
                Bound::Compare(Comparison::Equal, value) => Some(value),
                _ => None,
            });
            values.collect::<Option<Vec<_>>>().map(Bound::OneOf)
        }
        _ => None,
    }
}

fn is_known(value: &Expr, before: &dyn Fn(usize) -> bool) -> bool {
    let mut columns = Vec::new();
    value.columns(&mut columns);
    columns.into_iter().all(before) && !is_volatile(value)
}

/// Whether it may come to another value at the next row.
fn is_volatile(expr: &Expr) -> bool {
    use SessionFunction as S;
    let stable = |function: &S| {
        matches!(
            function,
            S::TransactionTime
                | S::StatementTime
                | S::CurrentSetting
                | S::CurrentXactId
                | S::CurrentXactIdIfAssigned
                | S::CurrentSnapshot
                | S::BackendPid
                | S::CurrentDatabase
                | S::CurrentUser
        )
    };
    match expr {
        Expr::Waiting(..) => true,
        Expr::Session(function, _) if !stable(function) => true,
        other => other.parts().into_iter().any(is_volatile),
    }
}

/// An expression over a table's own columns, for a row in which they begin at `start`.
pub(super) fn shifted(expr: &Expr, start: usize) -> Expr {
    let mut moved = expr.clone();
    if start > 0 {
        shift(&mut moved, start);
    }
    moved
}

fn shift(expr: &mut Expr, by: usize) {
    if let Expr::Column(column) = expr {
        *column += by;
    }
    expr.parts_mut().into_iter().for_each(|part| shift(part, by));
}
