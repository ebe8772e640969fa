//! Maintenance tasks: closing a link of too many, exploring, and advertising addresses (SPEC 5.6 to 5.8).

use alloc::vec::Vec;
use core::time::Duration;

use rand_core::Rng;

use super::budgets::Account;
use super::dials::DialStep;
use super::displacements::Displacements;
use super::{Event, Mesh, degree};
use crate::model::{Census, Cx, Instant, Limits, LinkView, NodeId, below, uniform};

/// When each task is due.
#[derive(Debug)]
pub(super) struct Maintenance {
    trim_at: Instant,
    explore_at: Instant,
    advertise_at: Instant,
    /// How often links are closed to make room for newcomers.
    pub(super) displacements: Displacements,
}

/// A maintenance task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// Close a link of too many.
    Trim,
    /// Dial an address where it is unknown if a node is there.
    Explore,
    /// Advertise some addresses to a neighbour.
    Advertise,
}

/// Which tasks there is reason for.
#[derive(Clone, Copy, Debug)]
pub(super) struct TasksNeeded {
    trim: bool,
    explore: bool,
    advertise: bool,
}

impl Maintenance {
    pub(super) fn new(now: Instant, random: &mut impl Rng, limits: &Limits) -> Self {
        Self {
            trim_at: now,
            explore_at: now + jittered(random, limits.mesh.explore_every),
            advertise_at: now + jittered(random, limits.mesh.refresh_every),
            displacements: Displacements::new(limits),
        }
    }

    /// Takes the next task that is due, and schedules when it is due again.
    fn next(
        &mut self,
        now: Instant,
        needed: TasksNeeded,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Option<Task> {
        if needed.trim && self.trim_at <= now {
            self.trim_at = now + limits.mesh.displace_every;
            return Some(Task::Trim);
        }
        if needed.explore && self.explore_at <= now {
            self.explore_at = now + jittered(random, limits.mesh.explore_every);
            return Some(Task::Explore);
        }
        if needed.advertise && self.advertise_at <= now {
            self.advertise_at = now + jittered(random, limits.mesh.refresh_every);
            return Some(Task::Advertise);
        }
        None
    }

    /// When the first needed task is due.
    pub(super) fn deadline(&self, needed: TasksNeeded) -> Option<Instant> {
        let times = [
            (needed.trim, self.trim_at),
            (needed.explore, self.explore_at),
            (needed.advertise, self.advertise_at),
        ];
        times.into_iter().filter(|(needed, _)| *needed).map(|(_, at)| at).min()
    }
}

impl Mesh {
    /// Which tasks there is reason for.
    pub(super) fn tasks_needed(&self, cx: &Cx, census: &impl Census) -> TasksNeeded {
        let limits = cx.limits();
        let degree = census.degree();
        TasksNeeded {
            trim: degree > limits.mesh.degree_target && self.is_large_network(degree, limits),
            // Below `degree_low`, every address is dialed as soon as it is due.
            explore: degree >= limits.mesh.degree_low && self.book.has_waiting_keyed(),
            advertise: degree > 0,
        }
    }

    /// Runs one task that is due. False: there was none. `is_near`: whether a peer is also linked to another neighbour.
    pub(crate) fn maintain(
        &mut self,
        cx: &mut Cx,
        census: &impl Census,
        is_near: impl Fn(NodeId) -> bool,
    ) -> bool {
        if cx.stopping {
            return false;
        }
        let needed = self.tasks_needed(cx, census);
        let Cx { now, random, config, .. } = cx;
        let task = self.maintenance.next(*now, needed, random, config.limits());
        match task {
            Some(Task::Trim) => self.trim(cx, census, is_near),
            Some(Task::Explore) => self.explore(cx),
            Some(Task::Advertise) => self.advertise(cx, census),
            None => {}
        }
        task.is_some()
    }

