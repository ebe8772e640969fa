//! The task that owns the node: it feeds inputs to the node and performs its actions.
//!
//! It never waits for a single peer. Each turn handles local calls first, then a bounded amount of socket work, and
//! then sends one batch of events. Sockets and dials that are ready list themselves (see `ready`), so an idle
//! connection costs neither a task nor a buffer.

mod acceptor;
mod calls;
mod channel;
mod conn;
mod dials;
mod event_queue;
mod ready;
mod refusals;
mod send_window;
mod store;
mod traffic;
mod wake_timer;

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_channel::{Receiver, Sender};
use futures_lite::future;
use proto_core::seal::Sealer;
use proto_core::{Command, CommandError, Config, ConnId, Identity, Input, Instant, Node, PeerTarget};

use self::acceptor::Acceptor;
use self::conn::Conn;
use self::dials::Dials;
use self::event_queue::EventQueue;
use self::ready::{ReadyList, Source};
use self::refusals::Refusals;
use self::store::StoreLink;
use self::wake_timer::WakeTimer;
use crate::clock::WallClockMonitor;
use crate::handle::{self, Request, Say};
use crate::mutes::Mutes;
use crate::runtime::Runtime;
use crate::store::{Store, StoreClient};
use crate::{Clock, Event, Handle};

/// A running node.
#[derive(Debug)]
#[non_exhaustive]
pub struct Started {
    /// Its handle. The node runs until [`Handle::shutdown`], or until the last handle is dropped.
    pub handle: Handle,
    /// Its events, in batches. The channel closes when the node has stopped.
    ///
    /// Receive from it all the time: while batches wait, the node stops reading from its peers, and a peer that is not
    /// read for long is treated as gone. Dropping the receiver is fine.
    pub events: Receiver<Vec<Event>>,
    /// Where it listens.
    pub local_addr: SocketAddr,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The operating system refused an operation.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The config says that there is a store and there is none, or the other way round.
    #[error("the config and the store do not go together")]
    Store,
    /// There are more peers to dial than [`Limits::mesh`](proto_core::Limits::mesh) has `targets`, or one can only be dialed
    /// where connections are sealed.
    #[error(transparent)]
    Peers(#[from] CommandError),
    /// The runtime of the driver does not run here.
    #[error("the node has no runtime to run on: {0}")]
    Runtime(Box<dyn std::error::Error + Send + Sync>),
}

/// Starts a node on a listener of [`net::listen`](crate::net::listen), and dials `peers` until each is linked. If the
/// config names no address, peers are told the listener's own. No two running nodes may share an identity.
///
/// The node keeps nothing from one start to the next: see [`start_with_store`].
pub fn start<R: Runtime>(
    runtime: &R,
    listener: TcpListener,
    identity: Identity,
    config: Config,
    peers: Vec<impl Into<PeerTarget>>,
) -> Result<Started, StartError> {
    start_with_store(runtime, listener, identity, config, peers, None)
}

/// Like [`start`], and the node goes on from what is in the store. The config has to say whether there is a store
/// ([`ConfigBuilder::store`](proto_core::ConfigBuilder::store)).
pub fn start_with_store<R: Runtime>(
    runtime: &R,
    listener: TcpListener,
    identity: Identity,
    config: Config,
    peers: Vec<impl Into<PeerTarget>>,
    store: Option<Store>,
) -> Result<Started, StartError> {
    if config.stores() != store.is_some() {
        return Err(StartError::Store);
    }
    let local_addr = listener.local_addr()?;
    let listen_addr = config.listen_addr().unwrap_or(local_addr);
    let config = config.with_listen_addr(listen_addr);
    let sealer = config.plaintext().map(|_| Sealer::new(&identity));
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
    let clock = Clock::start();
    let mutes =
        store.as_ref().map_or_else(Mutes::default, |store| Mutes::kept(store.muted_names(), store.view()));
    let (client, kept) = store.map_or_else(Default::default, |store| (Some(store.client), store.kept));
    let mut node = Node::restore(config, identity, seed, clock.now(), kept);
    let (wall, unix_ms) = WallClockMonitor::start(clock.now());
    node.handle_input(clock.now(), Input::wall_clock(unix_ms));
    for peer in peers {
        node.command(clock.now(), Command::Connect(peer.into()))?;
    }
    let list = Arc::new(ReadyList::default());
    let (handle, inbox) = handle::channel(client.as_ref().map(StoreClient::view), mutes.clone());
    let store = client.map(|client| StoreLink::new(client, &list, node.memory_changes()));
    let (event_queue, events) = EventQueue::new();
    let task = NodeTask {
        acceptor: Some(Acceptor::new(runtime.listener(listener)?, &list)),
        dials: Dials::new(runtime.clone()),
        conns: BTreeMap::new(),
        next_conn: 0,
        queue: VecDeque::new(),
        held_back: Vec::new(),
        ready_list: list,
        buffer: traffic::buffer(),
        plain: Vec::new(),
        sealer,
        store,
        says: Box::pin(inbox.says),
        requests: Box::pin(inbox.requests),
        request: None,
        handles_dropped: false,
        say: None,
        busy: false,
        stopping: None,
        confirms: Vec::new(),
        mutes,
        events: event_queue,
        refusals: Refusals::new(clock.now()),
        timer: WakeTimer::default(),
        now: clock.now(),
        clock,
        wall,
        started: unix_ms,
        node,
        listen_addr,
        runtime: runtime.clone(),
    };
    runtime.spawn(task.run());
    Ok(Started { handle, events, local_addr })
}

struct NodeTask<R: Runtime> {
    runtime: R,
    clock: Clock,
    wall: WallClockMonitor,
    /// When the node started: Unix time in milliseconds.
    started: u64,
    /// The time of this turn.
    now: Instant,
    timer: WakeTimer,
    node: Node,
    listen_addr: SocketAddr,

