//! Random commands: templates whose letters stand for something of a kind, a good deal of it wrong.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::twins::{CONNECTIONS, Line};

/// Templates of one command each. A word in small letters is taken from the list of that name; what stands
/// between `[` and `]` may be left out.
pub(crate) const ALL: &[&str] = &[
    "SET key value [NX] [XX] [GET] [KEEPTTL] [EX seconds] [PX ms]",
    "SET key value [GET] [EXAT at] [PXAT atms]",
    "GET key",
    "SETNX key value",
    "SETEX key seconds value",
    "PSETEX key ms value",
    "GETSET key value",
    "GETDEL key",
    "GETEX key [PERSIST]",
    "GETEX key [EX seconds] [PX ms] [PERSIST]",
    "GETEX key [EXAT at]",
    "DEL key [key]",
    "UNLINK key",
    "EXISTS key key",
    "TYPE key",
    "TOUCH key key",
    "DBSIZE",
    "KEYS pattern",
    "EXPIRE key seconds [NX] [XX] [GT] [LT]",
    "PEXPIRE key ms [NX] [XX] [GT] [LT]",
    "EXPIREAT key at [GT]",
    "PEXPIREAT key atms",
    "TTL key",
    "PERSIST key",
    "INCR key",
    "DECR key",
    "INCRBY key int",
    "DECRBY key int",
    "APPEND key value",
    "STRLEN key",
    "GETRANGE key int int",
    "SUBSTR key small small",
    "SETRANGE key small value",
    "MGET key key key",
    "MSET key value key value",
    "MSETNX key value key value",
    "MSET key value key",
    "RENAME key key",
    "RENAMENX key key",
    "COPY key key [REPLACE]",
    "FLUSHALL",
    "SELECT 0",
    "PING",
    "PING value",
    "ECHO value",
    "OBJECT2 key value",
    "nosuch key value",
    "HSET key field value [field value]",
    "HSET key field",
    "HMSET key field value",
    "HSETNX key field value",
    "HGET key field",
    "HMGET key field field",
    "HDEL key field [field]",
    "HGETALL key",
    "HKEYS key",
    "HVALS key",
    "HLEN key",
    "HEXISTS key field",
    "HINCRBY key field int",
    "HSTRLEN key field",
    "HSCAN key 0 [MATCH pattern]",
    "LPUSH key value [value value]",
    "RPUSH key value [value value]",
    "LPUSHX key value",
    "RPUSHX key value",
    "LPOP key [small]",
    "RPOP key [small]",
    "LLEN key",
    "LRANGE key small small",
    "LINDEX key small",
    "LSET key small value",
    "LREM key small value",
    "LTRIM key small small",
    "LINSERT key BEFORE value value",
    "LINSERT key AFTER value value",
    "LINSERT key where value value",
    "LMOVE key key LEFT RIGHT",
    "LMOVE key key RIGHT RIGHT",
    "LMOVE key key where where",
    "RPOPLPUSH key key",
    "BLPOP key key 0.001",
    "BRPOP key badtimeout",
    "BLMOVE key key LEFT LEFT 0.001",
    "BRPOPLPUSH key key 0.001",
    "SADD key value [value value]",
    "SREM key value [value]",
    "SMEMBERS key",
    "SISMEMBER key value",
    "SMISMEMBER key value value",
    "SCARD key",
    "SMOVE key key value",
    "SINTER key key",
    "SUNION key key",
    "SDIFF key key",
    "SSCAN key 0 [COUNT int]",
    "ZADD key [NX] [XX] [GT] [LT] [CH] [INCR] score value",
    "ZADD key [CH] score value score value",
    "ZADD key score value score",
    "ZREM key value value",
    "ZSCORE key value",
    "ZMSCORE key value value",
    "ZCARD key",
    "ZCOUNT key bound bound",
    "ZINCRBY key score value",
    "ZRANK key value",
    "ZREVRANK key value",
    "ZRANGE key small small [REV] [WITHSCORES]",
    "ZRANGE key bound bound BYSCORE [REV] [LIMIT small small] [WITHSCORES]",
    "ZRANGE key lex lex BYLEX [REV] [LIMIT small small]",
    "ZRANGE key small small [LIMIT small small]",
    "ZRANGEBYSCORE key bound bound [WITHSCORES] [LIMIT small small]",
    "ZREVRANGEBYSCORE key bound bound",
    "ZRANGEBYLEX key lex lex",
    "ZREVRANGE key small small [WITHSCORES]",
    "ZPOPMIN key [small]",
    "ZPOPMAX key [small]",
    "ZREMRANGEBYSCORE key bound bound",
    "ZREMRANGEBYRANK key small small",
    "BZPOPMIN key key 0.001",
    "ZSCAN key 0",
];

