//! The address book: where peers may be found that nobody here gave us.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::SocketAddr;
use core::time::Duration;

use rand_core::Rng;

use super::backoff::Backoff;
use crate::{Instant, Limits, NodeId};

/// Addresses that peers told us, each with where it stands.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: BTreeMap<SocketAddr, Entry>,
    /// The entries that wait to be dialed, the most urgent first: an index.
    due: BTreeSet<(Instant, SocketAddr)>,
}

#[derive(Debug)]
struct Entry {
    state: State,
    backoff: Backoff,
    /// Who told us, until a dial has shown that it is true.
    source: Option<NodeId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting {
        next: Instant,
    },
    Dialing,
    /// This node is linked, or listens there by its own word.
    Linked(NodeId),
    /// We listen there ourselves.
    Own,
}

impl Book {
    /// Takes an address from a peer, to be dialed at `next`. Whether it is new and there was room.
    pub(crate) fn learn(&mut self, addr: SocketAddr, source: NodeId, next: Instant, limits: &Limits) -> bool {
        if self.entries.contains_key(&addr) || !self.has_room(source, limits) {
            return false;
        }
        self.insert(addr, source, State::Waiting { next });
        true
    }

    /// A peer that is here listens at `addr` by its own word.
    pub(crate) fn claimed(&mut self, addr: SocketAddr, by: NodeId, limits: &Limits) {
        match self.entries.get(&addr).map(|entry| entry.state) {
            Some(State::Waiting { .. }) => self.set(addr, State::Linked(by)),
            Some(_) => {}
            None if self.has_room(by, limits) => self.insert(addr, by, State::Linked(by)),
            None => {}
        }
    }

    /// The address that is due first.
    pub(crate) fn first_due(&self) -> Option<(Instant, SocketAddr)> {
        self.due.first().copied()
    }

    pub(crate) fn dialing(&mut self, addr: SocketAddr) {
        self.set(addr, State::Dialing);
    }

    /// A dial, or the greeting after it, failed.
    pub(crate) fn failed(&mut self, addr: SocketAddr, now: Instant, random: &mut impl Rng, limits: &Limits) {
        if let Some(entry) = self.entries.get_mut(&addr).filter(|entry| entry.state == State::Dialing) {
            let delay = entry.backoff.next(random, limits.backoff_min, limits.backoff_max);
            self.set(addr, State::Waiting { next: now + delay });
        }
    }

    /// A dial reached this node, which is here.
    pub(crate) fn reached(&mut self, addr: SocketAddr, node_id: NodeId) {
        if let Some(entry) = self.entries.get_mut(&addr) {
            entry.source = None;
            self.set(addr, State::Linked(node_id));
        }
    }

    /// A dial reached ourselves.
    pub(crate) fn own(&mut self, addr: SocketAddr) {
        self.set(addr, State::Own);
    }

    /// A peer is gone after a link of this length: its addresses wait to be dialed again.
    pub(crate) fn left(
        &mut self,
        node_id: NodeId,
        now: Instant,
        lasted: Duration,
        random: &mut impl Rng,
        limits: &Limits,
    ) {
        let linked = self.entries.iter_mut().filter(|(_, entry)| entry.state == State::Linked(node_id));
        for (addr, entry) in linked {
            if lasted >= limits.backoff_reset {
                entry.backoff.reset();
            }
            let next = now + entry.backoff.next(random, limits.backoff_min, limits.backoff_max);
            entry.state = State::Waiting { next };
            self.due.insert((next, *addr));
        }
    }

    fn has_room(&mut self, source: NodeId, limits: &Limits) -> bool {
        let from_source = self.entries.values().filter(|entry| entry.source == Some(source)).count();
        from_source < limits.book_per_source && (self.entries.len() < limits.book || self.make_room())
    }

