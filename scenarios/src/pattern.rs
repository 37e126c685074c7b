//! Which variants a pattern of the command line means.

use std::sync::Arc;

use crosscheck_harness::design::Design;
use wildmatch::WildMatch;

use crate::design;

/// How alike an id must be to be offered instead of one that is not there.
const LIKENESS_MIN: f64 = 0.6;

/// How many ids are offered at most.
const CLOSE_IDS_MAX: usize = 3;

/// A pattern that is no variant's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no variant is called `{pattern}`{}; `crosscheck list` shows all of them", offer(close))]
pub struct NoMatch {
    /// The pattern as given.
    pub pattern: String,
    /// The ids that it may have meant, the likeliest first.
    pub close: Vec<String>,
}

/// The variants that the patterns mean, each once, in the order of the ground-truth table.
///
/// A pattern is a glob over the full id, in which `*` also crosses `/`. Without a wildcard it is exactly that id.
///
/// # Errors
/// The first pattern that is no variant's, with close ids.
pub fn select(patterns: &[String]) -> Result<Vec<Arc<dyn Design>>, NoMatch> {
    let all = design::all();
    let ids: Vec<String> = all.iter().map(|design| design.id()).collect();
    let chosen = matching(patterns, &ids)?;
    Ok(all.into_iter().zip(chosen).filter_map(|(design, is_chosen)| is_chosen.then_some(design)).collect())
}

/// For each id, whether a pattern means it.
fn matching(patterns: &[String], ids: &[String]) -> Result<Vec<bool>, NoMatch> {
    let mut chosen = vec![false; ids.len()];
    for pattern in patterns {
        let glob = WildMatch::new(pattern);
        let mut is_met = false;
        for (is_chosen, id) in chosen.iter_mut().zip(ids) {
            if glob.matches(id) {
                *is_chosen = true;
                is_met = true;
            }
        }
        if !is_met {
            return Err(NoMatch { pattern: pattern.clone(), close: close_to(pattern, ids) });
        }
    }
    Ok(chosen)
}

fn close_to(pattern: &str, ids: &[String]) -> Vec<String> {
    let literal = pattern.replace(['*', '?'], "");
    if literal.is_empty() {
        return Vec::new();
    }
    let mut likely: Vec<(f64, &String)> = ids
        .iter()
        .map(|id| (likeness(&literal, id), id))
        .filter(|(alike, _)| *alike > LIKENESS_MIN)
        .collect();
    likely.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    likely.into_iter().take(CLOSE_IDS_MAX).map(|(_, id)| id.clone()).collect()
}

/// A part of an id is as good as the whole: people leave words out.
fn likeness(literal: &str, id: &str) -> f64 {
    if id.contains(literal) { 1.0 } else { strsim::normalized_damerau_levenshtein(literal, id) }
}

fn offer(close: &[String]) -> String {
    if close.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = close.iter().map(|id| format!("`{id}`")).collect();
    format!(" (close: {})", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 5] = [
        "dual-write-db-then-queue",
        "dual-write-db-then-queue/single-writer",
        "outbox-poll-flag-single",
        "outbox-poll-flag-single/mark-before-publish",
        "outbox-wal-relay",
    ];

    fn chosen(patterns: &[&str]) -> Result<Vec<&'static str>, String> {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let ids = IDS.map(str::to_owned);
        let flags = matching(&patterns, &ids).map_err(|error| error.to_string())?;
        Ok(IDS.into_iter().zip(flags).filter_map(|(id, is_chosen)| is_chosen.then_some(id)).collect())
    }

    #[test]
    fn without_a_wildcard_it_is_exactly_that_id() {
        assert_eq!(chosen(&["dual-write-db-then-queue"]), Ok(vec![IDS[0]]));
        assert_eq!(chosen(&["outbox-poll-flag-single/mark-before-publish"]), Ok(vec![IDS[3]]));
    }

    #[test]
    fn a_star_crosses_the_slash() {
        assert_eq!(chosen(&["*single*"]), Ok(vec![IDS[1], IDS[2], IDS[3]]));
        assert_eq!(chosen(&["*/*"]), Ok(vec![IDS[1], IDS[3]]));
        assert_eq!(chosen(&["*"]), Ok(IDS.to_vec()));
        assert_eq!(chosen(&["outbox-wal-rela?"]), Ok(vec![IDS[4]]));
    }

    #[test]
    fn several_patterns_choose_each_variant_once_in_the_order_of_the_table() {
        assert_eq!(chosen(&["outbox*", "dual-write-db-then-queue", "*relay"]).map(|ids| ids.len()), Ok(4));
        assert_eq!(chosen(&["outbox-wal-relay", "dual-write-db-then-queue"]), Ok(vec![IDS[0], IDS[4]]));
        assert_eq!(chosen(&[]), Ok(vec![]));
    }

    #[test]
    fn what_matches_nothing_is_refused_with_close_ids() {
        let refused = |pattern| chosen(&[pattern]).expect_err("nothing matches");
        insta::assert_snapshot!(refused("outbox-wal-realy"), @"no variant is called `outbox-wal-realy` (close: `outbox-wal-relay`); `crosscheck list` shows all of them");
        insta::assert_snapshot!(refused("mark-before-publish"), @"no variant is called `mark-before-publish` (close: `outbox-poll-flag-single/mark-before-publish`); `crosscheck list` shows all of them");
        insta::assert_snapshot!(refused("*zzz*"), @"no variant is called `*zzz*`; `crosscheck list` shows all of them");
        insta::assert_snapshot!(refused(""), @"no variant is called ``; `crosscheck list` shows all of them");
    }

    #[test]
    fn one_bad_pattern_among_good_ones_is_refused() {
        assert!(chosen(&["*", "nothing-like-it"]).is_err());
    }

    #[test]
    fn every_variant_is_found_by_its_own_id() {
        for design in design::all() {
            let found = select(&[design.id()]).expect("it is in the catalogue");
            assert_eq!(found.iter().map(|found| found.id()).collect::<Vec<_>>(), [design.id()]);
        }
    }
}
