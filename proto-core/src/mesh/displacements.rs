//! How often links make room for newcomers (SPEC 5.4.5, 5.4.7).

use core::net::IpAddr;

use crate::model::{Instant, Limits, LinkView, TokenBucket, TokenBuckets, host_of, net_of};

/// The most hosts and networks whose last displacement is remembered. Each held an expendable link at the time, so there
/// are far fewer within `mesh.displace_every`.
const HOLDERS: usize = 64;

/// The most networks of newcomers for whom a crowd made room that are remembered. Each took the place of a link, so there are
/// far fewer within `mesh.displace_every`.
const COMERS: usize = 64;

/// Who pays when a link makes room for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Payer {
    /// An own dial, which is not put off. Nobody else displaces a link meanwhile.
    Own,
    /// All newcomers whose network holds no expendable link.
    All,
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
            Self::Own | Self::All | Self::Crowd(_) => true,
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
    /// By the network of the newcomer.
    crowd: TokenBuckets<IpAddr>,
    /// By [`Payer::Host`] and [`Payer::Net`].
    holders: TokenBuckets<Payer>,
}

impl Displacements {
    pub(super) fn new(limits: &Limits) -> Self {
        let (own, all) = (fresh(limits), fresh(limits));
        Self { own, all, crowd: TokenBuckets::new(), holders: TokenBuckets::new() }
    }

    /// Whether a link may make room.
    pub(super) fn allows(&self, now: Instant, payer: Payer, limits: &Limits) -> bool {
        let at = match payer {
            Payer::Own => now,
            Payer::All => self.all.next_at(now),
            Payer::Crowd(net) => self.crowd.next_at(now, &net, fresh(limits)),
            holder => self.holders.next_at(now, &holder, fresh(limits)),
        };
        at.max(self.own.next_at(now)) <= now
    }

    /// A link makes room.
    pub(super) fn charge(&mut self, now: Instant, payer: Payer, limits: &Limits) {
        match payer {
            Payer::Own => self.own.charge(now, 1),
            Payer::All => self.all.charge(now, 1),
            Payer::Crowd(net) => self.crowd.charge(now, net, 1, fresh(limits), COMERS),
            holder => self.holders.charge(now, holder, 1, fresh(limits), HOLDERS),
        }
    }
}

fn fresh(limits: &Limits) -> TokenBucket {
    TokenBucket::new(limits.mesh.displace_every, 1)
}
