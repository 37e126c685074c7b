//! Cycles of transactions that send to logs and poll from them.

use super::anomaly::{Anomaly, Extent, Family};
use super::cycle::{Search, Spec};
use super::found::Findings;
use super::graph::{DATA, Edges, PROCESS, REALTIME, RW, WR, WW};
use super::search::{Dependencies, look_for};
use super::txns::{Kind, Txn, Txns};
use super::witness::{Step, Why};
use crate::foreign::OpHistory;
use crate::hash::HashMap;

/// One call comes before another, and why.
pub(crate) struct LogEdge {
    /// Places in the list of calls.
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) why: Why,
}

/// A kind of cycle.
pub(crate) struct LogCycle {
    pub(crate) family: Family,
    pub(crate) extent: Extent,
    pub(crate) count: u64,
    pub(crate) steps: Vec<Step>,
}

/// Cycles of some families, each with how far beside the data it goes. `calls` are those that took effect, in
/// their order.
pub(crate) fn log_cycles(
    history: &OpHistory,
    calls: &[u32],
    edges: &[LogEdge],
    wanted: &[(Family, Extent)],
) -> Vec<LogCycle> {
    let txns: Vec<Txn> = calls.iter().map(|call| txn(history, *call)).collect();
    let txns = Txns { txns, ..Txns::empty(history, Kind::List) };
    let committed = vec![true; calls.len()];
    let kind = |why: &Why| match why {
        Why::Ww { .. } => WW,
        Why::Wr { .. } => WR,
        Why::Rw { .. } => RW,
        Why::Process => PROCESS,
        Why::Realtime => REALTIME,
    };
    let mut gathered = Edges::new(calls.len());
    let mut reasons: HashMap<(u32, u32, u32), &Why> = HashMap::default();
    for edge in edges {
        gathered.add(edge.from, edge.to, kind(&edge.why));
        reasons.entry((edge.from, edge.to, u32::from(kind(&edge.why)))).or_insert(&edge.why);
    }
    gathered.add_process_order(&txns, &committed);
    if history.is_timed() {
        gathered.add_realtime_order(&txns, &committed);
    }
    let graph = gathered.build();
    let all = graph.components(DATA | PROCESS | REALTIME, None);
    let dependencies = Dependencies {
        txns: &txns,
        committed: &committed,
        unordered: &Vec::new,
        explain: &|from, to, kind| {
            reasons.get(&(from, to, u32::from(kind))).map(|why| ((*why).clone(), None))
        },
    };
    let mut findings = Findings::default();
    let mut search = Search::new(&graph, calls.len());
    for (family, extent) in wanted.iter().copied().filter(|_| !all.cyclic.is_empty()) {
        let is_known =
            Extent::ALL.into_iter().any(|less| less < extent && findings.has(Anomaly::Cycle(family, less)));
        if !is_known {
            let spec = Spec { family, extent };
            look_for(&dependencies, &graph, &all, &mut search, spec, &mut findings, &mut || true);
        }
    }
    let (found, _) = findings.into_found();
    let cycles = found.into_iter().filter_map(|(anomaly, count, witness)| match anomaly {
        Anomaly::Cycle(family, extent) => Some(LogCycle { family, extent, count, steps: witness.steps }),
        _ => None,
    });
    cycles.collect()
}

fn txn(history: &OpHistory, at: u32) -> Txn {
    let call = &history.calls()[at as usize];
    Txn {
        call: at,
        begin: call.begin,
        end: call.end,
        process: history.ops()[call.telling_op() as usize].process,
        first_mop: 0,
        mops: 0,
        outcome: call.outcome,
    }
}
