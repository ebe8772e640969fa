//! What peers say.

use std::sync::Arc;

use std::fmt;

use proptest::prelude::*;
use proto_core::wire::{Frame, Hello, Join, RangeEnd, RangeQuery, Token};
use proto_core::{Entry, EntryId, MAX_NUMBER, NodeId, Sealed};
use tests::fuzz::peers::{self, PEERS, Recipe, keys, line};
use tests::sim::hostile::{PERIOD_MS, SEQUENCE_MS};

use super::watch::Step;

/// Wall-clock time at the start, in milliseconds since the Unix epoch.
pub(crate) const EPOCH_MS: u64 = 1_700_000_000_000;

/// What a peer says.
#[derive(Clone)]
pub(crate) enum Said {
    Bytes(Vec<u8>),
    /// It is the peer with this index, with a key.
    JoinWithKey(usize),
    /// What proves its key for the nonces exchanged.
    Proof,
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{:?}", String::from_utf8_lossy(bytes)),
            Self::JoinWithKey(peer) => write!(f, "JOIN of {peer}"),
            Self::Proof => f.write_str("PROOF"),
        }
    }
}

/// The `JOIN` of a peer with a key.
pub(crate) fn join_with_key(peer: usize, nonce: Token) -> Vec<u8> {
    let mut hello = Hello::new(nonce);
    (hello.links, hello.key) = (peer as u16, Some(keys(peer).key()));
    let mut join = Join::default();
    (join.node_id, join.hello) = (Some(keys(peer).node_id()), Some(hello));
    line(&Frame::Join(join.into()))
}

/// Anything that anybody says.
pub(crate) fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        4 => without_key().prop_map(Said::Bytes),
        6 => with_key().prop_map(Said::Bytes),
        1 => (0..PEERS).prop_map(Said::JoinWithKey),
        1 => Just(Said::Proof),
    ]
}

