//! The transaction block of a session, followed from the statements that pass.
//!
//! PostgreSQL answers a `COMMIT` of a failed transaction with success and the command tag `ROLLBACK`. The
//! driver drops the tag, so the block has to be known from what went before: inside a block every error
//! that the server reports fails it (PostgreSQL 15 documentation, 55.2.2.1), and only `ROLLBACK` or
//! `ROLLBACK TO SAVEPOINT` ends that state.

/// Whether the session is in a transaction block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// In none.
    Idle,
    /// In one that can commit.
    Open,
    /// In one that can only roll back.
    Failed,
}

/// What a statement does to the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`, `PREPARE TRANSACTION`.
    Commit {
        /// Whether the next block begins at once (`AND CHAIN`).
        chain: bool,
    },
    /// `ROLLBACK`, `ABORT`.
    Rollback {
        /// Whether the next block begins at once (`AND CHAIN`).
        chain: bool,
    },
    /// `ROLLBACK TO SAVEPOINT`.
    RollbackTo,
}

impl Control {
    /// What `sql` does to the block; none for every other statement.
    pub(super) fn of(sql: &str) -> Option<Control> {
        let words = leading_words(sql);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let chain = words.windows(2).any(|pair| pair == ["AND", "CHAIN"]);
        match words.as_slice() {
            ["BEGIN", ..] | ["START", "TRANSACTION", ..] => Some(Control::Begin),
            ["COMMIT" | "ROLLBACK", "PREPARED", ..] => None,
            ["COMMIT" | "END", ..] => Some(Control::Commit { chain }),
            ["PREPARE", "TRANSACTION", ..] => Some(Control::Commit { chain: false }),
            ["ROLLBACK", "TO", ..] | ["ROLLBACK", "WORK" | "TRANSACTION", "TO", ..] => {
                Some(Control::RollbackTo)
            }
            ["ROLLBACK" | "ABORT", ..] => Some(Control::Rollback { chain }),
            _ => None,
        }
    }
}

impl Block {
    /// Takes in that a statement succeeded; false where it was a `COMMIT` that rolled back.
    pub(super) fn succeeded(&mut self, control: Option<Control>) -> bool {
        let was = *self;
        match control {
            None => {}
            Some(Control::Begin | Control::RollbackTo) => *self = Block::Open,
            Some(Control::Commit { chain } | Control::Rollback { chain }) => {
                *self = if chain { Block::Open } else { Block::Idle };
            }
        }
        !(was == Block::Failed && matches!(control, Some(Control::Commit { .. })))
    }

    /// Takes in that the server answered a statement with an error. A `COMMIT` that fails (a deferred
    /// constraint, a serialization failure) ends the block all the same.
    pub(super) fn failed(&mut self, control: Option<Control>) {
        *self = match (*self, control) {
            (Block::Idle, _) | (Block::Open, Some(Control::Commit { .. })) => Block::Idle,
            (Block::Open | Block::Failed, _) => Block::Failed,
        };
    }
}

/// The first words of a statement in capitals, past blanks and comments, up to the first other sign.
fn leading_words(sql: &str) -> Vec<String> {
    const WORDS_MAX: usize = 6;
    let mut words = Vec::new();
    let mut rest = skip_blank(sql);
    while words.len() < WORDS_MAX {
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        if end == 0 {
            break;
        }
        words.push(rest[..end].to_ascii_uppercase());
        rest = skip_blank(&rest[end..]);
    }
    words
}

fn skip_blank(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        let after = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, after)| after)
        } else {
            return rest;
        };
        rest = after.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_control_is_told_from_other_statements() {
        let cases = [
            ("BEGIN", Some(Control::Begin)),
            ("  begin isolation level serializable", Some(Control::Begin)),
            ("-- first\n/* then */ START TRANSACTION", Some(Control::Begin)),
            ("COMMIT", Some(Control::Commit { chain: false })),
            ("end;", Some(Control::Commit { chain: false })),
            ("COMMIT AND CHAIN", Some(Control::Commit { chain: true })),
            ("PREPARE TRANSACTION 'a'", Some(Control::Commit { chain: false })),
            ("ROLLBACK", Some(Control::Rollback { chain: false })),
            ("ROLLBACK TO SAVEPOINT a", Some(Control::RollbackTo)),
            ("ROLLBACK WORK TO a", Some(Control::RollbackTo)),
            ("COMMIT PREPARED 'a'", None),
            ("ROLLBACK PREPARED 'a'", None),
            ("PREPARE q AS SELECT 1", None),
            ("SELECT 'COMMIT'", None),
            ("SAVEPOINT a", None),
            ("", None),
        ];
        for (sql, expected) in cases {
            assert_eq!(Control::of(sql), expected, "{sql}");
        }
    }

    #[test]
    fn a_commit_after_an_error_is_a_rollback() {
        let commit = Control::of("COMMIT");
        let mut block = Block::Idle;
        assert!(block.succeeded(Control::of("BEGIN")));
        block.failed(None);
        assert_eq!(block, Block::Failed);
        assert!(!block.succeeded(commit));
        assert_eq!(block, Block::Idle);
    }

    #[test]
    fn a_savepoint_saves_the_block() {
        let mut block = Block::Open;
        block.failed(None);
        block.succeeded(Control::of("ROLLBACK TO s"));
        assert!(block.succeeded(Control::of("COMMIT")));
    }

    #[test]
    fn errors_outside_a_block_fail_nothing_and_a_refused_commit_ends_the_block() {
        let mut block = Block::Idle;
        block.failed(None);
        assert_eq!(block, Block::Idle);
        block.succeeded(Control::of("BEGIN"));
        block.failed(Control::of("COMMIT"));
        assert_eq!(block, Block::Idle);
    }
}
