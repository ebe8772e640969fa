//! When version 1 peers are greeted again (SPEC 2.11). Such a peer forgets who is linked to it when it sees the end of any
//! connection with it, which may be late, and takes whoever says `JOIN` for linked. Its `PEERS` come upon each `JOIN`, to
//! all that are linked to it and to them alone: who gets them need not ask.

use alloc::collections::BTreeMap;
use core::time::Duration;

use rand_core::Rng;

use crate::model::{Fifo, Instant, Limits, NodeId, uniform};

/// Greetings that are so many times the first pause apart begin anew when it may have forgotten us again: until then it
/// is greeted soon anyway, however often somebody takes its id.
const ANEW: u32 = 16;

/// The greetings to come.
#[derive(Debug, Default)]
pub(super) struct Greetings {
    plans: BTreeMap<NodeId, Plan>,
    /// Of those with a plan, who is to be greeted then whatever else happens.
    put_off: BTreeMap<NodeId, Instant>,
    /// Who was here, or tried to be: may be yet to see the end of that.
    lost: Fifo<NodeId, ()>,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    /// From then on the peer's `PEERS` spare it the greeting.
    from: Instant,
    at: Instant,
    /// How long it is left alone after that, where it may yet forget us.
    pause: Option<Duration>,
}

impl Greetings {
    /// A version 1 peer is here.
    pub(super) fn came(&mut self, now: Instant, peer: NodeId, random: &mut impl Rng, limits: &Limits) {
        let plan = match self.lost.remove(&peer) {
            Some(()) => Plan::anew(now, random, limits),
            None => Plan::after(None, now, random, limits),
        };
        self.plans.insert(peer, plan);
    }

    /// It is no longer here.
    pub(super) fn left(&mut self, peer: NodeId, limits: &Limits) {
        self.put_off.remove(&peer);
        if self.plans.remove(&peer).is_some() {
            self.remember(peer, limits);
        }
    }

    /// How many may be yet to see the end of a connection.
    pub(super) fn lost(&self) -> usize {
        self.lost.len()
    }

    /// Another connection with this peer has ended, or one that claims its id: when it sees that, it forgets us.
    pub(super) fn forgets(&mut self, now: Instant, peer: NodeId, random: &mut impl Rng, limits: &Limits) {
        match self.plans.get_mut(&peer) {
            Some(plan) if plan.is_soon(limits) => {}
            Some(plan) => *plan = Plan::anew(now, random, limits),
            None => self.remember(peer, limits),
        }
    }

    /// What this peer said last may be true no more, and it may be yet to find that out.
    pub(super) fn ask_soon(&mut self, now: Instant, peer: NodeId, random: &mut impl Rng, limits: &Limits) {
        let Some(plan) = self.plans.get_mut(&peer) else { return };
        let anew = Plan::anew(now, random, limits);
        if anew.from <= plan.at {
            *plan = Plan { at: anew.at.min(plan.at), ..anew };
        } else {
            // The next greeting comes too early for it to know: there is another as long after that.
            plan.pause = Some(limits.v1.greet_soon);
        }
    }

    /// It is to be greeted then, whatever it says until then.
    pub(super) fn put_off(&mut self, peer: NodeId, until: Instant) {
        if self.plans.contains_key(&peer) {
            self.put_off.insert(peer, until);
        }
    }

    /// Its `PEERS` came.
    pub(super) fn heard(&mut self, now: Instant, peer: NodeId, random: &mut impl Rng, limits: &Limits) {
        if let Some(plan) = self.plans.get_mut(&peer).filter(|plan| plan.from <= now) {
            *plan = Plan::after(plan.pause, now, random, limits);
        }
    }

    /// A peer that is to be greeted now.
    pub(super) fn next_due(
        &mut self,
        now: Instant,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Option<NodeId> {
        if let Some(peer) = self.put_off.iter().find(|(_, at)| **at <= now).map(|(peer, _)| *peer) {
            self.put_off.remove(&peer);
            return Some(peer);
        }
        let (peer, plan) = self.plans.iter_mut().find(|(_, plan)| plan.at <= now)?;
        *plan = Plan::after(plan.pause, now, random, limits);
        Some(*peer)
    }

    /// When [`next_due`](Self::next_due) has one.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.plans.values().map(|plan| plan.at).chain(self.put_off.values().copied()).min()
    }

    pub(super) fn is_consistent(&self) -> bool {
        self.lost.keys().all(|peer| !self.plans.contains_key(peer))
            && self.put_off.keys().all(|peer| self.plans.contains_key(peer))
    }

