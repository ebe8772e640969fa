//! Which claims a node believes, when it claims to be the root, and when it gives up its parent.

use alloc::collections::BTreeSet;
use core::time::Duration;

use super::super::election::{rank, signed_bytes};
use super::super::{EntryMeta, Gossip};
use crate::chat::FalseClaim;
use crate::chat::testing::{generator, secs};
use crate::model::{EntryId, Identity, Instant, Limits, Moment, NetworkId, NodeId, Purpose, Signature};
use crate::wire::{Frame, TreeClaim};

const PERIOD: u64 = 472_000;
const NANO: Duration = Duration::from_nanos(1);

/// A node and its neighbours. The neighbours are in the order of their ranks, and the node has the highest
/// rank.
struct Fixture {
    gossip: Gossip,
    us: Identity,
    others: Vec<Identity>,
    limits: Limits,
    now: Instant,
}

impl Fixture {
    fn new(others: u8) -> Self {
        let mut all: Vec<_> = (0..=others).map(|n| Identity::from_secret(&[n; 32])).collect();
        all.sort_by_key(|identity| rank(PERIOD, identity.key()));
        let us = all.pop().unwrap();
        let mut fixture = Self {
            gossip: Gossip::new(us.key()),
            us,
            others: all,
            limits: Limits::default(),
            now: Instant::ORIGIN,
        };
        for index in 0..fixture.others.len() {
            let peer = fixture.id(index);
            let moment = fixture.moment();
            Gossip::linked(&mut fixture.gossip, moment, peer);
        }
        fixture
    }

    fn id(&self, index: usize) -> NodeId {
        self.others[index].node_id()
    }

    /// The wall clock begins ten minutes into the period.
    fn moment(&self) -> Moment<'static> {
        let limits: &'static Limits = Box::leak(Box::new(self.limits.clone()));
        let wall = PERIOD * 3_600_000 + 600_000 + self.now.since_origin().as_millis() as u64;
        Moment { now: self.now, wall: Some(wall), limits, network: NetworkId::OPEN }
    }

    fn wait(&mut self, duration: Duration) {
        self.now = self.now + duration;
        let moment = self.moment();
        self.gossip.timeout(moment, &self.us, &mut generator());
    }

    fn claim_of(&self, root: &Identity, sequence: u64, distance: u16) -> TreeClaim {
        claim_in(PERIOD, root, sequence, distance)
    }

    fn receive(&mut self, from: usize, claim: &TreeClaim) -> Result<(), FalseClaim> {
        let moment = self.moment();
        self.gossip.tree_received(moment, self.id(from), claim)
    }

    /// The neighbour with this index claims to be the root.
    fn claim(&mut self, index: usize, sequence: u64) {
        let claim = self.claim_of(&self.others[index], sequence, 0);
        self.receive(index, &claim).unwrap();
    }

    /// The root and the sequence number of the node's last tree advert, of the frames that are due.
    fn advertised(&mut self) -> Option<(NodeId, u64)> {
        let moment = self.moment();
        let mut last = None;
        while let Some((_, frame)) = self.gossip.next_frame(moment) {
            if let Frame::Tree(claim) = frame {
                last = Some((claim.root.node_id(), claim.sequence));
            }
        }
        last
    }

    fn root(&self) -> Option<NodeId> {
        self.gossip.standing(self.moment()).root
    }
}

fn claim_in(period: u64, root: &Identity, sequence: u64, distance: u16) -> TreeClaim {
    let message = signed_bytes(root.key(), period, sequence);
    let signature = root.sign(Purpose::Tree, NetworkId::OPEN, &message);
    TreeClaim { root: root.key(), period, sequence, signature, distance, parent: None }
}

