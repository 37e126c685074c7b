//! The explorer: looks for schedules of a design, on the model, in which a property is violated; shrinks what it
//! finds to a few moves, and says how much it has looked at.

mod coverage;
mod exhaustive;
mod found;
mod happens_before;
mod moves;
mod shrink;
mod strategy;
mod workload;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crosscheck_models::property::Property;
use tokio::runtime::Runtime;

use self::coverage::Coverage;
pub use self::found::{Found, Replays};

use self::exhaustive::{Branch, Follow, Known};
use self::strategy::{Mishap, Walk, mishaps};
use crate::backend::HarnessError;
use crate::design::Design;
use crate::operation::Operation;
use crate::runner::Doubt;
use crate::runner::explored::{self, Driver, Explored, Template};
use crate::schedule::{Directed, Move, Plan, Schedule};
use crate::virtual_time;

/// How many workloads a walk is chosen from.
///
/// A prime, so that every kind of walk meets every workload.
const WORKLOADS: u64 = 1009;

/// How many schedules of an exhaustive search are visited before what came of them is noted.
const VISITED_TOGETHER: usize = 256;

/// What is looked for, and for how long.
#[derive(Debug, Clone)]
pub struct Search {
    /// How many schedules at most; for an exhaustive search, a limit that it says it has met.
    pub runs: u64,
    /// Where all randomness comes from.
    pub seed: u64,
    /// How many clients there are, and how many operations each has.
    pub clients: usize,
    /// Operations of each client.
    pub operations: usize,
    /// What is judged without faults.
    pub without_faults: Vec<Property>,
    /// What is judged with faults.
    pub with_faults: Vec<Property>,
    /// What is expected to be found (property, with faults): once all of it is, the search ends. Empty: it never ends
    /// before its last schedule.
    pub wanted: Vec<(Property, bool)>,
    /// Every schedule, instead of walks: up to so many preemptions.
    pub exhaustive: Option<usize>,
    /// In an exhaustive search: schedules that differ from one another in the order of steps that commute are
    /// visited once.
    pub reduce: bool,
    /// Schedules that earlier searches found: they are replayed first, and said to violate something or not.
    pub kept: Vec<Schedule>,
}

/// What an exploration came to.
#[derive(Debug, Clone, Default)]
pub struct Exploration {
    /// How many schedules were played.
    pub schedules: u64,
    /// For an exhaustive search: how many there are, counted before they are visited.
    pub there_are: Option<u64>,
    /// For an exhaustive search: how many of them were not visited, as they differ from one that was in nothing but
    /// the order of steps that commute.
    pub equivalent: u64,
    /// What was looked at, by name.
    pub coverage: BTreeMap<String, u64>,
    /// The first violation of each property, without faults and with them.
    pub found: Vec<Found>,
    /// Where a single fault violated a property on the schedule without preemption: the step and the property.
    pub fault_points: Vec<(String, Property)>,
    /// Why runs could not be judged, and how many for each reason.
    pub inconclusive: BTreeMap<String, u64>,
    /// What each schedule of earlier searches violates now.
    pub kept: Vec<Vec<Property>>,
    /// What walks by priorities were, where there were any.
    pub priorities: Option<Priorities>,
}

/// Walks by priorities: probabilistic concurrency testing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priorities {
    /// How many there were.
    pub walks: u64,
    /// Actors.
    pub actors: u64,
    /// Steps of the longest.
    pub steps: u64,
    /// The depth of the bugs for which the bound holds: so many orderings between steps make the bug.
    pub depth: u32,
}

impl Priorities {
    /// One in how many walks, at worst, finds a bug of that depth: `n * k^(d - 1)` for `n` actors and `k` steps
    /// (Burckhardt et al., A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, 2010).
    pub fn one_in(&self) -> u64 {
        self.actors.saturating_mul(self.steps.saturating_pow(self.depth.saturating_sub(1)))
    }
}

