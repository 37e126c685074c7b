//! The documents exist, are short where they must be, and name only what is there.

use crate::hold;
use crate::tree::{exists, names_in, read};

const REQUIRED: [&str; 5] = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];
const ARCHITECTURE_LINES_MAX: usize = 200;

/// The documents whose paths are checked.
fn documents() -> Vec<String> {
    let more = names_in("docs").into_iter().filter(|name| name.ends_with(".md"));
    let top = REQUIRED.iter().filter(|name| name.ends_with(".md")).map(|name| (*name).to_owned());
    top.chain(more.map(|name| format!("docs/{name}"))).collect()
}

/// What looks like a file or folder of the repository: in backticks, or as a word of a drawing.
fn quoted_paths(text: &str) -> Vec<String> {
    let in_drawings = in_bare_fences(text).flat_map(|line| line.split([' ', ',']));
    outside_fences(text)
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .chain(in_drawings)
        .filter(|span| looks_like_a_path(span))
        .map(str::to_owned)
        .collect()
}

fn looks_like_a_path(span: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/*".contains(c);
    if span.is_empty() || span.starts_with(['/', '*', '-']) || !span.chars().all(is_plain) {
        return false;
    }
    let source =
        [".rs", ".toml", ".sh", ".yml"].iter().any(|ending| span.len() > 5 && span.ends_with(ending));
    let Some((first, _)) = span.split_once('/') else { return source };
    let last = span.rsplit('/').next().unwrap_or_default();
    // `outbox/mark-before-publish` is a variant, `harness/src` a folder: the first name tells.
    source || last.is_empty() || last.contains('.') || exists(first)
}

/// Targets of links to files: `[text](docs/page.md#part)` gives `docs/page.md`.
fn linked_paths(text: &str) -> Vec<String> {
    outside_fences(text)
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .map(str::to_owned)
        .collect()
}

/// The lines of fenced blocks that are in no language: drawings.
fn in_bare_fences(text: &str) -> impl Iterator<Item = &str> {
    let mut open: Option<&str> = None;
    text.lines().filter(move |line| match line.trim_start().strip_prefix("```") {
        Some(language) => {
            open = if open.is_some() { None } else { Some(language) };
            false
        }
        None => open == Some(""),
    })
}

fn outside_fences(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// Resolves a link of a document: relative to the folder that the document lies in.
fn resolved(document: &str, target: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." => {}
            name => parts.push(name),
        }
    }
    parts.join("/")
}

fn dead_paths(document: &str, text: &str) -> Vec<String> {
    let quoted = quoted_paths(text).into_iter().filter(|path| !exists(path));
    let linked = linked_paths(text).into_iter().filter(|target| !exists(&resolved(document, target)));
    quoted.chain(linked).map(|path| format!("{document} names {path}")).collect()
}

#[test]
fn the_documents_are_there() {
    let missing: Vec<String> =
        REQUIRED.iter().filter(|name| !exists(name)).map(|name| (*name).to_owned()).collect();
    hold("a newcomer finds these at the root", &missing);
}

#[test]
fn documents_name_only_what_exists() {
    let dead: Vec<String> = documents()
        .iter()
        .flat_map(|document| dead_paths(document, &read(document).unwrap_or_default()))
        .collect();
    hold("a path that a document names exists; follow the move, or drop the sentence", &dead);
}

/// The commands of the README that follow the installation of servers: `cargo test --workspace`.
fn readme_commands(readme: &str) -> Vec<&str> {
    readme.lines().filter_map(|line| line.strip_prefix("scripts/servers.sh && ")).collect()
}

/// The commands that the check does not run. It may add what makes it stricter, such as `--locked`.
fn unchecked<'a>(commands: &[&'a str], check: &str) -> Vec<&'a str> {
    let check = check.replace(" --locked", "").replace(" --no-fail-fast", "");
    let runs = |command: &str| check.lines().any(|line| line.starts_with(command));
    commands.iter().filter(|command| !runs(command)).copied().collect()
}

#[test]
fn the_check_runs_the_commands_of_the_readme() {
    let readme = read("README.md").unwrap_or_default();
    let commands = readme_commands(&readme);
    assert_eq!(commands.len(), 2, "the README has one command for the matrix and one for the tests");
    let check = read(".ci/run").unwrap_or_default();
    assert_eq!(unchecked(&commands, &check), Vec::<&str>::new(), ".ci/run runs what the README says");
}

#[test]
fn a_command_that_is_not_checked_is_found() {
    let commands =
        readme_commands("```sh\nscripts/servers.sh && cargo test\nscripts/servers.sh && cargo run x\n```");
    assert_eq!(unchecked(&commands, "echo cargo run x\ncargo test --locked | tee log\n"), ["cargo run x"]);
}

#[test]
fn the_architecture_fits_in_one_sitting() {
    let lines = read("ARCHITECTURE.md").unwrap_or_default().lines().count();
    let max = ARCHITECTURE_LINES_MAX;
    assert!(lines > 0 && lines < max, "ARCHITECTURE.md has {lines} lines; below {max}, and more than none");
}

#[test]
fn paths_are_told_from_other_words() {
    let text = "`harness/src/` `models/src/lib.rs` `clippy.toml` `.ci/run` `*.rs` `outbox/early` `run.json` \
                `--out DIR` `a::b` `/etc/hosts` `e.g.`\n```sh\nscripts/in_a_fence.sh\n```\n```\n  -> models/drawn.rs, b/c\n```\n`nowhere/at-all.md`";
    assert_eq!(
        quoted_paths(text),
        [
            "harness/src/",
            "models/src/lib.rs",
            "clippy.toml",
            ".ci/run",
            "nowhere/at-all.md",
            "models/drawn.rs"
        ]
    );
}

#[test]
fn a_path_that_is_gone_is_found() {
    let text = "See `models/src/gone.rs`, `models/src/lib.rs`, [a](gone.md), [b](../README.md#top), [c](https://x.y/z).";
    assert_eq!(
        dead_paths("docs/page.md", text),
        ["docs/page.md names models/src/gone.rs", "docs/page.md names gone.md"]
    );
}
