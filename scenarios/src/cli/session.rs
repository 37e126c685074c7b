//! What every command that runs designs needs: a runtime, the backend, an end to the servers however the
//! command ends, and a word on stderr now and then.

use std::future::Future;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_harness::backend::HarnessError;
use crosscheck_harness::design::Design;
use crosscheck_reports::document::Skipped;
use crosscheck_scenarios::backends::{self, Choice, Chosen, Designs};
use indicatif::{ProgressBar, ProgressStyle};

use super::args::{BackendChoice, DatabaseChoice};
use super::{Exit, Output, Stop};

/// How often somebody who reads a log is told that work goes on.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Runs the work of a command to its end; servers are ended with it, also on Ctrl-C and SIGTERM.
pub(crate) fn on_runtime<T>(work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::could_not_run(format!("cannot start a runtime: {error}")))?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = work => result,
            signal = interrupted() => {
                Err(Stop::could_not_run(format!("stopped by {signal}; all servers are ended")))
            }
        }
    });
    drop(runtime);
    backends::shutdown_all()
        .map_err(|error| Stop::could_not_run(format!("cannot end the servers: {error}")))?;
    result
}

async fn interrupted() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut hang_up)) =
        (signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "Ctrl-C",
        _ = terminate.recv() => "SIGTERM",
        _ = hang_up.recv() => "SIGHUP",
    }
}

/// The designs that can run on a database, and what is skipped; there must be one that can.
pub(crate) fn able(database: DatabaseChoice, designs: Designs) -> Result<(Designs, Vec<Skipped>), Stop> {
    let (able, skipped) = backends::split(database.kind(), designs);
    if able.is_empty() {
        let reason = |line: &Skipped| format!("{} cannot run: {}", line.variant, line.reason);
        let reasons: Vec<String> = skipped.iter().map(reason).collect();
        let another = match database {
            DatabaseChoice::Postgres => "--database cockroach",
            DatabaseChoice::Cockroach => "--database postgres",
        };
        return Err(Stop::could_not_run(format!("{}; try {another}", reasons.join("\n"))));
    }
    Ok((able, skipped))
}

/// Starts what the designs need with PostgreSQL as the database, and says which backend it is and why.
pub(crate) async fn open(
    choice: BackendChoice,
    designs: &[Arc<dyn Design>],
    progress: &Progress,
) -> Result<Chosen, Stop> {
    open_on(choice, DatabaseChoice::Postgres, designs, progress).await
}

/// The same, with this database.
pub(crate) async fn open_on(
    choice: BackendChoice,
    database: DatabaseChoice,
    designs: &[Arc<dyn Design>],
    progress: &Progress,
) -> Result<Chosen, Stop> {
    let choice = match choice {
        BackendChoice::Auto => Choice::Auto,
        BackendChoice::Model => Choice::Model,
        BackendChoice::Local => Choice::Local,
        BackendChoice::Docker => Choice::Docker,
    };
    progress.say("starting the servers");
    let env = |name: &str| std::env::var(name).ok();
    let chosen = backends::open_on(choice, database.kind(), backends::needs_of(designs), &env).await?;
    let versions: Vec<String> =
        chosen.backend.versions().into_iter().map(|(name, version)| format!("{name} {version}")).collect();
    progress.note(&format!("backend {} ({}): {}", chosen.backend.name(), chosen.why, versions.join(", ")));
    Ok(chosen)
}

impl From<HarnessError> for Stop {
    fn from(error: HarnessError) -> Stop {
        Stop::could_not_run(error.to_string())
    }
}

/// Says on stderr how far it is: a bar on a terminal, a line now and then elsewhere.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
    heart: Option<tokio::task::JoinHandle<()>>,
    doing: Arc<std::sync::Mutex<String>>,
}

impl Progress {
    /// Progress of `steps` steps.
    pub(crate) fn start(output: Output, steps: u64) -> Progress {
        let lines = !output.quiet;
        let doing: Arc<std::sync::Mutex<String>> = Arc::default();
        if lines && std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}")
                .expect("the template is well formed");
            let bar = ProgressBar::new(steps).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            return Progress { bar: Some(bar), lines, heart: None, doing };
        }
        let heart = lines.then(|| tokio::spawn(beat(doing.clone())));
        Progress { bar: None, lines, heart, doing }
    }

    /// Says what is being done now.
    pub(crate) fn say(&self, doing: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(doing.to_owned());
        }
        doing.clone_into(&mut self.doing.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// Says something that stays.
    pub(crate) fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None if self.lines => eprintln!("{line}"),
            None => {}
        }
    }

    /// A step is done.
    pub(crate) fn done(&self, line: &str) {
        self.note(line);
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if let Some(heart) = &self.heart {
            heart.abort();
        }
    }
}

async fn beat(doing: Arc<std::sync::Mutex<String>>) {
    let mut said = String::new();
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let now = doing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if now == said && !now.is_empty() {
            eprintln!("still {now}");
        }
        said = now;
    }
}

/// The exit of a verdict, with its explanation.
pub(crate) fn ends(exit: Exit, why: impl FnOnce() -> String) -> Result<(), Stop> {
    Stop::unless_valid(exit, why)
}