/// Explores a design. Blocks the thread, and needs no runtime.
///
/// # Errors
/// If the tables cannot be made on the model: a statement that it does not know, say.
pub fn explore(
    design: &Arc<dyn Design>,
    search: &Search,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<Exploration, HarnessError> {
    let mut explorer = Explorer::new(design, search)?;
    explorer.exploration.kept = search.kept.iter().map(|kept| explorer.still_violates(kept)).collect();
    match search.exhaustive {
        None => explorer.walk(progress)?,
        Some(preemptions) => explorer.exhaust(preemptions, progress)?,
    }
    explorer.exploration.coverage = explorer.coverage.counters();
    Ok(explorer.exploration)
}

/// What comes of a directed schedule for a property: whether it is violated, and whatever servers decide about who goes
/// on first after the last move. Blocks the thread, and needs no runtime.
///
/// # Errors
/// If the tables cannot be made on the model.
pub fn replays(
    design: &Arc<dyn Design>,
    search: &Search,
    directed: &Directed,
    property: Property,
) -> Result<Replays, HarnessError> {
    Ok(Explorer::new(design, search)?.replays(directed, property))
}

/// All interleavings of a workload.
struct Interleavings {
    /// How many there are.
    there_are: u64,
    /// How those begin that are to be visited: one of each that differ only in the order of steps that commute.
    to_visit: Vec<Vec<usize>>,
}

/// What came of a schedule that was visited.
struct Visited {
    explored: Explored,
    /// What was seen, as a number.
    outcome: u64,
    /// Whether it is to be judged: it violates something, or could not be judged.
    violates: bool,
}

struct Explorer<'a> {
    design: &'a Arc<dyn Design>,
    search: &'a Search,
    template: Template,
    coverage: Coverage,
    exploration: Exploration,
    started: Instant,
}

impl<'a> Explorer<'a> {
    fn new(design: &'a Arc<dyn Design>, search: &'a Search) -> Result<Self, HarnessError> {
        let template = virtual_time::runtime()?.block_on(Template::new(&**design))?;
        let (coverage, exploration) = (Coverage::default(), Exploration::default());
        Ok(Explorer { design, search, template, coverage, exploration, started: Instant::now() })
    }
}

