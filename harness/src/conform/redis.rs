//! Cases of the cache: a step is one Redis command a line, its arguments quoted as redis-cli takes them; what it
//! prints is what redis-cli prints. `wait 300ms` lets time pass, which on the model is virtual. A step waits where
//! the server counts its connection among those that wait for an item (`blocked_clients` of INFO).
//!
//! The port does not tell a status from a string, so `OK`, `PONG` and `QUEUED` are shown as a status wherever
//! they stand.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::event::Event;
use super::session::{Session, System};
use crate::port::{Cache, CacheConnection, PortError, Reply};

/// A cache that cases run on. Each permutation begins with an empty one that knows no script.
pub struct CacheCases {
    cache: Arc<dyn Cache>,
    /// By the id of a session: whether it has sent a command and has no reply yet.
    asking: BTreeMap<String, Arc<AtomicBool>>,
    /// A connection of no session.
    control: Option<Box<dyn CacheConnection>>,
}

impl CacheCases {
    /// Cases on this cache, which has to be theirs alone.
    pub fn new(cache: Arc<dyn Cache>) -> Self {
        CacheCases { cache, asking: BTreeMap::new(), control: None }
    }

    async fn control(&mut self) -> Result<&mut dyn CacheConnection, PortError> {
        let control = match self.control.take() {
            Some(control) => control,
            None => self.cache.connect().await?,
        };
        Ok(&mut **self.control.insert(control))
    }
}

impl std::fmt::Debug for CacheCases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheCases").field("asking", &self.asking).finish_non_exhaustive()
    }
}

#[async_trait]
impl System for CacheCases {
    async fn open(&mut self, _name: &str) -> Result<Session, PortError> {
        let connection = self.cache.connect().await?;
        let id = (self.asking.len() + 1).to_string();
        let asking = Arc::new(AtomicBool::new(false));
        self.asking.insert(id.clone(), Arc::clone(&asking));
        Ok(Session::start(id, |texts, events| serve(connection, asking, texts, events)))
    }

    /// A session waits if it has no reply and all that have none wait: a reply may be on its way.
    async fn is_blocked(&mut self, session: &str, _others: &[String]) -> Result<bool, PortError> {
        let info = self.control().await?.command(&["INFO", "clients"]).await?.into_text()?;
        let field = |line: &str| line.strip_prefix("blocked_clients:")?.parse::<usize>().ok();
        let blocked = info.iter().flat_map(|info| info.lines()).find_map(field);
        let is_asking = |asking: &Arc<AtomicBool>| asking.load(Ordering::Acquire);
        let unanswered = self.asking.values().filter(|asking| is_asking(asking)).count();
        Ok(self.asking.get(session).is_some_and(is_asking) && blocked == Some(unanswered))
    }

    async fn cancel(&mut self, _session: &str) -> Result<(), PortError> {
        Ok(())
    }

    async fn begin_permutation(&mut self) -> Result<(), PortError> {
        let control = self.control().await?;
        control.command(&["FLUSHALL"]).await?;
        control.command(&["SCRIPT", "FLUSH"]).await.map(|_| ())
    }
}

async fn serve(
    mut connection: Box<dyn CacheConnection>,
    asking: Arc<AtomicBool>,
    mut texts: UnboundedReceiver<String>,
    events: UnboundedSender<Event>,
) {
    while let Some(text) = texts.recv().await {
        let mut lines = Vec::new();
        let failure = match commands(&text) {
            Ok(commands) => run(&mut *connection, &asking, &commands, &mut lines).await.err(),
            Err(why) => Some(why),
        };
        let answer = if lines.is_empty() { Event::Complete } else { Event::Text(lines.join("\n")) };
        let failed = failure.map(|message| Event::Failed {
            severity: "ERROR".to_owned(),
            code: "syntax".to_owned(),
            message,
        });
        for event in [Some(answer), failed, Some(Event::Ready)].into_iter().flatten() {
            // Nobody listens any more where the case is over.
            let _ = events.send(event);
        }
    }
}

/// Sends the commands one after the other; an error of one does not keep the next from being sent.
async fn run(
    connection: &mut dyn CacheConnection,
    asking: &AtomicBool,
    commands: &[Vec<String>],
    lines: &mut Vec<String>,
) -> Result<(), String> {
    for command in commands {
        let args: Vec<&str> = command.iter().map(String::as_str).collect();
        if let ["wait", duration] = args.as_slice() {
            tokio::time::sleep(wait_of(duration)?).await;
            continue;
        }
        asking.store(true, Ordering::Release);
        let reply = connection.command(&args).await;
        asking.store(false, Ordering::Release);
        lines.push(match reply {
            Ok(reply) => shown(&reply),
            Err(error) => refused(&error),
        });
    }
    Ok(())
}

