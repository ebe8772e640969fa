//! What has to hold at every step and at the end of a run.

mod dials;
mod end;
mod fairness;
mod forks;
mod links;
mod members;
mod parts;
mod rule;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use proto_core::{
    Action, Capacity, ChatText, ConnId, Entry, EntryId, Input, Limits, Marks, Message, Node, NodeId,
    OwnPosition, Place, PublicKey, Record, RunId, SayId, Violation,
};

use super::host::Host;
use super::{HostId, Nanos};
use crate::bounds;
use crate::store::MemoryStore;

use dials::Dials;
use links::Links;
pub use parts::parts;
pub use rule::{Breach, Rule};

/// Timeouts of one node at one point in time, and within a second, that mean that it does not sleep.
const TIMEOUTS: (u32, u32) = (64, 5_000);

/// How long after it was said a line that comes by two ways is known to be one.
const MATCHED: Nanos = 50_000_000_000;

/// How full its capacities are is looked at after so many steps of a node. Looking at all of them is slow.
const LOOKED_AT: u32 = 8;

/// Actions that may follow one input, beside one for each byte that came in.
const ACTIONS: u64 = 4_096;

/// Watches the nodes of a world.
#[derive(Debug, Default)]
pub struct Checker {
    /// Whose keys the honest nodes have, or had.
    keys: HashMap<PublicKey, HostId>,
    /// The ids that follow from these keys.
    ids: HashSet<NodeId>,
    /// The ids that version 1 nodes go by.
    speakers: BTreeMap<NodeId, HostId>,
    /// What users of honest nodes said, in entries.
    said: HashMap<EntryId, HostId>,
    /// What honest nodes said, and others have heard or its user was told of, by its number.
    numbers: HashMap<(RunId, u64), EntryId>,
    /// Runs in which an honest node went on from an older copy of its store: they may be forked.
    repeated: BTreeSet<(PublicKey, u64)>,
    /// What became of what users said on nodes with stores.
    sayings: BTreeMap<(HostId, SayId), Vec<Arc<Entry>>>,
    /// What users said, line by line; the lines of a run differ.
    lines: HashMap<Arc<str>, Said>,
    /// Whether some clock was ever wrong, or was moved by who dates entries ahead.
    clocks_were_wrong: bool,
    /// The true time at the beginning, in milliseconds since the Unix epoch.
    epoch_ms: u64,
    /// To whom somebody has spoken that was behind with what these had said.
    unaware: BTreeSet<HostId>,
    /// Who knows whom version 1 nodes are linked to.
    links: BTreeMap<HostId, Links>,
    /// Ends of connections on which the `JOIN` of an actor comes.
    greeted: HashSet<ConnId>,
    views: BTreeMap<HostId, View>,
    /// Nodes have no room for all that is said: they may forget it.
    forgiving: bool,
    /// Logs are full, and who has to give way is looked at.
    shares: bool,
    /// How full capacities became, in percent of their bounds.
    fills: BTreeMap<Capacity, u64>,
    breach: Option<Breach>,
    /// Messages that nodes have shown.
    pub shown: u64,
}

/// Who said a line, and when.
#[derive(Clone, Copy, Debug)]
struct Said {
    host: HostId,
    at: Nanos,
}

/// What one node has shown since its start.
#[derive(Debug, Default)]
struct View {
    honest: bool,
    limits: Limits,
    entries: HashSet<EntryId>,
    lines: HashSet<Arc<str>>,
    /// The newest entry that was shown, by run.
    newest: HashMap<RunId, u64>,
    /// Entries of honest authors, its own included, in the order of the conversation.
    conversation: BTreeMap<Place, EntryId>,
    /// Said here since the node was started, or acknowledged as stored before, if it has its store.
    own: BTreeSet<Place>,
    /// Acknowledged as stored.
    stored: BTreeMap<Place, EntryId>,
    actions: u64,
    allowed: u64,
    dials: Dials,
    timeouts: Timeouts,
    /// The most that was seen in each capacity, in their order.
    most: Vec<usize>,
    /// How often the node had done what it wanted to do.
    steps: u32,
    looked: u64,
}

