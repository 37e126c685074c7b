//! The options of the commands that run designs on servers.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use crosscheck_harness::database::DatabaseKind;
use crosscheck_models::property::Property;

use super::Output;
use super::value::{self, Faults};

/// Where the systems run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendChoice {
    /// Containers if an engine and its images are here, else servers, else the model; the output says which and why
    Auto,
    /// The in-process model, in virtual time: needs no server
    Model,
    /// Server processes of ours on loopback ports
    Local,
    /// Containers of ours, in a Docker engine (or Podman by DOCKER_HOST) on this machine
    Docker,
}

/// Which database the designs have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DatabaseChoice {
    /// PostgreSQL; of the three backends, the model knows no other
    Postgres,
    /// CockroachDB, one node: designs that need what it lacks are skipped
    Cockroach,
}

impl DatabaseChoice {
    pub(crate) fn kind(self) -> DatabaseKind {
        match self {
            DatabaseChoice::Postgres => DatabaseKind::Postgres,
            DatabaseChoice::Cockroach => DatabaseKind::Cockroach,
        }
    }
}

/// Runs the ground-truth table: every variant, without and with its faults, against the expected verdicts
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  crosscheck matrix                          every variant
  crosscheck matrix 'outbox-*' --seed 7      all outboxes and their twins, with another seed
  crosscheck matrix outbox-wal-relay --json  one variant, as a document")]
pub(crate) struct MatrixArgs {
    /// Which variants: a glob over the full id, in which `*` crosses `/`; all if none is given
    #[arg(value_name = "PATTERN")]
    pub(crate) patterns: Vec<String>,
    /// Where the systems run
    #[arg(long, value_enum, default_value_t = BackendChoice::Auto)]
    pub(crate) backend: BackendChoice,
    /// Which database the designs have
    #[arg(long, value_enum, default_value_t = DatabaseChoice::Postgres)]
    pub(crate) database: DatabaseChoice,
    /// What all randomness comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Where the runs are saved
    #[arg(long, value_name = "DIR", default_value = "crosscheck-runs")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// How faults are laid out in time. The schedule is made before the run, and saved with it.
#[derive(Debug, Args)]
pub(crate) struct NemesisArgs {
    /// From the beginning of one fault to that of the next; less than they last makes them overlap
    #[arg(long, value_name = "DURATION", default_value = "650ms", value_parser = value::duration)]
    pub(crate) fault_every: Duration,
    /// How long a fault lasts at most; it lasts half as long at least
    #[arg(long, value_name = "DURATION", default_value = "400ms", value_parser = value::duration)]
    pub(crate) fault_for: Duration,
    /// How many faults begin together; two of one server as a whole never do
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) faults_together: u32,
    /// With which chance a fault comes when it is its turn again, in percent; once it comes in any case
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) fault_chance: u32,
}

/// Runs designs under load, with faults if asked, and judges what they claim
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  crosscheck run outbox-poll-id-cursor --time 5s --seed 1
  crosscheck run outbox-poll-flag-single --faults all --time 30s
  crosscheck run 'cache-*' --faults app-crash,cache-reset --claims convergence,monotonic-reads
  crosscheck run outbox-wal-relay --faults 'db-latency(delay=200ms,jitter=50ms)@relay,db-cut@client'
  crosscheck run outbox-wal-relay --faults 'db-cut-replies(at=COMMIT*3)@client'
  crosscheck run outbox-wal-relay --faults all --faults-together 2 --fault-every 2s --fault-for 1s

Faults:
  A fault is written ID, ID@OF or ID(NAME=VALUE,..)@OF. OF is whose link it is on (client, relay, consumer) or,
  for one of the application, which actor; without it they take turns. `crosscheck list` names the faults and
  what each takes. With at=REQUEST*N it begins as the link carries the N-th such request: of PostgreSQL the
  words that a statement begins with, of Redis a command, of Kafka a request (Produce, Fetch, ..).")]
pub(crate) struct RunArgs {
    /// Which variants: a glob over the full id, in which `*` crosses `/`
    #[arg(value_name = "PATTERN", required = true)]
    pub(crate) patterns: Vec<String>,
    /// Where the systems run
    #[arg(long, value_enum, default_value_t = BackendChoice::Auto)]
    pub(crate) backend: BackendChoice,
    /// Which database the designs have
    #[arg(long, value_enum, default_value_t = DatabaseChoice::Postgres)]
    pub(crate) database: DatabaseChoice,
    /// `none`, `all` (those that the design claims to survive), or names with commas between them
    #[arg(long, value_name = "none|all|LIST", default_value = "none", value_parser = value::faults)]
    pub(crate) faults: Faults,
    #[command(flatten)]
    pub(crate) nemesis: NemesisArgs,
    /// What all randomness comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// How long the load lasts
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = value::duration)]
    pub(crate) time: Duration,
    /// How many clients there are; as the design's workload says if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) clients: Option<u32>,
    /// How many operations a second all clients begin together; as the design's workload says if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// Judge these properties as the claims, with commas between them; those of the design if not given
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = value::property())]
    pub(crate) claims: Vec<Property>,
    /// Where the runs are saved
    #[arg(long, value_name = "DIR", default_value = "crosscheck-runs")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Runs a saved schedule again, and says how often it came out the same
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  crosscheck replay crosscheck-runs/latest/schedule.json
  crosscheck replay crosscheck-runs/latest/schedule.json --times 10")]
pub(crate) struct ReplayArgs {
    /// The schedule: `schedule.json` of a run's directory
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where the systems run
    #[arg(long, value_enum, default_value_t = BackendChoice::Auto)]
    pub(crate) backend: BackendChoice,
    /// Which database the designs have
    #[arg(long, value_enum, default_value_t = DatabaseChoice::Postgres)]
    pub(crate) database: DatabaseChoice,
    /// How often
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) times: u32,
    /// Where the runs are saved
    #[arg(long, value_name = "DIR", default_value = "crosscheck-runs")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Measures throughput, latency and lag of designs side by side
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  crosscheck bench sot-serializable dual-write-db-then-queue outbox-poll-flag-single --rate 200
  crosscheck bench 'outbox-*' --closed --time 30s --json")]
pub(crate) struct BenchArgs {
    /// Which variants: a glob over the full id, in which `*` crosses `/`; all designs without a bug if none is given
    #[arg(value_name = "PATTERN")]
    pub(crate) patterns: Vec<String>,
    /// Where the systems run
    #[arg(long, value_enum, default_value_t = BackendChoice::Auto)]
    pub(crate) backend: BackendChoice,
    /// Which database the designs have
    #[arg(long, value_enum, default_value_t = DatabaseChoice::Postgres)]
    pub(crate) database: DatabaseChoice,
    /// Operations a second, begun on time whatever the answers do
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// Each client begins its next operation when the last one is done
    #[arg(long, conflicts_with = "rate")]
    pub(crate) closed: bool,
    /// How long the load lasts
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = value::duration)]
    pub(crate) time: Duration,
    /// What all randomness comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) output: Output,
}
