//! What `explore` prints: as a document and as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crosscheck_models::property::Property;
use serde::{Deserialize, Serialize};

use crate::document::Skipped;

/// An exploration of several variants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExploreDocument {
    /// Whether every variant came out as the ground truth has it.
    pub as_expected: bool,
    /// One a variant.
    pub results: Vec<ExploreResult>,
    /// What was asked for and cannot run on the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

/// What was found in one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExploreResult {
    /// The variant.
    pub variant: String,
    /// Whether it came out as the ground truth has it.
    pub as_expected: bool,
    /// How many schedules were played.
    pub schedules: u64,
    /// For an exhaustive search: how many there are, counted before they were visited.
    pub there_are: Option<u64>,
    /// For an exhaustive search: how many were cut short where they became the same as one that was visited, but
    /// for the order of steps that commute.
    pub equivalent: u64,
    /// How many runs could not be judged.
    pub inconclusive: u64,
    /// Why they could not, and how many for each reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inconclusive_because: BTreeMap<String, u64>,
    /// What the walks by priorities were, and what they are good for.
    pub priorities: Option<PriorityWalks>,
    /// How long the search took, shrinking included.
    pub seconds: f64,
    /// What was looked at, by name.
    pub coverage: BTreeMap<String, u64>,
    /// The first violation of each property.
    pub violations: Vec<Violation>,
    /// Cells of the table that are expected to be violated and were not seen so.
    pub missed: Vec<String>,
    /// For an exhaustive search: single faults that violate a property, on the schedule without preemption.
    pub fault_points: Vec<FaultPoint>,
    /// What earlier explorations had found and left in files, replayed.
    pub regressions: Vec<Regression>,
}

/// A schedule that an earlier exploration left in a file, replayed on the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regression {
    /// The file.
    pub file: String,
    /// Properties that it violates now.
    pub violates: Vec<Property>,
}

/// Walks by probabilistic concurrency testing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorityWalks {
    /// How many there were.
    pub walks: u64,
    /// Actors.
    pub actors: u64,
    /// Steps of the longest.
    pub steps: u64,
    /// How many orderings between steps make the bugs for which the bound holds.
    pub depth: u32,
    /// One walk in so many, at worst, finds such a bug.
    pub one_in: u64,
}

/// A violation that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// The property.
    pub property: Property,
    /// Whether it took a fault.
    pub with_faults: bool,
    /// Whether the ground truth lets it be violated.
    pub expected: bool,
    /// After how many schedules it was found.
    pub at_schedule: u64,
    /// After how many seconds of search, before it was shrunk.
    pub after_s: f64,
    /// Whether the schedule violates the property again when it is replayed.
    pub replays: bool,
    /// Whether it matters who goes on first after its last move, which servers may decide otherwise.
    pub leaves_race: bool,
    /// The shrunk schedule.
    pub witness: ShrunkWitness,
    /// How often it was reproduced on real servers, where that was asked for.
    pub confirmed: Option<Confirmed>,
}

/// A shrunk schedule, and what happens in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShrunkWitness {
    /// The moves, in words.
    pub moves: Vec<String>,
    /// What happened, in lanes.
    pub story: Vec<String>,
    /// What is wrong, in a sentence.
    pub summary: String,
    /// The file of the schedule, which `replay` takes.
    pub schedule: String,
}

/// A replay on real servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Where.
    pub backend: String,
    /// How often it was replayed.
    pub times: u32,
    /// How often it violated the property there.
    pub reproduced: u32,
    /// What it ran on, by the servers' own word.
    pub versions: BTreeMap<String, String>,
    /// What is wrong, in a sentence, in the last run that violated it.
    pub summary: String,
    /// What happened there, in lanes.
    pub story: Vec<String>,
}

/// A single fault that violates a property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultPoint {
    /// What happens to whom, before which call.
    pub fault: String,
    /// The property.
    pub property: Property,
}

/// The exploration in a terminal.
#[must_use]
pub fn render(document: &ExploreDocument) -> String {
    let mut out = String::new();
    for result in &document.results {
        let _ = one(&mut out, result);
    }
    out + &crate::text::skipped(&document.skipped)
}