/// How often a node was woken.
#[derive(Debug, Default)]
struct Timeouts {
    at: Nanos,
    here: u32,
    second: u64,
    within: u32,
}

impl Checker {
    /// For nodes that have no room for all that is said: what follows from having forgotten something is not looked for.
    pub fn forgiving() -> Self {
        Self { forgiving: true, ..Self::default() }
    }

    /// For nodes whose logs are full: nobody may lose entries to an author that holds far more.
    pub fn of_shares() -> Self {
        Self { shares: true, ..Self::forgiving() }
    }

    /// Whether something was found.
    pub fn has_breach(&self) -> bool {
        self.breach.is_some()
    }

    /// How full capacities became, in percent of their bounds.
    pub fn fills(&self) -> &BTreeMap<Capacity, u64> {
        &self.fills
    }

    /// What was found first.
    pub fn breach(&self) -> Option<&Breach> {
        self.breach.as_ref()
    }

    /// A version 1 node runs on this host, under this id.
    pub fn speaks_version_1(&mut self, host: HostId, node_id: NodeId) {
        self.speakers.insert(node_id, host);
        // It has printed nothing yet, whatever one before it has.
        self.views.remove(&host);
        self.unaware.remove(&host);
        self.links.insert(host, Links::new(node_id));
    }

    /// The limits that a host's node is held to.
    pub fn limits_mut(&mut self, host: HostId) -> Option<&mut Limits> {
        self.views.get_mut(&host).map(|view| &mut view.limits)
    }

    fn found(&mut self, at: Nanos, rule: Rule, what: impl Into<String>) {
        self.breach.get_or_insert_with(|| Breach { at, rule, what: what.into() });
    }

    /// A node starts on a host. `store`: what it has of before, and whether that is what was committed last.
    pub(super) fn started(
        &mut self,
        index: HostId,
        now: Nanos,
        host: &Host,
        store: Option<(&MemoryStore, bool)>,
    ) {
        if host.honest {
            self.keys.insert(host.key(), index);
            self.ids.insert(host.key().node_id());
        }
        self.epoch_ms = host.clock.epoch_ms;
        self.links.values_mut().for_each(|links| links.left(index, host.started));
        let mut view = View {
            honest: host.honest,
            limits: host.limits.clone(),
            // It may dial whom it knew.
            allowed: ACTIONS,
            ..View::default()
        };
        let before = self.views.remove(&index);
        // It numbers what its user says anew.
        self.sayings.retain(|(host, _), _| *host != index);
        if let Some((store, whole)) = store {
            self.remember(&mut view, store);
            if let Some(before) = before.filter(|_| whole) {
                if let Some((place, _)) = before.stored.iter().find(|(_, id)| !store.contains(id)) {
                    let what = format!("host {index} lost {}", self.name(place));
                    self.found(now, Rule::Durable, what);
                }
                (view.own, view.stored) = (before.stored.keys().copied().collect(), before.stored);
            }
        }
        self.views.insert(index, view);
    }

    /// A node starts with an older copy of its store and goes on at these positions, which it takes for its latest ones.
    pub(super) fn goes_on_from_a_copy(&mut self, key: PublicKey, own: &[OwnPosition]) {
        self.repeated.extend(own.iter().map(|own| (key, own.epoch)));
    }

    /// Whether no number of this run was used twice.
    fn is_whole(&self, place: &Place) -> bool {
        !self.repeated.contains(&(place.key, place.epoch))
    }

    /// What is in its store was shown by a node, as far as its user can tell.
    fn remember(&self, view: &mut View, store: &MemoryStore) {
        for entry in store.entries() {
            view.entries.insert(entry.id());
            if entry.via().is_none() && self.keys.contains_key(&entry.key()) {
                view.conversation.insert(entry.place(), entry.id());
            }
        }
    }

    /// An entry of an honest node went out.
    fn went_out(&mut self, index: HostId, now: Nanos, entry: &Entry) {
        let before = self.numbers.insert((entry.run().clone(), entry.seq()), entry.id());
        if before.is_some_and(|before| before != entry.id()) && self.is_whole(&entry.place()) {
            let what = format!("host {index} said {} again", self.name(&entry.place()));
            self.found(now, Rule::NumberedOnce, what);
        }
    }

