//! Who holds how much of the window, and who gives way when it is full.
//!
//! Max-min fairness by longest queue drop (Suter et al., INFOCOM 1998): the author who holds most gives way. Keys cost
//! nothing, so authors who are new share a part of the window, and give way to each other there.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use core::cmp::Reverse;
use core::ops::{AddAssign, SubAssign};
use core::time::Duration;

use super::window::{FIRST_ID, LAST_ID, OrderKey, order_key};
use crate::model::{Entry, EntryId, Instant, Limits, Place, PublicKey};

/// Shares are compared in units of so many bytes (SPEC 9.15). Of two authors with one short entry each, the one who said it
/// first gives way, and not the one with the longer name.
pub(in crate::chat) const SHARE: usize = 4_096;

/// New authors, and the node itself, have a share of the window: one in so many of its bytes, and of its entries.
const PART: usize = 4;

/// The authors of the entries in the window.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// This node. Its entries give way last.
    own: Option<PublicKey>,
    authors: BTreeMap<PublicKey, Share>,
    /// New authors, and the others but this node, each in the order in which they give way: the last one first. An index
    /// of `authors`.
    new: BTreeSet<(Rank, PublicKey)>,
    established: BTreeSet<(Rank, PublicKey)>,
    /// What new authors hold. A cache over `authors`.
    held_by_new: Held,
    /// What all hold. A cache over `authors`.
    held: Held,
    /// The entries of each author, by their place. An index of the window.
    entries: BTreeSet<AuthorKey>,
}

/// The order of entries by author, and of one author's entries by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AuthorKey {
    key: PublicKey,
    at: u64,
    epoch: u64,
    seq: u64,
    id: EntryId,
}

impl AuthorKey {
    fn of(&(Place { at, key, epoch, seq }, id): &OrderKey) -> Self {
        Self { key, at, epoch, seq, id }
    }

    fn place(&self) -> OrderKey {
        let Self { key, at, epoch, seq, id } = *self;
        (Place { at, key, epoch, seq }, id)
    }
}

/// The units that an author holds, and its oldest entry: of two with as much, the one with the older entry gives way.
type Rank = (usize, Reverse<OrderKey>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    held: Held,
    /// The author is no longer new.
    established: bool,
    /// When the first of its entries came. None: it is judged by dates alone.
    since: Option<Instant>,
    oldest: OrderKey,
}

/// Entries, and what they are charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

impl Held {
    fn add(&mut self, entry: &Entry) {
        self.entries += 1;
        self.bytes += entry.charge();
    }

    fn remove(&mut self, entry: &Entry) {
        self.entries -= 1;
        self.bytes -= entry.charge();
    }

    /// Whether this is more than one in `part` of what the window may hold.
    fn exceeds(self, part: usize, limits: &Limits) -> bool {
        self.entries > limits.chat.log_entries / part || self.bytes > limits.chat.log_bytes / part
    }
}