pub(crate) const STREAMS: &[&str] = &[
    "XADD stream id field value",
    "XADD stream id field value",
    "XADD stream id field value field value",
    "XADD stream MAXLEN small id field value",
    "XADD stream MAXLEN = small id field value",
    "XADD stream NOMKSTREAM id field value",
    "XADD stream MINID id id field value",
    "XADD stream id field",
    "XADD stream MAXLEN small LIMIT small id field value",
    "XADD stream MAXLEN ~ 5 id field value",
    "XLEN stream",
    "XRANGE stream low high [COUNT small]",
    "XREVRANGE stream high low [COUNT small]",
    "XDEL stream id [id]",
    "XTRIM stream MAXLEN small",
    "XTRIM stream MINID id",
    "XTRIM stream where small",
    "XREAD [COUNT small] STREAMS stream id",
    "XREAD COUNT small STREAMS stream stream id id",
    "XREAD STREAMS stream $",
    "XREAD BLOCK 1 STREAMS stream $",
    "XREAD STREAMS stream",
    "XREAD GROUP g c STREAMS stream id",
    "XGROUP CREATE stream group id [MKSTREAM]",
    "XGROUP CREATE stream group $ MKSTREAM",
    "XGROUP CREATE stream group 0 MKSTREAM",
    "XGROUP DESTROY stream group",
    "XGROUP SETID stream group id",
    "XGROUP CREATECONSUMER stream group consumer",
    "XGROUP DELCONSUMER stream group consumer",
    "XGROUP where stream group",
    "XGROUP CREATE stream",
    "XREADGROUP GROUP group consumer [COUNT small] [NOACK] STREAMS stream >",
    "XREADGROUP GROUP group consumer COUNT small STREAMS stream >",
    "XREADGROUP GROUP group consumer STREAMS stream id",
    "XREADGROUP GROUP group consumer BLOCK 1 STREAMS stream >",
    "XREADGROUP GROUP group consumer STREAMS stream stream > >",
    "XREADGROUP GROUP group consumer STREAMS stream $",
    "XACK stream group id [id id]",
    "XPENDING stream group",
    "XPENDING stream group",
    "XPENDING stream group IDLE 1000000 - + small",
    "XAUTOCLAIM stream group consumer 0 low [COUNT small]",
    "XAUTOCLAIM stream group consumer 1000000 low",
    "XAUTOCLAIM stream group consumer 0 0 JUSTID",
    "XCLAIM stream group consumer 0 id [id]",
    "XCLAIM stream group consumer 0 id JUSTID",
    "XCLAIM stream group consumer 10000000 id",
    "DEL stream",
    "SET stream value",
    "TYPE stream",
    "COPY stream stream REPLACE",
];

pub(crate) const TRANSACTIONS: &[&str] = &[
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH key",
    "WATCH key key",
    "UNWATCH",
    "nosuch",
    "GET",
    "SET key value",
    "GET key",
    "INCR key",
    "DEL key",
    "SET key value PX 1000000",
    "PEXPIRE key -1",
    "LPUSH key value",
    "RPOP key",
    "BLPOP key 0.001",
    "FLUSHALL",
    "RENAME key key",
    "APPEND key value",
    "EVAL script 1 key",
    "XREAD BLOCK 1 STREAMS key 0",
    "MSETNX key value key value",
    "EXPIRE key 100 NX",
    "SADD key value",
    "CLIENT GETNAME",
    "WAIT 0 0",
    "SELECT 0",
];

