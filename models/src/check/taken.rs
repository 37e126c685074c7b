//! What was received, applied, read and left in the log, with the commits that it announces.
//!
//! The lists need nothing of each other, so where they are long two threads take them. A key that nobody has
//! committed or written is a stranger: it gets its number afterwards, so that numbers follow the history and not the threads.

use std::thread;

use super::SHORT_EVENTS;
use super::commits::Commits;
use super::index::{Applied, Logged, NONE, Names, Receipt, Seen};
use super::pairs::Pairs;
use crate::hash::HashMap;
use crate::history::{Deliver, Effect, Final, History, LogRow, Observed, Process, Text};

/// All lists.
pub(super) struct Taken<'h> {
    pub(super) live: List<Receipt>,
    /// By topic, partition and offset.
    pub(super) log: Option<(Final<'h, LogRow>, List<Logged>)>,
    pub(super) effects: List<Applied>,
    pub(super) reads: List<Seen<'h>>,
    /// The session of each operation.
    pub(super) sessions: Vec<u32>,
}

/// Items, and which of them have keys that have no number yet.
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    strangers: Vec<(usize, Text)>,
}

/// What has a key.
pub(super) trait Keyed {
    fn set_key(&mut self, key: u32);
}

impl Keyed for Receipt {
    fn set_key(&mut self, key: u32) {
        self.key = key;
    }
}

impl Keyed for Logged {
    fn set_key(&mut self, key: u32) {
        self.key = key;
    }
}

impl Keyed for Applied {
    fn set_key(&mut self, key: u32) {
        self.key = key;
    }
}

impl Keyed for Seen<'_> {
    fn set_key(&mut self, key: u32) {
        self.key = key;
    }
}

impl<T: Keyed> List<T> {
    fn with_room(count: usize) -> List<T> {
        List { items: Vec::with_capacity(count), strangers: Vec::new() }
    }

    /// Adds an item, whose key is a stranger if it has no number.
    fn push(&mut self, item: T, number: u32, key: Text) {
        if number == NONE {
            self.strangers.push((self.items.len(), key));
        }
        self.items.push(item);
    }

    /// Gives the strangers numbers.
    pub(super) fn name_strangers(&mut self, keys: &mut Names) {
        for (at, key) in self.strangers.drain(..) {
            self.items[at].set_key(keys.number(key));
        }
    }
}

/// Takes all lists.
pub(super) fn all<'h>(history: &'h History, commits: &Commits<'h>, keys: &Names) -> Taken<'h> {
    let places = || Places { commits, keys, identities: HashMap::default() };
    let live = || delivers(history, places());
    let others = || {
        let log = history.final_log().map(|read| (read, log(read, places())));
        (log, effects(history, places()), reads(history, keys), sessions(history))
    };
    let (live, (log, effects, reads, sessions)) = if history.len() < SHORT_EVENTS {
        (live(), others())
    } else {
        thread::scope(|scope| {
            let live = scope.spawn(live);
            let others = others();
            (live.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), others)
        })
    };
    Taken { live, log, effects, reads, sessions }
}

/// Where announcements belong.
struct Places<'i, 'h> {
    commits: &'i Commits<'h>,
    keys: &'i Names,
    identities: HashMap<(Text, Option<Text>), u32>,
}

/// What is known of an announcement: its key, its commit, its identity.
struct Place {
    key: u32,
    commit: u32,
    identity: u32,
}

impl Places<'_, '_> {
    /// Where an announcement belongs. One look-up finds the operation, and with it the rest, nearly always.
    fn of(&mut self, op_id: Text, name: Text, ver: u64, event_id: Option<Text>) -> Place {
        let key = self.keys.get(name).unwrap_or(NONE);
        let mut own = self.commits.of(op_id, key);
        let first = own.next();
        let is_exact = |at: &u32| self.commits.at(*at).ver() == Some(ver);
        let commit = first.filter(is_exact).or_else(|| own.find(is_exact)).or(first).unwrap_or(NONE);
        drop(own);
        let identity = match (first, event_id) {
            (Some(first), None) => first,
            _ => self.identity(event_id, op_id, name),
        };
        Place { key, commit, identity }
    }

    /// An explicit id stands alone; the default one is the operation and the key together, for which their first
    /// commit stands where there is one. So these numbers begin after those of the commits.
    fn identity(&mut self, event_id: Option<Text>, op_id: Text, name: Text) -> u32 {
        let next = (self.commits.len() + self.identities.len()) as u32;
        let identity = event_id.map_or((op_id, Some(name)), |id| (id, None));
        *self.identities.entry(identity).or_insert(next)
    }
}

