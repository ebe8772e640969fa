//! How often told addresses are dialed: a budget for each destination, and one for each peer that tells (SPEC 5.13).
//!
//! A dial is charged when it begins. Where a node answers, the charge is given back. So what stays charged are dials at
//! machines that run no node, and those who name such machines pay for it.

use core::net::{IpAddr, SocketAddr};

use crate::model::{Instant, Limits, TokenBucket, TokenBuckets, host_of, is_loopback, net_of};

/// The budgets. There are `mesh.budgets` of each kind at most; the one that is least used is forgotten first.
#[derive(Debug)]
pub(super) struct Budgets {
    hosts: TokenBuckets<IpAddr>,
    nets: TokenBuckets<IpAddr>,
    tellers: TokenBuckets<IpAddr>,
}

/// What a dial of a told address is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    host: IpAddr,
    net: IpAddr,
    teller: Option<IpAddr>,
}

impl Account {
    /// None for addresses on this machine, which cost no others anything. No `teller`: it is on this machine.
    pub(super) fn new(addr: SocketAddr, teller: Option<IpAddr>) -> Option<Self> {
        let ip = addr.ip();
        let account = Self { host: host_of(ip), net: net_of(ip), teller: teller.map(host_of) };
        (!is_loopback(ip)).then_some(account)
    }
}

impl Budgets {
    pub(super) fn new() -> Self {
        Self { hosts: TokenBuckets::new(), nets: TokenBuckets::new(), tellers: TokenBuckets::new() }
    }

    /// When all budgets of this account allow one more dial: `now`, if they do already.
    pub(super) fn next_at(&self, now: Instant, account: &Account, limits: &Limits) -> Instant {
        let Account { host, net, teller } = account;
        let host = self.hosts.next_at(now, host, full_host(limits));
        let net = self.nets.next_at(now, net, full_net(limits));
        let teller = teller.map_or(now, |teller| self.tellers.next_at(now, &teller, full_teller(limits)));
        host.max(net).max(teller)
    }

    /// A dial begins that all budgets allow.
    pub(super) fn charge(&mut self, now: Instant, account: &Account, limits: &Limits) {
        let most = limits.mesh.budgets;
        self.hosts.take(now, account.host, full_host(limits), most);
        self.nets.take(now, account.net, full_net(limits), most);
        if let Some(teller) = account.teller {
            self.tellers.take(now, teller, full_teller(limits), most);
        }
    }

    /// A dial that was charged reached a node.
    pub(super) fn refund(&mut self, account: &Account) {
        self.hosts.refund(account.host);
        self.nets.refund(account.net);
        if let Some(teller) = account.teller {
            self.tellers.refund(teller);
        }
    }

    /// The number of budgets of the kind of which there are most.
    pub(super) fn len(&self) -> usize {
        self.hosts.len().max(self.nets.len()).max(self.tellers.len())
    }
}

fn full_host(limits: &Limits) -> TokenBucket {
    TokenBucket::new(limits.mesh.host_dial_every, limits.mesh.host_dials)
}

fn full_net(limits: &Limits) -> TokenBucket {
    TokenBucket::new(limits.mesh.net_dial_every, limits.mesh.net_dials)
}

