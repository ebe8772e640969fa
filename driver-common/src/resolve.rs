//! Name resolution. The system's resolver blocks, so each name has a thread of its own for as long as that takes.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::LazyLock;
use std::thread;

use async_channel::{Receiver, Sender};

/// Names resolved at once in this process; more wait.
const THREADS: usize = 32;

/// The addresses of a name, of both families. A thread that cannot be started is an error like any other.
///
/// Dropping the future does not stop the thread: it ends when the system's resolver returns.
pub(crate) async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    static PERMITS: LazyLock<Permits> = LazyLock::new(|| Permits::new(THREADS));
    on_thread(&PERMITS, move || Ok((host, port).to_socket_addrs()?.collect())).await
}

/// Runs blocking code on a thread of its own, once there is a permit for it.
async fn on_thread<T: Send + 'static>(
    permits: &Permits,
    blocking: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let permit = permits.acquire().await;
    let (sender, result) = async_channel::bounded(1);
    thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        let result = blocking();
        drop(permit);
        // It fails if nobody waits any more.
        let _ = sender.try_send(result);
    })?;
    result.recv().await.unwrap_or_else(|_| Err(io::Error::other("the resolver panicked")))
}

/// Permits to run a thread. Each message in the channel is a permit in use.
struct Permits {
    used: Sender<()>,
    release: Receiver<()>,
}

/// One permit. Dropping it gives it to the next who waits.
struct Permit(Receiver<()>);

impl Permits {
    fn new(count: usize) -> Self {
        let (used, release) = async_channel::bounded(count);
        Self { used, release }
    }

    async fn acquire(&self) -> Permit {
        // It cannot fail: both ends of the channel are here.
        let _ = self.used.send(()).await;
        Permit(self.release.clone())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let _ = self.0.try_recv();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::task::{Context, Waker};

    use futures_lite::future::block_on;

    use super::*;

    #[test]
    fn a_name_is_resolved() {
        let addrs = block_on(resolve("localhost".to_owned(), 7)).unwrap();
        assert!(addrs.iter().any(|addr| addr.ip().is_loopback() && addr.port() == 7), "{addrs:?}");
        assert!(block_on(resolve("nobody.invalid".to_owned(), 7)).is_err());
    }

    #[test]
    fn each_permit_runs_one_thread_and_the_rest_wait() {
        let permits = Permits::new(2);
        let cx = &mut Context::from_waker(Waker::noop());
        let (started, starts) = sync_channel(3);
        let (mut gates, mut tasks) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (gate, opened) = sync_channel::<()>(0);
            let started = started.clone();
            let mut task = Box::pin(on_thread(&permits, move || {
                started.send(()).unwrap();
                // It returns an error when the gate is dropped.
                let _ = opened.recv();
                Ok(())
            }));
            assert!(task.as_mut().poll(cx).is_pending());
            gates.push(gate);
            tasks.push(task);
        }
        (0..2).for_each(|_| starts.recv().unwrap());
        assert!(permits.used.is_full() && starts.try_recv().is_err());
        drop(gates);
        tasks.into_iter().rev().for_each(|task| block_on(task).unwrap());
    }

    #[test]
    fn a_panic_is_an_error_and_releases_its_permit() {
        let permits = Permits::new(1);
        for _ in 0..2 {
            assert!(block_on(on_thread(&permits, || -> io::Result<()> { panic!("on purpose") })).is_err());
        }
    }
}
