//! `GROUP BY` and aggregates.

use sqlparser::ast;

use super::super::super::error::{SqlError, state};
use super::super::super::types::Type;
use super::super::cast::Context;
use super::super::expression::{self, Expr, Typed};
use super::super::params::{coerced, condition, text_if_unknown};
use super::super::plan::{Aggregate, AggregateFunction, Group, SortKey};
use super::Binder;

/// The aggregate of that name.
pub(super) fn aggregate(name: &str) -> Option<AggregateFunction> {
    Some(match name {
        "count" => AggregateFunction::Count,
        "sum" => AggregateFunction::Sum,
        "avg" => AggregateFunction::Average,
        "min" => AggregateFunction::Minimum,
        "max" => AggregateFunction::Maximum,
        "bool_and" | "every" => AggregateFunction::And,
        "bool_or" => AggregateFunction::Or,
        "string_agg" => AggregateFunction::Join,
        "array_agg" => AggregateFunction::Array,
        _ => return None,
    })
}

impl Binder<'_> {
    /// The call of an aggregate.
    pub(super) fn aggregate(
        &mut self,
        function: AggregateFunction,
        name: &str,
        call: &ast::Function,
    ) -> Result<Typed, SqlError> {
        if let Some(clause) = self.scope().clause {
            let message = format!("aggregate functions are not allowed in {clause}");
            return Err(SqlError::new(state::GROUPING_ERROR, message));
        }
        let ast::FunctionArguments::List(list) = &call.args else {
            return Err(SqlError::unknown(format!("{name} without arguments"), ""));
        };
        let all_rows = matches!(&*list.args, [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)]);
        self.scope().clause = Some("the arguments of an aggregate");
        let bound = self.aggregate_parts(function, name, list, all_rows, call.filter.as_deref());
        self.scope().clause = None;
        let aggregate = bound?;
        let kind = aggregate.kind;
        let aggregates = &mut self.scope().aggregates;
        let number = aggregates.iter().position(|known| *known == aggregate).unwrap_or_else(|| {
            aggregates.push(aggregate);
            aggregates.len() - 1
        });
        Ok(Typed::new(Expr::Aggregate(number), kind))
    }

    fn aggregate_parts(
        &mut self,
        function: AggregateFunction,
        name: &str,
        list: &ast::FunctionArgumentList,
        all_rows: bool,
        filter: Option<&ast::Expr>,
    ) -> Result<Aggregate, SqlError> {
        let mut order = Vec::new();
        for clause in &list.clauses {
            match clause {
                ast::FunctionArgumentClause::OrderBy(keys) => {
                    for key in keys {
                        let expr = self.expression(&key.expr)?.expr;
                        order.push(super::query::sort_key(expr, &key.options));
                    }
                }
                other => return Err(SqlError::unknown(format!("{other} in {name}"), "ORDER BY")),
            }
        }
        let filter = match filter {
            Some(filter) => Some(condition(self.expression(filter)?, "FILTER", self.params)?),
            None => None,
        };
        let distinct = list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct);
        if all_rows && function == AggregateFunction::Count {
            let (function, args, kind) = (AggregateFunction::CountRows, Vec::new(), Type::Int8);
            return Ok(Aggregate { function, args, distinct, filter, order, kind });
        }
        let args = super::function::argument_expressions(name, &list.args)?;
        let args = args.iter().map(|arg| self.expression(arg)).collect::<Result<Vec<_>, _>>()?;
        let (args, kind) = self.typed_arguments(function, name, args)?;
        Ok(Aggregate { function, args, distinct, filter, order, kind })
    }

    /// The arguments in the type that the aggregate adds up, and the type of its result.
    fn typed_arguments(
        &mut self,
        function: AggregateFunction,
        name: &str,
        args: Vec<Typed>,
    ) -> Result<(Vec<Expr>, Type), SqlError> {
        use AggregateFunction as F;
        let kinds: Vec<String> = args.iter().map(|arg| arg.kind.to_string()).collect();
        let none = || SqlError::unknown(format!("the function {name}({})", kinds.join(", ")), "");
        let mut args = args.into_iter();
        let first = text_if_unknown(args.next().ok_or_else(none)?, self.params)?;
        let kind = first.kind;
        let (wanted, result) = match function {
            F::Sum => match kind {
                Type::Int2 | Type::Int4 => (kind, Type::Int8),
                Type::Int8 | Type::Numeric(_) => (Type::Numeric(None), Type::Numeric(None)),
                Type::Float4 | Type::Float8 | Type::Interval => (kind, kind),
                _ => return Err(none()),
            },
            F::Average => match kind {
                Type::Int2 | Type::Int4 | Type::Int8 | Type::Numeric(_) => {
                    (Type::Numeric(None), Type::Numeric(None))
                }
                Type::Float4 | Type::Float8 => (Type::Float8, Type::Float8),
                _ => return Err(none()),
            },
            F::And | F::Or => (Type::Bool, Type::Bool),
            F::Join => (Type::Text, Type::Text),
            F::Array => (kind, expression::array_type(kind).ok_or_else(none)?),
            F::Count | F::CountRows => (kind, Type::Int8),
            F::Minimum | F::Maximum | F::First => {
                (kind, if let Type::Char(_) = kind { kind } else { kind.base() })
            }
        };
        let mut taken = vec![coerced(first, wanted, Context::Implicit, self.params)?.ok_or_else(none)?];
        if function == F::Join {
            let separator = args.next().ok_or_else(none)?;
            taken.push(coerced(separator, Type::Text, Context::Implicit, self.params)?.ok_or_else(none)?);
        }
        if args.next().is_some() { Err(none()) } else { Ok((taken, result)) }
    }

    /// Takes the expressions of a grouped query over to the row of a group.
    pub(super) fn grouped(
        &mut self,
        keys: Vec<Expr>,
        having: Vec<Expr>,
        outputs: &mut [&mut Expr],
    ) -> Result<Group, SqlError> {
        let aggregates = std::mem::take(&mut self.scope().aggregates);
        let determined = self.determined(&keys);
        let mut group = Group { keys, aggregates, having };
        let calls = group.aggregates.len();
        let mut firsts: Vec<usize> = Vec::new();
        let mut having = std::mem::take(&mut group.having);
        for expr in having.iter_mut().chain(outputs.iter_mut().map(|expr| &mut **expr)) {
            let mut regroup = Regroup {
                keys: &group.keys,
                calls,
                determined: &determined,
                firsts: &mut firsts,
                binder: self,
            };
            regroup.expr(expr)?;
        }
        group.having = having;
        for column in firsts {
            group.aggregates.push(Aggregate {
                function: AggregateFunction::First,
                args: vec![Expr::Column(column)],
                distinct: false,
                filter: None,
                order: Vec::<SortKey>::new(),
                kind: Type::Unknown,
            });
        }
        Ok(group)
    }

    /// The columns that the keys determine: those of a table whose primary key is among them.
    fn determined(&self, keys: &[Expr]) -> Vec<usize> {
        let sources = self.scopes.last().map_or(&[][..], |scope| &scope.sources);
        let whole = sources.iter().filter(|source| {
            source.primary_key.as_ref().is_some_and(|columns| {
                columns.iter().all(|column| keys.contains(&Expr::Column(source.start + column)))
            })
        });
        whole.flat_map(|source| source.start..source.start + source.columns.len()).collect()
    }

    fn ungrouped(&self, column: usize) -> SqlError {
        let sources = self.scopes.last().map_or(&[][..], |scope| &scope.sources);
        let named = sources.iter().find_map(|source| {
            let number = column.checked_sub(source.start)?;
            source.columns.get(number).map(|found| format!("{}.{}", source.alias, found.name))
        });
        let name = named.unwrap_or_default();
        let message = format!(
            "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function"
        );
        SqlError::new(state::GROUPING_ERROR, message)
    }
}

