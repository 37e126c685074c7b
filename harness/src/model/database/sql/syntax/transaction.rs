//! `BEGIN`, `COMMIT`, `SAVEPOINT` and their kin.

use sqlparser::tokenizer::Token;

use super::super::super::error::SqlError;
use super::super::super::store::Isolation;
use super::tokens::Tokens;

/// What a transaction is begun with; what is not said is the session's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::model::database::sql) struct Characteristics {
    pub(in crate::model::database::sql) isolation: Option<Isolation>,
    pub(in crate::model::database::sql) read_only: Option<bool>,
    pub(in crate::model::database::sql) deferrable: Option<bool>,
}

/// Transaction control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model::database::sql) enum Control {
    /// Also `START TRANSACTION`, which has another tag.
    Begin {
        characteristics: Characteristics,
        start: bool,
    },
    /// Also `END`.
    Commit {
        chain: bool,
    },
    /// Also `ABORT`.
    Rollback {
        chain: bool,
    },
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    PrepareTransaction(String),
    CommitPrepared(String),
    RollbackPrepared(String),
    SetTransaction(Characteristics),
    SetSessionCharacteristics(Characteristics),
}

/// Reads transaction control, if it is that.
pub(super) fn read(tokens: &mut Tokens<'_>) -> Result<Option<Control>, SqlError> {
    let control = if tokens.take(&["begin"]) {
        noise(tokens);
        Control::Begin { characteristics: characteristics(tokens)?, start: false }
    } else if tokens.take(&["start", "transaction"]) {
        Control::Begin { characteristics: characteristics(tokens)?, start: true }
    } else if tokens.take(&["commit", "prepared"]) {
        Control::CommitPrepared(tokens.literal()?)
    } else if tokens.take(&["rollback", "prepared"]) {
        Control::RollbackPrepared(tokens.literal()?)
    } else if tokens.take(&["prepare", "transaction"]) {
        Control::PrepareTransaction(tokens.literal()?)
    } else if tokens.take(&["commit"]) || tokens.take(&["end"]) {
        noise(tokens);
        Control::Commit { chain: chain(tokens)? }
    } else if tokens.take(&["rollback"]) || tokens.take(&["abort"]) {
        rollback(tokens)?
    } else if tokens.take(&["savepoint"]) {
        Control::Savepoint(tokens.name()?)
    } else if tokens.take(&["release"]) {
        tokens.take(&["savepoint"]);
        Control::Release(tokens.name()?)
    } else if tokens.take(&["set", "transaction"]) {
        Control::SetTransaction(characteristics(tokens)?)
    } else if tokens.take(&["set", "session", "characteristics", "as", "transaction"]) {
        Control::SetSessionCharacteristics(characteristics(tokens)?)
    } else {
        return Ok(None);
    };
    tokens.end()?;
    Ok(Some(control))
}

fn rollback(tokens: &mut Tokens<'_>) -> Result<Control, SqlError> {
    noise(tokens);
    if tokens.take(&["to"]) {
        tokens.take(&["savepoint"]);
        return Ok(Control::RollbackTo(tokens.name()?));
    }
    Ok(Control::Rollback { chain: chain(tokens)? })
}

fn noise(tokens: &mut Tokens<'_>) {
    if !tokens.take(&["work"]) {
        tokens.take(&["transaction"]);
    }
}

fn chain(tokens: &mut Tokens<'_>) -> Result<bool, SqlError> {
    if !tokens.take(&["and"]) {
        return Ok(false);
    }
    let chain = !tokens.take(&["no"]);
    tokens.expect("chain")?;
    Ok(chain)
}

fn characteristics(tokens: &mut Tokens<'_>) -> Result<Characteristics, SqlError> {
    let mut read = Characteristics::default();
    while !tokens.is_empty() {
        if tokens.take(&["isolation", "level"]) {
            read.isolation = Some(level(tokens)?);
        } else if tokens.take(&["read", "only"]) {
            read.read_only = Some(true);
        } else if tokens.take(&["read", "write"]) {
            read.read_only = Some(false);
        } else if tokens.take(&["deferrable"]) {
            read.deferrable = Some(true);
        } else if tokens.take(&["not", "deferrable"]) {
            read.deferrable = Some(false);
        } else if tokens.words_are(&["snapshot"]) {
            return Err(SqlError::unknown(
                "SET TRANSACTION SNAPSHOT",
                "isolation level, read only, deferrable",
            ));
        } else {
            return Err(tokens.unread());
        }
        tokens.symbol(&Token::Comma);
    }
    Ok(read)
}

/// Read uncommitted is read committed, as in PostgreSQL.
fn level(tokens: &mut Tokens<'_>) -> Result<Isolation, SqlError> {
    if tokens.take(&["serializable"]) {
        Ok(Isolation::Serializable)
    } else if tokens.take(&["repeatable", "read"]) {
        Ok(Isolation::RepeatableRead)
    } else if tokens.take(&["read", "committed"]) || tokens.take(&["read", "uncommitted"]) {
        Ok(Isolation::ReadCommitted)
    } else {
        Err(tokens.unread())
    }
}
