//! Peers and entries for the unit tests.

use std::sync::Arc;

use proto_core::{ChatText, Draft, Entry, Identity, Name, NodeId, PeerInfo, Version, Via};

/// A peer of version 2. Each byte of its id is `number`.
pub(crate) fn peer(number: u8, uname: &str) -> PeerInfo {
    let (node_id, addr) = (NodeId::from_bytes([number; 16]), "127.0.0.1:9".parse().unwrap());
    let mut peer = PeerInfo::new(node_id, Name::cut(uname).unwrap(), addr);
    peer.version = Version::V2;
    peer
}

/// An entry of epoch 1. Each byte of its author's secret is `author`.
pub(crate) fn entry(
    author: u8,
    [seq, at]: [u64; 2],
    uname: &str,
    texts: &[impl AsRef<str>],
    via: Option<&Via>,
) -> Arc<Entry> {
    let texts: Vec<_> = texts.iter().map(|text| ChatText::new(text.as_ref()).unwrap()).collect();
    let uname = Name::cut(uname).unwrap();
    let mut draft = Draft::new(1, seq, at, &uname, &texts);
    draft.via = via;
    Arc::new(Entry::sign(&Identity::from_secret(&[author; 32]), &draft))
}
