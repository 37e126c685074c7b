//! The size and the names of files, and that every design is registered.

use std::path::Path;

use crate::hold;
use crate::names::names;
use crate::tree::{names_in, read, rust_files};

const FILE_LINES_MAX: usize = 500;

/// Files that may be longer, each with its reason.
const LONGER: [(&str, &str); 0] = [];

/// Names of modules that say nothing about what is in them.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "helper", "helpers", "common", "manager", "engine"];

/// Marks of unfinished work, spelled so that this file does not hold them.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    let excepted = LONGER.iter().any(|(name, _)| *name == path);
    (lines > FILE_LINES_MAX && !excepted).then(|| format!("{path} has {lines}"))
}

fn says_nothing(path: &str) -> bool {
    Path::new(path).with_extension("").iter().any(|part| EMPTY_NAMES.iter().any(|name| part == *name))
}

fn unfinished(path: &str, text: &str) -> Vec<String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| {
            line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| UNFINISHED.contains(&word))
        })
        .map(|(at, _)| format!("{path}:{}", at + 1))
        .collect()
}

/// Designs that the registry declares but does not use, or does not even declare.
fn unregistered(designs: &[String], registry: &str) -> Vec<String> {
    let named = names(registry);
    let uses = |design: &str| {
        let within = |path: &str| path.split("::").any(|part| part == design);
        named.iter().filter(|name| within(&name.path)).count()
    };
    // Once in `pub mod`, and once more where it is put on the list.
    designs.iter().filter(|design| uses(design) < 2).cloned().collect()
}

#[test]
fn no_file_is_too_long() {
    let broken: Vec<String> =
        rust_files().iter().filter_map(|file| too_long(&file.path, &file.text)).collect();
    hold("a file has at most 500 lines and one subject; split it by subject", &broken);
}

#[test]
fn every_module_has_a_telling_name() {
    let files = rust_files().into_iter().map(|file| file.path);
    let broken: Vec<String> = files.filter(|path| says_nothing(path)).collect();
    hold("a module is named for what it holds, not utils, helpers, common, manager or engine", &broken);
}

#[test]
fn nothing_is_left_unfinished() {
    let broken: Vec<String> =
        rust_files().iter().flat_map(|file| unfinished(&file.path, &file.text)).collect();
    hold("work that is not done is not in the code but in ARCHITECTURE.md (what is not there yet)", &broken);
}

#[test]
fn every_design_is_registered() {
    let files = names_in("scenarios/src/design").into_iter().filter(|name| name != "mod.rs");
    let designs: Vec<String> = files.map(|name| name.trim_end_matches(".rs").to_owned()).collect();
    assert!(!designs.is_empty(), "there are designs");
    let registry = read("scenarios/src/design/mod.rs").unwrap_or_default();
    hold("scenarios/src/design/mod.rs puts every design on the list", &unregistered(&designs, &registry));
}

#[test]
fn what_is_out_of_shape_is_found() {
    assert!(too_long("a.rs", &"x\n".repeat(501)).is_some());
    assert!(too_long("a.rs", &"x\n".repeat(500)).is_none());
    assert!(says_nothing("models/src/utils/mod.rs") && says_nothing("models/src/helpers.rs"));
    assert!(!says_nothing("models/src/history/mod.rs"));
    assert_eq!(unfinished("a.rs", &format!("fn f() {{}}\n// {}: later\n", UNFINISHED[0])), ["a.rs:2"]);
    assert!(unfinished("a.rs", "// the todo list of a design").is_empty());
}

#[test]
fn a_design_that_is_not_on_the_list_is_found() {
    let designs = ["alone", "listed", "missing"].map(str::to_owned);
    let registry =
        "pub mod alone; pub mod listed; fn all() { use listed::Listed; vec![Listed] } // missing::Missing";
    assert_eq!(unregistered(&designs, registry), ["alone", "missing"]);
}
