//! Scripts: EVAL, EVALSHA and SCRIPT, with Lua 5.1 as Redis has it.

use std::rc::Rc;

use bytes::Bytes;

use super::answer::{Answer, OK, Outcome, Stop, error};
use super::command::upper;
use super::number::int;
use super::state::{SCRIPTS, State};
use crate::model::footprint::Resource;
use vm::{Prepared, Vm};

mod convert;
mod sandbox;
mod sha1;
mod vm;

pub(crate) fn eval(state: &mut State, args: &[&[u8]]) -> Outcome {
    let (keys, argv) = keys_and_arguments(args)?;
    let vm = Vm::of_this_thread()?;
    let prepared = vm.prepare(args[1])?;
    remember(state, &prepared, args[1]);
    vm.run(state, &prepared, keys, argv)
}

pub(crate) fn evalsha(state: &mut State, args: &[&[u8]]) -> Outcome {
    let (keys, argv) = keys_and_arguments(args)?;
    state.footprints.read(|| Resource::all(SCRIPTS));
    let name = args[1].to_ascii_lowercase();
    let text = state.scripts.get(name.as_slice()).cloned();
    let text = text.ok_or(error("NOSCRIPT No matching script. Please use EVAL."))?;
    let vm = Vm::of_this_thread()?;
    let prepared = vm.prepare(&text)?;
    vm.run(state, &prepared, keys, argv)
}

pub(crate) fn script(state: &mut State, args: &[&[u8]]) -> Outcome {
    let part = upper(args[1]);
    match (part.as_str(), args.len()) {
        ("LOAD", 3) => {
            let prepared = Vm::of_this_thread()?.prepare(args[2])?;
            remember(state, &prepared, args[2]);
            Ok(Answer::Bulk(prepared.sha.clone()))
        }
        ("EXISTS", 3..) => {
            state.footprints.read(|| Resource::all(SCRIPTS));
            let is_loaded = |name: &&[u8]| state.scripts.contains_key(name.to_ascii_lowercase().as_slice());
            Ok(Answer::Array(args[2..].iter().map(|name| is_loaded(name).into()).collect()))
        }
        ("FLUSH", 2) => flush(state),
        ("FLUSH", 3) if ["ASYNC", "SYNC"].contains(&upper(args[2]).as_str()) => flush(state),
        _ => Err(error("ERR SCRIPT FLUSH only support SYNC|ASYNC option")),
    }
}

fn flush(state: &mut State) -> Outcome {
    state.footprints.write(|| Resource::all(SCRIPTS));
    state.scripts.clear();
    Ok(OK)
}

/// A script that was sent can be called by its name from now on.
fn remember(state: &mut State, prepared: &Rc<Prepared>, text: &[u8]) {
    state.footprints.read(|| Resource::all(SCRIPTS));
    if !state.scripts.contains_key(&prepared.sha) {
        state.footprints.write(|| Resource::all(SCRIPTS));
        state.scripts.insert(prepared.sha.clone(), Bytes::copy_from_slice(text));
    }
}

type Words<'a> = &'a [&'a [u8]];

fn keys_and_arguments<'a>(args: Words<'a>) -> Result<(Words<'a>, Words<'a>), Stop> {
    let count = int(args[2])?;
    let rest = &args[3..];
    if usize::try_from(count).is_ok_and(|count| count > rest.len()) {
        return Err(error("ERR Number of keys can't be greater than number of args"));
    }
    let count = usize::try_from(count).map_err(|_| error("ERR Number of keys can't be negative"))?;
    Ok(rest.split_at(count))
}
