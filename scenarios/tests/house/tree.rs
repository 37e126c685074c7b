//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file of the repository.
pub(crate) struct SourceFile {
    /// From the root, with `/` between folders.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

/// Whether this path, from the root, exists. A `*` stands for any one name at its place.
pub(crate) fn exists(path: &str) -> bool {
    exists_below(&root(), path.trim_end_matches('/'))
}

fn exists_below(folder: &Path, path: &str) -> bool {
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let goes_on = |found: &Path| rest.is_none_or(|rest| exists_below(found, rest));
    match first.split_once('*') {
        None => folder.join(first).exists() && goes_on(&folder.join(first)),
        Some((before, after)) => entries(folder).iter().any(|entry| {
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(before) && name.ends_with(after) && goes_on(entry)
        }),
    }
}

/// Every Rust file, in order.
pub(crate) fn rust_files() -> Vec<SourceFile> {
    let mut files = Vec::new();
    for entry in entries(&root()) {
        collect(&entry, &mut files);
    }
    files
}

/// A file by its path from the root; none where it is missing.
pub(crate) fn read(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

/// The names in a folder, sorted; empty where it is missing.
pub(crate) fn names_in(folder: &str) -> Vec<String> {
    entries(&root().join(folder))
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect()
}

fn collect(path: &Path, files: &mut Vec<SourceFile>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if path.is_dir() && name != "target" && !name.starts_with('.') {
        for entry in entries(path) {
            collect(&entry, files);
        }
    } else if name.ends_with(".rs") {
        let text = fs::read_to_string(path).expect("a source file is readable text");
        let path = path.strip_prefix(root()).expect("it was found below the root");
        files.push(SourceFile { path: path.to_string_lossy().replace('\\', "/"), text });
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(found) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = found.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[test]
fn paths_are_looked_up_from_the_root() {
    assert!(exists("models/src/lib.rs") && exists("models/src/") && exists("*/Cargo.toml"));
    assert!(!exists("models/src/nothing.rs") && !exists("models/*/nothing.rs"));
    assert!(rust_files().iter().any(|file| file.path == "models/src/lib.rs"));
}
