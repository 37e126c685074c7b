//! Queries within expressions.

use std::sync::Arc;

use sqlparser::ast;

use super::super::super::error::{SqlError, state};
use super::super::super::types::Type;
use super::super::super::value::Value;
use super::super::expression::{self, Comparison, Expr, Typed};
use super::super::plan::{Subquery, SubqueryKind};
use super::Binder;
use super::query::array_of_output;

/// What a subquery sees of the queries around it.
pub(super) struct Frame {
    pub(super) base: usize,
    pub(super) reach: usize,
    pub(super) outer_columns: Vec<usize>,
}

impl Binder<'_> {
    /// A query within an expression.
    pub(super) fn subquery(
        &mut self,
        kind: SubqueryKind,
        operand: Option<&ast::Expr>,
        query: &ast::Query,
    ) -> Result<Typed, SqlError> {
        let operand = match operand {
            Some(operand) => Some(self.expression(operand)?),
            None => None,
        };
        self.frames.push(Frame { base: self.scopes.len(), reach: 0, outer_columns: Vec::new() });
        let bound = self.query(query, None);
        let frame = self.frames.pop().expect("it was pushed above");
        let mut query = bound?;
        let one_column = query.columns.len() == 1;
        if !one_column && kind != SubqueryKind::Exists {
            let message = match kind {
                SubqueryKind::Any(_) | SubqueryKind::All(_) => "subquery has too many columns",
                _ => "subquery must return only one column",
            };
            return Err(SqlError::new(state::SYNTAX_ERROR, message));
        }
        let result = match kind {
            SubqueryKind::Scalar => query.columns[0].kind,
            SubqueryKind::Array => array_of_output(query.columns[0].kind)?,
            SubqueryKind::Exists | SubqueryKind::Any(_) | SubqueryKind::All(_) => Type::Bool,
        };
        let operand = match (operand, kind) {
            (Some(operand), SubqueryKind::Any(comparison) | SubqueryKind::All(comparison)) => {
                Some(self.taken_to_one_type(operand, &mut query, comparison)?)
            }
            _ => None,
        };
        let slot = self.subquery_count;
        self.subquery_count += 1;
        let correlated = frame.reach > 0;
        let outer_columns = frame.outer_columns;
        let query = Arc::new(query);
        let subquery = Subquery { kind, operand, query, correlated, outer_columns, slot };
        Ok(Typed::new(Expr::Subquery(Box::new(subquery)), result))
    }

    /// Operand and output in the type in which they are compared.
    fn taken_to_one_type(
        &mut self,
        operand: Typed,
        query: &mut super::super::plan::Query,
        comparison: Comparison,
    ) -> Result<Expr, SqlError> {
        let output = std::mem::replace(&mut query.select.projection[0], Expr::Const(Value::Null));
        let output = Typed::new(output, query.columns[0].kind);
        let compared = expression::compared(comparison, operand, output, self.params)?;
        let Expr::Apply(_, sides) = compared.expr else {
            unreachable!("a comparison is a function of two sides");
        };
        let [left, right]: [Expr; 2] =
            sides.into_vec().try_into().expect("a comparison is a function of two sides");
        query.select.projection[0] = right;
        Ok(left)
    }
}
