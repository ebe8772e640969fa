//! What the mesh sees of the connections.

use core::net::IpAddr;

use super::{ConnId, Dialed, Instant, Limits, NodeId};

/// One connection, for decisions about whom to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkView {
    pub(crate) conn: ConnId,
    /// The other end.
    pub(crate) ip: IpAddr,
    /// This node's own dial; none: the peer dialed.
    pub(crate) dialed: Option<Dialed>,
    /// The id that the peer's `JOIN` claims.
    pub(crate) node_id: Option<NodeId>,
    /// Its `JOIN` says that it has a key.
    pub(crate) says_key: bool,
    /// It has proven its key.
    pub(crate) keyed: bool,
    /// It may yet become a peer's link.
    pub(crate) greeting: bool,
    /// It is a peer's link now, since then.
    pub(crate) linked: bool,
    pub(crate) linked_since: Option<Instant>,
    /// How many links the peer has by its own word.
    pub(crate) told_degree: usize,
}

/// The connections and the peers linked.
pub(crate) trait Census {
    /// All connections, in the order of their numbers.
    fn links(&self) -> impl Iterator<Item = LinkView>;

    /// The active connections of the peers with a key, in the order of their ids.
    fn neighbours(&self) -> impl Iterator<Item = LinkView>;

    /// One connection.
    fn link(&self, conn: ConnId) -> Option<LinkView>;

    /// Whether this peer is linked.
    fn is_linked(&self, node_id: NodeId) -> bool;

    /// How many peers with a key are linked.
    fn degree(&self) -> usize;

    /// Connection slots of peers that are taken: a version 1 peer may take two.
    fn slots_taken(&self) -> usize;

    /// Whether one more link to a peer without a key, which costs nothing to be, leaves `kept` slots, one for each with a
    /// key that there may be, and one for a newcomer that takes the place of another.
    fn has_slot_for_keyless(&self, kept: usize, limits: &Limits) -> bool {
        let keyless = self.slots_taken() - self.degree();
        let keyed = limits.mesh.degree_high.max(self.degree());
        keyless.saturating_add(keyed).saturating_add(1).saturating_add(kept) < limits.conns.slots
    }
}

/// Who sent `PEERS`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Teller {
    pub(crate) conn: ConnId,
    /// The peer, or a random id for a node that sends us elsewhere: it is no peer, and uses up no peer's share of the book.
    pub(crate) node_id: NodeId,
    pub(crate) ip: IpAddr,
    /// Whether we dialed it.
    pub(crate) dialed: bool,
    /// Whether it is the first `PEERS` there: it lists who is linked, a later one names newcomers.
    pub(crate) first: bool,
}

/// Who sent a frame of the conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) conn: ConnId,
    pub(crate) peer: NodeId,
    /// It sends from beyond this machine, so that rates apply.
    pub(crate) rated: bool,
}

/// How far a newcomer has come, or why a linked peer is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It says that it has a key and has not proven it: it may be refused, or turned away, before it does.
    SaysKey,
    /// It is who it says it is, as far as that can be known.
    Introduced,
    /// Nobody else has its id any more.
    Unclaimed,
    /// It is a second connection of a version 1 peer, for which there is no slot.
    NoSlot,
    /// It is linked, and is to make room for a newcomer that was linked just now.
    Displaced,
}