fn delivers(history: &History, mut places: Places<'_, '_>) -> List<Receipt> {
    let mut list = List::with_room(history.observed_counts().0);
    let mut lanes: HashMap<Process, u32> = HashMap::default();
    for Observed { index, time, process, body } in history.delivers() {
        let next = lanes.len() as u32;
        let lane = *lanes.entry(process).or_insert(next);
        let Deliver { key: name, ver, op_id, event_id, .. } = body;
        let Place { key, commit, identity } = places.of(op_id, name, ver, event_id);
        let known = Logged { row: NONE, key, commit, identity };
        let receipt = Receipt::of(&body, known, lane, (index, time));
        list.push(receipt, key, name);
    }
    by_time(&mut list, Receipt::moment);
    find_again(&mut list.items, history.final_ledger().is_some());
    list
}

/// Finds what came again to a lane.
pub(super) fn find_again(receipts: &mut [Receipt], has_ledger: bool) {
    let mut had = Pairs::default();
    for receipt in receipts {
        let is_placed = receipt.commit != NONE || !has_ledger;
        receipt.is_again = is_placed && !had.insert(receipt.lane, receipt.identity);
    }
}

/// Puts a list in the order of time, in which it nearly always is; strangers are where their items are then.
fn by_time<T: Copy>(list: &mut List<T>, moment: impl Fn(&T) -> (u64, u64)) {
    if list.items.is_sorted_by_key(&moment) {
        return;
    }
    let mut order: Vec<usize> = (0..list.items.len()).collect();
    order.sort_by_key(|at| moment(&list.items[*at]));
    let mut place_of = vec![0; order.len()];
    for (place, at) in order.iter().enumerate() {
        place_of[*at] = place;
    }
    list.items = order.into_iter().map(|at| list.items[at]).collect();
    for (at, _) in &mut list.strangers {
        *at = place_of[*at];
    }
}

fn log(log: Final<'_, LogRow>, mut places: Places<'_, '_>) -> List<Logged> {
    let mut order: Vec<u32> = (0..log.rows.len() as u32).collect();
    let place = |row: &LogRow| (row.topic, row.partition, row.offset);
    if !log.rows.is_sorted_by_key(place) {
        order.sort_by_key(|at| place(&log.rows[*at as usize]));
    }
    let mut list = List::with_room(order.len());
    for at in order {
        let row = &log.rows[at as usize];
        let Place { key, commit, identity } = places.of(row.op_id, row.key, row.ver, row.event_id);
        list.push(Logged { row: at, key, commit, identity }, key, row.key);
    }
    list
}

fn effects(history: &History, mut places: Places<'_, '_>) -> List<Applied> {
    let mut list = List::with_room(history.observed_counts().1);
    let (mut is_sorted, mut latest) = (true, 0);
    for Observed { index, time, body, .. } in history.effects() {
        let Effect { store, key: name, ver, op_id, event_id } = body;
        let Place { key, commit, identity } = places.of(op_id, name, ver, event_id);
        let applied = Applied { store, key, commit, identity, op_id, ver, index, is_again: false };
        (is_sorted, latest) = (is_sorted && latest <= time, time);
        list.push(applied, key, name);
    }
    if !is_sorted {
        let times: HashMap<u64, u64> = history.effects().map(|effect| (effect.index, effect.time)).collect();
        by_time(&mut list, |applied| (times[&applied.index], applied.index));
    }
    let (mut stores, mut had) = (Names::default(), Pairs::default());
    for applied in &mut list.items {
        applied.is_again = !had.insert(stores.number(applied.store), applied.identity);
    }
    list
}

fn reads<'h>(history: &'h History, keys: &Names) -> List<Seen<'h>> {
    let mut list = List::with_room(0);
    for (op, operation) in history.ops().iter().enumerate().filter(|(_, operation)| operation.is_ok()) {
        for item in operation.reads() {
            let key = keys.get(item.key).unwrap_or(NONE);
            list.push(Seen { op, key, item }, key, item.key);
        }
    }
    list
}

fn sessions(history: &History) -> Vec<u32> {
    let mut numbers: HashMap<(Process, u32), u32> = HashMap::default();
    let mut sessions = Vec::with_capacity(history.ops().len());
    for op in history.ops() {
        let next = numbers.len() as u32;
        sessions.push(*numbers.entry((op.process, op.session)).or_insert(next));
    }
    sessions
}
