//! Calls of functions: aggregates, functions of any type, functions of the table of signatures.

use sqlparser::ast;

use super::super::super::error::{SqlError, state};
use super::super::super::types::Type;
use super::super::super::value::Value;
use super::super::cast::Context;
use super::super::expression::{self, Expr, Function, Typed};
use super::super::names;
use super::super::params::{coerced, in_common, text_if_unknown};
use super::super::plan::TableFunction;
use super::Binder;

impl Binder<'_> {
    /// A call as it was written.
    pub(super) fn function(&mut self, function: &ast::Function) -> Result<Typed, SqlError> {
        let name = names::object(&function.name)?;
        if function.over.is_some() {
            return Err(SqlError::unknown(format!("window functions ({name} OVER ..)"), "aggregates"));
        }
        if !function.within_group.is_empty() || function.null_treatment.is_some() {
            return Err(SqlError::unknown(format!("this form of {name}(..)"), "name(arguments)"));
        }
        if let ast::FunctionArguments::Subquery(query) = &function.args {
            return match name.as_str() {
                "array" => self.subquery(super::super::plan::SubqueryKind::Array, None, query),
                _ => Err(SqlError::unknown(format!("{name}(query)"), "ARRAY(query)")),
            };
        }
        if let Some(aggregate) = super::group::aggregate(&name) {
            return self.aggregate(aggregate, &name, function);
        }
        let args = self.plain_arguments(&name, function)?;
        self.call(&name, &args)
    }

    fn plain_arguments(&self, name: &str, function: &ast::Function) -> Result<Vec<ast::Expr>, SqlError> {
        let list = match &function.args {
            ast::FunctionArguments::List(list) => list,
            _ => return Ok(Vec::new()),
        };
        if list.duplicate_treatment.is_some() || !list.clauses.is_empty() || function.filter.is_some() {
            return Err(SqlError::unknown(format!("this form of {name}(..)"), "name(arguments)"));
        }
        argument_expressions(name, &list.args)
    }

    /// A call by name.
    pub(super) fn call(&mut self, name: &str, args: &[ast::Expr]) -> Result<Typed, SqlError> {
        if let Some(function) = super::source::table_function(name) {
            return self.series(name, function, args);
        }
        let args = args.iter().map(|arg| self.expression(arg)).collect::<Result<Vec<_>, _>>()?;
        match name {
            "coalesce" => {
                let (parts, kind) = in_common(args, "COALESCE", self.params)?;
                Ok(Typed::new(Expr::Coalesce(parts.into()), kind))
            }
            "greatest" | "least" => {
                let what = if name == "greatest" { "GREATEST" } else { "LEAST" };
                let (parts, kind) = in_common(args, what, self.params)?;
                let function = if name == "greatest" { Function::Greatest } else { Function::Least };
                Ok(Typed::new(Expr::Apply(function, parts.into()), kind))
            }
            "nullif" => {
                let (parts, kind) = in_common(args, "NULLIF", self.params)?;
                Ok(Typed::new(Expr::Apply(Function::NullIf, parts.into()), kind))
            }
            "concat" | "concat_ws" => self.concat(name, args),
            "cardinality" | "array_length" => cardinality(name, args),
            "array_append" => {
                let [array, element] = two(name, args)?;
                expression::binary(&ast::BinaryOperator::StringConcat, array, element, self.params)
            }
            "pg_typeof" => {
                let kind = args.first().map_or(Type::Unknown, |arg| arg.kind);
                Ok(Typed::constant(Value::text(kind.to_string()), Type::Text))
            }
            _ => expression::resolve(name, args, self.params),
        }
    }

    fn concat(&mut self, name: &str, args: Vec<Typed>) -> Result<Typed, SqlError> {
        use expression::TextFunction;
        let parts = args.into_iter().map(|arg| {
            let arg = text_if_unknown(arg, self.params)?;
            let kind = arg.kind;
            // Here a boolean is printed as its output has it, not as its cast to text.
            if kind == Type::Bool {
                let arms = [(arg.expr.clone(), Expr::Const(Value::text("t")))].into();
                let known = Expr::Apply(Function::IsNull { negated: false }, [arg.expr].into());
                let otherwise = Expr::Case {
                    arms: [(known, Expr::Const(Value::Null))].into(),
                    otherwise: Box::new(Expr::Const(Value::text("f"))),
                };
                return Ok(Expr::Case { arms, otherwise: Box::new(otherwise) });
            }
            coerced(arg, Type::Text, Context::Explicit, self.params)?
                .ok_or_else(|| SqlError::unknown(format!("{name} of {kind}"), "values with a text form"))
        });
        let parts = parts.collect::<Result<Box<[Expr]>, SqlError>>()?;
        let function =
            if name == "concat" { TextFunction::Concat } else { TextFunction::ConcatWithSeparator };
        Ok(Typed::new(Expr::Apply(Function::Text(function), parts), Type::Text))
    }

    /// A function of rows in the select list: its rows are joined to those of the query.
    fn series(&mut self, name: &str, function: TableFunction, args: &[ast::Expr]) -> Result<Typed, SqlError> {
        let (args, columns) = self.table_function(name, function, args)?;
        let scope = self.scope();
        if scope.clause.is_some() || scope.series.is_some() {
            let known = "one of them in a select list, and FROM";
            return Err(SqlError::unknown(format!("the function of rows {name} in this place"), known));
        }
        if let TableFunction::CreateSlot | TableFunction::AdvanceSlot | TableFunction::SlotChanges { .. } =
            function
        {
            let kinds: Vec<Type> = columns.iter().map(|column| column.kind).collect();
            let first = scope.width;
            scope.series = Some((function, args));
            return Ok(composite(first, &kinds));
        }
        let kind = columns[0].kind;
        let column = scope.width;
        scope.series = Some((function, args));
        Ok(Typed::new(Expr::Column(column), kind))
    }
}

