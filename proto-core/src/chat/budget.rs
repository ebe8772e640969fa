//! How much of an author, and of new authors, is taken, and from whom (SPEC 7.5, 9.15.6).

use crate::model::{
    ChatLimits, Class, Entry, Instant, Limits, NodeId, TokenBucket, TokenBuckets, Unverified,
};

/// The rates of entries that no reconciliation showed.
#[derive(Debug)]
pub(super) struct Budgets {
    /// By author and kind of entry.
    authors: TokenBuckets<(NodeId, Budget)>,
    /// Of authors that are not known, by neighbour.
    newcomers: TokenBuckets<NodeId>,
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

/// What an entry takes from the budgets once its signature was found to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dues {
    author: (NodeId, Budget),
    /// The neighbour that sent it, if it would make an author known.
    newcomer_from: Option<NodeId>,
}

/// The budget that has no room for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Author,
    Newcomers,
}

impl Budgets {
    pub(super) fn new() -> Self {
        Self { authors: TokenBuckets::new(), newcomers: TokenBuckets::new() }
    }

    /// Whether there is room for an entry with these dues, behind so many others with the same author's budget.
    pub(super) fn check(&self, now: Instant, dues: Dues, others: u32, limits: &Limits) -> Result<(), Over> {
        if dues.newcomer_from.is_some_and(|peer| !self.newcomers.has(now, &peer, newcomers(&limits.chat), 1))
        {
            return Err(Over::Newcomers);
        }
        let room = self.authors.has(now, &dues.author, entries(&limits.chat), others.saturating_add(1));
        if room { Ok(()) } else { Err(Over::Author) }
    }

    /// Takes what an entry costs whose signature holds. There was [room](Self::check) for it.
    pub(super) fn take(&mut self, now: Instant, dues: Dues, limits: &Limits) {
        if let Some(peer) = dues.newcomer_from {
            self.newcomers.take(now, peer, newcomers(&limits.chat), limits.conns.slots);
        }
        self.authors.take(now, dues.author, entries(&limits.chat), limits.chat.authors);
    }

    /// How many authors' rates are known.
    pub(super) fn authors(&self) -> usize {
        self.authors.len()
    }

    /// How many neighbours' rates of new authors are known.
    pub(super) fn newcomers(&self) -> usize {
        self.newcomers.len()
    }
}

impl Dues {
    /// Those of an entry that a neighbour sent. `known`: its author is.
    pub(super) fn of(entry: &Unverified<'_>, from: NodeId, known: bool) -> Self {
        let budget = if entry.live_at().is_some() { Budget::Live } else { Budget::of(entry.class()) };
        // What is in no run makes no author known.
        let newcomer = !known && budget != Budget::Live;
        Self { author: (entry.author(), budget), newcomer_from: newcomer.then_some(from) }
    }

    /// Those of an entry of a run alone, whoever sent it.
    pub(super) fn of_author(entry: &Entry) -> Self {
        Self { author: (entry.author(), Budget::of(entry.class())), newcomer_from: None }
    }

    /// Whether both take from one author's budget.
    pub(super) fn has_author_of(self, other: Self) -> bool {
        self.author == other.author
    }
}

impl Budget {
    /// That of the entries of a run of this class.
    fn of(class: &Class) -> Self {
        if *class == Class::Line { Self::Lines } else { Self::Kept }
    }
}

fn entries(limits: &ChatLimits) -> TokenBucket {
    TokenBucket::per_second(limits.entries_per_second, limits.entries_burst)
}

fn newcomers(limits: &ChatLimits) -> TokenBucket {
    TokenBucket::new(limits.new_authors_every, limits.new_authors_burst)
}
