//! The addresses that the user gave. Each is dialed until its node is linked, and again when that link ends.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use rand_core::Rng;

use super::backoff::Backoff;
use super::degree::Connectivity;
use super::event::{Disconnect, Event, LinkFailure, TargetNotice};
use crate::model::{DialError, Expected, Instant, Limits, NodeId, PeerAddr, PeerTarget, TargetId, uniform};
use crate::wire::ByeCode;

/// The targets: the addresses that the user gave, in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct Targets {
    list: Vec<Target>,
    /// The targets that wait to be dialed, by when they are due. An index of `list`.
    due: BTreeSet<(Instant, TargetId)>,
}

#[derive(Debug)]
struct Target {
    addr: PeerAddr,
    /// Who has to be there, as the user says.
    expected: Option<Expected>,
    /// The user gave the address and named nobody: whoever is there is taken, until a node is linked.
    takes_anybody: bool,
    /// The user was told that another node is there than the one that they named.
    wrong_told: bool,
    state: State,
    backoff: Backoff,
    /// It is not dialed before this.
    earliest: Option<Instant>,
    /// The last failure that the user was notified of since the target was linked.
    notified: Option<FailureKind>,
    /// Why the last attempt failed, since the target was linked.
    failure: Option<LinkFailure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting {
        dial_at: Instant,
    },
    /// A round of attempts is under way: resolutions, dials and handshakes.
    Trying {
        attempts: usize,
        since: Instant,
    },
    Linked(NodeId),
    /// The address leads to this node itself.
    Own,
    /// The user gave it up. Its place stays, since attempts may still end.
    GivenUp,
}

/// How it stands with an address that the user gave.
#[derive(Clone, Debug)]
pub(crate) struct TargetView<'a> {
    pub(crate) addr: &'a PeerAddr,
    pub(crate) stage: Stage,
    /// Why the last attempt failed, since the target was linked.
    pub(crate) failure: Option<LinkFailure>,
}

/// What is done about an address that the user gave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// The next attempt begins then.
    Waiting(Instant),
    Trying,
    Linked(NodeId),
    /// The address leads to this node itself.
    Own,
}

/// What a failure is to the user: the next one of the same kind is no news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureKind {
    Unreachable,
    NotAChatNode,
    TurnedAway,
    /// Another node has the same key. That the target is linked in between, for a moment, makes no difference.
    Taken,
}

impl Targets {
    /// Adds an address, which is due at once. An address that is there already and waits becomes due at once; then the user
    /// takes whoever is there, unless somebody is named. False: there are `mesh.targets` others.
    pub(super) fn add(&mut self, given: PeerTarget, now: Instant, limits: &Limits) -> bool {
        let PeerTarget { addr, expected } = given;
        let addr = addr.canonical();
        if let Some(index) = self.list.iter().position(|target| target.addr == addr) {
            let target = &mut self.list[index];
            target.takes_anybody = expected.is_none() && !matches!(target.state, State::Linked(_));
            target.expected = expected.or(target.expected);
            target.wrong_told = false;
            if self.list[index].state == State::GivenUp {
                if self.len() >= limits.mesh.targets {
                    return false;
                }
                let target = &mut self.list[index];
                (target.backoff, target.failure) = (Backoff::default(), None);
                self.list[index].state = State::Waiting { dial_at: now };
                self.due.insert((now, TargetId(index)));
            }
            if matches!(self.list[index].state, State::Waiting { .. }) {
                self.list[index].notified = None;
                self.list[index].earliest = None;
                self.set_state(TargetId(index), State::Waiting { dial_at: now });
            }
            return true;
        }
        let room = self.len() < limits.mesh.targets;
        if room {
            let state = State::Waiting { dial_at: now };
            self.list.push(Target {
                addr,
                expected,
                takes_anybody: expected.is_none(),
                wrong_told: false,
                state,
                backoff: Backoff::default(),
                earliest: None,
                notified: None,
                failure: None,
            });
            self.due.insert((now, TargetId(self.list.len() - 1)));
        }
        room
    }

    /// The user gives an address up. None: it is not among the targets.
    pub(super) fn give_up(&mut self, addr: &PeerAddr) -> Option<TargetId> {
        let addr = addr.clone().canonical();
        let index = self.list.iter().position(|target| target.addr == addr)?;
        if self.list[index].state == State::GivenUp {
            return None;
        }
        let id = TargetId(index);
        self.set_state(id, State::GivenUp);
        let target = &mut self.list[index];
        (target.expected, target.takes_anybody, target.notified) = (None, false, None);
        Some(id)
    }

