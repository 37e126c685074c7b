//! From text to statements. What `sqlparser` reads well is left to it; transaction control, locks, settings and
//! the row locks that it does not know are read here.

mod command;
mod row_lock;
mod tokens;
mod transaction;

use sqlparser::ast;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

pub(super) use command::{Command, DropKind, SettingValue};
pub(super) use row_lock::{RowLocks, Strength};
pub(super) use transaction::{Characteristics, Control};

use super::super::error::{SqlError, state};
use tokens::Tokens;

/// A statement as it was written.
#[derive(Debug, Clone)]
pub(super) enum Statement {
    /// Transaction control, for which a failed transaction makes an exception.
    Control(Control),
    /// Read here.
    Command(Command),
    /// Read by `sqlparser`: a query, a change of rows, a definition.
    Ast(Box<ast::Statement>),
    /// `PREPARE name AS ..`.
    Prepare { name: String, statement: Box<Statement> },
    /// `EXECUTE name (..)`.
    Execute { name: String, arguments: Vec<ast::Expr> },
}

/// Reads all statements of a text.
pub(super) fn parse(sql: &str) -> Result<Vec<Statement>, SqlError> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize();
    let tokens = tokens.map_err(|error| {
        SqlError::new(state::SYNTAX_ERROR, format!("the text cannot be taken apart: {error}"))
    })?;
    let meaning = tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_)));
    let meaning: Vec<Token> = meaning.collect();
    let parts = meaning.split(|token| *token == Token::SemiColon).filter(|part| !part.is_empty());
    parts.map(statement).collect()
}

fn statement(tokens: &[Token]) -> Result<Statement, SqlError> {
    let mut cursor = Tokens::new(tokens);
    if let Some(control) = transaction::read(&mut cursor)? {
        return Ok(Statement::Control(control));
    }
    if cursor.word_is("prepare") {
        return prepare(&mut cursor);
    }
    if cursor.word_is("execute") {
        return execute(tokens);
    }
    if let Some(command) = command::read(&mut cursor)? {
        return Ok(Statement::Command(command));
    }
    Ok(Statement::Ast(Box::new(by_sqlparser(tokens)?)))
}

fn prepare(cursor: &mut Tokens<'_>) -> Result<Statement, SqlError> {
    cursor.expect("prepare")?;
    let name = cursor.name()?;
    if cursor.symbol(&Token::LParen) {
        while !cursor.symbol(&Token::RParen) {
            cursor.skip()?;
        }
    }
    cursor.expect("as")?;
    let statement = Box::new(statement(cursor.rest())?);
    Ok(Statement::Prepare { name, statement })
}

fn execute(tokens: &[Token]) -> Result<Statement, SqlError> {
    match by_sqlparser(tokens)? {
        ast::Statement::Execute { name: Some(name), parameters, .. } => {
            Ok(Statement::Execute { name: name.to_string(), arguments: parameters })
        }
        _ => Err(SqlError::unknown("this form of EXECUTE", "EXECUTE name (value, ..)")),
    }
}

fn by_sqlparser(tokens: &[Token]) -> Result<ast::Statement, SqlError> {
    let rewritten = row_lock::rewrite(tokens);
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens(rewritten);
    let unread = |error: sqlparser::parser::ParserError| {
        let first = tokens.iter().take(2).map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let what = format!("how to read this statement ({first} ..): {error}");
        SqlError::unknown(what, "")
    };
    let statement = parser.parse_statement().map_err(unread)?;
    match parser.peek_token().token {
        Token::EOF => Ok(statement),
        other => Err(SqlError::unknown(format!("what follows at \"{other}\" in this statement"), "")),
    }
}
