//! Finds out whether this node's clock is wrong, by the clocks of its neighbours (SPEC 7.6).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::model::{ClockReading, Instant, NodeId, host_of};

/// How far the clock is off, by a majority of the clocks that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skewed {
    /// The median difference in milliseconds. Positive: this node's clock is ahead.
    pub(crate) ahead_ms: i64,
    /// How many clocks counted.
    pub(crate) clocks: usize,
}

/// The clocks of the neighbours. There is one vote for each host, so that many keys of one machine count once.
#[derive(Debug, Default)]
pub(super) struct Skew {
    /// Bounded by the number of links.
    neighbours: BTreeMap<NodeId, Neighbour>,
    /// The current difference has been reported.
    reported: bool,
}

#[derive(Clone, Copy, Debug)]
struct Neighbour {
    host: IpAddr,
    /// This node dialed it.
    dialed: bool,
    reading: Option<ClockReading>,
    /// By what it said last that is in no run. It may have waited, on its way or here.
    live: Option<ClockReading>,
}

impl Skew {
    /// A neighbour was linked. Its `JOIN` may have said its time.
    pub(super) fn linked(&mut self, peer: NodeId, ip: IpAddr, dialed: bool, reading: Option<ClockReading>) {
        self.neighbours.insert(peer, Neighbour { host: host_of(ip), dialed, reading, live: None });
    }

    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.neighbours.remove(&peer);
    }

    /// A neighbour said something, dated by its own clock.
    pub(super) fn heard(&mut self, peer: NodeId, reading: ClockReading) {
        if let Some(neighbour) = self.neighbours.get_mut(&peer) {
            neighbour.reading = Some(reading);
        }
    }

    /// A neighbour said something that is in no run, dated by its own clock. Neighbours do so all the time. After this node did not
    /// read for a while, much of it is old, so it is no reason to say that the clock is wrong.
    pub(super) fn told_live(&mut self, peer: NodeId, reading: ClockReading) {
        if let Some(neighbour) = self.neighbours.get_mut(&peer) {
            neighbour.live = Some(reading);
        }
    }

    /// The difference, if the clock has just turned out to be wrong.
    pub(super) fn news(&mut self, now: Instant, wall: u64, tolerance: Duration) -> Option<Skewed> {
        let off = self.skewed(now, wall, tolerance);
        let news = off.filter(|_| !self.reported);
        self.reported = off.is_some();
        news
    }

    /// How far the clock is off, if it differs by more than `tolerance` from most of the clocks that count.
    pub(super) fn skewed(&self, now: Instant, wall: u64, tolerance: Duration) -> Option<Skewed> {
        let valid = |reading: &ClockReading| reading.is_valid(now, wall);
        self.majority(|neighbour| neighbour.reading.filter(valid), tolerance)
    }

    /// The same, by what neighbours say that is in no run, where they said something.
    pub(super) fn skewed_live(&self, now: Instant, wall: u64, tolerance: Duration) -> Option<Skewed> {
        let valid = |reading: &ClockReading| reading.is_valid(now, wall);
        self.majority(|neighbour| neighbour.live.filter(valid).or(neighbour.reading.filter(valid)), tolerance)
    }

    fn majority(
        &self,
        reading: impl Fn(&Neighbour) -> Option<ClockReading>,
        tolerance: Duration,
    ) -> Option<Skewed> {
        let mut all = self.votes(reading);
        all.sort_unstable();
        let ahead_ms = *all.get(all.len() / 2)?;
        let tolerance = i64::try_from(tolerance.as_millis()).unwrap_or(i64::MAX);
        let off = |ahead: &i64| *ahead > tolerance || *ahead < -tolerance;
        let many = all.iter().filter(|ahead| off(ahead) && ahead.signum() == ahead_ms.signum()).count();
        let is_off = off(&ahead_ms) && many * 2 > all.len();
        is_off.then_some(Skewed { ahead_ms, clocks: all.len() })
    }

    /// The differences that count. Neighbours that dialed this node count at most as often as those that it dialed,
    /// unless it dialed none: nobody can outvote whom this node has chosen.
    fn votes(&self, reading: impl Fn(&Neighbour) -> Option<ClockReading>) -> Vec<i64> {
        let mut by_host: BTreeMap<IpAddr, Vec<(bool, i64)>> = BTreeMap::new();
        let neighbours = self.neighbours.values();
        for (neighbour, reading) in neighbours.filter_map(|one| Some((one, reading(one)?))) {
            by_host.entry(neighbour.host).or_default().push((neighbour.dialed, reading.ahead_ms()));
        }
        let votes: Vec<_> = by_host.into_values().filter_map(vote_of_host).collect();
        let ahead = |dialed: bool| votes.iter().filter(move |vote| vote.0 == dialed).map(|vote| vote.1);
        let dialed: Vec<_> = ahead(true).collect();
        let most = if dialed.is_empty() { usize::MAX } else { dialed.len() };
        ahead(false).take(most).chain(dialed).collect()
    }
}

