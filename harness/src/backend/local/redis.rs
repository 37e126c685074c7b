//! Redis in its two roles: a cache that may forget, and a queue that must not.

use std::path::Path;

use rustix::process::Signal;

use super::process::Launch;
use crate::backend::hosted::settings;

/// A queue: every write is on disk before it is acknowledged, nothing is evicted.
const QUEUE: [&str; 8] =
    ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"];

/// The command line of the cache role.
pub(crate) fn cache(program: &Path, dir: &Path, log: &Path, port: u16) -> Launch {
    launch(program, dir, log, port, settings::REDIS_CACHE)
}

/// The command line of the queue role.
pub(crate) fn queue(program: &Path, dir: &Path, log: &Path, port: u16) -> Launch {
    launch(program, dir, log, port, QUEUE)
}

fn launch(program: &Path, dir: &Path, log: &Path, port: u16, role: [&str; 8]) -> Launch {
    let port = port.to_string();
    let own = ["--port", &port, "--bind", "127.0.0.1", "--daemonize", "no", "--dir"];
    let mut args: Vec<_> = own.iter().map(Into::into).collect();
    args.push(dir.into());
    args.extend(role.iter().map(Into::into));
    Launch {
        program: program.to_owned(),
        args,
        dir: dir.to_owned(),
        log: log.to_owned(),
        run_as: None,
        environment: Vec::new(),
        graceful: Signal::TERM,
    }
}
