//! Loopback ports for servers that must keep theirs over a restart.
//!
//! A port that the kernel hands out (bind to 0) lies in the range from which it also serves outgoing connections.
//! While a server is down, a client that keeps knocking on such a port can be given that very port as its own
//! end, connects to itself, and the restarted server finds its address in use. So we draw from below that range.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

const LOWEST: u16 = 15_000;
const DRAWS_MAX: usize = 1_000;

/// `count` different loopback addresses on which nobody listens right now.
pub(crate) fn free(count: usize) -> io::Result<Vec<SocketAddr>> {
    let highest = outgoing_range_start().filter(|start| *start > LOWEST + 1_000).unwrap_or(32_768) - 1;
    let mut drawn = BTreeSet::new();
    // The listeners stay bound until all are chosen, so that no port is chosen twice.
    let mut held = Vec::new();
    for draw in 0..DRAWS_MAX {
        if held.len() == count {
            break;
        }
        // The standard library's own random keys are chance enough; no seed of ours should fix a port.
        let chance = RandomState::new().hash_one(draw) % u64::from(highest - LOWEST);
        let port = LOWEST + u16::try_from(chance).expect("it is below a difference of two u16");
        if drawn.insert(port)
            && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        {
            held.push(listener);
        }
    }
    if held.len() < count {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("no free loopback port between {LOWEST} and {highest} in {DRAWS_MAX} draws"),
        ));
    }
    held.iter().map(TcpListener::local_addr).collect()
}

fn outgoing_range_start() -> Option<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    range.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn ports_differ_and_can_be_bound() {
        let addrs = free(5).expect("there are free ports");
        assert_eq!(addrs.iter().collect::<BTreeSet<_>>().len(), 5);
        // Another test may start a process just now, which holds our listeners until it runs its program.
        let deadline = Instant::now() + Duration::from_secs(5);
        let can_be_bound = |addr: &&SocketAddr| TcpListener::bind(addr).is_ok();
        while addrs.iter().filter(can_be_bound).count() < 5 {
            assert!(Instant::now() < deadline, "some of {addrs:?} cannot be bound");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
