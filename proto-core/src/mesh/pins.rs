//! Which node has proven its key at an address, and when the address was last reached sealed (SPEC 3.14.10 to 3.14.15).
//!
//! Only this node's own dials write here, so an advertisement neither adds nor removes anything.

use alloc::collections::BTreeMap;
use core::net::{IpAddr, SocketAddr};

use crate::model::{Crowd, Instant, KnownPin, Limits, NodeId, Past, canonical, is_loopback};

/// The addresses off loopback where a key was proven.
#[derive(Debug, Default)]
pub(super) struct Pins {
    pins: BTreeMap<SocketAddr, Pin>,
    /// How often one came, or came to be of another node.
    changes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Pin {
    node_id: NodeId,
    /// When the node last proved its key there.
    proven: Past,
    /// When the address was last reached sealed.
    sealed: Option<Past>,
    /// The user was told that another node is there.
    told: bool,
}

impl Pins {
    /// A dial reached this node there, which has proven its key.
    pub(super) fn reached(
        &mut self,
        addr: SocketAddr,
        node_id: NodeId,
        sealed: bool,
        now: Instant,
        limits: &Limits,
    ) {
        if is_loopback(addr.ip()) {
            return;
        }
        let before = self.pins.get(&addr).copied();
        let now = Past::at(now);
        let sealed = if sealed { Some(now) } else { before.and_then(|pin| pin.sealed) };
        let known = (node_id, sealed.is_some());
        self.changes += u64::from(before.map(|pin| (pin.node_id, pin.sealed.is_some())) != Some(known));
        if !self.pins.contains_key(&addr) && self.pins.len() >= limits.mesh.pins.max(1) {
            self.forget_one();
        }
        self.pins.insert(addr, Pin { node_id, proven: now, sealed, told: false });
    }

    /// Forgets the pin that is oldest in the network, and of the address there, that has most. So whoever wants one to be
    /// forgotten has to be reached in as many networks as there can be pins.
    fn forget_one(&mut self) {
        let crowd = Crowd::of(self.pins.keys().map(SocketAddr::ip));
        let largest = crowd.largest();
        let those = self.pins.iter().filter(|(addr, _)| crowd.is_among(addr.ip(), largest));
        if let Some(addr) = those.min_by_key(|(addr, pin)| (pin.proven, **addr)).map(|(addr, _)| *addr) {
            self.pins.remove(&addr);
        }
    }

    /// The node that is expected at an address.
    pub(super) fn expected(&self, addr: SocketAddr, now: Instant, limits: &Limits) -> Option<NodeId> {
        let pin = self.pins.get(&addr)?;
        (pin.proven.age(now) < limits.mesh.book_forget_after).then_some(pin.node_id)
    }

    /// Whether an address is never to be dialed in clear.
    pub(super) fn is_sealed(&self, addr: SocketAddr, now: Instant, limits: &Limits) -> bool {
        let sealed = self.pins.get(&addr).and_then(|pin| pin.sealed);
        sealed.is_some_and(|past| past.age(now) < limits.mesh.sealed_for)
    }

    /// Another node than the expected one is there. Whether the user is to be told.
    pub(super) fn note_wrong(&mut self, addr: SocketAddr) -> bool {
        self.pins.get_mut(&addr).is_some_and(|pin| !core::mem::replace(&mut pin.told, true))
    }

    /// A number that grows when a pin comes, or comes to be of another node.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// What is to be kept, at this wall-clock time.
    pub(super) fn remember(&self, now: Instant, wall: u64) -> impl Iterator<Item = KnownPin> {
        self.pins.iter().map(move |(addr, pin)| KnownPin {
            addr: *addr,
            node_id: pin.node_id,
            proven_ms: pin.proven.unix_ms(now, wall),
            sealed_ms: pin.sealed.map(|past| past.unix_ms(now, wall)),
        })
    }

