//! What is said in a network that has settled reaches all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto_core::{ConnId, Node, NodeId, Outcome};

use super::Run;
use super::population::Odd;
use crate::sim::check::{Breach, Rule, parts};
use crate::sim::{HostId, nanos};

/// How long the final delivery may take.
const TIME: Duration = Duration::from_secs(10);

/// A connection with a version 1 node that has died unnoticed is found out by blank lines, or never where it says nothing
/// itself; a new one follows.
const FOUND_OUT: Duration = Duration::from_secs(90);

/// A link that has died unnoticed is silent by then, and others know: a `PING` after 15 s of silence, 3 s for the answer, and some
/// for `LINKS`. In a full mesh an author alone sends its entries, and those that go out on such a link come later.
const FOUND_SILENT: Duration = Duration::from_secs(20);

/// Links to version 1 nodes are settled so long after both sides have them.
const GREETED: Duration = Duration::from_secs(3);

/// How far a clock may be behind so that what others say now is surely not dated ahead of it.
const BEHIND_MS: i64 = 5_000;

impl Run {
    /// A node speaks, and then a version 1 node that is linked to one. Whether all hear both.
    pub(super) fn final_delivery(&mut self) -> bool {
        if !self.all_is_found_out() || self.has_lost_link() && !self.world.run_for(FOUND_SILENT) {
            return false;
        }
        let before = self.linked_version1();
        if !self.world.run_for(GREETED) {
            return false;
        }
        let live = self.world.live();
        let Some(host) = self.dice.pick(&live).copied() else { return true };
        let hearing = self.hearing(host);
        let answer = self.world.say(host, "the last words");
        let speaker = self.dice.pick(&before.keys().copied().collect::<Vec<_>>()).copied();
        if let Some(speaker) = speaker {
            let _ = self.world.say(speaker, &last_line(speaker));
        }
        if !self.world.run_for(TIME) {
            return false;
        }
        let check = self.world.probes.check.as_ref();
        let said = match answer {
            Ok(Outcome::Said(entries)) => entries,
            Ok(Outcome::Done) | Err(_) => Vec::new(),
            Ok(Outcome::Saying(id)) => match check.and_then(|check| check.became_of(host, id)) {
                Some(entries) => entries.to_vec(),
                None => {
                    let what = format!("host {host} did not say the last words");
                    self.breach = Some(Breach { at: self.world.now(), rule: Rule::SameView, what });
                    return false;
                }
            },
            Ok(other) => panic!("unknown outcome: {other:?}"),
        };
        let deaf: Vec<_> = hearing
            .iter()
            .filter(|host| {
                !said.iter().all(|entry| check.is_some_and(|check| check.has_shown(**host, entry.id())))
            })
            .collect();
        // A clock that was far ahead goes on from there when it is right again.
        let due = self.world.unix_ms() + self.world.host(host).limits.chat.ahead.as_millis() as u64;
        if !deaf.is_empty() && said.iter().all(|entry| entry.at() < due - 5_000) {
            let what = format!("hosts {deaf:?} do not show the last words of host {host}");
            self.breach = Some(Breach { at: self.world.now(), rule: Rule::SameView, what });
        }
        self.breach = self.breach.take().or_else(|| self.unheard_version1(&before, speaker, &live));
        self.breach.is_none()
    }

    /// Who hears in time what a host says now: whose clock is right and who is linked with it by way of others whose clocks are
    /// not far behind. Where an entry is dated ahead, it waits, and is not relayed (SPEC 9.4.1).
    fn hearing(&self, speaker: HostId) -> Vec<HostId> {
        let clock = |host: HostId| self.world.host(host).clock;
        let passes_on = |host: &HostId| *host == speaker || clock(*host).ahead_ms > -BEHIND_MS;
        let passing: Vec<_> = self.world.live().into_iter().filter(passes_on).collect();
        let mut parts = parts(&self.world, &passing).into_iter();
        let mut part = parts.find(|part| part.contains(&speaker)).unwrap_or_default();
        part.retain(|host| clock(*host).is_right());
        part
    }

    /// Whether version 1 nodes have found out who is gone, and know whose peers they are.
    pub(super) fn all_is_found_out(&mut self) -> bool {
        (!self.has_lost_version1() || self.world.run_for(FOUND_OUT)) && self.known_by_version1()
    }

