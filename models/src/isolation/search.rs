//! Looks for the cycles of a graph of dependencies, family by family.

use super::anomaly::{Anomaly, Extent, Family};
use super::cycle::{Cycle, Search, Sought, Spec};
use super::found::Findings;
use super::graph::{Components, DATA, Edges, Graph, PROCESS, REALTIME};
use super::level::Level;
use super::order::{self, Order};
use super::txns::Txns;
use super::witness::{Step, Why, Witness};

/// Why an edge of the data holds, and which call's read shows it.
pub(super) type Explain<'a> = dyn Fn(u32, u32, u8) -> Option<(Why, Option<u32>)> + 'a;

/// The transactions that the graph is about.
pub(super) struct Dependencies<'a> {
    pub(super) txns: &'a Txns<'a>,
    pub(super) committed: &'a [bool],
    /// Of each key the transactions that wrote it in an order that nobody saw.
    pub(super) unordered: &'a dyn Fn() -> Vec<Vec<u32>>,
    pub(super) explain: &'a Explain<'a>,
}

/// Which orders beside that of the data a level keeps.
pub(super) fn extent_of(level: Level) -> Extent {
    let name = level.name();
    if name.starts_with("strong-session-") {
        Extent::Process
    } else if name.starts_with("strong-") || name.starts_with("strict-") {
        Extent::Realtime
    } else {
        Extent::Data
    }
}

fn add_extent(txns: &Txns<'_>, committed: &[bool], extent: Extent, edges: &mut Edges) {
    if extent >= Extent::Process {
        edges.add_process_order(txns, committed);
    }
    if extent == Extent::Realtime && txns.history.is_timed() {
        edges.add_realtime_order(txns, committed);
    }
}

/// An order of all transactions that committed, by the time of their ends as far as the edges allow; none where
/// these go in circles.
pub(super) fn serial_order(
    txns: &Txns<'_>,
    committed: &[bool],
    mut edges: Edges,
    level: Level,
) -> Option<Vec<u32>> {
    add_extent(txns, committed, extent_of(level), &mut edges);
    let graph = edges.build();
    let order = graph.order_by(|node| txns.txns.get(node as usize).map_or(0, |txn| txn.end));
    let is_whole = order.len() == graph.nodes();
    is_whole.then(|| order.into_iter().filter(|node| committed.get(*node as usize) == Some(&true)).collect())
}

/// Whether the time is over while the graph is still built: then no cycle is ruled out.
pub(super) fn is_over(extent: Extent, findings: &mut Findings, go_on: &mut dyn FnMut() -> bool) -> bool {
    let is_over = !go_on();
    if is_over {
        let known = Extent::ALL.into_iter().filter(|known| *known <= extent);
        let cycles = known.flat_map(|known| Family::ALL.map(|family| Anomaly::Cycle(family, known)));
        findings.undecided = cycles.filter(|cycle| !findings.has(*cycle)).collect();
    }
    is_over
}

/// Looks for every anomaly that has to do with cycles. If there is none that matters to the level, gives an
/// order of the transactions that shows it.
pub(super) fn cycles(
    dependencies: &Dependencies<'_>,
    mut edges: Edges,
    level: Level,
    findings: &mut Findings,
    go_on: &mut dyn FnMut() -> bool,
) -> Option<Order> {
    let Dependencies { txns, committed, .. } = dependencies;
    let extent = extent_of(level);
    if is_over(extent, findings, go_on) {
        return None;
    }
    add_extent(txns, committed, extent, &mut edges);
    if is_over(extent, findings, go_on) {
        return None;
    }
    let graph = edges.build();
    if is_over(extent, findings, go_on) {
        return None;
    }
    let all = graph.components(DATA | PROCESS | REALTIME, None);
    if all.cyclic.is_empty() {
        let serial = all.order.iter().filter(|node| committed.get(**node as usize) == Some(&true));
        let calls = serial.map(|node| txns.txns[*node as usize].call).collect();
        return Some(Order::Serial { calls, extent });
    }
    let mut search = Search::new(&graph, txns.txns.len());
    for extent in Extent::ALL.into_iter().filter(|wanted| *wanted <= extent) {
        for family in Family::ALL {
            // What the data alone show needs no order of processes or of real time.
            let is_known = Extent::ALL
                .into_iter()
                .any(|less| less < extent && findings.has(Anomaly::Cycle(family, less)));
            if !is_known {
                look_for(dependencies, &graph, &all, &mut search, Spec { family, extent }, findings, go_on);
            }
        }
    }
    let order = order::weaker(&graph, txns, committed, &(dependencies.unordered)(), level, extent);
    order::settle(order, level, extent, findings)
}

pub(super) fn look_for(
    dependencies: &Dependencies<'_>,
    graph: &Graph,
    all: &Components,
    search: &mut Search<'_>,
    spec: Spec,
    findings: &mut Findings,
    go_on: &mut dyn FnMut() -> bool,
) {
    let anomaly = Anomaly::Cycle(spec.family, spec.extent);
    let components = graph.components(spec.mask(), Some(all));
    let mut is_undecided = false;
    for members in &components.cyclic {
        match search.find(members, &components, spec, go_on) {
            Sought::Found(cycle) => {
                if let Some(witness) = witness(dependencies, anomaly, &cycle) {
                    findings.add(anomaly, || witness);
                }
            }
            Sought::Absent => {}
            Sought::Undecided => is_undecided = true,
        }
    }
    if is_undecided && !findings.has(anomaly) {
        findings.undecided.push(anomaly);
    }
}

/// The cycle with the reason of each edge.
fn witness(dependencies: &Dependencies<'_>, anomaly: Anomaly, cycle: &Cycle) -> Option<Witness> {
    let call = |node: u32| dependencies.txns.txns[node as usize].call;
    let mut steps = Vec::with_capacity(cycle.len());
    let mut seen_in = Vec::new();
    for (at, (from, kind)) in cycle.iter().enumerate() {
        let to = cycle[(at + 1) % cycle.len()].0;
        let why = match *kind {
            PROCESS => Why::Process,
            REALTIME => Why::Realtime,
            kind => {
                let (why, reader) = (dependencies.explain)(*from, to, kind)?;
                seen_in.extend(reader);
                why
            }
        };
        steps.push(Step { from: call(*from), to: call(to), why });
    }
    seen_in.sort_unstable();
    seen_in.dedup();
    Some(Witness::cycle(dependencies.txns.history, anomaly, steps, seen_in))
}
