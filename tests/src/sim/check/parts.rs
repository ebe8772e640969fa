//! Into how many networks the nodes fall.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proto_core::NodeId;

use crate::sim::{HostId, World};

/// The networks into which the live nodes fall: two are linked where each says that the other is here.
pub fn parts(world: &World, live: &[HostId]) -> Vec<Vec<HostId>> {
    let ids: HashMap<NodeId, HostId> =
        live.iter().filter_map(|host| Some((world.host(*host).node()?.id(), *host))).collect();
    let linked: BTreeMap<HostId, BTreeSet<HostId>> = live
        .iter()
        .filter_map(|host| {
            let peers = world.host(*host).node()?.peers();
            Some((*host, peers.filter_map(|peer| ids.get(&peer.node_id).copied()).collect()))
        })
        .collect();
    let mut left: BTreeSet<HostId> = live.iter().copied().collect();
    let mut parts = Vec::new();
    while let Some(start) = left.pop_first() {
        let mut part = vec![start];
        let mut next = 0;
        while let Some(host) = part.get(next).copied() {
            next += 1;
            for peer in linked.get(&host).into_iter().flatten() {
                if linked.get(peer).is_some_and(|back| back.contains(&host)) && left.remove(peer) {
                    part.push(*peer);
                }
            }
        }
        part.sort_unstable();
        parts.push(part);
    }
    parts
}
