//! The names that outputs get.

use sqlparser::ast;

use super::super::super::types::Type;
use super::super::names;

/// The name that an output has if none is given (`FigureColname`).
pub(super) fn output_name(expr: &ast::Expr) -> String {
    named_output(expr).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// The name, and whether it is more than the name of a type.
fn named_output(expr: &ast::Expr) -> Option<(String, bool)> {
    use ast::Expr as E;
    let strong = |name: &str| Some((name.to_owned(), true));
    match expr {
        E::Identifier(ident) => Some((names::ident(ident), true)),
        E::CompoundIdentifier(parts) => parts.last().map(|last| (names::ident(last), true)),
        E::Function(function) => names::parts(&function.name).ok()?.pop().map(|name| (name, true)),
        E::Nested(inner) => named_output(inner),
        E::Cast { expr, data_type, .. } => match named_output(expr) {
            Some((name, true)) => Some((name, true)),
            _ => super::data_type(data_type).ok().map(|kind| (type_name(kind).to_owned(), false)),
        },
        E::TypedString(typed) => {
            super::data_type(&typed.data_type).ok().map(|kind| (type_name(kind).to_owned(), false))
        }
        E::Interval(_) => Some(("interval".to_owned(), false)),
        E::Value(value) => matches!(value.value, ast::Value::Boolean(_)).then(|| ("bool".to_owned(), false)),
        E::Case { else_result, .. } => match else_result.as_deref().and_then(named_output) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".to_owned(), false)),
        },
        E::Exists { .. } => strong("exists"),
        E::Array(_) => strong("array"),
        E::Substring { .. } => strong("substring"),
        E::Position { .. } => strong("position"),
        E::Extract { .. } => strong("extract"),
        E::Trim { trim_where, .. } => strong(match trim_where {
            None | Some(ast::TrimWhereField::Both) => "btrim",
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
        }),
        E::Ceil { .. } => strong("ceil"),
        E::Floor { .. } => strong("floor"),
        E::CompoundFieldAccess { root, .. } => named_output(root),
        E::Subquery(query) => match &*query.body {
            ast::SetExpr::Select(select) => match select.projection.first()? {
                ast::SelectItem::UnnamedExpr(expr) => named_output(expr),
                ast::SelectItem::ExprWithAlias { alias, .. } => Some((names::ident(alias), true)),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn type_name(kind: Type) -> &'static str {
    if let Type::Array(element) = kind { element.short_name() } else { kind.short_name() }
}
