//! The front door for tests: check a design of your own, on the servers that are here.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crosscheck_models::property::Property;
use crosscheck_models::verdict::Verdict;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use crate::backend::HarnessError;
use crate::backend::local::{LocalBackend, Places, Programs, default_root};
use crate::design::{Design, Needs};
use crate::judge::{self, Judgement};
use crate::plan;
use crate::runner::run;
use crate::schedule::{FaultOn, Schedule};

/// Which faults a check injects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Faults {
    /// None: only the directed schedules and the load.
    None,
    /// The fault model that the design declares.
    All,
    /// These, by id.
    Only(Vec<&'static str>),
}

/// Begins a check of a design. Nothing happens until [`Check::run`].
///
/// ```no_run
/// # use crosscheck_harness::check::{Faults, check};
/// # use crosscheck_harness::design::Design;
/// # use crosscheck_models::property::Property;
/// # async fn test(our_outbox: impl Design) {
/// check(our_outbox)
///     .claims([Property::NoLoss, Property::PerKeyOrder])
///     .faults(Faults::All)
///     .seed_from_env()
///     .run()
///     .await
///     .assert_holds();
/// # }
/// ```
pub fn check(design: impl Design) -> Check {
    let claims = design.claims();
    Check {
        design: Arc::new(design),
        claims,
        faults: Faults::All,
        seed: 1,
        time: Duration::from_secs(3),
        only: None,
    }
}

/// A check to be run.
pub struct Check {
    design: Arc<dyn Design>,
    claims: Vec<Property>,
    faults: Faults,
    seed: u64,
    time: Duration,
    only: Option<PathBuf>,
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("design", &self.design.id()).field("claims", &self.claims).finish()
    }
}

/// What a check came to.
#[derive(Debug)]
pub struct Checked {
    design: String,
    seed: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Judged(Vec<Trial>),
    Skipped(String),
    Failed(HarnessError),
}

#[derive(Debug)]
struct Trial {
    schedule: PathBuf,
    judgement: Judgement,
}

impl Check {
    /// Judges these properties, instead of those that the design claims.
    #[must_use]
    pub fn claims(mut self, claims: impl IntoIterator<Item = Property>) -> Self {
        self.claims = claims.into_iter().collect();
        self
    }

    /// Injects these faults.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Takes this seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Takes the seed from `CROSSCHECK_SEED`, and from `CROSSCHECK_SCHEDULE` the one schedule to run.
    ///
    /// # Panics
    /// If `CROSSCHECK_SEED` is set and no number.
    #[must_use]
    pub fn seed_from_env(mut self) -> Self {
        if let Some(text) = env("CROSSCHECK_SEED") {
            self.seed =
                text.parse().unwrap_or_else(|_| panic!("CROSSCHECK_SEED is `{text}`, which is no number"));
        }
        self.only = env("CROSSCHECK_SCHEDULE").map(PathBuf::from);
        self
    }

    /// Puts load on the design for so long, twice: without faults and with them.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Runs the design's directed schedules, then load without faults, then load with faults.
    pub async fn run(self) -> Checked {
        let (design, seed) = (self.design.id(), self.seed);
        let state = match on_host(self.run_here()).await {
            Ok(trials) => State::Judged(trials),
            Err(HarnessError::Missing { what, advice }) if !required("local") => {
                State::Skipped(format!("{what}; {advice}"))
            }
            Err(error) => State::Failed(error),
        };
        Checked { design, seed, state }
    }

    async fn run_here(self) -> Result<Vec<Trial>, HarnessError> {
        let schedules = self.schedules()?;
        let shared = shared_backend(self.design.needs()).await?;
        let _turn = shared.turn.lock().await;
        let mut trials = Vec::new();
        for (number, schedule) in schedules.iter().enumerate() {
            let dir = self.run_dir(number)?;
            let written = dir.join("schedule.json");
            std::fs::write(&written, schedule.to_json()).map_err(|e| failed_to_write(&written, &e))?;
            let tag = unique_tag();
            let history = dir.join("history.jsonl");
            let record = run(self.design.clone(), &shared.backend, schedule, &tag, &history).await?;
            let parsed = judge::history(&record).map_err(|error| HarnessError::failed(error.to_string()))?;
            let judgement = judge::judge(&record, &parsed, &self.claims, &[]);
            let violated = judgement.verdict == Verdict::Violated;
            trials.push(Trial { schedule: written, judgement });
            if violated {
                break;
            }
        }
        Ok(trials)
    }

    fn schedules(&self) -> Result<Vec<Schedule>, HarnessError> {
        if let Some(path) = &self.only {
            let text = std::fs::read_to_string(path)
                .map_err(|e| HarnessError::failed(format!("read the schedule {}: {e}", path.display())))?;
            let schedule = Schedule::parse(&text)
                .map_err(|e| HarnessError::failed(format!("read {}: {e}", path.display())))?;
            return Ok(vec![schedule]);
        }
        let time_ms = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX);
        let faults: Vec<FaultOn> = match &self.faults {
            Faults::None => Vec::new(),
            Faults::All => self.design.faults().into_iter().map(plan::fault_on).collect(),
            Faults::Only(ids) => ids.iter().map(|id| plan::fault_on(id)).collect(),
        };
        let mut schedules = self.design.schedules();
        schedules.retain(|schedule| !faults.is_empty() || schedule.fault_ids().is_empty());
        let load = |faults: &[FaultOn]| {
            plan::stress(&*self.design, self.design.workload(), faults, self.seed, time_ms)
        };
        schedules.push(load(&[]));
        if !faults.is_empty() {
            schedules.push(load(&faults));
        }
        Ok(schedules)
    }

    fn run_dir(&self, number: usize) -> Result<PathBuf, HarnessError> {
        let variant = self.design.id().replace('/', "--");
        let run = format!("{}-{}-{number}", self.seed, std::process::id());
        let dir = std::env::temp_dir().join("crosscheck-runs").join(variant).join(run);
        std::fs::create_dir_all(&dir).map_err(|e| failed_to_write(&dir, &e))?;
        Ok(dir)
    }
}

