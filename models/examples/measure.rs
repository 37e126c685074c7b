//! Generates a history, or judges one, for `/usr/bin/time -v`: whole process, parsing included.
//!
//! `measure generate KIND ISOLATION TXNS SEED CLIENTS > FILE` and `measure list-append FILE`.
use std::io::{BufWriter, Write};
use std::time::Instant;

use crosscheck_models::foreign::{Format, read};
use crosscheck_models::generate::{Spec, generate};
use crosscheck_models::isolation::{Options, list_append, verify_order};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["generate", kind, isolation, txns, seed, clients] => {
            let spec = Spec {
                clients: clients.parse()?,
                ..Spec::new(kind.parse()?, isolation.parse()?, txns.parse()?, seed.parse()?)
            };
            let mut out = BufWriter::new(std::io::stdout().lock());
            generate(&spec, &mut out)?;
            out.flush()?;
        }
        ["list-append", file] => {
            let began = Instant::now();
            let history = read(&mut std::fs::File::open(file)?, Format::Json)?;
            eprintln!("read in {:?}", began.elapsed());
            let found = list_append(&history, &Options::default(), &mut || true)?;
            eprintln!("judged at {:?}", began.elapsed());
            println!(
                "{} {:?}",
                found.verdict,
                found.anomalies.iter().map(|one| one.kind.name()).collect::<Vec<_>>()
            );
            if let Some(order) = &found.order {
                verify_order(&history, order)?;
                eprintln!("verified at {:?}", began.elapsed());
            }
        }
        _ => return Err("generate KIND ISOLATION TXNS SEED CLIENTS | list-append FILE".into()),
    }
    Ok(())
}
