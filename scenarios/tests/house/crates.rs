//! Which crate depends on which, and that each dependency is accounted for.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::hold;
use crate::tree::{read, root};

/// For each crate of ours: those of ours that it may depend on.
const MAY_KNOW: [(&str, &[&str]); 4] = [
    ("crosscheck-models", &[]),
    ("crosscheck-reports", &["crosscheck-models"]),
    ("crosscheck-harness", &["crosscheck-models"]),
    ("crosscheck-scenarios", &["crosscheck-models", "crosscheck-harness", "crosscheck-reports"]),
];

/// A dependency of one package of the workspace.
struct Dependency {
    package: String,
    on: String,
}

/// What cargo itself reads in the Cargo.toml files.
fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("the cargo that runs this test can be run");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// Every dependency of every package, of all kinds.
fn dependencies(metadata: &Value) -> Vec<Dependency> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(&metadata["packages"])
        .iter()
        .flat_map(|package| {
            let name = text(&package["name"]);
            list(&package["dependencies"])
                .into_iter()
                .map(move |dependency| Dependency { package: name.clone(), on: text(&dependency["name"]) })
        })
        .collect()
}

fn wrongly_known(dependencies: &[Dependency]) -> Vec<String> {
    let ours: Vec<&str> = MAY_KNOW.iter().map(|(name, _)| *name).collect();
    let is_allowed = |dependency: &&Dependency| {
        let rule = MAY_KNOW.iter().find(|(name, _)| *name == dependency.package);
        // Packages beside the four (examples) may use all of them.
        rule.is_none_or(|(_, may_know)| may_know.contains(&dependency.on.as_str()))
    };
    dependencies
        .iter()
        .filter(|dependency| ours.contains(&dependency.on.as_str()))
        .filter(|dependency| !is_allowed(dependency))
        .map(|dependency| format!("{} depends on {}", dependency.package, dependency.on))
        .collect()
}

/// Foreign dependencies without a line in the document, and lines without a dependency.
fn unaccounted(dependencies: &[Dependency], architecture: &str) -> Vec<String> {
    let used: BTreeSet<&str> = dependencies
        .iter()
        .map(|dependency| dependency.on.as_str())
        .filter(|name| !name.starts_with("crosscheck-"))
        .collect();
    let section = architecture.split("\n## Dependencies\n").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let named: BTreeSet<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.split_once("`: "))
        .filter(|(_, why)| !why.trim().is_empty())
        .map(|(name, _)| name)
        .collect();
    let missing = used.difference(&named).map(|name| format!("{name} is used, and no line says why"));
    let stale = named.difference(&used).map(|name| format!("{name} is explained, and nothing uses it"));
    missing.chain(stale).collect()
}

#[test]
fn crates_know_only_whom_they_may() {
    let found = dependencies(&metadata());
    assert!(found.iter().any(|dependency| dependency.on == "crosscheck-models"), "cargo lists dependencies");
    let rule = "models knows none of ours; reports and harness know models; scenarios knows all three";
    hold(rule, &wrongly_known(&found));
}

#[test]
fn every_dependency_is_explained() {
    let architecture = read("ARCHITECTURE.md").unwrap_or_default();
    let rule = "ARCHITECTURE.md has a line \"- `crate`: why\" under Dependencies for each crate that is used";
    hold(rule, &unaccounted(&dependencies(&metadata()), &architecture));
}

#[test]
fn a_dependency_that_breaks_a_rule_is_found() {
    let bad = serde_json::json!({"packages": [
        {"name": "crosscheck-models", "dependencies": [{"name": "crosscheck-harness", "kind": "dev"}]},
        {"name": "crosscheck-reports", "dependencies": [{"name": "crosscheck-models", "kind": null}]},
        {"name": "own-service", "dependencies": [{"name": "crosscheck-harness", "kind": null}]},
    ]});
    assert_eq!(wrongly_known(&dependencies(&bad)), ["crosscheck-models depends on crosscheck-harness"]);
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    let found = dependencies(&serde_json::json!({"packages": [
        {"name": "crosscheck-models", "dependencies": [{"name": "serde"}, {"name": "rand"}, {"name": "maud"}]},
    ]}));
    let text = "# A\n\n## Dependencies\n\n- `serde`: shapes on disk.\n- `rand`: \n- `toml`: gone.\n\n## More\n\n- `maud`: x\n";
    assert_eq!(
        unaccounted(&found, text),
        [
            "maud is used, and no line says why",
            "rand is used, and no line says why",
            "toml is explained, and nothing uses it",
        ]
    );
}
