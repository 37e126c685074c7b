//! `CREATE SEQUENCE`.

use std::sync::Arc;

use sqlparser::ast::{self, SequenceOptions};

use super::super::super::error::{SqlError, state};
use super::super::super::store::SequenceDef;
use super::super::super::types::Type;
use super::super::session::{Answer, SqlSession};
use super::super::{bind, names};

impl SqlSession {
    pub(super) async fn create_sequence(&mut self, create: &ast::Statement) -> Result<Answer, SqlError> {
        let ast::Statement::CreateSequence {
            temporary,
            if_not_exists,
            name,
            data_type,
            sequence_options,
            owned_by,
        } = create
        else {
            return Err(bind::unknown_statement(create));
        };
        let answer = Answer { tag: "CREATE SEQUENCE".to_owned(), ..Answer::default() };
        if *temporary || owned_by.is_some() {
            return Err(SqlError::unknown("temporary and owned sequences", "CREATE SEQUENCE name"));
        }
        let name: Arc<str> = names::object(name)?.into();
        if self.session.sequence_named(&name).is_some() || self.session.table_named(&name).is_some() {
            if *if_not_exists {
                self.state.notice(format!("relation \"{name}\" already exists, skipping"));
                return Ok(answer);
            }
            let message = format!("relation \"{name}\" already exists");
            return Err(SqlError::new(state::DUPLICATE_TABLE, message));
        }
        let kind = match data_type {
            Some(kind) => bind::data_type(kind)?,
            None => Type::Int8,
        };
        self.session.create_sequence(with_options(name, kind, sequence_options)?);
        Ok(answer)
    }
}

/// A sequence of the type, as the options have it.
pub(super) fn with_options(
    name: Arc<str>,
    kind: Type,
    options: &[SequenceOptions],
) -> Result<SequenceDef, SqlError> {
    let (least, most) = match kind {
        Type::Int2 => (i16::MIN.into(), i16::MAX.into()),
        Type::Int4 => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    };
    let (mut increment, mut start, mut min, mut max, mut cycle) = (1, None, None, None, false);
    for option in options {
        match option {
            SequenceOptions::IncrementBy(by, _) => increment = number(by)?,
            SequenceOptions::StartWith(at, _) => start = Some(number(at)?),
            SequenceOptions::MinValue(value) => min = value.as_ref().map(number).transpose()?,
            SequenceOptions::MaxValue(value) => max = value.as_ref().map(number).transpose()?,
            SequenceOptions::Cycle(no) => cycle = !no,
            SequenceOptions::Cache(size) if number(size)? == 1 => {}
            SequenceOptions::Cache(_) => {
                return Err(SqlError::unknown("sequences with a cache", "CACHE 1, the default"));
            }
        }
    }
    if increment == 0 {
        return Err(SqlError::new(state::INVALID_PARAMETER_VALUE, "INCREMENT must not be zero"));
    }
    let (up_min, up_max) = if increment > 0 { (1, most) } else { (least, -1) };
    let (min, max) = (min.unwrap_or(up_min), max.unwrap_or(up_max));
    let start = start.unwrap_or(if increment > 0 { min } else { max });
    if min >= max || !(min..=max).contains(&start) {
        let message = format!("START value ({start}) must lie between MINVALUE ({min}) and MAXVALUE ({max})");
        return Err(SqlError::new(state::INVALID_PARAMETER_VALUE, message));
    }
    Ok(SequenceDef { name, start, increment, min, max, cycle })
}

fn number(expr: &ast::Expr) -> Result<i64, SqlError> {
    expr.to_string()
        .trim_start_matches('+')
        .parse()
        .map_err(|_| SqlError::unknown(format!("the number {expr} of a sequence"), "whole numbers"))
}
