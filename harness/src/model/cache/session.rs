//! One connection as the server sees it: its transaction and the keys it watches.

use bytes::Bytes;

use super::answer::{Answer, OK, Outcome, Stop, error, not_known, refuse};
use super::command::{self, Command};
use super::settings::Eviction;
use super::state::{Caller, KEYS, State};
use crate::model::footprint::Resource;

/// What the server keeps for a connection.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// The commands queued since MULTI.
    queue: Option<Vec<Vec<Bytes>>>,
    /// A command could not be queued.
    queue_broken: bool,
    watched: Vec<Watched>,
    /// A watched key was written.
    pub(crate) watch_broken: bool,
    pub(crate) name: Bytes,
    /// When it last wrote something.
    pub(crate) wrote_us: Option<u64>,
}

#[derive(Debug)]
struct Watched {
    key: Bytes,
    /// Whether it was there when it was watched.
    was_there: bool,
}

/// Commands that a transaction does not queue.
const NEVER_QUEUED: [&str; 6] = ["EXEC", "DISCARD", "MULTI", "WATCH", "QUIT", "RESET"];

impl State {
    /// Opens a connection and returns its number.
    pub(crate) fn open_session(&mut self) -> u64 {
        self.footprints.write(|| Resource::all("cache connections"));
        // The clock of a fork begins to go here at the latest.
        self.clock.now_us();
        self.sessions_opened += 1;
        self.sessions.insert(self.sessions_opened, Session::default());
        self.sessions_opened
    }

    /// Closes a connection: its transaction and its watches are gone.
    pub(crate) fn close_session(&mut self, id: u64) {
        self.unwatch(id);
        self.sessions.remove(&id);
        self.waiters.remove(id);
    }

    /// A command arrives on a connection.
    pub(crate) fn receive(&mut self, session: u64, args: &[&[u8]]) -> Outcome {
        self.caller = Caller { session };
        let result = self.admit(args).and_then(|command| {
            let queue = self.sessions.get_mut(&session).and_then(|session| session.queue.as_mut());
            match queue {
                Some(queue) if !NEVER_QUEUED.contains(&command.name) => {
                    queue.push(args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect());
                    Ok(Answer::Status("QUEUED".into()))
                }
                _ => (command.run)(self, args),
            }
        });
        self.finish_unit();
        self.serve_waiters();
        result
    }

    /// What is looked at before a command is run or queued.
    fn admit(&mut self, args: &[&[u8]]) -> Result<&'static Command, Stop> {
        let admitted = command::find(args).and_then(|command| self.make_room(command).map(|()| command));
        if let Err(Stop::Error(text)) = &admitted
            && command::named(args[0]).is_some_and(|command| command.name == "EXEC")
        {
            self.end_transaction();
            let text = text.strip_prefix("ERR ").unwrap_or(text);
            return Err(refuse(format!("EXECABORT Transaction discarded because of: {text}")));
        }
        if admitted.is_err()
            && let Some(session) = self.sessions.get_mut(&self.caller.session)
            && session.queue.is_some()
        {
            session.queue_broken = true;
        }
        admitted
    }

    fn make_room(&mut self, command: &Command) -> Result<(), Stop> {
        let Some(keys_max) = self.settings.keys_max else { return Ok(()) };
        if self.keys.len() <= keys_max {
            return Ok(());
        }
        match self.settings.eviction {
            Eviction::AllKeysLru => self.shrink(keys_max),
            Eviction::NoEviction if command.needs_room => {
                return Err(error("OOM command not allowed when used memory > 'maxmemory'."));
            }
            Eviction::NoEviction => {}
        }
        Ok(())
    }

    /// Runs a command as part of something larger: a transaction, or a wait that ends.
    pub(crate) fn call(&mut self, args: &[&[u8]]) -> Outcome {
        let command = command::find(args)?;
        (command.run)(self, args)
    }

    fn session(&mut self) -> &mut Session {
        let id = self.caller.session;
        self.sessions.entry(id).or_default()
    }

    fn unwatch(&mut self, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.watch_broken = false;
        for watched in std::mem::take(&mut session.watched) {
            if let Some(watching) = self.watchers.get_mut(&watched.key) {
                watching.remove(&id);
                if watching.is_empty() {
                    self.watchers.remove(&watched.key);
                }
            }
        }
    }

    fn end_transaction(&mut self) -> Option<Vec<Vec<Bytes>>> {
        self.unwatch(self.caller.session);
        let session = self.session();
        session.queue_broken = false;
        session.queue.take()
    }
}

