//! Numbers as Redis reads and writes them.

use super::answer::{NOT_A_FLOAT, NOT_AN_INTEGER, Stop};

/// A whole number in its one canonical form: no sign but a minus, no leading zero, no space.
pub(crate) fn parse_int(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let canonical = match digits {
        [b'0'] => bytes.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    // What does not fit is refused by the parser.
    if canonical { std::str::from_utf8(bytes).ok()?.parse().ok() } else { None }
}

/// A whole number, or the refusal.
pub(crate) fn int(bytes: &[u8]) -> Result<i64, Stop> {
    parse_int(bytes).ok_or(NOT_AN_INTEGER)
}

/// A number with a fraction, or infinity; never NaN.
pub(crate) fn parse_float(bytes: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.parse().ok().filter(|value: &f64| !value.is_nan())
}

/// A number with a fraction, or the refusal.
pub(crate) fn float(bytes: &[u8]) -> Result<f64, Stop> {
    parse_float(bytes).ok_or(NOT_A_FLOAT)
}

/// A number without its fraction; what does not fit becomes the lowest, as by the processor that Redis leaves it to.
pub(crate) fn truncated(value: f64) -> i64 {
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value);
    if fits { value as i64 } else { i64::MIN }
}

/// A score as text: C's `%.17g`, which Redis 7.0 writes.
pub(crate) fn score_text(value: f64) -> String {
    significant(value, 17)
}

/// C's `%.<digits>g`.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_numbers_are_numbers() {
        for good in ["0", "-1", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(parse_int(good.as_bytes()), good.parse().ok(), "{good}");
        }
        for bad in ["", "-", "+1", "01", "-0", " 1", "1 ", "1.0", "9223372036854775808"] {
            assert_eq!(parse_int(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn scores_are_written_as_c_does() {
        for (value, text) in [
            (0.1, "0.10000000000000001"),
            (3.0, "3"),
            (-1.5, "-1.5"),
            (1e17, "1e+17"),
            (1e16, "10000000000000000"),
            (0.000_01, "1.0000000000000001e-05"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(score_text(value), text);
        }
    }
}
