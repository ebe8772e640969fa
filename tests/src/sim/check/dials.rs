//! How often a node dials machines that run no node, which members told it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto_core::Limits;

use super::{Checker, Rule};
use crate::sim::host::is_nobodys;
use crate::sim::{HostId, Nanos, nanos};

/// The dials of one node at machines that run no node, since its start.
#[derive(Debug, Default)]
pub(super) struct Dials {
    hosts: BTreeMap<IpAddr, Count>,
    nets: BTreeMap<[u8; 3], Count>,
    all: u64,
}

/// So many dials since then.
#[derive(Debug)]
struct Count {
    first: Nanos,
    dials: u64,
}

impl Count {
    /// Counts one more. Whether there are too many for a budget.
    fn exceeds(&mut self, now: Nanos, burst: u32, every: Duration) -> bool {
        self.dials += 1;
        self.dials > u64::from(burst) + (now - self.first) / nanos(every).max(1)
    }
}

impl Dials {
    /// A node dials. Whether that is more often than its limits allow.
    fn exceed(&mut self, now: Nanos, addr: SocketAddr, limits: &Limits) -> bool {
        self.all += 1;
        let IpAddr::V4(ip) = addr.ip() else { return false };
        let [a, b, c, _] = ip.octets();
        let host = self.hosts.entry(addr.ip()).or_insert(Count { first: now, dials: 0 });
        let net = self.nets.entry([a, b, c]).or_insert(Count { first: now, dials: 0 });
        let mesh = &limits.mesh;
        let host = host.exceeds(now, mesh.host_dials, mesh.host_dial_every);
        net.exceeds(now, mesh.net_dials, mesh.net_dial_every) || host
    }
}

impl Checker {
    /// A node dials this address.
    pub(super) fn dialed(&mut self, index: HostId, now: Nanos, addr: SocketAddr) {
        let Some(view) = self.views.get_mut(&index).filter(|_| is_nobodys(addr)) else { return };
        // A node that knows next to nothing forgets what it dialed.
        if view.dials.exceed(now, addr, &view.limits) && !self.forgiving {
            let what =
                format!("host {index} dials {addr} or its network, where no node is, beyond its budget");
            self.found(now, Rule::DialBudget, what);
        }
    }

    /// How often a host's node dialed machines that run no node.
    pub fn dials_astray(&self, host: HostId) -> u64 {
        self.views.get(&host).map_or(0, |view| view.dials.all)
    }
}
