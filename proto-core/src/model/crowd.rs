//! Who makes room where there is none: the address that holds most, then the network that holds most (SPEC 5.15).

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use core::net::IpAddr;

use super::{host_of, net_of};

/// How many each address and each network holds of something that all share. An address is a *host* and a network a *net*
/// as in SPEC 5.13: in IPv6, an address is a /64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crowd {
    hosts: BTreeMap<IpAddr, usize>,
    nets: BTreeMap<IpAddr, usize>,
}

/// Those of whom one makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Largest {
    /// The hosts that hold so many.
    Hosts(usize),
    /// The nets that hold so many.
    Nets(usize),
    /// In the nets that hold so many, the hosts that hold so many.
    HostsOfNets(usize, usize),
}

impl Crowd {
    /// Of things of which each holder has one.
    pub(crate) fn of(holders: impl Iterator<Item = IpAddr>) -> Self {
        let mut crowd = Self::default();
        holders.for_each(|ip| crowd.add(ip));
        crowd
    }

    /// This holder has one more.
    pub(crate) fn add(&mut self, ip: IpAddr) {
        *self.hosts.entry(host_of(ip)).or_default() += 1;
        *self.nets.entry(net_of(ip)).or_default() += 1;
    }

    /// This holder has one less.
    pub(crate) fn remove(&mut self, ip: IpAddr) {
        for (map, holder) in [(&mut self.hosts, host_of(ip)), (&mut self.nets, net_of(ip))] {
            if let Entry::Occupied(mut held) = map.entry(holder) {
                *held.get_mut() -= 1;
                if *held.get() == 0 {
                    held.remove();
                }
            }
        }
    }

    /// Who holds most, and more than a share and than this newcomer with one more: hosts, else nets. `shares`: of a host
    /// and of a net.
    pub(crate) fn beyond(&self, newcomer: IpAddr, shares: (usize, usize)) -> Option<Largest> {
        let (host, net) = self.held(newcomer);
        let most = |map: &BTreeMap<IpAddr, usize>, least: usize| {
            map.values().copied().max().filter(|most| *most > least)
        };
        let hosts = most(&self.hosts, shares.0.max(host + 1)).map(Largest::Hosts);
        hosts.or_else(|| most(&self.nets, shares.1.max(net + 1)).map(Largest::Nets))
    }

    /// Who makes room for one more of this newcomer: the hosts that hold most, if the newcomer's host holds less with it;
    /// else the nets that hold most, if the newcomer's net does. None: nobody holds more than the newcomer.
    pub(crate) fn larger_than(&self, newcomer: IpAddr) -> Option<Largest> {
        let most = |map: &BTreeMap<IpAddr, usize>, own: IpAddr| {
            let own = map.get(&own).copied().unwrap_or(0) + 1;
            map.values().copied().max().filter(|most| *most > own)
        };
        let hosts = most(&self.hosts, host_of(newcomer)).map(Largest::Hosts);
        hosts.or_else(|| most(&self.nets, net_of(newcomer)).map(Largest::Nets))
    }

    /// In the nets that hold most, the hosts that hold most.
    pub(crate) fn largest(&self) -> Largest {
        let net = self.nets.values().copied().max().unwrap_or(0);
        let in_largest = self.hosts.iter().filter(|(host, _)| self.nets.get(&net_of(**host)) == Some(&net));
        Largest::HostsOfNets(net, in_largest.map(|(_, held)| *held).max().unwrap_or(0))
    }

    /// How many the host and the net of this address hold.
    pub(crate) fn held(&self, ip: IpAddr) -> (usize, usize) {
        let held = |map: &BTreeMap<IpAddr, usize>, ip| map.get(&ip).copied().unwrap_or(0);
        (held(&self.hosts, host_of(ip)), held(&self.nets, net_of(ip)))
    }

