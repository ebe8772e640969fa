//! Which claims a node believes.

use core::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;

use super::super::Gossip;
use super::super::election::{rank, signed_bytes};
use crate::chat::FalseClaim;
use crate::model::{Identity, Instant, Limits, Moment, NodeId, Purpose, Signature};
use crate::wire::{Frame, TreeClaim};

const PERIOD: u64 = 472_000;
const NANO: Duration = Duration::from_nanos(1);

/// A node, and others in the order of their ranks; the node ranks last.
struct Bench {
    gossip: Gossip,
    us: Identity,
    others: Vec<Identity>,
    limits: Limits,
    now: Instant,
}

impl Bench {
    fn new(others: u8) -> Self {
        let mut all: Vec<_> = (0..=others).map(|n| Identity::from_secret(&[n; 32])).collect();
        all.sort_by_key(|identity| rank(PERIOD, identity.key()));
        let us = all.pop().unwrap();
        let mut bench = Self {
            gossip: Gossip::new(us.key()),
            us,
            others: all,
            limits: Limits::default(),
            now: Instant::ORIGIN,
        };
        for index in 0..bench.others.len() {
            let peer = bench.id(index);
            let moment = bench.moment();
            Gossip::linked(&mut bench.gossip, moment, peer);
        }
        bench
    }

    fn id(&self, index: usize) -> NodeId {
        self.others[index].node_id()
    }

