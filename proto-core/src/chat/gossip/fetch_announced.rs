//! Requests after an announcement: entries that were announced and did not come are requested from one
//! announcer after the other.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::fetch_tips::MAX_WAIT_ANSWERING;
use crate::model::{EntryId, Fifo, Instant, Limits, NodeId};

/// Entries that were announced and are missing here.
#[derive(Debug, Default)]
pub(super) struct AnnouncedFetch {
    entries: BTreeMap<EntryId, PendingEntry>,
    /// When the next announcer of each entry is asked. Of those due at one time, the one announced first comes first, so
    /// that a backlog comes in order. An index of `entries`.
    due: BTreeSet<(Instant, u64, EntryId)>,
    /// How many entries were ever added.
    added: u64,
    /// The entries that each neighbour announced first, in order. An index of `entries`.
    first_announced: BTreeMap<NodeId, Fifo<EntryId, ()>>,
    /// How many requests in a row each neighbour left unanswered.
    unanswered: BTreeMap<NodeId, usize>,
    /// When each neighbour last sent an entry that it was asked for.
    answered: BTreeMap<NodeId, Instant>,
    /// Neighbours that left too many requests unanswered.
    unresponsive: BTreeSet<NodeId>,
    /// How many entries had to make room.
    dropped: u64,
}

#[derive(Debug)]
struct PendingEntry {
    /// Who announced it first, even if unlinked since. The entry counts towards the share of that neighbour.
    first: NodeId,
    announcers: Vec<Announcer>,
    /// Who was asked last, and when.
    last_asked: Option<(NodeId, Instant)>,
    tries: u32,
    /// When the next announcer is asked.
    due: Instant,
    /// How many entries were added before.
    order: u64,
}

#[derive(Clone, Copy, Debug)]
struct Announcer {
    peer: NodeId,
    /// How often it was asked for this entry.
    tries: u32,
}

/// What was known of an entry when it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Completed {
    pub(super) announcers: Vec<NodeId>,
    /// The neighbour that sent it had been asked for it.
    pub(super) requested: bool,
}

impl AnnouncedFetch {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many entries this neighbour announced first.
    pub(super) fn len_from(&self, peer: NodeId) -> usize {
        self.first_announced.get(&peer).map_or(0, Fifo::len)
    }

    /// The most entries that one neighbour announced first.
    pub(super) fn most_per_neighbour(&self) -> usize {
        self.first_announced.values().map(Fifo::len).max().unwrap_or(0)
    }

    /// The most announcers of one entry.
    pub(super) fn most_announcers(&self) -> usize {
        self.entries.values().map(|entry| entry.announcers.len()).max().unwrap_or(0)
    }

