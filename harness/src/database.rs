//! Which database a design runs on, and what each of them can do.

use std::fmt;

/// A database that speaks PostgreSQL's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum DatabaseKind {
    /// PostgreSQL; the model is one too.
    #[default]
    Postgres,
    /// CockroachDB, one node, version 24.3 or later. A transaction that names no isolation level is SERIALIZABLE
    /// there, as in production.
    Cockroach,
}

/// What a design may ask of a database beyond tables and transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Logical replication slots, from which committed changes are read in the order of their commits.
    LogicalSlots,
    /// `LISTEN` and `NOTIFY`.
    ListenNotify,
    /// The isolation level READ COMMITTED.
    ReadCommitted,
    /// Advisory locks, of transactions and of sessions.
    AdvisoryLocks,
    /// `FOR UPDATE SKIP LOCKED`.
    SkipLocked,
    /// `PREPARE TRANSACTION`.
    PreparedTransactions,
    /// `pg_snapshot_xmin(pg_current_snapshot())` and the like: which transactions may still commit.
    SnapshotHorizon,
    /// Changefeeds: the database itself publishes the committed changes of a table to a topic.
    Changefeeds,
}

impl DatabaseKind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [DatabaseKind; 2] = [DatabaseKind::Postgres, DatabaseKind::Cockroach];

    /// The word that options and run directories use.
    pub fn id(self) -> &'static str {
        match self {
            DatabaseKind::Postgres => "postgres",
            DatabaseKind::Cockroach => "cockroach",
        }
    }

    /// The name in sentences.
    pub fn name(self) -> &'static str {
        match self {
            DatabaseKind::Postgres => "PostgreSQL",
            DatabaseKind::Cockroach => "CockroachDB",
        }
    }

    /// Why it cannot do this; nothing where it can.
    ///
    /// Of CockroachDB by its documentation of version 24.3 (<https://www.cockroachlabs.com/docs/v24.3/>), pages
    /// "PostgreSQL Compatibility", "SQL Feature Support", "Read Committed Transactions" and "FOR UPDATE and FOR
    /// SHARE".
    pub fn lacks(self, feature: Feature) -> Option<&'static str> {
        match (self, feature) {
            (DatabaseKind::Postgres, Feature::Changefeeds) => {
                Some("has no changefeeds (its changes are read from logical replication slots)")
            }
            (DatabaseKind::Postgres, _)
            | (
                DatabaseKind::Cockroach,
                Feature::ReadCommitted | Feature::SkipLocked | Feature::Changefeeds,
            ) => None,
            (DatabaseKind::Cockroach, Feature::LogicalSlots) => {
                Some("has no logical replication slots (its changes are followed by changefeeds)")
            }
            (DatabaseKind::Cockroach, Feature::ListenNotify) => Some("has no LISTEN and NOTIFY"),
            (DatabaseKind::Cockroach, Feature::AdvisoryLocks) => {
                Some("has advisory locks in name only: where the functions are there, they lock nothing")
            }
            (DatabaseKind::Cockroach, Feature::PreparedTransactions) => Some("has no PREPARE TRANSACTION"),
            (DatabaseKind::Cockroach, Feature::SnapshotHorizon) => {
                Some("numbers no transactions, so no snapshot says which of them may still commit")
            }
        }
    }

    /// Why a design that asks for these cannot run on it; nothing where it can.
    pub fn cannot_run(self, asked: &[Feature]) -> Option<String> {
        let reasons: Vec<&str> = asked.iter().filter_map(|feature| self.lacks(*feature)).collect();
        (!reasons.is_empty()).then(|| format!("{} {}", self.name(), reasons.join(", and it ")))
    }

    /// Why a fault cannot be injected into it, by the fault's id; nothing where it can.
    pub(crate) fn lacks_fault(self, fault: &str) -> Option<&'static str> {
        if self == DatabaseKind::Postgres {
            return (fault == "db-changefeed-pause").then_some("PostgreSQL has no changefeeds");
        }
        Some(match fault {
            "db-sync-wait" => "CockroachDB has no standby that a commit could wait for",
            "db-async-crash" => "CockroachDB has no asynchronous commit",
            "db-slot-drop" => "CockroachDB has no logical replication slots",
            "db-lock" => "CockroachDB has no LOCK TABLE",
            "db-terminate" => "CockroachDB has no pg_terminate_backend()",
            "db-clock" => "CockroachDB reads the clock past the library that would put it off",
            _ => return None,
        })
    }
}

impl fmt::Display for DatabaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_lacks_is_said_in_words() {
        let slots = [Feature::LogicalSlots, Feature::ListenNotify];
        assert_eq!(DatabaseKind::Postgres.cannot_run(&slots), None);
        assert_eq!(DatabaseKind::Cockroach.cannot_run(&[Feature::ReadCommitted, Feature::SkipLocked]), None);
        insta::assert_snapshot!(
            DatabaseKind::Cockroach.cannot_run(&slots).unwrap_or_default(),
            @"CockroachDB has no logical replication slots (its changes are followed by changefeeds), and it has no LISTEN and NOTIFY"
        );
    }

    #[test]
    fn a_fault_that_it_lacks_is_one_of_the_database() {
        let lacking = crate::fault::FAULTS
            .iter()
            .filter(|fault| DatabaseKind::Cockroach.lacks_fault(fault.id).is_some());
        let lacking: Vec<&str> = lacking.map(|fault| fault.id).collect();
        assert_eq!(lacking.len(), 6, "{lacking:?}");
        assert!(lacking.iter().all(|id| id.starts_with("db-")), "{lacking:?}");
    }
}
