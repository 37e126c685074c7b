//! What `crosscheck doctor` says about the local backend.

use std::fmt;

use serde::Serialize;

use super::programs::{Finding, Program, Programs, Source};

/// One line for each program: where it is and which version, or what to do about it.
#[derive(Clone, Debug, Serialize)]
pub struct Doctor {
    /// Whether PostgreSQL, Redis and Kafka can be started.
    pub ready: bool,
    /// The programs in the order of [`Program::ALL`].
    pub programs: Vec<Diagnosis>,
}

/// One program, and what became of the search for it.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// Which.
    pub program: Program,
    /// Whether designs run without it.
    pub optional: bool,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

impl Doctor {
    /// Examines what was found.
    pub fn examine(programs: &Programs) -> Self {
        let diagnose = |(program, finding): &(Program, Finding)| Diagnosis {
            program: *program,
            optional: program.is_optional(),
            finding: finding.clone(),
        };
        let programs: Vec<_> = programs.findings().iter().map(diagnose).collect();
        let is_met = |line: &Diagnosis| line.optional || matches!(line.finding, Finding::Found { .. });
        Self { ready: programs.iter().all(is_met), programs }
    }
}

impl fmt::Display for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.programs.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.program;
        match &self.finding {
            Finding::Found { at, version, source } => {
                let by = match source {
                    Source::Variable => name.variable(),
                    Source::Path => "PATH",
                    Source::Usual => "usual place",
                };
                write!(f, "{name:<10} {version:<10} {} ({by})", at.display())
            }
            Finding::Missing { tried, advice } => {
                let missing = if self.optional { "not here, optional" } else { "missing" };
                write!(f, "{name:<10} {missing}: looked in {}\n{:<10} -> {advice}", tried.join(", "), "")
            }
            Finding::Wrong { reason, advice } => {
                write!(f, "{name:<10} wrong: {reason}\n{:<10} -> {advice}", "")
            }
        }
    }
}
