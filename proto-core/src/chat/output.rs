//! What the conversation sends of its own accord.

use alloc::vec::Vec;

use super::serving::Served;
use super::{Chat, Event, encode};
use crate::model::{ConnId, Cx, NodeId, Outlet, PeerAtHost, RunId, host_of};
use crate::wire::{Frame, RangeQuery, Token};

/// A frame to send.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) conn: ConnId,
    pub(crate) line: Vec<u8>,
    /// Send a `PING` with this token right behind the frame.
    pub(crate) ping: Option<Token>,
}

impl Output {
    fn new(conn: ConnId, frame: &Frame<'_>) -> Self {
        Self { conn, line: encode(frame), ping: None }
    }
}

impl Chat {
    /// The next frame to send. `outlet` gives the connection on which frames for a peer go out.
    pub(crate) fn next_output(
        &mut self,
        cx: &mut Cx,
        outlet: impl Fn(NodeId) -> Option<Outlet>,
    ) -> Option<Output> {
        self.follow_ranges(cx, &outlet);
        // Here, and not where something came, so that needless timeouts cannot change when it ends.
        self.end_catch_up(cx);
        self.compare_to_confirm(cx);
        self.backfill(cx);
        while let Some(peer) = self.due_for_sync(cx) {
            let Some(Outlet { conn, .. }) = outlet(peer) else { continue };
            let ping = Token::from_bits(cx.random_bits());
            match self.reconciler.begin(cx.now, conn, ping, &self.log, cx.limits()) {
                Some(opening) => {
                    self.counts.syncs += 1;
                    self.confirmation.comparing(peer);
                    return Some(Output { ping: Some(ping), ..Output::new(conn, &Frame::Sync(opening)) });
                }
                // One is under way there, or too many are elsewhere: try again later.
                None => self.gossip.sync_with(cx.moment(), peer),
            }
        }
        while let Some((peer, frame)) = self.gossip.next_frame(cx.moment()) {
            if let Some(Outlet { conn, .. }) = outlet(peer) {
                return Some(Output::new(conn, &frame));
            }
        }
        while let Some((peer, query)) = self.next_query(cx) {
            if let Some(Outlet { conn, .. }) = outlet(peer) {
                return Some(Output::new(conn, &Frame::Range(query)));
            }
        }
        self.next_served(cx, outlet)
    }

    fn due_for_sync(&mut self, cx: &mut Cx) -> Option<NodeId> {
        let (moment, _, random) = cx.split();
        let Self { gossip, ranges, .. } = self;
        gossip.due_for_sync(moment, random, |peer| ranges.is_asked_any(peer))
    }

    /// Takes ranges from those that bring nothing, and announces what came by ranges.
    fn follow_ranges(&mut self, cx: &Cx, outlet: impl Fn(NodeId) -> Option<Outlet>) {
        if self.ranges.expire(cx.now, cx.limits(), |peer| outlet(peer)?.heard) {
            self.gossip.sync_with_any(cx.moment());
        }
        let Self { ranges, log, .. } = self;
        ranges.expire_alone(cx.now, cx.limits(), |run, numbers| log.first_missing(run, numbers, cx.limits()));
        while let Some((id, from)) = self.ranges.next_finished() {
            if self.log.get(&id).is_some() {
                self.gossip.announce_newest(cx.moment(), id, from);
            }
        }
    }

    /// The next range to ask for.
    fn next_query(&mut self, cx: &Cx) -> Option<(NodeId, RangeQuery)> {
        /// Somewhat more than the first answer of a neighbour takes.
        const ANSWER: u32 = 256 * 1024;
        let Self { ranges, log, excused, keeper, addrs, .. } = self;
        let limits = cx.limits();
        ranges.hold_low(keeper.is_half_full(limits));
        let fresh = Self::excuses(limits);
        let missing = |run: &RunId, numbers| log.first_missing(run, numbers, limits);
        // What comes beyond the budget counts against rates, and would be in vain.
        let free_at = |peer: NodeId| {
            let host = addrs.get(&peer).copied().map(host_of);
            let free_at = |host| excused.next_many_at(cx.now, &PeerAtHost { peer, host }, ANSWER, fresh);
            host.map_or(cx.now, free_at)
        };
        ranges.next_query(cx.now, limits, missing, free_at)
    }

    /// The next frame of an answer to `GRAFT` or `RANGE`, as far as there is room on the link.
    fn next_served(&mut self, cx: &Cx, outlet: impl Fn(NodeId) -> Option<Outlet>) -> Option<Output> {
        let limits = cx.limits();
        let most = limits.chat.served_queue.min(limits.conns.queue / 2);
        // A line that is longer than this goes out on an empty queue.
        for (peer, end) in self.serving.follow_claims(|peer| Some(outlet(peer)?.conn), limits) {
            let reply = |Outlet { conn, .. }| Event::Reply { conn, frame: Frame::Held(end) };
            self.events.extend(outlet(peer).map(reply));
        }
        let room = |Outlet { queued, .. }| if queued == 0 { usize::MAX } else { most.saturating_sub(queued) };
        loop {
            let Self { serving, log, .. } = self;
            let (peer, served) = serving.next(cx.now, log, |peer| outlet(peer).map(room), limits)?;
            if let Served::Load(id, wanted) = served {
                self.events.push_back(Event::Load { id, wanted, most_bytes: limits.chat.load_bytes });
                continue;
            }
            let Outlet { conn, .. } = outlet(peer)?;
            if matches!(served, Served::Entry(_) | Served::Gone(_)) {
                self.confirmation.disturbed(peer);
                self.counts.entries_sent += 1;
            }
            return Some(match served {
                Served::Entry(entry) => Output::new(conn, &Frame::Chat(entry.sealed())),
                Served::Gone(gone) => Output::new(conn, &Frame::Chat(gone.sealed())),
                Served::End(end) => Output::new(conn, &Frame::Held(end)),
                Served::Lack(id) => {
                    self.gossip.lacks_here(peer, &[id]);
                    Output::new(conn, &Frame::Lack(Vec::from([id])))
                }
                Served::Load(..) => continue,
            });
        }
    }
}
