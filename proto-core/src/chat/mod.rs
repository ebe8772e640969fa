//! The conversation: what is said, how it spreads, in which order it is shown, and what time it is dated.
//!
//! [`Chat`] is one conversation. It knows its neighbours, which are the linked peers with a key, by their
//! ids.
//!
//! - **It owns** the hybrid logical clock, the clock comparison, the author sequence of this node, the
//!   [`log`], the [`gossip`], the reconciliations, a rate for each author, and authors' decompressed keys.
//! - **Calls** report what happened: [`say`](Chat::say), [`received`](Chat::received) for frames,
//!   [`pong_received`](Chat::pong_received), [`linked`](Chat::linked), [`unlinked`](Chat::unlinked),
//!   [`moved`](Chat::moved) and [`ended`](Chat::ended) for connections, and [`pushed`](Chat::pushed) for the
//!   outcome of a push.
//! - **Events** are what others have to act on. They come out of [`next_event`](Chat::next_event) alone, in
//!   order.
//! - **Output** is what the conversation sends of its own accord: announcements, requests, answers to them, tree
//!   adverts and openings of reconciliations. It comes out of [`next_output`](Chat::next_output), when the events are
//!   handled.
//! - **Time** has one [`deadline`](Chat::deadline). When it passes, [`timeout`](Chat::timeout) comes first,
//!   then [`spread_timeout`](Chat::spread_timeout).
//! - **Capacities**: [`capacities`](Chat::capacities) tells how full each bounded collection is.

mod author;
mod backfill;
mod budget;
mod catch_up;
mod clock;
mod confirmation;
mod event;
mod gossip;
mod keeper;
mod key_use;
mod known_keys;
mod log;
mod lookahead;
mod members;
mod names;
mod output;
mod own_runs;
mod presence;
mod ranges;
mod receive;
mod serving;
mod skew;
#[cfg(test)]
mod testing;
mod views;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use backfill::Backfill;
use budget::Budgets;
use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use catch_up::CatchUp;
use clock::Clock;
use confirmation::Confirmation;
use gossip::Gossip;
use keeper::Keeper;
use key_use::KeyUse;
use known_keys::KnownKeys;
use log::{Log, LogEvent, Reconciler};
use members::Members;
use names::Names;
use own_runs::OwnRuns;
use ranges::{Missing, Ranges};
use serving::Serving;
use skew::Skew;

use crate::model::{
    ClockReading, ConnId, Cx, Entry, EntryId, Instant, Kept, Kind, KnownName, LeaveReason, LoadId, Loaded,
    Marks, NodeId, PeerBuckets, PeerInfo, RunId,
};
use crate::wire::Frame;

pub(crate) use author::Spoken;
pub(crate) use event::{Counts, Event, Fault};
pub(crate) use gossip::{Role, Standing};
pub(crate) use lookahead::Lookahead;
pub(crate) use output::Output;
pub(crate) use skew::Skewed;

/// One conversation.
#[derive(Debug)]
pub(crate) struct Chat {
    clock: Clock,
    skew: Skew,
    own_runs: OwnRuns,
    keeper: Keeper,
    key_use: KeyUse,
    gossip: Gossip,
    log: Log,
    names: Names,
    reconciler: Reconciler,
    ranges: Ranges,
    serving: Serving,
    catch_up: CatchUp,
    confirmation: Confirmation,
    backfill: Backfill,
    budgets: Budgets,
    /// The bytes of ranges and tips that are not counted against rates.
    excused: PeerBuckets,
    /// Where each neighbour is.
    addrs: BTreeMap<NodeId, IpAddr>,
    /// The points of authors' keys.
    known_keys: KnownKeys,
    /// What the coefficients of batches follow from, besides the signatures.
    batch_seed: [u8; 32],
    members: Members,
    events: VecDeque<Event>,
    counts: Counts,
}

/// What the deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Show entries that were held back, or give up a reconciliation.
    Log,
    /// Send `LINKS`.
    Links,
    /// Claim to be the root, let a root expire, or send tree adverts.
    Tree,
    /// Announce entries.
    Announce,
    /// Request entries.
    Graft,
    /// Begin a reconciliation.
    Reconcile,
    /// Say that this node is here, or that a member is silent.
    Presence,
}

/// A tree advert breaks a rule: its signature or its distance is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FalseClaim;