    /// What a user said is on its way.
    fn acknowledged(&mut self, index: HostId, now: Nanos, id: SayId, entries: &[Arc<Entry>], stored: bool) {
        self.said(index, now, &[], entries);
        self.sayings.insert((index, id), entries.to_vec());
        if let Some(view) = self.views.get_mut(&index).filter(|_| stored) {
            view.stored.extend(entries.iter().map(|entry| (entry.place(), entry.id())));
        }
    }

    /// What became of what a user said on a node with a store. None: that is not known yet.
    pub fn became_of(&self, host: HostId, id: SayId) -> Option<&[Arc<Entry>]> {
        self.sayings.get(&(host, id)).map(Vec::as_slice)
    }

    pub(super) fn said(&mut self, index: HostId, now: Nanos, texts: &[ChatText], entries: &[Arc<Entry>]) {
        for text in texts {
            self.said_line(index, now, text.as_str());
        }
        // Hybrid logical clocks follow those that they hear.
        let true_ms = self.epoch_ms + now / 1_000_000;
        self.clocks_were_wrong |= entries.iter().any(|entry| entry.at() > true_ms + 1_000);
        for entry in entries {
            self.said.insert(entry.id(), index);
            self.went_out(index, now, entry);
        }
        let Some(view) = self.views.get_mut(&index) else { return };
        for entry in entries {
            view.entries.insert(entry.id());
            view.conversation.insert(entry.place(), entry.id());
            view.own.insert(entry.place());
        }
    }

    pub(super) fn said_line(&mut self, index: HostId, now: Nanos, text: &str) {
        self.lines.insert(text.into(), Said { host: index, at: now });
    }

    /// Some clock is set.
    pub(super) fn set_clock(&mut self, ahead_ms: i64) {
        self.clocks_were_wrong |= ahead_ms.unsigned_abs() > 1_000;
    }

    /// Whether a line of a version 1 node that comes again now has to be known again: what comes by two ways is matched
    /// by time.
    fn is_matched(&self, said: Said, now: Nanos) -> bool {
        !self.forgiving && !self.clocks_were_wrong && now.saturating_sub(said.at) < MATCHED
    }

    /// A node speaks to this host that has not read what it said a while ago, as who else it is linked to.
    pub(super) fn speaks_unaware(&mut self, to: HostId) {
        self.unaware.insert(to);
    }

    /// A version 1 node printed a line that came from that host. Which nodes speak for others follows from what it says of
    /// its links: where that gets lost or takes long, two may.
    pub(super) fn printed(&mut self, index: HostId, now: Nanos, from: Option<HostId>, line: &str) {
        // Who speaks for somebody else puts the name before the text.
        let text = line.rsplit_once(": ").map_or(line, |(_, text)| text);
        let Some((text, said)) = self.lines.get_key_value(text).map(|(text, said)| (text.clone(), *said))
        else {
            return;
        };
        let mut matched = self.is_matched(said, now) && !self.unaware.contains(&index);
        if let Some(links) = self.links.get_mut(&index) {
            from.into_iter().for_each(|teller| links.told(&text, teller));
            // The line of a version 1 node is told by when it was brought in.
            let lines_signed = self.speakers.values().any(|speaker| *speaker == said.host);
            let until = if lines_signed { now } else { said.at };
            matched &= links.could_know(&text, said.at..=until, now);
        }
        if !self.views.entry(index).or_default().lines.insert(text) && matched {
            self.found(now, Rule::ShownOnce, format!("version 1 host {index} prints {line:?} again"));
        }
    }

    /// The node is about to be asked something.
    pub(super) fn asked(&mut self, index: HostId) {
        if let Some(view) = self.views.get_mut(&index) {
            (view.actions, view.allowed) = (0, ACTIONS);
        }
    }

    /// The node is about to be told something.
    pub(super) fn told(&mut self, index: HostId, now: Nanos, input: &Input<'_>) {
        let Some(view) = self.views.get_mut(&index) else { return };
        let bytes = if let Input::Received { bytes, .. } = input { bytes.len() as u64 } else { 0 };
        (view.actions, view.allowed) = (0, ACTIONS + bytes);
        if *input == Input::Timeout && !view.timeouts.count(now) {
            self.found(now, Rule::Sleeps, format!("host {index} is woken again and again"));
        }
    }

