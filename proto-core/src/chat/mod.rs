//! What is said: the entries of all authors, how they spread, in which order they are shown, and what time they have.
//!
//! [`Chat`] is one conversation. It knows its neighbours, the linked peers with a key, by their ids. What follows from what
//! happens to it comes out of [`Chat::next_event`]; what it has to send comes out of [`Chat::next_output`].

mod author;
mod clock;
mod event;
mod gossip;
mod log;
mod receive;
mod skew;
mod views;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use rand_core::Rng;

use clock::Clock;
use gossip::Gossip;
use log::{Log, LogEvent, Reconciler};
use skew::Skew;

use crate::model::{ConnId, Cx, EntryId, Instant, MAX_NUMBER, NodeId, TokenBuckets};
use crate::wire::{Frame, Token};

pub(crate) use event::{Counts, Event, Fault};
pub(crate) use gossip::{Role, Standing};

/// One conversation.
#[derive(Debug)]
pub(crate) struct Chat {
    clock: Clock,
    skew: Skew,
    /// Of what is said here: this run of the author's, and its next number.
    epoch: u64,
    seq: u64,
    gossip: Gossip,
    log: Log,
    reconciler: Reconciler,
    /// How fast entries of each author come unasked.
    rates: TokenBuckets<NodeId>,
    events: VecDeque<Event>,
    counts: Counts,
}

/// What the conversation wants to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Entries that are held back are shown, or a reconciliation is given up.
    Log,
    /// Neighbours are told whom we are linked to.
    Links,
    /// The eager tree wants something: a claim is due or ends, or neighbours are told of our place.
    Tree,
    /// Entries are announced.
    Announce,
    /// Entries are asked for.
    Graft,
    /// A reconciliation is due.
    Reconcile,
}

/// A claim about the tree does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FalseClaim;

/// A frame to send.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) conn: ConnId,
    pub(crate) frame: Frame<'static>,
    /// A `PING` with this token goes right behind it.
    pub(crate) ping: Option<Token>,
}

impl Chat {
    pub(crate) fn new(cx: &mut Cx) -> Self {
        Self {
            clock: Clock::default(),
            skew: Skew::default(),
            // Nothing is kept of the runs before, so this is a new one.
            epoch: cx.random.next_u64() & MAX_NUMBER,
            seq: 0,
            gossip: Gossip::new(cx.identity.key()),
            log: Log::default(),
            reconciler: Reconciler::default(),
            rates: TokenBuckets::new(),
            events: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// What follows, in order, until there is nothing.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// A peer with a key is linked.
    pub(crate) fn linked(&mut self, cx: &Cx, peer: NodeId) {
        self.gossip.linked(cx.moment(), peer);
    }

    /// A peer is linked no more.
    pub(crate) fn unlinked(&mut self, cx: &Cx, peer: NodeId) {
        self.gossip.unlinked(cx.moment(), peer);
    }

    /// A neighbour is written to on another connection from now on: what was on its way on the old one may be lost.
    pub(crate) fn moved(&mut self, cx: &Cx, peer: NodeId, before: ConnId, after: ConnId) {
        self.reconciler.moved(before, after);
        self.gossip.sync_with(cx.moment(), peer);
    }

    /// Nothing is exchanged on this connection any more.
    pub(crate) fn ended(&mut self, conn: ConnId) {
        self.reconciler.ended(conn);
    }

    /// An entry that was to be pushed to this neighbour was not, for its link is full: it is told of it, and catches up by
    /// reconciliation.
    pub(crate) fn not_pushed(&mut self, cx: &Cx, peer: NodeId, id: EntryId) {
        self.counts.entries_not_pushed += 1;
        self.gossip.push_failed(cx.moment(), peer, id);
    }

    /// An entry was pushed.
    pub(crate) fn pushed(&mut self) {
        self.counts.entries_sent += 1;
    }

    /// Whether all neighbours are linked to each other, and to nobody else, as far as their `LINKS` show.
    pub(crate) fn is_full_mesh(&self) -> bool {
        self.gossip.is_full_mesh()
    }

    /// Whether what the peer says reaches us by another neighbour, too, as far as their `LINKS` show.
    pub(crate) fn has_mutual_neighbour(&self, peer: NodeId) -> bool {
        self.gossip.has_mutual_neighbour(peer)
    }

    /// When there is something to do next, and what.
    pub(crate) fn deadline(&self, cx: &Cx) -> Option<(Instant, Timer)> {
        let moment = cx.moment();
        let log = self.log.deadline(moment.now, moment.wall, moment.limits);
        let log = log.into_iter().chain(self.reconciler.deadline()).min().map(|at| (at, Timer::Log));
        self.gossip.deadline(moment).into_iter().chain(log).min()
    }

    /// Time passed, or the wall clock was set: entries held back may be shown. [`spread_timeout`](Self::spread_timeout) follows.
    pub(crate) fn timeout(&mut self, cx: &Cx) {
        self.log.timeout(cx.now, cx.wall(), cx.limits());
        self.show(cx, None);
        self.reconciler.timeout(cx.now);
    }

    /// Time passed: entries are asked for, and the tree is looked after.
    pub(crate) fn spread_timeout(&mut self, cx: &mut Cx) {
        let (moment, identity, random) = cx.split();
        self.gossip.timeout(moment, identity, random);
    }

    /// The next frame to send; `active`: the connection on which a peer is written to.
    pub(crate) fn next_output(
        &mut self,
        cx: &mut Cx,
        active: impl Fn(NodeId) -> Option<ConnId>,
    ) -> Option<Output> {
        while let Some(peer) = self.due_for_sync(cx) {
            let Some(conn) = active(peer) else { continue };
            let ping = Token::from_bits(cx.random_bits());
            match self.reconciler.begin(cx.now, conn, ping, &self.log, cx.limits()) {
                Some(opening) => {
                    self.counts.syncs += 1;
                    return Some(Output { conn, frame: Frame::Sync(opening), ping: Some(ping) });
                }
                // Another is under way there, or enough are elsewhere: later.
                None => self.gossip.sync_with(cx.moment(), peer),
            }
        }
        while let Some((peer, frame)) = self.gossip.next_frame(cx.moment()) {
            if let Some(conn) = active(peer) {
                return Some(Output { conn, frame, ping: None });
            }
        }
        None
    }

    fn due_for_sync(&mut self, cx: &mut Cx) -> Option<NodeId> {
        let (moment, _, random) = cx.split();
        self.gossip.due_for_sync(moment, random)
    }

    /// Passes on what the log has to show. What is missing is asked for where the last entry came from, or of anybody where
    /// time alone showed that it is.
    fn show(&mut self, cx: &Cx, from: Option<NodeId>) {
        while let Some(event) = self.log.next_event() {
            match event {
                LogEvent::Show { entry, marks } => self.events.push_back(Event::Show { entry, marks }),
                LogEvent::Gap { node_id, uname, missing } => {
                    self.counts.gaps += 1;
                    self.events.push_back(Event::Gap { node_id, uname, missing });
                }
                LogEvent::Reconcile { .. } => match from {
                    Some(peer) => self.gossip.sync_with(cx.moment(), peer),
                    None => self.gossip.sync_with_any(cx.moment()),
                },
                LogEvent::Deferred { id } => {
                    self.counts.entries_put_off += 1;
                    self.gossip.forget(&id);
                }
            }
        }
    }
}

/// A `CHAT` frame's line.
fn encode(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}