    /// A neighbour announced an entry that is missing here. The first announcer is asked `after` from now.
    /// False: this neighbour's share of the room is full.
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
            let soon = now + limits.chat.ask_again;
            if entry.add_announcer(peer, limits) && entry.due > soon {
                entry.put_off(soon, id, &mut self.due);
            }
            return true;
        }
        let share = limits.chat.announced_missing_per_link.min(limits.chat.announced_missing);
        if self.len_from(peer) >= share {
            return false;
        }
        if self.entries.len() >= limits.chat.announced_missing {
            self.make_room();
        }
        let due = now + after;
        let announcers = Vec::from([Announcer { peer, tries: 0 }]);
        let order = self.added;
        self.added += 1;
        let entry = PendingEntry { first: peer, announcers, last_asked: None, tries: 0, due, order };
        self.entries.insert(id, entry);
        self.due.insert((due, order, id));
        self.first_announced.entry(peer).or_default().insert(id, ());
        true
    }

    /// Drops the oldest entry of the neighbour that announced most, so that no neighbour displaces all
    /// entries of another.
    fn make_room(&mut self) {
        let most = self.first_announced.values().max_by_key(|ids| ids.len());
        if let Some(oldest) = most.and_then(|ids| ids.first().map(|(id, ())| *id)) {
            self.remove(&oldest);
            self.dropped += 1;
        }
    }

    /// How many entries had to make room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn remove(&mut self, id: &EntryId) -> Option<PendingEntry> {
        let entry = self.entries.remove(id)?;
        self.due.remove(&(entry.due, entry.order, *id));
        if let Some(ids) = self.first_announced.get_mut(&entry.first) {
            ids.remove(id);
            if ids.is_empty() {
                self.first_announced.remove(&entry.first);
            }
        }
        Some(entry)
    }

    /// Whether the entry was requested from this neighbour.
    pub(super) fn is_requested(&self, peer: NodeId, id: &EntryId) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.was_asked(peer))
    }

    /// Whether this neighbour was the last to be asked for the entry, or will be asked for it.
    pub(super) fn is_expected_from(&self, peer: NodeId, id: &EntryId) -> bool {
        self.entries.get(id).is_some_and(|entry| {
            let asked = entry.announcer(peer).map(|announcer| announcer.tries > 0);
            asked == Some(false) || asked.is_some() && entry.last_asked.is_some_and(|(last, _)| last == peer)
        })
    }

    /// The entry came from this neighbour, or is no longer missing.
    pub(super) fn complete(&mut self, now: Instant, from: Option<NodeId>, id: &EntryId) -> Completed {
        let Some(entry) = self.remove(id) else { return Completed::default() };
        let responder = from.filter(|from| entry.was_asked(*from));
        if let Some(responder) = responder {
            self.unanswered.remove(&responder);
            self.answered.insert(responder, now);
        }
        let announcers = entry.announcers.iter().map(|announcer| announcer.peer).collect();
        Completed { announcers, requested: responder.is_some() }
    }

    /// This neighbour answered that it lacks the entry, or its body. The next announcer is asked at once. Without one, the entry is
    /// given up until it is announced again.
    pub(super) fn asked_in_vain(&mut self, now: Instant, peer: NodeId, id: &EntryId) {
        let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.was_asked(peer)) else { return };
        self.unanswered.remove(&peer);
        entry.announcers.retain(|announcer| announcer.peer != peer);
        if entry.announcers.is_empty() {
            self.remove(id);
        } else if entry.last_asked.is_some_and(|(last, _)| last == peer) {
            entry.last_asked = None;
            entry.put_off(now, *id, &mut self.due);
        }
    }

    /// Removes a neighbour from all announcers. An entry without any is dropped when it is due.
    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.unanswered.remove(&peer);
        self.answered.remove(&peer);
        self.unresponsive.remove(&peer);
        for entry in self.entries.values_mut() {
            entry.announcers.retain(|announcer| announcer.peer != peer);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// The next entry that is due, and whom to ask for it.
    pub(super) fn next_request(&mut self, now: Instant, limits: &Limits) -> Option<(NodeId, EntryId)> {
        while let Some((at, _, id)) = self.due.first().copied()
            && at <= now
        {
            if let Some(until) = self.answers_until(&id, limits).filter(|until| *until > now) {
                self.entries.get_mut(&id)?.put_off(until, id, &mut self.due);
                continue;
            }
            self.count_unanswered(&id, limits);
            let entry = self.entries.get_mut(&id)?;
            let unanswered = |peer: &NodeId| self.unanswered.get(peer).copied().unwrap_or(0);
            // The least asked for this entry, then the most responsive, then the first to announce it.
            let next = entry
                .announcers
                .iter_mut()
                .min_by_key(|announcer| (announcer.tries, unanswered(&announcer.peer)));
            let Some(next) = next.filter(|_| entry.tries < limits.chat.ask_tries) else {
                self.remove(&id);
                continue;
            };
            next.tries += 1;
            let peer = next.peer;
            entry.last_asked = Some((peer, now));
            entry.tries += 1;
            entry.put_off(now + entry.wait(limits), id, &mut self.due);
            return Some((peer, id));
        }
        None
    }

    /// Until when the answer may still come, if every announcer was asked: the one asked last is sending what it was asked
    /// for. On a slow link a long answer takes minutes.
    fn answers_until(&self, id: &EntryId, limits: &Limits) -> Option<Instant> {
        let entry = self.entries.get(id)?;
        if entry.announcers.iter().any(|announcer| announcer.tries == 0) {
            return None;
        }
        let (peer, asked) = entry.last_asked?;
        let wait = limits.chat.asked_for;
        Some((*self.answered.get(&peer)? + wait).min(asked + wait * MAX_WAIT_ANSWERING))
    }

    /// The last request for this entry was not answered in time, if there was one.
    fn count_unanswered(&mut self, id: &EntryId, limits: &Limits) {
        let Some(entry) = self.entries.get(id) else { return };
        let is_linked = |peer: &NodeId| entry.announcers.iter().any(|announcer| announcer.peer == *peer);
        if let Some(asked) = entry.last_asked.map(|(peer, _)| peer).filter(is_linked) {
            let unanswered = self.unanswered.entry(asked).or_default();
            *unanswered = unanswered.saturating_add(1);
            if unanswered.is_multiple_of(limits.chat.parent_failures.max(1)) {
                self.unresponsive.insert(asked);
            }
        }
    }

    /// The next neighbour that left so many requests unanswered that it is unfit as the parent.
    pub(super) fn next_unresponsive(&mut self) -> Option<NodeId> {
        self.unresponsive.pop_first()
    }

    pub(super) fn is_consistent(&self) -> bool {
        let due =
            self.entries.iter().map(|(id, entry)| (entry.due, entry.order, *id)).collect::<BTreeSet<_>>();
        let first = |id: &EntryId, peer| self.entries.get(id).is_some_and(|entry| entry.first == peer);
        due == self.due
            && self.first_announced.values().map(Fifo::len).sum::<usize>() == self.entries.len()
            && self.first_announced.iter().all(|(peer, ids)| {
                !ids.is_empty() && ids.is_consistent() && ids.keys().all(|id| first(id, *peer))
            })
    }
}

