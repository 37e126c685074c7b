//! A link of one role to one system of the model, and what can happen to it.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use futures_util::poll;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::proxy::{NetFault, Way};

/// How long opening a connection may take, as with the real adapters.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How many bytes a call counts as where a link carries few bytes a second: the model has no bytes.
const CALL_BYTES: u64 = 256;

/// A link. A clone is the same link.
#[derive(Debug, Clone)]
pub(super) struct Link(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: String,
    state: Mutex<State>,
    /// Wakes those who wait in the order in which they came, which a `watch` does not.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Connections that were opened in an earlier life are reset.
    life: u64,
    down: bool,
    paused: bool,
    refuses: bool,
    cut_requests: bool,
    cut_replies: bool,
    late: Option<Late>,
    hits: Hits,
    /// Ends of connections that a server has not yet been told are gone.
    zombies: Zombies,
    /// Ends that a reset takes away.
    ends: Ends,
}

/// How late what crosses the link arrives.
#[derive(Debug, Clone, Copy)]
struct Late {
    requests: Duration,
    replies: Duration,
    jitter_ms: u64,
}

/// The server's end of a connection, which goes when the connection is reset.
pub(super) trait Forget: Send + Sync {
    /// Ends it.
    fn forget(&self);
}

/// Ends of connections, with the life that they were opened in.
#[derive(Default)]
struct Ends(Vec<(u64, Weak<dyn Forget>)>);

impl std::fmt::Debug for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ends").field(&self.0.len()).finish()
    }
}

#[derive(Default)]
struct Zombies(Vec<Box<dyn std::any::Any + Send>>);

impl std::fmt::Debug for Zombies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Zombies").field(&self.0.len()).finish()
    }
}

/// What faults of the link have hit so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hits {
    /// Connections that were reset.
    pub(super) reset: u64,
    /// Connections that were turned away.
    pub(super) turned_away: u64,
    /// Requests and replies that were held.
    pub(super) held: u64,
    /// Requests and replies that came late.
    pub(super) delayed: u64,
}

/// A call that was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken<T> {
    /// Whether the request left the client: the call may have happened.
    pub(super) sent: bool,
    /// What the system answered and nobody heard.
    pub(super) unheard: Option<T>,
    /// What the client sees.
    pub(super) why: &'static str,
}

impl<T> Broken<T> {
    fn before(why: &'static str) -> Self {
        Broken { sent: false, unheard: None, why }
    }

    fn after(why: &'static str) -> Self {
        Broken { sent: true, unheard: None, why }
    }
}

impl Link {
    pub(super) fn new(name: String) -> Self {
        Link(Arc::new(Shared { name, state: Mutex::default(), changed: Notify::new() }))
    }

    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    pub(super) fn hits(&self) -> Hits {
        self.lock().hits
    }

    /// Begins a fault of the network.
    pub(super) fn inject(&self, fault: NetFault) {
        self.change(|state| match fault {
            NetFault::CutBoth => (state.cut_requests, state.cut_replies) = (true, true),
            NetFault::CutRequests => state.cut_requests = true,
            NetFault::CutReplies => state.cut_replies = true,
            NetFault::Refuse => {
                state.refuses = true;
                state.reset();
            }
            NetFault::Reset | NetFault::ResetAfter { .. } => state.reset(),
            NetFault::SlowClose { .. } => {}
            NetFault::Latency { .. } | NetFault::Bandwidth { .. } | NetFault::Slice { .. } => {
                state.late = Some(lateness(fault));
            }
        });
    }

    /// Ends a fault of the network. What a cut held is reset, as the proxy on real links does.
    pub(super) fn heal(&self, fault: NetFault, held_before: u64) {
        self.change(|state| {
            match fault {
                NetFault::CutBoth => (state.cut_requests, state.cut_replies) = (false, false),
                NetFault::CutRequests => state.cut_requests = false,
                NetFault::CutReplies => state.cut_replies = false,
                NetFault::Refuse => state.refuses = false,
                NetFault::Reset | NetFault::ResetAfter { .. } | NetFault::SlowClose { .. } => {}
                NetFault::Latency { .. } | NetFault::Bandwidth { .. } | NetFault::Slice { .. } => {
                    state.late = None;
                }
            }
            if !state.cut_requests && !state.cut_replies {
                if state.hits.held > held_before {
                    state.life += 1;
                }
                state.zombies.0.clear();
            }
        });
    }

    /// The server goes away, and with it all connections.
    pub(super) fn set_down(&self, down: bool) {
        self.change(|state| {
            state.down = down;
            if down {
                state.reset();
            }
        });
    }

