//! Whom this node's user does not want to hear, for all that shows messages. The node's task alone changes it, so that all
//! are told in order. A store keeps it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto_core::{Name, NodeId};

use crate::store::StoreView;

/// The muted nodes. Clones share one list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mutes {
    muted: Arc<Mutex<BTreeMap<NodeId, Name>>>,
    /// Where changes are kept, if anywhere.
    store: Option<StoreView>,
}

/// As many as possible are muted already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyMutes;

impl Mutes {
    /// The most muted nodes.
    pub(crate) const MOST: usize = 1024;

    /// Those that a store has kept, with the names that they are known by.
    pub(crate) fn kept(muted: impl IntoIterator<Item = (NodeId, Name)>, store: StoreView) -> Self {
        let muted = muted.into_iter().take(Self::MOST).collect();
        Self { muted: Arc::new(Mutex::new(muted)), store: Some(store) }
    }

    /// Mutes a node, which has this name now.
    pub(crate) fn mute(&self, node_id: NodeId, name: Name) -> Result<(), TooManyMutes> {
        let mut muted = self.lock();
        if muted.len() >= Self::MOST && !muted.contains_key(&node_id) {
            return Err(TooManyMutes);
        }
        muted.insert(node_id, name);
        self.keep(node_id, true);
        Ok(())
    }

    /// Undoes it. Returns the name that the node had then.
    pub(crate) fn unmute(&self, node_id: NodeId) -> Option<Name> {
        let mut muted = self.lock();
        let name = muted.remove(&node_id)?;
        self.keep(node_id, false);
        Some(name)
    }

    #[cfg(feature = "app")]
    pub(crate) fn is_muted(&self, node_id: NodeId) -> bool {
        self.lock().contains_key(&node_id)
    }

    /// The muted nodes, each with the name that it had then.
    #[cfg(feature = "app")]
    pub(crate) fn list(&self) -> Vec<(NodeId, Name)> {
        self.lock().iter().map(|(node_id, name)| (*node_id, name.clone())).collect()
    }

    fn keep(&self, node_id: NodeId, muted: bool) {
        if let Some(store) = &self.store {
            store.set_muted(node_id, muted);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Name>> {
        self.muted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, feature = "app"))]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_muted_and_no_more() {
        let mutes = Mutes::default();
        let id = |n: usize| NodeId::from_bytes((n as u128).to_be_bytes());
        let name: Name = "Mallory".parse().unwrap();
        for n in 0..Mutes::MOST {
            assert_eq!(mutes.mute(id(n), name.clone()), Ok(()));
        }
        assert_eq!(mutes.mute(id(Mutes::MOST), name.clone()), Err(TooManyMutes));
        assert_eq!(mutes.mute(id(0), name.clone()), Ok(()));
        assert!(mutes.is_muted(id(7)) && !mutes.is_muted(id(Mutes::MOST)));
        assert_eq!((mutes.unmute(id(7)), mutes.unmute(id(7))), (Some(name), None));
        assert!(!mutes.is_muted(id(7)));
        assert_eq!(mutes.list().len(), Mutes::MOST - 1);
    }
}
