//! Presence: this node says that it is here, and hears who else is (SPEC 9.19).

use alloc::sync::Arc;

use super::gossip::EntryMeta;
use super::members::Word;
use super::{Chat, Event};
use crate::model::{
    Cx, Instant, LeaveReason, Live, Member, MemberChange, NodeId, Presence, PublicKey, Sender, Unverified,
};

impl Chat {
    /// The members that say so, or said so, in the order of their ids. This node is not among them.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.members.iter()
    }

    /// The user's name has changed.
    pub(crate) fn renamed(&mut self, cx: &Cx) {
        self.members.renamed(cx.now);
    }

    /// This node shuts down, and says so.
    pub(crate) fn leave(&mut self, cx: &mut Cx) {
        if cx.config.presence() && self.members.is_known() {
            self.say_presence(cx, None);
        }
    }

    pub(super) fn presence_linked(&mut self, cx: &Cx) {
        if cx.config.presence() {
            self.members.linked(cx.now);
        }
    }

    /// Whether an author is familiar: it is linked, or has said something for longer than new authors have. Keys cost nothing,
    /// so nobody else has more than a share of the list.
    pub(super) fn is_familiar(&self, key: &PublicKey) -> bool {
        self.log.is_established(key) || self.addrs.contains_key(&key.node_id())
    }

    /// Whether an entry has room within the rate of such ones of no run, behind so many others. Those of a run have.
    pub(super) fn has_room_for_live(
        &self,
        cx: &Cx,
        from: Sender,
        entry: &Unverified<'_>,
        before: u32,
    ) -> bool {
        let familiar = || self.is_familiar(&entry.key());
        let of = (from.peer, entry.author());
        !from.rated
            || entry.live_at().is_none()
            || self.members.has_room(cx.now, of, before, familiar, cx.limits())
    }

    /// A neighbour is gone. If it is without a word, it is not here until it is heard again.
    pub(super) fn presence_unlinked(&mut self, cx: &Cx, peer: NodeId, reason: LeaveReason) {
        let known = self.members.key_of(peer).is_some_and(|key| self.log.is_established(&key));
        if !known {
            self.members.estrange(peer, cx.limits());
        }
        let lost = matches!(reason, LeaveReason::Closed | LeaveReason::Silent);
        if let Some(member) = lost.then(|| self.members.lost(peer)).flatten() {
            self.events.push_back(Event::Member { member, change: MemberChange::Silent });
        }
    }

    pub(super) fn presence_deadline(&self, cx: &Cx) -> Option<Instant> {
        self.members.deadline(!self.addrs.is_empty()).filter(|_| cx.config.presence())
    }

    pub(super) fn presence_timeout(&mut self, cx: &mut Cx) {
        if !cx.config.presence() || cx.stopping {
            return;
        }
        while let Some(member) = self.members.next_silent(cx.now) {
            self.events.push_back(Event::Member { member, change: MemberChange::Silent });
        }
        if self.members.is_due(cx.now) && !self.addrs.is_empty() {
            self.say_presence(cx, Some(self.members.interval()));
            let random = u64::try_from(cx.random_bits() & u128::from(u64::MAX)).unwrap_or(0);
            self.members.said(cx.now, random);
        }
    }

    /// Another node says that it is here, or leaves.
    pub(super) fn presence_heard(&mut self, cx: &Cx, live: &Live) {
        let header = live.header();
        let Some(presence) = live.presence().filter(|_| cx.config.presence()) else { return };
        if header.author() == cx.identity.node_id() {
            return;
        }
        let familiar = self.is_familiar(&header.key());
        let (key, at, time) = (header.key(), header.at(), cx.time());
        // Since it said that, its clock or this node's was set.
        let before = self.members.dated(header.author()).filter(|before| !self.is_far_ahead(cx, *before));
        let word = Word { key, at, before, presence, familiar, time, began: cx.began().unwrap_or(0) };
        if let Some((member, change)) = self.members.heard(cx.now, word, cx.limits()) {
            self.events.push_back(Event::Member { member, change });
        }
    }

    fn say_presence(&mut self, cx: &mut Cx, every: Option<u32>) {
        let at = self.members.date(cx.time());
        let presence = Presence { uname: cx.config.uname().clone(), since: cx.began().unwrap_or(at), every };
        let network = cx.config.network();
        let live = Live::sign(&cx.identity, network, (self.own_runs.epoch(), at), presence);
        let header = live.header();
        let meta = EntryMeta { id: header.id(), at, author: header.author(), from: None };
        self.gossip.arrived(cx.moment(), None, header.id());
        let peers = self.gossip.relay_live(cx.moment(), meta);
        self.send(peers, None, live.sealed());
    }
}
