//! Repair: entries that were announced and did not come are asked for, one announcer after the other.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use crate::model::{EntryId, Fifo, Instant, Limits, NodeId};

/// Entries that were announced and are not here.
#[derive(Debug, Default)]
pub(super) struct AnnouncedFetch {
    entries: BTreeMap<EntryId, PendingEntry>,
    /// When the next announcer of each is asked: an index of `entries`.
    due: BTreeSet<(Instant, EntryId)>,
    /// What each neighbour announced first, in order: an index of `entries`.
    first_announced: BTreeMap<NodeId, Fifo<EntryId, ()>>,
    /// How often in a row each neighbour was asked in vain.
    unanswered: BTreeMap<NodeId, usize>,
    /// Neighbours that were asked in vain once too often.
    unresponsive: BTreeSet<NodeId>,
    /// How many had to make room.
    dropped: u64,
}

#[derive(Debug)]
struct PendingEntry {
    /// Who announced it first, whether still a neighbour or not: its share of the room is used.
    first: NodeId,
    announcers: Vec<Announcer>,
    /// Who was asked last.
    asked: Option<NodeId>,
    tries: u32,
    at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Announcer {
    peer: NodeId,
    asked: u32,
}

/// What was known of an entry when it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Completed {
    pub(super) announcers: Vec<NodeId>,
    /// Who brought it had been asked for it.
    pub(super) asked: bool,
}

impl AnnouncedFetch {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The most that one neighbour announced first.
    pub(super) fn most_per_link(&self) -> usize {
        self.first_announced.values().map(Fifo::len).max().unwrap_or(0)
    }

    /// The most announcers of one entry.
    pub(super) fn most_announcers(&self) -> usize {
        self.entries.values().map(|entry| entry.announcers.len()).max().unwrap_or(0)
    }

