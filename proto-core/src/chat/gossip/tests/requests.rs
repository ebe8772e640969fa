//! An entry is requested from a neighbour once, whether it announced the entry, a reconciliation showed it, or both. While
//! many are, there is no further reconciliation.

use alloc::vec::Vec;
use core::time::Duration;

use super::super::Gossip;
use crate::chat::testing::{at, entry_id as id, generator, moment, peer};
use crate::model::{EntryId, Identity, Limits, Moment, NodeId};
use crate::wire::{Frame, MAX_GRAFT};

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
        gossip.fetch_tips(moment, peer(1), [1, 2, 3].map(id));
    });
    assert_eq!(grafts, [(peer(1), [1, 2].map(id).to_vec()), (peer(1), [id(3)].to_vec())]);
}

#[test]
fn what_a_reconciliation_showed_is_not_requested_after_an_announcement_too() {
    let grafts = requests(|gossip, moment| {
        gossip.fetch_tips(moment, peer(1), [1, 2].map(id));
        gossip.ihave_received(moment, peer(1), &[1, 2].map(id), |_| false);
    });
    assert_eq!(grafts, [(peer(1), [1, 2].map(id).to_vec())]);
}

#[test]
fn what_one_neighbour_announced_is_requested_from_another_after_a_reconciliation() {
    let grafts = requests(|gossip, moment| {
        gossip.ihave_received(moment, peer(1), &[id(1)], |_| false);
        gossip.fetch_tips(moment, peer(2), [id(1)]);
    });
    assert_eq!(grafts, [(peer(1), [id(1)].to_vec()), (peer(2), [id(1)].to_vec())]);
}

/// Whether a reconciliation begins 10 s after the first one.
fn reconciles_again(learn: impl FnOnce(&mut Gossip, Moment<'_>)) -> bool {
    let limits = Limits::default();
    let mut gossip = Gossip::new(Identity::from_secret(&[1; 32]).key());
    let moment = moment(0, &limits);
    gossip.linked(moment, peer(1));
    gossip.peer_began_sync(peer(1), at(0));
    learn(&mut gossip, moment);
    gossip.sync_with(moment, peer(1));
    gossip.due_for_sync(Moment { now: at(10_000), ..moment }, &mut generator(), |_| false).is_some()
}

#[test]
fn no_reconciliation_begins_while_one_side_catches_up() {
    let few = MAX_GRAFT - 1;
    let ids = |count: usize| (0..count as u16).map(id).collect::<Vec<_>>();
    assert!(reconciles_again(|_, _| {}));
    assert!(reconciles_again(|gossip, moment| gossip.fetch_tips(moment, peer(1), ids(few))));
    assert!(!reconciles_again(|gossip, moment| gossip.fetch_tips(moment, peer(1), ids(MAX_GRAFT))));
    assert!(!reconciles_again(|gossip, moment| {
        gossip.ihave_received(moment, peer(1), &ids(MAX_GRAFT), |_| false);
    }));
    assert!(reconciles_again(|gossip, moment| gossip.graft_received(moment.now, peer(1), few)));
    assert!(!reconciles_again(|gossip, moment| gossip.graft_received(moment.now, peer(1), MAX_GRAFT)));
}

#[test]
fn what_a_neighbour_lacked_is_requested_again_when_it_announces_it() {
    let grafts = requests(|gossip, moment| {
        gossip.lacks(moment, peer(1), id(1));
        gossip.lacks_body(moment, peer(1), id(2));
        gossip.fetch_tips(moment, peer(1), [1, 2].map(id));
        gossip.ihave_received(moment, peer(1), &[1, 2].map(id), |_| false);
    });
    assert_eq!(grafts, [(peer(1), [id(1)].to_vec())], "the body of the other one stays away");
}

#[test]
fn a_neighbour_that_asked_in_vain_is_told_again() {
    let limits = Limits::default();
    let mut gossip = Gossip::new(Identity::from_secret(&[1; 32]).key());
    let moment = moment(0, &limits);
    gossip.linked(moment, peer(1));
    let told = |gossip: &mut Gossip| gossip.tips_to_tell(moment, peer(1), [id(1)].into()).len();
    assert_eq!((told(&mut gossip), told(&mut gossip)), (1, 0));
    gossip.lacks_here(peer(1), &[id(1)]);
    assert_eq!((told(&mut gossip), told(&mut gossip)), (1, 0));
}