#[test]
fn a_claim_without_a_valid_signature_or_distance_is_false() {
    let mut fixture = Fixture::new(3);
    let honest = fixture.claim_of(&fixture.others[0], 5, 0);
    let others = fixture.claim_of(&fixture.others[1], 5, 0);
    for false_claim in [
        TreeClaim { signature: others.signature, ..honest },
        TreeClaim { sequence: 6, ..honest },
        TreeClaim { distance: 1, ..honest },
    ] {
        assert_eq!(fixture.receive(0, &false_claim), Err(FalseClaim), "{false_claim:?}");
    }
    assert_eq!(fixture.receive(1, &honest), Err(FalseClaim), "only the root is at distance 0");
    assert_eq!((fixture.root(), fixture.advertised()), (None, None));
    assert_eq!(fixture.receive(0, &honest), Ok(()));
    assert_eq!(fixture.advertised(), Some((fixture.id(0), 5)));
    // A known sequence number is not verified again.
    let repeated = TreeClaim { signature: Signature::from_bytes([0; 64]), distance: 1, ..honest };
    assert_eq!(fixture.receive(1, &repeated), Ok(()));
    fixture.claim(2, 99);
    assert_eq!(fixture.root(), Some(fixture.id(0)), "a worse root");
}

#[test]
fn sequence_numbers_rise_slowly_once_the_root_is_known() {
    let mut fixture = Fixture::new(2);
    fixture.claim(0, 1_000_000);
    assert_eq!(fixture.advertised(), Some((fixture.id(0), 1_000_000)));
    fixture.wait(Duration::from_millis(4999));
    fixture.claim(0, 1_000_001);
    assert_eq!(fixture.advertised(), None, "too soon");
    fixture.wait(Duration::from_millis(1));
    fixture.claim(0, 1_000_017);
    assert_eq!(fixture.advertised(), None, "too much");
    fixture.claim(0, 1_000_016);
    assert_eq!(fixture.advertised(), Some((fixture.id(0), 1_000_016)));
    fixture.wait(secs(29));
    fixture.claim(0, u64::MAX);
    assert_eq!(fixture.advertised(), None);
}

#[test]
fn an_expired_root_is_not_believed_again_without_a_newer_number() {
    let mut fixture = Fixture::new(3);
    fixture.claim(1, 7);
    fixture.claim(0, 40);
    assert_eq!(fixture.root(), Some(fixture.id(0)));
    fixture.wait(Duration::from_millis(29_999));
    assert_eq!(fixture.root(), Some(fixture.id(0)));
    fixture.claim(1, 8);
    fixture.wait(Duration::from_millis(1));
    assert_eq!(fixture.root(), Some(fixture.id(1)), "another neighbour's recent claim");
    fixture.claim(0, 40);
    assert_eq!(fixture.root(), Some(fixture.id(1)), "an old number");
    fixture.claim(0, 99);
    assert_eq!(fixture.root(), Some(fixture.id(0)));
}

#[test]
fn a_node_that_hears_of_no_better_root_claims_to_be_it() {
    let mut fixture = Fixture::new(2);
    let us = fixture.us.node_id();
    fixture.wait(secs(0));
    assert_eq!(fixture.root(), None, "it waits first");
    fixture.wait(fixture.limits.chat.root_wait);
    assert_eq!(fixture.root(), Some(us));
    let (_, first) = fixture.advertised().unwrap();
    assert_eq!(first, 60, "ten minutes, with a number every ten seconds");
    fixture.wait(secs(10) - NANO);
    assert_eq!(fixture.advertised(), None);
    fixture.wait(NANO);
    assert_eq!(fixture.advertised(), Some((us, 61)));
    fixture.claim(1, 0);
    assert_eq!(fixture.root(), Some(fixture.id(1)), "a better root");
    fixture.wait(secs(30));
    fixture.wait(fixture.limits.chat.root_wait);
    assert_eq!(fixture.advertised(), Some((us, 64)));
}

#[test]
fn a_restarted_root_continues_from_the_claims_of_others() {
    let mut fixture = Fixture::new(2);
    let us = fixture.us.clone();
    let ours = fixture.claim_of(&us, 500, 1);
    assert_eq!(
        fixture.receive(0, &TreeClaim { signature: Signature::from_bytes([0; 64]), ..ours }),
        Err(FalseClaim)
    );
    assert_eq!(fixture.receive(0, &ours), Ok(()));
    fixture.wait(secs(0));
    assert_eq!(fixture.advertised(), Some((us.node_id(), 501)));
    assert_eq!(fixture.receive(0, &ours), Ok(()), "nothing new");
    assert_eq!(fixture.advertised(), None);
}

