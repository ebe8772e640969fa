//! Frames of neighbours.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::budget::{Dues, Over};
use super::gossip::{EntryMeta, Request};
use super::log::{Asker, SHARE, Taken};
use super::lookahead::Candidate;
use super::{Chat, Event, FalseClaim, Fault, Lookahead, Missing, serving};
use crate::model::{
    ClockReading, ConnId, Cx, Entry, EntryId, FreshBuckets, Limits, Live, NodeId, Opened, PeerAtHost, RunId,
    Sealed, Sender, Unverified,
};
use crate::wire::{ChatFrame, Frame, MAX_IHAVE, RangeQuery, Token, TreeClaim};

/// Why an entry came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reason {
    /// Whether its sender was asked for it by its id, and why.
    request: Request,
    /// Its sender was asked for it by its number.
    ranged: bool,
    /// It was asked for after a reconciliation, and the budget of its sender has room for it: it counts against no rate. What
    /// it takes from that budget.
    pub(super) excused: Option<u32>,
}

impl Reason {
    fn is_excused(&self) -> bool {
        self.excused.is_some()
    }
}

/// An entry that was read: ahead of its turn, or now.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, on the stack")]
enum Read<'a> {
    Ahead(Candidate<'a>),
    Now(Unverified<'a>),
}

impl Read<'_> {
    fn entry(&self) -> &Unverified<'_> {
        match self {
            Self::Ahead(candidate) => candidate.entry(),
            Self::Now(entry) => entry,
        }
    }
}

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
        // A connection that was left for another one is read on, also when that other one, and so the link, has ended. An
        // entry that comes then is as good as any; whatever else there is would be about a link.
        if !self.addrs.contains_key(&from.peer) && !matches!(frame, ChatFrame::Chat(_)) {
            return;
        }
        if matches!(frame, ChatFrame::Chat(_) | ChatFrame::Sync(_) | ChatFrame::Held(_)) {
            self.gossip.heard(cx.now, from.peer);
        }
        match frame {
            ChatFrame::Chat(sealed) => self.entry_received(cx, from, &sealed, ahead),
            ChatFrame::Links(ids) => self.gossip.links_received(cx.moment(), from.peer, &ids),
            ChatFrame::Ihave(ids) => self.ihave_received(cx, from.peer, &ids),
            ChatFrame::Graft(ids) => self.graft_received(cx, from, &ids),
            ChatFrame::Lack(ids) => self.lack_received(cx, from.peer, &ids),
            ChatFrame::Range(query) => self.range_received(cx, from, query),
            ChatFrame::Held(end) => self.ranges.ended(cx.now, from.peer, end, cx.limits()),
            ChatFrame::Tree(claim) => self.tree_received(cx, from, &claim),
            ChatFrame::Sync(bytes) => self.sync_received(cx, from, &bytes),
        }
    }

    /// `PONG` came. It may show that the peer ignored a reconciliation. A peer that ignores several in a row
    /// takes up a neighbour's place without being useful.
    pub(crate) fn pong_received(
        &mut self,
        cx: &Cx,
        (conn, peer): (ConnId, NodeId),
        token: Token,
        round_trip: Duration,
    ) {
        self.catch_up.measured(conn, round_trip, cx.limits());
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
        let bytes = sealed.line_len();
        if self.is_known(peer, &id) {
            return self.known_received(cx, from, &id, (request, bytes));
        }
        let read = match candidate {
            Some(candidate) => Read::Ahead(candidate),
            None => match sealed.read(cx.config.network(), id) {
                Ok(entry) => Read::Now(entry),
                Err(error) => return self.report_fault(conn, Fault::Entry(error)),
            },
        };
        if self.is_seen(peer, read.entry()) {
            return self.known_received(cx, from, &id, (request, bytes));
        }
        let reason = self.reason(cx, from, read.entry(), (request, bytes));
        let Look::Wanted(dues) = self.look_at(cx, from, read.entry(), reason) else { return };
        let opened = match read {
            Read::Ahead(candidate) => self.accept(cx, candidate),
            Read::Now(entry) => self.open(cx, from, entry, ahead),
        };
        if opened.is_ok() && reason.is_excused() {
            self.excuse(cx, from, reason, bytes);
        }
        match opened {
            Ok(Opened::Entry(entry)) => {
                self.pay(cx, dues);
                self.entry_opened(cx, from, &Arc::new(entry), reason);
            }
            Ok(Opened::Live(live)) => {
                self.pay(cx, dues);
                self.live_opened(cx, from, &live);
            }
            Ok(Opened::Gone(_)) => self.gossip.lacks_body(cx.moment(), peer, id),
            Err(error) => self.report_fault(conn, Fault::Entry(error)),
        }
    }

    /// An entry came that is known.
    fn known_received(&mut self, cx: &Cx, from: Sender, id: &EntryId, (request, bytes): (Request, usize)) {
        self.counts.entries_known += 1;
        if request == Request::Reconciled {
            self.events.push_back(Event::Asked { conn: from.conn, bytes });
        }
        self.gossip.duplicate_received(cx.now, from.peer, id);
    }

    /// Why an entry came, whose line has so many bytes.
    pub(super) fn reason(
        &self,
        cx: &Cx,
        from: Sender,
        entry: &Unverified<'_>,
        (request, bytes): (Request, usize),
    ) -> Reason {
        let ranged = entry.place_in_run().is_some_and(|(run, seq)| self.ranges.is_asked(from.peer, run, seq));
        let shown = ranged || request == Request::Reconciled;
        // A new author costs its place among those that are remembered, too.
        let bytes = if self.log.knows(&entry.key()) { bytes } else { bytes.max(SHARE) };
        let cost = u32::try_from(bytes).unwrap_or(u32::MAX);
        let excused = shown && (!from.rated || self.has_excuse(cx, from.at_host(), cost));
        Reason { request, ranged, excused: excused.then_some(cost) }
    }

    /// Whether the budget of bytes of the neighbour that sent entries has room for them.
    pub(super) fn has_excuse(&self, cx: &Cx, from: PeerAtHost, cost: u32) -> bool {
        self.excused.next_many_at(cx.now, &from, cost, Self::excuses(cx.limits())) <= cx.now
    }

    /// Takes an entry that is excused from that budget, and from no rate.
    fn excuse(&mut self, cx: &Cx, from: Sender, reason: Reason, bytes: usize) {
        if let Some(cost) = reason.excused.filter(|_| from.rated) {
            let (fresh, most) = (Self::excuses(cx.limits()), cx.limits().conns.slots.max(1));
            self.excused.charge(cx.now, from.at_host(), cost, fresh, most);
        }
        self.events.push_back(Event::Asked { conn: from.conn, bytes });
    }

    /// Full budgets of bytes that are excused.
    pub(super) fn excuses(limits: &Limits) -> FreshBuckets {
        FreshBuckets::twice(serving::budget(limits.chat.log_bytes, limits))
    }

    /// Looks at an entry before it is verified, so that what is over a rate costs no verification.
    fn look_at(&mut self, cx: &Cx, from: Sender, entry: &Unverified<'_>, reason: Reason) -> Look {
        if self.is_ignored(cx, from.peer, entry, reason) {
            return Look::Unwanted;
        }
        if !self.has_room_for_live(cx, from, entry, 0) {
            self.counts.live_over_rate += 1;
            return Look::Unwanted;
        }
        let Some(dues) = self.dues_of(from, entry, reason) else { return Look::Wanted(None) };
        match self.budgets.check(cx.now, dues, &[], cx.limits()) {
            Ok(()) => return Look::Wanted(Some(dues)),
            Err(Over::Author) => self.counts.entries_over_rate += 1,
            Err(Over::Newcomers) => self.counts.entries_of_new_authors += 1,
        }
        // The neighbour still holds the entry, so that it can be asked for later.
        if let Some((run, seq)) = entry.place_in_run() {
            self.ranges.refused(from.peer, run, seq);
        }
        if reason.request != Request::None {
            self.gossip.duplicate_received(cx.now, from.peer, &entry.id());
            self.gossip.sync_with(cx.moment(), from.peer);
        }
        Look::Unwanted
    }

    /// What an entry takes from the budgets. None: nothing, since its sender is on this machine, it is excused, or its body is
    /// gone.
    pub(super) fn dues_of(&self, from: Sender, entry: &Unverified<'_>, reason: Reason) -> Option<Dues> {
        let counts = from.rated && !reason.is_excused() && !entry.is_gone();
        counts.then(|| match self.log.is_past(entry) {
            true => Dues::of_past(entry, from.at_host(), self.log.knows(&entry.key())),
            false => Dues::of(entry, from.at_host(), self.log.knows(&entry.key())),
        })
    }

    fn pay(&mut self, cx: &Cx, dues: Option<Dues>) {
        if let Some(dues) = dues {
            self.budgets.take(cx.now, dues, cx.limits());
        }
    }

    /// Whether an entry is of no use, whether or not its signature holds: its body is gone and nobody asked for it, or it is
    /// in no run and dated too far from now.
    fn is_ignored(&mut self, cx: &Cx, from: NodeId, entry: &Unverified<'_>, reason: Reason) -> bool {
        if let Some((at, wall)) = entry.live_at().zip(cx.wall()).filter(|_| entry.author() == from) {
            self.skew.told_live(from, ClockReading::new(cx.now, wall, at));
        }
        let (gone, untimely) = (entry.is_gone(), self.is_untimely(cx, entry));
        self.counts.bodies_gone += u64::from(gone);
        self.counts.live_untimely += u64::from(untimely);
        untimely || gone && reason.request == Request::None && !reason.ranged
    }

    /// An entry of a run came, whole and with a valid signature.
    fn entry_opened(&mut self, cx: &Cx, from: Sender, entry: &Arc<Entry>, reason: Reason) {
        let is_own = entry.key() == cx.identity.key() && !self.log.is_shelved(entry);
        if is_own && !self.log.is_below_floor(entry) {
            self.own_key_heard(cx, entry.epoch(), entry.at());
        }
        let (peer, Reason { request, ranged, excused }) = (from.peer, reason);
        // Versions of one number that displace others could come without end, so they count in any case.
        let counted = from.rated && excused.is_some() && self.log.displaces(entry);
        let dues = counted.then(|| Dues::of_author(entry));
        if dues.is_some_and(|dues| self.budgets.check(cx.now, dues, &[], cx.limits()).is_err()) {
            self.counts.entries_over_rate += 1;
            self.ranges.refused(peer, entry.run(), entry.seq());
            self.gossip.duplicate_received(cx.now, peer, &entry.id());
            return;
        }
        self.pay(cx, dues);
        self.clock.heard(cx, entry.at());
        if request == Request::None && !ranged && entry.author() == peer {
            self.compare_clocks(cx, entry);
        }
        if request != Request::None && !ranged && self.is_tip_only(cx, peer, entry) {
            return;
        }
        self.take(cx, peer, entry, ranged);
    }

    /// Whether entries before this one are missing. It shows how far its run goes, and comes again with the range that is
    /// asked for, so that the run is shown in order.
    fn is_tip_only(&mut self, cx: &Cx, peer: NodeId, entry: &Entry) -> bool {
        let numbers = self.log.missing_before(entry, cx.limits());
        let comes_again = !self.log.is_below_floor(entry) && self.is_brought_by_range(cx, entry);
        let Some((first, _)) = numbers.filter(|_| comes_again) else { return false };
        let (run, last, at) = (entry.run().clone(), entry.seq(), entry.at());
        let missing = Missing { run, first, last, at, tip: Some(entry.id()) };
        self.want(cx, Some(peer), missing, Duration::ZERO);
        for other in self.gossip.duplicate_received(cx.now, peer, &entry.id()) {
            if self.addrs.contains_key(&other) {
                self.shows_tip(cx, other, &entry.id());
            }
        }
        true
    }

    /// Whether an entry that is not held comes with the range that ends with it. It does not where another version of its
    /// number is held, or where its run was shown to go much further.
    fn is_brought_by_range(&self, cx: &Cx, entry: &Entry) -> bool {
        let (run, seq) = (entry.run(), entry.seq());
        let last = self.ranges.last(run).map_or(seq, |last| last.max(seq));
        let missing = self.log.first_missing(run, (seq, last), cx.limits());
        missing.is_some_and(|(first, _)| first == seq)
    }

    /// This neighbour holds an entry. Whether that is a tip that is to come by a range.
    fn shows_tip(&mut self, cx: &Cx, peer: NodeId, id: &EntryId) -> bool {
        let Self { ranges, log, .. } = self;
        let missing = |run: &RunId, numbers| log.first_missing(run, numbers, cx.limits());
        ranges.show_tip(cx.now, peer, id, cx.limits(), missing)
    }

    /// An entry of no run came, with a valid signature. It is relayed once, and not held.
    fn live_opened(&mut self, cx: &Cx, Sender { peer: from, rated, .. }: Sender, live: &Live) {
        let header = live.header();
        if rated {
            self.members.take(cx.now, (from, header.author()), cx.limits());
        }
        self.gossip.arrived(cx.moment(), Some(from), header.id());
        self.counts.live += 1;
        let meta = EntryMeta { id: header.id(), at: header.at(), author: header.author(), from: Some(from) };
        let peers = self.gossip.relay_live(cx.moment(), meta);
        self.send(peers, None, live.sealed());
        self.presence_heard(cx, live);
    }

    /// Whether an entry from this neighbour is known by its id. One that came lately and is not held may be missing in the store.
    pub(super) fn is_known(&self, from: NodeId, id: &EntryId) -> bool {
        self.log.contains(id) || self.gossip.has_seen(id) && !self.ranges.is_asked_low(from)
    }

    /// Whether an entry from this neighbour came lately, and is not one that the store alone is to have.
    pub(super) fn is_seen(&self, from: NodeId, entry: &Unverified<'_>) -> bool {
        let is_low = |(run, seq)| self.ranges.is_low(from, run, seq);
        self.gossip.has_seen(&entry.id()) && !entry.place_in_run().is_some_and(is_low)
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

    /// Takes a new entry whose signature is valid. `ranged`: this neighbour was asked for it by its number.
    fn take(&mut self, cx: &Cx, from: NodeId, entry: &Arc<Entry>, ranged: bool) {
        let taken = self.take_into_log(cx, from, entry, ranged);
        self.counts.entries_dropped +=
            u64::from(matches!(taken, Taken::Full | Taken::NoRoom | Taken::Dropped));
        if ranged {
            self.range_came(cx, from, entry, taken);
        }
        match taken {
            Taken::New if ranged => {
                // The newest one of those that come is announced, when all have come.
                self.counts.entries += 1;
                self.backfill.came_to_window();
                self.gossip.arrived(cx.moment(), Some(from), entry.id());
            }
            Taken::New => self.relay(cx, from, entry),
            Taken::Archived => {
                self.counts.entries_archived += 1;
                self.backfill.came(entry);
            }
            Taken::Dropped => _ = self.gossip.arrived(cx.moment(), Some(from), entry.id()),
            Taken::Full | Taken::NoRoom | Taken::Parked | Taken::Known => {
                self.gossip.duplicate_received(cx.now, from, &entry.id());
            }
        }
        self.process_log_events(cx, Some(from));
        self.number_arrived(cx, entry);
    }

    /// Takes a new entry into the window, or has the store alone keep it.
    fn take_into_log(&mut self, cx: &Cx, from: NodeId, entry: &Arc<Entry>, ranged: bool) -> Taken {
        if ranged && let Some(taken) = self.log.archives(entry) {
            if taken != Taken::Archived {
                return taken;
            }
            if !self.keeper.has_store_room(cx.limits()) {
                return Taken::NoRoom;
            }
            self.archive(cx, entry);
            return taken;
        }
        let taken = self.log.take(cx.now, cx.wall(), from, entry.clone(), cx.limits());
        if taken == Taken::New {
            self.keep(cx, entry);
        }
        taken
    }

    /// An entry came that was asked for by its number.
    fn range_came(&mut self, cx: &Cx, from: NodeId, entry: &Entry, taken: Taken) {
        let (run, seq) = (entry.run(), entry.seq());
        self.ranges.came(cx.now, from, (run, seq), entry.sealed().line_len());
        match taken {
            Taken::New => self.ranges.taken(cx.now, from, run, entry.id()),
            Taken::NoRoom => self.ranges.had_no_room(from, run, seq),
            Taken::Full => self.ranges.untimely(from, run, seq),
            Taken::Archived | Taken::Dropped | Taken::Known | Taken::Parked => {}
        }
    }

    /// Entries of this run may no longer be missing.
    pub(super) fn number_arrived(&mut self, cx: &Cx, entry: &Entry) {
        let Self { ranges, log, .. } = self;
        let run = entry.run();
        let missing = |first, last| log.first_missing(run, (first, last), cx.limits());
        ranges.arrived(run, entry.seq(), missing);
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
        let limits = cx.limits();
        let ids: Vec<_> = ids.iter().copied().filter(|id| !self.shows_tip(cx, peer, id)).collect();
        for entry in ids.iter().filter_map(|id| self.log.get(id)) {
            self.ranges.announced(cx.now, peer, entry.run(), limits);
        }
        let Self { gossip, log, .. } = self;
        gossip.ihave_received(cx.moment(), peer, &ids, |id| !log.wants(id));
        if self.gossip.awaited() > 0 {
            self.catch_up.found();
        }
    }

    /// `GRAFT`: the peer requests these entries.
    fn graft_received(&mut self, cx: &Cx, from: Sender, ids: &[EntryId]) {
        let Sender { conn, peer, .. } = from;
        self.gossip.graft_received(cx.now, peer, ids.len());
        let (held, lacking): (Vec<_>, Vec<_>) = ids.iter().partition(|id| self.log.serves(id));
        let host = from.rated.then_some(from.host);
        if from.claims {
            self.serving.ask_by_claim((peer, conn), host, &held, cx.limits());
        } else {
            self.serving.ask(peer, host, &held, cx.limits());
        }
        if !lacking.is_empty() {
            self.gossip.lacks_here(peer, &lacking);
            self.events.push_back(Event::Reply { conn, frame: Frame::Lack(lacking) });
        }
    }

    /// `LACK`: the peer was asked for these entries, and does not hold them.
    fn lack_received(&mut self, cx: &Cx, peer: NodeId, ids: &[EntryId]) {
        for id in ids {
            if self.gossip.request_to(peer, id) != Request::None {
                self.gossip.lacks(cx.moment(), peer, *id);
            }
        }
    }

    /// `RANGE`: the peer requests entries by their numbers.
    fn range_received(&mut self, cx: &Cx, from: Sender, query: RangeQuery) {
        let Sender { conn, peer, .. } = from;
        let numbers = usize::try_from(query.last - query.first).unwrap_or(usize::MAX);
        self.gossip.graft_received(cx.now, peer, numbers);
        let host = from.rated.then_some(from.host);
        let end = match from.claims {
            true => self.serving.ask_range_by_claim((peer, conn), host, &query, cx.limits()),
            false => self.serving.ask_range(peer, host, query, cx.limits()),
        };
        if let Some(end) = end {
            self.events.push_back(Event::Reply { conn, frame: Frame::Held(end) });
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
        let budget = from.rated.then(|| from.at_host());
        let asker = Asker { conn, peer, room: self.serving.answer_room(cx.now, budget, cx.limits()) };
        let step = match self.reconciler.message(cx.now, asker, bytes, &self.log, cx.limits()) {
            Ok(step) => step,
            Err(_) => return self.report_fault(conn, Fault::Sync),
        };
        if step.is_last {
            self.compared(cx, peer);
            if self.confirmation.compared(peer, step.have.is_empty()) {
                self.confirmed();
            }
        }
        if step.peer_initiated {
            self.catch_up.neighbour_compares(cx.now, conn, from.round_trip, cx.limits());
            self.gossip.peer_began_sync(peer, cx.now);
            let answer = step.reply.as_ref().map_or(0, Vec::len);
            self.serving.answered(cx.now, budget, answer, cx.limits());
        }
        if let Some(reply) = step.reply {
            self.events.push_back(Event::Reply { conn, frame: Frame::Sync(reply) });
        }
        for ids in self.gossip.tips_to_tell(cx.moment(), peer, step.have).chunks(MAX_IHAVE) {
            self.events.push_back(Event::Reply { conn, frame: Frame::Ihave(ids.to_vec()) });
        }
        let mut need = step.need;
        need.retain(|id| !self.gossip.has_seen(id) && !self.shows_tip(cx, peer, id));
        if !need.is_empty() {
            self.catch_up.found();
        }
        self.gossip.fetch_tips(cx.moment(), peer, need);
    }

    /// Whether an entry is in no run and dated too far from now.
    pub(super) fn is_untimely(&self, cx: &Cx, entry: &Unverified<'_>) -> bool {
        entry.live_at().is_some_and(|at| self.is_far_from_now(cx, at))
    }

    /// Whether the date of an entry of no run is too far from now: by this node's clock and, if that seems to be wrong, by those
    /// of most neighbours, too.
    pub(super) fn is_far_from_now(&self, cx: &Cx, at: u64) -> bool {
        let is_far = |clock: u64| at.abs_diff(clock) > live_age(cx);
        cx.wall().is_some_and(|wall| is_far(wall) && self.their_clock(cx, wall).is_none_or(is_far))
    }

    /// Whether the date of an entry of no run is too far ahead of both clocks. One in the past is not: what is dated before it stays
    /// older.
    pub(super) fn is_far_ahead(&self, cx: &Cx, at: u64) -> bool {
        let is_ahead = |clock: u64| at > clock.saturating_add(live_age(cx));
        cx.wall().is_some_and(|wall| is_ahead(wall) && self.their_clock(cx, wall).is_none_or(is_ahead))
    }

    /// The time by the clocks of most neighbours, if this node's seems to be wrong.
    fn their_clock(&self, cx: &Cx, wall: u64) -> Option<u64> {
        let off = self.skew.skewed_live(cx.now, wall, cx.limits().chat.clock_tolerance)?;
        Some(wall.saturating_add_signed(-off.ahead_ms))
    }

    fn report_fault(&mut self, conn: ConnId, fault: Fault) {
        self.events.push_back(Event::Faulty { conn, fault });
    }
}

/// How far from now the date of an entry of no run may be, in milliseconds.
fn live_age(cx: &Cx) -> u64 {
    u64::try_from(cx.limits().chat.live_age.as_millis()).unwrap_or(u64::MAX)
}
