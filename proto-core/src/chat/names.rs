//! Who goes by which name. Names are free to choose, so a known name that comes with another key is marked (SPEC 9.10).
//!
//! Memory is bounded as in a segmented LRU cache (Karedla et al., 1994): uses of a name that were heard once make room
//! for each other in a quarter of it, so that a flood of keys does not push out the names of those who stay. Uses that have
//! settled make room as in an LRU cache only once they were not heard for days; until then, the newest one does.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::model::{Instant, KnownName, Limits, Name, PublicKey};

/// The names that authors have used, and by which keys.
#[derive(Debug, Default)]
pub(super) struct Names {
    uses: BTreeMap<UseId, Use>,
    users: BTreeMap<Folded, Users>,
    /// The names of each key, the one that was used last at the end.
    of_key: BTreeMap<PublicKey, Vec<Folded>>,
    /// Uses by when they were heard last: those that are new, and those that have settled.
    by_age: [BTreeMap<u64, UseId>; 2],
    /// Uses that have settled, by when they were heard first.
    settled: BTreeMap<u64, UseId>,
    /// A number for each hearing.
    next: u64,
    forgotten: u64,
    /// How often a use came, settled, or was forgotten.
    changes: u64,
}

/// A name without what the eye passes over: case, and white space.
type Folded = Arc<str>;

type UseId = (Folded, PublicKey);

/// A use that has settled and was heard within this time makes no room for one that settles.
const STAYS: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A key goes by a name.
#[derive(Debug)]
struct Use {
    /// As the author writes it.
    name: Name,
    /// The numbers of its first hearing and of its last.
    first: u64,
    last: u64,
    since: Instant,
    heard: Instant,
    settled: bool,
}

/// The keys that go by one name, as far as they are remembered.
#[derive(Debug, Default)]
struct Users {
    /// In the order in which they were first heard. The first one has the name.
    keys: Vec<PublicKey>,
    /// When this node's user was last told that another key took the name.
    told: Option<Instant>,
}

/// The name of an author belongs to another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) holder: PublicKey,
    /// The user was not told of this name lately.
    pub(super) news: bool,
}

impl Names {
    /// An author with this key goes by that name. Some: another key had it before.
    pub(super) fn heard(
        &mut self,
        now: Instant,
        name: &Name,
        key: PublicKey,
        limits: &Limits,
    ) -> Option<Taken> {
        let folded = fold(name);
        self.touch(now, &(folded.clone(), key), name, limits);
        self.bound(now, &key, limits);
        let users = self.users.get_mut(&folded)?;
        let holder = users.keys.first().copied().filter(|holder| *holder != key)?;
        let news = users.told.is_none_or(|told| now.since(told) >= limits.chat.name_told_every);
        if news {
            users.told = Some(now);
        }
        Some(Taken { holder, news })
    }

    /// A number that grows when a use comes, settles or is forgotten.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// What is to be kept: of one name, whoever has it first; and the least recently heard ones first.
    pub(super) fn remember(&self) -> Vec<KnownName> {
        let uses = self.users.iter().flat_map(|(name, users)| {
            let keys = users.keys.iter().enumerate();
            keys.filter_map(move |(nth, key)| Some((nth, self.uses.get(&(name.clone(), *key))?, *key)))
        });
        let mut order: Vec<_> = uses.collect();
        order.sort_by_key(|(nth, used, _)| (*nth, used.last));
        let known = |(_, used, key): (usize, &Use, PublicKey)| KnownName {
            uname: used.name.clone(),
            key,
            settled: used.settled,
        };
        order.into_iter().map(known).collect()
    }

    /// What was kept from an earlier start.
    pub(super) fn recall(&mut self, now: Instant, names: &[KnownName], limits: &Limits) {
        for known in names.iter().take(limits.chat.names) {
            let id = (fold(&known.uname), known.key);
            self.touch(now, &id, &known.uname, limits);
            if let Some(used) = self.uses.get_mut(&id).filter(|used| known.settled && !used.settled) {
                used.settled = true;
                self.by_age[0].remove(&used.last);
                self.settled.insert(used.first, id.clone());
                self.by_age[1].insert(used.last, id);
            }
            self.bound(now, &known.key, limits);
        }
    }

    /// How many uses are remembered.
    pub(super) fn len(&self) -> usize {
        self.uses.len()
    }

    /// The most names of one key.
    pub(super) fn most_of_key(&self) -> usize {
        self.of_key.values().map(Vec::len).max().unwrap_or(0)
    }

