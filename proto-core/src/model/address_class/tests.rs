use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The first and the last address of each block, and its class.
#[rustfmt::skip]
const BLOCKS: &[(&str, &str, AddressClass)] = &[
    ("127.0.0.0", "127.255.255.255", AddressClass::Loopback),
    ("::1", "::1", AddressClass::Loopback),
    ("::ffff:127.0.0.1", "::ffff:127.255.255.255", AddressClass::Loopback),
    ("169.254.0.0", "169.254.255.255", AddressClass::LinkLocal),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::LinkLocal),
    ("10.0.0.0", "10.255.255.255", AddressClass::Private),
    ("100.64.0.0", "100.127.255.255", AddressClass::Private),
    ("172.16.0.0", "172.31.255.255", AddressClass::Private),
    ("192.168.0.0", "192.168.255.255", AddressClass::Private),
    ("::ffff:10.0.0.0", "::ffff:10.255.255.255", AddressClass::Private),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Private),
    ("0.0.0.0", "0.255.255.255", AddressClass::Special),
    ("192.0.0.0", "192.0.0.255", AddressClass::Special),
    ("192.0.2.0", "192.0.2.255", AddressClass::Special),
    ("192.31.196.0", "192.31.196.255", AddressClass::Special),
    ("192.52.193.0", "192.52.193.255", AddressClass::Special),
    ("192.88.99.0", "192.88.99.255", AddressClass::Special),
    ("192.175.48.0", "192.175.48.255", AddressClass::Special),
    ("198.18.0.0", "198.19.255.255", AddressClass::Special),
    ("198.51.100.0", "198.51.100.255", AddressClass::Special),
    ("203.0.113.0", "203.0.113.255", AddressClass::Special),
    ("224.0.0.0", "255.255.255.255", AddressClass::Special),
    // Unspecified, and compatible with IPv4 (deprecated).
    ("::", "::", AddressClass::Special),
    ("::2", "::ffff:ffff", AddressClass::Special),
    // NAT64, the second block for local use.
    ("64:ff9b::", "64:ff9b::ffff:ffff", AddressClass::Special),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", AddressClass::Special),
    // Discard only, and dummy.
    ("100::", "100::ffff:ffff:ffff:ffff", AddressClass::Special),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", AddressClass::Special),
    // Protocol assignments: Teredo, benchmarks, AMT, AS112, ORCHID, drones.
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Special),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Special),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Special),
    ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", AddressClass::Special),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Special),
    // Segment routing.
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Special),
    // Site-local (deprecated), and multicast.
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Special),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Special),
];

#[test]
fn each_block_of_the_registries_has_its_class_up_to_its_edges() {
    for (first, last, class) in BLOCKS {
        assert_eq!([first, last].map(|end| AddressClass::of(ip(end))), [*class; 2], "{first} to {last}");
    }
}

#[test]
fn what_is_next_to_a_block_is_global() {
    for text in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.31.195.255",
        "192.31.197.0",
        "192.52.192.255",
        "192.52.194.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "192.175.47.255",
        "192.175.49.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "2000::",
        "2001:200::",
        "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db9::",
        "2003::",
        "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff",
        "2620:4f:8001::",
        "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ] {
        assert_eq!(AddressClass::of(ip(text)), AddressClass::Global, "{text}");
    }
}

#[test]
fn no_address_of_ipv4_passes_in_that_of_a_translator_or_a_tunnel() {
    for inside in ["127.0.0.1", "10.0.0.1", "169.254.1.1", "8.8.8.8"] {
        let [a, b, c, d] = inside.parse::<Ipv4Addr>().unwrap().octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        for wrapped in [
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, 0x4136, 0xe378, 0x8000, 0xe97e, !high, !low),
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        ] {
            assert_eq!(AddressClass::of(wrapped.into()), AddressClass::Special, "{wrapped}");
        }
        let mapped = inside.parse::<Ipv4Addr>().unwrap().to_ipv6_mapped();
        assert_eq!(AddressClass::of(mapped.into()), AddressClass::of(ip(inside)), "{mapped}");
    }
}

#[test]
fn a_peer_reaches_global_addresses_those_near_it_and_on_this_machine_all() {
    // On this machine, link-local, private, global, special; the first once more, where loopback is not trusted; private.
    let peers = [
        ("127.0.0.1", true),
        ("169.254.1.1", true),
        ("192.168.1.1", true),
        ("8.8.8.8", true),
        ("64:ff9b::a00:1", true),
        ("127.0.0.1", false),
        ("::ffff:127.0.0.1", false),
        ("10.0.0.1", false),
        ("172.31.0.1", false),
        ("100.127.0.1", false),
        ("fd00:0:0:7::1", false),
    ];
    let table = [
        ("127.0.0.1:8080", [true, false, false, false, false, false, false, false, false, false, false]),
        ("[::1]:8080", [true, false, false, false, false, false, false, false, false, false, false]),
        (
            "[::ffff:127.0.0.1]:8080",
            [true, false, false, false, false, false, false, false, false, false, false],
        ),
        ("169.254.9.9:8080", [true, true, false, false, false, false, false, false, false, false, false]),
        ("[fe80::1]:8080", [true, true, false, false, false, false, false, false, false, false, false]),
        ("10.0.0.1:8080", [true, false, false, false, false, false, false, true, false, false, false]),
        ("[fd00::1]:8080", [true, false, false, false, false, false, false, false, false, false, true]),
        ("100.64.0.1:8080", [true, false, false, false, false, false, false, false, false, true, false]),
        ("10.255.255.255:8080", [true, false, false, false, false, false, false, true, false, false, false]),
        ("192.168.7.23:8080", [true, false, true, false, false, false, false, false, false, false, false]),
        ("172.16.0.1:8080", [true, false, false, false, false, false, false, false, true, false, false]),
        ("[fd00:0:1::1]:8080", [true, false, false, false, false, false, false, false, false, false, false]),
        ("9.9.9.9:8080", [true; 11]),
        ("9.9.9.9:1024", [true; 11]),
        ("9.9.9.9:1023", [false; 11]),
        ("0.0.0.0:8080", [false; 11]),
        ("198.18.0.1:8080", [false; 11]),
        ("[64:ff9b::7f00:1]:8080", [false; 11]),
        ("[2002:7f00:1::1]:8080", [false; 11]),
        ("[fec0::1]:8080", [false; 11]),
    ];
    for (addr, expected) in table {
        let reached =
            peers.map(|(peer, trusted)| Reach::of(ip(peer), trusted).includes(addr.parse().unwrap()));
        assert_eq!(reached, expected, "{addr}");
    }
}

#[test]
fn hosts_networks_and_regions_are_prefixes() {
    for (addr, host, net, region) in [
        ("8.8.4.4", "8.8.4.4", "8.8.4.0", "8.8.0.0"),
        ("::ffff:8.8.4.4", "8.8.4.4", "8.8.4.0", "8.8.0.0"),
        ("2a00:1:2:3:4:5:6:7", "2a00:1:2:3::", "2a00:1:2::", "2a00:1::"),
    ] {
        let prefixes = [host_of, net_of, region_of].map(|prefix| prefix(ip(addr)));
        assert_eq!(prefixes, [host, net, region].map(ip), "{addr}");
    }
}
