//! How a command ends. Whatever is not exit 0 carries its explanation, so that none ends without one.

use std::fmt;
use std::process::ExitCode;

use crosscheck_models::verdict::Verdict;
use crosscheck_scenarios::pattern::NoMatch;
use crosscheck_scenarios::run_dir::RunDirError;

/// The exit codes, ordered by which one wins where several things were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Valid, or as expected.
    Valid,
    /// The observations do not decide it.
    Unknown,
    /// Violated, or not as expected.
    Violated,
    /// A server is missing, or an input is unreadable or malformed.
    CouldNotRun,
    /// Unknown names, flags or patterns: nothing was begun.
    Usage,
}

impl Exit {
    /// The exit of several things that were asked at once.
    pub(crate) fn of_several(exits: impl IntoIterator<Item = Exit>) -> Exit {
        exits.into_iter().max().unwrap_or(Exit::Valid)
    }

    fn code(self) -> u8 {
        match self {
            Exit::Valid => 0,
            Exit::Violated => 1,
            Exit::Usage => 2,
            Exit::Unknown => 3,
            Exit::CouldNotRun => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Valid => Exit::Valid,
            Verdict::Unknown => Exit::Unknown,
            Verdict::Violated => Exit::Violated,
        }
    }
}

/// Why a command does not exit with 0: one or two sentences that say what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stop {
    /// The exit.
    pub(crate) exit: Exit,
    /// The explanation.
    pub(crate) why: String,
}

impl Stop {
    /// The command was called wrongly.
    pub(crate) fn usage(why: impl Into<String>) -> Stop {
        Stop { exit: Exit::Usage, why: why.into() }
    }

    /// The command could not do what it was asked.
    pub(crate) fn could_not_run(why: impl Into<String>) -> Stop {
        Stop { exit: Exit::CouldNotRun, why: why.into() }
    }

    /// What was observed does not decide it.
    pub(crate) fn unknown(why: impl Into<String>) -> Stop {
        Stop { exit: Exit::Unknown, why: why.into() }
    }

    /// Ends with this exit; `why` is asked only if it is not 0.
    pub(crate) fn unless_valid(exit: Exit, why: impl FnOnce() -> String) -> Result<(), Stop> {
        match exit {
            Exit::Valid => Ok(()),
            Exit::Unknown | Exit::Violated | Exit::CouldNotRun | Exit::Usage => {
                Err(Stop { exit, why: why() })
            }
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exit {
            Exit::Usage | Exit::CouldNotRun => write!(f, "error: {}", self.why),
            Exit::Valid | Exit::Unknown | Exit::Violated => f.write_str(&self.why),
        }
    }
}

impl From<NoMatch> for Stop {
    fn from(error: NoMatch) -> Stop {
        Stop::usage(error.to_string())
    }
}

impl From<RunDirError> for Stop {
    fn from(error: RunDirError) -> Stop {
        Stop::could_not_run(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit::{self, CouldNotRun, Unknown, Valid, Violated};

    #[test]
    fn of_several_exits_the_first_of_4_1_3_0_wins() {
        let cases: [(&[Exit], u8); 6] = [
            (&[], 0),
            (&[Valid, Valid], 0),
            (&[Valid, Unknown], 3),
            (&[Unknown, Violated, Valid], 1),
            (&[Violated, CouldNotRun, Unknown], 4),
            (&[CouldNotRun, Valid], 4),
        ];
        for (exits, code) in cases {
            assert_eq!(Exit::of_several(exits.iter().copied()).code(), code, "{exits:?}");
        }
    }
}
