//! Dates and times as PostgreSQL reads and prints them (`DateStyle` ISO, time zone UTC).
//!
//! A date counts days, a timestamp microseconds, from 1970-01-01. The proleptic Gregorian calendar is computed as
//! in Howard Hinnant's `chrono`-compatible low-level date algorithms.

use std::fmt::Write as _;

/// Microseconds of a day.
pub(crate) const DAY_US: i64 = 86_400_000_000;

/// The day of a date.
pub(crate) fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a day.
pub(crate) fn date_of(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// `2024-02-29`.
pub(crate) fn date_text(day: i64) -> String {
    let (year, month, day) = date_of(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `02-29-2024`, as `DateStyle` `Postgres, MDY` has it.
pub(crate) fn us_date_text(day: i64) -> String {
    let (year, month, day) = date_of(day);
    format!("{month:02}-{day:02}-{year:04}")
}

/// `2024-02-29 12:00:00.5`.
pub(crate) fn timestamp_text(at_us: i64) -> String {
    let mut text = date_text(at_us.div_euclid(DAY_US));
    text.push(' ');
    text.push_str(&time_text(at_us.rem_euclid(DAY_US)));
    text
}

/// `12:00:00.5`, also of more than a day.
pub(crate) fn time_text(of_day_us: i64) -> String {
    let (seconds, fraction) = (of_day_us / 1_000_000, of_day_us % 1_000_000);
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction > 0 {
        // Writing to a string does not fail.
        let _ = write!(text, ".{fraction:06}");
        text.truncate(text.trim_end_matches('0').len());
    }
    text
}

/// Reads `2024-02-29` or `2/29/2024`; none where it is no date.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let text = text.trim();
    let (year, month, day) = if text.contains('/') {
        let mut parts = text.split('/');
        let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        (year, month, day)
    } else {
        let mut parts = text.splitn(3, '-');
        (parts.next()?, parts.next()?, parts.next()?)
    };
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    let at = day_of(year, month, day);
    (date_of(at) == (year, month, day)).then_some(at)
}

/// Reads a date with or without a time of day; an offset counts only for `timestamptz`.
pub(crate) fn parse_timestamp(text: &str, with_zone: bool) -> Option<i64> {
    let text = text.trim();
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let day_us = parse_date(date)?.checked_mul(DAY_US)?;
    let (time, offset_us) = split_zone(time.trim())?;
    let time_us = if time.is_empty() { 0 } else { parse_time(time)? };
    Some(day_us + time_us - if with_zone { offset_us } else { 0 })
}

/// Reads `12:00`, `12:00:00.5`.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let (hours, minutes) = (number(parts.next()?)?, number(parts.next()?)?);
    let seconds_us = match parts.next() {
        Some(seconds) => {
            let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
            if fraction.len() > 6 {
                return None;
            }
            number(whole)? * 1_000_000 + number(&format!("{fraction:0<6}"))?
        }
        None => 0,
    };
    (minutes < 60 && seconds_us < 61_000_000).then_some((hours * 60 + minutes) * 60_000_000 + seconds_us)
}

fn split_zone(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time.trim_end(), 0));
    }
    let Some(at) = time.find(['+', '-']) else { return Some((time, 0)) };
    let (clock, zone) = time.split_at(at);
    let (hours, minutes) = zone[1..].split_once(':').unwrap_or((&zone[1..], "0"));
    let offset_us = (number(hours)? * 60 + number(minutes)?) * 60_000_000;
    Some((clock.trim_end(), if zone.starts_with('-') { -offset_us } else { offset_us }))
}

fn number(digits: &str) -> Option<i64> {
    let plain = !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_one() {
        for (day, text) in
            [(0, "1970-01-01"), (-1, "1969-12-31"), (19_782, "2024-02-29"), (11_016, "2000-02-29")]
        {
            assert_eq!(date_text(day), text);
            assert_eq!(parse_date(text), Some(day));
        }
        assert_eq!(parse_date("2023-02-29"), None);
        assert_eq!(parse_date("12/22/2008"), parse_date("2008-12-22"));
    }

    #[test]
    fn times_are_read_and_printed() {
        let at = parse_timestamp("2024-02-29 12:30:00.250", true).unwrap();
        assert_eq!(timestamp_text(at), "2024-02-29 12:30:00.25");
        assert_eq!(parse_timestamp("2024-02-29 14:30:00.25+02", true), Some(at));
        assert_eq!(parse_timestamp("2024-02-29 25", true), None);
    }
}