impl Checked {
    /// Fails the test unless every claim was found valid in what was exercised.
    ///
    /// # Panics
    /// With the story of the violation, the seed, and the command that replays it; with the reason where
    /// nothing can be said; and with what to do where it could not run. A check that was skipped for want of
    /// servers says so on stderr and passes, unless `CROSSCHECK_REQUIRE` names the backend.
    pub fn assert_holds(&self) {
        match &self.state {
            State::Skipped(reason) => eprintln!("skipped {}: {reason}", self.design),
            State::Failed(error) => panic!("{} could not be checked: {error}", self.design),
            State::Judged(trials) => {
                if let Some(words) = self.objection(trials) {
                    panic!("{words}");
                }
            }
        }
    }

    /// The story of the first violation, with the line that replays it; none if there is none.
    pub fn violation(&self) -> Option<String> {
        match &self.state {
            State::Judged(trials) => trials.iter().find_map(|trial| self.story(trial)),
            State::Skipped(_) | State::Failed(_) => None,
        }
    }

    /// Whether it was skipped for want of servers.
    pub fn was_skipped(&self) -> bool {
        matches!(self.state, State::Skipped(_))
    }

    fn objection(&self, trials: &[Trial]) -> Option<String> {
        if let Some(story) = trials.iter().find_map(|trial| self.story(trial)) {
            return Some(story);
        }
        // What one trial did not exercise, another may have.
        let properties = trials.first()?.judgement.properties.iter().map(|judged| judged.verdict.property);
        for property in properties {
            let found: Vec<_> = trials
                .iter()
                .flat_map(|trial| &trial.judgement.properties)
                .filter(|judged| judged.verdict.property == property)
                .collect();
            let valid = found.iter().any(|judged| judged.verdict.verdict == Verdict::Valid);
            let doubtful = found.iter().find(|judged| {
                judged.verdict.verdict == Verdict::Unknown && !(valid && judged.verdict.is_vacuous())
            });
            if let Some(judged) = doubtful {
                let reason = judged.verdict.reason.as_deref().unwrap_or("no reason is given");
                return Some(format!(
                    "{}: {property} is unknown: {reason} (seed {})",
                    self.design, self.seed
                ));
            }
        }
        None
    }

    fn story(&self, trial: &Trial) -> Option<String> {
        let violated =
            trial.judgement.properties.iter().find(|judged| judged.verdict.verdict == Verdict::Violated)?;
        let witness = violated.verdict.witness.as_ref()?;
        let test = std::thread::current().name().unwrap_or("").to_owned();
        Some(format!(
            "{} violates {}\n{witness}seed {}\nreplay: CROSSCHECK_SEED={} CROSSCHECK_SCHEDULE={} cargo test {test}",
            self.design,
            violated.verdict.property,
            self.seed,
            self.seed,
            trial.schedule.display(),
        ))
    }
}

/// Servers that all checks of a process share; a run has them to itself.
struct Shared {
    backend: LocalBackend,
    turn: Mutex<()>,
}

/// The servers, started for the first check that needs them and ended after the last that waits for them.
async fn shared_backend(needs: Needs) -> Result<Arc<Shared>, HarnessError> {
    static SHARED: Mutex<Weak<Shared>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(there) = shared.upgrade().filter(|there| there.backend.has(needs)) {
        return Ok(there);
    }
    let programs = Programs::find(&env, &Places::debian());
    let backend = LocalBackend::start(needs, &programs, &default_root(&env)).await?;
    let started = Arc::new(Shared { backend, turn: Mutex::new(()) });
    *shared = Arc::downgrade(&started);
    Ok(started)
}

/// Runs on a runtime that outlives each test's own, as the servers' proxies do.
async fn on_host<T: Send + 'static>(
    work: impl Future<Output = Result<T, HarnessError>> + Send + 'static,
) -> Result<T, HarnessError> {
    static HOST: OnceLock<Runtime> = OnceLock::new();
    let host = match HOST.get() {
        Some(host) => host,
        None => {
            let made = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .map_err(|error| HarnessError::failed(format!("start a runtime: {error}")))?;
            HOST.get_or_init(|| made)
        }
    };
    host.spawn(work).await.map_err(|error| HarnessError::failed(error.to_string()))?
}

fn unique_tag() -> String {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("t{}_{count}", std::process::id())
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn required(backend: &str) -> bool {
    env("CROSSCHECK_REQUIRE").is_some_and(|list| list.split(',').any(|name| name.trim() == backend))
}

fn failed_to_write(path: &std::path::Path, error: &std::io::Error) -> HarnessError {
    HarnessError::failed(format!("write {}: {error}", path.display()))
}