    /// Uses that had to make room.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Remembers that this use was heard just now.
    fn touch(&mut self, now: Instant, id: &UseId, written: &Name, limits: &Limits) {
        let tick = self.next;
        self.next += 1;
        let (name, key) = id;
        let used = self.uses.entry(id.clone()).or_insert_with(|| {
            self.users.entry(name.clone()).or_default().keys.push(*key);
            self.changes += 1;
            Use { name: written.clone(), first: tick, last: tick, since: now, heard: now, settled: false }
        });
        let was_settled = used.settled;
        self.by_age[usize::from(used.settled)].remove(&used.last);
        (used.last, used.heard) = (tick, now);
        used.settled |= now.since(used.since) >= limits.chat.name_settled;
        self.changes += u64::from(used.settled != was_settled);
        self.by_age[usize::from(used.settled)].insert(tick, id.clone());
        if used.settled {
            self.settled.insert(used.first, id.clone());
        }
        let names = self.of_key.entry(*key).or_default();
        names.retain(|other| other != name);
        names.push(name.clone());
    }

    /// Forgets what is too much: of this key, of those that have settled, and of those that are new.
    fn bound(&mut self, now: Instant, key: &PublicKey, limits: &Limits) {
        let names = self.of_key.get(key).filter(|names| names.len() > limits.chat.names_per_author);
        if let Some(name) = names.and_then(|names| names.first()).cloned() {
            self.forget(&(name, *key));
        }
        let new = limits.chat.names.div_ceil(4);
        while self.by_age[1].len() > limits.chat.names.saturating_sub(new)
            && let Some(id) = self.first_to_go(now)
            && let Some(used) = self.uses.get_mut(&id)
        {
            // It settles again when it is heard a while later.
            (used.settled, used.since) = (false, now);
            self.settled.remove(&used.first);
            self.by_age[1].remove(&used.last);
            self.by_age[0].insert(used.last, id);
        }
        while self.by_age[0].len() > new
            && let Some((_, id)) = self.by_age[0].first_key_value()
        {
            let id = id.clone();
            self.forget(&id);
        }
    }

    /// Which use that has settled makes room for another.
    fn first_to_go(&self, now: Instant) -> Option<UseId> {
        let (_, oldest) = self.by_age[1].first_key_value()?;
        let stays = self.uses.get(oldest).is_some_and(|used| now.since(used.heard) < STAYS);
        let newest = self.settled.last_key_value().map(|(_, id)| id).filter(|_| stays);
        Some(newest.unwrap_or(oldest).clone())
    }

    fn forget(&mut self, id: &UseId) {
        let Some(used) = self.uses.remove(id) else { return };
        if used.settled {
            self.settled.remove(&used.first);
        }
        let (name, key) = id;
        self.forgotten += 1;
        self.changes += 1;
        self.by_age[usize::from(used.settled)].remove(&used.last);
        if let Some(names) = self.of_key.get_mut(key) {
            names.retain(|other| other != name);
            if names.is_empty() {
                self.of_key.remove(key);
            }
        }
        if let Some(users) = self.users.get_mut(name) {
            users.keys.retain(|other| other != key);
            if users.keys.is_empty() {
                self.users.remove(name);
            }
        }
    }

    /// Whether all indexes match what they index.
    pub(super) fn is_consistent(&self) -> bool {
        let aged =
            |used: &Use, id: &UseId| self.by_age[usize::from(used.settled)].get(&used.last) == Some(id);
        let known = |(name, key): &UseId| {
            self.users.get(name).is_some_and(|users| users.keys.contains(key))
                && self.of_key.get(key).is_some_and(|names| names.contains(name))
        };
        let len = self.uses.len();
        self.uses.iter().all(|(id, used)| aged(used, id) && known(id))
            && self.by_age.iter().map(BTreeMap::len).sum::<usize>() == len
            && self.settled.len() == self.by_age[1].len()
            && self
                .settled
                .iter()
                .all(|(first, id)| self.uses.get(id).is_some_and(|used| used.settled && used.first == *first))
            && self.users.values().map(|users| users.keys.len()).sum::<usize>() == len
            && self.of_key.values().map(Vec::len).sum::<usize>() == len
    }
}

/// Whether two names look alike.
pub(super) fn is_alike(one: &Name, other: &Name) -> bool {
    fold(one) == fold(other)
}

