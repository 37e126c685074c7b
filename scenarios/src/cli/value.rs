//! How the values of options are read.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use crosscheck_harness::fault;
use crosscheck_harness::schedule::FaultOn;
use crosscheck_models::property::Property;
use jiff::SignedDuration;

/// A property by its id.
pub(crate) fn property() -> impl TypedValueParser<Value = Property> {
    PossibleValuesParser::new(Property::ALL.map(Property::id))
        .map(|id| id.parse().expect("only ids of properties are let through"))
}

/// A duration with its unit: `10s`, `500ms`, `1m30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let says = "a duration has a number and a unit, like `10s`, `500ms` or `1m 30s`";
    let signed: SignedDuration = text.parse().map_err(|_| says.to_owned())?;
    Duration::try_from(signed).map_err(|_| format!("{says}, and is not negative"))
}

/// How many keys a group has: with one alone there is no order between two writes to be seen.
pub(crate) fn group_size(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|size| *size >= 2).ok_or_else(|| "a group has 2 keys at least".to_owned())
}

/// Which faults a run injects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Faults {
    /// None.
    None,
    /// Those that the design claims to survive.
    All,
    /// Those named: `app-crash`, `db-cut-replies@relay`, `db-latency(delay=1s)`, ..
    Named(Vec<FaultOn>),
}

/// `none`, `all`, or names with commas between them.
pub(crate) fn faults(text: &str) -> Result<Faults, String> {
    match text {
        "none" => Ok(Faults::None),
        "all" => Ok(Faults::All),
        _ => {
            let names = fault::split(text);
            if names.contains(&"") {
                return Err("it is `none`, `all`, or names with commas between them".to_owned());
            }
            let named: Result<_, _> = names.into_iter().map(fault::parse).collect();
            named.map(Faults::Named).map_err(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "10", "-3s", "ten", "10s ago", "1e3"] {
            assert!(duration(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn faults_are_none_all_or_names() {
        assert_eq!(faults("none"), Ok(Faults::None));
        assert_eq!(faults("all"), Ok(Faults::All));
        let slow = fault::parse("db-latency(delay=1s,jitter=0ms)").expect("it is one");
        let named = Faults::Named(vec![FaultOn::new("app-crash", Some("relay")), slow]);
        assert_eq!(faults("app-crash@relay, db-latency(delay=1s,jitter=0ms)"), Ok(named));
        let wrong = faults("db-latency(delay=1)").expect_err("it has no unit");
        assert_eq!(
            wrong,
            "`delay` of `db-latency` is a time with its unit, like 200ms, 2s or 1m, and not `1`"
        );
        assert!(faults("app-crash,,db-reset").is_err());
        assert!(faults("").is_err());
    }
}
