use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;

use super::*;
use crate::model::{Name, Version};

#[test]
fn a_sample_has_the_requested_size_and_is_fair() {
    let mut roster = Roster::default();
    for n in 0..40 {
        let node_id = NodeId::from_bytes([n; 16]);
        let info = PeerInfo {
            node_id,
            uname: Name::cut("x").unwrap(),
            listen_addr: None,
            remote_addr: ([127, 0, 0, 1], 1).into(),
            version: Version::V2,
            key: None,
            sealed: false,
        };
        roster.insert(Arc::new(info), ConnId(n.into()));
    }
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut counts = [0; 40];
    let eligible = |peer: &LinkedPeer| peer.info.node_id != NodeId::from_bytes([7; 16]);
    for _ in 0..1000 {
        let sample = roster.sample(10, eligible, &mut random);
        assert_eq!(sample.len(), 10);
        for peer in sample {
            counts[peer.active.0 as usize] += 1;
        }
    }
    assert_eq!(counts[7], 0);
    for (n, count) in counts.into_iter().enumerate().filter(|(n, _)| *n != 7) {
        assert!((180..340).contains(&count), "{n}: {count}, about 256 expected");
    }
    assert_eq!(roster.sample(64, eligible, &mut random).len(), 39);
}