fn full_teller(limits: &Limits) -> TokenBucket {
    TokenBucket::new(limits.mesh.teller_dial_every, limits.mesh.teller_dials)
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;

    /// The account of an address that a peer at 10.0.0.`teller` told.
    fn account(addr: &str, teller: u8) -> Account {
        let addr = SocketAddr::new(addr.parse().unwrap(), 9000);
        Account::new(addr, Some([10, 0, 0, teller].into())).unwrap()
    }

    /// Dials until a budget is used up: how many, and how long until there is one more.
    fn dial(budgets: &mut Budgets, account: &Account, limits: &Limits) -> (u32, core::time::Duration) {
        for count in 0.. {
            let next = budgets.next_at(at(0), account, limits);
            if next > at(0) || count == 1_000 {
                return (count, next.since(at(0)));
            }
            budgets.charge(at(0), account, limits);
        }
        unreachable!()
    }

    #[test]
    fn a_host_a_network_and_a_teller_have_a_budget_each() {
        let limits = Limits::default();
        let mesh = &limits.mesh;
        let mut budgets = Budgets::new();
        let host = dial(&mut budgets, &account("9.9.9.1", 1), &limits);
        assert_eq!(host, (mesh.host_dials, mesh.host_dial_every));
        assert_eq!(
            dial(&mut budgets, &account("9.9.9.1", 2), &limits),
            (0, mesh.host_dial_every),
            "told by another"
        );

        let mut budgets = Budgets::new();
        let of_net = |budgets: &mut Budgets, n: u32| {
            let addr = core::net::Ipv4Addr::from_bits(0x0909_0900 + n);
            dial(budgets, &account(&alloc::format!("{addr}"), n as u8), &limits)
        };
        let full_hosts = mesh.net_dials / mesh.host_dials;
        (0..full_hosts).for_each(|n| assert_eq!(of_net(&mut budgets, n).0, mesh.host_dials));
        assert_eq!(of_net(&mut budgets, 99), (0, mesh.net_dial_every), "another host of that network");
        assert_eq!(of_net(&mut budgets, 256).0, mesh.host_dials, "another network");

        let mut budgets = Budgets::new();
        let told = |budgets: &mut Budgets, n: u32, teller| {
            dial(budgets, &account(&alloc::format!("9.9.{n}.9"), teller), &limits)
        };
        let full_hosts = mesh.teller_dials / mesh.host_dials;
        (0..full_hosts).for_each(|n| assert_eq!(told(&mut budgets, n, 1).0, mesh.host_dials));
        assert_eq!(told(&mut budgets, 99, 1), (0, mesh.teller_dial_every), "another network");
        assert_eq!(told(&mut budgets, 99, 2).0, mesh.host_dials, "told by another");
    }

    #[test]
    fn all_of_a_64_is_one_host_and_this_machine_has_no_budget() {
        let limits = Limits::default();
        let mut budgets = Budgets::new();
        let whole = dial(&mut budgets, &account("2a00:1:2:3::1", 1), &limits).0;
        assert_eq!(whole, limits.mesh.host_dials);
        assert_eq!(dial(&mut budgets, &account("2a00:1:2:3:ffff::1", 2), &limits).0, 0);
        assert_eq!(dial(&mut budgets, &account("2a00:1:2:4::1", 2), &limits).0, whole);
        for here in ["127.0.0.1:9000", "[::1]:9000", "[::ffff:127.0.0.1]:9000"] {
            assert_eq!(Account::new(here.parse().unwrap(), None), None, "{here}");
        }
    }

    #[test]
    fn what_reached_a_node_is_given_back() {
        let limits = Limits::default();
        let mut budgets = Budgets::new();
        let account = account("9.9.9.9", 1);
        for _ in 0..1_000 {
            assert_eq!(budgets.next_at(at(0), &account, &limits), at(0));
            budgets.charge(at(0), &account, &limits);
            budgets.refund(&account);
        }
        assert_eq!(dial(&mut budgets, &account, &limits).0, limits.mesh.host_dials, "and no more than that");
    }

    #[test]
    fn budgets_are_bounded_and_the_least_used_is_forgotten() {
        let limits = Limits::default().with(|limits| limits.mesh.budgets = 3);
        let mut budgets = Budgets::new();
        let used_up = dial(&mut budgets, &account("9.9.9.9", 1), &limits);
        for n in 0..50 {
            budgets.charge(at(0), &account(&alloc::format!("9.1.{n}.1"), n), &limits);
            assert!(budgets.len() <= 3);
        }
        assert_eq!(dial(&mut budgets, &account("9.9.9.9", 1), &limits), (0, used_up.1));
    }
}
