//! How often links make room for newcomers (SPEC 5.4.5, 5.4.7).

use core::net::IpAddr;

use crate::model::{Instant, Limits, LinkView, TokenBucket, TokenBuckets, host_of, net_of};

/// The most hosts and networks whose last displacement is remembered. Each held an expendable link at the time, so there
/// are far fewer within `mesh.displace_every`.
const HOLDERS: usize = 64;

/// Who pays when a link makes room for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Payer {
    /// An own dial, which is not put off. Nobody else displaces a link meanwhile.
    Own,
    /// All newcomers whose network holds no expendable link.
    All,
    /// All newcomers for whom a crowd makes room (SPEC 5.15.4).
    Crowd,
    /// The newcomer's host, which holds an expendable link already.
    Host(IpAddr),
    /// The newcomer's network, which holds an expendable link already.
    Net(IpAddr),
}

impl Payer {
    /// Whether the link can make room for a newcomer for whom this one pays.
    pub(super) fn holds(self, link: &LinkView) -> bool {
        match self {
            Self::Own | Self::All | Self::Crowd => true,
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
    crowd: TokenBucket,
    holders: TokenBuckets<Payer>,
}

impl Displacements {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { own: fresh(limits), all: fresh(limits), crowd: fresh(limits), holders: TokenBuckets::new() }
    }

    /// Whether a link may make room.
    pub(super) fn allows(&self, now: Instant, payer: Payer, limits: &Limits) -> bool {
        let at = match payer {
            Payer::Own => now,
            Payer::All => self.all.next_at(now),
            Payer::Crowd => self.crowd.next_at(now),
            holder => self.holders.next_at(now, &holder, fresh(limits)),
        };
        at.max(self.own.next_at(now)) <= now
    }

    /// A link makes room.
    pub(super) fn charge(&mut self, now: Instant, payer: Payer, limits: &Limits) {
        match payer {
            Payer::Own => self.own.charge(now, 1),
            Payer::All => self.all.charge(now, 1),
            Payer::Crowd => self.crowd.charge(now, 1),
            holder => self.holders.charge(now, holder, 1, fresh(limits), HOLDERS),
        }
    }
}

fn fresh(limits: &Limits) -> TokenBucket {
    TokenBucket::new(limits.mesh.displace_every, 1)
}
