//! Where the programs of the local backend are.
//!
//! An environment variable wins; one of ours that is set but wrong is an error, and nothing else is tried. Then `PATH`, then the places
//! where Debian and `scripts/servers.sh` put them. Only binaries read the environment: the look-up is passed in.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::backend::HarnessError;
use crate::backend::hosted::broker::{BrokerChoice, BrokerKind, is_sinkless};

const PROBE_BOUND: Duration = Duration::from_secs(10);

/// A program that the local backend can start, or needs in order to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    /// PostgreSQL: a folder with `postgres` and `initdb`.
    Postgres,
    /// `redis-server`.
    Redis,
    /// Apache Kafka: a folder with `libs/kafka_*.jar`.
    Kafka,
    /// The Java runtime for Kafka.
    Java,
    /// CockroachDB, a single binary.
    Cockroach,
    /// Redpanda, a single binary.
    Redpanda,
}

impl Program {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] =
        [Self::Postgres, Self::Redis, Self::Kafka, Self::Java, Self::Cockroach, Self::Redpanda];

    /// The name as it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Kafka => "kafka",
            Self::Java => "java",
            Self::Cockroach => "cockroach",
            Self::Redpanda => "redpanda",
        }
    }

    /// The environment variable that names it, and wins.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "CROSSCHECK_POSTGRES_BIN",
            Self::Redis => "CROSSCHECK_REDIS_SERVER",
            Self::Kafka => "CROSSCHECK_KAFKA_HOME",
            Self::Java => "JAVA_HOME",
            Self::Cockroach => "CROSSCHECK_COCKROACH",
            Self::Redpanda => "CROSSCHECK_REDPANDA",
        }
    }

    /// Whether the variable is meant for us alone. `JAVA_HOME` may well name a Java that others need.
    fn variable_is_ours(self) -> bool {
        match self {
            Self::Java => false,
            Self::Postgres | Self::Redis | Self::Kafka | Self::Cockroach | Self::Redpanda => true,
        }
    }

    /// Whether designs run without it.
    pub fn is_optional(self) -> bool {
        match self {
            Self::Postgres | Self::Redis | Self::Kafka | Self::Java => false,
            Self::Cockroach | Self::Redpanda => true,
        }
    }

    /// What the variable should name.
    fn wanted(self) -> &'static str {
        match self {
            Self::Postgres => "the folder that holds `postgres` and `initdb`",
            Self::Redis => "the file `redis-server`",
            Self::Kafka => "the folder that holds `libs/kafka_*.jar`",
            Self::Java => "the folder that holds `bin/java`, version 17 or later",
            Self::Cockroach => "the file `cockroach`",
            Self::Redpanda => "the file `redpanda`",
        }
    }

    fn advice(self) -> String {
        let set = format!("set {} to {}", self.variable(), self.wanted());
        if self.is_optional() { set } else { format!("run scripts/servers.sh (Debian), or {set}") }
    }

    /// The oldest major version that has what we use.
    fn major_min(self) -> u32 {
        match self {
            // pg_current_xact_id() and pg_snapshot_xmin() came with 13.
            Self::Postgres => 13,
            Self::Redis => 6,
            // Without ZooKeeper and with static voters.
            Self::Kafka => 3,
            Self::Java => 17,
            // From 24.3 on, a single node needs no licence key for its changefeeds.
            Self::Cockroach => 24,
            Self::Redpanda => 0,
        }
    }
}

/// Which of the places gave the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The environment variable that names it.
    Variable,
    /// A folder of `PATH`.
    Path,
    /// Where Debian or `scripts/servers.sh` puts it.
    Usual,
}

/// What became of the search for one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Finding {
    /// It is there.
    Found {
        /// The folder of binaries for PostgreSQL, the home for Kafka, the file for the others.
        at: PathBuf,
        /// As the program itself says.
        version: String,
        /// Which place gave it.
        source: Source,
    },
    /// It is nowhere.
    Missing {
        /// The places that were looked at.
        tried: Vec<String>,
        /// What mends it.
        advice: String,
    },
    /// Its variable is set, and wrong.
    Wrong {
        /// What is wrong with it.
        reason: String,
        /// What mends it.
        advice: String,
    },
}

/// The folders outside of the environment where programs are looked for.
#[derive(Clone, Debug)]
pub struct Places {
    /// Holds one folder for each version of PostgreSQL.
    pub postgres_versions: PathBuf,
    /// Holds `redis-server`, `cockroach`, `redpanda`, `java`.
    pub binaries: PathBuf,
    /// Holds one folder for each Java.
    pub jvms: PathBuf,
}

impl Places {
    /// Debian's.
    pub fn debian() -> Self {
        Self {
            postgres_versions: "/usr/lib/postgresql".into(),
            binaries: "/usr/bin".into(),
            jvms: "/usr/lib/jvm".into(),
        }
    }
}