impl PendingEntry {
    /// Adds an announcer. At the bound it replaces the one that was asked most, if any was asked.
    /// Returns whether the announcer is new.
    fn add_announcer(&mut self, peer: NodeId, limits: &Limits) -> bool {
        if self.announcer(peer).is_some() {
            return false;
        }
        if self.announcers.len() >= limits.chat.announcers {
            let most = self.announcers.iter().enumerate().max_by_key(|(_, announcer)| announcer.tries);
            let Some((index, _)) = most.filter(|(_, announcer)| announcer.tries > 0) else { return false };
            self.announcers.remove(index);
        }
        self.announcers.push(Announcer { peer, tries: 0 });
        true
    }

    /// From one request to the next. An announcer that was asked before is waited for: on a slow link its answer is behind what
    /// it sent before, and another request would only bring another copy.
    fn wait(&self, limits: &Limits) -> Duration {
        let fewest = self.announcers.iter().map(|announcer| announcer.tries).min().unwrap_or(0);
        match fewest.checked_sub(1) {
            None => limits.chat.ask_again,
            Some(round) => limits.chat.ask_same.saturating_mul(1 << round.min(3)),
        }
    }

    fn put_off(&mut self, until: Instant, id: EntryId, index: &mut BTreeSet<(Instant, u64, EntryId)>) {
        index.remove(&(self.due, self.order, id));
        self.due = until;
        index.insert((until, self.order, id));
    }

    fn announcer(&self, peer: NodeId) -> Option<&Announcer> {
        self.announcers.iter().find(|announcer| announcer.peer == peer)
    }

