//! Who was cut for breaking rules, and is not let in again for a while.

use core::net::IpAddr;

use crate::model::{Fifo, Instant, Limits, NodeId};

/// Peers with a key that were cut, each by its id and where it was. In clear, who sits between two nodes can pass on the
/// handshake of one and spoil what comes after it (SPEC 3.8): that keeps out nobody but who sits there.
#[derive(Debug, Default)]
pub(super) struct Bans {
    /// Until when, and so in the order of that.
    until: Fifo<(NodeId, IpAddr), Instant>,
}

impl Bans {
    /// It was cut. Of more than there may be, who was cut first is let in again.
    pub(super) fn cut(&mut self, now: Instant, node_id: NodeId, ip: IpAddr, limits: &Limits) {
        let who = (node_id, ip.to_canonical());
        self.until.remove(&who);
        self.until.insert(who, now + limits.mesh.ban);
        while self.until.len() > limits.mesh.banned
            || self.until.first().is_some_and(|(_, until)| *until <= now)
        {
            self.until.pop_first();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.until.len()
    }

    /// Whether it is to be kept out.
    pub(super) fn contains(&self, now: Instant, node_id: NodeId, ip: IpAddr) -> bool {
        self.until.get(&(node_id, ip.to_canonical())).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn who_was_cut_is_kept_out_for_a_while_and_so_many_at_most() {
        let limits = Limits::default().with(|limits| limits.mesh.banned = 2);
        let [one, two, three] = [1, 2, 3].map(|n| NodeId::from_bytes([n; 16]));
        let here: IpAddr = [10, 0, 0, 1].into();
        let at = |millis| Instant::ORIGIN + Duration::from_millis(millis);
        let mut bans = Bans::default();
        bans.cut(at(0), one, here, &limits);
        bans.cut(at(1), two, here, &limits);
        let end = at(0) + limits.mesh.ban;
        assert!(bans.contains(at(0), one, here) && !bans.contains(at(0), three, here));
        assert!(bans.contains(at(0), one, "::ffff:10.0.0.1".parse().unwrap()));
        assert!(
            !bans.contains(at(0), one, [10, 0, 0, 2].into()),
            "somebody else may have said it was this one"
        );
        assert!(!bans.contains(end, one, here) && bans.contains(end, two, here));
        bans.cut(at(2), one, here, &limits);
        assert!(bans.contains(end, one, here), "it was cut again");
        bans.cut(at(3), three, here, &limits);
        assert!(!bans.contains(at(3), two, here), "who was cut first made room");
        assert!(bans.contains(at(3), one, here) && bans.contains(at(3), three, here));
    }
}
