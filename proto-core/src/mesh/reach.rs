//! Which learned addresses are worth a dial.

use core::net::{IpAddr, SocketAddr};

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Host,
    Link,
    Private,
    Global,
    /// No node listens there: multicast, broadcast, unspecified, documentation.
    Nowhere,
}

/// Whether an address that `teller` tells of may be dialed: a port of 1024 and up, and no address of a closer class
/// than the teller's own (SPEC 5.3). A teller on this machine sees what we see.
pub(super) fn is_credible(teller: IpAddr, addr: SocketAddr) -> bool {
    let teller = reach(teller);
    let credible = match reach(addr.ip()) {
        Reach::Nowhere => false,
        Reach::Global => true,
        closer => teller == Reach::Host || teller == closer,
    };
    credible && addr.port() >= 1024
}

fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        IpAddr::V4(ip) if ip.is_loopback() => Reach::Host,
        IpAddr::V4(ip) if ip.is_link_local() => Reach::Link,
        // RFC 6598's shared space is as private as RFC 1918's.
        IpAddr::V4(ip) if ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64) => {
            Reach::Private
        }
        IpAddr::V4(ip) if ip.octets()[0] == 0 || ip.octets()[0] >= 224 || ip.is_documentation() => {
            Reach::Nowhere
        }
        IpAddr::V6(ip) if ip.is_loopback() => Reach::Host,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Reach::Link,
        IpAddr::V6(ip) if ip.is_unique_local() => Reach::Private,
        IpAddr::V6(ip) if ip.is_unspecified() || ip.is_multicast() => Reach::Nowhere,
        _ => Reach::Global,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closer_addresses_are_believed_of_their_own_kind_alone() {
        let tellers = ["127.0.0.1", "169.254.1.1", "192.168.1.1", "8.8.8.8"];
        let table = [
            ("127.0.0.1:8080", [true, false, false, false]),
            ("[::1]:8080", [true, false, false, false]),
            ("[::ffff:127.0.0.1]:8080", [true, false, false, false]),
            ("169.254.9.9:8080", [true, true, false, false]),
            ("[fe80::1]:8080", [true, true, false, false]),
            ("10.0.0.1:8080", [true, false, true, false]),
            ("[fd00::1]:8080", [true, false, true, false]),
            ("100.64.0.1:8080", [true, false, true, false]),
            ("9.9.9.9:8080", [true; 4]),
            ("9.9.9.9:1024", [true; 4]),
            ("9.9.9.9:1023", [false; 4]),
            ("0.0.0.0:8080", [false; 4]),
            ("255.255.255.255:8080", [false; 4]),
            ("224.0.0.1:8080", [false; 4]),
        ];
        for (addr, expected) in table {
            let credible = tellers.map(|teller| is_credible(teller.parse().unwrap(), addr.parse().unwrap()));
            assert_eq!(credible, expected, "{addr}");
        }
    }
}
