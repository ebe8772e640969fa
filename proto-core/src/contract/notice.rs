//! Notices: what the user should know.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::{DialError, Name, NodeId, PeerAddr};
use crate::wire::ByeCode;

/// Something the user should know. Notices about a target come once until its state changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Notice {
    /// The first catch-up is over: what others said before this node came was delivered just before this, in the order of
    /// the conversation (SPEC 9.11).
    CaughtUp {
        /// How many entries it brought.
        entries: usize,
    },
    /// The store is filled with what was said before the window: how far that is, at intervals, and when it is over (SPEC
    /// section 23). Where much is missing, what the window wants counts, too.
    Backfill {
        /// How many entries came so far.
        came: u64,
        /// How many are missing. When it is over, nobody linked has them. It is told once, unless more are missing later.
        missing: u64,
        /// Nothing more is to come for now.
        over: bool,
    },
    /// Entries of an author are missing, and later ones are shown without them. The node goes on asking for them. If they
    /// come, they are shown with the mark [`late`](crate::Marks::late).
    Gap {
        /// The author's id.
        node_id: NodeId,
        /// The author's name.
        uname: Name,
        /// How many entries are missing.
        missing: u64,
    },
    /// This node's clock differs from those of most neighbours. Each IP address counts once (SPEC 7.6).
    ClockOff {
        /// The median difference in milliseconds. Positive: this node's clock is ahead.
        ahead_ms: i64,
        /// How many clocks it was compared with. With one, nobody can tell which of the two is wrong.
        clocks: usize,
    },
    /// An author goes by a name that another key had before: it may be somebody else. The user is told of a name once in a while.
    NameTaken {
        /// The author's id.
        node_id: NodeId,
        /// The name.
        uname: Name,
        /// The id of the author that had the name before.
        holder: NodeId,
    },
    /// Another node lives with this node's key, and has for two minutes, as this one has. Or an entry came in a run of this
    /// node that this node did not sign. Both users are told, once (SPEC 4.8).
    KeyShared,
    /// The user said something while no peer was linked. Peers that come later receive it.
    Alone,
    /// An address that the user gave cannot be reached. The node goes on dialing it.
    Unreachable {
        /// The address, as the user gave it.
        target: PeerAddr,
        /// Why the last attempt failed.
        reason: DialError,
    },
    /// Another node than the expected one is at an address. Nothing was sent to it but the handshake. It is told once, until
    /// a node with the expected key is reached there.
    WrongKey {
        /// The address: as the user gave it, or as a peer told it.
        target: PeerAddr,
        /// The id of the node that was expected there.
        expected: NodeId,
        /// The id of the node that is there.
        found: NodeId,
        /// The user named the expected node. If not, it proved its key at the address before.
        given: bool,
    },
    /// What answers at an address that the user gave does not speak the protocol. The node goes on dialing it.
    NotAChatNode {
        /// The address, as the user gave it.
        target: PeerAddr,
    },
    /// An address that the user gave leads to this node itself. The node does not dial it again.
    IsSelf {
        /// The address, as the user gave it.
        target: PeerAddr,
    },
    /// A node that belongs to another network dialed this one, and was refused (SPEC 3.13). Each IP address is told
    /// once an hour.
    OtherNetwork {
        /// The other end of the connection.
        remote: SocketAddr,
    },
    /// There is no link with the node at an address that the user gave: one of the two refused the other. The node goes on
    /// dialing it, after an hour if the code is [`ByeCode::Network`], after ten
    /// minutes if it is [`ByeCode::Taken`].
    TurnedAway {
        /// The address, as the user gave it.
        target: PeerAddr,
        /// Why. [`ByeCode::Other`] if the connection ended without `BYE`.
        code: ByeCode,
    },
}
