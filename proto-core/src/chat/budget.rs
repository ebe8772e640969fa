//! How much of an author, and of new authors, is taken, and from whom (SPEC 7.5, 9.15.6).

use super::log::SHARE;
use crate::model::{
    ChatLimits, Class, Entry, FreshBuckets, Instant, Limits, NodeId, PeerAtHost, PeerBuckets, TokenBucket,
    TokenBuckets, Unverified,
};

/// The rates of entries that no reconciliation showed.
#[derive(Debug)]
pub(super) struct Budgets {
    /// By author and kind of entry.
    authors: TokenBuckets<(NodeId, Budget)>,
    /// Of what is past.
    past: PeerBuckets,
    /// Of authors that are not known.
    newcomers: PeerBuckets,
}

/// Entries of an author that share one rate (SPEC 7.5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Budget {
    /// What is kept.
    Kept,
    /// What the author brings in for peers without a key.
    Lines,
    /// What is in no run.
    Live,
}

/// Whose rate an entry counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payer {
    /// Its author's.
    Author(NodeId, Budget),
    /// That of the neighbour that sent it, who can take what is past from anybody.
    Sender(PeerAtHost),
}

/// What an entry takes from the budgets once its signature was found to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dues {
    payer: Payer,
    /// The neighbour that sent it, if it would make an author known.
    newcomer_from: Option<PeerAtHost>,
    /// How many entries it counts as.
    cost: u32,
}

/// The budget that has no room for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Author,
    Newcomers,
}

impl Budgets {
    pub(super) fn new() -> Self {
        Self { authors: TokenBuckets::new(), past: PeerBuckets::default(), newcomers: PeerBuckets::default() }
    }

    /// Whether there is room for an entry with these dues once these others, of one sender, are paid.
    pub(super) fn check(
        &self,
        now: Instant,
        dues: Dues,
        others: &[Dues],
        limits: &Limits,
    ) -> Result<(), Over> {
        let new_before = cost_of(others.iter().filter(|other| other.newcomer_from.is_some()));
        let has_newcomer =
            |from| self.newcomers.has_behind(now, &from, (new_before, dues.cost), newcomers(&limits.chat));
        if dues.newcomer_from.is_some_and(|from| !has_newcomer(from)) {
            return Err(Over::Newcomers);
        }
        let before = cost_of(others.iter().filter(|other| other.payer == dues.payer));
        let costs = (before, dues.cost);
        let has_room = match dues.payer {
            Payer::Author(author, budget) => {
                self.authors.has_behind(now, &(author, budget), costs, entries(&limits.chat))
            }
            Payer::Sender(from) => self.past.has_behind(now, &from, costs, past(&limits.chat)),
        };
        if has_room { Ok(()) } else { Err(Over::Author) }
    }

    /// Takes what an entry costs whose signature holds. There was [room](Self::check) for it.
    pub(super) fn take(&mut self, now: Instant, dues: Dues, limits: &Limits) {
        let senders = limits.conns.slots.max(1);
        if let Some(from) = dues.newcomer_from {
            self.newcomers.charge(now, from, dues.cost, newcomers(&limits.chat), senders);
        }
        match dues.payer {
            Payer::Author(author, budget) => {
                let fresh = entries(&limits.chat);
                self.authors.charge(now, (author, budget), dues.cost, fresh, limits.chat.authors);
            }
            Payer::Sender(from) => self.past.charge(now, from, dues.cost, past(&limits.chat), senders),
        }
    }

    /// How many authors' rates are known.
    pub(super) fn authors(&self) -> usize {
        self.authors.len()
    }

    /// How many neighbours' or hosts' rates of new authors, or of what is past, are known, whichever are most.
    pub(super) fn senders(&self) -> usize {
        self.newcomers.len().max(self.past.len())
    }
}

