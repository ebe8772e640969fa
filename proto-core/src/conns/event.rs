//! What follows from what happens to connections.

use alloc::string::String;
use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;

use crate::model::{ConnId, Dialed, Instant, LeaveReason, NodeId, PeerInfo};
use crate::wire::{ByeCode, FrameError, Token};

/// Something that follows, for others to act on, in order.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The driver is to drop the connection.
    Abort(ConnId),
    /// The driver is to stop reading from the connection.
    PauseReading(ConnId),
    /// The driver is to read from the connection again.
    ResumeReading(ConnId),
    /// What was refused as busy can be said now.
    Ready,
    /// A peer broke a rule on this connection.
    Breach { conn: ConnId, remote: SocketAddr, breach: Breach },

    /// A newcomer says that it has a key and has not proven it: it may be refused, or sent elsewhere, before it does.
    KeyClaimed(ConnId),
    /// A newcomer is who it says it is, as far as that can be known.
    HandshakeDone(ConnId),
    /// There is no slot for the newcomer: it is to be sent elsewhere.
    NoSlot(ConnId),
    /// A link is now this peer's.
    Linked { peer: Arc<PeerInfo>, dialed: Option<Dialed> },
    /// A peer is linked that was not; `named`: it names its id itself.
    Registered { peer: Arc<PeerInfo>, named: bool },
    /// A linked peer changed its name or address, or moved to another connection.
    Updated(Arc<PeerInfo>),
    /// The address dialed leads to this node, which is linked already.
    Reached { dialed: Dialed, node_id: NodeId },
    /// The address dialed leads to this node itself.
    OwnAddress(Dialed),

    /// A peer without a key said something.
    Line { from: NodeId, text: String },
    /// `PONG` came, with the token of the `PING` that was awaited.
    Answered { conn: ConnId, token: Token },
    /// What was under way on the connection `before` moved to `after`, or is lost: the peer, which has a key, is written to
    /// there now.
    Moved { peer: NodeId, before: ConnId, after: ConnId },
    /// A version 1 peer forgets us, or will, when it sees the end of another connection with us.
    MayForget(NodeId),
    /// This version 1 peer is to be join_sent again.
    GreetAgain(NodeId),

    /// Nothing is exchanged on the connection any more.
    Ended(ConnId),
    /// A connection that we dialed ended before it was a peer's link.
    NotLinked { dialed: Dialed, outcome: DialOutcome, again: Instant },
    /// A peer lost its link.
    LinkLost(LostLink),
    /// The link of a peer that did not answer ended; this newcomer had claimed the peer's id.
    ClaimDecided(ConnId),
    /// Nobody has the id any more that this newcomer claims.
    Uncontested(ConnId),
}

/// How a dial ended that did not become a peer's link.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DialOutcome {
    /// Nothing came in.
    Failed,
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
    /// What the `BYE` said, the peer's or ours.
    pub(crate) bye: Option<ByeCode>,
    /// How long it was the peer's.
    pub(crate) lasted: Duration,
    /// When the peer may be dialed again at the earliest.
    pub(crate) again: Instant,
}

impl LostLink {
    /// One side had no room for it.
    pub(crate) fn is_full(&self) -> bool {
        self.bye == Some(ByeCode::Full)
    }

    /// It left the network.
    pub(crate) fn is_shutdown(&self) -> bool {
        self.bye == Some(ByeCode::Shutdown)
    }

    /// It broke a rule.
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
    ClaimsOurId,
    ClaimsPeersId,
    NotItsKeysId,
    FalseProof,
    BeforeProof,
    SecondId,
}

/// How a link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Linked,
    Silent,
    Slow,
}

/// Why something cannot be said now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A peer takes what is said more slowly than it is said. [`Event::Ready`] follows.
    Busy,
    /// It is more than half an output queue holds.
    TooMuch,
}

/// What the connections count.
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
}