    /// Forgets the waiting address that failed most, one that was never reached before others. Whether there was one
    /// that failed at all.
    fn make_room(&mut self) -> bool {
        let waiting = |entry: &Entry| matches!(entry.state, State::Waiting { .. });
        let failed = self.entries.iter().filter(|(_, entry)| waiting(entry) && entry.backoff.failures() > 0);
        let worst = failed.max_by_key(|(_, entry)| (entry.source.is_some(), entry.backoff.failures()));
        let worst = worst.map(|(addr, _)| *addr);
        if let Some(addr) = worst {
            self.unlist(addr);
            self.entries.remove(&addr);
        }
        worst.is_some()
    }

    fn insert(&mut self, addr: SocketAddr, source: NodeId, state: State) {
        self.entries.insert(addr, Entry { state, backoff: Backoff::default(), source: Some(source) });
        self.list(addr);
    }

    fn set(&mut self, addr: SocketAddr, state: State) {
        self.unlist(addr);
        if let Some(entry) = self.entries.get_mut(&addr) {
            entry.state = state;
        }
        self.list(addr);
    }

    fn unlist(&mut self, addr: SocketAddr) {
        if let Some(State::Waiting { next }) = self.entries.get(&addr).map(|entry| entry.state) {
            self.due.remove(&(next, addr));
        }
    }

    fn list(&mut self, addr: SocketAddr) {
        if let Some(State::Waiting { next }) = self.entries.get(&addr).map(|entry| entry.state) {
            self.due.insert((next, addr));
        }
    }

    /// Compares the index with what it is an index of.
    pub(crate) fn is_consistent(&self) -> bool {
        let waiting = self.entries.iter().filter_map(|(addr, entry)| match entry.state {
            State::Waiting { next } => Some((next, *addr)),
            _ => None,
        });
        waiting.collect::<BTreeSet<_>>() == self.due
    }
}

#[cfg(test)]
mod tests {
    use chacha20::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn addr(n: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 8080))
    }

    fn id(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    #[test]
    fn one_source_gets_its_share_and_no_more() {
        let limits = Limits::default();
        let mut book = Book::default();
        let taken = (0..100).filter(|n| book.learn(addr(*n), id(1), Instant::ORIGIN, &limits)).count();
        assert_eq!(taken, limits.book_per_source);
        assert!(book.learn(addr(200), id(2), Instant::ORIGIN, &limits));
        assert!(book.is_consistent());
    }

    #[test]
    fn a_full_book_gives_up_what_failed_and_nothing_else() {
        let limits = Limits::default();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut book = Book::default();
        for n in 0..limits.book as u16 {
            assert!(book.learn(addr(n), id((n / 64) as u8), Instant::ORIGIN, &limits));
        }
        assert!(!book.learn(addr(5000), id(99), Instant::ORIGIN, &limits));
        book.dialing(addr(7));
        book.failed(addr(7), Instant::ORIGIN, &mut random, &limits);
        assert!(book.learn(addr(5000), id(99), Instant::ORIGIN, &limits));
        assert!(
            book.learn(addr(7), id(98), Instant::ORIGIN, &limits) || !book.entries.contains_key(&addr(7))
        );
        assert_eq!(book.entries.len(), limits.book);
        assert!(book.is_consistent());
    }

    #[test]
    fn a_book_full_of_peers_that_are_gone_takes_new_addresses() {
        let limits = Limits::default();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut book = Book::default();
        for n in 0..limits.book as u16 {
            assert!(book.learn(addr(n), id((n / 64) as u8), Instant::ORIGIN, &limits));
            book.dialing(addr(n));
            book.reached(addr(n), id(77));
        }
        assert!(!book.learn(addr(5000), id(99), Instant::ORIGIN, &limits), "all of them are here");
        book.left(id(77), Instant::ORIGIN, Duration::ZERO, &mut random, &limits);
        assert!(book.learn(addr(5000), id(99), Instant::ORIGIN, &limits));
        assert_eq!(book.entries.len(), limits.book);
        assert!(book.is_consistent());
    }
}
