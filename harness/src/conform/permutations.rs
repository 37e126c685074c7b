//! The permutations of a case that names none: every interleaving of the sessions' steps.

use super::spec::{Launch, Permutation, Spec};

/// The permutations to run, in order.
pub(super) fn permutations(spec: &Spec) -> Box<dyn Iterator<Item = Permutation> + Send + '_> {
    if spec.permutations.is_empty() {
        Box::new(Interleavings { spec, next: Some(first(spec)) })
    } else {
        Box::new(spec.permutations.iter().cloned())
    }
}

/// One session after the other.
fn first(spec: &Spec) -> Vec<usize> {
    let turns = |(at, session): (usize, &super::SessionSpec)| vec![at; session.steps.len()];
    spec.sessions.iter().enumerate().flat_map(turns).collect()
}

/// Interleavings as sequences of sessions, in lexicographic order; that of isolationtester.
struct Interleavings<'a> {
    spec: &'a Spec,
    next: Option<Vec<usize>>,
}

impl Iterator for Interleavings<'_> {
    type Item = Permutation;

    fn next(&mut self) -> Option<Permutation> {
        let turns = self.next.take()?;
        let mut taken = vec![0; self.spec.sessions.len()];
        let launch = |session: usize| {
            taken[session] += 1;
            Launch { session, step: taken[session] - 1, blockers: Vec::new() }
        };
        let launches = turns.iter().copied().map(launch).collect();
        self.next = following(turns);
        Some(launches)
    }
}

/// The next sequence of the same turns in lexicographic order.
fn following(mut turns: Vec<usize>) -> Option<Vec<usize>> {
    let rise = turns.windows(2).rposition(|pair| pair[0] < pair[1])?;
    let larger = turns.iter().rposition(|turn| *turn > turns[rise])?;
    turns.swap(rise, larger);
    turns[rise + 1..].reverse();
    Some(turns)
}

#[cfg(test)]
mod tests {
    use super::super::case::Language;
    use super::super::parse::parse;
    use super::*;

    #[test]
    fn all_interleavings_come_in_order() {
        let text = "session a step a1 { } step a2 { } session b step b1 { } step b2 { }";
        let spec = parse(text, Language::Sql).expect("it is well formed");
        let names = |launches: Permutation| {
            let name = |launch: &Launch| spec.step(launch).name.clone();
            launches.iter().map(name).collect::<Vec<_>>().join(" ")
        };
        let all: Vec<String> = permutations(&spec).map(names).collect();
        assert_eq!(
            all,
            ["a1 a2 b1 b2", "a1 b1 a2 b2", "a1 b1 b2 a2", "b1 a1 a2 b2", "b1 a1 b2 a2", "b1 b2 a1 a2"]
        );
    }
}