    /// Ten minutes into the period at first.
    fn moment(&self) -> Moment<'static> {
        let limits: &'static Limits = Box::leak(Box::new(self.limits.clone()));
        let wall = PERIOD * 3_600_000 + 600_000 + self.now.since_origin().as_millis() as u64;
        Moment { now: self.now, wall: Some(wall), limits }
    }

    fn wait(&mut self, duration: Duration) {
        self.now = self.now + duration;
        let moment = self.moment();
        self.gossip.timeout(moment, &self.us, &mut ChaCha8Rng::seed_from_u64(1));
    }

    fn claim_of(&self, root: &Identity, sequence: u64, distance: u16) -> TreeClaim {
        claim_in(PERIOD, root, sequence, distance)
    }

    fn told(&mut self, from: usize, claim: &TreeClaim) -> Result<(), FalseClaim> {
        let moment = self.moment();
        self.gossip.tree_received(moment, self.id(from), claim)
    }

    /// The neighbour with this index says that it is the root.
    fn claims(&mut self, index: usize, sequence: u64) {
        let claim = self.claim_of(&self.others[index], sequence, 0);
        self.told(index, &claim).unwrap();
    }

    /// Whose root it is, by index, and the sequence number that we pass on; of the frames that are due.
    fn passed_on(&mut self) -> Option<(NodeId, u64)> {
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
    let signature = root.sign(Purpose::Tree, &message);
    TreeClaim { root: root.key(), period, sequence, signature, distance, parent: None }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn what_is_not_signed_by_the_root_is_a_violation() {
    let mut bench = Bench::new(3);
    let honest = bench.claim_of(&bench.others[0], 5, 0);
    let others = bench.claim_of(&bench.others[1], 5, 0);
    for false_claim in [
        TreeClaim { signature: others.signature, ..honest },
        TreeClaim { sequence: 6, ..honest },
        TreeClaim { distance: 1, ..honest },
    ] {
        assert_eq!(bench.told(0, &false_claim), Err(FalseClaim), "{false_claim:?}");
    }
    assert_eq!(bench.told(1, &honest), Err(FalseClaim), "only the root is at distance 0");
    assert_eq!((bench.root(), bench.passed_on()), (None, None));
    assert_eq!(bench.told(0, &honest), Ok(()));
    assert_eq!(bench.passed_on(), Some((bench.id(0), 5)));
    // What is known already is not looked at again.
    let repeated = TreeClaim { signature: Signature::from_bytes([0; 64]), distance: 1, ..honest };
    assert_eq!(bench.told(1, &repeated), Ok(()));
    bench.claims(2, 99);
    assert_eq!(bench.root(), Some(bench.id(0)), "a worse root");
}

#[test]
fn numbers_rise_slowly_except_at_first_sight() {
    let mut bench = Bench::new(2);
    bench.claims(0, 1_000_000);
    assert_eq!(bench.passed_on(), Some((bench.id(0), 1_000_000)));
    bench.wait(Duration::from_millis(4999));
    bench.claims(0, 1_000_001);
    assert_eq!(bench.passed_on(), None, "too soon");
    bench.wait(Duration::from_millis(1));
    bench.claims(0, 1_000_017);
    assert_eq!(bench.passed_on(), None, "too much");
    bench.claims(0, 1_000_016);
    assert_eq!(bench.passed_on(), Some((bench.id(0), 1_000_016)));
    bench.wait(secs(29));
    bench.claims(0, u64::MAX);
    assert_eq!(bench.passed_on(), None);
}

#[test]
fn a_root_that_was_silent_is_not_believed_again_without_a_newer_number() {
    let mut bench = Bench::new(3);
    bench.claims(1, 7);
    bench.claims(0, 40);
    assert_eq!(bench.root(), Some(bench.id(0)));
    bench.wait(Duration::from_millis(29_999));
    assert_eq!(bench.root(), Some(bench.id(0)));
    bench.claims(1, 8);
    bench.wait(Duration::from_millis(1));
    assert_eq!(bench.root(), Some(bench.id(1)), "another's claim came lately");
    bench.claims(0, 40);
    assert_eq!(bench.root(), Some(bench.id(1)), "an old number");
    bench.claims(0, 99);
    assert_eq!(bench.root(), Some(bench.id(0)));
}

#[test]
fn a_node_that_hears_of_no_better_is_the_root_itself() {
    let mut bench = Bench::new(2);
    let us = bench.us.node_id();
    bench.wait(secs(0));
    assert_eq!(bench.root(), None, "it waits a moment");
    bench.wait(bench.limits.chat.root_wait);
    assert_eq!(bench.root(), Some(us));
    let (_, first) = bench.passed_on().unwrap();
    assert_eq!(first, 60, "ten minutes and a number each ten seconds");
    bench.wait(secs(10) - NANO);
    assert_eq!(bench.passed_on(), None);
    bench.wait(NANO);
    assert_eq!(bench.passed_on(), Some((us, 61)));
    bench.claims(1, 0);
    assert_eq!(bench.root(), Some(bench.id(1)), "a better one");
    bench.wait(secs(30));
    bench.wait(bench.limits.chat.root_wait);
    assert_eq!(bench.passed_on(), Some((us, 64)));
}

#[test]
fn a_restarted_root_goes_on_from_what_others_hold() {
    let mut bench = Bench::new(2);
    let us = bench.us.clone();
    let ours = bench.claim_of(&us, 500, 1);
    assert_eq!(
        bench.told(0, &TreeClaim { signature: Signature::from_bytes([0; 64]), ..ours }),
        Err(FalseClaim)
    );
    assert_eq!(bench.told(0, &ours), Ok(()));
    bench.wait(secs(0));
    assert_eq!(bench.passed_on(), Some((us.node_id(), 501)));
    assert_eq!(bench.told(0, &ours), Ok(()), "nothing new");
    assert_eq!(bench.passed_on(), None);
}

#[test]
fn only_so_many_new_roots_are_taken() {
    let mut bench = Bench::new(20);
    let burst = bench.limits.chat.roots_burst as usize;
    for taken in 0..burst {
        let index = 19 - taken;
        bench.claims(index, 1);
        assert_eq!(bench.root(), Some(bench.id(index)));
    }
    assert_eq!(bench.gossip.lost().roots, 0);
    bench.claims(0, 1);
    bench.wait(bench.limits.chat.roots_every - NANO);
    bench.claims(0, 1);
    assert_eq!((bench.root(), bench.gossip.lost().roots), (Some(bench.id(20 - burst)), 2));
    bench.wait(NANO);
    bench.claims(0, 1);
    assert_eq!((bench.root(), bench.gossip.lost().roots), (Some(bench.id(0)), 2));
    // The count outlives the tree.
    bench.wait(secs(2 * 3600));
    assert_eq!(bench.gossip.lost().roots, 2);
}

/// A bench with a parent since just now, and another neighbour that is as near to the root.
fn bench_with_parent() -> Bench {
    let mut bench = Bench::new(3);
    bench.tell_from_below(1);
    assert_eq!(bench.parent(), Some(1));
    bench
}

impl Bench {
    /// The second and the third neighbour say that they stand below the first, whose number this is.
    fn tell_from_below(&mut self, sequence: u64) {
        let claim = TreeClaim { parent: Some(self.id(0)), ..self.claim_of(&self.others[0], sequence, 1) };
        for index in [1, 2] {
            self.told(index, &claim).unwrap();
        }
    }

    /// Time passes in which the root goes on.
    fn live(&mut self, time: Duration, sequence: &mut u64) {
        let end = self.now + time;
        while self.now < end {
            let step = end.since(self.now).min(secs(10));
            self.wait(step);
            *sequence += 1;
            self.tell_from_below(*sequence);
        }
    }

    fn parent(&self) -> Option<usize> {
        let parent = self.gossip.standing(self.moment()).parent?;
        (0..self.others.len()).find(|index| self.id(*index) == parent)
    }

    /// Entries that the parent should have brought came from others.
    fn fail(&mut self, times: usize) {
        let moment = self.moment();
        (0..times).for_each(|_| self.gossip.trees.parent_failed(moment, moment.wall.unwrap()));
    }
}

#[test]
fn a_parent_is_given_up_after_so_many_failures_within_some_time_once_it_is_settled() {
    let limits = Limits::default();
    let most = limits.chat.parent_failures;
    for failures in [most - 1, most, most + 1] {
        let mut bench = bench_with_parent();
        bench.wait(limits.chat.parent_settled + NANO);
        bench.fail(failures);
        assert_eq!(bench.parent(), Some(if failures < most { 1 } else { 2 }), "{failures}");
    }
    for (since, blamed) in [(limits.chat.parent_settled, false), (limits.chat.parent_settled + NANO, true)] {
        let mut bench = bench_with_parent();
        bench.wait(since);
        bench.fail(most);
        assert_eq!(bench.parent() == Some(2), blamed, "{since:?}");
    }
    let window = limits.chat.parent_failures_window;
    for (apart, given_up) in [(window - NANO, true), (window, true), (window + NANO, false)] {
        let (mut bench, mut sequence) = (bench_with_parent(), 1);
        bench.live(secs(5), &mut sequence);
        bench.fail(most - 1);
        bench.live(apart, &mut sequence);
        bench.fail(1);
        assert_eq!(bench.parent() == Some(2), given_up, "{apart:?}");
    }
}

#[test]
fn a_parent_that_was_given_up_is_none_for_a_while() {
    let barred = Limits::default().chat.parent_barred;
    for (time, back) in [(barred - NANO, false), (barred, true)] {
        let (mut bench, mut sequence) = (bench_with_parent(), 1);
        bench.live(secs(5), &mut sequence);
        bench.fail(3);
        assert_eq!(bench.parent(), Some(2));
        bench.live(time, &mut sequence);
        bench.fail(3);
        assert_eq!(bench.parent(), back.then_some(1), "{time:?}");
    }
}

#[test]
fn when_an_entry_was_said_decides_which_periods_tree_it_takes() {
    let mut bench = Bench::new(4);
    bench.wait(secs(2_999));
    let best =
        (0..bench.others.len()).min_by_key(|index| rank(PERIOD + 1, bench.others[*index].key())).unwrap();
    bench.claims(0, 1);
    let next = claim_in(PERIOD + 1, &bench.others[best], 1, 0);
    bench.told(best, &next).unwrap();
    let turn = (PERIOD + 1) * 3_600_000 + bench.limits.chat.root_turn.as_millis() as u64;
    for (at, period) in [(turn - 1, PERIOD), (turn, PERIOD + 1), (turn + 1, PERIOD + 1)] {
        let trees = &bench.gossip.trees;
        let taken = trees.tree_for(bench.moment(), Some(at)).unwrap();
        assert!(core::ptr::eq(taken, trees.of_period(period).unwrap()), "{at}");
    }
}

#[test]
fn other_periods_are_not_heard() {
    let mut bench = Bench::new(4);
    for period in [0, PERIOD - 1, PERIOD + 1, u64::MAX] {
        let claim = TreeClaim { period, ..bench.claim_of(&bench.others[0], 1, 0) };
        assert_eq!(bench.told(0, &claim), Ok(()), "{period}: not even looked at");
    }
    assert_eq!((bench.root(), bench.passed_on()), (None, None));
    // Four minutes before the next one its claims are.
    bench.wait(secs(2759));
    let best =
        (0..bench.others.len()).min_by_key(|index| rank(PERIOD + 1, bench.others[*index].key())).unwrap();
    let next = TreeClaim { period: PERIOD + 1, ..bench.claim_of(&bench.others[best], 1, 0) };
    assert_eq!(bench.told(best, &next), Ok(()));
    bench.wait(secs(1));
    assert_eq!(bench.told(best, &next), Err(FalseClaim), "it is looked at");
}

#[test]
fn alone_there_is_nothing_to_do() {
    let mut bench = Bench::new(1);
    bench.wait(secs(0));
    bench.wait(bench.limits.chat.root_wait);
    assert!(bench.root().is_some());
    let moment = bench.moment();
    bench.gossip.unlinked(moment, bench.id(0));
    assert_eq!((bench.root(), bench.gossip.deadline(moment), bench.passed_on()), (None, None, None));
    bench.gossip.linked(moment, bench.id(0));
    bench.wait(secs(0));
    bench.wait(bench.limits.chat.root_wait);
    assert_eq!(bench.passed_on(), Some((bench.us.node_id(), 61)), "the number after the last");
}