    pub(super) fn action(&mut self, index: HostId, now: Nanos, action: &Action) {
        let Some(view) = self.views.get_mut(&index).filter(|view| view.honest) else { return };
        view.actions += 1;
        if view.actions > view.allowed {
            self.found(now, Rule::Sleeps, format!("host {index} does not stop acting on one input"));
            return;
        }
        match action {
            Action::Deliver(message) => self.delivered(index, now, message),
            Action::Store { record: Record::Own(entry), .. } if entry.via().is_none() => {
                // It may be committed and come to others after a crash, without an acknowledgement.
                self.said.insert(entry.id(), index);
            }
            Action::Said { id, entries, stored } => self.acknowledged(index, now, *id, entries, *stored),
            Action::Dial { addr, .. } => self.dialed(index, now, *addr),
            Action::RegisterPeer(peer) => {
                self.links_of(peer.node_id).into_iter().for_each(|links| links.came(index));
            }
            Action::UnregisterPeer { peer, .. } => {
                self.links_of(peer.node_id).into_iter().for_each(|links| links.left(index, now));
            }
            _ => {}
        }
    }

    fn delivered(&mut self, index: HostId, now: Nanos, message: &Message) {
        self.shown += 1;
        match message {
            Message::Line { peer, text } => self.showed_line(index, now, peer.node_id, text),
            Message::Entry { entry, marks } => {
                self.showed(index, now, entry, *marks);
                if self.keys.contains_key(&entry.key()) && marks.forked && self.is_whole(&entry.place()) {
                    let what = format!("host {index} shows a fork of an honest author");
                    self.found(now, Rule::NotForged, what);
                }
            }
            other => panic!("unknown message: {other:?}"),
        }
    }

    /// A node reports a peer, which is honest.
    pub(super) fn blamed(&mut self, index: HostId, now: Nanos, peer: HostId, violation: Violation) {
        let befalls = matches!(
            violation,
            // Greetings that time or another connection overtook.
            Violation::BeforeJoin
                | Violation::BeforeProof
                | Violation::NoGreeting
                | Violation::ClaimsOurId
                | Violation::ClaimsPeersId
        );
        if !befalls {
            self.found(now, Rule::JustlyBlamed, format!("host {index} says of host {peer}: {violation}"));
        }
    }

    fn showed_line(&mut self, index: HostId, now: Nanos, speaker: NodeId, text: &str) {
        let said = self.lines.get_key_value(text).map(|(text, said)| (text.clone(), *said));
        let matched = said.as_ref().is_some_and(|(_, said)| self.is_matched(*said, now));
        let honest = self.ids.contains(&speaker) || self.speakers.contains_key(&speaker);
        let Some(view) = self.views.get_mut(&index) else { return };
        match said {
            Some((text, _)) if !view.lines.insert(text.clone()) && matched => {
                self.found(now, Rule::ShownOnce, format!("host {index} shows {text:?} again"));
            }
            Some((text, Said { host, .. }))
                if self.speakers.get(&speaker).is_some_and(|speaker| *speaker != host) =>
            {
                self.found(now, Rule::NotForged, format!("host {index} shows {text:?} as another's"));
            }
            Some(_) => {}
            // Whoever has no key may say what it likes, but not in the name of one that we know.
            None if honest => {
                self.found(now, Rule::NotForged, format!("host {index} shows {text:?}, which nobody said"));
            }
            None => {}
        }
    }