pub(crate) fn multi(state: &mut State, _args: &[&[u8]]) -> Outcome {
    let queue = &mut state.session().queue;
    if queue.is_some() {
        return Err(error("ERR MULTI calls can not be nested"));
    }
    *queue = Some(Vec::new());
    Ok(OK)
}

pub(crate) fn discard(state: &mut State, _args: &[&[u8]]) -> Outcome {
    if state.session().queue.is_none() {
        return Err(error("ERR DISCARD without MULTI"));
    }
    state.end_transaction();
    Ok(OK)
}

pub(crate) fn watch(state: &mut State, args: &[&[u8]]) -> Outcome {
    if state.session().queue.is_some() {
        return Err(error("ERR WATCH inside MULTI is not allowed"));
    }
    for key in &args[1..] {
        if state.session().watched.iter().any(|watched| watched.key == *key) {
            continue;
        }
        let was_there = state.exists(key);
        let key = Bytes::copy_from_slice(key);
        let id = state.caller.session;
        state.watchers.entry(key.clone()).or_default().insert(id);
        state.session().watched.push(Watched { key, was_there });
    }
    Ok(OK)
}

pub(crate) fn unwatch(state: &mut State, _args: &[&[u8]]) -> Outcome {
    state.unwatch(state.caller.session);
    Ok(OK)
}

pub(crate) fn exec(state: &mut State, _args: &[&[u8]]) -> Outcome {
    if state.session().queue.is_none() {
        return Err(error("ERR EXEC without MULTI"));
    }
    // A key that ended since it was watched counts as written.
    let watched = std::mem::take(&mut state.session().watched);
    for watched in &watched {
        state.footprints.read(|| Resource::one(KEYS, watched.key.as_ref()));
        if watched.was_there && !state.exists(&watched.key) {
            state.session().watch_broken = true;
        }
    }
    let session = state.session();
    session.watched = watched;
    let (queue_broken, watch_broken) = (session.queue_broken, session.watch_broken);
    let queue = state.end_transaction().unwrap_or_default();
    if queue_broken {
        return Err(error("EXECABORT Transaction discarded because of previous errors."));
    }
    if watch_broken {
        return Ok(Answer::NilArray);
    }
    let mut answers = Vec::with_capacity(queue.len());
    for args in &queue {
        let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
        answers.push(alone(state.call(&args)));
    }
    Ok(Answer::Array(answers))
}

/// An outcome where nothing can wait: what would wait has waited in vain.
pub(crate) fn alone(outcome: Outcome) -> Answer {
    match outcome {
        Ok(answer) => answer,
        Err(Stop::Error(text)) => Answer::Error(text),
        Err(Stop::Wait(wait)) => wait.in_vain,
    }
}

pub(crate) fn client(state: &mut State, args: &[&[u8]]) -> Outcome {
    let part = command::upper(args[1]);
    match part.as_str() {
        "ID" => {
            state.footprints.read(|| Resource::all("cache connections"));
            Ok(Answer::Int(i64::try_from(state.caller.session).unwrap_or(i64::MAX)))
        }
        "GETNAME" => {
            let name = &state.session().name;
            Ok(if name.is_empty() { Answer::Nil } else { Answer::Bulk(name.clone()) })
        }
        "SETNAME" => {
            if args[2].iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
                let text = "ERR Client names cannot contain spaces, newlines or special characters.";
                return Err(error(text));
            }
            state.session().name = Bytes::copy_from_slice(args[2]);
            Ok(OK)
        }
        // The port has no way for messages that nobody asked for.
        _ => Err(not_known(&format!("CLIENT {part}"))),
    }
}