/// What was found of every program, and where things are cached.
#[derive(Clone, Debug)]
pub struct Programs {
    findings: Vec<(Program, Finding)>,
    cache: Option<PathBuf>,
    broker: BrokerChoice,
    is_sinkless: bool,
}

impl Programs {
    /// Looks for every program. `env` is the environment: pass `&|name| std::env::var(name).ok()` from a binary.
    pub fn find(env: &dyn Fn(&str) -> Option<String>, places: &Places) -> Self {
        let cache = cache_dir(env);
        let find_one = |program| find(program, env, places, cache.as_deref());
        let findings = Program::ALL.map(|program| (program, find_one(program))).into();
        Self { findings, cache, broker: BrokerChoice::from(env), is_sinkless: is_sinkless(env) }
    }

    /// What became of one program.
    pub fn finding(&self, program: Program) -> &Finding {
        let found = self.findings.iter().find(|(name, _)| *name == program);
        &found.expect("every program is looked for").1
    }

    /// Every program with what became of it.
    pub fn findings(&self) -> &[(Program, Finding)] {
        &self.findings
    }

    /// The folder for what is made once and used by all runs (`$XDG_CACHE_HOME/crosscheck`).
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    /// Whether changefeeds are read by sessions of ours.
    pub(crate) fn is_sinkless(&self) -> bool {
        self.is_sinkless
    }

    /// Which broker is to run.
    pub(crate) fn broker(&self) -> Result<BrokerKind, HarnessError> {
        self.broker.broker()
    }

    /// A program's place and version, or the reason why it cannot be used.
    pub(crate) fn need(&self, program: Program) -> Result<(&Path, &str), Unavailable> {
        match self.finding(program) {
            Finding::Found { at, version, .. } => Ok((at, version)),
            Finding::Missing { tried, advice } => Err(Unavailable {
                program,
                reason: format!("{} was not found (looked in {})", program.name(), tried.join(", ")),
                advice: advice.clone(),
            }),
            Finding::Wrong { reason, advice } => {
                Err(Unavailable { program, reason: reason.clone(), advice: advice.clone() })
            }
        }
    }
}

