//! The events of this machine, and what they carry.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use crate::model::{
    ClockReading, ConnId, Dialed, Instant, LeaveReason, NodeId, PeerInfo, PeersSource, PublicKey, Stage,
};
use crate::wire::{ByeCode, FrameError, PeerRecord, Token};

/// What follows from a call, for the node to route, in order.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The driver is to drop the connection.
    Abort(ConnId),
    /// The driver is to stop reading from the connection.
    PauseReading(ConnId),
    /// The driver is to read from the connection again.
    ResumeReading(ConnId),
    /// There is room now for this accepted connection.
    Room { conn: ConnId, remote: SocketAddr, key: Option<PublicKey> },
    /// The driver is to go on with the handshake of this accepted connection.
    AcceptSeal(ConnId),
    /// What was refused as busy can be sent now.
    Ready,
    /// A peer broke a rule on this connection.
    Breach { conn: ConnId, remote: SocketAddr, breach: Breach },

    /// It has to be decided what becomes of this newcomer, or of this peer's link.
    Decide { conn: ConnId, stage: Stage },
    /// A connection has become the link of this peer.
    Linked { peer: Arc<PeerInfo>, dialed: Option<Dialed> },
    /// A peer was linked that was not linked before.
    Registered(Registration),
    /// A node that has this node's key lives at the other end of a connection.
    OwnKeyProven,
    /// A node of another network dialed in from here, and was refused.
    OtherNetwork(SocketAddr),
    /// A linked peer has another name, address or active connection.
    Updated(Arc<PeerInfo>),
    /// A linked peer says another address, for the first time since it was linked.
    Readdressed(Arc<PeerInfo>),
    /// The dialed address leads to that node, which is linked already.
    Reached { dialed: Dialed, node_id: NodeId },
    /// The dialed address leads to this node itself.
    OwnAddress(Dialed),

    /// A line came from a peer without a key.
    Line { peer: Arc<PeerInfo>, text: String },
    /// `PONG` came from this peer, with the token of the unanswered `PING`, so long after that.
    Answered { conn: ConnId, peer: NodeId, token: Token, round_trip: Duration },
    /// `PEERS` came, and its content is to be used.
    PeersReceived { source: PeersSource, records: Vec<PeerRecord> },
    /// A peer with a key moved from the connection `before` to `after`. What was under way on `before` may be lost.
    Moved { peer: NodeId, before: ConnId, after: ConnId },
    /// A neighbour does not answer, or does again.
    Doubt { peer: NodeId, doubted: bool },
    /// A version 1 peer forgets this node when it sees the end of another connection with it.
    MayForget(NodeId),
    /// A dial to this address, where no version 1 peer is linked, ended without a `JOIN`.
    DialedInVain(SocketAddr),
    /// Another `JOIN` is to be sent to this version 1 peer.
    GreetAgain(NodeId),
    /// Another `JOIN` is to be sent to this version 1 peer at that time.
    GreetLater { peer: NodeId, until: Instant },

    /// No frames are sent or read on the connection any more.
    Ended(ConnId),
    /// A connection that this node dialed ended before it was linked. `again`: the earliest time of the next dial.
    NotLinked { dialed: Dialed, outcome: DialOutcome, again: Instant },
    /// A peer lost its link.
    LinkLost(LostLink),
    /// A silent peer lost its link because this newcomer claims its id. The oldest claimant has taken the id by now.
    ClaimDecided(ConnId),
}

/// A peer that was linked and was not linked before.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) peer: Arc<PeerInfo>,
    /// Its `JOIN` named its id.
    pub(crate) named: bool,
    /// This node dialed it.
    pub(crate) dialed: bool,
    /// The time that its `JOIN` said. None: it said none, or this node has no wall clock.
    pub(crate) clock: Option<ClockReading>,
}

/// How a dial ended that did not become a link.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DialOutcome {
    /// The connection ended before a whole line came in.
    Failed,
    /// No whole line came in for too long.
    Silent,
    /// What came in was no `JOIN`.
    NotAChatNode,
    /// Either side turned the other away.
    TurnedAway(ByeCode),
}

/// A peer's link that ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LostLink {
    pub(crate) conn: ConnId,
    pub(crate) node_id: NodeId,
    pub(crate) remote: SocketAddr,
    pub(crate) reason: LeaveReason,
    /// The code of `BYE`, the peer's or this node's.
    pub(crate) bye: Option<ByeCode>,
    /// How long it was linked.
    pub(crate) lasted: Duration,
    /// When the peer may be dialed again at the earliest.
    pub(crate) again: Instant,
}

impl LostLink {
    /// One side had no room.
    pub(crate) fn is_full(&self) -> bool {
        self.bye == Some(ByeCode::Full)
    }

    /// The peer is linked to another node with this node's key.
    pub(crate) fn is_taken(&self) -> bool {
        self.bye == Some(ByeCode::Taken)
    }

    /// The peer left the network.
    pub(crate) fn is_shutdown(&self) -> bool {
        self.bye == Some(ByeCode::Shutdown)
    }

    /// The peer broke a rule.
    pub(crate) fn is_violation(&self) -> bool {
        self.reason == LeaveReason::Violation
    }
}

/// A rule that a peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    Malformed(FrameError),
    TooManyMalformed,
    LineTooLong,
    BeforeJoin,
    NoGreeting,
    UnreadableGreeting(FrameError),
    Banned,
    ClaimsOurId,
    ClaimsPeersId,
    NotItsKeysId,
    FalseProof,
    BeforeProof,
    SecondId,
    InClear,
    NotTheConnectionsKey,
}

/// The state of a link, for the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Linked,
    Silent,
    Slow,
}

/// Why the user's messages cannot be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A queue is full. [`Event::Ready`] follows.
    Busy,
    /// They take more than half of an output queue.
    TooMuch,
}

/// The counters of this machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) evicted: u64,
    pub(crate) duplicates: u64,
    pub(crate) violations: u64,
    pub(crate) malformed: u64,
    pub(crate) unknown_frames: u64,
    pub(crate) pauses: u64,
    pub(crate) silent: u64,
    pub(crate) slow: u64,
    pub(crate) busy: u64,
    pub(crate) banned: u64,
    pub(crate) foreign: u64,
    pub(crate) withheld: u64,
    pub(crate) handshakes: u64,
    pub(crate) handshakes_delayed: u64,
    pub(crate) refused_clear: u64,
}