    fn showed(&mut self, index: HostId, now: Nanos, entry: &Entry, marks: Marks) {
        let author = self.keys.get(&entry.key()).copied();
        let name = format_args!("{} {}/{}", entry.author().short(), entry.epoch(), entry.seq()).to_string();
        // A run that is forked has the same number again when all of it is forgotten.
        let may_be_forked = author.is_none() || !self.is_whole(&entry.place());
        let forgotten = self.forgiving && may_be_forked;
        let Some(view) = self.views.get_mut(&index) else { return };
        if !view.entries.insert(entry.id()) {
            return self.found(now, Rule::ShownOnce, format!("host {index} shows {name} again"));
        }
        let newest = view.newest.entry(entry.run().clone()).or_insert(0);
        // One more than the number, so that nothing shown is below what is shown first.
        let number = entry.seq() + 1;
        if number <= *newest && !(marks.late || marks.forked) && !forgotten {
            let newest = *newest - 1;
            return self.found(
                now,
                Rule::InOrder,
                format!("host {index} shows {name} after {newest}, not as late"),
            );
        }
        *newest = number.max(*newest);
        // What version 1 nodes say reaches some as a line and others as an entry: each text once.
        if let Some(via) = entry.via() {
            let texts = entry.texts().enumerate().filter(|(text, _)| !marks.repeated.contains(*text));
            texts.for_each(|(_, text)| self.showed_line(index, now, via.node_id, text));
            return;
        }
        if author.is_some() && !self.said.contains_key(&entry.id()) {
            return self.found(
                now,
                Rule::NotForged,
                format!("host {index} shows {name}, which was not said"),
            );
        }
        if let Some(author) = author {
            self.went_out(author, now, entry);
        }
        if let (Some(_), Some(view)) = (author, self.views.get_mut(&index)) {
            view.conversation.insert(entry.place(), entry.id());
        }
    }

    /// The node has done what it wanted to do.
    pub(super) fn settled(&mut self, index: HostId, now: Nanos, node: &Node) {
        let Some(view) = self.views.get_mut(&index).filter(|view| view.honest) else { return };
        view.steps = view.steps.wrapping_add(1);
        let mut broken = None;
        if view.steps.is_multiple_of(LOOKED_AT) {
            let capacities: Vec<_> = node.capacities().collect();
            broken = bounds::over(capacities.iter().copied(), &view.limits);
            view.most.resize(capacities.len(), 0);
            for (&(capacity, holds), most) in
                capacities.iter().zip(&mut view.most).filter(|((_, holds), most)| holds > *most)
            {
                *most = holds;
                let percent = (holds * 100).div_ceil(capacity.bound(&view.limits).max(1)) as u64;
                let fill = self.fills.entry(capacity).or_default();
                *fill = percent.max(*fill);
            }
        }
        // What takes longer to look at than the step, now and again.
        let second = now / 1_000_000_000;
        if second % 10 == u64::from(index) % 10 && std::mem::replace(&mut view.looked, second) != second {
            broken = broken.or_else(|| bounds::at_odds(node, &node.status()));
        }
        if let Some(broken) = broken {
            self.found(now, Rule::Bounded, format!("host {index}: {broken}"));
        }
    }

    fn name(&self, place: &Place) -> String {
        let host = self.keys.get(&place.key).map_or_else(String::new, |host| format!("host {host}'s "));
        format!("{host}{}/{} of {}", place.epoch, place.seq, place.at)
    }

    /// Whether a host's node has shown or said this.
    pub fn has_shown(&self, host: HostId, id: EntryId) -> bool {
        self.views.get(&host).is_some_and(|view| view.entries.contains(&id))
    }

    /// Whether a host has shown a line of a version 1 node, or is one that has printed it.
    pub fn has_line(&self, host: HostId, text: &str) -> bool {
        self.views.get(&host).is_some_and(|view| view.lines.contains(text))
    }

    /// Whether every clock has been right all the time.
    pub fn clocks_were_right(&self) -> bool {
        !self.clocks_were_wrong
    }

    /// The ids that version 1 nodes go by or went by, and where.
    pub fn speakers(&self) -> impl Iterator<Item = (NodeId, HostId)> {
        self.speakers.iter().map(|(id, host)| (*id, *host))
    }

    /// Entries of honest authors that a host shows.
    pub fn shows(&self, host: HostId) -> usize {
        self.views.get(&host).map_or(0, |view| view.conversation.len())
    }
}

impl Timeouts {
    /// Whether the node may be woken now.
    fn count(&mut self, now: Nanos) -> bool {
        let second = now / 1_000_000_000;
        self.here = if self.at == now { self.here + 1 } else { 1 };
        self.within = if self.second == second { self.within + 1 } else { 1 };
        (self.at, self.second) = (now, second);
        self.here <= TIMEOUTS.0 && self.within <= TIMEOUTS.1
    }
}
