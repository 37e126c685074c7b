//! The arguments of faults: what each is called, what it may be, and what it is if it is not given.

use std::collections::BTreeMap;

use serde::Serialize;

use self::Takes::{Count, Length, Offset, Place, Sighting};
use super::{Fault, FaultClass};
use crate::proxy::{Distribution, Way};

/// An argument of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What it is if it is not given; empty if there is then none.
    pub default: &'static str,
    /// What it says, in a few words.
    pub about: &'static str,
    #[serde(skip)]
    takes: Takes,
}

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// A length of time: `200ms`, `2s`, `1m`.
    Length,
    /// A length of time forwards or backwards: `-30s`.
    Offset,
    /// A number from, up to.
    Count(u64, u64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// [`At`].
    Sighting,
    /// A name of a table.
    Place,
}

const fn argument(name: &'static str, default: &'static str, takes: Takes, about: &'static str) -> Argument {
    Argument { name, default, about, takes }
}

const WAY: Argument =
    argument("way", "both", Takes::OneOf(&["both", "requests", "replies"]), "the direction");
const AT: Argument = argument(
    "at",
    "",
    Sighting,
    "begins as the link carries this request: COMMIT*3, SET*1, Produce*2 (the words it begins with, how many)",
);
const LATENCY: &[Argument] = &[
    argument("delay", "20ms", Length, "how late each chunk arrives"),
    argument("jitter", "10ms", Length, "how far delays scatter"),
    argument(
        "distribution",
        "uniform",
        Takes::OneOf(&["uniform", "normal", "pareto"]),
        "how they scatter: evenly, bell-shaped, or with a long tail",
    ),
    WAY,
];
const BANDWIDTH: &[Argument] =
    &[argument("rate", "65536", Count(1, 1 << 40), "how many bytes a second"), WAY];
const SLICE: &[Argument] = &[
    argument("bytes", "64", Count(1, 1 << 30), "the largest piece"),
    argument("gap", "1ms", Length, "the time between two"),
    WAY,
];
const RESET_AFTER: &[Argument] = &[
    argument("bytes", "2048", Count(0, 1 << 40), "how many cross, for each connection"),
    argument("way", "replies", Takes::OneOf(&["requests", "replies"]), "the direction that is counted"),
];
const SLOW_CLOSE: &[Argument] = &[argument("delay", "500ms", Length, "how late"), WAY];
const LOCK: &[Argument] =
    &[argument("table", "", Place, "the table that is locked; the first that the design makes if not given")];
const CPU: &[Argument] =
    &[argument("percent", "5", Count(1, 100), "how much of one processor the server is left with")];
const MEMORY: &[Argument] =
    &[argument("headroom", "4", Count(1, 1 << 20), "how many megabytes more than now it may take")];
const CLOCK: &[Argument] = &[argument("offset", "-60s", Offset, "how far the clock is off")];
const DISK: &[Argument] =
    &[argument("left", "0", Count(0, 1 << 20), "how many kilobytes the full disk has left")];

/// Those of a fault. All but those of the application can wait for a request ([`At`]).
pub(super) fn of(fault: &Fault) -> Vec<Argument> {
    let own = match fault.kind() {
        "latency" => LATENCY,
        "bandwidth" => BANDWIDTH,
        "slice" => SLICE,
        "reset-after" => RESET_AFTER,
        "slow-close" => SLOW_CLOSE,
        "lock" => LOCK,
        "cpu" => CPU,
        "memory" => MEMORY,
        "clock" => CLOCK,
        "disk-full" => DISK,
        _ => &[],
    };
    let at = (fault.class != FaultClass::Application).then_some(AT);
    own.iter().copied().chain(at).collect()
}

