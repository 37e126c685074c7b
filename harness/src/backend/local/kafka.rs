//! Kafka: one KRaft node that is broker and controller.
//!
//! Clients follow the address that a listener advertises. So the caller hands in one named listener for each way
//! that clients come, with the address of the proxy in front of it; `DIRECT` is ours, for pings and final reads.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::error::StartError;
use super::process::Launch;
use super::set::KafkaListener;
use super::template::{Template, copy_tree};
use crate::backend::hosted::settings;

/// Kafka and the Java that runs it.
#[derive(Clone, Debug)]
pub(crate) struct Kafka {
    pub(crate) home: PathBuf,
    pub(crate) java: PathBuf,
    pub(crate) version: String,
}

/// The addresses that a broker binds.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    pub(crate) controller: SocketAddr,
    pub(crate) direct: SocketAddr,
    /// Each named listener with the address that it binds.
    pub(crate) named: Vec<(KafkaListener, SocketAddr)>,
}

const CLUSTER_ID: &str = "Y3Jvc3NjaGVjay1rYWZrYQ";

const LOGGING: &str = "\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n%ex
rootLogger.level=info
rootLogger.appenderRef.out.ref=out
logger.config.name=org.apache.kafka.common.config
logger.config.level=warn
";

impl Kafka {
    /// Puts an empty, formatted storage directory into the server's directory.
    pub(crate) fn prepare(&self, cache: &Path, dir: &Path) -> Result<(), StartError> {
        let doing =
            || StartError::preparing(format!("make a Kafka storage directory in {}", cache.display()));
        let template = match Template::open(cache, &format!("storage-{}", self.version)).map_err(doing())? {
            Template::Ready(template) => template,
            Template::ToMake(making) => {
                self.format(&making.dir().join("storage"), dir)?;
                making.finish().map_err(doing())?
            }
        };
        copy_tree(&template.join("storage"), &storage_dir(dir), None).map_err(doing())
    }

    fn format(&self, storage: &Path, dir: &Path) -> Result<(), StartError> {
        let doing = || StartError::preparing("format a Kafka storage directory");
        // Which ports it will have is not formatted into it.
        let any = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let ports = Ports { controller: any(9093), direct: any(9092), named: Vec::new() };
        let config = write_config(dir, storage, &ports).map_err(doing())?;
        let mut command = Command::new(&self.java);
        command.args(self.java_args(dir).map_err(doing())?).arg("kafka.tools.StorageTool");
        command.args(["format", "-t", CLUSTER_ID, "-c"]).arg(&config).stdin(Stdio::null()).current_dir(dir);
        let output = command.output().map_err(doing())?;
        if output.status.success() {
            return Ok(());
        }
        // The first line; what follows is Java's stack.
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or("it said nothing");
        Err(doing()(io::Error::other(format!("it ended with {}: {said}", output.status))))
    }

    /// Writes the configuration for these ports; gives the command line.
    pub(crate) fn launch(&self, dir: &Path, log: &Path, ports: &Ports) -> io::Result<Launch> {
        let config = write_config(dir, &storage_dir(dir), ports)?;
        let mut args = self.java_args(dir)?;
        args.extend(["kafka.Kafka".into(), config.into()]);
        Ok(Launch {
            program: self.java.clone(),
            args,
            dir: dir.to_owned(),
            log: log.to_owned(),
            run_as: None,
            environment: Vec::new(),
            graceful: Signal::TERM,
        })
    }

    fn java_args(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let mut args: Vec<OsString> = settings::KAFKA_JAVA.iter().map(Into::into).collect();
        args.push("-Xlog:disable".into());
        // Halves the time to readiness. `scripts/servers.sh` makes it; Java passes over one that does not fit.
        args.push(with_path("-XX:SharedArchiveFile=", &self.home.join("classes.jsa")));
        args.push(with_path("-Djava.io.tmpdir=", &dir.join("tmp")));
        args.push(with_path("-Dlog4j2.configurationFile=", &logging_file(dir)));
        args.extend(["-cp".into(), self.class_path()?]);
        Ok(args)
    }

    /// In sorted order: an archive of classes is good for the very same path only.
    fn class_path(&self) -> io::Result<OsString> {
        let entries = fs::read_dir(self.home.join("libs"))?;
        let mut jars: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        jars.retain(|path| path.extension().is_some_and(|extension| extension == "jar"));
        jars.sort();
        let mut path = OsString::new();
        for jar in jars {
            path.push(jar);
            path.push(":");
        }
        Ok(path)
    }
}

fn write_config(dir: &Path, storage: &Path, ports: &Ports) -> io::Result<PathBuf> {
    let config = dir.join("server.properties");
    fs::create_dir_all(dir.join("tmp"))?;
    fs::write(logging_file(dir), LOGGING)?;
    fs::write(&config, properties(storage, ports))?;
    Ok(config)
}

/// A listener's name as Kafka's configuration spells it.
pub(crate) fn listener_name(listener: &KafkaListener) -> String {
    listener.name.to_ascii_uppercase()
}

fn properties(storage: &Path, ports: &Ports) -> String {
    let named =
        ports.named.iter().map(|(listener, bind)| (listener_name(listener), *bind, listener.advertised));
    let clients: Vec<_> =
        std::iter::once(("DIRECT".to_owned(), ports.direct, ports.direct)).chain(named).collect();
    let mut listeners = format!("CONTROLLER://{}", ports.controller);
    let mut protocols = "CONTROLLER:PLAINTEXT".to_owned();
    let mut advertised = Vec::new();
    for (name, bind, shown) in &clients {
        write!(listeners, ",{name}://{bind}").expect("a string takes all");
        write!(protocols, ",{name}:PLAINTEXT").expect("a string takes all");
        advertised.push(format!("{name}://{shown}"));
    }
    let common: String = settings::KAFKA.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    format!(
        "{common}inter.broker.listener.name=DIRECT\ncontroller.quorum.voters=1@{}\nlisteners={listeners}\nadvertised.listeners={}\n\
         listener.security.protocol.map={protocols}\nlog.dirs={}\n",
        ports.controller,
        advertised.join(","),
        storage.display()
    )
}

pub(crate) fn storage_dir(dir: &Path) -> PathBuf {
    dir.join("storage")
}

fn logging_file(dir: &Path) -> PathBuf {
    dir.join("log4j2.properties")
}

fn with_path(flag: &str, path: &Path) -> OsString {
    let mut whole = OsString::from(flag);
    whole.push(path);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_listener_binds_its_own_port_and_advertises_the_proxy() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let listener = KafkaListener { name: "clients".to_owned(), advertised: addr(9) };
        let ports = Ports { controller: addr(1), direct: addr(2), named: vec![(listener, addr(3))] };
        let text = properties(Path::new("/s"), &ports);
        let own: Vec<_> = text.lines().skip(settings::KAFKA.len() + 1).collect();
        insta::assert_snapshot!(own.join("\n"), @"
        controller.quorum.voters=1@127.0.0.1:1
        listeners=CONTROLLER://127.0.0.1:1,DIRECT://127.0.0.1:2,CLIENTS://127.0.0.1:3
        advertised.listeners=DIRECT://127.0.0.1:2,CLIENTS://127.0.0.1:9
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,DIRECT:PLAINTEXT,CLIENTS:PLAINTEXT
        log.dirs=/s
        ");
    }
}