#[test]
fn root_changes_are_rate_limited() {
    let mut fixture = Fixture::new(20);
    let burst = fixture.limits.chat.roots_burst as usize;
    for taken in 0..burst {
        let index = 19 - taken;
        fixture.claim(index, 1);
        assert_eq!(fixture.root(), Some(fixture.id(index)));
    }
    assert_eq!(fixture.gossip.lost().roots, 0);
    fixture.claim(0, 1);
    fixture.wait(fixture.limits.chat.roots_every - NANO);
    fixture.claim(0, 1);
    assert_eq!((fixture.root(), fixture.gossip.lost().roots), (Some(fixture.id(20 - burst)), 2));
    fixture.wait(NANO);
    fixture.claim(0, 1);
    assert_eq!((fixture.root(), fixture.gossip.lost().roots), (Some(fixture.id(0)), 2));
    // The counter outlives the tree.
    fixture.wait(secs(2 * 3600));
    assert_eq!(fixture.gossip.lost().roots, 2);
}

/// A node with a new parent, and another neighbour that is as near to the root.
fn fixture_with_parent() -> Fixture {
    let mut fixture = Fixture::new(3);
    fixture.advertise_below(1);
    assert_eq!(fixture.parent(), Some(1));
    fixture
}

impl Fixture {
    /// The second and third neighbour advertise the first as their root and parent, with this sequence
    /// number.
    fn advertise_below(&mut self, sequence: u64) {
        let claim = TreeClaim { parent: Some(self.id(0)), ..self.claim_of(&self.others[0], sequence, 1) };
        for index in [1, 2] {
            self.receive(index, &claim).unwrap();
        }
    }

    /// Time passes while the root signs new sequence numbers.
    fn keep_alive(&mut self, time: Duration, sequence: &mut u64) {
        let end = self.now + time;
        while self.now < end {
            let step = end.since(self.now).min(secs(10));
            self.wait(step);
            *sequence += 1;
            self.advertise_below(*sequence);
        }
    }

    fn parent(&self) -> Option<usize> {
        let parent = self.gossip.standing(self.moment()).parent?;
        (0..self.others.len()).find(|index| self.id(*index) == parent)
    }

    /// Entries came upon request that the parent should have pushed.
    fn fail_parent(&mut self, times: usize) {
        let moment = self.moment();
        (0..times).for_each(|_| self.gossip.trees.parent_failed(moment, moment.wall.unwrap()));
    }
}

#[test]
fn what_is_not_held_goes_to_all_from_its_author_and_from_others_along_the_tree() {
    let fixture = fixture_with_parent();
    let moment = fixture.moment();
    let live = |author, from| {
        let meta = EntryMeta { id: EntryId::from_bytes([9; 32]), at: moment.wall.unwrap(), author, from };
        fixture.gossip.relay_live(moment, meta)
    };
    let all: BTreeSet<_> = (0..3).map(|index| fixture.id(index)).collect();
    assert!(live(fixture.us.node_id(), None).into_iter().eq(all));
    assert_eq!(live(fixture.id(2), Some(fixture.id(2))), [fixture.id(1)]);
    assert_eq!(live(NodeId::from_bytes([5; 16]), Some(fixture.id(1))), []);
}

