//! A simulated network of [`Gossip`] alone, on a virtual clock.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::super::tree::Tree;
use super::super::{Arrival, EntryMeta, Gossip, Standing};
use crate::model::{EntryId, Identity, Instant, Limits, Moment, NetworkId, NodeId, below, uniform};
use crate::wire::{Frame, MAX_IHAVE};

/// A message in flight.
#[derive(Clone, Debug)]
enum Message {
    Frame(Frame<'static>),
    Entry(FakeEntry),
    /// Stands for a reconciliation: what the sender holds, and whether an answer is expected.
    Held(BTreeSet<EntryId>, bool),
}

/// Stands for an entry: what gossip knows of it, and how many links it has travelled.
#[derive(Clone, Copy, Debug)]
struct FakeEntry {
    id: EntryId,
    at: u64,
    author: NodeId,
    hops: u32,
}

/// A node of the network.
#[derive(Debug)]
struct Member {
    gossip: Gossip,
    identity: Identity,
    random: ChaCha8Rng,
    /// How far its wall clock is ahead, in milliseconds.
    skew: i64,
    held: BTreeMap<EntryId, FakeEntry>,
    /// It accepts entries and forwards none.
    withholds: bool,
    /// It advertises that it is next to the root.
    lies: bool,
    /// When it is woken next.
    wake: Option<Instant>,
}

/// What it cost to spread an entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// Copies received by all nodes.
    pub(super) copies: usize,
    /// Nodes that received it for the first time.
    pub(super) reached: usize,
    /// Links on the longest path of a first copy.
    pub(super) hops: u32,
    /// When the last first copy came.
    pub(super) last: Option<Instant>,
}

impl Cost {
    /// Copies per node beyond the first.
    pub(super) fn redundancy(&self) -> f64 {
        self.copies as f64 / self.reached.max(1) as f64 - 1.0
    }
}

/// The network.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) now: Instant,
    pub(super) limits: Limits,
    /// Milliseconds since the Unix epoch at the origin of time.
    pub(super) epoch: u64,
    pub(super) reconciles: bool,
    members: BTreeMap<NodeId, Member>,
    latency: BTreeMap<(NodeId, NodeId), Duration>,
    events: BTreeMap<(Instant, u64), Event>,
    numbered: u64,
    pub(super) random: ChaCha8Rng,
    pub(super) costs: BTreeMap<EntryId, Cost>,
    pub(super) frames: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Debug)]
enum Event {
    Arrive(NodeId, NodeId, Message),
    Wake(NodeId),
}

impl Network {
    pub(super) fn new(seed: u64, count: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let members = (0..count).map(|_| {
            let mut secret = [0; 32];
            random.fill_bytes(&mut secret);
            let identity = Identity::from_secret(&secret);
            let member = Member {
                gossip: Gossip::new(identity.key()),
                random: ChaCha8Rng::from_seed(secret),
                skew: 0,
                held: BTreeMap::new(),
                withholds: false,
                lies: false,
                wake: None,
                identity,
            };
            (member.identity.node_id(), member)
        });
        Self {
            now: Instant::ORIGIN,
            limits: Limits::default(),
            // A quarter of an hour into a period.
            epoch: 472_000 * 3_600_000 + 900_000,
            reconciles: true,
            members: members.collect(),
            latency: BTreeMap::new(),
            events: BTreeMap::new(),
            numbered: 0,
            random,
            costs: BTreeMap::new(),
            frames: BTreeMap::new(),
        }
    }

    /// A connected random graph: a ring, with random links added until each node has about `degree`.
    pub(super) fn random_graph(seed: u64, count: usize, degree: usize) -> Self {
        let mut network = Self::new(seed, count);
        let ids: Vec<_> = network.ids().collect();
        let mut order = ids.clone();
        for left in (1..count).rev() {
            order.swap(left, below(&mut network.random, left + 1));
        }
        for (index, id) in order.iter().enumerate() {
            network.link(*id, order[(index + 1) % count]);
        }
        while network.latency.len() < (count * degree).min(count * (count - 1)) {
            let (a, b) = (below(&mut network.random, count), below(&mut network.random, count));
            network.link(ids[a], ids[b]);
        }
        network
    }

