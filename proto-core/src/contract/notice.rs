//! What the user should know.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::{DialError, Name, NodeId, PeerAddr};
use crate::wire::ByeCode;

/// Something the user should know. What is told of a target is told once until its state changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Notice {
    /// The first catch-up is over: what others said before this node came was delivered just before this, in the order of
    /// the conversation (SPEC 9.20).
    CaughtUp {
        /// How many entries it brought.
        entries: usize,
    },
    /// Entries of this author are missing; it is shown on without them. They are asked for still, and shown as
    /// [late](crate::Marks::late) ones if they come.
    Gap {
        /// The author's id.
        node_id: NodeId,
        /// The author's name.
        uname: Name,
        /// How many.
        missing: u64,
    },
    /// This node's clock differs from those of most neighbours. Each IP address counts once (SPEC 7.6).
    ClockOff {
        /// The median difference in milliseconds. Positive: this node's clock is ahead.
        ahead_ms: i64,
        /// How many clocks it was compared with. With one, nobody can tell which of the two is wrong.
        clocks: usize,
    },
    /// What was just said has nobody to go to: no peer is here. It goes to those that come.
    Alone,
    /// A peer that the user gave cannot be reached yet; it is dialed on.
    Unreachable {
        /// As the user gave it.
        target: PeerAddr,
        /// Of the last attempt.
        reason: DialError,
    },
    /// What answers at an address that the user gave does not speak this protocol; it is dialed on.
    NotAChatNode {
        /// As the user gave it.
        target: PeerAddr,
    },
    /// An address that the user gave is this node's own; it is dialed no more.
    IsSelf {
        /// As the user gave it.
        target: PeerAddr,
    },
    /// A node that belongs to another network dialed this one, and was refused (SPEC 3.13). Each IP address is told
    /// once an hour.
    OtherNetwork {
        /// The other end of the connection.
        remote: SocketAddr,
    },
    /// A node at an address that the user gave was not taken, or did not take us; it is dialed on.
    TurnedAway {
        /// As the user gave it.
        target: PeerAddr,
        /// Why, in its words or ours; [`ByeCode::Other`] where the connection just ended.
        code: ByeCode,
    },
}
