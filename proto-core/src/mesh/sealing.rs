//! Which dials are sealed, who is expected, and what follows when another node is there (SPEC 3.14).

use core::net::{IpAddr, SocketAddr};

use super::Mesh;
use super::dials::DialStep;
use super::event::Event;
use crate::model::{
    Cx, DialError, Dialed, Expected, NodeId, PeerAddr, Plaintext, Seal, TargetId, is_loopback,
};

impl Mesh {
    /// How a dial of this address is to be secured.
    pub(super) fn seal_of(&self, cx: &Cx, addr: SocketAddr, target: Option<TargetId>) -> Seal {
        let Some(plaintext) = cx.config.plaintext() else { return Seal::Clear };
        let given = target.and_then(|target| self.targets.expected(target));
        if given.is_none() && plaintext != Plaintext::Off && is_loopback(addr.ip()) {
            return Seal::Clear;
        }
        let takes_anybody = target.is_some_and(|target| self.targets.takes_anybody(target));
        let learned = self.pins.expected(addr, cx.now, cx.limits()).filter(|_| !takes_anybody);
        Seal::Sealed { expected: given.or(learned.map(Expected::Id)) }
    }

    /// Tells the user, once, that another node is at an address than the expected one.
    pub(super) fn note_wrong_key(
        &mut self,
        addr: SocketAddr,
        target: Option<TargetId>,
        seal: Seal,
        reason: DialError,
    ) {
        let (Seal::Sealed { expected: Some(expected) }, DialError::WrongKey { found }) = (seal, reason)
        else {
            return;
        };
        self.counts.wrong_keys += 1;
        let given = target.filter(|target| self.targets.expected(*target) == Some(expected));
        let news = match given {
            Some(target) => self.targets.note_wrong(target),
            None => self.pins.note_wrong(addr),
        };
        if news {
            let target = target.map_or(PeerAddr::Ip(addr), |target| self.targets.addr(target));
            let expected = expected.node_id();
            self.events.push_back(Event::WrongKey { target, expected, found, given: given.is_some() });
        }
    }

    /// Whether an address is to be dialed in clear, now that a sealed dial failed.
    pub(super) fn may_be_in_clear(
        &self,
        cx: &Cx,
        addr: SocketAddr,
        target: Option<TargetId>,
        seal: Seal,
        reason: DialError,
    ) -> bool {
        let given = target.and_then(|target| self.targets.expected(target));
        let silent = matches!(reason, DialError::NotSealed | DialError::TimedOut | DialError::Other);
        let sealed = matches!(seal, Seal::Sealed { .. });
        sealed
            && silent
            && !cx.stopping
            && given.is_none()
            && cx.config.plaintext() == Some(Plaintext::Allow)
            && !self.pins.is_sealed(addr, cx.now, cx.limits())
    }

    /// Dials an address again, in clear. It is the same attempt.
    pub(super) fn dial_in_clear(&mut self, cx: &Cx, addr: SocketAddr, target: Option<TargetId>) {
        let (step, seal, limits) = (DialStep::Connect(addr), Seal::Clear, cx.limits());
        let dial = match target {
            Some(target) => self.dials.begin_target(step.clone(), seal, target, cx.now, limits),
            None => self.dials.begin_learned(addr, seal, cx.now, limits),
        };
        self.request(dial, step, seal);
    }

    /// Remembers who has proven its key at an address.
    pub(super) fn pin(&mut self, cx: &Cx, dialed: Dialed, node_id: NodeId) {
        if cx.config.plaintext().is_some() && node_id.is_of_key() {
            self.pins.reached(dialed.addr, node_id, dialed.sealed, cx.now, cx.limits());
        }
    }

    /// Whether a peer from this address is expected: a node was found there, or the user gave the address.
    pub(crate) fn expects(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.pins.knows(ip) || self.targets.knows(ip)
    }
}
