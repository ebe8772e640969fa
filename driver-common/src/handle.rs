//! The interface to the task that owns the node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::mutes::Mutes;
use crate::store::StoreView;
use async_channel::{Receiver, Sender};
use proto_core::{
    ChatText, CommandError, Entry, Member, Name, NodeId, PeerAddr, PeerInfo, PeerTarget, PublicKey, Status,
};

/// A handle of a running node. Clones belong to the same node. When the last one is dropped, the node shuts down.
///
/// A call may take effect even if its future is dropped.
#[derive(Clone, Debug)]
pub struct Handle {
    says: Sender<Say>,
    requests: Sender<Request>,
    store: Option<StoreView>,
    #[cfg_attr(not(feature = "app"), expect(dead_code, reason = "the program alone asks for it"))]
    mutes: Mutes,
}

/// Messages that are on their way to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Said {
    /// The entries that contain them, in order.
    pub entries: Vec<Arc<Entry>>,
    /// They are on the disk. If not, the node keeps nothing, or its disk fails.
    pub stored: bool,
}

/// Who sent a message at this node, so that it is not echoed to its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(pub u64);

impl Origin {
    /// The user at the terminal, or standard input.
    pub const TERMINAL: Self = Self(0);

    /// An origin that was never used before.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Information about the node itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Me {
    /// Its id.
    pub node_id: NodeId,
    /// Its user's name.
    pub uname: Name,
    /// The address that peers are told to dial.
    pub listen_addr: SocketAddr,
    /// Its public key.
    pub key: PublicKey,
    /// When it started: Unix time in milliseconds.
    pub started: u64,
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SayError {
    /// A peer receives messages more slowly than they are sent.
    #[error("the peers receive messages more slowly than they are sent: try again later")]
    Busy,
    /// The message exceeds half an output queue. It will not fit later either.
    #[error("that is too much to send at once")]
    TooMuch,
    /// The node is shutting down or has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// Why a request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The user already asked for the maximum number of addresses to dial.
    #[error("too many peers to dial")]
    TooManyTargets,
    /// The user has not given this address.
    #[error("that address is not among those that are dialed")]
    NoSuchTarget,
    /// A node is named, and connections cannot be sealed, so nobody can check which node is there.
    #[error("connections cannot be sealed here, so nobody can check which node is there")]
    CannotSeal,
    /// As many nodes as possible are muted already.
    #[error("{most} others are muted already", most = Mutes::MOST)]
    TooManyMutes,
    /// That node is not muted.
    #[error("nobody with that id is muted")]
    NotMuted,
    /// It is this node.
    #[error("that is you")]
    Oneself,
    /// The node is shutting down or has stopped.
    #[error("the node has stopped")]
    Stopped,
}

impl Handle {
    /// Sends these lines, in order, to everybody in the network. Waits while a peer receives more slowly than messages
    /// are sent. Returns the entries that contain the lines, in order. A node with a store answers when it has them on its
    /// disk.
    ///
    /// One call with many lines costs far less than one call a line. The lines of a call may fill half an output queue.
    pub async fn say(&self, texts: Vec<ChatText>, origin: Origin) -> Result<Said, SayError> {
        let (reply, answer) = async_channel::bounded(1);
        let say = Say { texts, origin, reply };
        self.says.send(say).await.map_err(|_| SayError::Stopped)?;
        answer.recv().await.unwrap_or(Err(SayError::Stopped))
    }

    /// Like [`say`](Self::say), but returns [`SayError::Busy`] instead of waiting.
    pub async fn try_say(&self, texts: Vec<ChatText>, origin: Origin) -> Result<Said, SayError> {
        let (reply, answer) = async_channel::bounded(1);
        let request = Request::TrySay(Say { texts, origin, reply });
        self.requests.send(request).await.map_err(|_| SayError::Stopped)?;
        answer.recv().await.unwrap_or(Err(SayError::Stopped))
    }

    /// Dials an address until it is linked, and again whenever the link is lost. If it comes with a node, no other one is
    /// accepted there.
    pub async fn connect(&self, target: PeerTarget) -> Result<(), RequestError> {
        self.ask(|reply| Request::Connect { target, reply }).await?
    }

    /// Dials an address no more. A link with its node lasts until one side closes it.
    pub async fn disconnect(&self, addr: PeerAddr) -> Result<(), RequestError> {
        self.ask(|reply| Request::Disconnect { addr, reply }).await?
    }

    /// Returns when a peer holds all that this node has said so far. Where all linked peers are of version 1, which confirm
    /// nothing, when it was sent to one of them. If nobody is linked, this waits.
    pub async fn confirm(&self) -> Result<(), RequestError> {
        self.ask(|reply| Request::Confirm { reply }).await
    }

    /// Changes the name and tells the peers.
    pub async fn rename(&self, name: Name) -> Result<(), RequestError> {
        self.ask(|reply| Request::Rename { name, reply }).await?
    }

