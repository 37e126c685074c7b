//! The commands: their names, how many arguments they take, and what runs them.

use super::answer::{Stop, arity, refuse};
use super::session;
use super::state::State;
use super::{answer::Outcome, script};

mod blocking;
mod connection;
mod expiry;
mod hash;
mod keyspace;
mod list;
mod scan;
mod set;
mod stream;
mod stream_group;
mod stream_pending;
mod text;
mod text_set;
mod zset;
mod zset_range;

pub(crate) use stream::has_moved_on;

/// A command.
#[derive(Debug)]
pub(crate) struct Command {
    /// In capitals.
    pub(crate) name: &'static str,
    /// How many words it has, its name among them; below zero: at least that many.
    arity: i32,
    /// Whether it is refused when the cache is full and evicts nothing.
    pub(crate) needs_room: bool,
    /// Whether a script may call it.
    pub(crate) in_scripts: bool,
    /// The commands that it consists of, by their second word, with their arity.
    parts: &'static [(&'static str, i32)],
    /// What runs it. The words are as many as the arity wants.
    pub(crate) run: fn(&mut State, &[&[u8]]) -> Outcome,
}

impl Command {
    /// Whether so many words are right, for it and for its part.
    pub(crate) fn takes(&self, args: &[&[u8]]) -> bool {
        has_arity(args.len(), self.arity) && self.check_part(args).is_ok()
    }

    /// Whether it has the part that the second word names.
    pub(crate) fn has_part(&self, args: &[&[u8]]) -> bool {
        let part = args.get(1).map(|part| upper(part));
        self.parts.is_empty() || part.is_none_or(|name| self.parts.iter().any(|(part, _)| *part == name))
    }

    /// The same command, consisting of others.
    const fn of(self, parts: &'static [(&'static str, i32)]) -> Self {
        Command { parts, ..self }
    }

    /// Whether its part exists and takes that many words.
    fn check_part(&self, args: &[&[u8]]) -> Result<(), Stop> {
        if self.parts.is_empty() {
            return Ok(());
        }
        let name = upper(args[1]);
        match self.parts.iter().find(|(part, _)| *part == name) {
            Some((_, arity)) if has_arity(args.len(), *arity) => Ok(()),
            Some(_) => Err(arity(&format!("{}|{name}", self.name).to_ascii_lowercase())),
            None => {
                let part = String::from_utf8_lossy(args[1]);
                Err(refuse(format!("ERR unknown subcommand '{part}'. Try {} HELP.", self.name)))
            }
        }
    }
}

fn has_arity(words: usize, arity: i32) -> bool {
    let wanted = usize::try_from(arity.unsigned_abs()).unwrap_or(usize::MAX);
    if arity < 0 { words >= wanted } else { words == wanted }
}

/// Some of them only to be refused by name.
const CLIENT_PARTS: &[(&str, i32)] = &[
    ("CACHING", 3),
    ("GETNAME", 2),
    ("GETREDIR", 2),
    ("ID", 2),
    ("INFO", 2),
    ("KILL", -3),
    ("LIST", -2),
    ("NO-EVICT", 3),
    ("PAUSE", -3),
    ("REPLY", 3),
    ("SETNAME", 3),
    ("TRACKING", -3),
    ("TRACKINGINFO", 2),
    ("UNBLOCK", -3),
    ("UNPAUSE", 2),
];
const GROUP_PARTS: &[(&str, i32)] =
    &[("CREATE", -5), ("CREATECONSUMER", 5), ("DELCONSUMER", 5), ("DESTROY", 4), ("SETID", -5)];
const SCRIPT_PARTS: &[(&str, i32)] = &[("EXISTS", -3), ("FLUSH", -2), ("LOAD", 3)];

type Run = fn(&mut State, &[&[u8]]) -> Outcome;

/// A command that takes nothing more.
const fn plain(name: &'static str, arity: i32, run: Run) -> Command {
    Command { name, arity, needs_room: false, in_scripts: true, parts: &[], run }
}

/// A command that needs room.
const fn grows(name: &'static str, arity: i32, run: Run) -> Command {
    Command { needs_room: true, ..plain(name, arity, run) }
}

/// A command that no script may call.
const fn outside(name: &'static str, arity: i32, run: Run) -> Command {
    Command { in_scripts: false, ..plain(name, arity, run) }
}

/// A command that needs room and that no script may call.
const fn blocks(name: &'static str, arity: i32, run: Run) -> Command {
    Command { in_scripts: false, ..grows(name, arity, run) }
}

