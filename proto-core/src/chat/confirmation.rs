//! When the user may be told that a neighbour holds all that this node holds.
//!
//! A reconciliation that this node began after the user asked shows it, if it finds no tip that the neighbour lacks, and if
//! nothing was served to that neighbour from its beginning to its end.

use alloc::collections::BTreeMap;

use crate::model::NodeId;

/// Whether the user waits, and the reconciliations that may show it.
#[derive(Debug, Default)]
pub(super) struct Confirmation {
    awaited: bool,
    /// With whom one is under way that began since. False: something was served since it began.
    under_way: BTreeMap<NodeId, bool>,
}

impl Confirmation {
    /// The user asks. What is under way began too early.
    pub(super) fn ask(&mut self) {
        self.awaited = true;
        self.under_way.clear();
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.awaited
    }

    /// The user has an answer. Whether they waited for it.
    pub(super) fn end(&mut self) -> bool {
        self.under_way.clear();
        core::mem::take(&mut self.awaited)
    }

    /// A reconciliation with this neighbour began.
    pub(super) fn comparing(&mut self, peer: NodeId) {
        if self.awaited {
            self.under_way.insert(peer, true);
        }
    }

    /// A neighbour was served an entry.
    pub(super) fn disturbed(&mut self, peer: NodeId) {
        if let Some(undisturbed) = self.under_way.get_mut(&peer) {
            *undisturbed = false;
        }
    }

    /// The link with a neighbour ended, or moved. What was under way is lost.
    pub(super) fn interrupted(&mut self, peer: NodeId) {
        self.under_way.remove(&peer);
    }

    /// A reconciliation with this neighbour is over. `lacks_nothing`: it holds all tips. Whether it holds everything.
    pub(super) fn compared(&mut self, peer: NodeId, lacks_nothing: bool) -> bool {
        let undisturbed = self.under_way.remove(&peer).unwrap_or(false);
        undisturbed && lacks_nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::peer;

    #[test]
    fn only_an_undisturbed_reconciliation_that_began_later_confirms() {
        let mut confirmation = Confirmation::default();
        confirmation.comparing(peer(1));
        assert!(!confirmation.compared(peer(1), true), "nobody asked");
        confirmation.comparing(peer(1));
        confirmation.ask();
        assert!(!confirmation.compared(peer(1), true), "it began before");
        confirmation.comparing(peer(1));
        assert!(!confirmation.compared(peer(1), false), "something is lacking");
        confirmation.comparing(peer(1));
        confirmation.comparing(peer(2));
        confirmation.disturbed(peer(1));
        assert!(!confirmation.compared(peer(1), true), "something was served meanwhile");
        confirmation.interrupted(peer(2));
        assert!(!confirmation.compared(peer(2), true), "the link ended");
        confirmation.comparing(peer(2));
        assert!(confirmation.compared(peer(2), true));
        assert!(confirmation.end() && !confirmation.end());
    }
}