    /// A neighbour announced an entry that is not here; the first announcer is asked `after` from now. False: it has
    /// announced too many already.
    #[must_use]
    pub(super) fn add(
        &mut self,
        now: Instant,
        peer: NodeId,
        id: EntryId,
        after: Duration,
        limits: &Limits,
    ) -> bool {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.add(peer, limits);
            return true;
        }
        let share = limits.chat.missing_per_link.min(limits.chat.missing);
        if self.first_announced.get(&peer).map_or(0, Fifo::len) >= share {
            return false;
        }
        if self.entries.len() >= limits.chat.missing {
            self.make_room();
        }
        let at = now + after;
        let announcers = Vec::from([Announcer { peer, asked: 0 }]);
        self.entries.insert(id, PendingEntry { first: peer, announcers, asked: None, tries: 0, at });
        self.due.insert((at, id));
        self.first_announced.entry(peer).or_default().insert(id, ());
        true
    }

    /// Nobody's announcements push out all of another's: who announced most loses the oldest.
    fn make_room(&mut self) {
        let most = self.first_announced.values().max_by_key(|ids| ids.len());
        if let Some(oldest) = most.and_then(|ids| ids.first().map(|(id, ())| *id)) {
            self.remove(&oldest);
            self.dropped += 1;
        }
    }

    /// How many had to make room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn remove(&mut self, id: &EntryId) -> Option<PendingEntry> {
        let entry = self.entries.remove(id)?;
        self.due.remove(&(entry.at, *id));
        if let Some(ids) = self.first_announced.get_mut(&entry.first) {
            ids.remove(id);
            if ids.is_empty() {
                self.first_announced.remove(&entry.first);
            }
        }
        Some(entry)
    }

    /// Whether this neighbour was asked for the entry.
    pub(super) fn is_requested(&self, peer: NodeId, id: &EntryId) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.was_asked(peer))
    }

    /// The entry came from this neighbour, or is no longer wanted.
    pub(super) fn complete(&mut self, from: Option<NodeId>, id: &EntryId) -> Completed {
        let Some(entry) = self.remove(id) else { return Completed::default() };
        let asked = from.filter(|from| entry.was_asked(*from));
        if let Some(from) = asked {
            self.unanswered.remove(&from);
        }
        let announcers = entry.announcers.iter().map(|announcer| announcer.peer).collect();
        Completed { announcers, asked: asked.is_some() }
    }

    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.unanswered.remove(&peer);
        self.unresponsive.remove(&peer);
        for entry in self.entries.values_mut() {
            entry.announcers.retain(|announcer| announcer.peer != peer);
        }
        // What nobody has announced any more is not asked for; `due` finds that out.
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The next entry that is due, and whom to ask for it.
    pub(super) fn next_request(&mut self, now: Instant, limits: &Limits) -> Option<(NodeId, EntryId)> {
        while let Some((at, id)) = self.due.first().copied()
            && at <= now
        {
            let entry = self.entries.get_mut(&id)?;
            let here = |peer: &NodeId| entry.announcers.iter().any(|announcer| announcer.peer == *peer);
            if let Some(asked) = entry.asked.filter(here) {
                let unanswered = self.unanswered.entry(asked).or_default();
                *unanswered = unanswered.saturating_add(1);
                if unanswered.is_multiple_of(limits.chat.parent_failures.max(1)) {
                    self.unresponsive.insert(asked);
                }
            }
            let unanswered = |peer: &NodeId| self.unanswered.get(peer).copied().unwrap_or(0);
            // Who was asked less often for this one, then who answered better, then who announced first.
            let next = entry
                .announcers
                .iter_mut()
                .min_by_key(|announcer| (announcer.asked, unanswered(&announcer.peer)));
            let Some(next) = next.filter(|_| entry.tries < limits.chat.ask_tries) else {
                self.remove(&id);
                continue;
            };
            next.asked += 1;
            let peer = next.peer;
            entry.asked = Some(peer);
            entry.tries += 1;
            entry.at = now + limits.chat.ask_again;
            self.due.remove(&(at, id));
            self.due.insert((entry.at, id));
            return Some((peer, id));
        }
        None
    }

    /// The next neighbour that was asked in vain so often that it is no good as a parent.
    pub(super) fn next_unresponsive(&mut self) -> Option<NodeId> {
        self.unresponsive.pop_first()
    }

    pub(super) fn is_consistent(&self) -> bool {
        let due = self.entries.iter().map(|(id, entry)| (entry.at, *id)).collect::<BTreeSet<_>>();
        let first = |id: &EntryId, peer| self.entries.get(id).is_some_and(|entry| entry.first == peer);
        due == self.due
            && self.first_announced.values().map(Fifo::len).sum::<usize>() == self.entries.len()
            && self.first_announced.iter().all(|(peer, ids)| {
                !ids.is_empty() && ids.is_consistent() && ids.keys().all(|id| first(id, *peer))
            })
    }
}

impl PendingEntry {
    /// One more announcer. Where there is no room it takes the place of the one that was asked most.
    fn add(&mut self, peer: NodeId, limits: &Limits) {
        if self.announcers.iter().any(|announcer| announcer.peer == peer) {
            return;
        }
        if self.announcers.len() >= limits.chat.announcers {
            let most = self.announcers.iter().enumerate().max_by_key(|(_, announcer)| announcer.asked);
            let Some((index, _)) = most.filter(|(_, announcer)| announcer.asked > 0) else { return };
            self.announcers.remove(index);
        }
        self.announcers.push(Announcer { peer, asked: 0 });
    }