    fn remember(&mut self, peer: NodeId, limits: &Limits) {
        self.lost.insert(peer, ());
        if self.lost.len() > limits.conns.slots {
            self.lost.pop_first();
        }
    }
}

impl Plan {
    /// The first greeting after it may have forgotten us.
    fn anew(now: Instant, random: &mut impl Rng, limits: &Limits) -> Self {
        Self::between(now, limits.v1.greet_soon, random)
    }

    /// The greeting after one at `now`.
    fn after(pause: Option<Duration>, now: Instant, random: &mut impl Rng, limits: &Limits) -> Self {
        let half = limits.v1.greet_every / 2;
        match pause.filter(|pause| *pause < half) {
            Some(pause) => Self::between(now, pause, random),
            None => Self { from: now, at: now + half + uniform(random, limits.v1.greet_every), pause: None },
        }
    }

    /// A greeting once or twice the pause from now; the one after it takes twice as long.
    fn between(now: Instant, pause: Duration, random: &mut impl Rng) -> Self {
        let from = now + pause;
        Self { from, at: from + uniform(random, pause), pause: Some(pause.saturating_mul(2)) }
    }

    fn is_soon(&self, limits: &Limits) -> bool {
        self.pause.is_some_and(|pause| pause <= limits.v1.greet_soon.saturating_mul(ANEW))
    }
}

#[cfg(test)]
mod tests {
    use chacha20::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    const HE: NodeId = NodeId::from_bytes([7; 16]);
    const NOW: Instant = Instant::from_origin(Duration::from_secs(100));

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn random() -> ChaCha8Rng {
        ChaCha8Rng::from_seed([1; 32])
    }

    /// When he is greeted next, and does so.
    fn greet(greetings: &mut Greetings, random: &mut ChaCha8Rng, limits: &Limits) -> Instant {
        let at = greetings.deadline().unwrap();
        assert_eq!(greetings.next_due(at, random, limits), Some(HE));
        assert_eq!(greetings.next_due(at, random, limits), None);
        at
    }

