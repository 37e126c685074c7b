//! `crosscheck bench` as a process: what it prints, and how it ends. Where the servers are missing, what needs
//! them is listed as ignored, with the reason.

use std::process::{Command, ExitCode, Output};

use crosscheck_reports::document::BenchDocument;
use crosscheck_scenarios::backends;
use libtest_mimic::{Arguments, Failed, Trial};

const BY_DESIGN: [(&str, bool); 2] = [("sot-serializable", false), ("outbox-poll-flag-single", true)];

fn crosscheck(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crosscheck"));
    command.arg("bench").args(arguments);
    command
}

fn said(output: &Output) -> String {
    format!(
        "{}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// One JSON document on stdout, with the fields that are promised: rates, percentiles, lag where there is one.
fn rates_percentiles_and_lag_side_by_side() -> Result<(), Failed> {
    let patterns = BY_DESIGN.map(|(variant, _)| variant);
    let options = ["--backend", "local", "--rate", "40", "--time", "2s", "--json"];
    let output = crosscheck(&[&patterns[..], &options[..]].concat()).output()?;
    let said = said(&output);
    if !output.status.success() {
        return Err(said.into());
    }
    let document: BenchDocument =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {said}"))?;
    let found: Vec<(&str, bool)> =
        document.rows.iter().map(|row| (row.variant.as_str(), row.lag_us.is_some())).collect();
    assert_eq!(found, BY_DESIGN, "{said}");
    for row in &document.rows {
        assert_eq!((row.backend.as_str(), row.rate_asked, row.errors), ("local", Some(40.0), 0), "{said}");
        assert!(row.rate_achieved > 0.0, "{said}");
        for of in [Some(row.latency_us), row.lag_us].into_iter().flatten() {
            let rising = [of.p50, of.p90, of.p99, of.p99_9, of.max];
            assert!(rising.is_sorted() && of.p50 > 0, "{said}");
        }
    }
    // `null`, and not an absent field.
    let document: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(document["rows"][0].get("lag_us"), Some(&serde_json::Value::Null), "{said}");
    Ok(())
}

/// A closed loop asks for no rate and cannot be saturated; the text says what the load was.
fn a_closed_loop_has_no_rate_to_miss() -> Result<(), Failed> {
    let output =
        crosscheck(&["sot-serializable", "--backend", "local", "--closed", "--time", "1s"]).output()?;
    let said = said(&output);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(text.contains("closed loop of 8 clients, 16 keys, 30 % reads"), "{said}");
    assert!(!text.contains("saturated"), "{said}");
    Ok(())
}

/// What cannot be meant is exit 2, before anything is started.
fn wrong_usage_is_refused() -> Result<(), Failed> {
    let cases: [(&[&str], &str); 4] = [
        (&["sot-serialisable"], "close: `sot-serializable`"),
        (&["--rate", "0"], "--rate"),
        (&["--rate", "50", "--closed"], "--closed"),
        (&["--time", "10"], "--time"),
    ];
    for (arguments, names) in cases {
        let output = crosscheck(arguments).output()?;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(names), "{arguments:?}: {said}");
    }
    Ok(())
}

/// A named server that is not there is exit 4, with its name.
fn servers_that_are_wrong_are_named() -> Result<(), Failed> {
    let mut command = crosscheck(&["sot-serializable", "--backend", "local", "--time", "1s", "--json"]);
    let output = command.env("CROSSCHECK_POSTGRES_BIN", "/nowhere").output()?;
    let said = said(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("CROSSCHECK_POSTGRES_BIN"), "{said}");
    assert!(output.stdout.is_empty(), "{said}");
    Ok(())
}

/// Why what needs servers is skipped, if it is; `CROSSCHECK_REQUIRE=local` has it fail instead.
fn missing() -> Option<String> {
    let environment = |name: &str| std::env::var(name).ok();
    let doctor = backends::doctor(&environment);
    let required = environment("CROSSCHECK_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|backend| backend.trim() == "local");
    (!doctor.ready && !is_required).then(|| doctor.to_string())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = missing();
    if let Some(reason) = &missing {
        eprintln!("skipped, as there are no servers: {reason}");
    }
    let on_servers = |name: &str, run: fn() -> Result<(), Failed>| {
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    let trials = vec![
        on_servers("rates_percentiles_and_lag_side_by_side", rates_percentiles_and_lag_side_by_side),
        on_servers("a_closed_loop_has_no_rate_to_miss", a_closed_loop_has_no_rate_to_miss),
        Trial::test("wrong_usage_is_refused", wrong_usage_is_refused),
        Trial::test("servers_that_are_wrong_are_named", servers_that_are_wrong_are_named),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}
