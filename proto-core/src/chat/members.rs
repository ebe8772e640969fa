//! The members: who says that it is here, and when this node says so (SPEC 9.19).

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use core::time::Duration;

use crate::model::{
    Instant, Limits, MAX_NUMBER, Member, MemberChange, MemberState, NodeId, Presence, PublicKey, TokenBucket,
    TokenBuckets,
};

/// So many intervals without a word make a member silent.
const MISSED: u32 = 3;

/// A member may say this often that it is here, and so many times at once: it comes, is linked, takes another name, leaves.
const WORD_EVERY: Duration = Duration::from_secs(10);
const WORDS_AT_ONCE: u32 = 4;

/// A date that is so far ahead of the wall clock, in milliseconds, shows that it was set back.
const SET_BACK: u64 = 5_000;

/// Who is here, as far as they say so, and who was.
#[derive(Debug)]
pub(super) struct Members {
    members: BTreeMap<NodeId, Known>,
    /// When each member that is here becomes silent. An index of `members`.
    silent_at: BTreeSet<(Instant, NodeId)>,
    /// Those that are away, the one that was heard longest ago first. An index of `members`.
    away: BTreeSet<(Instant, NodeId)>,
    /// Those that are unfamiliar, in the same order. An index of `members`.
    unfamiliar: BTreeSet<(Instant, NodeId)>,
    forgotten: u64,
    /// The rate of entries of no run from each neighbour.
    rates: TokenBuckets<NodeId>,
    /// When this node says that it is here.
    next: Option<Instant>,
    /// When it last said so.
    said: Option<Instant>,
    /// The date of that.
    dated: u64,
}

/// A member.
#[derive(Clone, Debug)]
struct Known {
    info: Arc<Member>,
    /// The date of what it said last.
    at: u64,
    heard: Instant,
    /// When it becomes silent. None: it is away.
    until: Option<Instant>,
    /// It was familiar when it was heard: see [`Word`].
    familiar: bool,
    /// How often it may say so.
    rate: TokenBucket,
}

/// Who says that it is here, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub(super) key: PublicKey,
    pub(super) at: u64,
    /// The date of what it said last, if that still counts. Nothing that is dated before is news.
    pub(super) before: Option<u64>,
    pub(super) presence: &'a Presence,
    /// It is a neighbour, or an author that is no longer new.
    pub(super) familiar: bool,
    /// The wall clock.
    pub(super) time: u64,
    /// When this node began, by the wall clock.
    pub(super) began: u64,
}

impl Members {
    pub(super) fn new() -> Self {
        Self {
            members: BTreeMap::new(),
            silent_at: BTreeSet::new(),
            away: BTreeSet::new(),
            unfamiliar: BTreeSet::new(),
            forgotten: 0,
            rates: TokenBuckets::new(),
            next: None,
            said: None,
            dated: 0,
        }
    }

    /// The members, in the order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.members.values().map(|known| &known.info)
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The number of unfamiliar members.
    #[cfg(test)]
    pub(super) fn unfamiliar(&self) -> usize {
        self.unfamiliar.len()
    }

    /// How many members were forgotten to make room.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Takes what a member says of itself. None: it is no news.
    pub(super) fn heard(
        &mut self,
        now: Instant,
        word: Word<'_>,
        limits: &Limits,
    ) -> Option<(Arc<Member>, MemberChange)> {
        let Word { key, at, before, presence: Presence { uname, since, every }, familiar, time, began } =
            word;
        if before.is_some_and(|before| at <= before) {
            return None;
        }
        let node_id = key.node_id();
        let before = self.members.get(&node_id).cloned();
        let state = if every.is_some() { MemberState::Here } else { MemberState::Left };
        let change = change(before.as_ref().map(|known| &*known.info), state, (*since, uname), began);
        if before.is_none() && (state == MemberState::Left || !self.make_room(familiar, limits)) {
            return None;
        }
        let info = Arc::new(Member::new(key, uname.clone(), *since, time, state));
        // Who knows as many members as there can be says so that often.
        let most = u32::try_from(limits.chat.members).unwrap_or(u32::MAX).max(Presence::LEAST);
        let until = every.map(|every| now + Duration::from_secs(every.min(most).into()) * MISSED);
        let mut rate = before.map_or(TokenBucket::new(WORD_EVERY, WORDS_AT_ONCE), |before| before.rate);
        rate.charge(now, 1);
        self.insert(Known { info: info.clone(), at, heard: now, until, familiar, rate });
        change.map(|change| (info, change))
    }