    /// The user wants to see nothing more of a node, which has this name now. A store keeps that.
    pub async fn mute(&self, node_id: NodeId, uname: Name, origin: Origin) -> Result<(), RequestError> {
        self.ask(|reply| Request::Mute { node_id, uname: Some(uname), origin, reply }).await?
    }

    /// The user wants to see it again.
    pub async fn unmute(&self, node_id: NodeId, origin: Origin) -> Result<(), RequestError> {
        self.ask(|reply| Request::Mute { node_id, uname: None, origin, reply }).await?
    }

    /// The muted nodes.
    #[cfg(feature = "app")]
    pub(crate) fn mutes(&self) -> &Mutes {
        &self.mutes
    }

    /// Tells the peers to dial this address from now on.
    pub async fn advertise(&self, addr: SocketAddr) -> Result<(), RequestError> {
        self.ask(|reply| Request::Advertise { addr, reply }).await?
    }

    /// What can be read of the store. None: the node keeps nothing.
    pub fn store(&self) -> Option<&StoreView> {
        self.store.as_ref()
    }

    /// The linked peers.
    pub async fn peers(&self) -> Result<Vec<Arc<PeerInfo>>, RequestError> {
        self.status().await.map(|status| status.links.into_iter().map(|link| link.peer).collect())
    }

    /// Information about the node itself.
    pub async fn me(&self) -> Result<Me, RequestError> {
        self.ask(|reply| Request::Me { reply }).await
    }

    /// The members of the network that say, or said, that they are here: in the order of their ids, without this node.
    pub async fn members(&self) -> Result<Vec<Arc<Member>>, RequestError> {
        self.ask(|reply| Request::Members { reply }).await
    }

    /// The node's status.
    pub async fn status(&self) -> Result<Status, RequestError> {
        self.ask(|reply| Request::Status { reply }).await.map(|status| *status)
    }

    /// Sends goodbye to all peers, closes all connections and returns when the node has stopped. This takes about a
    /// second at most, whatever the peers do.
    pub async fn shutdown(&self) {
        // The node drops `done` instead of answering.
        let _ = self.ask(|done| Request::Shutdown { done }).await;
    }

    async fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> Result<T, RequestError> {
        let (reply, answer) = async_channel::bounded(1);
        self.requests.send(request(reply)).await.map_err(|_| RequestError::Stopped)?;
        answer.recv().await.map_err(|_| RequestError::Stopped)
    }
}

/// The receiving end of a [`Handle`].
///
/// Messages to send have their own channel. While they cannot be sent, this channel fills and its senders wait in
/// order; other requests are not delayed.
pub(crate) struct Inbox {
    pub(crate) says: Receiver<Say>,
    pub(crate) requests: Receiver<Request>,
}

/// The capacity of each channel. Further calls wait.
const CAPACITY: usize = 64;

/// Creates a handle and its receiving end.
pub(crate) fn channel(store: Option<StoreView>, mutes: Mutes) -> (Handle, Inbox) {
    let (says, says_out) = async_channel::bounded(CAPACITY);
    let (requests, requests_out) = async_channel::bounded(CAPACITY);
    (Handle { says, requests, store, mutes }, Inbox { says: says_out, requests: requests_out })
}

/// A request to send messages.
pub(crate) struct Say {
    pub(crate) texts: Vec<ChatText>,
    pub(crate) origin: Origin,
    pub(crate) reply: Sender<Result<Said, SayError>>,
}

/// Any other request. Each reply channel has room for its one answer.
pub(crate) enum Request {
    TrySay(Say),
    Connect {
        target: PeerTarget,
        reply: Sender<Result<(), RequestError>>,
    },
    Advertise {
        addr: SocketAddr,
        reply: Sender<Result<(), RequestError>>,
    },
    Disconnect {
        addr: PeerAddr,
        reply: Sender<Result<(), RequestError>>,
    },
    Confirm {
        reply: Sender<()>,
    },
    /// Without a name: it is no longer muted.
    Mute {
        node_id: NodeId,
        uname: Option<Name>,
        origin: Origin,
        reply: Sender<Result<(), RequestError>>,
    },
    Rename {
        name: Name,
        reply: Sender<Result<(), RequestError>>,
    },
    Me {
        reply: Sender<Me>,
    },
    Status {
        reply: Sender<Box<Status>>,
    },
    Members {
        reply: Sender<Vec<Arc<Member>>>,
    },
    Shutdown {
        done: Sender<()>,
    },
}

impl From<CommandError> for SayError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Busy => Self::Busy,
            CommandError::TooMuch => Self::TooMuch,
            _ => Self::Stopped,
        }
    }
}

impl From<CommandError> for RequestError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::TooManyTargets => Self::TooManyTargets,
            CommandError::NoSuchTarget => Self::NoSuchTarget,
            CommandError::CannotSeal => Self::CannotSeal,
            _ => Self::Stopped,
        }
    }
}