/// In the order of the names, in which they are searched.
static COMMANDS: [Command; 137] = [
    grows("APPEND", 3, text::append),
    blocks("BLMOVE", 6, blocking::blmove),
    outside("BLPOP", -3, blocking::blpop),
    outside("BRPOP", -3, blocking::brpop),
    blocks("BRPOPLPUSH", 4, blocking::brpoplpush),
    outside("BZPOPMAX", -3, blocking::bzpopmax),
    outside("BZPOPMIN", -3, blocking::bzpopmin),
    outside("CLIENT", -2, session::client).of(CLIENT_PARTS),
    grows("COPY", -3, keyspace::copy),
    plain("DBSIZE", 1, keyspace::dbsize),
    grows("DECR", 2, text::decr),
    grows("DECRBY", 3, text::decrby),
    plain("DEL", -2, keyspace::del),
    outside("DISCARD", 1, session::discard),
    plain("ECHO", 2, connection::echo),
    outside("EVAL", -3, script::eval),
    outside("EVALSHA", -3, script::evalsha),
    outside("EXEC", 1, session::exec),
    plain("EXISTS", -2, keyspace::exists),
    plain("EXPIRE", -3, expiry::expire),
    plain("EXPIREAT", -3, expiry::expireat),
    plain("EXPIRETIME", 2, expiry::expiretime),
    plain("FLUSHALL", -1, keyspace::flush),
    plain("FLUSHDB", -1, keyspace::flush),
    plain("GET", 2, text::get),
    plain("GETDEL", 2, text::getdel),
    plain("GETEX", -2, text_set::getex),
    plain("GETRANGE", 4, text::getrange),
    grows("GETSET", 3, text::getset),
    plain("HDEL", -3, hash::hdel),
    plain("HEXISTS", 3, hash::hexists),
    plain("HGET", 3, hash::hget),
    plain("HGETALL", 2, hash::hgetall),
    grows("HINCRBY", 4, hash::hincrby),
    plain("HKEYS", 2, hash::hkeys),
    plain("HLEN", 2, hash::hlen),
    plain("HMGET", -3, hash::hmget),
    grows("HMSET", -4, hash::hmset),
    plain("HSCAN", -3, scan::hscan),
    grows("HSET", -4, hash::hset),
    grows("HSETNX", 4, hash::hsetnx),
    plain("HSTRLEN", 3, hash::hstrlen),
    plain("HVALS", 2, hash::hvals),
    grows("INCR", 2, text::incr),
    grows("INCRBY", 3, text::incrby),
    plain("INFO", -1, connection::info),
    plain("KEYS", 2, keyspace::keys),
    plain("LINDEX", 3, list::lindex),
    grows("LINSERT", 5, list::linsert),
    plain("LLEN", 2, list::llen),
    grows("LMOVE", 5, list::lmove),
    plain("LPOP", -2, list::lpop),
    grows("LPUSH", -3, list::lpush),
    grows("LPUSHX", -3, list::lpushx),
    plain("LRANGE", 4, list::lrange),
    plain("LREM", 4, list::lrem),
    grows("LSET", 4, list::lset),
    plain("LTRIM", 4, list::ltrim),
    plain("MGET", -2, text::mget),
    grows("MSET", -3, text::mset),
    grows("MSETNX", -3, text::msetnx),
    outside("MULTI", 1, session::multi),
    plain("OBJECT", -2, connection::object),
    plain("PERSIST", 2, expiry::persist),
    plain("PEXPIRE", -3, expiry::pexpire),
    plain("PEXPIREAT", -3, expiry::pexpireat),
    plain("PEXPIRETIME", 2, expiry::pexpiretime),
    plain("PING", -1, connection::ping),
    grows("PSETEX", 4, text_set::psetex),
    plain("PTTL", 2, expiry::pttl),
    outside("QUIT", -1, connection::quit),
    plain("RENAME", 3, keyspace::rename),
    plain("RENAMENX", 3, keyspace::renamenx),
    plain("RPOP", -2, list::rpop),
    grows("RPOPLPUSH", 3, list::rpoplpush),
    grows("RPUSH", -3, list::rpush),
    grows("RPUSHX", -3, list::rpushx),
    grows("SADD", -3, set::sadd),
    plain("SCAN", -2, scan::scan),
    plain("SCARD", 2, set::scard),
    outside("SCRIPT", -2, script::script).of(SCRIPT_PARTS),
    plain("SDIFF", -2, set::sdiff),
    plain("SELECT", 2, keyspace::select),
    grows("SET", -3, text_set::set),
    grows("SETEX", 4, text_set::setex),
    grows("SETNX", 3, text_set::setnx),
    grows("SETRANGE", 4, text::setrange),
    plain("SINTER", -2, set::sinter),
    plain("SISMEMBER", 3, set::sismember),
    plain("SMEMBERS", 2, set::smembers),
    plain("SMISMEMBER", -3, set::smismember),
    plain("SMOVE", 4, set::smove),
    plain("SREM", -3, set::srem),
    plain("SSCAN", -3, scan::sscan),
    plain("STRLEN", 2, text::strlen),
    plain("SUBSTR", 4, text::getrange),
    plain("SUNION", -2, set::sunion),
    plain("TIME", 1, connection::time),
    plain("TOUCH", -2, keyspace::touch),
    plain("TTL", 2, expiry::ttl),
    plain("TYPE", 2, keyspace::type_of),
    plain("UNLINK", -2, keyspace::del),
    outside("UNWATCH", 1, session::unwatch),
    outside("WAIT", 3, connection::wait),
    outside("WATCH", -2, session::watch),
    plain("XACK", -4, stream_group::xack),
    grows("XADD", -5, stream::xadd),
    plain("XAUTOCLAIM", -6, stream_pending::xautoclaim),
    plain("XCLAIM", -6, stream_pending::xclaim),
    plain("XDEL", -3, stream::xdel),
    grows("XGROUP", -2, stream_group::xgroup).of(GROUP_PARTS),
    plain("XLEN", 2, stream::xlen),
    plain("XPENDING", -3, stream_pending::xpending),
    plain("XRANGE", -4, stream::xrange),
    plain("XREAD", -4, stream::xread),
    plain("XREADGROUP", -7, stream_group::xreadgroup),
    plain("XREVRANGE", -4, stream::xrevrange),
    plain("XTRIM", -4, stream::xtrim),
    grows("ZADD", -4, zset::zadd),
    plain("ZCARD", 2, zset::zcard),
    plain("ZCOUNT", 4, zset_range::zcount),
    grows("ZINCRBY", 4, zset::zincrby),
    plain("ZMSCORE", -3, zset::zmscore),
    plain("ZPOPMAX", -2, zset::zpopmax),
    plain("ZPOPMIN", -2, zset::zpopmin),
    plain("ZRANGE", -4, zset_range::zrange),
    plain("ZRANGEBYLEX", -4, zset_range::zrangebylex),
    plain("ZRANGEBYSCORE", -4, zset_range::zrangebyscore),
    plain("ZRANK", 3, zset::zrank),
    plain("ZREM", -3, zset::zrem),
    plain("ZREMRANGEBYRANK", 4, zset_range::zremrangebyrank),
    plain("ZREMRANGEBYSCORE", 4, zset_range::zremrangebyscore),
    plain("ZREVRANGE", -4, zset_range::zrevrange),
    plain("ZREVRANGEBYSCORE", -4, zset_range::zrevrangebyscore),
    plain("ZREVRANK", 3, zset::zrevrank),
    plain("ZSCAN", -3, scan::zscan),
    plain("ZSCORE", 3, zset::zscore),
];

