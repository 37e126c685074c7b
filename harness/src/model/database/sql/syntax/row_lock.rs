//! `FOR [NO KEY] UPDATE`, `FOR [KEY] SHARE` `[OF t, ..]`: `sqlparser` reads two of the four and one table. The
//! strength and the tables go through it as the parts of one name: `FOR UPDATE OF "no key update".t1.t2`.

use sqlparser::ast::{LockClause, NonBlock, ObjectNamePart};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Word};

use super::super::super::error::SqlError;
use super::tokens::word_at;

/// How strong a row lock is (PostgreSQL 15 documentation, 13.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::model::database::sql) enum Strength {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
}

impl Strength {
    const ALL: [(Strength, &'static [&'static str]); 4] = [
        (Strength::NoKeyUpdate, &["for", "no", "key", "update"]),
        (Strength::KeyShare, &["for", "key", "share"]),
        (Strength::Update, &["for", "update"]),
        (Strength::Share, &["for", "share"]),
    ];

    fn words(self) -> &'static str {
        match self {
            Strength::KeyShare => "key share",
            Strength::Share => "share",
            Strength::NoKeyUpdate => "no key update",
            Strength::Update => "update",
        }
    }

    /// The clause, as messages name it.
    pub(in crate::model::database::sql) fn clause(self) -> &'static str {
        match self {
            Strength::KeyShare => "FOR KEY SHARE",
            Strength::Share => "FOR SHARE",
            Strength::NoKeyUpdate => "FOR NO KEY UPDATE",
            Strength::Update => "FOR UPDATE",
        }
    }
}

/// A locking clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model::database::sql) struct RowLocks {
    pub(in crate::model::database::sql) strength: Strength,
    /// The tables named by `OF`; all of them where there is no name.
    pub(in crate::model::database::sql) of: Vec<String>,
    pub(in crate::model::database::sql) no_wait: bool,
    pub(in crate::model::database::sql) skip_locked: bool,
}

impl RowLocks {
    /// Takes the clause out of the name that it was put into.
    pub(in crate::model::database::sql) fn of(clause: &LockClause) -> Result<Self, SqlError> {
        let unread = || SqlError::unknown(format!("the locking clause {clause}"), "");
        let mut parts = clause.of.iter().flat_map(|name| &name.0).map(|part| match part {
            ObjectNamePart::Identifier(ident) => Ok(super::super::names::ident(ident)),
            ObjectNamePart::Function(_) => Err(unread()),
        });
        let words = parts.next().ok_or_else(unread)??;
        let strength = Strength::ALL.iter().find(|(strength, _)| strength.words() == words);
        Ok(RowLocks {
            strength: strength.ok_or_else(unread)?.0,
            of: parts.collect::<Result<_, _>>()?,
            no_wait: matches!(clause.nonblock, Some(NonBlock::Nowait)),
            skip_locked: matches!(clause.nonblock, Some(NonBlock::SkipLocked)),
        })
    }
}

/// Puts every locking clause into the form that `sqlparser` reads.
pub(super) fn rewrite(tokens: &[Token]) -> Vec<Token> {
    let mut out = Vec::with_capacity(tokens.len() + 4);
    let mut at = 0;
    while at < tokens.len() {
        let found = Strength::ALL.iter().find(|(_, words)| {
            words.iter().enumerate().all(|(number, word)| word_at(tokens, at + number, word))
        });
        let Some((strength, words)) = found else {
            out.push(tokens[at].clone());
            at += 1;
            continue;
        };
        at += words.len();
        out.extend([keyword("FOR", Keyword::FOR), keyword("UPDATE", Keyword::UPDATE)]);
        out.extend([keyword("OF", Keyword::OF), quoted(strength.words())]);
        if word_at(tokens, at, "of") {
            at = tables(tokens, at + 1, &mut out);
        }
    }
    out
}

/// `t1, t2` as `.t1.t2`; gives the place behind them.
fn tables(tokens: &[Token], mut at: usize, out: &mut Vec<Token>) -> usize {
    while let Some(table @ Token::Word(_)) = tokens.get(at) {
        out.extend([Token::Period, table.clone()]);
        at += 1;
        if tokens.get(at) != Some(&Token::Comma) {
            break;
        }
        at += 1;
    }
    at
}

fn keyword(value: &str, keyword: Keyword) -> Token {
    Token::Word(Word { value: value.to_owned(), quote_style: None, keyword })
}

fn quoted(value: &str) -> Token {
    Token::Word(Word { value: value.to_owned(), quote_style: Some('"'), keyword: Keyword::NoKeyword })
}
