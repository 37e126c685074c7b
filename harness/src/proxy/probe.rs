//! Verifies faults through connections of the proxy's own, which end at the proxy and not at the server.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::Shared;
use super::fault::{Direction, NetFault, Rules};
use super::stats::Counters;

const MESSAGE: &[u8] = b"probe";
/// How long a link may take to show its fault, beyond what the fault itself takes.
const BOUND: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(1);

/// Where the proxy carries a probe to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) upstream: SocketAddr,
    pub(super) counters: Arc<Counters>,
}

/// Says what is wrong as the end of a sentence about the link.
pub(super) async fn verify(shared: &Shared) -> Result<(), String> {
    let faults = shared.state().faults.clone();
    if faults.contains(&NetFault::Refuse) {
        refuses(shared).await?;
        return connections_ended(shared).await;
    }
    if faults.contains(&NetFault::Reset) {
        resets(shared).await?;
        return connections_ended(shared).await;
    }
    let rules = shared.state().rules();
    for (direction, rules) in Direction::ALL.iter().zip(&rules) {
        if rules.reset_after.is_some_and(|bytes| bytes <= MESSAGE.len() as u64) {
            // A probe would not live long enough to show anything else.
            return counts_down(shared, *direction);
        }
    }
    let probe = Probe::open(shared).await.map_err(|error| unprobed(&error))?;
    probe.exchange(&rules).await
}

async fn refuses(shared: &Shared) -> Result<(), String> {
    // The kernel may have taken in a probe that the proxy sees only later: one that is gone by then would pass for a
    // client that the fault hit.
    let mut taken_in = Vec::new();
    let until = Instant::now() + BOUND;
    while Instant::now() <= until {
        match Probe::open(shared).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(()),
            Err(_) => {}
            Ok(probe) => taken_in.push(probe),
        }
        sleep(POLL).await;
    }
    Err("still accepts connections though it is to refuse".to_owned())
}

async fn resets(shared: &Shared) -> Result<(), String> {
    let mut probe = match Probe::open(shared).await {
        Ok(probe) => probe,
        // The reset may come while the connection is still being made.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
        Err(error) => return Err(unprobed(&error)),
    };
    match timeout(BOUND, probe.near.read(&mut [0])).await {
        Ok(Err(_)) => Ok(()),
        Ok(Ok(_)) => Err("closes connections in order though it is to reset them".to_owned()),
        Err(_) => Err("keeps connections open though it is to reset them".to_owned()),
    }
}

async fn connections_ended(shared: &Shared) -> Result<(), String> {
    let none_left = || async { shared.state().links.is_empty() };
    eventually(none_left, "still carries connections though it is to reset them").await
}

fn counts_down(shared: &Shared, direction: Direction) -> Result<(), String> {
    let state = shared.state();
    let counted = state.links.values().all(|link| link.gate(direction).lock().reset_left.is_some());
    if counted { Ok(()) } else { Err("has a connection that does not count towards its reset".to_owned()) }
}

fn unprobed(error: &io::Error) -> String {
    format!("cannot be probed: {error}")
}

