//! The command line as people and scripts meet it: the built program, run without any server.

use std::path::Path;
use std::process::Command;

mod check;
mod conform;
mod histories;
mod model;
mod saved_runs;
mod usage;

/// What a command said, and how it ended.
#[derive(Debug)]
struct Ran {
    exit: i32,
    stdout: String,
    stderr: String,
}

/// Runs `crosscheck` with these arguments in this directory.
fn crosscheck(dir: &Path, args: &[&str]) -> Ran {
    ran(Command::new(env!("CARGO_BIN_EXE_crosscheck")).args(args).current_dir(dir))
}

fn ran(command: &mut Command) -> Ran {
    let output = command.env_remove("COLUMNS").output().expect("the program was built");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    Ran {
        exit: output.status.code().expect("it ends by itself"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// The same, where neither Kafka nor a variable that names a server is found.
fn crosscheck_without_servers(dir: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crosscheck"));
    for variable in ["CROSSCHECK_POSTGRES_BIN", "CROSSCHECK_REDIS_SERVER", "CROSSCHECK_KAFKA_HOME"] {
        command.env_remove(variable);
    }
    ran(command
        .args(args)
        .current_dir(dir)
        .env("XDG_CACHE_HOME", dir)
        .env("PATH", dir)
        .env("DOCKER_HOST", "unix:///nowhere"))
}

/// An empty directory, with these files in it.
fn directory(files: &[(&str, String)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("there is room for temporary files");
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).expect("the directory is ours");
    }
    dir
}

/// The one JSON document that a command printed.
fn document(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("stdout is one document: {error}\n{}", ran.stdout))
}
