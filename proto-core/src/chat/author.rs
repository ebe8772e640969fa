//! Entries of this node: it signs them, keeps them, and sends them on their way.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::clock::Clock;
use super::gossip::{Arrival, EntryMeta};
use super::{Chat, Event, encode};
use crate::model::{ChatText, Cx, Draft, Entry, EntryId, NodeId, Sealed, Via};
use crate::wire::Frame;

impl Chat {
    /// Signs these texts, in as few entries as they fit into, and spreads them.
    ///
    /// `recipients` are the version 1 peers to which this node sends the texts itself. `via` names the
    /// version 1 peer that said them, if it was not the user.
    pub(crate) fn say(
        &mut self,
        cx: &mut Cx,
        texts: &[ChatText],
        recipients: &[NodeId],
        via: Option<&Via>,
    ) -> Vec<Arc<Entry>> {
        if via.is_none() {
            self.counts.said += texts.len() as u64;
        }
        let mut entries = Vec::new();
        let mut rest = texts;
        while !rest.is_empty() {
            let (texts, after) = rest.split_at(Draft::fitting(rest));
            rest = after;
            if self.clock.is_ahead(cx) {
                self.begin_epochs(cx);
            } else if self.own_runs.is_forked() {
                self.own_runs.begin(cx);
            }
            let entry = self.sign(cx, texts, recipients, via);
            self.counts.signed += 1;
            self.log.take_own(cx.now, cx.wall(), entry.clone(), cx.limits());
            let meta = EntryMeta { id: entry.id(), at: entry.at(), author: entry.author(), from: None };
            let arrival = self.gossip.arrived(cx.moment(), None, entry.id());
            self.spread(cx, &entry, meta, &arrival);
            entries.push(entry);
        }
        self.process_log_events(cx, None);
        entries
    }

    /// Signs these texts as the next entry of the run of their class.
    fn sign(
        &mut self,
        cx: &mut Cx,
        texts: &[ChatText],
        recipients: &[NodeId],
        via: Option<&Via>,
    ) -> Arc<Entry> {
        let at = self.clock.next(cx);
        let run = self.own_runs.get(via.is_some(), cx);
        let salt = cx.random_bits().to_be_bytes();
        let draft = Draft {
            network: cx.config.network(),
            to: recipients,
            via,
            ..Draft::new(run.epoch(), run.next(), at, cx.config.uname(), texts, salt)
        };
        let entry = Arc::new(Entry::sign(&cx.identity, &draft));
        run.signed(&entry);
        entry
    }

    /// Begins other epochs, dated by the wall clock: the clock of the last ones is so far ahead that others would let their
    /// entries wait (SPEC 7.4.2).
    fn begin_epochs(&mut self, cx: &mut Cx) {
        self.own_runs.begin(cx);
        self.clock = Clock::default();
    }

    /// Pushes an entry along its eager links, and queues announcements for the other neighbours.
    pub(super) fn spread(&mut self, cx: &Cx, entry: &Arc<Entry>, meta: EntryMeta, arrival: &Arrival) {
        let peers = self.gossip.spread(cx.moment(), meta, arrival);
        self.push(peers, entry);
    }

    /// Pushes an entry to these neighbours. It is announced to those that cannot take it now.
    pub(super) fn push(&mut self, peers: Vec<NodeId>, entry: &Entry) {
        self.send(peers, Some(entry.id()), entry.sealed());
    }

    /// Sends an entry to these neighbours. With an id, it is announced to those that cannot take it now.
    pub(super) fn send(&mut self, peers: Vec<NodeId>, id: Option<EntryId>, sealed: Sealed<'_>) {
        if !peers.is_empty() {
            let line = encode(&Frame::Chat(sealed));
            self.events.push_back(Event::Push { peers, id, line });
        }
    }
}
