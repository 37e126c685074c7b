//! Registers with unique values, by zones.
//!
//! A write and the reads of its value are a cluster. From the earliest completion to the latest invocation of a
//! cluster, if they stand in this order, the register has its value for sure: that is a forward zone. Otherwise
//! all of the cluster overlaps, and one moment in between suffices: a backward zone. The history is linearizable
//! if and only if every read ends after its write begins, no two forward zones overlap, and no backward zone
//! lies within a forward one (Gibbons and Korach, 1997).

use super::Answer;
use super::action::{Action, Part};
use crate::foreign::{OpHistory, Word};
use crate::hash::HashMap;

const NONE: u32 = u32::MAX;

/// A write and the reads of its value. Places are those in the list of steps.
#[derive(Clone, Copy)]
struct Cluster {
    value: Word,
    /// Its place in the order in which values were written.
    number: u32,
    /// [`NONE`] for the initial value.
    write: u32,
    /// The earliest completion, and whose it is. The initial value was there before anything.
    first_end: u64,
    ends: u32,
    /// The latest invocation, and whose it is.
    last_begin: u64,
    begins: u32,
    reads: u32,
}

impl Cluster {
    fn is_forward(&self) -> bool {
        self.first_end < self.last_begin
    }

    fn low(&self) -> u64 {
        self.first_end.min(self.last_begin)
    }

    fn high(&self) -> u64 {
        self.first_end.max(self.last_begin)
    }
}

/// Judges a register; none where a value is written twice or compared.
pub(super) fn judge(history: &OpHistory, part: &Part) -> Option<Answer> {
    let (mut clusters, numbers) = written(part)?;
    // By step, the place of its cluster in the order in which values were written.
    let mut cluster_of = vec![NONE; part.steps.len()];
    for (number, cluster) in clusters.iter().enumerate().filter(|(_, cluster)| cluster.write != NONE) {
        cluster_of[cluster.write as usize] = number as u32;
    }
    for (at, step) in part.steps.iter().enumerate() {
        let Action::Read(value) = step.action else { continue };
        let shown = || history.store().show(value);
        let Some(number) = numbers.get(&value) else {
            let is_failed = part.failed.contains(&value);
            let kind = if is_failed { "G1a" } else { "garbage-read" };
            let said = if is_failed {
                format!("T1 read {}, and its write failed", shown())
            } else {
                format!("T1 read {}, and nobody ever wrote it", shown())
            };
            return Some(Answer::Contradiction { kind, calls: vec![step.call], said });
        };
        cluster_of[at] = *number;
        let cluster = &mut clusters[*number as usize];
        if cluster.write != NONE {
            let write = &part.steps[cluster.write as usize];
            if step.end < write.begin {
                let said = format!("T1 read {} and had ended before T2, which wrote it, began", shown());
                return Some(Answer::Contradiction {
                    kind: "future-read",
                    calls: vec![step.call, write.call],
                    said,
                });
            }
        }
        // One more than the place, so that 0 is before all.
        let (end, begin) = (u64::from(step.end) + 1, u64::from(step.begin) + 1);
        cluster.reads += 1;
        if end < cluster.first_end {
            (cluster.first_end, cluster.ends) = (end, at as u32);
        }
        if begin > cluster.last_begin {
            (cluster.last_begin, cluster.begins) = (begin, at as u32);
        }
    }
    // A write that is undecided and that nobody read has not happened, for all that anybody knows.
    clusters.retain(|cluster| {
        cluster.reads > 0 || cluster.write != NONE && part.steps[cluster.write as usize].end != NONE
    });
    clusters.sort_by_key(Cluster::low);
    Some(match clash(&clusters) {
        Some((one, other)) => contradiction(history, part, &one, &other),
        None => Answer::Order(order(part, &clusters, &cluster_of)),
    })
}