/// Polls until `holds`, with a bound.
async fn eventually<F: Future<Output = bool>>(holds: impl Fn() -> F, otherwise: &str) -> Result<(), String> {
    let until = Instant::now() + BOUND;
    while !holds().await {
        if Instant::now() > until {
            return Err(otherwise.to_owned());
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// One connection from the proxy through itself to itself.
struct Probe<'a> {
    shared: &'a Shared,
    near: TcpStream,
    near_addr: SocketAddr,
    far: TcpListener,
    counters: Arc<Counters>,
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.probes.remove(&self.near_addr);
        let own = state.links.values().filter(|link| link.probe == Some(self.near_addr));
        own.for_each(|link| link.doom());
    }
}

impl<'a> Probe<'a> {
    async fn open(shared: &'a Shared) -> io::Result<Probe<'a>> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let far = TcpListener::bind(loopback).await?;
        let socket = TcpSocket::new_v4()?;
        socket.bind(loopback)?;
        let near_addr = socket.local_addr()?;
        let counters = Arc::new(Counters::default());
        let target = Target { upstream: far.local_addr()?, counters: counters.clone() };
        shared.state().probes.insert(near_addr, target);
        match socket.connect(shared.port.addr()).await {
            Ok(near) => Ok(Probe { shared, near, near_addr, far, counters }),
            Err(error) => {
                shared.state().probes.remove(&near_addr);
                Err(error)
            }
        }
    }

    /// Sends a message there and back as far as the faults let it come.
    async fn exchange(mut self, [requests, replies]: &[Rules; 2]) -> Result<(), String> {
        let sent = Instant::now();
        self.near.write_all(MESSAGE).await.map_err(|error| format!("broke under a probe: {error}"))?;
        if requests.cut {
            return self.held(Direction::Requests).await;
        }
        let mut far = timeout(BOUND + time_of(requests), self.far.accept())
            .await
            .map_err(|_| "lets no connection through".to_owned())?
            .map_err(|error| unprobed(&error))?
            .0;
        receive(&mut far, requests, sent).await?;
        self.shaped(Direction::Requests, requests)?;
        let sent = Instant::now();
        far.write_all(MESSAGE).await.map_err(|error| format!("broke under a probe: {error}"))?;
        if replies.cut {
            return self.held(Direction::Replies).await;
        }
        receive(&mut self.near, replies, sent).await?;
        self.shaped(Direction::Replies, replies)?;
        closes_late(&mut self.near, &mut far, requests).await?;
        closes_late(&mut far, &mut self.near, replies).await
    }

    async fn held(&self, direction: Direction) -> Result<(), String> {
        let flow = self.counters.flow(direction);
        let all_held = || async { flow.held_bytes.load(Relaxed) == MESSAGE.len() as u64 };
        eventually(all_held, "does not hold what it is to cut").await?;
        match flow.forwarded_bytes.load(Relaxed) {
            0 => Ok(()),
            n => Err(format!("let {n} bytes through its cut")),
        }
    }

    fn shaped(&self, direction: Direction, rules: &Rules) -> Result<(), String> {
        let delayed = self.counters.flow(direction).delayed_chunks.load(Relaxed);
        if !rules.shape.is_plain() && delayed == 0 {
            return Err("passes bytes as they come though it is to shape them".to_owned());
        }
        Ok(())
    }
}

/// Closes one end, and looks how late the other hears of it.
async fn closes_late(from: &mut TcpStream, to: &mut TcpStream, rules: &Rules) -> Result<(), String> {
    if rules.slow_close.is_zero() {
        return Ok(());
    }
    let closed = Instant::now();
    from.shutdown().await.map_err(|error| format!("broke under a probe: {error}"))?;
    match timeout(BOUND + time_of(rules) + rules.slow_close, to.read(&mut [0])).await {
        Err(_) => Err("does not pass a close".to_owned()),
        Ok(Ok(0)) if closed.elapsed() < rules.slow_close => {
            Err(format!("passed a close after {:?} though it is to be late", closed.elapsed()))
        }
        Ok(Ok(0)) => Ok(()),
        Ok(Ok(_)) => Err("makes up bytes".to_owned()),
        Ok(Err(error)) => Err(format!("broke under a probe: {error}")),
    }
}

async fn receive(stream: &mut TcpStream, rules: &Rules, sent: Instant) -> Result<(), String> {
    let mut message = [0; MESSAGE.len()];
    match timeout(BOUND + time_of(rules), stream.read_exact(&mut message)).await {
        Err(_) => return Err("does not pass bytes".to_owned()),
        Ok(Err(error)) => return Err(format!("broke under a probe: {error}")),
        Ok(Ok(_)) if message != MESSAGE => return Err("changes bytes".to_owned()),
        Ok(Ok(_)) => {}
    }
    let least = rules.shape.latency.map_or(Duration::ZERO, |latency| latency.least());
    let took = sent.elapsed();
    if took < least {
        return Err(format!("took {took:?} though it is to take at least {least:?}"));
    }
    Ok(())
}

/// The longest that the faults themselves may take for a message.
fn time_of(rules: &Rules) -> Duration {
    let latency = rules.shape.latency.map_or(Duration::ZERO, |latency| latency.most());
    let len = u32::try_from(MESSAGE.len()).unwrap_or(u32::MAX);
    let rate = rules
        .shape
        .bytes_per_s
        .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(f64::from(len) / rate as f64));
    let slices = rules.shape.slice.map_or(Duration::ZERO, |(_, gap)| gap * len);
    latency + rate + slices
}
