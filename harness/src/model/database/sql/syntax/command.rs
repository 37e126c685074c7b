//! Statements that are neither queries nor changes of rows, read from their tokens.

use sqlparser::tokenizer::Token;

use super::super::super::error::SqlError;
use super::super::super::store::LockMode as TableLock;
use super::tokens::Tokens;

/// A table-level lock mode.
pub(in crate::model::database::sql) type LockMode = TableLock;

/// The value given to a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model::database::sql) enum SettingValue {
    Default,
    Text(String),
}

/// What `DROP` drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model::database::sql) enum DropKind {
    Table,
    Index,
    Sequence,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model::database::sql) enum Command {
    Listen(String),
    /// Of one channel or of all.
    Unlisten(Option<String>),
    Notify {
        channel: String,
        payload: String,
    },
    Lock {
        tables: Vec<String>,
        mode: LockMode,
        no_wait: bool,
    },
    Set {
        name: String,
        value: SettingValue,
        local: bool,
    },
    ResetAll,
    Show(String),
    Truncate {
        tables: Vec<String>,
        restart_identity: bool,
        cascade: bool,
    },
    Drop {
        kind: DropKind,
        names: Vec<String>,
        if_exists: bool,
        cascade: bool,
    },
    DiscardAll,
    Deallocate(Option<String>),
    Checkpoint,
    /// `VACUUM`, `ANALYZE`: rows are neither moved nor hidden by them, and no plan depends on statistics.
    Maintenance {
        tag: &'static str,
        tables: Vec<String>,
    },
    /// `SET CONSTRAINTS`.
    Constraints {
        deferred: bool,
        names: Option<Vec<String>>,
    },
}

/// Reads a command, if it is one of these.
pub(super) fn read(tokens: &mut Tokens<'_>) -> Result<Option<Command>, SqlError> {
    let command = if tokens.take(&["listen"]) {
        Command::Listen(tokens.name()?)
    } else if tokens.take(&["unlisten"]) {
        Command::Unlisten(if tokens.symbol(&Token::Mul) { None } else { Some(tokens.name()?) })
    } else if tokens.take(&["notify"]) {
        let channel = tokens.name()?;
        let payload = if tokens.symbol(&Token::Comma) { tokens.literal()? } else { String::new() };
        Command::Notify { channel, payload }
    } else if tokens.take(&["lock"]) {
        lock(tokens)?
    } else if tokens.take(&["set", "constraints"]) {
        constraints(tokens)?
    } else if tokens.take(&["set"]) {
        set(tokens)?
    } else if tokens.take(&["reset"]) {
        if tokens.take(&["all"]) {
            Command::ResetAll
        } else {
            Command::Set { name: setting_name(tokens)?, value: SettingValue::Default, local: false }
        }
    } else if tokens.take(&["show"]) {
        Command::Show(setting_name(tokens)?)
    } else if tokens.take(&["truncate"]) {
        truncate(tokens)?
    } else if tokens.word_is("drop") {
        match drop(tokens)? {
            Some(drop) => drop,
            None => return Ok(None),
        }
    } else {
        match other(tokens)? {
            Some(command) => command,
            None => return Ok(None),
        }
    };
    tokens.end()?;
    Ok(Some(command))
}

fn other(tokens: &mut Tokens<'_>) -> Result<Option<Command>, SqlError> {
    Ok(Some(if tokens.take(&["discard", "all"]) {
        Command::DiscardAll
    } else if tokens.take(&["deallocate"]) {
        tokens.take(&["prepare"]);
        Command::Deallocate(if tokens.take(&["all"]) { None } else { Some(tokens.name()?) })
    } else if tokens.take(&["checkpoint"]) {
        Command::Checkpoint
    } else if tokens.take(&["vacuum"]) {
        vacuum(tokens)?
    } else if tokens.take(&["analyze"]) {
        Command::Maintenance { tag: "ANALYZE", tables: maintained("ANALYZE", tokens)? }
    } else {
        return Ok(None);
    }))
}

fn vacuum(tokens: &mut Tokens<'_>) -> Result<Command, SqlError> {
    if tokens.word_is("full") {
        return Err(SqlError::unknown("VACUUM FULL", "VACUUM [FREEZE] [ANALYZE] table"));
    }
    tokens.take(&["freeze"]);
    tokens.take(&["analyze"]);
    Ok(Command::Maintenance { tag: "VACUUM", tables: maintained("VACUUM", tokens)? })
}

fn maintained(tag: &str, tokens: &mut Tokens<'_>) -> Result<Vec<String>, SqlError> {
    if tokens.is_empty() || tokens.rest().first() == Some(&Token::LParen) {
        return Err(SqlError::unknown(format!("{tag} with options or without tables"), "tables by name"));
    }
    tokens.relations()
}

