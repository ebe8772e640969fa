//! Peers that broke a rule and are kept out for a while (SPEC 9.9).

use core::net::IpAddr;

use crate::model::{Fifo, Instant, Limits, NodeId};

/// The bans, each of a node id with a key at one IP address.
///
/// The address is part of the ban because connections are not encrypted. An attacker on the path between two nodes can
/// relay the handshake of one of them and then break a rule in its name (SPEC 3.8). Such a ban holds for the attacker's
/// address only.
#[derive(Debug, Default)]
pub(super) struct Bans {
    /// When each ban ends. All bans last equally long, so the first to begin is the first to end.
    until: Fifo<(NodeId, IpAddr), Instant>,
}

impl Bans {
    /// Begins a ban, or begins it again. With more than `mesh.banned` bans, the one that began first is lifted.
    pub(super) fn add(&mut self, now: Instant, node_id: NodeId, ip: IpAddr, limits: &Limits) {
        let banned = (node_id, ip.to_canonical());
        self.until.remove(&banned);
        self.until.insert(banned, now + limits.mesh.ban);
        while self.until.len() > limits.mesh.banned
            || self.until.first().is_some_and(|(_, until)| *until <= now)
        {
            self.until.pop_first();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.until.len()
    }

    /// Whether this node is banned at this address.
    pub(super) fn contains(&self, now: Instant, node_id: NodeId, ip: IpAddr) -> bool {
        self.until.get(&(node_id, ip.to_canonical())).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, id};
    use super::*;

    #[test]
    fn a_ban_ends_after_a_while_and_the_first_is_lifted_when_there_are_too_many() {
        let limits = Limits::default().with(|limits| limits.mesh.banned = 2);
        let [one, two, three] = [1, 2, 3].map(id);
        let ip: IpAddr = [10, 0, 0, 1].into();
        let mut bans = Bans::default();
        bans.add(at(0), one, ip, &limits);
        bans.add(at(1), two, ip, &limits);
        let end = at(0) + limits.mesh.ban;
        assert!(bans.contains(at(0), one, ip) && !bans.contains(at(0), three, ip));
        assert!(bans.contains(at(0), one, "::ffff:10.0.0.1".parse().unwrap()));
        assert!(!bans.contains(at(0), one, [10, 0, 0, 2].into()), "a ban holds at one address only");
        assert!(!bans.contains(end, one, ip) && bans.contains(end, two, ip));
        bans.add(at(2), one, ip, &limits);
        assert!(bans.contains(end, one, ip), "the ban began again");
        bans.add(at(3), three, ip, &limits);
        assert!(!bans.contains(at(3), two, ip), "the ban that began first was lifted");
        assert!(bans.contains(at(3), one, ip) && bans.contains(at(3), three, ip));
    }
}