    pub(super) fn full_mesh(seed: u64, count: usize) -> Self {
        Self::random_graph(seed, count, count)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.members.keys().copied().collect::<Vec<_>>().into_iter()
    }

    pub(super) fn random_id(&mut self) -> NodeId {
        let index = below(&mut self.random, self.members.len());
        *self.members.keys().nth(index).unwrap()
    }

    pub(super) fn neighbours(&self, of: NodeId) -> Vec<NodeId> {
        self.latency.keys().filter(|(from, _)| *from == of).map(|(_, to)| *to).collect()
    }

    pub(super) fn set_skew(&mut self, id: NodeId, millis: i64) {
        self.members.get_mut(&id).unwrap().skew = millis;
    }

    pub(super) fn withhold(&mut self, id: NodeId, lies: bool) {
        let member = self.members.get_mut(&id).unwrap();
        (member.withholds, member.lies) = (true, lies);
    }

    /// Links two nodes, with a latency of 10 to 50 ms.
    pub(super) fn link(&mut self, a: NodeId, b: NodeId) {
        if a == b || self.latency.contains_key(&(a, b)) {
            return;
        }
        let latency = Duration::from_millis(10) + uniform(&mut self.random, Duration::from_millis(40));
        for (from, to) in [(a, b), (b, a)] {
            self.latency.insert((from, to), latency);
            self.with(from, |member, moment| member.gossip.linked(moment, to));
        }
    }

    pub(super) fn unlink(&mut self, a: NodeId, b: NodeId) {
        for (from, to) in [(a, b), (b, a)] {
            if self.latency.remove(&(from, to)).is_some() {
                self.with(from, |member, moment| member.gossip.unlinked(moment, to));
            }
        }
    }

    pub(super) fn kill(&mut self, id: NodeId) {
        for peer in self.neighbours(id) {
            self.unlink(id, peer);
        }
        self.members.remove(&id);
    }

    pub(super) fn standing(&self, id: NodeId) -> Standing {
        let member = &self.members[&id];
        member.gossip.standing(self.moment(member.skew))
    }

