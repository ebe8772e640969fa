//! Frames of neighbours.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::budget::Budget;
use super::gossip::EntryMeta;
use super::log::Taken;
use super::lookahead::Candidate;
use super::{Chat, Event, FalseClaim, Fault, Lookahead};
use crate::model::{
    ClockReading, ConnId, Cx, Entry, EntryId, Live, NodeId, Opened, Sealed, Sender, TokenBucket, Unverified,
};
use crate::wire::{ChatFrame, Frame, MAX_IHAVE, Token, TreeClaim};

impl Chat {
    /// A frame of the conversation came. `ahead` is what came behind it.
    pub(crate) fn received(
        &mut self,
        cx: &Cx,
        from: Sender,
        frame: ChatFrame<'_>,
        ahead: &mut Lookahead<'_>,
    ) {
        if matches!(frame, ChatFrame::Chat(_) | ChatFrame::Sync(_)) {
            self.gossip.heard(cx.now, from.peer);
        }
        match frame {
            ChatFrame::Chat(sealed) => self.entry_received(cx, from, &sealed, ahead),
            ChatFrame::Links(ids) => self.gossip.links_received(from.peer, &ids),
            ChatFrame::Ihave(ids) => self.ihave_received(cx, from.peer, &ids),
            ChatFrame::Graft(ids) => self.graft_received(cx, from.peer, &ids),
            ChatFrame::Tree(claim) => self.tree_received(cx, from, &claim),
            ChatFrame::Sync(bytes) => self.sync_received(cx, from, &bytes),
        }
    }

    /// `PONG` came. It may show that the peer ignored a reconciliation. A peer that ignores several in a row
    /// takes up a neighbour's place without being useful.
    pub(crate) fn pong_received(&mut self, cx: &Cx, conn: ConnId, peer: NodeId, token: Token) {
        let Some(ignored) = self.reconciler.pong_received(conn, token) else { return };
        if ignored >= cx.limits().chat.syncs_ignored {
            self.report_fault(conn, Fault::SyncsIgnored);
        } else {
            self.gossip.sync_with(cx.moment(), peer);
        }
    }

    /// `CHAT`: an entry.
    fn entry_received(&mut self, cx: &Cx, from: Sender, sealed: &Sealed<'_>, ahead: &mut Lookahead<'_>) {
        let Sender { conn, peer, .. } = from;
        let candidate = ahead.take();
        let id = candidate.as_ref().map_or_else(|| sealed.id(cx.config.network()), Candidate::id);
        let requested = self.gossip.is_requested(peer, &id);
        if requested {
            self.events.push_back(Event::Asked { conn, bytes: sealed.line_len() });
        }
        if self.is_known(&id) {
            self.counts.entries_known += 1;
            return self.gossip.duplicate_received(cx.now, peer, &id);
        }
        let opened = match candidate {
            Some(candidate) => self.accept(cx, candidate),
            None => match sealed.read(cx.config.network(), id) {
                Ok(entry) if self.is_ignored(cx, &entry, requested) => return,
                read => read.and_then(|entry| self.open(cx, entry, ahead)),
            },
        };
        match opened {
            Ok(Opened::Entry(entry)) => self.entry_opened(cx, from, &Arc::new(entry), requested),
            Ok(Opened::Gone(_)) => self.gossip.body_gone(cx.moment(), peer, id),
            Ok(Opened::Live(live)) => self.live_opened(cx, from, &live),
            Err(error) => self.report_fault(conn, Fault::Entry(error)),
        }
    }

    /// Whether an entry is of no use, whether or not its signature holds: its body is gone and nobody asked for it, or it is
    /// in no run and dated too far from now.
    fn is_ignored(&mut self, cx: &Cx, entry: &Unverified<'_>, requested: bool) -> bool {
        let (gone, untimely) = (entry.is_gone(), is_untimely(cx, entry));
        self.counts.bodies_gone += u64::from(gone);
        self.counts.live_untimely += u64::from(untimely);
        untimely || gone && !requested
    }

    /// An entry of a run came, whole and with a valid signature.
    fn entry_opened(&mut self, cx: &Cx, from: Sender, entry: &Arc<Entry>, requested: bool) {
        if from.rated && !self.has_room_for_new(cx, from.peer, entry) {
            self.counts.entries_of_new_authors += 1;
            return self.gossip.duplicate_received(cx.now, from.peer, &entry.id());
        }
        if from.rated && !requested && !self.is_within_rate(cx, entry.author(), Budget::of(entry.class())) {
            // The sender still holds it, so a later reconciliation brings it.
            self.counts.entries_over_rate += 1;
            return;
        }
        self.clock.heard(cx, entry.at());
        if !requested && entry.author() == from.peer {
            self.compare_clocks(cx, entry);
        }
        self.take(cx, from.peer, entry);
    }

    /// An entry of no run came, with a valid signature. It is relayed once, and not held.
    fn live_opened(&mut self, cx: &Cx, from: Sender, live: &Live) {
        let header = live.header();
        if from.rated && !self.is_within_rate(cx, header.author(), Budget::Live) {
            self.counts.entries_over_rate += 1;
            return;
        }
        self.gossip.arrived(cx.moment(), Some(from.peer), header.id());
        self.counts.live += 1;
        let meta =
            EntryMeta { id: header.id(), at: header.at(), author: header.author(), from: Some(from.peer) };
        let peers = self.gossip.relay_live(cx.moment(), meta);
        self.send(peers, None, live.sealed());
    }

    pub(super) fn is_known(&self, id: &EntryId) -> bool {
        self.log.contains(id) || self.gossip.has_seen(id)
    }