#[test]
fn a_settled_parent_is_given_up_after_enough_failures_within_the_window() {
    let limits = Limits::default();
    let most = limits.chat.parent_failures;
    for failures in [most - 1, most, most + 1] {
        let mut fixture = fixture_with_parent();
        fixture.wait(limits.chat.parent_settled + NANO);
        fixture.fail_parent(failures);
        assert_eq!(fixture.parent(), Some(if failures < most { 1 } else { 2 }), "{failures}");
    }
    for (since, blamed) in [(limits.chat.parent_settled, false), (limits.chat.parent_settled + NANO, true)] {
        let mut fixture = fixture_with_parent();
        fixture.wait(since);
        fixture.fail_parent(most);
        assert_eq!(fixture.parent() == Some(2), blamed, "{since:?}");
    }
    let window = limits.chat.parent_failures_window;
    for (apart, given_up) in [(window - NANO, true), (window, true), (window + NANO, false)] {
        let (mut fixture, mut sequence) = (fixture_with_parent(), 1);
        fixture.keep_alive(secs(5), &mut sequence);
        fixture.fail_parent(most - 1);
        fixture.keep_alive(apart, &mut sequence);
        fixture.fail_parent(1);
        assert_eq!(fixture.parent() == Some(2), given_up, "{apart:?}");
    }
}

#[test]
fn a_failed_parent_is_barred_for_some_time() {
    let barred_for = Limits::default().chat.parent_barred;
    for (time, back) in [(barred_for - NANO, false), (barred_for, true)] {
        let (mut fixture, mut sequence) = (fixture_with_parent(), 1);
        fixture.keep_alive(secs(5), &mut sequence);
        fixture.fail_parent(3);
        assert_eq!(fixture.parent(), Some(2));
        fixture.keep_alive(time, &mut sequence);
        fixture.fail_parent(3);
        assert_eq!(fixture.parent(), back.then_some(1), "{time:?}");
    }
}

#[test]
fn the_date_of_an_entry_decides_which_periods_tree_it_takes() {
    let mut fixture = Fixture::new(4);
    fixture.wait(secs(2_999));
    let best =
        (0..fixture.others.len()).min_by_key(|index| rank(PERIOD + 1, fixture.others[*index].key())).unwrap();
    fixture.claim(0, 1);
    let next = claim_in(PERIOD + 1, &fixture.others[best], 1, 0);
    fixture.receive(best, &next).unwrap();
    let turn = (PERIOD + 1) * 3_600_000 + fixture.limits.chat.root_turn.as_millis() as u64;
    for (at, period) in [(turn - 1, PERIOD), (turn, PERIOD + 1), (turn + 1, PERIOD + 1)] {
        let trees = &fixture.gossip.trees;
        let chosen = trees.tree_for(fixture.moment(), Some(at)).unwrap();
        assert!(core::ptr::eq(chosen, trees.of_period(period).unwrap()), "{at}");
    }
}

#[test]
fn claims_for_distant_periods_are_ignored() {
    let mut fixture = Fixture::new(4);
    for period in [0, PERIOD - 1, PERIOD + 1, u64::MAX] {
        let claim = TreeClaim { period, ..fixture.claim_of(&fixture.others[0], 1, 0) };
        assert_eq!(fixture.receive(0, &claim), Ok(()), "{period}: not verified");
    }
    assert_eq!((fixture.root(), fixture.advertised()), (None, None));
    // Claims for the next period are read from four minutes before it begins.
    fixture.wait(secs(2759));
    let best =
        (0..fixture.others.len()).min_by_key(|index| rank(PERIOD + 1, fixture.others[*index].key())).unwrap();
    let next = TreeClaim { period: PERIOD + 1, ..fixture.claim_of(&fixture.others[best], 1, 0) };
    assert_eq!(fixture.receive(best, &next), Ok(()));
    fixture.wait(secs(1));
    assert_eq!(fixture.receive(best, &next), Err(FalseClaim), "it is verified");
}

#[test]
fn a_node_without_neighbours_does_nothing() {
    let mut fixture = Fixture::new(1);
    fixture.wait(secs(0));
    fixture.wait(fixture.limits.chat.root_wait);
    assert!(fixture.root().is_some());
    let moment = fixture.moment();
    fixture.gossip.unlinked(moment, fixture.id(0));
    assert_eq!((fixture.root(), fixture.gossip.deadline(moment), fixture.advertised()), (None, None, None));
    fixture.gossip.linked(moment, fixture.id(0));
    fixture.wait(secs(0));
    fixture.wait(fixture.limits.chat.root_wait);
    assert_eq!(fixture.advertised(), Some((fixture.us.node_id(), 61)), "the number after the last");
}