/// The command that the first word names, if the number of words is right.
pub(crate) fn find(args: &[&[u8]]) -> Result<&'static Command, Stop> {
    let command = named(args[0]).ok_or_else(|| unknown(args))?;
    if !has_arity(args.len(), command.arity) {
        return Err(arity(&command.name.to_ascii_lowercase()));
    }
    command.check_part(args)?;
    Ok(command)
}

/// The command of that name.
pub(crate) fn named(name: &[u8]) -> Option<&'static Command> {
    let mut buffer = [0; 24];
    let upper = buffer.get_mut(..name.len())?;
    upper.copy_from_slice(name);
    upper.make_ascii_uppercase();
    let at = COMMANDS.binary_search_by(|command| command.name.as_bytes().cmp(upper)).ok()?;
    Some(&COMMANDS[at])
}

/// How much of the arguments the error about an unknown command tells.
const TOLD_MAX: usize = 128;

fn unknown(args: &[&[u8]]) -> Stop {
    let mut told = String::new();
    for arg in &args[1..] {
        if told.len() >= TOLD_MAX {
            break;
        }
        let arg = &arg[..arg.len().min(TOLD_MAX - told.len())];
        told.push_str(&format!("'{}' ", String::from_utf8_lossy(arg)));
    }
    let name = &args[0][..args[0].len().min(TOLD_MAX)];
    let name = String::from_utf8_lossy(name);
    refuse(format!("ERR unknown command '{name}', with args beginning with: {told}"))
}

/// The word in capitals, for comparing.
pub(crate) fn upper(word: &[u8]) -> String {
    String::from_utf8_lossy(word).to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_in_order() {
        assert!(COMMANDS.is_sorted_by(|one, two| one.name < two.name));
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(named(b"hgetall").map(|command| command.name), Some("HGETALL"));
        assert!(named(b"a name that is longer than any command").is_none());
        assert!(named(b"").is_none());
    }
}