fn one(out: &mut String, result: &ExploreResult) -> std::fmt::Result {
    let verdict = if result.as_expected { "as expected" } else { "NOT AS EXPECTED" };
    let ExploreResult { variant, schedules, seconds, .. } = result;
    match result.there_are {
        None => writeln!(out, "{variant}: {verdict}; {schedules} schedules in {seconds:.2} s")?,
        Some(all) => {
            writeln!(out, "{variant}: {verdict}; there are {all} schedules, visited in {seconds:.2} s")?;
            let same = all.saturating_sub(*schedules);
            if same > 0 {
                writeln!(
                    out,
                    "  {schedules} to their ends; the other {same} are the same but for the order of steps that commute"
                )?;
            }
        }
    }
    if result.inconclusive > 0 {
        writeln!(out, "  could not be judged: {}", result.inconclusive)?;
        for (reason, count) in &result.inconclusive_because {
            writeln!(out, "    {count}: {reason}")?;
        }
    }
    let counters: Vec<String> =
        result.coverage.iter().map(|(name, count)| format!("{} {count}", name.replace('_', " "))).collect();
    writeln!(out, "  looked at: {}", counters.join(", "))?;
    if let Some(PriorityWalks { walks, actors, steps, depth, one_in }) = result.priorities {
        writeln!(
            out,
            "  by priorities: {walks} walks, each of which finds a bug of depth {depth} with a probability of at least \
             1/{one_in} ({actors} actors, {steps} steps)"
        )?;
    }
    if !result.regressions.is_empty() {
        let still = result.regressions.iter().filter(|kept| !kept.violates.is_empty()).count();
        let all = result.regressions.len();
        writeln!(
            out,
            "  kept from earlier explorations: {all} schedules, of which {still} violate something now"
        )?;
    }
    for missed in &result.missed {
        writeln!(out, "  not found: {missed}")?;
    }
    for violation in &result.violations {
        violated(out, violation)?;
    }
    if !result.fault_points.is_empty() {
        writeln!(out, "  single faults that violate a property, on the schedule without preemption:")?;
        for point in &result.fault_points {
            writeln!(out, "    {}: {}", point.property, point.fault)?;
        }
    }
    writeln!(out)
}

fn violated(out: &mut String, violation: &Violation) -> std::fmt::Result {
    let faults = if violation.with_faults { "with a fault" } else { "without faults" };
    let expected = if violation.expected { "" } else { " (the ground truth says that it holds)" };
    let Violation { property, witness, at_schedule, after_s, .. } = violation;
    writeln!(
        out,
        "  {property} violated {faults}{expected}, at schedule {at_schedule} ({after_s:.2} s): {}",
        witness.summary
    )?;
    if !violation.replays {
        writeln!(
            out,
            "    its schedule does not come out the same when it is replayed, so it is not shrunk"
        )?;
    }
    if violation.leaves_race {
        writeln!(
            out,
            "    it matters who goes on first after its last move, which servers may decide otherwise"
        )?;
    }
    let moves = &witness.moves;
    writeln!(out, "    {} moves ({}):", moves.len(), witness.schedule)?;
    for step in moves {
        writeln!(out, "      {step}")?;
    }
    for line in &witness.story {
        writeln!(out, "    | {line}")?;
    }
    match &violation.confirmed {
        Some(confirmed) if confirmed.reproduced == 0 => writeln!(
            out,
            "    MODEL ERROR? not reproduced in {} replays on {}: the model is wrong here, or the schedule leaves a race \
             open after its last move",
            confirmed.times, confirmed.backend
        ),
        Some(confirmed) => writeln!(
            out,
            "    confirmed on {}: {} of {}",
            confirmed.backend, confirmed.reproduced, confirmed.times
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_that_real_servers_refuse_is_not_passed_over() {
        let violation = Violation {
            property: Property::NoLoss,
            with_faults: false,
            expected: true,
            at_schedule: 3,
            after_s: 0.25,
            replays: true,
            leaves_race: false,
            witness: ShrunkWitness {
                moves: vec!["client-0 until its operation is done".to_owned()],
                story: vec!["relay  SELECT id FROM outbox".to_owned()],
                summary: "the event of w1 is lost".to_owned(),
                schedule: "found.json".to_owned(),
            },
            confirmed: Some(Confirmed {
                backend: "local".to_owned(),
                times: 5,
                reproduced: 0,
                versions: BTreeMap::new(),
                summary: String::new(),
                story: Vec::new(),
            }),
        };
        let mut out = String::new();
        violated(&mut out, &violation).expect("a string takes everything");
        insta::assert_snapshot!(out, @r"
          no-loss violated without faults, at schedule 3 (0.25 s): the event of w1 is lost
            1 moves (found.json):
              client-0 until its operation is done
            | relay  SELECT id FROM outbox
            MODEL ERROR? not reproduced in 5 replays on local: the model is wrong here, or the schedule leaves a race open after its last move
        ");
    }
}
