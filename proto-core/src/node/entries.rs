//! Entries: what is said here, what comes in, and whom it goes to.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Node;
use super::links::{Ending, encode};
use crate::gossip::{Arrival, Context, Item};
use crate::link::{Link, Unopened};
use crate::log::{LogEvent, Taken};
use crate::rate::TokenBucket;
use crate::wire::{ByeCode, Frame, MAX_IHAVE, Token, TreeClaim};
use crate::{
    Action, ChatText, ConnId, Draft, Entry, EntryId, Instant, LeaveReason, Message, NodeId, Notice,
    TimerKind, Via, Violation,
};

/// The moment and the bounds that gossip decides by: a macro, since it borrows `config` alone.
macro_rules! context {
    ($node:expr) => {
        Context { now: $node.now, wall: $node.clock.wall($node.now), limits: &$node.config.limits }
    };
}
pub(super) use context;

impl Node {
    /// Signs these lines, in as few entries as they fit, and sends them on their way.
    pub(super) fn author(
        &mut self,
        texts: &[ChatText],
        told: &[NodeId],
        via: Option<&Via>,
    ) -> Vec<Arc<Entry>> {
        let mut entries = Vec::new();
        let mut rest = texts;
        while !rest.is_empty() {
            let (texts, after) = rest.split_at(Draft::fitting(rest));
            rest = after;
            let draft = Draft {
                epoch: self.epoch,
                seq: self.seq,
                at: self.clock.next(self.now),
                uname: &self.config.uname,
                texts,
                to: told,
                via,
            };
            let entry = Arc::new(Entry::sign(&self.identity, &draft));
            self.seq += 1;
            self.counted.signed += 1;
            self.log.own(self.now, entry.clone(), &self.config.limits);
            let item = Item { id: entry.id(), at: entry.at(), author: entry.author(), from: None };
            let arrival = self.gossip.remember(context!(self), None, entry.id());
            self.spread(&entry, item, &arrival);
            entries.push(entry);
        }
        self.show(None);
        entries
    }

    /// A peer is here now; one with a key speaks entries.
    pub(super) fn neighbour_here(&mut self, conn: ConnId, node_id: NodeId) {
        if self.links.get(&conn).and_then(Link::key).is_none() {
            return;
        }
        self.gossip.linked(context!(self), node_id);
        // Its answer tells the round trip.
        let token = self.fresh_token();
        self.ping(conn, token);
    }

