//! Which claims a node believes.

use core::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;

use super::super::election::{covered, rank};
use super::super::{Context, Gossip};
use crate::identity::Purpose;
use crate::wire::{Frame, TreeClaim};
use crate::{Identity, Instant, Limits, NodeId, Signature, Violation};

const PERIOD: u64 = 472_000;

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
            let context = bench.context();
            Gossip::linked(&mut bench.gossip, context, peer);
        }
        bench
    }

    fn id(&self, index: usize) -> NodeId {
        self.others[index].node_id()
    }

    /// Ten minutes into the period at first.
    fn context(&self) -> Context<'static> {
        let limits: &'static Limits = Box::leak(Box::new(self.limits.clone()));
        let wall = PERIOD * 3_600_000 + 600_000 + self.now.since_origin().as_millis() as u64;
        Context { now: self.now, wall: Some(wall), limits }
    }

    fn wait(&mut self, duration: Duration) {
        self.now = self.now + duration;
        let context = self.context();
        self.gossip.timeout(context, &self.us, &mut ChaCha8Rng::seed_from_u64(1));
    }

    fn claim_of(&self, root: &Identity, sequence: u64, distance: u16) -> TreeClaim {
        let message = covered(root.key(), PERIOD, sequence);
        let signature = root.sign(Purpose::Tree, &message);
        TreeClaim { root: root.key(), period: PERIOD, sequence, signature, distance, parent: None }
    }

    fn told(&mut self, from: usize, claim: &TreeClaim) -> Result<(), Violation> {
        let context = self.context();
        self.gossip.tree_told(context, self.id(from), claim)
    }

    /// The neighbour with this index says that it is the root.
    fn claims(&mut self, index: usize, sequence: u64) {
        let claim = self.claim_of(&self.others[index], sequence, 0);
        self.told(index, &claim).unwrap();
    }

    /// Whose root it is, by index, and the sequence number that we pass on; of the frames that are due.
    fn passed_on(&mut self) -> Option<(NodeId, u64)> {
        let context = self.context();
        let mut last = None;
        while let Some((_, frame)) = self.gossip.next_frame(context) {
            if let Frame::Tree(claim) = frame {
                last = Some((claim.root.node_id(), claim.sequence));
            }
        }
        last
    }

    fn root(&self) -> Option<NodeId> {
        self.gossip.standing(self.context()).root
    }
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
        assert_eq!(bench.told(0, &false_claim), Err(Violation::FalseTree), "{false_claim:?}");
    }
    assert_eq!(bench.told(1, &honest), Err(Violation::FalseTree), "only the root is at distance 0");
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
    bench.wait(bench.limits.root_wait);
    assert_eq!(bench.root(), Some(us));
    let (_, first) = bench.passed_on().unwrap();
    assert_eq!(first, 60, "ten minutes and a number each ten seconds");
    bench.wait(secs(10));
    assert_eq!(bench.passed_on(), Some((us, 61)));
    bench.claims(1, 0);
    assert_eq!(bench.root(), Some(bench.id(1)), "a better one");
    bench.wait(secs(30));
    bench.wait(bench.limits.root_wait);
    assert_eq!(bench.passed_on(), Some((us, 64)));
}

#[test]
fn a_restarted_root_goes_on_from_what_others_hold() {
    let mut bench = Bench::new(2);
    let us = bench.us.clone();
    let ours = bench.claim_of(&us, 500, 1);
    assert_eq!(
        bench.told(0, &TreeClaim { signature: Signature::from_bytes([0; 64]), ..ours }),
        Err(Violation::FalseTree)
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
    let burst = bench.limits.roots_burst as usize;
    for taken in 0..burst {
        let index = 19 - taken;
        bench.claims(index, 1);
        assert_eq!(bench.root(), Some(bench.id(index)));
    }
    bench.claims(0, 1);
    assert_eq!(bench.root(), Some(bench.id(20 - burst)));
    bench.wait(bench.limits.roots_every);
    bench.claims(0, 1);
    assert_eq!(bench.root(), Some(bench.id(0)));
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
    assert_eq!(bench.told(best, &next), Err(Violation::FalseTree), "it is looked at");
}

#[test]
fn alone_there_is_nothing_to_do() {
    let mut bench = Bench::new(1);
    bench.wait(secs(0));
    bench.wait(bench.limits.root_wait);
    assert!(bench.root().is_some());
    let context = bench.context();
    bench.gossip.unlinked(context, bench.id(0));
    assert_eq!((bench.root(), bench.gossip.deadline(context), bench.passed_on()), (None, None, None));
    bench.gossip.linked(context, bench.id(0));
    bench.wait(secs(0));
    bench.wait(bench.limits.root_wait);
    assert_eq!(bench.passed_on(), Some((bench.us.node_id(), 61)), "the number after the last");
}