/// A row as its text, `(a,b)`: what is printed of a function of rows in a select list. Only values without
/// blanks, commas and quotes occur here.
fn composite(first: usize, kinds: &[Type]) -> Typed {
    use expression::TextFunction;
    let constant = |text: &str| Expr::Const(Value::text(text));
    let mut parts = vec![constant("(")];
    for (number, kind) in kinds.iter().enumerate() {
        if number > 0 {
            parts.push(constant(","));
        }
        let cast = Function::Cast { from: *kind, to: Type::Text, context: Context::Explicit };
        parts.push(Expr::Apply(cast, [Expr::Column(first + number)].into()));
    }
    parts.push(constant(")"));
    Typed::new(Expr::Apply(Function::Text(TextFunction::Concat), parts.into()), Type::Text)
}

/// The arguments of a call, without names.
pub(super) fn argument_expressions(
    name: &str,
    args: &[ast::FunctionArg],
) -> Result<Vec<ast::Expr>, SqlError> {
    let plain = args.iter().map(|arg| match arg {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Ok(expr.clone()),
        other => Err(SqlError::unknown(format!("the argument {other} of {name}"), "plain arguments")),
    });
    plain.collect()
}

fn cardinality(name: &str, args: Vec<Typed>) -> Result<Typed, SqlError> {
    match args.first() {
        Some(array) if matches!(array.kind, Type::Array(_)) => {
            let exprs = args.into_iter().map(|arg| arg.expr).take(1).collect();
            Ok(Typed::new(Expr::Apply(Function::Cardinality, exprs), Type::Int4))
        }
        _ => Err(SqlError::new(state::UNDEFINED_FUNCTION, format!("function {name} does not exist"))),
    }
}

fn two(name: &str, args: Vec<Typed>) -> Result<[Typed; 2], SqlError> {
    args.try_into()
        .map_err(|_| SqlError::new(state::UNDEFINED_FUNCTION, format!("{name} takes two arguments")))
}
