//! A node's limits. Each is declared once, with its unit, its default, the origin of the default, and the rules that
//! its value has to keep to.

mod check;
mod declare;

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::Capacity;
use declare::{Rule, declare};

pub use check::ConfigError;
pub use declare::{Limit, Origin, Value};

/// The longest line of the protocol, in bytes with its end (SPEC 1.2). [`WireLimits::line`] can be lower, not higher.
pub const MAX_LINE: usize = 65_536;

/// The largest value of [`ConnLimits::chunk`], in bytes.
pub const MAX_CHUNK: usize = 256 * 1024;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

declare! {
    /// Limits of frames as they are read.
    wire: WireLimits {
        /// The longest line, in bytes with its end. A peer that sends a longer one is cut (SPEC 1.2.2).
        line: usize = MAX_LINE, "bytes", Spec, [within("MAX_LINE", |_| MAX_LINE), at_most(chat.log_bytes), within("conns.queue / 2", |limits| limits.conns.queue / 2)];
        /// The longest line before the peer's `JOIN`, in bytes with its end. A longer one cuts the peer (SPEC 1.2.3).
        line_before_join: usize = 4 * KIB, "bytes", Spec, [nonzero, at_most(wire.line)];
        /// The most entries of one `PEERS` frame that are read. The rest is ignored (SPEC 2.7.1).
        peers_read: usize = 64, "entries", Spec, [];
    }
    /// Limits of connections.
    conns: ConnLimits {
        /// Malformed frames from one peer within [`malformed_window`](Self::malformed_window). A peer that sends this
        /// many is cut (SPEC 1.4.2).
        malformed: usize = 32, "frames", Spec, [nonzero] => Malformed;
        /// The time over which [`malformed`](Self::malformed) counts.
        malformed_window: Duration = Duration::from_secs(10), "seconds", Spec, [];
        /// Connection slots: the most connections of linked peers. When all are in use, a newcomer takes the place of another
        /// (SPEC 5.15), or is turned away.
        /// Peers without a key, unless the user gave their address, leave slots free: one for each peer with a key up
        /// to [`degree_high`](MeshLimits::degree_high), and one for a newcomer that replaces another peer (SPEC 5.2.2).
        /// If `slots` is no larger than those and [`slots_reserved`](Self::slots_reserved) together, no peer without a
        /// key that dials in is admitted.
        slots: usize = 125, "connections", Spec, [nonzero] => Slots;
        /// Connection slots that peers without a key leave free when they dial in, in addition to those that
        /// [`slots`](Self::slots) names (SPEC 5.2.3). They are for own dials.
        slots_reserved: usize = 8, "connections", Spec, [at_most(conns.slots)];
        /// The most inbound connections that are not a peer's link: not yet, or no longer. When one more is accepted, the
        /// youngest one of the IP address, or of the network, that holds more than the newcomer's makes room. If none
        /// holds more, one of the address that holds most does: the oldest that is silent, else the oldest (SPEC 5.15).
        pending: usize = 128, "connections", Spec, [nonzero] => Pending;
        /// A pending connection counts as silent after this long without a byte. Silent ones are dropped first.
        pending_silent: Duration = Duration::from_secs(2), "seconds", Spec, [];
        /// From the opening of a connection to its first byte. A connection that sends none by then is closed (SPEC 2.2.2). At a
        /// learned address it is five times what connecting took, if that is less.
        first_byte: Duration = Duration::from_secs(15), "seconds", Spec, [at_most(conns.greeting)];
        /// From the opening of a connection to the peer's `JOIN`, and its `PROOF` if it has a key. A connection that
        /// takes longer is closed (SPEC 2.2.3). It is less at a learned address, and after another line before `JOIN`.
        greeting: Duration = Duration::from_secs(30), "seconds", Spec, [];
        /// Handshakes of sealed connections that may begin in a second, those that peers opened and those of own dials.
        /// Further ones that peers opened wait for their turn (SPEC 3.14.19).
        handshakes_per_second: u32 = 500, "handshakes a second", Measured: "one takes 0.3 ms of CPU time, and its connection 0.1 to 0.2 ms: all take a quarter of a core", [nonzero];
        /// Handshakes that may begin at once, before [`handshakes_per_second`](Self::handshakes_per_second) applies.
        handshakes_burst: u32 = 32, "handshakes", Guess: "10 ms of CPU time", [nonzero];
        /// How long a listener waits for the first byte. Then it sends its `JOIN` (SPEC 2.1.3).
        greet_after: Duration = Duration::from_millis(250), "seconds", Spec, [];
        /// How long a dialer waits for the first byte. Then it sends its `JOIN` (SPEC 2.1.2). It is shorter than
        /// [`greet_after`](Self::greet_after), so that one of two nodes that both wait speaks soon.
        greet_dialed: Duration = Duration::from_millis(50), "seconds", Spec, [at_most(conns.greet_after)];
        /// From the `JOIN`s of both sides to the first frame for a version 1 peer, which loses frames that come sooner
        /// (SPEC 2.8.3).
        settle_v1: Duration = Duration::from_millis(100), "seconds", Guess, [];
        /// A version 2 peer that is silent for this long is pinged (SPEC 3.3.1). A version 1 peer that was sent nothing
        /// for this long is sent a blank line (SPEC 2.9.1).
        ping_idle: Duration = Duration::from_secs(15), "seconds", Spec, [nonzero, at_most(conns.dead)];
        /// A version 2 peer that is silent for this long is dropped (SPEC 3.3.2).
        dead: Duration = Duration::from_secs(45), "seconds", Spec, [at_most(conns.ping_answer)];
        /// A peer that leaves a `PING` unanswered for this long after it left is dropped, whatever else it sends (SPEC 3.3.3).
        ping_answer: Duration = Duration::from_secs(1200), "seconds", Guess: "the time that a full queue takes on a link of 1 KB a second", [];
        /// How long a linked peer has to answer when a newcomer claims its id (SPEC 4.3). On a link with a long round trip it has
        /// four of them. Once it has answered twice, the proof that both connections are its own has sixteen. Each of these is so
        /// long at least and [`greeting`](Self::greeting) at most. A neighbour whose `PING` is unanswered for so long is silent
        /// (SPEC 8.7.4).
        probe: Duration = Duration::from_secs(3), "seconds", Spec, [];
        /// How long the frames on a link that replaces another one wait for the `BYE` on the old one. Then they are
        /// handled (SPEC 4.6.2).
        handover: Duration = Duration::from_secs(1), "seconds", Spec, [];
        /// From [`Action::Close`](crate::Action::Close) to [`Action::Abort`](crate::Action::Abort), if the connection
        /// has not ended by then. An address of a version 1 peer is dialed again after the same time (SPEC 2.10.5).
        linger: Duration = Duration::from_secs(1), "seconds", Guess, [];
        /// The most entries of a `PEERS` that is sent, and the most peers that are told of one newcomer (SPEC 2.6).
        /// Both are random samples.
        peers_sent: usize = 32, "peers", Spec, [];
        /// Frames a second from one connection with another machine. Above it, the node stops reading from the
        /// connection for a while.
        frames_per_second: u32 = 200, "frames a second", Spec, [nonzero];
        /// Frames from one connection that may come at once, before [`frames_per_second`](Self::frames_per_second)
        /// applies.
        frames_burst: u32 = 1000, "frames", Spec, [nonzero];
        /// Bytes a second from one connection with another machine. Above it, the node stops reading from the
        /// connection for a while.
        bytes_per_second: u32 = 256 * KIB as u32, "bytes a second", Spec, [nonzero];
        /// Bytes from one connection that may come at once, before [`bytes_per_second`](Self::bytes_per_second)
        /// applies.
        bytes_burst: u32 = MIB as u32, "bytes", Spec, [nonzero];
        /// The most bytes of one [`Action::SendFrame`](crate::Action::SendFrame). A longer queue is sent in several.
        chunk: usize = 64 * KIB, "bytes", Measured: "`fanout` bench; the contract allows at most 256 KiB", [nonzero, within("MAX_CHUNK", |_| MAX_CHUNK)];
        /// An output queue with more bytes is full until it is below half of this. On a full link, entries are
        /// announced, not pushed. While a full queue is waited for, [`Command::Say`](crate::Command::Say) is refused
        /// with [`CommandError::Busy`](crate::CommandError::Busy).
        queue: usize = MIB, "bytes", Spec, [at_most(conns.queue_hard), at_most(conns.queues), at_most(conns.buffers)];
        /// A full queue that sent this many bytes within [`pace_window`](Self::pace_window) is waited for. A slower one
        /// is not, once [`patience`](Self::patience) has passed.
        pace: usize = 64 * KIB, "bytes", Spec, [];
        /// The time over which [`pace`](Self::pace) counts.
        pace_window: Duration = Duration::from_millis(250), "seconds", Spec, [];
        /// A full queue is waited for this long, at any pace.
        patience: Duration = Duration::from_secs(2), "seconds", Spec, [];
        /// The most bytes in one output queue. A peer whose queue grows beyond it is dropped.
        queue_hard: usize = 8 * MIB, "bytes", Spec, [];
        /// The most bytes in all buffers while an output queue is above [`queue`](Self::queue). Above it, the peers
        /// with such queues are dropped.
        queues: usize = 16 * MIB, "bytes", Spec, [];
        /// A peer that takes nothing of a chunk for this long is dropped. So is a connection that another one replaced and that has
        /// not ended by then.
        stalled: Duration = Duration::from_secs(30), "seconds", Spec, [];
        /// The most bytes in all buffers of the node. Above it, the connection with the longest output queue is
        /// dropped.
        buffers: usize = 64 * MIB, "bytes", Spec, [] => Buffers;
    }
    /// Limits of the address book, dials and links.
    mesh: MeshLimits {
        /// How long a peer with a key is banned after it broke a rule. Then it is admitted again (SPEC 9.9).
        ban: Duration = Duration::from_secs(300), "seconds", Guess, [];
        /// The most bans. With one more, the ban that began first is lifted.
        banned: usize = 1_024, "peers", Guess: "as many as the address book holds", [] => Banned;
        /// With fewer links to peers with a key, found addresses are retried sooner (SPEC 5.11.2), and nodes that have
        /// more than [`degree_target`](Self::degree_target) make room for this one (SPEC 5.4.3).
        degree_low: usize = 6, "links", Spec, [nonzero, at_most(mesh.degree_target)];
        /// In a large network, learned addresses are dialed up to this many links to peers with a key (SPEC 5.3.1). A
        /// node with more closes one now and then (SPEC 5.6).
        degree_target: usize = 8, "links", Spec, [at_most(mesh.degree_high)];
        /// The most links to peers with a key, apart from links to addresses that the user gave. Above it, newcomers
        /// are turned away or replace another peer (SPEC 5.4, 5.5). A network of one node more is
        /// a full mesh.
        degree_high: usize = 12, "links", Spec, [within("conns.slots - conns.slots_reserved - 1", slots_for_keyed)] => DegreeHigh;
        /// Links that should be own dials. While a node has fewer, it keeps slots for them, as far as it knows
        /// addresses to dial (SPEC 5.5.1).
        degree_outbound: usize = 4, "links", Guess, [at_most(mesh.degree_high)];
        /// The least time between two links that are closed to make room for newcomers (SPEC 5.4.5), and between two
        /// that are closed because there are too many (SPEC 5.6.1).
        displace_every: Duration = Duration::from_secs(5), "seconds", Spec, [nonzero];
        /// A link that is younger is not closed because there are too many (SPEC 5.6.2).
        trim_age: Duration = Duration::from_secs(10), "seconds", Guess, [];
        /// The average interval at which an address is dialed where it is unknown if a node is there (SPEC 5.7.1).
        explore_every: Duration = Duration::from_secs(30), "seconds", Guess, [nonzero];
        /// The average interval at which a random neighbour is sent some addresses (SPEC 5.8.3).
        refresh_every: Duration = Duration::from_secs(60), "seconds", Guess, [nonzero];
        /// The most addresses that a neighbour is sent then.
        refresh_peers: usize = 8, "addresses", Guess, [];
        /// The most dials of learned addresses under way at once. Further ones wait.
        dials: usize = 4, "dials", Spec, [nonzero] => Dials;
        /// Dials of learned addresses that may begin at once. Further ones wait for [`dial_every`](Self::dial_every).
        dial_burst: u32 = 8, "dials", Spec, [nonzero];
        /// The interval at which one more dial of a learned address is allowed.
        dial_every: Duration = Duration::from_millis(500), "seconds", Spec, [];
        /// Dials of told addresses at one host that may begin at once, of those that reach no node (SPEC 5.13.1). A host is
        /// an IP address, in IPv6 a /64. Further ones wait for [`host_dial_every`](Self::host_dial_every).
        host_dials: u32 = 8, "dials", Spec, [nonzero];
        /// The interval at which one more dial at a host is allowed.
        host_dial_every: Duration = Duration::from_secs(60), "seconds", Spec, [];
        /// The same for one network, a /24 or in IPv6 a /48 (SPEC 5.13.2). Further ones wait for
        /// [`net_dial_every`](Self::net_dial_every).
        net_dials: u32 = 32, "dials", Spec, [nonzero];
        /// The interval at which one more dial in a network is allowed.
        net_dial_every: Duration = Duration::from_secs(15), "seconds", Spec, [];
        /// The same for the addresses that peers at one host told (SPEC 5.13.3). Further ones wait for
        /// [`teller_dial_every`](Self::teller_dial_every).
        teller_dials: u32 = 32, "dials", Spec, [nonzero];
        /// The interval at which one more dial of an address from one host is allowed.
        teller_dial_every: Duration = Duration::from_secs(15), "seconds", Spec, [];
        /// The most budgets that are known of each kind: of hosts, of networks and of tellers. With one more of a kind, the one
        /// of it that is least used is forgotten.
        budgets: usize = 1024, "budgets", Guess: "more than are in use at the rate of all dials", [nonzero] => DialBudgets;
        /// From the start of a dial or a resolution to its end. One that takes longer has failed.
        connect: Duration = Duration::from_secs(5), "seconds", Spec, [];
        /// The first ceiling of a backoff (SPEC 5.11). It doubles with each failure.
        backoff_min: Duration = Duration::from_secs(1), "seconds", Spec, [nonzero, at_most(mesh.backoff_max), at_most(mesh.backoff_low), at_most(mesh.backoff_user)];
        /// The ceiling of the backoff of a learned address stops here (SPEC 5.11.1).
        backoff_max: Duration = Duration::from_secs(600), "seconds", Spec, [];
        /// The ceiling of the backoff of a found address stops here, while the degree is below
        /// [`degree_low`](Self::degree_low) (SPEC 5.11.2).
        backoff_low: Duration = Duration::from_secs(30), "seconds", Guess, [];
        /// The ceiling of the backoff stops here for an address that the user gave, and for every address of a peer
        /// with a key while there is no link to one (SPEC 5.11.3, 5.11.4).
        backoff_user: Duration = Duration::from_secs(8), "seconds", Spec, [];
        /// A link that lasted this long resets the backoff of its address (SPEC 5.11.6).
        backoff_reset: Duration = Duration::from_secs(30), "seconds", Spec, [];
        /// An address where a node of another network answered is not dialed for this long (SPEC 3.13.6). The user hears
        /// of an address from which such nodes dial in once in this time.
        foreign_pause: Duration = Duration::from_secs(60 * 60), "seconds", Spec, [];
        /// An address is not dialed for this long where another node with this node's key is linked, or with the peer's key
        /// (SPEC 4.8).
        taken_pause: Duration = Duration::from_secs(600), "seconds", Spec, [];
        /// The most addresses that the user can give. One more is refused with
        /// [`CommandError::TooManyTargets`](crate::CommandError::TooManyTargets).
        targets: usize = 1_024, "addresses", Spec, [nonzero];
        /// New addresses that are learned from one connection at once. Further ones are passed over until
        /// [`learn_every`](Self::learn_every).
        learn_burst: u32 = 64, "addresses", Spec, [nonzero];
        /// The interval at which one more new address is learned from a connection.
        learn_every: Duration = Duration::from_secs(10), "seconds", Spec, [];
        /// The most addresses in the address book. With one more, the address with the most failed dials is forgotten,
        /// unless it was found (SPEC 5.12.2). If there is none to forget, the new one is passed over.
        book: usize = 1024, "addresses", Spec, [] => Book;
        /// The most addresses in the address book from one source. Further ones are passed over.
        book_per_source: usize = 64, "addresses", Spec, [] => BookPerSource;
        /// An address where no dial has ever found a node is forgotten after this many failed dials in a row (SPEC
        /// 5.12.1).
        book_failures: u32 = 10, "dials", Guess, [nonzero];
        /// An address where no dial has found a node for this long is no longer known to be alive, and may be explored
        /// (SPEC 5.7.1).
        book_fresh: Duration = Duration::from_secs(60 * 60), "seconds", Guess, [];
        /// The most addresses off loopback of which it is known who has proven its key there, and that they were reached
        /// sealed. With one more, the network that has most of them loses the oldest (SPEC 3.14.15).
        pins: usize = 1024, "addresses", Guess: "as many as the address book holds", [nonzero] => Pins;
        /// An address off loopback that was reached sealed is not dialed in clear for this long (SPEC 3.14.10).
        sealed_for: Duration = Duration::from_secs(30 * 24 * 60 * 60), "seconds", Spec, [];
        /// A found address stays in the address book until no dial has found a node there for this long. Then it may be
        /// forgotten (SPEC 5.12). For the same time, the node that was found there is expected there (SPEC 3.14.11).
        book_forget_after: Duration = Duration::from_secs(24 * 60 * 60), "seconds", Guess, [];
    }
    /// Limits of the conversation.
    chat: ChatLimits {
        /// Entries a second of one author that come from another machine and that no reconciliation showed. Above it,
        /// entries are dropped (SPEC 7.5) and come by reconciliation later.
        entries_per_second: u32 = 5, "entries a second", Spec, [nonzero];
        /// Entries of one author that may come at once, before [`entries_per_second`](Self::entries_per_second)
        /// applies.
        entries_burst: u32 = 30, "entries", Spec, [nonzero];
        /// The most entries of one input whose signatures are verified together (SPEC 3.12.6). Their lines have
        /// [`wire.line`](WireLimits::line) bytes together at most.
        batch: usize = 64, "entries", Measured: "a batch of 256 saves 10 % more", [nonzero];
        /// The most bytes of the decompressed keys of authors. With one more, the one that was kept first is forgotten.
        known_keys: usize = MIB, "bytes", Measured: "to decompress a key takes an eighth of a verification", [] => KnownKeys;
        /// The most entries in the window. With one more, one is evicted (SPEC 9.5, 9.15).
        log_entries: usize = 10_000, "entries", Spec, [nonzero] => LogEntries;
        /// The most bytes that the entries in the window are charged (SPEC 9.13). Above it, one is evicted (SPEC 9.5,
        /// 9.15).
        log_bytes: usize = 32 * MIB, "bytes", Spec, [] => LogBytes;
        /// The most ids of evicted entries that are remembered, so that they are not asked for. With one more, the one
        /// that was evicted first is forgotten.
        evicted: usize = 32_768, "entries", Guess, [] => Evicted;
        /// The most frozen runs that are remembered after what proves the fork was evicted (SPEC 9.3). With one more, the
        /// one of which that was evicted first is forgotten.
        forks: usize = 1_024, "runs", Guess, [] => Forks;
        /// The most bytes that the tips of runs are charged, which are what nodes compare (SPEC 9.17). Above it, the oldest
        /// one of a run of which nothing is held is forgotten.
        tips_bytes: usize = 32 * MIB, "bytes", Guess: "65,536 runs", [nonzero] => TipsBytes;
        /// The most tips of one author's runs of which nothing is held. With one more, the oldest of these is forgotten.
        tips_per_author: usize = 64, "tips", Guess: "sixteen times as many as epochs in one room", [nonzero] => TipsPerAuthor;
        /// The most spans of numbers that are known to be in the store, of all runs together. With one more, the run with most of
        /// them gives up its lowest missing numbers: they are not asked for any more.
        spans: usize = 131_072, "spans", Guess: "twice as many as tips", [nonzero] => Spans;
        /// The time between the dates of an author's oldest and newest entry in the window from which on the author is no
        /// longer new (SPEC 9.15).
        author_new: Duration = Duration::from_secs(600), "seconds", Spec, [nonzero];
        /// Entries of authors that are not known, and that no reconciliation showed, that may come from one neighbour on
        /// another machine at once, before [`new_authors_every`](Self::new_authors_every) applies (SPEC 9.15).
        new_authors_burst: u32 = 256, "entries", Guess: "what is brought by a reconciliation is not counted", [nonzero];
        /// The interval at which one more such entry may come.
        new_authors_every: Duration = Duration::from_millis(250), "seconds", Guess, [];
        /// The most authors with entries in the window or a floor. With one more, the author with the lowest floor and no
        /// entries is forgotten (SPEC 9.16). If there is none, no entry of another author is taken.
        floors: usize = 16_384, "authors", Guess: "more than the window holds entries", [nonzero] => Floors;
        /// How long ago a floor has to be before it is forgotten (SPEC 9.16).
        floors_for: Duration = Duration::from_secs(30), "seconds", Spec, [];
        /// The most bytes that entries of this node are charged that the store has not committed. Above it, the user's words are
        /// refused as busy, and lines of peers without a key wait.
        uncommitted_own: usize = 2 * MIB, "bytes", Guess: "twice as many as an output queue holds", [nonzero];
        /// The most bytes that other entries are charged that the store was asked to keep and has not committed. Above it, those in
        /// the window wait, and those below it are asked for again later.
        uncommitted: usize = 4 * MIB, "bytes", Guess: "a few batches of 4,096 entries", [nonzero];
        /// How long an entry waits for earlier ones of its author. Then it is shown without them (SPEC 9.1).
        hold_back: Duration = Duration::from_secs(3), "seconds", Spec, [];
        /// The same at most, while those that are missing may still come (SPEC 9.1.6).
        hold_back_most: Duration = Duration::from_secs(60), "seconds", Spec, [];
        /// The first catch-up ends after this long at the latest. Then entries are shown as they come (SPEC 9.11).
        catch_up: Duration = Duration::from_secs(10), "seconds", Spec, [];
        /// The most bytes of entries that the first catch-up holds back. Above it, it ends.
        catch_up_bytes: usize = 16 * MIB, "bytes", Guess: "as many as the window holds", [] => CatchUpBytes;
        /// An entry that came this long after its date is marked as history (SPEC 9.12).
        history: Duration = Duration::from_secs(600), "seconds", Spec, [];
        /// An entry that waited longer than this for its date is marked as history (SPEC 9.12).
        waited: Duration = Duration::from_secs(60), "seconds", Spec, [];
        /// The most entries of one author that wait for earlier ones. With one more, the one with the highest `seq` is
        /// dropped.
        early_per_author: usize = 64, "entries", Spec, [at_most(chat.early)] => EarlyPerAuthor;
        /// The most entries that wait for earlier ones. With one more, the author with the most of them loses the one
        /// with the highest `seq`.
        early: usize = 3000, "entries", Spec, [] => Early;
        /// The most authors whose sequences are tracked. With one more, the least recently heard one is forgotten.
        authors: usize = 4096, "authors", Spec, [nonzero] => Authors;
        /// The most bytes that these authors, their epochs and their gaps are charged (SPEC 9.14). Above it, the least
        /// recently heard author is forgotten.
        authors_bytes: usize = 4 * MIB, "bytes", Guess: "4,096 authors with an epoch and some gaps", [nonzero] => AuthorsBytes;
        /// The most pairs of a room and a class in which epochs of one author are tracked. With one more, those of the
        /// pair that was least recently heard are forgotten.
        lanes_per_author: usize = 16, "pairs", Guess, [nonzero] => LanesPerAuthor;
        /// The most epochs of one author in one room and class that are tracked. With one more, the least recently heard one
        /// is forgotten.
        epochs_per_author: usize = 4, "epochs", Spec, [nonzero] => EpochsPerAuthor;
        /// The most uses of names by keys that are remembered. Of those that have not settled, a quarter at most, the
        /// least recently heard one is forgotten (SPEC 9.10.3).
        names: usize = 2_048, "names", Guess: "half as many as authors", [nonzero] => Names;
        /// The most names of one key that are remembered. With one more, the one used longest ago is forgotten.
        names_per_author: usize = 4, "names", Guess, [nonzero] => NamesPerAuthor;
        /// A use of a name has settled when the key goes by it still this long after it was first heard.
        name_settled: Duration = Duration::from_secs(60), "seconds", Guess, [];
        /// The least time between two notices that another key goes by the same known name.
        name_told_every: Duration = Duration::from_secs(600), "seconds", Guess, [];
        /// The most gaps in one epoch that are remembered. With one more, the lowest is forgotten.
        gaps_per_epoch: usize = 64, "gaps", Guess, [] => GapsPerEpoch;
        /// How far ahead of the wall clock an entry may be dated. One that is further ahead waits here (SPEC 9.4).
        ahead: Duration = Duration::from_secs(10), "seconds", Spec, [at_most(chat.ahead_most)];
        /// How far ahead of the wall clock an entry may be dated that waits. One that is further ahead is dropped (SPEC
        /// 9.4).
        ahead_most: Duration = Duration::from_secs(3600), "seconds", Spec, [];
        /// How far from now an entry of no run may be dated. One that is further from it is dropped (SPEC 7.8.9).
        live_age: Duration = Duration::from_secs(120), "seconds", Spec, [];
        /// The most members that are known. With one more, of those that are away the one heard longest ago is forgotten, else
        /// one that has said nothing and is no neighbour. Such ones have a quarter, and make room for each other there (SPEC
        /// 9.19).
        members: usize = 16_384, "members", Guess: "4 MiB, and more than 10,000", [nonzero] => Members;
        /// Entries of no run from one neighbour that are taken in a second.
        live_per_second: u32 = 4, "entries a second", Guess: "members say about one a second together", [nonzero];
        /// Such entries that may come at once, before [`live_per_second`](Self::live_per_second) applies.
        live_burst: u32 = 512, "entries", Guess: "many members that come at once", [nonzero];
        /// How far a clock may be off. The user of one that is further off is told.
        clock_tolerance: Duration = Duration::from_secs(10), "seconds", Spec, [];
        /// The most bytes that the entries are charged that are held back because they are dated ahead (SPEC
        /// 9.13). Above it, the neighbour that sent most of them, and of its authors the one with most, loses the one
        /// furthest ahead.
        parked_bytes: usize = 4 * MIB, "bytes", Spec, [] => Parked;
        /// The most reconciliations that this node has begun and that are not over. Further neighbours wait.
        syncs: usize = 4, "reconciliations", Spec, [nonzero] => Syncs;
        /// The most messages that this node sends in one reconciliation. Then it is given up.
        sync_rounds: usize = 32, "messages", Measured: "two sets of 10,000 entries that share nothing take 12", [nonzero];
        /// From a message of a reconciliation to its answer. Without an answer by then, the reconciliation is given up.
        sync_timeout: Duration = Duration::from_secs(300), "seconds", Guess: "the time that 300 KB take on a link of 1 KB a second", [];
        /// A reconciliation that waits this long for its answer makes room for another.
        sync_patience: Duration = Duration::from_secs(10), "seconds", Guess, [at_most(chat.sync_timeout)];
        /// Reconciliations in a row that a neighbour ignores. A neighbour that ignores this many is cut (SPEC 9.8.5).
        syncs_ignored: usize = 2, "reconciliations", Guess: "one of them may have exceeded the peer's rate limit", [nonzero];
        /// Messages of reconciliations that one neighbour may send at once. Further ones are ignored until
        /// [`sync_every`](Self::sync_every) (SPEC 9.8.2).
        sync_burst: u32 = 64, "messages", Guess, [nonzero];
        /// The interval at which one more message of a reconciliation is answered.
        sync_every: Duration = Duration::from_millis(250), "seconds", Guess, [];
        /// How long one node is the root of the tree. Then the next period begins (SPEC 8.1). It has to be the same at
        /// all nodes.
        root_period: Duration = Duration::from_secs(3600), "seconds", Spec, [];
        /// How far into a period entries begin to take its tree (SPEC 8.4.9). It has to be the same at all nodes.
        root_turn: Duration = Duration::from_secs(120), "seconds", Spec, [at_most(chat.root_overlap)];
        /// How long before a period its claims are accepted (SPEC 8.4.1), and how long its tree is kept after entries
        /// take the next one. It allows for clocks that differ.
        root_overlap: Duration = Duration::from_secs(240), "seconds", Spec: "twice the clock tolerance", [at_most(chat.root_period)];
        /// The interval at which a root signs its next sequence number (SPEC 8.2.2).
        sequence_every: Duration = Duration::from_secs(10), "seconds", Spec, [nonzero, at_most(chat.root_lives)];
        /// The least time between two newer sequence numbers of one root. One that comes sooner is ignored (SPEC
        /// 8.4.5).
        sequence_least: Duration = Duration::from_secs(5), "seconds", Spec, [at_most(chat.sequence_every)];
        /// The most that a sequence number may be above the newest one. A higher one is ignored (SPEC 8.4.4).
        sequence_rise: u64 = 16, "sequence numbers", Spec, [nonzero];
        /// A root expires this long after its newest sequence number (SPEC 8.4.8).
        root_lives: Duration = Duration::from_secs(30), "seconds", Spec, [];
        /// The longest that a node waits for a better root. Then it claims to be the root itself (SPEC 8.2.1).
        root_wait: Duration = Duration::from_secs(3), "seconds", Guess, [];
        /// Changes of a period's root that are accepted at once. Further claims are ignored until
        /// [`roots_every`](Self::roots_every).
        roots_burst: u32 = 16, "changes", Guess: "more than the changes of root when 10,000 nodes claim to be it in random order", [];
        /// The interval at which one more change of a period's root is accepted.
        roots_every: Duration = Duration::from_secs(5), "seconds", Guess, [];
        /// How long a parent may take to bring a sequence number that another neighbour has brought. Then it is
        /// replaced (SPEC 8.5.4).
        tree_patience: Duration = Duration::from_secs(1), "seconds", Guess, [];
        /// The least time between two tree adverts without a new root or sequence number. A change waits until then
        /// (SPEC 8.3.3).
        tree_advert_every: Duration = Duration::from_millis(150), "seconds", Spec, [];
        /// How long after the new parent the former parent is told of the change (SPEC 8.5.7). Until then both push
        /// entries.
        tree_overlap: Duration = Duration::from_millis(200), "seconds", Guess, [];
        /// Entries within [`parent_failures_window`](Self::parent_failures_window) that a parent did not push and that
        /// others had to be asked for. A parent that fails this often is replaced (SPEC 8.5.8). A neighbour
        /// that left this many requests in a row unanswered does not become a parent.
        parent_failures: usize = 3, "entries", Spec, [];
        /// The time over which [`parent_failures`](Self::parent_failures) counts.
        parent_failures_window: Duration = Duration::from_secs(30), "seconds", Spec, [];
        /// A parent that became one more recently than this is not blamed for missing entries (SPEC 8.5.8).
        parent_settled: Duration = Duration::from_secs(2), "seconds", Spec, [];
        /// How long a neighbour that failed as a parent cannot be one again (SPEC 8.5.8).
        parent_barred: Duration = Duration::from_secs(60), "seconds", Spec, [];
        /// The least time between two `LINKS` to one neighbour. A change waits until then (SPEC 8.10.2).
        links_every: Duration = Duration::from_secs(1), "seconds", Spec, [];
        /// From the arrival of an entry to its announcement by the lower of two ids (SPEC 8.8.2).
        announce_after: Duration = Duration::from_millis(100), "seconds", Spec, [];
        /// How much later the higher of two ids announces an entry (SPEC 8.8.3). It need not announce what the lower
        /// one has announced.
        announce_tiebreak: Duration = Duration::from_millis(50), "seconds", Measured: "`gossip::tests`, with latencies of 10 to 50 ms", [];
        /// The most ids that wait to be announced to one neighbour. With one more, the oldest is left to
        /// reconciliation.
        announced: usize = 4096, "entries", Guess, [nonzero] => Announced;
        /// From the first announcement of an entry to the request for it, if the entry has not come by then (SPEC
        /// 8.9.1).
        ask_after: Duration = Duration::from_millis(150), "seconds", Spec, [];
        /// The same, while the node is not attached in the tree (SPEC 8.9.2).
        ask_after_alone: Duration = Duration::from_millis(50), "seconds", Guess: "how much later than an announcement a direct copy may come", [];
        /// From the request for an entry to the request to the next announcer (SPEC 8.9.3).
        ask_again: Duration = Duration::from_millis(300), "seconds", Spec, [nonzero];
        /// From the request for an entry to the next request to the same neighbour, if there is no other announcer. It
        /// doubles each time, up to eight times this.
        ask_same: Duration = Duration::from_secs(60), "seconds", Guess: "the time that 60 KB take on a link of 1 KB a second", [nonzero];
        /// The most requests for one entry. Then it is given up until it is announced again, or until a reconciliation.
        ask_tries: u32 = 16, "times", Guess, [];
        /// The most announcers of one entry that are remembered. With one more, the one that was asked most often is
        /// forgotten.
        announcers: usize = 16, "neighbours", Guess, [];
        /// The most announced entries that have not come. With one more, the neighbour that announced most of them
        /// loses the oldest.
        announced_missing: usize = 4096, "entries", Spec, [] => AnnouncedMissing;
        /// The most of these that one neighbour announced first. Further ones are left to a reconciliation (SPEC
        /// 8.9.10).
        announced_missing_per_link: usize = 512, "entries", Guess: "the most ids of one `IHAVE`", [] => AnnouncedMissingPerLink;
        /// The most tips that one neighbour is asked for at once after a reconciliation. Further ones wait (SPEC 9.7.4).
        requested: usize = 256, "entries", Spec, [nonzero] => Requested;
        /// The most tips to ask for after reconciliations. Further ones are left to the next reconciliation.
        fetching: usize = 10_000, "entries", Guess: "as many as the window holds", [] => Fetching;
        /// The most runs of which entries are missing and asked for. With one more, the neighbour that showed most of them
        /// loses the oldest.
        wanted: usize = 4_096, "runs", Guess: "as many as authors are tracked", [nonzero] => Wanted;
        /// The most ranges that one neighbour is asked for at once, and that one neighbour may ask for at once (SPEC 9.7.8).
        ranges: usize = 4, "ranges", Guess, [nonzero] => Ranges;
        /// The entries of a range that a neighbour is asked for first. It doubles with each answer that is whole within
        /// [`range_wait`](Self::range_wait).
        range_first: u64 = 256, "entries", Spec, [nonzero, at_most(chat.range_most)];
        /// The most entries of a range that a neighbour is asked for.
        range_most: u64 = 16_384, "entries", Guess: "more than the window holds", [nonzero];
        /// A neighbour that brings nothing of a range for this long loses it to another one (SPEC 9.7.12).
        range_wait: Duration = Duration::from_secs(2), "seconds", Spec, [nonzero];
        /// The most requests of one neighbour that wait for room on its link: entries and ranges. As many wait on a connection that
        /// claims its id (SPEC 8.9.14). Further ones are ignored.
        serving: usize = 1_024, "requests", Guess: "as many as sixteen `GRAFT`s name", [nonzero] => Serving;
        /// The most bytes in an output queue with which another entry that was asked for is queued.
        served_queue: usize = 256 * KIB, "bytes", Guess: "a quarter of `conns.queue`", [nonzero];
        /// The most answers of the store that are awaited for what neighbours asked for. Other neighbours wait for their turn.
        loads: usize = 4, "answers", Guess: "the store reads one after the other", [nonzero] => Loads;
        /// The most bytes of entries that the store is asked for at once, for one neighbour.
        load_bytes: usize = 128 * KIB, "bytes", Guess: "half of `chat.served_queue`", [nonzero];
        /// The time in which a budget of bytes is full again: what one key and one host are served, and what of ranges and
        /// tips from one neighbour is not counted against rates (SPEC 9.18).
        budget_time: Duration = Duration::from_secs(600), "seconds", Spec, [nonzero];
        /// The most entries that are remembered of one neighbour because it lacks them, or has no body for them: it is not
        /// asked for them again (SPEC 7.10.6, 8.9.12). As many tips are remembered of which it was told: it is not told of
        /// them again. With one more, the oldest is forgotten.
        bodiless: usize = 2_048, "entries", Guess: "eight times as many as it is asked for at once", [] => Bodiless;
        /// The most ids of neighbours' entries that are announced to nobody because the mesh is full. With one more, the author
        /// with most of them loses the oldest (SPEC 8.7.6).
        spared: usize = 4_096, "entry ids", Guess: "what twelve neighbours may say in that time", [] => Spared;
        /// How long such an entry is remembered: longer than a dead link is unnoticed (SPEC 8.7.6).
        spared_for: Duration = Duration::from_secs(60), "seconds", Spec, [];
        /// How long an entry that was asked for after a reconciliation is waited for, or the next one of those asked for.
        /// Then it is given up.
        asked_for: Duration = Duration::from_secs(10), "seconds", Guess, [nonzero];
        /// The most ids of recent entries that are remembered. With one more, the oldest is forgotten.
        seen: usize = 131_072, "entries", Spec, [];
        /// How long the id of a recent entry is remembered.
        seen_for: Duration = Duration::from_secs(600), "seconds", Spec, [];
        /// The average interval at which a reconciliation with a random neighbour begins (SPEC 9.6.3).
        reconcile_every: Duration = Duration::from_secs(30), "seconds", Spec, [nonzero];
        /// The least time between two reconciliations with one neighbour. On a new link, the higher of two ids begins
        /// after this time if the lower one has not (SPEC 9.6.2).
        reconcile_again: Duration = Duration::from_secs(2), "seconds", Guess, [];
    }
    /// Limits for peers without a key.
    v1: V1Limits {
        /// How long a line of a peer without a key waits for each node with a lower id that heard it, too (SPEC
        /// 10.4.2).
        step: Duration = Duration::from_secs(1), "seconds", Spec, [];
        /// Lines that are due are brought in together at multiples of this (SPEC 10.4.4).
        gather: Duration = Duration::from_millis(200), "seconds", Guess: "the interval at which one author may send entries", [];
        /// A line and an entry that are further apart in time are not taken for the same words (SPEC 10.5.1).
        match_window: Duration = Duration::from_secs(60), "seconds", Spec, [];
        /// The most lines of peers without a key that are recognised when they come again another way. With one more,
        /// the oldest of the address, or of the author, that brought most is forgotten.
        lines: usize = 4096, "lines", Guess, [] => V1Lines;
        /// The most lines that wait to be brought in. With one more, the address that has most waiting loses its last one:
        /// this node does not bring it in.
        waiting: usize = 1000, "lines", Guess, [] => V1Waiting;
        /// The most bytes of lines that wait to be brought in. Above it, the address that has most waiting loses its last
        /// one.
        waiting_bytes: usize = MIB, "bytes", Guess, [] => V1WaitingBytes;
        /// Entries a second that this node signs for peers without a key, for all of them together (SPEC 10.7). Lines
        /// wait, and the peers take turns.
        entries_per_second: u32 = 5, "entries a second", Spec, [nonzero];
        /// Entries that this node may sign for them at once.
        entries_burst: u32 = 20, "entries", Guess: "below `chat.entries_burst`, so that neighbours take them", [nonzero];
        /// Bytes a second of such lines that this node signs.
        bytes_per_second: u32 = 32 * KIB as u32, "bytes a second", Guess: "an eighth of what neighbours read", [nonzero];
        /// Bytes of such lines that this node may sign at once. The last entry may go beyond it.
        bytes_burst: u32 = 256 * KIB as u32, "bytes", Guess, [nonzero];
        /// The most ids that one peer without a key can name as linked to it. Further ones are ignored.
        linked: usize = 256, "peers", Guess, [] => V1Linked;
        /// The average time without its `PEERS` after which a version 1 peer is greeted again, so that it says which
        /// nodes are linked to it (SPEC 2.11.6).
        greet_every: Duration = Duration::from_secs(600), "seconds", Guess, [nonzero];
        /// The first pause of a series of greetings, after an event by which a version 1 peer may have forgotten this
        /// node (SPEC 2.11.2): from once to twice this. Each further pause is twice as long.
        greet_soon: Duration = Duration::from_secs(2), "seconds", Guess: "the time that a version 1 peer and the network need to see that a node is gone", [nonzero];
    }
}

impl Limits {
    /// These limits with some of them changed. The result is not checked: [`check`](Self::check) does that.
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

/// The connection slots that are left for peers with a key when peers without one use as many as they may. One is for a
/// newcomer that replaces another peer.
fn slots_for_keyed(limits: &Limits) -> usize {
    limits.conns.slots.saturating_sub(limits.conns.slots_reserved.saturating_add(1))
}