/// A duration such as `300ms` or `2s`.
pub(super) fn wait_of(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: a number and `ms` or `s`");
    let (number, unit_ms) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, 1000),
    };
    number.parse::<u64>().map(|number| Duration::from_millis(number * unit_ms)).map_err(|_| wrong())
}

fn refused(error: &PortError) -> String {
    match &error.code {
        Some(code) => format!("(error) {code} {}", error.message),
        None => format!("(no reply) {}", error.message),
    }
}

/// The commands of a text, one a line; quotes may go over lines.
fn commands(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut commands = Vec::new();
    let mut command = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches([' ', '\t', '\r']);
        let Some(first) = trimmed.chars().next() else { break };
        rest = match first {
            '\n' => {
                commands.push(std::mem::take(&mut command));
                &trimmed[1..]
            }
            '"' | '\'' => {
                let (argument, after) = quoted(&trimmed[1..], first)?;
                if !after.is_empty() && !after.starts_with(char::is_whitespace) {
                    return Err(format!("a blank has to follow the quoted argument before `{after}`"));
                }
                command.push(argument);
                after
            }
            _ => {
                let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
                command.push(trimmed[..end].to_owned());
                &trimmed[end..]
            }
        };
    }
    commands.push(command);
    commands.retain(|command| !command.is_empty());
    Ok(commands)
}

/// An argument up to its closing quote, and what follows. In single quotes only `\'` is an escape.
fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut argument = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((argument, &text[at + 1..])),
            '\\' => {
                let (_, escaped) = chars.next().ok_or("an argument ends with a backslash")?;
                match (quote, escaped) {
                    ('\'', '\'') => argument.push('\''),
                    ('\'', other) => argument.extend(['\\', other]),
                    (_, 'n') => argument.push('\n'),
                    (_, 'r') => argument.push('\r'),
                    (_, 't') => argument.push('\t'),
                    (_, other) => argument.push(other),
                }
            }
            c => argument.push(c),
        }
    }
    Err(format!("a quote is not closed: {text}"))
}

/// A reply as redis-cli shows it.
pub(super) fn shown(reply: &Reply) -> String {
    let mut out = String::new();
    show(&mut out, reply, 0);
    out
}

fn show(out: &mut String, reply: &Reply, indent: usize) {
    match reply {
        Reply::Nil => out.push_str("(nil)"),
        Reply::Int(number) => {
            let _ = write!(out, "(integer) {number}");
        }
        Reply::Text(text) if ["OK", "PONG", "QUEUED"].contains(&text.as_str()) => out.push_str(text),
        Reply::Text(text) => quote(out, text),
        Reply::Array(replies) if replies.is_empty() => out.push_str("(empty array)"),
        Reply::Array(replies) => {
            let digits = replies.len().to_string().len();
            for (at, reply) in replies.iter().enumerate() {
                if at > 0 {
                    let _ = write!(out, "\n{}", " ".repeat(indent));
                }
                let _ = write!(out, "{:>digits$}) ", at + 1);
                show(out, reply, indent + digits + 2);
            }
        }
    }
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_graphic() || c == ' ' => out.push(c),
            c => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(out, "\\x{byte:02x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_as_redis_cli_reads_them() {
        for (text, expected) in [
            ("GET k", vec![vec!["GET", "k"]]),
            ("\n SET k \"a b\\n\"\n\nGET 'k\\n' \n", vec![vec!["SET", "k", "a b\n"], vec!["GET", "k\\n"]]),
            ("EVAL \"return\n1\" 0", vec![vec!["EVAL", "return\n1", "0"]]),
            ("SET k \"\"", vec![vec!["SET", "k", ""]]),
            ("", vec![]),
        ] {
            let expected: Vec<Vec<String>> =
                expected.iter().map(|args| args.iter().map(|&arg| arg.to_owned()).collect()).collect();
            assert_eq!(commands(text), Ok(expected), "{text}");
        }
        assert!(commands("SET k \"a\"b").is_err() && commands("SET k 'a").is_err());
    }

    #[test]
    fn replies_are_shown_as_redis_cli_shows_them() {
        let text = |text: &str| Reply::Text(text.to_owned());
        let nested =
            Reply::Array(vec![text("a\"b"), Reply::Array(vec![Reply::Int(1), Reply::Nil]), text("OK")]);
        assert_eq!(shown(&nested), "1) \"a\\\"b\"\n2) 1) (integer) 1\n   2) (nil)\n3) OK");
        assert_eq!(shown(&Reply::Array(vec![])), "(empty array)");
        let ten = shown(&Reply::Array(vec![Reply::Nil; 10]));
        assert!(ten.starts_with(" 1) (nil)\n 2)") && ten.ends_with("\n10) (nil)"), "{ten}");
    }
}
