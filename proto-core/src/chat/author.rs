//! Entries of this node: it signs them, keeps them, and sends them on their way.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::clock::Clock;
use super::gossip::{Arrival, EntryMeta};
use super::keeper::Speech;
use super::{Chat, Event, encode};
use crate::model::{ChatText, Cx, Draft, Entry, EntryId, NodeId, SayId, Sealed, Via};
use crate::wire::Frame;

/// What became of what was to be said.
#[derive(Debug)]
pub(crate) enum Spoken {
    /// These entries contain it, and are on their way.
    Said(Vec<Arc<Entry>>),
    /// The same, and the store cannot write. [`Event::Said`] tells.
    Unstored(SayId),
    /// It waits for the store. [`Event::Uttered`] and [`Event::Said`] tell.
    Waits(SayId),
}

impl Chat {
    /// Signs these texts, in as few entries as they fit into, and spreads them: at once, or when the store has committed
    /// them.
    ///
    /// `recipients` are the version 1 peers to which this node sends the texts itself. `via` names the
    /// version 1 peer that said them, if it was not the user.
    pub(crate) fn say(
        &mut self,
        cx: &mut Cx,
        texts: &[ChatText],
        recipients: &[NodeId],
        via: Option<&Via>,
    ) -> Spoken {
        if via.is_none() {
            self.counts.said += texts.len() as u64;
        }
        let say = if via.is_none() { self.keeper.begin_say() } else { None };
        let (mut entries, mut rest) = (Vec::new(), texts);
        while !rest.is_empty() {
            let (texts, after) = rest.split_at(Draft::fitting(rest));
            rest = after;
            let speech = Speech { texts, recipients, via };
            let entry = self.sign_next(cx, &speech);
            if let Some(record) = self.keeper.keep_own(&entry, &speech, say) {
                self.events.push_back(record.into());
            } else {
                self.utter(cx, &entry);
                entries.push(entry);
            }
        }
        self.process_log_events(cx, None);
        match say {
            None => Spoken::Said(entries),
            Some(id) if texts.is_empty() => {
                self.events.push_back(Event::Said { id, entries, stored: true });
                Spoken::Waits(id)
            }
            Some(id) if entries.is_empty() => Spoken::Waits(id),
            Some(id) => {
                self.events.push_back(Event::Said { id, entries, stored: false });
                Spoken::Unstored(id)
            }
        }
    }

    /// Signs these texts in the run of their class, or in another one if that is forked or its dates are ahead.
    pub(super) fn sign_next(&mut self, cx: &mut Cx, speech: &Speech<'_>) -> Arc<Entry> {
        if self.clock.is_ahead(cx) {
            self.begin_epochs(cx);
        } else {
            self.leave_forked_runs(cx);
        }
        self.counts.signed += 1;
        self.sign(cx, speech)
    }

    /// Takes an entry of this node into the log, and spreads it.
    pub(super) fn utter(&mut self, cx: &Cx, entry: &Arc<Entry>) {
        self.log.take_own(cx.now, cx.wall(), entry.clone(), cx.limits());
        let meta = EntryMeta { id: entry.id(), at: entry.at(), author: entry.author(), from: None };
        let arrival = self.gossip.arrived(cx.moment(), None, entry.id());
        self.spread(cx, entry, meta, &arrival);
    }

    /// Signs these texts as the next entry of the run of their class.
    fn sign(&mut self, cx: &mut Cx, &Speech { texts, recipients, via }: &Speech<'_>) -> Arc<Entry> {
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
    pub(super) fn begin_epochs(&mut self, cx: &mut Cx) {
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