    /// `CHAT` came.
    pub(super) fn chat(&mut self, conn: ConnId, chat: &Unopened) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let Some(peer) = link.node_id() else { return };
        let asked = self.gossip.is_asked(peer, &chat.id);
        if asked {
            link.excuse(self.now, chat.line_len());
        }
        let is_rated = link.is_rated() && !asked;
        if self.log.contains(&chat.id) || self.gossip.has_seen(&chat.id) {
            self.counted.entries_again += 1;
            return self.gossip.came_again(peer, &chat.id);
        }
        let entry = match chat.sealed().open() {
            Ok(entry) => Arc::new(entry),
            Err(error) => return self.broke(conn, Violation::Entry(error)),
        };
        if is_rated && !self.within_rate(entry.author()) {
            // It waits where it is held, and comes by reconciliation.
            self.counted.entries_over_rate += 1;
            return;
        }
        self.clock.heard(self.now, entry.at());
        if !asked {
            self.compare_clocks(&entry);
        }
        self.take(peer, &entry);
    }

    fn within_rate(&mut self, author: NodeId) -> bool {
        let limits = &self.config.limits;
        let fresh = TokenBucket::per_second(limits.entries_per_second, limits.entries_burst);
        self.rates.take(self.now, author, fresh, limits.authors)
    }

    /// An entry that is new here and signed by whom it says.
    fn take(&mut self, from: NodeId, entry: &Arc<Entry>) {
        let wall = self.clock.wall(self.now);
        let taken = self.log.take(self.now, wall, entry.clone(), &self.config.limits);
        if taken == Taken::Full {
            self.counted.entries_dropped += 1;
            return self.gossip.came_again(from, &entry.id());
        }
        let arrival = self.gossip.remember(context!(self), Some(from), entry.id());
        if matches!(taken, Taken::New | Taken::Parked) {
            self.counted.entries += 1;
            let item = Item { id: entry.id(), at: entry.at(), author: entry.author(), from: Some(from) };
            self.spread(entry, item, &arrival);
        } else {
            self.counted.entries_dropped += 1;
        }
        self.show(Some(from));
    }

    /// Sends an entry to those that it is pushed to; the others are told of it.
    fn spread(&mut self, entry: &Arc<Entry>, item: Item, arrival: &Arrival) {
        let peers = self.gossip.spread(context!(self), item, arrival);
        if peers.is_empty() {
            return;
        }
        let frame = encode(&Frame::Chat(entry.sealed()));
        for peer in peers {
            self.push_entry(peer, entry.id(), &frame);
        }
    }

    /// Queues an entry for a peer whose link is not full; one whose link is hears of it, and catches up by
    /// reconciliation.
    fn push_entry(&mut self, peer: NodeId, id: EntryId, frame: &[u8]) {
        let Some(conn) = self.roster.get(peer).map(|peer| peer.active) else { return };
        let full = |link: &Link| link.queue.bytes() + frame.len() > self.config.limits.queue;
        if self.links.get(&conn).is_none_or(full) {
            self.counted.entries_not_pushed += 1;
            self.gossip.dropped_for(context!(self), peer, id);
        } else {
            self.counted.entries_sent += 1;
            self.send(conn, frame);
        }
    }

    /// Passes on what the log has to show. What is missing is asked for where the last entry came from, or of anybody where
    /// time alone showed that it is.
    pub(super) fn show(&mut self, from: Option<NodeId>) {
        while let Some(event) = self.log.next_event() {
            match event {
                LogEvent::Show { entry, marks } => {
                    self.tell_in_lines(&entry);
                    if !self.bridge.shows(self.now, &entry, &self.config.limits) {
                        continue;
                    }
                    self.counted.delivered += entry.texts().len() as u64;
                    self.actions.push_back(Action::Deliver(Message::Entry { entry, marks }));
                }
                LogEvent::Gap { node_id, uname, missing } => {
                    self.counted.gaps += 1;
                    self.actions.push_back(Action::Notice(Notice::Gap { node_id, uname, missing }));
                }
                LogEvent::AskFor { .. } => match from {
                    Some(peer) => self.gossip.flag(context!(self), peer),
                    None => self.gossip.look_around(context!(self)),
                },
                LogEvent::Forgot { id } => {
                    self.counted.entries_put_off += 1;
                    self.gossip.forget(&id);
                }
            }
        }
    }

    /// `IHAVE` came: the peer holds these.
    pub(super) fn announced(&mut self, conn: ConnId, ids: &[EntryId]) {
        let Some(peer) = self.links.get(&conn).and_then(Link::node_id) else { return };
        let context = context!(self);
        let Self { gossip, log, .. } = self;
        gossip.announced(context, peer, ids, |id| log.contains(id));
    }

    /// `GRAFT` came: the peer asks for these.
    pub(super) fn grafted(&mut self, conn: ConnId, ids: &[EntryId]) {
        let Some(peer) = self.links.get(&conn).and_then(Link::node_id) else { return };
        #[cfg(feature = "plumtree")]
        self.gossip.grafted(peer);
        for id in ids {
            let Some(entry) = self.log.get(id) else { continue };
            let frame = encode(&Frame::Chat(entry.sealed()));
            self.push_entry(peer, *id, &frame);
        }
    }

    /// `PRUNE` came: the peer wants announcements alone.
    #[cfg(feature = "plumtree")]
    pub(super) fn pruned(&mut self, conn: ConnId) {
        if let Some(peer) = self.links.get(&conn).and_then(Link::node_id) {
            self.gossip.pruned(peer);
        }
    }

    /// `SYNC` came: one message of a reconciliation.
    pub(super) fn synced(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(peer) = self.links.get(&conn).and_then(Link::node_id) else { return };
        let step = match self.reconciler.message(self.now, conn, bytes, &self.log, &self.config.limits) {
            Ok(step) => step,
            Err(_) => return self.broke(conn, Violation::Sync),
        };
        if step.served {
            self.gossip.met(peer, self.now);
        }
        if let Some(reply) = step.reply {
            self.send(conn, &encode(&Frame::Sync(reply)));
        }
        for ids in step.have.chunks(MAX_IHAVE) {
            self.send(conn, &encode(&Frame::Ihave(ids.to_vec())));
        }
        let Self { gossip, .. } = self;
        let need: Vec<_> = step.need.into_iter().filter(|id| !gossip.has_seen(id)).collect();
        self.gossip.want(context!(self), peer, need);
    }

    /// `PONG` came. Who passes over one reconciliation after the other takes the place of a neighbour and is none.
    pub(super) fn ponged(&mut self, conn: ConnId, token: Token) {
        let Some(passed_over) = self.reconciler.ponged(conn, token) else { return };
        if passed_over >= self.config.limits.syncs_passed_over {
            self.report(conn, Violation::SyncPassedOver);
            self.end(conn, Ending::Bye(ByeCode::Violation), LeaveReason::Violation);
        } else if let Some(peer) = self.links.get(&conn).and_then(Link::node_id) {
            self.gossip.flag(context!(self), peer);
        }
    }

    /// `LINKS` came: whom the peer is linked to.
    pub(super) fn links_told(&mut self, conn: ConnId, ids: &[NodeId]) {
        if let Some(peer) = self.links.get(&conn).and_then(Link::node_id) {
            self.gossip.links_told(peer, ids);
        }
    }

    /// `TREE` came: where the peer stands in the tree.
    pub(super) fn tree_told(&mut self, conn: ConnId, claim: &TreeClaim) {
        let Some(peer) = self.links.get(&conn).and_then(Link::node_id) else { return };
        if let Err(violation) = self.gossip.tree_told(context!(self), peer, claim) {
            self.broke(conn, violation);
        }
    }

    /// What a frame says does not hold: nobody relays such a thing unseen, so it counts as malformed.
    fn broke(&mut self, conn: ConnId, violation: Violation) {
        self.report(conn, violation);
        let Self { links, now, config, .. } = self;
        if links.get_mut(&conn).is_some_and(|link| link.is_one_too_many(*now, &config.limits)) {
            self.report(conn, Violation::TooManyMalformed);
            self.end(conn, Ending::Bye(ByeCode::Violation), LeaveReason::Violation);
        }
    }

    /// The driver says what time it is.
    pub(super) fn set_clock(&mut self, unix_ms: u64) {
        self.clock.set(self.now, unix_ms);
        self.entries_timeout();
    }

    /// Time has passed.
    pub(super) fn entries_timeout(&mut self) {
        self.log.timeout(self.now, self.clock.wall(self.now), &self.config.limits);
        self.show(None);
        self.reconciler.timeout(self.now);
        self.bring_in();
        self.greet_line_peers();
        self.gossip.timeout(context!(self), &self.identity, &mut self.random);
    }

    /// Begins the reconciliations that are due, and sends what gossip has to say.
    pub(super) fn send_gossip(&mut self) {
        while let Some(peer) = self.gossip.due_for_sync(context!(self), &mut self.random) {
            let Some(conn) = self.roster.get(peer).map(|peer| peer.active) else { continue };
            let witness = self.fresh_token();
            match self.reconciler.begin(self.now, conn, witness, &self.log, &self.config.limits) {
                Some(opening) => {
                    self.counted.syncs += 1;
                    self.send(conn, &encode(&Frame::Sync(opening)));
                    self.ping(conn, witness);
                }
                // Another is under way there, or enough are elsewhere: later.
                None => self.gossip.flag(context!(self), peer),
            }
        }
        while let Some((peer, frame)) = self.gossip.next_frame(context!(self)) {
            if let Some(conn) = self.roster.get(peer).map(|peer| peer.active) {
                self.send(conn, &encode(&frame));
            }
        }
    }

    /// When gossip or the log next has something to do.
    pub(super) fn entries_deadline(&self) -> Option<(Instant, TimerKind)> {
        let context = context!(self);
        let log = self.log.deadline(self.now, context.wall, context.limits);
        let log = log.into_iter().chain(self.reconciler.deadline()).min().map(|at| (at, TimerKind::Log));
        let lines = self.bridge.deadline().map(|at| (at, TimerKind::Lines));
        self.gossip.deadline(context).into_iter().chain(log).chain(lines).min()
    }

    fn compare_clocks(&mut self, entry: &Entry) {
        let Some(wall) = self.clock.wall(self.now) else { return };
        // Both are below 2^53.
        let ahead_ms = wall as i64 - entry.at() as i64;
        let tolerance = self.config.limits.clock_tolerance;
        let fewest = self.roster.degree().min(2);
        if let Some(ahead_ms) = self.skew.heard(self.now, entry.author(), ahead_ms, tolerance, fewest) {
            self.actions.push_back(Action::Notice(Notice::ClockOff { ahead_ms }));
        }
    }
}

#[cfg(test)]
mod tests;
