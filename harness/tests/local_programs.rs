//! What the search for programs finds in a made-up environment, and what `doctor` says about it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crosscheck_harness::backend::local::{Doctor, Finding, Places, Program, Programs, Source};
use tempfile::TempDir;

/// A machine of our own: no program but those that a test puts there.
struct Machine {
    dir: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let variables = vec![("HOME", at(&dir, "home")), ("PATH", at(&dir, "path"))];
        Self { dir, variables }
    }

    /// A program that says its version.
    fn with(self, file: &str, says: &str) -> Self {
        let path = self.dir.path().join(file);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
        // By another process: a file that any thread's fork still holds open for writing cannot be run.
        let write = "printf '%s\\n' '#!/bin/sh' \"echo '$1'\" >\"$0\" && chmod 755 \"$0\"";
        let written = Command::new("/bin/sh").args(["-c", write]).arg(&path).arg(says).status();
        assert!(written.expect("there is a shell").success());
        self
    }

    /// A variable whose value is a place on this machine.
    fn set(mut self, variable: &'static str, place: &str) -> Self {
        let value = at(&self.dir, place);
        self.variables.push((variable, value));
        self
    }

    fn with_debian(self) -> Self {
        self.with("versions/9/bin/postgres", "postgres (PostgreSQL) 9.6.24")
            .with("versions/9/bin/initdb", "")
            .with("versions/15/bin/postgres", "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)")
            .with("versions/15/bin/initdb", "")
            .with("versions/16/bin/psql", "only the client is installed")
            .with("bin/redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")
            .with("home/.cache/crosscheck/kafka-3.9.1/libs/kafka_2.13-3.9.1.jar", "")
            .with("home/.cache/crosscheck/kafka-4.3.1/libs/kafka_2.13-4.3.1.jar", "")
            .with("jvms/java-17/bin/java", "openjdk version \"17.0.15\" 2025-04-15")
    }

    fn find(&self) -> Programs {
        let env = |name: &str| {
            let (_, value) = self.variables.iter().find(|(variable, _)| *variable == name)?;
            Some(value.clone())
        };
        let place = |name| self.dir.path().join(name);
        let places =
            Places { postgres_versions: place("versions"), binaries: place("bin"), jvms: place("jvms") };
        Programs::find(&env, &places)
    }

    fn doctor(&self) -> Doctor {
        Doctor::examine(&self.find())
    }

    /// What `doctor` prints, with the machine's directory taken out.
    fn says(&self) -> String {
        self.doctor().to_string().replace(&self.dir.path().display().to_string(), "")
    }
}

fn at(dir: &TempDir, place: &str) -> String {
    dir.path().join(place).display().to_string()
}

