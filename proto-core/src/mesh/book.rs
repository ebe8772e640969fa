//! The address book: where peers may be found that nobody here gave us.

#[cfg(test)]
mod tests;
mod views;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use rand_core::Rng;

use super::backoff::Backoff;
use super::bans::Bans;
use crate::model::{Instant, Limits, NodeId, below, uniform};

/// Addresses that peers told us, each with where it stands.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: BTreeMap<SocketAddr, Entry>,
    /// The entries that wait to be dialed, of each kind the most urgent first: an index.
    due: BTreeSet<(Kind, Instant, SocketAddr)>,
    /// How many entries are fresh: an index.
    fresh: usize,
}

#[derive(Debug)]
struct Entry {
    state: State,
    backoff: Backoff,
    /// Dials in a row at which nobody answered.
    failed: u32,
    /// Nobody answered a dial since somebody was last there, or since we were told.
    in_vain: bool,
    /// Who is there: by the word of who told us, until a dial of ours has found somebody.
    node_id: Option<NodeId>,
    /// Who told us, until a dial of ours has found somebody.
    source: Option<NodeId>,
    /// Somebody told us whom we had dialed.
    advised: bool,
    /// When a dial of ours last found somebody, or that link ended.
    found: Option<Instant>,
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

/// What an address is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Of a peer without a key, which does not count towards the degree.
    Keyless,
    /// A dial of ours found somebody there.
    Found,
    /// Told by a peer that we dialed: we chose it, not it us.
    Advised,
    Told,
}

/// Which peers there is a place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) keyless: bool,
    pub(super) keyed: bool,
    /// Of these, those of whom only peers told that we did not choose.
    pub(super) told: bool,
}

/// What somebody says of an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rumour {
    pub(super) source: NodeId,
    /// Whether we dialed the source.
    pub(super) dialed: bool,
    /// Who is there.
    pub(super) node_id: Option<NodeId>,
}

/// How a peer went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    pub(super) at: Instant,
    /// When its address may be dialed again at the earliest.
    pub(super) again: Instant,
    /// The link's length.
    pub(super) lasted: Duration,
    /// One side had no room: the other is alive, and not to be dialed again soon.
    pub(super) full: bool,
    /// It broke a rule: whatever is there is nobody to look for.
    pub(super) broke: bool,
}

impl Book {
    /// Takes what a peer says of an address, to be dialed at `next`. Whether it is news and there was room.
    pub(super) fn learn(&mut self, addr: SocketAddr, rumour: Rumour, next: Instant, limits: &Limits) -> bool {
        let Some(entry) = self.entries.get(&addr) else {
            let room = self.has_room(rumour.source, limits);
            if room {
                self.insert(addr, rumour, State::Waiting { next });
            }
            return room;
        };
        let (contradicts, revives) = (entry.is_contradicted_by(&rumour), entry.is_revived_at(next));
        if rumour.dialed && !entry.advised {
            self.change(addr, |entry| entry.advised = true);
        }
        if contradicts || revives {
            self.change(addr, |entry| {
                entry.state = State::Waiting { next };
                entry.in_vain = false;
                if contradicts {
                    entry.node_id = rumour.node_id;
                }
            });
        }
        contradicts || revives
    }

    /// A peer that is here listens at `addr` by its own word: it is not dialed there while it is here. Unless the book
    /// has the address under another's key, by a dial of ours or by rumour: then a dial decides, so that nobody keeps
    /// us from another's address by claiming it.
    pub(super) fn claimed(&mut self, addr: SocketAddr, by: NodeId, limits: &Limits) {
        let rumour = Rumour { source: by, dialed: false, node_id: Some(by) };
        let Some(entry) = self.entries.get(&addr) else {
            if self.has_room(by, limits) {
                self.insert(addr, rumour, State::Linked(by));
            }
            return;
        };
        if entry.may_be(by) && matches!(entry.state, State::Waiting { .. }) {
            self.change(addr, |entry| {
                entry.state = State::Linked(by);
                entry.node_id = Some(by);
            });
        }
    }

    /// When the first address is due for which there is room.
    pub(super) fn first_due(&self, room: Room) -> Option<Instant> {
        let wanted = KINDS.into_iter().filter(|kind| room.is_for(*kind));
        wanted.filter_map(|kind| self.waiting(kind).next()).map(|(next, _)| next).min()
    }