    /// The next member that is not heard any more.
    pub(super) fn next_silent(&mut self, now: Instant) -> Option<Arc<Member>> {
        let (_, node_id) = self.silent_at.first().copied().filter(|(at, _)| *at <= now)?;
        self.lost(node_id)
    }

    /// A member that is here is not heard any more. None: there is none.
    pub(super) fn lost(&mut self, node_id: NodeId) -> Option<Arc<Member>> {
        self.members.get(&node_id).filter(|known| known.until.is_some())?;
        let mut known = self.remove(node_id)?;
        Arc::make_mut(&mut known.info).state = MemberState::Silent;
        known.until = None;
        let info = known.info.clone();
        self.insert(known);
        Some(info)
    }

    /// The date of what a member said last.
    pub(super) fn dated(&self, node_id: NodeId) -> Option<u64> {
        self.members.get(&node_id).map(|known| known.at)
    }

    /// The key of a member.
    pub(super) fn key_of(&self, node_id: NodeId) -> Option<PublicKey> {
        self.members.get(&node_id).map(|known| known.info.key)
    }

    /// A member is not familiar any more: it shares the part of those who are not.
    pub(super) fn estrange(&mut self, node_id: NodeId, limits: &Limits) {
        let Some(known) = self.members.get(&node_id).filter(|known| known.familiar).cloned() else { return };
        self.insert(Known { familiar: false, ..known });
        if self.unfamiliar.len() > limits.chat.members.max(4) / 4
            && let Some((_, oldest)) = self.unfamiliar.first().copied()
        {
            self.forgotten += 1;
            self.remove(oldest);
        }
    }

    /// Makes room for one more: an unfamiliar one takes the place of another, once they have a quarter.
    fn make_room(&mut self, familiar: bool, limits: &Limits) -> bool {
        let most = limits.chat.members.max(4);
        let oldest = if !familiar && self.unfamiliar.len() >= most / 4 {
            self.unfamiliar.first()
        } else if self.members.len() >= most {
            self.away.first().or_else(|| self.unfamiliar.first())
        } else {
            return true;
        };
        let Some((_, node_id)) = oldest.copied() else { return false };
        self.forgotten += 1;
        self.remove(node_id);
        true
    }

    fn insert(&mut self, known: Known) {
        let node_id = known.info.node_id;
        self.remove(node_id);
        match known.until {
            Some(until) => self.silent_at.insert((until, node_id)),
            None => self.away.insert((known.heard, node_id)),
        };
        if !known.familiar {
            self.unfamiliar.insert((known.heard, node_id));
        }
        self.members.insert(node_id, known);
    }

    fn remove(&mut self, node_id: NodeId) -> Option<Known> {
        let known = self.members.remove(&node_id)?;
        match known.until {
            Some(until) => self.silent_at.remove(&(until, node_id)),
            None => self.away.remove(&(known.heard, node_id)),
        };
        self.unfamiliar.remove(&(known.heard, node_id));
        Some(known)
    }

    pub(super) fn is_consistent(&self) -> bool {
        let mut again = Self::new();
        self.members.values().for_each(|known| again.insert(known.clone()));
        (&self.silent_at, &self.away, &self.unfamiliar) == (&again.silent_at, &again.away, &again.unfamiliar)
    }
}

/// What this node says.
impl Members {
    /// A neighbour was linked: it is told soon that this node is here, unless everybody was told just now.
    pub(super) fn linked(&mut self, now: Instant) {
        let told = self.said.is_some_and(|said| now.since(said) < least());
        if !told {
            self.next = Some(now);
        }
    }