impl Explorer<'_> {
    fn walk(&mut self, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<(), HarnessError> {
        let mishaps = mishaps(&faults_of(&**self.design));
        let bound_ms = self.design.staleness_bound_ms().filter(|bound_ms| *bound_ms > 0);
        let wait_ms = bound_ms.map(|bound_ms| bound_ms + bound_ms / 5);
        for number in 0..self.search.runs {
            if number % 256 == 0 {
                progress(number, Some(self.search.runs));
            }
            let operations = workload::of_walk(&**self.design, self.search, number % WORKLOADS);
            let mut walk = Walk::new(self.search.seed, number, &mishaps, wait_ms);
            if let Some(explored) = self.play(&operations, &mut walk)? {
                if walk.is_by_priorities() {
                    self.note_priorities(&explored);
                }
                self.judge(&operations, &explored)?;
            }
            if self.is_everything_found() {
                break;
            }
        }
        Ok(())
    }

    fn note_priorities(&mut self, explored: &Explored) {
        let new = Priorities { walks: 0, actors: 0, steps: 0, depth: strategy::DEPTH };
        let noted = self.exploration.priorities.get_or_insert(new);
        noted.walks += 1;
        noted.actors = noted.actors.max(explored.actors.len() as u64);
        noted.steps = noted.steps.max(explored.taken.len() as u64);
    }

    /// All schedules of small workloads: counted first, then visited.
    fn exhaust(
        &mut self,
        preemptions: usize,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<(), HarnessError> {
        let mut all = 0_u64;
        let mut to_visit = Vec::new();
        for operations in workload::small(&**self.design, self.search) {
            let faulty = self.single_faults(&operations)?;
            let Some(interleavings) = self.interleavings(&operations, preemptions, progress)? else {
                return Ok(());
            };
            all = all.saturating_add(faulty.len() as u64).saturating_add(interleavings.there_are);
            to_visit.push((operations, faulty, interleavings.to_visit));
        }
        self.exploration.there_are = Some(all);
        let visits: usize =
            to_visit.iter().map(|(_, faulty, beginnings)| faulty.len() + beginnings.len()).sum();
        self.exploration.equivalent = all.saturating_sub(visits as u64);
        for (operations, faulty, beginnings) in to_visit {
            self.visit_faulty(&operations, faulty)?;
            for some in beginnings.chunks(VISITED_TOGETHER) {
                progress(self.exploration.schedules, Some(visits as u64));
                for visited in self.visited(&operations, some)? {
                    self.note(&visited.explored, Some(visited.outcome));
                    if visited.violates {
                        self.judge(&operations, &visited.explored)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Plays those that begin like this, on all cores, and says what came of each, in their order.
    fn visited(
        &self,
        operations: &[Vec<Operation>],
        beginnings: &[Vec<usize>],
    ) -> Result<Vec<Visited>, HarnessError> {
        let visit = |beginning: &Vec<usize>| -> Result<Option<Visited>, HarnessError> {
            let explored = self.walked(operations, &mut Follow::beginning(beginning.clone()))?;
            let Some(explored) = explored else { return Ok(None) };
            let violates =
                explored.record.doubt != Doubt::None || !self.violated(&explored.record, false)?.is_empty();
            let outcome = coverage::outcome(&explored.record.events);
            Ok(Some(Visited { explored, outcome, violates }))
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let each = beginnings.len().div_ceil(cores).max(1);
        let visited: Result<Vec<Vec<Visited>>, HarnessError> = std::thread::scope(|scope| {
            let parts: Vec<_> = beginnings
                .chunks(each)
                .map(|part| {
                    scope.spawn(move || part.iter().filter_map(|one| visit(one).transpose()).collect())
                })
                .collect();
            let join = |part: std::thread::ScopedJoinHandle<'_, _>| {
                part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            parts.into_iter().map(join).collect()
        });
        Ok(visited?.into_iter().flatten().collect())
    }

    fn visit_faulty(
        &mut self,
        operations: &[Vec<Operation>],
        faulty: Vec<(usize, Mishap)>,
    ) -> Result<(), HarnessError> {
        for (step, mishap) in faulty {
            if let Some(explored) = self.play(operations, &mut Follow::with_mishap(step, mishap))? {
                self.judge(operations, &explored)?;
                self.note_fault_point(step, &explored)?;
            }
        }
        Ok(())
    }

    /// The steps of the schedule without preemption, with what can go wrong at each.
    fn single_faults(&self, operations: &[Vec<Operation>]) -> Result<Vec<(usize, Mishap)>, HarnessError> {
        let mut base = Follow::branch(&Branch::default(), 0);
        self.walked(operations, &mut base)?;
        let mishaps = mishaps(&faults_of(&**self.design));
        let mut faulty = Vec::new();
        for step in 0..base.steps() {
            for mishap in &mishaps {
                let mut follow = Follow::with_mishap(step, mishap.clone()).only_looking();
                self.walked(operations, &mut follow)?;
                if follow.hit {
                    faulty.push((step, mishap.clone()));
                }
            }
        }
        Ok(faulty)
    }

    /// All interleavings; none where more would have to be played than are to be visited.
    fn interleavings(
        &self,
        operations: &[Vec<Operation>],
        preemptions: usize,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<Option<Interleavings>, HarnessError> {
        let known = Known::default();
        let mut open = vec![Branch::default()];
        let mut to_visit = Vec::new();
        let mut played = 0;
        while let Some(branch) = open.pop() {
            let mut follow = Follow::branch(&branch, preemptions);
            if self.search.reduce {
                follow = follow.skipping(&known);
            }
            self.walked(operations, &mut follow)?;
            to_visit.extend(follow.ended());
            open.extend(follow.branches());
            played += 1;
            if played > self.search.runs {
                return Ok(None);
            }
            progress(played, None);
        }
        let known = known.lock().expect("no code panics while it holds the states");
        let there_are = known.count(preemptions).unwrap_or(played);
        Ok(Some(Interleavings { there_are, to_visit }))
    }

    fn note_fault_point(&mut self, step: usize, explored: &Explored) -> Result<(), HarnessError> {
        let Some(taken) = explored.taken.get(step) else { return Ok(()) };
        let actor = taken.turn.actor().map_or("", |actor| &explored.actors[actor]);
        let before = taken.before.as_ref().map_or("", |before| &before.call);
        let what = match &taken.turn {
            explored::Turn::Step(_) => "step".to_owned(),
            explored::Turn::Crash(_) => format!("{actor} crashes before `{before}`"),
            explored::Turn::LoseReply(_) => format!("{actor} never hears of `{before}`"),
            explored::Turn::LoseRequest(_) => format!("`{before}` of {actor} is lost"),
            explored::Turn::Fault(on) | explored::Turn::Inject(on) => format!("{} at step {step}", on.fault),
            explored::Turn::Heal(_) | explored::Turn::Wait(_) => return Ok(()),
        };
        for verdict in self.violated(&explored.record, true)? {
            let point = (what.clone(), verdict.property);
            if !self.exploration.fault_points.contains(&point) {
                self.exploration.fault_points.push(point);
            }
        }
        Ok(())
    }

    /// Plays, and counts it; none where the driver did not want to know what came of it.
    fn play(
        &mut self,
        operations: &[Vec<Operation>],
        driver: &mut dyn Driver,
    ) -> Result<Option<Explored>, HarnessError> {
        let explored = self.walked(operations, driver)?;
        if let Some(explored) = &explored {
            // It is costly, and only answers whether a reduction lost something.
            let is_exhaustive = self.search.exhaustive.is_some();
            self.note(explored, is_exhaustive.then(|| coverage::outcome(&explored.record.events)));
        }
        Ok(explored)
    }

    fn note(&mut self, explored: &Explored, outcome: Option<u64>) {
        self.exploration.schedules += 1;
        self.coverage.note(&explored.actors, &explored.taken, outcome);
    }

    fn walked(
        &self,
        operations: &[Vec<Operation>],
        driver: &mut dyn Driver,
    ) -> Result<Option<Explored>, HarnessError> {
        let schedule = self.schedule(Directed { clients: operations.to_vec(), moves: Vec::new() });
        let (place, footprints) = self.template.place();
        if driver.wants_footprints() {
            footprints.switch_on();
        }
        let run = explored::play(self.design.clone(), place, &schedule, operations, &footprints, driver);
        runtime()?.block_on(run)
    }

    fn schedule(&self, directed: Directed) -> Schedule {
        let mut schedule = Schedule::directed(&self.design.id(), "explored", "", directed);
        schedule.seed = self.search.seed;
        debug_assert!(matches!(schedule.plan, Plan::Directed(_)));
        schedule
    }
}

/// The faults that the design claims something about: those that it names, and those that its schedules begin.
fn faults_of(design: &dyn Design) -> Vec<String> {
    let mut faults: Vec<String> = design.faults().into_iter().map(str::to_owned).collect();
    for schedule in design.schedules() {
        let Plan::Directed(directed) = schedule.plan else { continue };
        for step in directed.moves {
            if let Move::Inject(on) = step {
                faults.push(on.of.map_or(on.fault.clone(), |of| format!("{}@{of}", on.fault)));
            }
        }
    }
    faults
}

/// Each run has a clock of its own, so that none depends on how long the ones before it took.
fn runtime() -> Result<Runtime, HarnessError> {
    virtual_time::runtime()
}