    fn is_within_rate(&mut self, cx: &Cx, author: NodeId, budget: Budget) -> bool {
        let limits = cx.limits();
        let fresh = TokenBucket::per_second(limits.chat.entries_per_second, limits.chat.entries_burst);
        self.rates.take(cx.now, (author, budget), fresh, limits.chat.authors)
    }

    /// Whether the author is known, or a reconciliation showed the entry, or this neighbour may bring another new author
    /// now.
    fn has_room_for_new(&mut self, cx: &Cx, peer: NodeId, entry: &Entry) -> bool {
        if self.log.knows(&entry.key()) || self.gossip.is_synced(peer, &entry.id()) {
            return true;
        }
        let limits = cx.limits();
        let fresh = TokenBucket::new(limits.chat.new_authors_every, limits.chat.new_authors_burst);
        self.new_authors.take(cx.now, peer, fresh, limits.conns.slots)
    }

    /// A neighbour pushed its own entry: its date is the time of that neighbour's clock.
    fn compare_clocks(&mut self, cx: &Cx, entry: &Entry) {
        let Some(wall) = cx.wall() else { return };
        self.skew.heard(entry.author(), ClockReading::new(cx.now, wall, entry.at()));
        self.report_skew(cx);
    }

    /// Reports that this node's clock is wrong, once it turns out to be.
    pub(super) fn report_skew(&mut self, cx: &Cx) {
        let Some(wall) = cx.wall() else { return };
        let news = self.skew.news(cx.now, wall, cx.limits().chat.clock_tolerance);
        self.events.extend(news.map(Event::ClockOff));
    }

    /// Takes a new entry whose signature is valid.
    fn take(&mut self, cx: &Cx, from: NodeId, entry: &Arc<Entry>) {
        let taken = self.log.take(cx.now, cx.wall(), from, entry.clone(), cx.limits());
        self.counts.entries_dropped += u64::from(matches!(taken, Taken::Full | Taken::Dropped));
        match taken {
            Taken::New => self.relay(cx, from, entry),
            Taken::Dropped => _ = self.gossip.arrived(cx.moment(), Some(from), entry.id()),
            Taken::Full | Taken::Parked | Taken::Known => {
                self.gossip.duplicate_received(cx.now, from, &entry.id());
            }
        }
        self.process_log_events(cx, Some(from));
    }

    /// Relays a new entry that is in the window now.
    pub(super) fn relay(&mut self, cx: &Cx, from: NodeId, entry: &Arc<Entry>) {
        self.counts.entries += 1;
        let arrival = self.gossip.arrived(cx.moment(), Some(from), entry.id());
        let meta = EntryMeta { id: entry.id(), at: entry.at(), author: entry.author(), from: Some(from) };
        self.spread(cx, entry, meta, &arrival);
    }

    /// `IHAVE`: the peer holds these entries.
    fn ihave_received(&mut self, cx: &Cx, peer: NodeId, ids: &[EntryId]) {
        let Self { gossip, log, .. } = self;
        gossip.ihave_received(cx.moment(), peer, ids, |id| !log.wants(id));
        if self.gossip.awaited() > 0 {
            self.catch_up.found();
        }
    }

    /// `GRAFT`: the peer requests these entries.
    fn graft_received(&mut self, cx: &Cx, peer: NodeId, ids: &[EntryId]) {
        self.gossip.graft_received(cx.now, peer, ids.len());
        for id in ids {
            if let Some(entry) = self.log.get(id).cloned() {
                self.push([peer].into(), &entry);
            }
        }
    }

    /// `TREE`: the peer's position in a tree.
    fn tree_received(&mut self, cx: &Cx, from: Sender, claim: &TreeClaim) {
        if let Err(FalseClaim) = self.gossip.tree_received(cx.moment(), from.peer, claim) {
            self.report_fault(from.conn, Fault::Tree);
        }
    }

    /// `SYNC`: one message of a reconciliation.
    fn sync_received(&mut self, cx: &Cx, from: Sender, bytes: &[u8]) {
        let Sender { conn, peer, .. } = from;
        let step = match self.reconciler.message(cx.now, conn, bytes, &self.log, cx.limits()) {
            Ok(step) => step,
            Err(_) => return self.report_fault(conn, Fault::Sync),
        };
        if step.is_last {
            self.catch_up.compared(cx.now);
        }
        if step.peer_initiated {
            self.catch_up.neighbour_compares(cx.now);
            self.gossip.peer_began_sync(peer, cx.now);
        }
        if let Some(reply) = step.reply {
            self.events.push_back(Event::Reply { conn, frame: Frame::Sync(reply) });
        }
        for ids in step.have.chunks(MAX_IHAVE) {
            self.events.push_back(Event::Reply { conn, frame: Frame::Ihave(ids.to_vec()) });
        }
        let Self { gossip, .. } = self;
        let need: Vec<_> = step.need.into_iter().filter(|id| !gossip.has_seen(id)).collect();
        if !need.is_empty() {
            self.catch_up.found();
        }
        self.gossip.fetch_synced(cx.moment(), peer, need);
    }

    fn report_fault(&mut self, conn: ConnId, fault: Fault) {
        self.events.push_back(Event::Faulty { conn, fault });
    }
}

/// Whether an entry is in no run and dated too far from now.
pub(super) fn is_untimely(cx: &Cx, entry: &Unverified<'_>) -> bool {
    let most = u64::try_from(cx.limits().chat.live_age.as_millis()).unwrap_or(u64::MAX);
    entry.live_at().zip(cx.wall()).is_some_and(|(at, wall)| at.abs_diff(wall) > most)
}