    /// The user's name has changed.
    pub(super) fn renamed(&mut self, now: Instant) {
        self.next = self.next.map(|_| now);
    }

    /// The date of what this node says of itself at this time: later than the one before, unless the wall clock was set back
    /// since. The dates of entries are no help: they may be far ahead until the user says something.
    pub(super) fn date(&mut self, time: u64) -> u64 {
        let set_back = self.dated > time.saturating_add(SET_BACK);
        self.dated = if set_back { time } else { time.max(self.dated + 1) }.min(MAX_NUMBER);
        self.dated
    }

    /// This node has told everybody that it is here, and so it is known to the others.
    pub(super) fn is_known(&self) -> bool {
        self.said.is_some()
    }

    /// In how many seconds this node says again that it is here: as many as there are members, so that a node hears about
    /// one a second.
    pub(super) fn interval(&self) -> u32 {
        let members = u32::try_from(self.silent_at.len() + 1).unwrap_or(u32::MAX);
        members.clamp(Presence::LEAST, Presence::MOST)
    }

    /// This node says now that it is here, and says so again a little earlier than it says, by a random part.
    pub(super) fn said(&mut self, now: Instant, random: u64) {
        self.said = Some(now);
        let millis = u64::from(self.interval()) * 1000;
        self.next = Some(now + Duration::from_millis(millis - random % (millis / 8)));
    }

    /// Whether it is time to say so.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// When something is due. `linked`: there is somebody to tell.
    pub(super) fn deadline(&self, linked: bool) -> Option<Instant> {
        let silent = self.silent_at.first().map(|(at, _)| *at);
        self.next.filter(|_| linked).into_iter().chain(silent).min()
    }
}

/// The rate a link.
impl Members {
    /// Whether a neighbour may send one more entry of no run, of this author, behind so many others. What a member says of itself on its own link
    /// takes nothing of the rate of that link, and a quarter of it is for those who are `familiar`: others cannot drown them.
    pub(super) fn has_room(
        &self,
        now: Instant,
        (from, author): (NodeId, NodeId),
        before: u32,
        familiar: impl FnOnce() -> bool,
        limits: &Limits,
    ) -> bool {
        let known = self.members.get(&author);
        if known.is_some_and(|known| known.rate.next_at(now) > now) {
            return false;
        }
        if from == author && known.is_some() {
            return true;
        }
        let least = if familiar() { 1 } else { 1 + limits.chat.live_burst / 4 };
        self.rates.has(now, &from, rate(limits), before.saturating_add(least))
    }

    /// A neighbour sent one.
    pub(super) fn take(&mut self, now: Instant, (from, author): (NodeId, NodeId), limits: &Limits) {
        if from != author || !self.members.contains_key(&author) {
            self.rates.take(now, from, rate(limits), limits.conns.slots.max(1));
        }
    }
}

fn rate(limits: &Limits) -> TokenBucket {
    TokenBucket::per_second(limits.chat.live_per_second, limits.chat.live_burst)
}

fn least() -> Duration {
    Duration::from_secs(Presence::LEAST.into())
}

/// What is new about a member that says that it is in this state.
fn change(
    before: Option<&Member>,
    state: MemberState,
    (since, uname): (u64, &crate::model::Name),
    began: u64,
) -> Option<MemberChange> {
    match (before.map(|before| before.state), state) {
        (None, MemberState::Here) if since < began => Some(MemberChange::Listed),
        (None | Some(MemberState::Left), MemberState::Here) => Some(MemberChange::Joined),
        (Some(MemberState::Silent), MemberState::Here) => Some(MemberChange::Back),
        (Some(MemberState::Here | MemberState::Silent), MemberState::Left) => Some(MemberChange::Left),
        (Some(MemberState::Here), MemberState::Here) => {
            let renamed = before.is_some_and(|before| before.uname != *uname);
            renamed.then_some(MemberChange::Renamed)
        }
        _ => None,
    }
}
