//! How numbers, times and verdicts are put in words.

use std::collections::BTreeMap;

use crosscheck_models::verdict::Verdict;

use crate::run::SavedRun;

/// `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `count` things: `1 operation`, `2 operations`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", count(number))
}

/// A duration with three significant digits and its unit.
pub(crate) fn duration(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

/// A moment of the run, in milliseconds to the microsecond, as the story has it.
pub(crate) fn moment(ns: u64) -> String {
    let micros = ns / 1_000;
    format!("{}.{:03} ms", micros / 1_000, micros % 1_000)
}

/// A counter's name for people: `overlapping_txns` as `overlapping txns`.
pub(crate) fn counter_name(name: &str) -> String {
    name.replace(['_', '-'], " ")
}

/// Counters in one line: `3 duplicates delivered, 12 overlapping txns`.
pub(crate) fn counters(counters: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> =
        counters.iter().map(|(name, number)| format!("{} {}", count(*number), counter_name(name))).collect();
    parts.join(", ")
}

/// The text, cut to `length_max` characters with an ellipsis.
pub(crate) fn shortened(text: &str, length_max: usize) -> String {
    if text.chars().count() <= length_max {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(length_max.saturating_sub(1)).collect();
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    cut
}

/// The verdict as one sentence, which claims no more than was seen.
pub(crate) fn headline(run: &SavedRun) -> String {
    match run.verdict.verdict {
        Verdict::Violated => violated_headline(run),
        Verdict::Unknown => match run.verdict.unknown_reason() {
            Some(reason) => format!("Could not tell: {reason}."),
            None => "Could not tell: no claimed property could be decided.".to_owned(),
        },
        Verdict::Valid => valid_headline(run),
    }
}

/// A further sentence on what is violated but not claimed, if anything is.
pub(crate) fn notes_sentence(run: &SavedRun) -> Option<String> {
    let ids: Vec<&str> = run
        .verdict
        .properties
        .iter()
        .filter(|judged| !judged.claimed && judged.verdict.verdict == Verdict::Violated)
        .map(|judged| judged.property().id())
        .collect();
    (!ids.is_empty()).then(|| format!("Violated too, but not claimed by this design: {}.", ids.join(", ")))
}

fn violated_headline(run: &SavedRun) -> String {
    let violated: Vec<_> = run.verdict.claimed(Verdict::Violated).collect();
    let Some(first) = violated.first() else {
        return "A claim is violated.".to_owned();
    };
    let ids: Vec<&str> = violated.iter().map(|judged| judged.property().id()).collect();
    let verb = if ids.len() == 1 { "is" } else { "are" };
    let what = first
        .verdict
        .witness
        .as_ref()
        .map_or(first.property().statement(), |witness| witness.summary.trim_end_matches('.'));
    format!("{} {verb} violated: {what}.", ids.join(", "))
}

fn valid_headline(run: &SavedRun) -> String {
    let claims = run.verdict.properties.iter().filter(|judged| judged.claimed).count() as u64;
    if claims == 0 {
        return "No property was claimed, so there was nothing to violate.".to_owned();
    }
    let completed = run.history.ops().iter().filter(|operation| operation.is_ok()).count() as u64;
    let properties = if claims == 1 { "claimed property" } else { "claimed properties" };
    let mut sentence = format!(
        "No violation of {} {properties} found in {}",
        count(claims),
        counted(completed, "completed operation")
    );
    let exercised = required_counters(run);
    if !exercised.is_empty() {
        sentence.push_str(", which exercised: ");
        sentence.push_str(&counters(&exercised));
    }
    sentence.push('.');
    sentence
}

/// The counters that the claimed verdicts rest on.
fn required_counters(run: &SavedRun) -> BTreeMap<String, u64> {
    let mut out = BTreeMap::new();
    for judged in run.verdict.claimed(Verdict::Valid) {
        for name in &judged.verdict.required {
            let number = judged.verdict.exercised.get(name).copied().unwrap_or(0);
            let most: &mut u64 = out.entry(name.clone()).or_default();
            *most = number.max(*most);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let shown: Vec<String> = [0, 7, 999, 1_000, 123_456, 1_234_567].into_iter().map(count).collect();
        assert_eq!(shown, ["0", "7", "999", "1,000", "123,456", "1,234,567"]);
    }

    #[test]
    fn durations_have_three_significant_digits() {
        let shown: Vec<String> =
            [0, 999, 1_000, 12_340, 123_400, 4_560_000, 78_900_000_000].into_iter().map(duration).collect();
        assert_eq!(shown, ["0 ns", "999 ns", "1.00 µs", "12.3 µs", "123 µs", "4.56 ms", "78.9 s"]);
    }

    #[test]
    fn shortening_keeps_characters_whole() {
        assert_eq!(shortened("größer als", 20), "größer als");
        assert_eq!(shortened("größer als", 8), "größer…");
    }
}