/// What a small word of a template stands for; the word itself where it is not listed.
fn pool(name: &str) -> &'static [&'static str] {
    match name {
        "key" => &["k1", "k2", "k3", "k4"],
        "stream" => &["s1", "s1", "s1", "s2"],
        "value" => &["", "a", "b", "1", "7", "-3", "ä ö", "x y", "9223372036854775807", "010"],
        "field" => &["f", "g", "h", "1"],
        "int" => &["0", "1", "-1", "5", "9223372036854775807", "-9223372036854775808", "x", "1.5", " 1", ""],
        "small" => &["0", "1", "2", "3", "-1", "-2", "-100", "100", "x"],
        "seconds" => &["100", "200", "100", "0", "-1", "x", "9223372036854775807"],
        "ms" => &["100000", "200000", "0", "-1", "x", "9223372036854775807"],
        "at" => &["33000000000", "34000000000", "1", "0", "x"],
        "atms" => &["33000000000000", "34000000000000", "1", "-5", "x"],
        "score" => &["0", "1", "1.5", "-2", "0.1", "1e300", "inf", "-inf", "+5", "nan", "x", ""],
        "bound" => &["0", "1", "(1", "-inf", "+inf", "(0.1", "5", "x", "(", "nan"],
        "lex" => &["-", "+", "[a", "(a", "[b", "(1", "x", ""],
        "pattern" => &["*", "k?", "k[12]", "k[^1]", "f", "\\k1", "[a-", ""],
        "where" => &["LEFT", "RIGHT", "left", "MAXLEN", "nowhere", "HELP2"],
        "badtimeout" => &["-1", "x", "0.001", "inf"],
        "id" => &[
            "1-1",
            "1-2",
            "2",
            "2-0",
            "3-5",
            "4-*",
            "5-1",
            "0-0",
            "0-1",
            "x",
            "1-",
            "-",
            "7-7",
            "18446744073709551615-18446744073709551615",
        ],
        "low" => &["-", "0", "1-2", "(1-1", "2", "+", "x", "(-"],
        "high" => &["+", "5", "3-5", "(3-5", "-", "x", "(0-0"],
        "group" => &["g", "g", "g", "h"],
        "consumer" => &["c1", "c2"],
        "script" => {
            &["return redis.call('SET', KEYS[1], 'by script')", "return redis.pcall('INCR', KEYS[1])"]
        }
        _ => &[],
    }
}

/// Sequences of commands.
pub(crate) fn sequences(templates: &'static [&'static str]) -> impl Strategy<Value = Vec<Line>> {
    vec(line(templates), 1..60)
}

fn line(templates: &'static [&'static str]) -> impl Strategy<Value = Line> {
    let choices = vec(any::<Index>(), 24);
    let mangled = prop_oneof![30 => Just(None), 1 => any::<Index>().prop_map(Some)];
    (0..CONNECTIONS, select(templates), choices, mangled).prop_map(
        |(connection, template, choices, mangled)| {
            let mut words = fill(template, &choices);
            // A word too many or too few now and then.
            if let Some(at) = mangled {
                match at.index(words.len() + 1) {
                    0 => words.push("more".to_owned()),
                    at if words.len() > 1 => drop(words.remove(words.len() - 1 - at % (words.len() - 1))),
                    _ => {}
                }
            }
            Line { connection, words }
        },
    )
}

fn fill(template: &str, choices: &[Index]) -> Vec<String> {
    let mut choices = choices.iter().cycle();
    let mut choose = |among: usize| choices.next().map_or(0, |index| index.index(among));
    let (mut words, mut is_left_out) = (Vec::new(), false);
    for word in template.split(' ') {
        if word.starts_with('[') {
            is_left_out = choose(3) > 0;
        }
        let name = word.trim_start_matches('[').trim_end_matches(']');
        let pool = pool(name);
        let filled = if pool.is_empty() { name } else { pool[choose(pool.len())] };
        if !is_left_out {
            words.push(filled.to_owned());
        }
        if word.ends_with(']') {
            is_left_out = false;
        }
    }
    words
}
