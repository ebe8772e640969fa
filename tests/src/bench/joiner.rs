//! Peers that do no more than join.

use std::net::SocketAddr;

use proto_core::NodeId;
use proto_core::wire::{Frame, Hello, Join, PeerRecord, Token};

/// The `JOIN` of the version 2 peer with this number, which can be dialed, or so it says.
pub fn join(number: u32) -> Vec<u8> {
    let (record, mut join) = (record(number), Join::default());
    (join.node_id, join.uname, join.listen_addr) = (record.node_id, record.uname, record.listen_addr);
    join.hello = Some(Hello::new(Token::from_bits(u128::from(number))));
    encode(&Frame::Join(join.into()))
}

/// The length of a `PEERS` frame that lists so many of these peers, however long it is.
pub fn peers_len(peers: u32) -> u64 {
    let empty = "PEERS|\n".len();
    let record_len = |number| encode(&Frame::Peers([record(number)].into())).len() - empty;
    let separators = peers.saturating_sub(1) as usize;
    (empty + (0..peers).map(record_len).sum::<usize>() + separators) as u64
}

/// What `PEERS` says of this peer.
fn record(number: u32) -> PeerRecord {
    let [_, high, middle, low] = number.to_be_bytes();
    let addr = |port| Some(SocketAddr::from(([127, 1 + high, middle, low], port)));
    let mut record = PeerRecord::default();
    record.node_id = Some(NodeId::from_bytes((0xfeed_u128 << 112 | u128::from(number)).to_be_bytes()));
    record.uname = format!("Peer {number:06}").parse().ok();
    (record.listen_addr, record.remote_addr) = (addr(8080), addr(40_000));
    record
}

fn encode(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_that_of_the_frame() {
        let frame = |count: u32| Frame::Peers((0..count).map(record).collect());
        for count in [1, 2, 100] {
            assert_eq!(peers_len(count), encode(&frame(count)).len() as u64);
        }
    }
}
