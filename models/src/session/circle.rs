//! A circle of versions: what each edge rests on, as data and in words.

use serde::Serialize;

use super::graph::{Before, Tag};
use super::ops::{Deeds, INITIAL};
use super::path::path;
use super::{Assumed, Guarantee};

/// A read or a write: a micro-operation of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Point {
    /// The call, by its place in the history.
    pub call: u32,
    /// The micro-operation; 0 where the call is one operation. Of a cas, 0 is the read and 1 the write.
    pub mop: u32,
}

/// A version of the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its value; none for the initial version.
    pub value: Option<String>,
    /// Who wrote it.
    pub write: Option<Point>,
}

/// Why one version is before another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "lowercase")]
pub enum Reason {
    /// It is the initial version.
    Initial,
    /// One session wrote both, in this order.
    Session,
    /// One had been written before the write of the other began.
    Realtime,
    /// A session had read the one before it wrote the other.
    Update {
        /// The read.
        read: Point,
    },
    /// A read had to see the one, and returned the other.
    Seen {
        /// From the write of the one to the read: along sessions, and from writes to reads of them.
        path: Vec<Point>,
    },
}

/// The first is before the second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The earlier version.
    pub from: Version,
    /// The later one.
    pub to: Version,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
}

/// Versions of a key that each had to be before the next, and the last before the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Circle {
    /// The key.
    pub key: String,
    /// The session whose order of versions it is; none where all sessions have one order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The links.
    pub links: Vec<Link>,
    /// Every call that it rests on, in the order of the history.
    pub calls: Vec<u32>,
    /// The same in words.
    pub text: Vec<String>,
}

pub(super) fn circle(deeds: &Deeds<'_>, guarantee: Guarantee, assumed: Assumed, edges: &[Before]) -> Circle {
    let point = |at: u32| {
        let deed = deeds.deeds[at as usize];
        Point { call: deed.call, mop: deed.mop }
    };
    let version = |at: u32| match at {
        INITIAL => Version { value: None, write: None },
        at => {
            let value = deeds.history.store().show(deeds.deeds[at as usize].value);
            Version { value: Some(value), write: Some(point(at)) }
        }
    };
    let (mut links, mut text) = (Vec::new(), Vec::new());
    let mut touched: Vec<u32> = Vec::new();
    let mut viewer = None;
    let known = edges.iter().flat_map(|edge| [edge.from, edge.to]).find(|at| *at != INITIAL);
    let key = known.map_or(0, |at| deeds.deeds[at as usize].key);
    let key = deeds.key_name(key);
    for edge in edges {
        touched.extend([edge.from, edge.to].into_iter().filter(|at| *at != INITIAL));
        let (from, to) = (version(edge.from), version(edge.to));
        let reason = match edge.tag {
            Tag::Initial => Reason::Initial,
            Tag::Session => Reason::Session,
            Tag::Realtime => Reason::Realtime,
            Tag::Update(reader) => {
                touched.push(reader);
                Reason::Update { read: point(reader) }
            }
            Tag::Seen(reader) => {
                viewer = Some(deeds.deeds[reader as usize].session);
                let path = path(deeds, guarantee, edge.from, reader);
                touched.extend(path.iter().copied().chain([reader]));
                let said = seen(deeds, &path, &to);
                text.push(format!("{} is before {}: {said}", named(&from), named(&to)));
                Reason::Seen { path: path.into_iter().map(point).collect() }
            }
        };
        if !matches!(reason, Reason::Seen { .. }) {
            text.push(format!("{} is before {}: {}", named(&from), named(&to), said(deeds, edge)));
        }
        links.push(Link { from, to, reason });
    }
    let mut calls: Vec<u32> = touched.iter().map(|at| deeds.deeds[*at as usize].call).collect();
    calls.sort_unstable();
    calls.dedup();
    let session = viewer.filter(|_| !assumed.is_shared).map(|session| deeds.session_name(session));
    text.insert(
        0,
        format!(
            "versions of {key} go in a circle{}",
            match &session {
                Some(session) => format!(" for process {session}"),
                None => String::new(),
            }
        ),
    );
    Circle { key, session, links, calls, text }
}

fn named(version: &Version) -> String {
    version.value.as_deref().map_or("the initial version".to_owned(), |value| format!("version {value}"))
}

fn said(deeds: &Deeds<'_>, edge: &Before) -> String {
    match edge.tag {
        Tag::Session => {
            let session = deeds.session_name(deeds.deeds[edge.from as usize].session);
            let (one, other) = (deeds.line(edge.from), deeds.line(edge.to));
            format!("process {session} wrote one in line {one} and then the other in line {other}")
        }
        Tag::Realtime => {
            let (one, other) = (deeds.line(edge.from), deeds.line(edge.to));
            format!("the write of line {one} had ended before that of line {other} began")
        }
        Tag::Update(reader) => {
            let session = deeds.session_name(deeds.deeds[reader as usize].session);
            let (one, other) = (deeds.line(reader), deeds.line(edge.to));
            format!("process {session} had read one in line {one} before it wrote the other in line {other}")
        }
        Tag::Initial | Tag::Seen(_) => "it is there from the start".to_owned(),
    }
}

fn seen(deeds: &Deeds<'_>, path: &[u32], to: &Version) -> String {
    let Some((reader, way)) = path.split_last() else { return String::new() };
    let mut steps = Vec::new();
    for (at, deed) in way.iter().enumerate() {
        let known = deeds.deeds[*deed as usize];
        let value = deeds.history.store().show(known.value);
        let act = match (known.is_write, at) {
            (true, 0) => format!("wrote {value}"),
            (true, _) => format!("then wrote {value} to {}", deeds.key_name(known.key)),
            (false, _) => format!("read {value} from {}", deeds.key_name(known.key)),
        };
        steps.push(format!(
            "process {} {act} (line {})",
            deeds.session_name(known.session),
            deeds.line(*deed)
        ));
    }
    let session = deeds.session_name(deeds.deeds[*reader as usize].session);
    let returned = to.value.as_deref().unwrap_or("nothing");
    let line = deeds.line(*reader);
    format!("{}; and process {session} had to see that, and read {returned} (line {line})", steps.join("; "))
}
