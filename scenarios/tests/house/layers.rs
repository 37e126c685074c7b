//! What the code of a folder may name.

use crate::hold;
use crate::names::{Name, names};
use crate::tree::rust_files;

/// Names that only some folders may use.
struct Layer {
    /// What the rule is, and what to do instead.
    rule: &'static str,
    /// The files that it binds.
    binds: fn(&str) -> bool,
    /// Whether a name breaks it.
    breaks: fn(&Name) -> bool,
}

const PURE: Layer = Layer {
    rule: "models and reports are pure: no file, socket, clock, process or printing; take what is needed as \
           an argument and give back a value",
    binds: |path| path.starts_with("models/src/") || path.starts_with("reports/src/"),
    breaks: |name| {
        ["tokio", "std::fs", "std::net", "std::env", "std::process", "std::thread::sleep", "std::io::stdin"]
            .iter()
            .any(|prefix| name.is_within(prefix))
            || (name.is_within("std::time") && !name.is_within("std::time::Duration"))
            || prints(name)
    },
};

const DRIVERS: Layer = Layer {
    rule: "only harness/src/system/ names a driver; use the ports of harness/src/port/",
    binds: |path| is_source(path) && !path.starts_with("harness/src/system/"),
    breaks: |name| ["tokio_postgres", "redis", "rdkafka"].iter().any(|driver| names_crate(name, driver)),
};

const CONTAINERS: Layer = Layer {
    rule: "only harness/src/backend/docker/ names testcontainers",
    binds: |path| !path.starts_with("harness/src/backend/docker"),
    breaks: |name| names_crate(name, "testcontainers"),
};

const EDGE: Layer = Layer {
    rule: "only the binary (scenarios/src/main.rs, scenarios/src/cli/) reads arguments and prints; a library \
           takes values and returns text",
    binds: |path| is_source(path) && !is_binary(path) && path != FRONT_DOOR,
    breaks: |name| reads_arguments(name) || prints(name),
};

const DOORSTEP: Layer = Layer {
    rule: "the front door for tests (harness/src/check.rs) reads no arguments, and prints only on stderr that a \
           test was skipped",
    binds: |path| path == FRONT_DOOR,
    breaks: |name| reads_arguments(name) || (prints(name) && !name.is_within("std::io::stderr")),
};

const ENVIRONMENT: Layer = Layer {
    rule: "the environment is read by the binary and by the front door for tests (harness/src/check.rs), and \
           handed down as a function",
    binds: |path| is_source(path) && !is_binary(path) && path != FRONT_DOOR,
    breaks: |name| name.is_within("std::env"),
};

/// What a user's own test calls: it has no binary of ours above it.
const FRONT_DOOR: &str = "harness/src/check.rs";

const SUPPRESSION: Layer = Layer {
    rule: "a lint is set aside by #[expect(lint, reason = \"..\")], which says why and ends when it is not needed",
    binds: |_| true,
    breaks: |name| name.path == "allow",
};

fn is_source(path: &str) -> bool {
    ["models/src/", "harness/src/", "scenarios/src/", "reports/src/"]
        .iter()
        .any(|root| path.starts_with(root))
}

fn is_binary(path: &str) -> bool {
    path == "scenarios/src/main.rs" || path.starts_with("scenarios/src/cli/")
}

/// Whether it is a crate's own name, in a path or in `use`; `self::redis` is a module of ours.
fn names_crate(name: &Name, krate: &str) -> bool {
    // A lone `redis` is a field or a variable, `redis::Client` and `use redis` are the crate.
    name.is_within(krate) && (name.path.contains("::") || krate.contains('_'))
}

fn reads_arguments(name: &Name) -> bool {
    ["clap", "std::env::args", "std::env::args_os"].iter().any(|path| name.is_within(path))
}

fn prints(name: &Name) -> bool {
    let last = name.path.rsplit("::").next().unwrap_or_default();
    ["print!", "println!", "eprint!", "eprintln!", "dbg!"].contains(&last)
        || ["std::io::stdout", "std::io::stderr"].iter().any(|stream| name.is_within(stream))
}

impl Layer {
    /// What in this file breaks the rule: `models/src/lib.rs:12 names std::fs`.
    fn broken(&self, path: &str, source: &str) -> Vec<String> {
        if !(self.binds)(path) {
            return Vec::new();
        }
        let broken = names(source).into_iter().filter(|name| (self.breaks)(name));
        broken.map(|name| format!("{path}:{} names {}", name.line, name.path)).collect()
    }

    #[track_caller]
    fn holds(&self) {
        let files = rust_files();
        let broken: Vec<String> = files.iter().flat_map(|file| self.broken(&file.path, &file.text)).collect();
        hold(self.rule, &broken);
    }
}

