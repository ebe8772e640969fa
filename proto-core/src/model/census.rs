//! What a machine sees of the connections, which another machine owns.

use core::net::IpAddr;
use core::time::Duration;

use super::rate::PeerAtHost;
use super::{ConnId, Dialed, Instant, Limits, NodeId, Reach};

/// One connection, for decisions about which nodes to link with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkView {
    pub(crate) conn: ConnId,
    /// The other end.
    pub(crate) ip: IpAddr,
    /// Which addresses the peer can reach.
    pub(crate) reach: Reach,
    /// What this node dialed. None: the connection is inbound.
    pub(crate) dialed: Option<Dialed>,
    /// The id that the peer's `JOIN` claims.
    pub(crate) node_id: Option<NodeId>,
    /// The peer's `JOIN` has a key.
    pub(crate) claims_key: bool,
    /// The peer has proven its key.
    pub(crate) keyed: bool,
    /// The handshake is not over.
    pub(crate) greeting: bool,
    /// The connection is a peer's link.
    pub(crate) linked: bool,
    /// When it became a peer's link.
    pub(crate) linked_since: Option<Instant>,
    /// How many links the peer says it has, by `JOIN` or `LINKS`.
    pub(crate) advertised_degree: usize,
}

/// The connections and the linked peers.
pub(crate) trait Census {
    /// All connections, in ascending order of their ids.
    fn links(&self) -> impl Iterator<Item = LinkView>;

    /// The active link of each neighbour, in ascending order of the neighbours' ids.
    fn neighbours(&self) -> impl Iterator<Item = LinkView>;

    /// One connection.
    fn link(&self, conn: ConnId) -> Option<LinkView>;

    /// Whether this peer is linked.
    fn is_linked(&self, node_id: NodeId) -> bool;

    /// The number of neighbours: linked peers with a key.
    fn degree(&self) -> usize;

    /// The number of connection slots in use. A version 1 peer may use two.
    fn slots_taken(&self) -> usize;

    /// Whether there is a slot for one more link to a peer without a key. Such peers cost an attacker nothing, so they
    /// leave free: `kept` slots, one slot for each peer with a key up to `degree_high`, and one for a newcomer that
    /// replaces another peer (SPEC 5.2.2, 5.2.3).
    fn has_slot_for_keyless(&self, kept: usize, limits: &Limits) -> bool {
        let keyless = self.slots_taken() - self.degree();
        let keyed = limits.mesh.degree_high.max(self.degree());
        keyless.saturating_add(keyed).saturating_add(1).saturating_add(kept) < limits.conns.slots
    }
}

/// The node that sent `PEERS`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeersSource {
    pub(crate) conn: ConnId,
    /// The peer. For a node that turns this one away, it is a random id: that node is no peer, and uses up no peer's
    /// share of the address book.
    pub(crate) node_id: NodeId,
    pub(crate) ip: IpAddr,
    /// Which addresses it can reach: it is believed about these alone.
    pub(crate) reach: Reach,
    /// Whether this node dialed it.
    pub(crate) dialed: bool,
    /// Whether this is the first `PEERS` on the connection. That one lists linked peers; a later one names newcomers.
    pub(crate) first: bool,
}

/// The neighbour that sent a frame of the conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) conn: ConnId,
    pub(crate) peer: NodeId,
    /// The host that it is on.
    pub(crate) host: IpAddr,
    /// It is on another machine, so that rates apply.
    pub(crate) rated: bool,
    /// The round trip of the link, as far as it is known.
    pub(crate) round_trip: Option<Duration>,
    /// The frame came on a connection that claims the id of this neighbour, which has another link.
    pub(crate) claims: bool,
}

impl Sender {
    pub(crate) fn at_host(&self) -> PeerAtHost {
        PeerAtHost { peer: self.peer, host: self.host }
    }
}

/// The connection on which a neighbour is sent its frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlet {
    pub(crate) conn: ConnId,
    /// Bytes in its output queue.
    pub(crate) queued: usize,
    /// When the last byte came on it.
    pub(crate) heard: Option<Instant>,
}

/// How far a newcomer has come, or why a linked peer is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It claims a key and has not proven it: it may be refused, or turned away, before it does.
    ClaimsKey,
    /// It is who it says it is, as far as that can be known.
    Introduced,
    /// Nobody else has its id any more.
    Unclaimed,
    /// It is a second connection of a version 1 peer, for which there is no slot.
    NoSlot,
    /// It is linked, and is to make room for a newcomer that was linked just now.
    Displaced,
}
