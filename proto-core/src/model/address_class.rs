//! Classes of IP addresses: from how far away each can be reached, and whom a peer can reach (SPEC 5.9, 5.14).

#[cfg(test)]
mod tests;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The class of an IP address: from how far away it can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressClass {
    Loopback,
    LinkLocal,
    /// RFC 1918, RFC 4193 and RFC 6598.
    Private,
    Global,
    /// No node listens there: multicast, reserved, or in a special-purpose address registry of IANA.
    Special,
}

/// Which addresses a peer can reach, by the address at which this node sees it. A peer is told these, and believed about
/// these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The peer is on this machine: it reaches all that this node reaches.
    ThisMachine,
    /// Global addresses, and those that are link-local.
    LinkLocal,
    /// Global addresses, and those of the block of private addresses that begins with this one.
    Private(IpAddr),
    /// Global addresses alone.
    Global,
}

/// The blocks of IPv4 in which no node listens. First the special-purpose address registry (RFC 6890, updated by RFC
/// 8190) without what has another class, then multicast (RFC 5771).
const SPECIAL_V4: [(Ipv4Addr, u8); 12] = [
    // This network.
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // IETF protocol assignments, with DS-Lite, NAT64 discovery, and the anycast addresses of PCP and TURN.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // AS112, anycast.
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    // AMT, anycast.
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    // Relays of 6to4, anycast, deprecated.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Benchmarks.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Reserved, with the limited broadcast address.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    // Multicast.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
];

/// The global unicast addresses of IPv6. All others are reserved, multicast, deprecated or of another class.
const GLOBAL_UNICAST_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The blocks of [`GLOBAL_UNICAST_V6`] in which no node listens: those of the special-purpose address registry.
const SPECIAL_V6: [(Ipv6Addr, u8); 5] = [
    // IETF protocol assignments, with Teredo, benchmarks and ORCHID.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation.
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // AS112, anycast.
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
];

impl AddressClass {
    /// The class of this address. An address of IPv4 in one of IPv6 (`::ffff:0:0/96`) is that of IPv4. Addresses that
    /// translate or tunnel to one of IPv4 (NAT64, 6to4, Teredo) are of special use, so that nobody passes a block by
    /// writing an address in another way.
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        let shared = in_v4(ip, (Ipv4Addr::new(100, 64, 0, 0), 10));
        match ip {
            _ if ip.is_loopback() => Self::Loopback,
            _ if ip.is_link_local() => Self::LinkLocal,
            _ if ip.is_private() || shared => Self::Private,
            _ if SPECIAL_V4.into_iter().any(|block| in_v4(ip, block)) => Self::Special,
            _ => Self::Global,
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        match ip {
            _ if ip.is_loopback() => Self::Loopback,
            _ if ip.is_unicast_link_local() => Self::LinkLocal,
            _ if ip.is_unique_local() => Self::Private,
            _ if !in_v6(ip, GLOBAL_UNICAST_V6) => Self::Special,
            _ if SPECIAL_V6.into_iter().any(|block| in_v6(ip, block)) => Self::Special,
            _ => Self::Global,
        }
    }
}

impl Reach {
    /// The reach of a peer that this node sees at `ip`. A peer on loopback may be a proxy for one that is far away: it is
    /// on this machine only if loopback is trusted.
    pub(crate) fn of(ip: IpAddr, trusts_loopback: bool) -> Self {
        match AddressClass::of(ip) {
            AddressClass::Loopback if trusts_loopback => Self::ThisMachine,
            AddressClass::LinkLocal => Self::LinkLocal,
            AddressClass::Private => Self::Private(private_block(ip)),
            AddressClass::Loopback | AddressClass::Global | AddressClass::Special => Self::Global,
        }
    }

    /// Whether the peer can reach a node at `addr`. No node listens on a port below 1024.
    pub(crate) fn includes(self, addr: SocketAddr) -> bool {
        addr.port() >= 1024 && self.includes_ip(addr.ip())
    }

    /// Whether the peer can reach this IP address.
    pub(crate) fn includes_ip(self, ip: IpAddr) -> bool {
        match AddressClass::of(ip) {
            AddressClass::Special => false,
            AddressClass::Global => true,
            AddressClass::Loopback => self == Self::ThisMachine,
            AddressClass::LinkLocal => matches!(self, Self::ThisMachine | Self::LinkLocal),
            AddressClass::Private => self == Self::ThisMachine || self == Self::Private(private_block(ip)),
        }
    }
}

/// The first address of the block that a private address is in: one of RFC 1918 or RFC 6598, or a site's /48 of RFC 4193.
/// Networks that use different blocks are mostly different ones.
fn private_block(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => match v4.octets() {
            [10, ..] => prefix(ip, 8, 48),
            [172, ..] => prefix(ip, 12, 48),
            [192, ..] => prefix(ip, 16, 48),
            _ => prefix(ip, 10, 48),
        },
        IpAddr::V6(_) => prefix(ip, 8, 48),
    }
}

/// Whether an address is on this machine.
pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    AddressClass::of(ip) == AddressClass::Loopback
}

/// The host of an address, as far as it can be told: the address, in IPv6 its /64, all of which one host can have.
pub(crate) fn host_of(ip: IpAddr) -> IpAddr {
    prefix(ip, 32, 64)
}

/// The network of an address: its /24, in IPv6 its /48.
pub(crate) fn net_of(ip: IpAddr) -> IpAddr {
    prefix(ip, 24, 48)
}

/// The region of an address: its /16, in IPv6 its /32. One organisation can have all networks of a region.
pub(crate) fn region_of(ip: IpAddr) -> IpAddr {
    prefix(ip, 16, 32)
}

/// The first address that shares so many bits with this one.
fn prefix(ip: IpAddr, bits_v4: u8, bits_v6: u8) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask_v4(bits_v4))),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask_v6(bits_v6))),
    }
}

fn in_v4(ip: Ipv4Addr, (start, bits): (Ipv4Addr, u8)) -> bool {
    (ip.to_bits() ^ start.to_bits()) & mask_v4(bits) == 0
}

fn in_v6(ip: Ipv6Addr, (start, bits): (Ipv6Addr, u8)) -> bool {
    (ip.to_bits() ^ start.to_bits()) & mask_v6(bits) == 0
}

fn mask_v4(bits: u8) -> u32 {
    u32::MAX.unbounded_shl(32 - u32::from(bits))
}

fn mask_v6(bits: u8) -> u128 {
    u128::MAX.unbounded_shl(128 - u32::from(bits))
}