struct Regroup<'a, 'b, 'c> {
    keys: &'a [Expr],
    calls: usize,
    determined: &'a [usize],
    firsts: &'a mut Vec<usize>,
    binder: &'b Binder<'c>,
}

impl Regroup<'_, '_, '_> {
    fn expr(&mut self, expr: &mut Expr) -> Result<(), SqlError> {
        if let Some(key) = self.keys.iter().position(|key| key == expr) {
            *expr = Expr::Column(key);
            return Ok(());
        }
        match expr {
            Expr::Aggregate(number) => *expr = Expr::Column(self.keys.len() + *number),
            Expr::Column(column) if self.determined.contains(column) => {
                let place = self.firsts.iter().position(|first| first == column).unwrap_or_else(|| {
                    self.firsts.push(*column);
                    self.firsts.len() - 1
                });
                *expr = Expr::Column(self.keys.len() + self.calls + place);
            }
            Expr::Column(column) => return Err(self.binder.ungrouped(*column)),
            Expr::Subquery(subquery) if !subquery.outer_columns.is_empty() => {
                return Err(SqlError::unknown(
                    "a subquery that looks at columns of a grouped query around it",
                    "subqueries of their own",
                ));
            }
            other => {
                for part in other.parts_mut() {
                    self.expr(part)?;
                }
            }
        }
        Ok(())
    }
}
