//! Which learned addresses may be dialed, by port and class (SPEC 5.9).

use core::net::{IpAddr, SocketAddr};

/// The class of an IP address: from how far away it can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Loopback,
    LinkLocal,
    /// RFC 1918, RFC 4193 and RFC 6598.
    Private,
    Global,
    /// No node can listen there: multicast, broadcast, unspecified, reserved, documentation.
    Unusable,
}

/// Whether an address may be dialed that a peer at `source` advertises (SPEC 5.9). The port is 1024 or above. An
/// address that is not global has the class of the source, or the source is on this machine.
pub(super) fn is_credible(source: IpAddr, addr: SocketAddr) -> bool {
    let source = class(source);
    let credible = match class(addr.ip()) {
        Class::Unusable => false,
        Class::Global => true,
        nearer => source == Class::Loopback || source == nearer,
    };
    credible && addr.port() >= 1024
}

fn class(ip: IpAddr) -> Class {
    match ip.to_canonical() {
        IpAddr::V4(ip) if ip.is_loopback() => Class::Loopback,
        IpAddr::V4(ip) if ip.is_link_local() => Class::LinkLocal,
        // The second condition is the shared address space of RFC 6598, 100.64.0.0/10.
        IpAddr::V4(ip) if ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64) => {
            Class::Private
        }
        IpAddr::V4(ip) if ip.octets()[0] == 0 || ip.octets()[0] >= 224 || ip.is_documentation() => {
            Class::Unusable
        }
        IpAddr::V6(ip) if ip.is_loopback() => Class::Loopback,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Class::LinkLocal,
        IpAddr::V6(ip) if ip.is_unique_local() => Class::Private,
        IpAddr::V6(ip) if ip.is_unspecified() || ip.is_multicast() => Class::Unusable,
        _ => Class::Global,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_credible_from_its_own_class_or_from_loopback() {
        let sources = ["127.0.0.1", "169.254.1.1", "192.168.1.1", "8.8.8.8"];
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
            let credible = sources.map(|source| is_credible(source.parse().unwrap(), addr.parse().unwrap()));
            assert_eq!(credible, expected, "{addr}");
        }
    }
}
