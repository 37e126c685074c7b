//! What scripts can reach.

use mlua::{Error, Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value};

use super::super::answer::{Answer, Stop};
use super::super::command;
use super::convert::{field, single, to_lua, words};
use super::sha1::sha1_hex;
use super::vm::{CHUNK, RUNNING};

/// How much memory scripts have, in bytes.
const MEMORY_MAX: usize = 64 << 20;

/// An error raised within a script.
#[derive(Debug, Clone, thiserror::Error)]
enum Raised {
    /// By a command, with its code.
    #[error("{0}")]
    ByCommand(String),
    /// By the language; as an error of the script it gets the general code.
    #[error("{0}")]
    ByLanguage(String),
}

/// The script has run for too long. It cannot be caught.
#[derive(Debug, Clone, thiserror::Error)]
#[error("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")]
pub(super) struct TooLong;

/// An interpreter with its sandbox.
pub(super) struct Sandbox {
    pub(super) lua: Lua,
    /// What scripts see as their globals.
    pub(super) environment: Table,
    /// What lies behind it, where KEYS and ARGV are put.
    pub(super) globals: Table,
    /// Calls a function; when it fails, says where.
    pub(super) runner: Function,
}

impl Sandbox {
    pub(super) fn new() -> mlua::Result<Self> {
        let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, LuaOptions::default())?;
        lua.set_memory_limit(MEMORY_MAX)?;
        let redis = redis_table(&lua)?;
        let translate = lua.create_function(|lua, problem: Value| translate(lua, problem))?;
        let is_final = lua.create_function(|_, problem: Value| Ok(is_too_long(&problem)))?;
        let locate = lua.create_function(locate)?;
        let readonly = lua.create_function(|lua, _: MultiValue| {
            Err::<(), _>(here(lua, "Attempt to modify a readonly table"))
        })?;
        let nonexistent = lua.create_function(|lua, (_, name): (Value, Value)| {
            let name = name.to_string().unwrap_or_default();
            let text = format!("Script attempted to access nonexistent global variable '{name}'");
            Err::<(), _>(here(lua, &text))
        })?;
        let chunk = lua.load(include_str!("sandbox.lua")).set_name("@sandbox");
        let (environment, globals, runner) =
            chunk.call((redis, translate, is_final, locate, readonly, nonexistent))?;
        Ok(Sandbox { lua, environment, globals, runner })
    }
}

