//! A case, read: sessions, their steps, and the orders in which the steps are launched.

/// A case file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Run before each permutation, each by itself, on the control connection.
    pub setups: Vec<String>,
    /// Run after each permutation, on the control connection.
    pub teardown: Option<String>,
    /// The sessions, each on a connection of its own.
    pub sessions: Vec<SessionSpec>,
    /// The permutations that the file names; all interleavings if there are none.
    pub permutations: Vec<Permutation>,
}

/// A session of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSpec {
    /// Its name.
    pub name: String,
    /// Run before the steps.
    pub setup: Option<String>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Run after the steps.
    pub teardown: Option<String>,
}

/// A step: a text that is sent at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name, which no other step of the file has.
    pub name: String,
    /// What is sent.
    pub text: String,
}

/// Steps in the order of their launch.
pub type Permutation = Vec<Launch>;

/// A step's place in a permutation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The session, by its place in the file.
    pub session: usize,
    /// The step, by its place in the session.
    pub step: usize,
    /// What has to happen before its completion is reported.
    pub blockers: Vec<Blocker>,
}

/// A marker of a launch: it delays the report of the step's completion, never its launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocker {
    /// `*`: reported as waiting at first, whatever it does.
    Once,
    /// `other`: not before that step is done.
    Step {
        /// The session of the other step.
        session: usize,
        /// The other step.
        step: usize,
    },
    /// `other notices N`: not before the session of that step has sent N more notices.
    Notices {
        /// The session of the other step.
        session: usize,
        /// How many.
        count: u32,
    },
}

impl Spec {
    /// The step of a launch.
    pub fn step(&self, launch: &Launch) -> &Step {
        &self.sessions[launch.session].steps[launch.step]
    }

    /// The names of steps that no permutation launches, in order.
    pub fn unused_steps(&self) -> Vec<&str> {
        let mut unused = Vec::new();
        for (session, spec) in self.sessions.iter().enumerate() {
            for (step, named) in spec.steps.iter().enumerate() {
                let is_used = |launch: &Launch| (launch.session, launch.step) == (session, step);
                if !self.permutations.is_empty() && !self.permutations.iter().flatten().any(is_used) {
                    unused.push(named.name.as_str());
                }
            }
        }
        unused.sort_unstable();
        unused
    }
}

/// What is wrong with a case file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct SpecError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}