    /// One of the addresses that are due and for which there is room. A coin decides
    /// - between peers without a key and with one, so that however many there are of either, the other comes up;
    /// - between the found and the told, so that however many were told, those that are known to be true come up.
    ///
    /// Of the told, those come first that a peer told whom we chose; of either, in three turns of four, those at which no
    /// dial was in vain; among equals, chance decides, so that nobody chooses our neighbours by telling first.
    pub(super) fn pick_due(&self, now: Instant, room: Room, random: &mut impl Rng) -> Option<SocketAddr> {
        let due = |kind| self.waiting(kind).take_while(move |(next, _)| *next <= now).map(|(_, addr)| addr);
        let keyless = due(Kind::Keyless).next().filter(|_| room.keyless);
        if !room.keyed {
            return keyless;
        }
        let advised = due(Kind::Advised).next().is_some();
        let told = due(if advised || !room.told { Kind::Advised } else { Kind::Told });
        let found = due(Kind::Found);
        // What is asked in vain must leave no trace.
        if found.clone().chain(told.clone()).next().is_none() {
            return keyless;
        }
        if keyless.is_some() && below(random, 2) == 0 {
            return keyless;
        }
        // One turn in four is open to all, so that who tells without end cannot starve those that were found.
        let open = below(random, 4) == 0;
        let in_turn = |addr: &SocketAddr| open || self.entries.get(addr).is_some_and(|entry| !entry.in_vain);
        pick_either(found.clone().filter(in_turn), told.clone().filter(in_turn), random)
            .or_else(|| pick_either(found, told, random))
    }

    /// An address that waits, due or not, and of which it is not known whether somebody is there now whom we would take:
    /// one that was found or one that was told, as a coin decides.
    pub(super) fn pick_doubtful(
        &self,
        now: Instant,
        bans: &Bans,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Option<SocketAddr> {
        let worth = |addr: &SocketAddr| {
            let entry = self.entries.get(addr).filter(|entry| entry.is_doubtful(now, limits));
            entry.is_some_and(|entry| {
                entry.node_id.is_none_or(|node_id| !bans.contains(now, node_id, addr.ip()))
            })
        };
        let doubtful = |kind| self.waiting(kind).map(|(_, addr)| addr).filter(worth);
        let told = doubtful(Kind::Advised).chain(doubtful(Kind::Told));
        pick_either(doubtful(Kind::Found), told, random)
    }

    /// The addresses of this kind that wait, the most urgent first.
    fn waiting(&self, kind: Kind) -> impl Iterator<Item = (Instant, SocketAddr)> + Clone {
        let waiting = self.due.range((kind, Instant::ORIGIN, LOWEST)..);
        waiting.take_while(move |due| due.0 == kind).map(|due| (due.1, due.2))
    }

    /// Whether any address waits.
    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Whether an address of a peer with a key waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.due.range((Kind::Found, Instant::ORIGIN, LOWEST)..).next().is_some()
    }

    /// Addresses of peers with a key that are not linked and where no dial has failed since.
    pub(super) fn fresh(&self) -> usize {
        self.fresh
    }

    /// The same but those of one node.
    pub(super) fn fresh_but(&self, node_id: NodeId) -> usize {
        self.entries.values().filter(|entry| entry.is_fresh() && entry.node_id != Some(node_id)).count()
    }

    /// Who is at an address, as far as that is known.
    pub(super) fn node_at(&self, addr: SocketAddr) -> Option<NodeId> {
        self.entries.get(&addr)?.node_id
    }

    /// At most `count` of the addresses that are worth telling, each as likely as the others: where a dial of ours found
    /// somebody and none has failed since, and who is there.
    pub(super) fn sample(&self, count: usize, random: &mut impl Rng) -> Vec<(SocketAddr, NodeId)> {
        let worth = |(addr, entry): (&SocketAddr, &Entry)| {
            let alive = entry.found.is_some() && entry.is_fresh();
            Some((*addr, entry.node_id.filter(|_| alive)?))
        };
        let mut addrs: Vec<_> = self.entries.iter().filter_map(worth).collect();
        let count = count.min(addrs.len());
        // The first steps of a Fisher-Yates shuffle.
        for index in 0..count {
            let other = index + below(random, addrs.len() - index);
            addrs.swap(index, other);
        }
        addrs.truncate(count);
        addrs
    }

    pub(super) fn dialing(&mut self, addr: SocketAddr) {
        self.change(addr, |entry| entry.state = State::Dialing);
    }

