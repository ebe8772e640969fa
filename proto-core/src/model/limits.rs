//! A node's limits: each is declared once, with its unit, its default, where that comes from, and what it has to keep to.

mod check;
mod declare;

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::Capacity;
use declare::{Rule, declare};

pub use check::ConfigError;
pub use declare::{Limit, Origin, Value};

/// The longest line, in bytes with its end (SPEC section 6).
pub const MAX_LINE: usize = 65_536;

/// The most that [`ConnLimits::chunk`] may be, in bytes.
pub const MAX_CHUNK: usize = 256 * 1024;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

declare! {
    /// Of frames as they are read.
    wire: WireLimits {
        /// A line with its end, in bytes; past it the peer is cut.
        line: usize = MAX_LINE, "bytes", Spec, [within("MAX_LINE", |_| MAX_LINE), at_most(chat.log_bytes), within("conns.queue / 2", |limits| limits.conns.queue / 2)];
        /// The same before the peer's `JOIN`.
        line_before_join: usize = 4 * KIB, "bytes", Spec, [nonzero, at_most(wire.line)];
        /// Entries of one `PEERS` frame that are read; the rest is passed over.
        peers_read: usize = 64, "entries", Spec, [];
    }
    /// Of connections.
    conns: ConnLimits {
        /// Malformed frames within [`malformed_window`](Self::malformed_window) that cut a peer.
        malformed: usize = 32, "frames", Spec, [nonzero] => Malformed;
        /// See [`malformed`](Self::malformed).
        malformed_window: Duration = Duration::from_secs(10), "seconds", Spec, [];
        /// Connections of peers that are here. Those of peers without a key, but for the user's, leave room for
        /// [`degree_high`](MeshLimits::degree_high) with one and for a newcomer that takes the place of another: with
        /// no more than that and [`slots_reserved`](Self::slots_reserved), none without a key that dials
        /// in is let in.
        slots: usize = 125, "connections", Spec, [nonzero] => Slots;
        /// Of these, kept free for dials of our own.
        slots_reserved: usize = 8, "connections", Spec, [at_most(conns.slots)];
        /// Connections that are not (yet, or any more) a peer's.
        pending: usize = 128, "connections", Spec, [nonzero] => Pending;
        /// A pending connection silent for so long makes room before others.
        pending_silent: Duration = Duration::from_secs(2), "seconds", Spec, [];
        /// From the connection's opening to its first byte.
        first_byte: Duration = Duration::from_secs(5), "seconds", Spec, [at_most(conns.greeting)];
        /// From the connection's opening to the peer's `JOIN`.
        greeting: Duration = Duration::from_secs(10), "seconds", Spec, [];
        /// How long a listener waits for the first byte before it greets.
        greet_after: Duration = Duration::from_millis(250), "seconds", Spec, [];
        /// From the greetings to the first frame for a version 1 peer, which loses what comes sooner.
        settle_v1: Duration = Duration::from_millis(100), "seconds", Guess, [];
        /// Silence after which a peer is pinged, a version 1 peer sent a blank line.
        ping_idle: Duration = Duration::from_secs(15), "seconds", Spec, [nonzero, at_most(conns.dead)];
        /// Silence after which a version 2 peer is dead.
        dead: Duration = Duration::from_secs(45), "seconds", Spec, [at_most(conns.ping_answer)];
        /// One that leaves a `PING` unanswered for so long after it left is dead, whatever else comes.
        ping_answer: Duration = Duration::from_secs(1200), "seconds", Guess: "what a full queue takes on a link of 1 KB a second.", [];
        /// How long a peer whose id a newcomer claims has to answer.
        probe: Duration = Duration::from_secs(3), "seconds", Spec, [];
        /// How long a new link's frames wait for the `BYE` on the one that it replaces.
        handover: Duration = Duration::from_secs(1), "seconds", Spec, [];
        /// From [`Action::Close`](crate::Action::Close) to [`Action::Abort`](crate::Action::Abort).
        linger: Duration = Duration::from_secs(1), "seconds", Guess, [];
        /// Entries of one `PEERS` frame that are sent, and peers told of a newcomer.
        peers_sent: usize = 32, "peers", Spec, [];
        /// Frames a second from one link that does not come from this machine.
        frames_per_second: u32 = 200, "frames a second", Spec, [nonzero];
        /// Frames that may follow each other at once.
        frames_burst: u32 = 1000, "frames", Spec, [nonzero];
        /// Bytes a second from one link that does not come from this machine.
        bytes_per_second: u32 = 256 * KIB as u32, "bytes a second", Spec, [nonzero];
        /// Bytes that may follow each other at once.
        bytes_burst: u32 = MIB as u32, "bytes", Spec, [nonzero];
        /// Bytes in one [`Action::SendFrame`](crate::Action::SendFrame).
        chunk: usize = 64 * KIB, "bytes", Measured: "`fanout` bench; the contract's most is 256 KiB.", [nonzero, within("MAX_CHUNK", |_| MAX_CHUNK)];
        /// An output queue is full from here, in bytes, until it is below half.
        queue: usize = MIB, "bytes", Spec, [at_most(conns.queue_hard), at_most(conns.queues), at_most(conns.buffers)];
        /// A full queue that took so many bytes in [`pace_window`](Self::pace_window) is waited for.
        pace: usize = 64 * KIB, "bytes", Spec, [];
        /// See [`pace`](Self::pace).
        pace_window: Duration = Duration::from_millis(250), "seconds", Spec, [];
        /// A queue that became full so short a time ago is waited for.
        patience: Duration = Duration::from_secs(2), "seconds", Spec, [];
        /// The most bytes in a queue that nobody waits for.
        queue_hard: usize = 8 * MIB, "bytes", Spec, [];
        /// The most bytes in all queues while one of them is over [`queue`](Self::queue).
        queues: usize = 16 * MIB, "bytes", Spec, [];
        /// A link that takes nothing for so long is cut.
        stalled: Duration = Duration::from_secs(30), "seconds", Spec, [];
        /// Bytes in all buffers of the node; then the link with the longest queue is cut.
        buffers: usize = 64 * MIB, "bytes", Spec, [] => Buffers;
    }
    /// Of whom to know and whom to hold.
    mesh: MeshLimits {
        /// For how long a peer with a key that was cut for breaking rules is not let in again.
        ban: Duration = Duration::from_secs(300), "seconds", Guess, [];
        /// So many of them; who was cut first is let in again.
        banned: usize = 1_024, "peers", Guess: "as many as the address book holds.", [] => Banned;
        /// Links to peers with a key: with fewer, addresses where peers were found before are retried soon, and
        /// full neighbours make room.
        degree_low: usize = 6, "links", Spec, [nonzero, at_most(mesh.degree_target)];
        /// Links to peers with a key that a node dials for in a large network.
        degree_target: usize = 8, "links", Spec, [at_most(mesh.degree_high)];
        /// The most links to peers with a key, but for those to addresses that the user gave: a network of so
        /// many nodes and one is a full mesh.
        degree_high: usize = 12, "links", Spec, [within("conns.slots - conns.slots_reserved - 1", slots_for_keyed)] => DegreeHigh;
        /// Of these, kept for dials of our own while there are addresses to dial.
        degree_outbound: usize = 4, "links", Guess, [at_most(mesh.degree_high)];
        /// One link is closed to make room for a newcomer each so long, and one of too many.
        displace_every: Duration = Duration::from_secs(5), "seconds", Spec, [nonzero];
        /// A link is not one of too many before it is so old.
        trim_age: Duration = Duration::from_secs(10), "seconds", Guess, [];
        /// On average, an address of which it is not known whether anybody is there is dialed so often.
        explore_every: Duration = Duration::from_secs(30), "seconds", Guess, [nonzero];
        /// On average, a neighbour is told some addresses so often.
        refresh_every: Duration = Duration::from_secs(60), "seconds", Guess, [nonzero];
        /// How many these are.
        refresh_peers: usize = 8, "addresses", Guess, [];
        /// Learned addresses being dialed at once.
        dials: usize = 4, "dials", Spec, [nonzero] => Dials;
        /// Dials of learned addresses that may follow each other at once, and refill at `dial_every`.
        dial_burst: u32 = 8, "dials", Spec, [nonzero];
        /// One more dial of a learned address each so long.
        dial_every: Duration = Duration::from_millis(500), "seconds", Spec, [];
        /// From a dial to its connection.
        connect: Duration = Duration::from_secs(5), "seconds", Spec, [];
        /// The first backoff.
        backoff_min: Duration = Duration::from_secs(1), "seconds", Spec, [nonzero, at_most(mesh.backoff_max), at_most(mesh.backoff_low), at_most(mesh.backoff_user)];
        /// The longest backoff of a learned address.
        backoff_max: Duration = Duration::from_secs(600), "seconds", Spec, [];
        /// The longest backoff of an address where a peer was found before, while there are fewer links than
        /// [`degree_low`](Self::degree_low).
        backoff_low: Duration = Duration::from_secs(30), "seconds", Guess, [];
        /// The longest backoff of an address that the user gave, and of any while there is no link.
        backoff_user: Duration = Duration::from_secs(8), "seconds", Spec, [];
        /// A link that lasted so long takes the backoff of its address back to the start.
        backoff_reset: Duration = Duration::from_secs(30), "seconds", Spec, [];
        /// Addresses that the user gives.
        targets: usize = 64, "addresses", Guess, [nonzero];
        /// New addresses taken from one link at once, and again as they refill.
        learn_burst: u32 = 64, "addresses", Spec, [nonzero];
        /// One more new address from one link each so long.
        learn_every: Duration = Duration::from_secs(10), "seconds", Spec, [];
        /// Addresses known.
        book: usize = 1024, "addresses", Spec, [] => Book;
        /// Of these, learned from one source.
        book_per_source: usize = 64, "addresses", Spec, [] => BookPerSource;
        /// An address at which so many dials in a row failed, and none ever found anybody, is forgotten.
        book_failures: u32 = 10, "dials", Guess, [nonzero];
        /// An address at which a dial found somebody so long ago is no longer known to be alive.
        book_fresh: Duration = Duration::from_secs(60 * 60), "seconds", Guess, [];
        /// An address at which a dial found somebody gives way to others so long after.
        book_believed: Duration = Duration::from_secs(24 * 60 * 60), "seconds", Guess, [];
    }
    /// Of the conversation.
    chat: ChatLimits {
        /// Entries a second of one author's that come unasked from beyond this machine.
        entries_per_second: u32 = 5, "entries a second", Spec, [nonzero];
        /// Entries of one author's that may follow each other at once.
        entries_burst: u32 = 30, "entries", Spec, [nonzero];
        /// Entries held; the oldest goes first.
        log_entries: usize = 10_000, "entries", Spec, [nonzero] => LogEntries;
        /// Their bytes; the oldest goes first.
        log_bytes: usize = 16 * MIB, "bytes", Spec, [] => LogBytes;
        /// Entries evicted whose ids are remembered; what is older than those forgotten is taken no more.
        evicted: usize = 32_768, "entries", Guess, [] => Evicted;
        /// How long an entry waits for those before it.
        hold_back: Duration = Duration::from_secs(3), "seconds", Spec, [];
        /// Entries of one author that wait for others; above that the one with the highest number goes.
        early_per_author: usize = 64, "entries", Spec, [at_most(chat.early)] => EarlyPerAuthor;
        /// Entries that wait for others; above that who holds most loses first.
        early: usize = 3000, "entries", Spec, [] => Early;
        /// Authors whose order is known; the least recently heard goes first.
        authors: usize = 4096, "authors", Spec, [nonzero] => Authors;
        /// Epochs of an author; the least recently heard goes first.
        epochs_per_author: usize = 4, "epochs", Spec, [nonzero] => EpochsPerAuthor;
        /// Gaps in one epoch that are known as such; above that the lowest is forgotten.
        gaps_per_epoch: usize = 64, "gaps", Guess, [] => GapsPerEpoch;
        /// How far ahead an entry may be dated before it is parked.
        clock_tolerance: Duration = Duration::from_secs(120), "seconds", Spec, [];
        /// Entries parked; the one furthest ahead goes first.
        parked: usize = 1000, "entries", Spec, [] => Parked;
        /// Reconciliations begun at once.
        syncs: usize = 4, "reconciliations", Spec, [nonzero] => Syncs;
        /// Messages sent in one reconciliation; then it is given up.
        sync_rounds: usize = 32, "messages", Measured: "sets of 10,000 that share nothing take 12.", [nonzero];
        /// From a message of a reconciliation to its answer.
        sync_timeout: Duration = Duration::from_secs(300), "seconds", Guess: "what 300 KB take on a link of 1 KB a second.", [];
        /// A reconciliation that waits for its answer this long makes room for another.
        sync_patience: Duration = Duration::from_secs(10), "seconds", Guess, [at_most(chat.sync_timeout)];
        /// Reconciliations that we begin and a peer passes over, in a row, at which it is cut.
        syncs_ignored: usize = 2, "reconciliations", Guess: "one may have been over the peer's rate.", [nonzero];
        /// Messages of reconciliations that one link may send at once; more are not answered.
        sync_burst: u32 = 64, "messages", Guess, [nonzero];
        /// One more of them each so long.
        sync_every: Duration = Duration::from_millis(250), "seconds", Guess, [];
        /// For how long one node is the root of the eager tree. All nodes have to agree on it.
        root_period: Duration = Duration::from_secs(3600), "seconds", Spec, [];
        /// How far into a period its tree counts. All nodes have to agree on it.
        root_turn: Duration = Duration::from_secs(120), "seconds", Spec, [at_most(chat.root_overlap)];
        /// How long before a period its claims are heard, and how long its tree is kept after the next one's
        /// counts, for nodes whose clocks differ.
        root_overlap: Duration = Duration::from_secs(240), "seconds", Spec: "twice the clock tolerance.", [at_most(chat.root_period)];
        /// A root signs a new sequence number each so long.
        sequence_every: Duration = Duration::from_secs(10), "seconds", Spec, [nonzero, at_most(chat.root_lives)];
        /// Newer sequence numbers of a root are taken at most one each so long.
        sequence_least: Duration = Duration::from_secs(5), "seconds", Spec, [at_most(chat.sequence_every)];
        /// The most that a sequence number rises by.
        sequence_rise: u64 = 16, "sequence numbers", Spec, [nonzero];
        /// A root is it no more so long after its newest sequence number came.
        root_lives: Duration = Duration::from_secs(30), "seconds", Spec, [];
        /// The longest that a node waits for a better root before it claims the place.
        root_wait: Duration = Duration::from_secs(3), "seconds", Guess, [];
        /// Changes of a period's root that may follow each other at once.
        roots_burst: u32 = 16, "changes", Guess: "as many records as 10,000 nodes that claim the place in random order set, and more.", [];
        /// One more change of a period's root each so long.
        roots_every: Duration = Duration::from_secs(5), "seconds", Guess, [];
        /// How long a parent may take to bring a sequence number that another neighbour has brought.
        tree_patience: Duration = Duration::from_secs(1), "seconds", Guess, [];
        /// Changes of a place in the tree, but a new root or number, are told at most each so long.
        tree_told_every: Duration = Duration::from_millis(150), "seconds", Spec, [];
        /// How long after the new parent the old one learns that it is it no more.
        tree_overlap: Duration = Duration::from_millis(200), "seconds", Guess, [];
        /// Entries that had to be asked for from others that cost a parent its place; a neighbour that was
        /// asked in vain so often in a row is not to be one either.
        parent_failures: usize = 3, "entries", Spec, [];
        /// Within so long.
        parent_failures_window: Duration = Duration::from_secs(30), "seconds", Spec, [];
        /// A parent so young is not blamed.
        parent_settled: Duration = Duration::from_secs(2), "seconds", Spec, [];
        /// How long a neighbour that failed as a parent is not to be one.
        parent_barred: Duration = Duration::from_secs(60), "seconds", Spec, [];
        /// `LINKS` at most one each so long.
        links_every: Duration = Duration::from_secs(1), "seconds", Spec, [];
        /// From an entry to its announcement.
        announce_after: Duration = Duration::from_millis(100), "seconds", Spec, [];
        /// How much longer the higher of two ids waits, which need not announce what the other does.
        announce_courtesy: Duration = Duration::from_millis(50), "seconds", Measured: "`gossip::tests`, with latencies of 10 to 50 ms.", [];
        /// Ids that wait to be announced to one neighbour; past it the oldest is left to reconciliation.
        announced: usize = 4096, "entries", Guess, [nonzero] => Announced;
        /// From the first announcement of an entry to the asking for it.
        ask_after: Duration = Duration::from_millis(150), "seconds", Spec, [];
        /// The same where no tree brings entries.
        ask_after_alone: Duration = Duration::from_millis(50), "seconds", Guess: "how much later than others' a direct copy may come.", [];
        /// From one announcer being asked to the next.
        ask_again: Duration = Duration::from_millis(300), "seconds", Spec, [nonzero];
        /// From one announcer being asked to its being asked again, if there is no other; doubled each time, up to eight times.
        ask_same: Duration = Duration::from_secs(60), "seconds", Guess: "what 60 KB take on a link of 1 KB a second.", [nonzero];
        /// Times that an entry is asked for before it is given up until the next announcement or
        /// reconciliation.
        ask_tries: u32 = 16, "times", Guess, [];
        /// Announcers remembered of an entry that is not here.
        announcers: usize = 16, "neighbours", Guess, [];
        /// Entries announced and not here; past it, who announced most loses the oldest.
        missing: usize = 4096, "entries", Spec, [] => Missing;
        /// Of these, first announced by one neighbour; the rest is asked for as after a reconciliation.
        missing_per_link: usize = 512, "entries", Guess: "what one `IHAVE` takes.", [] => MissingPerLink;
        /// Entries asked for at once from one neighbour after a reconciliation.
        asked: usize = 256, "entries", Spec, [nonzero] => Asked;
        /// Entries asked for and to be asked for after reconciliations; the rest is left to the next one.
        wanted: usize = 10_000, "entries", Guess: "as many as a log holds.", [] => Wanted;
        /// How long an entry asked for after a reconciliation is waited for, or the next one of those asked for.
        asked_for: Duration = Duration::from_secs(10), "seconds", Guess, [nonzero];
        /// Ids of entries that came lately.
        seen: usize = 131_072, "entries", Spec, [];
        /// How long they are kept where there is room.
        seen_for: Duration = Duration::from_secs(600), "seconds", Spec, [];
        /// A reconciliation with a random neighbour each so long, about.
        reconcile_every: Duration = Duration::from_secs(30), "seconds", Spec, [nonzero];
        /// With one neighbour at most one each so long.
        reconcile_again: Duration = Duration::from_secs(2), "seconds", Guess, [];
    }
    /// Of version 1 peers.
    v1: V1Limits {
        /// How long a version 1 peer's line waits for each node with a lower id that heard it, too.
        step: Duration = Duration::from_secs(1), "seconds", Spec, [];
        /// Lines are brought in together at points of time so far apart.
        gather: Duration = Duration::from_millis(200), "seconds", Guess: "as many as an author may say entries.", [];
        /// How far apart a line and an entry with it may be dated.
        match_window: Duration = Duration::from_secs(60), "seconds", Spec, [];
        /// Lines that are known when they come in again, by another way; the oldest note goes first.
        lines: usize = 4096, "lines", Guess, [] => V1Lines;
        /// Lines that wait; what would wait longest is not brought in from here.
        waiting: usize = 1000, "lines", Guess, [] => V1Waiting;
        /// Their bytes.
        waiting_bytes: usize = MIB, "bytes", Guess, [] => V1WaitingBytes;
        /// Ids known of those that one version 1 peer is linked to; more are passed over.
        linked: usize = 256, "peers", Guess, [] => V1Linked;
        /// On average, a version 1 peer that says nothing of it is asked so often whom it is linked to.
        greet_every: Duration = Duration::from_secs(600), "seconds", Guess, [nonzero];
        /// Once or twice this after the node that tells it what others say is no longer linked to us, or after
        /// it may have forgotten us, it is asked, and then at intervals twice as long each (SPEC 2.11).
        greet_soon: Duration = Duration::from_secs(2), "seconds", Guess: "what a version 1 peer and the network need to see that a node is gone.", [nonzero];
    }
}

impl Limits {
    /// These limits with some changed.
    ///
    /// ```
    /// use proto_core::Limits;
    ///
    /// let limits = Limits::default().with(|limits| limits.chat.log_entries = 1_000);
    /// assert_eq!(limits.check(), Ok(()));
    /// ```
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// Connection slots that are left for peers with a key where as many others are linked as may be; one is for the newcomer that
/// takes another's place.
fn slots_for_keyed(limits: &Limits) -> usize {
    limits.conns.slots.saturating_sub(limits.conns.slots_reserved.saturating_add(1))
}
