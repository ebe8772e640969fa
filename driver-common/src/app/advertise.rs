//! Resolves the name that `--advertise` gives, in the background: the node starts without it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proto_core::PeerAddr;

use crate::resolve;

/// The first wait after a failure. Each further one is twice as long, up to the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// The address, if it needs no resolution.
pub(super) fn address(addr: &PeerAddr) -> Option<SocketAddr> {
    match addr {
        PeerAddr::Ip(addr) => Some(*addr),
        PeerAddr::Host { .. } => None,
    }
}

/// The address of this name, as soon as it can be resolved. `failed` is told of the first failure, `sleep` waits until a
/// time.
pub(super) async fn resolved<S: Future<Output = ()>>(
    addr: PeerAddr,
    failed: impl FnOnce(String),
    sleep: impl Fn(Instant) -> S,
) -> SocketAddr {
    let look_up = || async {
        match addr.clone() {
            PeerAddr::Ip(addr) => Ok(vec![addr]),
            PeerAddr::Host { host, port } => resolve::resolve(host, port).await,
        }
    };
    let text = addr.to_string();
    let failed = |error: io::Error| {
        failed(format!("--advertise {text}: the name cannot be resolved yet ({error}); trying again"));
    };
    retried(look_up, failed, sleep).await
}

async fn retried<L, S>(
    look_up: impl Fn() -> L,
    failed: impl FnOnce(io::Error),
    sleep: impl Fn(Instant) -> S,
) -> SocketAddr
where
    L: Future<Output = io::Result<Vec<SocketAddr>>>,
    S: Future<Output = ()>,
{
    let (mut failed, mut wait) = (Some(failed), FIRST);
    loop {
        let error = match look_up().await {
            Ok(addrs) => match addrs.first() {
                Some(addr) => return *addr,
                None => io::Error::other("it has no address"),
            },
            Err(error) => error,
        };
        if let Some(failed) = failed.take() {
            failed(error);
        }
        sleep(Instant::now() + wait).await;
        wait = LONGEST.min(wait * 2);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use futures_lite::future::{block_on, ready};

    use super::*;

    #[test]
    fn a_name_is_looked_up_again_after_growing_waits_and_the_user_is_told_once() {
        let (found, tries, told): (SocketAddr, _, _) =
            ("1.2.3.4:5".parse().unwrap(), Cell::new(0), Cell::new(0));
        let waits = RefCell::new(Vec::new());
        let look_up = || {
            tries.set(tries.get() + 1);
            ready(match tries.get() {
                12 => Ok(vec![found]),
                2 => Ok(Vec::new()),
                _ => Err(io::Error::other("not now")),
            })
        };
        let sleep = |until: Instant| {
            waits.borrow_mut().push(until.saturating_duration_since(Instant::now()).as_secs_f64().round());
            ready(())
        };
        let resolved = block_on(retried(look_up, |_| told.set(told.get() + 1), sleep));
        assert_eq!((resolved, told.get()), (found, 1));
        assert_eq!(*waits.borrow(), [1., 2., 4., 8., 16., 32., 64., 128., 256., 300., 300.]);
    }
}