    /// A dial, or the greeting after it, brought no link; `answered`: a node that has no room is there. `degree` says
    /// how urgent links are.
    pub(super) fn failed(
        &mut self,
        addr: SocketAddr,
        answered: bool,
        degree: usize,
        now: Instant,
        random: &mut impl Rng,
        limits: &Limits,
    ) {
        let Some(entry) = self.entries.get(&addr).filter(|entry| entry.state == State::Dialing) else {
            return;
        };
        let mut failed = if answered { 0 } else { entry.failed.saturating_add(1) };
        if degree == 0 {
            // Who is alone is most likely cut off itself: that says little of the address.
            failed = failed.min(limits.mesh.book_failures.saturating_sub(1).max(1));
        }
        self.change(addr, |entry| {
            entry.failed = failed;
            entry.in_vain = !answered;
            entry.found = entry.found.filter(|at| now.since(*at) < limits.mesh.book_believed);
            let delay =
                entry.backoff.next(random, limits.mesh.backoff_min, entry.kind().ceiling(degree, limits));
            entry.state = State::Waiting { next: now + delay };
        });
        if failed >= limits.mesh.book_failures
            && self.entries.get(&addr).is_some_and(|entry| entry.found.is_none())
        {
            self.remove(addr);
        }
    }

    /// A dial reached this node, which is here.
    pub(super) fn reached(&mut self, addr: SocketAddr, node_id: NodeId, now: Instant) {
        self.change(addr, |entry| {
            entry.source = None;
            entry.node_id = Some(node_id);
            entry.found = Some(now);
            entry.failed = 0;
            entry.in_vain = false;
            entry.state = State::Linked(node_id);
        });
    }

    /// A dial reached ourselves.
    pub(super) fn own(&mut self, addr: SocketAddr) {
        self.change(addr, |entry| entry.state = State::Own);
    }

    /// A peer is gone: its addresses wait to be dialed again.
    pub(super) fn left(
        &mut self,
        node_id: NodeId,
        leaving: Leaving,
        degree: usize,
        random: &mut impl Rng,
        limits: &Limits,
    ) {
        let linked = self.entries.iter().filter(|(_, entry)| entry.state == State::Linked(node_id));
        let linked: Vec<_> = linked.map(|(addr, _)| *addr).collect();
        for addr in linked {
            self.change(addr, |entry| {
                if leaving.lasted >= limits.mesh.backoff_reset && !leaving.full && !leaving.broke {
                    entry.backoff.reset();
                }
                entry.failed = u32::from(!leaving.full);
                entry.in_vain = false;
                entry.found = entry.found.filter(|_| !leaving.broke).map(|_| leaving.at);
                let ceiling = entry.kind().ceiling(degree, limits);
                let next = leaving.again + entry.backoff.next(random, limits.mesh.backoff_min, ceiling);
                entry.state = State::Waiting { next };
            });
        }
    }

    /// There are too few links: what waits for longer than that allows is dialed sooner.
    pub(super) fn hurry(&mut self, degree: usize, now: Instant, random: &mut impl Rng, limits: &Limits) {
        let late = self.due.iter().filter(|(kind, next, _)| *next > now + kind.ceiling(degree, limits));
        let late: Vec<_> = late.map(|(kind, _, addr)| (*kind, *addr)).collect();
        for (kind, addr) in late {
            let next = now + uniform(random, kind.ceiling(degree, limits));
            self.change(addr, |entry| entry.state = State::Waiting { next });
        }
    }

    fn has_room(&mut self, source: NodeId, limits: &Limits) -> bool {
        let from_source = self.entries.values().filter(|entry| entry.source == Some(source)).count();
        from_source < limits.mesh.book_per_source
            && (self.entries.len() < limits.mesh.book || self.make_room())
    }

    /// Forgets the waiting address that failed most of those where nobody was found. Whether there was one.
    fn make_room(&mut self) -> bool {
        let waiting = |entry: &Entry| matches!(entry.state, State::Waiting { .. });
        let failed = self.entries.iter().filter(|(_, entry)| waiting(entry) && entry.failed > 0);
        let unbelieved = failed.filter(|(_, entry)| entry.found.is_none());
        let worst = unbelieved.max_by_key(|(_, entry)| entry.failed).map(|(addr, _)| *addr);
        if let Some(addr) = worst {
            self.remove(addr);
        }
        worst.is_some()
    }

    fn insert(&mut self, addr: SocketAddr, rumour: Rumour, state: State) {
        let entry = Entry {
            state,
            backoff: Backoff::default(),
            failed: 0,
            in_vain: false,
            node_id: rumour.node_id,
            source: Some(rumour.source),
            advised: rumour.dialed,
            found: None,
        };
        self.entries.insert(addr, entry);
        self.list(addr);
    }

