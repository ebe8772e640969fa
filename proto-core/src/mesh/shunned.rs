//! Who was cut for breaking rules, and is not let in again for a while.

use crate::fifo::Fifo;
use crate::{Instant, Limits, NodeId};

/// The ids of peers with a key that were cut: what is told of others has no say in it, and nobody can be put in here by
/// who does not hold that key.
#[derive(Debug, Default)]
pub(crate) struct Shunned {
    /// Until when, and so in the order of that.
    until: Fifo<NodeId, Instant>,
}

impl Shunned {
    /// It was cut. Of more than there may be, who was cut first is let in again.
    pub(crate) fn cut(&mut self, now: Instant, node_id: NodeId, limits: &Limits) {
        self.until.remove(&node_id);
        self.until.insert(node_id, now + limits.shun);
        while self.until.len() > limits.shunned || self.until.first().is_some_and(|(_, until)| *until <= now)
        {
            self.until.pop_first();
        }
    }

    /// Whether it is to be kept out.
    pub(crate) fn contains(&self, now: Instant, node_id: NodeId) -> bool {
        self.until.get(&node_id).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn who_was_cut_is_kept_out_for_a_while_and_so_many_at_most() {
        let limits = Limits { shunned: 2, ..Limits::default() };
        let [one, two, three] = [1, 2, 3].map(|n| NodeId::from_bytes([n; 16]));
        let at = |millis| Instant::ORIGIN + Duration::from_millis(millis);
        let mut shunned = Shunned::default();
        shunned.cut(at(0), one, &limits);
        shunned.cut(at(1), two, &limits);
        let end = at(0) + limits.shun;
        assert!(shunned.contains(at(0), one) && !shunned.contains(at(0), three));
        assert!(!shunned.contains(end, one) && shunned.contains(end, two));
        shunned.cut(at(2), one, &limits);
        assert!(shunned.contains(end, one), "it was cut again");
        shunned.cut(at(3), three, &limits);
        assert!(!shunned.contains(at(3), two), "who was cut first made room");
        assert!(shunned.contains(at(3), one) && shunned.contains(at(3), three));
    }
}