impl Argument {
    /// Whether it may be this; what it may be if not.
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        let (is_fine, what) = match self.takes {
            Length => (length_ms(value).is_some(), "a time with its unit, like 200ms, 2s or 1m".to_owned()),
            Offset => (offset_ms(value).is_some(), "a time with its unit, like 30s or -500ms".to_owned()),
            Count(least, most) => (
                value.parse().is_ok_and(|number: u64| (least..=most).contains(&number)),
                format!("a number from {least} to {most}"),
            ),
            Takes::OneOf(words) => (words.contains(&value), format!("one of {}", words.join(", "))),
            Place => (is_identifier(value), "the name of a table".to_owned()),
            Sighting => {
                (At::parse(value).is_some(), "a request and how many of it, like COMMIT*3".to_owned())
            }
        };
        if is_fine { Ok(()) } else { Err(what) }
    }
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn length_ms(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    number.checked_mul(unit).filter(|ms| *ms <= 24 * 60 * 60_000)
}

fn offset_ms(text: &str) -> Option<i64> {
    let (sign, length) = match text.strip_prefix('-') {
        Some(length) => (-1, length),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    length_ms(length).and_then(|ms| i64::try_from(ms).ok()).map(|ms| sign * ms)
}

/// A request that a fault waits for: the n-th that the fault's link carries from then on, counted over all
/// connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// What it begins with, whatever the case: of PostgreSQL the statement (`COMMIT`), of Redis the command and its
    /// arguments (`SET`), of Kafka the request (`Produce`).
    pub begins: String,
    /// Which of them, from 1.
    pub nth: u64,
}

impl At {
    /// Reads `COMMIT*3`; without a number it is the first.
    pub fn parse(text: &str) -> Option<At> {
        let (begins, nth) = match text.rsplit_once('*') {
            Some((begins, nth)) => (begins, nth.parse().ok()?),
            None => (text, 1),
        };
        let begins = begins.trim().to_owned();
        (nth > 0 && !begins.is_empty()).then_some(At { begins, nth })
    }
}

/// Arguments that were given, and were checked.
pub(crate) struct Given<'a>(pub(crate) &'a BTreeMap<String, String>);

impl<'a> Given<'a> {
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn ms(&self, name: &str, otherwise: u64) -> u64 {
        self.text(name).and_then(length_ms).unwrap_or(otherwise)
    }

    pub(crate) fn offset_ms(&self, name: &str, otherwise: i64) -> i64 {
        self.text(name).and_then(offset_ms).unwrap_or(otherwise)
    }

    pub(crate) fn number(&self, name: &str, otherwise: u64) -> u64 {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    }

    pub(crate) fn at(&self) -> Option<At> {
        self.text("at").and_then(At::parse)
    }

    pub(super) fn way(&self) -> Way {
        match self.text("way") {
            Some("requests") => Way::Requests,
            Some("replies") => Way::Replies,
            _ => Way::Both,
        }
    }

    pub(super) fn distribution(&self) -> Distribution {
        match self.text("distribution") {
            Some("normal") => Distribution::Normal,
            Some("pareto") => Distribution::Pareto,
            _ => Distribution::Uniform,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FAULTS;

    #[test]
    fn every_default_is_one_that_could_be_given() {
        for argument in FAULTS.iter().flat_map(Fault::arguments).filter(|one| !one.default.is_empty()) {
            assert_eq!(argument.check(argument.default), Ok(()), "{argument:?}");
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!([length_ms("0ms"), length_ms("2s"), length_ms("1m")], [Some(0), Some(2000), Some(60_000)]);
        for wrong in ["", "5", "ms", "-5ms", "5h", "99999999999999999999s", "1441m"] {
            assert_eq!(length_ms(wrong), None, "{wrong:?}");
        }
        assert_eq!(
            [offset_ms("-30s"), offset_ms("+1s"), offset_ms("--1s")],
            [Some(-30_000), Some(1000), None]
        );
    }

    #[test]
    fn a_request_is_counted_from_one() {
        let at = |begins: &str, nth| Some(At { begins: begins.to_owned(), nth });
        assert_eq!(At::parse("COMMIT*3"), at("COMMIT", 3));
        assert_eq!(At::parse("UPDATE stock"), at("UPDATE stock", 1));
        assert_eq!([At::parse("COMMIT*0"), At::parse("*2"), At::parse("COMMIT*x")], [None, None, None]);
    }
}
