//! `crosscheck list`: what there is, by its names.

use std::fmt::Write as _;

use crosscheck_harness::design::{Design, Needs};
use crosscheck_models::property::Property;
use crosscheck_reports::json;
use crosscheck_scenarios::design;
use serde::Serialize;

use super::{Stop, output};

/// Lists designs, variants, properties, faults, checkers and formats
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
    faults: Vec<String>,
    checkers: Vec<&'static str>,
    formats: Vec<FormatEntry>,
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
struct FormatEntry {
    id: &'static str,
    about: &'static str,
}

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
        let mut faults: Vec<String> =
            variants.iter().flat_map(|variant| variant.faults()).map(str::to_owned).collect();
        faults.sort();
        faults.dedup();
        Catalogue {
            designs,
            properties: Property::ALL
                .map(|id| PropertyEntry { id, letters: id.letters(), statement: id.statement() })
                .into(),
            faults,
            checkers: Property::ALL.map(Property::id).into(),
            formats: vec![FormatEntry {
                id: "crosscheck",
                about: "JSON lines: a header, then one event a line",
            }],
        }
    }

    fn to_text(&self) -> String {
        let mut text = String::from("designs and their variants\n");
        for variant in self.designs.iter().flat_map(|design| &design.variants) {
            let _ = writeln!(text, "  {}\n      {}", variant.id, variant.about);
        }
        text.push_str("\nproperties, which are the checkers too\n");
        for property in &self.properties {
            let _ =
                writeln!(text, "  {:<18}  {:<3}  {}", property.id.id(), property.letters, property.statement);
        }
        text.push_str("\nfaults\n");
        for fault in &self.faults {
            let _ = writeln!(text, "  {fault}");
        }
        text.push_str("\nformats of histories\n");
        for format in &self.formats {
            let _ = writeln!(text, "  {:<18}  {}", format.id, format.about);
        }
        text
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

fn systems(needs: Needs) -> Vec<&'static str> {
    let Needs { db, cache, broker } = needs;
    [(db, "db"), (cache, "cache"), (broker, "broker")]
        .into_iter()
        .filter_map(|(is_needed, system)| is_needed.then_some(system))
        .collect()
}