impl AddAssign for Held {
    fn add_assign(&mut self, other: Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Held {
    fn sub_assign(&mut self, other: Self) {
        self.entries -= other.entries;
        self.bytes -= other.bytes;
    }
}

impl Shares {
    /// This node's entries go last.
    pub(super) fn set_own(&mut self, key: PublicKey) {
        self.own = Some(key);
    }

    /// What all authors hold.
    pub(super) fn held(&self) -> Held {
        self.held
    }

    /// What new authors hold, in bytes.
    pub(super) fn new_bytes(&self) -> usize {
        self.held_by_new.bytes
    }

    pub(super) fn is_own(&self, key: &PublicKey) -> bool {
        self.own == Some(*key)
    }

    /// The number of authors with entries in the window, without this node.
    pub(super) fn others(&self) -> usize {
        self.new.len() + self.established.len()
    }

    /// Whether there are entries of this author in the window.
    pub(super) fn contains(&self, key: &PublicKey) -> bool {
        self.authors.contains_key(key)
    }

    /// Whether the window is over a limit.
    pub(super) fn is_over(&self, limits: &Limits) -> bool {
        self.held.exceeds(1, limits)
    }

    /// Whose oldest entry gives way, and which that is.
    pub(super) fn victim(&self, limits: &Limits) -> Option<OrderKey> {
        let own = self.own.and_then(|key| self.authors.get(&key));
        let own_is_over = own.filter(|share| share.held.exceeds(PART, limits));
        let first_of = |set: &BTreeSet<(Rank, PublicKey)>| set.last().map(|(rank, _)| *rank);
        let established = first_of(&self.established).max(own_is_over.map(Share::rank));
        let new = first_of(&self.new);
        let first = if self.held_by_new.exceeds(PART, limits) { new } else { established };
        let (_, Reverse(oldest)) = first.or(established).or(new).or(own.map(Share::rank))?;
        Some(oldest)
    }

    /// Whether the author has entries in the window, and is no longer new.
    pub(super) fn is_established(&self, key: &PublicKey) -> bool {
        self.authors.get(key).is_some_and(|share| share.established)
    }

    /// An entry came into the window. `arrival`: when, unless its author is judged by dates alone. An author chooses its dates,
    /// and so is established only if what it said came over as long a time as it is dated.
    pub(super) fn insert(
        &mut self,
        place: OrderKey,
        entry: &Entry,
        arrival: Option<Instant>,
        limits: &Limits,
    ) {
        let key = entry.key();
        self.entries.insert(AuthorKey::of(&place));
        self.held.add(entry);
        let is_first = !self.authors.contains_key(&key);
        let Some((oldest, newest)) = self.ends_of(key) else { return };
        let dated = Duration::from_millis(newest.0.at - oldest.0.at);
        self.change(key, |share| {
            share.held.add(entry);
            if is_first {
                share.since = arrival;
            }
            let came = share.since.zip(arrival).map(|(first, last)| last.since(first));
            let span = came.map_or(dated, |came| came.min(dated));
            share.established |= span >= limits.chat.author_new;
        });
    }

    /// An entry left the window.
    pub(super) fn remove(&mut self, place: OrderKey, entry: &Entry) {
        let key = entry.key();
        self.entries.remove(&AuthorKey::of(&place));
        self.held.remove(entry);
        self.change(key, |share| share.held.remove(entry));
    }

    /// Changes what an author holds, and updates the indexes.
    fn change(&mut self, key: PublicKey, change: impl FnOnce(&mut Share)) {
        let before = self.authors.get(&key).copied();
        if let Some(before) = before {
            self.unindex(key, before);
        }
        let Some((oldest, _)) = self.ends_of(key) else {
            self.authors.remove(&key);
            return;
        };
        let new = Share { held: Held::default(), established: false, since: None, oldest };
        let mut share = before.unwrap_or(new);
        change(&mut share);
        share.oldest = oldest;
        self.authors.insert(key, share);
        self.index(key, share);
    }

    fn index(&mut self, key: PublicKey, share: Share) {
        if Some(key) == self.own {
            return;
        }
        let set = if share.established { &mut self.established } else { &mut self.new };
        set.insert((share.rank(), key));
        if !share.established {
            self.held_by_new += share.held;
        }
    }

    fn unindex(&mut self, key: PublicKey, share: Share) {
        if Some(key) == self.own {
            return;
        }
        let set = if share.established { &mut self.established } else { &mut self.new };
        set.remove(&(share.rank(), key));
        if !share.established {
            self.held_by_new -= share.held;
        }
    }

    /// The oldest and the newest entry of an author.
    fn ends_of(&self, key: PublicKey) -> Option<(OrderKey, OrderKey)> {
        let first = AuthorKey { key, at: 0, epoch: 0, seq: 0, id: FIRST_ID };
        let last = AuthorKey { key, at: u64::MAX, epoch: u64::MAX, seq: u64::MAX, id: LAST_ID };
        let mut range = self.entries.range(first..=last);
        let oldest = range.next()?;
        Some((oldest.place(), range.next_back().unwrap_or(oldest).place()))
    }

    /// Compares all with what the window holds.
    pub(super) fn is_consistent<'a>(&self, window: impl Iterator<Item = &'a Arc<Entry>>) -> bool {
        let (mut entries, mut held) = (BTreeSet::new(), BTreeMap::<PublicKey, Held>::new());
        for entry in window {
            entries.insert(AuthorKey::of(&order_key(entry)));
            held.entry(entry.key()).or_default().add(entry);
        }
        let mut again = Self { own: self.own, ..Self::default() };
        for (key, share) in &self.authors {
            again.held += share.held;
            again.index(*key, *share);
        }
        self.entries == entries
            && self.authors.iter().map(|(key, share)| (*key, share.held)).eq(held)
            && self
                .authors
                .iter()
                .all(|(key, share)| self.ends_of(*key).is_some_and(|(oldest, _)| oldest == share.oldest))
            && (self.held, self.held_by_new) == (again.held, again.held_by_new)
            && (&self.new, &self.established) == (&again.new, &again.established)
    }
}

impl Share {
    /// How soon the author gives way.
    fn rank(&self) -> Rank {
        (self.held.bytes.div_ceil(SHARE), Reverse(self.oldest))
    }
}
