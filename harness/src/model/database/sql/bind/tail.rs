//! What comes after the rows of a query: their order, which of them are distinct, how many.

use std::sync::Arc;

use sqlparser::ast;

use super::super::super::error::{SqlError, state};
use super::super::super::types::Type;
use super::super::expression::{Expr, Typed};
use super::super::params::{assigned, text_if_unknown};
use super::super::plan::{Distinct, SortKey};
use super::Binder;
use super::query::{Tail, sort_key};
use super::scope::Scope;

impl Binder<'_> {
    pub(super) fn order_by(
        &mut self,
        order: Option<&ast::OrderBy>,
        outputs: &[(Typed, Arc<str>)],
    ) -> Result<Vec<SortKey>, SqlError> {
        let Some(order) = order else { return Ok(Vec::new()) };
        let ast::OrderByKind::Expressions(keys) = &order.kind else {
            return Err(SqlError::unknown("ORDER BY ALL", "ORDER BY expression, .."));
        };
        let keys = keys.iter().map(|key| {
            let typed = match self.output(&key.expr, outputs, "ORDER BY")? {
                Some(output) => output,
                None => self.expression(&key.expr)?,
            };
            let typed = text_if_unknown(typed, self.params)?;
            Ok(sort_key(typed.expr, &key.options))
        });
        keys.collect()
    }

    pub(super) fn distinct(
        &mut self,
        distinct: Option<&ast::Distinct>,
    ) -> Result<Option<Distinct>, SqlError> {
        Ok(match distinct {
            None | Some(ast::Distinct::All) => None,
            Some(ast::Distinct::Distinct) => Some(Distinct::All),
            Some(ast::Distinct::On(exprs)) => {
                let keys = exprs.iter().map(|expr| self.expression(expr).map(|typed| typed.expr));
                Some(Distinct::On(keys.collect::<Result<_, _>>()?))
            }
        })
    }

    pub(super) fn limits(&mut self, tail: Tail<'_>) -> Result<(Option<Expr>, Option<Expr>), SqlError> {
        let (mut limit, mut offset) = match tail.limit {
            None => (None, None),
            Some(ast::LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                (limit.as_ref(), offset.as_ref().map(|offset| &offset.value))
            }
            Some(other) => return Err(SqlError::unknown(format!("{other}"), "LIMIT and OFFSET")),
        };
        if let Some(fetch) = tail.fetch {
            if fetch.with_ties || fetch.percent {
                return Err(SqlError::unknown(format!("{fetch}"), "FETCH FIRST n ROWS ONLY"));
            }
            limit = fetch.quantity.as_ref();
        }
        let (limit, offset) = (limit.take(), offset.take());
        Ok((self.limit(limit, "LIMIT")?, self.limit(offset, "OFFSET")?))
    }

    fn limit(&mut self, expr: Option<&ast::Expr>, clause: &str) -> Result<Option<Expr>, SqlError> {
        let Some(expr) = expr else { return Ok(None) };
        if matches!(expr, ast::Expr::Identifier(ident) if ident.value.eq_ignore_ascii_case("all")) {
            return Ok(None);
        }
        self.scopes.push(Scope { clause: Some("LIMIT"), ..Scope::default() });
        let bound = self.expression(expr);
        let reach = self.scope().reach;
        self.scopes.pop();
        let bound = bound?;
        if reach > 0 {
            let message = format!("argument of {clause} must not contain variables");
            return Err(SqlError::new(state::INVALID_COLUMN_REFERENCE, message));
        }
        Ok(Some(assigned(bound, clause, Type::Int8, self.params)?))
    }
}
