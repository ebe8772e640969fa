//! Peers with a key: how they join, prove it, and speak.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Solo;
use crate::conns::sign_proof;
use crate::contract::Action;
use crate::model::{ChatText, ConnId, Draft, Entry, Identity, RunPosition, Via};
use crate::wire::Token;

/// Links a peer with a key on connection 1.
pub(super) fn keyed(solo: &mut Solo) -> Identity {
    keyed_on(solo, 1)
}

pub(super) fn keyed_on(solo: &mut Solo, conn: u64) -> Identity {
    keyed_as(solo, conn, Identity::from_secret(&[8; 32]))
}

/// The same for a peer with this key.
pub(super) fn keyed_as(solo: &mut Solo, conn: u64, identity: Identity) -> Identity {
    solo.accept(conn);
    solo.receive(conn, &join_keyed(&identity, conn, r#""uname":"Eve","links":0"#));
    solo.prove_key(&identity, conn);
    identity
}

/// The `JOIN` of a peer with a key on a connection, with these fields besides. Its nonce is `n` and the connection's number.
pub(super) fn join_keyed(identity: &Identity, conn: u64, fields: &str) -> String {
    let (id, key) = (identity.node_id(), identity.key());
    format!("JOIN|{{\"node_id\":\"{id}\",{fields},\"v\":2,\"nonce\":\"n{conn}\",\"key\":\"{key}\"}}\n")
}

impl Solo {
    /// The peer that said [`join_keyed`] on a connection proves its key.
    pub(super) fn prove_key(&mut self, identity: &Identity, conn: u64) -> Vec<Action> {
        let ours = self.node.conns.nonce(ConnId(conn)).unwrap();
        let theirs = Token::new(&format!("n{conn}")).unwrap();
        let signature = sign_proof(identity, self.node.config().network(), &theirs, &ours, self.node.key());
        self.receive(conn, &format!("PROOF|{signature}\n"))
    }
}

/// The frame of an entry. `via`: it brings in the words of this peer without a key.
pub(super) fn chat(author: &Identity, seq: u64, at: u64, via: Option<&Via>) -> String {
    chat_in(author, 1, seq, at, via)
}

/// The same in this epoch.
pub(super) fn chat_in(author: &Identity, epoch: u64, seq: u64, at: u64, via: Option<&Via>) -> String {
    chat_of(author, (epoch, seq), at, via, &["hello"])
}

/// The same with these texts.
pub(super) fn chat_of(
    author: &Identity,
    (epoch, seq): (u64, u64),
    at: u64,
    via: Option<&Via>,
    texts: &[&str],
) -> String {
    let texts: Vec<_> = texts.iter().map(|text| ChatText::new(*text).unwrap()).collect();
    let uname = "Eve".parse().unwrap();
    let draft = Draft::new(epoch, RunPosition::unlinked(seq), at, &uname, &texts, [9; 16]);
    format!("CHAT|{}\n", Entry::sign(author, &Draft { via, ..draft }).sealed())
}