    fn was_asked(&self, peer: NodeId) -> bool {
        self.announcer(peer).is_some_and(|announcer| announcer.tries > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::{at, entry_id as id, peer};

    fn after() -> Duration {
        Limits::default().chat.ask_after
    }

    #[test]
    fn announcers_are_asked_in_turn_the_first_one_first() {
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
        let turns = [(151, Some(1)), (451, Some(2)), (751, Some(3)), (60_751, Some(1)), (120_751, None)];
        assert_eq!(asked, turns.map(|(at, n)| (at, n.map(peer))));
        assert_eq!(fetch.entries.len(), 0, "it is given up");
        assert!(fetch.is_consistent());
    }

    #[test]
    fn an_announcer_that_did_not_answer_is_asked_after_the_others() {
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
        let found = fetch.complete(at(470), Some(peer(2)), &id(1));
        assert_eq!(found, Completed { announcers: [1, 2, 3].map(peer).to_vec(), requested: true });
        for n in [1, 2] {
            assert!(fetch.add(at(500), peer(n), id(2), after(), &limits));
        }
        assert_eq!(fetch.next_request(at(650), &limits), Some((peer(2), id(2))));
        fetch.unlinked(peer(2));
        assert_eq!(fetch.next_request(at(950), &limits), Some((peer(1), id(2))));
        fetch.unlinked(peer(1));
        assert_eq!((fetch.next_request(at(60_950), &limits), fetch.entries.len()), (None, 0));
    }

    #[test]
    fn where_the_body_is_gone_the_next_announcer_is_asked_at_once() {
        let limits = Limits::default();
        let mut fetch = AnnouncedFetch::default();
        for n in [1, 2, 3] {
            assert!(fetch.add(at(0), peer(n), id(1), after(), &limits));
        }
        assert_eq!(fetch.next_request(at(150), &limits), Some((peer(1), id(1))));
        fetch.asked_in_vain(at(160), peer(2), &id(1));
        assert_eq!(fetch.next_request(at(160), &limits), None, "it was not asked");
        fetch.asked_in_vain(at(170), peer(1), &id(1));
        assert_eq!(fetch.next_request(at(170), &limits), Some((peer(2), id(1))));
        fetch.asked_in_vain(at(180), peer(2), &id(1));
        assert_eq!(fetch.next_request(at(180), &limits), Some((peer(3), id(1))));
        fetch.asked_in_vain(at(190), peer(3), &id(1));
        assert_eq!((fetch.entries.len(), fetch.next_unresponsive()), (0, None), "they answered");
        assert!(fetch.is_consistent());
    }

    #[test]
    fn a_new_announcer_is_asked_soon_though_the_others_were_asked() {
        let limits = Limits::default();
        let mut fetch = AnnouncedFetch::default();
        assert!(fetch.add(at(0), peer(1), id(1), after(), &limits));
        assert_eq!(fetch.next_request(at(150), &limits), Some((peer(1), id(1))));
        assert_eq!(
            fetch.deadline(),
            Some(at(150) + limits.chat.ask_same),
            "its answer may be behind what it sent before"
        );
        assert!(fetch.add(at(5000), peer(2), id(1), after(), &limits));
        assert_eq!(fetch.next_request(at(5299), &limits), None);
        assert_eq!(fetch.next_request(at(5300), &limits), Some((peer(2), id(1))));
        assert!(fetch.add(at(5400), peer(2), id(1), after(), &limits));
        let again = at(5300) + limits.chat.ask_same;
        assert_eq!(fetch.deadline(), Some(again), "nobody is new");
        assert_eq!(fetch.next_request(again, &limits), Some((peer(1), id(1))));
        assert!(fetch.is_consistent());
    }

    #[test]
    fn what_was_announced_together_is_requested_in_that_order() {
        let limits = Limits::default();
        let mut fetch = AnnouncedFetch::default();
        let order = [7, 3, 9, 1, 8, 2].map(id);
        for id in order {
            assert!(fetch.add(at(0), peer(1), id, after(), &limits));
        }
        for now in [at(150), at(150) + limits.chat.ask_same] {
            let mut asked = Vec::new();
            while let Some((_, id)) = fetch.next_request(now, &limits) {
                asked.push(id);
            }
            assert_eq!(asked, order);
        }
        assert!(fetch.is_consistent());
    }

    #[test]
    fn a_neighbour_that_is_answering_is_not_asked_again() {
        let limits = Limits::default();
        let mut fetch = AnnouncedFetch::default();
        for n in 1..4 {
            assert!(fetch.add(at(0), peer(1), id(n), after(), &limits));
        }
        while fetch.next_request(at(150), &limits).is_some() {}
        let due = at(150) + limits.chat.ask_same;
        let answered = at(59_150);
        assert!(fetch.complete(answered, Some(peer(1)), &id(1)).requested);
        assert!(fetch.is_expected_from(peer(1), &id(2)) && !fetch.is_expected_from(peer(2), &id(2)));
        assert_eq!(fetch.next_request(due, &limits), None);
        let again = answered + limits.chat.asked_for;
        assert_eq!(fetch.deadline(), Some(again));
        assert!(fetch.add(due, peer(2), id(2), after(), &limits));
        let soon = due + limits.chat.ask_again;
        assert_eq!(fetch.next_request(soon, &limits), Some((peer(2), id(2))), "it was not asked yet");
        assert!(fetch.is_expected_from(peer(2), &id(2)) && !fetch.is_expected_from(peer(1), &id(2)));
        assert_eq!(fetch.next_request(again, &limits), Some((peer(1), id(3))), "it has stopped answering");
        assert!(fetch.is_consistent());
    }

    #[test]
    fn a_neighbour_that_answers_all_but_one_request_is_asked_again_at_last() {
        let limits = Limits::default();
        let mut fetch = AnnouncedFetch::default();
        for n in 1..100 {
            assert!(fetch.add(at(0), peer(1), id(n), after(), &limits));
        }
        while fetch.next_request(at(150), &limits).is_some() {}
        let end = at(150) + limits.chat.asked_for * MAX_WAIT_ANSWERING;
        let mut now = at(150);
        for n in 2..100 {
            now = now + limits.chat.asked_for / 2;
            assert!(now >= end || fetch.next_request(now, &limits).is_none(), "entry {n}");
            fetch.complete(now, Some(peer(1)), &id(n));
        }
        assert_eq!(fetch.next_request(end, &limits), Some((peer(1), id(1))));
    }

    #[test]
    fn a_flood_of_announcements_displaces_those_of_its_sender_first() {
        let limits = Limits::default().with(|limits| {
            limits.chat.announced_missing = 6;
            limits.chat.announced_missing_per_link = 4;
        });
        let mut fetch = AnnouncedFetch::default();
        let mut add = |n, k| fetch.add(at(0), peer(n), id(k), after(), &limits);
        assert!(add(1, 1));
        assert!((10..14).all(|k| add(2, k)));
        assert!(!add(2, 14), "its share is full");
        assert!(add(2, 1), "another announcer");
        assert!(add(3, 20));
        assert_eq!((fetch.entries.len(), fetch.dropped()), (6, 0));
        assert!(fetch.add(at(0), peer(3), id(21), after(), &limits));
        assert_eq!(fetch.dropped(), 1);
        assert_eq!((fetch.entries.len(), fetch.entries.contains_key(&id(10))), (6, false));
        assert!(fetch.entries.contains_key(&id(1)) && fetch.is_consistent());
    }

    #[test]
    fn announcers_are_bounded_and_a_new_one_replaces_one_that_was_asked() {
        let limits = Limits::default().with(|limits| limits.chat.announcers = 2);
        let mut fetch = AnnouncedFetch::default();
        for n in [1, 1, 2, 3] {
            assert!(fetch.add(at(0), peer(n), id(1), after(), &limits));
        }
        assert_eq!(fetch.next_request(at(150), &limits), Some((peer(1), id(1))));
        assert!(fetch.add(at(160), peer(3), id(1), after(), &limits));
        assert_eq!(fetch.complete(at(170), None, &id(1)).announcers, [peer(2), peer(3)]);
        for n in [1, 1, 2, 3] {
            assert!(fetch.add(at(200), peer(n), id(1), after(), &limits));
        }
        assert_eq!(fetch.complete(at(170), None, &id(1)).announcers, [peer(1), peer(2)]);
    }
}
