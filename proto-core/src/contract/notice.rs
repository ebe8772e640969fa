//! What the user should know.

use serde::{Deserialize, Serialize};

use crate::model::{DialError, Name, NodeId, PeerAddr};
use crate::wire::ByeCode;

/// Something the user should know. What is told of a target is told once until its state changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Notice {
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
    /// This node's clock differs from those of most authors heard lately.
    ClockOff {
        /// By so many milliseconds; positive where this clock is ahead.
        ahead_ms: i64,
    },
    /// An author goes by a name that another key had before: it may be somebody else. Told once in a while for a name.
    NameTaken {
        /// The author's id.
        node_id: NodeId,
        /// The name.
        uname: Name,
        /// The id of the author that had the name before.
        holder: NodeId,
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
    /// A node at an address that the user gave was not taken, or did not take us; it is dialed on.
    TurnedAway {
        /// As the user gave it.
        target: PeerAddr,
        /// Why, in its words or ours; [`ByeCode::Other`] where the connection just ended.
        code: ByeCode,
    },
}