/// The clusters without their reads, and their numbers by value; none where a value is written twice or compared.
fn written(part: &Part) -> Option<(Vec<Cluster>, HashMap<Word, u32>)> {
    let writes = part.steps.iter().filter(|step| matches!(step.action, Action::Write(_))).count();
    let initial = Cluster {
        value: Word::NIL,
        number: 0,
        write: NONE,
        first_end: 0,
        ends: NONE,
        last_begin: 0,
        begins: NONE,
        reads: 0,
    };
    let mut clusters = Vec::with_capacity(writes + 1);
    clusters.push(initial);
    let mut numbers: HashMap<Word, u32> = HashMap::with_capacity_and_hasher(writes + 1, Default::default());
    numbers.insert(Word::NIL, 0);
    for (at, step) in part.steps.iter().enumerate() {
        if matches!(step.action, Action::Cas(..)) {
            return None;
        }
        if let Action::Write(value) = step.action {
            let number = clusters.len() as u32;
            if numbers.insert(value, number).is_some() {
                return None;
            }
            let at = at as u32;
            let (first_end, last_begin) = (u64::from(step.end) + 1, u64::from(step.begin) + 1);
            clusters.push(Cluster {
                value,
                number,
                write: at,
                first_end,
                ends: at,
                last_begin,
                begins: at,
                reads: 0,
            });
        }
    }
    Some((clusters, numbers))
}

/// The first two clusters that contradict each other; they are sorted by their lower ends.
fn clash(clusters: &[Cluster]) -> Option<(Cluster, Cluster)> {
    let mut open: Option<Cluster> = None;
    for cluster in clusters {
        if let Some(before) = open {
            let overlaps = cluster.is_forward() && cluster.low() < before.high();
            if overlaps || cluster.high() < before.high() {
                return Some((before, *cluster));
            }
        }
        if cluster.is_forward() {
            open = Some(*cluster);
        }
    }
    None
}

fn contradiction(history: &OpHistory, part: &Part, one: &Cluster, other: &Cluster) -> Answer {
    let mut steps = [one.ends, one.begins, other.ends, other.begins].to_vec();
    steps.extend([one.write, other.write]);
    steps.retain(|step| *step != NONE);
    steps.sort_unstable();
    steps.dedup();
    let calls = steps.into_iter().map(|step| part.steps[step as usize].call).collect();
    let said = format!(
        "the register had {one} for some time without break, and within that time it must have had {other} too",
        one = history.store().show(one.value),
        other = history.store().show(other.value),
    );
    Answer::Contradiction { kind: "stale-read", calls, said }
}

/// One cluster after the other: forward zones where they begin, backward ones where they begin, or behind the
/// forward zone that they begin in.
fn order(part: &Part, clusters: &[Cluster], cluster_of: &[u32]) -> Vec<u32> {
    let mut placed: Vec<(u64, u32)> = Vec::with_capacity(clusters.len());
    let mut passed = 0;
    for (at, cluster) in clusters.iter().enumerate() {
        let place = if cluster.is_forward() { cluster.low() } else { cluster.low().max(passed) };
        if cluster.is_forward() {
            passed = cluster.high();
        }
        placed.push((place, at as u32));
    }
    placed.sort_unstable();
    let numbers = clusters.iter().map(|cluster| cluster.number as usize + 1).max().unwrap_or_default();
    let mut place_of = vec![NONE; numbers];
    for (place, (_, cluster)) in placed.iter().enumerate() {
        place_of[clusters[*cluster as usize].number as usize] = place as u32;
    }
    let place = |at: usize| place_of.get(cluster_of[at] as usize).copied().filter(|place| *place != NONE);
    let mut steps: Vec<(u32, bool, u32)> = Vec::with_capacity(part.steps.len());
    for (at, step) in part.steps.iter().enumerate() {
        steps.extend(place(at).map(|place| (place, step.action.is_pure(), step.call)));
    }
    // Stable: reads of one value stay in the order in which they began.
    steps.sort_by_key(|(place, is_read, _)| (*place, *is_read));
    steps.into_iter().map(|(_, _, call)| call).collect()
}
