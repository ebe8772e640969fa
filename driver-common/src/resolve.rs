//! Name resolution. The system's resolver blocks, so each name has a thread of its own for as long as that takes.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};

/// Names resolved at once in this process; more wait.
const THREADS: usize = 32;

/// How long an answer is kept that came when nobody waited for it any more.
const LATE: Duration = Duration::from_secs(300);

/// The addresses of a name, of both families. A thread that cannot be started is an error like any other.
///
/// Dropping the future does not stop the thread: it ends when the system's resolver returns. Whoever asks for the same name
/// meanwhile waits for the same thread. If nobody waits any more when it returns, the next one who asks gets its answer: so a
/// resolver that takes longer than a dial waits is of use all the same.
pub(crate) async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    static RESOLVER: LazyLock<Arc<Resolver>> = LazyLock::new(|| Arc::new(Resolver::new(THREADS)));
    let ips =
        RESOLVER.ask(&host, |host| Ok((host, 0).to_socket_addrs()?.map(|addr| addr.ip()).collect())).await;
    ips.map(|ips| ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// The addresses of a name, or why there are none.
type Answer = Result<Vec<IpAddr>, (io::ErrorKind, String)>;

/// Names that are being resolved.
struct Resolver {
    permits: Permits,
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    /// Who waits for each name for which there is a thread.
    running: BTreeMap<String, Vec<Sender<Answer>>>,
    /// Answers for which nobody waited, and when they came.
    late: BTreeMap<String, (Instant, Vec<IpAddr>)>,
}

impl Resolver {
    fn new(threads: usize) -> Self {
        Self { permits: Permits::new(threads), names: Mutex::default() }
    }

    /// The addresses of a name. `look_up` blocks.
    async fn ask(
        self: &Arc<Self>,
        host: &str,
        look_up: impl FnOnce(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
    ) -> io::Result<Vec<IpAddr>> {
        let mut permit = None;
        let answer = loop {
            // Another one may have begun to ask for this name while this one waited for its permit.
            let found = self.names().find(host, permit.take());
            match found {
                Found::Answer(ips) => return Ok(ips),
                Found::Running(answer) => break answer,
                Found::Begun(answer, permit) => {
                    self.spawn(host.to_owned(), look_up, permit)?;
                    break answer;
                }
                Found::Nothing => permit = Some(self.permits.acquire().await),
            }
        };
        let answer = answer.recv().await.unwrap_or_else(|_| Err(panicked()));
        answer.map_err(|(kind, why)| io::Error::new(kind, why))
    }

    /// Resolves a name on a thread of its own.
    fn spawn(
        self: &Arc<Self>,
        host: String,
        look_up: impl FnOnce(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
        permit: Permit,
    ) -> io::Result<()> {
        let mut running = Running { resolver: self.clone(), host, answer: Err(panicked()) };
        thread::Builder::new().name("resolve".to_owned()).spawn(move || {
            running.answer = look_up(&running.host).map_err(|error| (error.kind(), error.to_string()));
            // The answer is there before another thread may begin.
            drop(running);
            drop(permit);
        })?;
        Ok(())
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a name.
enum Found {
    Answer(Vec<IpAddr>),
    Running(Receiver<Answer>),
    /// Nothing was known, but there is a permit: from now on a thread is to run.
    Begun(Receiver<Answer>, Permit),
    Nothing,
}

impl Names {
    fn find(&mut self, host: &str, permit: Option<Permit>) -> Found {
        self.late.retain(|_, (came, _)| came.elapsed() < LATE);
        if let Some((_, ips)) = self.late.remove(host) {
            return Found::Answer(ips);
        }
        let (sender, answer) = async_channel::bounded(1);
        match (self.running.get_mut(host), permit) {
            (Some(waiting), _) => {
                waiting.retain(|other| !other.is_closed());
                waiting.push(sender);
                Found::Running(answer)
            }
            (None, Some(permit)) => {
                self.running.insert(host.to_owned(), vec![sender]);
                Found::Begun(answer, permit)
            }
            (None, None) => Found::Nothing,
        }
    }

    fn ended(&mut self, host: String, answer: Answer) {
        let waiting = self.running.remove(&host).unwrap_or_default();
        let mut told = false;
        for sender in waiting {
            told |= sender.try_send(answer.clone()).is_ok();
        }
        if let Ok(ips) = answer
            && !told
        {
            self.late.insert(host, (Instant::now(), ips));
        }
    }
}

/// A name for which there is a thread. Dropping it tells those who wait.
struct Running {
    resolver: Arc<Resolver>,
    host: String,
    answer: Answer,
}

impl Drop for Running {
    fn drop(&mut self) {
        let (host, answer) =
            (std::mem::take(&mut self.host), std::mem::replace(&mut self.answer, Err(panicked())));
        self.resolver.names().ended(host, answer);
    }
}

fn panicked() -> (io::ErrorKind, String) {
    (io::ErrorKind::Other, "the resolver panicked".to_owned())
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
    use std::net::Ipv4Addr;
    use std::pin::pin;
    use std::sync::mpsc::{SyncSender, sync_channel};
    use std::task::{Context, Waker};

    use futures_lite::future::block_on;

    use super::*;

    const FOUND: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_name_is_resolved() {
        let addrs = block_on(resolve("localhost".to_owned(), 7)).unwrap();
        assert!(addrs.iter().any(|addr| addr.ip().is_loopback() && addr.port() == 7), "{addrs:?}");
        assert!(block_on(resolve("nobody.invalid".to_owned(), 7)).is_err());
    }

    /// A look-up that says when it begins, and ends when the other end of its channel is dropped.
    fn held_up(
        started: &SyncSender<()>,
    ) -> (SyncSender<()>, impl FnOnce(&str) -> io::Result<Vec<IpAddr>> + Send + use<>) {
        let (gate, opened) = sync_channel::<()>(0);
        let started = started.clone();
        let look_up = move |_: &str| {
            started.send(()).unwrap();
            let _ = opened.recv();
            Ok(vec![FOUND])
        };
        (gate, look_up)
    }

    fn unexpected(host: &str) -> io::Result<Vec<IpAddr>> {
        panic!("{host} is looked up again")
    }

    #[test]
    fn each_permit_runs_one_thread_and_the_rest_wait() {
        let resolver = Arc::new(Resolver::new(2));
        let cx = &mut Context::from_waker(Waker::noop());
        let (started, starts) = sync_channel(3);
        let (mut gates, mut tasks) = (Vec::new(), Vec::new());
        for host in ["a", "b", "c"] {
            let (gate, look_up) = held_up(&started);
            let mut task = Box::pin(resolver.ask(host, look_up));
            assert!(task.as_mut().poll(cx).is_pending());
            gates.push(gate);
            tasks.push(task);
        }
        (0..2).for_each(|_| starts.recv().unwrap());
        assert!(resolver.permits.used.is_full() && starts.try_recv().is_err());
        drop(gates);
        tasks.into_iter().rev().for_each(|task| assert_eq!(block_on(task).unwrap(), [FOUND]));
    }

    #[test]
    fn whoever_asks_for_a_name_that_is_being_resolved_waits_for_the_same_thread() {
        let resolver = Arc::new(Resolver::new(1));
        let (started, starts) = sync_channel(1);
        let (gate, look_up) = held_up(&started);
        let cx = &mut Context::from_waker(Waker::noop());
        let mut first = Box::pin(resolver.ask("slow", look_up));
        assert!(first.as_mut().poll(cx).is_pending());
        starts.recv().unwrap();
        // The first one gives up, as a dial does.
        drop(first);
        let mut second = pin!(resolver.ask("slow", unexpected));
        assert!(second.as_mut().poll(cx).is_pending());
        drop(gate);
        assert_eq!(block_on(second).unwrap(), [FOUND]);
    }

    #[test]
    fn an_answer_that_comes_when_nobody_waits_is_for_the_next_one_who_asks() {
        let resolver = Arc::new(Resolver::new(1));
        let (started, starts) = sync_channel(1);
        let (gate, look_up) = held_up(&started);
        let mut first = Box::pin(resolver.ask("slow", look_up));
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        starts.recv().unwrap();
        drop(first);
        drop(gate);
        // Once there is a permit, the thread has ended.
        let permit = block_on(resolver.permits.acquire());
        assert_eq!(block_on(resolver.ask("slow", unexpected)).unwrap(), [FOUND]);
        drop(permit);
        let fresh = block_on(resolver.ask("slow", |_| Ok(Vec::new())));
        assert_eq!(fresh.unwrap(), [] as [IpAddr; 0], "it is given once");
    }

    #[test]
    fn a_panic_is_an_error_and_releases_its_permit() {
        let resolver = Arc::new(Resolver::new(1));
        for _ in 0..2 {
            assert!(block_on(resolver.ask("x", |_| panic!("on purpose"))).is_err());
        }
    }
}
