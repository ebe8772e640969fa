//! A peer with a key of its own, which signs what the test makes up.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use proto_core::wire::Frame;
use proto_core::{ChatText, Draft, Entry, Name, NodeId};
use serde_json::{Value, json};

use crate::fuzz::peers::line;
use crate::journal::SOON;
use crate::raw::RawPeer;
use crate::sim::hostile::{Keys, behind, of_body, position};
use crate::version1::random_uuid;

/// It has proven its key, and answers nothing by itself: a node has enough of it after 45 seconds.
pub struct Signer {
    peer: RawPeer,
    keys: Keys,
    uname: Name,
    /// What it said first with each number.
    said: RefCell<BTreeMap<u64, Entry>>,
}

impl Signer {
    /// Dials and is greeted as the owner of a key that nobody had before.
    ///
    /// # Panics
    /// When nobody listens there, or who does speaks something else.
    #[track_caller]
    pub fn join(addr: SocketAddr, uname: &str) -> Self {
        let [nonce, more] = [(); 2].map(|()| random_uuid().replace('-', ""));
        let secret = format!("{nonce}{more}").as_bytes()[..32].try_into().expect("32 bytes");
        let keys = Keys::new(secret);
        let peer = RawPeer::connect(addr);
        let join = json!({
            "node_id": keys.node_id(), "uname": uname, "v": 2, "nonce": nonce, "links": 0, "key": keys.key(),
        });
        peer.send(format!("JOIN|{join}\n"));
        let theirs = peer.expect("JOIN|", SOON);
        let theirs: Value = serde_json::from_str(&theirs["JOIN|".len()..]).expect("JSON");
        let text = |key: &str| theirs[key].as_str().expect("a version 2 node with a key");
        peer.send(format!("PROOF|{}\n", keys.proof(&nonce, text("nonce"), text("key"))));
        peer.expect("PROOF|", SOON);
        Self { peer, keys, uname: uname.parse().expect("a name"), said: RefCell::default() }
    }

    /// The id that follows from its key.
    pub fn node_id(&self) -> NodeId {
        self.keys.node_id()
    }

    /// Says an entry of its first epoch with this number and time. It is behind the first one that it signed with the
    /// number before.
    #[track_caller]
    pub fn say(&self, seq: u64, at: u64, text: &str) {
        self.send(&self.sign(seq, at, text));
    }

    /// Signs such an entry, which may be sent later.
    #[track_caller]
    pub fn sign(&self, seq: u64, at: u64, text: &str) -> Entry {
        let texts = [ChatText::new(text).expect("a text")];
        let mut said = self.said.borrow_mut();
        let before = seq.checked_sub(1).and_then(|seq| said.get(&seq));
        let position = before.map_or(position(seq), |before| behind(Some(before)));
        let draft = Draft::new(1, position, at, &self.uname, &texts, [7; 16]);
        let entry: Entry = self.keys.sign_entry(&draft);
        said.entry(seq).or_insert_with(|| entry.clone());
        entry
    }

    /// Passes on what the owner of this secret says of itself at this time: that it is here, and says so again after so many
    /// seconds, or that it leaves.
    #[track_caller]
    pub fn tell_member(&self, secret: [u8; 32], uname: &str, at: u64, every: Option<u32>) {
        let keys = Keys::new(secret);
        let mut body = json!({ "uname": uname, "since": at });
        every.into_iter().for_each(|every| body["every"] = every.into());
        let body = body.to_string();
        let names = of_body("presence", &body);
        let header = format!(r#"{{"class":"live","key":"{}","epoch":1,"at":{at},{names}}}"#, keys.key());
        self.peer.send(keys.signed_line(&header, &body));
    }

    /// Waits until it is asked for a range, and has nothing of it.
    #[track_caller]
    pub fn deny_range(&self) {
        let query = self.peer.expect("RANGE|", SOON);
        let fields: Vec<_> = query.trim_end().split(';').collect();
        let [_, _, _, _, numbers, tag] = fields[..] else { panic!("{query}") };
        let (_, last) = numbers.split_once('-').expect("two numbers");
        let last: u64 = last.parse().expect("a number");
        self.peer.send(format!("HELD|{tag};{}\n", last + 1));
    }

    /// Sends such an entry.
    #[track_caller]
    pub fn send(&self, entry: &Entry) {
        self.peer.send(line(&Frame::Chat(entry.sealed())));
    }
}