    /// What was kept from an earlier start.
    pub(super) fn recall(&mut self, known: &KnownPin, now: Instant, wall: u64) {
        let past = |unix_ms| Past::of_unix(now, wall, unix_ms);
        let (proven, sealed) = (past(known.proven_ms), known.sealed_ms.map(past));
        let pin = Pin { node_id: known.node_id, proven, sealed, told: false };
        self.pins.entry(canonical(known.addr)).or_insert(pin);
    }

    /// Whether a node has proven its key at this IP address.
    pub(super) fn knows(&self, ip: IpAddr) -> bool {
        self.pins.range(SocketAddr::new(ip, 0)..=SocketAddr::new(ip, u16::MAX)).next().is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.pins.len()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn node(n: u8) -> NodeId {
        crate::Identity::from_secret(&[n; 32]).node_id()
    }

    #[test]
    fn a_key_is_expected_for_a_day_and_the_seal_for_thirty() {
        let (mut pins, limits, at) = (Pins::default(), Limits::default(), addr("9.9.9.9:9000"));
        let start = Instant::from_origin(DAY);
        pins.reached(at, node(1), true, start, &limits);
        let expected = |pins: &Pins, now| pins.expected(at, now, &limits);
        assert_eq!(expected(&pins, start), Some(node(1)));
        assert_eq!(expected(&pins, start + DAY), None);
        assert!(pins.is_sealed(at, start + DAY * 29, &limits));
        assert!(!pins.is_sealed(at, start + DAY * 30, &limits));
        // In clear, the key is proven as well, and the seal is not forgotten.
        pins.reached(at, node(2), false, start + DAY, &limits);
        assert_eq!(expected(&pins, start + DAY), Some(node(2)));
        assert!(pins.is_sealed(at, start + DAY * 2, &limits));
        // Nobody is expected on this machine, where ports change hands all the time.
        pins.reached(addr("127.0.0.1:9000"), node(1), true, start, &limits);
        assert_eq!(pins.len(), 1);
        assert!(pins.knows(addr("9.9.9.9:1").ip()) && !pins.knows(addr("9.9.9.8:1").ip()));
    }

    #[test]
    fn a_kept_pin_holds_however_its_address_is_spelled() {
        let (mut pins, limits, start) = (Pins::default(), Limits::default(), Instant::from_origin(DAY));
        let kept = addr("[::ffff:9.9.9.9]:9000");
        let known = KnownPin { addr: kept, node_id: node(1), proven_ms: 5, sealed_ms: Some(5) };
        pins.recall(&known, start, 5);
        assert_eq!(pins.expected(addr("9.9.9.9:9000"), start, &limits), Some(node(1)));
        assert!(pins.is_sealed(addr("9.9.9.9:9000"), start, &limits));
    }

    #[test]
    fn the_user_is_told_once_of_another_node_until_the_right_one_is_back() {
        let (mut pins, limits, at) = (Pins::default(), Limits::default(), addr("9.9.9.9:9000"));
        assert!(!pins.note_wrong(at), "nobody was expected");
        pins.reached(at, node(1), true, Instant::ORIGIN, &limits);
        assert!(pins.note_wrong(at) && !pins.note_wrong(at));
        pins.reached(at, node(1), true, Instant::ORIGIN, &limits);
        assert!(pins.note_wrong(at));
    }

    #[test]
    fn whoever_has_many_addresses_in_one_network_pushes_out_its_own() {
        let limits = Limits::default().with(|limits| limits.mesh.pins = 8);
        let (mut pins, honest) = (Pins::default(), addr("9.9.9.9:9000"));
        pins.reached(honest, node(1), true, Instant::ORIGIN, &limits);
        for n in 0..200_u16 {
            let now = Instant::from_origin(Duration::from_secs(n.into()));
            let ip = [6, 6, 6, (n % 100) as u8];
            pins.reached(SocketAddr::from((ip, 2000 + n)), node(2), true, now, &limits);
            assert!(pins.len() <= 8);
        }
        assert!(pins.is_sealed(honest, Instant::ORIGIN, &limits));
    }
}