fn fold(name: &Name) -> Folded {
    let text: String =
        name.as_str().chars().filter(|char| !char.is_whitespace()).flat_map(char::to_lowercase).collect();
    // A name of white space alone stays what it is.
    if text.is_empty() { name.as_str().to_owned().into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::chat::testing::secs;
    use crate::model::Identity;

    fn key(n: u16) -> PublicKey {
        let mut secret = [0; 32];
        secret[..2].copy_from_slice(&n.to_be_bytes());
        Identity::from_secret(&secret).key()
    }

    fn name(text: &str) -> Name {
        Name::cut(text).unwrap()
    }

    fn at(time: Duration) -> Instant {
        Instant::from_origin(time)
    }

    fn limits(names: usize) -> Limits {
        Limits::default().with(|limits| limits.chat.names = names)
    }

    #[test]
    fn a_name_belongs_to_the_key_that_had_it_first() {
        let (mut names, limits) = (Names::default(), Limits::default());
        let now = Instant::ORIGIN;
        assert_eq!(names.heard(now, &name("Alice"), key(1), &limits), None);
        assert_eq!(names.heard(now, &name("Bob"), key(2), &limits), None);
        let taken = |news| Some(Taken { holder: key(1), news });
        assert_eq!(names.heard(now, &name("Alice"), key(2), &limits), taken(true));
        assert_eq!(names.heard(now, &name("al ICE"), key(3), &limits), taken(false), "it looks alike");
        assert_eq!(names.heard(now, &name("Alice"), key(1), &limits), None);
        let later = now + limits.chat.name_told_every;
        assert_eq!(names.heard(later, &name("Alice"), key(2), &limits), taken(true));
        assert!(names.is_consistent());
    }

    #[test]
    fn the_user_is_told_of_a_name_at_an_interval() {
        let (mut names, limits) = (Names::default(), Limits::default());
        let every = limits.chat.name_told_every;
        names.heard(Instant::ORIGIN, &name("Alice"), key(1), &limits);
        let mut news = |time, n| names.heard(at(time), &name("Alice"), key(n), &limits).unwrap().news;
        assert!(news(Duration::ZERO, 2));
        assert!(!news(every - Duration::from_nanos(1), 3));
        assert!(news(every, 4));
    }

    #[test]
    fn a_key_has_a_few_names_and_the_one_used_longest_ago_is_forgotten() {
        let limits = Limits::default();
        for more in [0, 1] {
            let mut names = Names::default();
            for n in 0..limits.chat.names_per_author + more {
                names.heard(Instant::ORIGIN, &name(&alloc::format!("name {n}")), key(1), &limits);
            }
            assert_eq!((names.len(), names.forgotten()), (limits.chat.names_per_author, more as u64));
            let taken = names.heard(Instant::ORIGIN, &name("name 0"), key(2), &limits);
            assert_eq!(taken.is_some(), more == 0);
            assert!(names.is_consistent());
        }
    }

    #[test]
    fn keys_that_are_new_push_out_each_other_alone() {
        let limits = limits(16);
        for (wait, known) in [(limits.chat.name_settled, true), (limits.chat.name_settled - secs(1), false)] {
            let mut names = Names::default();
            names.heard(Instant::ORIGIN, &name("Alice"), key(1), &limits);
            names.heard(at(wait), &name("Alice"), key(1), &limits);
            for n in 0..1_000 {
                names.heard(at(wait), &name(&alloc::format!("{n}")), key(2 + n), &limits);
                assert!(names.len() <= 5 && names.is_consistent());
            }
            let taken = names.heard(at(wait), &name("Alice"), key(2), &limits);
            assert_eq!(taken.is_some(), known, "{wait:?}");
        }
    }

    #[test]
    fn many_that_settle_do_not_push_out_a_name_that_was_heard_within_days() {
        let limits = limits(16);
        for (silent, known) in [(secs(3_600), true), (STAYS + secs(60), false)] {
            let mut names = Names::default();
            for time in [Duration::ZERO, limits.chat.name_settled] {
                names.heard(at(time), &name("Alice"), key(1), &limits);
            }
            for n in 0..100 {
                for time in [silent, silent + limits.chat.name_settled] {
                    names.heard(at(time), &name(&alloc::format!("{n}")), key(2 + n), &limits);
                    assert!(names.len() <= 16 && names.is_consistent());
                }
            }
            let taken = names.heard(at(silent * 2), &name("Alice"), key(200), &limits);
            assert_eq!(taken.is_some(), known, "{silent:?}");
        }
    }

    #[test]
    fn so_many_uses_are_remembered() {
        let limits = limits(16);
        let mut names = Names::default();
        for round in [Duration::ZERO, limits.chat.name_settled] {
            for n in 0..100 {
                for time in [round, round + limits.chat.name_settled] {
                    names.heard(at(time), &name(&alloc::format!("{n}")), key(n), &limits);
                }
            }
        }
        assert_eq!((names.len(), names.forgotten()), (limits.chat.names, 172));
        assert!(names.is_consistent());
    }

    #[test]
    fn when_the_first_user_of_a_name_is_forgotten_the_next_one_has_it() {
        let limits = limits(8);
        let mut names = Names::default();
        for n in 1..=3 {
            names.heard(Instant::ORIGIN, &name("Alice"), key(n), &limits);
        }
        let taken = names.heard(Instant::ORIGIN, &name("Alice"), key(3), &limits);
        assert_eq!(taken.map(|taken| taken.holder), Some(key(2)));
        assert!(names.is_consistent());
    }
}
