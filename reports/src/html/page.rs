//! What every page has: head, style, and the few pieces that several pages show.

use crosscheck_models::verdict::Verdict;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("../assets/report.css");

/// Forbids the page to load anything, whatever texts of the run it holds.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// A whole page.
pub(super) fn page(title: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
    .into_string()
}

/// A verdict as a coloured word with a sign, so that colour alone says nothing.
pub(super) fn badge(verdict: Verdict) -> Markup {
    html! { span class={ "badge " (verdict) } { (sign(verdict)) " " (verdict) } }
}

pub(super) fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "✓",
        Verdict::Unknown => "?",
        Verdict::Violated => "✗",
    }
}

/// The colour if it is one; a saved run can hold any text there.
pub(super) fn colour(text: &str) -> &str {
    let hex = text.strip_prefix('#').unwrap_or_default();
    let plain = matches!(hex.len(), 3 | 6) && hex.chars().all(|digit| digit.is_ascii_hexdigit());
    if plain { text } else { "#999999" }
}

#[cfg(test)]
mod tests {
    use super::colour;

    #[test]
    fn only_colours_reach_a_style() {
        let shown: Vec<&str> = ["#E9A4A0", "#abc", "red;background:x", "#12345", ""].map(colour).to_vec();
        assert_eq!(shown, ["#E9A4A0", "#abc", "#999999", "#999999", "#999999"]);
    }
}