    /// Closes a link of too many, so that there is always a free slot for newcomers (SPEC 5.6). Old links give way to
    /// links to new parts of the network, so that two networks that meet become one.
    ///
    /// The link is an outbound one to a learned address, and its peer has too many links as well. A peer that is also
    /// linked to another neighbour is preferred; chance decides between the rest. The last `degree_outbound` outbound
    /// links stay. So a flood of inbound links makes no node close the links that it chose itself.
    fn trim(&mut self, cx: &mut Cx, census: &impl Census, is_near: impl Fn(NodeId) -> bool) {
        let limits = cx.limits();
        if degree::count_outbound(census) <= limits.mesh.degree_outbound {
            return;
        }
        let is_spare = |link: &LinkView| {
            let old = link.linked_since.is_some_and(|since| cx.now.since(since) >= limits.mesh.trim_age);
            let learned = link.dialed.is_some_and(|dialed| dialed.target.is_none());
            old && learned && link.advertised_degree > limits.mesh.degree_target
        };
        let mut spare: Vec<_> = census.neighbours().filter(is_spare).collect();
        let is_near = |link: &LinkView| link.node_id.is_some_and(&is_near);
        if spare.iter().any(is_near) {
            spare.retain(is_near);
        }
        let index = below(&mut cx.random, spare.len());
        if let Some(link) = spare.get(index) {
            self.counts.trimmed += 1;
            self.events.push_back(Event::Trim(link.conn));
        }
    }

    /// Dials an address where it is unknown if a node is there, whatever the degree (SPEC 5.7). So two parts of a
    /// network that were separated find each other, even when both have links enough.
    fn explore(&mut self, cx: &mut Cx) {
        let Cx { now, random, config, .. } = cx;
        let limits = config.limits();
        if !self.dials.may_begin_learned(*now, limits) {
            return;
        }
        let pays = |account: &Account| self.budgets.next_at(*now, account, limits) <= *now;
        let Some(addr) = self.book.pick_uncertain(*now, &self.bans, pays, random, limits) else { return };
        if let Some(account) = self.book.account(addr) {
            self.budgets.charge(*now, &account, limits);
        }
        self.book.dialing(addr);
        let seal = self.seal_of(cx, addr, None);
        let dial = self.dials.begin_learned(addr, seal, cx.now, cx.limits());
        self.counts.explored += 1;
        self.request(dial, DialStep::Connect(addr), seal);
    }

    /// Advertises some addresses to a random neighbour, so that its address book stays fresh (SPEC 5.8.3).
    fn advertise(&mut self, cx: &mut Cx, census: &impl Census) {
        let neighbours: Vec<_> = census.neighbours().collect();
        let index = below(&mut cx.random, neighbours.len());
        let Some(link) = neighbours.get(index) else { return };
        let count = cx.config.limits().mesh.refresh_peers;
        let found = self.book.sample(count, link.reach, &mut cx.random);
        self.events.push_back(Event::SendPeers(link.conn, count, found));
    }
}

/// A random time from half of `every` to one and a half times `every`, so that nodes that started together do not act
/// together.
fn jittered(random: &mut impl Rng, every: Duration) -> Duration {
    (every / 2).saturating_add(uniform(random, every))
}

#[cfg(test)]
mod tests {
    use super::super::testing::generator;
    use super::*;

    #[test]
    fn each_task_runs_at_its_interval_and_only_when_needed() {
        let limits = Limits::default();
        let mut random = generator(1);
        let mut maintenance = Maintenance::new(Instant::ORIGIN, &mut random, &limits);
        let none = TasksNeeded { trim: false, explore: false, advertise: false };
        assert_eq!(maintenance.deadline(none), None);
        let hour = Instant::from_origin(Duration::from_secs(3600));
        assert_eq!(maintenance.next(hour, none, &mut random, &limits), None);
        let all = TasksNeeded { trim: true, explore: true, advertise: true };
        let (mut now, mut counts) = (Instant::ORIGIN, [0; 3]);
        while let Some(at) = maintenance.deadline(all).filter(|at| *at < hour) {
            assert!(at >= now);
            now = at;
            while let Some(task) = maintenance.next(now, all, &mut random, &limits) {
                counts[task as usize] += 1;
            }
        }
        assert_eq!(counts[Task::Trim as usize], 720);
        assert!((110..130).contains(&counts[Task::Explore as usize]), "{counts:?}");
        assert!((52..68).contains(&counts[Task::Advertise as usize]), "{counts:?}");
    }
}
