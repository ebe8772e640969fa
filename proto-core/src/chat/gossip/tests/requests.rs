//! An entry is requested from a neighbour once, whether it announced the entry, a reconciliation showed it, or both.

use alloc::vec::Vec;
use core::time::Duration;

use super::super::Gossip;
use crate::chat::testing::{at, entry_id as id, generator, moment, peer};
use crate::model::{EntryId, Identity, Limits, Moment, NodeId};
use crate::wire::Frame;

/// What is requested, and from whom, after two neighbours were linked and `learn` was told of entries.
fn requests(learn: impl FnOnce(&mut Gossip, Moment<'_>)) -> Vec<(NodeId, Vec<EntryId>)> {
    let us = Identity::from_secret(&[1; 32]);
    let limits = Limits::default();
    let mut gossip = Gossip::new(us.key());
    let moment = moment(0, &limits);
    [1, 2].into_iter().for_each(|n| gossip.linked(moment, peer(n)));
    learn(&mut gossip, moment);
    let mut grafts = Vec::new();
    for millis in (0..1000).step_by(50) {
        let now = at(0) + Duration::from_millis(millis);
        let moment = Moment { now, ..moment };
        gossip.timeout(moment, &us, &mut generator());
        while let Some((peer, frame)) = gossip.next_frame(moment) {
            if let Frame::Graft(ids) = frame {
                grafts.push((peer, ids));
            }
        }
    }
    grafts
}

#[test]
fn what_a_neighbour_announced_is_not_requested_after_a_reconciliation_too() {
    let grafts = requests(|gossip, moment| {
        gossip.ihave_received(moment, peer(1), &[1, 2].map(id), |_| false);
        gossip.fetch_synced(moment, peer(1), [1, 2, 3].map(id));
    });
    assert_eq!(grafts, [(peer(1), [1, 2].map(id).to_vec()), (peer(1), [id(3)].to_vec())]);
}

#[test]
fn what_a_reconciliation_showed_is_not_requested_after_an_announcement_too() {
    let grafts = requests(|gossip, moment| {
        gossip.fetch_synced(moment, peer(1), [1, 2].map(id));
        gossip.ihave_received(moment, peer(1), &[1, 2].map(id), |_| false);
    });
    assert_eq!(grafts, [(peer(1), [1, 2].map(id).to_vec())]);
}

#[test]
fn what_one_neighbour_announced_is_requested_from_another_after_a_reconciliation() {
    let grafts = requests(|gossip, moment| {
        gossip.ihave_received(moment, peer(1), &[id(1)], |_| false);
        gossip.fetch_synced(moment, peer(2), [id(1)]);
    });
    assert_eq!(grafts, [(peer(1), [id(1)].to_vec()), (peer(2), [id(1)].to_vec())]);
}