    fn moment(&self, skew: i64) -> Moment<'_> {
        let wall = self.epoch + self.now.since_origin().as_millis() as u64;
        Moment {
            now: self.now,
            wall: Some(wall.saturating_add_signed(skew)),
            limits: &self.limits,
            network: NetworkId::OPEN,
        }
    }

    /// Calls a node, then drains it.
    fn with<T>(&mut self, id: NodeId, act: impl FnOnce(&mut Member, Moment<'_>) -> T) -> Option<T> {
        let mut member = self.members.remove(&id)?;
        let moment = self.moment(member.skew);
        let result = act(&mut member, moment);
        self.members.insert(id, member);
        self.drain(id);
        Some(result)
    }

    /// Runs what is due, and sends what follows, as a node does after each input.
    fn drain(&mut self, id: NodeId) {
        let Some(mut member) = self.members.remove(&id) else { return };
        let mut sent = Vec::new();
        let moment = self.moment(member.skew);
        let Member { gossip, identity, random, held, lies, .. } = &mut member;
        if gossip.deadline(moment).is_some_and(|(at, _)| at <= self.now) {
            gossip.timeout(moment, identity, random);
        }
        while let Some((to, mut frame)) = gossip.next_frame(moment) {
            if let Frame::Tree(claim) = &mut frame
                && *lies
                && claim.distance > 0
            {
                (claim.distance, claim.parent) = (1, Some(claim.root.node_id()));
            }
            sent.push((to, Message::Frame(frame)));
        }
        while let Some(peer) = gossip.due_for_sync(moment, random, |_| false) {
            if self.reconciles {
                sent.push((peer, Message::Held(held.keys().copied().collect(), true)));
            }
        }
        let next = gossip.deadline(moment);
        assert!(next.is_none_or(|(at, _)| at > self.now), "due again at once, at {}: {next:?}", self.now);
        assert!(!self.numbered.is_multiple_of(64) || gossip.is_consistent());
        if let Some((at, _)) = next
            && member.wake.is_none_or(|wake| wake > at || wake <= self.now)
        {
            member.wake = Some(at);
            self.schedule(at, Event::Wake(id));
        }
        self.members.insert(id, member);
        for (to, message) in sent {
            self.send(id, to, message);
        }
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        self.numbered += 1;
        self.events.insert((at, self.numbered), event);
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        let Some(latency) = self.latency.get(&(from, to)).copied() else { return };
        let kind = match &message {
            Message::Frame(Frame::Tree(_)) => "TREE",
            Message::Frame(Frame::Links(_)) => "LINKS",
            Message::Frame(Frame::Ihave(_)) => "IHAVE",
            Message::Frame(Frame::Graft(_)) => "GRAFT",
            Message::Frame(_) => "other",
            Message::Entry(_) => "CHAT",
            Message::Held(..) => "SYNC",
        };
        *self.frames.entry(kind).or_default() += 1;
        self.schedule(self.now + latency, Event::Arrive(from, to, message));
    }

    /// A node says something.
    pub(super) fn say(&mut self, author: NodeId) -> EntryId {
        let mut bytes = [0; 32];
        self.random.fill_bytes(&mut bytes);
        let id = EntryId::from_bytes(bytes);
        let at = self.moment(self.members[&author].skew).wall.unwrap();
        let entry = FakeEntry { id, at, author, hops: 0 };
        self.costs.insert(id, Cost::default());
        self.spread(None, author, entry);
        id
    }

    fn spread(&mut self, from: Option<NodeId>, by: NodeId, entry: FakeEntry) {
        let pushed = self.with(by, |member, moment| {
            let arrival: Arrival = member.gossip.arrived(moment, from, entry.id);
            member.held.insert(entry.id, entry);
            let FakeEntry { id, at, author, .. } = entry;
            let pushed = member.gossip.spread(moment, EntryMeta { id, at, author, from }, &arrival);
            if member.withholds { Vec::new() } else { pushed }
        });
        for to in pushed.into_iter().flatten() {
            self.send(by, to, Message::Entry(FakeEntry { hops: entry.hops + 1, ..entry }));
        }
    }

    fn arrive(&mut self, from: NodeId, to: NodeId, message: Message) {
        if !self.latency.contains_key(&(from, to)) {
            return;
        }
        match message {
            Message::Entry(entry) => self.entry_received(from, to, entry),
            Message::Held(theirs, answer) => self.compare(from, to, &theirs, answer),
            Message::Frame(Frame::Graft(ids)) => {
                let member = &self.members[&to];
                let asked = ids.iter().filter_map(|id| member.held.get(id)).filter(|_| !member.withholds);
                let asked: Vec<_> = asked.copied().collect();
                for entry in asked {
                    self.send(to, from, Message::Entry(FakeEntry { hops: entry.hops + 1, ..entry }));
                }
            }
            Message::Frame(frame) => {
                self.with(to, |member, moment| {
                    let held = &member.held;
                    match frame {
                        Frame::Tree(claim) => {
                            member.gossip.tree_received(moment, from, &claim).expect("an honest claim");
                        }
                        Frame::Links(links) => member.gossip.links_received(moment, from, &links),
                        Frame::Ihave(ids) => {
                            member.gossip.ihave_received(moment, from, &ids, |id| held.contains_key(id));
                        }
                        frame => panic!("{frame:?}"),
                    }
                });
                if self.members.values().all(|member| !member.lies) {
                    self.check_no_loop(to);
                }
            }
        }
    }

    fn entry_received(&mut self, from: NodeId, to: NodeId, entry: FakeEntry) {
        let cost = self.costs.entry(entry.id).or_default();
        cost.copies += 1;
        let member = self.members.get_mut(&to).unwrap();
        if member.held.contains_key(&entry.id) {
            member.gossip.duplicate_received(self.now, from, &entry.id);
            return self.drain(to);
        }
        cost.reached += 1;
        if !member.withholds {
            cost.hops = cost.hops.max(entry.hops);
            cost.last = Some(self.now);
        }
        self.spread(Some(from), to, entry);
    }

    /// Reconciles as a node does: the initiator requests what it lacks, and announces what the other lacks.
    fn compare(&mut self, from: NodeId, to: NodeId, theirs: &BTreeSet<EntryId>, answer: bool) {
        let ours: BTreeSet<_> = self.members[&to].held.keys().copied().collect();
        if answer {
            return self.send(to, from, Message::Held(ours, false));
        }
        let theirs_alone = theirs.difference(&ours).copied();
        self.with(to, |member, moment| member.gossip.fetch_tips(moment, from, theirs_alone));
        let ours_alone: Vec<_> = ours.difference(theirs).copied().collect();
        for ids in ours_alone.chunks(MAX_IHAVE) {
            self.send(to, from, Message::Frame(Frame::Ihave(ids.to_vec())));
        }
    }

    /// Checks that the path along parents from this node has no loop, as far as they have the same root.
    fn check_no_loop(&self, start: NodeId) {
        for period in self.members[&start].gossip.trees.periods() {
            let mut path = Vec::from([start]);
            let mut current = start;
            while let Some(tree) = self.members[&current].gossip.trees.of_period(period) {
                let Some(next) = tree.parent().filter(|next| self.members.contains_key(next)) else { break };
                let of_next = self.members[&next].gossip.trees.of_period(period);
                if of_next.and_then(Tree::root) != tree.root() {
                    break;
                }
                assert!(!path.contains(&next), "a loop at {}: {path:?} {next:?}", self.now);
                path.push(next);
                current = next;
            }
        }
    }

    pub(super) fn run_until(&mut self, until: Instant) {
        while let Some((&(at, number), _)) = self.events.first_key_value()
            && at <= until
        {
            self.now = self.now.max(at);
            match self.events.remove(&(at, number)) {
                Some(Event::Arrive(from, to, message)) => self.arrive(from, to, message),
                Some(Event::Wake(id)) => self.drain(id),
                None => {}
            }
        }
        self.now = self.now.max(until);
    }

    pub(super) fn run(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    /// The number of nodes.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The number of nodes that hold an entry.
    pub(super) fn holders(&self, id: EntryId) -> usize {
        self.members.values().filter(|member| member.held.contains_key(&id)).count()
    }

    /// The number of them that forward entries.
    pub(super) fn honest_holders(&self, id: EntryId) -> usize {
        self.members.values().filter(|member| !member.withholds && member.held.contains_key(&id)).count()
    }

    /// Whether all nodes have the same root, and all paths along parents lead to it.
    pub(super) fn is_one_tree(&self) -> bool {
        let standings: BTreeMap<_, _> = self.ids().map(|id| (id, self.standing(id))).collect();
        let roots: BTreeSet<_> = standings.values().map(|standing| standing.root).collect();
        let attached = standings.iter().all(|(id, standing)| match standing.parent {
            None => standing.root == Some(*id),
            Some(parent) => standings
                .get(&parent)
                .is_some_and(|above| above.children.contains(id) && above.distance < standing.distance),
        });
        roots.len() == 1 && !roots.contains(&None) && attached
    }

    /// The mean of a measure over these entries.
    pub(super) fn mean(&self, ids: &[EntryId], measure: impl Fn(&Cost) -> f64) -> f64 {
        ids.iter().map(|id| measure(&self.costs[id])).sum::<f64>() / ids.len().max(1) as f64
    }
}