    /// The targets, in the order in which they were given.
    pub(super) fn views(&self) -> impl Iterator<Item = TargetView<'_>> {
        self.list.iter().filter_map(|target| {
            let stage = match target.state {
                State::Waiting { dial_at } => Stage::Waiting(dial_at),
                State::Trying { .. } => Stage::Trying,
                State::Linked(node_id) => Stage::Linked(node_id),
                State::Own => Stage::Own,
                State::GivenUp => return None,
            };
            Some(TargetView { addr: &target.addr, stage, failure: target.failure })
        })
    }

    /// How many there are.
    fn len(&self) -> usize {
        self.views().count()
    }

    /// Whether the user gave this IP address and port.
    pub(super) fn contains(&self, addr: SocketAddr) -> bool {
        let addr = PeerAddr::Ip(addr);
        self.list.iter().any(|target| target.addr == addr && target.state != State::GivenUp)
    }

    /// Whether the first round of attempts of a target is still to come or under way (SPEC 5.3.9).
    pub(super) fn has_first_attempt_open(&self) -> bool {
        let open = |state| matches!(state, State::Waiting { .. } | State::Trying { .. });
        self.list.iter().any(|target| open(target.state) && target.backoff.is_reset())
    }

    /// The target that is due first, and when.
    pub(super) fn first_due(&self) -> Option<(Instant, TargetId)> {
        self.due.first().copied()
    }

    /// Who has to be there, as the user says.
    pub(super) fn expected(&self, id: TargetId) -> Option<Expected> {
        self.list[id.0].expected
    }

    /// Whether the user takes whoever is there, even if another node was there before.
    pub(super) fn takes_anybody(&self, id: TargetId) -> bool {
        self.list[id.0].takes_anybody
    }

    /// Another node is there than the one that the user named. Whether the user is to be told.
    pub(super) fn note_wrong(&mut self, id: TargetId) -> bool {
        !core::mem::replace(&mut self.list[id.0].wrong_told, true)
    }

    /// Whether the user gave an address with this IP address.
    pub(super) fn knows(&self, ip: IpAddr) -> bool {
        self.views().any(|target| matches!(target.addr, PeerAddr::Ip(addr) if addr.ip() == ip))
    }

    pub(super) fn addr(&self, id: TargetId) -> PeerAddr {
        self.list[id.0].addr.clone()
    }

    /// Attempts begin, `more` of them at once.
    pub(super) fn begin_attempts(&mut self, id: TargetId, more: usize, now: Instant) {
        let state = match self.list[id.0].state {
            State::Trying { attempts, since } => State::Trying { attempts: attempts + more, since },
            State::Waiting { .. } => State::Trying { attempts: more, since: now },
            other => other,
        };
        self.set_state(id, state);
    }

    /// An attempt failed. After the last one of the round, the target waits, until `earliest` at least. Returns what
    /// the user is notified of.
    pub(super) fn attempt_failed(
        &mut self,
        id: TargetId,
        failure: LinkFailure,
        connectivity: Connectivity,
        earliest: Instant,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Option<Event> {
        let State::Trying { attempts, since } = self.list[id.0].state else { return None };
        self.list[id.0].failure = Some(failure);
        if attempts > 1 {
            self.set_state(id, State::Trying { attempts: attempts - 1, since });
            return None;
        }
        let full = matches!(failure, LinkFailure::TurnedAway(ByeCode::Full));
        let ceiling = backoff_ceiling(full, connectivity, limits);
        let delay = self.list[id.0].backoff.next(random, limits.mesh.backoff_min, ceiling);
        self.list[id.0].earliest = Some(earliest);
        // The delay counts from the start of the round, so that a round begins every `backoff_user` at the latest,
        // however long a dial takes.
        self.set_state(id, State::Waiting { dial_at: (since + delay).max(earliest) });
        // The other end has a link with this node already, or will have. Of another key the user has been told.
        let is_news = !matches!(
            failure,
            LinkFailure::TurnedAway(ByeCode::Duplicate) | LinkFailure::Dial(DialError::WrongKey { .. })
        );
        is_news.then(|| self.notify_once(id, failure)).flatten()
    }

    /// A failure that the user is notified of, unless the last notice was of the same kind.
    fn notify_once(&mut self, id: TargetId, failure: LinkFailure) -> Option<Event> {
        let Target { addr, notified, .. } = &mut self.list[id.0];
        let kind = match failure {
            LinkFailure::Dial(_) => FailureKind::Unreachable,
            LinkFailure::NotAChatNode => FailureKind::NotAChatNode,
            LinkFailure::TurnedAway(ByeCode::Taken) => FailureKind::Taken,
            LinkFailure::TurnedAway(_) => FailureKind::TurnedAway,
        };
        let news = *notified != Some(kind);
        *notified = Some(kind);
        news.then(|| Event::Target { target: addr.clone(), notice: TargetNotice::Failed(failure) })
    }

    /// A dial of the target reached this node, which is linked.
    pub(super) fn linked(&mut self, id: TargetId, node_id: NodeId) {
        if !matches!(self.list[id.0].state, State::Own | State::GivenUp) {
            let Target { notified, takes_anybody, wrong_told, failure, .. } = &mut self.list[id.0];
            (*takes_anybody, *wrong_told, *failure) = (false, false, None);
            *notified = notified.filter(|kind| *kind == FailureKind::Taken);
            self.set_state(id, State::Linked(node_id));
        }
    }

    /// The target leads to this node itself. Returns what the user is notified of.
    pub(super) fn set_own(&mut self, id: TargetId) -> Option<Event> {
        if self.list[id.0].state == State::GivenUp {
            return None;
        }
        let news = self.list[id.0].state != State::Own;
        self.set_state(id, State::Own);
        news.then(|| Event::Target { target: self.addr(id), notice: TargetNotice::IsSelf })
    }

    /// Whether this linked peer was reached at a target.
    pub(super) fn is_linked(&self, node_id: NodeId) -> bool {
        self.list.iter().any(|target| target.state == State::Linked(node_id))
    }

    /// A link ended. The targets where its peer was reached wait for their next dial. Returns what the user is notified of.
    pub(super) fn disconnected(
        &mut self,
        gone: &Disconnect,
        connectivity: Connectivity,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Vec<Event> {
        let mut notices = Vec::new();
        for index in 0..self.list.len() {
            let target = &mut self.list[index];
            if target.state == State::Linked(gone.node_id) {
                if gone.lasted >= limits.mesh.backoff_reset && !gone.full {
                    target.backoff.reset();
                    target.notified = None;
                }
                target.earliest = Some(gone.redial_after).filter(|_| gone.taken);
                let ceiling = backoff_ceiling(gone.full, connectivity, limits);
                let delay = target.backoff.next(random, limits.mesh.backoff_min, ceiling);
                self.set_state(TargetId(index), State::Waiting { dial_at: gone.redial_after + delay });
                if gone.taken {
                    notices
                        .extend(self.notify_once(TargetId(index), LinkFailure::TurnedAway(ByeCode::Taken)));
                }
            }
        }
        notices
    }

    /// The node has too few links. Targets that wait for longer than `mesh.backoff_user` are dialed sooner.
    pub(super) fn shorten_waits(&mut self, now: Instant, random: &mut impl Rng, limits: &Limits) {
        for index in 0..self.list.len() {
            if let State::Waiting { dial_at } = self.list[index].state
                && dial_at > now + limits.mesh.backoff_user
            {
                let sooner = now + uniform(random, limits.mesh.backoff_user);
                let dial_at = self.list[index].earliest.map_or(sooner, |earliest| sooner.max(earliest));
                self.set_state(TargetId(index), State::Waiting { dial_at });
            }
        }
    }

    fn set_state(&mut self, id: TargetId, state: State) {
        let target = &mut self.list[id.0];
        if let State::Waiting { dial_at } = target.state {
            self.due.remove(&(dial_at, id));
        }
        target.state = state;
        if let State::Waiting { dial_at } = state {
            self.due.insert((dial_at, id));
        }
    }
}

/// Where the backoff of a target stops (SPEC 5.11.4, 5.11.5). The longer ceiling applies where the node there is full
/// and this node has enough outbound links: a node whose address was given to all others has slots for a few of them.
fn backoff_ceiling(full: bool, connectivity: Connectivity, limits: &Limits) -> Duration {
    if full && !connectivity.lacks_outbound { limits.mesh.backoff_max } else { limits.mesh.backoff_user }
}
