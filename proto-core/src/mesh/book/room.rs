//! Which addresses make room in the book (SPEC 5.12).

use core::net::SocketAddr;

use super::AddressBook;
use super::entry::{BookEntry, State};
use crate::model::{Limits, NodeId};

/// The most addresses that are kept where the same key was found. A node seldom listens at more.
const PER_KEY: usize = 4;

/// A host may hold one in so many of a full book, whatever was found there.
const HOST_SHARE: usize = 64;

/// A network may hold one in so many.
const NET_SHARE: usize = 16;

impl AddressBook {
    /// Makes room for one more address, which comes from this source. False: there is none.
    pub(super) fn make_room_for(&mut self, addr: SocketAddr, source: NodeId, limits: &Limits) -> bool {
        let from_source = self.entries.values().filter(|entry| entry.source == Some(source)).count();
        from_source < limits.mesh.book_per_source
            && (self.entries.len() < limits.mesh.book
                || self.forget_worst()
                || self.forget_one_of_crowd(addr, limits))
    }

    /// Forgets an address that waits and where no node was found: one whose dial a budget put off, else the one with the
    /// most failed dials (SPEC 5.12.2). False: there is none.
    fn forget_worst(&mut self) -> bool {
        let waiting = |entry: &BookEntry| matches!(entry.state, State::Waiting { .. });
        let badness = |entry: &BookEntry| (entry.put_off, entry.failures);
        let bad = self.entries.iter().filter(|(_, entry)| waiting(entry) && badness(entry) > (false, 0));
        let not_found = bad.filter(|(_, entry)| entry.found_at.is_none());
        let worst = not_found.max_by_key(|(_, entry)| badness(entry)).map(|(addr, _)| *addr);
        self.forget(worst)
    }

    /// Forgets an address of the host, else of the network, that holds most of the book, if that is more than its share and
    /// than the newcomer's would hold (SPEC 5.12.4). Nodes that are linked go last, and before them those that were found
    /// last. False: there is none.
    ///
    /// Told addresses cost nothing, and found ones little where one machine has many ports and keys. The shares keep
    /// told ones in many networks from pushing out all that were found in a few.
    fn forget_one_of_crowd(&mut self, newcomer: SocketAddr, limits: &Limits) -> bool {
        let share = |of: usize| (limits.mesh.book / of).max(1);
        let beyond = self.crowd.beyond(newcomer.ip(), (share(HOST_SHARE), share(NET_SHARE)));
        let Some(largest) = beyond else { return false };
        let may_go = |entry: &BookEntry| matches!(entry.state, State::Waiting { .. } | State::Linked(_));
        let those = self.entries.iter().filter(|(_, entry)| may_go(entry));
        let those = those.filter(|(addr, _)| self.crowd.is_among(addr.ip(), largest));
        let oldest = those.min_by_key(|(_, entry)| entry.worth()).map(|(addr, _)| *addr);
        self.forget(oldest)
    }

    /// Where a key was found at more than [`PER_KEY`] addresses, forgets the ones that were found longest ago, but for those
    /// of its link (SPEC 5.12.3).
    pub(super) fn keep_few_of(&mut self, node_id: Option<NodeId>, link: &[SocketAddr]) {
        let Some(node_id) = node_id.filter(NodeId::is_of_key) else { return };
        let found_there = |entry: &BookEntry| entry.node_id == Some(node_id) && entry.found_at.is_some();
        let found = self.entries.iter().filter(|(_, entry)| found_there(entry));
        if found.clone().count() > PER_KEY {
            let others = found.filter(|(addr, _)| !link.contains(addr));
            let oldest = others.min_by_key(|(_, entry)| entry.worth()).map(|(addr, _)| *addr);
            self.forget(oldest);
        }
    }

    fn forget(&mut self, addr: Option<SocketAddr>) -> bool {
        if let Some(addr) = addr {
            self.remove(addr);
        }
        addr.is_some()
    }
}