#[test]
fn an_empty_machine_is_told_what_mends_it() {
    let machine = Machine::new();
    insta::assert_snapshot!(machine.says(), @"
    postgres   missing: looked in PATH, /versions
               -> run scripts/servers.sh (Debian), or set CROSSCHECK_POSTGRES_BIN to the folder that holds `postgres` and `initdb`
    redis      missing: looked in PATH, /bin
               -> run scripts/servers.sh (Debian), or set CROSSCHECK_REDIS_SERVER to the file `redis-server`
    kafka      missing: looked in PATH, /home/.cache/crosscheck
               -> run scripts/servers.sh (Debian), or set CROSSCHECK_KAFKA_HOME to the folder that holds `libs/kafka_*.jar`
    java       missing: looked in PATH, /jvms
               -> run scripts/servers.sh (Debian), or set JAVA_HOME to the folder that holds `bin/java`, version 17 or later
    cockroach  not here, optional: looked in PATH, /bin
               -> set CROSSCHECK_COCKROACH to the file `cockroach`
    redpanda   not here, optional: looked in PATH, /bin
               -> set CROSSCHECK_REDPANDA to the file `redpanda`
    ");
    assert!(!machine.doctor().ready);
}

#[test]
fn debians_places_give_the_newest_that_is_whole() {
    let machine = Machine::new().with_debian();
    insta::assert_snapshot!(machine.says(), @"
    postgres   15.18      /versions/15/bin (usual place)
    redis      7.0.15     /bin/redis-server (usual place)
    kafka      4.3.1      /home/.cache/crosscheck/kafka-4.3.1 (usual place)
    java       17.0.15    /jvms/java-17/bin/java (usual place)
    cockroach  not here, optional: looked in PATH, /bin
               -> set CROSSCHECK_COCKROACH to the file `cockroach`
    redpanda   not here, optional: looked in PATH, /bin
               -> set CROSSCHECK_REDPANDA to the file `redpanda`
    ");
    assert!(machine.doctor().ready);
}

#[test]
fn path_goes_before_the_usual_places_and_a_variable_before_both() {
    let machine = Machine::new().with_debian().with("path/redis-server", "Redis server v=8.0.1");
    let source = |machine: &Machine| match machine.find().finding(Program::Redis) {
        Finding::Found { version, source, .. } => (version.clone(), *source),
        Finding::Missing { .. } | Finding::Wrong { .. } => panic!("it is there"),
    };
    assert_eq!(source(&machine), ("8.0.1".to_owned(), Source::Path));
    let machine = machine.with("own", "Redis server v=7.4.2").set("CROSSCHECK_REDIS_SERVER", "own");
    assert_eq!(source(&machine), ("7.4.2".to_owned(), Source::Variable));
}

#[test]
fn a_wrong_variable_is_wrong_although_the_program_is_elsewhere() {
    let machine = Machine::new()
        .with_debian()
        .set("CROSSCHECK_POSTGRES_BIN", "versions/9/bin")
        .set("CROSSCHECK_REDIS_SERVER", "no/redis-server")
        .set("CROSSCHECK_KAFKA_HOME", "bin")
        .with("broken", "I have no number")
        .set("CROSSCHECK_COCKROACH", "broken");
    insta::assert_snapshot!(machine.says(), @"
    postgres   wrong: CROSSCHECK_POSTGRES_BIN=/versions/9/bin is set, but version 9.6.24 is too old (13 or later is needed)
               -> set CROSSCHECK_POSTGRES_BIN to the folder that holds `postgres` and `initdb`, or unset it
    redis      wrong: CROSSCHECK_REDIS_SERVER=/no/redis-server is set, but there is no file /no/redis-server
               -> set CROSSCHECK_REDIS_SERVER to the file `redis-server`, or unset it
    kafka      wrong: CROSSCHECK_KAFKA_HOME=/bin is set, but there is no /bin/libs/kafka_*.jar
               -> set CROSSCHECK_KAFKA_HOME to the folder that holds `libs/kafka_*.jar`, or unset it
    java       17.0.15    /jvms/java-17/bin/java (usual place)
    cockroach  wrong: CROSSCHECK_COCKROACH=/broken is set, but `/broken version` names no version
               -> set CROSSCHECK_COCKROACH to the file `cockroach`, or unset it
    redpanda   not here, optional: looked in PATH, /bin
               -> set CROSSCHECK_REDPANDA to the file `redpanda`
    ");
    assert!(!machine.doctor().ready);
}

#[test]
fn a_script_prints_the_findings_as_json() {
    let machine = Machine::new().with_debian();
    let text = serde_json::to_string_pretty(&machine.doctor().programs[1]).expect("it is plain data");
    insta::assert_snapshot!(text.replace(&machine.dir.path().display().to_string(), ""), @r#"
    {
      "program": "redis",
      "optional": false,
      "state": "found",
      "at": "/bin/redis-server",
      "version": "7.0.15",
      "source": "usual"
    }
    "#);
}

#[test]
fn the_cache_follows_the_users_wish() {
    let cache = |machine: &Machine| machine.find().cache().map(Path::to_owned);
    let machine = Machine::new();
    assert_eq!(cache(&machine), Some(machine.dir.path().join("home/.cache/crosscheck")));
    let machine = machine.set("XDG_CACHE_HOME", "elsewhere");
    assert_eq!(cache(&machine), Some(machine.dir.path().join("elsewhere/crosscheck")));
}

#[test]
fn a_java_home_for_others_is_passed_over() {
    let machine = Machine::new()
        .with_debian()
        .with("old/bin/java", "openjdk version \"1.8.0_392\"")
        .set("JAVA_HOME", "old");
    assert!(machine.doctor().ready);
}