    fn remove(&mut self, addr: SocketAddr) {
        self.unlist(addr);
        self.entries.remove(&addr);
    }

    fn change(&mut self, addr: SocketAddr, change: impl FnOnce(&mut Entry)) {
        self.unlist(addr);
        if let Some(entry) = self.entries.get_mut(&addr) {
            change(entry);
        }
        self.list(addr);
    }

    fn unlist(&mut self, addr: SocketAddr) {
        let Some(entry) = self.entries.get(&addr) else { return };
        self.fresh -= usize::from(entry.is_fresh());
        if let Some(due) = entry.due(addr) {
            self.due.remove(&due);
        }
    }

    fn list(&mut self, addr: SocketAddr) {
        let Some(entry) = self.entries.get(&addr) else { return };
        self.fresh += usize::from(entry.is_fresh());
        self.due.extend(entry.due(addr));
    }
}

impl Entry {
    fn kind(&self) -> Kind {
        match (self.node_id, self.found) {
            (Some(node_id), _) if !node_id.is_of_key() => Kind::Keyless,
            (_, Some(_)) => Kind::Found,
            (_, None) if self.advised => Kind::Advised,
            (_, None) => Kind::Told,
        }
    }

    fn due(&self, addr: SocketAddr) -> Option<(Kind, Instant, SocketAddr)> {
        match self.state {
            State::Waiting { next } => Some((self.kind(), next, addr)),
            _ => None,
        }
    }

    fn is_fresh(&self) -> bool {
        let elsewhere = matches!(self.state, State::Waiting { .. } | State::Dialing);
        elsewhere && self.failed == 0 && self.kind() != Kind::Keyless
    }

    fn is_doubtful(&self, now: Instant, limits: &Limits) -> bool {
        self.failed > 0 || self.found.is_none_or(|at| now.since(at) >= limits.mesh.book_fresh)
    }

    /// Whether that node can be who is there. An id without a key is anybody's.
    fn may_be(&self, node_id: NodeId) -> bool {
        self.node_id.is_none_or(|known| known == node_id || !known.is_of_key())
    }

    /// Whether a peer has the address by nothing but its own word, and somebody else says that another is there.
    fn is_contradicted_by(&self, rumour: &Rumour) -> bool {
        let claimed = matches!(self.state, State::Linked(by) if by != rumour.source) && self.found.is_none();
        claimed && rumour.node_id.is_some_and(|node_id| node_id.is_of_key() && !self.may_be(node_id))
    }

    /// Whether it is worth a dial sooner, since somebody says again that it is alive.
    fn is_revived_at(&self, sooner: Instant) -> bool {
        let later = matches!(self.state, State::Waiting { next } if next > sooner);
        later && self.failed > 0 && self.kind() == Kind::Found
    }
}

const KINDS: [Kind; 4] = [Kind::Keyless, Kind::Found, Kind::Advised, Kind::Told];

/// The first in the order of addresses.
const LOWEST: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), 0);

impl Kind {
    /// The longest wait for such an address with so many links.
    fn ceiling(self, degree: usize, limits: &Limits) -> Duration {
        match self {
            Self::Keyless => limits.mesh.backoff_max,
            _ if degree == 0 => limits.mesh.backoff_user,
            Self::Found if degree < limits.mesh.degree_low => limits.mesh.backoff_low,
            Self::Found | Self::Advised | Self::Told => limits.mesh.backoff_max,
        }
    }
}

impl Room {
    fn is_for(self, kind: Kind) -> bool {
        match kind {
            Kind::Keyless => self.keyless,
            Kind::Found | Kind::Advised => self.keyed,
            Kind::Told => self.keyed && self.told,
        }
    }
}

/// One of the first or one of the others, whose turn a coin decides.
fn pick_either<I: Iterator<Item = SocketAddr> + Clone, J: Iterator<Item = SocketAddr> + Clone>(
    mut first: I,
    mut others: J,
    random: &mut impl Rng,
) -> Option<SocketAddr> {
    let (count, other_count) = (first.clone().count(), others.clone().count());
    let turn = match (count, other_count) {
        (0, 0) => return None,
        (_, 0) => true,
        (0, _) => false,
        _ => below(random, 2) == 0,
    };
    if turn { first.nth(below(random, count)) } else { others.nth(below(random, other_count)) }
}