    /// The server stands still.
    pub(super) fn set_paused(&self, paused: bool) {
        self.change(|state| state.paused = paused);
    }

    /// Opens a connection: its life, by which later calls know whether it was reset.
    pub(super) async fn open(&self) -> Result<u64, &'static str> {
        if let Some(life) = self.clear_life() {
            return Ok(life);
        }
        let opened = timeout(CONNECT_MAX, async {
            loop {
                let changed = self.0.changed.notified();
                {
                    let mut state = self.lock();
                    if state.down || state.refuses {
                        state.hits.turned_away += 1;
                        return Err("connection refused");
                    }
                    if !(state.cut_requests || state.cut_replies || state.paused) {
                        return Ok(state.life);
                    }
                    state.hits.held += 1;
                }
                changed.await;
            }
        });
        opened.await.unwrap_or(Err("no connection in time"))
    }

    /// Notes a server's end of a connection of that life.
    pub(super) fn note_end(&self, life: u64, end: &Arc<dyn Forget>) {
        let ends = &mut self.lock().ends.0;
        ends.retain(|(_, end)| end.strong_count() > 0);
        ends.push((life, Arc::downgrade(end)));
    }

    /// Waits until the link may be tried again: something about it has changed.
    pub(super) async fn until_changed(&self) {
        self.0.changed.notified().await;
    }

    /// Whether something is the matter with the link right now.
    pub(super) fn is_blocked(&self) -> bool {
        let mut state = self.lock();
        let blocked = state.down || state.refuses || state.paused || state.cut_requests || state.cut_replies;
        state.hits.held += u64::from(blocked);
        blocked
    }

    /// Carries one call over a connection of that life, for `limit` at most.
    pub(super) async fn carry<T>(
        &self,
        life: u64,
        limit: Duration,
        call: impl Future<Output = T>,
    ) -> Result<T, Broken<T>> {
        if self.lock().life != life {
            return Err(Broken::before("the connection was reset"));
        }
        let mut call = pin!(call);
        let mut begun = false;
        // The way of nearly every call: nothing is the matter and the system answers at once.
        if self.clear_life().is_some() {
            begun = true;
            if let std::task::Poll::Ready(answer) = poll!(call.as_mut()) {
                return Ok(answer);
            }
        }
        let slowly = async {
            if !begun {
                self.late(|late| late.requests).await;
                self.held_while(life, |state| state.cut_requests || state.paused).await?;
            }
            let answer = tokio::select! {
                biased;
                answer = call => answer,
                () = self.ended(life) => return Err(Broken::after("the connection was reset")),
            };
            let arrived = self.held_while(life, |state| state.cut_replies || state.paused).await;
            if let Err(broken) = arrived {
                return Err(Broken { unheard: Some(answer), ..broken });
            }
            self.late(|late| late.replies).await;
            Ok(answer)
        };
        timeout(limit, slowly).await.unwrap_or(Err(Broken::after("no reply in time")))
    }

    /// Keeps a server's end of a connection that the client has given up, for as long as the server cannot hear
    /// of it.
    pub(super) fn give_up(&self, end: Box<dyn std::any::Any + Send>) {
        let mut state = self.lock();
        if state.cut_requests && !state.down {
            state.zombies.0.push(end);
        } else {
            drop(state);
            // Outside of the lock: the server's end may have much to undo.
            drop(end);
        }
    }

    async fn late(&self, way: fn(&Late) -> Duration) {
        let wait = {
            let mut state = self.lock();
            let Some(late) = state.late else { return };
            let base = way(&late);
            if base.is_zero() {
                return;
            }
            state.hits.delayed += 1;
            // Spread evenly, and the same in every run: the number of the delay times an odd constant.
            let spread = state.hits.delayed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
            base + Duration::from_millis(spread % (late.jitter_ms + 1))
        };
        sleep(wait).await;
    }

    async fn held_while<T>(&self, life: u64, held: fn(&State) -> bool) -> Result<(), Broken<T>> {
        let mut noted = false;
        loop {
            let changed = self.0.changed.notified();
            {
                let mut state = self.lock();
                if state.life != life {
                    return Err(Broken::after("the connection was reset"));
                }
                if !held(&state) {
                    return Ok(());
                }
                state.hits.held += u64::from(!noted);
                noted = true;
            }
            changed.await;
        }
    }

    async fn ended(&self, life: u64) {
        loop {
            let changed = self.0.changed.notified();
            if self.lock().life != life {
                return;
            }
            changed.await;
        }
    }

    /// The present life, if nothing is the matter.
    fn clear_life(&self) -> Option<u64> {
        let state = self.lock();
        let clear = !(state.down
            || state.paused
            || state.refuses
            || state.cut_requests
            || state.cut_replies
            || state.late.is_some());
        clear.then_some(state.life)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let (zombies, ended) = {
            let mut state = self.lock();
            change(&mut state);
            let zombies = if state.cut_requests { Vec::new() } else { std::mem::take(&mut state.zombies.0) };
            (zombies, state.ended())
        };
        // Outside of the lock: a server's end may have much to undo.
        drop(zombies);
        ended.iter().for_each(|end| end.forget());
        self.0.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no code panics while it holds the link")
    }
}