/// A program that cannot be used, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; {advice}")]
pub struct Unavailable {
    /// Which.
    pub program: Program,
    /// Why.
    pub reason: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn cache_dir(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let base = env("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| Some(Path::new(&env("HOME")?).join(".cache")))?;
    base.is_absolute().then(|| base.join("crosscheck"))
}

fn find(
    program: Program,
    env: &dyn Fn(&str) -> Option<String>,
    places: &Places,
    cache: Option<&Path>,
) -> Finding {
    let advice = program.advice();
    let variable = program.variable();
    let mut tried = Vec::new();
    if let Some(value) = env(variable).filter(|value| !value.is_empty()) {
        match examine(program, Path::new(&value)) {
            Ok(at_and_version) => return found(at_and_version, Source::Variable),
            Err(reason) if program.variable_is_ours() => {
                let advice = format!("set {variable} to {}, or unset it", program.wanted());
                return Finding::Wrong { reason: format!("{variable}={value} is set, but {reason}"), advice };
            }
            Err(reason) => tried.push(format!("{variable}={value}: {reason}")),
        }
    }
    let path = env("PATH").unwrap_or_default();
    tried.push("PATH".to_owned());
    for dir in path.split(':').filter(|dir| Path::new(dir).is_absolute()) {
        if let Some(Ok(at_and_version)) = in_path(program, Path::new(dir)).map(|at| examine(program, &at)) {
            return found(at_and_version, Source::Path);
        }
    }
    for at in usual(program, places, cache, &mut tried) {
        match examine(program, &at) {
            Ok(at_and_version) => return found(at_and_version, Source::Usual),
            Err(reason) if at.exists() => tried.push(format!("{}: {reason}", at.display())),
            Err(_) => {}
        }
    }
    Finding::Missing { tried, advice }
}

fn found((at, version): (PathBuf, String), source: Source) -> Finding {
    Finding::Found { at, version, source }
}

/// What a folder of `PATH` offers for this program, if anything.
fn in_path(program: Program, dir: &Path) -> Option<PathBuf> {
    let (file, at) = match program {
        Program::Postgres => ("postgres", dir.to_owned()),
        Program::Redis => ("redis-server", dir.join("redis-server")),
        // A symbolic link to Kafka's script is followed to where Kafka is.
        Program::Kafka => {
            let script = fs::canonicalize(dir.join("kafka-server-start.sh")).ok()?;
            return Some(script.parent()?.parent()?.to_owned());
        }
        Program::Java => ("java", dir.join("java")),
        Program::Cockroach => ("cockroach", dir.join("cockroach")),
        Program::Redpanda => ("redpanda", dir.join("redpanda")),
    };
    dir.join(file).exists().then_some(at)
}

/// The usual places, the newest version first; notes in `tried` where that is.
fn usual(program: Program, places: &Places, cache: Option<&Path>, tried: &mut Vec<String>) -> Vec<PathBuf> {
    let mut list = |dir: &Path, prefix: &str, below: &str| {
        tried.push(dir.display().to_string());
        let entries = fs::read_dir(dir).map(|entries| entries.flatten().collect()).unwrap_or_else(|_| vec![]);
        let mut names: Vec<String> =
            entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| name.starts_with(prefix));
        names.sort_by_key(|name| std::cmp::Reverse(version_key(name)));
        names.iter().map(|name| dir.join(name).join(below)).collect::<Vec<_>>()
    };
    match program {
        Program::Postgres => list(&places.postgres_versions, "", "bin"),
        Program::Kafka => cache.map(|cache| list(cache, "kafka-", ".")).unwrap_or_default(),
        Program::Java => list(&places.jvms, "", "bin/java"),
        Program::Redis | Program::Cockroach | Program::Redpanda => {
            let file = if program == Program::Redis { "redis-server" } else { program.name() };
            tried.push(places.binaries.display().to_string());
            vec![places.binaries.join(file)]
        }
    }
}

/// Numbers in a name, so that 15 sorts after 9 and 4.10 after 4.9.
fn version_key(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

/// The program at a place with its version, or what is wrong there (a fragment that follows "but").
fn examine(program: Program, at: &Path) -> Result<(PathBuf, String), String> {
    let (at, version) = match program {
        Program::Postgres => {
            is_file(&at.join("initdb"))?;
            (at.to_owned(), asked(&at.join("postgres"), "--version")?)
        }
        Program::Redis => (at.to_owned(), asked(at, "--version")?),
        Program::Kafka => (at.to_owned(), kafka_version(&at.join("libs"))?),
        Program::Java => {
            let file = if at.is_dir() { at.join("bin/java") } else { at.to_owned() };
            let version = asked(&file, "-version")?;
            (file, version)
        }
        Program::Cockroach => (at.to_owned(), asked(at, "version")?),
        Program::Redpanda => (at.to_owned(), asked(at, "--version")?),
    };
    let major = version_key(&version).first().copied().unwrap_or(0);
    if major < program.major_min() {
        return Err(format!("version {version} is too old ({} or later is needed)", program.major_min()));
    }
    // Servers start in a directory of their own, where a relative path would lead nowhere.
    // Links are not followed: Debian's redis-server is a link to a program that goes by the name it is called.
    let at = std::path::absolute(&at).map_err(|error| format!("{} has no place: {error}", at.display()))?;
    Ok((at, version))
}

fn is_file(path: &Path) -> Result<(), String> {
    if path.is_file() { Ok(()) } else { Err(format!("there is no file {}", path.display())) }
}

/// Kafka's version is in the name of its main jar: `kafka_<scala>-<version>.jar`.
fn kafka_version(libs: &Path) -> Result<String, String> {
    let missing = || format!("there is no {}/kafka_*.jar", libs.display());
    let entries = fs::read_dir(libs).map_err(|_| missing())?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let version = |name: String| {
        let (scala, version) = name.strip_prefix("kafka_")?.strip_suffix(".jar")?.split_once('-')?;
        // Not `kafka_2.13-4.3.1-sources` and the like.
        let is_main = scala.starts_with("2.") && version.chars().all(|c| c.is_ascii_digit() || c == '.');
        is_main.then(|| version.to_owned())
    };
    names.filter_map(version).max_by_key(|version| version_key(version)).ok_or_else(missing)
}

/// The first thing that looks like a version in what the program prints.
fn asked(program: &Path, question: &str) -> Result<String, String> {
    is_file(program)?;
    let fails = |reason: String| format!("`{} {question}` {reason}", program.display());
    let said = output_within(program, question).map_err(fails)?;
    let words = said.split(|c: char| c.is_whitespace() || matches!(c, '"' | '='));
    let mut words = words.map(|word| word.trim_start_matches('v'));
    let version = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let version = version.ok_or_else(|| fails("names no version".to_owned()))?;
    Ok(version.trim_end_matches([',', ';']).to_owned())
}

fn output_within(program: &Path, question: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    command.arg(question).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("does not start: {error}"))?;
    let deadline = Instant::now() + PROBE_BOUND;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
            Ok(None) => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(format!("gives no answer within {} s", PROBE_BOUND.as_secs()));
            }
            Err(error) => return Err(format!("cannot be waited for: {error}")),
        }
    };
    let mut said = String::new();
    let streams: [Option<Box<dyn Read>>; 2] =
        [child.stdout.take().map(|s| Box::new(s) as _), child.stderr.take().map(|s| Box::new(s) as _)];
    for mut stream in streams.into_iter().flatten() {
        stream.read_to_string(&mut said).map_err(|error| format!("prints something else: {error}"))?;
    }
    if status.success() { Ok(said) } else { Err(format!("ends with {status}: {}", said.trim())) }
}