#[test]
fn models_and_reports_are_pure() {
    PURE.holds();
}

#[test]
fn only_the_adapters_name_a_driver() {
    DRIVERS.holds();
}

#[test]
fn only_the_docker_backend_names_testcontainers() {
    CONTAINERS.holds();
}

#[test]
fn only_the_binary_reads_arguments_and_prints() {
    EDGE.holds();
    DOORSTEP.holds();
}

#[test]
fn the_environment_is_read_at_the_edge() {
    ENVIRONMENT.holds();
}

#[test]
fn lints_are_set_aside_with_a_reason() {
    SUPPRESSION.holds();
}

#[test]
fn what_breaks_a_layer_is_found() {
    let broken = [
        (&PURE, "models/src/x.rs", "use std::{fs, collections::BTreeMap};"),
        (&PURE, "models/src/x.rs", "fn f() { std::net::TcpStream::connect(a); }"),
        (&PURE, "models/src/x.rs", "use std::time::{Duration, Instant};"),
        (&PURE, "models/src/x.rs", "use std::time;"),
        (&PURE, "reports/src/x.rs", "use tokio::sync::mpsc;"),
        (&PURE, "reports/src/x.rs", "fn f() { eprintln!(\"hello\"); }"),
        (&PURE, "reports/src/x.rs", "fn f() { std::io::stdout().lock(); }"),
        (&PURE, "reports/src/x.rs", "fn f() { std::process::exit(1) }"),
        (&DRIVERS, "harness/src/runner/x.rs", "use tokio_postgres::Client;"),
        (&DRIVERS, "scenarios/src/design/x.rs", "fn f() { redis::cmd(\"GET\"); }"),
        (&DRIVERS, "harness/src/backend/x.rs", "use {rdkafka::ClientConfig};"),
        (&CONTAINERS, "harness/src/backend/local/x.rs", "use testcontainers::core::WaitFor;"),
        (&CONTAINERS, "scenarios/tests/x.rs", "use testcontainers::core::WaitFor;"),
        (&ENVIRONMENT, "harness/src/x.rs", "fn f() { std::env::var(\"A\") }"),
        (&DOORSTEP, "harness/src/check.rs", "fn f() { std::env::args(); }"),
        (&DOORSTEP, "harness/src/check.rs", "fn f() { println!(\"a\") }"),
        (&EDGE, "scenarios/src/design/x.rs", "fn f() { println!(\"a\") }"),
        (&EDGE, "scenarios/src/x.rs", "use clap::Parser;"),
        (&SUPPRESSION, "harness/tests/x.rs", "#[allow(dead_code)] fn f() {}"),
    ];
    for (layer, path, source) in broken {
        assert_eq!(layer.broken(path, source).len(), 1, "{path}: {source}");
    }
}

#[test]
fn what_keeps_the_layers_is_let_be() {
    let kept = [
        (&PURE, "models/src/x.rs", "/// Never `std::fs`.\nuse std::time::Duration;"),
        (&PURE, "harness/src/x.rs", "use std::fs;"),
        (&PURE, "models/src/x.rs", "fn f(process: Process) -> String { format!(\"println!\") }"),
        (&DRIVERS, "harness/src/system/postgres/mod.rs", "use tokio_postgres::Client;"),
        (&DRIVERS, "harness/src/backend/local/x.rs", "fn f(set: &Set) { set.redis.start(); }"),
        (&DRIVERS, "harness/src/backend/local/mod.rs", "mod redis; fn f() { redis::start() }"),
        (&CONTAINERS, "harness/src/backend/docker/mod.rs", "use testcontainers::core::WaitFor;"),
        (&EDGE, "scenarios/src/main.rs", "fn main() { std::env::args(); }"),
        (&EDGE, "scenarios/src/cli/list.rs", "fn f() { println!(\"a\") }"),
        (&DOORSTEP, "harness/src/check.rs", "fn f() { writeln!(std::io::stderr(), \"skipped\") }"),
        (&ENVIRONMENT, "harness/src/check.rs", "fn f() { std::env::var(\"A\") }"),
        (&ENVIRONMENT, "harness/src/x.rs", "#[cfg(test)]\nmod tests { fn f() { std::env::temp_dir() } }"),
        (&SUPPRESSION, "harness/src/x.rs", "#[expect(dead_code, reason = \"..\")] fn f() {}"),
    ];
    for (layer, path, source) in kept {
        assert_eq!(layer.broken(path, source), Vec::<String>::new(), "{path}: {source}");
    }
}
