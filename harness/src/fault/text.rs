//! Faults as people write them: `db-crash`, `app-crash@relay`, `db-latency(delay=200ms,jitter=50ms)@relay`.

use std::collections::BTreeMap;
use std::fmt;

use super::{Fault, find};
use crate::design::Role;
use crate::schedule::FaultOn;

/// What is wrong with a fault that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FaultError(String);

/// Reads `ID`, `ID@OF`, `ID(NAME=VALUE,..)` or `ID(NAME=VALUE,..)@OF`.
///
/// ```
/// use crosscheck_harness::fault;
/// let on = fault::parse("db-latency(delay=200ms,distribution=pareto)@relay").unwrap();
/// assert_eq!((on.fault.as_str(), on.of.as_deref()), ("db-latency", Some("relay")));
/// assert_eq!(on.to_string(), "db-latency(delay=200ms,distribution=pareto)@relay");
/// let wrong = fault::parse("db-latency(delay=soon)").unwrap_err().to_string();
/// assert_eq!(wrong, "`delay` of `db-latency` is a time with its unit, like 200ms, 2s or 1m, and not `soon`");
/// ```
///
/// # Errors
/// What is wrong, in a sentence.
pub fn parse(text: &str) -> Result<FaultOn, FaultError> {
    let text = text.trim();
    let shape =
        || FaultError(format!("`{text}` is not a fault: one is written ID, ID@OF or ID(NAME=VALUE,..)@OF"));
    let (id, with, rest) = match text.split_once('(') {
        None => {
            let end = text.find('@').unwrap_or(text.len());
            (&text[..end], "", &text[end..])
        }
        Some((id, rest)) => {
            let (with, rest) = rest.rsplit_once(')').ok_or_else(shape)?;
            (id, with, rest)
        }
    };
    let of = match rest {
        "" => None,
        rest => Some(rest.strip_prefix('@').filter(|of| !of.is_empty()).ok_or_else(shape)?.to_owned()),
    };
    let mut given = BTreeMap::new();
    for one in with.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let (name, value) = one.split_once('=').ok_or_else(shape)?;
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        if given.insert(name.clone(), value).is_some() {
            return Err(FaultError(format!("`{name}` is given twice in `{text}`")));
        }
    }
    let on = FaultOn { fault: id.trim().to_owned(), of, with: given };
    check(&on)?;
    Ok(on)
}

/// Splits a list of faults at its commas, those within parentheses left alone.
pub fn split(list: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, letter) in list.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(list[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(list[from..].trim());
    parts
}

/// Whether there is such a fault, with such arguments, of such a link. Whether the design has it, its run finds.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn check(on: &FaultOn) -> Result<(), FaultError> {
    let id = &on.fault;
    let known = find(id).ok_or_else(|| {
        FaultError(format!("no fault is called `{id}`{}; `crosscheck list` names them all", close_to(id)))
    })?;
    if known.system != "app"
        && let Some(of) = on.of.as_deref().filter(|of| Role::ALL.iter().all(|role| role.id() != *of))
    {
        let roles = Role::ALL.map(Role::id).join(", ");
        return Err(FaultError(format!("`{id}` cannot be on `{of}`: a link is one of {roles}")));
    }
    let arguments = known.arguments();
    for (name, value) in &on.with {
        let Some(argument) = arguments.iter().find(|argument| argument.name == name) else {
            return Err(FaultError(format!("`{id}` has no argument `{name}`; {}", takes(known))));
        };
        argument
            .check(value)
            .map_err(|what| FaultError(format!("`{name}` of `{id}` is {what}, and not `{value}`")))?;
    }
    Ok(())
}

fn takes(known: &Fault) -> String {
    let names: Vec<&str> = known.arguments().iter().map(|argument| argument.name).collect();
    if names.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", names.join(", ")) }
}

/// The three faults of the same system that begin most alike.
fn close_to(id: &str) -> String {
    let begins: String = id.chars().take(id.find('-').map_or(id.len(), |dash| dash + 2)).collect();
    let mut close: Vec<&str> =
        super::FAULTS.iter().map(|fault| fault.id).filter(|known| known.starts_with(&begins)).collect();
    let in_common = |known: &&str| known.chars().zip(id.chars()).take_while(|(a, b)| a == b).count();
    close.sort_by_key(|known| std::cmp::Reverse(in_common(known)));
    close.truncate(3);
    if !begins.contains('-') || close.is_empty() {
        String::new()
    } else {
        format!(" (close: {})", close.join(", "))
    }
}

impl fmt::Display for FaultOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fault)?;
        if !self.with.is_empty() {
            let with: Vec<String> = self.with.iter().map(|(name, value)| format!("{name}={value}")).collect();
            write!(f, "({})", with.join(","))?;
        }
        match &self.of {
            Some(of) => write!(f, "@{of}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        parse(text).expect_err("it is wrong").to_string()
    }

    #[test]
    fn what_is_written_is_read_and_written_again() {
        for text in [
            "db-crash",
            "app-crash@relay",
            "db-cut@relay",
            "db-latency(delay=200ms,distribution=normal,jitter=50ms)",
            "broker-reset-after(bytes=100,way=requests)@relay",
            "db-cut-replies(at=COMMIT*3)@client",
        ] {
            assert_eq!(parse(text).map(|on| on.to_string()).as_deref(), Ok(text));
        }
        assert_eq!(parse("db-slice( gap = 2ms , bytes=9 )").map(|on| on.with.len()), Ok(2));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_sentence() {
        let melt = wrong("db-melt");
        assert!(melt.starts_with("no fault is called `db-melt`"), "{melt}");
        let close = wrong("db-slize");
        assert!(close.contains("(close: db-slice, "), "{close}");
        let nobody = wrong("db-cut@nobody");
        assert_eq!(nobody, "`db-cut` cannot be on `nobody`: a link is one of client, relay, consumer");
        assert_eq!(wrong("db-reset(x=1)"), "`db-reset` has no argument `x`; it takes at");
        assert_eq!(wrong("app-crash(at=X)"), "`app-crash` has no argument `at`; it takes none");
        let none = wrong("db-slice(bytes=0)");
        assert_eq!(none, "`bytes` of `db-slice` is a number from 1 to 1073741824, and not `0`");
        for text in ["", "db-cut@", "db-cut(", "db-cut(x)", "db-cut()x", "db-latency(delay=1s,delay=2s)"] {
            assert!(!wrong(text).is_empty());
        }
    }

    #[test]
    fn a_list_is_split_between_faults_only() {
        let list = "app-crash@relay, db-latency(delay=1s,jitter=2ms)@client,db-reset";
        assert_eq!(split(list), ["app-crash@relay", "db-latency(delay=1s,jitter=2ms)@client", "db-reset"]);
        assert_eq!(split("a,,b"), ["a", "", "b"]);
    }
}