impl Chat {
    /// The conversation, as far as the store has kept it.
    pub(crate) fn restore(cx: &mut Cx, kept: &Kept) -> Self {
        let mut chat = Self {
            clock: Clock::after(keeper::last_date(&kept.own)),
            skew: Skew::default(),
            own_runs: OwnRuns::restore(cx, &kept.own),
            keeper: Keeper::new(cx.config.stores()),
            key_use: KeyUse::default(),
            gossip: Gossip::new(cx.identity.key()),
            log: Log::restore(cx.identity.key(), cx.config.stores(), kept, cx.limits()),
            names: Names::default(),
            reconciler: Reconciler::default(),
            ranges: Ranges::default(),
            serving: Serving::default(),
            catch_up: CatchUp::default(),
            confirmation: Confirmation::default(),
            backfill: Backfill::default(),
            budgets: Budgets::new(),
            excused: PeerBuckets::default(),
            addrs: BTreeMap::new(),
            known_keys: KnownKeys::default(),
            batch_seed: batch_seed(&cx.random),
            members: Members::new(),
            events: VecDeque::new(),
            counts: Counts::default(),
        };
        // What the store need not have any more.
        chat.process_log_events(cx, None);
        let mut runs = kept.own.iter().map(|own| (own.run(cx.identity.key()), own.next.seq()));
        if runs.any(|(run, next)| chat.log.goes_beyond(&run, next)) {
            chat.own_runs.set_forked();
        }
        chat
    }

    /// The next event, in order.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The names of authors that were kept from an earlier start.
    pub(crate) fn recall(&mut self, cx: &Cx, names: &[KnownName]) {
        self.names.recall(cx.now, names, cx.limits());
    }

    /// The store answered.
    pub(crate) fn loaded(&mut self, cx: &Cx, id: LoadId, entries: Vec<Loaded>) {
        self.serving.loaded(cx.now, id, entries, cx.limits());
    }

    /// Whether this node may sign something of so many bytes now. If not, [`Event::Ready`] follows.
    pub(crate) fn has_room(&mut self, cx: &Cx, bytes: usize) -> bool {
        self.keeper.has_room(bytes, cx.limits())
    }

    /// The same for what peers without a key said, which waits elsewhere.
    pub(crate) fn may_sign(&self, cx: &Cx) -> bool {
        self.keeper.is_open(0, cx.limits())
    }

    /// A peer was linked. One with a key is a neighbour. `dialed`: this node dialed it. `clock` is the time that its `JOIN`
    /// said, compared with this node's when it came.
    pub(crate) fn linked(&mut self, cx: &Cx, peer: &PeerInfo, dialed: bool, clock: Option<ClockReading>) {
        if peer.key.is_some() {
            self.gossip.linked(cx.moment(), peer.node_id);
            if !self.log.holes(None, cx.limits()).is_empty() {
                self.gossip.begin_on_new_link(cx.moment(), peer.node_id);
            }
            self.addrs.insert(peer.node_id, peer.remote_addr.ip());
            self.skew.linked(peer.node_id, peer.remote_addr.ip(), dialed, clock);
            self.report_skew(cx);
            self.presence_linked(cx);
            self.catch_up.begin(cx.now, cx.limits());
            self.backfill.linked();
        }
    }

    /// A peer lost its last link, for this reason.
    pub(crate) fn unlinked(&mut self, cx: &Cx, peer: NodeId, reason: LeaveReason) {
        self.presence_unlinked(cx, peer, reason);
        self.gossip.unlinked(cx.moment(), peer);
        let Self { ranges, log, .. } = self;
        ranges.unlinked(cx.now, peer, |run, number| log.has_after(run, number));
        self.serving.unlinked(peer);
        self.confirmation.interrupted(peer);
        self.addrs.remove(&peer);
        self.skew.unlinked(peer);
    }

    /// A neighbour's link moved to another connection. Frames in flight on the old one may be lost, so the
    /// two reconcile.
    pub(crate) fn moved(&mut self, cx: &Cx, peer: NodeId, before: ConnId, after: ConnId) {
        self.reconciler.moved(before, after);
        // What it asks for is served on the other connection: it may have asked there before.
        self.ranges.interrupted(cx.now, peer);
        self.confirmation.interrupted(peer);
        self.gossip.moved(cx.moment(), peer);
    }

    /// A neighbour has not answered a `PING` for too long, or something came from it again.
    pub(crate) fn doubt(&mut self, peer: NodeId, doubted: bool) {
        self.gossip.doubt(peer, doubted);
    }

    /// A connection ended.
    pub(crate) fn ended(&mut self, cx: &Cx, conn: ConnId) {
        self.reconciler.ended(conn);
        let Self { serving, addrs, .. } = self;
        serving.ended(conn, |peer| addrs.contains_key(&peer), cx.limits());
    }

    /// An entry was pushed to `sent` neighbours, and not to those whose queues are `full`. If it is held, it is announced to
    /// these, and the two reconcile.
    pub(crate) fn pushed(&mut self, cx: &Cx, id: Option<EntryId>, sent: u64, full: Vec<NodeId>) {
        self.counts.entries_sent += sent;
        for peer in full {
            self.counts.entries_not_pushed += 1;
            if let Some(id) = id {
                self.gossip.push_failed(cx.moment(), peer, id);
            }
        }
    }