impl Dues {
    /// Those of an entry that a neighbour sent. `known`: its author is.
    pub(super) fn of(entry: &Unverified<'_>, from: PeerAtHost, known: bool) -> Self {
        let budget = if entry.live_at().is_some() { Budget::Live } else { Budget::of(entry.class()) };
        // What is in no run makes no author known.
        let newcomer = !known && budget != Budget::Live;
        let newcomer_from = newcomer.then_some(from);
        Self { payer: Payer::Author(entry.author(), budget), newcomer_from, cost: cost(entry.line_len()) }
    }

    /// Those of an entry of no use in the window, which this neighbour sent. `known`: its author is.
    pub(super) fn of_past(entry: &Unverified<'_>, from: PeerAtHost, known: bool) -> Self {
        let newcomer_from = (!known).then_some(from);
        Self { payer: Payer::Sender(from), newcomer_from, cost: cost(entry.line_len()) }
    }

    /// Those of an entry of a run alone, whoever sent it.
    pub(super) fn of_author(entry: &Entry) -> Self {
        let payer = Payer::Author(entry.author(), Budget::of(entry.class()));
        Self { payer, newcomer_from: None, cost: cost(entry.sealed().line_len()) }
    }

    /// Those of an entry of no run.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.payer, Payer::Author(_, Budget::Live))
    }
}

impl Budget {
    /// That of the entries of a run of this class.
    fn of(class: &Class) -> Self {
        if *class == Class::Line { Self::Lines } else { Self::Kept }
    }
}

/// How many entries one of so many bytes counts as: long ones fill links as many short ones do.
fn cost(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(SHARE)).unwrap_or(u32::MAX)
}

fn cost_of<'a>(dues: impl Iterator<Item = &'a Dues>) -> u32 {
    dues.map(|dues| dues.cost).fold(0, u32::saturating_add)
}

fn entries(limits: &ChatLimits) -> TokenBucket {
    TokenBucket::per_second(limits.entries_per_second, limits.entries_burst)
}

fn past(limits: &ChatLimits) -> FreshBuckets {
    FreshBuckets::twice(entries(limits))
}

fn newcomers(limits: &ChatLimits) -> FreshBuckets {
    FreshBuckets::twice(TokenBucket::new(limits.new_authors_every, limits.new_authors_burst))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::chat::testing::{at, peer};

    /// How many entries with such dues have room, one behind the other, before any is paid.
    fn room(budgets: &Budgets, dues: impl Fn(u8) -> Dues, limits: &Limits) -> usize {
        let mut paid = Vec::new();
        (0..100)
            .map(dues)
            .filter(|dues| {
                let has_room = budgets.check(at(0), *dues, &paid, limits).is_ok();
                paid.extend(has_room.then_some(*dues));
                has_room
            })
            .count()
    }

    #[test]
    fn entries_behind_others_have_the_room_that_those_leave() {
        let limits = Limits::default().with(|limits| limits.chat.new_authors_burst = 40);
        let from = PeerAtHost { peer: peer(200), host: [192, 0, 2, 1].into() };
        let new = |n| {
            let payer = Payer::Author(peer(n), Budget::Kept);
            Dues { payer, newcomer_from: Some(from), cost: 1 }
        };
        let past = |_| Dues { payer: Payer::Sender(from), newcomer_from: None, cost: 1 };
        let by_one = |_| Dues { newcomer_from: None, ..new(1) };
        let mut budgets = Budgets::new();
        let rooms = |budgets: &Budgets| {
            [room(budgets, new, &limits), room(budgets, past, &limits), room(budgets, by_one, &limits)]
        };
        assert_eq!(rooms(&budgets), [40, 30, 30]);
        // One that costs more than a budget can hold has room in a full one, and is the only one that has.
        let long = |dues: Dues| Dues { cost: 50, ..dues };
        assert_eq!(room(&budgets, |n| long(new(n)), &limits), 1);
        assert_eq!(room(&budgets, |n| long(past(n)), &limits), 1);
        [new(1), past(1)].into_iter().for_each(|dues| budgets.take(at(0), dues, &limits));
        assert_eq!(rooms(&budgets), [39, 29, 29]);
    }
}
