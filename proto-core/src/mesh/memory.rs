//! What is kept of the mesh from one start to the next: addresses, and who proved a key there (SPEC section 23).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::SocketAddr;

use super::Mesh;
use crate::model::{Cx, Dialed, KnownAddress, Memory, NodeId, Past, canonical};

/// Where the node of an address that the user gave was reached last. The user may not give it again.
#[derive(Debug, Default)]
pub(super) struct FoundTargets {
    found: BTreeMap<SocketAddr, (NodeId, Past)>,
}

/// The most of these that are remembered.
const FOUND_TARGETS: usize = 64;

impl FoundTargets {
    /// A dial of an address that the user gave reached this node. Whether that is news.
    fn reached(&mut self, addr: SocketAddr, node_id: NodeId, past: Past) -> bool {
        let before = self.found.insert(addr, (node_id, past));
        if self.found.len() > FOUND_TARGETS {
            let oldest = self.found.iter().min_by_key(|(addr, (_, past))| (*past, **addr));
            if let Some(oldest) = oldest.map(|(addr, _)| *addr) {
                self.found.remove(&oldest);
            }
        }
        before.is_none_or(|(before, _)| before != node_id)
    }
}

impl Mesh {
    /// A dial of an address that the user gave reached this node.
    pub(super) fn target_reached(&mut self, cx: &Cx, dialed: Dialed, node_id: NodeId) {
        if self.found_targets.reached(dialed.addr, node_id, Past::at(cx.now)) {
            self.changes += 1;
        }
    }

    /// A number that grows with what [`remember`](Self::remember) tells.
    pub(crate) fn changes(&self) -> u64 {
        self.changes + self.book.changes() + self.pins.changes()
    }

    /// What is to be kept.
    pub(crate) fn remember(&self, cx: &Cx, memory: &mut Memory) {
        let wall = cx.time();
        let mut addresses: Vec<_> = self.book.remember(cx.now, wall).collect();
        for (addr, (node_id, past)) in &self.found_targets.found {
            addresses.retain(|known| known.addr != *addr);
            addresses.push(KnownAddress {
                addr: *addr,
                node_id: Some(*node_id),
                linked: true,
                found_ms: Some(past.unix_ms(cx.now, wall)),
            });
        }
        addresses.sort_by_key(|known| (Reverse(known.linked), Reverse(known.found_ms), known.addr));
        addresses.truncate(cx.limits().mesh.book);
        memory.addresses = addresses;
        memory.pins = self.pins.remember(cx.now, wall).collect();
    }

    /// Takes what was kept, at this wall-clock time. Its addresses are due at once.
    pub(crate) fn recall(&mut self, cx: &Cx, wall: u64, memory: &Memory) {
        let limits = cx.limits();
        for known in memory.addresses.iter().take(limits.mesh.book) {
            let addr = canonical(known.addr);
            let own = known.node_id == Some(cx.identity.node_id()) || Some(addr) == cx.config.listen_addr();
            if !own && !self.targets.contains(addr) {
                let found = known.found_ms.map(|at| Past::of_unix(cx.now, wall, at));
                let found = found.filter(|past| past.age(cx.now) < limits.mesh.book_forget_after);
                self.book.recall(addr, known.node_id, found, cx.now);
            }
        }
        for known in memory.pins.iter().take(limits.mesh.pins) {
            self.pins.recall(known, cx.now, wall);
        }
    }
}