/// What the clocks of one host say together: the median of those that this node dialed, or else of all. Of the two in the middle
/// it is the one that is less off, so that one liar beside one that is right accuses nobody.
fn vote_of_host(mut clocks: Vec<(bool, i64)>) -> Option<(bool, i64)> {
    if clocks.iter().any(|(dialed, _)| *dialed) {
        clocks.retain(|(dialed, _)| *dialed);
    }
    clocks.sort_unstable();
    let middle = [clocks.len().checked_sub(1)? / 2, clocks.len() / 2].map(|at| clocks.get(at).copied());
    middle.into_iter().flatten().min_by_key(|(_, ahead_ms)| ahead_ms.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::{at, peer};

    const TOLERANCE: Duration = Duration::from_secs(10);
    const WALL: u64 = 1_700_000_000_000;

    fn ip(n: u64) -> IpAddr {
        IpAddr::from([10, 0, 0, n as u8])
    }

    fn reading(ahead_ms: i64) -> ClockReading {
        ClockReading::new(at(0), WALL, WALL.saturating_add_signed(-ahead_ms))
    }

    /// A node with these neighbours: address, dialed, ahead.
    fn skew(neighbours: &[(u64, bool, i64)]) -> Skew {
        let mut skew = Skew::default();
        for (n, (address, dialed, ahead_ms)) in (0..).zip(neighbours) {
            skew.linked(peer(n), ip(*address), *dialed, Some(reading(*ahead_ms)));
        }
        skew
    }

    fn ahead(skew: &Skew) -> Option<i64> {
        skew.skewed(at(0), WALL, TOLERANCE).map(|skewed| skewed.ahead_ms)
    }

    #[test]
    fn two_nodes_alone_are_both_told_the_difference() {
        assert_eq!(ahead(&skew(&[(1, true, 180_000)])), Some(180_000));
        assert_eq!(ahead(&skew(&[(1, false, -180_000)])), Some(-180_000));
        assert_eq!(ahead(&skew(&[(1, true, 9_999)])), None, "within the tolerance");
        assert_eq!(ahead(&Skew::default()), None);
    }

    #[test]
    fn a_majority_decides() {
        assert_eq!(ahead(&skew(&[(1, true, 20_000), (2, true, 0)])), None);
        assert_eq!(ahead(&skew(&[(1, true, 20_000), (2, true, 0), (3, true, 30_000)])), Some(20_000));
        assert_eq!(ahead(&skew(&[(1, true, 20_000), (2, true, 0), (3, true, -30_000)])), None);
    }

    #[test]
    fn nine_keys_of_one_address_have_one_vote() {
        let mut neighbours = [(9, false, 200_000); 11];
        (neighbours[0], neighbours[1]) = ((1, false, 0), (2, false, 0));
        assert_eq!(ahead(&skew(&neighbours)), None);
        assert_eq!(ahead(&skew(&neighbours[1..])), None, "one against one");
    }

    #[test]
    fn all_addresses_that_one_host_can_have_have_one_vote() {
        let mut skew = Skew::default();
        for n in 0..9 {
            let ip = IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, n]);
            skew.linked(peer(n as u8), ip, false, Some(reading(200_000)));
        }
        assert_eq!(ahead(&skew), Some(200_000));
        (20..22).for_each(|n| skew.linked(peer(n), ip(n.into()), false, Some(reading(0))));
        assert_eq!(ahead(&skew), None);
    }

    #[test]
    fn one_liar_does_not_speak_for_its_local_network() {
        let mut skew = Skew::default();
        for n in 0..5 {
            let ip = IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, n]);
            let ahead_ms = if n == 4 { 200_000 } else { 0 };
            skew.linked(peer(n as u8), ip, true, Some(reading(ahead_ms)));
        }
        assert_eq!(ahead(&skew), None);
        (0..3).for_each(|n| skew.unlinked(peer(n)));
        assert_eq!(ahead(&skew), None, "one against one, whichever way it is off");
        skew.heard(peer(4), reading(-200_000));
        assert_eq!(ahead(&skew), None);
        skew.unlinked(peer(3));
        assert_eq!(ahead(&skew), Some(-200_000), "the liar alone");
    }

    #[test]
    fn those_that_dialed_cannot_outvote_those_that_were_dialed() {
        let mut neighbours: Vec<_> = (10..30).map(|n| (n, false, 200_000)).collect();
        assert_eq!(ahead(&skew(&neighbours)), Some(200_000), "nobody was dialed");
        neighbours.extend([(1, true, 0), (2, true, 0)]);
        assert_eq!(ahead(&skew(&neighbours)), None);
    }

    #[test]
    fn what_is_in_no_run_tells_the_time_and_accuses_nobody() {
        let mut skew = skew(&[(1, true, 0), (2, true, 0), (3, true, 0)]);
        let live = |skew: &Skew| skew.skewed_live(at(0), WALL, TOLERANCE).map(|skewed| skewed.ahead_ms);
        skew.told_live(peer(0), reading(180_000));
        assert_eq!(live(&skew), None);
        skew.told_live(peer(1), reading(180_000));
        assert_eq!((live(&skew), ahead(&skew)), (Some(180_000), None));
        // Since then, this node's clock was set: nothing is known.
        assert_eq!(skew.skewed_live(at(0), WALL + 60_000, TOLERANCE), None);
    }

    #[test]
    fn a_difference_is_reported_once_and_again_after_it_was_gone() {
        let mut skew = skew(&[(1, true, 20_000)]);
        let news = Skewed { ahead_ms: 20_000, clocks: 1 };
        assert_eq!(skew.news(at(0), WALL, TOLERANCE), Some(news));
        assert_eq!(skew.news(at(0), WALL, TOLERANCE), None);
        skew.heard(peer(0), reading(0));
        assert_eq!(skew.news(at(0), WALL, TOLERANCE), None);
        skew.heard(peer(0), reading(20_000));
        assert_eq!(skew.news(at(0), WALL, TOLERANCE), Some(news));
        skew.unlinked(peer(0));
        skew.heard(peer(0), reading(20_000));
        assert_eq!(ahead(&skew), None);
    }

    #[test]
    fn what_was_read_before_the_clock_was_set_does_not_count() {
        let skew = skew(&[(1, true, 20_000)]);
        let at_wall = |passed: u64, wall: u64| skew.skewed(at(passed), wall, TOLERANCE).is_some();
        assert!(at_wall(60_000, WALL + 60_900));
        assert!(!at_wall(60_000, WALL + 40_000), "it was set back");
        assert!(!at_wall(60_000, WALL + 4_000_000), "the machine slept");
    }
}
