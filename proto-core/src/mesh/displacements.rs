//! How often links make room for newcomers (SPEC 5.4.5, 5.4.7, 5.4.9).

use core::net::IpAddr;

use crate::model::{Instant, Limits, LinkView, TokenBucket, TokenBuckets, host_of, net_of, region_of};

/// The most hosts and networks whose last displacement is remembered. Each held an expendable link at the time, so there
/// are far fewer within `mesh.displace_every`.
const HOLDERS: usize = 64;

/// The most networks of newcomers for whom a crowd made room that are remembered. Each took the place of a link, so there are
/// far fewer within `mesh.displace_every`.
const COMERS: usize = 64;

/// The most networks, and the most regions, that are remembered because they spent what all newcomers share. All spend
/// once each `mesh.displace_every`, so no more than `NET_SHARE` + 1 have to wait at once: none of these is forgotten.
const SPENDERS: usize = 64;

/// A network may spend one of so many turns that all newcomers share: at the default, one a minute.
const NET_SHARE: u32 = 12;

/// A region may spend one of so many of these turns.
const REGION_SHARE: u32 = 2;

/// Who pays when a link makes room for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Payer {
    /// An own dial, which is not put off. Nobody else displaces a link meanwhile.
    Own,
    /// All newcomers whose network holds no expendable link. This is the address of the one that comes: its network and its
    /// region pay, too (SPEC 5.4.9).
    All(IpAddr),
    /// The newcomer's network, where a crowd makes room (SPEC 5.15.4).
    Crowd(IpAddr),
    /// The newcomer's host, which holds an expendable link already.
    Host(IpAddr),
    /// The newcomer's network, which holds an expendable link already.
    Net(IpAddr),
}

impl Payer {
    /// Whether the link can make room for a newcomer for whom this one pays.
    pub(super) fn holds(self, link: &LinkView) -> bool {
        match self {
            Self::Own | Self::All(_) | Self::Crowd(_) => true,
            Self::Host(host) => host_of(link.ip) == host,
            Self::Net(net) => net_of(link.ip) == net,
        }
    }
}

/// A link each `mesh.displace_every` for each payer. So nobody can spend what others need.
#[derive(Debug)]
pub(super) struct Displacements {
    own: TokenBucket,
    all: TokenBucket,
    /// What each network may spend of `all`.
    nets: TokenBuckets<IpAddr>,
    /// What each region may spend of `all`.
    regions: TokenBuckets<IpAddr>,
    /// By the network of the newcomer.
    crowd: TokenBuckets<IpAddr>,
    /// By [`Payer::Host`] and [`Payer::Net`].
    holders: TokenBuckets<Payer>,
}

impl Displacements {
    pub(super) fn new(limits: &Limits) -> Self {
        let (own, all) = (fresh(limits), fresh(limits));
        Self {
            own,
            all,
            nets: TokenBuckets::new(),
            regions: TokenBuckets::new(),
            crowd: TokenBuckets::new(),
            holders: TokenBuckets::new(),
        }
    }

    /// Whether a link may make room.
    pub(super) fn allows(&self, now: Instant, payer: Payer, limits: &Limits) -> bool {
        let at = match payer {
            Payer::Own => now,
            Payer::All(ip) => {
                let region = self.regions.next_at(now, &region_of(ip), shared(limits, REGION_SHARE));
                self.all.next_at(now).max(self.net_pays_at(now, ip, limits)).max(region)
            }
            Payer::Crowd(net) => self.crowd.next_at(now, &net, fresh(limits)),
            holder => self.holders.next_at(now, &holder, fresh(limits)),
        };
        at.max(self.own.next_at(now)) <= now
    }

    /// When the network of this address may spend again what all newcomers share: `now`, if it may already. So this also
    /// tells which networks spent it of late, and in which order.
    pub(super) fn net_pays_at(&self, now: Instant, ip: IpAddr, limits: &Limits) -> Instant {
        self.nets.next_at(now, &net_of(ip), shared(limits, NET_SHARE))
    }

    /// A link makes room.
    pub(super) fn charge(&mut self, now: Instant, payer: Payer, limits: &Limits) {
        match payer {
            Payer::Own => self.own.charge(now, 1),
            Payer::All(ip) => {
                self.all.charge(now, 1);
                self.nets.charge(now, net_of(ip), 1, shared(limits, NET_SHARE), SPENDERS);
                self.regions.charge(now, region_of(ip), 1, shared(limits, REGION_SHARE), SPENDERS);
            }
            Payer::Crowd(net) => self.crowd.charge(now, net, 1, fresh(limits), COMERS),
            holder => self.holders.charge(now, holder, 1, fresh(limits), HOLDERS),
        }
    }
}

fn fresh(limits: &Limits) -> TokenBucket {
    shared(limits, 1)
}

/// What somebody has who may spend one of so many turns.
fn shared(limits: &Limits, turns: u32) -> TokenBucket {
    TokenBucket::new(limits.mesh.displace_every.saturating_mul(turns), 1)
}
