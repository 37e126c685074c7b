//! Errors as PostgreSQL reports them.

use crate::port::{PortError, System};

/// An error of a statement or of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SqlError {
    /// The SQLSTATE.
    pub(crate) code: &'static str,
    /// What went wrong, in PostgreSQL's words.
    pub(crate) message: String,
    /// Its second part.
    pub(crate) detail: Option<String>,
    /// What can be done about it.
    pub(crate) hint: Option<&'static str>,
    /// Whether the session ends with it.
    pub(crate) fatal: bool,
}

/// The states that this database answers with (PostgreSQL 15 documentation, appendix A).
pub(crate) mod state {
    pub(crate) const FEATURE_NOT_SUPPORTED: &str = "0A000";
    pub(crate) const CARDINALITY_VIOLATION: &str = "21000";
    pub(crate) const STRING_DATA_RIGHT_TRUNCATION: &str = "22001";
    pub(crate) const NUMERIC_VALUE_OUT_OF_RANGE: &str = "22003";
    pub(crate) const INVALID_DATETIME_FORMAT: &str = "22007";
    pub(crate) const DIVISION_BY_ZERO: &str = "22012";
    pub(crate) const INVALID_PARAMETER_VALUE: &str = "22023";
    pub(crate) const INVALID_TEXT_REPRESENTATION: &str = "22P02";
    pub(crate) const NOT_NULL_VIOLATION: &str = "23502";
    pub(crate) const FOREIGN_KEY_VIOLATION: &str = "23503";
    pub(crate) const UNIQUE_VIOLATION: &str = "23505";
    pub(crate) const CHECK_VIOLATION: &str = "23514";
    pub(crate) const ACTIVE_SQL_TRANSACTION: &str = "25001";
    pub(crate) const READ_ONLY_SQL_TRANSACTION: &str = "25006";
    pub(crate) const NO_ACTIVE_SQL_TRANSACTION: &str = "25P01";
    pub(crate) const IN_FAILED_SQL_TRANSACTION: &str = "25P02";
    pub(crate) const INVALID_SQL_STATEMENT_NAME: &str = "26000";
    pub(crate) const DEPENDENT_OBJECTS_STILL_EXIST: &str = "2BP01";
    pub(crate) const INVALID_SAVEPOINT: &str = "3B001";
    pub(crate) const INVALID_SCHEMA_NAME: &str = "3F000";
    pub(crate) const SERIALIZATION_FAILURE: &str = "40001";
    pub(crate) const DEADLOCK_DETECTED: &str = "40P01";
    pub(crate) const SYNTAX_ERROR: &str = "42601";
    pub(crate) const DUPLICATE_COLUMN: &str = "42701";
    pub(crate) const AMBIGUOUS_COLUMN: &str = "42702";
    pub(crate) const UNDEFINED_COLUMN: &str = "42703";
    pub(crate) const UNDEFINED_OBJECT: &str = "42704";
    pub(crate) const DUPLICATE_OBJECT: &str = "42710";
    pub(crate) const DUPLICATE_ALIAS: &str = "42712";
    pub(crate) const GROUPING_ERROR: &str = "42803";
    pub(crate) const DATATYPE_MISMATCH: &str = "42804";
    pub(crate) const WRONG_OBJECT_TYPE: &str = "42809";
    pub(crate) const UNDEFINED_FUNCTION: &str = "42883";
    pub(crate) const UNDEFINED_TABLE: &str = "42P01";
    pub(crate) const UNDEFINED_PARAMETER: &str = "42P02";
    pub(crate) const DUPLICATE_TABLE: &str = "42P07";
    pub(crate) const INVALID_COLUMN_REFERENCE: &str = "42P10";
    pub(crate) const INDETERMINATE_DATATYPE: &str = "42P18";
    pub(crate) const OBJECT_NOT_IN_PREREQUISITE_STATE: &str = "55000";
    pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";
    pub(crate) const QUERY_CANCELED: &str = "57014";
    pub(crate) const ADMIN_SHUTDOWN: &str = "57P01";
}

impl SqlError {
    /// An error that ends the statement.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        SqlError { code, message: message.into(), detail: None, hint: None, fatal: false }
    }

    /// An error that ends the session.
    pub(crate) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        SqlError { fatal: true, ..SqlError::new(code, message) }
    }

    /// With its `DETAIL`.
    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        SqlError { detail: Some(detail.into()), ..self }
    }

    /// With its `HINT`.
    pub(crate) fn hint(self, hint: &'static str) -> Self {
        SqlError { hint: Some(hint), ..self }
    }

    /// What this database does not know, by name; `known` says, shortly, what it does know there.
    pub(crate) fn unknown(what: impl std::fmt::Display, known: &str) -> Self {
        let message = format!("the model's database does not know {what}");
        let error = SqlError::new(state::FEATURE_NOT_SUPPORTED, message);
        if known.is_empty() { error } else { error.detail(format!("It knows {known}.")) }
    }

    /// Any statement in a block that has failed.
    pub(crate) fn in_failed_transaction() -> Self {
        let message = "current transaction is aborted, commands ignored until end of transaction block";
        SqlError::new(state::IN_FAILED_SQL_TRANSACTION, message)
    }

    /// A row that another transaction changed after the snapshot was taken.
    pub(crate) fn concurrent_update() -> Self {
        SqlError::new(state::SERIALIZATION_FAILURE, "could not serialize access due to concurrent update")
    }

    /// A row that another transaction deleted after the snapshot was taken.
    pub(crate) fn concurrent_delete() -> Self {
        SqlError::new(state::SERIALIZATION_FAILURE, "could not serialize access due to concurrent delete")
    }

    /// A relation that is not there.
    pub(crate) fn no_relation(name: &str) -> Self {
        SqlError::new(state::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
    }

    /// A second row of the same key.
    pub(crate) fn duplicate_key(constraint: &str, columns: &str, values: &str) -> Self {
        let message = format!("duplicate key value violates unique constraint \"{constraint}\"");
        SqlError::new(state::UNIQUE_VIOLATION, message)
            .detail(format!("Key ({columns})=({values}) already exists."))
    }

    /// What a port says of it: the server answered, so it did not happen, unless the session ended over it.
    pub(crate) fn into_port(self) -> PortError {
        let message = match self.detail {
            Some(detail) => format!("{} ({detail})", self.message),
            None => self.message,
        };
        if self.fatal {
            return PortError { code: Some(self.code.to_owned()), ..PortError::unknown(System::Db, message) };
        }
        PortError::refused(System::Db, self.code, message)
    }
}
