//! A node's limits, and what can be wrong with them.

mod check;

use core::time::Duration;

use serde::{Deserialize, Serialize};

pub use check::ConfigError;

/// The longest line, in bytes with its end (SPEC section 6).
pub const MAX_LINE: usize = 65_536;

/// Every bound of a node. Behind each default stands where it comes from: *spec*, *measured* or *guess*.
/// `tests/tests/limits/table.rs` names the test of each, and the counter of what happens beyond it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// A line with its end, in bytes; past it the peer is cut. *Spec.*
    pub line: usize,
    /// The same before the peer's `JOIN`. *Spec.*
    pub line_before_join: usize,
    /// Malformed frames within [`malformed_window`](Self::malformed_window) that cut a peer. *Spec.*
    pub malformed: usize,
    /// See [`malformed`](Self::malformed). *Spec.*
    pub malformed_window: Duration,

    /// Connections of peers that are here. *Spec.* Those of peers without a key, but for the user's, leave room for
    /// [`degree_high`](Self::degree_high) with one and for a newcomer that takes the place of another: with no more than
    /// that and [`reserved_outbound`](Self::reserved_outbound), none without a key that dials in is let in.
    pub held: usize,
    /// Of these, kept free for dials of our own. *Spec.*
    pub reserved_outbound: usize,
    /// Connections that are not (yet, or any more) a peer's. *Spec.*
    pub pending: usize,
    /// A pending connection silent for so long makes room before others. *Spec.*
    pub pending_silent: Duration,
    /// For how long a peer with a key that was cut for breaking rules is not let in again. *Guess.*
    pub shun: Duration,
    /// So many of them; who was cut first is let in again. *Guess*: as many as the address book holds.
    pub shunned: usize,

    /// Links to peers with a key: with fewer, addresses where peers were found before are retried soon, and full
    /// neighbours make room. *Spec.*
    pub degree_low: usize,
    /// Links to peers with a key that a node dials for in a large network. *Spec.*
    pub degree_target: usize,
    /// The most links to peers with a key, but for those to addresses that the user gave: a network of so many nodes and
    /// one is a full mesh. *Spec.*
    pub degree_high: usize,
    /// Of these, kept for dials of our own while there are addresses to dial. *Guess.*
    pub degree_outbound: usize,
    /// One link is closed to make room for a newcomer each so long, and one of too many. *Spec.*
    pub displace_every: Duration,
    /// A link is not one of too many before it is so old. *Guess.*
    pub trim_age: Duration,
    /// On average, an address of which it is not known whether anybody is there is dialed so often. *Guess.*
    pub explore_every: Duration,
    /// On average, a neighbour is told some addresses so often. *Guess.*
    pub refresh_every: Duration,
    /// How many these are. *Guess.*
    pub refresh_peers: usize,

    /// From the connection's opening to its first byte. *Spec.*
    pub first_byte: Duration,
    /// From the connection's opening to the peer's `JOIN`. *Spec.*
    pub greeting: Duration,
    /// How long a listener waits for the first byte before it greets. *Spec.*
    pub greet_after: Duration,
    /// From the greetings to the first frame for a version 1 peer, which loses what comes sooner. *Guess.*
    pub settle_v1: Duration,
    /// Silence after which a peer is pinged, a version 1 peer sent a blank line. *Spec.*
    pub ping_idle: Duration,
    /// Silence after which a version 2 peer is dead. *Spec.*
    pub dead: Duration,
    /// One that leaves a `PING` unanswered for so long is dead, whatever else comes. *Guess*: what a full queue takes on a
    /// link of 6 KB a second.
    pub ping_answer: Duration,
    /// How long a peer whose id a newcomer claims has to answer. *Spec.*
    pub probe: Duration,
    /// How long a new link's frames wait for the `BYE` on the one that it replaces. *Spec.*
    pub handover: Duration,
    /// From [`Action::Close`](crate::Action::Close) to [`Action::Abort`](crate::Action::Abort). *Guess.*
    pub linger: Duration,

    /// Learned addresses being dialed at once. *Spec.*
    pub dials: usize,
    /// Dials of learned addresses that may follow each other at once, and refill at `dial_every`. *Spec.*
    pub dial_burst: u32,
    /// One more dial of a learned address each so long. *Spec.*
    pub dial_every: Duration,
    /// From a dial to its connection. *Spec.*
    pub connect: Duration,
    /// The first backoff. *Spec.*
    pub backoff_min: Duration,
    /// The longest backoff of a learned address. *Spec.*
    pub backoff_max: Duration,
    /// The longest backoff of an address where a peer was found before, while there are fewer links than
    /// [`degree_low`](Self::degree_low). *Guess.*
    pub backoff_low: Duration,
    /// The longest backoff of an address that the user gave, and of any while there is no link. *Spec.*
    pub backoff_user: Duration,
    /// A link that lasted so long takes the backoff of its address back to the start. *Spec.*
    pub backoff_reset: Duration,
    /// Addresses that the user gives. *Guess.*
    pub targets: usize,

    /// Entries of one `PEERS` frame that are read; the rest is passed over. *Spec.*
    pub peers_read: usize,
    /// Entries of one `PEERS` frame that are sent, and peers told of a newcomer. *Spec.*
    pub peers_sent: usize,
    /// New addresses taken from one link at once, and again as they refill. *Spec.*
    pub learn_burst: u32,
    /// One more new address from one link each so long. *Spec.*
    pub learn_every: Duration,
    /// Addresses known. *Spec.*
    pub book: usize,
    /// Of these, learned from one source. *Spec.*
    pub book_per_source: usize,
    /// An address at which so many dials in a row failed, and none ever found anybody, is forgotten. *Guess.*
    pub book_failures: u32,
    /// An address at which a dial found somebody so long ago is no longer known to be alive. *Guess.*
    pub book_fresh: Duration,
    /// An address at which a dial found somebody gives way to others so long after. *Guess.*
    pub book_believed: Duration,

    /// Entries a second of one author's that come unasked from beyond this machine. *Spec.*
    pub entries_per_second: u32,
    /// Entries of one author's that may follow each other at once. *Spec.*
    pub entries_burst: u32,
    /// Frames a second from one link that does not come from this machine. *Spec.*
    pub frames_per_second: u32,
    /// Frames that may follow each other at once. *Spec.*
    pub frames_burst: u32,
    /// Bytes a second from one link that does not come from this machine. *Spec.*
    pub bytes_per_second: u32,
    /// Bytes that may follow each other at once. *Spec.*
    pub bytes_burst: u32,

    /// Bytes in one [`Action::SendFrame`](crate::Action::SendFrame). *Measured*: `fanout` bench; the contract's most is
    /// 256 KiB.
    pub chunk: usize,
    /// An output queue is full from here, in bytes, until it is below half. *Spec.*
    pub queue: usize,
    /// A full queue that took so many bytes in [`pace_window`](Self::pace_window) is waited for. *Spec.*
    pub pace: usize,
    /// See [`pace`](Self::pace). *Spec.*
    pub pace_window: Duration,
    /// A queue that became full so short a time ago is waited for. *Spec.*
    pub patience: Duration,
    /// The most bytes in a queue that nobody waits for. *Spec.*
    pub queue_hard: usize,
    /// The most bytes in all queues while one of them is over [`queue`](Self::queue). *Spec.*
    pub queues: usize,
    /// A link that takes nothing for so long is cut. *Spec.*
    pub stalled: Duration,
    /// Bytes in all buffers of the node; then the link with the longest queue is cut. *Spec.*
    pub buffers: usize,

    /// Entries held; the oldest goes first. *Spec.*
    pub log_entries: usize,
    /// Their bytes; the oldest goes first. *Spec.*
    pub log_bytes: usize,
    /// Entries evicted whose ids are remembered; what is older than those forgotten is taken no more. *Guess.*
    pub evicted: usize,
    /// How long an entry waits for those before it. *Spec.*
    pub hold_back: Duration,
    /// Entries of one author that wait for others; above that the one with the highest number goes. *Spec.*
    pub early_per_author: usize,
    /// Entries that wait for others; above that who holds most loses first. *Spec.*
    pub early: usize,
    /// Authors whose order is known; the least recently heard goes first. *Spec.*
    pub authors: usize,
    /// Epochs of an author; the least recently heard goes first. *Spec.*
    pub epochs_per_author: usize,
    /// Gaps in one epoch that are known as such; above that the lowest is forgotten. *Guess.*
    pub gaps_per_epoch: usize,
    /// How far ahead an entry may be dated before it is parked. *Spec.*
    pub clock_tolerance: Duration,
    /// Entries parked; the one furthest ahead goes first. *Spec.*
    pub parked: usize,
    /// Reconciliations begun at once. *Spec.*
    pub syncs: usize,
    /// Messages sent in one reconciliation; then it is given up. *Measured*: sets of 10,000 that share nothing take 12.
    pub sync_rounds: usize,
    /// From a message of a reconciliation to its answer. *Guess.*
    pub sync_timeout: Duration,
    /// Reconciliations that we begin and a peer passes over, in a row, at which it is cut. *Guess*: one may have been over
    /// the peer's rate.
    pub syncs_passed_over: usize,
    /// Messages of reconciliations that one link may send at once; more are not answered. *Guess.*
    pub sync_burst: u32,
    /// One more of them each so long. *Guess.*
    pub sync_every: Duration,

    /// For how long one node is the root of the eager tree. All nodes have to agree on it. *Spec.*
    pub root_period: Duration,
    /// How far into a period its tree counts. All nodes have to agree on it. *Spec.*
    pub root_turn: Duration,
    /// How long before a period its claims are heard, and how long its tree is kept after the next one's counts, for
    /// nodes whose clocks differ. *Spec*: twice the
    /// clock tolerance.
    pub root_overlap: Duration,
    /// A root signs a new sequence number each so long. *Spec.*
    pub sequence_every: Duration,
    /// Newer sequence numbers of a root are taken at most one each so long. *Spec.*
    pub sequence_least: Duration,
    /// The most that a sequence number rises by. *Spec.*
    pub sequence_rise: u64,
    /// A root is it no more so long after its newest sequence number came. *Spec.*
    pub root_lives: Duration,
    /// The longest that a node waits for a better root before it claims the place. *Guess.*
    pub root_wait: Duration,
    /// Changes of a period's root that may follow each other at once. *Guess*: as many records as 10,000 nodes that
    /// claim the place in random order set, and more.
    pub roots_burst: u32,
    /// One more change of a period's root each so long. *Guess.*
    pub roots_every: Duration,
    /// How long a parent may take to bring a sequence number that another neighbour has brought. *Guess.*
    pub tree_patience: Duration,
    /// Changes of a place in the tree, but a new root or number, are told at most each so long. *Spec.*
    pub tree_told_every: Duration,
    /// How long after the new parent the old one learns that it is it no more. *Guess.*
    pub tree_overlap: Duration,
    /// Entries that had to be asked for from others that cost a parent its place; a neighbour that was asked in vain so
    /// often in a row is not to be one either. *Spec.*
    pub parent_failures: usize,
    /// Within so long. *Spec.*
    pub parent_failures_window: Duration,
    /// A parent so young is not blamed. *Spec.*
    pub parent_settled: Duration,
    /// How long a neighbour that failed as a parent is not to be one. *Spec.*
    pub parent_shunned: Duration,
    /// `LINKS` at most one each so long. *Spec.*
    pub links_every: Duration,
    /// From an entry to its announcement. *Spec.*
    pub announce_after: Duration,
    /// How much longer the higher of two ids waits, which need not announce what the other does. *Measured*:
    /// `gossip::tests`, with latencies of 10 to 50 ms.
    pub announce_courtesy: Duration,
    /// Ids that wait to be announced to one neighbour; past it the oldest is left to reconciliation. *Guess.*
    pub announced: usize,
    /// From the first announcement of an entry to the asking for it. *Spec.*
    pub ask_after: Duration,
    /// The same where no tree brings entries. *Guess*: how much later than others' a direct copy may come.
    pub ask_after_alone: Duration,
    /// From one announcer being asked to the next. *Spec.*
    pub ask_again: Duration,
    /// Times that an entry is asked for before it is given up until the next announcement or reconciliation. *Guess.*
    pub ask_tries: u32,
    /// Announcers remembered of an entry that is not here. *Guess.*
    pub announcers: usize,
    /// Entries announced and not here; past it, who announced most loses the oldest. *Spec.*
    pub missing: usize,
    /// Of these, first announced by one neighbour; the rest is asked for as after a reconciliation. *Guess*: what one
    /// `IHAVE` takes.
    pub missing_per_link: usize,
    /// Entries asked for at once from one neighbour after a reconciliation. *Spec.*
    pub asked: usize,
    /// Entries asked for and to be asked for after reconciliations; the rest is left to the next one. *Guess*: as many
    /// as a log holds.
    pub wanted: usize,
    /// How long an entry asked for after a reconciliation is waited for. *Guess.*
    pub asked_for: Duration,
    /// Ids of entries that came lately. *Spec.*
    pub seen: usize,
    /// How long they are kept where there is room. *Spec.*
    pub seen_for: Duration,
    /// A reconciliation with a random neighbour each so long, about. *Spec.*
    pub reconcile_every: Duration,
    /// With one neighbour at most one each so long. *Guess.*
    pub reconcile_again: Duration,

    /// How long a version 1 peer's line waits for each node with a lower id that heard it, too. *Spec.*
    pub bridge_step: Duration,
    /// Lines are brought in together at points of time so far apart. *Guess*: as many as an author may say entries.
    pub bridge_gather: Duration,
    /// How far apart a line and an entry with it may be dated. *Spec.*
    pub bridge_match: Duration,
    /// Lines that are known when they come in again, by another way; the oldest note goes first. *Guess.*
    pub bridge_lines: usize,
    /// Lines that wait; what would wait longest is not brought in from here. *Guess.*
    pub bridge_waiting: usize,
    /// Their bytes. *Guess.*
    pub bridge_waiting_bytes: usize,
    /// Ids known of those that one version 1 peer is linked to; more are passed over. *Guess.*
    pub bridge_linked: usize,
    /// On average, a version 1 peer that says nothing of it is asked so often whom it is linked to. *Guess.*
    pub bridge_ask_every: Duration,
    /// Once or twice this after the node that tells it what others say is no longer linked to us, or after it may have forgotten
    /// us, it is asked, and then at intervals twice as long each (SPEC 2.11). *Guess*: what a version 1 peer and the network
    /// need to see that a node is gone.
    pub bridge_ask_soon: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: usize = 1024;
        const MIB: usize = 1024 * KIB;
        Self {
            line: MAX_LINE,
            line_before_join: 4 * KIB,
            malformed: 32,
            malformed_window: Duration::from_secs(10),
            held: 125,
            reserved_outbound: 8,
            pending: 128,
            pending_silent: Duration::from_secs(2),
            shun: Duration::from_secs(300),
            shunned: 1_024,
            degree_low: 6,
            degree_target: 8,
            degree_high: 12,
            degree_outbound: 4,
            displace_every: Duration::from_secs(5),
            trim_age: Duration::from_secs(10),
            explore_every: Duration::from_secs(30),
            refresh_every: Duration::from_secs(60),
            refresh_peers: 8,
            first_byte: Duration::from_secs(5),
            greeting: Duration::from_secs(10),
            greet_after: Duration::from_millis(250),
            settle_v1: Duration::from_millis(100),
            ping_idle: Duration::from_secs(15),
            dead: Duration::from_secs(45),
            ping_answer: Duration::from_secs(180),
            probe: Duration::from_secs(3),
            handover: Duration::from_secs(1),
            linger: Duration::from_secs(1),
            dials: 4,
            dial_burst: 8,
            dial_every: Duration::from_millis(500),
            connect: Duration::from_secs(5),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(600),
            backoff_low: Duration::from_secs(30),
            backoff_user: Duration::from_secs(8),
            backoff_reset: Duration::from_secs(30),
            targets: 64,
            peers_read: 64,
            peers_sent: 32,
            learn_burst: 64,
            learn_every: Duration::from_secs(10),
            book: 1024,
            book_per_source: 64,
            book_failures: 10,
            book_fresh: Duration::from_secs(60 * 60),
            book_believed: Duration::from_secs(24 * 60 * 60),
            entries_per_second: 5,
            entries_burst: 30,
            frames_per_second: 200,
            frames_burst: 1000,
            bytes_per_second: 256 * KIB as u32,
            bytes_burst: MIB as u32,
            chunk: 64 * KIB,
            queue: MIB,
            pace: 64 * KIB,
            pace_window: Duration::from_millis(250),
            patience: Duration::from_secs(2),
            queue_hard: 8 * MIB,
            queues: 16 * MIB,
            stalled: Duration::from_secs(10),
            buffers: 64 * MIB,
            log_entries: 10_000,
            log_bytes: 16 * MIB,
            evicted: 32_768,
            hold_back: Duration::from_secs(3),
            early_per_author: 64,
            early: 3000,
            authors: 4096,
            epochs_per_author: 4,
            gaps_per_epoch: 64,
            clock_tolerance: Duration::from_secs(120),
            parked: 1000,
            syncs: 4,
            sync_rounds: 32,
            sync_timeout: Duration::from_secs(10),
            syncs_passed_over: 2,
            sync_burst: 64,
            sync_every: Duration::from_millis(250),
            root_period: Duration::from_secs(3600),
            root_turn: Duration::from_secs(120),
            root_overlap: Duration::from_secs(240),
            sequence_every: Duration::from_secs(10),
            sequence_least: Duration::from_secs(5),
            sequence_rise: 16,
            root_lives: Duration::from_secs(30),
            root_wait: Duration::from_secs(3),
            roots_burst: 16,
            roots_every: Duration::from_secs(5),
            tree_patience: Duration::from_secs(1),
            tree_told_every: Duration::from_millis(150),
            tree_overlap: Duration::from_millis(200),
            parent_failures: 3,
            parent_failures_window: Duration::from_secs(30),
            parent_settled: Duration::from_secs(2),
            parent_shunned: Duration::from_secs(60),
            links_every: Duration::from_secs(1),
            announce_after: Duration::from_millis(100),
            announce_courtesy: Duration::from_millis(50),
            announced: 4096,
            ask_after: Duration::from_millis(150),
            ask_after_alone: Duration::from_millis(50),
            ask_again: Duration::from_millis(300),
            ask_tries: 16,
            announcers: 16,
            missing: 4096,
            missing_per_link: 512,
            asked: 256,
            wanted: 10_000,
            asked_for: Duration::from_secs(10),
            seen: 131_072,
            seen_for: Duration::from_secs(600),
            reconcile_every: Duration::from_secs(30),
            reconcile_again: Duration::from_secs(2),

            bridge_step: Duration::from_secs(1),
            bridge_gather: Duration::from_millis(200),
            bridge_match: Duration::from_secs(60),
            bridge_lines: 4096,
            bridge_waiting: 1000,
            bridge_waiting_bytes: MIB,
            bridge_linked: 256,
            bridge_ask_every: Duration::from_secs(600),
            bridge_ask_soon: Duration::from_secs(2),
        }
    }
}

/// The most that [`Limits::chunk`] may be, in bytes.
pub const MAX_CHUNK: usize = 256 * 1024;