fn lock(tokens: &mut Tokens<'_>) -> Result<Command, SqlError> {
    tokens.take(&["table"]);
    tokens.take(&["only"]);
    let tables = tokens.relations()?;
    let mut mode = LockMode::AccessExclusive;
    if tokens.take(&["in"]) {
        mode = table_lock(tokens)?;
        tokens.expect("mode")?;
    }
    let no_wait = tokens.take(&["nowait"]);
    Ok(Command::Lock { tables, mode, no_wait })
}

fn table_lock(tokens: &mut Tokens<'_>) -> Result<LockMode, SqlError> {
    let modes: [(&[&str], LockMode); 8] = [
        (&["access", "share"], LockMode::AccessShare),
        (&["row", "share"], LockMode::RowShare),
        (&["row", "exclusive"], LockMode::RowExclusive),
        (&["share", "update", "exclusive"], LockMode::ShareUpdateExclusive),
        (&["share", "row", "exclusive"], LockMode::ShareRowExclusive),
        (&["share"], LockMode::Share),
        (&["exclusive"], LockMode::Exclusive),
        (&["access", "exclusive"], LockMode::AccessExclusive),
    ];
    let found = modes.into_iter().find(|(words, _)| tokens.take(words));
    found.map(|(_, mode)| mode).ok_or_else(|| tokens.unread())
}

fn constraints(tokens: &mut Tokens<'_>) -> Result<Command, SqlError> {
    let names = if tokens.take(&["all"]) { None } else { Some(tokens.relations()?) };
    let deferred = tokens.take(&["deferred"]);
    if !deferred {
        tokens.expect("immediate")?;
    }
    Ok(Command::Constraints { deferred, names })
}

fn set(tokens: &mut Tokens<'_>) -> Result<Command, SqlError> {
    let local = tokens.take(&["local"]);
    if !local {
        tokens.take(&["session"]);
    }
    let name = setting_name(tokens)?;
    if name != "timezone" && !tokens.symbol(&Token::Eq) {
        tokens.expect("to")?;
    }
    let mut values = vec![setting_value(tokens)?];
    while tokens.symbol(&Token::Comma) {
        values.push(setting_value(tokens)?);
    }
    let value =
        if values == ["default"] { SettingValue::Default } else { SettingValue::Text(values.join(", ")) };
    Ok(Command::Set { name, value, local })
}

fn setting_name(tokens: &mut Tokens<'_>) -> Result<String, SqlError> {
    for (words, name) in [
        (["time", "zone"].as_slice(), "timezone"),
        (&["transaction", "isolation", "level"], "transaction_isolation"),
        (&["session", "authorization"], "session_authorization"),
    ] {
        if tokens.take(words) {
            return Ok(name.to_owned());
        }
    }
    let mut name = tokens.name()?;
    while tokens.symbol(&Token::Period) {
        name = format!("{name}.{}", tokens.name()?);
    }
    Ok(name.to_lowercase())
}

fn setting_value(tokens: &mut Tokens<'_>) -> Result<String, SqlError> {
    let negative = tokens.symbol(&Token::Minus);
    Ok(match tokens.rest().first() {
        Some(Token::Number(number, _)) => {
            let number = if negative { format!("-{number}") } else { number.clone() };
            tokens.skip()?;
            number
        }
        Some(Token::Word(word)) if !negative => {
            let value =
                if word.quote_style.is_some() { word.value.clone() } else { word.value.to_lowercase() };
            tokens.skip()?;
            value
        }
        _ if !negative => tokens.literal()?,
        _ => return Err(tokens.unread()),
    })
}

fn truncate(tokens: &mut Tokens<'_>) -> Result<Command, SqlError> {
    tokens.take(&["table"]);
    tokens.take(&["only"]);
    let tables = tokens.relations()?;
    let restart_identity = tokens.take(&["restart", "identity"]);
    if !restart_identity {
        tokens.take(&["continue", "identity"]);
    }
    let cascade = tokens.take(&["cascade"]);
    if !cascade {
        tokens.take(&["restrict"]);
    }
    Ok(Command::Truncate { tables, restart_identity, cascade })
}

fn drop(tokens: &mut Tokens<'_>) -> Result<Option<Command>, SqlError> {
    let kinds = [("table", DropKind::Table), ("index", DropKind::Index), ("sequence", DropKind::Sequence)];
    let Some((_, kind)) = kinds.into_iter().find(|(word, _)| tokens.take(&["drop", word])) else {
        return Ok(None);
    };
    if tokens.word_is("concurrently") {
        return Err(SqlError::unknown("DROP INDEX CONCURRENTLY", "DROP INDEX"));
    }
    let if_exists = tokens.take(&["if", "exists"]);
    let names = tokens.relations()?;
    let cascade = tokens.take(&["cascade"]);
    if !cascade {
        tokens.take(&["restrict"]);
    }
    Ok(Some(Command::Drop { kind, names, if_exists, cascade }))
}
