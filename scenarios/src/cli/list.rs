//! `crosscheck list`: what there is, by its names.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crosscheck_harness::design::{Design, Needs};
use crosscheck_harness::fault::{Argument, FAULTS, Fault};
use crosscheck_models::check;
use crosscheck_models::checker::Checker;
use crosscheck_models::property::Property;
use crosscheck_reports::json;
use crosscheck_scenarios::design;
use serde::Serialize;

use super::{Stop, output};

/// The longest name of a property, fault or format.
const NAME_WIDTH: usize = 20;

/// Lists designs, variants, properties, faults, checkers, formats and backends
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  crosscheck list
  crosscheck list --json | jq -r '.designs[].variants[].id'")]
pub(crate) struct Args {
    /// Print one JSON document on stdout, and nothing else there
    #[arg(long)]
    json: bool,
}

/// Prints the list.
pub(crate) fn execute(args: &Args) -> Result<(), Stop> {
    let catalogue = Catalogue::of(&design::all().iter().map(|design| design.as_ref()).collect::<Vec<_>>());
    output::print(&if args.json { json::render(&catalogue) } else { catalogue.to_text() })
}

/// What `list --json` prints.
#[derive(Debug, Serialize)]
struct Catalogue {
    designs: Vec<DesignEntry>,
    properties: Vec<PropertyEntry>,
    faults: Vec<FaultEntry>,
    checkers: Vec<&'static str>,
    formats: Vec<FormatEntry>,
    backends: [BackendEntry; 3],
}

/// A design with its variants, of which it is itself the first.
#[derive(Debug, Serialize)]
struct DesignEntry {
    id: String,
    variants: Vec<VariantEntry>,
}

#[derive(Debug, Serialize)]
struct VariantEntry {
    id: String,
    about: String,
    needs: Vec<&'static str>,
    claims: Vec<Property>,
    faults: Vec<&'static str>,
    schedules: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PropertyEntry {
    id: Property,
    letters: &'static str,
    statement: &'static str,
}

#[derive(Debug, Serialize)]
struct FaultEntry {
    #[serde(flatten)]
    fault: &'static Fault,
    arguments: Vec<Argument>,
}

#[derive(Debug, Clone, Serialize)]
struct FormatEntry {
    id: &'static str,
    about: &'static str,
}

#[derive(Debug, Serialize)]
struct BackendEntry {
    id: &'static str,
    about: &'static str,
}

const FORMATS: [FormatEntry; 8] = [
    FormatEntry { id: "crosscheck", about: "JSON lines: a header, then one event a line" },
    FormatEntry { id: "edn", about: "Jepsen's: one operation a line, or all in one vector" },
    FormatEntry { id: "json", about: "elle-cli's: an array of operations, or one a line" },
    FormatEntry { id: "jsonl", about: "the same as json" },
    FormatEntry { id: "jepsen-log", about: "the lines that `jepsen.util` logs" },
    FormatEntry { id: "plume", about: "`r(key,value,session,txn)` and `w(..)`, one a line" },
    FormatEntry { id: "awdit", about: "the same as plume" },
    FormatEntry { id: "csv", about: "rows under a line of column names" },
];

const BACKENDS: [BackendEntry; 3] = [
    BackendEntry {
        id: "model",
        about: "in process, in virtual time; always there, and the only one that `explore` searches",
    },
    BackendEntry {
        id: "local",
        about: "PostgreSQL, Redis and Kafka as processes of ours; `crosscheck doctor` says if they are here",
    },
    BackendEntry {
        id: "docker",
        about: "PostgreSQL, Redis and Kafka or Redpanda in containers; `crosscheck doctor` says if they can start",
    },
];

impl Catalogue {
    fn of(variants: &[&dyn Design]) -> Catalogue {
        let mut designs: Vec<DesignEntry> = Vec::new();
        for variant in variants {
            let entry = VariantEntry::of(*variant);
            let design = entry.id.split('/').next().unwrap_or_default().to_owned();
            match designs.iter_mut().find(|known| known.id == design) {
                Some(known) => known.variants.push(entry),
                None => designs.push(DesignEntry { id: design, variants: vec![entry] }),
            }
        }
        Catalogue {
            designs,
            properties: Property::ALL
                .map(|id| PropertyEntry { id, letters: id.letters(), statement: id.statement() })
                .into(),
            faults: FAULTS.iter().map(|fault| FaultEntry { fault, arguments: fault.arguments() }).collect(),
            checkers: Property::ALL
                .into_iter()
                .filter(|property| check::is_checked(*property))
                .map(Property::id)
                .chain(Checker::all().map(Checker::name))
                .collect(),
            formats: FORMATS.to_vec(),
            backends: BACKENDS,
        }
    }

    fn to_text(&self) -> String {
        let mut text = String::from("designs and their variants\n");
        for variant in self.designs.iter().flat_map(|design| &design.variants) {
            let _ = writeln!(text, "  {}\n      {}", variant.id, variant.about);
        }
        let properties = self.properties.iter().map(|property| {
            let id = property.id.id();
            let lack = if self.checkers.contains(&id) { "" } else { " (no checker yet)" };
            (id, format!("{:<3}  {}{lack}", property.letters, property.statement))
        });
        section(&mut text, "properties, and the checkers of them", properties);
        let checkers = Checker::all().map(|checker| (checker.name(), checker.about().to_owned()));
        section(&mut text, "checkers of histories that others have recorded", checkers);
        let faults = self.faults.iter().map(|entry| (entry.fault.id, entry.fault.about.to_owned()));
        section(&mut text, "faults", faults);
        section(&mut text, "what faults take: NAME=VALUE in parentheses", self.arguments());
        let formats = self.formats.iter().map(|format| (format.id, format.about.to_owned()));
        section(&mut text, "formats of histories", formats);
        let backends = self.backends.iter().map(|backend| (backend.id, backend.about.to_owned()));
        section(&mut text, "backends", backends);
        text
    }
}

impl Catalogue {
    /// Each argument once, with the kinds of fault that take it and what it is if it is not given.
    fn arguments(&self) -> impl Iterator<Item = (&'static str, String)> {
        let mut kinds: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
        for entry in &self.faults {
            for Argument { name, default, about, .. } in &entry.arguments {
                let kinds = kinds.entry((name, about, default)).or_default();
                if !kinds.contains(&entry.fault.kind()) {
                    kinds.push(entry.fault.kind());
                }
            }
        }
        kinds.into_iter().map(|((name, about, default), kinds)| {
            let of = if name == "at" { "all but app-*".to_owned() } else { kinds.join(", ") };
            let default = if default.is_empty() { String::new() } else { format!(" [default: {default}]") };
            (name, format!("{of}: {about}{default}"))
        })
    }
}

impl VariantEntry {
    fn of(design: &dyn Design) -> VariantEntry {
        VariantEntry {
            id: design.id(),
            about: design.about(),
            needs: systems(design.needs()),
            claims: design.claims(),
            faults: design.faults(),
            schedules: design.schedules().into_iter().map(|schedule| schedule.name).collect(),
        }
    }
}

fn section<'n>(text: &mut String, title: &str, entries: impl Iterator<Item = (&'n str, String)>) {
    let _ = writeln!(text, "\n{title}");
    for (name, about) in entries {
        let _ = writeln!(text, "  {name:<NAME_WIDTH$}  {about}");
    }
}

fn systems(needs: Needs) -> Vec<&'static str> {
    let Needs { db, cache, broker } = needs;
    [(db, "db"), (cache, "cache"), (broker, "broker")]
        .into_iter()
        .filter_map(|(is_needed, system)| is_needed.then_some(system))
        .collect()
}
