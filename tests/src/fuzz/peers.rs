//! Peers with keys, for scripts and properties: all that they sign follows from small numbers.

use std::sync::{Arc, LazyLock};

use negentropy::{Id, Negentropy, NegentropyStorageVector};
use proto_core::wire::{Frame, Token, TreeClaim};
use proto_core::{
    ChatText, Draft, Entry, EntryId, MAX_NUMBER, Name, NodeId, PublicKey, Room, Signature, Via,
};

use crate::sim::hostile::{Keys, behind, of_body, position};

/// How many peers have keys.
pub const PEERS: usize = 6;

/// The most bytes of a negentropy message of theirs.
const MAX_MESSAGE: u64 = 5_000;

static KEYS: LazyLock<Vec<Keys>> =
    LazyLock::new(|| (0..PEERS).map(|index| Keys::new([index as u8 + 0x40; 32])).collect());

/// The keys of a peer; they are counted from zero and start again at the end.
pub fn keys(index: usize) -> &'static Keys {
    &KEYS[index % PEERS]
}

/// Whose key this is.
pub fn with_key(key: PublicKey) -> Option<&'static Keys> {
    KEYS.iter().find(|keys| keys.key() == key)
}

/// The id of a peer without a key.
pub fn id_without_key(index: usize) -> NodeId {
    NodeId::from_bytes([index as u8 * 8; 16])
}

/// The line of a frame.
pub fn line(frame: &Frame<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    frame.encode(&mut line);
    line
}

/// What shows the node with this key, which said `theirs` on a connection, that who said `ours` there has its key.
pub fn proof(keys: &Keys, ours: &Token, theirs: &Token, their_key: PublicKey) -> Signature {
    let text = keys.proof(ours.as_str(), theirs.as_str(), &their_key.to_string());
    Signature::new(&text).expect("a signature")
}

/// What an entry is made of.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The index of its author.
    pub author: usize,
    /// The number of the room in which it is said.
    pub room: Option<u64>,
    /// Its author's run.
    pub epoch: u64,
    /// Its number there.
    pub seq: u64,
    /// When it was said.
    pub at: u64,
    /// The index of the peer without a key whose words it has.
    pub via: Option<usize>,
    /// The index of a peer without a key that was told.
    pub to: Option<usize>,
    /// What is said, more than once.
    pub texts: Vec<String>,
}

impl Recipe {
    /// The entry, signed. It is behind the last of these that has the number before in its run.
    pub fn sign(&self, said: &[Arc<Entry>]) -> Entry {
        let name = |index: usize| -> Name { format!("peer {index}").parse().expect("a name") };
        let via = self.via.map(|index| Via::new(id_without_key(index), name(index)));
        let to = self.to.map(id_without_key);
        let texts: Vec<_> = self.texts.iter().map(|text| ChatText::new(text).expect("a text")).collect();
        let [epoch, seq, at] = [self.epoch, self.seq, self.at].map(|number| number.min(MAX_NUMBER));
        let uname = name(self.author);
        let room: Option<Room> = self.room.map(|room| format!("room {room}").parse().expect("a name"));
        let mut draft = Draft::new(epoch, position(seq), at, &uname, &texts, [7; 16]);
        (draft.to, draft.via, draft.room) = (to.as_slice(), via.as_ref(), room.as_ref());
        let key = keys(self.author).key();
        let is_before = |entry: &&Arc<Entry>| {
            let one_run = (entry.key(), entry.epoch(), entry.run().room.as_ref(), entry.via().is_some())
                == (key, epoch, draft.room, via.is_some());
            one_run && entry.seq().checked_add(1) == Some(seq)
        };
        if let Some(before) = said.iter().rev().find(is_before) {
            draft.position = behind(Some(before));
        }
        keys(self.author).sign_entry(&draft)
    }
}

/// The line of a claim that this root signed for who is so far from it.
pub fn tree(root: &Keys, period: u64, sequence: u64, distance: u16, parent: Option<NodeId>) -> Vec<u8> {
    format!("TREE|{}\n", root.tree(period, sequence, distance, parent)).into_bytes()
}

/// What a node said of its place, as one says it that is elsewhere.
pub fn retold(mut claim: TreeClaim, distance: u16, parent: Option<NodeId>) -> Vec<u8> {
    (claim.distance, claim.parent) = (distance, parent);
    line(&Frame::Tree(claim))
}

/// The first message of who holds these entries and has this tag, from this time on.
pub fn sync(tag: u8, since: u64, held: &[(u64, EntryId)]) -> Vec<u8> {
    let storage = storage(since, held);
    let mut side = Negentropy::borrowed(&storage, MAX_MESSAGE).expect("a legal size");
    sync_message(tag, since, &side.initiate().expect("a first message"))
}

/// What who holds these entries answers to a node's message. None: it asks nothing, as an answer of the node's own or its
/// word that it compares from a later time on, in which there is nothing to read.
pub fn sync_answer(question: &[u8], held: &[(u64, EntryId)]) -> Option<Vec<u8>> {
    let (tag, rest) = question.split_first()?;
    let (since, message) = rest.split_first_chunk().filter(|_| *tag < 2)?;
    let since = u64::from_be_bytes(*since);
    let storage = storage(since, held);
    let mut side = Negentropy::borrowed(&storage, MAX_MESSAGE).expect("a legal size");
    let answer = side.reconcile(message).expect("a node's messages can be read");
    Some(sync_message(2, since, &answer))
}

/// A message as `SYNC` carries it.
pub fn sync_message(tag: u8, since: u64, message: &[u8]) -> Vec<u8> {
    [&[tag], &since.to_be_bytes()[..], message].concat()
}

fn storage(since: u64, held: &[(u64, EntryId)]) -> NegentropyStorageVector {
    let mut storage = NegentropyStorageVector::new();
    for (at, id) in held.iter().filter(|(at, _)| *at >= since) {
        storage.insert(*at, Id::from_byte_array(*id.as_bytes())).expect("it is not sealed");
    }
    storage.seal().expect("it is not sealed");
    storage
}

/// The line of an entry of an unknown kind, of the class `live` or kept: what these say.
pub fn unknown(author: usize, live: bool, at: u64, body: &str) -> Vec<u8> {
    let (keys, names) = (keys(author), of_body("unknown", body));
    let labels = if live { r#""class":"live""# } else { r#""seq":0"# };
    let header = format!(r#"{{{labels},"key":"{}","epoch":9,"at":{at},{names}}}"#, keys.key());
    keys.signed_line(&header, body)
}
