//! The names that a source file uses: paths such as `std::fs::read` and macros such as `println!`.
//!
//! They are read from tokens, not from text: comments and string literals name nothing, and
//! `use std::{fs, io}` names `std::fs`. Code under `#[cfg(test)]` is left out.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A path or a macro that is named somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// `std::fs::read`; a macro ends in `!`.
    pub(crate) path: String,
    pub(crate) line: usize,
}

impl Name {
    /// Whether this is `prefix`, or something within it.
    pub(crate) fn is_within(&self, prefix: &str) -> bool {
        self.path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

/// All names in a source text, those of tests excepted.
///
/// A path that begins with a module of the file's own surroundings (`mod redis;`, `use super::redis`) is
/// given as `self::redis::..`, so that it is not taken for the crate of that name.
pub(crate) fn names(source: &str) -> Vec<Name> {
    let tokens: TokenStream = source.parse().expect("the compiler has read this file before");
    let mut names = Vec::new();
    collect(&tokens.into_iter().collect::<Vec<_>>(), "", &mut names);
    let own = own_modules(&names);
    for name in &mut names {
        let first = name.path.split("::").next().unwrap_or_default();
        if own.contains(first) {
            name.path = format!("self::{}", name.path);
        }
    }
    names
}

fn own_modules(names: &[Name]) -> BTreeSet<String> {
    let declared = names.windows(2).filter(|pair| pair[0].path == "mod").map(|pair| pair[1].path.clone());
    let imported = names.iter().filter_map(|name| {
        let (before, last) = name.path.rsplit_once("::")?;
        let first = before.split("::").next()?;
        ["crate", "self", "super"].contains(&first).then(|| last.to_owned())
    });
    declared.chain(imported).collect()
}

fn collect(tokens: &[TokenTree], prefix: &str, names: &mut Vec<Name>) {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Ident(_) => at = collect_path(tokens, at, prefix, names),
            TokenTree::Punct(punct) if punct.as_char() == '#' && is_cfg_test(tokens.get(at + 1)) => {
                at = after_item(tokens, at + 2);
            }
            TokenTree::Group(group) => {
                collect(&inside(group), "", names);
                at += 1;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => at += 1,
        }
    }
}

/// Reads the path that begins at `at`, and returns where it ends.
fn collect_path(tokens: &[TokenTree], mut at: usize, prefix: &str, names: &mut Vec<Name>) -> usize {
    let line = tokens[at].span().start().line;
    let mut path = format!("{prefix}{}", tokens[at]);
    at += 1;
    while is_punct(tokens, at, ':') && is_punct(tokens, at + 1, ':') {
        match tokens.get(at + 2) {
            Some(TokenTree::Ident(next)) => path = format!("{path}::{next}"),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                collect(&inside(group), &format!("{path}::"), names);
                return at + 3;
            }
            // A turbofish or a glob ends the path.
            _ => break,
        }
        at += 3;
    }
    if is_punct(tokens, at, '!') && !is_punct(tokens, at + 1, '=') {
        path.push('!');
    }
    names.push(Name { path, line });
    at
}

fn inside(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

fn is_punct(tokens: &[TokenTree], at: usize, sign: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn is_cfg_test(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.stream().to_string().replace(' ', "") == "cfg(test)")
}

/// Skips an item: until its braces, or its semicolon.
fn after_item(tokens: &[TokenTree], mut at: usize) -> usize {
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
            TokenTree::Punct(punct) if punct.as_char() == ';' => break,
            TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Ident(_) | TokenTree::Literal(_) => {}
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::names;

    fn paths(source: &str) -> Vec<String> {
        names(source).into_iter().map(|name| name.path).collect()
    }

    #[test]
    fn groups_of_imports_are_spelled_out() {
        assert_eq!(
            paths("use std::{fs, io::{Read, self}};"),
            ["use", "std::fs", "std::io::Read", "std::io::self"]
        );
    }

    #[test]
    fn comments_strings_and_tests_name_nothing() {
        let source = "//! std::fs\n/* std::fs */ const A: &str = \"std::fs\";\n#[cfg(test)] mod tests { use std::fs; }";
        assert!(!paths(source).iter().any(|path| path.contains("fs")));
    }

    #[test]
    fn macros_are_told_from_comparisons() {
        assert_eq!(paths("println!(); a != b"), ["println!", "a", "b"]);
        assert_eq!(paths("std::println!(\"{}\", f(x))"), ["std::println!", "f", "x"]);
    }

    #[test]
    fn code_within_macros_is_read() {
        assert!(paths("vec![std::env::var(x)]").contains(&"std::env::var".to_owned()));
    }

    #[test]
    fn a_module_of_ones_own_is_not_the_crate_of_that_name() {
        assert!(paths("mod redis; fn f() { redis::start() }").contains(&"self::redis::start".to_owned()));
        assert!(
            paths("use super::redis; fn f() { redis::start() }").contains(&"self::redis::start".to_owned())
        );
        assert!(paths("fn f() { redis::start() }").contains(&"redis::start".to_owned()));
    }

    #[test]
    fn a_name_has_its_line() {
        assert_eq!(names("\n\nfn f() {\n  std::fs::read()\n}")[2].line, 4);
    }
}
