//! CockroachDB: the command line of one node, by
//! <https://www.cockroachlabs.com/docs/v24.3/cockroach-start-single-node>.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::process::Launch;
use crate::backend::hosted::settings;

/// The command line for two ports: of SQL, and of the console that nobody asks for and that cannot be left out.
/// The store is on disk: what is acknowledged outlives a kill. SIGTERM asks for an end in good order.
pub(crate) fn launch(program: &Path, dir: &Path, log: &Path, sql: SocketAddr, console: SocketAddr) -> Launch {
    let mut store = OsString::from("--store=");
    store.push(data_dir(dir));
    let own = ["start-single-node".into(), "--insecure".into(), store];
    let addresses = [format!("--listen-addr={sql}"), format!("--http-addr={console}")];
    let args = own.into_iter().chain(addresses.map(OsString::from));
    Launch {
        program: program.to_owned(),
        args: args.chain(settings::COCKROACH.map(OsString::from)).collect(),
        dir: dir.to_owned(),
        log: log.to_owned(),
        run_as: None,
        environment: Vec::new(),
        graceful: Signal::TERM,
    }
}

pub(crate) fn data_dir(dir: &Path) -> PathBuf {
    dir.join("data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_is_started_as_its_documentation_says() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let launch =
            launch(Path::new("/bin/cockroach"), Path::new("/d"), Path::new("/d/log"), addr(1), addr(2));
        let args: Vec<&str> = launch.args.iter().filter_map(|arg| arg.to_str()).collect();
        insta::assert_snapshot!(args.join("\n"), @"
        start-single-node
        --insecure
        --store=/d/data
        --listen-addr=127.0.0.1:1
        --http-addr=127.0.0.1:2
        --cache=128MiB
        --max-sql-memory=256MiB
        ");
        assert!(launch.environment.is_empty());
        assert_eq!(launch.graceful, Signal::TERM);
    }
}
