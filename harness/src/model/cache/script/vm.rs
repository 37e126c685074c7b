//! The interpreter. Each thread has one, which every cache of the thread uses: scripts leave nothing in it, and
//! what they compile to is kept by their text.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use mlua::chunk::ChunkMode;
use mlua::{Function, HookTriggers, MultiValue, Value, VmState};

use super::super::answer::{Answer, Outcome, Stop, refuse};
use super::super::state::State;
use super::convert::to_answer;
use super::sandbox::{Sandbox, TooLong};
use super::sha1::sha1_hex;

/// The name of a script in the messages of Lua.
pub(super) const CHUNK: &str = "@user_script";

/// How many instructions a script may take. A real server goes on after its time limit (`busy-reply-threshold`)
/// and refuses everybody else; here the script ends with that refusal.
const INSTRUCTIONS_MAX: u64 = 20_000_000;

/// How often the instructions are counted.
const COUNT_EVERY: u32 = 10_000;

thread_local! {
    /// The server whose script is running.
    pub(super) static RUNNING: RefCell<Option<State>> = const { RefCell::new(None) };
    static COUNTED: Cell<u64> = const { Cell::new(0) };
    static VM: RefCell<Option<Rc<Vm>>> = const { RefCell::new(None) };
}

/// A script that was compiled.
pub(super) struct Prepared {
    pub(super) sha: Bytes,
    function: Function,
}

pub(super) struct Vm {
    sandbox: Sandbox,
    /// By the text. Looked up only, so that its order is nothing that a run can see.
    prepared: RefCell<HashMap<Bytes, Rc<Prepared>>>,
}

/// How many compiled scripts are kept.
const PREPARED_MAX: usize = 1000;

impl Vm {
    pub(super) fn of_this_thread() -> Result<Rc<Self>, Stop> {
        VM.with_borrow_mut(|vm| match vm {
            Some(vm) => Ok(Rc::clone(vm)),
            None => {
                let new = Rc::new(Vm::new().map_err(|error| failed(&error))?);
                *vm = Some(Rc::clone(&new));
                Ok(new)
            }
        })
    }

    fn new() -> mlua::Result<Self> {
        let sandbox = Sandbox::new()?;
        sandbox.lua.set_hook(HookTriggers::new().every_nth_instruction(COUNT_EVERY), |_, _| {
            let counted = COUNTED.get() + u64::from(COUNT_EVERY);
            COUNTED.set(counted);
            if counted > INSTRUCTIONS_MAX {
                Err(mlua::Error::external(TooLong))
            } else {
                Ok(VmState::Continue)
            }
        })?;
        Ok(Vm { sandbox, prepared: RefCell::default() })
    }

    /// The script of that text, compiled.
    pub(super) fn prepare(&self, text: &[u8]) -> Result<Rc<Prepared>, Stop> {
        if let Some(prepared) = self.prepared.borrow().get(text) {
            return Ok(Rc::clone(prepared));
        }
        let chunk = self.sandbox.lua.load(text).set_name(CHUNK).set_mode(ChunkMode::Text);
        let function = chunk.set_environment(self.sandbox.environment.clone()).into_function();
        let function = function.map_err(|error| {
            let message = match &error {
                mlua::Error::SyntaxError { message, .. } => message.clone(),
                error => error.to_string(),
            };
            refuse(format!("ERR Error compiling script (new function): {message}"))
        })?;
        let prepared = Rc::new(Prepared { sha: Bytes::from(sha1_hex(text)), function });
        let mut all = self.prepared.borrow_mut();
        if all.len() >= PREPARED_MAX {
            all.clear();
        }
        all.insert(Bytes::copy_from_slice(text), Rc::clone(&prepared));
        Ok(prepared)
    }

    /// Runs a script on a server, which is lent to it meanwhile.
    pub(super) fn run(
        &self,
        state: &mut State,
        prepared: &Prepared,
        keys: &[&[u8]],
        argv: &[&[u8]],
    ) -> Outcome {
        self.hand_over(keys, argv).map_err(|error| failed(&error))?;
        COUNTED.set(0);
        RUNNING.set(Some(std::mem::take(state)));
        let result: mlua::Result<MultiValue> = self.sandbox.runner.call(prepared.function.clone());
        if let Some(lent) = RUNNING.take() {
            *state = lent;
        }
        let result = result.map_err(|error| failed(&error))?;
        let mut values = result.into_iter();
        if let Some(Value::Boolean(true)) = values.next() {
            let answer = values.next().map_or(Answer::Nil, |value| to_answer(&value, 0));
            return match answer {
                Answer::Error(text) => Err(Stop::Error(text)),
                answer => Ok(answer),
            };
        }
        Err(ended(values.next(), &prepared.sha))
    }

    fn hand_over(&self, keys: &[&[u8]], argv: &[&[u8]]) -> mlua::Result<()> {
        for (name, words) in [("KEYS", keys), ("ARGV", argv)] {
            let table = self.sandbox.lua.create_table_with_capacity(words.len(), 0)?;
            for (word, at) in words.iter().zip(1..) {
                table.raw_set(at, self.sandbox.lua.create_string(word)?)?;
            }
            self.sandbox.globals.raw_set(name, table)?;
        }
        Ok(())
    }
}

/// The refusal of a script that ended with an error: what `locate` of the sandbox made of it.
fn ended(problem: Option<Value>, sha: &[u8]) -> Stop {
    let text = match problem {
        Some(Value::String(text)) => text.to_string_lossy(),
        _ => "ERR unknown error".to_owned(),
    };
    match text.split_once('\n') {
        Some((line, text)) if !line.is_empty() => {
            let sha = String::from_utf8_lossy(sha);
            refuse(format!("{text} script: {sha}, on {CHUNK}:{line}."))
        }
        Some((_, text)) => refuse(text.to_owned()),
        None => refuse(text),
    }
}

/// An error of the interpreter, outside of any script.
fn failed(error: &mlua::Error) -> Stop {
    let text = error.to_string().replace(['\r', '\n'], " ");
    refuse(format!("ERR the interpreter of scripts failed: {text}"))
}
