//! How the rest of a program speaks to the task that owns the node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_channel::{Receiver, Sender};
use proto_core::{ChatText, CommandError, Entry, Name, NodeId, PeerAddr, PeerInfo, PublicKey, Status};

/// Speaks to a running node. Clones speak to the same one; when the last is dropped, the node shuts down.
///
/// A call whose future is dropped may be carried out all the same.
#[derive(Clone, Debug)]
pub struct Handle {
    says: Sender<Say>,
    requests: Sender<Request>,
}

/// Who said something here, so that it need not be echoed to its speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(pub u64);

impl Origin {
    /// The user at the terminal, or standard input.
    pub const TERMINAL: Self = Self(0);

    /// One that nobody had before.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The node itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// Its id.
    pub node_id: NodeId,
    /// The name its user goes by.
    pub uname: Name,
    /// Where it can be dialed, as it tells its peers.
    pub listen_addr: SocketAddr,
    /// Its public key.
    pub key: PublicKey,
    /// When it was started: Unix time in milliseconds.
    pub started: u64,
}

/// Why something was not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SayError {
    /// A peer takes what is said, but more slowly than it is said.
    #[error("the peers receive messages more slowly than they are sent: try again later")]
    Busy,
    /// It is more than fits half an output queue: no waiting would help.
    #[error("that is too much to send at once")]
    TooMuch,
    /// The node is shutting down or gone.
    #[error("the node has stopped")]
    Stopped,
}

/// Why a request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// As many addresses as a node dials for its user are there already.
    #[error("too many peers to dial")]
    TooManyTargets,
    /// The node is shutting down or gone.
    #[error("the node has stopped")]
    Stopped,
}

impl Handle {
    /// Says these lines, in order, to everybody in the network. Waits while a peer takes what is said more slowly than
    /// it is said. The lines are in the entries that it gives, in their order.
    ///
    /// Many lines in one call cost far less than a call a line; they may be half a queue's bytes in all.
    pub async fn say(&self, texts: Vec<ChatText>, origin: Origin) -> Result<Vec<Arc<Entry>>, SayError> {
        let (reply, answer) = async_channel::bounded(1);
        let say = Say { texts, origin, reply };
        self.says.send(say).await.map_err(|_| SayError::Stopped)?;
        answer.recv().await.unwrap_or(Err(SayError::Stopped))
    }

    /// Like [`say`](Self::say), but does not wait: fails with [`SayError::Busy`] instead.
    pub async fn try_say(&self, texts: Vec<ChatText>, origin: Origin) -> Result<Vec<Arc<Entry>>, SayError> {
        let (reply, answer) = async_channel::bounded(1);
        let request = Request::TrySay(Say { texts, origin, reply });
        self.requests.send(request).await.map_err(|_| SayError::Stopped)?;
        answer.recv().await.unwrap_or(Err(SayError::Stopped))
    }

    /// Dials an address until it is linked, and again whenever the link is lost.
    pub async fn connect(&self, addr: PeerAddr) -> Result<(), RequestError> {
        self.ask(|reply| Request::Connect { addr, reply }).await?
    }

    /// Takes another name and tells the peers.
    pub async fn rename(&self, name: Name) -> Result<(), RequestError> {
        self.ask(|reply| Request::Rename { name, reply }).await?
    }

    /// The peers that are here.
    pub async fn peers(&self) -> Result<Vec<Arc<PeerInfo>>, RequestError> {
        self.status().await.map(|status| status.links.into_iter().map(|link| link.peer).collect())
    }

    /// The node itself.
    pub async fn me(&self) -> Result<Me, RequestError> {
        self.ask(|reply| Request::Me { reply }).await
    }

    /// All that the node can tell of itself.
    pub async fn status(&self) -> Result<Status, RequestError> {
        self.ask(|reply| Request::Status { reply }).await.map(|status| *status)
    }

    /// Says goodbye to everybody, closes every connection, and returns when the node is done: within about a second,
    /// whatever the peers do.
    pub async fn shutdown(&self) {
        // The answer is that the node drops `done`.
        let _ = self.ask(|done| Request::Shutdown { done }).await;
    }

    async fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> Result<T, RequestError> {
        let (reply, answer) = async_channel::bounded(1);
        self.requests.send(request(reply)).await.map_err(|_| RequestError::Stopped)?;
        answer.recv().await.map_err(|_| RequestError::Stopped)
    }
}

/// Where the calls of a [`Handle`] come out.
///
/// What waits to be said has a channel of its own: while it cannot be said, that channel fills and its senders wait
/// in order, and everything else goes on.
pub(crate) struct Inbox {
    pub(crate) says: Receiver<Say>,
    pub(crate) requests: Receiver<Request>,
}

/// Calls under way at once; more wait.
const CAPACITY: usize = 64;

/// A handle and the other end of it.
pub(crate) fn channel() -> (Handle, Inbox) {
    let (says, says_out) = async_channel::bounded(CAPACITY);
    let (requests, requests_out) = async_channel::bounded(CAPACITY);
    (Handle { says, requests }, Inbox { says: says_out, requests: requests_out })
}

/// Something to say.
pub(crate) struct Say {
    pub(crate) texts: Vec<ChatText>,
    pub(crate) origin: Origin,
    pub(crate) reply: Sender<Result<Vec<Arc<Entry>>, SayError>>,
}

/// Any other call. Each reply has room for its one answer.
pub(crate) enum Request {
    TrySay(Say),
    Connect { addr: PeerAddr, reply: Sender<Result<(), RequestError>> },
    Rename { name: Name, reply: Sender<Result<(), RequestError>> },
    Me { reply: Sender<Me> },
    Status { reply: Sender<Box<Status>> },
    Shutdown { done: Sender<()> },
}

impl From<CommandError> for SayError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Busy => Self::Busy,
            CommandError::TooMuch => Self::TooMuch,
            CommandError::TooManyTargets | CommandError::ShuttingDown => Self::Stopped,
        }
    }
}

impl From<CommandError> for RequestError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::TooManyTargets => Self::TooManyTargets,
            CommandError::Busy | CommandError::TooMuch | CommandError::ShuttingDown => Self::Stopped,
        }
    }
}