    acceptor: Option<Acceptor<R::Listener>>,
    dials: Dials<R>,
    conns: BTreeMap<ConnId, Conn<R::Stream>>,
    next_conn: u64,
    ready_list: Arc<ReadyList>,
    /// Sources taken from the list and not served yet.
    queue: VecDeque<Source>,
    /// Connections that are not read because the user is behind.
    held_back: Vec<ConnId>,
    buffer: Box<[u8]>,
    /// What came out of a seal.
    plain: Vec<u8>,
    /// None: the config does not ask for sealed connections.
    sealer: Option<Sealer>,
    /// None: the node keeps nothing.
    store: Option<StoreLink>,

    says: Pin<Box<Receiver<Say>>>,
    requests: Pin<Box<Receiver<Request>>>,
    /// The call that ended the last wait.
    request: Option<Request>,
    /// All handles were dropped, so no further call can come.
    handles_dropped: bool,
    /// The next message to send. Until it is sent, no later one is.
    say: Option<Say>,
    /// The node reported that it is busy, and has not reported that it is ready again.
    busy: bool,
    /// Dropped at the end, which answers the callers.
    stopping: Option<Vec<Sender<()>>>,
    /// Callers that wait until a peer holds all that was said.
    confirms: Vec<Sender<()>>,
    /// Whom the user does not want to hear.
    mutes: Mutes,
    events: EventQueue,
    refusals: Refusals,
}

impl<R: Runtime> NodeTask<R> {
    async fn run(mut self) {
        tracing::info!(id = %self.node.id(), addr = %self.listen_addr, "the node started");
        loop {
            self.now = self.clock.now();
            self.check_wall_clock();
            self.take_calls();
            self.check_deadlines();
            self.perform_actions();
            self.serve();
            self.keep_memory();
            self.events.flush();
            if self.stopping.is_some() && self.conns.is_empty() {
                break;
            }
            // Lets the receiver of the events and all other tasks run between two turns.
            future::yield_now().await;
            poll_fn(|cx| self.poll_work(cx)).await;
        }
        tracing::info!("the node has stopped");
        self.into_events().end().await;
    }

    /// Drops all but the events that the user has not taken yet. Calls that wait are answered by that: a queue outlives its
    /// receiver as long as somebody can send.
    fn into_events(self) -> EventQueue {
        self.says.close();
        self.requests.close();
        while self.says.try_recv().is_ok() {}
        while self.requests.try_recv().is_ok() {}
        self.events
    }

    /// Ready when there is work.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut work = !self.queue.is_empty() || self.ready_list.poll(cx).is_ready();
        if self.events.poll(cx).is_ready() {
            self.resume_reading();
            work = true;
        }
        work |= self.poll_calls(cx).is_ready();
        if let Some(at) = self.deadline() {
            let at = self.clock.wake_time(self.now, at);
            work |= self.timer.poll(&self.runtime, at, cx).is_ready();
        }
        if work { Poll::Ready(()) } else { Poll::Pending }
    }

    fn deadline(&self) -> Option<Instant> {
        let node = self.node.poll_timeout().map(|(at, _)| at);
        let acceptor = self.acceptor.as_ref().and_then(Acceptor::paused_until);
        let store = self.store.as_ref().and_then(StoreLink::save_at);
        [node, acceptor, store].into_iter().flatten().min()
    }

    /// Runs first in each turn, so that nothing is dated by an outdated clock.
    fn check_wall_clock(&mut self) {
        if let Some(unix_ms) = self.wall.check(self.now) {
            tracing::debug!("the wall clock was changed");
            self.node.handle_input(self.now, Input::wall_clock(unix_ms));
        }
    }

    fn check_deadlines(&mut self) {
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.handle_time(self.now);
        }
        if let Some((at, kind)) = self.node.poll_timeout()
            && at <= self.now
        {
            tracing::trace!(?kind, "a deadline passed");
            self.node.handle_input(self.now, Input::Timeout);
        }
    }
}
