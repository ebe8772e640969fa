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

    /// Whether there is room for an entry with these dues, behind others that cost so much of the same payer's budget.
    pub(super) fn check(&self, now: Instant, dues: Dues, others: u32, limits: &Limits) -> Result<(), Over> {
        let newcomer_at = |from| self.newcomers.next_many_at(now, &from, dues.cost, newcomers(&limits.chat));
        if dues.newcomer_from.is_some_and(|from| newcomer_at(from) > now) {
            return Err(Over::Newcomers);
        }
        let cost = others.saturating_add(dues.cost);
        let at = match dues.payer {
            Payer::Author(author, budget) => {
                self.authors.next_many_at(now, &(author, budget), cost, entries(&limits.chat))
            }
            Payer::Sender(from) => self.past.next_many_at(now, &from, cost, past(&limits.chat)),
        };
        if at <= now { Ok(()) } else { Err(Over::Author) }
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

    /// How many entries it counts as.
    pub(super) fn cost(self) -> u32 {
        self.cost
    }

    /// Whether both take from one payer's budget.
    pub(super) fn has_payer_of(self, other: Self) -> bool {
        self.payer == other.payer
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

fn entries(limits: &ChatLimits) -> TokenBucket {
    TokenBucket::per_second(limits.entries_per_second, limits.entries_burst)
}

fn past(limits: &ChatLimits) -> FreshBuckets {
    FreshBuckets::twice(entries(limits))
}

fn newcomers(limits: &ChatLimits) -> FreshBuckets {
    FreshBuckets::twice(TokenBucket::new(limits.new_authors_every, limits.new_authors_burst))
}
