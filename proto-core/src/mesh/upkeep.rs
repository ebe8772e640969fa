//! What a node does now and again for its place in the mesh, and how often.

use core::time::Duration;

use rand_core::Rng;

use crate::model::{Instant, Limits, TokenBucket, uniform};

/// When each chore is due.
#[derive(Debug)]
pub(super) struct Upkeep {
    trim: Instant,
    explore: Instant,
    refresh: Instant,
    /// Links that make room for newcomers.
    pub(super) displaced: TokenBucket,
}

/// Something to do now and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chore {
    /// Close a link of too many.
    Trim,
    /// Dial an address of which it is not known whether anybody is there.
    Explore,
    /// Tell a neighbour some addresses.
    Refresh,
}

/// The chores that there is reason for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chores {
    pub(super) trim: bool,
    pub(super) explore: bool,
    pub(super) refresh: bool,
}

impl Upkeep {
    pub(super) fn new(now: Instant, random: &mut impl Rng, limits: &Limits) -> Self {
        Self {
            trim: now,
            explore: now + jittered(random, limits.mesh.explore_every),
            refresh: now + jittered(random, limits.mesh.refresh_every),
            displaced: TokenBucket::new(limits.mesh.displace_every, 1),
        }
    }

    /// The next chore that is due, which is due again later.
    pub(super) fn next(
        &mut self,
        now: Instant,
        wanted: Chores,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Option<Chore> {
        if wanted.trim && self.trim <= now {
            self.trim = now + limits.mesh.displace_every;
            return Some(Chore::Trim);
        }
        if wanted.explore && self.explore <= now {
            self.explore = now + jittered(random, limits.mesh.explore_every);
            return Some(Chore::Explore);
        }
        if wanted.refresh && self.refresh <= now {
            self.refresh = now + jittered(random, limits.mesh.refresh_every);
            return Some(Chore::Refresh);
        }
        None
    }

    /// When the first of them is due.
    pub(super) fn deadline(&self, wanted: Chores) -> Option<Instant> {
        let times =
            [(wanted.trim, self.trim), (wanted.explore, self.explore), (wanted.refresh, self.refresh)];
        times.into_iter().filter(|(wanted, _)| *wanted).map(|(_, at)| at).min()
    }
}

/// From half of it to half as much again, so that nodes that started together do not act together.
fn jittered(random: &mut impl Rng, every: Duration) -> Duration {
    (every / 2).saturating_add(uniform(random, every))
}

#[cfg(test)]
mod tests {
    use chacha20::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn each_chore_comes_as_often_as_it_should_and_only_when_wanted() {
        let limits = Limits::default();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut upkeep = Upkeep::new(Instant::ORIGIN, &mut random, &limits);
        let nothing = Chores { trim: false, explore: false, refresh: false };
        assert_eq!(upkeep.deadline(nothing), None);
        let hour = Instant::from_origin(Duration::from_secs(3600));
        assert_eq!(upkeep.next(hour, nothing, &mut random, &limits), None);
        let all = Chores { trim: true, explore: true, refresh: true };
        let (mut now, mut counts) = (Instant::ORIGIN, [0; 3]);
        while let Some(at) = upkeep.deadline(all).filter(|at| *at < hour) {
            assert!(at >= now);
            now = at;
            while let Some(chore) = upkeep.next(now, all, &mut random, &limits) {
                counts[chore as usize] += 1;
            }
        }
        assert_eq!(counts[Chore::Trim as usize], 720);
        assert!((110..130).contains(&counts[Chore::Explore as usize]), "{counts:?}");
        assert!((52..68).contains(&counts[Chore::Refresh as usize]), "{counts:?}");
    }
}