/// Things that peers without a key say, most of them well formed.
fn without_key() -> impl Strategy<Value = Vec<u8>> {
    let id = (0u8..5).prop_map(|n| format!("00000000-0000-4000-8000-00000000000{n}"));
    let join = (id.clone(), 0u8..3, 0u16..3).prop_map(|(id, version, port)| {
        let hello = if version > 0 {
            format!(",\"v\":2,\"nonce\":\"n{version}\",\"links\":{version}")
        } else {
            String::new()
        };
        format!(
            "JOIN|{{\"node_id\":\"{id}\",\"uname\":\"P\",\"listen_addr\":\"127.0.0.1:900{port}\"{hello}}}\n"
        )
    });
    let peers = (id, 0u16..9).prop_map(|(id, port)| {
        format!("PEERS|{{\"node_id\":\"{id}\",\"listen_addr\":\"127.0.0.1:900{port}\"}};{{\"listen_addr\":\"9.9.9.9:900{port}\"}}\n")
    });
    prop_oneof![
        4 => join.prop_map(String::into_bytes),
        2 => peers.prop_map(String::into_bytes),
        4 => "[a-z]{1,20}".prop_map(|text| format!("MSG|{text}\n").into_bytes()),
        1 => Just(b"PING|t\n".to_vec()),
        1 => Just(b"PONG|t\n".to_vec()),
        1 => prop_oneof!["duplicate", "shutdown", "full", "self"].prop_map(|code| format!("BYE|{code}|\n").into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => Just(vec![b'x'; 5000]),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let at = prop_oneof![
        6 => EPOCH_MS - 5_000..EPOCH_MS + 5_000,
        2 => EPOCH_MS + 100_000..EPOCH_MS + 400_000,
        1 => prop_oneof![Just(0), Just(EPOCH_MS - PERIOD_MS), Just(MAX_NUMBER)],
    ];
    let seq = prop_oneof![9 => 0u64..6, 1 => prop_oneof![Just(70), Just(MAX_NUMBER - 1), Just(MAX_NUMBER)]];
    let some_peer = proptest::option::weighted(0.2, 0usize..5);
    let texts = proptest::collection::vec("[ab]", 1..3);
    let room = proptest::option::weighted(0.2, 0u64..3);
    let numbers = (room, 0u64..3, seq, at);
    let plain = proptest::bool::weighted(0.5);
    (0..PEERS, numbers, some_peer.clone(), some_peer, texts, plain).prop_map(
        |(author, (room, epoch, seq, at), via, to, texts, plain)| {
            let in_order = |seq| Recipe {
                author,
                room,
                epoch,
                seq,
                at: EPOCH_MS + seq.min(6),
                via,
                to: None,
                texts: vec!["a".into()],
            };
            // Those before it, so that some runs are not forked.
            let mut before = Vec::new();
            (0..seq.min(6)).for_each(|seq| before.push(Arc::new(in_order(seq).sign(&before))));
            let recipe = Recipe { at, to, texts, ..in_order(seq) };
            if plain { in_order(seq) } else { recipe }.sign(&before)
        },
    )
}

fn ids(most: usize) -> impl Strategy<Value = Vec<EntryId>> {
    let id = prop_oneof![
        4 => entry().prop_map(|entry| entry.id()),
        1 => any::<u8>().prop_map(|byte| EntryId::from_bytes([byte; 32])),
    ];
    proptest::collection::vec(id, 1..most)
}

fn circle() -> impl Strategy<Value = Vec<NodeId>> {
    proptest::collection::vec((0..PEERS).prop_map(|peer| keys(peer).node_id()), 0..5)
}

fn tree() -> impl Strategy<Value = Vec<u8>> {
    let period = (EPOCH_MS / PERIOD_MS - 1)..=(EPOCH_MS / PERIOD_MS + 1);
    let step = EPOCH_MS % PERIOD_MS / SEQUENCE_MS;
    let sequence = prop_oneof![4 => step..step + 20, 1 => Just(u64::MAX)];
    let distance = prop_oneof![4 => 0u16..4, 1 => Just(u16::MAX)];
    let parent = proptest::option::of((0..PEERS).prop_map(|peer| keys(peer).node_id()));
    (0..PEERS, period, sequence, distance, parent).prop_map(|(root, period, sequence, distance, parent)| {
        peers::tree(keys(root), period, sequence, distance, parent)
    })
}

fn sync() -> impl Strategy<Value = Vec<u8>> {
    let held = proptest::collection::vec(entry().prop_map(|entry| (entry.at(), entry.id())), 0..4);
    let since = prop_oneof![2 => Just(0), 1 => EPOCH_MS - 10_000..EPOCH_MS + 10_000];
    let noise = proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        3 => (0u8..4, since, held).prop_map(|(tag, since, held)| peers::sync(tag, since, &held)),
        1 => (0u8..5, noise).prop_map(|(tag, noise)| peers::sync_message(tag, 0, &noise)),
    ]
}

/// Things that peers with a key say.
fn with_key() -> impl Strategy<Value = Vec<u8>> {
    let chat = || entry().prop_map(|entry| line(&Frame::Chat(entry.sealed())));
    prop_oneof![
        6 => chat(),
        1 => entry().prop_map(|entry| line(&Frame::Chat(Sealed { body: "", ..entry.sealed() }))),
        1 => (0..PEERS, any::<bool>(), EPOCH_MS - 200_000..EPOCH_MS + 200_000, "[a-z|]{0,5}")
            .prop_map(|(author, live, at, body)| peers::unknown(author, live, at, &body)),
        1 => (chat(), any::<prop::sample::Index>(), 0..7).prop_map(|(mut chat, at, bit)| {
            let at = at.index(chat.len());
            chat[at] ^= 1u8 << bit;
            chat
        }),
        2 => ids(8).prop_map(|ids| line(&Frame::Ihave(ids))),
        1 => ids(8).prop_map(|ids| line(&Frame::Graft(ids))),
        1 => ids(8).prop_map(|ids| line(&Frame::Lack(ids))),
        2 => (entry(), 0..6_u64, 0..6_u64, 0..4_u64).prop_filter_map("no range", |(entry, first, last, tag)| {
            RangeQuery::new(entry.run().clone(), first, last, tag).map(|query| line(&Frame::Range(query)))
        }),
        2 => (0..12_u64, 0..9_u64).prop_filter_map("no end", |(tag, next)| {
            RangeEnd::new(tag, next).map(|end| line(&Frame::Held(end)))
        }),
        2 => tree(),
        1 => circle().prop_map(|ids| line(&Frame::Links(ids))),
        2 => sync().prop_map(|bytes| line(&Frame::Sync(bytes))),
    ]
}

/// Anything that happens.
pub(crate) fn step() -> impl Strategy<Value = Step> {
    let pick = any::<usize>();
    prop_oneof![
        3 => any::<u8>().prop_map(|host| Step::Accept { host }),
        3 => (pick, any::<bool>()).prop_map(|(pick, success)| Step::Answer { pick, success }),
        4 => (any::<u8>(), 0..PEERS).prop_map(|(host, peer)| Step::Link { host, peer }),
        24 => (pick, proptest::collection::vec(said(), 1..4)).prop_map(|(pick, said)| Step::Receive { pick, said }),
        6 => pick.prop_map(|pick| Step::Flush { pick }),
        1 => pick.prop_map(|pick| Step::Close { pick }),
        2 => (0u64..60_000).prop_map(|millis| Step::Timeout { millis }),
        1 => prop_oneof![EPOCH_MS - 100_000..EPOCH_MS + 400_000, any::<u64>()]
            .prop_map(|unix_ms| Step::WallClock { unix_ms }),
        4 => Just(Step::Wake),
        2 => "[a-z\n]{0,40}".prop_map(Step::Say),
        1 => (0usize..120_000).prop_map(|len| Step::Say("x".repeat(len))),
        1 => (1u16..20).prop_map(Step::Connect),
        1 => "[a-z]{0,9}".prop_map(Step::Rename),
        6 => Just(Step::Drain),
    ]
}