fn redis_table(lua: &Lua) -> mlua::Result<Table> {
    let redis = lua.create_table()?;
    redis.raw_set(
        "call",
        lua.create_function(|lua, args: MultiValue| match call(lua, &args)? {
            Answer::Error(text) => Err(Error::external(Raised::ByCommand(text.into_owned()))),
            answer => to_lua(lua, &answer),
        })?,
    )?;
    redis.raw_set("pcall", lua.create_function(|lua, args: MultiValue| to_lua(lua, &call(lua, &args)?))?)?;
    redis.raw_set("error_reply", lua.create_function(error_reply)?)?;
    redis.raw_set("status_reply", lua.create_function(status_reply)?)?;
    redis.raw_set(
        "sha1hex",
        lua.create_function(|_, text: mlua::LuaString| Ok(sha1_hex(&text.as_bytes())))?,
    )?;
    // The log of the server is nothing that a run can see.
    redis.raw_set("log", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
    redis.raw_set("replicate_commands", lua.create_function(|_, ()| Ok(true))?)?;
    for (level, name) in (0_i64..).zip(["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"]) {
        redis.raw_set(name, level)?;
    }
    Ok(redis)
}

/// Runs a command for the script. What Redis refuses is an [`Answer::Error`].
fn call(_lua: &Lua, args: &MultiValue) -> mlua::Result<Answer> {
    if args.is_empty() {
        return Ok(Answer::Error("ERR Please specify at least one argument for this redis lib call".into()));
    }
    let Some(words) = words(args) else {
        return Ok(Answer::Error("ERR Lua redis lib command arguments must be strings or integers".into()));
    };
    let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
    let Some(command) = command::named(words[0]).filter(|command| command.has_part(&words)) else {
        return Ok(Answer::Error("ERR Unknown Redis command called from script".into()));
    };
    if !command.in_scripts {
        return Ok(Answer::Error("ERR This Redis command is not allowed from script".into()));
    }
    if !command.takes(&words) {
        return Ok(Answer::Error("ERR Wrong number of args calling Redis command from script".into()));
    }
    RUNNING.with_borrow_mut(|running| {
        let state = running.as_mut().ok_or_else(|| Error::external("no server runs this script"))?;
        Ok(match (command.run)(state, &words) {
            Ok(answer) => answer,
            Err(Stop::Error(text)) => Answer::Error(text),
            Err(Stop::Wait(_)) => {
                let name = String::from_utf8_lossy(words[0]);
                let text = format!("ERR {name} command is not allowed with BLOCK option from scripts");
                Answer::Error(text.into())
            }
        })
    })
}

fn error_reply(lua: &Lua, args: MultiValue) -> mlua::Result<Value> {
    let Some(text) = only_text(&args) else {
        return single(lua, "err", "ERR wrong number or type of arguments");
    };
    // A text without a code gets the general one.
    let text = match text.strip_prefix('-') {
        Some(text) => text.to_owned(),
        None if text.contains(' ') => text,
        None => format!("ERR {text}"),
    };
    single(lua, "err", &text)
}

fn status_reply(lua: &Lua, args: MultiValue) -> mlua::Result<Value> {
    match only_text(&args) {
        Some(text) => single(lua, "ok", &text),
        None => single(lua, "err", "ERR wrong number or type of arguments"),
    }
}

fn only_text(args: &MultiValue) -> Option<String> {
    match (args.len(), args.front()) {
        (1, Some(Value::String(text))) => Some(text.to_string_lossy()),
        _ => None,
    }
}

/// An error of Lua itself, with the place where the script is.
fn here(lua: &Lua, text: &str) -> Error {
    let line = line_of_script(lua).map_or(String::new(), |line| format!("user_script:{line}: "));
    Error::external(Raised::ByLanguage(format!("{line}{text}")))
}

fn line_of_script(lua: &Lua) -> Option<usize> {
    for level in 0.. {
        // The end of the stack ends the search.
        let line = lua.inspect_stack(level, |frame| {
            let is_script = frame.source().source.is_some_and(|source| source == CHUNK);
            is_script.then(|| frame.current_line()).flatten()
        })?;
        if line.is_some() {
            return line;
        }
    }
    None
}

/// An error as a script that catches it sees it.
fn translate(lua: &Lua, problem: Value) -> mlua::Result<Value> {
    Ok(match &problem {
        Value::Error(error) => Value::String(lua.create_string(text_of(error))?),
        Value::Table(table) => match field(table, "err") {
            Some(text) => Value::String(lua.create_string(text)?),
            None => problem,
        },
        _ => problem,
    })
}

fn text_of(error: &Error) -> String {
    match error {
        Error::CallbackError { cause, .. } => text_of(cause),
        Error::MemoryError(_) => "not enough memory".to_owned(),
        error => error.downcast_ref::<Raised>().map_or_else(|| error.to_string(), Raised::to_string),
    }
}

fn is_too_long(problem: &Value) -> bool {
    match problem {
        Value::Error(error) => error.downcast_ref::<TooLong>().is_some(),
        _ => false,
    }
}

/// The error that ends a script: the line, if there is one, and its text after a line break.
fn locate(lua: &Lua, problem: Value) -> mlua::Result<String> {
    let line = line_of_script(lua);
    let text = match &problem {
        Value::Error(_) if is_too_long(&problem) => return Ok(format!("\n{TooLong}")),
        Value::Error(error) => match error.downcast_ref::<Raised>() {
            Some(Raised::ByCommand(text)) => text.clone(),
            Some(Raised::ByLanguage(_)) | None => format!("ERR {}", text_of(error)),
        },
        Value::Table(table) => field(table, "err").unwrap_or_else(|| "ERR unknown error".to_owned()),
        problem => format!("ERR {}", problem.to_string().unwrap_or_default()),
    };
    let line = line.map_or(String::new(), |line| line.to_string());
    Ok(format!("{line}\n{text}"))
}
