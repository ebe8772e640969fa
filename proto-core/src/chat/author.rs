//! What is said here: it is signed, kept, and sent on its way.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::gossip::{Arrival, EntryMeta};
use super::{Chat, Event, encode};
use crate::model::{ChatText, Cx, Draft, Entry, NodeId, Via};
use crate::wire::Frame;

impl Chat {
    /// Signs these lines, in as few entries as they fit, and sends them on their way. `told`: the version 1 peers that are told
    /// by this node itself; `via`: the one whose words these are.
    pub(crate) fn say(
        &mut self,
        cx: &Cx,
        texts: &[ChatText],
        told: &[NodeId],
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
            let draft = Draft {
                epoch: self.epoch,
                seq: self.seq,
                at: self.clock.next(cx),
                uname: &cx.config.uname,
                texts,
                to: told,
                via,
            };
            let entry = Arc::new(Entry::sign(&cx.identity, &draft));
            self.seq += 1;
            self.counts.signed += 1;
            self.log.take_own(cx.now, entry.clone(), cx.limits());
            let item = EntryMeta { id: entry.id(), at: entry.at(), author: entry.author(), from: None };
            let arrival = self.gossip.arrived(cx.moment(), None, entry.id());
            self.spread(cx, &entry, item, &arrival);
            entries.push(entry);
        }
        self.show(cx, None);
        entries
    }

    /// Sends an entry to those that it is pushed to; the others are told of it.
    pub(super) fn spread(&mut self, cx: &Cx, entry: &Arc<Entry>, item: EntryMeta, arrival: &Arrival) {
        let peers = self.gossip.spread(cx.moment(), item, arrival);
        self.push(peers, entry);
    }

    pub(super) fn push(&mut self, peers: Vec<NodeId>, entry: &Entry) {
        if !peers.is_empty() {
            let line = encode(&Frame::Chat(entry.sealed()));
            self.events.push_back(Event::Push { peers, id: entry.id(), line });
        }
    }
}