    /// Whether those that version 1 nodes have forgotten, with another connection of whose end they have learned late, are
    /// peers of theirs again in time (SPEC 2.11). Who was started anew knows of no other, and asks as seldom as ever.
    fn known_by_version1(&mut self) -> bool {
        const STEP: Duration = Duration::from_secs(5);
        let start = self.world.now();
        let first = self.forgotten_by_version1();
        loop {
            let now = self.forgotten_by_version1();
            let forgotten = || first.intersection(&now);
            let time = |host: HostId| {
                let host = self.world.host(host);
                let every = host.limits.v1.greet_every;
                if host.runs > 1 { every * 3 / 2 } else { every / 2 }
            };
            let is_late = |host: HostId| self.world.now() > start + nanos(time(host));
            if let Some((old, host)) = forgotten().find(|(_, host)| is_late(*host)) {
                let what = format!("version 1 host {old} has forgotten host {host}, whose peer it is");
                self.breach = Some(Breach { at: self.world.now(), rule: Rule::Version1, what });
                return false;
            }
            if forgotten().next().is_none() {
                return true;
            }
            if !self.world.run_for(STEP) {
                return false;
            }
        }
    }

    /// Each version 1 node, and who has it as a peer and is none to it.
    fn forgotten_by_version1(&self) -> BTreeSet<(HostId, HostId)> {
        let Some(check) = &self.world.probes.check else { return BTreeSet::new() };
        let live = self.world.live();
        let pairs = check.speakers().flat_map(|(id, old)| live.iter().map(move |host| (id, old, *host)));
        let forgotten = pairs.filter(|(id, old, host)| {
            let knows = |node: &Node| {
                node.peers().any(|peer| peer.node_id == *id) && !self.world.host(*old).knows(node.id())
            };
            self.world.host(*host).node().is_some_and(knows)
        });
        forgotten.map(|(_, old, host)| (old, host)).collect()
    }

    /// Whether a connection with a version 1 node has died, and one of the two does not know.
    fn has_lost_version1(&self) -> bool {
        let version1 = self.odd.iter().filter(|(_, odd)| **odd == Odd::Version1);
        let mut conns = version1.flat_map(|(host, _)| &self.world.host(*host).conns);
        conns.any(|conn| self.world.net().is_lost(*conn))
    }

    /// Whether a connection of a node has died, and one of the two does not know.
    fn has_lost_link(&self) -> bool {
        let live = self.world.live();
        live.iter().flat_map(|host| &self.world.host(*host).conns).any(|conn| self.world.net().is_lost(*conn))
    }

    /// Version 1 nodes that others have as a peer, each with its connections; but none that has forgotten one of these. It
    /// forgets a peer when any connection with it ends, one of long ago, too, of whose end it learns late.
    fn linked_version1(&self) -> BTreeMap<HostId, Vec<ConnId>> {
        let Some(check) = &self.world.probes.check else { return BTreeMap::new() };
        let live = self.world.live();
        let is_linked = |id: NodeId, host: HostId| {
            let mut peers = live.iter().filter(|other| self.world.host(**other).knows(id)).peekable();
            let knows = |other: &HostId| {
                let node = self.world.host(*other).node();
                node.is_some_and(|node| self.world.host(host).knows(node.id()))
            };
            peers.peek().is_some() && peers.all(knows)
        };
        let speakers = check.speakers().filter(|(id, host)| is_linked(*id, *host));
        speakers.map(|(_, host)| (host, self.world.host(host).conns.clone())).collect()
    }

    /// What a version 1 node that stayed linked has not heard, or others have not heard of one. What is said by those
    /// whose clock was wrong is dated wrongly, and may be held back.
    fn unheard_version1(
        &mut self,
        before: &BTreeMap<HostId, Vec<ConnId>>,
        speaker: Option<HostId>,
        live: &[HostId],
    ) -> Option<Breach> {
        let after = self.linked_version1();
        // What is said into a connection as it ends is lost.
        let stayed = before.iter().filter(|(host, conns)| after.get(host) == Some(conns));
        let stayed: Vec<_> = stayed.map(|(host, _)| *host).collect();
        let check = self.world.probes.check.as_ref().filter(|check| check.clocks_were_right())?;
        let breach = |what| Some(Breach { at: self.world.now(), rule: Rule::Version1, what });
        self.heard_version1 += stayed.len() as u64;
        // The one whose turn it is to tell may be hostile, and nobody can know that it does not.
        let enemies = self
            .odd
            .keys()
            .any(|host| self.world.host(*host).is_up() && self.odd.get(host) != Some(&Odd::Version1));
        if !enemies && let Some(host) = stayed.iter().find(|host| !check.has_line(**host, "the last words")) {
            return breach(format!("version 1 host {host} does not print the last words"));
        }
        let speaker = speaker.filter(|speaker| stayed.contains(speaker))?;
        let deaf: Vec<_> = live.iter().filter(|host| !check.has_line(**host, &last_line(speaker))).collect();
        (!deaf.is_empty()).then(|| {
            breach(format!("hosts {deaf:?} do not show the last words of version 1 host {speaker}"))
        })?
    }
}

fn last_line(speaker: HostId) -> String {
    format!("the last line of host {speaker}")
}