    fn was_asked(&self, peer: NodeId) -> bool {
        self.announcers.iter().any(|announcer| announcer.peer == peer && announcer.asked > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    fn id(n: u8) -> EntryId {
        EntryId::from_bytes([n; 32])
    }

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    fn after() -> Duration {
        Limits::default().chat.ask_after
    }

    #[test]
    fn the_first_announcer_is_asked_first_and_then_the_others_in_turn() {
        let limits = Limits::default().with(|limits| limits.chat.ask_tries = 4);
        let mut fetch = AnnouncedFetch::default();
        for n in 1..4 {
            assert!(fetch.add(at(u64::from(n)), peer(n), id(9), after(), &limits));
        }
        let mut asked = Vec::new();
        while let Some(now) = fetch.deadline() {
            let next = fetch.next_request(now, &limits);
            asked.push((now.since_origin().as_millis(), next.map(|(peer, _)| peer)));
        }
        let turns = [(151, Some(1)), (451, Some(2)), (751, Some(3)), (1051, Some(1)), (1351, None)];
        assert_eq!(asked, turns.map(|(at, n)| (at, n.map(peer))));
        assert_eq!(fetch.entries.len(), 0, "it is given up");
        assert!(fetch.is_consistent());
    }

    #[test]
    fn who_was_asked_in_vain_is_asked_after_others() {
        let limits = Limits::default();
        let mut fetch = AnnouncedFetch::default();
        for n in [1, 2] {
            assert!(fetch.add(at(0), peer(n), id(1), after(), &limits));
        }
        assert_eq!(fetch.next_request(at(150), &limits), Some((peer(1), id(1))));
        assert_eq!(fetch.next_request(at(450), &limits), Some((peer(2), id(1))));
        assert!(fetch.add(at(460), peer(3), id(1), after(), &limits));
        assert!(fetch.is_requested(peer(1), &id(1)), "its answer may be late");
        assert!(fetch.is_requested(peer(2), &id(1)) && !fetch.is_requested(peer(3), &id(1)));
        let found = fetch.complete(Some(peer(2)), &id(1));
        assert_eq!(found, Completed { announcers: [1, 2, 3].map(peer).to_vec(), asked: true });
        for n in [1, 2] {
            assert!(fetch.add(at(500), peer(n), id(2), after(), &limits));
        }
        assert_eq!(fetch.next_request(at(650), &limits), Some((peer(2), id(2))));
        fetch.unlinked(peer(2));
        assert_eq!(fetch.next_request(at(950), &limits), Some((peer(1), id(2))));
        fetch.unlinked(peer(1));
        assert_eq!((fetch.next_request(at(1250), &limits), fetch.entries.len()), (None, 0));
    }

    #[test]
    fn a_flood_of_announcements_costs_its_sender_first() {
        let limits = Limits::default().with(|limits| {
            limits.chat.missing = 6;
            limits.chat.missing_per_link = 4;
        });
        let mut fetch = AnnouncedFetch::default();
        let mut add = |n, k| fetch.add(at(0), peer(n), id(k), after(), &limits);
        assert!(add(1, 1));
        assert!((10..14).all(|k| add(2, k)));
        assert!(!add(2, 14), "its share");
        assert!(add(2, 1), "another announcer");
        assert!(add(3, 20));
        assert_eq!((fetch.entries.len(), fetch.dropped()), (6, 0));
        assert!(fetch.add(at(0), peer(3), id(21), after(), &limits));
        assert_eq!(fetch.dropped(), 1);
        assert_eq!((fetch.entries.len(), fetch.entries.contains_key(&id(10))), (6, false));
        assert!(fetch.entries.contains_key(&id(1)) && fetch.is_consistent());
    }

    #[test]
    fn only_so_many_announcers_are_remembered_and_fresh_ones_before_asked_ones() {
        let limits = Limits::default().with(|limits| limits.chat.announcers = 2);
        let mut fetch = AnnouncedFetch::default();
        for n in [1, 1, 2, 3] {
            assert!(fetch.add(at(0), peer(n), id(1), after(), &limits));
        }
        assert_eq!(fetch.next_request(at(150), &limits), Some((peer(1), id(1))));
        assert!(fetch.add(at(160), peer(3), id(1), after(), &limits));
        assert_eq!(fetch.complete(None, &id(1)).announcers, [peer(2), peer(3)]);
        for n in [1, 1, 2, 3] {
            assert!(fetch.add(at(200), peer(n), id(1), after(), &limits));
        }
        assert_eq!(fetch.complete(None, &id(1)).announcers, [peer(1), peer(2)]);
    }
}