impl State {
    fn reset(&mut self) {
        self.life += 1;
        self.hits.reset += 1;
    }

    /// Takes out the ends of connections that are no more.
    fn ended(&mut self) -> Vec<Arc<dyn Forget>> {
        let life = self.life;
        let (gone, there) = std::mem::take(&mut self.ends.0).into_iter().partition(|(of, _)| *of != life);
        self.ends.0 = there;
        let gone: Vec<(u64, Weak<dyn Forget>)> = gone;
        gone.iter().filter_map(|(_, end)| end.upgrade()).collect()
    }
}

fn lateness(fault: NetFault) -> Late {
    let (each, jitter_ms, way) = match fault {
        NetFault::Latency { delay_ms, jitter_ms, way, .. } => (delay_ms, jitter_ms, way),
        NetFault::Bandwidth { bytes_per_s, way } => (CALL_BYTES * 1000 / bytes_per_s.max(1), 0, way),
        NetFault::Slice { max_bytes, gap_ms, way } => {
            (gap_ms * (CALL_BYTES / (max_bytes as u64).max(1)), 0, way)
        }
        NetFault::CutBoth
        | NetFault::CutRequests
        | NetFault::CutReplies
        | NetFault::Refuse
        | NetFault::Reset
        | NetFault::ResetAfter { .. }
        | NetFault::SlowClose { .. } => (0, 0, Way::Both),
    };
    let each = Duration::from_millis(each.max(1));
    let on = |is: bool| if is { each } else { Duration::ZERO };
    Late {
        requests: on(matches!(way, Way::Both | Way::Requests)),
        replies: on(matches!(way, Way::Both | Way::Replies)),
        jitter_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn link() -> Link {
        Link::new("client-db".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_clear_link_carries_a_call_without_waiting() {
        let link = link();
        let life = link.open().await.expect("the link is clear");
        assert_eq!(link.carry(life, LIMIT, async { 7 }).await, Ok(7));
        assert_eq!(link.hits(), Hits::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_of_the_replies_lets_the_call_happen_and_nobody_hears_of_it() {
        let link = link();
        let life = link.open().await.expect("the link is clear");
        link.inject(NetFault::CutReplies);
        let carried = link.carry(life, LIMIT, async { 7 }).await;
        assert_eq!(carried.expect_err("no reply").why, "no reply in time");
        assert_eq!(link.hits().held, 1);
        let healed = link.clone();
        let (carried, ()) = tokio::join!(link.carry(life, LIMIT, async { 8 }), async {
            healed.heal(NetFault::CutReplies, 0);
        });
        assert_eq!(carried, Err(Broken { sent: true, unheard: Some(8), why: "the connection was reset" }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_of_the_requests_keeps_the_call_from_happening() {
        let link = link();
        let life = link.open().await.expect("the link is clear");
        link.inject(NetFault::CutRequests);
        let mut happened = false;
        let carried = link.carry(life, LIMIT, async { happened = true }).await;
        assert!(carried.is_err_and(|broken| broken.sent));
        assert!(!happened);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_down_turns_connections_away() {
        let link = link();
        let life = link.open().await.expect("the link is clear");
        link.set_down(true);
        assert_eq!(link.open().await, Err("connection refused"));
        link.set_down(false);
        assert!(link.carry(life, LIMIT, async {}).await.is_err_and(|broken| !broken.sent));
        assert!(link.open().await.is_ok_and(|new| new > life));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_pause_held_goes_on_afterwards() {
        let link = link();
        let life = link.open().await.expect("the link is clear");
        link.set_paused(true);
        let resumed = link.clone();
        let (carried, ()) = tokio::join!(link.carry(life, LIMIT, async { 7 }), async {
            resumed.set_paused(false);
        });
        assert_eq!(carried, Ok(7));
    }
}