    /// Whether the neighbours lead nowhere new, as far as their `LINKS` show, and a node with this id is none of those to whom
    /// they lead (SPEC 5.4.4).
    pub(crate) fn is_closed_to(&self, outsider: NodeId) -> bool {
        self.gossip.is_closed_to(outsider)
    }

    /// Whether the peer is linked to another neighbour, too, as far as its `LINKS` show.
    pub(crate) fn has_mutual_neighbour(&self, peer: NodeId) -> bool {
        self.gossip.has_mutual_neighbour(peer)
    }

    /// When there is something to do next, and what.
    pub(crate) fn deadline(&self, cx: &Cx) -> Option<(Instant, Timer)> {
        if cx.stopping {
            return None;
        }
        let moment = cx.moment();
        let log = self.log.deadline(moment.now, moment.wall, moment.limits);
        let log = log.into_iter().chain(self.reconciler.deadline()).chain(self.catch_up.deadline(moment.now));
        let log = log.min().map(|at| (at, Timer::Log));
        let backfill = self.backfill_deadline(cx.now).filter(|_| self.log.stores());
        let ranges =
            self.ranges.deadline(moment.limits).into_iter().chain(backfill).map(|at| (at, Timer::Graft));
        let presence = self.presence_deadline(cx).map(|at| (at, Timer::Presence));
        self.gossip.deadline(moment).into_iter().chain(log).chain(ranges).chain(presence).min()
    }

    /// The first half of a timeout: shows entries that waited long enough, and gives up overdue
    /// reconciliations. It is apart from [`spread_timeout`](Self::spread_timeout), because the node draws
    /// random numbers between the two.
    pub(crate) fn timeout(&mut self, cx: &Cx) {
        let coming = |run: &RunId| self.ranges.coming(cx.now, run);
        self.log.timeout(cx.now, cx.wall(), coming, cx.limits());
        self.process_log_events(cx, None);
        self.reconciler.timeout(cx.now);
    }

    /// The second half of a timeout: requests entries, and maintains the trees.
    pub(crate) fn spread_timeout(&mut self, cx: &mut Cx) {
        let (moment, identity, random) = cx.split();
        self.gossip.timeout(moment, identity, random);
        self.presence_timeout(cx);
    }

    fn show(&mut self, cx: &Cx, entry: Arc<Entry>, mut marks: Marks) {
        marks.name_taken = self.has_taken_name(cx, &entry);
        self.counts.shown += entry.texts().len() as u64;
        self.events.push_back(Event::Show { entry, marks });
    }

    /// Ends the first catch-up if it is over: shows what it held back, in order.
    fn end_catch_up(&mut self, cx: &Cx) {
        let awaited = self.gossip.awaited() + self.ranges.pending();
        let complete = awaited == 0 && self.reconciler.begun() == 0;
        let Some(held) = self.catch_up.end(cx.now, complete, cx.limits()) else { return };
        self.log.catch_up_ended();
        let entries = held.len();
        held.into_iter().for_each(|(entry, marks)| self.show(cx, entry, marks));
        self.events.push_back(Event::CaughtUp { entries });
    }

    /// Handles the events of the log. Missing entries are asked of `from`, which sent the last entry, or looked for at any
    /// neighbour.
    fn process_log_events(&mut self, cx: &Cx, from: Option<NodeId>) {
        while let Some(event) = self.log.next_event() {
            match event {
                LogEvent::Show { entry, .. } if !is_for_the_user(&entry) => {
                    self.counts.entries_not_shown += 1;
                }
                LogEvent::Show { entry, mut marks } => {
                    marks.history |= is_history(cx, entry.at());
                    let shown = self.catch_up.hold(entry, marks);
                    shown.into_iter().for_each(|(entry, marks)| self.show(cx, entry, marks));
                }
                LogEvent::Due { entry, from } => {
                    self.keep(cx, &entry);
                    self.relay(cx, from, &entry);
                    self.number_arrived(cx, &entry);
                }
                LogEvent::Gap { run, .. } if !is_of_the_lobby(&run) => {}
                LogEvent::Gap { run, uname, missing } => {
                    self.counts.gaps += 1;
                    let node_id = run.key.node_id();
                    self.events.push_back(Event::Gap { node_id, uname, missing });
                }
                LogEvent::Missing { run, first, last, at, from: parked } => {
                    let missing = Missing { run, first, last, at, tip: None };
                    self.want(cx, from.or(parked), missing, cx.limits().chat.ask_after);
                }
                LogEvent::Reconcile { .. } => match from {
                    Some(peer) => self.gossip.sync_with(cx.moment(), peer),
                    None => self.gossip.sync_with_any(cx.moment()),
                },
                LogEvent::Forked { .. } => self.counts.forks += 1,
                LogEvent::Withdrawn { id, run } => {
                    self.counts.entries_withdrawn += 1;
                    self.gossip.withdraw(&id);
                    self.withdraw_kept(id, run);
                }
                LogEvent::Deferred { id } => {
                    self.counts.entries_displaced += 1;
                    self.gossip.forget(&id);
                }
                LogEvent::Proof { id, from: parked } => {
                    self.gossip.forget(&id);
                    let sender = from.or(parked);
                    sender.into_iter().for_each(|peer| self.gossip.ask_for(cx.moment(), peer, id));
                }
            }
        }
    }
}

