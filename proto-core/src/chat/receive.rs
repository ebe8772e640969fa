//! Frames of neighbours.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::budget::{Dues, Over};
use super::gossip::{EntryMeta, Request};
use super::log::Taken;
use super::lookahead::Candidate;
use super::{Chat, Event, FalseClaim, Fault, Lookahead};
use crate::model::{
    ClockReading, ConnId, Cx, Entry, EntryId, Live, NodeId, Opened, Sealed, Sender, Unverified,
};
use crate::wire::{ChatFrame, Frame, MAX_IHAVE, Token, TreeClaim};

/// What becomes of an entry before its signature is verified.
enum Look {
    /// It is verified. If it holds, these are taken from the budgets.
    Wanted(Option<Dues>),
    /// It is dropped.
    Unwanted,
}

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
            ChatFrame::Links(ids) => self.gossip.links_received(cx.moment(), from.peer, &ids),
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
            self.gossip.sync_ignored(cx.moment(), peer);
        }
    }

    /// `CHAT`: an entry.
    fn entry_received(&mut self, cx: &Cx, from: Sender, sealed: &Sealed<'_>, ahead: &mut Lookahead<'_>) {
        let Sender { conn, peer, .. } = from;
        let candidate = ahead.take();
        let id = candidate.as_ref().map_or_else(|| sealed.id(cx.config.network()), Candidate::id);
        let request = self.gossip.request_to(peer, &id);
        if self.is_known(&id) {
            self.counts.entries_known += 1;
            self.excuse(from, request, sealed);
            return self.gossip.duplicate_received(cx.now, peer, &id);
        }
        let (dues, opened) = match candidate {
            Some(candidate) => match self.look_at(cx, from, candidate.entry(), request) {
                Look::Wanted(dues) => (dues, self.accept(cx, candidate)),
                Look::Unwanted => return,
            },
            None => match sealed.read(cx.config.network(), id) {
                Ok(entry) => match self.look_at(cx, from, &entry, request) {
                    Look::Wanted(dues) => (dues, self.open(cx, from, entry, ahead)),
                    Look::Unwanted => return,
                },
                Err(error) => (None, Err(error)),
            },
        };
        if opened.is_ok() {
            self.excuse(from, request, sealed);
        }
        match opened {
            Ok(Opened::Entry(entry)) => {
                self.pay(cx, dues);
                self.entry_opened(cx, from, &Arc::new(entry), request);
            }
            Ok(Opened::Live(live)) => {
                self.pay(cx, dues);
                self.live_opened(cx, peer, &live);
            }
            Ok(Opened::Gone(_)) => self.gossip.body_gone(cx.moment(), peer, id),
            Err(error) => self.report_fault(conn, Fault::Entry(error)),
        }
    }

    /// What this neighbour sends because a reconciliation showed it costs its link no rate.
    fn excuse(&mut self, from: Sender, request: Request, sealed: &Sealed<'_>) {
        if request == Request::Reconciled {
            self.events.push_back(Event::Asked { conn: from.conn, bytes: sealed.line_len() });
        }
    }

    /// Looks at an entry before it is verified, so that what is over a rate costs no verification.
    fn look_at(&mut self, cx: &Cx, from: Sender, entry: &Unverified<'_>, request: Request) -> Look {
        if self.is_ignored(cx, entry, request) {
            return Look::Unwanted;
        }
        let Some(dues) = self.dues_of(from, entry, request) else { return Look::Wanted(None) };
        match self.budgets.check(cx.now, dues, 0, cx.limits()) {
            Ok(()) => return Look::Wanted(Some(dues)),
            Err(Over::Author) => self.counts.entries_over_rate += 1,
            Err(Over::Newcomers) => self.counts.entries_of_new_authors += 1,
        }
        if request == Request::Announced {
            // The neighbour answered, and still holds the entry.
            self.gossip.duplicate_received(cx.now, from.peer, &entry.id());
            self.gossip.sync_with(cx.moment(), from.peer);
        }
        Look::Unwanted
    }

    /// What an entry takes from the budgets. None: nothing, since its sender is on this machine, a reconciliation showed it,
    /// or its body is gone.
    pub(super) fn dues_of(&self, from: Sender, entry: &Unverified<'_>, request: Request) -> Option<Dues> {
        let counts = from.rated && request != Request::Reconciled && !entry.is_gone();
        counts.then(|| Dues::of(entry, from.peer, self.log.knows(&entry.key())))
    }

    fn pay(&mut self, cx: &Cx, dues: Option<Dues>) {
        if let Some(dues) = dues {
            self.budgets.take(cx.now, dues, cx.limits());
        }
    }

    /// Whether an entry is of no use, whether or not its signature holds: its body is gone and nobody asked for it, or it is
    /// in no run and dated too far from now.
    fn is_ignored(&mut self, cx: &Cx, entry: &Unverified<'_>, request: Request) -> bool {
        let (gone, untimely) = (entry.is_gone(), is_untimely(cx, entry));
        self.counts.bodies_gone += u64::from(gone);
        self.counts.live_untimely += u64::from(untimely);
        untimely || gone && request == Request::None
    }

    /// An entry of a run came, whole and with a valid signature.
    fn entry_opened(&mut self, cx: &Cx, from: Sender, entry: &Arc<Entry>, request: Request) {
        if entry.key() == cx.identity.key() && !self.log.was_held(entry) {
            self.own_key_heard(cx, entry.epoch(), entry.at());
        }
        // Versions of one number that displace others could come without end, so they count in any case.
        let counted = from.rated && request == Request::Reconciled && self.log.displaces(entry);
        let dues = counted.then(|| Dues::of_author(entry));
        if dues.is_some_and(|dues| self.budgets.check(cx.now, dues, 0, cx.limits()).is_err()) {
            self.counts.entries_over_rate += 1;
            return self.gossip.duplicate_received(cx.now, from.peer, &entry.id());
        }
        self.pay(cx, dues);
        let from = from.peer;
        self.clock.heard(cx, entry.at());
        if request == Request::None && entry.author() == from {
            self.compare_clocks(cx, entry);
        }
        self.take(cx, from, entry);
    }

    /// An entry of no run came, with a valid signature. It is relayed once, and not held.
    fn live_opened(&mut self, cx: &Cx, from: NodeId, live: &Live) {
        let header = live.header();
        self.gossip.arrived(cx.moment(), Some(from), header.id());
        self.counts.live += 1;
        let meta = EntryMeta { id: header.id(), at: header.at(), author: header.author(), from: Some(from) };
        let peers = self.gossip.relay_live(cx.moment(), meta);
        self.send(peers, None, live.sealed());
    }

    pub(super) fn is_known(&self, id: &EntryId) -> bool {
        self.log.contains(id) || self.gossip.has_seen(id)
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