    #[test]
    fn who_may_have_forgotten_us_is_greeted_at_longer_and_longer_intervals_and_then_as_ever() {
        let (limits, random) = (Limits::default(), &mut random());
        let mut greetings = Greetings::default();
        greetings.came(NOW, HE, random, &limits);
        assert!(greetings.deadline().unwrap() >= NOW + seconds(300), "there is no hurry");
        greetings.forgets(NOW, HE, random, &limits);
        let mut before = NOW;
        for pause in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let at = greet(&mut greetings, random, &limits);
            let most = if pause == 300 { 900 } else { 2 * pause };
            assert!(at >= before + seconds(pause) && at <= before + seconds(most), "{pause}");
            before = at;
        }
    }

    #[test]
    fn peers_that_come_when_a_greeting_is_near_spare_it_and_those_that_answer_it_do_not() {
        let (limits, random) = (Limits::default(), &mut random());
        let mut greetings = Greetings::default();
        greetings.came(NOW, HE, random, &limits);
        greetings.forgets(NOW, HE, random, &limits);
        let first = greetings.deadline();
        greetings.heard(NOW + seconds(1), HE, random, &limits);
        assert_eq!(greetings.deadline(), first, "he had not seen the end yet");
        greetings.heard(NOW + seconds(2), HE, random, &limits);
        let second = greetings.deadline().unwrap();
        assert!(second >= NOW + seconds(6) && second <= NOW + seconds(10));
    }

    #[test]
    fn who_may_not_know_that_another_is_gone_is_asked_soon_and_again() {
        let (limits, random) = (Limits::default(), &mut random());
        let mut greetings = Greetings::default();
        greetings.came(NOW, HE, random, &limits);
        // One after the other is gone: that does not put the question off, nor do `PEERS` that know nothing of it yet.
        for fifth in 0..4 {
            let now = NOW + Duration::from_millis(200 * fifth);
            greetings.ask_soon(now, HE, random, &limits);
            greetings.heard(now + seconds(1), HE, random, &limits);
        }
        let at = greet(&mut greetings, random, &limits);
        assert!(at >= NOW + seconds(2) && at <= NOW + seconds(5), "{:?}", at.since(NOW));
        // It names the one that is gone still: it may have to speak to it to find out.
        let next = greet(&mut greetings, random, &limits);
        assert!(next >= at + seconds(4) && next <= at + seconds(8), "{:?}", next.since(at));
    }

    #[test]
    fn each_that_is_gone_is_asked_after_in_time_and_again_however_many_went_before() {
        let (limits, random) = (Limits::default(), &mut random());
        for millis in (0..40_000).step_by(250) {
            let mut greetings = Greetings::default();
            greetings.came(NOW, HE, random, &limits);
            greetings.ask_soon(NOW, HE, random, &limits);
            let gone = NOW + Duration::from_millis(millis);
            while greetings.deadline().unwrap() <= gone {
                greet(&mut greetings, random, &limits);
            }
            greetings.ask_soon(gone, HE, random, &limits);
            let mut asked = [(); 3].map(|()| greet(&mut greetings, random, &limits));
            // One that is due just then comes as it would have.
            let early = asked[0] < gone + seconds(2);
            asked.rotate_left(usize::from(early));
            let most = if early { 6 } else { 4 };
            assert!(asked[0] >= gone + seconds(2) && asked[0] <= gone + seconds(most), "{millis}: {asked:?}");
            assert!(asked[1] <= asked[0] + seconds(8), "{millis}: {asked:?}");
        }
    }

    #[test]
    fn a_greeting_that_is_put_off_comes_whatever_else_happens_and_changes_nothing_else() {
        let (limits, random) = (Limits::default(), &mut random());
        let until = NOW + Duration::from_millis(100);
        for forgets in [false, true] {
            let mut greetings = Greetings::default();
            greetings.put_off(HE, until);
            assert_eq!(greetings.deadline(), None, "it is not here");
            greetings.came(NOW, HE, random, &limits);
            if forgets {
                greetings.forgets(NOW, HE, random, &limits);
            }
            let planned = greetings.deadline();
            greetings.put_off(HE, until);
            if forgets {
                greetings.forgets(NOW, HE, random, &limits);
                greetings.heard(NOW, HE, random, &limits);
            }
            assert!(greetings.is_consistent());
            assert_eq!(greet(&mut greetings, random, &limits), until);
            assert_eq!(greetings.deadline(), planned);
            greetings.put_off(HE, until);
            greetings.heard(until, HE, random, &limits);
            assert_eq!(greet(&mut greetings, random, &limits), until, "`PEERS` do not spare it");
            greetings.put_off(HE, until);
            greetings.left(HE, &limits);
            assert_eq!(greetings.deadline(), None);
        }
    }

    #[test]
    fn a_pause_longer_than_the_usual_one_starves_no_greeting() {
        let limits = Limits::default().with(|limits| limits.v1.greet_soon = seconds(500));
        let random = &mut random();
        let mut greetings = Greetings::default();
        greetings.came(NOW, HE, random, &limits);
        for second in 0..1_000 {
            greetings.forgets(NOW + seconds(second), HE, random, &limits);
        }
        assert!(greetings.deadline().unwrap() <= NOW + seconds(1_000));
    }

    #[test]
    fn nobody_makes_us_greet_without_end_by_taking_his_id() {
        let (limits, random) = (Limits::default(), &mut random());
        let mut greetings = Greetings::default();
        greetings.came(NOW, HE, random, &limits);
        let mut count = 0;
        for tenth in 0..6_000 {
            let now = NOW + Duration::from_millis(100 * tenth);
            greetings.forgets(now, HE, random, &limits);
            count += usize::from(greetings.next_due(now, random, &limits).is_some());
        }
        assert!((40..=100).contains(&count), "{count} greetings in ten minutes");
    }

    #[test]
    fn as_many_as_can_be_here_are_known_to_have_been_here() {
        let limits = Limits::default().with(|limits| limits.conns.slots = 3);
        let random = &mut random();
        let mut greetings = Greetings::default();
        let id = |n| NodeId::from_bytes([n; 16]);
        (1..=3).for_each(|n| greetings.came(NOW, id(n), random, &limits));
        (1..=3).for_each(|n| greetings.left(id(n), &limits));
        greetings.left(id(9), &limits);
        // Turned away before it was here.
        greetings.forgets(NOW, id(4), random, &limits);
        for (n, was_here) in [(1, false), (2, true), (4, true), (9, false)] {
            greetings.came(NOW, id(n), random, &limits);
            assert_eq!(greetings.deadline().unwrap() <= NOW + seconds(4), was_here, "{n}");
            assert!(greetings.is_consistent());
            greetings.plans.clear();
        }
    }
}