    /// Whether this address is one of them.
    pub(crate) fn is_among(&self, ip: IpAddr, largest: Largest) -> bool {
        match largest {
            Largest::Hosts(held) => self.hosts.get(&host_of(ip)) == Some(&held),
            Largest::Nets(held) => self.nets.get(&net_of(ip)) == Some(&held),
            Largest::HostsOfNets(net, host) => {
                self.is_among(ip, Largest::Nets(net)) && self.is_among(ip, Largest::Hosts(host))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn crowd(holders: &[(&str, usize)]) -> Crowd {
        Crowd::of(holders.iter().flat_map(|(holder, held)| core::iter::repeat_n(ip(holder), *held)))
    }

    #[test]
    fn the_address_that_holds_most_makes_room_for_one_that_holds_less() {
        let crowd = crowd(&[("9.9.9.1", 3), ("8.8.8.1", 1)]);
        let largest = crowd.larger_than(ip("7.7.7.7")).unwrap();
        assert_eq!(largest, Largest::Hosts(3));
        assert!(crowd.is_among(ip("9.9.9.1"), largest) && !crowd.is_among(ip("8.8.8.1"), largest));
        assert_eq!(crowd.larger_than(ip("8.8.8.1")), Some(Largest::Hosts(3)), "two with it");
        assert_eq!(crowd.larger_than(ip("9.9.9.1")), None, "itself");
        let neighbour = crowd.larger_than(ip("9.9.9.2"));
        assert_eq!(neighbour, Some(Largest::Hosts(3)), "a neighbour does not stand for it");
    }

    #[test]
    fn where_all_addresses_hold_the_same_the_network_that_holds_most_makes_room() {
        let crowd = crowd(&[("9.9.9.1", 1), ("9.9.9.2", 1), ("9.9.9.3", 1), ("8.8.8.1", 1)]);
        let largest = crowd.larger_than(ip("7.7.7.7")).unwrap();
        assert_eq!(largest, Largest::Nets(3));
        assert!(crowd.is_among(ip("9.9.9.77"), largest) && !crowd.is_among(ip("8.8.8.1"), largest));
        assert_eq!(crowd.larger_than(ip("8.8.8.2")), Some(Largest::Nets(3)));
        assert_eq!(crowd.larger_than(ip("9.9.9.4")), None, "its own network");
    }

    #[test]
    fn of_the_network_that_holds_most_the_address_that_holds_most_stands_out() {
        let crowd = crowd(&[("9.9.9.1", 3), ("9.9.9.2", 1), ("8.8.8.1", 3)]);
        let largest = crowd.largest();
        let those = ["9.9.9.1", "9.9.9.2", "8.8.8.1"].map(|holder| crowd.is_among(ip(holder), largest));
        assert_eq!(those, [true, false, false]);
    }

    #[test]
    fn who_holds_more_than_a_share_and_than_the_newcomer_is_beyond_it() {
        let mut held = crowd(&[("9.9.9.1", 3), ("9.9.9.2", 2), ("8.8.8.1", 1)]);
        let beyond = |held: &Crowd, newcomer, shares| held.beyond(ip(newcomer), shares);
        assert_eq!(beyond(&held, "7.7.7.7", (2, 9)), Some(Largest::Hosts(3)));
        assert_eq!(beyond(&held, "7.7.7.7", (3, 4)), Some(Largest::Nets(5)));
        assert_eq!(beyond(&held, "7.7.7.7", (3, 5)), None);
        assert_eq!(beyond(&held, "9.9.9.2", (1, 1)), None, "it would hold as much");
        held.remove(ip("9.9.9.1"));
        held.remove(ip("7.7.7.7"));
        assert_eq!(held, crowd(&[("9.9.9.1", 2), ("9.9.9.2", 2), ("8.8.8.1", 1)]));
        held.remove(ip("8.8.8.1"));
        assert_eq!(held.held(ip("8.8.8.1")), (0, 0));
        assert_eq!(held, crowd(&[("9.9.9.1", 2), ("9.9.9.2", 2)]));
    }

    #[test]
    fn an_address_of_ipv6_is_a_64_and_a_network_a_48() {
        let crowd = crowd(&[("2001:db8::1", 1), ("2001:db8::2", 1), ("2001:db8:0:1::1", 1)]);
        assert_eq!(crowd.larger_than(ip("2001:db8:1::1")), Some(Largest::Hosts(2)));
        assert!(crowd.is_among(ip("2001:db8::ffff"), Largest::Hosts(2)));
        assert!(crowd.is_among(ip("2001:db8:0:9::1"), Largest::Nets(3)));
    }
}