/// What is said is held by others.
impl Chat {
    /// The user wants to know when a neighbour holds all that this node holds now.
    pub(crate) fn confirm(&mut self) {
        self.confirmation.ask();
    }

    /// Whether the user waits for that.
    pub(crate) fn awaits_confirmation(&self) -> bool {
        self.confirmation.is_awaited()
    }

    /// A neighbour holds all of it, or nobody can tell better.
    pub(crate) fn confirmed(&mut self) {
        if self.confirmation.end() {
            self.events.push_back(Event::Confirmed);
        }
    }

    /// While the user waits, this node compares with each neighbour, as soon as the last time is long enough ago.
    fn compare_to_confirm(&mut self, cx: &Cx) {
        if self.confirmation.is_awaited() {
            self.addrs.keys().for_each(|peer| self.gossip.sync_with(cx.moment(), *peer));
        }
    }
}

/// What is missing.
impl Chat {
    /// Entries are missing, as one shows that `from` sent. They are asked for after a while.
    fn want(&mut self, cx: &Cx, from: Option<NodeId>, missing: Missing, after: Duration) {
        if missing.tip.is_some() {
            self.catch_up.found();
        }
        let shower = from.unwrap_or(missing.run.key.node_id());
        let may_ask = self.addrs.contains_key(&shower);
        if !may_ask {
            self.gossip.sync_with_any(cx.moment());
        }
        self.ranges.want((shower, may_ask), missing, (cx.now, cx.now + after), cx.limits());
    }

    /// This node has compared its tips with this neighbour's: what is missing is asked of that one, too.
    fn compared(&mut self, cx: &Cx, peer: NodeId) {
        self.catch_up.compared(cx.now);
        // What it may hold does not make room for holes.
        self.ranges.compared(cx.now, peer, cx.limits());
        let holes = self.log.holes(self.ranges.next_hole(), cx.limits());
        self.ranges.note_holes(cx.now, peer, holes, cx.limits());
    }
}

/// Whether an entry is shown: this version knows its kind, and it was said where the user is (SPEC 7.9.1, 7.7.4).
fn is_for_the_user(entry: &Entry) -> bool {
    *entry.kind() == Kind::Text && is_of_the_lobby(entry.run())
}

/// Whether a run is of the lobby, where the user is.
fn is_of_the_lobby(run: &RunId) -> bool {
    run.room.is_none()
}

/// Drawn from another stream of the generator (ChaCha), so that whether batches are verified changes nothing else.
fn batch_seed(random: &ChaCha8Rng) -> [u8; 32] {
    let mut random = ChaCha8Rng::from_seed(random.get_seed());
    random.set_stream(1);
    let mut seed = [0; 32];
    random.fill_bytes(&mut seed);
    seed
}

/// Whether an entry with this date is history now: this node had not begun then, or it was long ago.
fn is_history(cx: &Cx, at: u64) -> bool {
    let old = u64::try_from(cx.limits().chat.history.as_millis()).unwrap_or(u64::MAX);
    let (began, wall) = (cx.began(), cx.wall());
    began.is_some_and(|began| at < began) || wall.is_some_and(|wall| at.saturating_add(old) < wall)
}

/// Names.
impl Chat {
    /// Whether another key had the name of the entry's author before. The user is told of it, at an interval.
    fn has_taken_name(&mut self, cx: &Cx, entry: &Entry) -> bool {
        if entry.via().is_some() || entry.author() == cx.identity.node_id() {
            return false;
        }
        let (name, key) = (entry.uname(), entry.key());
        if names::is_alike(name, cx.config.uname()) {
            // The user need not have said anything yet.
            self.names.heard(cx.now, name, cx.identity.key(), cx.limits());
        }
        let Some(taken) = self.names.heard(cx.now, name, key, cx.limits()) else { return false };
        self.counts.names_taken += 1;
        if taken.news {
            let (node_id, uname, holder) = (entry.author(), name.clone(), taken.holder.node_id());
            self.events.push_back(Event::NameTaken { node_id, uname, holder });
        }
        true
    }
}

/// The line of a frame.
fn encode(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}
